//! Several teachers of one problem as one graph of sub-problems.
//!
//! # The graph
//! The first teacher's steps make a chain of nodes. Each further teacher is aligned with the graph: of all paths through
//! it, along the one that most of the teacher's steps join. A step joins a node if a judge finds it the same sub-problem
//! with the same answer; a step that joins none makes a node of its own. So teachers that do the same share nodes, and
//! where they choose differently the graph branches. Branches may meet again: it is a tree of choices, and a directed
//! acyclic graph of what is known. This is partial order alignment, from the alignment of biological sequences (Lee,
//! Grasso and Sharlow, Bioinformatics 18, 2002), with a judge in place of equal letters.
//!
//! The order of the teachers counts, as it does there: the first step of a node stands for it, and the judge is asked
//! about that one only. (To ask about every wording of a node ranks no better: see the figures of `rlkd validate tree`
//! in the project's docs.)
//!
//! # The score
//! A student follows a *branch*: the path of one teacher, its nodes seen as steps. The score is that of
//! [`Mode::Ordered`](super::Mode::Ordered) against that path, and the best branch counts, the first of several. With one
//! teacher it is `Mode::Ordered` to the bit. A student that changes from one teacher's path to another's where they
//! share a node is not followed across: that a path exists in the graph does not say that anybody reasons so, and short
//! cuts through shared nodes make short paths, which a student that does little meets in full. (Measured: it ranks the
//! traces of one problem no better, and those of all problems worse.)
//!
//! # How it is used
//! It is sans-I/O like the rest of the kernel. A [`Walker`] plans questions about a list of steps and the graph, the caller
//! has them answered, at most two rounds, and then either adds the list ([`Walker::join`]) or scores it
//! ([`Walker::follow`]). The graph's side of a question is [`Tree::steps`].
//!
//! ```
//! use rlkd::align::Next;
//! use rlkd::align::tree::{Tree, Walker};
//! use rlkd::judge::Verdict;
//! use rlkd::trace::{Span, Step, StepList};
//!
//! let step = Step { sub_problem: Span::new(0, 1), answer: Span::new(1, 2), ..Step::default() };
//! let list = StepList { text: "qa".into(), steps: vec![step; 3], ..StepList::default() };
//! let (mut tree, mut walker) = (Tree::default(), Walker::default());
//! for teacher in [&list, &list] {
//!     let mut next = walker.start(&tree, teacher);
//!     while let Next::Ask = next {
//!         // A judge that says yes to everything.
//!         let verdicts = vec![Verdict::YES; walker.asks().len()];
//!         next = walker.answer(&verdicts).unwrap();
//!     }
//!     walker.join(&mut tree, teacher).unwrap();
//! }
//! assert_eq!((tree.nodes().len(), tree.nodes()[0].members.len()), (3, 2));
//! ```
//!
//! # Size
//! A graph has at most [`MAX_STEPS`] nodes; a teacher with whom it would have more is left out, and [`Tree::paths`] says so.
//! So a walk asks at most `MAX_STEPS`² questions of the first round, as a pair of lists does.

mod group;
mod stored;
mod walk;

pub use group::{Choice, Crowd, Passing, Variety, Way};
pub use walk::{Followed, Walker};

use serde::{Deserialize, Serialize};

use super::MAX_STEPS;
use crate::trace::{Span, Step, StepKind, StepList, Why};

/// A sub-problem with its answer, at one point of the way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// The steps that joined it: index of the teacher and of the step in the teacher's list, in the order in which they
    /// came; never empty, and one for a teacher. The first stands for the node.
    pub members: Vec<(u32, u32)>,
    /// What comes next, in the order in which teachers went there first; never empty.
    pub next: Vec<Edge>,
}

/// A way on.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// The node that it leads to; `None` is the end of the path.
    pub to: Option<u32>,
    /// The teachers that go there, ascending.
    pub teachers: Vec<u32>,
}

/// The way of a teacher through the graph.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Path {
    /// Its nodes, in order.
    pub nodes: Vec<u32>,
    /// For each of them, the index of the teacher's step that joined it, ascending.
    pub steps: Vec<u32>,
}

/// The graph of several teachers. The same teachers in the same order and the same verdicts give the same graph.
///
/// In JSON it is `steps`, one for each node, and `paths`, one for each teacher: `nodes` with `steps`, or `left_out` with
/// the reason. To read one that makes no graph is an error.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "stored::Stored", into = "stored::Stored")]
pub struct Tree {
    steps: StepList,
    nodes: Vec<Node>,
    order: Vec<u32>,
    starts: Vec<Edge>,
    paths: Vec<Result<Path, Why>>,
}

impl Tree {
    /// The nodes; the index is their name everywhere.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A step for each node, the first that joined it; the text is the graph's own copy.
    pub fn steps(&self) -> &StepList {
        &self.steps
    }

    /// The nodes, each before those that it leads to.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// The ways on from a node; from the beginning for `None`.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn next(&self, node: Option<u32>) -> &[Edge] {
        node.map_or(&self.starts, |node| &self.nodes[node as usize].next)
    }

    /// For each teacher that was given its path, or why it has no part in the graph.
    pub fn paths(&self) -> &[Result<Path, Why>] {
        &self.paths
    }

    /// Whether no teacher has a part in it.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Why it is empty, if it is: what was wrong with the first teacher.
    pub fn why_empty(&self) -> Option<Why> {
        let why = || match self.paths.first() {
            Some(Err(why)) => why.clone(),
            _ => Why("there is no teacher trace".into()),
        };
        self.is_empty().then(why)
    }

    /// Counts a teacher that has no part in the graph.
    pub fn leave_out(&mut self, why: Why) {
        self.paths.push(Err(why));
    }

    /// Adds a teacher: for each of its steps that count the index, and the node that it joins, if any. The nodes lie on
    /// one path, in order.
    fn add(&mut self, list: &StepList, joined: &[(u32, Option<u32>)]) -> Result<(), Why> {
        let new = joined.iter().filter(|(_, node)| node.is_none()).count();
        if self.nodes.len() + new > MAX_STEPS {
            let why =
                Why(format!("with it, the tree of the teachers would have more than {MAX_STEPS} nodes"));
            self.leave_out(why.clone());
            return Err(why);
        }
        let mut path = Path::default();
        for &(step, node) in joined {
            path.nodes.push(node.unwrap_or_else(|| {
                let copied = copy(&list.steps[step as usize], &list.text, &mut self.steps.text);
                self.steps.steps.push(copied);
                self.steps.steps.len() as u32 - 1
            }));
            path.steps.push(step);
        }
        self.lay(path);
        Ok(())
    }

    /// Lays the path of the next teacher. Its nodes are those that are there, in their order, and between them new ones,
    /// numbered on.
    fn lay(&mut self, path: Path) {
        let teacher = self.paths.len() as u32;
        let mut placed: Vec<u32> = Vec::with_capacity(self.nodes.len() + path.nodes.len());
        let order = std::mem::take(&mut self.order);
        let mut waiting = order.into_iter();
        for (&node, &step) in path.nodes.iter().zip(&path.steps) {
            if node as usize == self.nodes.len() {
                self.nodes.push(Node::default());
            } else {
                // The order stays: all up to the node that is joined, then what is new behind it.
                placed.extend(waiting.by_ref().take_while(|other| *other != node));
            }
            placed.push(node);
            self.nodes[node as usize].members.push((teacher, step));
        }
        placed.extend(waiting);
        self.order = placed;
        let mut from = None;
        for to in path.nodes.iter().map(|node| Some(*node)).chain([None]) {
            let edges = match from {
                None => &mut self.starts,
                Some(node) => &mut self.nodes[node as usize].next,
            };
            match edges.iter_mut().find(|edge| edge.to == to) {
                Some(edge) => edge.teachers.push(teacher),
                None => edges.push(Edge { to, teachers: vec![teacher] }),
            }
            from = to;
        }
        self.paths.push(Ok(path));
    }
}

/// Copies the parts of a step behind `text`.
fn copy(step: &Step, from: &str, text: &mut String) -> Step {
    let mut part = |span: Span| {
        let start = text.len();
        text.push_str(span.of(from));
        let copied = Span::new(start, text.len());
        if !copied.is_empty() {
            text.push('\n');
        }
        copied
    };
    let [meta, sub_problem, answer] = [step.meta, step.sub_problem, step.answer].map(&mut part);
    Step { meta, sub_problem, answer, kind: StepKind::Progress }
}
