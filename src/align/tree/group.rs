//! Figures of a group: how many ways its members go, and where students go with the teachers.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Followed, Tree};

/// How differently the members of a graph reason. Of teachers, or of a group of rollouts that were joined as teachers are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Variety {
    /// Members with a path in the graph.
    pub paths: usize,
    /// Different paths among them.
    pub branches: usize,
    /// For each depth, the number of steps taken: over the nodes at which members stand then and go on from, the mean number of
    /// different nodes that they go on to. At least 1; the first is that of the beginning.
    pub branching: Vec<f64>,
    /// Entropy of the different paths, in bits (Shannon 1948): 0 if all go the same way, log₂ of `paths` if no two do.
    pub entropy: f64,
    /// Structural diversity in [0, 1]: the mean over all pairs of members of the share of their nodes that only one of them
    /// takes, Jaccard's distance (Jaccard 1912; as a mean over pairs, Rao's quadratic entropy, 1982). 0 for fewer than two.
    pub diversity: f64,
}

impl Variety {
    /// The figures of those who made the graph.
    pub fn of(tree: &Tree) -> Self {
        let paths: Vec<&[u32]> = tree.paths().iter().flatten().map(|path| path.nodes.as_slice()).collect();
        let mut counts: BTreeMap<&[u32], usize> = BTreeMap::new();
        for path in &paths {
            *counts.entry(path).or_default() += 1;
        }
        let share = |count: usize| count as f64 / paths.len() as f64;
        // Without the empty sum, which is -0.
        let entropy = counts.values().fold(0.0, |sum, count| sum - share(*count) * libm::log2(share(*count)));
        let mut sets: Vec<Vec<u32>> = paths.iter().map(|path| path.to_vec()).collect();
        sets.iter_mut().for_each(|set| set.sort_unstable());
        let (mut distance, mut pairs) = (0.0, 0.0);
        for (at, one) in sets.iter().enumerate() {
            for other in &sets[at + 1..] {
                distance += jaccard(one, other);
                pairs += 1.0;
            }
        }
        Variety {
            paths: paths.len(),
            branches: counts.len(),
            branching: branching(&paths),
            entropy,
            diversity: if pairs > 0.0 { distance / pairs } else { 0.0 },
        }
    }
}

/// The share of the nodes of two ascending lists that stand in one only.
fn jaccard(one: &[u32], other: &[u32]) -> f64 {
    let (mut left, mut right, mut both) = (one, other, 0usize);
    while let ([a, later_a @ ..], [b, later_b @ ..]) = (left, right) {
        both += usize::from(a == b);
        (left, right) = (if a <= b { later_a } else { left }, if b <= a { later_b } else { right });
    }
    let all = one.len() + other.len() - both;
    if all == 0 { 0.0 } else { 1.0 - both as f64 / all as f64 }
}

fn branching(paths: &[&[u32]]) -> Vec<f64> {
    let deepest = paths.iter().map(|path| path.len()).max().unwrap_or(0);
    (0..deepest)
        .map(|depth| {
            let mut ways: BTreeMap<Option<u32>, BTreeSet<u32>> = BTreeMap::new();
            for path in paths.iter().filter(|path| path.len() > depth) {
                let from = depth.checked_sub(1).map(|at| path[at]);
                ways.entry(from).or_default().insert(path[depth]);
            }
            let sum: usize = ways.values().map(BTreeSet::len).sum();
            sum as f64 / ways.len() as f64
        })
        .collect()
}

/// Students on the graph of their teachers. A student *takes* a node if a step of it is paired with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Crowd {
    /// Students that were scored.
    pub students: usize,
    /// What they do at each node.
    pub nodes: Vec<Passing>,
    /// What they do before the first node.
    pub start: Passing,
    /// The places where teachers choose differently, in the order of the graph.
    pub choices: Vec<Choice>,
    moves: Moves,
}

/// From where to where how many students go, and to `None` those who end with their path.
type Moves = BTreeMap<(Option<u32>, Option<u32>), u32>;

/// What students do at a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Passing {
    /// Students that take it.
    pub taken: u32,
    /// … with another answer.
    pub slips: u32,
    /// Students that take no later node, though they have more steps: here they leave and never come back.
    pub left: u32,
    /// Students that end here, though their path goes on.
    pub stopped: u32,
}

/// A node from which teachers go on in different ways.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// The node; `None` is the beginning.
    pub node: Option<u32>,
    /// The ways on.
    pub ways: Vec<Way>,
    /// Students that take the node and then none of the ways.
    pub elsewhere: u32,
    /// How far the students that take the node choose as the teachers do: the sum over the ways of the smaller of the two
    /// shares, which is 1 less the total variation distance. In [0, 1]; `None` if no student takes the node.
    pub agreement: Option<f64>,
}

/// A way on at a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Way {
    /// The node that it leads to; `None` is the end of the path.
    pub to: Option<u32>,
    /// Teachers that go there.
    pub teachers: u32,
    /// Students that take it next.
    pub students: u32,
}

impl Crowd {
    /// Follows the students through the graph.
    pub fn new(tree: &Tree, students: &[Followed]) -> Self {
        let nodes = vec![Passing::default(); tree.nodes().len()];
        let mut crowd = Crowd { students: students.len(), nodes, ..Crowd::default() };
        students.iter().for_each(|student| crowd.follow(tree, student));
        let places = std::iter::once(None).chain(tree.order().iter().copied().map(Some));
        crowd.choices = places
            .filter(|node| tree.next(*node).len() > 1)
            .map(|node| {
                let taken = node.map_or(crowd.start.taken, |node| crowd.nodes[node as usize].taken);
                Choice::new(tree, node, taken, &crowd.moves)
            })
            .collect();
        crowd
    }

    /// Follows a student along the path of a teacher.
    fn follow(&mut self, tree: &Tree, Followed { teacher, alignment }: &Followed) {
        let Some(Ok(path)) = tree.paths().get(*teacher as usize) else { return };
        let place = |step: u32| path.steps.binary_search(&step).ok();
        let mut from = None;
        self.start.taken += 1;
        for pair in &alignment.pairs {
            let Some(node) = place(pair.teacher).map(|at| path.nodes[at]) else { continue };
            self.nodes[node as usize].taken += 1;
            self.nodes[node as usize].slips += u32::from(pair.credit < 1.0);
            *self.moves.entry((from, Some(node))).or_default() += 1;
            from = Some(node);
        }
        let last = alignment.pairs.last();
        let left = alignment.extra.last().is_some_and(|step| last.is_none_or(|pair| *step > pair.student));
        let reached = last.and_then(|pair| place(pair.teacher)).map_or(0, |at| at + 1);
        let stopped = !left && reached < path.nodes.len();
        let here = match from {
            None => &mut self.start,
            Some(node) => &mut self.nodes[node as usize],
        };
        here.left += u32::from(left);
        here.stopped += u32::from(stopped);
        if !left && !stopped {
            *self.moves.entry((from, None)).or_default() += 1;
        }
    }

    /// Students that take one node and next another. `None` is the beginning on the left, and on the right the end of
    /// their path, where they end with it.
    pub fn moved(&self, from: Option<u32>, to: Option<u32>) -> u32 {
        self.moves.get(&(from, to)).copied().unwrap_or(0)
    }

    /// The mean agreement over the choices that students come to, each as often as they do; `None` if they come to none.
    pub fn agreement(&self) -> Option<f64> {
        let met = self.choices.iter().filter_map(|choice| Some((choice.agreement?, choice.students())));
        let (sum, all) = met.fold((0.0, 0.0), |(sum, all), (agreement, students)| {
            (sum + agreement * f64::from(students), all + f64::from(students))
        });
        (all > 0.0).then(|| sum / all)
    }
}

impl Choice {
    fn new(tree: &Tree, node: Option<u32>, taken: u32, moves: &Moves) -> Self {
        let ways: Vec<Way> = tree
            .next(node)
            .iter()
            .map(|edge| Way {
                to: edge.to,
                teachers: edge.teachers.len() as u32,
                students: moves.get(&(node, edge.to)).copied().unwrap_or(0),
            })
            .collect();
        let chosen: u32 = ways.iter().map(|way| way.students).sum();
        let teachers = f64::from(ways.iter().map(|way| way.teachers).sum::<u32>());
        let agreement = (taken > 0).then(|| {
            let share = |way: &Way| {
                f64::min(f64::from(way.teachers) / teachers, f64::from(way.students) / f64::from(taken))
            };
            ways.iter().map(share).sum()
        });
        Choice { node, ways, elsewhere: taken - chosen, agreement }
    }

    /// Students that come to it.
    pub fn students(&self) -> u32 {
        self.elsewhere + self.ways.iter().map(|way| way.students).sum::<u32>()
    }
}
