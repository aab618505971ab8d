//! Sampling by its definitions: everything sorted, everything in 64 bits, one step after the other.
//! Shared by the tests and the bench.

// Each of them uses a part of this.
#![allow(dead_code)]

use rlkd::llama::sample::Sampling;

/// A distribution over a vocabulary.
pub struct Distribution {
    /// The probability of each token; 0 for those that were taken away.
    pub probabilities: Vec<f64>,
    /// How near a truncation came to deciding otherwise, as a fraction of 1. Below the precision of 32-bit weights the
    /// kept set is a matter of rounding.
    pub margin: f64,
}

/// Logits after mask, bias and penalties, which are defined in 32 bits as the models give them.
pub fn adjusted(logits: &[f32], mask: Option<&[u32]>, before: &[u32], sampling: &Sampling) -> Vec<f32> {
    let window = match sampling.penalty_window as usize {
        0 => before,
        size => &before[before.len().saturating_sub(size)..],
    };
    let mut out = logits.to_vec();
    for (token, logit) in out.iter_mut().enumerate() {
        if let Some(bias) = sampling.logit_bias.get(&(token as u32)) {
            *logit += bias;
        }
        let count = window.iter().filter(|other| **other as usize == token).count();
        if count > 0 {
            if *logit < 0.0 {
                *logit *= sampling.repetition_penalty;
            } else {
                *logit /= sampling.repetition_penalty;
            }
            *logit -= count as f32 * sampling.frequency_penalty + sampling.presence_penalty;
        }
        let allowed =
            mask.is_none_or(|mask| mask.get(token / 32).is_some_and(|word| word >> (token % 32) & 1 == 1));
        if !allowed {
            *logit = f32::NEG_INFINITY;
        }
    }
    out
}

/// The softmax of `logits` / `temperature`.
pub fn softmax(logits: &[f32], temperature: f64) -> Vec<f64> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f64> =
        logits.iter().map(|x| ((f64::from(*x) - f64::from(max)) / temperature).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

/// The largest, the lowest id of equal ones.
pub fn greedy(logits: &[f32]) -> usize {
    let mut best = 0;
    for (token, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = token;
        }
    }
    best
}

fn renormalise(probabilities: &mut [f64]) {
    let sum: f64 = probabilities.iter().sum();
    probabilities.iter_mut().for_each(|p| *p /= sum);
}

/// What a token is drawn from, for logits that went through [`adjusted`].
pub fn distribution(adjusted: &[f32], sampling: &Sampling) -> Distribution {
    let mut probabilities = softmax(adjusted, f64::from(sampling.temperature));
    let mut margin = f64::INFINITY;
    let mut order: Vec<usize> = (0..adjusted.len()).collect();
    order.sort_by(|a, b| adjusted[*b].partial_cmp(&adjusted[*a]).expect("numbers").then(a.cmp(b)));
    if sampling.top_k > 0 {
        for token in order.iter().skip(sampling.top_k as usize) {
            probabilities[*token] = 0.0;
        }
        renormalise(&mut probabilities);
    }
    if sampling.top_p < 1.0 {
        let mut before = 0.0;
        for (place, token) in order.iter().enumerate() {
            let own = probabilities[*token];
            if place > 0 && own > 0.0 {
                margin = margin.min((before - f64::from(sampling.top_p)).abs());
            }
            if place > 0 && before >= f64::from(sampling.top_p) {
                probabilities[*token] = 0.0;
            }
            before += own;
        }
        renormalise(&mut probabilities);
    }
    if sampling.min_p > 0.0 {
        let largest = probabilities.iter().copied().fold(0.0, f64::max);
        for p in &mut probabilities {
            let ratio = *p / largest;
            if *p > 0.0 && ratio < 1.0 {
                margin = margin.min((ratio / f64::from(sampling.min_p) - 1.0).abs());
            }
            if ratio < f64::from(sampling.min_p) {
                *p = 0.0;
            }
        }
        renormalise(&mut probabilities);
    }
    Distribution { probabilities, margin }
}

/// The upper tail of the chi-square distribution: the probability of a value of at least `statistic` with `freedom`
/// degrees of freedom, by the approximation of Wilson and Hilferty (1931).
pub fn chi_square_tail(statistic: f64, freedom: f64) -> f64 {
    let spread = 2.0 / (9.0 * freedom);
    let z = ((statistic / freedom).cbrt() - (1.0 - spread)) / spread.sqrt();
    // Abramowitz and Stegun 26.2.17, for the normal distribution's tail.
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let series = t
        * (0.319_381_530
            + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    let tail = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * series;
    if z >= 0.0 { tail } else { 1.0 - tail }
}
