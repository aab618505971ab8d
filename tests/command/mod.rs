//! The program, run as a person runs it, and samples to run it on.

// Each test file uses a part of this.
#![allow(dead_code)]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// What a run came to.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; `None` if it was killed.
    pub code: Option<i32>,
    /// Standard output.
    pub out: Vec<u8>,
    /// Standard error.
    pub err: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        let err = String::from_utf8(output.stderr).expect("messages are UTF-8");
        assert!(!err.contains("panicked"), "{err}");
        Ran { code: output.status.code(), out: output.stdout, err }
    }

    /// Standard output as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.out).expect("UTF-8")
    }

    /// Standard output as JSON lines.
    pub fn records(&self) -> Vec<Value> {
        records(&self.out)
    }

    /// The same, if it ended with `code`.
    #[track_caller]
    pub fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.err);
        self
    }

    /// The same, if it failed and the message has all of `parts`.
    #[track_caller]
    pub fn failed(self, parts: &[&str]) -> Self {
        let ran = self.ended(1);
        for part in parts {
            assert!(ran.err.contains(part), "{part:?} is missing: {}", ran.err);
        }
        assert!(ran.err.starts_with("error: "), "{}", ran.err);
        ran
    }
}

/// The JSON lines in `bytes`.
#[track_caller]
pub fn records(bytes: &[u8]) -> Vec<Value> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).expect("a JSON line")).collect()
}

/// The path of the program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_rlkd");

/// A folder of its own for a test.
pub struct Room(TempDir);

impl Room {
    pub fn new() -> Self {
        Room(tempfile::tempdir().expect("a folder"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), bytes).expect("written");
        self.path(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The names of all files, in order.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder()).expect("a folder");
        let mut names: Vec<String> =
            entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The program with these arguments, started in this folder; it keeps its own models there, too.
    pub fn command(&self, args: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(args).current_dir(self.folder()).env("RLKD_MODELS", self.path("models"));
        command.env_remove("RUST_BACKTRACE").stdin(Stdio::null());
        command
    }

    /// Runs it to its end; the arguments stand in one text, split at spaces.
    pub fn run(&self, args: &str) -> Ran {
        let args: Vec<&str> = args.split_whitespace().collect();
        Ran::of(self.command(&args).output().expect("started"))
    }

    /// Runs it with arguments that may hold spaces.
    pub fn call(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ran {
        let args: Vec<_> = args.into_iter().collect();
        Ran::of(self.command(&args).output().expect("started"))
    }

    /// Runs `rlkd ARGS` in bash after `before`, such as a limit; `$RLKD` is the program.
    pub fn bash(&self, script: &str) -> Ran {
        let mut command = Command::new("bash");
        command.args(["-c", script]).current_dir(self.folder()).env("RLKD", PROGRAM).stdin(Stdio::null());
        Ran::of(command.output().expect("bash"))
    }

    /// Runs it with files of at most `blocks` KiB, as on a disk that is full.
    pub fn on_a_full_disk(&self, blocks: u32, args: &str) -> Ran {
        self.bash(&format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$RLKD\" {args}"))
    }
}

/// Small random numbers, the same each time.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

const THINGS: [&str; 6] = ["eggs", "rolls", "bolts", "tiles", "stamps", "plums"];
const PLACES: [&str; 5] = ["tray", "box", "shelf", "crate", "sheet"];

/// A word problem with one or two teachers and one to three students: right, wrong, short or odd. Every eleventh
/// has no gold answer, every seventh tagged traces.
pub fn sample(number: u64) -> Value {
    let mut dice = Dice::new(number + 1);
    let (boxes, each) = (dice.roll(30) + 3, dice.roll(40) + 4);
    let total = boxes * each;
    let gone = dice.roll(total / 2) + 1;
    let left = total - gone;
    let thing = THINGS[dice.roll(6) as usize];
    let place = PLACES[dice.roll(5) as usize];
    let raw = |opening: &str, gone: u64| {
        let left = total - gone;
        format!(
            "<think>\n{opening} {boxes} * {each} = {total} {thing} in all.\n\nThen {gone} of the {thing} go away, \
             and {total} - {gone} = {left} {thing} are left.\n</think>\n<answer>\n\\boxed{{{left}}}\n</answer>"
        )
    };
    let tagged = |gone: u64| {
        json!([
            {"meta_reasoning": "First the total.", "sub_problem": format!("How many {thing} are there in all?"),
             "answer": format!("{boxes} * {each} = {total}")},
            {"sub_problem": format!("How many {thing} are left?"),
             "answer": format!("{total} - {gone} = {}", total - gone)},
        ])
    };
    let mut teachers = vec![Value::from(raw(&format!("Each {place} holds {each}, so there are"), gone))];
    if number.is_multiple_of(7) {
        teachers.insert(0, tagged(gone));
    }
    let mut students = vec![Value::from(raw("So", gone))];
    for _ in 0..dice.roll(3) {
        students.push(match dice.roll(5) {
            0 => raw("Let me see.", gone + 1).into(),
            1 => format!("It must be {left}.").into(),
            2 => "".into(),
            3 => tagged(gone),
            _ => format!("Wait. {gone} - {gone} = 0 \u{1f95a}, hm.\n\nThere are {total} {thing}.").into(),
        });
    }
    let problem = format!(
        "There are {boxes} of the kind {place} with {each} {thing} each, and {gone} {thing} go away. How many are left?"
    );
    let mut record = json!({"id": format!("p{number}"), "domain": "math", "problem": problem,
        "teacher": teachers, "students": students});
    if !number.is_multiple_of(11) {
        record["answer"] = left.to_string().into();
    }
    record
}

/// The first `count` samples, a line each.
pub fn samples(count: u64) -> String {
    (0..count).map(|number| format!("{}\n", sample(number))).collect()
}

/// `problems.jsonl` of the examples.
pub fn examples() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/problems.jsonl");
    std::fs::read_to_string(path).expect("the examples")
}

/// A file packed with gzip.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}
