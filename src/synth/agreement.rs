//! How far a trace agrees with the true structure.
//!
//! A trace claims values: "so Lena's stamps are 42". A claim is right if it is of a sub-problem, its value is the true one,
//! and everything that it needs was claimed rightly before it: then the claims so far are a branch of the true tree. What
//! somebody claims again counts where it came first, with the value that was claimed last.

use super::Known;

/// What a trace claims, beside what there is to find.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Agreement {
    /// Claimed sub-problems and other quantities that are not stated, in their order, each once; and whether rightly.
    pub claims: Vec<(usize, bool)>,
    /// Sub-problems that there are.
    pub wanted: usize,
}

impl Agreement {
    /// Claims that are right.
    pub fn right(&self) -> usize {
        self.claims.iter().filter(|(_, right)| *right).count()
    }

    /// The harmonic mean of two shares: of claims that are right, and of sub-problems that were claimed rightly.
    /// From 0 to 1.
    pub fn score(&self) -> f64 {
        if self.claims.is_empty() || self.wanted == 0 {
            return 0.0;
        }
        2.0 * self.right() as f64 / (self.claims.len() + self.wanted) as f64
    }
}

/// Words between a quantity and its value.
const SAYS: [&str; 8] = ["are", "is", "equal to", "equals", "equal", "come to", "=", ":"];

/// Reads a trace's claims.
pub fn agreement(known: &Known, text: &str) -> Agreement {
    let lower = text.to_lowercase();
    let mut found: Vec<(usize, usize, String)> = Vec::new();
    for (number, quantity) in known.quantities.iter().enumerate().filter(|(_, one)| !one.needs.is_empty()) {
        let name = quantity.name.to_lowercase();
        for (at, _) in lower.match_indices(&name) {
            // "Ann's" is not the end of "Joann's".
            if lower[..at].ends_with(|before: char| before.is_alphanumeric()) {
                continue;
            }
            let rest = lower[at + name.len()..].trim_start();
            let value = SAYS.iter().find_map(|word| {
                let rest = rest.strip_prefix(word)?.trim_start();
                let count = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b',').count();
                let (digits, behind) = rest.split_at(count);
                // "3 * 14 = 42" and "42.5" are no 3 and no 42.
                let number = |rest: &str| rest.starts_with(|next: char| next.is_ascii_digit());
                let goes_on = behind.strip_prefix('.').is_some_and(number)
                    || behind
                        .trim_start()
                        .strip_prefix(['+', '-', '*', '/', '%'])
                        .is_some_and(|rest| number(rest.trim_start()));
                (count > 0 && !goes_on).then(|| digits.trim_end_matches(',').replace(',', ""))
            });
            found.extend(value.map(|value| (at, number, value)));
        }
    }
    found.sort();
    let mut claims: Vec<(usize, bool)> = Vec::new();
    for (_, number, _) in &found {
        if claims.iter().any(|(known, _)| known == number) {
            continue;
        }
        let quantity = &known.quantities[*number];
        let last = found.iter().rev().find(|(_, other, _)| other == number).map(|(_, _, value)| value);
        let stands =
            |need: &usize| known.quantities[*need].needs.is_empty() || claims.contains(&(*need, true));
        let right = quantity.needed
            && last.and_then(|value| value.parse().ok()) == Some(quantity.value)
            && quantity.needs.iter().all(stands);
        claims.push((*number, right));
    }
    let wanted = known.quantities.iter().filter(|one| one.needed && !one.needs.is_empty()).count();
    Agreement { claims, wanted }
}
