//! The default rule: the best one-to-one alignment that keeps the order of both sides, with gap costs.
//!
//! # The score
//! Let the teacher have *n* steps, the student *m*, and let *C* be the sum of the credits of the matched pairs: 1 for
//! the same sub-problem with the same answer, `half_credit` for the same sub-problem only. Student effort that earns
//! nothing costs `extra_cost` = *e* per step, so an alignment is worth
//!
//! *S* = *C* − *e*·(*m* − *C*).
//!
//! A teacher step that is skipped loses what it could have earned, which is its gap cost. For this student the worst
//! alignment matches nothing and has *S* = −*e*·*m*; the ideal, the teacher's own path, has *S* = *n*. Measured between
//! the two,
//!
//! total = (*S* + *e*·*m*) / (*n* + *e*·*m*) = *C*·(1 + *e*) / (*n* + *e*·*m*).
//!
//! So *S* need not be optimised with its costs: the most credit is the best score. And:
//! - As *C* ≤ min(*n*, *m*), it lies in [0, 1], and for *e* > 0 it is 1 exactly if *C* = *n* = *m*.
//! - It rises with *C*, and turning a No into a Yes never lowers *C*.
//! - A student step that matches nothing raises *m* only, so padding and repeating cost; splitting a step leaves one half
//!   of it without a partner, so it costs as well. A pair of steps in the wrong order can be matched only one way round.
//!
//! # Parts that are absent
//! The sub-problem is asked about for every pair, whatever the steps have: a judge sees the steps and may know what was
//! asked from what came out. The answer is asked about if both steps have one; absent on both sides it is the same, on
//! one side it is not. Two steps that both lack a sub-problem get no half credit, since nothing shows what it would be
//! for; if both lack an answer too, their meta-reasoning is compared in its place, by the same rule.
//!
//! # Ties
//! Of several alignments with the most credit, the one found by walking from the first steps on, taking a pair as soon
//! as some best alignment of the rest has it, and otherwise leaving out the student's step before the teacher's.

use super::{Alignment, Options, Pair, Sides, Slot, is_yes};
use crate::judge::{Ask, Aspect, Verdict};

/// The most steps of a side that can be aligned: the plan holds one ask for each pair of steps, 12 bytes each, so
/// 50 MB at the limit.
pub const MAX_STEPS: usize = 2048;

/// Credit in the dynamic programme, which counts in integers so that results are exact and the same everywhere.
/// 2048 steps × 2¹⁶ fits in 32 bits with room to spare.
const FULL: u32 = 1 << 16;

/// The marks of a cell: what the pair is worth, then which way the best alignment goes from there:
/// `TAKE` the pair, else leave out the student's step (`EXTRA`), else the teacher's.
const NOTHING: u8 = 0;
const HALF: u8 = 1;
const WHOLE: u8 = 2;
const WORTH: u8 = 3;
const TAKE: u8 = 4;
const EXTRA: u8 = 8;

/// A pair with the same sub-problem.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    /// teacher × (number of student steps) + student, in positions.
    cell: u32,
    /// What the pair is worth if the last question is not answered with yes.
    otherwise: u8,
    /// The last question, if one was asked.
    last: Option<Aspect>,
    /// Probability that the sub-problem is the same.
    sub_problem: f32,
    /// Probability that the last question was answered with.
    other: f32,
}

/// Memory that is reused from one pair of lists to the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    /// Ascending by cell.
    candidates: Vec<Candidate>,
    /// Marks, one byte for each pair of steps.
    grid: Vec<u8>,
    /// The best credit from a row on, for each column.
    best: Vec<u32>,
}

pub(super) fn too_large(sides: &Sides) -> Option<&'static str> {
    if sides.teacher.len() > MAX_STEPS {
        Some("the teacher has more than 2048 steps: join some, or use the mode prefix")
    } else if sides.student.len() > MAX_STEPS {
        Some("the student has more than 2048 steps: join some, or use the mode prefix")
    } else {
        None
    }
}

/// The sub-problem of every pair.
pub(super) fn plan(sides: &Sides, asks: &mut Vec<Ask>) {
    asks.reserve(sides.teacher.len() * sides.student.len());
    for teacher in &sides.teacher {
        asks.extend(sides.student.iter().map(|student| Ask {
            aspect: Aspect::SubProblem,
            teacher: teacher.index,
            student: student.index,
        }));
    }
}

/// What is left to compare once the sub-problem is the same.
enum Last {
    Ask(Aspect),
    Same,
    Different,
}

fn last(teacher: &Slot, student: &Slot) -> Last {
    let by_presence = |aspect: Aspect| match (teacher.has(aspect), student.has(aspect)) {
        (true, true) => Some(Last::Ask(aspect)),
        (false, false) => None,
        _ => Some(Last::Different),
    };
    let stated = teacher.sub_problem || student.sub_problem;
    by_presence(Aspect::Answer)
        .or_else(|| if stated { None } else { by_presence(Aspect::MetaReasoning) })
        .unwrap_or(Last::Same)
}

/// Marks the pairs with the same sub-problem, and asks for their answers.
pub(super) fn fold_pairs(
    sides: &Sides,
    asks: &mut Vec<Ask>,
    verdicts: &[Verdict],
    options: &Options,
    scratch: &mut Scratch,
) {
    let width = sides.student.len();
    asks.clear();
    scratch.candidates.clear();
    scratch.grid.clear();
    scratch.grid.resize(sides.teacher.len() * width, NOTHING);
    if width == 0 {
        return;
    }
    let half = if options.half_credit > 0.0 { HALF } else { NOTHING };
    for (row, (teacher, verdicts)) in sides.teacher.iter().zip(verdicts.chunks_exact(width)).enumerate() {
        for (column, (student, verdict)) in sides.student.iter().zip(verdicts).enumerate() {
            if !is_yes(*verdict) {
                continue;
            }
            let cell = row * width + column;
            let stated = teacher.sub_problem || student.sub_problem;
            let otherwise = if stated { half } else { NOTHING };
            let last = match last(teacher, student) {
                Last::Ask(aspect) => {
                    asks.push(Ask { aspect, teacher: teacher.index, student: student.index });
                    Some(aspect)
                }
                Last::Same => {
                    scratch.grid[cell] = WHOLE;
                    None
                }
                Last::Different => {
                    scratch.grid[cell] = otherwise;
                    None
                }
            };
            let sub_problem = verdict.probability;
            let cell = cell as u32;
            scratch.candidates.push(Candidate { cell, otherwise, last, sub_problem, other: 0.0 });
        }
    }
}

/// Finds the alignment with the most credit.
pub(super) fn finish(
    sides: &Sides,
    verdicts: &[Verdict],
    options: &Options,
    scratch: &mut Scratch,
    alignment: &mut Alignment,
) {
    let asked = scratch.candidates.iter_mut().filter(|candidate| candidate.last.is_some());
    for (candidate, &verdict) in asked.zip(verdicts) {
        candidate.other = verdict.probability;
        scratch.grid[candidate.cell as usize] = if is_yes(verdict) { WHOLE } else { candidate.otherwise };
    }
    let half = (options.half_credit * FULL as f32).round() as u32;
    let (rows, width) = (sides.teacher.len(), sides.student.len());
    let credit = most_credit(&mut scratch.grid, &mut scratch.best, width, [0, half, FULL, FULL]);
    walk(sides, options, scratch, alignment);

    let credit = f64::from(credit) / f64::from(FULL);
    let (n, m, extra_cost) = (rows as f64, width as f64, options.cost());
    // The same formula; without rounding where the lengths are equal, so that a full match is 1 exactly.
    alignment.total = if rows == width {
        credit / n
    } else {
        (credit * (1.0 + extra_cost) / (n + extra_cost * m)).min(1.0)
    };
}

/// Fills the grid from its last row and column back, and marks in each cell the way to go.
fn most_credit(grid: &mut [u8], best: &mut Vec<u32>, width: usize, points: [u32; 4]) -> u32 {
    if width == 0 {
        return 0;
    }
    best.clear();
    best.resize(width, 0);
    for line in grid.chunks_exact_mut(width).rev() {
        // The best without this row and the columns up to the one on the right; with this row without them.
        let (mut diagonal, mut right) = (0, 0);
        for (mark, best) in line.iter_mut().zip(best.iter_mut()).rev() {
            let below = *best;
            let worth = points[usize::from(*mark & WORTH)];
            let (gap, pair) = (below.max(right), diagonal + worth);
            // Without branches: which way is best is as good as random to a branch predictor.
            let take = (worth > 0) & (pair >= gap);
            *mark |= (u8::from(take) * TAKE) | (u8::from(right == gap) * EXTRA);
            (diagonal, *best) = (below, gap.max(pair));
            right = *best;
        }
    }
    best[0]
}

/// Follows the marks from the first steps on.
fn walk(sides: &Sides, options: &Options, scratch: &Scratch, alignment: &mut Alignment) {
    let width = sides.student.len();
    let (mut teachers, mut students) = (sides.teacher.as_slice(), sides.student.as_slice());
    let mut candidates = scratch.candidates.as_slice();
    while let ([teacher, later_teachers @ ..], [student, later_students @ ..]) = (teachers, students) {
        let cell = (sides.teacher.len() - teachers.len()) * width + (width - students.len());
        let mark = scratch.grid[cell];
        if mark & TAKE != 0 {
            let mut pair = Pair::new(teacher.index, student.index);
            if mark & WORTH == HALF {
                pair.credit = options.half_credit;
            }
            let at = candidates.partition_point(|candidate| (candidate.cell as usize) < cell);
            if let Some(candidate) = candidates.get(at) {
                pair.sub_problem = Some(candidate.sub_problem);
                if let Some(aspect) = candidate.last {
                    pair.keep(aspect, candidate.other);
                }
            }
            alignment.pairs.push(pair);
            candidates = candidates.get(at + 1..).unwrap_or_default();
            (teachers, students) = (later_teachers, later_students);
        } else if mark & EXTRA != 0 {
            alignment.extra.push(student.index);
            students = later_students;
        } else {
            alignment.skipped.push(teacher.index);
            teachers = later_teachers;
        }
    }
    alignment.skipped.extend(teachers.iter().map(|slot| slot.index));
    alignment.extra.extend(students.iter().map(|slot| slot.index));
}
