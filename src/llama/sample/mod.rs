//! Sampling a token from logits, seeded.
//!
//! One [`Sampler`] belongs to one sequence. It has its settings, its own stream of random numbers and the tokens that
//! came before. Its working memory is a [`Scratch`], which the samplers of one thread can share.
//!
//! ```
//! use rlkd::llama::sample::{Sampler, Sampling};
//! use rlkd::seed::Seed;
//!
//! let sampling = Sampling { temperature: 0.7, top_p: 0.9, logprobs: true, ..Sampling::default() };
//! sampling.check()?;
//! let mut sampler = Sampler::new(&sampling, Seed(1).stream("rollout", 0));
//! let choice = sampler.sample(&[1.0, 4.0, 2.0, 3.9], Some(&[0b0111]))?;
//! sampler.accept(choice.token);
//! assert!(choice.token < 3 && choice.logprob_raw < 0.0);
//! # Ok::<(), rlkd::Error>(())
//! ```
//!
//! **Reproducible.** The same stream, settings, logits and tokens before give the same token, on every run and, as no
//! operation is fused or reordered, on every processor. Only the last bit of the log-probabilities can differ: they
//! end in the logarithm of the system's mathematical library. Each choice that is not greedy takes one number from
//! the stream, whatever the logits; an error takes none.

mod candidates;
mod distribution;
mod kernel;
mod penalty;
mod settings;
mod view;

pub use settings::Sampling;

use candidates::Candidates;
use distribution::Distribution;
use penalty::Window;
pub(super) use view::log_sum_exp;
use view::{Block, View};

use crate::seed::Stream;
use crate::{Error, Result};

/// A chosen token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// Its id.
    pub token: u32,
    /// Its log-probability under the distribution that it was drawn from: after the mask, bias, penalties, temperature
    /// and truncations, renormalised. 0 where greedy chose.
    pub logprob: f32,
    /// Its log-probability under the softmax of the logits as the model gave them: no mask, temperature 1. Training
    /// needs it. 0 unless [`Sampling::logprobs`].
    pub logprob_raw: f32,
}

/// Working memory for sampling; empty until used, then as large as the vocabularies that it has seen make it.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    blocks: Vec<Block>,
    /// Tokens whose logits bias or penalties have changed, ascending, with what they are now.
    adjusted: Vec<(u32, f32)>,
    /// The mask without them.
    rest: Vec<u32>,
    maxima: Vec<f32>,
    candidates: Candidates,
}

/// Chooses the tokens of one sequence.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    /// The bias by token, ascending.
    bias: Vec<(u32, f32)>,
    stream: Stream,
    window: Window,
    scratch: Scratch,
}

impl Sampler {
    /// A sampler with settings that [`Sampling::check`] has passed, and a stream of its own, such as
    /// `seed.stream("rollout", index)`.
    pub fn new(sampling: &Sampling, stream: Stream) -> Self {
        Sampler {
            bias: sampling.logit_bias.iter().map(|(token, bias)| (*token, *bias)).collect(),
            window: Window::new(sampling.penalty_window as usize),
            sampling: sampling.clone(),
            stream,
            scratch: Scratch::default(),
        }
    }

    /// Whether the most likely token is always taken.
    pub fn is_greedy(&self) -> bool {
        self.sampling.temperature == 0.0
    }

    /// Tells the sampler of a token that now stands in the sequence, whether it was sampled, forced or part of the
    /// prompt. Only the penalties ask for it.
    pub fn accept(&mut self, token: u32) {
        if self.sampling.penalises() {
            self.window.push(token);
        }
    }

    /// Chooses the next token from `logits`, one for each token of the vocabulary. `mask` has a bit for each token,
    /// 32 in a word, the lowest first; 1 allows it. Tokens beyond a short mask are not allowed, bits beyond the
    /// vocabulary do not count. The choice is not accepted by that.
    ///
    /// # Errors
    /// Nothing may be chosen: no logits, a mask that allows no token, −∞ everywhere. A logit that counts is NaN or
    /// +∞. A bias or an accepted token is not in the vocabulary.
    pub fn sample(&mut self, logits: &[f32], mask: Option<&[u32]>) -> Result<Choice> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let choice = self.sample_with(&mut scratch, logits, mask, &[]);
        self.scratch = scratch;
        choice
    }

    /// [`Self::sample`] with working memory that several samplers share, which keeps it in the processor's cache; what
    /// it held before does not matter. Tokens that are `refused` are not allowed, whatever the mask says.
    ///
    /// # Errors
    /// As for [`Self::sample`].
    pub fn sample_with(
        &mut self,
        scratch: &mut Scratch,
        logits: &[f32],
        mask: Option<&[u32]>,
        refused: &[u32],
    ) -> Result<Choice> {
        self.adjust(scratch, logits, mask, refused)?;
        let Scratch { blocks, adjusted, rest, maxima, candidates } = scratch;
        let rest = if adjusted.is_empty() && refused.is_empty() { mask } else { Some(rest.as_slice()) };
        let view = View { logits, mask: rest };
        let Sampling { temperature, top_k, top_p, min_p, logprobs, .. } = self.sampling;
        let top_k = if (top_k as usize) < logits.len() { top_k as usize } else { 0 };
        let greedy = self.is_greedy();
        let scale = if greedy { 1.0 } else { 1.0 / temperature };
        let weighs_all = !greedy && top_k == 0 && (top_p < 1.0 || min_p == 0.0);

        view.scan(weighs_all.then_some(scale), blocks)?;
        let Some(best) = distribution::best(&view, blocks, adjusted) else {
            return Err(View { logits, mask }.nothing_left());
        };
        let max = best.1;
        let all = Distribution { view, blocks, adjusted, max, scale };
        let total = if weighs_all { all.mass() } else { 0.0 };
        let log_sum = match logprobs {
            false => (0.0, 0.0),
            // The distribution is the raw one.
            true if weighs_all && scale == 1.0 && rest.is_none() => (max, total.ln()),
            true => log_sum_exp(logits)?,
        };

        let ((token, logit), mass) = if greedy {
            (best, 1.0)
        } else if top_k == 0 && top_p == 1.0 && min_p == 0.0 {
            (all.at_mass(self.stream.next_f64() * total).unwrap_or(best), total)
        } else {
            let (cut, mass) = all.truncate(top_k, top_p, min_p, total, candidates, maxima);
            let target = self.stream.next_f64() * mass;
            (candidates.at_mass(cut, min_p, target).unwrap_or(best), mass)
        };
        let logprob =
            if greedy { 0.0 } else { (f64::from(logit) - f64::from(max)) * f64::from(scale) - mass.ln() };
        let raw =
            if logprobs { f64::from(logits[token as usize]) - f64::from(log_sum.0) - log_sum.1 } else { 0.0 };
        // Rounding could put them just above.
        Ok(Choice { token, logprob: logprob.min(0.0) as f32, logprob_raw: raw.min(0.0) as f32 })
    }

    /// Finds the allowed tokens whose logits change, and the mask of the others.
    fn adjust(
        &self,
        scratch: &mut Scratch,
        logits: &[f32],
        mask: Option<&[u32]>,
        refused: &[u32],
    ) -> Result<()> {
        let Scratch { adjusted, rest, .. } = scratch;
        adjusted.clear();
        let counts = self.window.counts();
        let largest = self.bias.last().map(|entry| entry.0).max(counts.last().map(|entry| entry.0));
        if largest.is_none() && refused.is_empty() {
            return Ok(());
        }
        if let Some(largest) = largest.filter(|&token| token as usize >= logits.len()) {
            return Err(Error::engine(format!(
                "token {largest} has a bias or came before, but the vocabulary has {} tokens only",
                logits.len()
            )));
        }
        rest.clear();
        match mask {
            Some(mask) => rest.extend_from_slice(mask),
            None => rest.resize(logits.len().div_ceil(32), u32::MAX),
        }
        for &token in refused {
            if let Some(word) = rest.get_mut(token as usize / 32) {
                *word &= !(1 << (token % 32));
            }
        }
        let view = View { logits, mask };
        let (mut biases, mut counts) = (self.bias.as_slice(), counts);
        while let Some(token) = lower(biases.first(), counts.first()) {
            let bias = take(&mut biases, token).unwrap_or(0.0);
            let count = take(&mut counts, token).unwrap_or(0);
            let at = token as usize;
            if !view.allows(at) || refused.contains(&token) {
                continue;
            }
            rest[at / 32] &= !(1 << (at % 32));
            let logit = penalty::penalised(logits[at] + bias, count, &self.sampling);
            if logit.is_nan() || logit == f32::INFINITY {
                let given = logits[at];
                return Err(Error::engine(format!(
                    "the logit of token {token} is {given} from the model and {logit} with bias and penalties"
                )));
            }
            adjusted.push((token, logit));
        }
        Ok(())
    }
}

/// The lower token of two entries.
fn lower<A, B>(one: Option<&(u32, A)>, other: Option<&(u32, B)>) -> Option<u32> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.0.min(other.0)),
        (one, other) => one.map(|entry| entry.0).or(other.map(|entry| entry.0)),
    }
}

/// Takes the first entry away if it is that of `token`.
fn take<T: Copy>(entries: &mut &[(u32, T)], token: u32) -> Option<T> {
    let (first, rest) = entries.split_first().filter(|(first, _)| first.0 == token)?;
    *entries = rest;
    Some(first.1)
}

/// The log-probability of `token` under the softmax of `logits` at temperature 1: for tokens that were forced, and to
/// compare answers without drawing one.
///
/// # Errors
/// No logits, a NaN or +∞ among them, −∞ only, or a token that is not in the vocabulary.
pub fn logprob_raw(logits: &[f32], token: u32) -> Result<f32> {
    let Some(logit) = logits.get(token as usize) else {
        return Err(Error::engine(format!("token {token} is not in the vocabulary of {}", logits.len())));
    };
    let (max, rest) = log_sum_exp(logits)?;
    Ok((f64::from(*logit) - f64::from(max) - rest).min(0.0) as f32)
}
