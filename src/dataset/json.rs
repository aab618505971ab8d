//! JSON text to values, with the byte at which it is wrong; and paths into values.

use std::collections::HashMap;
use std::fmt;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::{Error, Place, Result};

/// Reads one JSON value from bytes: RFC 8259, at most 128 levels deep, UTF-8. Of keys that occur
/// twice the last counts.
///
/// # Errors
/// The bytes are not UTF-8 or not JSON. The place has line 1 of `-` and the byte offset.
pub fn parse_json(bytes: &[u8]) -> Result<Value> {
    parse_json_at(bytes, &Place::line("-", 1))
}

/// [`parse_json`] for a line of a file.
pub(super) fn parse_json_at(bytes: &[u8], place: &Place) -> Result<Value> {
    let at = |byte: usize| Place { byte: Some(byte as u64), ..place.clone() };
    let text = std::str::from_utf8(bytes)
        .map_err(|e| Error::data("the line is not UTF-8").at(at(e.valid_up_to())))?;
    serde_json::from_str(text).map_err(|error| {
        let byte = byte_of(text, error.line(), error.column());
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        Error::data(format!("the line is not JSON: {message}")).at(at(byte))
    })
}

/// serde_json counts lines and columns (in bytes) from 1.
fn byte_of(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (before + column.saturating_sub(1)).min(text.len())
}

/// A path to a value inside a record: `name`, `a.b`, `a[0].b`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Key(String),
    Index(usize),
}

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// An empty name, a bracket without an index or without its partner.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            let message = format!("`{text}` is not a column: write NAME, OUTER.INNER or NAME[INDEX]");
            Error::config(message)
        };
        let mut parts = Vec::new();
        for piece in text.split('.') {
            let (name, mut rest) = piece.split_at(piece.find('[').unwrap_or(piece.len()));
            if name.is_empty() {
                return Err(wrong());
            }
            parts.push(Part::Key(name.to_string()));
            while !rest.is_empty() {
                let (index, tail) =
                    rest.strip_prefix('[').and_then(|r| r.split_once(']')).ok_or_else(wrong)?;
                parts.push(Part::Index(index.parse().map_err(|_| wrong())?));
                rest = tail;
            }
        }
        Ok(Path { text: text.to_string(), parts })
    }

    /// The value at this path. A key that is spelled exactly like the whole path comes first.
    pub fn get<'v>(&self, record: &'v Value) -> Option<&'v Value> {
        if let Some(value) = record.get(&self.text) {
            return Some(value);
        }
        self.parts.iter().try_fold(record, |value, part| match part {
            Part::Key(name) => value.get(name),
            Part::Index(index) => value.get(index),
        })
    }

    /// The first part of the path.
    pub(super) fn head(&self) -> &str {
        match self.parts.first() {
            Some(Part::Key(name)) => name,
            _ => &self.text,
        }
    }

    /// The text of the value at this path just as `json` wrote it. [`Self::get`] loses the spelling of
    /// numbers (`1e3`, `0.50`, more digits than a double holds).
    pub(super) fn spelling<'j>(&self, json: &'j str) -> Option<&'j str> {
        let object = |json| serde_json::from_str::<HashMap<String, &RawValue>>(json).ok();
        if let Some(value) = object(json)?.get(&self.text) {
            return Some(value.get());
        }
        self.parts.iter().try_fold(json, |json, part| match part {
            Part::Key(name) => object(json)?.get(name).map(|value| value.get()),
            Part::Index(index) => {
                serde_json::from_str::<Vec<&RawValue>>(json).ok()?.get(*index).map(|value| value.get())
            }
        })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_lead_into_records() {
        let record = json!({"a": {"b": [10, {"c": "x"}]}, "a.b": 7, "d": [[1, 2]]});
        for (path, expected) in [
            ("a.b", Some(json!(7))),
            ("a.b[1].c", Some(json!("x"))),
            ("d[0][1]", Some(json!(2))),
            ("e", None),
        ] {
            let path = Path::parse(path).expect("a path");
            assert_eq!(path.get(&record).cloned(), expected, "{path}");
        }
        for wrong in ["", "a..b", "a[", "a[x]", "a[0]b", ".a", "[0]"] {
            assert!(Path::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_keep_their_spelling() {
        let json = r#"{"n": 27.0, "o": {"big": [123456789012345678901234567890, 1e3]}, "n": 0.50}"#;
        for (path, expected) in
            [("n", "0.50"), ("o.big[0]", "123456789012345678901234567890"), ("o.big[1]", "1e3")]
        {
            assert_eq!(Path::parse(path).expect("a path").spelling(json), Some(expected));
        }
    }

    #[test]
    fn errors_say_at_which_byte() {
        for (bytes, byte, message) in [
            (&b"{\"a\": tru}"[..], 9, "the line is not JSON: expected ident"),
            (b"{\"a\"\xff}", 4, "the line is not UTF-8"),
            (b"{\"a\": NaN}", 6, "the line is not JSON: expected value"),
            (b"", 0, "the line is not JSON: EOF while parsing a value"),
        ] {
            let error = parse_json(bytes).expect_err("wrong");
            assert_eq!(error.message(), message);
            assert_eq!(error.place().and_then(|p| p.byte), Some(byte), "{error}");
        }
        let deep = "[".repeat(100_000);
        assert!(parse_json(deep.as_bytes()).expect_err("deep").message().contains("recursion limit"));
    }
}
