//! Intervals with floats for ends.
//!
//! Sums, products, quotients and square roots of floats are rounded correctly, so the next float outwards is a bound. The
//! functions are those of the `libm` crate, which are the same on every machine and err by less than 2 units of the last
//! place; their results are widened by 2^-46 of their size, 64 times as much.

use std::cmp::Ordering;

use dashu_ratio::RBig;

use super::interval::{Interval, LARGEST_ANGLE};

/// Arithmetic of floats.
#[derive(Clone, Copy)]
pub(in crate::answer) struct Narrow;

/// A number between two floats, which are finite.
#[derive(Clone, Copy, Debug)]
pub(in crate::answer) struct Real {
    lo: f64,
    hi: f64,
}

/// How far a function may err, in parts of its value.
const ERROR: f64 = 1.0 / (1u64 << 46) as f64;

fn between(lo: f64, hi: f64) -> Option<Real> {
    (lo.is_finite() && hi.is_finite()).then_some(Real { lo, hi })
}

/// Outwards from results that were rounded correctly.
fn rounded(lo: f64, hi: f64) -> Option<Real> {
    between(lo.next_down(), hi.next_up())
}

/// Outwards from results of functions.
fn widened(lo: f64, hi: f64) -> Option<Real> {
    between((lo - lo.abs() * ERROR).next_down(), (hi + hi.abs() * ERROR).next_up())
}

/// Slopes are at most 1, so the value at one end gives the others, wider by the width.
fn gentle(a: &Real, function: fn(f64) -> f64) -> Option<Real> {
    if a.lo.abs() > LARGEST_ANGLE || a.hi.abs() > LARGEST_ANGLE {
        return None;
    }
    let (at, width) = (function(a.lo), (a.hi - a.lo).next_up());
    // Near a zero the error is one of the reduced argument: 1 instead of the value.
    between((at - width - ERROR).next_down(), (at + width + ERROR).next_up())
}

impl Narrow {
    /// The middle of an interval that is narrower than anybody writes numbers: a billionth of its size.
    pub fn middle(self, a: &Real) -> Option<f64> {
        let middle = a.lo + (a.hi - a.lo) / 2.0;
        (a.hi - a.lo <= 1e-9 * middle.abs()).then_some(middle)
    }
}

impl Interval for Narrow {
    type Real = Real;

    fn cost(&self) -> u64 {
        1
    }

    fn whole(&self, n: i64) -> Real {
        let value = n as f64;
        if n.unsigned_abs() < 1 << 53 {
            Real { lo: value, hi: value }
        } else {
            Real { lo: value.next_down(), hi: value.next_up() }
        }
    }

    fn dyadic(&self, n: i64, exponent: i32) -> Real {
        let value = n as f64 * 2f64.powi(exponent);
        Real { lo: value, hi: value }
    }

    fn rational(&self, value: &RBig) -> Option<Real> {
        if let Some(whole) = super::exact::integer(value) {
            return Some(self.whole(whole));
        }
        let value = value.to_f64().value();
        rounded(value, value)
    }

    fn pi(&self) -> Option<Real> {
        Some(Real { lo: std::f64::consts::PI, hi: std::f64::consts::PI.next_up() })
    }

    fn neg(&self, a: &Real) -> Real {
        Real { lo: -a.hi, hi: -a.lo }
    }

    fn add(&self, a: &Real, b: &Real) -> Option<Real> {
        if a.lo == 0.0 && a.hi == 0.0 {
            return Some(*b);
        }
        if b.lo == 0.0 && b.hi == 0.0 {
            return Some(*a);
        }
        rounded(a.lo + b.lo, a.hi + b.hi)
    }

    fn mul(&self, a: &Real, b: &Real) -> Option<Real> {
        let one = |a: &Real| a.lo == 1.0 && a.hi == 1.0;
        let zero = |a: &Real| a.lo == 0.0 && a.hi == 0.0;
        if one(a) || zero(b) {
            return Some(*b);
        }
        if one(b) || zero(a) {
            return Some(*a);
        }
        let ends = [a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi];
        rounded(
            ends.into_iter().fold(f64::INFINITY, f64::min),
            ends.into_iter().fold(f64::NEG_INFINITY, f64::max),
        )
    }

    fn inv(&self, a: &Real) -> Option<Real> {
        if a.lo <= 0.0 && a.hi >= 0.0 {
            return None;
        }
        rounded(1.0 / a.hi, 1.0 / a.lo)
    }

    fn sqrt(&self, a: &Real) -> Option<Real> {
        if a.lo < 0.0 {
            return None;
        }
        let root = rounded(a.lo.sqrt(), a.hi.sqrt())?;
        Some(Real { lo: root.lo.max(0.0), ..root })
    }

    fn root(&self, degree: u32, a: &Real) -> Option<Real> {
        if a.lo <= 0.0 {
            return (a.lo == 0.0 && a.hi == 0.0).then_some(*a);
        }
        let part = self.inv(&self.whole(degree.into()))?;
        self.exp(&self.mul(&self.ln(a)?, &part)?)
    }

    fn exp(&self, a: &Real) -> Option<Real> {
        let found = widened(libm::exp(a.lo), libm::exp(a.hi))?;
        Some(Real { lo: found.lo.max(0.0), ..found })
    }

    fn ln(&self, a: &Real) -> Option<Real> {
        if a.lo <= 0.0 { None } else { widened(libm::log(a.lo), libm::log(a.hi)) }
    }

    fn atan(&self, a: &Real) -> Option<Real> {
        widened(libm::atan(a.lo), libm::atan(a.hi))
    }

    fn asin(&self, a: &Real) -> Option<Real> {
        if a.lo < -1.0 || a.hi > 1.0 { None } else { widened(libm::asin(a.lo), libm::asin(a.hi)) }
    }

    fn acos(&self, a: &Real) -> Option<Real> {
        if a.lo < -1.0 || a.hi > 1.0 { None } else { widened(libm::acos(a.hi), libm::acos(a.lo)) }
    }

    fn sin(&self, a: &Real) -> Option<Real> {
        gentle(a, libm::sin)
    }

    fn cos(&self, a: &Real) -> Option<Real> {
        gentle(a, libm::cos)
    }

    fn floor(&self, a: &Real) -> Option<Real> {
        let (lo, hi) = (a.lo.floor(), a.hi.floor());
        (lo == hi).then_some(Real { lo, hi })
    }

    fn max(&self, a: &Real, b: &Real) -> Real {
        Real { lo: a.lo.max(b.lo), hi: a.hi.max(b.hi) }
    }

    fn min(&self, a: &Real, b: &Real) -> Real {
        Real { lo: a.lo.min(b.lo), hi: a.hi.min(b.hi) }
    }

    fn abs(&self, a: &Real) -> Real {
        if a.lo >= 0.0 {
            *a
        } else if a.hi <= 0.0 {
            self.neg(a)
        } else {
            Real { lo: 0.0, hi: a.hi.max(-a.lo) }
        }
    }

    fn sign(&self, a: &Real) -> Option<Ordering> {
        if a.lo > 0.0 {
            Some(Ordering::Greater)
        } else if a.hi < 0.0 {
            Some(Ordering::Less)
        } else if a.lo == 0.0 && a.hi == 0.0 {
            Some(Ordering::Equal)
        } else {
            None
        }
    }

    fn are_apart(&self, a: &Real, b: &Real) -> bool {
        a.hi < b.lo || b.hi < a.lo
    }
}
