//! The page of `rlkd validate --html`: what the suites found, with their plots, tables and bars.
//!
//! Self-contained and without a script, as the page of a training run. Whatever comes from data is escaped.

use std::fmt::Write as _;

use super::escape::to_html;
use super::html::short;
use super::words::count;
use super::{charts, digest};
use crate::validate::shown::Table;
use crate::validate::{Suite, SuiteReport};

const STYLE: &str = include_str!("report.css");

/// Notes of a suite that are listed; the rest is only counted.
const MOST_NOTES: usize = 200;

/// A suite that ran.
pub struct Ran<'a> {
    /// The suite.
    pub suite: &'a Suite,
    /// What it found.
    pub report: SuiteReport,
}

/// The page. `left_out` are names of suites that did not run, and why; `command` is what was typed.
///
/// The same reports give the same bytes.
pub fn page(title: &str, command: &str, ran: &[Ran<'_>], left_out: &[(String, String)]) -> String {
    let title = to_html(short(title));
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src '{}'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"generator\" content=\"rlkd\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <header class=\"top\"><div><p class=\"kind\">rlkd validate</p><h1><bdi>{title}</bdi></h1></div></header>\n<main>\n",
        digest::source(STYLE)
    );
    totals(&mut out, ran, left_out);
    bars(&mut out, ran);
    for one in ran {
        section(&mut out, one);
    }
    if !left_out.is_empty() {
        out.push_str(
            "<section aria-labelledby=\"h-left\"><h2 id=\"h-left\">Left out</h2><ul class=\"errors\">",
        );
        for (name, why) in left_out {
            let _ = write!(out, "<li><b>{}</b> <bdi>{}</bdi></li>", to_html(short(name)), to_html(why));
        }
        out.push_str("</ul></section>\n");
    }
    let _ = write!(
        out,
        "<section aria-labelledby=\"h-how\"><h2 id=\"h-how\">Made by</h2><p><code>{}</code></p>\
         <p class=\"note\">rlkd {}. What each suite measures: docs/validate.md and docs/quality.md.</p></section>\n</main>\n\
         <footer class=\"foot-page\">Made by rlkd. This file is complete in itself: it loads nothing and sends nothing.</footer>\n\
         </body>\n</html>\n",
        to_html(command),
        env!("CARGO_PKG_VERSION")
    );
    out
}

/// Each bar that is set, with what was measured.
fn measured<'a>(ran: &'a [Ran<'_>]) -> impl Iterator<Item = (&'a str, String, Option<(f64, bool)>)> {
    ran.iter().flat_map(|one| {
        let told = |bar: &crate::validate::shown::Bar| {
            (one.suite.name, bar.words(), bar.measured(&one.report.figures))
        };
        one.suite.bars.iter().map(told)
    })
}

fn totals(out: &mut String, ran: &[Ran<'_>], left_out: &[(String, String)]) {
    let of = |wanted: bool| measured(ran).filter(|(.., m)| m.is_some_and(|(_, met)| met == wanted)).count();
    let failed: usize = ran.iter().map(|one| one.report.failed).sum();
    out.push_str("<dl class=\"totals\">");
    for (name, value, class) in [
        ("Suites", ran.len(), ""),
        ("Left out", left_out.len(), "amber"),
        ("Bars met", of(true), ""),
        ("Bars missed", of(false), "red"),
        ("Failed cases", failed, "red"),
    ] {
        let class = if value > 0 { class } else { "" };
        let value = count(value as u64);
        let _ = write!(out, "<div><dt>{name}</dt><dd class=\"{class}\">{value}</dd></div>");
    }
    out.push_str("</dl>\n");
}

fn bars(out: &mut String, ran: &[Ran<'_>]) {
    if measured(ran).next().is_none() {
        return;
    }
    out.push_str(
        "<section aria-labelledby=\"h-bars\"><h2 id=\"h-bars\">Bars</h2><div class=\"cards\"><div class=\"card wide\">\
         <div class=\"scroll\"><table class=\"small\"><thead><tr><th scope=\"col\">Suite</th><th scope=\"col\">Bar</th>\
         <th scope=\"col\" class=\"n\">Measured</th><th scope=\"col\"></th></tr></thead><tbody>",
    );
    for (suite, bar, found) in measured(ran) {
        let (value, class, verdict) = match found {
            Some((value, true)) => (format!("{value:.4}"), "met", "met"),
            Some((value, false)) => (format!("{value:.4}"), "missed", "missed"),
            None => ("–".to_owned(), "quiet", "not measured"),
        };
        let _ = write!(
            out,
            "<tr><th scope=\"row\"><a href=\"#{suite}\">{suite}</a></th><td>{}</td><td class=\"n\">{value}</td>\
             <td class=\"{class}\">{verdict}</td></tr>",
            to_html(&bar)
        );
    }
    out.push_str("</tbody></table></div></div></div></section>\n");
}

fn section(out: &mut String, one: &Ran<'_>) {
    let (suite, report) = (one.suite, &one.report);
    let _ = write!(
        out,
        "<section id=\"{0}\" aria-labelledby=\"h-{0}\"><h2 id=\"h-{0}\">{0}</h2><p class=\"note\">{1}</p><p class=\"quiet\">{2} cases",
        suite.name,
        to_html(suite.summary),
        count(report.n as u64)
    );
    if report.passed + report.failed > 0 {
        let [passed, failed] = [report.passed, report.failed].map(|n| count(n as u64));
        let _ = write!(out, ", {passed} passed, {failed} failed");
    }
    out.push_str("</p>\n<div class=\"cards\">");
    for plot in &report.plots {
        let title = to_html(short(&plot.title));
        let _ = write!(out, "<div class=\"card\"><h3>{title}</h3>{}", charts::draw(plot));
        out.push_str("<details><summary>In figures</summary>");
        table(out, &plot.table());
        out.push_str("</details></div>");
    }
    for own in &report.tables {
        let _ = write!(out, "<div class=\"card wide\"><h3>{}</h3>", to_html(short(&own.title)));
        table(out, own);
        out.push_str("</div>");
    }
    out.push_str("</div>\n");
    if !report.notes.is_empty() {
        let n = count(report.notes.len() as u64);
        let noun = if report.notes.len() == 1 { "note" } else { "notes" };
        let open = if report.notes.len() <= 8 { " open" } else { "" };
        let _ = write!(out, "<details{open}><summary>{n} {noun}</summary><ul class=\"errors\">");
        for note in report.notes.iter().take(MOST_NOTES) {
            let _ = write!(out, "<li><bdi>{}</bdi></li>", to_html(note));
        }
        let rest = report.notes.len().saturating_sub(MOST_NOTES);
        if rest > 0 {
            let _ = write!(out, "<li class=\"quiet\">and {} more</li>", count(rest as u64));
        }
        out.push_str("</ul></details>\n");
    }
    if !report.figures.is_empty() {
        let mut figures = Table::new("", ["figure", "value"]);
        for (name, value) in &report.figures {
            figures.row([name.clone(), crate::validate::shown::cell(*value, 6)]);
        }
        out.push_str("<details><summary>Every figure</summary>");
        table(out, &figures);
        out.push_str("</details>\n");
    }
    out.push_str("</section>\n");
}

fn table(out: &mut String, own: &Table) {
    out.push_str("<div class=\"scroll\"><table class=\"small\"><thead><tr>");
    let class = |at: usize| if own.is_numeric(at) { " class=\"n\"" } else { "" };
    for (at, name) in own.header.iter().enumerate() {
        let _ = write!(out, "<th scope=\"col\"{}>{}</th>", class(at), to_html(short(name)));
    }
    out.push_str("</tr></thead><tbody>");
    for row in &own.rows {
        out.push_str("<tr>");
        for (at, cell) in row.iter().enumerate() {
            let cell = to_html(short(cell));
            let _ = match at {
                0 => write!(out, "<th scope=\"row\"><bdi>{cell}</bdi></th>"),
                _ => write!(out, "<td{}><bdi>{cell}</bdi></td>", class(at)),
            };
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
}
