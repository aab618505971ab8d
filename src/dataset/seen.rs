//! Ids that were seen before.

use std::path::PathBuf;

use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Place, Result};

/// Remembers the ids of a run to find those that occur twice.
///
/// It keeps a 64-bit hash (xxh3) and the place of each id, not the id: about 17 bytes a record (up
/// to twice that just after the table has grown), with room for 917,504 records from the start. Two ids
/// that differ are taken for the same with a chance of about n²/2^65 over a run of n records: 3·10⁻⁸
/// for a million, 3·10⁻⁴ for a hundred million.
#[derive(Debug)]
pub struct SeenIds {
    places: FxHashMap<u64, u64>,
    files: Vec<PathBuf>,
}

/// Bits of a place that hold the line; the rest hold the file.
const LINE_BITS: u32 = 44;

impl Default for SeenIds {
    fn default() -> Self {
        Self::new()
    }
}

impl SeenIds {
    /// Knows no id yet.
    pub fn new() -> Self {
        // 7/8 of a table of 2^20 slots can be filled.
        SeenIds {
            places: FxHashMap::with_capacity_and_hasher((1 << 20) / 8 * 7, Default::default()),
            files: Vec::new(),
        }
    }

    /// Notes that `id` occurs at `place`.
    ///
    /// # Errors
    /// It occurred before: both places are named. The first place stays noted.
    pub fn check(&mut self, id: &str, place: &Place) -> Result<()> {
        let file = match self.files.iter().rposition(|known| *known == place.file) {
            Some(file) => file,
            None => {
                self.files.push(place.file.clone());
                self.files.len() - 1
            }
        };
        let line = place.line.min((1 << LINE_BITS) - 1);
        match self.places.entry(xxh3_64(id.as_bytes())) {
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert((file as u64) << LINE_BITS | line);
                Ok(())
            }
            std::collections::hash_map::Entry::Occupied(entry) => {
                let (file, line) = (entry.get() >> LINE_BITS, entry.get() & ((1 << LINE_BITS) - 1));
                let first = match self.files.get(file as usize) {
                    Some(file) => Place::line(file, line).to_string(),
                    None => format!("line {line}"),
                };
                Err(Error::data(format!(
                    "the id `{}` was used before, at {first}: give each record its own",
                    shortened(id)
                ))
                .at(place.clone()))
            }
        }
    }
}

fn shortened(id: &str) -> String {
    if id.chars().count() <= 80 { id.to_string() } else { id.chars().take(79).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_places_are_named() {
        let mut seen = SeenIds::new();
        seen.check("a", &Place::line("x.jsonl", 1)).expect("first");
        seen.check("b", &Place::line("x.jsonl", 2)).expect("first");
        seen.check("c", &Place::line("y.jsonl", 1)).expect("first");
        let error = seen.check("b", &Place::line("y.jsonl", 7)).expect_err("second");
        assert_eq!(
            error.to_string(),
            "y.jsonl:7: the id `b` was used before, at x.jsonl:2: give each record its own"
        );
        let error = seen.check("b", &Place::line("y.jsonl", 9)).expect_err("third");
        assert!(error.message().contains("x.jsonl:2"), "{error}");
    }
}
