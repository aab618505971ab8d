//! A decomposer that remembers teachers' traces: they come again in every pass.

use rustc_hash::{FxHashMap, FxHashSet};
use xxhash_rust::xxh3::xxh3_128;

use crate::decompose::{Decomposer, Job};
use crate::error::{Error, Result};
use crate::trace::StepList;

/// The decomposer.
pub struct Teachers {
    inner: Box<dyn Decomposer>,
    /// Hashes of the traces that are kept.
    known: FxHashSet<u128>,
    lists: FxHashMap<u128, StepList>,
}

impl Teachers {
    /// Keeps the steps of these texts.
    pub fn new<'a>(inner: Box<dyn Decomposer>, texts: impl IntoIterator<Item = &'a str>) -> Self {
        let known = texts.into_iter().map(|text| xxh3_128(text.as_bytes())).collect();
        Teachers { inner, known, lists: FxHashMap::default() }
    }
}

impl Decomposer for Teachers {
    fn id(&self) -> String {
        self.inner.id()
    }

    fn decompose(&mut self, jobs: &[Job<'_>]) -> Vec<Result<StepList>> {
        let keys: Vec<u128> = jobs.iter().map(|job| xxh3_128(job.trace.text.as_bytes())).collect();
        let mut found: Vec<Option<Result<StepList>>> =
            keys.iter().map(|key| self.lists.get(key).cloned().map(Ok)).collect();
        let missing: Vec<usize> = (0..jobs.len()).filter(|at| found[*at].is_none()).collect();
        let asked: Vec<Job<'_>> = missing.iter().map(|at| jobs[*at]).collect();
        for (at, list) in missing.into_iter().zip(self.inner.decompose(&asked)) {
            if let Ok(list) = &list
                && self.known.contains(&keys[at])
            {
                self.lists.insert(keys[at], list.clone());
            }
            found[at] = Some(list);
        }
        let none = || Err(Error::engine("a decomposer gave no answer"));
        found.into_iter().map(|list| list.unwrap_or_else(none)).collect()
    }
}
