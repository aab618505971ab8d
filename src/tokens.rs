//! What the trainer asks of a model's tokenizer. The engine implements it, so that what is trained on is spelled as it
//! is spelled when the model runs.

use crate::error::Result;
use crate::grammar::{Message, Role};

/// A model's tokenizer and chat template.
pub trait Tokenizer: Send + Sync {
    /// The tokens of a conversation, up to where the model's answer begins. `thinking` is `enable_thinking` of
    /// templates that know it.
    ///
    /// # Errors
    /// The chat template cannot be rendered.
    fn prompt(&self, messages: &[Message], thinking: Option<bool>) -> Result<Vec<u32>>;

    /// A text that goes into a message, with what looks like a control token marked as text.
    fn quote(&self, text: &str) -> String;

    /// The tokens of a text that the model is to write.
    fn answer(&self, text: &str) -> Vec<u32>;

    /// The token that ends an answer.
    fn end(&self) -> u32;

    /// Tokens in the vocabulary.
    fn size(&self) -> usize;

    /// A hash of the file that it is from.
    fn fingerprint(&self) -> &str;
}

/// The prompt of a student: what it is told, if anything, and the problem. The same where it is trained, sampled and measured.
///
/// # Errors
/// The chat template cannot be rendered.
pub fn student_prompt(tokenizer: &dyn Tokenizer, system: &str, problem: &str) -> Result<Vec<u32>> {
    let mut messages = vec![Message { role: Role::User, content: tokenizer.quote(problem.trim()) }];
    if !system.is_empty() {
        messages.insert(0, Message { role: Role::System, content: system.to_owned() });
    }
    tokenizer.prompt(&messages, None)
}
