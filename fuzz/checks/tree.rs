//! The graph of several teachers: it holds them all, takes as many steps of each as any path of it can, and follows the
//! best branch; with one teacher that is the rule `ordered`.
#[path = "../../tests/oracle/tree.rs"]
mod slow;

use rlkd::align::{Alignment, Mode, Options};
use rlkd::trace::{Span, Step, StepKind, StepList};

/// Most steps of a list and most teachers: the slow kernel tries every path and every alignment.
const STEPS: usize = 5;
const TEACHERS: usize = 4;

/// One step for each byte: its question and its answer are letters.
fn list(bytes: &[u8]) -> StepList {
    let mut list = StepList::default();
    for byte in bytes.iter().take(STEPS) {
        let mut part = |letter: u8| {
            let start = list.text.len();
            if letter < 3 {
                list.text.push(char::from(b'a' + letter));
            }
            Span::new(start, list.text.len())
        };
        let (sub_problem, answer) = (part(byte & 3), part(byte >> 2 & 3));
        let kind = if byte >> 4 == 15 { StepKind::Verify } else { StepKind::Progress };
        list.steps.push(Step { sub_problem, answer, kind, ..Step::default() });
    }
    list
}

/// The first two bytes are the options and the judge; line feeds part the lists, of which the last is the student.
pub fn check(bytes: &[u8]) {
    let [first, second, rest @ ..] = bytes else { return };
    let options = Options {
        extra_cost: f32::from(*first) / 255.0,
        half_credit: f32::from(*second & 0x7f) / 127.0,
        soft: false,
    };
    let judge: slow::Judge = if second & 0x80 == 0 { slow::exact } else { slow::near };
    let mut lists: Vec<StepList> = rest.split(|byte| *byte == b'\n').take(TEACHERS + 1).map(list).collect();
    let Some(student) = lists.pop() else { return };
    let tree = slow::grow(options, &lists, judge);
    slow::check(&tree, &lists);
    if let Some((last, before)) = lists.split_last() {
        let old = slow::grow(options, before, judge);
        let counts = |step: &Step| step.kind == StepKind::Progress && !step.span().is_empty();
        let joined =
            last.steps.iter().filter(|step| counts(step)).count() - (tree.nodes().len() - old.nodes().len());
        let most =
            slow::paths(&old, None).iter().map(|path| slow::most_joined(&old, path, last, judge)).max();
        assert_eq!(joined, most.unwrap_or(0), "another path takes more");
    }
    let found = slow::follow(options, &tree, &student, judge).map(|found| (found.teacher, found.alignment));
    assert_eq!(found, slow::best_branch(options, &tree, &student, judge));
    if let ([teacher], Some((_, found))) = (lists.as_slice(), found) {
        let expected = slow::ordered(options, teacher, &student, judge);
        assert_eq!(Some(found), expected.map(|one| Alignment { mode: Mode::Tree, ..one }));
    }
}
