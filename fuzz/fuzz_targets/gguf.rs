//! Any bytes as a model file: see `checks/gguf.rs`.
#![no_main]

#[path = "../checks/gguf.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::check(data));
