//! What can be typed.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueHint};
use rlkd::decompose::DECOMPOSERS;
use rlkd::judge::JUDGES;
use rlkd::validate::SUITES;

/// Scores reasoning traces by the structure of their steps, with an explanation for every point.
#[derive(Parser)]
#[command(
    name = "rlkd",
    version,
    max_term_width = 110,
    after_help = "\
Exit codes: 0 all scored; 3 some records bad or some rewards skipped; 1 failed; 2 wrong usage."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Score student traces against teacher traces
    #[command(after_help = "\
Examples:
  rlkd score problems.jsonl -o scored.jsonl
  rlkd score part-*.jsonl.gz -o scored.parquet --threads 8
  rlkd score traces.jsonl --map problem=question,teacher=gold,students=text
  zcat traces.jsonl.gz | rlkd score - --detail score | jq .reward
  rlkd score --config run.toml

An interrupted run is taken up by the same command. Presets: rlkd score --help-presets")]
    Score(Box<ScoreArgs>),
    /// Turn traces into steps, one line for each trace
    #[command(after_help = "\
Examples:
  rlkd decompose problems.jsonl | jq -c .steps
  rlkd decompose traces.jsonl.gz --decomposer rules --store steps.redb -o steps.jsonl")]
    Decompose(Box<DecomposeArgs>),
    /// Show how a reward came about, teacher and student side by side
    #[command(after_help = "\
Examples:
  rlkd explain scored.jsonl --id math-bakery
  rlkd explain problems.jsonl --id math-bakery --student 2   (scores it first)")]
    Explain(ExplainArgs),
    /// Write a self-contained HTML page about scored traces
    #[command(after_help = "Example:\n  rlkd report scored.jsonl -o report.html")]
    Report(ReportArgs),
    /// Fit the lexical judge on labelled pairs of steps
    #[command(after_help = "\
Example:
  rlkd calibrate matcher_pairs.jsonl -o model.json
  rlkd score problems.jsonl --judge-model model.json")]
    Calibrate(CalibrateArgs),
    /// Measure how good the reward is on labelled data
    #[command(after_help = "\
Examples:
  rlkd validate ranking --data ../shared/data
  rlkd validate matcher --data ../shared/data --json | jq .figures.auc")]
    Validate(ValidateArgs),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  rlkd completions bash > ~/.local/share/bash-completion/completions/rlkd"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// What is read and written, and how.
#[derive(Args, Default)]
pub struct IoArgs {
    /// Files: .jsonl, .jsonl.gz, .jsonl.zst, .parquet; - for standard input
    #[arg(value_name = "INPUT", value_hint = ValueHint::FilePath)]
    pub input: Vec<PathBuf>,
    /// Where to write; the ending chooses the form (.jsonl, .gz, .zst, .parquet) [default: standard output]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Columns of a known data set; --help-presets lists them [default: auto]
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Columns by hand, ours=theirs: problem=question,teacher=solution,students=outputs
    #[arg(long, value_name = "OURS=THEIRS", value_delimiter = ',')]
    pub map: Vec<String>,
    /// A file that keeps decomposed traces between runs
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub store: Option<PathBuf>,
    /// How a trace becomes steps [default: auto]
    #[arg(long, value_parser = PossibleValuesParser::new(DECOMPOSERS.iter().map(|entry| entry.name)))]
    pub decomposer: Option<String>,
    /// Worker threads; 0 is one for each core. The output does not depend on it [default: 0]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Throw away a part-finished output and begin again
    #[arg(long)]
    pub restart: bool,
    /// Let an id come more than once
    #[arg(long)]
    pub allow_duplicates: bool,
    /// Longest line that is read, in MiB [default: 64]
    #[arg(long, value_name = "MIB")]
    pub max_line_mib: Option<usize>,
    /// A TOML run file; what is typed wins over it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// No progress bar and no summary
    #[arg(short, long)]
    pub quiet: bool,
    /// List the presets of columns and stop
    #[arg(long)]
    pub help_presets: bool,
}

/// `rlkd score`.
#[derive(Args)]
pub struct ScoreArgs {
    #[command(flatten)]
    pub io: IoArgs,
    #[command(flatten)]
    pub rule: RuleArgs,
    /// How much goes into a record: full, steps (no problem text), score (numbers only) [default: full]
    #[arg(long, value_parser = ["full", "steps", "score"])]
    pub detail: Option<String>,
    /// The seed of every random draw
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// List the rewards and stop
    #[arg(long)]
    pub help_rewards: bool,
}

/// What shapes a score.
#[derive(Args, Default)]
pub struct RuleArgs {
    /// How steps are compared [default: ordered]
    #[arg(long, value_parser = ["ordered", "prefix", "reference"])]
    pub structure: Option<String>,
    /// Who decides whether two steps mean the same [default: lexical]
    #[arg(long, value_parser = PossibleValuesParser::new(JUDGES.iter().map(|entry| entry.name)))]
    pub judge: Option<String>,
    /// A model file for the judge, as `rlkd calibrate` writes
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub judge_model: Option<PathBuf>,
    /// Weights by name [default: accuracy=15,format=10,tag_count=10,structure=15]
    #[arg(long, value_name = "NAME=WEIGHT", value_delimiter = ',')]
    pub weights: Vec<String>,
    /// How rewards are put together: sum, or each normalised within its problem first [default: sum]
    #[arg(long, value_parser = ["sum", "normalize_then_sum"])]
    pub scaling: Option<String>,
}

/// `rlkd decompose`.
#[derive(Args)]
pub struct DecomposeArgs {
    #[command(flatten)]
    pub io: IoArgs,
}

/// `rlkd explain`.
#[derive(Args)]
pub struct ExplainArgs {
    /// A file that `rlkd score` wrote, or one that it reads
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Which sample
    #[arg(long)]
    pub id: String,
    /// Which student of it, from 0 [default: all]
    #[arg(long, value_name = "K")]
    pub student: Option<u32>,
    /// Columns of a known data set, where FILE is not scored yet
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub preset: String,
    /// Columns by hand, where FILE is not scored yet
    #[arg(long, value_name = "OURS=THEIRS", value_delimiter = ',')]
    pub map: Vec<String>,
    #[command(flatten)]
    pub rule: RuleArgs,
}

/// `rlkd report`.
#[derive(Args)]
pub struct ReportArgs {
    /// A file that `rlkd score` wrote (.jsonl, .gz, .zst)
    #[arg(value_hint = ValueHint::FilePath)]
    pub scored: PathBuf,
    /// The page
    #[arg(short, long, value_name = "FILE", default_value = "report.html", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
    /// How many pairs of traces are shown in full
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub pairs: usize,
    /// The title of the page [default: the name of the scored file]
    #[arg(long)]
    pub title: Option<String>,
}

/// `rlkd calibrate`.
#[derive(Args)]
pub struct CalibrateArgs {
    /// Labelled pairs of steps: gold_q, gold_a, gold_value, other_q, other_a, other_value, value_equal, gsm8k_test_id
    #[arg(value_hint = ValueHint::FilePath)]
    pub pairs: PathBuf,
    /// Where the model goes
    #[arg(short, long, value_name = "FILE", default_value = "model.json", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
}

/// `rlkd validate`.
#[derive(Args)]
pub struct ValidateArgs {
    /// What to measure
    #[arg(value_parser = PossibleValuesParser::new(SUITES.iter().map(|suite| suite.name).chain(["all"])))]
    pub suite: String,
    /// The folder that holds the suite's files
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data: PathBuf,
    /// Print one JSON object for each suite
    #[arg(long)]
    pub json: bool,
}
