//! Runs that are interrupted, and faults of disk and input: what was done is kept, and the same command goes on.

#![cfg(feature = "cli")]

mod command;

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use command::{Dice, Room, gzip, samples};
use serde_json::Value;

/// Records of the run that is killed: enough that a kill falls in the middle.
const RECORDS: usize = 6000;

/// The records that the journal of `name` has noted, if there is one.
fn noted(room: &Room, name: &str) -> u64 {
    let journal = std::fs::read(room.path(&format!("{name}.journal"))).unwrap_or_default();
    let lines = journal.split_inclusive(|b| *b == b'\n').filter(|line| line.ends_with(b"\n")).skip(1);
    let last = lines.last().and_then(|line| serde_json::from_slice::<Value>(line).ok());
    last.and_then(|entry| entry["records"].as_u64()).unwrap_or(0)
}

#[cfg(unix)]
#[test]
fn a_run_that_is_killed_goes_on_to_the_same_bytes() {
    const KILLS: u32 = 20;
    let room = Room::new();
    // Bad records and a duplicate among them: their lines are kept and counted, too.
    let mut input = samples(RECORDS as u64);
    input.insert_str(input.find("{\"id\":\"p700\"").expect("there"), "{\"id\": 3}\nno JSON\n\n");
    input += &samples(1);
    room.write("in.jsonl", &input);
    let whole = room.run("score in.jsonl -o whole.jsonl --detail score").ended(3);
    let expected = room.read("whole.jsonl");
    let args = ["score", "in.jsonl", "-o", "out.jsonl", "--detail", "score", "--threads", "2"];
    let mut dice = Dice::new(8);
    let (mut kills, mut half_done, mut in_this_run, mut most_in_a_run) = (0, 0, 0u32, 0);
    let begun = Instant::now();
    loop {
        let mut child =
            room.command(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("started");
        if kills < KILLS {
            // Killed when so many more bytes are written, and a little later: between any two writes.
            let size = || room.path("out.jsonl.partial").metadata().map_or(0, |facts| facts.len());
            let target = size() + dice.roll(expected.len() as u64 / 5);
            let patience = Instant::now();
            while size() < target && child.try_wait().expect("a child").is_none() {
                assert!(patience.elapsed() < Duration::from_secs(60), "it does not get on");
                std::thread::sleep(Duration::from_micros(300));
            }
            std::thread::sleep(Duration::from_micros(dice.roll(3000)));
            child.kill().expect("killed");
            kills += 1;
        }
        let output = child.wait_with_output().expect("ended");
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.code().is_none() {
            let records = noted(&room, "out.jsonl");
            half_done += u32::from(records > 0 && (records as usize) < RECORDS);
            in_this_run += 1;
            most_in_a_run = most_in_a_run.max(in_this_run);
            continue;
        }
        assert_eq!(output.status.code(), Some(3), "{err}");
        assert!(room.read("out.jsonl") == expected, "after {in_this_run} kills");
        // The summary counts all, not only what came after the last kill.
        assert_eq!(err.replace("out.jsonl", "whole.jsonl"), whole.err, "after {in_this_run} kills");
        assert_eq!(room.names(), ["in.jsonl", "out.jsonl", "whole.jsonl"]);
        if kills >= KILLS {
            break;
        }
        std::fs::remove_file(room.path("out.jsonl")).expect("removed");
        in_this_run = 0;
    }
    println!("{kills} kills, {half_done} in the middle, {most_in_a_run} in one run, {:?}", begun.elapsed());
    assert!(half_done >= 10 && most_in_a_run >= 3, "{half_done} in the middle, {most_in_a_run} in one run");
}

#[cfg(unix)]
#[test]
fn a_full_disk_keeps_what_was_written() {
    let room = Room::new();
    room.write("in.jsonl", samples(1500));
    room.run("score in.jsonl -o whole.jsonl").ended(3);
    for (name, blocks) in [("out.jsonl", 300), ("out.jsonl", 1), ("out.jsonl.gz", 600), ("out.parquet", 900)]
    {
        if name.ends_with(".parquet") && !cfg!(feature = "parquet") {
            continue;
        }
        let args = format!("score in.jsonl -o {name}");
        let ran = room.on_a_full_disk(blocks, &args);
        ran.failed(&[&format!("{name}.partial: cannot write the output"), "run the same command again"]);
        assert!(!room.path(name).exists(), "nothing half-written has the name of the result");
        assert_eq!(noted(&room, name) > 0, blocks > 1, "{name}: what was done is noted");
        room.run(&args).ended(3);
        if name == "out.jsonl" {
            assert!(room.read(name) == room.read("whole.jsonl"), "{name}");
        }
        std::fs::remove_file(room.path(name)).expect("removed");
        assert_eq!(room.names(), ["in.jsonl", "whole.jsonl"], "{name}");
    }
    // Standard output cannot be taken up, and says so as plainly.
    let out = room.on_a_full_disk(300, "score in.jsonl > piped.jsonl");
    out.failed(&["-: cannot write the output"]);
}

#[test]
fn what_changed_since_the_interruption_is_refused() {
    let room = Room::new();
    let input = samples(1500);
    room.write("in.jsonl", &input);
    room.run("score in.jsonl -o whole.jsonl").ended(3);
    let interrupt = || {
        room.on_a_full_disk(600, "score in.jsonl -o out.jsonl").failed(&["File too large"]);
        assert!(noted(&room, "out.jsonl") > 0);
    };
    interrupt();
    let kept = (room.read("out.jsonl.partial"), room.read("out.jsonl.journal"));
    for options in [
        "--detail score",
        "--weights structure=1",
        "--structure prefix",
        "--judge exact",
        "--decomposer rules",
        "--scaling normalize_then_sum",
        "--allow-duplicates",
        "--preset native",
        "--map problem=id",
        "--seed 1",
        "whole.jsonl",
    ] {
        let ran = room.run(&format!("score in.jsonl -o out.jsonl {options}"));
        ran.failed(&["out.jsonl: ", "other settings", "--restart"]);
    }
    room.run("decompose in.jsonl -o out.jsonl").failed(&["other settings"]);
    assert!(kept == (room.read("out.jsonl.partial"), room.read("out.jsonl.journal")), "nothing was lost");

    room.write("in.jsonl", input.replacen("\"p3\"", "\"q3\"", 1));
    room.run("score in.jsonl -o out.jsonl").failed(&["the input has changed", "--restart"]);
    room.write("in.jsonl", &input[..input.find("\"p9\"").expect("there") - 6]);
    room.run("score in.jsonl -o out.jsonl").failed(&["the input has changed", "--restart"]);
    assert!(kept == (room.read("out.jsonl.partial"), room.read("out.jsonl.journal")), "nothing was lost");

    // What is not in the part that was done may change, and so may the number of threads.
    room.write("in.jsonl", &input);
    room.run("score in.jsonl -o out.jsonl --threads 3 -q").ended(3);
    assert!(room.read("out.jsonl") == room.read("whole.jsonl"));

    interrupt();
    room.run("score in.jsonl -o out.jsonl --weights structure=1 --restart").ended(0);
    let expected = room.run("score in.jsonl --weights structure=1").ended(0).out;
    assert!(room.read("out.jsonl") == expected);
    assert_eq!(room.names(), ["in.jsonl", "out.jsonl", "whole.jsonl"]);
}

#[test]
fn a_run_that_did_nothing_stands_in_nobodys_way() {
    let room = Room::new();
    room.write("in.jsonl", samples(3));
    // Wrong options touch nothing.
    for options in
        ["--weights structure=nan", "--weights nothing=1", "--preset nothing", "--judge-model gone"]
    {
        room.run(&format!("score in.jsonl -o out.jsonl {options}")).ended(1);
        assert_eq!(room.names(), ["in.jsonl"], "{options}");
    }
    // A run that was stopped before its first result can be run with other options.
    room.on_a_full_disk(0, "score in.jsonl -o out.jsonl").failed(&["out.jsonl"]);
    room.on_a_full_disk(1, "score in.jsonl -o out.jsonl").failed(&["out.jsonl"]);
    room.run("score in.jsonl -o out.jsonl --detail score").ended(3);
    assert_eq!(room.names(), ["in.jsonl", "out.jsonl"]);
}

#[cfg(unix)]
#[test]
fn an_input_that_vanishes_is_an_error_with_its_name() {
    let room = Room::new();
    let (first, second) = (samples(600), samples(900).split_off(samples(600).len()));
    room.write("a.jsonl", &first);
    room.write("b.jsonl", &second);
    room.run("score a.jsonl b.jsonl -o whole.jsonl").ended(3);
    let args = "score a.jsonl b.jsonl -o out.jsonl";
    // The first input is a pipe, so that the second can be taken away while the first is read.
    std::fs::remove_file(room.path("a.jsonl")).expect("removed");
    assert!(Command::new("mkfifo").arg(room.path("a.jsonl")).status().expect("mkfifo").success());
    let child = room
        .command(&args.split(' ').collect::<Vec<_>>())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut pipe = std::fs::File::options().write(true).open(room.path("a.jsonl")).expect("a pipe");
    pipe.write_all(first.as_bytes()).expect("read at the other end");
    std::fs::remove_file(room.path("b.jsonl")).expect("removed");
    drop(pipe);
    let output = child.wait_with_output().expect("ended");
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("b.jsonl: cannot open the input: No such file"), "{err}");
    assert_eq!(noted(&room, "out.jsonl"), 600, "the results of the first file are kept");
    // It is back, and the same command goes on.
    std::fs::remove_file(room.path("a.jsonl")).expect("removed");
    room.write("a.jsonl", &first);
    room.run(args).failed(&["b.jsonl"]);
    assert_eq!(noted(&room, "out.jsonl"), 600);
    room.write("b.jsonl", &second);
    room.run(args).ended(3);
    assert!(room.read("out.jsonl") == room.read("whole.jsonl"));
}

#[test]
fn a_cut_off_gzip_file_gives_what_stands_before() {
    let room = Room::new();
    let packed = gzip(samples(400).as_bytes());
    room.write("in.jsonl.gz", &packed[..packed.len() / 2]);
    room.write("more.jsonl", samples(401).lines().last().expect("a line"));
    let ran = room.run("score in.jsonl.gz more.jsonl -o out.jsonl").ended(3);
    assert!(ran.err.contains("in.jsonl.gz:") && ran.err.contains("the file was cut off"), "{}", ran.err);
    let records = command::records(&room.read("out.jsonl"));
    let (bad, good): (Vec<_>, Vec<_>) = records.iter().partition(|record| record.get("error").is_some());
    assert_eq!(bad.len(), 1, "{bad:?}");
    assert_eq!(bad[0]["file"], "in.jsonl.gz");
    let read = good.iter().filter(|record| record["student"] == 0).count() as u64;
    assert!(read > 100 && read < 400, "{read}");
    assert_eq!(bad[0]["line"].as_u64(), Some(read), "the line that broke off comes after those before");
    assert_eq!(good.last().expect("some")["id"], "p400", "and the next file is read");
}

#[cfg(unix)]
#[test]
fn an_output_that_cannot_be_made_is_an_error_with_its_name() {
    use std::os::unix::fs::PermissionsExt;
    let room = Room::new();
    room.write("in.jsonl", samples(3));
    for command in ["score", "decompose"] {
        room.run(&format!("{command} in.jsonl -o gone/out.jsonl"))
            .failed(&["gone/out.jsonl", "No such file"]);
        room.run(&format!("{command} in.jsonl -o .")).failed(&["this is a folder"]);
    }
    assert_eq!(room.names(), ["in.jsonl"]);
    std::fs::create_dir(room.path("closed")).expect("made");
    std::fs::copy(command::PROGRAM, room.path("program")).expect("copied");
    let open = |name: &str, mode| {
        std::fs::set_permissions(room.path(name), PermissionsExt::from_mode(mode)).expect("set");
    };
    open("closed", 0o555);
    open("program", 0o755);
    open("", 0o755);
    // Root may write anywhere, so the program is run as somebody else.
    let ran = room.bash(
        "drop=(); if [ \"$(id -u)\" = 0 ]; then drop=(setpriv --reuid 65534 --clear-groups); fi; \
         exec \"${drop[@]}\" ./program score in.jsonl -o closed/out.jsonl",
    );
    ran.failed(&["closed/out.jsonl", "Permission denied"]);
    open("closed", 0o755);
    assert!(std::fs::read_dir(room.path("closed")).expect("a folder").next().is_none());
}

#[test]
fn two_runs_do_not_write_the_same_output() {
    let room = Room::new();
    room.write("in.jsonl", samples(2));
    let mut first = room
        .command(&["score", "-", "-o", "out.jsonl", "--quiet"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut pipe = first.stdin.take().expect("a pipe");
    pipe.write_all(samples(100).as_bytes()).expect("read");
    pipe.flush().expect("read");
    let begun = Instant::now();
    while !room.path("out.jsonl.journal").exists() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it does not begin");
        std::thread::sleep(Duration::from_millis(2));
    }
    std::thread::sleep(Duration::from_millis(20));
    room.run("score in.jsonl -o out.jsonl").failed(&["out.jsonl"]);
    room.run("score in.jsonl -o out.jsonl --restart").failed(&["out.jsonl"]);
    drop(pipe);
    assert_eq!(first.wait_with_output().expect("ended").status.code(), Some(3));
    room.write("all.jsonl", samples(100));
    assert!(room.read("out.jsonl") == room.run("score all.jsonl").out);
}
