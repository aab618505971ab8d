//! Cases of the suite `answers` about where an answer stands: Math-Verify's own tests of its `parse`.
//!
//! `{"kind", "text", "expected" | "expected_n"}` with the options of that test. `kind`:
//! - `string_choice_extraction`: one of `"strings"`; expected is what is compared and what stands in the text, or nothing;
//! - `failed_latex_no_embedded_number`: no number is to be found;
//! - any other: `"expected"` is the answer, or `"expected_n"` says whether there is one.
//!
//! Places are tried one after the other (`any_match`), and what cannot be read is no answer (`no_fallback`).

use std::path::Path;

use serde::Deserialize;

use super::records;
use crate::answer::{ExtractionMode, FallbackMode, Options, Rules, Strings, extract_with, reading, verify};
use crate::error::{Place, Result};

/// The file of these cases.
pub(super) const FILE: &str = "answer_extraction_cases.jsonl";

#[derive(Deserialize)]
struct Case {
    kind: String,
    text: String,
    #[serde(default)]
    expected: Option<Expected>,
    #[serde(default)]
    expected_n: Option<usize>,
    #[serde(default)]
    strings: Vec<String>,
    #[serde(default)]
    lowercase: bool,
    #[serde(default)]
    boxed_match_priority: Option<i32>,
    #[serde(default)]
    malformed_operators: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Expected {
    One(String),
    Many(Vec<String>),
}

/// How many cases there are, and a line for each that does not come out as it should.
pub(super) fn run(path: &Path) -> Result<(usize, Vec<String>)> {
    let cases = records::read::<Case>(path)?;
    let n = cases.len();
    let wrong = cases
        .iter()
        .filter_map(|(line, case)| {
            let found = wrong(case)?;
            let place = Place::line(path, *line);
            Some(format!("{place}: {}: {:?}: found {found}", case.kind, case.text))
        })
        .collect();
    Ok((n, wrong))
}

/// What was found, if it is not what should be.
fn wrong(case: &Case) -> Option<String> {
    if case.kind == "string_choice_extraction" {
        let strings =
            Strings { strings: case.strings.clone(), lowercase: case.lowercase, ..Strings::default() };
        let found: Vec<String> = strings
            .extract(&case.text)
            .map(|found| [strings.compared(found.text), found.text.to_owned()])
            .into_iter()
            .flatten()
            .collect();
        let is_right = matches!(&case.expected, Some(Expected::Many(expected)) if *expected == found);
        return (!is_right).then(|| format!("{found:?}"));
    }
    let default = Options::default();
    let options = Options {
        boxed_match_priority: case.boxed_match_priority.unwrap_or(default.boxed_match_priority),
        malformed_operators: case.malformed_operators.unwrap_or(default.malformed_operators),
        extraction_mode: ExtractionMode::AnyMatch,
        fallback_mode: FallbackMode::NoFallback,
        ..default
    };
    let found = extract_with(&case.text, options).map(|found| found.text);
    let is_right = match (&case.expected, case.expected_n) {
        (_, Some(n)) => usize::from(found.is_some()) == n,
        (Some(Expected::One(_)), _) if case.kind == "failed_latex_no_embedded_number" => {
            let is_number = |read: &str| read.bytes().all(|byte| byte.is_ascii_digit());
            !found.is_some_and(|found| reading(found).is_ok_and(|read| is_number(&read)))
        }
        (Some(Expected::One(expected)), _) => {
            found.is_some_and(|found| verify(expected, found, &Rules::default()).is_equal())
        }
        _ => false,
    };
    (!is_right).then(|| format!("{found:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_found_is_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(FILE);
        let cases = [
            r#"{"kind": "string_choice_extraction", "text": "The answer is A.", "strings": ["A", "B"], "lowercase": true, "expected": ["a", "A"]}"#,
            r#"{"kind": "string_choice_extraction", "text": "The answer is A.", "strings": ["A", "B"], "lowercase": true, "expected": ["b", "B"]}"#,
            r#"{"kind": "boxed_priority", "text": "\\boxed{1}", "boxed_match_priority": -1, "expected_n": 0}"#,
            r#"{"kind": "boxed_priority", "text": "\\boxed{1}", "boxed_match_priority": null, "expected_n": 0}"#,
            r#"{"kind": "malformed_operators", "text": "$\\frac12$", "malformed_operators": true, "expected": "1/2"}"#,
            r#"{"kind": "multi_group", "text": "$42$ and $\\sum_{k=0}^n k$", "expected": "42"}"#,
            r#"{"kind": "multi_group", "text": "$42$ and $\\sum_{k=0}^8 k$", "expected": "42"}"#,
        ];
        std::fs::write(&path, cases.join("\n")).expect("written");
        let (n, wrong) = run(&path).expect("a report");
        assert_eq!((n, wrong.len()), (7, 3), "{wrong:?}");
        assert!(wrong[0].contains(":2: ") && wrong[1].contains(":4: ") && wrong[2].contains(":7: "));
    }
}
