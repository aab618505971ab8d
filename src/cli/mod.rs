//! The command line: what is typed becomes a call of the library, and what comes back is shown.

#[cfg(feature = "train")]
mod adapter;
#[cfg(feature = "llama")]
mod annotate;
mod args;
mod calibrate;
#[cfg(all(feature = "train", feature = "llama"))]
mod eval;
mod explain;
mod models;
mod plan;
mod progress;
mod report;
mod score;
#[cfg(all(feature = "train", feature = "llama"))]
mod sft;
mod show;
mod synth;
#[cfg(all(feature = "train", feature = "llama"))]
mod train;
mod tree;
mod validate;
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use rlkd::Result;

use args::{Cli, Command};

/// Every reward of every student was given.
const ALL_SCORED: u8 = 0;
/// The command failed. What was written before is kept.
const FAILED: u8 = 1;
/// Some records were bad, or some rewards were skipped.
const SOME_SKIPPED: u8 = 3;

/// Runs the command; wrong usage ends with 2, as clap has it.
pub fn main() -> ExitCode {
    let command = Cli::parse().command;
    #[cfg(feature = "llama")]
    if let Err(error) = rlkd::llama::logging::init() {
        show::say(&format!("warning: {error}\n"));
    }
    let done = match command {
        Command::Score(args) => score::score(&args),
        Command::Decompose(args) => score::decompose(&args),
        Command::Explain(args) => explain::explain(&args),
        Command::Report(args) => report::report(&args),
        Command::Tree(args) => tree::tree(&args),
        Command::Calibrate(args) => calibrate::calibrate(&args),
        Command::Validate(args) => validate::validate(&args),
        Command::Verify(args) => verify::verify(&args),
        Command::Models(command) => models::models(&command),
        Command::Synth(args) => synth::synth(&args),
        Command::Plan(args) => plan::plan(&args),
        #[cfg(feature = "llama")]
        Command::Annotate(args) => annotate::annotate(&args),
        #[cfg(all(feature = "train", feature = "llama"))]
        Command::Sft(args) => sft::sft(&args),
        #[cfg(all(feature = "train", feature = "llama"))]
        Command::Eval(args) => eval::eval(&args),
        #[cfg(all(feature = "train", feature = "llama"))]
        Command::Train(args) => train::train(&args),
        #[cfg(feature = "train")]
        Command::Adapter(command) => adapter::adapter(&command),
        #[cfg(feature = "train")]
        Command::Export(args) => adapter::export(&args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "rlkd", &mut script);
            show::print(&script).map(|()| ALL_SCORED)
        }
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) if rlkd::dataset::is_closed_pipe(&error) => ExitCode::from(ALL_SCORED),
        Err(error) => {
            show::say(&format!("{}error:{} {error}\n", show::BAD.render(), show::BAD.render_reset()));
            ExitCode::from(FAILED)
        }
    }
}

/// What a command ends with.
type Done = Result<u8>;

/// Ends the program as clap does, for an error in what was typed that clap cannot see.
fn usage(message: &str) -> ! {
    Cli::command().error(clap::error::ErrorKind::ValueValidation, message).exit()
}
