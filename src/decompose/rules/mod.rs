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

mod cues;
mod flow;
mod problem;

use std::sync::LazyLock;

use regex::Regex;
use rustc_hash::FxHashSet;
use xxhash_rust::xxh3::xxh3_64;

use self::cues::{Cue, Signals};
use self::flow::Made;
use self::problem::Problem;
use super::{Decomposer, Job};
use crate::calculation::{Calculation, Operations};
use crate::error::Result;
use crate::text::sentences::{self, Sentence};
use crate::text::{look_alikes, numbers, words};
use crate::trace::{End, Span, Step, StepKind, StepList, Trace};

/// Raised whenever the same trace may give other steps: stores and outputs that were begun with another one are not gone on
/// with.
const REVISION: u32 = 3;
/// Longest run of sentences that makes one step where nothing is computed.
const MOST_SENTENCES: usize = 4;
/// How many sentences before a calculation state its sub-problem; earlier ones are meta-reasoning.
const QUESTION_SENTENCES: usize = 2;
/// A trace computes if it has a calculation for this many bytes, or more often.
const BYTES_PER_CALCULATION: usize = 1_500;

/// How many numbers a final answer has: the last ones of its sentence.
const MOST_STATED: usize = 2;

/// How many calculations back a repetition is looked for; bounds the work on endless traces.
const LOOK_BACK: usize = 512;

/// How far before the words that give it up a step may end, in bytes.
const NEAR: u32 = 1_000;

/// Whole numbers up to this are common.
const MOST_COMMON: f64 = 12.0;

/// Longest run of lines that are joined to one equation, in bytes.
const LONGEST_EQUATION: u32 = 600;

/// Where a clause ends after a result. The number itself has been passed.
static CLAUSE_END: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[,;]\s|\n|\\\\|\s(?:and|so|then|plus then|which means)\s")
        .unwrap_or_else(|error| panic!("clause end: {error}"))
});

/// The rule engine. Owns its scratch; one per thread.
#[derive(Default)]
pub struct Rules {
    sentences: Vec<Sentence>,
    calculation: Calculation,
    done: Vec<Done>,
    /// One entry for each step.
    made: Vec<Made>,
    problem: Problem,
    /// The numbers that were named so far.
    named: FxHashSet<u64>,
    /// What was said so far, word for word.
    said: FxHashSet<u64>,
}

/// A calculation that was made, to recognise it when it comes again.
struct Done {
    result: f64,
    operands: Vec<f64>,
    step: usize,
    /// The name of what was said.
    said: u64,
}

impl Rules {
    /// A rule engine.
    pub fn new() -> Self {
        Self::default()
    }

    /// The steps of one trace of a problem, which may be empty. Never fails: a trace without sentences has no steps.
    pub fn steps(&mut self, problem: &str, trace: &Trace) -> StepList {
        let folded = look_alikes::fold(&trace.text);
        let text = folded.as_deref().unwrap_or(&trace.text);
        self.problem.fill(look_alikes::fold(problem).as_deref().unwrap_or(problem));
        self.sentences.clear();
        sentences::split(text, reasoning(text), &mut self.sentences);
        let mut sentences = std::mem::take(&mut self.sentences);
        join_equations(text, &mut sentences);
        let computed = self.cut_at_results(text, &mut sentences);
        // What is to be computed says the problem, so that no padding changes how a trace is read.
        let computes = self.problem.is_computed() && computed >= 2
            || text.len() / computed.max(1) <= BYTES_PER_CALCULATION;
        let steps = if computed > 0 && computes {
            self.by_calculation(text, &sentences)
        } else {
            self.by_paragraph(text, &sentences)
        };
        self.sentences = sentences;
        let end = if is_cut_off(text) { End::Truncated } else { End::Complete };
        StepList { text: text.to_owned(), steps, end }
    }

    /// Cuts sentences that compute several things in a row ("20*3 is 60, and 8*3 is 24") after each result.
    /// Returns how many results are computed.
    fn cut_at_results(&mut self, text: &str, sentences: &mut Vec<Sentence>) -> usize {
        let mut computed = 0;
        // Whether the sentence before sets up a calculation whose result may come next: "F = 28 / 2", "F = 14".
        let mut is_set_up = false;
        let whole = std::mem::take(sentences);
        for sentence in whole {
            let content = sentence.span.of(text);
            self.calculation.read(content);
            let results = self.calculation.stated.iter().filter(|stated| stated.computed);
            // "12 * 1 = 12" computes nothing.
            if !self.does_nothing() {
                computed += results.clone().count();
            }
            let has_signs = !self.calculation.operations.is_empty();
            let states = !self.calculation.computed && !self.calculation.stated.is_empty();
            let is_equation = content.contains('=');
            computed += usize::from(is_set_up && states && !has_signs && is_equation);
            is_set_up = has_signs && !self.calculation.computed && is_equation;
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
                    clause = clause_end(content, end);
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
        self.made.clear();
        self.named.clear();
        self.said.clear();
        let (mut stated, mut stated_at) = (Vec::new(), 0);
        // Index of the first sentence since the last step, and whether its paragraph checks something.
        let mut since = 0;
        let mut checking = false;
        let mut may_abandon = false;
        // Index of the first sentence since the final answer was last stated.
        let mut concluded = 0;
        // Likewise, since something was supposed.
        let mut supposed = 0;
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
            // What was only supposed, or said as the answer since the last step, is given up and not the step; nor is one
            // far back.
            let is_of_a_step = supposed.max(concluded) <= since && self.is_near(&steps, sentence);
            if signals.has(Cue::Abandon) && !signals.has(Cue::Confirm) && may_abandon && is_of_a_step {
                // Said twice, it still gives up one step.
                may_abandon = false;
                self.abandon_last(&mut steps);
                checking = false;
            }
            if signals.has(Cue::Abandon) && concluded > since {
                // The answer is given up.
                stated.clear();
            }
            if signals.has(Cue::Suppose) && (content.ends_with('?') || has_digits(content)) {
                supposed = index + 1;
            }
            self.calculation.read(content);
            let computes = self.calculation.computed && !self.calculation.operations.is_empty();
            if self.problem.has(content) || !computes && self.problem.is_restated_by(content) {
                // What was said before it has no answer; what is said again goes on.
                let restated = step_of(&[], &sentences[index..=index], StepKind::Restate);
                match steps.last_mut().filter(|last| last.kind == StepKind::Restate && since == index) {
                    Some(last) => last.answer = last.answer.cover(restated.answer),
                    None => {
                        steps.push(restated);
                        self.made.push(Made::default());
                    }
                }
                since = index + 1;
                continue;
            }
            let is_known = self.says_nothing_new();
            self.named.extend(self.calculation.numbers().iter().map(|number| number.value.to_bits()));
            let answer = self.read_answer(text, &sentences[since..=index]);
            if signals.has(Cue::Final) {
                stated.clear();
                // Who names many has named none.
                let numbers = self.calculation.numbers().iter().rev().take(MOST_STATED);
                stated.extend(numbers.map(|number| number.value));
                stated_at = steps.len();
            }
            if !self.calculation.computed {
                if signals.has(Cue::Final) {
                    concluded = index + 1;
                }
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
            let name = xxh3_64(content.as_bytes());
            let said = !self.said.insert(name);
            let checks = checking && !self.done.is_empty();
            let early = again.filter(|first| !checks && self.was_derived_since(*first));
            if let Some(early) = early {
                // It was named too early: now there is what it comes from.
                steps[early].kind = StepKind::Verify;
                self.done.retain(|done| done.step != early);
            }
            let kind = if checks || early.is_none() && (said || again.is_some()) {
                StepKind::Verify
            } else if is_known {
                StepKind::Restate
            } else {
                StepKind::Progress
            };
            // What the final answer says does not tell what is computed behind it, nor does a conclusion that names its number.
            let (own, lead_up) = (content, &sentences[since.max(concluded)..index]);
            let leads = |sentence: &Sentence| {
                let content = sentence.span.of(text);
                has_words(content) && !(Signals::of(content).has(Cue::Conclude) && has_digits(content))
            };
            let is_bare = !has_words(own) && !lead_up.iter().any(leads);
            let step = {
                let (before, answer) = sentences[since..=index].split_at(index + 1 - since - answer);
                step_of(if is_bare { &[] } else { before }, answer, kind)
            };
            since = index + 1;
            may_abandon |= kind == StepKind::Progress;
            if kind == StepKind::Progress {
                let operands = self.calculation.operands.clone();
                self.done.push(Done { result, operands, step: steps.len(), said: name });
            }
            let results = self.calculation.stated.iter().filter(|stated| stated.computed);
            self.made.push(Made::new(
                is_bare,
                self.calculation.numbers().iter().map(|number| number.value),
                results.map(|stated| stated.number.value),
            ));
            steps.push(step);
            if signals.has(Cue::Final) {
                stated_at = steps.len();
            }
        }
        flow::give_up(&mut steps, &self.made, &stated, stated_at);
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

    /// Whether the last progress step ends not far before a sentence.
    fn is_near(&self, steps: &[Step], sentence: &Sentence) -> bool {
        let end = self.done.last().map(|last| steps[last.step].span().end);
        end.is_some_and(|end| sentence.span.start.saturating_sub(end) <= NEAR)
    }

    /// Whether the calculation just read takes a number that was computed only since the step `first` made the same, and that
    /// nothing gave before. Small whole numbers and those of the calendar come from anywhere.
    fn was_derived_since(&self, first: usize) -> bool {
        const COMMON: [f64; 8] = [24.0, 30.0, 31.0, 52.0, 60.0, 100.0, 365.0, 1000.0];
        let recent = || self.done.iter().rev().take(LOOK_BACK);
        let comes_later = |operand: f64| {
            let is_common = operand.fract() == 0.0 && operand <= MOST_COMMON || COMMON.contains(&operand);
            let mut of = recent().filter(|done| numbers::same(done.result, operand)).map(|done| done.step);
            let has_later = of.clone().any(|step| step > first);
            !is_common && has_later && !of.any(|step| step < first) && !self.problem.gives(operand)
        };
        self.calculation.operands.iter().any(|operand| comes_later(*operand))
    }

    /// Gives up the last progress step.
    fn abandon_last(&mut self, steps: &mut [Step]) {
        if let Some(last) = self.done.pop() {
            steps[last.step].kind = StepKind::Backtrack;
            // Said again it is meant.
            self.said.remove(&last.said);
        }
    }

    /// Whether the calculation just read takes a number that was named before times one, or adds nothing to it.
    fn says_nothing_new(&self) -> bool {
        self.does_nothing()
            && self.calculation.result.is_some_and(|result| self.named.contains(&result.to_bits()))
    }

    /// Whether the calculation just read is a number times one, or plus nothing.
    fn does_nothing(&self) -> bool {
        let is = |all: Operations| self.calculation.operations.is_within(all);
        match self.calculation.operands[..] {
            [1.0] => is(Operations::MULTIPLY | Operations::DIVIDE),
            [0.0] => is(Operations::ADD | Operations::SUBTRACT),
            _ => false,
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

    /// Steps of a trace that computes little: paragraphs, long ones cut at deductions.
    fn by_paragraph(&mut self, text: &str, sentences: &[Sentence]) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        // The last progress step, unless it was given up.
        let mut progress: Option<usize> = None;
        self.said.clear();
        // Numbers alone say nothing here.
        let sentences: Vec<Sentence> =
            sentences.iter().filter(|sentence| words_in(sentence.span.of(text)) > 0).copied().collect();
        for paragraph in sentences.chunk_by(|a, b| a.paragraph == b.paragraph) {
            let mut checking = false;
            let mut from = 0;
            for (index, sentence) in paragraph.iter().enumerate() {
                let signals = Signals::of(sentence.span.of(text));
                if signals.has(Cue::Abandon) && !signals.has(Cue::Confirm) {
                    if let Some(last) = progress.take() {
                        steps[last].kind = StepKind::Backtrack;
                        let given_up = steps[last].span().of(text);
                        self.said.remove(&xxh3_64(given_up.as_bytes()));
                    }
                    checking = false;
                }
                checking |= signals.has(Cue::Verify);
                let held = index + 1 - from;
                let last = index + 1 == paragraph.len();
                let deduced = held > 1 && signals.has(Cue::Conclude);
                if last || deduced || held == MOST_SENTENCES {
                    let whole = cover(&paragraph[from..=index], 0);
                    let mut run = paragraph[from..=index].iter();
                    let kind = if run.all(|sentence| self.problem.says(sentence.span.of(text))) {
                        StepKind::Restate
                    } else if !self.said.insert(xxh3_64(whole.of(text).as_bytes())) || checking {
                        StepKind::Verify
                    } else {
                        StepKind::Progress
                    };
                    // Nor is a question that nothing answers a step.
                    let asks = sentence.span.of(text).ends_with('?');
                    let alone = asks || held == 1 && signals.has(Cue::Final);
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
}

/// Joins lines that begin with "=" to what they go on with.
fn join_equations(text: &str, sentences: &mut Vec<Sentence>) {
    sentences.dedup_by(|next, sentence| {
        let content = next.span.of(text).trim_start_matches(['&', '\\', '(', '[', '$', ' ']);
        let goes_on = content.starts_with(['=', '≈']) && next.paragraph == sentence.paragraph;
        let joined = sentence.span.cover(next.span);
        let joins = goes_on && joined.end - joined.start <= LONGEST_EQUATION;
        if joins {
            sentence.span = joined;
        }
        joins
    });
}

fn has_digits(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_digit())
}

/// The next end of a clause from `from` on. A space in LaTeX (`\,`) is none.
fn clause_end(text: &str, from: usize) -> Option<regex::Match<'_>> {
    let mut at = from;
    loop {
        let found = CLAUSE_END.find_at(text, at)?;
        if !(found.as_str().starts_with([',', ';']) && text[..found.start()].ends_with('\\')) {
            return Some(found);
        }
        at = found.end();
    }
}

/// A limit of tokens cuts texts that are longer; short ones may do without a full stop.
const SHORTEST_CUT: usize = 1_000;

/// Whether a text stops before its end: in its thinking, or in the middle of a sentence.
fn is_cut_off(text: &str) -> bool {
    let end = text.trim_end();
    let ends_well =
        |last: char| last.is_ascii_digit() || last.is_ascii_punctuation() && !",(-[{+=".contains(last);
    text.contains("<think>") && !text.contains("</think>")
        || text.len() >= SHORTEST_CUT
            && !end.ends_with(ends_well)
            && end.ends_with(|last: char| last.is_ascii())
}

/// Whether a text says something beside its numbers, signs, names and units: two words or more.
fn has_words(text: &str) -> bool {
    words_in(text) >= 2
}

/// How many words of two letters or more a text has.
fn words_in(text: &str) -> usize {
    let mut found = 0;
    words::each_word(text, &mut String::new(), |word| found += usize::from(word.len() > 1));
    found
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

/// A step without a calculation: a planning sentence is the meta-reasoning, the last one the answer.
fn text_step(text: &str, sentences: &[Sentence], kind: StepKind) -> Step {
    let (before, answer) = sentences.split_at(sentences.len().saturating_sub(1));
    let plans = before.first().is_some_and(|first| Signals::of(first.span.of(text)).has(Cue::Plan));
    let (meta, sub_problem) = before.split_at(usize::from(plans && before.len() > 1));
    parts(meta, sub_problem, answer, kind)
}

impl Decomposer for Rules {
    fn id(&self) -> String {
        // Whatever shapes the steps belongs here: the revision stands for the code, the hash for the cue table.
        let cues = xxh3_64(include_bytes!("cues.tsv"));
        format!("rules-{REVISION}-{cues:016x}")
    }

    fn decompose(&mut self, jobs: &[Job<'_>]) -> Vec<Result<StepList>> {
        jobs.iter().map(|job| Ok(self.steps(job.problem, job.trace))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(text: &str) -> Vec<(StepKind, String)> {
        let list = Rules::new().steps("", &Trace::new(text));
        list.steps.iter().map(|s| (s.kind, s.answer.of(&list.text).to_owned())).collect()
    }

    #[test]
    fn the_cue_table_reads() {
        assert!(cues::CUES.classes.len() > 80);
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
    fn fractions_are_results() {
        let found = steps(
            "They ate 1/4 + 3/8 = \\frac{5}{8} of one cake.\nSo they ate 1/4 + 3/8 = \\frac{5}{8}.\n\
             What is left is $1 - \\frac{5}{8} = \\frac{3}{8}$. Two cakes weigh 2 * 3 = 6.",
        );
        let answers: Vec<&str> = found.iter().map(|(_, answer)| answer.as_str()).collect();
        assert_eq!(
            answers,
            [
                "So they ate 1/4 + 3/8 = \\frac{5}{8}.",
                "What is left is $1 - \\frac{5}{8} = \\frac{3}{8}$.",
                "Two cakes weigh 2 * 3 = 6."
            ]
        );
        assert!(found.iter().all(|(kind, _)| *kind == StepKind::Progress), "{found:?}");
        // Without words, a result has to be used: here as a 3 and a 4.
        let bare = steps("1/4 + 1/2 = 3/4\n3/4 * 12 = 9\n9 + 1 = 10");
        assert_eq!(bare.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [StepKind::Progress; 3]);
    }

    #[test]
    fn a_calculation_may_go_over_two_lines() {
        let found = steps("F = 28 / 2\nF = 14\nTwice that: 2 * 14 = 28.");
        assert_eq!(found[0], (StepKind::Progress, "F = 28 / 2\nF = 14".into()));
    }

    fn kinds(problem: &str, text: &str) -> Vec<(StepKind, String)> {
        let list = Rules::new().steps(problem, &Trace::new(text));
        list.steps.iter().map(|s| (s.kind, s.answer.of(&list.text).to_owned())).collect()
    }

    /// However it is laid out: what makes a trace one that computes does not hang on a sum that is appended.
    #[test]
    fn equations_go_over_lines() {
        let problem =
            "A farm has 200 sheep, five times the number of goats, and four times as many hens as goats.";
        let text = "Let g be the goats.\ng = 200 / 5\ng = 40\nLet h be the hens.\nh = 4 * 40\nh = 160";
        let own = [
            (StepKind::Progress, "g = 200 / 5\ng = 40".to_owned()),
            (StepKind::Progress, "h = 4 * 40\nh = 160".to_owned()),
        ];
        assert_eq!(kinds(problem, text), own);
        assert_eq!(kinds(problem, &format!("{text}\n7 + 9 = 16."))[..2], own);
        let people = "The number of people = 200 × 3 + 7 × 3\n= 600 + 21\n= 621";
        assert_eq!(steps(people), [(StepKind::Progress, people.to_owned())]);
        assert_eq!(steps("x = 2(7.5)\nx = 15"), [(StepKind::Progress, "x = 2(7.5)\nx = 15".to_owned())]);
        assert_eq!(steps("The nest takes 4 eggs 2 times, equaling 8 eggs.").len(), 1);
    }

    /// A mention of the answer ends nothing that goes on from it, nor does an answer that is given up.
    #[test]
    fn a_path_goes_on_from_what_was_called_the_answer() {
        for early in ["The answer is 144. Wait, that's wrong.", "144 is the number behind the final answer."]
        {
            let text = format!(
                "Six rows of 24 are 24 * 6 = 144 rolls. {early} After the sale 144 - 20 = 124 are left. So 124 / 4 = 31 bags."
            );
            let found: Vec<StepKind> = steps(&text).into_iter().map(|(kind, _)| kind).collect();
            assert_eq!(found, [StepKind::Progress; 3], "{early}");
        }
    }

    /// An answer from nowhere makes no path of a list of sums; one that is made of two of them does of these.
    #[test]
    fn an_answer_without_its_calculation_is_made_of_results() {
        let sums = "2 * 3 = 6.\n3 * 5 = 15.\n2 * 7 = 14.\n7 * 9 = 63.\n";
        let left = |end: &str| {
            let found = steps(&format!("{sums}{end}"));
            found
                .into_iter()
                .filter(|(kind, _)| *kind == StepKind::Progress)
                .map(|(_, text)| text)
                .collect::<Vec<_>>()
        };
        assert_eq!(left("The answer is 77777."), ["7 * 9 = 63."]);
        assert_eq!(left("The answer is 69."), ["2 * 3 = 6.", "7 * 9 = 63."]);
    }

    /// What was only supposed, or stated as the answer, is given up, and not the step before it.
    #[test]
    fn a_doubt_gives_up_what_it_is_about() {
        let given_up =
            |text: &str| steps(text).iter().filter(|(kind, _)| *kind == StepKind::Backtrack).count();
        let made = "The bags hold 4 * 6 = 24 apples. Then 24 - 5 = 19 are left.\n\n";
        for (doubt, expected) in [
            ("That's wrong.", 1),
            ("Wait, that's not what it says.", 1),
            ("Wait, that might be all.", 0),
            (
                "Alternatively, maybe she gives 5 bags away? But that doesn't make sense, since she has 4 bags.",
                0,
            ),
            ("Perhaps I made a mistake in the bags.", 0),
            ("Maybe I should check that. That's wrong.", 1),
            ("Maybe, but that's wrong.", 1),
            ("**Final Answer:** 18\n\nWait, that doesn't seem right. It is 19.", 0),
        ] {
            assert_eq!(given_up(&format!("{made}{doubt}")), expected, "{doubt}");
        }
        let far = "The bags are red and green and blue, and she likes them all. ".repeat(20);
        assert_eq!(given_up(&format!("{made}{far}That's wrong.")), 0);
    }

    /// A number that was named before it was computed: the telling that computes it first counts.
    #[test]
    fn what_comes_from_nowhere_is_told_again() {
        let problem = "A fridge of $320 and a lamp of $32 at $8 an hour.";
        let text = "All of it is clear. Then $352 / $8 = 44 hours.\n\nCost: $320 + $32 = $352.\n\nHours: $352 / $8 = 44.";
        let found: Vec<StepKind> = kinds(problem, text).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(found, [StepKind::Verify, StepKind::Progress, StepKind::Progress]);
        // Of what the problem gives, the first counts.
        let twice = "It is $320 + $32 = $352.\n\nThen $352 / $8 = 44.\n\nSo $320 + $32 = $352.";
        let found: Vec<StepKind> = kinds(problem, twice).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(found, [StepKind::Progress, StepKind::Progress, StepKind::Verify]);
        // Days of a week come from anywhere, though something else is 7, too.
        let week = "A week has 7 * 6 = 42 hours. Then 3 + 4 = 7 tips, and 7 * 10 = 70 dollars.\n\nIn total 7 * 6 = 42 hours are worked.";
        let found: Vec<StepKind> =
            kinds("She gets 3 tips, 4 more, for 6 hours.", week).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(found, [StepKind::Progress, StepKind::Progress, StepKind::Progress, StepKind::Verify]);
    }

    /// A sum behind a conclusion has no question, and one behind the answer leads to nothing.
    #[test]
    fn a_conclusion_is_no_question() {
        for text in [
            "He has 42 - 7 = 35 for popcorn.\nThe answer is 6.\n7 + 7 = 14.\n7 * 7 = 49.",
            "He has 42 - 7 = 35 for popcorn.\nSo, Peter can go 6 times this week.\n7 + 7 = 14.\n5 * 9 = 45.",
        ] {
            let found = steps(text);
            assert!(found.contains(&(StepKind::Backtrack, "7 + 7 = 14.".into())), "{found:?}");
        }
    }

    /// A sum behind the answer that was computed is no progress, in whatever words.
    #[test]
    fn what_comes_behind_the_answer_is_a_check() {
        let made = "Six boxes hold 6 * 7 = 42 eggs. The answer is 42.";
        let kinds = |text: &str| steps(text).into_iter().map(|(kind, _)| kind).collect::<Vec<_>>();
        let more = "The boxes and the eggs make 6 + 7 = 13 things.";
        assert_eq!(kinds(&format!("{made} {more}")), [StepKind::Progress, StepKind::Verify]);
        // An answer that nothing arrived at ends nothing, nor does one before the last.
        assert_eq!(kinds(&format!("The answer is 42. {more}")), [StepKind::Progress]);
        assert_eq!(kinds(&format!("{made} {more} So the answer is 13.")), [StepKind::Progress; 2]);
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
            "= \\frac{1}{2} ",
            "so 1/2 + 1/4 = 3/4, ",
            "= \\sqrt{2",
            "= 2^{",
            "= 1 1/",
            "wait ",
            "Let me check, that's wrong.\n\n",
            "= 2 + 3\n",
            "x = 2 + 3\nx = 5\n",
            "Maybe 2 + 3 = 5? ",
        ] {
            let text = unit.repeat(400_000 / unit.len());
            let list = Rules::new().steps("", &Trace::new(text));
            assert!(list.steps.len() <= 400_000, "{unit:?}");
        }
        let late = "1+1=2 ".repeat(50_000) + ", so 3+4=7";
        assert!(!Rules::new().steps("", &Trace::new(late)).steps.is_empty());
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
