//! What ends a run before it does harm: rewards that no longer stand for what they are given for, that collapse, or teach nothing; a
//! sampler that is no longer the trainer's model.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::round::{Group, Rewards, summary};
use super::update::Apart;
use crate::error::{Error, Result};

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

/// Rounds that a level is the mean of.
const WINDOW: usize = 10;

/// How high the rewards of the last rounds are, and were at their best.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Level {
    /// Mean and standard deviation of the rewards of each of the last rounds.
    last: VecDeque<(f64, f64)>,
    best: Option<Best>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Best {
    step: u64,
    rounds: Mean,
    std: f64,
}

impl Level {
    /// Takes in a round's `reward` and `reward_std` (over its completions).
    ///
    /// # Errors
    /// Kind `Engine`: the mean of the last rounds is more than `most` standard deviations (of completions' rewards) below the best such
    /// mean, and by more than chance does between rounds. 0 asks for nothing.
    pub fn add(&mut self, step: u64, values: &BTreeMap<String, f64>, most: f64) -> Result<()> {
        let (Some(reward), Some(std)) = (values.get("reward"), values.get("reward_std")) else {
            return Ok(());
        };
        self.last.push_back((*reward, *std));
        if self.last.len() > WINDOW {
            self.last.pop_front();
        }
        if self.last.len() < WINDOW {
            return Ok(());
        }
        let (rewards, stds): (Vec<f64>, Vec<f64>) = self.last.iter().copied().unzip();
        let Some(now) = Mean::of(&rewards) else { return Ok(()) };
        let best = match self.best {
            Some(best) if best.rounds.value >= now.value => best,
            _ => Best { step, rounds: now, std: stds.iter().sum::<f64>() / WINDOW as f64 },
        };
        self.best = Some(best);
        let fell = best.rounds.value - now.value;
        if most == 0.0 || fell <= most * best.std || !now.is_below(&best.rounds) {
            return Ok(());
        }
        Err(Error::engine(format!(
            "rewards collapsed: the mean of {WINDOW} rounds was {:.3} at step {} and is {:.3} now, more than {most} standard deviations lower \
             (max_reward_drop). Begin again with a lower learning_rate, more completions a step, or a beta of 0.01 to 0.05; with \
             max_reward_drop = 0 the same command goes on. completions.jsonl shows what was written",
            best.rounds.value, best.step, now.value
        )))
    }
}

/// Holds what the sampler thought of its tokens against what the trainer thinks.
///
/// # Errors
/// Kind `Engine`: log-probabilities differ by more than `most` on average.
pub fn same_model(apart: &Apart, most: f64) -> Result<()> {
    let mean = apart.sum / apart.tokens.max(1) as f64;
    // What is no number is no difference: the gradients will be none either.
    if mean <= most || mean.is_nan() {
        return Ok(());
    }
    Err(Error::engine(format!(
        "the sampler is no longer the trainer's model: the log-probabilities of what it wrote differ by {mean:.3} on average \
         (max_sampling_difference = {most}). top_p, top_k and min_p make a difference, too. With a base of few bits both round differently: \
         take a larger type (Q8_0), or lower learning_rate; with kv of few bits, kv = \"f16\""
    )))
}

/// The error for a run whose groups taught nothing for so many rounds, with the rewards of the last one.
pub fn nothing_to_learn(rounds: u64, rewards: &[Option<f64>]) -> Error {
    let scored: Vec<f64> = rewards.iter().copied().flatten().collect();
    let why = if scored.is_empty() {
        "no completion got a reward: are there gold answers and teachers' traces, and can the decomposer read what is written?".into()
    } else {
        let mean = scored.iter().sum::<f64>() / scored.len() as f64;
        format!(
            "all completions of a problem get the same reward, {mean:.3} on average: the problems are too easy or too hard for the student, or its \
             temperature too low"
        )
    };
    Error::engine(format!("nothing was learnt for {rounds} rounds: {why}; completions.jsonl shows some"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewards_that_collapse_end_a_run() {
        let values =
            |reward: f64| BTreeMap::from([("reward".to_owned(), reward), ("reward_std".to_owned(), 0.5)]);
        let run = |most: f64| {
            let mut level = Level::default();
            let rise = (0..20).map(|step| 0.1 + 0.02 * step as f64);
            let fall = (0..30).map(|step| 0.5 - 0.03 * step as f64);
            rise.chain(fall)
                .enumerate()
                .find_map(|(step, reward)| level.add(step as u64, &values(reward), most).err())
        };
        let told = run(0.5).expect("told").to_string();
        assert!(told.contains("was 0.4") && told.contains("at step 2"), "{told}");
        assert!(run(0.0).is_none() && run(5.0).is_none());
        // All right for long, and one completion is wrong: next to no fall, beside next to no deviation.
        let mut level = Level::default();
        let nearly = |step: u64| match step {
            30 => BTreeMap::from([("reward".to_owned(), 0.99), ("reward_std".to_owned(), 0.1)]),
            _ => BTreeMap::from([("reward".to_owned(), 1.0), ("reward_std".to_owned(), 0.0)]),
        };
        assert!((0..60).all(|step| level.add(step, &nearly(step), 0.5).is_ok()));
        // Noise about a level is no collapse.
        let mut level = Level::default();
        let noise = |step: u64| 0.5 + if step.is_multiple_of(2) { 0.2 } else { -0.2 };
        assert!((0..200).all(|step| level.add(step, &values(noise(step)), 0.5).is_ok()));
    }

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
