//! `rlkd synth`.

use std::io::{BufWriter, Write};
use std::path::Path;

use rlkd::dataset::is_closed_pipe;
use rlkd::error::Place;
use rlkd::synth::words::{Split, Style};
use rlkd::synth::{Problem, SynthConfig};
use rlkd::{Error, Result, files};
use serde::Serialize;

use super::args::SynthArgs;
use super::{ALL_SCORED, Done};

/// Writes problems.
pub fn synth(args: &SynthArgs) -> Done {
    let config = config(args)?;
    config.check()?;
    if args.first.checked_add(args.count).is_none() {
        return Err(Error::config(format!("--first {}: too large", args.first)));
    }
    let all = || args.first..args.first + args.count;
    let problems = |writer: &mut dyn Write, path: &Path| -> Result<()> {
        for index in all() {
            line(writer, path, &Problem::new(&config, index)?.record(&config))?;
        }
        Ok(())
    };
    if let Some(path) = &args.labels {
        if files::same(path, &args.output) || path.as_os_str() == "-" {
            return Err(Error::config("--labels is a file of its own, and not the same file as --output")
                .at(Place::file(path)));
        }
        files::write_with(path, |writer| {
            for index in all() {
                let problem = Problem::new(&config, index)?;
                (0..config.teachers)
                    .try_for_each(|number| line(writer, path, &problem.labelled(number, args.brief)))?;
            }
            Ok(())
        })?;
    }
    if args.output.as_os_str() != "-" {
        files::write_with(&args.output, |writer| problems(writer, &args.output))?;
        return Ok(ALL_SCORED);
    }
    let mut out = BufWriter::new(std::io::stdout().lock());
    let done = problems(&mut out, Path::new("-"))
        .and_then(|()| out.flush().map_err(|error| Error::io("write", Path::new("-"), error)));
    match done {
        Err(error) if !is_closed_pipe(&error) => Err(error),
        _ => Ok(ALL_SCORED),
    }
}

fn line(writer: &mut (impl Write + ?Sized), path: &Path, record: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string(record).map_err(|error| Error::engine(error.to_string()))?;
    text.push('\n');
    writer.write_all(text.as_bytes()).map_err(|error| Error::io("write", path, error))
}

fn config(args: &SynthArgs) -> Result<SynthConfig> {
    let sizes = |name: &str, text: &str| range(name, text).map(|range| range.map(|x| x as usize));
    let split = Split::ALL.into_iter().find(|split| split.name() == args.split).unwrap_or_default();
    let style = |name: &String| Style::ALL.into_iter().find(|style| style.name() == name);
    Ok(SynthConfig {
        split,
        styles: args.style.iter().filter_map(style).collect(),
        steps: sizes("steps", &args.steps)?,
        depth: sizes("depth", &args.depth)?,
        distractors: sizes("distractors", &args.distractors)?,
        numbers: range("numbers", &args.numbers)?,
        invented: args.invented,
        shuffled: !args.in_order,
        teachers: args.teachers,
        spoilt: args.spoilt,
        students: args.students,
        seed: args.seed,
    })
}

/// `3`, or `2..5`.
fn range(name: &str, text: &str) -> Result<[u64; 2]> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    match (from.trim().parse(), to.trim().parse()) {
        (Ok(from), Ok(to)) => Ok([from, to]),
        _ => Err(Error::config(format!(
            "--{name} {text:?}: a number, or two with .. between them, such as 2..5"
        ))),
    }
}
