//! The ways to write the same number of tokens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use llama_cpp_2::model::LlamaModel;
use rlkd::decompose::tagged;
use rlkd::grammar::{Constraint, Form, Limits, find};
use rlkd::llama::engine::{Engine, Request, Stats, Stop};
use rlkd::llama::model::Model;
use rlkd::llama::sample::Sampling;
use rlkd::trace::End;

use super::bare::Bare;
use super::text;

/// Characters of the trace that `steps-extractive` takes its answers from.
const TRACE_CHARS: usize = 8_000;

/// How the tokens are written.
pub enum Way {
    /// llama.cpp's decoder alone.
    Bare,
    /// The engine without a grammar.
    Free,
    /// The engine under the grammar of this name.
    Grammar(&'static str),
    /// The same, on an engine that decodes forced tokens in one go.
    FastForward(&'static str),
}

impl Way {
    pub const ALL: [Way; 6] = [
        Way::Bare,
        Way::Free,
        Way::Grammar("steps"),
        Way::Grammar("steps-extractive"),
        Way::Grammar("steps-json"),
        Way::FastForward("steps"),
    ];

    pub fn name(&self) -> String {
        match self {
            Way::Bare => "bare loop of llama.cpp".into(),
            Way::Free => "engine, no grammar".into(),
            Way::Grammar(name) => format!("engine, `{name}`"),
            Way::FastForward(name) => format!("engine, `{name}`, fast_forward"),
        }
    }
}

/// What one way took in one round.
#[derive(Clone, Copy)]
pub struct Run {
    pub time: Duration,
    pub tokens: u64,
    /// Time in the decoder, waiting for masks, sampling.
    pub parts: Option<[Duration; 3]>,
    /// Masks that were computed.
    pub masks: u64,
}

impl Run {
    pub fn tokens_per_second(&self) -> f64 {
        self.tokens as f64 / self.time.as_secs_f64()
    }
}

/// Everything that the ways run on. Each run has a thread of its own for llama.cpp, which ends with it: the threads of
/// OpenMP belong to the one that calls, and with more of them than cores, idle ones included, none waits actively and
/// decoding takes twice as long.
pub struct Stage {
    pub model: Arc<Model>,
    /// The same with `fast_forward`.
    pub forward: Option<Arc<Model>>,
    pub bare: LlamaModel,
    pub prompts: Vec<Vec<u32>>,
    /// Tokens that every sequence writes.
    pub tokens: usize,
    /// 0 is greedy.
    pub temperature: f32,
    /// Added to the logit of what ends a part, where tokens are drawn.
    pub end_of_part: f32,
    /// Characters of a part and of a sub-problem at most.
    pub chars: [u32; 2],
}

impl Stage {
    /// Prompts of `length` tokens, each another text.
    pub fn prompts(model: &Model, count: usize, length: usize) -> Vec<Vec<u32>> {
        let prompt = |number: usize| {
            let mut tokens = model.tokenize(&text::trace(length * 12, 1_000 + number as u64));
            tokens.truncate(length);
            assert_eq!(tokens.len(), length);
            tokens
        };
        (0..count).map(prompt).collect()
    }

    /// The requests of a way. Nothing ends them but their number of tokens: the tokens that end an output are
    /// forbidden, and a grammar asks for more steps than there is room for.
    pub fn requests(&self, way: &Way) -> Vec<Request> {
        let grammar = match way {
            Way::Bare => return Vec::new(),
            Way::Free => None,
            Way::Grammar(name) | Way::FastForward(name) => Some(find(name).expect("a grammar")),
        };
        let model = &self.model;
        let mut sampling = Sampling { temperature: self.temperature, ..Sampling::default() };
        sampling.logit_bias = model.end().iter().map(|token| (*token, f32::NEG_INFINITY)).collect();
        if self.temperature > 0.0 {
            // Random weights hardly ever end a part. This makes it one token in about 30.
            let ends = if grammar.is_some_and(|grammar| grammar.form == Form::Json) { "\"" } else { "\n" };
            sampling.logit_bias.insert(model.tokenize(ends)[0], self.end_of_part);
        }
        let [max_part_chars, max_sub_problem_chars] = self.chars;
        let limits = Limits { min_steps: 200, max_steps: 200, max_part_chars, max_sub_problem_chars };
        let request = |(number, prompt): (usize, &Vec<u32>)| Request {
            sampling: sampling.clone(),
            constraint: grammar.map(|grammar| {
                Arc::new(grammar.constraint(&limits, &text::trace(TRACE_CHARS, number as u64)))
            }),
            stream: number as u64,
            max_tokens: self.tokens as u32,
            ..Request::greedy(prompt.clone())
        };
        self.prompts.iter().enumerate().map(request).collect()
    }

    /// The bare loop on a thread of its own.
    fn run_bare(&self) -> Duration {
        let settings = &self.model.resolved().settings;
        let run = || {
            let mut bare = Bare::new(&self.bare, settings);
            bare.run(&self.prompts, 2);
            bare.run(&self.prompts, self.tokens)
        };
        std::thread::scope(|scope| scope.spawn(run).join()).expect("the bare loop")
    }

    /// An engine that has done all that is done once.
    pub fn engine(&self, way: &Way, requests: &[Request]) -> Arc<Engine> {
        let model = match (way, &self.forward) {
            (Way::FastForward(_), Some(model)) => model,
            _ => &self.model,
        };
        let engine = Engine::start(Arc::clone(model)).expect("it starts");
        let short = |request: &Request| Request { max_tokens: 2, ..request.clone() };
        engine
            .generate(requests.iter().map(short).collect())
            .into_iter()
            .for_each(|answer| drop(answer.expect("worked")));
        engine
    }

    /// Runs a way once.
    pub fn run(&self, way: &Way) -> Run {
        let tokens = (self.prompts.len() * self.tokens) as u64;
        if matches!(way, Way::Bare) {
            return Run { time: self.run_bare(), tokens, parts: None, masks: 0 };
        }
        let requests = self.requests(way);
        let engine = self.engine(way, &requests);
        let before = engine.stats();
        let start = Instant::now();
        let answers = engine.generate(requests);
        let time = start.elapsed();
        for answer in answers {
            let output = answer.expect("worked").remove(0);
            assert_eq!((output.stop, output.tokens.len()), (Stop::Length, self.tokens), "{}", way.name());
        }
        let after = engine.stats();
        Run { time, tokens, parts: Some(parts(&before, &after)), masks: after.masks - before.masks }
    }

    /// What the grammar of a way allows is what is written, whole when there is room; then the masks of a timed run,
    /// one after the other, in seconds.
    pub fn check(&self, way: &Way) -> Vec<f64> {
        let (Way::Grammar(name) | Way::FastForward(name)) = way else { return Vec::new() };
        let grammar = find(name).expect("a grammar");
        let engine = self.engine(way, &[]);
        let limits = Limits { min_steps: 2, max_steps: 3, max_part_chars: 24, max_sub_problem_chars: 24 };
        let short = |mut request: Request| {
            let path = text::trace(TRACE_CHARS, 0);
            (request.constraint, request.max_tokens) =
                (Some(Arc::new(grammar.constraint(&limits, &path))), 0);
            request.sampling.logit_bias.clear();
            request
        };
        for answer in engine.generate(self.requests(way).into_iter().take(8).map(short).collect()) {
            let output = answer.expect("worked").remove(0);
            let text = engine.model().text(&output.tokens);
            assert_eq!(output.stop, Stop::End, "{text}");
            assert!(matches!(grammar.form, Form::Tagged | Form::Json));
            let list = tagged::parse(&text);
            assert_eq!(list.end, End::Complete, "{text}");
            assert!((2..=3).contains(&list.steps.len()), "{text}");
        }
        let requests = self.requests(way);
        let constraints: Vec<Arc<Constraint>> =
            requests.iter().filter_map(|request| request.constraint.clone()).collect();
        let mut times = Vec::new();
        for (constraint, answer) in constraints.iter().zip(engine.generate(requests)).take(8) {
            let tokens = answer.expect("worked").remove(0).tokens;
            times.extend(replay(&engine, constraint, &tokens));
        }
        times
    }
}

/// Commits what was written to a matcher of its own, and times its masks.
fn replay(engine: &Engine, constraint: &Constraint, tokens: &[u32]) -> Vec<f64> {
    let mut matcher =
        engine.model().vocabulary().expect("a vocabulary").compile(constraint).expect("a matcher");
    let mut times = Vec::with_capacity(tokens.len());
    for &token in tokens {
        let start = Instant::now();
        let mask = matcher.mask().expect("a mask");
        times.push(start.elapsed().as_secs_f64());
        assert!(mask[token as usize / 32] >> (token % 32) & 1 == 1, "token {token} is not in the mask");
        matcher.commit(token).expect("an allowed token");
    }
    times
}

fn parts(before: &Stats, after: &Stats) -> [Duration; 3] {
    [
        after.decode_time - before.decode_time,
        after.mask_wait - before.mask_wait,
        after.sample_time - before.sample_time,
    ]
}
