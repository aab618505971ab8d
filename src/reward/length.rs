//! Rewards for being brief. Lengths are in characters (code points) of the whole completion.

use std::f64::consts::PI;

use super::accuracy::options;
use super::params::Params;
use super::{Entry, Group, NO_GOLD, Reward, all};
use crate::answer::{Check, Options, check_on};
use crate::error::{Error, Result};
use crate::trace::Outcome;

pub(super) const LENGTH: Entry = Entry {
    name: "length",
    aliases: &["len", "len_reward", "length_reward"],
    help: "0.5 for the shortest of the problem's students, -0.5 for the longest, at most 0 for wrong ones \
           (last_number = true)",
    range: (-0.5, 0.5),
    relative: true,
    build: |table| {
        Ok(Box::new(Length { options: options(&Params::new("length", table, &["last_number"])?)? }))
    },
};

pub(super) const COSINE: Entry = Entry {
    name: "cosine",
    aliases: &["cosine_scaled", "cosine_scaled_reward"],
    help: "on a cosine over the length: right and short is best, wrong and short is worst (max_len = 1000, \
           min_value_wrong = -1, max_value_wrong = -0.5, min_value_correct = 0.5, max_value_correct = 1, \
           last_number = true)",
    range: (-1.0, 1.0),
    relative: false,
    build: Cosine::build,
};

/// The length reward of Kimi k1.5 (arXiv 2501.12599, section 2.3.3).
struct Length {
    options: Options,
}

impl Reward for Length {
    fn name(&self) -> &'static str {
        LENGTH.name
    }

    fn score(&self, group: &Group<'_>) -> Result<Vec<Outcome>> {
        let Some(gold) = &group.sample.answer else {
            return all(group, Outcome::skipped(NO_GOLD));
        };
        let students = &group.sample.students;
        let lengths: Vec<usize> = students.iter().map(|trace| trace.text.chars().count()).collect();
        let (Some(least), Some(most)) = (lengths.iter().min(), lengths.iter().max()) else {
            return Ok(Vec::new());
        };
        if least == most {
            return all(group, Outcome::Scored(0.0));
        }
        let value = |(trace, length): (&crate::trace::Trace, &usize)| {
            let brevity = 0.5 - (length - least) as f64 / (most - least) as f64;
            // With a gold that cannot be read nobody is known to be wrong; lengths can be compared all the same.
            let is_wrong = matches!(
                check_on(&group.sample.problem, gold, &trace.text, self.options),
                Check::Wrong | Check::NoAnswer
            );
            Outcome::Scored(if is_wrong { brevity.min(0.0) } else { brevity })
        };
        Ok(students.iter().zip(&lengths).map(value).collect())
    }
}

/// The cosine-scaled reward of "Demystifying Long Chain-of-Thought Reasoning" (arXiv 2502.03373). Past
/// `max_len` the cosine comes back up, as in open-r1. Where the gold answer cannot be read this is a skip
/// (open-r1 gives 1, whatever the length).
struct Cosine {
    wrong: (f64, f64),
    right: (f64, f64),
    longest: f64,
    options: Options,
}

impl Cosine {
    fn build(table: &toml::Table) -> Result<Box<dyn Reward>> {
        let known = [
            "min_value_wrong",
            "max_value_wrong",
            "min_value_correct",
            "max_value_correct",
            "max_len",
            "last_number",
        ];
        let params = Params::new("cosine", table, &known)?;
        let longest = params.number("max_len", 1000.0)?;
        if longest <= 0.0 {
            return Err(Error::config(format!("cosine: max_len must be above 0, not {longest}")));
        }
        Ok(Box::new(Cosine {
            wrong: (params.number("min_value_wrong", -1.0)?, params.number("max_value_wrong", -0.5)?),
            right: (params.number("min_value_correct", 0.5)?, params.number("max_value_correct", 1.0)?),
            longest,
            options: options(&params)?,
        }))
    }

    fn value(&self, length: usize, is_right: bool) -> f64 {
        // A wrong answer starts at its least value: short and wrong is the worst.
        let (far, near) = if is_right { self.right } else { (self.wrong.1, self.wrong.0) };
        let cosine = (length as f64 / self.longest * PI).cos();
        far + 0.5 * (near - far) * (1.0 + cosine)
    }
}

impl Reward for Cosine {
    fn name(&self) -> &'static str {
        COSINE.name
    }

    fn score(&self, group: &Group<'_>) -> Result<Vec<Outcome>> {
        let Some(gold) = &group.sample.answer else {
            return all(group, Outcome::skipped(NO_GOLD));
        };
        let outcome = |text: &str| match check_on(&group.sample.problem, gold, text, self.options) {
            check @ Check::UnparsableGold(_) => check.outcome(),
            check => Outcome::Scored(self.value(text.chars().count(), check == Check::Right)),
        };
        Ok(group.sample.students.iter().map(|trace| outcome(&trace.text)).collect())
    }
}
