//! The tree of ten traces of a problem: decomposed by the rules, judged by the lexical judge, merged; then students along
//! it, beside as many separate alignments. It first checks that the
//! tree of one teacher gives what the mode `ordered` gives.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rlkd::align::tree::{Tree, Walker};
use rlkd::align::{Aligner, Mode, Options};
use rlkd::decompose::rules::Rules;
use rlkd::judge::lexical::Lexical;
use rlkd::score::align_pair;
use rlkd::score::tree::{follow, join};
use rlkd::seed::Seed;
use rlkd::trace::{StepList, Trace};

/// Teachers of a problem.
const TEACHERS: usize = 10;

/// A trace of `steps` calculations, in words of the writer's own; one in four has a number of the writer's own, and in
/// between stands an aside: what traces of one problem have in common and what not.
fn trace(writer: u64, steps: usize) -> String {
    let mut draw = Seed(7).stream("trace", writer);
    let mut text = String::new();
    for step in 0..steps as u64 {
        let (boxes, each) = (3 + step, 4 + 2 * step);
        let own = draw.next_f64() < 0.25;
        let number = if own { each + 1 + draw.below(5) } else { each };
        let opening = draw.pick(&["So", "Then", "Next,", "Now", "After that,"]);
        let thing = draw.pick(&["rolls", "plums", "stamps"]);
        text += &format!(
            "{opening} shelf {step} has {boxes} boxes of {number} {thing} each, which is {boxes} * {number} = {} {thing}.\n\n",
            boxes * number
        );
        if draw.next_f64() < 0.2 {
            text += "Wait, let me check that again.\n\n";
        }
    }
    text
}

fn lists(steps: usize, writers: std::ops::Range<u64>) -> Vec<StepList> {
    let mut rules = Rules::new();
    writers.map(|writer| rules.steps("", &Trace::new(trace(writer, steps)))).collect()
}

fn grow(walker: &mut Walker, judge: &mut Lexical, teachers: &[StepList]) -> Tree {
    let mut tree = Tree::default();
    for teacher in teachers {
        join(walker, judge, "", &mut tree, teacher).expect("a judge that does not fail");
    }
    tree
}

fn trees(c: &mut Criterion) {
    let (mut walker, mut judge) = (Walker::default(), Lexical::default());
    let mut aligner = Aligner::new(Mode::Ordered, Options::default());
    let mut group = c.benchmark_group("tree");
    group.sample_size(20);
    for steps in [5, 20, 60] {
        let (teachers, students) = (lists(steps, 0..TEACHERS as u64), lists(steps, 100..108));
        let one = grow(&mut walker, &mut judge, &teachers[..1]);
        for student in &students {
            let tree = follow(&mut walker, &mut judge, "", &one, student).expect("judged").expect("scored");
            let pair = align_pair(&mut aligner, &mut judge, "", &teachers[0], student).expect("judged");
            assert_eq!(tree.alignment.total, pair.expect("scored").total);
        }
        let tree = grow(&mut walker, &mut judge, &teachers);
        println!(
            "{steps} steps: {} nodes of {} steps of {TEACHERS} teachers; all results match",
            tree.nodes().len(),
            teachers.iter().map(|list| list.steps.len()).sum::<usize>()
        );
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("build", steps), |bench| {
            bench.iter(|| grow(&mut walker, &mut judge, black_box(&teachers)))
        });
        group.throughput(Throughput::Elements(students.len() as u64));
        group.bench_function(BenchmarkId::new("follow", steps), |bench| {
            bench.iter(|| {
                let totals = students.iter().map(|student| {
                    let followed = follow(&mut walker, &mut judge, "", black_box(&tree), student);
                    followed.expect("judged").expect("scored").alignment.total
                });
                totals.sum::<f64>()
            })
        });
        group.bench_function(BenchmarkId::new("separate", steps), |bench| {
            bench.iter(|| {
                let totals = students.iter().map(|student| {
                    let one = teachers.iter().map(|teacher| {
                        let pair = align_pair(&mut aligner, &mut judge, "", black_box(teacher), student);
                        pair.expect("judged").expect("scored").total
                    });
                    one.fold(0.0, f64::max)
                });
                totals.sum::<f64>()
            })
        });
    }
}

criterion_group!(benches, trees);
criterion_main!(benches);
