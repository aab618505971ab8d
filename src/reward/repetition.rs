//! A penalty for saying the same again.

use rustc_hash::{FxHashMap, FxHashSet};

use super::params::Params;
use super::{Entry, Group, Reward, each};
use crate::error::{Error, Result};
use crate::trace::Outcome;

pub(super) const REPETITION_PENALTY: Entry = Entry {
    name: "repetition_penalty",
    aliases: &["repetition_penalty_reward", "repetition"],
    help: "max_penalty times the share of n-grams of words that occurred before (ngram_size = 3, \
           max_penalty = -1)",
    range: (-1.0, 0.0),
    relative: false,
    build: RepetitionPenalty::build,
};

/// Appendix C.2 of "Demystifying Long Chain-of-Thought Reasoning" (arXiv 2502.03373).
struct RepetitionPenalty {
    size: usize,
    worst: f64,
}

impl RepetitionPenalty {
    fn build(table: &toml::Table) -> Result<Box<dyn Reward>> {
        let params = Params::new("repetition_penalty", table, &["ngram_size", "max_penalty"])?;
        let worst = params.number("max_penalty", -1.0)?;
        if worst > 0.0 {
            let advice = "give the value for complete repetition, such as -1.0";
            let message =
                format!("repetition_penalty: max_penalty should not be positive, but is {worst}; {advice}");
            return Err(Error::config(message));
        }
        Ok(Box::new(RepetitionPenalty { size: params.count("ngram_size", 3)?, worst }))
    }

    fn value(&self, text: &str) -> f64 {
        let lower = text.to_lowercase();
        let mut ids: FxHashMap<&str, u32> = FxHashMap::default();
        let mut words = Vec::new();
        for word in lower.split(is_python_space).filter(|word| !word.is_empty()) {
            let next = ids.len() as u32;
            words.push(*ids.entry(word).or_insert(next));
        }
        if words.len() < self.size {
            return 0.0;
        }
        let total = words.len() - self.size + 1;
        let distinct = words.windows(self.size).collect::<FxHashSet<_>>().len();
        // 0.0 and not -0.0 where nothing repeats.
        if distinct == total { 0.0 } else { (1.0 - distinct as f64 / total as f64) * self.worst }
    }
}

/// What Python's `str.split()` splits at: Unicode white space, and the four ASCII separators besides.
fn is_python_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

impl Reward for RepetitionPenalty {
    fn name(&self) -> &'static str {
        REPETITION_PENALTY.name
    }

    fn score(&self, group: &Group<'_>) -> Result<Vec<Outcome>> {
        each(group, |trace| self.value(&trace.text))
    }
}
