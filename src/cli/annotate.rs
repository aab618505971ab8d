//! `rlkd annotate`.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use rlkd::annotate::{Endpoint, Options, Which, run};
use rlkd::dataset::{self, Body, Source};
use rlkd::error::Place;
use rlkd::grammar::Limits;
use rlkd::run::refuse_overwriting;
use rlkd::{Error, files};

use super::args::AnnotateArgs;
use super::{ALL_SCORED, Done, SOME_SKIPPED, show, usage};

/// Takes the steps of solutions that mark their calculations.
fn marked(args: &AnnotateArgs) -> Done {
    #[derive(serde::Deserialize)]
    struct Solved {
        question: String,
        answer: String,
    }
    if args.output.exists() && !args.restart {
        return Err(
            Error::config("the output is there already: --restart replaces it").at(Place::file(&args.output))
        );
    }
    let mut source = Source::open(&args.input)?;
    let (mut labelled, mut failed) = (0_u64, 0_u64);
    files::write_with(&args.output, |writer| {
        while let Some(record) = source.next_record()? {
            let solved = match &record.body {
                Body::Line(bytes) => {
                    serde_json::from_slice::<Solved>(bytes).map_err(|error| error.to_string())
                }
                Body::Fault(message) => Err(message.clone()),
            };
            let id = format!("{}:{}", record.label, record.place.line);
            let found = solved.and_then(|solved| {
                let found = dataset::marked(&id, &solved.question, &solved.answer);
                found.ok_or_else(|| "no calculation is marked as <<1+2=3>>".into())
            });
            match found {
                Ok(found) => {
                    let line =
                        serde_json::to_string(&found).map_err(|error| Error::engine(error.to_string()))?;
                    writeln!(writer, "{line}").map_err(|error| Error::io("write", &args.output, error))?;
                    labelled += 1;
                }
                Err(why) => {
                    failed += 1;
                    if failed <= 3 && !args.quiet {
                        show::say(&format!("{}\n", Error::data(why).at(record.place.clone())));
                    }
                }
            }
        }
        Ok(())
    })?;
    if !args.quiet {
        show::say(&format!("{labelled} solutions labelled, {failed} without a marked calculation\n"));
    }
    Ok(if failed == 0 { ALL_SCORED } else { SOME_SKIPPED })
}

/// Labels traces.
pub fn annotate(args: &AnnotateArgs) -> Done {
    refuse_overwriting(&args.output, &args.input)?;
    let (Some(endpoint), Some(model)) = (&args.endpoint, &args.model) else { return marked(args) };
    let key = std::env::var(&args.key_env).ok();
    let endpoint = Endpoint::new(endpoint, model, key, Duration::from_secs(args.timeout))?
        .sampling(args.temperature, args.max_tokens)
        .retries(args.retries, Duration::from_millis(args.wait_ms));
    let defaults = Limits::default();
    let options = Options {
        input: args.input.clone(),
        output: args.output.clone(),
        preset: args.preset.clone(),
        map: args.map.clone(),
        traces: match args.traces.as_str() {
            "teacher" => Which::Teacher,
            "students" => Which::Students,
            _ => Which::All,
        },
        grammar: args.grammar.clone(),
        limits: Limits { max_steps: args.max_steps.unwrap_or(defaults.max_steps), ..defaults },
        parallel: args.parallel,
        attempts: args.attempts,
        budget_tokens: args.budget_tokens.unwrap_or(0),
        restart: args.restart,
    };
    if !(0.0..=2.0).contains(&args.temperature) {
        usage("--temperature is from 0 to 2");
    }
    let bar = (!args.quiet && std::io::stderr().is_terminal()).then(ProgressBar::no_length);
    let done = run(&options, &endpoint, |summary, read, all| {
        let Some(bar) = &bar else { return };
        if let (Some(all), None) = (all, bar.length()) {
            bar.set_length(all);
            let style = ProgressStyle::with_template("{bar:30} {percent:>3}% {msg} ETA {eta}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        }
        bar.set_position(read);
        bar.set_message(format!(
            "{} labelled, {} failed, {} tokens",
            summary.labelled,
            summary.failed,
            summary.usage.total()
        ));
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let summary = done?;
    if !args.quiet {
        show::say(&format!(
            "{} traces labelled, {} failed; {} answers did not keep to the form; {} tokens of prompts, {} of answers\n",
            summary.labelled,
            summary.failed,
            summary.refused,
            summary.usage.prompt_tokens,
            summary.usage.completion_tokens
        ));
        if summary.out_of_budget {
            show::say("stopped at --budget-tokens: the same command with a larger budget goes on\n");
        }
    }
    Ok(if summary.failed == 0 && !summary.out_of_budget { ALL_SCORED } else { SOME_SKIPPED })
}
