//! What memory a training run will take, from the facts of its model's file and its configuration alone.
//!
//! The parts follow what the loops on a processor keep; `docs/benchmarks.md` compares the sum with measured peaks.

use std::path::PathBuf;

use serde::Serialize;

use super::adapter::peft;
use super::cpu::head::tokens_at_a_time;
use super::lora::MODULES;
use super::model::shape::sizes;
use super::sft::{Init, SftConfig};
use crate::error::{Error, Result};
use crate::gguf::Facts;

/// The sizes that matter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sizes {
    layers: u64,
    width: u64,
    /// Numbers of all heads of queries, and of keys.
    queries: u64,
    keys: u64,
    heads: u64,
    /// Numbers of a head.
    head: u64,
    feed_forward: u64,
    vocabulary: u64,
    /// Numbers of all tensors, and of the largest.
    numbers: u64,
    largest: u64,
    /// Bytes of the file's tensors.
    bytes: u64,
}

impl Sizes {
    /// Those of a file.
    pub fn of(facts: &Facts) -> Self {
        let head = u64::from(facts.key_length);
        Sizes {
            layers: facts.block_count.into(),
            width: facts.embedding_length,
            queries: u64::from(facts.head_count) * head,
            keys: u64::from(facts.head_count_kv) * head,
            heads: facts.head_count.into(),
            head,
            feed_forward: facts.feed_forward_length,
            vocabulary: facts.vocabulary,
            numbers: facts.parameters,
            largest: facts.vocabulary * facts.embedding_length,
            bytes: facts.tensor_bytes.total(),
        }
    }

    /// Those of a new model.
    fn random(config: &SftConfig) -> Self {
        let own = &config.random;
        let size = |size: usize| size as u64;
        let head = size(own.head_size);
        let mut sizes = Sizes {
            layers: size(own.layers),
            width: size(own.embedding),
            queries: size(own.heads) * head,
            keys: size(own.kv_heads) * head,
            heads: size(own.heads),
            head,
            feed_forward: size(own.feed_forward),
            vocabulary: size(own.vocabulary),
            numbers: 0,
            largest: size(own.vocabulary) * size(own.embedding),
            bytes: 0,
        };
        let layer: u64 = MODULES
            .iter()
            .map(|(_, module)| sizes.matrix(module))
            .map(|(rows, columns)| rows * columns)
            .sum();
        let ends = if own.tied { 1 } else { 2 };
        sizes.numbers = layer * sizes.layers + ends * sizes.largest;
        sizes.bytes = sizes.numbers * 4;
        sizes
    }

    fn matrix(&self, module: &str) -> (u64, u64) {
        sizes(module, self.width, self.queries, self.keys, self.feed_forward)
    }
}

/// Bytes by part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// The model's matrices that are not trained, as the file stores them.
    pub weights: u64,
    /// What is trained.
    pub trained: u64,
    /// Its gradients.
    pub gradients: u64,
    /// The optimiser's two moments, and a copy of the largest tensor while it is changed.
    pub optimizer: u64,
    /// What leaves each layer.
    pub states: u64,
    /// What is kept inside of layers: of one with recomputation, or of all.
    pub layers: u64,
    /// Logits of some tokens, and what belongs to them.
    pub logits: u64,
    /// The program, the tokenizer, and room for unpacking matrices.
    pub program: u64,
    /// Most at any time.
    pub total: u64,
}

/// The program without anything, in bytes.
const PROGRAM: u64 = 24 << 20;
/// Bytes that a token takes in the tokenizer.
const TOKEN: u64 = 350;
/// Rows of scores that attention computes at a time.
const ROWS_OF_SCORES: u64 = super::cpu::attention::BLOCK as u64;
/// Numbers of a buffer above which its memory is not kept for the next step.
const KEPT: u64 = 1 << 24;

/// Plans a run; `facts` are those of its model, if it is there.
///
/// # Errors
/// A configuration that makes no sense, or no model.
pub fn plan(config: &SftConfig, facts: Option<&Facts>) -> Result<Memory> {
    let sizes = match (facts, config.init) {
        (Some(facts), _) => Sizes::of(facts),
        (None, Init::Random) => Sizes::random(config),
        (None, Init::Model) => return Err(Error::config("a plan needs the model's file")),
    };
    let example = config.max_length as u64;
    // One example goes through even if it is longer, and no more than a step's can lie together.
    let tokens =
        (config.micro_batch_tokens as u64).max(example).min(example.saturating_mul(config.batch() as u64));
    let adapter: u64 = (0..sizes.layers as usize)
        .flat_map(|layer| MODULES.iter().map(move |one| (layer, one)))
        .filter(|(layer, (name, _))| config.lora.covers(*layer, name))
        .map(|(_, (_, module))| sizes.matrix(module))
        .map(|(rows, columns)| {
            (rows + columns) * config.lora.r as u64 + u64::from(config.lora.use_dora) * rows
        })
        .sum();
    // Their files hold little else.
    let size_of = |path: &PathBuf| {
        let file = if path.is_dir() { path.join(peft::MODEL) } else { path.clone() };
        let size = std::fs::metadata(&file).map(|about| about.len());
        size.map_err(|error| Error::io("read the adapter", &file, error))
    };
    let beneath: u64 = config.frozen_adapters.iter().map(size_of).sum::<Result<u64>>()?;
    let trained = if config.full { sizes.numbers } else { adapter };
    let largest = if config.full { sizes.largest } else { sizes.feed_forward * config.lora.r as u64 };
    let ranks = if config.full { 0 } else { 7 * config.lora.r as u64 };
    let (w, f) = (sizes.width, sizes.feed_forward);
    let rows = sizes.queries + 2 * sizes.keys;
    // Inside of a layer: two norms, queries with keys and values, attention, the sum in the middle, gates, what is
    // between them and the way down, what adapters have in the middle, and the sums of attention.
    // And what had no lengths of its own yet, of all matrices.
    let lengths = if config.lora.use_dora { rows + 2 * w + 2 * f } else { 0 };
    let inside = 3 * w + rows + sizes.queries + 3 * f + ranks + sizes.heads + lengths;
    // On the way back beside it, at the gates: the gradient of the state and of what was made of the gates.
    // (With lengths of rows, that of the outputs before them, and what their own is summed up from.)
    let back = w + 2 * f + if config.lora.use_dora { 3 * f } else { 0 };
    // What is small enough is kept for what comes next, so that several kinds lie there at once.
    let spare = 4 * w + 2 * rows + if f * tokens <= KEPT { f } else { 0 };
    // Both sides of a product, rounded: two bytes a number.
    let spare = spare + if config.bf16 { (w + f) / 2 } else { 0 };
    let kept = if config.gradient_checkpointing { inside } else { inside * sizes.layers };
    // Attention copies of a text what a head of keys takes part in, with some rows of scores and of their gradients: as many
    // heads at a time as there are threads.
    let threads = match config.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let heads = (threads as u64).min(sizes.keys / sizes.head.max(1));
    let group = sizes.queries / (sizes.keys / sizes.head.max(1)).max(1);
    let attention = heads * (2 * group + 2 * sizes.head + 2 * ROWS_OF_SCORES) * example * 4;
    let layers = (kept + back + spare) * tokens * 4 + attention;
    let at_a_time = (tokens_at_a_time(sizes.vocabulary as usize) as u64).min(tokens);
    let logits = (at_a_time * sizes.vocabulary + 4 * tokens * w) * 4;
    let states = (sizes.layers + 1) * tokens * w * 4;
    let mut memory = Memory {
        weights: if config.full { 0 } else { sizes.bytes + beneath },
        trained: trained * 4,
        gradients: trained * 4,
        optimizer: (2 * trained + largest) * 4,
        states,
        layers,
        logits,
        program: PROGRAM + sizes.vocabulary * TOKEN + (1 << 22),
        total: 0,
    };
    // Logits are there before the way back through the layers begins, beside the layers only if all of them are kept.
    let passing = match config.gradient_checkpointing {
        true => layers.max(logits),
        false => layers + logits,
    };
    memory.total = memory.weights
        + memory.trained
        + memory.gradients
        + memory.optimizer
        + memory.states
        + passing
        + memory.program;
    Ok(memory)
}
