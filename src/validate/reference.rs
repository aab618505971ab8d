//! Suite `reference`: is [`Mode::Reference`] the released reward, to the bit?
//!
//! Each record has both texts, what the released code asked its judge, in order, with the replies, and the reward
//! that it gave. We read both texts as it does, run the kernel with the recorded replies, and compare the reward
//! and every question.

use std::borrow::Cow;
use std::path::Path;

use serde::Deserialize;

use super::{Suite, SuiteReport, records};
use crate::align::{Aligner, Mode, Next, Options};
use crate::decompose::tagged;
use crate::error::{Error, Place, Result};
use crate::judge::recorded::{Record, Recorded};
use crate::judge::{Ask, Aspect, Judge, Round, Verdict};
use crate::score::Settings;
use crate::trace::{Span, StepList};

const FILE: &str = "reference_reward_golden.jsonl";
/// Failed cases that are named in the notes.
const SHOWN: usize = 10;

/// The suite.
pub const SUITE: Suite = Suite {
    name: "reference",
    summary: "the mode `reference` against recorded runs of the released reward, to the bit",
    files: &[FILE],
    bars: &[],
    run,
};

/// One recorded run.
#[derive(Deserialize)]
struct Golden {
    student: String,
    teacher: String,
    judge: Vec<Record<'static>>,
    reward: f64,
}

fn run(dir: &Path, _: &Settings) -> Result<SuiteReport> {
    let mut report = SuiteReport { suite: SUITE.name, ..SuiteReport::default() };
    let mut aligner = Aligner::new(Mode::Reference, Options::default());
    let (mut questions, mut unasked, mut largest) = (0usize, 0usize, 0f64);
    for (line, golden) in records::read::<Golden>(&dir.join(FILE))? {
        let place = || Place::line(dir.join(FILE), line);
        let replayed = replay(&mut aligner, &golden).map_err(|e| e.at(place()))?;
        report.n += 1;
        questions += golden.judge.len();
        unasked += replayed.unasked;
        largest = largest.max((replayed.reward - golden.reward).abs());
        let differs = replayed.differs.or_else(|| {
            let same = replayed.reward.to_bits() == golden.reward.to_bits();
            (!same).then(|| format!("the reward is {}, recorded was {}", replayed.reward, golden.reward))
        });
        match differs {
            None => report.passed += 1,
            Some(why) => {
                report.failed += 1;
                if report.failed <= SHOWN {
                    report.notes.push(format!("{FILE}:{line}: {why}"));
                }
            }
        }
    }
    report.figures.insert("max_difference".into(), largest);
    report.figures.insert("questions".into(), questions as f64);
    report.figures.insert("questions_after_the_gate".into(), unasked as f64);
    report.notes.push(
        "thinks after the first failed one were never asked by the released code; ours asks all thinks in one round \
         and does not look at those verdicts"
            .into(),
    );
    Ok(report)
}

/// What came of one record.
struct Replayed {
    reward: f64,
    /// Our questions that were not recorded: thinks after the gate.
    unasked: usize,
    /// The first question that differs from the recording.
    differs: Option<String>,
}

fn replay(aligner: &mut Aligner, golden: &Golden) -> Result<Replayed> {
    let (teacher, student) = (tagged::reference(&golden.teacher), tagged::reference(&golden.student));
    let mut judge = Recorded::new(golden.judge.iter().cloned())?;
    let mut recorded = golden.judge.iter();
    let mut replayed = Replayed { reward: 0.0, unasked: 0, differs: None };
    let mut verdicts: Vec<Verdict> = Vec::new();
    let mut next = aligner.start(&teacher, &student);
    while next == Next::Ask {
        let asks = aligner.asks();
        let (teacher, student) = (&teacher, &student);
        judge.judge(&mut [Round { problem: "", teacher, student, asks, verdicts: &mut verdicts }])?;
        let mut open = true;
        for (ask, verdict) in asks.iter().zip(&verdicts) {
            if !open {
                replayed.unasked += 1;
                continue;
            }
            open = ask.aspect != Aspect::MetaReasoning || verdict.says_yes();
            let ours = question(teacher, student, *ask);
            let theirs =
                recorded.next().map(|r| (r.aspect, Cow::as_ref(&r.teacher), Cow::as_ref(&r.student)));
            if theirs != Some(ours) && replayed.differs.is_none() {
                replayed.differs = Some(format!("we ask {ours:?}, recorded was {theirs:?}"));
            }
        }
        next = aligner.answer(&verdicts)?;
    }
    if let Next::Unscorable(why) = next {
        return Err(Error::engine(format!("the mode `reference` scores everything, but it said: {why}")));
    }
    let left = recorded.count();
    if left > 0 && replayed.differs.is_none() {
        replayed.differs = Some(format!("{left} recorded questions were not asked"));
    }
    replayed.reward = aligner.alignment().total;
    Ok(replayed)
}

/// What an ask is about.
fn question<'a>(teacher: &'a StepList, student: &'a StepList, ask: Ask) -> (Aspect, &'a str, &'a str) {
    let text = |list: &'a StepList, index: u32| {
        let span = list.steps.get(index as usize).map_or(Span::default(), |step| match ask.aspect {
            Aspect::MetaReasoning => step.meta,
            Aspect::SubProblem => step.sub_problem,
            Aspect::Answer => step.answer,
        });
        span.of(&list.text)
    };
    (ask.aspect, text(teacher, ask.teacher), text(student, ask.student))
}
