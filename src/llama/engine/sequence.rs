//! One sequence that is being decoded: its place in the KV cache, what it wrote, and how it goes on.

use std::collections::VecDeque;
use std::sync::Arc;

use super::masks::Masked;
use super::request::{Generation, Stop};
use crate::error::{Error, Result};
use crate::grammar::Constraint;
use crate::llama::constraint::Matcher;
use crate::llama::sample::{Choice, Sampler, Scratch};

/// The grammar of a sequence and where its mask is.
pub enum Form {
    /// There is no grammar.
    Free,
    /// To be compiled.
    New(Arc<Constraint>),
    /// A mask thread has it.
    Away,
    /// The mask for the next token is there.
    Masked(Masked),
    /// The matcher has seen every token; the next mask has to be asked for.
    Idle(Box<Matcher>),
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
    /// Tokens that the grammar forced.
    pub forced: u64,
}

impl Sequence {
    /// Samples the next token from `logits` and takes it in. `Some` when that ended the sequence.
    ///
    /// # Errors
    /// No token can be sampled; the grammar refuses what its own mask allowed.
    pub fn advance(&mut self, logits: &[f32], end: &[u32], scratch: &mut Scratch) -> Result<Option<Stop>> {
        let form = std::mem::replace(&mut self.form, Form::Free);
        let (mut matcher, mask) = match form {
            Form::Free => (None, None),
            Form::Masked(Masked { matcher, mask }) => (Some(matcher), Some(mask)),
            Form::New(_) | Form::Away | Form::Idle(_) => {
                return Err(Error::engine("a sequence was sampled without its mask"));
            }
        };
        let choice = self.sampler.sample_with(scratch, logits, mask.as_deref())?;
        if end.contains(&choice.token) {
            self.output.end = Some((choice.token, choice.logprob, choice.logprob_raw));
            return Ok(Some(Stop::End));
        }
        self.push(choice);
        self.pending.push_back(choice.token);
        if let Some(mut matched) = matcher.take() {
            matched.commit(choice.token)?;
            if matched.is_finished() {
                return Ok(Some(Stop::End));
            }
            if !self.keeps_logprobs {
                for token in matched.forced() {
                    if self.output.tokens.len() >= self.budget || end.contains(&token) {
                        break;
                    }
                    matched.commit(token)?;
                    self.forced += 1;
                    self.push(Choice { token, logprob: 0.0, logprob_raw: 0.0 });
                    self.pending.push_back(token);
                }
                if matched.is_finished() {
                    return Ok(Some(Stop::End));
                }
            }
            self.form = Form::Idle(matched);
        }
        if self.output.tokens.len() >= self.budget {
            return Ok(Some(Stop::Length));
        }
        // The decoder could not take in what is pending.
        if self.position as usize + self.pending.len() > self.context as usize {
            return Ok(Some(Stop::Context));
        }
        Ok(None)
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
