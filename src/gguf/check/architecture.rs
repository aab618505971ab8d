//! The tensors of the architectures that are known in full, and what their graphs assert.

use std::collections::BTreeSet;

use super::keys::{Keys, wrong};
use super::sizes::Sizes;
use super::vocabulary::UNSPELT_CUTS;
use crate::error::{Error, Result};
use crate::gguf::{Gguf, Tensor, TensorType};

/// Most numbers in a head. Released models have up to 512.
const MOST_HEAD_SIZE: u32 = 1024;

/// Checks what `qwen2`, `qwen3` and `llama` need; says whether the file is one of these. One of `llama` with experts
/// (Mixtral), or with queries, keys and values in one tensor, is none: its graph has tensors that are not known here.
pub(super) fn check(
    file: &Gguf,
    keys: &Keys<'_>,
    architecture: &str,
    sizes: &Sizes,
    vocabulary: u64,
) -> Result<bool> {
    if !matches!(architecture, "qwen2" | "qwen3" | "llama") {
        return Ok(false);
    }
    let own = |key: &str| format!("{architecture}.{key}");
    let has_experts =
        architecture == "llama" && keys.number(&own("expert_count"))?.is_some_and(|count| count > 0);
    if has_experts || file.tensors.iter().any(|tensor| place(&tensor.name).1.starts_with("attn_qkv.")) {
        return Ok(false);
    }
    heads(keys, architecture, sizes)?;
    plain(keys, architecture, sizes)?;
    let epsilon = own("attention.layer_norm_rms_epsilon");
    keys.float(&epsilon)?.ok_or_else(|| wrong(&epsilon, "is missing: convert the model anew"))?;
    let model = keys.required_text("tokenizer.ggml.model")?;
    if !matches!(model, "gpt2" | "llama") {
        return Err(wrong(
            "tokenizer.ggml.model",
            format_args!("is {model:?}; `gpt2` and `llama` are supported"),
        ));
    }
    let pre = keys.text("tokenizer.ggml.pre")?.unwrap_or_default();
    if UNSPELT_CUTS.contains(&pre) {
        return Err(wrong(
            "tokenizer.ggml.pre",
            format_args!("is {pre:?}, which no {architecture} model has"),
        ));
    }
    let is_long = keys.text(&own("rope.scaling.type"))? == Some("longrope");
    Expected::new(architecture, sizes, vocabulary, is_long).compare(file)?;
    Ok(true)
}

fn heads(keys: &Keys<'_>, architecture: &str, sizes: &Sizes) -> Result<()> {
    let own = |key: &str| format!("{architecture}.{key}");
    let heads_key = own("attention.head_count");
    let heads = keys.number_within(&heads_key, 1, 1 << 16)?;
    let kv_key = own("attention.head_count_kv");
    let kv_heads = keys.number(&kv_key)?.unwrap_or(heads);
    if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
        return Err(wrong(&kv_key, format_args!("is {kv_heads}, which does not divide the {heads} heads")));
    }
    let size = sizes.key;
    if size == 0 || !size.is_multiple_of(2) || size > MOST_HEAD_SIZE {
        let what = format!("is {size}; even numbers up to {MOST_HEAD_SIZE} are possible");
        return Err(wrong(&own("attention.key_length"), what));
    }
    let rotated = own("rope.dimension_count");
    for (key, other) in [
        (own("attention.value_length"), sizes.value),
        (rotated.clone(), keys.number(&rotated)?.unwrap_or(size)),
    ] {
        if other != size {
            return Err(wrong(&key, format_args!("is {other}, and a head has {size} numbers")));
        }
    }
    if architecture == "qwen2" && u64::from(heads) * u64::from(size) != sizes.embedding {
        let what = format!("is {heads}: heads of {size} do not make an embedding of {}", sizes.embedding);
        return Err(wrong(&heads_key, what));
    }
    keys.number_within(&own("feed_forward_length"), 1, 1 << 28)?;
    Ok(())
}

/// Refuses what these architectures do not have, and llama.cpp would act on all the same.
fn plain(keys: &Keys<'_>, architecture: &str, sizes: &Sizes) -> Result<()> {
    let own = |key: &str| format!("{architecture}.{key}");
    for key in ["expert_count", "nextn_predict_layers"].map(own) {
        if keys.number(&key)?.is_some_and(|count| count > 0) {
            return Err(wrong(
                &key,
                "is above 0: mixtures of experts and extra layers are not supported here",
            ));
        }
    }
    let key = own("embedding_length_out");
    if keys.number(&key)?.is_some_and(|size| size != 0 && u64::from(size) != sizes.embedding) {
        return Err(wrong(&key, "is not the embedding's length"));
    }
    let key = own("attention.causal");
    if keys.flag(&key)? == Some(false) {
        return Err(wrong(&key, "is false: this model cannot write text"));
    }
    let key = own("pooling_type");
    // None, mean, first, last. The next one, a ranking, needs tensors of its own.
    if keys.number(&key)?.is_some_and(|kind| kind > 3) {
        return Err(wrong(&key, "is above 3: a ranking model cannot write text"));
    }
    Ok(())
}

/// What a tensor has to look like.
enum Form {
    /// A matrix of any type that can be multiplied with: numbers in a row, rows.
    Matrix(u64, u64),
    /// Float32 numbers, which is what is added, multiplied or rotated with.
    Vector(u64),
}

/// The tensors that an architecture has. Those of the layers are listed once, without `blk.0.`.
struct Expected {
    layers: u32,
    needed: Vec<(&'static str, Form)>,
    allowed: Vec<(&'static str, Form)>,
    needed_in_layers: Vec<(&'static str, Form)>,
    allowed_in_layers: Vec<(&'static str, Form)>,
}

impl Expected {
    fn new(architecture: &str, sizes: &Sizes, vocabulary: u64, is_long: bool) -> Self {
        use Form::{Matrix, Vector};
        let (embedding, inner) = (sizes.embedding, sizes.feed_forward);
        let head = u64::from(sizes.key);
        let (queries, keys) = (u64::from(sizes.heads) * head, u64::from(sizes.kv_heads) * head);
        let mut expected = Expected {
            layers: sizes.layers,
            needed: vec![
                ("token_embd.weight", Matrix(embedding, vocabulary)),
                ("output_norm.weight", Vector(embedding)),
            ],
            allowed: vec![("output.weight", Matrix(embedding, vocabulary))],
            needed_in_layers: vec![
                ("attn_norm.weight", Vector(embedding)),
                ("attn_q.weight", Matrix(embedding, queries)),
                ("attn_k.weight", Matrix(embedding, keys)),
                ("attn_v.weight", Matrix(embedding, keys)),
                ("attn_output.weight", Matrix(queries, embedding)),
                ("ffn_norm.weight", Vector(embedding)),
                ("ffn_gate.weight", Matrix(embedding, inner)),
                ("ffn_up.weight", Matrix(embedding, inner)),
                ("ffn_down.weight", Matrix(inner, embedding)),
            ],
            allowed_in_layers: vec![
                ("attn_q.bias", Vector(queries)),
                ("attn_k.bias", Vector(keys)),
                ("attn_v.bias", Vector(keys)),
            ],
        };
        match architecture {
            "qwen2" => expected.allowed.push(("output.bias", Vector(vocabulary))),
            "qwen3" => expected
                .needed_in_layers
                .extend([("attn_q_norm.weight", Vector(head)), ("attn_k_norm.weight", Vector(head))]),
            _ => {
                let factors: &[&str] = match is_long {
                    true => &["rope_factors_long.weight", "rope_factors_short.weight"],
                    false => &["rope_freqs.weight"],
                };
                expected.allowed.extend(factors.iter().map(|name| (*name, Vector(head / 2))));
                expected.allowed_in_layers.extend([
                    ("attn_output.bias", Vector(embedding)),
                    ("ffn_gate.bias", Vector(inner)),
                    ("ffn_up.bias", Vector(inner)),
                    ("ffn_down.bias", Vector(embedding)),
                ]);
            }
        }
        expected
    }

    fn compare(&self, file: &Gguf) -> Result<()> {
        let mut found = BTreeSet::new();
        for tensor in &file.tensors {
            let (layer, name) = place(&tensor.name);
            let rows = match layer {
                None => [&self.needed, &self.allowed],
                Some(_) => [&self.needed_in_layers, &self.allowed_in_layers],
            };
            let row = rows.into_iter().flatten().find(|row| row.0 == name);
            let (name, form) =
                row.filter(|_| layer.is_none_or(|layer| layer < self.layers)).ok_or_else(|| {
                    Error::data(format!("tensor {:?} is not one that the architecture has", tensor.name))
                })?;
            form.compare(tensor)?;
            found.insert((layer, *name));
        }
        let missing =
            |name: String| Error::data(format!("tensor {name:?} is missing: convert the model anew"));
        if let Some((name, _)) = self.needed.iter().find(|row| !found.contains(&(None, row.0))) {
            return Err(missing((*name).into()));
        }
        for layer in 0..self.layers {
            if let Some((name, _)) =
                self.needed_in_layers.iter().find(|row| !found.contains(&(Some(layer), row.0)))
            {
                return Err(missing(format!("blk.{layer}.{name}")));
            }
        }
        Ok(())
    }
}

/// The layer, and the rest of the name. A number that llama.cpp would not write (`01`) makes no layer.
fn place(name: &str) -> (Option<u32>, &str) {
    let parts = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.'));
    let layer = parts.and_then(|(digits, rest)| {
        let layer: u32 = digits.parse().ok()?;
        (layer.to_string() == digits).then_some((Some(layer), rest))
    });
    layer.unwrap_or((None, name))
}

impl Form {
    fn compare(&self, tensor: &Tensor) -> Result<()> {
        let (shape, kind_fits) = match *self {
            Form::Matrix(row, rows) => (vec![row, rows], multiplies(tensor.kind)),
            Form::Vector(size) => (vec![size], tensor.kind == TensorType::F32),
        };
        // Sizes of 1 at the end mean nothing.
        let trimmed = |shape: &[u64]| {
            let length = shape.iter().rposition(|&size| size != 1).map_or(0, |last| last + 1);
            shape[..length].to_vec()
        };
        if trimmed(&tensor.shape) != trimmed(&shape) {
            return Err(Error::data(format!(
                "tensor {:?} has the shape {:?}, and the model's sizes ask for {shape:?}",
                tensor.name, tensor.shape
            )));
        }
        if !kind_fits {
            let what = format!(
                "tensor {:?} is stored as {}, which cannot be computed with",
                tensor.name, tensor.kind
            );
            return Err(Error::data(what + ": quantize the model anew"));
        }
        Ok(())
    }
}

/// Whether llama.cpp multiplies a matrix of this type, and takes rows of it, on a CPU: `type_traits_cpu` has a
/// `vec_dot`, and `ggml_compute_forward_get_rows` a case. NVFP4 needs scales in tensors of their own.
fn multiplies(kind: TensorType) -> bool {
    use TensorType::{F64, I8, I16, I32, I64, NVFP4, Q8_1, Q8_K};
    !matches!(kind, Q8_1 | Q8_K | I8 | I16 | I32 | I64 | F64 | NVFP4)
}
