//! What must hold before llama.cpp sees a file.
//!
//! llama.cpp's loader throws for much of what can be wrong, which is caught and becomes an error. It also has asserts
//! and arithmetic that a file can reach, which end the process. This check covers those of the pinned version, and
//! says what is wrong in words that help. It reads the head of the file only, and keeps less than the file's size.
//!
//! For the architectures `qwen2`, `qwen3` and `llama` it knows every tensor and its shape ([`Facts::checked_in_full`]).
//! Of any other, and of a `llama` with experts or fused tensors, it checks the layout, the types of the common keys, the sizes that all models share, and the vocabulary; what else such a
//! model needs is left to llama.cpp, and may end the process there.

mod architecture;
mod keys;
mod layout;
mod sizes;
mod vocabulary;

use std::path::Path;

use super::{Gguf, TensorType};
use crate::error::{Error, Place, Result};
use keys::Keys;

/// Most bytes of a chat template, here and where it is compiled. The longest that circulate have some 30 KB.
pub const MOST_TEMPLATE_BYTES: usize = 64 << 10;

/// The key of the grammar that a GSRM was trained with: a name of [`crate::grammar::GRAMMARS`].
pub const GSRM_GRAMMAR: &str = "rlkd.gsrm.grammar";
/// The key of how it was asked: a name of [`crate::grammar::Prompt`].
pub const GSRM_PROMPT: &str = "rlkd.gsrm.prompt";

/// What a file says of its model.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// `general.architecture`, such as `qwen2`.
    pub architecture: String,
    /// Whether every tensor was held against what the architecture has. If not, a damaged or crafted file may pass the
    /// check and end the process inside llama.cpp.
    pub checked_in_full: bool,
    /// `general.name`.
    pub name: Option<String>,
    /// Tokens that the model was trained for.
    pub context_length: u64,
    /// Numbers in a token's embedding.
    pub embedding_length: u64,
    /// Layers.
    pub block_count: u32,
    /// Heads of queries; the most of any layer.
    pub head_count: u32,
    /// Heads of keys and values; the most of any layer.
    pub head_count_kv: u32,
    /// Numbers in a head's key.
    pub key_length: u32,
    /// Numbers in a head's value.
    pub value_length: u32,
    /// Numbers inside a feed-forward block; the most of any layer, and 0 if the file does not say.
    pub feed_forward_length: u64,
    /// Tokens.
    pub vocabulary: u64,
    /// Numbers in all tensors.
    pub parameters: u64,
    /// Where the bytes of the tensors are.
    pub tensor_bytes: TensorBytes,
    /// The type that most bytes of the matrices are stored as.
    pub weights: TensorType,
    /// `tokenizer.chat_template`.
    pub chat_template: Option<String>,
    /// `tokenizer.ggml.model`, such as `gpt2` (byte-level BPE) or `llama` (SentencePiece).
    pub tokenizer_model: Option<String>,
    /// `tokenizer.ggml.pre`: how a text is cut before merging.
    pub tokenizer_pre: Option<String>,
    /// [`GSRM_GRAMMAR`]: the form in which the model was trained to write steps.
    pub gsrm_grammar: Option<String>,
    /// [`GSRM_PROMPT`]: how it was asked.
    pub gsrm_prompt: Option<String>,
}

/// Bytes of the tensors, by where llama.cpp puts them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TensorBytes {
    /// The token embedding, which stays in the host's memory.
    pub token_embedding: u64,
    /// The output matrix and its norm. With a tied embedding the matrix is the embedding, which a GPU then holds once
    /// more.
    pub output: u64,
    /// Each layer's.
    pub layers: Vec<u64>,
    /// All others'.
    pub other: u64,
}

impl TensorBytes {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.token_embedding + self.output + self.layers.iter().sum::<u64>() + self.other
    }
}

/// Checks a file, and says what model it holds.
///
/// # Errors
/// As [`Gguf::open`], and whatever would not load; with the file's name, and the byte, key or tensor.
pub fn check(path: &Path) -> Result<Facts> {
    let file = Gguf::open(path)?;
    check_head(&file).map_err(|error| error.at_if_missing(Place::file(path)))
}

/// As [`check`], of a head that was read already.
///
/// # Errors
/// As [`check`], without the file's name.
pub fn check_head(file: &Gguf) -> Result<Facts> {
    let keys = Keys(file);
    keys.split()?;
    let architecture = keys.required_text("general.architecture")?.to_owned();
    keys.types(&architecture)?;
    keys.lists(&architecture)?;
    layout::check(file)?;
    let template = keys.text("tokenizer.chat_template")?;
    if template.is_some_and(|template| template.len() > MOST_TEMPLATE_BYTES) {
        return Err(Error::data(format!(
            "key \"tokenizer.chat_template\" is longer than {MOST_TEMPLATE_BYTES} bytes: it is no chat template"
        )));
    }
    let sizes = sizes::check(&keys, &architecture)?;
    let vocabulary = vocabulary::check(&keys, &architecture)?;
    let checked_in_full = architecture::check(file, &keys, &architecture, &sizes, vocabulary)?;
    if !checked_in_full {
        vocabulary::matches_tensors(file, vocabulary)?;
    }
    Ok(Facts {
        checked_in_full,
        name: keys.text("general.name")?.map(str::to_owned),
        context_length: sizes.context,
        embedding_length: sizes.embedding,
        block_count: sizes.layers,
        head_count: sizes.heads,
        head_count_kv: sizes.kv_heads,
        key_length: sizes.key,
        value_length: sizes.value,
        feed_forward_length: sizes.feed_forward,
        vocabulary,
        parameters: file.tensors.iter().filter_map(super::Tensor::numbers).sum(),
        tensor_bytes: bytes(file, sizes.layers),
        weights: weights(file),
        chat_template: template.map(str::to_owned),
        tokenizer_model: keys.text("tokenizer.ggml.model")?.map(str::to_owned),
        tokenizer_pre: keys.text("tokenizer.ggml.pre")?.map(str::to_owned),
        gsrm_grammar: keys.text(GSRM_GRAMMAR)?.map(str::to_owned),
        gsrm_prompt: keys.text(GSRM_PROMPT)?.map(str::to_owned),
        architecture,
    })
}

fn bytes(file: &Gguf, layers: u32) -> TensorBytes {
    let mut bytes = TensorBytes { layers: vec![0; layers as usize], ..TensorBytes::default() };
    for tensor in &file.tensors {
        let layer =
            tensor.name.strip_prefix("blk.").and_then(|rest| rest.split('.').next()?.parse::<usize>().ok());
        let place = match layer.and_then(|layer| bytes.layers.get_mut(layer)) {
            Some(layer) => layer,
            None if tensor.name.starts_with("token_embd.") => &mut bytes.token_embedding,
            None if tensor.name.starts_with("output.") || tensor.name.starts_with("output_norm.") => {
                &mut bytes.output
            }
            None => &mut bytes.other,
        };
        *place += tensor.bytes().unwrap_or(0);
    }
    bytes
}

fn weights(file: &Gguf) -> TensorType {
    let matrices = || file.tensors.iter().filter(|tensor| tensor.shape.len() > 1);
    let size =
        |kind| matrices().filter(|tensor| tensor.kind == kind).filter_map(super::Tensor::bytes).sum::<u64>();
    TensorType::all().max_by_key(|&kind| size(kind)).unwrap_or(TensorType::F32)
}
