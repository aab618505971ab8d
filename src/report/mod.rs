//! Scored records for people: one HTML page, and views for the terminal.
//!
//! [`html::Builder`] takes records one by one and keeps a bounded amount of them, so it serves any number.
//! [`terminal`] shows one record side by side, and tables of means; [`tree`] the teachers of a sample as one graph.
//! [`suites`] and [`aligned`] show what `rlkd validate` found. Nothing here reads or opens files.
//!
//! Traces are hostile: whatever comes from a record is escaped, and control and bidirectional characters
//! are replaced by visible ones.

pub mod aligned;
mod branches;
mod charts;
mod choice;
pub mod curves;
mod digest;
mod escape;
mod histogram;
pub mod html;
mod list;
mod pair;
mod plot;
mod rows;
pub mod suites;
mod table;
pub mod terminal;
pub mod tree;
mod words;

pub use escape::plain;
