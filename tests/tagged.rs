//! Tagged text and JSON step lists: literal cases, the invariants on random texts, and time.
#[path = "oracle/tagged.rs"]
mod oracle;

use std::time::{Duration, Instant};

use oracle::{check, parts};
use proptest::prelude::*;
use rlkd::decompose::tagged::{Tagged, has_tags, lines, parse, reference, render};
use rlkd::decompose::{Auto, Decomposer, Job};
use rlkd::trace::{Domain, End, Span, StepKind, StepList, Trace};

/// Steps of three lines become canonical tagged text, and what was cut reads as cut.
#[test]
fn steps_of_three_lines_are_read() {
    for (text, expected, end) in [
        ("m\nq\na\n", vec![["m", "q", "a"]], End::Complete),
        ("m\nq\na\n\nn\nr\nb", vec![["m", "q", "a"], ["n", "r", "b"]], End::Complete),
        ("m\nq\na\n\nn\nr", vec![["m", "q", "a"], ["n", "r", ""]], End::Truncated),
        ("m\nq\na\n\nn", vec![["m", "q", "a"], ["n", "", ""]], End::Truncated),
        ("\n\nm\nq\na\nmore\n\n\n", vec![["m", "q", "a\nmore"]], End::Complete),
        ("", vec![], End::Complete),
    ] {
        let list = lines(text);
        assert_eq!(parts(&list), expected, "{text:?}");
        assert_eq!(list.end, end, "{text:?}");
    }
}

type Case<'a> = (&'a str, &'a str, &'a [[&'a str; 3]]);

const CASES: &[Case] = &[
    ("nothing", "", &[]),
    ("raw text", "Let me think. So 2 + 2 = 4.", &[]),
    (
        "canonical",
        "[Meta-reasoning 1]: m\n[Sub-problem 1]: q\n[Answer 1]: a\n\n[Meta-reasoning 2]: n\n[Sub-problem 2]: r\n[Answer 2]: b\n\n",
        &[["m", "q", "a"], ["n", "r", "b"]],
    ),
    ("the released spellings", "x\n[sub-think 1] m\n[Query 1]: q\n[Answer 1]: a", &[["m", "q", "a"]]),
    ("the release's prompts", "[Meat-reasoning 1]: m\n[Sub-problem 1]: q\n[Answer 1]: a", &[["m", "q", "a"]]),
    (
        "markdown",
        "- **[Query 1]:** q\n- **[Answer 1]** a\n\n* [Query 2] r\n* [Answer 2] b",
        &[["", "q", "a"], ["", "r", "b"]],
    ),
    (
        "numbers mean nothing",
        "[Query 7] q\n[Answer 3] a\n[Query 7] r\n[Answer] b",
        &[["", "q", "a"], ["", "r", "b"]],
    ),
    ("several lines", "[Query 1] q\nmore\n\n[Answer 1] a\n  more\n", &[["", "q\nmore", "a\n  more"]]),
    ("in the middle of a line", "[Query 1] see [Answer 3] q\n[Answer 1] a", &[["", "see [Answer 3] q", "a"]]),
    ("escaped", "[Query 1] q\n\\[Answer 3] q\n[Answer 1] a", &[["", "q\n\\[Answer 3] q", "a"]]),
    ("tag after tag", "[Query 1][Answer 1] a", &[["", "", "a"]]),
    (
        "an earlier part opens a step",
        "[Answer 1] a\n[Query 2] q\n[Answer 2] b\n[Answer 3] c\n[sub-think 4] m",
        &[["", "", "a"], ["", "q", "b"], ["", "", "c"], ["m", "", ""]],
    ),
    ("an empty tag opens a step", "[Query 1] q\n[Query 2]:\n[Answer 2] a", &[["", "q", ""], ["", "", "a"]]),
    ("a step without text is none", "[Query 1]:\n[Answer 1]:\n\n[Query 2]: q", &[["", "q", ""]]),
    ("Unicode", "[Query ٣]: где?\u{2028}\n[Answer\u{a0}3]: „тут“\u{1c}", &[["", "где?", "„тут“"]]),
    (
        "JSON list",
        r#"[{"meta_reasoning":"m","sub_problem":"q","answer":"a"},{"question":"r","answer":42}]"#,
        &[["m", "q", "a"], ["", "r", "42"]],
    ),
    (
        "JSON in a fence",
        "Here:\n```json\n{\"steps\": [\n {\"think\": \"m\", \"query\": \"q\", \"a\": \"a\"}\n]}\n```\nDone.",
        &[["m", "q", "a"]],
    ),
    (
        "JSON with other keys",
        r#"{"problem":"p","n":[1,{"a":2}],"steps":[{"id":1,"Sub-Question":"q","answer":["x",1]},{"q":"r","answer":null}]}"#,
        &[["", "q", "[\"x\",1]"], ["", "r", ""]],
    ),
    ("one JSON step", r#"{"question": "q", "answer": "a"}"#, &[["", "q", "a"]]),
    (
        "JSON parts that look like tags",
        r#"[{"q":"[Answer 1] q","a":"a\n[Query 2] b"},{"q":" ","a":"c"}]"#,
        &[["", "\\[Answer 1] q", "a\n\\[Query 2] b"], ["", "", "c"]],
    ),
    ("JSON steps that could run together", r#"[{"q":"q"},{"a":"a"}]"#, &[["", "q", ""], ["", "", "a"]]),
    ("JSON that breaks", r#"[{"q":"q","a":"a"},{"q":"r","a":"b"#, &[["", "q", "a"]]),
    ("JSON of something else", "[1, 2]\n{\"x\": 1}\n[\"q\"]", &[]),
    ("tags win over JSON", "[Query 1]: q\n[{\"q\": \"r\"}]", &[["", "q\n[{\"q\": \"r\"}]", ""]]),
];

#[test]
fn literal_cases() {
    for &(name, text, expected) in CASES {
        assert_eq!(parts(&parse(text)), expected, "{name}");
        check(text);
    }
}

#[test]
fn a_list_says_how_it_ended() {
    for (text, end) in [
        ("[Query 1] q\n[Answer 1] a", End::Complete),
        ("[Query 1] q\n[Query 2] r", End::Complete),
        ("[Query 1] q\n[Answer 1] a\n[Query 2] r", End::Truncated),
        (r#"[{"q":"q","a":"a"},{"q":"r"}]"#, End::Truncated),
        (r#"[{"q":"q","a":"a"}] and so on"#, End::Complete),
        (r#"[{"q":"q","a":"a"},7]"#, End::Malformed { at: 34 }),
        (r#"[{"q":"q","a":"a"},"#, End::Malformed { at: 34 }),
        (r#"[{"q":"q"#, End::Malformed { at: 0 }),
    ] {
        let list = parse(text);
        assert_eq!(list.end, end, "{text}");
    }
}

#[test]
fn canonical_text_is_written() {
    let list = parse("**[query1]** q\n- [Answer] a\n[Sub_Think] m");
    assert_eq!(render(&list), "[Sub-problem 1]: q\n[Answer 1]: a\n\n[Meta-reasoning 2]: m\n\n");
}

#[test]
fn what_carries_steps_is_told_from_what_does_not() {
    for (text, expected) in [
        ("[Query 1] q", true),
        ("text\n - [sub-think 1] m", true),
        ("So it is 4.\n[Answer]: 4", false),
        ("[Answer 1]: 4\n[Query 2]: q", true),
        ("as in [Query 1] q", false),
        ("```json\n[{\"question\": 1}]\n```", true),
        ("{\"x\": 1}", false),
        ("{\"x\": 1, \"steps\": []}", false),
        ("{\"x\": 1, \"steps\": [{\"q\": 1}]}", true),
        ("So:\n{\"answer\": 42}", false),
        ("[Answer 1]: 4\n[Answer 2]: 5", true),
        ("", false),
    ] {
        assert_eq!(has_tags(text), expected, "{text:?}");
    }
}

fn decompose(text: &str) -> rlkd::Result<StepList> {
    let trace = Trace::new(text);
    let job = Job { problem: "", domain: Domain::Math, trace: &trace };
    Tagged.decompose(&[job]).remove(0)
}

#[test]
fn the_path_is_read_and_else_the_whole_trace() {
    let list = decompose("<think>[Query 1] q\n[Answer 1] a</think>\n[Query 9] later").unwrap();
    assert_eq!(parts(&list), [["", "q", "a"]]);
    assert_eq!(list.steps[0].answer, Span::new(30, 31), "spans point into the trace");
    let list = decompose("<think>hm</think>\n[Query 1] q\n[Answer 1] a").unwrap();
    assert_eq!(parts(&list), [["", "q", "a"]]);
    assert_eq!(decompose(" \n").unwrap().steps, []);
    let error = decompose("no tags").unwrap_err().to_string();
    assert!(error.contains("[Sub-problem 1]") && error.contains("rules"), "{error}");
}

/// The released parser: split anywhere, exactly one space, other spellings are text.
#[test]
fn the_released_parser_is_strict_and_lax_where_it_was() {
    let chunks = |text: &str| -> Vec<String> {
        parts(&reference(text)).concat().into_iter().filter(|c| !c.is_empty()).map(String::from).collect()
    };
    for (text, expected) in [
        ("x [Query 1] a [Answer 1]: b ", &["[Query 1] a", "[Answer 1]: b"][..]),
        ("[sub-think  1] a [Query 1] b", &["[Query 1] b"]),
        ("[Query\t1] a [Query\n2] b [Query 3] c", &["[Query 3] c"]),
        ("[Query\u{1f}1] a [Query\u{a0}2] b [Query 3]c\u{1c}\u{85}", &["[Query 3]c"]),
        ("[query 1] a [Sub-problem 1] b [Query1] c [Query 1 ] d", &[]),
        ("[Query 1] a [answer 1] b", &["[Query 1] a [answer 1] b"]),
        ("[[sub-think 1] a [Answ[Answer 2] b", &["[sub-think 1] a [Answ", "[Answer 2] b"]),
        ("[Answer ٣٤] a", &["[Answer ٣٤] a"]),
        ("[Answer ²] a", &[]),
    ] {
        assert_eq!(chunks(text), expected, "{text:?}");
        check(text);
    }
    let list = reference("[Query 1] a [sub-think 1] b [sub-think 2] c [Answer 1] d");
    assert_eq!(
        parts(&list),
        [["", "[Query 1] a", ""], ["[sub-think 1] b", "", ""], ["[sub-think 2] c", "", "[Answer 1] d"]]
    );
}

/// A quarter of a megabyte of what could make a reader go back and forth takes no longer than as much text.
#[test]
fn time_is_linear() {
    for unit in [
        "[",
        "\n[",
        "\n- - **[",
        "[Query ",
        "\n[Query ",
        "\n[sub\n\n\n",
        "\n[Query 1] ",
        "[Query 1]",
        " ",
        "\n",
        "*",
        "\n{",
        "\n[{\"x\":",
        "\\[Query 1]\n",
        "\n[Query\n1",
        "[Answer 1] x\n",
        "[[Query  1]",
    ] {
        let text = unit.repeat((1 << 18) / unit.len());
        let start = Instant::now();
        let list = parse(&text);
        render(&list);
        has_tags(&text);
        reference(&text);
        // A quadratic reader would take minutes.
        assert!(start.elapsed() < Duration::from_secs(20), "{unit:?}: {:?}", start.elapsed());
    }
}

/// What the fuzzer starts from, and what it once found.
#[test]
fn fuzz_inputs_hold() {
    let fuzz = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let folders = [fuzz.join("seeds/tagged"), fuzz.join("regressions/tagged")];
    let files = folders.iter().filter_map(|dir| dir.read_dir().ok()).flatten();
    let mut count = 0;
    for file in files.flatten() {
        let bytes = std::fs::read(file.path()).unwrap();
        check(&String::from_utf8_lossy(&bytes));
        count += 1;
    }
    assert!(count > 0 || !fuzz.exists(), "there are seeds");
}

fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(&[
            "[Query 1]", "[sub-think 2]:", "[Answer 3]", "[Meta-reasoning]", "**[Sub_problem 4]**", "[answer\n5]", "[Query  ",
            "- ", "* ", "**", "\\", ":", "：", "\n", "\n\n", "\r\n", " ", "\u{a0}", "\u{1c}", "\u{2028}", "[", "]", "é", "香",
            "word", "1", "```json\n", "[{\"q\":\"", "\",\"a\":\"", "\"}", "\"},{\"answer\":\"", "]", "{\"steps\":[", "\\n[Query 1]",
        ][..]).prop_map(String::from),
        1 => "\\PC{0,3}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_reads_back(fragments in prop::collection::vec(fragment(), 0..24)) {
        check(&fragments.concat());
    }
}

#[test]
fn steps_in_json_keep_their_kinds() {
    let list = parse(r#"{"steps": [{"q": "a", "a": 1}, {}, {"q": "b", "a": 2, "kind": "verify"}]}"#);
    let kinds: Vec<StepKind> = list.steps.iter().map(|step| step.kind).collect();
    assert_eq!(kinds, [StepKind::Progress, StepKind::Verify]);
}

#[test]
fn gold_lines_without_questions_are_steps_of_their_own() {
    let trace = Trace::new("[Answer 1]: It takes 2/2=1 bolt. One.\n\n[Answer 2]: In all 2+1=3.\n\n");
    let job = Job { problem: "", domain: Domain::Math, trace: &trace };
    let list = Auto::default().decompose(&[job]).remove(0).unwrap();
    assert_eq!(parts(&list), [["", "", "It takes 2/2=1 bolt. One."], ["", "", "In all 2+1=3."]]);
}
