//! Reading, with every kind of broken input.

use std::io::{self, Cursor, Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use rlkd::dataset::{Body, Mapping, SeenIds, Source, parse, parse_json, to_native};
use rlkd::trace::{Domain, Sample};
use rlkd::{Error, Result};

type Item = (u64, Result<Sample>);

fn read_all(source: Source) -> Vec<Item> {
    let mapping = Mapping::default();
    source
        .map(|record| {
            let record = record.expect("the operating system reads");
            (record.place.line, parse(&record, &mapping))
        })
        .collect()
}

fn from_bytes(bytes: &[u8]) -> Vec<Item> {
    read_all(Source::from_reader("in.jsonl", Cursor::new(bytes.to_vec())))
}

fn record(number: usize) -> String {
    format!("{{\"id\": \"r{number}\", \"problem\": \"p\", \"students\": [\"trace {number} \u{e4}\"]}}\n")
}

fn records(count: usize) -> String {
    (0..count).map(record).collect()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn zst(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

fn ids(items: &[Item]) -> Vec<&str> {
    items.iter().filter_map(|(_, sample)| Some(sample.as_ref().ok()?.id.as_str())).collect()
}

fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("RLKD_DATA")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"));
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: there is no folder {}", folder.display());
    None
}

#[test]
fn native_records_are_read() {
    let text = "\u{feff}{\"id\": 7, \"problem\": \"2+2?\", \"domain\": \"Mathematics\", \"answer\": 4.00, \
                \"teacher\": {\"text\": \"t\", \"origin\": \"o\"}, \"student\": \"s\"}\r\n\n   \n\
                {\"students\": [\"a\", [{\"q\": \"x\", \"a\": 1}]]}";
    let items = from_bytes(text.as_bytes());
    assert_eq!(items.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 4]);
    let first = items[0].1.as_ref().expect("a record");
    assert_eq!((first.id.as_str(), first.problem.as_str(), first.domain), ("7", "2+2?", Domain::Math));
    assert_eq!(first.answer.as_deref(), Some("4.00"));
    assert_eq!(first.teachers[0].origin.as_deref(), Some("o"));
    let second = items[1].1.as_ref().expect("a record");
    assert_eq!((second.id.as_str(), second.problem.as_str(), second.answer.as_deref()), ("in:4", "", None));
    assert_eq!(second.students[1].text, "[Sub-problem 1]: x\n[Answer 1]: 1\n\n");
    assert!(second.teachers.is_empty());
    for (_, sample) in &items {
        let sample = sample.as_ref().expect("a record");
        let again = from_bytes(to_native(sample).to_string().as_bytes());
        assert_eq!(again[0].1.as_ref().expect("a record"), sample);
    }
}

#[test]
fn errors_name_the_place_and_what_to_do() {
    for (line, expected) in [
        (&b"{\"id\": }"[..], "in.jsonl:1: byte 7: the line is not JSON: expected value"),
        (b"{\"id\": \"\xff\"}", "in.jsonl:1: byte 8: the line is not UTF-8"),
        (b"[1]", "in.jsonl:1: a record is a JSON object; this is a list"),
        (
            b"{}",
            "in.jsonl:1: no student traces: the preset `native` looks for `students` or `student`; the record: it is empty. Name the column that holds them with --map students=COLUMN",
        ),
        (
            b"{\"text\": \"a\", \"n\": 1}",
            "in.jsonl:1: no student traces: the preset `native` looks for `students` or `student`; the record: it has `text`, `n`. Name the column that holds them with --map students=COLUMN",
        ),
        (
            b"{\"students\": []}",
            "in.jsonl:1: no student traces: `students` is empty, so there is nothing to score",
        ),
        (
            b"{\"students\": [\"a\", 3]}",
            "in.jsonl:1: `students` (students): trace 1 of 2: a trace is a string, a list of steps, a chat, or an object with `text` or `steps`; this is a number",
        ),
        (
            b"{\"students\": \"a\", \"problem\": {}}",
            "in.jsonl:1: `problem` (problem) is an object; it has to be text or a number",
        ),
    ] {
        let items = from_bytes(line);
        let error = items[0].1.as_ref().expect_err("a wrong record");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_bad_line_does_not_stop_reading() {
    let mut bytes = records(3).into_bytes();
    bytes.extend_from_slice(b"{\"id\": \"\xc3\x28\"}\nnonsense\n");
    bytes.extend_from_slice(record(3).as_bytes());
    let items = from_bytes(&bytes);
    assert_eq!(ids(&items), ["r0", "r1", "r2", "r3"]);
    assert_eq!(items.iter().filter(|(_, s)| s.is_err()).map(|(l, _)| *l).collect::<Vec<_>>(), [4, 5]);
}

#[test]
fn packed_files_are_told_by_their_bytes() {
    let plain = records(200);
    let half = plain.len() / 2;
    let skippable: Vec<u8> = [&[0x53, 0x2a, 0x4d, 0x18, 5, 0, 0, 0][..], b"abcde"].concat();
    let several = |pack: fn(&[u8]) -> Vec<u8>| {
        [pack(&plain.as_bytes()[..half]), pack(b""), pack(&plain.as_bytes()[half..])].concat()
    };
    let expected = ids(&from_bytes(plain.as_bytes())).join(",");
    assert!(expected.ends_with("r199"));
    for packed in [
        gz(plain.as_bytes()),
        several(gz),
        zst(plain.as_bytes()),
        several(zst),
        [skippable.clone(), zst(plain.as_bytes()), skippable].concat(),
    ] {
        assert_eq!(ids(&from_bytes(&packed)).join(","), expected);
    }
}

#[test]
fn a_truncated_stream_keeps_what_came_before() {
    // Text that does not compress well, so that cuts fall inside of the data.
    let mut state = 1u64;
    let noise = |_| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        format!("{{\"id\": \"{state:x}\", \"students\": \"{:x}{:x}\"}}\n", state.rotate_left(17), state ^ 99)
    };
    let plain: String = (0..6000).map(noise).collect();
    let all = from_bytes(plain.as_bytes());
    let whole = ids(&all);
    for (name, packed) in [("x.gz", gz(plain.as_bytes())), ("x.zst", zst(plain.as_bytes()))] {
        let mut kept = 0;
        let cuts: Vec<usize> = (0..24)
            .chain((24..packed.len() - 9).step_by(packed.len() / 40))
            .chain(packed.len() - 9..packed.len())
            .collect();
        for cut in cuts {
            let bytes = packed[..cut].to_vec();
            let items = read_all(Source::from_reader(name, Cursor::new(bytes)));
            let good = ids(&items);
            assert_eq!(good, whole[..good.len()], "{name} cut at {cut}");
            assert_eq!(items.len(), good.len() + 1, "{name} cut at {cut}");
            let (line, last) = items.last().expect("an error");
            let error = last.as_ref().expect_err("an error").to_string();
            assert!(error.contains("the compressed stream ends early"), "{name} cut at {cut}: {error}");
            assert!(error.starts_with(&format!("{name}:{line}: ")), "{error}");
            assert!(*line as usize > good.len(), "{name} cut at {cut}");
            kept = kept.max(good.len());
        }
        assert!(kept > 3000, "{name}: the longest cut kept {kept}");
    }
}

#[test]
fn damaged_streams_are_errors_and_the_next_file_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let next = folder.path().join("next.jsonl");
    std::fs::write(&next, record(7)).expect("written");
    for (name, packed) in [("x.gz", gz(records(500).as_bytes())), ("x.zst", zst(records(500).as_bytes()))] {
        let path = folder.path().join(name);
        for at in (10..packed.len()).step_by(97) {
            let mut bytes = packed.clone();
            bytes[at] ^= 0x55;
            std::fs::write(&path, bytes).expect("written");
            let items = read_all(Source::open(&[path.clone(), next.clone()]).expect("opened"));
            let (last, before) = items.split_last().expect("records");
            assert_eq!(last.1.as_ref().expect("the next file").id, "r7");
            assert!(before.iter().any(|(_, s)| s.is_err()), "{name}: a changed byte {at} went unseen");
        }
    }
}

/// A line that is made while it is read, and counts how much is asked for.
struct LongLine {
    left: usize,
    tail: Cursor<Vec<u8>>,
}

impl Read for LongLine {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return self.tail.read(buffer);
        }
        let count = buffer.len().min(self.left);
        buffer[..count].fill(b'x');
        self.left -= count;
        Ok(count)
    }
}

fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Run in a process of its own, since the peak of a process is of all its tests.
#[test]
fn a_line_of_100_mb_costs_no_more_than_the_limit() {
    const CHILD: &str = "RLKD_TEST_LONG_LINE";
    if std::env::var_os(CHILD).is_none() {
        let child = std::process::Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "a_line_of_100_mb_costs_no_more_than_the_limit", "--nocapture"])
            .env(CHILD, "1")
            .status()
            .expect("run");
        assert!(child.success());
        return;
    }
    let before = peak_kib();
    let long = LongLine { left: 100 << 20, tail: Cursor::new(format!("\n{}", record(1)).into_bytes()) };
    let items = read_all(Source::from_reader("in", long).max_line(1 << 20));
    let error = items[0].1.as_ref().expect_err("too long").to_string();
    assert!(
        error.starts_with("in:1: the line has 104857600 bytes, more than the limit of 1048576"),
        "{error}"
    );
    assert_eq!((items[1].0, ids(&items)), (2, vec!["r1"]));
    if let (Some(before), Some(after)) = (before, peak_kib()) {
        println!("peak grew by {} KiB", after - before);
        assert!(after - before < 8 << 10, "the peak grew by {} KiB", after - before);
    }
    // Within the default limit it is read.
    let long = LongLine { left: 1 << 20, tail: Cursor::new(b"\n".to_vec()) };
    assert!(
        read_all(Source::from_reader("in", long))[0]
            .1
            .as_ref()
            .expect_err("no JSON")
            .message()
            .contains("not JSON")
    );
}

#[test]
fn a_million_empty_records_are_a_million_errors() {
    /// So many bytes of `{}` lines, made while they are read; counted down, so a line begins at 3n.
    struct Empty(usize);
    impl Read for Empty {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(self.0);
            for byte in &mut buffer[..count] {
                *byte = b"{\n}"[self.0 % 3];
                self.0 -= 1;
            }
            Ok(count)
        }
    }
    let mapping = Mapping::default();
    let mut source = Source::from_reader("in", Empty(3_000_000).chain(Cursor::new(record(1).into_bytes())));
    let (mut count, mut errors, mut last) = (0u64, 0u64, String::new());
    while let Some(chunk) = source.next_chunk(4096, 1 << 20).expect("read") {
        assert_eq!(chunk.start, count);
        for record in &chunk.records {
            count += 1;
            assert_eq!(record.place.line, count);
            match parse(record, &mapping) {
                Ok(sample) => last = sample.id,
                Err(_) => errors += 1,
            }
        }
    }
    assert_eq!((count, errors, last.as_str()), (1_000_001, 1_000_000, "r1"));
    // Blank lines are nothing at all.
    assert!(from_bytes(&b"\n \r\n\t\n".repeat(1000)).is_empty());
}

#[test]
fn duplicate_ids_name_both_places() {
    let items = format!("{}{}{}", record(1), record(2), record(1));
    let source = Source::from_reader("in.jsonl", Cursor::new(items.into_bytes()));
    let mut seen = SeenIds::new();
    let checked: Vec<Result<(), Error>> = source
        .map(|raw| {
            let raw = raw.expect("read");
            seen.check(&parse(&raw, &Mapping::default()).expect("a record").id, &raw.place)
        })
        .collect();
    assert!(checked[..2].iter().all(Result::is_ok));
    assert_eq!(
        checked[2].as_ref().expect_err("twice").to_string(),
        "in.jsonl:3: the id `r1` was used before, at in.jsonl:1: give each record its own"
    );
}

#[test]
fn inputs_that_cannot_be_opened_are_named_before_anything_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let there = folder.path().join("a.jsonl");
    std::fs::write(&there, record(1)).expect("written");
    let gone = folder.path().join("gone.jsonl");
    let error = Source::open(&[there.clone(), gone.clone()]).err().expect("missing").to_string();
    assert!(error.starts_with(&format!("{}: cannot open the input: ", gone.display())), "{error}");
    let error = Source::open(&[folder.path().to_path_buf()]).err().expect("a folder").to_string();
    assert!(error.contains("this is a folder"), "{error}");
    assert!(Source::open(&[]).is_err());
    assert!(Source::open(&["-".into(), "-".into()]).is_err());

    // A file that vanishes after opening: what came before comes out, then the error, then nothing.
    std::fs::write(&gone, record(2)).expect("written");
    let mut source = Source::open(&[there.clone(), gone.clone(), there]).expect("opened");
    std::fs::remove_file(&gone).expect("removed");
    let chunk = source.next_chunk(100, 1 << 20).expect("read").expect("the first file");
    assert_eq!(chunk.records.len(), 1);
    let error = source.next_chunk(100, 1 << 20).expect_err("vanished").to_string();
    assert!(error.contains("gone.jsonl: cannot open the input"), "{error}");
    assert!(source.next_chunk(100, 1 << 20).expect("ended").is_none());
}

#[test]
fn files_of_one_name_give_different_ids() {
    let folder = tempfile::tempdir().expect("a folder");
    let paths: Vec<PathBuf> = ["a", "b"]
        .iter()
        .map(|name| {
            std::fs::create_dir(folder.path().join(name)).expect("made");
            let path = folder.path().join(name).join("part.jsonl.gz");
            std::fs::write(&path, gz(b"{\"students\": \"x\"}\n")).expect("written");
            path
        })
        .collect();
    let source = Source::open(&paths).expect("opened");
    assert_eq!(source.total_bytes(), Some(2 * gz(b"{\"students\": \"x\"}\n").len() as u64));
    assert_eq!(ids(&read_all(source)), ["part:1", "part~2:1"]);
}

#[test]
fn looking_ahead_changes_nothing() {
    let open = || Source::from_reader("in", Cursor::new(records(40).into_bytes()));
    let chunks = |mut source: Source, size| {
        let mut out = Vec::new();
        while let Some(chunk) = source.next_chunk(size, usize::MAX).expect("read") {
            out.push((chunk.start, chunk.end(), chunk.hash, chunk.records));
        }
        out
    };
    for size in [1, 3, 7, 40, 100] {
        let expected = chunks(open(), size);
        for index in [0, 2, 6, 7, 39, 50] {
            let mut source = open();
            source.peek(index).expect("read");
            assert_eq!(chunks(source, size), expected, "chunks of {size}, looked {index} ahead");
        }
    }
}

#[test]
fn skipping_checks_that_the_input_is_the_same() {
    let text = records(10);
    let open = |text: &str| Source::from_reader("in", Cursor::new(text.as_bytes().to_vec()));
    let mut first = open(&text);
    let chunk = first.next_chunk(6, usize::MAX).expect("read").expect("records");
    let mut seen = 0;
    let mut second = open(&text);
    second.pass_over(6, chunk.hash, |_| seen += 1).expect("the same input");
    assert_eq!(seen, 6);
    let rest =
        |mut source: Source| source.next_chunk(100, usize::MAX).expect("read").map(|c| (c.hash, c.records));
    assert_eq!(rest(second), rest(first));
    for changed in [text.replace("r3", "r9"), text.replacen('\n', "\n\n", 1), record(0)] {
        let error = open(&changed).pass_over(6, chunk.hash, |_| {}).expect_err("changed").to_string();
        assert!(error.contains("the input has changed") && error.contains("--restart"), "{error}");
    }
}

#[test]
fn the_json_test_suite() {
    let Some(folder) = data() else { return };
    let source = Source::open(&[folder.join("json_test_suite.jsonl")]).expect("opened");
    let (mut accepted, mut rejected, mut either) = (0, 0, 0);
    for record in source {
        let record = record.expect("read");
        let Body::Line(bytes) = &record.body else { panic!("{}", record.place) };
        let case = parse_json(bytes).expect("the suite's own lines");
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(case["bytes_b64"].as_str().expect("bytes"))
            .expect("base64");
        let result = parse_json(&bytes);
        match case["expect"].as_str() {
            Some("accept") => {
                accepted += 1;
                assert!(result.is_ok(), "{}: {:?}", case["name"], result.err());
            }
            Some("reject") => {
                rejected += 1;
                assert!(result.is_err(), "{}", case["name"]);
            }
            _ => either += 1,
        }
        // The same bytes as a file: never a panic.
        from_bytes(&bytes);
    }
    println!("accepted {accepted}, rejected {rejected}, either {either}");
    assert_eq!(accepted + rejected + either, 317);
}

#[cfg(feature = "parquet")]
mod parquet_files {
    use super::*;
    use parquet::data_type::{ByteArray, ByteArrayType, DoubleType};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use std::sync::Arc;

    /// Two row groups of `rows` rows with a text, a number, a list of texts and a list of structs.
    fn write(path: &Path, rows: usize) {
        let schema = "message records {
            OPTIONAL BYTE_ARRAY id (UTF8);
            REQUIRED BYTE_ARRAY problem (UTF8);
            OPTIONAL DOUBLE answer;
            OPTIONAL group students (LIST) { REPEATED group list { OPTIONAL BYTE_ARRAY element (UTF8); } }
            OPTIONAL group teacher (LIST) { REPEATED group list { OPTIONAL group element {
                OPTIONAL BYTE_ARRAY q (UTF8); OPTIONAL BYTE_ARRAY a (UTF8); } } }
        }";
        let schema = Arc::new(parse_message_type(schema).expect("a schema"));
        let file = std::fs::File::create(path).expect("made");
        let mut writer =
            SerializedFileWriter::new(file, schema, Arc::new(WriterProperties::default())).expect("a writer");
        for group in 0..2 {
            let mut columns = writer.next_row_group().expect("a row group");
            let mut bytes = |values: &[String], def: Option<Vec<i16>>, rep: Option<Vec<i16>>| {
                let values: Vec<ByteArray> = values.iter().map(|v| ByteArray::from(v.as_str())).collect();
                let mut column = columns.next_column().expect("next").expect("a column");
                column
                    .typed::<ByteArrayType>()
                    .write_batch(&values, def.as_deref(), rep.as_deref())
                    .expect("written");
                column.close().expect("closed");
            };
            let number = |row| group * rows + row;
            let ids: Vec<String> = (0..rows).map(|r| format!("p{}", number(r))).collect();
            bytes(&ids, Some(vec![1; rows]), None);
            bytes(&vec!["what?".to_string(); rows], None, None);
            let mut column = columns.next_column().expect("next").expect("a column");
            column
                .typed::<DoubleType>()
                .write_batch(&vec![27.0; rows], Some(&vec![1; rows]), None)
                .expect("written");
            column.close().expect("closed");
            let mut bytes = |values: &[String], def: Vec<i16>, rep: Vec<i16>| {
                let values: Vec<ByteArray> = values.iter().map(|v| ByteArray::from(v.as_str())).collect();
                let mut column = columns.next_column().expect("next").expect("a column");
                column
                    .typed::<ByteArrayType>()
                    .write_batch(&values, Some(&def), Some(&rep))
                    .expect("written");
                column.close().expect("closed");
            };
            let pairs = |name: &str| -> Vec<String> {
                (0..rows)
                    .flat_map(|r| [format!("{name}{} 1", number(r)), format!("{name}{} 2", number(r))])
                    .collect()
            };
            bytes(&pairs("s"), vec![3; 2 * rows], [0, 1].repeat(rows));
            bytes(&pairs("q"), vec![4; 2 * rows], [0, 1].repeat(rows));
            bytes(&pairs("a"), vec![4; 2 * rows], [0, 1].repeat(rows));
            columns.close().expect("closed");
        }
        writer.close().expect("closed");
    }

    #[test]
    fn rows_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("named.jsonl");
        write(&path, 50);
        let items = read_all(Source::open(&[path]).expect("opened"));
        assert_eq!(items.len(), 100);
        for (index, (line, sample)) in items.iter().enumerate() {
            let sample = sample.as_ref().expect("a row");
            assert_eq!((*line, &sample.id), (index as u64 + 1, &format!("p{index}")));
            assert_eq!(sample.answer.as_deref(), Some("27.0"));
            assert_eq!(sample.students[1].text, format!("s{index} 2"));
            assert_eq!(
                sample.teachers[0].text,
                format!(
                    "[Sub-problem 1]: q{index} 1\n[Answer 1]: a{index} 1\n\n[Sub-problem 2]: q{index} 2\n[Answer 2]: a{index} 2\n\n"
                )
            );
        }
    }

    #[test]
    fn damaged_files_are_errors() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.parquet");
        write(&path, 20);
        let whole = std::fs::read(&path).expect("read");
        let mut broken: Vec<Vec<u8>> =
            (4..whole.len()).step_by(61).map(|cut| whole[..cut].to_vec()).collect();
        for at in (4..whole.len()).step_by(13) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x2a;
            broken.push(bytes);
        }
        let mut faults = 0;
        for bytes in broken {
            std::fs::write(&path, &bytes).expect("written");
            let items = read_all(Source::open(std::slice::from_ref(&path)).expect("opened"));
            assert!(items.len() <= 41, "{} items", items.len());
            faults += items.iter().filter(|(_, s)| s.is_err()).count();
        }
        assert!(faults > 50, "{faults}");
    }

    #[test]
    fn streams_are_refused() {
        let items = read_all(Source::from_reader("-", Cursor::new(b"PAR1....PAR1".to_vec())));
        let error = items[0].1.as_ref().expect_err("refused").to_string();
        assert!(error.contains("Parquet can be read only from a regular file"), "{error}");
    }
}
