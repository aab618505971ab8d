//! The kernel on small grids of any verdicts: it equals the slow kernel, stays in its range, asks at most
//! twice, refuses wrong verdicts, never loses by a yes, and gives 1 to identical lists.
#[path = "../../tests/oracle/align.rs"]
mod oracle;

use arbitrary::{Arbitrary, Unstructured};
use rlkd::align::{Aligner, Mode, Options};
use rlkd::judge::{Ask, Reply, Verdict};
use rlkd::trace::{Span, Step, StepKind, StepList};

/// Most steps on a side: the slow kernel tries every alignment.
const SIDE: usize = 5;

/// Two step lists and the verdict on every ask.
#[derive(Debug)]
pub struct Grid {
    teacher: StepList,
    student: StepList,
    replies: Vec<Reply>,
    options: Options,
    flipped: usize,
}

fn side(u: &mut Unstructured<'_>) -> arbitrary::Result<StepList> {
    let count = u.int_in_range(0..=SIDE)?;
    let mut list = StepList { text: "x".repeat(3 * SIDE), ..StepList::default() };
    for at in 0..count {
        let byte = u8::arbitrary(u)?;
        // Seven of eight steps have all parts that the low bits leave them.
        let part = |bit: usize| {
            let start = 3 * at + bit;
            if byte >> bit & 1 == 0 { Span::new(start, start + 1) } else { Span::empty_at(start) }
        };
        let kind = match byte >> 4 {
            14 => StepKind::Verify,
            15 => StepKind::Backtrack,
            _ => StepKind::Progress,
        };
        list.steps.push(Step { meta: part(0), sub_problem: part(1), answer: part(2), kind });
    }
    Ok(list)
}

impl<'a> Arbitrary<'a> for Grid {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let (teacher, student) = (side(u)?, side(u)?);
        let options = Options {
            extra_cost: f32::from(u8::arbitrary(u)?) / 255.0,
            // In steps of 1/256, which the kernel's integers hold exactly.
            half_credit: f32::from(u.int_in_range(0..=256u16)?) / 256.0,
            soft: false,
        };
        let flipped = u.int_in_range(0..=3 * SIDE * SIDE - 1)?;
        let replies = (0..3 * SIDE * SIDE)
            .map(|_| {
                Ok(match u8::arbitrary(u)? & 7 {
                    0..=3 => Reply::Yes,
                    4 | 5 => Reply::No,
                    6 => Reply::Both,
                    _ => Reply::Neither,
                })
            })
            .collect::<arbitrary::Result<_>>()?;
        Ok(Grid { teacher, student, replies, options, flipped })
    }
}

fn cell(ask: Ask) -> usize {
    (ask.aspect as usize * SIDE + ask.teacher as usize) * SIDE + ask.student as usize
}

/// Checks one grid; panics where something does not hold.
pub fn check(grid: &Grid) {
    let Grid { teacher, student, replies, options, flipped } = grid;
    let knows = |ask: Ask| Verdict { reply: replies[cell(ask)], probability: 0.5 };
    let with_a_yes = |ask: Ask| {
        if cell(ask) == *flipped { Verdict::YES } else { knows(ask) }
    };
    for mode in [Mode::Reference, Mode::Prefix, Mode::Ordered, Mode::Tree] {
        let mut aligner = Aligner::new(mode, *options);
        let found = oracle::run(&mut aligner, teacher, student, &knows).cloned();
        if let Some(found) = &found {
            oracle::check_form(found, teacher, student);
        }
        let extra = found.as_ref().map_or(0, |a| a.extra.len());
        let found = found.map(|a| a.total);
        match (found, oracle::total(mode, *options, (teacher, student), &knows, extra)) {
            (Some(fast), Some(slow)) => assert!((fast - slow).abs() < 1e-9, "{mode:?}: {fast} {slow}"),
            (fast, slow) => assert_eq!(fast, slow, "{mode:?}"),
        }
        let better = oracle::run(&mut aligner, teacher, student, &with_a_yes).map(|a| a.total);
        // A path that is whole stays whole, with a detour more or less.
        let whole = [found, better].iter().flatten().all(|&total| oracle::is_whole(total, teacher));
        assert!(
            better >= found || mode == Mode::Ordered && whole,
            "{mode:?}: a yes lowered {found:?} to {better:?}"
        );
        if mode != Mode::Reference {
            let truthful = |_: Ask| Verdict::YES;
            let same = oracle::run(&mut aligner, teacher, teacher, &truthful).map(|a| a.total);
            assert!(same.is_none_or(|total| total == 1.0), "{mode:?}: identical lists gave {same:?}");
        }
    }
}
