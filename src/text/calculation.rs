//! What is computed from what, in a sentence or a step.

use super::numbers::{self, Number};
use crate::trace::Span;

/// A set of arithmetic operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operations(pub u8);

impl Operations {
    /// Addition.
    pub const ADD: Operations = Operations(1);
    /// Subtraction.
    pub const SUBTRACT: Operations = Operations(2);
    /// Multiplication.
    pub const MULTIPLY: Operations = Operations(4);
    /// Division.
    pub const DIVIDE: Operations = Operations(8);

    /// Number of operations in the set.
    pub fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// A text read as a calculation. Reused from text to text.
#[derive(Clone, Debug, Default)]
pub struct Calculation {
    /// What comes out, if something does.
    pub result: Option<f64>,
    /// Whether the text states the result as one (`= 5`, "which is 5"), not merely by ending in a number.
    pub stated: bool,
    /// The numbers that it is computed from: every number but the result, ascending, each once.
    pub operands: Vec<f64>,
    /// The operations that are written with a sign.
    pub operations: Operations,
    /// Where the number of the result stands.
    pub result_span: Span,
    numbers: Vec<Number>,
}

impl Calculation {
    /// Reads `text`, forgetting what was read before. Allocates only for texts with more numbers than any before.
    pub fn read(&mut self, text: &str) {
        self.numbers.clear();
        numbers::scan(text, &mut self.numbers);
        self.operations = operations(text, &self.numbers);
        self.operands.clear();
        let stated = self.numbers.iter().rposition(|n| is_stated(text, n.span.start as usize));
        self.stated = stated.is_some();
        let result = match stated {
            Some(at) => Some(at),
            // "so 14 eggs are left": with nothing stated, the last number is what the text arrives at.
            None => self.numbers.len().checked_sub(1),
        };
        self.result = result.map(|at| self.numbers[at].value);
        self.result_span = result.map(|at| self.numbers[at].span).unwrap_or_default();
        let Some(value) = self.result else { return };
        self.operands.extend(self.numbers.iter().map(|n| n.value).filter(|&v| !numbers::same(v, value)));
        self.operands.sort_unstable_by(f64::total_cmp);
        self.operands.dedup_by(|a, b| numbers::same(*a, *b));
    }

    /// Whether something is really computed: a stated result from at least one operand by an operation, or
    /// from at least two numbers.
    pub fn is_computed(&self) -> bool {
        self.stated && !self.operands.is_empty() && (!self.operations.is_empty() || self.operands.len() >= 2)
    }
}

/// Words after which a result follows.
const RESULT_WORDS: [&str; 22] = [
    "equals",
    "equal to",
    "is",
    "are",
    "gives",
    "give",
    "giving",
    "get",
    "gets",
    "makes",
    "make",
    "totals",
    "total of",
    "totaling",
    "results in",
    "resulting in",
    "yields",
    "leaves",
    "leaving",
    "becomes",
    "find",
    "have",
];

/// Whether the number at `start` is stated as a result: after `=` or a word that announces one, with
/// nothing but marks between.
fn is_stated(text: &str, start: usize) -> bool {
    let before = trim_marks(&text[..start]);
    if before.ends_with(['=', '≈', '→']) {
        return !before.ends_with("!=");
    }
    RESULT_WORDS.iter().any(|word| ends_with_word(before, word))
}

/// Cuts what may stand between an announcement and its number: currency, emphasis, brackets, "about".
fn trim_marks(mut text: &str) -> &str {
    loop {
        let cut = text.trim_end_matches(|c: char| c.is_whitespace() || "$€£*({[~:\\".contains(c));
        let cut = cut.strip_suffix("\\boxed").or_else(|| cut.strip_suffix("boxed")).unwrap_or(cut);
        let cut = ["approximately", "about", "only", "exactly", "simply", "just", "now"]
            .iter()
            .find_map(|word| ends_with_word(cut, word).then(|| &cut[..cut.len() - word.len()]))
            .unwrap_or(cut);
        if cut.len() == text.len() {
            return text;
        }
        text = cut;
    }
}

fn ends_with_word(text: &str, word: &str) -> bool {
    let (text, word) = (text.as_bytes(), word.as_bytes());
    let Some(start) = text.len().checked_sub(word.len()) else { return false };
    text[start..].eq_ignore_ascii_case(word) && (start == 0 || !text[start - 1].is_ascii_alphanumeric())
}

/// The signs between or before the numbers of `text`.
fn operations(text: &str, numbers: &[Number]) -> Operations {
    let bytes = text.as_bytes();
    let mut found = 0;
    for number in numbers {
        let before = trim_marks(&text[..number.span.start as usize]);
        found |= match before.as_bytes().last() {
            Some(b'+') => Operations::ADD.0,
            Some(b'-') if is_minus(before) => Operations::SUBTRACT.0,
            Some(b'*') => Operations::MULTIPLY.0,
            Some(b'/') => Operations::DIVIDE.0,
            Some(b'x' | b'X') if is_times(before) => Operations::MULTIPLY.0,
            _ => match before.chars().next_back() {
                Some('×' | '·') => Operations::MULTIPLY.0,
                Some('÷') => Operations::DIVIDE.0,
                Some('−' | '–') => Operations::SUBTRACT.0,
                _ => latex_operation(before),
            },
        };
        // `trim_marks` takes the emphasis mark `*` away, so look at it where it stands between blanks.
        let start = number.span.start as usize;
        let gap = bytes[..start].iter().rev().take_while(|b| matches!(b, b' ' | b'$' | b'(' | b'\\')).count();
        if start > gap && bytes[start - gap - 1] == b'*' && (gap > 0 || is_factor(bytes, start - 1)) {
            found |= Operations::MULTIPLY.0;
        }
    }
    if memchr::memmem::find(bytes, b"\\frac").is_some() {
        found |= Operations::DIVIDE.0;
    }
    Operations(found)
}

fn is_minus(before: &str) -> bool {
    let rest = before[..before.len() - 1].trim_end();
    rest.len() < before.len() - 1 || rest.ends_with(|c: char| c.is_ascii_digit() || ")}%$".contains(c))
}

fn is_times(before: &str) -> bool {
    let rest = &before[..before.len() - 1];
    rest.ends_with(|c: char| c.is_whitespace() || c.is_ascii_digit() || c == ')')
}

/// A single `*` between two factors, not emphasis: `4*20`.
fn is_factor(bytes: &[u8], star: usize) -> bool {
    star > 0 && (bytes[star - 1].is_ascii_alphanumeric() || matches!(bytes[star - 1], b')' | b'}' | b'%'))
}

fn latex_operation(before: &str) -> u8 {
    if before.ends_with("\\times") || before.ends_with("\\cdot") {
        Operations::MULTIPLY.0
    } else if before.ends_with("\\div") {
        Operations::DIVIDE.0
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<f64>, Vec<f64>, u8) {
        let mut calculation = Calculation::default();
        calculation.read(text);
        (calculation.result, calculation.operands, calculation.operations.0)
    }

    #[test]
    fn reads_calculations() {
        let cases: &[(&str, Option<f64>, &[f64], u8)] = &[
            ("It takes 2/2=1 bolt", Some(1.0), &[2.0], 8),
            ("total 2+1=3 bolts of fabric", Some(3.0), &[1.0, 2.0], 1),
            ("\\( 28 \\text{ days} \\times 3 = 84 \\text{ eggs} \\)", Some(84.0), &[3.0, 28.0], 4),
            ("\\[\\frac{84 \\text{ eggs}}{12} = \\boxed{7}\\]", Some(7.0), &[12.0, 84.0], 8),
            ("I multiply 20 by 4 to get 80 sheep", Some(80.0), &[4.0, 20.0], 0),
            ("half of 48, which is **24**", Some(24.0), &[2.0, 48.0], 0),
            ("$5 - $3 = $2 left of the 9", Some(2.0), &[3.0, 5.0, 9.0], 2),
            ("a 3-egg omelet", Some(3.0), &[], 0),
            ("4 x 20 = 80", Some(80.0), &[4.0, 20.0], 4),
            ("4*20", Some(20.0), &[4.0], 4),
            ("no numbers", None, &[], 0),
        ];
        for (text, result, operands, operations) in cases {
            assert_eq!(read(text), (*result, operands.to_vec(), *operations), "{text:?}");
        }
    }
}
