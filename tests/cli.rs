//! The program from end to end: what each command prints, writes and ends with.

#![cfg(feature = "cli")]

mod command;

use std::collections::BTreeSet;
use std::path::Path;

use command::{Ran, Room, examples, gzip, sample, samples};
use rlkd::dataset::read_records;
use serde_json::{Value, json};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn exit_codes_are_what_help_says() {
    let room = Room::new();
    room.write("all.jsonl", examples());
    let whole: Vec<String> = examples()
        .lines()
        .filter(|line| serde_json::from_str::<Value>(line).expect("JSON").get("answer").is_some())
        .map(|line| format!("{line}\n"))
        .collect();
    room.write("whole.jsonl", whole.concat());
    assert_eq!(whole.len() + 1, examples().lines().count(), "one problem has no gold answer");

    let ran = room.run("score whole.jsonl -o scored.jsonl").ended(0);
    assert!(ran.out.is_empty());
    assert!(ran.err.contains("13 records, 52 students scored\n"), "{}", ran.err);
    assert!(ran.err.ends_with("written to scored.jsonl\n"), "{}", ran.err);
    let ran = room.run("score all.jsonl -o scored.jsonl").ended(3);
    assert!(
        ran.err.contains("14 records, 56 students scored, 4 of them with skipped rewards"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("skipped 4 times: accuracy: no gold answer"), "{}", ran.err);
    room.write("bad.jsonl", whole.concat() + "{\"id\": \n");
    let ran = room.run("score bad.jsonl -o scored.jsonl").ended(3);
    assert!(ran.err.contains("1 bad records") && ran.err.contains("bad: bad.jsonl:14: "), "{}", ran.err);

    room.run("score gone.jsonl").failed(&["gone.jsonl: cannot open the input: No such file"]);
    room.run("score all.jsonl gone.jsonl -o new.jsonl").failed(&["gone.jsonl: cannot open the input"]);
    assert!(!room.path("new.jsonl").exists() && !room.path("new.jsonl.partial").exists());
    for wrong in [
        "",
        "scroe all.jsonl",
        "score",
        "score --no-such-option",
        "score all.jsonl --structure nothing",
        "score all.jsonl --threads many",
        "score all.jsonl --weights structure",
        "score all.jsonl --weights structure=much",
        "score all.jsonl --map problem",
        "explain all.jsonl",
        "validate nothing --data .",
        "completions tcl",
    ] {
        let ran = room.run(wrong).ended(2);
        assert!(ran.out.is_empty() && ran.err.len() > 40, "{wrong}: {}", ran.err);
    }
    let help = room.run("--help").ended(0);
    for code in ["0 all scored", "3 some records bad or some rewards skipped", "1 failed", "2 wrong usage"] {
        assert!(help.text().contains(code), "{code:?} is missing: {}", help.text());
    }
    for command in ["score", "decompose", "explain", "report", "calibrate", "validate", "completions"] {
        assert!(help.text().contains(command), "{command}");
        let help = room.run(&format!("{command} --help")).ended(0);
        assert!(help.text().contains("Usage: rlkd ") && help.text().contains("Example"), "{}", help.text());
    }
    assert!(room.run("--version").ended(0).text().starts_with(concat!("rlkd ", env!("CARGO_PKG_VERSION"))));
    assert!(room.run("score --help-presets").ended(0).text().contains("native"));
    assert!(room.run("score --help-rewards").ended(0).text().contains("structure"));
}

#[test]
fn the_output_does_not_depend_on_threads_or_on_where_it_goes() {
    let room = Room::new();
    let mut input = samples(700);
    input.insert_str(0, "\n{}\n[1]\n");
    room.write("in.jsonl", &input);
    room.write("in.jsonl.gz", gzip(input.as_bytes()));
    let expected = room.run("score in.jsonl --threads 1").ended(3).out;
    assert!(expected.len() > 700_000, "{}", expected.len());
    for threads in [1, 2, 5] {
        let args = format!("--threads {threads}");
        room.run(&format!("score in.jsonl -o out.jsonl {args}")).ended(3);
        assert!(room.read("out.jsonl") == expected, "{threads} threads");
        assert!(room.run(&format!("score in.jsonl {args}")).out == expected, "{threads} threads");
    }
    // Faults name the file, so the packed input differs in that only.
    let packed = room.run("score in.jsonl.gz").ended(3);
    assert!(packed.text().replace("in.jsonl.gz", "in.jsonl").as_bytes() == expected);
    let piped = room.bash("\"$RLKD\" score - < in.jsonl");
    assert!(piped.text().replace("\"file\":\"-\"", "\"file\":\"in.jsonl\"").as_bytes() == expected);

    let records = command::records(&expected);
    for name in ["out.jsonl.gz", "out.jsonl.zst", "out.jsonl"] {
        room.run(&format!("score in.jsonl -o {name}")).ended(3);
        let read = read_records::<Value>(&room.path(name)).expect("opened");
        let read: Vec<Value> = read.map(|record| record.expect("a record")).collect();
        assert!(read == records, "{name}");
    }
    let mut names = room.names();
    names.sort();
    assert_eq!(names, ["in.jsonl", "in.jsonl.gz", "out.jsonl", "out.jsonl.gz", "out.jsonl.zst"]);
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_holds_the_same_records() {
    let room = Room::new();
    room.write("in.jsonl", samples(120) + "{}\n");
    room.run("score in.jsonl -o out.parquet").ended(3);
    let expected = room.run("score in.jsonl").records();
    let rows = read_records::<Value>(&room.path("out.parquet")).expect("opened");
    let rows: Vec<Value> = rows.map(|row| row.expect("a row")).collect();
    assert_eq!(rows.len(), expected.len());
    let json = |value: &Value| -> Value {
        value.as_str().map_or(Value::Null, |text| serde_json::from_str(text).expect("JSON"))
    };
    for (row, record) in rows.iter().zip(&expected) {
        for key in ["id", "student", "reward", "error"] {
            assert_eq!(&row[key], record.get(key).unwrap_or(&Value::Null), "{key}: {row}");
        }
        for key in ["parts", "structure"] {
            assert_eq!(json(&row[key]), record.get(key).cloned().unwrap_or(Value::Null), "{key}: {row}");
        }
        if let Some(part) = record.pointer("/parts/structure/value") {
            assert_eq!(row["part_structure"], *part);
        }
    }
}

#[test]
fn records_have_the_agreed_form() {
    let room = Room::new();
    room.write("in.jsonl", examples());
    let mut numbers = Vec::new();
    for (detail, more) in
        [("full", vec!["structure", "problem"]), ("steps", vec!["structure"]), ("score", vec!["structure"])]
    {
        let records = room.run(&format!("score in.jsonl --detail {detail}")).ended(3).records();
        assert_eq!(records.len(), 56);
        let mut skipped = 0;
        for record in &records {
            let mut expected = vec!["id", "student", "reward", "parts"];
            expected.extend(&more);
            assert_eq!(keys(record), expected, "{detail}: {record}");
            assert!(record["id"].is_string() && record["student"].is_u64(), "{record}");
            assert!(record["reward"].is_f64(), "{record}");
            let parts = record["parts"].as_object().expect("parts");
            let names: BTreeSet<&str> = parts.keys().map(String::as_str).collect();
            assert_eq!(names, BTreeSet::from(["accuracy", "format", "structure", "tag_count"]));
            for part in parts.values() {
                if part["value"].is_null() {
                    assert_eq!(keys(part), ["value", "weight", "skipped"], "{part}");
                    assert!(part["skipped"].as_str().is_some_and(|why| !why.is_empty()), "{part}");
                    skipped += 1;
                } else {
                    assert_eq!(keys(part), ["value", "weight"], "{part}");
                    assert!(part["value"].is_number() && part["weight"].is_number(), "{part}");
                }
            }
            let structure = &record["structure"];
            let total = structure["total"].as_f64().expect("a total");
            assert_eq!(Some(total), record["parts"]["structure"]["value"].as_f64());
            for side in ["teacher_steps", "student_steps"] {
                assert_eq!(structure.get(side).is_some(), detail != "score", "{structure}");
            }
            if detail != "score" {
                let student = &structure["student_steps"];
                let text = student["text"].as_str().expect("a text");
                for step in student["steps"].as_array().expect("steps") {
                    let answer = step["answer"].as_array().expect("a span");
                    let at = |i: usize| answer[i].as_u64().expect("a byte") as usize;
                    assert!(text.get(at(0)..at(1)).is_some(), "{step}");
                }
            }
        }
        assert_eq!(skipped, 4, "one problem has no gold answer");
        let rewards: Vec<Value> = records
            .iter()
            .map(|r| json!([r["id"], r["student"], r["reward"], r["structure"]["pairs"]]))
            .collect();
        numbers.push(rewards);
    }
    assert!(numbers[0] == numbers[1] && numbers[1] == numbers[2], "the detail changes no figure");
    let labelled: Vec<(String, f64)> = examples()
        .lines()
        .flat_map(|line| {
            let record: Value = serde_json::from_str(line).expect("JSON");
            record["labels"].as_array().expect("labels").iter().map(|l| l.to_string()).collect::<Vec<_>>()
        })
        .zip(numbers[0].iter().map(|row| row[2].as_f64().expect("a reward")))
        .collect();
    let mean = |label: &str| {
        let of: Vec<f64> = labelled.iter().filter(|(l, _)| l.contains(label)).map(|(_, r)| *r).collect();
        of.iter().sum::<f64>() / of.len() as f64
    };
    assert!(mean("right") > mean("wrong"), "{} {}", mean("right"), mean("wrong"));
}

#[test]
fn bad_records_are_lines_with_their_place_and_the_rest_goes_on() {
    let room = Room::new();
    let good = |number| sample(number).to_string().into_bytes();
    let lines: Vec<Vec<u8>> = vec![
        good(1),
        b"{\"id\": \"x\", \"problem\": \"\xff\xfe\", \"students\": [\"s\"]}".to_vec(),
        good(2),
        good(1),
        b"{\"id\": \"y\", \"problem\": \"p\", \"teacher\": \"t\"}".to_vec(),
        b"{\"id\": \"z\", ".to_vec(),
        good(3),
    ];
    room.write("in.jsonl", lines.join(&b'\n'));
    let ran = room.run("score in.jsonl").ended(3);
    let records = ran.records();
    let bad: Vec<&Value> = records.iter().filter(|record| record.get("error").is_some()).collect();
    let expected = [(2, "not UTF-8"), (4, "in.jsonl:1"), (5, "student"), (6, "not JSON")];
    assert_eq!(bad.len(), expected.len(), "{bad:?}");
    for (record, (line, what)) in bad.iter().zip(expected) {
        assert_eq!(keys(record), ["id", "error", "file", "line"], "{record}");
        assert_eq!((&record["file"], &record["line"]), (&json!("in.jsonl"), &json!(line)), "{record}");
        assert!(record["error"].as_str().expect("words").contains(what), "{record}");
        assert!(ran.err.contains(&format!("bad: in.jsonl:{line}: ")), "{}", ran.err);
    }
    assert_eq!(bad[1]["id"], "p1");
    let ids: BTreeSet<&str> =
        records.iter().filter(|r| r.get("error").is_none()).filter_map(|r| r["id"].as_str()).collect();
    assert_eq!(ids, BTreeSet::from(["p1", "p2", "p3"]));
    let again = room.run("score in.jsonl --allow-duplicates").ended(3).records();
    let firsts = again.iter().filter(|record| record["id"] == "p1" && record["student"] == 0).count();
    assert_eq!(firsts, 2);
    // The same id in another file, too.
    room.write("a.jsonl", good(5));
    room.write("b.jsonl", [good(6), good(5)].join(&b'\n'));
    let records = room.run("score a.jsonl b.jsonl").ended(3).records();
    let bad = records.iter().find(|record| record.get("error").is_some()).expect("a duplicate");
    assert_eq!((&bad["file"], &bad["line"]), (&json!("b.jsonl"), &json!(2)));
    assert!(bad["error"].as_str().expect("words").contains("a.jsonl:1"), "{bad}");
}

#[test]
fn a_line_of_a_hundred_megabytes_is_passed_over() {
    let room = Room::new();
    let mut input = sample(1).to_string().into_bytes();
    input.extend(b"\n{\"id\": \"big\", \"problem\": \"");
    input.resize(input.len() + 100_000_000, b'x');
    input.extend(b"\", \"students\": [\"s\"]}\n");
    input.extend(sample(2).to_string().into_bytes());
    room.write("in.jsonl", input);
    let ran = room.run("score in.jsonl").ended(3);
    let records = ran.records();
    let bad: Vec<&Value> = records.iter().filter(|record| record.get("error").is_some()).collect();
    assert_eq!((bad.len(), &bad[0]["line"]), (1, &json!(2)), "{bad:?}");
    assert!(bad[0]["error"].as_str().expect("words").contains("more than the limit"), "{}", bad[0]);
    assert_eq!(records.last().expect("some")["id"], "p2");
    let whole = room.run("score in.jsonl --max-line-mib 96 --detail score");
    let record = whole.records().into_iter().find(|record| record["id"] == "big").expect("read this time");
    assert_eq!(record["student"], 0);
}

#[test]
fn a_million_empty_records_are_read() {
    let room = Room::new();
    let mut input = "{}\n\n".repeat(1_000_000);
    input += &samples(1);
    room.write("in.jsonl", input);
    let ran = room.run("score in.jsonl -o out.jsonl").ended(3);
    assert!(ran.err.contains("1000001 records, ") && ran.err.contains("1000000 bad records"), "{}", ran.err);
    assert!(ran.err.len() < 4000, "the summary is short: {}", ran.err.len());
    let out = room.read("out.jsonl");
    let lines = out.iter().filter(|byte| **byte == b'\n').count();
    assert!(lines > 1_000_000, "{lines}");
    let last = out[..out.len() - 1].rsplit(|byte| *byte == b'\n').next().expect("a line");
    let last: Value = serde_json::from_slice(last).expect("JSON");
    assert_eq!(last["id"], "p0");
}

#[test]
fn wrong_options_name_what_was_meant() {
    let room = Room::new();
    room.write("in.jsonl", samples(2));
    for weight in ["nan", "inf", "-inf", "1e999"] {
        room.run(&format!("score in.jsonl --weights structure={weight}")).failed(&["structure", "finite"]);
        let toml = weight.replace("1e999", "inf");
        room.write("run.toml", format!("input = [\"in.jsonl\"]\n[weights]\nstructure = {toml}\n"));
        room.run("score --config run.toml").failed(&["structure", "finite"]);
    }
    room.run("score in.jsonl --weights structur=1").failed(&["structur", "did you mean", "structure"]);
    room.run("score in.jsonl --preset nativ").failed(&["nativ", "did you mean", "native"]);
    room.run("score in.jsonl --map problen=question").failed(&["problen", "problem"]);
    for (run_file, parts) in [
        ("thraeds = 2", vec!["run.toml:1: ", "thraeds", "did you mean `threads`"]),
        ("seed = 1\n\n[weigths]\nstructure = 1", vec!["run.toml:3: ", "did you mean `weights`"]),
        ("detail = \"ful\"", vec!["run.toml:1: ", "did you mean `full`"]),
        ("threads = \"two\"", vec!["run.toml:1: "]),
        ("threads = ", vec!["run.toml:1: "]),
        ("judge = \"lexicl\"", vec!["did you mean", "lexical"]),
        ("decomposer = \"rule\"", vec!["did you mean", "rules"]),
        ("[params.length]\nno_such = 1\n[weights]\nlength = 1", vec!["no_such"]),
        ("[params.lenth]\nx = 1", vec!["lenth", "length"]),
        ("extra_cost = nan", vec!["extra"]),
    ] {
        room.write("run.toml", run_file);
        room.run("score in.jsonl --config run.toml").failed(&parts);
    }
    room.run("score in.jsonl --config gone.toml").failed(&["gone.toml", "No such file"]);
    room.run("score in.jsonl --judge-model gone.json").failed(&["gone.json", "No such file"]);
    let ran = room.run("score in.jsonl --judge lexicl").ended(2);
    assert!(ran.err.contains("lexical"), "{}", ran.err);
}

#[test]
fn what_is_typed_wins_over_the_run_file() {
    let room = Room::new();
    room.write("in.jsonl", samples(5));
    room.write("run.toml", "input = [\"in.jsonl\"]\ndetail = \"score\"\n[weights]\nformat = 2\n");
    let from_file = room.run("score --config run.toml").ended(0);
    assert!(from_file.out == room.run("score in.jsonl --detail score --weights format=2").out);
    let typed = room.run("score --config run.toml --detail full --weights accuracy=1");
    assert!(typed.out == room.run("score in.jsonl --weights accuracy=1").out);
    assert!(typed.out != from_file.out);
}

#[test]
#[cfg(feature = "llama")] // It sets [llama] too.
fn the_run_file_of_the_examples_says_every_default() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let room = Room::new();
    let run = |args: &[&str]| {
        let output = room.command(args).current_dir(root).output().expect("started");
        (output.status.code(), output.stdout)
    };
    let by_file = run(&["score", "--config", "examples/run.toml"]);
    assert_eq!(by_file.0, Some(3));
    assert!(by_file == run(&["score", "examples/problems.jsonl"]));
    let text = std::fs::read_to_string(root.join("examples/run.toml")).expect("the run file");
    let known = serde_json::to_value(rlkd::run::RunConfig::default()).expect("JSON");
    for key in keys(&known) {
        let stands = |line: &str| {
            let line = line.trim_start_matches("# ");
            line.starts_with(&format!("{key} = ")) || line.starts_with(&format!("[{key}"))
        };
        assert!(text.lines().any(stands), "examples/run.toml does not show {key}");
    }
    // With every option that is shown switched on, it is still a run file.
    let all: String = text
        .lines()
        .map(|line| {
            let option = line.strip_prefix("# ").unwrap_or(line);
            let key = option.split(" = ").next().unwrap_or_default();
            let is_option = option.starts_with('[') && option.ends_with(']')
                || option.contains(" = ") && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            format!("{}\n", if is_option { option } else { line })
        })
        .collect();
    toml::from_str::<rlkd::run::RunConfig>(&all).unwrap_or_else(|error| panic!("{error}\n{all}"));
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let room = Room::new();
    room.write("in.jsonl", samples(3000));
    let ran = room.bash("\"$RLKD\" score - < in.jsonl | head -n 1");
    assert_eq!(ran.out.iter().filter(|byte| **byte == b'\n').count(), 1);
    assert!(!ran.err.contains("error") && !ran.err.contains("Broken pipe"), "{}", ran.err);
    let ran = room.bash("\"$RLKD\" score in.jsonl -q | head -n 1 > one; echo ${PIPESTATUS[0]}");
    assert!(ran.err.is_empty() && ["0\n", "3\n"].contains(&ran.text()), "{ran:?}");
    room.run("score in.jsonl -o scored.jsonl").ended(3);
    for command in
        ["explain scored.jsonl --id p1", "completions bash", "score --help-presets", "decompose in.jsonl"]
    {
        let ran = room.bash(&format!("\"$RLKD\" {command} | true; echo ${{PIPESTATUS[0]}}"));
        assert!(["0\n", "3\n"].contains(&ran.text()), "{command}: {ran:?}");
        assert!(!ran.err.contains("error"), "{command}: {}", ran.err);
    }
    // Nobody reads what it has to say, or nobody can.
    for nobody in ["2>&1 >/dev/null | true", "2>/dev/full", "2>&-"] {
        let ran =
            room.bash(&format!("\"$RLKD\" score in.jsonl -o out.jsonl {nobody}; echo ${{PIPESTATUS[0]}}"));
        assert_eq!(ran.text(), "3\n", "{nobody}");
        let ran = room.bash(&format!("\"$RLKD\" score gone.jsonl {nobody}; echo ${{PIPESTATUS[0]}}"));
        assert_eq!(ran.text(), "1\n", "{nobody}");
    }
    let ran = room.bash("\"$RLKD\" completions bash > /dev/full");
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("No space left"), "{}", ran.err);
}

#[test]
fn nothing_of_a_progress_bar_where_there_is_no_terminal() {
    let room = Room::new();
    room.write("in.jsonl", samples(1000) + "[]\n");
    for command in ["score", "decompose"] {
        let ran = room.run(&format!("{command} in.jsonl -o out.jsonl")).ended(3);
        assert!(!ran.err.contains(['\r', '\u{1b}']), "{:?}", ran.err);
        assert!(!ran.err.contains("ETA") && !ran.err.contains('%'), "{}", ran.err);
        assert!(ran.err.contains("1001 records"), "{}", ran.err);
        let ran = room.run(&format!("{command} in.jsonl -o out.jsonl --quiet")).ended(3);
        assert!(ran.err.is_empty() && ran.out.is_empty(), "{}", ran.err);
    }
    let ran: Ran = room.run("score gone.jsonl --quiet").ended(1);
    assert!(ran.err.contains("gone.jsonl"), "an error is said all the same: {}", ran.err);
}

#[test]
fn the_output_is_never_an_input() {
    let room = Room::new();
    room.write("all.jsonl", examples());
    room.run("score all.jsonl -o ./all.jsonl")
        .failed(&["all.jsonl: the output is one of the files that are read"]);
    assert_eq!(std::fs::read_to_string(room.path("all.jsonl")).expect("read"), examples());
    assert!(!room.path("all.jsonl.partial").exists());
}
