//! `rlkd report`.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use rlkd::dataset::read_records;
use rlkd::error::Place;
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
    write_whole(&args.output, |out| builder.write_to(&title, out))?;
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

/// Writes a file under a temporary name beside it, and renames it when it is whole.
///
/// # Errors
/// The folder is missing, the disk is full: the file is as it was before.
pub fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> Result<()> {
    let failed = |error| Error::io("write", path, error);
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let done = File::create(&temporary).and_then(|file| {
        let mut out = BufWriter::new(file);
        write(&mut out)?;
        out.flush()?;
        out.get_ref().sync_all()?;
        std::fs::rename(&temporary, path)
    });
    done.map_err(|error| {
        // What is left of the attempt is of no use; that it may stay is no reason to hide the error.
        let _ = std::fs::remove_file(&temporary);
        failed(error)
    })
}
