//! Final answers: extract, read, compare.
