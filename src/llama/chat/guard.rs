//! What may be kept in a namespace.
//!
//! A namespace is the one thing in a template that can be changed, so it is the only way to build a value that is
//! endlessly deep, or one that contains itself; printing or dropping such a value overflows the stack and ends the
//! program. So every `{% set space.name = value %}` is compiled as `{% set space.name = (value)|KEEP %}`, and the
//! filter takes plain data of limited depth only. A filter is used because a template cannot define one.

use std::sync::LazyLock;

use minijinja::value::{Tuple, ValueKind};
use minijinja::{Error as Refusal, ErrorKind, State, Value};
use regex::Regex;

use crate::error::{Error, Result};

/// The name of the filter. A template that uses it itself gains nothing.
pub const KEEP: &str = "rlkd_keep";

/// Deepest value that a namespace keeps. Messages have a depth of 2, tools of some 10.
const MOST_DEPTH: usize = 32;

/// Most bytes of a tag, texts in quotes not counted. The compiler takes time in the square of an expression's length; a
/// source that is full of such tags compiles in some seconds.
const MOST_TAG_BYTES: usize = 4 << 10;

/// Longest line: the compiler counts columns in 16 bits.
const MOST_LINE_BYTES: usize = 60_000;

/// What a template can say for the markers around generated text, and what is compiled for it: a scope of its own, as
/// in `transformers`, where the tag only records positions.
static GENERATION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}").expect("a pattern"));
static SET: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\{%[-+]?\s*set\b").expect("a pattern"));
/// Plain names: nothing is kept in a namespace.
static PLAIN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\s*(?:\(\s*)?[A-Za-z_]\w*(?:\s*,\s*[A-Za-z_]\w*)*\s*,?\s*\)?\s*(?:=|\||[-+]?%\})")
        .expect("a pattern")
});
static ATTRIBUTE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\s*[A-Za-z_]\w*\s*\.\s*[A-Za-z_]\w*\s*").expect("a pattern"));

/// The source that is compiled: line ends as Jinja sees them, what is kept guarded, `generation` as a scope.
///
/// # Errors
/// Kind `Data`: an assignment to a namespace in a form that is not known here, an overlong line or tag; with its line.
pub fn rewrite(source: &str) -> Result<String> {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let source = GENERATION.replace_all(&source, |found: &regex::Captures<'_>| {
        let name = if found.get(2).is_some() { "endwith" } else { "with" };
        format!("{{%{} {name} {}%}}", &found[1], &found[3])
    });
    if let Some(at) = source.lines().position(|line| line.len() > MOST_LINE_BYTES) {
        return Err(Error::data(format!(
            "the chat template does not compile, line {}: the line is longer than {MOST_LINE_BYTES} bytes",
            at + 1
        )));
    }
    for (tag, _) in source.match_indices("{{").chain(source.match_indices("{%")) {
        if tag_length(&source[tag + 2..]) == TagEnd::TooLong {
            let line = source[..tag].matches('\n').count() + 1;
            return Err(Error::data(format!(
                "the chat template does not compile, line {line}: a tag is longer than {MOST_TAG_BYTES} bytes"
            )));
        }
    }
    let mut out = String::with_capacity(source.len() + 64);
    let mut at = 0;
    // Everything that could be read as such a tag is rewritten, in comments and raw text too: there it harms nobody,
    // and telling them apart by other rules than the compiler's would leave a gap.
    for tag in SET.find_iter(&source) {
        let rest = &source[tag.end()..];
        if PLAIN.is_match(rest) {
            continue;
        }
        let refused = || {
            let line = source[..tag.start()].matches('\n').count() + 1;
            Error::data(format!(
                "the chat template does not compile, line {line}: this form of set is not supported"
            ))
        };
        let target = ATTRIBUTE.find(rest).ok_or_else(refused)?;
        let value = &rest[target.end()..];
        if let Some(value) = value.strip_prefix('=') {
            let length = expression(value).ok_or_else(refused)?;
            let from = source.len() - value.len();
            // One that lies within another's value would go unguarded, were the outer one in a comment.
            if from < at {
                return Err(refused());
            }
            out.push_str(&source[at..from]);
            out.push_str(&format!("({})|{KEEP} ", &value[..length]));
            at = from + length;
        } else if !(value.starts_with("%}") || value.starts_with("-%}") || value.starts_with("+%}")) {
            return Err(refused());
        }
    }
    out.push_str(&source[at..]);
    Ok(out)
}

/// Length of the expression at the head of `text`, up to the end of its `{% %}`; `None` if it is empty, does not end, or
/// if its brackets do not match, so that it would not stay within the brackets that are put around it.
fn expression(text: &str) -> Option<usize> {
    let TagEnd::At(end) = tag_length(text) else { return None };
    let length = if text[..end].ends_with(['-', '+']) { end - 1 } else { end };
    (text[end..].starts_with("%}") && !text[..length].trim().is_empty()).then_some(length)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TagEnd {
    /// Where its `}}` or `%}` stands.
    At(usize),
    /// There is none, or a bracket closes that was not opened.
    Nowhere,
    /// Not within [`MOST_TAG_BYTES`].
    TooLong,
}

/// Where the tag ends within which `text` begins, as the compiler sees it.
fn tag_length(text: &str) -> TagEnd {
    let bytes = text.as_bytes();
    let (mut open, mut at, mut length) = (Vec::new(), 0, 0);
    while let Some(&byte) = bytes.get(at) {
        if open.is_empty() && matches!(byte, b'%' | b'}') && bytes.get(at + 1) == Some(&b'}') {
            return TagEnd::At(at);
        }
        match byte {
            b'\'' | b'"' => {
                at += 1;
                while bytes.get(at).is_some_and(|&inner| inner != byte) {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'(' => open.push(b')'),
            b'[' => open.push(b']'),
            b'{' => open.push(b'}'),
            b')' | b']' | b'}' if open.pop() != Some(byte) => return TagEnd::Nowhere,
            _ => {}
        }
        (at, length) = (at + 1, length + 1);
        if length > MOST_TAG_BYTES {
            return TagEnd::TooLong;
        }
    }
    TagEnd::Nowhere
}

/// The filter: the value as plain data, copied, so that it cannot contain what it is put into.
pub fn keep(state: &State, value: &Value) -> Result<Value, Refusal> {
    copy(state, value, MOST_DEPTH)
}

fn copy(state: &State, value: &Value, depth: usize) -> Result<Value, Refusal> {
    let Some(object) = value.as_object() else { return Ok(value.clone()) };
    if value.as_str().is_some() || value.as_bytes().is_some() {
        return Ok(value.clone());
    }
    let deeper = depth.checked_sub(1).ok_or_else(|| {
        Refusal::new(
            ErrorKind::InvalidOperation,
            format!("a namespace keeps values of depth {MOST_DEPTH} at most"),
        )
    })?;
    match value.kind() {
        ValueKind::Map => {
            let pairs = object.try_iter_pairs().into_iter().flatten();
            let pairs = pairs.map(|(key, item)| {
                state.consume_fuel(2)?;
                Ok((copy(state, &key, deeper)?, copy(state, &item, deeper)?))
            });
            Ok(Value::from_pairs(pairs.collect::<Result<Vec<_>, Refusal>>()?))
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter()?.checked().map(|item| {
                state.consume_fuel(1)?;
                copy(state, &item?, deeper)
            });
            let items = items.collect::<Result<Vec<_>, Refusal>>()?;
            Ok(if value.is_tuple() { Value::from(Tuple::new(items)) } else { Value::from(items) })
        }
        kind => Err(Refusal::new(ErrorKind::InvalidOperation, format!("a namespace cannot keep a {kind}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_guarded() {
        for (source, expected) in [
            ("{% set a = 1 %}", "{% set a = 1 %}"),
            ("{%- set a, b = c, d -%}", "{%- set a, b = c, d -%}"),
            ("{% set a %}x{% endset %}", "{% set a %}x{% endset %}"),
            ("{% set n.a %}x{% endset %}", "{% set n.a %}x{% endset %}"),
            ("{% set n.a = b %}c", "{% set n.a =( b )|rlkd_keep %}c"),
            ("{%-set n . a=b-%}", "{%-set n . a=(b)|rlkd_keep -%}"),
            ("{% set n.a = '%}' ~ \"\\\"%}\" +%}", "{% set n.a =( '%}' ~ \"\\\"%}\" )|rlkd_keep +%}"),
            ("{% set n.a = {'b': {}} %}", "{% set n.a =( {'b': {}} )|rlkd_keep %}"),
            (
                "{% set n.a = 1 %}{% set n.b = 2 %}",
                "{% set n.a =( 1 )|rlkd_keep %}{% set n.b =( 2 )|rlkd_keep %}",
            ),
            ("a\r\nb\rc", "a\nb\nc"),
            ("{%- generation %}x{% endgeneration -%}", "{%- with %}x{% endwith -%}"),
        ] {
            assert_eq!(rewrite(source).expect(source), expected, "{source}");
        }
    }

    #[test]
    fn what_cannot_be_guarded_is_refused() {
        for source in [
            "\n{% set n.a = n) or (n %}",
            "\n{% set n.a = [n)] %}",
            "\n{% set n.a|default(n, true) %}{% endset %}",
            "\n{% set a, n.b = 1, n %}",
            "\n{% set (a, n.b) = (1, n) %}",
            "\n{% set n.a.b = n %}",
            "\n{% set n.a = 'open %}",
            "\n{% set n.a = %}",
            "\n{% set n['a'] = n %}",
            "\n{# {% set n.a = ' #}{% set n.b = n %}{# ' %} #}",
        ] {
            let error = rewrite(source).expect_err(source);
            assert!(error.to_string().contains("line 2"), "{source}: {error}");
        }
    }
}
