//! The GSRM as a decomposer: a model rewrites a trace into steps, under a grammar.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::chat::RenderOptions;
use super::engine::{Cancel, Engine, Generation, Request, Stop};
use super::model::Model;
use super::sample::Sampling;
use crate::decompose::{Decomposer, Job, tagged};
use crate::error::{Error, Result};
use crate::grammar::{self, Constraint, Form, Grammar, Limits, Message, Prompt};
use crate::trace::{Domain, End, StepList};

/// How a GSRM is run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Name of a grammar in [`grammar::GRAMMARS`]; empty: the one that the model was trained with, if its file says so, else
    /// `steps`, or `reference` in reference mode.
    pub grammar: String,
    /// What stands for `steps` there; empty: nothing does.
    #[serde(skip)]
    pub otherwise: &'static str,
    /// How the model is asked; none: as it was trained, if its file says so, else in full.
    pub prompt: Option<Prompt>,
    /// Bounds of the form.
    pub limits: Limits,
    /// Most tokens that are written for one trace; 0: as many as the context holds.
    pub max_tokens: u32,
    /// Seconds that one trace may take from when its turn comes; 0: no limit. A trace that takes longer is an
    /// error, so with a limit the output may differ from run to run.
    pub deadline: u32,
}

/// A model that writes the steps of traces. Clones and threads share the engine.
pub struct Gsrm {
    engine: Arc<Engine>,
    grammar: &'static Grammar,
    prompt: Prompt,
    options: Options,
    /// The constraint, where it does not depend on the trace.
    constraint: Option<Arc<Constraint>>,
    /// The tokens that every prompt of a domain begins with.
    beginnings: BTreeMap<u8, Vec<u32>>,
    cancel: Cancel,
}

impl Gsrm {
    /// A GSRM on a running engine.
    ///
    /// # Errors
    /// An unknown grammar; a grammar that writes no steps; limits out of range.
    pub fn new(engine: Arc<Engine>, options: &Options) -> Result<Self> {
        let facts = engine.model().facts();
        let name = match &facts.gsrm_grammar {
            _ if !options.grammar.is_empty() => &options.grammar,
            Some(own) => own,
            None if options.otherwise.is_empty() => "steps",
            None => options.otherwise,
        };
        let prompt = match (options.prompt, &facts.gsrm_prompt) {
            (Some(prompt), _) => prompt,
            (None, Some(own)) => Prompt::find(own)?,
            (None, None) => Prompt::default(),
        };
        let grammar = grammar::find(name)?;
        if grammar.form == Form::Verdict {
            return Err(Error::config(format!("the grammar {name:?} writes verdicts and no steps")));
        }
        options.limits.check()?;
        let constraint = match grammar.constraint(&options.limits, "") {
            Constraint::Extractive { .. } => None,
            same @ Constraint::Lark(_) => Some(Arc::new(same)),
        };
        Ok(Gsrm {
            grammar,
            prompt,
            engine,
            options: options.clone(),
            constraint,
            beginnings: BTreeMap::new(),
            cancel: Cancel::default(),
        })
    }

    /// Stops all work that is under way, from another thread.
    pub fn cancel(&self) -> Cancel {
        self.cancel.clone()
    }

    /// The request for one trace.
    ///
    /// # Errors
    /// The chat template cannot be rendered.
    fn request(&mut self, job: &Job<'_>) -> Result<Request> {
        let path = job.trace.path().of(&job.trace.text).trim();
        let engine = Arc::clone(&self.engine);
        let model = engine.model();
        let quoted = (model.quote(job.problem), model.quote(path));
        let messages = self.grammar.ask(self.prompt, job.domain, &quoted.0, &quoted.1);
        let prompt = model.tokenize_prompt(&render(model, &messages, Some(false))?);
        let constraint = match &self.constraint {
            Some(constraint) => Arc::clone(constraint),
            None => Arc::new(self.grammar.constraint(&self.options.limits, path)),
        };
        Ok(Request {
            shared: common(self.beginning(job.domain)?, &prompt),
            constraint: Some(constraint),
            max_tokens: self.options.max_tokens,
            deadline: (self.options.deadline > 0).then(|| Duration::from_secs(self.options.deadline.into())),
            cancel: self.cancel.clone(),
            sampling: Sampling::greedy(),
            ..Request::greedy(prompt)
        })
    }

    /// What two prompts have in common that differ from the first letter of the job on.
    fn beginning(&mut self, domain: Domain) -> Result<&[u32]> {
        use std::collections::btree_map::Entry;
        match self.beginnings.entry(domain as u8) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(empty) => {
                let model = self.engine.model();
                let prompt = |text: &str| -> Result<Vec<u32>> {
                    Ok(model.tokenize_prompt(&render(
                        model,
                        &self.grammar.ask(self.prompt, domain, text, text),
                        Some(false),
                    )?))
                };
                let (mut one, other) = (prompt("0")?, prompt("~")?);
                one.truncate(common(&one, &other));
                Ok(empty.insert(one))
            }
        }
    }

    /// The steps that a model wrote.
    ///
    /// # Errors
    /// It was stopped by a clock or by hand. That says nothing about the trace, so it must not be kept as its steps.
    fn read(&self, generation: &Generation) -> Result<StepList> {
        let text = self.engine.model().text(&generation.tokens);
        let list = match self.grammar.form {
            Form::Reference => tagged::reference(&text),
            Form::Lines => tagged::lines(&text),
            Form::Json if generation.stop != Stop::End => tagged::parse(&whole_steps(&text)),
            Form::Tagged | Form::Json | Form::Verdict => tagged::parse(&text),
        };
        match generation.stop {
            Stop::End => Ok(list),
            Stop::Length | Stop::Context => Ok(StepList { end: End::Truncated, ..list }),
            Stop::Deadline => Err(Error::engine(format!(
                "the model was not done after {} seconds and {} tokens: raise --deadline",
                self.options.deadline,
                generation.tokens.len()
            ))),
            Stop::Cancelled => Err(Error::engine("cancelled")),
        }
    }
}

impl Decomposer for Gsrm {
    fn id(&self) -> String {
        let (model, options) = (self.engine.model(), &self.options);
        let settings = &model.resolved().settings;
        let form = self.grammar.fingerprint(&options.limits);
        let (context, most) = (settings.context, options.max_tokens);
        let asked = match self.prompt {
            Prompt::Full => String::new(),
            other => format!(",{}", other.name()),
        };
        format!("gsrm-1({},{},{form},{context},{most}{asked})", model.numerics(), self.grammar.name)
    }

    /// Traces of one domain share the beginning of their prompts, so jobs are worked on domain by domain.
    fn decompose(&mut self, jobs: &[Job<'_>]) -> Vec<Result<StepList>> {
        let mut order: Vec<usize> = (0..jobs.len()).collect();
        order.sort_by_key(|&at| (jobs[at].domain as u8, at));
        let mut lists: Vec<Option<Result<StepList>>> = (0..jobs.len()).map(|_| None).collect();
        let mut asked = Vec::new();
        let mut requests = Vec::new();
        for at in order {
            if jobs[at].trace.path().of(&jobs[at].trace.text).trim().is_empty() {
                // A trace without reasoning has no steps, and a model would make some up.
                lists[at] = Some(Ok(StepList::default()));
                continue;
            }
            match self.request(&jobs[at]) {
                Ok(request) => {
                    asked.push(at);
                    requests.push(request);
                }
                Err(error) => lists[at] = Some(Err(error)),
            }
        }
        for (at, outputs) in asked.into_iter().zip(self.engine.generate(requests)) {
            let list = outputs.and_then(|outputs| {
                let output = outputs.first().ok_or_else(|| Error::engine("a request gave no output"))?;
                self.read(output)
            });
            lists[at] = Some(list);
        }
        let none = || Err(Error::engine("a job was not worked on"));
        lists.into_iter().map(|list| list.unwrap_or_else(none)).collect()
    }
}

/// The JSON list of the steps that are whole in a list that was cut.
fn whole_steps(text: &str) -> String {
    let (mut in_string, mut escaped, mut end) = (false, false, None);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'}' if !in_string => end = Some(at + 1),
            _ => {}
        }
    }
    end.map_or_else(String::new, |end| format!("{}]", &text[..end]))
}

/// A prompt in the model's own form, up to where its answer begins; `thinking` as templates know it.
///
/// # Errors
/// The chat template cannot be rendered.
pub(super) fn render(model: &Model, messages: &[Message], thinking: Option<bool>) -> Result<String> {
    let options = RenderOptions { add_generation_prompt: true, thinking };
    let mut prompt = model.template().render(messages, &options)?;
    // Some templates open a thought that the answer's form has no place for.
    if thinking == Some(false) && prompt.trim_end().ends_with("<think>") {
        prompt.push_str("\n</think>\n\n");
    }
    Ok(prompt)
}

/// How many tokens two prompts have in common at their beginning.
pub(super) fn common(one: &[u32], other: &[u32]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}
