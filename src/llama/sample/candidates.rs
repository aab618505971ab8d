//! The few tokens that a truncation leaves.
//!
//! A kept set is always "the tokens up to a cut" in one order: larger logits first, of equal ones the lower id. The
//! cut is a [`Rank`]. So nothing is ever sorted but the neighbourhood of a cut, and tokens are drawn in the order in
//! which they were found, whatever a selection did to its working copy.

use super::kernel::{self, BLOCK};
use super::view::{Block, View};

/// A place in the order of tokens: ascending with falling logits, then with rising ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank(u64);

impl Rank {
    pub const LAST: Rank = Rank(u64::MAX);

    pub fn new(logit: f32, token: u32) -> Self {
        // The bits of a float rise with it once those of negative ones are turned over; 0 and -0 are made one.
        let bits = (logit + 0.0).to_bits();
        let rising = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
        Rank(u64::from(!rising) << 32 | u64::from(token))
    }
}

/// Bins by which a nucleus is found: enough that few tokens share one, few enough to stay in the first-level cache.
const BINS: usize = 1024;

/// Tokens, their logits and their weights, in the order in which they were found.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    tokens: Vec<u32>,
    logits: Vec<f32>,
    /// e^((logit − max) · scale), after [`Self::weigh`].
    weights: Vec<f32>,
    /// Those near a cut, each with its weight.
    ranked: Vec<(Rank, f32)>,
    bins: Vec<f64>,
}

impl Candidates {
    pub fn clear(&mut self) {
        self.tokens.clear();
        self.logits.clear();
        self.weights.clear();
    }

    pub fn push(&mut self, token: u32, logit: f32) {
        self.tokens.push(token);
        self.logits.push(logit);
    }

    /// Adds the tokens of `view` with logits from `lowest` up. `blocks` is what [`View::scan`] found.
    pub fn collect(&mut self, view: &View, blocks: &[Block], lowest: f32) {
        for (at, block) in blocks.iter().enumerate() {
            if block.max < lowest || block.max == f32::NEG_INFINITY {
                continue;
            }
            view.with_block(at, |x| {
                // Every logit is written, and only then counted or not: a branch could not be foretold.
                let (mut tokens, mut logits) = ([0; BLOCK], [0.0; BLOCK]);
                let mut count = 0;
                for (offset, logit) in x.iter().enumerate() {
                    tokens[count % BLOCK] = (at * BLOCK + offset) as u32;
                    logits[count % BLOCK] = *logit;
                    count += usize::from(*logit >= lowest && *logit > f32::NEG_INFINITY);
                }
                self.tokens.extend_from_slice(&tokens[..count]);
                self.logits.extend_from_slice(&logits[..count]);
            });
        }
    }

    /// Weighs every token relative to the logit `max`.
    pub fn weigh(&mut self, max: f32, scale: f32) {
        self.weights.clear();
        self.weights.resize(self.logits.len(), 0.0);
        kernel::exp_each(&self.logits, max, scale, &mut self.weights);
    }

    fn rank(&self, at: usize) -> Rank {
        Rank::new(self.logits[at], self.tokens[at])
    }

    /// The cut that keeps the `count` first tokens in the order.
    pub fn first(&mut self, count: usize) -> Rank {
        if count == 0 || count >= self.tokens.len() {
            return Rank::LAST;
        }
        self.ranked.clear();
        self.ranked
            .extend(self.logits.iter().zip(&self.tokens).map(|(x, token)| (Rank::new(*x, *token), 0.0)));
        self.ranked.select_nth_unstable_by_key(count - 1, |(rank, _)| *rank).1.0
    }

    /// The weight of all tokens up to `cut` that weigh at least `lightest`.
    pub fn mass(&self, cut: Rank, lightest: f32) -> f64 {
        self.kept(cut, lightest).map(|at| f64::from(self.weights[at])).sum()
    }

    /// The token among those of [`Self::mass`] at which their sum passes `target`, with its logit.
    pub fn at_mass(&self, cut: Rank, lightest: f32, target: f64) -> Option<(u32, f32)> {
        let mut sum = 0.0;
        let passes = |at: &usize| {
            sum += f64::from(self.weights[*at]);
            sum > target
        };
        self.kept(cut, lightest).find(passes).map(|at| (self.tokens[at], self.logits[at]))
    }

    fn kept(&self, cut: Rank, lightest: f32) -> impl Iterator<Item = usize> {
        (0..self.tokens.len()).filter(move |at| self.weights[*at] >= lightest && self.rank(*at) <= cut)
    }

    /// Among the tokens up to `within`, the cut that keeps the fewest whose weights sum to at least `mass`, and what
    /// they sum to.
    pub fn nucleus(&mut self, within: Rank, mass: f64) -> (Rank, f64) {
        // Bins over logits rise with the rank, so the cut lies in the bin in which the sum passes `mass`.
        let (min, max) = kernel::extent(&self.logits);
        let per_unit = ((BINS - 1) as f32 / (max - min)).min(f32::MAX);
        let bin = |logit: f32| (((max - logit) * per_unit) as usize).min(BINS - 1);
        let inside = |rank: Rank| within == Rank::LAST || rank <= within;
        self.bins.clear();
        self.bins.resize(BINS, 0.0);
        for at in 0..self.tokens.len() {
            if inside(self.rank(at)) {
                self.bins[bin(self.logits[at])] += f64::from(self.weights[at]);
            }
        }
        let mut before = 0.0;
        let mut place = 0;
        while place < BINS - 1 && before + self.bins[place] < mass {
            before += self.bins[place];
            place += 1;
        }
        self.ranked.clear();
        for at in 0..self.tokens.len() {
            let rank = self.rank(at);
            if bin(self.logits[at]) == place && inside(rank) {
                self.ranked.push((rank, self.weights[at]));
            }
        }
        self.ranked.sort_unstable_by_key(|(rank, _)| *rank);
        let mut cut = within;
        for (rank, weight) in &self.ranked {
            cut = *rank;
            before += f64::from(*weight);
            if before >= mass {
                break;
            }
        }
        (cut, before)
    }
}
