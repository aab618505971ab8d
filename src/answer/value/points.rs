//! Values of expressions as intervals, at points that are drawn for their variables.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use dashu_int::UBig;
use dashu_ratio::RBig;
use rustc_hash::FxHasher;

use super::exact::{exact, integer};
use super::interval::{Complex, Interval};
use super::residue::Point;
use crate::answer::budget::Budget;
use crate::answer::read::expr::{Big, Expr, Func, Id, Node};

/// Most terms of a sum or product that are added up.
const MOST_TERMS: i64 = 2_000;

/// Values of an expression at one point.
pub(in crate::answer) struct Valuer<'a, P: Interval> {
    expr: &'a Expr,
    p: P,
    /// Which point.
    draw: u64,
    budget: &'a mut Budget,
    bound: Vec<(u32, Complex<P::Real>)>,
}

impl<'a, P: Interval> Valuer<'a, P> {
    pub fn new(expr: &'a Expr, p: P, draw: u64, budget: &'a mut Budget) -> Self {
        Valuer { expr, p, draw, budget, bound: Vec::new() }
    }

    /// The value of a node, if it has one here and the budget is not spent.
    pub fn value(&mut self, id: Id) -> Option<Complex<P::Real>> {
        let cost = self.p.cost();
        self.budget.spend(cost).ok()?;
        let (expr, p) = (self.expr, self.p);
        let real = |value: P::Real| Some(Complex::real(value));
        match expr.node(id) {
            Node::Number { at, .. } => real(p.rational(expr.value(at))?),
            Node::Symbol(name) => {
                if let Some((_, value)) = self.bound.iter().rev().find(|(bound, _)| *bound == name) {
                    return Some(value.clone());
                }
                real(self.drawn(("symbol", expr.named(name)), self.signs()))
            }
            Node::Pi => {
                self.budget.spend(20 * cost).ok()?;
                real(p.pi()?)
            }
            Node::E => {
                self.budget.spend(20 * cost).ok()?;
                real(p.exp(&p.whole(1))?)
            }
            Node::I => Some(Complex { re: p.whole(0), im: Some(p.whole(1)) }),
            Node::Neg(a) => Some(p.cneg(&self.value(a)?)),
            Node::Add(kids) => {
                let mut sum = Complex::real(p.whole(0));
                for &kid in expr.kids(kids) {
                    sum = p.cadd(&sum, &self.value(kid)?)?;
                }
                Some(sum)
            }
            Node::Mul(kids) => {
                let mut product = Complex::real(p.whole(1));
                for &kid in expr.kids(kids) {
                    product = p.cmul(&product, &self.value(kid)?)?;
                }
                Some(product)
            }
            Node::Div(a, b) => {
                let (a, b) = (self.value(a)?, self.value(b)?);
                p.cmul(&a, &p.cinv(&b)?)
            }
            Node::Pow(a, b) => self.power(a, b),
            Node::Root(n, x) => {
                let x = self.value(x)?;
                let degree = exact(expr, n, self.budget)?;
                self.rational_power(&x, &(RBig::ONE / (!degree.is_zero()).then_some(degree)?))
            }
            Node::Percent(a) => {
                let hundredth = p.rational(&RBig::from_parts(1.into(), 100u8.into()))?;
                p.cmul(&self.value(a)?, &Complex::real(hundredth))
            }
            Node::Degrees(a) => {
                let part = p.div(&p.pi()?, &p.whole(180))?;
                p.cmul(&self.value(a)?, &Complex::real(part))
            }
            Node::Unit(_, name) if expr.named(name).starts_with("base ") => {
                real(p.rational(&exact(expr, id, self.budget)?)?)
            }
            Node::Unit(a, _) => self.value(a),
            Node::Call(func, kids) => {
                self.budget.spend(40 * cost).ok()?;
                self.call(id, func, expr.kids(kids))
            }
            Node::Named(name, kids) => {
                let mut key = vec![];
                for &kid in expr.kids(kids) {
                    key.push(Point::new(expr, 0, self.budget).value(kid)?.value);
                }
                real(self.drawn(("named", expr.named(name), key), Signs::Either))
            }
            Node::Big(big, kids) => self.big(id, big, expr.kids(kids)),
            _ => None,
        }
    }

    /// Variables are above 0 at the first point, below at the second, either at the third, and so on.
    fn signs(&self) -> Signs {
        match self.draw % 3 {
            0 => Signs::Positive,
            1 => Signs::Negative,
            _ => Signs::Either,
        }
    }

    /// A number between 1/4 and 4 at the first points, or its negative, for a name.
    fn drawn(&self, key: impl Hash, signs: Signs) -> P::Real {
        let mut hasher = FxHasher::default();
        self.draw.hash(&mut hasher);
        key.hash(&mut hasher);
        let hash = hasher.finish().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let size = (1 << 18) + ((hash >> 24) % (15 << 18)) as i64;
        let negative = match signs {
            Signs::Positive => false,
            Signs::Negative => true,
            Signs::Either => hash >> 63 == 1,
        };
        // From the 9th point on larger and smaller ones by turns, for those who look further.
        let step = 2 * (self.draw / 8).min(12) as i32;
        let exponent = -20 + if self.draw % 4 == 3 { -step } else { step };
        self.p.dyadic(if negative { -size } else { size }, exponent)
    }

    fn power(&mut self, a: Id, b: Id) -> Option<Complex<P::Real>> {
        let p = self.p;
        let exponent = if self.bound.is_empty() { exact(self.expr, b, self.budget) } else { None };
        if self.expr.node(a) == Node::E {
            let exponent = self.value(b)?;
            return p.cexp(&exponent);
        }
        let base = self.value(a)?;
        if let Some(exponent) = exponent {
            return self.rational_power(&base, &exponent);
        }
        let exponent = self.value(b)?;
        p.cpow(&base, &exponent)
    }

    /// Roots of odd degree of negative numbers are real.
    fn rational_power(&mut self, base: &Complex<P::Real>, exponent: &RBig) -> Option<Complex<P::Real>> {
        let p = self.p;
        if exponent.is_zero() {
            return Some(Complex::real(p.whole(1)));
        }
        let top = i64::try_from(exponent.numerator()).ok()?;
        let size = top.unsigned_abs();
        let result = if exponent.denominator() == &UBig::ONE {
            if size > 1 << 32 {
                return None;
            }
            p.cpowi(base, size)?
        } else {
            let bottom = u32::try_from(exponent.denominator()).ok().filter(|bottom| *bottom <= 1_000)?;
            let is_zero = base.im.is_none() && p.sign(&base.re) == Some(Ordering::Equal);
            if is_zero {
                return (top > 0).then(|| Complex::real(p.whole(0)));
            }
            let root = if bottom == 2 {
                p.csqrt(base)?
            } else {
                let sign = if base.im.is_none() { p.sign(&base.re) } else { None };
                match sign {
                    Some(Ordering::Less) if bottom % 2 == 1 => {
                        p.cneg(&Complex::real(p.root(bottom, &p.neg(&base.re))?))
                    }
                    Some(Ordering::Greater) => Complex::real(p.root(bottom, &base.re)?),
                    _ => {
                        let part = Complex::real(p.rational(&RBig::from_parts(1.into(), bottom.into()))?);
                        p.cpow(base, &part)?
                    }
                }
            };
            p.cpowi(&root, size)?
        };
        if top < 0 { p.cinv(&result) } else { Some(result) }
    }

    fn call(&mut self, id: Id, func: Func, args: &[Id]) -> Option<Complex<P::Real>> {
        let p = self.p;
        let real = |value: P::Real| Some(Complex::real(value));
        if self.bound.is_empty()
            && let Some(value) = exact(self.expr, id, self.budget)
        {
            return real(p.rational(&value)?);
        }
        let mut values = Vec::with_capacity(args.len());
        for &arg in args {
            values.push(self.value(arg)?);
        }
        let reals: Option<Vec<&P::Real>> =
            values.iter().map(|value| value.im.is_none().then_some(&value.re)).collect();
        let quotient = |a: &Complex<P::Real>, b: &Complex<P::Real>| p.cmul(a, &p.cinv(b)?);
        match (func, &values[..]) {
            (Func::Sin, [x]) => return p.csin(x),
            (Func::Cos, [x]) => return p.ccos(x),
            (Func::Tan, [x]) => return quotient(&p.csin(x)?, &p.ccos(x)?),
            (Func::Cot, [x]) => return quotient(&p.ccos(x)?, &p.csin(x)?),
            (Func::Sec, [x]) => return p.cinv(&p.ccos(x)?),
            (Func::Csc, [x]) => return p.cinv(&p.csin(x)?),
            (Func::Sinh, [x]) => return p.chyperbolic(x).map(|[sinh, _]| sinh),
            (Func::Cosh, [x]) => return p.chyperbolic(x).map(|[_, cosh]| cosh),
            (Func::Tanh, [x]) => {
                let [sinh, cosh] = p.chyperbolic(x)?;
                return quotient(&sinh, &cosh);
            }
            (Func::Coth, [x]) => {
                let [sinh, cosh] = p.chyperbolic(x)?;
                return quotient(&cosh, &sinh);
            }
            (Func::Ln, [x]) => return p.cln(x),
            (Func::Log, [base, x]) => return quotient(&p.cln(x)?, &p.cln(base)?),
            (Func::Abs, [x]) => return real(p.cabs(x)?),
            (Func::Re, [x]) => return real(x.re.clone()),
            (Func::Im, [x]) => return real(p.im(x)),
            (Func::Arg, [x]) => return real(p.angle(x)?),
            _ => {}
        }
        let one = p.whole(1);
        match (func, &reals?[..]) {
            (Func::Asin, [x]) => real(p.asin(x)?),
            (Func::Acos, [x]) => real(p.acos(x)?),
            (Func::Atan, [x]) => real(p.atan(x)?),
            (Func::Acot, [x]) => {
                let half = p.mul(&p.pi()?, &p.dyadic(1, -1))?;
                real(p.sub(&half, &p.atan(x)?)?)
            }
            // ln(x + √(x² + 1)), ln(x + √(x² − 1)), ½ ln((1 + x) / (1 − x))
            (Func::Asinh, [x]) => real(p.ln(&p.add(x, &p.sqrt(&p.add(&p.powi(x, 2)?, &one)?)?)?)?),
            (Func::Acosh, [x]) => {
                p.sign(&p.sub(x, &one)?).filter(|sign| *sign != Ordering::Less)?;
                real(p.ln(&p.add(x, &p.sqrt(&p.sub(&p.powi(x, 2)?, &one)?)?)?)?)
            }
            (Func::Atanh, [x]) => {
                let inner = p.div(&p.add(&one, x)?, &p.sub(&one, x)?)?;
                real(p.mul(&p.ln(&inner)?, &p.dyadic(1, -1))?)
            }
            (Func::Floor, [x]) => real(p.floor(x)?),
            (Func::Ceil, [x]) => real(p.neg(&p.floor(&p.neg(x))?)),
            (Func::Max, [first, rest @ ..]) => real(rest.iter().fold((*first).clone(), |a, b| p.max(&a, b))),
            (Func::Min, [first, rest @ ..]) => real(rest.iter().fold((*first).clone(), |a, b| p.min(&a, b))),
            (Func::Mod, [x, y]) => real(p.sub(x, &p.mul(y, &p.floor(&p.div(x, y)?)?)?)?),
            // What has no value here has at least one name.
            (Func::Gcd | Func::Lcm | Func::Binomial | Func::Factorial, _) => {
                let key = Point::new(self.expr, 0, self.budget).value(id)?.value;
                real(self.drawn(("value", key), Signs::Positive))
            }
            _ => None,
        }
    }

    fn big(&mut self, id: Id, big: Big, parts: &[Id]) -> Option<Complex<P::Real>> {
        let &[variable, from, to, body] = parts else { return None };
        let ends = [from, to].map(|end| exact(self.expr, end, self.budget).and_then(|end| integer(&end)));
        if let (Big::Sum | Big::Product, Node::Symbol(name), [Some(from), Some(to)]) =
            (big, self.expr.node(variable), ends)
            && to.checked_sub(from)? <= MOST_TERMS
        {
            let p = self.p;
            let mut total = Complex::real(p.whole(i64::from(big == Big::Product)));
            for n in from..=to {
                self.bound.push((name, Complex::real(p.whole(n))));
                let term = self.value(body);
                self.bound.pop();
                let term = term?;
                total = if big == Big::Sum { p.cadd(&total, &term)? } else { p.cmul(&total, &term)? };
            }
            return Some(total);
        }
        // Equal sums have equal names; of others nothing is known.
        let key = Point::new(self.expr, 0, self.budget).value(id)?.value;
        Some(Complex::real(self.drawn(("big", key), Signs::Positive)))
    }
}

#[derive(Clone, Copy)]
enum Signs {
    Positive,
    Negative,
    Either,
}
