//! The RLKD loop: the student writes, the engine scores what it wrote against its teachers, the trainer learns from it.
//!
//! A run is a folder. Each round samples completions with the adapter as it is (llama.cpp), scores them, and takes one or more
//! optimiser steps (candle). The phases take turns, since each of them wants the whole machine. Checkpoints are written between rounds
//! only, so none has rollouts that are still to be used; every draw depends on the seed and on numbers that the checkpoint holds, so a run
//! that was killed ends with the same bits on a processor.

pub mod config;
pub(crate) mod data;
mod guard;
mod logs;
mod round;
pub(crate) mod sampler;
mod teachers;
mod update;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};

pub use config::{Correction, DeadGroups, RewardConfig, RlkdConfig};
use data::{Task, Tasks, Wanted};
use guard::{Level, Looked};
use logs::Logs;
pub use logs::{COMPLETIONS, WATCHED};
use round::{Group, Rewards, Round, Seconds, Writer, is_dead, summary};
pub use sampler::LEAST_PROMPTS;
use sampler::Sampler;
use teachers::Teachers;
use update::Updater;

use crate::error::{Error, Place, Result};
use crate::files;
use crate::judge::is_quick;
use crate::llama::settings::Settings;
use crate::metrics::{Entry, Log, peak_memory};
use crate::score::Scorer;
use crate::seed::Seed;
use crate::tokens::Tokenizer;
use crate::train::adapter::peft;
use crate::train::checkpoint;
use crate::train::model::{Model, Target, Texts, Trained, Weights};
use crate::train::optim::AdamW;
use crate::train::setup::{Adapters, Setup, lock, resume, same_run};

/// Results of a run.
const RESULTS: [&str; 2] = [checkpoint::ADAPTER, "adapter.gguf"];

/// What a run tells while it goes on.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// Everything is read and loaded; the run goes on behind this step.
    Ready(&'a Ready),
    /// Problems of a round whose completions are written, and all of them.
    Writing(usize, usize),
    /// Problems of an evaluation that are done, and all of them.
    Evaluating(usize, usize),
    /// A step was taken: steps that are done, and all.
    Step(u64, u64),
    /// A line of the metrics.
    Metrics(&'a Entry),
    /// A checkpoint was written.
    Saved(&'a Path),
    /// Something that a person should know.
    Note(&'a str),
}

/// What a run begins with.
#[derive(Clone, Debug, Default)]
pub struct Ready {
    /// Problems to learn from, and to evaluate on.
    pub tasks: [usize; 2],
    /// Records that cannot be used, with the first reasons.
    pub bad: (u64, Vec<String>),
    /// Problems whose prompts leave no room.
    pub too_long: u64,
    /// Numbers that are trained, and all of them.
    pub parameters: [usize; 2],
    /// Steps of the whole run, and those that an earlier one took.
    pub steps: [u64; 2],
    /// Sequences that are sampled at once.
    pub parallel: u32,
}

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Steps that were taken.
    pub steps: u64,
    /// Evaluations, in their order: step and values.
    pub evaluations: Vec<(u64, BTreeMap<String, f64>)>,
    /// Records that could not be used.
    pub bad: u64,
    /// The adapter for `peft`, and the one for llama.cpp.
    pub files: Vec<PathBuf>,
}

/// Sums of values, for their means.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Means(BTreeMap<String, (f64, u64)>);

impl Means {
    fn add(&mut self, values: impl IntoIterator<Item = (String, f64)>) {
        for (name, value) in values {
            let (sum, count) = self.0.entry(name).or_default();
            *sum += value;
            *count += 1;
        }
    }

    fn take(&mut self) -> BTreeMap<String, f64> {
        std::mem::take(&mut self.0)
            .into_iter()
            .map(|(name, (sum, count))| (name, sum / count.max(1) as f64))
            .collect()
    }
}

/// Everything of a run but tensors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct State {
    /// Optimiser steps that were taken, or passed over.
    step: u64,
    /// Of those, the steps that the optimiser took.
    taken: u64,
    /// Problems that were drawn so far: the place in the data, and the number of the next draw.
    cursor: u64,
    /// Tokens that were written.
    num_tokens: u64,
    /// Steps passed over since the last that was taken, as gradients were no numbers.
    skipped_in_a_row: u64,
    /// Rounds in a row in which no group taught anything.
    dead_in_a_row: u64,
    /// How high rewards are, and were.
    level: Level,
    /// Sequences that are sampled at once. llama.cpp's sums depend on it in the last bits, so it stays what it was at first.
    parallel: u32,
    /// Lanes that they are split into; 0 in checkpoints from before there were lanes, which had one.
    lanes: u32,
    /// Seconds of the run so far.
    seconds: f64,
    /// Evaluations so far.
    looked: Vec<Looked>,
    /// What the next line of the metrics has summed up so far.
    since: Means,
    /// Bytes of the metrics.
    metrics: u64,
    /// Bytes of the log of completions.
    completions: u64,
    /// Bytes of what was written of the watched problem.
    watched: u64,
    /// A hash of the model file and of the adapters that lie beneath.
    model: String,
    /// A hash of the problems.
    data: String,
    /// What shapes the numbers.
    config: String,
}

impl checkpoint::State for State {
    fn step(&self) -> u64 {
        self.step
    }
}

/// Runs, or goes on with, what `config` describes. `model` is the file that `config.model` means, and `tokenizer` is of that file.
///
/// When `stop` is set, it ends behind the round that is under way, with a checkpoint.
///
/// # Errors
/// The configuration makes no sense, a file cannot be read or written, a checkpoint is of another run, the model cannot be run, or there
/// is a reason to stop: gradients that are no numbers, no group that teaches anything, a sampler that is not the trainer's model any more,
/// rewards that collapse, or rise while what they stand for falls.
pub fn run(
    config: &RlkdConfig,
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
    config: &'a RlkdConfig,
    model: Model,
    optimizer: AdamW,
    sampler: Sampler,
    scorer: Scorer,
    rewards: Rewards,
    train: Tasks,
    validation: Tasks,
    state: State,
    log: Log,
    logs: Logs,
    /// The problem of the validation that is looked at in each evaluation, if there is one; chosen at the first.
    watched: Option<Option<usize>>,
    steps: u64,
    begun: Instant,
    /// Held, so that no other process writes into the folder.
    _lock: std::fs::File,
}

impl<'a> Run<'a> {
    fn start(
        config: &'a RlkdConfig,
        base: &'a Path,
        tokenizer: &dyn Tokenizer,
        watch: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<Self> {
        let setup = Setup {
            trained: Trained::Lora(config.lora.clone()),
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
        may_write(config, base)?;
        let mut weights = Weights::load(base)?;
        let all: usize = weights.names().map(|(_, sizes)| sizes.iter().product::<usize>()).sum();
        let adapters =
            Adapters::load(&config.frozen_adapters, config.adapter.as_ref(), &config.lora, &weights.shape)?;
        adapters.frozen.iter().try_for_each(|adapter| weights.put(adapter))?;
        let mut settings = config.reward.settings();
        // Whether the answer is right is told in any case.
        settings.mix.weights.entry("accuracy".into()).or_insert(0.0);
        let aligns = settings.mix.weights.contains_key("structure");
        let counts = |name: &str| config.reward.weights.get(name).is_some_and(|weight| *weight != 0.0);
        let others = config
            .reward
            .weights
            .iter()
            .any(|(name, weight)| *weight != 0.0 && name != "accuracy" && name != "structure")
            || config.reward.soft_punish_cache > 0;
        let context = match config.engine.context {
            0 => weights.shape.context,
            own => own as usize,
        };
        let room = context.saturating_sub(config.max_completion_length);
        let wanted = |most: usize| Wanted {
            system: &config.system,
            most,
            most_tokens: room,
            answer: counts("accuracy") || others,
            teacher: counts("structure") || others,
        };
        let train = Tasks::read(&config.train, tokenizer, &wanted(config.max_train_samples))?;
        let validation = match config.validation.is_empty() {
            true => Tasks::default(),
            false => {
                let wanted = Wanted { answer: true, teacher: true, ..wanted(config.max_eval_samples) };
                Tasks::read(&config.validation, tokenizer, &wanted)?
            }
        };
        let texts = train.all.iter().chain(&validation.all).flat_map(|task| &task.sample.teachers);
        let decomposer = settings.decomposer()?;
        let decomposer = match aligns {
            true => Box::new(Teachers::new(decomposer, texts.map(|trace| trace.text.as_str()))),
            false => decomposer,
        };
        let scorer = Scorer::with(&settings, decomposer)?;
        let rewards = Rewards::new(&config.reward, &scorer, config.max_completion_length);
        let model = setup.model(weights, &adapters)?;
        let longest =
            train.all.iter().chain(&validation.all).map(|task| task.prompt.len()).max().unwrap_or(0);
        let completions = config.prompts() * config.num_generations;
        let tokens = longest + config.max_completion_length;
        // A damaged checkpoint is refused later, with advice.
        let begun = checkpoint::all(folder)?
            .last()
            .and_then(|step| checkpoint::state::<State>(folder, *step).ok())
            .map_or((0, 0), |state| (state.parallel, state.lanes.max(1)));
        let or = |own: u32, other: u32| if own == 0 { other } else { own };
        let engine = Settings {
            threads: or(config.engine.threads, config.threads as u32),
            parallel: or(config.engine.parallel, begun.0),
            lanes: or(config.engine.lanes, begun.1),
            ..config.engine.clone()
        };
        let sizes = [completions, config.num_generations, tokens];
        let identity = adapters.identity(tokenizer.fingerprint());
        let sampler = Sampler::start(base, &engine, sizes, adapters.frozen, &folder.join(sampler::FILE))?;
        let optimizer = AdamW::new(model.parameters())?;
        Self::resume(
            config,
            (model, optimizer, sampler),
            (scorer, rewards),
            (train, validation),
            (identity, all, lock),
            watch,
        )
    }

    #[allow(clippy::type_complexity)]
    fn resume(
        config: &'a RlkdConfig,
        (mut model, mut optimizer, sampler): (Model, AdamW, Sampler),
        (scorer, rewards): (Scorer, Rewards),
        (train, validation): (Tasks, Tasks),
        (identity, all, lock): (String, usize, std::fs::File),
        watch: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<Self> {
        let folder = &config.output_dir;
        let own = State {
            model: identity,
            data: train.fingerprint.clone(),
            config: config.identity(),
            ..State::default()
        };
        let is_of = |state: &State, other: &dyn Fn(&str) -> Error| {
            // Keys that came since then have their defaults.
            let then = serde_json::from_str::<RlkdConfig>(&state.config).map(|config| config.identity());
            let then = then.unwrap_or_else(|_| state.config.clone());
            same_run([&state.model, &own.model], [&state.data, &own.data], [&then, &own.config], other)
        };
        let found = resume(folder, &mut model, &mut optimizer, is_of, |state: &State| state.taken)?;
        let mut state = found.unwrap_or(own);
        let sampled = &sampler.model().resolved().settings;
        (state.parallel, state.lanes) = (sampled.parallel, sampled.lanes);
        let log = Log::open(folder, state.metrics, state.step)?;
        let logs = Logs::open(folder, [state.completions, state.watched])?;
        let rounds = (config.num_train_epochs * train.all.len() as f64 / config.prompts() as f64)
            .ceil()
            .max(1.0) as u64;
        let of_a_round = (config.steps_of_a_round() * config.num_iterations) as u64;
        let steps = match config.max_steps {
            0 => rounds * of_a_round,
            steps => steps,
        };
        let ready = Ready {
            tasks: [train.all.len(), validation.all.len()],
            bad: (
                train.bad.0 + validation.bad.0,
                train.bad.1.iter().chain(&validation.bad.1).cloned().collect(),
            ),
            too_long: train.too_long + validation.too_long,
            parameters: [model.parameters().iter().map(|one| one.value.elem_count()).sum(), all],
            steps: [steps, state.step],
            parallel: state.parallel,
        };
        watch(Event::Ready(&ready));
        Ok(Run {
            config,
            model,
            optimizer,
            sampler,
            scorer,
            rewards,
            train,
            validation,
            state,
            log,
            logs,
            watched: None,
            steps,
            begun: Instant::now(),
            _lock: lock,
        })
    }

    fn work(mut self, stop: &AtomicBool, watch: &mut (dyn FnMut(Event<'_>) + Send)) -> Result<Outcome> {
        let before = self.state.seconds;
        let mut saved = Instant::now();
        if self.config.eval_on_start && self.state.step == 0 && self.state.looked.is_empty() {
            self.take_adapter()?;
            self.evaluate(watch)?;
        }
        let minutes = |minutes: u64| minutes.saturating_mul(60) as f64;
        let mut ended = self.state.step >= self.steps || self.is_late(before);
        while !ended {
            let from = self.state.step;
            self.round(watch)?;
            self.state.seconds = before + self.begun.elapsed().as_secs_f64();
            ended = self.state.step >= self.steps || self.is_late(before);
            let passed = |every: u64| every > 0 && self.state.step / every > from / every;
            let evaluates = (passed(self.config.eval_steps) || ended) && !self.validation.all.is_empty();
            let stopped = stop.load(Ordering::Relaxed) && !ended;
            let late = self.config.save_minutes > 0
                && saved.elapsed().as_secs_f64() >= minutes(self.config.save_minutes);
            let asked = if self.config.save_steps > 0 { passed(self.config.save_steps) } else { evaluates };
            let mut hacked = None;
            if evaluates {
                self.take_adapter()?;
                hacked = self.evaluate(watch)?;
            }
            if asked || ended || stopped || late || hacked.is_some() {
                saved = Instant::now();
                self.save()?;
                watch(Event::Saved(&checkpoint::folder(&self.config.output_dir, self.state.step)));
            }
            if let Some(why) = hacked {
                return Err(Error::engine(why));
            }
            if stopped {
                return Err(Error::engine(format!(
                    "stopped behind step {} of {}: the same command goes on from there",
                    self.state.step, self.steps
                )));
            }
        }
        self.finish()
    }

    fn is_late(&self, before: f64) -> bool {
        let most = self.config.max_minutes.saturating_mul(60) as f64;
        most > 0.0 && before + self.begun.elapsed().as_secs_f64() >= most
    }

    /// Gives the sampler the adapter as it is.
    fn take_adapter(&mut self) -> Result<()> {
        self.sampler.take(self.model.adapter()?.as_ref())
    }

    /// The next problems, and the numbers of what is drawn for them. Each pass has an order of its own.
    fn draw(&mut self, count: usize) -> Vec<(usize, u64)> {
        let all = self.train.all.len() as u64;
        let mut order: (u64, Vec<u32>) = (u64::MAX, Vec::new());
        let mut drawn = Vec::with_capacity(count);
        for _ in 0..count {
            let (pass, at) = (self.state.cursor / all, self.state.cursor % all);
            if order.0 != pass {
                let mut own: Vec<u32> = (0..all as u32).collect();
                Seed(self.config.seed).stream("order", pass).shuffle(&mut own);
                order = (pass, own);
            }
            drawn.push((order.1[at as usize] as usize, self.state.cursor));
            self.state.cursor += 1;
        }
        drawn
    }

    /// Samples a round, scores it, and learns from it.
    fn round(&mut self, watch: &mut (dyn FnMut(Event<'_>) + Send)) -> Result<()> {
        let config = self.config;
        let begin = Instant::now();
        let mut seconds = Seconds::default();
        self.take_adapter()?;
        let done = self.state.step as f64 / self.steps.max(1) as f64;
        let sampling = config.sampling(done.min(1.0));
        let wanted = config.prompts();
        let (mut live, mut spare): (Vec<Group>, Vec<Group>) = (Vec::new(), Vec::new());
        let (mut dead, mut drawn, mut written) = (0, 0, 0_u64);
        for attempt in 0..=config.max_resample_rounds {
            if attempt > 0 && (config.dead_groups != DeadGroups::Resample || live.len() >= wanted) {
                break;
            }
            let (places, numbers): (Vec<usize>, Vec<u64>) =
                self.draw(wanted - live.len()).into_iter().unzip();
            let tasks: Vec<(usize, &Task)> = places.iter().map(|at| (*at, &self.train.all[*at])).collect();
            let mut writer = Writer {
                sampler: &self.sampler,
                scorer: &mut self.scorer,
                rewards: &self.rewards,
                max_tokens: config.max_completion_length,
                varied: is_quick(&config.reward.judge),
            };
            let groups = writer.groups(
                &tasks,
                config.num_generations,
                &sampling,
                (Seed(config.seed), &numbers),
                &mut seconds,
                |at| watch(Event::Writing(at, tasks.len())),
            );
            let groups = match groups {
                // Nothing can be drawn from logits that are no numbers.
                Err(_) if !self.is_sound()? => return Err(self.diverged()),
                other => other?,
            };
            drawn += groups.len();
            for group in groups {
                written += group.completions.iter().map(|one| one.tokens.len() as u64).sum::<u64>();
                if is_dead(&group, &self.rewards.weights, &config.grpo)? {
                    dead += 1;
                    if config.dead_groups == DeadGroups::Resample {
                        spare.push(group)
                    } else {
                        live.push(group)
                    }
                } else {
                    live.push(group);
                }
            }
        }
        live.extend(spare.into_iter().take(wanted.saturating_sub(live.len())));
        let mut round = Round::new(live, &self.rewards, config, sampling.temperature, [dead, drawn])?;
        self.state.num_tokens += written;
        self.state.dead_in_a_row = if dead == drawn { self.state.dead_in_a_row + 1 } else { 0 };
        if self.state.dead_in_a_row > config.max_dead_steps {
            return Err(guard::nothing_to_learn(self.state.dead_in_a_row, &round.advantages.rewards));
        }
        self.log_completions(&round)?;
        let update = Instant::now();
        let mut values = round.values(&self.rewards);
        // Where dead groups are drawn anew, what is left says nothing of how good the student is.
        if config.dead_groups != DeadGroups::Resample {
            self.state.level.add(self.state.step, &values, config.max_reward_drop)?;
        }
        let places: Vec<usize> = round.groups.iter().map(|group| group.task).collect();
        let prompts = || places.iter().map(|at| self.train.all[*at].prompt.as_slice()).collect();
        let mut apart = Updater { config, model: &mut self.model, prompts: prompts() }.prepare(&mut round)?;
        let rollout_rate = written as f64 / seconds.rollout.max(1e-9);
        let of_a_round = config.steps_of_a_round() * config.num_iterations;
        for number in 0..of_a_round {
            if self.state.step >= self.steps {
                break;
            }
            let own = number % config.steps_of_a_round();
            let lr = config.optim.learning_rate_at(self.state.step, self.steps);
            let prompts = places.iter().map(|at| self.train.all[*at].prompt.as_slice()).collect();
            let (found, gradients) =
                Updater { config, model: &mut self.model, prompts }.gradients(&round, own)?;
            if apart.tokens == 0 {
                apart = found.apart;
            }
            guard::same_model(&apart, config.max_sampling_difference)?;
            self.state.step += 1;
            let mut grad_norm = 0.0;
            // Without anything to learn from, nothing changes.
            if found.micro_steps > 0 {
                let stepped =
                    self.optimizer.step(self.model.parameters_mut(), &gradients, &config.optim, lr)?;
                grad_norm = f64::from(stepped.grad_norm);
                if stepped.taken {
                    self.state.taken += 1;
                    self.state.skipped_in_a_row = 0;
                } else {
                    self.state.skipped_in_a_row += 1;
                    if self.state.skipped_in_a_row > config.max_skipped_steps {
                        return Err(self.diverged());
                    }
                }
            }
            drop(gradients);
            let micro = found.micro_steps.max(1) as f64;
            let own = [
                ("loss", found.loss),
                ("entropy", found.entropy / micro),
                ("clip_ratio/low_mean", found.low / micro),
                ("clip_ratio/high_mean", found.high / micro),
                ("clip_ratio/region_mean", (found.low + found.high) / micro),
                ("grad_norm", grad_norm),
                ("learning_rate", f64::from(lr)),
            ];
            let kl = (config.grpo.beta != 0.0).then(|| ("kl", found.kl / micro));
            values.extend(own.into_iter().chain(kl).map(|(name, value)| (name.to_owned(), value)));
            if apart.tokens > 0 {
                let count = apart.tokens as f64;
                let [sum, least, most] = apart.ratios;
                for (name, value) in [
                    ("sampling/sampling_logp_difference/mean", apart.sum / count),
                    ("sampling/sampling_logp_difference/max", apart.most),
                    ("sampling/importance_sampling_ratio/mean", sum / count),
                    ("sampling/importance_sampling_ratio/min", least),
                    ("sampling/importance_sampling_ratio/max", most),
                ] {
                    values.insert(name.into(), value);
                }
            }
            if number + 1 == of_a_round || self.state.step == self.steps {
                let all = begin.elapsed().as_secs_f64();
                let updating = update.elapsed().as_secs_f64();
                for (name, value) in [
                    ("step_time", all / of_a_round as f64),
                    ("time/rollout", seconds.rollout),
                    ("time/score", seconds.score),
                    ("time/update", updating),
                    ("tokens_per_second/rollout", rollout_rate),
                    (
                        "tokens_per_second/update",
                        round.tokens() as f64 * config.num_iterations as f64 / updating.max(1e-9),
                    ),
                    ("temperature", f64::from(sampling.temperature)),
                ] {
                    values.insert(name.into(), value);
                }
                if let Some(peak) = peak_memory() {
                    values.insert("memory/peak_gb".into(), peak);
                }
            }
            // JSON has no such numbers.
            values.retain(|_, value| value.is_finite());
            self.state.since.add(std::mem::take(&mut values));
            watch(Event::Step(self.state.step, self.steps));
            if self.state.step.is_multiple_of(config.logging_steps) || self.state.step == self.steps {
                let mut entry = self.entry();
                entry.values = self.state.since.take();
                entry.values.insert("num_tokens".into(), self.state.num_tokens as f64);
                self.log.add(&entry)?;
                watch(Event::Metrics(&entry));
            }
        }
        Ok(())
    }

    fn entry(&self) -> Entry {
        let epoch = self.state.cursor as f64 / self.train.all.len() as f64;
        Entry { step: self.state.step, epoch, ..Entry::default() }
    }

    /// Puts the first group of a round into the log, if it is its turn.
    fn log_completions(&mut self, round: &Round) -> Result<()> {
        let every = self.config.log_completions_steps;
        let of_a_round = (self.config.steps_of_a_round() * self.config.num_iterations) as u64;
        if every == 0
            || self.state.step > 0
                && self.state.step / every == self.state.step.saturating_sub(of_a_round) / every
        {
            return Ok(());
        }
        self.logs.add_group(self.state.step, round)
    }

    /// Evaluates. What is to be said if the run has to end for it.
    fn evaluate(&mut self, watch: &mut (dyn FnMut(Event<'_>) + Send)) -> Result<Option<String>> {
        if self.validation.all.is_empty() {
            return Ok(None);
        }
        let begin = Instant::now();
        let tasks: Vec<(usize, &Task)> = self.validation.all.iter().enumerate().collect();
        // Draws of their own, the same at every evaluation.
        let numbers: Vec<u64> = (0..tasks.len() as u64).map(|at| (1 << 40) + at).collect();
        let mut writer = Writer {
            sampler: &self.sampler,
            scorer: &mut self.scorer,
            rewards: &self.rewards,
            max_tokens: self.config.max_completion_length,
            varied: true,
        };
        let groups = writer.groups(
            &tasks,
            self.config.num_generations_eval,
            &self.config.eval_sampling(),
            (Seed(self.config.seed), &numbers),
            &mut Seconds::default(),
            |at| watch(Event::Evaluating(at, tasks.len())),
        )?;
        let watched = match self.watched {
            Some(chosen) => chosen,
            None => logs::to_watch(&self.validation.all, &mut self.scorer)?,
        };
        self.watched = Some(watched);
        if let Some(watched) = watched {
            let sizes = (self.config.num_generations, self.config.max_completion_length);
            let draws = (&self.config.eval_sampling(), Seed(self.config.seed));
            let model = (&self.sampler, &mut self.scorer);
            self.logs.add_watched(self.state.step, &self.validation.all[watched], model, sizes, draws)?;
        }
        let mut entry = self.entry();
        let values = summary(&groups, &self.rewards);
        entry.values = values.into_iter().map(|(name, value)| (format!("eval_{name}"), value)).collect();
        entry.values.insert("eval_runtime".into(), begin.elapsed().as_secs_f64());
        self.log.add(&entry)?;
        watch(Event::Metrics(&entry));
        let mut looked = Looked::new(self.state.step, &groups, &self.rewards);
        let warning = looked.hacked(&self.state.looked);
        looked.hacked = warning.is_some();
        self.state.looked.push(looked);
        let Some(warning) = warning else { return Ok(None) };
        watch(Event::Note(&warning));
        let most = self.config.max_hacked_evals as usize;
        let row = self.state.looked.iter().rev().take_while(|one| one.hacked).count();
        Ok((most > 0 && row >= most).then(|| {
            format!("{warning} That is so for {row} evaluations in a row (max_hacked_evals = {most}), so the run ends here; its last checkpoint is kept")
        }))
    }

    fn diverged(&self) -> Error {
        let any = checkpoint::all(&self.config.output_dir).is_ok_and(|all| !all.is_empty());
        let then = if any { "goes on from the last checkpoint" } else { "begins again" };
        Error::engine(format!(
            "gradients or logits are no numbers (NaN or infinity), the last behind step {}, and no adapter is written: lower learning_rate and give \
             the same command, which {then}",
            self.state.step
        ))
    }

    /// Whether the weights still say something: that the log-probabilities of a prompt are numbers.
    fn is_sound(&mut self) -> Result<bool> {
        let prompt = &self.train.all[0].prompt;
        let texts = Texts::pack([prompt.as_slice()]);
        let targets: Vec<Target> =
            prompt.iter().skip(1).enumerate().map(|(row, token)| Target { row, token: *token }).collect();
        let found = self.model.log_probabilities(&texts, &targets, 1.0)?;
        Ok(found.iter().all(|token| token.logprob.is_finite()))
    }

    /// Writes a checkpoint, then removes those that are too many. Of weights that are spoilt none is written: it would push out those that
    /// are not.
    fn save(&mut self) -> Result<()> {
        if !self.is_sound()? {
            return Err(self.diverged());
        }
        self.log.sync()?;
        self.state.metrics = self.log.bytes();
        [self.state.completions, self.state.watched] = self.logs.sync()?;
        let folder = &self.config.output_dir;
        checkpoint::save(folder, &self.model, &self.optimizer, &self.state, &self.config.model)?;
        let all = checkpoint::all(folder)?;
        let keep = self.config.save_total_limit.max(1);
        for step in &all[..all.len().saturating_sub(keep)] {
            files::remove(&checkpoint::folder(folder, *step))?;
        }
        Ok(())
    }

    /// Writes what the run was for.
    fn finish(mut self) -> Result<Outcome> {
        if !self.is_sound()? {
            return Err(self.diverged());
        }
        let folder = &self.config.output_dir;
        let adapter = self.model.adapter()?.ok_or_else(|| Error::engine("the run has no adapter"))?;
        let files: Vec<PathBuf> = RESULTS.iter().map(|name| folder.join(name)).collect();
        for file in &files {
            adapter.save(file, &self.model.weights().shape, &self.config.model)?;
        }
        Ok(Outcome {
            steps: self.state.step,
            evaluations: self.state.looked.iter().map(|one| (one.step, one.values())).collect(),
            bad: self.train.bad.0 + self.validation.bad.0,
            files,
        })
    }
}

/// Whether a run may write its results into its folder.
fn may_write(config: &RlkdConfig, base: &Path) -> Result<()> {
    let folder = &config.output_dir;
    let adapters = config.adapter.iter().chain(&config.frozen_adapters).map(PathBuf::as_path);
    let given: Vec<&Path> = std::iter::once(base).chain(adapters).collect();
    for name in RESULTS {
        let own = folder.join(name);
        if given.iter().any(|path| files::same(path, &own)) {
            return Err(Error::config(format!(
                "the run begins with a file that it would overwrite in the end, {name}: take another output_dir"
            ))
            .at(Place::file(folder)));
        }
    }
    files::may_replace(&folder.join(checkpoint::ADAPTER), &peft::FILES)?;
    if let Some(name) = RESULTS.iter().find(|name| folder.join(name).exists())
        && checkpoint::all(folder)?.is_empty()
    {
        return Err(Error::config(format!(
            "{name} is here and no checkpoint, so the run would begin again and replace it: take another output_dir, or remove it"
        ))
        .at(Place::file(folder.join(name))));
    }
    Ok(())
}
