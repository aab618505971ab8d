//! A table of means, one row a group.

use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

use super::escape::line;
use super::html::short;
use super::terminal::fit;
use super::words::{count, number};
use crate::tally::Row;

/// Lays groups out as a table: traces, mean reward, mean of each part, skipped. With more than one group, a last
/// row gives all together. Where the parts do not fit in `width` columns, they go on in a second table below.
/// Every line ends with a line feed; there is none without groups.
pub fn table(rows: &[Row], width: usize, color: bool) -> String {
    let mut rows = rows.to_vec();
    if rows.len() > 1 {
        let mut all = Row::new("all");
        rows.iter().for_each(|row| all.merge(row));
        rows.push(all);
    }
    let has_all = rows.len() > 1;
    let mut out = String::new();
    if rows.is_empty() {
        return out;
    }
    let mean = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), number);
    let names: Vec<String> = rows.iter().map(|row| line(short(&row.name))).collect();
    let mut columns: Vec<(String, Vec<String>)> = vec![
        ("n".into(), rows.iter().map(|row| count(row.n)).collect()),
        ("reward".into(), rows.iter().map(|row| mean(row.reward())).collect()),
        ("skipped".into(), rows.iter().map(|row| count(row.skipped())).collect()),
    ];
    let fixed = columns.len();
    let parts: std::collections::BTreeSet<&str> = rows.iter().flat_map(Row::part_names).collect();
    columns.extend(parts.iter().map(|name| {
        (line(short(name)), rows.iter().map(|row| mean(row.part(name))).collect::<Vec<String>>())
    }));
    let widths: Vec<usize> = columns
        .iter()
        .map(|(head, cells)| {
            cells.iter().map(|cell| cell.width()).max().unwrap_or(0).max(head.width().min(24))
        })
        .collect();
    let widest = names.iter().map(|name| name.width()).max().unwrap_or(0);
    let first = widest.clamp(4, (width / 3).max(8));
    let mut begin = 0;
    while begin < columns.len() {
        // The fixed columns stay together; then as many parts as fit, at least one.
        let mut used = first;
        let mut end = begin;
        while end < columns.len() {
            used += 2 + widths[end];
            if used > width && end > begin && end >= fixed {
                break;
            }
            end += 1;
        }
        if begin > 0 {
            out.push('\n');
        }
        let mut put = |text: &str, code: &str| {
            let text = text.trim_end();
            let _ = if color && !code.is_empty() {
                writeln!(out, "\x1b[{code}m{text}\x1b[0m")
            } else {
                writeln!(out, "{text}")
            };
        };
        let mut head = fit("", first);
        for ((name, _), wide) in columns[begin..end].iter().zip(&widths[begin..end]) {
            head += "  ";
            head += &right(name, *wide);
        }
        put(&head, "2");
        for (i, name) in names.iter().enumerate() {
            let mut text = fit(name, first);
            for ((_, cells), wide) in columns[begin..end].iter().zip(&widths[begin..end]) {
                text += "  ";
                text += &right(&cells[i], *wide);
            }
            put(&text, if has_all && i + 1 == names.len() { "1" } else { "" });
        }
        begin = end;
    }
    out
}

/// `text` at the right of `width` columns, cut with `…` if it is longer.
fn right(text: &str, width: usize) -> String {
    let cut = fit(text, width);
    let text = cut.trim_end();
    format!("{}{text}", " ".repeat(width.saturating_sub(text.width())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::{Part, Scored};

    fn record(reward: Option<f64>, structure: Option<f64>) -> Scored {
        let part = Part { value: structure, weight: 15.0, skipped: None };
        Scored {
            id: "a".into(),
            student: 0,
            reward,
            parts: [
                ("accuracy".into(), Part { value: Some(1.0), weight: 15.0, skipped: None }),
                ("structure".into(), part),
            ]
            .into(),
            structure: None,
            tree: None,
            problem: None,
        }
    }

    fn rows() -> Vec<Row> {
        let (mut math, mut code) = (Row::new("math"), Row::new("co\u{1b}de"));
        math.push(&record(Some(20.0), Some(0.5)));
        math.push(&record(Some(30.0), Some(1.0)));
        code.push(&record(None, None));
        vec![math, code]
    }

    #[test]
    fn means_leave_out_what_was_skipped() {
        assert_eq!(
            table(&rows(), 80, false),
            [
                "       n  reward  skipped  accuracy  structure",
                "math   2   25.00        0      1.00       0.75",
                "co␛de  1       –        1      1.00          –",
                "all    3   25.00        1      1.00       0.75",
                "",
            ]
            .join("\n")
        );
        assert_eq!(table(&[], 80, false), "");
    }

    #[test]
    fn narrow_tables_go_on_below() {
        let narrow = table(&rows(), 40, true);
        assert_eq!(narrow.lines().count(), 9, "{narrow}");
        assert!(narrow.contains("\u{1b}[1mall"));
    }
}
