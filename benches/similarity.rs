//! What one comparison of two strings costs, with one side prepared. It first checks the values.
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use rlkd::text::similarity::{Pattern, Scratch, Tokens, ratio, token_set_ratio};

fn similarity(c: &mut Criterion) {
    let a = "How many eggs does the farmer sell at the market every day?";
    let b = "How much money does she make at the farmers' market a day??";
    assert_eq!((a.len(), b.len()), (59, 59));
    let long_a = a.repeat(3);
    let long_b = b.repeat(3);
    let accented = b.replace('a', "á");
    let mut scratch = Scratch::default();
    for (left, right) in [(a, b), (&*long_a, &*long_b), (a, &*accented)] {
        let pattern = Pattern::new(left);
        assert_eq!(pattern.levenshtein(right, &mut scratch), strsim::levenshtein(left, right));
        let swapped = Pattern::new(right);
        assert_eq!(pattern.lcs(right, &mut scratch), swapped.lcs(left, &mut scratch));
    }
    println!("all results match");

    let pattern = Pattern::new(a);
    c.bench_function("ratio/59x59/prepared", |bench| {
        bench.iter(|| pattern.indel_similarity(black_box(b), &mut scratch))
    });
    c.bench_function("ratio/59x59/accented", |bench| {
        bench.iter(|| pattern.indel_similarity(black_box(&accented), &mut scratch))
    });
    c.bench_function("ratio/59x59/unprepared", |bench| bench.iter(|| ratio(black_box(a), black_box(b))));
    c.bench_function("levenshtein/59x59/prepared", |bench| {
        bench.iter(|| pattern.levenshtein_similarity(black_box(b), &mut scratch))
    });
    c.bench_function("levenshtein/59x59/strsim", |bench| {
        bench.iter(|| strsim::levenshtein(black_box(a), black_box(b)))
    });
    let long = Pattern::new(&long_a);
    c.bench_function("ratio/177x177/prepared", |bench| {
        bench.iter(|| long.indel_similarity(black_box(&long_b), &mut scratch))
    });
    let (left, right) = (Tokens::new(a), Tokens::new(b));
    c.bench_function("token_set_ratio/59x59/prepared", |bench| {
        bench.iter(|| left.set_ratio(black_box(&right), &mut scratch))
    });
    c.bench_function("token_set_ratio/59x59/unprepared", |bench| {
        bench.iter(|| token_set_ratio(black_box(a), black_box(b)))
    });
}

criterion_group!(benches, similarity);
criterion_main!(benches);
