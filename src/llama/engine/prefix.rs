//! Beginnings of prompts that are computed once and kept, each in a KV stream of its own.

use std::sync::Arc;

/// Fewer tokens are not worth a kept stream: they would push out a beginning that is.
pub const LEAST_SHARED: usize = 16;

/// How far a kept beginning is.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Nothing in it.
    Empty,
    /// Its first `done` tokens are computed.
    Filling { done: usize },
    /// It can be copied.
    Ready,
}

/// One kept beginning.
pub struct Prefix {
    /// Its KV stream.
    pub stream: i32,
    pub tokens: Vec<u32>,
    pub state: State,
    /// When it was last used, in passes of the loop.
    pub used: u64,
    /// Whether the logits after its last token are wanted: rollouts of a whole prompt begin with them.
    pub wants_logits: bool,
    /// The logits after its last token.
    pub logits: Option<Arc<[f32]>>,
}

/// What came of looking for a beginning.
pub enum Found {
    /// It can be copied from this one.
    Ready(usize),
    /// This one is being computed.
    Filling,
    /// It is not there, and this one may be taken for it.
    Free(usize),
    /// It is not there, and all are in use.
    Full,
}

/// All kept beginnings.
pub struct Prefixes(pub Vec<Prefix>);

impl Prefixes {
    /// `count` empty ones in the streams from `first` on.
    pub fn new(first: u32, count: u32) -> Self {
        let empty = |stream: u32| Prefix {
            stream: stream.cast_signed(),
            tokens: Vec::new(),
            state: State::Empty,
            used: 0,
            wants_logits: false,
            logits: None,
        };
        Prefixes((first..first + count).map(empty).collect())
    }

    /// The one that holds exactly `tokens`, or one that may be taken for them: the longest unused.
    pub fn find(&self, tokens: &[u32], with_logits: bool) -> Found {
        let same = |prefix: &&Prefix| {
            prefix.state != State::Empty && prefix.tokens == tokens && (prefix.wants_logits || !with_logits)
        };
        if let Some(at) = self.0.iter().position(|prefix| same(&prefix)) {
            return if self.0[at].state == State::Ready { Found::Ready(at) } else { Found::Filling };
        }
        let free =
            self.0.iter().enumerate().filter(|(_, prefix)| !matches!(prefix.state, State::Filling { .. }));
        match free.min_by_key(|(_, prefix)| (prefix.state != State::Empty, prefix.used)) {
            Some((at, _)) => Found::Free(at),
            None => Found::Full,
        }
    }

    /// The ready one, other than `but`, with the longest beginning of `tokens` that is worth copying.
    pub fn longest_beginning(&self, tokens: &[u32], but: usize) -> Option<usize> {
        let fits = |(at, prefix): &(usize, &Prefix)| {
            *at != but
                && prefix.state == State::Ready
                && prefix.tokens.len() >= LEAST_SHARED
                && prefix.tokens.len() < tokens.len()
                && tokens.starts_with(&prefix.tokens)
        };
        self.0.iter().enumerate().filter(fits).max_by_key(|(_, prefix)| prefix.tokens.len()).map(|(at, _)| at)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        for prefix in &mut self.0 {
            prefix.state = State::Empty;
            prefix.tokens.clear();
            prefix.logits = None;
        }
    }
}
