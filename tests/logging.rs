//! What reaches standard error when llama.cpp loads a model, by `RLKD_LOG`; and what the program says of a wrong value.
#![cfg(feature = "llama")]

use std::path::Path;
use std::process::{Command, Stdio};

use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use rlkd::gguf::random::{Spec, write};
use rlkd::llama::logging;

/// Names the model that a child loads.
const MODEL: &str = "RLKD_TEST_LOGGED_MODEL";

/// The child: what a program does that loads a model.
#[test]
fn as_child() {
    let Some(path) = std::env::var_os(MODEL) else { return };
    if let Err(error) = logging::init() {
        eprintln!("warning: {error}");
    }
    logging::route();
    logging::route();
    let backend = LlamaBackend::init().expect("llama.cpp starts");
    let loaded = LlamaModel::load_from_file(&backend, &path, &LlamaModelParams::default());
    let fine = std::fs::metadata(&path).expect("a file").len() > 100;
    assert_eq!(loaded.is_ok(), fine);
    tracing::warn!(target: "rlkd::llama", "our own warning");
}

/// The standard error of a child that loads `model`.
fn told(model: &Path, log: Option<&str>) -> String {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "as_child", "--nocapture"]).env(MODEL, model).env_remove(logging::VARIABLE);
    if let Some(log) = log {
        command.env(logging::VARIABLE, log);
    }
    let output = command.stdin(Stdio::null()).output().expect("started");
    let told = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "{told}");
    assert!(!told.contains('\u{1b}'), "no colour: {told}");
    told
}

#[test]
fn llama_cpp_is_silent_unless_it_is_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = folder.path().join("model.gguf");
    write(&good, &Spec::default()).expect("written");
    let bad = folder.path().join("bad.gguf");
    std::fs::write(&bad, "GGUF, but not really").expect("written");

    let ours = " WARN rlkd::llama: our own warning\n";
    for model in [&good, &bad] {
        assert_eq!(told(model, None), ours);
        assert_eq!(told(model, Some("")), ours);
        assert_eq!(told(model, Some("off")), "");
        assert_eq!(told(model, Some("inof")).lines().count(), 2);
    }
    let verbose = told(&good, Some("llama=info"));
    assert!(verbose.contains("qwen2") && verbose.contains(" INFO llama-cpp-2: "), "{verbose}");
    assert!(!verbose.contains("our own"), "{verbose}");
    let verbose = told(&good, Some("rlkd=warn,llama=info"));
    assert!(verbose.contains("qwen2") && verbose.contains("our own"), "{verbose}");
    let failed = told(&bad, Some("ggml=error"));
    assert!(failed.contains("ERROR llama-cpp-2: "), "{failed}");
}

#[cfg(feature = "cli")]
#[test]
fn a_wrong_value_is_one_line_and_no_failure() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rlkd"));
    command.args(["completions", "bash"]).env(logging::VARIABLE, "rlkd=info,llama=loud").stdin(Stdio::null());
    let output = command.output().expect("started");
    assert!(output.status.success() && !output.stdout.is_empty());
    let told = String::from_utf8(output.stderr).expect("text");
    assert_eq!(
        told,
        "warning: RLKD_LOG: `loud` in `llama=loud` is no level (off, error, warn, info, debug, trace)\n"
    );
}
