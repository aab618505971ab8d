//! Discourse cues: what a sentence says about the way, beside what it says about the problem.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use regex::Regex;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cue {
    Plan,
    Conclude,
    Verify,
    Abandon,
    Suppose,
    Confirm,
    Resume,
    Final,
}

pub(super) struct Cues {
    automaton: AhoCorasick,
    /// Per pattern: its class, and whether it counts only at the start of a sentence.
    pub classes: Vec<(Cue, bool)>,
}

pub(super) static CUES: LazyLock<Cues> = LazyLock::new(|| read_cues(include_str!("cues.tsv")));

/// The cue table is part of the program: a mistake in it is a bug of ours, found by every test.
fn read_cues(table: &str) -> Cues {
    let mut phrases = Vec::new();
    let mut classes = Vec::new();
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with("# ") && *line != "#") {
        let (class, phrase) = line.split_once('\t').unwrap_or_else(|| panic!("cues.tsv: no tab in {line:?}"));
        let cue = match class {
            "plan" => Cue::Plan,
            "conclude" => Cue::Conclude,
            "verify" => Cue::Verify,
            "abandon" => Cue::Abandon,
            "suppose" => Cue::Suppose,
            "confirm" => Cue::Confirm,
            "resume" => Cue::Resume,
            "final" => Cue::Final,
            other => panic!("cues.tsv: unknown class {other:?}"),
        };
        let at_start = phrase.starts_with('^');
        phrases.push(phrase.trim_start_matches('^'));
        classes.push((cue, at_start));
    }
    let automaton = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::Standard)
        .build(&phrases)
        .unwrap_or_else(|error| panic!("cues.tsv: {error}"));
    Cues { automaton, classes }
}

static LEAD_IN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^[\s\-*#>\d.()]*(?:(?:okay|ok|well|hmm+|alright|but|and|oh|yeah|yes),?\s+)*")
        .unwrap_or_else(|error| panic!("lead-in: {error}"))
});

/// What the cues of one sentence say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Signals(u8);

impl Signals {
    pub fn of(sentence: &str) -> Self {
        let bytes = sentence.as_bytes();
        // Leading marks and interjections do not hide a cue: "- **Wait, no" and "Hmm, so" begin with one too.
        let body = LEAD_IN.find(sentence).map_or(0, |m| m.end());
        let first = bytes.iter().position(u8::is_ascii_alphanumeric).unwrap_or(bytes.len());
        let mut signals = 0;
        for found in CUES.automaton.find_overlapping_iter(sentence) {
            let (cue, at_start) = CUES.classes[found.pattern().as_usize()];
            let (start, end) = (found.start(), found.end());
            let word = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
            let glued = start > 0 && word(start - 1) && word(start);
            let whole = !glued && !word(end);
            let placed = !at_start || start == body || start <= first;
            if whole && placed {
                signals |= 1 << cue as u8;
            }
        }
        Signals(signals)
    }

    pub fn has(self, cue: Cue) -> bool {
        self.0 & (1 << cue as u8) != 0
    }
}
