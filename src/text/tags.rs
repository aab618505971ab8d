//! Step tags such as `[Query 1]:`, in every spelling: what counts as one, and where.
//!
//! Reader and writer of tagged text share this, so that what one writes the other reads back.

use std::sync::LazyLock;

use memchr::memchr_iter;
use regex::Regex;

/// What may stand in a tag between its words and its number: hyphens, underscores, any white space, or nothing.
/// Python's `\s` has the four separators U+001C to U+001F as well.
const PATTERN: &str = r"(?ix) ^
    \[ [\s\x1c-\x1f]*
    (?: (me(?:at|ta) SEP reasoning | sub SEP think)
      | (query | sub SEP problem)
      | (answer) )
    SEP \d* [\s\x1c-\x1f]* \]";

static TAG: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = PATTERN.replace("SEP", r"[-_\s\x1c-\x1f]*");
    Regex::new(&pattern).expect("a fixed pattern")
});

/// A tag in a text; positions are bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Which part it opens: 0 meta-reasoning, 1 sub-problem, 2 answer.
    pub part: usize,
    /// Where it begins, list marks and bold marks in front of it included.
    pub start: usize,
    /// Its `[`.
    pub bracket: usize,
    /// Where the text of the part begins: behind the tag and its colon.
    pub text: usize,
}

impl Tag {
    /// The same tag in a text that has `by` bytes more in front.
    #[must_use]
    pub fn shifted(self, by: usize) -> Self {
        Tag { part: self.part, start: self.start + by, bracket: self.bracket + by, text: self.text + by }
    }
}

/// Python's `str.isspace` for one character: Unicode white space and the four separators U+001C to U+001F.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Python's `str.strip`.
pub fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// What may stand in front of a tag on its line: white space, and the marks of lists, headings, quotes and bold type.
fn is_mark(c: char) -> bool {
    matches!(c, '-' | '*' | '+' | '#' | '>') || (is_space(c) && c != '\n')
}

/// The first tag of `text` at or after `from`, which is 0 or the [`Tag::text`] of the tag before.
///
/// A tag counts at the start of a line, and directly behind another tag; in front of it may stand white space, list
/// marks and `**`. Spelling: any case; hyphen, underscore, white space or nothing between the words and before the
/// number; with or without a number and a colon. The time is linear in the distance to the tag.
pub fn next(text: &str, from: usize) -> Option<Tag> {
    let rest = text.get(from..)?;
    memchr_iter(b'[', rest.as_bytes()).find_map(|at| {
        let before = &rest[..at];
        let start = before.trim_end_matches(is_mark).len();
        if start > 0 && !before[..start].ends_with('\n') {
            return None;
        }
        let found = TAG.captures(&rest[at..])?;
        let part = (0..3).find(|&part| found.get(part + 1).is_some())?;
        let end = at + found.get_match().len();
        let text = from + end + colon(&rest[end..], before.ends_with("**"));
        Some(Tag { part, start: from + start, bracket: from + at, text })
    })
}

/// Length of what closes a tag: the end of bold type if it was begun, and a colon on the same line.
fn colon(after: &str, bold: bool) -> usize {
    let close = |rest: &str| if bold { rest.strip_prefix("**").map(str::len) } else { None };
    let closed = close(after);
    let rest = &after[after.len() - closed.unwrap_or(after.len())..];
    let line = rest.trim_start_matches(|c| is_space(c) && c != '\n');
    let Some(rest) = line.strip_prefix([':', '：']) else { return after.len() - rest.len() };
    let rest = match closed {
        None => &rest[rest.len() - close(rest).unwrap_or(rest.len())..],
        Some(_) => rest,
    };
    after.len() - rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_read() {
        for (text, part, rest) in [
            ("[sub-think 1]: a", 0, " a"),
            ("[Query 12] a", 1, " a"),
            ("[Answer 1]:a", 2, "a"),
            ("[Meat-reasoning 1]: a", 0, " a"),
            ("[Meta-reasoning 1]: a", 0, " a"),
            ("[Sub-problem 1]: a", 1, " a"),
            ("[META REASONING]", 0, ""),
            ("[sub_problem\u{a0}\t3]", 1, ""),
            ("[SubThink3]", 0, ""),
            ("[Query\n3]a", 1, "a"),
            ("[answer \u{663}] : a", 2, " a"),
            ("[ Answer 1 ]: a", 2, " a"),
            ("- [Query 1]: a", 1, " a"),
            (" * **[Query 1]:** a", 1, " a"),
            ("**[Query 1]**: a", 1, " a"),
            ("**[Query 1]** a", 1, " a"),
            ("[Query 1] **a**", 1, " **a**"),
            ("## [Query 1]：a", 1, "a"),
            ("text\n[Query 1]: a", 1, " a"),
            ("text\r\n\t[Query 1]: a", 1, " a"),
        ] {
            let tag = next(text, 0).unwrap_or_else(|| panic!("{text:?}"));
            assert_eq!((tag.part, &text[tag.text..]), (part, rest), "{text:?}");
        }
    }

    #[test]
    fn other_brackets_are_no_tags() {
        for text in [
            "",
            "[",
            "[Query",
            "[Query 1",
            "Query 1]",
            "[Query x]",
            "[Queries 1]",
            "text [Query 1]",
            "[note]",
            "[1, 2]",
            "\\[Query 1]",
            "[Query 1.5]",
            "[[Query 1]]",
            "[meta 1]",
        ] {
            assert_eq!(next(text, 0), None, "{text:?}");
        }
    }

    #[test]
    fn a_tag_may_follow_a_tag() {
        let text = "[Query 1]: [Answer 1]: 4 [Query 2]";
        let first = next(text, 0).unwrap();
        let second = next(text, first.text).unwrap();
        assert_eq!((second.part, second.start, &text[second.text..]), (2, 10, " 4 [Query 2]"));
        assert_eq!(next(text, second.text), None);
    }
}
