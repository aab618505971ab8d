//! What a run writes for people beside its metrics: a group of each so many steps, and one problem, again and again.

use std::path::Path;

use serde::Serialize;

use super::data::Task;
use super::round::Round;
use super::sampler::{Sampler, as_students};
use crate::error::Result;
use crate::llama::sample::Sampling;
use crate::metrics::Lines;
use crate::score::tree::Snapshot;
use crate::score::{Scored, Scorer};
use crate::seed::Seed;

/// The log of completions, which `rlkd explain` and `rlkd report` open.
pub const COMPLETIONS: &str = "completions.jsonl";
/// The watched problem at each evaluation: a [`Snapshot`] a line.
pub const WATCHED: &str = "watched.jsonl";
/// Problems among which the watched one is chosen: the first of the validation.
const CANDIDATES: usize = 16;
/// The number of the watched problem's draws, beyond those of training and of evaluations.
const DRAW: u64 = 1 << 41;

/// The files.
pub(super) struct Logs {
    completions: Lines,
    watched: Lines,
}

/// A line of the log of completions: what `rlkd score` writes, and more.
#[derive(Serialize)]
struct Logged {
    #[serde(flatten)]
    scored: Scored,
    /// Steps that the student had taken.
    step: u64,
    /// Its advantage.
    advantage: f64,
    /// What was written.
    completion: String,
}

impl Logs {
    /// Goes on behind so many bytes of each.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn open(folder: &Path, [completions, watched]: [u64; 2]) -> Result<Self> {
        Ok(Logs {
            completions: Lines::open(folder.join(COMPLETIONS), completions)?,
            watched: Lines::open(folder.join(WATCHED), watched)?,
        })
    }

    /// Sees them through to the disk. How many bytes there are.
    ///
    /// # Errors
    /// The disk is full, or the like.
    pub fn sync(&mut self) -> Result<[u64; 2]> {
        self.completions.sync()?;
        self.watched.sync()?;
        Ok([self.completions.bytes(), self.watched.bytes()])
    }

    /// Adds the first group of a round.
    ///
    /// # Errors
    /// As [`Self::sync`].
    pub fn add_group(&mut self, step: u64, round: &Round) -> Result<()> {
        let Some(group) = round.groups.first() else { return Ok(()) };
        for (one, advantage) in group.scored.iter().zip(&round.advantages.values) {
            self.completions.add(&Logged {
                scored: Scored { id: format!("{}@{step}", one.id), ..one.clone() },
                step,
                advantage: *advantage,
                completion: group.completions[one.student as usize].text.clone(),
            })?;
        }
        Ok(())
    }

    /// Adds where a group of completions goes on the tree of its teachers.
    ///
    /// # Errors
    /// As [`Self::sync`]; the model or the judge fails.
    pub fn add_watched(
        &mut self,
        step: u64,
        task: &Task,
        (sampler, scorer): (&Sampler, &mut Scorer),
        (generations, max_tokens): (usize, usize),
        (sampling, seed): (&Sampling, Seed),
    ) -> Result<()> {
        let mut written = Vec::new();
        sampler.sample(&[task], generations, sampling, max_tokens, (seed, &[DRAW]), |_, completions| {
            written = completions;
            Ok(())
        })?;
        for sample in as_students([(task, &written)]) {
            let grown = scorer.grow(&sample)?;
            let variety = scorer.variety(&sample.problem, grown.along.iter().flatten())?;
            self.watched.add(&Snapshot::new(step, &sample, grown, variety))?;
        }
        Ok(())
    }
}

/// The problem that is watched: of the first few the one at which its teachers choose most often, then the one with most
/// sub-problems, then the first. None if no problem has teachers with steps.
///
/// # Errors
/// The judge fails.
pub(super) fn to_watch(tasks: &[Task], scorer: &mut Scorer) -> Result<Option<usize>> {
    let mut best: Option<([usize; 2], usize)> = None;
    for (at, task) in tasks.iter().take(CANDIDATES).enumerate() {
        let tree = scorer.grow(&task.sample)?.tree;
        let places = std::iter::once(None).chain(tree.order().iter().copied().map(Some));
        let size = [places.filter(|node| tree.next(*node).len() > 1).count(), tree.nodes().len()];
        if size[1] > 0 && best.is_none_or(|(most, _)| size > most) {
            best = Some((size, at));
        }
    }
    Ok(best.map(|(_, at)| at))
}
