//! The engine: a sample becomes scored records.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::align::{Aligner, Alignment, Next};
use crate::error::Result;
use crate::judge::{Judge, Round};
use crate::trace::{StepList, Why};

/// One scored student trace: one line of output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// The sample's id.
    pub id: String,
    /// Which student trace of the sample, from 0.
    pub student: u32,
    /// The mixed reward; `null` when it could not be given.
    pub reward: Option<f64>,
    /// The rewards that were mixed, by name.
    pub parts: BTreeMap<String, Part>,
    /// The alignment behind the `structure` part, when one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structure: Option<Explained>,
    /// The problem statement (left out with `detail = "score"`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// One reward of one student.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The value, or `null` when it was skipped.
    pub value: Option<f64>,
    /// Its weight in the mix.
    pub weight: f64,
    /// Why it was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<Why>,
}

/// An alignment with the steps that it speaks of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    /// Which teacher trace of the sample was matched best, from 0.
    pub teacher: u32,
    /// The alignment.
    #[serde(flatten)]
    pub alignment: Alignment,
    /// The teacher's steps; spans point into its `text` (left out with `detail = "score"`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher_steps: Option<StepList>,
    /// The student's steps, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub student_steps: Option<StepList>,
}

/// Aligns one student with one teacher.
///
/// # Errors
/// If the judge fails. A pair that cannot be aligned at all is an inner `Err` with the reason.
pub fn align_pair(
    aligner: &mut Aligner,
    judge: &mut dyn Judge,
    problem: &str,
    teacher: &StepList,
    student: &StepList,
) -> Result<std::result::Result<Alignment, Why>> {
    let mut verdicts = Vec::new();
    let mut next = aligner.start(teacher, student);
    loop {
        match next {
            Next::Done => return Ok(Ok(aligner.alignment().clone())),
            Next::Unscorable(why) => return Ok(Err(Why(why.into()))),
            Next::Ask => {
                let round =
                    Round { problem, teacher, student, asks: aligner.asks(), verdicts: &mut verdicts };
                judge.judge(&mut [round])?;
                next = aligner.answer(&verdicts)?;
            }
        }
    }
}
