//! Suite `answers`: is the checker of answers right?
//!
//! One case a line. `{"gold", "pred", "expected": bool | null}` is a pair of answers as they stand; with
//! `"match_types"` (Math-Verify's own cases) each is a text in which the answer has to be found. `"float_rounding"` and
//! `"allow_set_relation_comp"` are rules; `"suspect"` says that the expectation is wrong, and why: such cases are
//! listed and not counted. Cases about where an answer stands are in a file of their own, see `extraction`.

use std::path::Path;

use serde::Deserialize;

use super::shown::{Table, cell};
use super::{Suite, SuiteReport, extraction, records};
use crate::answer::{self, Rules, Verdict};
use crate::error::{Place, Result};
use crate::score::Settings;

const FILES: &[&str] =
    &["math_verify_cases.jsonl", "math_grader_cases.jsonl", "real_model_answers.jsonl", extraction::FILE];

/// The suite.
pub const SUITE: Suite = Suite {
    name: "answers",
    summary: "does the checker of answers say what other graders and people say?",
    files: FILES,
    bars: &[],
    run,
};

#[derive(Deserialize)]
struct Case {
    gold: String,
    pred: String,
    expected: Option<bool>,
    #[serde(default)]
    match_types: Option<Vec<String>>,
    #[serde(default)]
    float_rounding: Option<u32>,
    #[serde(default)]
    strict: Option<bool>,
    #[serde(default)]
    allow_set_relation_comp: bool,
    #[serde(default)]
    suspect: Option<String>,
}

fn run(directory: &Path, _: &Settings) -> Result<SuiteReport> {
    let mut report = SuiteReport { suite: SUITE.name, ..SuiteReport::default() };
    let (mut false_equal, mut false_different) = (0, 0);
    let mut table = Table::new("Agreement by file", ["file", "cases", "agree", "share"]);
    let mut row = |file: &str, n: usize, agree: usize| {
        let share = agree as f64 / n.max(1) as f64;
        table.row([file.into(), n.to_string(), agree.to_string(), cell(share, 4)]);
    };
    for file in FILES {
        let path = directory.join(file);
        // Where none is there, the first says so.
        if !path.exists() && FILES.iter().any(|file| directory.join(file).exists()) {
            report.notes.push(format!("{}: not there, left out", path.display()));
            continue;
        }
        if *file == extraction::FILE {
            let (n, wrong) = extraction::run(&path)?;
            report.figure("agreement/answer_extraction_cases", (n - wrong.len()) as f64 / n.max(1) as f64);
            row(file, n, n - wrong.len());
            report.n += n;
            report.passed += n - wrong.len();
            report.failed += wrong.len();
            report.notes.extend(wrong);
            continue;
        }
        let (mut n, mut passed) = (0, 0);
        for (line, case) in records::read::<Case>(&path)? {
            let Some(expected) = case.expected else { continue };
            let verdict = verdict(&case);
            let right = verdict.is_equal() == expected;
            let cut = |text: &str| text.chars().take(80).collect::<String>();
            let told = || {
                let word = if expected { "equal" } else { "different" };
                let place = Place::line(&path, line);
                format!(
                    "{place}: {:?} and {:?} should be {word}; {verdict}",
                    cut(&case.gold),
                    cut(&case.pred)
                )
            };
            if let Some(why) = &case.suspect {
                report.notes.push(format!("{} (suspect, not counted: {why})", told()));
                continue;
            }
            n += 1;
            passed += usize::from(right);
            if !right {
                report.notes.push(told());
                *(if expected { &mut false_different } else { &mut false_equal }) += 1;
            }
        }
        let name = file.trim_end_matches(".jsonl");
        if n > 0 {
            report.figure(format!("agreement/{name}"), passed as f64 / n as f64);
        }
        row(file, n, passed);
        report.n += n;
        report.passed += passed;
        report.failed += n - passed;
    }
    report.figure("agreement", report.passed as f64 / report.n.max(1) as f64);
    report.figure("false_equal", f64::from(false_equal));
    report.figure("false_different", f64::from(false_different));
    report.tables.push(table);
    Ok(report)
}

fn verdict(case: &Case) -> Verdict {
    let defaults = Rules::default();
    let rules = Rules {
        float_rounding: case.float_rounding.or(defaults.float_rounding),
        strict: case.strict.unwrap_or(defaults.strict),
        allow_set_relation_comp: case.allow_set_relation_comp,
        ..defaults
    };
    match case.match_types {
        None => answer::verify(&case.gold, &case.pred, &rules),
        Some(_) => answer::verify_texts(&case.gold, &case.pred, answer::Options::default(), &rules),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_counted_and_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let cases = "{\"gold\": \"1/2\", \"pred\": \"0.5\", \"expected\": true}\n\
            {\"gold\": \"1/2\", \"pred\": \"0.5\", \"expected\": false}\n\
            {\"gold\": \"1\", \"pred\": \"2\", \"expected\": true}\n\
            {\"gold\": \"1\", \"pred\": \"2\", \"expected\": true, \"suspect\": \"made up\"}\n\
            {\"gold\": \"1\", \"pred\": \"2\", \"expected\": null}\n\
            {\"gold\": \"$1/2$\", \"pred\": \"So it is $0.5$.\", \"expected\": true, \"match_types\": [\"latex\"]}\n";
        std::fs::write(directory.path().join(FILES[1]), cases).expect("written");
        let report = run(directory.path(), &Settings::default()).expect("a report");
        assert_eq!((report.n, report.passed, report.failed), (4, 2, 2));
        assert_eq!((report.figures["false_equal"], report.figures["false_different"]), (1.0, 1.0));
        assert!(report.notes.iter().any(|note| note.contains(":4: ") && note.contains("made up")));
    }
}
