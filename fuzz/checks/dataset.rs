//! Any bytes as a file, plain or packed, read with every preset.
//!
//! Lines ascend; each record is a sample or an error with its place, never a panic; a sample written
//! as a native record reads back the same; reading in other chunks gives the same records and hash.

use std::io::{Cursor, Write};

use rlkd::dataset::{Mapping, PRESETS, RawRecord, Source, parse, to_native};

const LIMIT: usize = 4096;

/// Checks one input; panics where something does not hold.
pub fn check(data: &[u8]) {
    let Some((first, body)) = data.split_first() else { return };
    // The first byte says what the rest is: a file as it is, or the content of a packed one. The
    // magic numbers of packed files are also found by mutation of the seeds.
    let file = match first % 4 {
        0 => body.to_vec(),
        1 => gzip(body),
        2 => ruzstd::encoding::compress_to_vec(body, ruzstd::encoding::CompressionLevel::Fastest),
        _ => {
            let half = body.len() / 2;
            [gzip(&body[..half]), gzip(&body[half..])].concat()
        }
    };
    let records = read(&file, usize::from(first >> 2) + 1);
    assert_eq!(records, read(&file, 1000));
    let mut line = 0;
    for record in &records.0 {
        assert!(record.place.line > line, "{} after line {line}", record.place);
        line = record.place.line;
        for mapping in mappings() {
            match parse(record, &mapping) {
                Err(error) => {
                    assert_eq!(error.place().map(|p| p.line), Some(line));
                    assert!(!error.message().is_empty());
                }
                Ok(sample) => {
                    let native = to_native(&sample).to_string();
                    let mut again = Source::from_reader("again", Cursor::new(native.into_bytes()));
                    let again = again.next_record().expect("memory").expect("a record");
                    let native = Mapping::new::<&str>("native", &[]).expect("a preset").without_students();
                    assert_eq!(parse(&again, &native).expect("a native record"), sample);
                }
            }
        }
    }
}

fn read(file: &[u8], chunk: usize) -> (Vec<RawRecord>, Option<u64>) {
    let mut source = Source::from_reader("fuzz", Cursor::new(file.to_vec())).max_line(LIMIT);
    let (mut records, mut hash) = (Vec::new(), None);
    while let Some(chunk) = source.next_chunk(chunk, usize::MAX).expect("memory does not fail") {
        records.extend(chunk.records);
        hash = Some(chunk.hash);
    }
    (records, hash)
}

fn mappings() -> impl Iterator<Item = Mapping> {
    let presets = PRESETS.iter().map(|preset| preset.name).chain(["auto"]);
    presets.map(|name| Mapping::new::<&str>(name, &[]).expect("a preset").without_students())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}
