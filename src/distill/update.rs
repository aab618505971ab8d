//! From a round to gradients.

use std::ops::Range;

use super::config::{Correction, RlkdConfig};
use super::round::Round;
use crate::error::Result;
use crate::seed::Seed;
use crate::train::cpu::head::Token;
use crate::train::grpo::loss::Sequence;
use crate::train::grpo::{Batch, Objective};
use crate::train::model::{Gradients, Model, Target, Texts};

/// What was found on the way.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The loss of the step.
    pub loss: f64,
    /// Sums over micro-steps: divergence, entropy, clipped from below and from above.
    pub kl: f64,
    /// See `kl`.
    pub entropy: f64,
    /// See `kl`.
    pub low: f64,
    /// See `kl`.
    pub high: f64,
    /// Micro-steps with something in them.
    pub micro_steps: usize,
    /// Differences of log-probabilities of trainer and sampler, before the first update.
    pub apart: Apart,
}

/// How far trainer and sampler are apart.
#[derive(Clone, Copy, Debug, Default)]
pub struct Apart {
    /// Tokens.
    pub tokens: usize,
    /// The sum of absolute differences.
    pub sum: f64,
    /// The largest.
    pub most: f64,
    /// Ratios of trainer to sampler: the sum, the least, the greatest.
    pub ratios: [f64; 3],
}

impl Apart {
    fn add(&mut self, trainer: f64, sampler: f64) {
        let apart = trainer - sampler;
        let ratio = apart.exp();
        let [sum, least, most] = &mut self.ratios;
        (*least, *most) = if self.tokens == 0 { (ratio, ratio) } else { (least.min(ratio), most.max(ratio)) };
        *sum += ratio;
        self.tokens += 1;
        self.sum += apart.abs();
        self.most = self.most.max(apart.abs());
    }

    fn all(round: &Round, log_probabilities: &[Vec<f64>]) -> Self {
        let mut apart = Apart::default();
        for (at, own) in log_probabilities.iter().enumerate() {
            let sampler = &round.completion(at).1.logprobs;
            own.iter().zip(sampler).for_each(|(trainer, sampler)| apart.add(*trainer, f64::from(*sampler)));
        }
        apart
    }
}

/// Completions that go through the model together, and what is asked of it. Those of a prompt lie behind one another, and it is there once.
fn pack(round: &Round, prompts: &[&[u32]], places: &[usize]) -> (Texts, Vec<Target>) {
    let mut texts = Texts { starts: vec![0], ..Texts::default() };
    let mut targets = Vec::new();
    let generations = round.groups[0].completions.len();
    let mut prompt: Option<(usize, usize)> = None;
    for &at in places {
        let (_, completion) = round.completion(at);
        let group = at / generations;
        let parent = match prompt {
            Some((known, parent)) if known == group => parent,
            _ => {
                let parent = texts.parents.len();
                texts.tokens.extend(prompts[group]);
                texts.starts.push(texts.tokens.len());
                texts.parents.push(None);
                prompt = Some((group, parent));
                parent
            }
        };
        let before = texts.starts[parent + 1] - 1;
        let first = texts.tokens.len();
        // The last token is asked for, and nothing behind it.
        let own = &completion.tokens[..completion.tokens.len() - 1];
        for (place, token) in completion.tokens.iter().enumerate() {
            let row = if place == 0 { before } else { first + place - 1 };
            targets.push(Target { row, token: *token });
        }
        if !own.is_empty() {
            texts.tokens.extend(own);
            texts.starts.push(texts.tokens.len());
            texts.parents.push(Some(parent));
        }
    }
    (texts, targets)
}

/// Cuts completions into parts of at most so many tokens, prompts counted once; a group is cut only where it is too long alone.
fn parts(round: &Round, prompts: &[&[u32]], most: usize, places: &[usize]) -> Vec<Range<usize>> {
    let generations = round.groups[0].completions.len();
    let mut parts: Vec<Range<usize>> = Vec::new();
    let (mut from, mut sum) = (0, 0);
    let mut at = 0;
    while at < places.len() {
        let group = places[at] / generations;
        let own = places[at..].iter().take_while(|place| **place / generations == group).count();
        let tokens = |range: Range<usize>| -> usize {
            places[range].iter().map(|place| round.completion(*place).1.tokens.len()).sum()
        };
        let prompt = prompts[group].len();
        let all = prompt + tokens(at..at + own);
        if at > from && sum + all > most {
            parts.push(from..at);
            (from, sum) = (at, 0);
        }
        if all > most {
            // Alone, and cut.
            let mut sum = prompt;
            for one in at..at + own {
                let length = tokens(one..one + 1);
                if one > from && sum + length > most {
                    parts.push(from..one);
                    (from, sum) = (one, prompt);
                }
                sum += length;
            }
            parts.push(from..at + own);
            from = at + own;
        } else {
            sum += all;
        }
        at += own;
    }
    if from < places.len() {
        parts.push(from..places.len());
    }
    parts
}

/// The trainer's side of a round.
pub struct Updater<'a> {
    /// The run.
    pub config: &'a RlkdConfig,
    /// The student.
    pub model: &'a mut Model,
    /// The prompt of each group.
    pub prompts: Vec<&'a [u32]>,
}

impl Updater<'_> {
    fn parts(&self, round: &Round, places: &[usize]) -> Vec<Range<usize>> {
        parts(round, &self.prompts, self.config.micro_batch_tokens, places)
    }

    /// Log-probabilities of completions, in their order; `places` ascend.
    fn log_probabilities(&mut self, round: &Round, places: &[usize]) -> Result<Vec<Vec<f64>>> {
        let mut all = Vec::with_capacity(places.len());
        for part in self.parts(round, places) {
            let (texts, targets) = pack(round, &self.prompts, &places[part.clone()]);
            let found = self.model.log_probabilities(&texts, &targets, round.temperature)?;
            let mut found = found.into_iter().map(|token| token.logprob);
            for at in &places[part] {
                all.push(found.by_ref().take(round.completion(*at).1.tokens.len()).collect());
            }
        }
        Ok(all)
    }

    /// Computes what has to be known before the first update.
    ///
    /// # Errors
    /// candle's.
    pub fn prepare(&mut self, round: &mut Round) -> Result<Apart> {
        let config = self.config;
        let places: Vec<usize> = (0..round.masked.len()).filter(|at| !round.masked[*at]).collect();
        let by_sequence = config.grpo.importance_sampling_level == crate::train::grpo::Level::Sequence;
        let corrects = config.importance_sampling != Correction::None;
        let token = config.importance_sampling == Correction::TokenTruncate;
        let again = config.steps_of_a_round() * config.num_iterations > 1;
        let spread = |found: Vec<Vec<f64>>| {
            let mut all = vec![Vec::new(); round.masked.len()];
            places.iter().zip(found).for_each(|(at, own)| all[*at] = own);
            all
        };
        let mut apart = Apart::default();
        if again || corrects && (by_sequence || !token) {
            let old = spread(self.log_probabilities(round, &places)?);
            apart = Apart::all(round, &old);
            if corrects {
                let own = old
                    .iter()
                    .enumerate()
                    .map(|(at, own)| corrections(config, own, &round.completion(at).1.logprobs));
                round.correction = Some(own.collect());
            }
            round.old = again.then_some(old);
        }
        if config.grpo.beta != 0.0 {
            let Updater { config, model, prompts } = self;
            let found = model.without_adapter(|model| {
                Updater { config, model, prompts: prompts.clone() }.log_probabilities(round, &places)
            })?;
            round.reference = Some(spread(found));
        }
        Ok(apart)
    }

    /// The gradients of optimiser step `number` of a round.
    ///
    /// # Errors
    /// candle's.
    pub fn gradients(&mut self, round: &Round, number: usize) -> Result<(Found, Gradients)> {
        let config = self.config;
        let per = config.per_device_train_batch_size;
        let accumulation = config.gradient_accumulation_steps;
        let num_items = round.tokens() as f64 / config.steps_of_a_round() as f64;
        let by_sequence = config.grpo.importance_sampling_level == crate::train::grpo::Level::Sequence;
        let mut gradients = Gradients::new();
        let mut all = Found::default();
        for micro in 0..accumulation {
            let first = (number * accumulation + micro) * per;
            let own: Vec<usize> = (first..first + per).collect();
            let places: Vec<usize> = own.iter().copied().filter(|at| !round.masked[*at]).collect();
            if places.is_empty() {
                continue;
            }
            let mut end = 0;
            let sequences = own.iter().map(|at| {
                let from = end;
                end += if round.masked[*at] { 0 } else { round.completion(*at).1.tokens.len() };
                Sequence { advantage: round.advantages.values[*at], tokens: from..end }
            });
            let chosen = |lists: &Vec<Vec<f64>>| -> Vec<f64> {
                places.iter().flat_map(|at| lists[*at].clone()).collect()
            };
            let sampler: Vec<f64> = places
                .iter()
                .flat_map(|at| round.completion(*at).1.logprobs.iter().map(|x| f64::from(*x)))
                .collect();
            let lazily =
                config.importance_sampling == Correction::TokenTruncate && round.correction.is_none();
            let batch = Batch {
                sequences: sequences.collect(),
                old: round.old.as_ref().map(chosen),
                reference: round.reference.as_ref().map(chosen),
                correction: round.correction.as_ref().map(chosen),
                sampler: lazily.then(|| (sampler.clone(), config.importance_sampling_cap)),
                num_items: num_items.max(1.0),
                accumulation_steps: accumulation,
                max_completion_length: config.max_completion_length,
            };
            let now = if by_sequence { self.log_probabilities(round, &places)?.concat() } else { Vec::new() };
            let objective = Objective::new(&config.grpo, &batch, &now)?;
            let mut tokens: Vec<Token> = Vec::with_capacity(end);
            for part in self.parts(round, &places) {
                let (texts, targets) = pack(round, &self.prompts, &places[part]);
                let from = tokens.len();
                let slope = |at: usize, token: Token| objective.slope(from + at, token.logprob);
                let found =
                    self.model.loss(&texts, &targets, round.temperature, Seed(0), slope, &mut gradients)?;
                tokens.extend(found);
            }
            let log_probabilities: Vec<f64> = tokens.iter().map(|token| token.logprob).collect();
            let entropies: Vec<f64> = tokens.iter().map(|token| token.entropy).collect();
            let metrics = objective.metrics(&log_probabilities, &entropies);
            all.loss += metrics.loss;
            all.kl += metrics.kl;
            all.entropy += metrics.entropy;
            all.low += metrics.clip_ratio_low;
            all.high += metrics.clip_ratio_high;
            all.micro_steps += 1;
            if round.old.is_none() {
                log_probabilities
                    .iter()
                    .zip(&sampler)
                    .for_each(|(trainer, sampler)| all.apart.add(*trainer, *sampler));
            }
        }
        Ok((all, gradients))
    }
}

/// What each token of a completion is multiplied by.
fn corrections(config: &RlkdConfig, trainer: &[f64], sampler: &[f32]) -> Vec<f64> {
    let cap = config.importance_sampling_cap;
    let apart: Vec<f64> = trainer.iter().zip(sampler).map(|(one, other)| one - f64::from(*other)).collect();
    let masked = |ratio: f64| if ratio > cap { 0.0 } else { ratio };
    let whole = apart.iter().sum::<f64>().exp();
    let one = |apart: &f64| match config.importance_sampling {
        Correction::None => 1.0,
        Correction::TokenTruncate => apart.exp().min(cap),
        Correction::TokenMask => masked(apart.exp()),
        Correction::SequenceTruncate => whole.min(cap),
        Correction::SequenceMask => masked(whole),
    };
    apart.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distill::round::Group;
    use crate::distill::sampler::Completion;
    use crate::train::grpo::Advantages;

    /// Every completion once and in order; groups are cut only where they are too long alone.
    #[test]
    fn completions_are_cut_into_parts() {
        let lengths = [[5, 9, 1, 4], [30, 2, 17, 8], [1, 1, 1, 1], [12, 12, 12, 12]];
        let group = |(task, lengths): (usize, &[usize; 4])| Group {
            task,
            completions: lengths
                .iter()
                .map(|length| Completion {
                    tokens: vec![7; *length],
                    logprobs: vec![0.0; *length],
                    text: String::new(),
                    ended: true,
                })
                .collect(),
            scored: Vec::new(),
            rewards: Vec::new(),
            agreement: Vec::new(),
            variety: None,
        };
        let round = Round {
            groups: lengths.iter().enumerate().map(group).collect(),
            advantages: Advantages::default(),
            masked: vec![false; 16],
            temperature: 1.0,
            old: None,
            reference: None,
            correction: None,
            dead: [0, 4],
        };
        let prompts: [&[u32]; 4] = [&[1, 2, 3], &[4; 6], &[5], &[6; 10]];
        let all: Vec<usize> = (0..16).filter(|at| *at != 6).collect();
        for most in [1, 8, 20, 40, 64, 1000] {
            let parts = parts(&round, &prompts, most, &all);
            assert_eq!(
                parts.iter().cloned().flatten().collect::<Vec<_>>(),
                (0..all.len()).collect::<Vec<_>>()
            );
            for part in &parts {
                let (texts, targets) = pack(&round, &prompts, &all[part.clone()]);
                let groups: std::collections::BTreeSet<usize> =
                    all[part.clone()].iter().map(|at| at / 4).collect();
                let learnt: usize =
                    all[part.clone()].iter().map(|at| round.completion(*at).1.tokens.len()).sum();
                let prompt: usize = groups.iter().map(|group| prompts[*group].len()).sum();
                assert_eq!(targets.len(), learnt);
                assert!(prompt + learnt <= most || part.len() == 1, "{most}: {part:?}");
                // Each token of a completion is asked for behind the one before it, the first behind its prompt.
                for target in &targets {
                    let text = texts.starts.partition_point(|start| *start <= target.row) - 1;
                    let own = texts.parents[text].is_some();
                    assert!(own || target.row + 1 == texts.starts[text + 1], "{most}: {target:?}");
                }
            }
        }
    }
}
