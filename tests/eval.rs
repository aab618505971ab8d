//! `rlkd eval`: figures that can be counted, runs that are broken off, files that are not what they should be.
#![cfg(all(feature = "train", feature = "llama", feature = "cli"))]

mod command;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use command::{Room, samples};
use rlkd::eval::figures::figures;
use rlkd::eval::read;
use serde_json::Value;

const EVAL: &str = "eval --model base.gguf --data data.jsonl -n 4 --max-tokens 12 --threads 1 --seed 3";

fn room() -> Room {
    let room = Room::new();
    room.run("models random -o base.gguf --vocabulary 512 --embedding 64 --heads 1 --feed-forward 96 --weights q8_0 --tied").ended(0);
    room.write("data.jsonl", samples(70));
    room
}

#[test]
fn a_model_is_measured() {
    let room = room();
    let ran = room.run(&format!("{EVAL} -o one.jsonl --json --texts")).ended(0);
    let found = ran.records().remove(0);
    for name in ["pass@1", "pass@2", "pass@4", "majority@4", "structure", "tokens", "cut"] {
        let figure = &found[name];
        assert!(
            figure["low"].as_f64() <= figure["mean"].as_f64()
                && figure["mean"].as_f64() <= figure["high"].as_f64(),
            "{name}: {found}"
        );
    }
    // Every eleventh has no gold answer: nothing is said of it.
    let judged = found["pass@1"]["n"].as_u64().expect("a number");
    assert!((60..70).contains(&judged) && found["tokens"]["n"] == 70, "{found}");
    let all = read(&room.path("one.jsonl")).expect("results");
    assert_eq!(all.len(), 70);
    assert!(all.iter().all(|one| one.samples.len() == 4
        && one.samples.iter().all(|sample| sample.text.is_some() && sample.tokens <= 13)));
    assert_eq!(serde_json::to_value(figures(&all)).expect("JSON"), found);
    // Done already: the same once more, and nothing is written.
    let before = room.read("one.jsonl");
    room.run(&format!("{EVAL} -o one.jsonl --texts")).ended(0);
    assert_eq!(room.read("one.jsonl"), before);
    // A table for people.
    assert!(room.run(&format!("{EVAL} -o one.jsonl --texts")).ended(0).text().contains("95 % of problems"));
    // Other settings are another evaluation; so is another number of sequences at once, which changes the last bits.
    room.run(&format!("{EVAL} --parallel 7 -o one.jsonl")).failed(&["one.jsonl", "other settings"]);
    room.run(&format!("{EVAL} --temperature 0.7 -o one.jsonl")).failed(&["one.jsonl", "other settings"]);
    room.write("odd.jsonl", "{\"a\": 1}\n");
    room.run(&format!("{EVAL} -o odd.jsonl")).failed(&["odd.jsonl:1", "no results of rlkd eval"]);
    // Two measurements beside each other.
    room.run(&format!("{EVAL} --temperature 0 -o greedy.jsonl")).ended(0);
    let ran = room.run("eval --compare one.jsonl greedy.jsonl --json").ended(0);
    assert!(ran.err.contains("not sampled alike") && ran.err.contains("temperature: 0.6"), "{}", ran.err);
    let found = ran.records().remove(0);
    assert_eq!(room.run("eval --compare one.jsonl one.jsonl").ended(0).err, "");
    let tokens = &found["tokens"];
    assert!(tokens["p"].as_f64().is_some_and(|p| (0.0..=1.0).contains(&p)), "{found}");
    let apart = tokens["means"][1].as_f64().expect("a mean") - tokens["means"][0].as_f64().expect("a mean");
    assert!((apart - tokens["difference"]["mean"].as_f64().expect("a mean")).abs() < 1e-9);
    room.run("eval --compare one.jsonl odd.jsonl").failed(&["odd.jsonl"]);
    room.run("eval --model base.gguf").ended(2);
    // Where nothing can be sampled, no file is left; and results are no stream.
    room.run(&format!("{EVAL} --parallel 100000 -o none.jsonl")).failed(&["parallel"]);
    assert!(!room.path("none.jsonl").exists());
    room.run(&format!("{EVAL} -o /dev/null")).failed(&["/dev/null", "name a file"]);
}

/// A run that is killed, and one whose last line was cut, go on with the same bytes.
#[test]
fn a_run_that_is_broken_off_goes_on() {
    let room = room();
    room.run(&format!("{EVAL} -o whole.jsonl")).ended(0);
    let whole = room.read("whole.jsonl");
    let args: Vec<String> = format!("{EVAL} -o killed.jsonl").split(' ').map(str::to_owned).collect();
    let mut child = room.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
    let lines = || {
        std::fs::read(room.path("killed.jsonl"))
            .map_or(0, |text| text.iter().filter(|byte| **byte == b'\n').count())
    };
    while lines() < 20 && child.try_wait().expect("a child").is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let _ = child.kill();
    child.wait().expect("ended");
    room.run(&format!("{EVAL} -o killed.jsonl")).ended(0);
    assert!(room.read("killed.jsonl") == whole, "the results differ");
    for cut in [1, whole.len() / 3, whole.len() - 7] {
        // A file that was cut within its first line says nothing, and is not taken for results.
        room.write("cut.jsonl", &whole[..cut]);
        let ran = room.run(&format!("{EVAL} -o cut.jsonl"));
        if cut == 1 {
            ran.failed(&["no results of rlkd eval"]);
        } else {
            ran.ended(0);
            assert!(room.read("cut.jsonl") == whole, "the results differ");
        }
    }
    let ran = room.on_a_full_disk(4, &format!("{EVAL} -o full.jsonl"));
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    room.run(&format!("{EVAL} -o full.jsonl")).ended(0);
    assert!(room.read("full.jsonl") == whole, "the results differ");
}

/// The benchmarks in the data folder are read and asked.
#[test]
fn benchmarks_are_asked() {
    let folder = std::env::var_os("RLKD_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), Into::into);
    if !folder.is_dir() {
        println!("skipped: there is no folder {}", folder.display());
        return;
    }
    let room = room();
    for name in ["bench_aime24", "bench_amc23", "bench_olympiadbench", "bench_svamp", "gsm8k_train"] {
        let file = folder.join(format!("{name}.jsonl"));
        let args = format!(
            "eval --model base.gguf --data {} -n 2 --max-tokens 4 --limit 5 --threads 1 -o {name}.jsonl --json",
            file.display()
        );
        let found: Value = room.run(&args).ended(0).records().remove(0);
        assert_eq!(found["tokens"]["n"], 5, "{name}: {found}");
        assert!(found["pass@1"]["n"].as_u64().is_some_and(|n| n >= 4), "{name}: {found}");
    }
    // The form of GPQA and of MATH-500.
    room.write(
        "gpqa.jsonl",
        "{\"Question\": \"Which?\", \"Correct Answer\": \"a\", \"Incorrect Answer 1\": \"b\", \"Incorrect Answer 2\": \"c\", \"Incorrect Answer 3\": \"d\"}\n",
    );
    room.write("math.jsonl", "{\"problem\": \"1 + 1?\", \"solution\": \"2\", \"answer\": \"2\", \"subject\": \"Algebra\", \"unique_id\": \"x/1\"}\n");
    for name in ["gpqa", "math"] {
        let args = format!(
            "eval --model base.gguf --data {name}.jsonl -n 2 --max-tokens 4 --threads 1 -o {name}-out.jsonl --json"
        );
        let found: Value = room.run(&args).ended(0).records().remove(0);
        assert_eq!(found["pass@1"]["n"], 1, "{name}: {found}");
    }
}
