//! Quantities, what follows from what, and in which orders they can be found.

use super::SynthConfig;
use crate::seed::Stream;

/// Values stay below: larger ones are drawn anew.
const MOST_VALUE: u64 = 10_000;
/// Graphs that are drawn before quantities that nobody needs are given up, and then the rest: nearly all come out right among
/// the first hundred.
const TRIES: usize = 400;

/// How a quantity comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It is stated.
    Given,
    /// A number more than another.
    More(usize, u64),
    /// A number fewer than another.
    Fewer(usize, u64),
    /// So many times another.
    Times(usize, u64),
    /// A whole share of another.
    Share(usize, u64),
    /// Two others together.
    Both(usize, usize),
    /// Three others together.
    Three(usize, usize, usize),
    /// How many more the first has than the second.
    Difference(usize, usize),
}

impl Rule {
    /// The quantities that it takes, in the order in which they are named.
    pub fn needs(self) -> Vec<usize> {
        match self {
            Rule::Given => Vec::new(),
            Rule::More(a, _) | Rule::Fewer(a, _) | Rule::Times(a, _) | Rule::Share(a, _) => vec![a],
            Rule::Both(a, b) | Rule::Difference(a, b) => vec![a, b],
            Rule::Three(a, b, c) => vec![a, b, c],
        }
    }
}

/// One quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantity {
    /// How it comes about.
    pub rule: Rule,
    /// Its value, above 0.
    pub value: u64,
    /// Whether the one that is asked for needs it, or is it.
    pub needed: bool,
}

/// The quantities of a problem; those that one needs stand before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    /// The quantities.
    pub quantities: Vec<Quantity>,
    /// The one that is asked for.
    pub asked: usize,
}

fn between(stream: &mut Stream, from: u64, to: u64) -> u64 {
    from + stream.below(to - from + 1)
}

impl Graph {
    /// A graph as the configuration wants it.
    pub(super) fn draw(config: &SynthConfig, stream: &mut Stream) -> Self {
        let steps = between(stream, config.steps[0] as u64, config.steps[1] as u64) as usize;
        let depth = between(stream, config.depth[0] as u64, config.depth[1] as u64) as usize;
        // The one that is asked for needs the others, and of three at most at once.
        let depth = depth.clamp([0, 1, 2, 2, 2].get(steps).copied().unwrap_or(3), steps);
        let distractors =
            between(stream, config.distractors[0] as u64, config.distractors[1] as u64) as usize;
        for distractors in [distractors, 0] {
            for _ in 0..TRIES {
                if let Some(graph) = Self::attempt(config.numbers, steps, depth, distractors, stream) {
                    return graph;
                }
            }
        }
        // A chain always comes out: of each quantity a little more.
        Self::chain(config.numbers, steps, stream)
    }

    fn chain([least, most]: [u64; 2], steps: usize, stream: &mut Stream) -> Self {
        let value = between(stream, least, most);
        let mut quantities = vec![Quantity { rule: Rule::Given, value, needed: true }];
        for at in 0..steps {
            let number = between(stream, least, most);
            let value = quantities[at].value + number;
            quantities.push(Quantity { rule: Rule::More(at, number), value, needed: true });
        }
        Graph { asked: steps, quantities }
    }

    /// One attempt: levels from 1 to `depth`, each with a sub-problem or more, the last with the one that is asked for.
    fn attempt(
        numbers: [u64; 2],
        steps: usize,
        depth: usize,
        distractors: usize,
        stream: &mut Stream,
    ) -> Option<Self> {
        let mut levels: Vec<usize> = (1..=depth).collect();
        while levels.len() < steps {
            // No more on the last level.
            levels.push(if depth > 1 { 1 + stream.below(depth as u64 - 1) as usize } else { 1 });
        }
        levels.sort_unstable();
        let mut graph = Graph { quantities: Vec::new(), asked: 0 };
        // The level of each quantity; of what is stated, 0.
        let mut level_of = Vec::new();
        let givens = 1 + stream.below(1 + steps as u64 / 2) as usize;
        (0..givens).for_each(|_| graph.give(numbers, stream));
        level_of.resize(givens, 0);
        for level in levels {
            let below: Vec<usize> = (0..level_of.len()).filter(|at| level_of[*at] + 1 == level).collect();
            let lower: Vec<usize> = (0..level_of.len()).filter(|at| level_of[*at] < level).collect();
            // On the last level everything that nobody has used yet comes together.
            let open: Vec<usize> = if level == depth { graph.unused() } else { Vec::new() };
            graph.follow(numbers, &below, &lower, &open, stream)?;
            level_of.push(level);
        }
        graph.asked = graph.quantities.len() - 1;
        if !graph.unused().iter().all(|at| *at == graph.asked) {
            return None;
        }
        graph.quantities.iter_mut().for_each(|quantity| quantity.needed = true);
        for _ in 0..distractors {
            let all: Vec<usize> = (0..graph.quantities.len()).collect();
            if stream.below(2) == 0 {
                graph.give(numbers, stream);
            } else {
                graph.follow(numbers, &all, &all, &[], stream)?;
            }
        }
        Some(graph)
    }

    fn give(&mut self, [least, most]: [u64; 2], stream: &mut Stream) {
        let value = between(stream, least, most);
        self.quantities.push(Quantity { rule: Rule::Given, value, needed: false });
    }

    /// Quantities that no other needs.
    fn unused(&self) -> Vec<usize> {
        let used: Vec<usize> = self.quantities.iter().flat_map(|quantity| quantity.rule.needs()).collect();
        (0..self.quantities.len()).filter(|at| !used.contains(at)).collect()
    }

    /// Adds a quantity that follows from one of `below` and perhaps others of `lower`, or from all of `open`.
    fn follow(
        &mut self,
        [least, most]: [u64; 2],
        below: &[usize],
        lower: &[usize],
        open: &[usize],
        stream: &mut Stream,
    ) -> Option<()> {
        if below.is_empty() {
            return None;
        }
        let mut needs = open.to_vec();
        if !needs.iter().any(|at| below.contains(at)) {
            needs.push(stream.pick(below));
        }
        // With one or two, others may join.
        let wanted = 1 + stream.below(3) as usize;
        for _ in 0..4 {
            if needs.len() >= wanted {
                break;
            }
            let other = stream.pick(lower);
            if !needs.contains(&other) {
                needs.push(other);
            }
        }
        let value = |at: usize| self.quantities[at].value;
        let few = between(stream, 2, 5);
        let (rule, value) = match *needs {
            [a] => match stream.below(4) {
                0 => {
                    let number = between(stream, least, most);
                    (Rule::More(a, number), value(a) + number)
                }
                1 => {
                    let number = between(stream, least, most);
                    (Rule::Fewer(a, number), value(a).checked_sub(number)?)
                }
                2 => (Rule::Times(a, few), value(a) * few),
                _ if value(a).is_multiple_of(few) => (Rule::Share(a, few), value(a) / few),
                _ => return None,
            },
            [a, b] if stream.below(3) == 0 => {
                let (large, small) = if value(a) >= value(b) { (a, b) } else { (b, a) };
                // Where one follows from the other, the difference follows from less.
                let needs = |one: usize, other: usize| self.quantities[one].rule.needs().contains(&other);
                if needs(large, small) || needs(small, large) {
                    return None;
                }
                (Rule::Difference(large, small), value(large) - value(small))
            }
            [a, b] => (Rule::Both(a, b), value(a) + value(b)),
            [a, b, c] => (Rule::Three(a, b, c), value(a) + value(b) + value(c)),
            _ => return None,
        };
        // 1 reads oddly ("1 stamps").
        if !(2..MOST_VALUE).contains(&value) {
            return None;
        }
        self.quantities.push(Quantity { rule, value, needed: false });
        Some(())
    }

    /// How a quantity is computed, with numbers: `3 * 14 = 42`; nothing for what is stated.
    pub fn computation(&self, number: usize) -> String {
        let quantity = &self.quantities[number];
        let values: Vec<u64> = self.quantities.iter().map(|quantity| quantity.value).collect();
        match expression(quantity.rule, &values) {
            expression if expression.is_empty() => expression,
            expression => format!("{expression} = {}", quantity.value),
        }
    }

    /// The sub-problems: what is needed and not stated.
    pub fn sub_problems(&self) -> Vec<usize> {
        let wanted = |at: &usize| self.quantities[*at].needed && self.quantities[*at].rule != Rule::Given;
        (0..self.quantities.len()).filter(wanted).collect()
    }

    /// The longest chain of sub-problems.
    pub fn depth(&self) -> usize {
        let mut depths = vec![0; self.quantities.len()];
        for (at, quantity) in self.quantities.iter().enumerate() {
            if quantity.rule != Rule::Given {
                depths[at] = 1 + quantity.rule.needs().into_iter().map(|at| depths[at]).max().unwrap_or(0);
            }
        }
        depths[self.asked]
    }

    /// Of each sub-problem those that it needs, as sets of their places in [`Self::sub_problems`].
    fn needs_of(&self, own: &[usize]) -> Vec<u32> {
        let place = |at: usize| own.iter().position(|own| *own == at);
        let set = |at: &usize| {
            let needs = self.quantities[*at].rule.needs().into_iter();
            needs.filter_map(place).fold(0u32, |set, at| set | 1 << at)
        };
        own.iter().map(set).collect()
    }

    /// In how many orders the sub-problems can be solved.
    pub fn count_orders(&self) -> u64 {
        let own = self.sub_problems();
        let needs = self.needs_of(&own);
        // For each set of solved ones, in how many orders that can have been.
        let mut counts = vec![0u64; 1 << own.len()];
        counts[0] = 1;
        for set in 0..counts.len() {
            for (at, needs) in needs.iter().enumerate() {
                if counts[set] > 0 && set & 1 << at == 0 && *needs as usize & !set == 0 {
                    counts[set | 1 << at] += counts[set];
                }
            }
        }
        counts[counts.len() - 1]
    }

    /// Every valid order of the sub-problems, up to `most` of them: the branches of the true tree, from left to right.
    pub fn orders(&self, most: usize) -> Vec<Vec<usize>> {
        let own = self.sub_problems();
        let needs = self.needs_of(&own);
        let (mut all, mut path) = (Vec::new(), Vec::new());
        fn go(needs: &[u32], set: u32, path: &mut Vec<usize>, all: &mut Vec<Vec<usize>>, most: usize) {
            if all.len() >= most {
                return;
            }
            if path.len() == needs.len() {
                all.push(path.clone());
                return;
            }
            for (at, own) in needs.iter().enumerate() {
                if set & 1 << at == 0 && own & !set == 0 {
                    path.push(at);
                    go(needs, set | 1 << at, path, all, most);
                    path.pop();
                }
            }
        }
        go(&needs, 0, &mut path, &mut all, most);
        all.into_iter().map(|order| order.into_iter().map(|at| own[at]).collect()).collect()
    }

    /// One of the valid orders.
    pub(super) fn draw_order(&self, stream: &mut Stream) -> Vec<usize> {
        let own = self.sub_problems();
        let needs = self.needs_of(&own);
        let (mut set, mut order) = (0u32, Vec::new());
        while order.len() < own.len() {
            let ready: Vec<usize> =
                (0..own.len()).filter(|at| set & 1 << at == 0 && needs[*at] & !set == 0).collect();
            let at = stream.pick(&ready);
            set |= 1 << at;
            order.push(own[at]);
        }
        order
    }
}

/// A rule with values for quantities: `3 * 14`.
pub fn expression(rule: Rule, values: &[u64]) -> String {
    match rule {
        Rule::Given => String::new(),
        Rule::More(a, number) => format!("{} + {number}", values[a]),
        Rule::Fewer(a, number) => format!("{} - {number}", values[a]),
        Rule::Times(a, number) => format!("{number} * {}", values[a]),
        Rule::Share(a, number) => format!("{} / {number}", values[a]),
        Rule::Both(a, b) => format!("{} + {}", values[a], values[b]),
        Rule::Three(a, b, c) => format!("{} + {} + {}", values[a], values[b], values[c]),
        Rule::Difference(a, b) => format!("{} - {}", values[a], values[b]),
    }
}

/// The value of a rule; none where it is no whole number from 0 on.
pub fn value_of(rule: Rule, values: &[u64]) -> Option<u64> {
    match rule {
        Rule::Given => None,
        Rule::More(a, number) => values[a].checked_add(number),
        Rule::Fewer(a, number) => values[a].checked_sub(number),
        Rule::Times(a, number) => values[a].checked_mul(number),
        Rule::Share(a, number) => values[a].is_multiple_of(number).then(|| values[a] / number),
        Rule::Both(a, b) => values[a].checked_add(values[b]),
        Rule::Three(a, b, c) => values[a].checked_add(values[b])?.checked_add(values[c]),
        Rule::Difference(a, b) => values[a].checked_sub(values[b]),
    }
}
