//! How good a model is on problems with answers: several samples of each, shares of right ones, intervals; and where teachers or the true
//! structure are known, how its reasoning agrees with them.
//!
//! Results are lines of a file, one a problem. A run that was broken off goes on behind its last whole line: what is sampled for a problem
//! depends on the seed and its place alone.

pub mod figures;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::answer;
use crate::distill::data::{Task, Tasks, Wanted};
use crate::distill::sampler::{Sampler, as_students};
use crate::error::{Error, Place, Result};
use crate::files;
use crate::llama::model::Model;
use crate::llama::sample::Sampling;
use crate::score::{Scorer, Settings};
use crate::seed::Seed;
use crate::synth::agreement::agreement;
use crate::train::adapter::Adapter;
use crate::train::model::shape::Shape;

/// Problems that are sampled together: what is lost with a kill.
const TOGETHER: usize = 32;

/// What is evaluated, and how.
#[derive(Clone, Debug)]
pub struct EvalConfig {
    /// Adapters, which are put together.
    pub adapters: Vec<PathBuf>,
    /// Files of problems.
    pub data: Vec<PathBuf>,
    /// Most problems; 0: all.
    pub limit: usize,
    /// What the model is told before the problem.
    pub system: String,
    /// Samples of each problem.
    pub samples: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Most tokens of a sample.
    pub max_tokens: usize,
    /// How traces are aligned with the teachers'.
    pub score: Settings,
    /// How llama.cpp runs the model.
    pub engine: crate::llama::settings::Settings,
    /// The seed of every draw.
    pub seed: u64,
    /// Keep what was written.
    pub texts: bool,
}

/// A problem with what was written on it: a line of the results.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluated {
    /// The problem's.
    pub id: String,
    /// The gold answer.
    pub gold: Option<String>,
    /// The samples.
    pub samples: Vec<Sampled>,
}

/// A sample.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sampled {
    /// The answer that it gives.
    pub answer: Option<String>,
    /// Whether that is right; none if the gold answer cannot be read.
    pub right: Option<bool>,
    /// The structure reward against the teacher that it matches best.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structure: Option<f64>,
    /// How far it agrees with the true structure, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement: Option<f64>,
    /// The quantities that it claims, in their order, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Vec<usize>>,
    /// Tokens.
    pub tokens: u32,
    /// Whether the model ended it, and not the bound.
    pub ended: bool,
    /// What was written, if that is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// The first line of a file of results: what it was made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Head {
    eval: String,
    /// Sequences that are sampled at once: the last bits depend on it.
    #[serde(default)]
    parallel: u32,
}

/// Evaluates, or goes on. `watch` is called with problems that are done, and all of them.
///
/// # Errors
/// A file cannot be read or written, the model cannot be run, the output is of another evaluation, or it was stopped.
pub fn run(
    config: &EvalConfig,
    model: &Path,
    output: &Path,
    stop: &AtomicBool,
    mut watch: impl FnMut(usize, usize),
) -> Result<Vec<Evaluated>> {
    if config.samples == 0 || config.max_tokens == 0 {
        return Err(Error::config("at least one sample of one token"));
    }
    config.sampling.check()?;
    let tokenizer = Model::load_tokenizer(model, &config.engine)?;
    let context = match config.engine.context {
        0 => usize::try_from(tokenizer.facts().context_length).unwrap_or(usize::MAX),
        own => own as usize,
    };
    let wanted = Wanted {
        system: &config.system,
        most: config.limit,
        most_tokens: context.saturating_sub(config.max_tokens),
        answer: true,
        teacher: true,
    };
    let tasks = Tasks::read(&config.data, &*tokenizer, &wanted)?;
    if tasks.bad.0 > 0 || tasks.too_long > 0 {
        return Err(Error::data(format!(
            "{} records cannot be used and {} prompts leave no room for {} tokens of a sample (--max-tokens, --ctx): take them out, since a share \
             of the rest would be one of other problems{}",
            tasks.bad.0,
            tasks.too_long,
            config.max_tokens,
            tasks.bad.1.first().map_or(String::new(), |first| format!("; the first: {first}"))
        )));
    }
    let facts = crate::gguf::check(model)?;
    let mut adapters = Vec::new();
    if !config.adapters.is_empty() {
        let shape = Shape::of(&crate::gguf::Gguf::open(model)?, &facts, None)?;
        for path in &config.adapters {
            adapters.push(Adapter::load(path, &shape)?);
        }
    }
    let prints: Vec<String> = adapters.iter().map(Adapter::fingerprint).collect();
    let mut head = Head {
        parallel: config.engine.parallel,
        eval: format!(
            "eval-1 {} {} {} {:?} samples {} tokens {} seed {} {} {}",
            tokenizer.fingerprint(),
            prints.join("+"),
            tasks.fingerprint,
            config.sampling,
            config.samples,
            config.max_tokens,
            config.seed,
            facts.architecture,
            config.score.fingerprint()?,
        ),
    };
    let failed = |error| Error::io("write", output, error);
    let (output, special) = &files::target(output)?;
    if *special {
        return Err(
            Error::config("results cannot go into a pipe or a device: name a file").at(Place::file(output))
        );
    }
    let mut lines = std::fs::OpenOptions::new().create(true).append(true).open(output).map_err(failed)?;
    if !files::lock(&lines).map_err(failed)? {
        return Err(Error::config(
            "another evaluation writes this file: wait for it, or name another output",
        )
        .at(Place::file(output)));
    }
    let begun = lines.metadata().map_err(failed)?.len() > 0;
    let mut done = if begun { resume(output, &mut head)? } else { Vec::new() };
    let all = tasks.all.len();
    watch(done.len(), all);
    if done.len() >= all {
        return Ok(done);
    }
    let longest = tasks.all.iter().map(|task| task.prompt.len()).max().unwrap_or(0);
    let sizes = [TOGETHER * config.samples, config.samples, longest + config.max_tokens];
    let engine = crate::llama::settings::Settings { parallel: head.parallel, ..config.engine.clone() };
    let sampler = Sampler::start(model, &engine, sizes, adapters, output).inspect_err(|_| {
        // Nothing is in it yet.
        if !begun {
            let _ = std::fs::remove_file(output);
        }
    })?;
    if !begun {
        head.parallel = sampler.model().resolved().settings.parallel;
        let line = serde_json::to_string(&head).map_err(|error| Error::engine(error.to_string()))?;
        lines.write_all(format!("{line}\n").as_bytes()).map_err(failed)?;
    }
    sampler.take(None)?;
    let mut scorer = Scorer::new(&config.score)?;
    while done.len() < all {
        let places: Vec<usize> = (done.len()..all.min(done.len() + TOGETHER)).collect();
        let part = evaluate(config, &sampler, &mut scorer, &tasks, &places)?;
        let mut text = Vec::new();
        for one in &part {
            serde_json::to_writer(&mut text, one).map_err(|error| Error::engine(error.to_string()))?;
            text.push(b'\n');
        }
        lines
            .write_all(&text)
            .and_then(|()| lines.sync_data())
            .map_err(|error| Error::io("write", output, error))?;
        done.extend(part);
        watch(done.len(), all);
        if stop.load(Ordering::Relaxed) && done.len() < all {
            return Err(Error::engine(format!(
                "stopped after {} of {all} problems: the same command goes on from there",
                done.len()
            )));
        }
    }
    Ok(done)
}

/// Samples and judges some problems.
fn evaluate(
    config: &EvalConfig,
    sampler: &Sampler,
    scorer: &mut Scorer,
    tasks: &Tasks,
    places: &[usize],
) -> Result<Vec<Evaluated>> {
    let own: Vec<&Task> = places.iter().map(|at| &tasks.all[*at]).collect();
    let numbers: Vec<u64> = places.iter().map(|at| *at as u64).collect();
    let mut written = Vec::with_capacity(own.len());
    let draws = (Seed(config.seed), numbers.as_slice());
    sampler.sample(&own, config.samples, &config.sampling, config.max_tokens, draws, |_, completions| {
        written.push(completions);
        Ok(())
    })?;
    let samples = as_students(own.iter().copied().zip(&written));
    let scored = scorer.score_batch(&samples.iter().collect::<Vec<_>>());
    let mut all = Vec::with_capacity(own.len());
    for ((task, completions), scored) in own.iter().zip(written).zip(scored) {
        let scored = scored?;
        let sampled = completions.into_iter().zip(&scored).map(|(one, scored)| {
            let value = |name: &str| scored.parts.get(name).and_then(|part| part.value);
            let options = answer::Options::default();
            let found = answer::answer_on(&task.sample.problem, &one.text, options);
            let agreed = task.known.as_ref().map(|known| agreement(known, &one.text));
            Sampled {
                answer: found.map(str::to_owned),
                right: value("accuracy").map(|value| value > 0.5),
                structure: value("structure"),
                agreement: agreed.as_ref().map(|agreed| agreed.score()),
                order: agreed.map(|agreed| agreed.claims.into_iter().map(|(at, _)| at).collect()),
                tokens: one.tokens.len() as u32,
                ended: one.ended,
                text: config.texts.then_some(one.text),
            }
        });
        all.push(Evaluated {
            id: task.sample.id.clone(),
            gold: task.sample.answer.clone(),
            samples: sampled.collect(),
        });
    }
    Ok(all)
}

/// Reads a file of results that was begun; a line that was cut is taken off. What `head` leaves open is as it was.
fn resume(output: &Path, head: &mut Head) -> Result<Vec<Evaluated>> {
    let (found, done, bytes) = lines(output)?;
    if head.parallel == 0 {
        head.parallel = found.parallel;
    }
    if found != *head {
        return Err(Error::config(
            "the file has results of another model, other problems or other settings: name another output, or remove it",
        )
        .at(Place::file(output)));
    }
    let file = std::fs::OpenOptions::new().write(true).open(output);
    file.and_then(|file| file.set_len(bytes)).map_err(|error| Error::io("write", output, error))?;
    Ok(done)
}

/// Reads results.
///
/// # Errors
/// The file cannot be read, or has none.
pub fn read(path: &Path) -> Result<Vec<Evaluated>> {
    lines(path).map(|(_, done, _)| done)
}

/// How the samples of a file of results were drawn, for people: two files of which this differs are no fair comparison.
///
/// # Errors
/// As [`read`].
pub fn drawn(path: &Path) -> Result<String> {
    let (head, ..) = lines(path)?;
    let from = head.eval.find("Sampling {").unwrap_or_default();
    let to = head.eval.find(" seed ").unwrap_or(head.eval.len());
    Ok(head.eval.get(from..to).unwrap_or_default().to_owned())
}

/// What stands in a file of results, and the bytes of its whole lines.
fn lines(path: &Path) -> Result<(Head, Vec<Evaluated>, u64)> {
    let file = std::fs::File::open(path).map_err(|error| Error::io("read the results", path, error))?;
    let mut reader = BufReader::new(file);
    let (mut head, mut done, mut bytes, mut number) = (None, Vec::new(), 0, 0);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader
            .read_until(b'\n', &mut line)
            .map_err(|error| Error::io("read the results", path, error))?;
        number += 1;
        // Nothing, or a line that was cut by a kill.
        if !line.ends_with(b"\n") {
            break;
        }
        let wrong = |error: serde_json::Error| {
            Error::data(format!("no results of rlkd eval: {error}")).at(Place::line(path, number))
        };
        match head {
            None => head = Some(serde_json::from_slice::<Head>(&line).map_err(wrong)?),
            Some(_) => done.push(serde_json::from_slice(&line).map_err(wrong)?),
        }
        bytes += read as u64;
    }
    let head = head.ok_or_else(|| Error::data("no results of rlkd eval").at(Place::file(path)))?;
    Ok((head, done, bytes))
}
