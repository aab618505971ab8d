//! Whether the final answer is right.

use super::params::Params;
use super::{Entry, Group, NO_GOLD, Reward, all};
use crate::answer::{self, Options};
use crate::error::Result;
use crate::trace::Outcome;

pub(super) const ACCURACY: Entry = Entry {
    name: "accuracy",
    aliases: &["accuracy_reward"],
    help: "1 if the final answer is the gold answer, else 0; skipped if there is no readable gold \
           (last_number = true: the last number counts where no answer is stated)",
    range: (0.0, 1.0),
    relative: false,
    build: |table| {
        Ok(Box::new(Accuracy { options: options(&Params::new("accuracy", table, &["last_number"])?)? }))
    },
};

/// How a completion's answer is found, for every reward that asks whether it is right.
pub(super) fn options(params: &Params<'_>) -> Result<Options> {
    let default = Options::default();
    Ok(Options {
        try_extract_without_anchor: params.flag("last_number", default.try_extract_without_anchor)?,
        ..default
    })
}

struct Accuracy {
    options: Options,
}

impl Reward for Accuracy {
    fn name(&self) -> &'static str {
        ACCURACY.name
    }

    fn score(&self, group: &Group<'_>) -> Result<Vec<Outcome>> {
        let Some(gold) = &group.sample.answer else {
            return all(group, Outcome::skipped(NO_GOLD));
        };
        let problem = &group.sample.problem;
        let outcome = |text: &str| answer::check_on(problem, gold, text, self.options).outcome();
        Ok(group.sample.students.iter().map(|trace| outcome(&trace.text)).collect())
    }
}
