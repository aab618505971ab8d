//! The tokenizer: what `llama_vocab::impl::load` and the tokenizers themselves rely on.

use rustc_hash::FxHashSet;

use super::keys::{Keys, wrong};
use crate::error::{Error, Result};
use crate::gguf::random::byte_chars;
use crate::gguf::{Array, Gguf, Strings, Value};

/// Most tokens. Released models have up to 262,144.
const MOST_TOKENS: usize = 1 << 22;
/// Most characters of a token. The trie that grammars are matched with takes paths of 1,024 bytes, and the longest
/// token that circulates is 1,024 spaces.
const MOST_CHARACTERS: usize = 1024;
/// Most characters of all tokens: the trie has fewer than 2^22 nodes. Released models need up to about 2 million.
const MOST_CHARACTERS_IN_ALL: usize = (1 << 22) - 1;
/// Most bytes that tokens with characters outside the byte alphabet may become: llama.cpp spells each such character
/// with the whole token in it (`llama_decode_text`).
const MOST_SPELLING: u64 = 1 << 26;
/// Token types, `llama_token_type`: undefined, normal, unknown, control, user-defined, unused, byte.
const NORMAL: i32 = 1;
const BYTE: i32 = 6;

/// Ways to cut a text before merging that the pinned llama.cpp knows, and in which bytes are spelt first.
const CUTS: &str = "a.x-4.0 afmoe bailingmoe bailingmoe2 bloom chameleon chatglm-bpe codeshell cohere2moe command-r \
    dbrx deepseek-coder deepseek-llm deepseek-r1-qwen deepseek-v3 default exaone exaone-moe exaone4 \
    f2llmv2 falcon falcon-h1 falcon3 gigachat glm4 glm5 gpt-2 gpt-4o gpt3-finnish granite-docling \
    granite-embed-multi-97m grok-2 hunyuan hunyuan-dense hy_v4 jais jais-2 jina-de jina-es jina-v1-en \
    jina-v2-code jina-v2-de jina-v2-es jina-v5-nano joyai-llm kanana2 kimi-k2 kormo laguna lfm2 llada- \
    moe llama-bpe llama-v3 llama3 llama4 megrez mellum mellum2 midm-2.0 minerva-7b minicpm5 minimax-m2 \
    modern-bert mpt olmo phi-2 pixtral poro-chat qwen2 qwen35 refact roberta-bpe seed-coder smaug-bpe \
    smollm solar-open spark2_5 stablelm2 starcoder superbpe talkie tekken tiny_aya trillion ufakzeka \
    viking youtu";
/// Those that do not spell bytes. Their tokenizer asserts that no piece has a space.
pub(super) const UNSPELT_CUTS: [&str; 5] =
    ["gemma4", "granite-embed-multi-311m", "mmbert", "sarvam-moe", "whitespace"];

const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
const PRE: &str = "tokenizer.ggml.pre";
const SCORES: &str = "tokenizer.ggml.scores";
const MERGES: &str = "tokenizer.ggml.merges";
const SUPPRESSED: &str = "tokenizer.ggml.suppress_tokens";

/// Checks the tokenizer, and gives how many tokens there are: 0 if the file does not say.
pub(super) fn check(keys: &Keys<'_>, architecture: &str) -> Result<u64> {
    let model = keys.required_text("tokenizer.ggml.model")?;
    if matches!(model, "none" | "no_vocab") {
        return Ok(keys.number(&format!("{architecture}.vocab_size"))?.unwrap_or(0).into());
    }
    let tokens = strings(keys, TOKENS)?.ok_or_else(|| wrong(TOKENS, "is missing: convert the model anew"))?;
    if tokens.is_empty() || tokens.len() > MOST_TOKENS {
        return Err(wrong(
            TOKENS,
            format_args!("has {} items; 1 to {MOST_TOKENS} are possible", tokens.len()),
        ));
    }
    let types = types(keys, tokens)?;
    scores(keys, tokens)?;
    let known = distinct(tokens)?;
    suppressed(keys)?;
    beginning(keys, model, tokens.len())?;
    match model {
        "gpt2" => byte_level(keys, tokens, types, &known)?,
        "llama" => sentence_piece(tokens, types, &known)?,
        _ => {
            if let Some(merges) = strings(keys, MERGES)? {
                no_zero(MERGES, merges)?;
            }
        }
    }
    Ok(tokens.len() as u64)
}

fn strings<'a>(keys: &Keys<'a>, key: &str) -> Result<Option<&'a Strings>> {
    match keys.0.get(key) {
        None => Ok(None),
        Some(Value::Array(Array::String(list))) => Ok(Some(list)),
        Some(other) => {
            Err(wrong(key, format_args!("has to be a list of string and is {}", other.describe())))
        }
    }
}

fn types<'a>(keys: &Keys<'a>, tokens: &Strings) -> Result<Option<&'a [i32]>> {
    let types = match keys.0.get(TYPES) {
        None => return Ok(None),
        Some(Value::Array(Array::I32(list))) => list,
        Some(other) => {
            return Err(wrong(TYPES, format_args!("has to be a list of i32 and is {}", other.describe())));
        }
    };
    same_length(TYPES, types.len(), tokens)?;
    if let Some((at, kind)) = types.iter().enumerate().find(|(_, kind)| !(0..=BYTE).contains(*kind)) {
        return Err(wrong(TYPES, format_args!("has the unknown type {kind} for token {at}")));
    }
    Ok(Some(types))
}

fn scores(keys: &Keys<'_>, tokens: &Strings) -> Result<()> {
    match keys.0.get(SCORES) {
        None => Ok(()),
        Some(Value::Array(list @ (Array::F32(_) | Array::I32(_)))) => same_length(SCORES, list.len(), tokens),
        Some(other) => {
            Err(wrong(SCORES, format_args!("has to be a list of f32 and is {}", other.describe())))
        }
    }
}

fn same_length(key: &str, length: usize, tokens: &Strings) -> Result<()> {
    if length == tokens.len() {
        return Ok(());
    }
    Err(wrong(key, format_args!("has {length} items for {} tokens", tokens.len())))
}

fn no_zero(key: &str, list: &Strings) -> Result<()> {
    // llama.cpp reads texts as C strings, which end there.
    match list.iter().position(|text| text.contains('\0')) {
        Some(at) => Err(wrong(key, format_args!("has a zero byte in item {at}"))),
        None => Ok(()),
    }
}

/// The set of tokens: each comes once, which llama.cpp asserts, with its own name for empty ones.
fn distinct(tokens: &Strings) -> Result<FxHashSet<&str>> {
    no_zero(TOKENS, tokens)?;
    let mut known = FxHashSet::default();
    let mut characters = 0;
    for (at, token) in tokens.iter().enumerate() {
        if !token.is_empty() && !known.insert(token) {
            return Err(wrong(
                TOKENS,
                format_args!("has {token:?} twice, again as item {at}: convert the model anew"),
            ));
        }
        let length = token.chars().count();
        if length > MOST_CHARACTERS {
            let what = format!("has {length} characters in item {at}; {MOST_CHARACTERS} are possible");
            return Err(wrong(TOKENS, what));
        }
        characters += length;
    }
    if characters > MOST_CHARACTERS_IN_ALL {
        let what = format!("has {characters} characters in all; {MOST_CHARACTERS_IN_ALL} are possible");
        return Err(wrong(TOKENS, what));
    }
    let empty = tokens.iter().enumerate().filter(|(_, token)| token.is_empty());
    for (at, _) in empty {
        let name = format!("[EMPTY_{at}]");
        if known.contains(name.as_str()) {
            return Err(wrong(TOKENS, format_args!("has an empty item {at}, and another named {name:?}")));
        }
    }
    Ok(known)
}

fn suppressed(keys: &Keys<'_>) -> Result<()> {
    match keys.0.get(SUPPRESSED) {
        None | Some(Value::Array(Array::I32(_))) => Ok(()),
        Some(other) => {
            Err(wrong(SUPPRESSED, format_args!("has to be a list of i32 and is {}", other.describe())))
        }
    }
}

/// A token that is put before or after every text has to exist: the tokenizer asserts it. Of a number that names no
/// token, which files do have (4294967295), llama.cpp takes no notice.
fn beginning(keys: &Keys<'_>, model: &str, count: usize) -> Result<()> {
    let pre = keys.text(PRE)?.unwrap_or_default();
    // The tokens that llama.cpp takes when the file names none; those of GLM have no first one.
    let (first, last) = match model {
        "gpt2" if pre.starts_with("glm") || pre.starts_with("chatglm") => (None, Some(11)),
        "gpt2" => (Some(11), Some(11)),
        "llama" => (Some(1), Some(2)),
        _ => (None, None),
    };
    let adds =
        keys.flag("tokenizer.ggml.add_bos_token")?.unwrap_or(model == "llama" || pre.starts_with("llama"));
    let ends = keys.flag("tokenizer.ggml.add_eos_token")?.unwrap_or(false);
    let sides = [("tokenizer.ggml.bos_token_id", adds, first), ("tokenizer.ggml.eos_token_id", ends, last)];
    for (key, is_added, default) in sides {
        let named = keys.number(key)?.map(|id| id as usize);
        let exists = [named, default].into_iter().flatten().any(|id| id < count);
        if is_added && !exists {
            return Err(wrong(key, "names no token, and it is to be put around every text"));
        }
    }
    Ok(())
}

/// Byte-level BPE: what our forms are written in has its tokens, and merges are made of tokens. Other bytes may have
/// none, as in SmolLM's vocabulary: llama.cpp leaves them out of a text.
fn byte_level(
    keys: &Keys<'_>,
    tokens: &Strings,
    types: Option<&[i32]>,
    known: &FxHashSet<&str>,
) -> Result<()> {
    let pre = keys.text(PRE)?.unwrap_or_default();
    if !pre.is_empty() && !UNSPELT_CUTS.contains(&pre) && !CUTS.split_whitespace().any(|cut| cut == pre) {
        return Err(wrong(PRE, format_args!("is {pre:?}, which this version of llama.cpp does not know")));
    }
    let alphabet = byte_chars();
    let mut buffer = [0; 4];
    let needed = |byte: usize| byte == usize::from(b'\n') || (0x20..0x7f).contains(&byte);
    for (byte, char) in alphabet.iter().enumerate().filter(|(byte, _)| needed(*byte)) {
        if !known.contains(&*char.encode_utf8(&mut buffer)) {
            let what = format!("has no token {char:?} for the byte {byte:#04x}: no form could be written");
            return Err(wrong(TOKENS, what));
        }
    }
    // All of the alphabet lies below 512.
    let mut is_letter = [false; 512];
    alphabet.iter().for_each(|&char| is_letter[char as usize] = true);
    let mut spelling = 0u64;
    for (at, token) in tokens.iter().enumerate() {
        match types.map_or(NORMAL, |types| types[at]) {
            NORMAL => {
                let foreign =
                    token.chars().filter(|&char| !is_letter.get(char as usize).is_some_and(|&is| is)).count();
                spelling += foreign as u64 * (token.len() as u64 + 32);
            }
            BYTE if token.len() < 3 => return Err(byte_form(at, token)),
            _ => {}
        }
    }
    if spelling > MOST_SPELLING {
        return Err(wrong(
            TOKENS,
            "has too many characters that stand for no byte: it is no byte-level vocabulary",
        ));
    }
    let merges = strings(keys, MERGES)?.ok_or_else(|| wrong(MERGES, "is missing: convert the model anew"))?;
    no_zero(MERGES, merges)?;
    let mut joined = String::new();
    for (at, merge) in merges.iter().enumerate() {
        let parts = merge.split_once(' ').filter(|(left, right)| !left.is_empty() && !right.is_empty());
        let (left, right) = parts.ok_or_else(|| {
            wrong(MERGES, format_args!("has {merge:?} as item {at}, which is no pair with a space between"))
        })?;
        joined.clear();
        joined.push_str(left);
        joined.push_str(right);
        if let Some(missing) = [left, right, &joined].into_iter().find(|part| !known.contains(part)) {
            let what =
                format!("has {merge:?} as item {at}, and {missing:?} is no token: convert the model anew");
            return Err(wrong(MERGES, what));
        }
    }
    Ok(())
}

fn byte_form(at: usize, token: &str) -> Error {
    wrong(TYPES, format_args!("says that token {at}, {token:?}, is a byte, and it is not written as <0x00>"))
}

/// SentencePiece: what no piece covers is written as bytes, each of which has its token.
fn sentence_piece(tokens: &Strings, types: Option<&[i32]>, known: &FxHashSet<&str>) -> Result<()> {
    for byte in 0..=255 {
        if !known.contains(format!("<0x{byte:02X}>").as_str()) {
            return Err(wrong(
                TOKENS,
                format_args!("has no token <0x{byte:02X}>: not every text could be written"),
            ));
        }
    }
    for (at, token) in tokens.iter().enumerate() {
        let is_byte = token.len() == 6 && token.starts_with("<0x") && token.ends_with('>');
        if types.is_some_and(|types| types[at] == BYTE) && !is_byte {
            return Err(byte_form(at, token));
        }
    }
    Ok(())
}

/// The embedding has a row for each token.
pub(super) fn matches_tensors(file: &Gguf, count: u64) -> Result<()> {
    for name in ["token_embd.weight", "output.weight"] {
        let Some(tensor) = file.tensor(name) else { continue };
        if count > 0 && tensor.shape.get(1).copied().unwrap_or(1) != count {
            let shape = &tensor.shape;
            return Err(Error::data(format!(
                "tensor {name:?} has the shape {shape:?} and there are {count} tokens"
            )));
        }
    }
    Ok(())
}
