//! `rlkd train`: what is sampled is what is trained, what is rewarded becomes more, and runs that are killed, stopped or spoilt.
#![cfg(all(feature = "train", feature = "llama", feature = "cli"))]

mod command;

use std::process::Stdio;
use std::time::{Duration, Instant};

use command::{Dice, Room, samples};
use rlkd::metrics;
use rlkd::train::checkpoint;
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
         num_generations = 4\nper_device_train_batch_size = 16\nmax_completion_length = 24\nmax_steps = 6\neval_steps = 3\nthreads = 1\n"
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

/// The adapter's files, the metrics that do not depend on the clock, and the logs.
fn result(room: &Room, out: &str) -> (Vec<Vec<u8>>, Vec<Value>, Vec<u8>) {
    let files =
        ["adapter/adapter_model.safetensors", "adapter.gguf"].map(|name| room.read(&format!("{out}/{name}")));
    let lines = entries(room, out).into_iter().map(|mut entry| {
        entry.values.retain(|name, _| {
            !["time", "second", "runtime"].iter().any(|clock| name.contains(clock))
                && !name.contains("memory")
        });
        serde_json::to_value(entry).expect("JSON")
    });
    let logs = ["completions", "watched"].map(|name| room.read(&format!("{out}/{name}.jsonl")));
    (files.to_vec(), lines.collect(), logs.concat())
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
    for name in [
        "reward",
        "reward_std",
        "loss",
        "entropy",
        "grad_norm",
        "learning_rate",
        "clip_ratio/region_mean",
        "completions/clipped_ratio",
    ] {
        assert_eq!(values(&room, "out", name).len(), 40, "{name}");
    }
    // The log of completions can be explained.
    let log = command::records(&room.read("out/completions.jsonl"));
    assert!(log.len() >= 12 && log[0]["id"].as_str().expect("an id").contains("@0"), "{}", log.len());
    let id = log[0]["id"].as_str().expect("an id");
    room.run(&format!("explain out/completions.jsonl --id {id}")).ended(0);
    room.run("adapter info out/adapter --model base.gguf").ended(0);
    let page = String::from_utf8(room.read("out/run.html")).expect("UTF-8");
    assert!(page.contains("What it wrote last") && page.contains("Spread of the reward within groups"));
    // One problem, before and after, and how differently the completions go.
    let watched = command::records(&room.read("out/watched.jsonl"));
    assert_eq!(watched.iter().map(|one| one["step"].as_u64()).collect::<Vec<_>>(), [Some(0), Some(40)]);
    assert!(watched[0]["id"] == watched[1]["id"] && watched[0]["tree"] == watched[1]["tree"]);
    let along = |one: &Value| {
        let list = |name: &str| one[name].as_array().expect("a list").clone();
        list("followed").len() as u64 + list("unscored").iter().filter_map(|why| why[1].as_u64()).sum::<u64>()
    };
    assert!(watched.iter().all(|one| along(one) == 4), "a group each time");
    assert!(page.contains("One problem over time") && page.matches("<svg class=\"tree\"").count() == 2);
    let branches = values(&room, "out", "branches");
    assert!(branches.len() == 40 && branches.iter().all(|ways| (0.0..=4.0).contains(ways)), "{branches:?}");
    assert!(values(&room, "out", "eval_diversity").iter().all(|share| (0.0..=1.0).contains(share)));
    // What it would take.
    let plan = room.run("plan run.toml --json").ended(0).records().remove(0);
    let part = |one: &str, other: &str| plan[one][other].as_u64().expect("bytes");
    assert_eq!(plan["total"].as_u64(), Some(part("trainer", "total") + part("sampler", "total")));
    let run = String::from_utf8(room.read("run.toml")).expect("UTF-8");
    let own = "[reward]\ndecomposer = \"gsrm\"\njudge = \"llm\"\nllama.judge = \"nowhere.gguf\"\n";
    room.write("gsrm.toml", run.replace("[reward]\n", own));
    let more = room.run("plan gsrm.toml --json").ended(0).records().remove(0);
    let gsrm = more["beside"][0]["total"].as_u64().expect("bytes");
    assert!(more["beside"][0]["name"] == "gsrm" && gsrm > 3_000_000, "{more}");
    assert!(more["beside"][1]["name"] == "judge" && more["beside"][1]["total"].is_null(), "{more}");
    assert_eq!(more["total"].as_u64(), plan["total"].as_u64().map(|total| total + gsrm));
    // A plan fetches nothing, also where the run would.
    let own = "[reward]\ndecomposer = \"gsrm\"\nllama.model = \"hf:some/where/m.gguf\"\nllama.fetch = true\n";
    room.write("fetches.toml", run.replace("[reward]\n", own));
    let absent = room.run("plan fetches.toml --json").ended(0).records().remove(0);
    let why = absent["beside"][0]["error"].as_str().expect("a reason");
    assert!(why.contains("nothing is fetched unless asked for"), "{why}");
    for name in ["run", "gsrm"] {
        let refused = room.run(&format!("plan {name}.toml --memory 1MiB"));
        assert!(refused.code == Some(1) && refused.err.contains(" engine.parallel"), "{}", refused.err);
        assert_eq!(refused.err.contains("reward.llama.engine.context"), name == "gsrm", "{}", refused.err);
    }
}

/// All ways to use a round: several steps and passes, every loss and correction, a reference.
#[test]
fn every_way_to_learn_from_a_round_works() {
    let room = room("f32", "");
    let cases = [
        ("two", "steps_per_generation = 2\nnum_iterations = 2\nmax_steps = 8\n[grpo]\nepsilon_high = 0.28"),
        (
            "kl",
            "importance_sampling = \"sequence_mask\"\n[grpo]\nbeta = 0.04\nloss_type = \"grpo\"\nentropy_coef = 0.01",
        ),
        (
            "gspo",
            "num_iterations = 2\ngradient_accumulation_steps = 2\nper_device_train_batch_size = 8\n[grpo]\nimportance_sampling_level = \"sequence\"\nloss_type = \"grpo\"",
        ),
        (
            "cispo",
            "num_iterations = 2\nimportance_sampling = \"token_mask\"\n[grpo]\nloss_type = \"cispo\"\nepsilon_high = 5.0",
        ),
        (
            "dr",
            "mask_truncated_completions = true\nimportance_sampling = \"none\"\n[grpo]\nloss_type = \"dr_grpo\"\nscale_rewards = \"none\"",
        ),
        (
            "bnpo",
            "dead_groups = \"resample\"\ntemperature_end = 0.7\ntop_p = 0.99\n[grpo]\nloss_type = \"bnpo\"\nscale_rewards = \"batch\"\nmulti_objective_aggregation = \"normalize_then_sum\"",
        ),
        (
            "skip",
            "dead_groups = \"skip\"\nimportance_sampling = \"sequence_truncate\"\nmicro_batch_tokens = 64",
        ),
    ];
    for (out, more) in cases {
        write_run(&room, "case.toml", out, more);
        room.run("train case.toml").ended(0);
        let losses = values(&room, out, "loss");
        assert!(losses.len() >= 6 && losses.iter().all(|loss| loss.is_finite()), "{out}: {losses:?}");
        assert!(values(&room, out, "grad_norm").iter().any(|norm| *norm > 0.0), "{out}");
        // What was sampled is what goes through the trainer, however it is cut into parts. With top_p it is not the same distribution.
        let off =
            |name: &str| values(&room, out, name).iter().map(|ratio| (ratio - 1.0).abs()).fold(0.0, f64::max);
        let apart =
            off("sampling/importance_sampling_ratio/min").max(off("sampling/importance_sampling_ratio/max"));
        assert!(apart < 1e-3 || out == "bnpo", "{out}: {apart}");
        match out {
            // The second pass is off the policy that wrote.
            "two" => {
                assert!(values(&room, out, "clip_ratio/region_mean").iter().any(|clipped| *clipped > 0.0))
            }
            "kl" => {
                let kl = values(&room, out, "kl");
                assert!(kl[0].abs() < 1e-5 && kl[5] > 1e-4, "{kl:?}");
            }
            _ => {}
        }
    }
}

/// `kill -9` at twenty random moments, and the same command each time: the same bits.
#[test]
fn a_run_that_is_killed_ends_with_the_same_bits() {
    let more = "max_steps = 52\nsave_steps = 1\neval_steps = 20\nlog_completions_steps = 3\nnum_iterations = 2\n[engine]\nlanes = 2";
    let room = room("q8_0", "");
    write_run(&room, "whole.toml", "whole", more);
    write_run(&room, "killed.toml", "killed", more);
    room.run("train whole.toml").ended(0);
    let mut dice = Dice::new(7);
    let (mut kills, begun) = (0, Instant::now());
    let last = || checkpoint::all(&room.path("killed")).ok().and_then(|all| all.last().copied());
    loop {
        assert!(begun.elapsed() < Duration::from_secs(300), "it does not get on");
        let threads = ["1", "2"][kills % 2];
        let args = ["train", "killed.toml", "--threads", threads];
        let mut child =
            room.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
        let before = last();
        // Some time after the next checkpoint: while it samples, scores, learns or writes another.
        while kills < 20 && last() == before && child.try_wait().expect("a child").is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        if kills < 20 {
            std::thread::sleep(Duration::from_micros(dice.roll(60_000)));
            let _ = child.kill();
            kills += 1;
        }
        if child.wait().expect("ended").success() {
            break;
        }
    }
    assert!(kills >= 10, "it was over too soon: {kills} kills");
    same(&result(&room, "whole"), &result(&room, "killed"));
    let left: Vec<String> = std::fs::read_dir(room.path("killed"))
        .expect("a folder")
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| ["rollout", ".partial", ".old", ".removed"].iter().any(|part| name.contains(part)))
        .collect();
    assert_eq!(left, [""; 0], "the last run swept up");
}

/// How many are sampled at once is chosen once: on a machine with less memory free, a run goes on as it began.
#[test]
fn as_many_are_sampled_at_once_as_at_first() {
    let room = room("q8_0", "max_steps = 2\nsave_steps = 1");
    let ran = room.run("train run.toml").ended(0);
    assert!(ran.err.contains("16 sequences at once"), "{}", ran.err);
    // As if it had begun where there was less.
    let state = "out/checkpoint-2/trainer_state.json";
    let text = String::from_utf8(room.read(state)).expect("UTF-8");
    assert!(text.contains("\"parallel\": 16"), "{text}");
    // Checkpoints from before there were lanes do not have their number.
    assert!(text.contains("\"lanes\": 1,"), "{text}");
    let text = text.replace("\"lanes\": 1,", "");
    room.write(state, text.replace("\"parallel\": 16", "\"parallel\": 5"));
    write_run(&room, "run.toml", "out", "max_steps = 3\nsave_steps = 1");
    let ran = room.run("train run.toml").ended(0);
    assert!(ran.err.contains("5 sequences at once") && !ran.err.contains("16 seq"), "{}", ran.err);
}

/// What is wrong with a run file or with data is said before anything is written, with what to do.
#[test]
fn wrong_runs_are_named() {
    let room = room("q8_0", "");
    for (more, expected) in [
        ("per_device_train_batch_size = 6", "no multiple of num_generations = 4"),
        ("num_generations = 1", "num_generations = 1: from 2"),
        (
            "steps_per_generation = 3\ngradient_accumulation_steps = 2",
            "no multiple of gradient_accumulation_steps",
        ),
        ("temperature = 0.0", "temperature"),
        ("importance_sampling_cap = 0.5", "importance_sampling_cap = 0.5"),
        ("top_p = 0.0", "top_p"),
        ("top_p = 0.9\nimportance_sampling = \"sequence_mask\"", "take token_truncate"),
        ("adapter = \"a.gguf\"\n\n[grpo]\nbeta = 0.1", "take frozen_adapters"),
        ("num_generation = 4", "did you mean `num_generations`"),
        ("max_completion_length = 8", "reward.soft_punish_cache = 20"),
        ("max_completion_length = 100000", "leave no room"),
        ("frozen_adapters = [\"none.gguf\"]", "none.gguf"),
        ("\n[grpo]\nloss_type = \"cispo\"", "5 is usual"),
        ("\n[engine]\nlanes = 5000", "lanes = 5000"),
    ] {
        write_run(&room, "wrong.toml", "wrong", more);
        let ran = room.run("train wrong.toml");
        assert_eq!(ran.code, Some(1), "{more}");
        assert!(
            ran.err.contains(expected) || expected == "leave no room" && ran.err.contains("longer than"),
            "{more}: {}",
            ran.err
        );
    }
    let text = String::from_utf8(room.read("run.toml")).expect("UTF-8");
    for (from, to, expected) in [
        ("r = 4", "r = 4\nuse_dora = true", "use_dora"),
        ("accuracy = 1.0, ", "acuracy = 1.0, ", "acuracy"),
        ("soft_punish_cache = 20\nweights = { accuracy = 1.0,", "weights = { accuracy = 0.0,", "all are 0"),
        ("base.gguf", "missing.gguf", "missing.gguf"),
        ("data.jsonl\"]\nvalidation", "none.jsonl\"]\nvalidation", "none.jsonl"),
    ] {
        room.write("wrong.toml", text.replacen(from, to, 1).replace("\"out\"", "\"wrong\""));
        room.run("train wrong.toml").failed(&[expected]);
    }
    // Problems without what the rewards need.
    room.write("bare.jsonl", "{\"problem\": \"How many?\"}\n{\"question\": 3}\n");
    room.write("wrong.toml", text.replacen("data.jsonl", "bare.jsonl", 1).replace("\"out\"", "\"wrong\""));
    room.run("train wrong.toml")
        .failed(&["no problems to work on", "neither a gold answer nor a teacher's trace"]);
    assert!(!room.path("wrong/adapter").exists());
    room.write("bare.jsonl", "");
    room.run("train wrong.toml").failed(&["the files have no records"]);
    // Answers and no teachers: it learns from what there is, and says so.
    room.write("bare.jsonl", "{\"problem\": \"How many?\", \"answer\": \"4\"}\n".repeat(4));
    let both = text
        .replace("structure = 0.0", "structure = 1.0")
        .replace("data.jsonl\"]\nvalidation", "bare.jsonl\"]\nvalidation");
    room.write("bare.toml", both.replace("\"out\"", "\"bare\"").replace("max_steps = 6", "max_steps = 1"));
    let ran = room.run("train bare.toml").ended(0);
    assert!(ran.err.contains("warning: no completion could be given structure"), "{}", ran.err);
    assert!(!room.run("train run.toml").ended(0).err.contains("warning: no completion"));
}

/// A checkpoint goes on only as what it was; how long, how often and on how many threads may change.
#[test]
fn a_run_does_not_change_its_mind_in_silence() {
    let room = room("q8_0", "max_steps = 2\nsave_steps = 1");
    room.run("train run.toml").ended(0);
    for (more, expected) in [
        ("num_generations = 8", "num_generations"),
        ("temperature = 0.9", "temperature"),
        ("seed = 5", "seed"),
        ("\n[grpo]\nbeta = 0.1", "grpo.beta"),
    ] {
        write_run(&room, "run.toml", "out", &format!("max_steps = 4\nsave_steps = 1\n{more}"));
        stopped(&room.run("train run.toml"), &["the checkpoint is of a run with other values of", expected]);
    }
    write_run(
        &room,
        "run.toml",
        "out",
        "max_steps = 4\nsave_steps = 2\nlogging_steps = 2\nthreads = 1\n[engine]\nthreads = 2",
    );
    let ran = room.run("train run.toml").ended(0);
    assert!(ran.err.contains("going on behind step 2 of 4"), "{}", ran.err);
    let ran = room.run("train run.toml").ended(0);
    assert!(ran.err.contains("finished already"), "{}", ran.err);
    room.write("data.jsonl", samples(11));
    stopped(&room.run("train run.toml"), &["other training data"]);
}

/// It ended with an error that has all of `parts`.
#[track_caller]
fn stopped(ran: &command::Ran, parts: &[&str]) {
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let error = ran.err.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
    for part in parts {
        assert!(error.contains(part), "{part:?} is missing: {}", ran.err);
    }
}

/// Reasons to stop, each with a diagnosis; what was reached before is kept.
#[test]
fn a_run_that_goes_wrong_ends_with_a_diagnosis() {
    // No completion is ever right, and nothing else is rewarded.
    let room = room("q8_0", "");
    let text = String::from_utf8(room.read("run.toml")).expect("UTF-8");
    let dead = text
        .replace("soft_punish_cache = 20\n", "")
        .replace("max_steps = 6", "max_steps = 60\nmax_dead_steps = 3");
    room.write("dead.toml", dead.replace("\"out\"", "\"dead\""));
    stopped(
        &room.run("train dead.toml"),
        &["nothing was learnt for 4 rounds", "the same reward, 0.000 on average", "too hard"],
    );
    // A learning rate that makes numbers of no kind.
    let wild = text
        .replace("learning_rate = 1e-2", "learning_rate = 1e30\nmax_grad_norm = 0.0")
        .replace("max_steps = 6", "max_steps = 60");
    room.write("wild.toml", wild.replace("\"out\"", "\"wild\""));
    stopped(&room.run("train wild.toml"), &["no numbers", "lower learning_rate"]);
    assert!(!room.path("wild/adapter").exists() && !room.path("wild/adapter.gguf").exists());
    // The same without checkpoints in between, up to the last step: nothing is written of what is spoilt.
    let wild = text
        .replace("learning_rate = 1e-2", "learning_rate = 1e30\nmax_grad_norm = 0.0")
        .replace("max_steps = 6", "max_steps = 2");
    let wild = wild.replace("validation = [\"data.jsonl\"]\n", "").replace("\"out\"", "\"last\"");
    room.write("last.toml", wild);
    stopped(&room.run("train last.toml"), &["no numbers", "lower learning_rate"]);
    assert!(!room.path("last/adapter.gguf").exists());
    assert!(checkpoint::all(&room.path("last")).expect("a folder").is_empty());
    // Nothing can be rewarded: that is another reason than rewards that are all the same.
    let teacherless: String = samples(12)
        .lines()
        .map(|line| {
            let mut one: Value = serde_json::from_str(line).expect("JSON");
            one["teacher"] = Value::from("no steps at all");
            format!("{one}\n")
        })
        .collect();
    room.write("bare.jsonl", teacherless);
    let none = dead
        .replace("accuracy = 1.0, structure = 0.0", "structure = 1.0")
        .replace("[\"data.jsonl\"]\nvalidation", "[\"bare.jsonl\"]\nvalidation");
    room.write("none.toml", none.replace("\"out\"", "\"none\""));
    let ran = room.run("train none.toml");
    assert!(ran.code == Some(1) && ran.err.contains("nothing was learnt"), "{}", ran.err);
    // A sampler that rounds more than was allowed.
    let apart = text.replace("max_steps = 6", "max_steps = 6\nmax_sampling_difference = 1e-9");
    room.write("apart.toml", apart.replace("\"out\"", "\"apart\""));
    stopped(
        &room.run("train apart.toml"),
        &["the sampler is no longer the trainer's model", "max_sampling_difference = 0.000000001"],
    );
    assert!(!room.path("apart/adapter").exists());
}

/// A disk that is full ends the run, and the last checkpoint is whole.
#[test]
fn a_full_disk_loses_what_came_after_the_last_checkpoint() {
    let more =
        "max_steps = 24\nsave_steps = 1\nsave_total_limit = 100\nlog_completions_steps = 1\neval_steps = 0";
    let room = room("q8_0", more);
    // So slowly that completions stay as long as they are, and fill the log.
    let slow = |name: &str| {
        let text = String::from_utf8(room.read(name)).expect("UTF-8");
        room.write(name, text.replace("learning_rate = 1e-2", "learning_rate = 1e-6"));
    };
    slow("run.toml");
    let ran = room.on_a_full_disk(100, "train run.toml");
    stopped(&ran, &["cannot write"]);
    let kept = checkpoint::all(&room.path("out")).expect("a folder");
    assert!(!kept.is_empty() && kept.len() < 24, "{kept:?}");
    room.run("train run.toml").ended(0);
    write_run(&room, "whole.toml", "whole", more);
    slow("whole.toml");
    room.run("train whole.toml").ended(0);
    same(&result(&room, "whole"), &result(&room, "out"));
}

/// Adapters beneath stay as they are, and are sampled with: what is sampled is what is trained there, too.
#[test]
fn an_adapter_is_trained_on_top_of_another() {
    let room = room("f32", "max_steps = 12\neval_steps = 0");
    room.run("train run.toml").ended(0);
    let more = "frozen_adapters = [\"out/adapter.gguf\"]\nmax_steps = 6\neval_steps = 0\n[grpo]\nbeta = 0.1";
    write_run(&room, "second.toml", "second", more);
    room.run("train second.toml").ended(0);
    for name in ["min", "max"] {
        let all = values(&room, "second", &format!("sampling/importance_sampling_ratio/{name}"));
        assert!(all.len() == 6 && all.iter().all(|ratio| (ratio - 1.0).abs() < 1e-3), "{name}: {all:?}");
    }
    // It begins where the first ended, and that is the reference.
    let (ended, begun) = (values(&room, "out", "eval_reward"), values(&room, "second", "eval_reward"));
    assert!(
        (ended[ended.len() - 1] - begun[0]).abs() < 0.1 && begun[0] > ended[0] + 0.1,
        "{ended:?} {begun:?}"
    );
    let kl = values(&room, "second", "kl");
    assert!(kl[0].abs() < 1e-5 && kl[5] > 1e-5, "{kl:?}");
    // From the adapter itself.
    write_run(&room, "third.toml", "third", "adapter = \"out/adapter\"\nmax_steps = 1\neval_steps = 0");
    room.run("train third.toml").ended(0);
    assert_eq!(values(&room, "third", "eval_reward")[0], begun[0]);
}
