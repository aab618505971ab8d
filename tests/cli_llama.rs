//! The program with a language model: a small real one with random weights.
#![cfg(all(feature = "cli", feature = "llama"))]

mod command;

use command::{Room, samples};
use rlkd::gguf::TensorType;
use rlkd::gguf::random::{Spec, write};

const GSRM: &str = "--decomposer gsrm --model model.gguf --ctx 4096 --parallel 4 --model-threads 1 --max-steps 2 --max-tokens 200";

fn room() -> Room {
    let room = Room::new();
    let spec = Spec { weights: TensorType::Q8_0, context: 4096, ..Spec::default() };
    write(&room.path("model.gguf"), &spec).expect("a model is written");
    room.write("in.jsonl", samples(9));
    room
}

#[test]
fn scoring_with_a_model_does_not_depend_on_the_threads_and_its_steps_are_kept() {
    let room = room();
    let first = room.run(&format!("score in.jsonl -o one.jsonl --threads 1 --store s.redb {GSRM}")).ended(3);
    assert!(first.err.contains("tokens written"), "{}", first.err);
    room.run(&format!("score in.jsonl -o three.jsonl --threads 3 {GSRM}")).ended(3);
    let (one, three) = (room.read("one.jsonl"), room.read("three.jsonl"));
    assert!(one == three, "the same bytes");
    let records = command::records(&one);
    assert!(
        records.iter().any(|record| record["structure"]["teacher_steps"]["steps"].is_array()),
        "{records:?}"
    );
    // What the store has is not decoded again: no request at all, so nothing is said of the model.
    let again = room.run(&format!("score in.jsonl -o two.jsonl --threads 2 --store s.redb {GSRM}")).ended(3);
    assert!(!again.err.contains("model:"), "{}", again.err);
    assert!(one == room.read("two.jsonl"), "the same bytes");
    assert_eq!(room.names(), ["in.jsonl", "model.gguf", "one.jsonl", "s.redb", "three.jsonl", "two.jsonl"]);
}

#[test]
fn the_released_reward_runs_with_any_model() {
    let room = room();
    room.run(&format!("score in.jsonl -o out.jsonl --structure reference --judge exact {GSRM}")).ended(3);
    let records = command::records(&room.read("out.jsonl"));
    let texts = records.iter().filter_map(|record| record["structure"]["teacher_steps"]["text"].as_str());
    let texts: Vec<&str> = texts.collect();
    assert!(!texts.is_empty() && texts.iter().all(|text| text.contains("[sub-think 1]")), "{texts:?}");
}

#[test]
fn models_judge() {
    let room = room();
    for judge in ["llm", "embedding"] {
        let out = room.run(&format!(
            "score in.jsonl --judge {judge} --model model.gguf --ctx 2048 --parallel 4 --model-threads 1 --detail score"
        ));
        let records = out.ended(3).records();
        let scored =
            records.iter().filter(|record| record["parts"]["structure"]["value"].is_number()).count();
        assert!(scored > 3, "{judge}: {records:?}");
    }
}

#[test]
fn a_judge_is_calibrated_for_its_model() {
    let room = room();
    let pair = |n: u64| {
        let other = if n.is_multiple_of(2) { "How many eggs are there?" } else { "What does a ticket cost?" };
        serde_json::json!({"gsm8k_test_id": n / 2, "gold_q": "How many eggs are there?", "gold_a": "3 + 4 = 7",
            "gold_value": 7.0, "other_q": other, "other_a": "7", "other_value": 7.0,
            "value_equal": n.is_multiple_of(2) != n.is_multiple_of(10)})
    };
    room.write("pairs.jsonl", (0..60).map(|n| format!("{}\n", pair(n))).collect::<String>());
    for judge in ["llm", "embedding"] {
        let model = "--model model.gguf --ctx 2048 --parallel 4 --model-threads 1";
        let said =
            room.run(&format!("calibrate pairs.jsonl --judge {judge} {model} -o {judge}.json")).ended(0);
        assert!(said.text().contains("AUC"), "{}", said.text());
        let score = format!("score in.jsonl --judge {judge} {model} --detail score");
        room.run(&format!("{score} --judge-model {judge}.json")).ended(3);
    }
    room.run("score in.jsonl --judge llm --model model.gguf --ctx 2048 --judge-model embedding.json")
        .failed(&["embedding.json", "was fitted for the judge"]);
}

#[test]
fn small_batches_are_made_large_enough() {
    let room = room();
    for (batch, micro_batch) in [(1, 0), (0, 2), (7, 1)] {
        let engine = format!("[llama.engine]\nbatch = {batch}\nmicro_batch = {micro_batch}\n");
        room.write("run.toml", engine);
        room.run(&format!("decompose in.jsonl --config run.toml --restart -o out.jsonl {GSRM}")).ended(0);
    }
}

#[test]
fn mistakes_say_what_to_do() {
    let room = room();
    room.run(&format!("decompose in.jsonl --store gone/s.redb -o out.jsonl {GSRM}"))
        .failed(&["gone", "make it first"]);
    room.run(&format!("decompose in.jsonl --store out.jsonl -o out.jsonl {GSRM}")).failed(&["name another"]);
    room.run("models random -o in.jsonl").failed(&["in.jsonl", "no model"]);
    room.run("score in.jsonl --judge llm").failed(&["needs a model: --model FILE.gguf"]);
    room.run("score in.jsonl --decomposer gsrm --model missing.gguf").failed(&["missing.gguf"]);
    room.run("score in.jsonl --decomposer gsrm --model hf:a/b/c.gguf").failed(&["fetch"]);
    room.run("score in.jsonl --decomposer gsrm --model model.gguf --parallel 9999")
        .failed(&["lower --parallel"]);
    let bytes = room.read("model.gguf");
    room.write("cut.gguf", &bytes[..bytes.len() - 100]);
    room.run("score in.jsonl --decomposer gsrm --model cut.gguf").failed(&["cut.gguf"]);
    // Too short for the prompt: each trace is skipped with what to raise, and the run goes on.
    let out = room.run("score in.jsonl --decomposer gsrm --model model.gguf --ctx 256 --parallel 2").ended(3);
    let first = &out.records()[0];
    let why = first["parts"]["structure"]["skipped"].as_str().expect("a reason");
    assert!(why.contains("raise --ctx"), "{why}");
    assert_eq!(room.names(), ["cut.gguf", "in.jsonl", "model.gguf"], "nothing is left behind");
}
