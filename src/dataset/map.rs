//! Which column of a record is what: a preset, and columns named by hand.

use serde_json::Value;

use super::json::Path;
use super::presets::{PRESETS, Preset};
use super::source::{Body, Source};
use crate::config::nearest;
use crate::error::{Error, Result};

/// A part of a sample that a column can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// The sample's id.
    Id,
    /// The problem statement.
    Problem,
    /// The domain.
    Domain,
    /// The teacher's traces.
    Teachers,
    /// The students' traces.
    Students,
    /// The gold answer.
    Answer,
}

/// The names of columns in `--map`.
const COLUMNS: [(&str, Column); 8] = [
    ("id", Column::Id),
    ("problem", Column::Problem),
    ("domain", Column::Domain),
    ("teacher", Column::Teachers),
    ("teachers", Column::Teachers),
    ("students", Column::Students),
    ("student", Column::Students),
    ("answer", Column::Answer),
];

/// How many records [`Mapping::detect`] looks at to find one that can be read.
const LOOK_AHEAD: usize = 16;

/// Which column of a record is what.
#[derive(Clone, Debug)]
pub struct Mapping {
    pub(super) preset: Option<&'static Preset>,
    pub(super) named: Vec<(Column, Path)>,
    pub(super) needs_students: bool,
}

impl Default for Mapping {
    /// Detects the preset of each record by its keys.
    fn default() -> Self {
        Mapping { preset: None, named: Vec::new(), needs_students: true }
    }
}

impl Mapping {
    /// A mapping by the name of a preset, or `auto`, and columns named by hand, which override the
    /// preset's: each of `columns` is `PART=PATH` or several of these with commas between.
    ///
    /// # Errors
    /// An unknown preset or part (with the nearest known one), a part named twice, a path that is
    /// none. Kind `Config`.
    pub fn new<S: AsRef<str>>(preset: &str, columns: &[S]) -> Result<Self> {
        let preset = match preset {
            "auto" => None,
            name => Some(PRESETS.iter().find(|p| p.name == name).ok_or_else(|| {
                let known = || PRESETS.iter().map(|p| p.name).chain(["auto"]);
                unknown("preset", name, &known().collect::<Vec<_>>())
            })?),
        };
        let mut mapping = Mapping { preset, ..Mapping::default() };
        for entry in
            columns.iter().flat_map(|c| c.as_ref().split(',')).map(str::trim).filter(|e| !e.is_empty())
        {
            let Some((part, path)) = entry.split_once('=') else {
                let message = format!("--map {entry}: write PART=COLUMN, for example problem=question");
                return Err(Error::config(message));
            };
            let part = part.trim();
            let column = COLUMNS
                .iter()
                .find(|(name, _)| *name == part)
                .map(|(_, column)| *column)
                .ok_or_else(|| unknown("part of a sample", part, &COLUMNS.map(|(name, _)| name)))?;
            if mapping.named.iter().any(|(known, _)| *known == column) {
                return Err(Error::config(format!("--map names a column for `{part}` twice")));
            }
            mapping.named.push((column, Path::parse(path.trim())?));
        }
        Ok(mapping)
    }

    /// The same mapping for use where records need not hold student traces.
    #[must_use]
    pub fn without_students(mut self) -> Self {
        self.needs_students = false;
        self
    }

    /// Fixes the preset by the first record of `source` that is a JSON object, if it is not fixed
    /// yet; no record is used up. Returns its name, or `None` if no record could be read.
    ///
    /// # Errors
    /// The operating system could not read an input.
    pub fn detect(&mut self, source: &mut Source) -> Result<Option<&'static str>> {
        for index in 0..LOOK_AHEAD {
            if self.preset.is_some() {
                break;
            }
            let Some(record) = source.peek(index)? else { break };
            let Body::Line(bytes) = &record.body else { continue };
            if let Ok(value @ Value::Object(_)) = serde_json::from_slice(bytes) {
                self.preset = Some(preset_of(&value));
            }
        }
        Ok(self.preset_name())
    }

    /// The name of the preset, if it is fixed.
    pub fn preset_name(&self) -> Option<&'static str> {
        self.preset.map(|preset| preset.name)
    }

    /// The path named by hand for `column`.
    pub(super) fn named(&self, column: Column) -> Option<&Path> {
        self.named.iter().find(|(known, _)| *known == column).map(|(_, path)| path)
    }
}

/// The first preset whose keys `record` has; the native one if there is none.
pub(super) fn preset_of(record: &Value) -> &'static Preset {
    let there = |path: &&str| at(record, path).is_some();
    PRESETS.iter().find(|p| p.keys.iter().all(|group| group.iter().any(there))).unwrap_or(&PRESETS[0])
}

/// The value at one of the presets' own paths: names with dots between.
pub(super) fn at<'v>(record: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(record, |value, key| value.get(key))
}

fn unknown(what: &str, name: &str, known: &[&str]) -> Error {
    let hint = match nearest(name, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`? "),
        None => String::new(),
    };
    Error::config(format!("unknown {what} `{name}`: {hint}Known are {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named() {
        for (preset, columns, message) in [
            (
                "openr1math",
                &[][..],
                "unknown preset `openr1math`: did you mean `openr1-math`? Known are native,",
            ),
            (
                "auto",
                &["problm=x"],
                "unknown part of a sample `problm`: did you mean `problem`? Known are id,",
            ),
            ("auto", &["problem"], "--map problem: write PART=COLUMN"),
            ("auto", &["teacher=a", "teachers=b"], "--map names a column for `teachers` twice"),
            ("auto", &["problem=a..b"], "`a..b` is not a column"),
        ] {
            let error = Mapping::new(preset, columns).expect_err("a mistake");
            assert!(error.message().starts_with(message), "{error}");
        }
    }

    #[test]
    fn columns_are_read_in_one_entry_or_several() {
        let one = Mapping::new("native", &["problem = q , teacher=a.b[0]"]).expect("a mapping");
        let several = Mapping::new("native", &["problem=q", "teacher=a.b[0]"]).expect("a mapping");
        assert_eq!(one.named, several.named);
        assert_eq!(one.named(Column::Teachers).map(ToString::to_string).as_deref(), Some("a.b[0]"));
    }

    #[test]
    fn names_of_presets_are_unique() {
        for (index, preset) in PRESETS.iter().enumerate() {
            assert!(PRESETS[..index].iter().all(|p| p.name != preset.name), "{}", preset.name);
        }
    }
}
