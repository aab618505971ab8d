//! Long texts go through every kind of pre-tokenizer without an overflow of the stack.
#![cfg(feature = "llama")]

#[path = "hostile/mutate.rs"]
#[allow(dead_code)]
mod mutate;

use rlkd::gguf::Value;
use rlkd::gguf::random::{Spec, write};
use rlkd::llama::model::Model;
use rlkd::llama::settings::Settings;

/// llama.cpp has code of its own for the first two, and goes through `std::regex` for the others, which recurses for
/// each character of a match.
const KINDS: [&str; 6] = ["qwen2", "llama-bpe", "deepseek-llm", "tekken", "starcoder", "deepseek-v3"];

#[test]
fn long_texts_do_not_overflow_the_stack() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    write(&path, &Spec { vocabulary: 600, layers: 1, ..Spec::default() }).expect("a model is written");
    let parts = mutate::Parts::of(&std::fs::read(&path).expect("bytes"));
    for kind in KINDS {
        let mut parts = parts.clone();
        parts.set("tokenizer.ggml.pre", Value::String(kind.into()));
        std::fs::write(&path, parts.bytes().expect("a file")).expect("written");
        let settings = Settings { context: 256, parallel: 1, ..Settings::default() };
        let model = Model::load(&path, &settings).expect("it is loaded");
        for unit in ["a", "1", " ", "\n", "!", "a1! \n", "\u{e9}\u{65e5}"] {
            let text = unit.repeat((256 << 10) / unit.len());
            let tokens = model.tokenize(&text);
            assert_eq!(model.text(&tokens), text, "{kind} {unit:?}");
        }
    }
}
