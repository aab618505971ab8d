//! The report: one self-contained HTML page.
//!
//! The page holds no reference to anything outside it, and its security policy names the hash of its one script
//! and its one style sheet, so nothing that a trace contains can run.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::io;

use super::branches::Branches;
use super::choice::Choice;
use super::escape::to_html;
use super::histogram::Histogram;
use super::pair::{self, Scales};
use super::words::{count, number, plural};
use super::{digest, list, plot};
use crate::score::Scored;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

/// Different names of rewards, teachers and reasons that are told apart; more are counted together.
const MOST_NAMES: usize = 64;
/// Errors that are listed; the rest is only counted.
const MOST_ERRORS: usize = 50;
/// Reasons of skips that are listed.
const MOST_REASONS: usize = 12;
/// Columns of parts in the table of traces.
const MOST_COLUMNS: usize = 8;
/// Stands for the names beyond [`MOST_NAMES`].
const OTHERS: &str = "(others)";

/// What the page shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many scored traces are shown in full (default 200). Memory and page size grow with it.
    pub shown: usize,
    /// Of how many problems the teachers' tree is drawn, where records have one (default 12).
    pub trees: usize,
    /// How many bytes of each of the two traces are shown (default 48 KiB); a quarter of it for the problem.
    pub trace_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { shown: 200, trees: 12, trace_bytes: 48 << 10 }
    }
}

/// Collects scored records and writes the page.
///
/// It keeps exact counts, histograms of bounded size and a bounded choice of records (see [`Options`]), so its
/// memory does not grow with the number of records. The same records in the same order give the same bytes.
///
/// ```
/// use rlkd::report::html::Builder;
/// use rlkd::score::Scored;
///
/// let record = Scored {
///     id: "sum-1".into(),
///     student: 0,
///     reward: Some(0.5),
///     parts: Default::default(),
///     structure: None,
///     tree: None,
///     problem: Some("What is 1 < 2 worth?".into()),
/// };
/// let mut builder = Builder::default();
/// builder.push(&record);
/// let page = builder.finish("A run");
/// assert!(page.starts_with("<!doctype html>") && page.contains("What is 1 &lt; 2 worth?"));
/// ```
#[derive(Debug)]
pub struct Builder {
    choice: Choice,
    branches: Branches,
    reward: Histogram,
    scored: u64,
    skipped: u64,
    problems: u64,
    last_id: Option<String>,
    parts: BTreeMap<String, PartTotals>,
    /// The structure part by teacher; `None` stands for no teacher.
    teachers: BTreeMap<Option<u32>, Histogram>,
    without_teacher: u64,
    reasons: BTreeMap<String, u64>,
    errors: u64,
    error_lines: Vec<ErrorLine>,
}

#[derive(Debug, Default)]
struct PartTotals {
    values: Histogram,
    skipped: u64,
}

#[derive(Debug)]
struct ErrorLine {
    id: Option<String>,
    message: String,
    place: String,
}

impl Default for Builder {
    fn default() -> Self {
        Builder::new(Options::default())
    }
}

impl Builder {
    /// A builder with the given options.
    pub fn new(options: Options) -> Self {
        Builder {
            choice: Choice::new(options.shown, options.trace_bytes),
            branches: Branches::new(options.trees),
            reward: Histogram::default(),
            scored: 0,
            skipped: 0,
            problems: 0,
            last_id: None,
            parts: BTreeMap::new(),
            teachers: BTreeMap::new(),
            without_teacher: 0,
            reasons: BTreeMap::new(),
            errors: 0,
            error_lines: Vec::new(),
        }
    }

    /// Adds a scored trace. Records of one problem are expected one after the other, as `rlkd score` writes
    /// them; problems are counted by changes of the id.
    pub fn push(&mut self, record: &Scored) {
        if self.last_id.as_deref() != Some(record.id.as_str()) {
            self.problems += 1;
            self.last_id = Some(record.id.clone());
        }
        match record.reward.filter(|reward| reward.is_finite()) {
            Some(reward) => {
                self.scored += 1;
                self.reward.push(reward);
            }
            None => self.skipped += 1,
        }
        for (name, part) in &record.parts {
            let name = bounded(&self.parts, name);
            let totals = self.parts.entry(name.to_owned()).or_default();
            match part.value.filter(|value| value.is_finite()) {
                Some(value) => totals.values.push(value),
                None => {
                    totals.skipped += 1;
                    let why = part.skipped.as_ref().map_or("no reason given", |why| short(&why.0));
                    let reason = format!("{name}: {why}");
                    let reason = bounded(&self.reasons, &reason).to_owned();
                    *self.reasons.entry(reason).or_insert(0) += 1;
                }
            }
        }
        match &record.structure {
            Some(explained) => {
                let full = self.teachers.len() >= MOST_NAMES;
                let key = Some(explained.teacher);
                let key = if full && !self.teachers.contains_key(&key) { None } else { key };
                self.teachers.entry(key).or_default().push(explained.alignment.total);
            }
            None => self.without_teacher += 1,
        }
        self.branches.push(record);
        self.choice.offer(record);
    }

    /// Adds a record that could not be scored at all: its id if it has one, what went wrong, and where.
    pub fn push_error(&mut self, id: Option<&str>, message: &str, place: &str) {
        self.errors += 1;
        if self.error_lines.len() < MOST_ERRORS {
            self.error_lines.push(ErrorLine {
                id: id.map(|id| short(id).to_owned()),
                message: short(message).to_owned(),
                place: short(place).to_owned(),
            });
        }
    }

    /// The page.
    pub fn finish(self, title: &str) -> String {
        let mut page = String::new();
        let written: Result<(), Infallible> = self.render(title, |piece| {
            page.push_str(piece);
            Ok(())
        });
        match written {
            Ok(()) => page,
        }
    }

    /// Writes the page, trace by trace.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_to(self, title: &str, out: &mut impl io::Write) -> io::Result<()> {
        self.render(title, |piece| out.write_all(piece.as_bytes()))
    }

    fn render<E>(mut self, title: &str, mut put: impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        let choice = std::mem::replace(&mut self.choice, Choice::new(0, 0));
        let branches = std::mem::replace(&mut self.branches, Branches::new(0));
        let (chosen, mut branches) = (choice.finish(self.reward.quantile(0.5)), Some(branches));
        // One pass over the template, so that nothing inserted is read as a template again.
        for (i, piece) in PAGE.split("{{").enumerate() {
            let Some((name, text)) = piece.split_once("}}").filter(|_| i > 0) else {
                put(piece)?;
                continue;
            };
            match name {
                "title" => put(&to_html(short(title)))?,
                "style" => put(STYLE)?,
                "script" => put(SCRIPT)?,
                "style-hash" => put(&digest::source(STYLE))?,
                "script-hash" => put(&digest::source(SCRIPT))?,
                "totals" => put(&self.totals())?,
                "distributions" => put(&self.distributions())?,
                "troubles" => put(&self.troubles())?,
                "trees" => put(&branches.take().map_or_else(String::new, Branches::section))?,
                "list" => {
                    let columns: Vec<&String> = self.parts.keys().take(MOST_COLUMNS).collect();
                    put(&list::table(&chosen, self.scored + self.skipped, &columns))?;
                }
                "pairs" => {
                    let scales = self.scales();
                    for (n, (kept, reasons)) in chosen.iter().enumerate() {
                        put(&pair::article(n, kept, reasons, &scales))?;
                    }
                }
                _ => unreachable!("an unknown name in the page's own template: {name}"),
            }
            put(text)?;
        }
        Ok(())
    }

    fn totals(&self) -> String {
        let records = self.scored + self.skipped + self.errors;
        let mut out = String::from("<dl class=\"totals\">");
        for (name, value, class) in [
            ("Records", records, ""),
            ("Problems", self.problems, ""),
            ("Scored", self.scored, ""),
            ("Skipped", self.skipped, "amber"),
            ("Errors", self.errors, "red"),
        ] {
            let class = if value > 0 { class } else { "" };
            let _ = write!(out, "<div><dt>{name}</dt><dd class=\"{class}\">{}</dd></div>", count(value));
        }
        if let Some(mean) = self.reward.mean() {
            let _ = write!(out, "<div class=\"lead\"><dt>Mean reward</dt><dd>{}</dd></div>", number(mean));
        }
        out + "</dl>"
    }

    fn distributions(&self) -> String {
        let mut out = String::new();
        card(&mut out, "Reward, total", "total", &self.reward, self.skipped);
        // The structure part is what the page is about: it comes first.
        let structure = self.parts.iter().filter(|(name, _)| *name == "structure");
        for (name, part) in structure.chain(self.parts.iter().filter(|(name, _)| *name != "structure")) {
            card(&mut out, short(name), "", &part.values, part.skipped);
        }
        if self.teachers.len() + usize::from(self.without_teacher > 0) > 1 {
            self.by_teacher(&mut out);
        }
        out
    }

    fn by_teacher(&self, out: &mut String) {
        out.push_str(
            "<section class=\"card\"><h3>Structure, by the teacher matched best</h3><div class=\"scroll\"><table class=\"small\"><thead><tr><th scope=\"col\">Teacher</th>\
             <th scope=\"col\" class=\"n\">Traces</th><th scope=\"col\" class=\"n\">Mean</th><th scope=\"col\" class=\"n\">Median</th></tr></thead><tbody>",
        );
        // `None` sorts first but reads last.
        let named = self.teachers.iter().filter(|(teacher, _)| teacher.is_some());
        for (teacher, values) in named.chain(self.teachers.get_key_value(&None)) {
            let name = teacher.map_or_else(|| OTHERS.to_owned(), |teacher| teacher.to_string());
            let _ = write!(
                out,
                "<tr><th scope=\"row\">{name}</th><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
                count(values.count()),
                values.mean().map_or("–".into(), number),
                values.quantile(0.5).map_or("–".into(), number)
            );
        }
        if self.without_teacher > 0 {
            let _ = write!(
                out,
                "<tr><th scope=\"row\">none</th><td class=\"n\">{}</td><td class=\"n\">–</td><td class=\"n\">–</td></tr>",
                count(self.without_teacher)
            );
        }
        out.push_str("</tbody></table></div></section>");
    }

    fn troubles(&self) -> String {
        let mut out = String::new();
        if !self.reasons.is_empty() {
            let mut reasons: Vec<_> = self.reasons.iter().collect();
            reasons.sort_by_key(|(reason, n)| (std::cmp::Reverse(**n), reason.as_str()));
            out.push_str("<section class=\"card\"><h3>Why parts were skipped</h3><ul class=\"counted\">");
            for (reason, n) in reasons.iter().take(MOST_REASONS) {
                let _ = write!(out, "<li><b>{}</b> <bdi>{}</bdi></li>", count(**n), to_html(reason));
            }
            let rest: u64 = reasons.iter().skip(MOST_REASONS).map(|(_, n)| **n).sum();
            if rest > 0 {
                let _ = write!(out, "<li><b>{}</b> for other reasons</li>", count(rest));
            }
            out.push_str("</ul></section>");
        }
        if self.errors > 0 {
            let noun = if self.errors == 1 { "record" } else { "records" };
            let _ = write!(
                out,
                "<section class=\"card\"><h3>{} {noun} with errors</h3><ul class=\"errors\">",
                count(self.errors)
            );
            for error in &self.error_lines {
                let _ = write!(out, "<li><code>{}</code> ", to_html(&error.place));
                if let Some(id) = &error.id {
                    let _ = write!(out, "<bdi class=\"quiet\">{}</bdi> ", to_html(id));
                }
                let _ = write!(out, "<bdi>{}</bdi></li>", to_html(&error.message));
            }
            let rest = self.errors - self.error_lines.len() as u64;
            if rest > 0 {
                let _ = write!(out, "<li class=\"quiet\">and {} more</li>", count(rest));
            }
            out.push_str("</ul></section>");
        }
        if out.is_empty() { out } else { format!("<div class=\"cards troubles\">{out}</div>") }
    }

    /// The values of each part that its bars are drawn against.
    fn scales(&self) -> Scales {
        let range = |part: &PartTotals| part.values.range().unwrap_or((0.0, 1.0));
        self.parts
            .iter()
            .map(|(name, part)| (name.clone(), range(part)))
            .map(|(name, (low, high))| (name, (low.min(0.0), high.max(1.0))))
            .collect()
    }
}

/// Records side by side with their teachers, for another page.
pub(super) fn articles(records: &[Scored]) -> String {
    let mut builder = Builder::new(Options { shown: records.len(), trees: 0, ..Options::default() });
    records.iter().for_each(|record| builder.push(record));
    let choice = std::mem::replace(&mut builder.choice, Choice::new(0, 0));
    let scales = builder.scales();
    let chosen = choice.finish(builder.reward.quantile(0.5));
    chosen.iter().enumerate().map(|(n, (kept, _))| pair::article(n, kept, &[], &scales)).collect()
}

/// A distribution: its figures and its histogram.
fn card(out: &mut String, name: &str, class: &str, values: &Histogram, skipped: u64) {
    let _ = write!(out, "<section class=\"card {class}\"><h3><bdi>{}</bdi></h3>", to_html(name));
    match (values.mean(), values.quantile(0.5), values.range()) {
        (Some(mean), Some(median), Some((min, max))) => {
            let _ = write!(
                out,
                "<dl class=\"figures\"><div class=\"key-mean\"><dt>mean</dt><dd>{}</dd></div><div class=\"key-median\"><dt>median</dt><dd>{}</dd></div>\
                 <div><dt>range</dt><dd>{} … {}</dd></div></dl>{}",
                number(mean),
                number(median),
                number(min),
                number(max),
                plot::histogram(name, values)
            );
        }
        _ => out.push_str("<p class=\"quiet\">No values.</p>"),
    }
    let _ = write!(out, "<p class=\"quiet foot\">{} scored", count(values.count()));
    if skipped > 0 {
        let _ = write!(out, ", {} skipped", plural(skipped as usize, "trace"));
    }
    out.push_str("</p></section>");
}

/// The key under which `name` is counted: itself, unless there are too many.
fn bounded<'a, V>(map: &BTreeMap<String, V>, name: &'a str) -> &'a str {
    let name = short(name);
    if map.len() < MOST_NAMES || map.contains_key(name) { name } else { OTHERS }
}

/// The first 200 bytes or so of a name or a message from a record: enough to know it by.
pub(super) fn short(text: &str) -> &str {
    super::escape::prefix(text, 200)
}
