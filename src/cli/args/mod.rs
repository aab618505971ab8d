//! What can be typed.

#[cfg(feature = "train")]
mod training;
mod tree;

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{ArgAction, Args, Parser, Subcommand, ValueHint};
use rlkd::models::plan::{Demand, KvType, MOST_SEQUENCES, PREFIXES};
use rlkd::score::{decomposers, judges};
use rlkd::validate::SUITES;
#[cfg(feature = "train")]
pub use training::*;
pub use tree::*;

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
  rlkd score problems.jsonl --decomposer gsrm --model gsrm.gguf --store steps.redb -o scored.jsonl
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
    /// Show the teachers of a problem as one tree of sub-problems, and where its students go
    #[command(after_help = "\
Examples:
  rlkd tree problems.jsonl --id math-bakery
  rlkd tree problems.jsonl --id math-bakery --svg tree.svg
  rlkd tree rollouts.jsonl --of students --json | jq .variety
  rlkd tree decompositions.jsonl --map id=gsm8k_test_id --id 1     # one line for each teacher

Lines with the same id are put together. Behind a node stands how many teachers and students take it. Entropy, diversity
and agreement: docs/reward.md. Ends with 3 if a teacher or a student had to be left out.")]
    Tree(TreeArgs),
    /// Fit a judge on labelled pairs of steps
    #[command(after_help = "\
Example:
  rlkd calibrate matcher_pairs.jsonl -o model.json
  rlkd score problems.jsonl --judge-model model.json
  rlkd calibrate matcher_pairs.jsonl --judge llm --model m.gguf --pairs-used 2000 -o llm.json")]
    Calibrate(CalibrateArgs),
    /// Measure how good the reward is on labelled data
    #[command(after_help = "\
Examples:
  rlkd validate ranking --data ../shared/data
  rlkd validate matcher --data ../shared/data --json | jq .figures.auc
  rlkd validate all --data ../shared/data --html quality.html")]
    Validate(ValidateArgs),
    /// Say whether a prediction is the gold answer, and why
    #[command(after_help = "\
Examples:
  rlkd verify '\\frac{1}{1+\\sqrt{2}}' '\\sqrt2 - 1' --explain
  rlkd verify --texts 42 'So she has \\boxed{42} eggs.'
  rlkd verify --file pairs.jsonl --gold answer --pred output > verdicts.jsonl

Ends with 0 for equal, 4 for different, 3 for what cannot be read or takes too much work; of files, with 0 or 3.
What is read, and by which rules: docs/answers.md")]
    Verify(VerifyArgs),
    /// List, fetch, check and make model files
    #[command(subcommand)]
    Models(ModelsCommand),
    /// Say what memory a model will take, and whether it fits
    #[command(after_help = "\
Examples:
  rlkd plan --model model.gguf --ctx 8192 --parallel 16
  rlkd plan --model model.gguf --ctx 32768 --parallel 4 --kv q8_0 --memory 24GiB
  rlkd plan --model model.gguf --json | jq .total
  rlkd plan run.toml                                (a training run)")]
    Plan(PlanArgs),
    /// Let a strong model behind an OpenAI-compatible endpoint write the steps of traces, to train a GSRM on
    #[cfg(feature = "llama")]
    #[command(after_help = "\
Examples:
  OPENAI_API_KEY=... rlkd annotate traces.jsonl --endpoint https://HOST/v1 --model NAME -o labelled.jsonl
  rlkd annotate traces.jsonl --endpoint http://127.0.0.1:8080/v1 --model local --parallel 2 -o labelled.jsonl
  rlkd annotate traces.jsonl ... --budget-tokens 2000000
  rlkd annotate gsm8k_train.jsonl --marked -o labelled.jsonl        # asks nobody

An interrupted run is taken up by the same command. Answers that do not keep to the form are asked for again, and never
kept. The key comes from a variable and is never shown.")]
    Annotate(AnnotateArgs),
    /// Train a GSRM or a student on steps or traces that are given
    #[cfg(all(feature = "train", feature = "llama"))]
    #[command(after_help = "\
Examples:
  rlkd sft run.toml
  rlkd sft run.toml --output-dir runs/second

A run file:
  model = \"base.gguf\"
  output_dir = \"runs/gsrm\"
  task = \"gsrm\"                 # or student
  train = [\"labelled.jsonl\"]    # {problem, trace, steps: [{meta_reasoning, sub_problem, answer}]}
  num_train_epochs = 2
  [lora]
  r = 16
  [optim]
  learning_rate = 2e-4

An interrupted run is taken up by the same command. Every key: docs/training.md")]
    Sft(SftArgs),
    /// Train a student on the rewards of what it writes: roll out, score, update (GRPO)
    #[cfg(all(feature = "train", feature = "llama"))]
    #[command(after_help = "\
Examples:
  rlkd train recipes/rlkd-tiny.toml
  rlkd train run.toml --seed 1 --output-dir runs/second
  rlkd explain runs/rlkd/completions.jsonl --id ID    # what it wrote, and why it got what it got

A run file:
  model = \"student.gguf\"
  output_dir = \"runs/rlkd\"
  train = [\"problems.jsonl\"]      # {problem, teacher: [...], answer}
  validation = [\"held-out.jsonl\"]
  num_generations = 8
  max_completion_length = 256
  [reward.weights]
  accuracy = 1.0
  structure = 1.0
  [optim]
  learning_rate = 1e-4

An interrupted run is taken up by the same command. Every key: docs/rlkd.md")]
    Train(TrainArgs),
    /// Measure a model on problems with answers: pass@1, pass@k, majority vote, structure; or compare two measurements
    #[cfg(all(feature = "train", feature = "llama"))]
    #[command(after_help = "\
Examples:
  rlkd eval --model student.gguf --data math500.jsonl -o base.jsonl
  rlkd eval --model student.gguf --adapter runs/rlkd/adapter --data math500.jsonl -n 16 -o rlkd.jsonl
  rlkd eval --compare base.jsonl rlkd.jsonl        # the same problems, with a paired test

Reads files shaped as AIME, AMC, MATH-500, GPQA, GSM8K, OlympiadBench, SVAMP, or rlkd's own. Instruct models want to be told
where the answer goes: --system 'Put the final answer in \\boxed{}.' An interrupted run is taken up by the same command.")]
    Eval(EvalArgs),
    /// Make word problems whose structure is known
    #[command(after_help = "\
Examples:
  rlkd synth --count 1000 -o bed.jsonl
  rlkd synth --count 200 --split test --students 6 | rlkd score - --detail score
  rlkd synth --count 5000 --labels steps.jsonl -o bed.jsonl   (what a GSRM learns from)
  rlkd synth --count 3 --steps 6 --depth 2..4 | jq -r .problem

Nothing of one split (names, things, sentences) occurs in another. docs/synth.md says what a record holds.")]
    Synth(SynthArgs),
    /// Show, convert and merge adapters
    #[cfg(feature = "train")]
    #[command(subcommand)]
    Adapter(AdapterCommand),
    /// Write a model file in another type, with adapters in it
    #[cfg(feature = "train")]
    #[command(after_help = "\
Examples:
  rlkd export --model base.gguf --adapter runs/gsrm/adapter --type q8_0 -o gsrm.gguf
  rlkd export --model big.gguf --type q4_k -o small.gguf")]
    Export(ExportArgs),
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
    #[arg(long, value_parser = PossibleValuesParser::new(decomposers().map(|(name, _)| name)))]
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
    #[cfg(feature = "llama")]
    #[command(flatten)]
    pub model: ModelArgs,
}

/// Which language model is run, and how.
#[cfg(feature = "llama")]
#[derive(Args, Default)]
#[command(next_help_heading = "Language models")]
pub struct ModelArgs {
    /// The model of the decomposer gsrm and of the judges llm and embedding: a .gguf file, the name of a manifest
    /// (rlkd models list), or hf:owner/repository/file.gguf [default of gsrm: gsrm-tiny, which comes with the program
    /// and knows little but rlkd synth]
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// The judge's model, if it is another one
    #[arg(long, value_name = "MODEL")]
    pub judge_gguf: Option<String>,
    /// Fetch a model that is not here yet
    #[arg(long)]
    pub fetch: bool,
    /// The form in which gsrm writes steps; steps-extractive takes answers from the trace only [default: what the model was
    /// trained on, else steps]
    #[arg(long, value_parser = PossibleValuesParser::new(rlkd::grammar::GRAMMARS.iter()
        .filter(|grammar| grammar.form != rlkd::grammar::Form::Verdict).map(|grammar| grammar.name)))]
    pub grammar: Option<String>,
    /// Most steps that gsrm writes for a trace [default: 24]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(rlkd::grammar::Limits::MOST_STEPS)))]
    pub max_steps: Option<u32>,
    /// Most tokens that gsrm writes for a trace; 0 is as many as the context holds [default: 0]
    #[arg(long, value_name = "N")]
    pub max_tokens: Option<u32>,
    /// Seconds that gsrm may take for a trace from when its turn comes; 0 is no limit [default: 0]
    #[arg(long, value_name = "SECONDS")]
    pub deadline: Option<u32>,
    /// Tokens that a sequence may hold, prompt and output together; 0 chooses [default: 0]
    #[arg(long, value_name = "TOKENS")]
    pub ctx: Option<u32>,
    /// Sequences that are decoded at once; 0 chooses [default: 0]
    #[arg(long, value_name = "N")]
    pub parallel: Option<u32>,
    /// Layers that go to the GPU [default: all, where there is one]
    #[arg(long, value_name = "N")]
    pub gpu_layers: Option<u32>,
    /// Type of the numbers in the KV cache [default: f32 on a processor, f16 on a GPU]
    #[arg(long, value_parser = PossibleValuesParser::new(KvType::ALL.map(KvType::name)))]
    pub kv: Option<String>,
    /// Threads of the decoder; 0 is one for each core [default: 0]
    #[arg(long, value_name = "N")]
    pub model_threads: Option<u32>,
    /// Run a model of any architecture, also of those whose files cannot be checked in full before they are loaded
    #[arg(long)]
    pub trust_model: bool,
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
    #[arg(long, value_parser = ["ordered", "tree", "prefix", "reference"])]
    pub structure: Option<String>,
    /// Who decides whether two steps mean the same [default: lexical]
    #[arg(long, value_parser = PossibleValuesParser::new(judges().map(|(name, _)| name)))]
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
    /// How a trace becomes steps, where FILE is not scored yet [default: auto]
    #[arg(long, value_parser = PossibleValuesParser::new(decomposers().map(|(name, _)| name)))]
    pub decomposer: Option<String>,
    #[command(flatten)]
    pub rule: RuleArgs,
    #[cfg(feature = "llama")]
    #[command(flatten)]
    pub model: ModelArgs,
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
    /// Of how many problems the teachers' tree is drawn, where it was scored with --structure tree: those at which most
    /// students leave it
    #[arg(long, value_name = "N", default_value_t = 12)]
    pub trees: usize,
    /// The title of the page [default: the name of the scored file]
    #[arg(long)]
    pub title: Option<String>,
}

/// `rlkd verify`.
#[derive(Args)]
pub struct VerifyArgs {
    /// A gold answer
    #[arg(value_name = "GOLD", allow_hyphen_values = true, requires = "answer")]
    pub gold_answer: Option<String>,
    /// A prediction
    #[arg(value_name = "PREDICTION", allow_hyphen_values = true)]
    pub answer: Option<String>,
    /// Files of pairs (.jsonl, .gz, .zst; - for standard input), one line each
    #[arg(long = "file", value_name = "FILE", num_args = 1.., value_hint = ValueHint::FilePath, conflicts_with = "gold_answer")]
    pub files: Vec<PathBuf>,
    /// The column of the gold answer
    #[arg(long, value_name = "COLUMN", default_value = "gold")]
    pub gold: String,
    /// The column of the prediction
    #[arg(long, value_name = "COLUMN", default_value = "pred")]
    pub pred: String,
    /// Look for the answers in whole texts
    #[arg(long)]
    pub texts: bool,
    /// In texts: whether the last formula or number counts where nothing is marked as the answer
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub try_extract_without_anchor: bool,
    /// In texts: how early boxes count. 0: before all else; 50: but "the final answer is" behind one comes first; from
    /// 100 on: after what is stated; -1: never
    #[arg(long, value_name = "N", default_value_t = 50, allow_hyphen_values = true)]
    pub boxed_match_priority: i32,
    /// In texts: any_match tries the next place where the first cannot be read, or has no value
    #[arg(long, value_name = "MODE", default_value = "first_match", value_parser = ["first_match", "any_match"])]
    pub extraction_mode: String,
    /// In texts: whether the first place that cannot be read is the answer as it stands, or there is none
    #[arg(long, value_name = "MODE", default_value = "first_match", value_parser = ["first_match", "no_fallback"])]
    pub fallback_mode: String,
    /// In texts: whether \frac12 counts, which has no braces
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub malformed_operators: bool,
    /// Look in texts for one of these strings instead, as A,B,C,D
    #[arg(long, value_name = "STRINGS", value_delimiter = ',')]
    pub strings: Vec<String>,
    /// With --strings: whether capital letters mean nothing
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub lowercase: bool,
    /// Say why, and how both were read, in SymPy's syntax
    #[arg(long)]
    pub explain: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Decimals that count where a side was written with a point; 0: all
    #[arg(long, value_name = "N", default_value_t = 6)]
    pub float_rounding: u32,
    /// false: other variables may stand for those of the gold answer, and sets for tuples
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub strict: bool,
    /// Let an inequality stand for a gold set
    #[arg(long)]
    pub allow_set_relation_comp: bool,
    /// A prediction that cannot be read is not different, but unparsable
    #[arg(long)]
    pub keep_unparsable: bool,
    /// Most steps of work for a pair
    #[arg(long, value_name = "STEPS", default_value_t = rlkd::answer::Rules::default().budget)]
    pub budget: u64,
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
    /// The judge to fit
    #[cfg(feature = "llama")]
    #[arg(long, default_value = "lexical", value_parser = ["lexical", "llm", "embedding"])]
    pub judge: String,
    /// Take the first N pairs only
    #[arg(long, value_name = "N")]
    pub pairs_used: Option<usize>,
    #[cfg(feature = "llama")]
    #[command(flatten)]
    pub model: ModelArgs,
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
    /// The decomposer that steps measures [default: auto]
    #[arg(long, value_name = "NAME")]
    pub decomposer: Option<String>,
    #[cfg(feature = "llama")]
    #[command(flatten)]
    pub model: ModelArgs,
    /// Print one JSON object for each suite
    #[arg(long)]
    pub json: bool,
    /// Write a self-contained page with the tables, the plots and the bars
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub html: Option<PathBuf>,
}

/// `rlkd models`.
#[derive(Subcommand)]
pub enum ModelsCommand {
    /// List the models that have a manifest, and whether they are here
    #[command(after_help = "\
Examples:
  rlkd models list
  rlkd models list --json | jq -r 'select(.path) | .name'

Manifests of your own go into the folder that RLKD_MODELS names [default: ~/.local/share/rlkd/models].")]
    List {
        /// Print one JSON object for each model
        #[arg(long)]
        json: bool,
    },
    /// Check a model file before it is loaded, and say what it holds
    #[command(after_help = "\
Examples:
  rlkd models check model.gguf
  rlkd models check tiny-random-qwen2              (its checksum too)
  rlkd models check model.gguf --manifest NAME     (likewise, for a file elsewhere)
  rlkd models check model.gguf --json | jq .parameters")]
    Check(CheckArgs),
    /// Fetch a model to this machine; what was begun goes on where it stopped
    #[cfg(feature = "llama")]
    #[command(after_help = "\
Examples:
  rlkd models fetch tiny-random-qwen2
  rlkd models fetch hf:OWNER/REPOSITORY/FILE.gguf
  HF_TOKEN=... rlkd models fetch hf:OWNER/REPOSITORY/FILE.gguf@REVISION

Variables: HF_ENDPOINT, HF_TOKEN, HF_HOME, RLKD_MODELS.")]
    Fetch(FetchArgs),
    /// Make a small model with random weights, for tests and benchmarks
    #[command(after_help = "\
Examples:
  rlkd models random -o tiny.gguf
  rlkd models random -o wide.gguf --architecture qwen3 --vocabulary 151936 --weights q8_0")]
    Random(RandomArgs),
}

/// `rlkd models check`.
#[derive(Args)]
pub struct CheckArgs {
    /// A path, the name of a manifest, or hf:owner/repo/file.gguf[@revision]
    pub model: String,
    /// Hold the file against this manifest
    #[arg(long, value_name = "NAME")]
    pub manifest: Option<String>,
    /// Compute the SHA-256, where no manifest asks for it
    #[arg(long)]
    pub sha256: bool,
    /// Print a JSON object
    #[arg(long)]
    pub json: bool,
}

/// `rlkd models fetch`.
#[cfg(feature = "llama")]
#[derive(Args)]
pub struct FetchArgs {
    /// The name of a manifest, or hf:owner/repo/file.gguf[@revision]
    pub model: String,
    /// No progress bar
    #[arg(short, long)]
    pub quiet: bool,
}

/// `rlkd models random`.
#[derive(Args)]
pub struct RandomArgs {
    /// Where the file goes
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
    /// The family
    #[arg(long, default_value = "qwen2", value_parser = ["qwen2", "qwen3", "llama"])]
    pub architecture: String,
    /// Tokens
    #[arg(long, value_name = "N")]
    pub vocabulary: Option<usize>,
    /// Numbers in a token's embedding
    #[arg(long, value_name = "N")]
    pub embedding: Option<usize>,
    /// Layers
    #[arg(long, value_name = "N")]
    pub layers: Option<usize>,
    /// Heads of queries
    #[arg(long, value_name = "N")]
    pub heads: Option<usize>,
    /// Heads of keys and values
    #[arg(long, value_name = "N")]
    pub kv_heads: Option<usize>,
    /// Numbers in a head
    #[arg(long, value_name = "N")]
    pub head_size: Option<usize>,
    /// Numbers inside a feed-forward block
    #[arg(long, value_name = "N")]
    pub feed_forward: Option<usize>,
    /// Tokens that the model says it was trained for
    #[arg(long, value_name = "N")]
    pub context: Option<usize>,
    /// How matrices are stored: f32, f16, bf16, q8_0, q4_0, q4_k, q6_k
    #[arg(long, value_name = "TYPE")]
    pub weights: Option<String>,
    /// Use the embedding as output matrix too
    #[arg(long)]
    pub tied: bool,
    /// The seed of the weights
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

/// `rlkd plan`.
#[derive(Args)]
pub struct PlanArgs {
    /// The run file of a training run
    #[cfg(feature = "train")]
    #[arg(value_name = "RUN.toml", value_hint = ValueHint::FilePath, conflicts_with = "model", required_unless_present = "model")]
    pub run: Option<PathBuf>,
    /// A model that runs in llama.cpp: a path, the name of a manifest, or hf:owner/repo/file.gguf[@revision]
    #[arg(long, required = cfg!(not(feature = "train")))]
    pub model: Option<String>,
    /// Tokens of each sequence
    #[arg(long, value_name = "N", default_value_t = Demand::default().context, value_parser = clap::value_parser!(u32).range(1..))]
    pub ctx: u32,
    /// Sequences at a time; a run keeps two more, for the beginnings that prompts share
    #[arg(long, value_name = "N", default_value_t = Demand::default().parallel, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_SEQUENCES - PREFIXES)))]
    pub parallel: u32,
    /// How keys and values are stored [default: f32 on a processor, f16 on a GPU, as in a run]
    #[arg(long, value_parser = PossibleValuesParser::new(KvType::ALL.map(KvType::name)))]
    pub kv: Option<String>,
    /// Most tokens of one call to decode
    #[arg(long, value_name = "N", default_value_t = Demand::default().batch, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub batch: u32,
    /// Most tokens computed at once
    #[arg(long, value_name = "N", default_value_t = Demand::default().micro_batch, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub micro_batch: u32,
    /// Layers on a GPU
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub gpu_layers: u32,
    /// Memory to fit into, such as 24GiB [default: what this machine has to give]
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<String>,
    /// Print a JSON object
    #[arg(long)]
    pub json: bool,
}

/// `rlkd synth`.
#[derive(Debug, clap::Args)]
pub struct SynthArgs {
    /// Problems
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub count: u64,
    /// The number of the first; number 7 of a seed is always the same
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub first: u64,
    /// Where they go; - is the standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
    /// Also write the teacher's traces with their steps, for rlkd sft
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Answers in the labels are the computations alone, not the sentences around them
    #[arg(long, requires = "labels")]
    pub brief: bool,
    /// Whose words are used
    #[arg(long, value_parser = ["train", "validation", "test"], default_value = "train", hide_possible_values = false)]
    pub split: String,
    /// What problems are about: people, towns, boxes; all in turn unless said
    #[arg(long, value_parser = ["people", "towns", "boxes"], value_delimiter = ',')]
    pub style: Vec<String>,
    /// Sub-problems: a number, or from..to
    #[arg(long, value_name = "N..M", default_value = "2..5")]
    pub steps: String,
    /// The longest chain of sub-problems; of two to four at least 2, of more at least 3
    #[arg(long, value_name = "N..M", default_value = "2..4")]
    pub depth: String,
    /// Quantities that nobody needs
    #[arg(long, value_name = "N..M", default_value = "0..2")]
    pub distractors: String,
    /// Numbers that are stated
    #[arg(long, value_name = "N..M", default_value = "2..50")]
    pub numbers: String,
    /// Share of the problems whose names and things are made up: what models learn to copy by
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub invented: f64,
    /// Keep sentences in the order of what follows from what
    #[arg(long)]
    pub in_order: bool,
    /// Teacher traces of a problem, each in an order of its own draw
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub teachers: usize,
    /// Share of the teacher traces that are written as a student would: what a base model learns from
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub spoilt: f64,
    /// Student traces of a problem, each spoilt in another way (up to 6)
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub students: usize,
    /// The seed
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

/// `rlkd annotate`.
#[cfg(feature = "llama")]
#[derive(Args)]
pub struct AnnotateArgs {
    /// Files of samples, as `rlkd score` reads them; - for standard input
    #[arg(required = true, value_hint = ValueHint::FilePath)]
    pub input: Vec<PathBuf>,
    /// Where labelled traces go: .jsonl, .gz or .zst
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
    /// Ask nobody: take the steps of solutions that mark their calculations, as GSM8K's {question, answer}
    #[arg(long, conflicts_with_all = ["endpoint", "model"])]
    pub marked: bool,
    /// What stands before /chat/completions
    #[arg(long, value_name = "URL", required_unless_present = "marked")]
    pub endpoint: Option<String>,
    /// The model's name at the endpoint
    #[arg(long, value_name = "NAME", required_unless_present = "marked")]
    pub model: Option<String>,
    /// The variable that holds the key
    #[arg(long, value_name = "VARIABLE", default_value = "OPENAI_API_KEY")]
    pub key_env: String,
    /// The form in which steps are written
    #[arg(long, default_value = "steps", value_parser = PossibleValuesParser::new(rlkd::grammar::GRAMMARS.iter()
        .filter(|grammar| grammar.form != rlkd::grammar::Form::Verdict).map(|grammar| grammar.name)))]
    pub grammar: String,
    /// Which traces of a sample
    #[arg(long, default_value = "all", value_parser = ["teacher", "students", "all"])]
    pub traces: String,
    /// Columns of a known data set
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub preset: String,
    /// Columns by hand, ours=theirs
    #[arg(long, value_name = "OURS=THEIRS", value_delimiter = ',')]
    pub map: Vec<String>,
    /// Most steps of a trace [default: 24]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(rlkd::grammar::Limits::MOST_STEPS)))]
    pub max_steps: Option<u32>,
    /// Most tokens of an answer
    #[arg(long, value_name = "N", default_value_t = 4096)]
    pub max_tokens: u32,
    /// Temperature of the first answer; later ones are warmer
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    pub temperature: f64,
    /// Requests at a time
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub parallel: usize,
    /// How often a model that did not keep to the form is asked again
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub attempts: u32,
    /// How often a busy endpoint is tried again
    #[arg(long, value_name = "N", default_value_t = 6)]
    pub retries: u32,
    /// The first wait before that, in milliseconds; each further one is twice as long
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    pub wait_ms: u64,
    /// Seconds that a request may take
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub timeout: u64,
    /// Stop when so many tokens were used, of prompts and answers together
    #[arg(long, value_name = "N")]
    pub budget_tokens: Option<u64>,
    /// Throw away a part-finished output and begin again
    #[arg(long)]
    pub restart: bool,
    /// No progress bar and no summary
    #[arg(short, long)]
    pub quiet: bool,
}
