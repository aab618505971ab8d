//! Which bare calculations lead to the end, and which lead nowhere.
//!
//! A step leads on if its result is used by a later step that does. The walk goes from the end back: from the steps that
//! have words, those whose result is stated as the answer, and the last one. A calculation without words that is not
//! reached is no part of the path: nothing says what it is for, and nothing needs what comes out. Listing all sums of the
//! numbers of a problem gives no points for the one that is right by chance. Steps with words stay: what they lead to may
//! be said in words, and leaving them out ranks right traces less well above wrong ones (docs/quality.md).

use crate::trace::{Step, StepKind};

/// What a step uses and what comes out of it.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Nothing but numbers and signs.
    is_bare: bool,
    /// The last results that it states.
    results: Vec<f64>,
    /// The last numbers that it names and that do not come out of it.
    uses: Vec<f64>,
}

impl Made {
    /// A step that names these numbers and states these results, both in order.
    pub fn new(
        is_bare: bool,
        numbers: impl DoubleEndedIterator<Item = f64>,
        results: impl DoubleEndedIterator<Item = f64>,
    ) -> Self {
        let results: Vec<f64> = results.rev().take(MOST_RESULTS).collect();
        let others = numbers.rev().filter(|number| !results.contains(number)).take(MOST_USES);
        Made { is_bare, uses: others.collect(), results }
    }

    fn leads_to(&self, used: &[f64]) -> bool {
        self.results.iter().any(|made| used.iter().any(|used| is_use(*made, *used)))
    }
}

/// How many results and numbers of a step are looked at, and how many steps back: bounds the work on endless traces.
const MOST_RESULTS: usize = 4;
const MOST_USES: usize = 16;
const LOOK_BACK: usize = 64;

/// Relative distance of a number from the same one, rounded: 2.33 for 7/3.
const ROUNDING: f64 = 5e-3;
/// A calculation has two operands. Whoever names fewer speaks of what came just before ("twice that is 24").
const OPERANDS: usize = 2;

/// Whether a later step that names `used` uses the result `made`: the same number, rounded or in percent.
fn is_use(made: f64, used: f64) -> bool {
    let near = |a: f64, b: f64| (a - b).abs() <= ROUNDING * a.abs().max(b.abs());
    near(made, used) || near(made * 100.0, used) || near(made, used * 100.0)
}

/// Gives up the bare progress steps that lead nowhere. `made` has one entry for each step; `stated` are the numbers of the
/// final answer, which the first `before` steps may lead to.
pub(super) fn give_up(steps: &mut [Step], made: &[Made], stated: &[f64], before: usize) {
    let is_progress = |at: &usize| steps[*at].kind == StepKind::Progress;
    let progress: Vec<usize> = (0..steps.len()).filter(is_progress).collect();
    let Some(&last) = progress.last() else { return };
    let mut leads = vec![false; steps.len()];
    for &at in &progress {
        leads[at] = !made[at].is_bare || at < before && made[at].leads_to(stated);
    }
    // The answer may be said without its calculation ("so 26 in all"): then all that comes before it may lead to it.
    let is_said = !stated.is_empty() && !progress.iter().any(|&at| at < before && made[at].leads_to(stated));
    for &at in progress.iter().filter(|&&at| is_said && at < before) {
        leads[at] = true;
    }
    // A path ends with its last step, unless its end was said before.
    leads[last] |= stated.is_empty() || last < before || !leads.contains(&true);
    for (position, &at) in progress.iter().enumerate().rev() {
        if !leads[at] {
            continue;
        }
        let uses = &made[at].uses;
        let earlier = &progress[position.saturating_sub(LOOK_BACK)..position];
        for &before in earlier {
            leads[before] |= made[before].leads_to(uses);
        }
        if let Some(&before) = earlier.last().filter(|_| uses.len() < OPERANDS) {
            leads[before] = true;
        }
    }
    for at in progress {
        if made[at].is_bare && !leads[at] {
            steps[at].kind = StepKind::Backtrack;
        }
    }
}
