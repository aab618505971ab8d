//! Model files: manifests of known ones, where to find them, and what memory they take.
//!
//! - [`manifest`]: what is known of a file before it is there;
//! - [`source`]: what `--model` may name, and where that is on this machine;
//! - [`digest`]: the checksum of a file;
//! - `fetch` (feature `llama`): a file of the hub, with resume and checksum;
//! - [`plan`]: the memory that a model will take.

pub mod digest;
#[cfg(feature = "llama")]
pub mod fetch;
pub mod manifest;
pub mod plan;
pub mod source;
