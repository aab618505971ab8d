//! What an engine counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What an engine did so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Requests that were answered.
    pub requests: u64,
    /// Those of them that were cancelled or ran out of time.
    pub stopped: u64,
    /// Those of them that ended with an error.
    pub failed: u64,
    /// Tokens of prompts that were computed.
    pub prompt_tokens: u64,
    /// Tokens of prompts that were copied from a kept prefix instead.
    pub reused_tokens: u64,
    /// Tokens that were sampled, the ending ones included.
    pub sampled_tokens: u64,
    /// Tokens that a grammar forced and that were not sampled.
    pub forced_tokens: u64,
    /// Masks of grammars that were computed. Where decoding is greedy, only those tokens need one whose grammar refuses
    /// what the model likes best.
    pub masks: u64,
    /// Calls of the decoder.
    pub decodes: u64,
    /// Time in the decoder.
    pub decode_time: Duration,
    /// Time in which the engine waited for masks after the decoder was done.
    pub mask_wait: Duration,
    /// Time in which tokens were sampled.
    pub sample_time: Duration,
}

impl Stats {
    pub(super) const NOTHING: Stats = Stats {
        requests: 0,
        stopped: 0,
        failed: 0,
        prompt_tokens: 0,
        reused_tokens: 0,
        sampled_tokens: 0,
        forced_tokens: 0,
        masks: 0,
        decodes: 0,
        decode_time: Duration::ZERO,
        mask_wait: Duration::ZERO,
        sample_time: Duration::ZERO,
    };

    /// Both together.
    #[must_use]
    pub(super) fn plus(&self, more: &Stats) -> Stats {
        Stats {
            requests: self.requests + more.requests,
            stopped: self.stopped + more.stopped,
            failed: self.failed + more.failed,
            prompt_tokens: self.prompt_tokens + more.prompt_tokens,
            reused_tokens: self.reused_tokens + more.reused_tokens,
            sampled_tokens: self.sampled_tokens + more.sampled_tokens,
            forced_tokens: self.forced_tokens + more.forced_tokens,
            masks: self.masks + more.masks,
            decodes: self.decodes + more.decodes,
            decode_time: self.decode_time + more.decode_time,
            mask_wait: self.mask_wait + more.mask_wait,
            sample_time: self.sample_time + more.sample_time,
        }
    }
}

/// The counters behind [`Stats`]; the engine's thread adds, anyone reads.
#[derive(Default)]
pub struct Counters {
    pub requests: AtomicU64,
    pub stopped: AtomicU64,
    pub failed: AtomicU64,
    pub prompt_tokens: AtomicU64,
    pub reused_tokens: AtomicU64,
    pub sampled_tokens: AtomicU64,
    pub forced_tokens: AtomicU64,
    pub masks: AtomicU64,
    pub decodes: AtomicU64,
    pub decode_nanos: AtomicU64,
    pub mask_wait_nanos: AtomicU64,
    pub sample_nanos: AtomicU64,
}

/// Adds to a counter.
pub fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// Adds the time since `start`.
pub fn count_time(counter: &AtomicU64, start: std::time::Instant) {
    count(counter, start.elapsed().as_nanos() as u64);
}

impl Counters {
    pub fn read(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let time = |counter: &AtomicU64| Duration::from_nanos(counter.load(Ordering::Relaxed));
        Stats {
            requests: read(&self.requests),
            stopped: read(&self.stopped),
            failed: read(&self.failed),
            prompt_tokens: read(&self.prompt_tokens),
            reused_tokens: read(&self.reused_tokens),
            sampled_tokens: read(&self.sampled_tokens),
            forced_tokens: read(&self.forced_tokens),
            masks: read(&self.masks),
            decodes: read(&self.decodes),
            decode_time: time(&self.decode_nanos),
            mask_wait: time(&self.mask_wait_nanos),
            sample_time: time(&self.sample_nanos),
        }
    }
}
