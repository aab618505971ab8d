//! The distribution over a vocabulary, and what truncations leave of it.

use super::candidates::{Candidates, Rank};
use super::kernel::exp;
use super::view::{Block, View};

/// How far below the largest logit, in units of the temperature, a nucleus is first looked for. Most end there: what
/// is below has less than 1/3,000 of the most likely token's probability each.
const FIRST_DEPTH: f64 = 8.0;
/// Added to every depth, so that rounding loses no token.
const SLACK: f64 = 1e-3;

/// Logits at a temperature: those of `view` and the adjusted ones, none in both.
pub struct Distribution<'a> {
    pub view: View<'a>,
    /// What [`View::scan`] found, with the masses at `scale` where they are asked for below.
    pub blocks: &'a [Block],
    pub adjusted: &'a [(u32, f32)],
    /// The largest logit. Weights are relative to it.
    pub max: f32,
    /// 1 / temperature.
    pub scale: f32,
}

/// The token with the largest logit above −∞, the lowest of equal ones.
pub fn best(view: &View, blocks: &[Block], adjusted: &[(u32, f32)]) -> Option<(u32, f32)> {
    let mut found: Option<(u32, f32)> = None;
    let mut block = None;
    for (at, one) in blocks.iter().enumerate() {
        if one.max > block.map_or(f32::NEG_INFINITY, |(_, max)| max) {
            block = Some((at, one.max));
        }
    }
    if let Some((at, max)) = block {
        found = view.first_equal(at, max).map(|token| (token as u32, max));
    }
    for &(token, logit) in adjusted {
        let (lowest, largest) = found.unwrap_or((u32::MAX, f32::NEG_INFINITY));
        if logit > largest || (logit == largest && logit > f32::NEG_INFINITY && token < lowest) {
            found = Some((token, logit));
        }
    }
    found
}

/// A nucleus and its weight, less what is lighter than `min_p`.
fn without_light((cut, mass): (Rank, f64), min_p: f32, candidates: &Candidates) -> (Rank, f64) {
    (cut, if min_p == 0.0 { mass } else { candidates.mass(cut, min_p) })
}

impl Distribution<'_> {
    fn weight(&self, logit: f32) -> f64 {
        f64::from(exp((logit - self.max) * self.scale))
    }

    fn mass_of(&self, block: &Block) -> f64 {
        // A block without tokens has no maximum to be weighed.
        if block.mass == 0.0 { 0.0 } else { f64::from(block.mass) * self.weight(block.max) }
    }

    /// The weight of all tokens. Needs the masses of the blocks.
    pub fn mass(&self) -> f64 {
        let blocks: f64 = self.blocks.iter().map(|block| self.mass_of(block)).sum();
        blocks + self.adjusted.iter().map(|entry| self.weight(entry.1)).sum::<f64>()
    }

    /// The token at which the sum of weights passes `target`, with its logit. Needs the masses of the blocks.
    pub fn at_mass(&self, target: f64) -> Option<(u32, f32)> {
        let mut sum = 0.0;
        for (at, block) in self.blocks.iter().enumerate() {
            let mass = self.mass_of(block);
            if sum + mass > target {
                return self.in_block(at, block, (target - sum) / self.weight(block.max));
            }
            sum += mass;
        }
        for &(token, logit) in self.adjusted {
            sum += self.weight(logit);
            if sum > target {
                return Some((token, logit));
            }
        }
        None
    }

    /// The token of a block at which the sum of weights, now relative to its own maximum, passes `target`.
    fn in_block(&self, at: usize, block: &Block, target: f64) -> Option<(u32, f32)> {
        let found = self.view.with_block(at, |x| {
            let mut sum = 0.0;
            let mut last = None;
            for (offset, logit) in x.iter().enumerate() {
                let weight = f64::from(exp((logit - block.max) * self.scale));
                if weight > 0.0 {
                    sum += weight;
                    last = Some((offset, *logit));
                }
                if sum > target {
                    break;
                }
            }
            // The block's mass was summed in another order: a target at its very end is the last token's.
            last
        });
        let (offset, logit) = found.flatten()?;
        Some(((at * super::kernel::BLOCK + offset) as u32, logit))
    }

    /// Collects what `top_k` (0: off), `top_p` and `min_p` leave, weighed, and returns the cut up to which to take it
    /// and the weight that is left. Those lighter than `min_p` are still among them. `total` is [`Self::mass`], which only `top_p` without `top_k`
    /// needs.
    pub fn truncate(
        &self,
        top_k: usize,
        top_p: f32,
        min_p: f32,
        total: f64,
        candidates: &mut Candidates,
        maxima: &mut Vec<f32>,
    ) -> (Rank, f64) {
        if top_k > 0 {
            self.collect(candidates, self.lowest_of_top(top_k, maxima));
            let cut = candidates.first(top_k);
            if top_p == 1.0 {
                return (cut, candidates.mass(cut, min_p));
            }
            let nucleus = candidates.nucleus(cut, f64::from(top_p) * candidates.mass(cut, 0.0));
            return without_light(nucleus, min_p, candidates);
        }
        if top_p == 1.0 {
            self.collect(candidates, self.logit_at(f64::from(min_p).ln()));
            return (Rank::LAST, candidates.mass(Rank::LAST, min_p));
        }
        // Tokens below 1 - top_p, spread evenly over the vocabulary, are beyond the nucleus even all together.
        let wanted = f64::from(top_p) * total;
        let deepest = ((total - wanted) / (self.view.logits.len() as f64)).ln();
        self.collect(candidates, self.logit_at(deepest.max(-FIRST_DEPTH)));
        if deepest < -FIRST_DEPTH && candidates.mass(Rank::LAST, 0.0) < wanted {
            self.collect(candidates, self.logit_at(deepest));
        }
        without_light(candidates.nucleus(Rank::LAST, wanted), min_p, candidates)
    }

    fn collect(&self, candidates: &mut Candidates, lowest: f32) {
        candidates.clear();
        candidates.collect(&self.view, self.blocks, lowest);
        for &(token, logit) in self.adjusted {
            if logit >= lowest && logit > f32::NEG_INFINITY {
                candidates.push(token, logit);
            }
        }
        candidates.weigh(self.max, self.scale);
    }

    /// A logit that no token of a log-weight from `depth` up lies below.
    fn logit_at(&self, depth: f64) -> f32 {
        let logit = f64::from(self.max) + (depth - SLACK) / f64::from(self.scale);
        (logit as f32).next_down()
    }

    /// A logit that none of the `count` largest lies below: as many blocks have a token from there up.
    fn lowest_of_top(&self, count: usize, maxima: &mut Vec<f32>) -> f32 {
        maxima.clear();
        maxima.extend(self.blocks.iter().map(|block| block.max));
        if count > maxima.len() {
            return f32::NEG_INFINITY;
        }
        *maxima.select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a)).1
    }
}
