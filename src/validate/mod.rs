//! How good is this reward? Suites that measure it on labelled data.
//!
//! A suite reads files of a given form from a directory, so it runs on anybody's data of that form.
//! To add one: a file here and a line in [`SUITES`].

pub mod answers;
mod extraction;
mod found;
pub mod hacks;
mod kinds;
mod labels;
pub mod matcher;
pub mod metrics;
pub mod ranking;
mod records;

pub mod reference;
pub mod relations;
pub mod rewards;
pub mod shown;
pub mod steps;
pub mod synth;
pub mod tree;
mod values;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::error::Result;
use crate::score::Settings;
use shown::{Bar, Plot, Table};

/// What a suite found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SuiteReport {
    /// The suite's name.
    pub suite: &'static str,
    /// Cases that were run.
    pub n: usize,
    /// Cases that came out as expected (0 for suites that only measure).
    pub passed: usize,
    /// Cases that did not.
    pub failed: usize,
    /// Measured figures by name.
    pub figures: BTreeMap<String, f64>,
    /// Tables for a person. Not part of the JSON, likewise below.
    #[serde(skip)]
    pub tables: Vec<Table>,
    /// Plots for a person.
    #[serde(skip)]
    pub plots: Vec<Plot>,
    /// Lines for a person: failed cases, exceptions and their reasons.
    #[serde(skip)]
    pub notes: Vec<String>,
}

impl SuiteReport {
    /// Notes a figure.
    pub(crate) fn figure(&mut self, name: impl Into<String>, value: f64) {
        self.figures.insert(name.into(), value);
    }
}

/// A suite: its name, what it measures, the files that it reads, and how to run it on a directory.
pub struct Suite {
    /// The name on the command line.
    pub name: &'static str,
    /// One line of help.
    pub summary: &'static str,
    /// The files that it reads, below the data directory.
    pub files: &'static [&'static str],
    /// What its figures have to reach; empty where no bar is set.
    pub bars: &'static [Bar],
    /// Runs it; settings are for the suites that measure what is chosen.
    pub run: fn(&Path, &Settings) -> Result<SuiteReport>,
}

/// Every suite.
pub const SUITES: &[Suite] = &[
    reference::SUITE,
    ranking::SUITE,
    matcher::SUITE,
    rewards::SUITE,
    answers::SUITE,
    metrics::SUITE,
    synth::SUITE,
    tree::SUITE,
    steps::SUITE,
    relations::PERTURBATION,
    relations::SOLUTION,
    hacks::SUITE,
];
