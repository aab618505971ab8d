//! From hidden states to the log-probabilities of tokens, and back, without all logits at once.
//!
//! Logits are computed for some tokens at a time, in memory that is bounded; the way back computes them
//! once more. [`loss`] goes both ways over the same logits, where what it asks of a token depends on nothing else.

use rayon::prelude::*;

use super::buffer::Buffer;
use super::gemm::{Matrix, MatrixMut, Precision};
use super::linear::{Weight, panels_of};
use crate::math::exp;

/// Numbers of the logits that are there at a time: 128 MiB.
const ROOM: usize = 1 << 25;
/// Most tokens at a time; with more, a small vocabulary would leave the caches.
const MOST_TOKENS: usize = 1024;

/// How many tokens have their logits at a time.
pub fn tokens_at_a_time(vocabulary: usize) -> usize {
    (ROOM / vocabulary.max(1)).clamp(1, MOST_TOKENS)
}

/// The numbers of a model's last matrix.
#[derive(Clone, Copy)]
pub enum Last<'a> {
    /// As the model file has them.
    Frozen(&'a Weight),
    /// Rows of the vocabulary by numbers of a hidden state.
    Trained(&'a [f32], usize),
}

/// The last matrix of a model, and how it is multiplied.
#[derive(Clone, Copy)]
pub struct Output<'a> {
    /// Its numbers.
    pub matrix: Last<'a>,
    /// How they go into products.
    pub precision: Precision,
}

impl Output<'_> {
    /// Rows: the vocabulary.
    pub fn rows(&self) -> usize {
        match self.matrix {
            Last::Frozen(weight) => weight.rows,
            Last::Trained(numbers, columns) => numbers.len() / columns.max(1),
        }
    }

    /// Columns: the numbers of a hidden state.
    pub fn columns(&self) -> usize {
        match self.matrix {
            Last::Frozen(weight) => weight.columns,
            Last::Trained(_, columns) => columns,
        }
    }

    /// Calls `work` with the first row of each panel and its numbers.
    fn panels(&self, work: impl FnMut(usize, &[f32])) {
        // No more than a panel is rounded at a time.
        let whole = self.precision == Precision::F32;
        match self.matrix {
            Last::Frozen(weight) => weight.panels(whole, work),
            Last::Trained(numbers, columns) => panels_of(numbers, columns, whole, work),
        }
    }
}

/// What is known of a token.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Token {
    /// The logarithm of its probability.
    pub logprob: f64,
    /// The entropy of the distribution that it is from, in nats.
    pub entropy: f64,
    /// Whether no other token was more probable.
    pub best: bool,
}

/// How what is wanted changes with a token.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Slope {
    /// With its log-probability.
    pub logprob: f32,
    /// With the entropy.
    pub entropy: f32,
}

/// Where gradients go.
pub struct Gradients<'a> {
    /// That of the hidden states; overwritten.
    pub hidden: &'a mut [f32],
    /// That of a trained output matrix; added to.
    pub weight: Option<&'a mut [f32]>,
}

/// The log-probability of each target and the entropy there, with logits times `scale` (1 / temperature).
pub fn forward(hidden: &[f32], output: Output<'_>, targets: &[u32], scale: f32) -> Vec<Token> {
    let mut tokens = vec![Token::default(); targets.len()];
    chunks(hidden, output, targets, scale, |from, logits, width, targets| {
        let tokens = &mut tokens[from..from + targets.len()];
        logits.par_chunks_mut(width).zip(targets).zip(tokens).for_each(|((logits, target), token)| {
            *token = read(logits, *target as usize).0;
        });
    });
    tokens
}

/// The gradients, from how what is wanted changes with each token.
pub fn backward(
    hidden: &[f32],
    output: Output<'_>,
    targets: &[u32],
    scale: f32,
    slopes: &[Slope],
    mut gradients: Gradients<'_>,
) {
    chunks(hidden, output, targets, scale, |from, logits, width, targets| {
        let slopes = &slopes[from..from + targets.len()];
        logits.par_chunks_mut(width).zip(targets).zip(slopes).for_each(|((logits, target), slope)| {
            let (token, log_sum) = read(logits, *target as usize);
            turn(logits, *target as usize, token, log_sum, *slope);
        });
        send_back(hidden, output, scale, from, logits, &mut gradients);
    });
}

/// Both at once: `slope` says of the token with a number what is wanted of it, knowing that token.
pub fn loss(
    hidden: &[f32],
    output: Output<'_>,
    targets: &[u32],
    scale: f32,
    slope: impl Fn(usize, Token) -> Slope + Sync,
    mut gradients: Gradients<'_>,
) -> Vec<Token> {
    let mut tokens = vec![Token::default(); targets.len()];
    chunks(hidden, output, targets, scale, |from, logits, width, targets| {
        let tokens = &mut tokens[from..from + targets.len()];
        logits.par_chunks_mut(width).zip(targets).zip(tokens).enumerate().for_each(
            |(at, ((logits, target), token))| {
                let (found, log_sum) = read(logits, *target as usize);
                *token = found;
                turn(logits, *target as usize, found, log_sum, slope(from + at, found));
            },
        );
        send_back(hidden, output, scale, from, logits, &mut gradients);
    });
    tokens
}

/// Calls `work` with the logits of some tokens after the other: number of the first, logits, vocabulary, targets.
fn chunks(
    hidden: &[f32],
    output: Output<'_>,
    targets: &[u32],
    scale: f32,
    mut work: impl FnMut(usize, &mut [f32], usize, &[u32]),
) {
    let (rows, columns) = (output.rows(), output.columns());
    let step = tokens_at_a_time(rows);
    let mut logits = Buffer::any(step.min(targets.len()) * rows);
    for (at, targets) in targets.chunks(step).enumerate() {
        let from = at * step;
        let logits = &mut logits[..targets.len() * rows];
        let states = Matrix::new(&hidden[from * columns..], targets.len(), columns);
        let states = output.precision.left(states);
        output.panels(|first, panel| {
            let count = panel.len() / columns;
            let to = MatrixMut::strided(&mut logits[first..], targets.len(), count, rows);
            states.times(to, Matrix::new(panel, count, columns).transposed(), scale, false);
        });
        work(from, logits, rows, targets);
    }
}

/// Reads a row of logits; the second is the logarithm of the sum of their powers of e.
fn read(logits: &[f32], target: usize) -> (Token, f32) {
    const LANES: usize = 16;
    let mut most = f32::NEG_INFINITY;
    for logit in logits {
        most = if *logit > most { *logit } else { most };
    }
    // Σ e^(x − most), and Σ e^(x − most) · (x − most), in lanes.
    let (mut sums, mut products) = ([0.0f32; LANES], [0.0f32; LANES]);
    let (parts, rest) = logits.as_chunks::<LANES>();
    let (mut sum, mut product) = (0.0f64, 0.0f64);
    // Long rows are added up in parts, so that small numbers are not lost in a large sum.
    for parts in parts.chunks(64) {
        sums.fill(0.0);
        products.fill(0.0);
        for part in parts {
            for lane in 0..LANES {
                let below = part[lane] - most;
                let power = exp(below);
                sums[lane] += power;
                // Where the power is 0, so is the product, even where `below` is −∞.
                products[lane] += power * below.max(-200.0);
            }
        }
        sum += f64::from(sums.iter().sum::<f32>());
        product += f64::from(products.iter().sum::<f32>());
    }
    for logit in rest {
        let below = logit - most;
        sum += f64::from(exp(below));
        product += f64::from(exp(below) * below.max(-200.0));
    }
    let log = sum.ln();
    let logprob = f64::from(logits[target]) - f64::from(most) - log;
    let entropy = log - product / sum;
    (Token { logprob, entropy, best: logits[target] >= most }, (f64::from(most) + log) as f32)
}

/// How far a logit is below the logarithm of the sum; rounding could put it just above. No number stays none.
#[inline(always)]
fn below(logit: f32, log_sum: f32) -> f32 {
    let below = logit - log_sum;
    if below > 0.0 { 0.0 } else { below }
}

/// Makes the gradient of the logits out of them.
fn turn(logits: &mut [f32], target: usize, token: Token, log_sum: f32, slope: Slope) {
    if slope == Slope::default() {
        logits.fill(0.0);
        return;
    }
    let entropy = token.entropy as f32;
    if slope.entropy == 0.0 {
        for logit in &mut *logits {
            *logit = -slope.logprob * exp(below(*logit, log_sum));
        }
    } else {
        for logit in &mut *logits {
            let log = below(*logit, log_sum);
            let p = exp(log);
            *logit = -p * (slope.logprob + slope.entropy * (log.max(-200.0) + entropy));
        }
    }
    logits[target] += slope.logprob;
}

/// Sends the gradient of the logits of some tokens back to hidden states and matrix.
fn send_back(
    hidden: &[f32],
    output: Output<'_>,
    scale: f32,
    from: usize,
    logits: &[f32],
    gradients: &mut Gradients<'_>,
) {
    let (rows, columns) = (output.rows(), output.columns());
    let tokens = logits.len() / rows.max(1);
    let place = from * columns..(from + tokens) * columns;
    let states = Matrix::new(&hidden[place.clone()], tokens, columns);
    let back = &mut gradients.hidden[place];
    back.fill(0.0);
    output.panels(|first, panel| {
        let count = panel.len() / columns;
        let own = Matrix::strided(&logits[first..], tokens, count, rows);
        let to = MatrixMut::new(back, tokens, columns);
        output.precision.add_product_on_all(to, own, Matrix::new(panel, count, columns), scale);
        if let Some(weight) = &mut gradients.weight {
            let to = MatrixMut::new(&mut weight[first * columns..], count, columns);
            output.precision.add_product_on_all(to, own.transposed(), states, scale);
        }
    });
}
