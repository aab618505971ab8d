//! Traces that are as good as known: complete in another order, or spoilt in one way.

use serde::{Deserialize, Serialize};

use super::Problem;
use super::agreement::agreement;
use super::graph::{Rule, value_of};
use super::trace::{self, Manner, Said};
use crate::seed::Stream;

/// What was done to a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// All steps, rightly, in one of the valid orders.
    Complete,
    /// One result is wrong by a little, and so is what follows from it.
    Slip,
    /// One step is left out, its result is used all the same.
    Jump,
    /// Steps that nobody needs are among them, where there are any.
    Detour,
    /// The steps from the last to the first: each result is there before what it follows from.
    Backwards,
    /// Only the answer, and it is wrong by a little.
    Guess,
}

impl Kind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Complete => "complete",
            Kind::Slip => "slip",
            Kind::Jump => "jump",
            Kind::Detour => "detour",
            Kind::Backwards => "backwards",
            Kind::Guess => "guess",
        }
    }

    /// All kinds.
    pub const ALL: [Kind; 6] =
        [Kind::Complete, Kind::Slip, Kind::Jump, Kind::Detour, Kind::Backwards, Kind::Guess];
}

/// What is known of a student's trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// What was done to it.
    pub kind: Kind,
    /// How far it agrees with the truth, from 0 to 1.
    pub agreement: f64,
    /// Whether its answer is right.
    pub right: bool,
}

/// A trace and what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The text.
    pub text: String,
    /// What is known of it.
    pub label: Label,
}

/// Slips that are tried.
const TRIES: usize = 60;

/// A value near to another, and not the same.
fn off(value: u64, stream: &mut Stream) -> u64 {
    let by = 1 + stream.below(9);
    if value > by && stream.below(2) == 0 { value - by } else { value + by }
}

/// The values if one of them is another and what follows from it comes out of that; none if something is no whole number, or
/// the answer stays what it is.
fn follow(problem: &Problem, values: &[u64], wrong: usize, value: u64) -> Option<Vec<u64>> {
    let graph = &problem.graph;
    let mut values = values.to_vec();
    let right = values[graph.asked];
    values[wrong] = value;
    for at in wrong + 1..values.len() {
        let rule = graph.quantities[at].rule;
        if rule != Rule::Given {
            values[at] = value_of(rule, &values).filter(|value| *value > 0)?;
        }
    }
    (values[graph.asked] != right).then_some(values)
}

/// Writes a trace of a kind.
pub(super) fn write(problem: &Problem, kind: Kind) -> Written {
    let graph = &problem.graph;
    let mut stream = problem.stream("student", kind as usize);
    let mut order = graph.draw_order(&mut stream);
    let mut values: Vec<u64> = graph.quantities.iter().map(|quantity| quantity.value).collect();
    match kind {
        Kind::Complete => {}
        Kind::Slip => {
            // One from which everything that follows comes out whole; at worst the answer itself.
            let slip = |stream: &mut Stream| {
                let wrong = stream.pick(&order);
                follow(problem, &values, wrong, off(values[wrong], stream))
            };
            let found = (0..TRIES).find_map(|_| slip(&mut stream));
            values = found.unwrap_or_else(|| {
                let mut values = values.clone();
                values[graph.asked] = off(values[graph.asked], &mut stream);
                values
            });
        }
        Kind::Jump if order.len() > 1 => {
            let place = stream.below(order.len() as u64 - 1) as usize;
            order.remove(place);
        }
        Kind::Jump => {}
        Kind::Detour => {
            let idle =
                |at: &usize| !graph.quantities[*at].needed && graph.quantities[*at].rule != Rule::Given;
            let idle: Vec<usize> = (0..values.len()).filter(idle).collect();
            // As soon as what they follow from is there.
            for at in idle {
                let needs = graph.quantities[at].rule.needs();
                let place = order.iter().rposition(|own| needs.contains(own)).map_or(0, |place| place + 1);
                order.insert(place, at);
            }
        }
        Kind::Backwards => order.reverse(),
        Kind::Guess => {
            order.clear();
            values[graph.asked] = off(values[graph.asked], &mut stream);
        }
    }
    let said: Vec<Said> = order.iter().map(|&quantity| Said { quantity, value: values[quantity] }).collect();
    let manner = Manner { plans: stream.below(2) == 0, checks: 10, wrong_turns: 5 };
    let text = trace::write(problem, &said, &values, manner, &mut stream).text;
    let known = problem.known();
    let label = Label {
        kind,
        agreement: agreement(&known, &text).score(),
        right: values[graph.asked] == graph.quantities[graph.asked].value,
    };
    Written { text, label }
}
