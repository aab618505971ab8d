//! Scored records out, so that an interrupted run goes on where it stopped.
//!
//! A run that writes to `OUT` appends finished lines to `OUT.partial` and, after each chunk, a line to
//! `OUT.journal`: how many records were read, how long the partial file is, hashes of what was read
//! and written, and the run's counters. Only a whole result gets the name `OUT`.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use xxhash_rust::xxh3::Xxh3;

use super::convert::{Format, convert};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::files::{lock, sync_folder};

/// How far a run has come: what a journal line says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// How many raw records were read and dealt with.
    pub records: u64,
    /// The hash of all raw input up to there ([`Chunk::hash`](super::Chunk::hash)).
    pub input: u64,
    /// The run's counters, as the caller likes them.
    pub counters: Value,
}

#[derive(Serialize, Deserialize)]
struct Header {
    journal: u32,
    fingerprint: String,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    progress: Progress,
    /// The length of the partial file in bytes.
    bytes: u64,
    /// The hash (xxh3) of the partial file up to there.
    output: u64,
}

/// The version of the journal's form.
const JOURNAL: u32 = 1;

/// Takes finished lines.
pub struct Sink {
    to: To,
    name: PathBuf,
    buffer: Vec<u8>,
    lines: u64,
    closed: bool,
}

enum To {
    File(Box<Files>),
    Stream(Box<dyn Write + Send>),
}

struct Files {
    out: PathBuf,
    format: Format,
    partial_path: PathBuf,
    partial: File,
    journal_path: PathBuf,
    journal: File,
    bytes: u64,
    hash: Xxh3,
    /// What the last journal line holds, for messages.
    kept: u64,
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink").field("name", &self.name).field("lines", &self.lines).finish_non_exhaustive()
    }
}

impl Sink {
    /// Writes to the file `out`, in the format that its name says (`.jsonl` or any other name: lines;
    /// `.gz`, `.zst`: packed lines; `.parquet`). If a run with the same `fingerprint` was interrupted,
    /// it is taken up: the [`Progress`] says how many records to pass over
    /// ([`Source::pass_over`](super::Source::pass_over)). `restart` throws such a run away. `-` is standard
    /// output; it and what is no regular file (a pipe, a device) gets lines at once and cannot be
    /// taken up.
    ///
    /// The fingerprint has to name everything that shapes the output.
    ///
    /// # Errors
    /// The folder is missing or cannot be written; another process writes the same output; the
    /// interrupted run had another fingerprint.
    pub fn open(out: &Path, fingerprint: &str, restart: bool) -> Result<(Self, Option<Progress>)> {
        if out.as_os_str() == "-" {
            return Ok((Self::stream("-", io::stdout()), None));
        }
        let (out, special) = crate::files::target(out)?;
        if special {
            let file = OpenOptions::new().write(true).open(&out);
            let file = file.map_err(|e| Error::io("open the output", &out, e))?;
            return Ok((Self::stream(out, file), None));
        }
        let (files, progress) = Files::open(out.clone(), fingerprint, restart)?;
        let sink =
            Sink { to: To::File(Box::new(files)), name: out, buffer: Vec::new(), lines: 0, closed: false };
        Ok((sink, progress))
    }

    /// Writes lines to `writer` as they come; `name` stands in errors.
    pub fn stream(name: impl Into<PathBuf>, writer: impl Write + Send + 'static) -> Self {
        let to = To::Stream(Box::new(writer));
        Sink { to, name: name.into(), buffer: Vec::new(), lines: 0, closed: false }
    }

    /// Adds a record: a line of JSON. It lies in memory until [`Self::commit`].
    ///
    /// # Errors
    /// The record cannot be said in JSON.
    pub fn write<T: Serialize>(&mut self, record: &T) -> Result<()> {
        let before = self.buffer.len();
        if let Err(error) = serde_json::to_writer(&mut self.buffer, record) {
            self.buffer.truncate(before);
            return Err(Error::data(format!("a record cannot be written as JSON: {error}")));
        }
        self.buffer.push(b'\n');
        self.lines += 1;
        Ok(())
    }

    /// Adds lines that were made elsewhere, each with its `\n`.
    pub fn write_lines(&mut self, lines: &[u8]) {
        self.lines += memchr::memchr_iter(b'\n', lines).count() as u64;
        self.buffer.extend_from_slice(lines);
    }

    /// How many lines were added since this sink was opened.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Whether the reader of a stream has gone away (a closed pipe). What is written then is lost, and
    /// no error: the caller may end quietly.
    pub fn closed(&self) -> bool {
        self.closed
    }

    /// Hands what was added to the operating system, and notes how far the run has come. After this a
    /// killed run goes on from here.
    ///
    /// # Errors
    /// The disk is full, or the like. What earlier commits noted is kept.
    pub fn commit(&mut self, progress: &Progress) -> Result<()> {
        match &mut self.to {
            To::Stream(writer) => {
                if !self.closed {
                    let done = writer.write_all(&self.buffer).and_then(|()| writer.flush());
                    match done {
                        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => self.closed = true,
                        done => done.map_err(|e| Error::io("write the output", &self.name, e))?,
                    }
                }
            }
            To::File(files) => files.commit(&self.buffer, progress)?,
        }
        self.buffer.clear();
        Ok(())
    }

    /// Makes the result whole: what was committed gets the name of the output, in its format.
    ///
    /// # Errors
    /// The disk is full, or the like. The output is as it was before, and the partial file is kept.
    pub fn finish(mut self) -> Result<()> {
        if !self.buffer.is_empty() {
            return Err(Error::data("records were added after the last commit").at(Place::file(&self.name)));
        }
        match &mut self.to {
            To::Stream(_) => Ok(()),
            To::File(files) => files.finish(),
        }
    }
}

impl Files {
    fn open(out: PathBuf, fingerprint: &str, restart: bool) -> Result<(Self, Option<Progress>)> {
        let format = Format::of(&out)?;
        let (partial_path, journal_path) = (beside(&out, ".partial")?, beside(&out, ".journal")?);
        let journal = locked(&journal_path, &out)?;
        let mut files = Files {
            partial: File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&partial_path)
                .map_err(|e| Error::io("create the partial output", &partial_path, e))?,
            out,
            format,
            partial_path,
            journal_path,
            journal,
            bytes: 0,
            hash: Xxh3::new(),
            kept: 0,
        };
        let progress = if restart { None } else { files.take_up(fingerprint)? };
        match &progress {
            Some(progress) => files.kept = progress.records,
            None => files.start(fingerprint)?,
        }
        Ok((files, progress))
    }

    fn start(&mut self, fingerprint: &str) -> Result<()> {
        (self.bytes, self.hash) = (0, Xxh3::new());
        let header = Header { journal: JOURNAL, fingerprint: fingerprint.to_string() };
        let line = line_of(&header)?;
        // The journal goes first: a partial file without its journal is started anew.
        truncate(&mut self.journal, 0)
            .and_then(|()| truncate(&mut self.partial, 0))
            .and_then(|()| self.journal.write_all(&line))
            .map_err(|e| self.no_room(e))
    }

    /// Goes back to the last journal line that the partial file bears out.
    fn take_up(&mut self, fingerprint: &str) -> Result<Option<Progress>> {
        let failed = |path: &Path, e| Error::io("read", path, e);
        let journal_failed = |e| failed(&self.journal_path, e);
        let mut lines = BufReader::new(&self.journal);
        let mut line = Vec::new();
        let mut next = |line: &mut Vec<u8>| -> io::Result<bool> {
            line.clear();
            lines.read_until(b'\n', line)?;
            // A line without an end was torn.
            Ok(line.last() == Some(&b'\n'))
        };
        if !next(&mut line).map_err(journal_failed)? {
            return Ok(None);
        }
        let Ok(header) = serde_json::from_slice::<Header>(&line) else { return Ok(None) };
        if header.journal != JOURNAL || header.fingerprint != fingerprint {
            // A run that kept no result has nothing that could be lost.
            if header.journal == JOURNAL && !next(&mut line).map_err(journal_failed)? {
                return Ok(None);
            }
            return Err(Error::config(format!(
                "an interrupted run with other settings left {} behind; run it again with the settings it had \
                 to finish it, or use --restart to throw it away",
                self.partial_path.display()
            ))
            .at(Place::file(&self.out)));
        }
        let mut partial = BufReader::with_capacity(1 << 16, &self.partial);
        let mut journal_bytes = line.len() as u64;
        let mut last: Option<(Entry, u64, Xxh3)> = None;
        let (mut bytes, mut hash) = (0u64, Xxh3::new());
        while next(&mut line).map_err(journal_failed)? {
            let Ok(entry) = serde_json::from_slice::<Entry>(&line) else { break };
            if entry.bytes < bytes {
                break;
            }
            let reached = feed(&mut hash, &mut partial, entry.bytes - bytes);
            if !reached.map_err(|e| failed(&self.partial_path, e))? || hash.digest() != entry.output {
                break;
            }
            bytes = entry.bytes;
            journal_bytes += line.len() as u64;
            last = Some((entry, journal_bytes, hash.clone()));
        }
        drop((lines, partial));
        let Some((entry, journal_bytes, hash)) = last else { return Ok(None) };
        truncate(&mut self.partial, entry.bytes).map_err(|e| failed(&self.partial_path, e))?;
        truncate(&mut self.journal, journal_bytes).map_err(|e| failed(&self.journal_path, e))?;
        (self.bytes, self.hash) = (entry.bytes, hash);
        Ok(Some(entry.progress))
    }

    fn commit(&mut self, lines: &[u8], progress: &Progress) -> Result<()> {
        let mut hash = self.hash.clone();
        hash.update(lines);
        let bytes = self.bytes + lines.len() as u64;
        let entry = Entry { progress: progress.clone(), bytes, output: hash.digest() };
        let entry = line_of(&entry)?;
        let journal_end = self.journal.stream_position().map_err(|e| self.no_room(e))?;
        if let Err(error) = self.partial.write_all(lines).and_then(|()| self.journal.write_all(&entry)) {
            // Back to where both agree, so that a caller that tries again does not write twice.
            // Where that fails too, taking up the run does it.
            let _ = truncate(&mut self.partial, self.bytes);
            let _ = truncate(&mut self.journal, journal_end);
            return Err(self.no_room(error));
        }
        (self.bytes, self.hash, self.kept) = (bytes, hash, progress.records);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.partial.sync_all().map_err(|e| self.no_room(e))?;
        match self.format {
            Format::Lines => {
                std::fs::rename(&self.partial_path, &self.out).map_err(|e| self.no_room(e))?;
            }
            format => {
                let temporary = beside(&self.out, ".unfinished")?;
                let made = convert(&self.partial_path, &temporary, format).and_then(|()| {
                    std::fs::rename(&temporary, &self.out).map_err(|e| Error::io("rename", &temporary, e))
                });
                if let Err(error) = made {
                    let _ = std::fs::remove_file(&temporary);
                    return Err(Error::new(error.kind(), format!("{}; {}", error.message(), self.advice()))
                        .at(error.place().cloned().unwrap_or_else(|| Place::file(&self.out))));
                }
            }
        }
        sync_folder(&self.out)?;
        for path in [&self.partial_path, &self.journal_path] {
            match std::fs::remove_file(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io("remove", path, e));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn no_room(&self, error: io::Error) -> Error {
        let advice = self.advice();
        let message = io::Error::new(error.kind(), format!("{error}; {advice}"));
        Error::io("write the output", &self.partial_path, message)
    }

    fn advice(&self) -> String {
        format!(
            "the results of the first {} records are kept in {}: when there is room again, run the same command \
             again and it goes on from there",
            self.kept,
            self.partial_path.display()
        )
    }
}

/// Reads `bytes` bytes into `hash`; false if there are fewer.
fn feed(hash: &mut Xxh3, reader: &mut impl BufRead, mut bytes: u64) -> io::Result<bool> {
    while bytes > 0 {
        let available = reader.fill_buf()?;
        if available.is_empty() {
            return Ok(false);
        }
        let used = available.len().min(usize::try_from(bytes).unwrap_or(usize::MAX));
        hash.update(&available[..used]);
        reader.consume(used);
        bytes -= used as u64;
    }
    Ok(true)
}

fn truncate(file: &mut File, bytes: u64) -> io::Result<()> {
    file.set_len(bytes)?;
    file.seek(SeekFrom::Start(bytes)).map(drop)
}

fn line_of<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    let mut line =
        serde_json::to_vec(value).map_err(|e| Error::data(format!("cannot write the journal: {e}")))?;
    line.push(b'\n');
    Ok(line)
}

/// `OUT` with `suffix` behind its name.
fn beside(out: &Path, suffix: &str) -> Result<PathBuf> {
    let name = out
        .file_name()
        .ok_or_else(|| Error::new(ErrorKind::Io, "this is not the name of a file").at(Place::file(out)))?;
    let mut name = name.to_os_string();
    name.push(suffix);
    Ok(out.with_file_name(name))
}

/// The journal, open and locked for this process.
fn locked(path: &Path, out: &Path) -> Result<File> {
    loop {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|e| {
            let what = match path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
                    format!("create the output: the folder {} does not exist", folder.display())
                }
                _ => "create files beside the output".to_string(),
            };
            Error::io(&what, out, e)
        })?;
        if !lock(&file).map_err(|error| Error::io("lock the journal", path, error))? {
            let message = "another process is writing this output: wait for it, or name another file";
            return Err(Error::new(ErrorKind::Io, message).at(Place::file(out)));
        }
        // The process that held the lock removes the file when it is done: then this one has a file
        // that nobody else can find.
        if is_at(&file, path) {
            return Ok(file);
        }
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(there)) => open.ino() == there.ino() && open.dev() == there.dev(),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

/// Whether `error` says that the reader of a pipe has gone away.
pub fn is_closed_pipe(error: &Error) -> bool {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Reads the records of a file that a [`Sink`] wrote (lines, plain or packed), one after the other.
///
/// # Errors
/// Opening: as [`Source::open`](super::Source::open). Each item: the line is no `T`, with its place.
pub fn read_records<T: serde::de::DeserializeOwned>(
    path: &Path,
) -> Result<impl Iterator<Item = Result<T>> + use<T>> {
    let source = super::Source::open(&[path.to_path_buf()])?;
    Ok(source.map(|record| {
        let record = record?;
        let at = |error: Error| error.at(record.place.clone());
        match &record.body {
            super::Body::Fault(message) => Err(at(Error::data(message.clone()))),
            super::Body::Line(bytes) => serde_json::from_slice(bytes)
                .map_err(|e| at(Error::data(format!("this is not the record that was expected: {e}")))),
        }
    }))
}
