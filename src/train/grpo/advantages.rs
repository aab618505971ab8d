//! From rewards to advantages.

use super::{Aggregation, GrpoConfig, ScaleRewards};
use crate::error::{Error, Result};

/// Added to what differences are divided by, as in TRL.
const LEAST_STD: f64 = 1e-4;
/// Below it, rewards are all the same (`torch.isclose`).
const SAME: f64 = 1e-8;

/// What a batch's rewards came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Advantages {
    /// Of each completion; 0 for those that have no reward, and where there is nothing to compare with.
    pub values: Vec<f64>,
    /// The weighted sum of each completion's rewards; none if it has none at all.
    pub rewards: Vec<Option<f64>>,
    /// Share of completions whose group (or batch) has rewards that are all the same: they teach nothing.
    pub frac_reward_zero_std: f64,
    /// Groups in which no completion has a reward.
    pub without_rewards: usize,
}

/// Makes advantages of the rewards of each completion (`None`: skipped), which lie group by group. A reward that was
/// skipped leaves the baseline of its kind; a completion without any leaves the group.
///
/// # Errors
/// Groups that are not whole or of one, rows that are not as long as `weights`, or what is no number.
pub fn advantages(
    rewards: &[Vec<Option<f64>>],
    weights: &[f64],
    num_generations: usize,
    config: &GrpoConfig,
) -> Result<Advantages> {
    if num_generations < 2 {
        return Err(Error::config(format!("num_generations = {num_generations}: at least 2, to compare")));
    }
    if !rewards.len().is_multiple_of(num_generations) {
        return Err(Error::config(format!(
            "{} completions are no whole groups of {num_generations}",
            rewards.len()
        )));
    }
    if let Some(row) = rewards.iter().find(|row| row.len() != weights.len()) {
        return Err(Error::config(format!("{} rewards and {} weights", row.len(), weights.len())));
    }
    if let Some(reward) = rewards.iter().flatten().flatten().chain(weights).find(|x| !x.is_finite()) {
        return Err(Error::data(format!(
            "a reward or a weight is {reward}: a reward that cannot be given is skipped"
        )));
    }
    let sum = |row: &Vec<Option<f64>>| -> Option<f64> {
        let mut found =
            row.iter().zip(weights).filter_map(|(reward, weight)| Some((*reward)? * weight)).peekable();
        found.peek()?;
        Some(found.sum())
    };
    let sums: Vec<Option<f64>> = rewards.iter().map(sum).collect();
    // What is compared, what with, and by how much it is divided: of each completion.
    let compared: Vec<Option<f64>> = match config.multi_objective_aggregation {
        Aggregation::SumThenNormalize => sums.clone(),
        Aggregation::NormalizeThenSum => {
            let mut all = vec![None; rewards.len()];
            for (kind, weight) in weights.iter().enumerate() {
                for (group, rows) in rewards.chunks(num_generations).enumerate() {
                    let own: Vec<Option<f64>> = rows.iter().map(|row| row[kind]).collect();
                    let (Some(mean), Some(std)) = (mean(&own), std(&own)) else { continue };
                    for (at, reward) in own.iter().enumerate() {
                        let Some(reward) = reward else { continue };
                        let more = (reward - mean) / (std + LEAST_STD) * weight;
                        *all[group * num_generations + at].get_or_insert(0.0) += more;
                    }
                }
            }
            // What has rewards but nothing to compare them with stands where it would on average.
            all.into_iter().zip(&sums).map(|(own, sum)| own.or(sum.map(|_| 0.0))).collect()
        }
    };
    let mut values = vec![0.0; rewards.len()];
    let mut same = 0;
    let by_batch = (mean(&compared), std(&compared));
    for (group, own) in compared.chunks(num_generations).enumerate() {
        let by_group = (mean(own), std(own));
        let ((mean, std), divides) = match config.multi_objective_aggregation {
            Aggregation::NormalizeThenSum => (by_batch, true),
            Aggregation::SumThenNormalize => match config.scale_rewards {
                ScaleRewards::Group => (by_group, true),
                ScaleRewards::Batch => ((by_group.0, by_batch.1), true),
                ScaleRewards::None => (by_group, false),
            },
        };
        same += usize::from(std.is_some_and(|std| std <= SAME)) * num_generations;
        for (at, reward) in own.iter().enumerate() {
            let divisor = if divides { std.map(|std| std + LEAST_STD) } else { Some(1.0) };
            if let (Some(reward), Some(mean), Some(divisor)) = (reward, mean, divisor) {
                values[group * num_generations + at] = (reward - mean) / divisor;
            }
        }
    }
    let without_rewards = sums.chunks(num_generations).filter(|own| own.iter().all(Option::is_none)).count();
    let frac_reward_zero_std = same as f64 / rewards.len().max(1) as f64;
    Ok(Advantages { values, rewards: sums, frac_reward_zero_std, without_rewards })
}

/// The mean of those that are there.
pub(super) fn mean(values: &[Option<f64>]) -> Option<f64> {
    let count = values.iter().flatten().count();
    (count > 0).then(|| values.iter().flatten().sum::<f64>() / count as f64)
}

/// Their standard deviation, with one less in the denominator; none of one.
fn std(values: &[Option<f64>]) -> Option<f64> {
    let (mean, count) = (mean(values)?, values.iter().flatten().count());
    let squares: f64 = values.iter().flatten().map(|value| (value - mean).powi(2)).sum();
    (count > 1).then(|| (squares / (count - 1) as f64).sqrt())
}
