//! `rlkd eval`.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use indicatif::{ProgressBar, ProgressStyle};
use rlkd::eval::figures::{Compared, Mean, compared, figures};
use rlkd::eval::{EvalConfig, drawn, read, run};
use rlkd::llama::sample::Sampling;
use rlkd::llama::settings::Settings as Engine;
use rlkd::models::source::Shelf;
use rlkd::reward::mix::MixConfig;
use rlkd::score::{Detail, Settings};
use serde_json::json;

use super::args::EvalArgs;
use super::{ALL_SCORED, Done, sft, show, usage};

/// Evaluates a model, or compares two evaluations.
pub fn eval(args: &EvalArgs) -> Done {
    if let [one, other] = args.compare.as_slice() {
        let found = compared(&read(one)?, &read(other)?);
        if found.is_empty() {
            return Err(rlkd::Error::data("the two have no problem in common"));
        }
        let ways = [drawn(one)?, drawn(other)?];
        if ways[0] != ways[1] {
            show::say(&format!(
                "warning: the two were not sampled alike, so that their difference is not the models' alone:\n  {}\n  {}\n",
                ways[0], ways[1]
            ));
        }
        let text = if args.json { format!("{}\n", json!(found)) } else { side_by_side(&found) };
        return show::print(text.as_bytes()).map(|()| ALL_SCORED);
    }
    let (Some(model), Some(output)) = (&args.model, &args.output) else {
        usage("--model, --data and --output are needed; or --compare with two files of results")
    };
    if args.data.is_empty() {
        usage("--data is missing: the file of problems");
    }
    let weights = [("accuracy", 0.0), ("structure", 0.0)];
    let config = EvalConfig {
        adapters: args.adapter.clone(),
        data: args.data.clone(),
        limit: args.limit.unwrap_or(0),
        system: args.system.clone().unwrap_or_default(),
        samples: args.samples,
        sampling: if args.temperature == 0.0 {
            Sampling::greedy()
        } else {
            Sampling {
                temperature: args.temperature,
                top_p: args.top_p,
                top_k: args.top_k,
                ..Sampling::default()
            }
        },
        max_tokens: args.max_tokens,
        score: Settings {
            mix: MixConfig {
                weights: weights.into_iter().map(|(name, weight)| (name.to_owned(), weight)).collect(),
                ..MixConfig::default()
            },
            detail: Detail::Score,
            ..Settings::default()
        },
        engine: Engine {
            context: args.ctx.unwrap_or(0),
            parallel: args.parallel.unwrap_or(0),
            threads: args.threads.unwrap_or(0),
            ..Engine::default()
        },
        seed: args.seed,
        texts: args.texts,
    };
    let model = Shelf::from_env()?.locate(&model.parse()?)?;
    let stop = Arc::new(AtomicBool::new(false));
    sft::stop_with(&stop);
    let bar = (!args.quiet && std::io::stderr().is_terminal()).then(|| ProgressBar::new(0));
    if let Some(bar) = &bar {
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} problems ETA {eta}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    }
    let done = run(&config, &model, output, &stop, |done, all| {
        if let Some(bar) = &bar {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        }
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let found = figures(&done?);
    let text = if args.json { format!("{}\n", json!(found)) } else { table(&found) };
    show::print(text.as_bytes())?;
    Ok(ALL_SCORED)
}

/// A figure with its interval.
fn table(found: &BTreeMap<String, Mean>) -> String {
    let mut text = format!("{:<16} {:>9} {:>19} {:>9}\n", "", "mean", "95 % of problems", "problems");
    for (name, mean) in found {
        let interval = format!("{:.3} to {:.3}", mean.low, mean.high);
        text += &format!("{name:<16} {:>9.3} {interval:>19} {:>9}\n", mean.mean, mean.n);
    }
    text
}

fn side_by_side(found: &BTreeMap<String, Compared>) -> String {
    let mut text = format!(
        "{:<16} {:>9} {:>9} {:>11} {:>19} {:>8}\n",
        "", "first", "second", "difference", "95 % of problems", "p"
    );
    for (name, own) in found {
        let [one, other] = own.means;
        let interval = format!("{:+.3} to {:+.3}", own.difference.low, own.difference.high);
        text += &format!(
            "{name:<16} {one:>9.3} {other:>9.3} {:>+11.3} {interval:>19} {:>8.4}\n",
            own.difference.mean, own.p
        );
    }
    text
}
