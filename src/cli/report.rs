//! `rlkd report`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rlkd::dataset::read_records;
use rlkd::error::Place;
use rlkd::files::write_with;
use rlkd::report::html::{Builder, Options};
use rlkd::run::{ErrorRecord, refuse_overwriting};
use rlkd::score::Scored;
use rlkd::{Error, Result};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::args::ReportArgs;
use super::{ALL_SCORED, Done, show};

/// A line of a scored file.
enum Line {
    Scored(Box<Scored>),
    Error(ErrorRecord),
}

impl<'de> Deserialize<'de> for Line {
    /// Told apart by the key `error`, so that what is wrong with a scored record is said and not only that it is none.
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(from)?;
        let read = if value.get("error").is_some() {
            serde_json::from_value(value).map(Line::Error)
        } else {
            serde_json::from_value(value).map(|record| Line::Scored(Box::new(record)))
        };
        read.map_err(D::Error::custom)
    }
}

/// Writes the page.
pub fn report(args: &ReportArgs) -> Done {
    refuse_overwriting(&args.output, [&args.scored])?;
    scored_lines(&args.scored)?;
    let mut builder = Builder::new(Options { shown: args.pairs, trees: args.trees, ..Options::default() });
    for line in read_records::<Line>(&args.scored)? {
        let line = line.map_err(|error| match error.place() {
            Some(place) => {
                let why = format!("no line of a scored file, which `rlkd score` writes: {}", error.message());
                Error::data(why).at(place.clone())
            }
            None => error,
        })?;
        match line {
            Line::Scored(record) => builder.push(&record),
            Line::Error(record) => {
                let place = format!("{}:{}", record.file.display(), record.line);
                builder.push_error(record.id.as_deref(), &record.error, &place);
            }
        }
    }
    let name = args.scored.file_name().map(|name| name.to_string_lossy().into_owned());
    let title = args.title.clone().or(name).unwrap_or_else(|| "rlkd".into());
    write_with(&args.output, |out| {
        builder.write_to(&title, out).map_err(|error| Error::io("write", &args.output, error))
    })?;
    show::print(format!("{}\n", args.output.display()).as_bytes())?;
    Ok(ALL_SCORED)
}

/// Refuses Parquet, which the views do not read.
///
/// # Errors
/// The file is Parquet, or cannot be read.
pub fn scored_lines(path: &Path) -> Result<()> {
    let mut magic = [0; 4];
    let mut file = File::open(path).map_err(|error| Error::io("open", path, error))?;
    if file.read(&mut magic).is_ok_and(|read| read == 4) && &magic == b"PAR1" {
        let message = "this is Parquet; explain and report read lines: score to a .jsonl, .gz or .zst file";
        return Err(Error::data(message).at(Place::file(path)));
    }
    Ok(())
}
