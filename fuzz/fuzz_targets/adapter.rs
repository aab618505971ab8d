//! Any bytes as an adapter: see `checks/adapter.rs`.
#![no_main]

#[path = "../checks/adapter.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::check(data));
