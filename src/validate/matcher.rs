//! `matcher`: does the lexical judge know the same sub-problem when it sees it?
//!
//! `matcher_pairs.jsonl`: pairs of steps of one problem, labelled by whether their results are equal. The results
//! are masked before judging. Figures are on the held-out problems (number % 3 == 0) only.

use std::path::Path;

use serde::Deserialize;

use super::shown::{Bar, Plot};
use super::{Suite, SuiteReport, records};
use crate::error::Result;
use crate::judge::calibrate::{LabelledPair, auc, calibration_error, measure};
use crate::judge::lexical::Model;
use crate::score::Settings;

const FILE: &str = "matcher_pairs.jsonl";

/// The suite.
pub const SUITE: Suite = Suite {
    name: "matcher",
    summary: "same sub-problem? the lexical judge on labelled pairs, results masked, held-out problems only",
    files: &[FILE],
    bars: &[Bar::at_least("auc", 0.93), Bar::at_most("ece", 0.03)],
    run,
};

/// One record.
#[derive(Clone, Debug, Deserialize)]
pub struct Record {
    gsm8k_test_id: u64,
    gold_q: String,
    gold_a: String,
    gold_value: Option<f64>,
    other_q: String,
    other_a: String,
    other_value: Option<f64>,
    value_equal: bool,
}

impl From<Record> for LabelledPair {
    fn from(record: Record) -> Self {
        LabelledPair {
            problem: record.gsm8k_test_id,
            teacher: (record.gold_q, record.gold_a, record.gold_value),
            student: (record.other_q, record.other_a, record.other_value),
            same: record.value_equal,
        }
    }
}

/// Reads a file of labelled pairs.
///
/// # Errors
/// The file cannot be read or a line is no pair.
pub fn read_pairs(path: &Path) -> Result<Vec<LabelledPair>> {
    Ok(records::read::<Record>(path)?.into_iter().map(|(_, record)| record.into()).collect())
}

/// Runs the suite with the model that comes with the program.
fn run(data: &Path, _: &Settings) -> Result<SuiteReport> {
    let pairs = read_pairs(&data.join(FILE))?;
    let held_out: Vec<&LabelledPair> = pairs.iter().filter(|pair| pair.is_held_out()).collect();
    let measured = measure(&Model::embedded(), held_out.iter().copied());
    let labels: Vec<bool> = held_out.iter().map(|pair| pair.same).collect();
    let mut report = SuiteReport { suite: "matcher", n: held_out.len(), ..SuiteReport::default() };
    report.figure("auc", auc(&measured.probabilities, &labels));
    report.figure("ece", calibration_error(&measured.probabilities, &labels));
    report.figure(
        "share_same",
        labels.iter().filter(|same| **same).count() as f64 / labels.len().max(1) as f64,
    );
    let title = "Stated probability against the share that was the same";
    report.plots.push(Plot::reliability(title, &measured.probabilities, &labels));
    report.plots.extend(Plot::roc("Same above different (ROC)", &measured.probabilities, &labels));
    report.notes.push(format!(
        "{} of {} pairs are of held-out problems (number % 3 == 0)",
        held_out.len(),
        pairs.len()
    ));
    Ok(report)
}
