//! Reading a suite's JSONL file.

use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::error::{Error, Place, Result};

/// Every record of the file at `path`, each with its line number (from 1); blank lines are left out.
///
/// # Errors
/// If the file cannot be read, or a line is not a record of this form; the line is named.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<(u64, T)>> {
    let file = std::fs::File::open(path).map_err(|e| Error::io("open the suite's file", path, e))?;
    let mut reader = BufReader::new(file);
    let mut records = Vec::new();
    let mut line = String::new();
    for number in 1.. {
        line.clear();
        if reader.read_line(&mut line).map_err(|e| Error::io("read the suite's file", path, e))? == 0 {
            break;
        }
        if line.trim().is_empty() {
            continue;
        }
        let record = serde_json::from_str(&line).map_err(|e| {
            Error::data(format!("not a record of this suite: {e}")).at(Place::line(path, number))
        })?;
        records.push((number, record));
    }
    Ok(records)
}
