//! Whether a reward still stands for what it is given for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::round::{Group, Rewards, summary};

/// Standard errors by which a mean has to fall to be called lower.
const ERRORS: f64 = 2.0;

/// What an evaluation found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Looked {
    /// Steps that were taken before.
    pub step: u64,
    /// Mean reward.
    reward: Option<Mean>,
    /// Share of right answers.
    accuracy: Option<Mean>,
    /// Mean agreement with the true structure.
    agreement: Option<Mean>,
    /// Whether the reward rose while one of the others fell.
    pub hacked: bool,
    values: BTreeMap<String, f64>,
}

/// A mean over problems, and the error that it has from their number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Mean {
    value: f64,
    error: f64,
}

impl Mean {
    fn of(values: &[f64]) -> Option<Self> {
        let count = values.len() as f64;
        let value = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|x| (x - value).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
        (!values.is_empty()).then(|| Mean { value, error: (variance / count).sqrt() })
    }

    /// Whether this is lower than another, beyond what chance does.
    fn is_below(&self, other: &Mean) -> bool {
        other.value - self.value > ERRORS * self.error.hypot(other.error).max(1e-9)
    }
}

impl Looked {
    /// What groups say, a mean over each first.
    pub fn new(step: u64, groups: &[Group], rewards: &Rewards) -> Self {
        let mean = |all: Vec<f64>| (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64);
        let by_group =
            |of: &dyn Fn(&Group) -> Option<f64>| Mean::of(&groups.iter().filter_map(of).collect::<Vec<_>>());
        let accuracy = |group: &Group| {
            mean(group.scored.iter().filter_map(|one| one.parts.get("accuracy")?.value).collect())
        };
        let reward =
            |group: &Group| mean(group.rewards.iter().filter_map(|row| rewards.total(row)).collect());
        Looked {
            step,
            reward: by_group(&reward),
            accuracy: by_group(&accuracy),
            agreement: by_group(&|group| mean(group.agreement.clone())),
            hacked: false,
            values: summary(groups, rewards),
        }
    }

    /// All values.
    pub fn values(&self) -> BTreeMap<String, f64> {
        self.values.clone()
    }

    /// What is to be said if the reward is higher than it was when accuracy, or agreement with the true structure, was best, and that is
    /// lower now; beyond what chance does.
    pub fn hacked(&self, before: &[Looked]) -> Option<String> {
        let fell = |name: &str, of: &dyn Fn(&Looked) -> Option<Mean>| {
            let now = of(self)?;
            let with = before.iter().filter_map(|one| Some((one, of(one)?)));
            let (then, best) = with.max_by(|one, other| one.1.value.total_cmp(&other.1.value))?;
            let (reward, was) = (self.reward?, then.reward?);
            (was.is_below(&reward) && now.is_below(&best)).then(|| {
                format!(
                    "the reward rises and {name} falls: since step {} the reward went from {:.3} to {:.3}, and {name} from {:.3} to {:.3}. The student may \
                     have found a way around what the reward is for: look at completions.jsonl with `rlkd explain`.",
                    then.step, was.value, reward.value, best.value, now.value
                )
            })
        };
        fell("accuracy", &|one| one.accuracy).or_else(|| fell("true structure", &|one| one.agreement))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked(step: u64, reward: f64, accuracy: f64, agreement: Option<f64>) -> Looked {
        let mean = |value| Mean { value, error: 0.02 };
        Looked {
            step,
            reward: Some(mean(reward)),
            accuracy: Some(mean(accuracy)),
            agreement: agreement.map(mean),
            ..Looked::default()
        }
    }

    #[test]
    fn a_reward_that_rises_alone_is_told() {
        let first = looked(0, 0.5, 0.4, Some(0.5));
        assert_eq!(looked(10, 0.9, 0.6, Some(0.5)).hacked(&[]), None);
        assert_eq!(looked(10, 0.9, 0.6, Some(0.5)).hacked(std::slice::from_ref(&first)), None);
        // Within chance.
        assert_eq!(looked(10, 0.9, 0.36, Some(0.46)).hacked(std::slice::from_ref(&first)), None);
        let told = looked(10, 0.9, 0.3, Some(0.5)).hacked(std::slice::from_ref(&first)).expect("told");
        assert!(told.contains("accuracy") && told.contains("since step 0"), "{told}");
        let told = looked(10, 0.9, 0.5, Some(0.2)).hacked(std::slice::from_ref(&first)).expect("told");
        assert!(told.contains("true structure"), "{told}");
        // All fall: that is no hack.
        assert_eq!(looked(10, 0.3, 0.1, Some(0.1)).hacked(std::slice::from_ref(&first)), None);
        // Beside the best, and not beside the last.
        let peak = looked(10, 0.7, 0.6, None);
        assert!(looked(30, 0.9, 0.5, None).hacked(&[first, peak, looked(20, 0.8, 0.5, None)]).is_some());
    }
}
