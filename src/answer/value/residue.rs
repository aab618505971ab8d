//! Values modulo a prime: identities of rational functions without any algebra.
//!
//! Two rational functions with the same value at random points modulo a prime of 61 bits are the same, but for a chance
//! of their degree over 2^61 at each point (Schwartz and Zippel); with other values they are not the same. What is no
//! rational function (a sine, a root) is taken for a further variable, named after the values of what it is of: equal
//! values then still mean equal functions, and different ones mean nothing ([`Residue::opaque`]).

use std::hash::{Hash, Hasher};

use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;
use rustc_hash::FxHasher;

use super::exact::{exact, integer};
use crate::answer::budget::Budget;
use crate::answer::read::expr::{Expr, Func, Id, Node};

/// Primes below 2^61 that leave 1 modulo 4, so that there is a root of −1: with it.
const PRIMES: [(u64, u64); 2] = [(PRIME_A, ROOT_A), (PRIME_B, ROOT_B)];
const PRIME_A: u64 = 2_305_843_009_213_693_921;
const ROOT_A: u64 = root_of_minus_one(PRIME_A);
const PRIME_B: u64 = 2_305_843_009_213_693_693;
const ROOT_B: u64 = root_of_minus_one(PRIME_B);

/// Larger exponents are not worked with.
const LARGEST_EXPONENT: u64 = 1 << 32;

/// How many primes there are. The points with numbers that are equal modulo this have the same one.
pub(in crate::answer) const POINTS: usize = PRIMES.len();

const fn times(a: u64, b: u64, prime: u64) -> u64 {
    (a as u128 * b as u128 % prime as u128) as u64
}

const fn raised(base: u64, exponent: u64, prime: u64) -> u64 {
    let (mut result, mut base, mut exponent) = (1, base % prime, exponent);
    while exponent > 0 {
        if exponent % 2 == 1 {
            result = times(result, base, prime);
        }
        base = times(base, base, prime);
        exponent /= 2;
    }
    result
}

/// x^((p − 1) / 4) for an x that is no square.
const fn root_of_minus_one(prime: u64) -> u64 {
    let mut x = 2;
    while raised(x, (prime - 1) / 2, prime) == 1 {
        x += 1;
    }
    raised(x, (prime - 1) / 4, prime)
}

/// A value modulo a prime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::answer) struct Residue {
    pub value: u64,
    /// Whether something other than a rational function is in it.
    pub opaque: bool,
}

/// Values of an expression at one point.
pub(in crate::answer) struct Point<'a> {
    expr: &'a Expr,
    at: usize,
    prime: u64,
    budget: &'a mut Budget,
    /// Variables of sums, by name.
    bound: Vec<(u32, u64)>,
}

impl<'a> Point<'a> {
    /// The point with a number.
    pub fn new(expr: &'a Expr, at: usize, budget: &'a mut Budget) -> Self {
        Point { expr, at, prime: PRIMES[at % PRIMES.len()].0, budget, bound: Vec::new() }
    }

    /// The value of a node; `None` where it has none, or the budget is spent.
    pub fn value(&mut self, id: Id) -> Option<Residue> {
        self.budget.spend(1).ok()?;
        let expr = self.expr;
        let prime = self.prime;
        let plain = |value| Some(Residue { value, opaque: false });
        match expr.node(id) {
            Node::Number { at, .. } => plain(self.rational(expr.value(at))?),
            Node::Symbol(name) => {
                if let Some((_, value)) = self.bound.iter().rev().find(|(bound, _)| *bound == name) {
                    return plain(*value);
                }
                plain(self.hashed(("symbol", expr.named(name))))
            }
            Node::Pi => plain(self.hashed("pi")),
            Node::E => plain(self.hashed("e")),
            Node::I => plain(PRIMES[self.at % PRIMES.len()].1),
            Node::Neg(a) => {
                let a = self.value(a)?;
                Some(Residue { value: (prime - a.value) % prime, ..a })
            }
            Node::Add(kids) => {
                let mut sum = Residue { value: 0, opaque: false };
                for &kid in expr.kids(kids) {
                    let kid = self.value(kid)?;
                    sum = Residue { value: (sum.value + kid.value) % prime, opaque: sum.opaque | kid.opaque };
                }
                Some(sum)
            }
            Node::Mul(kids) => {
                let mut product = Residue { value: 1, opaque: false };
                for &kid in expr.kids(kids) {
                    let kid = self.value(kid)?;
                    product = self.product(product, kid);
                }
                Some(product)
            }
            Node::Div(a, b) => {
                let (a, b) = (self.value(a)?, self.value(b)?);
                let b = self.inverse(b)?;
                Some(self.product(a, b))
            }
            Node::Pow(a, b) => self.power(a, b),
            Node::Root(n, x) => {
                let degree = exact(expr, n, self.budget);
                let x = self.value(x)?;
                match degree {
                    Some(degree) => {
                        self.rational_power(x, &(RBig::ONE / (!degree.is_zero()).then_some(degree)?))
                    }
                    None => {
                        let n = self.value(n)?;
                        self.atom("root", &[n, x])
                    }
                }
            }
            Node::Percent(a) => {
                let a = self.value(a)?;
                let hundredth = self.inverse(Residue { value: 100, opaque: false })?;
                Some(self.product(a, hundredth))
            }
            Node::Degrees(a) => {
                let a = self.value(a)?;
                let pi = self.hashed("pi");
                let part = self.inverse(Residue { value: 180, opaque: false })?.value;
                let factor = times(pi, part, prime);
                Some(Residue { value: times(a.value, factor, prime), ..a })
            }
            Node::Unit(_, name) if expr.named(name).starts_with("base ") => {
                let value = exact(expr, id, self.budget)?;
                plain(self.rational(&value)?)
            }
            Node::Unit(a, _) => self.value(a),
            Node::Call(func, kids) => self.call(id, func, expr.kids(kids)),
            Node::Named(name, kids) => {
                let values = self.values(expr.kids(kids))?;
                self.atom(("named", expr.named(name)), &values)
            }
            Node::Big(big, kids) => {
                let &[variable, from, to, body] = expr.kids(kids) else { return None };
                let mut ends = Vec::new();
                for end in [from, to] {
                    ends.push(match expr.node(end) {
                        Node::Empty => self.atom("no bound", &[])?,
                        Node::Infinity => self.atom("infinity", &[])?,
                        Node::Neg(inner) if expr.node(inner) == Node::Infinity => {
                            self.atom("minus infinity", &[])?
                        }
                        _ => self.value(end)?,
                    });
                }
                let bound = match expr.node(variable) {
                    Node::Symbol(name) => {
                        let value = self.hashed(("bound", self.bound.len()));
                        self.bound.push((name, value));
                        true
                    }
                    _ => false,
                };
                let body = self.value(body);
                if bound {
                    self.bound.pop();
                }
                ends.push(body?);
                self.atom(("big", big), &ends)
            }
            _ => None,
        }
    }

    fn values(&mut self, ids: &[Id]) -> Option<Vec<Residue>> {
        ids.iter().map(|&id| self.value(id)).collect()
    }

    fn product(&self, a: Residue, b: Residue) -> Residue {
        Residue { value: times(a.value, b.value, self.prime), opaque: a.opaque | b.opaque }
    }

    fn inverse(&self, a: Residue) -> Option<Residue> {
        (a.value != 0).then(|| Residue { value: raised(a.value, self.prime - 2, self.prime), ..a })
    }

    fn hashed(&self, key: impl Hash) -> u64 {
        let mut hasher = FxHasher::default();
        (self.at as u64 ^ 0x9e37_79b9_7f4a_7c15).hash(&mut hasher);
        key.hash(&mut hasher);
        mixed(hasher.finish()) % self.prime
    }

    /// A further variable, named after what it is of.
    fn atom(&self, name: impl Hash, values: &[Residue]) -> Option<Residue> {
        let mut hasher = FxHasher::default();
        (self.at as u64 ^ 0x9e37_79b9_7f4a_7c15).hash(&mut hasher);
        name.hash(&mut hasher);
        for value in values {
            value.value.hash(&mut hasher);
        }
        Some(Residue { value: mixed(hasher.finish()) % self.prime, opaque: true })
    }

    fn rational(&self, value: &RBig) -> Option<u64> {
        let top = reduced(value.numerator(), self.prime);
        if value.denominator() == &UBig::ONE {
            return Some(top);
        }
        let bottom = reduced(&IBig::from(value.denominator().clone()), self.prime);
        let bottom = self.inverse(Residue { value: bottom, opaque: false })?;
        Some(times(top, bottom.value, self.prime))
    }

    fn power(&mut self, a: Id, b: Id) -> Option<Residue> {
        let exponent = if self.bound.is_empty() { exact(self.expr, b, self.budget) } else { None };
        if let Some(exponent) = exponent
            && (self.expr.node(a) != Node::E || exponent.denominator() == &UBig::ONE)
        {
            let base = self.value(a)?;
            return self.rational_power(base, &exponent);
        }
        let exponent = self.value(b)?;
        if self.expr.node(a) == Node::E {
            return self.even_or_odd("exp", exponent, Parity::Reciprocal);
        }
        let base = self.value(a)?;
        self.atom("power", &[base, exponent])
    }

    fn rational_power(&mut self, base: Residue, exponent: &RBig) -> Option<Residue> {
        let top = exponent.numerator();
        let whole = exponent.denominator() == &UBig::ONE;
        let base = if whole {
            base
        } else {
            let bottom = reduced(&IBig::from(exponent.denominator().clone()), self.prime);
            self.atom("root", &[base, Residue { value: bottom, opaque: false }])?
        };
        // By Fermat, exponents count modulo p − 1, so that an enormous one could pass for a small one.
        if i64::try_from(top).ok().is_none_or(|top| top.unsigned_abs() > LARGEST_EXPONENT) {
            let exponent = reduced(top, self.prime);
            return self.atom("enormous", &[base, Residue { value: exponent, opaque: false }]);
        }
        let size = reduced(&IBig::from(IBig::into_parts(top.clone()).1), self.prime - 1);
        let value = if base.value == 0 { 0 } else { raised(base.value, size, self.prime) };
        let result = Residue { value, ..base };
        if top.is_zero() {
            return Some(Residue { value: 1, ..base });
        }
        if top < &IBig::ZERO { self.inverse(result) } else { Some(result) }
    }

    /// A function that changes its sign with its argument, or does not, or becomes its reciprocal.
    fn even_or_odd(&self, name: &'static str, x: Residue, parity: Parity) -> Option<Residue> {
        let flipped = x.value > self.prime / 2;
        let value = if flipped { self.prime - x.value } else { x.value };
        if value == 0 {
            return Some(Residue {
                value: match parity {
                    Parity::Odd => 0,
                    Parity::Even | Parity::Reciprocal => 1,
                },
                ..x
            });
        }
        let atom = self.atom(name, &[Residue { value, ..x }])?;
        match parity {
            Parity::Odd if flipped => Some(Residue { value: (self.prime - atom.value) % self.prime, ..atom }),
            Parity::Reciprocal if flipped => self.inverse(atom),
            _ => Some(atom),
        }
    }

    fn call(&mut self, id: Id, func: Func, args: &[Id]) -> Option<Residue> {
        if self.bound.is_empty()
            && !matches!(func, Func::Sin | Func::Cos | Func::Tan | Func::Ln)
            && let Some(value) = exact(self.expr, id, self.budget)
        {
            return Some(Residue { value: self.rational(&value)?, opaque: false });
        }
        if func == Func::Factorial {
            let n = exact(self.expr, *args.first()?, self.budget).and_then(|n| integer(&n));
            if let Some(n) = n.filter(|n| *n >= 0) {
                self.budget.spend(n as u64 / 16).ok()?;
                let product = (1..=n as u64).fold(1, |product, n| times(product, n, self.prime));
                return Some(Residue { value: product, opaque: false });
            }
        }
        let values = self.values(args)?;
        let one = Residue { value: 1, opaque: false };
        let sin = |this: &Self, x| this.even_or_odd("sin", x, Parity::Odd);
        let cos = |this: &Self, x| this.even_or_odd("cos", x, Parity::Even);
        let quotient = |this: &Self, a: Option<Residue>, b: Option<Residue>| {
            let (a, b) = (a?, this.inverse(b?)?);
            Some(this.product(a, b))
        };
        match (func, &values[..]) {
            (Func::Sin, &[x]) => sin(self, x),
            (Func::Cos, &[x]) => cos(self, x),
            (Func::Tan, &[x]) => quotient(self, sin(self, x), cos(self, x)),
            (Func::Cot, &[x]) => quotient(self, cos(self, x), sin(self, x)),
            (Func::Sec, &[x]) => quotient(self, Some(one), cos(self, x)),
            (Func::Csc, &[x]) => quotient(self, Some(one), sin(self, x)),
            (Func::Sinh | Func::Cosh | Func::Tanh | Func::Coth, &[x]) => {
                let plus = self.even_or_odd("exp", x, Parity::Reciprocal)?;
                let minus = self.inverse(plus)?;
                let prime = self.prime;
                let (add, take) =
                    ((plus.value + minus.value) % prime, (plus.value + prime - minus.value) % prime);
                let of = |value| Residue { value, opaque: true };
                let two = Residue { value: 2, opaque: false };
                match func {
                    Func::Sinh => quotient(self, Some(of(take)), Some(two)),
                    Func::Cosh => quotient(self, Some(of(add)), Some(two)),
                    Func::Tanh => quotient(self, Some(of(take)), Some(of(add))),
                    _ => quotient(self, Some(of(add)), Some(of(take))),
                }
            }
            (Func::Asin, &[x]) => self.even_or_odd("asin", x, Parity::Odd),
            (Func::Atan, &[x]) => self.even_or_odd("atan", x, Parity::Odd),
            (Func::Abs, &[x]) => self
                .even_or_odd("abs", x, Parity::Even)
                .map(|found| if x.value == 0 { Residue { value: 0, ..x } } else { found }),
            (Func::Log, &[base, x]) => {
                quotient(self, self.atom(Func::Ln, &[x]), self.atom(Func::Ln, &[base]))
            }
            // Their order means nothing.
            (Func::Gcd | Func::Lcm | Func::Max | Func::Min, _) => {
                let mut values = values;
                values.sort_unstable_by_key(|value| value.value);
                values.dedup_by_key(|value| value.value);
                self.atom(func, &values)
            }
            _ => self.atom(func, &values),
        }
    }
}

#[derive(Clone, Copy)]
enum Parity {
    Odd,
    Even,
    Reciprocal,
}

fn reduced(value: &IBig, modulus: u64) -> u64 {
    if let Ok(small) = i64::try_from(value) {
        return i128::from(small).rem_euclid(i128::from(modulus)) as u64;
    }
    let rest = value % IBig::from(modulus);
    let rest = i128::try_from(&rest).unwrap_or(0);
    rest.rem_euclid(i128::from(modulus)) as u64
}

fn mixed(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
