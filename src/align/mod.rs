//! The kernel: which step of the student answers to which step of the teacher, and how many points that is worth.
//!
//! It is sans-I/O. [`Aligner::start`] plans questions, the caller has them answered by any judge,
//! [`Aligner::answer`] folds the verdicts; at most two rounds. The aligner owns its scratch memory and
//! allocates nothing once it has seen its largest pair.
//!
//! ```
//! use rlkd::align::{Aligner, Mode, Next};
//! use rlkd::judge::Verdict;
//! use rlkd::trace::{Span, Step, StepList};
//!
//! let step = Step { sub_problem: Span::new(0, 1), answer: Span::new(1, 2), ..Step::default() };
//! let list = StepList { text: "qa".into(), steps: vec![step; 3], ..StepList::default() };
//! let mut aligner = Aligner::new(Mode::Ordered, Default::default());
//! let mut next = aligner.start(&list, &list);
//! while let Next::Ask = next {
//!     // A judge that says yes to everything.
//!     let verdicts = vec![Verdict::YES; aligner.asks().len()];
//!     next = aligner.answer(&verdicts).unwrap();
//! }
//! assert_eq!(aligner.alignment().total, 1.0);
//! ```
//!
//! # Which steps count
//! [`Mode::Reference`] looks at every step. The other modes look at progress steps that have at least one part; other
//! steps are in none of an alignment's lists.
//!
//! # What a "yes" is
//! [`Mode::Reference`] reads replies as the released code does. In the other modes only [`Reply::Yes`] is a yes; a reply
//! that holds both words, or neither, is none.

mod ordered;
mod prefix;
mod reference;
pub mod tree;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::judge::{Ask, Aspect, Reply, Verdict};
use crate::trace::{Step, StepKind, StepList};

pub use ordered::{FREE, MAX_STEPS, SOFT_FLOOR};
pub(crate) use ordered::{guesses, total};

/// Which rule turns verdicts into points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The released reward, exactly: an unbounded sum over a position-wise prefix. Not normalised.
    Reference,
    /// The same gate, judged soundly, divided by the number of teacher steps. In [0, 1].
    Prefix,
    /// The best monotone alignment. In [0, 1].
    #[default]
    Ordered,
    /// [`Mode::Ordered`] against the best path through the [`tree`] of all teachers. In [0, 1]. An [`Aligner`] sees one
    /// teacher, whose tree is its own path: there it is [`Mode::Ordered`].
    Tree,
}

/// What [`Mode::Ordered`] and [`Mode::Tree`] charge and give; the other modes have no options.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// What an extra student step costs beside a whole path, and a guess elsewhere, in teacher steps; in [0, 1]. With 0 they
    /// are free.
    pub extra_cost: f32,
    /// Credit of a pair that has the same sub-problem but not the same answer; in [0, 1],
    /// used in steps of 1/65536.
    pub half_credit: f32,
    /// Credits by the judge's probabilities in the place of its verdicts. The other modes have no use for it.
    pub soft: bool,
}

impl Default for Options {
    /// An extra step costs a tenth of a step: raw traces spell out arithmetic in steps of their own, and a detour should
    /// not weigh more than a step that is missing. Half credit is the released rule's.
    fn default() -> Self {
        Options { extra_cost: 0.1, half_credit: 0.5, soft: false }
    }
}

impl Options {
    /// Whether both are numbers in [0, 1].
    ///
    /// # Errors
    /// Names the option that is not.
    pub fn check(&self) -> Result<()> {
        for (name, value) in [("extra_cost", self.extra_cost), ("half_credit", self.half_credit)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::config(format!("{name} = {value}: give a number from 0 to 1")));
            }
        }
        Ok(())
    }

    /// The extra cost as the decimal number that was meant, to six places: 0.1, not the nearest `f32`.
    pub fn cost(&self) -> f64 {
        (f64::from(self.extra_cost) * 1e6).round() / 1e6
    }

    /// The nearest options that are in range; NaN becomes the default.
    fn in_range(self) -> Self {
        let fix = |value: f32, default: f32| if value.is_nan() { default } else { value.clamp(0.0, 1.0) };
        let default = Options::default();
        Options {
            extra_cost: fix(self.extra_cost, default.extra_cost),
            half_credit: fix(self.half_credit, default.half_credit),
            soft: self.soft,
        }
    }
}

/// One matched pair of steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// Index into the teacher's `steps`.
    pub teacher: u32,
    /// Index into the student's `steps`.
    pub student: u32,
    /// Points before normalisation: 1 same sub-problem and answer, 0.5 same sub-problem only.
    pub credit: f32,
    /// Probability that the meta-reasoning is the same, where it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta_reasoning: Option<f32>,
    /// Probability that the sub-problem is the same, where it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_problem: Option<f32>,
    /// Probability that the answer is the same, where it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<f32>,
    /// The other step of the student that is likeliest to have this sub-problem, if any is likely at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner_up: Option<RunnerUp>,
}

/// A step that might have been the partner.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunnerUp {
    /// Index into the student's `steps`.
    pub student: u32,
    /// Probability that its sub-problem is the same.
    pub sub_problem: f32,
}

impl Pair {
    /// A pair with full credit of which nothing was asked.
    fn new(teacher: u32, student: u32) -> Self {
        let (meta_reasoning, sub_problem, answer) = (None, None, None);
        Pair { teacher, student, credit: 1.0, meta_reasoning, sub_problem, answer, runner_up: None }
    }

    /// Keeps the probability of one aspect.
    fn keep(&mut self, aspect: Aspect, probability: f32) {
        match aspect {
            Aspect::MetaReasoning => self.meta_reasoning = Some(probability),
            Aspect::SubProblem => self.sub_problem = Some(probability),
            Aspect::Answer => self.answer = Some(probability),
        }
    }
}

/// What the kernel found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Alignment {
    /// The rule that was used.
    pub mode: Mode,
    /// The structure reward: in [0, 1], except for [`Mode::Reference`], where it is the plain sum.
    pub total: f64,
    /// Matched pairs, ascending on both sides.
    pub pairs: Vec<Pair>,
    /// Teacher steps (indices) that no student step answers to, ascending.
    pub skipped: Vec<u32>,
    /// Student steps (indices) that answer to no teacher step, ascending.
    pub extra: Vec<u32>,
    /// Student steps (indices) that are a part of what the step beside them answers to, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub split: Vec<u32>,
}

impl Alignment {
    fn clear(&mut self) {
        self.total = 0.0;
        self.pairs.clear();
        self.skipped.clear();
        self.extra.clear();
        self.split.clear();
    }
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// Have [`Aligner::asks`] answered and give the verdicts to [`Aligner::answer`].
    Ask,
    /// [`Aligner::alignment`] is ready.
    Done,
    /// There is no alignment, and why. A reason to skip the sample, never to give 0.
    Unscorable(&'static str),
}

/// Why there is nothing to compare with.
const NO_TEACHER_STEPS: &str = "the teacher has no steps";

/// A step that takes part, and which parts it has.
#[derive(Clone, Copy, Debug)]
struct Slot {
    index: u32,
    meta: bool,
    sub_problem: bool,
    answer: bool,
}

impl Slot {
    fn new(index: u32, step: &Step) -> Self {
        Slot {
            index,
            meta: !step.meta.is_empty(),
            sub_problem: !step.sub_problem.is_empty(),
            answer: !step.answer.is_empty(),
        }
    }

    fn has(&self, aspect: Aspect) -> bool {
        match aspect {
            Aspect::MetaReasoning => self.meta,
            Aspect::SubProblem => self.sub_problem,
            Aspect::Answer => self.answer,
        }
    }
}

/// The steps of both sides that take part, in order.
#[derive(Clone, Debug, Default)]
struct Sides {
    teacher: Vec<Slot>,
    student: Vec<Slot>,
}

impl Sides {
    fn set(&mut self, teacher: &StepList, student: &StepList, takes_part: fn(&Step) -> bool) {
        for (slots, list) in [(&mut self.teacher, teacher), (&mut self.student, student)] {
            slots.clear();
            let takes_part = (0u32..).zip(&list.steps).filter(|(_, step)| takes_part(step));
            slots.extend(takes_part.map(|(index, step)| Slot::new(index, step)));
        }
    }
}

/// Which round the open questions belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Closed,
    First,
    Second,
}

/// Aligns one pair of step lists after the other, in its own memory.
#[derive(Clone, Debug)]
pub struct Aligner {
    options: Options,
    stage: Stage,
    sides: Sides,
    asks: Vec<Ask>,
    alignment: Alignment,
    ordered: ordered::Scratch,
}

impl Aligner {
    /// An aligner for one rule. Options out of range are moved into it; [`Options::check`] tells of them.
    pub fn new(mode: Mode, options: Options) -> Self {
        Aligner {
            options: options.in_range(),
            stage: Stage::Closed,
            sides: Sides::default(),
            asks: Vec::new(),
            alignment: Alignment { mode, ..Alignment::default() },
            ordered: ordered::Scratch::default(),
        }
    }

    /// Forgets what came before and plans the first round of questions.
    ///
    /// # What cannot be scored
    /// A teacher without steps, and in [`Mode::Ordered`] more than [`MAX_STEPS`] steps on a side. A student without
    /// steps scores 0. [`Mode::Reference`] gives 0 in all these cases, as the released code does.
    pub fn start(&mut self, teacher: &StepList, student: &StepList) -> Next {
        self.stage = Stage::Closed;
        self.asks.clear();
        self.alignment.clear();
        if self.alignment.mode == Mode::Reference {
            self.sides.set(teacher, student, |_| true);
        } else {
            self.sides.set(teacher, student, counts);
            if self.sides.teacher.is_empty() {
                return Next::Unscorable(NO_TEACHER_STEPS);
            }
        }
        match self.alignment.mode {
            Mode::Reference => reference::plan(&self.sides, &mut self.asks),
            Mode::Prefix => prefix::plan(&self.sides, &mut self.asks),
            Mode::Ordered | Mode::Tree => {
                if let Some(why) = ordered::too_large(&self.sides) {
                    return Next::Unscorable(why);
                }
                ordered::plan(&self.sides, &mut self.asks);
            }
        }
        self.stage = Stage::First;
        self.ask_or(|aligner| aligner.fold_first(&[]))
    }

    /// The questions of the open round; empty when there is none.
    pub fn asks(&self) -> &[Ask] {
        &self.asks
    }

    /// Takes the verdicts on [`Aligner::asks`], one each, in order.
    ///
    /// # Errors
    /// If no round is open, if there are more or fewer verdicts than asks, or if a probability is not in [0, 1].
    /// The round stays open.
    pub fn answer(&mut self, verdicts: &[Verdict]) -> Result<Next> {
        check(self.stage, self.asks.len(), verdicts)?;
        if self.stage == Stage::Second {
            self.fold_second(verdicts);
            return Ok(Next::Done);
        }
        Ok(self.fold_first(verdicts))
    }

    /// What was found; meaningful once [`Next::Done`] was returned, until the next [`Aligner::start`].
    pub fn alignment(&self) -> &Alignment {
        &self.alignment
    }

    /// Asks if there is something to ask, else goes on at once.
    fn ask_or(&mut self, go_on: impl FnOnce(&mut Self) -> Next) -> Next {
        if self.asks.is_empty() { go_on(self) } else { Next::Ask }
    }

    fn fold_first(&mut self, verdicts: &[Verdict]) -> Next {
        match self.alignment.mode {
            Mode::Reference => {
                reference::fold_gate(&self.sides, &mut self.asks, verdicts, &mut self.alignment);
            }
            Mode::Prefix => prefix::fold_gate(&self.sides, &mut self.asks, verdicts, &mut self.alignment),
            Mode::Ordered | Mode::Tree => {
                ordered::fold_pairs(&self.sides, &mut self.asks, verdicts, &self.options, &mut self.ordered);
            }
        }
        self.stage = Stage::Second;
        self.ask_or(|aligner| {
            aligner.fold_second(&[]);
            Next::Done
        })
    }

    fn fold_second(&mut self, verdicts: &[Verdict]) {
        let (sides, asks) = (&self.sides, &self.asks);
        match self.alignment.mode {
            Mode::Reference => reference::finish(sides, asks, verdicts, &mut self.alignment),
            Mode::Prefix => prefix::finish(sides, asks, verdicts, &mut self.alignment),
            Mode::Ordered | Mode::Tree => {
                ordered::finish(sides, verdicts, &self.options, &mut self.ordered, &mut self.alignment);
            }
        }
        self.asks.clear();
        self.stage = Stage::Closed;
    }
}

/// Whether a step is aligned in the modes that look at progress only.
fn counts(step: &Step) -> bool {
    step.kind == StepKind::Progress
        && !(step.meta.is_empty() && step.sub_problem.is_empty() && step.answer.is_empty())
}

/// Refuses verdicts that do not fit the open round.
fn check(stage: Stage, asked: usize, verdicts: &[Verdict]) -> Result<()> {
    if stage == Stage::Closed {
        return Err(Error::engine("verdicts came, but nothing was asked: call start first"));
    }
    if verdicts.len() != asked {
        let found = verdicts.len();
        return Err(Error::engine(format!("{found} verdicts came for {asked} asks: give one for each")));
    }
    let is_wrong = |verdict: &Verdict| !(0.0..=1.0).contains(&verdict.probability);
    // All are looked at, without a branch for each; which one it is matters only if there is one.
    if verdicts.iter().fold(false, |wrong, verdict| wrong | is_wrong(verdict))
        && let Some(at) = verdicts.iter().position(is_wrong)
    {
        let found = verdicts[at].probability;
        return Err(Error::engine(format!("verdict {at} has the probability {found}: it must be in [0, 1]")));
    }
    Ok(())
}

/// The plain sum of the credits; 0 for no pairs, where `Iterator::sum` gives -0.
fn credits(pairs: &[Pair]) -> f64 {
    pairs.iter().fold(0.0, |sum, pair| sum + f64::from(pair.credit))
}

/// A clear yes.
fn is_yes(verdict: Verdict) -> bool {
    verdict.reply == Reply::Yes
}
