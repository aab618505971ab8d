//! From a trace to its steps.
//!
//! - [`tagged`]: text that already carries step tags, or a JSON step list;
//! - [`rules`]: raw reasoning, by discourse cues and calculations;
//! - [`recorded`]: a store in front of another decomposer.

pub mod rules;

use crate::error::Result;
use crate::trace::{Domain, StepList, Trace};

/// One trace to decompose.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// The problem that the trace is about; may be empty.
    pub problem: &'a str,
    /// Its domain.
    pub domain: Domain,
    /// The trace.
    pub trace: &'a Trace,
}

/// Turns traces into step lists.
///
/// A decomposer is deterministic: the same job gives the same steps, whatever else is in the batch.
pub trait Decomposer: Send {
    /// A fingerprint of everything that shapes its output (rule version; model, grammar, prompt). Keys the store.
    fn id(&self) -> String;

    /// Decomposes a batch; the results are in the order of `jobs`, one each.
    ///
    /// # Errors
    /// Per job: the trace could not be decomposed at all. What could be read in part is an
    /// `Ok` whose [`StepList::end`] says where reading stopped.
    fn decompose(&mut self, jobs: &[Job<'_>]) -> Vec<Result<StepList>>;
}
