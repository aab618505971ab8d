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

use serde::{Deserialize, Serialize};

/// Which rule turns verdicts into points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The released reward, exactly: an unbounded sum over a position-wise prefix. Not normalised.
    Reference,
    /// The same gate, judged soundly, divided by the number of teacher steps. In [0, 1].
    Prefix,
    /// The best monotone alignment with gap costs. In [0, 1].
    #[default]
    Ordered,
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
}
