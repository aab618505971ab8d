//! What a student trace is worth, seen from several sides.
//!
//! A reward sees all students of one problem at once (some, such as `length`, compare them) and gives each a
//! value or a reason why it has none. Names and semantics are those of open-r1 (`src/open_r1/rewards.py` in
//! huggingface/open-r1) where it has them, with one difference throughout: where nothing can be said, the
//! outcome is a skip, and never a stand-in value.
//!
//! To add a reward: a file here with an [`Entry`], and its line in [`REWARDS`]; the shared suite in
//! `tests/rewards.rs` then runs on it.

mod accuracy;
mod code;
mod format;
mod length;
pub mod mix;
mod params;
mod repetition;
mod steps;
mod structure;

pub use mix::{Mix, MixConfig, Mixed, MixedPart, PartColumn, Scaling, mix};

use crate::align::Alignment;
use crate::error::{Error, Result};
use crate::trace::{Outcome, Sample, Trace};

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

/// A known reward.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name in weights and records.
    pub name: &'static str,
    /// Other names that it answers to, as other libraries spell it.
    pub aliases: &'static [&'static str],
    /// One line of help, with the parameters and their defaults.
    pub help: &'static str,
    /// The least and the greatest value with default parameters.
    pub range: (f64, f64),
    /// Whether a student's value depends on the other students of the problem.
    pub relative: bool,
    /// Makes it from its parameters; absent ones take their defaults.
    ///
    /// # Errors
    /// For an unknown parameter (naming the nearest known one) or a value that makes no sense.
    pub build: fn(&toml::Table) -> Result<Box<dyn Reward>>,
}

/// Every reward.
pub const REWARDS: &[Entry] = &[
    structure::STRUCTURE,
    accuracy::ACCURACY,
    format::FORMAT,
    format::TAG_COUNT,
    steps::REASONING_STEPS,
    length::LENGTH,
    length::COSINE,
    repetition::REPETITION_PENALTY,
    code::CODE_FORMAT,
];

/// The reward of that name or alias.
///
/// # Errors
/// If there is none; the message names the nearest.
pub fn find(name: &str) -> Result<&'static Entry> {
    REWARDS.iter().find(|entry| entry.name == name || entry.aliases.contains(&name)).ok_or_else(|| {
        let known = REWARDS.iter().map(|entry| entry.name);
        Error::config(format!("there is no reward {name:?}{}", params::suggest(name, known)))
    })
}

/// Applies `value` to each student's trace on its own.
fn each(group: &Group<'_>, value: impl Fn(&Trace) -> f64) -> Result<Vec<Outcome>> {
    Ok(group.sample.students.iter().map(|trace| Outcome::Scored(value(trace))).collect())
}

/// The same outcome for all students.
fn all(group: &Group<'_>, outcome: Outcome) -> Result<Vec<Outcome>> {
    Ok(vec![outcome; group.sample.students.len()])
}

/// 1 if so, 0 if not.
fn indicator(is_so: bool) -> f64 {
    if is_so { 1.0 } else { 0.0 }
}

const NO_GOLD: &str = "no gold answer";
