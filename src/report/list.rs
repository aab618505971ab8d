//! The table of the traces that are shown.

use std::fmt::Write;
use std::sync::Arc;

use super::choice::{Kept, Reason};
use super::escape::to_html;
use super::html::short;
use super::words::{count, number};

/// The table: the records shown out of `traces`, with the named parts as columns.
pub(super) fn table(chosen: &[(Arc<Kept>, Vec<Reason>)], traces: u64, columns: &[&String]) -> String {
    let mut out = String::with_capacity(256 * chosen.len() + 1024);
    out.push_str("<p class=\"shown\">");
    if traces == 0 {
        return out + "There are no scored traces.</p>";
    }
    let all = chosen.len() as u64 == traces;
    let _ = write!(
        out,
        "Showing <b>{}</b> of <b>{}</b> scored traces",
        count(chosen.len() as u64),
        count(traces)
    );
    out.push_str(if all {
            ".</p>"
        } else {
            ": the lowest and highest rewards, the most skipped steps, what was not scored, some near the median, \
             and some drawn at random.</p>"
        });
    out.push_str(
            "<div class=\"tools\"><label for=\"filter\">Filter</label><input id=\"filter\" type=\"search\" placeholder=\"id or words of the problem\" autocomplete=\"off\" spellcheck=\"false\">\
             <span id=\"found\" class=\"quiet\" role=\"status\"></span></div>\
             <div class=\"scroll list-box\" tabindex=\"0\" role=\"region\" aria-label=\"Scored traces\"><table id=\"list\"><thead><tr>",
        );
    let mut head = |name: &str, class: &str| {
        let name = to_html(short(name));
        let _ =
            write!(out, "<th scope=\"col\" class=\"{class}\"><button type=\"button\">{name}</button></th>");
    };
    head("Trace", "");
    head("Reward", "n");
    columns.iter().for_each(|name| head(name, "n wide"));
    head("Matched", "n");
    head("Skipped", "n wide");
    head("Extra", "n wide");
    if !all {
        head("Shown as", "wide");
    }
    out.push_str("</tr></thead><tbody>");
    for (n, (kept, reasons)) in chosen.iter().enumerate() {
        list_row(&mut out, n, kept, (!all).then_some(reasons), columns);
    }
    out + "</tbody></table></div>"
}

fn list_row(out: &mut String, n: usize, kept: &Kept, reasons: Option<&Vec<Reason>>, columns: &[&String]) {
    let record = &kept.record;
    let problem = record.problem.as_deref().unwrap_or("");
    let line: String = problem.split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().take(140).collect();
    let _ = write!(
        out,
        "<tr data-n=\"{n}\"><td class=\"who\"><a href=\"#t{n}\"><bdi>{}</bdi> <span class=\"quiet\">/ {}</span></a><span class=\"excerpt\" dir=\"auto\">{}</span></td>",
        to_html(short(&record.id)),
        record.student,
        to_html(&line)
    );
    let mut cell = |value: Option<f64>, class: &str| match value.filter(|value| value.is_finite()) {
        Some(value) => {
            let _ = write!(out, "<td class=\"{class}\" data-v=\"{value}\">{}</td>", number(value));
        }
        None => {
            let _ = write!(out, "<td class=\"{class} quiet\">–</td>");
        }
    };
    cell(record.reward, "n");
    columns.iter().for_each(|name| cell(record.parts.get(*name).and_then(|part| part.value), "n wide"));
    match &record.structure {
        Some(explained) => {
            let alignment = &explained.alignment;
            let (pairs, skipped, extra) =
                (alignment.pairs.len(), alignment.skipped.len(), alignment.extra.len());
            let steps = pairs + skipped;
            let share = pairs as f64 / steps.max(1) as f64;
            let _ = write!(
                out,
                "<td class=\"n\" data-v=\"{share}\">{pairs}<span class=\"quiet\">/{steps}</span></td>\
                 <td class=\"n wide\" data-v=\"{skipped}\">{skipped}</td><td class=\"n wide\" data-v=\"{extra}\">{extra}</td>"
            );
        }
        None => out.push_str(
            "<td class=\"n quiet\">–</td><td class=\"n wide quiet\">–</td><td class=\"n wide quiet\">–</td>",
        ),
    }
    if let Some(reasons) = reasons {
        let words: Vec<&str> = reasons.iter().map(|reason| reason.word()).collect();
        let _ = write!(out, "<td class=\"wide quiet as\">{}</td>", words.join(", "));
    }
    out.push_str("</tr>");
}
