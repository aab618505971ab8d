//! `rlkd train`.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use rlkd::distill::{Event, Ready, RlkdConfig, run};
use rlkd::error::Place;
use rlkd::llama::model::Model;
use rlkd::llama::settings::Settings;
use rlkd::models::source::Shelf;
use rlkd::train::sft::SftConfig;

use super::args::TrainArgs;
use super::{ALL_SCORED, Done, SOME_SKIPPED, sft, show};

/// Trains, or goes on.
pub fn train(args: &TrainArgs) -> Done {
    let mut config: RlkdConfig = sft::run_file::<_, SftConfig>(&args.run, "sft")?;
    if let Some(output) = &args.output_dir {
        config.output_dir.clone_from(output);
    }
    config.threads = args.threads.unwrap_or(config.threads);
    config.seed = args.seed.unwrap_or(config.seed);
    config.max_steps = args.max_steps.unwrap_or(config.max_steps);
    config.check().map_err(|error| error.at_if_missing(Place::file(&args.run)))?;
    let model = Shelf::from_env()?.locate(&config.model.parse()?)?;
    let tokenizer = Model::load_tokenizer(&model, &Settings::default())?;
    let mut watch = Watch::new(args.quiet, &config);
    let stop = Arc::new(AtomicBool::new(false));
    sft::stop_with(&stop);
    let outcome = run(&config, &model, &*tokenizer, &stop, &mut |event| watch.see(&event));
    watch.clear();
    // The curves are wanted most where it went wrong; then the error is what is said.
    let page = sft::write_page(&config.output_dir);
    let outcome = outcome?;
    page?;
    if !args.quiet {
        show::say(&format!("done after {} steps\n", outcome.steps));
        if let [first, .., last] = outcome.evaluations.as_slice() {
            show::say(&table(first, last));
        }
    }
    if !args.quiet {
        sft::say_beneath(&config.frozen_adapters, outcome.files.first(), &config.model);
    }
    let mut lines = String::new();
    for file in &outcome.files {
        lines += &format!("{}\n", file.display());
    }
    show::print(lines.as_bytes())?;
    Ok(if outcome.bad == 0 { ALL_SCORED } else { SOME_SKIPPED })
}

/// What a person wants to know of an evaluation.
const SHOWN: [(&str, &str); 5] = [
    ("reward", "reward"),
    ("rewards/accuracy/mean", "pass@1"),
    ("rewards/structure/mean", "structure reward"),
    ("agreement", "agreement with the true structure"),
    ("completions/mean_length", "tokens of a completion"),
];

/// The first evaluation beside the last.
fn table(first: &(u64, BTreeMap<String, f64>), last: &(u64, BTreeMap<String, f64>)) -> String {
    let mut text = format!(
        "{:<34} {:>12} {:>12}\n",
        "evaluation",
        format!("step {}", first.0),
        format!("step {}", last.0)
    );
    for (name, words) in SHOWN {
        if let (Some(one), Some(other)) = (first.1.get(name), last.1.get(name)) {
            text += &format!("{words:<34} {one:>12.3} {other:>12.3}\n");
        }
    }
    text
}

/// What a person sees.
struct Watch<'a> {
    bar: Option<ProgressBar>,
    quiet: bool,
    config: &'a RlkdConfig,
    begun: Instant,
    told: String,
    /// Whether it was told that a reward is given to nothing.
    warned: bool,
}

impl<'a> Watch<'a> {
    fn new(quiet: bool, config: &'a RlkdConfig) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(ProgressBar::no_length);
        Watch { bar, quiet, config, begun: Instant::now(), told: String::new(), warned: false }
    }

    fn say(&self, text: &str) {
        match &self.bar {
            _ if self.quiet => {}
            Some(bar) => bar.suspend(|| show::say(text)),
            None => show::say(text),
        }
    }

    /// A run whose data have no teachers, or no answers, learns from the rest of its rewards.
    fn warn_of_rewards_without_use(&mut self, values: &BTreeMap<String, f64>) {
        let skipped = |name: &str| values.get(&format!("rewards/{name}/skipped")) == Some(&1.0);
        let weights = self.config.reward.weights.iter();
        let names: Vec<&str> = weights
            .filter(|(name, weight)| **weight != 0.0 && skipped(name))
            .map(|(name, _)| &**name)
            .collect();
        if !names.is_empty() && !self.warned {
            self.warned = true;
            self.say(&format!(
                "warning: no completion could be given {}: structure needs teachers' traces with steps, accuracy needs gold answers\n",
                names.join(" and ")
            ));
        }
    }

    fn see(&mut self, event: &Event<'_>) {
        match event {
            Event::Ready(ready) => self.ready(ready),
            Event::Writing(done, all) => self.tell(&format!("writing {done} of {all}")),
            Event::Evaluating(done, all) => self.tell(&format!("evaluating {done} of {all}")),
            Event::Step(step, _) => {
                if let Some(bar) = &self.bar {
                    bar.set_position(*step);
                }
            }
            Event::Metrics(entry) => {
                let values = &entry.values;
                if let Some(reward) = values.get("eval_reward") {
                    let more: Vec<String> = SHOWN[1..]
                        .iter()
                        .filter_map(|(name, words)| {
                            Some(format!("{words} {:.3}", values.get(&format!("eval_{name}"))?))
                        })
                        .collect();
                    let minutes = self.begun.elapsed().as_secs_f64() / 60.0;
                    self.say(&format!(
                        "step {} ({minutes:.1} min): evaluation: reward {reward:.3}, {}\n",
                        entry.step,
                        more.join(", ")
                    ));
                } else {
                    self.warn_of_rewards_without_use(values);
                    self.told = live(values);
                    self.tell("");
                }
            }
            Event::Saved(_) => {
                // The page follows the run; that it cannot be written is said in the end.
                let _ = sft::write_page(&self.config.output_dir);
            }
            Event::Note(text) => self.say(&format!("warning: {text}\n")),
        }
    }

    fn tell(&self, now: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}\n{now}", self.told));
        }
    }

    fn ready(&self, ready: &Ready) {
        let [train, validation] = ready.tasks;
        let [trained, all] = ready.parameters;
        let share = 100.0 * trained as f64 / all.max(1) as f64;
        self.say(&format!(
            "{train} problems to learn from, {validation} to evaluate on; {trained} numbers are trained ({share:.2}% of {all}); \
             {} sequences at once\n",
            ready.parallel
        ));
        if ready.too_long > 0 {
            self.say(&format!(
                "{} prompts leave no room for a completion and are left out\n",
                ready.too_long
            ));
        }
        if ready.bad.0 > 0 {
            self.say(&format!("{} records cannot be used and are left out; the first:\n", ready.bad.0));
            for reason in &ready.bad.1 {
                self.say(&format!("  {reason}\n"));
            }
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
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} ETA {eta}\n{msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        }
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A step in a few lines.
fn live(values: &BTreeMap<String, f64>) -> String {
    let get = |name: &str| values.get(name).copied();
    let mut parts: Vec<String> = Vec::new();
    if let (Some(reward), Some(std)) = (get("reward"), get("reward_std")) {
        parts.push(format!("reward {reward:.3} ± {std:.3}"));
    }
    for (name, value) in values {
        if let Some(name) = name.strip_prefix("rewards/").and_then(|rest| rest.strip_suffix("/mean")) {
            parts.push(format!("{name} {value:.3}"));
        }
    }
    let mut lines = vec![parts.join("  ")];
    let mut line = |all: &[(&str, &str, f64)]| {
        let found: Vec<String> = all
            .iter()
            .filter_map(|(name, words, factor)| Some(format!("{words} {:.3}", get(name)? * factor)))
            .collect();
        lines.push(found.join("  "));
    };
    line(&[
        ("agreement", "true structure", 1.0),
        ("frac_dead_groups", "dead groups", 1.0),
        ("completions/mean_length", "tokens", 1.0),
        ("completions/clipped_ratio", "cut", 1.0),
    ]);
    line(&[
        ("entropy", "entropy", 1.0),
        ("kl", "kl", 1.0),
        ("clip_ratio/region_mean", "clipped", 1.0),
        ("sampling/sampling_logp_difference/mean", "sampler apart", 1.0),
        ("grad_norm", "gradient", 1.0),
    ]);
    let all: f64 = ["time/rollout", "time/score", "time/update"].iter().filter_map(|name| get(name)).sum();
    let share = |name: &str| get(name).map_or(0.0, |value| 100.0 * value / all.max(1e-9));
    let memory = get("memory/peak_gb").map(|peak| format!("  {peak:.2} GB")).unwrap_or_default();
    lines.push(format!(
        "writing {:.0}% ({:.0} tokens/s)  scoring {:.0}%  learning {:.0}% ({:.0} tokens/s){memory}",
        share("time/rollout"),
        get("tokens_per_second/rollout").unwrap_or(0.0),
        share("time/score"),
        share("time/update"),
        get("tokens_per_second/update").unwrap_or(0.0),
    ));
    lines.join("\n")
}
