//! Final answers: find them in a text, read them, compare them.
//!
//! The map of this folder:
//! - [`extract`](mod@extract): where in a completion the final answer stands, and how it was marked;
//! - `options`: what counts as one;
//! - `stated`: the answers among them that are stated in words;
//! - `concluded`: which number of a sentence is one, for who knows the problem;
//! - `strings`: those that are one of a few letters or words;
//! - `read`: an answer as an expression, from LaTeX, plain text or Unicode;
//! - `value`: what an expression is worth: exactly, modulo a prime, between two ends at points (never through a float
//!   that was rounded to the nearest);
//! - [`compare`](mod@compare): whether two expressions are the same answer;
//! - `units`: units of measure that are converted;
//! - `normalise`: one spelling for what cannot be read as a formula;
//! - `budget`: how much work a comparison may be;
//! - [`number`](mod@number): the value of an answer that is one number, as a float;
//! - [`verify`](mod@verify): the verdict on two answers;
//! - this file: [`check`], which puts the first and the last together.
//!
//! ```
//! use rlkd::answer::{Check, check};
//! assert_eq!(check("0.5", "So it is \\boxed{\\frac{1}{2}}."), Check::Right);
//! assert_eq!(check("#### 1,200", "The answer is $1200 per week."), Check::Right);
//! assert_eq!(check("63/400", "\\boxed{64/400}"), Check::Wrong);
//! assert_eq!(check("7", "I do not know."), Check::NoAnswer);
//! assert!(matches!(check("", "\\boxed{7}"), Check::UnparsableGold(_)));
//! ```

mod budget;
mod concluded;
pub mod compare;
pub mod extract;
mod normalise;
pub mod number;
mod options;
mod read;
mod stated;
mod strings;
mod units;
mod value;
pub mod verify;

pub use compare::{Reason, Rules};
pub use extract::{Extracted, How, extract, extract_gold, extract_with};
pub use number::number;
pub use options::{ExtractionMode, FallbackMode, Options};
pub use strings::Strings;
pub use verify::{Side, Verdict, reading, verify};

use crate::trace::Outcome;
use concluded::concluded;

/// What a completion's final answer is worth against the gold answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// It is the gold answer.
    Right,
    /// It is another answer.
    Wrong,
    /// The completion states no final answer.
    NoAnswer,
    /// The gold answer cannot be read, for this reason: nothing can be said of the completion.
    UnparsableGold(String),
}

impl Check {
    /// 1 for a right answer, 0 for a wrong or a missing one, a skip where the gold answer cannot be read.
    pub fn outcome(&self) -> Outcome {
        match self {
            Check::Right => Outcome::Scored(1.0),
            Check::Wrong | Check::NoAnswer => Outcome::Scored(0.0),
            Check::UnparsableGold(reason) => {
                Outcome::skipped(format!("gold answer cannot be read: {reason}"))
            }
        }
    }
}

/// [`check_with`] the default [`Options`].
pub fn check(gold: &str, completion: &str) -> Check {
    check_with(gold, completion, Options::default())
}

/// Whether `completion` ends in the answer `gold`.
///
/// `gold` may be bare (`72`, `\frac{63}{400}`), or a whole solution that marks its answer. The
/// completion's answer is looked for in what follows `</think>` first, then in the whole text: what is
/// said in the conclusion outweighs what was tried while thinking, whatever its markup.
/// Takes time linear in both texts.
pub fn check_with(gold: &str, completion: &str, options: Options) -> Check {
    check_on("", gold, completion, options)
}

/// [`check_with`] for a completion on a problem that is known: in a sentence that nothing marks as the answer, or that is the
/// answer, a number that the problem states counts only if there is no other. A blank problem says nothing.
pub fn check_on(problem: &str, gold: &str, completion: &str, options: Options) -> Check {
    let verdict = verdict(problem, gold, completion, options, &Rules::default());
    match verdict {
        Verdict::Equal(_) => Check::Right,
        Verdict::Unparsable { which: Side::Gold, .. } => Check::UnparsableGold(verdict.to_string()),
        Verdict::Different(Reason::NoAnswer) => Check::NoAnswer,
        // Whoever writes what takes for ever to check has not answered.
        Verdict::Different(_) | Verdict::Unparsable { .. } | Verdict::TooComplex { .. } => Check::Wrong,
    }
}

/// The verdict on the answers of two texts: of `gold`, which may be the bare answer, and of a completion.
pub fn verify_texts(gold: &str, completion: &str, options: Options, rules: &Rules) -> Verdict {
    verdict("", gold, completion, options, rules)
}

/// The answer of a completion on a problem, as [`check_on`] compares it first.
pub fn answer_on<'a>(problem: &str, completion: &'a str, options: Options) -> Option<&'a str> {
    let found = of_completion(completion, options)?;
    let is_open = found.how == How::LastNumber && !problem.trim().is_empty();
    let concluded = if is_open { concluded(problem, completion, &found) } else { None };
    Some(concluded.unwrap_or(found.text))
}

fn verdict(problem: &str, gold: &str, completion: &str, options: Options, rules: &Rules) -> Verdict {
    let gold = extract_gold(gold).map_or("", |found| found.text);
    let Some(found) = of_completion(completion, options) else {
        return match verify(gold, "", rules) {
            Verdict::Different(_) => Verdict::Different(Reason::NoAnswer),
            other => other,
        };
    };
    let concluded = || match problem.trim() {
        "" => None,
        problem => concluded(problem, completion, &found),
    };
    if found.how == How::LastNumber {
        return verify(gold, concluded().unwrap_or(found.text), rules);
    }
    let verdict = verify(gold, found.text, rules);
    if verdict.is_equal() {
        return verdict;
    }
    // "She sold 50 bags", where 50 is the gold answer.
    match extract::number_in_prose(&found).or_else(concluded).map(|number| verify(gold, number, rules)) {
        Some(equal) if equal.is_equal() => equal,
        _ => verdict,
    }
}

/// The final answer of a completion: of its conclusion, or else of the whole text. The last number of the
/// text, where `options` allow it, is looked at only when neither states an answer.
pub fn of_completion(completion: &str, options: Options) -> Option<Extracted<'_>> {
    const END: &str = "</think>";
    let tail = completion.find(END).map(|at| at + END.len());
    extract::first_fit(options, |visit| {
        [true, false].iter().any(|&marked| {
            let each = if marked { extract::each_marked } else { extract::each_unmarked };
            if !marked && !options.try_extract_without_anchor {
                return false;
            }
            tail.is_some_and(|start| {
                each(&completion[start..], options, &mut |found| visit(found.moved(start)))
            }) || each(completion, options, visit)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_conclusion_outweighs_the_thinking() {
        let text = "<think>maybe \\boxed{3}</think>The answer is 4.";
        assert_eq!(check("4", text), Check::Right);
        assert_eq!(check("3", text), Check::Wrong);
        let found = of_completion(text, Options::default()).unwrap();
        assert_eq!(found.span.of(text), "4");
        assert_eq!(check("3", "<think>so \\boxed{3}</think>Done."), Check::Right);
        assert_eq!(check("9", "<think>so \\boxed{3}</think>Done after 9 tries"), Check::Wrong);
    }

    #[test]
    fn a_gold_that_cannot_be_read_is_a_skip_and_never_a_zero() {
        for gold in ["", "  ", "\\boxed{}", "unparseable_latex"] {
            assert_eq!(check(gold, "\\boxed{5}").outcome().value(), None, "{gold:?}");
        }
        assert_eq!(check("5", "").outcome().value(), Some(0.0));
    }
}
