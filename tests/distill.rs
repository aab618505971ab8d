//! `rlkd train`: what is sampled is what is trained, what is rewarded becomes more, and runs that are killed, stopped or spoilt.
#![cfg(all(feature = "train", feature = "llama", feature = "cli"))]

mod command;

use std::process::Stdio;
use std::time::{Duration, Instant};

use command::{Dice, Room, samples};
use rlkd::metrics;
use serde_json::Value;

/// A room with a tiny model of random weights, problems and a run file whose one reward is that completions are short.
fn room(weights: &str, more: &str) -> Room {
    let room = Room::new();
    room.run(&format!("models random -o base.gguf --vocabulary 512 --embedding 64 --heads 1 --feed-forward 96 --weights {weights} --tied"))
        .ended(0);
    room.write("data.jsonl", samples(12));
    write_run(&room, "run.toml", "out", more);
    room
}

/// Writes a run file. A key of `more` replaces the one that stands there; tables come last.
fn write_run(room: &Room, name: &str, out: &str, more: &str) {
    let (keys, tables) = more.find("\n[").map_or((more, ""), |at| more.split_at(at));
    let base = format!(
        "model = \"base.gguf\"\noutput_dir = \"{out}\"\ntrain = [\"data.jsonl\"]\nvalidation = [\"data.jsonl\"]\nmax_eval_samples = 4\n\
         num_generations = 4\nper_device_train_batch_size = 16\nmax_completion_length = 24\nmax_steps = 6\neval_steps = 3\n"
    );
    let key = |line: &str| line.split(" = ").next().map(str::to_owned);
    let own: Vec<Option<String>> = keys.lines().map(key).collect();
    let kept: Vec<&str> = base.lines().filter(|line| !own.contains(&key(line))).collect();
    let rest = "[reward]\nsoft_punish_cache = 20\nweights = { accuracy = 1.0, structure = 0.0, repetition_penalty = 0.0 }\n\
         [lora]\nr = 4\n[optim]\nlearning_rate = 1e-2\nlr_scheduler_type = \"constant\"";
    room.write(name, format!("{}\n{keys}\n{rest}\n{tables}\n", kept.join("\n")));
}

fn entries(room: &Room, out: &str) -> Vec<metrics::Entry> {
    metrics::read(&room.path(out)).expect("metrics")
}

/// The values of a name, line by line.
fn values(room: &Room, out: &str, name: &str) -> Vec<f64> {
    entries(room, out).iter().filter_map(|entry| entry.values.get(name).copied()).collect()
}

/// The adapter's files, the metrics that do not depend on the clock, and the completions.
fn result(room: &Room, out: &str) -> (Vec<Vec<u8>>, Vec<Value>, Vec<u8>) {
    let files = ["adapter/adapter_model.safetensors", "adapter.gguf"].map(|name| room.read(&format!("{out}/{name}")));
    let lines = entries(room, out).into_iter().map(|mut entry| {
        entry.values.retain(|name, _| !["time", "second", "runtime"].iter().any(|clock| name.contains(clock)));
        serde_json::to_value(entry).expect("JSON")
    });
    (files.to_vec(), lines.collect(), room.read(&format!("{out}/completions.jsonl")))
}

#[track_caller]
fn same(one: &(Vec<Vec<u8>>, Vec<Value>, Vec<u8>), other: &(Vec<Vec<u8>>, Vec<Value>, Vec<u8>)) {
    assert_eq!(one.1, other.1);
    assert!(one.0 == other.0, "the adapters differ");
    assert!(one.2 == other.2, "the completions differ");
}

/// llama.cpp with the adapter of each step is the trainer's model: ratios are 1 within 1e-3 with weights in F32. And what is rewarded
/// becomes more.
#[test]
fn what_is_sampled_is_what_is_trained() {
    let room = room("f32", "max_steps = 40\nlogging_steps = 1\neval_steps = 0\nnum_generations_eval = 4");
    let ran = room.run("train run.toml").ended(0);
    assert_eq!(ran.text(), "out/adapter\nout/adapter.gguf\n");
    for name in ["min", "max"] {
        let all = values(&room, "out", &format!("sampling/importance_sampling_ratio/{name}"));
        assert_eq!(all.len(), 40);
        assert!(all.iter().all(|ratio| (ratio - 1.0).abs() < 1e-3), "{name}: {all:?}");
    }
    // Shorter than at first, by far; the adapter is not a small one any more.
    let lengths = values(&room, "out", "eval_completions/mean_length");
    assert!(lengths[1] < 0.6 * lengths[0], "{lengths:?}");
    let rewards = values(&room, "out", "eval_reward");
    assert!(rewards[1] > rewards[0] + 0.3, "{rewards:?}");
    for name in ["reward", "reward_std", "loss", "entropy", "grad_norm", "learning_rate", "clip_ratio/region_mean", "completions/clipped_ratio"] {
        assert_eq!(values(&room, "out", name).len(), 40, "{name}");
    }
    // The log of completions can be explained.
    let log = command::records(&room.read("out/completions.jsonl"));
    assert!(log.len() >= 12 && log[0]["id"].as_str().expect("an id").contains("@0"), "{}", log.len());
    let id = log[0]["id"].as_str().expect("an id");
    room.run(&format!("explain out/completions.jsonl --id {id}")).ended(0);
    room.run("adapter info out/adapter --model base.gguf").ended(0);
}

/// All ways to use a round: several steps and passes, every loss and correction, a reference.
#[test]
fn every_way_to_learn_from_a_round_works() {
    let room = room("f32", "");
    let cases = [
        ("two", "steps_per_generation = 2\nnum_iterations = 2\nmax_steps = 8\n[grpo]\nepsilon_high = 0.28"),
        ("kl", "importance_sampling = \"sequence_mask\"\n[grpo]\nbeta = 0.04\nloss_type = \"grpo\"\nentropy_coef = 0.01"),
        ("gspo", "num_iterations = 2\ngradient_accumulation_steps = 2\nper_device_train_batch_size = 8\n[grpo]\nimportance_sampling_level = \"sequence\"\nloss_type = \"grpo\""),
        ("cispo", "num_iterations = 2\nimportance_sampling = \"token_mask\"\n[grpo]\nloss_type = \"cispo\"\nepsilon_high = 5.0"),
        ("dr", "mask_truncated_completions = true\nimportance_sampling = \"none\"\n[grpo]\nloss_type = \"dr_grpo\"\nscale_rewards = \"none\""),
        ("bnpo", "dead_groups = \"resample\"\ntemperature_end = 0.7\ntop_p = 0.99\n[grpo]\nloss_type = \"bnpo\"\nscale_rewards = \"batch\"\nmulti_objective_aggregation = \"normalize_then_sum\""),
        ("skip", "dead_groups = \"skip\"\nimportance_sampling = \"sequence_truncate\"\nmicro_batch_tokens = 64"),
    ];
    for (out, more) in cases {
        write_run(&room, "case.toml", out, more);
        room.run("train case.toml").ended(0);
        let losses = values(&room, out, "loss");
        assert!(losses.len() >= 6 && losses.iter().all(|loss| loss.is_finite()), "{out}: {losses:?}");
        assert!(values(&room, out, "grad_norm").iter().any(|norm| *norm > 0.0), "{out}");
        match out {
            // The second pass is off the policy that wrote.
            "two" => assert!(values(&room, out, "clip_ratio/region_mean").iter().any(|clipped| *clipped > 0.0)),
            "kl" => {
                let kl = values(&room, out, "kl");
                assert!(kl[0].abs() < 1e-5 && kl[5] > 1e-4, "{kl:?}");
            }
            _ => {}
        }
    }
}

/// `kill -9` at random moments, and the same command: the same bits.
#[test]
fn a_run_that_is_killed_ends_with_the_same_bits() {
    let more = "max_steps = 8\nsave_steps = 1\nlog_completions_steps = 1\nnum_iterations = 2";
    let room = room("q8_0", "");
    write_run(&room, "whole.toml", "whole", more);
    write_run(&room, "killed.toml", "killed", more);
    let begin = Instant::now();
    room.run("train whole.toml").ended(0);
    let whole = begin.elapsed();
    let mut dice = Dice::new(7);
    let mut killed = 0;
    for _ in 0..20 {
        let mut child = room.command(&["train", "killed.toml"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
        let wait = whole.as_millis() as u64 / 20 + dice.roll(whole.as_millis() as u64 / 2);
        std::thread::sleep(Duration::from_millis(wait));
        if child.try_wait().expect("a status").is_some() {
            break;
        }
        child.kill().expect("killed");
        child.wait().expect("gone");
        killed += 1;
    }
    assert!(killed >= 3, "{killed}");
    room.run("train killed.toml --threads 1").ended(0);
    same(&result(&room, "whole"), &result(&room, "killed"));
    assert!(!room.names().iter().any(|name| name.contains("rollout")), "{:?}", room.names());
}
