//! Event files as TensorBoard reads them: records of TensorFlow, each a message `Event` of protocol buffers.
//!
//! Record: length (u64), its checksum, the bytes, their checksum; all little-endian. The checksum is CRC-32C, rotated
//! and moved by a constant (`masked_crc32c_of` in TensorFlow's `record_writer`).

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::Entry;
use crate::error::{Error, Result};

/// A file of events that grows.
pub struct Events {
    path: PathBuf,
    file: File,
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

impl Events {
    /// Begins a file in a folder, behind a step; TensorBoard reads all that are there, and forgets what an earlier file has
    /// of later steps.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(folder: &Path, step: u64) -> Result<Self> {
        let name = format!("events.out.tfevents.{:.6}.rlkd.{}", now(), std::process::id());
        let path = folder.join(name);
        let file = File::create(&path).map_err(|error| Error::io("create the event file", &path, error))?;
        let mut events = Events { path, file };
        // Field 1: the time; field 3: the version of the form.
        let mut event = vec![0x09];
        event.extend_from_slice(&now().to_le_bytes());
        bytes_field(&mut event, 3, b"brain.Event:2");
        events.put(&event)?;
        if step > 0 {
            // Field 7: a log of the session, which says that it starts.
            let mut event = vec![0x09];
            event.extend_from_slice(&now().to_le_bytes());
            event.push(0x10);
            varint(&mut event, step);
            bytes_field(&mut event, 7, &[0x08, 0x01]);
            events.put(&event)?;
        }
        Ok(events)
    }

    /// Adds the values of a step: `train/loss`, `eval/loss` and the like.
    ///
    /// # Errors
    /// The disk is full, or the like.
    pub fn add(&mut self, entry: &Entry) -> Result<()> {
        self.put(&event(now(), entry))
    }

    fn put(&mut self, event: &[u8]) -> Result<()> {
        let written = self.file.write_all(&record(event));
        written.map_err(|error| Error::io("write the event file", &self.path, error))
    }
}

/// A message `Event` with a summary of values.
fn event(time: f64, entry: &Entry) -> Vec<u8> {
    let mut event = vec![0x09];
    event.extend_from_slice(&time.to_le_bytes());
    event.push(0x10);
    varint(&mut event, entry.step);
    let mut summary = Vec::new();
    let epoch = ("epoch".to_owned(), entry.epoch);
    for (name, value) in entry.values.iter().chain([(&epoch.0, &epoch.1)]) {
        let tag = match name.strip_prefix("eval_") {
            Some(name) => format!("eval/{name}"),
            None => format!("train/{name}"),
        };
        // Value: field 1 the tag, field 2 a float.
        let mut one = Vec::new();
        bytes_field(&mut one, 1, tag.as_bytes());
        one.push(0x15);
        one.extend_from_slice(&(*value as f32).to_le_bytes());
        bytes_field(&mut summary, 1, &one);
    }
    bytes_field(&mut event, 5, &summary);
    event
}

fn record(event: &[u8]) -> Vec<u8> {
    let length = (event.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend_from_slice(&masked(&length).to_le_bytes());
    record.extend_from_slice(event);
    record.extend_from_slice(&masked(event).to_le_bytes());
    record
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn bytes_field(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// CRC-32C (Castagnoli), bit by bit: events are few and short.
fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard() {
        // RFC 3720, B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn an_event_is_what_tensorflow_writes() {
        let entry = Entry { step: 300, epoch: 1.0, values: [("eval_loss".to_owned(), 0.5)].into() };
        let event = event(1.0, &entry);
        let mut expected = vec![0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x10, 0xac, 0x02, 0x2a, 38];
        expected.extend_from_slice(&[0x0a, 16, 0x0a, 9]);
        expected.extend_from_slice(b"eval/loss");
        expected.extend_from_slice(&[0x15, 0, 0, 0, 0x3f, 0x0a, 18, 0x0a, 11]);
        expected.extend_from_slice(b"train/epoch");
        expected.extend_from_slice(&[0x15, 0, 0, 0x80, 0x3f]);
        assert_eq!(event, expected);
        let record = record(&event);
        assert_eq!(record.len(), event.len() + 16);
    }
}
