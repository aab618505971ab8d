//! Traces with their steps: what a GSRM learns from.

use serde::{Deserialize, Serialize};

use super::json::parse_json_at;
use super::source::{Body, RawRecord};
use crate::error::{Error, Result};
use crate::trace::Domain;

/// One step in words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// Why this sub-problem now.
    #[serde(default)]
    pub meta_reasoning: String,
    /// What is asked.
    pub sub_problem: String,
    /// How it is solved and what comes out.
    pub answer: String,
}

/// A trace and the steps that somebody found in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Labelled {
    /// Unique within a file.
    #[serde(default)]
    pub id: String,
    /// What the problem is about.
    #[serde(default)]
    pub domain: Domain,
    /// The problem; may be empty.
    #[serde(default)]
    pub problem: String,
    /// The reasoning.
    pub trace: String,
    /// Its steps.
    pub steps: Vec<Parts>,
}

impl Labelled {
    /// Reads one from a raw record; one without an id is called `LABEL:LINE`.
    ///
    /// # Errors
    /// It is no JSON object with `trace` and `steps`, or has no steps; with the record's place.
    pub fn parse(record: &RawRecord) -> Result<Self> {
        let failed = |what: String| Error::data(what).at(record.place.clone());
        let bytes = match &record.body {
            Body::Line(bytes) => bytes,
            Body::Fault(message) => return Err(failed(message.clone())),
        };
        let value = parse_json_at(bytes, &record.place)?;
        let mut own: Labelled = serde_json::from_value(value).map_err(|error| {
            failed(format!(
                "not a labelled trace ({error}): {{\"problem\": …, \"trace\": …, \"steps\": [{{\"meta_reasoning\": …, \
                 \"sub_problem\": …, \"answer\": …}}]}} is one"
            ))
        })?;
        if own.trace.trim().is_empty() || own.steps.is_empty() {
            return Err(failed("a labelled trace has a text and at least one step".into()));
        }
        if let Some(at) = own
            .steps
            .iter()
            .position(|step| step.sub_problem.trim().is_empty() || step.answer.trim().is_empty())
        {
            return Err(failed(format!("step {} has an empty sub_problem or answer", at + 1)));
        }
        if own.id.is_empty() {
            own.id = format!("{}:{}", record.label, record.place.line);
        }
        Ok(own)
    }
}
