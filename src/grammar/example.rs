//! The worked examples: one for each domain, written as canonical tagged steps and shown in the form that is asked for.

use crate::grammar::Form;
use crate::trace::Domain;

/// What a file under `grammars/domains/` holds.
pub(super) struct Example {
    /// What to mind in this domain; goes into the system prompt.
    pub(super) guidance: &'static str,
    /// The problem.
    pub(super) problem: &'static str,
    /// How someone reasoned about it.
    pub(super) path: &'static str,
    /// The steps, as canonical tagged text.
    steps: &'static str,
}

/// The example of a domain.
pub(super) fn of(domain: Domain) -> Example {
    let file = match domain {
        Domain::Math => include_str!("../../grammars/domains/math.md"),
        Domain::Code => include_str!("../../grammars/domains/code.md"),
        Domain::Science => include_str!("../../grammars/domains/science.md"),
        Domain::Puzzle => include_str!("../../grammars/domains/puzzle.md"),
        Domain::Other => include_str!("../../grammars/domains/other.md"),
    };
    Example {
        guidance: section(file, "# Guidance\n"),
        problem: section(file, "# Problem\n"),
        path: section(file, "# Path\n"),
        steps: section(file, "# Steps\n"),
    }
}

/// What stands under a heading, to the next one.
fn section(file: &'static str, heading: &str) -> &'static str {
    let start = file.find(heading).map_or(file.len(), |at| at + heading.len());
    let rest = &file[start..];
    rest[..rest.find("\n# ").unwrap_or(rest.len())].trim()
}

impl Example {
    /// The steps as a model has to write them.
    pub(super) fn answer(&self, form: Form) -> String {
        match form {
            Form::Reference => {
                self.steps.replace("[Meta-reasoning ", "[sub-think ").replace("[Sub-problem ", "[Query ")
            }
            Form::Json => {
                let step = |step: &'static str| {
                    let mut parts = step.lines().map(|line| {
                        let text = line.split_once("]: ").map_or("", |(_, text)| text);
                        serde_json::Value::from(text).to_string()
                    });
                    let mut part = || parts.next().unwrap_or_default();
                    let (meta, sub_problem, answer) = (part(), part(), part());
                    format!(
                        "{{\"meta_reasoning\": {meta}, \"sub_problem\": {sub_problem}, \"answer\": {answer}}}"
                    )
                };
                format!("[{}]", self.steps.split("\n\n").map(step).collect::<Vec<_>>().join(",\n "))
            }
            Form::Lines => {
                let line = |line: &'static str| line.split_once("]: ").map_or(line, |(_, text)| text);
                self.steps.lines().map(line).collect::<Vec<_>>().join("\n")
            }
            Form::Tagged | Form::Verdict => self.steps.to_string(),
        }
    }
}
