//! Rows of a Parquet file as JSON.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::{ReaderIter, TreeBuilder};

use super::stream::Watch;

/// The rows of one file, a row group at a time.
pub(super) struct Rows {
    reader: SerializedFileReader<File>,
    group: usize,
    row: u64,
    /// The row after the last of the open row group, from 1.
    next_group_row: u64,
    iter: Option<ReaderIter>,
}

impl Rows {
    /// Reads the file's schema and index.
    ///
    /// # Errors
    /// It is not a whole Parquet file; in words.
    pub fn open(file: File) -> Result<Self, String> {
        let reader = guarded(|| SerializedFileReader::new(file))
            .map_err(|e| format!("cannot read the Parquet file: {e}"))?;
        Ok(Rows { reader, group: 0, row: 0, next_group_row: 1, iter: None })
    }

    /// The next row with its number, from 1, as JSON or with what is wrong with it. A row group that
    /// is damaged is left at its first bad row.
    pub fn next_row(&mut self, watch: &Watch) -> Option<(u64, Result<Vec<u8>, String>)> {
        loop {
            if let Some(iter) = &mut self.iter {
                match guarded(|| iter.next().transpose()) {
                    Ok(Some(row)) => {
                        self.row += 1;
                        let json = serde_json::to_vec(&row.to_json_value()).map_err(|e| e.to_string());
                        return Some((self.row, json));
                    }
                    Ok(None) => self.iter = None,
                    Err(error) => {
                        self.iter = None;
                        return Some((self.row + 1, Err(self.fault(&error))));
                    }
                }
            }
            let group = self.group;
            let facts = self.reader.metadata().row_groups().get(group)?;
            watch.bytes.fetch_add(facts.compressed_size().max(0) as u64, Ordering::Relaxed);
            self.row = self.next_group_row - 1;
            self.next_group_row += facts.num_rows().max(0) as u64;
            self.group += 1;
            let reader = &self.reader;
            match guarded(|| {
                let descr = reader.metadata().file_metadata().schema_descr_ptr();
                TreeBuilder::new().as_iter(descr, &*reader.get_row_group(group)?)
            }) {
                Ok(iter) => self.iter = Some(iter),
                Err(error) => return Some((self.row + 1, Err(self.fault(&error)))),
            }
        }
    }

    fn fault(&self, error: &str) -> String {
        format!(
            "cannot read this row of the Parquet file ({error}); the rest of its row group, up to row {}, is \
             passed over",
            self.next_group_row - 1
        )
    }
}

/// Runs a step of the Parquet reader, which panics on some damaged files.
fn guarded<T>(step: impl FnOnce() -> parquet::errors::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("its content contradicts itself".to_string()),
    }
}
