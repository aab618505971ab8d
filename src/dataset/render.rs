//! Step lists as canonical tagged text.

use std::borrow::Cow;

/// The tags of the canonical form, in the order of a step's parts.
pub const TAGS: [&str; 3] = ["Meta-reasoning", "Sub-problem", "Answer"];

/// Every spelling of a tag that the tagged reader knows, in lower case without separators.
const SPELLINGS: [&str; 6] = ["metareasoning", "meatreasoning", "subthink", "subproblem", "query", "answer"];

/// Renders steps, each `[meta-reasoning, sub-problem, answer]`, as tagged text:
/// `[Meta-reasoning N]: …\n[Sub-problem N]: …\n[Answer N]: …\n\n` with N from 1. Parts that are
/// empty or blank are left out, and so is a step without parts (it takes no number).
///
/// A tag counts only at the start of a line, after white space. A line of a part that would begin
/// with a tag, in any spelling and of any case, gets a backslash before its `[`, so reading the
/// text gives the same steps back.
pub fn render_steps<'a>(parts: impl IntoIterator<Item = [&'a str; 3]>) -> String {
    let mut out = String::new();
    let mut number = 0usize;
    for step in parts {
        if step.iter().all(|part| part.trim().is_empty()) {
            continue;
        }
        number += 1;
        for (tag, part) in TAGS.iter().zip(step) {
            let part = part.trim();
            if !part.is_empty() {
                out.push_str(&format!("[{tag} {number}]: {}\n", escape(part)));
            }
        }
        out.push('\n');
    }
    out
}

/// Puts a backslash before each tag that begins a line of `part`, its first line included.
fn escape(part: &str) -> Cow<'_, str> {
    // A line ends for a reader of tags at any of these; `lines()` would change `\r\n`.
    let begins = |line: &str| starts_with_tag(line.trim_start());
    if !part.split(['\n', '\r']).any(begins) {
        return Cow::Borrowed(part);
    }
    let mut out = String::with_capacity(part.len() + 8);
    for line in part.split_inclusive(['\n', '\r']) {
        let body = line.trim_start();
        if starts_with_tag(body) {
            out.push_str(&line[..line.len() - body.len()]);
            out.push('\\');
            out.push_str(body);
        } else {
            out.push_str(line);
        }
    }
    Cow::Owned(out)
}

/// Whether `text` begins with `[`, a tag name in any spelling, an optional number and `]`.
fn starts_with_tag(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('[') else { return false };
    // The longest spelling has 14 letters; the number and separators get the rest.
    let Some(end) = inner.bytes().take(64).position(|b| b == b']') else { return false };
    let name: String = inner[..end]
        .chars()
        .filter(|c| !matches!(c, '-' | '_') && !c.is_whitespace())
        .map(|c| c.to_ascii_lowercase())
        .collect();
    SPELLINGS.contains(&name.trim_end_matches(|c: char| c.is_numeric() || c == '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_become_tagged_text() {
        assert_eq!(
            render_steps([["why", "what", "4"], ["", "", ""], [" ", "next ", "5\n6"]]),
            "[Meta-reasoning 1]: why\n[Sub-problem 1]: what\n[Answer 1]: 4\n\n\
             [Sub-problem 2]: next\n[Answer 2]: 5\n6\n\n"
        );
        assert_eq!(render_steps([]), "");
    }

    #[test]
    fn tags_inside_parts_are_escaped_at_line_starts_only() {
        for (part, expected) in [
            ("[Answer 1]: x", "\\[Answer 1]: x"),
            ("a [Answer 1] b", "a [Answer 1] b"),
            ("a\n  [sub_think  2] b", "a\n  \\[sub_think  2] b"),
            ("a\r\n[QUERY 3]", "a\r\n\\[QUERY 3]"),
            ("a\n[Meat-reasoning 4]", "a\n\\[Meat-reasoning 4]"),
            ("[Meta Reasoning]", "\\[Meta Reasoning]"),
            ("[1, 2]\n[x]", "[1, 2]\n[x]"),
            ("[Answer", "[Answer"),
            ("[\u{fc}ber 1]", "[\u{fc}ber 1]"),
        ] {
            assert_eq!(render_steps([["", "", part]]), format!("[Answer 1]: {expected}\n\n"), "{part:?}");
        }
    }
}
