//! Examples as tokens, in a file, so that memory does not depend on how many there are.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use xxhash_rust::xxh3::Xxh3;

use super::config::{SftConfig, Task};
use crate::dataset::{Labelled, Mapping, RawRecord, Source, parse};
use crate::error::{Error, Result};
use crate::grammar::{self, Grammar, Prompt};
use crate::seed::Seed;
use crate::tokens::{Tokenizer, student_prompt};

/// Where an example lies in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its first token.
    from: u64,
    /// Tokens of the prompt.
    prompt: u32,
    /// Tokens of all.
    length: u32,
}

/// A prompt and what is to be written behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// All tokens.
    pub tokens: Vec<u32>,
    /// How many of them are the prompt.
    pub prompt: usize,
}

impl Place {
    /// One of so many tokens.
    #[cfg(test)]
    pub fn of(prompt: u32, length: usize) -> Self {
        Place { from: 0, prompt, length: length as u32 }
    }

    /// Tokens of the example.
    pub fn length(&self) -> usize {
        self.length as usize
    }

    /// Tokens that are learnt.
    pub fn learnt(&self) -> usize {
        (self.length - self.prompt) as usize
    }
}

/// What there is to learn from.
pub struct Data {
    /// Examples that are learnt.
    pub train: Vec<Place>,
    /// Examples that are evaluated on.
    pub validation: Vec<Place>,
    /// Records that could not be read, with the first few reasons.
    pub bad: (u64, Vec<String>),
    /// Examples that are longer than `max_length`.
    pub too_long: u64,
    /// Tokens with which all prompts begin; 0 if they are too few to be computed apart from the rest.
    pub shared: usize,
    /// Tokens of the shortest example that is too long.
    shortest: usize,
    /// A hash of all tokens in their order, and of which are learnt.
    pub fingerprint: String,
    file: Mutex<File>,
    path: PathBuf,
}

/// Fewer tokens are not worth being computed apart.
const LEAST_SHARED: usize = 32;
/// Reasons that are kept.
const REASONS: usize = 3;

struct Writer<'a> {
    config: &'a SftConfig,
    tokenizer: &'a dyn Tokenizer,
    grammar: &'static Grammar,
    out: BufWriter<File>,
    path: &'a Path,
    next: u64,
    hash: Xxh3,
    /// What all prompts so far begin with.
    common: Option<Vec<u32>>,
    data: Data,
}

impl Data {
    /// Reads and tokenizes everything into a file in the run's folder. `watch` is called with the bytes that were read
    /// and, where it is known, their sum.
    ///
    /// # Errors
    /// A file cannot be read, a chat template cannot be rendered, nothing is left to learn from.
    pub fn read(
        config: &SftConfig,
        tokenizer: &dyn Tokenizer,
        mut watch: impl FnMut(u64, Option<u64>),
    ) -> Result<Self> {
        let path = config.output_dir.join("tokens.bin");
        let failed = |error| Error::io("write the tokens", &path, error);
        let open = || File::options().read(true).write(true).create(true).truncate(true).open(&path);
        let file = open().map_err(failed)?;
        let data = Data {
            train: Vec::new(),
            validation: Vec::new(),
            bad: (0, Vec::new()),
            too_long: 0,
            shared: 0,
            shortest: usize::MAX,
            fingerprint: String::new(),
            file: Mutex::new(file.try_clone().map_err(failed)?),
            path: path.clone(),
        };
        let grammar = grammar::find(&config.grammar)?;
        let mut writer = Writer {
            config,
            tokenizer,
            grammar,
            out: BufWriter::new(file),
            path: &path,
            next: 0,
            hash: Xxh3::new(),
            common: None,
            data,
        };
        writer.files(&config.train, false, &mut watch)?;
        if !config.validation.is_empty() {
            writer.files(&config.validation, true, &mut watch)?;
        }
        let Writer { mut out, hash, common, mut data, .. } = writer;
        data.shared = common.map_or(0, |common| common.len());
        if data.shared < LEAST_SHARED {
            data.shared = 0;
        }
        out.flush().map_err(failed)?;
        data.fingerprint = format!("{:032x}", hash.digest128());
        if data.validation.is_empty() && !config.validation.is_empty() {
            return Err(Error::data(format!(
                "validation has nothing to evaluate on: {}",
                data.bad.1.last().map_or("its files are empty, or all its examples too long", String::as_str)
            )));
        }
        if data.train.is_empty() {
            let why = match (&data.bad, data.too_long) {
                ((0, _), 0) => "the files are empty, or validation_split took everything".into(),
                ((0, _), long) => {
                    format!("{long} examples are longer than max_length = {}", config.max_length)
                }
                ((bad, reasons), long) => format!(
                    "{bad} records cannot be read, {long} are too long; the first: {}",
                    reasons.first().map_or("", String::as_str)
                ),
            };
            return Err(Error::data(format!("there is nothing to learn from: {why}")));
        }
        Ok(data)
    }

    /// The tokens of an example.
    ///
    /// # Errors
    /// The file is gone or was changed.
    pub fn example(&self, place: Place) -> Result<Example> {
        let mut bytes = vec![0; place.length() * 4];
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(place.from * 4))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|error| Error::io("read the tokens", &self.path, error))?;
        let tokens = bytes.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
        Ok(Example { tokens, prompt: place.prompt as usize })
    }
}

/// Calls `work` with the texts of the training data: what a tokenizer learns from.
///
/// # Errors
/// A file cannot be read.
pub fn texts(config: &SftConfig, mut work: impl FnMut(&str)) -> Result<()> {
    let grammar = grammar::find(&config.grammar)?;
    let mut source = Source::open(&config.train)?;
    let mut mapping = Mapping::default().without_students();
    if config.task == Task::Student {
        mapping.detect(&mut source)?;
    }
    let mut domains = Vec::new();
    while let Some(record) = source.next_record()? {
        match config.task {
            Task::Gsrm => {
                let Ok(own) = Labelled::parse(&record) else { continue };
                if !domains.contains(&own.domain) {
                    domains.push(own.domain);
                    if config.prompt == Prompt::Full {
                        let all = grammar.shared_messages(own.domain);
                        all.iter().for_each(|message| work(&message.content));
                    }
                }
                if config.prompt == Prompt::Full {
                    work(&own.problem);
                }
                work(&own.trace);
                let parts =
                    own.steps.iter().map(|step| [&*step.meta_reasoning, &*step.sub_problem, &*step.answer]);
                work(&grammar.write(&parts.collect::<Vec<_>>()));
            }
            Task::Student => {
                let Ok(sample) = parse(&record, &mapping) else { continue };
                work(&sample.problem);
                sample.teachers.iter().for_each(|trace| work(&trace.text));
            }
        }
    }
    Ok(())
}

impl Drop for Data {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Writer<'_> {
    fn files(
        &mut self,
        paths: &[PathBuf],
        validation: bool,
        watch: &mut impl FnMut(u64, Option<u64>),
    ) -> Result<()> {
        let mut source = Source::open(paths)?;
        let mut mapping = Mapping::default().without_students();
        if self.config.task == Task::Student {
            mapping.detect(&mut source)?;
        }
        while let Some(record) = source.next_record()? {
            watch(source.bytes_read(), source.total_bytes());
            let found = match self.config.task {
                Task::Gsrm => self.labelled(&record),
                Task::Student => self.sample(&record, &mapping),
            };
            match found {
                Ok((id, examples)) => {
                    for example in examples {
                        self.put(&id, &example, validation)?;
                    }
                }
                Err(error) if error.kind() == crate::error::ErrorKind::Data => {
                    self.data.bad.0 += 1;
                    if self.data.bad.1.len() < REASONS {
                        self.data.bad.1.push(error.to_string());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn labelled(&self, record: &RawRecord) -> Result<(String, Vec<Example>)> {
        let own = Labelled::parse(record)?;
        let trace = crate::trace::Trace::new(own.trace);
        let path = trace.path().of(&trace.text).trim();
        let quoted = (self.tokenizer.quote(&own.problem), self.tokenizer.quote(path));
        let messages = self.grammar.ask(self.config.prompt, own.domain, &quoted.0, &quoted.1);
        let parts = own.steps.iter().map(|step| [&*step.meta_reasoning, &*step.sub_problem, &*step.answer]);
        let steps: Vec<[&str; 3]> = parts.collect();
        let prompt = self.tokenizer.prompt(&messages, Some(false))?;
        Ok((own.id, vec![self.example(prompt, &self.grammar.write(&steps))]))
    }

    fn sample(&self, record: &RawRecord, mapping: &Mapping) -> Result<(String, Vec<Example>)> {
        let sample = parse(record, mapping)?;
        if sample.teachers.is_empty() || sample.problem.trim().is_empty() {
            return Err(
                Error::data("a student learns from a problem and a teacher's trace").at(record.place.clone())
            );
        }
        let prompt = student_prompt(self.tokenizer, &self.config.system, &sample.problem)?;
        let examples =
            sample.teachers.iter().map(|trace| self.example(prompt.clone(), trace.text.trim())).collect();
        Ok((sample.id, examples))
    }

    fn example(&self, mut tokens: Vec<u32>, answer: &str) -> Example {
        let prompt = tokens.len();
        tokens.extend(self.tokenizer.answer(answer));
        tokens.push(self.tokenizer.end());
        Example { tokens, prompt }
    }

    /// Puts an example into the file, and in one of the lists. Which one depends on its id alone, so that traces of
    /// one problem stay together.
    fn put(&mut self, id: &str, example: &Example, validation: bool) -> Result<()> {
        if example.tokens.len() > self.config.max_length {
            self.data.too_long += 1;
            self.data.shortest = self.data.shortest.min(example.tokens.len());
            return Ok(());
        }
        if example.prompt == 0 {
            return Err(Error::config(
                "the chat template makes an empty prompt: there is nothing to answer to",
            ));
        }
        let bytes: Vec<u8> = example.tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
        self.hash.update(&(example.prompt as u64).to_le_bytes());
        self.hash.update(&bytes);
        self.out.write_all(&bytes).map_err(|error| Error::io("write the tokens", self.path, error))?;
        let prompt = &example.tokens[..example.prompt];
        let common = self.common.get_or_insert_with(|| prompt.to_vec());
        let same = common.iter().zip(prompt).take_while(|(one, other)| one == other).count();
        common.truncate(same);
        let length = example.tokens.len() as u32;
        let place = Place { from: self.next, prompt: example.prompt as u32, length };
        self.next += u64::from(length);
        let split = self.config.validation.is_empty() && self.config.validation_split > 0.0;
        let draw = || {
            Seed(self.config.seed).stream("validation", xxhash_rust::xxh3::xxh3_64(id.as_bytes())).next_f64()
        };
        let evaluated = validation || split && draw() < self.config.validation_split;
        self.hash.update(&[u8::from(evaluated)]);
        if evaluated {
            self.data.validation.push(place);
        } else {
            self.data.train.push(place);
        }
        Ok(())
    }
}
