//! The data that everything else passes around: samples, traces, steps. Data only.

use serde::{Deserialize, Serialize};

/// What a problem is about. Chooses prompts and rule sets; unknown domains are [`Domain::Other`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Domain {
    /// Mathematics.
    Math,
    /// Programming.
    Code,
    /// Natural science.
    Science,
    /// Logic puzzles.
    Puzzle,
    /// Anything else, or not stated.
    #[default]
    Other,
}

impl Domain {
    /// Reads a domain name as data sets spell it (`math`, `Mathematics`, `coding`, `biology`, …).
    pub fn from_name(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "math" | "maths" | "mathematics" => Domain::Math,
            "code" | "coding" | "programming" => Domain::Code,
            "science" | "biology" | "physics" | "chemistry" => Domain::Science,
            "puzzle" | "puzzles" | "logic" => Domain::Puzzle,
            _ => Domain::Other,
        }
    }
}

/// One problem with its teacher traces and the student traces to score.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Unique within a run.
    pub id: String,
    /// What it is about.
    pub domain: Domain,
    /// The problem statement.
    pub problem: String,
    /// One or more reasoning paths of the teacher.
    pub teachers: Vec<Trace>,
    /// The paths to score, in input order.
    pub students: Vec<Trace>,
    /// The gold answer, if known.
    pub answer: Option<String>,
}

/// One reasoning path: a whole completion as its model wrote it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// Who wrote it (a model name), if known.
    pub origin: Option<String>,
    /// The whole text: raw reasoning with or without `<think>`, or tagged steps.
    pub text: String,
}

impl Trace {
    /// A trace of unknown origin.
    pub fn new(text: impl Into<String>) -> Self {
        Trace { origin: None, text: text.into() }
    }

    /// The reasoning path: what stands before the first `</think>`, without a leading
    /// `<think>`; the whole text if there is no `</think>`; what follows it if nothing stands before.
    pub fn path(&self) -> Span {
        let text = self.text.as_str();
        let open = text.len() - text.trim_start().len();
        let start = if text[open..].starts_with("<think>") { open + "<think>".len() } else { 0 };
        match text[start..].find("</think>") {
            Some(at) if !text[start..start + at].trim().is_empty() => Span::new(start, start + at),
            Some(at) => Span::new(start + at + "</think>".len(), text.len()),
            None => Span::new(start, text.len()),
        }
    }

    /// What is said after the reasoning: the text after the first `</think>`, or the whole text if there is none.
    pub fn conclusion(&self) -> &str {
        match self.text.find("</think>") {
            Some(at) => &self.text[at + "</think>".len()..],
            None => &self.text,
        }
    }
}

/// A range of bytes in a text, on character boundaries. Empty means "not there".
/// Serialised as `[start, end]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "(u32, u32)", into = "(u32, u32)")]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The range `start..end`. Texts are at most 4 GiB.
    pub fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end && end <= u32::MAX as usize);
        Span { start: start as u32, end: end as u32 }
    }

    /// An absent part; it keeps a position so that spans stay ordered.
    pub fn empty_at(at: usize) -> Self {
        Self::new(at, at)
    }

    /// Whether the part is absent.
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// Number of bytes.
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    /// The text it covers; empty if it does not lie in `text` on character boundaries.
    pub fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize).unwrap_or("")
    }

    /// The smallest span that covers both; an empty one adds nothing.
    #[must_use]
    pub fn cover(self, other: Span) -> Span {
        match (self.is_empty(), other.is_empty()) {
            (true, _) => other,
            (_, true) => self,
            _ => Span { start: self.start.min(other.start), end: self.end.max(other.end) },
        }
    }

    /// The span without white space at its ends.
    #[must_use]
    pub fn trim(self, text: &str) -> Span {
        let inner = self.of(text);
        let start = self.start as usize + (inner.len() - inner.trim_start().len());
        Span::new(start, start + inner.trim().len())
    }
}

impl From<(u32, u32)> for Span {
    fn from((start, end): (u32, u32)) -> Self {
        Span { start, end }
    }
}

impl From<Span> for (u32, u32) {
    fn from(span: Span) -> Self {
        (span.start, span.end)
    }
}

/// What a step does for the path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// Moves towards the answer. Only these are aligned.
    #[default]
    Progress,
    /// Checks something that was done.
    Verify,
    /// Was abandoned: a branch that the writer left ("Wait, that is wrong"), or that leads nowhere.
    Backtrack,
    /// Says only what is known: the problem once more, or a result without anything new.
    Restate,
}

/// One step of reasoning; its parts are spans into the [`StepList`]'s text, empty where absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Why this sub-problem now.
    #[serde(rename = "meta_reasoning")]
    pub meta: Span,
    /// What is asked.
    pub sub_problem: Span,
    /// How it is solved and what comes out.
    pub answer: Span,
    /// What the step does for the path.
    #[serde(default)]
    pub kind: StepKind,
}

impl Step {
    /// The span of the whole step.
    pub fn span(&self) -> Span {
        self.meta.cover(self.sub_problem).cover(self.answer)
    }
}

/// How a step list ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It was read to its end.
    #[default]
    Complete,
    /// The text stops in the middle of a step.
    Truncated,
    /// What stands at this byte could not be read; the steps before it are kept.
    Malformed {
        /// Byte offset into the text.
        at: u32,
    },
}

/// The steps of one trace, with the text that their spans point into.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepList {
    /// What the spans point into: the trace's own text, or what a model wrote about it.
    pub text: String,
    /// The steps in order; spans do not overlap and ascend.
    pub steps: Vec<Step>,
    /// How it ended.
    #[serde(default)]
    pub end: End,
}

impl StepList {
    /// The indices of the steps that move towards the answer.
    pub fn progress(&self) -> impl Iterator<Item = usize> + '_ {
        self.steps.iter().enumerate().filter(|(_, s)| s.kind == StepKind::Progress).map(|(i, _)| i)
    }
}

/// Why a reward could not be given. A skip is never 0: it leaves the baseline, is counted and is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Why(pub String);

/// What a reward says of one student trace.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A finite value.
    Scored(f64),
    /// No value, and why.
    Skipped(Why),
}

impl Outcome {
    /// A skip with its reason.
    pub fn skipped(why: impl Into<String>) -> Self {
        Outcome::Skipped(Why(why.into()))
    }

    /// The value, if there is one.
    pub fn value(&self) -> Option<f64> {
        match self {
            Outcome::Scored(value) => Some(*value),
            Outcome::Skipped(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_what_stands_before_the_end_of_thinking() {
        for (text, path, conclusion) in [
            ("<think>\na\n</think>\nb", "\na\n", "\nb"),
            ("a</think>b", "a", "b"),
            ("a", "a", "a"),
            ("<think>a", "a", "<think>a"),
            ("<think></think>b", "b", "b"),
            (" <think> \n</think>b</think>c", "b</think>c", "b</think>c"),
            ("", "", ""),
        ] {
            let trace = Trace::new(text);
            assert_eq!(trace.path().of(text), path, "{text:?}");
            assert_eq!(trace.conclusion(), conclusion, "{text:?}");
        }
    }

    #[test]
    fn spans_trim_and_cover() {
        let text = "  a b ";
        assert_eq!(Span::new(0, 6).trim(text), Span::new(2, 5));
        assert_eq!(Span::new(0, 2).trim(text).len(), 0);
        assert_eq!(Span::new(1, 2).cover(Span::empty_at(9)), Span::new(1, 2));
        assert_eq!(Span::new(1, 2).cover(Span::new(4, 5)), Span::new(1, 5));
        assert_eq!(Span::new(0, 99).of(text), "");
    }
}
