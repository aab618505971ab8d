//! Decompositions that meet everything that can happen to one: let be, cancelled, no longer wanted, out of time, wrong
//! from the start. What must hold is checked as answers come in.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rlkd::decompose::{Decomposer, Job, tagged};
use rlkd::gguf::TensorType;
use rlkd::gguf::random::{Spec, write};
use rlkd::grammar::{Constraint, Form, Grammar, Limits, find};
use rlkd::llama::engine::{Cancel, Engine, Generation, Request, Stop, Ticket};
use rlkd::llama::gsrm::{Gsrm, Options};
use rlkd::llama::model::Model;
use rlkd::llama::sample::Sampling;
use rlkd::llama::settings::Settings;
use rlkd::seed::{Seed, Stream};
use rlkd::trace::{Domain, End, Trace};

/// Longer than any answer can take: an answer that has not come by then is lost.
const PATIENCE: Duration = Duration::from_secs(120);
/// Jobs that are submitted together.
const BATCH: u64 = 40;

/// What became of the jobs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Traces or prompts that were handed in.
    pub jobs: u64,
    /// Outputs that were written to their end. All were read back as complete.
    pub complete: u64,
    /// Outputs that were marked as cut, by what cut them.
    pub cancelled: u64,
    pub out_of_time: u64,
    pub too_long: u64,
    /// Jobs whose ticket was dropped.
    pub dropped: u64,
    /// Jobs that were wrong and came back with an error that says so.
    pub refused: u64,
    /// Traces that went through the decomposer.
    pub decomposed: u64,
}

/// What happens to a job after it was handed in.
enum Fate {
    LetBe,
    Cancel,
    Drop,
    Refuse,
}

/// The work under way.
pub struct Soak {
    engine: Arc<Engine>,
    draws: Stream,
    limits: Limits,
    grammars: Vec<&'static Grammar>,
    beginning: Vec<u32>,
    pub tally: Tally,
}

impl Soak {
    /// Writes a tiny model into a folder and starts an engine on it.
    pub fn new(folder: &Path, seed: u64) -> rlkd::Result<Self> {
        let path = folder.join("soak.gguf");
        write(&path, &Spec { weights: TensorType::Q8_0, ..Spec::default() })?;
        // The model is so small that a second thread would wait for the first more than it helps.
        let settings = Settings { context: 4096, parallel: 8, threads: 1, ..Settings::default() };
        let engine = Engine::start(Model::load(&path, &settings)?)?;
        let beginning = engine.model().tokenize(&"Here is how a path of reasoning is read. ".repeat(6));
        let grammars =
            ["steps", "steps-json", "steps-extractive"].map(find).into_iter().collect::<Result<_, _>>()?;
        let limits = Limits { max_steps: 2, min_steps: 1, max_part_chars: 24, max_sub_problem_chars: 20 };
        let draws = Seed(seed).stream("soak", 0);
        Ok(Soak { engine, draws, limits, grammars, beginning, tally: Tally::default() })
    }

    /// A few jobs: mostly requests to the engine, now and then traces for the decomposer.
    pub fn work(&mut self) {
        if self.draws.below(5) == 0 { self.decompose() } else { self.generate() }
    }

    fn trace(&mut self) -> String {
        let (one, other) = (2 + self.draws.below(90), 2 + self.draws.below(90));
        format!(
            "There are {one} trays of {other} eggs. {one} * {other} = {} eggs. So {one} trays it is.",
            one * other
        )
    }

    fn generate(&mut self) {
        let mut requests = Vec::new();
        let mut asked = Vec::new();
        for _ in 0..BATCH {
            let grammar = self.grammars[self.draws.below(self.grammars.len() as u64) as usize];
            let mut request = self.request(grammar);
            let fate = match self.draws.below(20) {
                0..12 => Fate::LetBe,
                12..15 => Fate::Cancel,
                15..17 => Fate::Drop,
                17..19 => {
                    request.deadline = Some(Duration::from_micros(self.draws.below(40_000)));
                    Fate::LetBe
                }
                _ => {
                    self.spoil(&mut request);
                    Fate::Refuse
                }
            };
            asked.push((fate, grammar, request.rollouts, request.cancel.clone()));
            requests.push(request);
        }
        self.tally.jobs += BATCH;
        let tickets = self.engine.submit_all(requests).expect("the engine runs");
        let mut waited = Vec::new();
        for (mut ticket, (fate, grammar, rollouts, cancel)) in tickets.into_iter().zip(asked) {
            match fate {
                Fate::Cancel => {
                    std::thread::sleep(Duration::from_micros(self.draws.below(3_000)));
                    if self.draws.below(2) == 0 {
                        cancel.cancel()
                    } else {
                        ticket.cancel()
                    }
                    waited.push((ticket, grammar, rollouts));
                }
                Fate::Drop => {
                    std::thread::sleep(Duration::from_micros(self.draws.below(3_000)));
                    self.tally.dropped += 1;
                    drop(ticket);
                }
                Fate::Refuse => {
                    assert!(ticket.wait_for(PATIENCE).is_err(), "what is wrong is refused");
                    self.tally.refused += 1;
                }
                Fate::LetBe => waited.push((ticket, grammar, rollouts)),
            }
        }
        for (ticket, grammar, rollouts) in waited {
            self.take(ticket, grammar, rollouts);
        }
    }

    fn request(&mut self, grammar: &Grammar) -> Request {
        let trace = self.trace();
        let own = self.engine.model().tokenize(&trace);
        let shared = if self.draws.below(2) == 0 { self.beginning.len() } else { 0 };
        let prompt = self.beginning[..shared].iter().chain(&own).copied().collect();
        let temperature = if self.draws.below(2) == 0 { 0.0 } else { 1.0 };
        Request {
            shared,
            rollouts: if self.draws.below(8) == 0 { 3 } else { 1 },
            sampling: Sampling { temperature, ..Sampling::default() },
            stream: self.tally.jobs + self.draws.below(BATCH),
            constraint: Some(Arc::new(grammar.constraint(&self.limits, &trace))),
            max_tokens: if self.draws.below(12) == 0 { 1 + self.draws.below(30) as u32 } else { 0 },
            cancel: Cancel::default(),
            ..Request::greedy(prompt)
        }
    }

    fn spoil(&mut self, request: &mut Request) {
        match self.draws.below(4) {
            0 => request.prompt.clear(),
            1 => request.prompt = vec![1; 5000],
            2 => request.constraint = Some(Arc::new(Constraint::Lark("start: nowhere".into()))),
            _ => request.prompt.push(u32::MAX),
        }
    }

    fn take(&mut self, mut ticket: Ticket, grammar: &Grammar, rollouts: u32) {
        let answer = ticket.wait_for(PATIENCE).expect("a good request is worked on");
        let outputs = answer.expect("no job is lost");
        assert_eq!(outputs.len(), rollouts as usize);
        for output in &outputs {
            match output.stop {
                Stop::End => {
                    self.read(grammar, output);
                    self.tally.complete += 1;
                }
                Stop::Length | Stop::Context => self.tally.too_long += 1,
                Stop::Deadline => self.tally.out_of_time += 1,
                Stop::Cancelled => self.tally.cancelled += 1,
            }
        }
    }

    fn read(&self, grammar: &Grammar, output: &Generation) {
        assert!(matches!(grammar.form, Form::Tagged | Form::Json));
        let text = self.engine.model().text(&output.tokens);
        let list = tagged::parse(&text);
        assert_eq!(list.end, End::Complete, "{}: {text}", grammar.name);
        assert!((1..=2).contains(&list.steps.len()), "{}: {text}", grammar.name);
    }

    /// Traces through the decomposer, with all of them cancelled at some moment now and then.
    fn decompose(&mut self) {
        let grammar = self.grammars[self.draws.below(self.grammars.len() as u64) as usize];
        let options = Options {
            grammar: grammar.name.into(),
            limits: self.limits,
            max_tokens: if self.draws.below(6) == 0 { 25 } else { 0 },
            ..Options::default()
        };
        let mut gsrm = Gsrm::new(Arc::clone(&self.engine), &options).expect("options in range");
        let traces: Vec<Trace> = (0..BATCH / 2).map(|_| Trace::new(self.trace())).collect();
        let job = |trace| Job { problem: "How many eggs are there?", domain: Domain::Math, trace };
        let jobs: Vec<Job<'_>> = traces.iter().map(job).collect();
        let stops = self.draws.below(4) == 0;
        let after = Duration::from_micros(self.draws.below(60_000));
        let cancel = gsrm.cancel();
        let lists = std::thread::scope(|scope| {
            if stops {
                scope.spawn(|| {
                    std::thread::sleep(after);
                    cancel.cancel();
                });
            }
            gsrm.decompose(&jobs)
        });
        assert_eq!(lists.len(), jobs.len());
        for list in lists {
            let list = match list {
                Ok(list) => list,
                // What was stopped by hand says nothing of its trace, so it is an error and no list.
                Err(error) => {
                    assert!(stops && error.to_string().contains("cancelled"), "{error}");
                    self.tally.cancelled += 1;
                    continue;
                }
            };
            match list.end {
                End::Complete => {
                    assert!((1..=2).contains(&list.steps.len()), "{list:?}");
                    self.tally.complete += 1;
                }
                End::Truncated => {
                    assert!(options.max_tokens > 0, "{list:?}");
                    self.tally.too_long += 1;
                }
                End::Malformed { at } => panic!("malformed at {at}: {list:?}"),
            }
        }
        self.tally.jobs += jobs.len() as u64;
        self.tally.decomposed += jobs.len() as u64;
    }

    /// Waits for what was dropped, and checks that the engine answered every job once.
    pub fn settle(&self) {
        let end = std::time::Instant::now() + PATIENCE;
        while self.engine.stats().requests < self.tally.jobs && std::time::Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
        let stats = self.engine.stats();
        assert_eq!(stats.requests, self.tally.jobs, "every job was answered");
        assert!(
            stats.failed >= self.tally.refused && stats.failed <= self.tally.refused + self.tally.dropped
        );
    }
}

/// Memory of this process that is in use, in bytes; `None` where the system does not say.
pub fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
