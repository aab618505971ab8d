//! `ranking`: does the structure reward rank traces that end right above those that end wrong?
//!
//! `gsm8k_traces.jsonl` holds traces of many models on the same problems, `gsm8k_socratic_steps.jsonl` the gold steps.
//! The teacher is the gold steps without the last: what is measured is how well the way there tells where a trace
//! will end. The student's last step is left out likewise, wherever that scores higher: it has no partner, and whoever
//! takes it should not get less than who stops before. Beside the reward stands the value-recall baseline: the share of the gold intermediate values that occur
//! anywhere in the trace. No figure is fitted here.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::shown::{Bar, Plot, Table, cell};
use super::{Suite, SuiteReport, records};
use crate::align::{Aligner, Mode, Options};
use crate::answer;
use crate::decompose::rules::Rules;
use crate::error::{Error, Result};
use crate::judge::calibrate::auc;
use crate::judge::lexical::Lexical;
use crate::score::{Settings, align_pair};
use crate::text::numbers::{self, Number};
use crate::trace::{Span, Step, StepList, Trace};

pub(super) const TRACES: &str = "gsm8k_traces.jsonl";
pub(super) const STEPS: &str = "gsm8k_socratic_steps.jsonl";

/// The suite.
pub const SUITE: Suite = Suite {
    name: "ranking",
    summary: "structure reward of right traces above wrong ones (rules + lexical + ordered), final step excluded",
    files: &[TRACES, STEPS],
    bars: &[Bar::at_least("auc_all_held_out", 0.85), Bar::at_least("auc_within_held_out", 0.80)],
    run,
};

/// A trace of a model on a problem.
#[derive(Deserialize)]
pub(super) struct TraceRecord {
    pub gsm8k_test_id: u64,
    pub question: String,
    gold: String,
    #[serde(default)]
    pub role: String,
    pub model: String,
    pub text: String,
}

#[derive(Deserialize)]
struct StepsRecord {
    gsm8k_test_id: u64,
    steps: Vec<GoldStep>,
}

#[derive(Deserialize)]
pub(super) struct GoldStep {
    q: String,
    a: String,
    #[serde(default)]
    value: Option<f64>,
    #[serde(default)]
    has_calc: bool,
}

/// The gold steps of a problem.
pub(super) struct Gold(Vec<GoldStep>);

impl Gold {
    pub fn list(&self) -> StepList {
        teacher_steps(&self.0)
    }

    /// The values of the steps that compute something.
    pub fn values(&self) -> impl Iterator<Item = f64> + '_ {
        self.0.iter().filter(|step| step.has_calc).filter_map(|step| step.value)
    }

    pub fn questions(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|step| step.q.as_str())
    }
}

/// The gold steps by problem.
pub(super) fn gold(data: &Path) -> Result<BTreeMap<u64, Gold>> {
    let records = records::read::<StepsRecord>(&data.join(STEPS))?;
    Ok(records.into_iter().map(|(_, record)| (record.gsm8k_test_id, Gold(record.steps))).collect())
}

/// Whether nothing was fitted on this problem.
pub(super) fn is_held_out(problem: u64) -> bool {
    problem.is_multiple_of(3)
}

/// One trace with what was measured on it.
struct Ranked {
    problem: u64,
    model: String,
    right: bool,
    structure: f64,
    soft: f64,
    recall: f64,
}

fn run(data: &Path, _: &Settings) -> Result<SuiteReport> {
    let gold = gold(data)?;
    let (mut rules, mut judge) = (Rules::new(), Lexical::default());
    let mut aligners =
        [false, true].map(|soft| Aligner::new(Mode::Ordered, Options { soft, ..Options::default() }));
    let mut ranked = Vec::new();
    let mut left_out = 0;
    for (_, record) in records::read::<TraceRecord>(&data.join(TRACES))? {
        let intermediate =
            gold.get(&record.gsm8k_test_id).and_then(|gold| gold.0.split_last()).map(|(_, rest)| rest);
        let (Some(steps), Some(right)) = (intermediate.filter(|s| !s.is_empty()), ends_right(&record)) else {
            left_out += 1;
            continue;
        };
        let teacher = teacher_steps(steps);
        let student = rules.steps(&record.question, &Trace::new(record.text.as_str()));
        let mut totals = [0.0_f64; 2];
        for student in [&student, &without_last(&student)] {
            for (total, aligner) in totals.iter_mut().zip(&mut aligners) {
                let found = align_pair(aligner, &mut judge, &record.question, &teacher, student)?;
                *total = total.max(found.map_err(|why| Error::engine(why.0))?.total);
            }
        }
        let [structure, soft] = totals;
        let recall = value_recall(steps, &record.text);
        ranked.push(Ranked {
            problem: record.gsm8k_test_id,
            model: record.model,
            right,
            structure,
            soft,
            recall,
        });
    }
    Ok(report(&ranked, left_out))
}

/// The steps without the last that moves towards the answer.
pub(super) fn without_last(list: &StepList) -> StepList {
    let mut list = list.clone();
    if let Some(last) = list.progress().last() {
        list.steps.remove(last);
    }
    list
}

/// Whether the trace arrives at the gold answer; `None` if that cannot be told.
pub(super) fn ends_right(record: &TraceRecord) -> Option<bool> {
    let options = answer::Options::default();
    let found = answer::check_on(&record.question, &record.gold, &record.text, options);
    found.outcome().value().map(|value| value > 0.5)
}

pub(super) fn teacher_steps(gold: &[GoldStep]) -> StepList {
    let mut list = StepList::default();
    for step in gold {
        let mut part = |text: &str| {
            let start = list.text.len();
            list.text.push_str(text);
            list.text.push('\n');
            Span::new(start, start + text.len())
        };
        let (sub_problem, answer) = (part(&step.q), part(&step.a));
        list.steps.push(Step {
            meta: Span::empty_at(sub_problem.start as usize),
            sub_problem,
            answer,
            ..Step::default()
        });
    }
    list
}

/// The baseline: which share of the gold intermediate values occurs anywhere in the text.
fn value_recall(gold: &[GoldStep], text: &str) -> f64 {
    let mut found: Vec<Number> = Vec::new();
    numbers::scan(text, &mut found);
    let values: Vec<f64> = gold.iter().filter_map(|step| step.value).collect();
    let recalled =
        values.iter().filter(|value| found.iter().any(|n| numbers::same(n.value, **value))).count();
    recalled as f64 / values.len().max(1) as f64
}

fn report(ranked: &[Ranked], left_out: usize) -> SuiteReport {
    let mut report = SuiteReport { suite: "ranking", n: ranked.len(), ..SuiteReport::default() };
    let held_out: Vec<&Ranked> = ranked.iter().filter(|r| is_held_out(r.problem)).collect();
    let all: Vec<&Ranked> = ranked.iter().collect();
    for (suffix, score) in [("auc", structure as fn(&Ranked) -> f64), ("soft", soft), ("baseline", recall)] {
        report.figure(format!("{suffix}_all"), auc_of(&all, score));
        report.figure(format!("{suffix}_within"), within(&all, score));
        report.figure(format!("{suffix}_all_held_out"), auc_of(&held_out, score));
        report.figure(format!("{suffix}_within_held_out"), within(&held_out, score));
    }
    let right = ranked.iter().filter(|r| r.right).count();
    report.figure("right", right as f64);
    report.notes.push(format!("{} traces, {right} right; left out: {left_out}", ranked.len()));
    report
        .notes
        .push("held_out: problems whose number divides by 3, on which the judge was not fitted".into());
    let rewards = |right: bool| -> Vec<f64> {
        held_out.iter().filter(|row| row.right == right).map(|row| row.structure).collect()
    };
    report.plots.push(Plot::histograms(
        "Reward of traces that end right and wrong, held-out problems",
        "reward",
        (0.0, 1.0),
        &[("right", rewards(true)), ("wrong", rewards(false))],
    ));
    let mut table = Table::new("AUC by model, all problems", ["model", "n", "reward", "baseline"]);
    let mut by_model: BTreeMap<&str, Vec<&Ranked>> = BTreeMap::new();
    for row in ranked {
        by_model.entry(&row.model).or_default().push(row);
    }
    for (model, rows) in by_model {
        let (reward, baseline) = (auc_of(&rows, structure), auc_of(&rows, recall));
        table.row([model.into(), rows.len().to_string(), cell(reward, 3), cell(baseline, 3)]);
        report.figure(format!("auc_model/{model}"), reward);
        report.figure(format!("baseline_model/{model}"), baseline);
    }
    report.tables.push(table);
    report
}

fn structure(row: &Ranked) -> f64 {
    row.structure
}

fn soft(row: &Ranked) -> f64 {
    row.soft
}

fn recall(row: &Ranked) -> f64 {
    row.recall
}

fn auc_of(rows: &[&Ranked], score: fn(&Ranked) -> f64) -> f64 {
    let scores: Vec<f64> = rows.iter().map(|row| score(row)).collect();
    let labels: Vec<bool> = rows.iter().map(|row| row.right).collect();
    auc(&scores, &labels)
}

/// Over all pairs of a right and a wrong trace of one problem: the share in which the right one scores more.
fn within(rows: &[&Ranked], score: fn(&Ranked) -> f64) -> f64 {
    let mut by_problem: BTreeMap<u64, Vec<&Ranked>> = BTreeMap::new();
    for row in rows {
        by_problem.entry(row.problem).or_default().push(row);
    }
    let (mut wins, mut pairs) = (0.0, 0.0);
    for rows in by_problem.values() {
        let right = rows.iter().filter(|row| row.right).count();
        let here = (right * (rows.len() - right)) as f64;
        if here > 0.0 {
            wins += auc_of(rows, score) * here;
            pairs += here;
        }
    }
    wins / pairs
}
