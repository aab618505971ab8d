//! The kernel against the slow one, literal cases in every mode, and what must hold of every score.
#[path = "oracle/align.rs"]
mod oracle;

use oracle::Knows;
use proptest::prelude::*;
use rlkd::align::{Aligner, Alignment, MAX_STEPS, Mode, Next, Options};
use rlkd::judge::{Ask, Aspect, Reply, Verdict};
use rlkd::trace::{Span, Step, StepKind, StepList};

/// What an extra step costs by default.
const E: f64 = 0.1;

const MODES: [Mode; 3] = [Mode::Reference, Mode::Prefix, Mode::Ordered];

/// A step list from lines such as "meta|question|answer"; `?` in front marks verification, `!` a step left behind.
fn list(lines: &[&str]) -> StepList {
    let mut list = StepList::default();
    for line in lines {
        let (kind, line) = match line.as_bytes().first() {
            Some(b'?') => (StepKind::Verify, &line[1..]),
            Some(b'!') => (StepKind::Backtrack, &line[1..]),
            _ => (StepKind::Progress, *line),
        };
        let mut spans = line.split('|').map(|part| {
            let start = list.text.len();
            list.text.push_str(part);
            Span::new(start, list.text.len())
        });
        let [meta, sub_problem, answer] = [(); 3].map(|()| spans.next().unwrap_or_default());
        list.steps.push(Step { meta, sub_problem, answer, kind });
    }
    list
}

fn text(list: &StepList, step: u32, aspect: Aspect) -> &str {
    let step = &list.steps[step as usize];
    match aspect {
        Aspect::MetaReasoning => step.meta.of(&list.text),
        Aspect::SubProblem => step.sub_problem.of(&list.text),
        Aspect::Answer => step.answer.of(&list.text),
    }
}

/// A judge that compares the texts.
fn exact(teacher: &StepList, student: &StepList, ask: Ask) -> Verdict {
    let same = text(teacher, ask.teacher, ask.aspect) == text(student, ask.student, ask.aspect);
    if same { Verdict::YES } else { Verdict::NO }
}

/// Equal up to the order of the operations.
fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-12
}

fn align(mode: Mode, teacher: &StepList, student: &StepList) -> Option<Alignment> {
    let mut aligner = Aligner::new(mode, Options::default());
    let knows = |ask| exact(teacher, student, ask);
    let found = oracle::run(&mut aligner, teacher, student, &knows).cloned();
    if let Some(alignment) = &found {
        oracle::check_form(alignment, teacher, student);
    }
    let extra = found.as_ref().map_or(0, |found| found.extra.len());
    let slow = oracle::total(mode, Options::default(), (teacher, student), &knows, extra);
    let fast = found.as_ref().map(|a| a.total);
    assert!(
        fast.is_none() == slow.is_none() && near(fast.unwrap_or(0.0), slow.unwrap_or(0.0)),
        "{fast:?} {slow:?}"
    );
    found
}

/// One literal case: what it shows, the teacher, the student, and the totals for reference, prefix and ordered.
type Case = (&'static str, &'static [&'static str], &'static [&'static str], [Option<f64>; 3]);

const CASES: &[Case] = &[
    ("identical", &["a|b|c", "d|e|f"], &["a|b|c", "d|e|f"], [Some(2.0), Some(1.0), Some(1.0)]),
    ("the teacher is empty", &[], &["a|b|c"], [Some(0.0), None, None]),
    ("the student is empty", &["a|b|c"], &[], [Some(0.0), Some(0.0), Some(0.0)]),
    ("both are empty", &[], &[], [Some(0.0), None, None]),
    ("another answer", &["a|b|c"], &["a|b|x"], [Some(0.5), Some(0.5), Some(0.5)]),
    ("another question", &["a|b|c"], &["a|x|c"], [Some(0.5), Some(0.5), Some(0.0)]),
    ("both differ", &["a|b|c"], &["a|x|y"], [Some(0.25), Some(0.25), Some(0.0)]),
    // The first think differs: the gate closes, the ordered mode goes on.
    (
        "a paraphrased first thought",
        &["a|b|c", "d|e|f"],
        &["x|b|c", "d|e|f"],
        [Some(0.0), Some(0.0), Some(1.0)],
    ),
    ("a step is missing", &["a|b|c", "d|e|f"], &["a|b|c"], [Some(1.0), Some(0.5), Some(0.5)]),
    // The path is whole; detours cost.
    ("padded", &["a|b|c"], &["a|b|c", "x|y|z", "u|v|w"], [Some(1.0), Some(1.0), Some(1.0 - 2.0 * E)]),
    ("repeated", &["a|b|c"], &["a|b|c", "a|b|c"], [Some(1.0), Some(1.0), Some(1.0 - E)]),
    ("reordered", &["a|b|c", "d|e|f"], &["d|e|f", "a|b|c"], [Some(0.0), Some(0.0), Some(0.5)]),
    ("a step before the match", &["d|e|f"], &["a|b|c", "d|e|f"], [Some(0.0), Some(0.0), Some(1.0 - E)]),
    // Only progress steps are aligned; the reference takes all.
    ("a check is no step", &["a|b|c"], &["a|b|c", "?x|y|z"], [Some(1.0), Some(1.0), Some(1.0)]),
    ("a step left behind", &["a|b|c"], &["!x|y|z", "a|b|c"], [Some(0.0), Some(1.0), Some(1.0)]),
    ("only checks", &["?a|b|c"], &["a|b|c"], [Some(1.0), None, None]),
    // Parts that are absent.
    ("no thoughts", &["|b|c"], &["|b|c"], [Some(0.0), Some(1.0), Some(1.0)]),
    ("a thought on one side", &["a|b|c"], &["|b|c"], [Some(0.0), Some(1.0), Some(1.0)]),
    ("no answers", &["a|b|"], &["a|b|"], [Some(1.0), Some(1.0), Some(1.0)]),
    ("an answer on one side", &["a|b|c"], &["a|b|"], [Some(1.0), Some(0.5), Some(0.5)]),
    ("thoughts only", &["a||", "b||"], &["a||", "c||"], [Some(1.0), Some(0.5), Some(0.5)]),
    ("answers only", &["||c", "||d"], &["||c", "||x"], [Some(0.0), Some(0.5), Some(0.5)]),
    ("nothing in common", &["a||"], &["|b|"], [Some(0.0), Some(0.0), Some(0.0)]),
    ("steps without parts", &["||", "a|b|c"], &["a|b|c", "||"], [Some(1.0), Some(1.0), Some(1.0)]),
    // Three lists by position: the query of the second step meets the teacher's first.
    (
        "a missing query shifts the list",
        &["a|b|c", "d|e|f"],
        &["a||c", "d|e|f"],
        [Some(1.5), Some(0.75), Some(0.5)],
    ),
];

#[test]
fn literal_cases_in_every_mode() {
    for &(name, teacher, student, expected) in CASES {
        for (mode, expected) in MODES.into_iter().zip(expected) {
            let found = align(mode, &list(teacher), &list(student)).map(|a| a.total);
            assert_eq!(found, expected, "{name}, {mode:?}");
        }
    }
}

#[test]
fn an_alignment_says_what_was_skipped_and_what_was_extra() {
    let teacher = list(&["a|b|c", "d|e|f", "g|h|i"]);
    let student = list(&["?s|t|u", "a|b|c", "x|y|z", "g|h|other"]);
    let alignment = align(Mode::Ordered, &teacher, &student).unwrap();
    let pairs: Vec<_> = alignment.pairs.iter().map(|p| (p.teacher, p.student, p.credit)).collect();
    assert_eq!(pairs, [(0, 1, 1.0), (2, 3, 0.5)]);
    assert_eq!((alignment.skipped, alignment.extra), (vec![1], vec![2]));
    assert!(near(alignment.total, 0.5));
    assert_eq!(alignment.pairs[1].sub_problem, Some(1.0));
    assert_eq!(alignment.pairs[1].answer, Some(0.0));
    assert_eq!(alignment.pairs[1].meta_reasoning, None);
}

/// A judge by sub-problem: the letters of both sides are sets, and one in common is the same.
fn overlap(teacher: &StepList, student: &StepList, ask: Ask) -> Verdict {
    let (a, b) = (text(teacher, ask.teacher, ask.aspect), text(student, ask.student, ask.aspect));
    let same = if ask.aspect == Aspect::Answer { a == b } else { a.contains(|letter| b.contains(letter)) };
    if same { Verdict::YES } else { Verdict::NO }
}

#[test]
fn one_step_against_two() {
    let run = |teacher: &StepList, student: &StepList| {
        let mut aligner = Aligner::new(Mode::Ordered, Options::default());
        let found = oracle::run(&mut aligner, teacher, student, &|ask| overlap(teacher, student, ask));
        found.expect("scored").clone()
    };
    let (two, one) = (list(&["|a|1", "|b|2"]), list(&["|ab|2"]));
    // One step for two of the teacher's: the one whose answer it has counts whole, the other for half of its half.
    let merged = run(&two, &one);
    let pairs: Vec<_> = merged.pairs.iter().map(|p| (p.teacher, p.student, p.credit)).collect();
    assert_eq!(pairs, [(0, 0, 0.25), (1, 0, 1.0)]);
    assert!(merged.skipped.is_empty() && merged.extra.is_empty());
    assert_eq!(merged.total, 0.625);
    // Done one by one it is more, even with one of them wrong; with one left out it is less.
    assert_eq!(run(&two, &list(&["|a|9", "|b|2"])).total, 0.75);
    assert_eq!(run(&two, &two).total, 1.0);
    assert_eq!(run(&two, &list(&["|b|2"])).total, 0.5);
    // Two steps for one of the teacher's: the first is a part of the second, and costs nothing.
    let split = run(&one, &two);
    let pairs: Vec<_> = split.pairs.iter().map(|p| (p.teacher, p.student, p.credit)).collect();
    assert_eq!((pairs, split.split.as_slice()), (vec![(0, 1, 1.0)], &[0][..]));
    assert_eq!(split.total, 1.0);
    // Saying the same twice is no split.
    let twice = run(&one, &list(&["|ab|2", "|ab|2"]));
    assert_eq!((twice.split.len(), twice.extra.as_slice(), twice.total), (0, &[1][..], 1.0 - E));
}

#[test]
fn guesses_cost_however_many_hit() {
    let teacher = list(&["|a|1", "|b|2"]);
    let padded = |count: usize| {
        let guesses: Vec<String> = (0..count).map(|at| format!("|guess {at}|{at}")).collect();
        let lines = ["|a|1", "|b|2"].into_iter().chain(guesses.iter().map(String::as_str));
        align(Mode::Ordered, &teacher, &list(&lines.collect::<Vec<_>>())).unwrap().total
    };
    // Two detours, then no more than half of what a wrong answer costs.
    assert_eq!((padded(0), padded(2)), (1.0, 0.9));
    assert_eq!((padded(5), padded(10)), (0.875, 0.875));
    // Beyond n + 8 they are guesses.
    assert!(near(padded(30), 0.875 * 2.0 / (2.0 + 0.1 * 20.0)));
    // A wrong answer costs more than any detour does.
    assert!(align(Mode::Ordered, &teacher, &list(&["|a|1", "|b|9"])).unwrap().total < padded(10));
}

#[test]
fn ties_take_the_earliest_pair() {
    let (teacher, student) = (list(&["|b|c", "|b|c"]), list(&["|b|c", "|b|c", "|b|c"]));
    let alignment = align(Mode::Ordered, &teacher, &student).unwrap();
    let pairs: Vec<_> = alignment.pairs.iter().map(|p| (p.teacher, p.student)).collect();
    assert_eq!(pairs, [(0, 0), (1, 1)]);
    assert_eq!(alignment.extra, [2]);
}

/// The released rule reads "yes" in thinks and "no" in the rest; only a clear yes counts in the other modes.
#[test]
fn odd_replies_count_as_each_mode_says() {
    let step = list(&["a|b|c"]);
    let half = |reply| Verdict { reply, probability: 0.5 };
    for (reply, reference, prefix, ordered) in [
        (half(Reply::Both), 0.25, 0.0, 0.0),
        (half(Reply::Neither), 0.0, 0.0, 0.0),
        (Verdict::YES, 1.0, 1.0, 1.0),
        (Verdict::NO, 0.0, 0.0, 0.0),
    ] {
        for (mode, expected) in MODES.into_iter().zip([reference, prefix, ordered]) {
            let mut aligner = Aligner::new(mode, Options::default());
            let found = oracle::run(&mut aligner, &step, &step, &|_| reply).map(|a| a.total);
            assert_eq!(found, Some(expected), "{mode:?} {reply:?}");
        }
    }
    // A query that is answered with neither word does not halve in the reference, and does in the prefix.
    let knows = |ask: Ask| {
        if ask.aspect == Aspect::MetaReasoning { Verdict::YES } else { half(Reply::Neither) }
    };
    for (mode, expected) in [(Mode::Reference, 1.0), (Mode::Prefix, 0.25)] {
        let mut aligner = Aligner::new(mode, Options::default());
        assert_eq!(oracle::run(&mut aligner, &step, &step, &knows).unwrap().total, expected);
    }
}

#[test]
fn the_reference_takes_no_notice_of_thinks_after_the_gate() {
    let lines = list(&["a|b|c", "d|e|f", "g|h|i"]);
    for after in [Verdict::YES, Verdict::NO] {
        let knows = |ask: Ask| match (ask.aspect, ask.teacher) {
            (Aspect::MetaReasoning, 1) => Verdict::NO,
            (Aspect::MetaReasoning, 2) => after,
            _ => Verdict::YES,
        };
        let mut aligner = Aligner::new(Mode::Reference, Options::default());
        let found = oracle::run(&mut aligner, &lines, &lines, &knows).unwrap();
        assert_eq!((found.total, found.pairs.len()), (1.0, 1));
    }
}

#[test]
fn too_many_steps_are_said_to_be_too_many() {
    let many = list(&vec!["|b|c"; MAX_STEPS + 1]);
    let few = list(&["|b|c"]);
    let mut aligner = Aligner::new(Mode::Ordered, Options::default());
    for (teacher, student, side) in [(&many, &few, "teacher"), (&few, &many, "student")] {
        match aligner.start(teacher, student) {
            Next::Unscorable(why) => {
                assert!(why.contains(side) && why.contains(&MAX_STEPS.to_string()), "{why}");
            }
            other => panic!("{other:?}"),
        }
        assert!(aligner.answer(&[]).is_err());
    }
    assert_eq!(align(Mode::Prefix, &few, &many).unwrap().total, 1.0);
}

#[test]
fn options_out_of_range_are_named() {
    assert!(Options::default().check().is_ok());
    let wrong = Options { extra_cost: f32::NAN, ..Options::default() };
    assert!(wrong.check().unwrap_err().to_string().contains("extra_cost"));
    let wrong = Options { half_credit: 1.5, ..Options::default() };
    assert!(wrong.check().unwrap_err().to_string().contains("half_credit"));
}

/// Sides of up to 5 steps with any parts and kinds, and a verdict for every ask.
#[derive(Clone, Debug)]
struct Grid {
    teacher: StepList,
    student: StepList,
    replies: Vec<Reply>,
    options: Options,
}

fn cell(ask: Ask) -> usize {
    (ask.aspect as usize * 8 + ask.teacher as usize) * 8 + ask.student as usize
}

impl Grid {
    fn verdict(&self, ask: Ask) -> Verdict {
        let reply = self.replies[cell(ask)];
        let probability = match reply {
            Reply::Yes => 0.75,
            Reply::No => 0.25,
            _ => 0.5,
        };
        Verdict { reply, probability }
    }

    fn total(&self, mode: Mode, knows: Knows<'_>) -> Option<f64> {
        let mut aligner = Aligner::new(mode, self.options);
        let found = oracle::run(&mut aligner, &self.teacher, &self.student, knows);
        if let Some(found) = found {
            oracle::check_form(found, &self.teacher, &self.student);
        }
        found.map(|a| a.total)
    }

    /// What the slow kernel says, beside what the fast one left out.
    fn slow(&self, mode: Mode, knows: Knows<'_>) -> Option<f64> {
        let mut aligner = Aligner::new(mode, self.options);
        let found = oracle::run(&mut aligner, &self.teacher, &self.student, knows);
        let extra = found.map_or(0, |found| found.extra.len());
        oracle::total(mode, self.options, (&self.teacher, &self.student), knows, extra)
    }
}

fn sides() -> impl Strategy<Value = StepList> {
    let step = (0..8usize, prop_oneof![4 => Just(""), 1 => Just("?"), 1 => Just("!")]);
    prop::collection::vec(step, 0..=5).prop_map(|steps| {
        let lines: Vec<String> = steps
            .into_iter()
            .map(|(parts, kind)| {
                let part = |bit: usize| if (parts >> bit) & 1usize == 1 { "" } else { "x" };
                format!("{kind}{}|{}|{}", part(0), part(1), part(2))
            })
            .collect();
        list(&lines.iter().map(String::as_str).collect::<Vec<_>>())
    })
}

fn grid() -> impl Strategy<Value = Grid> {
    let reply = prop_oneof![
        5 => Just(Reply::Yes),
        4 => Just(Reply::No),
        1 => Just(Reply::Both),
        1 => Just(Reply::Neither)
    ];
    let options = (0u8..=4, 0u8..=4).prop_map(|(extra, half)| Options {
        extra_cost: f32::from(extra) / 4.0,
        half_credit: f32::from(half) / 4.0,
        soft: false,
    });
    (sides(), sides(), prop::collection::vec(reply, 192), options)
        .prop_map(|(teacher, student, replies, options)| Grid { teacher, student, replies, options })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn equals_the_slow_kernel(grid in grid()) {
        let knows = |ask| grid.verdict(ask);
        for mode in MODES.into_iter().chain([Mode::Tree]) {
            let slow = grid.slow(mode, &knows);
            match (grid.total(mode, &knows), slow) {
                (Some(fast), Some(slow)) => prop_assert!((fast - slow).abs() < 1e-12, "{mode:?}: {fast} {slow}"),
                (fast, slow) => prop_assert_eq!(fast, slow, "{:?}", mode),
            }
        }
    }

    /// The fast one counts in steps of 1/65536.
    #[test]
    fn soft_credits_equal_the_slow_kernel(mut grid in grid()) {
        grid.options.soft = true;
        let knows = |ask| grid.verdict(ask);
        match (grid.total(Mode::Ordered, &knows), grid.slow(Mode::Ordered, &knows)) {
            (Some(fast), Some(slow)) => prop_assert!((fast - slow).abs() < 1e-3, "{fast} {slow}"),
            (fast, slow) => prop_assert_eq!(fast, slow),
        }
    }

    #[test]
    fn a_no_that_becomes_a_yes_never_lowers_the_total(grid in grid(), aspect in 0..3usize, t in 0..5u32, s in 0..5u32) {
        let aspect = [Aspect::MetaReasoning, Aspect::SubProblem, Aspect::Answer][aspect];
        let ask = Ask { aspect, teacher: t, student: s };
        let mut better = grid.clone();
        better.replies[cell(ask)] = Reply::Yes;
        for mode in MODES {
            // In the reference a reply of "neither" is not a No, and a Yes is not better than it.
            let before = grid.total(mode, &|ask| grid.verdict(ask));
            let after = better.total(mode, &|ask| better.verdict(ask));
            // A path that is whole stays whole, with a detour more or less.
            let whole = [before, after].iter().flatten().all(|&total| oracle::is_whole(total, &grid.teacher));
            prop_assert!(after >= before || mode == Mode::Ordered && whole, "{mode:?}: {before:?} {after:?}");
        }
    }

    #[test]
    fn identical_lists_give_one(steps in sides()) {
        for mode in [Mode::Prefix, Mode::Ordered] {
            let mut aligner = Aligner::new(mode, Options::default());
            let found = oracle::run(&mut aligner, &steps, &steps, &|ask| exact(&steps, &steps, ask));
            prop_assert!(found.is_none_or(|a| a.total == 1.0), "{mode:?}");
        }
    }

    #[test]
    fn one_means_that_every_step_pairs_fully(grid in grid()) {
        if let Some(1.0) = grid.total(Mode::Ordered, &|ask| grid.verdict(ask))
            && grid.options.extra_cost > 0.0
            && grid.options.half_credit < 1.0
        {
            let mut aligner = Aligner::new(Mode::Ordered, grid.options);
            let found = oracle::run(&mut aligner, &grid.teacher, &grid.student, &|ask| grid.verdict(ask));
            let found = found.expect("it was scored before");
            prop_assert!(found.skipped.is_empty() && found.extra.is_empty());
            prop_assert!(found.pairs.iter().all(|p| p.credit == 1.0));
        }
    }

    /// Repeating a step, and adding one that matches nothing, costs where the path is whole and gains nothing elsewhere.
    #[test]
    fn padding_costs(mut lines in prop::collection::vec("[ab]?\\|[abcd]\\|[xy]", 1..6), at in 0..6usize, other in any::<bool>()) {
        let teacher = list(&["a|a|x", "b|b|y", "a|c|x"]);
        fn of(lines: &[String]) -> StepList {
            list(&lines.iter().map(String::as_str).collect::<Vec<_>>())
        }
        let before = align(Mode::Ordered, &teacher, &of(&lines)).unwrap().total;
        let at = at.min(lines.len() - 1);
        let line = if other { "z|z|z".to_string() } else { lines[at].clone() };
        lines.insert(at, line);
        let after = align(Mode::Ordered, &teacher, &of(&lines)).unwrap().total;
        prop_assert!(after < before || before < 1.0 - 0.5 / 3.0 + 1e-9, "{before} {after}");
    }
}
