//! Lines of bytes with a bound on their length.

use std::io::{self, BufRead};

use memchr::memchr;
use xxhash_rust::xxh3::Xxh3;

/// What [`LineReader::next_line`] met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// A line; the buffer holds it without its end (`\n` or `\r\n`).
    Whole,
    /// A line of `length` bytes, more than the limit. It was passed over; the buffer is empty.
    TooLong {
        /// How long it is, in bytes, without its end.
        length: u64,
    },
    /// The end of the input.
    End,
}

/// Reads line by line, never holding more of a line than `limit` bytes.
#[derive(Debug)]
pub struct LineReader<R> {
    reader: R,
    limit: usize,
    line: u64,
    at_start: bool,
}

impl<R: BufRead> LineReader<R> {
    /// A reader whose lines have at most `limit` bytes.
    pub fn new(reader: R, limit: usize) -> Self {
        LineReader { reader, limit, line: 0, at_start: true }
    }

    /// The number of the line that was read last, from 1; while [`Self::next_line`] returns an
    /// error, the number of the line that broke off.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Reads the next line into `buffer`, feeding every byte that it passes into `hash`.
    /// A byte order mark at the start of the input is passed over.
    ///
    /// # Errors
    /// What the reader reports; a line that was begun is dropped.
    pub fn next_line(&mut self, buffer: &mut Vec<u8>, hash: &mut Xxh3) -> io::Result<Line> {
        buffer.clear();
        let mut length = 0u64;
        let mut begun = false;
        let ended = loop {
            let available = match self.reader.fill_buf() {
                Ok(available) => available,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => {
                    self.line += u64::from(!begun);
                    return Err(e);
                }
            };
            if available.is_empty() {
                break false;
            }
            if !begun {
                begun = true;
                self.line += 1;
            }
            let end = memchr(b'\n', available);
            let part = &available[..end.unwrap_or(available.len())];
            length += part.len() as u64;
            // One byte over the limit is kept, so that the `\r` of a full line does not count.
            if length <= self.limit as u64 + 1 {
                buffer.extend_from_slice(part);
            } else {
                *buffer = Vec::new();
            }
            let used = part.len() + usize::from(end.is_some());
            hash.update(&available[..used]);
            self.reader.consume(used);
            if end.is_some() {
                break true;
            }
        };
        if !begun {
            return Ok(Line::End);
        }
        if ended && length <= self.limit as u64 + 1 && buffer.last() == Some(&b'\r') {
            buffer.pop();
            length -= 1;
        }
        if std::mem::take(&mut self.at_start) && buffer.starts_with(b"\xef\xbb\xbf") {
            buffer.drain(..3);
            length -= 3;
        }
        if length > self.limit as u64 {
            *buffer = Vec::new();
            return Ok(Line::TooLong { length });
        }
        Ok(Line::Whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn all(input: &[u8], limit: usize, capacity: usize) -> Vec<(u64, Line, String)> {
        let mut reader = LineReader::new(BufReader::with_capacity(capacity, input), limit);
        let (mut buffer, mut hash, mut out) = (Vec::new(), Xxh3::new(), Vec::new());
        loop {
            match reader.next_line(&mut buffer, &mut hash).expect("bytes do not fail") {
                Line::End => {
                    assert_eq!(hash.digest(), xxhash_rust::xxh3::xxh3_64(input));
                    return out;
                }
                line => out.push((reader.line(), line, String::from_utf8_lossy(&buffer).into_owned())),
            }
        }
    }

    #[test]
    fn lines_are_cut_alike_for_every_buffer_size() {
        let input = b"\xef\xbb\xbfab\r\n\ncd\n12345\r\n123456\n1234567\nend";
        for capacity in [1, 2, 3, 5, 64] {
            let whole = |line, text: &str| (line, Line::Whole, text.to_string());
            assert_eq!(
                all(input, 5, capacity),
                vec![
                    whole(1, "ab"),
                    whole(2, ""),
                    whole(3, "cd"),
                    whole(4, "12345"),
                    (5, Line::TooLong { length: 6 }, String::new()),
                    (6, Line::TooLong { length: 7 }, String::new()),
                    whole(7, "end"),
                ]
            );
        }
        assert!(all(b"", 5, 8).is_empty());
    }
}
