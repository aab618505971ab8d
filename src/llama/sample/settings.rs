//! How tokens are chosen: the settings of a sampler.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The smallest temperature above 0: what is below cannot be told from greedy in 32-bit logits.
const LOWEST_TEMPERATURE: f32 = 1e-6;

/// How a token is chosen from logits. Names and ranges are those of `transformers`, TRL, vLLM and llama.cpp.
///
/// The steps, in the order in which `transformers` takes them: the grammar's mask, `logit_bias`,
/// `repetition_penalty`, `frequency_penalty` and `presence_penalty`, `temperature`, `top_k`, `top_p`, `min_p`.
/// Each truncation sees the distribution that the one before has left, renormalised.
///
/// The default changes nothing: it samples from the softmax of the logits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sampling {
    /// Divides the logits; 0 takes the largest (ties: the lowest id). 0, or from 0.000001 up.
    pub temperature: f32,
    /// Keeps the `top_k` largest logits (ties: the lowest ids); 0 keeps all.
    pub top_k: u32,
    /// Keeps the fewest most likely tokens whose probabilities sum to at least `top_p`. Above 0, up to 1 (keeps all).
    pub top_p: f32,
    /// Keeps tokens of at least `min_p` times the probability of the most likely one. From 0 (keeps all) to 1.
    pub min_p: f32,
    /// Divides positive logits of tokens that came before, multiplies negative ones. Above 0; 1 changes nothing
    /// (Keskar et al., 2019).
    pub repetition_penalty: f32,
    /// Subtracted from the logits of tokens that came before. From -2 to 2; 0 changes nothing.
    pub presence_penalty: f32,
    /// Subtracted once for each time that a token came before. From -2 to 2; 0 changes nothing.
    pub frequency_penalty: f32,
    /// How many of the last accepted tokens the penalties look at; 0 looks at all of them.
    pub penalty_window: u32,
    /// Added to the logits of tokens, by id; `-inf` forbids a token.
    pub logit_bias: BTreeMap<u32, f32>,
    /// Whether [`Choice::logprob_raw`](super::Choice::logprob_raw) is wanted, which reads the whole vocabulary.
    pub logprobs: bool,
}

impl Default for Sampling {
    fn default() -> Self {
        Sampling {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            penalty_window: 0,
            logit_bias: BTreeMap::new(),
            logprobs: false,
        }
    }
}

impl Sampling {
    /// Always the most likely token.
    pub fn greedy() -> Self {
        Sampling { temperature: 0.0, ..Self::default() }
    }

    /// Whether every setting is in its range.
    ///
    /// # Errors
    /// The first that is not, with its range.
    pub fn check(&self) -> Result<()> {
        let out = |name: &str, value: f32, range: &str| {
            Err(Error::config(format!("`{name}` is {value}, it must be {range}")))
        };
        let two = -2.0..=2.0;
        if self.temperature != 0.0 && !(LOWEST_TEMPERATURE..=f32::MAX).contains(&self.temperature) {
            return out("temperature", self.temperature, "0 (greedy) or a finite number from 0.000001 up");
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return out("top_p", self.top_p, "above 0 and at most 1 (off)");
        }
        if !(0.0..=1.0).contains(&self.min_p) {
            return out("min_p", self.min_p, "from 0 (off) to 1");
        }
        if !(self.repetition_penalty > 0.0 && self.repetition_penalty.is_finite()) {
            return out("repetition_penalty", self.repetition_penalty, "a finite number above 0 (1 is off)");
        }
        if !two.contains(&self.presence_penalty) {
            return out("presence_penalty", self.presence_penalty, "from -2 to 2 (0 is off)");
        }
        if !two.contains(&self.frequency_penalty) {
            return out("frequency_penalty", self.frequency_penalty, "from -2 to 2 (0 is off)");
        }
        match self.logit_bias.iter().find(|(_, bias)| bias.is_nan() || **bias == f32::INFINITY) {
            Some((token, bias)) => {
                out(&format!("logit_bias.{token}"), *bias, "a finite number, or -inf to forbid the token")
            }
            None => Ok(()),
        }
    }

    /// Whether the last tokens matter.
    pub(super) fn penalises(&self) -> bool {
        self.repetition_penalty != 1.0 || self.presence_penalty != 0.0 || self.frequency_penalty != 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_held_and_told() {
        type Change = fn(&mut Sampling);
        let bad: [(Change, &str); 17] = [
            (|s| s.temperature = -0.5, "`temperature` is -0.5, it must be 0 (greedy)"),
            (|s| s.temperature = f32::NAN, "`temperature` is NaN"),
            (|s| s.temperature = f32::INFINITY, "`temperature` is inf"),
            (|s| s.temperature = 1e-7, "from 0.000001 up"),
            (|s| s.top_p = 0.0, "`top_p` is 0, it must be above 0 and at most 1"),
            (|s| s.top_p = 1.01, "`top_p` is 1.01"),
            (|s| s.top_p = f32::NAN, "`top_p` is NaN"),
            (|s| s.min_p = -0.1, "`min_p` is -0.1, it must be from 0 (off) to 1"),
            (|s| s.min_p = 1.5, "`min_p` is 1.5"),
            (|s| s.min_p = f32::NAN, "`min_p` is NaN"),
            (|s| s.repetition_penalty = 0.0, "`repetition_penalty` is 0, it must be a finite number above 0"),
            (|s| s.repetition_penalty = f32::INFINITY, "`repetition_penalty` is inf"),
            (|s| s.presence_penalty = 2.1, "`presence_penalty` is 2.1, it must be from -2 to 2"),
            (|s| s.frequency_penalty = f32::NAN, "`frequency_penalty` is NaN"),
            (|s| s.frequency_penalty = -3.0, "`frequency_penalty` is -3"),
            (|s| s.logit_bias = [(7, f32::INFINITY)].into(), "`logit_bias.7` is inf, it must be a finite"),
            (|s| s.logit_bias = [(7, f32::NAN)].into(), "`logit_bias.7` is NaN"),
        ];
        for (change, expected) in bad {
            let mut sampling = Sampling::default();
            change(&mut sampling);
            let error = sampling.check().expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
        let good: [Change; 6] = [
            |s| *s = Sampling::greedy(),
            |s| s.temperature = 1e-6,
            |s| s.temperature = 1e30,
            |s| (s.top_p, s.min_p, s.top_k) = (1e-6, 1.0, u32::MAX),
            |s| (s.presence_penalty, s.frequency_penalty) = (-2.0, 2.0),
            |s| s.logit_bias = [(0, f32::NEG_INFINITY)].into(),
        ];
        for change in good {
            let mut sampling = Sampling::default();
            change(&mut sampling);
            assert!(sampling.check().is_ok(), "{sampling:?}");
        }
    }

    #[test]
    fn a_run_file_says_what_differs_and_no_more() {
        let sampling: Sampling =
            toml::from_str("temperature = 0.6\ntop_p = 0.95\nlogit_bias = { 5 = -inf }").expect("settings");
        assert_eq!((sampling.temperature, sampling.top_p, sampling.top_k), (0.6, 0.95, 0));
        assert_eq!(sampling.logit_bias[&5], f32::NEG_INFINITY);
        let error = toml::from_str::<Sampling>("topp = 0.9").expect_err("an unknown key").to_string();
        assert!(error.contains("topp"), "{error}");
    }
}
