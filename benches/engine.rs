//! Tokens a second of the engine beside llama.cpp's bare decoder, without a grammar and under each: `cargo bench --bench
//! engine`, with `-- --model small --rounds 9` and the like behind it; `--help` names them.
//!
//! Models have random weights and real shapes (`engine/models.rs`); the same number of tokens is written in every way,
//! the ways take turns, and a ratio is the median of the ratios of the rounds. Outputs are checked before any is
//! timed. Times include the prompts, and for `steps-extractive` the automaton of each trace.

#[path = "engine/bare.rs"]
mod bare;
#[path = "engine/models.rs"]
mod models;
#[path = "engine/table.rs"]
mod table;
#[path = "engine/text.rs"]
mod text;
#[path = "engine/ways.rs"]
mod ways;

use std::path::Path;
use std::time::Instant;

use rlkd::llama::engine::Request;
use rlkd::llama::model::Model;
use rlkd::llama::sample::Sampling;
use rlkd::llama::settings::Settings;

use models::{Shape, shapes};
use table::{masks_asked, mean, percentile, ratio, shares, speed};
use ways::{Run, Stage, Way};

/// What can be asked for, with what is done unless asked.
struct Options {
    models: Vec<String>,
    sequences: u32,
    tokens: usize,
    prompt: usize,
    rounds: usize,
    threads: u32,
    mask_threads: u32,
    temperature: f32,
    end_of_part: f32,
    /// Characters of a part and of a sub-problem at most.
    chars: [u32; 2],
    /// Numbers of rollouts of one prompt.
    rollouts: Vec<u32>,
    /// Only write the models and say where.
    write: bool,
}

const HELP: &str = "--model small,0.5b  --sequences 8  --tokens 256  --prompt 32  --rounds 7  --threads 0  \
    --mask-threads 0  --temperature 0  --end-of-part 9  --chars 600,300  --rollouts 8,32,128 (0: none)  --write  --test";

fn options() -> Option<Options> {
    let mut arguments = std::env::args().skip(1).peekable();
    let mut options = Options {
        models: vec!["small".into(), "0.5b".into()],
        sequences: 8,
        tokens: 256,
        prompt: 32,
        rounds: 7,
        threads: 0,
        mask_threads: 0,
        temperature: 0.0,
        // The logits of the random models have a deviation of about 1.
        end_of_part: 9.0,
        chars: [600, 300],
        rollouts: vec![8, 32, 128],
        write: false,
    };
    let mut test = true;
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument} needs a value: {HELP}"));
        let number = |text: String| text.parse().unwrap_or_else(|_| panic!("{text:?} is no number: {HELP}"));
        match argument.as_str() {
            "--bench" => test = false,
            "--test" => {
                test = true;
                break;
            }
            "--help" => return None,
            "--write" => options.write = true,
            "--model" => options.models = value().split(',').map(Into::into).collect(),
            "--sequences" => options.sequences = number(value()),
            "--tokens" => options.tokens = number(value()) as usize,
            "--prompt" => options.prompt = number(value()) as usize,
            "--rounds" => options.rounds = number(value()) as usize,
            "--threads" => options.threads = number(value()),
            "--mask-threads" => options.mask_threads = number(value()),
            "--temperature" => options.temperature = value().parse().expect("a number"),
            "--end-of-part" => options.end_of_part = value().parse().expect("a number"),
            "--chars" => {
                let both: Vec<u32> = value().split(',').map(|n| number(n.into())).collect();
                options.chars = both.try_into().expect("two numbers");
            }
            "--rollouts" => options.rollouts = value().split(',').map(|n| number(n.into())).collect(),
            other => panic!("no option {other:?}: {HELP}"),
        }
    }
    // `cargo bench` says --bench; `cargo test --benches` does not, and only wants to know that it works.
    if test {
        options = Options {
            models: vec!["tiny".into()],
            sequences: 2,
            tokens: 12,
            rounds: 1,
            rollouts: vec![2],
            ..options
        };
    }
    Some(options)
}

fn settings(options: &Options, parallel: u32) -> Settings {
    Settings {
        context: (options.prompt + options.tokens).next_multiple_of(256) as u32,
        parallel,
        threads: options.threads,
        mask_threads: options.mask_threads,
        ..Settings::default()
    }
}

fn main() {
    let Some(options) = options() else {
        println!("{HELP}");
        return;
    };
    let shapes: Vec<Shape> =
        shapes().into_iter().filter(|shape| options.models.iter().any(|name| name == shape.name)).collect();
    assert_eq!(shapes.len(), options.models.len(), "models are tiny, small and 0.5b");
    for shape in &shapes {
        let path = models::file(shape);
        if options.write {
            println!("{}", path.display());
            continue;
        }
        compare(shape, &path, &options);
        for &count in options.rollouts.iter().filter(|count| **count > 0) {
            rollouts(shape, &path, &options, count);
        }
    }
}

/// All ways on one model.
fn compare(shape: &Shape, path: &Path, options: &Options) {
    let settings = settings(options, options.sequences);
    let model = Model::load(path, &settings).expect("the model");
    let resolved = model.resolved().settings.clone();
    let forward = Settings { fast_forward: true, ..settings };
    let stage = Stage {
        forward: Some(Model::load(path, &forward).expect("the model")),
        bare: bare::load(path),
        prompts: Stage::prompts(&model, options.sequences as usize, options.prompt),
        tokens: options.tokens,
        temperature: options.temperature,
        end_of_part: options.end_of_part,
        chars: options.chars,
        model,
    };
    println!(
        "\n### {}: {} sequences, {} tokens each behind {} of a prompt, {} decoder and {} mask threads, \
         temperature {}, parts of {:?} characters\n",
        shape.name,
        options.sequences,
        options.tokens,
        options.prompt,
        resolved.threads,
        resolved.mask_threads,
        options.temperature,
        options.chars,
    );
    // Each of a run's masks, timed alone.
    let mut masks: Vec<Vec<f64>> = Way::ALL.iter().map(|way| stage.check(way)).collect();
    let mut runs: Vec<Vec<Run>> = Way::ALL.iter().map(|_| Vec::new()).collect();
    for round in 0..options.rounds {
        // Each way is first in turn, so that none is always behind the same one.
        for at in (0..Way::ALL.len()).map(|at| (at + round) % Way::ALL.len()) {
            let run = stage.run(&Way::ALL[at]);
            runs[at].push(run);
        }
    }
    println!(
        "| way | tokens/s | to bare | to no grammar | decoder % | mask wait % | sampling % | masks % | mask µs, mean | p50 | p99 |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for (at, way) in Way::ALL.iter().enumerate() {
        let mask = |times: &mut Vec<f64>, share| match times.is_empty() {
            true => String::new(),
            false => format!("{:.0}", percentile(times, share) * 1e6),
        };
        let to_free = if at > 1 { ratio(&runs[at], &runs[1]) } else { String::new() };
        println!(
            "| {} | {} | {} | {to_free} | {} | {} | {} | {} | {} |",
            way.name(),
            speed(&runs[at]),
            if at > 0 { ratio(&runs[at], &runs[0]) } else { String::new() },
            shares(&runs[at]),
            masks_asked(&runs[at]),
            mean(&masks[at]),
            mask(&mut masks[at], 0.5),
            mask(&mut masks[at], 0.99),
        );
    }
}

/// Rollouts of one prompt: it is computed once and copied.
fn rollouts(shape: &Shape, path: &Path, options: &Options, count: u32) {
    const PROMPT: usize = 192;
    let settings = Settings {
        context: (PROMPT + options.tokens).next_multiple_of(256) as u32,
        ..settings(options, count)
    };
    let model = Model::load(path, &settings).expect("the model");
    let prompt = Stage::prompts(&model, 1, PROMPT);
    let stage = Stage {
        forward: None,
        bare: bare::load(path),
        // All of them fit into one batch of 512 tokens.
        prompts: vec![prompt[0][..(512 / count as usize).clamp(1, 16)].to_vec(); count as usize],
        tokens: options.tokens,
        temperature: 1.0,
        end_of_part: options.end_of_part,
        chars: options.chars,
        model,
    };
    let mut bare = Vec::new();
    let mut runs: [Vec<Run>; 2] = [Vec::new(), Vec::new()];
    let mut prompt_tokens = 0;
    for round in 0..options.rounds.min(5) {
        bare.push(stage.run(&Way::Bare));
        for (way, runs) in [Way::Free, Way::Grammar("steps")].iter().zip(&mut runs) {
            let request = stage.requests(way).remove(0);
            // Another prompt each time, so that it is not the one that was kept.
            let mut own = prompt[0].clone();
            own.rotate_left(1 + round);
            let sampling = Sampling { temperature: 1.0, logprobs: true, ..request.sampling.clone() };
            let request = Request { prompt: own, rollouts: count, sampling, ..request };
            let engine = stage.engine(way, &stage.requests(way)[..1]);
            let before = engine.stats();
            let start = Instant::now();
            let outputs = engine.generate(vec![request]).remove(0).expect("worked");
            let time = start.elapsed();
            assert!(
                outputs.len() == count as usize && outputs.iter().all(|o| o.tokens.len() == options.tokens)
            );
            let after = engine.stats();
            prompt_tokens = prompt_tokens.max(after.prompt_tokens - before.prompt_tokens);
            runs.push(Run { time, tokens: u64::from(count) * options.tokens as u64, parts: None, masks: 0 });
        }
    }
    println!(
        "\n{} rollouts of one prompt of {PROMPT} tokens on {}, temperature 1 with log-probabilities: {} tokens/s, \
         under `steps` {}; bare {}; prompt tokens computed for a request: {prompt_tokens} at most",
        count,
        shape.name,
        speed(&runs[0]),
        speed(&runs[1]),
        speed(&bare),
    );
}
