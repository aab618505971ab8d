//! The store of step lists: shared by processes, killed, damaged.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rlkd::Result;
use rlkd::decompose::recorded::{Recorded, Store};
use rlkd::decompose::{Decomposer, Job};
use rlkd::error::{Error, ErrorKind};
use rlkd::trace::{Domain, End, Span, Step, StepKind, StepList, Trace};

/// A step a line; what it was asked is counted.
struct Lines {
    asked: Arc<AtomicUsize>,
}

impl Decomposer for Lines {
    fn id(&self) -> String {
        "lines-1".to_string()
    }

    fn decompose(&mut self, jobs: &[Job<'_>]) -> Vec<Result<StepList>> {
        self.asked.fetch_add(jobs.len(), Ordering::Relaxed);
        jobs.iter()
            .map(|job| match job.trace.text.as_str() {
                "bad" => Err(Error::engine("this trace is bad")),
                text => Ok(steps_of(text)),
            })
            .collect()
    }
}

fn steps_of(text: &str) -> StepList {
    let mut at = 0;
    let steps = text
        .split_inclusive('\n')
        .map(|line| {
            let span = Span::new(at, at + line.len()).trim(text);
            at += line.len();
            Step {
                meta: Span::empty_at(span.start as usize),
                sub_problem: Span::empty_at(span.start as usize),
                answer: span,
                kind: StepKind::Verify,
            }
        })
        .collect();
    StepList { text: text.to_string(), steps, end: End::Truncated }
}

fn job(trace: &Trace) -> Job<'_> {
    Job { problem: "p", domain: Domain::Math, trace }
}

fn trace(writer: usize, number: usize) -> Trace {
    Trace::new(format!("first of {writer}\nline {number} \u{e4}\n"))
}

fn put(store: &Store, fingerprint: &str, trace: &Trace) -> Result<()> {
    store.put(fingerprint, [(job(trace), &steps_of(&trace.text))])
}

fn child(test: &str, store: &Path, writer: usize) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture"])
        .env("RLKD_TEST_STORE", store)
        .env("RLKD_TEST_WRITER", writer.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started")
}

fn as_child() -> Option<(PathBuf, usize)> {
    let store = std::env::var_os("RLKD_TEST_STORE")?;
    let writer = std::env::var("RLKD_TEST_WRITER").ok()?.parse().ok()?;
    Some((store.into(), writer))
}

#[test]
fn only_what_is_missing_is_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("steps.redb");
    let asked = Arc::new(AtomicUsize::new(0));
    let store = Store::open(&path).expect("opened");
    let traces: Vec<Trace> = ["a\nb", "bad", "c", "a\nb", ""].map(Trace::new).into();
    let jobs: Vec<Job<'_>> = traces.iter().map(job).collect();
    let mut recorded = Recorded::new(store.clone(), Lines { asked: asked.clone() });
    for (round, expected) in [(1, 4), (2, 5)] {
        let lists = recorded.decompose(&jobs);
        for (trace, list) in traces.iter().zip(&lists) {
            match list {
                Ok(list) => assert_eq!(*list, steps_of(&trace.text)),
                Err(error) => {
                    assert_eq!((trace.text.as_str(), error.message()), ("bad", "this trace is bad"))
                }
            }
        }
        // The one that failed is asked again, the others are not; one that stands twice is asked once.
        assert_eq!(asked.load(Ordering::Relaxed), expected, "round {round}");
    }
    assert_eq!((store.hits(), store.misses(), store.len().expect("read")), (4, 6, 3));
    // Another problem, domain or decomposer is another entry.
    let other = Job { problem: "q", ..jobs[0] };
    let science = Job { domain: Domain::Science, ..jobs[0] };
    assert_eq!(store.get("lines-1", &[other, science]).expect("read"), [None, None]);
    assert_eq!(store.get("lines-2", &jobs[..1]).expect("read"), [None]);
    // A new store on the file knows it all.
    let again = Store::open(&path).expect("opened");
    assert_eq!(again.get("lines-1", &jobs[..1]).expect("read"), [Some(steps_of("a\nb"))]);
}

#[test]
fn threads_share_a_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().join("steps.redb")).expect("opened");
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let store = store.clone();
            scope.spawn(move || {
                for number in 0..10 {
                    put(&store, "f", &trace(writer, number)).expect("stored");
                    let mine = trace(writer, number);
                    assert_eq!(store.get("f", &[job(&mine)]).expect("read"), [Some(steps_of(&mine.text))]);
                }
            });
        }
    });
    assert_eq!(store.len().expect("read"), 40);
}

const WRITES: usize = 25;

#[test]
fn two_processes_write_at_once() {
    if let Some((path, writer)) = as_child() {
        let store = Store::open(path).expect("opened");
        for number in 0..WRITES {
            put(&store, "f", &trace(writer, number)).expect("stored");
            let other = trace(1 - writer, number);
            if let Some(list) = &store.get("f", &[job(&other)]).expect("read")[0] {
                assert_eq!(*list, steps_of(&other.text));
            }
        }
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("steps.redb");
    let children = [0, 1].map(|writer| child("two_processes_write_at_once", &path, writer));
    for mut child in children {
        assert!(child.wait().expect("ended").success());
    }
    let store = Store::open(&path).expect("opened");
    assert_eq!(store.len().expect("read"), 2 * WRITES as u64);
    for writer in 0..2 {
        for number in 0..WRITES {
            let trace = trace(writer, number);
            assert_eq!(store.get("f", &[job(&trace)]).expect("read"), [Some(steps_of(&trace.text))]);
        }
    }
}

/// A child stores entry after entry and notes each in a file once it is committed.
#[test]
fn a_killed_writer_loses_nothing_that_was_committed() {
    if let Some((path, writer)) = as_child() {
        use std::io::Write;
        let store = Store::open(&path).expect("opened");
        let mut note = std::fs::File::options()
            .append(true)
            .create(true)
            .open(path.with_extension("done"))
            .expect("opened");
        for number in 0.. {
            put(&store, "f", &trace(writer, number)).expect("stored");
            note.write_all(format!("{writer} {number}\n").as_bytes()).expect("noted");
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("steps.redb");
    let mut random = rlkd::seed::Seed(20).stream("kill", 0);
    let mut committed = 0;
    for round in 0..20 {
        let mut child = child("a_killed_writer_loses_nothing_that_was_committed", &path, round);
        std::thread::sleep(Duration::from_millis(40 + random.below(160)));
        child.kill().expect("killed");
        child.wait().expect("ended");
        let store = Store::open(&path).unwrap_or_else(|e| panic!("round {round}: {e}"));
        let notes = std::fs::read_to_string(path.with_extension("done")).unwrap_or_default();
        committed = 0;
        for line in notes.lines() {
            let (writer, number) = line.split_once(' ').expect("two numbers");
            let trace = trace(writer.parse().expect("a number"), number.parse().expect("a number"));
            let found = store.get("f", &[job(&trace)]).expect("read");
            assert_eq!(found, [Some(steps_of(&trace.text))], "round {round}: {line}");
            committed += 1;
        }
        // A commit may have been noted by nobody, but there is at most one such a round.
        let count = store.len().expect("read");
        assert!(
            count >= committed && count <= committed + round as u64 + 1,
            "round {round}: {count}, {committed}"
        );
    }
    println!("{committed} entries committed in 20 rounds");
    assert!(committed > 20);
}

#[test]
fn a_store_that_stays_taken_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("steps.redb");
    let taken = redb::Database::create(&path).expect("made");
    let error = Store::with_patience(&path, Duration::from_millis(50)).expect_err("taken");
    assert_eq!(error.kind(), ErrorKind::Store);
    assert!(
        error.to_string().contains("another process has held the store for more than 0.1 s")
            || error.to_string().contains("0.0 s"),
        "{error}"
    );
    // Who waits long enough gets it.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| Store::with_patience(&path, Duration::from_secs(20)));
        std::thread::sleep(Duration::from_millis(100));
        drop(taken);
        waiting.join().expect("no panic").expect("opened");
    });
}

#[test]
fn a_damaged_store_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("steps.redb");
    let store = Store::open(&path).expect("opened");
    let traces: Vec<Trace> = (0..50).map(|number| trace(0, number)).collect();
    let lists: Vec<StepList> = traces.iter().map(|t| steps_of(&t.text)).collect();
    store.put("f", traces.iter().map(job).zip(&lists)).expect("stored");
    let whole = std::fs::read(&path).expect("read");
    let jobs: Vec<Job<'_>> = traces.iter().map(job).collect();
    let mut errors = 0;
    let mut probe = |bytes: &[u8], what: &str| {
        std::fs::write(&path, bytes).expect("written");
        let done = Store::with_patience(&path, Duration::from_millis(100))
            .and_then(|store| store.get("f", &jobs).map(drop).and_then(|()| put(&store, "f", &trace(1, 1))));
        if let Err(error) = done {
            assert_eq!(error.kind(), ErrorKind::Store, "{what}");
            assert!(error.to_string().contains("steps.redb"), "{what}: {error}");
            errors += 1;
        }
    };
    for length in [1, 8, 63, 64, 320, 4096, whole.len() / 2] {
        probe(&whole[..length], "cut");
    }
    probe(&b"this is some other file\n".repeat(400), "another file");
    let used = whole.iter().rposition(|b| *b != 0).unwrap_or(0);
    for at in (0..used).step_by(used / 60 + 1) {
        let mut bytes = whole.clone();
        for byte in &mut bytes[at..(at + 16).min(used)] {
            *byte ^= 0xa5;
        }
        probe(&bytes, "changed");
    }
    println!("{errors} errors");
    assert!(errors >= 8);
    let error = Store::open(folder.path().join("no/steps.redb")).and_then(|s| put(&s, "f", &trace(0, 0)));
    assert!(error.expect_err("no folder").to_string().contains("the folder of the store does not exist"));
}
