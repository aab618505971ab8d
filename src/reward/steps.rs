//! Whether the reasoning is laid out in steps.

use std::sync::LazyLock;

use regex::Regex;

use super::params::Params;
use super::{Entry, Group, Reward, each};
use crate::error::Result;
use crate::trace::Outcome;

pub(super) const REASONING_STEPS: Entry = Entry {
    name: "reasoning_steps",
    aliases: &["reasoning_steps_reward"],
    help: "a third for each sign of a step (\"Step 1:\", a list item, \"First,\", \"Finally,\"), at most 1",
    range: (0.0, 1.0),
    relative: false,
    build: |table| {
        Params::new("reasoning_steps", table, &[])?;
        Ok(Box::new(ReasoningSteps))
    },
};

/// From here on more steps are not worth more.
const ENOUGH: usize = 3;

struct ReasoningSteps;

impl Reward for ReasoningSteps {
    fn name(&self) -> &'static str {
        REASONING_STEPS.name
    }

    fn score(&self, group: &Group<'_>) -> Result<Vec<Outcome>> {
        // open-r1 leaves MULTILINE out here: `^\d+\.` counts at the start of the text only.
        static SIGN: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"Step \d+:|\A\d+\.|\n-|\n\*|First,|Second,|Next,|Finally,").expect("a fixed pattern")
        });
        each(group, |trace| SIGN.find_iter(&trace.text).take(ENOUGH).count() as f64 / ENOUGH as f64)
    }
}
