//! Final answers of any text: see `checks/answer_extract.rs`.
#![no_main]

#[path = "../checks/answer_extract.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::check_all(data));
