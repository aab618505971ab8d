//! The run file of `rlkd train`. Names and defaults are those of TRL's `GRPOConfig` (1.16) where it has them; what differs, and
//! why, stands beside it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::align::{Mode, Options};
use crate::error::{Error, Result};
use crate::llama;
use crate::llama::sample::Sampling;
use crate::reward::mix::MixConfig;
use crate::score::{Detail, Settings};
use crate::train::grpo::GrpoConfig;
use crate::train::lora::LoraConfig;
use crate::train::optim::OptimConfig;

/// More threads than any machine makes use of.
const MOST_THREADS: usize = 256;

/// What is done about completions whose reward the group shares: they teach nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadGroups {
    /// They stay in the batch, with advantages of 0, as in TRL: they still count in what losses are divided by.
    #[default]
    Keep,
    /// Their tokens are left out of the update, and of what `dapo`, `bnpo` and `cispo` divide by; `grpo` and `dr_grpo` divide by
    /// completions, and count them still.
    Skip,
    /// Other prompts are drawn in their place, up to `max_resample_rounds` times (dynamic sampling of DAPO, Yu et al., 2025).
    Resample,
}

/// How the difference between sampler and trainer is corrected. Names as TRL's `vllm_importance_sampling_mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Correction {
    /// Not at all.
    None,
    /// Each token's ratio, at most the cap (truncated importance sampling, Yao et al., 2025). Where nothing else asks for
    /// log-probabilities before the update, it needs no pass of its own. TRL's default is `sequence_mask`.
    #[default]
    TokenTruncate,
    /// Each token's ratio, and 0 above the cap.
    TokenMask,
    /// The ratio of the whole completion, at most the cap.
    SequenceTruncate,
    /// The ratio of the whole completion, and 0 above the cap.
    SequenceMask,
}

/// How completions are scored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RewardConfig {
    /// The rule of the kernel.
    pub structure: Mode,
    /// What an extra student step costs.
    pub extra_cost: f32,
    /// Credit for the right sub-problem with another answer.
    pub half_credit: f32,
    /// Whether the judge's probabilities count instead of its verdicts; see [`Options::soft`].
    pub soft: bool,
    /// Name of a decomposer.
    pub decomposer: String,
    /// Name of a judge.
    pub judge: String,
    /// A file of the judge's parameters, as `rlkd calibrate` writes.
    pub judge_model: Option<PathBuf>,
    /// Weights by reward name. A reward with weight 0 is computed and shown, and counts for nothing.
    pub weights: BTreeMap<String, f64>,
    /// Parameters by reward name.
    pub params: BTreeMap<String, toml::Table>,
    /// Tokens before `max_completion_length` in which a completion loses up to 1, in a line (the soft over-long penalty of DAPO;
    /// TRL's `get_soft_overlong_punishment`); 0: none.
    pub soft_punish_cache: usize,
    /// The language models of the decomposer and the judge, if they run any.
    pub llama: llama::Config,
}

impl Default for RewardConfig {
    /// Accuracy and structure, the same weight each: how an answer is wrapped is learnt before, by `rlkd sft`.
    fn default() -> Self {
        let options = Options::default();
        let weights = [("accuracy", 1.0), ("structure", 1.0)];
        RewardConfig {
            structure: Mode::default(),
            extra_cost: options.extra_cost,
            half_credit: options.half_credit,
            soft: options.soft,
            decomposer: "auto".into(),
            judge: "lexical".into(),
            judge_model: None,
            weights: weights.into_iter().map(|(name, weight)| (name.to_owned(), weight)).collect(),
            params: BTreeMap::new(),
            soft_punish_cache: 0,
            llama: llama::Config::default(),
        }
    }
}

impl RewardConfig {
    /// What scores with it. How rewards become one is the trainer's.
    pub fn settings(&self) -> Settings {
        let reference = self.structure == Mode::Reference && self.decomposer == "auto";
        Settings {
            structure: self.structure,
            options: Options { extra_cost: self.extra_cost, half_credit: self.half_credit, soft: self.soft },
            decomposer: if reference { "reference".into() } else { self.decomposer.clone() },
            judge: self.judge.clone(),
            judge_model: self.judge_model.clone(),
            store: None,
            llama: self.llama.clone(),
            mix: MixConfig {
                weights: self.weights.clone(),
                params: self.params.clone(),
                ..MixConfig::default()
            },
            detail: Detail::Full,
        }
    }
}

/// Every option of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RlkdConfig {
    /// The student: a GGUF file, or what `rlkd models` knows. It is sampled from by llama.cpp and trained by candle.
    pub model: String,
    /// Where everything goes that the run writes.
    pub output_dir: PathBuf,
    /// Problems with teachers' traces and gold answers, as `rlkd score` reads them.
    pub train: Vec<PathBuf>,
    /// Problems to evaluate on; none: no evaluation.
    pub validation: Vec<PathBuf>,
    /// Most problems that are taken from `train`, the first ones; 0: all.
    pub max_train_samples: usize,
    /// Most problems that are taken from `validation`; 0: all.
    pub max_eval_samples: usize,
    /// What the student is told before the problem.
    pub system: String,
    /// An adapter to begin with, instead of a new one.
    pub adapter: Option<PathBuf>,
    /// Adapters that lie beneath the one that is trained, and stay as they are. With `beta`, the model with them is the reference.
    pub frozen_adapters: Vec<PathBuf>,
    /// The adapter. Not with `use_dora`, which llama.cpp cannot run.
    pub lora: LoraConfig,
    /// The optimiser. TRL's learning rate, 1e-6, is for all weights; adapters take tens to hundreds of times that.
    pub optim: OptimConfig,
    /// Advantages and loss.
    pub grpo: GrpoConfig,
    /// How completions are scored.
    pub reward: RewardConfig,
    /// How llama.cpp runs the student.
    pub engine: llama::settings::Settings,

    /// Completions of each prompt.
    pub num_generations: usize,
    /// Completions of each prompt in an evaluation.
    pub num_generations_eval: usize,
    /// Most tokens of a completion.
    pub max_completion_length: usize,
    /// Divides the logits, of the sampler and of the trainer.
    pub temperature: f32,
    /// What it is at the last step, in a line from `temperature`; none: it stays.
    pub temperature_end: Option<f32>,
    /// Keeps the fewest most likely tokens whose probabilities sum to at least that. With less than 1, the sampler's distribution is
    /// what is left, and ratios of trainer and sampler are below 1.
    pub top_p: f32,
    /// What it is at the last step; none: it stays.
    pub top_p_end: Option<f32>,
    /// Keeps the most likely tokens; 0: all.
    pub top_k: u32,
    /// Keeps tokens of at least that share of the most likely one's probability.
    pub min_p: f32,
    /// Of the evaluation; none: as in training.
    pub eval_temperature: Option<f32>,

    /// Completions that go into a micro-step; times `gradient_accumulation_steps`, those of an optimiser step.
    pub per_device_train_batch_size: usize,
    /// Micro-steps of an optimiser step.
    pub gradient_accumulation_steps: usize,
    /// Micro-steps that the completions of one round of sampling last for, a multiple of `gradient_accumulation_steps`; 0: as many
    /// as that, so that each update is on what the model wrote just before.
    pub steps_per_generation: usize,
    /// How often each round of completions is used.
    pub num_iterations: usize,
    /// Leave completions out of the loss that were cut.
    pub mask_truncated_completions: bool,
    /// What is done about groups that teach nothing.
    pub dead_groups: DeadGroups,
    /// How often others are drawn, with `dead_groups = "resample"`.
    pub max_resample_rounds: usize,
    /// How the difference between sampler and trainer is corrected.
    pub importance_sampling: Correction,
    /// The largest correction (TRL's `vllm_importance_sampling_cap`).
    pub importance_sampling_cap: f64,

    /// Passes over the problems.
    pub num_train_epochs: f64,
    /// Optimiser steps of the whole run, whatever `num_train_epochs` says; 0: as many as that says.
    pub max_steps: u64,
    /// Minutes after which the run ends as if it had come to its last step; 0: no limit. A run that is ended so depends on the clock.
    pub max_minutes: u64,
    /// Most tokens that go through the trainer at once, but for a single longer completion with its prompt.
    pub micro_batch_tokens: usize,
    /// Compute layers once more on the way back.
    pub gradient_checkpointing: bool,
    /// Steps between two lines of metrics.
    pub logging_steps: u64,
    /// Steps between two groups that go into the log of completions; 0: none.
    pub log_completions_steps: u64,
    /// Steps between two evaluations; 0: at the end.
    pub eval_steps: u64,
    /// Evaluate before the first step.
    pub eval_on_start: bool,
    /// Steps between two checkpoints; 0: at each evaluation, and as `save_minutes` says.
    pub save_steps: u64,
    /// Minutes after which a checkpoint is written whatever the step; 0: never.
    pub save_minutes: u64,
    /// Checkpoints that are kept.
    pub save_total_limit: usize,

    /// Steps in a row whose gradients were no numbers, after which it ends.
    pub max_skipped_steps: u64,
    /// Mean difference of the log-probabilities of sampler and trainer above which it ends: they are no longer the same model.
    pub max_sampling_difference: f64,
    /// Rounds in a row without any reward that differs within its group, after which it ends: there is nothing to learn from.
    pub max_dead_steps: u64,
    /// Evaluations in a row in which the reward rose and accuracy or true structure fell, after which it ends; 0: it is only told.
    pub max_hacked_evals: u32,
    /// The run ends where the mean reward of ten rounds is so many standard deviations (of the rewards of a round's completions) below the
    /// best such mean, and by more than chance does; 0: never. Not watched with `dead_groups = "resample"`.
    pub max_reward_drop: f64,
    /// Where the trainer computes: `cpu`, `cuda`, `metal` or `auto`.
    pub device: String,
    /// Round numbers to bf16 on their way into the trainer's products.
    pub bf16: bool,
    /// Threads; 0: one for each core.
    pub threads: usize,
    /// The seed of every random draw.
    pub seed: u64,
}

impl Default for RlkdConfig {
    fn default() -> Self {
        RlkdConfig {
            model: String::new(),
            output_dir: PathBuf::new(),
            train: Vec::new(),
            validation: Vec::new(),
            max_train_samples: 0,
            max_eval_samples: 0,
            system: String::new(),
            adapter: None,
            frozen_adapters: Vec::new(),
            lora: LoraConfig::default(),
            optim: OptimConfig::default(),
            grpo: GrpoConfig::default(),
            reward: RewardConfig::default(),
            engine: llama::settings::Settings::default(),
            num_generations: 8,
            num_generations_eval: 1,
            max_completion_length: 256,
            temperature: 1.0,
            temperature_end: None,
            top_p: 1.0,
            top_p_end: None,
            top_k: 0,
            min_p: 0.0,
            eval_temperature: None,
            per_device_train_batch_size: 64,
            gradient_accumulation_steps: 1,
            steps_per_generation: 0,
            num_iterations: 1,
            mask_truncated_completions: false,
            dead_groups: DeadGroups::default(),
            max_resample_rounds: 3,
            importance_sampling: Correction::default(),
            importance_sampling_cap: 3.0,
            num_train_epochs: 1.0,
            max_steps: 0,
            max_minutes: 0,
            micro_batch_tokens: 8192,
            gradient_checkpointing: true,
            logging_steps: 1,
            log_completions_steps: 10,
            eval_steps: 0,
            eval_on_start: true,
            save_steps: 0,
            save_minutes: 10,
            save_total_limit: 2,
            max_skipped_steps: 10,
            max_sampling_difference: 0.5,
            max_dead_steps: 50,
            max_hacked_evals: 0,
            max_reward_drop: 0.5,
            device: "auto".into(),
            bf16: false,
            threads: 0,
            seed: 0,
        }
    }
}

impl RlkdConfig {
    /// Whether the values make sense.
    ///
    /// # Errors
    /// Kind `Config`, naming the key.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::config(what));
        if self.model.is_empty() {
            return wrong("model is missing: the GGUF file of the student".into());
        }
        if self.output_dir.as_os_str().is_empty() {
            return wrong(
                "output_dir is missing: the folder for checkpoints, metrics and the adapter".into(),
            );
        }
        if self.train.is_empty() {
            return wrong("train is missing: the files of problems".into());
        }
        for (name, value, least, most) in [
            ("num_generations", self.num_generations, 2, 1 << 12),
            ("num_generations_eval", self.num_generations_eval, 1, 1 << 12),
            ("max_completion_length", self.max_completion_length, 1, 1 << 24),
            ("per_device_train_batch_size", self.per_device_train_batch_size, 1, 1 << 20),
            ("gradient_accumulation_steps", self.gradient_accumulation_steps, 1, 1 << 20),
            ("num_iterations", self.num_iterations, 1, 1 << 20),
            ("micro_batch_tokens", self.micro_batch_tokens, 1, 1 << 24),
            ("max_resample_rounds", self.max_resample_rounds, 0, 1 << 10),
            ("threads", self.threads, 0, MOST_THREADS),
            ("logging_steps", usize::try_from(self.logging_steps).unwrap_or(usize::MAX), 1, 1 << 40),
        ] {
            if value < least || value > most {
                return wrong(format!("{name} = {value}: from {least} to {most}"));
            }
        }
        if self.reward.weights.values().all(|weight| *weight == 0.0) && self.reward.soft_punish_cache == 0 {
            return wrong("reward.weights: all are 0, so that nothing can be learnt".into());
        }
        if !self.per_device_train_batch_size.is_multiple_of(self.num_generations) {
            return wrong(format!(
                "per_device_train_batch_size = {} is no multiple of num_generations = {}: groups stay whole",
                self.per_device_train_batch_size, self.num_generations
            ));
        }
        if !self.steps_per_generation.is_multiple_of(self.gradient_accumulation_steps) {
            return wrong(format!(
                "steps_per_generation = {} is no multiple of gradient_accumulation_steps = {}",
                self.steps_per_generation, self.gradient_accumulation_steps
            ));
        }
        if self.reward.soft_punish_cache > self.max_completion_length {
            return wrong(format!(
                "reward.soft_punish_cache = {} is above max_completion_length = {}",
                self.reward.soft_punish_cache, self.max_completion_length
            ));
        }
        if !self.num_train_epochs.is_finite() || self.num_train_epochs <= 0.0 {
            return wrong(format!("num_train_epochs = {}: above 0", self.num_train_epochs));
        }
        if !self.importance_sampling_cap.is_finite() || self.importance_sampling_cap < 1.0 {
            return wrong(format!("importance_sampling_cap = {}: from 1 on", self.importance_sampling_cap));
        }
        if !self.max_reward_drop.is_finite() || self.max_reward_drop < 0.0 {
            return wrong(format!("max_reward_drop = {}: 0 or more", self.max_reward_drop));
        }
        if !self.max_sampling_difference.is_finite() || self.max_sampling_difference <= 0.0 {
            return wrong(format!("max_sampling_difference = {}: above 0", self.max_sampling_difference));
        }
        if self.lora.use_dora || self.lora.lora_dropout > 0.0 {
            return wrong(
                "use_dora and lora_dropout: llama.cpp runs no adapter with use_dora, and what is sampled without dropout is not \
                 what a model with dropout would write; leave them out"
                    .into(),
            );
        }
        let cut = self.top_p < 1.0
            || self.top_p_end.is_some_and(|top_p| top_p < 1.0)
            || self.top_k > 0
            || self.min_p > 0.0;
        let whole =
            [Correction::SequenceTruncate, Correction::SequenceMask].contains(&self.importance_sampling);
        if cut && whole {
            return wrong(
                "importance_sampling of whole sequences with top_p, top_k or min_p: the probabilities that these cut off multiply up over a \
                 completion, and nothing would be learnt; take token_truncate"
                    .into(),
            );
        }
        if self.adapter.is_some() && self.grpo.beta != 0.0 {
            return wrong(
                "beta and adapter: the reference would be the model without the adapter; take frozen_adapters, and the reference is the model \
                 with it"
                    .into(),
            );
        }
        let temperatures = [Some(self.temperature), self.temperature_end];
        if temperatures.into_iter().flatten().any(|temperature| temperature <= 0.0) {
            return wrong(
                "temperature and temperature_end: above 0, or all completions of a prompt are the same"
                    .into(),
            );
        }
        for at in [0.0, 1.0] {
            self.sampling(at).check()?;
        }
        self.eval_sampling().check()?;
        for (key, path) in self
            .adapter
            .iter()
            .map(|path| ("adapter", path))
            .chain(self.frozen_adapters.iter().map(|path| ("frozen_adapters", path)))
        {
            if path.as_os_str().is_empty() {
                return wrong(format!("{key} has an empty path"));
            }
        }
        self.lora.check()?;
        self.optim.check()?;
        self.grpo.check()
    }

    /// Micro-steps that a round of completions lasts for.
    fn micro_steps(&self) -> usize {
        if self.steps_per_generation == 0 {
            self.gradient_accumulation_steps
        } else {
            self.steps_per_generation
        }
    }

    /// Prompts of a round of sampling.
    pub fn prompts(&self) -> usize {
        self.per_device_train_batch_size * self.micro_steps() / self.num_generations
    }

    /// Optimiser steps that a round of completions is used for once.
    pub fn steps_of_a_round(&self) -> usize {
        self.micro_steps() / self.gradient_accumulation_steps
    }

    /// How tokens are chosen when a share of the run is done.
    pub fn sampling(&self, done: f64) -> Sampling {
        let between = |from: f32, to: Option<f32>| {
            to.map_or(from, |to| (f64::from(from) + (f64::from(to) - f64::from(from)) * done) as f32)
        };
        Sampling {
            temperature: between(self.temperature, self.temperature_end),
            top_p: between(self.top_p, self.top_p_end),
            top_k: self.top_k,
            min_p: self.min_p,
            logprobs: true,
            ..Sampling::default()
        }
    }

    /// How tokens are chosen in an evaluation.
    pub fn eval_sampling(&self) -> Sampling {
        let temperature = self.eval_temperature.unwrap_or(self.temperature);
        if temperature == 0.0 {
            return Sampling::greedy();
        }
        Sampling {
            temperature,
            top_p: self.top_p,
            top_k: self.top_k,
            min_p: self.min_p,
            ..Sampling::default()
        }
    }

    /// What shapes the numbers of a run: a checkpoint goes on only where it is the same. How long and how fast to train, how often
    /// to look and on how many threads may change.
    pub fn identity(&self) -> String {
        let same = RlkdConfig {
            output_dir: PathBuf::new(),
            model: String::new(),
            train: Vec::new(),
            validation: Vec::new(),
            frozen_adapters: Vec::new(),
            num_train_epochs: 1.0,
            max_steps: 0,
            max_minutes: 0,
            optim: OptimConfig { learning_rate: 1.0, ..self.optim.clone() },
            num_generations_eval: 1,
            eval_temperature: None,
            max_eval_samples: 0,
            logging_steps: 1,
            log_completions_steps: 0,
            eval_steps: 0,
            eval_on_start: true,
            save_steps: 0,
            save_minutes: 0,
            save_total_limit: 0,
            max_skipped_steps: 0,
            max_sampling_difference: 1.0,
            max_dead_steps: 0,
            max_hacked_evals: 0,
            max_reward_drop: 0.0,
            threads: 0,
            gradient_checkpointing: true,
            engine: self.engine.without_threads(),
            ..self.clone()
        };
        serde_json::to_string(&same).unwrap_or_default()
    }
}
