//! The mix of any parts: see `checks/mix.rs`.
#![no_main]

#[path = "../checks/mix.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: checks::Input| checks::check(&input));
