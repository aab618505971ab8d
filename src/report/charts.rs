//! The plots of a suite as SVG. Colours come from the style sheet by class.

use std::fmt::Write;

use super::escape::to_html;
use super::html::short;
use super::plot::{axis, tick};
use super::words::{count, number};
use crate::validate::shown::{Bin, Drawing, Plot};

/// The drawings, in their own units; the page scales them to the width of their column.
const WIDTH: f64 = 320.0;
const LEFT: f64 = 40.0;
const RIGHT: f64 = WIDTH - 10.0;
const TOP: f64 = 20.0;
/// What stands below the axis: the ticks and the name of the axis.
const BELOW: f64 = 36.0;
/// Curves over [0, 1] × [0, 1] are nearly square, so that their diagonal looks like one.
const SQUARE: f64 = 300.0;
const FLAT: f64 = 190.0;
const LOW: f64 = 130.0;
/// Colours of lines that are told apart.
const HUES: usize = 5;

/// A drawing area with its scales.
struct Frame {
    svg: String,
    x: (f64, f64),
    y: (f64, f64),
    base: f64,
}

impl Frame {
    /// Axes with ticks and names; `told` says in words what is drawn.
    fn new(
        told: &str,
        height: f64,
        (x, x_ticks): ((f64, f64), &[f64]),
        (y, y_ticks): ((f64, f64), &[f64]),
        names: [&str; 2],
    ) -> Self {
        let told = to_html(told);
        let svg = format!(
            "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{told}\">"
        );
        let mut frame = Frame { svg, x, y, base: height - BELOW };
        let base = frame.base;
        for value in y_ticks {
            let at = frame.at_y(*value);
            let _ = write!(
                frame.svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text class=\"tick end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                LEFT - 5.0,
                at + 4.0,
                tick(*value)
            );
        }
        for value in x_ticks {
            let (at, label) = (frame.at_x(*value), tick(*value));
            let y = base + 15.0;
            let _ = write!(frame.svg, "<text class=\"tick\" x=\"{at:.1}\" y=\"{y:.1}\">{label}</text>");
        }
        let _ = write!(
            frame.svg,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{base}\" y2=\"{base}\"/>\
             <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\">{}</text><text class=\"tick name\" x=\"2\" y=\"10\">{}</text>",
            f64::midpoint(LEFT, RIGHT),
            base + 31.0,
            to_html(short(names[0])),
            to_html(short(names[1]))
        );
        frame
    }

    fn at_x(&self, value: f64) -> f64 {
        LEFT + (value - self.x.0) / (self.x.1 - self.x.0) * (RIGHT - LEFT)
    }

    fn at_y(&self, value: f64) -> f64 {
        self.base - (value - self.y.0) / (self.y.1 - self.y.0) * (self.base - TOP)
    }

    fn line(&mut self, class: &str, points: &[(f64, f64)]) {
        let points: Vec<String> =
            points.iter().map(|(x, y)| format!("{:.1},{:.1}", self.at_x(*x), self.at_y(*y))).collect();
        let _ = write!(self.svg, "<polyline class=\"{class}\" points=\"{}\"/>", points.join(" "));
    }

    /// A bar from the axis upwards; one that is too low to be seen is drawn as a line.
    fn bar(&mut self, low: f64, high: f64, y: f64, told: &str) {
        let (left, right, top) = (self.at_x(low), self.at_x(high), self.at_y(y).min(self.base - 1.5));
        let _ = write!(
            self.svg,
            "<rect class=\"bar\" x=\"{:.2}\" y=\"{top:.2}\" width=\"{:.2}\" height=\"{:.2}\" rx=\"1\"><title>{}</title></rect>",
            left + 0.6,
            (right - left - 1.2).max(0.8),
            self.base - top,
            to_html(told)
        );
    }

    fn dot(&mut self, class: &str, (x, y): (f64, f64), told: &str) {
        let (x, y) = (self.at_x(x), self.at_y(y));
        let told = to_html(told);
        let _ = write!(
            self.svg,
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"><title>{told}</title></circle>"
        );
    }

    fn end(mut self) -> String {
        self.svg.push_str("</svg>");
        self.svg
    }
}

/// The ends and ticks of [0, 1].
const UNIT: ((f64, f64), &[f64]) = ((0.0, 1.0), &[0.0, 0.25, 0.5, 0.75, 1.0]);

/// The drawing of a plot. Values that cannot be drawn leave a sentence.
pub(super) fn draw(plot: &Plot) -> String {
    match &plot.drawing {
        Drawing::Reliability(bins) => reliability(&plot.title, bins),
        Drawing::Roc { points, area } => {
            let told = format!("{}: area {}", plot.title, number(*area));
            let mut frame =
                Frame::new(&told, SQUARE, UNIT, UNIT, ["share of false alarms", "share that is found"]);
            frame.line("diagonal", &[(0.0, 0.0), (1.0, 1.0)]);
            frame.line("line hue-0", points);
            frame.end() + &format!("<p class=\"quiet foot\">area {area:.4}</p>")
        }
        Drawing::Histograms { x, low, high, groups } => histograms(&plot.title, x, (*low, *high), groups),
        Drawing::Lines { x, y, lines } => lines_of(&plot.title, [x, y], lines),
    }
}

fn reliability(title: &str, bins: &[Bin]) -> String {
    let all: usize = bins.iter().map(|bin| bin.n).sum();
    let most = bins.iter().map(|bin| bin.n).max().unwrap_or(0).max(1);
    let told = format!("{title}: {} pairs in {} bins", count(all as u64), bins.len());
    let mut frame = Frame::new(&told, SQUARE, UNIT, UNIT, ["stated probability", "share that came true"]);
    let width = 1.0 / bins.len().max(1) as f64;
    // How many there are stands below, up to a quarter of the height.
    for (at, bin) in bins.iter().enumerate().filter(|(_, bin)| bin.n > 0) {
        let (low, share) = (at as f64 * width, bin.n as f64 / most as f64);
        frame.bar(low, low + width, 0.25 * share, &format!("{} pairs", count(bin.n as u64)));
    }
    frame.line("diagonal", &[(0.0, 0.0), (1.0, 1.0)]);
    let there: Vec<&Bin> = bins.iter().filter(|bin| bin.n > 0).collect();
    let points: Vec<(f64, f64)> = there.iter().map(|bin| (bin.stated, bin.came_true)).collect();
    frame.line("line hue-0", &points);
    for bin in there {
        let (stated, came) = (number(bin.stated), number(bin.came_true));
        let told = format!("stated {stated}, came true {came}, {} pairs", count(bin.n as u64));
        frame.dot("point hue-0", (bin.stated, bin.came_true), &told);
    }
    frame.end()
}

/// One below the other, each in shares of its own values on the same scale, so that few and many can be compared.
fn histograms(title: &str, x: &str, (low, high): (f64, f64), groups: &[(String, Vec<usize>)]) -> String {
    let Some(across) = axis(low, high) else { return beyond() };
    let total = |counts: &[usize]| counts.iter().sum::<usize>();
    let share = |n: usize, counts: &[usize]| n as f64 / total(counts).max(1) as f64;
    let shares = groups.iter().flat_map(|(_, counts)| counts.iter().map(|n| share(*n, counts)));
    // Up to a round share.
    let most = (shares.fold(0.0, f64::max).max(0.01) * 20.0).ceil() / 20.0;
    let mut out = String::new();
    for (name, counts) in groups {
        let head = format!("{name}: {}", count(total(counts) as u64));
        let told = format!("{title}, {head}");
        let scale = ((0.0, most), &[0.0, most][..]);
        let mut frame = Frame::new(&told, LOW, ((across.low, across.high), &across.ticks), scale, [x, &head]);
        let step = (high - low) / counts.len().max(1) as f64;
        for (at, n) in counts.iter().enumerate().filter(|(_, n)| **n > 0) {
            let from = low + step * at as f64;
            let told = format!("{} to {}: {}", tick(from), tick(from + step), count(*n as u64));
            frame.bar(from, from + step, share(*n, counts), &told);
        }
        out.push_str(&frame.end());
    }
    out
}

fn lines_of(title: &str, names: [&str; 2], lines: &[(String, Vec<(f64, f64)>)]) -> String {
    let all = || lines.iter().flat_map(|(_, points)| points);
    let range = |of: fn(&(f64, f64)) -> f64| {
        let ends = all().map(of).fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
        (ends.0 <= ends.1).then(|| axis(ends.0, ends.1)).flatten()
    };
    let (Some(x), Some(y)) = (range(|point| point.0), range(|point| point.1)) else { return beyond() };
    let told = format!("{title}: {} over {}", names[1], names[0]);
    let mut frame = Frame::new(&told, FLAT, ((x.low, x.high), &x.ticks), ((y.low, y.high), &y.ticks), names);
    for (at, (name, points)) in lines.iter().enumerate() {
        let hue = at % HUES;
        frame.line(&format!("line hue-{hue}"), points);
        // A single point makes no line, and a few are worth marks.
        for point in points.iter().filter(|_| points.len() <= 20) {
            let told = format!("{name}: {}, {}", number(point.0), number(point.1));
            frame.dot(&format!("point hue-{hue}"), *point, &told);
        }
    }
    let mut out = frame.end();
    if lines.len() > 1 {
        out.push_str("<ul class=\"keys\">");
        for (at, (name, _)) in lines.iter().enumerate() {
            let _ = write!(out, "<li class=\"hue-{}\"><bdi>{}</bdi></li>", at % HUES, to_html(short(name)));
        }
        out.push_str("</ul>");
    }
    out
}

fn beyond() -> String {
    "<p class=\"quiet\">There is nothing that could be drawn.</p>".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_plot_is_drawn_within_its_frame() {
        let labels = [true, false, true, false];
        let scores = [0.9, 0.2, 0.6, 0.7];
        let plots = [
            Plot::reliability("a < b", &scores, &labels),
            Plot::roc("roc", &scores, &labels).expect("both labels"),
            Plot::histograms("h", "reward", (0.0, 1.0), &[("<right>", vec![0.5, 1.0]), ("wrong", vec![0.1])]),
            Plot::lines(
                "l",
                "x",
                "y",
                vec![("<one>".into(), vec![(1.0, -3.0), (900.0, 40.0)]), ("two".into(), vec![(2.0, 2.0)])],
            ),
        ];
        let drawn: Vec<String> = plots.iter().map(draw).collect();
        for svg in &drawn {
            assert!(svg.starts_with("<svg class=\"plot\"") && !svg.contains("NaN"), "{svg}");
            for attribute in [" cx=\"", " x1=\"", " x=\""] {
                for value in svg.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()) {
                    let value: f64 = value.parse().expect("a number");
                    assert!((0.0..=WIDTH).contains(&value), "{attribute}{value}");
                }
            }
        }
        assert!(drawn[0].contains("a &lt; b") && drawn[0].matches("<circle").count() == 4);
        assert!(drawn[1].contains("area 0.75"));
        assert_eq!(drawn[2].matches("<svg").count(), 2);
        assert!(drawn[2].contains("&lt;right&gt;: 2") && drawn[3].contains("&lt;one&gt;"));
        let nothing = Plot::lines("l", "x", "y", vec![("one".into(), vec![(f64::NAN, 1.0)])]);
        assert!(draw(&nothing).starts_with("<p"), "{}", draw(&nothing));
    }
}
