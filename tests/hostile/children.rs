//! Mutated files through the check and then the real loader, in child processes: a crash there is one of the file
//! that the child named last.

use std::io::{BufRead, BufReader, Write};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;

use rlkd::grammar::{Message, Role};
use rlkd::llama::chat::RenderOptions;
use rlkd::llama::model::Model;
use rlkd::llama::settings::Settings;

use super::mutate::mutate;
use super::*;

/// Mutated files; `RLKD_HOSTILE_FILES` asks for another number.
const FILES: u64 = 2_000;
/// How long a child may be silent.
const PATIENCE: Duration = Duration::from_secs(60);
const LIST: &str = "RLKD_HOSTILE_LIST";
/// How a child loads; a process has one llama.cpp, so it is one of the two.
const WAY: &str = "RLKD_HOSTILE_WAY";

/// How a file is loaded.
#[derive(Clone, Copy)]
enum Way {
    /// By llama.cpp itself, as far as logits and embeddings.
    Loader,
    /// As the product does, as far as the vocabulary of the grammars. Files that the check has not passed in full are
    /// refused.
    Product,
}

/// Loads the files of a list; only in a child process.
#[test]
fn child() {
    let Some(list) = std::env::var_os(LIST) else { return };
    let backend = std::env::var_os(WAY).is_none_or(|way| way != "product").then(|| {
        let mut backend = LlamaBackend::init().expect("llama.cpp starts");
        // The log stays on, on the child's standard error: it says which assert was hit.
        if std::env::var_os("RLKD_HOSTILE_LOG").is_none() {
            backend.void_logs();
        }
        backend
    });
    let mut out = std::io::stdout();
    for line in std::fs::read_to_string(list).expect("the list").lines() {
        writeln!(out, "\nat {line}").and_then(|()| out.flush()).expect("the parent listens");
        let path = Path::new(line);
        let has_run = backend.as_ref().map_or_else(|| run_product(path), |backend| run(backend, path));
        let verdict = if has_run { "ran" } else { "refused" };
        eprintln!("{verdict} {line}");
        writeln!(out, "\n{verdict} {line}").and_then(|()| out.flush()).expect("the parent listens");
    }
}

/// Loads a file, tokenizes, decodes and pools; false if llama.cpp refuses it.
fn run(backend: &LlamaBackend, path: &Path) -> bool {
    let Ok(model) = LlamaModel::load_from_file(backend, path, &LlamaModelParams::default()) else {
        return false;
    };
    let vocab = model.vocab();
    let text = "So 12 + 30 = 42.\n\n[Answer]: <|im_end|> \u{4e2d}\u{1f600} <think>x</think>";
    let mut count = 0;
    for (special, parse) in [(true, true), (false, false)] {
        count += vocab.tokenize(text.as_bytes(), special, parse).len();
    }
    for token in vocab.tokens() {
        count += vocab.token_to_piece(token, true, None).len();
        let _ = (vocab.attr(token), vocab.is_eog(token));
    }
    let _ = (vocab.bos(), vocab.eos(), vocab.nl(), model.chat_template(None), count);
    let tokens = [llama_cpp_2::token::LlamaToken(65), llama_cpp_2::token::LlamaToken(66)];
    for embeddings in [false, true] {
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(256))
            .with_n_batch(32)
            .with_n_threads(1)
            .with_n_threads_batch(1)
            .with_embeddings(embeddings);
        let Ok(mut context) = model.new_context(backend, params) else { return false };
        let mut batch = LlamaBatch::new(8, 1);
        for (at, &token) in tokens.iter().enumerate() {
            batch.add(token, at as i32, &[0], true).expect("room");
        }
        if context.decode(&mut batch).is_err() {
            return false;
        }
        if embeddings {
            let _ = (
                context.embeddings_seq_ith(0).map(<[f32]>::len),
                context.embeddings_ith(1).map(<[f32]>::len),
            );
        } else {
            let _ = context.get_logits_ith(1).len();
        }
    }
    true
}

/// Loads a file as the product does, tokenizes, renders a prompt and builds the vocabulary of the grammars; false if it is
/// refused.
fn run_product(path: &Path) -> bool {
    let Ok(model) = Model::load(path, &Settings::default()) else { return false };
    let text = "So 12 + 30 = 42.\n\n[Answer]: <|im_end|> \u{4e2d}\u{1f600} <think>x</think>";
    let messages = [Message { role: Role::User, content: model.quote(text) }];
    let prompt = model.template().render(&messages, &RenderOptions::default());
    let tokens = [model.tokenize(text), model.tokenize_prompt(prompt.as_deref().unwrap_or(text))].concat();
    let all: Vec<u32> = (0..model.vocabulary_size() as u32).collect();
    let _ = (model.text(&tokens).len(), model.bytes(&all).len());
    model.vocabulary().is_ok()
}

#[derive(Default)]
struct Counts {
    passed: usize,
    ran: usize,
    refused: usize,
    /// Of those that the product loads.
    used: usize,
    crashes: Vec<String>,
}

/// Runs a list of files in children, until each was tried.
fn try_all(files: &[PathBuf], way: Way, folder: &Path, counts: &mut Counts) {
    let mut left = files;
    while !left.is_empty() {
        let list = folder.join("list");
        let lines: Vec<String> = left.iter().map(|path| path.display().to_string()).collect();
        std::fs::write(&list, lines.join("\n")).expect("the list");
        let log = folder.join("log");
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["children::child", "--exact", "--nocapture", "--test-threads=1"])
            .env(LIST, &list)
            .env(WAY, if matches!(way, Way::Product) { "product" } else { "loader" })
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).expect("the log"))
            .spawn()
            .expect("a child");
        let (send, receive) = mpsc::channel();
        let output = child.stdout.take().expect("its output");
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        let (mut tried, mut done) = (0, 0);
        let mut silent = false;
        loop {
            match receive.recv_timeout(PATIENCE) {
                Ok(line) if line.starts_with("at ") => tried += 1,
                Ok(line) if line.starts_with("ran ") || line.starts_with("refused ") => {
                    done += 1;
                    match (way, line.starts_with("ran ")) {
                        (Way::Loader, true) => counts.ran += 1,
                        (Way::Loader, false) => counts.refused += 1,
                        (Way::Product, true) => counts.used += 1,
                        (Way::Product, false) => {}
                    }
                }
                Ok(_) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    silent = true;
                    child.kill().expect("the child ends");
                    break;
                }
            }
        }
        let status = child.wait().expect("the child's end");
        drop(receive);
        reader.join().expect("the reader");
        if done == left.len() && status.success() {
            if std::env::var_os("RLKD_HOSTILE_LOG").is_some() {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                log.lines()
                    .filter(|line| line.contains("error loading model"))
                    .for_each(|line| println!("{line}"));
            }
            return;
        }
        assert!(tried > 0, "the child did not start: {status}");
        let bad = &left[tried - 1];
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(bad.file_name().expect("a name"));
        std::fs::copy(bad, &kept).expect("a copy of the file");
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        let why = log
            .lines()
            .find(|line| line.contains("ASSERT") || line.contains("what()") || line.contains("panicked"));
        let how = if silent { "silent for a minute".to_owned() } else { status.to_string() };
        counts.crashes.push(format!("{}: {how}: {}", kept.display(), why.unwrap_or("no word")));
        left = &left[tried..];
    }
}

/// Without the check, a token that comes twice ends the process. The harness has to see that, and to go on.
#[test]
fn a_crash_is_noticed_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = bytes_of(Architecture::Qwen2);
    let mut parts = Parts::of(&good);
    parts.edit_strings("tokenizer.ggml.tokens", |tokens| tokens[300] = tokens[299].clone());
    let bad = parts.bytes().expect("bytes");
    let files: Vec<PathBuf> = (0..3).map(|at| folder.path().join(format!("twice-{at}.gguf"))).collect();
    for (path, bytes) in files.iter().zip([&good, &bad, &good]) {
        std::fs::write(path, bytes).expect("write");
    }
    let mut counts = Counts::default();
    try_all(&files, Way::Loader, folder.path(), &mut counts);
    assert_eq!((counts.ran, counts.refused, counts.crashes.len()), (2, 0, 1), "{:?}", counts.crashes);
    assert!(counts.crashes[0].contains("twice-1.gguf"), "{:?}", counts.crashes);
    // The product checks first.
    let mut counts = Counts::default();
    try_all(&files, Way::Product, folder.path(), &mut counts);
    assert!(counts.used == 2 && counts.crashes.is_empty(), "{} {:?}", counts.used, counts.crashes);
}

/// What the check lets through because other programs write it so, llama.cpp and the product take indeed.
#[test]
fn files_of_other_programs_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let parts = Parts::of(&bytes_of(Architecture::Qwen2));
    for (at, (what, edit)) in OTHERS.iter().enumerate() {
        let mut edited = parts.clone();
        edit(&mut edited);
        let path = folder.path().join(format!("other-{at}.gguf"));
        std::fs::write(&path, edited.bytes().expect("bytes")).expect("write");
        let mut counts = Counts::default();
        try_all(std::slice::from_ref(&path), Way::Loader, folder.path(), &mut counts);
        try_all(&[path], Way::Product, folder.path(), &mut counts);
        assert_eq!((counts.ran, counts.used, counts.crashes.as_slice()), (1, 1, &[][..]), "{what}");
    }
}

#[test]
fn no_mutated_file_takes_the_process_down() {
    let start = Instant::now();
    let files =
        std::env::var("RLKD_HOSTILE_FILES").ok().and_then(|files| files.parse().ok()).unwrap_or(FILES);
    let models: Vec<(Vec<u8>, usize)> = Architecture::ALL
        .iter()
        .map(|&architecture| bytes_of(architecture))
        .chain([sentence_piece()])
        .map(|bytes| {
            let offset = Gguf::read(std::io::Cursor::new(&bytes)).expect("it reads").data_offset as usize;
            (bytes, offset)
        })
        .collect();
    let half = |part: u64| {
        let folder = tempfile::tempdir().expect("a folder");
        let mut counts = Counts::default();
        let mut batch = Vec::new();
        for index in (part..files).step_by(2) {
            let (bytes, offset) = &models[(index / 2 % 4) as usize];
            let path = folder.path().join(format!("hostile-{index}.gguf"));
            std::fs::write(&path, mutate(bytes, *offset, index)).expect("write");
            // Without the check, to see what it is worth.
            let unchecked = std::env::var_os("RLKD_HOSTILE_UNCHECKED").is_some();
            if unchecked || check(&path).is_ok_and(|facts| facts.checked_in_full) {
                counts.passed += 1;
                batch.push(path);
            } else {
                std::fs::remove_file(&path).expect("remove");
            }
            if batch.len() == 100 || index + 2 >= files {
                try_all(&batch, Way::Loader, folder.path(), &mut counts);
                try_all(&batch, Way::Product, folder.path(), &mut counts);
                batch.drain(..).for_each(|path| std::fs::remove_file(path).expect("remove"));
            }
        }
        counts
    };
    let counts = std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        let mut counts = half(0);
        let more = other.join().expect("the other half");
        counts.passed += more.passed;
        counts.ran += more.ran;
        counts.refused += more.refused;
        counts.used += more.used;
        counts.crashes.extend(more.crashes);
        counts
    });
    println!(
        "{files} files: {} passed the check, {} ran, {} were refused by llama.cpp, {} ran as the product runs them, {} crashed; {:?}",
        counts.passed,
        counts.ran,
        counts.refused,
        counts.used,
        counts.crashes.len(),
        start.elapsed()
    );
    assert!(counts.crashes.is_empty(), "crashes:\n{}", counts.crashes.join("\n"));
    // So that the test means something: many files pass, most of these run, and many do not pass.
    assert!(
        counts.ran.min(counts.used) as u64 > files / 10 && (counts.passed as u64) < files * 8 / 10,
        "too few or too many pass"
    );
}
