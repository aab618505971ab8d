//! The kernel and the string metrics allocate nothing once they are warm. Alone in its test program,
//! because the allocator counts for the whole of it.
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use rlkd::align::{Aligner, Mode, Next, Options};
use rlkd::judge::Verdict;
use rlkd::text::similarity::{Pattern, Scratch, Tokens};
use rlkd::trace::{Span, Step, StepList};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system allocator unchanged; counting touches only a thread-local integer
// without a destructor, which neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the pointer came from `System` with this layout.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

fn steps(count: usize) -> StepList {
    let step = Step {
        meta: Span::new(0, 1),
        sub_problem: Span::new(1, 2),
        answer: Span::new(2, 3),
        ..Step::default()
    };
    StepList { text: "mqa".into(), steps: vec![step; count], ..StepList::default() }
}

fn align(aligner: &mut Aligner, teacher: &StepList, student: &StepList, verdicts: &[Verdict]) -> f64 {
    let mut next = aligner.start(teacher, student);
    while next == Next::Ask {
        let count = aligner.asks().len();
        next = aligner.answer(&verdicts[..count]).expect("as many verdicts as asks");
    }
    aligner.alignment().total
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![1u8]))), 1);
}

#[test]
fn a_warm_kernel_allocates_nothing() {
    let sizes: Vec<StepList> = (0..=24).map(steps).collect();
    let all_yes = vec![Verdict::YES; 24 * 24];
    let mixed: Vec<Verdict> =
        (0..24 * 24).map(|i| if i % 3 == 0 { Verdict::YES } else { Verdict::NO }).collect();
    for mode in [Mode::Reference, Mode::Prefix, Mode::Ordered] {
        let mut aligner = Aligner::new(mode, Options::default());
        // The largest pair with the most pairs, and with the fewest, is what warms it up.
        for verdicts in [&all_yes, &vec![Verdict::NO; 24 * 24]] {
            align(&mut aligner, &sizes[24], &sizes[24], verdicts);
        }
        let mut sum = 0.0;
        let count = allocations(|| {
            for teacher in &sizes {
                for student in &sizes {
                    sum += align(&mut aligner, teacher, student, &all_yes);
                    sum += align(&mut aligner, teacher, student, &mixed);
                }
            }
        });
        assert!(sum > 0.0);
        assert_eq!(count, 0, "{mode:?}");
    }
}

#[test]
fn warm_string_metrics_allocate_nothing() {
    let long = "how many eggs are left after breakfast? ".repeat(12);
    let texts = ["how many eggs", "wie viele Äpfel sind übrig", &long, ""];
    let tokens: Vec<Tokens> = texts.iter().map(|text| Tokens::new(text)).collect();
    let patterns: Vec<Pattern> = texts.iter().map(|text| Pattern::new(text)).collect();
    let mut scratch = Scratch::default();
    let mut all = || {
        let mut sum = 0.0;
        for i in 0..texts.len() {
            for j in 0..texts.len() {
                sum += patterns[i].indel_similarity(texts[j], &mut scratch);
                sum += patterns[i].levenshtein_similarity(texts[j], &mut scratch);
                sum += tokens[i].sort_ratio(&tokens[j], &mut scratch);
                sum += tokens[i].set_ratio(&tokens[j], &mut scratch);
            }
        }
        sum
    };
    let cold = all();
    let mut warm = 0.0;
    assert_eq!(allocations(|| warm = all()), 0);
    assert_eq!(cold, warm);
}

#[cfg(feature = "llama")]
#[test]
fn a_warm_sampler_allocates_nothing() {
    use rlkd::llama::sample::{Sampler, Sampling, Scratch};
    use rlkd::seed::Seed;

    let base = Sampling { logprobs: true, ..Sampling::default() };
    let settings = [
        Sampling { repetition_penalty: 1.2, penalty_window: 64, ..Sampling::greedy() },
        base.clone(),
        Sampling { top_k: 40, top_p: 0.9, ..base.clone() },
        Sampling { top_p: 0.95, min_p: 0.01, presence_penalty: 0.5, penalty_window: 64, ..base.clone() },
        Sampling { min_p: 0.1, logit_bias: [(7, 3.0), (5, -1.0)].into(), ..base },
    ];
    let mut stream = Seed(2).stream("logits", 0);
    let mut logits = || -> Vec<f32> { (0..5000).map(|_| stream.next_f64() as f32 * 9.0).collect() };
    let flat = vec![0.0; 5000];
    let varied: Vec<Vec<f32>> = (0..100).map(|_| logits()).collect();
    let mask = vec![0xf0f0_ffff_u32; 157];
    for sampling in settings {
        let mut sampler = Sampler::new(&sampling, Seed(1).stream("allocation", 0));
        let mut scratch = Scratch::default();
        let mut turn = |logits: &[f32], mask| {
            let choice = sampler.sample_with(&mut scratch, logits, mask, &[]).expect("a choice");
            sampler.accept(choice.token);
        };
        // Even logits leave the most candidates; a full window of different tokens the most counts.
        turn(&flat, None);
        varied.iter().for_each(|logits| turn(logits, None));
        let count = allocations(|| {
            for logits in &varied {
                turn(logits, None);
                turn(logits, Some(&mask));
            }
        });
        assert_eq!(count, 0, "{sampling:?}");
    }
}
