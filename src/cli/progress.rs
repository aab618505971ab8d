//! A progress bar on standard error; silent where that is no terminal.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use rlkd::run::Watch;

/// The bar of a run.
pub struct Bar(Option<ProgressBar>);

impl Bar {
    /// A bar, unless `quiet` or nobody looks.
    pub fn new(quiet: bool) -> Self {
        Bar((!quiet && std::io::stderr().is_terminal()).then(ProgressBar::no_length))
    }

    /// Shows how far the run has come.
    pub fn show(&self, watch: Watch) {
        let Some(bar) = &self.0 else { return };
        if let (Some(total), None) = (watch.total, bar.length()) {
            bar.set_length(total);
            let line = "{bar:30} {percent:>3}% {binary_bytes_per_sec} {msg} ETA {eta}";
            bar.set_style(
                ProgressStyle::with_template(line).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
        }
        bar.set_position(watch.bytes);
        let seconds = bar.elapsed().as_secs_f64();
        let rate = if seconds > 0.0 { watch.records as f64 / seconds } else { 0.0 };
        bar.set_message(format!("{} records, {rate:.0}/s", watch.records));
    }

    /// Takes the bar away.
    pub fn clear(self) {
        if let Some(bar) = self.0 {
            bar.finish_and_clear();
        }
    }
}
