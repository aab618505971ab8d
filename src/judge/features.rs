//! What the lexical judge sees of a pair of steps.
//!
//! Each side is read once ([`StepText`]); a pair then costs a few merges of sorted lists and one bit-parallel
//! string comparison, and allocates nothing.

use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::Xxh3Default;

use crate::calculation::{Calculation, Operations, Value};
use crate::text::numbers::{self, Number};
use crate::text::similarity::{Pattern, Scratch};
use crate::text::words;
use crate::trace::Span;

/// The features of a pair, in the order of [`Features`]. All lie in [0, 1].
pub const NAMES: [&str; 14] = [
    "question_ratio",
    "question_overlap",
    "question_missing",
    "step_overlap",
    "step_coverage",
    "answer_overlap",
    "operand_overlap",
    "operand_equal",
    "operand_nested",
    "operands_missing",
    "operands_one_sided",
    "operation_overlap",
    "unit_same",
    "unit_differs",
];

/// How far behind its number a unit is looked for, in bytes.
const UNIT_WINDOW: usize = 24;

/// Characters of a question that the string ratio looks at; its cost is quadratic. Questions are far shorter.
const MOST_COMPARED: usize = 1024;

/// One value per name in [`NAMES`].
pub type Features = [f64; NAMES.len()];

/// How much a word says: inverse document frequencies, ln((1 + documents) / (1 + documents with the word)).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WordWeights {
    by_hash: FxHashMap<u32, f32>,
    unknown: f32,
}

impl WordWeights {
    /// Weights by word; `unknown` is for every other word.
    pub fn new<'a>(weights: impl IntoIterator<Item = (&'a str, f32)>, unknown: f32) -> Self {
        let by_hash = weights.into_iter().map(|(word, weight)| (words::hash(word), weight)).collect();
        WordWeights { by_hash, unknown }
    }

    fn of(&self, hash: u32) -> f32 {
        self.by_hash.get(&hash).copied().unwrap_or(self.unknown)
    }
}

/// A bag of words: sorted by hash, each once, with its weight.
#[derive(Clone, Debug, Default)]
struct Bag {
    words: Vec<(u32, f32)>,
    weight: f32,
}

impl Bag {
    /// Becomes the bag of the words of `text`.
    fn fill(&mut self, text: &str, weights: &WordWeights, buffer: &mut String) {
        self.words.clear();
        words::each_word(text, buffer, |word| {
            let hash = words::hash(word);
            self.words.push((hash, weights.of(hash)));
        });
        self.words.sort_unstable_by_key(|&(hash, _)| hash);
        self.words.dedup_by_key(|&mut (hash, _)| hash);
        self.weigh();
    }

    /// Becomes the union of two bags.
    fn unite(&mut self, left: &Bag, right: &Bag) {
        self.words.clear();
        self.words.extend_from_slice(&left.words);
        self.words.extend_from_slice(&right.words);
        self.words.sort_unstable_by_key(|&(hash, _)| hash);
        self.words.dedup_by_key(|&mut (hash, _)| hash);
        self.weigh();
    }

    fn weigh(&mut self) {
        self.weight = self.words.iter().map(|&(_, weight)| weight).sum();
    }

    /// Weight of the words that both have.
    fn shared(&self, other: &Bag) -> f32 {
        let (mut left, mut right) = (self.words.iter(), other.words.iter());
        let (mut a, mut b) = (left.next(), right.next());
        let mut sum = 0.0;
        while let (Some(&(x, weight)), Some(&(y, _))) = (a, b) {
            if x == y {
                sum += weight;
            }
            if x <= y {
                a = left.next();
            }
            if y <= x {
                b = right.next();
            }
        }
        sum
    }

    /// Weighted Jaccard overlap, in [0, 1]; 0 when both are empty.
    fn overlap(&self, other: &Bag) -> f64 {
        ratio(self.shared(other), |shared| self.weight + other.weight - shared)
    }
}

fn ratio(shared: f32, whole: impl Fn(f32) -> f32) -> f64 {
    let whole = whole(shared);
    if whole > 0.0 { f64::from((shared / whole).clamp(0.0, 1.0)) } else { 0.0 }
}

/// One step, read for comparison.
#[derive(Clone, Debug, Default)]
pub struct StepText {
    question: Bag,
    step: Bag,
    answer: Bag,
    question_pattern: Pattern,
    question_text: String,
    calculation: Calculation,
    /// What the result counts: a hash of the word behind it, or of "dollar" for what is money.
    unit: Option<u32>,
    /// The words of the answer between its numbers, as a hash.
    wording: u64,
    /// Every number of the answer, ascending.
    sorted: Vec<f64>,
}

impl StepText {
    /// Reads a step: its sub-problem and its answer, either of which may be empty. Reuses its memory.
    pub fn read(&mut self, sub_problem: &str, answer: &str, weights: &WordWeights, buffer: &mut String) {
        self.question_text.clear();
        let asked = sub_problem.trim();
        let end = asked.char_indices().nth(MOST_COMPARED).map_or(asked.len(), |(at, _)| at);
        self.question_text.push_str(&asked[..end]);
        self.question_pattern.set(&self.question_text);
        self.question.fill(sub_problem, weights, buffer);
        self.answer.fill(answer, weights, buffer);
        self.step.unite(&self.question, &self.answer);
        self.calculation.read(answer);
        self.wording = wording(answer, self.calculation.numbers());
        self.sorted.clear();
        self.sorted.extend(self.calculation.numbers().iter().map(|number| number.value));
        self.sorted.sort_unstable_by(f64::total_cmp);
        self.unit = self.calculation.result_span().and_then(|span| unit(answer, span, buffer));
        if !self.calculation.computed && self.calculation.operands.is_empty() {
            // "80 sheep." alone: what it was computed from may stand in the question.
            self.add_operands(sub_problem);
        }
    }

    /// Replaces the result that was read by one that is known, as labelled data have it.
    pub fn set_result(&mut self, result: Option<f64>) {
        let Some(value) = result else { return };
        if let Some(read) = self.calculation.result
            && !numbers::same(read, value)
        {
            self.calculation.operands.push(read);
        }
        self.calculation.operands.retain(|operand| !numbers::same(*operand, value));
        self.calculation.operands.sort_unstable_by(f64::total_cmp);
        (self.calculation.result, self.calculation.value) = (Some(value), Some(Value::new(value)));
    }

    fn add_operands(&mut self, text: &str) {
        let mut asked = Calculation::default();
        asked.read(text);
        let result = self.calculation.result;
        let found = asked.operands.iter().chain(&asked.result);
        let operands = found.filter(|value| result.is_none_or(|result| !numbers::same(**value, result)));
        self.calculation.operands.extend(operands);
        self.calculation.operands.sort_unstable_by(f64::total_cmp);
        self.calculation.operands.dedup_by(|a, b| numbers::same(*a, *b));
    }

    /// Whether the answer computes something; else it only says something.
    pub fn computes(&self) -> bool {
        self.calculation.computed
    }

    /// What the step arrives at, if that is a number.
    pub fn result(&self) -> Option<f64> {
        self.calculation.result
    }

    /// Whether the student's result is a result of this step (the teacher's). What else the student's step computes
    /// does not count: a list of results would answer every step.
    pub fn shares_result(&self, student: &StepText) -> bool {
        let (Some(mine), Some(theirs)) = (self.calculation.value, student.calculation.value) else {
            return false;
        };
        let results = self.calculation.stated.iter().filter(|stated| stated.computed);
        mine.is(theirs) || results.map(|stated| stated.value).any(|value| value.is(theirs))
    }

    /// Whether the answers say the same in the same words but for a number: one of them is mistaken, or speaks of
    /// something else, whatever comes out.
    pub fn differs_in_a_number(&self, other: &StepText) -> bool {
        // 4 * 3 and 3 * 4 have the same numbers.
        let same = |(one, other): (&f64, &f64)| numbers::same(*one, *other);
        self.wording == other.wording
            && self.sorted.len() == other.sorted.len()
            && !self.sorted.iter().zip(&other.sorted).all(same)
    }

    /// Whether the student's step is a calculation without a word, and one that this step (the teacher's) does not make: from
    /// other numbers, or with other signs and another result. All that such a step asks is what it computes, so a list of
    /// sums of whatever numbers there are answers no question by chance.
    pub fn is_not_the_sum(&self, student: &StepText) -> bool {
        let [mine, theirs] = [&self.calculation, &student.calculation];
        if !student.step.words.is_empty() || !theirs.computed || self.calculation.operands.is_empty() {
            return false;
        }
        let others = Operations(mine.operations.0 & theirs.operations.0).is_empty()
            && !mine.operations.is_empty()
            && !theirs.operations.is_empty();
        !numbers::meet(&mine.operands, &theirs.operands) || others && !self.shares_result(student)
    }

    /// Overlap of the words of the answers, in [0, 1].
    pub fn answer_overlap(&self, other: &StepText) -> f64 {
        self.answer.overlap(&other.answer)
    }

    /// The features of the pair (`self` the teacher's step, `student` the student's). The results themselves are
    /// masked: two steps do not become the same question by having the same answer.
    pub fn compare(&self, student: &StepText, scratch: &mut Scratch) -> Features {
        let mut features = self.compare_words(student);
        features[0] = self.question_ratio(student, scratch);
        features
    }

    /// Whether both sides state a question.
    pub fn both_ask(&self, student: &StepText) -> bool {
        !self.question.words.is_empty() && !student.question.words.is_empty()
    }

    /// The first feature, which costs more than all the others: the string similarity of the questions, in [0, 1].
    pub fn question_ratio(&self, student: &StepText, scratch: &mut Scratch) -> f64 {
        if self.both_ask(student) {
            self.question_pattern.indel_similarity(&student.question_text, scratch)
        } else {
            0.0
        }
    }

    /// All features but the first, which is 0.
    pub fn compare_words(&self, student: &StepText) -> Features {
        let asked = self.both_ask(student);
        let question_overlap = if asked { self.question.overlap(&student.question) } else { 0.0 };
        let shared = self.step.shared(&student.step);
        let operands = Operands::compare(&self.calculation.operands, &student.calculation.operands);
        let as_feature = |yes: bool| f64::from(u8::from(yes));
        [
            0.0,
            question_overlap,
            as_feature(!asked),
            ratio(shared, |shared| self.step.weight + student.step.weight - shared),
            ratio(shared, |_| self.step.weight),
            self.answer.overlap(&student.answer),
            operands.overlap(),
            as_feature(operands.equal()),
            as_feature(operands.nested()),
            as_feature(operands.left + operands.right == 0),
            as_feature((operands.left == 0) != (operands.right == 0)),
            operation_overlap(self.calculation.operations, student.calculation.operations),
            as_feature(self.unit.is_some() && self.unit == student.unit),
            as_feature(self.unit.is_some() && student.unit.is_some() && self.unit != student.unit),
        ]
    }
}

/// What the number at `span` counts: the word behind it, on the same line.
fn unit(text: &str, span: Span, buffer: &mut String) -> Option<u32> {
    let (before, after) = (&text[..span.start as usize], &text[span.end as usize..]);
    let mut end = after.len().min(UNIT_WINDOW);
    while !after.is_char_boundary(end) {
        end += 1;
    }
    let after = after[..end].split('\n').next().unwrap_or_default();
    // "84 \text{ eggs}": a command is no word, what is in its braces is one.
    let mut found = None;
    words::each_word(after, buffer, |word| found = found.or_else(|| Some(words::hash(word))));
    if before.trim_end_matches(['\\', '*', ' ']).ends_with(['$', '€', '£']) && !after.starts_with("$ ") {
        return Some(words::hash("dollar"));
    }
    found
}

/// A hash of what stands between the numbers of a text.
fn wording(text: &str, numbers: &[Number]) -> u64 {
    let mut hasher = Xxh3Default::new();
    let mut from = 0;
    for number in numbers {
        hasher.update(&text.as_bytes()[from..number.span.start as usize]);
        hasher.update(b"\0");
        from = number.span.end as usize;
    }
    hasher.update(&text.as_bytes()[from..]);
    hasher.digest()
}

/// Overlap of two sets of operations; 0.5 when neither names one.
fn operation_overlap(a: Operations, b: Operations) -> f64 {
    let either = Operations(a.0 | b.0);
    if either.is_empty() { 0.5 } else { f64::from(Operations(a.0 & b.0).len()) / f64::from(either.len()) }
}

/// How two ascending lists of operands meet.
#[derive(Clone, Copy, Debug)]
struct Operands {
    left: usize,
    right: usize,
    shared: usize,
}

impl Operands {
    fn compare(a: &[f64], b: &[f64]) -> Self {
        let (mut i, mut j, mut shared) = (0, 0, 0);
        while i < a.len() && j < b.len() {
            if numbers::same(a[i], b[j]) {
                shared += 1;
                i += 1;
                j += 1;
            } else if a[i] < b[j] {
                i += 1;
            } else {
                j += 1;
            }
        }
        Operands { left: a.len(), right: b.len(), shared }
    }

    fn overlap(self) -> f64 {
        let either = self.left + self.right - self.shared;
        if either == 0 { 0.0 } else { self.shared as f64 / either as f64 }
    }

    fn equal(self) -> bool {
        self.shared > 0 && self.shared == self.left && self.shared == self.right
    }

    fn nested(self) -> bool {
        self.shared > 0 && (self.shared == self.left || self.shared == self.right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(teacher: [&str; 2], student: [&str; 2]) -> Features {
        let weights = WordWeights::new([("how", 0.1), ("many", 0.1)], 2.0);
        let mut sides = [StepText::default(), StepText::default()];
        for (side, [question, answer]) in sides.iter_mut().zip([teacher, student]) {
            side.read(question, answer, &weights, &mut String::new());
        }
        sides[0].compare(&sides[1], &mut Scratch::default())
    }

    fn feature(features: Features, name: &str) -> f64 {
        features[NAMES.iter().position(|n| *n == name).unwrap()]
    }

    #[test]
    fn a_step_agrees_with_itself() {
        let step = ["How many eggs are eaten in a week?", "3*7=21 eggs"];
        let features = compare(step, step);
        for name in ["question_ratio", "question_overlap", "step_overlap", "operand_overlap", "operand_equal"]
        {
            assert_eq!(feature(features, name), 1.0, "{name}");
        }
        assert_eq!(feature(features, "question_missing"), 0.0);
    }

    #[test]
    fn the_result_is_masked() {
        let same_result = compare(["", "2+5=7"], ["", "10-3=7"]);
        assert_eq!(feature(same_result, "operand_overlap"), 0.0);
        assert_eq!(feature(same_result, "question_missing"), 1.0);
        let same_operands = compare(["", "2*5=10"], ["", "5*2=11"]);
        assert_eq!(feature(same_operands, "operand_equal"), 1.0);
    }

    #[test]
    fn results_are_the_same_however_they_are_written() {
        let side = |answer: &str| {
            let mut side = StepText::default();
            side.read("", answer, &WordWeights::default(), &mut String::new());
            side
        };
        for (teacher, student, same) in [
            ("1/4 + 1/2 = 3/4", "so it is \\frac{3}{4}", true),
            ("3 / 4 = 0.75", "that is 75%", true),
            ("3 / 2 = 1 1/2 hours", "= \\dfrac32", true),
            ("3 / 4 = 0.75", "that is 75", false),
            ("1 - 1/4 = 3/4", "so it is 4", false),
            ("r = 2\\sqrt{3}", "\\sqrt{12} = 2√3", true),
            ("r = 2\\sqrt{3}", "so r = 2", false),
        ] {
            assert_eq!(side(teacher).shares_result(&side(student)), same, "{teacher:?} {student:?}");
        }
    }

    #[test]
    fn every_feature_is_in_range() {
        for (a, b) in [(["", ""], ["", ""]), (["?", "1"], ["x y", "-"]), (["half", ""], ["", "1/2=0.5"])] {
            for value in compare(a, b) {
                assert!((0.0..=1.0).contains(&value), "{a:?} {b:?}");
            }
        }
    }
}
