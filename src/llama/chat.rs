//! The model's own chat template, rendered as `transformers` renders it.
//!
//! A template comes with a model file, so it is input from outside: `guard` and `environment` see to it that none
//! can hang the program or overflow its stack.

mod environment;
mod guard;
mod python;

use std::sync::Arc;

use minijinja::{Environment, Value};

use crate::error::{Error, Result};
use crate::grammar::{Message, Role};

pub use crate::gguf::check::MOST_TEMPLATE_BYTES;

/// Most bytes of all the messages of a conversation together.
pub const MOST_CONVERSATION_BYTES: usize = 2 << 20;

/// The format of the models that were trained on ChatML, without a system text of its own.
const CHATML: &str = "\
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}";

/// What a rendering asks for beside the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenderOptions {
    /// End with the head of the assistant's turn, so that the model answers.
    pub add_generation_prompt: bool,
    /// `enable_thinking` of the Qwen3 family; `None` leaves it undefined, as `transformers` does.
    pub thinking: Option<bool>,
}

impl Default for RenderOptions {
    /// With a generation prompt; thinking as the template has it.
    fn default() -> Self {
        RenderOptions { add_generation_prompt: true, thinking: None }
    }
}

/// A compiled chat template.
#[derive(Clone)]
pub struct ChatTemplate {
    environment: Arc<Environment<'static>>,
    bos: Arc<str>,
    eos: Arc<str>,
}

impl std::fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatTemplate").field("bos", &self.bos).field("eos", &self.eos).finish_non_exhaustive()
    }
}

impl ChatTemplate {
    /// Compiles the template `source`; `bos` and `eos` are the texts of the model's begin and end token, empty where
    /// it has none.
    ///
    /// # Errors
    /// Kind `Data`: the template is longer than [`MOST_TEMPLATE_BYTES`], is no Jinja template (the message says the
    /// line), or uses a form of `set` that cannot be guarded.
    pub fn new(source: &str, bos: &str, eos: &str) -> Result<Self> {
        if source.len() > MOST_TEMPLATE_BYTES {
            return Err(Error::data(format!(
                "the chat template has {} bytes; at most {MOST_TEMPLATE_BYTES} are read",
                source.len()
            )));
        }
        let source = guard::rewrite(source)?;
        let environment = environment::deep(|| environment::compile(source))?.map_err(|error| {
            let line = error.line().map_or(String::new(), |line| format!(", line {line}"));
            Error::data(format!("the chat template does not compile{line}: {}", words(&error)))
        })?;
        Ok(ChatTemplate { environment: Arc::new(environment), bos: bos.into(), eos: eos.into() })
    }

    /// ChatML, for a model that has no template of its own.
    pub fn chatml() -> Self {
        match Self::new(CHATML, "", "<|im_end|>") {
            Ok(template) => template,
            Err(error) => unreachable!("ChatML is a template: {error}"),
        }
    }

    /// The same template, with `strftime_now` telling this time (seconds since 1970, UTC).
    ///
    /// The time is fixed, so that a prompt is the same each day: 26 July 2024 unless told otherwise, which is the date
    /// that the Llama 3 templates themselves fall back to.
    #[must_use]
    pub fn with_clock(mut self, seconds: i64) -> Self {
        environment::set_clock(Arc::make_mut(&mut self.environment), seconds);
        self
    }

    /// The text that the model reads for `messages`.
    ///
    /// A template that refuses a system message (calls `raise_exception`) is given its text at the head of the first
    /// user turn instead.
    ///
    /// # Errors
    /// Kind `Engine`: the template refuses the conversation, fails, or exceeds its limits of work, memory or depth.
    pub fn render(&self, messages: &[Message], options: &RenderOptions) -> Result<String> {
        let bytes = messages.iter().map(|message| message.content.len()).sum::<usize>();
        if bytes > MOST_CONVERSATION_BYTES {
            return Err(Error::engine(format!(
                "the conversation has {bytes} bytes; a chat template is given at most {MOST_CONVERSATION_BYTES}"
            )));
        }
        let (rendered, folded) = environment::deep(|| {
            let rendered = self.render_once(messages, options);
            let refused = rendered.as_ref().is_err_and(environment::is_raised);
            let folded = if refused { fold_system(messages) } else { None };
            (rendered, folded.map(|messages| self.render_once(&messages, options)))
        })?;
        // What the template said of the conversation as it was given is the more helpful message.
        let rendered = match folded {
            Some(Ok(text)) => Ok(text),
            _ => rendered,
        };
        rendered.map_err(|error| {
            let line = error.line().map_or(String::new(), |line| format!(", line {line}"));
            Error::engine(format!("the chat template failed{line}: {}", words(&error)))
        })
    }

    fn render_once(&self, messages: &[Message], options: &RenderOptions) -> Result<String, minijinja::Error> {
        let turn = |message: &Message| {
            Value::from_pairs([("role", role(message.role)), ("content", message.content.as_str())])
        };
        let mut context = vec![
            ("messages", messages.iter().map(turn).collect::<Value>()),
            ("tools", Value::from(())),
            ("documents", Value::from(())),
            ("add_generation_prompt", Value::from(options.add_generation_prompt)),
            ("bos_token", Value::from(&*self.bos)),
            ("eos_token", Value::from(&*self.eos)),
        ];
        if let Some(thinking) = options.thinking {
            context.push(("enable_thinking", Value::from(thinking)));
        }
        environment::render(&self.environment, Value::from_pairs(context))
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

/// The conversation with its system texts at the head of the first user turn; `None` if it has none.
fn fold_system(messages: &[Message]) -> Option<Vec<Message>> {
    let system: Vec<&str> =
        messages.iter().filter(|m| m.role == Role::System).map(|m| m.content.as_str()).collect();
    if system.is_empty() {
        return None;
    }
    let system = system.join("\n\n");
    let mut folded: Vec<Message> = messages.iter().filter(|m| m.role != Role::System).cloned().collect();
    match folded.iter_mut().find(|message| message.role == Role::User) {
        Some(message) => message.content = format!("{system}\n\n{}", message.content),
        None => folded.insert(0, Message { role: Role::User, content: system }),
    }
    Some(folded)
}

/// What an error of the engine says, without its own idea of the place.
fn words(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}
