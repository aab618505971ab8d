//! Views for the terminal: one scored trace side by side with its teacher, and tables of means.
//!
//! Text from records is stripped of control characters, so a trace cannot steer the terminal. Whether to
//! use colour, and how wide the terminal is, is the caller's to find out.

use std::fmt::Write;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::escape::{line, plain};
use super::html::short;
use super::rows::{Fate, Row as Place, View};
use super::words::{brief, how, is_partial, normalised, number, plural, verdict};
use crate::score::{Explained, Scored};
use crate::trace::{End, Span, Step, StepKind, StepList};

pub use super::table::table;
pub use crate::tally::Row;

/// Below this width the two sides are stacked.
const SIDE_BY_SIDE: usize = 80;
/// Nothing is laid out narrower than this.
const NARROWEST: usize = 40;
/// Columns that value, weight and points take beside the name of a part.
const PART_FIGURES: usize = 30;
/// Prose is not set wider than this.
const PROSE: usize = 100;

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const CYAN: &str = "36";

/// A line of a cell: the mark before it and its text, each with the SGR code that it is shown in ("" for none).
struct Line {
    mark: (String, &'static str),
    text: (String, &'static str),
}

/// Where lines go, in colour or not.
struct Screen {
    out: String,
    color: bool,
}

impl Screen {
    fn put(&mut self, text: &str, code: &str) {
        let words = text.trim_end_matches(' ');
        if self.color && !code.is_empty() && !words.is_empty() {
            let _ = write!(self.out, "\x1b[{code}m{words}\x1b[0m{}", &text[words.len()..]);
        } else {
            self.out.push_str(text);
        }
    }

    fn line(&mut self, text: &str, code: &str) {
        self.put(text, code);
        self.end();
    }

    /// Lines of prose.
    fn prose(&mut self, text: &str, width: usize, code: &str) {
        wrap(text, width).iter().for_each(|text| self.line(text, code));
    }

    /// A line of a cell, filled with spaces to `width`.
    fn cell(&mut self, line: Option<&Line>, width: usize) {
        match line {
            Some(Line { mark, text }) => {
                self.put(&fit(&mark.0, MARK), mark.1);
                self.put(&fit(&text.0, width.saturating_sub(MARK)), text.1);
            }
            None => self.put(&fit("", width), ""),
        }
    }

    fn end(&mut self) {
        let kept = self.out.trim_end_matches(' ').len();
        self.out.truncate(kept);
        self.out.push('\n');
    }
}

/// Shows one scored trace: the problem, the parts of the reward, the steps of teacher and student side by side
/// (stacked below 80 columns), and how the structure part came about.
///
/// `width` is in terminal columns (at least 40 are used); with `color`, SGR sequences are used. Every line ends
/// with a line feed.
pub fn explain(record: &Scored, width: usize, color: bool) -> String {
    let width = width.max(NARROWEST);
    let mut screen = Screen { out: String::new(), color };
    let head = format!("{}  student {}", line(short(&record.id)), record.student);
    screen.prose(&head, width, BOLD);
    if let Some(problem) = &record.problem {
        screen.end();
        screen.prose(&plain(problem), width.min(PROSE), "");
    }
    screen.end();
    parts(&mut screen, record, width);
    if let Some(explained) = &record.structure {
        match (&explained.teacher_steps, &explained.student_steps) {
            (Some(teacher), Some(student)) => {
                screen.end();
                steps(&mut screen, record.student, explained, teacher, student, width);
            }
            _ => {
                screen.end();
                screen.prose(
                    "The record holds no step texts; score with full detail to see them.",
                    width,
                    DIM,
                );
            }
        }
        screen.end();
        screen.prose(&how(&explained.alignment), width.min(PROSE), "");
    }
    screen.out
}

fn parts(screen: &mut Screen, record: &Scored, width: usize) {
    let name_width = record.parts.keys().map(|name| line(short(name)).width()).max().unwrap_or(0);
    let name_width = name_width.clamp("reward".len(), width - PART_FIGURES);
    screen.line(
        &format!("{}  {:>8}   {:>6}   {:>8}", fit("reward", name_width), "value", "weight", "points"),
        DIM,
    );
    for (name, part) in &record.parts {
        let label = fit(&line(short(name)), name_width);
        let weight = brief(part.weight);
        match part.value {
            Some(value) => {
                let points = number(value * part.weight);
                screen.line(&format!("{label}  {:>8} × {weight:>6} = {points:>8}", number(value)), "");
            }
            None => {
                screen.put(&format!("{label}  "), "");
                screen.line(&format!("{:>8} × {weight:>6}", "skipped"), YELLOW);
                if let Some(why) = &part.skipped {
                    for text in wrap(&line(short(&why.0)), width - MARK) {
                        screen.line(&format!("{:MARK$}{text}", ""), DIM);
                    }
                }
            }
        }
    }
    screen.put(&format!("{}  ", fit("total", name_width)), BOLD);
    match record.reward {
        Some(reward) => screen.line(&format!("{:>28}", number(reward)), BOLD),
        None => screen.line(&format!("{:>28}", "not scored"), YELLOW),
    }
    if let Some(note) = normalised(record) {
        screen.prose(note, width, DIM);
    }
}

fn steps(
    screen: &mut Screen,
    student_number: u32,
    explained: &Explained,
    teacher: &StepList,
    student: &StepList,
    width: usize,
) {
    let view = View::new(explained);
    let title = |name: &str, number: u32, list: &StepList| {
        format!("{name} {number}: {}", plural(list.steps.len(), "step"))
    };
    let titles = (title("Teacher", explained.teacher, teacher), title("Student", student_number, student));
    let left = |index: usize| cell(&teacher.text, &teacher.steps[index], view.teacher[index], &view);
    let right = |index: usize| cell(&student.text, &student.steps[index], view.student[index], &view);
    let stacked = width < SIDE_BY_SIDE;
    // " │ " stands between the columns.
    let column = if stacked { width } else { (width - 3) / 2 };
    if stacked {
        screen.prose(&format!("{} · {}", titles.0, titles.1), width, BOLD);
    } else {
        screen.put(&fit(&titles.0, column), BOLD);
        screen.put(" │ ", DIM);
        screen.line(&titles.1, BOLD);
    }
    for row in view.rows() {
        let rule =
            if stacked { "─".repeat(width) } else { format!("{0}─┼─{0}", "─".repeat(column)) };
        screen.line(&rule, DIM);
        let (left, right) = match row {
            Place::Both { teacher, student } => (Some(left(teacher)), Some(right(student))),
            Place::Teacher(index) => (Some(left(index)), None),
            Place::Student(index) => (None, Some(right(index))),
        };
        if stacked {
            for (name, cell) in [("teacher", left), ("student", right)] {
                if let Some(cell) = cell {
                    screen.line(name, DIM);
                    for line in cell.lines(column) {
                        screen.cell(Some(&line), column);
                        screen.end();
                    }
                }
            }
        } else {
            let lines = |cell: Option<Cell>| cell.map_or_else(Vec::new, |cell| cell.lines(column));
            let (left, right) = (lines(left), lines(right));
            for i in 0..left.len().max(right.len()) {
                screen.cell(left.get(i), column);
                screen.put(" │ ", DIM);
                screen.cell(right.get(i), column);
                screen.end();
            }
        }
        if let Place::Both { teacher, .. } = row
            && let Fate::Matched(number) = view.teacher[teacher]
        {
            let pair = view.pairs[number - 1];
            let code = if is_partial(pair) { CYAN } else { GREEN };
            let indent = if stacked { MARK } else { 0 };
            for text in wrap(&verdict(pair), width - indent) {
                screen.line(&format!("{:indent$}{text}", ""), code);
            }
        }
    }
    for (name, list) in [("teacher", teacher), ("student", student)] {
        let note = match list.end {
            End::Complete => continue,
            End::Truncated => format!("The {name}'s text stops in the middle of a step."),
            End::Malformed { at } => format!("The {name}'s text could not be read from byte {at} on."),
        };
        screen.prose(&note, width, YELLOW);
    }
}

/// Columns that the mark before a step takes.
const MARK: usize = 4;

/// One step, ready to be wrapped.
struct Cell {
    mark: String,
    label: &'static str,
    /// Reasoning, sub-problem, answer; only those that are there.
    texts: Vec<(String, &'static str)>,
    code: &'static str,
}

fn cell(text: &str, step: &Step, fate: Fate, view: &View<'_>) -> Cell {
    let (mark, label, code) = match fate {
        Fate::Matched(number) if is_partial(view.pairs[number - 1]) => (number.to_string(), "", CYAN),
        Fate::Matched(number) => (number.to_string(), "", GREEN),
        Fate::Skipped => ("–".to_owned(), "skipped", RED),
        Fate::Extra => ("+".to_owned(), "extra", YELLOW),
        Fate::Part => ("·".to_owned(), "part of the step beside it", DIM),
        Fate::Aside(StepKind::Backtrack) => ("·".to_owned(), "abandoned", DIM),
        Fate::Aside(StepKind::Restate) => ("·".to_owned(), "said before", DIM),
        Fate::Aside(_) => ("·".to_owned(), "check", DIM),
        Fate::Unmentioned => ("·".to_owned(), "not compared", DIM),
    };
    let dim = matches!(fate, Fate::Aside(_) | Fate::Unmentioned);
    let of = |span: Span, code: &'static str| {
        let words = plain(span.of(text).trim_end().trim_start_matches(['\r', '\n']));
        (!words.is_empty()).then_some((words, if dim { DIM } else { code }))
    };
    let texts =
        [of(step.meta, DIM), of(step.sub_problem, BOLD), of(step.answer, "")].into_iter().flatten().collect();
    Cell { mark, label, texts, code }
}

impl Cell {
    /// Lines of at most `width` columns. The first carries the mark, and the label if there is one.
    fn lines(&self, width: usize) -> Vec<Line> {
        let mut mark = (format!("{:>2}", self.mark), self.code);
        let mut lines = Vec::new();
        if !self.label.is_empty() || self.texts.is_empty() {
            lines.push(Line { mark: std::mem::take(&mut mark), text: (self.label.to_owned(), self.code) });
        }
        for (text, code) in &self.texts {
            for words in wrap(text, width.saturating_sub(MARK)) {
                lines.push(Line { mark: std::mem::take(&mut mark), text: (words, code) });
            }
        }
        lines
    }
}

/// Breaks text into lines of at most `width` columns, at spaces where there are any. Line feeds in the text are
/// kept, white space at the ends of lines is not.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(2);
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut current = String::new();
        let mut used = 0;
        for word in paragraph.split_inclusive(' ') {
            let size = word.trim_end().width();
            if used > 0 && used + size > width {
                lines.push(std::mem::take(&mut current));
                used = 0;
            }
            if size <= width {
                current.push_str(word);
                used += word.width();
                continue;
            }
            // A word longer than a line is broken where the line ends.
            for c in word.chars() {
                let wide = c.width().unwrap_or(0);
                if used + wide > width {
                    lines.push(std::mem::take(&mut current));
                    used = 0;
                }
                current.push(c);
                used += wide;
            }
        }
        lines.push(current);
    }
    lines.iter_mut().for_each(|line| line.truncate(line.trim_end().len()));
    lines
}

/// `text` in exactly `width` columns: cut with `…`, or filled with spaces.
pub(super) fn fit(text: &str, width: usize) -> String {
    let mut out = String::with_capacity(text.len().max(width));
    let mut used = 0;
    if text.width() <= width {
        out.push_str(text);
        used = text.width();
    } else {
        for c in text.chars() {
            let wide = c.width().unwrap_or(0);
            if used + wide + 1 > width {
                break;
            }
            out.push(c);
            used += wide;
        }
        if used < width {
            out.push('…');
            used += 1;
        }
    }
    out.extend(std::iter::repeat_n(' ', width.saturating_sub(used)));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapping_counts_columns_not_bytes() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("中文中文中", 4), ["中文", "中文", "中"]);
        assert_eq!(wrap("a\n\n  b", 9), ["a", "", "  b"]);
        assert_eq!(wrap("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        assert_eq!(wrap("", 9), [""; 0]);
    }

    #[test]
    fn fitting_fills_or_cuts() {
        assert_eq!(fit("ab", 4), "ab  ");
        assert_eq!(fit("abcdef", 4), "abc…");
        assert_eq!(fit("中文中", 4), "中… ");
        assert_eq!(fit("abc", 0), "");
    }
}
