//! Steps of traces of the test bed (`rlkd synth`), read by their own phrases: what a perfect decomposer would find there.
//!
//! A paragraph is a step if it claims a value in a phrase of the bed ("So Lena's stamps are 42."). Its sub-problem is that name where the
//! paragraph begins with it, its meta-reasoning what stands before, its answer the sentence before the claim and the claim itself: what was
//! tried and given up in the same paragraph is left out, and so are checks behind it.

use std::sync::LazyLock;

use super::{Decomposer, Job};
use crate::error::Result;
use crate::synth::trace::conclusions;
use crate::text::sentences::{self, Sentence};
use crate::trace::{Span, Step, StepKind, StepList};

/// The words before a name, and those between a name and its value.
static CLAIMS: LazyLock<Vec<(&'static str, &'static str)>> = LazyLock::new(|| {
    let cut = |template: &'static str| {
        let (before, rest) = template.split_once("{p}")?;
        Some((before, rest.split_once("{v}")?.0))
    };
    conclusions().filter_map(cut).collect()
});

/// The decomposer.
#[derive(Default)]
pub struct Bed {
    sentences: Vec<Sentence>,
}

/// The name in a sentence that claims a value.
fn claim(text: &str, sentence: Span) -> Option<Span> {
    let words = sentence.of(text);
    CLAIMS.iter().find_map(|(before, between)| {
        let rest = words.strip_prefix(before)?;
        let at = rest.find(between)?;
        let value = rest[at + between.len()..].trim_end_matches('.');
        let number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let start = sentence.start as usize + before.len();
        (number && at > 0).then(|| Span::new(start, start + at))
    })
}

impl Decomposer for Bed {
    fn id(&self) -> String {
        "bed-1".into()
    }

    fn decompose(&mut self, jobs: &[Job<'_>]) -> Vec<Result<StepList>> {
        jobs.iter().map(|job| Ok(self.steps(&job.trace.text, job.trace.path()))).collect()
    }
}

impl Bed {
    fn steps(&mut self, text: &str, path: Span) -> StepList {
        let mut list = StepList { text: text.to_owned(), ..StepList::default() };
        let mut from = path.start as usize;
        for paragraph in path.of(text).split("\n\n") {
            let span = Span::new(from, from + paragraph.len());
            from += paragraph.len() + 2;
            self.sentences.clear();
            sentences::split(text, span, &mut self.sentences);
            let spans: Vec<Span> =
                self.sentences.iter().map(|one| one.span.trim(text)).filter(|one| !one.is_empty()).collect();
            let Some((at, name)) =
                spans.iter().enumerate().find_map(|(at, own)| Some((at, claim(text, *own)?)))
            else {
                continue;
            };
            let answer = if at > 0 { spans[at - 1].cover(spans[at]) } else { spans[at] };
            // The name where the paragraph begins with it; else there is only the claim.
            let lead = Span::new(span.start as usize, answer.start as usize);
            let found = lead.of(text).find(name.of(text)).map(|at| {
                let start = span.start as usize + at;
                (Span::new(span.start as usize, start).trim(text), Span::new(start, start + name.len()))
            });
            let nothing = Span::empty_at(answer.start as usize);
            let (meta, sub_problem) = found.unwrap_or((nothing, nothing));
            list.steps.push(Step { meta, sub_problem, answer, kind: StepKind::Progress });
        }
        list
    }
}
