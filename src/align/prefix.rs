//! The released gate, judged soundly: position by position over the progress steps, until one differs.
//!
//! The gate of a position is the meta-reasoning if both steps have it, else the sub-problem if both have it, else the
//! answer; steps with no part in common differ. While the gate holds a position is worth 1, halved if the
//! sub-problem is not the same, and halved if the answer is not the same. A part that is absent on both sides is the
//! same, one that is absent on one side only is not; neither is asked about.
//!
//! The total is the sum over the number of the teacher's steps, so it lies in [0, 1], is 1 only if every teacher step
//! is met, and cannot be raised by more student steps than the teacher has. Extra steps cost nothing here: for that
//! there is [`Mode::Ordered`](super::Mode::Ordered).

use super::{Alignment, Pair, Sides, Slot, credits, is_yes};
use crate::judge::{Ask, Aspect, Verdict};

/// The aspect that decides whether the match goes on.
fn gate(teacher: &Slot, student: &Slot) -> Option<Aspect> {
    let both = |aspect: &Aspect| teacher.has(*aspect) && student.has(*aspect);
    [Aspect::MetaReasoning, Aspect::SubProblem, Aspect::Answer].into_iter().find(both)
}

fn positions(sides: &Sides) -> impl Iterator<Item = (&Slot, &Slot)> {
    sides.teacher.iter().zip(&sides.student)
}

/// The gate of every position, up to the first that has none.
pub(super) fn plan(sides: &Sides, asks: &mut Vec<Ask>) {
    asks.extend(positions(sides).map_while(|(teacher, student)| {
        let aspect = gate(teacher, student)?;
        Some(Ask { aspect, teacher: teacher.index, student: student.index })
    }));
}

/// Keeps the positions before the first closed gate, and asks about what else they have in common.
pub(super) fn fold_gate(sides: &Sides, asks: &mut Vec<Ask>, verdicts: &[Verdict], alignment: &mut Alignment) {
    for (ask, &verdict) in asks.iter().zip(verdicts).take_while(|&(_, &verdict)| is_yes(verdict)) {
        let mut pair = Pair::new(ask.teacher, ask.student);
        pair.keep(ask.aspect, verdict.probability);
        alignment.pairs.push(pair);
    }
    asks.clear();
    for ((teacher, student), pair) in positions(sides).zip(&mut alignment.pairs) {
        let gate = gate(teacher, student);
        for aspect in [Aspect::SubProblem, Aspect::Answer] {
            if gate == Some(aspect) {
                continue;
            }
            match (teacher.has(aspect), student.has(aspect)) {
                (true, true) => asks.push(Ask { aspect, teacher: teacher.index, student: student.index }),
                (false, false) => {}
                _ => pair.credit *= 0.5,
            }
        }
    }
}

/// Halves, and divides by the number of teacher steps.
pub(super) fn finish(sides: &Sides, asks: &[Ask], verdicts: &[Verdict], alignment: &mut Alignment) {
    let mut pairs = alignment.pairs.iter_mut().peekable();
    for (ask, &verdict) in asks.iter().zip(verdicts) {
        // Asks come in the order of the pairs.
        while pairs.next_if(|pair| pair.teacher < ask.teacher).is_some() {}
        if let Some(pair) = pairs.peek_mut() {
            pair.keep(ask.aspect, verdict.probability);
            if !is_yes(verdict) {
                pair.credit *= 0.5;
            }
        }
    }
    alignment.total = credits(&alignment.pairs) / sides.teacher.len() as f64;
    let matched = alignment.pairs.len();
    alignment.skipped.extend(sides.teacher[matched..].iter().map(|slot| slot.index));
    alignment.extra.extend(sides.student[matched..].iter().map(|slot| slot.index));
}
