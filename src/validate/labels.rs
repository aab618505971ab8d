//! What labels of sentences mean for the kinds of steps.

use crate::trace::StepKind;

/// What a label means for the step that its sentence belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A step of this kind.
    Kind(StepKind),
    /// Says the problem again.
    Restates,
    /// Nothing of which a step is made.
    NoStep,
    /// Gives up what stands before it.
    TurnsBack,
    /// Says nothing about the kind: not counted.
    Open,
}

/// The kind of steps that say the problem again; without one, they are no steps.
pub(super) const RESTATE: Option<StepKind> = Some(StepKind::Restate);

impl Meaning {
    /// The kind that a step has to have, if any.
    pub fn kind(self) -> Option<StepKind> {
        match self {
            Meaning::Kind(kind) => Some(kind),
            Meaning::Restates => RESTATE,
            _ => None,
        }
    }

    /// Whether an answer seen in the sentence is a mistake.
    pub fn is_no_step(self) -> bool {
        self == Meaning::NoStep || (self == Meaning::Restates && RESTATE.is_none())
    }

    pub fn name(self) -> &'static str {
        match self {
            Meaning::Kind(StepKind::Progress) => "progress",
            Meaning::Kind(StepKind::Verify) => "verify",
            Meaning::Restates => "restate",
            Meaning::NoStep => "no step",
            Meaning::TurnsBack => "backtrack",
            _ => "not counted",
        }
    }
}

pub(super) const PROGRESS: Meaning = Meaning::Kind(StepKind::Progress);
pub(super) const VERIFY: Meaning = Meaning::Kind(StepKind::Verify);

/// What the labels mean: the set (more than one has the same labels), the label, the meaning. docs/quality.md has the reasons.
pub(super) const LABELS: &[(&[&str], &str, Meaning)] = &[
    // An episode and an act. To read is to take in what the problem says, wherever it is done.
    (&["sat"], "General/Read", Meaning::Restates),
    (&["sat"], "Verify/Read", Meaning::Restates),
    (&["sat"], "Explore/Read", Meaning::Restates),
    // What will be done, and talk about the work, compute nothing.
    (&["sat"], "General/Plan", Meaning::NoStep),
    (&["sat"], "Verify/Plan", Meaning::NoStep),
    (&["sat"], "Explore/Plan", Meaning::NoStep),
    (&["sat"], "General/Monitor", Meaning::NoStep),
    (&["sat"], "Verify/Monitor", Meaning::NoStep),
    (&["sat"], "Explore/Monitor", Meaning::NoStep),
    (&["sat"], "General/Analyze", PROGRESS),
    (&["sat"], "General/Implement", PROGRESS),
    // In an episode of checking, deductions and calculations are the check.
    (&["sat"], "Verify/Analyze", VERIFY),
    (&["sat"], "Verify/Implement", VERIFY),
    (&["sat"], "Verify/Verify", VERIFY),
    (&["sat"], "General/Verify", VERIFY),
    (&["sat"], "Explore/Verify", VERIFY),
    // An idea that is tried may be kept or left: the label does not say which.
    (&["sat"], "General/Explore", Meaning::Open),
    (&["sat"], "Verify/Explore", Meaning::Open),
    (&["sat"], "Explore/Explore", Meaning::Open),
    (&["sat"], "Explore/Analyze", Meaning::Open),
    (&["sat"], "Explore/Implement", Meaning::Open),
    // These two sets have no word for checking: the same calculation made again is a deduction, too. Only what turns back counts.
    (&["et", "og"], "Backtracking", Meaning::TurnsBack),
    (&["ss", "etm"], "Prompt", Meaning::Restates),
    (&["ss", "etm"], "Initialization", Meaning::Restates),
    (&["ss", "etm"], "Planning and Strategy", Meaning::NoStep),
    (&["ss", "etm"], "Intermediate Step", PROGRESS),
    (&["ss", "etm"], "Final Answer", Meaning::NoStep),
    (&["ss"], "Recall or Memory or Fact Retrieval", Meaning::NoStep),
    (&["ss"], "Substitution or Rewriting", PROGRESS),
    (&["ss"], "Verification or Consistency Check", VERIFY),
    (&["ss"], "Comparison or Meta-Analysis", VERIFY),
    (&["ss"], "Uncertainty or Confidence Estimation", VERIFY),
    // Another way is a check or a new attempt; the label has both.
    (&["ss"], "Alternative Strategy or Backtracking", Meaning::Open),
    (&["ss"], "Final Answer Preparation or Summary", Meaning::Open),
    (&["ss"], "Metaphorical or Conceptual Thinking", Meaning::NoStep),
    (&["ss"], "Question Posing or Self-Directed Inquiry", Meaning::NoStep),
    (&["etm"], "Recall", Meaning::NoStep),
    (&["etm"], "Substitution", PROGRESS),
    (&["etm"], "Verification", VERIFY),
    (&["etm"], "Alternative Strategy and Backtracking", Meaning::Open),
    (&["etm"], "Summary and Preparation", Meaning::Open),
];

/// The sets of labels of MATH that have a word for checking, or for turning back; the others (`pm`, `sm`) have neither.
pub(super) const SETS: [&str; 4] = ["et", "og", "ss", "etm"];

/// What a label of a set means; one that is not known is not counted.
pub(super) fn meaning(set: &str, label: &str) -> Meaning {
    let known = LABELS.iter().find(|(sets, name, _)| *name == label && sets.contains(&set));
    known.map_or(Meaning::Open, |(.., meaning)| *meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_has_one_meaning_in_a_set() {
        for set in ["sat"].into_iter().chain(SETS) {
            let mut names: Vec<&str> =
                LABELS.iter().filter(|(sets, ..)| sets.contains(&set)).map(|(_, name, _)| *name).collect();
            let n = names.len();
            names.sort_unstable();
            names.dedup();
            assert!(n >= 1 && n == names.len(), "{set}");
        }
        assert_eq!(meaning("ss", "Intermediate Step"), PROGRESS);
        assert_eq!(meaning("og", "Deduction"), Meaning::Open);
    }
}
