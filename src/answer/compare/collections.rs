//! Lists, sets, tuples, intervals and ratios; signs ±; words.

use std::cmp::Ordering;

use dashu_int::UBig;
use dashu_ratio::RBig;

use super::{Comparer, Reason, spaceless};
use crate::answer::read::expr::{Expr, Id, Kids, Node};
use crate::answer::value::exact::exact;
use crate::answer::value::interval::Interval;
use crate::answer::value::points::Valuer;
use crate::answer::value::wide::Wide;

/// Most items that are matched in any order.
const MOST_ITEMS: usize = 2_000;

impl Comparer<'_> {
    pub(super) fn in_order(&mut self, a: Kids, b: Kids) -> bool {
        let (a, b) = (self.items(a), self.items(b));
        a.into_iter().zip(b).all(|(a, b)| self.same(a, b))
    }

    pub(super) fn in_any_order(&mut self, a: &[Id], b: &[Id]) -> bool {
        let (mut all_a, mut all_b) = (Vec::new(), Vec::new());
        for (from, to) in [(a, &mut all_a), (b, &mut all_b)] {
            for &id in from {
                let has_sign = self.expr.any(id, |node| matches!(node, Node::PlusMinus(..)));
                match if has_sign { self.expanded(id) } else { None } {
                    Some(many) => to.extend(many),
                    None => to.push(id),
                }
            }
        }
        if all_a.len() > MOST_ITEMS || all_b.len() > MOST_ITEMS {
            return self.no(Reason::NotShown);
        }
        if all_a.len() != all_b.len() {
            self.distinct(&mut all_a);
            self.distinct(&mut all_b);
        }
        if all_a.len() != all_b.len() {
            return self.no(Reason::Counts);
        }
        // Most lists come in the same order.
        for (at, &gold) in all_a.iter().enumerate() {
            let order = (at..all_b.len()).collect::<Vec<_>>();
            let Some(found) = order.into_iter().find(|&other| self.same(gold, all_b[other])) else {
                return false;
            };
            all_b[at..=found].rotate_right(1);
        }
        true
    }

    pub(super) fn distinct(&mut self, items: &mut Vec<Id>) {
        let mut kept: Vec<Id> = Vec::with_capacity(items.len());
        for &item in items.iter() {
            if !kept.iter().any(|&before| self.same(before, item)) {
                kept.push(item);
            }
        }
        *items = kept;
    }

    /// With + and with − for ±, both linked; the items of a list; `None` if it is too much.
    pub(super) fn expanded(&mut self, id: Id) -> Option<Vec<Id>> {
        if !self.expr.any(id, |node| matches!(node, Node::PlusMinus(..))) {
            return Some(match self.expr.node(id) {
                Node::List(kids) | Node::Set(kids) => self.items(kids),
                _ => vec![id],
            });
        }
        let (mut depth, mut out) = (0, Vec::new());
        for plus in [true, false] {
            out.push(self.signed(id, plus, &mut depth)?);
        }
        Some(out)
    }

    pub(super) fn signed(&mut self, id: Id, plus: bool, depth: &mut u32) -> Option<Id> {
        self.budget.spend(1).ok()?;
        if *depth > 200 {
            return None;
        }
        *depth += 1;
        let node = self.expr.node(id);
        let many = |this: &mut Self, kids: Kids, depth: &mut u32| {
            let mut out = Vec::new();
            for kid in this.items(kids) {
                out.push(this.signed(kid, plus, depth)?);
            }
            Some(this.expr.list(&out))
        };
        let new = match node {
            Node::PlusMinus(a, b, flipped) => {
                let (a, b) = (self.signed(a, plus, depth)?, self.signed(b, plus, depth)?);
                let b = if plus == flipped { self.expr.push(Node::Neg(b)) } else { b };
                let kids = self.expr.list(&[a, b]);
                Node::Add(kids)
            }
            Node::Neg(a) => Node::Neg(self.signed(a, plus, depth)?),
            Node::Percent(a) => Node::Percent(self.signed(a, plus, depth)?),
            Node::Degrees(a) => Node::Degrees(self.signed(a, plus, depth)?),
            Node::Unit(a, name) => Node::Unit(self.signed(a, plus, depth)?, name),
            Node::Div(a, b) => Node::Div(self.signed(a, plus, depth)?, self.signed(b, plus, depth)?),
            Node::Pow(a, b) => Node::Pow(self.signed(a, plus, depth)?, self.signed(b, plus, depth)?),
            Node::Root(a, b) => Node::Root(a, self.signed(b, plus, depth)?),
            Node::Relation(op, a, b) => Node::Relation(op, a, self.signed(b, plus, depth)?),
            Node::Add(kids) => Node::Add(many(self, kids, depth)?),
            Node::Mul(kids) => Node::Mul(many(self, kids, depth)?),
            Node::Call(func, kids) => Node::Call(func, many(self, kids, depth)?),
            Node::Tuple(open, close, kids) => Node::Tuple(open, close, many(self, kids, depth)?),
            other => other,
        };
        *depth -= 1;
        Some(self.expr.push(new))
    }

    /// Unions of intervals and sets, by their parts.
    pub(super) fn same_sets(&mut self, gold: Id, other: Id) -> bool {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        if self.parts(gold, &mut a).is_none() || self.parts(other, &mut b).is_none() {
            // By their form.
            return match (self.expr.node(gold), self.expr.node(other)) {
                (Node::SetOp(op, a, b), Node::SetOp(with, c, d)) if op == with => {
                    self.same(a, c) && self.same(b, d)
                }
                _ => self.no(Reason::Kinds),
            };
        }
        self.in_any_order(&a, &b)
    }

    pub(super) fn parts(&mut self, id: Id, out: &mut Vec<Id>) -> Option<()> {
        match self.expr.node(id) {
            Node::SetOp('∪', a, b) => {
                self.parts(a, out)?;
                self.parts(b, out)
            }
            Node::Set(kids) => {
                out.extend(self.items(kids));
                Some(())
            }
            Node::Tuple(_, _, kids) if kids.count == 2 => {
                out.push(id);
                Some(())
            }
            Node::Empty => Some(()),
            Node::SetOp('∖', a, b) => {
                let is_all = self.is_all(a);
                let Node::Set(without) = self.expr.node(b) else { return None };
                if !is_all {
                    return None;
                }
                let mut points = self.items(without);
                let p = Wide::new(192);
                let mut values = Vec::new();
                for &point in &points {
                    let value = Valuer::new(self.expr, p, 0, &mut self.budget).value(point)?;
                    values.push((value.im.is_none() && self.expr.is_constant(point)).then_some(value.re)?);
                }
                // In their order, if it can be told of any two that are compared.
                let mut order: Vec<usize> = Vec::with_capacity(points.len());
                for (at, value) in values.iter().enumerate() {
                    self.budget.spend(64).ok()?;
                    let (mut low, mut high) = (0, order.len());
                    while low < high {
                        let middle = low.midpoint(high);
                        match p.sign(&p.sub(value, &values[order[middle]])?)? {
                            Ordering::Less => high = middle,
                            Ordering::Greater => low = middle + 1,
                            Ordering::Equal => return None,
                        }
                    }
                    order.insert(low, at);
                }
                points = order.into_iter().map(|at| points[at]).collect();
                let infinity = self.expr.push(Node::Infinity);
                let mut left = self.expr.push(Node::Neg(infinity));
                for right in points.into_iter().chain([infinity]) {
                    let kids = self.expr.list(&[left, right]);
                    out.push(self.expr.push(Node::Tuple('(', ')', kids)));
                    left = right;
                }
                Some(())
            }
            _ => None,
        }
    }

    /// Whether it is the set of all real numbers.
    pub(super) fn is_all(&self, id: Id) -> bool {
        match self.expr.node(id) {
            Node::Text(name) => {
                let name = self.expr.named(name).to_lowercase();
                matches!(name.as_str(), "r" | "all real numbers" | "all reals" | "all real")
            }
            Node::Tuple('(', ')', kids) => match *self.expr.kids(kids) {
                [low, high] => self.is_infinity(low) == Some(false) && self.is_infinity(high) == Some(true),
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether it is ∞ (`true`) or −∞.
    pub(super) fn is_infinity(&self, id: Id) -> Option<bool> {
        match self.expr.node(id) {
            Node::Infinity => Some(true),
            Node::Neg(a) => self.is_infinity(a).map(|plus| !plus),
            _ => None,
        }
    }

    pub(super) fn infinite(&mut self, gold: Id, other: Id) -> Option<bool> {
        let both = (self.is_infinity(gold), self.is_infinity(other));
        if both == (None, None) {
            return None;
        }
        Some(self.is(both.0 == both.1, Reason::Spelling, Reason::OtherNumber))
    }

    /// Letters side by side are read as a product; here they are a word.
    pub(super) fn spells(&mut self, word: u32, id: Id) -> bool {
        let mut letters = String::new();
        let spelled = self.spelled(id, &mut letters);
        let same = spelled && spaceless(self.expr.named(word)) == letters.to_lowercase();
        self.is(same, Reason::Words, Reason::OtherWords)
    }

    pub(super) fn spelled(&self, id: Id, out: &mut String) -> bool {
        match self.expr.node(id) {
            Node::Symbol(name) => out.push_str(self.expr.named(name)),
            Node::E => out.push('e'),
            Node::I => out.push('i'),
            Node::Pi => out.push_str("pi"),
            Node::Mul(kids) => return self.expr.kids(kids).iter().all(|&kid| self.spelled(kid, out)),
            _ => return false,
        }
        true
    }

    pub(super) fn quotient(&mut self, kids: Kids) -> Id {
        let sides = self.items(kids);
        self.expr.push(Node::Div(sides[0], sides[1]))
    }

    /// a:b:c and ka:kb:kc.
    pub(super) fn ratios(&mut self, a: Kids, b: Kids) -> bool {
        if a.count != b.count {
            return self.no(Reason::Counts);
        }
        let (a, b) = (self.items(a), self.items(b));
        for (x, y) in a.iter().zip(&b).skip(1) {
            let left = self.expr.list(&[a[0], *y]);
            let right = self.expr.list(&[b[0], *x]);
            let (left, right) = (self.expr.push(Node::Mul(left)), self.expr.push(Node::Mul(right)));
            // Times of the day, where 0 means nothing.
            let zero = |this: &mut Self, id| {
                exact(this.expr, id, &mut this.budget).is_some_and(|value| value.is_zero())
            };
            if [*x, *y, a[0], b[0]].into_iter().any(|id| zero(self, id)) {
                if !(self.values(a[0], b[0]) && self.values(*x, *y)) {
                    return false;
                }
            } else if !self.values(left, right) {
                return false;
            }
        }
        true
    }

    pub(super) fn percent(&mut self, inner: Id, whole: Id, other: Id) -> bool {
        if self.values(whole, other) {
            return true;
        }
        // "What percentage is it?" "10."
        let plain = |expr: &Expr, id| match expr.node(id) {
            Node::Number { at, .. } => Some(expr.value(at).clone()),
            _ => None,
        };
        let is_decimal = |value: &RBig| {
            let mut rest = value.denominator().clone();
            for prime in [2u8, 5] {
                while &rest % UBig::from(prime) == UBig::ZERO {
                    rest /= UBig::from(prime);
                }
            }
            rest == UBig::ONE
        };
        match (plain(self.expr, inner), plain(self.expr, other)) {
            (Some(a), Some(b)) if a == b && is_decimal(&a) => {
                self.is(true, Reason::PercentSign, Reason::OtherNumber)
            }
            _ => self.no(Reason::OtherNumber),
        }
    }
}
