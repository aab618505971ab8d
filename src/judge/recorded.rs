//! A judge that repeats what another one said: replies looked up by aspect and texts.
//!
//! The same question may have been answered twice, and differently, by a judge that samples. So the replies to a
//! question are kept in the order of asking, and within one [`Round`] its first occurrence gets the first reply,
//! its second the second, and so on; from the last reply on, the last is repeated. A round starts anew,
//! so that a verdict does not depend on what else is in the batch.

use std::borrow::Cow;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{Aspect, Judge, Round, Verdict, check_ask};
use crate::error::{Error, Result};
use crate::trace::StepList;

/// One recorded question with its reply: one line of a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record<'a> {
    /// What was compared.
    #[serde(with = "aspect")]
    pub aspect: Aspect,
    /// The text of the teacher's part.
    pub teacher: Cow<'a, str>,
    /// The text of the student's part.
    pub student: Cow<'a, str>,
    /// The reply in words; read as [`Verdict::from_reply`] does.
    pub reply: Cow<'a, str>,
    /// How likely "yes" is, in [0, 1], if it was recorded; else it follows from the words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f32>,
}

/// Aspects as in records: our names, and the released code's when reading.
mod aspect {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::judge::Aspect;

    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Name {
        #[serde(alias = "think")]
        MetaReasoning,
        #[serde(alias = "query")]
        SubProblem,
        Answer,
    }

    pub(super) fn serialize<S: Serializer>(aspect: &Aspect, serializer: S) -> Result<S::Ok, S::Error> {
        aspect.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Aspect, D::Error> {
        Ok(match Name::deserialize(deserializer)? {
            Name::MetaReasoning => Aspect::MetaReasoning,
            Name::SubProblem => Aspect::SubProblem,
            Name::Answer => Aspect::Answer,
        })
    }
}

/// The replies to one question, and how often it came up in the current round.
#[derive(Clone, Debug, Default)]
struct Replies {
    verdicts: Vec<Verdict>,
    round: u64,
    asked: usize,
}

/// The judge.
///
/// A question that was not recorded gets [`Verdict::NO`] and is counted in [`Recorded::misses`]: a caller that
/// relies on the recording must look at the count.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// By the teacher's text, then the student's; one slot for each aspect.
    replies: FxHashMap<String, FxHashMap<String, [Replies; 3]>>,
    /// A hash of all records in order.
    fingerprint: u64,
    round: u64,
    misses: u64,
}

impl Recorded {
    /// The judge that repeats these records, given in order of asking.
    ///
    /// # Errors
    /// If a probability is not in [0, 1]; the record is named by its number, from 1.
    pub fn new<'a>(records: impl IntoIterator<Item = Record<'a>>) -> Result<Self> {
        let mut judge = Recorded::default();
        for (number, record) in (1u64..).zip(records) {
            judge.push(record).map_err(|e| Error::data(format!("record {number}: {}", e.message())))?;
        }
        Ok(judge)
    }

    /// Reads records from JSON lines; blank lines are left out.
    ///
    /// # Errors
    /// If a line is not a [`Record`]; the line is named by its number, from 1.
    pub fn from_jsonl(text: &str) -> Result<Self> {
        let mut judge = Recorded::default();
        for (number, line) in (1u64..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            let wrong =
                |what: &dyn std::fmt::Display| Error::data(format!("recording, line {number}: {what}"));
            let record = serde_json::from_str(line).map_err(|e| wrong(&e))?;
            judge.push(record).map_err(|e| wrong(&e.message()))?;
        }
        Ok(judge)
    }

    fn push(&mut self, record: Record<'_>) -> Result<()> {
        let Record { aspect, teacher, student, reply, probability } = record;
        let mut verdict = Verdict::from_reply(&reply);
        if let Some(probability) = probability {
            if !(0.0..=1.0).contains(&probability) {
                return Err(Error::data(format!("the probability {probability} is not in [0, 1]")));
            }
            verdict.probability = probability;
        }
        let bits = [aspect as u8, verdict.reply as u8];
        for bytes in [&bits, &verdict.probability.to_le_bytes()[..], teacher.as_bytes(), student.as_bytes()] {
            self.fingerprint = xxh3_64_with_seed(bytes, self.fingerprint);
        }
        let by_student = self.replies.entry(teacher.into_owned()).or_default();
        by_student.entry(student.into_owned()).or_default()[aspect as usize].verdicts.push(verdict);
        Ok(())
    }

    /// How many questions were not in the recording, since the judge was made.
    pub fn misses(&self) -> u64 {
        self.misses
    }

    /// The reply to the next occurrence of a question in this round.
    fn next(&mut self, aspect: Aspect, teacher: &str, student: &str) -> Option<Verdict> {
        let replies = &mut self.replies.get_mut(teacher)?.get_mut(student)?[aspect as usize];
        if replies.round != self.round {
            (replies.round, replies.asked) = (self.round, 0);
        }
        let verdict = replies.verdicts.get(replies.asked).or(replies.verdicts.last()).copied();
        replies.asked += 1;
        verdict
    }
}

/// The text of one aspect of a step.
fn text(list: &StepList, index: u32, aspect: Aspect) -> &str {
    let step = &list.steps[index as usize];
    match aspect {
        Aspect::MetaReasoning => step.meta,
        Aspect::SubProblem => step.sub_problem,
        Aspect::Answer => step.answer,
    }
    .of(&list.text)
}

impl Judge for Recorded {
    fn id(&self) -> String {
        format!("recorded-1-{:016x}", self.fingerprint)
    }

    fn judge(&mut self, rounds: &mut [Round<'_>]) -> Result<()> {
        for round in rounds {
            self.round += 1;
            round.verdicts.clear();
            for &ask in round.asks {
                check_ask(round, ask)?;
                let teacher = text(round.teacher, ask.teacher, ask.aspect);
                let student = text(round.student, ask.student, ask.aspect);
                let verdict = self.next(ask.aspect, teacher, student);
                self.misses += u64::from(verdict.is_none());
                round.verdicts.push(verdict.unwrap_or(Verdict::NO));
            }
        }
        Ok(())
    }
}

/// The registry's constructor; the model file is a recording.
pub(super) fn build(model: Option<&str>) -> Result<Box<dyn Judge>> {
    match model {
        Some(text) => Ok(Box::new(Recorded::from_jsonl(text)?)),
        None => Err(Error::config("the judge `recorded` needs a model file: its records as JSON lines")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::{Ask, Reply};
    use crate::trace::{Span, Step};

    fn list() -> StepList {
        let step =
            |at| Step { meta: Span::new(at, at + 1), answer: Span::new(at + 1, at + 2), ..Step::default() };
        StepList { text: "abab".into(), steps: vec![step(0), step(2)], ..StepList::default() }
    }

    fn replies(judge: &mut Recorded, asks: &[(Aspect, u32, u32)]) -> Vec<Reply> {
        let asks: Vec<Ask> =
            asks.iter().map(|&(aspect, teacher, student)| Ask { aspect, teacher, student }).collect();
        let (list, mut verdicts) = (list(), Vec::new());
        let (teacher, student) = (&list, &list);
        let round = Round { problem: "", teacher, student, asks: &asks, verdicts: &mut verdicts };
        judge.judge(&mut [round]).unwrap();
        verdicts.iter().map(|v| v.reply).collect()
    }

    #[test]
    fn replies_come_in_the_order_of_asking() {
        let think = Aspect::MetaReasoning;
        let mut judge = Recorded::from_jsonl(concat!(
            r#"{"aspect":"think","teacher":"a","student":"a","reply":"yes"}"#,
            "\n\n",
            r#"{"aspect":"meta_reasoning","teacher":"a","student":"a","reply":"I know: yes"}"#,
            "\n",
            r#"{"aspect":"answer","teacher":"b","student":"b","reply":"maybe","probability":0.25}"#,
        ))
        .unwrap();
        for _ in 0..2 {
            let found =
                replies(&mut judge, &[(think, 0, 0), (Aspect::Answer, 0, 0), (think, 0, 1), (think, 1, 1)]);
            assert_eq!(found, [Reply::Yes, Reply::Neither, Reply::Both, Reply::Both]);
        }
        assert_eq!(judge.misses(), 0);
        assert_eq!(replies(&mut judge, &[(Aspect::SubProblem, 0, 0)]), [Reply::No]);
        assert_eq!(judge.misses(), 1);
    }

    #[test]
    fn what_shapes_the_verdicts_shapes_the_id() {
        let line = r#"{"aspect":"answer","teacher":"b","student":"b","reply":"yes"}"#;
        let id = |text: &str| Recorded::from_jsonl(text).unwrap().id();
        assert_eq!(id(line), id(line));
        assert_ne!(id(line), id(&line.replace("yes", "no")));
        assert_ne!(id(line), id(&line.replace("answer", "query")));
        assert_ne!(id(line), id(&format!("{line}\n{line}")));
    }

    #[test]
    fn bad_lines_are_named() {
        for (line, what) in [
            (r#"{"aspect":"mood","teacher":"b","student":"b","reply":"yes"}"#, "mood"),
            (
                r#"{"aspect":"answer","teacher":"b","student":"b","reply":"yes","probability":2}"#,
                "probability 2",
            ),
        ] {
            let error = Recorded::from_jsonl(&format!("\n{line}")).unwrap_err().to_string();
            assert!(error.contains("line 2") && error.contains(what), "{error}");
        }
    }
}
