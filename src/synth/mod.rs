//! A test bed with known structure: word problems over a graph of quantities, with everything known that a reward of
//! structure should see.
//!
//! A problem states some quantities and how others follow from them, and asks for one. Which have to be found first is the
//! graph ([`graph`]); every order in which that can be done is valid, and together they are the true branch tree
//! ([`graph::Graph::orders`]). Teacher traces plan, compute, check and go back, and their steps are known word for word
//! ([`trace`]); student traces are made worse in known ways ([`student`]), so that it is known which of two should get more.
//!
//! Problem number `index` of a seed is always the same, whatever the count.

pub mod agreement;
pub mod graph;
pub mod student;
pub mod trace;
pub mod words;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::seed::Seed;
use crate::trace::Domain;
use graph::{Graph, Quantity};
use words::{Split, Style};

/// Most sub-problems of a problem: each quantity has a name of its own, and there are only so many.
pub const MOST_STEPS: usize = 8;
/// Most quantities that nobody needs.
pub const MOST_DISTRACTORS: usize = 4;
/// Largest number that is stated.
pub const MOST_NUMBER: u64 = 1_000;

/// What problems are like. Ranges are from one number up to another, which belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SynthConfig {
    /// Names, things and sentences of which split: those of one occur in no other.
    pub split: Split,
    /// What quantities are about; all, in turn, if empty.
    pub styles: Vec<Style>,
    /// Sub-problems: quantities that have to be found.
    pub steps: [usize; 2],
    /// The longest chain of sub-problems, each of which needs the one before; no longer than there are steps; of several
    /// steps at least 2, of five and more at least 3.
    pub depth: [usize; 2],
    /// Quantities that are stated, or follow, and are not needed.
    pub distractors: [usize; 2],
    /// Numbers that are stated.
    pub numbers: [u64; 2],
    /// Share of the problems whose names and things are made up for them: so that a model learns to copy words, and not to know
    /// them. From 0 to 1.
    pub invented: f64,
    /// Whether sentences stand in any order, and not in that of the graph.
    pub shuffled: bool,
    /// Teacher traces of a problem, each in an order of its own draw.
    pub teachers: usize,
    /// Share of the teacher traces that are written as a student would, of a kind that is drawn: what a base model learns from, which
    /// knows good traces and bad ones. From 0 to 1.
    pub spoilt: f64,
    /// Student traces of a problem, of different kinds.
    pub students: usize,
    /// The seed.
    pub seed: u64,
}

impl Default for SynthConfig {
    fn default() -> Self {
        SynthConfig {
            split: Split::Train,
            styles: Vec::new(),
            steps: [2, 5],
            depth: [2, 4],
            distractors: [0, 2],
            numbers: [2, 50],
            invented: 0.0,
            shuffled: true,
            teachers: 1,
            spoilt: 0.0,
            students: 0,
            seed: 0,
        }
    }
}

impl SynthConfig {
    /// Whether the values make sense.
    ///
    /// # Errors
    /// Kind `Config`, naming the value.
    pub fn check(&self) -> Result<()> {
        let range = |name: &str, [from, to]: [u64; 2], least: u64, most: u64| {
            if from <= to && from >= least && to <= most {
                return Ok(());
            }
            Err(Error::config(format!(
                "{name} = [{from}, {to}]: from a number to the same or a larger one, within {least} to {most}"
            )))
        };
        let sizes = |[from, to]: [usize; 2]| [from as u64, to as u64];
        range("steps", sizes(self.steps), 1, MOST_STEPS as u64)?;
        range("depth", sizes(self.depth), 1, MOST_STEPS as u64)?;
        range("distractors", sizes(self.distractors), 0, MOST_DISTRACTORS as u64)?;
        range("numbers", self.numbers, 2, MOST_NUMBER)?;
        if self.numbers[1] < self.numbers[0] + 8 {
            return Err(Error::config(format!(
                "numbers = [{}, {}]: at least 8 apart, or too few problems come out whole",
                self.numbers[0], self.numbers[1]
            )));
        }
        if self.depth[0] > self.steps[0] && self.depth[0] > 2 {
            return Err(Error::config(format!(
                "depth begins with {} and steps with {}: a chain is no longer than there are steps",
                self.depth[0], self.steps[0]
            )));
        }
        for (name, share) in [("invented", self.invented), ("spoilt", self.spoilt)] {
            if !(0.0..=1.0).contains(&share) {
                return Err(Error::config(format!("{name} = {share}: from 0 to 1")));
            }
        }
        if self.teachers == 0 || self.teachers > 16 || self.students > student::Kind::ALL.len() {
            return Err(Error::config(format!(
                "teachers = {} and students = {}: from 1 to 16, and from 0 to {}",
                self.teachers,
                self.students,
                student::Kind::ALL.len()
            )));
        }
        Ok(())
    }
}

/// A quantity as a record has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// What it is called, such as `Lena's stamps`.
    pub name: String,
    /// Its value.
    pub value: u64,
    /// The quantities that it follows from, by number; empty for what is stated.
    pub needs: Vec<usize>,
    /// Whether the answer needs it.
    pub needed: bool,
    /// The question of the sub-problem.
    pub sub_problem: String,
    /// How it is computed, such as `3 * 14 = 42`; empty for what is stated.
    pub computation: String,
}

/// What is known of a problem.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// The quantities; those that one needs come before it.
    pub quantities: Vec<Truth>,
    /// The one that is asked for.
    pub asked: usize,
    /// In how many orders the sub-problems can be solved.
    pub orders: u64,
    /// Of each student trace what was done to it, and how far it agrees with the truth ([`agreement`]).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub students: Vec<student::Label>,
}

/// A problem, in the form that `rlkd score` reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Split, seed and number.
    pub id: String,
    /// Mathematics.
    pub domain: Domain,
    /// The problem.
    pub problem: String,
    /// Traces of the teacher.
    pub teacher: Vec<String>,
    /// Traces of students.
    pub students: Vec<String>,
    /// The answer.
    pub answer: String,
    /// What is known of it.
    pub synth: Known,
}

/// A generated problem: its graph, its words, its text.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The quantities.
    pub graph: Graph,
    /// What they are called.
    pub words: words::Words,
    /// The text.
    pub text: String,
    /// The seed of what is drawn for it.
    seed: Seed,
    index: u64,
}

impl Problem {
    /// Problem number `index`.
    ///
    /// # Errors
    /// Values that make no sense.
    pub fn new(config: &SynthConfig, index: u64) -> Result<Self> {
        config.check()?;
        let seed = Seed(config.seed);
        let label = |what: &str| format!("synth {} {what}", config.split.name());
        let graph = Graph::draw(config, &mut seed.stream(&label("graph"), index));
        let mut stream = seed.stream(&label("words"), index);
        let styles = if config.styles.is_empty() { Style::ALL.to_vec() } else { config.styles.clone() };
        let style = styles[(index % styles.len() as u64) as usize];
        let mut words = words::Words::draw(config.split, style, graph.quantities.len(), &mut stream);
        // With a stream of its own, so that everything else is the same.
        let mut own = seed.stream(&label("invented"), index);
        if config.invented > 0.0 && own.next_f64() < config.invented {
            words = words.invent(&mut own);
        }
        let text = words.problem(&graph, config.shuffled, &mut stream);
        Ok(Problem { graph, words, text, seed, index })
    }

    /// The stream of what is drawn for one of its traces.
    fn stream(&self, what: &str, number: usize) -> crate::seed::Stream {
        self.seed.stream(&format!("synth {} {what} {number}", self.words.split().name()), self.index)
    }

    /// Trace `number` of the teacher.
    pub fn teacher(&self, number: usize) -> trace::Written {
        let mut stream = self.stream("teacher", number);
        let order = self.graph.draw_order(&mut stream);
        trace::teacher(self, &order, &mut stream)
    }

    /// What is known of a quantity.
    fn truth(&self, number: usize) -> Truth {
        let quantity: &Quantity = &self.graph.quantities[number];
        Truth {
            name: self.words.phrase(number),
            value: quantity.value,
            needs: quantity.rule.needs(),
            needed: quantity.needed,
            sub_problem: self.words.question(number),
            computation: self.graph.computation(number),
        }
    }

    /// What is known of it, without students.
    pub fn known(&self) -> Known {
        Known {
            quantities: (0..self.graph.quantities.len()).map(|number| self.truth(number)).collect(),
            asked: self.graph.asked,
            orders: self.graph.count_orders(),
            students: Vec::new(),
        }
    }

    /// As a record.
    pub fn record(&self, config: &SynthConfig) -> Record {
        let trace = |number: usize| {
            let mut stream = self.stream("spoilt", number);
            if config.spoilt > 0.0 && stream.next_f64() < config.spoilt {
                return student::write(self, stream.pick(&student::Kind::ALL)).text;
            }
            self.teacher(number).text
        };
        let teacher = (0..config.teachers).map(trace).collect();
        let written: Vec<student::Written> = student::Kind::ALL
            .into_iter()
            .take(config.students)
            .map(|kind| student::write(self, kind))
            .collect();
        let known = Known { students: written.iter().map(|one| one.label.clone()).collect(), ..self.known() };
        Record {
            id: format!("synth-{}-{}-{}", config.split.name(), config.seed, self.index),
            domain: Domain::Math,
            problem: self.text.clone(),
            teacher,
            students: written.into_iter().map(|one| one.text).collect(),
            answer: self.graph.quantities[self.graph.asked].value.to_string(),
            synth: known,
        }
    }

    /// Trace `number` of the teacher with its steps: what a GSRM learns from. With `brief`, answers are the computations alone.
    pub fn labelled(&self, number: usize, brief: bool) -> crate::dataset::Labelled {
        let mut written = self.teacher(number);
        if brief {
            for (step, computation) in written.steps.iter_mut().zip(written.computations) {
                step.answer = computation;
            }
        }
        crate::dataset::Labelled {
            id: format!("synth-{}-{}-{}-{number}", self.words.split().name(), self.seed.0, self.index),
            domain: Domain::Math,
            problem: self.text.clone(),
            trace: written.text,
            steps: written.steps,
        }
    }
}
