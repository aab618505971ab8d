//! Causal attention of grouped queries, within each of several texts that lie one behind the other.
//!
//! Scores are computed for a block of positions at a time and never kept: memory grows with the length of a text, not
//! with its square (Dao et al., 2022). A text and a head of keys are one task; what it reads is copied first, so that
//! its products run over neighbouring numbers.

use rayon::prelude::*;

use super::buffer::Buffer;
use super::gemm::{Matrix, MatrixMut, Precision};
use super::{by_rows, dot};
use crate::math::exp;

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

/// One text and one head of keys.
struct Task {
    first: usize,
    length: usize,
    head: usize,
}

/// Every text with every head. `starts` are the first rows of the texts, and the number of all rows.
fn tasks(heads: Heads, starts: &[usize]) -> Vec<Task> {
    let texts = starts.windows(2).map(|pair| (pair[0], pair[1] - pair[0]));
    texts.flat_map(|(first, length)| (0..heads.keys).map(move |head| Task { first, length, head })).collect()
}

impl Task {
    /// Copies `width` numbers of each row from `from` on.
    fn gather(&self, rows: &[f32], row: usize, from: usize, width: usize) -> Buffer {
        let mut own = Buffer::any(self.length * width);
        let rows = rows[self.first * row..].chunks_exact(row);
        for (own, row) in own.chunks_exact_mut(width).zip(rows) {
            own.copy_from_slice(&row[from..from + width]);
        }
        own
    }

    /// First row of each block, its rows, and the keys that its last row sees.
    fn blocks(&self, heads: Heads) -> impl Iterator<Item = (usize, usize, usize)> {
        let (length, step, group) = (self.length, heads.step(), heads.group());
        (0..length).step_by(step).map(move |from| {
            let to = (from + step).min(length);
            (from * group, (to - from) * group, to)
        })
    }
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
        let from = tasks.partition_point(|task| task.first + task.length <= first);
        for (task, done) in tasks[from..].iter().zip(&done[from..]).take_while(|(task, _)| task.first < last)
        {
            let (begin, end) = (task.first.max(first), (task.first + task.length).min(last));
            for (own, width, place) in parts(done, task) {
                for at in begin..end {
                    let own = &own[(at - task.first) * width..][..width];
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
    starts: &[usize],
    out: &mut [f32],
    log_sums: &mut [f32],
) {
    let (size, group, width) = (heads.size, heads.group(), heads.width());
    let scale = 1.0 / (size as f32).sqrt();
    let tasks = tasks(heads, starts);
    let done: Vec<(Buffer, Buffer)> = tasks
        .par_iter()
        .map(|task| {
            let [q, k, v] = heads.places(task.head);
            let queries = task.gather(x, width, q, group * size);
            let keys = task.gather(x, width, k, size);
            let values = task.gather(x, width, v, size);
            let mut out = Buffer::any(queries.len());
            let mut log_sums = Buffer::any(task.length * group);
            let mut scores = Buffer::any(heads.step() * group * task.length);
            for (first, rows, seen) in task.blocks(heads) {
                let scores = &mut scores[..rows * seen];
                let block = Matrix::new(&queries[first * size..], rows, size);
                let all = Matrix::new(&keys, seen, size);
                precision.product(MatrixMut::new(scores, rows, seen), block, all.transposed(), scale);
                for (row, scores) in scores.chunks_exact_mut(seen).enumerate() {
                    log_sums[first + row] = softmax(scores, (first + row) / group + 1);
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
    starts: &[usize],
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
    let tasks = tasks(heads, starts);
    let done: Vec<[Buffer; 3]> = tasks
        .par_iter()
        .map(|task| {
            let [q, k, v] = heads.places(task.head);
            let queries = task.gather(x, width, q, group * size);
            let keys = task.gather(x, width, k, size);
            let values = task.gather(x, width, v, size);
            let dout = task.gather(dout, heads.out(), q, group * size);
            let log_sums = task.gather(log_sums, heads.queries, task.head * group, group);
            let common = task.gather(&common, heads.queries, task.head * group, group);
            let mut gradients =
                [Buffer::any(queries.len()), Buffer::zeros(keys.len()), Buffer::zeros(values.len())];
            let [dqueries, dkeys, dvalues] = &mut gradients;
            let room = heads.step() * group * task.length;
            let (mut weights, mut scores) = (Buffer::any(room), Buffer::any(room));
            for (first, rows, seen) in task.blocks(heads) {
                let (weights, scores) = (&mut weights[..rows * seen], &mut scores[..rows * seen]);
                let block = Matrix::new(&queries[first * size..], rows, size);
                let dblock = Matrix::new(&dout[first * size..], rows, size);
                let (all_keys, all_values) =
                    (Matrix::new(&keys, seen, size), Matrix::new(&values, seen, size));
                precision.product(MatrixMut::new(weights, rows, seen), block, all_keys.transposed(), scale);
                precision.product(MatrixMut::new(scores, rows, seen), dblock, all_values.transposed(), 1.0);
                for row in 0..rows {
                    let (at, visible) = (first + row, (first + row) / group + 1);
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
        })
        .collect();
    scatter(dx, width, &tasks, &done, |[dqueries, dkeys, dvalues], task| {
        let [q, k, v] = heads.places(task.head);
        [(&**dqueries, group * size, q), (&**dkeys, size, k), (&**dvalues, size, v)]
    });
}
