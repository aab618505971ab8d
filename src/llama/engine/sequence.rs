//! One sequence that is being decoded: its place in the KV cache, what it wrote, and how it goes on.

use std::collections::VecDeque;
use std::sync::Arc;

use super::request::{Generation, Stop};
use crate::error::{Error, Result};
use crate::grammar::Constraint;
use crate::llama::constraint::Matcher;
use crate::llama::sample::{Choice, Sampler, Scratch};

/// The grammar of a sequence and where its matcher is.
pub enum Form {
    /// There is no grammar.
    Free,
    /// To be compiled.
    New(Arc<Constraint>),
    /// A mask thread has it.
    Away,
    /// It has seen every token; the mask for the next one may be there or not.
    Here(Box<Matcher>),
}

/// What came of a sequence's turn.
pub enum Turn {
    /// It wrote a token and goes on.
    Wrote,
    /// It is over.
    Ended(Stop),
    /// The grammar refuses what the model likes best: the mask has to be computed, and the turn repeated.
    NeedsMask,
}

/// A sequence.
pub struct Sequence {
    /// The job that it belongs to.
    pub job: u64,
    /// Which of its rollouts.
    pub rollout: u32,
    /// Tokens that the decoder has to see next; the logits after the last one are wanted.
    pub pending: VecDeque<u32>,
    /// How many of them are of the prompt.
    pub prompt_left: usize,
    /// Tokens in the KV cache.
    pub position: u32,
    /// Tokens that it may hold.
    pub context: u32,
    /// Tokens that it may write.
    pub budget: usize,
    pub sampler: Sampler,
    pub form: Form,
    pub output: Generation,
    /// Row of the batch whose logits it waits for.
    pub row: Option<i32>,
    /// The logits after its prompt, where the whole prompt was kept.
    pub start: Option<Arc<[f32]>>,
    pub keeps_logprobs: bool,
    /// Whether the grammar last allowed few tokens: then it does so for some more, and the model does not know it.
    pub in_form: bool,
    /// Tokens that the grammar forced.
    pub forced: u64,
}

impl Sequence {
    /// Whether the next token is looked for without a mask first. The model's favourite is the answer of greedy
    /// decoding if the grammar allows it, and that is asked faster than what else it would allow.
    pub fn guesses(&self) -> bool {
        self.sampler.is_greedy()
    }

    /// Favourites that the grammar is asked about before a mask is computed. In a text the second or third will do
    /// where the first does not, and near its longest length a mask takes a hundred times as long as a question.
    const FAVOURITES: usize = 6;
    /// A mask that allows fewer tokens is one inside the fixed parts of a form.
    const FEW: u32 = 1_000;

    /// Chooses the next token from `logits` and takes it in.
    ///
    /// # Errors
    /// No token can be chosen; the grammar refuses what its own mask allowed.
    pub fn advance(&mut self, logits: &[f32], end: &[u32], scratch: &mut Scratch) -> Result<Turn> {
        let choice = match &mut self.form {
            Form::Free => self.sampler.sample_with(scratch, logits, None, &[])?,
            Form::New(_) | Form::Away => {
                return Err(Error::engine("a sequence was sampled without its grammar"));
            }
            Form::Here(matcher) if matcher.has_mask() || !self.sampler.is_greedy() => {
                let mask = matcher.mask()?;
                self.in_form = mask.iter().map(|word| word.count_ones()).sum::<u32>() < Self::FEW;
                let choice = self.sampler.sample_with(scratch, logits, Some(mask), &[])?;
                matcher.commit(choice.token)?;
                choice
            }
            Form::Here(matcher) => {
                let most = if self.in_form { 1 } else { Self::FAVOURITES };
                let mut refused = Vec::new();
                loop {
                    match self.sampler.sample_with(scratch, logits, None, &refused) {
                        Ok(choice) if matcher.try_commit(choice.token)? => {
                            self.in_form = false;
                            break choice;
                        }
                        Ok(choice) if refused.len() + 1 < most => refused.push(choice.token),
                        // An error too: a logit that is no number may be one that the mask leaves out.
                        Ok(_) | Err(_) => return Ok(Turn::NeedsMask),
                    }
                }
            }
        };
        if end.contains(&choice.token) {
            self.output.end = Some((choice.token, choice.logprob, choice.logprob_raw));
            return Ok(Turn::Ended(Stop::End));
        }
        self.push(choice);
        self.pending.push_back(choice.token);
        if self.take_forced(end)? {
            return Ok(Turn::Ended(Stop::End));
        }
        if self.output.tokens.len() >= self.budget {
            return Ok(Turn::Ended(Stop::Length));
        }
        // The decoder could not take in what is pending.
        if self.position as usize + self.pending.len() > self.context as usize {
            return Ok(Turn::Ended(Stop::Context));
        }
        Ok(Turn::Wrote)
    }

    /// Takes in the tokens that the grammar leaves no choice about. `true` when that was all of the form.
    fn take_forced(&mut self, end: &[u32]) -> Result<bool> {
        let Form::Here(matcher) = &mut self.form else { return Ok(false) };
        if matcher.is_finished() {
            return Ok(true);
        }
        if self.keeps_logprobs {
            return Ok(false);
        }
        let forced = matcher.forced();
        let room = self.budget.saturating_sub(self.output.tokens.len());
        for token in forced.into_iter().take(room).take_while(|token| !end.contains(token)) {
            let Form::Here(matcher) = &mut self.form else { return Ok(false) };
            matcher.commit(token)?;
            self.forced += 1;
            self.push(Choice { token, logprob: 0.0, logprob_raw: 0.0 });
            self.pending.push_back(token);
        }
        Ok(matches!(&self.form, Form::Here(matcher) if matcher.is_finished()))
    }

    fn push(&mut self, choice: Choice) {
        self.sampler.accept(choice.token);
        self.output.tokens.push(choice.token);
        self.output.logprobs.push(choice.logprob);
        if self.keeps_logprobs {
            self.output.logprobs_raw.push(choice.logprob_raw);
        }
    }
}
