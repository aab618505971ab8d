//! Matrices, and sums and products of them.

use super::{Comparer, Reason};
use crate::answer::read::expr::{Id, Node};
use crate::answer::value::exact::exact;

impl Comparer<'_> {
    /// Matrices, with products and sums of them worked out.
    pub(super) fn matrices(&mut self, gold: Id, other: Id) -> bool {
        let as_matrix = |this: &mut Self, id| match this.expr.node(id) {
            Node::Tuple(_, _, kids) | Node::List(kids) => Some((None, this.items(kids))),
            _ => this.matrix(id).map(|(columns, cells)| (Some(columns), cells)),
        };
        let (Some((columns, a)), Some((with, b))) = (as_matrix(self, gold), as_matrix(self, other)) else {
            return self.no(Reason::Kinds);
        };
        let is_vector =
            |columns: Option<u32>, cells: &[Id]| columns.is_none_or(|n| n == 1 || n as usize == cells.len());
        let fits = match (columns, with) {
            (Some(a), Some(b)) => a == b,
            _ => is_vector(columns, &a) && is_vector(with, &b),
        };
        if a.len() != b.len() || !fits {
            return self.no(Reason::Counts);
        }
        a.into_iter().zip(b).all(|(a, b)| self.same(a, b))
    }

    /// Columns and cells; `None` if it is none, or too large.
    pub(super) fn matrix(&mut self, id: Id) -> Option<(u32, Vec<Id>)> {
        self.budget.spend(1).ok()?;
        match self.expr.node(id) {
            Node::Matrix(columns, kids) => Some((columns, self.items(kids))),
            Node::Neg(a) => {
                let (columns, cells) = self.matrix(a)?;
                Some((columns, cells.into_iter().map(|cell| self.expr.push(Node::Neg(cell))).collect()))
            }
            Node::Div(a, b) => {
                let (columns, cells) = self.matrix(a)?;
                Some((columns, cells.into_iter().map(|cell| self.expr.push(Node::Div(cell, b))).collect()))
            }
            Node::Add(kids) => {
                let mut sum: Option<(u32, Vec<Id>)> = None;
                for kid in self.items(kids) {
                    let (columns, cells) = self.matrix(kid)?;
                    sum = Some(match sum {
                        None => (columns, cells),
                        Some((with, before)) if with == columns && before.len() == cells.len() => {
                            let mut out = Vec::new();
                            for (a, b) in before.into_iter().zip(cells) {
                                self.budget.spend(1).ok()?;
                                let kids = self.expr.list(&[a, b]);
                                out.push(self.expr.push(Node::Add(kids)));
                            }
                            (columns, out)
                        }
                        _ => return None,
                    });
                }
                sum
            }
            Node::Mul(kids) => {
                // What is in a cell stands in many cells of the product: it is worked out at once, or does not grow.
                const MOST_FACTORS: u32 = 4;
                let mut factors = 0;
                let (mut product, mut scalars): (Option<(u32, Vec<Id>)>, Vec<Id>) = (None, Vec::new());
                for kid in self.items(kids) {
                    if !self.expr.any(kid, |node| matches!(node, Node::Matrix(..))) {
                        scalars.push(kid);
                        continue;
                    }
                    let right = self.matrix(kid)?;
                    factors += 1;
                    product = Some(match product {
                        None => right,
                        Some(left) => {
                            let (columns, cells) = self.multiplied(&left, &right)?;
                            let mut worked_out = Vec::with_capacity(cells.len());
                            for cell in cells {
                                worked_out.push(match exact(self.expr, cell, &mut self.budget) {
                                    Some(value) => self.expr.number(value, false),
                                    None if factors <= MOST_FACTORS => cell,
                                    None => return None,
                                });
                            }
                            (columns, worked_out)
                        }
                    });
                }
                let (columns, cells) = product?;
                if scalars.is_empty() {
                    return Some((columns, cells));
                }
                let mut out = Vec::new();
                for cell in cells {
                    self.budget.spend(1).ok()?;
                    let factors: Vec<Id> = scalars.iter().copied().chain([cell]).collect();
                    let kids = self.expr.list(&factors);
                    out.push(self.expr.push(Node::Mul(kids)));
                }
                Some((columns, out))
            }
            _ => None,
        }
    }

    pub(super) fn multiplied(
        &mut self,
        left: &(u32, Vec<Id>),
        right: &(u32, Vec<Id>),
    ) -> Option<(u32, Vec<Id>)> {
        let (inner, columns) = (left.0 as usize, right.0 as usize);
        if right.1.len() != inner * columns {
            return None;
        }
        let rows = left.1.len() / inner;
        let mut out = Vec::new();
        for row in 0..rows {
            for column in 0..columns {
                let mut terms = Vec::new();
                for at in 0..inner {
                    self.budget.spend(1).ok()?;
                    let kids = self.expr.list(&[left.1[row * inner + at], right.1[at * columns + column]]);
                    terms.push(self.expr.push(Node::Mul(kids)));
                }
                let kids = self.expr.list(&terms);
                out.push(self.expr.push(Node::Add(kids)));
            }
        }
        Some((right.0, out))
    }
}
