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
use serde::Deserialize;

use super::args::ReportArgs;
use super::{ALL_SCORED, Done, show};

/// A line of a scored file.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Scored(Box<Scored>),
    Error(ErrorRecord),
}

/// Writes the page.
pub fn report(args: &ReportArgs) -> Done {
    refuse_overwriting(&args.output, [&args.scored])?;
    scored_lines(&args.scored)?;
    let mut builder = Builder::new(Options { shown: args.pairs, ..Options::default() });
    for line in read_records::<Line>(&args.scored)? {
        let line = line.map_err(|error| match error.place() {
            Some(place) => Error::data("no line of a scored file: run `rlkd score` first").at(place.clone()),
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
