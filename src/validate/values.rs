//! Part of the suite `steps`: are the values of the steps that were found those of the gold steps?
//!
//! Traces of `gsm8k_traces.jsonl` that end right, against the values of the gold steps that compute something, as multisets: a value
//! that the gold has twice has to be found twice. A trace may rightly compute more than the gold does, or on another way. So what is
//! found beyond the gold is told apart: a gold value *again* (a repetition that passed for progress), a value *elsewhere* (in another
//! decomposition of the problem whose answer is right, `gsm8k_ai_subq.jsonl`), and *others*.
//!
//! Figures are of problems whose number divides by 3. The worst traces are listed from the other problems: they are there to be read
//! by whoever mends the rules.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::found::Found;
use super::shown::{Plot, Table, cell};
use super::steps::{TOGETHER, content};
use super::{SuiteReport, ranking, records};
use crate::calculation::Calculation;
use crate::decompose::{Decomposer, Job};
use crate::error::Result;
use crate::text::numbers::{self, Number};
use crate::trace::{Domain, StepList, Trace};

/// Other decompositions of the same problems.
const OTHERS: &str = "gsm8k_ai_subq.jsonl";
/// How many of the worst traces are listed.
const WORST: usize = 30;

#[derive(Deserialize)]
struct Decomposition {
    /// Not known of some.
    gsm8k_test_id: Option<u64>,
    steps: Vec<Answered>,
    final_correct: Option<bool>,
}

#[derive(Deserialize)]
struct Answered {
    a: String,
}

/// What was counted of some traces.
#[derive(Clone, Copy, Default)]
struct Counts {
    traces: usize,
    values: Found,
    /// Of what was found and is not matched: a gold value once more, a value of another decomposition.
    again: usize,
    elsewhere: usize,
    /// Gold values that were not found, and of these, those that stand in the trace as a number.
    missed: usize,
    missed_in_text: usize,
}

impl Counts {
    fn add(&mut self, other: &Counts) {
        self.traces += other.traces;
        self.values.add(other.values);
        self.again += other.again;
        self.elsewhere += other.elsewhere;
        self.missed += other.missed;
        self.missed_in_text += other.missed_in_text;
    }

    /// Precision where a value of another right decomposition is right too.
    fn known_precision(&self) -> f64 {
        (self.values.hits + self.elsewhere) as f64 / self.values.found as f64
    }
}

/// A trace that ends right.
struct Kept {
    line: u64,
    record: ranking::TraceRecord,
    gold: Vec<f64>,
}

/// Measures `decomposer`. `data` holds the traces and the gold steps.
pub(super) fn run(data: &Path, decomposer: &mut dyn Decomposer, report: &mut SuiteReport) -> Result<()> {
    let gold = ranking::gold(data)?;
    let mut calculation = Calculation::default();
    let others = others(&data.join(OTHERS), &mut calculation)?;
    if others.is_none() {
        report.notes.push(format!("{OTHERS}: not there; no value is known from another decomposition"));
    }
    let (mut wrong, mut without, mut kept) = (0, 0, Vec::new());
    for (line, record) in records::read::<ranking::TraceRecord>(&data.join(ranking::TRACES))? {
        let Some(steps) = gold.get(&record.gsm8k_test_id) else { continue };
        if ranking::ends_right(&record) != Some(true) {
            wrong += 1;
            continue;
        }
        let gold: Vec<f64> = steps.values().collect();
        if gold.is_empty() {
            without += 1;
            continue;
        }
        kept.push(Kept { line, record, gold });
    }
    let (mut groups, mut worst) = (BTreeMap::<(usize, String), Counts>::new(), Vec::new());
    let mut f1s = Vec::new();
    for part in kept.chunks(TOGETHER) {
        let traces: Vec<Trace> = part.iter().map(|own| Trace::new(own.record.text.as_str())).collect();
        let jobs: Vec<Job<'_>> = part
            .iter()
            .zip(&traces)
            .map(|(own, trace)| Job { problem: &own.record.question, domain: Domain::Math, trace })
            .collect();
        for (own, list) in part.iter().zip(decomposer.decompose(&jobs)) {
            let Ok(list) = list else {
                report.failed += 1;
                continue;
            };
            let found = found_values(&list, &mut calculation);
            let known = others.as_ref().and_then(|others| others.get(&own.record.gsm8k_test_id));
            let counts = count(&own.gold, &found, known.map_or(&[], Vec::as_slice), &own.record.text);
            if ranking::is_held_out(own.record.gsm8k_test_id) {
                f1s.push(counts.values.f1());
                // All together, by role, by model: in this order in the table.
                let groups_of = [(0, "all"), (1, own.record.role.as_str()), (2, own.record.model.as_str())];
                for (rank, name) in groups_of {
                    groups.entry((rank, name.to_owned())).or_default().add(&counts);
                }
            } else {
                worst.push((counts.values.f1(), own, found));
            }
        }
    }
    report.n += kept.len();
    report.notes.push(format!(
        "step values: {} traces that end right, {} of them of held-out problems (number % 3 == 0); left out: {wrong} that end wrong, {without} whose \
         gold steps compute nothing",
        kept.len(),
        f1s.len()
    ));
    tell(&groups, report);
    let mut f1s: Vec<f64> = f1s.into_iter().filter(|f1| f1.is_finite()).collect();
    f1s.sort_unstable_by(f64::total_cmp);
    let below = |(at, f1): (usize, &f64)| (*f1, (at + 1) as f64 / f1s.len() as f64);
    report.plots.push(Plot::lines(
        "F1 of step values, trace by trace, held-out problems",
        "F1 at most",
        "share of traces",
        vec![("traces".into(), f1s.iter().enumerate().map(below).collect())],
    ));
    list_worst(worst, report);
    Ok(())
}

/// The values that right decompositions of each problem have; `None` without the file.
fn others(path: &Path, calculation: &mut Calculation) -> Result<Option<BTreeMap<u64, Vec<f64>>>> {
    if !path.exists() {
        return Ok(None);
    }
    let mut values = BTreeMap::<u64, Vec<f64>>::new();
    for (_, record) in records::read::<Decomposition>(path)? {
        if let (Some(problem), Some(true)) = (record.gsm8k_test_id, record.final_correct) {
            let known = values.entry(problem).or_default();
            known.extend(record.steps.iter().filter_map(|step| stated(&step.a, calculation)));
        }
    }
    for known in values.values_mut() {
        known.sort_unstable_by(f64::total_cmp);
        known.dedup_by(|a, b| numbers::same(*a, *b));
    }
    Ok(Some(values))
}

/// The value that an answer states; a number that only occurs is none.
fn stated(answer: &str, calculation: &mut Calculation) -> Option<f64> {
    calculation.read(answer);
    calculation.result.filter(|_| calculation.computed || !calculation.stated.is_empty())
}

/// The values of the steps that move towards the answer.
fn found_values(list: &StepList, calculation: &mut Calculation) -> Vec<f64> {
    let answers = list.progress().map(|at| content(list.steps[at].answer.of(&list.text)));
    answers.filter_map(|answer| stated(answer, calculation)).collect()
}

fn count(gold: &[f64], found: &[f64], others: &[f64], text: &str) -> Counts {
    let mut counts = Counts { traces: 1, ..Counts::default() };
    let among = |values: &[f64], value: f64| values.iter().any(|other| numbers::same(*other, value));
    let mut open = gold.to_vec();
    for &value in found {
        if let Some(at) = open.iter().position(|wanted| numbers::same(*wanted, value)) {
            open.swap_remove(at);
            counts.values.hits += 1;
        } else if among(gold, value) {
            counts.again += 1;
        } else if among(others, value) {
            counts.elsewhere += 1;
        }
    }
    counts.values.gold = gold.len();
    counts.values.found = found.len();
    counts.missed = open.len();
    if !open.is_empty() {
        let mut there: Vec<Number> = Vec::new();
        numbers::scan(text, &mut there);
        let in_text = |value: &&f64| there.iter().any(|number| numbers::same(number.value, **value));
        counts.missed_in_text = open.iter().filter(in_text).count();
    }
    counts
}

fn tell(groups: &BTreeMap<(usize, String), Counts>, report: &mut SuiteReport) {
    let mut table = Table::new(
        "Values of steps, held-out problems",
        [
            "group",
            "traces",
            "gold",
            "found",
            "precision",
            "recall",
            "F1",
            "again",
            "elsewhere",
            "others",
            "missed, in the text",
        ],
    );
    for ((rank, name), counts) in groups {
        let values = counts.values;
        let share = |n: usize| cell(n as f64 / values.found as f64, 3);
        table.row([
            name.clone(),
            counts.traces.to_string(),
            values.gold.to_string(),
            values.found.to_string(),
            cell(values.precision(), 3),
            cell(values.recall(), 3),
            cell(values.f1(), 3),
            share(counts.again),
            share(counts.elsewhere),
            share(values.found - values.hits - counts.again - counts.elsewhere),
            cell(counts.missed_in_text as f64 / counts.missed as f64, 3),
        ]);
        let suffix = if *rank == 0 { String::new() } else { format!("/{name}") };
        report.figure(format!("value_f1{suffix}"), values.f1());
        if *rank == 0 {
            report.figure("value_precision", values.precision());
            report.figure("value_recall", values.recall());
            report.figure("value_precision_known", counts.known_precision());
            report.figure("value_traces", counts.traces as f64);
        }
    }
    report.tables.push(table);
}

/// The worst traces, the longest lists first among equals.
fn list_worst(mut worst: Vec<(f64, &Kept, Vec<f64>)>, report: &mut SuiteReport) {
    worst.retain(|(f1, ..)| f1.is_finite());
    worst.sort_by(|a, b| a.0.total_cmp(&b.0).then((b.1.gold.len()).cmp(&a.1.gold.len())));
    let title = format!("The {WORST} worst traces by F1 of step values, problems that are not held out");
    let mut table = Table::new(title, ["problem", "line", "model", "F1", "gold values", "found values"]);
    for (f1, own, found) in worst.into_iter().take(WORST) {
        table.row([
            own.record.gsm8k_test_id.to_string(),
            own.line.to_string(),
            own.record.model.clone(),
            cell(f1, 3),
            listed(&own.gold),
            listed(&found),
        ]);
    }
    report.tables.push(table);
}

/// Values of a list that are shown.
const MOST_VALUES: usize = 24;

fn listed(values: &[f64]) -> String {
    let brief = |value: &f64| {
        let text = format!("{value:.3}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    };
    let mut words: Vec<String> = values.iter().take(MOST_VALUES).map(brief).collect();
    if values.len() > MOST_VALUES {
        words.push(format!("and {} more", values.len() - MOST_VALUES));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_match_as_multisets() {
        let counts = count(&[12.0, 60.0, 12.0], &[12.0, 60.0, 60.0, 5.0, 7.0], &[5.0], "12, 60 and 12");
        assert_eq!(counts.values, Found { gold: 3, found: 5, hits: 2 });
        assert_eq!((counts.again, counts.elsewhere), (1, 1));
        assert_eq!((counts.missed, counts.missed_in_text), (1, 1));
        assert_eq!(counts.known_precision(), 0.6);
        assert_eq!(count(&[3.0], &[], &[], "4").missed_in_text, 0);
    }

    #[test]
    fn only_progress_has_values() {
        let text = "<think>\nThe boxes hold 3 * 4 = 12 eggs. Five of them hold 12 * 5 = 60.\n\nLet me check: 60 / 5 = 12.\n</think>";
        let list = crate::decompose::rules::Rules::new().steps("", &Trace::new(text));
        assert_eq!(found_values(&list, &mut Calculation::default()), [12.0, 60.0]);
    }

    #[test]
    fn lists_are_short() {
        assert_eq!(listed(&[1.0, 0.5, 100.0, 1.0 / 3.0]), "1, 0.5, 100, 0.333");
        assert!(listed(&[1.0; 30]).ends_with("1, and 6 more"));
    }
}
