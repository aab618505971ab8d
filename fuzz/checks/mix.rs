//! The mix: finite, linear in the weights, indifferent to parts that are skipped for all and to the order of
//! the students.

use arbitrary::Arbitrary;
use rlkd::reward::{PartColumn, Scaling, mix};
use rlkd::trace::Outcome;

/// Parts with one outcome per student; values and weights are multiples of a small power of two, so that
/// scaling them does not round.
#[derive(Arbitrary, Debug)]
pub struct Input {
    students: u8,
    parts: Vec<(i16, Vec<Option<i32>>)>,
    wild: Vec<(f64, Vec<f64>)>,
    factor: i8,
    turn: u8,
    skipped: u8,
    normalise: bool,
}

type Table = Vec<(f64, Vec<Outcome>)>;

fn totals(table: &Table, scaling: Scaling) -> Vec<Option<f64>> {
    let parts: Vec<_> =
        table.iter().map(|(weight, outcomes)| PartColumn { weight: *weight, outcomes }).collect();
    mix(&parts, scaling)
}

/// Checks one input; panics where something does not hold.
pub fn check(input: &Input) {
    let scaling = if input.normalise { Scaling::NormalizeThenSum } else { Scaling::Sum };
    let students = usize::from(input.students % 8) + 1;
    let outcome = |value: Option<&Option<i32>>| match value {
        Some(Some(value)) => Outcome::Scored(f64::from(*value) / 64.0),
        _ => Outcome::skipped("not given"),
    };
    let row = |(weight, values): &(i16, Vec<Option<i32>>)| {
        (f64::from(*weight) / 8.0, (0..students).map(|student| outcome(values.get(student))).collect())
    };
    let table: Table = input.parts.iter().take(8).map(row).collect();
    let expected = totals(&table, scaling);
    assert_eq!(expected.len(), if table.is_empty() { 0 } else { students });
    assert!(expected.iter().flatten().all(|total| total.is_finite()));

    // A total is there exactly if every part that counts is scored for the student or skipped for all.
    let counts = |(weight, outcomes): &&(f64, Vec<Outcome>)| {
        *weight != 0.0 && outcomes.iter().any(|o| o.value().is_some())
    };
    let counting: Vec<_> = table.iter().filter(counts).collect();
    for (student, total) in expected.iter().enumerate() {
        let is_whole = counting.iter().all(|(_, outcomes)| outcomes[student].value().is_some());
        assert_eq!(total.is_some(), is_whole && !counting.is_empty());
    }

    let factor = 2f64.powi(i32::from(input.factor) / 4);
    let scaled: Table = table.iter().map(|(weight, outcomes)| (weight * factor, outcomes.clone())).collect();
    let wanted: Vec<_> = expected.iter().map(|total| total.map(|total| total * factor)).collect();
    assert_eq!(totals(&scaled, scaling), wanted);

    let turn = usize::from(input.turn) % students;
    let mut turned = table.clone();
    turned.iter_mut().for_each(|(_, outcomes)| outcomes.rotate_left(turn));
    let mut wanted = expected.clone();
    if !wanted.is_empty() {
        wanted.rotate_left(turn);
    }
    assert_eq!(totals(&turned, scaling), wanted);

    if table.len() > 1 {
        let which = usize::from(input.skipped) % table.len();
        let mut skipped = table.clone();
        skipped[which].1.fill(Outcome::skipped("for all"));
        let mut without = table;
        without.remove(which);
        assert_eq!(totals(&skipped, scaling), totals(&without, scaling));
    }

    // Whatever is put in, what comes out is finite or nothing.
    let wild: Table = input
        .wild
        .iter()
        .map(|(weight, values)| (*weight, values.iter().map(|value| Outcome::Scored(*value)).collect()))
        .collect();
    assert!(totals(&wild, scaling).iter().flatten().all(|total| total.is_finite()));
}
