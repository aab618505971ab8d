//! `rlkd sft`: runs that are killed, cut, full, changed; and what they leave behind.
#![cfg(all(feature = "train", feature = "llama", feature = "cli"))]

mod command;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use command::{Room, sample, samples};
use rlkd::metrics;
use serde_json::{Value, json};

/// A room with a tiny model, data and a run file.
fn room(more: &str) -> Room {
    let room = Room::new();
    room.run("models random -o base.gguf --vocabulary 512 --embedding 64 --heads 1 --feed-forward 96 --weights q8_0 --tied").ended(0);
    room.write("data.jsonl", samples(40));
    write_run(&room, more);
    room
}

fn write_run(room: &Room, more: &str) {
    let text = format!(
        "model = \"base.gguf\"\noutput_dir = \"out\"\ntask = \"student\"\ntrain = [\"data.jsonl\"]\nvalidation_split = 0.2\n\
         per_device_train_batch_size = 8\n{more}\n[lora]\nr = 4\nlora_dropout = 0.1\n[optim]\nlearning_rate = 1e-2\n"
    );
    room.write("run.toml", text);
}

/// All files of an adapter, and the values of its run that do not depend on the clock.
fn result(room: &Room, out: &str) -> (Vec<Vec<u8>>, Vec<Value>) {
    let files = ["adapter/adapter_model.safetensors", "adapter/adapter_config.json", "adapter.gguf"]
        .map(|name| room.read(&format!("{out}/{name}")));
    let entries = metrics::read(&room.path(out)).expect("metrics");
    let entries = entries.into_iter().map(|mut entry| {
        entry.values.retain(|name, _| !name.contains("second") && !name.contains("runtime"));
        serde_json::to_value(entry).expect("JSON")
    });
    (files.to_vec(), entries.collect())
}

/// Compares, without printing every byte.
#[track_caller]
fn same(one: &(Vec<Vec<u8>>, Vec<Value>), other: &(Vec<Vec<u8>>, Vec<Value>)) {
    assert_eq!(one.1, other.1);
    assert!(one.0 == other.0, "the adapters differ");
}

#[test]
fn a_run_learns_and_leaves_an_adapter() {
    let room = room("num_train_epochs = 4\n");
    let ran = room.run("sft run.toml").ended(0);
    assert_eq!(ran.text(), "out/adapter\nout/adapter.gguf\n");
    assert!(
        ran.err.contains("examples to learn from") && ran.err.contains("lowest evaluation loss"),
        "{}",
        ran.err
    );
    let (_, entries) = result(&room, "out");
    let losses =
        |name: &str| -> Vec<f64> { entries.iter().filter_map(|entry| entry[name].as_f64()).collect() };
    let (train, eval) = (losses("loss"), losses("eval_loss"));
    assert_eq!(eval.len(), 4, "one evaluation a pass");
    assert!(train[train.len() - 1] < train[0] * 0.8, "{train:?}");
    assert!(eval[3] < eval[0], "{eval:?}");
    for name in ["grad_norm", "learning_rate", "num_tokens", "mean_token_accuracy", "entropy"] {
        assert_eq!(losses(name).len(), train.len(), "{name}");
    }
    for name in ["eval_entropy", "eval_mean_token_accuracy"] {
        assert_eq!(losses(name).len(), 4, "{name}");
    }
    let page = String::from_utf8(room.read("out/run.html")).expect("UTF-8");
    assert!(page.contains("Accuracy of tokens") && page.contains("<polyline"));
    // The steps of TensorBoard's file are framed records.
    let names: Vec<_> = std::fs::read_dir(room.path("out")).expect("a folder").collect();
    let events = names
        .iter()
        .filter_map(|name| name.as_ref().ok())
        .find(|name| name.file_name().to_string_lossy().starts_with("events.out.tfevents."));
    let bytes = std::fs::read(events.expect("an event file").path()).expect("read");
    let (mut at, mut records) = (0, 0);
    while at < bytes.len() {
        let length = u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight")) as usize;
        at += 16 + length;
        records += 1;
    }
    assert_eq!((at, records), (bytes.len(), 1 + entries.len()));
    // Once more: nothing is left to do, and nothing changes.
    let before = result(&room, "out");
    let again = room.run("sft run.toml").ended(0);
    assert!(again.err.contains("finished already: 20 steps are done"), "{}", again.err);
    same(&result(&room, "out"), &before);
    // What it left is read by the tools.
    let info =
        room.run("adapter info out/adapter.gguf --model base.gguf --json").ended(0).records().remove(0);
    assert_eq!((info["r"].as_u64(), info["layers"].clone()), (Some(4), json!([0, 1])));
    room.run("adapter convert out/adapter.gguf --model base.gguf -o converted").ended(0);
    assert_eq!(
        room.read("converted/adapter_model.safetensors"),
        room.read("out/adapter/adapter_model.safetensors")
    );
    room.run("adapter merge out/adapter --model base.gguf --type f16 -o merged.gguf").ended(0);
    room.run("models check merged.gguf").ended(0);
    room.run("export --model base.gguf --adapter out/adapter@0.5 --type q4_0 -o small.gguf --quiet").ended(0);
    assert!(room.read("small.gguf").len() < room.read("merged.gguf").len());
}

#[test]
fn a_run_that_is_killed_ends_with_the_same_bits() {
    let room = room("num_train_epochs = 6\nsave_steps = 2\neval_steps = 5\n");
    room.run("sft run.toml --output-dir whole").ended(0);
    let expected = result(&room, "whole");
    let mut kills = 0;
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < Duration::from_secs(120), "it does not get on");
        let threads = if kills % 2 == 0 { "1" } else { "2" };
        let args = ["sft", "run.toml", "--threads", threads];
        let mut child =
            room.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
        let steps = || last_checkpoint(&room.path("out"));
        let before = steps();
        // Killed some time after the next checkpoint, in the middle of a step or of the writing of another.
        while steps() == before && child.try_wait().expect("a child").is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(7 * (kills % 5)));
        if kills < 8 {
            let _ = child.kill();
            kills += 1;
        }
        if child.wait().expect("ended").success() {
            break;
        }
    }
    assert!(kills >= 3, "it was over too soon");
    same(&result(&room, "out"), &expected);
    let left: Vec<String> = std::fs::read_dir(room.path("out"))
        .expect("a folder")
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| name.ends_with(".partial") || name.ends_with(".old") || name.ends_with(".removed"))
        .collect();
    assert_eq!(left, [""; 0], "the last run swept up");
}

/// With bf16 a run learns as well, on any number of threads the same bits; where the processor has no unit for it, it says
/// so.
#[test]
fn a_run_learns_in_bf16() {
    use rlkd::train::cpu::bf16::Unit;

    let room = room("bf16 = true\nnum_train_epochs = 4\n");
    if Unit::best() == Unit::Plain {
        room.run("sft run.toml").failed(&["bf16 = true", "leave it out"]);
        return;
    }
    room.run("sft run.toml --threads 1").ended(0);
    room.run("sft run.toml --output-dir other --threads 3").ended(0);
    same(&result(&room, "other"), &result(&room, "out"));
    let losses = |out: &str| -> Vec<f64> {
        result(&room, out).1.iter().filter_map(|entry| entry["eval_loss"].as_f64()).collect()
    };
    let own = losses("out");
    assert!(own[3] < own[0], "{own:?}");
    // Near to the run without it, and another run.
    let text = String::from_utf8(room.read("run.toml")).expect("UTF-8").replace("bf16 = true", "");
    room.write("run.toml", text);
    room.run("sft run.toml").failed(&["other values of bf16"]);
    room.run("sft run.toml --output-dir exact").ended(0);
    let exact = losses("exact");
    assert!((own[3] - exact[3]).abs() < 0.05 * exact[3] && own != exact, "{own:?} {exact:?}");
}

/// An adapter with lengths of rows goes on behind a checkpoint like any other; llama.cpp gets the model with it in it.
#[test]
fn dora_goes_on_and_is_merged() {
    let room = room("max_steps = 4\nload_best_model_at_end = false\n");
    let run = |max: u32| {
        let text = room.read("run.toml");
        let text = String::from_utf8(text).expect("UTF-8");
        let text = text.replace("lora_dropout = 0.1", "use_dora = true");
        let text = text.replace("max_steps = 4", &format!("max_steps = {max}"));
        let constant = "learning_rate = 1e-2\nlr_scheduler_type = \"constant\"\nwarmup_ratio = 0.0";
        room.write("dora.toml", text.replace("learning_rate = 1e-2", constant));
    };
    run(4);
    let ran = room.run("sft dora.toml --output-dir whole").ended(0);
    assert_eq!(ran.text(), "whole/adapter\n", "llama.cpp has none for it");
    run(2);
    room.run("sft dora.toml").ended(0);
    run(4);
    room.run("sft dora.toml").ended(0);
    let model = |out: &str| room.read(&format!("{out}/adapter/adapter_model.safetensors"));
    assert!(model("out") == model("whole"), "the adapters differ");
    let info = room.run("adapter info out/adapter --model base.gguf");
    assert!(info.ended(0).text().contains("use_dora"));
    let error = room.run("adapter convert out/adapter --model base.gguf -o out.gguf").ended(1).err;
    assert!(error.contains("rlkd export"), "{error}");
    assert!(!room.path("out.gguf").exists());
    room.run("export --model base.gguf --adapter out/adapter --type f16 -o merged.gguf").ended(0);
    room.run("models check merged.gguf").ended(0);
    // With dropout it would be something else.
    room.write(
        "both.toml",
        String::from_utf8(room.read("run.toml")).expect("UTF-8").replace("r = 4", "r = 4\nuse_dora = true"),
    );
    let error = room.run("sft both.toml --output-dir both").ended(1).err;
    assert!(error.contains("use_dora with lora_dropout"), "{error}");
}

/// A second adapter on top of the first, which stays as it is; with another beneath it is another run.
#[test]
fn an_adapter_is_trained_on_top_of_another() {
    let room = room("max_steps = 6\n");
    room.run("sft run.toml --output-dir first").ended(0);
    let first = room.read("first/adapter.gguf");
    let text = String::from_utf8(room.read("run.toml")).expect("UTF-8");
    room.write("second.toml", format!("frozen_adapters = [\"first/adapter\"]\n{text}"));
    let ran = room.run("sft second.toml").ended(0);
    let merge = "rlkd adapter merge first/adapter out/adapter --model base.gguf";
    assert!(ran.err.contains(merge), "it says what it is for: {}", ran.err);
    assert!(room.read("first/adapter.gguf") == first);
    // It begins where the first one ended.
    let eval = |out: &str| {
        let (_, entries) = result(&room, out);
        let losses: Vec<f64> = entries.iter().filter_map(|entry| entry["loss"].as_f64()).collect();
        (losses[0], losses[losses.len() - 1])
    };
    let ((begun, ended), (again, _)) = (eval("first"), eval("out"));
    assert!(again < begun && (again - ended).abs() < (begun - ended) / 2.0, "{begun} {ended} {again}");
    let plan =
        |run: &str| room.run(&format!("plan {run} --json")).ended(0).records().remove(0)["weights"].as_u64();
    assert!(plan("second.toml") > plan("run.toml"));
    room.run("adapter merge first/adapter out/adapter --model base.gguf -o merged.gguf --type f16").ended(0);
    // Another one beneath.
    room.run("sft run.toml --output-dir other --threads 1").ended(0);
    let run =
        String::from_utf8(room.read("run.toml")).expect("UTF-8").replace("max_steps = 6", "max_steps = 3");
    room.write("short.toml", run);
    room.run("sft short.toml --output-dir third").ended(0);
    room.write(
        "second.toml",
        format!("frozen_adapters = [\"third/adapter\"]\n{text}").replace("max_steps = 6", "max_steps = 9"),
    );
    let error = room.run("sft second.toml").ended(1).err;
    assert!(error.contains("other frozen_adapters"), "{error}");
    room.write("second.toml", format!("frozen_adapters = [\"nowhere\"]\n{text}"));
    let error = room.run("sft second.toml --output-dir new").ended(1).err;
    assert!(error.contains("nowhere"), "{error}");
    // What a run would refuse, a plan refuses too.
    for (key, path, expected) in [
        ("frozen_adapters", "[\"nowhere\"]", "no such adapter"),
        ("frozen_adapters", "[\"\"]", "frozen_adapters has an empty path"),
        ("frozen_adapters", "[\"data.jsonl\"]", "ends in .gguf"),
        ("adapter", "\"nowhere\"", "no such adapter"),
        ("validation", "[\"nowhere.jsonl\"]", "nowhere.jsonl"),
    ] {
        room.write("wrong.toml", format!("{key} = {path}\n{text}"));
        room.run("plan wrong.toml").failed(&[expected]);
    }
    room.write(
        "twice.toml",
        format!("frozen_adapters = [\"first/adapter\", \"first/adapter.gguf\"]\n{text}"),
    );
    room.run("sft twice.toml --output-dir twice").failed(&["same adapter twice"]);
    // The rank that a folder says is the one that it has.
    std::fs::create_dir(room.path("other-rank")).expect("a folder");
    let config = String::from_utf8(room.read("first/adapter/adapter_config.json")).expect("UTF-8");
    room.write("other-rank/adapter_config.json", config.replace("\"r\": 4", "\"r\": 8"));
    room.write("other-rank/adapter_model.safetensors", room.read("first/adapter/adapter_model.safetensors"));
    let error = room.run("adapter info other-rank --model base.gguf");
    error.failed(&["adapter_config.json", "says rank 8", "have rank 4"]);
    // Over its own feet.
    room.write("second.toml", format!("frozen_adapters = [\"out/adapter\"]\n{text}"));
    let error = room.run("sft second.toml").ended(1).err;
    assert!(error.contains("overwrite"), "{error}");
}

fn last_checkpoint(out: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(out) else { return 0 };
    let step = |name: &str| name.strip_prefix("checkpoint-")?.parse::<u64>().ok();
    entries.filter_map(|entry| step(&entry.ok()?.file_name().to_string_lossy())).max().unwrap_or(0)
}

/// Neither the number of threads, nor recomputation, nor how a step is cut into parts changes what is learnt; the first
/// two not by a bit.
#[test]
fn how_it_is_computed_does_not_change_what_is_learnt() {
    let room = room("num_train_epochs = 2\n");
    room.run("sft run.toml --threads 1").ended(0);
    let expected = result(&room, "out");
    room.run("sft run.toml --threads 3 --output-dir threads").ended(0);
    same(&result(&room, "threads"), &expected);
    write_run(&room, "num_train_epochs = 2\ngradient_checkpointing = false\n");
    room.run("sft run.toml --output-dir kept").ended(0);
    same(&result(&room, "kept"), &expected);
    let text = String::from_utf8(room.read("run.toml")).expect("UTF-8").replace("lora_dropout = 0.1", "");
    room.write("run.toml", &text);
    room.run("sft run.toml --output-dir one").ended(0);
    room.write("run.toml", format!("micro_batch_tokens = 64\n{text}"));
    room.run("sft run.toml --output-dir many").ended(0);
    let losses = |out: &str| -> Vec<f64> {
        result(&room, out).1.iter().filter_map(|entry| entry["loss"].as_f64()).collect()
    };
    for (one, many) in losses("one").into_iter().zip(losses("many")) {
        assert!((one - many).abs() < 1e-4, "{one} {many}");
    }
}

#[test]
fn runs_that_do_not_go_together_are_refused() {
    let room = room("max_steps = 2\n");
    room.run("sft run.toml -q").ended(0);
    let text = String::from_utf8(room.read("run.toml")).expect("UTF-8");
    room.write("run.toml", text.replace("r = 4", "r = 8"));
    room.run("sft run.toml").failed(&["checkpoint-2", "other values of lora", "output_dir"]);
    room.write("run.toml", &text);
    let data = room.read("data.jsonl");
    room.write("data.jsonl", samples(41));
    room.run("sft run.toml").failed(&["checkpoint-2", "other training data"]);
    room.write("data.jsonl", &data);
    let model = room.read("base.gguf");
    room.run("models random -o base.gguf --vocabulary 512 --embedding 64 --heads 1 --feed-forward 96 --weights q8_0 --tied --seed 1").ended(0);
    room.run("sft run.toml").failed(&["checkpoint-2", "another model file"]);
    room.write("base.gguf", &model);
    // Damaged checkpoints are named, and nothing is begun anew in silence.
    let state = room.read("out/checkpoint-2/trainer_state.json");
    room.write("out/checkpoint-2/trainer_state.json", &state[..state.len() / 2]);
    room.run("sft run.toml").failed(&["trainer_state.json", "not the state of a checkpoint"]);
    let other = String::from_utf8(state.clone()).expect("UTF-8").replace("\"version\": 1", "\"version\": 9");
    room.write("out/checkpoint-2/trainer_state.json", other);
    room.run("sft run.toml").failed(&["a checkpoint of form 9"]);
    room.write("out/checkpoint-2/trainer_state.json", &state);
    let moments = room.read("out/checkpoint-2/optimizer.safetensors");
    room.write("out/checkpoint-2/optimizer.safetensors", &moments[..moments.len() - 3]);
    room.run("sft run.toml -q").failed(&[
        "optimizer.safetensors",
        "not a whole file",
        "without checkpoint-2, the run begins again",
    ]);
    room.write("out/checkpoint-2/optimizer.safetensors", &moments);
    room.run("sft run.toml").ended(0);
    // A backup of somebody's is not swept away with what kills left.
    for folder in ["adapter.old", "checkpoint-1.removed", "adapter.123.partial", "checkpoint-1.123.removed"] {
        std::fs::create_dir(room.path("out").join(folder)).expect("a folder");
    }
    room.write("out/adapter.gguf.partial", "half");
    room.run("sft run.toml").ended(0);
    assert!(room.path("out/adapter.old").exists() && room.path("out/checkpoint-1.removed").exists());
    for gone in ["adapter.123.partial", "checkpoint-1.123.removed", "adapter.gguf.partial"] {
        assert!(!room.path("out").join(gone).exists(), "{gone}");
    }
    // What would be replaced without a checkpoint to go on from is not.
    std::fs::remove_dir_all(room.path("out/checkpoint-2")).expect("removed");
    room.run("sft run.toml").failed(&["out/adapter", "no checkpoint"]);
}

#[test]
fn a_full_disk_loses_what_came_after_the_last_checkpoint() {
    let room = room("num_train_epochs = 3\nsave_steps = 2\n");
    room.run("sft run.toml --output-dir whole").ended(0);
    let expected = result(&room, "whole");
    // A checkpoint's moments take 100 KiB and more; the tokens less.
    let moments = room.read("whole/checkpoint-12/optimizer.safetensors").len() as u32;
    room.on_a_full_disk(moments / 1024 - 8, "sft run.toml -q")
        .failed(&["optimizer.safetensors", "File too large"]);
    assert_eq!(last_checkpoint(&room.path("out")), 0, "no half checkpoint");
    room.run("sft run.toml").ended(0);
    same(&result(&room, "out"), &expected);
}

#[test]
fn wrong_run_files_are_named() {
    let room = room("");
    let text = String::from_utf8(room.read("run.toml")).expect("UTF-8");
    room.write("none.jsonl", "\n{}\n");
    for (change, expected) in [
        ("lerning_rate = 1\n", vec!["run.toml:1", "unknown key `lerning_rate`"]),
        ("learning_rate = 1\n", vec!["run.toml:1", "`learning_rate` in [optim]"]),
        ("lora_r = 1\n", vec!["run.toml:1", "`r` in [lora]"]),
        ("max_length = 0\n", vec!["run.toml", "max_length = 0"]),
        ("num_train_epochs = -1.0\n", vec!["num_train_epochs = -1"]),
        ("grammar = \"stepps\"\n", vec!["unknown grammar", "steps"]),
        ("grammar = \"verdict\"\n", vec!["verdicts and no steps"]),
        ("max_length = 20\n", vec!["nothing to learn from", "longer than max_length = 20"]),
        ("full = true\nadapter = \"x\"\n", vec!["adapter and full"]),
        ("adapter = \"nowhere\"\n", vec!["nowhere", "no such adapter"]),
        ("threads = 1000\n", vec!["threads = 1000", "at most"]),
        ("full = true\n", vec!["[lora] and full"]),
        ("validation = [\"none.jsonl\"]\n", vec!["validation has nothing"]),
    ] {
        room.write("run.toml", format!("{change}{text}"));
        room.run("sft run.toml").failed(&expected);
    }
    // A run file of the other command is told as such.
    room.run("train run.toml").failed(&["another command", "rlkd sft run.toml"]);
    let head = "model = \"base.gguf\"\noutput_dir = \"out\"\ntrain = [\"data.jsonl\"]\n";
    room.write("run.toml", format!("{head}num_generations = 8\n"));
    room.run("sft run.toml").failed(&["another command", "rlkd train run.toml"]);
    room.write("run.toml", text.replace("data.jsonl", "nowhere.jsonl"));
    room.run("sft run.toml").failed(&["nowhere.jsonl"]);
    room.write("run.toml", text.replace("task = \"student\"", "task = \"gsrm\""));
    room.run("sft run.toml").failed(&["nothing to learn from", "data.jsonl:1", "not a labelled trace"]);
    room.write("data.jsonl", format!("{}{}", "no JSON\n", samples(20)));
    room.write("run.toml", format!("max_steps = 1\n{text}"));
    let ran = room.run("sft run.toml").ended(3);
    assert!(ran.err.contains("1 records cannot be read") && ran.err.contains("data.jsonl:1"), "{}", ran.err);
}

/// What a GSRM is asked when it runs is what it was asked when it learnt, and it learns to write the steps.
#[test]
fn a_gsrm_learns_to_write_steps() {
    let room = room("");
    let labelled: String = (0..4)
        .map(|number| {
            let one = sample(number * 7);
            let steps = json!([{"meta_reasoning": "First the total.", "sub_problem": "How many are there?", "answer": "12 * 4 = 48"}]);
            format!("{}\n", json!({"problem": one["problem"], "trace": "12 * 4 = 48, so 48.", "steps": steps}))
        })
        .collect();
    room.write("labelled.jsonl", labelled);
    room.write(
        "run.toml",
        "model = \"base.gguf\"\noutput_dir = \"out\"\ntrain = [\"labelled.jsonl\"]\nvalidation_split = 0.0\nfull = true\n\
         max_length = 8000\nper_device_train_batch_size = 4\nmax_steps = 12\n[optim]\nlearning_rate = 1e-2\n",
    );
    let ran = room.run("sft run.toml").ended(0);
    assert_eq!(ran.text(), "out/model.gguf\n");
    let (first, last) = {
        let entries = metrics::read(&room.path("out")).expect("metrics");
        (entries[0].values["loss"], entries[entries.len() - 1].values["loss"])
    };
    assert!(last < first * 0.7, "{first} {last}");
    room.run("models check out/model.gguf").ended(0);
    // The same from nothing: a model of random weights and a tokenizer that knows the words of the data.
    let text = String::from_utf8(room.read("run.toml")).expect("UTF-8");
    let random = "[random]\nvocabulary = 700\ncontext = 8192\nembedding = 64\nlayers = 2\nheads = 1\nkv_heads = 1\nfeed_forward = 96\n";
    let text = text.replace("model = \"base.gguf\"", "init = \"random\"").replace("\"out\"", "\"fresh\"");
    room.write("run.toml", format!("{text}{random}"));
    room.run("sft run.toml").ended(0);
    let facts = room.run("models check fresh/model.gguf --json").ended(0).records().remove(0);
    assert!(facts["vocabulary"].as_u64().is_some_and(|size| (500..=700).contains(&size)), "{facts}");
    let entries = metrics::read(&room.path("fresh")).expect("metrics");
    assert!(entries[entries.len() - 1].values["loss"] < entries[0].values["loss"] * 0.8);
    // A prompt takes fewer tokens than with a tokenizer of other words.
    let tokens = |out: &str| metrics::read(&room.path(out)).expect("metrics")[0].values["num_tokens"];
    assert!(tokens("fresh") < tokens("out"), "{} {}", tokens("fresh"), tokens("out"));
    room.write("run.toml", text.replace("full = true\n", ""));
    room.run("sft run.toml").failed(&["init = \"random\" needs full = true"]);
}

/// A GSRM that is asked with the trace alone says so in its file, and is asked so.
#[test]
fn a_small_gsrm_is_asked_with_the_trace_alone() {
    let room = Room::new();
    room.run("synth --count 60 --steps 1..2 --depth 1..2 --labels labelled.jsonl -o bed.jsonl").ended(0);
    room.write(
        "run.toml",
        "init = \"random\"\nfull = true\noutput_dir = \"out\"\nprompt = \"trace\"\ngrammar = \"steps-extractive\"\n\
         train = [\"labelled.jsonl\"]\nvalidation_split = 0.0\nmax_length = 512\nmax_steps = 20\n\
         [random]\nvocabulary = 400\ncontext = 1024\nembedding = 64\nlayers = 2\nheads = 1\nkv_heads = 1\nfeed_forward = 96\n\
         [optim]\nlearning_rate = 5e-3\n",
    );
    room.run("sft run.toml").ended(0);
    let facts = room.run("models check out/model.gguf --json").ended(0).records().remove(0);
    assert!(facts["gsrm_grammar"] == "steps-extractive" && facts["gsrm_prompt"] == "trace", "{facts}");
    // Instructions and a worked example would be some hundred tokens more.
    let tokens = metrics::read(&room.path("out")).expect("metrics")[0].values["num_tokens"];
    assert!(tokens / 8.0 < 400.0, "{tokens}");
    // Whatever it has learnt, its answers are passages of the trace, as its file says.
    let steps = "decompose bed.jsonl --decomposer gsrm --model out/model.gguf --max-steps 2 --ctx 1024 --restart -o steps.jsonl";
    room.run(steps).ended(0);
    let lists = command::records(&room.read("steps.jsonl"));
    assert_eq!(lists.len(), 60);
    room.run("export --model out/model.gguf --type q8_0 -o small.gguf").ended(0);
    let facts = room.run("models check small.gguf --json").ended(0).records().remove(0);
    assert_eq!(facts["gsrm_prompt"], "trace");
    // How good it is can be measured; and how good the phrases of the bed are.
    let measured = room
        .run("validate steps --data . --decomposer gsrm --model small.gguf --max-steps 2 --ctx 1024 --json")
        .ended(0);
    assert!(measured.records()[0]["figures"]["value/f1"].as_f64().is_some_and(|f1| f1 < 0.9));
    let measured = room.run("validate steps --data . --decomposer bed --json").ended(0).records().remove(0);
    assert_eq!((&measured["figures"]["name/f1"], &measured["n"]), (&json!(1.0), &json!(60)));
    let text = String::from_utf8(room.read("run.toml")).expect("UTF-8");
    room.write("odd.toml", text.replace("\"trace\"", "\"tracee\""));
    room.run("sft odd.toml").failed(&["did you mean `trace`"]);
}

/// What all prompts begin with goes through the model once, and nothing but rounding shows it.
#[test]
fn what_prompts_share_is_computed_once() {
    // Samples 0, 7, 14, … have two teachers, so a prompt comes twice.
    let room = room("max_steps = 3\nlogging_steps = 1");
    let text = String::from_utf8(room.read("run.toml")).expect("UTF-8");
    let told = "You are asked about numbers of things. Think it over between the marks, one step after the other, and say at the end what you found.";
    let text = format!("system = \"{told}\"\n{}", text.replace("lora_dropout = 0.1\n", ""));
    // Parts of one example each share nothing.
    room.write("apart.toml", format!("micro_batch_tokens = 1\n{}", text.replace("\"out\"", "\"apart\"")));
    room.write("run.toml", text);
    let together = room.run("sft run.toml").ended(0);
    assert!(
        together.err.contains("tokens that all prompts begin with are computed once"),
        "{}",
        together.err
    );
    room.run("sft apart.toml").ended(0);
    let values = |out: &str| -> Vec<(String, f64)> {
        let entries = metrics::read(&room.path(out)).expect("metrics");
        let all = entries.into_iter().flat_map(|entry| entry.values);
        all.filter(|(name, _)| ["loss", "eval_loss", "num_tokens", "grad_norm"].contains(&name.as_str()))
            .collect()
    };
    let (one, other) = (values("out"), values("apart"));
    assert!(one.len() == 3 * 3 + 1 && one.len() == other.len(), "{one:?}");
    for ((name, one), (same, other)) in one.iter().zip(&other) {
        assert!(name == same && (one - other).abs() < 1e-4 * one.abs(), "{name}: {one} {other}");
    }
}

#[test]
fn a_run_does_not_change_its_mind_in_silence() {
    let room = room("max_steps = 4\nlogging_steps = 3\nsave_steps = 2\n");
    room.run("sft run.toml --output-dir whole -q").ended(0);
    // A line of the metrics that was half summed up at a checkpoint.
    let text = String::from_utf8(room.read("run.toml")).expect("UTF-8");
    room.run("sft run.toml -q").ended(0);
    std::fs::remove_dir_all(room.path("out/checkpoint-4")).expect("removed");
    room.run("sft run.toml -q").ended(0);
    same(&result(&room, "out"), &result(&room, "whole"));
    // The same tokens, but other ones are evaluated on.
    room.write(
        "run.toml",
        text.replace("train = [\"data.jsonl\"]", "train = [\"data.jsonl\"]\nvalidation = [\"data.jsonl\"]"),
    );
    room.run("sft run.toml").failed(&["other training data"]);
    room.write(
        "run.toml",
        text.replace("validation_split = 0.2", "validation_split = 0.0\nearly_stopping_patience = 2"),
    );
    room.run("sft run.toml --output-dir none").failed(&["early_stopping_patience needs"]);
    // What it begins with is not overwritten in the end.
    room.run("adapter convert whole/adapter --model base.gguf -o own/adapter.gguf").ended(1);
    std::fs::create_dir(room.path("own")).expect("a folder");
    room.run("adapter convert whole/adapter --model base.gguf -o own/adapter.gguf").ended(0);
    room.write("run.toml", format!("adapter = \"own/adapter.gguf\"\n{text}"));
    room.run("sft run.toml --output-dir own").failed(&["it would overwrite", "adapter.gguf"]);
    room.run("sft run.toml --output-dir next -q").ended(0);
    // A folder of somebody's is no place for an adapter.
    room.run("adapter convert own/adapter.gguf --model base.gguf -o whole")
        .failed(&["whole", "holds other things"]);
    assert!(room.path("whole/metrics.jsonl").exists());
    // A slower rate goes on; it is what one does after gradients that are no numbers.
    room.write("run.toml", text.replace("max_steps = 4", "max_steps = 6").replace("1e-2", "1e-3"));
    let ran = room.run("sft run.toml").ended(0);
    assert!(ran.err.contains("going on behind step 4 of 6"), "{}", ran.err);
}

/// A run that is stopped by hand ends behind its step, with a checkpoint.
#[cfg(unix)]
#[test]
fn a_run_that_is_stopped_goes_on() {
    let room = room("num_train_epochs = 40\neval_steps = 1000\n");
    room.run("sft run.toml -q --output-dir whole").ended(0);
    for signal in ["INT", "TERM"] {
        let before = last_checkpoint(&room.path("out"));
        let mut command = room.command(&["sft", "run.toml"]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("started");
        let lines = || {
            let bytes = std::fs::read(room.path("out/metrics.jsonl")).unwrap_or_default();
            bytes.iter().filter(|byte| **byte == b'\n').count()
        };
        let (begun, from) = (Instant::now(), before as usize + 3);
        while lines() < from {
            assert!(begun.elapsed() < Duration::from_secs(60), "it does not get on");
            std::thread::sleep(Duration::from_millis(1));
        }
        let sent = std::process::Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
        assert!(sent.expect("kill").success());
        let output = child.wait_with_output().expect("ended");
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{err}");
        assert!(err.contains("the same command goes on"), "{err}");
        assert!(last_checkpoint(&room.path("out")) > before, "{err}");
    }
    room.run("sft run.toml -q").ended(0);
    same(&result(&room, "out"), &result(&room, "whole"));
}

/// Weights that are spoilt are no result, and no checkpoint, however the run ends.
#[test]
fn a_run_that_diverges_is_an_error() {
    for more in [
        "max_steps = 8\nsave_steps = 1\n",
        "max_steps = 3\nsave_steps = 1\nlogging_steps = 2\n",
        "max_steps = 8\nsave_steps = 1\neval_steps = 1\nearly_stopping_patience = 2\nload_best_model_at_end = false\n",
    ] {
        let room = room(more);
        let text = String::from_utf8(room.read("run.toml")).expect("UTF-8");
        let text = if more.contains("eval_steps") {
            text
        } else {
            text.replace("validation_split = 0.2", "validation_split = 0.0")
        };
        room.write("run.toml", text.replace("1e-2", "1e30"));
        room.run("sft run.toml -q").failed(&[
            "are no numbers",
            "no adapter is written",
            "lower learning_rate",
        ]);
        assert!(!room.path("out/adapter").exists() && room.path("out/run.html").exists());
        // The rate of the first step is 0, so that its checkpoint is a good one, and a slower run goes on from there.
        assert_eq!(last_checkpoint(&room.path("out")), 1, "{more}");
        room.write("run.toml", &text);
        let ran = room.run("sft run.toml").ended(0);
        assert!(ran.err.contains("going on behind step 1 of "), "{}", ran.err);
        // Nor does a merge write such numbers.
        room.run("adapter merge out/adapter@1e38 --model base.gguf --type f32 -o m.gguf")
            .failed(&["no number"]);
        room.run("adapter merge out/adapter@nan --model base.gguf -o m.gguf").failed(&["no factor"]);
        assert!(!room.path("m.gguf").exists());
    }
}

/// A best checkpoint that somebody removed is not missed.
#[test]
fn a_best_checkpoint_that_is_gone_is_no_obstacle() {
    let room = room("num_train_epochs = 2\nsave_steps = 1\nsave_total_limit = 20\n");
    room.run("sft run.toml -q").ended(0);
    let best = last_checkpoint(&room.path("out"));
    std::fs::remove_dir_all(room.path(&format!("out/checkpoint-{best}"))).expect("removed");
    std::fs::remove_dir_all(room.path("out/adapter")).expect("removed");
    let state = room.read(&format!("out/checkpoint-{}/trainer_state.json", best - 1));
    // As if the one that is gone had been the best of all.
    let mut value: Value = serde_json::from_slice(&state).expect("JSON");
    value["best"] = json!([0.001, best]);
    room.write(&format!("out/checkpoint-{}/trainer_state.json", best - 1), value.to_string());
    room.run("sft run.toml -q").ended(0);
    assert!(room.path("out/adapter").exists());
}

/// The plan of a run, by part.
#[test]
fn a_run_is_planned() {
    let room = room("micro_batch_tokens = 512\nmax_length = 512\n");
    let plan = room.run("plan run.toml --json").ended(0).records().remove(0);
    let part = |name: &str| plan[name].as_u64().expect("bytes");
    assert_eq!(part("trained") * 2, part("optimizer") - part("optimizer") % part("trained"));
    let total = part("total");
    assert!(total > part("weights") + part("states") + part("layers"));
    room.run("plan run.toml --memory 1MiB").failed(&["the run needs", "micro_batch_tokens"]);
    let text = String::from_utf8(room.read("run.toml")).expect("UTF-8");
    room.write("run.toml", format!("gradient_checkpointing = false\n{text}"));
    let kept = room.run("plan run.toml --json").ended(0).records().remove(0);
    assert!(kept["total"].as_u64() > Some(total));
    // Without the model's file.
    let fresh = text
        .replace("model = \"base.gguf\"", "init = \"random\"\nfull = true")
        .replace("[lora]\nr = 4\nlora_dropout = 0.1\n", "");
    room.write("run.toml", fresh);
    assert!(room.run("plan run.toml").ended(0).text().contains("all weights"));
    room.run("plan run.toml --model base.gguf").ended(2);
    room.run("plan").ended(2);
}

/// The run files to start from are run files.
#[test]
fn recipes_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("recipes") {
        let path = entry.expect("an entry").path();
        let first = std::fs::read_to_string(&path).expect("a recipe");
        let checked = if first.starts_with("# rlkd train ") {
            let config: rlkd::distill::RlkdConfig = rlkd::config::load_toml(&path).expect("a run file");
            config.check()
        } else {
            let config: rlkd::train::sft::SftConfig = rlkd::config::load_toml(&path).expect("a run file");
            config.check()
        };
        checked.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        assert!(
            first.lines().next().is_some_and(|line| line.ends_with(&format!(" recipes/{name}"))),
            "{name}"
        );
        count += 1;
    }
    assert!(count >= 3);
}
