//! What is typed behind the commands that train and measure models.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

/// `rlkd sft`.
#[cfg(all(feature = "train", feature = "llama"))]
#[derive(Args)]
pub struct SftArgs {
    /// The run file (TOML)
    #[arg(value_name = "RUN.toml", value_hint = ValueHint::FilePath)]
    pub run: PathBuf,
    /// Where checkpoints, metrics and the adapter go, instead of output_dir
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub output_dir: Option<PathBuf>,
    /// Threads; 0 is one for each core
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// No progress bar and no messages
    #[arg(short, long)]
    pub quiet: bool,
}

/// `rlkd eval`.
#[cfg(all(feature = "train", feature = "llama"))]
#[derive(Args)]
pub struct EvalArgs {
    /// The model: a GGUF file, or what `rlkd models` knows
    #[arg(short, long, value_name = "MODEL", value_hint = ValueHint::FilePath)]
    pub model: Option<String>,
    /// Adapters, put together if there are several
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub adapter: Vec<PathBuf>,
    /// Files of problems
    #[arg(short, long, value_name = "FILE", num_args = 1.., value_hint = ValueHint::FilePath)]
    pub data: Vec<PathBuf>,
    /// Where the results go, a line for each problem
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Most problems: the first ones
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// What the model is told before the problem
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// Samples of each problem
    #[arg(short = 'n', long, value_name = "N", default_value_t = 4)]
    pub samples: usize,
    /// Temperature; 0 takes the most likely token
    #[arg(long, value_name = "T", default_value_t = 0.6)]
    pub temperature: f32,
    /// Keeps the fewest most likely tokens whose probabilities sum to at least that
    #[arg(long, value_name = "P", default_value_t = 0.95)]
    pub top_p: f32,
    /// Keeps the most likely tokens; 0 is all
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub top_k: u32,
    /// Most tokens of a sample
    #[arg(long, value_name = "N", default_value_t = 2048)]
    pub max_tokens: usize,
    /// Tokens that a sequence may hold
    #[arg(long, value_name = "N")]
    pub ctx: Option<u32>,
    /// Sequences that are decoded at once
    #[arg(long, value_name = "N")]
    pub parallel: Option<u32>,
    /// Threads; 0 is one for each core
    #[arg(long, value_name = "N")]
    pub threads: Option<u32>,
    /// The seed of every draw
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Keep what was written
    #[arg(long)]
    pub texts: bool,
    /// Compare two files of results on the problems that both have
    #[arg(long, num_args = 2, value_names = ["FIRST", "SECOND"], conflicts_with_all = ["model", "data", "output"])]
    pub compare: Vec<PathBuf>,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
    /// No progress bar
    #[arg(short, long)]
    pub quiet: bool,
}

/// `rlkd train`.
#[cfg(all(feature = "train", feature = "llama"))]
#[derive(Args)]
pub struct TrainArgs {
    /// The run file (TOML)
    #[arg(value_name = "RUN.toml", value_hint = ValueHint::FilePath)]
    pub run: PathBuf,
    /// Where checkpoints, metrics and the adapter go, instead of output_dir
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub output_dir: Option<PathBuf>,
    /// The seed of every random draw, instead of the run file's
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Optimiser steps of the whole run, instead of the run file's
    #[arg(long, value_name = "N")]
    pub max_steps: Option<u64>,
    /// Threads; 0 is one for each core
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// No progress bar and no messages
    #[arg(short, long)]
    pub quiet: bool,
}

/// `rlkd adapter`.
#[cfg(feature = "train")]
#[derive(Subcommand)]
pub enum AdapterCommand {
    /// Say what an adapter holds
    #[command(after_help = "\
Examples:
  rlkd adapter info runs/gsrm/adapter --model base.gguf
  rlkd adapter info adapter.gguf --model base.gguf --json | jq .norms")]
    Info(AdapterInfoArgs),
    /// Convert between a folder of peft and a GGUF file of llama.cpp
    #[command(after_help = "\
Examples:
  rlkd adapter convert peft-folder --model base.gguf -o adapter.gguf
  rlkd adapter convert adapter.gguf --model base.gguf -o peft-folder")]
    Convert(ConvertArgs),
    /// Add adapters to a model file, or take them out again
    #[command(after_help = "\
Examples:
  rlkd adapter merge runs/gsrm/adapter --model base.gguf --type q8_0 -o merged.gguf
  rlkd adapter merge one.gguf two.gguf@0.5 --model base.gguf -o merged.gguf
  rlkd adapter merge adapter.gguf --undo --model merged.gguf -o base-again.gguf
  rlkd adapter merge frozen on-top --model base.gguf -o merged.gguf    (in the order in which they were trained)

Matrices keep their type unless --type says otherwise. In few bits a small change may be lost in rounding: q8_0 or f16
keep more of it.")]
    Merge(MergeArgs),
}

/// `rlkd adapter info`.
#[cfg(feature = "train")]
#[derive(Args)]
pub struct AdapterInfoArgs {
    /// A folder of peft, or a .gguf file
    #[arg(value_hint = ValueHint::AnyPath)]
    pub adapter: PathBuf,
    /// The model that it is for
    #[arg(long)]
    pub model: String,
    /// Print a JSON object
    #[arg(long)]
    pub json: bool,
}

/// `rlkd adapter convert`.
#[cfg(feature = "train")]
#[derive(Args)]
pub struct ConvertArgs {
    /// A folder of peft, or a .gguf file
    #[arg(value_hint = ValueHint::AnyPath)]
    pub adapter: PathBuf,
    /// The model that it is for
    #[arg(long)]
    pub model: String,
    /// Where it goes: a name that ends with .gguf is a file of llama.cpp, any other a folder of peft
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub output: PathBuf,
}

/// `rlkd adapter merge`.
#[cfg(feature = "train")]
#[derive(Args)]
pub struct MergeArgs {
    /// Folders of peft or .gguf files, each with @FACTOR behind it if it is to count otherwise than once
    #[arg(required = true, value_hint = ValueHint::AnyPath)]
    pub adapter: Vec<String>,
    /// The model
    #[arg(long)]
    pub model: String,
    /// How matrices are stored: f32, f16, bf16, q8_0, q4_0, q4_k, q5_k, q6_k [default: as they are]
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// Take the adapters out of the model
    #[arg(long)]
    pub undo: bool,
    /// Where the model goes
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
    /// No progress bar and no summary
    #[arg(short, long)]
    pub quiet: bool,
}

/// `rlkd export`.
#[cfg(feature = "train")]
#[derive(Args)]
pub struct ExportArgs {
    /// The model
    #[arg(long)]
    pub model: String,
    /// An adapter to put into it; give it again for another, in the order in which they were trained
    #[arg(long, value_name = "ADAPTER", value_hint = ValueHint::AnyPath)]
    pub adapter: Vec<String>,
    /// How matrices are stored: f32, f16, bf16, q8_0, q4_0, q4_k, q5_k, q6_k [default: as they are]
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// Where the model goes
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
    /// No progress bar and no summary
    #[arg(short, long)]
    pub quiet: bool,
}
