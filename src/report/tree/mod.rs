//! The tree of a sample's teachers, for people: in the terminal, as a drawing, as JSON.

mod json;
mod svg;
mod terminal;

pub use json::json;
pub(super) use svg::drawing;
pub use svg::svg;
pub use terminal::text;

use super::escape::{line, prefix};
use crate::align::tree::{Crowd, Tree, Variety};
use crate::trace::Span;

/// What is shown.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The sample's id.
    pub id: &'a str,
    /// The problem; may be empty.
    pub problem: &'a str,
    /// Whose paths the tree is made of, in the plural: `teachers` or `students`.
    pub of: &'a str,
    /// The tree.
    pub tree: &'a Tree,
    /// The students along it, if there are any.
    pub crowd: Option<&'a Crowd>,
    /// How differently the students reason, as a group of their own.
    pub students: Option<&'a Variety>,
    /// Reasons why students could not be scored, with how many it is.
    pub unscored: &'a [(String, usize)],
}

/// Bytes of a text that are looked at to show it in a line.
const MOST_BYTES: usize = 600;

impl View<'_> {
    /// Sub-problem and answer of a node, each fit for one line; empty where it has none. The meta-reasoning stands for a
    /// sub-problem that is not stated.
    fn words(&self, node: u32) -> [String; 2] {
        let steps = self.tree.steps();
        let step = &steps.steps[node as usize];
        let part = |span: Span| line(prefix(span.of(&steps.text), MOST_BYTES));
        let asked = if step.sub_problem.is_empty() { step.meta } else { step.sub_problem };
        [part(asked), part(step.answer)]
    }

    /// Teachers that take a node.
    fn members(&self, node: u32) -> u32 {
        self.tree.nodes()[node as usize].members.len() as u32
    }

    /// Students that go from one node to another, or begin or end so; 0 where there are none.
    fn moved(&self, from: Option<u32>, to: Option<u32>) -> u32 {
        self.crowd.map_or(0, |crowd| crowd.moved(from, to))
    }

    /// The singular of who made the tree.
    fn one(&self) -> &str {
        self.of.strip_suffix('s').unwrap_or(self.of)
    }

    /// "3 teachers", "1 teacher".
    fn makers(&self, number: u32) -> String {
        if number == 1 { format!("1 {}", self.one()) } else { format!("{number} {}", self.of) }
    }
}

/// "3 students", "1 student".
fn students(number: u32) -> String {
    if number == 1 { "1 student".into() } else { format!("{number} students") }
}
