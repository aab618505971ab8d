//! Problems to roll out on.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use xxhash_rust::xxh3::Xxh3;

use crate::dataset::{Body, Mapping, RawRecord, Source, parse};
use crate::error::{Error, ErrorKind, Result};
use crate::synth::Known;
use crate::tokens::{Tokenizer, student_prompt};
use crate::trace::Sample;

/// Reasons that are kept.
const REASONS: usize = 3;

/// A problem.
#[derive(Clone, Debug)]
pub struct Task {
    /// The problem with its teachers and its answer, without students.
    pub sample: Sample,
    /// The prompt, up to where the student begins to write.
    pub prompt: Vec<u32>,
    /// What is known of it, if it is one of `rlkd synth`.
    pub known: Option<Arc<Known>>,
}

/// Problems.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    /// Those that can be used.
    pub all: Vec<Task>,
    /// Records that cannot be read, with the first few reasons.
    pub bad: (u64, Vec<String>),
    /// Problems whose prompt leaves no room for a completion.
    pub too_long: u64,
    /// A hash of all of them.
    pub fingerprint: String,
}

/// What is wanted of a record.
pub struct Wanted<'a> {
    /// What the student is told before the problem.
    pub system: &'a str,
    /// Most problems; 0: all.
    pub most: usize,
    /// Tokens that a prompt may have.
    pub most_tokens: usize,
    /// Whether a gold answer will do, or a teacher's trace.
    pub answer: bool,
    /// Likewise.
    pub teacher: bool,
}

impl Tasks {
    /// Reads problems.
    ///
    /// # Errors
    /// A file cannot be read, a chat template cannot be rendered, nothing is left.
    pub fn read(files: &[PathBuf], tokenizer: &dyn Tokenizer, wanted: &Wanted<'_>) -> Result<Self> {
        let mut tasks = Tasks::default();
        let mut hash = Xxh3::new();
        // Each file may have a shape of its own.
        for file in files {
            tasks.file(file, tokenizer, wanted, &mut hash)?;
        }
        if tasks.all.is_empty() && tasks.bad.0 + tasks.too_long == 0 {
            return Err(Error::data("there are no problems to work on: the files have no records"));
        }
        if tasks.all.is_empty() && wanted.most_tokens == 0 {
            return Err(Error::config(
                "completions as long as the context leave no room for a prompt: lower max_completion_length or --max-tokens",
            ));
        }
        if tasks.all.is_empty() {
            let first = tasks.bad.1.first().map_or(String::new(), |first| format!("; the first: {first}"));
            return Err(Error::data(format!(
                "there are no problems to work on: {} records cannot be used, {} prompts are longer than the {} tokens that a completion leaves of the \
                 context (max_completion_length or --max-tokens, engine.context or --ctx){first}",
                tasks.bad.0, tasks.too_long, wanted.most_tokens
            )));
        }
        tasks.fingerprint = format!("{:032x}", hash.digest128());
        Ok(tasks)
    }

    fn file(
        &mut self,
        file: &PathBuf,
        tokenizer: &dyn Tokenizer,
        wanted: &Wanted<'_>,
        hash: &mut Xxh3,
    ) -> Result<()> {
        let mut source = Source::open(std::slice::from_ref(file))?;
        let mut mapping = Mapping::default().without_students();
        mapping.detect(&mut source)?;
        while let Some(record) = source.next_record()? {
            if wanted.most > 0 && self.all.len() >= wanted.most {
                break;
            }
            let task = match task(&record, &mapping, tokenizer, wanted) {
                Ok(task) => task,
                Err(error) if error.kind() == ErrorKind::Data => {
                    self.bad.0 += 1;
                    if self.bad.1.len() < REASONS {
                        self.bad.1.push(error.to_string());
                    }
                    continue;
                }
                Err(error) => return Err(error),
            };
            if task.prompt.len() > wanted.most_tokens {
                self.too_long += 1;
                continue;
            }
            let texts = task.sample.teachers.iter().map(|trace| trace.text.as_str());
            for text in [task.sample.answer.as_deref().unwrap_or("\0")].into_iter().chain(texts) {
                hash.update(&(text.len() as u64).to_le_bytes());
                hash.update(text.as_bytes());
            }
            hash.update(&task.prompt.iter().flat_map(|token| token.to_le_bytes()).collect::<Vec<u8>>());
            self.all.push(task);
        }
        Ok(())
    }
}

fn task(
    record: &RawRecord,
    mapping: &Mapping,
    tokenizer: &dyn Tokenizer,
    wanted: &Wanted<'_>,
) -> Result<Task> {
    #[derive(Deserialize)]
    struct Synth {
        synth: Option<Known>,
    }
    let sample = parse(record, mapping)?;
    let wrong = |what: &str| Err(Error::data(what).at(record.place.clone()));
    if sample.problem.trim().is_empty() {
        return wrong("a student needs a problem");
    }
    let can = wanted.answer && sample.answer.is_some() || wanted.teacher && !sample.teachers.is_empty();
    if !can {
        return wrong(match (wanted.answer, wanted.teacher) {
            (true, false) => "no gold answer, and the rewards need one",
            (false, true) => "no teacher's trace, and the rewards need one",
            _ => "neither a gold answer nor a teacher's trace: no reward can be given",
        });
    }
    // Where it is no record of the test bed, nothing is known.
    let known = match &record.body {
        Body::Line(bytes) => serde_json::from_slice::<Synth>(bytes).ok().and_then(|record| record.synth),
        Body::Fault(_) => None,
    };
    let prompt = student_prompt(tokenizer, wanted.system, &sample.problem)?;
    Ok(Task { sample, prompt, known: known.map(Arc::new) })
}
