//! An endpoint that speaks like OpenAI's chat completions.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::grammar::Message;
use crate::seed::Seed;

/// Longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Answers are texts; larger ones are none.
const MOST_BYTES: u64 = 16 << 20;

/// Tokens that were used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Of prompts.
    pub prompt_tokens: u64,
    /// Of answers.
    pub completion_tokens: u64,
}

impl Usage {
    /// All of them.
    pub fn total(self) -> u64 {
        self.prompt_tokens + self.completion_tokens
    }

    pub(super) fn add(&mut self, more: Usage) {
        self.prompt_tokens += more.prompt_tokens;
        self.completion_tokens += more.completion_tokens;
    }
}

/// Where a model is asked, and how. Its key is never shown.
#[derive(Clone)]
pub struct Endpoint {
    agent: ureq::Agent,
    url: String,
    model: String,
    key: Option<String>,
    temperature: f64,
    max_tokens: u32,
    retries: u32,
    /// The first wait; each further one is twice as long.
    wait: Duration,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("url", &self.url).field("model", &self.model).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// An endpoint: `base` is what stands before `/chat/completions`, such as `http://127.0.0.1:8080/v1`.
    ///
    /// # Errors
    /// The address is none, or has a key or a password in it.
    pub fn new(base: &str, model: &str, key: Option<String>, timeout: Duration) -> Result<Self> {
        let host = base.strip_prefix("http://").or_else(|| base.strip_prefix("https://"));
        let host = host.filter(|host| !host.is_empty()).ok_or_else(|| {
            Error::config("the endpoint is an address such as http://127.0.0.1:8080/v1 or https://host/v1")
        })?;
        if host.split('/').next().is_some_and(|host| host.contains('@')) || base.contains('?') {
            return Err(Error::config(
                "the endpoint has a password or a query in it: keys come from a variable (--key-env)",
            ));
        }
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .user_agent(concat!("rlkd/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Endpoint {
            agent: config.into(),
            url: format!("{}/chat/completions", base.trim_end_matches('/')),
            model: model.into(),
            key: key.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty()),
            temperature: 0.0,
            max_tokens: 4096,
            retries: 6,
            wait: Duration::from_secs(1),
        })
    }

    /// With a temperature, and most tokens of an answer.
    #[must_use]
    pub fn sampling(mut self, temperature: f64, max_tokens: u32) -> Self {
        (self.temperature, self.max_tokens) = (temperature, max_tokens);
        self
    }

    /// With so many further tries where the endpoint is busy, and the first wait between them.
    #[must_use]
    pub fn retries(mut self, retries: u32, wait: Duration) -> Self {
        (self.retries, self.wait) = (retries, wait);
        self
    }

    /// What shapes its answers.
    pub fn identity(&self) -> String {
        format!("{} {} {} {}", self.url, self.model, self.temperature, self.max_tokens)
    }

    /// The answer to a conversation. Later attempts at the same one are warmer, so that they differ.
    ///
    /// # Errors
    /// Kind `Data`: the endpoint does not take this conversation. Others: it refuses the key or the model, or stays away.
    pub(super) fn ask(&self, messages: &[Message], attempt: u32) -> Result<(String, Usage)> {
        let messages: Vec<Value> = messages
            .iter()
            .map(|message| json!({"role": message.role.name(), "content": message.content}))
            .collect();
        let warmer = if attempt > 0 {
            self.temperature.max(0.3) + 0.2 * f64::from(attempt - 1)
        } else {
            self.temperature
        };
        let body = json!({
            "model": self.model, "messages": messages, "temperature": warmer.min(1.0), "max_tokens": self.max_tokens,
        });
        let mut last = String::new();
        for attempt in 0..=self.retries {
            match self.once(&body) {
                Ok(found) => return Ok(found),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Again(why, after)) => {
                    last = why;
                    if attempt < self.retries {
                        std::thread::sleep(after.unwrap_or_else(|| self.pause(attempt)).min(LONGEST_WAIT));
                    }
                }
            }
        }
        Err(Error::engine(self.hidden(&format!(
            "{} does not answer after {} tries ({last}); what was labelled is kept, and the same command goes on",
            self.url,
            self.retries + 1
        ))))
    }

    /// Twice as long each time, and up to half of it more, so that many who wait do not come back at once.
    fn pause(&self, attempt: u32) -> Duration {
        let draw = Seed(u64::from(std::process::id())).stream("pause", attempt.into()).next_f64();
        self.wait.saturating_mul(1 << attempt.min(16)).mul_f64(1.0 + draw / 2.0)
    }

    fn once(&self, body: &Value) -> std::result::Result<(String, Usage), Failure> {
        let again = |why: String| Failure::Again(self.hidden(&why), None);
        let mut request = self.agent.post(&self.url).header("Content-Type", "application/json");
        if let Some(key) = &self.key {
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        let mut response = request.send(body.to_string()).map_err(|error| again(error.to_string()))?;
        let status = response.status().as_u16();
        let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let text = response.body_mut().with_config().limit(MOST_BYTES).read_to_string();
        let text = text.map_err(|error| again(error.to_string()))?;
        let said: String = self.hidden(&text).chars().filter(|c| !c.is_control()).take(300).collect();
        match status {
            200 => {}
            401 | 403 => {
                return Err(Failure::Final(Error::config(format!(
                    "the endpoint refuses the key (status {status}): {said}. The variable that --key-env names holds it"
                ))));
            }
            404 => {
                return Err(Failure::Final(Error::config(format!(
                    "the endpoint knows no such model or address (status 404): {said}"
                ))));
            }
            408 | 409 | 425 | 429 | 500..=599 => {
                return Err(Failure::Again(
                    format!("status {status}: {said}"),
                    after.map(Duration::from_secs),
                ));
            }
            _ => return Err(Failure::Final(Error::data(format!("status {status}: {said}")))),
        }
        let value: Value = serde_json::from_str(&text).map_err(|error| again(format!("no JSON: {error}")))?;
        let usage: Usage = serde_json::from_value(value["usage"].clone()).unwrap_or_default();
        let content = value["choices"][0]["message"]["content"].as_str();
        match content {
            Some(content) => Ok((content.to_owned(), usage)),
            None => Err(Failure::Final(Error::data(format!("an answer without a text: {said}")))),
        }
    }

    /// A message without the key, should an endpoint repeat it.
    fn hidden(&self, text: &str) -> String {
        match &self.key {
            Some(key) => text.replace(key.as_str(), "***"),
            None => text.to_owned(),
        }
    }
}

enum Failure {
    /// It may work later; after how long, if the endpoint says so.
    Again(String, Option<Duration>),
    /// It will not.
    Final(Error),
}
