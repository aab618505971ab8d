//! The graph of several teachers by hand: walks with their questions, all paths, all alignments, and what must hold of
//! every graph. Shared by the tests and the fuzz target.

use std::collections::BTreeSet;

use rlkd::align::tree::{Followed, Tree, Walker};
use rlkd::align::{Aligner, Alignment, Mode, Next, Options};
use rlkd::judge::{Ask, Aspect, Verdict};
use rlkd::trace::StepList;

fn text(list: &StepList, step: u32, aspect: Aspect) -> &str {
    let step = &list.steps[step as usize];
    match aspect {
        Aspect::MetaReasoning => step.meta.of(&list.text),
        Aspect::SubProblem => step.sub_problem.of(&list.text),
        Aspect::Answer => step.answer.of(&list.text),
    }
}

/// A judge that compares the texts.
pub fn exact(teacher: &StepList, student: &StepList, ask: Ask) -> Verdict {
    let same = text(teacher, ask.teacher, ask.aspect) == text(student, ask.student, ask.aspect);
    if same { Verdict::YES } else { Verdict::NO }
}

/// A judge of whom equality is not transitive: letters are the same up to a distance of 1.
pub fn near(teacher: &StepList, student: &StepList, ask: Ask) -> Verdict {
    let letter = |list, step| text(list, step, ask.aspect).bytes().next().unwrap_or(0);
    let same = letter(teacher, ask.teacher).abs_diff(letter(student, ask.student)) <= 1;
    if same {
        Verdict { probability: 0.75, ..Verdict::YES }
    } else {
        Verdict { probability: 0.25, ..Verdict::NO }
    }
}

/// Says yes or no of a step of each side.
pub type Judge = fn(&StepList, &StepList, Ask) -> Verdict;

/// Answers the walker's questions; checks that there are at most two rounds, and that wrong verdicts are refused.
pub fn walk(walker: &mut Walker, tree: &Tree, list: &StepList, judge: Judge) {
    let mut next = walker.start(tree, list);
    let mut rounds = 0;
    while next == Next::Ask {
        rounds += 1;
        assert!(rounds <= 2 && !walker.asks().is_empty());
        assert!(walker.follow(tree).is_err(), "not answered yet");
        let mut verdicts: Vec<Verdict> =
            walker.asks().iter().map(|&ask| judge(tree.steps(), list, ask)).collect();
        assert!(walker.answer(&verdicts[1..]).is_err(), "too few verdicts");
        let honest = std::mem::replace(&mut verdicts[0].probability, f32::NAN);
        assert!(walker.answer(&verdicts).is_err(), "not a probability");
        verdicts[0].probability = honest;
        next = walker.answer(&verdicts).expect("a verdict for each");
    }
    assert_eq!(next, Next::Done);
    assert!(walker.answer(&[]).is_err(), "nothing is asked any more");
}

/// The graph of some teachers.
pub fn grow(options: Options, teachers: &[StepList], judge: Judge) -> Tree {
    let (mut tree, mut walker) = (Tree::default(), Walker::new(options));
    for teacher in teachers {
        walk(&mut walker, &tree, teacher, judge);
        let _ = walker.join(&mut tree, teacher).expect("answered");
        assert!(walker.join(&mut tree, teacher).is_err(), "once is enough");
    }
    tree
}

/// A student along a graph.
pub fn follow(options: Options, tree: &Tree, student: &StepList, judge: Judge) -> Option<Followed> {
    let mut walker = Walker::new(options);
    walk(&mut walker, tree, student, judge);
    walker.follow(tree).expect("answered").ok()
}

/// The steps of a teacher's nodes as a teacher of its own: what stands for them.
pub fn branch(tree: &Tree, nodes: &[u32]) -> StepList {
    let steps = nodes.iter().map(|node| tree.steps().steps[*node as usize]).collect();
    StepList { text: tree.steps().text.clone(), steps, ..StepList::default() }
}

/// The rule `ordered` between two lists.
pub fn ordered(options: Options, teacher: &StepList, student: &StepList, judge: Judge) -> Option<Alignment> {
    let mut aligner = Aligner::new(Mode::Ordered, options);
    let mut next = aligner.start(teacher, student);
    while next == Next::Ask {
        let verdicts: Vec<Verdict> = aligner.asks().iter().map(|&ask| judge(teacher, student, ask)).collect();
        next = aligner.answer(&verdicts).expect("a verdict for each");
    }
    (next == Next::Done).then(|| aligner.alignment().clone())
}

/// The paths of the graph from a node on.
pub fn paths(tree: &Tree, from: Option<u32>) -> Vec<Vec<u32>> {
    let mut all = Vec::new();
    for edge in tree.next(from) {
        match edge.to {
            None => all.push(Vec::new()),
            Some(to) => all.extend(paths(tree, Some(to)).into_iter().map(|rest| [vec![to], rest].concat())),
        }
    }
    all
}

/// The most steps of a list that join a path, by trying all.
pub fn most_joined(tree: &Tree, path: &[u32], list: &StepList, judge: Judge) -> usize {
    let steps = taking_part(list);
    let whole = |node: u32, step: u32| {
        [Aspect::SubProblem, Aspect::Answer]
            .iter()
            .all(|&aspect| judge(tree.steps(), list, Ask { aspect, teacher: node, student: step }).says_yes())
    };
    fn most(path: &[u32], steps: &[u32], whole: &dyn Fn(u32, u32) -> bool) -> usize {
        let ([node, later @ ..], [step, rest @ ..]) = (path, steps) else { return 0 };
        let joined = if whole(*node, *step) { 1 + most(later, rest, whole) } else { 0 };
        joined.max(most(later, steps, whole)).max(most(path, rest, whole))
    }
    most(path, &steps, &whole)
}

/// The steps that a graph holds: progress with some part.
fn taking_part(list: &StepList) -> Vec<u32> {
    list.progress().filter(|step| !list.steps[*step].span().is_empty()).map(|step| step as u32).collect()
}

/// What holds of every graph of these teachers.
pub fn check(tree: &Tree, teachers: &[StepList]) {
    assert_eq!(tree.paths().len(), teachers.len());
    assert_eq!(tree.steps().steps.len(), tree.nodes().len());
    let place = |node: u32| tree.order().iter().position(|other| *other == node).expect("in the order");
    let distinct: BTreeSet<u32> = tree.order().iter().copied().collect();
    assert_eq!((tree.order().len(), distinct.len()), (tree.nodes().len(), tree.nodes().len()));
    let mut members = 0;
    for (teacher, (path, list)) in (0u32..).zip(tree.paths().iter().zip(teachers)) {
        let steps = taking_part(list);
        let Ok(path) = path else {
            assert!(steps.is_empty());
            continue;
        };
        assert_eq!(path.steps, steps, "each step has a node");
        assert!(path.nodes.windows(2).all(|pair| place(pair[0]) < place(pair[1])), "in order");
        members += steps.len();
        let mut from = None;
        for to in path.nodes.iter().copied().map(Some).chain([None]) {
            let edge = tree.next(from).iter().find(|edge| edge.to == to).expect("an edge");
            assert!(edge.teachers.contains(&teacher));
            from = to;
        }
        for (node, step) in path.nodes.iter().zip(&path.steps) {
            assert!(tree.nodes()[*node as usize].members.contains(&(teacher, *step)));
        }
    }
    assert_eq!(tree.nodes().iter().map(|node| node.members.len()).sum::<usize>(), members);
    for from in tree.order().iter().copied().map(Some).chain([None]) {
        let mut teachers: Vec<u32> = tree.next(from).iter().flat_map(|edge| edge.teachers.clone()).collect();
        let before = teachers.len();
        teachers.sort_unstable();
        teachers.dedup();
        assert_eq!(teachers.len(), before, "a teacher goes one way");
        let passing = from
            .map_or(tree.paths().iter().flatten().count(), |node| tree.nodes()[node as usize].members.len());
        assert_eq!(before, passing, "all go on or end");
    }
}

/// The best branch for a student, each branch a teacher of the rule `ordered`.
pub fn best_branch(
    options: Options,
    tree: &Tree,
    student: &StepList,
    judge: Judge,
) -> Option<(u32, Alignment)> {
    let mut best: Option<(u32, Alignment)> = None;
    for (teacher, path) in (0u32..).zip(tree.paths()) {
        let Ok(path) = path else { continue };
        let mut one = ordered(options, &branch(tree, &path.nodes), student, judge).expect("steps");
        // As the teacher counts its steps.
        one.pairs.iter_mut().for_each(|pair| pair.teacher = path.steps[pair.teacher as usize]);
        one.skipped.iter_mut().for_each(|step| *step = path.steps[*step as usize]);
        one.mode = Mode::Tree;
        if best.as_ref().is_none_or(|(_, best)| one.total > best.total) {
            best = Some((teacher, one));
        }
    }
    best
}
