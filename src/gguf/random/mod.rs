//! Models with random weights and everything else real: the architecture, the tensors, a trained byte-level BPE
//! tokenizer, special tokens, a chat template. What they say means nothing; how fast they say it, how much memory it
//! takes and what a loader thinks of them is as with any other file. Tests and benchmarks run on them.
//!
//! The bytes of a file depend on its [`Spec`] only.

mod bpe;
mod text;
mod vocabulary;
mod weights;

use std::path::Path;

pub(super) use bpe::byte_chars;

use super::{TensorType, Value, Writer, quantise};
use crate::error::{Error, Result};
use crate::seed::Seed;
use weights::Spread;

/// A family of models that can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Qwen 2 and 2.5: biases on queries, keys and values; a head is `embedding / heads` wide.
    Qwen2,
    /// Qwen 3: queries and keys are normed.
    Qwen3,
    /// Llama 3.
    Llama,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Architecture; 3] = [Architecture::Qwen2, Architecture::Qwen3, Architecture::Llama];

    /// Its name in `general.architecture`.
    pub fn name(self) -> &'static str {
        match self {
            Architecture::Qwen2 => "qwen2",
            Architecture::Qwen3 => "qwen3",
            Architecture::Llama => "llama",
        }
    }

    /// Base of the rotary frequencies, and the epsilon of the norms, as the released models have them.
    fn constants(self) -> (f32, f32) {
        match self {
            Architecture::Qwen2 | Architecture::Qwen3 => (1_000_000.0, 1e-6),
            Architecture::Llama => (500_000.0, 1e-5),
        }
    }
}

/// What to make.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// The family.
    pub architecture: Architecture,
    /// Tokens: 256 bytes, merges and special tokens; at least 261.
    pub vocabulary: usize,
    /// Numbers in a token's embedding.
    pub embedding: usize,
    /// Blocks of attention and feed-forward.
    pub layers: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and values; divides `heads`.
    pub kv_heads: usize,
    /// Numbers in a head; even.
    pub head_size: usize,
    /// Numbers inside a feed-forward block.
    pub feed_forward: usize,
    /// Tokens that the model says it was trained for.
    pub context: usize,
    /// How matrices are stored: F32, F16, BF16, Q8_0, Q4_0, Q4_K or Q6_K. Q4_K means the mix that llama.cpp calls
    /// Q4_K_M: the output matrix, and the values and the feed-forward's way down in about half of the layers, are
    /// Q6_K. A matrix whose rows do not fit becomes Q8_0 or, if they do not fit that, F16. Norms and biases are F32.
    pub weights: TensorType,
    /// Whether the embedding is the output matrix too.
    pub tied: bool,
    /// What all draws come from.
    pub seed: u64,
}

impl Default for Spec {
    /// Tiny: 2,048 tokens, 2 layers of 128, heads of 64, float32; decodes a token in well under a millisecond.
    fn default() -> Self {
        Spec {
            architecture: Architecture::Qwen2,
            vocabulary: 2_048,
            embedding: 128,
            layers: 2,
            heads: 2,
            kv_heads: 1,
            head_size: 64,
            feed_forward: 256,
            context: 4_096,
            weights: TensorType::F32,
            tied: false,
            seed: 0,
        }
    }
}

impl Spec {
    fn seed(&self) -> Seed {
        Seed(self.seed)
    }

    pub(crate) fn validate(&self) -> Result<()> {
        const MOST: usize = 1 << 24;
        let wrong = |what: &str| Err(Error::config(format!("a random model: {what}")));
        for (name, size) in [
            ("embedding", self.embedding),
            ("layers", self.layers),
            ("heads", self.heads),
            ("kv_heads", self.kv_heads),
            ("head_size", self.head_size),
            ("feed_forward", self.feed_forward),
            ("context", self.context),
            ("vocabulary", self.vocabulary),
        ] {
            if size == 0 || size > MOST {
                return wrong(&format!("{name} is {size}, and has to be from 1 to {MOST}"));
            }
        }
        if !self.heads.is_multiple_of(self.kv_heads) || !self.head_size.is_multiple_of(2) {
            return wrong("kv_heads has to divide heads, and head_size to be even");
        }
        if self.architecture == Architecture::Qwen2 && self.heads * self.head_size != self.embedding {
            return Err(Error::config(format!(
                "a random model: qwen2 needs heads * head_size = embedding, and {} * {} is not {}",
                self.heads, self.head_size, self.embedding
            )));
        }
        if !quantise::knows(self.weights) && !matches!(self.weights, TensorType::Q4_K | TensorType::Q6_K) {
            return wrong("weights are F32, F16, BF16, Q8_0, Q4_0, Q4_K or Q6_K");
        }
        Ok(())
    }

    fn metadata(&self, words: Option<&Words>) -> Result<Vec<(String, Value)>> {
        let name = self.architecture.name();
        let (base, epsilon) = self.architecture.constants();
        let mut metadata: Vec<(String, Value)> = vec![
            ("general.architecture".into(), name.into()),
            ("general.name".into(), format!("random {name} {}", self.seed).into()),
        ];
        let mut own = |key: &str, value: Value| metadata.push((format!("{name}.{key}"), value));
        own("context_length", (self.context as u32).into());
        own("embedding_length", (self.embedding as u32).into());
        own("block_count", (self.layers as u32).into());
        own("feed_forward_length", (self.feed_forward as u32).into());
        own("attention.head_count", (self.heads as u32).into());
        own("attention.head_count_kv", (self.kv_heads as u32).into());
        own("attention.key_length", (self.head_size as u32).into());
        own("attention.value_length", (self.head_size as u32).into());
        own("attention.layer_norm_rms_epsilon", epsilon.into());
        own("rope.dimension_count", (self.head_size as u32).into());
        own("rope.freq_base", base.into());
        own("vocab_size", (self.vocabulary as u32).into());
        metadata.extend(vocabulary::metadata(self, words)?);
        Ok(metadata)
    }

    /// The type of a matrix with rows of `row` numbers, whose type would be `wanted`.
    fn kind(&self, wanted: TensorType, row: usize) -> TensorType {
        let fits = |kind: TensorType| (row as u64).is_multiple_of(kind.block());
        [wanted, TensorType::Q8_0].into_iter().find(|&kind| fits(kind)).unwrap_or(TensorType::F16)
    }

    /// The tensors, in the order of the file, and how their numbers are spread.
    fn tensors(&self) -> Vec<(String, Vec<u64>, TensorType, Spread)> {
        let mut tensors = Vec::new();
        let better = if self.weights == TensorType::Q4_K { TensorType::Q6_K } else { self.weights };
        let mut matrix = |name: String, row: usize, rows: usize, kind: TensorType, factor: f32| {
            let spread = Spread { mean: 0.0, deviation: factor / (row as f32).sqrt() };
            tensors.push((name, vec![row as u64, rows as u64], self.kind(kind, row), spread));
        };
        // With a tied embedding, a larger one would make each token predict itself. An untied output is larger, so
        // that the most probable token is so by more than rounding.
        matrix("token_embd.weight".into(), self.embedding, self.vocabulary, self.weights, 1.0);
        if !self.tied {
            matrix("output.weight".into(), self.embedding, self.vocabulary, better, 3.0);
        }
        let (queries, keys) = (self.heads * self.head_size, self.kv_heads * self.head_size);
        for layer in 0..self.layers {
            // As `use_more_bits` of llama.cpp's quantizer: the first and last eighth, and every third between.
            let eighth = self.layers / 8;
            let more = layer < eighth || layer >= 7 * self.layers / 8 || (layer - eighth) % 3 == 2;
            let kind = if more { better } else { self.weights };
            let name = |part: &str| format!("blk.{layer}.{part}.weight");
            matrix(name("attn_q"), self.embedding, queries, self.weights, 1.0);
            matrix(name("attn_k"), self.embedding, keys, self.weights, 1.0);
            matrix(name("attn_v"), self.embedding, keys, kind, 1.0);
            matrix(name("attn_output"), queries, self.embedding, self.weights, 1.0);
            matrix(name("ffn_gate"), self.embedding, self.feed_forward, self.weights, 1.0);
            matrix(name("ffn_up"), self.embedding, self.feed_forward, self.weights, 1.0);
            matrix(name("ffn_down"), self.feed_forward, self.embedding, kind, 1.0);
        }
        let mut vector = |name: String, size: usize, mean: f32| {
            tensors.push((name, vec![size as u64], TensorType::F32, Spread { mean, deviation: 0.1 }));
        };
        vector("output_norm.weight".into(), self.embedding, 1.0);
        for layer in 0..self.layers {
            let name = |part: &str| format!("blk.{layer}.{part}");
            vector(name("attn_norm.weight"), self.embedding, 1.0);
            vector(name("ffn_norm.weight"), self.embedding, 1.0);
            match self.architecture {
                Architecture::Qwen2 => {
                    vector(name("attn_q.bias"), queries, 0.0);
                    vector(name("attn_k.bias"), keys, 0.0);
                    vector(name("attn_v.bias"), keys, 0.0);
                }
                Architecture::Qwen3 => {
                    vector(name("attn_q_norm.weight"), self.head_size, 1.0);
                    vector(name("attn_k_norm.weight"), self.head_size, 1.0);
                }
                Architecture::Llama => {}
            }
        }
        tensors
    }
}

/// Tokens and merges of a byte-level BPE tokenizer, spelt as GPT-2 spells bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Words {
    /// The tokens by number, special ones not among them.
    pub tokens: Vec<String>,
    /// Pairs of tokens, in the order in which they were learnt.
    pub merges: Vec<(String, String)>,
}

/// Writes the model of `spec`; see [`Writer`] for how.
///
/// # Errors
/// The sizes do not go together; the file cannot be written.
pub fn write(path: &Path, spec: &Spec) -> Result<()> {
    spec.validate()?;
    write_parts(path, spec, spec.metadata(None)?, spec.tensors())
}

/// Writes a model that is to be trained: with a tokenizer that was learnt elsewhere, whose tokens and the special ones
/// give the vocabulary's size, norms of 1 and biases of 0.
///
/// # Errors
/// As [`write()`].
pub fn write_fresh(path: &Path, spec: &Spec, words: &Words) -> Result<()> {
    let vocabulary = words.tokens.len() + vocabulary::special_tokens(spec.architecture);
    let spec = Spec { vocabulary, ..spec.clone() };
    spec.validate()?;
    let mut tensors = spec.tensors();
    for (_, shape, _, spread) in &mut tensors {
        if shape.len() == 1 {
            spread.deviation = 0.0;
        }
    }
    write_parts(path, &spec, spec.metadata(Some(words))?, tensors)
}

fn write_parts(
    path: &Path,
    spec: &Spec,
    metadata: Vec<(String, Value)>,
    tensors: Vec<(String, Vec<u64>, TensorType, Spread)>,
) -> Result<()> {
    let plan: Vec<_> =
        tensors.iter().map(|(name, shape, kind, _)| (name.clone(), shape.clone(), *kind)).collect();
    let mut writer = Writer::create(path, &metadata, &plan)?;
    for (_, _, _, spread) in tensors {
        let Some(tensor) = writer.next_tensor().cloned() else { break };
        weights::write(&mut writer, &tensor, spread, &mut spec.seed().stream(&tensor.name, 0))?;
    }
    writer.finish()
}
