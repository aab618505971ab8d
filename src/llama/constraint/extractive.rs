//! Steps whose answers are passages of a trace, with canonical tags or without: a byte automaton, walked over the tokens.
//!
//! llguidance can say the same (`form.lark` of `grammars/steps-extractive` and `grammars/steps-lines`), but it derives the
//! states of its lexer from an expression as large as the trace. Here a state is a few numbers: which step, which part, and in an answer the range
//! of the suffixes that begin with what was written. Fixed text and answers allow few tokens, which are found by
//! walking text and token tree together; in free text nearly every token is allowed, which is looked up in sets that
//! are made once for a vocabulary.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::line::{Found, Line, LineTokens, OPENERS};
use super::passages::{Passage, Passages};
use super::trie::{NodeId, Trie};
use crate::error::{Error, Result};

const TAGS: [&str; 3] = ["Meta-reasoning", "Sub-problem", "Answer"];
/// The part that is taken from the trace.
const ANSWER: u8 = 2;
/// Masks that are kept; one takes 19 KB with 151,936 tokens. Free text comes back to a few states for each step.
const KEPT: usize = 64;

/// What a vocabulary lends to every automaton.
pub(super) struct Lexicon {
    all: Trie,
    line: LineTokens,
}

impl Lexicon {
    pub(super) fn new(tokens: &[&[u8]]) -> Self {
        Lexicon { all: Trie::new(tokens, |_| true), line: LineTokens::new(tokens) }
    }

    /// Where the first token could begin that holds the end of `bytes` and one of the bytes `next`.
    fn joins(&self, bytes: &[u8], next: impl Fn(u8) -> bool) -> Option<usize> {
        (0..bytes.len()).find(|&from| {
            let node = bytes[from..].iter().try_fold(Trie::ROOT, |node, &byte| self.all.child(node, byte));
            node.is_some_and(|node| self.all.children(node).any(|(byte, _)| next(byte)))
        })
    }
}

/// The automaton of one sequence.
pub(super) struct Extractive {
    lexicon: Arc<Lexicon>,
    /// The fixed text in front of each part, for each step; empty without tags.
    fixed: Vec<[Vec<u8>; 3]>,
    fewest: u16,
    /// Longest meta-reasoning and sub-problem, in characters.
    chars: [u16; 2],
    passages: Passages,
    state: State,
    masks: FxHashMap<State, Vec<u32>>,
}

/// Where the writing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    /// From 0.
    step: u16,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    /// In the fixed text before a part; so many bytes of it are written.
    Fixed { part: u8, written: u8 },
    /// In a meta-reasoning or a sub-problem.
    Free { part: u8, line: Line },
    /// In an answer.
    Answer(Passage),
    /// Behind an answer, after so many line breaks.
    Gap { breaks: u8 },
}

impl Extractive {
    /// # Errors
    /// The trace has no passage: it is blank.
    pub(super) fn new(
        lexicon: Arc<Lexicon>,
        trace: &str,
        tagged: bool,
        (fewest, most): (u32, u32),
        [thought, sub_problem, answer]: [u32; 3],
    ) -> Result<Self> {
        if u32::try_from(trace.len().saturating_mul(4)).is_err() {
            return Err(Error::data("the trace is longer than 1 GiB: cut it into several"));
        }
        let small = |value: u32| u16::try_from(value).unwrap_or(u16::MAX).max(1);
        let passages = Passages::new(trace, answer as usize);
        if passages.is_empty() {
            return Err(Error::data("the trace has no word that an answer could be taken from"));
        }
        let most = small(most);
        let tag = |tag: &str, n: u16| if tagged { format!("[{tag} {n}]: ") } else { String::new() };
        let fixed = (1..=most).map(|n| TAGS.map(|name| tag(name, n).into_bytes())).collect();
        let mut automaton = Extractive {
            lexicon,
            fixed,
            fewest: small(fewest).min(most),
            chars: [small(thought), small(sub_problem)],
            passages,
            state: State { step: 0, place: Place::Fixed { part: 0, written: 0 } },
            masks: FxHashMap::default(),
        };
        automaton.state = automaton.behind(0, 0, 0);
        Ok(automaton)
    }

    fn fixed(&self, step: u16, part: u8) -> &[u8] {
        &self.fixed[usize::from(step)][usize::from(part)]
    }

    /// What comes when the fixed text is written so far.
    fn behind(&self, step: u16, part: u8, written: u8) -> State {
        let place = if usize::from(written) < self.fixed(step, part).len() {
            Place::Fixed { part, written }
        } else if part == ANSWER {
            Place::Answer(self.passages.start())
        } else {
            Place::Free { part, line: Line::start(self.chars[usize::from(part)]) }
        };
        State { step, place }
    }

    fn may_be_last(&self, step: u16) -> bool {
        step + 1 >= self.fewest
    }

    fn has_next(&self, step: u16) -> bool {
        usize::from(step) + 1 < self.fixed.len()
    }

    fn push(&self, State { step, place }: State, byte: u8) -> Option<State> {
        match place {
            Place::Fixed { part, written } => (self.fixed(step, part)[usize::from(written)] == byte)
                .then(|| self.behind(step, part, written + 1)),
            Place::Free { part, line } if byte == b'\n' => {
                line.may_end().then(|| self.behind(step, part + 1, 0))
            }
            Place::Free { part, line } => {
                line.push(byte).map(|line| State { step, place: Place::Free { part, line } })
            }
            Place::Answer(passage) if byte == b'\n' => {
                self.passages.may_end(passage).then_some(State { step, place: Place::Gap { breaks: 1 } })
            }
            Place::Answer(passage) => {
                self.passages.push(passage, byte).map(|passage| State { step, place: Place::Answer(passage) })
            }
            // Without a tag the next step begins at once.
            Place::Gap { breaks: 1 }
                if byte == b'\n' && self.has_next(step) && self.fixed(step + 1, 0).is_empty() =>
            {
                Some(self.behind(step + 1, 0, 0))
            }
            Place::Gap { breaks: 1 } if byte == b'\n' => {
                Some(State { step, place: Place::Gap { breaks: 2 } })
            }
            Place::Gap { breaks: 2 } if self.has_next(step) => {
                (self.fixed(step + 1, 0)[0] == byte).then(|| self.behind(step + 1, 0, 1))
            }
            Place::Gap { .. } => None,
        }
    }

    fn can_end_at(&self, State { step, place }: State) -> bool {
        let closed = match place {
            Place::Answer(passage) => self.passages.may_end(passage),
            Place::Gap { .. } => true,
            // Behind the empty line, without a tag: the step before may have been the last.
            Place::Free { part: 0, line } if step > 0 && self.fixed(step, 0).is_empty() => {
                return line == Line::start(self.chars[0]) && self.may_be_last(step - 1);
            }
            Place::Fixed { .. } | Place::Free { .. } => false,
        };
        closed && self.may_be_last(step)
    }

    /// Whether what is written is complete.
    pub(super) fn can_end(&self) -> bool {
        self.can_end_at(self.state)
    }

    /// Whether nothing may follow.
    pub(super) fn is_finished(&self) -> bool {
        let State { step, place } = self.state;
        place == Place::Gap { breaks: 2 } && !self.has_next(step)
    }

    /// Goes on with a token; false, and nothing has changed, if it does not fit.
    pub(super) fn commit(&mut self, token: &[u8]) -> bool {
        let next = token.iter().try_fold(self.state, |state, &byte| self.push(state, byte));
        self.state = next.unwrap_or(self.state);
        next.is_some()
    }

    /// Sets the bits of the tokens that may come next; `mask` is empty before.
    pub(super) fn mask(&mut self, mask: &mut [u32]) {
        let key = self.same_mask(self.state);
        if let Some(kept) = self.masks.get(&key) {
            mask.copy_from_slice(kept);
            return;
        }
        self.allow(key, mask);
        let comes_back = match key.place {
            Place::Free { .. } => true,
            Place::Answer(passage) => passage == self.passages.start(),
            Place::Fixed { .. } | Place::Gap { .. } => false,
        };
        if comes_back {
            if self.masks.len() >= KEPT {
                self.masks.clear();
            }
            self.masks.insert(key, mask.to_vec());
        }
    }

    /// A state that allows the same tokens.
    fn same_mask(&self, state: State) -> State {
        match state.place {
            Place::Free { part, line } => {
                let line = line.capped(self.lexicon.line.horizon());
                State { place: Place::Free { part, line }, ..state }
            }
            _ => state,
        }
    }

    fn allow(&self, state: State, mask: &mut [u32]) {
        let Lexicon { all, line: line_tokens } = &*self.lexicon;
        match state.place {
            Place::Free { line, .. } => match line_tokens.allow(line, mask) {
                Found::Nothing => self.walk(all, Trie::ROOT, state, mask),
                found => {
                    self.walk(&line_tokens.others, Trie::ROOT, state, mask);
                    if found == Found::AllButOpeners {
                        OPENERS.iter().for_each(|&byte| self.walk_child(all, Trie::ROOT, state, byte, mask));
                    }
                }
            },
            // The last byte of the fixed text is a space, and a token may begin with it and go on.
            Place::Fixed { part, written }
                if part != ANSWER && usize::from(written) + 1 == self.fixed(state.step, part).len() =>
            {
                line_tokens.allow_behind_space(Line::start(self.chars[usize::from(part)]), mask);
                self.walk(&line_tokens.others, Trie::ROOT, state, mask);
                if let Some(child) = all.child(Trie::ROOT, b' ') {
                    all.allow(child, mask);
                    let state = self.behind(state.step, part, written + 1);
                    OPENERS.iter().for_each(|&byte| self.walk_child(all, child, state, byte, mask));
                }
            }
            _ => self.walk(all, Trie::ROOT, state, mask),
        }
    }

    /// Allows the tokens below `node`, whose bytes have led to `state`.
    fn walk(&self, trie: &Trie, node: NodeId, state: State, mask: &mut [u32]) {
        match state.place {
            Place::Answer(passage) => self.walk_answer(trie, node, state, passage, mask),
            Place::Fixed { part, written } => {
                let byte = self.fixed(state.step, part)[usize::from(written)];
                self.walk_child(trie, node, state, byte, mask);
            }
            Place::Gap { breaks: 1 } => self.walk_child(trie, node, state, b'\n', mask),
            Place::Gap { .. } => self.walk_child(trie, node, state, b'[', mask),
            Place::Free { .. } => {
                for (byte, child) in trie.children(node) {
                    if let Some(next) = self.push(state, byte) {
                        trie.allow(child, mask);
                        self.walk(trie, child, next, mask);
                    }
                }
            }
        }
    }

    fn walk_child(&self, trie: &Trie, node: NodeId, state: State, byte: u8, mask: &mut [u32]) {
        if let Some(child) = trie.child(node, byte)
            && let Some(next) = self.push(state, byte)
        {
            trie.allow(child, mask);
            self.walk(trie, child, next, mask);
        }
    }

    /// Follows every suffix down the tree. Suffixes are sorted, so most of a path is the one of the suffix before.
    fn walk_answer(&self, trie: &Trie, node: NodeId, state: State, passage: Passage, mask: &mut [u32]) {
        // The nodes from `node` on, and whether a line break behind each was looked at.
        let mut path = vec![(node, false)];
        let mut before: &[u8] = &[];
        let gap = State { place: Place::Gap { breaks: 1 }, ..state };
        for (rest, ends) in self.passages.rests(passage).zip(self.passages.ends(passage)) {
            let shared = rest.iter().zip(before).take(path.len() - 1).take_while(|(a, b)| a == b).count();
            path.truncate(shared + 1);
            before = rest;
            for (&byte, depth) in rest[shared..].iter().zip(shared..) {
                let Some(child) = trie.child(path[depth].0, byte) else { break };
                trie.allow(child, mask);
                path.push((child, false));
            }
            for (depth, (node, seen)) in path.iter_mut().enumerate() {
                // Looked at once a node: asking whether the passage may end can take a look at every suffix.
                if !*seen && ends[depth] && (depth > 0 || self.passages.may_end(passage)) {
                    *seen = true;
                    if let Some(child) = trie.child(*node, b'\n') {
                        trie.allow(child, mask);
                        self.walk(trie, child, gap, mask);
                    }
                }
            }
        }
    }

    /// The bytes that must come next, and how many of them cannot become one token with what is chosen behind them.
    pub(super) fn forced_bytes(&self) -> (Vec<u8>, usize) {
        let mut state = self.state;
        let mut bytes = Vec::new();
        while let Some(byte) = self.only_byte(state) {
            let Some(next) = self.push(state, byte) else { break };
            bytes.push(byte);
            state = next;
        }
        let sure = self.lexicon.joins(&bytes, |byte| self.push(state, byte).is_some()).unwrap_or(bytes.len());
        (bytes, sure)
    }

    fn only_byte(&self, state: State) -> Option<u8> {
        match state.place {
            Place::Fixed { part, written } => Some(self.fixed(state.step, part)[usize::from(written)]),
            Place::Free { .. } => None,
            Place::Answer(passage) => self.passages.only_byte(passage),
            Place::Gap { breaks } => {
                (!self.may_be_last(state.step)).then_some(if breaks == 1 { b'\n' } else { b'[' })
            }
        }
    }
}
