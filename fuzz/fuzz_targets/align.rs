//! The kernel on small grids of any verdicts: see `checks/align.rs`.
#![no_main]

#[path = "../checks/align.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|grid: checks::Grid| checks::check(&grid));
