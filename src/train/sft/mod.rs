//! Supervised fine-tuning: a GSRM on labelled traces, a student on a teacher's traces.
//!
//! A run is a folder. Started again after a kill, it goes on behind its last checkpoint, and on a processor ends with the
//! same bits: order, split and dropout depend on the seed and the step's number only.

pub mod config;
pub mod data;
pub mod scratch;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

pub use config::{Init, SftConfig, Task};
use data::{Data, Place};

use super::adapter::peft;
use super::checkpoint;
use super::cpu::head::{Slope, Token};
use super::model::{Gradients, Model, Target, Texts, Trained, Weights};
use super::optim::AdamW;
use super::setup::{Adapters, Setup, lock, resume, same_run};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Place as FilePlace, Result};
use crate::files;
use crate::gguf::check::{GSRM_GRAMMAR, GSRM_PROMPT};
use crate::metrics::{Entry, Log};
use crate::seed::Seed;
use crate::tokens::Tokenizer;

/// What a run tells while it works.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// Bytes of data that were read, and their sum where it is known.
    Reading(u64, Option<u64>),
    /// The data is read, the model is there; the run goes on behind this step.
    Ready(&'a Ready),
    /// A step was taken.
    Step(&'a Progress),
    /// Examples of an evaluation that are done, and all of them.
    Evaluating(usize, usize),
    /// A line of the metrics.
    Metrics(&'a Entry),
    /// A checkpoint was written.
    Saved(&'a Path),
}

/// What a run begins with.
#[derive(Clone, Debug, Default)]
pub struct Ready {
    /// Examples that are learnt, and evaluated on.
    pub examples: [usize; 2],
    /// Records that could not be read, with the first reasons.
    pub bad: (u64, Vec<String>),
    /// Examples that are longer than `max_length`.
    pub too_long: u64,
    /// Tokens with which all prompts begin, which are computed once for all examples that go together; 0 if they are few.
    pub shared: usize,
    /// Numbers that are trained, and all of them.
    pub parameters: [usize; 2],
    /// Steps of the whole run, and those that an earlier one took.
    pub steps: [u64; 2],
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Steps that were taken, and all.
    pub step: u64,
    /// All steps.
    pub steps: u64,
    /// The loss of the last step.
    pub loss: f64,
    /// Tokens a second, since the run was started.
    pub tokens_per_second: f64,
}

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Steps that were taken.
    pub steps: u64,
    /// Whether it ended before its last step, as the evaluation loss did not fall any more.
    pub stopped_early: bool,
    /// Lowest evaluation loss, and its step.
    pub best: Option<(f64, u64)>,
    /// Steps whose gradients were no numbers.
    pub skipped: u64,
    /// Records that could not be read.
    pub bad: u64,
    /// What was written: an adapter for `peft`, one for llama.cpp; or a model.
    pub files: Vec<PathBuf>,
}

/// Everything of a run but tensors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Optimiser steps that were taken, or passed over because of gradients that are no numbers.
    pub step: u64,
    /// Of those, the steps that the optimiser took.
    pub taken: u64,
    /// Tokens that went through the model.
    pub num_tokens: u64,
    /// Steps that were passed over.
    pub skipped: u64,
    /// Of those, the ones since the last step that was taken.
    pub skipped_in_a_row: u64,
    /// Lowest evaluation loss, and the step after which it was found.
    pub best: Option<(f64, u64)>,
    /// Evaluations since then.
    pub since_best: u32,
    /// Whether the run ended early.
    pub stopped: bool,
    /// What the next line of the metrics has summed up so far.
    pub since: Sums,
    /// Bytes of the metrics.
    pub metrics: u64,
    /// A hash of the model file.
    pub model: String,
    /// A hash of the tokens that are learnt.
    pub data: String,
    /// What shapes the numbers.
    pub config: String,
}

impl checkpoint::State for State {
    fn step(&self) -> u64 {
        self.step
    }
}

/// Sums over tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    tokens: u64,
    loss: f64,
    entropy: f64,
    best: u64,
}

impl Sums {
    fn of(tokens: &[Token]) -> Self {
        let mut sums = Sums { tokens: tokens.len() as u64, ..Sums::default() };
        for token in tokens {
            sums.loss -= token.logprob;
            sums.entropy += token.entropy;
            sums.best += u64::from(token.best);
        }
        sums
    }

    fn add(&mut self, more: Sums) {
        self.tokens += more.tokens;
        self.loss += more.loss;
        self.entropy += more.entropy;
        self.best += more.best;
    }

    /// TRL's values, with something before their names.
    fn values(&self, before: &str) -> impl Iterator<Item = (String, f64)> {
        let tokens = self.tokens.max(1) as f64;
        let values = [
            ("loss", self.loss / tokens),
            ("entropy", self.entropy / tokens),
            ("mean_token_accuracy", self.best as f64 / tokens),
        ];
        let before = before.to_owned();
        values.into_iter().map(move |(name, value)| (format!("{before}{name}"), value))
    }
}

/// Runs, or goes on with, what `config` describes. `model` is the file that `config.model` means, and `tokenizer` is of
/// that file.
///
/// When `stop` is set, it ends behind the step that is under way, with a checkpoint.
///
/// # Errors
/// The configuration makes no sense, a file cannot be read or written, a checkpoint is of another run, a tensor gets no
/// gradient, too many steps had gradients that are no numbers, or it was stopped.
pub fn run(
    config: &SftConfig,
    model: &Path,
    tokenizer: &dyn Tokenizer,
    stop: &AtomicBool,
    watch: &mut (dyn FnMut(Event<'_>) + Send),
) -> Result<Outcome> {
    config.check()?;
    let pool =
        rayon::ThreadPoolBuilder::new().num_threads(config.threads).thread_name(|at| format!("train-{at}"));
    let pool = pool.build().map_err(|error| Error::engine(format!("no threads: {error}")))?;
    pool.install(|| Run::start(config, model, tokenizer, watch)?.work(stop, watch))
}

struct Run<'a> {
    config: &'a SftConfig,
    base: &'a Path,
    model: Model,
    optimizer: AdamW,
    data: Data,
    state: State,
    log: Log,
    /// All steps.
    steps: u64,
    /// Held, so that no other process writes into the folder.
    _lock: std::fs::File,
}

impl<'a> Run<'a> {
    fn start(
        config: &'a SftConfig,
        base: &'a Path,
        tokenizer: &dyn Tokenizer,
        watch: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<Self> {
        let setup = Setup {
            trained: if config.full { Trained::All } else { Trained::Lora(config.lora.clone()) },
            gradient_checkpointing: config.gradient_checkpointing,
            bf16: config.bf16,
            device: &config.device,
            seed: config.seed,
        };
        setup.check()?;
        let folder = &config.output_dir;
        std::fs::create_dir_all(folder).map_err(|error| Error::io("create the folder", folder, error))?;
        let lock = lock(folder)?;
        checkpoint::sweep(folder)?;
        let results: &[&str] =
            if config.full { &["model.gguf"] } else { &[checkpoint::ADAPTER, "adapter.gguf"] };
        for name in results {
            let adapters = config.adapter.iter().chain(&config.frozen_adapters).map(PathBuf::as_path);
            let given = [base].into_iter().chain(adapters);
            if given.into_iter().any(|path| files::same(path, &folder.join(name))) {
                return Err(Error::config(format!("the run begins with a file that it would overwrite in the end, {name}: take another output_dir"))
                    .at(FilePlace::file(folder)));
            }
        }
        if !config.full {
            files::may_replace(&folder.join(checkpoint::ADAPTER), &peft::FILES)?;
        }
        if let Some(name) = results.iter().find(|name| folder.join(name).exists())
            && checkpoint::all(folder)?.is_empty()
        {
            return Err(Error::config(format!(
                "{name} is here and no checkpoint, so the run would begin again and replace it: take another output_dir, \
                 or remove it"
            ))
            .at(FilePlace::file(folder.join(name))));
        }
        let mut weights = Weights::load(base)?;
        if weights.shape.vocabulary < tokenizer.size() {
            return Err(Error::data(format!(
                "the model has rows for {} tokens, and its tokenizer has {}",
                weights.shape.vocabulary,
                tokenizer.size()
            ))
            .at(FilePlace::file(base)));
        }
        let all: usize = weights.names().map(|(_, sizes)| sizes.iter().product::<usize>()).sum();
        let adapters =
            Adapters::load(&config.frozen_adapters, config.adapter.as_ref(), &config.lora, &weights.shape)?;
        adapters.frozen.iter().try_for_each(|adapter| weights.put(adapter))?;
        let data = Data::read(config, tokenizer, |read, all| watch(Event::Reading(read, all)))?;
        if config.early_stopping_patience > 0 && data.validation.is_empty() {
            return Err(Error::config(
                "early_stopping_patience needs examples to evaluate on: validation, or validation_split",
            ));
        }
        let mut model = setup.model(weights, &adapters)?;
        let mut optimizer = AdamW::new(model.parameters())?;
        let own = State {
            model: adapters.identity(tokenizer.fingerprint()),
            data: data.fingerprint.clone(),
            config: config.identity(),
            ..State::default()
        };
        let is_of = |state: &State, other: &dyn Fn(&str) -> Error| {
            // Keys that came since then have their defaults.
            let then = serde_json::from_str::<SftConfig>(&state.config).map(|config| config.identity());
            let then = then.unwrap_or_else(|_| state.config.clone());
            same_run([&state.model, &own.model], [&state.data, &own.data], [&then, &own.config], other)
        };
        let found = resume(folder, &mut model, &mut optimizer, is_of, |state: &State| state.taken)?;
        let mut state = found.unwrap_or(own);
        // Somebody may have removed it.
        state.best = state.best.filter(|(_, step)| checkpoint::folder(folder, *step).exists());
        // The patience may be another one now.
        let patience = config.early_stopping_patience;
        state.stopped = patience > 0 && state.since_best >= patience;
        let log = Log::open(folder, state.metrics, state.step)?;
        let per_epoch = data.train.len().div_ceil(config.batch()) as u64;
        let steps = match config.max_steps {
            0 => (config.num_train_epochs * per_epoch as f64).ceil().max(1.0) as u64,
            steps => steps,
        };
        let ready = Ready {
            examples: [data.train.len(), data.validation.len()],
            bad: data.bad.clone(),
            too_long: data.too_long,
            shared: data.shared,
            parameters: [model.parameters().iter().map(|one| one.value.elem_count()).sum(), all],
            steps: [steps, state.step],
        };
        watch(Event::Ready(&ready));
        Ok(Run { config, base, model, optimizer, data, state, log, steps, _lock: lock })
    }

    fn work(mut self, stop: &AtomicBool, watch: &mut (dyn FnMut(Event<'_>) + Send)) -> Result<Outcome> {
        let per_epoch = self.data.train.len().div_ceil(self.config.batch()) as u64;
        let eval_steps = if self.config.eval_steps > 0 { self.config.eval_steps } else { per_epoch };
        let begin = Instant::now();
        let begun = self.state.num_tokens;
        let mut saved = Instant::now();
        let mut order: (u64, Vec<u32>) = (u64::MAX, Vec::new());
        while self.state.step < self.steps && !self.state.stopped {
            let (epoch, at) = (self.state.step / per_epoch, (self.state.step % per_epoch) as usize);
            if order.0 != epoch {
                order = (epoch, self.order(epoch));
            }
            let from = at * self.config.batch();
            let to = (from + self.config.batch()).min(order.1.len());
            let places: Vec<Place> =
                order.1[from..to].iter().map(|&at| self.data.train[at as usize]).collect();
            let lr = self.config.optim.learning_rate_at(self.state.step, self.steps);
            let (sums, gradients) = self.gradients(&places)?;
            let stepped =
                self.optimizer.step(self.model.parameters_mut(), &gradients, &self.config.optim, lr)?;
            drop(gradients);
            self.state.step += 1;
            if stepped.taken {
                self.state.taken += 1;
                self.state.skipped_in_a_row = 0;
            } else {
                self.state.skipped += 1;
                self.state.skipped_in_a_row += 1;
            }
            if self.state.skipped_in_a_row > self.config.max_skipped_steps {
                return Err(self.diverged());
            }
            // What is no number would make no number of the others.
            if stepped.taken && sums.loss.is_finite() {
                self.state.since.add(sums);
            }
            let rate = (self.state.num_tokens - begun) as f64 / begin.elapsed().as_secs_f64().max(1e-9);
            let loss = sums.loss / sums.tokens.max(1) as f64;
            let progress =
                Progress { step: self.state.step, steps: self.steps, loss, tokens_per_second: rate };
            watch(Event::Step(&progress));
            let last = self.state.step == self.steps;
            if self.state.step.is_multiple_of(self.config.logging_steps) || last {
                let mut entry = self.entry(per_epoch);
                entry.values.extend(self.state.since.values(""));
                entry.values.extend(
                    [
                        ("grad_norm", f64::from(stepped.grad_norm)),
                        ("learning_rate", f64::from(lr)),
                        ("num_tokens", self.state.num_tokens as f64),
                        ("tokens_per_second", rate),
                        ("skipped_steps", self.state.skipped as f64),
                    ]
                    .map(|(name, value)| (name.to_owned(), value)),
                );
                // JSON has no such numbers.
                entry.values.retain(|_, value| value.is_finite());
                self.log.add(&entry)?;
                watch(Event::Metrics(&entry));
                self.state.since = Sums::default();
            }
            let evaluates = self.state.step.is_multiple_of(eval_steps) || last;
            let mut sound = None;
            if evaluates && !self.data.validation.is_empty() {
                sound = Some(self.evaluate(per_epoch, watch)?.is_finite());
            }
            let stopped = stop.load(Ordering::Relaxed) && !last && !self.state.stopped;
            let late = saved.elapsed().as_secs() >= self.config.save_minutes.saturating_mul(60);
            let asked = match self.config.save_steps {
                0 => evaluates,
                steps => self.state.step.is_multiple_of(steps) || last,
            };
            // The best is kept, so it has to be there.
            let is_best = self.state.best.is_some_and(|(_, step)| step == self.state.step);
            if asked || is_best || stopped || self.state.stopped || late && self.config.save_minutes > 0 {
                saved = Instant::now();
                // Of weights that are spoilt none is written: it would push out those that are not.
                if sound.map_or_else(|| self.is_sound(), Ok)? {
                    self.save()?;
                    watch(Event::Saved(&checkpoint::folder(&self.config.output_dir, self.state.step)));
                }
            }
            if stopped {
                let kept = checkpoint::all(&self.config.output_dir)?.last().map_or(0, |step| *step);
                return Err(Error::engine(format!(
                    "stopped behind step {} of {}: the same command goes on behind step {kept}",
                    self.state.step, self.steps
                )));
            }
        }
        self.finish()
    }

    /// Whether the weights still say something of an example: that its loss is a number.
    fn is_sound(&mut self) -> Result<bool> {
        let (texts, targets) = self.texts(&self.data.train[..1])?;
        let found = self.model.log_probabilities(&texts, &targets, 1.0)?;
        Ok(Sums::of(&found).loss.is_finite())
    }

    /// What is said of weights or gradients that are no numbers any more.
    fn diverged(&self) -> Error {
        let any = checkpoint::all(&self.config.output_dir).is_ok_and(|all| !all.is_empty());
        let then = if any { "goes on from the last checkpoint" } else { "begins again" };
        Error::engine(format!(
            "gradients or losses are no numbers (NaN or infinity), the last of step {}, and no adapter is written: lower \
             learning_rate and give the same command, which {then}",
            self.state.step
        ))
    }

    fn entry(&self, per_epoch: u64) -> Entry {
        let epoch = self.state.step as f64 / per_epoch as f64;
        Entry { step: self.state.step, epoch, ..Entry::default() }
    }

    /// The order of the examples in a pass.
    fn order(&self, epoch: u64) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.data.train.len() as u32).collect();
        Seed(self.config.seed).stream("order", epoch).shuffle(&mut order);
        order
    }

    /// The sums of a step, and the gradients of its mean loss.
    fn gradients(&mut self, places: &[Place]) -> Result<(Sums, Gradients)> {
        let all: usize = places.iter().map(Place::learnt).sum();
        let share = 1.0 / all.max(1) as f32;
        let slope = |_: usize, _: Token| Slope { logprob: -share, entropy: 0.0 };
        let mut gradients = Gradients::new();
        let mut sums = Sums::default();
        let split = parts(places, self.data.shared, self.config.micro_batch_tokens);
        for (number, part) in split.into_iter().enumerate() {
            let (texts, targets) = self.texts(part)?;
            let draw =
                Seed(self.config.seed).stream("dropout", self.state.step << 20 | number as u64).next_u64();
            let found = self.model.loss(&texts, &targets, 1.0, Seed(draw), slope, &mut gradients)?;
            sums.add(Sums::of(&found));
            self.state.num_tokens += part.iter().map(|place| place.length() as u64).sum::<u64>();
        }
        Ok((sums, gradients))
    }

    /// Examples one behind the other, with what all begin with in front of them if there are several, and what is learnt.
    fn texts(&self, places: &[Place]) -> Result<(Texts, Vec<Target>)> {
        let shared = if places.len() > 1 { self.data.shared } else { 0 };
        let mut targets = Vec::new();
        let mut all = Vec::with_capacity(places.len());
        let mut begin = Vec::new();
        // The row of the next token.
        let mut row = shared;
        for place in places {
            let mut example = self.data.example(*place)?;
            let own = example.tokens.split_off(shared);
            for (at, token) in own.iter().enumerate().skip(example.prompt - shared) {
                // What comes first behind what all share is asked of its last row.
                let before = if at == 0 { shared } else { row + at };
                targets.push(Target { row: before - 1, token: *token });
            }
            row += own.len();
            begin = example.tokens;
            all.push(own);
        }
        let texts = all.iter().map(Vec::as_slice);
        let texts = if shared > 0 { Texts::pack_behind(&begin, texts) } else { Texts::pack(texts) };
        Ok((texts, targets))
    }

    /// Evaluates, and returns the loss.
    fn evaluate(&mut self, per_epoch: u64, watch: &mut (dyn FnMut(Event<'_>) + Send)) -> Result<f64> {
        let begin = Instant::now();
        let mut sums = Sums::default();
        let places = self.data.validation.clone();
        let mut done = 0;
        for part in parts(&places, self.data.shared, self.config.micro_batch_tokens) {
            let (texts, targets) = self.texts(part)?;
            sums.add(Sums::of(&self.model.log_probabilities(&texts, &targets, 1.0)?));
            done += part.len();
            watch(Event::Evaluating(done, places.len()));
        }
        let mut entry = self.entry(per_epoch);
        entry.values.extend(sums.values("eval_"));
        let seconds = begin.elapsed().as_secs_f64();
        entry.values.insert("eval_runtime".into(), seconds);
        entry.values.insert("eval_samples_per_second".into(), places.len() as f64 / seconds.max(1e-9));
        entry.values.retain(|_, value| value.is_finite());
        self.log.add(&entry)?;
        watch(Event::Metrics(&entry));
        let loss = sums.loss / sums.tokens.max(1) as f64;
        if loss.is_finite() && self.state.best.is_none_or(|(best, _)| loss < best) {
            self.state.best = Some((loss, self.state.step));
            self.state.since_best = 0;
        } else {
            self.state.since_best += 1;
            let patience = self.config.early_stopping_patience;
            self.state.stopped = patience > 0 && self.state.since_best >= patience;
        }
        Ok(loss)
    }

    /// Writes a checkpoint, then removes those that are too many.
    fn save(&mut self) -> Result<()> {
        self.log.sync()?;
        self.state.metrics = self.log.bytes();
        let folder = &self.config.output_dir;
        checkpoint::save(folder, &self.model, &self.optimizer, &self.state, &self.config.model)?;
        let best = self.state.best.map(|(_, step)| step);
        let others: Vec<u64> =
            checkpoint::all(folder)?.into_iter().filter(|step| Some(*step) != best).collect();
        let keep = self.config.save_total_limit.max(1);
        for step in &others[..others.len().saturating_sub(keep)] {
            files::remove(&checkpoint::folder(folder, *step))?;
        }
        Ok(())
    }

    /// Writes what the run was for.
    fn finish(mut self) -> Result<Outcome> {
        let folder = self.config.output_dir.clone();
        let wanted = self.state.best.filter(|_| self.config.load_best_model_at_end).map(|(_, step)| step);
        match wanted {
            Some(step) if step != self.state.step => checkpoint::load_model(&folder, step, &mut self.model)?,
            Some(_) => {}
            None if self.is_sound()? => {}
            None => return Err(self.diverged()),
        }
        let shape = &self.model.weights().shape;
        let files = match self.model.adapter()? {
            Some(adapter) => {
                let mut files = vec![folder.join(checkpoint::ADAPTER)];
                // llama.cpp knows none with lengths of rows.
                if !adapter.config.use_dora {
                    files.push(folder.join("adapter.gguf"));
                }
                for file in &files {
                    adapter.save(file, shape, &self.config.model)?;
                }
                files
            }
            None => {
                let file = folder.join("model.gguf");
                let (grammar, prompt) = (self.config.grammar.as_str(), self.config.prompt.name());
                let facts = match self.config.task {
                    Task::Gsrm => vec![(GSRM_GRAMMAR, grammar), (GSRM_PROMPT, prompt)],
                    Task::Student => Vec::new(),
                };
                super::adapter::merge::write_model(self.base, &file, &self.model, &facts)?;
                vec![file]
            }
        };
        Ok(Outcome {
            steps: self.state.step,
            stopped_early: self.state.stopped && self.state.step < self.steps,
            best: self.state.best,
            skipped: self.state.skipped,
            bad: self.data.bad.0,
            files,
        })
    }
}

/// Cuts examples into parts of at most so many tokens, in their order; what all begin with counts once.
fn parts(places: &[Place], shared: usize, tokens: usize) -> Vec<&[Place]> {
    let mut parts = Vec::new();
    let (mut from, mut sum) = (0, shared);
    for (at, place) in places.iter().enumerate() {
        let own = place.length() - shared;
        if at > from && sum + own > tokens {
            parts.push(&places[from..at]);
            (from, sum) = (at, shared);
        }
        sum += own;
    }
    if from < places.len() {
        parts.push(&places[from..]);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every example once and in order, no part above its bound but for an example that is longer, and none smaller than it
    /// has to be.
    #[test]
    fn examples_are_cut_into_parts() {
        let places: Vec<Place> =
            (0..200_u64).map(|at| Place::of(10, 11 + ((at * at * 7) % 40) as usize)).collect();
        for (shared, tokens) in [(0, 64), (10, 64), (0, 1), (10, 1), (10, 10_000), (8, 49)] {
            let parts = parts(&places, shared, tokens);
            assert_eq!(parts.concat(), places);
            let sum = |part: &[Place]| shared + part.iter().map(|one| one.length() - shared).sum::<usize>();
            for (at, part) in parts.iter().enumerate() {
                assert!(part.len() == 1 || sum(part) <= tokens, "{shared} {tokens}");
                if let Some(next) = parts.get(at + 1) {
                    assert!(sum(part) + next[0].length() - shared > tokens, "{shared} {tokens}");
                }
            }
        }
        assert!(parts(&[], 3, 10).is_empty());
    }
}
