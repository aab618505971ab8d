//! Numbers in running text.
//!
//! Reads `1,200`, `1{,}200`, `.5`, `3.75`, and number words (`twice`, `dozen`). Leaves out what only looks like
//! a number in prose: list marks (`1. First`), step labels (`Step 2:`), digits inside words (`x2`).

use crate::trace::Span;

/// A number and where it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number {
    /// Its value.
    pub value: f64,
    /// The characters that were read, without sign, currency or unit.
    pub span: Span,
}

/// Longer numbers are no quantities and are left out.
const MOST_DIGITS: usize = 40;

/// Whether two values are the same number: equal up to a relative rounding of 1e-6.
pub fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * a.abs().max(b.abs()).max(1.0)
}

/// Whether two ascending lists have a number in common.
pub fn meet(a: &[f64], b: &[f64]) -> bool {
    let (mut i, mut j) = (0, 0);
    while i < a.len() && j < b.len() {
        if same(a[i], b[j]) {
            return true;
        }
        if a[i] < b[j] {
            i += 1;
        } else {
            j += 1;
        }
    }
    false
}

/// The numbers of `text`, appended to `numbers` in order.
pub fn scan(text: &str, numbers: &mut Vec<Number>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    // The last word, lower-cased by the reader: labels such as "step 2" are not quantities.
    let mut after_label = false;
    while at < bytes.len() {
        let byte = bytes[at];
        if byte.is_ascii_digit()
            || (byte == b'.' && next_is_digit(bytes, at + 1) && !follows_digit(bytes, at))
        {
            let (value, end) = read_number(bytes, at);
            let marker = is_list_mark(bytes, at, end);
            let (factor, length) = multiplier(&text[end..]);
            if !marker && !after_label && value.is_finite() && !is_subscript(bytes, at) {
                numbers.push(Number { value: value * factor, span: Span::new(at, end + length) });
            }
            after_label = false;
            at = end + length;
        } else if byte.is_ascii_alphabetic() {
            let end = word_end(bytes, at);
            let mut buffer = [0; 8];
            let word = lower(&text[at..end], &mut buffer);
            let is_command = bytes.get(at.wrapping_sub(1)) == Some(&b'\\');
            if let (false, Some(value)) = (is_command, number_word(word)) {
                numbers.push(Number { value, span: Span::new(at, end) });
            }
            after_label = is_label(word);
            at = end;
            if !is_command {
                // Digits glued to a word belong to it: x2, CO2, H1.
                while next_is_digit(bytes, at) {
                    at += 1;
                }
                continue;
            }
            // \frac12 has two arguments of one digit, \times12 has none.
            for _ in 0..arguments(word) {
                if next_is_digit(bytes, at) {
                    let value = f64::from(bytes[at] - b'0');
                    numbers.push(Number { value, span: Span::new(at, at + 1) });
                    at += 1;
                }
            }
        } else {
            if !matches!(byte, b' ' | b'*' | b'#' | b'\t') {
                after_label = false;
            }
            at += 1;
        }
    }
}

/// The digits of a name: `x_1`, `b_{12}`; not emphasis: `_12_`.
fn is_subscript(bytes: &[u8], at: usize) -> bool {
    let before = &bytes[..at];
    let name = before.strip_suffix(b"{").unwrap_or(before).strip_suffix(b"_");
    name.and_then(<[u8]>::last).is_some_and(|byte| byte.is_ascii_alphanumeric() || b"})".contains(byte))
}

/// How many arguments a command has that may go without braces.
fn arguments(command: Option<&[u8]>) -> usize {
    match command {
        Some(b"frac" | b"dfrac" | b"tfrac" | b"cfrac") => 2,
        Some(b"sqrt") => 1,
        _ => 0,
    }
}

/// What a word behind a number makes of it: `20k`, `240 thousand`; and the length of the word with the space before it.
fn multiplier(rest: &str) -> (f64, usize) {
    let word = rest.trim_start_matches(' ');
    let gap = rest.len() - word.len();
    let end = word.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(word.len());
    let factor = match (&word[..end], gap) {
        ("k" | "K", 0) | ("thousand", 0..=1) => 1e3,
        ("million", 0..=1) => 1e6,
        ("billion", 0..=1) => 1e9,
        _ => return (1.0, 0),
    };
    (factor, gap + end)
}

fn next_is_digit(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_some_and(u8::is_ascii_digit)
}

fn follows_digit(bytes: &[u8], at: usize) -> bool {
    at > 0 && bytes[at - 1].is_ascii_digit()
}

fn word_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() && bytes[at].is_ascii_alphabetic() {
        at += 1;
    }
    at
}

/// Reads the digits from `start`; returns the value and the end.
fn read_number(bytes: &[u8], start: usize) -> (f64, usize) {
    let mut at = start;
    let mut digits = [0u8; MOST_DIGITS];
    let mut len = 0;
    let mut push = |byte: u8| {
        if let Some(slot) = digits.get_mut(len) {
            *slot = byte;
        }
        len += 1;
    };
    while next_is_digit(bytes, at) {
        push(bytes[at]);
        at += 1;
    }
    // Thousands: at most three digits so far, then groups of exactly three.
    if (1..=3).contains(&(at - start)) {
        while let Some(group) = thousands_group(bytes, at) {
            for &byte in &bytes[group..group + 3] {
                push(byte);
            }
            at = group + 3;
        }
    }
    if bytes.get(at) == Some(&b'.') && next_is_digit(bytes, at + 1) {
        push(b'.');
        at += 1;
        while next_is_digit(bytes, at) {
            push(bytes[at]);
            at += 1;
        }
    }
    let value = digits.get(..len).and_then(|d| std::str::from_utf8(d).ok()?.parse().ok()).unwrap_or(f64::NAN);
    (value, at)
}

/// Where the next group of three digits starts, if one follows a separator at `at`.
fn thousands_group(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    let skip = [&b",\\!"[..], b",", b"{,}", b"\\,"].into_iter().find(|mark| rest.starts_with(mark))?.len();
    let group = rest.get(skip..skip + 3)?;
    let ends = !next_is_digit(rest, skip + 3);
    (group.iter().all(u8::is_ascii_digit) && ends).then_some(at + skip)
}

/// `1.` or `2)` at the start of a line, before a space.
fn is_list_mark(bytes: &[u8], start: usize, end: usize) -> bool {
    if end - start > 2 || !matches!(bytes.get(end), Some(b'.' | b')')) {
        return false;
    }
    if !matches!(bytes.get(end + 1), Some(b' ' | b'\t' | b'*')) {
        return false;
    }
    // Backwards over marks only, so that a long line costs nothing.
    let first = bytes[..start].iter().rev().find(|b| !matches!(b, b' ' | b'\t' | b'*' | b'#' | b'-'));
    matches!(first, None | Some(b'\n'))
}

/// `word` in lower case; `None` if it is longer than any word that is looked for.
fn lower<'a>(word: &str, buffer: &'a mut [u8; 8]) -> Option<&'a [u8]> {
    let lower = buffer.get_mut(..word.len())?;
    lower.copy_from_slice(word.as_bytes());
    lower.make_ascii_lowercase();
    Some(lower)
}

fn is_label(word: Option<&[u8]>) -> bool {
    let Some(word) = word else { return false };
    matches!(word, b"step" | b"steps" | b"part" | b"question" | b"case" | b"method" | b"approach" | b"option")
}

/// The value that a word stands for in arithmetic prose. "half" counts as 2, since it is
/// written as a division by 2 nearly always. "one" is left out: it is mostly a pronoun.
fn number_word(word: Option<&[u8]>) -> Option<f64> {
    Some(match word? {
        b"two" | b"twice" | b"double" | b"doubled" | b"half" => 2.0,
        b"three" | b"thrice" | b"triple" => 3.0,
        b"four" | b"quarter" => 4.0,
        b"five" => 5.0,
        b"six" => 6.0,
        b"seven" => 7.0,
        b"eight" => 8.0,
        b"nine" => 9.0,
        b"ten" => 10.0,
        b"eleven" => 11.0,
        b"twelve" | b"dozen" => 12.0,
        b"fifteen" => 15.0,
        b"twenty" => 20.0,
        b"thirty" => 30.0,
        b"forty" => 40.0,
        b"fifty" => 50.0,
        b"hundred" => 100.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<f64> {
        let mut numbers = Vec::new();
        scan(text, &mut numbers);
        numbers.iter().map(|n| n.value).collect()
    }

    #[test]
    fn reads_numbers_as_people_write_them() {
        let cases: &[(&str, &[f64])] = &[
            ("$1,200 and 3.75", &[1200.0, 3.75]),
            ("1{,}234{,}567 or 1\\,234", &[1_234_567.0, 1234.0]),
            (".5 of 10.", &[0.5, 10.0]),
            ("(1,2)", &[1.0, 2.0]),
            ("1,2345", &[1.0, 2345.0]),
            ("1,\\!764 and 20k, 240 thousand; 5 km, 3 kids", &[1764.0, 20_000.0, 240_000.0, 5.0, 3.0]),
            ("4/5=0.8", &[4.0, 5.0, 0.8]),
            ("half of a dozen", &[2.0, 12.0]),
            ("x2 CO2 a1b x_1 b_{12}", &[]),
            ("_12_ and __31__", &[12.0, 31.0]),
            ("3\\times12 \\frac12 \\dfrac{3}4 \\sqrt2", &[3.0, 12.0, 1.0, 2.0, 3.0, 4.0, 2.0]),
            ("2x + 3y", &[2.0, 3.0]),
            ("1. **First** 7", &[7.0]),
            ("  2) then 8", &[8.0]),
            ("Step 3: 9 apples, step 4", &[9.0]),
            ("so 3. Next", &[3.0]),
            ("3-egg omelet", &[3.0]),
            ("1.2.3", &[1.2, 3.0]),
            ("٣ ४", &[]),
            ("99999999999999999999999999999999999999999999999999 5", &[5.0]),
            ("", &[]),
        ];
        for (text, expected) in cases {
            let found = values(text);
            assert_eq!(found.len(), expected.len(), "{text:?}: {found:?}");
            for (a, b) in found.iter().zip(*expected) {
                assert!(same(*a, *b), "{text:?}: {found:?}");
            }
        }
    }

    #[test]
    fn spans_cover_the_digits() {
        let text = "paid $1,200.50 for two";
        let mut numbers = Vec::new();
        scan(text, &mut numbers);
        let read: Vec<&str> = numbers.iter().map(|n| n.span.of(text)).collect();
        assert_eq!(read, ["1,200.50", "two"]);
    }
}
