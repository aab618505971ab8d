//! A raw record becomes a sample.

use serde_json::{Map, Value, json};

use super::json::{Path, parse_json_at};
use super::map::{Column, Mapping, at, preset_of};
use super::presets::{Answer, Traces};
use super::source::{Body, RawRecord};
use super::traces::{has, is_chat, kind, said, traces};
use crate::config::nearest;
use crate::error::{Error, Result};
use crate::trace::{Domain, Sample, Trace};

/// Reads a sample from a raw record. Depends on nothing but its arguments, so that any number of
/// threads can do it.
///
/// Texts are kept as they are. Ids and answers may be numbers or truth values: they become text as
/// JSON wrote them (`27.0` stays `27.0`). A record without id is called `LABEL:LINE`. Problem, domain,
/// teacher and answer may be missing; student traces may not, unless the mapping says so.
///
/// # Errors
/// The record could not be read, is no JSON object, or a part of it is not what it should be. The
/// error has the record's place.
pub fn parse(record: &RawRecord, mapping: &Mapping) -> Result<Sample> {
    let bytes = match &record.body {
        Body::Line(bytes) => bytes,
        Body::Fault(message) => return Err(Error::data(message.clone()).at(record.place.clone())),
    };
    let value = parse_json_at(bytes, &record.place)?;
    // The bytes were just read as JSON, so they are UTF-8.
    let json = std::str::from_utf8(bytes).unwrap_or_default();
    let whole = Whole { value: &value, json, mapping };
    whole.sample(record).map_err(|error| error.at(record.place.clone()))
}

/// Writes a sample as a native record: reading that gives the same sample.
pub fn to_native(sample: &Sample) -> Value {
    let list = |traces: &[Trace]| -> Value {
        let one = |trace: &Trace| match &trace.origin {
            None => Value::from(trace.text.as_str()),
            Some(origin) => json!({"text": trace.text, "origin": origin}),
        };
        traces.iter().map(one).collect()
    };
    let mut record = Map::new();
    record.insert("id".into(), sample.id.as_str().into());
    record.insert("domain".into(), json!(sample.domain));
    record.insert("problem".into(), sample.problem.as_str().into());
    record.insert("teacher".into(), list(&sample.teachers));
    record.insert("students".into(), list(&sample.students));
    if let Some(answer) = &sample.answer {
        record.insert("answer".into(), answer.as_str().into());
    }
    Value::Object(record)
}

/// A record with what is needed to read it.
struct Whole<'a> {
    value: &'a Value,
    json: &'a str,
    mapping: &'a Mapping,
}

impl Whole<'_> {
    fn sample(&self, record: &RawRecord) -> Result<Sample> {
        let Value::Object(object) = self.value else {
            return Err(Error::data(format!("a record is a JSON object; this is {}", kind(self.value))));
        };
        let preset = self.mapping.preset.unwrap_or_else(|| preset_of(self.value));
        let id = match self.named(Column::Id)? {
            Some((path, value)) => self.text(path, value, "id")?,
            None => self.joined(preset.id)?,
        };
        let problem = match self.named(Column::Problem)? {
            Some((path, value)) => self.problem(path, value)?,
            None => match (preset.question, self.first(preset.problem)?) {
                (Some(read), _) => read(self.value),
                (None, Some((path, value))) => self.problem(&path, value)?,
                (None, None) => None,
            },
        };
        let domain = match self.named(Column::Domain)? {
            Some((path, value)) => self.text(path, value, "domain")?,
            None => match self.first(preset.domain)? {
                Some((path, value)) => self.text(&path, value, "domain")?,
                None => None,
            },
        };
        let answer = match (self.named(Column::Answer)?, preset.answer) {
            (Some((path, value)), _) => self.text(path, value, "answer")?,
            (None, Answer::By(read)) => read(self.value),
            (None, Answer::At(paths)) => match self.first(paths)? {
                Some((path, value)) => self.text(&path, value, "answer")?,
                None => None,
            },
        };
        let teachers = self.traces(Column::Teachers, preset.teachers, "teacher")?;
        let students = self.traces(Column::Students, preset.students, "students")?;
        if students.is_empty() && self.mapping.needs_students {
            return Err(self.no_students(object, preset.name, preset.students));
        }
        Ok(Sample {
            id: id.unwrap_or_else(|| format!("{}:{}", record.label, record.place.line)),
            domain: domain.map_or(preset.default_domain, |name| Domain::from_name(name.trim())),
            problem: problem.unwrap_or_default(),
            teachers,
            students,
            answer,
        })
    }

    /// The column named by hand for a part. Whoever names a column means one that is there.
    fn named(&self, column: Column) -> Result<Option<(&Path, &Value)>> {
        let Some(path) = self.mapping.named(column) else { return Ok(None) };
        let Some(value) = path.get(self.value) else {
            let keys = self.value.as_object().into_iter().flat_map(Map::keys).map(String::as_str);
            let hint = match nearest(path.head(), keys.filter(|key| *key != path.head())) {
                Some(name) => format!(" (did you mean `{name}`?)"),
                None => String::new(),
            };
            let has = self.value.as_object().map(has).unwrap_or_default();
            return Err(Error::data(format!("the record has no `{path}`{hint}; {has}. Check --map")));
        };
        Ok(Some((path, value)))
    }

    fn first(&self, paths: &[&str]) -> Result<Option<(Path, &Value)>> {
        let found = paths.iter().find_map(|path| Some((path, at(self.value, path)?)));
        found.map(|(path, value)| Ok((Path::parse(path)?, value))).transpose()
    }

    fn joined(&self, paths: &[&str]) -> Result<Option<String>> {
        let mut parts = Vec::new();
        for path in paths {
            if let Some((path, value)) = self.first(&[path])? {
                parts.extend(self.text(&path, value, "id")?);
            }
        }
        Ok(if parts.is_empty() { None } else { Some(parts.join(":")) })
    }

    /// A part that is text, or a number or truth value that becomes text; a list of one is its item.
    fn text(&self, path: &Path, value: &Value, part: &str) -> Result<Option<String>> {
        match value {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.clone())),
            Value::Bool(value) => Ok(Some(value.to_string())),
            Value::Number(number) if number.is_f64() => {
                Ok(Some(path.spelling(self.json).map_or_else(|| number.to_string(), str::to_string)))
            }
            Value::Number(number) => Ok(Some(number.to_string())),
            Value::Array(items) if items.len() == 1 && !items[0].is_array() => {
                self.text(&Path::parse(&format!("{path}[0]"))?, &items[0], part)
            }
            Value::Array(items) if items.is_empty() => Ok(None),
            other => Err(Error::data(format!(
                "`{path}` ({part}) is {}; it has to be text or a number",
                kind(other)
            ))),
        }
    }

    /// The problem: text, or what the user says in a chat.
    fn problem(&self, path: &Path, value: &Value) -> Result<Option<String>> {
        match value {
            Value::Array(items) if is_chat(items) => said(items, "user"),
            _ => self.text(path, value, "problem"),
        }
    }

    fn traces(&self, column: Column, preset: Traces, part: &str) -> Result<Vec<Trace>> {
        let within =
            |path: &str, error: Error| Error::data(format!("`{path}` ({part}): {}", error.message()));
        match (self.named(column)?, preset) {
            (Some((path, value)), _) => traces(value).map_err(|e| within(&path.to_string(), e)),
            (None, Traces::Nowhere) => Ok(Vec::new()),
            (None, Traces::By(read)) => read(self.value).map_err(|e| within(part, e)),
            (None, Traces::At(paths)) => match self.first(paths)? {
                Some((path, value)) => traces(value).map_err(|e| within(&path.to_string(), e)),
                None => Ok(Vec::new()),
            },
        }
    }

    fn no_students(&self, object: &Map<String, Value>, preset: &str, from: Traces) -> Error {
        if let (None, Traces::At(paths)) = (self.mapping.named(Column::Students), from)
            && let Ok(Some((path, Value::Array(_)))) = self.first(paths)
        {
            return Error::data(format!(
                "no student traces: `{path}` is empty, so there is nothing to score"
            ));
        }
        let wanted = match (self.mapping.named(Column::Students), from) {
            (Some(path), _) => format!("`{path}` holds none"),
            (None, Traces::At(paths)) => {
                let list = paths.iter().map(|p| format!("`{p}`")).collect::<Vec<_>>();
                format!("the preset `{preset}` looks for {}", list.join(" or "))
            }
            (None, _) => format!("records of the preset `{preset}` hold none"),
        };
        Error::data(format!(
            "no student traces: {wanted}; the record: {}. Name the column that holds them with \
             --map students=COLUMN",
            has(object)
        ))
    }
}
