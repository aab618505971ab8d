//! The passages of a trace that may stand as an answer, found by their bytes: a sorted array of those suffixes of its
//! lines that begin a word (Manber and Myers, 1990), where a passage is a range of suffixes and a length.

use super::breaks::Around;
use crate::text::{numbers, tags};

/// The passages of a trace, and the values in it.
pub(super) struct Passages {
    /// The trace, a line break, and the values, one a line.
    text: Vec<u8>,
    /// Whether a passage may end in front of this byte.
    ends: Vec<bool>,
    /// Where passages begin and how far they may go, in the order of their bytes. A passage can end where it may go to.
    suffixes: Vec<(u32, u32)>,
}

/// What has been read of a passage: the suffixes that begin with it, and its length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Passage {
    from: u32,
    to: u32,
    len: u32,
}

impl Passages {
    /// The passages of `trace` of at most `most_chars` characters. A passage lies in one line, begins and ends where a
    /// word or number does, and could not be read as a step tag. The values are the numbers of the trace as plain
    /// digits (`1200` where it has `1,200`, `2` where it has `twice`).
    ///
    /// A number holds together over points, commas, exponents, and the apostrophes and no-break spaces between its
    /// thousands; not over plain spaces (`1 200`), which part two numbers as often as not.
    pub(super) fn new(trace: &str, most_chars: usize) -> Self {
        let mut text = String::with_capacity(trace.len() + 256);
        text.push_str(trace);
        text.push('\n');
        let values_from = text.len();
        for value in values(trace) {
            text.push_str(&value);
            text.push('\n');
        }
        let mut passages =
            Passages { ends: vec![false; text.len() + 1], suffixes: Vec::new(), text: Vec::new() };
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            let body = line.trim_end_matches('\n');
            if at < values_from {
                passages.add_line(body, at, most_chars);
            } else {
                passages.ends[at + body.len()] = true;
                passages.suffixes.push((at as u32, (at + body.len()) as u32));
            }
            at += line.len();
        }
        let bytes = text.into_bytes();
        let of = |&(start, end): &(u32, u32)| &bytes[start as usize..end as usize];
        passages.suffixes.sort_unstable_by(|a, b| of(a).cmp(of(b)).then(a.cmp(b)));
        passages.text = bytes;
        passages
    }

    /// Adds the passages of a line that stands at `offset`.
    fn add_line(&mut self, line: &str, offset: usize, most_chars: usize) {
        // Byte offsets of the characters, and behind each the last place up to there where a passage may end.
        let places: Vec<(usize, char)> = line.char_indices().collect();
        let around = |at: usize| Around {
            before: [1, 2, 3].map(|back| at.checked_sub(back).map(|at| places[at].1)),
            after: [0, 1, 2, 3, 4].map(|on| places.get(at + on).map(|place| place.1)),
        };
        let byte_at = |at: usize| places.get(at).map_or(line.len(), |place| place.0);
        let mut last_end = vec![0usize; places.len() + 1];
        let mut begins = vec![false; places.len() + 1];
        for at in 0..=places.len() {
            let around = around(at);
            let is_break = around.is_break();
            begins[at] = is_break && around.begins();
            let Some(before) = around.before[0] else { continue };
            let may_end = is_break && !tags::is_space(before);
            self.ends[offset + byte_at(at)] |= may_end;
            last_end[at] = if may_end { at } else { last_end[at - 1] };
        }
        let opens_tag = tag_starts(line, &places);
        for (at, &(byte, _)) in places.iter().enumerate() {
            let end = last_end[(at + most_chars).min(places.len())];
            if begins[at] && end > at && !opens_tag[at] {
                self.suffixes.push(((offset + byte) as u32, (offset + byte_at(end)) as u32));
            }
        }
    }

    /// Nothing read yet.
    pub(super) fn start(&self) -> Passage {
        Passage { from: 0, to: self.suffixes.len() as u32, len: 0 }
    }

    /// Whether there is no passage.
    pub(super) fn is_empty(&self) -> bool {
        self.suffixes.is_empty()
    }

    /// What follows in each suffix, in ascending order.
    pub(super) fn rests(&self, passage: Passage) -> impl Iterator<Item = &[u8]> + '_ {
        let Passage { from, to, len } = passage;
        self.suffixes[from as usize..to as usize]
            .iter()
            .map(move |&(start, end)| &self.text[(start + len) as usize..end as usize])
    }

    /// For each suffix whether a passage may end in front of the bytes of its rest, and behind the last one.
    pub(super) fn ends(&self, passage: Passage) -> impl Iterator<Item = &[bool]> + '_ {
        let Passage { from, to, len } = passage;
        self.suffixes[from as usize..to as usize]
            .iter()
            .map(move |&(start, end)| &self.ends[(start + len) as usize..=end as usize])
    }

    /// The passage with one more byte, if there is one.
    pub(super) fn push(&self, passage: Passage, byte: u8) -> Option<Passage> {
        let Passage { from, to, len } = passage;
        let range = &self.suffixes[from as usize..to as usize];
        // Suffixes that end here come first.
        let next =
            |&(start, end): &(u32, u32)| (start + len < end).then(|| self.text[(start + len) as usize]);
        let low = range.partition_point(|suffix| next(suffix).is_none_or(|b| b < byte));
        let high = low + range[low..].partition_point(|suffix| next(suffix) == Some(byte));
        (low < high).then_some(Passage { from: from + low as u32, to: from + high as u32, len: len + 1 })
    }

    /// The byte that must come next, if there is only one and the passage cannot end here.
    pub(super) fn only_byte(&self, passage: Passage) -> Option<u8> {
        let range = &self.suffixes[passage.from as usize..passage.to as usize];
        let next = |&(start, end): &(u32, u32)| {
            (start + passage.len < end).then(|| self.text[(start + passage.len) as usize])
        };
        let byte = next(range.first()?)?;
        (next(range.last()?) == Some(byte) && !self.may_end(passage)).then_some(byte)
    }

    /// Whether it may end here.
    pub(super) fn may_end(&self, passage: Passage) -> bool {
        passage.len > 0 && self.ends(passage).any(|ends| ends[0])
    }
}

/// The numbers of a text as plain digits, each once.
fn values(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    numbers::scan(text, &mut found);
    // A float of more digits would be written with digits that nobody wrote.
    let exact = |value: f64| value < 1e15;
    // `1` and `10` are no numbers of a text that has `1e-10`.
    let whole = |at: usize| !Around::of(text, at).in_long_number();
    let written = found
        .iter()
        .filter(|n| exact(n.value) && whole(n.span.start as usize) && whole(n.span.end as usize))
        .map(|n| n.value.to_string());
    let mut values: Vec<String> = written.filter(|digits| digits.len() <= 16).collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// Whether what begins at a character of a line would be read as a tag: at the bracket of one, and at the marks in front
/// of it. Looks at each character twice, however many marks and brackets there are.
fn tag_starts(line: &str, places: &[(usize, char)]) -> Vec<bool> {
    let mut starts = vec![false; places.len()];
    let (mut opens, mut next_bracket) = (false, line.len());
    for (at, &(byte, c)) in places.iter().enumerate().rev() {
        if c == '[' {
            // There is no bracket in a tag, so this text begins with one or has none.
            opens = tags::next(&line[byte..next_bracket], 0).is_some();
            next_bracket = byte;
        } else {
            opens &= matches!(c, '-' | '*' | '+' | '#' | '>') || tags::is_space(c);
        }
        starts[at] = opens;
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(passages: &Passages, text: &str) -> Option<bool> {
        text.bytes()
            .try_fold(passages.start(), |passage, byte| passages.push(passage, byte))
            .map(|passage| passages.may_end(passage))
    }

    #[test]
    fn passages_are_whole_words_of_one_line() {
        let trace =
            "So 3 * 1,200.50 = 3,601.5 dollars, twice.\nThen x_1 = -5 und Größe 東京は\n- [Answer 2]: no";
        let passages = Passages::new(trace, 600);
        for (text, expected) in [
            ("3 * 1,200.50", Some(true)),
            ("1,200.50", Some(true)),
            ("1,200", Some(false)),
            ("200", None),
            ("1200.5", Some(true)),
            ("3601.5", Some(true)),
            ("2", Some(true)),
            ("doll", Some(false)),
            ("ollars", None),
            ("dollars", Some(true)),
            ("dollars,", Some(true)),
            ("dollars, ", Some(false)),
            (", twice", None),
            ("twice.", Some(true)),
            ("twice.\n", None),
            ("-5 und Größe", Some(true)),
            ("-5 und Gr", Some(false)),
            ("_1", None),
            ("京", Some(true)),
            ("- [Answer", None),
            ("[Answer 2]", None),
            ("Answer 2]: no", Some(true)),
            ("2]", Some(true)),
            ("", Some(false)),
        ] {
            assert_eq!(reads(&passages, text), expected, "{text:?}");
        }
    }

    #[test]
    fn numbers_and_letters_are_kept_whole() {
        let trace = "h = 1.5e-10, 2E+3 and 10-5 = x-7; 1'200 or 3\u{202f}400 of cafe\u{301}s, \
            \u{928}\u{92e}\u{938}\u{94d}\u{924}\u{947} at .25 (-8), 7' and 5 600\nnot -9 but 5 e-6 in l'an 1e";
        let passages = Passages::new(trace, 600);
        for (text, expected) in [
            ("1.5e-10", Some(true)),
            ("1.5e", Some(false)),
            ("1.5", Some(false)),
            ("10 ", None),
            ("10, ", None),
            ("-10", None),
            ("2E+3", Some(true)),
            ("2E", Some(false)),
            ("3 and", None),
            ("+3", None),
            ("10-5", Some(true)),
            ("10", Some(true)),
            ("5", Some(true)),
            ("-5", None),
            ("x-7", Some(true)),
            ("-7", None),
            ("7;", Some(true)),
            ("1'200", Some(true)),
            ("1'", Some(false)),
            ("200", None),
            ("3\u{202f}400", Some(true)),
            ("400", None),
            ("cafe", Some(false)),
            ("cafe\u{301}", Some(false)),
            ("cafe\u{301}s", Some(true)),
            ("s,", None),
            ("\u{928}\u{92e}\u{938}", Some(false)),
            ("\u{928}\u{92e}\u{938}\u{94d}", Some(false)),
            ("\u{928}\u{92e}\u{938}\u{94d}\u{924}\u{947}", Some(true)),
            (".25", Some(true)),
            ("25", None),
            ("-8", Some(true)),
            ("7'", Some(true)),
            ("600", Some(true)),
            ("-9", Some(true)),
            ("e-6", Some(true)),
            ("an", Some(true)),
            ("1e", Some(true)),
        ] {
            assert_eq!(reads(&passages, text), expected, "{text:?}");
        }
        assert_eq!(reads(&Passages::new("1 and 1e-10 is 2'500", 600), "1"), Some(true));
        assert_eq!(reads(&Passages::new("so 1e-10", 600), "1"), Some(false));
        assert_eq!(reads(&Passages::new("2'500", 600), "500"), None);
    }

    #[test]
    fn every_passage_can_be_brought_to_an_end() {
        let trace = "aaaaaaaaaaaaaaaaaaaa bb cccc";
        let passages = Passages::new(trace, 8);
        assert_eq!(reads(&passages, "aa"), None);
        assert_eq!(reads(&passages, "bb cccc"), Some(true));
        let passages = Passages::new(trace, 5);
        assert_eq!(reads(&passages, "bb"), Some(true));
        assert_eq!(reads(&passages, "bb "), None);
        assert!(Passages::new(" \n\t", 8).is_empty());
        assert!(Passages::new("[Answer 1]", 8).suffixes.iter().all(|&(start, _)| start > 0));
    }

    /// Lines on which a search for the tag from every mark, or to every bracket, would take the square of their length.
    #[test]
    fn long_lines_of_marks_and_brackets_are_read() {
        let marks = "-".repeat(780_000);
        let passages = Passages::new(&format!("{marks}[Answer 1] yes"), 24);
        for (text, expected) in [
            ("yes", Some(true)),
            ("Answer 1] yes", Some(true)),
            ("[Answer 1] yes", None),
            ("--[Answer 1] yes", None),
            ("---", None),
        ] {
            assert_eq!(reads(&passages, text), expected, "{text:?}");
        }
        let passages = Passages::new(&format!("{marks}[Answers] yes"), 24);
        assert_eq!(reads(&passages, "--[Answers] yes"), Some(true));
        let passages = Passages::new(&format!("{}[Answer 1] yes", "[".repeat(780_000)), 24);
        assert_eq!(reads(&passages, "[[[Answer 1] yes"), Some(true));
        assert_eq!(reads(&passages, "[Answer 1] yes"), None);
    }

    #[test]
    fn what_must_come_next_is_known() {
        let passages = Passages::new("the cat, the cow", 600);
        let read = |text: &str| text.bytes().try_fold(passages.start(), |p, b| passages.push(p, b)).unwrap();
        assert_eq!(passages.only_byte(read("th")), Some(b'e'));
        assert_eq!(passages.only_byte(read("the")), None);
        assert_eq!(passages.only_byte(read("the ")), Some(b'c'));
        assert_eq!(passages.only_byte(read("the c")), None);
    }
}
