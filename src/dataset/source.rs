//! Raw records of files, in order, in constant memory.
//!
//! Reading is split in two so that worker threads do the costly part: a [`Source`] hands out the
//! bytes of each record with their place, [`parse`](super::parse) turns them into a sample.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use xxhash_rust::xxh3::Xxh3;

use super::lines::{Line, LineReader};
use super::stream::{Explain, Packing, Stream, Watch, packing_of};
use crate::error::{Error, ErrorKind, Place, Result};

/// The default bound on the length of a line: 64 MiB.
pub const MAX_LINE: usize = 64 << 20;

/// A record as it stands in its file.
#[derive(Clone, Debug, PartialEq)]
pub struct RawRecord {
    /// Where it stands; for Parquet the line is the row, from 1.
    pub place: Place,
    /// A short name of the file, unlike that of every other file of the source: the stem of its
    /// name. Records without an id are called `LABEL:LINE`.
    pub label: Arc<str>,
    /// What was read.
    pub body: Body,
}

/// What was read of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// The bytes of its line, or a Parquet row as JSON.
    Line(Vec<u8>),
    /// It could not be read; what is wrong, in words.
    Fault(String),
}

impl RawRecord {
    /// The bytes that it holds in memory.
    pub fn size(&self) -> usize {
        match &self.body {
            Body::Line(bytes) => bytes.len(),
            Body::Fault(message) => message.len(),
        }
    }
}

/// Records that were read together, and the state of reading after them.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// The records, never empty.
    pub records: Vec<RawRecord>,
    /// How many records came before this chunk.
    pub start: u64,
    /// A hash (xxh3) of all raw input up to and with this chunk's last record.
    pub hash: u64,
}

impl Chunk {
    /// How many records were read up to and with this chunk.
    pub fn end(&self) -> u64 {
        self.start + self.records.len() as u64
    }
}

#[derive(Debug)]
struct Input {
    path: PathBuf,
    label: Arc<str>,
}

enum Open {
    Lines(LineReader<Box<dyn BufRead + Send>>, Explain),
    #[cfg(feature = "parquet")]
    Rows(Box<super::parquet::Rows>),
}

/// Hands out the records of one or more inputs.
///
/// Blank lines are passed over but counted. A line that is too long, a compressed stream that is
/// damaged or ends early, a Parquet row that cannot be read: each is a record whose body is a
/// [`Body::Fault`]; reading goes on behind it, in the same file or, where that is not possible, in the
/// next. An error of the operating system ends reading.
pub struct Source {
    inputs: VecDeque<Input>,
    current: Option<(Input, Open)>,
    given: Option<Box<dyn Read + Send>>,
    max_line: usize,
    hash: Xxh3,
    /// The hash after the record that was read last, before any blank lines that follow it.
    after: u64,
    ahead: VecDeque<(RawRecord, u64)>,
    pending: Option<Error>,
    count: u64,
    watch: Arc<Watch>,
    total: Option<u64>,
}

impl Source {
    /// Opens files; `-` is standard input. Files may be plain, `.gz` or `.zst` (told by their first
    /// bytes, not by their names) or Parquet (feature `parquet`).
    ///
    /// # Errors
    /// No path, a path that does not exist or cannot be read, a folder, standard input twice.
    pub fn open(paths: &[PathBuf]) -> Result<Self> {
        if paths.is_empty() {
            return Err(Error::config("no input: name a file, or - for standard input"));
        }
        let mut total = Some(0u64);
        for (at, path) in paths.iter().enumerate() {
            if path.as_os_str() == "-" {
                if paths[..at].contains(path) {
                    return Err(Error::config("standard input (-) can be read only once"));
                }
                total = None;
                continue;
            }
            let facts = std::fs::metadata(path).map_err(|e| Error::io("open the input", path, e))?;
            if facts.is_dir() {
                let message = "this is a folder: name the files in it, for example FOLDER/*.jsonl";
                return Err(Error::new(ErrorKind::Io, message).at(Place::file(path)));
            }
            if facts.is_file() {
                File::open(path).map_err(|e| Error::io("open the input", path, e))?;
                total = total.map(|sum| sum + facts.len());
            } else {
                total = None;
            }
        }
        Ok(Self::with(inputs(paths), None, total))
    }

    /// Reads from `reader` as if it were a file called `name` (not Parquet, which needs a file).
    pub fn from_reader(name: &str, reader: impl Read + Send + 'static) -> Self {
        Self::with(inputs(&[PathBuf::from(name)]), Some(Box::new(reader)), None)
    }

    fn with(inputs: VecDeque<Input>, given: Option<Box<dyn Read + Send>>, total: Option<u64>) -> Self {
        Source {
            inputs,
            current: None,
            given,
            max_line: MAX_LINE,
            hash: Xxh3::new(),
            after: 0,
            ahead: VecDeque::new(),
            pending: None,
            count: 0,
            watch: Arc::default(),
            total,
        }
    }

    /// The same source with another bound on the length of a line, in bytes.
    #[must_use]
    pub fn max_line(mut self, bytes: usize) -> Self {
        self.max_line = bytes;
        self
    }

    /// The size of all inputs on disk, in bytes, if all are regular files.
    pub fn total_bytes(&self) -> Option<u64> {
        self.total
    }

    /// How many bytes of the inputs were read so far, as they lie on disk; somewhat ahead of the
    /// records handed out, since reading is buffered.
    pub fn bytes_read(&self) -> u64 {
        self.watch.bytes.load(Ordering::Relaxed)
    }

    /// How many records were handed out.
    pub fn records_read(&self) -> u64 {
        self.count
    }

    /// The next record; `None` at the end.
    ///
    /// # Errors
    /// The operating system could not read an input.
    pub fn next_record(&mut self) -> Result<Option<RawRecord>> {
        let record = match (self.ahead.pop_front(), self.pending.take()) {
            (Some((record, _)), pending) => {
                self.pending = pending;
                Some(record)
            }
            (None, Some(error)) => return Err(error),
            (None, None) => match self.pull() {
                Ok(record) => record,
                Err(error) => {
                    // An input that fails is never passed over in silence.
                    self.inputs.clear();
                    self.current = None;
                    return Err(error);
                }
            },
        };
        self.count += u64::from(record.is_some());
        Ok(record)
    }

    /// The next records: at least one, at most `max_records`, and no more once they hold `max_bytes`
    /// bytes. `None` at the end.
    ///
    /// # Errors
    /// The operating system could not read an input; the records before that came out first.
    pub fn next_chunk(&mut self, max_records: usize, max_bytes: usize) -> Result<Option<Chunk>> {
        let start = self.count;
        let (mut records, mut bytes, mut hash) = (Vec::new(), 0, 0);
        while records.len() < max_records.max(1) && (records.is_empty() || bytes < max_bytes) {
            let known = self.ahead.front().map(|(_, hash)| *hash);
            match self.next_record() {
                Ok(Some(record)) => {
                    bytes += record.size();
                    records.push(record);
                    // Looking ahead moved the hash on; the queue holds what it was.
                    hash = known.unwrap_or(self.after);
                }
                Ok(None) => break,
                Err(error) if records.is_empty() => return Err(error),
                Err(error) => {
                    self.pending = Some(error);
                    break;
                }
            }
        }
        if records.is_empty() {
            return Ok(None);
        }
        Ok(Some(Chunk { records, start, hash }))
    }

    /// Looks at the record `index` places ahead without handing it out.
    ///
    /// # Errors
    /// The operating system could not read an input.
    pub fn peek(&mut self, index: usize) -> Result<Option<&RawRecord>> {
        while self.ahead.len() <= index {
            match self.pull()? {
                Some(record) => self.ahead.push_back((record, self.after)),
                None => return Ok(None),
            }
        }
        Ok(self.ahead.get(index).map(|(record, _)| record))
    }

    /// Passes over the first `records` records of a run that is taken up again, showing each to
    /// `seen`, and checks that the raw input was the same as then.
    ///
    /// # Errors
    /// The input has fewer records or another hash than then: it has changed since.
    pub fn pass_over(&mut self, records: u64, hash: u64, mut seen: impl FnMut(&RawRecord)) -> Result<()> {
        let changed = |what: &str| {
            Error::data(format!(
                "the input has changed since the interrupted run ({what}); use --restart to score it from \
                 the start"
            ))
        };
        let (mut left, mut now) = (records, None);
        while left > 0 {
            let at_most = usize::try_from(left).unwrap_or(usize::MAX).min(1024);
            let Some(chunk) = self.next_chunk(at_most, 16 << 20)? else {
                return Err(changed(&format!(
                    "{records} records were read then, and now there are {}",
                    self.count
                )));
            };
            chunk.records.iter().for_each(&mut seen);
            left -= chunk.records.len() as u64;
            now = Some(chunk.hash);
        }
        match now {
            Some(now) if now != hash => {
                Err(changed(&format!("the first {records} records are not the same bytes")))
            }
            _ => Ok(()),
        }
    }

    fn pull(&mut self) -> Result<Option<RawRecord>> {
        loop {
            if self.current.is_none() {
                let Some(input) = self.inputs.pop_front() else { return Ok(None) };
                match self.open_input(&input)? {
                    Ok(open) => self.current = Some((input, open)),
                    Err(fault) => {
                        let place = Place::file(&input.path);
                        return Ok(Some(RawRecord { place, label: input.label, body: Body::Fault(fault) }));
                    }
                }
            }
            let Some((input, open)) = &mut self.current else { continue };
            let (line, body, last) = match open {
                Open::Lines(reader, explain) => {
                    let mut bytes = Vec::new();
                    match reader.next_line(&mut bytes, &mut self.hash) {
                        Ok(Line::Whole) if bytes.iter().all(u8::is_ascii_whitespace) => continue,
                        Ok(Line::Whole) => (reader.line(), Some(Body::Line(bytes)), false),
                        Ok(Line::TooLong { length }) => {
                            let fault = format!(
                                "the line has {length} bytes, more than the limit of {}; it was passed over \
                                 (raise the limit to read it)",
                                self.max_line
                            );
                            (reader.line(), Some(Body::Fault(fault)), false)
                        }
                        Ok(Line::End) => (0, None, true),
                        Err(error) => match explain.explain(error) {
                            Ok(fault) => (reader.line(), Some(Body::Fault(fault)), true),
                            Err(error) => {
                                let error = Error::io("read the input", &input.path, error);
                                return Err(error.at(Place::line(&input.path, reader.line())));
                            }
                        },
                    }
                }
                #[cfg(feature = "parquet")]
                Open::Rows(rows) => match rows.next_row(&self.watch) {
                    Some((row, Ok(json))) => {
                        self.hash.update(&json);
                        (row, Some(Body::Line(json)), false)
                    }
                    Some((row, Err(fault))) => (row, Some(Body::Fault(fault)), false),
                    None => (0, None, true),
                },
            };
            let record = body.map(|body| RawRecord {
                place: Place::line(&input.path, line),
                label: input.label.clone(),
                body,
            });
            if last {
                self.current = None;
            }
            if record.is_some() {
                self.after = self.hash.digest();
                return Ok(record);
            }
        }
    }

    /// `Ok(Err(…))` is a fault of the file's content.
    fn open_input(&mut self, input: &Input) -> Result<Result<Open, String>> {
        let path = input.path.as_path();
        let failed = |e| Error::io("open the input", path, e);
        let file: Box<dyn Read + Send> = if let Some(given) = self.given.take() {
            given
        } else if path.as_os_str() == "-" {
            Box::new(std::io::stdin())
        } else {
            let mut file = File::open(path).map_err(failed)?;
            let regular = file.metadata().map_err(failed)?.is_file();
            if regular && packing_of(&mut file, path).map_err(failed)? == Packing::Parquet {
                #[cfg(feature = "parquet")]
                return Ok(super::parquet::Rows::open(file).map(|rows| Open::Rows(Box::new(rows))));
                #[cfg(not(feature = "parquet"))]
                return Ok(Err("this is a Parquet file, and this build of rlkd reads none: build it with \
                               --features parquet"
                    .to_string()));
            }
            Box::new(file)
        };
        let stream =
            Stream::new(file, path, self.watch.clone()).map_err(|e| Error::io("read the input", path, e))?;
        if stream.packing == Packing::Parquet {
            return Ok(Err(
                "Parquet can be read only from a regular file, not from a stream: save it to a file \
                           and name that"
                    .to_string(),
            ));
        }
        Ok(Ok(Open::Lines(LineReader::new(stream.reader, self.max_line), stream.explain)))
    }
}

impl Iterator for Source {
    type Item = Result<RawRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_record().transpose()
    }
}

/// The inputs with their labels; the second file called `part` is labelled `part~2`.
fn inputs(paths: &[PathBuf]) -> VecDeque<Input> {
    let mut times: HashMap<String, usize> = HashMap::new();
    let label = |path: &Path| {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        match name.as_ref() {
            "-" => "stdin".to_string(),
            name => match name.find('.') {
                Some(at) if at > 0 => name[..at].to_string(),
                _ => name.to_string(),
            },
        }
    };
    let one = |path: &PathBuf| {
        let stem = label(path);
        let count = times.entry(stem.clone()).or_default();
        *count += 1;
        let label = if *count == 1 { stem } else { format!("{stem}~{count}") };
        Input { path: path.clone(), label: label.into() }
    };
    paths.iter().map(one).collect()
}
