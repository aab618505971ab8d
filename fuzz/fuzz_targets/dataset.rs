//! Reading any bytes as a file: see `checks/dataset.rs`.
#![no_main]

#[path = "../checks/dataset.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::check(data));
