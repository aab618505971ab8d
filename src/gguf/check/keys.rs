//! Keys with the types that llama.cpp reads them as.

use crate::error::{Error, Result};
use crate::gguf::{Array, Gguf, Value, ValueType};

use ValueType::{Bool, F32, I32, String as Text, U16, U32};

/// Keys that llama.cpp reads, whatever the architecture.
const GENERAL: [(&str, ValueType); 36] = [
    ("general.architecture", Text),
    ("general.name", Text),
    ("general.alignment", U32),
    ("general.file_type", U32),
    ("split.no", U16),
    ("split.count", U16),
    ("split.tensors.count", I32),
    ("tokenizer.chat_template", Text),
    ("tokenizer.ggml.model", Text),
    ("tokenizer.ggml.pre", Text),
    ("tokenizer.ggml.token_type_count", U32),
    ("tokenizer.ggml.bos_token_id", U32),
    ("tokenizer.ggml.eos_token_id", U32),
    ("tokenizer.ggml.eot_token_id", U32),
    ("tokenizer.ggml.eom_token_id", U32),
    ("tokenizer.ggml.unknown_token_id", U32),
    ("tokenizer.ggml.seperator_token_id", U32),
    ("tokenizer.ggml.padding_token_id", U32),
    ("tokenizer.ggml.cls_token_id", U32),
    ("tokenizer.ggml.mask_token_id", U32),
    ("tokenizer.ggml.fim_pre_token_id", U32),
    ("tokenizer.ggml.fim_suf_token_id", U32),
    ("tokenizer.ggml.fim_mid_token_id", U32),
    ("tokenizer.ggml.fim_pad_token_id", U32),
    ("tokenizer.ggml.fim_rep_token_id", U32),
    ("tokenizer.ggml.fim_sep_token_id", U32),
    ("tokenizer.ggml.prefix_token_id", U32),
    ("tokenizer.ggml.suffix_token_id", U32),
    ("tokenizer.ggml.middle_token_id", U32),
    ("tokenizer.ggml.add_bos_token", Bool),
    ("tokenizer.ggml.add_eos_token", Bool),
    ("tokenizer.ggml.add_sep_token", Bool),
    ("tokenizer.ggml.add_space_prefix", Bool),
    ("tokenizer.ggml.remove_extra_whitespaces", Bool),
    ("tokenizer.ggml.normalizer.lowercase", Bool),
    ("tokenizer.ggml.normalizer.strip_accents", Bool),
];

/// Keys that llama.cpp reads below the architecture's name, whatever it is.
const OWN: [(&str, ValueType); 31] = [
    ("context_length", U32),
    ("embedding_length", U32),
    ("embedding_length_out", U32),
    ("attention.causal", Bool),
    ("pooling_type", U32),
    ("classifier.pooling_type", U32),
    ("block_count", U32),
    ("nextn_predict_layers", U32),
    ("vocab_size", U32),
    ("expert_count", U32),
    ("expert_group_count", U32),
    ("expert_group_used_count", U32),
    ("rope.scaling.finetuned", Bool),
    ("rope.scaling.original_context_length", U32),
    ("rope.freq_base", F32),
    ("rope.freq_base_swa", F32),
    ("rope.scaling.type", Text),
    ("rope.scaling.factor", F32),
    ("rope.scaling.alpha", F32),
    ("rope.scaling.attn_factor", F32),
    ("rope.scaling.yarn_log_multiplier", F32),
    ("rope.scale_linear", F32),
    ("attention.key_length", U32),
    ("attention.value_length", U32),
    ("attention.key_length_swa", U32),
    ("attention.value_length_swa", U32),
    ("attention.layer_norm_epsilon", F32),
    ("attention.layer_norm_rms_epsilon", F32),
    ("attention.sliding_window", U32),
    ("rope.dimension_count", U32),
    ("rope.dimension_count_swa", U32),
];

/// Reading keys of a file, with errors that name the key.
#[derive(Clone, Copy)]
pub(super) struct Keys<'a>(pub(super) &'a Gguf);

/// An error about a key.
pub(super) fn wrong(key: &str, what: impl std::fmt::Display) -> Error {
    Error::data(format!("key {key:?} {what}"))
}

impl<'a> Keys<'a> {
    /// Holds all keys of the tables against their types, and refuses what a C string would cut.
    pub(super) fn types(&self, architecture: &str) -> Result<()> {
        if architecture.is_empty() || !architecture.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("general.architecture", format_args!("is {architecture:?}, which is no name")));
        }
        for (key, value) in &self.0.metadata {
            if key.contains('\0') || value.as_str().is_some_and(|text| text.contains('\0')) {
                return Err(wrong(key, "has a zero byte: the file is damaged, fetch it again"));
            }
            let own = key.strip_prefix(architecture).and_then(|rest| rest.strip_prefix('.'));
            let wanted =
                GENERAL.iter().find(|row| row.0 == key).or(OWN.iter().find(|row| Some(row.0) == own));
            if let Some(&(_, wanted)) = wanted {
                if matches!(value, Value::Array(_)) || value.kind() != wanted {
                    return Err(self.mismatch(key, wanted.name()));
                }
                if value.as_float().is_some_and(|number| !number.is_finite()) {
                    return Err(wrong(key, "is no finite number"));
                }
            }
        }
        Ok(())
    }

    /// Lists that llama.cpp reads if they are there: labels of a classifier, and tensors with a precision of their own.
    pub(super) fn lists(&self, architecture: &str) -> Result<()> {
        let labels = format!("{architecture}.classifier.output_labels");
        let (names, precisions) = ("general.tensor_extra.name", "general.tensor_extra.prec_a4");
        for key in [labels.as_str(), names] {
            match self.0.get(key) {
                Some(Value::Array(list)) if list.kind() != Text => {
                    return Err(self.mismatch(key, "a list of string"));
                }
                _ => {}
            }
        }
        let Some(Value::Array(list)) = self.0.get(names) else { return Ok(()) };
        match self.0.get(precisions) {
            Some(Value::Array(Array::Bool(values))) if values.len() == list.len() => Ok(()),
            _ => Err(self.mismatch(precisions, "a list of bool, one for each name")),
        }
    }

    fn mismatch(&self, key: &str, wanted: &str) -> Error {
        let found = self.0.get(key).map_or_else(|| "missing".into(), Value::describe);
        wrong(key, format_args!("has to be {wanted} and is {found}: convert the model anew"))
    }

    /// Refuses a part of a model that was cut into several files.
    pub(super) fn split(&self) -> Result<()> {
        match self.0.get("split.count").map(Value::as_uint) {
            None | Some(Some(0 | 1)) => Ok(()),
            Some(count) => {
                let count = count.map_or_else(|| "several".into(), |count| count.to_string());
                Err(wrong(
                    "split.count",
                    format_args!(
                        "says that the model lies in {count} files: join them with `llama-gguf-split --merge`"
                    ),
                ))
            }
        }
    }

    /// The text under a key, if it is there.
    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>> {
        match self.0.get(key) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or_else(|| self.mismatch(key, "string")),
        }
    }

    /// The text under a key.
    pub(super) fn required_text(&self, key: &str) -> Result<&'a str> {
        self.text(key)?.ok_or_else(|| wrong(key, "is missing: this is no model that can be run"))
    }

    /// The u32 under a key, if it is there.
    pub(super) fn number(&self, key: &str) -> Result<Option<u32>> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Value::U32(number)) => Ok(Some(*number)),
            Some(_) => Err(self.mismatch(key, "u32")),
        }
    }

    /// The u32 under a key, which lies between bounds.
    pub(super) fn number_within(&self, key: &str, least: u32, most: u32) -> Result<u32> {
        let number = self.number(key)?.ok_or_else(|| wrong(key, "is missing: convert the model anew"))?;
        if !(least..=most).contains(&number) {
            return Err(wrong(key, format_args!("is {number}; {least} to {most} are possible")));
        }
        Ok(number)
    }

    /// The f32 under a key, if it is there.
    pub(super) fn float(&self, key: &str) -> Result<Option<f32>> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Value::F32(number)) => Ok(Some(*number)),
            Some(_) => Err(self.mismatch(key, "f32")),
        }
    }

    /// The truth value under a key, if it is there.
    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>> {
        match self.0.get(key) {
            None => Ok(None),
            Some(value) => value.as_bool().map(Some).ok_or_else(|| self.mismatch(key, "bool")),
        }
    }

    /// One number for each of `layers`, from a u32 or a list of u32 or i32, if the key is there.
    pub(super) fn per_layer(&self, key: &str, layers: u32) -> Result<Option<Vec<u32>>> {
        let list: Vec<u32> = match self.0.get(key) {
            None => return Ok(None),
            Some(Value::U32(number)) => vec![*number; layers as usize],
            Some(Value::Array(Array::U32(list))) => list.clone(),
            Some(Value::Array(Array::I32(list))) => list
                .iter()
                .map(|&number| {
                    u32::try_from(number).map_err(|_| wrong(key, format_args!("has {number} in its list")))
                })
                .collect::<Result<_>>()?,
            Some(_) => return Err(self.mismatch(key, "u32, or a list of u32")),
        };
        if list.len() != layers as usize {
            return Err(wrong(key, format_args!("has {} numbers for {layers} layers", list.len())));
        }
        Ok(Some(list))
    }
}
