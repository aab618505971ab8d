//! The run file of `rlkd sft`. Names are those of TRL's `SFTConfig` and `peft`'s `LoraConfig` where they have one.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::grammar::{self, Prompt};
use crate::train::lora::LoraConfig;
use crate::train::optim::OptimConfig;

/// More threads than any machine makes use of.
const MOST_THREADS: usize = 256;
/// Bytes, and room for special tokens.
const LEAST_VOCABULARY: usize = 264;

/// What is learnt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// A GSRM: from a problem and a trace to its steps. Reads labelled traces ([`crate::dataset::Labelled`]).
    #[default]
    Gsrm,
    /// A student: from a problem to a teacher's trace. Reads the samples that `rlkd score` reads.
    Student,
}

/// What a run begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// The model of `model`.
    #[default]
    Model,
    /// A new model of random weights, with a tokenizer that is trained on the data.
    Random,
}

/// The sizes of a new model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandomConfig {
    /// `qwen2`, `qwen3` or `llama`.
    pub architecture: String,
    /// Most tokens; fewer if the data has no more to learn from.
    pub vocabulary: usize,
    /// Numbers of a hidden state.
    pub embedding: usize,
    /// Layers.
    pub layers: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Numbers of a head; llama.cpp is fast from 64 on.
    pub head_size: usize,
    /// Numbers inside a feed-forward block.
    pub feed_forward: usize,
    /// Tokens that a text may have.
    pub context: usize,
    /// Whether the embedding is the output matrix too.
    pub tied: bool,
}

impl Default for RandomConfig {
    /// 6 million numbers: enough to learn a form, small enough for a processor.
    fn default() -> Self {
        RandomConfig {
            architecture: "qwen2".into(),
            vocabulary: 4096,
            embedding: 256,
            layers: 6,
            heads: 4,
            kv_heads: 2,
            head_size: 64,
            feed_forward: 768,
            context: 4096,
            tied: true,
        }
    }
}

/// Every option of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SftConfig {
    /// What it begins with.
    pub init: Init,
    /// The sizes of the new model, with `init = "random"`.
    pub random: RandomConfig,
    /// The model to begin with: a GGUF file, or what `rlkd models` knows.
    pub model: String,
    /// Where everything goes that the run writes.
    pub output_dir: PathBuf,
    /// What is learnt.
    pub task: Task,
    /// Files to learn from.
    pub train: Vec<PathBuf>,
    /// Files to evaluate on; none: a share of the others.
    pub validation: Vec<PathBuf>,
    /// Share of the examples that are kept for evaluation where `validation` is empty.
    pub validation_split: f64,
    /// The form in which a GSRM writes steps: a name of `rlkd::grammar`.
    pub grammar: String,
    /// How a GSRM is asked for steps.
    pub prompt: Prompt,
    /// What a student is told before the problem.
    pub system: String,
    /// Longest example, in tokens; longer ones are left out, and counted.
    pub max_length: usize,
    /// Train an adapter; with `full = true`, all weights.
    pub lora: LoraConfig,
    /// Train all weights, and no adapter.
    pub full: bool,
    /// An adapter to begin with, instead of a new one.
    pub adapter: Option<PathBuf>,
    /// Adapters that lie beneath the one that is trained, and stay as they are.
    pub frozen_adapters: Vec<PathBuf>,
    /// The optimiser.
    pub optim: OptimConfig,
    /// Passes over the data.
    pub num_train_epochs: f64,
    /// Steps of the whole run, whatever `num_train_epochs` says; 0: as many as that says.
    pub max_steps: u64,
    /// Examples of a step, times `gradient_accumulation_steps`.
    pub per_device_train_batch_size: usize,
    /// As in TRL; memory does not depend on it here, see `micro_batch_tokens`.
    pub gradient_accumulation_steps: usize,
    /// Most tokens that go through the model at once, but for a single longer example. The examples of a step are cut
    /// into such parts, one behind the other and without padding.
    pub micro_batch_tokens: usize,
    /// Compute layers once more on the way back instead of keeping what happens inside.
    pub gradient_checkpointing: bool,
    /// Steps between two lines of metrics.
    pub logging_steps: u64,
    /// Steps between two evaluations; 0: at the end of each pass.
    pub eval_steps: u64,
    /// Steps between two checkpoints; 0: at each evaluation, and as `save_minutes` says.
    pub save_steps: u64,
    /// Minutes after which a checkpoint is written whatever the step; 0: never. No number depends on it.
    pub save_minutes: u64,
    /// Checkpoints that are kept, beside the best.
    pub save_total_limit: usize,
    /// Evaluations without a lower loss after which it ends; 0: never.
    pub early_stopping_patience: u32,
    /// Give the adapter with the lowest evaluation loss in the end, and not the last.
    pub load_best_model_at_end: bool,
    /// Steps in a row whose gradients were no numbers, after which it ends. Such a step changes nothing.
    pub max_skipped_steps: u64,
    /// Where it is computed: `cpu`, `cuda`, `metal`, or `auto` for a GPU if there is one.
    pub device: String,
    /// Round numbers to bf16 on their way into products of matrices: less exact, and faster where the processor has AMX, or the
    /// GPU has units for it. Weights, sums and the optimiser stay in `f32`; a GPU rounds what comes out of products, too.
    pub bf16: bool,
    /// Threads; 0: one for each core.
    pub threads: usize,
    /// The seed of every random draw.
    pub seed: u64,
}

impl Default for SftConfig {
    fn default() -> Self {
        SftConfig {
            init: Init::default(),
            random: RandomConfig::default(),
            model: String::new(),
            output_dir: PathBuf::new(),
            task: Task::default(),
            train: Vec::new(),
            validation: Vec::new(),
            validation_split: 0.05,
            grammar: "steps".into(),
            prompt: Prompt::default(),
            system: String::new(),
            max_length: 4096,
            lora: LoraConfig::default(),
            full: false,
            adapter: None,
            frozen_adapters: Vec::new(),
            optim: OptimConfig::default(),
            num_train_epochs: 1.0,
            max_steps: 0,
            per_device_train_batch_size: 8,
            gradient_accumulation_steps: 1,
            micro_batch_tokens: 4096,
            gradient_checkpointing: true,
            logging_steps: 1,
            eval_steps: 0,
            save_steps: 0,
            save_minutes: 10,
            save_total_limit: 2,
            early_stopping_patience: 0,
            load_best_model_at_end: true,
            max_skipped_steps: 10,
            device: "auto".into(),
            bf16: false,
            threads: 0,
            seed: 0,
        }
    }
}

impl SftConfig {
    /// Whether the values make sense.
    ///
    /// # Errors
    /// Kind `Config`, naming the key.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::config(what));
        match (self.init, self.model.is_empty()) {
            (Init::Model, true) => return wrong("model is missing: the GGUF file to begin with".into()),
            (Init::Random, false) => return wrong("model and init = \"random\": either one".into()),
            (Init::Random, true) if !self.full => {
                return wrong(
                    "init = \"random\" needs full = true: an adapter cannot make up for random weights"
                        .into(),
                );
            }
            _ => {}
        }
        if self.output_dir.as_os_str().is_empty() {
            return wrong(
                "output_dir is missing: the folder for checkpoints, metrics and the adapter".into(),
            );
        }
        if self.train.is_empty() {
            return wrong("train is missing: the files to learn from".into());
        }
        if !(0.0..1.0).contains(&self.validation_split) {
            return wrong(format!("validation_split = {}: from 0 to below 1", self.validation_split));
        }
        if grammar::find(&self.grammar)?.form == grammar::Form::Verdict {
            return wrong(format!("the grammar {:?} writes verdicts and no steps", self.grammar));
        }
        if !self.num_train_epochs.is_finite() || self.num_train_epochs <= 0.0 {
            return wrong(format!("num_train_epochs = {}: above 0", self.num_train_epochs));
        }
        for (name, value, most) in [
            ("max_length", self.max_length, 1 << 24),
            ("per_device_train_batch_size", self.per_device_train_batch_size, 1 << 20),
            ("gradient_accumulation_steps", self.gradient_accumulation_steps, 1 << 20),
            ("micro_batch_tokens", self.micro_batch_tokens, 1 << 24),
            ("logging_steps", usize::try_from(self.logging_steps).unwrap_or(usize::MAX), 1 << 40),
            ("random.vocabulary", self.random.vocabulary, 1 << 24),
            ("random.embedding", self.random.embedding, 1 << 20),
            ("random.layers", self.random.layers, 1 << 10),
            ("random.heads", self.random.heads, 1 << 10),
            ("random.kv_heads", self.random.kv_heads, 1 << 10),
            ("random.head_size", self.random.head_size, 1 << 10),
            ("random.feed_forward", self.random.feed_forward, 1 << 20),
            ("random.context", self.random.context, 1 << 24),
        ] {
            if value == 0 || value > most {
                return wrong(format!("{name} = {value}: from 1 to {most}"));
            }
        }
        if self.threads > MOST_THREADS {
            return wrong(format!(
                "threads = {}: at most {MOST_THREADS}; 0 is one for each core",
                self.threads
            ));
        }
        if self.init == Init::Model && self.random != RandomConfig::default() {
            return wrong("[random] has sizes of a new model, and init = \"random\" is not said".into());
        }
        if self.init == Init::Random && self.random.vocabulary < LEAST_VOCABULARY {
            let vocabulary = self.random.vocabulary;
            return wrong(format!(
                "random.vocabulary = {vocabulary}: at least {LEAST_VOCABULARY}, for bytes and special tokens"
            ));
        }
        if self.init == Init::Random && self.random.context < self.max_length {
            return wrong(format!(
                "random.context = {} is below max_length = {}: the model could not run what it learnt",
                self.random.context, self.max_length
            ));
        }
        let adapters = self.adapter.iter().map(|path| ("adapter", path));
        for (key, path) in adapters.chain(self.frozen_adapters.iter().map(|path| ("frozen_adapters", path))) {
            if path.as_os_str().is_empty() {
                return wrong(format!("{key} has an empty path"));
            }
        }
        if self.full && self.adapter.is_some() {
            return wrong("adapter and full = true: either an adapter is trained, or all weights".into());
        }
        if self.full && !self.frozen_adapters.is_empty() {
            return wrong(
                "frozen_adapters and full = true: put them into the model with `rlkd export` first".into(),
            );
        }
        if self.init == Init::Random {
            super::scratch::spec(self)?.validate()?;
        }
        if self.full && self.lora != LoraConfig::default() {
            return wrong("[lora] and full = true: either an adapter is trained, or all weights".into());
        }
        self.lora.check()?;
        self.optim.check()
    }

    /// Examples of a step.
    pub fn batch(&self) -> usize {
        self.per_device_train_batch_size * self.gradient_accumulation_steps
    }

    /// What shapes the numbers of a run: a checkpoint goes on only where it is the same. How long and how fast to train (which
    /// changes the rest of the learning rate's curve), how often to look and on how many threads may change.
    pub fn identity(&self) -> String {
        let same = SftConfig {
            output_dir: PathBuf::new(),
            model: String::new(),
            train: Vec::new(),
            validation: Vec::new(),
            frozen_adapters: Vec::new(),
            num_train_epochs: 1.0,
            max_steps: 0,
            optim: OptimConfig { learning_rate: 1.0, ..self.optim.clone() },
            logging_steps: 1,
            eval_steps: 0,
            save_steps: 0,
            save_minutes: 0,
            save_total_limit: 0,
            early_stopping_patience: 0,
            load_best_model_at_end: true,
            max_skipped_steps: 0,
            threads: 0,
            gradient_checkpointing: true,
            ..self.clone()
        };
        serde_json::to_string(&same).unwrap_or_default()
    }
}
