//! A page with the curves of a training run.

use std::fmt::Write as _;

use super::digest;
use super::escape::{prefix, to_html};
use super::tree::{View, drawing};
use super::words::{brief, count, number, plural};
use crate::align::tree::Crowd;
use crate::metrics::Entry;
use crate::score::Scored;
use crate::score::tree::Snapshot;

const STYLE: &str = include_str!("report.css");

const WIDTH: f64 = 320.0;
const HEIGHT: f64 = 160.0;
const LEFT: f64 = 44.0;
const RIGHT: f64 = WIDTH - 8.0;
const TOP: f64 = 10.0;
const BASE: f64 = HEIGHT - 22.0;
/// Points of the run at which the watched problem is drawn.
const MOMENTS: usize = 6;
/// Bytes of the problem that are shown.
const MOST_PROBLEM: usize = 1000;
/// Points of a curve; longer ones are thinned to means.
const POINTS: usize = 400;

/// The curves, in their order: name, title. Others follow by name.
const FIRST: [(&str, &str); 17] = [
    ("reward", "Reward"),
    ("reward_std_within_groups", "Spread of the reward within groups"),
    ("agreement", "Agreement with the true structure"),
    ("rewards/accuracy/mean", "Accuracy"),
    ("rewards/structure/mean", "Structure reward"),
    ("diversity", "Structural diversity of a group"),
    ("branches", "Different ways in a group"),
    ("frac_dead_groups", "Share of groups that teach nothing"),
    ("completions/mean_length", "Tokens of a completion"),
    ("completions/clipped_ratio", "Share of completions that were cut"),
    ("loss", "Loss"),
    ("mean_token_accuracy", "Accuracy of tokens"),
    ("entropy", "Entropy, nats"),
    ("grad_norm", "Norm of gradients"),
    ("learning_rate", "Learning rate"),
    ("tokens_per_second", "Tokens a second"),
    ("num_tokens", "Tokens"),
];

/// The page: self-contained, without a script. `samples` are shown beside their teachers; `watched` is a problem at several
/// points of the run.
pub fn page(title: &str, entries: &[Entry], samples: &[Scored], watched: &[Snapshot]) -> String {
    let mut names: Vec<(&str, &str)> = FIRST.to_vec();
    for entry in entries {
        for name in entry.values.keys() {
            let base = name.strip_prefix("eval_").unwrap_or(name);
            if !names.iter().any(|(known, _)| *known == base) {
                names.push((base, base));
            }
        }
    }
    let mut cards = String::new();
    for (name, words) in names {
        let points = |name: &str| -> Vec<(f64, f64)> {
            let of = |entry: &Entry| Some((entry.step as f64, *entry.values.get(name)?));
            entries.iter().filter_map(of).filter(|(_, value)| value.is_finite()).collect()
        };
        let (train, eval) = (points(name), points(&format!("eval_{name}")));
        if let Some(drawing) = curves(words, &train, &eval) {
            let _ = write!(cards, "<div class=\"card\"><h3>{}</h3>{drawing}</div>", to_html(words));
        }
    }
    let last = entries.last();
    let steps = last.map_or(0, |entry| entry.step);
    let best = entries.iter().filter_map(|entry| Some((*entry.values.get("eval_loss")?, entry.step)));
    let best = best.min_by(|a, b| a.0.total_cmp(&b.0));
    let mut totals = format!(
        "<dl class=\"totals\"><div><dt>Steps</dt><dd>{}</dd></div><div><dt>Epochs</dt><dd>{}</dd></div>",
        count(steps),
        brief(last.map_or(0.0, |entry| entry.epoch))
    );
    if let Some((loss, step)) = best {
        let _ = write!(
            totals,
            "<div><dt>Lowest evaluation loss</dt><dd>{}</dd></div><div><dt>after step</dt><dd>{}</dd></div>",
            number(loss),
            count(step)
        );
    }
    totals.push_str("</dl>");
    let title = to_html(title);
    let samples = match samples {
        [] => String::new(),
        samples => format!(
            "\n<section aria-labelledby=\"h-samples\"><h2 id=\"h-samples\">What it wrote last</h2>\n\
             <p class=\"note\">Completions beside the teacher's trace that each matches best.</p>\n{}</section>",
            super::html::articles(samples)
        ),
    };
    let watched = over_time(watched);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src '{}'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"generator\" content=\"rlkd\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <header class=\"top\"><div><p class=\"kind\">rlkd training run</p><h1><bdi>{title}</bdi></h1></div></header>\n\
         <main>\n{totals}\n<section aria-labelledby=\"h-curves\"><h2 id=\"h-curves\">Curves</h2>\n\
         <p class=\"note\">Blue: training. Red: evaluation. The axis is the step.</p>\n<div class=\"cards\">{cards}</div></section>{watched}{samples}\n</main>\n\
         <footer class=\"foot-page\">Made by rlkd. This file is complete in itself: it loads nothing and sends nothing.</footer>\n\
         </body>\n</html>\n",
        digest::source(STYLE)
    )
}

/// The tree of the watched problem at some points of the run, from the first to the last; nothing where none was watched.
fn over_time(watched: &[Snapshot]) -> String {
    let Some(last) = watched.last() else { return String::new() };
    // A run that was begun anew with other data has others before.
    let own: Vec<&Snapshot> = watched.iter().filter(|one| one.id == last.id).collect();
    let shown = own.len().min(MOMENTS);
    let mut out = format!(
        "\n<section aria-labelledby=\"h-watched\"><h2 id=\"h-watched\">One problem over time</h2>\n\
         <p class=\"note\"><bdi>{}</bdi></p><p class=\"note\">The tree of its teachers, and where a group of completions goes, before and \
         after so many steps.</p>\n<div class=\"moments\">",
        to_html(prefix(&last.problem, MOST_PROBLEM))
    );
    for at in 0..shown {
        // The first and the last, and the others at equal distances.
        let one = own[at * (own.len() - 1) / (shown - 1).max(1)];
        let crowd = Crowd::new(&one.tree, &one.followed);
        let view = View {
            id: &one.id,
            problem: &one.problem,
            of: "teachers",
            tree: &one.tree,
            crowd: Some(&crowd),
            students: Some(&one.variety),
            unscored: &one.unscored,
        };
        let agreement = crowd
            .agreement()
            .map_or(String::new(), |share| format!(", agreement at choices {}", number(share)));
        let unscored: usize = one.unscored.iter().map(|(_, completions)| completions).sum();
        let without = if unscored > 0 { format!(", {unscored} not scored") } else { String::new() };
        let _ = write!(
            out,
            "<div class=\"card\"><h3>Step {}</h3><p class=\"note\">{} in {}, diversity {}{agreement}{without}</p>\
             <div class=\"scroll\" tabindex=\"0\">{}</div></div>",
            count(one.step),
            plural(one.variety.paths, "completion"),
            plural(one.variety.branches, "way"),
            number(one.variety.diversity),
            drawing(&view)
        );
    }
    out + "</div></section>"
}

/// Means of neighbours, so that a long run is no heavier than a short one.
fn thin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let size = points.len().div_ceil(POINTS).max(1);
    points
        .chunks(size)
        .map(|part| {
            let n = part.len() as f64;
            (part.iter().map(|p| p.0).sum::<f64>() / n, part.iter().map(|p| p.1).sum::<f64>() / n)
        })
        .collect()
}

/// The drawing; none without values.
fn curves(name: &str, train: &[(f64, f64)], eval: &[(f64, f64)]) -> Option<String> {
    let all = || train.iter().chain(eval);
    let (first, last) = all().fold((f64::MAX, f64::MIN), |(low, high), p| (low.min(p.0), high.max(p.0)));
    let (mut low, mut high) =
        all().fold((f64::MAX, f64::MIN), |(low, high), p| (low.min(p.1), high.max(p.1)));
    if first > last {
        return None;
    }
    if low == high {
        // One value, in the middle.
        let around = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
        (low, high) = (low - around, high + around);
    }
    let span = (last - first).max(1.0);
    let x = |step: f64| LEFT + (step - first) / span * (RIGHT - LEFT);
    let y = |value: f64| BASE - (value - low) / (high - low) * (BASE - TOP);
    let mut out = format!(
        "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}: from {} to {}, steps {first:.0} to {last:.0}\">",
        to_html(name),
        number(low),
        number(high)
    );
    for part in 0..=4 {
        let value = low + (high - low) * f64::from(part) / 4.0;
        let at = y(value);
        let label = if value != 0.0 && !(1e-3..1e6).contains(&value.abs()) {
            format!("{value:.0e}")
        } else {
            brief(value)
        };
        let _ = write!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"tick end\" x=\"{:.1}\" y=\"{:.1}\">{label}</text>",
            LEFT - 5.0,
            at + 4.0
        );
    }
    for step in [first, f64::midpoint(first, last).round(), last] {
        let _ = write!(
            out,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\">{step:.0}</text>",
            x(step),
            BASE + 15.0
        );
    }
    for (class, points) in [("curve", train), ("curve eval", eval)] {
        if points.len() > 1 {
            let line: Vec<String> = thin(points)
                .into_iter()
                .map(|(step, value)| format!("{:.1},{:.1}", x(step), y(value)))
                .collect();
            let _ = write!(out, "<polyline class=\"{class}\" points=\"{}\"/>", line.join(" "));
        }
    }
    // A single point makes no line.
    for (step, value) in
        eval.iter().filter(|_| eval.len() <= 40).chain(train.iter().filter(|_| train.len() == 1))
    {
        let _ = write!(
            out,
            "<circle class=\"dot\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"2\"><title>step {step:.0}: {}</title></circle>",
            x(*step),
            y(*value),
            number(*value)
        );
    }
    out.push_str("</svg>");
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_curve_for_each_value() {
        let entry = |step: u64, name: &str, value: f64| Entry {
            step,
            epoch: step as f64 / 10.0,
            values: [(name.to_owned(), value)].into(),
        };
        let mut entries: Vec<Entry> = (1..=1000).map(|step| entry(step, "loss", 1.0 / step as f64)).collect();
        entries.push(entry(1000, "eval_loss", 0.25));
        entries.push(entry(1000, "<b>", 1.0));
        let page = page("a < b", &entries, &[], &[]);
        assert!(page.contains("a &lt; b") && !page.contains("<b>"));
        assert_eq!(page.matches("<polyline").count(), 1, "a line of losses");
        assert!(page.contains("step 1000: 0.25"));
        // Thinned.
        assert!(page.len() < STYLE.len() + 16_000, "{}", page.len());
        assert!(!super::page("empty", &[], &[], &[]).contains("<svg"));
        let sample = Scored {
            id: "p@7".into(),
            student: 1,
            reward: Some(0.5),
            parts: Default::default(),
            structure: None,
            tree: None,
            problem: Some("How many <eggs>?".into()),
        };
        let page = super::page("samples", &[], &[sample], &[]);
        assert!(
            page.contains("p@7")
                && page.contains("How many &lt;eggs&gt;?")
                && page.contains("What it wrote last")
        );
    }
}
