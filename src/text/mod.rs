//! Words, numbers and string metrics: how every module reads texts.
//!
//! - [`numbers`]: numbers in running text, with their spans;
//! - [`words`]: normalised words and their hashes;
//! - [`sentences`]: sentences and paragraphs;
//! - [`similarity`]: string metrics, bit-parallel where they are hot.

pub mod look_alikes;
pub mod numbers;
pub mod sentences;
pub mod similarity;
pub mod tags;
pub mod words;
