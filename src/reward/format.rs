//! Whether a completion keeps to `<think>…</think><answer>…</answer>`.

use std::sync::LazyLock;

use regex::Regex;

use super::params::Params;
use super::{Entry, Group, Reward, each, indicator};
use crate::error::Result;
use crate::trace::Outcome;

pub(super) const FORMAT: Entry = Entry {
    name: "format",
    aliases: &["format_reward"],
    help: "1 if the completion is <think>, </think>, <answer>, </answer> on lines of their own, else 0",
    range: (0.0, 1.0),
    relative: false,
    build: |table| {
        Params::new("format", table, &[])?;
        Ok(Box::new(Format))
    },
};

pub(super) const TAG_COUNT: Entry = Entry {
    name: "tag_count",
    aliases: &["tag_count_reward"],
    help: "0.25 for each of the four tags that occurs exactly once, with its line breaks",
    range: (0.0, 1.0),
    relative: false,
    build: |table| {
        Params::new("tag_count", table, &[])?;
        Ok(Box::new(TagCount))
    },
};

struct Format;

impl Reward for Format {
    fn name(&self) -> &'static str {
        FORMAT.name
    }

    fn score(&self, group: &Group<'_>) -> Result<Vec<Outcome>> {
        // As in Python's `re.match` with DOTALL and MULTILINE: anchored at the start of the text, while `$`
        // is the end of any line. What follows the last tag on later lines is therefore let through.
        static WHOLE: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"(?s)\A<think>\n.*?\n</think>\n<answer>\n.*?\n</answer>(?m:$)")
                .expect("a fixed pattern")
        });
        each(group, |trace| indicator(WHOLE.is_match(&trace.text)))
    }
}

struct TagCount;

impl Reward for TagCount {
    fn name(&self) -> &'static str {
        TAG_COUNT.name
    }

    fn score(&self, group: &Group<'_>) -> Result<Vec<Outcome>> {
        const TAGS: [&str; 4] = ["<think>\n", "\n</think>\n", "\n<answer>\n", "\n</answer>"];
        let once = |text: &str, tag: &str| text.matches(tag).take(2).count() == 1;
        each(group, |trace| TAGS.iter().map(|tag| 0.25 * indicator(once(&trace.text, tag))).sum())
    }
}
