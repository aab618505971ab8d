//! A judge that calls the same only what reads the same, up to case, white space and punctuation.

use super::{Aspect, Judge, Round, Verdict};
use crate::error::{Error, Result};
use crate::trace::{Span, StepList};

/// The judge.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exact;

impl Judge for Exact {
    fn id(&self) -> String {
        "exact-1".into()
    }

    fn judge(&mut self, rounds: &mut [Round<'_>]) -> Result<()> {
        for round in rounds {
            round.verdicts.clear();
            for &ask in round.asks {
                super::check_ask(round, ask)?;
                let teacher = read(round.teacher, ask.aspect, ask.teacher);
                let student = read(round.student, ask.aspect, ask.student);
                round.verdicts.push(if teacher.eq(student) { Verdict::YES } else { Verdict::NO });
            }
        }
        Ok(())
    }
}

/// The characters that count of the text that is compared.
fn read(list: &StepList, aspect: Aspect, index: u32) -> impl Iterator<Item = char> + '_ {
    let step = &list.steps[index as usize];
    // A step without a stated sub-problem is known by what it does.
    let span: Span = match aspect {
        Aspect::MetaReasoning => step.meta,
        Aspect::SubProblem if step.sub_problem.is_empty() => step.answer,
        Aspect::SubProblem => step.sub_problem,
        Aspect::Answer => step.answer,
    };
    let sign = |c: &char| c.is_alphanumeric() || "+-*/=<>^%".contains(*c);
    span.of(&list.text).chars().filter(sign).flat_map(char::to_lowercase)
}

/// The registry's constructor.
pub(super) fn build(model: Option<&str>) -> Result<Box<dyn Judge>> {
    match model {
        Some(_) => Err(Error::config("the judge `exact` takes no model file; choose `lexical`")),
        None => Ok(Box::new(Exact)),
    }
}
