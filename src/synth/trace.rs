//! Traces of the teacher, in the manner of R1: it plans, computes, checks, and goes back where it was wrong.

use super::Problem;
use super::graph::{Rule, expression, value_of};
use super::words::Split;
use crate::dataset::Parts;
use crate::seed::Stream;
use crate::text::words::capitalized;

/// A trace and what is in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The text, from `<think>` to the answer.
    pub text: String,
    /// Its steps; an answer is the sentence with the computation.
    pub steps: Vec<Parts>,
    /// The computations alone, `5 * 8 = 40`.
    pub computations: Vec<String>,
    /// The quantities that they find.
    pub order: Vec<usize>,
}

/// The phrases of a split. `{p}` is the quantity, `{v}` its value, `{c}` the computation, `{w}` why that; `{list}` the
/// quantities of a plan, `{q}` the question.
struct Voice {
    opening: &'static [&'static str],
    plan: &'static [&'static str],
    /// Of the first step, of one in the middle, of the last.
    leads: [&'static [&'static str]; 3],
    compute: &'static [&'static str],
    conclude: &'static [&'static str],
    wrong: &'static [&'static str],
    check: &'static [&'static str],
    idle: &'static [&'static str],
    closing: &'static [&'static str],
    /// Why: more, fewer, times, share, both, three, difference; `{a}`, `{b}`, `{c}` are quantities, `{n}` a number.
    why: [&'static str; 7],
}

static TRAIN: Voice = Voice {
    opening: &[
        "Okay, let me see. The question is: {q}",
        "Okay, so I need to answer this: {q}",
        "Let me work through this. {q}",
    ],
    plan: &["I will find {list}.", "My plan is to find {list}.", "To get there I need {list}."],
    leads: [
        &["First, {p}.", "I start with {p}.", "Let me begin with {p}."],
        &["Next, {p}.", "Then, {p}.", "Now for {p}."],
        &["Finally, {p}.", "At last, {p}.", "What is left is {p}."],
    ],
    compute: &["{w}, so {c}.", "{w}. That gives {c}.", "{w}. So I compute {c}."],
    conclude: &["So {p} are {v}.", "That means {p} are {v}.", "Therefore {p} are {v}."],
    wrong: &["Is it {c}? Wait, no, that is not what it says.", "Maybe {c}? Hmm, no, let me read that again."],
    check: &["Let me check: {c}. Good.", "Check: {c}, as it should be."],
    idle: &["{p} do not matter here.", "I do not need {p}."],
    closing: &["So the answer is {v}.", "That answers the question: {v}."],
    why: [
        "They are {n} more than {a}",
        "They are {n} fewer than {a}",
        "They are {n} times {a}",
        "They are {a} divided by {n}",
        "They are {a} and {b} together",
        "They are {a}, {b} and {c} together",
        "They are what {a} are more than {b}",
    ],
};

static VALIDATION: Voice = Voice {
    opening: &["Alright, I am asked the following. {q}", "Hmm, what is wanted is this: {q}"],
    plan: &["That takes {list}.", "In this order I should get {list}."],
    leads: [
        &["To begin, consider {p}.", "The first thing is {p}."],
        &["After that, consider {p}.", "The following thing is {p}."],
        &["To end, consider {p}.", "The last thing is {p}."],
    ],
    compute: &["{w}; this is {c}.", "{w}; I get {c}."],
    conclude: &["Thus {p} come to {v}.", "In total {p} come to {v}."],
    wrong: &[
        "Could it be {c}? Hold on, the text says otherwise.",
        "I would say {c}. But hold on, that misreads it.",
    ],
    check: &["Verifying: {c}. That fits.", "To be sure: {c}. That fits."],
    idle: &["{p} play no part.", "{p} can be left out."],
    closing: &["The result is {v}.", "With that I am done: {v}."],
    why: [
        "One takes {a} and adds {n}",
        "One takes {a} and removes {n}",
        "One takes {a} and multiplies by {n}",
        "One takes {a} and divides by {n}",
        "One adds {a} and {b}",
        "One adds {a}, {b} and {c}",
        "One takes {a} and removes {b}",
    ],
};

static TEST: Voice = Voice {
    opening: &["Right, here is what they ask. {q}", "So the task reads: {q}"],
    plan: &["The road there runs through {list}.", "I can go through {list}."],
    leads: [
        &["Starting point: {p}.", "Let us tackle {p} at once."],
        &["Moving on: {p}.", "Let us tackle {p} now."],
        &["Last piece: {p}.", "Let us tackle {p} to finish."],
    ],
    compute: &["{w}, hence {c}.", "{w}, which yields {c}."],
    conclude: &["Hence {p} equal {v}.", "Consequently {p} equal {v}."],
    wrong: &[
        "One might think {c}. Actually that is a mistake.",
        "My first idea is {c}. Actually that is a mistake.",
    ],
    check: &["Going the other way, {c}. Consistent.", "The reverse, {c}, is consistent."],
    idle: &["{p} are beside the point.", "Nothing depends on {p}."],
    closing: &["This settles it: {v}.", "We are there: {v}."],
    why: [
        "They exceed {a} by {n}",
        "They stay below {a} by {n}",
        "They amount to {a} taken {n} times",
        "They amount to one of {n} equal parts of {a}",
        "They amount to the sum of {a} and {b}",
        "They amount to the sum of {a}, {b} and {c}",
        "They amount to the gap between {a} and {b}",
    ],
};

fn voice(split: Split) -> &'static Voice {
    match split {
        Split::Train => &TRAIN,
        Split::Validation => &VALIDATION,
        Split::Test => &TEST,
    }
}

/// The sentences that claim a value, of all splits; `{p}` is the quantity, `{v}` its value.
pub fn conclusions() -> impl Iterator<Item = &'static str> {
    Split::ALL.into_iter().flat_map(|split| voice(split).conclude.iter().copied())
}

/// How much a writer says beside its steps.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manner {
    /// Says what it will do.
    pub plans: bool,
    /// Chance of a check behind a step, in percent.
    pub checks: u64,
    /// Chance of a wrong turn before a step, in percent.
    pub wrong_turns: u64,
}

/// A step as somebody writes it down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    /// The quantity.
    pub quantity: usize,
    /// What is claimed of it.
    pub value: u64,
}

fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and then {last}", first.join(", ")),
    }
}

/// Why a quantity is computed as it is.
fn why(problem: &Problem, number: usize) -> String {
    let rule = problem.graph.quantities[number].rule;
    let (at, n) = match rule {
        Rule::Given => return String::new(),
        Rule::More(_, n) => (0, n),
        Rule::Fewer(_, n) => (1, n),
        Rule::Times(_, n) => (2, n),
        Rule::Share(_, n) => (3, n),
        Rule::Both(..) => (4, 0),
        Rule::Three(..) => (5, 0),
        Rule::Difference(..) => (6, 0),
    };
    let mut text = voice(problem.words.split()).why[at].replace("{n}", &n.to_string());
    for (name, need) in ["{a}", "{b}", "{c}"].iter().zip(rule.needs()) {
        text = text.replace(name, &problem.words.phrase(need));
    }
    text
}

/// Another rule over the same quantities, which somebody could take it for; none where the value would be odd.
fn mistaken(rule: Rule, values: &[u64]) -> Option<(String, u64)> {
    let other = match rule {
        Rule::Given => return None,
        Rule::More(a, n) => Rule::Times(a, n),
        Rule::Fewer(a, n) | Rule::Times(a, n) => Rule::More(a, n),
        Rule::Share(a, n) => Rule::Times(a, n),
        Rule::Both(a, b) => Rule::Difference(a, b),
        Rule::Three(a, b, _) | Rule::Difference(a, b) => Rule::Both(a, b),
    };
    Some((expression(other, values), value_of(other, values)?))
}

/// The way back from the value of a rule to one that it was made of.
fn reverse(rule: Rule, value: u64, values: &[u64]) -> Option<String> {
    Some(match rule {
        Rule::Given => return None,
        Rule::More(a, n) => format!("{value} - {n} = {}", values[a]),
        Rule::Fewer(a, n) => format!("{value} + {n} = {}", values[a]),
        Rule::Times(a, n) => format!("{value} / {n} = {}", values[a]),
        Rule::Share(a, n) => format!("{value} * {n} = {}", values[a]),
        Rule::Both(a, b) => format!("{value} - {} = {}", values[b], values[a]),
        Rule::Three(a, b, c) => format!("{value} - {} - {} = {}", values[c], values[b], values[a]),
        Rule::Difference(a, b) => format!("{value} + {} = {}", values[b], values[a]),
    })
}

/// Writes steps down. `believed` are the values that the writer has in mind.
pub(super) fn write(
    problem: &Problem,
    said: &[Said],
    believed: &[u64],
    manner: Manner,
    stream: &mut Stream,
) -> Written {
    let voice = voice(problem.words.split());
    let phrase = |number: usize| problem.words.phrase(number);
    let graph = &problem.graph;
    let mut parts = Vec::new();
    let (mut steps, mut computations) = (Vec::new(), Vec::new());
    let asked = problem.words.question(graph.asked);
    let mut opening = stream.pick(voice.opening).replace("{q}", &asked);
    // What nobody needs, and this writer does not compute.
    let is_idle = |at: &usize| !graph.quantities[*at].needed && said.iter().all(|said| said.quantity != *at);
    let idle: Vec<usize> = (0..graph.quantities.len()).filter(is_idle).collect();
    if manner.plans && !idle.is_empty() && stream.below(2) == 0 {
        let own = phrase(stream.pick(&idle));
        opening += " ";
        opening += &capitalized(&stream.pick(voice.idle).replace("{p}", &own));
    }
    parts.push(opening);
    if manner.plans && said.len() > 1 {
        let names: Vec<String> = said.iter().map(|said| phrase(said.quantity)).collect();
        parts.push(stream.pick(voice.plan).replace("{list}", &list(&names)));
    }
    for (at, Said { quantity, value }) in said.iter().copied().enumerate() {
        let rule = graph.quantities[quantity].rule;
        let place = if at == 0 {
            0
        } else if at + 1 == said.len() {
            2
        } else {
            1
        };
        let lead = stream.pick(voice.leads[place]).replace("{p}", &phrase(quantity));
        let mut text = vec![lead.clone()];
        if stream.below(100) < manner.wrong_turns
            && let Some((expression, other)) = mistaken(rule, believed).filter(|(_, other)| *other != value)
        {
            text.push(stream.pick(voice.wrong).replace("{c}", &format!("{expression} = {other}")));
        }
        let computation = format!("{} = {value}", expression(rule, believed));
        let why = why(problem, quantity);
        let compute = stream.pick(voice.compute).replace("{w}", &why).replace("{c}", &computation);
        text.push(compute.clone());
        computations.push(computation);
        let conclude = stream.pick(voice.conclude).replace("{p}", &phrase(quantity));
        text.push(conclude.replace("{v}", &value.to_string()));
        if stream.below(100) < manner.checks
            && let Some(reverse) = reverse(rule, value, believed)
        {
            text.push(stream.pick(voice.check).replace("{c}", &reverse));
        }
        parts.push(text.join(" "));
        steps.push(Parts {
            meta_reasoning: lead,
            sub_problem: problem.words.question(quantity),
            answer: compute,
        });
    }
    let answer = believed[graph.asked].to_string();
    parts.push(stream.pick(voice.closing).replace("{v}", &answer));
    let text = format!("<think>\n{}\n</think>\n\nThe answer is \\boxed{{{answer}}}.", parts.join("\n\n"));
    Written { text, steps, computations, order: said.iter().map(|said| said.quantity).collect() }
}

/// A trace of the teacher, in one of the valid orders.
pub(super) fn teacher(problem: &Problem, order: &[usize], stream: &mut Stream) -> Written {
    let values: Vec<u64> = problem.graph.quantities.iter().map(|quantity| quantity.value).collect();
    let said: Vec<Said> = order.iter().map(|&quantity| Said { quantity, value: values[quantity] }).collect();
    let manner = Manner { plans: true, checks: 25, wrong_turns: 20 };
    write(problem, &said, &values, manner, stream)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn splits_share_no_phrases() {
        let mut known = BTreeSet::new();
        for split in Split::ALL {
            let own = voice(split);
            let [first, middle, last] = own.leads;
            let all = [
                own.opening,
                own.plan,
                first,
                middle,
                last,
                own.compute,
                own.conclude,
                own.wrong,
                own.check,
                own.idle,
                own.closing,
                &own.why,
            ];
            for phrase in all.into_iter().flatten() {
                assert!(known.insert(*phrase), "{split:?}: {phrase}");
            }
        }
    }
}
