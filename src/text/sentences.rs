//! Sentences and paragraphs of a reasoning trace.

use crate::trace::Span;

/// A sentence, or a line of a list or a formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sentence {
    /// Where it stands, without white space at its ends; never empty.
    pub span: Span,
    /// Number of its paragraph, from 0; a blank line ends a paragraph.
    pub paragraph: u32,
}

/// Lines that say nothing themselves.
const MARKS: [&str; 4] = ["<think>", "</think>", "<answer>", "</answer>"];

/// Names of the marks that set parts of a completion apart; in a line, they end a sentence.
const TAGS: [&str; 8] = ["think", "thinking", "thought", "answer", "step", "solution", "reasoning", "output"];
const LONGEST_TAG: usize = 9;

/// Appends the sentences of `part` of `text` to `sentences`.
///
/// A sentence ends at the end of a line, and at `.`, `!` or `?` before white space and what may start a new
/// one. Lines of a displayed formula (`\[ … \]`, `$$ … $$`) belong to the line before them.
pub fn split(text: &str, part: Span, sentences: &mut Vec<Sentence>) {
    let mut paragraph = 0;
    let mut blank = true;
    let mut in_formula = false;
    // Whether the last sentence has its formula already; another one stands for itself.
    let mut has_formula = false;
    let mut at = part.start as usize;
    let first = sentences.len();
    for line in part.of(text).split_inclusive('\n') {
        let start = at;
        at += line.len();
        let content = line.trim();
        // The marks of thinking and answering are layout.
        if content.is_empty() || MARKS.contains(&content) {
            blank = true;
            continue;
        }
        let opens = content.starts_with("\\[") || content.starts_with("$$");
        if in_formula || opens {
            // The formula says what the sentence before it announced.
            let closes =
                content.ends_with("\\]") || (content.ends_with("$$") && (in_formula || content.len() > 3));
            in_formula = !closes;
            let span = Span::new(start, at).trim(text);
            let goes_on = !opens || !has_formula;
            match sentences[first..].last_mut().filter(|_| goes_on) {
                Some(last) => last.span = last.span.cover(span),
                None => sentences.push(Sentence { span, paragraph }),
            }
            has_formula = true;
            blank = false;
            continue;
        }
        if blank && sentences.len() > first {
            paragraph += 1;
        }
        blank = false;
        has_formula = false;
        split_line(text, Span::new(start, at), paragraph, sentences);
    }
}

fn split_line(text: &str, line: Span, paragraph: u32, sentences: &mut Vec<Sentence>) {
    let bytes = text.as_bytes();
    let (mut from, end) = (line.start as usize, line.end as usize);
    let mut push = |from: usize, to: usize| {
        let span = Span::new(from, to).trim(text);
        // What holds no letter and no digit says nothing.
        if span.of(text).chars().any(char::is_alphanumeric) {
            sentences.push(Sentence { span, paragraph });
        }
    };
    let mut at = from;
    while at < end {
        if let Some(length) = tag_length(&bytes[at..end]) {
            push(from, at);
            at += length;
            from = at;
        } else if matches!(bytes[at], b'.' | b'!' | b'?') && ends_sentence(text, from, at, end) {
            let mut stop = at + 1;
            while stop < end && matches!(bytes[stop], b'"' | b')' | b'*' | b'\'' | b'.' | b'?' | b'!') {
                stop += 1;
            }
            push(from, stop);
            from = stop;
            at = stop;
        } else {
            // A run of marks is looked at once.
            at += bytes[at..end].iter().take_while(|b| matches!(b, b'.' | b'!' | b'?')).count().max(1);
        }
    }
    push(from, end);
}

/// The length of the mark of a part that begins here, as in [`TAGS`].
fn tag_length(bytes: &[u8]) -> Option<usize> {
    let name = bytes.strip_prefix(b"</").or_else(|| bytes.strip_prefix(b"<"))?;
    let length = name.iter().take(LONGEST_TAG + 1).position(|b| *b == b'>')?;
    TAGS.iter().any(|tag| tag.as_bytes() == &name[..length]).then(|| bytes.len() - name.len() + length + 1)
}

/// Whether the mark at `at` ends a sentence that began at `from`.
fn ends_sentence(text: &str, from: usize, at: usize, end: usize) -> bool {
    let bytes = text.as_bytes();
    let rest = &bytes[at + 1..end];
    let skip =
        rest.iter().take_while(|b| matches!(b, b'"' | b')' | b'*' | b'\'' | b'.' | b'?' | b'!')).count();
    let after = &rest[skip..];
    if !after.first().is_some_and(u8::is_ascii_whitespace) {
        return false;
    }
    let Some(&next) = after.iter().find(|b| !b.is_ascii_whitespace()) else { return true };
    if next.is_ascii_lowercase() {
        return false;
    }
    if bytes[at] != b'.' {
        return true;
    }
    let before = &text[from..at];
    let word = before.rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or("");
    // A list mark ("1." or "a."), an initial or a usual abbreviation does not end a sentence.
    let marker = word.len() == before.trim_start().len() && word.trim_matches('*').len() <= 2;
    let abbreviation =
        ["Mr", "Mrs", "Ms", "Dr", "vs", "e.g", "i.e", "approx", "no", "No", "St", "etc"].contains(&word);
    !(marker || abbreviation)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentences(text: &str) -> Vec<(&str, u32)> {
        let mut found = Vec::new();
        split(text, Span::new(0, text.len()), &mut found);
        found.iter().map(|s| (s.span.of(text), s.paragraph)).collect()
    }

    #[test]
    fn splits_as_a_reader_would() {
        assert_eq!(
            sentences("It costs 3.50 dollars. Mr. Lee pays! \"Why?\" Because.\n\n1. First item\n- next"),
            [
                ("It costs 3.50 dollars.", 0),
                ("Mr. Lee pays!", 0),
                ("\"Why?\"", 0),
                ("Because.", 0),
                ("1. First item", 1),
                ("- next", 1)
            ]
        );
    }

    #[test]
    fn a_formula_belongs_to_its_sentence() {
        let text = "The total is:\n  \\[\n  2 + 3 = 5\n  \\]\nDone.";
        assert_eq!(sentences(text), [("The total is:\n  \\[\n  2 + 3 = 5\n  \\]", 0), ("Done.", 0)]);
        assert_eq!(sentences("$$1+1=2$$\nB"), [("$$1+1=2$$", 0), ("B", 0)]);
        assert_eq!(sentences("A:\n\\[1=1\\]\n\\[2=2\\]"), [("A:\n\\[1=1\\]", 0), ("\\[2=2\\]", 0)]);
    }

    #[test]
    fn a_mark_of_a_part_ends_a_sentence() {
        assert_eq!(
            sentences("<think>So it is<step>3 < 4</step></think><answer>5"),
            [("So it is", 0), ("3 < 4", 0), ("5", 0)]
        );
        assert_eq!(sentences("a <b> c"), [("a <b> c", 0)]);
    }

    #[test]
    fn odd_input_is_no_trouble() {
        for text in ["", "\n\n", "...", "\\[", "$$", "a. ", "é. É. ", "x.\u{a0}Y", "?!?! A"] {
            let mut found = Vec::new();
            split(text, Span::new(0, text.len()), &mut found);
            for sentence in found {
                assert!(!sentence.span.of(text).is_empty(), "{text:?}");
            }
        }
    }
}
