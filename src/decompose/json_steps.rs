//! Step lists that a model wrote as JSON, anywhere in its text.

use std::fmt;

use memchr::memmem;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::trace::StepKind;

/// What may stand for the parts of a step, in lower case with `_` for `-` and spaces.
const KEYS: [&[&str]; 3] = [
    &["meta_reasoning", "meta", "think", "sub_think"],
    &["sub_problem", "query", "question", "sub_question", "q"],
    &["answer", "a"],
];
/// The key of the list, if it stands in an object.
const LIST: &str = "steps";
/// Places that are looked at before a text is said to hold no step list; keeps the time linear.
const PLACES: usize = 4;

/// The steps that were read.
pub(super) struct Found {
    /// Meta-reasoning, sub-problem and answer of each step, and its kind.
    pub(super) steps: Vec<([String; 3], StepKind)>,
    /// The JSON breaks off, or goes on with something else, after these steps.
    pub(super) broken: bool,
}

/// Where a step list seems to begin: at the start of a line, `[{"key"` or `{"key"` with the key of a part or of the
/// list, or an object with the list's key further on.
pub(super) fn find(text: &str) -> Option<usize> {
    let mut at = 0;
    let begins = text.split_inclusive('\n').filter_map(|line| {
        let start = at + (line.len() - line.trim_start().len());
        at += line.len();
        text[start..].starts_with(['[', '{']).then_some(start)
    });
    begins.take(PLACES).find(|&start| seems_steps(&text[start..]))
}

/// Whether what stands where [`find`] points is a step list even if nobody said so: a list, in an object or not, or a
/// step with a thought or a sub-problem. `{"answer": 42}` in raw reasoning is none.
pub(super) fn surely_steps(text: &str) -> bool {
    let Some(found) = read(text) else { return false };
    let asks = found.steps.iter().any(|([meta, sub_problem, _], _)| !(blank(meta) && blank(sub_problem)));
    let is_list = text.starts_with('[') || memmem::find(text.as_bytes(), br#""steps""#).is_some();
    asks || (is_list && !found.steps.is_empty())
}

fn blank(part: &str) -> bool {
    part.trim().is_empty()
}

fn seems_steps(text: &str) -> bool {
    let list = text.strip_prefix('[').map(str::trim_start);
    let Some(object) = list.unwrap_or(text).strip_prefix('{') else { return false };
    let Some((key, _)) = object.trim_start().strip_prefix('"').and_then(|key| key.split_once('"')) else {
        return false;
    };
    match part(key) {
        Some(_) => true,
        None => key == LIST || memmem::find(text.as_bytes(), br#""steps""#).is_some(),
    }
}

/// The part that a key names.
fn part(key: &str) -> Option<usize> {
    // The longest key has 14 letters.
    if key.len() > 32 {
        return None;
    }
    let key = key.to_lowercase().replace(['-', ' '], "_");
    KEYS.iter().position(|keys| keys.contains(&key.as_str()))
}

/// Reads the step list of a text; `None` if there is none.
pub(super) fn read(text: &str) -> Option<Found> {
    let start = find(text)?;
    let mut steps = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(&text[start..]);
    let broken = Steps(&mut steps).deserialize(&mut deserializer).is_err();
    Some(Found { steps, broken })
}

/// Pushes each step as soon as it is read, so that those before an error are kept.
struct Steps<'a>(&'a mut Vec<([String; 3], StepKind)>);

impl<'de> DeserializeSeed<'de> for Steps<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Steps<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of steps")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(step) = list.next_element::<Value>()? {
            let Value::Object(step) = step else { return Err(A::Error::custom("a step is an object")) };
            let mut parts = <([String; 3], StepKind)>::default();
            for (key, value) in step {
                keep(&mut parts, &key, value);
            }
            self.0.push(parts);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let mut parts = <([String; 3], StepKind)>::default();
        while let Some(key) = object.next_key::<String>()? {
            if key == LIST {
                object.next_value_seed(Steps(self.0))?;
            } else {
                keep(&mut parts, &key, object.next_value()?);
            }
        }
        // An object without a list is itself a step.
        if self.0.is_empty() && parts.0.iter().any(|part| !part.is_empty()) {
            self.0.push(parts);
        }
        Ok(())
    }
}

/// Keeps a value under the part that its key names; the first of several stays.
fn keep((parts, kind): &mut ([String; 3], StepKind), key: &str, value: Value) {
    if key == "kind" {
        // An unknown kind is progress, as if none was given.
        *kind = serde_json::from_value(value).unwrap_or_default();
        return;
    }
    if let Some(part) = part(key)
        && parts[part].is_empty()
    {
        parts[part] = match value {
            Value::String(text) => text,
            Value::Null => String::new(),
            other => other.to_string(),
        };
    }
}
