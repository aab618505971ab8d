//! Numbers and functions.

use dashu_base::Abs;
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

use super::{Comparer, Reason};
use crate::answer::read::expr::{Expr, Func, Id, Node};
use crate::answer::value::exact::{exact, exact_at};
use crate::answer::value::interval::{Complex, Interval};
use crate::answer::value::narrow::Narrow;
use crate::answer::value::points::Valuer;
use crate::answer::value::residue::{POINTS, Point};
use crate::answer::value::wide::{Real, Wide};

/// How close values at random points have to be, in bits: equal functions differ by rounding only, and others hardly come
/// that close.
const CLOSE: i64 = 160;
impl Comparer<'_> {
    /// Numbers and functions.
    pub(super) fn values(&mut self, gold: Id, other: Id) -> bool {
        // A tuple or a word in a formula has no value anywhere: it need not be looked for.
        if self.has_form(gold) || self.has_form(other) {
            return self.no(Reason::NotShown);
        }
        let exacts = (exact(self.expr, gold, &mut self.budget), exact(self.expr, other, &mut self.budget));
        if let (Some(a), Some(b)) = &exacts {
            if a == b {
                return self.is(true, Reason::Number, Reason::OtherNumber);
            }
            let rounds = self.may_round(gold, other) && self.is_rounded(a, b);
            return self.is(rounds, Reason::Rounding, Reason::OtherNumber);
        }
        if let Some(same) = self.at_whole_points(gold, other) {
            return same;
        }
        let mut opaque = false;
        for at in 0..POINTS {
            let one = Point::new(self.expr, at, &mut self.budget).value(gold);
            let two = Point::new(self.expr, at, &mut self.budget).value(other);
            let (Some(one), Some(two)) = (one, two) else { break };
            opaque |= one.opaque || two.opaque;
            if one.value != two.value {
                if opaque {
                    break;
                }
                if self.rounded_values(gold, other) {
                    return self.is(true, Reason::Rounding, Reason::OtherValues);
                }
                return self.no(Reason::OtherFunction);
            }
            if at + 1 == POINTS {
                // A multiple of all primes passes for 0 there, and nowhere else.
                let same = !self.are_apart(gold, other);
                return self.is(same, Reason::Identity, Reason::OtherValues);
            }
        }
        self.at_points(gold, other)
    }

    /// Whether a form that is no value stands in it; the bounds of sums may be such.
    fn has_form(&self, id: Id) -> bool {
        let mut found = false;
        self.expr.walk(id, &mut |node| {
            found |= node.is_form();
            !found && !matches!(node, Node::Big(..))
        });
        found
    }

    /// Functions of whole numbers, with whole numbers for their variables: different if they differ at one of them; the
    /// same if they agree at all, and have no values elsewhere. `None` where that does not decide.
    fn at_whole_points(&mut self, gold: Id, other: Id) -> Option<bool> {
        const DRAWS: u64 = 72;
        /// Constants up to here are met by what is drawn: gcd(n, 17) could be 1 at all of it.
        const LARGEST: u64 = 12;
        const ENOUGH: u32 = 8;
        let has = |expr: &Expr, funcs: &[Func]| {
            [gold, other]
                .iter()
                .any(|&id| expr.any(id, |node| matches!(node, Node::Call(func, _) if funcs.contains(&func))))
        };
        let only_whole = has(self.expr, &[Func::Gcd, Func::Lcm, Func::Binomial, Func::Factorial]);
        let in_pieces =
            has(self.expr, &[Func::Floor, Func::Ceil, Func::Mod, Func::Max, Func::Min, Func::Abs]);
        let is_constant = self.expr.is_constant(gold) && self.expr.is_constant(other);
        if is_constant || !(only_whole || in_pieces) {
            return None;
        }
        let mut agreed = 0;
        // Numbers of things are not below 0; every third draw may be.
        for draw in (0..DRAWS).filter(|draw| !only_whole || draw % 3 != 2) {
            let one = exact_at(self.expr, gold, Some(draw), &mut self.budget);
            let two = exact_at(self.expr, other, Some(draw), &mut self.budget);
            match (one, two) {
                (Some(one), Some(two)) if one == two => agreed += 1,
                (Some(_), Some(_)) => return Some(self.no(Reason::OtherValues)),
                _ => {}
            }
        }
        let is_small = [gold, other].iter().all(|&id| {
            !self.expr.any(id, |node| match node {
                Node::Number { at, .. } => self.expr.value(at).clone().abs() > RBig::from(LARGEST),
                _ => false,
            })
        });
        (only_whole && is_small && agreed >= ENOUGH)
            .then(|| self.is(true, Reason::WholeNumbers, Reason::NotShown))
    }

    pub(super) fn may_round(&self, gold: Id, other: Id) -> bool {
        self.rules.float_rounding.is_some()
            && [gold, other]
                .iter()
                .any(|&id| self.expr.any(id, |node| matches!(node, Node::Number { decimal: true, .. })))
    }

    /// Half a unit of the last decimal that counts, for a number of this decade. Below 1, leading zeros do not count.
    pub(super) fn tolerance(&self, decade: i64) -> Option<RBig> {
        let decimals = i64::from(self.rules.float_rounding?) + (-1 - decade).max(0);
        let bottom = UBig::from(10u8).pow(usize::try_from(decimals).ok().filter(|n| *n < 2_000)?);
        Some(RBig::from_parts(IBig::ONE, bottom * UBig::from(2u8)))
    }

    pub(super) fn is_rounded(&self, a: &RBig, b: &RBig) -> bool {
        let p = Wide::new(64);
        let size = a.clone().abs().max(b.clone().abs());
        let decade = p.rational(&size).and_then(|size| p.decade(&size));
        let Some(limit) = decade.and_then(|decade| self.tolerance(decade)) else { return false };
        (a - b).abs() <= limit
    }

    pub(super) fn rounded_values(&mut self, gold: Id, other: Id) -> bool {
        if !self.may_round(gold, other) || !self.expr.is_constant(gold) || !self.expr.is_constant(other) {
            return false;
        }
        let p = Wide::new(192);
        let a = Valuer::new(self.expr, p, 0, &mut self.budget).value(gold);
        let b = Valuer::new(self.expr, p, 0, &mut self.budget).value(other);
        match (a, b) {
            (Some(a), Some(b)) => self.complex_rounded(p, &a, &b),
            _ => false,
        }
    }

    pub(super) fn complex_rounded(&self, p: Wide, a: &Complex<Real>, b: &Complex<Real>) -> bool {
        let close = |a: &Real, b: &Real| {
            let size = p.max(&p.abs(a), &p.abs(b));
            let limit = p
                .decade(&size)
                .and_then(|decade| self.tolerance(decade))
                .and_then(|limit| p.rational(&limit));
            // Where nothing is known of the size, both have to be 0: what cannot be told apart is not the same.
            let limit = limit.unwrap_or_else(|| p.whole(0));
            p.differ_at_most(a, b, &limit) == Some(true)
        };
        close(&a.re, &b.re) && close(&p.im(a), &p.im(b))
    }

    /// Whether they have other values at the first point, between floats or, where those end, between more digits.
    fn are_apart(&mut self, gold: Id, other: Id) -> bool {
        let a = Valuer::new(self.expr, Narrow, 0, &mut self.budget).value(gold);
        let b = Valuer::new(self.expr, Narrow, 0, &mut self.budget).value(other);
        if let (Some(a), Some(b)) = (&a, &b) {
            return Narrow.are_apart(&a.re, &b.re) || Narrow.are_apart(&Narrow.im(a), &Narrow.im(b));
        }
        let p = Wide::new(64);
        let a = Valuer::new(self.expr, p, 0, &mut self.budget).value(gold);
        let b = Valuer::new(self.expr, p, 0, &mut self.budget).value(other);
        match (&a, &b) {
            (Some(a), Some(b)) => p.are_apart(&a.re, &b.re) || p.are_apart(&p.im(a), &p.im(b)),
            _ => false,
        }
    }

    /// At random points, with ever more digits.
    pub(super) fn at_points(&mut self, gold: Id, other: Id) -> bool {
        let constant = self.expr.is_constant(gold) && self.expr.is_constant(other);
        let imaginary = [gold, other].iter().any(|&id| self.expr.any(id, |node| node == Node::I));
        // Steps are where random points hardly are: more of them.
        let piecewise = [gold, other].iter().any(|&id| is_piecewise(self.expr, id));
        // What has no values here has names only: other names are not other values.
        let is_named = [gold, other].iter().any(|&id| {
            self.expr.any(id, |node| {
                matches!(
                    node,
                    Node::Call(Func::Gcd | Func::Lcm | Func::Binomial | Func::Factorial, _) | Node::Big(..)
                )
            })
        });
        let other_values = if is_named { Reason::NotShown } else { Reason::OtherValues };
        // Without i, points where both sides are real; if there are none, any.
        for wants_real in if imaginary || constant { [false, false] } else { [true, false] } {
            let mut agreed = 0;
            let (wanted, draws) = match (constant, piecewise) {
                (true, _) => (1, 1),
                (false, false) => (3, 16),
                (false, true) => (96, 96),
            };
            for draw in 0..draws {
                match self.at_point(gold, other, draw, wants_real, agreed < 3) {
                    Some(true) => agreed += 1,
                    Some(false) => {
                        let rounds = constant && self.rounded_values(gold, other);
                        return self.is(rounds, Reason::Rounding, other_values);
                    }
                    None => {}
                }
                if agreed >= wanted {
                    return self.is(true, Reason::Values, Reason::NotShown);
                }
            }
            if agreed > 0 {
                return self.is(true, Reason::Values, Reason::NotShown);
            }
        }
        self.no(Reason::NotShown)
    }

    pub(super) fn at_point(
        &mut self,
        gold: Id,
        other: Id,
        draw: u64,
        wants_real: bool,
        wide: bool,
    ) -> Option<bool> {
        // Floats for ends: what is apart there is apart.
        let a = Valuer::new(self.expr, Narrow, draw, &mut self.budget).value(gold);
        let b = Valuer::new(self.expr, Narrow, draw, &mut self.budget).value(other);
        if let (Some(a), Some(b)) = (&a, &b) {
            if wants_real && (a.im.is_some() || b.im.is_some()) {
                return None;
            }
            if Narrow.are_apart(&a.re, &b.re) || Narrow.are_apart(&Narrow.im(a), &Narrow.im(b)) {
                return Some(false);
            }
        }
        if !wide {
            return (a.is_some() && b.is_some()).then_some(true);
        }
        for bits in [224, 640] {
            let p = Wide::new(bits);
            let a = Valuer::new(self.expr, p, draw, &mut self.budget).value(gold)?;
            let b = Valuer::new(self.expr, p, draw, &mut self.budget).value(other)?;
            if wants_real && (a.im.is_some() || b.im.is_some()) {
                return None;
            }
            let (x, y) = (p.im(&a), p.im(&b));
            if p.are_apart(&a.re, &b.re) || p.are_apart(&x, &y) {
                return Some(false);
            }
            if p.are_close(&a.re, &b.re, CLOSE) && p.are_close(&x, &y, CLOSE) {
                return Some(true);
            }
        }
        None
    }
}

/// Whether it is made of pieces, and may agree with another function on some of them: |x|, and √(x²) as well.
pub(super) fn is_piecewise(expr: &Expr, id: Id) -> bool {
    expr.any(id, |node| match node {
        Node::Call(func, _) => {
            use Func::{Abs, Acos, Acot, Arg, Asin, Atan, Ceil, Floor, Max, Min, Mod};
            matches!(func, Floor | Ceil | Abs | Max | Min | Mod | Asin | Acos | Atan | Acot | Arg)
        }
        Node::Root(_, inner) => !expr.is_constant(inner),
        Node::Pow(base, exponent) => {
            let is_whole = matches!(expr.node(exponent), Node::Number { at, .. } if expr.value(at).is_int());
            !is_whole && !expr.is_constant(base)
        }
        _ => false,
    })
}
