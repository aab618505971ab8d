//! What holds of every text that is read as tagged steps. Shared by the tests and the fuzz target.

use rlkd::decompose::tagged::{has_tags, lines, parse, reference, render};
use rlkd::trace::{End, Span, StepList};

/// The texts of the parts.
pub fn parts(list: &StepList) -> Vec<[&str; 3]> {
    let of = |span: Span| span.of(&list.text);
    list.steps.iter().map(|step| [of(step.meta), of(step.sub_problem), of(step.answer)]).collect()
}

/// Spans lie in the text on character boundaries, ascend and do not overlap, and no step is empty.
pub fn check_spans(list: &StepList) {
    let mut at = 0;
    for step in &list.steps {
        assert!(!step.span().is_empty(), "a step without parts");
        for span in [step.meta, step.sub_problem, step.answer] {
            assert!(at <= span.start && span.start <= span.end, "spans ascend: {list:?}");
            let (start, end) = (span.start as usize, span.end as usize);
            assert!(
                list.text.get(start..end).is_some(),
                "{span:?} lies in the text, on character boundaries"
            );
            let text = span.of(&list.text);
            assert_eq!(text, text.trim(), "trimmed");
            at = span.end;
        }
    }
    if let End::Malformed { at } = list.end {
        assert!(list.text.is_char_boundary(at as usize));
    }
}

/// All of it for one text.
pub fn check(text: &str) {
    check_spans(&lines(text));
    let list = parse(text);
    check_spans(&list);
    let rendered = render(&list);
    let again = parse(&rendered);
    check_spans(&again);
    assert_eq!(parts(&again), parts(&list), "what is written reads back:\n{rendered}");
    assert_eq!(render(&again), rendered, "writing it again changes nothing");
    if list.steps.iter().any(|step| !step.meta.is_empty() || !step.sub_problem.is_empty()) {
        assert!(has_tags(text), "steps without tags: {list:?}");
    }

    let strict = reference(text);
    check_spans(&strict);
    assert_eq!(strict.text, text);
    for chunk in parts(&strict).into_iter().flatten().filter(|chunk| !chunk.is_empty()) {
        assert!(["[sub-think ", "[Query ", "[Answer "].iter().any(|tag| chunk.starts_with(tag)), "{chunk:?}");
    }
}
