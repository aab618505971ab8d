//! Medians, spreads, and rows of Markdown.

use super::ways::Run;

/// The value that a share of the others is below; sorts.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share).round() as usize]
}

/// The mean of seconds in whole microseconds; nothing of nothing.
pub fn mean(seconds: &[f64]) -> String {
    match seconds.len() {
        0 => String::new(),
        count => format!("{:.0}", seconds.iter().sum::<f64>() / count as f64 * 1e6),
    }
}

/// The median, with the smallest and the largest.
pub fn spread(mut values: Vec<f64>, digits: usize) -> String {
    let median = percentile(&mut values, 0.5);
    let (least, most) = (values[0], values[values.len() - 1]);
    format!("{median:.digits$} ({least:.digits$}–{most:.digits$})")
}

/// Tokens a second, over rounds.
pub fn speed(runs: &[Run]) -> String {
    spread(runs.iter().map(Run::tokens_per_second).collect(), 0)
}

/// How the speed of one compares with another's, round by round.
pub fn ratio(runs: &[Run], with: &[Run]) -> String {
    let of = |(run, with): (&Run, &Run)| run.tokens_per_second() / with.tokens_per_second();
    spread(runs.iter().zip(with).map(of).collect(), 3)
}

/// Shares of the time in the decoder, waiting for masks and sampling, in percent.
pub fn shares(runs: &[Run]) -> String {
    let share = |part: usize| {
        let of = |run: &Run| run.parts.map(|parts| parts[part].as_secs_f64() / run.time.as_secs_f64());
        let mut shares: Vec<f64> = runs.iter().filter_map(of).collect();
        if shares.is_empty() { "".into() } else { format!("{:.1}", percentile(&mut shares, 0.5) * 100.0) }
    };
    format!("{} | {} | {}", share(0), share(1), share(2))
}

/// Masks that were computed, in percent of the tokens.
pub fn masks_asked(runs: &[Run]) -> String {
    let mut shares: Vec<f64> = runs.iter().map(|run| run.masks as f64 / run.tokens as f64).collect();
    match percentile(&mut shares, 0.5) {
        0.0 => String::new(),
        share => format!("{:.1}", share * 100.0),
    }
}
