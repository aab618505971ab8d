//! What must hold of the rule decomposer, whatever it reads.

use rlkd::decompose::rules::Rules;
use rlkd::text::look_alikes;
use rlkd::text::numbers;
use rlkd::text::sentences;
use rlkd::trace::{Span, Trace};

/// Checks every invariant on one text.
pub fn check(text: &str) {
    let trace = Trace::new(text);
    let list = Rules::new().steps("", &trace);
    // Letters that look like Latin ones are read as these.
    let folded = look_alikes::fold(text);
    let text = folded.as_deref().unwrap_or(text);
    assert_eq!(list.text, text, "spans point into the trace as it is read");
    let mut at = 0;
    for step in &list.steps {
        assert!(!step.answer.is_empty(), "a step without an answer");
        for span in [step.meta, step.sub_problem, step.answer] {
            let (start, end) = (span.start as usize, span.end as usize);
            assert!(start <= end && text.is_char_boundary(start) && text.is_char_boundary(end), "{span:?}");
            assert!(start >= at, "{span:?} begins before {at}");
            at = at.max(end);
        }
    }
    // Sentences are the only places where steps can end: their number bounds the steps, cut sentences included.
    let mut found = Vec::new();
    sentences::split(text, Span::new(0, text.len()), &mut found);
    let mut values = Vec::new();
    numbers::scan(text, &mut values);
    assert!(list.steps.len() <= found.len() + values.len(), "more steps than sentences and numbers");
    assert_eq!(Rules::new().steps("", &trace), list, "not deterministic");
    // A reused engine forgets what it read before.
    let mut again = Rules::new();
    again.steps("", &Trace::new("1 + 1 = 2. Let me check: 1 + 1 = 2. That's wrong."));
    assert_eq!(again.steps("", &trace), list, "a reused engine differs");
}
