//! The tokenizer of a random model: tokens, their types, merges, special tokens, and the chat template.

use super::bpe::{Trained, train};
use super::text::Pieces;
use super::{Architecture, Spec, Words};
use crate::error::{Error, Result};
use crate::gguf::{Strings, Value};

/// Types of tokens in a file: `llama_token_type`.
const NORMAL: i32 = 1;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;

/// ChatML, as Qwen's models have it.
const CHATML: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + \
    message['content'] + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}\
    {% endif %}";

/// The headers of Llama 3.
const HEADERS: &str = "{{ bos_token }}{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + \
    '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}{% endfor %}\
    {% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}";

/// What a family's tokenizer looks like.
struct Family {
    /// How the text is cut before merging: a name that llama.cpp knows.
    pre: &'static str,
    /// Most digits in a piece.
    digits: usize,
    special: &'static [(&'static str, i32)],
    begin: Option<&'static str>,
    end: &'static str,
    padding: &'static str,
    template: &'static str,
}

fn family(architecture: Architecture) -> Family {
    const QWEN2: &[(&str, i32)] =
        &[("<|endoftext|>", CONTROL), ("<|im_start|>", CONTROL), ("<|im_end|>", CONTROL)];
    const QWEN3: &[(&str, i32)] = &[
        ("<|endoftext|>", CONTROL),
        ("<|im_start|>", CONTROL),
        ("<|im_end|>", CONTROL),
        ("<think>", USER_DEFINED),
        ("</think>", USER_DEFINED),
    ];
    const LLAMA: &[(&str, i32)] = &[
        ("<|begin_of_text|>", CONTROL),
        ("<|end_of_text|>", CONTROL),
        ("<|start_header_id|>", CONTROL),
        ("<|end_header_id|>", CONTROL),
        ("<|eot_id|>", CONTROL),
    ];
    let qwen = Family {
        pre: "qwen2",
        digits: 1,
        special: QWEN2,
        begin: None,
        end: "<|im_end|>",
        padding: "<|endoftext|>",
        template: CHATML,
    };
    match architecture {
        Architecture::Qwen2 => qwen,
        Architecture::Qwen3 => Family { special: QWEN3, ..qwen },
        Architecture::Llama => Family {
            pre: "llama-bpe",
            digits: 3,
            special: LLAMA,
            begin: Some("<|begin_of_text|>"),
            end: "<|eot_id|>",
            padding: "<|end_of_text|>",
            template: HEADERS,
        },
    }
}

/// Tokens that a family has beside those that are learnt.
pub(super) fn special_tokens(architecture: Architecture) -> usize {
    family(architecture).special.len()
}

/// Trains the tokenizer, unless `words` are what was learnt, and gives its metadata.
pub(super) fn metadata(spec: &Spec, words: Option<&Words>) -> Result<Vec<(String, Value)>> {
    let family = family(spec.architecture);
    let least = 256 + family.special.len();
    let wanted = spec.vocabulary.checked_sub(least).ok_or_else(|| {
        Error::config(format!(
            "a vocabulary of {} is too small: bytes and special tokens are {least}",
            spec.vocabulary
        ))
    })?;
    let words = match words {
        Some(words) => words.clone(),
        None => {
            let Trained { tokens, merges } = learn(spec, family.digits, wanted)?;
            let text = |at: u32| tokens[at as usize].clone();
            let merges = merges.iter().map(|&(left, right)| (text(left), text(right))).collect();
            Words { merges, tokens }
        }
    };
    let mut tokens: Strings = words.tokens.iter().collect();
    let mut types = vec![NORMAL; tokens.len()];
    for (token, kind) in family.special {
        tokens.push(token);
        types.push(*kind);
    }
    let id = |wanted: &str| -> Value {
        let at = family.special.iter().position(|(token, _)| *token == wanted).unwrap_or(0);
        Value::U32((words.tokens.len() + at) as u32)
    };
    let merges: Strings = words.merges.iter().map(|(left, right)| format!("{left} {right}")).collect();
    let mut metadata: Vec<(&str, Value)> = vec![
        ("tokenizer.ggml.model", "gpt2".into()),
        ("tokenizer.ggml.pre", family.pre.into()),
        ("tokenizer.ggml.tokens", tokens.into()),
        ("tokenizer.ggml.token_type", types.into()),
        ("tokenizer.ggml.merges", merges.into()),
        ("tokenizer.ggml.eos_token_id", id(family.end)),
        ("tokenizer.ggml.padding_token_id", id(family.padding)),
        ("tokenizer.ggml.add_bos_token", family.begin.is_some().into()),
        ("tokenizer.chat_template", family.template.into()),
    ];
    // Qwen's files name a token here although none is put before a text.
    metadata.push(("tokenizer.ggml.bos_token_id", id(family.begin.unwrap_or(family.padding))));
    Ok(metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// Learns exactly `wanted` merges, from as many made-up words as that takes.
fn learn(spec: &Spec, digits: usize, wanted: usize) -> Result<Trained> {
    // The sentences alone give some 600 merges. A made-up word gives about 1.3 more while they are rare.
    let mut made_up = wanted.saturating_sub(500) / 10 * 9;
    for _ in 0..6 {
        let trained = train(&Pieces::new(spec.seed(), made_up, digits).pieces, wanted);
        if trained.merges.len() == wanted {
            return Ok(trained);
        }
        made_up = made_up * 3 / 2 + 200;
    }
    Err(Error::config(format!("no text could be made for a vocabulary of {}", spec.vocabulary)))
}
