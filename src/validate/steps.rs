//! `steps`: does a decomposer find the steps that are there?
//!
//! `labelled.jsonl` holds traces with their steps, as `rlkd synth --labels` and `rlkd annotate` write them. A step that was found is one of
//! the labelled ones
//! - by `value`: its answer computes the same from the same numbers;
//! - by `name` too: its sub-problem has the words that tell the labelled one from the others of its trace, and none that tell another;
//! - `exact`ly: sub-problem and answer are the labelled ones, word for word.
//!
//! Steps pair in their order (the longest common sequence), so what stands out of order is not found.
//!
//! Two more parts need no labelled steps: `values` holds the values of steps against gold values, `kinds` their kinds against labels
//! of sentences. Each part runs if its files are there.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use super::found::Found;
use super::shown::{Table, cell};
use super::{Suite, SuiteReport, kinds, ranking, records, values};
use crate::calculation::Calculation;
use crate::dataset::{Labelled, Parts};
use crate::decompose::{Decomposer, Job};
use crate::error::{Place, Result};
use crate::score::Settings;
use crate::text::numbers;
use crate::trace::{StepKind, StepList, Trace};

const FILE: &str = "labelled.jsonl";
/// Traces that a decomposer is given at a time.
pub(super) const TOGETHER: usize = 64;

/// The suite.
pub const SUITE: Suite = Suite {
    name: "steps",
    summary: "steps that a decomposer finds beside labelled ones, their values and kinds (--decomposer, --model)",
    files: &[FILE, ranking::TRACES, kinds::SAT, kinds::MATH],
    bars: &[],
    run,
};

/// How closely steps are held against each other.
const BY: [&str; 3] = ["value", "name", "exact"];

/// A step with what is compared.
struct Own {
    operands: Vec<f64>,
    result: Option<f64>,
    words: BTreeSet<String>,
    text: String,
}

impl Own {
    fn new(sub_problem: &str, answer: &str, calculation: &mut Calculation) -> Self {
        calculation.read(answer);
        let words = sub_problem.to_lowercase();
        let words = words.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        let joined = [sub_problem, answer].map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
        Own {
            operands: calculation.operands.clone(),
            result: calculation.result,
            words: words.map(str::to_owned).collect(),
            text: joined.join("\n"),
        }
    }

    fn computes(&self, other: &Own) -> bool {
        let same = |one: &[f64], other: &[f64]| {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| numbers::same(*one, *other))
        };
        let results = match (self.result, other.result) {
            (Some(one), Some(other)) => numbers::same(one, other),
            (None, None) => true,
            _ => false,
        };
        results && same(&self.operands, &other.operands)
    }
}

/// The words of each step that not all steps have.
fn telling(all: &[Own]) -> Vec<BTreeSet<&str>> {
    let common = |word: &String| all.iter().all(|own| own.words.contains(word));
    all.iter()
        .map(|own| own.words.iter().filter(|word| !common(word)).map(String::as_str).collect())
        .collect()
}

/// The length of the longest common sequence.
fn common(gold: usize, found: usize, same: impl Fn(usize, usize) -> bool) -> usize {
    let mut row = vec![0; found + 1];
    for one in 0..gold {
        let mut before = 0;
        for other in 0..found {
            let above = row[other + 1];
            row[other + 1] = if same(one, other) { before + 1 } else { above.max(row[other]) };
            before = above;
        }
    }
    row[found]
}

/// How many labelled steps were found, by each way to compare.
pub(crate) fn matched(
    gold: &[Parts],
    found: &StepList,
    calculation: &mut Calculation,
) -> ([usize; 3], usize) {
    let gold: Vec<Own> =
        gold.iter().map(|step| Own::new(&step.sub_problem, &step.answer, calculation)).collect();
    let progress = found.steps.iter().filter(|step| step.kind == StepKind::Progress);
    let found: Vec<Own> = progress
        .map(|step| {
            let [sub_problem, answer] =
                [step.sub_problem, step.answer].map(|span| content(span.of(&found.text)));
            Own::new(sub_problem, answer, calculation)
        })
        .collect();
    let telling = telling(&gold);
    let all: BTreeSet<&str> = telling.iter().flatten().copied().collect();
    let named = |one: usize, other: usize| {
        let own: BTreeSet<&str> =
            found[other].words.iter().map(String::as_str).filter(|word| all.contains(word)).collect();
        own == telling[one]
    };
    let computes = |one: usize, other: usize| gold[one].computes(&found[other]);
    let counts = [
        common(gold.len(), found.len(), computes),
        common(gold.len(), found.len(), |one, other| computes(one, other) && named(one, other)),
        common(gold.len(), found.len(), |one, other| gold[one].text == found[other].text),
    ];
    (counts, found.len())
}

/// What a part of a step says, without the tag that it may begin with.
pub(super) fn content(text: &str) -> &str {
    text.split_once("]:").map_or(text, |(_, rest)| rest).trim()
}

fn run(data: &Path, settings: &Settings) -> Result<SuiteReport> {
    let mut report = SuiteReport { suite: SUITE.name, ..SuiteReport::default() };
    let mut decomposer = settings.decomposer()?;
    let there = |file: &str| data.join(file).exists();
    // Where none is there, the first says so.
    if there(FILE) || !SUITE.files.iter().any(|file| there(file)) {
        labelled(data, &mut *decomposer, &mut report)?;
    }
    match (there(ranking::TRACES), there(ranking::STEPS)) {
        (true, true) => values::run(data, &mut *decomposer, &mut report)?,
        (true, false) => report.notes.push(format!("step values left out: no {}", ranking::STEPS)),
        _ => {}
    }
    if there(kinds::SAT) || there(kinds::MATH) {
        kinds::run(data, &mut *decomposer, &mut report)?;
    }
    Ok(report)
}

/// Steps against labelled steps.
fn labelled(data: &Path, decomposer: &mut dyn Decomposer, report: &mut SuiteReport) -> Result<()> {
    let path = data.join(FILE);
    let all: Vec<Labelled> = records::read::<Labelled>(&path)?.into_iter().map(|(_, own)| own).collect();
    let mut calculation = Calculation::default();
    let (mut hits, mut wanted, mut found, mut failed) = ([0; 3], 0, 0, 0);
    let begin = Instant::now();
    for part in all.chunks(TOGETHER) {
        let traces: Vec<Trace> = part.iter().map(|own| Trace::new(own.trace.clone())).collect();
        let jobs: Vec<Job<'_>> = part
            .iter()
            .zip(&traces)
            .map(|(own, trace)| Job { problem: &own.problem, domain: own.domain, trace })
            .collect();
        for (own, list) in part.iter().zip(decomposer.decompose(&jobs)) {
            wanted += own.steps.len();
            let list = match list {
                Ok(list) => list,
                Err(error) => {
                    failed += 1;
                    if failed <= 3 {
                        report.notes.push(format!("{}: {error}", own.id));
                    }
                    continue;
                }
            };
            let (counts, steps) = matched(&own.steps, &list, &mut calculation);
            hits.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            found += steps;
        }
    }
    if wanted == 0 {
        return Err(crate::Error::data("there is no labelled trace").at(Place::file(&path)));
    }
    report.n += all.len();
    report.failed += failed;
    let mut table = Table::new("Labelled steps that were found", ["by", "precision", "recall", "F1"]);
    for (by, hits) in BY.iter().zip(hits) {
        let counts = Found { gold: wanted, found, hits };
        // Who finds nothing is never wrong, and gets nothing for it.
        let precision = if found == 0 { 0.0 } else { counts.precision() };
        report.figure(format!("{by}/precision"), precision);
        report.figure(format!("{by}/recall"), counts.recall());
        report.figure(format!("{by}/f1"), counts.f1());
        table.row([(*by).into(), cell(precision, 3), cell(counts.recall(), 3), cell(counts.f1(), 3)]);
    }
    report.tables.push(table);
    report.figure("steps", wanted as f64);
    report.figure("traces_per_second", all.len() as f64 / begin.elapsed().as_secs_f64().max(1e-9));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decompose::tagged;

    fn parts(all: &[(&str, &str)]) -> Vec<Parts> {
        let one = |(sub_problem, answer): &(&str, &str)| Parts {
            meta_reasoning: "Next.".into(),
            sub_problem: (*sub_problem).into(),
            answer: (*answer).into(),
        };
        all.iter().map(one).collect()
    }

    fn list(all: &[(&str, &str)]) -> StepList {
        let text: Vec<String> = all
            .iter()
            .enumerate()
            .map(|(at, (sub_problem, answer))| {
                let n = at + 1;
                format!(
                    "[Meta-reasoning {n}]: Next.\n[Sub-problem {n}]: {sub_problem}\n[Answer {n}]: {answer}"
                )
            })
            .collect();
        tagged::parse(&text.join("\n\n"))
    }

    #[test]
    fn steps_are_held_against_labels() {
        let gold =
            [("How many pens has Ann?", "3 * 4 = 12"), ("How many pens has Bob?", "So 12 + 5 = 17 pens.")];
        let count =
            |found: &[(&str, &str)]| matched(&parts(&gold), &list(found), &mut Calculation::default());
        assert_eq!(count(&gold), ([2, 2, 2], 2));
        // Other words, the same calculation and person.
        let other =
            [("Find the pens of Ann.", "4 * 3 is what? 3 * 4 = 12"), ("And what of Bob?", "5 + 12 = 17")];
        assert_eq!(count(&other), ([2, 2, 0], 2));
        // Persons mixed up.
        let mixed =
            [("How many pens has Bob?", "3 * 4 = 12"), ("How many pens has Bob?", "So 12 + 5 = 17 pens.")];
        assert_eq!(count(&mixed), ([2, 1, 1], 2));
        // Out of order, one too many, another result, nothing.
        assert_eq!(count(&[gold[1], gold[0]]), ([1, 1, 1], 2));
        assert_eq!(count(&[gold[0], ("How many?", "1 + 1 = 2"), gold[1]]), ([2, 2, 2], 3));
        assert_eq!(count(&[("How many pens has Ann?", "3 * 4 = 13")]), ([0, 0, 0], 1));
        assert_eq!(count(&[]), ([0, 0, 0], 0));
    }
}
