//! What a training run tells of itself: lines of JSON, and event files for TensorBoard. Names are those of TRL.

pub mod tensorboard;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The file of lines of JSON in a run's folder.
pub const FILE: &str = "metrics.jsonl";

/// The values of a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Optimiser steps that were taken.
    pub step: u64,
    /// Passes over the training data, in parts.
    pub epoch: f64,
    /// Values by name, such as `loss` or `eval_loss`.
    #[serde(flatten)]
    pub values: BTreeMap<String, f64>,
}

/// A file of lines that a run goes on writing where its checkpoint was.
pub struct Lines {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Lines {
    /// Goes on behind the first `bytes` bytes: what a killed run wrote after its last checkpoint is written once more.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn open(path: PathBuf, bytes: u64) -> Result<Self> {
        let failed = |error| Error::io("write", &path, error);
        let open = || OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let mut file = open().map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        // Somebody may have shortened it; no number of the run depends on it.
        let bytes = bytes.min(length);
        file.set_len(bytes).map_err(failed)?;
        std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).map_err(failed)?;
        Ok(Lines { path, file, bytes })
    }

    /// Adds a line.
    ///
    /// # Errors
    /// The disk is full, or the like.
    pub fn add(&mut self, line: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(line).map_err(|error| Error::engine(error.to_string()))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(|error| Error::io("write", &self.path, error))?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// How many bytes there are: what [`Self::open`] is to be given.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Sees it through to the disk.
    ///
    /// # Errors
    /// The disk is full, or the like.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|error| Error::io("write", &self.path, error))
    }
}

/// Writes entries to both.
pub struct Log {
    lines: Lines,
    events: tensorboard::Events,
}

impl Log {
    /// Goes on with the log of a folder behind its first `bytes` bytes, which tell of `step` steps: what a killed run wrote after its last
    /// checkpoint is written once more.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn open(folder: &Path, bytes: u64, step: u64) -> Result<Self> {
        let lines = Lines::open(folder.join(FILE), bytes)?;
        Ok(Log { lines, events: tensorboard::Events::create(folder, step)? })
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// The disk is full, or the like.
    pub fn add(&mut self, entry: &Entry) -> Result<()> {
        self.lines.add(entry)?;
        self.events.add(entry)
    }

    /// How many bytes of the lines there are: what [`Self::open`] is to be given.
    pub fn bytes(&self) -> u64 {
        self.lines.bytes()
    }

    /// Sees it through to the disk.
    ///
    /// # Errors
    /// The disk is full, or the like.
    pub fn sync(&self) -> Result<()> {
        self.lines.sync()
    }
}

/// The most memory that the process has had so far, in GB, where the system says so (Linux).
pub fn peak_memory() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0 / 1e9)
}

/// Reads the lines of a run's folder; a line that was cut by a kill ends it.
///
/// # Errors
/// There are none, or they cannot be read.
pub fn read(folder: &Path) -> Result<Vec<Entry>> {
    let path = folder.join(FILE);
    let text = std::fs::read_to_string(&path).map_err(|error| Error::io("read the metrics", &path, error))?;
    let mut entries = Vec::new();
    for line in text.lines() {
        match serde_json::from_str(line) {
            Ok(entry) => entries.push(entry),
            Err(_) => break,
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_goes_on_where_a_checkpoint_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let entry =
            |step: u64| Entry { step, epoch: 0.5, values: [("loss".to_owned(), 1.5 / step as f64)].into() };
        let mut log = Log::open(folder.path(), 0, 0).expect("a log");
        log.add(&entry(1)).expect("added");
        let kept = log.bytes();
        log.add(&entry(2)).expect("added");
        drop(log);
        let mut log = Log::open(folder.path(), kept, 1).expect("a log");
        log.add(&entry(3)).expect("added");
        assert_eq!(read(folder.path()).expect("read"), [entry(1), entry(3)]);
        let log = Log::open(folder.path(), 1 << 20, 9).expect("a log that was shortened");
        assert!(log.bytes() < 1000);
    }
}
