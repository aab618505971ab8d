//! Steps of a raw reasoning trace, by rules.
//!
//! The trace is cut into sentences. Where it computes (most mathematics), a step ends with a sentence that states
//! the result of a calculation; what led up to it since the last step is its sub-problem and meta-reasoning.
//! Where it does not (puzzles, science, code), a step is a paragraph, or a run of sentences up to a deduction.
//!
//! Discourse cues (`cues.tsv`, one automaton) tell checking from progress and find what was abandoned:
//! - a sentence that begins to check ("Let me verify") makes what follows in its paragraph [`StepKind::Verify`];
//! - a calculation that was done before is a check too, wherever it stands;
//! - a sentence that gives something up ("that can't be right") makes the step before it [`StepKind::Backtrack`].
//!
//! Steps that are not progress stay in the list with their kind; the kernel does not align them.
//! Final-answer statements are no steps: the answer is what the `accuracy` reward looks at.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use regex::Regex;

use super::{Decomposer, Job};
use crate::error::Result;
use crate::text::calculation::Calculation;
use crate::text::numbers;
use crate::text::sentences::{self, Sentence};
use crate::trace::{End, Span, Step, StepKind, StepList, Trace};

/// Longest run of sentences that makes one step where nothing is computed.
const MOST_SENTENCES: usize = 4;
/// How many sentences before a calculation state its sub-problem; earlier ones are meta-reasoning.
const QUESTION_SENTENCES: usize = 2;
/// A trace computes if it has a calculation for this many bytes, or more often.
const BYTES_PER_CALCULATION: usize = 1_500;

/// How many calculations back a repetition is looked for; bounds the work on endless traces.
const LOOK_BACK: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cue {
    Plan,
    Conclude,
    Verify,
    Abandon,
    Confirm,
    Resume,
    Final,
}

struct Cues {
    automaton: AhoCorasick,
    /// Per pattern: its class, and whether it counts only at the start of a sentence.
    classes: Vec<(Cue, bool)>,
}

static CUES: LazyLock<Cues> = LazyLock::new(|| read_cues(include_str!("cues.tsv")));

/// The cue table is part of the program: a mistake in it is a bug of ours, found by every test.
fn read_cues(table: &str) -> Cues {
    let mut phrases = Vec::new();
    let mut classes = Vec::new();
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with("# ") && *line != "#") {
        let (class, phrase) = line.split_once('\t').unwrap_or_else(|| panic!("cues.tsv: no tab in {line:?}"));
        let cue = match class {
            "plan" => Cue::Plan,
            "conclude" => Cue::Conclude,
            "verify" => Cue::Verify,
            "abandon" => Cue::Abandon,
            "confirm" => Cue::Confirm,
            "resume" => Cue::Resume,
            "final" => Cue::Final,
            other => panic!("cues.tsv: unknown class {other:?}"),
        };
        let at_start = phrase.starts_with('^');
        phrases.push(phrase.trim_start_matches('^'));
        classes.push((cue, at_start));
    }
    let automaton = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::Standard)
        .build(&phrases)
        .unwrap_or_else(|error| panic!("cues.tsv: {error}"));
    Cues { automaton, classes }
}

/// What the cues of one sentence say.
#[derive(Clone, Copy, Debug, Default)]
struct Signals(u8);

impl Signals {
    fn of(sentence: &str) -> Self {
        let bytes = sentence.as_bytes();
        // Leading marks and interjections do not hide a cue: "- **Wait, no" and "Hmm, so" begin with one too.
        let body = LEAD_IN.find(sentence).map_or(0, |m| m.end());
        let first = bytes.iter().position(u8::is_ascii_alphanumeric).unwrap_or(bytes.len());
        let mut signals = 0;
        for found in CUES.automaton.find_overlapping_iter(sentence) {
            let (cue, at_start) = CUES.classes[found.pattern().as_usize()];
            let (start, end) = (found.start(), found.end());
            let word = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
            let glued = start > 0 && word(start - 1) && word(start);
            let whole = !glued && !word(end);
            let placed = !at_start || start == body || start <= first;
            if whole && placed {
                signals |= 1 << cue as u8;
            }
        }
        Signals(signals)
    }

    fn has(self, cue: Cue) -> bool {
        self.0 & (1 << cue as u8) != 0
    }
}

/// Where a clause ends after a result. The number itself has been passed.
static CLAUSE_END: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[,;]\s|\n|\\\\|\s(?:and|so|then|plus then|which means)\s")
        .unwrap_or_else(|error| panic!("clause end: {error}"))
});

static LEAD_IN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^[\s\-*#>\d.()]*(?:(?:okay|ok|well|hmm+|alright|but|and|oh|yeah|yes),?\s+)*")
        .unwrap_or_else(|error| panic!("lead-in: {error}"))
});

/// The rule engine. Owns its scratch; one per thread.
#[derive(Default)]
pub struct Rules {
    sentences: Vec<Sentence>,
    calculation: Calculation,
    done: Vec<Done>,
}

/// A calculation that was made, to recognise it when it comes again.
struct Done {
    result: f64,
    operands: Vec<f64>,
    step: usize,
}

impl Rules {
    /// A rule engine.
    pub fn new() -> Self {
        Self::default()
    }

    /// The steps of one trace. Never fails: a trace without sentences has no steps.
    pub fn steps(&mut self, trace: &Trace) -> StepList {
        let text = trace.text.as_str();
        self.sentences.clear();
        sentences::split(text, reasoning(text), &mut self.sentences);
        let mut sentences = std::mem::take(&mut self.sentences);
        let computed = self.cut_at_results(text, &mut sentences);
        let steps = if computed > 0 && text.len() / computed <= BYTES_PER_CALCULATION {
            self.by_calculation(text, &sentences)
        } else {
            by_paragraph(text, &sentences)
        };
        self.sentences = sentences;
        let cut_off = text.contains("<think>") && !text.contains("</think>");
        let end = if cut_off { End::Truncated } else { End::Complete };
        StepList { text: text.to_owned(), steps, end }
    }

    /// Cuts sentences that compute several things in a row ("20*3 is 60, and 8*3 is 24") after each result.
    /// Returns how many results are computed.
    fn cut_at_results(&mut self, text: &str, sentences: &mut Vec<Sentence>) -> usize {
        let mut computed = 0;
        let whole = std::mem::take(sentences);
        for sentence in whole {
            let content = sentence.span.of(text);
            self.calculation.read(content);
            let results = self.calculation.stated.iter().filter(|stated| stated.computed);
            computed += results.clone().count();
            let ends = results.map(|stated| stated.number.span.end as usize);
            let mut rest = sentence.span;
            let mut push = |span: Span| {
                let span = span.trim(text);
                if !span.is_empty() {
                    sentences.push(Sentence { span, ..sentence });
                }
            };
            let mut ends = ends.peekable();
            let mut clause: Option<regex::Match<'_>> = None;
            while let (Some(end), true) = (ends.next(), ends.peek().is_some()) {
                if clause.is_none_or(|found| found.start() < end) {
                    clause = CLAUSE_END.find_at(content, end);
                }
                let Some(found) = clause else { break };
                if ends.peek().is_some_and(|next| found.start() >= *next) {
                    continue;
                }
                // A comma stays with what it ends.
                let comma = usize::from(found.as_str().starts_with([',', ';']));
                let at = sentence.span.start as usize + found.start() + comma;
                push(Span::new(rest.start as usize, at));
                rest = Span::new(at, rest.end as usize);
            }
            push(rest);
        }
        computed
    }

    fn by_calculation(&mut self, text: &str, sentences: &[Sentence]) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        self.done.clear();
        // Index of the first sentence since the last step, and whether its paragraph checks something.
        let mut since = 0;
        let mut checking = false;
        let mut may_abandon = false;
        let mut paragraph = 0;
        for (index, sentence) in sentences.iter().enumerate() {
            let content = sentence.span.of(text);
            let signals = Signals::of(content);
            if sentence.paragraph != paragraph {
                paragraph = sentence.paragraph;
                checking = false;
            }
            if signals.has(Cue::Verify) {
                checking = true;
            } else if signals.has(Cue::Resume) {
                checking = false;
            }
            if signals.has(Cue::Abandon) && !signals.has(Cue::Confirm) && may_abandon {
                // Said twice, it still gives up one step.
                may_abandon = false;
                self.abandon_last(&mut steps);
                checking = false;
            }
            let answer = self.read_answer(text, &sentences[since..=index]);
            if !self.calculation.computed {
                continue;
            }
            let Some(result) = self.calculation.result else { continue };
            let again = self.repeats(result);
            if again.is_some() && signals.has(Cue::Final) {
                // The final answer, said once more.
                since = index + 1;
                continue;
            }
            // Before anything was computed there is nothing to check.
            let kind = if (checking && !self.done.is_empty()) || again.is_some() {
                StepKind::Verify
            } else {
                StepKind::Progress
            };
            let step = {
                let (before, answer) = sentences[since..=index].split_at(index + 1 - since - answer);
                step_of(before, answer, kind)
            };
            since = index + 1;
            may_abandon |= kind == StepKind::Progress;
            if kind == StepKind::Progress {
                let operands = self.calculation.operands.clone();
                self.done.push(Done { result, operands, step: steps.len() });
            }
            steps.push(step);
        }
        steps
    }

    /// Reads the last of the sentences since the last step as a calculation, together with the one before it if that
    /// sets up what this one states ("F = 28 / 2", "F = 14"). Returns how many sentences were read.
    fn read_answer(&mut self, text: &str, sentences: &[Sentence]) -> usize {
        let Some((last, before)) = sentences.split_last() else { return 0 };
        self.calculation.read(last.span.of(text));
        let states = !self.calculation.computed && !self.calculation.stated.is_empty();
        if let (true, true, Some(set_up)) = (states, self.calculation.operations.is_empty(), before.last()) {
            self.calculation.read(set_up.span.of(text));
            if !self.calculation.operations.is_empty() {
                self.calculation.read(set_up.span.cover(last.span).of(text));
                return 2;
            }
            self.calculation.read(last.span.of(text));
        }
        1
    }

    /// Gives up the last progress step.
    fn abandon_last(&mut self, steps: &mut [Step]) {
        if let Some(last) = self.done.pop() {
            steps[last.step].kind = StepKind::Backtrack;
        }
    }

    /// The earlier step that made the calculation just read: the same result from shared operands.
    fn repeats(&self, result: f64) -> Option<usize> {
        let operands = &self.calculation.operands;
        self.done
            .iter()
            .rev()
            .take(LOOK_BACK)
            .find(|done| numbers::same(done.result, result) && numbers::meet(operands, &done.operands))
            .map(|done| done.step)
    }
}

/// What is read: the whole trace without the marks of thinking. Many a model plans before `</think>` and computes
/// after it; what it only says again is recognised as such.
fn reasoning(text: &str) -> Span {
    let open = text.len() - text.trim_start().len();
    let start = if text[open..].starts_with("<think>") { open + "<think>".len() } else { 0 };
    Span::new(start, text.len())
}

/// One step: the sentences since the last one, and those of them that hold the answer.
fn step_of(before: &[Sentence], answer: &[Sentence], kind: StepKind) -> Step {
    // The sub-problem stands in the sentences just before.
    let (meta, sub_problem) = before.split_at(before.len().saturating_sub(QUESTION_SENTENCES));
    parts(meta, sub_problem, answer, kind)
}

/// A step of three runs of sentences; an absent one has its place where the next one begins.
fn parts(meta: &[Sentence], sub_problem: &[Sentence], answer: &[Sentence], kind: StepKind) -> Step {
    let answer = cover(answer, 0);
    let sub_problem = cover(sub_problem, answer.start);
    Step { meta: cover(meta, sub_problem.start), sub_problem, answer, kind }
}

fn cover(sentences: &[Sentence], otherwise: u32) -> Span {
    match (sentences.first(), sentences.last()) {
        (Some(first), Some(last)) => first.span.cover(last.span),
        _ => Span { start: otherwise, end: otherwise },
    }
}

/// Steps of a trace that computes little: paragraphs, long ones cut at deductions.
fn by_paragraph(text: &str, sentences: &[Sentence]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    // The last progress step, unless it was given up.
    let mut progress: Option<usize> = None;
    for paragraph in sentences.chunk_by(|a, b| a.paragraph == b.paragraph) {
        let mut checking = false;
        let mut from = 0;
        for (index, sentence) in paragraph.iter().enumerate() {
            let signals = Signals::of(sentence.span.of(text));
            if signals.has(Cue::Abandon) && !signals.has(Cue::Confirm) {
                if let Some(last) = progress.take() {
                    steps[last].kind = StepKind::Backtrack;
                }
                checking = false;
            }
            checking |= signals.has(Cue::Verify);
            let held = index + 1 - from;
            let last = index + 1 == paragraph.len();
            let deduced = held > 1 && signals.has(Cue::Conclude);
            if last || deduced || held == MOST_SENTENCES {
                let kind = if checking { StepKind::Verify } else { StepKind::Progress };
                let alone = held == 1 && signals.has(Cue::Final);
                if !alone {
                    if kind == StepKind::Progress {
                        progress = Some(steps.len());
                    }
                    steps.push(text_step(text, &paragraph[from..=index], kind));
                }
                from = index + 1;
            }
        }
    }
    steps
}

/// A step without a calculation: a planning sentence is the meta-reasoning, the last one the answer.
fn text_step(text: &str, sentences: &[Sentence], kind: StepKind) -> Step {
    let (before, answer) = sentences.split_at(sentences.len().saturating_sub(1));
    let plans = before.first().is_some_and(|first| Signals::of(first.span.of(text)).has(Cue::Plan));
    let (meta, sub_problem) = before.split_at(usize::from(plans && before.len() > 1));
    parts(meta, sub_problem, answer, kind)
}

impl Decomposer for Rules {
    fn id(&self) -> String {
        // Whatever shapes the steps belongs here: the version stands for the code, the hash for the cue table.
        let cues = xxhash_rust::xxh3::xxh3_64(include_bytes!("cues.tsv"));
        format!("rules-{}-{cues:016x}", env!("CARGO_PKG_VERSION"))
    }

    fn decompose(&mut self, jobs: &[Job<'_>]) -> Vec<Result<StepList>> {
        jobs.iter().map(|job| Ok(self.steps(job.trace))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(text: &str) -> Vec<(StepKind, String)> {
        let list = Rules::new().steps(&Trace::new(text));
        list.steps.iter().map(|s| (s.kind, s.answer.of(&list.text).to_owned())).collect()
    }

    #[test]
    fn the_cue_table_reads() {
        assert!(CUES.classes.len() > 80);
    }

    #[test]
    fn calculations_are_steps_and_checks_are_not_progress() {
        let text = "<think>\nFirst, I need the eggs of a week. There are 7 days, so 3 * 7 = 21 eggs.\n\n\
                    Next, four weeks: 4 * 21 = 84 eggs.\n\n\
                    Let me check that: 84 / 4 = 21. Right.\n</think>\n\\boxed{84}";
        let found = steps(text);
        assert_eq!(
            found,
            [
                (StepKind::Progress, "There are 7 days, so 3 * 7 = 21 eggs.".into()),
                (StepKind::Progress, "Next, four weeks: 4 * 21 = 84 eggs.".into()),
                (StepKind::Verify, "Let me check that: 84 / 4 = 21.".into()),
            ]
        );
    }

    #[test]
    fn what_is_given_up_is_marked() {
        let found = steps(
            "He has 5 + 3 = 9 apples. Wait, that's wrong. So 5 + 3 = 8 apples. Twice that: 8 * 2 = 16.",
        );
        let kinds: Vec<StepKind> = found.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [StepKind::Backtrack, StepKind::Progress, StepKind::Progress]);
    }

    #[test]
    fn a_calculation_may_go_over_two_lines() {
        let found = steps("F = 28 / 2\nF = 14\nTwice that: 2 * 14 = 28.");
        assert_eq!(found[0], (StepKind::Progress, "F = 28 / 2\nF = 14".into()));
    }

    #[test]
    fn long_and_odd_traces_take_no_more_than_linear_work() {
        // Each of these took minutes with a quadratic reader.
        for unit in [
            "1. ",
            "....",
            "1 + 1 = 2, ",
            "= 1 ",
            "? ",
            "(",
            "a",
            "1+1=2\n",
            "\\[ ",
            "Wait, no. 2*3=6. ",
            "=1\\text{",
            "wait ",
            "Let me check, that's wrong.\n\n",
        ] {
            let text = unit.repeat(400_000 / unit.len());
            let list = Rules::new().steps(&Trace::new(text));
            assert!(list.steps.len() <= 400_000, "{unit:?}");
        }
        let late = "1+1=2 ".repeat(50_000) + ", so 3+4=7";
        assert!(!Rules::new().steps(&Trace::new(late)).steps.is_empty());
    }

    #[test]
    fn prose_without_numbers_falls_into_paragraphs() {
        let found = steps(
            "Let's consider the doors. The left one is locked. So the way out is on the right.\n\n\
             The guard lies on Mondays. Today is Monday. Therefore his word is false.",
        );
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].1, "So the way out is on the right.");
    }
}
