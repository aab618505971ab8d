//! Causal attention of grouped queries, within each of several texts that lie one behind the other, and over the text that
//! they begin with, if they share one.
//!
//! Scores are computed for a block of positions at a time and never kept: memory grows with the length of a text, not
//! with its square (Dao et al., 2022). A text and a head of keys are one task; what it reads is copied first, so that
//! its products run over neighbouring numbers.

use std::sync::Arc;

use rayon::prelude::*;

use super::buffer::Buffer;
use super::gemm::{Matrix, MatrixMut, Precision};
use super::{by_rows, dot};
use crate::math::exp;

/// Texts times heads of keys whose gradients are there at a time: enough for many threads.
const WAVE: usize = 32;
/// Rows of scores that are computed at a time.
pub const BLOCK: usize = 128;

/// The heads of a row: those of queries, then of keys, then of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Heads of queries; a multiple of `keys`.
    pub queries: usize,
    /// Heads of keys, and of values. Neighbouring heads of queries share one.
    pub keys: usize,
    /// Numbers of a head.
    pub size: usize,
}

impl Heads {
    /// Numbers of a row.
    pub fn width(&self) -> usize {
        (self.queries + 2 * self.keys) * self.size
    }

    /// Numbers of a row of the output.
    pub fn out(&self) -> usize {
        self.queries * self.size
    }

    /// Heads of queries that share a head of keys.
    fn group(&self) -> usize {
        self.queries / self.keys
    }

    /// Where in a row the queries of a head of keys begin, its keys, and its values.
    fn places(&self, head: usize) -> [usize; 3] {
        let keys = self.queries + head;
        [head * self.group() * self.size, keys * self.size, (keys + self.keys) * self.size]
    }

    /// Positions whose rows make a block.
    fn step(&self) -> usize {
        (BLOCK / self.group()).max(1)
    }
}

/// A text among the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Its first row.
    pub first: usize,
    /// Its rows.
    pub length: usize,
    /// The first row of the text that it goes on from, which lies before it, and how many rows of that it sees: all of its
    /// own rows see all of them. (0, 0) for a text that begins by itself.
    pub prefix: (usize, usize),
}

/// Texts that begin by themselves; `starts` are their first rows, ascending from 0, and the number of all rows.
pub fn spans(starts: &[usize]) -> Arc<[Span]> {
    let span = |pair: &[usize]| Span { first: pair[0], length: pair[1] - pair[0], prefix: (0, 0) };
    starts.windows(2).map(span).collect()
}

/// One text and one head of keys.
struct Task {
    span: Span,
    head: usize,
}

/// Every text with every head.
fn tasks(heads: Heads, texts: &[Span]) -> Vec<Task> {
    texts.iter().flat_map(|&span| (0..heads.keys).map(move |head| Task { span, head })).collect()
}

impl Task {
    /// Copies `width` numbers of each of the text's rows from `from` on.
    fn gather(&self, rows: &[f32], row: usize, from: usize, width: usize) -> Buffer {
        gather(&[(self.span.first, self.span.length)], rows, row, from, width)
    }

    /// The same of the rows that it sees: those before it, and its own.
    fn gather_seen(&self, rows: &[f32], row: usize, from: usize, width: usize) -> Buffer {
        gather(&[self.span.prefix, (self.span.first, self.span.length)], rows, row, from, width)
    }

    /// Rows that it sees.
    fn seen(&self) -> usize {
        self.span.prefix.1 + self.span.length
    }

    /// First row of each block, its rows, and the keys that its last row sees.
    fn blocks(&self, heads: Heads) -> impl Iterator<Item = (usize, usize, usize)> {
        let Span { length, prefix: (_, before), .. } = self.span;
        let (step, group) = (heads.step(), heads.group());
        (0..length).step_by(step).map(move |from| {
            let to = (from + step).min(length);
            (from * group, (to - from) * group, before + to)
        })
    }

    /// How many keys a row of queries sees.
    fn visible(&self, row: usize, heads: Heads) -> usize {
        self.span.prefix.1 + row / heads.group() + 1
    }
}

/// Copies `width` numbers from `from` on of some rows: of each part, from a row on so many.
fn gather(parts: &[(usize, usize)], rows: &[f32], row: usize, from: usize, width: usize) -> Buffer {
    let count: usize = parts.iter().map(|(_, count)| count).sum();
    let mut all = Buffer::any(count * width);
    let wanted = parts.iter().flat_map(|&(first, count)| rows[first * row..].chunks_exact(row).take(count));
    for (to, row) in all.chunks_exact_mut(width).zip(wanted) {
        to.copy_from_slice(&row[from..from + width]);
    }
    all
}

/// Puts what was computed for each text and head back into rows, on all threads: `parts` gives of a head its numbers,
/// how many a row has, and where in the row they go.
fn scatter<'a, T: Sync + 'a, const N: usize>(
    rows: &mut [f32],
    row: usize,
    tasks: &'a [Task],
    done: &'a [T],
    parts: impl Fn(&'a T, &Task) -> [(&'a [f32], usize, usize); N] + Sync,
) {
    by_rows(rows, row, |first, rows| {
        let last = first + rows.len() / row;
        // Tasks are ordered by their first row.
        let end_of = |task: &Task| task.span.first + task.span.length;
        let from = tasks.partition_point(|task| end_of(task) <= first);
        let own = tasks[from..].iter().zip(&done[from..]).take_while(|(task, _)| task.span.first < last);
        for (task, done) in own {
            let (begin, end) = (task.span.first.max(first), end_of(task).min(last));
            for (own, width, place) in parts(done, task) {
                for at in begin..end {
                    let own = &own[(at - task.span.first) * width..][..width];
                    rows[(at - first) * row + place..][..width].copy_from_slice(own);
                }
            }
        }
    });
}

/// Puts the attention of every row into `out`, and the logarithm of the sum of each head's weights into `log_sums`
/// (`heads.queries` a row), which the way back needs.
pub fn forward(
    precision: Precision,
    x: &[f32],
    heads: Heads,
    texts: &[Span],
    out: &mut [f32],
    log_sums: &mut [f32],
) {
    let (size, group, width) = (heads.size, heads.group(), heads.width());
    let scale = 1.0 / (size as f32).sqrt();
    let tasks = tasks(heads, texts);
    let done: Vec<(Buffer, Buffer)> = tasks
        .par_iter()
        .map(|task| {
            let [q, k, v] = heads.places(task.head);
            let queries = task.gather(x, width, q, group * size);
            let keys = task.gather_seen(x, width, k, size);
            let values = task.gather_seen(x, width, v, size);
            let mut out = Buffer::any(queries.len());
            let mut log_sums = Buffer::any(task.span.length * group);
            let mut scores = Buffer::any(heads.step() * group * task.seen());
            for (first, rows, seen) in task.blocks(heads) {
                let scores = &mut scores[..rows * seen];
                let block = Matrix::new(&queries[first * size..], rows, size);
                let all = Matrix::new(&keys, seen, size);
                precision.product(MatrixMut::new(scores, rows, seen), block, all.transposed(), scale);
                for (row, scores) in scores.chunks_exact_mut(seen).enumerate() {
                    log_sums[first + row] = softmax(scores, task.visible(first + row, heads));
                }
                let weights = Matrix::new(scores, rows, seen);
                let to = MatrixMut::new(&mut out[first * size..], rows, size);
                precision.product(to, weights, Matrix::new(&values, seen, size), 1.0);
            }
            (out, log_sums)
        })
        .collect();
    scatter(out, heads.out(), &tasks, &done, |(out, _), task| {
        [(&**out, group * size, heads.places(task.head)[0])]
    });
    scatter(log_sums, heads.queries, &tasks, &done, |(_, sums), task| [(&**sums, group, task.head * group)]);
}

/// Makes weights that sum to 1 of the first `seen` scores and 0 of the others; returns the logarithm of their sum.
fn softmax(scores: &mut [f32], seen: usize) -> f32 {
    let (scores, hidden) = scores.split_at_mut(seen);
    hidden.fill(0.0);
    let mut most = f32::NEG_INFINITY;
    for score in &*scores {
        most = if *score > most { *score } else { most };
    }
    for score in &mut *scores {
        *score = exp(*score - most);
    }
    let sum = sum(scores);
    let share = 1.0 / sum;
    scores.iter_mut().for_each(|score| *score *= share);
    most + sum.ln()
}

/// The sum in sixteen lanes.
fn sum(numbers: &[f32]) -> f32 {
    let (parts, rest) = numbers.as_chunks::<16>();
    let mut lanes = [0.0f32; 16];
    for part in parts {
        for lane in 0..16 {
            lanes[lane] += part[lane];
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

/// Puts the gradient of `x` into `dx`, from the output and the sums of [`forward`], and the output's gradient.
pub fn backward(
    precision: Precision,
    x: &[f32],
    heads: Heads,
    texts: &[Span],
    (out, log_sums): (&[f32], &[f32]),
    dout: &[f32],
    dx: &mut [f32],
) {
    let (size, group, width) = (heads.size, heads.group(), heads.width());
    let scale = 1.0 / (size as f32).sqrt();
    // What each head's output and its gradient have in common.
    let mut common = Buffer::any(log_sums.len());
    by_rows(&mut common, 1, |first, common| {
        for (at, common) in common.iter_mut().enumerate() {
            let from = (first + at) * size;
            *common = dot(&out[from..from + size], &dout[from..from + size]);
        }
    });
    let tasks = tasks(heads, texts);
    let work = |task: &Task| -> [Buffer; 3] {
        let [q, k, v] = heads.places(task.head);
        let queries = task.gather(x, width, q, group * size);
        let keys = task.gather_seen(x, width, k, size);
        let values = task.gather_seen(x, width, v, size);
        let dout = task.gather(dout, heads.out(), q, group * size);
        let log_sums = task.gather(log_sums, heads.queries, task.head * group, group);
        let common = task.gather(&common, heads.queries, task.head * group, group);
        let mut gradients =
            [Buffer::any(queries.len()), Buffer::zeros(keys.len()), Buffer::zeros(values.len())];
        let [dqueries, dkeys, dvalues] = &mut gradients;
        let room = heads.step() * group * task.seen();
        let (mut weights, mut scores) = (Buffer::any(room), Buffer::any(room));
        for (first, rows, seen) in task.blocks(heads) {
            let (weights, scores) = (&mut weights[..rows * seen], &mut scores[..rows * seen]);
            let block = Matrix::new(&queries[first * size..], rows, size);
            let dblock = Matrix::new(&dout[first * size..], rows, size);
            let (all_keys, all_values) = (Matrix::new(&keys, seen, size), Matrix::new(&values, seen, size));
            precision.product(MatrixMut::new(weights, rows, seen), block, all_keys.transposed(), scale);
            precision.product(MatrixMut::new(scores, rows, seen), dblock, all_values.transposed(), 1.0);
            for row in 0..rows {
                let (at, visible) = (first + row, task.visible(first + row, heads));
                let weights = &mut weights[row * seen..(row + 1) * seen];
                let scores = &mut scores[row * seen..(row + 1) * seen];
                weights[visible..].fill(0.0);
                scores[visible..].fill(0.0);
                let (log_sum, common) = (log_sums[at], common[at]);
                for (weight, score) in weights[..visible].iter_mut().zip(&mut scores[..visible]) {
                    // Rounding could put it just above.
                    let below = *weight - log_sum;
                    *weight = exp(if below > 0.0 { 0.0 } else { below });
                    *score = *weight * (*score - common) * scale;
                }
            }
            let (weights, scores) = (Matrix::new(weights, rows, seen), Matrix::new(scores, rows, seen));
            precision.add_product(MatrixMut::new(dvalues, seen, size), weights.transposed(), dblock, 1.0);
            precision.product(
                MatrixMut::new(&mut dqueries[first * size..], rows, size),
                scores,
                all_keys,
                1.0,
            );
            precision.add_product(MatrixMut::new(dkeys, seen, size), scores.transposed(), block, 1.0);
        }
        gradients
    };
    // In waves: with every text come the gradients of all rows that it shares.
    for wave in tasks.chunks(WAVE) {
        let done: Vec<[Buffer; 3]> = wave.par_iter().map(work).collect();
        scatter(dx, width, wave, &done, |[dqueries, dkeys, dvalues], task| {
            let [q, k, v] = heads.places(task.head);
            let before = task.span.prefix.1 * size;
            [(&**dqueries, group * size, q), (&dkeys[before..], size, k), (&dvalues[before..], size, v)]
        });
        if wave.iter().all(|task| task.span.prefix.1 == 0) {
            continue;
        }
        // Rows that are shared lie in front of the texts that share them, so they are there; what is asked of them is added
        // up in the order of the texts.
        by_rows(dx, width, |first, rows| {
            let last = first + rows.len() / width;
            for (task, [_, dkeys, dvalues]) in wave.iter().zip(&done) {
                let (from, count) = task.span.prefix;
                let [_, k, v] = heads.places(task.head);
                for at in from.max(first)..(from + count).min(last) {
                    let row = &mut rows[(at - first) * width..][..width];
                    for (place, more) in [(k, dkeys), (v, dvalues)] {
                        let more = &more[(at - from) * size..][..size];
                        row[place..place + size].iter_mut().zip(more).for_each(|(to, more)| *to += more);
                    }
                }
            }
        });
    }
}
