//! What a trace only says again from its problem.

use rustc_hash::FxHashSet;

use crate::text::numbers::{self, Number};
use crate::text::words;

/// Words in a row that are looked for together. Three are seldom the same by chance.
const ROW: usize = 3;
/// Who says it again uses most of its rows of words. A sentence that computes has others of its own.
const SHARE: f64 = 0.6;

/// How much of a problem is looked at: bytes, and numbers. Bounds the work, which is by sentence.
const MOST_READ: usize = 1 << 14;
const MOST_NUMBERS: usize = 256;

/// One name for words in a row.
fn row(words: &[u32]) -> u64 {
    words
        .iter()
        .fold(0, |name: u64, word| name.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(u64::from(*word)))
}

/// The words and numbers of a problem.
#[derive(Debug, Default)]
pub(super) struct Problem {
    text: String,
    rows: FxHashSet<u64>,
    numbers: Vec<f64>,
    /// How many of them are written in digits.
    numerals: usize,
    words: Vec<u32>,
    found: Vec<Number>,
    buffer: String,
}

impl Problem {
    /// Becomes the problem `text`.
    pub fn fill(&mut self, text: &str) {
        let mut end = text.len().min(MOST_READ);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let text = &text[..end];
        self.text.clear();
        self.text.push_str(text);
        self.read(text);
        self.rows.clear();
        self.rows.extend(self.words.windows(ROW).map(row));
        let in_digits = |number: &&Number| number.span.of(text).starts_with(|c: char| c.is_ascii_digit());
        self.numerals = self.found.iter().filter(in_digits).count();
        self.numbers.clear();
        self.numbers.extend(self.found.iter().map(|number| number.value).take(MOST_NUMBERS));
    }

    /// Whether it gives two numbers or more, one of them in digits: then something is to be computed.
    pub fn is_computed(&self) -> bool {
        self.numerals >= 1 && self.numbers.len() >= 2
    }

    /// Whether it gives this number.
    pub fn gives(&self, value: f64) -> bool {
        self.numbers.iter().any(|given| numbers::same(*given, value))
    }

    /// Whether a sentence stands in the problem word for word.
    pub fn has(&self, sentence: &str) -> bool {
        let literal = sentence.trim_end_matches(['.', '?', '!', ',', ':']);
        literal.split_whitespace().nth(1).is_some() && self.text.contains(literal)
    }

    /// Whether a sentence says only what the problem says: word for word, or most of its words, in their order, and no
    /// other number.
    pub fn says(&mut self, sentence: &str) -> bool {
        self.has(sentence) || self.is_restated_by(sentence)
    }

    /// Whether a sentence has most of its words from the problem, in their order, and no other number.
    pub fn is_restated_by(&mut self, sentence: &str) -> bool {
        if self.rows.is_empty() {
            return false;
        }
        self.read(sentence);
        let rows = self.words.len().saturating_sub(ROW - 1);
        let known = self.words.windows(ROW).filter(|words| self.rows.contains(&row(words))).count();
        let is_given = |number: &Number| self.gives(number.value);
        // "There are 3." names what is given; "x = 3" says something of x.
        let is_said = if rows > 0 {
            known as f64 >= SHARE * rows as f64
        } else {
            !self.found.is_empty() && self.words.len() == ROW - 1 && !sentence.contains('=')
        };
        is_said && self.found.iter().all(is_given)
    }

    fn read(&mut self, text: &str) {
        self.words.clear();
        words::each_word(text, &mut self.buffer, |word| self.words.push(words::hash(word)));
        self.found.clear();
        numbers::scan(text, &mut self.found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_problem_says_is_no_step() {
        let mut problem = Problem::default();
        problem.fill("A box has 3 rows of 4 eggs. How many eggs are in 5 boxes?");
        assert!(problem.is_restated_by("So a box has 3 rows of 4 eggs."));
        assert!(problem.is_restated_by("How many eggs are in 5 boxes?"));
        assert!(!problem.is_restated_by("A box has 3 * 4 = 12 eggs."));
        assert!(!problem.is_restated_by("A box has 3 rows of 12 eggs."));
        assert!(!problem.is_restated_by("Twelve eggs are in one of them."));
        assert!(problem.is_restated_by("There are 5."));
        assert!(!problem.is_restated_by("There are 60."));
        assert!(!problem.is_restated_by("x = 3"));
        assert!(!problem.is_restated_by("A"));
        problem.fill("");
        assert!(!problem.is_restated_by("A box has 3 rows of 4 eggs."));
    }
}
