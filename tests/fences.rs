//! The fences of the design, held by reading the sources: imports point up the list of modules only, each engine
//! stays behind its own, and the kernel does no I/O.

use std::path::{Path, PathBuf};

/// The files that may have unsafe code: calls of a matrix product and of instructions, and of llama.cpp where its bindings have
/// no safe one.
const UNSAFE: [&str; 4] =
    ["train/cpu/gemm.rs", "train/cpu/bf16/pack.rs", "train/cpu/bf16/unit.rs", "llama/engine/adapter.rs"];
/// No file is longer.
const MOST_LINES: usize = 800;
/// Modules that compute and never touch a file or a socket.
const PURE: [&str; 4] = ["align", "answer", "judge", "reward"];

/// A source file: its path below `src`, with `/`, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Source { path: path.into(), text: text.into() }
    }

    /// The module of the crate that it belongs to: the folder, or the stem of the file.
    fn module(&self) -> &str {
        self.path.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    /// Whether `super` is the root of the crate here.
    fn is_top(&self) -> bool {
        match self.path.split_once('/') {
            None => true,
            Some((_, rest)) => rest == "mod.rs",
        }
    }
}

/// The text with comments and the contents of literals blanked, line by line as before.
fn code_of(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let blank = |c: char| if c == '\n' { '\n' } else { ' ' };
    let starts = |at: usize, what: &str| what.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    while at < chars.len() {
        let in_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
        let end = if starts(at, "//") {
            (at..chars.len()).find(|&i| chars[i] == '\n').unwrap_or(chars.len())
        } else if starts(at, "/*") {
            let (mut depth, mut i) = (0, at);
            loop {
                if starts(i, "/*") {
                    (depth, i) = (depth + 1, i + 2);
                } else if starts(i, "*/") {
                    (depth, i) = (depth - 1, i + 2);
                } else {
                    i += 1;
                }
                if depth == 0 || i >= chars.len() {
                    break i.min(chars.len());
                }
            }
        } else if let Some(hashes) = raw_string(&chars[at..]).filter(|_| !in_word) {
            let close: String = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
            let open = at + chars[at..].iter().take_while(|c| **c != '"').count() + 1;
            (open..chars.len()).find(|&i| starts(i, &close)).map_or(chars.len(), |i| i + close.len())
        } else if chars[at] == '"' {
            let mut i = at + 1;
            while i < chars.len() && chars[i] != '"' {
                i += if chars[i] == '\\' { 2 } else { 1 };
            }
            (i + 1).min(chars.len())
        } else if chars[at] == '\'' && chars.get(at + 1) == Some(&'\\') {
            let from = at + 3;
            (from..chars.len()).find(|&i| chars[i] == '\'').map_or(chars.len(), |i| i + 1)
        } else if chars[at] == '\'' && chars.get(at + 2) == Some(&'\'') {
            at + 3
        } else {
            out.push(chars[at]);
            at += 1;
            continue;
        };
        out.extend(chars[at..end].iter().map(|c| blank(*c)));
        at = end;
    }
    out
}

/// How many `#` a raw string has that begins here: `r"`, `r#"`, `br##"`.
fn raw_string(chars: &[char]) -> Option<usize> {
    let rest = if chars.first() == Some(&'b') { &chars[1..] } else { chars };
    let rest = rest.strip_prefix(&['r'])?;
    let hashes = rest.iter().take_while(|c| **c == '#').count();
    (rest.get(hashes) == Some(&'"')).then_some(hashes)
}

/// The code without `#[cfg(test)] mod … { … }`.
fn without_tests(code: &str) -> String {
    let mut out = String::new();
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        let (before, from) = rest.split_at(at);
        out += before;
        let open = from.find(['{', ';']).unwrap_or(from.len());
        let mut depth = 0usize;
        let end = from[open..].char_indices().find_map(|(i, c)| {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            (depth == 0).then_some(open + i + 1)
        });
        rest = &from[end.unwrap_or(from.len())..];
    }
    out + rest
}

fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + code[at..].find(is_word)?;
        let end = code[start..].find(|c| !is_word(c)).map_or(code.len(), |n| start + n);
        at = end;
        Some((start, &code[start..end]))
    })
}

/// The names that follow `root::`, those in braces included, each with its line.
fn after<'a>(code: &'a str, root: &str) -> Vec<(usize, &'a str)> {
    let mut found = Vec::new();
    for (start, _) in words(code).filter(|(_, word)| *word == root) {
        let line = code[..start].matches('\n').count() + 1;
        let Some(rest) = code[start + root.len()..].trim_start().strip_prefix("::") else { continue };
        let rest = rest.trim_start();
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0i32;
            let mut item = 0;
            for (at, c) in group.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                if depth < 0 || (c == ',' && depth == 0) {
                    found.extend(words(&group[item..at]).next().map(|(_, word)| (line, word)));
                    item = at + 1;
                }
                if depth < 0 {
                    break;
                }
            }
        } else {
            found.extend(words(rest).next().map(|(_, word)| (line, word)));
        }
    }
    found
}

/// The modules in the order in which `lib.rs` declares them.
fn modules(lib: &str) -> Vec<String> {
    let code = code_of(lib);
    let words: Vec<&str> = words(&code).map(|(_, word)| word).collect();
    words.windows(2).filter(|pair| pair[0] == "mod").map(|pair| pair[1].to_owned()).collect()
}

/// Every fence that is broken, in words.
fn broken(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    let Some(lib) = sources.iter().find(|source| source.path == "lib.rs") else {
        return vec!["there is no lib.rs".into()];
    };
    let order = modules(&lib.text);
    let rank = |name: &str| order.iter().position(|module| module == name);
    if !code_of(&lib.text).replace(' ', "").contains("#![deny(unsafe_code)]") {
        found.push("lib.rs does not say #![deny(unsafe_code)]".into());
    }
    for source in sources {
        let lines = source.text.lines().count();
        let path = &source.path;
        let mut complain = |line: usize, what: String| found.push(format!("{path}:{line}: {what}"));
        if lines > MOST_LINES {
            complain(lines, format!("more than {MOST_LINES} lines"));
        }
        let code = code_of(&source.text);
        let line_of = |at: usize| code[..at].matches('\n').count() + 1;
        for (at, word) in words(&code) {
            if word == "llama_cpp_2" && source.module() != "llama" {
                complain(line_of(at), "llama_cpp_2 outside of src/llama".into());
            }
            if (word == "candle" || word.starts_with("candle_")) && source.module() != "train" {
                complain(line_of(at), format!("{word} outside of src/train"));
            }
            if word == "unsafe" && !UNSAFE.contains(&path.as_str()) {
                complain(line_of(at), "unsafe".into());
            }
            if word == "unsafe" && !is_argued(&source.text, line_of(at)) {
                complain(line_of(at), "no line that says SAFETY above".into());
            }
        }
        let code = without_tests(&code);
        let module = source.module();
        match (rank(module), module) {
            (_, "main" | "cli") => continue,
            (_, "lib") => {
                if words(&code).any(|(_, word)| word == "cli") {
                    complain(0, "src/cli is for main.rs only".into());
                }
                continue;
            }
            (None, _) => complain(0, "this module is not in lib.rs".into()),
            (Some(own), _) => {
                let mut used = after(&code, "crate");
                used.extend(after(&code, "rlkd"));
                if source.is_top() {
                    used.extend(after(&code, "super"));
                }
                for (line, name) in used {
                    if name == "cli" {
                        complain(line, "src/cli is for main.rs only".into());
                    }
                    if rank(name).is_some_and(|other| other > own) {
                        complain(line, format!("{module} uses {name}, which stands below it"));
                    }
                }
            }
        }
        if PURE.contains(&module) {
            for (line, name) in after(&code, "std") {
                if ["fs", "net", "io"].contains(&name) {
                    complain(line, format!("{module} uses std::{name}"));
                }
            }
            for (at, word) in words(&code) {
                let is_macro = code[at + word.len()..].starts_with('!');
                if is_macro && ["print", "println", "eprint", "eprintln", "dbg"].contains(&word) {
                    complain(code[..at].matches('\n').count() + 1, format!("{module} prints"));
                }
            }
        }
    }
    found
}

fn read(folder: &Path, below: &Path, sources: &mut Vec<Source>) {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            read(&path, below, sources);
        } else if path.extension().is_some_and(|suffix| suffix == "rs") {
            let name = path.strip_prefix(below).expect("below").to_string_lossy().replace('\\', "/");
            sources.push(Source::new(&name, &std::fs::read_to_string(&path).expect("read")));
        }
    }
}

/// Whether the comment above a line says why it is sound.
fn is_argued(text: &str, line: usize) -> bool {
    let above: Vec<&str> = text.lines().take(line - 1).collect();
    // Attributes may stand between.
    let above = above.iter().rev().map(|line| line.trim_start());
    let comment = above.take_while(|line| line.starts_with("//") || line.starts_with("#["));
    comment.into_iter().any(|line| line.contains("SAFETY:"))
}

#[test]
fn the_sources_keep_within_their_fences() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (src, mut sources) = (root.join("src"), Vec::new());
    read(&src, &src, &mut sources);
    assert!(sources.len() > 50, "{} sources were found", sources.len());
    let lib = sources.iter().find(|source| source.path == "lib.rs").expect("lib.rs");
    let order = modules(&lib.text);
    for name in ["error", "trace", "decompose", "judge", "align", "answer", "reward", "score", "validate"] {
        assert!(order.iter().any(|module| module == name), "{name} is in {order:?}");
    }
    let found = broken(&sources);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_file_is_long() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    for folder in ["src", "tests", "benches", "examples", "fuzz/checks", "fuzz/fuzz_targets"] {
        let folder = root.join(folder);
        // A packed crate may lack some of them.
        if folder.is_dir() {
            read(&folder, root, &mut sources);
        }
    }
    for source in sources {
        let lines = source.text.lines().count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines", source.path);
    }
}

#[test]
fn violations_are_seen() {
    let lib = "#![deny(unsafe_code)]\npub mod error;\npub mod trace;\npub mod judge;\npub mod align;\n\
               pub mod reward;\npub mod score;\n#[cfg(feature = \"llama\")]\npub mod llama;\npub mod train;\n";
    let check = |path: &str, text: &str| {
        broken(&[Source::new("lib.rs", lib), Source::new("main.rs", "mod cli;"), Source::new(path, text)])
    };
    let long = "\n".repeat(MOST_LINES + 1);
    for (path, text, expected) in [
        (
            "align/mod.rs",
            "use crate::score::Scorer;",
            "align/mod.rs:1: align uses score, which stands below it",
        ),
        ("align/deep/er.rs", "\n\nlet x = crate::score::y();", "align/deep/er.rs:3: align uses score"),
        ("align/mod.rs", "use crate::{judge::{Judge, exact}, score};", "align uses score"),
        ("align/mod.rs", "use crate :: {\n error::Error,\n score::{A, B},\n};", "align uses score"),
        ("trace.rs", "use super::judge::Judge;", "trace.rs:1: trace uses judge"),
        ("align/mod.rs", "let s = \"a \\\" b\"; use crate::score::X;", "align uses score"),
        ("align/mod.rs", "let c = '\"'; use crate::score::X; let d = '\"';", "align uses score"),
        ("align/mod.rs", "let c = '\\''; use crate::score::X;", "align uses score"),
        ("align/mod.rs", "let s = r#\"a \" b\"#; use crate::score::X;", "align uses score"),
        ("align/mod.rs", "#[cfg(test)]\nmod tests { fn f() {} }\nuse crate::score::X;", "align uses score"),
        ("align/mod.rs", "fn f<'a>(x: &'a str) {} use crate::score::X;", "align uses score"),
        ("judge/a.rs", "use std::fs::File;", "judge/a.rs:1: judge uses std::fs"),
        ("reward/a.rs", "use std::{collections::BTreeMap, io};", "reward uses std::io"),
        ("align/a.rs", "fn f() { std::net::TcpStream::connect(x); }", "align uses std::net"),
        ("align/a.rs", "fn f() { println!(); }", "align prints"),
        ("score.rs", "use llama_cpp_2::model::X;", "score.rs:1: llama_cpp_2 outside of src/llama"),
        ("llama/mod.rs", "use candle_core::Tensor;", "candle_core outside of src/train"),
        ("score.rs", "// SAFETY: none.\nfn f() { unsafe { } }", "score.rs:2: unsafe"),
        (UNSAFE[0], "fn f() { unsafe { } }", "no line that says SAFETY above"),
        ("score.rs", "use crate::cli::args;", "src/cli is for main.rs only"),
        ("odd.rs", "", "this module is not in lib.rs"),
        ("score.rs", &long, "more than 800 lines"),
    ] {
        let found = check(path, text);
        assert_eq!(found.len(), 1, "{path}: {text:?}: {found:?}");
        assert!(found[0].contains(expected), "{path}: {text:?}: {found:?}");
    }
    for (path, text) in [
        (
            "align/mod.rs",
            "use crate::judge::{self, Judge}; use crate::error::Result; use crate::align::ordered;",
        ),
        (
            "align/mod.rs",
            "//! See crate::score and std::fs.\n/* /* crate::score */ crate::score */ fn f() {}",
        ),
        ("align/mod.rs", "let s = \"crate::score\"; let r = r#\"use crate::score\"#;"),
        ("align/mod.rs", "#[cfg(test)]\nmod tests {\n use crate::score::X; fn f() { if a { b } }\n}\n"),
        ("align/deep.rs", "use super::score;"),
        ("align/mod.rs", "let ours = crates::score; let a = 'a'; use crate::Error;"),
        ("judge/a.rs", "use std::collections::BTreeMap; std::iter::once(io)"),
        ("llama/mod.rs", "use llama_cpp_2::model::X; use crate::judge::Judge;"),
        ("train/mod.rs", "use candle_core::Tensor; let candles = 3;"),
        ("score.rs", "use std::fs;"),
        ("main.rs", "mod cli; fn main() { cli::main() }"),
    ] {
        let found = check(path, text);
        assert!(found.is_empty(), "{path}: {text:?}: {found:?}");
    }
    let unfenced = broken(&[Source::new("lib.rs", "// #![deny(unsafe_code)]\npub mod cli;\n")]);
    assert_eq!(unfenced.len(), 2, "{unfenced:?}");
}
