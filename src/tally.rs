//! Counting scored traces: how many, and the means of their rewards.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::score::Scored;

/// Means over a group of scored traces, such as a domain or a problem.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What the group is called.
    pub name: String,
    /// Scored traces in the group, those without a reward included.
    pub n: u64,
    reward: Mean,
    /// By name of the part.
    parts: BTreeMap<String, Mean>,
}

/// A running mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Mean {
    n: u64,
    sum: f64,
}

impl Mean {
    fn push(&mut self, value: Option<f64>) {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            self.n += 1;
            self.sum += value;
        }
    }

    fn merge(&mut self, other: Mean) {
        self.n += other.n;
        self.sum += other.sum;
    }

    fn get(self) -> Option<f64> {
        (self.n > 0).then(|| self.sum / self.n as f64)
    }
}

impl Row {
    /// An empty group.
    pub fn new(name: impl Into<String>) -> Self {
        Row { name: name.into(), ..Row::default() }
    }

    /// Adds a scored trace.
    pub fn push(&mut self, record: &Scored) {
        self.n += 1;
        self.reward.push(record.reward);
        for (name, part) in &record.parts {
            match self.parts.get_mut(name) {
                Some(mean) => mean.push(part.value),
                None => self.parts.entry(name.clone()).or_default().push(part.value),
            }
        }
    }

    /// Adds all traces of another group.
    pub fn merge(&mut self, other: &Row) {
        self.n += other.n;
        self.reward.merge(other.reward);
        for (name, mean) in &other.parts {
            self.parts.entry(name.clone()).or_default().merge(*mean);
        }
    }

    /// The mean reward over those that have one.
    pub fn reward(&self) -> Option<f64> {
        self.reward.get()
    }

    /// The mean of the part `name` over the traces that have it.
    pub fn part(&self, name: &str) -> Option<f64> {
        self.parts.get(name).and_then(|mean| mean.get())
    }

    /// The names of the parts, in order.
    pub fn part_names(&self) -> impl Iterator<Item = &str> {
        self.parts.keys().map(String::as_str)
    }

    /// Traces without a reward.
    pub fn skipped(&self) -> u64 {
        self.n - self.reward.n
    }
}
