//! `synth`: does the structure reward see the true structure?
//!
//! `synth.jsonl` is what `rlkd synth --students 6` writes: problems whose graph is known, and student traces of which it is
//! known how far they agree with it. Beside the reward stands the value-recall baseline: the share of the true values of
//! sub-problems that occur anywhere in the trace.

use std::collections::BTreeMap;
use std::path::Path;

use super::shown::{Table, cell};
use super::{Suite, SuiteReport, records};
use crate::align::{Aligner, Mode};
use crate::decompose::rules::Rules;
use crate::error::{Error, Place, Result};
use crate::judge::lexical::Lexical;
use crate::score::{Settings, align_pair};
use crate::synth::agreement::agreement;
use crate::synth::student::Kind;
use crate::synth::{Known, Record};
use crate::text::numbers;
use crate::trace::Trace;

const FILE: &str = "synth.jsonl";

/// The suite.
pub const SUITE: Suite = Suite {
    name: "synth",
    summary: "structure reward beside the true structure of generated problems (rlkd synth --students 6)",
    files: &[FILE],
    bars: &[],
    run,
};

/// The rewards that are measured.
const MODES: [(&str, Mode); 2] = [("ordered", Mode::Ordered), ("prefix", Mode::Prefix)];

/// A student trace with what was measured on it: the rewards, then the baseline.
struct Row {
    kind: &'static str,
    agreement: f64,
    scores: [f64; 3],
}

/// The quantities that a trace finds, in its order.
fn order(known: &Known, text: &str) -> Vec<usize> {
    agreement(known, text).claims.into_iter().map(|(at, _)| at).collect()
}

fn run(data: &Path, _: &Settings) -> Result<SuiteReport> {
    let path = data.join(FILE);
    let (mut rules, mut judge) = (Rules::new(), Lexical::default());
    let mut aligners = MODES.map(|(_, mode)| Aligner::new(mode, Default::default()));
    let mut problems: Vec<Vec<Row>> = Vec::new();
    for (line, record) in records::read::<Record>(&path)? {
        let wrong = |what: &str| Error::data(what).at(Place::line(&path, line));
        let known = &record.synth;
        let teacher = record.teacher.first().ok_or_else(|| wrong("a problem without a teacher's trace"))?;
        if known.students.len() != record.students.len() || known.students.is_empty() {
            return Err(wrong("no labelled students: rlkd synth --students 6 writes some"));
        }
        let order = order(known, teacher);
        let teacher = rules.steps(&record.problem, &Trace::new(teacher.as_str()));
        let values: Vec<f64> = known
            .quantities
            .iter()
            .filter(|one| one.needed && !one.needs.is_empty())
            .map(|one| one.value as f64)
            .collect();
        let mut rows = Vec::new();
        for (text, label) in record.students.iter().zip(&known.students) {
            let student = rules.steps(&record.problem, &Trace::new(text.as_str()));
            let mut scores = [0.0; 3];
            for (score, aligner) in scores.iter_mut().zip(&mut aligners) {
                let found = align_pair(aligner, &mut judge, &record.problem, &teacher, &student)?;
                *score = found.map_err(|why| Error::engine(why.0))?.total;
            }
            let mut found = Vec::new();
            numbers::scan(text, &mut found);
            let there = |value: &&f64| found.iter().any(|number| numbers::same(number.value, **value));
            scores[2] = values.iter().filter(there).count() as f64 / values.len().max(1) as f64;
            // In the teacher's order, or in another that is as good.
            let reordered = label.kind == Kind::Complete && self::order(known, text) != order;
            let kind = if reordered { "reordered" } else { label.kind.name() };
            rows.push(Row { kind, agreement: label.agreement, scores });
        }
        problems.push(rows);
    }
    let unequal = |rows: &Vec<Row>| rows.iter().any(|row| row.agreement != rows[0].agreement);
    if !problems.iter().any(unequal) {
        return Err(Error::data(
            "no problem has two students that agree with the truth unequally: rlkd synth --students 6",
        )
        .at(Place::file(&path)));
    }
    Ok(report(&problems))
}

/// Of all pairs of students of one problem that agree with the truth unequally: the share in which the one that agrees more
/// has the higher score; ties count half.
fn within(problems: &[Vec<Row>], score: impl Fn(&Row) -> f64) -> f64 {
    let (mut wins, mut pairs) = (0.0, 0.0);
    for rows in problems {
        for (at, one) in rows.iter().enumerate() {
            for other in &rows[at + 1..] {
                let (better, worse) =
                    if one.agreement > other.agreement { (one, other) } else { (other, one) };
                if better.agreement == worse.agreement {
                    continue;
                }
                pairs += 1.0;
                wins += match score(better).total_cmp(&score(worse)) {
                    std::cmp::Ordering::Greater => 1.0,
                    std::cmp::Ordering::Equal => 0.5,
                    std::cmp::Ordering::Less => 0.0,
                };
            }
        }
    }
    wins / pairs
}

fn report(problems: &[Vec<Row>]) -> SuiteReport {
    let mut report =
        SuiteReport { suite: SUITE.name, n: problems.iter().map(Vec::len).sum(), ..SuiteReport::default() };
    let names = [MODES[0].0, MODES[1].0, "baseline"];
    for (at, name) in names.iter().enumerate() {
        report.figure(format!("within_{name}"), within(problems, |row| row.scores[at]));
    }
    let mut kinds: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in problems.iter().flatten() {
        kinds.entry(row.kind).or_default().push(row);
    }
    let [ordered, prefix, baseline] = names;
    let header = ["kind", "n", "agreement", ordered, prefix, baseline];
    let mut table = Table::new("Means by kind of student", header);
    for (kind, rows) in kinds {
        let mean = |of: &dyn Fn(&Row) -> f64| rows.iter().map(|row| of(row)).sum::<f64>() / rows.len() as f64;
        let agreement = mean(&|row| row.agreement);
        let scores = [0, 1, 2].map(|at| mean(&|row| row.scores[at]));
        let [a, b, c] = scores;
        let [agreed, a, b, c] = [agreement, a, b, c].map(|value| cell(value, 3));
        table.row([kind.into(), rows.len().to_string(), agreed, a, b, c]);
        report.figure(format!("agreement/{kind}"), agreement);
        for (name, score) in names.iter().zip(scores) {
            report.figure(format!("{name}/{kind}"), score);
        }
    }
    report.tables.push(table);
    report
}
