//! The lexical judge on labelled pairs of steps, in the grids in which they come: every problem's teacher steps
//! against the steps of the others.
//!
//! Reads `matcher_pairs.jsonl` from the folder `RLKD_DATA`, else from `../shared/data`; without it, pairs all steps of
//! each problem of `examples/`. With `RLKD_FEATURES=FILE` it writes the features of every pair for
//! `benches/peers/lexical_rapidfuzz.py`, which checks them against its own before it is timed.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::Write;
use std::path::PathBuf;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rlkd::dataset::{Mapping, Source, parse};
use rlkd::decompose::{Auto, Decomposer, Job};
use rlkd::judge::calibrate::LabelledPair;
use rlkd::judge::features::StepText;
use rlkd::judge::lexical::{Lexical, Model};
use rlkd::judge::{Ask, Aspect, Judge, Round, Verdict};
use rlkd::text::similarity::Scratch;
use rlkd::trace::{Span, Step, StepList};
use rlkd::validate::matcher::read_pairs;

/// The steps of one problem, and which of them are compared.
struct Grid {
    teacher: StepList,
    student: StepList,
    asks: Vec<Ask>,
}

fn pairs() -> Option<Vec<LabelledPair>> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = std::env::var_os("RLKD_DATA").map_or_else(|| root.join("../shared/data"), PathBuf::from);
    read_pairs(&folder.join("matcher_pairs.jsonl")).ok()
}

/// Adds a step unless it is there, and says where it is.
fn place(
    list: &mut StepList,
    known: &mut BTreeMap<(String, String), u32>,
    question: &str,
    answer: &str,
) -> u32 {
    *known.entry((question.into(), answer.into())).or_insert_with(|| {
        let start = list.text.len();
        list.text.push_str(question);
        let middle = list.text.len();
        list.text.push_str(answer);
        let end = list.text.len();
        list.steps.push(Step {
            meta: Span::empty_at(start),
            sub_problem: Span::new(start, middle),
            answer: Span::new(middle, end),
            ..Step::default()
        });
        list.steps.len() as u32 - 1
    })
}

fn grids_of_pairs(pairs: &[LabelledPair]) -> Vec<Grid> {
    let mut by_problem: BTreeMap<u64, Vec<&LabelledPair>> = BTreeMap::new();
    for pair in pairs {
        by_problem.entry(pair.problem).or_default().push(pair);
    }
    let grid = |pairs: Vec<&LabelledPair>| {
        let (mut teacher, mut student) = (StepList::default(), StepList::default());
        let (mut teachers, mut students) = (BTreeMap::new(), BTreeMap::new());
        let asks = pairs
            .iter()
            .map(|pair| Ask {
                aspect: Aspect::SubProblem,
                teacher: place(&mut teacher, &mut teachers, &pair.teacher.0, &pair.teacher.1),
                student: place(&mut student, &mut students, &pair.student.0, &pair.student.1),
            })
            .collect();
        Grid { teacher, student, asks }
    };
    by_problem.into_values().map(grid).collect()
}

fn grids_of_examples() -> Vec<Grid> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/problems.jsonl");
    let mut grids = Vec::new();
    for record in Source::open(&[path]).expect("the examples are there") {
        let sample = parse(&record.expect("read"), &Mapping::default()).expect("a sample");
        let steps = |trace| {
            let job = Job { problem: &sample.problem, domain: sample.domain, trace };
            Auto::default().decompose(&[job]).remove(0).expect("steps")
        };
        for (teacher, student) in
            sample.teachers.iter().flat_map(|t| sample.students.iter().map(move |s| (t, s)))
        {
            let (teacher, student) = (steps(teacher), steps(student));
            let sizes = (teacher.steps.len() as u32, student.steps.len() as u32);
            let ask = |i, j| Ask { aspect: Aspect::SubProblem, teacher: i, student: j };
            let asks = (0..sizes.0).flat_map(|i| (0..sizes.1).map(move |j| ask(i, j))).collect();
            grids.push(Grid { teacher, student, asks });
        }
    }
    grids
}

/// Writes the features of every pair, results masked, one JSON list a line.
fn dump(pairs: &[LabelledPair], path: &str) {
    let model = Model::embedded();
    let (mut left, mut right) = (StepText::default(), StepText::default());
    let (mut buffer, mut scratch) = (String::new(), Scratch::default());
    let mut out = std::io::BufWriter::new(std::fs::File::create(path).expect("create"));
    for pair in pairs {
        for (side, (question, answer, result)) in [(&mut left, &pair.teacher), (&mut right, &pair.student)] {
            side.read(question, answer, model.words(), &mut buffer);
            side.set_result(*result);
        }
        writeln!(out, "{:?}", left.compare(&right, &mut scratch)).expect("write");
    }
}

fn judging(criterion: &mut Criterion) {
    let pairs = pairs();
    if let (Some(pairs), Ok(path)) = (&pairs, std::env::var("RLKD_FEATURES")) {
        dump(pairs, &path);
    }
    let grids = pairs.as_deref().map_or_else(grids_of_examples, grids_of_pairs);
    let count: usize = grids.iter().map(|grid| grid.asks.len()).sum();
    println!("{} pairs in {} grids", count, grids.len());
    let mut judge = Lexical::default();
    let mut verdicts: Vec<Verdict> = Vec::new();
    let mut group = criterion.benchmark_group("lexical");
    group.throughput(Throughput::Elements(count as u64)).sample_size(20);
    group.bench_function("grids", |bench| {
        bench.iter(|| {
            for grid in &grids {
                let Grid { teacher, student, asks } = grid;
                let round = Round { problem: "", teacher, student, asks, verdicts: &mut verdicts };
                judge.judge(&mut [round]).expect("judged");
                black_box(&verdicts);
            }
        });
    });
    if let Some(pairs) = &pairs {
        // Nothing shared between pairs: both steps are read for each.
        let model = Model::embedded();
        let (mut left, mut right) = (StepText::default(), StepText::default());
        let (mut buffer, mut scratch) = (String::new(), Scratch::default());
        group.bench_function("single pairs", |bench| {
            bench.iter(|| {
                for pair in pairs {
                    for (side, (question, answer, result)) in
                        [(&mut left, &pair.teacher), (&mut right, &pair.student)]
                    {
                        side.read(question, answer, model.words(), &mut buffer);
                        side.set_result(*result);
                    }
                    black_box(model.same_sub_problem(&left.compare(&right, &mut scratch)));
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, judging);
criterion_main!(benches);
