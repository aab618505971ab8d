//! Which tokens a grammar allows next.
//!
//! A [`Vocabulary`] is made once for a model and shared. It compiles a [`Constraint`] into a [`Matcher`], one for each
//! sequence, which is asked in two steps: [`Matcher::mask`] before a token is chosen, [`Matcher::commit`] after. Both
//! compute only, so masks can be made on other threads while the model decodes. Whatever comes in (a broken grammar,
//! a token that is not allowed, an id out of range) ends in an error, never in a panic.

mod breaks;
mod extractive;
mod kept;
mod lark;
mod line;
mod passages;
mod trie;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use llguidance::ParserFactory;
use llguidance::api::ParserLimits;
use toktrie::{InferenceCapabilities, TokEnv, TokRxInfo, TokTrie, TokenizerEnv};

use crate::error::{Error, Result};
use crate::grammar::Constraint;
use extractive::{Extractive, Lexicon};
use kept::Kept;

/// A token of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it stands for in a text; may be a part of a character, and may be empty.
    pub bytes: Vec<u8>,
    /// A control token, such as the one that ends a turn: never part of a text, whatever its bytes.
    pub special: bool,
}

/// Turns text into tokens as the model's own tokenizer does, without special tokens.
pub type Tokenize = Box<dyn Fn(&[u8]) -> Vec<u32> + Send + Sync>;

/// Token ids that the trees of tokens can name: those of the vocabularies that exist stay below 300,000.
const MOST_TOKENS: usize = 1 << 21;
/// Nodes that llguidance's tree can address, less one for its root.
const MOST_NODES: usize = (1 << 22) - 2;
/// Longer tokens (there are runs of spaces) are never allowed; llguidance's tree has 1,024 levels.
const LONGEST_TOKEN: usize = 1000;
/// Grammars whose compiled form is kept: a run uses one or two.
const KEPT: usize = 8;

/// Token sets that llguidance looks up and does not walk. Each must lie within what the free text of a form allows
/// in whichever state: no brackets (`reference` looks at them), no quotes and backslashes (`steps-json`), no control
/// characters. The short ones still fit when a part is nearly full. The first two fit where a text begins as well,
/// with the space behind a tag and without: there, a walk over all words takes 4 ms.
const SLICES: [&str; 5] = [
    r#" [^\s\[\]\-*+#>"\\\x00-\x1F\x7F][^\[\]"\\\x00-\x1F\x7F]{0,30}"#,
    r#"[^\s\[\]\-*+#>"\\\x00-\x1F\x7F][^\[\]"\\\x00-\x1F\x7F]{0,30}"#,
    r#"[^\[\]"\\\x00-\x1F\x7F]{1,10}"#,
    r#"[^\[\]"\\\x00-\x1F\x7F]{1,30}"#,
    r#"[^\[\]"\\\x00-\x1F\x7F]+"#,
];

/// The tokens of a model, laid out for masks. Cheap to clone.
#[derive(Clone)]
pub struct Vocabulary(Arc<Inner>);

struct Inner {
    environment: Arc<Environment>,
    factory: Arc<ParserFactory>,
    /// Made when first needed.
    lexicon: OnceLock<Arc<Lexicon>>,
    /// Grammars that were compiled.
    compiled: Kept<llguidance::Matcher>,
    end: Vec<u32>,
}

/// What llguidance asks of a tokenizer.
struct Environment {
    trie: TokTrie,
    tokenize: Option<Tokenize>,
}

impl TokenizerEnv for Environment {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<u32> {
        let tokens = self.tokenize.as_ref().map(|tokenize| tokenize(bytes));
        // A tokenizer that loses or adds something would force a text that the grammar does not have.
        let size = self.trie.vocab_size();
        let faithful = |tokens: &Vec<u32>| {
            tokens.iter().all(|&id| (id as usize) < size && !self.trie.is_special_token(id))
                && self.trie.decode_raw(tokens) == bytes
        };
        tokens.filter(faithful).unwrap_or_else(|| self.trie.greedy_tokenize(bytes))
    }

    fn tokenize_is_canonical(&self) -> bool {
        self.tokenize.is_some()
    }
}

impl Vocabulary {
    /// Lays out the tokens of a model: `tokens[id]`. `end` are the ids that end a generation. With `tokenize`, text
    /// that a grammar leaves no choice about is given as the tokens that the model was trained on; see
    /// [`Matcher::forced`].
    ///
    /// # Errors
    /// No tokens, or more than 2²¹, or more bytes in them than a tree can hold; no end token, or one out of range.
    pub fn new(tokens: Vec<Token>, end: &[u32], tokenize: Option<Tokenize>) -> Result<Self> {
        Self::with_slices(tokens, end, tokenize, &SLICES)
    }

    /// The same with other token sets to look up (regular expressions; none switches that off), to measure them.
    ///
    /// # Errors
    /// As [`Vocabulary::new`], and slices that are no regular expressions.
    pub fn with_slices(
        tokens: Vec<Token>,
        end: &[u32],
        tokenize: Option<Tokenize>,
        slices: &[&str],
    ) -> Result<Self> {
        let count = tokens.len();
        if count == 0 || count > MOST_TOKENS {
            return Err(Error::engine(format!(
                "a vocabulary has 1 to {MOST_TOKENS} tokens, and this one {count}"
            )));
        }
        if end.is_empty() {
            return Err(Error::engine("the vocabulary has no token that ends a generation"));
        }
        if let Some(id) = end.iter().find(|&&id| id as usize >= count) {
            return Err(Error::engine(format!("end token {id} is not in the vocabulary of {count} tokens")));
        }
        let words: Vec<Vec<u8>> =
            tokens.into_iter().enumerate().map(|(id, token)| word(id, token, end)).collect();
        if words.iter().map(Vec::len).sum::<usize>() > MOST_NODES {
            return Err(Error::engine(format!(
                "the tokens of the vocabulary have more than {MOST_NODES} bytes"
            )));
        }
        let slices: Vec<String> = slices.iter().map(|&slice| slice.into()).collect();
        let canonical = tokenize.is_some();
        let build = || {
            let trie = TokTrie::from(&TokRxInfo::new(count as u32, end[0]), &words).with_eos_tokens(end);
            let environment = Arc::new(Environment { trie, tokenize });
            let shared: TokEnv = environment.clone();
            let abilities = InferenceCapabilities { ff_tokens: canonical, ..Default::default() };
            let mut factory = ParserFactory::new(&shared, abilities, &slices)?;
            factory.quiet();
            *factory.limits_mut() = ParserLimits { verbose_errors: false, ..ParserLimits::default() };
            Ok((environment, Arc::new(factory)))
        };
        let built: Result<_, String> = catch_unwind(AssertUnwindSafe(build))
            .map_err(|_| "its tokens do not make a tree".to_string())
            .and_then(|built: Result<_, Box<dyn std::error::Error + Send + Sync>>| {
                built.map_err(|e| e.to_string())
            });
        let (environment, factory) =
            built.map_err(|e| Error::engine(format!("the vocabulary cannot be laid out: {e}")))?;
        Ok(Vocabulary(Arc::new(Inner {
            environment,
            factory,
            lexicon: OnceLock::new(),
            compiled: Kept::new(KEPT),
            end: end.to_vec(),
        })))
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.0.environment.trie.vocab_size()
    }

    /// Whether there are none; there always are.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A matcher for a sequence. A Lark grammar is compiled once, also for threads that ask together; the last
    /// few are kept.
    ///
    /// # Errors
    /// The grammar is none, too large or too deep (see the message); the trace of an extractive one is blank.
    pub fn compile(&self, constraint: &Constraint) -> Result<Matcher> {
        let engine = match constraint {
            Constraint::Lark(grammar) => Engine::Lark(Box::new(self.lark(grammar)?)),
            Constraint::Extractive {
                tagged,
                trace,
                steps,
                thought_chars,
                sub_problem_chars,
                answer_chars,
            } => {
                let chars = [*thought_chars, *sub_problem_chars, *answer_chars];
                Engine::Extractive(Box::new(Extractive::new(self.lexicon(), trace, *tagged, *steps, chars)?))
            }
        };
        Ok(Matcher {
            engine,
            vocabulary: self.clone(),
            mask: vec![0; self.len().div_ceil(32)],
            fresh: false,
            ended: false,
            last: None,
        })
    }

    fn lark(&self, grammar: &str) -> Result<llguidance::Matcher> {
        let make = || lark::compile(&self.0.factory, grammar);
        self.0.compiled.get(grammar, llguidance::Matcher::deep_clone, make)
    }

    fn lexicon(&self) -> Arc<Lexicon> {
        let make = || {
            let trie = &self.0.environment.trie;
            let text = |id: u32| if trie.is_special_token(id) { &[][..] } else { trie.token(id) };
            Arc::new(Lexicon::new(&(0..self.len() as u32).map(text).collect::<Vec<_>>()))
        };
        self.0.lexicon.get_or_init(make).clone()
    }
}

/// The bytes of a token as llguidance wants them: control tokens are marked with a byte that no text has.
fn word(id: usize, token: Token, end: &[u32]) -> Vec<u8> {
    let marker = TokTrie::SPECIAL_TOKEN_MARKER;
    if token.special || end.contains(&(id as u32)) {
        let name = if token.bytes.is_empty() { format!("<[{id}]>").into_bytes() } else { token.bytes };
        let mut word = vec![marker];
        word.extend(name.into_iter().take(LONGEST_TOKEN - 1));
        return word;
    }
    let usable = token.bytes.len() <= LONGEST_TOKEN && token.bytes.first() != Some(&marker);
    if usable { token.bytes } else { Vec::new() }
}

/// Says what may come next in one sequence, and follows it.
pub struct Matcher {
    engine: Engine,
    vocabulary: Vocabulary,
    /// One bit a token, 32 in a word.
    mask: Vec<u32>,
    /// Whether `mask` is the one of the current state.
    fresh: bool,
    /// Whether an end token was committed.
    ended: bool,
    last: Option<u32>,
}

enum Engine {
    Lark(Box<llguidance::Matcher>),
    Extractive(Box<Extractive>),
}

impl Matcher {
    /// The tokens that may come next: bit `id % 32` of word `id / 32`. When what is written is complete, the end
    /// tokens are among them, and alone if nothing else may follow.
    ///
    /// # Errors
    /// No token may come next: the vocabulary lacks the bytes that the grammar asks for. Or the grammar turned out
    /// too complex; then it stays so.
    pub fn mask(&mut self) -> Result<&[u32]> {
        if !self.fresh {
            self.mask.fill(0);
            self.fill_mask()?;
            if self.mask.iter().all(|word| *word == 0) {
                return Err(Error::engine(
                    "no token can go on with what the grammar asks for here: the vocabulary lacks its bytes",
                ));
            }
            self.fresh = true;
        }
        Ok(&self.mask)
    }

    /// Whether [`Self::mask`] has been asked since the last token, so that asking again costs nothing.
    pub fn has_mask(&self) -> bool {
        self.fresh
    }

    fn fill_mask(&mut self) -> Result<()> {
        let mut can_end = self.ended;
        match &mut self.engine {
            _ if self.ended => {}
            Engine::Lark(matcher) => {
                let allowed = matcher
                    .compute_mask_or_eos()
                    .map_err(|e| Error::engine(format!("no mask: {}", lark::first_lines(&e.to_string()))))?;
                for (word, allowed) in self.mask.iter_mut().zip(allowed.as_slice()) {
                    *word = *allowed;
                }
            }
            Engine::Extractive(automaton) => {
                automaton.mask(&mut self.mask);
                can_end = automaton.can_end();
            }
        }
        if can_end {
            for &id in &self.vocabulary.0.end {
                self.mask[id as usize / 32] |= 1 << (id % 32);
            }
        }
        Ok(())
    }

    /// Follows a token that was chosen.
    ///
    /// # Errors
    /// It may not come here, it is not in the vocabulary, or the generation has ended. Nothing changes then, and
    /// other tokens can still be committed.
    pub fn commit(&mut self, token: u32) -> Result<()> {
        if self.try_commit(token)? {
            return Ok(());
        }
        Err(Error::engine(match self.vocabulary.0.end.contains(&token) {
            true => format!("token {token} ends the generation before the form is complete"),
            false => format!("the grammar does not allow token {token} here"),
        }))
    }

    /// Follows a token if it may come here, and says whether it did. Needs no mask.
    ///
    /// # Errors
    /// It is not in the vocabulary, the generation has ended, or the grammar turned out too complex.
    pub fn try_commit(&mut self, token: u32) -> Result<bool> {
        let size = self.vocabulary.len();
        if token as usize >= size {
            return Err(Error::engine(format!("token {token} is not in the vocabulary of {size} tokens")));
        }
        if self.ended {
            return Err(Error::engine(format!("token {token} comes after the end of the generation")));
        }
        if self.vocabulary.0.end.contains(&token) {
            if self.can_end() {
                (self.ended, self.fresh) = (true, false);
            }
            return Ok(self.ended);
        }
        if self.fresh && self.mask[token as usize / 32] >> (token % 32) & 1 == 0 {
            return Ok(false);
        }
        let fits = match &mut self.engine {
            // Asked first, since a token that does not fit would put the parser into a state of error for good.
            Engine::Lark(matcher) => {
                matcher
                    .try_consume_tokens(&[token])
                    .map_err(|e| Error::engine(lark::first_lines(&e.to_string())))?
                    == 1
            }
            Engine::Extractive(automaton) => {
                let trie = &self.vocabulary.0.environment.trie;
                let bytes = trie.token(token);
                !bytes.is_empty() && !trie.is_special_token(token) && automaton.commit(bytes)
            }
        };
        if fits {
            (self.last, self.fresh) = (Some(token), false);
        }
        Ok(fits)
    }

    /// Whether nothing may follow but the end, or the end has come.
    pub fn is_finished(&self) -> bool {
        self.ended
            || match &self.engine {
                Engine::Lark(matcher) => !matcher.is_error() && matcher.is_stopped(),
                Engine::Extractive(automaton) => automaton.is_finished(),
            }
    }

    /// Whether what is written is complete, so that the generation may end here.
    pub fn can_end(&mut self) -> bool {
        self.ended
            || match &mut self.engine {
                Engine::Lark(matcher) => {
                    !matcher.is_error() && (matcher.is_stopped() || matcher.is_accepting().unwrap_or(false))
                }
                Engine::Extractive(automaton) => automaton.can_end(),
            }
    }

    /// The tokens that must follow, so that they can be decoded in one batch; each has to be committed. Empty where
    /// there is a choice, and always without a tokenizer: bytes that are forced can be written in several ways, and
    /// only the tokenizer's own is what the model was trained on.
    pub fn forced(&mut self) -> Vec<u32> {
        let environment = &self.vocabulary.0.environment;
        if self.ended || environment.tokenize.is_none() {
            return Vec::new();
        }
        match &mut self.engine {
            Engine::Lark(matcher) if matcher.is_stopped() => Vec::new(),
            Engine::Lark(matcher) => matcher.compute_ff_tokens(),
            Engine::Extractive(automaton) => {
                let (bytes, sure) = automaton.forced_bytes();
                if sure == 0 {
                    return Vec::new();
                }
                let trie = &environment.trie;
                // The token before may be one that the tokenizer would not part from what follows.
                let before = self.last.map_or(&[][..], |last| trie.token(last));
                let tokens = environment.tokenize_bytes(&[before, &bytes].concat());
                let own = match self.last {
                    None => &tokens[..],
                    Some(last) if tokens.first() == Some(&last) => &tokens[1..],
                    Some(_) => return Vec::new(),
                };
                let mut written = 0;
                let fits = |token: &&u32| {
                    written += trie.token(**token).len();
                    written <= sure
                };
                own.iter().take_while(fits).copied().collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn sequences_that_start_together_share_a_grammar() {
        let bytes = (0..=255u8).map(|byte| Token { bytes: vec![byte], special: byte == 0 }).collect();
        let vocabulary = Vocabulary::new(bytes, &[0], None).expect("a vocabulary");
        let grammar = "start: /(yes|no)[a-z]{0,300}/".to_string();
        let start = Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    let mut matcher =
                        vocabulary.compile(&Constraint::Lark(grammar.clone())).expect("a matcher");
                    // Each goes its own way from there.
                    matcher.commit(u32::from(b'y')).expect("a first letter");
                    assert!(matcher.commit(u32::from(b'n')).is_err());
                });
            }
        });
        assert_eq!(vocabulary.0.compiled.texts(), [grammar]);
    }
}
