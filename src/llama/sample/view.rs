//! Logits under a mask, block by block.

use super::kernel::{self, BLOCK, WORDS};
use crate::{Error, Result};

/// The logits of a vocabulary and which of them count.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub logits: &'a [f32],
    /// A bit for each token, the lowest first; tokens beyond it do not count. Without a mask all tokens count.
    pub mask: Option<&'a [u32]>,
}

/// What is known of a block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Block {
    /// The largest logit, −∞ if none counts.
    pub max: f32,
    /// The sum of e^((x − max) · scale) over its logits, if that was asked for.
    pub mass: f32,
}

impl View<'_> {
    pub fn blocks(&self) -> usize {
        self.logits.len().div_ceil(BLOCK)
    }

    /// The mask words of a block, those that are missing as 0.
    fn words(&self, block: usize) -> [u32; WORDS] {
        let Some(mask) = self.mask else { return [u32::MAX; WORDS] };
        let from = (block * WORDS).min(mask.len());
        let part = &mask[from..(from + WORDS).min(mask.len())];
        let mut words = [0; WORDS];
        words[..part.len()].copy_from_slice(part);
        words
    }

    /// Whether `token` counts.
    pub fn allows(&self, token: usize) -> bool {
        token < self.logits.len()
            && self
                .mask
                .is_none_or(|mask| mask.get(token / 32).is_some_and(|word| word >> (token % 32) & 1 == 1))
    }

    /// Calls `work` with the logits of a block, −∞ where they do not count; not at all if none does.
    #[inline]
    pub fn with_block<T>(&self, block: usize, work: impl FnOnce(&[f32; BLOCK]) -> T) -> Option<T> {
        let words = self.words(block);
        if words.iter().fold(0, |all, word| all | word) == 0 {
            return None;
        }
        let from = block * BLOCK;
        let part = &self.logits[from..(from + BLOCK).min(self.logits.len())];
        let full = words.iter().fold(u32::MAX, |all, word| all & word) == u32::MAX;
        Some(match <&[f32; BLOCK]>::try_from(part) {
            Ok(all) if full => work(all),
            Ok(all) => work(&kernel::masked(all, &words)),
            Err(_) => {
                let mut padded = [f32::NEG_INFINITY; BLOCK];
                padded[..part.len()].copy_from_slice(part);
                work(&kernel::masked(&padded, &words))
            }
        })
    }

    /// Reads every block once: what is known of each goes to `blocks`, with its mass at `scale` if one is given.
    ///
    /// # Errors
    /// A NaN or +∞ among the logits that count.
    pub fn scan(&self, scale: Option<f32>, blocks: &mut Vec<Block>) -> Result<()> {
        blocks.clear();
        for at in 0..self.blocks() {
            let (block, bad) = self
                .with_block(at, |x| {
                    let (max, nan) = kernel::max(x);
                    let bad = nan || max == f32::INFINITY;
                    let mass = match scale {
                        Some(scale) if !bad && max > f32::NEG_INFINITY => kernel::sum_exp(x, max, scale),
                        _ => 0.0,
                    };
                    (Block { max, mass }, bad)
                })
                .unwrap_or((Block { max: f32::NEG_INFINITY, mass: 0.0 }, false));
            if bad {
                return Err(self.no_number());
            }
            blocks.push(block);
        }
        Ok(())
    }

    /// The lowest token of `block` with this logit.
    pub fn first_equal(&self, block: usize, logit: f32) -> Option<usize> {
        let at = self.with_block(block, |x| x.iter().position(|x| *x == logit)).flatten()?;
        Some(block * BLOCK + at)
    }

    /// The error for logits that are not numbers.
    #[cold]
    fn no_number(&self) -> Error {
        let bad = |x: f32| x.is_nan() || x == f32::INFINITY;
        let mut found = self.logits.iter().enumerate().filter(|(at, x)| bad(**x) && self.allows(*at));
        let (token, logit) = found.next().map_or((0, f32::NAN), |(at, x)| (at, *x));
        let more = found.count();
        Error::engine(format!(
            "the model gave {logit} as the logit of token {token} (and {more} more like it); its weights are damaged, \
             an adapter has grown too large (a learning_rate that is too high), or a number overflowed in the computation"
        ))
    }

    /// The error for when nothing is left to choose from.
    #[cold]
    pub fn nothing_left(&self) -> Error {
        let size = self.logits.len();
        if size == 0 {
            return Error::engine("there are no logits to sample from");
        }
        match (0..size).filter(|token| self.allows(*token)).count() {
            0 => Error::engine(format!("the grammar's mask allows none of the {size} tokens")),
            count => Error::engine(format!(
                "each of the {count} tokens that may be chosen (of {size}) has a logit of -inf, from the model or from \
                 `logit_bias`"
            )),
        }
    }
}

/// The logarithm of the sum of e^x over all logits, in two parts: the largest logit, and the logarithm of the sum
/// relative to it. Added up, large logits would swallow the second.
///
/// # Errors
/// No logits, a NaN or +∞ among them, or −∞ only.
pub fn log_sum_exp(logits: &[f32]) -> Result<(f32, f64)> {
    let view = View { logits, mask: None };
    let mut largest = f32::NEG_INFINITY;
    let mut sum = 0.0;
    for at in 0..view.blocks() {
        let found = view.with_block(at, |x| {
            let (max, nan) = kernel::max(x);
            let bad = nan || max == f32::INFINITY;
            let mass = if bad || max == f32::NEG_INFINITY { 0.0 } else { kernel::sum_exp(x, max, 1.0) };
            (max, f64::from(mass), bad)
        });
        let Some((max, mass, bad)) = found else { continue };
        if bad {
            return Err(view.no_number());
        }
        if mass == 0.0 {
            continue;
        }
        // The sum is kept relative to the largest so far.
        if max > largest {
            sum = sum * f64::from(kernel::exp(largest - max)) + mass;
            largest = max;
        } else {
            sum += mass * f64::from(kernel::exp(max - largest));
        }
    }
    if largest == f32::NEG_INFINITY {
        return Err(view.nothing_left());
    }
    Ok((largest, sum.ln()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_of_any_length_are_read() {
        let logits = [0.5; 70];
        let cases: [(&[u32], usize); 5] =
            [(&[], 0), (&[u32::MAX], 32), (&[0, 1], 1), (&[u32::MAX; 3], 70), (&[u32::MAX; 40], 70)];
        for (mask, expected) in cases {
            let view = View { logits: &logits, mask: Some(mask) };
            assert_eq!((0..80).filter(|at| view.allows(*at)).count(), expected, "{mask:?}");
            let seen = view.with_block(0, |x| x.iter().filter(|x| **x == 0.5).count()).unwrap_or(0);
            assert_eq!(seen, expected, "{mask:?}");
        }
    }

    #[test]
    fn a_log_sum_is_that_of_the_definition() {
        for (size, shift, spread) in [(1, 0.0, 1.0), (255, 3.0, 10.0), (256, -80.0, 1.0), (5000, 1e4, 90.0)] {
            let logits: Vec<f32> =
                (0..size).map(|at| ((at * 7919 % 1000) as f64 / 1000.0 * spread + shift) as f32).collect();
            let max = logits.iter().copied().fold(f32::MIN, f32::max);
            let sum: f64 = logits.iter().map(|x| (f64::from(*x) - f64::from(max)).exp()).sum();
            let (largest, found) = log_sum_exp(&logits).expect("finite");
            assert_eq!(largest, max);
            assert!((found - sum.ln()).abs() < 1e-6, "{size} {shift} {spread}: {found} {}", sum.ln());
        }
    }

    #[test]
    fn a_log_sum_of_what_is_no_number_is_an_error() {
        for (logits, expected) in [
            (vec![], "no logits"),
            (
                vec![f32::NEG_INFINITY; 3],
                "each of the 3 tokens that may be chosen (of 3) has a logit of -inf",
            ),
            (vec![0.0, f32::NAN, f32::NAN], "NaN as the logit of token 1 (and 1 more like it)"),
            (vec![0.0, 1.0, f32::INFINITY], "inf as the logit of token 2"),
        ] {
            let error = log_sum_exp(&logits).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
