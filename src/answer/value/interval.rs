//! Intervals: every value that a number can have lies between their ends.
//!
//! [`Interval`] is what arithmetic on ends has to do; complex numbers are built on it. There are two: `Wide`, with ends of
//! as many digits as are asked for, and `Narrow`, with floats for ends, which says "they differ" fast and leaves the rest.
//! An operation that cannot say (a division by what may be 0, a logarithm of what may be negative, an exponent too
//! large) gives nothing.

use std::cmp::Ordering;

use dashu_ratio::RBig;

/// Exponents of e beyond this are not worked with.
pub(in crate::answer) const LARGEST_EXPONENT: f64 = 100_000.0;
/// Nor angles.
pub(in crate::answer) const LARGEST_ANGLE: f64 = 1e8;

/// A complex number: a rectangle, or a line if the imaginary part is exactly 0.
#[derive(Clone, Debug)]
pub(in crate::answer) struct Complex<R> {
    pub re: R,
    pub im: Option<R>,
}

impl<R> Complex<R> {
    pub fn real(re: R) -> Self {
        Complex { re, im: None }
    }
}

/// Arithmetic of intervals.
pub(in crate::answer) trait Interval: Copy {
    type Real: Clone;

    /// What an operation costs, in steps.
    fn cost(&self) -> u64;
    fn whole(&self, n: i64) -> Self::Real;
    /// n · 2^exponent, exactly; n has at most 53 bits.
    fn dyadic(&self, n: i64, exponent: i32) -> Self::Real;
    fn rational(&self, value: &RBig) -> Option<Self::Real>;
    fn pi(&self) -> Option<Self::Real>;
    fn neg(&self, a: &Self::Real) -> Self::Real;
    fn add(&self, a: &Self::Real, b: &Self::Real) -> Option<Self::Real>;
    fn mul(&self, a: &Self::Real, b: &Self::Real) -> Option<Self::Real>;
    fn inv(&self, a: &Self::Real) -> Option<Self::Real>;
    fn sqrt(&self, a: &Self::Real) -> Option<Self::Real>;
    /// The root of this degree of a number that is not negative.
    fn root(&self, degree: u32, a: &Self::Real) -> Option<Self::Real>;
    fn exp(&self, a: &Self::Real) -> Option<Self::Real>;
    fn ln(&self, a: &Self::Real) -> Option<Self::Real>;
    fn atan(&self, a: &Self::Real) -> Option<Self::Real>;
    fn asin(&self, a: &Self::Real) -> Option<Self::Real>;
    fn acos(&self, a: &Self::Real) -> Option<Self::Real>;
    fn sin(&self, a: &Self::Real) -> Option<Self::Real>;
    fn cos(&self, a: &Self::Real) -> Option<Self::Real>;
    fn floor(&self, a: &Self::Real) -> Option<Self::Real>;
    fn max(&self, a: &Self::Real, b: &Self::Real) -> Self::Real;
    fn min(&self, a: &Self::Real, b: &Self::Real) -> Self::Real;
    fn abs(&self, a: &Self::Real) -> Self::Real;
    /// Its sign, if all values between the ends have the same.
    fn sign(&self, a: &Self::Real) -> Option<Ordering>;
    /// Whether the two have no value in common.
    fn are_apart(&self, a: &Self::Real, b: &Self::Real) -> bool;

    fn sub(&self, a: &Self::Real, b: &Self::Real) -> Option<Self::Real> {
        self.add(a, &self.neg(b))
    }

    fn div(&self, a: &Self::Real, b: &Self::Real) -> Option<Self::Real> {
        self.mul(a, &self.inv(b)?)
    }

    /// To a whole power, by squaring.
    fn powi(&self, a: &Self::Real, n: u64) -> Option<Self::Real> {
        let positive;
        let mut base = a;
        if n.is_multiple_of(2) && n > 0 {
            positive = self.abs(a);
            base = &positive;
        }
        let (mut result, mut base, mut n) = (self.whole(1), base.clone(), n);
        while n > 0 {
            if n % 2 == 1 {
                result = self.mul(&result, &base)?;
            }
            n /= 2;
            if n > 0 {
                base = self.mul(&base, &base)?;
            }
        }
        Some(result)
    }

    /// Without an imaginary part that is exactly 0.
    fn tidy(&self, re: Self::Real, im: Self::Real) -> Complex<Self::Real> {
        let im = if self.sign(&im) == Some(Ordering::Equal) { None } else { Some(im) };
        Complex { re, im }
    }

    fn cneg(&self, a: &Complex<Self::Real>) -> Complex<Self::Real> {
        Complex { re: self.neg(&a.re), im: a.im.as_ref().map(|im| self.neg(im)) }
    }

    fn cadd(&self, a: &Complex<Self::Real>, b: &Complex<Self::Real>) -> Option<Complex<Self::Real>> {
        let re = self.add(&a.re, &b.re)?;
        Some(match (&a.im, &b.im) {
            (None, None) => Complex { re, im: None },
            (Some(im), None) | (None, Some(im)) => Complex { re, im: Some(im.clone()) },
            (Some(x), Some(y)) => self.tidy(re, self.add(x, y)?),
        })
    }

    fn cmul(&self, a: &Complex<Self::Real>, b: &Complex<Self::Real>) -> Option<Complex<Self::Real>> {
        Some(match (&a.im, &b.im) {
            (None, None) => Complex::real(self.mul(&a.re, &b.re)?),
            (Some(im), None) => self.tidy(self.mul(&a.re, &b.re)?, self.mul(im, &b.re)?),
            (None, Some(im)) => self.tidy(self.mul(&a.re, &b.re)?, self.mul(&a.re, im)?),
            (Some(x), Some(y)) => {
                let re = self.sub(&self.mul(&a.re, &b.re)?, &self.mul(x, y)?)?;
                let im = self.add(&self.mul(&a.re, y)?, &self.mul(x, &b.re)?)?;
                self.tidy(re, im)
            }
        })
    }

    fn cinv(&self, a: &Complex<Self::Real>) -> Option<Complex<Self::Real>> {
        let Some(im) = &a.im else { return Some(Complex::real(self.inv(&a.re)?)) };
        let square = |x: &Self::Real| self.powi(x, 2);
        let size = self.inv(&self.add(&square(&a.re)?, &square(im)?)?)?;
        Some(self.tidy(self.mul(&a.re, &size)?, self.neg(&self.mul(im, &size)?)))
    }

    fn cabs(&self, a: &Complex<Self::Real>) -> Option<Self::Real> {
        match &a.im {
            None => Some(self.abs(&a.re)),
            Some(im) => self.sqrt(&self.add(&self.powi(&a.re, 2)?, &self.powi(im, 2)?)?),
        }
    }

    fn cexp(&self, a: &Complex<Self::Real>) -> Option<Complex<Self::Real>> {
        let size = self.exp(&a.re)?;
        Some(match &a.im {
            None => Complex::real(size),
            Some(im) => self.tidy(self.mul(&size, &self.cos(im)?)?, self.mul(&size, &self.sin(im)?)?),
        })
    }

    /// The angle, above −π and up to π.
    fn angle(&self, a: &Complex<Self::Real>) -> Option<Self::Real> {
        let side = self.sign(&a.re);
        let Some(im) = &a.im else {
            return match side? {
                Ordering::Less => self.pi(),
                Ordering::Equal => None,
                Ordering::Greater => Some(self.whole(0)),
            };
        };
        let half = || self.mul(&self.pi()?, &self.dyadic(1, -1));
        match (side, self.sign(im)) {
            (Some(Ordering::Greater), _) => self.atan(&self.div(im, &a.re)?),
            (_, Some(Ordering::Greater)) => self.sub(&half()?, &self.atan(&self.div(&a.re, im)?)?),
            (_, Some(Ordering::Less)) => self.sub(&self.neg(&half()?), &self.atan(&self.div(&a.re, im)?)?),
            _ => None,
        }
    }

    fn cln(&self, a: &Complex<Self::Real>) -> Option<Complex<Self::Real>> {
        let size = self.ln(&self.cabs(a)?)?;
        Some(self.tidy(size, self.angle(a)?))
    }

    fn csqrt(&self, a: &Complex<Self::Real>) -> Option<Complex<Self::Real>> {
        if a.im.is_none() {
            return match self.sign(&a.re)? {
                Ordering::Less => Some(Complex { re: self.whole(0), im: Some(self.sqrt(&self.neg(&a.re))?) }),
                _ => Some(Complex::real(self.sqrt(&a.re)?)),
            };
        }
        let half = Complex::real(self.dyadic(1, -1));
        self.cexp(&self.cmul(&half, &self.cln(a)?)?)
    }

    fn cpowi(&self, a: &Complex<Self::Real>, n: u64) -> Option<Complex<Self::Real>> {
        if a.im.is_none() {
            return Some(Complex::real(self.powi(&a.re, n)?));
        }
        let (mut result, mut base, mut n) = (Complex::real(self.whole(1)), a.clone(), n);
        while n > 0 {
            if n % 2 == 1 {
                result = self.cmul(&result, &base)?;
            }
            n /= 2;
            if n > 0 {
                base = self.cmul(&base, &base)?;
            }
        }
        Some(result)
    }

    /// a^b by exp(b ln a).
    fn cpow(&self, a: &Complex<Self::Real>, b: &Complex<Self::Real>) -> Option<Complex<Self::Real>> {
        self.cexp(&self.cmul(b, &self.cln(a)?)?)
    }

    fn csin(&self, a: &Complex<Self::Real>) -> Option<Complex<Self::Real>> {
        let Some(im) = &a.im else { return Some(Complex::real(self.sin(&a.re)?)) };
        let (sinh, cosh) = self.hyperbolic(im)?;
        Some(self.tidy(self.mul(&self.sin(&a.re)?, &cosh)?, self.mul(&self.cos(&a.re)?, &sinh)?))
    }

    fn ccos(&self, a: &Complex<Self::Real>) -> Option<Complex<Self::Real>> {
        let Some(im) = &a.im else { return Some(Complex::real(self.cos(&a.re)?)) };
        let (sinh, cosh) = self.hyperbolic(im)?;
        Some(self.tidy(self.mul(&self.cos(&a.re)?, &cosh)?, self.neg(&self.mul(&self.sin(&a.re)?, &sinh)?)))
    }

    /// sinh and cosh.
    fn hyperbolic(&self, a: &Self::Real) -> Option<(Self::Real, Self::Real)> {
        let plus = self.exp(a)?;
        let minus = self.inv(&plus)?;
        let half = self.dyadic(1, -1);
        Some((self.mul(&self.sub(&plus, &minus)?, &half)?, self.mul(&self.add(&plus, &minus)?, &half)?))
    }

    /// sinh and cosh of a complex number.
    fn chyperbolic(&self, a: &Complex<Self::Real>) -> Option<[Complex<Self::Real>; 2]> {
        let plus = self.cexp(a)?;
        let minus = self.cinv(&plus)?;
        let half = Complex::real(self.dyadic(1, -1));
        let sinh = self.cmul(&self.cadd(&plus, &self.cneg(&minus))?, &half)?;
        Some([sinh, self.cmul(&self.cadd(&plus, &minus)?, &half)?])
    }

    /// The imaginary part.
    fn im(&self, a: &Complex<Self::Real>) -> Self::Real {
        a.im.clone().unwrap_or_else(|| self.whole(0))
    }
}
