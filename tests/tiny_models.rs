//! The models that come with the program: they run without being named, and do what their cards say, on problems that neither has seen.
#![cfg(all(feature = "cli", feature = "llama", feature = "train"))]

mod command;

use command::Room;
use serde_json::Value;

const BED: &str =
    "--style people --steps 1..3 --depth 1..3 --distractors 0..1 --numbers 2..12 --teachers 2 --seed 4711";

#[test]
fn the_tiny_gsrm_writes_the_steps_of_the_test_bed() {
    let room = Room::new();
    room.run("synth --count 40 --seed 4711 --labels labelled.jsonl -o bed.jsonl").ended(0);
    let measured = "validate steps --data . --decomposer gsrm --model-threads 1 --parallel 8 --json";
    let found: Value = room.run(measured).ended(0).records().remove(0);
    let f1 = |name: &str| found["figures"][format!("{name}/f1")].as_f64().expect("a figure");
    assert!(f1("value") >= 0.9 && f1("name") >= 0.8, "{found}");
}

#[test]
fn the_tiny_gsrm_tells_good_traces_from_bad_ones() {
    let room = Room::new();
    room.run("synth --count 12 --seed 4711 --students 6 -o bed.jsonl").ended(0);
    let scored =
        room.run("score bed.jsonl --decomposer gsrm --model-threads 1 --parallel 8").ended(0).records();
    let mean = |kind: usize| {
        let own = scored.iter().filter(|one| one["student"] == kind);
        let values: Vec<f64> =
            own.map(|one| one["parts"]["structure"]["value"].as_f64().expect("a value")).collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    // Students are written in the order of their kinds: all steps first, the mere guess last.
    assert!(mean(0) > 0.9 && mean(0) > mean(5) + 0.5, "{} {}", mean(0), mean(5));
}

#[test]
fn the_tiny_student_solves_some_of_the_test_bed() {
    let room = Room::new();
    room.run(&format!("synth --count 40 {BED} -o bed.jsonl")).ended(0);
    let measured =
        "eval --model student-tiny --data bed.jsonl -n 2 --max-tokens 256 --threads 1 -o eval.jsonl --json";
    let found: Value = room.run(measured).ended(0).records().remove(0);
    let pass = found["pass@1"]["mean"].as_f64().expect("a share");
    assert!((0.1..0.9).contains(&pass), "{found}");
}
