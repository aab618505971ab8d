//! Which bare calculations lead to the end, and which lead nowhere.
//!
//! A step leads on if its result is used by a later step that does. The walk goes from the end back: from the steps that
//! have words, those whose result is stated as the answer, and the last one. A calculation without words that is not
//! reached is no part of the path: nothing says what it is for, and nothing needs what comes out. Listing all sums of the
//! numbers of a problem gives no points for the one that is right by chance. Steps with words stay: what they lead to may
//! be said in words, and leaving them out ranks right traces less well above wrong ones (docs/quality.md).
//!
//! An answer that no step arrived at may be the sum, difference, product or quotient of two results: then these lead to it. Where
//! one arrived at it, what is computed behind it leads nowhere, with words or without, unless it takes the answer further.

use crate::text::numbers;
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
        // 3/4 is used as a 3 and a 4; the last comes first.
        let is_ratio = |made: f64| {
            made.fract() != 0.0 && used.windows(2).any(|pair| numbers::same(made, pair[1] / pair[0]))
        };
        self.results.iter().any(|&made| used.iter().any(|used| is_use(made, *used)) || is_ratio(made))
    }
}

/// How many results and numbers of a step are looked at, and how many steps back: bounds the work on endless traces.
const MOST_RESULTS: usize = 4;
const MOST_USES: usize = 16;
const LOOK_BACK: usize = 64;
/// How many of the last steps an answer may be made of that is said without its calculation.
const MOST_MAKERS: usize = 16;

/// Relative distance of a number from the same one, rounded: 2.33 for 7/3.
const ROUNDING: f64 = 5e-3;
/// A calculation has two operands. Whoever names fewer speaks of what came just before ("twice that is 24").
const OPERANDS: usize = 2;

/// Whether a later step that names `used` uses the result `made`: the same number, rounded or in percent.
fn is_use(made: f64, used: f64) -> bool {
    let near = |a: f64, b: f64| (a - b).abs() <= ROUNDING * a.abs().max(b.abs());
    near(made, used) || near(made * 100.0, used) || near(made, used * 100.0)
}

/// The pairs of steps of whose results a sum, difference, product or quotient is one of `stated`; or a step with a number that
/// it names.
fn makers_of(stated: &[f64], steps: &[usize], made: &[Made]) -> Vec<(usize, usize)> {
    let recent = &steps[steps.len().saturating_sub(MOST_MAKERS)..];
    let makes = |a: f64, b: f64| {
        let all = [a + b, a - b, b - a, a * b, a / b, b / a];
        all.iter().any(|value| stated.iter().any(|stated| is_use(*value, *stated)))
    };
    let last = |at: usize| made[at].results.first().copied();
    let mut pairs = Vec::new();
    for (position, &one) in recent.iter().enumerate() {
        let Some(a) = last(one) else { continue };
        pairs.extend(made[one].uses.iter().filter(|b| makes(a, **b)).map(|_| (one, one)));
        let others = recent[..position].iter().copied();
        pairs.extend(
            others.filter(|&other| last(other).is_some_and(|b| makes(a, b))).map(|other| (one, other)),
        );
    }
    pairs
}

/// Gives up the bare progress steps that lead nowhere; takes steps behind the answer for checks. `made` has one entry for each
/// step; `stated` are the numbers of the final answer, which the first `before` steps may lead to.
pub(super) fn give_up(steps: &mut [Step], made: &[Made], stated: &[f64], before: usize) {
    let is_progress = |at: &usize| steps[*at].kind == StepKind::Progress;
    let progress: Vec<usize> = (0..steps.len()).filter(is_progress).collect();
    let Some(&last) = progress.last() else { return };
    let mut leads = vec![false; steps.len()];
    for &at in &progress {
        leads[at] = !made[at].is_bare || at < before && made[at].leads_to(stated);
    }
    let own: Vec<usize> = progress.iter().copied().filter(|&at| at < before).collect();
    let is_computed = own.iter().any(|&at| made[at].leads_to(stated));
    // The answer may be said without its calculation ("so 26 in all"): then the steps lead to it of whose results it is made.
    if !is_computed {
        for (one, other) in makers_of(stated, &own, made) {
            (leads[one], leads[other]) = (true, true);
        }
    }
    // What was computed was stated as the answer: what comes behind does not lead to it, unless it goes on from there.
    let later = || progress.iter().copied().filter(|&at| at >= before);
    let goes_on = later().any(|at| made[at].uses.iter().any(|used| stated.contains(used)));
    if is_computed && !goes_on {
        later().for_each(|at| steps[at].kind = StepKind::Verify);
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
        if made[at].is_bare && !leads[at] && steps[at].kind == StepKind::Progress {
            steps[at].kind = StepKind::Backtrack;
        }
    }
}
