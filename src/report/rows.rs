//! What became of each step, and the order in which two step lists stand side by side.

use crate::align::{Mode, Pair};
use crate::score::Explained;
use crate::trace::{StepKind, StepList};

/// What became of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fate {
    /// Matched: the number of the pair, from 1.
    Matched(usize),
    /// A teacher step without an answer.
    Skipped,
    /// A student step that answers to none.
    Extra,
    /// A student step that is a part of the one beside it.
    Part,
    /// Checks or was abandoned, so it was not compared.
    Aside(StepKind),
    /// Moves on, but the alignment does not speak of it.
    Unmentioned,
}

/// One row of the side-by-side view; the fields are indices into `steps`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Row {
    /// A matched pair.
    Both {
        /// The teacher's step.
        teacher: usize,
        /// The student's step.
        student: usize,
    },
    /// A teacher step alone.
    Teacher(usize),
    /// A student step alone.
    Student(usize),
}

/// An alignment, step by step.
pub(super) struct View<'a> {
    /// The rule that made the alignment.
    pub mode: Mode,
    /// The pairs whose steps exist and ascend on both sides; a pair's number is its index + 1.
    pub pairs: Vec<&'a Pair>,
    /// The fate of each teacher step.
    pub teacher: Vec<Fate>,
    /// The fate of each student step.
    pub student: Vec<Fate>,
}

impl<'a> View<'a> {
    /// Lays `explained` out. Records come from files: what does not fit the step lists is left out.
    pub fn new(explained: &'a Explained) -> Self {
        let steps = |list: &Option<StepList>| -> Vec<Fate> {
            let list = list.as_ref().map(|list| list.steps.as_slice()).unwrap_or_default();
            list.iter()
                .map(|step| match step.kind {
                    StepKind::Progress => Fate::Unmentioned,
                    kind => Fate::Aside(kind),
                })
                .collect()
        };
        let mut teacher = steps(&explained.teacher_steps);
        let mut student = steps(&explained.student_steps);
        let alignment = &explained.alignment;
        let mark = |fates: &mut [Fate], indices: &[u32], fate| {
            for index in indices {
                if let Some(slot) = fates.get_mut(*index as usize) {
                    *slot = fate;
                }
            }
        };
        mark(&mut teacher, &alignment.skipped, Fate::Skipped);
        mark(&mut student, &alignment.extra, Fate::Extra);
        mark(&mut student, &alignment.split, Fate::Part);
        let mut pairs: Vec<&Pair> = Vec::with_capacity(alignment.pairs.len());
        for pair in &alignment.pairs {
            let ascends =
                pairs.last().is_none_or(|last| last.teacher < pair.teacher && last.student <= pair.student);
            let (Some(left), Some(right)) =
                (teacher.get_mut(pair.teacher as usize), student.get_mut(pair.student as usize))
            else {
                continue;
            };
            if ascends {
                pairs.push(pair);
                *left = Fate::Matched(pairs.len());
                *right = Fate::Matched(pairs.len());
            }
        }
        View { mode: alignment.mode, pairs, teacher, student }
    }

    /// The rows in reading order: what stands alone comes before the pair that follows it, teacher first.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::with_capacity(self.teacher.len() + self.student.len());
        let (mut left, mut right) = (0, 0);
        for pair in &self.pairs {
            let (teacher, student) = (pair.teacher as usize, pair.student as usize);
            rows.extend((left..teacher).map(Row::Teacher));
            rows.extend((right..student).map(Row::Student));
            rows.push(Row::Both { teacher, student });
            (left, right) = (teacher + 1, student + 1);
        }
        rows.extend((left..self.teacher.len()).map(Row::Teacher));
        rows.extend((right..self.student.len()).map(Row::Student));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::align::Alignment;
    use crate::trace::{Span, Step};

    fn explained(n_teacher: usize, n_student: usize, alignment: Alignment) -> Explained {
        let list = |n| {
            let step = Step { answer: Span::new(0, 1), ..Step::default() };
            Some(StepList { text: "x".into(), steps: vec![step; n], ..StepList::default() })
        };
        Explained { teacher: 0, alignment, teacher_steps: list(n_teacher), student_steps: list(n_student) }
    }

    fn pair(teacher: u32, student: u32) -> Pair {
        Pair {
            teacher,
            student,
            credit: 1.0,
            meta_reasoning: None,
            sub_problem: None,
            answer: None,
            runner_up: None,
        }
    }

    #[test]
    fn every_step_stands_on_one_row() {
        let alignment = Alignment {
            pairs: vec![pair(0, 1), pair(2, 2)],
            skipped: vec![1],
            extra: vec![0, 3],
            split: Vec::new(),
            ..Alignment::default()
        };
        let explained = explained(3, 4, alignment);
        let view = View::new(&explained);
        assert_eq!(view.teacher, [Fate::Matched(1), Fate::Skipped, Fate::Matched(2)]);
        assert_eq!(view.student, [Fate::Extra, Fate::Matched(1), Fate::Matched(2), Fate::Extra]);
        assert_eq!(
            view.rows(),
            [
                Row::Student(0),
                Row::Both { teacher: 0, student: 1 },
                Row::Teacher(1),
                Row::Both { teacher: 2, student: 2 },
                Row::Student(3),
            ]
        );
    }

    #[test]
    fn pairs_that_do_not_fit_are_left_out() {
        let alignment = Alignment {
            pairs: vec![pair(1, 1), pair(0, 0), pair(1, 1), pair(9, 9), pair(u32::MAX, 0)],
            skipped: vec![7],
            extra: vec![u32::MAX],
            split: Vec::new(),
            ..Alignment::default()
        };
        let explained = explained(2, 2, alignment);
        let view = View::new(&explained);
        assert_eq!(view.pairs.len(), 1);
        assert_eq!(view.rows().len(), 3);
        assert_eq!(view.teacher, [Fate::Unmentioned, Fate::Matched(1)]);
    }
}
