//! rlkd scores reasoning traces by their structure.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

// In the order of the design: a module uses only what stands above it.
pub mod error;
pub mod config;
pub mod seed;
pub mod trace;
pub mod text;
pub mod dataset;
pub mod decompose;
pub mod judge;
pub mod align;
pub mod answer;
pub mod reward;
pub mod score;
pub mod run;
pub mod validate;
#[cfg(feature = "report")]
pub mod report;

pub use error::{Error, Result};
