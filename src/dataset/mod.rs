//! Samples in, scored records out: JSONL (plain, .gz, .zst) and Parquet.

pub mod render;
