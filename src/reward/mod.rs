//! What a student trace is worth, seen from several sides.
//!
//! A reward sees all students of one problem at once (some, such as `length`, compare them) and gives each a
//! value or a reason why it has none.

use crate::align::Alignment;
use crate::error::Result;
use crate::trace::{Outcome, Sample};

/// All students of one problem, as a reward sees them.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    /// The problem, its teachers, its students and the gold answer.
    pub sample: &'a Sample,
    /// For each student, the alignment with the teacher that it matches best, or why there is none.
    /// Empty when no structure was asked for.
    pub structure: &'a [Structure],
}

/// The structure part of one student: the best alignment over the teachers, or a reason.
pub type Structure = std::result::Result<Alignment, crate::trace::Why>;

/// Values all students of a problem.
pub trait Reward: Send + Sync {
    /// Its name in weights and records.
    fn name(&self) -> &'static str;

    /// One outcome per student, in order; values are finite.
    ///
    /// # Errors
    /// Only for a mistake in the reward's own set-up; what is wrong with one trace is an [`Outcome::Skipped`].
    fn score(&self, group: &Group<'_>) -> Result<Vec<Outcome>>;
}
