//! Whether a completion is in the expected form and its answer holds a block of code.

use regex::Regex;

use super::params::Params;
use super::{Entry, Group, Reward, each, indicator};
use crate::error::{Error, Result};
use crate::trace::Outcome;

pub(super) const CODE_FORMAT: Entry = Entry {
    name: "code_format",
    aliases: &["code_format_reward"],
    help: "1 if the completion has the form of `format` and its answer a ```language block (language = \
           \"python\")",
    range: (0.0, 1.0),
    relative: false,
    build: |table| {
        let params = Params::new("code_format", table, &["language"])?;
        let language = params.text("language", "python")?;
        // A name is a name here ("c++"), where open-r1 puts it into the pattern as it is.
        let name = regex::escape(&language);
        let pattern =
            format!(r"(?s)\A<think>\n.*?\n</think>\n<answer>\n.*?```{name}.*?```.*?\n</answer>(?m:$)");
        let whole = Regex::new(&pattern).map_err(|error| {
            Error::config(format!("code_format: language {language:?} makes no pattern: {error}"))
        })?;
        Ok(Box::new(CodeFormat { whole }))
    },
};

struct CodeFormat {
    whole: Regex,
}

impl Reward for CodeFormat {
    fn name(&self) -> &'static str {
        CODE_FORMAT.name
    }

    fn score(&self, group: &Group<'_>) -> Result<Vec<Outcome>> {
        each(group, |trace| indicator(self.whole.is_match(&trace.text)))
    }
}
