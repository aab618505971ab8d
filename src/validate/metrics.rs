//! Suite `metrics`: do our string metrics agree with rapidfuzz's and with strsim's own test cases?

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::{Suite, SuiteReport, records};
use crate::error::{Error, Place, Result};
use crate::score::Settings;
use crate::text::similarity::{self, Pattern, Scratch, Tokens};

const ORACLE: &str = "rapidfuzz_oracle.jsonl";
const CASES: &str = "string_metric_cases.jsonl";
/// What two correct computations in `f64` may differ by.
const TOLERANCE: f64 = 1e-9;
/// Failed cases that are named in the notes.
const SHOWN: usize = 10;

/// The suite.
pub const SUITE: Suite = Suite {
    name: "metrics",
    summary: "string metrics against rapidfuzz's values and strsim's test cases",
    files: &[ORACLE, CASES],
    bars: &[],
    run,
};

/// One pair with rapidfuzz's values.
#[derive(Deserialize)]
struct Oracle {
    a: String,
    b: String,
    #[serde(flatten)]
    expected: BTreeMap<String, f64>,
}

/// One of strsim's test cases.
#[derive(Deserialize)]
struct Case {
    metric: String,
    a: String,
    b: String,
    /// A number, or `Ok(number)`.
    expected: String,
    /// How far from it is right; a number in a string, too.
    tolerance: Option<String>,
}

/// Our value under rapidfuzz's name and in its range; `None` for a column that is out of scope.
fn value(name: &str, a: &str, b: &str, scratch: &mut Scratch) -> Option<f64> {
    let pattern = Pattern::new(a);
    Some(match name {
        "levenshtein" => pattern.levenshtein(b, scratch) as f64,
        "levenshtein_norm_sim" | "normalized_levenshtein" => pattern.levenshtein_similarity(b, scratch),
        "indel_norm_sim" => pattern.indel_similarity(b, scratch),
        "lcs" => pattern.lcs(b, scratch) as f64,
        "ratio" => 100.0 * similarity::ratio(a, b),
        "token_sort_ratio" => 100.0 * Tokens::new(a).sort_ratio(&Tokens::new(b), scratch),
        "token_set_ratio" => 100.0 * Tokens::new(a).set_ratio(&Tokens::new(b), scratch),
        "jaro" => similarity::jaro(a, b),
        "jaro_winkler" => similarity::jaro_winkler(a, b),
        "osa" | "osa_distance" => similarity::osa_distance(a, b) as f64,
        "damerau" | "damerau_levenshtein" => similarity::damerau_levenshtein(a, b) as f64,
        _ => return None,
    })
}

fn run(dir: &Path, _: &Settings) -> Result<SuiteReport> {
    let mut report = SuiteReport { suite: SUITE.name, ..SuiteReport::default() };
    let mut left_out: BTreeMap<String, usize> = BTreeMap::new();
    let mut scratch = Scratch::default();
    for (line, record) in records::read::<Oracle>(&dir.join(ORACLE))? {
        for (name, &expected) in &record.expected {
            match value(name, &record.a, &record.b, &mut scratch) {
                Some(found) => {
                    let place = (ORACLE, line);
                    judge(&mut report, name, "rapidfuzz", place, found, expected, TOLERANCE);
                }
                None => *left_out.entry(name.clone()).or_default() += 1,
            }
        }
    }
    for (line, case) in records::read::<Case>(&dir.join(CASES))? {
        let Some(found) = value(&case.metric, &case.a, &case.b, &mut scratch) else {
            *left_out.entry(case.metric).or_default() += 1;
            continue;
        };
        let number = |text: &str| {
            text.trim_start_matches("Ok(").trim_end_matches(')').parse::<f64>().map_err(|_| {
                let message =
                    format!("expected a number such as \"3\", \"Ok(3)\" or \"0.5\", found {text:?}");
                Error::data(message).at(Place::line(dir.join(CASES), line))
            })
        };
        let expected = number(&case.expected)?;
        let tolerance = case.tolerance.as_deref().map_or(Ok(TOLERANCE), number)?;
        judge(&mut report, &case.metric, "strsim", (CASES, line), found, expected, tolerance);
    }
    for (name, count) in left_out {
        let why = match name.as_str() {
            "partial_ratio" => "a search for the best window; no judge of ours uses it",
            "sorensen_dice" | "hamming" | "normalized_damerau_levenshtein" => "no judge of ours uses it",
            _ => "not a metric of ours",
        };
        report.notes.push(format!("out of scope: {name} ({count} values): {why}"));
    }
    Ok(report)
}

/// Counts one value, and keeps the metric's largest difference.
fn judge(
    report: &mut SuiteReport,
    metric: &str,
    source: &str,
    (file, line): (&str, u64),
    found: f64,
    expected: f64,
    tolerance: f64,
) {
    let difference = (found - expected).abs();
    report.n += 1;
    // Written so that NaN fails.
    if difference <= tolerance {
        report.passed += 1;
    } else {
        report.failed += 1;
        if report.failed <= SHOWN {
            report.notes.push(format!("{file}:{line}: {metric}: found {found}, expected {expected}"));
        }
    }
    let figure = report.figures.entry(format!("max_difference/{source}/{metric}")).or_insert(0.0);
    *figure = figure.max(difference);
}
