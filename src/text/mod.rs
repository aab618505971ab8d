//! Words, numbers and string metrics that several modules read texts with.

pub mod similarity;
