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
                round.verdicts.push(if teacher == student { Verdict::YES } else { Verdict::NO });
            }
        }
        Ok(())
    }
}

/// What counts of the text that is compared: words and numbers in lower case, one blank between them, and signs.
/// A point or comma counts within a number only.
fn read(list: &StepList, aspect: Aspect, index: u32) -> String {
    let step = &list.steps[index as usize];
    // A step without a stated sub-problem is known by what it does.
    let span: Span = match aspect {
        Aspect::MetaReasoning => step.meta,
        Aspect::SubProblem if step.sub_problem.is_empty() => step.answer,
        Aspect::SubProblem => step.sub_problem,
        Aspect::Answer => step.answer,
    };
    let text = span.of(&list.text);
    let mut read = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    let (mut gap, mut previous) = (false, ' ');
    while let Some(character) = characters.next() {
        // Two stars are emphasis, one is a product.
        let emphasis = character == '*' && (previous == '*' || characters.peek() == Some(&'*'));
        previous = character;
        let in_number = matches!(character, '.' | ',') && characters.peek().is_some_and(char::is_ascii_digit);
        if emphasis {
            continue;
        }
        if character.is_alphanumeric() || in_number || "+-*/=<>^%".contains(character) {
            if gap && !read.is_empty() {
                read.push(' ');
            }
            gap = false;
            read.extend(character.to_lowercase());
        } else {
            gap = true;
        }
    }
    // Marks alone are themselves.
    if read.is_empty() { text.trim().to_owned() } else { read }
}

/// The registry's constructor.
pub(super) fn build(model: Option<&str>) -> Result<Box<dyn Judge>> {
    match model {
        Some(_) => Err(Error::config("the judge `exact` takes no model file; choose `lexical`")),
        None => Ok(Box::new(Exact)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::Ask;
    use crate::trace::Step;

    fn same(a: &str, b: &str) -> bool {
        let list = |text: &str| {
            let step = Step { answer: Span::new(0, text.len()), ..Step::default() };
            StepList { text: text.into(), steps: vec![step], ..StepList::default() }
        };
        let (teacher, student, mut verdicts) = (list(a), list(b), Vec::new());
        let asks = [Ask { aspect: Aspect::Answer, teacher: 0, student: 0 }];
        let round =
            Round { problem: "", teacher: &teacher, student: &student, asks: &asks, verdicts: &mut verdicts };
        Exact.judge(&mut [round]).unwrap();
        verdicts[0].says_yes()
    }

    #[test]
    fn case_white_space_and_marks_do_not_count_but_numbers_do() {
        assert!(same("It is **42**.", "it  is 42"));
        assert!(!same("3.5", "35") && !same("1 2", "12") && !same("?", "!") && !same("-3", "3"));
    }
}
