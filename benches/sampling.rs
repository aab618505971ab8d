//! What it costs to choose a token, by the size of the vocabulary. It first checks the choices.
#[path = "../tests/oracle/sampling.rs"]
mod oracle;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use rlkd::llama::sample::{Sampler, Sampling, Scratch};
use rlkd::seed::{Seed, Stream};

/// What is measured: a name, the settings, the logits, the mask.
type Case<'a> = (&'a str, &'a Sampling, &'a [f32], Option<&'a [u32]>);

/// Logits such as language models give: a bell of unlikely tokens, and a few that stand out.
fn peaked(size: usize, stream: &mut Stream) -> Vec<f32> {
    let mut logits: Vec<f32> =
        (0..size).map(|_| ((0..12).map(|_| stream.next_f64()).sum::<f64>() - 6.0) as f32 * 2.5).collect();
    for height in 0..40 {
        logits[stream.below(size as u64) as usize] = 8.0 + height as f32 * 0.3;
    }
    logits
}

/// Logits such as random weights give: nearly even.
fn flat(size: usize, stream: &mut Stream) -> Vec<f32> {
    (0..size).map(|_| stream.next_f64() as f32).collect()
}

fn mask(size: usize, mut allows: impl FnMut(usize) -> bool) -> Vec<u32> {
    let mut mask = vec![0; size.div_ceil(32)];
    (0..size).filter(|token| allows(*token)).for_each(|token| mask[token / 32] |= 1 << (token % 32));
    mask
}

fn sampling(c: &mut Criterion) {
    let base = Sampling::default();
    let usual = Sampling { temperature: 0.7, top_p: 0.95, logprobs: true, ..base.clone() };
    let penalised = Sampling { repetition_penalty: 1.1, penalty_window: 256, ..Sampling::greedy() };
    let mut stream = Seed(5).stream("bench", 0);
    let mut group = c.benchmark_group("sampling");
    for size in [4096, 32_000, 151_936] {
        let logits = peaked(size, &mut stream);
        let flat = flat(size, &mut stream);
        let hundred: Vec<usize> = (0..100).map(|_| stream.below(size as u64) as usize).collect();
        let sparse = mask(size, |token| hundred.contains(&token));
        let dense = mask(size, |_| stream.below(10) > 0);
        let half = mask(size, |token| token < size / 2);
        let cases: [Case; 15] = [
            ("greedy", &Sampling::greedy(), &logits, None),
            ("greedy, sparse mask", &Sampling::greedy(), &logits, Some(&sparse)),
            ("greedy, dense mask", &Sampling::greedy(), &logits, Some(&dense)),
            ("greedy, half mask", &Sampling::greedy(), &logits, Some(&half)),
            ("greedy, penalties", &penalised, &logits, None),
            ("greedy, logprobs", &Sampling { logprobs: true, ..Sampling::greedy() }, &logits, None),
            ("temperature 1", &base, &logits, None),
            ("temperature 1, logprobs", &Sampling { logprobs: true, ..base.clone() }, &logits, None),
            ("top-k 50", &Sampling { top_k: 50, ..base.clone() }, &logits, None),
            ("min-p", &Sampling { min_p: 0.05, ..base.clone() }, &logits, None),
            ("temperature, top-p", &Sampling { logprobs: false, ..usual.clone() }, &logits, None),
            ("temperature, top-p, logprobs", &usual, &logits, None),
            ("temperature, top-p, logprobs, sparse mask", &usual, &logits, Some(&sparse)),
            ("temperature, top-p, logprobs, dense mask", &usual, &logits, Some(&dense)),
            ("temperature, top-p, logprobs, flat logits", &usual, &flat, None),
        ];
        let mut scratch = Scratch::default();
        for (name, sampling, logits, mask) in cases {
            let mut sampler = Sampler::new(sampling, Seed(1).stream("bench", 1));
            let before: Vec<u32> = (0..300).map(|at| at * at % 4096).collect();
            before.iter().for_each(|token| sampler.accept(*token));
            let adjusted = oracle::adjusted(logits, mask, &before, sampling);
            let choice = sampler.sample_with(&mut scratch, logits, mask, &[]).expect("a choice");
            if sampling.temperature == 0.0 {
                assert_eq!(choice.token as usize, oracle::greedy(&adjusted), "{name}");
            } else {
                let p = oracle::distribution(&adjusted, sampling).probabilities[choice.token as usize];
                // The cut of flat logits is a matter of rounding, by a token or so of 10,000.
                assert!((f64::from(choice.logprob) - p.ln()).abs() < 1e-4, "{name}: {choice:?} {}", p.ln());
            }
            group.bench_function(BenchmarkId::new(name, size), |bench| {
                bench.iter(|| sampler.sample_with(&mut scratch, black_box(logits), black_box(mask), &[]))
            });
        }
    }
    println!("all results match");
}

criterion_group!(benches, sampling);
criterion_main!(benches);
