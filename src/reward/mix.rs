//! One number out of several rewards.
//!
//! What happens to skips decides whether totals can be compared, and they are compared: the trainer subtracts
//! the mean over the students of a problem. So:
//! - a part that is skipped for **all** students of a problem is left out for all of them. The totals are
//!   lower or higher than those of another problem, but comparable with each other;
//! - a part that is skipped for **some** of them makes the totals of those `None`. Left out of their sums it
//!   would count as a 0, which is a judgement that nobody made;
//! - a part with weight 0 is shown and counts for nothing, whether scored or skipped;
//! - a student for whom nothing that counts was scored has no total.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Group, Reward, find};
use crate::error::{Error, Result};
use crate::trace::Outcome;

/// Added to a standard deviation before it divides, as TRL and the released recipe do.
const EPSILON: f64 = 1e-4;

/// How parts of different ranges are brought together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// Σ wᵢ·vᵢ, as TRL's `reward_weights`.
    #[default]
    Sum,
    /// Σ wᵢ·(vᵢ − mean)/(std + 1e-4) over the scored students of one problem, std unbiased; 0 for a group of
    /// one. The per-reward normalisation of GDPO (arXiv 2601.05242); its normalisation over the batch is the
    /// trainer's.
    NormalizeThenSum,
}

/// Which rewards are mixed, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MixConfig {
    /// Weights by reward name. A reward with weight 0 is computed and shown, and counts for nothing.
    pub weights: BTreeMap<String, f64>,
    /// How they are brought together.
    pub scaling: Scaling,
    /// Parameters by reward name; absent ones take their defaults.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, toml::Table>,
}

impl Default for MixConfig {
    /// The weights of the released recipe: accuracy 15, format 10, tag_count 10, structure 15, summed.
    fn default() -> Self {
        let weights = [("accuracy", 15.0), ("format", 10.0), ("tag_count", 10.0), ("structure", 15.0)];
        let weights = weights.into_iter().map(|(name, weight)| (name.to_owned(), weight)).collect();
        MixConfig { weights, scaling: Scaling::Sum, params: BTreeMap::new() }
    }
}

/// Rewards with their weights, ready to score.
pub struct Mix {
    parts: Vec<(Box<dyn Reward>, f64)>,
    scaling: Scaling,
}

/// What a mix says of one student.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixed {
    /// The total; `None` if it could not be given.
    pub reward: Option<f64>,
    /// Every reward of the mix, in order of their names.
    pub parts: Vec<MixedPart>,
}

/// What one reward says of one student.
#[derive(Clone, Debug, PartialEq)]
pub struct MixedPart {
    /// The reward's name (never an alias).
    pub name: &'static str,
    /// Its value as the reward gave it, or why there is none.
    pub outcome: Outcome,
    /// Its weight.
    pub weight: f64,
}

impl Mix {
    /// Makes the rewards of `config`.
    ///
    /// # Errors
    /// If there is no reward, a name is unknown or stands twice (under an alias), a weight is not finite, or
    /// parameters are wrong or belong to no reward of the mix.
    pub fn new(config: &MixConfig) -> Result<Self> {
        let mut named: BTreeMap<&'static str, (Box<dyn Reward>, f64)> = BTreeMap::new();
        let mut params = BTreeMap::new();
        for (name, table) in &config.params {
            let entry = find(name)?;
            if params.insert(entry.name, table).is_some() {
                return Err(Error::config(format!(
                    "parameters of {} are given twice; {name:?} is an alias",
                    entry.name
                )));
            }
        }
        for (name, &weight) in &config.weights {
            let entry = find(name)?;
            if !weight.is_finite() {
                return Err(Error::config(format!("weight of {name} must be a finite number, not {weight}")));
            }
            let reward = (entry.build)(params.remove(entry.name).unwrap_or(&toml::Table::new()))?;
            if named.insert(entry.name, (reward, weight)).is_some() {
                let message =
                    format!("{} has two weights; {name:?} is an alias, keep one of them", entry.name);
                return Err(Error::config(message));
            }
        }
        if let Some((name, _)) = params.pop_first() {
            return Err(Error::config(format!(
                "{name} has parameters but no weight; give it one, if only 0"
            )));
        }
        if named.is_empty() {
            return Err(Error::config("no reward has a weight; give at least one, such as accuracy = 1.0"));
        }
        Ok(Mix { parts: named.into_values().collect(), scaling: config.scaling })
    }

    /// The names and weights of the parts, in order of names.
    pub fn weights(&self) -> impl Iterator<Item = (&'static str, f64)> + '_ {
        self.parts.iter().map(|(reward, weight)| (reward.name(), *weight))
    }

    /// Whether the reward of that name is part of the mix.
    pub fn has(&self, name: &str) -> bool {
        self.weights().any(|(part, _)| part == name)
    }

    /// Scores all students of one problem, in order.
    ///
    /// # Errors
    /// If a reward fails; a value that is not finite is a skip instead.
    pub fn score(&self, group: &Group<'_>) -> Result<Vec<Mixed>> {
        let students = group.sample.students.len();
        let mut columns: Vec<(&'static str, f64, Vec<Outcome>)> = Vec::with_capacity(self.parts.len());
        for (reward, weight) in &self.parts {
            let mut outcomes = reward.score(group)?;
            if outcomes.len() != students {
                let (name, given) = (reward.name(), outcomes.len());
                return Err(Error::engine(format!(
                    "reward {name} gave {given} outcomes for {students} students"
                )));
            }
            for outcome in &mut outcomes {
                if outcome.value().is_some_and(|value| !value.is_finite()) {
                    *outcome = Outcome::skipped("not a finite number");
                }
            }
            columns.push((reward.name(), *weight, outcomes));
        }
        let parts: Vec<PartColumn<'_>> =
            columns.iter().map(|(_, weight, outcomes)| PartColumn { weight: *weight, outcomes }).collect();
        let rewards = mix(&parts, self.scaling);
        let mixed = |(student, reward): (usize, Option<f64>)| Mixed {
            reward,
            parts: columns
                .iter()
                .map(|(name, weight, outcomes)| MixedPart {
                    name,
                    weight: *weight,
                    outcome: outcomes[student].clone(),
                })
                .collect(),
        };
        Ok(rewards.into_iter().enumerate().map(mixed).collect())
    }
}

/// What one reward says of all students of a problem, with its weight.
#[derive(Clone, Copy, Debug)]
pub struct PartColumn<'a> {
    /// The weight; finite.
    pub weight: f64,
    /// One outcome per student, in order. A value that is not finite counts as a skip.
    pub outcomes: &'a [Outcome],
}

/// The totals of all students of one problem, by the rules at the head of [this module](self). Finite, or `None`.
///
/// The students are as many as the longest column has outcomes; a shorter one counts as skipped for the rest.
/// A total beyond the range of `f64` is `None` too.
pub fn mix(parts: &[PartColumn<'_>], scaling: Scaling) -> Vec<Option<f64>> {
    let students = parts.iter().map(|part| part.outcomes.len()).max().unwrap_or(0);
    let mut totals = vec![Some(0.0); students];
    let mut is_scored = false;
    for part in parts.iter().filter(|part| part.weight != 0.0) {
        let values = column(part.outcomes, students, scaling);
        if values.iter().all(Option::is_none) {
            continue;
        }
        is_scored = true;
        for (total, value) in totals.iter_mut().zip(values) {
            *total = total.zip(value).map(|(total, value)| total + part.weight * value);
        }
    }
    for total in &mut totals {
        *total = total.filter(|total| is_scored && total.is_finite());
    }
    totals
}

/// The values of one part as they enter the sum.
fn column(outcomes: &[Outcome], students: usize, scaling: Scaling) -> Vec<Option<f64>> {
    let finite = |outcome: &Outcome| outcome.value().filter(|value| value.is_finite());
    let mut values: Vec<Option<f64>> = outcomes.iter().map(finite).collect();
    values.resize(students, None);
    if scaling == Scaling::NormalizeThenSum {
        let mut scored: Vec<f64> = values.iter().copied().flatten().collect();
        // In order of size, so that the sums do not depend on the order of the students.
        scored.sort_by(f64::total_cmp);
        let count = scored.len() as f64;
        // Equal values are 0 exactly, whatever rounding makes of their mean.
        let is_flat = scored.first() == scored.last();
        let mean = scored.iter().sum::<f64>() / count;
        let deviation =
            (scored.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt();
        let normalise = |value: f64| if is_flat { 0.0 } else { (value - mean) / (deviation + EPSILON) };
        for value in values.iter_mut().flatten() {
            *value = normalise(*value);
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::Scored;

    fn skip() -> Outcome {
        Outcome::skipped("not known")
    }

    fn totals(parts: &[(f64, Vec<Outcome>)], scaling: Scaling) -> Vec<Option<f64>> {
        let parts: Vec<_> =
            parts.iter().map(|(weight, outcomes)| PartColumn { weight: *weight, outcomes }).collect();
        mix(&parts, scaling)
    }

    #[test]
    fn a_skip_is_never_a_zero() {
        let a = (2.0, vec![Scored(1.0), Scored(0.5), Scored(0.0)]);
        let sum = |parts: &[_]| totals(parts, Scaling::Sum);
        assert_eq!(sum(&[]), vec![]);
        assert_eq!(sum(std::slice::from_ref(&a)), [Some(2.0), Some(1.0), Some(0.0)]);
        // Skipped for all: left out for all.
        assert_eq!(sum(&[a.clone(), (3.0, vec![skip(), skip(), skip()])]), [Some(2.0), Some(1.0), Some(0.0)]);
        // Skipped for some: those have no total.
        assert_eq!(
            sum(&[a.clone(), (3.0, vec![Scored(1.0), skip(), Scored(1.0)])]),
            [Some(5.0), None, Some(3.0)]
        );
        // Weight 0 counts for nothing.
        assert_eq!(
            sum(&[a.clone(), (0.0, vec![skip(), Scored(9.0), skip()])]),
            [Some(2.0), Some(1.0), Some(0.0)]
        );
        assert_eq!(sum(&[(0.0, vec![Scored(9.0)])]), [None]);
        assert_eq!(sum(&[(1.0, vec![skip(), skip()])]), [None, None]);
        // Out of range, and not a number.
        assert_eq!(sum(&[(1e308, vec![Scored(1e308), Scored(1.0)])]), [None, Some(1e308)]);
        assert_eq!(sum(&[(1.0, vec![Scored(f64::NAN), Scored(1.0)])]), [None, Some(1.0)]);
        assert_eq!(sum(&[a, (1.0, vec![Scored(1.0)])]), [Some(3.0), None, None]);
    }

    #[test]
    fn normalising_takes_the_range_out() {
        let normal = |parts: &[_]| totals(parts, Scaling::NormalizeThenSum);
        // mean 2, unbiased std sqrt(2).
        let expected = 1.0 / (2f64.sqrt() + 1e-4);
        assert_eq!(normal(&[(1.0, vec![Scored(1.0), Scored(3.0)])]), [Some(-expected), Some(expected)]);
        assert_eq!(normal(&[(1.0, vec![Scored(7.0)])]), [Some(0.0)]);
        assert_eq!(normal(&[(1.0, vec![Scored(0.1), Scored(0.1), Scored(0.1)])]), [Some(0.0); 3]);
        // Over the scored students only.
        let skipping = normal(&[(1.0, vec![Scored(1.0), skip(), Scored(3.0)])]);
        assert_eq!(skipping, [Some(-expected), None, Some(expected)]);
        // A part of a hundred times the range weighs the same, up to the epsilon.
        let wide = normal(&[(1.0, vec![Scored(100.0), Scored(300.0)])]);
        assert!((wide[1].unwrap() - expected).abs() < 1e-4);
    }

    #[test]
    fn wrong_configurations_say_what_is_wrong() {
        let config = |weights: &[(&str, f64)]| MixConfig {
            weights: weights.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect(),
            ..MixConfig::default()
        };
        let message = |config: &MixConfig| Mix::new(config).err().unwrap().to_string();
        assert!(message(&config(&[("acuracy", 1.0)])).contains("did you mean \"accuracy\"?"));
        assert!(
            message(&config(&[("accuracy", f64::NAN)]))
                .contains("weight of accuracy must be a finite number")
        );
        assert!(message(&config(&[("format", f64::INFINITY)])).contains("not inf"));
        assert!(message(&config(&[("len", 1.0), ("length", 1.0)])).contains("length has two weights"));
        assert!(message(&config(&[])).contains("no reward has a weight"));
        let mut with = config(&[("accuracy", 1.0)]);
        with.params.insert("cosine".into(), toml::Table::new());
        assert!(message(&with).contains("cosine has parameters but no weight"));
        let mut with = config(&[("cosine", 1.0)]);
        with.params.insert("cosine_scaled".into(), toml::toml! { max_length = 10 });
        assert!(message(&with).contains("cosine has no parameter \"max_length\"; did you mean \"max_len\"?"));
        assert!(toml::from_str::<MixConfig>("scalling = \"sum\"").is_err());
        let read: MixConfig = toml::from_str("scaling = \"normalize_then_sum\"\n[weights]\nlen = 1").unwrap();
        assert_eq!(read.scaling, Scaling::NormalizeThenSum);
        assert_eq!(Mix::new(&read).unwrap().weights().collect::<Vec<_>>(), [("length", 1.0)]);
    }
}
