//! Samples in, scored records out: JSONL (plain, .gz, .zst) and Parquet.
