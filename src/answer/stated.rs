//! Answers that a text states in words: "the answer is x", `#### x`, a choice letter.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::extract::{Extracted, How, LONGEST, Visit, answer};
use super::verify::is_number;
use crate::trace::Span;

#[derive(Clone, Copy, PartialEq)]
enum Key {
    Answer,
    /// "option" and "choice": these introduce letters only.
    Option,
    Hashes,
}

/// The last statement of an answer in `text`.
pub(super) fn stated(text: &str) -> Option<Extracted<'_>> {
    let mut last = None;
    each_stated(text, &mut |found| {
        last = Some(found);
        true
    });
    last
}

/// Shows all statements of an answer in `text`, from the last to the first.
pub(super) fn each_stated<'a>(text: &'a str, visit: &mut Visit<'_, 'a>) -> bool {
    static KEYS: LazyLock<AhoCorasick> = LazyLock::new(|| {
        AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(["answer", "option", "choice", "####"])
            .expect("four short words make an automaton")
    });
    let keys: Vec<(usize, usize, Key)> = KEYS
        .find_iter(text)
        .map(|found| {
            let key = match found.pattern().as_usize() {
                0 => Key::Answer,
                3 => Key::Hashes,
                _ => Key::Option,
            };
            (found.start(), found.end(), key)
        })
        .collect();
    keys.iter().rev().any(|&(start, end, key)| {
        let found = match key {
            Key::Hashes => hashes(text, start, end),
            _ => statement(text, start, end, key),
        };
        found.is_some_and(&mut *visit)
    })
}

/// `#### x` alone on its line. Markdown headings look the same, so x must be a number or a choice letter.
fn hashes(text: &str, start: usize, end: usize) -> Option<Extracted<'_>> {
    let before = text[..start].trim_end_matches([' ', '\t']);
    if !(before.is_empty() || before.ends_with('\n')) {
        return None;
    }
    let line = window(text, end).lines().next()?;
    let found = answer(text, Span::new(end, end + line.len()), How::Hashes)?;
    let is_value = is_number(found.text) || choice(found.text).is_some_and(|c| c.alone);
    is_value.then_some(found)
}

/// A statement whose keyword stands at `start..end`.
fn statement(text: &str, start: usize, end: usize, key: Key) -> Option<Extracted<'_>> {
    let before = &text[..start];
    if before.ends_with(|c: char| c.is_alphanumeric() || c == '<' || c == '/') {
        return None;
    }
    let from = connected(text, before, end, key)?;
    let (from, rest) = skip_markup(text, from);
    // A value may stand on a line of its own below its heading, but not a paragraph of prose further on.
    if rest.is_empty() || rest.starts_with("not ") {
        return None;
    }
    if let Some(choice) = choice(rest).filter(|choice| choice.alone || choice.marked) {
        let span = Span::new(from + choice.at, from + choice.at + 1);
        return answer(text, span, How::Choice);
    }
    if key == Key::Option {
        return None;
    }
    let value = value(rest);
    // "Step by step answer:" and a paragraph below it: a heading, and no answer.
    let is_below = text[end..from].contains('\n');
    if is_below && is_prose(value) && !value.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let has_content = value.contains(|c: char| c.is_alphanumeric() || c == '\\' || c == '∞');
    if has_content { answer(text, Span::new(from, from + value.len()), How::Statement) } else { None }
}

/// Where the value begins, if the keyword is followed by something that joins it to one.
fn connected(text: &str, before: &str, end: usize, key: Key) -> Option<usize> {
    let rest = window(text, end);
    let gap = rest.len() - rest.trim_start_matches([' ', '\t', '*', '_', '"']).len();
    let tail = &rest[gap..];
    let at = end + gap;
    if let Some(sign) = tail.chars().next().filter(|c| matches!(c, ':' | '=' | '：')) {
        return Some(at + sign.len_utf8());
    }
    for joint in ["is", "are", "equals", "would be", "should be", "must be", "will be"] {
        if starts_with_word(tail, joint) {
            return Some(at + joint.len());
        }
    }
    if ["to", "for", "of"].iter().any(|word| starts_with_word(tail, word)) {
        let sentence = tail.split(['\n', '.', '?', '!']).next().unwrap_or("");
        return sentence.find(" is ").map(|found| at + found + " is ".len());
    }
    // "**Final Answer**" as a heading of its own.
    let head = before.trim_end();
    let is_heading =
        head.get(head.len().saturating_sub(5)..).is_some_and(|w| w.eq_ignore_ascii_case("final"));
    (key == Key::Answer && is_heading && tail.starts_with(['\n', '\r'])).then_some(at)
}

/// At most [`LONGEST`] bytes of `text` from `from` on.
fn window(text: &str, from: usize) -> &str {
    let mut end = from.saturating_add(LONGEST).min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(from..end).unwrap_or("")
}

fn starts_with_word(text: &str, word: &str) -> bool {
    let matches = text.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
    matches && !text[word.len()..].starts_with(|c: char| c.is_alphanumeric())
}

/// Past white space, colons and Markdown emphasis; and at most [`LONGEST`] bytes of what comes then.
fn skip_markup(text: &str, from: usize) -> (usize, &str) {
    let rest = window(text, from);
    let value = rest.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '*' | '_' | ':' | '`'));
    let from = from + (rest.len() - value.len());
    (from, window(text, from))
}

/// The value at the start of `rest`: a formula up to its closing mark, or plain text up to the end of its
/// line, its sentence or its clause.
fn value(rest: &str) -> &str {
    for (open, close) in [("$$", "$$"), ("\\(", "\\)"), ("\\[", "\\]"), ("$", "$")] {
        if let Some(inner) = rest.strip_prefix(open) {
            match inner.find(close) {
                // "$18 a day, $20 a night": a currency sign opens no formula.
                Some(at) if open != "$" || !is_prose(&inner[..at]) => {
                    return &rest[..open.len() + at + close.len()];
                }
                _ => {}
            }
        }
    }
    let mut depth = 0i32;
    let mut previous = ' ';
    for (at, c) in rest.char_indices() {
        let next = &rest[at + c.len_utf8()..];
        let ends = match c {
            '\n' | '\r' => true,
            '(' | '[' | '{' => {
                depth += 1;
                false
            }
            ')' | ']' | '}' => {
                depth -= 1;
                false
            }
            '.' | '!' | '?' | ';' if depth <= 0 => next.is_empty() || next.starts_with(char::is_whitespace),
            ',' if depth <= 0 => {
                let word = next.trim_start();
                // In a sentence, what counts may stand in a later clause.
                let goes_on = ["or", "and"].iter().any(|joint| starts_with_word(word, joint));
                word.len() < next.len()
                    && word.starts_with(char::is_alphabetic)
                    && !goes_on
                    && !is_prose(&rest[..at])
            }
            // Closing emphasis; "2**3" is a power.
            '*' if previous == ' ' => false,
            '*' if previous == '*' => false,
            '*' => next.strip_prefix('*').is_some_and(|after| !after.starts_with(char::is_alphanumeric)),
            '<' => next.starts_with('/'),
            _ => {
                let word = &rest[at..];
                let joints = ["because", "since", "which", "as", "so", "when"];
                // "3 times as many" is no 3.
                let multiplies = rest[..at].ends_with("times ");
                previous == ' '
                    && depth <= 0
                    && !multiplies
                    && joints.iter().any(|joint| starts_with_word(word, joint))
            }
        };
        if ends {
            return &rest[..at];
        }
        previous = c;
    }
    rest
}

/// Plain words, as no formula has them: two letters or more after a space, and no LaTeX.
pub(super) fn is_prose(text: &str) -> bool {
    !text.replace("\\$", "").contains('\\')
        && text.split(' ').skip(1).any(|word| word.len() > 1 && word.bytes().all(|b| b.is_ascii_alphabetic()))
}

/// A choice letter at the start of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Choice {
    /// Byte offset of the letter.
    pub at: usize,
    /// The letter, `A` to `J`.
    pub letter: char,
    /// Nothing but the letter and its brackets.
    pub alone: bool,
    /// The letter is set off from what follows: `(B) 42`, `B) 42`, `B. 42`, `B: 42`.
    pub marked: bool,
}

/// The choice letter that `text` begins with, if it does.
pub(super) fn choice(text: &str) -> Option<Choice> {
    let bytes = text.as_bytes();
    let start = text.len() - text.trim_start_matches([' ', '*']).len();
    let bracket = usize::from(bytes.get(start) == Some(&b'('));
    let at = start + bracket;
    let letter = *bytes.get(at).filter(|byte| (b'A'..=b'J').contains(byte))?;
    let rest = text.get(at + 1..)?;
    let line = rest.split('\n').next().unwrap_or("");
    let (closed, after) = match (bracket, line.as_bytes().first()) {
        (1, Some(b')')) => (true, &line[1..]),
        (1, _) => return None,
        (0, Some(b')' | b'.' | b':')) => (!line[1..].starts_with(char::is_alphanumeric), &line[1..]),
        _ => (false, line),
    };
    let alone = after
        .trim_matches(|c: char| c.is_whitespace() || matches!(c, '*' | '.' | ')' | '$' | '}'))
        .is_empty();
    // "(A) or (B)" is no choice.
    let goes_on = {
        let after = after.trim_start_matches([' ', ',', '/', '*']);
        let joint =
            ["or ", "and ", "OR "].iter().find_map(|joint| after.strip_prefix(joint)).unwrap_or(after);
        let other = joint.trim_start_matches([' ', '(', '*']);
        (joint.len() < after.len() || after.starts_with('('))
            && other.starts_with(|c: char| ('A'..='J').contains(&c))
            && !other[1..].starts_with(|c: char| c.is_alphanumeric())
    };
    let marked = closed && !goes_on && !after.trim_start().starts_with('=');
    Some(Choice { at, letter: letter as char, alone, marked })
}

/// A last line that is a choice letter and nothing else.
pub(super) fn lone_choice(text: &str) -> Option<Extracted<'_>> {
    let body = text.trim_end();
    let start = body.rfind('\n').map_or(0, |at| at + 1);
    let found = choice(&body[start..]).filter(|choice| choice.alone)?;
    answer(text, Span::new(start + found.at, start + found.at + 1), How::Choice)
}
