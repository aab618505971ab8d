//! The `rlkd` command.
fn main() {}
