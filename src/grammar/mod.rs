//! The forms in which a model writes steps: a constraint, the tags and the prompt, under one name.
//!
//! The texts lie under `grammars/`, one folder a form; [`GRAMMARS`] has one line for each. What a constraint allows,
//! the readers in [`crate::decompose`] read back whole.

mod example;
mod template;
mod verdict;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::nearest;
use crate::error::{Error, Result};
use crate::trace::Domain;
use template::{fill, unroll};

pub use verdict::Question;

/// Who speaks in a conversation with a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Says what the model is to do.
    System,
    /// Asks.
    User,
    /// The model's own turn.
    Assistant,
}

impl Role {
    /// The name that chat templates use.
    pub fn name(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        }
    }
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// How a model is asked for steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prompt {
    /// What to do, a worked example, the problem and the trace.
    #[default]
    Full,
    /// The trace alone: for small models that were trained for nothing else.
    Trace,
}

impl Prompt {
    /// Its name in run files and model files.
    pub fn name(self) -> &'static str {
        match self {
            Prompt::Full => "full",
            Prompt::Trace => "trace",
        }
    }

    /// The one of a name.
    ///
    /// # Errors
    /// There is none.
    pub fn find(name: &str) -> Result<Self> {
        let all = [Prompt::Full, Prompt::Trace];
        all.into_iter()
            .find(|prompt| prompt.name() == name)
            .ok_or_else(|| Error::config(format!("unknown prompt {name:?}: full or trace")))
    }
}

/// How much a model may write. Lengths are in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Most steps of a list, 1 to [`Limits::MOST_STEPS`].
    pub max_steps: u32,
    /// Fewest steps of a list, 1 to `max_steps`.
    pub min_steps: u32,
    /// Longest meta-reasoning and answer, 16 to [`Limits::MOST_CHARS`].
    pub max_part_chars: u32,
    /// Longest sub-problem, 16 to [`Limits::MOST_CHARS`].
    pub max_sub_problem_chars: u32,
}

impl Default for Limits {
    /// - 24 steps: a trace of 8,000 characters holds some 20 calculations, and a step takes about 80 tokens, so the
    ///   longest list stays below 2,000 tokens on most traces; longer ones are better cut than waited for.
    /// - 600 characters for a part: about 150 tokens, three times the longest part of the worked examples.
    /// - 300 for a sub-problem: it is one question. Without a bound, small models copy the problem into it.
    fn default() -> Self {
        Limits { max_steps: 24, min_steps: 1, max_part_chars: 600, max_sub_problem_chars: 300 }
    }
}

impl Limits {
    /// Longer lists make a grammar larger than is worth compiling.
    pub const MOST_STEPS: u32 = 200;
    /// Beyond this a part is a text, not a part; each character is a state of the lexer.
    pub const MOST_CHARS: u32 = 4000;
    /// Short enough to be a line, long enough for what a rule allows in front of the free text.
    const FEWEST_CHARS: u32 = 16;
    /// Longest meta-reasoning of `steps-extractive` and `steps-lines`: two lines of a terminal. It is the one part there that a model
    /// makes up, and the reward leans on the other two.
    const THOUGHT_CHARS: u32 = 160;

    /// Whether every value is in its range.
    ///
    /// # Errors
    /// Kind `Config`: one is not; names it and its range.
    pub fn check(&self) -> Result<()> {
        for (name, value, least, most) in [
            ("max_steps", self.max_steps, 1, Self::MOST_STEPS),
            ("min_steps", self.min_steps, 1, Self::MOST_STEPS),
            ("max_part_chars", self.max_part_chars, Self::FEWEST_CHARS, Self::MOST_CHARS),
            ("max_sub_problem_chars", self.max_sub_problem_chars, Self::FEWEST_CHARS, Self::MOST_CHARS),
        ] {
            if value < least || value > most {
                return Err(Error::config(format!("{name} = {value}: from {least} to {most}")));
            }
        }
        if self.min_steps > self.max_steps {
            let Limits { min_steps, max_steps, .. } = self;
            return Err(Error::config(format!("min_steps = {min_steps} is above max_steps = {max_steps}")));
        }
        Ok(())
    }

    /// The same limits, each value taken to the nearest one in its range.
    #[must_use]
    pub fn in_range(self) -> Self {
        let max_steps = self.max_steps.clamp(1, Self::MOST_STEPS);
        let chars = |chars: u32| chars.clamp(Self::FEWEST_CHARS, Self::MOST_CHARS);
        Limits {
            max_steps,
            min_steps: self.min_steps.clamp(1, max_steps),
            max_part_chars: chars(self.max_part_chars),
            max_sub_problem_chars: chars(self.max_sub_problem_chars),
        }
    }
}

/// How what a model wrote is read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// Canonical tags: [`crate::decompose::tagged::parse`].
    Tagged,
    /// Three lines a step, without tags: [`crate::decompose::tagged::lines`].
    Lines,
    /// A JSON step list: [`crate::decompose::tagged::parse`] as well.
    Json,
    /// The released tags: [`crate::decompose::tagged::reference`].
    Reference,
    /// `yes` or `no`.
    Verdict,
}

/// What may be written; `llama::constraint` compiles it for a vocabulary.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Constraint {
    /// A grammar in llguidance's Lark.
    Lark(String),
    /// Steps whose answers are passages of a trace.
    Extractive {
        /// With canonical tags in front of the parts; else each part is a line, and an empty line stands between steps.
        tagged: bool,
        /// The trace that answers are taken from.
        trace: String,
        /// Fewest and most steps, in range (see [`Limits::in_range`]), as are the lengths.
        steps: (u32, u32),
        /// Longest meta-reasoning, in characters.
        thought_chars: u32,
        /// Longest sub-problem, in characters.
        sub_problem_chars: u32,
        /// Longest answer, in characters.
        answer_chars: u32,
    },
}

/// An output form: what a model may write, and how it is asked to.
#[derive(Debug)]
pub struct Grammar {
    /// The name on the command line and in run files.
    pub name: &'static str,
    /// One line of help.
    pub summary: &'static str,
    /// How the output is read back.
    pub form: Form,
    /// The grammar with its places unfilled.
    lark: &'static str,
    /// What may stand behind the last step; the name of a rule, or empty.
    last: &'static str,
    /// Whether answers are taken from the trace.
    extractive: bool,
    /// The system prompt with its places unfilled.
    system: &'static str,
}

/// Every grammar that can be chosen by name.
pub const GRAMMARS: &[Grammar] = &[
    Grammar {
        name: "steps",
        summary: "numbered steps with the canonical tags (default)",
        form: Form::Tagged,
        lark: include_str!("../../grammars/steps/form.lark"),
        last: "LAST",
        extractive: false,
        system: include_str!("../../grammars/steps/system.md"),
    },
    Grammar {
        name: "steps-json",
        summary: "a JSON list of steps",
        form: Form::Json,
        lark: include_str!("../../grammars/steps-json/form.lark"),
        last: "",
        extractive: false,
        system: include_str!("../../grammars/steps-json/system.md"),
    },
    Grammar {
        name: "reference",
        summary: "the released tags, for the released structure reward",
        form: Form::Reference,
        lark: include_str!("../../grammars/reference/form.lark"),
        last: "LAST",
        extractive: false,
        system: include_str!("../../grammars/reference/system.md"),
    },
    Grammar {
        name: "steps-extractive",
        summary: "numbered steps whose answers are passages or numbers of the trace",
        form: Form::Tagged,
        lark: include_str!("../../grammars/steps-extractive/form.lark"),
        last: "LAST",
        extractive: true,
        system: include_str!("../../grammars/steps-extractive/system.md"),
    },
    Grammar {
        name: "steps-lines",
        summary: "the same without tags, three lines a step, for models trained on it",
        form: Form::Lines,
        lark: include_str!("../../grammars/steps-lines/form.lark"),
        last: "LAST",
        extractive: true,
        system: include_str!("../../grammars/steps-lines/system.md"),
    },
    Grammar {
        name: "verdict",
        summary: "yes or no, for the judge that asks",
        form: Form::Verdict,
        lark: include_str!("../../grammars/verdict/form.lark"),
        last: "",
        extractive: false,
        system: include_str!("../../grammars/verdict/system.md"),
    },
];

/// The grammar of a name.
///
/// # Errors
/// There is none; the error names the nearest one and lists all.
pub fn find(name: &str) -> Result<&'static Grammar> {
    GRAMMARS.iter().find(|grammar| grammar.name == name).ok_or_else(|| {
        let known =
            GRAMMARS.iter().map(|grammar| format!("`{}`", grammar.name)).collect::<Vec<_>>().join(", ");
        match nearest(name, GRAMMARS.iter().map(|grammar| grammar.name)) {
            Some(like) => {
                Error::config(format!("unknown grammar `{name}`: did you mean `{like}`? Known: {known}"))
            }
            None => Error::config(format!("unknown grammar `{name}`. Known: {known}")),
        }
    })
}

impl Grammar {
    /// What a model may write about `path`, the trace that the steps are of; only the extractive ones look at it.
    /// Limits are taken as [`Limits::in_range`].
    pub fn constraint(&self, limits: &Limits, path: &str) -> Constraint {
        if !self.extractive {
            return Constraint::Lark(self.lark(limits, path));
        }
        let limits = limits.in_range();
        Constraint::Extractive {
            tagged: self.form == Form::Tagged,
            trace: path.into(),
            steps: (limits.min_steps, limits.max_steps),
            thought_chars: limits.max_part_chars.min(Limits::THOUGHT_CHARS),
            sub_problem_chars: limits.max_sub_problem_chars,
            answer_chars: limits.max_part_chars,
        }
    }

    /// The form in llguidance's Lark, also of a grammar whose [`Grammar::constraint`] is something else: then it is
    /// the slow twin.
    pub fn lark(&self, limits: &Limits, path: &str) -> String {
        let limits = limits.in_range();
        let part = if self.extractive {
            limits.max_part_chars.min(Limits::THOUGHT_CHARS)
        } else {
            limits.max_part_chars
        };
        // A rule allows up to 3 characters (a sign, a bracket and a character) before the rest of a line.
        let rest = |chars: u32| (chars - 3).to_string();
        let trace = serde_json::Value::from(path).to_string();
        fill(
            &unroll(self.lark, limits.min_steps, limits.max_steps, self.last),
            &[
                ("max_part", &rest(part)),
                ("max_sub_problem", &rest(limits.max_sub_problem_chars)),
                ("trace", &trace),
            ],
        )
    }

    /// The conversation that asks for the steps of `path` (the text before `</think>`): system prompt, a worked
    /// example, the job. It begins with [`Grammar::shared_messages`].
    ///
    /// For `verdict`, whose questions are about two notes, `problem` and `path` are the two and the question is
    /// whether they are the same sub-problem; [`Question::messages`] asks all three.
    pub fn messages(&self, domain: Domain, problem: &str, path: &str) -> Vec<Message> {
        if self.form == Form::Verdict {
            return Question::SubProblem.messages("", problem, path);
        }
        let mut messages = self.shared_messages(domain);
        messages.push(job(problem, path));
        messages
    }

    /// As [`Self::messages`], asked in another way.
    pub fn ask(&self, prompt: Prompt, domain: Domain, problem: &str, path: &str) -> Vec<Message> {
        match prompt {
            Prompt::Full => self.messages(domain, problem, path),
            Prompt::Trace => vec![Message { role: Role::User, content: path.trim().to_owned() }],
        }
    }

    /// The leading messages that do not depend on the job.
    pub fn shared_messages(&self, domain: Domain) -> Vec<Message> {
        if self.form == Form::Verdict {
            return Question::SubProblem.shared_messages();
        }
        let example = example::of(domain);
        let task = include_str!("../../grammars/task.md").trim_end();
        let system = fill(self.system.trim_end(), &[("task", task), ("guidance", example.guidance)]);
        vec![
            Message { role: Role::System, content: system },
            job(example.problem, example.path),
            Message { role: Role::Assistant, content: example.answer(self.form) },
        ]
    }

    /// Steps in this form, as a model has to write them: each `[meta-reasoning, sub-problem, answer]`. A part is one
    /// line, so line breaks become spaces; every step has a meta-reasoning, so an empty one becomes `Next step.`
    pub fn write(&self, steps: &[[&str; 3]]) -> String {
        let steps = steps.iter().enumerate().map(|(at, parts)| {
            let [mut meta, sub_problem, answer] =
                parts.map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
            if meta.is_empty() {
                meta = "Next step.".into();
            }
            (at + 1, meta, sub_problem, answer)
        });
        let tagged = |[first, second]: [&str; 2]| {
            let one = |(n, meta, sub_problem, answer): (usize, String, String, String)| {
                format!("[{first} {n}]: {meta}\n[{second} {n}]: {sub_problem}\n[Answer {n}]: {answer}")
            };
            steps.clone().map(one).collect::<Vec<_>>().join("\n\n") + "\n"
        };
        match self.form {
            Form::Tagged | Form::Verdict => tagged(["Meta-reasoning", "Sub-problem"]),
            Form::Reference => tagged(["sub-think", "Query"]),
            Form::Lines => {
                let one = |(_, meta, sub_problem, answer): (usize, String, String, String)| {
                    format!("{meta}\n{sub_problem}\n{answer}")
                };
                steps.clone().map(one).collect::<Vec<_>>().join("\n\n") + "\n"
            }
            Form::Json => {
                let one = |(_, meta, sub_problem, answer): (usize, String, String, String)| {
                    let [meta, sub_problem, answer] =
                        [meta, sub_problem, answer].map(|part| serde_json::Value::from(part).to_string());
                    format!(
                        "{{\"meta_reasoning\": {meta}, \"sub_problem\": {sub_problem}, \"answer\": {answer}}}"
                    )
                };
                format!("[{}]", steps.map(one).collect::<Vec<_>>().join(",\n "))
            }
        }
    }

    /// A hash of all that shapes an output: the constraint, the prompts of every domain, the limits. 16 hexadecimal
    /// digits; it goes into the id of a decomposer or a judge.
    pub fn fingerprint(&self, limits: &Limits) -> String {
        // Raised when the automaton behind `Constraint::Extractive` allows something else than before.
        const EXTRACTIVE_VERSION: &str = "2";
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        add(self.name);
        add(&format!("{:?}", self.constraint(limits, "")));
        add(&self.lark(limits, ""));
        add(EXTRACTIVE_VERSION);
        let domains = [Domain::Math, Domain::Code, Domain::Science, Domain::Puzzle, Domain::Other];
        let mut conversations: Vec<Vec<Message>> =
            domains.map(|domain| self.messages(domain, "{{problem}}", "{{path}}")).into();
        if self.form == Form::Verdict {
            conversations =
                Question::ALL.map(|q| q.messages("{{problem}}", "{{first}}", "{{second}}")).into();
        }
        for message in conversations.iter().flatten() {
            add(message.role.name());
            add(&message.content);
        }
        hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

fn job(problem: &str, path: &str) -> Message {
    let template = include_str!("../../grammars/job.md").trim_end();
    let problem = match problem.trim() {
        "" => "(not given)",
        problem => problem,
    };
    Message { role: Role::User, content: fill(template, &[("problem", problem), ("path", path.trim())]) }
}
