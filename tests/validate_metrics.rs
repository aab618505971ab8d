//! The suite `metrics` on samples of our own, and on the shared data where it is there.
use std::path::PathBuf;

use rlkd::validate::{SUITES, SuiteReport};

fn run(dir: &std::path::Path) -> rlkd::Result<SuiteReport> {
    let suite = SUITES.iter().find(|s| s.name == "metrics").expect("the suite is registered");
    (suite.run)(dir, &Default::default())
}

#[test]
fn a_right_value_passes_a_wrong_one_fails_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("rapidfuzz_oracle.jsonl"),
        concat!(
            r#"{"a":"abc","b":"abd","levenshtein":1,"lcs":2,"ratio":66.66666666666667,"jaro_winkler":0.8222222222222223}"#,
            "\n\n",
            r#"{"a":"é","b":"e","levenshtein":2,"partial_ratio":0}"#,
            "\n"
        ),
    )
    .unwrap();
    std::fs::write(
        dir.path().join("string_metric_cases.jsonl"),
        r#"{"metric":"jaro","a":"a","b":"ab","expected":"0.83","tolerance":"0.01","source":"own"}"#,
    )
    .unwrap();
    let report = run(dir.path()).unwrap();
    assert_eq!((report.n, report.passed, report.failed), (6, 5, 1), "{report:?}");
    assert!(report.notes[0].contains("rapidfuzz_oracle.jsonl:3: levenshtein: found 1, expected 2"));
    assert!(report.notes[1].contains("partial_ratio (1 values)"));
    assert_eq!(report.figures["max_difference/rapidfuzz/levenshtein"], 1.0);
}

#[test]
fn a_broken_line_is_an_error_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rapidfuzz_oracle.jsonl"), "{\"a\":\"x\",\"b\":\"y\"}\n{\"a\":3}\n")
        .unwrap();
    let error = run(dir.path()).unwrap_err().to_string();
    assert!(error.contains("rapidfuzz_oracle.jsonl:2"), "{error}");
    let error = run(&dir.path().join("nowhere")).unwrap_err().to_string();
    assert!(error.contains("rapidfuzz_oracle.jsonl"), "{error}");
}

#[test]
fn every_metric_that_we_use_agrees_on_the_shared_data() {
    let data = match std::env::var_os("RLKD_DATA") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
    };
    if !data.join("rapidfuzz_oracle.jsonl").exists() {
        println!("skipped: no {}; set RLKD_DATA", data.display());
        return;
    }
    let report = run(&data).unwrap();
    println!("metrics: {} of {}\n{:#?}\n{:#?}", report.passed, report.n, report.figures, report.notes);
    assert_eq!(report.failed, 0);
}
