//! The released rule, exactly: three lists by position, thinks as the gate, queries and answers halve.
//!
//! It looks at the words of a reply as the released code does: a think counts if "yes" occurs in the reply, a query
//! or an answer halves if "no" does. Thinks after the first failed one were never asked by the released code; here
//! they are asked with the others, in one round, and their verdicts are not looked at.

use super::{Alignment, Pair, Sides, Slot, credits};
use crate::judge::{Ask, Aspect, Verdict};

/// The steps that have this part, in order.
fn with(slots: &[Slot], aspect: Aspect) -> impl Iterator<Item = u32> + '_ {
    slots.iter().filter(move |slot| slot.has(aspect)).map(|slot| slot.index)
}

/// The asks about one aspect, by position.
fn by_position(sides: &Sides, aspect: Aspect) -> impl Iterator<Item = Ask> + '_ {
    let students = with(&sides.student, aspect);
    with(&sides.teacher, aspect).zip(students).map(move |(teacher, student)| Ask { aspect, teacher, student })
}

/// Every think that both sides have.
pub(super) fn plan(sides: &Sides, asks: &mut Vec<Ask>) {
    asks.extend(by_position(sides, Aspect::MetaReasoning));
}

/// Keeps the thinks up to the first failed one as pairs, and asks about the queries, then the answers, beside them.
pub(super) fn fold_gate(sides: &Sides, asks: &mut Vec<Ask>, verdicts: &[Verdict], alignment: &mut Alignment) {
    for (ask, verdict) in asks.iter().zip(verdicts).take_while(|(_, verdict)| verdict.says_yes()) {
        let mut pair = Pair::new(ask.teacher, ask.student);
        pair.keep(ask.aspect, verdict.probability);
        alignment.pairs.push(pair);
    }
    asks.clear();
    for aspect in [Aspect::SubProblem, Aspect::Answer] {
        asks.extend(by_position(sides, aspect).take(alignment.pairs.len()));
    }
}

/// Halves, and sums up.
pub(super) fn finish(sides: &Sides, asks: &[Ask], verdicts: &[Verdict], alignment: &mut Alignment) {
    let mut position = 0;
    let mut aspect = Aspect::SubProblem;
    for (ask, verdict) in asks.iter().zip(verdicts) {
        if ask.aspect != aspect {
            (position, aspect) = (0, ask.aspect);
        }
        let pair = &mut alignment.pairs[position];
        pair.keep(aspect, verdict.probability);
        if verdict.says_no() {
            pair.credit *= 0.5;
        }
        position += 1;
    }
    alignment.total = credits(&alignment.pairs);
    let matched = alignment.pairs.len();
    alignment.skipped.extend(with(&sides.teacher, Aspect::MetaReasoning).skip(matched));
    alignment.extra.extend(with(&sides.student, Aspect::MetaReasoning).skip(matched));
}
