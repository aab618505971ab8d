//! One scored trace as HTML: problem, parts, and the two traces side by side.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::choice::{Kept, Reason};
use super::escape::{html, to_html};
use super::plot::bar;
use super::rows::{Fate, View};
use super::words::{brief, count, how, normalised, number, plural};
use crate::score::Explained;
use crate::trace::{End, Span, Step, StepKind, StepList};

/// Hues that pairs take in turn; the number tells them apart.
const HUES: usize = 5;

/// The scale of each part: least and greatest value seen, 0 and 1 included.
pub(super) type Scales = BTreeMap<String, (f64, f64)>;

/// The side of a pair.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Teacher,
    Student,
}

/// The article of one record; `n` is its number on the page.
pub(super) fn article(n: usize, kept: &Kept, reasons: &[Reason], scales: &Scales) -> String {
    let record = &kept.record;
    let mut out = String::with_capacity(8192);
    let _ = write!(
        out,
        "<article class=\"pair\" id=\"t{n}\" data-n=\"{n}\" tabindex=\"-1\"><header class=\"pair-head\"><div><h3><bdi>{}</bdi> <span class=\"quiet\">student {}</span></h3>",
        to_html(super::html::short(&record.id)),
        record.student,
    );
    if !reasons.is_empty() {
        out.push_str("<p class=\"tags\">");
        for reason in reasons {
            let _ = write!(out, "<span class=\"tag\">{}</span> ", reason.word());
        }
        out.push_str("</p>");
    }
    out.push_str("</div><p class=\"score\">");
    match record.reward {
        Some(reward) => {
            let _ = write!(out, "<span class=\"quiet\">reward</span> <b>{}</b>", number(reward));
        }
        None => out.push_str("<b class=\"none\">not scored</b>"),
    }
    out.push_str("</p></header><div class=\"brief\"><section class=\"problem\"><h4>Problem</h4>");
    match &record.problem {
        Some(problem) => {
            let _ = write!(
                out,
                "<div class=\"prose\" dir=\"auto\" tabindex=\"0\" role=\"region\" aria-label=\"Problem\">{}{}</div>",
                to_html(problem),
                cut_note(kept.cut[0])
            );
        }
        None => out.push_str("<p class=\"quiet\">The record holds no problem text.</p>"),
    }
    out.push_str("</section>");
    parts(&mut out, kept, scales);
    out.push_str("</div>");
    match &record.structure {
        Some(explained) => sides(&mut out, explained, kept),
        None => out.push_str("<p class=\"quiet\">No steps were compared for this trace.</p>"),
    }
    out.push_str("</article>\n");
    out
}

fn cut_note(bytes: usize) -> String {
    if bytes == 0 {
        return String::new();
    }
    format!("<p class=\"note\">… {} more bytes are not shown.</p>", count(bytes as u64))
}

fn parts(out: &mut String, kept: &Kept, scales: &Scales) {
    let record = &kept.record;
    out.push_str(
        "<section class=\"parts\"><h4>Parts of the reward</h4><table><thead><tr><th scope=\"col\">Part</th><th></th>\
         <th scope=\"col\" class=\"n\">Value</th><th scope=\"col\" class=\"n\">Weight</th><th scope=\"col\" class=\"n\">Points</th></tr></thead><tbody>",
    );
    for (name, part) in &record.parts {
        let _ = write!(out, "<tr><th scope=\"row\"><bdi>{}</bdi></th>", to_html(super::html::short(name)));
        match part.value {
            Some(value) => {
                let (low, high) = scales.get(name).copied().unwrap_or((0.0, 1.0));
                let _ = write!(
                    out,
                    "<td class=\"m\">{}</td><td class=\"n\">{}</td><td class=\"n quiet\">× {}</td><td class=\"n\">{}</td></tr>",
                    bar(value, low, high),
                    number(value),
                    brief(part.weight),
                    number(value * part.weight)
                );
            }
            None => {
                let why = part.skipped.as_ref().map_or("no reason given", |why| why.0.as_str());
                let _ = write!(
                    out,
                    "<td colspan=\"2\" class=\"why-not\"><bdi>skipped: {}</bdi></td><td class=\"n quiet\">× {}</td><td class=\"n\">–</td></tr>",
                    to_html(super::html::short(why)),
                    brief(part.weight)
                );
            }
        }
    }
    out.push_str("</tbody></table>");
    if let Some(note) = normalised(record) {
        let _ = write!(out, "<p class=\"note\">{note}</p>");
    }
    out.push_str("</section>");
}

fn sides(out: &mut String, explained: &Explained, kept: &Kept) {
    let view = View::new(explained);
    let sentence = how(&explained.alignment);
    let (Some(teacher), Some(student)) = (&explained.teacher_steps, &explained.student_steps) else {
        let _ = write!(
            out,
            "<p class=\"how\">{}</p><p class=\"quiet\">The record holds no step texts; score with full detail to see them.</p>",
            to_html(&sentence)
        );
        return;
    };
    let _ = write!(
        out,
        "<div class=\"sides\" data-show=\"teacher\"><div class=\"tabs\" role=\"group\" aria-label=\"Which trace to show\">\
         <button type=\"button\" data-side=\"teacher\" aria-pressed=\"true\">Teacher {}</button>\
         <button type=\"button\" data-side=\"student\" aria-pressed=\"false\">Student {}</button></div>",
        explained.teacher, kept.record.student
    );
    side(out, Side::Teacher, explained.teacher, teacher, &view, kept.cut[1]);
    side(out, Side::Student, kept.record.student, student, &view, kept.cut[2]);
    let _ = write!(
        out,
        "<aside class=\"panel\" aria-live=\"polite\"><div class=\"panel-rest\"><h4>How the structure part came about</h4><p class=\"how\">{}</p>{LEGEND}</div><div class=\"panel-step\" hidden></div></aside></div>",
        to_html(&sentence)
    );
}

/// What the marks mean, beside the traces.
const LEGEND: &str = "<ul class=\"legend\"><li><span class=\"badge hue-0\">1</span> matched pair: same number, same colour</li>\
    <li><span class=\"badge hue-0 half\">1</span> same sub-problem, another answer</li>\
    <li><span class=\"badge skipped\">–</span> teacher step that the student skipped</li>\
    <li><span class=\"badge extra\">+</span> extra step of the student</li>\
    <li><span class=\"badge aside\">·</span> a check or an abandoned branch, not compared</li>\
    <li class=\"words\"><em class=\"why\">why this now</em>, <span class=\"ask\">what is asked</span>, <span class=\"get\">what comes out</span></li></ul>";

fn side(out: &mut String, side: Side, number: u32, list: &StepList, view: &View<'_>, cut: usize) {
    let (class, name, fates) = match side {
        Side::Teacher => ("teacher", "Teacher", &view.teacher),
        Side::Student => ("student", "Student", &view.student),
    };
    let alone = fates.iter().filter(|fate| matches!(fate, Fate::Skipped | Fate::Extra)).count();
    let word = if side == Side::Teacher { "skipped" } else { "extra" };
    let _ = write!(
        out,
        "<section class=\"side {class}\"><h4>{name} {number} <span class=\"quiet\">{}, {} {word}</span></h4>\
         <div class=\"trace\" tabindex=\"0\" role=\"group\" aria-label=\"{name} trace: arrow keys move between steps, Enter goes to the partner\">",
        plural(list.steps.len(), "step"),
        count(alone as u64)
    );
    let mut order: Vec<(usize, Span)> = list.steps.iter().map(Step::span).enumerate().collect();
    order.sort_by_key(|(index, span)| (span.start, *index));
    let mut at = 0;
    for (index, span) in order {
        // A span that overlaps the one before or does not fit the text has nothing to show.
        let fits = span.start as usize >= at && !span.of(&list.text).is_empty();
        if fits {
            gap(out, &list.text[at..span.start as usize]);
            at = span.end as usize;
        }
        step(out, &list.text, &list.steps[index], fits, fates[index], view);
    }
    gap(out, list.text.get(at..).unwrap_or(""));
    out.push_str(&cut_note(cut));
    match list.end {
        End::Complete => {}
        End::Truncated => out.push_str("<p class=\"note\">The text stops in the middle of a step.</p>"),
        End::Malformed { at } => {
            let _ =
                write!(out, "<p class=\"note\">What stands at byte {at} could not be read as a step.</p>");
        }
    }
    out.push_str("</div></section>");
}

/// Text that belongs to no step.
fn gap(out: &mut String, text: &str) {
    let text = text.trim();
    if !text.is_empty() {
        out.push_str("<div class=\"gap\" dir=\"auto\">");
        html(out, text);
        out.push_str("</div>");
    }
}

fn step(out: &mut String, text: &str, step: &Step, fits: bool, fate: Fate, view: &View<'_>) {
    let (class, badge, label) = match fate {
        Fate::Matched(number) => {
            let pair = view.pairs[number - 1];
            let half = if super::words::is_partial(pair) { " half" } else { "" };
            let label = if half.is_empty() { "" } else { super::words::shortfall(view.mode) };
            (format!("matched hue-{}{half}", (number - 1) % HUES), number.to_string(), label)
        }
        Fate::Skipped => ("skipped".to_owned(), "–".to_owned(), "skipped"),
        Fate::Extra => ("extra".to_owned(), "+".to_owned(), "extra"),
        Fate::Part => ("aside".to_owned(), "·".to_owned(), "a part of the step beside it"),
        Fate::Aside(StepKind::Backtrack) => ("aside".to_owned(), "·".to_owned(), "abandoned"),
        Fate::Aside(StepKind::Restate) => ("aside".to_owned(), "·".to_owned(), "said before"),
        Fate::Aside(_) => ("aside".to_owned(), "·".to_owned(), "check"),
        Fate::Unmentioned => ("aside".to_owned(), "·".to_owned(), "not compared"),
    };
    let _ = write!(out, "<div class=\"step {class}\" tabindex=\"-1\"");
    if let Fate::Matched(number) = fate {
        let pair = view.pairs[number - 1];
        let _ = write!(
            out,
            " data-pair=\"{number}\" data-credit=\"{}\"",
            super::words::number(f64::from(pair.credit))
        );
        for (name, value) in
            [("reasoning", pair.meta_reasoning), ("problem", pair.sub_problem), ("answer", pair.answer)]
        {
            if let Some(value) = value.filter(|value| value.is_finite()) {
                let _ = write!(out, " data-{name}=\"{value:.2}\"");
            }
        }
    }
    let _ = write!(out, "><span class=\"badge {class}\">{badge}</span><div class=\"body\" dir=\"auto\">");
    if !label.is_empty() {
        let _ = write!(out, "<span class=\"label\">{label}</span>");
    }
    if fits {
        words(out, text, step);
    } else {
        out.push_str("<span class=\"quiet\">no text of its own</span>");
    }
    out.push_str("</div></div>");
}

/// The text of a step with its three parts marked; what stands between them is quiet.
fn words(out: &mut String, text: &str, step: &Step) {
    let whole = step.span();
    let mut parts = [("why", step.meta), ("ask", step.sub_problem), ("get", step.answer)];
    parts.sort_by_key(|(_, span)| span.start);
    let mut at = whole.start as usize;
    let between = |out: &mut String, text: &str| {
        if text.trim().is_empty() {
            out.push_str(text);
        } else {
            out.push_str("<span class=\"between\">");
            html(out, text);
            out.push_str("</span>");
        }
    };
    for (class, span) in parts {
        let inner = span.of(text);
        if inner.is_empty() || (span.start as usize) < at {
            continue;
        }
        between(out, text.get(at..span.start as usize).unwrap_or(""));
        let tag = if class == "why" { "em" } else { "span" };
        let _ = write!(out, "<{tag} class=\"{class}\">");
        html(out, inner);
        let _ = write!(out, "</{tag}>");
        at = span.end as usize;
    }
    between(out, text.get(at..whole.end as usize).unwrap_or(""));
}
