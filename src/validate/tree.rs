//! `tree`: does the tree of several teachers rank better than one teacher?
//!
//! `gsm8k_ai_subq.jsonl` holds decompositions of problems by several question generators, `gsm8k_traces.jsonl` traces of many
//! models on the same problems. A decomposition is a teacher if its final answer is right and it has at least two steps;
//! as in the suite `ranking`, the last one is left out, and the student's if that scores higher, so that the final answer cannot decide. A problem takes part if
//! it has at least eight teachers. They are put in an order by [`Seed`] 0, `validate/tree` and the problem's number, and the
//! first 1, 2, 4 and 8 of them are the teachers of the four sizes: so all sizes are measured on the same problems and the
//! same students, and the smaller groups are part of the larger. What one teacher is worth depends on which it is, so the
//! same is done with the seeds up to 7, and the figures are means over the eight draws.
//!
//! Beside the tree stands the best of as many separate alignments. No figure is fitted here, but the rules of the tree
//! were chosen on the problems whose number does not divide by 3, so the figures are those of the others.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::ranking::{GoldStep, TRACES, TraceRecord, ends_right, is_held_out, teacher_steps, without_last};
use super::shown::{Bar, Plot, Table, cell};
use super::{Suite, SuiteReport, records};
use crate::align::tree::{Tree, Walker};
use crate::align::{Aligner, Mode};
use crate::decompose::rules::Rules;
use crate::error::{Error, Result};
use crate::judge::calibrate::auc;
use crate::judge::lexical::Lexical;
use crate::score::tree::{follow, join};
use crate::score::{Settings, align_pair};
use crate::seed::Seed;
use crate::trace::{StepList, Trace};

const DECOMPOSITIONS: &str = "gsm8k_ai_subq.jsonl";

/// The suite.
pub const SUITE: Suite = Suite {
    name: "tree",
    summary: "ranking by the tree of 1, 2, 4 and 8 teachers, final step excluded (rules + lexical)",
    // And the traces of `ranking`; where these stand alone, `all` has to leave this suite out.
    files: &[DECOMPOSITIONS],
    // Several teachers have to be worth more than one.
    bars: &[Bar::at_least("gain_within_8", 0.01)],
    run,
};

/// The numbers of teachers, ascending.
const SIZES: [usize; 4] = [1, 2, 4, 8];

/// A decomposition; some lack their problem's number or what became of their answer.
#[derive(Deserialize)]
struct Decomposition {
    gsm8k_test_id: Option<u64>,
    steps: Vec<GoldStep>,
    final_correct: Option<bool>,
}

/// A student trace with its score at each size.
struct Row {
    problem: u64,
    right: bool,
    tree: [f64; SIZES.len()],
    /// Best of separate alignments.
    separate: [f64; SIZES.len()],
}

/// Which of a row's scores is meant.
type Score<'a> = &'a dyn Fn(&Row) -> f64;

/// An area under the ROC curve over some rows.
type Auc = fn(&[&Row], Score<'_>) -> f64;

/// Draws of the teachers.
const DRAWS: u64 = 8;

/// What a draw came to.
#[derive(Default)]
struct Draw {
    rows: Vec<Row>,
    /// Nodes of the trees of each size, and steps of their teachers, summed over the problems.
    sizes: [[usize; 2]; SIZES.len()],
}

/// The students of a problem: its statement, and for each whether it ends right, and its steps, all and without the last.
type Students = (String, Vec<(bool, [StepList; 2])>);

/// The teachers of each problem that has enough of them.
fn teachers(data: &Path) -> Result<BTreeMap<u64, Vec<StepList>>> {
    let mut teachers: BTreeMap<u64, Vec<StepList>> = BTreeMap::new();
    for (_, record) in records::read::<Decomposition>(&data.join(DECOMPOSITIONS))? {
        if let (Some(problem), Some(true), [steps @ .., _]) =
            (record.gsm8k_test_id, record.final_correct, record.steps.as_slice())
            && !steps.is_empty()
        {
            teachers.entry(problem).or_default().push(teacher_steps(steps));
        }
    }
    teachers.retain(|_, lists| lists.len() >= SIZES[SIZES.len() - 1]);
    Ok(teachers)
}

fn run(data: &Path, _: &Settings) -> Result<SuiteReport> {
    let teachers = teachers(data)?;
    let mut rules = Rules::new();
    let mut students: BTreeMap<u64, Students> = BTreeMap::new();
    for (_, record) in records::read::<TraceRecord>(&data.join(TRACES))? {
        let Some(right) = ends_right(&record).filter(|_| teachers.contains_key(&record.gsm8k_test_id)) else {
            continue;
        };
        let list = rules.steps(&record.question, &Trace::new(record.text));
        let of = students.entry(record.gsm8k_test_id).or_insert_with(|| (record.question, Vec::new()));
        let without = without_last(&list);
        of.1.push((right, [list, without]));
    }
    let draws =
        (0..DRAWS).map(|seed| draw(Seed(seed), &teachers, &students)).collect::<Result<Vec<Draw>>>()?;
    Ok(report(&draws, students.len()))
}

fn draw(
    seed: Seed,
    teachers: &BTreeMap<u64, Vec<StepList>>,
    students: &BTreeMap<u64, Students>,
) -> Result<Draw> {
    let (mut aligner, mut walker) = (Aligner::new(Mode::Ordered, Default::default()), Walker::default());
    let mut judge = Lexical::default();
    let mut draw = Draw::default();
    for (&problem, (question, students)) in students {
        let first = draw.rows.len();
        let row = |right| Row { problem, right, tree: [0.0; SIZES.len()], separate: [0.0; SIZES.len()] };
        draw.rows.extend(students.iter().map(|(right, _)| row(*right)));
        let (rows, mut tree, mut steps) = (&mut draw.rows[first..], Tree::default(), 0);
        let mut best = vec![0.0f64; students.len()];
        let mut lists: Vec<&StepList> = teachers.get(&problem).into_iter().flatten().collect();
        seed.stream("validate/tree", problem).shuffle(&mut lists);
        lists.truncate(SIZES[SIZES.len() - 1]);
        for (count, teacher) in (1..).zip(lists) {
            join(&mut walker, &mut judge, question, &mut tree, teacher)?;
            steps += teacher.steps.len();
            for ((_, lists), best) in students.iter().zip(&mut best) {
                for student in lists {
                    let structure = align_pair(&mut aligner, &mut judge, question, teacher, student)?;
                    *best = best.max(structure.map_err(|why| Error::engine(why.0))?.total);
                }
            }
            let Some(size) = SIZES.iter().position(|size| *size == count) else { continue };
            draw.sizes[size][0] += tree.nodes().len();
            draw.sizes[size][1] += steps;
            for (((_, lists), row), best) in students.iter().zip(rows.iter_mut()).zip(&best) {
                for student in lists {
                    let followed = follow(&mut walker, &mut judge, question, &tree, student)?;
                    let total = followed.map_err(|why| Error::engine(why.0))?.alignment.total;
                    row.tree[size] = row.tree[size].max(total);
                }
                row.separate[size] = *best;
            }
        }
    }
    Ok(draw)
}

fn report(draws: &[Draw], problems: usize) -> SuiteReport {
    let rows = draws.first().map_or(&[][..], |draw| &draw.rows);
    let mut report = SuiteReport { suite: "tree", n: rows.len(), ..SuiteReport::default() };
    report.notes.push(format!(
        "{problems} problems with {} traces, {} of them right; {} traces are of problems that are held out",
        rows.len(),
        rows.iter().filter(|row| row.right).count(),
        rows.iter().filter(|row| is_held_out(row.problem)).count()
    ));
    report.notes.push(format!(
        "means of {DRAWS} draws of the teachers; within: pairs of a right and a wrong trace of one problem; \
         separate: the best of as many alignments"
    ));
    let title = "AUC on the held-out problems, and on those on which the rules were chosen";
    let head =
        ["teachers", "nodes", "steps", "within", "least", "most", "separate", "all", "separate", "chosen on"];
    let mut table = Table::new(title, head);
    let mut lines: [(&str, Vec<(f64, f64)>); 3] =
        [("tree", vec![]), ("separate", vec![]), ("tree, all pairs", vec![])];
    let mut one_teacher = f64::NAN;
    for (at, size) in SIZES.iter().enumerate() {
        // By draw.
        let figure = |of: Auc, held_out: bool, score: Score<'_>| {
            let one = |draw: &Draw| {
                let rows: Vec<&Row> =
                    draw.rows.iter().filter(|row| is_held_out(row.problem) == held_out).collect();
                of(&rows, score)
            };
            draws.iter().map(one).collect::<Vec<f64>>()
        };
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let per_problem = |which: usize| {
            mean(&draws.iter().map(|draw| draw.sizes[at][which] as f64).collect::<Vec<_>>()) / problems as f64
        };
        let tree = |row: &Row| row.tree[at];
        let separate = |row: &Row| row.separate[at];
        let spread = figure(within, true, &tree);
        let figures = [
            ("auc_within", mean(&spread)),
            ("auc_within_least", spread.iter().copied().fold(f64::INFINITY, f64::min)),
            ("auc_within_most", spread.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
            ("auc_within_separate", mean(&figure(within, true, &separate))),
            ("auc_all", mean(&figure(all, true, &tree))),
            ("auc_all_separate", mean(&figure(all, true, &separate))),
            ("auc_within_chosen_on", mean(&figure(within, false, &tree))),
            ("auc_within_separate_chosen_on", mean(&figure(within, false, &separate))),
            ("auc_all_chosen_on", mean(&figure(all, false, &tree))),
            ("auc_all_separate_chosen_on", mean(&figure(all, false, &separate))),
        ];
        let (nodes, steps) = (per_problem(0), per_problem(1));
        for (name, value) in figures.into_iter().chain([("nodes", nodes), ("steps", steps)]) {
            report.figure(format!("{name}_{size}"), value);
        }
        let value = |at: usize| figures[at].1;
        if *size == 1 {
            one_teacher = value(0);
        }
        report.figure(format!("gain_within_{size}"), value(0) - one_teacher);
        for ((_, points), at) in lines.iter_mut().zip([0, 3, 4]) {
            points.push((*size as f64, value(at)));
        }
        let shown = |at: usize| cell(value(at), 3);
        table.row([
            size.to_string(),
            cell(nodes, 1),
            cell(steps, 1),
            shown(0),
            shown(1),
            shown(2),
            shown(3),
            shown(4),
            shown(5),
            shown(6),
        ]);
    }
    report.tables.push(table);
    let lines = lines.into_iter().map(|(name, points)| (name.to_owned(), points)).collect();
    report.plots.push(Plot::lines(
        "AUC by the number of teachers, held-out problems",
        "teachers",
        "AUC",
        lines,
    ));
    report
}

fn all(rows: &[&Row], score: Score<'_>) -> f64 {
    let scores: Vec<f64> = rows.iter().map(|row| score(row)).collect();
    let labels: Vec<bool> = rows.iter().map(|row| row.right).collect();
    auc(&scores, &labels)
}

/// Over all pairs of a right and a wrong trace of one problem: the share in which the right one scores more.
fn within(rows: &[&Row], score: Score<'_>) -> f64 {
    let (mut wins, mut pairs) = (0.0, 0.0);
    for rows in rows.chunk_by(|one, next| one.problem == next.problem) {
        let right = rows.iter().filter(|row| row.right).count();
        let here = (right * (rows.len() - right)) as f64;
        if here > 0.0 {
            wins += all(rows, score) * here;
            pairs += here;
        }
    }
    wins / pairs
}
