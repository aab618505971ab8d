//! Final answers: what is found lies in the text, takes bounded time, and compares as an equality should.

use std::time::{Duration, Instant};

use rlkd::answer::{
    Check, Extracted, ExtractionMode, FallbackMode, Options, Rules, Side, Strings, Verdict, check, check_on,
    extract, extract_gold, extract_with, number, of_completion, reading, verify,
};

/// The text up to the first NUL is a gold answer, the rest a completion.
fn holds(input: &str) {
    let (gold, completion) = input.split_once('\0').unwrap_or(("7", input));
    for text in [gold, completion] {
        let strict = Options { try_extract_without_anchor: false, ..Options::default() };
        let found =
            [extract(text), extract_with(text, strict), extract_gold(text), of_completion(text, strict)];
        for found in found.into_iter().flatten() {
            stands_in(text, &found);
            equality(gold, found.text);
        }
        // The strict way finds nothing that the lenient one does not.
        assert!(extract_with(text, strict).is_none_or(|found| Some(found) == extract(text)));
        assert_eq!(extract_gold(text).is_none(), text.trim().is_empty());
        in_any_place(text);
    }
    let loose = Rules { strict: false, ..Rules::default() };
    assert!(
        !verify(gold, completion, &Rules::default()).is_equal()
            || verify(gold, completion, &loose).is_equal()
    );
    equality(gold, completion);
    // The first part stands for the problem, too.
    for problem in ["", gold] {
        let outcome = check_on(problem, gold, completion, Options::default()).outcome();
        assert!(outcome.value().is_none_or(|value| value == 0.0 || value == 1.0));
    }
    // What is one number is read as one, whatever stands around it.
    assert_eq!(number(completion), number(completion.trim()));
}

/// Other options: what is found lies in the text, and can be read where that is asked for.
fn in_any_place(text: &str) {
    for boxed_match_priority in [-1, 0, 100] {
        let options = Options {
            boxed_match_priority,
            extraction_mode: ExtractionMode::AnyMatch,
            fallback_mode: FallbackMode::NoFallback,
            malformed_operators: false,
            ..Options::default()
        };
        for found in [extract_with(text, options), of_completion(text, options)].into_iter().flatten() {
            stands_in(text, &found);
            let read = reading(found.text);
            assert!(read.as_ref().is_ok_and(|read| read.len() < 1 << 18), "{read:?}");
        }
    }
    let strings = Strings::default();
    if let Some(found) = strings.extract(text) {
        stands_in(text, &found);
        assert!(strings.strings.iter().any(|string| string == found.text));
    }
}

fn stands_in(text: &str, found: &Extracted<'_>) {
    let (start, end) = (found.span.start as usize, found.span.end as usize);
    assert!(text.is_char_boundary(start) && text.is_char_boundary(end));
    assert_eq!(&text[start..end], found.text);
    assert!(!found.text.is_empty() && found.text.trim() == found.text);
}

/// Reflexive, and symmetric where both sides count alike.
fn equality(a: &str, b: &str) {
    let rules = Rules { allow_set_relation_comp: true, ..Rules::default() };
    let is_read = |text| !matches!(verify(text, "1", &rules), Verdict::Unparsable { which: Side::Gold, .. });
    if is_read(a) {
        let found = verify(a, a, &rules);
        assert!(found.is_equal(), "{a:?} {found}");
        if is_read(b) {
            let (one, other) = (verify(a, b, &rules), verify(b, a, &rules));
            let spent = [one, other].iter().any(|found| matches!(found, Verdict::TooComplex { .. }));
            assert!(spent || one.is_equal() == other.is_equal(), "{a:?} {b:?}: {one}; {other}");
        }
    }
}

/// A text of 64 KiB made of the input over and over takes well under a second, as anything linear does, and
/// nothing that is quadratic.
fn is_fast(input: &str) {
    let long = input.repeat((1 << 16) / input.len().max(1));
    let start = Instant::now();
    let verdict = check(&long, &long);
    check("x^2+1", &long);
    let taken = start.elapsed();
    assert!(taken < Duration::from_secs(2), "{taken:?} for {input:?}, {verdict:?}");
    assert!(!matches!(verdict, Check::NoAnswer) || extract(&long).is_none());
}

/// Checks one input; panics where something does not hold.
pub fn check_all(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    holds(&text);
    if data.len() % 64 == 1 {
        is_fast(&text);
    }
}
