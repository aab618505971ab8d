//! Threads that compile grammars and compute masks while the decoder runs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::error::{Error, Result};
use crate::grammar::Constraint;
use crate::llama::constraint::{Matcher, Vocabulary};

/// What a thread is to do for a sequence.
pub enum Task {
    /// Compile the grammar; where `mask` says so, compute the first mask too.
    Compile { constraint: Arc<Constraint>, mask: bool },
    /// Compute the mask of a matcher.
    Mask(Box<Matcher>),
}

/// What came of a task: the sequence that it was for, and its matcher.
type Done = (usize, Result<Box<Matcher>>);

/// The threads.
pub struct Masks {
    tasks: Option<Sender<(usize, Task)>>,
    done: Receiver<Done>,
    threads: Vec<JoinHandle<()>>,
}

impl Masks {
    /// Starts `threads` threads.
    ///
    /// # Errors
    /// The system refuses to start a thread.
    pub fn start(vocabulary: &Vocabulary, threads: u32) -> Result<Self> {
        let (tasks, queue) = channel::<(usize, Task)>();
        let (sender, done) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let spawn = |number: u32| {
            let (queue, sender, vocabulary) = (Arc::clone(&queue), sender.clone(), vocabulary.clone());
            std::thread::Builder::new()
                .name(format!("rlkd-mask-{number}"))
                .spawn(move || {
                    loop {
                        // Held while waiting, so that one thread takes one task.
                        let task = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                        let Ok((sequence, task)) = task else { return };
                        let done = catch_unwind(AssertUnwindSafe(|| work(&vocabulary, task)));
                        let done = done.unwrap_or_else(|_| Err(Error::engine("a grammar panicked")));
                        if sender.send((sequence, done)).is_err() {
                            return;
                        }
                    }
                })
                .map_err(|error| Error::engine(format!("cannot start a mask thread: {error}")))
        };
        let threads = (0..threads.max(1)).map(spawn).collect::<Result<_>>()?;
        Ok(Masks { tasks: Some(tasks), done, threads })
    }

    /// Begins a task.
    ///
    /// # Errors
    /// The threads are gone.
    pub fn begin(&self, sequence: usize, task: Task) -> Result<()> {
        let sent = self.tasks.as_ref().is_some_and(|tasks| tasks.send((sequence, task)).is_ok());
        if sent { Ok(()) } else { Err(Error::engine("the mask threads have stopped")) }
    }

    /// Waits for the next task that is done, in no particular order.
    ///
    /// # Errors
    /// The threads are gone.
    pub fn next(&self) -> Result<Done> {
        self.done.recv().map_err(|_| Error::engine("the mask threads have stopped"))
    }
}

impl Drop for Masks {
    fn drop(&mut self) {
        self.tasks = None;
        for thread in self.threads.drain(..) {
            // A panic there was a bug, and its sequence was told.
            let _ = thread.join();
        }
    }
}

fn work(vocabulary: &Vocabulary, task: Task) -> Result<Box<Matcher>> {
    let (mut matcher, mask) = match task {
        Task::Compile { constraint, mask } => (Box::new(vocabulary.compile(&constraint)?), mask),
        Task::Mask(matcher) => (matcher, true),
    };
    if mask {
        matcher.mask()?;
    }
    Ok(matcher)
}
