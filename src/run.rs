//! A run over a data set: read, work on several threads, write in order, take up where it stopped.
//!
//! Each worker takes the next chunk of raw records, parses and works on it, and hands in its lines; chunks are
//! written in the order in which they were read. So the output does not depend on the number of threads, and memory
//! holds a few chunks, however long the input is (and 17 bytes a record that find an id that comes twice).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::align::{Mode, Options};
use crate::dataset::{self, Chunk, Mapping, Progress, SeenIds, Sink, Source};
use crate::decompose::{DECOMPOSERS, Decomposer, Job};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::judge::JUDGES;
use crate::reward::mix::{MixConfig, Scaling};
use crate::score::{Detail, Scored, Scorer, Settings};
use crate::tally::Row;
use crate::trace::{Sample, StepList};

/// Most records in a chunk.
const CHUNK_RECORDS: usize = 64;
/// Most records in a chunk when a language model runs: what a chunk has cost is lost with a kill.
const MODEL_CHUNK_RECORDS: usize = 8;
/// Most bytes in a chunk, but for a single record that is larger.
const CHUNK_BYTES: usize = 1 << 20;
/// Finished chunks that may wait for their turn, per thread.
const WAITING_PER_THREAD: u64 = 4;

/// More threads than any machine makes use of; the system may refuse to start more.
const MOST_THREADS: usize = 512;

/// Every option of a run: what a run file holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    /// Files to read; `-` is standard input.
    pub input: Vec<PathBuf>,
    /// Where to write; standard output without one.
    pub output: Option<PathBuf>,
    /// Name of a preset of columns, or `auto`.
    pub preset: String,
    /// Columns by hand: ours = theirs.
    pub map: BTreeMap<String, String>,
    /// The rule of the kernel.
    pub structure: Mode,
    /// What an extra student step costs; see [`Options::extra_cost`].
    pub extra_cost: f32,
    /// Credit for the right sub-problem with another answer; see [`Options::half_credit`].
    pub half_credit: f32,
    /// Whether the judge's probabilities count instead of its verdicts; see [`Options::soft`].
    pub soft: bool,
    /// Name of a decomposer; `auto` in reference mode is the released reward's own parser.
    pub decomposer: String,
    /// Name of a judge.
    pub judge: String,
    /// A file of the judge's parameters, as `rlkd calibrate` writes.
    pub judge_model: Option<PathBuf>,
    /// A store of decomposed traces.
    pub store: Option<PathBuf>,
    /// Weights by reward name.
    pub weights: BTreeMap<String, f64>,
    /// Parameters by reward name.
    pub params: BTreeMap<String, toml::Table>,
    /// The language models, for the decomposers and judges that run one.
    #[cfg(feature = "llama")]
    pub llama: crate::llama::Config,
    /// How the rewards are mixed.
    pub scaling: Scaling,
    /// How much goes into a record.
    pub detail: Detail,
    /// Worker threads; 0: one for each core.
    pub threads: usize,
    /// Throw away a part-finished output instead of going on with it.
    pub restart: bool,
    /// Let an id come more than once.
    pub allow_duplicates: bool,
    /// Longest line that is read, in MiB.
    pub max_line_mib: usize,
    /// The seed of every random draw. Scoring draws nothing today; it is part of the run's fingerprint.
    pub seed: u64,
}

impl Default for RunConfig {
    fn default() -> Self {
        let (mix, options) = (MixConfig::default(), Options::default());
        RunConfig {
            input: Vec::new(),
            output: None,
            preset: "auto".into(),
            map: BTreeMap::new(),
            structure: Mode::default(),
            extra_cost: options.extra_cost,
            half_credit: options.half_credit,
            soft: options.soft,
            decomposer: "auto".into(),
            judge: "lexical".into(),
            judge_model: None,
            store: None,
            weights: mix.weights,
            params: mix.params,
            #[cfg(feature = "llama")]
            llama: crate::llama::Config::default(),
            scaling: mix.scaling,
            detail: Detail::default(),
            threads: 0,
            restart: false,
            allow_duplicates: false,
            max_line_mib: dataset::MAX_LINE >> 20,
            seed: 0,
        }
    }
}

impl RunConfig {
    /// The part that shapes a score.
    pub fn settings(&self) -> Settings {
        let reference = self.structure == Mode::Reference && self.decomposer == "auto";
        Settings {
            structure: self.structure,
            options: Options { extra_cost: self.extra_cost, half_credit: self.half_credit, soft: self.soft },
            decomposer: if reference { "reference".into() } else { self.decomposer.clone() },
            judge: self.judge.clone(),
            judge_model: self.judge_model.clone(),
            store: self.store.clone(),
            #[cfg(feature = "llama")]
            llama: self.llama.clone(),
            mix: MixConfig {
                weights: self.weights.clone(),
                scaling: self.scaling,
                params: self.params.clone(),
            },
            detail: self.detail,
        }
    }

    fn mapping(&self) -> Result<Mapping> {
        let columns: Vec<String> = self.map.iter().map(|(ours, theirs)| format!("{ours}={theirs}")).collect();
        Mapping::new(&self.preset, &columns)
    }
}

/// What a run did so far. Part of the journal, so a run that is taken up counts on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The preset of columns that the first record's keys told, if none was named.
    pub preset: Option<String>,
    /// Records read, bad ones included.
    pub records: u64,
    /// Records that could not be used.
    pub errors: u64,
    /// Lines of results.
    pub students: u64,
    /// Students without a reward, or with a part that was skipped.
    pub skipped: u64,
    /// Means by place of the student in its sample; places from [`PLACES`] on are counted together.
    pub by_place: BTreeMap<usize, Row>,
    /// How often each reason for a skip was given: the first 50 distinct ones.
    pub reasons: BTreeMap<String, u64>,
    /// The first errors, in words.
    pub first_errors: Vec<String>,
}

/// Students of a sample that a summary counts apart.
pub const PLACES: usize = 8;
/// Errors and reasons that a summary keeps in words.
const KEPT_WORDS: usize = 5;
/// Distinct reasons that are counted apart.
const KEPT_REASONS: usize = 50;
/// Characters of a reason that are kept.
const MOST_REASON: usize = 160;

impl Summary {
    /// Whether every reward of every student was given.
    pub fn is_complete(&self) -> bool {
        self.errors == 0 && self.skipped == 0
    }

    fn count(&mut self, record: &Scored) {
        self.students += 1;
        let place = (record.student as usize).min(PLACES);
        let name =
            || if place < PLACES { format!("student {place}") } else { format!("student {PLACES}…") };
        self.by_place.entry(place).or_insert_with(|| Row::new(name())).push(record);
        let mut skipped = record.reward.is_none();
        for (name, part) in record.parts.iter().filter(|(_, part)| part.value.is_none()) {
            skipped = true;
            let why = part.skipped.as_ref().map_or("no reason given", |why| why.0.as_str());
            let why: String = why.chars().take(MOST_REASON).collect();
            let reason = format!("{name}: {why}");
            if self.reasons.len() < KEPT_REASONS || self.reasons.contains_key(&reason) {
                *self.reasons.entry(reason).or_default() += 1;
            }
        }
        self.skipped += u64::from(skipped);
    }

    fn fail(&mut self, message: &str) {
        self.errors += 1;
        if self.first_errors.len() < KEPT_WORDS {
            self.first_errors.push(message.to_owned());
        }
    }
}

/// The line of a record that could not be used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorRecord {
    /// The sample's id, if it was read.
    pub id: Option<String>,
    /// What is wrong.
    pub error: String,
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u64,
}

/// The line of one decomposed trace: what `rlkd decompose` writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decomposed {
    /// The sample's id.
    pub id: String,
    /// Whose trace it is.
    pub role: Role,
    /// Which of the sample's traces of that role, from 0.
    pub index: u32,
    /// Its steps.
    #[serde(flatten)]
    pub list: StepList,
}

/// Whose trace it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The teacher's.
    Teacher,
    /// The student's.
    Student,
}

/// How far a run has come, for a progress bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Records that were written.
    pub records: u64,
    /// Bytes read of the inputs, as they lie on disk.
    pub bytes: u64,
    /// Size of all inputs, if known.
    pub total: Option<u64>,
}

/// What one sample came to.
struct Done {
    id: Option<String>,
    place: Place,
    result: Result<Lines>,
}

/// The results of one sample, and their lines.
struct Lines {
    output: Output,
    bytes: Vec<u8>,
}

impl Lines {
    fn of(output: Output) -> Result<Self> {
        let mut bytes = Vec::new();
        match &output {
            Output::Scored(records) => to_lines(records, &mut bytes)?,
            Output::Decomposed(records) => to_lines(records, &mut bytes)?,
        }
        Ok(Lines { output, bytes })
    }
}

fn to_lines<T: Serialize>(records: &[T], bytes: &mut Vec<u8>) -> Result<()> {
    for record in records {
        serde_json::to_writer(&mut *bytes, record)
            .map_err(|error| Error::data(format!("cannot be written as JSON: {error}")))?;
        bytes.push(b'\n');
    }
    Ok(())
}

/// The lines of one sample, and what the summary says of them.
enum Output {
    Scored(Vec<Scored>),
    Decomposed(Vec<Decomposed>),
}

/// Scores a data set.
///
/// `watch` is called after each chunk that was written, from any thread.
///
/// # Errors
/// Wrong options; an input that cannot be read; an output that cannot be written. What was written so far is kept,
/// and the same run goes on from there. A bad record is no error but a line in the output.
pub fn score(config: &RunConfig, watch: &(dyn Fn(Watch) + Sync)) -> Result<Summary> {
    let settings = config.settings();
    let fingerprint = || Ok(format!("score {} {}", settings.fingerprint()?, io_fingerprint(config)?));
    let worker = || -> Result<Worker> {
        let mut scorer = Scorer::new(&settings)?;
        Ok(Box::new(move |samples| {
            scorer.score_batch(samples).into_iter().map(|scored| scored.map(Output::Scored)).collect()
        }))
    };
    run(config, config.mapping()?, &fingerprint, &worker, watch)
}

/// Decomposes every trace of a data set.
///
/// # Errors
/// As [`score`].
pub fn decompose(config: &RunConfig, watch: &(dyn Fn(Watch) + Sync)) -> Result<Summary> {
    let settings = config.settings();
    let version = env!("CARGO_PKG_VERSION");
    let fingerprint =
        || Ok(format!("decompose {version} {} {}", settings.decomposer()?.id(), io_fingerprint(config)?));
    let worker = || -> Result<Worker> {
        let mut decomposer = settings.decomposer()?;
        Ok(Box::new(move |samples| {
            decompose_samples(&mut *decomposer, samples)
                .into_iter()
                .map(|lines| lines.map(Output::Decomposed))
                .collect()
        }))
    };
    // A teacher's trace alone is worth decomposing.
    run(config, config.mapping()?.without_students(), &fingerprint, &worker, watch)
}

/// Every trace of every sample, in one batch.
fn decompose_samples(decomposer: &mut dyn Decomposer, samples: &[&Sample]) -> Vec<Result<Vec<Decomposed>>> {
    let mut jobs = Vec::new();
    for sample in samples {
        let job = |trace| Job { problem: &sample.problem, domain: sample.domain, trace };
        jobs.extend(sample.teachers.iter().chain(&sample.students).map(job));
    }
    let mut lists = decomposer.decompose(&jobs).into_iter();
    let mut lines = |sample: &&Sample| {
        let mut lines = Vec::new();
        let mut failed = None;
        for (role, traces) in [(Role::Teacher, &sample.teachers), (Role::Student, &sample.students)] {
            for index in 0..traces.len() {
                let missing = || Err(Error::engine("a decomposer gave no answer"));
                match lists.next().unwrap_or_else(missing) {
                    Ok(list) => {
                        lines.push(Decomposed { id: sample.id.clone(), role, index: index as u32, list })
                    }
                    Err(error) => failed = failed.take().or(Some(error)),
                }
            }
        }
        failed.map_or(Ok(lines), Err)
    };
    samples.iter().map(&mut lines).collect()
}

/// What of the reading shapes the output.
fn io_fingerprint(config: &RunConfig) -> Result<String> {
    let shaping = (
        &config.input,
        &config.preset,
        &config.map,
        config.allow_duplicates,
        config.max_line_mib,
        config.seed,
    );
    serde_json::to_string(&shaping).map_err(|error| Error::config(error.to_string()))
}

/// Works on the samples of a chunk.
type Worker = Box<dyn FnMut(&[&Sample]) -> Vec<Result<Output>> + Send>;

/// The shared end of reading.
struct Reader {
    source: Source,
    /// Most records of a chunk.
    records: usize,
    chunks: u64,
    /// Set when reading ended, well or not.
    ended: Option<Result<()>>,
}

/// The shared end of writing.
struct Writer {
    sink: Sink,
    seen: Option<SeenIds>,
    next: u64,
    waiting: BTreeMap<u64, Finished>,
    summary: Summary,
    failed: Option<Error>,
}

struct Finished {
    records: u64,
    input: u64,
    bytes: u64,
    samples: Vec<Done>,
}

fn run(
    config: &RunConfig,
    mut mapping: Mapping,
    fingerprint: &dyn Fn() -> Result<String>,
    worker: &(dyn Fn() -> Result<Worker> + Sync),
    watch: &(dyn Fn(Watch) + Sync),
) -> Result<Summary> {
    let max_line = config.max_line_mib.saturating_mul(1 << 20).min(isize::MAX as usize);
    let mut source = Source::open(&config.input)?.max_line(max_line);
    let total = source.total_bytes();
    let told = mapping.detect(&mut source)?.filter(|_| config.preset == "auto");
    let preset = told.map(str::to_owned);
    let threads = match config.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads.min(MOST_THREADS),
    };
    // Before the output is touched: options that do not go together leave nothing behind. And before the fingerprint
    // is taken, which needs the models that the workers hold.
    let workers: Vec<Worker> = (0..threads).map(|_| worker()).collect::<Result<_>>()?;
    let fingerprint = fingerprint()?;
    let out = config.output.clone().unwrap_or_else(|| PathBuf::from("-"));
    if config.store.as_ref() == Some(&out) {
        return Err(
            Error::config("the output and the store are the same file: name another").at(Place::file(&out))
        );
    }
    let models = model_files(config);
    refuse_overwriting(
        &out,
        config.input.iter().chain(&config.store).chain(&config.judge_model).chain(&models),
    )?;
    let (sink, progress) = Sink::open(&out, &fingerprint, config.restart)?;
    let mut seen = (!config.allow_duplicates).then(SeenIds::new);
    let mut summary = Summary::default();
    if let Some(progress) = &progress {
        source.pass_over(progress.records, progress.input, |raw| {
            if let (Some(seen), Ok(sample)) = (&mut seen, dataset::parse(raw, &mapping)) {
                // An id that came twice has its error line already.
                let _ = seen.check(&sample.id, &raw.place);
            }
        })?;
        summary = serde_json::from_value(progress.counters.clone()).map_err(|error| {
            Error::data(format!("the journal's counters cannot be read ({error}); use --restart"))
                .at(Place::file(&out))
        })?;
    }
    summary.preset = preset;
    let records = if runs_model(config) { MODEL_CHUNK_RECORDS } else { CHUNK_RECORDS };
    let reader = Mutex::new(Reader { source, records, chunks: 0, ended: None });
    let writer = Mutex::new(Writer { sink, seen, next: 0, waiting: BTreeMap::new(), summary, failed: None });
    let turn = Condvar::new();
    let room = WAITING_PER_THREAD * threads as u64;
    std::thread::scope(|scope| {
        for mut work in workers {
            let (reader, writer, turn, mapping) = (&reader, &writer, &turn, &mapping);
            scope.spawn(move || {
                let _guard = Guard(writer, turn);
                while let Some((number, chunk, bytes)) = take(reader) {
                    let finished = work_on(&chunk, bytes, mapping, &mut work);
                    if !hand_in(writer, turn, number, finished, room, &|records, bytes| {
                        watch(Watch { records, bytes, total });
                    }) {
                        lock(reader).ended.get_or_insert(Ok(()));
                    }
                }
            });
        }
    });
    let writer = writer.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = writer.failed {
        return Err(error);
    }
    if let Some(Err(error)) = reader.into_inner().unwrap_or_else(PoisonError::into_inner).ended {
        return Err(error);
    }
    writer.sink.finish()?;
    Ok(writer.summary)
}

/// The files of the language models that were named.
#[cfg(feature = "llama")]
fn model_files(config: &RunConfig) -> Vec<PathBuf> {
    let named = config.llama.model.is_some().then(|| config.llama.model_file());
    named.into_iter().chain([config.llama.judge_file()]).flatten().collect()
}

/// Whether a language model decomposes or judges.
fn runs_model(config: &RunConfig) -> bool {
    let by_rule = |name: &str| DECOMPOSERS.iter().any(|entry| entry.name == name);
    let by_words = |name: &str| JUDGES.iter().any(|entry| entry.name == name);
    !by_rule(&config.decomposer) || !by_words(&config.judge)
}

#[cfg(not(feature = "llama"))]
fn model_files(_: &RunConfig) -> Vec<PathBuf> {
    Vec::new()
}

/// Refuses an output that is one of the files that are read.
///
/// # Errors
/// Names the file.
pub fn refuse_overwriting<'a>(
    out: &std::path::Path,
    read: impl IntoIterator<Item = &'a PathBuf>,
) -> Result<()> {
    let Ok(target) = out.canonicalize() else { return Ok(()) };
    let same = |path: &&PathBuf| path.canonicalize().is_ok_and(|path| path == target && path.is_file());
    match read.into_iter().find(same) {
        Some(_) => {
            Err(Error::config("the output is one of the files that are read: name another")
                .at(Place::file(out)))
        }
        None => Ok(()),
    }
}

/// Wakes the others when a worker panics: its chunk never comes, and they would wait for it for ever.
struct Guard<'a>(&'a Mutex<Writer>, &'a Condvar);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            lock(self.0).failed.get_or_insert(Error::engine("a worker thread panicked"));
            self.1.notify_all();
        }
    }
}

/// A worker that panicked has a bug; the others end in order, and the panic is passed on by the scope.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The next chunk with its number and the bytes read so far; `None` when reading has ended.
fn take(reader: &Mutex<Reader>) -> Option<(u64, Chunk, u64)> {
    let mut reader = lock(reader);
    if reader.ended.is_some() {
        return None;
    }
    let most = reader.records;
    match reader.source.next_chunk(most, CHUNK_BYTES) {
        Ok(Some(chunk)) => {
            let number = reader.chunks;
            reader.chunks += 1;
            Some((number, chunk, reader.source.bytes_read()))
        }
        Ok(None) => {
            reader.ended = Some(Ok(()));
            None
        }
        Err(error) => {
            reader.ended = Some(Err(error));
            None
        }
    }
}

fn work_on(chunk: &Chunk, bytes: u64, mapping: &Mapping, work: &mut Worker) -> Finished {
    let parsed: Vec<Result<Sample>> = chunk.records.iter().map(|raw| dataset::parse(raw, mapping)).collect();
    let samples: Vec<&Sample> = parsed.iter().filter_map(|sample| sample.as_ref().ok()).collect();
    let mut results = work(&samples).into_iter();
    let done = |(raw, sample): (&dataset::RawRecord, Result<Sample>)| {
        let place = raw.place.clone();
        match sample {
            Ok(sample) => {
                let result = results.next().unwrap_or_else(|| Err(Error::engine("a batch gave no answer")));
                Done { id: Some(sample.id), place, result: result.and_then(Lines::of) }
            }
            Err(error) => Done { id: None, place, result: Err(error) },
        }
    };
    let samples = {
        drop(samples);
        chunk.records.iter().zip(parsed).map(done).collect()
    };
    Finished { records: chunk.end(), input: chunk.hash, bytes, samples }
}

/// Puts a finished chunk in its place and writes what can be written; `false` when writing has failed.
fn hand_in(
    writer: &Mutex<Writer>,
    turn: &Condvar,
    number: u64,
    finished: Finished,
    room: u64,
    watch: &dyn Fn(u64, u64),
) -> bool {
    let mut writer = lock(writer);
    while writer.failed.is_none() && number >= writer.next + room {
        writer = turn.wait(writer).unwrap_or_else(PoisonError::into_inner);
    }
    if writer.failed.is_some() {
        return false;
    }
    writer.waiting.insert(number, finished);
    while let Some(finished) = {
        let next = writer.next;
        writer.waiting.remove(&next)
    } {
        let (records, bytes) = (finished.records, finished.bytes);
        if let Err(error) = writer.write(finished) {
            writer.failed = Some(error);
            turn.notify_all();
            return false;
        }
        writer.next += 1;
        watch(records, bytes);
        turn.notify_all();
        if writer.sink.closed() {
            // Nobody reads on: end quietly, as other tools in a pipe do.
            return false;
        }
    }
    true
}

impl Writer {
    fn write(&mut self, finished: Finished) -> Result<()> {
        for done in finished.samples {
            self.summary.records += 1;
            let unique = match (&mut self.seen, &done.id) {
                (Some(seen), Some(id)) => seen.check(id, &done.place),
                _ => Ok(()),
            };
            match unique.and(done.result) {
                Ok(Lines { output, bytes }) => {
                    self.sink.write_lines(&bytes);
                    match output {
                        Output::Scored(records) => {
                            records.iter().for_each(|record| self.summary.count(record))
                        }
                        Output::Decomposed(records) => self.summary.students += records.len() as u64,
                    }
                }
                // The store failed, not the record: what was written stays, and the same command goes on.
                Err(error) if error.kind() == ErrorKind::Store => return Err(error),
                Err(error) => {
                    let place = error.place().unwrap_or(&done.place);
                    let (file, line) = (place.file.clone(), place.line);
                    let byte = place.byte.map_or(String::new(), |byte| format!("byte {byte}: "));
                    let record =
                        ErrorRecord { id: done.id, error: format!("{byte}{}", error.message()), file, line };
                    self.sink.write(&record)?;
                    self.summary.fail(&error.at_if_missing(done.place).to_string());
                }
            }
        }
        let counters = serde_json::to_value(&self.summary).map_err(|error| Error::data(error.to_string()))?;
        self.sink.commit(&Progress { records: finished.records, input: finished.input, counters })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_panics_does_not_leave_the_others_waiting() {
        let folder = tempfile::tempdir().expect("a folder");
        let input = folder.path().join("in.jsonl");
        let line =
            |n| format!("{{\"id\": {n}, \"problem\": \"p\", \"teacher\": \"t\", \"students\": [\"s\"]}}\n");
        std::fs::write(&input, (0..3000).map(line).collect::<String>()).expect("written");
        let output = Some(folder.path().join("out.jsonl"));
        let config = RunConfig { input: vec![input], output, threads: 3, ..RunConfig::default() };
        let worker = || -> Result<Worker> {
            Ok(Box::new(|samples| {
                assert!(samples.iter().all(|sample| sample.id != "70"), "a bug");
                samples.iter().map(|_| Ok(Output::Scored(Vec::new()))).collect()
            }))
        };
        let mapping = config.mapping().expect("a preset");
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            run(&config, mapping, &|| Ok("f".into()), &worker, &|_| {})
        }));
        assert!(ended.is_err(), "the panic is passed on");
        // What was written before is taken up by the next run.
        let (_, progress) = Sink::open(&folder.path().join("out.jsonl"), "f", false).expect("opened");
        assert_eq!(progress.expect("the first chunk").records, CHUNK_RECORDS as u64);
    }
}
