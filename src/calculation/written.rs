//! Values that are written with more than digits: `\frac{3}{4}`, `3/4`, `1 1/2`, `2\sqrt{3}`, `5 \times 10^3`.
//!
//! Only where they stand is found here, from the first of their numbers on; the reader of answers says what they are.

use crate::text::numbers::Number;
use crate::trace::Span;

/// Bytes that are looked at before the first number, and from it on.
const MOST_BEFORE: usize = 64;
const MOST_AFTER: usize = 200;

/// What may stand before the first number of a value, without what tells fractions apart.
const OPENERS: [&str; 14] =
    ["{", "(", "[", "}", "/", "^", "-", "−", "\\left", "\\pi", "π", "√", "sqrt", "frac"];
/// Commands that a value may have.
const COMMANDS: [&str; 10] =
    ["frac", "dfrac", "tfrac", "cfrac", "sqrt", "pi", "times", "cdot", "left", "right"];
/// Commands that may follow a value.
const FOLLOWERS: [&str; 10] =
    ["text", "mathrm", "textbf", "mbox", "quad", "qquad", "approx", "implies", "Rightarrow", "to"];

/// Where a value begins of which this is the first number, signs and brackets included.
pub(super) fn start(text: &str, number: Number) -> usize {
    let at = number.span.start as usize;
    let mut before = &text[..at];
    while at - before.len() < MOST_BEFORE {
        let bare = before.trim_end_matches(' ');
        // A first look: most numbers stand behind a word or a sign.
        if !matches!(
            bare.as_bytes().last(),
            Some(b'{' | b'(' | b'[' | b'}' | b'/' | b'^' | b'-' | b't' | b'c' | b'i' | 0x80..)
        ) {
            break;
        }
        let Some(opener) = OPENERS.iter().find(|opener| bare.ends_with(**opener)) else { break };
        let mut rest = &bare[..bare.len() - opener.len()];
        match *opener {
            // `\(` opens a formula.
            "(" | "[" | "{" if rest.ends_with('\\') => break,
            "frac" => {
                let command = rest.strip_suffix(['d', 't', 'c']).unwrap_or(rest);
                let Some(found) = command.strip_suffix('\\') else { break };
                rest = found;
            }
            "sqrt" => rest = rest.strip_suffix('\\').unwrap_or(rest),
            _ => {}
        }
        before = rest;
    }
    before.len()
}

/// The whole value that begins at `start`, of which `number` is the first number, if it is more than that number and its
/// sign, and if nothing follows that it would be a part of.
pub(super) fn whole(text: &str, start: usize, number: Number) -> Option<Span> {
    let after = text[number.span.end as usize..].trim_start_matches(' ').as_bytes().first();
    let may_go_on = matches!(after, Some(b'/' | b'\\' | b'^' | b'+' | b'-' | b'*' | b'0'..=b'9' | 0x80..));
    if start == number.span.start as usize && !may_go_on {
        return None;
    }
    let mut end = end(text, start);
    if text[end..].starts_with("\\circ") || text[end..].starts_with("{\\circ") {
        // Degrees are a unit.
        end -= usize::from(text[..end].ends_with('^'));
    }
    let span = Span::new(start, end).trim(text);
    let value = span.of(text);
    let has_more =
        value.contains(['\\', '/', '^', '√', 'π', '½', '⅓', '⅔', '¼', '¾']) || value.contains("sqrt(");
    let goes_on = value.ends_with(['/', '^', '+', '-', '*', '×', '·', '−'])
        || value.ends_with("\\times")
        || value.ends_with("\\cdot");
    // All of the number has to be in it, and more.
    let is_more =
        span.end > number.span.end || span.end == number.span.end && start < number.span.start as usize;
    (has_more && is_more && !goes_on && !is_part(&text[end..])).then_some(span)
}

/// Where what can belong to a value ends, with every bracket closed.
fn end(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut closed) = (start, 0usize, start);
    while at < text.len() && at < start + MOST_AFTER {
        let rest = &text[at..];
        let byte = bytes[at];
        let length = match byte {
            b'0'..=b'9' | b' ' | b'+' | b'-' | b'*' | b'/' | b'^' => 1,
            b'.' if bytes.get(at + 1).is_some_and(u8::is_ascii_digit) => 1,
            b',' if is_group(rest) || rest.starts_with(",}") && text[..at].ends_with('{') => 1,
            b'(' | b'[' | b'{' => {
                depth += 1;
                1
            }
            b')' | b']' | b'}' if depth > 0 => {
                depth -= 1;
                1
            }
            b'\\' => {
                let name = &rest[1..];
                let name = &name[..name.bytes().take_while(u8::is_ascii_alphabetic).count()];
                match bytes.get(at + 1) {
                    Some(b'!' | b',') => 2,
                    _ if COMMANDS.contains(&name) => 1 + name.len(),
                    _ => 0,
                }
            }
            b's' if rest.starts_with("sqrt(") => 4,
            _ => rest.chars().next().filter(|c| "×·−√π½⅓⅔¼¾".contains(*c)).map_or(0, char::len_utf8),
        };
        if length == 0 {
            break;
        }
        at += length;
        if depth == 0 {
            closed = at;
        }
    }
    let value = text[start..closed].trim_end_matches([' ', '!', ',']);
    start + value.trim_end_matches('\\').len()
}

/// `,200` and no more digits.
fn is_group(rest: &str) -> bool {
    rest.bytes().skip(1).take_while(u8::is_ascii_digit).count() == 3
}

/// Whether what stands before `after` is but a part of something: a factor, one side of an equation, a share of something.
fn is_part(after: &str) -> bool {
    // What closes a formula is no part of it.
    let closed = after.trim_start_matches([' ', '$', '}', ')']);
    let closed = closed.strip_prefix("\\)").unwrap_or(closed);
    let rest = closed.trim_start_matches(' ');
    let is_glued = rest.len() == after.len();
    if let Some(command) = rest.strip_prefix('\\') {
        let name = &command[..command.bytes().take_while(u8::is_ascii_alphabetic).count()];
        return !name.is_empty() && !FOLLOWERS.contains(&name);
    }
    let word = &rest[..rest.bytes().take_while(u8::is_ascii_alphabetic).count()];
    match word.len() {
        0 => rest.starts_with(['=', '≈', '÷', '_', '<', '>', '&', '[']) || is_glued && rest.starts_with('('),
        // "3/4 x", "3/4n"
        1 => word != "a",
        _ => {
            is_glued
                || ["of", "as", "the", "that", "times", "multiplied", "divided", "plus", "minus"]
                    .contains(&word)
        }
    }
}
