//! `rlkd explain`.

use rlkd::dataset::{Mapping, Source, parse, read_records};
use rlkd::report::terminal;
use rlkd::run::RunConfig;
use rlkd::score::{Scored, Scorer};
use rlkd::{Error, Result};
use serde_json::Value;

use super::args::ExplainArgs;
#[cfg(feature = "llama")]
use super::score::model_config;
use super::score::rule_config;
use super::{ALL_SCORED, Done, show};

/// Shows the scored traces of one sample.
pub fn explain(args: &ExplainArgs) -> Done {
    let mut found = if is_scored(args)? {
        super::report::scored_lines(&args.file)?;
        find_scored(args)?
    } else {
        score_sample(args)?
    };
    if let Some(student) = args.student {
        let had = found.len();
        found.retain(|record| record.student == student);
        if found.is_empty() {
            return Err(Error::config(format!(
                "{:?} has {had} students, counted from 0; there is no {student}",
                args.id
            )));
        }
    }
    let (width, color) = (show::width(), show::color());
    let pages: Vec<String> = found.iter().map(|record| terminal::explain(record, width, color)).collect();
    show::print(pages.join("\n").as_bytes())?;
    Ok(ALL_SCORED)
}

/// Whether the file holds records of `rlkd score`; the first one tells.
fn is_scored(args: &ExplainArgs) -> Result<bool> {
    for record in read_records::<Value>(&args.file)? {
        let Ok(record) = record else { return Ok(false) };
        if record.get("error").is_some() && record.get("line").is_some() {
            continue;
        }
        return Ok(record.get("parts").is_some() && record.get("student").is_some_and(Value::is_number));
    }
    Ok(false)
}

fn find_scored(args: &ExplainArgs) -> Result<Vec<Scored>> {
    let mut found = Vec::new();
    for record in read_records::<Value>(&args.file)? {
        let record = record?;
        let here = record.get("id").and_then(Value::as_str) == Some(&args.id);
        if !here && !found.is_empty() {
            break;
        }
        if !here {
            continue;
        }
        if let Some(error) = record.get("error").and_then(Value::as_str) {
            if !found.is_empty() {
                // The same id again, right behind.
                break;
            }
            return Err(Error::data(format!("{:?} was not scored: {error}", args.id)));
        }
        found.push(serde_json::from_value(record).map_err(|error| Error::data(error.to_string()))?);
    }
    if found.is_empty() { Err(missing(args)) } else { Ok(found) }
}

/// Finds the sample in a file that is not scored yet, and scores it.
fn score_sample(args: &ExplainArgs) -> Result<Vec<Scored>> {
    let mut config = RunConfig::default();
    rule_config(&args.rule, &mut config)?;
    #[cfg(feature = "llama")]
    model_config(&args.model, &mut config.llama)?;
    if let Some(decomposer) = &args.decomposer {
        config.decomposer.clone_from(decomposer);
    }
    let mut mapping = Mapping::new(&args.preset, &args.map)?;
    let mut source = Source::open(std::slice::from_ref(&args.file))?;
    mapping.detect(&mut source)?;
    while let Some(record) = source.next_record()? {
        match parse(&record, &mapping) {
            Ok(sample) if sample.id == args.id => return Scorer::new(&config.settings())?.score(&sample),
            _ => {}
        }
    }
    Err(missing(args))
}

fn missing(args: &ExplainArgs) -> Error {
    Error::data(format!(
        "there is no sample with the id {:?} in {}: its lines have them as \"id\"",
        args.id,
        args.file.display()
    ))
}
