//! Writing: whole or not at all, and going on after every kind of interruption.

use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use rlkd::Result;
use rlkd::dataset::{Progress, Sink, Source, read_records};
use serde_json::{Value, json};

const CHUNK: usize = 7;

/// A run: for each record of the input a line or two, in chunks. Stops after `chunks` chunks as if
/// it was killed, without finishing.
fn run(input: &str, out: &Path, fingerprint: &str, restart: bool, chunks: usize) -> Result<bool> {
    let mut source = Source::from_reader("in", Cursor::new(input.as_bytes().to_vec()));
    let (mut sink, progress) = Sink::open(out, fingerprint, restart)?;
    let mut total = 0;
    if let Some(progress) = progress {
        source.pass_over(progress.records, progress.input, |_| {})?;
        total = progress.counters["total"].as_u64().expect("a counter");
    }
    for _ in 0..chunks {
        let Some(chunk) = source.next_chunk(CHUNK, usize::MAX)? else {
            sink.finish()?;
            return Ok(true);
        };
        for record in &chunk.records {
            total += 1;
            for student in 0..=record.place.line % 2 {
                sink.write(&scored(record.place.line, student, total))?;
            }
        }
        sink.commit(&Progress {
            records: chunk.end(),
            input: chunk.hash,
            counters: json!({"total": total}),
        })?;
    }
    Ok(false)
}

fn scored(line: u64, student: u64, total: u64) -> Value {
    let mut record = json!({"id": format!("r{line}"), "student": student, "reward": 0.5 + line as f64,
        "parts": {"accuracy": {"value": null, "weight": 15.0, "skipped": "no gold"}, "structure": {"value": 0.25, "weight": 10.0}},
        "structure": {"total": total}, "problem": "p\u{e4}"});
    if line.is_multiple_of(5) {
        record["reward"] = Value::Null;
        record["error"] = json!("in:5: wrong");
    }
    record
}

fn input(count: usize) -> String {
    (0..count).map(|n| format!("{{\"n\": {n}}}\n")).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn whole(input: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.jsonl");
    assert!(run(input, &out, "f", false, usize::MAX).expect("a run"));
    std::fs::read(out).expect("read")
}

#[test]
fn a_run_taken_up_at_any_border_equals_a_whole_one() {
    let input = input(60);
    let expected = whole(&input);
    assert_eq!(expected.iter().filter(|b| **b == b'\n').count(), 90);
    for chunks in 0..=60 / CHUNK + 1 {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("out.jsonl");
        assert!(!run(&input, &out, "f", false, chunks).expect("a run"), "{chunks}");
        assert!(!out.exists());
        assert_eq!(names(folder.path()), ["out.jsonl.journal", "out.jsonl.partial"]);
        assert!(run(&input, &out, "f", false, usize::MAX).expect("a run"));
        assert_eq!(std::fs::read(&out).expect("read"), expected, "after {chunks} chunks");
        assert_eq!(names(folder.path()), ["out.jsonl"]);
    }
}

#[test]
fn torn_files_are_taken_up_at_the_last_line_that_holds() {
    let input = input(60);
    let expected = whole(&input);
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.jsonl");
    let (partial, journal) =
        (folder.path().join("out.jsonl.partial"), folder.path().join("out.jsonl.journal"));
    run(&input, &out, "f", false, 4).expect("a run");
    let (lines, notes) = (std::fs::read(&partial).expect("read"), std::fs::read(&journal).expect("read"));
    let probe = |lines: &[u8], notes: &[u8], what: &str| {
        std::fs::write(&partial, lines).expect("written");
        std::fs::write(&journal, notes).expect("written");
        assert!(run(&input, &out, "f", false, usize::MAX).expect(what), "{what}");
        assert!(std::fs::read(&out).expect("read") == expected, "{what}");
    };
    for cut in 0..=notes.len() {
        probe(&lines, &notes[..cut], &format!("journal cut at {cut}"));
    }
    for cut in (0..=lines.len()).step_by(41) {
        probe(&lines[..cut], &notes, &format!("partial cut at {cut}"));
    }
    let mut changed = lines.clone();
    changed[lines.len() / 2] ^= 1;
    probe(&changed, &notes, "partial changed");
    probe(&[&lines[..], b"{\"id\": \"half a li"].concat(), &notes, "partial with a torn line");
    probe(&lines, &[&notes[..], b"{\"records\": 9, "].concat(), "journal with a torn line");
    probe(&lines, b"\x00\x00\x00\n", "journal of zeros");
}

#[test]
fn other_settings_and_other_input_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.jsonl");
    std::fs::write(&out, "the earlier result\n").expect("written");
    run(&input(60), &out, "f", false, 3).expect("a run");
    let error = run(&input(60), &out, "g", false, 99).expect_err("other settings").to_string();
    assert!(error.contains("other settings") && error.contains("--restart"), "{error}");
    let error =
        run(&input(60).replace("7}", "8}"), &out, "f", false, 99).expect_err("other input").to_string();
    assert!(error.contains("the input has changed") && error.contains("--restart"), "{error}");
    let error = run(&input(5), &out, "f", false, 99).expect_err("other input").to_string();
    assert!(error.contains("21 records were read then, and now there are 5"), "{error}");
    assert_eq!(std::fs::read_to_string(&out).expect("read"), "the earlier result\n");
    // The run is still there to be finished, or thrown away.
    assert!(run(&input(5), &out, "g", true, 99).expect("a new run"));
    assert_eq!(std::fs::read(&out).expect("read"), whole(&input(5)));
}

#[test]
fn two_runs_do_not_write_one_output() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.jsonl");
    let (first, _) = Sink::open(&out, "f", false).expect("opened");
    let error = Sink::open(&out, "f", false).expect_err("taken").to_string();
    assert!(error.contains("another process is writing this output"), "{error}");
    drop(first);
    Sink::open(&out, "f", false).expect("free again");
}

#[test]
fn outputs_that_cannot_be_made_are_errors_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let error =
        Sink::open(&folder.path().join("no/out.jsonl"), "f", false).expect_err("no folder").to_string();
    assert!(
        error.contains("out.jsonl: cannot create the output: the folder") && error.contains("does not exist"),
        "{error}"
    );
    let error = Sink::open(folder.path(), "f", false).expect_err("a folder").to_string();
    assert!(error.contains("this is a folder"), "{error}");
    #[cfg(target_os = "linux")]
    {
        // Read-only for everyone, root included.
        let error =
            Sink::open(Path::new("/proc/self/out.jsonl"), "f", false).expect_err("read-only").to_string();
        assert!(error.starts_with("/proc/self/out.jsonl: cannot create"), "{error}");
    }
}

/// Root may write anywhere, so this child gives up its rights first.
#[cfg(unix)]
#[test]
fn a_read_only_folder_is_an_error() {
    use std::os::unix::fs::PermissionsExt;
    const CHILD: &str = "RLKD_TEST_READ_ONLY";
    if let Some(out) = std::env::var_os(CHILD) {
        let error = Sink::open(Path::new(&out), "f", false).expect_err("read-only").to_string();
        println!("{error}");
        assert!(error.contains("cannot create files beside the output: Permission denied"), "{error}");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let open = |mode| std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(mode)).expect("set");
    open(0o555);
    let script =
        "if [ $(id -u) = 0 ]; then exec setpriv --reuid 65534 --clear-groups \"$@\"; else exec \"$@\"; fi";
    // A copy that anyone may run: the program's own folder may be closed to others.
    let room =
        tempfile::Builder::new().permissions(PermissionsExt::from_mode(0o755)).tempdir().expect("a folder");
    let program = room.path().join("child");
    std::fs::copy(std::env::current_exe().expect("this program"), &program).expect("copied");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("set");
    let child = Command::new("bash")
        .args(["-c", script, "child"])
        .arg(program)
        .args(["--exact", "a_read_only_folder_is_an_error", "--nocapture"])
        .env(CHILD, folder.path().join("out.jsonl"))
        .current_dir("/")
        .output()
        .expect("run");
    open(0o755);
    assert!(
        child.status.success(),
        "{}{}",
        String::from_utf8_lossy(&child.stdout),
        String::from_utf8_lossy(&child.stderr)
    );
}

/// A child may write files of a few KiB only, as on a disk that is full.
#[cfg(unix)]
#[test]
fn a_full_disk_keeps_what_was_written() {
    const CHILD: &str = "RLKD_TEST_FULL";
    let records = 2000;
    if let Some(out) = std::env::var_os(CHILD) {
        let error =
            run(&input(records), Path::new(&out), "f", false, usize::MAX).expect_err("full").to_string();
        println!("error: {error}");
        std::process::exit(17);
    }
    let expected = whole(&input(records));
    for (name, blocks) in [("out.jsonl", 40), ("out.jsonl", 1), ("out.jsonl.zst", 450), ("out.jsonl.gz", 8)] {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join(name);
        let child = Command::new("bash")
            .args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"")])
            .arg(std::env::current_exe().expect("this program"))
            .args(["--exact", "a_full_disk_keeps_what_was_written", "--nocapture"])
            .env(CHILD, &out)
            .output()
            .expect("run");
        let said = String::from_utf8_lossy(&child.stdout).into_owned();
        assert_eq!(
            child.status.code(),
            Some(17),
            "{name} {blocks}: {said}{}",
            String::from_utf8_lossy(&child.stderr)
        );
        assert!(said.contains(&format!("{name}.partial: cannot write the output: File too large")), "{said}");
        assert!(said.contains("run the same command again"), "{said}");
        assert!(!out.exists());
        assert!(run(&input(records), &out, "f", false, usize::MAX).expect("room again"));
        let read: Vec<u8> = read_records::<Value>(&out)
            .expect("opened")
            .flat_map(|record| format!("{}\n", record.expect("a record")).into_bytes())
            .collect();
        assert!(read == expected, "{name} {blocks}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_is_an_error() {
    let (mut sink, progress) = Sink::open(Path::new("/dev/full"), "f", false).expect("a device");
    assert!(progress.is_none());
    sink.write(&json!({"id": 1})).expect("in memory");
    let error = sink.commit(&Progress::default()).expect_err("full").to_string();
    assert!(error.starts_with("/dev/full: cannot write the output: No space left"), "{error}");
    assert!(!Path::new("/dev/full.journal").exists());
}

#[test]
fn a_closed_pipe_ends_quietly() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut sink = Sink::stream("-", Closed);
    sink.write(&json!({"id": 1})).expect("in memory");
    assert!(!sink.closed());
    sink.commit(&Progress::default()).expect("quiet");
    assert!(sink.closed());
    sink.finish().expect("quiet");
}

#[test]
fn packed_outputs_hold_the_same_lines() {
    let input = input(500);
    let expected = whole(&input);
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["out.jsonl.gz", "out.jsonl.zst", "out", "OUT.GZ"] {
        let out = folder.path().join(name);
        run(&input, &out, "f", false, 3).expect("a run");
        assert!(run(&input, &out, "f", false, usize::MAX).expect("a run"));
        let read: Vec<Value> = read_records(&out).expect("opened").collect::<Result<_>>().expect("records");
        let lines: String = read.iter().map(|record| format!("{record}\n")).collect();
        assert!(lines.as_bytes() == expected, "{name}");
        if name != "out" {
            assert!(std::fs::metadata(&out).expect("there").len() < expected.len() as u64 / 2, "{name}");
        }
    }
    // What other programs say of the zstd file.
    let zstd = Command::new("zstd").args(["-dc"]).arg(folder.path().join("out.jsonl.zst")).output();
    match zstd {
        Ok(zstd) => assert!(zstd.stdout == expected),
        Err(_) => println!("skipped: there is no zstd program here"),
    }
    assert_eq!(names(folder.path()), ["OUT.GZ", "out", "out.jsonl.gz", "out.jsonl.zst"]);
    let error = read_records::<Vec<u8>>(&folder.path().join("out")).expect("opened").next().expect("a line");
    assert!(
        error
            .expect_err("another type")
            .to_string()
            .contains("out:1: this is not the record that was expected")
    );
}

#[cfg(unix)]
#[test]
fn a_link_is_followed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (there, link): (PathBuf, PathBuf) =
        (folder.path().join("there.jsonl"), folder.path().join("link.jsonl"));
    std::fs::write(&there, "old\n").expect("written");
    std::os::unix::fs::symlink(&there, &link).expect("linked");
    assert!(run(&input(9), &link, "f", false, usize::MAX).expect("a run"));
    assert!(std::fs::symlink_metadata(&link).expect("there").is_symlink());
    assert_eq!(std::fs::read(&there).expect("read"), whole(&input(9)));
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_holds_the_same_records() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.parquet");
    let input = input(500);
    run(&input, &out, "f", false, 3).expect("a run");
    assert!(run(&input, &out, "f", false, usize::MAX).expect("a run"));
    let rows: Vec<Value> = read_records(&out).expect("opened").collect::<Result<_>>().expect("rows");
    let lines = whole(&input);
    let records: Vec<Value> = lines
        .split(|b| *b == b'\n')
        .filter(|l| !l.is_empty())
        .map(|l| serde_json::from_slice(l).expect("JSON"))
        .collect();
    assert_eq!(rows.len(), records.len());
    let json =
        |value: &Value| -> Value { serde_json::from_str(value.as_str().expect("text")).expect("JSON") };
    for (row, record) in rows.iter().zip(&records) {
        let keys: Vec<&str> = row.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "id",
                "student",
                "reward",
                "part_accuracy",
                "part_structure",
                "error",
                "structure",
                "parts",
                "other"
            ]
        );
        assert_eq!(
            (&row["id"], &row["student"], &row["reward"]),
            (&record["id"], &record["student"], &record["reward"])
        );
        assert_eq!((&row["part_accuracy"], &row["part_structure"]), (&Value::Null, &json!(0.25)));
        assert_eq!(&row["error"], record.get("error").unwrap_or(&Value::Null));
        assert_eq!(json(&row["structure"]), record["structure"]);
        assert_eq!(json(&row["parts"]), record["parts"]);
        assert_eq!(json(&row["other"]), json!({"problem": "p\u{e4}"}));
    }
}
