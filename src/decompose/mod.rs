//! From a trace to its steps.
//!
//! - [`tagged`]: text that already carries step tags, or a JSON step list;
//! - [`rules`]: raw reasoning, by discourse cues and calculations;
//! - [`bed`]: traces of the test bed, by their own phrases;
//! - [`recorded`]: a store in front of another decomposer.

pub mod bed;
mod json_steps;
mod packed;
pub mod recorded;
pub mod rules;
pub mod tagged;

use crate::error::{Error, Result};
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

/// Reads step tags where there are any, else applies the rules: what most files need.
#[derive(Default)]
pub struct Auto {
    rules: rules::Rules,
}

impl Decomposer for Auto {
    fn id(&self) -> String {
        format!("auto-1({},{})", tagged::Tagged.id(), self.rules.id())
    }

    fn decompose(&mut self, jobs: &[Job<'_>]) -> Vec<Result<StepList>> {
        let mut one = |job: &Job<'_>| {
            let tagged = tagged::has_tags(&job.trace.text);
            let lists =
                if tagged { tagged::Tagged.decompose(&[*job]) } else { self.rules.decompose(&[*job]) };
            lists.into_iter().next().unwrap_or_else(|| Err(Error::engine("a decomposer gave no answer")))
        };
        jobs.iter().map(&mut one).collect()
    }
}

/// The released reward's own parser, for `structure = "reference"`: whole chunks, tags included.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference;

impl Decomposer for Reference {
    fn id(&self) -> String {
        "reference-1".into()
    }

    fn decompose(&mut self, jobs: &[Job<'_>]) -> Vec<Result<StepList>> {
        jobs.iter().map(|job| Ok(tagged::reference(&job.trace.text))).collect()
    }
}

/// A way to make a decomposer, by name.
pub struct Entry {
    /// The name on the command line and in run files.
    pub name: &'static str,
    /// One line of help.
    pub summary: &'static str,
    /// Makes one for one thread.
    pub build: fn() -> Box<dyn Decomposer>,
}

/// Every decomposer that can be chosen by name.
pub const DECOMPOSERS: &[Entry] = &[
    Entry {
        name: "auto",
        summary: "tagged where there are step tags, else rules (default)",
        build: || Box::<Auto>::default(),
    },
    Entry {
        name: "tagged",
        summary: "step tags or JSON step lists only",
        build: || Box::new(tagged::Tagged),
    },
    Entry {
        name: "rules",
        summary: "raw reasoning, by cues and calculations",
        build: || Box::<rules::Rules>::default(),
    },
    Entry {
        name: "bed",
        summary: "traces of rlkd synth, by their own phrases",
        build: || Box::<bed::Bed>::default(),
    },
    Entry {
        name: "reference",
        summary: "the released reward's own parser of tags",
        build: || Box::new(Reference),
    },
];

impl Decomposer for Box<dyn Decomposer> {
    fn id(&self) -> String {
        (**self).id()
    }

    fn decompose(&mut self, jobs: &[Job<'_>]) -> Vec<Result<StepList>> {
        (**self).decompose(jobs)
    }
}
