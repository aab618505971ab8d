//! "Do these two mean the same?": the questions that an alignment asks, and who answers them.

pub mod calibrate;
pub mod exact;
pub mod features;
pub mod lexical;
pub mod recorded;
pub mod scale;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::trace::StepList;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    /// Is it the same thought about what to do next?
    MetaReasoning,
    /// Is it the same sub-problem?
    SubProblem,
    /// Is it the same answer to the sub-problem?
    Answer,
}

/// One question: is this aspect of the teacher's step the same as of the student's?
/// The fields are indices into the step lists of the [`Round`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ask {
    /// What to compare.
    pub aspect: Aspect,
    /// Index into the teacher's steps.
    pub teacher: u32,
    /// Index into the student's steps.
    pub student: u32,
}

/// What a judge's words amount to. Models say odd things: the released reward looks for
/// "yes" and for "no" separately, so a reply can hold both or neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Yes.
    Yes,
    /// No.
    No,
    /// Both words occur in it.
    Both,
    /// Neither word occurs in it.
    Neither,
}

/// A judge need not tell how unlikely a pair of steps is that is less likely than this: it may give any probability
/// that is not less than the true one and below this.
pub const UNLIKELY: f32 = 0.1;

/// The answer to one [`Ask`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// The words.
    pub reply: Reply,
    /// How likely "yes" is, in [0, 1].
    pub probability: f32,
}

impl Verdict {
    /// A certain yes.
    pub const YES: Verdict = Verdict { reply: Reply::Yes, probability: 1.0 };
    /// A certain no.
    pub const NO: Verdict = Verdict { reply: Reply::No, probability: 0.0 };

    /// Yes from `threshold` on, [`Reply::Neither`] from half of it on: that is too little to say yes and too much to say no.
    pub fn in_three_ways(probability: f32, threshold: f32) -> Self {
        let verdict = Self::from_probability(probability, threshold);
        let unsure = verdict.reply == Reply::No && probability >= threshold / 2.0;
        Verdict { reply: if unsure { Reply::Neither } else { verdict.reply }, probability }
    }

    /// Yes from `threshold` on.
    pub fn from_probability(probability: f32, threshold: f32) -> Self {
        let reply = if probability >= threshold { Reply::Yes } else { Reply::No };
        Verdict { reply, probability }
    }

    /// Reads a model's reply as the released reward does: "yes" and "no" as case-insensitive substrings.
    pub fn from_reply(text: &str) -> Self {
        let lower = text.to_lowercase();
        match (lower.contains("yes"), lower.contains("no")) {
            (true, false) => Verdict::YES,
            (false, true) => Verdict::NO,
            (true, true) => Verdict { reply: Reply::Both, probability: 0.5 },
            (false, false) => Verdict { reply: Reply::Neither, probability: 0.5 },
        }
    }

    /// Whether a "yes" was said.
    pub fn says_yes(self) -> bool {
        matches!(self.reply, Reply::Yes | Reply::Both)
    }

    /// Whether a "no" was said.
    pub fn says_no(self) -> bool {
        matches!(self.reply, Reply::No | Reply::Both)
    }
}

/// The questions of one pair of traces, to be answered together.
#[derive(Debug)]
pub struct Round<'a> {
    /// The problem that both traces are about; may be empty.
    pub problem: &'a str,
    /// The teacher's steps.
    pub teacher: &'a StepList,
    /// The student's steps.
    pub student: &'a StepList,
    /// What is asked.
    pub asks: &'a [Ask],
    /// Where the verdicts go: cleared, then one per ask, in order.
    pub verdicts: &'a mut Vec<Verdict>,
}

/// Answers questions about pairs of steps, in batches over any number of pairs of traces.
///
/// A judge is deterministic: the verdict on an ask does not depend on what else is in the batch.
pub trait Judge: Send {
    /// A fingerprint of everything that shapes its verdicts.
    fn id(&self) -> String;

    /// Answers every ask of every round.
    ///
    /// # Errors
    /// If the judge cannot answer at all. An unsure judge says so in the probability.
    fn judge(&mut self, rounds: &mut [Round<'_>]) -> Result<()>;
}

/// A way to make a judge, by name.
pub struct Entry {
    /// The name on the command line and in run files.
    pub name: &'static str,
    /// One line of help.
    pub summary: &'static str,
    /// Makes a judge for one thread; `model` is the text of a model file, if one was given.
    pub build: fn(model: Option<&str>) -> Result<Box<dyn Judge>>,
}

/// Every judge that can be chosen by name.
pub const JUDGES: &[Entry] = &[
    Entry {
        name: "lexical",
        summary: "words and numbers under a fitted model (default)",
        build: lexical::build,
    },
    Entry { name: "exact", summary: "the same text, up to case, white space and marks", build: exact::build },
    Entry {
        name: "recorded",
        summary: "the replies of a recording (JSON lines); what was not recorded is a no",
        build: recorded::build,
    },
];

/// Whether a judge of this name runs no language model, so that to ask it costs next to nothing.
pub fn is_quick(name: &str) -> bool {
    name.is_empty() || JUDGES.iter().any(|entry| entry.name == name)
}

/// Refuses an ask that points outside the step lists of its round: a mistake of the caller.
pub(crate) fn check_ask(round: &Round<'_>, ask: Ask) -> Result<()> {
    let inside = (ask.teacher as usize) < round.teacher.steps.len()
        && (ask.student as usize) < round.student.steps.len();
    if inside {
        return Ok(());
    }
    Err(Error::engine(format!(
        "an ask about steps {} and {} of lists of {} and {}",
        ask.teacher,
        ask.student,
        round.teacher.steps.len(),
        round.student.steps.len()
    )))
}
