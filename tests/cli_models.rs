//! `rlkd models` and `rlkd plan`, from end to end.

#![cfg(feature = "cli")]

mod command;

use std::process::Command;

use command::{PROGRAM, Room};
use serde_json::Value;

/// What a run came to: exit code, standard output, standard error.
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs the program in a home of its own, without a network to speak of.
fn run(room: &Room, words: &[&str]) -> Ended {
    let mut command = Command::new(PROGRAM);
    for name in ["HF_TOKEN", "HF_HUB_CACHE", "XDG_DATA_HOME"] {
        command.env_remove(name);
    }
    let output = command
        .args(words)
        .current_dir(room.path("."))
        .env("RLKD_MODELS", room.path("models"))
        .env("HF_HOME", room.path("hf"))
        .env("HF_ENDPOINT", "http://127.0.0.1:1")
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .expect("the program runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let ended = Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
    assert!(!ended.err.contains("panicked"), "{}", ended.err);
    ended
}

#[track_caller]
fn ended(room: &Room, line: &str, code: i32) -> Ended {
    let ended = run(room, &line.split(' ').collect::<Vec<_>>());
    assert_eq!(ended.code, Some(code), "{line}: {}{}", ended.out, ended.err);
    ended
}

#[track_caller]
fn json(room: &Room, line: &str) -> Value {
    serde_json::from_str(&ended(room, line, 0).out).expect("JSON")
}

#[test]
fn a_random_model_is_made_checked_and_planned() {
    let room = Room::new();
    assert_eq!(ended(&room, "models random -o tiny.gguf", 0).out, "tiny.gguf\n");
    let facts = json(&room, "models check tiny.gguf --json");
    for (name, value) in
        [("architecture", "qwen2".into()), ("vocabulary", 2_048.into()), ("layers", Value::from(2))]
    {
        assert_eq!(facts[name], value, "{name}");
    }
    assert!(facts["sha256"].is_null(), "no checksum unless asked for");
    let table = ended(&room, "models check tiny.gguf --manifest tiny-random-qwen2", 0).out;
    for part in ["vocabulary           2048", "as the manifest of tiny-random-qwen2 says"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    ended(
        &room,
        "models random -o other.gguf --architecture qwen3 --vocabulary 600 --embedding 64 --layers 1 --heads 4 \
         --kv-heads 2 --head-size 32 --feed-forward 96 --context 512 --weights q8_0 --tied --seed 7",
        0,
    );
    let facts = json(&room, "models check other.gguf --json --sha256");
    assert_eq!((&facts["architecture"], &facts["weights"]), (&"qwen3".into(), &"Q8_0".into()));
    assert_eq!(facts["sha256"].as_str().map(str::len), Some(64));
    let wrong = ended(&room, "models check other.gguf --manifest tiny-random-qwen2", 1).err;
    assert!(wrong.contains("not tiny-random-qwen2"), "{wrong}");

    // One layer, 2 heads of 32 for keys and for values, 4 bytes on a processor: 512 bytes a token; 3 sequences and the 2
    // kept prefixes of a run.
    let plan = json(&room, "plan --model other.gguf --ctx 512 --parallel 3 --memory 1GiB --json");
    assert_eq!((&plan["kv_cache"], &plan["fits"]), (&(512 * 512 * 5).into(), &true.into()));
    let parts = ["weights", "kv_cache", "logits", "compute"].map(|name| plan[name].as_u64().expect("bytes"));
    assert_eq!(plan["total"], parts.iter().sum::<u64>());
    assert_eq!(plan["largest_context"], 512, "not above what the model was trained for");
    let small = ended(&room, "plan --model other.gguf --ctx 512 --parallel 254 --kv f16 --memory 24MiB", 1);
    assert!(small.err.contains("lower the parallel sequences from 254 to"), "{}", small.err);
    assert!(small.out.contains("KV cache") && small.out.contains("34.1 MiB"), "{}", small.out);
    let warned = ended(&room, "plan --model other.gguf --ctx 1024 --memory 1G", 0).err;
    assert!(warned.contains("trained for 512 tokens"), "{warned}");
}

#[test]
fn models_are_listed_and_fetched_by_name() {
    let room = Room::new();
    let listed = |name: &str| -> Value {
        let lines = ended(&room, "models list --json", 0).out;
        let mut all = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        all.find(|line| line["name"] == name).expect("listed")
    };
    assert_eq!(listed("tiny-random-qwen2")["path"], Value::Null);
    let list = ended(&room, "models list", 0).out;
    assert!(list.contains("not here"), "{list}");
    assert_eq!(list.contains("in the program"), cfg!(any(feature = "llama", feature = "train")), "{list}");
    let absent = ended(&room, "plan --model tiny-random-qwen2", 1).err;
    assert!(absent.contains("rlkd models fetch tiny-random-qwen2"), "{absent}");
    if cfg!(feature = "llama") {
        let path = ended(&room, "models fetch tiny-random-qwen2", 0);
        assert!(path.err.is_empty(), "no bar where there is no terminal: {}", path.err);
        assert_eq!(listed("tiny-random-qwen2")["path"], path.out.trim());
        assert_eq!(json(&room, "models check tiny-random-qwen2 --json")["manifest"], "tiny-random-qwen2");
        assert_eq!(json(&room, "plan --model tiny-random-qwen2 --json")["fits"], true);
        let own = ended(&room, "models fetch gsrm-tiny", 0).out;
        assert_eq!(listed("gsrm-tiny")["path"], own.trim());
        assert_eq!(json(&room, "models check gsrm-tiny --json")["gsrm_grammar"], "steps-lines");
        let refused = ended(&room, "models fetch hf:owner/repo/m.gguf", 1).err;
        assert!(refused.contains("cannot be asked"), "{refused}");
        // A bit that is flipped is found.
        let path = path.out.trim().to_owned();
        let mut bytes = std::fs::read(&path).expect("read");
        *bytes.last_mut().expect("a byte") ^= 1;
        std::fs::write(&path, bytes).expect("written");
        let flipped = ended(&room, "models check tiny-random-qwen2", 1).err;
        assert!(flipped.contains("fetch it again"), "{flipped}");
    }
}

#[test]
fn a_manifest_of_ones_own_is_listed_with_its_tags() {
    let room = Room::new();
    std::fs::create_dir(room.path("models")).expect("a folder");
    let manifest = "name = \"mine\"\nfile = \"mine.gguf\"\nsize = 3\nlicence = \"MIT\"\nsource = \"local\"\n\
        tags = [\"gsrm\", \"4-bit\"]\n";
    let manifest = format!("{manifest}sha256 = \"{}\"\n", "ab".repeat(32));
    room.write("models/mine.toml", &manifest);
    let list = ended(&room, "models list", 0).out;
    assert!(list.contains("MIT  not here  (gsrm, 4-bit)\n"), "{list}");
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let room = Room::new();
    room.write("cut.gguf", "GGUF");
    room.write("text.gguf", "no model");
    for (line, code, part) in [
        ("models check gone.gguf", 1, "gone.gguf"),
        ("models check cut.gguf", 1, "cut.gguf"),
        ("models check text.gguf", 1, "text.gguf"),
        ("models check tiny-random-qwen", 1, "did you mean \"tiny-random-qwen2\"?"),
        ("models check hf:owner/m.gguf", 1, "write hf:owner/repo/file.gguf"),
        ("models check hf:owner/repo/m.gguf", 1, "rlkd models fetch hf:owner/repo/m.gguf"),
        ("models random -o x.gguf --heads 3", 1, "heads"),
        ("models random -o x.gguf --weights q9", 2, "q9"),
        ("models random -o x.gguf --architecture gpt", 2, "qwen3"),
        ("plan --model cut.gguf --ctx 0", 2, "--ctx"),
        ("plan --model cut.gguf --parallel 255", 2, "254"),
        ("plan --model cut.gguf --kv q3", 2, "q8_0"),
        ("plan --model cut.gguf --memory much", 2, "24GiB"),
        ("models", 2, "fetch"),
    ] {
        if line == "models" && !cfg!(feature = "llama") {
            continue;
        }
        let ended = ended(&room, line, code);
        assert!(ended.err.contains(part), "{line}: {}", ended.err);
    }
    std::fs::create_dir(room.path("models")).expect("a folder");
    room.write("models/a.toml", "name = \"a\"\nlicense = \"MIT\"\n");
    let wrong = ended(&room, "models list", 1).err;
    assert!(wrong.contains("a.toml:2") && wrong.contains("did you mean `licence`?"), "{wrong}");
}
