//! rlkd scores reasoning traces by their *structure*: does a student choose the same sub-problems as its teacher, in
//! the same order, and solve them the same way?
//!
//! The way of one datum: [`dataset`] reads a [`trace::Sample`]; a [`decompose::Decomposer`] turns its traces into
//! steps; [`align`] plans questions, a [`judge::Judge`] answers them, and [`align`] folds the verdicts; [`reward`]
//! adds the other rewards and mixes them. [`score::Scorer`] does all of that for a sample, [`run`] for a data set.
//!
//! ```
//! use rlkd::score::{Scorer, Settings};
//! use rlkd::trace::{Sample, Trace};
//!
//! let sample = Sample {
//!     problem: "Tickets cost 12 dollars, 3 dollars less on Mondays. What do 5 tickets cost on a Monday?".into(),
//!     teachers: vec![Trace::new("On Mondays a ticket costs 12 - 3 = 9 dollars. So 5 tickets cost 5 * 9 = 45 dollars.")],
//!     students: vec![
//!         Trace::new("A Monday ticket is 12 - 3 = 9 dollars. Five of them: 9 * 5 = 45 dollars."),
//!         Trace::new("5 tickets cost 5 * 12 = 60 dollars."),
//!     ],
//!     answer: Some("45".into()),
//!     ..Sample::default()
//! };
//! let scored = Scorer::new(&Settings::default())?.score(&sample)?;
//! assert_eq!(scored[0].parts["structure"].value, Some(1.0));
//! assert!(scored[1].parts["structure"].value < Some(0.5));
//! # Ok::<(), rlkd::Error>(())
//! ```
#![cfg_attr(not(any(feature = "train", feature = "llama")), forbid(unsafe_code))]
// Four files have some, for products of matrices and for llama.cpp.
#![deny(unsafe_code)]
#![warn(missing_docs)]

// In the order of the design: a module uses only what stands above it.
pub mod error;
pub mod files;
pub mod config;
#[cfg(any(feature = "llama", feature = "train"))]
mod math;
pub mod seed;
pub mod trace;
pub mod text;
pub mod answer;
pub mod calculation;
pub mod gguf;
pub mod grammar;
pub mod tokens;
pub mod metrics;
pub mod models;
pub mod dataset;
pub mod synth;
pub mod decompose;
pub mod judge;
#[cfg(feature = "llama")]
pub mod llama;
#[cfg(feature = "train")]
pub mod train;
pub mod align;
pub mod reward;
pub mod score;
pub mod tally;
pub mod run;
pub mod validate;
#[cfg(feature = "llama")]
pub mod annotate;
#[cfg(all(feature = "llama", feature = "train"))]
pub mod distill;
#[cfg(all(feature = "llama", feature = "train"))]
pub mod eval;
#[cfg(feature = "report")]
pub mod report;

pub use error::{Error, Result};
