//! The engine: a sample becomes scored records.
//!
//! ```
//! use rlkd::score::{Scorer, Settings};
//! use rlkd::trace::{Sample, Trace};
//!
//! let sample = Sample {
//!     id: "eggs".into(),
//!     problem: "A hen lays 3 eggs a day. How many dozens in 4 weeks?".into(),
//!     teachers: vec![Trace::new("A week has 3 * 7 = 21 eggs. Four weeks have 4 * 21 = 84 eggs. 84 / 12 = 7 dozens.")],
//!     students: vec![Trace::new("In a week: 3 * 7 = 21 eggs. In four weeks: 21 * 4 = 84 eggs. That is 84 / 12 = 7 dozens.")],
//!     answer: Some("7".into()),
//!     ..Sample::default()
//! };
//! let scored = Scorer::new(&Settings::default())?.score(&sample)?;
//! assert_eq!(scored[0].parts["structure"].value, Some(1.0));
//! # Ok::<(), rlkd::Error>(())
//! ```

pub mod tree;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::align::tree::{Tree, Walker};
use crate::align::{Aligner, Alignment, Mode, Next, Options};
use crate::config;
use crate::decompose::recorded::{Recorded, Store};
use crate::decompose::{DECOMPOSERS, Decomposer, Job};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::judge::{JUDGES, Judge, Round, Verdict};
use crate::reward::mix::{Mix, MixConfig, Mixed};
use crate::reward::{Group, Structure};
use crate::trace::{End, Outcome, Sample, StepList, Trace, Why};

/// One scored student trace: one line of output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// The sample's id.
    pub id: String,
    /// Which student trace of the sample, from 0.
    pub student: u32,
    /// The mixed reward; `null` when it could not be given.
    pub reward: Option<f64>,
    /// The rewards that were mixed, by name.
    pub parts: BTreeMap<String, Part>,
    /// The alignment behind the `structure` part, when one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structure: Option<Explained>,
    /// With the structure rule `tree`, the graph of the sample's teachers; in the record of the first student only (left out
    /// with `detail = "score"`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<Box<Tree>>,
    /// The problem statement (left out with `detail = "score"`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// One reward of one student.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The value, or `null` when it was skipped.
    pub value: Option<f64>,
    /// Its weight in the mix.
    pub weight: f64,
    /// Why it was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<Why>,
}

/// An alignment with the steps that it speaks of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    /// Which teacher trace of the sample was matched best, from 0.
    pub teacher: u32,
    /// The alignment.
    #[serde(flatten)]
    pub alignment: Alignment,
    /// The teacher's steps; spans point into its `text` (left out with `detail = "score"`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher_steps: Option<StepList>,
    /// The student's steps, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub student_steps: Option<StepList>,
}

/// How much of what was found goes into a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detail {
    /// Everything, so that `explain` and `report` need no other file.
    #[default]
    Full,
    /// The steps with their texts, without the problem.
    Steps,
    /// Numbers only: rewards, and which step pairs with which.
    Score,
}

/// What shapes a score.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// The rule of the kernel.
    pub structure: Mode,
    /// The kernel's constants.
    pub options: Options,
    /// Name of one of [`decomposers`]; empty: `reference` in reference mode, else `auto`.
    pub decomposer: String,
    /// Name of one of [`judges`]; empty: `lexical`.
    pub judge: String,
    /// A file of the judge's parameters, as `rlkd calibrate` writes.
    pub judge_model: Option<PathBuf>,
    /// A store of decomposed traces.
    pub store: Option<PathBuf>,
    /// The language models, for the decomposers and judges that run one.
    #[cfg(feature = "llama")]
    pub llama: crate::llama::Config,
    /// Which rewards, and how they are mixed.
    pub mix: MixConfig,
    /// How much goes into a record.
    pub detail: Detail,
}

impl Settings {
    /// Makes the decomposer, behind the store if there is one.
    ///
    /// # Errors
    /// An unknown name; the store cannot be opened.
    pub fn decomposer(&self) -> Result<Box<dyn Decomposer>> {
        let name = match (self.decomposer.as_str(), self.structure) {
            ("", Mode::Reference) => "reference",
            ("", _) => "auto",
            (name, _) => name,
        };
        let inner = match DECOMPOSERS.iter().find(|entry| entry.name == name) {
            Some(entry) => (entry.build)(),
            None => self.model_decomposer(name)?,
        };
        match &self.store {
            Some(path) => Ok(Box::new(Recorded::new(Store::open(path)?, inner))),
            None => Ok(inner),
        }
    }

    /// Makes the judge.
    ///
    /// # Errors
    /// An unknown name, or a model file that cannot be read.
    pub fn judge(&self) -> Result<Box<dyn Judge>> {
        let name = if self.judge.is_empty() { "lexical" } else { self.judge.as_str() };
        let build = |text: Option<&str>| match JUDGES.iter().find(|entry| entry.name == name) {
            Some(entry) => (entry.build)(text),
            None => self.model_judge(name, text),
        };
        let Some(path) = &self.judge_model else { return build(None) };
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::io("read the judge's model", path, error))?;
        build(Some(&text)).map_err(|error| error.at_if_missing(Place::file(path)))
    }

    /// A decomposer that runs a language model.
    #[cfg(feature = "llama")]
    fn model_decomposer(&self, name: &str) -> Result<Box<dyn Decomposer>> {
        let Some(entry) = crate::llama::DECOMPOSERS.iter().find(|entry| entry.name == name) else {
            return Err(unknown("decomposer", name, decomposers().map(|(name, _)| name)));
        };
        let mut config = self.llama.clone();
        if self.structure == Mode::Reference {
            config.gsrm.otherwise = "reference";
        }
        (entry.build)(&config)
    }

    #[cfg(not(feature = "llama"))]
    fn model_decomposer(&self, name: &str) -> Result<Box<dyn Decomposer>> {
        Err(unknown("decomposer", name, decomposers().map(|(name, _)| name)))
    }

    /// A judge that runs a language model.
    #[cfg(feature = "llama")]
    fn model_judge(&self, name: &str, text: Option<&str>) -> Result<Box<dyn Judge>> {
        match crate::llama::JUDGES.iter().find(|entry| entry.name == name) {
            Some(entry) => (entry.build)(&self.llama, text),
            None => Err(unknown("judge", name, judges().map(|(name, _)| name))),
        }
    }

    #[cfg(not(feature = "llama"))]
    fn model_judge(&self, name: &str, _: Option<&str>) -> Result<Box<dyn Judge>> {
        Err(unknown("judge", name, judges().map(|(name, _)| name)))
    }

    /// A fingerprint of everything that shapes a record: two runs with the same one give the same bytes.
    ///
    /// # Errors
    /// As [`Scorer::new`].
    pub fn fingerprint(&self) -> Result<String> {
        let mix = serde_json::to_string(&self.mix).map_err(|error| Error::config(error.to_string()))?;
        Ok(format!(
            "rlkd {} {:?} {:?} {} {} {:?} {mix}",
            env!("CARGO_PKG_VERSION"),
            self.structure,
            self.options,
            self.decomposer()?.id(),
            self.judge()?.id(),
            self.detail
        ))
    }
}

/// Names and summaries of every decomposer of this build.
pub fn decomposers() -> impl Iterator<Item = (&'static str, &'static str)> + Clone {
    let plain = DECOMPOSERS.iter().map(|entry| (entry.name, entry.summary));
    #[cfg(feature = "llama")]
    let plain = plain.chain(crate::llama::DECOMPOSERS.iter().map(|entry| (entry.name, entry.summary)));
    plain
}

/// Names and summaries of every judge of this build.
pub fn judges() -> impl Iterator<Item = (&'static str, &'static str)> + Clone {
    let plain = JUDGES.iter().map(|entry| (entry.name, entry.summary));
    #[cfg(feature = "llama")]
    let plain = plain.chain(crate::llama::JUDGES.iter().map(|entry| (entry.name, entry.summary)));
    plain
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Error {
    let hint = match config::nearest(name, known.clone()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("known are {}", known.collect::<Vec<_>>().join(", ")),
    };
    Error::config(format!("unknown {what} {name:?}; {hint}"))
}

/// Questions that are in flight at once, but for a single pair that has more; each takes some 20 bytes.
const MOST_QUESTIONS: usize = 1 << 20;

/// Scores samples. Owns its scratch memory; one per thread.
pub struct Scorer {
    mix: Mix,
    detail: Detail,
    aligns: bool,
    decomposer: Box<dyn Decomposer>,
    judge: Box<dyn Judge>,
    mode: Mode,
    options: Options,
    /// One aligner and one list of verdicts for each pair in flight; kept from batch to batch.
    pool: Vec<(Aligner, Vec<Verdict>)>,
    /// The same for lists along the graphs of their teachers.
    walkers: Vec<(Walker, Vec<Verdict>)>,
}

/// A pair of traces to align: indices of the sample, the teacher and the student.
#[derive(Clone, Copy)]
struct Pairing {
    sample: usize,
    teacher: usize,
    student: usize,
}

/// The decomposed traces of one sample.
struct Steps {
    teachers: Vec<std::result::Result<StepList, Why>>,
    students: Vec<std::result::Result<StepList, Why>>,
}

/// For each sample and each student the best alignment, and which teacher it is with.
type Best = Vec<Vec<(Structure, usize)>>;

impl Scorer {
    /// A scorer.
    ///
    /// # Errors
    /// Settings that do not go together: an unknown name, a weight that is not finite, a model that cannot be read.
    pub fn new(settings: &Settings) -> Result<Self> {
        Self::with(settings, settings.decomposer()?)
    }

    /// A scorer with a decomposer of one's own.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with(settings: &Settings, decomposer: Box<dyn Decomposer>) -> Result<Self> {
        settings.options.check()?;
        let mix = Mix::new(&settings.mix)?;
        Ok(Scorer {
            aligns: mix.has("structure"),
            mix,
            detail: settings.detail,
            decomposer,
            judge: settings.judge()?,
            mode: settings.structure,
            options: settings.options,
            pool: Vec::new(),
            walkers: Vec::new(),
        })
    }

    /// The names and weights of its rewards, in order of names.
    pub fn weights(&self) -> impl Iterator<Item = (&'static str, f64)> + '_ {
        self.mix.weights()
    }

    /// Scores every student of a sample, in order.
    ///
    /// # Errors
    /// The sample cannot be scored at all. What is wrong with one trace is a skip in its record.
    pub fn score(&mut self, sample: &Sample) -> Result<Vec<Scored>> {
        let scored = self.score_batch(&[sample]).pop();
        scored.unwrap_or_else(|| Err(Error::engine("a batch gave no answer")))
    }

    /// Scores samples together, so that a model behind the decomposer or the judge sees large batches. One
    /// result per sample, in order; the same as [`Self::score`] gives one by one.
    pub fn score_batch(&mut self, samples: &[&Sample]) -> Vec<Result<Vec<Scored>>> {
        let again =
            |error: &Error| samples.iter().map(|_| Err(Error::new(error.kind(), error.message()))).collect();
        let steps = if self.aligns { self.decompose(samples) } else { Ok(Vec::new()) };
        let steps = match steps {
            Ok(steps) => steps,
            Err(error) => return again(&error),
        };
        let aligned = match self.align(samples, &steps) {
            Ok(aligned) => aligned,
            // What one sample did wrong is not the others' fault.
            Err(_) if samples.len() > 1 => return samples.iter().map(|sample| self.score(sample)).collect(),
            Err(error) => return again(&error),
        };
        let (trees, aligned) = aligned;
        let (mut trees, mut aligned) = (trees.into_iter(), aligned.into_iter());
        let score = |(index, sample): (usize, &&Sample)| {
            let (structure, best): (Vec<Structure>, Vec<usize>) =
                aligned.next().unwrap_or_default().into_iter().unzip();
            let tree = trees.next().filter(|_| self.detail != Detail::Score);
            let mixed = self.mix.score(&Group { sample, structure: &structure })?;
            let mut records = self.records(sample, steps.get(index), &structure, &best, mixed);
            if let Some(first) = records.first_mut() {
                first.tree = tree.filter(|tree| !tree.is_empty()).map(Box::new);
            }
            Ok(records)
        };
        samples.iter().enumerate().map(score).collect()
    }

    /// Steps of every trace of every sample, in one batch.
    ///
    /// # Errors
    /// The store failed: that says nothing about a trace, and must not look like a skip.
    fn decompose(&mut self, samples: &[&Sample]) -> Result<Vec<Steps>> {
        let mut jobs = Vec::new();
        for sample in samples {
            let job = |trace| Job { problem: &sample.problem, domain: sample.domain, trace };
            jobs.extend(sample.teachers.iter().chain(&sample.students).map(job));
        }
        let mut lists = self.decomposer.decompose(&jobs);
        unless_store_failed(&mut lists)?;
        let mut lists = lists.into_iter();
        let mut take =
            |traces: &[Trace]| -> Vec<_> { traces.iter().map(|_| readable(lists.next())).collect() };
        Ok(samples
            .iter()
            .map(|sample| Steps { teachers: take(&sample.teachers), students: take(&sample.students) })
            .collect())
    }

    /// For each sample and each student: the best alignment over the teachers, and which teacher it is with. With the rule
    /// `tree` the graphs, too.
    fn align(&mut self, samples: &[&Sample], steps: &[Steps]) -> Result<(Vec<Tree>, Best)> {
        if self.mode == Mode::Tree {
            return self.align_trees(samples, steps);
        }
        let mut pairings = Vec::new();
        for (sample, steps) in steps.iter().enumerate() {
            for student in 0..steps.students.len() {
                pairings.extend((0..steps.teachers.len()).map(|teacher| Pairing {
                    sample,
                    teacher,
                    student,
                }));
            }
        }
        // A few large pairs fill the memory that thousands of small ones share.
        let questions = |pairing: &Pairing| {
            let Steps { teachers, students } = &steps[pairing.sample];
            let size =
                |list: &std::result::Result<StepList, Why>| list.as_ref().map_or(0, |list| list.steps.len());
            size(&teachers[pairing.teacher]) * size(&students[pairing.student])
        };
        let mut found = Vec::with_capacity(pairings.len());
        let mut rest = pairings.as_slice();
        while !rest.is_empty() {
            let mut sum = 0;
            let fits = |pairing: &&Pairing| {
                sum += questions(pairing);
                sum <= MOST_QUESTIONS
            };
            let (now, later) = rest.split_at(rest.iter().take_while(fits).count().max(1));
            found.extend(self.align_pairs(samples, steps, now)?);
            if now.iter().map(questions).sum::<usize>() > MOST_QUESTIONS / 4 {
                self.pool.clear();
            }
            rest = later;
        }
        let mut best: Best = steps
            .iter()
            .map(|s| vec![(Err(Why("there is no teacher trace".into())), 0); s.students.len()])
            .collect();
        for (pairing, structure) in pairings.iter().zip(found) {
            let slot = &mut best[pairing.sample][pairing.student];
            let better = match (&slot.0, &structure) {
                _ if pairing.teacher == 0 => true,
                (Ok(best), Ok(new)) => new.total > best.total,
                (Err(_), Ok(_)) => true,
                (_, Err(_)) => false,
            };
            if better {
                *slot = (structure, pairing.teacher);
            }
        }
        Ok((Vec::new(), best))
    }

    /// Aligns all pairs, round by round: every round of questions is one batch for the judge.
    fn align_pairs(
        &mut self,
        samples: &[&Sample],
        steps: &[Steps],
        pairings: &[Pairing],
    ) -> Result<Vec<Structure>> {
        let (mode, options) = (self.mode, self.options);
        if self.pool.len() < pairings.len() {
            self.pool.resize_with(pairings.len(), || (Aligner::new(mode, options), Vec::new()));
        }
        let mut next: Vec<std::result::Result<Next, Why>> = Vec::with_capacity(pairings.len());
        for (pairing, (aligner, _)) in pairings.iter().zip(&mut self.pool) {
            let Steps { teachers, students } = &steps[pairing.sample];
            next.push(match (&teachers[pairing.teacher], &students[pairing.student]) {
                (Ok(teacher), Ok(student)) => Ok(aligner.start(teacher, student)),
                (Err(why), _) => Err(Why(format!("the teacher's trace: {}", why.0))),
                (_, Err(why)) => Err(why.clone()),
            });
        }
        while next.iter().any(|next| matches!(next, Ok(Next::Ask))) {
            let mut rounds = Vec::new();
            for ((pairing, next), (aligner, verdicts)) in pairings.iter().zip(&next).zip(&mut self.pool) {
                let Steps { teachers, students } = &steps[pairing.sample];
                if let (Ok(Next::Ask), Ok(teacher), Ok(student)) =
                    (next, &teachers[pairing.teacher], &students[pairing.student])
                {
                    let problem = samples[pairing.sample].problem.as_str();
                    rounds.push(Round { problem, teacher, student, asks: aligner.asks(), verdicts });
                }
            }
            self.judge.judge(&mut rounds)?;
            for (next, (aligner, verdicts)) in next.iter_mut().zip(&mut self.pool) {
                if matches!(next, Ok(Next::Ask)) {
                    *next = Ok(aligner.answer(verdicts)?);
                }
            }
        }
        let finish =
            |(next, (aligner, _)): (std::result::Result<Next, Why>, &(Aligner, Vec<Verdict>))| match next? {
                Next::Unscorable(why) => Err(Why(why.into())),
                Next::Done | Next::Ask => Ok(aligner.alignment().clone()),
            };
        Ok(next.into_iter().zip(&self.pool).map(finish).collect())
    }

    fn records(
        &self,
        sample: &Sample,
        steps: Option<&Steps>,
        structure: &[Structure],
        best: &[usize],
        mixed: Vec<Mixed>,
    ) -> Vec<Scored> {
        let explain = |student: usize| -> Option<Explained> {
            let alignment = structure.get(student)?.as_ref().ok()?.clone();
            let (steps, teacher) = (steps?, *best.get(student)?);
            let list = |lists: &[std::result::Result<StepList, Why>], index: usize| {
                let shown = self.detail != Detail::Score;
                lists.get(index).filter(|_| shown).and_then(|list| list.as_ref().ok().cloned())
            };
            Some(Explained {
                teacher: teacher as u32,
                alignment,
                teacher_steps: list(&steps.teachers, teacher),
                student_steps: list(&steps.students, student),
            })
        };
        let record = |(student, mixed): (usize, Mixed)| Scored {
            id: sample.id.clone(),
            student: student as u32,
            reward: mixed.reward,
            parts: mixed
                .parts
                .into_iter()
                .map(|part| (part.name.to_owned(), Part::new(part.outcome, part.weight)))
                .collect(),
            structure: explain(student),
            tree: None,
            problem: (self.detail == Detail::Full).then(|| sample.problem.clone()),
        };
        mixed.into_iter().enumerate().map(record).collect()
    }
}

impl Part {
    fn new(outcome: Outcome, weight: f64) -> Self {
        match outcome {
            Outcome::Scored(value) => Part { value: Some(value), weight, skipped: None },
            Outcome::Skipped(why) => Part { value: None, weight, skipped: Some(why) },
        }
    }
}

/// What a store did wrong is nobody's trace's fault: it ends the run.
fn unless_store_failed(lists: &mut Vec<Result<StepList>>) -> Result<()> {
    match lists.iter().position(|list| list.as_ref().is_err_and(|e| e.kind() == ErrorKind::Store)) {
        Some(at) => Err(lists.swap_remove(at).err().unwrap_or_else(|| Error::store("the store failed"))),
        None => Ok(()),
    }
}

/// A step list that can be aligned, or why it cannot: nothing that was broken off is judged as if it were empty.
fn readable(list: Option<Result<StepList>>) -> std::result::Result<StepList, Why> {
    match list {
        Some(Ok(StepList { steps, end: End::Malformed { at }, .. })) if steps.is_empty() => {
            Err(Why(format!("the step list cannot be read at byte {at}")))
        }
        Some(Ok(list)) => Ok(list),
        Some(Err(error)) => Err(Why(error.to_string())),
        None => Err(Why("the decomposer gave no answer".into())),
    }
}

/// Aligns one student with one teacher.
///
/// # Errors
/// If the judge fails. A pair that cannot be aligned at all is an inner `Err` with the reason.
pub fn align_pair(
    aligner: &mut Aligner,
    judge: &mut dyn Judge,
    problem: &str,
    teacher: &StepList,
    student: &StepList,
) -> Result<Structure> {
    let mut verdicts = Vec::new();
    let mut next = aligner.start(teacher, student);
    loop {
        match next {
            Next::Done => return Ok(Ok(aligner.alignment().clone())),
            Next::Unscorable(why) => return Ok(Err(Why(why.into()))),
            Next::Ask => {
                let round =
                    Round { problem, teacher, student, asks: aligner.asks(), verdicts: &mut verdicts };
                judge.judge(&mut [round])?;
                next = aligner.answer(&verdicts)?;
            }
        }
    }
}
