//! The checker of answers: `cargo bench --bench answers` times single pairs; with `-- --data FILE` behind it, all pairs of
//! a file of `{"gold", "pred"}`, and with `--peer .venv/bin/python` beside Math-Verify (`peers/answers_math_verify.py`),
//! in turn.
//!
//! Both sides get the two answers between dollars, find them, read them and compare them. Verdicts are compared before
//! any time is told. A ratio is the median of the ratios of the rounds.

use std::hint::black_box;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use criterion::Criterion;
use rlkd::answer::{Options, Rules, verify, verify_texts};
use serde::Deserialize;

/// A pair, and whether the two are the same answer.
const PAIRS: &[(&str, &str, &str, bool)] = &[
    ("integers", "1200", "$1,200", true),
    ("fractions", "\\frac{63}{400}", "0.1575", true),
    ("polynomials", "x^2+2x+1", "(x+1)^2", true),
    ("roots", "\\frac{1}{1+\\sqrt{2}}", "\\sqrt2 - 1", true),
    ("functions", "2 \\sin b \\cos a", "\\sin(a+b) - \\sin(a-b)", true),
    ("functions that differ", "2\\cos(t+\\pi/3)", "2\\cos(t-\\pi/6)", false),
    ("sets", "(-\\infty,-3]\\cup[2,\\infty)", "[2, ∞) ∪ (-∞, -3]", true),
];

#[derive(Deserialize)]
struct Pair {
    gold: String,
    pred: String,
}

const HELP: &str = "--data FILE (pairs, JSONL)  --peer PYTHON  --rounds 3  --passes 20 (of ours, a round)";

#[derive(Default)]
struct Asked {
    data: Option<String>,
    peer: Option<String>,
    rounds: usize,
    passes: usize,
}

fn main() {
    let mut asked = Asked { rounds: 3, passes: 20, ..Asked::default() };
    let mut arguments = std::env::args().skip(1).peekable();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument} wants a value; {HELP}"));
        match argument.as_str() {
            "--data" => asked.data = Some(value()),
            "--peer" => asked.peer = Some(value()),
            "--rounds" => asked.rounds = value().parse().expect("a number of rounds"),
            "--passes" => asked.passes = value().parse().expect("a number of passes"),
            "--help" => return println!("{HELP}"),
            // Criterion's own.
            _ => {}
        }
    }
    match &asked.data {
        None => single(),
        Some(data) => file(data, &asked),
    }
}

fn single() {
    let rules = Rules::default();
    for (name, gold, prediction, is_same) in PAIRS {
        assert_eq!(verify(gold, prediction, &rules).is_equal(), *is_same, "{name}");
    }
    println!("all verdicts are as they should be");
    let mut criterion = Criterion::default().configure_from_args();
    for (name, gold, prediction, _) in PAIRS {
        criterion.bench_function(&format!("verify/{name}"), |bench| {
            bench.iter(|| verify(black_box(gold), black_box(prediction), &rules))
        });
    }
    criterion.final_summary();
}

fn is_same((gold, prediction): &(String, String)) -> bool {
    verify_texts(gold, prediction, Options::default(), &Rules::default()).is_equal()
}

fn file(data: &str, asked: &Asked) {
    let text = std::fs::read_to_string(data).unwrap_or_else(|e| panic!("{data}: {e}"));
    let pairs: Vec<(String, String)> = text
        .lines()
        .map(|line| serde_json::from_str::<Pair>(line).unwrap_or_else(|e| panic!("{data}: {e}")))
        .map(|pair| (format!("${}$", pair.gold), format!("${}$", pair.pred)))
        .collect();
    let ours: Vec<bool> = pairs.iter().map(is_same).collect();
    let equal = ours.iter().filter(|same| **same).count();
    println!("{} pairs, {equal} equal", pairs.len());
    let (mut rates, mut ratios, mut medians, mut threads) = (vec![], vec![], vec![], vec![]);
    let mut all = Vec::new();
    for round in 0..asked.rounds {
        let (mut times, rate) = one_thread(&pairs, asked.passes);
        let two = on_threads(&pairs, asked.passes, 2);
        let one = on_threads(&pairs, asked.passes, 1);
        times.sort_unstable();
        let own_median = times[times.len() / 2];
        all.extend(times);
        rates.push(rate);
        threads.push(one.as_secs_f64() / two.as_secs_f64());
        let Some(python) = &asked.peer else { continue };
        let peer = peer(python, data);
        let agreed = ours.iter().zip(&peer.same).filter(|(a, b)| a == b).count();
        assert_eq!(peer.same.len(), ours.len());
        if round == 0 {
            println!("both say the same of {agreed} of {} pairs", ours.len());
        }
        let mut theirs = peer.seconds.clone();
        theirs.sort_by(f64::total_cmp);
        let total: f64 = theirs.iter().sum();
        ratios.push(rate * total / ours.len() as f64);
        medians.push(theirs[theirs.len() / 2] / own_median.as_secs_f64());
        println!(
            "round {}: ours {rate:.0} pairs/s, theirs {:.1}; median pair {:.2?} against {:.2} ms; their longest {:.1} s",
            round + 1,
            ours.len() as f64 / total,
            own_median,
            theirs[theirs.len() / 2] * 1e3,
            theirs[theirs.len() - 1],
        );
    }
    all.sort_unstable();
    let at = |share: f64| all[((all.len() as f64 * share) as usize).min(all.len() - 1)];
    println!("one thread: {} pairs/s", told(&mut rates, 0));
    println!(
        "a pair: median {:.2?}, p99 {:.2?}, p99.9 {:.2?}, longest {:.2?}",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
    println!("two threads against one: {}", told(&mut threads, 2));
    if !ratios.is_empty() {
        println!("pairs/s against Math-Verify: {}", told(&mut ratios, 0));
        println!("median pair against Math-Verify: {}", told(&mut medians, 0));
    }
}

/// The median, with the smallest and the largest.
fn told(values: &mut [f64], digits: usize) -> String {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values[0], values[values.len() - 1]);
    format!("{:.digits$} ({low:.digits$} to {high:.digits$})", values[values.len() / 2])
}

/// Every pair's shortest time of all passes but for the first, and pairs a second by all of them.
fn one_thread(pairs: &[(String, String)], passes: usize) -> (Vec<Duration>, f64) {
    let mut shortest = vec![Duration::MAX; pairs.len()];
    let start = Instant::now();
    for _ in 0..passes {
        for (pair, shortest) in pairs.iter().zip(&mut shortest) {
            let start = Instant::now();
            black_box(is_same(black_box(pair)));
            *shortest = start.elapsed().min(*shortest);
        }
    }
    (shortest, (passes * pairs.len()) as f64 / start.elapsed().as_secs_f64())
}

fn on_threads(pairs: &[(String, String)], passes: usize, threads: usize) -> Duration {
    const BLOCK: usize = 64;
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let from = next.fetch_add(BLOCK, Ordering::Relaxed);
                    if from >= passes * pairs.len() {
                        break;
                    }
                    for at in from..(from + BLOCK).min(passes * pairs.len()) {
                        black_box(is_same(black_box(&pairs[at % pairs.len()])));
                    }
                }
            });
        }
    });
    start.elapsed()
}

/// What the peer says of each pair, and how long it took.
#[derive(Deserialize)]
struct Peer {
    same: Vec<bool>,
    seconds: Vec<f64>,
}

fn peer(python: &str, data: &str) -> Peer {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/answers_math_verify.py");
    let output =
        Command::new(python).args([script, data]).output().unwrap_or_else(|e| panic!("{python}: {e}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("the peer's figures")
}
