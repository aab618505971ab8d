//! Step lists as canonical tagged text.

use crate::text::tags::{self, strip};

/// The tags of the canonical form, in the order of a step's parts.
pub const TAGS: [&str; 3] = ["Meta-reasoning", "Sub-problem", "Answer"];

/// Renders steps, each `[meta-reasoning, sub-problem, answer]`, as tagged text:
/// `[Meta-reasoning N]: …\n[Sub-problem N]: …\n[Answer N]: …\n\n` with N from 1. Parts that are
/// empty or blank are left out, and so is a step without parts (it takes no number).
///
/// What would be read as a tag in a part, in any spelling, gets a backslash before its `[`; and a step that could be
/// read as the continuation of the one before it (an answer after a sub-problem, say) opens with an empty
/// `[Meta-reasoning N]:`. So reading the text gives the same steps back.
pub fn render_steps<'a>(parts: impl IntoIterator<Item = [&'a str; 3]>) -> String {
    let mut out = String::new();
    let mut number = 0usize;
    // The last part of the step before.
    let mut last = TAGS.len();
    for step in parts {
        let step = step.map(strip);
        let Some(first) = step.iter().position(|part| !part.is_empty()) else { continue };
        number += 1;
        if first > last {
            out.push_str(&format!("[{} {number}]:\n", TAGS[0]));
        }
        for (at, (tag, part)) in TAGS.iter().zip(step).enumerate() {
            if !part.is_empty() {
                out.push_str(&format!("[{tag} {number}]: "));
                push_escaped(&mut out, part);
                out.push('\n');
                last = at;
            }
        }
        out.push('\n');
    }
    out
}

/// Appends `part` with a backslash before whatever would be read as a tag, its first line included.
fn push_escaped(out: &mut String, part: &str) {
    let mut done = 0;
    let mut found = tags::next(part, 0);
    while let Some(tag) = found {
        out.push_str(&part[done..tag.bracket]);
        out.push_str("\\[");
        done = tag.bracket + 1;
        // An escaped tag opens nothing, so the next one can stand on a later line only.
        let line = part[done..].find('\n').map(|at| done + at + 1);
        found = line.and_then(|line| tags::next(part, line));
    }
    out.push_str(&part[done..]);
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
    fn a_step_is_kept_apart_from_the_one_before_it() {
        assert_eq!(
            render_steps([["", "what", ""], ["", "", "4"]]),
            "[Sub-problem 1]: what\n\n[Meta-reasoning 2]:\n[Answer 2]: 4\n\n"
        );
    }

    #[test]
    fn tags_inside_parts_are_escaped_at_line_starts_only() {
        for (part, expected) in [
            ("[Answer 1]: x", "\\[Answer 1]: x"),
            ("[Answer 1]: [Query 1] x", "\\[Answer 1]: [Query 1] x"),
            ("a [Answer 1] b", "a [Answer 1] b"),
            ("a\n  [sub_think  2] b\n- [Query]", "a\n  \\[sub_think  2] b\n- \\[Query]"),
            ("a\r\n[QUERY 3]", "a\r\n\\[QUERY 3]"),
            ("a\n**[Meat-reasoning 4]**", "a\n**\\[Meat-reasoning 4]**"),
            ("[Meta Reasoning]", "\\[Meta Reasoning]"),
            ("a\n[Query\n1]\n[Answer 1]", "a\n\\[Query\n1]\n\\[Answer 1]"),
            ("[1, 2]\n[x]", "[1, 2]\n[x]"),
            ("[Answer", "[Answer"),
            ("[\u{fc}ber 1]", "[\u{fc}ber 1]"),
        ] {
            assert_eq!(render_steps([["", "", part]]), format!("[Answer 1]: {expected}\n\n"), "{part:?}");
        }
    }
}
