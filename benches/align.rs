//! The kernel with recorded verdicts: planning both rounds and folding them. It first checks the totals
//! against the slow kernel (sizes up to 8) or a textbook table (above).
#[path = "../tests/oracle/align.rs"]
mod oracle;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rlkd::align::{Aligner, Mode, Next, Options};
use rlkd::judge::{Ask, Aspect, Reply, Verdict};
use rlkd::seed::Seed;
use rlkd::trace::{Span, Step, StepList};

fn steps(count: usize) -> StepList {
    let step = Step {
        meta: Span::new(0, 1),
        sub_problem: Span::new(1, 2),
        answer: Span::new(2, 3),
        ..Step::default()
    };
    StepList { text: "mqa".into(), steps: vec![step; count], ..StepList::default() }
}

/// What a judge says of two traces of one problem: mostly yes near the diagonal, seldom elsewhere.
fn verdict(ask: Ask) -> Verdict {
    let index = u64::from(ask.teacher) << 32 | u64::from(ask.student);
    let draw = Seed(1).stream(&format!("{:?}", ask.aspect), index).next_f64();
    let near = ask.teacher.abs_diff(ask.student) <= 1;
    let yes = match ask.aspect {
        Aspect::Answer => draw < 0.7,
        Aspect::MetaReasoning => draw < 0.95,
        Aspect::SubProblem => draw < if near { 0.8 } else { 0.05 },
    };
    if yes { Verdict { reply: Reply::Yes, probability: 0.9 } } else { Verdict::NO }
}

/// The longest common subsequence with credits, where a step may answer two in a row: the whole table, nothing clever.
fn table(options: Options, list: &StepList) -> f64 {
    let size = list.steps.len();
    let credit = |t: usize, s: usize| oracle::credit(options, list, list, (t as u32, s as u32), &verdict);
    let mut best = vec![vec![0.0; size + 1]; size + 1];
    for t in 0..size {
        for s in 0..size {
            let here = credit(t, s);
            let mut most = f64::max(best[t][s] + here, f64::max(best[t][s + 1], best[t + 1][s]));
            let before = if t > 0 { credit(t - 1, s) } else { 0.0 };
            if here > 0.0 && before > 0.0 {
                let (more, less) = (here.max(before), here.min(before));
                most = most.max(best[t - 1][s] + more + less * f64::from(options.half_credit) * more);
            }
            best[t + 1][s + 1] = most;
        }
    }
    best[size][size] / size as f64
}

/// The verdicts of each round.
fn record(aligner: &mut Aligner, list: &StepList) -> Vec<Vec<Verdict>> {
    let mut rounds = Vec::new();
    let mut next = aligner.start(list, list);
    while next == Next::Ask {
        let verdicts: Vec<Verdict> = aligner.asks().iter().map(|&ask| verdict(ask)).collect();
        next = aligner.answer(&verdicts).expect("one verdict for each ask");
        rounds.push(verdicts);
    }
    rounds
}

fn replay(aligner: &mut Aligner, list: &StepList, rounds: &[Vec<Verdict>]) -> f64 {
    let mut next = aligner.start(black_box(list), black_box(list));
    for verdicts in rounds {
        if next == Next::Ask {
            next = aligner.answer(verdicts).expect("one verdict for each ask");
        }
    }
    aligner.alignment().total
}

fn kernel(c: &mut Criterion) {
    let options = Options::default();
    let sizes = [8, 16, 32, 64, 128, 256];
    for mode in [Mode::Reference, Mode::Prefix, Mode::Ordered] {
        let mut aligner = Aligner::new(mode, options);
        for size in [1, 2, 4, 8] {
            let list = steps(size);
            let fast = oracle::run(&mut aligner, &list, &list, &verdict);
            if let Some(alignment) = fast {
                oracle::check_form(alignment, &list, &list);
            }
            // Equal up to the order of the operations.
            let extra = fast.map_or(0, |a| a.extra.len());
            let slow = oracle::total(mode, options, (&list, &list), &verdict, extra);
            let fast = fast.map(|a| a.total);
            let near = (fast.unwrap_or(0.0) - slow.unwrap_or(0.0)).abs() < 1e-12;
            assert!(near && fast.is_none() == slow.is_none(), "{mode:?} {size}: {fast:?} {slow:?}");
        }
    }
    let mut aligner = Aligner::new(Mode::Ordered, options);
    for size in sizes {
        let list = steps(size);
        let rounds = record(&mut aligner, &list);
        let (fast, slow) = (replay(&mut aligner, &list, &rounds), table(options, &list));
        assert!((fast - slow).abs() < 1e-9, "{size}: {fast} {slow}");
    }
    println!("all results match");

    for mode in [Mode::Ordered, Mode::Prefix, Mode::Reference] {
        let mut group = c.benchmark_group(format!("align/{mode:?}"));
        let mut aligner = Aligner::new(mode, options);
        for size in sizes {
            let list = steps(size);
            let rounds = record(&mut aligner, &list);
            group.throughput(Throughput::Elements((size * size) as u64));
            group.bench_function(BenchmarkId::from_parameter(format!("{size}x{size}")), |bench| {
                bench.iter(|| replay(&mut aligner, &list, &rounds))
            });
        }
    }
}

criterion_group!(benches, kernel);
criterion_main!(benches);
