//! Whether a prediction is the gold answer.
//!
//! Two answers are equal if they read the same once they are normalised, or if both are numbers and those are
//! equal exactly, or if one is a choice letter and the other begins with that choice. Units are not compared:
//! `5 cm` equals `5`, and `5 m` too. Order matters in lists and tuples, and expressions are compared as text;
//! a wider equality belongs in [`compare`].

use super::extract::choice;
use super::normalise::{MARK, normalise};
use super::number::{self, Value};

/// What a comparison says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The prediction is the gold answer.
    Equal,
    /// It is not.
    Different,
    /// The gold answer cannot be read, for this reason, so nothing can be said.
    UnparsableGold(String),
}

/// Whether `prediction` is the answer `gold`. Both are answers as they stand, without the text around them.
///
/// Symmetric for two answers that can both be read as gold; equal to itself is whatever can be read.
/// Linear in both lengths.
pub fn compare(gold: &str, prediction: &str) -> Comparison {
    if let Some(reason) = unparsable_gold(gold) {
        return Comparison::UnparsableGold(reason);
    }
    let (gold, prediction) = (Reading::new(normalise(gold)), Reading::new(normalise(prediction)));
    if gold.same(&prediction) {
        return Comparison::Equal;
    }
    // "x = 5" where 5 was asked for, but "x = 5" is not "y = 5".
    let is_assigned = match (gold.assigned(), prediction.assigned()) {
        (Some((_, value)), None) => value.same(&prediction),
        (None, Some((_, value))) => gold.same(&value),
        (Some((a, gold)), Some((b, prediction))) => a == b && gold.same(&prediction),
        (None, None) => false,
    };
    if is_assigned { Comparison::Equal } else { Comparison::Different }
}

/// Why `gold` cannot be read as an answer, if it cannot: it is empty; it is a sentence without a value; or it
/// is a name such as `no_answer`, which stands in data sets where an answer is missing (and which LaTeX does
/// not read as one either).
pub(super) fn unparsable_gold(gold: &str) -> Option<String> {
    const SENTENCE_WORDS: usize = 12;
    let marked = normalise(gold);
    let text = marked.replace(MARK, " ");
    if text.trim().is_empty() {
        return Some("it is empty".into());
    }
    let is_word =
        |word: &&str| word.chars().filter(|c| c.is_alphabetic()).count() > 1 && !word.contains('\\');
    let words = text.split_whitespace().filter(is_word).count();
    if words > SENTENCE_WORDS && number::read(&marked).is_none() {
        return Some(format!("it is prose of {words} words without a value"));
    }
    let mut parts = text.trim().split('_').peekable();
    let is_name = text.contains('_')
        && parts.all(|part| part.len() > 1 && part.bytes().all(|byte| byte.is_ascii_lowercase()));
    is_name.then(|| format!("{:?} is a name and not a value", text.trim()))
}

/// A normalised answer, read in every way that is compared.
struct Reading {
    /// With marks.
    marked: String,
    /// Without white space and marks; words in lower case.
    text: String,
    value: Option<Value>,
}

impl Reading {
    fn new(marked: String) -> Self {
        let mut text: String = marked.chars().filter(|c| !c.is_whitespace() && *c != MARK).collect();
        // Words are words however they are capitalised; a single letter may be a variable.
        if text.chars().count() > 1 && text.chars().all(char::is_alphabetic) {
            text = text.to_lowercase();
        }
        let value = number::read(&marked);
        Reading { marked, text, value }
    }

    fn same(&self, other: &Reading) -> bool {
        if self.text == other.text {
            return true;
        }
        if let (Some(a), Some(b)) = (&self.value, &other.value) {
            return a.same(b);
        }
        let plain = [self, other].map(|reading| reading.marked.replace(MARK, ""));
        match (choice(&plain[0]), choice(&plain[1])) {
            (Some(a), Some(b)) => {
                a.letter == b.letter && (a.alone || a.marked) && (b.alone || b.marked) && (a.alone || b.alone)
            }
            _ => false,
        }
    }

    /// A single variable and what is assigned to it, in "x = 5".
    fn assigned(&self) -> Option<(&str, Reading)> {
        let (name, value) = self.marked.split_once('=')?;
        let name = name.trim_matches([' ', MARK]);
        let is_variable = name.chars().count() == 1 && name.chars().all(char::is_alphabetic);
        let value = value.trim_start();
        (is_variable && !value.is_empty() && !value.contains('='))
            .then(|| (name, Reading::new(value.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn equal_answers() {
        for (gold, prediction) in [
            ("72", "72."),
            ("\\frac{63}{400}", "\\dfrac{63}{400}"),
            ("0.5", "1/2"),
            ("\\text{Yes}", "yes"),
            ("x^2 + 1", "x^2+1"),
            ("(3, 4)", "\\left(3,4\\right)"),
            ("B", "(B)"),
            ("B", "B) 42"),
            ("\\text{(B)}", "B"),
            ("5", "x = 5"),
            ("x=5", "5"),
            ("x=5", "x = 5.0"),
            ("1,200", "\\$1200 \\text{ per week}"),
            ("2\\pi", "$2 \\pi$"),
            ("18\\text{ cm}", "18"),
        ] {
            assert_eq!(compare(gold, prediction), Comparison::Equal, "{gold} = {prediction}");
            assert_eq!(compare(prediction, gold), Comparison::Equal, "{prediction} = {gold}");
        }
    }

    #[test]
    fn different_answers() {
        for (gold, prediction) in [
            ("63/400", "64/400"),
            ("48", "4,8"),
            ("100", "1"),
            ("B", "C) 42"),
            ("B) 7", "B) 8"),
            ("n", "N"),
            ("x = 5", "y = 5"),
            ("(3, 4)", "(4, 3)"),
            ("5", ""),
            ("5", "5x"),
            ("A", "A dog"),
            ("1/3", "0.3333333333333333"),
        ] {
            assert_eq!(compare(gold, prediction), Comparison::Different, "{gold} != {prediction}");
        }
    }

    #[test]
    fn golds_that_cannot_be_read() {
        let prose = "because every side of the figure is as long as the one that lies across from it";
        for gold in ["", " $$ ", ".", "\\boxed{}", "unparseable_latex", "no_answer", prose] {
            assert!(matches!(compare(gold, "5"), Comparison::UnparsableGold(_)), "{gold:?}");
        }
        for gold in ["x_1", "a_n", "0", "no solution", "x_{max}", "\\text{all of them}"] {
            assert_eq!(compare(gold, gold), Comparison::Equal, "{gold:?}");
        }
    }

    proptest! {
        #[test]
        fn symmetric_and_reflexive(a in "[-0-9a-cA-C ./,%\\\\{}()$=x^]{0,12}", b in "[-0-9a-cA-C ./,%\\\\{}()$=x^]{0,12}") {
            let (ab, ba) = (compare(&a, &b), compare(&b, &a));
            if unparsable_gold(&a).is_none() && unparsable_gold(&b).is_none() {
                prop_assert_eq!(ab, ba);
            }
            if unparsable_gold(&a).is_none() {
                prop_assert_eq!(compare(&a, &a), Comparison::Equal);
            }
        }

        #[test]
        fn integers_are_equal_only_to_themselves(a in any::<i64>(), b in any::<i64>()) {
            let expected = if a == b { Comparison::Equal } else { Comparison::Different };
            prop_assert_eq!(compare(&a.to_string(), &b.to_string()), expected);
        }

        #[test]
        fn fractions_survive_scaling(a in -9999i64..9999, b in 1i64..9999, k in 1i64..9999) {
            let scaled = format!("\\frac{{{}}}{{{}}}", a * k, b * k);
            prop_assert_eq!(compare(&format!("{a}/{b}"), &scaled), Comparison::Equal);
            let other = format!("{}/{}", a * k + 1, b * k);
            prop_assert_eq!(compare(&other, &scaled), Comparison::Different);
        }
    }
}
