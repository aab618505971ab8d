//! Mutations of model files: of their bytes, and of what they say with the structure kept.

use rlkd::gguf::{Array, Gguf, Strings, Tensor, TensorType, Value, head};
use rlkd::seed::{Seed, Stream};

/// A file in parts that can be edited and put together again.
#[derive(Clone)]
pub struct Parts {
    pub metadata: Vec<(String, Value)>,
    pub tensors: Vec<(String, Vec<u64>, TensorType)>,
    /// The bytes of each tensor.
    pub data: Vec<Vec<u8>>,
}

impl Parts {
    pub fn of(bytes: &[u8]) -> Parts {
        let file = Gguf::read(std::io::Cursor::new(bytes)).expect("a file that reads");
        let data = |tensor: &Tensor| {
            let start = (file.data_offset + tensor.offset) as usize;
            bytes[start..start + tensor.bytes().expect("bytes") as usize].to_vec()
        };
        Parts {
            data: file.tensors.iter().map(data).collect(),
            tensors: file.tensors.iter().map(|t| (t.name.clone(), t.shape.clone(), t.kind)).collect(),
            metadata: file.metadata,
        }
    }

    /// The file, with each tensor's bytes cut or repeated to what its shape asks for. None if that is no file that
    /// can be written, or one above 8 MiB.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let sizes: Vec<u64> =
            self.tensors.iter().map(|(_, shape, kind)| kind.bytes(shape)).collect::<Option<_>>()?;
        if sizes.iter().try_fold(0u64, |sum, &size| sum.checked_add(size))? > 8 << 20 {
            return None;
        }
        let alignment = self.metadata.iter().find(|entry| entry.0 == "general.alignment");
        let alignment = alignment.and_then(|entry| entry.1.as_uint()).unwrap_or(32);
        if !alignment.is_power_of_two() || alignment > 1 << 16 {
            return None;
        }
        let (mut out, _) = head(&self.metadata, &self.tensors).ok()?;
        for (size, data) in sizes.iter().zip(&self.data) {
            out.extend(data.iter().cycle().take(*size as usize));
            out.resize(out.len().next_multiple_of(alignment as usize), 0);
        }
        Some(out)
    }

    pub fn set(&mut self, key: &str, value: Value) {
        match self.metadata.iter_mut().find(|entry| entry.0 == key) {
            Some(entry) => entry.1 = value,
            None => self.metadata.push((key.into(), value)),
        }
    }

    pub fn remove(&mut self, key: &str) {
        self.metadata.retain(|entry| entry.0 != key);
    }

    pub fn tensor(&mut self, name: &str) -> &mut (String, Vec<u64>, TensorType) {
        self.tensors.iter_mut().find(|tensor| tensor.0 == name).expect("the tensor")
    }

    /// The texts of a list, edited.
    pub fn edit_strings(&mut self, key: &str, edit: impl FnOnce(&mut Vec<String>)) {
        let value = self.metadata.iter_mut().find(|entry| entry.0 == key).map(|entry| &mut entry.1);
        if let Some(Value::Array(Array::String(list))) = value {
            let mut texts: Vec<String> = list.iter().map(str::to_owned).collect();
            edit(&mut texts);
            *list = texts.into_iter().collect::<Strings>();
        }
    }

    /// The token types, edited.
    pub fn edit_types(&mut self, edit: impl FnOnce(&mut Vec<i32>)) {
        let value = self.metadata.iter_mut().find(|entry| entry.0 == "tokenizer.ggml.token_type");
        if let Some((_, Value::Array(Array::I32(list)))) = value {
            edit(list);
        }
    }
}

/// Keys that llama.cpp reads and that a generated file may lack; `%` is the architecture.
const KEYS: [&str; 40] = [
    "%.embedding_length_out",
    "%.attention.causal",
    "%.pooling_type",
    "%.nextn_predict_layers",
    "%.expert_count",
    "%.expert_used_count",
    "%.expert_group_count",
    "%.expert_group_used_count",
    "%.rope.scaling.type",
    "%.rope.scaling.factor",
    "%.rope.scale_linear",
    "%.rope.scaling.attn_factor",
    "%.rope.scaling.alpha",
    "%.rope.scaling.original_context_length",
    "%.rope.scaling.finetuned",
    "%.attention.key_length_swa",
    "%.attention.value_length_swa",
    "%.rope.dimension_count_swa",
    "%.classifier.output_labels",
    "%.classifier.pooling_type",
    "%.attention.sliding_window",
    "%.attention.scale",
    "%.logit_scale",
    "%.rope.dimension_sections",
    "%.attention.layer_norm_epsilon",
    "general.alignment",
    "general.file_type",
    "general.tensor_extra.name",
    "general.tensor_extra.prec_a4",
    "split.count",
    "split.no",
    "split.tensors.count",
    "tokenizer.ggml.scores",
    "tokenizer.ggml.add_eos_token",
    "tokenizer.ggml.eot_token_id",
    "tokenizer.ggml.unknown_token_id",
    "tokenizer.ggml.suppress_tokens",
    "tokenizer.ggml.token_type_count",
    "tokenizer.ggml.precompiled_charsmap",
    "tokenizer.ggml.add_sep_token",
];

const NAMES: [&str; 24] = [
    "none",
    "linear",
    "yarn",
    "longrope",
    "su",
    "",
    "gpt2",
    "llama",
    "bert",
    "t5",
    "rwkv",
    "test",
    "gemma4",
    "whitespace",
    "default",
    "qwen2",
    "llama-bpe",
    "glm4",
    "tekken",
    "phi-3",
    "qwen3",
    "deepseek-llm",
    "gpt-2",
    "bloom",
];

fn pick<'a, T>(stream: &mut Stream, list: &'a [T]) -> &'a T {
    &list[stream.below(list.len() as u64) as usize]
}

fn number(stream: &mut Stream, near: u64) -> u64 {
    let special =
        [0, 1, 2, 3, 7, 8, 31, 32, 33, 63, 64, 65, 127, 128, 255, 256, 400, 512, 513, 1 << 16, 1 << 20];
    match stream.below(5) {
        0 => near.wrapping_add(1),
        1 => near.wrapping_sub(1),
        2 => *pick(
            stream,
            &[near * 2, near / 2, u64::from(u32::MAX), 1 << 31, (1 << 31) - 1, 1 << 32, u64::MAX, 1 << 63],
        ),
        _ => *pick(stream, &special),
    }
}

fn float(stream: &mut Stream) -> f32 {
    *pick(
        stream,
        &[0.0, -1.0, 1e-30, 1e30, f32::NAN, f32::INFINITY, 0.5, 1.0, 4.0, 10_000.0, f32::MIN_POSITIVE, -0.0],
    )
}

/// A value of any type.
fn any(stream: &mut Stream) -> Value {
    match stream.below(12) {
        0 => Value::U32(number(stream, 4) as u32),
        1 => Value::I32(number(stream, 4) as i32),
        2 => Value::U64(number(stream, 4)),
        3 => Value::F32(float(stream)),
        4 => Value::F64(float(stream).into()),
        5 => Value::Bool(stream.below(2) == 0),
        6 => Value::String((*pick(stream, &NAMES)).into()),
        7 => Value::U16(number(stream, 1) as u16),
        8 => Value::U8(number(stream, 1) as u8),
        9 => Value::Array(Array::U32((0..stream.below(5)).map(|_| number(stream, 4) as u32).collect())),
        10 => Value::Array(Array::String((0..stream.below(4)).map(|_| *pick(stream, &NAMES)).collect())),
        _ => Value::Array(Array::Bool((0..stream.below(4)).map(|at| at == 0).collect())),
    }
}

/// Another value of the same type.
fn another(stream: &mut Stream, value: &Value) -> Value {
    match value {
        Value::U32(x) => Value::U32(number(stream, u64::from(*x)) as u32),
        Value::F32(_) => Value::F32(float(stream)),
        Value::Bool(x) => Value::Bool(!x),
        Value::String(_) => Value::String((*pick(stream, &NAMES)).into()),
        Value::Array(Array::I32(list)) => {
            let mut list = list.clone();
            for _ in 0..1 + stream.below(8) {
                let at = stream.below(list.len().max(1) as u64) as usize;
                if let Some(item) = list.get_mut(at) {
                    *item = *pick(stream, &[0, 1, 2, 3, 4, 5, 6, 7, -1, i32::MAX]);
                }
            }
            if stream.below(6) == 0 {
                list.pop();
            }
            Value::Array(Array::I32(list))
        }
        other => other.clone(),
    }
}

fn edit_key(parts: &mut Parts, stream: &mut Stream) {
    let architecture = match &parts.metadata[0].1 {
        Value::String(name) => name.clone(),
        _ => String::new(),
    };
    let at = stream.below(parts.metadata.len() as u64) as usize;
    match stream.below(8) {
        0 => {
            parts.metadata.remove(at);
        }
        1 => parts.metadata[at].1 = any(stream),
        2 => {
            let entry = parts.metadata.remove(at);
            let to = stream.below(parts.metadata.len() as u64 + 1) as usize;
            parts.metadata.insert(to, entry);
        }
        3 | 4 => {
            let key = pick(stream, &KEYS).replace('%', &architecture);
            let value = any(stream);
            parts.set(&key, value);
        }
        _ => parts.metadata[at].1 = another(stream, &parts.metadata[at].1),
    }
}

fn edit_token(parts: &mut Parts, stream: &mut Stream) {
    let texts = [
        "",
        " ",
        "a",
        "\n",
        "[EMPTY_3]",
        "<0x00>",
        "</s>",
        "<|end|>",
        "\u{1f600}",
        "ĠĠĠĠ",
        "unused",
        "\u{2581}",
    ];
    let key = *pick(stream, &["tokenizer.ggml.tokens", "tokenizer.ggml.tokens", "tokenizer.ggml.merges"]);
    let stream = &mut *stream;
    parts.edit_strings(key, |list| {
        let count = list.len() as u64;
        let (one, two) = (stream.below(count) as usize, stream.below(count) as usize);
        match stream.below(7) {
            0 => list.swap(one, two),
            1 => list[one] = list[two].clone(),
            2 => list[one] = (*pick(stream, &texts)).into(),
            3 => {
                list.remove(one);
            }
            4 => {
                list[one] = pick(stream, &["x", "中", "é", "Ā"]).repeat(*pick(stream, &[2, 100, 1000, 5000]))
            }
            5 => list.push(format!("{} {}", list[one], list[two])),
            _ => list[one].push(' '),
        }
    });
    if stream.below(3) == 0 {
        parts.edit_types(|list| {
            let at = stream.below(list.len() as u64) as usize;
            list[at] = stream.below(8) as i32;
        });
    }
}

fn edit_tensor(parts: &mut Parts, stream: &mut Stream) {
    let count = parts.tensors.len() as u64;
    let (one, two) = (stream.below(count) as usize, stream.below(count) as usize);
    let kinds: Vec<TensorType> = TensorType::all().collect();
    match stream.below(10) {
        0 => {
            parts.tensors.remove(one);
            parts.data.remove(one);
        }
        1 => {
            let name = parts.tensors[two].0.clone();
            let other = std::mem::replace(&mut parts.tensors[one].0, name);
            parts.tensors[two].0 = other;
        }
        2 => parts.tensors[one].1.reverse(),
        3 => {
            let at = stream.below(parts.tensors[one].1.len() as u64) as usize;
            parts.tensors[one].1[at] = number(stream, parts.tensors[one].1[at]);
        }
        4 => parts.tensors[one].1.push(*pick(stream, &[1, 1, 1, 2, 0])),
        5 | 6 => parts.tensors[one].2 = *pick(stream, &kinds),
        7 => {
            // All matrices: what a quantizer would do.
            let kind = *pick(stream, &kinds);
            parts.tensors.iter_mut().filter(|t| t.1.len() == 2).for_each(|t| t.2 = kind);
        }
        8 => {
            let names = [
                "rope_freqs.weight",
                "blk.0.attn_q.bias",
                "blk.0.ffn_up.bias",
                "output.bias",
                "blk.0.attn_q.scale",
                "blk.0.attn_output.bias",
                "blk.01.attn_q.bias",
                "blk.1.attn_q.weight",
                "cls.output.weight",
                "blk.0.attn_qkv.weight",
                "rope_factors_long.weight",
                "rope_factors_short.weight",
            ];
            let shape =
                pick(stream, &[vec![1], vec![16], vec![32], vec![64], vec![64, 1], vec![400], vec![16, 2]])
                    .clone();
            let kind = *pick(stream, &[TensorType::F32, TensorType::F32, TensorType::F16, TensorType::I32]);
            parts.tensors.push(((*pick(stream, &names)).into(), shape, kind));
            parts.data.push(vec![0, 0, 128, 63]);
        }
        _ => {
            parts.tensors.swap(one, two);
            parts.data.swap(one, two);
        }
    }
}

fn edit_weights(parts: &mut Parts, stream: &mut Stream) {
    let at = stream.below(parts.data.len() as u64) as usize;
    let fill = match stream.below(4) {
        0 => vec![0xff],
        1 => f32::NAN.to_le_bytes().to_vec(),
        2 => f32::INFINITY.to_le_bytes().to_vec(),
        _ => (0..64).map(|_| stream.next_u64() as u8).collect(),
    };
    let length = parts.data[at].len();
    parts.data[at] = fill.into_iter().cycle().take(length).collect();
}

/// The mutation of `index`, of a file that is `bytes` and whose head ends at `data_offset`.
pub fn mutate(bytes: &[u8], data_offset: usize, index: u64) -> Vec<u8> {
    let stream = &mut Seed(7).stream("hostile", index);
    let mut out = bytes.to_vec();
    match index % 10 {
        0 => {
            for _ in 0..1 + stream.below(4) {
                let bit = stream.below(data_offset as u64 * 8);
                out[(bit / 8) as usize] ^= 1 << (bit % 8);
            }
        }
        1 => {
            // The first bytes, where counts, types and lengths are close together.
            let bit = stream.below(8 * 1_200);
            out[(bit / 8) as usize] ^= 1 << (bit % 8);
        }
        2 => out.truncate(stream.below(bytes.len() as u64) as usize),
        3 => {
            let wide = stream.below(2) == 0;
            let room = if stream.below(2) == 0 { data_offset } else { 1_200 };
            let at = stream.below(room as u64 - 8) as usize;
            let value = number(stream, bytes.len() as u64).to_le_bytes();
            let size = if wide { 8 } else { 4 };
            out[at..at + size].copy_from_slice(&value[..size]);
        }
        _ => {
            let parts = Parts::of(bytes);
            // Edits that cannot be written are drawn again.
            for _ in 0..20 {
                let mut edited = parts.clone();
                for _ in 0..1 + stream.below(2) {
                    match stream.below(8) {
                        0 => edit_weights(&mut edited, stream),
                        1 | 2 => edit_token(&mut edited, stream),
                        3 | 4 => edit_tensor(&mut edited, stream),
                        _ => edit_key(&mut edited, stream),
                    }
                }
                if let Some(bytes) = edited.bytes() {
                    return bytes;
                }
            }
        }
    }
    out
}
