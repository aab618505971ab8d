//! Suite `rewards`: do our rewards give what open-r1's give?
//!
//! One case a line: `{"reward", "params", "completions": [text], "solutions": [text] | null}` and what is
//! expected: `"expected": [value]` (within `"tolerance"`, by default 1e-9), `"relations": ["r[0] > r[1]"]`, or
//! `"error"`: a part of the message with which the parameters must be refused.

use std::path::Path;

use serde::Deserialize;

use super::{Suite, SuiteReport, records};
use crate::error::{Error, Place, Result};
use crate::reward::{Entry, Group, find};
use crate::score::Settings;
use crate::trace::{Outcome, Sample, Trace};

const FILE: &str = "open_r1_reward_cases.jsonl";

/// The suite.
pub const SUITE: Suite = Suite {
    name: "rewards",
    summary: "do the rewards give the values that open-r1's give?",
    files: &[FILE],
    bars: &[],
    run,
};

#[derive(Deserialize)]
struct Case {
    reward: String,
    #[serde(default)]
    params: serde_json::Map<String, serde_json::Value>,
    completions: Vec<String>,
    #[serde(default)]
    solutions: Option<Vec<String>>,
    #[serde(default)]
    expected: Option<Vec<f64>>,
    #[serde(default)]
    tolerance: Option<f64>,
    #[serde(default)]
    relations: Vec<String>,
    #[serde(default)]
    error: Option<String>,
}

fn run(directory: &Path, _: &Settings) -> Result<SuiteReport> {
    let path = directory.join(FILE);
    let mut report = SuiteReport { suite: SUITE.name, ..SuiteReport::default() };
    for (line, case) in records::read::<Case>(&path)? {
        let place = || Place::line(&path, line);
        report.n += 1;
        match check(&case).map_err(|error| error.at(place()))? {
            None => report.passed += 1,
            Some(complaint) => {
                report.failed += 1;
                report.notes.push(format!("{}: {}: {complaint}", place(), case.reward));
            }
        }
    }
    report.figure("cases", report.n as f64);
    report.figure("passed", report.passed as f64);
    Ok(report)
}

/// What is not as expected; `None` if all is.
///
/// # Errors
/// If the case itself is not well formed.
fn check(case: &Case) -> Result<Option<String>> {
    if case.expected.is_none() && case.relations.is_empty() && case.error.is_none() {
        return Err(Error::data("the case expects nothing: give expected, relations or error"));
    }
    let params = toml::Table::try_from(&case.params)
        .map_err(|error| Error::data(format!("params are not a table of plain values: {error}")))?;
    let built = find(&case.reward).and_then(|entry| Ok((entry, (entry.build)(&params)?)));
    let (entry, reward) = match (built, &case.error) {
        (Err(error), Some(wanted)) if error.message().contains(wanted.as_str()) => return Ok(None),
        (Err(error), _) => return Ok(Some(format!("refused: {error}"))),
        (Ok(_), Some(wanted)) => return Ok(Some(format!("must be refused with {wanted:?}"))),
        (Ok(built), None) => built,
    };
    let mut outcomes = Vec::with_capacity(case.completions.len());
    for sample in samples(case, entry)? {
        outcomes.extend(reward.score(&Group { sample: &sample, structure: &[] })?);
    }
    let mut values = Vec::with_capacity(outcomes.len());
    for outcome in outcomes {
        match outcome {
            Outcome::Scored(value) => values.push(value),
            Outcome::Skipped(why) => return Ok(Some(format!("skipped: {}", why.0))),
        }
    }
    if let Some(expected) = &case.expected {
        let tolerance = case.tolerance.unwrap_or(1e-9);
        let is_near = |(value, wanted): (&f64, &f64)| (value - wanted).abs() <= tolerance;
        if values.len() != expected.len() || !values.iter().zip(expected).all(is_near) {
            return Ok(Some(format!("{values:?}, expected {expected:?} within {tolerance}")));
        }
    }
    for relation in &case.relations {
        if !holds(relation, &values)? {
            return Ok(Some(format!("{values:?} does not hold {relation}")));
        }
    }
    Ok(None)
}

/// The completions as students of one problem; of one problem each, if their solutions differ.
fn samples(case: &Case, entry: &Entry) -> Result<Vec<Sample>> {
    let trace = |text: &String| Trace::new(text.as_str());
    let sample =
        |students, answer: Option<&String>| Sample { students, answer: answer.cloned(), ..Sample::default() };
    let solutions = case.solutions.as_deref().unwrap_or_default();
    if solutions.windows(2).all(|pair| pair[0] == pair[1]) {
        return Ok(vec![sample(case.completions.iter().map(trace).collect(), solutions.first())]);
    }
    if entry.relative {
        return Err(Error::data(format!(
            "{} compares students of one problem, but the solutions differ",
            entry.name
        )));
    }
    if solutions.len() != case.completions.len() {
        let (completions, solutions) = (case.completions.len(), solutions.len());
        return Err(Error::data(format!("{completions} completions but {solutions} solutions")));
    }
    let pairs = case.completions.iter().zip(solutions);
    Ok(pairs.map(|(completion, gold)| sample(vec![trace(completion)], Some(gold))).collect())
}

/// Whether a relation such as `r[0] >= r[1]` or `r[2] <= 0` holds.
fn holds(relation: &str, values: &[f64]) -> Result<bool> {
    let malformed =
        || Error::data(format!("cannot read the relation {relation:?}; write it as \"r[0] > r[1]\""));
    let operand = |text: &str| -> Option<f64> {
        match text.strip_prefix("r[").and_then(|rest| rest.strip_suffix(']')) {
            Some(index) => values.get(index.parse::<usize>().ok()?).copied(),
            None => text.parse().ok(),
        }
    };
    let words: Vec<&str> = relation.split_whitespace().collect();
    let [left, sign, right] = words[..] else { return Err(malformed()) };
    let (Some(left), Some(right)) = (operand(left), operand(right)) else { return Err(malformed()) };
    match sign {
        ">" => Ok(left > right),
        ">=" => Ok(left >= right),
        "<" => Ok(left < right),
        "<=" => Ok(left <= right),
        "==" => Ok(left == right),
        "!=" => Ok(left != right),
        _ => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_are_read() {
        let values = [0.5, -0.5];
        for (relation, expected) in
            [("r[0] > r[1]", true), ("r[0] == 0.5", true), ("r[1] >= r[0]", false), ("r[1] <= 0", true)]
        {
            assert_eq!(holds(relation, &values).unwrap(), expected, "{relation}");
        }
        for relation in ["", "r[0]", "r[2] > 0", "r[0] ~ 0", "r[0] > x"] {
            assert!(holds(relation, &values).is_err(), "{relation}");
        }
    }

    #[test]
    fn what_is_not_as_expected_is_said() {
        let complaint = |json: &str| check(&serde_json::from_str(json).unwrap()).unwrap();
        let format = r#"{"reward": "format", "completions": ["x"], "expected": "#;
        assert_eq!(complaint(&format!("{format}[0.0]}}")), None);
        assert!(complaint(&format!("{format}[1.0]}}")).unwrap().contains("expected [1.0]"));
        assert!(complaint(&format!("{format}[]}}")).is_some());
        let unknown = r#"{"reward": "formt", "completions": [], "expected": []}"#;
        assert!(complaint(unknown).unwrap().contains("did you mean"));
        let accepted = r#"{"reward": "format", "completions": [], "error": "no"}"#;
        assert!(complaint(accepted).unwrap().contains("must be refused"));
        let skipped = r#"{"reward": "accuracy", "completions": ["x"], "expected": [0.0]}"#;
        assert!(complaint(skipped).unwrap().contains("skipped: no gold answer"));
    }
}
