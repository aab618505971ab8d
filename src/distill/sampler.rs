//! What the student writes: llama.cpp with the adapter as it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::data::Task;
use crate::error::{Error, Result};
use crate::files::beside;
use crate::llama::engine::{Engine, Generation, Request, Stop};
use crate::llama::model::Model;
use crate::llama::sample::Sampling;
use crate::llama::settings::Settings;
use crate::seed::Seed;
use crate::trace::{Sample, Trace};
use crate::train::adapter::{Adapter, gguf};

/// The adapter on its way into llama.cpp, in the run's folder; with the number of the process behind it.
pub const FILE: &str = "rollout.gguf";
/// Most sequences that are decoded at once, if nobody says how many.
const MOST_PARALLEL: usize = 128;

/// Fewer problems at once go through one lane: the completions of a problem are not spread over several.
pub const LEAST_PROMPTS: usize = 8;

/// A completion.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// Its tokens, with the one that ended it.
    pub tokens: Vec<u32>,
    /// Log-probability of each under the distribution that it was drawn from.
    pub logprobs: Vec<f32>,
    /// What it says.
    pub text: String,
    /// Whether the student ended it, and not the bound.
    pub ended: bool,
}

/// Problems with their completions as students, for a scorer.
pub fn as_students<'a>(tasks: impl IntoIterator<Item = (&'a Task, &'a Vec<Completion>)>) -> Vec<Sample> {
    let one = |(task, completions): (&Task, &Vec<Completion>)| Sample {
        students: completions.iter().map(|one| Trace::new(one.text.clone())).collect(),
        ..task.sample.clone()
    };
    tasks.into_iter().map(one).collect()
}

/// The student in llama.cpp.
pub struct Sampler {
    model: Arc<Model>,
    engine: Arc<Engine>,
    file: PathBuf,
    frozen: Vec<Adapter>,
}

impl Sampler {
    /// Loads a model, with room for so many completions of prompts of so many tokens at once. `frozen` are adapters that always
    /// lie beneath.
    ///
    /// # Errors
    /// The model cannot be loaded, or there is no room even for one sequence.
    pub fn start(
        path: &Path,
        settings: &Settings,
        [completions, generations, tokens]: [usize; 3],
        frozen: Vec<Adapter>,
        file: &Path,
    ) -> Result<Self> {
        let mut settings = settings.clone();
        if settings.context == 0 {
            settings.context =
                u32::try_from(tokens).map_err(|_| Error::config("a context of too many tokens"))?;
        }
        settings.most_parallel = completions.clamp(1, MOST_PARALLEL) as u32;
        let parallel = if settings.parallel == 0 { settings.most_parallel } else { settings.parallel };
        if settings.lanes == 0 && completions / generations.max(1) < LEAST_PROMPTS {
            settings.lanes = 1;
        }
        // One prompt is read while the one before is written on.
        if settings.prefixes == 0 {
            settings.prefixes = (parallel.div_ceil(generations.max(1) as u32) + 1).min(32);
        }
        let model = Model::load(path, &settings)?;
        let engine = Engine::start(Arc::clone(&model))?;
        Ok(Sampler { model, engine, file: beside(file, "partial"), frozen })
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Takes an adapter, beside those that lie beneath.
    ///
    /// # Errors
    /// It does not go with the model, or the disk is full.
    pub fn take(&self, adapter: Option<&Adapter>) -> Result<()> {
        let all: Vec<&Adapter> = self.frozen.iter().chain(adapter).collect();
        if all.is_empty() {
            return self.engine.set_adapter(None);
        }
        let together = Adapter::together(&all)?;
        gguf::save(&together, &self.file, "the student")?;
        let taken = self.engine.set_adapter(Some(&self.file));
        let removed = std::fs::remove_file(&self.file);
        taken?;
        removed.map_err(|error| Error::io("remove", &self.file, error))
    }

    /// Samples completions of each problem, so many each. `streams` are the numbers of what is drawn for it. Called with a problem's place
    /// when its completions are there, in order.
    ///
    /// # Errors
    /// A request cannot be worked on; what `each` says.
    pub fn sample(
        &self,
        tasks: &[&Task],
        generations: usize,
        sampling: &Sampling,
        max_tokens: usize,
        (seed, streams): (Seed, &[u64]),
        mut each: impl FnMut(usize, Vec<Completion>) -> Result<()>,
    ) -> Result<()> {
        let requests = tasks.iter().zip(streams).map(|(task, stream)| Request {
            rollouts: generations as u32,
            sampling: sampling.clone(),
            seed,
            stream: *stream,
            max_tokens: max_tokens as u32,
            ..Request::greedy(task.prompt.clone())
        });
        let tickets = self.engine.submit_all(requests.collect())?;
        for (at, ticket) in tickets.into_iter().enumerate() {
            let all = ticket.wait()?.into_iter().map(|one| self.completion(one)).collect();
            each(at, all)?;
        }
        Ok(())
    }

    fn completion(&self, generation: Generation) -> Completion {
        let Generation { mut tokens, mut logprobs, end, stop, .. } = generation;
        let text = self.model.text(&tokens);
        if let Some((token, logprob, _)) = end {
            tokens.push(token);
            logprobs.push(logprob);
        }
        Completion { tokens, logprobs, text, ended: stop == Stop::End }
    }
}
