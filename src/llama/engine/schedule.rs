//! The loop of the engine's thread.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvError, Sender, TryRecvError};
use std::time::Instant;

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::token::LlamaToken;

use super::Message;
use super::adapter::Loaded;
use super::gate::Gate;
use super::masks::{Masks, Task};
use super::prefix::{Found, LEAST_SHARED, Prefixes, State};
use super::request::{Answer, Generation, Order, Stop, Work};
use super::sequence::{Form, Sequence, Turn};
use super::stats::{Counters, count, count_time};
use crate::error::{Error, Result};
use crate::llama::model::{Model, backend};
use crate::llama::sample::{Sampler, Scratch, log_sum_exp};
use crate::llama::settings::{Settings, flash_policy, kv_type};

/// Most rollouts of a request: their number has 16 bits in the number of a stream of draws.
const MOST_ROLLOUTS: u32 = 1 << 16;

/// An order that is being worked on.
struct Job {
    order: Order,
    /// Beginning of the prompt that is kept: at least [`LEAST_SHARED`] tokens, or 0.
    shared: usize,
    /// When its time is up; set when its turn comes.
    until: Option<Instant>,
    /// One place for each rollout.
    outputs: Vec<Option<Generation>>,
}

impl Job {
    fn stop(&self, now: Instant) -> Option<Stop> {
        if self.order.request.cancel.is_cancelled() || self.order.unwanted.is_cancelled() {
            return Some(Stop::Cancelled);
        }
        self.until.is_some_and(|until| now >= until).then_some(Stop::Deadline)
    }
}

/// Makes the context, says so, and works until every handle of the engine is gone.
pub fn run(
    model: &Arc<Model>,
    gate: &Gate,
    inbox: &Receiver<Message>,
    ready: &Sender<Result<()>>,
    counters: &Counters,
) {
    let settings = &model.resolved().settings.lane();
    let context = match context(model, settings) {
        Ok(context) => context,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    let mut scheduler = Scheduler {
        model,
        settings,
        gate,
        context,
        adapter: None,
        waiting: VecDeque::new(),
        batch: LlamaBatch::new(settings.batch as usize, 1),
        masks: None,
        jobs: BTreeMap::new(),
        next_job: 0,
        queue: VecDeque::new(),
        slots: (0..settings.parallel).map(|_| None).collect(),
        prefixes: Prefixes::new(settings.parallel, settings.prefixes),
        scratch: Scratch::default(),
        counters,
        pass: 0,
    };
    if ready.send(Ok(())).is_err() {
        return;
    }
    scheduler.work(inbox);
    // Its adapter is taken off the model's list, which the contexts of other lanes read.
    let _alone = gate.alone();
    drop(scheduler);
}

/// The context: one KV stream for each sequence and each kept prefix.
fn context<'a>(model: &'a Model, settings: &Settings) -> Result<LlamaContext<'a>> {
    let streams = settings.parallel + settings.prefixes;
    let tokens = settings.context.checked_mul(streams).and_then(NonZeroU32::new).ok_or_else(|| {
        Error::config(format!(
            "{streams} sequences of {} tokens are too many: lower --ctx or --parallel",
            settings.context
        ))
    })?;
    let threads = settings.threads.cast_signed();
    let resolved = model.resolved();
    let params = LlamaContextParams::default()
        .with_n_ctx(Some(tokens))
        .with_n_seq_max(streams)
        .with_n_batch(settings.batch)
        .with_n_ubatch(settings.micro_batch)
        .with_n_threads(threads)
        .with_n_threads_batch(threads)
        .with_type_k(kv_type(resolved.kv))
        .with_type_v(kv_type(resolved.kv))
        .with_flash_attention_policy(flash_policy(resolved.flash_attention))
        .with_kv_unified(false)
        .with_no_perf(true);
    model.inner().new_context(backend()?, params).map_err(|error| {
        Error::engine(format!(
            "llama.cpp cannot make a context of {streams} sequences of {} tokens ({error}): \
             lower --ctx or --parallel, or take another --kv; RLKD_LOG=llama=info says more",
            settings.context
        ))
    })
}

/// When the mask of a sequence is wanted.
#[derive(Clone, Copy)]
enum Ask {
    /// While the decoder runs, unless the sequence does without.
    Ahead,
    /// It is waited for.
    Now,
}

struct Scheduler<'a> {
    model: &'a Arc<Model>,
    settings: &'a Settings,
    gate: &'a Gate,
    context: LlamaContext<'a>,
    /// Behind the context, which uses it until it is dropped.
    adapter: Option<Loaded>,
    /// What waits for the jobs that came before a change of adapters.
    waiting: VecDeque<Message>,
    batch: LlamaBatch<'static>,
    /// Started with the first grammar.
    masks: Option<Masks>,
    jobs: BTreeMap<u64, Job>,
    next_job: u64,
    /// Rollouts that wait for a slot: job and number.
    queue: VecDeque<(u64, u32)>,
    /// By KV stream.
    slots: Vec<Option<Sequence>>,
    prefixes: Prefixes,
    scratch: Scratch,
    counters: &'a Counters,
    pass: u64,
}

impl Scheduler<'_> {
    fn work(&mut self, inbox: &Receiver<Message>) {
        loop {
            if self.jobs.is_empty() && self.waiting.is_empty() {
                match inbox.recv() {
                    Ok(message) => self.waiting.push_back(message),
                    Err(RecvError) => return,
                }
            }
            loop {
                match inbox.try_recv() {
                    Ok(message) => self.waiting.push_back(message),
                    Err(TryRecvError::Empty) => break,
                    // The engine was let go.
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            while let Some(message) = self.waiting.pop_front() {
                match message {
                    Message::Work(orders) => orders.into_iter().for_each(|order| self.take_in(order)),
                    Message::Adapter(file, reply) if self.jobs.is_empty() => {
                        // Whoever asked may not wait.
                        let _ = reply.send(self.change(file.as_deref()));
                    }
                    later @ Message::Adapter(..) => {
                        self.waiting.push_front(later);
                        break;
                    }
                }
            }
            if self.jobs.is_empty() {
                continue;
            }
            let _turn = self.gate.pass();
            self.pass += 1;
            self.stop_what_is_over();
            self.admit();
            if let Err(error) = self.decode() {
                self.give_up(&error);
            }
        }
    }

    /// Takes another adapter, or none.
    fn change(&mut self, file: Option<&Path>) -> Result<()> {
        // Contexts read the model's list of adapters.
        let _alone = self.gate.alone();
        let mut new = file.map(|file| Loaded::load(self.model, file)).transpose()?;
        match (&mut new, &mut self.adapter) {
            (Some(new), _) => new.set(&mut self.context)?,
            (None, Some(old)) => old.unset(&mut self.context)?,
            (None, None) => {}
        }
        self.adapter = new;
        // What is kept was computed with the one before.
        self.context.clear_kv_cache();
        self.prefixes.clear();
        Ok(())
    }

    /// Checks an order and queues its rollouts.
    fn take_in(&mut self, order: Order) {
        let (request, context) = (&order.request, self.settings.context);
        let vocabulary = self.model.vocabulary_size();
        let refused = if request.prompt.is_empty() {
            Some(Error::engine("the prompt has no tokens"))
        } else if request.prompt.len() >= context as usize {
            Some(Error::engine(format!(
                "the prompt has {} tokens and a sequence holds {context}: raise --ctx to more than {}, \
                 or shorten the text",
                request.prompt.len(),
                request.prompt.len()
            )))
        } else if let Some(token) = request.prompt.iter().find(|&&token| token as usize >= vocabulary) {
            Some(outside(*token))
        } else if request.rollouts > MOST_ROLLOUTS || request.stream >= 1 << 48 {
            Some(Error::config(format!(
                "at most {MOST_ROLLOUTS} rollouts of a request, and streams below 2^48"
            )))
        } else {
            request.sampling.check().err()
        };
        if let Some(error) = refused {
            count(&self.counters.requests, 1);
            count(&self.counters.failed, 1);
            let _ = order.reply.send(Err(error));
            return;
        }
        let rollouts = match order.work {
            Work::Generate => request.rollouts,
            Work::Compare(_) => 1,
        };
        let shared = match rollouts {
            0 | 1 => request.shared.min(request.prompt.len() - 1),
            _ => request.prompt.len(),
        };
        let number = self.next_job;
        self.next_job += 1;
        let shared = if shared < LEAST_SHARED { 0 } else { shared };
        self.queue.extend((0..rollouts).map(|rollout| (number, rollout)));
        self.jobs.insert(number, Job { order, shared, until: None, outputs: vec![None; rollouts as usize] });
        if rollouts == 0 {
            self.answer_if_whole(number);
        }
    }

    /// Ends jobs that were cancelled or are out of time; what they wrote is handed in.
    fn stop_what_is_over(&mut self) {
        let now = Instant::now();
        let over: Vec<(u64, Stop)> =
            self.jobs.iter().filter_map(|(number, job)| Some((*number, job.stop(now)?))).collect();
        for (number, stop) in over {
            for at in 0..self.slots.len() {
                if self.slots[at].as_ref().is_some_and(|sequence| sequence.job == number) {
                    self.finish(at, stop);
                }
            }
            self.queue.retain(|(job, _)| *job != number);
            if let Some(job) = self.jobs.get_mut(&number) {
                for output in job.outputs.iter_mut().filter(|output| output.is_none()) {
                    *output = Some(Generation { stop, ..Generation::new() });
                }
                self.answer_if_whole(number);
            }
        }
    }

    /// Gives free slots to waiting rollouts, in order; one that waits for its prefix lets the next go first.
    fn admit(&mut self) {
        let mut at = 0;
        while at < self.queue.len().min(self.slots.len()) {
            let Some(slot) = self.slots.iter().position(Option::is_none) else { return };
            // Taken out first: beginning one may end jobs whose grammar is wrong, and with them places before this one.
            let Some((number, rollout)) = self.queue.remove(at) else { return };
            match self.begin(slot, number, rollout) {
                Ok(true) => {}
                Ok(false) => {
                    self.queue.insert(at, (number, rollout));
                    at += 1;
                }
                Err(error) => self.fail(number, &error),
            }
        }
    }

    /// Begins a rollout in a slot; `false` if its prefix is not there yet.
    fn begin(&mut self, slot: usize, number: u64, rollout: u32) -> Result<bool> {
        let Some(job) = self.jobs.get_mut(&number) else { return Ok(true) };
        if job.until.is_none() {
            job.until = job.order.request.deadline.and_then(|deadline| Instant::now().checked_add(deadline));
        }
        let request = &job.order.request;
        let stream = slot as i32;
        let mut position = 0;
        let mut logits = None;
        if job.shared > 0 {
            let tokens = &request.prompt[..job.shared];
            let whole = job.shared == request.prompt.len();
            match self.prefixes.find(tokens, whole) {
                Found::Ready(at) => {
                    let prefix = &mut self.prefixes.0[at];
                    prefix.used = self.pass;
                    copy(&mut self.context, prefix.stream, stream)?;
                    position = job.shared;
                    logits = prefix.logits.clone().filter(|_| whole);
                    count(&self.counters.reused_tokens, position as u64);
                }
                Found::Filling | Found::Full => return Ok(false),
                Found::Free(at) => {
                    let tokens = tokens.to_vec();
                    self.fill(at, tokens, whole)?;
                    return Ok(false);
                }
            }
        }
        let index = (request.stream << 16) | u64::from(rollout);
        let form = match &request.constraint {
            Some(constraint) => Form::New(Arc::clone(constraint)),
            None => Form::Free,
        };
        let rest = &request.prompt[position..];
        let mut sequence = Sequence {
            job: number,
            rollout,
            pending: rest.iter().copied().collect(),
            prompt_left: rest.len(),
            position: position as u32,
            context: self.settings.context,
            budget: if request.max_tokens == 0 { usize::MAX } else { request.max_tokens as usize },
            sampler: Sampler::new(&request.sampling, request.seed.stream("rollout", index)),
            form,
            output: Generation::new(),
            row: None,
            start: logits,
            keeps_logprobs: request.sampling.logprobs,
            in_form: false,
            forced: 0,
        };
        request.prompt.iter().for_each(|token| sequence.sampler.accept(*token));
        self.slots[slot] = Some(sequence);
        self.ask(slot, Ask::Ahead)?;
        Ok(true)
    }

    /// Begins to compute a prefix in a kept stream, from the longest kept beginning of it.
    fn fill(&mut self, at: usize, tokens: Vec<u32>, wants_logits: bool) -> Result<()> {
        let from = self.prefixes.longest_beginning(&tokens, at);
        let stream = self.prefixes.0[at].stream;
        clear(&mut self.context, stream)?;
        let mut done = 0;
        if let Some(from) = from {
            let source = &mut self.prefixes.0[from];
            source.used = self.pass;
            done = source.tokens.len();
            copy(&mut self.context, source.stream, stream)?;
            count(&self.counters.reused_tokens, done as u64);
        }
        let prefix = &mut self.prefixes.0[at];
        prefix.state = State::Filling { done };
        prefix.used = self.pass;
        prefix.tokens = tokens;
        prefix.wants_logits = wants_logits;
        prefix.logits = None;
        Ok(())
    }

    /// Puts a batch together, decodes it, and samples where logits came out.
    fn decode(&mut self) -> Result<()> {
        let shares = self.shares();
        self.batch.clear();
        let mut rows = Vec::new();
        let mut prefix_rows = Vec::new();
        let (mut prompt, slots) = (0, self.slots.len());
        for (stream, share) in shares.into_iter().enumerate().filter(|(_, share)| *share > 0) {
            let at = stream as i32;
            if let Some(sequence) = self.slots.get_mut(stream).and_then(Option::as_mut) {
                let last = share == sequence.pending.len();
                for (index, token) in sequence.pending.drain(..share).enumerate() {
                    let wanted = last && index + 1 == share;
                    add(&mut self.batch, token, sequence.position, at, wanted)?;
                    sequence.position += 1;
                }
                let read = sequence.prompt_left.min(share);
                sequence.prompt_left -= read;
                prompt += read;
                if last {
                    sequence.row = Some(self.batch.n_tokens() - 1);
                    rows.push(stream);
                }
            } else if let Some(prefix) = self.prefixes.0.get_mut(stream.wrapping_sub(slots)) {
                let State::Filling { done } = prefix.state else { continue };
                let last = done + share == prefix.tokens.len();
                for (index, &token) in prefix.tokens[done..done + share].iter().enumerate() {
                    let wanted = last && prefix.wants_logits && index + 1 == share;
                    add(&mut self.batch, token, (done + index) as u32, at, wanted)?;
                }
                prefix.state = if last { State::Ready } else { State::Filling { done: done + share } };
                prompt += share;
                if last && prefix.wants_logits {
                    prefix_rows.push((stream - slots, self.batch.n_tokens() - 1));
                }
            }
        }
        for &slot in &rows {
            self.ask(slot, Ask::Ahead)?;
        }
        if self.batch.n_tokens() > 0 {
            let start = Instant::now();
            self.context.decode(&mut self.batch).map_err(|error| {
                let tokens = self.batch.n_tokens();
                Error::engine(format!("llama.cpp cannot decode a batch of {tokens} tokens: {error}"))
            })?;
            self.context.synchronize();
            count_time(&self.counters.decode_nanos, start);
            count(&self.counters.decodes, 1);
            count(&self.counters.prompt_tokens, prompt as u64);
        }
        for (at, row) in prefix_rows {
            self.prefixes.0[at].logits = Some(self.context.get_logits_ith(row).into());
        }
        // Those whose whole prompt was kept begin with the logits that were kept with it.
        let begins =
            |slot: &usize| self.slots[*slot].as_ref().is_some_and(|sequence| sequence.start.is_some());
        rows.extend((0..slots).filter(begins));
        while !rows.is_empty() {
            self.collect(&rows)?;
            let start = Instant::now();
            rows.retain(|&slot| self.advance_from_batch(slot));
            count_time(&self.counters.sample_nanos, start);
            for &slot in &rows {
                self.ask(slot, Ask::Now)?;
            }
        }
        Ok(())
    }

    /// How many tokens of each stream go into the next batch: one or what is forced for those that write, then
    /// prompts, first come first served.
    fn shares(&self) -> Vec<usize> {
        let pending = |stream: usize| match self.slots.get(stream) {
            Some(sequence) => sequence.as_ref().map_or((0, false), |s| (s.pending.len(), s.prompt_left > 0)),
            None => match self.prefixes.0.get(stream - self.slots.len()) {
                Some(prefix) => match prefix.state {
                    State::Filling { done } => (prefix.tokens.len() - done, true),
                    State::Empty | State::Ready => (0, false),
                },
                None => (0, false),
            },
        };
        let streams = self.slots.len() + self.prefixes.0.len();
        let mut room = self.settings.batch as usize;
        let mut shares = vec![0; streams];
        for reads_prompt in [false, true] {
            // Prefixes first among prompts: others wait for them.
            for stream in (0..streams).rev() {
                let (tokens, is_prompt) = pending(stream);
                if is_prompt == reads_prompt {
                    shares[stream] = tokens.min(room);
                    room -= shares[stream];
                }
            }
        }
        shares
    }

    /// Gives the grammar of a slot, if it has one, to a mask thread, if there is something to do for it.
    fn ask(&mut self, slot: usize, when: Ask) -> Result<()> {
        let Some(sequence) = &mut self.slots[slot] else { return Ok(()) };
        let mask = matches!(when, Ask::Now) || !sequence.guesses();
        let task = match std::mem::replace(&mut sequence.form, Form::Away) {
            Form::New(constraint) => Task::Compile { constraint, mask },
            Form::Here(matcher) if mask && !matcher.has_mask() => Task::Mask(matcher),
            other => {
                sequence.form = other;
                return Ok(());
            }
        };
        let masks = match &mut self.masks {
            Some(masks) => masks,
            empty => empty.insert(Masks::start(self.model.vocabulary()?, self.settings.mask_threads)?),
        };
        masks.begin(slot, task)
    }

    /// Waits until the grammars of these slots are back. One that fails ends its job only.
    fn collect(&mut self, slots: &[usize]) -> Result<()> {
        let start = Instant::now();
        let is_away = |sequence: &Option<Sequence>| {
            sequence.as_ref().is_some_and(|sequence| matches!(sequence.form, Form::Away))
        };
        while slots.iter().any(|&slot| is_away(&self.slots[slot])) {
            self.take_mask()?;
        }
        count_time(&self.counters.mask_wait_nanos, start);
        Ok(())
    }

    fn take_mask(&mut self) -> Result<()> {
        let masks = self.masks.as_ref().ok_or_else(|| Error::engine("there are no mask threads"))?;
        let (slot, done) = masks.next()?;
        let Some(sequence) = &mut self.slots[slot] else { return Ok(()) };
        match done {
            Ok(matcher) => {
                count(&self.counters.masks, u64::from(matcher.has_mask()));
                sequence.form = Form::Here(matcher);
            }
            Err(error) => {
                sequence.form = Form::Free;
                let job = sequence.job;
                self.fail(job, &error);
            }
        }
        Ok(())
    }

    /// Takes what came out of the batch for a slot. `true` if that waits for a mask.
    fn advance_from_batch(&mut self, slot: usize) -> bool {
        // The job may have failed while masks were collected.
        let Some(sequence) = &mut self.slots[slot] else { return false };
        let (start, row) = (sequence.start.take(), sequence.row.take());
        let logits = match (&start, row) {
            (Some(logits), _) => logits,
            (None, Some(row)) => self.context.get_logits_ith(row),
            (None, None) => return false,
        };
        let number = sequence.job;
        let job = self.jobs.get_mut(&number);
        if let Some(Job { order: Order { work: Work::Compare(tokens), reply, .. }, .. }) = job {
            match compared(logits, tokens) {
                Ok(values) => {
                    // Whoever dropped the ticket does not want the answer.
                    let _ = reply.send(Ok(Answer::LogProbabilities(values)));
                    count(&self.counters.requests, 1);
                    self.release(slot);
                    self.jobs.remove(&number);
                }
                Err(error) => self.fail(number, &error),
            }
            return false;
        }
        match sequence.advance(logits, self.model.end(), &mut self.scratch) {
            Ok(Turn::NeedsMask) => {
                (sequence.start, sequence.row) = (start, row);
                return true;
            }
            Ok(Turn::Wrote) => count(&self.counters.sampled_tokens, 1),
            Ok(Turn::Ended(stop)) => {
                count(&self.counters.sampled_tokens, 1);
                self.finish(slot, stop);
            }
            Err(error) => self.fail(number, &error),
        }
        false
    }

    /// Hands in the output of a slot and frees it.
    fn finish(&mut self, slot: usize, stop: Stop) {
        let Some(sequence) = self.release(slot) else { return };
        if let Some(job) = self.jobs.get_mut(&sequence.job) {
            job.outputs[sequence.rollout as usize] = Some(Generation { stop, ..sequence.output });
            self.answer_if_whole(sequence.job);
        }
    }

    /// Frees a slot and its KV stream.
    fn release(&mut self, slot: usize) -> Option<Sequence> {
        // A mask that is on its way would reach the next one in this slot.
        while matches!(&self.slots[slot], Some(Sequence { form: Form::Away, .. })) {
            if self.take_mask().is_err() {
                break;
            }
        }
        let sequence = self.slots[slot].take()?;
        count(&self.counters.forced_tokens, sequence.forced);
        if let Err(error) = clear(&mut self.context, slot as i32) {
            tracing::warn!("{error}");
        }
        Some(sequence)
    }

    fn answer_if_whole(&mut self, number: u64) {
        let whole = self.jobs.get(&number).is_some_and(|job| job.outputs.iter().all(Option::is_some));
        if !whole {
            return;
        }
        let Some(job) = self.jobs.remove(&number) else { return };
        let outputs: Vec<Generation> = job.outputs.into_iter().flatten().collect();
        count(&self.counters.requests, 1);
        let stopped = outputs.iter().any(|output| matches!(output.stop, Stop::Cancelled | Stop::Deadline));
        count(&self.counters.stopped, u64::from(stopped));
        // Whoever dropped the ticket does not want the answer.
        let _ = job.order.reply.send(Ok(Answer::Generations(outputs)));
    }

    /// Ends a job with an error.
    fn fail(&mut self, number: u64, error: &Error) {
        let Some(job) = self.jobs.remove(&number) else { return };
        count(&self.counters.requests, 1);
        count(&self.counters.failed, 1);
        self.queue.retain(|(job, _)| *job != number);
        for slot in 0..self.slots.len() {
            if self.slots[slot].as_ref().is_some_and(|sequence| sequence.job == number) {
                self.release(slot);
            }
        }
        let _ = job.order.reply.send(Err(Error::new(error.kind(), error.message())));
    }

    /// After a failure of the decoder nothing in its cache can be trusted, and what failed may fail again: every job
    /// that was taken in fails, and the next begin afresh.
    fn give_up(&mut self, error: &Error) {
        tracing::error!("{error}");
        let jobs: Vec<u64> = self.jobs.keys().copied().collect();
        for number in jobs {
            self.fail(number, error);
        }
        self.context.clear_kv_cache();
        self.prefixes.clear();
    }
}

/// The log-probabilities of `tokens` at temperature 1.
fn compared(logits: &[f32], tokens: &[u32]) -> Result<Vec<f32>> {
    let (largest, rest) = log_sum_exp(logits)?;
    let value = |token: &u32| {
        let logit = logits.get(*token as usize).ok_or_else(|| outside(*token))?;
        Ok((f64::from(logit - largest) - rest) as f32)
    };
    tokens.iter().map(value).collect()
}

fn outside(token: u32) -> Error {
    Error::engine(format!("there is no token {token} in the vocabulary"))
}

fn add(batch: &mut LlamaBatch<'_>, token: u32, position: u32, stream: i32, wanted: bool) -> Result<()> {
    batch
        .add(LlamaToken(token.cast_signed()), position.cast_signed(), &[stream], wanted)
        .map_err(|error| Error::engine(format!("the batch is full: {error}")))
}

fn copy(context: &mut LlamaContext<'_>, from: i32, to: i32) -> Result<()> {
    context
        .copy_kv_cache_seq(from, to, None, None)
        .map_err(|error| Error::engine(format!("the KV cache cannot be copied: {error}")))
}

fn clear(context: &mut LlamaContext<'_>, stream: i32) -> Result<()> {
    context
        .clear_kv_cache_seq(Some(stream.cast_unsigned()), None, None)
        .map(|_| ())
        .map_err(|error| Error::engine(format!("the KV cache cannot be cleared: {error}")))
}
