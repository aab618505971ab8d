//! A judge without a model of language: words, numbers and two logistic regressions.
//!
//! - Same sub-problem? The features of [`super::features`] under the `step` head. What costs most is looked at last,
//!   and only where the verdict still hangs on it. A calculation without a word has to be the teacher's own.
//! - Same meta-reasoning? Ratio and word overlap of the two texts under the `text` head.
//! - Same answer? Two numbers are compared as numbers; answers without numbers by their words.
//!
//! Identical texts are the same, whatever a head says. The coefficients are fitted by [`super::calibrate`] and
//! stored with their provenance; the default model is compiled in.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

use super::features::{Features, NAMES, StepText, WordWeights};
use super::{Ask, Aspect, Judge, Reply, Round, UNLIKELY, Verdict};
use crate::error::{Error, Result};
use crate::text::similarity::Scratch;
use crate::trace::{Step, StepList};

/// Names of the features of the `text` head: those of [`NAMES`] that look at the questions only.
pub const TEXT_NAMES: [&str; 2] = [NAMES[0], NAMES[1]];

/// Answers without a number are the same from this overlap of weighted words on. Half of all that is said in
/// either has to be said in both.
const ANSWER_OVERLAP: f64 = 0.5;

/// A logistic regression over named features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Log-odds when every feature is 0.
    pub bias: f64,
    /// Log-odds per unit of a feature.
    pub weights: BTreeMap<String, f64>,
    /// The verdict is yes from this probability on.
    pub threshold: f32,
}

/// Where a model comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The command that fitted it.
    pub command: String,
    /// The data: file name, xxh3 hash of its bytes, licence if stated.
    pub data: String,
    /// Which pairs were fitted on and which were held out.
    pub split: String,
    /// Pairs fitted on.
    pub pairs: usize,
    /// Area under the ROC curve on the pairs held out.
    pub held_out_auc: f64,
    /// Expected calibration error (10 bins) on the pairs held out.
    pub held_out_ece: f64,
}

/// The parameters of a [`Lexical`] judge: what `rlkd calibrate` writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Always [`FORMAT`].
    pub format: String,
    /// Where it comes from.
    pub provenance: Provenance,
    /// Same sub-problem?
    pub step: Head,
    /// Same thought, from the words alone?
    pub text: Head,
    /// What equal results add to the log-odds of the `step` head, which itself does not look at them.
    pub equal_results: f64,
    /// Weight of a word that is not in the table.
    pub unknown_word: f32,
    /// Inverse document frequencies of words as [`crate::text::words`] normalises them.
    pub words: BTreeMap<String, f32>,
}

/// The format of [`Model`] files that this version reads and writes.
pub const FORMAT: &str = "rlkd-lexical-1";

impl Model {
    /// Reads a model file's text.
    ///
    /// # Errors
    /// Not a model, another format, an unknown feature, or a number that is not finite.
    pub fn from_json(text: &str) -> Result<Self> {
        let model: Model = serde_json::from_str(text).map_err(|error| {
            Error::config(format!("not a lexical model: {error}; make one with `rlkd calibrate`"))
        })?;
        if model.format != FORMAT {
            return Err(Error::config(format!(
                "a lexical model of format {:?}; this version reads {FORMAT:?}; fit it again with `rlkd calibrate`",
                model.format
            )));
        }
        model.step.check("step", &NAMES)?;
        model.text.check("text", &TEXT_NAMES)?;
        let finite = model.equal_results.is_finite()
            && model.unknown_word.is_finite()
            && model.words.values().all(|weight| weight.is_finite());
        if !finite {
            return Err(Error::config("a lexical model with a weight that is not a finite number"));
        }
        Ok(model)
    }

    /// The model that comes with the program.
    pub fn embedded() -> Arc<Fitted> {
        static EMBEDDED: LazyLock<Arc<Fitted>> = LazyLock::new(|| {
            let model = Model::from_json(include_str!("../../models/lexical.json"))
                .unwrap_or_else(|error| panic!("models/lexical.json: {error}"));
            Arc::new(Fitted::new(&model))
        });
        EMBEDDED.clone()
    }
}

impl Head {
    fn check(&self, head: &str, names: &[&str]) -> Result<()> {
        for (name, weight) in &self.weights {
            if !names.contains(&name.as_str()) {
                return Err(Error::config(format!(
                    "unknown feature `{name}` in the {head} head of a lexical model"
                )));
            }
            if !weight.is_finite() {
                return Err(Error::config(format!(
                    "the weight of `{name}` in a lexical model is not finite"
                )));
            }
        }
        if !self.bias.is_finite() || !(0.0..=1.0).contains(&self.threshold) {
            return Err(Error::config(format!(
                "the {head} head of a lexical model has no usable bias or threshold"
            )));
        }
        Ok(())
    }

    fn dense<const N: usize>(&self, names: [&str; N]) -> Dense<N> {
        let weights = names.map(|name| self.weights.get(name).copied().unwrap_or(0.0));
        Dense { bias: self.bias, weights, threshold: self.threshold }
    }
}

/// A [`Head`] as arrays.
#[derive(Clone, Debug, PartialEq)]
struct Dense<const N: usize> {
    bias: f64,
    weights: [f64; N],
    threshold: f32,
}

impl<const N: usize> Dense<N> {
    /// The probability, given the features and what else adds to the log-odds.
    fn probability(&self, features: &[f64; N], more: f64) -> f64 {
        let odds: f64 = self.bias + more + self.weights.iter().zip(features).map(|(w, f)| w * f).sum::<f64>();
        1.0 / (1.0 + (-odds).exp())
    }

    /// The most that [`Self::probability`] can be, whatever the first feature, which is 0 here.
    fn most(&self, features: &[f64; N], more: f64) -> f64 {
        self.probability(features, more + self.weights[0].max(0.0))
    }

    fn verdict(&self, features: &[f64; N], more: f64) -> Verdict {
        Verdict::from_probability(self.probability(features, more) as f32, self.threshold)
    }
}

/// A model made ready for judging; shared by all threads.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    id: String,
    words: WordWeights,
    step: Dense<{ NAMES.len() }>,
    equal_results: f64,
    text: Dense<{ TEXT_NAMES.len() }>,
}

impl Fitted {
    /// Makes `model` ready.
    pub fn new(model: &Model) -> Self {
        let bytes = serde_json::to_vec(model).unwrap_or_default();
        Fitted {
            id: format!("lexical-3-{:016x}", xxhash_rust::xxh3::xxh3_64(&bytes)),
            words: WordWeights::new(
                model.words.iter().map(|(word, &weight)| (word.as_str(), weight)),
                model.unknown_word,
            ),
            step: model.step.dense(NAMES),
            equal_results: model.equal_results,
            text: model.text.dense(TEXT_NAMES),
        }
    }

    /// The weights of words.
    pub fn words(&self) -> &WordWeights {
        &self.words
    }

    /// How likely the two steps treat the same sub-problem, in [0, 1], given the features of the pair.
    pub fn same_sub_problem(&self, features: &Features) -> f64 {
        self.step.probability(features, 0.0)
    }
}

/// The judge. Owns its scratch; one per thread.
#[derive(Debug)]
pub struct Lexical {
    model: Arc<Fitted>,
    teacher: Side,
    student: Side,
    scratch: Scratch,
}

/// The steps of one side that were read for a round.
#[derive(Debug, Default)]
struct Side {
    steps: Vec<StepText>,
    /// For which step `steps[i]` was read in this round: `None` until it is.
    read: Vec<Option<Part>>,
    buffer: String,
}

/// What of a step was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Sub-problem and answer.
    Step,
    /// Meta-reasoning.
    Meta,
}

impl Side {
    fn forget(&mut self, steps: usize) {
        self.read.clear();
        self.read.resize(steps, None);
        if self.steps.len() < steps {
            self.steps.resize_with(steps, StepText::default);
        }
    }

    fn get(&mut self, list: &StepList, index: usize, part: Part, words: &WordWeights) -> &StepText {
        if self.read[index] != Some(part) {
            let step = &list.steps[index];
            let (first, second) = match part {
                Part::Step => (step.sub_problem.of(&list.text), step.answer.of(&list.text)),
                Part::Meta => (step.meta.of(&list.text), ""),
            };
            self.steps[index].read(first, second, words, &mut self.buffer);
            self.read[index] = Some(part);
        }
        &self.steps[index]
    }
}

impl Default for Lexical {
    fn default() -> Self {
        Self::new(Model::embedded())
    }
}

impl Lexical {
    /// A judge with the given model.
    pub fn new(model: Arc<Fitted>) -> Self {
        Lexical { model, teacher: Side::default(), student: Side::default(), scratch: Scratch::default() }
    }

    fn verdict(&mut self, round: &Round<'_>, ask: Ask) -> Verdict {
        let (teacher, student) = (ask.teacher as usize, ask.student as usize);
        let part = if ask.aspect == Aspect::MetaReasoning { Part::Meta } else { Part::Step };
        if identical(round, ask) {
            return Verdict::YES;
        }
        let model = &*self.model;
        let left = self.teacher.get(round.teacher, teacher, part, &model.words);
        let right = self.student.get(round.student, student, part, &model.words);
        match ask.aspect {
            Aspect::SubProblem if left.is_not_the_sum(right) => Verdict::NO,
            Aspect::SubProblem => {
                let more = if left.shares_result(right) { model.equal_results } else { 0.0 };
                let mut features = left.compare_words(right);
                if left.both_ask(right) {
                    // Cheap things first: most pairs are told apart by their words and numbers.
                    let most = model.step.most(&features, more) as f32;
                    if most < UNLIKELY.min(model.step.threshold / 2.0) {
                        return Verdict { reply: Reply::No, probability: most };
                    }
                    features[0] = left.question_ratio(right, &mut self.scratch);
                }
                Verdict::in_three_ways(model.step.probability(&features, more) as f32, model.step.threshold)
            }
            Aspect::MetaReasoning => {
                let features = left.compare(right, &mut self.scratch);
                model.text.verdict(&[features[0], features[1]], 0.0)
            }
            Aspect::Answer if left.differs_in_a_number(right) => Verdict::NO,
            Aspect::Answer => match (left.result(), right.result()) {
                (Some(_), Some(_)) if !left.shares_result(right) => Verdict::NO,
                (Some(_), Some(_)) if left.computes() && right.computes() => Verdict::YES,
                (Some(_), Some(_)) | (None, None) => {
                    let overlap = left.answer_overlap(right);
                    Verdict::from_probability(overlap as f32, ANSWER_OVERLAP as f32)
                }
                _ => Verdict::NO,
            },
        }
    }
}

/// Whether the texts that the ask compares are the same to the letter (white space at the ends aside).
fn identical(round: &Round<'_>, ask: Ask) -> bool {
    let part = |step: &Step| match ask.aspect {
        Aspect::MetaReasoning => [step.meta, step.meta],
        Aspect::SubProblem => [step.sub_problem, step.answer],
        Aspect::Answer => [step.answer, step.answer],
    };
    let (Some(teacher), Some(student)) =
        (round.teacher.steps.get(ask.teacher as usize), round.student.steps.get(ask.student as usize))
    else {
        return false;
    };
    part(teacher)
        .iter()
        .zip(part(student))
        .all(|(a, b)| a.of(&round.teacher.text).trim() == b.of(&round.student.text).trim())
}

impl Judge for Lexical {
    fn id(&self) -> String {
        self.model.id.clone()
    }

    fn judge(&mut self, rounds: &mut [Round<'_>]) -> Result<()> {
        for round in rounds {
            self.teacher.forget(round.teacher.steps.len());
            self.student.forget(round.student.steps.len());
            round.verdicts.clear();
            for &ask in round.asks {
                super::check_ask(round, ask)?;
                let verdict = self.verdict(round, ask);
                round.verdicts.push(verdict);
            }
        }
        Ok(())
    }
}

/// The registry's constructor: the given model, or the one that comes with the program.
pub(super) fn build(model: Option<&str>) -> Result<Box<dyn Judge>> {
    let fitted = match model {
        Some(text) => Arc::new(Fitted::new(&Model::from_json(text)?)),
        None => Model::embedded(),
    };
    Ok(Box::new(Lexical::new(fitted)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Span;

    /// Steps that share words, numbers, both and nothing.
    const STEPS: [(&str, &str); 14] = [
        ("How many eggs are in a box?", "A box holds 3 * 4 = 12 eggs."),
        ("How many eggs does a box hold?", "3 rows of 4 are 12 eggs."),
        ("How many eggs are in five boxes?", "5 * 12 = 60 eggs"),
        ("", "Five boxes hold 12 * 5 = 60 eggs."),
        ("", "So 60 - 7 = 53 are left."),
        ("What is left?", "60 - 7 = 54"),
        ("What does the box cost?", "It costs $3 and the eggs $12, so $15 in all."),
        ("Define a variable", "Let x be the number of boxes."),
        ("Let us find the number of boxes first, and the number of eggs in all of them after that.", ""),
        ("", ""),
        ("How fast does the train go?", "120 / 2 = 60 miles per hour"),
        ("", "The speed is half of 120, which is 60."),
        ("How many eggs?", "12"),
        (
            "How many boxes are in the box of boxes, and how many eggs are in a box?",
            "12 eggs are in a box of 3 * 4.",
        ),
    ];

    fn list() -> StepList {
        let mut list = StepList::default();
        for (question, answer) in STEPS {
            let mut part = |text: &str| {
                let start = list.text.len();
                list.text.push_str(text);
                Span::new(start, list.text.len())
            };
            let (sub_problem, answer) = (part(question), part(answer));
            list.steps.push(Step { sub_problem, answer, ..Step::default() });
        }
        list
    }

    /// A sum without a word answers only the question whose calculation it is.
    #[test]
    fn a_bare_sum_is_a_calculation_and_no_more() {
        for (teacher, student, same) in [
            ("First multiply: 3 * 4 = 12 eggs", "3 * 4 = 12.", true),
            ("First multiply: 3 * 4 = 12 eggs", "4 x 3 = 12", true),
            ("First multiply: 3 * 4 = 12 eggs", "3 * 4 = 13", true),
            ("First multiply: 3 * 4 = 12 eggs", "3 + 4 = 7.", false),
            ("He has $30 - $24 = $6 left", "2 * 3 = 6.", false),
            ("Both pick 52 + 18 = 70 apples", "61 + 9 = 70.", false),
            // From the same number to the same result.
            ("Both pick 52 + 18 = 70 apples", "52 * 2 - 34 = 70", true),
        ] {
            let [teacher, student] = [teacher, student].map(|text| StepList {
                text: text.into(),
                steps: vec![Step { answer: Span::new(0, text.len()), ..Step::default() }],
                ..StepList::default()
            });
            let asks = [Ask { aspect: Aspect::SubProblem, teacher: 0, student: 0 }];
            let mut verdicts = Vec::new();
            let round = Round {
                problem: "",
                teacher: &teacher,
                student: &student,
                asks: &asks,
                verdicts: &mut verdicts,
            };
            Lexical::default().judge(&mut [round]).expect("judged");
            assert_eq!(verdicts[0].reply == Reply::Yes, same, "{} | {}", teacher.text, student.text);
        }
    }

    #[test]
    fn what_is_left_out_changes_no_verdict() {
        let (list, model) = (list(), Model::embedded());
        let count = STEPS.len() as u32;
        let asks: Vec<Ask> = (0..count * count)
            .map(|at| Ask { aspect: Aspect::SubProblem, teacher: at / count, student: at % count })
            .collect();
        let (mut judge, mut verdicts) = (Lexical::new(model.clone()), Vec::new());
        let round =
            Round { problem: "", teacher: &list, student: &list, asks: &asks, verdicts: &mut verdicts };
        judge.judge(&mut [round]).expect("judged");
        let (mut scratch, mut buffer, mut skipped, mut seen) = (Scratch::default(), String::new(), 0, [0; 4]);
        for (ask, verdict) in asks.iter().zip(verdicts) {
            if ask.teacher == ask.student {
                assert_eq!(verdict, Verdict::YES);
                continue;
            }
            let [left, right] = [ask.teacher, ask.student].map(|step| {
                let mut text = StepText::default();
                let (question, answer) = STEPS[step as usize];
                text.read(question, answer, model.words(), &mut buffer);
                text
            });
            let more = if left.shares_result(&right) { model.equal_results } else { 0.0 };
            let slow = model.step.probability(&left.compare(&right, &mut scratch), more) as f32;
            let expected = Verdict::in_three_ways(slow, model.step.threshold);
            assert_eq!(verdict.reply, expected.reply, "{ask:?}");
            if verdict.probability == slow {
                seen[expected.reply as usize] += 1;
            } else {
                // The bound stands in for the probability, from above.
                assert!(slow < verdict.probability && verdict.probability < UNLIKELY, "{ask:?}");
                skipped += 1;
            }
        }
        let of = |reply: Reply| seen[reply as usize];
        assert!(skipped > 10 && [Reply::Yes, Reply::No, Reply::Neither].map(of).iter().all(|n| *n > 0));
    }
}
