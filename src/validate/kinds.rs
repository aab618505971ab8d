//! Part of the suite `steps`: are progress, checks and turning back what people call so?
//!
//! Sentences of reasoning traces with labels: `r1_sat_labelled.jsonl` (DeepSeek-R1 on SAT problems, an episode and an act for every
//! sentence) and `r1_sentences_math.jsonl` (R1-distilled models on MATH, each trace labelled by several sets of labels). [`LABELS`] says
//! what each label means for the kind of a step. A sentence is held against the step that covers it:
//! - a label of a kind is right where a step of this kind covers the sentence, be it its answer or what leads up to it;
//! - a sentence of which no step is made (a plan, a recalled fact) leads up to a step; it counts against the rules only where the
//!   *answer* of a step was seen in it;
//! - a sentence that turns back is no part of what it gives up: it is found if the step before it, or its own, is a
//!   [`StepKind::Backtrack`]. For the other labels such a step counts as the progress that it was when it was written.
//!
//! Figures are of problems whose number divides by 3 (of the SAT problems, whose id is a word: its hash); the matrices of the others.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use xxhash_rust::xxh3::xxh3_64;

use super::found::Found;
use super::labels::{LABELS, Meaning, PROGRESS, RESTATE, SETS, VERIFY, meaning};
use super::shown::{Table, cell};
use super::{SuiteReport, ranking, records};
use crate::decompose::{Decomposer, Job};
use crate::error::Result;
use crate::trace::{Domain, Span, StepKind, StepList, Trace};

/// SAT problems.
pub(super) const SAT: &str = "r1_sat_labelled.jsonl";
/// MATH problems.
pub(super) const MATH: &str = "r1_sentences_math.jsonl";
/// The whole traces of these, with their paragraphs.
const TEXTS: &str = "r1_traces_math.jsonl";

#[derive(Deserialize)]
struct SatTrace {
    question_id: String,
    #[serde(default)]
    question: String,
    r1_response: String,
    sentences: Vec<SatSentence>,
}

#[derive(Deserialize)]
struct SatSentence {
    text: String,
    #[serde(rename = "gt-class-1")]
    episode: String,
    #[serde(rename = "gt-class-2")]
    act: String,
}

#[derive(Deserialize)]
struct MathTrace {
    problem_id: u64,
    seed: u64,
    taxonomy: String,
    chunks: Vec<Chunk>,
}

#[derive(Deserialize)]
struct Chunk {
    text: String,
    category: String,
}

#[derive(Deserialize)]
struct MathText {
    problem_id: u64,
    seed: u64,
    solution: String,
}

/// A trace, and the labels of its sentences.
struct Labelled {
    set: String,
    problem: String,
    text: String,
    held_out: bool,
    /// Where the sentences stand, in their order, and their labels.
    sentences: Vec<(Span, String)>,
}

/// Finds the sentences in the text, one after the other; one that is not there is left out.
fn placed<'a>(text: &str, sentences: impl Iterator<Item = (&'a str, String)>) -> Vec<(Span, String)> {
    let mut from = 0;
    let mut placed = Vec::new();
    for (sentence, label) in sentences {
        let sentence = sentence.trim();
        if let Some(at) = text[from..].find(sentence).filter(|_| !sentence.is_empty()) {
            let start = from + at;
            from = start + sentence.len();
            placed.push((Span::new(start, from), label));
        }
    }
    placed
}

fn sat(path: &Path) -> Result<Vec<Labelled>> {
    let labelled = |record: SatTrace| {
        let labels = record.sentences.iter().map(|own| (&*own.text, format!("{}/{}", own.episode, own.act)));
        Labelled {
            set: "sat".into(),
            sentences: placed(&record.r1_response, labels),
            held_out: ranking::is_held_out(xxh3_64(record.question_id.as_bytes())),
            problem: record.question,
            text: record.r1_response,
        }
    };
    Ok(records::read::<SatTrace>(path)?.into_iter().map(|(_, record)| labelled(record)).collect())
}

/// The traces of sets that can be used. What stands before `<think>` is the problem as it was put to the model.
fn math(path: &Path, texts: &Path) -> Result<Vec<Labelled>> {
    let mut whole = BTreeMap::new();
    if texts.exists() {
        for (_, record) in records::read::<MathText>(texts)? {
            whole.insert((record.problem_id, record.seed), record.solution);
        }
    }
    let mut all = Vec::new();
    for (_, record) in records::read::<MathTrace>(path)? {
        if !SETS.contains(&record.taxonomy.as_str()) {
            continue;
        }
        // Without the whole text, paragraphs are not known: sentences are put one after the other.
        let joined = || record.chunks.iter().map(|own| own.text.as_str()).collect::<Vec<_>>().join(" ");
        let text = whole.get(&(record.problem_id, record.seed)).cloned().unwrap_or_else(joined);
        let begin = text.find("<think>").unwrap_or(0);
        let labels = record.chunks.iter().map(|own| (own.text.as_str(), own.category.clone()));
        let sentences = placed(&text, labels).into_iter().filter_map(|(span, label)| {
            // The sentence in which the thinking begins may begin with the end of the problem.
            let start = (span.start as usize).max(begin);
            let span =
                (start < span.end as usize).then(|| Span::new(start - begin, span.end as usize - begin));
            span.map(|span| (span, label))
        });
        all.push(Labelled {
            set: record.taxonomy,
            held_out: ranking::is_held_out(record.problem_id),
            sentences: sentences.collect(),
            problem: text[..begin].to_owned(),
            text: text[begin..].to_owned(),
        });
    }
    Ok(all)
}

/// The step that covers most of a sentence, and whether its answer has a part in it.
fn cover(list: &StepList, sentence: Span) -> Option<(usize, bool)> {
    let overlap = |span: Span| span.end.min(sentence.end).saturating_sub(span.start.max(sentence.start));
    let steps = list.steps.iter().enumerate().map(|(at, step)| (overlap(step.span()), at));
    let (most, at) = steps.max_by_key(|(bytes, at)| (*bytes, std::cmp::Reverse(*at)))?;
    (most > 0).then(|| (at, overlap(list.steps[at].answer) > 0))
}

/// What was counted with one set of labels, on one side of the split.
#[derive(Default)]
struct Tally {
    /// By kind, [`StepKind::Backtrack`] among them.
    kinds: BTreeMap<&'static str, Found>,
    /// By label: what was found.
    matrix: BTreeMap<String, BTreeMap<&'static str, usize>>,
}

/// The name of steps that say the problem again.
const RESTATING: &str = "restate";

/// What a sentence was found to be, in the order of the matrix.
const COLUMNS: [&str; 8] = [
    "progress",
    "before progress",
    "verify",
    "before verify",
    "given up",
    "before given up",
    "no step",
    RESTATING,
];

impl Tally {
    fn read(&mut self, own: &Labelled, list: &StepList) {
        let mut turned = Vec::new();
        for (span, label) in &own.sentences {
            let means = meaning(&own.set, label);
            let covered = cover(list, *span);
            let kind = covered.map(|(at, _)| list.steps[at].kind);
            let in_answer = covered.is_some_and(|(_, in_answer)| in_answer);
            let column = column(kind, in_answer);
            *self.matrix.entry(label.clone()).or_default().entry(column).or_default() += 1;
            if means == Meaning::TurnsBack {
                let before = list.steps.iter().rposition(|step| step.span().end <= span.start);
                turned.push([before, covered.map(|(at, _)| at)]);
            }
            // What was given up later was progress when it was written.
            let found = kind.map(|kind| if kind == StepKind::Backtrack { StepKind::Progress } else { kind });
            let found = found.filter(|_| means.kind().is_some() || (means.is_no_step() && in_answer));
            if let Some(kind) = means.kind() {
                let count = self.kinds.entry(name(kind)).or_default();
                count.gold += 1;
                count.hits += usize::from(found == Some(kind));
            }
            if let Some(kind) = found {
                self.kinds.entry(name(kind)).or_default().found += 1;
            }
        }
        if LABELS
            .iter()
            .any(|(sets, _, means)| *means == Meaning::TurnsBack && sets.contains(&own.set.as_str()))
        {
            let given_up = |at: &usize| list.steps[*at].kind == StepKind::Backtrack;
            let count = self.kinds.entry(name(StepKind::Backtrack)).or_default();
            count.gold += turned.len();
            count.found += (0..list.steps.len()).filter(given_up).count();
            // Each given-up step answers for one sentence.
            let mut used = Vec::new();
            for places in &turned {
                let free = |at: &usize| given_up(at) && !used.contains(at);
                if let Some(at) = places.iter().copied().flatten().find(free) {
                    used.push(at);
                    count.hits += 1;
                }
            }
        }
    }

    /// The mean of F1 over the kinds that are labelled.
    fn macro_f1(&self) -> f64 {
        let f1s: Vec<f64> =
            self.kinds.values().filter(|count| count.gold > 0).map(|count| count.f1()).collect();
        f1s.iter().sum::<f64>() / f1s.len() as f64
    }
}

fn name(kind: StepKind) -> &'static str {
    [(StepKind::Progress, "progress"), (StepKind::Verify, "verify"), (StepKind::Backtrack, "backtrack")]
        .into_iter()
        .find_map(|(known, name)| (known == kind).then_some(name))
        .unwrap_or(RESTATING)
}

fn column(kind: Option<StepKind>, in_answer: bool) -> &'static str {
    let of = |answer: usize| COLUMNS[answer + usize::from(!in_answer)];
    match kind.map(name) {
        Some("progress") => of(0),
        Some("verify") => of(2),
        Some("backtrack") => of(4),
        Some(_) => RESTATING,
        None => COLUMNS[6],
    }
}

/// Measures `decomposer` on the files that are there.
pub(super) fn run(data: &Path, decomposer: &mut dyn Decomposer, report: &mut SuiteReport) -> Result<()> {
    let mut all = Vec::new();
    if data.join(SAT).exists() {
        all.extend(sat(&data.join(SAT))?);
    }
    if data.join(MATH).exists() {
        all.extend(math(&data.join(MATH), &data.join(TEXTS))?);
    }
    let mut tallies: BTreeMap<(&str, bool), Tally> = BTreeMap::new();
    for own in &all {
        let trace = Trace::new(own.text.as_str());
        let job = Job { problem: &own.problem, domain: Domain::Math, trace: &trace };
        match decomposer.decompose(&[job]).pop() {
            Some(Ok(list)) => tallies.entry((own.set.as_str(), own.held_out)).or_default().read(own, &list),
            _ => report.failed += 1,
        }
    }
    report.n += all.len();
    report.notes.push(format!(
        "kinds of steps: {} labelled traces, {} of them held out; a trace counts once for each set of labels",
        all.len(),
        all.iter().filter(|own| own.held_out).count()
    ));
    let mut scores = Table::new(
        "Kinds of steps by set of labels",
        ["set", "kind", "labelled", "precision", "recall", "F1", "F1, not held out"],
    );
    let none = Tally::default();
    let (mut math, mut macros) = (Tally::default(), Vec::new());
    for set in ["sat"].into_iter().chain(SETS) {
        let Some(held_out) = tallies.get(&(set, true)) else { continue };
        let rest = tallies.get(&(set, false)).unwrap_or(&none);
        for (kind, count) in held_out.kinds.iter().filter(|(_, count)| count.gold > 0) {
            scores.row([
                set.into(),
                (*kind).into(),
                count.gold.to_string(),
                cell(count.precision(), 3),
                cell(count.recall(), 3),
                cell(count.f1(), 3),
                cell(rest.kinds.get(kind).map_or(f64::NAN, |count| count.f1()), 3),
            ]);
            report.figure(format!("kind_f1/{set}/{kind}"), count.f1());
            if set != "sat" {
                math.kinds.entry(kind).or_default().add(*count);
            }
        }
        if set == "sat" {
            macros.push(held_out.macro_f1());
            report.figure("kind_f1/sat", held_out.macro_f1());
        }
    }
    if !math.kinds.is_empty() {
        macros.push(math.macro_f1());
        report.figure("kind_f1/math", math.macro_f1());
    }
    if !macros.is_empty() {
        report.figure("kind_f1", macros.iter().sum::<f64>() / macros.len() as f64);
    }
    report.tables.push(scores);
    agreement(&all, report);
    for set in ["sat"].into_iter().chain(SETS) {
        if let Some(tally) = tallies.get(&(set, false)) {
            matrix(set, tally, report);
        }
    }
    Ok(())
}

/// How far two sets of labels agree on the same sentences: a decomposer cannot agree with both much better than that.
fn agreement(all: &[Labelled], report: &mut SuiteReport) {
    let mut by_trace: BTreeMap<&str, BTreeMap<&str, &Labelled>> = BTreeMap::new();
    for own in all.iter().filter(|own| own.held_out && own.set != "sat") {
        by_trace.entry(own.text.as_str()).or_default().insert(own.set.as_str(), own);
    }
    let mut table = Table::new(
        "How far two sets of labels agree on sentences that both call progress or a check, held-out problems",
        ["sets", "sentences", "F1 of progress", "F1 of verify"],
    );
    for (at, one) in SETS.iter().enumerate() {
        for other in &SETS[at + 1..] {
            let (mut n, mut progress, mut verify) = (0, Found::default(), Found::default());
            for sets in by_trace.values() {
                let (Some(one), Some(other)) = (sets.get(one), sets.get(other)) else { continue };
                let others: BTreeMap<Span, Meaning> =
                    other.sentences.iter().map(|(span, label)| (*span, meaning(&other.set, label))).collect();
                for (span, label) in &one.sentences {
                    let means = (meaning(&one.set, label), others.get(span).copied());
                    let (PROGRESS | VERIFY, Some(PROGRESS | VERIFY)) = means else { continue };
                    n += 1;
                    for (kind, count) in [(PROGRESS, &mut progress), (VERIFY, &mut verify)] {
                        let (a, b) = (means.0 == kind, means.1 == Some(kind));
                        count.gold += usize::from(a);
                        count.found += usize::from(b);
                        count.hits += usize::from(a && b);
                    }
                }
            }
            if n > 0 {
                let sets = format!("{one}, {other}");
                table.row([sets, n.to_string(), cell(progress.f1(), 3), cell(verify.f1(), 3)]);
            }
        }
    }
    if !table.rows.is_empty() {
        report.tables.push(table);
    }
}

/// Label by label: what the sentences were found to be.
fn matrix(set: &str, tally: &Tally, report: &mut SuiteReport) {
    let mut header = vec!["label", "means", "n", "share"];
    // No column for a kind that is not there.
    let columns = || COLUMNS.into_iter().filter(|column| *column != RESTATING || RESTATE.is_some());
    header.extend(columns());
    let title = format!("What labelled sentences were found to be: {set}, problems that are not held out");
    let mut table =
        Table { title, header: header.into_iter().map(str::to_owned).collect(), rows: Vec::new() };
    let total = |counts: &BTreeMap<&str, usize>| counts.values().sum::<usize>();
    let all: usize = tally.matrix.values().map(total).sum();
    for (label, counts) in &tally.matrix {
        let n = total(counts);
        let mut row = vec![label.clone(), meaning(set, label).name().into(), n.to_string()];
        row.push(cell(n as f64 / all as f64, 3));
        row.extend(columns().map(|column| counts.get(column).copied().unwrap_or(0).to_string()));
        table.rows.push(row);
    }
    report.tables.push(table);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decompose::rules::Rules;

    const TEXT: &str = "The farm has 3 hens with 4 eggs each. So 3 * 4 = 13 eggs. Wait, that's wrong. It is 3 * 4 = 12 eggs. \
                        Sold for 2 each: 12 * 2 = 24.\n\nLet me check: 24 / 2 = 12. Good.";

    fn labelled(set: &str, sentences: &[(&str, &str)]) -> Labelled {
        let labels = sentences.iter().map(|(sentence, label)| (*sentence, (*label).to_owned()));
        Labelled {
            set: set.into(),
            problem: String::new(),
            text: TEXT.into(),
            held_out: true,
            sentences: placed(TEXT, labels),
        }
    }

    #[test]
    fn sentences_are_found_in_their_order() {
        let found =
            placed("A. B. A. C.", ["A.", "X.", "A.", "C."].map(|text| (text, text.to_owned())).into_iter());
        let starts: Vec<u32> = found.iter().map(|(span, _)| span.start).collect();
        assert_eq!(starts, [0, 6, 9]);
    }

    #[test]
    fn kinds_are_held_against_the_steps_that_cover_the_sentences() {
        let own = labelled(
            "ss",
            &[
                ("The farm has 3 hens with 4 eggs each.", "Recall or Memory or Fact Retrieval"),
                ("So 3 * 4 = 13 eggs.", "Intermediate Step"),
                ("It is 3 * 4 = 12 eggs.", "Intermediate Step"),
                ("Sold for 2 each: 12 * 2 = 24.", "Verification or Consistency Check"),
                ("Let me check: 24 / 2 = 12.", "Verification or Consistency Check"),
            ],
        );
        let list = Rules::new().steps("", &Trace::new(TEXT));
        let mut tally = Tally::default();
        tally.read(&own, &list);
        // The plain fact leads up to a step: no mistake. One check was taken for progress.
        assert_eq!(tally.kinds["progress"], Found { gold: 2, found: 3, hits: 2 });
        assert_eq!(tally.kinds["verify"], Found { gold: 2, found: 1, hits: 1 });
        assert_eq!(tally.matrix["Recall or Memory or Fact Retrieval"]["before given up"], 1);
        assert_eq!(tally.matrix["Intermediate Step"].get("given up"), Some(&1));
        let f1s = (0.8 + 2.0 / 3.0) / 2.0;
        assert!((tally.macro_f1() - f1s).abs() < 1e-12, "{}", tally.macro_f1());
    }

    #[test]
    fn turning_back_is_found_at_the_step_before() {
        let own = labelled("og", &[("Wait, that's wrong.", "Backtracking"), ("Good.", "Backtracking")]);
        let list = Rules::new().steps("", &Trace::new(TEXT));
        let mut tally = Tally::default();
        tally.read(&own, &list);
        assert_eq!(tally.kinds["backtrack"], Found { gold: 2, found: 1, hits: 1 });
    }

    #[test]
    fn an_answer_seen_in_a_plan_is_a_mistake() {
        let own = labelled("ss", &[("So 3 * 4 = 13 eggs.", "Planning and Strategy")]);
        let list = Rules::new().steps("", &Trace::new(TEXT));
        let mut tally = Tally::default();
        tally.read(&own, &list);
        assert_eq!(tally.kinds["progress"], Found { gold: 0, found: 1, hits: 0 });
        assert!(tally.macro_f1().is_nan() && !tally.kinds.contains_key("backtrack"));
    }
}
