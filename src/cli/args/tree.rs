//! What can be typed after `rlkd tree`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueHint};
use rlkd::score::{decomposers, judges};

#[cfg(feature = "llama")]
use super::ModelArgs;

/// `rlkd tree`.
#[derive(Args)]
pub struct TreeArgs {
    /// A file that `rlkd score` reads; students may be missing
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Which sample [default: the first]
    #[arg(long)]
    pub id: Option<String>,
    /// Whose tree: teachers, with the students along it, or students [default: teachers, where there are any]
    #[arg(long, value_parser = ["teachers", "students"])]
    pub of: Option<String>,
    /// Draw it, too
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub svg: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Columns of a known data set
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub preset: String,
    /// Columns by hand, ours=theirs: id=problem_id,teacher=solution
    #[arg(long, value_name = "OURS=THEIRS", value_delimiter = ',')]
    pub map: Vec<String>,
    /// How a trace becomes steps [default: auto]
    #[arg(long, value_parser = PossibleValuesParser::new(decomposers().map(|(name, _)| name)))]
    pub decomposer: Option<String>,
    /// Who decides whether two steps mean the same [default: lexical]
    #[arg(long, value_parser = PossibleValuesParser::new(judges().map(|(name, _)| name)))]
    pub judge: Option<String>,
    /// A model file for the judge, as `rlkd calibrate` writes
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub judge_model: Option<PathBuf>,
    /// A file that keeps decomposed traces between runs
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub store: Option<PathBuf>,
    #[cfg(feature = "llama")]
    #[command(flatten)]
    pub model: ModelArgs,
}
