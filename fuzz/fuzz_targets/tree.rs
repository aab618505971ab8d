//! The graph of several teachers: see `checks/tree.rs`.
#![no_main]

#[path = "../checks/tree.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::check(bytes));
