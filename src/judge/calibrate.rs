//! Fits the lexical judge on labelled pairs of steps. Pure computation; the command line reads and writes the files.

use std::collections::{BTreeMap, BTreeSet};

use super::features::{Features, NAMES, StepText, WordWeights};
use super::lexical::{FORMAT, Fitted, Head, Model, Provenance, TEXT_NAMES};
use crate::error::{Error, Result};
use crate::text::similarity::Scratch;
use crate::text::words;

/// Two steps and whether they treat the same sub-problem.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledPair {
    /// What the split is made by: all pairs of a problem fall on the same side.
    pub problem: u64,
    /// The teacher's question and answer, and its result if known.
    pub teacher: (String, String, Option<f64>),
    /// The student's, likewise.
    pub student: (String, String, Option<f64>),
    /// The label.
    pub same: bool,
}

impl LabelledPair {
    /// The split rule: problems whose number divides by 3 are held out.
    pub fn is_held_out(&self) -> bool {
        self.problem.is_multiple_of(3)
    }
}

/// How sharply weights are held back: the inverse variance of a normal prior on each.
const RIDGE: f64 = 0.1;
/// Newton steps; the loss is convex and the fit is exact long before.
const NEWTON_STEPS: usize = 50;
/// A word has to stand in this many texts to get a weight of its own.
const FEWEST_TEXTS: usize = 2;

/// Fits a model on the pairs that are not held out and measures it on the others.
///
/// # Errors
/// Fewer than two pairs of either label on either side of the split.
pub fn fit(pairs: &[LabelledPair], command: &str, data: &str) -> Result<Model> {
    let (held_out, fitted_on): (Vec<_>, Vec<_>) = pairs.iter().partition(|pair| pair.is_held_out());
    for (side, pairs) in [("fit on", &fitted_on), ("hold out", &held_out)] {
        let same = pairs.iter().filter(|pair| pair.same).count();
        if same < 2 || pairs.len() - same < 2 {
            return Err(Error::data(format!(
                "too few pairs to {side}: {} of the same sub-problem, {} of different ones; both are needed on both \
                 sides of the split by problem",
                same,
                pairs.len() - same
            )));
        }
    }
    let (table, unknown_word) = word_table(&fitted_on);
    let weights = WordWeights::new(table.iter().map(|(word, &weight)| (word.as_str(), weight)), unknown_word);
    let rows = Rows::of(&fitted_on, &weights);
    let step = head(&NAMES, &rows.step, &rows.step_labels);
    let text = head(&TEXT_NAMES, &rows.text, &rows.text_labels);
    let mut model = Model {
        format: FORMAT.into(),
        provenance: Provenance {
            command: command.into(),
            data: data.into(),
            split: "by problem: number % 3 == 0 held out".into(),
            pairs: fitted_on.len(),
            ..Provenance::default()
        },
        step,
        text,
        equal_results: round(evidence_of_equal_results(&fitted_on, &weights)),
        unknown_word,
        words: table,
    };
    let measured = measure(&Fitted::new(&model), held_out.iter().copied());
    model.provenance.held_out_auc = round(measured.auc);
    model.provenance.held_out_ece = round(measured.ece);
    Ok(model)
}

pub(super) fn round(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// How well a model tells pairs apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Area under the ROC curve.
    pub auc: f64,
    /// Expected calibration error over 10 bins of equal width.
    pub ece: f64,
    /// The probability of each pair, in order.
    pub probabilities: Vec<f64>,
}

/// Measures `model` on `pairs`, results masked.
pub fn measure<'a>(model: &Fitted, pairs: impl Iterator<Item = &'a LabelledPair>) -> Measured {
    let mut reader = Reader::default();
    let (mut probabilities, mut labels) = (Vec::new(), Vec::new());
    for pair in pairs {
        probabilities.push(model.same_sub_problem(&reader.features(pair, model.words(), true)));
        labels.push(pair.same);
    }
    Measured {
        auc: auc(&probabilities, &labels),
        ece: calibration_error(&probabilities, &labels),
        probabilities,
    }
}

#[derive(Default)]
struct Reader {
    teacher: StepText,
    student: StepText,
    buffer: String,
    scratch: Scratch,
}

impl Reader {
    fn features(&mut self, pair: &LabelledPair, weights: &WordWeights, asked: bool) -> Features {
        for (side, (question, answer, result)) in
            [(&mut self.teacher, &pair.teacher), (&mut self.student, &pair.student)]
        {
            side.read(question, answer, weights, &mut self.buffer);
            side.set_result(*result);
        }
        if !asked {
            let (_, answer, result) = &pair.student;
            self.student.read("", answer, weights, &mut self.buffer);
            self.student.set_result(*result);
        }
        self.teacher.compare(&self.student, &mut self.scratch)
    }
}

struct Rows {
    step: Vec<Vec<f64>>,
    step_labels: Vec<bool>,
    text: Vec<Vec<f64>>,
    text_labels: Vec<bool>,
}

impl Rows {
    /// Every pair twice: as it is, and as if the student had not said what it asks itself, as raw traces do not.
    fn of(pairs: &[&LabelledPair], weights: &WordWeights) -> Self {
        let mut rows =
            Rows { step: Vec::new(), step_labels: Vec::new(), text: Vec::new(), text_labels: Vec::new() };
        let mut reader = Reader::default();
        for pair in pairs {
            for asked in [true, false] {
                let features = reader.features(pair, weights, asked);
                rows.step.push(features.to_vec());
                rows.step_labels.push(pair.same);
                if asked {
                    rows.text.push(features[..TEXT_NAMES.len()].to_vec());
                    rows.text_labels.push(pair.same);
                }
            }
        }
        rows
    }
}

/// How much more often results are equal in pairs that are surely the same step than in pairs that surely are not,
/// as a difference of log-odds. Sure is what the features other than the result say without it: the same operands
/// and operations, or no operand and hardly a word of the question in common.
fn evidence_of_equal_results(pairs: &[&LabelledPair], weights: &WordWeights) -> f64 {
    let at =
        |features: &Features, name: &str| NAMES.iter().position(|n| *n == name).map_or(0.0, |i| features[i]);
    let mut reader = Reader::default();
    // (equal, all) for the sure ones, smoothed by one of each.
    let (mut same, mut different) = ([1.0, 2.0], [1.0, 2.0]);
    for pair in pairs {
        let (Some(a), Some(b)) = (pair.teacher.2, pair.student.2) else { continue };
        let features = reader.features(pair, weights, true);
        let one_sided = at(&features, "operands_one_sided") + at(&features, "operands_missing") > 0.0;
        let counts = if at(&features, "operand_equal") == 1.0 && at(&features, "operation_overlap") == 1.0 {
            &mut same
        } else if at(&features, "operand_overlap") == 0.0
            && at(&features, "question_overlap") < 0.1
            && !one_sided
        {
            &mut different
        } else {
            continue;
        };
        counts[0] += f64::from(u8::from(crate::text::numbers::same(a, b)));
        counts[1] += 1.0;
    }
    (same[0] / same[1]).ln() - (different[0] / different[1]).ln()
}

/// Inverse document frequencies over the distinct texts of the pairs.
fn word_table(pairs: &[&LabelledPair]) -> (BTreeMap<String, f32>, f32) {
    let mut texts = BTreeSet::new();
    for pair in pairs {
        for (question, answer, _) in [&pair.teacher, &pair.student] {
            texts.insert(question.as_str());
            texts.insert(answer.as_str());
        }
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let (mut seen, mut buffer) = (BTreeSet::new(), String::new());
    for text in &texts {
        seen.clear();
        words::each_word(text, &mut buffer, |word| {
            if !seen.contains(word) {
                seen.insert(word.to_owned());
            }
        });
        for word in &seen {
            *counts.entry(word.clone()).or_default() += 1;
        }
    }
    let documents = texts.len();
    let weight = |count: usize| {
        let idf = ((1 + documents) as f64 / (1 + count) as f64).ln();
        ((idf * 100.0).round() / 100.0) as f32
    };
    let table = counts.into_iter().filter(|&(_, count)| count >= FEWEST_TEXTS);
    (table.map(|(word, count)| (word, weight(count))).collect(), weight(0))
}

fn head(names: &[&str], rows: &[Vec<f64>], labels: &[bool]) -> Head {
    let solution = logistic(rows, labels);
    let probabilities: Vec<f64> = rows
        .iter()
        .map(|row| sigmoid(solution[0] + row.iter().zip(&solution[1..]).map(|(x, w)| x * w).sum::<f64>()))
        .collect();
    Head {
        bias: round(solution[0]),
        weights: names.iter().zip(&solution[1..]).map(|(name, &w)| ((*name).to_owned(), round(w))).collect(),
        threshold: best_threshold(&probabilities, labels),
    }
}

/// The threshold, in steps of 0.01, with the best F1 on the fitted pairs; the lowest of equals.
pub(super) fn best_threshold(probabilities: &[f64], labels: &[bool]) -> f32 {
    let positives = labels.iter().filter(|same| **same).count();
    let f1 = |threshold: f64| {
        let said: Vec<bool> = probabilities.iter().map(|p| *p >= threshold).collect();
        let right = said.iter().zip(labels).filter(|(said, same)| **said && **same).count();
        let yes = said.iter().filter(|said| **said).count();
        2.0 * right as f64 / (yes + positives).max(1) as f64
    };
    let candidates = (5..=95).map(|percent| f64::from(percent) / 100.0);
    let best = candidates.fold((0.5, f64::NEG_INFINITY), |best, threshold| {
        let score = f1(threshold);
        if score > best.1 { (threshold, score) } else { best }
    });
    best.0 as f32
}

pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Ridge logistic regression by Newton's method: the bias first, then a weight per column.
pub(super) fn logistic(rows: &[Vec<f64>], labels: &[bool]) -> Vec<f64> {
    let size = rows.first().map_or(0, Vec::len) + 1;
    let mut solution = vec![0.0; size];
    let column = |row: &[f64], at: usize| if at == 0 { 1.0 } else { row[at - 1] };
    for _ in 0..NEWTON_STEPS {
        let mut gradient = vec![0.0; size];
        let mut hessian = vec![vec![0.0; size]; size];
        for (row, &label) in rows.iter().zip(labels) {
            let odds: f64 = (0..size).map(|at| column(row, at) * solution[at]).sum();
            let p = sigmoid(odds);
            let error = p - f64::from(u8::from(label));
            let curvature = p * (1.0 - p);
            for i in 0..size {
                let x = column(row, i);
                gradient[i] += error * x;
                for (j, cell) in hessian[i].iter_mut().enumerate().take(i + 1) {
                    *cell += curvature * x * column(row, j);
                }
            }
        }
        for i in 0..size {
            // The bias is not held back, but for what keeps the system solvable.
            let ridge = if i == 0 { 1e-9 } else { RIDGE };
            gradient[i] += ridge * solution[i];
            hessian[i][i] += ridge;
        }
        for i in 1..size {
            let (above, below) = hessian.split_at_mut(i);
            for (j, row) in above.iter_mut().enumerate() {
                row[i] = below[0][j];
            }
        }
        let step = solve(hessian, gradient);
        for (value, change) in solution.iter_mut().zip(&step) {
            *value -= change;
        }
        if step.iter().all(|change| change.abs() < 1e-10) {
            break;
        }
    }
    solution
}

/// Gaussian elimination with partial pivoting; the matrix is positive definite.
fn solve(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let size = right.len();
    for at in 0..size {
        let pivot =
            (at..size).max_by(|&a, &b| matrix[a][at].abs().total_cmp(&matrix[b][at].abs())).unwrap_or(at);
        matrix.swap(at, pivot);
        right.swap(at, pivot);
        for row in at + 1..size {
            let factor = matrix[row][at] / matrix[at][at];
            let (above, below) = matrix.split_at_mut(row);
            for (cell, pivot) in below[0].iter_mut().zip(&above[at]).skip(at) {
                *cell -= factor * pivot;
            }
            right[row] -= factor * right[at];
        }
    }
    for at in (0..size).rev() {
        let rest: f64 = (at + 1..size).map(|column| matrix[at][column] * right[column]).sum();
        right[at] = (right[at] - rest) / matrix[at][at];
    }
    right
}

/// Area under the ROC curve: the chance that a pair of the one label ranks above one of the other, ties half.
/// NaN when either label is missing.
pub fn auc(scores: &[f64], labels: &[bool]) -> f64 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_unstable_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let positives = labels.iter().filter(|label| **label).count();
    let negatives = labels.len() - positives;
    let mut wins = 0.0;
    let mut below = 0;
    for ties in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        let up = ties.iter().filter(|&&i| labels[i]).count();
        let down = ties.len() - up;
        wins += up as f64 * (below as f64 + down as f64 / 2.0);
        below += down;
    }
    wins / (positives as f64 * negatives as f64)
}

/// Expected calibration error over 10 bins of equal width: the mean distance between what was promised and what
/// came true, weighted by how many fall into the bin.
pub fn calibration_error(probabilities: &[f64], labels: &[bool]) -> f64 {
    let mut bins = [(0usize, 0.0, 0usize); 10];
    for (&p, &label) in probabilities.iter().zip(labels) {
        let bin = &mut bins[((p * 10.0) as usize).min(9)];
        *bin = (bin.0 + 1, bin.1 + p, bin.2 + usize::from(label));
    }
    let total = probabilities.len().max(1) as f64;
    bins.iter()
        .filter(|bin| bin.0 > 0)
        .map(|&(_, promised, came)| (promised - came as f64).abs() / total)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auc_counts_ties_half() {
        assert_eq!(auc(&[0.1, 0.9], &[false, true]), 1.0);
        assert_eq!(auc(&[0.9, 0.1], &[false, true]), 0.0);
        assert_eq!(auc(&[0.5, 0.5, 0.9], &[false, true, true]), 0.75);
        assert!(auc(&[0.5], &[true]).is_nan());
    }

    #[test]
    fn a_known_slope_is_found() {
        // log-odds 2x - 1 at x = 0 and x = 1, as exact proportions of many rows.
        let mut rows = Vec::new();
        let mut labels = Vec::new();
        for x in [0.0, 1.0] {
            let yes = (sigmoid(2.0 * x - 1.0) * 100_000.0).round() as usize;
            for i in 0..100_000 {
                rows.push(vec![x]);
                labels.push(i < yes);
            }
        }
        let solution = logistic(&rows, &labels);
        assert!((solution[0] + 1.0).abs() < 1e-3 && (solution[1] - 2.0).abs() < 1e-3, "{solution:?}");
    }

    #[test]
    fn a_fit_needs_both_labels_on_both_sides() {
        let side = |text: &str| (text.to_owned(), "1+1=2".to_owned(), Some(2.0));
        let pair = LabelledPair { problem: 1, teacher: side("a"), student: side("b"), same: true };
        let error = fit(&[pair], "", "").unwrap_err();
        assert!(error.to_string().contains("too few pairs"), "{error}");
    }
}
