//! Labels for a GSRM: a strong model behind an OpenAI-compatible endpoint writes the steps of traces.
//!
//! What it wrote is kept only if it has the form that the grammar asks for; it is asked again if not. A run that was
//! interrupted goes on behind its last whole chunk.

mod client;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::dataset::{Labelled, Mapping, Parts, Progress, RawRecord, Sink, Source, parse};
use crate::decompose::tagged;
use crate::error::{Error, ErrorKind, Result};
use crate::grammar::{self, Form, Grammar, Limits};
use crate::llama::constraint::{Token, Vocabulary};
use crate::run::ErrorRecord;
use crate::trace::{End, Sample, Trace};
pub use client::{Endpoint, Usage};

/// Which traces of a sample are labelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// The teacher's.
    Teacher,
    /// The students'.
    Students,
    /// All of them.
    #[default]
    All,
}

/// What is done.
#[derive(Clone, Debug)]
pub struct Options {
    /// Files of samples; `-` is standard input.
    pub input: Vec<PathBuf>,
    /// Where labelled traces go.
    pub output: PathBuf,
    /// Preset of columns, or `auto`.
    pub preset: String,
    /// Columns by hand.
    pub map: Vec<String>,
    /// Which traces.
    pub traces: Which,
    /// Name of the form in which the model is asked to write.
    pub grammar: String,
    /// Bounds of the form.
    pub limits: Limits,
    /// Requests at a time.
    pub parallel: usize,
    /// How often a model that did not keep to the form is asked again.
    pub attempts: u32,
    /// Most tokens that may be used, prompts and answers together; 0: no bound.
    pub budget_tokens: u64,
    /// Begin again.
    pub restart: bool,
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Records that were read.
    pub records: u64,
    /// Traces that were labelled.
    pub labelled: u64,
    /// Traces without a label, and records that could not be read.
    pub failed: u64,
    /// Answers that did not keep to the form.
    pub refused: u64,
    /// Tokens that the endpoint counted.
    pub usage: Usage,
    /// Whether it stopped at the budget; then the same command with a larger one goes on.
    pub out_of_budget: bool,
}

/// Records that are worked on at a time, for each request at a time: few, for a chunk is what a kill can cost.
const CHUNK: usize = 4;
/// Bytes of a chunk.
const CHUNK_BYTES: usize = 8 << 20;

/// Labels a data set. `watch` is called after each chunk with the summary, the bytes that were read and their sum.
///
/// # Errors
/// The input or the output cannot be used; the endpoint refuses the key or the model, or stays away.
pub fn run(
    options: &Options,
    endpoint: &Endpoint,
    mut watch: impl FnMut(&Summary, u64, Option<u64>),
) -> Result<Summary> {
    let grammar = grammar::find(&options.grammar)?;
    if grammar.form == Form::Verdict {
        return Err(Error::config(format!("the grammar {:?} writes verdicts and no steps", options.grammar)));
    }
    options.limits.check()?;
    let mut mapping = Mapping::new(&options.preset, &options.map)?.without_students();
    let mut source = Source::open(&options.input)?;
    mapping.detect(&mut source)?;
    let fingerprint = format!(
        "annotate-1 {} {} {:?} {} {:?} {}",
        endpoint.identity(),
        grammar.fingerprint(&options.limits),
        options.traces,
        options.preset,
        options.map,
        options.attempts
    );
    let (mut sink, progress) = Sink::open(&options.output, &fingerprint, options.restart)?;
    let mut summary = Summary::default();
    if let Some(progress) = progress {
        source.pass_over(progress.records, progress.input, |_| ())?;
        summary = serde_json::from_value(progress.counters)
            .map_err(|error| Error::data(format!("the journal cannot be read: {error}")))?;
        summary.out_of_budget = false;
    }
    let labeller = Labeller {
        options,
        endpoint,
        grammar,
        mapping: &mapping,
        bytes: bytes()?,
        stop: AtomicBool::new(false),
    };
    let parallel = options.parallel.clamp(1, 256);
    while let Some(chunk) = source.next_chunk(parallel * CHUNK, CHUNK_BYTES)? {
        if options.budget_tokens > 0 && summary.usage.total() >= options.budget_tokens {
            summary.out_of_budget = true;
            return Ok(summary);
        }
        for done in labeller.chunk(&chunk.records, parallel)? {
            summary.usage.add(done.usage);
            summary.refused += done.refused;
            for label in done.labels {
                match label {
                    Ok(labelled) => {
                        sink.write(&labelled)?;
                        summary.labelled += 1;
                    }
                    Err(record) => {
                        sink.write(&record)?;
                        summary.failed += 1;
                    }
                }
            }
        }
        summary.records += chunk.records.len() as u64;
        let counters = serde_json::to_value(&summary).map_err(|error| Error::data(error.to_string()))?;
        sink.commit(&Progress { records: chunk.end(), input: chunk.hash, counters })?;
        watch(&summary, source.bytes_read(), source.total_bytes());
    }
    sink.finish()?;
    Ok(summary)
}

/// What became of a record.
#[derive(Default)]
struct Done {
    labels: Vec<std::result::Result<Labelled, ErrorRecord>>,
    usage: Usage,
    refused: u64,
}

struct Labeller<'a> {
    options: &'a Options,
    endpoint: &'a Endpoint,
    grammar: &'static Grammar,
    mapping: &'a Mapping,
    /// Every byte is a token, so that a text can be held against a grammar without a model.
    bytes: Vocabulary,
    /// Somebody failed for good.
    stop: AtomicBool,
}

fn bytes() -> Result<Vocabulary> {
    let token = |byte: u16| Token { bytes: vec![byte as u8], special: false };
    let mut tokens: Vec<Token> = (0..256).map(token).collect();
    tokens.push(Token { bytes: b"<end>".to_vec(), special: true });
    Vocabulary::new(tokens, &[256], None)
}

impl Labeller<'_> {
    /// Works on records, several at a time; the results are in their order.
    fn chunk(&self, records: &[RawRecord], parallel: usize) -> Result<Vec<Done>> {
        let next = Mutex::new(0);
        let results: Vec<Mutex<Option<Result<Done>>>> = records.iter().map(|_| Mutex::default()).collect();
        let work = || {
            loop {
                let at = {
                    let mut next = next.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    *next += 1;
                    *next - 1
                };
                if at >= records.len() || self.stop.load(Ordering::Relaxed) {
                    return;
                }
                let done = self.record(&records[at]);
                if done.is_err() {
                    self.stop.store(true, Ordering::Relaxed);
                }
                *results[at].lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(done);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..parallel.min(records.len()) {
                scope.spawn(work);
            }
        });
        let results = results
            .into_iter()
            .map(|one| one.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner));
        let mut all = Vec::with_capacity(records.len());
        let mut failed = None;
        for result in results {
            match result {
                Some(Ok(done)) => all.push(done),
                Some(Err(error)) => failed = failed.or(Some(error)),
                None => {}
            }
        }
        failed.map_or(Ok(all), Err)
    }

    /// Labels the traces of a record.
    ///
    /// # Errors
    /// The run cannot go on.
    fn record(&self, record: &RawRecord) -> Result<Done> {
        let mut done = Done::default();
        let failed = |id: Option<String>, error: &Error| ErrorRecord {
            id,
            error: error.message().into(),
            file: record.place.file.clone(),
            line: record.place.line,
        };
        let sample = match parse(record, self.mapping) {
            Ok(sample) => sample,
            Err(error) => {
                done.labels.push(Err(failed(None, &error)));
                return Ok(done);
            }
        };
        let teachers = sample.teachers.iter().enumerate().map(|(at, trace)| ("teacher", at, trace));
        let students = sample.students.iter().enumerate().map(|(at, trace)| ("student", at, trace));
        for (role, at, trace) in teachers.chain(students) {
            let wanted = match self.options.traces {
                Which::All => true,
                Which::Teacher => role == "teacher",
                Which::Students => role == "student",
            };
            if !wanted || trace.path().of(&trace.text).trim().is_empty() {
                continue;
            }
            let id = format!("{}:{role}-{at}", sample.id);
            match self.label(&sample, trace, &id, &mut done) {
                Ok(labelled) => done.labels.push(Ok(labelled)),
                Err(error) if error.kind() == ErrorKind::Data => {
                    done.labels.push(Err(failed(Some(id), &error)))
                }
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn label(&self, sample: &Sample, trace: &Trace, id: &str, done: &mut Done) -> Result<Labelled> {
        let path = trace.path().of(&trace.text).trim();
        let messages = self.grammar.messages(sample.domain, &sample.problem, path);
        let mut why = String::new();
        for attempt in 0..=self.options.attempts {
            let (text, usage) = self.endpoint.ask(&messages, attempt)?;
            done.usage.add(usage);
            match self.read(&text, path) {
                Ok(steps) => {
                    return Ok(Labelled {
                        id: id.into(),
                        domain: sample.domain,
                        problem: sample.problem.clone(),
                        trace: trace.text.clone(),
                        steps,
                    });
                }
                Err(error) => {
                    done.refused += 1;
                    why = error.message().into();
                }
            }
        }
        Err(Error::data(format!("no answer in {} kept to the form: {why}", self.options.attempts + 1)))
    }

    /// The steps of an answer that keeps to the form. A fence of Markdown around it, and what stands before its first
    /// step, are taken off first.
    fn read(&self, text: &str, path: &str) -> Result<Vec<Parts>> {
        let text = bare(text, self.grammar.form);
        let list = match self.grammar.form {
            Form::Reference => tagged::reference(&text),
            Form::Lines => tagged::lines(&text),
            Form::Tagged | Form::Json | Form::Verdict => tagged::parse(&text),
        };
        let part = |span: crate::trace::Span| span.of(&list.text).trim().to_owned();
        if list.end != End::Complete || list.steps.is_empty() {
            return Err(Error::data("it is no whole list of steps"));
        }
        let steps: Vec<Parts> = list
            .steps
            .iter()
            .map(|step| Parts {
                meta_reasoning: part(step.meta),
                sub_problem: part(step.sub_problem),
                answer: part(step.answer),
            })
            .collect();
        // Held against the grammar as a GSRM will have to write it.
        let parts: Vec<[&str; 3]> =
            steps.iter().map(|step| [&*step.meta_reasoning, &*step.sub_problem, &*step.answer]).collect();
        let written = self.grammar.write(&parts);
        let mut matcher = self.bytes.compile(&self.grammar.constraint(&self.options.limits, path))?;
        for (at, byte) in written.bytes().enumerate() {
            if !matcher.try_commit(byte.into())? {
                let rest: String = String::from_utf8_lossy(&written.as_bytes()[at.saturating_sub(30)..])
                    .chars()
                    .take(60)
                    .collect();
                return Err(Error::data(format!("the grammar does not allow what stands near {rest:?}")));
            }
        }
        if !matcher.can_end() {
            return Err(Error::data("the grammar wants more steps"));
        }
        Ok(steps)
    }
}

/// The list alone.
fn bare(text: &str, form: Form) -> String {
    // A model that thinks aloud does so before `</think>`.
    let text = text.rsplit_once("</think>").map_or(text, |(_, rest)| rest).trim();
    let inside = text.strip_prefix("```").and_then(|rest| {
        let (_, body) = rest.split_once('\n')?;
        body.trim_end().strip_suffix("```")
    });
    let text = inside.unwrap_or(text).trim();
    let begin = match form {
        Form::Json => text.find('['),
        Form::Reference => text.find("[sub-think"),
        // Nothing tells the first step from what stands before it.
        Form::Lines => None,
        Form::Tagged | Form::Verdict => text.find("[Meta-reasoning"),
    };
    text[begin.unwrap_or(0)..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fences_thoughts_and_openings_are_taken_off() {
        for text in [
            "[Meta-reasoning 1]: x",
            "```\n[Meta-reasoning 1]: x\n```",
            "```text\n[Meta-reasoning 1]: x\n```\n",
            "<think>hm [Meta-reasoning 1]: y</think>\n\nHere are the steps:\n\n[Meta-reasoning 1]: x",
        ] {
            assert_eq!(bare(text, Form::Tagged), "[Meta-reasoning 1]: x", "{text:?}");
        }
        assert_eq!(bare("Sure: [{}]", Form::Json), "[{}]");
        assert_eq!(bare("nothing", Form::Json), "nothing");
    }
}
