//! `perturbation` and `solutions`: does the structure reward see that a path was spoilt, and that another path is another?
//!
//! Both score lists of steps that are given, each step a sentence, with the original list as the teacher's.
//! - `perturbation`: the original list against itself has to get more than the same list with a step repeated, removed or
//!   moved, or with a number or a claim changed. A pair *counts* if its number of steps, its order or a number differs;
//!   where only words differ, the share is told, and no bar is set.
//! - `solutions`: two solutions of one problem, both right and different. The answers agree; the paths should not.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::shown::{Bar, Plot, Table, cell};
use super::{Suite, SuiteReport};
use crate::align::{Aligner, Mode};
use crate::dataset::read_records;
use crate::error::{Error, Result};
use crate::judge::lexical::Lexical;
use crate::score::{Settings, align_pair};
use crate::text::numbers::{self, Number};
use crate::trace::{Span, Step, StepList};

const SPOILT: &str = "perturbation.jsonl";
const CLASSIFIED: &str = "prmbench_classified.jsonl.gz";
const SOLUTIONS: &str = "prmbench_multi_solutions.jsonl";

/// Spoilt paths.
pub const PERTURBATION: Suite = Suite {
    name: "perturbation",
    summary: "an original path above the same with a defect, kind by kind (lexical + ordered)",
    files: &[SPOILT, CLASSIFIED],
    bars: &[Bar::at_least("share_min", 0.97)],
    run: perturbation,
};

/// Other paths.
pub const SOLUTION: Suite = Suite {
    name: "solutions",
    summary: "two right solutions of a problem are not the same path (lexical + ordered)",
    files: &[SOLUTIONS],
    bars: &[Bar::at_most("median", 0.6), Bar::at_least("identical", 1.0)],
    run: solutions,
};

#[derive(Deserialize)]
struct Spoilt {
    question: String,
    reference_steps: Vec<String>,
    hypothesis_steps: Vec<String>,
    error_type: String,
}

#[derive(Deserialize)]
struct Processes {
    original_question: String,
    original_process: Vec<String>,
    modified_process: Vec<String>,
    classification: String,
}

/// A list of sentences, each a step that states an answer.
fn list(sentences: &[String]) -> StepList {
    let mut list = StepList::default();
    for sentence in sentences {
        let start = list.text.len();
        list.text.push_str(sentence);
        let answer = Span::new(start, list.text.len()).trim(&list.text);
        list.text.push('\n');
        let none = Span::empty_at(answer.start as usize);
        list.steps.push(Step { meta: none, sub_problem: none, answer, ..Step::default() });
    }
    list
}

/// Scores pairs of lists.
struct Scorer {
    aligner: Aligner,
    judge: Lexical,
}

impl Scorer {
    fn new() -> Self {
        Scorer { aligner: Aligner::new(Mode::Ordered, Default::default()), judge: Lexical::default() }
    }

    /// `None` where there is nothing to compare with.
    fn score(&mut self, problem: &str, teacher: &StepList, student: &StepList) -> Result<Option<f64>> {
        let found = align_pair(&mut self.aligner, &mut self.judge, problem, teacher, student)?;
        Ok(found.ok().map(|alignment| alignment.total))
    }
}

/// Whether more than words differs: the number of steps, or the numbers in them, in their order.
fn differs(one: &[String], other: &[String]) -> bool {
    let numbers = |steps: &[String]| -> Vec<f64> {
        let mut found: Vec<Number> = Vec::new();
        steps.iter().for_each(|step| {
            let mut here = Vec::new();
            numbers::scan(step, &mut here);
            found.extend(here);
        });
        found.into_iter().map(|number| number.value).collect()
    };
    one.len() != other.len() || numbers(one) != numbers(other)
}

#[derive(Default)]
struct Share {
    n: usize,
    won: usize,
}

impl Share {
    fn share(&self) -> f64 {
        self.won as f64 / self.n.max(1) as f64
    }
}

fn perturbation(data: &Path, _: &Settings) -> Result<SuiteReport> {
    let mut pairs = Vec::new();
    let mut report = SuiteReport { suite: PERTURBATION.name, ..SuiteReport::default() };
    let [spoilt, classified] = [SPOILT, CLASSIFIED].map(|file| data.join(file));
    // Where neither is there, the first says so.
    if spoilt.exists() || !classified.exists() {
        for record in read_records::<Spoilt>(&spoilt)? {
            let record = record?;
            pairs.push((record.error_type, record.question, record.reference_steps, record.hypothesis_steps));
        }
    }
    if classified.exists() {
        for record in read_records::<Processes>(&classified)? {
            let record = record?;
            let (kind, question) = (record.classification, record.original_question);
            pairs.push((kind, question, record.original_process, record.modified_process));
        }
    }
    let mut scorer = Scorer::new();
    let (mut counted, mut worded) = (BTreeMap::<String, Share>::new(), BTreeMap::<String, Share>::new());
    let mut unscorable = 0;
    for (kind, question, original, spoilt) in &pairs {
        let (teacher, student) = (list(original), list(spoilt));
        let own = scorer.score(question, &teacher, &teacher)?;
        let other = scorer.score(question, &teacher, &student)?;
        let (Some(own), Some(other)) = (own, other) else {
            unscorable += 1;
            continue;
        };
        let shares = if differs(original, spoilt) { &mut counted } else { &mut worded };
        let share = shares.entry(kind.clone()).or_default();
        share.n += 1;
        share.won += usize::from(own > other);
        if own <= other && report.notes.len() < MOST_LISTED && differs(original, spoilt) {
            report.notes.push(told(kind, original, spoilt, other));
        }
    }
    let total = |shares: &BTreeMap<String, Share>| Share {
        n: shares.values().map(|share| share.n).sum(),
        won: shares.values().map(|share| share.won).sum(),
    };
    let all = total(&counted);
    report.n = all.n;
    report.passed = all.won;
    report.failed = all.n - all.won;
    report.figure("share_all", all.share());
    report.figure("share_min", counted.values().map(Share::share).fold(1.0, f64::min));
    report.figure("share_words_only", total(&worded).share());
    let title = "Share of originals that get more, by kind of defect";
    let mut table = Table::new(title, ["kind", "n", "share", "words only", "their share"]);
    for (kind, share) in &counted {
        report.figure(format!("share/{kind}"), share.share());
        let words = worded.get(kind);
        table.row([
            kind.clone(),
            share.n.to_string(),
            cell(share.share(), 3),
            words.map_or(0, |words| words.n).to_string(),
            cell(words.map_or(f64::NAN, Share::share), 3),
        ]);
    }
    if unscorable > 0 {
        report.notes.insert(0, format!("{unscorable} pairs without steps left out"));
    }
    report.tables.push(table);
    Ok(report)
}

/// How many pairs that come out wrong are told.
const MOST_LISTED: usize = 30;

/// The first step that differs.
fn told(kind: &str, original: &[String], spoilt: &[String], score: f64) -> String {
    let at =
        original.iter().zip(spoilt).position(|(a, b)| a != b).unwrap_or(original.len().min(spoilt.len()));
    let cut = |steps: &[String]| steps.get(at).map_or(String::new(), |step| step.chars().take(160).collect());
    format!("{kind}: {score:.3}: {:?} became {:?}", cut(original), cut(spoilt))
}

fn solutions(data: &Path, _: &Settings) -> Result<SuiteReport> {
    let mut scorer = Scorer::new();
    let mut report = SuiteReport { suite: SOLUTION.name, ..SuiteReport::default() };
    let (mut scores, mut identical) = (Vec::new(), f64::INFINITY);
    for record in read_records::<Processes>(&data.join(SOLUTIONS))? {
        let record = record?;
        let question = &record.original_question;
        let (one, other) = (list(&record.original_process), list(&record.modified_process));
        let own = scorer.score(question, &one, &one)?;
        let Some(score) = scorer.score(question, &one, &other)? else { continue };
        identical = identical.min(own.unwrap_or(0.0));
        scores.push(score);
    }
    if scores.is_empty() {
        return Err(Error::data(format!("{}: no solutions", data.join(SOLUTIONS).display())));
    }
    scores.sort_unstable_by(f64::total_cmp);
    report.n = scores.len();
    report.figure("median", scores[scores.len() / 2]);
    report.figure("identical", identical);
    report.figure("largest", scores[scores.len() - 1]);
    let below = |(at, score): (usize, &f64)| (*score, (at + 1) as f64 / scores.len() as f64);
    report.plots.push(Plot::lines(
        "How much of another right solution is found",
        "score at most",
        "share of pairs",
        vec![("pairs".into(), scores.iter().enumerate().map(below).collect())],
    ));
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_defect_costs_and_another_path_is_another() {
        let directory = tempfile::tempdir().expect("a directory");
        let steps = r#"["Each box holds 3*4 = 12 eggs.", "Five boxes hold 12*5 = 60 eggs.", "She keeps 60-7 = 53 eggs."]"#;
        let fewer = r#"["Each box holds 3*4 = 12 eggs.", "She keeps 60-7 = 53 eggs."]"#;
        let lines = [
            format!(
                r#"{{"question": "?", "reference_steps": {steps}, "hypothesis_steps": {fewer}, "error_type": "remove"}}"#
            ),
            format!(
                r#"{{"question": "?", "reference_steps": {steps}, "hypothesis_steps": {steps}, "error_type": "none"}}"#
            ),
        ];
        std::fs::write(directory.path().join(SPOILT), lines.join("\n")).expect("written");
        let report = perturbation(directory.path(), &Settings::default()).expect("a report");
        assert_eq!((report.n, report.passed), (1, 1));
        assert_eq!(report.figures["share/remove"], 1.0);
        assert_eq!(report.figures["share_words_only"], 0.0);

        let other = r#"["Let x be what she keeps.", "x + 7 = 60, so x = 53."]"#;
        let line = format!(
            r#"{{"original_question": "?", "original_process": {steps}, "modified_process": {other}, "classification": "multi"}}"#
        );
        std::fs::write(directory.path().join(SOLUTIONS), line).expect("written");
        let report = solutions(directory.path(), &Settings::default()).expect("a report");
        assert_eq!(report.figures["identical"], 1.0);
        assert!(report.figures["median"] < 1.0);
    }
}
