//! Intervals with ends of many digits.
//!
//! Ends are rounded outwards by `dashu-float`, whose functions are rounded correctly in the direction that is asked for.

use std::cell::RefCell;
use std::cmp::Ordering;

use dashu_float::round::mode::{Down, Up};
use dashu_float::{ConstCache, Context, FBig, Repr};
use dashu_int::IBig;
use dashu_ratio::RBig;

use super::interval::{Interval, LARGEST_ANGLE, LARGEST_EXPONENT};

type End = Repr<2>;

thread_local! {
    /// π and logarithms that were computed before, to the most digits that were asked for.
    static CACHE: RefCell<ConstCache> = const { RefCell::new(ConstCache::new()) };
}

fn cached<T>(compute: impl FnOnce(&mut ConstCache) -> T) -> T {
    CACHE.with_borrow_mut(compute)
}

/// A real number between two ends.
#[derive(Clone, Debug)]
pub(in crate::answer) struct Real {
    lo: End,
    hi: End,
}

/// Rounding to so many bits.
#[derive(Clone, Copy)]
pub(in crate::answer) struct Wide {
    down: Context<Down>,
    up: Context<Up>,
    bits: usize,
}

fn lower(
    found: Result<
        dashu_base::Approximation<FBig<Down, 2>, dashu_float::round::Rounding>,
        dashu_float::FpError,
    >,
) -> Option<End> {
    finite(found.ok()?.value().into_repr())
}

fn upper(
    found: Result<dashu_base::Approximation<FBig<Up, 2>, dashu_float::round::Rounding>, dashu_float::FpError>,
) -> Option<End> {
    finite(found.ok()?.value().into_repr())
}

fn finite(end: End) -> Option<End> {
    end.is_finite().then_some(end)
}

fn is_negative(end: &End) -> bool {
    end.significand() < &IBig::ZERO
}

fn is_zero(end: &End) -> bool {
    end.significand().is_zero()
}

fn negated(end: &End) -> End {
    let (significand, exponent) = end.clone().into_parts();
    Repr::new(-significand, exponent)
}

fn smaller(a: End, b: End) -> End {
    if a <= b { a } else { b }
}

fn larger(a: End, b: End) -> End {
    if a >= b { a } else { b }
}

impl Wide {
    pub fn new(bits: usize) -> Self {
        Wide { down: Context::new(bits), up: Context::new(bits), bits }
    }

    /// Slopes are at most 1, so the ends of the argument's interval give the function's, wider by its width.
    fn gentle(
        &self,
        a: &Real,
        down: impl Fn(&End) -> Option<End>,
        up: impl Fn(&End) -> Option<End>,
    ) -> Option<Real> {
        if magnitude(&a.lo) > LARGEST_ANGLE || magnitude(&a.hi) > LARGEST_ANGLE {
            return None;
        }
        let width = upper(self.up.sub(&a.hi, &a.lo))?;
        let (lo, hi) = (down(&a.lo)?, up(&a.lo)?);
        Some(Real { lo: lower(self.down.sub(&lo, &width))?, hi: upper(self.up.add(&hi, &width))? })
    }

    /// Whether they differ by less than 2^-bits of their size, at most.
    pub fn are_close(&self, a: &Real, b: &Real, bits: i64) -> bool {
        let (lo, hi) = (smaller(a.lo.clone(), b.lo.clone()), larger(a.hi.clone(), b.hi.clone()));
        let Some(width) = upper(self.up.sub(&hi, &lo)) else { return false };
        if is_zero(&width) {
            return true;
        }
        let size = exponent(&larger(negated(&lo), hi)).max(0);
        exponent(&width) <= size - bits
    }

    /// |a − b| compared with `limit`, if it can be said.
    pub fn differ_at_most(&self, a: &Real, b: &Real, limit: &Real) -> Option<bool> {
        let difference = self.abs(&self.sub(a, b)?);
        if difference.hi <= limit.lo {
            Some(true)
        } else if difference.lo > limit.hi {
            Some(false)
        } else {
            None
        }
    }

    /// The power of ten at or below its size: 3 for 1,234 and −2 for 0.0123; `None` if it may be 0.
    pub fn decade(&self, a: &Real) -> Option<i64> {
        let size = self.abs(a);
        if is_zero(&size.lo) {
            return None;
        }
        // log10 2 = 0.30103
        let mut decade = exponent(&size.lo) * 30_103 / 100_000 - 2;
        let ten = |power: i64| {
            let power = self.powi(&self.whole(10), power.unsigned_abs())?;
            Some(power)
        };
        for _ in 0..6 {
            let next = decade + 1;
            let limit = if next >= 0 { ten(next)? } else { self.inv(&ten(next)?)? };
            if size.lo < limit.lo {
                return Some(decade);
            }
            decade = next;
        }
        None
    }
}

impl Interval for Wide {
    type Real = Real;

    fn cost(&self) -> u64 {
        1 + self.bits as u64 / 32
    }

    fn whole(&self, n: i64) -> Real {
        let end = Repr::new(IBig::from(n), 0);
        Real { lo: end.clone(), hi: end }
    }

    fn dyadic(&self, n: i64, exponent: i32) -> Real {
        let end = Repr::new(IBig::from(n), exponent as isize);
        Real { lo: end.clone(), hi: end }
    }

    fn rational(&self, value: &RBig) -> Option<Real> {
        let top = Repr::new(value.numerator().clone(), 0);
        let bottom = Repr::new(IBig::from(value.denominator().clone()), 0);
        Some(Real { lo: lower(self.down.div(&top, &bottom))?, hi: upper(self.up.div(&top, &bottom))? })
    }

    fn pi(&self) -> Option<Real> {
        cached(|cache| {
            let lo = cache.pi::<2, Down>(self.bits).value().into_repr();
            let hi = cache.pi::<2, Up>(self.bits).value().into_repr();
            Some(Real { lo, hi })
        })
    }

    fn neg(&self, a: &Real) -> Real {
        Real { lo: negated(&a.hi), hi: negated(&a.lo) }
    }

    fn add(&self, a: &Real, b: &Real) -> Option<Real> {
        Some(Real { lo: lower(self.down.add(&a.lo, &b.lo))?, hi: upper(self.up.add(&a.hi, &b.hi))? })
    }

    fn mul(&self, a: &Real, b: &Real) -> Option<Real> {
        let ends = [(&a.lo, &b.lo), (&a.lo, &b.hi), (&a.hi, &b.lo), (&a.hi, &b.hi)];
        if !is_negative(&a.lo) && !is_negative(&b.lo) {
            return Some(Real {
                lo: lower(self.down.mul(&a.lo, &b.lo))?,
                hi: upper(self.up.mul(&a.hi, &b.hi))?,
            });
        }
        let mut found: Option<Real> = None;
        for (x, y) in ends {
            let (lo, hi) = (lower(self.down.mul(x, y))?, upper(self.up.mul(x, y))?);
            found = Some(match found {
                None => Real { lo, hi },
                Some(before) => Real { lo: smaller(before.lo, lo), hi: larger(before.hi, hi) },
            });
        }
        found
    }

    fn inv(&self, a: &Real) -> Option<Real> {
        let crosses = is_zero(&a.lo) || is_zero(&a.hi) || is_negative(&a.lo) != is_negative(&a.hi);
        if crosses {
            return None;
        }
        Some(Real { lo: lower(self.down.inv(&a.hi))?, hi: upper(self.up.inv(&a.lo))? })
    }

    fn sqrt(&self, a: &Real) -> Option<Real> {
        if is_negative(&a.lo) {
            return None;
        }
        Some(Real { lo: lower(self.down.sqrt(&a.lo))?, hi: upper(self.up.sqrt(&a.hi))? })
    }

    fn root(&self, degree: u32, a: &Real) -> Option<Real> {
        if is_negative(&a.lo) {
            return None;
        }
        let degree = degree as usize;
        Some(Real {
            lo: lower(self.down.nth_root(degree, &a.lo))?,
            hi: upper(self.up.nth_root(degree, &a.hi))?,
        })
    }

    fn exp(&self, a: &Real) -> Option<Real> {
        if magnitude(&a.lo) > LARGEST_EXPONENT || magnitude(&a.hi) > LARGEST_EXPONENT {
            return None;
        }
        Some(Real {
            lo: lower(cached(|cache| self.down.exp(&a.lo, Some(cache))))?,
            hi: upper(cached(|cache| self.up.exp(&a.hi, Some(cache))))?,
        })
    }

    fn ln(&self, a: &Real) -> Option<Real> {
        if is_negative(&a.lo) || is_zero(&a.lo) {
            return None;
        }
        Some(Real {
            lo: lower(cached(|cache| self.down.ln(&a.lo, Some(cache))))?,
            hi: upper(cached(|cache| self.up.ln(&a.hi, Some(cache))))?,
        })
    }

    fn atan(&self, a: &Real) -> Option<Real> {
        Some(Real {
            lo: lower(cached(|cache| self.down.atan(&a.lo, Some(cache))))?,
            hi: upper(cached(|cache| self.up.atan(&a.hi, Some(cache))))?,
        })
    }

    fn asin(&self, a: &Real) -> Option<Real> {
        Some(Real {
            lo: lower(cached(|cache| self.down.asin(&a.lo, Some(cache))))?,
            hi: upper(cached(|cache| self.up.asin(&a.hi, Some(cache))))?,
        })
    }

    fn acos(&self, a: &Real) -> Option<Real> {
        Some(Real {
            lo: lower(cached(|cache| self.down.acos(&a.hi, Some(cache))))?,
            hi: upper(cached(|cache| self.up.acos(&a.lo, Some(cache))))?,
        })
    }

    fn sin(&self, a: &Real) -> Option<Real> {
        self.gentle(
            a,
            |x| lower(cached(|cache| self.down.sin(x, Some(cache)))),
            |x| upper(cached(|cache| self.up.sin(x, Some(cache)))),
        )
    }

    fn cos(&self, a: &Real) -> Option<Real> {
        self.gentle(
            a,
            |x| lower(cached(|cache| self.down.cos(x, Some(cache)))),
            |x| upper(cached(|cache| self.up.cos(x, Some(cache)))),
        )
    }

    fn abs(&self, a: &Real) -> Real {
        match self.sign(a) {
            Some(Ordering::Less) => self.neg(a),
            Some(_) => a.clone(),
            None => Real { lo: Repr::zero(), hi: larger(negated(&a.lo), a.hi.clone()) },
        }
    }

    fn sign(&self, a: &Real) -> Option<Ordering> {
        if is_zero(&a.lo) && is_zero(&a.hi) {
            Some(Ordering::Equal)
        } else if !is_negative(&a.lo) && !is_zero(&a.lo) {
            Some(Ordering::Greater)
        } else if is_negative(&a.hi) {
            Some(Ordering::Less)
        } else {
            None
        }
    }

    fn floor(&self, a: &Real) -> Option<Real> {
        let floor = |end: &End| FBig::<Down, 2>::from_repr(end.clone(), self.down).floor().into_repr();
        let (lo, hi) = (floor(&a.lo), floor(&a.hi));
        (lo == hi).then_some(Real { lo, hi })
    }

    fn max(&self, a: &Real, b: &Real) -> Real {
        Real { lo: larger(a.lo.clone(), b.lo.clone()), hi: larger(a.hi.clone(), b.hi.clone()) }
    }

    fn min(&self, a: &Real, b: &Real) -> Real {
        Real { lo: smaller(a.lo.clone(), b.lo.clone()), hi: smaller(a.hi.clone(), b.hi.clone()) }
    }

    fn are_apart(&self, a: &Real, b: &Real) -> bool {
        a.hi < b.lo || b.hi < a.lo
    }
}

/// The exponent of the highest bit.
fn exponent(end: &End) -> i64 {
    let bits = dashu_base::BitTest::bit_len(end.significand()) as i64;
    bits + end.exponent() as i64
}

/// About how large a number is, rounded up.
fn magnitude(end: &End) -> f64 {
    if is_zero(end) { 0.0 } else { 2f64.powi(exponent(end).clamp(-1_000, 1_000) as i32) }
}
