//! Answers that are one of a few words or letters: those of a multiple-choice question.

use super::extract::{Extracted, How, answer};
use crate::trace::Span;

/// The strings that an answer may be. Names as in Math-Verify's `StringExtractionConfig`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strings {
    /// The strings, as they stand in a text.
    pub strings: Vec<String>,
    /// Whether a string counts where no "answer" stands before it.
    pub try_extract_without_anchor: bool,
    /// Whether capital letters mean nothing when two are compared.
    pub lowercase: bool,
}

impl Default for Strings {
    /// The letters A to D.
    fn default() -> Self {
        let strings = ["A", "B", "C", "D"].map(str::to_owned).to_vec();
        Strings { strings, try_extract_without_anchor: true, lowercase: true }
    }
}

/// How far behind "answer" a string may stand, in bytes.
const NEAR: usize = 50;

impl Strings {
    /// The string that a text gives as its answer: the last one near behind "final answer", else near behind "answer:",
    /// else near behind "answer"; else, if that is allowed, the one that the text begins with; else the last one.
    /// Strings stand between white space, marks and emphasis: "Apple" has no A. The article of "A dog" is none, nor is
    /// what stands behind "not", or what "or" joins to another.
    pub fn extract<'a>(&self, text: &'a str) -> Option<Extracted<'a>> {
        let found: Vec<Span> = self.all(text);
        let lower = text.to_ascii_lowercase();
        let before = |span: &Span| {
            let end = span.start as usize;
            // Room for the longest key, too.
            let mut start = end.saturating_sub(NEAR + 16);
            while !lower.is_char_boundary(start) {
                start += 1;
            }
            &lower[start..end]
        };
        let near = |key: &str| {
            let is_near = |span: &&Span| {
                before(span).rfind(key).is_some_and(|at| before(span).len() - at - key.len() <= NEAR)
            };
            // The nearest behind the last key: others behind the same key are further away.
            let last = found.iter().rev().find(is_near)?;
            let key_at = last.start as usize - (before(last).len() - before(last).rfind(key)?);
            found.iter().find(|span| span.start as usize > key_at)
        };
        let anchored = ["final answer", "answer:", "answer"].iter().find_map(|key| near(key));
        let head =
            || found.first().filter(|span| text[..span.start as usize].trim_matches(['*', ' ']).is_empty());
        let plain = || if self.try_extract_without_anchor { head().or_else(|| found.last()) } else { None };
        let span = *anchored.or_else(plain)?;
        // "A or B" is no choice.
        let rest = text[span.end as usize..].trim_start_matches([' ', ')', '*', ',']);
        let joined = ["or ", "and "].iter().find_map(|joint| rest.strip_prefix(joint));
        let next = joined.map(|rest| text.len() - rest.trim_start_matches([' ', '(', '*']).len());
        if next.is_some_and(|next| found.iter().any(|other| other.start as usize == next)) {
            return None;
        }
        answer(text, span, How::Choice)
    }

    /// A string as it is compared.
    pub fn compared(&self, string: &str) -> String {
        if self.lowercase { string.to_lowercase() } else { string.to_owned() }
    }

    /// All strings in a text, from left to right; the longest where several begin at one place.
    fn all(&self, text: &str) -> Vec<Span> {
        let mut found = Vec::new();
        let mut free = 0;
        for (at, _) in text.char_indices() {
            if at < free
                || text[..at]
                    .ends_with(|c: char| !c.is_whitespace() && !matches!(c, '*' | '(' | '{' | '$' | '>'))
            {
                continue;
            }
            let ends_well = |string: &&String| {
                let rest = &text[at + string.len()..];
                rest.is_empty()
                    || rest.starts_with(|c: char| {
                        c.is_whitespace()
                            || matches!(c, '*' | '.' | ',' | ':' | ';' | '!' | '?' | ')' | '}' | '$' | '<')
                    })
            };
            let longest = self
                .strings
                .iter()
                .filter(|string| !string.is_empty() && self.stands_at(string, text, at))
                .filter(ends_well)
                .max_by_key(|string| string.len());
            if let Some(string) = longest {
                free = at + string.len();
                if !is_denied(&text[..at]) && !is_article(string, &text[free..]) {
                    found.push(Span::new(at, free));
                }
            }
        }
        found
    }
}

impl Strings {
    /// Whether a string stands in a text at this byte. Letters alone are capital or small as they are given.
    fn stands_at(&self, string: &str, text: &str, at: usize) -> bool {
        let Some(here) = text.get(at..at + string.len()) else { return false };
        here == string || self.lowercase && string.len() > 1 && here.eq_ignore_ascii_case(string)
    }
}

/// Whether what follows is what the answer is not.
pub(super) fn is_denied(before: &str) -> bool {
    let before = before.trim_end_matches([' ', '(', '*', '$']);
    let word = before.rsplit(char::is_whitespace).next().unwrap_or("").to_lowercase();
    let denies = ["not", "neither", "nor", "cannot", "except", "≠"];
    denies.contains(&word.as_str()) || word.ends_with("n't") || word.ends_with("n’t")
}

/// Whether a letter is the article of a noun: "A triangle has".
fn is_article(string: &str, rest: &str) -> bool {
    const VERBS: [&str; 8] = ["is", "because", "since", "as", "and", "or", "was", "for"];
    if string != "A" {
        return false;
    }
    let Some(rest) = rest.strip_prefix(' ') else { return false };
    let word = rest.split(|c: char| !c.is_alphabetic()).next().unwrap_or("");
    word.starts_with(|c: char| c.is_ascii_lowercase()) && !VERBS.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_string_that_is_the_answer() {
        let letters = Strings::default();
        for (text, expected) in [
            ("The answer is A.", Some("A")),
            ("Final answer is B", Some("B")),
            ("A. Because B is not valid", Some("A")),
            ("Because B is valid", Some("B")),
            ("No valid answer here", None),
            ("**C**: since A and B are not", Some("C")),
            ("A or B? The answer: (D), not A.", Some("D")),
            ("answer: A\nFinal answer: B", Some("B")),
            ("Apple", None),
            ("<answer>B</answer>", Some("B")),
            ("The answer is not A.", None),
            ("The answer is not A but B.", Some("B")),
            ("A triangle is drawn. We choose C.", Some("C")),
            ("The answer is A or B.", None),
            ("", None),
        ] {
            assert_eq!(letters.extract(text).map(|found| found.text), expected, "{text:?}");
        }
        let anchored = Strings { try_extract_without_anchor: false, ..Strings::default() };
        assert_eq!(anchored.extract("Because B is valid"), None);
        let words =
            Strings { strings: ["yes", "no", "no way"].map(str::to_owned).to_vec(), ..Strings::default() };
        assert_eq!(words.extract("the answer is no way.").map(|found| found.text), Some("no way"));
        assert_eq!(words.extract("Yes").map(|found| found.text), Some("Yes"));
        assert_eq!(letters.compared("A"), "a");
        assert_eq!(Strings { lowercase: false, ..letters }.compared("A"), "A");
    }
}
