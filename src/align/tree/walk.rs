//! A list of steps beside the graph: the questions, what joins, and which branch it follows.

use serde::{Deserialize, Serialize};

use super::Tree;
use crate::align::{
    Alignment, MAX_STEPS, Mode, NO_TEACHER_STEPS, Next, Options, Sides, Slot, Stage, check, counts, ordered,
};
use crate::error::{Error, Result};
use crate::judge::{Ask, Verdict};
use crate::trace::{StepList, Why};

/// Takes one list of steps after the other along a graph, in its own memory.
#[derive(Clone, Debug)]
pub struct Walker {
    options: Options,
    stage: Stage,
    /// Whether all is answered since the last start.
    done: bool,
    /// The nodes, in the order of the graph, and the steps that take part.
    sides: Sides,
    asks: Vec<Ask>,
    pairs: ordered::Scratch,
    scratch: Scratch,
}

/// Memory of what is done with the verdicts.
#[derive(Clone, Debug, Default)]
struct Scratch {
    /// The place of each node in the order.
    place: Vec<u32>,
    /// For each node in order, and each step and the end: the most steps that join from there on.
    most: Vec<u32>,
    /// The same of what comes after a node.
    rest: Vec<u32>,
    /// A branch as a teacher.
    branch: Sides,
    pairs: ordered::Scratch,
}

/// How a list of steps goes along a graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Followed {
    /// The teacher whose path is followed best.
    pub teacher: u32,
    /// The alignment with it: its teacher steps are those of this teacher.
    pub alignment: Alignment,
}

impl Default for Walker {
    fn default() -> Self {
        Walker::new(Options::default())
    }
}

impl Walker {
    /// A walker. Options out of range are moved into it; [`Options::check`] tells of them.
    pub fn new(options: Options) -> Self {
        Walker {
            options: options.in_range(),
            stage: Stage::Closed,
            done: false,
            sides: Sides::default(),
            asks: Vec::new(),
            pairs: ordered::Scratch::default(),
            scratch: Scratch::default(),
        }
    }

    /// Forgets what came before and plans the first round of questions: the sub-problem of each step against each node.
    /// With a graph without nodes, or a list without steps, nothing is asked.
    ///
    /// # What has no place
    /// A list of more than [`MAX_STEPS`] steps.
    pub fn start(&mut self, tree: &Tree, list: &StepList) -> Next {
        (self.stage, self.done) = (Stage::Closed, false);
        self.asks.clear();
        self.sides.set(&StepList::default(), list, counts);
        if self.sides.student.len() > MAX_STEPS {
            return Next::Unscorable("it has more than 2048 steps: join some, or use the mode prefix");
        }
        let steps = &tree.steps.steps;
        self.sides.teacher.extend(tree.order.iter().map(|node| Slot::new(*node, &steps[*node as usize])));
        ordered::plan(&self.sides, &mut self.asks);
        self.stage = Stage::First;
        if self.asks.is_empty() { self.fold_first(&[]) } else { Next::Ask }
    }

    /// The questions of the open round; empty when there is none. The teacher's index is a node, which is a step of
    /// [`Tree::steps`]; the student's is a step of the list.
    pub fn asks(&self) -> &[Ask] {
        &self.asks
    }

    /// Takes the verdicts on [`Walker::asks`], one each, in order.
    ///
    /// # Errors
    /// As [`Aligner::answer`](crate::align::Aligner::answer).
    pub fn answer(&mut self, verdicts: &[Verdict]) -> Result<Next> {
        check(self.stage, self.asks.len(), verdicts)?;
        Ok(match self.stage {
            Stage::Second => self.fold_second(verdicts),
            _ => self.fold_first(verdicts),
        })
    }

    fn fold_first(&mut self, verdicts: &[Verdict]) -> Next {
        ordered::fold_pairs(&self.sides, &mut self.asks, verdicts, &self.options, &mut self.pairs);
        self.stage = Stage::Second;
        if self.asks.is_empty() { self.fold_second(&[]) } else { Next::Ask }
    }

    fn fold_second(&mut self, verdicts: &[Verdict]) -> Next {
        ordered::fold_answers(verdicts, &self.options, &mut self.pairs);
        self.asks.clear();
        (self.stage, self.done) = (Stage::Closed, true);
        Next::Done
    }

    /// Refuses to go on before all is answered, or with another graph than the questions were about.
    fn ready(&mut self, tree: &Tree) -> Result<()> {
        let slots = &self.sides.teacher;
        let same = slots.len() == tree.order.len()
            && slots.iter().zip(&tree.order).all(|(slot, node)| slot.index == *node);
        if !self.done || !same {
            return Err(Error::engine(
                "the walk is not at its end: start it, and answer its questions first",
            ));
        }
        self.scratch.place.clear();
        self.scratch.place.resize(tree.nodes.len(), 0);
        for (place, node) in (0u32..).zip(&tree.order) {
            self.scratch.place[*node as usize] = place;
        }
        Ok(())
    }

    /// Scores the list against each branch of the graph, and gives the best, the first of several; why not, where the
    /// graph has none.
    ///
    /// # Errors
    /// The questions are not answered, or `tree` is not the one that they were about.
    pub fn follow(&mut self, tree: &Tree) -> Result<std::result::Result<Followed, Why>> {
        self.ready(tree)?;
        let Scratch { place, branch, pairs, .. } = &mut self.scratch;
        let width = self.sides.student.len();
        branch.student.clone_from(&self.sides.student);
        let mut best: Option<Followed> = None;
        for (teacher, path) in (0u32..).zip(&tree.paths) {
            let Ok(path) = path else { continue };
            branch.teacher.clear();
            branch.teacher.extend(path.nodes.iter().zip(&path.steps).map(|(node, step)| {
                let slot = self.sides.teacher[place[*node as usize] as usize];
                Slot { index: *step, ..slot }
            }));
            let rows = path.nodes.iter().map(|node| place[*node as usize] as usize);
            pairs.take_rows(&self.pairs, rows, width);
            let mut alignment = Alignment { mode: Mode::Tree, ..Alignment::default() };
            ordered::best(branch, &self.options, pairs, &mut alignment);
            if best.as_ref().is_none_or(|best| alignment.total > best.alignment.total) {
                best = Some(Followed { teacher, alignment });
            }
        }
        Ok(best.ok_or_else(|| tree.why_empty().unwrap_or_else(|| Why(NO_TEACHER_STEPS.into()))))
    }

    /// Adds the list to the graph as its next teacher: of all paths, along the one that most of its steps join. Of several
    /// such ways, the one found by walking from the first steps on, joining as soon as possible, leaving out a step of the
    /// list before a node, and taking the way on that a teacher took first.
    ///
    /// A list without steps, or one with which the graph would be too large, is counted and left out: `Ok(Err(why))`.
    ///
    /// # Errors
    /// The questions are not answered, or `tree` or `list` is not the one that they were about. The graph is as it was.
    pub fn join(&mut self, tree: &mut Tree, list: &StepList) -> Result<std::result::Result<(), Why>> {
        self.ready(tree)?;
        if self.sides.student.iter().any(|slot| list.steps.len() <= slot.index as usize) {
            return Err(Error::engine("this is not the list that the questions were about"));
        }
        // What was walked is not the graph any more.
        self.done = false;
        if self.sides.student.is_empty() {
            let why = Why(NO_TEACHER_STEPS.into());
            tree.leave_out(why.clone());
            return Ok(Err(why));
        }
        self.fill(tree);
        let joined = self.joined(tree);
        Ok(tree.add(list, &joined))
    }

    /// Finds how many steps join at most, from each node and step on.
    fn fill(&mut self, tree: &Tree) {
        let width = self.sides.student.len();
        let line = width + 1;
        let Scratch { place, most, rest, .. } = &mut self.scratch;
        most.clear();
        most.resize(tree.nodes.len() * line, 0);
        for (at, node) in tree.order.iter().enumerate().rev() {
            let (before, after) = most.split_at_mut((at + 1) * line);
            rest.clear();
            rest.resize(line, 0);
            for to in tree.nodes[*node as usize].next.iter().filter_map(|edge| edge.to) {
                let to = (place[to as usize] as usize - at - 1) * line;
                rest.iter_mut()
                    .zip(&after[to..to + line])
                    .for_each(|(rest, next)| *rest = (*rest).max(*next));
            }
            let row = &mut before[at * line..];
            row[width] = 0;
            for step in (0..width).rev() {
                let joined = u32::from(self.pairs.is_whole(at, step, width));
                row[step] = row[step + 1].max(rest[step]).max(joined + rest[step + 1]);
            }
        }
    }

    /// Walks the best way that [`Self::fill`] found: the node that each step joins.
    fn joined(&self, tree: &Tree) -> Vec<(u32, Option<u32>)> {
        let mut joined: Vec<(u32, Option<u32>)> =
            self.sides.student.iter().map(|slot| (slot.index, None)).collect();
        let width = joined.len();
        let most = |node: Option<u32>, step: usize| {
            node.map_or(0, |node| {
                self.scratch.most[self.scratch.place[node as usize] as usize * (width + 1) + step]
            })
        };
        let best = |node: Option<u32>, step: usize| {
            tree.next(node).iter().map(|edge| most(edge.to, step)).max().unwrap_or(0)
        };
        let (mut node, mut step) = (None, 0);
        while step < width {
            let rest = best(node, step);
            node = tree.next(node).iter().find(|edge| most(edge.to, step) == rest).and_then(|edge| edge.to);
            let Some(here) = node else { break };
            let place = self.scratch.place[here as usize] as usize;
            // Steps that are left out before this node, if it is better so; then the node takes the step, or none.
            loop {
                let whole = step < width && self.pairs.is_whole(place, step, width);
                if whole && 1 + best(node, step + 1) == most(node, step) {
                    joined[step].1 = node;
                    step += 1;
                    break;
                }
                if step == width || most(node, step + 1) < most(node, step) {
                    break;
                }
                step += 1;
            }
        }
        joined
    }
}
