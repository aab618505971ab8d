//! `rlkd score` and `rlkd decompose`.

use rlkd::config::load_toml;
use rlkd::dataset::PRESETS;
use rlkd::report::terminal;
use rlkd::reward::REWARDS;
use rlkd::run::{self, RunConfig, Summary};
use rlkd::{Error, Result};
use serde::de::DeserializeOwned;

#[cfg(feature = "llama")]
use super::args::ModelArgs;
use super::args::{DecomposeArgs, IoArgs, RuleArgs, ScoreArgs};
use super::progress::Bar;
use super::{ALL_SCORED, Done, SOME_SKIPPED, show, usage};

/// Scores.
pub fn score(args: &ScoreArgs) -> Done {
    if args.help_rewards {
        let lines: String =
            REWARDS.iter().map(|entry| format!("{:<20} {}\n", entry.name, entry.help)).collect();
        return show::print(lines.as_bytes()).map(|()| ALL_SCORED);
    }
    let Some(mut config) = io_config(&args.io)? else { return Ok(ALL_SCORED) };
    rule_config(&args.rule, &mut config)?;
    #[cfg(feature = "llama")]
    {
        let judges = rlkd::llama::JUDGES.iter().any(|entry| entry.name == config.judge);
        warn_of_idle_model(&args.io.model, &config, judges);
    }
    set(&mut config.detail, args.detail.as_deref().map(named).transpose()?);
    set(&mut config.seed, args.seed);
    let bar = Bar::new(args.io.quiet);
    let summary = run::score(&config, &|watch| bar.show(watch));
    bar.clear();
    let summary = summary?;
    if !args.io.quiet {
        show::say(&in_words(&summary, &config));
    }
    Ok(if summary.is_complete() { ALL_SCORED } else { SOME_SKIPPED })
}

/// Decomposes.
pub fn decompose(args: &DecomposeArgs) -> Done {
    let Some(config) = io_config(&args.io)? else { return Ok(ALL_SCORED) };
    #[cfg(feature = "llama")]
    warn_of_idle_model(&args.io.model, &config, false);
    let bar = Bar::new(args.io.quiet);
    let summary = run::decompose(&config, &|watch| bar.show(watch));
    bar.clear();
    let summary = summary?;
    if !args.io.quiet {
        show::say(&format!(
            "{} records, {} traces, {} bad records\n{}",
            summary.records,
            summary.students,
            summary.errors,
            errors(&summary) + &model_work()
        ));
    }
    Ok(if summary.errors == 0 { ALL_SCORED } else { SOME_SKIPPED })
}

/// The run file, if any, and over it what was typed; `None` when a list was asked for and printed.
fn io_config(args: &IoArgs) -> Result<Option<RunConfig>> {
    if args.help_presets {
        let lines: String =
            PRESETS.iter().map(|preset| format!("{:<16} {}\n", preset.name, preset.about)).collect();
        show::print(lines.as_bytes())?;
        return Ok(None);
    }
    let mut config: RunConfig = match &args.config {
        Some(path) => load_toml(path)?,
        None => RunConfig::default(),
    };
    if !args.input.is_empty() {
        config.input.clone_from(&args.input);
    }
    if config.input.is_empty() {
        usage("nothing to read: name a file, or - for standard input; --help says more");
    }
    if args.output.is_some() {
        config.output.clone_from(&args.output);
    }
    if args.store.is_some() {
        config.store.clone_from(&args.store);
    }
    set(&mut config.preset, args.preset.clone());
    set(&mut config.decomposer, args.decomposer.clone());
    set(&mut config.threads, args.threads);
    set(&mut config.max_line_mib, args.max_line_mib);
    #[cfg(feature = "llama")]
    model_config(&args.model, &mut config.llama)?;
    config.restart |= args.restart;
    config.allow_duplicates |= args.allow_duplicates;
    for (ours, theirs) in pairs("--map", &args.map) {
        config.map.insert(ours, theirs);
    }
    Ok(Some(config))
}

/// Puts what was typed of the models into `config`.
///
/// # Errors
/// An unknown type of KV cache.
#[cfg(feature = "llama")]
pub fn model_config(args: &ModelArgs, config: &mut rlkd::llama::Config) -> Result<()> {
    config.model = args.model.clone().or(config.model.take());
    config.judge = args.judge_gguf.clone().or(config.judge.take());
    config.fetch |= args.fetch;
    set(&mut config.gsrm.grammar, args.grammar.clone());
    set(&mut config.gsrm.limits.max_steps, args.max_steps);
    set(&mut config.gsrm.max_tokens, args.max_tokens);
    set(&mut config.gsrm.deadline, args.deadline);
    set(&mut config.engine.context, args.ctx);
    set(&mut config.engine.parallel, args.parallel);
    set(&mut config.engine.threads, args.model_threads);
    config.engine.kv = args.kv.as_deref().map(named).transpose()?.or(config.engine.kv);
    config.engine.trust |= args.trust_model;
    config.engine.gpu_layers = args.gpu_layers.or(config.engine.gpu_layers);
    Ok(())
}

/// Puts what was typed of the rules into `config`.
///
/// # Errors
/// A weight that is no number.
pub fn rule_config(args: &RuleArgs, config: &mut RunConfig) -> Result<()> {
    set(&mut config.structure, args.structure.as_deref().map(named).transpose()?);
    set(&mut config.scaling, args.scaling.as_deref().map(named).transpose()?);
    set(&mut config.judge, args.judge.clone());
    if args.judge_model.is_some() {
        config.judge_model.clone_from(&args.judge_model);
    }
    if !args.weights.is_empty() {
        config.weights.clear();
        for (name, weight) in pairs("--weights", &args.weights) {
            let Ok(value) = weight.parse() else {
                usage(&format!("--weights {name}={weight}: {weight:?} is no number"))
            };
            config.weights.insert(name, value);
        }
    }
    Ok(())
}

fn set<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

/// The variant that serde knows by `name`; clap has checked the name.
fn named<T: DeserializeOwned>(name: &str) -> Result<T> {
    serde_json::from_value(name.into()).map_err(|error| Error::config(error.to_string()))
}

fn pairs(option: &str, given: &[String]) -> Vec<(String, String)> {
    let split = |pair: &String| match pair.split_once('=') {
        Some((left, right)) if !left.is_empty() && !right.is_empty() => {
            (left.trim().into(), right.trim().into())
        }
        _ => usage(&format!("{option} {pair}: write it as name=value")),
    };
    given.iter().map(split).collect()
}

fn in_words(summary: &Summary, config: &RunConfig) -> String {
    let rows: Vec<_> = summary.by_place.values().cloned().collect();
    let mut text = terminal::table(&rows, show::width(), show::color_stderr());
    text += &format!("{} records, {} students scored", summary.records, summary.students);
    if summary.skipped > 0 {
        text += &format!(", {} of them with skipped rewards", summary.skipped);
    }
    if summary.errors > 0 {
        text += &format!(", {} bad records", summary.errors);
    }
    text.push('\n');
    let mut reasons: Vec<_> = summary.reasons.iter().collect();
    reasons.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    for (reason, count) in reasons.iter().take(5) {
        text += &format!("  skipped {count} times: {reason}\n");
    }
    text += &errors(summary);
    text += &model_work();
    if let Some(preset) = summary.preset.as_deref().filter(|preset| *preset != "native") {
        text +=
            &format!("columns: {preset}, told by the keys of the first record (--preset names another)\n");
    }
    if let Some(output) = &config.output {
        text += &format!("written to {}\n", output.display());
    }
    text
}

/// Says so when a model was named on the command line and nothing runs it: whoever named it believes otherwise.
#[cfg(feature = "llama")]
fn warn_of_idle_model(args: &ModelArgs, config: &RunConfig, judges: bool) {
    let decomposes = rlkd::llama::DECOMPOSERS.iter().any(|entry| entry.name == config.decomposer);
    if (args.model.is_some() || args.judge_gguf.is_some()) && !decomposes && !judges {
        show::say(
            "warning: no language model runs: --decomposer gsrm, --judge llm or --judge embedding runs one\n",
        );
    }
}

/// What the language models did, if any ran.
#[cfg(feature = "llama")]
fn model_work() -> String {
    let did = rlkd::llama::engine::ended();
    if did.requests == 0 {
        return String::new();
    }
    format!(
        "model: {} requests, {} prompt tokens read and {} reused, {} tokens written\n",
        did.requests, did.prompt_tokens, did.reused_tokens, did.sampled_tokens
    )
}

#[cfg(not(feature = "llama"))]
fn model_work() -> String {
    String::new()
}

fn errors(summary: &Summary) -> String {
    summary.first_errors.iter().map(|error| format!("  bad: {error}\n")).collect()
}
