//! The commands beside `score`, from end to end.

#![cfg(feature = "cli")]

mod command;

use std::collections::BTreeSet;

use command::{Room, examples, samples};
use serde_json::{Value, json};

#[test]
fn explain_shows_scored_and_unscored_files() {
    let room = Room::new();
    room.write("in.jsonl", examples());
    for (name, options) in [("scored.jsonl", ""), ("steps.jsonl.gz", "--detail steps")] {
        room.run(&format!("score in.jsonl -o {name} {options}")).ended(3);
    }
    let scored = room.run("explain scored.jsonl --id math-bakery").ended(0);
    for part in ["math-bakery", "18 * 24 = 432", "structure", "accuracy"] {
        assert!(scored.text().contains(part), "{part}: {}", scored.text());
    }
    assert!(!scored.text().contains('\u{1b}'), "no colour where there is no terminal");
    // A file that is not scored yet is scored first, and says the same.
    assert!(room.run("explain in.jsonl --id math-bakery").ended(0).out == scored.out);
    assert!(room.run("explain steps.jsonl.gz --id math-bakery").ended(0).text().contains("18 * 24 = 432"));
    let one = room.run("explain scored.jsonl --id math-bakery --student 1").ended(0);
    assert!(one.out.len() < scored.out.len() && one.text().contains("350"), "{}", one.text());
    let other = room.run("explain in.jsonl --id math-bakery --student 1 --judge exact").ended(0);
    assert!(other.out != one.out, "the options count");
    for file in ["scored.jsonl", "in.jsonl"] {
        room.run(&format!("explain {file} --id gone")).failed(&["\"gone\"", file]);
        room.run(&format!("explain {file} --id math-bakery --student 4")).failed(&["4 students"]);
    }
    room.run("explain gone.jsonl --id a").failed(&["gone.jsonl"]);
    // An id that came twice: the good record is shown.
    let line = examples().lines().next().expect("a line").to_owned();
    room.write("twice.jsonl", format!("{line}\n{line}\n"));
    room.run("score twice.jsonl -o scored-twice.jsonl").ended(3);
    assert!(room.run("explain scored-twice.jsonl --id math-bakery").ended(0).out == scored.out);
    room.write("bad.jsonl", "{\"id\": \"odd\", \"problem\": \"p\", \"students\": 7}\n");
    room.run("score bad.jsonl -o scored-bad.jsonl").ended(3);
    room.run("explain scored-bad.jsonl --id odd").ended(1);
}

#[test]
fn report_writes_one_page_or_nothing() {
    let room = Room::new();
    room.write("in.jsonl", examples() + "{\"id\": \"<script>alert(1)</script>\", \"students\": 1}\n");
    room.run("score in.jsonl -o scored.jsonl").ended(3);
    let said = room.run("report scored.jsonl -o a.html").ended(0);
    assert_eq!(said.text(), "a.html\n");
    room.run("report scored.jsonl -o b.html").ended(0);
    assert!(room.read("a.html") == room.read("b.html"), "the page is the same each time");
    let page = String::from_utf8(room.read("a.html")).expect("UTF-8");
    assert!(page.to_lowercase().starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    for part in ["math-bakery", "structure", "accuracy", "scored.jsonl", "in.jsonl:15"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("<script>alert"), "ids are data");
    for outside in ["http://", "https://", "src=", "@import"] {
        let stands = page.match_indices(outside).any(|(at, _)| !page[at..].starts_with("http://www.w3.org"));
        assert!(!stands, "{outside}: the page needs no network");
    }
    room.run("report scored.jsonl -o few.html --pairs 1 --title Monday").ended(0);
    assert!(room.read("few.html").len() < page.len());
    assert!(String::from_utf8_lossy(&room.read("few.html")).contains("<title>Monday"));
    let before = room.names();
    room.run("report scored.jsonl -o gone/page.html").failed(&["gone/page.html", "No such file"]);
    room.run("report gone.jsonl -o c.html").failed(&["gone.jsonl"]);
    room.run("report in.jsonl -o c.html").failed(&["in.jsonl:1"]);
    room.on_a_full_disk(2, "report scored.jsonl -o a.html").failed(&["a.html", "File too large"]);
    assert_eq!(room.names(), before);
    assert!(room.read("a.html") == page.as_bytes(), "the earlier page stands");
}

#[test]
fn decompose_writes_the_steps_of_each_trace() {
    let room = Room::new();
    let input = samples(50);
    room.write("in.jsonl", &input);
    let ran = room.run("decompose in.jsonl").ended(0);
    let mut expected = Vec::new();
    for line in input.lines() {
        let record: Value = serde_json::from_str(line).expect("JSON");
        for (role, column) in [("teacher", "teacher"), ("student", "students")] {
            let traces = record[column].as_array().expect("traces");
            expected.extend((0..traces.len()).map(|index| json!([record["id"], role, index])));
        }
    }
    let records = ran.records();
    let found: Vec<Value> = records.iter().map(|r| json!([r["id"], r["role"], r["index"]])).collect();
    assert_eq!(found, expected);
    let mut kinds = BTreeSet::new();
    for record in &records {
        let text = record["text"].as_str().expect("a text");
        for step in record["steps"].as_array().expect("steps") {
            kinds.insert(step["kind"].as_str().expect("a kind"));
            for part in ["meta_reasoning", "sub_problem", "answer"] {
                let span: (usize, usize) = serde_json::from_value(step[part].clone()).expect("a span");
                assert!(text.get(span.0..span.1).is_some(), "{step}");
            }
        }
    }
    assert!(kinds.contains("progress"), "{kinds:?}");
    assert!(
        ran.err.contains(&format!("50 records, {} traces, 0 bad records", expected.len())),
        "{}",
        ran.err
    );
    for threads in [1, 4] {
        assert!(room.run(&format!("decompose in.jsonl --threads {threads} -q")).out == ran.out);
    }
    // Teachers alone are enough; and a store gives what it was given.
    room.write("teachers.jsonl", "{\"id\": 1, \"problem\": \"p\", \"teacher\": \"2 + 3 = 5\"}\n");
    let alone = room.run("decompose teachers.jsonl --preset native").ended(0);
    assert_eq!(alone.records().len(), 1);
    for _ in 0..2 {
        let stored = room.run("decompose in.jsonl --store steps.redb").ended(0);
        assert!(stored.out == ran.out);
    }
    let scored = room.run("score in.jsonl --store steps.redb").ended(3);
    assert!(scored.out == room.run("score in.jsonl").out);
    assert!(room.run("decompose in.jsonl --decomposer rules").out != ran.out);
}

#[test]
fn completions_are_scripts() {
    let room = Room::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = room.run(&format!("completions {shell}")).ended(0);
        for word in ["score", "decompose", "explain", "judge-model", "normalize_then_sum"] {
            assert!(script.text().contains(word), "{shell}: {word}");
        }
        room.write(shell, &script.out);
    }
    assert_eq!(room.bash("bash -n bash").code, Some(0));
    assert!(room.bash(". ./bash && complete -p rlkd").ended(0).text().contains("rlkd"));
}

#[test]
fn validate_prints_one_object() {
    let room = Room::new();
    let asked = |aspect: &str, teacher: &str, student: &str, reply: &str| json!({"aspect": aspect, "teacher": teacher, "student": student, "reply": reply});
    // The second thought is not the same, so the third is not asked; the first answer differs: 1, halved.
    let gate = json!({
        "teacher": "[sub-think 1] a1[Query 1] b1[Answer 1] c1[sub-think 2] a2[sub-think 3] a3",
        "student": "[sub-think 1] x1[Query 1] y1[Answer 1] z1[sub-think 2] x2[sub-think 3] x3",
        "judge": [
            asked("think", "[sub-think 1] a1", "[sub-think 1] x1", "yes"),
            asked("think", "[sub-think 2] a2", "[sub-think 2] x2", "no"),
            asked("query", "[Query 1] b1", "[Query 1] y1", "Yes."),
            asked("answer", "[Answer 1] c1", "[Answer 1] z1", "no"),
        ],
        "reward": 0.5,
    });
    room.write("reference_reward_golden.jsonl", format!("{gate}\n{gate}\n"));
    let ran = room.run("validate reference --data . --json").ended(0);
    assert_eq!(ran.text().lines().count(), 1, "{}", ran.text());
    let report = &ran.records()[0];
    let keys: Vec<&String> = report.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["suite", "n", "passed", "failed", "figures"]);
    assert_eq!(
        (&report["suite"], &report["n"], &report["passed"], &report["failed"]),
        (&json!("reference"), &json!(2), &json!(2), &json!(0)),
        "{report}"
    );
    assert!(report["figures"].as_object().expect("figures").values().all(Value::is_number));
    let words = room.run("validate reference --data .").ended(0);
    assert!(words.text().starts_with("reference: 2 cases, 2 passed, 0 failed\n"), "{}", words.text());
    // Figures of nothing are no figures.
    std::fs::create_dir(room.path("none")).expect("a folder");
    for name in
        ["matcher_pairs.jsonl", "gsm8k_traces.jsonl", "gsm8k_socratic_steps.jsonl", "perturbation.jsonl"]
    {
        room.write(&format!("none/{name}"), "");
    }
    for suite in ["matcher", "ranking", "hacks", "perturbation"] {
        room.run(&format!("validate {suite} --data none")).failed(&["no case of the suite", suite]);
    }
    room.run("validate reference --data gone").failed(&["gone/reference_reward_golden.jsonl"]);
    let all = room.run("validate all --data .").ended(0);
    assert!(
        all.text().starts_with("reference: 2 cases") && all.err.contains("ranking: left out"),
        "{}",
        all.err
    );
}

/// Labelled pairs of steps: the same product asked in two ways, and another question about the same things.
fn pairs() -> String {
    let things = ["eggs", "rolls", "bolts", "tiles", "stamps"];
    let mut lines = String::new();
    for number in 0..60u64 {
        let (a, b, thing) = (number % 13 + 2, number % 7 + 3, things[number as usize % 5]);
        let gold = (format!("How many {thing} are in all boxes?"), format!("{a} * {b} = {}", a * b), a * b);
        let same =
            (format!("What is the total of {thing} in the boxes?"), format!("{b} * {a} = {}", a * b), a * b);
        let other = (format!("How much do the {thing} cost?"), format!("{a} + 50 = {}", a + 50), a + 50);
        for (pair, equal) in [(same, true), (other, false)] {
            let line = json!({"gsm8k_test_id": number, "gold_q": gold.0, "gold_a": gold.1,
                "gold_value": gold.2 as f64, "other_q": pair.0, "other_a": pair.1, "other_value": pair.2 as f64,
                "value_equal": equal});
            lines += &format!("{line}\n");
        }
    }
    lines
}

#[test]
fn calibrate_writes_a_model_that_score_reads() {
    let room = Room::new();
    room.write("pairs.jsonl", pairs());
    room.write("in.jsonl", examples());
    let ran = room.run("calibrate pairs.jsonl -o model.json").ended(0);
    assert!(ran.text().starts_with("fitted on 80 pairs; "), "{}", ran.text());
    room.run("calibrate pairs.jsonl -o again.json").ended(0);
    assert!(room.read("model.json") == room.read("again.json"), "the fit is the same each time");
    let model: Value = serde_json::from_slice(&room.read("model.json")).expect("JSON");
    assert!(model["provenance"]["data"].as_str().expect("data").starts_with("pairs.jsonl, xxh3 "), "{model}");
    assert!(model["provenance"]["held_out_auc"].as_f64().expect("a number") > 0.9, "{model}");
    let with_it = room.run("score in.jsonl --judge-model model.json").ended(3);
    assert_eq!(with_it.records().len(), 56);
    assert!(with_it.out != room.run("score in.jsonl").out, "another model judges otherwise");
    room.write("cut.json", &room.read("model.json")[..200]);
    room.run("score in.jsonl --judge-model cut.json").failed(&["cut.json"]);
    room.run("score in.jsonl --judge exact --judge-model model.json").failed(&["model.json", "exact"]);
    let few: String = pairs().lines().take(3).map(|line| format!("{line}\n")).collect();
    room.write("few.jsonl", few);
    room.run("calibrate few.jsonl -o none.json").failed(&["too few pairs"]);
    room.run("calibrate in.jsonl -o none.json").failed(&["in.jsonl:1"]);
    room.run("calibrate pairs.jsonl -o gone/model.json").failed(&["gone/model.json"]);
    assert!(!room.path("none.json").exists());
}

/// Traces of a problem with gold steps, one that ends right and one that ends wrong; a labelled trace; a pair of solutions.
fn labelled_data(room: &Room) {
    let question = "A box has 3 rows of 4 eggs. How many eggs are in 5 boxes?";
    room.write(
        "gsm8k_socratic_steps.jsonl",
        json!({"gsm8k_test_id": 3, "question": question, "steps": [
            {"q": "How many eggs are in a box?", "a": "3*4 = 12 eggs", "value": 12, "has_calc": true},
            {"q": "How many eggs are in five boxes?", "a": "12*5 = 60 eggs", "value": 60, "has_calc": true},
        ]})
        .to_string(),
    );
    let trace = |model: &str, text: &str| {
        let record = json!({"gsm8k_test_id": 3, "question": question, "gold": "60", "role": "thinking_model", "model": model, "text": text});
        format!("{record}\n")
    };
    let right = "A box holds 3*4 = 12 eggs.\nFive boxes hold 12*5 = 60 eggs.\nTwo of them hold 12*2 = 24.\nThe answer is 60.";
    let wrong = "A box holds 3+4 = 7 eggs.\nFive boxes hold 7*5 = 35 eggs.\nThe answer is 35.";
    room.write("gsm8k_traces.jsonl", trace("<b>one</b>", right) + &trace("<script>alert(1)</script>", wrong));
    room.write(
        "r1_sat_labelled.jsonl",
        json!({"question_id": "f", "question": question, "r1_response": "Each box has 3*4 = 12 eggs. Let me check: 12/4 = 3.",
            "sentences": [
                {"text": "Each box has 3*4 = 12 eggs.", "gt-class-1": "General", "gt-class-2": "Implement"},
                {"text": "Let me check: 12/4 = 3.", "gt-class-1": "Verify", "gt-class-2": "<i>odd</i>"},
            ]})
        .to_string(),
    );
    room.write(
        "prmbench_multi_solutions.jsonl",
        json!({"original_question": question, "original_process": ["3*4 = 12.", "12*5 = 60."],
            "modified_process": ["5*4 = 20.", "20*3 = 60."], "classification": "multi"})
        .to_string(),
    );
}

#[test]
fn validate_writes_a_page_of_all_suites() {
    let room = Room::new();
    labelled_data(&room);
    let ran = room.run("validate all --data . --html page.html").ended(0);
    for part in ["met: identical ≥ 1 (1.0000)", "Values of steps, held-out problems:", "value_f1 "] {
        assert!(ran.text().contains(part), "{part}: {}", ran.text());
    }
    assert!(ran.err.contains("matcher: left out") && ran.err.contains("page.html"), "{}", ran.err);
    assert!(!ran.err.contains('…'), "nobody looks at the progress");
    let page = String::from_utf8(room.read("page.html")).expect("UTF-8");
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    for part in [
        "<section id=\"ranking\"",
        "<section id=\"steps\"",
        "<svg class=\"plot\"",
        "identical ≥ 1",
        "<td class=\"met\">met</td>",
        "<td class=\"missed\">missed</td>",
        "matcher_pairs.jsonl",
        "<code>rlkd validate all --data . --html page.html</code>",
        "&lt;b&gt;one&lt;/b&gt;",
    ] {
        assert!(page.contains(part), "{part}");
    }
    for bad in ["<b>one", "<script", "<i>odd", "http://", "https://", "src=", "@import"] {
        assert!(!page.contains(bad), "{bad}");
    }
    let open = |name: &str| page.matches(&format!("<{name}")).count();
    for name in ["section", "table", "svg", "details", "ul", "dl"] {
        assert_eq!(open(name), page.matches(&format!("</{name}>")).count(), "{name}");
    }
    // The same page again, of the same name; a suite alone; what is printed stays JSON.
    room.run("validate all --data . --html again.html").ended(0);
    let again = String::from_utf8(room.read("again.html")).expect("UTF-8").replace("again.html", "page.html");
    assert!(steady(&again) == steady(&page));
    let one = room.run("validate steps --data . --json --html one.html").ended(0).records().remove(0);
    assert_eq!((one["figures"]["value_recall"].as_f64(), one["n"].as_u64()), (Some(1.0), Some(2)));
    let keys: Vec<&String> = one.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["suite", "n", "passed", "failed", "figures"]);
    assert!(!String::from_utf8_lossy(&room.read("one.html")).contains("id=\"ranking\""));
    // Nothing is run that could not be written in the end.
    let before = room.names();
    room.run("validate all --data . --html gone/page.html").failed(&["gone/page.html"]);
    room.run("validate all --data . --html gsm8k_traces.jsonl").failed(&["one of the files that are read"]);
    assert_eq!(room.names(), before);
    // A suite that cannot run does not take the others with it.
    room.write("matcher_pairs.jsonl", "{}\n");
    let ran = room.run("validate all --data . --html page.html").ended(1);
    assert!(
        ran.err.contains("matcher: left out, ") && ran.err.contains("matcher_pairs.jsonl:1"),
        "{}",
        ran.err
    );
    assert!(String::from_utf8_lossy(&room.read("page.html")).contains("matcher_pairs.jsonl:1"));
}

/// A page without its figures of time.
fn steady(page: &str) -> Vec<&str> {
    page.split("<tr>").filter(|row| !row.contains("per_second")).collect()
}

#[test]
fn verify_says_whether_answers_are_the_same() {
    let room = Room::new();
    for (pair, options, code, part) in [
        (["0.5", "\\frac{1}{2}"], "", 0, "equal"),
        (["-5", "5"], "", 4, "different"),
        (["1/3", "0.3333"], "", 4, "different"),
        (["1/3", "0.3333"], "--float-rounding 4 --explain", 0, "decimals that count"),
        (["\\frac{1}{", "5"], "--explain", 3, "the gold answer cannot be read from byte"),
        (["2^{2^{2^{2^{2^{2}}}}}", "7"], "--json --budget 10", 3, "\"too_complex\""),
        (["42", "So she has \\boxed{42} eggs."], "--texts", 0, "equal"),
        (["[0,1]", "0 \\le x \\le 1"], "--allow-set-relation-comp", 0, "equal"),
    ] {
        let options = options.split(' ').filter(|option| !option.is_empty());
        let ran = room.call(["verify"].into_iter().chain(options).chain(["--"]).chain(pair)).ended(code);
        assert!(ran.text().contains(part), "{pair:?}: {}", ran.text());
    }
    room.write("pairs.jsonl", "{\"answer\": 0.5, \"output\": \"1/2\"}\n{\"answer\": \"x+1\", \"output\": \"1 + x\"}\n{\"answer\": \"7\", \"output\": \"8\"}\n");
    let ran = room.run("verify --file pairs.jsonl --gold answer --pred output").ended(0);
    let verdicts: Vec<Value> = ran.records().iter().map(|record| record["verdict"].clone()).collect();
    assert_eq!(verdicts, ["equal", "equal", "different"]);
    assert!(ran.err.contains("3 pairs: 2 equal, 1 different, 0 not decided"), "{}", ran.err);
    room.run("verify --file pairs.jsonl").failed(&["record 1 has no \"gold\"", "answer, output", "--gold"]);
    room.run("verify --file gone.jsonl").failed(&["gone.jsonl"]);
    room.run("verify").ended(2);
    room.run("verify 5").ended(2);
}
