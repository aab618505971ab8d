//! Training steps beside those of PyTorch and peft: `cargo bench --bench train`, with `-- --case lora --rounds 9
//! --peer .venv/bin/python` and the like behind it; `--help` names them.
//!
//! Models have random weights and real shapes. The peer (`peers/train_peft.py`) reads the same file, begins with the
//! same adapters and takes turns with us, step by step; losses are compared before any time is told. A ratio is the
//! median of the ratios of the rounds.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use candle_core::{Device, Tensor};
use rlkd::gguf::TensorType;
use rlkd::gguf::random::{Spec, write};
use rlkd::seed::{Seed, mix};
use rlkd::train::cpu::bf16::Unit;
use rlkd::train::cpu::gemm::{Matrix, MatrixMut, Precision};
use rlkd::train::cpu::head::{Slope, Token};
use rlkd::train::lora::LoraConfig;
use rlkd::train::model::{Gradients, Model, Target, Texts, Trained, Weights};
use rlkd::train::optim::{AdamW, OptimConfig};
use sha2::Digest;

/// What is trained on what.
struct Case {
    name: &'static str,
    spec: Spec,
    texts: usize,
    length: usize,
    /// Rank of the adapter; 0 trains all weights.
    rank: usize,
    recompute: bool,
    /// How far losses may be from the peer's.
    most: f64,
}

fn cases() -> Vec<Case> {
    let small = Spec {
        vocabulary: 4_096,
        embedding: 256,
        layers: 6,
        heads: 4,
        kv_heads: 2,
        feed_forward: 768,
        tied: true,
        ..Spec::default()
    };
    // As Qwen2.5-0.5B, but with rows that are whole blocks of Q4_K.
    let half = Spec {
        vocabulary: 151_936,
        embedding: 1_024,
        layers: 24,
        heads: 16,
        kv_heads: 2,
        feed_forward: 4_096,
        weights: TensorType::Q4_K,
        tied: true,
        ..Spec::default()
    };
    let case = |name, rank| Case {
        name,
        spec: small.clone(),
        texts: 16,
        length: 256,
        rank,
        recompute: false,
        most: 1e-4,
    };
    let half = |name, recompute| Case {
        name,
        spec: half.clone(),
        texts: 1,
        length: 1_024,
        rank: 16,
        recompute,
        most: 1e-4,
    };
    vec![case("lora", 16), case("all", 0), half("0.5b", false), half("0.5b-recomputed", true)]
}

const HELP: &str = "--case lora,all,0.5b,0.5b-recomputed  --rounds 7  --threads 2  --length 0 (tokens of a text)  \
    --peer PYTHON  --dtype float32|bfloat16 (the peer's)  --bf16 (ours)  --write  --test";

struct Options {
    cases: Vec<String>,
    rounds: usize,
    threads: usize,
    length: usize,
    peer: Option<String>,
    dtype: String,
    precision: Precision,
    test: bool,
    /// Only write the models and say where.
    write: bool,
}

fn options() -> Option<Options> {
    let mut options = Options {
        cases: cases().iter().map(|case| case.name.to_owned()).collect(),
        rounds: 7,
        threads: 2,
        length: 0,
        peer: None,
        dtype: "float32".into(),
        precision: Precision::F32,
        test: false,
        write: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument} has no value. {HELP}"));
        match argument.as_str() {
            "--case" => options.cases = value().split(',').map(str::to_owned).collect(),
            "--rounds" => options.rounds = value().parse().expect("rounds"),
            "--threads" => options.threads = value().parse().expect("threads"),
            "--length" => options.length = value().parse().expect("length"),
            "--peer" => options.peer = Some(value()),
            "--dtype" => options.dtype = value(),
            "--bf16" => options.precision = Precision::Bf16,
            "--write" => options.write = true,
            "--test" => (options.test, options.rounds, options.cases) = (true, 1, vec!["lora".into()]),
            "--bench" => {}
            _ => {
                println!("{HELP}");
                return None;
            }
        }
    }
    Some(options)
}

/// Numbers between -0.05 and 0.05 that look random, the same here and in the peer.
fn numbers(name: &str, count: usize) -> Vec<f32> {
    let hash = sha2::Sha256::digest(name.as_bytes());
    let seed = u64::from_le_bytes(hash[..8].try_into().expect("eight bytes"));
    let at = |n: usize| mix(seed.wrapping_add((n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    (0..count).map(|n| (((at(n) >> 40) as f64 / f64::from(1 << 24) - 0.5) * 0.1) as f32).collect()
}

/// The file of a case, written unless it is there.
fn file(case: &Case) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("train-{}x{}.gguf", case.spec.layers, case.spec.embedding));
    let note = path.with_extension("spec");
    let spec = format!("{:?}", case.spec);
    if !path.exists() || std::fs::read_to_string(&note).ok().as_ref() != Some(&spec) {
        std::fs::create_dir_all(env!("CARGO_TARGET_TMPDIR")).expect("a folder beside the build");
        write(&path, &case.spec).expect("a model is written");
        std::fs::write(note, spec).expect("a note beside it");
    }
    path
}

struct Ours {
    model: Model,
    optimizer: AdamW,
    config: OptimConfig,
    texts: Texts,
    targets: Vec<Target>,
}

impl Ours {
    fn new(case: &Case, length: usize, precision: Precision) -> Self {
        let weights = Weights::load(&file(case)).expect("a model");
        let trained = match case.rank {
            0 => Trained::All,
            r => Trained::Lora(LoraConfig { r, lora_alpha: 32.0, ..LoraConfig::default() }),
        };
        let mut model = Model::new(weights, trained, Seed(0)).expect("a model");
        model.recompute = case.recompute;
        model.precision = precision;
        if case.rank > 0 {
            for one in model.parameters_mut() {
                let begin = numbers(&one.name, one.value.elem_count());
                one.value = Tensor::from_vec(begin, one.value.shape(), &Device::Cpu).expect("a tensor");
            }
        }
        let vocabulary = case.spec.vocabulary;
        let texts: Vec<Vec<u32>> = (0..case.texts)
            .map(|text| {
                (0..length).map(|at| ((17 * at * at + 5 * at + 3 + 31 * text) % vocabulary) as u32).collect()
            })
            .collect();
        let mut targets = Vec::new();
        for (text, tokens) in texts.iter().enumerate() {
            let own = tokens.iter().enumerate().skip(1);
            targets.extend(own.map(|(at, token)| Target { row: text * length + at - 1, token: *token }));
        }
        let optimizer = AdamW::new(model.parameters()).expect("moments");
        let config = OptimConfig { learning_rate: 1e-3, ..OptimConfig::default() };
        Ours { model, optimizer, config, texts: Texts::pack(texts.iter().map(Vec::as_slice)), targets }
    }

    /// The loss of a step, and its seconds.
    fn step(&mut self) -> (f64, f64) {
        let begin = Instant::now();
        let mut gradients = Gradients::new();
        let share = 1.0 / self.targets.len() as f32;
        let slope = |_: usize, _: Token| Slope { logprob: -share, entropy: 0.0 };
        let found =
            self.model.loss(&self.texts, &self.targets, 1.0, Seed(1), slope, &mut gradients).expect("a loss");
        self.optimizer
            .step(self.model.parameters_mut(), &gradients, &self.config, self.config.learning_rate)
            .expect("a step");
        drop(gradients);
        let sum: f64 = found.iter().map(|token| -token.logprob).sum();
        (sum / found.len() as f64, begin.elapsed().as_secs_f64())
    }
}

struct Peer {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Peer {
    fn start(python: &str, case: &Case, options: &Options, length: usize) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/train_peft.py");
        let mut command = Command::new(python);
        command.arg(script).arg(file(case));
        for (name, value) in [
            ("--texts", case.texts.to_string()),
            ("--length", length.to_string()),
            ("--rank", case.rank.to_string()),
            ("--threads", options.threads.to_string()),
            ("--dtype", options.dtype.clone()),
        ] {
            command.arg(name).arg(value);
        }
        if case.recompute {
            command.arg("--checkpointing");
        }
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the peer starts");
        let (to, from) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let mut peer = Peer { child, to, from: BufReader::new(from) };
        peer.answer();
        peer
    }

    fn answer(&mut self) -> serde_json::Value {
        let mut line = String::new();
        self.from.read_line(&mut line).expect("an answer of the peer");
        serde_json::from_str(&line).expect("JSON of the peer")
    }

    fn step(&mut self) -> (f64, f64, f64) {
        writeln!(self.to).expect("the peer listens");
        let answer = self.answer();
        let number = |key: &str| answer[key].as_f64().expect("a number");
        (number("loss"), number("seconds"), number("peak"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn spread(values: Vec<f64>, digits: usize) -> String {
    let (least, most) = values.iter().fold((f64::MAX, 0.0f64), |(a, b), x| (a.min(*x), b.max(*x)));
    format!("{:.digits$} ({least:.digits$}–{most:.digits$})", median(values))
}

/// The most memory that this process has had, in bytes.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap_or(0.0) * 1024.0
}

/// Products of matrices at the size of a case's largest, in operations a second: what a step could reach at best.
fn peak_product(precision: Precision) -> f64 {
    let size = 2_048;
    let (a, b) = (numbers("a", size * size), numbers("b", size * size));
    let mut out = vec![0.0; size * size];
    let times: Vec<f64> = (0..5)
        .map(|_| {
            let begin = Instant::now();
            precision.product_on_all(
                MatrixMut::new(&mut out, size, size),
                Matrix::new(&a, size, size),
                Matrix::new(&b, size, size).transposed(),
                1.0,
            );
            begin.elapsed().as_secs_f64()
        })
        .collect();
    2.0 * (size as f64).powi(3) / median(times)
}

/// Operations of the products of a step: two a weight and token forward, two more for what goes back through it,
/// two for a weight that is trained; and once more forward where layers are recomputed.
fn operations(case: &Case, length: usize) -> f64 {
    let spec = &case.spec;
    let tokens = (case.texts * length) as f64;
    let (queries, keys) = (spec.heads * spec.head_size, spec.kv_heads * spec.head_size);
    let layer = spec.embedding * (2 * queries + 2 * keys + 3 * spec.feed_forward);
    let head = (spec.vocabulary * spec.embedding) as f64;
    let passes = 4.0 + if case.rank == 0 { 2.0 } else { 0.0 };
    let again = if case.recompute { 2.0 } else { 0.0 };
    let attention = (2 * queries * length) as f64 * 0.5 * 2.0;
    let layers = (layer * spec.layers) as f64 * (passes + again);
    let low = if case.rank == 0 {
        0.0
    } else {
        let sizes = 2 * (spec.embedding + queries)
            + 2 * (spec.embedding + keys)
            + 3 * (spec.embedding + spec.feed_forward);
        (sizes * case.rank * spec.layers) as f64 * (6.0 + again)
    };
    tokens * (layers + low + head * passes + attention * spec.layers as f64 * (3.5 + again / 2.0))
}

fn main() {
    let Some(options) = options() else { return };
    rayon::ThreadPoolBuilder::new().num_threads(options.threads).build_global().expect("threads");
    if !options.test && !options.write {
        let rate = peak_product(options.precision) / 1e9;
        let unit = if options.precision == Precision::Bf16 {
            format!(", {:?}", Unit::best())
        } else {
            String::new()
        };
        println!("products of 2,048 x 2,048: {rate:.0} GFLOP/s{unit}");
    }
    for case in cases().iter().filter(|case| options.cases.iter().any(|name| name == case.name)) {
        let length = if options.length > 0 { options.length } else { case.length };
        if options.write {
            println!("{}", file(case).display());
            continue;
        }
        let mut ours = Ours::new(case, length, options.precision);
        // From here on: reading the model may have taken more. Where the system has no such file, nothing is lost.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        let mut peer = options.peer.as_ref().map(|python| Peer::start(python, case, &options, length));
        let tokens = (case.texts * length) as f64;
        let (mut mine, mut theirs, mut ratios, mut worst, mut memory) =
            (Vec::new(), Vec::new(), Vec::new(), 0.0f64, 0.0);
        // The first step warms up, and is compared as well.
        for round in 0..=options.rounds {
            let (loss, seconds) = ours.step();
            let other = peer.as_mut().map(Peer::step);
            if let Some((their_loss, _, peak)) = other {
                worst = worst.max((loss - their_loss).abs() / their_loss.abs());
                memory = peak;
                if options.dtype == "float32" {
                    let most = if options.precision == Precision::Bf16 { 1e-2 } else { case.most };
                    assert!(worst <= most, "round {round}: {loss} here, {their_loss} there");
                }
            }
            if round == 0 {
                continue;
            }
            mine.push(tokens / seconds);
            if let Some((_, their_seconds, _)) = other {
                theirs.push(tokens / their_seconds);
                ratios.push(their_seconds / seconds);
            }
        }
        let rate = operations(case, length) / tokens * median(mine.clone()) / 1e9;
        println!(
            "{} ({} tokens): {} tokens/s, {rate:.0} GFLOP/s, peak {:.2} GB",
            case.name,
            tokens,
            spread(mine, 0),
            peak() / 1e9
        );
        if !ratios.is_empty() {
            println!(
                "  peft, {}: {} tokens/s, peak {:.2} GB; ratio {}; losses within {worst:.1e}",
                options.dtype,
                spread(theirs, 0),
                memory / 1e9,
                spread(ratios, 3)
            );
        }
    }
}
