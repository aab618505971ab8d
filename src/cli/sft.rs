//! `rlkd sft`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use rlkd::Result;
use rlkd::config::load_toml;
use rlkd::distill::{COMPLETIONS, RlkdConfig, WATCHED};
use rlkd::error::{Error, Place};
use rlkd::files;
use rlkd::llama::model::Model;
use rlkd::llama::settings::Settings;
use rlkd::metrics;
use rlkd::models::source::Shelf;
use rlkd::score::Scored;
use rlkd::score::tree::Snapshot;
use rlkd::train::sft::{Event, Init, Ready, SftConfig, run, scratch};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::args::SftArgs;
use super::{ALL_SCORED, Done, SOME_SKIPPED, show};

/// Reads a run file; one of the `other` command is told as such.
pub(super) fn run_file<T, Other>(file: &Path, other: &str) -> Result<T>
where
    T: DeserializeOwned + Default + Serialize,
    Other: DeserializeOwned,
{
    load_toml(file).map_err(|error| match load_toml::<Other>(file) {
        Ok(_) => {
            Error::config(format!("this is a run file of another command: rlkd {other} {}", file.display()))
                .at(Place::file(file))
        }
        Err(_) => belongs_elsewhere::<T>(error),
    })
}

/// TRL has all options on one level. One that stands where it does not belong is told its table.
fn belongs_elsewhere<T: Default + Serialize>(error: Error) -> Error {
    let unknown = error.message().strip_prefix("unknown key `").and_then(|rest| rest.split('`').next());
    let tables = serde_json::to_value(T::default()).unwrap_or_default();
    let found = unknown.and_then(|key| {
        tables.as_object()?.iter().find_map(|(table, keys)| {
            let own = key.strip_prefix(table.as_str()).map_or(key, |rest| rest.trim_start_matches('_'));
            [key, own].into_iter().find(|own| keys.get(own).is_some()).map(|own| (key, table, own))
        })
    });
    match found {
        Some((key, table, own)) => {
            let told = Error::config(format!("unknown key `{key}` here: it is `{own}` in [{table}]"));
            match error.place() {
                Some(place) => told.at(place.clone()),
                None => told,
            }
        }
        None => error,
    }
}

/// Trains, or goes on.
pub fn sft(args: &SftArgs) -> Done {
    let mut config: SftConfig = run_file::<_, RlkdConfig>(&args.run, "train")?;
    if let Some(output) = &args.output_dir {
        config.output_dir.clone_from(output);
    }
    if let Some(threads) = args.threads {
        config.threads = threads;
    }
    config.check().map_err(|error| error.at_if_missing(Place::file(&args.run)))?;
    let model = match config.init {
        Init::Model => Shelf::from_env()?.locate(&config.model.parse()?)?,
        Init::Random => scratch::model(&config)?,
    };
    let tokenizer = Model::load_tokenizer(&model, &Settings::default())?;
    let mut watch = Watch::new(args.quiet, &config);
    let stop = Arc::new(AtomicBool::new(false));
    stop_with(&stop);
    let outcome = run(&config, &model, &*tokenizer, &stop, &mut |event| watch.see(&event));
    watch.clear();
    // The curves are wanted most where it went wrong; then the error is what is said.
    let page = write_page(&config.output_dir);
    let outcome = outcome?;
    page?;
    if !args.quiet {
        let early =
            if outcome.stopped_early { ", early: the evaluation loss did not fall any more" } else { "" };
        show::say(&format!("done after {} steps{early}\n", outcome.steps));
        if let Some((loss, step)) = outcome.best {
            show::say(&format!("lowest evaluation loss {loss:.4}, after step {step}\n"));
        }
        if outcome.skipped > 0 {
            show::say(&format!(
                "{} steps were passed over: their gradients were no numbers\n",
                outcome.skipped
            ));
        }
    }
    if !args.quiet {
        say_beneath(&config.frozen_adapters, outcome.files.first(), &config.model);
    }
    let mut lines = String::new();
    for file in &outcome.files {
        lines += &format!("{}\n", file.display());
    }
    show::print(lines.as_bytes())?;
    Ok(if outcome.bad == 0 { ALL_SCORED } else { SOME_SKIPPED })
}

/// Says how an adapter is put together with those that it was trained on top of.
pub fn say_beneath(frozen: &[PathBuf], own: Option<&PathBuf>, model: &str) {
    if frozen.is_empty() {
        return;
    }
    let all: Vec<String> = frozen.iter().chain(own).map(|path| path.display().to_string()).collect();
    show::say(&format!(
        "it is for the model with frozen_adapters in it: rlkd adapter merge {} --model {model} -o merged.gguf\n",
        all.join(" ")
    ));
}

/// The first Ctrl-C (or SIGTERM) ends a run behind its step, the second at once. A handler that cannot be set is no reason not
/// to train.
pub fn stop_with(stop: &Arc<AtomicBool>) {
    let asked = Arc::clone(stop);
    let _ = ctrlc::set_handler(move || {
        if asked.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        show::say("stopping behind this step; once more ends at once\n");
    });
}

/// Writes `run.html` from the metrics.
pub fn write_page(folder: &Path) -> Result<()> {
    let name = folder.file_name().map_or_else(|| "run".into(), |name| name.to_string_lossy());
    let entries = metrics::read(folder)?;
    let page = rlkd::report::curves::page(&name, &entries, &last_written(folder), &watched(folder));
    files::write(&folder.join("run.html"), page.as_bytes())
}

/// Completions that a page shows.
const SHOWN: usize = 8;

/// The last lines of a log of completions, where a run has one; a line that was cut is passed over.
fn last_written(folder: &Path) -> Vec<Scored> {
    let text = std::fs::read_to_string(folder.join(COMPLETIONS)).unwrap_or_default();
    let mut last: Vec<Scored> =
        text.lines().rev().filter_map(|line| serde_json::from_str(line).ok()).take(SHOWN).collect();
    last.reverse();
    last
}

/// The problem that a run watches, at each of its evaluations; a line that was cut is passed over.
fn watched(folder: &Path) -> Vec<Snapshot> {
    let text = std::fs::read_to_string(folder.join(WATCHED)).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// What a person sees.
struct Watch<'a> {
    bar: Option<ProgressBar>,
    quiet: bool,
    config: &'a SftConfig,
}

impl<'a> Watch<'a> {
    fn new(quiet: bool, config: &'a SftConfig) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(ProgressBar::no_length);
        Watch { bar, quiet, config }
    }

    fn style(&self, template: &str) {
        if let Some(bar) = &self.bar {
            bar.set_style(
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
        }
    }

    fn say(&self, text: &str) {
        match &self.bar {
            _ if self.quiet => {}
            Some(bar) => bar.suspend(|| show::say(text)),
            None => show::say(text),
        }
    }

    fn see(&mut self, event: &Event<'_>) {
        match event {
            Event::Reading(read, all) => {
                let Some(bar) = &self.bar else { return };
                if let (Some(all), None) = (all, bar.length()) {
                    bar.set_length(*all);
                    self.style("reading {bar:30} {percent:>3}%");
                }
                bar.set_position(*read);
            }
            Event::Ready(ready) => self.ready(ready),
            Event::Step(progress) => {
                let Some(bar) = &self.bar else { return };
                bar.set_position(progress.step);
                bar.set_message(format!(
                    "loss {:.4}, {:.0} tokens/s",
                    progress.loss, progress.tokens_per_second
                ));
            }
            Event::Evaluating(done, all) => {
                if let Some(bar) = &self.bar {
                    bar.set_message(format!("evaluating {done} of {all}"));
                }
            }
            Event::Metrics(entry) => {
                if let Some(loss) = entry.values.get("eval_loss") {
                    self.say(&format!("step {}: evaluation loss {loss:.4}\n", entry.step));
                }
            }
            Event::Saved(_) => {
                // The page follows the run; that it cannot be written is said in the end.
                let _ = write_page(&self.config.output_dir);
            }
        }
    }

    fn ready(&self, ready: &Ready) {
        let [train, validation] = ready.examples;
        let [trained, all] = ready.parameters;
        let share = 100.0 * trained as f64 / all.max(1) as f64;
        self.say(&format!(
            "{train} examples to learn from, {validation} to evaluate on; {trained} numbers are trained ({share:.2}% of {all})\n"
        ));
        if ready.shared > 0 {
            self.say(&format!(
                "the {} tokens that all prompts begin with are computed once for examples that go together\n",
                ready.shared
            ));
        }
        if ready.too_long > 0 {
            self.say(&format!(
                "{} examples are longer than max_length = {} tokens and are left out\n",
                ready.too_long, self.config.max_length
            ));
        }
        if ready.bad.0 > 0 {
            self.say(&format!("{} records cannot be read and are left out; the first:\n", ready.bad.0));
            for reason in &ready.bad.1 {
                self.say(&format!("  {reason}\n"));
            }
        }
        if validation == 0 && (self.config.validation_split > 0.0) {
            self.say("nothing is evaluated: validation_split of so few examples took none\n");
        }
        let [steps, done] = ready.steps;
        if done >= steps {
            self.say(&format!("finished already: {done} steps are done, {steps} are asked for\n"));
        } else if done > 0 {
            self.say(&format!("going on behind step {done} of {steps}\n"));
        }
        if let Some(bar) = &self.bar {
            bar.reset();
            bar.set_length(steps);
            bar.set_position(done);
            bar.reset_eta();
            self.style("{bar:30} {pos}/{len} {msg} ETA {eta}");
        }
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
