//! What is asked of each token.
//!
//! With r = exp(log-probability − that under the model that is improved upon), ε and δ the bounds, A the advantage and w the
//! correction for the sampler, a token costs
//!
//! - −min(min(r, δ) · A, clip(r, 1 − ε, 1 + ε_high) · A) · w, or with `cispo` −min(r, ε_high) · A · log-probability · w with the
//!   first factor held fixed;
//! - β · (exp(d) − d − 1) with d = reference − log-probability (k3, Schulman, 2020), times r with `use_bias_correction_kl`;
//!
//! and tokens are added up as [`LossType`] says; entropy is subtracted.

use super::{GrpoConfig, Level, LossType};
use crate::error::{Error, Result};
use crate::train::cpu::head::Slope;

/// One completion.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sequence {
    /// Its advantage.
    pub advantage: f64,
    /// Its first token in the lists of the batch, and one past its last. Masked completions have none.
    pub tokens: std::ops::Range<usize>,
}

/// Completions that are learnt from together, their tokens one behind the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// The completions.
    pub sequences: Vec<Sequence>,
    /// Log-probabilities under the model that is improved upon; `None` if that is the model as it is.
    pub old: Option<Vec<f64>>,
    /// Those under the reference model, if `beta` is not 0.
    pub reference: Option<Vec<f64>>,
    /// What each token's cost is multiplied by, since the sampler was not that model.
    pub correction: Option<Vec<f64>>,
    /// Log-probabilities under the sampler, and the most that a token's ratio to them may be: the correction where no other is
    /// given and each token has its own, taken from the model as it is.
    pub sampler: Option<(Vec<f64>, f64)>,
    /// What the sum over tokens is divided by with `dapo` and `cispo`: the tokens of all batches of a step (with several steps to
    /// a batch of rollouts, their mean, as in TRL).
    pub num_items: f64,
    /// Batches whose gradients are added up for a step; the other losses, and entropy, are means over them.
    pub accumulation_steps: usize,
    /// The longest that a completion may be (`dr_grpo`).
    pub max_completion_length: usize,
}

/// What is told of a batch: TRL's `kl`, `entropy`, `clip_ratio/low_mean`, `clip_ratio/high_mean` (with `cispo`,
/// `cispo_clip_ratio`).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Metrics {
    /// The loss.
    pub loss: f64,
    /// Mean divergence from the reference model.
    pub kl: f64,
    /// Mean entropy.
    pub entropy: f64,
    /// Share of tokens (with [`Level::Sequence`], of completions) that were clipped from below.
    pub clip_ratio_low: f64,
    /// From above.
    pub clip_ratio_high: f64,
}

/// The objective of a batch.
#[derive(Clone, Debug)]
pub struct Objective<'a> {
    config: &'a GrpoConfig,
    batch: &'a Batch,
    /// The completion of each token.
    owner: Vec<u32>,
    /// Tokens of the batch.
    tokens: usize,
    /// The mean log-ratio of each completion, with [`Level::Sequence`] where the old model is another one.
    log_ratios: Vec<f64>,
    /// With [`Level::Sequence`], the mean divergence of each, and the mean of its corrections.
    divergences: Vec<f64>,
    corrections: Vec<f64>,
}

/// k3 of a difference of log-probabilities.
fn divergence(apart: f64) -> f64 {
    apart.exp() - apart - 1.0
}

/// What a token costs, and how that changes.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    value: f64,
    /// With its log-probability.
    slope: f64,
    kl: f64,
    low: bool,
    high: bool,
}

impl<'a> Objective<'a> {
    /// The objective. With [`Level::Sequence`], `log_probabilities` have to be those of the model as it is; otherwise they are
    /// not looked at.
    ///
    /// # Errors
    /// Options that make no sense, `beta` without a reference, or lists that are too short.
    pub fn new(config: &'a GrpoConfig, batch: &'a Batch, log_probabilities: &[f64]) -> Result<Self> {
        config.check()?;
        let tokens = batch.sequences.iter().map(|sequence| sequence.tokens.len()).sum();
        let most = batch.sequences.iter().map(|sequence| sequence.tokens.end).max().unwrap_or(0);
        if config.beta != 0.0 && batch.reference.is_none() {
            return Err(Error::config("beta is not 0, and there are no log-probabilities of a reference"));
        }
        let counted = match config.loss_type {
            LossType::Dapo | LossType::Cispo => batch.num_items >= 1.0 && batch.num_items.is_finite(),
            LossType::DrGrpo => batch.max_completion_length > 0,
            LossType::Grpo | LossType::Bnpo => true,
        };
        if !counted || batch.accumulation_steps == 0 {
            return Err(Error::config(format!(
                "num_items = {}, max_completion_length = {} and accumulation_steps = {}: what the loss is divided by is from 1 on",
                batch.num_items, batch.max_completion_length, batch.accumulation_steps
            )));
        }
        let by_sequence = config.importance_sampling_level == Level::Sequence;
        if by_sequence && batch.sampler.is_some() && batch.correction.is_none() {
            return Err(Error::config("one ratio for a completion needs corrections that were made before"));
        }
        let sampler = batch.sampler.as_ref().map(|(own, _)| own);
        let lists = [batch.old.as_ref(), batch.reference.as_ref(), batch.correction.as_ref(), sampler];
        let lists = lists.into_iter().flatten().map(Vec::len);
        if lists.chain(by_sequence.then_some(log_probabilities.len())).any(|count| count < most) {
            return Err(Error::config(format!("a list of fewer than {most} tokens")));
        }
        let mut owner = vec![u32::MAX; most];
        for (number, sequence) in batch.sequences.iter().enumerate() {
            owner[sequence.tokens.clone()].fill(number as u32);
        }
        let log_ratio = |sequence: &Sequence| match &batch.old {
            Some(old) if config.importance_sampling_level == Level::Sequence => {
                let own = sequence.tokens.clone();
                let sum: f64 = own.clone().map(|at| log_probabilities[at] - old[at]).sum();
                sum / own.len().max(1) as f64
            }
            _ => 0.0,
        };
        let log_ratios = batch.sequences.iter().map(log_ratio).collect();
        let divergence = |sequence: &Sequence| match &batch.reference {
            Some(reference) if by_sequence && config.beta != 0.0 => {
                let own = sequence.tokens.clone();
                let sum: f64 = own.clone().map(|at| divergence(reference[at] - log_probabilities[at])).sum();
                sum / own.len().max(1) as f64
            }
            _ => 0.0,
        };
        let divergences = batch.sequences.iter().map(divergence).collect();
        let correction = |sequence: &Sequence| match &batch.correction {
            Some(all) if by_sequence => {
                all[sequence.tokens.clone()].iter().sum::<f64>() / sequence.tokens.len().max(1) as f64
            }
            _ => 1.0,
        };
        let corrections = batch.sequences.iter().map(correction).collect();
        Ok(Objective { config, batch, owner, tokens, log_ratios, divergences, corrections })
    }

    /// How the loss changes with a token's log-probability and with the entropy there.
    pub fn slope(&self, at: usize, log_probability: f64) -> Slope {
        let Some(sequence) = self.owner(at) else { return Slope::default() };
        let cost = self.cost(sequence, at, log_probability);
        Slope {
            logprob: (cost.slope * self.share(sequence)) as f32,
            entropy: (-self.config.entropy_coef / self.tokens.max(1) as f64 / self.steps()) as f32,
        }
    }

    /// The loss and what is told of it, from the log-probability and the entropy of each token.
    pub fn metrics(&self, log_probabilities: &[f64], entropies: &[f64]) -> Metrics {
        let mut metrics = Metrics::default();
        let by_sequence = self.config.importance_sampling_level == Level::Sequence;
        for (number, sequence) in self.batch.sequences.iter().enumerate() {
            let mut clipped = [false; 2];
            for at in sequence.tokens.clone() {
                let cost = self.cost(number, at, log_probabilities[at]);
                metrics.loss += cost.value * self.share(number);
                metrics.kl += cost.kl;
                metrics.entropy += entropies[at];
                clipped = [cost.low, cost.high];
                if !by_sequence {
                    metrics.clip_ratio_low += f64::from(u8::from(cost.low));
                    metrics.clip_ratio_high += f64::from(u8::from(cost.high));
                }
            }
            if by_sequence {
                metrics.clip_ratio_low += f64::from(u8::from(clipped[0]));
                metrics.clip_ratio_high += f64::from(u8::from(clipped[1]));
            }
        }
        let tokens = self.tokens.max(1) as f64;
        metrics.loss -= self.config.entropy_coef * metrics.entropy / tokens / self.steps();
        metrics.kl /= tokens;
        metrics.entropy /= tokens;
        let counted = if by_sequence { self.batch.sequences.len().max(1) as f64 } else { tokens };
        metrics.clip_ratio_low /= counted;
        metrics.clip_ratio_high /= counted;
        metrics
    }

    fn owner(&self, at: usize) -> Option<usize> {
        let owner = *self.owner.get(at)?;
        (owner != u32::MAX).then_some(owner as usize)
    }

    fn steps(&self) -> f64 {
        self.batch.accumulation_steps as f64
    }

    /// What a token of a completion counts.
    fn share(&self, sequence: usize) -> f64 {
        let count = self.batch.sequences.len().max(1) as f64 * self.steps();
        1.0 / match self.config.loss_type {
            LossType::Grpo => self.batch.sequences[sequence].tokens.len().max(1) as f64 * count,
            LossType::Bnpo => self.tokens.max(1) as f64 * self.steps(),
            LossType::DrGrpo => count * self.batch.max_completion_length as f64,
            LossType::Dapo | LossType::Cispo => self.batch.num_items,
        }
    }

    fn cost(&self, number: usize, at: usize, log_probability: f64) -> Cost {
        let sequence = &self.batch.sequences[number];
        let (advantage, config) = (sequence.advantage, self.config);
        // The log-ratio, and how it changes with this token's log-probability, summed over the tokens that have it: with one
        // for all, each of them has a share.
        let log_ratio = match (&self.batch.old, config.importance_sampling_level) {
            (None, _) => 0.0,
            (Some(old), Level::Token) => log_probability - old[at],
            (Some(_), Level::Sequence) => self.log_ratios[number],
        };
        let ratio = log_ratio.exp();
        let correction = match (&self.batch.correction, &self.batch.sampler) {
            (Some(all), _) => all[at],
            (None, Some((sampler, most))) => (log_probability - sampler[at]).exp().min(*most),
            (None, None) => 1.0,
        };
        let mut cost = Cost::default();
        if config.loss_type == LossType::Cispo {
            let most = config.high();
            let weight = ratio.min(most);
            cost.value = -weight * advantage * log_probability * correction;
            cost.slope = -weight * advantage * correction;
            cost.high = ratio > most && advantage > 0.0;
        } else {
            let (least, most) = (1.0 - config.epsilon, 1.0 + config.high());
            let free = config.delta.map_or(ratio, |delta| ratio.min(delta));
            let clipped = ratio.clamp(least, most);
            // At bounds a value still changes, as in torch.
            let free_slope = if config.delta.is_none_or(|delta| ratio <= delta) { ratio } else { 0.0 };
            let clipped_slope = if (least..=most).contains(&ratio) { ratio } else { 0.0 };
            let (one, other) = (free * advantage, clipped * advantage);
            let slope = match one.total_cmp(&other) {
                _ if one == other => (free_slope + clipped_slope) / 2.0,
                std::cmp::Ordering::Less => free_slope,
                _ => clipped_slope,
            };
            // With a ratio for all, a token's log-probability is one of those that it is the mean of, and all tokens pay for
            // it: what the others' corrections are is in `spread`.
            cost.value = -one.min(other) * correction;
            cost.slope = -slope * advantage * self.spread(number, correction);
            cost.low = free < least && advantage < 0.0;
            cost.high = free > most && advantage > 0.0;
        }
        if let Some(reference) = &self.batch.reference
            && config.beta != 0.0
        {
            let apart = reference[at] - log_probability;
            let (kl, slope) = (divergence(apart), 1.0 - apart.exp());
            let (kl, slope) = match (config.use_bias_correction_kl, config.importance_sampling_level) {
                (false, _) => (kl, slope),
                (true, Level::Token) => (ratio * kl, ratio * (slope + kl)),
                // All tokens have the weight that this one is a part of.
                (true, Level::Sequence) => (ratio * kl, ratio * (slope + self.divergences[number])),
            };
            cost.kl = kl;
            cost.value += config.beta * kl;
            cost.slope += config.beta * slope;
        }
        cost
    }

    /// The correction of a token; with a ratio for all tokens of a completion, the mean of theirs.
    fn spread(&self, number: usize, own: f64) -> f64 {
        match self.config.importance_sampling_level {
            Level::Token => own,
            Level::Sequence => self.corrections[number],
        }
    }
}
