//! Text that carries its steps already: step tags in every spelling, or a JSON step list.
//!
//! What counts as a tag stands in [`crate::text::tags`]. A new step begins at a meta-reasoning tag, and at any tag
//! whose part the current step has already passed. Text before the first tag belongs to no step; numbers are not
//! looked at, as models miscount. A JSON step list is written out as canonical tagged text, and its spans point
//! into that.
//!
//! [`reference()`] is the parser of the released code, which is stricter in some ways and laxer in others.

use std::sync::LazyLock;

use regex::Regex;

use super::{Decomposer, Job, json_steps};
use crate::dataset::render::render_steps;
use crate::error::{Error, Result};
use crate::text::tags::{self, is_space};
use crate::trace::{End, Span, Step, StepList};

/// Reads tagged text and JSON step lists.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tagged;

impl Decomposer for Tagged {
    fn id(&self) -> String {
        "tagged-1".into()
    }

    /// Reads the trace's path if it has tags, else the whole trace (a model may think before it writes the steps).
    /// A text with neither tags nor JSON steps is an error, unless it is blank: that has no steps.
    fn decompose(&mut self, jobs: &[Job<'_>]) -> Vec<Result<StepList>> {
        jobs.iter().map(|job| decompose(job)).collect()
    }
}

fn decompose(job: &Job<'_>) -> Result<StepList> {
    let text = job.trace.text.as_str();
    if u32::try_from(text.len()).is_err() {
        return Err(Error::data("the trace is longer than 4 GiB: cut it into several"));
    }
    let path = job.trace.path();
    for range in [path, Span::new(0, text.len())] {
        if let Some(list) = parse_range(text, range) {
            return Ok(list);
        }
    }
    if tags::strip(text).is_empty() {
        return Ok(StepList { text: text.into(), ..StepList::default() });
    }
    Err(Error::data(
        "no step tags such as [Sub-problem 1] at the start of a line, and no JSON list of steps: \
         for raw reasoning use the decomposer rules",
    ))
}

/// Reads the steps of a text; none if it carries none. Texts are at most 4 GiB.
///
/// The list's `text` is the given one, or canonical tagged text if the steps were JSON. It ends
/// [`End::Truncated`] if the last step has no answer while an earlier one has, and [`End::Malformed`] where JSON
/// could not be read on.
pub fn parse(text: &str) -> StepList {
    parse_range(text, Span::new(0, text.len()))
        .unwrap_or_else(|| StepList { text: text.into(), ..StepList::default() })
}

/// Reads steps of three lines each, meta-reasoning, sub-problem and answer, with empty lines between steps, as the grammar
/// `steps-lines` has them; further lines are the answer's. The list's `text` is canonical tagged text.
pub fn lines(text: &str) -> StepList {
    let mut steps = Vec::new();
    let mut said = text.lines().map(str::trim).peekable();
    while said.peek().is_some() {
        let step: Vec<&str> = said.by_ref().take_while(|line| !line.is_empty()).collect();
        let part = |at: usize| step.get(at).copied().unwrap_or_default().to_owned();
        steps.push([part(0), part(1), step.get(2..).unwrap_or_default().join("\n")]);
    }
    parse(&render_steps(steps.iter().map(|parts| parts.each_ref().map(String::as_str))))
}

/// Whether a text carries steps: a meta-reasoning or sub-problem tag, or what looks like a JSON step list.
/// An `[Answer]` is enough only at the very start, as raw reasoning may end with one; and so it is with JSON.
pub fn has_tags(text: &str) -> bool {
    let mut from = 0;
    while let Some(tag) = tags::next(text, from) {
        // A text that begins with an answer consists of steps; one that ends with it may be raw reasoning.
        if tag.part < 2 || text[..tag.bracket].trim().is_empty() {
            return true;
        }
        from = tag.text;
    }
    json_steps::find(text).is_some_and(|start| json_steps::surely_steps(&text[start..]))
}

/// The steps as canonical tagged text; see [`render_steps`]. Reading it gives the same parts.
pub fn render(list: &StepList) -> String {
    let of = |span: Span| span.of(&list.text);
    render_steps(list.steps.iter().map(|step| [of(step.meta), of(step.sub_problem), of(step.answer)]))
}

/// Puts parts together to steps.
struct Builder<'a> {
    text: &'a str,
    steps: Vec<Step>,
    /// The last part that was seen; a tag of this part or of an earlier one opens a step.
    last: usize,
}

impl<'a> Builder<'a> {
    fn new(text: &'a str) -> Self {
        Builder { text, steps: Vec::new(), last: usize::MAX }
    }

    /// A part from `start` to `end`, trimmed; a part without text opens a step all the same.
    fn push(&mut self, part: usize, start: usize, end: usize) {
        let raw = &self.text[start..end];
        let begin = start + (raw.len() - raw.trim_start_matches(is_space).len());
        let span = Span::new(begin, begin + tags::strip(raw).len());
        if part == 0 || part <= self.last {
            let here = Span::empty_at(begin);
            self.steps.push(Step { meta: here, sub_problem: here, answer: here, ..Step::default() });
        }
        self.last = part;
        if let Some(step) = self.steps.last_mut() {
            // Absent parts keep a position between their neighbours.
            let (before, after) = (span, Span::empty_at(begin + span.len()));
            match part {
                0 => (step.meta, step.sub_problem, step.answer) = (before, after, after),
                1 => (step.sub_problem, step.answer) = (before, after),
                _ => step.answer = before,
            }
        }
    }

    /// The steps that have a part.
    fn finish(mut self) -> Vec<Step> {
        self.steps.retain(|step| !step.span().is_empty());
        self.steps
    }
}

/// Tagged text in a range of `text`, else JSON there.
fn parse_range(text: &str, range: Span) -> Option<StepList> {
    let end = range.end as usize;
    let inside = &text[..end];
    let mut builder = Builder::new(inside);
    // Only the front of the range can lie inside a line, and there a tag may stand as well.
    let mut found =
        tags::next(&inside[range.start as usize..], 0).map(|tag| tag.shifted(range.start as usize));
    if found.is_none() {
        return parse_json(range.of(text));
    }
    while let Some(tag) = found {
        found = tags::next(inside, tag.text);
        builder.push(tag.part, tag.text, found.map_or(end, |next| next.start));
    }
    let steps = builder.finish();
    Some(StepList { text: text.into(), end: end_of(&steps), steps })
}

fn parse_json(text: &str) -> Option<StepList> {
    let found = json_steps::read(text)?;
    let rendered = render_steps(found.steps.iter().map(|(step, _)| step.each_ref().map(String::as_str)));
    let mut list = parse_range(&rendered, Span::new(0, rendered.len())).unwrap_or_default();
    list.text = rendered;
    // Steps without a text are not rendered; the others keep their order.
    let said = found.steps.iter().filter(|(step, _)| step.iter().any(|part| !tags::strip(part).is_empty()));
    for (step, (_, kind)) in list.steps.iter_mut().zip(said) {
        step.kind = *kind;
    }
    if found.broken {
        // The JSON itself is not kept, so the place is the end of what was read of it.
        list.end = End::Malformed { at: list.text.len() as u32 };
    }
    Some(list)
}

fn end_of(steps: &[Step]) -> End {
    match steps.split_last() {
        Some((last, before))
            if last.answer.is_empty() && before.iter().any(|step| !step.answer.is_empty()) =>
        {
            End::Truncated
        }
        _ => End::Complete,
    }
}

/// Python's `\s` has U+001C to U+001F as well; its `\d` is every decimal digit, as here.
static REFERENCE_TAG: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\[(?:sub-think|Query|Answer)[\s\x1c-\x1f]+\d+\]").expect("a fixed pattern")
});
static REFERENCE_CHUNK: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\[(?:(sub-think)|(Query)|(Answer)) \d+\]").expect("a fixed pattern"));

/// The released parser, exactly: the text is split at every tag `[sub-think N]`, `[Query N]`, `[Answer N]`, wherever
/// it stands, with any white space before the number; a chunk whose tag has anything but one space there is dropped,
/// and so is the text before the first tag.
///
/// A part's span is the whole trimmed chunk, tag included, since that is what the released judge sees. For the
/// released reward thinks, queries and answers are three lists in order of occurrence; how they are grouped into
/// steps means nothing, and is done as in [`parse`]. Texts are at most 4 GiB.
pub fn reference(text: &str) -> StepList {
    let mut builder = Builder::new(text);
    let mut tags = REFERENCE_TAG.find_iter(text).map(|tag| tag.start()).peekable();
    while let Some(start) = tags.next() {
        let end = tags.peek().copied().unwrap_or(text.len());
        if let Some(class) = REFERENCE_CHUNK.captures(&text[start..end])
            && let Some(part) = (0..3).find(|&part| class.get(part + 1).is_some())
        {
            builder.push(part, start, end);
        }
    }
    StepList { text: text.into(), steps: builder.finish(), end: End::Complete }
}
