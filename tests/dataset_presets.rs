//! Every preset, told by its keys and read; and the files in the data folder.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use rlkd::Result;
use rlkd::dataset::{Mapping, PRESETS, SeenIds, Source, parse};
use rlkd::trace::{Domain, Sample};
use serde_json::{Value, json};

fn source(value: &Value) -> Source {
    Source::from_reader("in.jsonl", Cursor::new(value.to_string().into_bytes()))
}

fn read(value: &Value, preset: &str, columns: &[&str]) -> Result<Sample> {
    let mapping = Mapping::new(preset, columns)?;
    let record = source(value).next_record()?.expect("one record");
    parse(&record, &mapping)
}

struct Case {
    preset: &'static str,
    record: Value,
    id: &'static str,
    problem: &'static str,
    domain: Domain,
    teachers: &'static [&'static str],
    students: &'static [&'static str],
    answer: Option<&'static str>,
}

/// New records in the shape of each data set.
fn cases() -> Vec<Case> {
    // The order depends on the question.
    const GPQA: &str = "Which one?\n\nA) these\nB) those\nC) that\nD) this";
    const STEPS: &str = "[Answer 1]: one\n\n[Answer 2]: two\n\n";
    let case = |preset, record, id, problem, domain, teachers, students, answer| Case {
        preset,
        record,
        id,
        problem,
        domain,
        teachers,
        students,
        answer,
    };
    use Domain::{Code, Math, Other, Puzzle};
    vec![
        case(
            "native",
            json!({"id": "a", "problem": "p", "domain": "coding", "teacher": "t", "students": ["s"], "answer": 1}),
            "a",
            "p",
            Code,
            &["t"],
            &["s"],
            Some("1"),
        ),
        case(
            "openr1-math",
            json!({"problem": "p", "solution": "long", "answer": "3", "uuid": "u", "generations": ["g0", "g1"], "correctness_math_verify": [false, true]}),
            "u",
            "p",
            Math,
            &["g1"],
            &["g0", "g1"],
            Some("3"),
        ),
        case(
            "openr1-math",
            json!({"problem": "p", "generations": ["g0", "g1"], "correctness_math_verify": [false, false]}),
            "in:1",
            "p",
            Math,
            &["g0", "g1"],
            &["g0", "g1"],
            None,
        ),
        case(
            "openthoughts",
            json!({"problem": "p", "deepseek_reasoning": " hm\n", "deepseek_solution": "so", "domain": "puzzle"}),
            "in:1",
            "p",
            Puzzle,
            &["<think>\nhm\n</think>\nso"],
            &[],
            None,
        ),
        case(
            "trl",
            json!({"prompt": "p", "completion": "c", "solution": "3"}),
            "in:1",
            "p",
            Other,
            &[],
            &["c"],
            Some("3"),
        ),
        case(
            "trl",
            json!({"prompt": [{"role": "system", "content": "x"}, {"role": "user", "content": "p"}],
            "completions": [[{"role": "assistant", "content": "c0"}], [{"role": "assistant", "content": "c1"}]], "ground_truth": 3.50}),
            "in:1",
            "p",
            Other,
            &[],
            &["c0", "c1"],
            Some("3.5"),
        ),
        case(
            "gsm8k-traces",
            json!({"gsm8k_test_id": 3, "model": "m", "blob": "b", "question": "q", "gold": "2+2=<<2+2=4>>4 eggs\nso 4 << 5\n#### 4", "text": "four"}),
            "3:m:b",
            "q",
            Math,
            &["[Answer 1]: 2+2=4 eggs\n\n[Answer 2]: so 4 << 5\n\n"],
            &["four"],
            Some("4"),
        ),
        case(
            "socratic",
            json!({"gsm8k_test_id": 3, "question": "q", "steps": [{"q": "how?", "a": "so", "value": 1.0, "has_calc": true}]}),
            "3",
            "q",
            Math,
            &["[Sub-problem 1]: how?\n[Answer 1]: so\n\n"],
            &[],
            None,
        ),
        case(
            "r1-general",
            json!({"problem_id": 1, "seed": 2, "problem": {"question": "q", "answer": "because"}, "solution": "Solve: q\n<think>\nhm\n</think>\nso"}),
            "1:2",
            "q",
            Puzzle,
            &["because"],
            &["<think>\nhm\n</think>\nso"],
            None,
        ),
        case(
            "r1-math",
            json!({"problem_id": 1, "seed": 2, "problem": {"problem": "q", "gt_solution": "because", "gt_answer": "3"}, "solution": "no thinking", "answer": "4"}),
            "1:2",
            "q",
            Math,
            &["because"],
            &["no thinking"],
            Some("3"),
        ),
        case(
            "perturbation",
            json!({"id": 5, "question": "q", "ground_truth_answer": "29", "reference_steps": ["one", "two"], "hypothesis_steps": ["two"]}),
            "5",
            "q",
            Math,
            &[STEPS],
            &["[Answer 1]: two\n\n"],
            Some("29"),
        ),
        case(
            "prmbench",
            json!({"idx": "i", "classification": "circular", "original_question": "q", "question": "Q", "original_process": ["one", "two"], "modified_process": ["one"]}),
            "circular:i",
            "q",
            Math,
            &[STEPS],
            &["[Answer 1]: one\n\n"],
            None,
        ),
        case(
            "gsm8k",
            json!({"question": "q", "answer": "one\ntwo\n#### 1,000"}),
            "in:1",
            "q",
            Math,
            &[STEPS],
            &[],
            Some("1,000"),
        ),
        case(
            "olympiadbench",
            json!({"id": 7, "context": "Let x be 1. ", "question": "x and 2x?", "final_answer": ["1", "2"], "solution": ["so"]}),
            "7",
            "Let x be 1.\n\nx and 2x?",
            Math,
            &["so"],
            &[],
            Some("1, 2"),
        ),
        case(
            "gpqa",
            json!({"Record ID": "r", "Question": "Which one?", "Correct Answer": "this", "Incorrect Answer 1": "that",
                   "Incorrect Answer 2": "these", "Incorrect Answer 3": "those\n"}),
            "r",
            GPQA,
            Domain::Science,
            &[],
            &[],
            Some("D"),
        ),
        case(
            "svamp",
            json!({"ID": "c", "Body": "Ada has 3 pens", "Question": "How many?", "Answer": 3.0}),
            "c",
            "Ada has 3 pens. How many?",
            Math,
            &[],
            &[],
            Some("3.0"),
        ),
        case(
            "benchmark",
            json!({"id": 60, "problem": "p", "question": "p", "answer": "204", "solution": "long", "url": "u"}),
            "60",
            "p",
            Math,
            &["long"],
            &[],
            Some("204"),
        ),
        case(
            "benchmark",
            json!({"problem": "p", "answer": "204", "subject": "Algebra", "teacher": ["t"], "solution": "long"}),
            "in:1",
            "p",
            Math,
            &["t"],
            &[],
            Some("204"),
        ),
        case(
            "benchmark",
            json!({"problem": "p", "answer": "204", "subject": "Algebra", "unique_id": "test/algebra/1.json"}),
            "test/algebra/1.json",
            "p",
            Math,
            &[],
            &[],
            Some("204"),
        ),
    ]
}

#[test]
fn every_preset_reads_its_shape() {
    for preset in PRESETS {
        assert!(cases().iter().any(|case| case.preset == preset.name), "no case for {}", preset.name);
    }
    for case in cases() {
        let mut mapping = Mapping::new::<&str>("auto", &[]).expect("a mapping");
        assert_eq!(
            mapping.detect(&mut source(&case.record)).expect("read"),
            Some(case.preset),
            "{}",
            case.record
        );
        let raw = source(&case.record).next_record().expect("read").expect("a record");
        if case.students.is_empty() {
            let error = parse(&raw, &mapping).expect_err("no students").to_string();
            assert!(error.contains("no student traces") && error.contains("--map students="), "{error}");
        }
        let sample =
            parse(&raw, &mapping.without_students()).unwrap_or_else(|e| panic!("{}: {e}", case.preset));
        let texts = |traces: &[rlkd::trace::Trace]| traces.iter().map(|t| t.text.clone()).collect::<Vec<_>>();
        assert_eq!(sample.id, case.id, "{}", case.preset);
        assert_eq!(sample.problem, case.problem, "{}", case.preset);
        assert_eq!(sample.domain, case.domain, "{}", case.preset);
        assert_eq!(texts(&sample.teachers), case.teachers, "{}", case.preset);
        assert_eq!(texts(&sample.students), case.students, "{}", case.preset);
        assert_eq!(sample.answer.as_deref(), case.answer, "{}", case.preset);
    }
}

#[test]
fn columns_named_by_hand_come_first() {
    let record = json!({"question": "q", "answer": "one\n#### 1", "outputs": {"runs": [["x", "y"], ["z"]]}, "n": 4.50});
    let sample = read(&record, "gsm8k", &["students=outputs.runs[0],id=n"]).expect("a sample");
    assert_eq!(sample.id, "4.5");
    assert_eq!(sample.students.len(), 2);
    assert_eq!(sample.answer.as_deref(), Some("1"));
    let sample = read(&record, "auto", &["students=outputs.runs[1]", "problem=answer", "answer=question"])
        .expect("a sample");
    assert_eq!((sample.problem.as_str(), sample.answer.as_deref()), ("one\n#### 1", Some("q")));
    assert_eq!(sample.students[0].text, "z");
    let error = read(&record, "gsm8k", &["students=output"]).expect_err("unknown").to_string();
    assert_eq!(
        error,
        "in.jsonl:1: the record has no `output` (did you mean `outputs`?); it has `question`, `answer`, `outputs`, `n`. Check --map"
    );
    let error = read(&record, "gsm8k", &["students=n"]).expect_err("a number").to_string();
    assert!(error.contains("`n` (students): a trace is a string"), "{error}");
}

#[test]
fn the_preset_is_told_by_the_first_record_that_can_be_read() {
    let text = "nonsense\n[1]\n{\"question\": \"q\", \"answer\": \"one #### 1\"}\n{\"students\": \"s\"}\n";
    let mut source = Source::from_reader("in", Cursor::new(text));
    let mut mapping = Mapping::default();
    assert_eq!(mapping.preset_name(), None);
    assert_eq!(mapping.detect(&mut source).expect("read"), Some("gsm8k"));
    assert_eq!(source.records_read(), 0);
    let read: Vec<_> = source.map(|raw| parse(&raw.expect("read"), &mapping)).collect();
    assert_eq!(read.len(), 4);
    assert!(read[3].as_ref().expect_err("another shape").message().contains("preset `gsm8k`"));
}

fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("RLKD_DATA")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"));
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: there is no folder {}", folder.display());
    None
}

#[test]
fn the_files_of_the_data_folder_are_read_whole() {
    let Some(folder) = data() else { return };
    // The last figure counts the ids that occur again in the file.
    for (file, preset, records, teachers, answers, repeated) in [
        ("gsm8k_traces.jsonl", "gsm8k-traces", 3468, 3468, 3468, 0),
        ("gsm8k_train.jsonl", "gsm8k", 7473, 7473, 7473, 0),
        ("gsm8k_socratic_steps.jsonl", "socratic", 986, 986, 0, 0),
        // 50 of them have no steps.
        ("gsm8k_ai_subq.jsonl", "socratic", 12854, 12804, 12854, 36),
        ("r1_traces_general.jsonl.gz", "r1-general", 2866, 2866, 0, 0),
        ("r1_traces_math.jsonl", "r1-math", 153, 153, 153, 0),
        ("perturbation.jsonl", "perturbation", 815, 815, 815, 0),
        ("prmbench_classified.jsonl.gz", "prmbench", 6051, 6051, 0, 0),
        ("prmbench_multi_solutions.jsonl", "prmbench", 91, 91, 91, 3),
        ("bench_aime24.jsonl", "benchmark", 30, 30, 30, 0),
        ("bench_amc23.jsonl", "benchmark", 40, 0, 40, 0),
        ("bench_olympiadbench.jsonl", "olympiadbench", 675, 675, 675, 0),
        ("bench_svamp.jsonl", "svamp", 1000, 0, 1000, 0),
    ] {
        let mut source = Source::open(&[folder.join(file)]).expect("opened");
        let mut mapping = Mapping::default().without_students();
        assert_eq!(mapping.detect(&mut source).expect("read"), Some(preset), "{file}");
        let (mut seen, mut count) = (SeenIds::new(), (0, 0, 0, 0));
        for raw in source {
            let raw = raw.expect("read");
            let sample = parse(&raw, &mapping).unwrap_or_else(|e| panic!("{e}"));
            count.3 += i32::from(seen.check(&sample.id, &raw.place).is_err());
            count.0 += 1;
            count.1 += i32::from(sample.teachers.iter().any(|t| !t.text.trim().is_empty()));
            count.2 += i32::from(sample.answer.is_some());
        }
        assert_eq!(count, (records, teachers, answers, repeated), "{file}");
    }
}
