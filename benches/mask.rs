//! How long masks and compilation take, over a vocabulary of 151,936 tokens: `cargo bench --bench mask`.
//!
//! The vocabulary is made up: syllables put together to words with the shares of leading spaces, capitals, marks, line
//! breaks and other scripts that byte-level vocabularies of that size have. Each form is written whole (a list of
//! eight steps) by the longest tokens that the mask allows, so the states are those of a real list. Percentiles are
//! over the masks of all sequences, and every sequence has a matcher of its own, without anything that another one
//! found out. Beside the slices that are used stand llguidance's general ones, and none. What a mask allows is checked
//! against the text.

use std::time::{Duration, Instant};

use rlkd::grammar::{Constraint, Limits, find};
use rlkd::llama::constraint::{Token, Vocabulary};
use rlkd::seed::{Seed, Stream};

const TOKENS: usize = 151_936;
const SEQUENCES: usize = 8;

fn pick<'a>(stream: &mut Stream, from: &[&'a str]) -> &'a str {
    from[stream.below(from.len() as u64) as usize]
}

fn word(stream: &mut Stream) -> String {
    const SYLLABLES: [&str; 40] = [
        "a", "be", "con", "der", "ed", "fi", "ga", "her", "in", "jo", "ka", "le", "ment", "no", "or", "pre",
        "qui", "re", "st", "tion", "un", "ver", "wi", "ex", "ly", "ing", "er", "al", "tr", "sp", "ch", "ou",
        "ness", "able", "is", "um", "ar", "th", "ph", "y",
    ];
    (0..1 + stream.below(4)).map(|_| pick(stream, &SYLLABLES)).collect()
}

fn token(stream: &mut Stream) -> Vec<u8> {
    let text = match stream.below(100) {
        0..50 => format!(" {}", word(stream)),
        50..75 => word(stream),
        75..83 => {
            let word = word(stream);
            format!("{}{}{}", pick(stream, &["", " "]), word[..1].to_uppercase(), &word[1..])
        }
        83..95 => {
            let han =
                |stream: &mut Stream| char::from_u32(0x4e00 + stream.below(6000) as u32).unwrap_or('一');
            (0..1 + stream.below(3)).map(|_| han(stream)).collect()
        }
        95..97 => {
            let mark = |stream: &mut Stream| {
                pick(stream, &["(", ")", "[", "]", "\"", "\\", "{", "}", ".", ",", ":", ";", "=", "'", "_"])
            };
            let end = pick(stream, &["", "", "\n", "\n\n"]);
            format!("{}{}{}{end}", pick(stream, &["", " "]), mark(stream), mark(stream))
        }
        97..98 => format!(
            "{}{}",
            pick(stream, &["\n", "\t", " ", "\r\n"]).repeat(1 + stream.below(12) as usize),
            pick(stream, &["", " "])
        ),
        98..99 => format!("{}{}", pick(stream, &["[", "\"", "\\", ".", "_", "-", "("]), word(stream)),
        _ => return (0..2).map(|_| 0x80 + stream.below(0x40) as u8).collect(),
    };
    text.into_bytes()
}

fn vocabulary() -> (Vec<Token>, u32) {
    let mut seen = std::collections::BTreeSet::new();
    let mut tokens: Vec<Token> = Vec::with_capacity(TOKENS);
    let mut add = |bytes: Vec<u8>| {
        if tokens.len() < TOKENS - 26 && seen.insert(bytes.clone()) {
            tokens.push(Token { bytes, special: false });
        }
        tokens.len()
    };
    (0..=255u8).for_each(|byte| {
        add(vec![byte]);
    });
    for piece in [
        "[Meta",
        "-reasoning",
        " ",
        "]:",
        "[Sub",
        "-problem",
        "[Answer",
        "[Query",
        "sub",
        "-think",
        "\n\n",
        ".\n",
    ] {
        add(piece.into());
    }
    let mut stream = Seed(1).stream("vocabulary", 0);
    while add(token(&mut stream)) < TOKENS - 26 {}
    let end = tokens.len() as u32;
    tokens.extend((0..26).map(|n| Token { bytes: format!("<|{n}|>").into_bytes(), special: true }));
    (tokens, end)
}

fn trace(stream: &mut Stream, chars: usize) -> String {
    let mut text = String::new();
    while text.len() < chars {
        match stream.below(12) {
            0 => text += &format!("{} * {} = {}", stream.below(100), stream.below(50), stream.below(5000)),
            1 => text += pick(stream, &[".", ",", ".\n", ".\n\n", ":"]),
            // Words come back, as in any text.
            _ => text += &word(&mut Seed(2).stream("word", stream.below(900))),
        }
        text.push(' ');
    }
    text
}

/// A list of eight steps about a trace, in the form of a grammar.
fn list(name: &str, trace: &str, stream: &mut Stream) -> String {
    let words: Vec<&str> =
        trace.lines().flat_map(|line| line.split(' ')).filter(|word| word.len() > 1).collect();
    let mut said = |most: u64| {
        let from = stream.below(words.len() as u64 - most) as usize;
        words[from..from + 8 + stream.below(most - 8) as usize].join(" ")
    };
    let mut steps = Vec::new();
    for n in 1..=8 {
        let (thought, asked) = (said(14), said(14));
        // A passage: words that stand in one line, of a line that has enough of them.
        let lines: Vec<&str> = trace
            .lines()
            .map(str::trim)
            .filter(|line| line.split(' ').count() > 12 && line.starts_with(char::is_alphanumeric))
            .collect();
        let line = lines[n * 7 % lines.len()];
        let passage = line.split(' ').take(12).collect::<Vec<_>>().join(" ");
        steps.push(match name {
            "steps-json" => format!(
                r#"{{"meta_reasoning": "{thought}", "sub_problem": "{asked}", "answer": "{passage}"}}"#
            ),
            "reference" => {
                format!("[sub-think {n}]: {thought}\n[Query {n}]: {asked}\n[Answer {n}]: {passage}")
            }
            _ => format!(
                "[Meta-reasoning {n}]: {thought}\n[Sub-problem {n}]: {asked}\n[Answer {n}]: {passage}"
            ),
        });
    }
    match name {
        "steps-json" => format!("[{}]", steps.join(",\n ")),
        _ => steps.join("\n\n"),
    }
}

#[derive(Default)]
struct Figures {
    compile: Vec<Duration>,
    mask: Vec<Duration>,
    commit: Vec<Duration>,
}

/// Writes the lists, one sequence each, and every one so many times; the least time of a place counts, so that what
/// else the machine does is left out.
fn run(vocabulary: &Vocabulary, tokens: &Pieces, work: &[(Constraint, String)], repeats: usize) -> Figures {
    let mut figures = Figures::default();
    for (constraint, text) in work {
        let runs: Vec<Figures> = (0..repeats).map(|_| write(vocabulary, tokens, constraint, text)).collect();
        let least = |times: fn(&Figures) -> &Vec<Duration>| -> Vec<Duration> {
            let count = times(&runs[0]).len();
            (0..count).filter_map(|at| runs.iter().map(|run| times(run)[at]).min()).collect()
        };
        // The first time, as a grammar is compiled once only.
        figures.compile.extend(&runs[0].compile);
        figures.mask.extend(least(|run| &run.mask));
        figures.commit.extend(least(|run| &run.commit));
    }
    figures
}

/// Writes one list with a matcher of its own.
fn write(vocabulary: &Vocabulary, tokens: &Pieces, constraint: &Constraint, text: &str) -> Figures {
    let mut figures = Figures::default();
    let start = Instant::now();
    let mut matcher = vocabulary.compile(constraint).expect("a matcher");
    figures.compile.push(start.elapsed());
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let start = Instant::now();
        let mask = matcher.mask().expect("a mask");
        figures.mask.push(start.elapsed());
        let token = tokens.longest(rest, mask);
        let start = Instant::now();
        matcher.commit(token).expect("an allowed token");
        figures.commit.push(start.elapsed());
        rest = &rest[tokens.bytes[token as usize].len()..];
    }
    assert!(matcher.can_end(), "{text}");
    figures
}

/// Tokens by their bytes.
struct Pieces {
    bytes: Vec<Vec<u8>>,
    ids: std::collections::HashMap<Vec<u8>, u32>,
}

impl Pieces {
    /// The longest allowed token that the text begins with.
    fn longest(&self, text: &[u8], mask: &[u32]) -> u32 {
        let fits = |len: usize| {
            let id = *self.ids.get(&text[..len])?;
            (mask[id as usize / 32] >> (id % 32) & 1 == 1).then_some(id)
        };
        (1..=text.len().min(40)).rev().find_map(fits).expect("the mask allows the text")
    }
}

fn percentile(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1e6
}

fn report(what: &str, mut figures: Figures) {
    let mean = figures.mask.iter().sum::<Duration>().as_secs_f64() * 1e6 / figures.mask.len() as f64;
    println!(
        "{what:<44} {:>9.1} {:>9.1} {mean:>9.1} {:>9.1} {:>9.2} {:>9.2}",
        percentile(&mut figures.mask, 0.5),
        percentile(&mut figures.mask, 0.99),
        percentile(&mut figures.commit, 0.5),
        percentile(&mut figures.compile, 0.5) / 1e3,
        percentile(&mut figures.compile, 1.0) / 1e3,
    );
}

fn main() {
    // `cargo test --benches` only wants to know that it starts.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let (tokens, end) = vocabulary();
    let bytes: Vec<Vec<u8>> = tokens.iter().map(|token| token.bytes.clone()).collect();
    let ids = (0..end).map(|id| (bytes[id as usize].clone(), id)).collect();
    let pieces = Pieces { bytes, ids };
    let start = Instant::now();
    let sliced = Vocabulary::new(tokens.clone(), &[end], None).expect("a vocabulary");
    println!("vocabulary of {TOKENS} tokens laid out in {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    let unsliced = Vocabulary::with_slices(tokens.clone(), &[end], None, &[]).expect("a vocabulary");
    let general: Vec<String> = llguidance::earley::SlicedBiasComputer::general_slices();
    let general: Vec<&str> = general.iter().map(String::as_str).collect();
    let general = Vocabulary::with_slices(tokens, &[end], None, &general).expect("a vocabulary");
    let start = Instant::now();
    let one = find("steps-extractive").expect("a grammar").constraint(&Limits::default(), "one word");
    drop(sliced.compile(&one));
    println!("the automaton's sets made in {:.0} ms", start.elapsed().as_secs_f64() * 1e3);

    println!(
        "{:<44} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "", "mask p50", "p99", "mean", "commit", "compile", "worst"
    );
    println!("{:<44} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}", "", "us", "us", "us", "us p50", "ms p50", "ms");
    let limits = Limits::default();
    for name in ["steps", "steps-json", "reference", "steps-extractive"] {
        let grammar = find(name).expect("a grammar");
        for chars in if name == "steps-extractive" { vec![8_000, 30_000] } else { vec![8_000] } {
            let job = |n: u64, lark: bool| {
                let mut stream = Seed(3).stream(name, n);
                let trace = trace(&mut stream, chars);
                let text = list(name, &trace, &mut stream);
                let constraint = match lark {
                    true => Constraint::Lark(grammar.lark(&limits, &trace)),
                    false => grammar.constraint(&limits, &trace),
                };
                (constraint, text)
            };
            let jobs: Vec<_> = (0..SEQUENCES as u64).map(|n| job(n, false)).collect();
            report(&format!("{name}, {chars} characters"), run(&sliced, &pieces, &jobs, 5));
            if name == "steps-extractive" {
                let jobs: Vec<_> = (0..4).map(|n| job(n, true)).collect();
                report(&format!("{name}, {chars} characters, llguidance"), run(&sliced, &pieces, &jobs, 3));
            } else {
                report(&format!("{name}, general slices"), run(&general, &pieces, &jobs[..2], 3));
                report(&format!("{name}, slices off"), run(&unsliced, &pieces, &jobs[..2], 3));
            }
        }
    }
}
