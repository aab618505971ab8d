//! The engine: threads that each own a llama.cpp context and decode many sequences at once. There is one, unless the model is so small
//! that several lanes, each with its share of the sequences, do more than the threads of one.
//!
//! Each pass of its loop takes in what was asked, gives every sequence its share of a batch (one token where a
//! sequence writes, a chunk where a prompt is read), lets the mask threads work on the grammars while llama.cpp
//! decodes, and samples from the logits in Rust. A sequence that ends makes room for the next at once.
//!
//! Each sequence has a KV stream of its own (a unified cache reads every sequence's cells for each of them). The
//! beginning that prompts share is computed once into a stream that is kept, and copied from there.

mod adapter;
mod gate;
mod masks;
mod prefix;
mod request;
mod schedule;
mod sequence;
mod stats;

#[cfg(feature = "train")]
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

pub use request::{Cancel, Generation, Request, Stop, Ticket};
pub use stats::Stats;

use crate::error::{Error, Result};
use crate::llama::model::Model;
use gate::Gate;
use request::{Answer, Order, Work};
use stats::Counters;

/// What is sent to the engine's thread.
enum Message {
    Work(Vec<Order>),
    /// From here on this adapter, or none.
    #[cfg_attr(not(feature = "train"), allow(dead_code))]
    Adapter(Option<PathBuf>, Sender<Result<()>>),
}

/// A model that works on requests on threads of its own. Share it in an `Arc`; dropping the last one stops the threads.
pub struct Engine {
    model: Arc<Model>,
    /// By lane; none when it was let go.
    orders: Mutex<Vec<Sender<Message>>>,
    /// The lane that the next request goes to that comes alone.
    turn: AtomicUsize,
    counters: Arc<Counters>,
    threads: Vec<JoinHandle<()>>,
}

impl Engine {
    /// Starts the threads, which make their contexts.
    ///
    /// # Errors
    /// A context cannot be made: mostly too little memory, with what to lower.
    pub fn start(model: Arc<Model>) -> Result<Arc<Self>> {
        let settings = &model.resolved().settings;
        let lanes = settings.lanes;
        let gate = Arc::new(Gate::new(lanes.min(settings.threads)));
        let counters = Arc::new(Counters::default());
        let mut engine = Engine {
            orders: Mutex::default(),
            turn: AtomicUsize::new(0),
            counters: Arc::clone(&counters),
            threads: Vec::new(),
            model: Arc::clone(&model),
        };
        for lane in 0..lanes {
            let (orders, inbox) = channel();
            let (ready, is_ready) = channel();
            let (model, gate, counters) = (Arc::clone(&model), Arc::clone(&gate), Arc::clone(&counters));
            let thread = std::thread::Builder::new()
                .name(format!("rlkd-engine-{lane}"))
                .spawn(move || schedule::run(&model, &gate, &inbox, &ready, &counters))
                .map_err(|error| Error::engine(format!("cannot start the engine's thread: {error}")))?;
            engine.threads.push(thread);
            let stopped = || Error::engine("the engine's thread ended before it was ready");
            is_ready.recv().map_err(|_| stopped())??;
            engine.orders.get_mut().unwrap_or_else(PoisonError::into_inner).push(orders);
        }
        Ok(Arc::new(engine))
    }

    /// Its model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// What it did so far.
    pub fn stats(&self) -> Stats {
        self.counters.read()
    }

    /// Begins a request. Those of a lane begin in the order in which they are submitted.
    ///
    /// # Errors
    /// The engine has stopped. What is wrong with the request itself comes with its answer.
    pub fn submit(&self, request: Request) -> Result<Ticket> {
        let mut tickets = self.send(vec![(request, Work::Generate)])?;
        tickets.pop().ok_or_else(|| Error::engine("a request got no ticket"))
    }

    /// Begins requests together: how they are batched does not depend on time, so the same requests to a fresh engine
    /// give the same tokens. With weights of type Q8_0 or Q4_0 on a processor they do so on any engine.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub fn submit_all(&self, requests: Vec<Request>) -> Result<Vec<Ticket>> {
        self.send(requests.into_iter().map(|request| (request, Work::Generate)).collect())
    }

    /// Works on requests and waits for all of them; one result each, in order.
    pub fn generate(&self, requests: Vec<Request>) -> Vec<Result<Vec<Generation>>> {
        let count = requests.len();
        match self.submit_all(requests) {
            Ok(tickets) => tickets.into_iter().map(Ticket::wait).collect(),
            Err(error) => again(&error, count),
        }
    }

    /// For each prompt, the log-probabilities of `tokens` as the next one, at temperature 1. With a prompt stands how
    /// many tokens at its beginning others have as well ([`Request::shared`]).
    pub fn compare(
        &self,
        prompts: Vec<(Vec<u32>, usize)>,
        tokens: &[u32],
        cancel: &Cancel,
    ) -> Vec<Result<Vec<f32>>> {
        let count = prompts.len();
        let orders = prompts.into_iter().map(|(prompt, shared)| {
            let request = Request { shared, cancel: cancel.clone(), ..Request::greedy(prompt) };
            (request, Work::Compare(tokens.to_vec()))
        });
        let tickets = match self.send(orders.collect()) {
            Ok(tickets) => tickets,
            Err(error) => return again(&error, count),
        };
        let answer = |ticket: Ticket| match ticket.receive()? {
            Answer::LogProbabilities(values) => Ok(values),
            Answer::Generations(_) => Err(Error::engine("cancelled")),
        };
        tickets.into_iter().map(answer).collect()
    }

    fn send(&self, requests: Vec<(Request, Work)>) -> Result<Vec<Ticket>> {
        let lanes = self.model.resolved().settings.lanes as usize;
        // Which lane works on what must not depend on time, nor, for what comes together, on what came before.
        let from = if requests.len() == 1 { self.turn.fetch_add(1, Ordering::Relaxed) } else { 0 };
        let mut orders: Vec<Vec<Order>> = (0..lanes).map(|_| Vec::new()).collect();
        let mut tickets = Vec::with_capacity(requests.len());
        for (at, (request, work)) in requests.into_iter().enumerate() {
            let (reply, answer) = channel();
            let unwanted = Cancel::default();
            tickets.push(Ticket { answer, unwanted: unwanted.clone() });
            orders[(from + at) % lanes].push(Order { request, work, unwanted, reply });
        }
        for (lane, orders) in orders.into_iter().enumerate().filter(|(_, orders)| !orders.is_empty()) {
            self.tell(lane, Message::Work(orders))?;
        }
        Ok(tickets)
    }

    fn tell(&self, lane: usize, message: Message) -> Result<()> {
        let inboxes = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = inboxes.get(lane).is_some_and(|inbox| inbox.send(message).is_ok());
        if sent { Ok(()) } else { Err(Error::engine("the engine has stopped; RLKD_LOG=info says why")) }
    }

    /// Makes the requests that are submitted from now on use an adapter, a GGUF file that this program wrote, or none. Those
    /// that were submitted before end first; what was kept of prompts is forgotten. Returns when it is so, and the file may go.
    /// No other engine and no embedder may have this model: [`Model::load`] it anew for that.
    ///
    /// # Errors
    /// The file does not go with the model; then the one before stays.
    #[cfg(feature = "train")]
    pub(crate) fn set_adapter(&self, file: Option<&Path>) -> Result<()> {
        let lanes = 0..self.model.resolved().settings.lanes as usize;
        let tell = |lane| {
            let (reply, answer) = channel();
            self.tell(lane, Message::Adapter(file.map(Path::to_path_buf), reply)).map(|()| answer)
        };
        let answers: Vec<_> = lanes.map(tell).collect::<Result<_>>()?;
        let stopped = || Error::engine("the engine has stopped; RLKD_LOG=info says why");
        // All are waited for, whatever one says: after that the file may go.
        let all: Vec<_> = answers.into_iter().map(|answer| answer.recv().map_err(|_| stopped())?).collect();
        all.into_iter().collect()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.orders.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        for thread in self.threads.drain(..) {
            // A panic there has ended every request with an error already.
            let _ = thread.join();
        }
        let mut ended = ENDED.lock().unwrap_or_else(PoisonError::into_inner);
        *ended = ended.plus(&self.counters.read());
    }
}

/// What the engines of this process that have ended did, for a summary at the end of a run.
static ENDED: Mutex<Stats> = Mutex::new(Stats::NOTHING);

/// What all engines of this process that have ended did together.
pub fn ended() -> Stats {
    *ENDED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn again<T>(error: &Error, count: usize) -> Vec<Result<T>> {
    (0..count).map(|_| Err(Error::new(error.kind(), error.message()))).collect()
}
