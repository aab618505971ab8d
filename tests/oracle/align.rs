//! The slow obvious kernel: each rule written down as its definition reads. The fast one must equal it.
//! Shared by the tests, the bench and the fuzz target.

use rlkd::align::{Aligner, Alignment, FREE, Mode, Next, Options, SOFT_FLOOR};
use rlkd::judge::{Ask, Aspect, Reply, Verdict};
use rlkd::trace::{Step, StepKind, StepList};

/// Somebody who knows the verdict on every ask.
pub type Knows<'a> = &'a dyn Fn(Ask) -> Verdict;

fn part(list: &StepList, step: u32, aspect: Aspect) -> bool {
    let step = list.steps[step as usize];
    !match aspect {
        Aspect::MetaReasoning => step.meta,
        Aspect::SubProblem => step.sub_problem,
        Aspect::Answer => step.answer,
    }
    .is_empty()
}

fn progress(list: &StepList) -> Vec<u32> {
    let counts = |s: &Step| s.kind == StepKind::Progress && !s.span().is_empty();
    (0..list.steps.len() as u32).filter(|&i| counts(&list.steps[i as usize])).collect()
}

/// Whether a total of the mode `ordered` says that every step of the teacher has its full credit.
#[allow(dead_code)] // The bench has no use for it.
pub fn is_whole(total: f64, teacher: &StepList) -> bool {
    total >= 1.0 - 0.5 / progress(teacher).len().max(1) as f64 - 1e-9
}

/// What the kernel must find; `None` if the teacher has no steps. Of several alignments with the same credit the kernel
/// takes one: `extra` says how many steps it left without a partner.
pub fn total(
    mode: Mode,
    options: Options,
    (teacher, student): (&StepList, &StepList),
    knows: Knows<'_>,
    extra: usize,
) -> Option<f64> {
    match mode {
        Mode::Reference => Some(reference(teacher, student, knows)),
        Mode::Prefix => prefix(teacher, student, knows),
        Mode::Ordered | Mode::Tree => ordered(options, teacher, student, knows, extra),
    }
}

fn reference(teacher: &StepList, student: &StepList, knows: Knows<'_>) -> f64 {
    let list = |list: &StepList, aspect| -> Vec<u32> {
        (0..list.steps.len() as u32).filter(|&i| part(list, i, aspect)).collect()
    };
    let mut scores: Vec<f64> = Vec::new();
    for (aspect, is_gate) in
        [(Aspect::MetaReasoning, true), (Aspect::SubProblem, false), (Aspect::Answer, false)]
    {
        let (teachers, students) = (list(teacher, aspect), list(student, aspect));
        for i in 0..teachers.len().min(students.len()) {
            let verdict = || knows(Ask { aspect, teacher: teachers[i], student: students[i] });
            if is_gate {
                let open = scores.iter().all(|&score| score != 0.0);
                scores.push(if open && verdict().says_yes() { 1.0 } else { 0.0 });
            } else if i < scores.len() && scores[i] != 0.0 && verdict().says_no() {
                scores[i] /= 2.0;
            }
        }
    }
    scores.iter().sum()
}

fn prefix(teacher: &StepList, student: &StepList, knows: Knows<'_>) -> Option<f64> {
    let (teachers, students) = (progress(teacher), progress(student));
    let mut sum = 0.0;
    for (&t, &s) in teachers.iter().zip(&students) {
        let same = |aspect| match (part(teacher, t, aspect), part(student, s, aspect)) {
            (true, true) => knows(Ask { aspect, teacher: t, student: s }).reply == Reply::Yes,
            (a, b) => a == b,
        };
        let in_common = |&aspect: &Aspect| part(teacher, t, aspect) && part(student, s, aspect);
        let order = [Aspect::MetaReasoning, Aspect::SubProblem, Aspect::Answer];
        let Some(gate) = order.into_iter().find(in_common) else { break };
        if !same(gate) {
            break;
        }
        let mut credit = 1.0;
        for aspect in [Aspect::SubProblem, Aspect::Answer] {
            if !same(aspect) {
                credit /= 2.0;
            }
        }
        sum += credit;
    }
    (!teachers.is_empty()).then(|| sum / teachers.len() as f64)
}

/// What a pair is worth in the mode `ordered`.
pub fn credit(
    options: Options,
    teacher: &StepList,
    student: &StepList,
    (t, s): (u32, u32),
    knows: Knows<'_>,
) -> f64 {
    let yes = |aspect| knows(Ask { aspect, teacher: t, student: s }).reply == Reply::Yes;
    let has = |aspect| (part(teacher, t, aspect), part(student, s, aspect));
    let asked = knows(Ask { aspect: Aspect::SubProblem, teacher: t, student: s });
    if if options.soft { asked.probability < SOFT_FLOOR } else { asked.reply != Reply::Yes } {
        return 0.0;
    }
    let stated = has(Aspect::SubProblem) != (false, false);
    let decides = match has(Aspect::Answer) {
        (false, false) if !stated => Aspect::MetaReasoning,
        _ => Aspect::Answer,
    };
    let probability = |aspect| f64::from(knows(Ask { aspect, teacher: t, student: s }).probability);
    let same = match has(decides) {
        (true, true) if options.soft => probability(decides),
        (true, true) => f64::from(u8::from(yes(decides))),
        (a, b) => f64::from(u8::from(a == b)),
    };
    let half = if stated { f64::from(options.half_credit) } else { 0.0 };
    let scale = if options.soft { probability(Aspect::SubProblem) } else { 1.0 };
    scale * (half + (1.0 - half) * same)
}

fn ordered(
    options: Options,
    teacher: &StepList,
    student: &StepList,
    knows: Knows<'_>,
    extra: usize,
) -> Option<f64> {
    let (teachers, students) = (progress(teacher), progress(student));
    if teachers.is_empty() {
        return None;
    }
    let grid: Vec<Vec<f64>> = teachers
        .iter()
        .map(|&t| students.iter().map(|&s| credit(options, teacher, student, (t, s), knows)).collect())
        .collect();
    let half = f64::from(options.half_credit);
    // All alignments, by recursion: leave out a teacher step, leave out a student step, pair the two, or answer two
    // teacher steps with one student step.
    fn most(grid: &[Vec<f64>], column: usize, half: f64) -> f64 {
        let Some((line, rest)) = grid.split_first() else { return 0.0 };
        if column == line.len() {
            return 0.0;
        }
        let here = line[column];
        let paired = here + most(rest, column + 1, half);
        let merged = match rest.split_first() {
            Some((next, later)) if here > 0.0 && next[column] > 0.0 => {
                let (more, less) = (here.max(next[column]), here.min(next[column]));
                more + less * half * more + most(later, column + 1, half)
            }
            _ => 0.0,
        };
        paired.max(merged).max(most(rest, column, half)).max(most(grid, column + 1, half))
    }
    let (credit, n) = (most(&grid, 0, half), teachers.len() as f64);
    // A whole path costs its detours; of a part only the credit counts.
    let most_cost = (1.0 - half) / 2.0;
    let detours =
        if credit > n - 1e-9 && !options.soft { (options.cost() * extra as f64).min(most_cost) } else { 0.0 };
    let guesses = extra.saturating_sub(teachers.len() + FREE) as f64;
    Some((credit - detours) / (n + options.cost() * guesses))
}

/// Runs the kernel to its end; `None` if it says that the pair cannot be scored.
/// Checks on the way that there are at most two rounds and that wrong verdicts are refused.
pub fn run<'a>(
    aligner: &'a mut Aligner,
    teacher: &StepList,
    student: &StepList,
    knows: Knows<'_>,
) -> Option<&'a Alignment> {
    let mut next = aligner.start(teacher, student);
    let mut rounds = 0;
    while next == Next::Ask {
        rounds += 1;
        assert!(rounds <= 2, "a third round");
        assert!(!aligner.asks().is_empty(), "a round without asks");
        let mut verdicts: Vec<Verdict> = aligner.asks().iter().map(|&ask| knows(ask)).collect();
        verdicts.push(Verdict::YES);
        assert!(aligner.answer(&verdicts).is_err(), "too many verdicts");
        verdicts.pop();
        assert!(aligner.answer(&verdicts[1..]).is_err(), "too few verdicts");
        let last = verdicts.len() - 1;
        let honest = std::mem::replace(&mut verdicts[last].probability, f32::NAN);
        assert!(aligner.answer(&verdicts).is_err(), "not a probability");
        verdicts[last].probability = honest;
        next = aligner.answer(&verdicts).expect("the right number of verdicts");
    }
    assert!(aligner.asks().is_empty(), "asks after the end");
    assert!(aligner.answer(&[]).is_err(), "nothing is asked any more");
    match next {
        Next::Unscorable(_) => None,
        _ => Some(aligner.alignment()),
    }
}

/// Checks what holds for every alignment, whatever the verdicts.
pub fn check_form(alignment: &Alignment, teacher: &StepList, student: &StepList) {
    let ascending = |list: &[u32]| list.windows(2).all(|w| w[0] < w[1]);
    let teachers: Vec<u32> = alignment.pairs.iter().map(|p| p.teacher).collect();
    let mut students: Vec<u32> = alignment.pairs.iter().map(|p| p.student).collect();
    assert!(students.windows(2).all(|w| w[0] <= w[1]), "pairs ascend on both sides");
    // A student's step may answer two of the teacher's in a row.
    students.dedup();
    assert!(teachers.len() <= 2 * students.len());
    assert!(ascending(&teachers) && ascending(&students), "pairs ascend on both sides");
    assert!(ascending(&alignment.skipped) && ascending(&alignment.extra) && ascending(&alignment.split));
    assert!(alignment.pairs.iter().all(|p| p.credit >= 0.0 && p.credit <= 1.0));
    students.extend(&alignment.split);
    let all = |list: &StepList| match alignment.mode {
        Mode::Reference => {
            (0..list.steps.len() as u32).filter(|&i| part(list, i, Aspect::MetaReasoning)).collect()
        }
        _ => progress(list),
    };
    for (mut found, left_out, list) in
        [(teachers, &alignment.skipped, teacher), (students, &alignment.extra, student)]
    {
        found.extend(left_out);
        found.sort_unstable();
        assert_eq!(found, all(list), "each step stands in one list");
    }
    assert!(alignment.total.is_sign_positive(), "the total of nothing is 0, not -0");
    if alignment.mode != Mode::Reference {
        assert!((0.0..=1.0).contains(&alignment.total), "{}", alignment.total);
    }
}
