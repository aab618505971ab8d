//! The verdict on a gold answer and a prediction, both as they stand, without the text around them.

use std::fmt;

use rustc_hash::{FxHashMap, FxHashSet};

use super::compare::{Comparer, Reason, Rules};
use super::normalise::{MARK, normalise};
use super::read::expr::{Expr, Id, Node};
use super::read::{Failure, parse, print};
use super::stated::choice;

/// Longer answers are compared letter by letter only.
pub(super) const LONGEST: usize = 1 << 16;

/// One of the two answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The gold answer.
    Gold,
    /// The prediction.
    Prediction,
}

/// Whether a prediction is the gold answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is, for this reason.
    Equal(Reason),
    /// It is not, or nothing shows that it is.
    Different(Reason),
    /// One of them cannot be read, from this byte on.
    Unparsable {
        /// Which.
        which: Side,
        /// Byte offset.
        at: usize,
    },
    /// The work was more than the budget, in steps.
    TooComplex {
        /// Steps.
        budget: u64,
    },
}

impl Verdict {
    /// Whether it is the gold answer.
    pub fn is_equal(self) -> bool {
        matches!(self, Verdict::Equal(_))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Equal(reason) => write!(f, "equal: {}", reason.words()),
            Verdict::Different(reason) => write!(f, "different: {}", reason.words()),
            Verdict::Unparsable { which, at } => {
                let which = match which {
                    Side::Gold => "the gold answer",
                    Side::Prediction => "the prediction",
                };
                write!(f, "unparsable: {which} cannot be read from byte {at} on")
            }
            Verdict::TooComplex { budget } => write!(f, "too complex: not decided within {budget} steps"),
        }
    }
}

/// Whether `prediction` is the answer `gold`.
///
/// Takes time linear in both lengths for what is spelled alike, and at most [`Rules::budget`] steps for the rest.
pub fn verify(gold: &str, prediction: &str, rules: &Rules) -> Verdict {
    let (gold, prediction) = (gold.trim(), prediction.trim());
    if let (Some(a), Some(b)) = (digits(gold), digits(prediction)) {
        if a == b {
            return Verdict::Equal(Reason::Number);
        }
        // Decimals may be the same to those that count.
        if a.2.is_empty() && b.2.is_empty() {
            return Verdict::Different(Reason::OtherNumber);
        }
    }
    let is_long = |text: &str| text.len() > LONGEST;
    if empty(gold).is_some() || !is_long(gold) && says_nothing(gold) {
        return Verdict::Unparsable { which: Side::Gold, at: 0 };
    }
    if gold == prediction {
        return Verdict::Equal(Reason::Spelling);
    }
    if empty(prediction).is_some() {
        return Verdict::Different(Reason::Kinds);
    }
    if is_long(gold) || is_long(prediction) {
        return Verdict::TooComplex { budget: rules.budget };
    }
    if let Some(same) = words(gold, prediction).or_else(|| runs(gold, prediction)) {
        return if same { Verdict::Equal(Reason::Words) } else { Verdict::Different(Reason::OtherWords) };
    }
    let mut found = read_and_compare(gold, prediction, rules, true, false);
    let has_comma = gold.contains(',') || prediction.contains(',');
    // Commas that do not separate thousands, and variables that stand for others.
    for (grouped, renamed) in [(false, false), (true, true), (false, true)] {
        if found.is_equal() {
            break;
        }
        if (grouped || has_comma) && !(renamed && rules.strict) {
            let other = read_and_compare(gold, prediction, rules, grouped, renamed);
            found = if other.is_equal() { other } else { found };
        }
    }
    if !found.is_equal() && same_choice(gold, prediction) {
        return Verdict::Equal(Reason::Choice);
    }
    found
}

/// Dates, times of the day and ranges, which are no differences, quotients and ratios: whether two of a kind are the same;
/// `None` where one of them is none.
fn runs(gold: &str, prediction: &str) -> Option<bool> {
    /// The numbers of `2:30`, `2020-01-05`, `6/8/2020`, `5-10`, and the mark between them.
    fn parts(text: &str) -> Option<(Vec<&str>, char)> {
        let mark = text.chars().find(|c| !c.is_ascii_digit())?;
        let parts: Vec<&str> = text.split(mark).collect();
        let are_numbers =
            parts.iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
        let fits = are_numbers
            && match mark {
                ':' => parts.len() == 2 && parts[1].len() == 2,
                '-' => parts.len() <= 3,
                '/' => parts.len() == 3,
                _ => false,
            };
        fits.then_some((parts, mark))
    }
    let (one, other) = (parts(gold), parts(prediction));
    // With a year; 1/2/3 and 9-3-1 may be worked out.
    let is_date = |found: &Option<(Vec<&str>, char)>| {
        found.as_ref().is_some_and(|(parts, _)| parts.len() == 3 && parts.iter().any(|part| part.len() == 4))
    };
    let dated = is_date(&one);
    if dated != is_date(&other) {
        return Some(false);
    }
    let ((one, mark), (other, with)) = (one?, other?);
    let value = |part: &&str| part.trim_start_matches('0').to_owned();
    (mark == with && (one.len() == 2 || dated)).then(|| one.iter().map(value).eq(other.iter().map(value)))
}

/// Whether two words are the same; `None` where one of them is none, or they may be products of letters.
fn words(gold: &str, prediction: &str) -> Option<bool> {
    /// Words that are no product of letters, though they could be.
    const SHORT: &[&str] =
        &["yes", "no", "on", "off", "up", "to", "is", "it", "or", "and", "not", "odd", "tie"];
    let plain = [gold, prediction].map(|text| text.trim_end_matches('.'));
    let is_word = |text: &str| text.len() > 1 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    let [a, b] = plain;
    if !is_word(a) || !is_word(b) {
        return None;
    }
    if a.eq_ignore_ascii_case(b) && (a.len() > 2 || a[1..] == b[1..]) {
        return Some(true);
    }
    // Points and orders: ABC is not BAC.
    let is_label = |text: &str| text.bytes().all(|byte| byte.is_ascii_uppercase());
    let is_short = |text: &str| SHORT.contains(&text.to_lowercase().as_str());
    (is_label(a) && is_label(b) || is_short(a) || is_short(b)).then_some(false)
}

/// The runs of digits of a text.
fn runs_of_digits(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty())
}

/// Whether two texts are spelled alike but for what means nothing. White space between digits means something.
fn spelled_alike(gold: &str, prediction: &str) -> bool {
    plain(gold) == plain(prediction) && runs_of_digits(gold).eq(runs_of_digits(prediction))
}

/// How an answer is read, in SymPy's syntax; or the byte from which on it cannot be.
///
/// What SymPy has no word for has one of ours: `percent`, `degree`, `PlusMinus`, `Ratio`, `Relation`.
///
/// ```
/// use rlkd::answer::reading;
/// assert_eq!(reading("\\frac12x^2").as_deref(), Ok("1/2*x**2"));
/// assert_eq!(reading("3 + * 4"), Err(4));
/// ```
pub fn reading(answer: &str) -> Result<String, usize> {
    let answer = answer.trim();
    if answer.len() > LONGEST {
        return Err(LONGEST);
    }
    let mut expr = Expr::default();
    match parse(answer, true, &mut expr) {
        Ok(id) => Ok(print(&expr, id)),
        Err(Failure::At(at)) => Err(at),
        Err(Failure::TooComplex) => Err(answer.len()),
    }
}

fn read_and_compare(gold: &str, prediction: &str, rules: &Rules, grouped: bool, renamed: bool) -> Verdict {
    let mut expr = Expr::default();
    let too_complex = Verdict::TooComplex { budget: rules.budget };
    let one = parse(gold, grouped, &mut expr);
    let of_gold = expr.nodes.len();
    let other = parse(prediction, grouped, &mut expr);
    let (one, other): (Id, Id) = match (one, other) {
        (Ok(one), Ok(other)) => (one, other),
        (one, other) => {
            let (a, b) = (plain(gold), plain(prediction));
            if spelled_alike(gold, prediction) {
                return Verdict::Equal(Reason::Words);
            }
            return match (one, other) {
                // A gold answer that cannot be read is a skip, whatever the prediction is.
                (Err(Failure::At(at)), _) if !is_wordy(&a) => Verdict::Unparsable { which: Side::Gold, at },
                (Err(Failure::TooComplex), _) | (_, Err(Failure::TooComplex)) => too_complex,
                (_, Err(Failure::At(at))) if !is_wordy(&b) && !is_wordy(&a) => {
                    if rules.unparsable_is_different {
                        Verdict::Different(Reason::Unreadable(at))
                    } else {
                        Verdict::Unparsable { which: Side::Prediction, at }
                    }
                }
                _ => Verdict::Different(Reason::OtherWords),
            };
        }
    };
    if renamed {
        rename(&mut expr, of_gold);
    }
    let mut comparer = Comparer::new(&mut expr, *rules);
    if comparer.same(one, other) {
        let reason = comparer.reason;
        // x > 2 and x < 5 are one interval, x > 2 or x < 5 are all numbers.
        let inequalities = [one, other].iter().all(|&id| {
            matches!(expr.node(id), Node::List(_))
                && expr.any(id, |node| matches!(node, Node::Relation('<' | '>' | '≤' | '≥', ..)))
        });
        let says =
            |text: &str| ["\\lor", "\\land", "\\vee", "\\wedge"].iter().any(|sign| text.contains(sign));
        let is_joined = inequalities || says(gold) && says(prediction);
        if is_joined
            && joint(gold) != joint(prediction)
            && joint(gold).is_some()
            && joint(prediction).is_some()
        {
            return Verdict::Different(Reason::Relations);
        }
        return Verdict::Equal(reason);
    }
    if comparer.budget.is_spent() {
        return if spelled_alike(gold, prediction) { Verdict::Equal(Reason::Spelling) } else { too_complex };
    }
    let reason = comparer.reason;
    if matches!(reason, Reason::NotShown | Reason::Kinds | Reason::OtherWords | Reason::Relations)
        && spelled_alike(gold, prediction)
    {
        return Verdict::Equal(Reason::Spelling);
    }
    Verdict::Different(reason)
}

/// Gives the variables of the nodes from `from` on the names of those before it, in the order in which they are written,
/// if there are as many.
fn rename(expr: &mut Expr, from: usize) {
    let names = |nodes: &[Node]| {
        let mut names: Vec<u32> = Vec::new();
        let mut known = FxHashSet::default();
        for node in nodes {
            if let Node::Symbol(name) = node
                && known.insert(*name)
            {
                names.push(*name);
            }
        }
        names
    };
    let (old, new) = (names(&expr.nodes[from..]), names(&expr.nodes[..from]));
    if old.len() == new.len() {
        let names: FxHashMap<u32, u32> = old.into_iter().zip(new).collect();
        for node in &mut expr.nodes[from..] {
            if let Node::Symbol(name) = node {
                *name = names[name];
            }
        }
    }
}

/// Whether "or" joins the parts of a text (`true`), or "and".
fn joint(text: &str) -> Option<bool> {
    let mut words = text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty());
    words.find_map(|word| match word.to_lowercase().as_str() {
        "or" | "lor" | "vee" => Some(true),
        "and" | "land" | "wedge" => Some(false),
        _ => None,
    })
}

/// Where an answer that says nothing ends, if it is one.
fn empty(text: &str) -> Option<usize> {
    let says = |c: char| c.is_alphanumeric() || matches!(c, '\\' | '∞' | '∅' | '½' | '{' | '}' | '*' | '?');
    (!text.chars().any(says)).then_some(text.len())
}

/// Whether a text is one number: perhaps with a sign, a unit or a percent sign, or a fraction of two.
pub(super) fn is_number(text: &str) -> bool {
    const LONGEST: usize = 1 << 12;
    let mut expr = Expr::default();
    if text.len() > LONGEST {
        return digits(text).is_some();
    }
    let Ok(mut id) = parse(text, true, &mut expr) else { return false };
    loop {
        id = match expr.node(id) {
            Node::Neg(a) | Node::Percent(a) | Node::Degrees(a) | Node::Unit(a, _) => a,
            Node::Number { .. } => return true,
            Node::Div(a, b) => {
                let is = |id| matches!(expr.node(id), Node::Number { .. });
                let is_zero = matches!(expr.node(b), Node::Number { at, .. } if expr.value(at).is_zero());
                return is(a) && is(b) && !is_zero;
            }
            _ => return false,
        };
    }
}

/// Why `gold` says nothing, if it does: it is empty; it is a sentence without a value; or it is a name such as
/// `no_answer`, which stands in data sets where an answer is missing.
fn says_nothing(gold: &str) -> bool {
    const SENTENCE_WORDS: usize = 12;
    if empty(gold).is_some() {
        return true;
    }
    let is_word =
        |word: &&str| word.chars().filter(|c| c.is_alphabetic()).count() > 1 && !word.contains('\\');
    if gold.split_whitespace().filter(is_word).count() > SENTENCE_WORDS
        && parse(gold, true, &mut Expr::default()).is_err()
    {
        return true;
    }
    let mut parts = gold.split('_').peekable();
    gold.contains('_')
        && parts.all(|part| part.len() > 1 && part.bytes().all(|byte| byte.is_ascii_lowercase()))
}

/// A whole number or decimal of any length in one spelling: sign, digits without zeros in front, digits behind the point
/// without zeros at the end.
fn digits(text: &str) -> Option<(bool, &str, &str)> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, part) = rest.split_once('.').unwrap_or((rest, ""));
    let all = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all(whole) || !all(part) {
        return None;
    }
    let (whole, part) = (whole.trim_start_matches('0'), part.trim_end_matches('0'));
    Some((negative && !(whole.is_empty() && part.is_empty()), whole, part))
}

/// The text in one spelling, without white space; words in lower case.
fn plain(text: &str) -> String {
    let text = normalise(text);
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    let plain = text.chars().filter(|c| !c.is_whitespace() && *c != MARK);
    if letters > 1 && !text.contains('\\') {
        plain.flat_map(char::to_lowercase).collect()
    } else {
        plain.collect()
    }
}

/// Mostly letters: words and not a formula.
fn is_wordy(plain: &str) -> bool {
    let letters = plain.chars().filter(|c| c.is_alphabetic()).count();
    !plain.contains('\\') && letters > 3 && letters * 5 > plain.chars().count() * 4
}

/// "B" and "B) 42": the same choice, where one of them is nothing else.
fn same_choice(gold: &str, prediction: &str) -> bool {
    let plain = [gold, prediction].map(|text| normalise(text).replace(MARK, ""));
    match (choice(&plain[0]), choice(&plain[1])) {
        (Some(a), Some(b)) => {
            a.letter == b.letter && (a.alone || a.marked) && (b.alone || b.marked) && (a.alone || b.alone)
        }
        _ => false,
    }
}
