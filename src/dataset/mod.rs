//! Samples in, scored records out: JSONL (plain, .gz, .zst) and Parquet.
//!
//! Reading is split in two: a [`Source`] hands out raw records in order and in constant memory;
//! [`parse`] turns one into a [`Sample`](crate::trace::Sample), on any thread, with a [`Mapping`] that
//! says which column is what. Writing goes through a [`Sink`], which makes a run that was
//! interrupted go on where it stopped.
//!
//! ```
//! use rlkd::dataset::{Mapping, Source, parse};
//!
//! let line = br#"{"id": 7, "problem": "2+2?", "teacher": [{"q": "2+2?", "a": 4}], "students": ["It is 4."]}"#;
//! let source = Source::from_reader("example", &line[..]);
//! for record in source {
//!     let sample = parse(&record?, &Mapping::default())?;
//!     assert_eq!(sample.id, "7");
//!     assert_eq!(sample.teachers[0].text, "[Sub-problem 1]: 2+2?\n[Answer 1]: 4\n\n");
//! }
//! # Ok::<(), rlkd::Error>(())
//! ```

#[cfg(feature = "parquet")]
mod columns;
mod convert;
mod json;
mod labelled;
mod lines;
mod map;
mod marked;
#[cfg(feature = "parquet")]
mod parquet;
mod presets;
mod record;
pub mod render;
mod seen;
mod sink;
mod source;
mod stream;
mod traces;

pub use json::{Path, parse_json};
pub use labelled::{Labelled, Parts};
pub use lines::{Line, LineReader};
pub use map::{Column, Mapping};
pub use marked::marked;
pub use presets::{Answer, PRESETS, Preset, Traces};
pub use record::{parse, to_native};
pub use seen::SeenIds;
pub use sink::{Progress, Sink, is_closed_pipe, read_records};
pub use source::{Body, Chunk, MAX_LINE, RawRecord, Source};
pub use traces::{trace, traces};
