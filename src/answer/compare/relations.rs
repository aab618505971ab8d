//! Equations and inequalities.

use std::cmp::Ordering;

use super::numbers::is_piecewise;
use super::{Comparer, Reason};
use crate::answer::read::expr::{Expr, Func, Id, Kids, Node};
use crate::answer::value::interval::{Complex, Interval};
use crate::answer::value::points::Valuer;
use crate::answer::value::residue::{POINTS, Point};
use crate::answer::value::wide::{Real, Wide};

impl Comparer<'_> {
    /// Whether it may stand for its value: x, f(2), |AB|, NO/BO, (p, q).
    pub(super) fn is_name(&self, id: Id) -> bool {
        let mut is = true;
        self.expr.walk(id, &mut |node| {
            let fits = match node {
                Node::Symbol(_) | Node::Named(..) | Node::Text(_) => true,
                // |AB| is a length, |x| = 5 an equation.
                Node::Call(Func::Abs, kids) => {
                    let inner = self.expr.kids(kids)[0];
                    !matches!(self.expr.node(inner), Node::Symbol(_))
                }
                Node::Mul(_) | Node::Div(..) | Node::Ratio(_) | Node::Tuple('(', ')', _) => true,
                // Names with these letters in them.
                Node::E | Node::I => matches!(self.expr.node(id), Node::Mul(_)),
                _ => false,
            };
            is &= fits;
            is && !matches!(node, Node::Named(..))
        });
        is
    }

    pub(super) fn equations(&mut self, (a, b): (Id, Id), (c, d): (Id, Id)) -> bool {
        if self.is_name(a) && self.is_name(c) {
            if self.same(a, c) {
                return self.same(b, d);
            }
            // y = 2x and f(x) = 2x.
            let stands_for = |expr: &Expr, a, c| {
                matches!((expr.node(a), expr.node(c)), (Node::Named(..), Node::Symbol(_)))
            };
            if (stands_for(self.expr, a, c) || stands_for(self.expr, c, a)) && !self.expr.is_constant(b) {
                return self.same(b, d);
            }
        }
        if let (Some(first), Some(second)) = (self.difference(a, b), self.difference(c, d))
            && self.ratio(first, second).is_some()
        {
            return self.is(true, Reason::Multiple, Reason::NotShown);
        }
        // Sets and the like on the right.
        if self.same(a, c) && self.same(b, d) {
            return true;
        }
        self.no(if self.is_name(a) && self.is_name(c) { Reason::Variables } else { Reason::NotShown })
    }

    pub(super) fn inequalities(&mut self, (op, a, b): (char, Id, Id), (with, c, d): (char, Id, Id)) -> bool {
        let below = |op| matches!(op, '<' | '≤' | '≠');
        let closed = |op| matches!(op, '≤' | '≥');
        let sides = |op, a, b| if below(op) { (a, b) } else { (b, a) };
        if closed(op) != closed(with) || (op == '≠') != (with == '≠') {
            return self.no(Reason::Relations);
        }
        let ((a, b), (c, d)) = (sides(op, a, b), sides(with, c, d));
        let (Some(first), Some(second)) = (self.difference(a, b), self.difference(c, d)) else {
            let same = self.same(a, c) && self.same(b, d);
            return self.is(same, Reason::Identity, Reason::Relations);
        };
        if self.expr.is_constant(first) && self.expr.is_constant(second) {
            let same = self.same(a, c) && self.same(b, d);
            return self.is(same, Reason::Number, Reason::Relations);
        }
        let ratio = self.ratio(first, second);
        let same = match ratio {
            Some(sign) => op == '≠' || sign == Ordering::Greater,
            None => false,
        };
        self.is(same, Reason::Multiple, Reason::Relations)
    }

    pub(super) fn chains(&mut self, a: Kids, b: Kids) -> bool {
        let (mut a, mut b) = (self.expr.kids(a).to_vec(), self.expr.kids(b).to_vec());
        if a.len() != b.len() {
            return self.no(Reason::Counts);
        }
        // From the smallest side to the largest.
        for links in [&mut a, &mut b] {
            let falls = links.iter().any(|&id| matches!(self.expr.node(id), Node::Relation('>' | '≥', ..)));
            if falls {
                links.reverse();
                for link in links.iter_mut() {
                    if let Node::Relation(op, x, y) = self.expr.node(*link) {
                        let op = match op {
                            '>' => '<',
                            '≥' => '≤',
                            op => op,
                        };
                        *link = self.expr.push(Node::Relation(op, y, x));
                    }
                }
            }
        }
        for (x, y) in a.into_iter().zip(b) {
            match (self.expr.node(x), self.expr.node(y)) {
                (Node::Relation(op, a, b), Node::Relation(with, c, d)) => {
                    if op != with {
                        return self.no(Reason::Relations);
                    }
                    if !(self.same(a, c) && self.same(b, d)) {
                        return false;
                    }
                }
                _ => return self.no(Reason::Relations),
            }
        }
        true
    }

    /// a − b, if both are numbers or functions.
    pub(super) fn difference(&mut self, a: Id, b: Id) -> Option<Id> {
        let is_value = |expr: &Expr, id| !expr.any(id, Node::is_form);
        if !is_value(self.expr, a) || !is_value(self.expr, b) {
            return None;
        }
        let minus = self.expr.push(Node::Neg(b));
        let kids = self.expr.list(&[a, minus]);
        Some(self.expr.push(Node::Add(kids)))
    }

    /// The sign of first / second, if that is a constant other than 0.
    pub(super) fn ratio(&mut self, first: Id, second: Id) -> Option<Ordering> {
        let quotient = self.expr.push(Node::Div(first, second));
        let mut opaque = false;
        for prime in 0..POINTS {
            let one = Point::new(self.expr, prime, &mut self.budget).value(quotient)?;
            let other = Point::new(self.expr, prime + POINTS, &mut self.budget).value(quotient)?;
            opaque |= one.opaque || other.opaque;
            if one.value == 0 || one.value != other.value && !one.opaque {
                return None;
            }
        }
        let in_pieces = is_piecewise(self.expr, quotient);
        let (draws, wanted) = if in_pieces { (96, 48) } else { (8, 2) };
        let p = Wide::new(if in_pieces { 128 } else { 256 });
        let mut found: Option<Real> = None;
        let mut agreed = 0;
        for draw in 0..draws {
            let value = Valuer::new(self.expr, p, draw, &mut self.budget).value(quotient);
            let Some(Complex { re, im: None }) = value else { continue };
            if let Some(before) = &found
                && opaque
            {
                if !p.are_close(before, &re, if in_pieces { 60 } else { 100 }) {
                    return None;
                }
                agreed += 1;
            }
            found = Some(re);
            if !opaque || agreed >= wanted {
                break;
            }
        }
        if opaque && agreed == 0 {
            return None;
        }
        p.sign(&found?)
    }

    /// The solutions of inequalities in one variable that stands alone, or its size does.
    pub(super) fn solved(&mut self, id: Id) -> Option<Id> {
        let links = match self.expr.node(id) {
            Node::Chain(kids) => self.expr.kids(kids).to_vec(),
            _ => vec![id],
        };
        if links.len() > 2 {
            return None;
        }
        // Below and above: the bound, and whether it counts.
        let (mut low, mut high, mut variable) = (None, None, None);
        for link in links {
            let Node::Relation(op, a, b) = self.expr.node(link) else { return None };
            let (small, large, closed) = match op {
                '<' => (a, b, false),
                '≤' => (a, b, true),
                '>' => (b, a, false),
                '≥' => (b, a, true),
                _ => return None,
            };
            let bare = |expr: &Expr, id| match expr.node(id) {
                Node::Symbol(_) => Some((id, false)),
                Node::Call(Func::Abs, kids) => {
                    let inner = expr.kids(kids)[0];
                    matches!(expr.node(inner), Node::Symbol(_)).then_some((inner, true))
                }
                _ => None,
            };
            let (name, is_low, bound) = match (bare(self.expr, small), bare(self.expr, large)) {
                (Some(name), None) => (name, false, large),
                (None, Some(name)) => (name, true, small),
                _ => return None,
            };
            if !self.expr.is_constant(bound) {
                return None;
            }
            let side = if is_low { &mut low } else { &mut high };
            if side.replace((bound, closed)).is_some() {
                return None;
            }
            let (at, sized) = name;
            match variable {
                None => variable = Some((self.expr.node(at), sized)),
                Some((node, was)) if node == self.expr.node(at) && was == sized => {}
                _ => return None,
            }
        }
        let (_, sized) = variable?;
        let infinity = self.expr.push(Node::Infinity);
        let minus = self.expr.push(Node::Neg(infinity));
        let tuple = |expr: &mut Expr, low: (Id, bool), high: (Id, bool)| {
            let kids = expr.list(&[low.0, high.0]);
            let (open, close) = (if low.1 { '[' } else { '(' }, if high.1 { ']' } else { ')' });
            expr.push(Node::Tuple(open, close, kids))
        };
        if !sized {
            return Some(tuple(self.expr, low.unwrap_or((minus, false)), high.unwrap_or((infinity, false))));
        }
        let mirrored = |expr: &mut Expr, (bound, closed): (Id, bool)| (expr.push(Node::Neg(bound)), closed);
        match (low, high) {
            (None, Some(high)) => {
                let low = mirrored(self.expr, high);
                Some(tuple(self.expr, low, high))
            }
            (Some(low), high) => {
                let high = high.unwrap_or((infinity, false));
                let (low_mirrored, high_mirrored) = (mirrored(self.expr, low), mirrored(self.expr, high));
                let left = tuple(self.expr, high_mirrored, low_mirrored);
                let right = tuple(self.expr, low, high);
                Some(self.expr.push(Node::SetOp('∪', left, right)))
            }
            (None, None) => None,
        }
    }
}
