#![no_main]
//! Any text: spans lie on character boundaries, ascend and do not overlap; what is written reads back.
#[path = "../../tests/oracle/tagged.rs"]
mod oracle;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| oracle::check(text));
