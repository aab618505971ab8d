#![no_main]

#[path = "../checks/rules.rs"]
mod checks;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| checks::check(text));
