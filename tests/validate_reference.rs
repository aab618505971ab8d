//! The suite `reference` on recorded runs of our own, and on the shared data where it is there.
use std::path::{Path, PathBuf};

use rlkd::validate::{SUITES, SuiteReport};
use serde_json::{Value, json};

fn run(dir: &Path) -> rlkd::Result<SuiteReport> {
    let suite = SUITES.iter().find(|s| s.name == "reference").expect("the suite is registered");
    (suite.run)(dir, &Default::default())
}

fn run_on(goldens: &[Value]) -> SuiteReport {
    let dir = tempfile::tempdir().unwrap();
    let lines: String = goldens.iter().map(|golden| format!("{golden}\n")).collect();
    std::fs::write(dir.path().join("reference_reward_golden.jsonl"), lines).unwrap();
    run(dir.path()).unwrap()
}

fn asked(aspect: &str, teacher: &str, student: &str, reply: &str) -> Value {
    json!({"aspect": aspect, "teacher": teacher, "student": student, "reply": reply})
}

/// Worked by hand from the rule: the second think fails, so the third is not asked and counts nothing.
fn gate() -> Value {
    json!({
        "teacher": "Intro is dropped. [sub-think 1] t1\n[Query 1] u1\n[Answer 1] v1\n\
                    [sub-think 2] t2\n[Query 2] u2\n[sub-think 3] t3",
        "student": "[sub-think 9] s1\n[Answer 9] z1 [Query  9] two spaces: dropped\n[Query 1] y1\n\
                    [sub-think 2] s2\n[sub-think 3] s3",
        "judge": [
            asked("think", "[sub-think 1] t1", "[sub-think 9] s1", "YES."),
            asked("think", "[sub-think 2] t2", "[sub-think 2] s2", "hardly"),
            asked("query", "[Query 1] u1", "[Query 1] y1", "not sure"),
            asked("answer", "[Answer 1] v1", "[Answer 9] z1", "maybe"),
        ],
        "reward": 0.5,
    })
}

#[test]
fn recorded_runs_are_repeated() {
    let empty = json!({"teacher": "", "student": "[Query 1] x", "judge": [], "reward": 0});
    // The same question twice with two replies.
    let twice = json!({
        "teacher": "[sub-think 1] a[sub-think 1] a[Answer 1] x[Answer 1] x",
        "student": "[sub-think 1] b[sub-think 1] b[Answer 1] y[Answer 1] y",
        "judge": [
            asked("think", "[sub-think 1] a", "[sub-think 1] b", "yes"),
            asked("think", "[sub-think 1] a", "[sub-think 1] b", "Yes, but not equal"),
            asked("answer", "[Answer 1] x", "[Answer 1] y", "no"),
            asked("answer", "[Answer 1] x", "[Answer 1] y", "yes"),
        ],
        "reward": 1.5,
    });
    let report = run_on(&[gate(), empty, twice]);
    assert_eq!((report.n, report.passed), (3, 3), "{:#?}", report.notes);
    assert_eq!(report.figures["questions_after_the_gate"], 1.0);
}

#[test]
fn what_differs_is_named() {
    let mut wrong_reward = gate();
    wrong_reward["reward"] = json!(0.25);
    let mut other_question = gate();
    other_question["judge"][2]["teacher"] = json!("[Query 1] u2");
    let mut more_questions = gate();
    more_questions["judge"].as_array_mut().unwrap().push(asked("answer", "a", "b", "yes"));
    let mut fewer_questions = gate();
    fewer_questions["judge"].as_array_mut().unwrap().pop();
    let report = run_on(&[wrong_reward, other_question, more_questions, fewer_questions]);
    assert_eq!((report.n, report.failed), (4, 4));
    for (note, what) in report.notes.iter().zip([
        "golden.jsonl:1: the reward is 0.5",
        ":2: we ask",
        ":3: 1 recorded questions were not asked",
        "recorded was None",
    ]) {
        assert!(note.contains(what), "{note}");
    }
}

#[test]
fn the_released_reward_is_reproduced_on_the_shared_data() {
    let data = match std::env::var_os("RLKD_DATA") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
    };
    if !data.join("reference_reward_golden.jsonl").exists() {
        println!("skipped: no {}; set RLKD_DATA", data.display());
        return;
    }
    let report = run(&data).unwrap();
    println!("reference: {} of {}\n{:#?}\n{:#?}", report.passed, report.n, report.figures, report.notes);
    assert_eq!((report.passed, report.failed), (report.n, 0));
}
