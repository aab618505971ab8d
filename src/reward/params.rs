//! Reading the parameters of a reward from a TOML table.

use crate::error::{Error, Result};

/// The parameters of one reward.
pub(super) struct Params<'a> {
    reward: &'static str,
    table: &'a toml::Table,
}

impl<'a> Params<'a> {
    /// # Errors
    /// If a key is not among `known`; the message names the nearest.
    pub fn new(reward: &'static str, table: &'a toml::Table, known: &[&str]) -> Result<Self> {
        match table.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(Params { reward, table }),
            Some(key) if known.is_empty() => {
                Err(Error::config(format!("{reward} takes no parameters, but {key:?} is given; remove it")))
            }
            Some(key) => {
                let nearest = suggest(key, known.iter().copied());
                Err(Error::config(format!("{reward} has no parameter {key:?}{nearest}")))
            }
        }
    }

    fn wrong(&self, name: &str, wanted: &str) -> Error {
        let given = self.table.get(name).map_or(String::new(), toml::Value::to_string);
        Error::config(format!("{}: {name} must be {wanted}, not {given}", self.reward))
    }

    /// A finite number.
    pub fn number(&self, name: &str, default: f64) -> Result<f64> {
        let number = match self.table.get(name) {
            None => return Ok(default),
            Some(toml::Value::Float(number)) => *number,
            Some(toml::Value::Integer(number)) => *number as f64,
            Some(_) => return Err(self.wrong(name, "a number")),
        };
        if number.is_finite() { Ok(number) } else { Err(self.wrong(name, "a finite number")) }
    }

    /// A whole number from 1 on.
    pub fn count(&self, name: &str, default: usize) -> Result<usize> {
        let Some(value) = self.table.get(name) else { return Ok(default) };
        let count = value.as_integer().and_then(|number| usize::try_from(number).ok());
        count.filter(|count| *count > 0).ok_or_else(|| self.wrong(name, "a whole number from 1 on"))
    }

    /// True or false.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool> {
        let Some(value) = self.table.get(name) else { return Ok(default) };
        value.as_bool().ok_or_else(|| self.wrong(name, "true or false"))
    }

    /// A text that is not empty.
    pub fn text(&self, name: &str, default: &str) -> Result<String> {
        let Some(value) = self.table.get(name) else { return Ok(default.to_owned()) };
        let text = value.as_str().filter(|text| !text.is_empty());
        text.map(str::to_owned).ok_or_else(|| self.wrong(name, "a text that is not empty"))
    }
}

/// "; did you mean …?" with the nearest of `known`, or all of them where none is near.
pub(super) fn suggest<'a>(word: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let distance = |other: &str| strsim::damerau_levenshtein(word, other);
    match known.clone().min_by_key(|other| distance(other)) {
        Some(nearest) if distance(nearest) <= nearest.len().max(3) / 2 => {
            format!("; did you mean {nearest:?}?")
        }
        _ => format!("; there are {}", known.collect::<Vec<_>>().join(", ")),
    }
}
