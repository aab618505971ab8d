//! A whole score: a reasoning trace of 8,000 characters and its teacher's, by the rules, the lexical judge and `ordered`, as
//! `rlkd score` does it for one sample. It first checks that every step of the teacher is found.

use std::fmt::Write;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rlkd::score::{Detail, Scorer, Settings};
use rlkd::trace::{Sample, Trace};

/// The length of the student's trace, in characters.
const LENGTH: usize = 8_000;
const STEPS: u64 = 6;

/// What a step computes: shelves with boxes, then their sum so far.
fn calculation(step: u64) -> (u64, u64, u64) {
    let (boxes, each) = (3 + step, 7 + 2 * step);
    (boxes, each, boxes * each)
}

fn teacher() -> String {
    (0..STEPS).fold(String::new(), |mut text, step| {
        let (boxes, each, all) = calculation(step);
        let _ = write!(
            text,
            "Shelf {step} has {boxes} boxes of {each} rolls, so it holds {boxes} * {each} = {all} rolls.\n\n"
        );
        text
    })
}

/// As a model thinks: plans, the calculation in its own words, doubts, checks, and then all of it once more.
fn student() -> String {
    let mut text = String::from("<think>\nOkay, let me try to understand what is asked here.\n\n");
    let mut round = 0;
    while text.len() < LENGTH {
        let (boxes, each, all) = calculation(round % STEPS);
        let _ = write!(
            text,
            "Hmm, so next I need the rolls on shelf {}. There are {boxes} boxes on it, and in each of them {each} rolls, if I \
             read that right. So that is {each} times {boxes}, which is {all}.\n\nWait, let me check that: {all} / {boxes} = \
             {each}. Yes, that seems right.\n\n",
            round % STEPS
        );
        round += 1;
    }
    text.truncate(LENGTH);
    text + "\n</think>\nThat is all."
}

fn score(c: &mut Criterion) {
    let mut settings = Settings { detail: Detail::Score, ..Settings::default() };
    settings.mix.weights = [("structure".to_owned(), 1.0)].into();
    let mut scorer = Scorer::new(&settings).expect("the defaults");
    let sample = Sample {
        problem: "There are 6 shelves with boxes of rolls. How many rolls are on each?".into(),
        teachers: vec![Trace::new(teacher())],
        students: vec![Trace::new(student())],
        ..Sample::default()
    };
    let found = scorer.score(&sample).expect("scored");
    let structure = found[0].structure.as_ref().expect("aligned");
    assert_eq!((structure.alignment.pairs.len(), structure.alignment.skipped.len()), (STEPS as usize, 0));
    println!("{} characters, total {}", sample.students[0].text.len(), structure.alignment.total);
    let mut group = c.benchmark_group("score");
    group.throughput(Throughput::Bytes(sample.students[0].text.len() as u64));
    group.bench_function("rules_lexical_ordered", |bench| bench.iter(|| scorer.score(black_box(&sample))));
    group.finish();
}

criterion_group!(benches, score);
criterion_main!(benches);
