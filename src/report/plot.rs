//! Histograms as SVG. Colours come from the style sheet by class.

use std::fmt::Write;

use super::escape::to_html;
use super::histogram::Histogram;
use super::words::{count, number};

/// The drawing, in its own units; the page scales it to the width of its column.
const WIDTH: f64 = 320.0;
const HEIGHT: f64 = 124.0;
const LEFT: f64 = 36.0;
const RIGHT: f64 = WIDTH - 10.0;
const TOP: f64 = 12.0;
const BASE: f64 = HEIGHT - 22.0;

/// The scale below a histogram.
pub(super) struct Axis {
    pub low: f64,
    pub high: f64,
    pub ticks: Vec<f64>,
    bars: usize,
}

/// A scale with round ticks that covers `min..=max`; `None` if the range is beyond drawing.
pub(super) fn axis(min: f64, max: f64) -> Option<Axis> {
    if min >= 0.0 && max <= 1.0 {
        return Some(Axis { low: 0.0, high: 1.0, ticks: vec![0.0, 0.25, 0.5, 0.75, 1.0], bars: 20 });
    }
    // A range that starts above 0 is drawn from 0: it keeps lengths honest.
    let (low, high) = (min.min(0.0), max.max(0.0));
    let rough = (high - low) / 5.0;
    let power = f64::powf(10.0, rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|m| m * power).into_iter().find(|step| *step >= rough)?;
    let (first, last) = ((low / step).floor(), (high / step).ceil());
    let n = (last - first) as usize;
    if !step.is_finite() || !(1..=12).contains(&n) {
        return None;
    }
    let ticks = (0..=n).map(|i| (first + i as f64) * step).collect();
    Some(Axis { low: first * step, high: last * step, ticks, bars: n * 5 })
}

/// A tick's label: no needless decimals.
pub(super) fn tick(value: f64) -> String {
    if value.abs() >= 1e6 { format!("{value:.0e}").replace('-', "−") } else { super::words::brief(value) }
}

/// The histogram of the values named `name`, with marks at mean and median. Empty without values.
pub(super) fn histogram(name: &str, values: &Histogram) -> String {
    let (Some((min, max)), Some(mean), Some(median)) = (values.range(), values.mean(), values.quantile(0.5))
    else {
        return String::new();
    };
    let Some(axis) = axis(min, max) else {
        return "<p class=\"quiet\">The values lie too far apart to draw.</p>".to_owned();
    };
    let bars = values.bars(axis.low, axis.high, axis.bars);
    let most = bars.iter().copied().max().unwrap_or(1).max(1);
    let x = |value: f64| LEFT + (value - axis.low) / (axis.high - axis.low) * (RIGHT - LEFT);
    let mut out = String::with_capacity(4096);
    let _ = write!(
        out,
        "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Histogram of {}: {} values from {} to {}, mean {}, median {}\">",
        to_html(name),
        count(values.count()),
        number(min),
        number(max),
        number(mean),
        number(median)
    );
    let _ = write!(
        out,
        "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{TOP}\" y2=\"{TOP}\"/>\
         <text class=\"tick end\" x=\"{:.1}\" y=\"{:.1}\">{}</text><text class=\"tick end\" x=\"{:.1}\" y=\"{BASE}\">0</text>",
        LEFT - 6.0,
        TOP + 4.0,
        count(most),
        LEFT - 6.0,
    );
    let step = (axis.high - axis.low) / axis.bars as f64;
    for (i, n) in bars.iter().enumerate().filter(|(_, n)| **n > 0) {
        let low = axis.low + step * i as f64;
        // A bar is never thinner than a line can be seen.
        let height = ((BASE - TOP) * *n as f64 / most as f64).max(1.5);
        let _ = write!(
            out,
            "<rect class=\"bar\" x=\"{:.2}\" y=\"{:.2}\" width=\"{:.2}\" height=\"{:.2}\" rx=\"1\"><title>{} to {}: {}</title></rect>",
            x(low) + 0.6,
            BASE - height,
            (x(low + step) - x(low) - 1.2).max(0.8),
            height,
            tick(low),
            tick(low + step),
            count(*n)
        );
    }
    let _ = write!(out, "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{BASE}\" y2=\"{BASE}\"/>");
    for value in &axis.ticks {
        let _ = write!(
            out,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            x(*value),
            BASE + 15.0,
            tick(*value)
        );
    }
    for (class, value) in [("median", median), ("mean", mean)] {
        let at = x(value.clamp(axis.low, axis.high));
        let _ = write!(
            out,
            "<line class=\"{class}\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{:.1}\" y2=\"{BASE}\"/>",
            TOP - 6.0
        );
    }
    out.push_str("</svg>");
    out
}

/// A bar for one value on the scale `low..=high`, from 0.
pub(super) fn bar(value: f64, low: f64, high: f64) -> String {
    let span = (high - low).max(f64::MIN_POSITIVE);
    let at = |value: f64| ((value - low) / span * 100.0).clamp(0.0, 100.0);
    let (zero, end) = (at(0.0), at(value));
    let class = if value < 0.0 { "fill minus" } else { "fill" };
    format!(
        "<svg class=\"meter\" viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect class=\"track\" width=\"100\" height=\"6\"/>\
         <rect class=\"{class}\" x=\"{:.2}\" width=\"{:.2}\" height=\"6\"/></svg>",
        zero.min(end),
        // Too small to see is not the same as nothing.
        if value == 0.0 { 0.0 } else { (end - zero).abs().max(0.6) }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_round_and_cover_the_range() {
        for (min, max, low, high) in [
            (0.0, 1.0, 0.0, 1.0),
            (0.2, 0.2, 0.0, 1.0),
            (0.0, 50.0, 0.0, 50.0),
            (-1.0, 1.0, -1.0, 1.0),
            (3.0, 7.0, 0.0, 8.0),
        ] {
            let axis = axis(min, max).unwrap();
            assert_eq!((axis.low, axis.high), (low, high), "{min} {max}");
        }
        assert!(axis(-1e308, 1e308).is_none());
        assert!(axis(-5.0, -5.0).is_some());
    }
}
