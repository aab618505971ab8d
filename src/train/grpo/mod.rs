//! Learning from rewards: from the rewards of a group to advantages, and from advantages to what is asked of each token.
//!
//! Names and defaults are TRL's (`GRPOConfig`, 1.16), and so are the numbers: golden files hold them against TRL's own code.
//! Of its losses `sapo`, `luspo` and `vespo` are left out. Nothing here knows a
//! model: [`Objective::slope`] is what [`super::model::Model::loss`] asks for.

pub mod advantages;
pub mod loss;

use serde::{Deserialize, Serialize};

pub use advantages::{Advantages, advantages};
pub use loss::{Batch, Metrics, Objective, Sequence};

use crate::error::{Error, Result};

/// How tokens are weighted against each other, and what is clipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossType {
    /// The mean over each completion, then over completions (Shao et al., 2024). Long completions weigh less by the token.
    Grpo,
    /// The sum over all tokens, by a constant: completions times their greatest length (Liu et al., 2025).
    DrGrpo,
    /// The mean over the tokens of what goes through the model at once.
    Bnpo,
    /// The mean over the tokens of the whole batch (Yu et al., 2025).
    #[default]
    Dapo,
    /// The weight is clipped, and not the objective: no token is without a gradient (MiniMax, 2025).
    Cispo,
}

/// Whether each token has a weight of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Each token.
    #[default]
    Token,
    /// All tokens of a completion share one: that of their mean log-ratio (GSPO, Zheng et al., 2025, with `loss_type = "grpo"`;
    /// the other losses weigh completions by their lengths). Not with `cispo`, where TRL only warns.
    Sequence,
}

/// What differences of rewards are divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaleRewards {
    /// The standard deviation of the group.
    #[default]
    Group,
    /// That of the batch.
    Batch,
    /// Nothing (Liu et al., 2025: the other two favour problems that are nearly always, or nearly never, solved).
    None,
}

/// How several rewards become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// Their weighted sum is compared within the group.
    #[default]
    SumThenNormalize,
    /// Each is compared within the group, then they are summed (GDPO, 2026).
    NormalizeThenSum,
}

/// The options of the loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrpoConfig {
    /// How tokens are weighted.
    pub loss_type: LossType,
    /// Whether each token has a weight of its own.
    pub importance_sampling_level: Level,
    /// How far a weight may fall below 1 before it is clipped.
    pub epsilon: f64,
    /// How far it may rise above; as far as `epsilon` if missing. With `cispo`, the largest weight itself.
    pub epsilon_high: Option<f64>,
    /// A second bound from above, also where the advantage is negative (INTELLECT-2, 2025).
    pub delta: Option<f64>,
    /// What the divergence from the reference model costs.
    pub beta: f64,
    /// Weigh the divergence as the policy is weighed, by r before it is clipped, so that it is that of the model as it is.
    pub use_bias_correction_kl: bool,
    /// What entropy is worth.
    pub entropy_coef: f64,
    /// What differences of rewards are divided by.
    pub scale_rewards: ScaleRewards,
    /// How several rewards become one.
    pub multi_objective_aggregation: Aggregation,
}

impl Default for GrpoConfig {
    fn default() -> Self {
        GrpoConfig {
            loss_type: LossType::default(),
            importance_sampling_level: Level::default(),
            epsilon: 0.2,
            epsilon_high: None,
            delta: None,
            beta: 0.0,
            use_bias_correction_kl: true,
            entropy_coef: 0.0,
            scale_rewards: ScaleRewards::default(),
            multi_objective_aggregation: Aggregation::default(),
        }
    }
}

impl GrpoConfig {
    /// Whether the values make sense.
    ///
    /// # Errors
    /// Kind `Config`, naming the value.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::config(what));
        if !(0.0..1.0).contains(&self.epsilon) {
            return wrong(format!("epsilon = {}: from 0 to below 1", self.epsilon));
        }
        if self.epsilon_high.is_some_and(|high| !high.is_finite() || high < 0.0) {
            return wrong(format!("epsilon_high = {:?}: a number from 0 on", self.epsilon_high));
        }
        if self.delta.is_some_and(|delta| !delta.is_finite() || delta <= 1.0 + self.high()) {
            return wrong(format!(
                "delta = {:?}: above 1 + epsilon_high = {}",
                self.delta,
                1.0 + self.high()
            ));
        }
        if self.loss_type == LossType::Cispo && self.delta.is_some() {
            return wrong("delta and loss_type = \"cispo\": that has one bound, epsilon_high".into());
        }
        if self.loss_type == LossType::Cispo {
            if self.epsilon_high.is_none_or(|high| high < 1.0) {
                return wrong(format!(
                    "epsilon_high = {:?}: with cispo it is the largest weight, from 1 on; 5 is usual",
                    self.epsilon_high
                ));
            }
            if self.importance_sampling_level == Level::Sequence {
                return wrong(
                    "importance_sampling_level = \"sequence\" and loss_type = \"cispo\": either one".into(),
                );
            }
        }
        for (name, value) in [("beta", self.beta), ("entropy_coef", self.entropy_coef)] {
            if !value.is_finite() || value < 0.0 {
                return wrong(format!("{name} = {value}: a number from 0 on"));
            }
        }
        Ok(())
    }

    /// How far a weight may rise above 1.
    fn high(&self) -> f64 {
        self.epsilon_high.unwrap_or(self.epsilon)
    }
}
