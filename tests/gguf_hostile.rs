//! Damaged and crafted model files: the check refuses them with a word on why, and what it lets through does not take
//! llama.cpp, and the process with it, down.

#[path = "hostile/mutate.rs"]
mod mutate;

use std::path::Path;

use mutate::Parts;
use rlkd::gguf::random::{Architecture, Spec, write};
use rlkd::gguf::{Array, Gguf, Strings, TensorType, Value, check};

/// A model that loads in a millisecond.
fn tiny(architecture: Architecture) -> Spec {
    let weights = match architecture {
        Architecture::Qwen2 => TensorType::F32,
        Architecture::Qwen3 => TensorType::Q8_0,
        Architecture::Llama => TensorType::Q4_0,
    };
    let tied = architecture == Architecture::Qwen3;
    let sizes = Spec {
        vocabulary: 400,
        embedding: 64,
        layers: 1,
        heads: 2,
        kv_heads: 1,
        head_size: 32,
        ..Spec::default()
    };
    Spec { architecture, weights, tied, feed_forward: 64, context: 512, ..sizes }
}

fn bytes_of(architecture: Architecture) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    write(&path, &tiny(architecture)).expect("write");
    std::fs::read(&path).expect("read")
}

/// The llama model with a SentencePiece vocabulary of the same size: three special tokens, the bytes, pieces.
fn sentence_piece() -> Vec<u8> {
    let mut parts = Parts::of(&bytes_of(Architecture::Llama));
    let special = ["<unk>", "<s>", "</s>"].map(str::to_owned);
    let bytes = (0..256).map(|byte| format!("<0x{byte:02X}>"));
    let letter = |at: u8| char::from(b'a' + at % 26);
    let pieces = (0..400u16 - 259).map(|at| match at as u8 {
        0 => "\u{2581}".into(),
        at @ 1..27 => letter(at - 1).to_string(),
        at => format!("\u{2581}{}{}", letter(at), letter(at / 26)),
    });
    let tokens: Strings = special.into_iter().chain(bytes).chain(pieces).collect();
    let types = (0..400).map(|at| [2, 3, 3].get(at).copied().unwrap_or(if at < 259 { 6 } else { 1 }));
    parts.set("tokenizer.ggml.model", "llama".into());
    parts.set("tokenizer.ggml.tokens", tokens.into());
    parts.set("tokenizer.ggml.token_type", types.collect::<Vec<i32>>().into());
    parts.set("tokenizer.ggml.scores", Value::Array(Array::F32((0..400).map(|at| -(at as f32)).collect())));
    parts.set("tokenizer.ggml.bos_token_id", Value::U32(1));
    parts.set("tokenizer.ggml.eos_token_id", Value::U32(2));
    parts.set("tokenizer.ggml.padding_token_id", Value::U32(0));
    parts.remove("tokenizer.ggml.pre");
    parts.remove("tokenizer.ggml.merges");
    parts.bytes().expect("bytes")
}

/// Checks bytes as a file; the error as text.
fn checked(folder: &Path, bytes: &[u8]) -> Result<rlkd::gguf::Facts, String> {
    let path = folder.join("checked.gguf");
    std::fs::write(&path, bytes).expect("write");
    check(&path).map_err(|error| error.to_string())
}

#[test]
fn facts_are_those_of_the_spec() {
    let folder = tempfile::tempdir().expect("a folder");
    for architecture in Architecture::ALL {
        let spec = tiny(architecture);
        let facts = checked(folder.path(), &bytes_of(architecture)).expect("it passes");
        assert_eq!(facts.architecture, architecture.name());
        assert_eq!((facts.block_count, facts.head_count, facts.head_count_kv), (1, 2, 1));
        assert_eq!((facts.key_length, facts.value_length, facts.embedding_length), (32, 32, 64));
        assert_eq!((facts.context_length, facts.feed_forward_length, facts.vocabulary), (512, 64, 400));
        assert_eq!(facts.weights, spec.weights);
        assert_eq!(facts.tokenizer_model.as_deref(), Some("gpt2"));
        let is_llama = architecture == Architecture::Llama;
        assert_eq!(facts.tokenizer_pre.as_deref(), Some(if is_llama { "llama-bpe" } else { "qwen2" }));
        assert!(facts.chat_template.is_some_and(|template| template.contains("add_generation_prompt")));
        // Embedding and output; queries, keys, values, output, three of the feed-forward; norms; what differs.
        let outputs = if spec.tied { 1 } else { 2 };
        let extra = match architecture {
            Architecture::Qwen2 => 64 + 32 + 32,
            Architecture::Qwen3 => 32 + 32,
            Architecture::Llama => 0,
        };
        let layer = 64 * 64 + 64 * 32 + 64 * 32 + 64 * 64 + 3 * 64 * 64;
        assert_eq!(facts.parameters, outputs * 400 * 64 + layer + 3 * 64 + extra);
        let bytes = &facts.tensor_bytes;
        let stored = |numbers: u64| spec.weights.bytes(&[numbers]).expect("whole blocks");
        assert_eq!(bytes.token_embedding, stored(400 * 64));
        assert_eq!(bytes.output, if spec.tied { 0 } else { stored(400 * 64) } + 64 * 4);
        assert_eq!(bytes.layers, [stored(layer) + (2 * 64 + extra) * 4]);
        assert_eq!(bytes.other, 0);
    }
}

type Edit = fn(&mut Parts);

/// What is wrong, the edit that makes it so, and a word of the message. Each is a way in which llama.cpp would end the
/// process, or refuse without a word that helps.
const EDITS: &[(&str, Edit, &str)] = &[
    ("no architecture", |p| p.remove("general.architecture"), "general.architecture"),
    (
        "an architecture that is no text",
        |p| p.set("general.architecture", Value::U32(1)),
        "general.architecture",
    ),
    ("a part of a model", |p| p.set("split.count", Value::U16(3)), "join them"),
    ("no layers", |p| p.set("qwen2.block_count", Value::U32(0)), "qwen2.block_count"),
    ("too many layers", |p| p.set("qwen2.block_count", Value::U32(513)), "qwen2.block_count"),
    ("a layer without tensors", |p| p.set("qwen2.block_count", Value::U32(2)), "blk.1."),
    ("a count of the wrong type", |p| p.set("qwen2.block_count", Value::U64(1)), "has to be u32"),
    (
        "an embedding of another size",
        |p| p.set("qwen2.embedding_length", Value::U32(32)),
        "qwen2.attention.head_count",
    ),
    ("no heads", |p| p.set("qwen2.attention.head_count", Value::U32(0)), "qwen2.attention.head_count"),
    (
        "heads that do not divide",
        |p| p.set("qwen2.attention.head_count_kv", Value::U32(3)),
        "does not divide",
    ),
    ("no heads of keys", |p| p.set("qwen2.attention.head_count_kv", Value::U32(0)), "does not divide"),
    (
        "heads for each layer",
        |p| p.set("qwen2.attention.head_count", Value::Array(Array::U32(vec![2]))),
        "has to be u32",
    ),
    ("an odd head", |p| p.set("qwen2.attention.key_length", Value::U32(31)), "even numbers"),
    ("values unlike keys", |p| p.set("qwen2.attention.value_length", Value::U32(16)), "value_length"),
    (
        "half of a head is rotated",
        |p| p.set("qwen2.rope.dimension_count", Value::U32(16)),
        "rope.dimension_count",
    ),
    ("an unknown scaling", |p| p.set("qwen2.rope.scaling.type", "su".into()), "linear"),
    ("a base that is no number", |p| p.set("qwen2.rope.freq_base", f32::NAN.into()), "no finite number"),
    (
        "a negative epsilon",
        |p| p.set("qwen2.attention.layer_norm_rms_epsilon", (-1.0f32).into()),
        "not above 0",
    ),
    ("no epsilon", |p| p.remove("qwen2.attention.layer_norm_rms_epsilon"), "is missing"),
    (
        "an epsilon that is no number",
        |p| p.set("qwen2.attention.layer_norm_rms_epsilon", f32::NAN.into()),
        "finite",
    ),
    ("experts", |p| p.set("qwen2.expert_count", Value::U32(2)), "expert_used_count"),
    ("experts used of none", |p| p.set("qwen2.expert_used_count", Value::U32(2)), "expert_used_count"),
    ("groups of no experts", |p| p.set("qwen2.expert_group_count", Value::U32(1)), "expert_group_count"),
    (
        "more next layers than layers",
        |p| p.set("qwen2.nextn_predict_layers", Value::U32(9)),
        "nextn_predict_layers",
    ),
    (
        "another length of outputs",
        |p| p.set("qwen2.embedding_length_out", Value::U32(4096)),
        "embedding_length_out",
    ),
    ("attention to what comes", |p| p.set("qwen2.attention.causal", false.into()), "attention.causal"),
    ("a ranking", |p| p.set("qwen2.pooling_type", Value::U32(4)), "pooling_type"),
    ("an unknown pooling", |p| p.set("qwen2.pooling_type", Value::U32(77)), "pooling_type"),
    ("a small alignment", |p| p.set("general.alignment", Value::U32(8)), "general.alignment"),
    ("a huge template", |p| p.set("tokenizer.chat_template", "x".repeat(65_537).into()), "65536"),
    ("a zero byte in a name", |p| p.set("general.name", "a\0b".into()), "zero byte"),
    ("a tokenizer of another kind", |p| p.set("tokenizer.ggml.model", "t5".into()), "tokenizer.ggml.model"),
    (
        "a tokenizer that does not spell bytes",
        |p| p.set("tokenizer.ggml.pre", "gemma4".into()),
        "tokenizer.ggml.pre",
    ),
    ("an unknown cut", |p| p.set("tokenizer.ggml.pre", "qwen2,".into()), "tokenizer.ggml.pre"),
    (
        "labels that are numbers",
        |p| p.set("qwen2.classifier.output_labels", vec![1].into()),
        "a list of string",
    ),
    (
        "precisions of no tensors",
        |p| p.set("general.tensor_extra.name", Value::from(Strings::default())),
        "prec_a4",
    ),
    ("no tokens", |p| p.remove("tokenizer.ggml.tokens"), "tokenizer.ggml.tokens"),
    (
        "tokens that are numbers",
        |p| p.set("tokenizer.ggml.tokens", vec![1, 2].into()),
        "tokenizer.ggml.tokens",
    ),
    ("a token twice", |p| p.edit_strings("tokenizer.ggml.tokens", |t| t[300] = t[299].clone()), "twice"),
    (
        "a zero byte in tokens",
        |p| p.edit_strings("tokenizer.ggml.tokens", |t| t[300] = "a\0".into()),
        "zero byte",
    ),
    (
        "an empty token's name",
        |p| {
            p.edit_strings("tokenizer.ggml.tokens", |t| {
                (t[397], t[398]) = (String::new(), "[EMPTY_397]".into());
            })
        },
        "EMPTY",
    ),
    (
        "no token for a letter",
        |p| p.edit_strings("tokenizer.ggml.tokens", |t| t[65] = "other".into()),
        "0x41",
    ),
    (
        "no token for a new line",
        |p| p.edit_strings("tokenizer.ggml.tokens", |t| t[10] = "other".into()),
        "0x0a",
    ),
    (
        "an endless token",
        |p| p.edit_strings("tokenizer.ggml.tokens", |t| t[399] = "x".repeat(1025)),
        "1025 characters",
    ),
    ("tokens without types", |p| p.edit_types(|t| t.truncate(399)), "399 items"),
    ("an unknown type of token", |p| p.edit_types(|t| t[3] = 7), "unknown type 7"),
    ("a byte that is none", |p| p.edit_types(|t| t[3] = 6), "is a byte"),
    ("scores for some", |p| p.set("tokenizer.ggml.scores", Value::Array(Array::F32(vec![0.0]))), "scores"),
    ("no merges", |p| p.remove("tokenizer.ggml.merges"), "tokenizer.ggml.merges"),
    ("half of a merge", |p| p.edit_strings("tokenizer.ggml.merges", |m| m[0] = "ab".into()), "no pair"),
    (
        "a merge of no tokens",
        |p| p.edit_strings("tokenizer.ggml.merges", |m| m[0] = "zq qz".into()),
        "no token",
    ),
    ("an end that is no u32", |p| p.set("tokenizer.ggml.eos_token_id", Value::I32(3)), "has to be u32"),
    (
        "no beginning",
        |p| {
            p.set("tokenizer.ggml.pre", "glm4".into());
            p.set("tokenizer.ggml.add_bos_token", true.into());
            p.remove("tokenizer.ggml.bos_token_id");
        },
        "bos_token_id",
    ),
    (
        "a beginning that is no token",
        |p| {
            p.set("tokenizer.ggml.pre", "glm4".into());
            p.set("tokenizer.ggml.add_bos_token", true.into());
            p.set("tokenizer.ggml.bos_token_id", Value::U32(400));
        },
        "bos_token_id",
    ),
    (
        "a matrix of whole numbers",
        |p| p.tensor("blk.0.attn_q.weight").2 = TensorType::I32,
        "cannot be computed",
    ),
    ("a matrix of sums", |p| p.tensor("token_embd.weight").2 = TensorType::Q8_1, "cannot be computed"),
    (
        "a norm that is no float32",
        |p| p.tensor("output_norm.weight").2 = TensorType::F16,
        "cannot be computed",
    ),
    ("a matrix on its side", |p| p.tensor("blk.0.attn_k.weight").1.reverse(), "the model's sizes ask for"),
    ("a row of a tensor more", |p| p.tensor("token_embd.weight").1[1] = 401, "the model's sizes ask for"),
    ("an empty tensor", |p| p.tensor("output_norm.weight").1[0] = 0, "is empty"),
    ("a tensor of another model", |p| p.tensor("output.weight").0 = "cls.weight".into(), "is not one that"),
    (
        "a tensor of no layer",
        |p| p.tensor("blk.0.attn_q.bias").0 = "blk.7.attn_q.bias".into(),
        "is not one that",
    ),
    (
        "a missing tensor",
        |p| p.tensor("output_norm.weight").0 = "output.bias".into(),
        "the model's sizes ask for",
    ),
];

#[test]
fn what_is_wrong_is_refused_and_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let parts = Parts::of(&bytes_of(Architecture::Qwen2));
    assert!(
        checked(folder.path(), &parts.bytes().expect("bytes")).is_ok(),
        "the file without an edit passes"
    );
    for (what, edit, word) in EDITS {
        let mut edited = parts.clone();
        edit(&mut edited);
        let bytes = edited.bytes().unwrap_or_else(|| panic!("{what}: cannot be written"));
        match checked(folder.path(), &bytes) {
            Ok(_) => panic!("{what}: passed"),
            Err(message) => {
                assert!(message.contains(word), "{what}: {message}");
                assert!(message.contains("checked.gguf"), "{what} names the file: {message}");
            }
        }
    }
}

/// Heads as other programs write them: all of them pass, and are checked in full.
const OTHERS: &[(&str, Edit)] = &[
    ("bytes without a token: those that UTF-8 never has, and control characters", |p| {
        p.edit_strings("tokenizer.ggml.tokens", |tokens| {
            for byte in [0xc0, 0xc1].into_iter().chain(0xf5..=0xff).chain(0x00..=0x07) {
                tokens[byte] = format!("<|unused_{byte}|>");
            }
        });
    }),
    ("ids that mean none", |p| {
        for key in ["eos", "seperator", "padding", "unknown"] {
            p.set(&format!("tokenizer.ggml.{key}_token_id"), Value::U32(u32::MAX));
        }
    }),
    ("an end that is no token, with a default", |p| {
        p.set("tokenizer.ggml.add_eos_token", true.into());
        p.set("tokenizer.ggml.eos_token_id", Value::U32(400));
    }),
    ("an id behind the last that llama.cpp does not know", |p| {
        p.set("tokenizer.ggml.image_token_id", Value::U32(400));
    }),
    ("an empty token", |p| p.edit_strings("tokenizer.ggml.tokens", |tokens| tokens[399] = String::new())),
    ("padding of the vocabulary", |p| {
        p.edit_strings("tokenizer.ggml.tokens", |tokens| tokens[399] = "[PAD399]".into());
        p.edit_types(|types| types[399] = 5);
    }),
    ("no cut named, as in older files", |p| p.remove("tokenizer.ggml.pre")),
    ("another size of the vocabulary", |p| p.set("qwen2.vocab_size", Value::U32(512))),
    ("a rotation that is stretched by yarn", |p| {
        p.set("qwen2.rope.scaling.type", "yarn".into());
        p.set("qwen2.rope.scaling.factor", 4.0f32.into());
        p.set("qwen2.rope.scaling.original_context_length", Value::U32(128));
        p.set("qwen2.rope.scaling.attn_factor", 1.0f32.into());
        p.set("qwen2.rope.scaling.yarn_log_multiplier", 0.1f32.into());
        p.set("qwen2.rope.scaling.yarn_ext_factor", 1.0f32.into());
        p.set("qwen2.rope.scaling.yarn_beta_fast", 32.0f32.into());
    }),
    ("a rotation that is stretched evenly", |p| {
        p.set("qwen2.rope.scaling.type", "linear".into());
        p.set("qwen2.rope.scale_linear", 2.0f32.into());
        p.set("qwen2.rope.scaling.finetuned", true.into());
    }),
    ("an importance matrix", |p| {
        p.set("quantize.imatrix.file", "imatrix.dat".into());
        p.set("quantize.imatrix.dataset", "calibration.txt".into());
        p.set("quantize.imatrix.entries_count", Value::I32(7));
        p.set("quantize.imatrix.chunks_count", Value::I32(128));
    }),
    ("several chat templates", |p| {
        p.set(
            "tokenizer.chat_templates",
            Value::from(["tool_use", "rag"].map(str::to_owned).into_iter().collect::<Strings>()),
        );
        p.set("tokenizer.chat_template.tool_use", "{{ messages }}".into());
        p.set("tokenizer.chat_template.rag", "{{ messages }}".into());
    }),
    ("a long chat template", |p| p.set("tokenizer.chat_template", "words\n{# #}".repeat(5_957).into())),
    ("no chat template", |p| p.remove("tokenizer.chat_template")),
];

#[test]
fn files_of_other_programs_pass() {
    let folder = tempfile::tempdir().expect("a folder");
    let parts = Parts::of(&bytes_of(Architecture::Qwen2));
    for (what, edit) in OTHERS {
        let mut edited = parts.clone();
        edit(&mut edited);
        let bytes = edited.bytes().unwrap_or_else(|| panic!("{what}: cannot be written"));
        let facts = checked(folder.path(), &bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(facts.vocabulary == 400 && facts.checked_in_full, "{what}");
    }
    // Llama 3 has factors of its rotation as a tensor.
    let mut parts = Parts::of(&bytes_of(Architecture::Llama));
    parts.tensors.push(("rope_freqs.weight".into(), vec![16], TensorType::F32));
    parts.data.push(1.0f32.to_le_bytes().into());
    checked(folder.path(), &parts.bytes().expect("bytes")).expect("rope_freqs");
    // A small SentencePiece vocabulary that names neither a separator nor a padding.
    let mut parts = Parts::of(&sentence_piece());
    for key in ["seperator", "padding"] {
        parts.set(&format!("tokenizer.ggml.{key}_token_id"), Value::U32(u32::MAX));
    }
    checked(folder.path(), &parts.bytes().expect("bytes")).expect("ids that mean none");
}

type Damage = fn(&mut Vec<u8>);

/// Damage to the bytes themselves, at places that the format fixes.
const DAMAGES: &[(&str, Damage, &str)] = &[
    ("nothing", |b| b.clear(), "GGUF"),
    ("another format", |b| b[0] = b'X', "no GGUF"),
    ("version 1", |b| b[4] = 1, "version 1"),
    ("version 4", |b| b[4] = 4, "version 4"),
    ("the other byte order", |b| b[4..8].copy_from_slice(&[0, 0, 0, 3]), "byte order"),
    ("too many tensors", |b| b[15] = 0x7f, "tensors are announced"),
    ("too many keys", |b| b[20] = 0x7f, "metadata entries are announced"),
    ("a key that is too long", |b| b[26] = 1, "byte 24"),
    ("a key that goes beyond the end", |b| b[24..32].copy_from_slice(&60_000u64.to_le_bytes()), "byte"),
    ("a key that is no text", |b| b[32] = 0xff, "UTF-8"),
    ("a value of no type", |b| b[52] = 13, "unknown value type 13"),
    ("cut in the head", |b| b.truncate(100), "cut or damaged"),
    ("cut in the data", |b| b.truncate(b.len() - 100), "it is cut"),
];

#[test]
fn damaged_bytes_are_refused_with_their_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = bytes_of(Architecture::Qwen2);
    for (what, damage, word) in DAMAGES {
        let mut damaged = bytes.clone();
        damage(&mut damaged);
        match checked(folder.path(), &damaged) {
            Ok(_) => panic!("{what}: passed"),
            Err(message) => assert!(message.contains(word), "{what}: {message}"),
        }
    }
}

#[test]
fn a_file_of_countless_keys_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let metadata = |count: usize| (0..count).map(|at| (format!("{at:x}"), Value::Bool(true))).collect();
    let bytes = |count| Parts { metadata: metadata(count), tensors: Vec::new(), data: Vec::new() }.bytes();
    let refused = |count| checked(folder.path(), &bytes(count).expect("bytes")).expect_err("it is no model");
    assert!(refused(65_537).contains("65537 metadata entries are announced; 65536"), "{}", refused(65_537));
    assert!(refused(65_536).contains("general.architecture"), "{}", refused(65_536));
}

/// Where the description of a tensor lies in the head: after its name.
fn after_name(bytes: &[u8], name: &str) -> usize {
    let place = bytes.windows(name.len()).rposition(|window| window == name.as_bytes());
    place.expect("the name") + name.len()
}

#[test]
fn tensors_that_lie_wrong_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = bytes_of(Architecture::Qwen2);
    // Dimensions (u32), a size for each (u64), the type (u32), the offset (u64).
    let at = after_name(&bytes, "blk.0.attn_norm.weight");
    let (dimensions, size, kind, offset) = (at, at + 4, at + 12, at + 16);
    let current = u64::from_le_bytes(bytes[offset..offset + 8].try_into().expect("eight bytes"));
    assert!(current > 0 && current % 32 == 0, "the place is right: {current}");
    let cases: [(&str, usize, Vec<u8>, &str); 8] = [
        ("no dimensions", dimensions, 0u32.to_le_bytes().into(), "0 dimensions"),
        ("five dimensions", dimensions, 5u32.to_le_bytes().into(), "5 dimensions"),
        ("a huge size", size, u64::MAX.to_le_bytes().into(), "too large"),
        ("a type that was removed", kind, 4u32.to_le_bytes().into(), "unknown type 4"),
        ("blocks that do not fit", kind, 12u32.to_le_bytes().into(), "whole blocks"),
        ("an overlap", offset, 0u64.to_le_bytes().into(), "overlaps"),
        ("a gap", offset, (current + 32).to_le_bytes().into(), "gap"),
        ("an offset beyond all", offset, u64::MAX.to_le_bytes().into(), "gap"),
    ];
    for (what, at, new, word) in cases {
        let mut edited = bytes.clone();
        edited[at..at + new.len()].copy_from_slice(&new);
        let message = checked(folder.path(), &edited).expect_err(what);
        assert!(message.contains(word), "{what}: {message}");
    }
}

#[test]
fn sentence_piece_vocabularies_need_their_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = sentence_piece();
    let facts = checked(folder.path(), &bytes).expect("it passes");
    assert_eq!(facts.tokenizer_model.as_deref(), Some("llama"));
    let cases: [(&str, Edit, &str); 2] = [
        ("no byte", |p| p.edit_strings("tokenizer.ggml.tokens", |t| t[3 + 0x41] = "A".into()), "<0x41>"),
        ("a byte by name", |p| p.edit_types(|t| t[300] = 6), "is a byte"),
    ];
    for (what, edit, word) in cases {
        let mut parts = Parts::of(&bytes);
        edit(&mut parts);
        let message = checked(folder.path(), &parts.bytes().expect("bytes")).expect_err(what);
        assert!(message.contains(word), "{what}: {message}");
    }
}

#[test]
fn other_architectures_pass_the_general_checks() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut parts = Parts::of(&bytes_of(Architecture::Qwen2));
    for (key, value) in &mut parts.metadata {
        if key == "general.architecture" {
            *value = "olmo2".into();
        } else if let Some(rest) = key.strip_prefix("qwen2.") {
            *key = format!("olmo2.{rest}");
        }
    }
    let facts = checked(folder.path(), &parts.bytes().expect("bytes")).expect("it passes");
    assert_eq!((facts.architecture.as_str(), facts.head_count), ("olmo2", 2));
    assert!(!facts.checked_in_full);
    parts.set("olmo2.rope.scaling.type", "su".into());
    assert!(checked(folder.path(), &parts.bytes().expect("bytes")).is_err());
}

#[test]
fn experts_and_fused_tensors_pass_the_general_checks() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases: [(&str, Edit); 2] = [
        ("experts", |p| {
            p.set("llama.expert_count", Value::U32(8));
            p.set("llama.expert_used_count", Value::U32(2));
            for part in ["gate", "up", "down"] {
                let tensor = p.tensor(&format!("blk.0.ffn_{part}.weight"));
                tensor.0 = format!("blk.0.ffn_{part}_exps.weight");
                tensor.1.push(8);
            }
        }),
        ("fused tensors", |p| {
            let tensor = p.tensor("blk.0.attn_q.weight");
            (tensor.0, tensor.1[1]) = ("blk.0.attn_qkv.weight".into(), 64 + 2 * 32);
        }),
    ];
    for (what, edit) in cases {
        let mut parts = Parts::of(&bytes_of(Architecture::Llama));
        edit(&mut parts);
        let facts = checked(folder.path(), &parts.bytes().expect("bytes")).expect(what);
        assert!(!facts.checked_in_full, "{what}");
        parts.tensor("token_embd.weight").1[1] = 401;
        let message = checked(folder.path(), &parts.bytes().expect("bytes")).expect_err(what);
        assert!(message.contains("there are 400 tokens"), "{what}: {message}");
    }
}

#[cfg(feature = "llama")]
#[path = "hostile/children.rs"]
mod children;
