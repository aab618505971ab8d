//! The slow obvious kernel: each rule written down as its definition reads. The fast one must equal it.
//! Shared by the tests, the bench and the fuzz target.

use rlkd::align::{Aligner, Alignment, Mode, Next, Options};
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

/// What the kernel must find; `None` if the teacher has no steps.
pub fn total(
    mode: Mode,
    options: Options,
    teacher: &StepList,
    student: &StepList,
    knows: Knows<'_>,
) -> Option<f64> {
    match mode {
        Mode::Reference => Some(reference(teacher, student, knows)),
        Mode::Prefix => prefix(teacher, student, knows),
        Mode::Ordered => ordered(options, teacher, student, knows),
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
    if !yes(Aspect::SubProblem) {
        return 0.0;
    }
    let stated = has(Aspect::SubProblem) != (false, false);
    let decides = match has(Aspect::Answer) {
        (false, false) if !stated => Aspect::MetaReasoning,
        _ => Aspect::Answer,
    };
    let full = match has(decides) {
        (true, true) => yes(decides),
        (a, b) => a == b,
    };
    match (full, stated) {
        (true, _) => 1.0,
        (false, true) => f64::from(options.half_credit),
        (false, false) => 0.0,
    }
}

fn ordered(options: Options, teacher: &StepList, student: &StepList, knows: Knows<'_>) -> Option<f64> {
    let (teachers, students) = (progress(teacher), progress(student));
    if teachers.is_empty() {
        return None;
    }
    let grid: Vec<Vec<f64>> = teachers
        .iter()
        .map(|&t| students.iter().map(|&s| credit(options, teacher, student, (t, s), knows)).collect())
        .collect();
    // All alignments, by recursion: leave out a teacher step, leave out a student step, or pair the two.
    fn most(grid: &[Vec<f64>], column: usize) -> f64 {
        let Some((line, rest)) = grid.split_first() else { return 0.0 };
        if column == line.len() {
            return 0.0;
        }
        let paired = line[column] + most(rest, column + 1);
        paired.max(most(rest, column)).max(most(grid, column + 1))
    }
    let best = most(&grid, 0);
    let (n, m, extra) = (teachers.len() as f64, students.len() as f64, options.cost());
    // Score of the best alignment, between that of the worst one and that of the teacher's own path.
    let (score, worst, ideal) = (best - extra * (m - best), -extra * m, n);
    Some((score - worst) / (ideal - worst))
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
    let students: Vec<u32> = alignment.pairs.iter().map(|p| p.student).collect();
    assert!(ascending(&teachers) && ascending(&students), "pairs ascend on both sides");
    assert!(ascending(&alignment.skipped) && ascending(&alignment.extra));
    assert!(alignment.pairs.iter().all(|p| p.credit > 0.0 && p.credit <= 1.0));
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
