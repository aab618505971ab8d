//! A round of completions: written, scored, compared within their groups.

use std::collections::BTreeMap;
use std::time::Instant;

use super::config::{DeadGroups, RewardConfig, RlkdConfig};
use super::data::Task;
use super::sampler::{Completion, Sampler, as_students};
use crate::align::tree::Variety;
use crate::error::{Error, Result};
use crate::llama::sample::Sampling;
use crate::score::{Scored, Scorer};
use crate::seed::Seed;
use crate::synth::agreement::agreement;
use crate::train::grpo::{Advantages, GrpoConfig, advantages};

/// The reward of the bound of a completion's length.
const OVERLONG: &str = "soft_overlong_punishment";

/// The completions of a problem.
#[derive(Clone, Debug)]
pub struct Group {
    /// The problem, by its place among all.
    pub task: usize,
    /// What was written.
    pub completions: Vec<Completion>,
    /// How it was scored, in the same order.
    pub scored: Vec<Scored>,
    /// Rewards of each, in the order of the names of [`Rewards`]; all skipped where one was skipped that others have.
    pub rewards: Vec<Vec<Option<f64>>>,
    /// How far each agrees with the true structure, where that is known.
    pub agreement: Vec<f64>,
    /// How differently they go, where their steps are known.
    pub variety: Option<Variety>,
}

/// The rewards by name, with what they count.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rewards {
    /// The names.
    pub names: Vec<String>,
    /// The weights.
    pub weights: Vec<f64>,
    cache: usize,
    most: usize,
}

impl Rewards {
    /// Those of a run.
    pub fn new(config: &RewardConfig, scorer: &Scorer, max_completion_length: usize) -> Self {
        let mut all =
            Rewards { cache: config.soft_punish_cache, most: max_completion_length, ..Rewards::default() };
        for (name, weight) in scorer.weights() {
            all.names.push(name.to_owned());
            all.weights.push(weight);
        }
        if config.soft_punish_cache > 0 {
            all.names.push(OVERLONG.into());
            all.weights.push(1.0);
        }
        all
    }

    /// The weighted sum of a completion's rewards; none if it has none that counts.
    pub fn total(&self, row: &[Option<f64>]) -> Option<f64> {
        let own = row.iter().zip(&self.weights).filter(|(_, weight)| **weight != 0.0);
        let found: Vec<f64> = own.filter_map(|(reward, weight)| Some((*reward)? * weight)).collect();
        (!found.is_empty()).then(|| found.iter().sum())
    }

    /// What is taken off for a length, as in DAPO (eq. 13): 0 up to `most - cache`, then in a line down to -1.
    fn overlong(&self, tokens: usize) -> f64 {
        let free = self.most - self.cache;
        if tokens <= free { 0.0 } else { ((free as f64 - tokens as f64) / self.cache as f64).max(-1.0) }
    }

    /// The rewards of each completion of a group.
    fn rows(&self, scored: &[Scored], completions: &[Completion]) -> Vec<Vec<Option<f64>>> {
        let mut rows: Vec<Vec<Option<f64>>> = scored
            .iter()
            .zip(completions)
            .map(|(one, completion)| {
                let value = |name: &String| match name.as_str() {
                    OVERLONG => Some(self.overlong(completion.tokens.len())),
                    name => one.parts.get(name).and_then(|part| part.value),
                };
                self.names.iter().map(value).collect()
            })
            .collect();
        // Where a reward that counts was skipped for some, theirs cannot be compared with the others'.
        let some = |kind: usize| rows.iter().any(|row: &Vec<Option<f64>>| row[kind].is_some());
        let counted: Vec<usize> =
            (0..self.names.len()).filter(|kind| self.weights[*kind] != 0.0 && some(*kind)).collect();
        for row in &mut rows {
            if counted.is_empty() || counted.iter().any(|kind| row[*kind].is_none()) {
                row.fill(None);
            }
        }
        rows
    }
}

/// Seconds that the parts of a round took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seconds {
    /// Writing.
    pub rollout: f64,
    /// Scoring.
    pub score: f64,
}

/// What samples and scores.
pub struct Writer<'a> {
    /// The student.
    pub sampler: &'a Sampler,
    /// What scores.
    pub scorer: &'a mut Scorer,
    /// The rewards.
    pub rewards: &'a Rewards,
    /// Most tokens of a completion.
    pub max_tokens: usize,
    /// Whether to find how differently the completions of a group go: it takes as long as to score them once more.
    pub varied: bool,
}

impl Writer<'_> {
    /// Samples and scores so many completions of each problem. `numbers` are those of its draws. `watch` is called with how many problems are done.
    ///
    /// # Errors
    /// A request cannot be worked on, or the scorer fails as a whole.
    pub fn groups(
        &mut self,
        tasks: &[(usize, &Task)],
        generations: usize,
        sampling: &Sampling,
        (seed, numbers): (Seed, &[u64]),
        seconds: &mut Seconds,
        mut watch: impl FnMut(usize),
    ) -> Result<Vec<Group>> {
        let begin = Instant::now();
        let mut written: Vec<Vec<Completion>> = Vec::with_capacity(tasks.len());
        let all: Vec<&Task> = tasks.iter().map(|(_, task)| *task).collect();
        self.sampler.sample(
            &all,
            generations,
            sampling,
            self.max_tokens,
            (seed, numbers),
            |at, completions| {
                written.push(completions);
                watch(at + 1);
                Ok(())
            },
        )?;
        seconds.rollout += begin.elapsed().as_secs_f64();
        let begin = Instant::now();
        let samples = as_students(all.iter().copied().zip(&written));
        let scored = self.scorer.score_batch(&samples.iter().collect::<Vec<_>>());
        let mut groups = Vec::with_capacity(tasks.len());
        for (((at, task), completions), scored) in tasks.iter().zip(written).zip(scored) {
            let scored = scored?;
            if scored.len() != completions.len() {
                return Err(Error::engine("a group was not scored as a whole"));
            }
            let agreement = match &task.known {
                Some(known) => completions.iter().map(|one| agreement(known, &one.text).score()).collect(),
                None => Vec::new(),
            };
            let rewards = self.rewards.rows(&scored, &completions);
            let steps = scored.iter().filter_map(|one| one.structure.as_ref()?.student_steps.as_ref());
            let variety = match self.varied && steps.clone().count() > 0 {
                true => Some(self.scorer.variety(&task.sample.problem, steps)?),
                false => None,
            };
            groups.push(Group { task: *at, completions, scored, rewards, agreement, variety });
        }
        seconds.score += begin.elapsed().as_secs_f64();
        Ok(groups)
    }
}

/// Whether nothing can be learnt from a group: its rewards are all the same, or there are none.
///
/// # Errors
/// A reward is no number.
pub fn is_dead(group: &Group, weights: &[f64], config: &GrpoConfig) -> Result<bool> {
    let own = advantages(&group.rewards, weights, group.rewards.len(), config)?;
    // Rounding leaves something of differences that are none.
    Ok(own.frac_reward_zero_std == 1.0 || own.rewards.iter().flatten().count() < 2)
}

/// A round, ready to be learnt from.
#[derive(Clone, Debug)]
pub struct Round {
    /// The groups.
    pub groups: Vec<Group>,
    /// Advantages of all completions, group by group.
    pub advantages: Advantages,
    /// Whether each is left out of the loss.
    pub masked: Vec<bool>,
    /// What logits were divided by.
    pub temperature: f32,
    /// Log-probabilities of each completion's tokens under the trainer before the first update, where they are needed.
    pub old: Option<Vec<Vec<f64>>>,
    /// Those under the reference.
    pub reference: Option<Vec<Vec<f64>>>,
    /// Corrections for the sampler.
    pub correction: Option<Vec<Vec<f64>>>,
    /// Groups that teach nothing, of those that were drawn.
    pub dead: [usize; 2],
}

impl Round {
    /// Compares the completions of groups. `dead` are groups that teach nothing, of all that were drawn for it.
    ///
    /// # Errors
    /// A reward is no number.
    pub fn new(
        groups: Vec<Group>,
        rewards: &Rewards,
        config: &RlkdConfig,
        temperature: f32,
        dead: [usize; 2],
    ) -> Result<Self> {
        let rows: Vec<Vec<Option<f64>>> = groups.iter().flat_map(|group| group.rewards.clone()).collect();
        let advantages = advantages(&rows, &rewards.weights, config.num_generations, &config.grpo)?;
        let mut masked = Vec::with_capacity(rows.len());
        for group in &groups {
            let dead =
                config.dead_groups != DeadGroups::Keep && is_dead(group, &rewards.weights, &config.grpo)?;
            for (completion, row) in group.completions.iter().zip(&group.rewards) {
                let cut = config.mask_truncated_completions && !completion.ended;
                masked.push(dead || cut || row.iter().all(Option::is_none) || completion.tokens.is_empty());
            }
        }
        Ok(Round {
            groups,
            advantages,
            masked,
            temperature,
            old: None,
            reference: None,
            correction: None,
            dead,
        })
    }

    /// A completion, by its place among all.
    pub fn completion(&self, at: usize) -> (&Group, &Completion) {
        let own = self.groups[0].completions.len();
        let group = &self.groups[at / own];
        (group, &group.completions[at % own])
    }

    /// Tokens that are learnt from.
    pub fn tokens(&self) -> usize {
        (0..self.masked.len())
            .filter(|at| !self.masked[*at])
            .map(|at| self.completion(at).1.tokens.len())
            .sum()
    }

    /// What TRL tells of a round.
    pub fn values(&self, rewards: &Rewards) -> BTreeMap<String, f64> {
        let mut values = summary(&self.groups, rewards);
        values.insert("frac_reward_zero_std".into(), self.advantages.frac_reward_zero_std);
        let [dead, drawn] = self.dead;
        values.insert("frac_dead_groups".into(), dead as f64 / drawn.max(1) as f64);
        let unrewarded = self.advantages.without_rewards as f64 / self.groups.len().max(1) as f64;
        values.insert("frac_groups_without_reward".into(), unrewarded);
        values
    }
}

/// Means over completions: rewards and their parts, lengths, agreement. Names are TRL's.
pub fn summary(groups: &[Group], rewards: &Rewards) -> BTreeMap<String, f64> {
    let mut values = BTreeMap::new();
    let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len() as f64;
    let std = |all: &[f64]| {
        let mean = mean(all);
        (all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (all.len().max(2) - 1) as f64).sqrt()
    };
    let mut put = |name: String, value: f64| {
        // Of none there is no mean.
        if value.is_finite() {
            values.insert(name, value);
        }
    };
    let completions = || groups.iter().flat_map(|group| &group.completions);
    let lengths: Vec<f64> = completions().map(|one| one.tokens.len() as f64).collect();
    let ended: Vec<f64> = completions().filter(|one| one.ended).map(|one| one.tokens.len() as f64).collect();
    for (name, lengths) in [("", &lengths), ("terminated_", &ended)] {
        put(format!("completions/mean_{name}length"), mean(lengths));
        put(format!("completions/min_{name}length"), lengths.iter().copied().fold(f64::INFINITY, f64::min));
        put(
            format!("completions/max_{name}length"),
            lengths.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        );
    }
    put("completions/clipped_ratio".into(), 1.0 - ended.len() as f64 / lengths.len() as f64);
    for name in &rewards.names {
        let of = |group: &Group| -> Vec<Option<f64>> {
            match name.as_str() {
                OVERLONG => {
                    group.completions.iter().map(|one| Some(rewards.overlong(one.tokens.len()))).collect()
                }
                name => {
                    group.scored.iter().map(|one| one.parts.get(name).and_then(|part| part.value)).collect()
                }
            }
        };
        let found: Vec<Option<f64>> = groups.iter().flat_map(of).collect();
        let all: Vec<f64> = found.iter().copied().flatten().collect();
        put(format!("rewards/{name}/mean"), mean(&all));
        put(format!("rewards/{name}/std"), std(&all));
        put(format!("rewards/{name}/skipped"), 1.0 - all.len() as f64 / found.len() as f64);
    }
    let total = |row: &Vec<Option<f64>>| rewards.total(row);
    let sums: Vec<Vec<f64>> =
        groups.iter().map(|group| group.rewards.iter().filter_map(total).collect()).collect();
    put("reward".into(), mean(&sums.concat()));
    put("reward_std".into(), std(&sums.concat()));
    let within: Vec<f64> = sums.iter().filter(|own| own.len() > 1).map(|own| std(own)).collect();
    put("reward_std_within_groups".into(), mean(&within));
    let agreement: Vec<f64> = groups.iter().flat_map(|group| group.agreement.iter().copied()).collect();
    put("agreement".into(), mean(&agreement));
    let varieties = || groups.iter().filter_map(|group| group.variety.as_ref());
    put("diversity".into(), mean(&varieties().map(|group| group.diversity).collect::<Vec<_>>()));
    put("branches".into(), mean(&varieties().map(|group| group.branches as f64).collect::<Vec<_>>()));
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::Part;

    fn group(rows: &[[Option<f64>; 2]], rewards: &Rewards) -> Group {
        let scored = |row: &[Option<f64>; 2]| Scored {
            id: String::new(),
            student: 0,
            reward: None,
            parts: rewards
                .names
                .iter()
                .zip(row)
                .map(|(name, value)| (name.clone(), Part { value: *value, weight: 1.0, skipped: None }))
                .collect(),
            structure: None,
            tree: None,
            problem: None,
        };
        let completion =
            Completion { tokens: vec![1; 7], logprobs: vec![0.0; 7], text: String::new(), ended: true };
        let completions = vec![completion; rows.len()];
        let scored: Vec<Scored> = rows.iter().map(scored).collect();
        let rewards = rewards.rows(&scored, &completions);
        Group { task: 0, completions, scored, rewards, agreement: Vec::new(), variety: None }
    }

    fn rewards(weights: [f64; 2]) -> Rewards {
        Rewards {
            names: ["accuracy", "structure"].map(str::to_owned).into(),
            weights: weights.into(),
            cache: 0,
            most: 10,
        }
    }

    /// Equal rewards are dead whatever rounding makes of their mean; those that differ are not.
    #[test]
    fn equal_rewards_teach_nothing() {
        let (config, both) = (GrpoConfig::default(), rewards([1.0, 1.0]));
        for size in [2, 3, 8, 16] {
            for below in 2..=12 {
                for above in 0..=below {
                    let value = f64::from(above) / f64::from(below);
                    let mut rows = vec![[Some(0.0), Some(value)]; size];
                    let same = group(&rows, &both);
                    assert!(is_dead(&same, &both.weights, &config).expect("rewards"), "{size} x {value}");
                    rows[0] = [Some(1.0), Some(value)];
                    assert!(!is_dead(&group(&rows, &both), &both.weights, &config).expect("rewards"));
                }
            }
        }
        // One reward is nothing to compare.
        let one = group(&[[Some(1.0), Some(0.5)], [None, None], [None, Some(1.0)]], &both);
        assert!(is_dead(&one, &both.weights, &config).expect("rewards"));
    }

    /// What was skipped for some takes those out; what was skipped for all, all.
    #[test]
    fn a_skip_is_no_reward() {
        let both = rewards([1.0, 1.0]);
        let some = group(&[[Some(1.0), None], [Some(0.0), Some(0.5)]], &both);
        assert_eq!(some.rewards, [vec![None, None], vec![Some(0.0), Some(0.5)]]);
        let all = group(&[[Some(1.0), None], [Some(0.0), None]], &both);
        assert_eq!(all.rewards, [vec![Some(1.0), None], vec![Some(0.0), None]]);
        // Of what does not count nothing is left where nothing else is there.
        let structure = rewards([0.0, 1.0]);
        let none = group(&[[Some(1.0), None], [Some(0.0), None]], &structure);
        assert!(none.rewards.iter().flatten().all(Option::is_none));
        let config = RlkdConfig { num_generations: 2, ..RlkdConfig::default() };
        let round = Round::new(vec![none], &structure, &config, 1.0, [1, 1]).expect("a round");
        assert_eq!((round.advantages.without_rewards, &round.masked), (1, &vec![true, true]));
        let values = summary(&round.groups, &structure);
        assert_eq!((values["rewards/structure/skipped"], values["rewards/accuracy/skipped"]), (1.0, 0.0));
        assert!(!values.contains_key("reward"));
    }
}
