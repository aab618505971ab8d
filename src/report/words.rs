//! Numbers and reasons in words, the same on the page and in the terminal.

use std::fmt::Write;

use crate::align::{self, Alignment, Mode, Options, Pair};
use crate::score::Scored;

/// A value: two decimals, or scientific where these would hide it.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        "–".to_owned()
    } else if size >= 1e7 || (size > 0.0 && size < 0.005) {
        format!("{value:.1e}").replace('-', "−")
    } else {
        format!("{value:.2}").replace("-0.00", "0.00").replace('-', "−")
    }
}

/// A weight or a count in a formula: as few decimals as say it.
pub(super) fn brief(value: f64) -> String {
    if !value.is_finite() || value.abs() >= 1e7 {
        return number(value);
    }
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').replace('-', "−")
}

/// A count with a comma for thousands.
pub(super) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 step`, `2 steps`.
pub(super) fn plural(n: usize, noun: &str) -> String {
    format!("{} {noun}{}", count(n as u64), if n == 1 { "" } else { "s" })
}

/// What a pair was given and why: `same sub-problem 0.93, same answer 1.00, 1.00 point`, and the runner-up, whose
/// number counts all of the student's steps from 1, as they stand.
pub(super) fn verdict(pair: &Pair) -> String {
    let mut out = String::new();
    for (name, probability) in
        [("reasoning", pair.meta_reasoning), ("sub-problem", pair.sub_problem), ("answer", pair.answer)]
    {
        if let Some(probability) = probability {
            let _ = write!(out, "same {name} {}, ", number(f64::from(probability)));
        }
    }
    let noun = if pair.credit == 1.0 { "point" } else { "points" };
    let _ = write!(out, "{} {noun}", number(f64::from(pair.credit)));
    if let Some(other) = pair.runner_up {
        let step = u64::from(other.student) + 1;
        let probability = number(f64::from(other.sub_problem));
        let _ = write!(
            out,
            "; runner-up: the student's step {} of all, same sub-problem {probability}",
            count(step)
        );
    }
    out
}

/// Whether the pair earned less than a whole point.
pub(super) fn is_partial(pair: &Pair) -> bool {
    pair.credit < 1.0
}

/// Why a pair earned less: the released rule halves for several reasons, the others for one.
pub(super) fn shortfall(mode: Mode) -> &'static str {
    if mode == Mode::Reference { "in part" } else { "another answer" }
}

/// How the total of an alignment came about: a sentence and, on a line of its own, the formula.
///
/// The formula is given only if it reproduces the recorded total.
pub(super) fn how(alignment: &Alignment) -> String {
    let pairs = alignment.pairs.len();
    let teacher = pairs + alignment.skipped.len();
    let mut out = match (teacher, alignment.extra.len()) {
        (0, 0) => "Neither side has a step to compare".to_owned(),
        (0, _) => "The teacher has no step to compare with".to_owned(),
        _ => format!("{pairs} of {} matched", plural(teacher, "teacher step")),
    };
    // By probabilities, every pair is worth a little less than one.
    let is_other = |pair: &&Pair| is_partial(pair) && pair.answer.is_none_or(|answer| answer < 0.5);
    let reference = alignment.mode == Mode::Reference;
    let partial = alignment
        .pairs
        .iter()
        .filter(|pair| if reference { is_partial(pair) } else { is_other(pair) })
        .count();
    if partial > 0 {
        let how = shortfall(alignment.mode);
        let how = if how == "in part" { how.to_owned() } else { format!("with {how}") };
        let _ = write!(out, ", {partial} {how}");
    }
    if !alignment.skipped.is_empty() {
        let _ = write!(out, ", {} skipped", count(alignment.skipped.len() as u64));
    }
    if !alignment.extra.is_empty() {
        let _ = write!(out, "; {} of the student", plural(alignment.extra.len(), "extra step"));
    }
    out.push('.');
    match formula(alignment, teacher) {
        Some(formula) => out + "\n" + &formula,
        None => out + &format!(" Total: {}.", number(alignment.total)),
    }
}

fn formula(alignment: &Alignment, teacher: usize) -> Option<String> {
    let points: f64 = alignment.pairs.iter().map(|pair| f64::from(pair.credit)).sum();
    let (total, shown) = (alignment.total, number(alignment.total));
    let close = |value: f64| (value - total).abs() < 1e-5 * value.abs().max(1.0);
    let n = teacher as f64;
    if teacher == 0 || alignment.pairs.is_empty() {
        return None;
    }
    let sum = credits(&alignment.pairs);
    let in_brackets = if sum.contains(' ') { format!("({sum})") } else { sum.clone() };
    if alignment.mode == Mode::Reference {
        return close(points).then(|| format!("{sum} = {shown}."));
    }
    if alignment.mode == Mode::Prefix {
        return close(points / n).then(|| format!("{in_brackets} / {teacher} = {shown}."));
    }
    // Records do not hold the options, and a cost solved from the total would explain any total. So the defaults are
    // tried: they are right or the formula stays out.
    let (options, extra) = (Options::default(), alignment.extra.len());
    let (cost, guesses) = (options.cost(), align::guesses(teacher, extra));
    let whole = align::total(&options, 1.0, teacher, extra);
    let bare = align::total(&options, 1.0, teacher, 0);
    let scale = n / (n + cost * guesses as f64);
    let (mut out, value) = if points == n && extra > 0 {
        let costs = (bare - whole / scale) * n;
        (format!("1 − {} / {teacher}", brief(costs)), whole)
    } else {
        (format!("{in_brackets} / {teacher}"), points / n * scale)
    };
    if guesses > 0 {
        let _ = write!(out, ", times {teacher} / ({teacher} + {} × {guesses})", brief(cost));
    }
    let _ = write!(out, " = {shown}");
    if points == n && extra > 0 {
        let _ = write!(out, ", where an extra step costs {}, and all of them at most 0.25", brief(cost));
    }
    if guesses > 0 {
        let _ = write!(out, "; beyond {} extra steps they count as guesses", teacher + align::FREE);
    }
    close(value).then(|| out + ".")
}

/// The sum of the credits, equal ones together: `5 × 1 + 2 × 0.5`.
fn credits(pairs: &[Pair]) -> String {
    let mut values: Vec<(f64, usize)> = Vec::new();
    for pair in pairs {
        let credit = f64::from(pair.credit);
        match values.iter().position(|(value, _)| *value == credit) {
            Some(at) => values[at].1 += 1,
            None if values.len() < 4 => values.push((credit, 1)),
            None => return brief(pairs.iter().map(|pair| f64::from(pair.credit)).sum()),
        }
    }
    values.sort_by(|a, b| b.0.total_cmp(&a.0));
    let terms: Vec<String> = values
        .iter()
        .map(|(value, n)| match (*n, *value) {
            (1, value) => brief(value),
            (n, 1.0) => n.to_string(),
            (n, value) => format!("{n} × {}", brief(value)),
        })
        .collect();
    terms.join(" + ")
}

/// What to say when the parts, weighted, do not add up to the reward (it was normalised over a group).
pub(super) fn normalised(record: &Scored) -> Option<&'static str> {
    let sum: f64 = record.parts.values().filter_map(|part| part.value.map(|value| value * part.weight)).sum();
    let reward = record.reward?;
    ((sum - reward).abs() > 1e-6 * sum.abs().max(1.0))
        .then_some("The parts were normalised within their group before they were added.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alignment(mode: Mode, credits: &[f32], skipped: u32, extra: u32, total: f64) -> Alignment {
        let pair = |(i, credit): (usize, &f32)| Pair {
            teacher: i as u32,
            student: i as u32,
            credit: *credit,
            meta_reasoning: None,
            sub_problem: Some(0.93),
            answer: Some(if *credit < 1.0 { 0.0 } else { 1.0 }),
            runner_up: None,
        };
        Alignment {
            mode,
            total,
            pairs: credits.iter().enumerate().map(pair).collect(),
            skipped: (0..skipped).collect(),
            extra: (0..extra).collect(),
            split: Vec::new(),
        }
    }

    #[test]
    fn the_sentence_says_how_the_total_came_about() {
        for (alignment, expected) in [
            (
                alignment(Mode::Ordered, &[1.0, 0.5], 1, 2, 0.5),
                "2 of 3 teacher steps matched, 1 with another answer, 1 skipped; 2 extra steps of the student.\n\
                 (1 + 0.5) / 3 = 0.50.",
            ),
            (
                alignment(Mode::Tree, &[1.0, 1.0], 0, 2, 0.9),
                "2 of 2 teacher steps matched; 2 extra steps of the student.\n\
                 1 − 0.2 / 2 = 0.90, where an extra step costs 0.1, and all of them at most 0.25.",
            ),
            (
                alignment(Mode::Ordered, &[1.0], 1, 30, 0.25),
                "1 of 2 teacher steps matched, 1 skipped; 30 extra steps of the student.\n\
                 1 / 2, times 2 / (2 + 0.1 × 20) = 0.25; beyond 10 extra steps they count as guesses.",
            ),
            (alignment(Mode::Ordered, &[1.0; 3], 0, 0, 1.0), "3 of 3 teacher steps matched.\n3 / 3 = 1.00."),
            (
                alignment(Mode::Prefix, &[1.0, 1.0, 0.5, 0.5], 1, 3, 0.6),
                "4 of 5 teacher steps matched, 2 with another answer, 1 skipped; 3 extra steps of the student.\n\
                 (2 + 2 × 0.5) / 5 = 0.60.",
            ),
            (
                alignment(Mode::Reference, &[1.0, 0.25], 0, 0, 1.25),
                "2 of 2 teacher steps matched, 1 in part.\n1 + 0.25 = 1.25.",
            ),
            // A total that the default cost does not give stays without a formula.
            (
                alignment(Mode::Ordered, &[1.0], 1, 0, 0.9),
                "1 of 2 teacher steps matched, 1 skipped. Total: 0.90.",
            ),
            (
                alignment(Mode::Ordered, &[], 1, 0, 0.0),
                "0 of 1 teacher step matched, 1 skipped. Total: 0.00.",
            ),
            (alignment(Mode::Ordered, &[], 0, 0, 0.0), "Neither side has a step to compare. Total: 0.00."),
        ] {
            assert_eq!(how(&alignment), expected);
        }
    }

    #[test]
    fn numbers_are_short_and_honest() {
        for (value, expected) in [
            (0.0, "0.00"),
            (-0.001, "−1.0e−3"),
            (0.466, "0.47"),
            (-2.5, "−2.50"),
            (1e9, "1.0e9"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(number(value), expected);
        }
        assert_eq!(
            (brief(0.25), brief(3.0), count(1_234_567)),
            ("0.25".into(), "3".into(), "1,234,567".into())
        );
    }
}
