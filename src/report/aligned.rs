//! What a suite of `rlkd validate` found, as aligned text.

use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

use super::escape::line;
use super::html::short;
use crate::validate::shown::{Bar, Table};
use crate::validate::{Suite, SuiteReport};

/// The report for a terminal: the bars, the tables, the plots in figures, notes, and every figure. Ends with a line feed.
pub fn suite(suite: &Suite, report: &SuiteReport) -> String {
    let mut text = format!("{}: {} cases", report.suite, report.n);
    if report.passed + report.failed > 0 {
        let _ = write!(text, ", {} passed, {} failed", report.passed, report.failed);
    }
    text.push('\n');
    for bar in suite.bars {
        let _ = writeln!(text, "  {}", verdict(bar, report));
    }
    for table in report.tables.iter().cloned().chain(report.plots.iter().map(|plot| plot.table())) {
        aligned(&mut text, &table);
    }
    for note in &report.notes {
        let _ = writeln!(text, "  {}", line(note));
    }
    for (name, value) in &report.figures {
        let _ = writeln!(text, "  {:<48} {value:.6}", line(name));
    }
    text
}

/// `met: auc ≥ 0.93 (0.935)`.
fn verdict(bar: &Bar, report: &SuiteReport) -> String {
    match bar.measured(&report.figures) {
        Some((value, true)) => format!("met: {} ({value:.4})", bar.words()),
        Some((value, false)) => format!("missed: {} ({value:.4})", bar.words()),
        None => format!("not measured: {}", bar.words()),
    }
}

/// The title, the header, the rows: numbers to the right, two blanks between columns.
fn aligned(text: &mut String, table: &Table) {
    let cells = |row: &[String]| row.iter().map(|cell| line(short(cell))).collect::<Vec<String>>();
    let rows: Vec<Vec<String>> =
        std::iter::once(&table.header).chain(&table.rows).map(|row| cells(row)).collect();
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.width()).max();
    let columns: Vec<(usize, bool)> =
        (0..table.header.len()).map(|at| (width(at).unwrap_or(0), table.is_numeric(at))).collect();
    let _ = writeln!(text, "  {}:", line(short(&table.title)));
    for row in rows {
        let mut shown = String::new();
        for (cell, (width, is_numeric)) in row.iter().zip(&columns) {
            let blanks = " ".repeat(width.saturating_sub(cell.width()));
            shown.push_str("  ");
            shown.push_str(&if *is_numeric { blanks + cell } else { format!("{cell}{blanks}") });
        }
        let _ = writeln!(text, "  {}", shown.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let mut table = Table::new("By kind", ["kind", "n", "share"]);
        table.row(["swap\u{1b}".into(), "7".into(), "0.500".into()]);
        table.row(["é".into(), "1200".into(), "–".into()]);
        let mut text = String::new();
        aligned(&mut text, &table);
        assert_eq!(
            text,
            "  By kind:\n    kind      n  share\n    swap␛     7  0.500\n    é      1200      –\n"
        );
    }

    #[test]
    fn bars_are_met_or_missed() {
        let report = SuiteReport { figures: [("auc".to_owned(), 0.9)].into(), ..SuiteReport::default() };
        assert_eq!(verdict(&Bar::at_least("auc", 0.93), &report), "missed: auc ≥ 0.93 (0.9000)");
        assert_eq!(verdict(&Bar::at_most("auc", 0.9), &report), "met: auc ≤ 0.9 (0.9000)");
        assert_eq!(verdict(&Bar::at_most("ece", 0.9), &report), "not measured: ece ≤ 0.9");
    }
}
