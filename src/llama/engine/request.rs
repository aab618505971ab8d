//! What the engine is asked, and what it answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::grammar::Constraint;
use crate::llama::sample::Sampling;
use crate::seed::Seed;

/// Stops what it was given to. Clones stop the same.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Stops it: the output so far is handed in, marked [`Stop::Cancelled`].
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was stopped.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Continue a prompt.
#[derive(Clone, Debug)]
pub struct Request {
    /// The tokens of the prompt; at least one.
    pub prompt: Vec<u32>,
    /// How many tokens at its beginning other requests have as well: they are computed once and kept.
    pub shared: usize,
    /// How many outputs are wanted, at most 65,536. They share the prompt's KV cache: it is computed once.
    pub rollouts: u32,
    /// How a token is chosen.
    pub sampling: Sampling,
    /// With `stream`, the source of every draw: rollout `r` draws from `seed.stream("rollout", stream · 2¹⁶ + r)`.
    pub seed: Seed,
    /// Which sample this is, below 2⁴⁸.
    pub stream: u64,
    /// The form that the output must have.
    pub constraint: Option<Arc<Constraint>>,
    /// Most tokens of one output; 0: as many as the context holds.
    pub max_tokens: u32,
    /// How long it may take from when its turn comes.
    pub deadline: Option<Duration>,
    /// Stops it.
    pub cancel: Cancel,
}

impl Request {
    /// A greedy continuation without a constraint.
    pub fn greedy(prompt: Vec<u32>) -> Self {
        Request {
            prompt,
            shared: 0,
            rollouts: 1,
            sampling: Sampling::greedy(),
            seed: Seed(0),
            stream: 0,
            constraint: None,
            max_tokens: 0,
            deadline: None,
            cancel: Cancel::default(),
        }
    }
}

/// Why an output ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The model ended it, or the form is complete.
    End,
    /// It has as many tokens as were allowed (`max_tokens`).
    Length,
    /// The context of the sequence is full.
    Context,
    /// Its time was up.
    Deadline,
    /// It was cancelled.
    Cancelled,
}

/// One output.
#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    /// The tokens, without the one that ends an output.
    pub tokens: Vec<u32>,
    /// Log-probability of each token under the distribution that it was drawn from; 0 for greedy and forced ones.
    pub logprobs: Vec<f32>,
    /// Log-probability of each token under the model's own distribution at temperature 1; empty unless asked for.
    pub logprobs_raw: Vec<f32>,
    /// Log-probabilities of the ending token, sampled and raw, when the model sampled one.
    pub end: Option<(u32, f32, f32)>,
    /// Why it ended.
    pub stop: Stop,
}

impl Generation {
    pub(super) fn new() -> Self {
        Generation {
            tokens: Vec::new(),
            logprobs: Vec::new(),
            logprobs_raw: Vec::new(),
            end: None,
            stop: Stop::Cancelled,
        }
    }
}

/// What is to be done with the end of a prompt.
#[derive(Clone, Debug)]
pub(super) enum Work {
    Generate,
    /// The log-probabilities of these tokens, next after the prompt.
    Compare(Vec<u32>),
}

/// An answer.
#[derive(Debug)]
pub(super) enum Answer {
    Generations(Vec<Generation>),
    LogProbabilities(Vec<f32>),
}

/// A request on its way to the engine's thread.
pub(super) struct Order {
    pub request: Request,
    pub work: Work,
    /// Set when nobody waits for the answer any more.
    pub unwanted: Cancel,
    pub reply: std::sync::mpsc::Sender<Result<Answer>>,
}

/// The answer to come. Dropping it cancels the request; letting go of the engine ends it with an error.
pub struct Ticket {
    pub(super) answer: Receiver<Result<Answer>>,
    pub(super) unwanted: Cancel,
}

impl Ticket {
    /// Waits for the outputs, one for each rollout, in order.
    ///
    /// # Errors
    /// The request cannot be worked on (kinds `Engine` and `Config`).
    pub fn wait(self) -> Result<Vec<Generation>> {
        match self.receive()? {
            Answer::Generations(generations) => Ok(generations),
            Answer::LogProbabilities(_) => Err(Error::engine("an answer to another question")),
        }
    }

    /// The outputs if they come within `patience`; `None` when they have not come yet.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub fn wait_for(&mut self, patience: Duration) -> Result<Option<Vec<Generation>>> {
        match self.answer.recv_timeout(patience) {
            Ok(answer) => match answer? {
                Answer::Generations(generations) => Ok(Some(generations)),
                Answer::LogProbabilities(_) => Err(Error::engine("an answer to another question")),
            },
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(gone()),
        }
    }

    /// Stops it; what was written so far still comes.
    pub fn cancel(&self) {
        self.unwanted.cancel();
    }

    pub(super) fn receive(&self) -> Result<Answer> {
        self.answer.recv().map_err(|_| gone())?
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.unwanted.cancel();
    }
}

fn gone() -> Error {
    Error::engine("the engine has stopped; RLKD_LOG=info says why")
}
