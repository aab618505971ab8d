//! Exact values of what has no variable, as far as they are rational and of bearable size.

use dashu_base::{Abs, Gcd, Signed};
use dashu_int::UBig;
use dashu_ratio::RBig;

use crate::answer::budget::Budget;
use crate::answer::read::expr::{Expr, Func, Id, Kids, Node};

/// Bits of the largest numerator or denominator that is written out.
const MOST_BITS: usize = 16_384;

/// The exact value of a node, if it is rational, defined, and of bearable size.
pub(in crate::answer) fn exact(expr: &Expr, id: Id, budget: &mut Budget) -> Option<RBig> {
    exact_at(expr, id, None, budget)
}

/// The same, with whole numbers of a draw for the variables, if there is one.
pub(in crate::answer) fn exact_at(
    expr: &Expr,
    id: Id,
    draw: Option<u64>,
    budget: &mut Budget,
) -> Option<RBig> {
    budget.spend(1).ok()?;
    let value = match expr.node(id) {
        Node::Number { at, .. } => expr.value(at).clone(),
        Node::Neg(a) => -exact_at(expr, a, draw, budget)?,
        Node::Add(kids) => {
            let mut sum = RBig::ZERO;
            for &kid in expr.kids(kids) {
                sum += exact_at(expr, kid, draw, budget)?;
                sized(&sum)?;
            }
            sum
        }
        Node::Mul(kids) => {
            let mut product = RBig::ONE;
            for &kid in expr.kids(kids) {
                product *= exact_at(expr, kid, draw, budget)?;
                sized(&product)?;
            }
            product
        }
        Node::Div(a, b) => {
            let bottom = exact_at(expr, b, draw, budget).filter(|bottom| !bottom.is_zero())?;
            exact_at(expr, a, draw, budget)? / bottom
        }
        Node::Pow(a, b) => {
            let (base, exponent) = (exact_at(expr, a, draw, budget)?, exact_at(expr, b, draw, budget)?);
            power(&base, &exponent, budget)?
        }
        Node::Root(n, x) => {
            let (degree, value) = (exact_at(expr, n, draw, budget)?, exact_at(expr, x, draw, budget)?);
            let degree =
                usize::try_from(integer(&degree)?).ok().filter(|degree| (1..=64).contains(degree))?;
            root(&value, degree)?
        }
        Node::Percent(a) => exact_at(expr, a, draw, budget)? / RBig::from(100u8),
        Node::Symbol(name) => drawn(expr.named(name), draw?),
        Node::Unit(a, name) => {
            let value = exact_at(expr, a, draw, budget)?;
            match expr.named(name).strip_prefix("base ") {
                Some(base) => in_base(&value, base.parse().ok()?)?,
                None => value,
            }
        }
        Node::Call(func, kids) => call(expr, func, kids, draw, budget)?,
        _ => return None,
    };
    let bits = sized(&value)?;
    budget.spend(bits as u64 / 256).ok()?;
    Some(value)
}

/// A whole number for a name: one after the other for every second draw, any small one for the others; every third may be
/// below 0.
fn drawn(name: &str, draw: u64) -> RBig {
    use xxhash_rust::xxh3::xxh3_64_with_seed;
    let hash = xxh3_64_with_seed(name.as_bytes(), draw);
    let row = draw / 2 + xxh3_64_with_seed(name.as_bytes(), u64::MAX) % 5;
    let size = if draw.is_multiple_of(2) { row } else { hash % 40 };
    let size = size as i64 + i64::from(draw % 3 != 2);
    RBig::from(if draw % 3 == 2 && hash >> 63 == 1 { -size } else { size })
}

/// The value of digits in a base; negative ones too.
pub(in crate::answer) fn in_base(digits: &RBig, base: u32) -> Option<RBig> {
    let digits = digits.to_string();
    let (negative, digits) = digits.strip_prefix('-').map_or((false, digits.as_str()), |rest| (true, rest));
    let value = digits.bytes().try_fold(UBig::ZERO, |value, digit| {
        let digit = u32::from(digit.checked_sub(b'0')?);
        (digit < base).then(|| value * UBig::from(base) + UBig::from(digit))
    })?;
    let value = RBig::from(value);
    Some(if negative { -value } else { value })
}

/// Bits of a number, if it is of bearable size.
fn sized(value: &RBig) -> Option<usize> {
    let bits =
        dashu_base::BitTest::bit_len(value.numerator()) + dashu_base::BitTest::bit_len(value.denominator());
    (bits <= MOST_BITS).then_some(bits)
}

/// A whole number, if it is one and fits.
pub(in crate::answer) fn integer(value: &RBig) -> Option<i64> {
    if value.denominator() == &UBig::ONE { i64::try_from(value.numerator()).ok() } else { None }
}

fn power(base: &RBig, exponent: &RBig, budget: &mut Budget) -> Option<RBig> {
    let bottom = usize::try_from(exponent.denominator()).ok().filter(|bottom| *bottom <= 64)?;
    let top = i64::try_from(exponent.numerator()).ok()?;
    if base.is_zero() {
        return (top > 0).then_some(RBig::ZERO).or_else(|| (top == 0).then_some(RBig::ONE));
    }
    let base = if bottom == 1 { base.clone() } else { root(base, bottom)? };
    let size = usize::try_from(top.unsigned_abs()).ok()?;
    let is_unit = base == RBig::ONE || base == -RBig::ONE;
    if is_unit {
        return Some(if size % 2 == 0 { RBig::ONE } else { base });
    }
    if sized(&base)?.saturating_mul(size) > 2 * MOST_BITS {
        return None;
    }
    budget.spend(size as u64 / 64).ok()?;
    let raised = base.pow(isize::try_from(size).ok()?);
    if top < 0 { Some(RBig::ONE / raised) } else { Some(raised) }
}

/// The real root, if it is rational.
fn root(value: &RBig, degree: usize) -> Option<RBig> {
    let negative = value.is_negative();
    if negative && degree.is_multiple_of(2) {
        return None;
    }
    let of = |size: UBig| {
        let found = size.nth_root(degree);
        (found.pow(degree) == size).then_some(found)
    };
    let top = of(value.numerator().clone().into_parts().1)?;
    let bottom = of(value.denominator().clone())?;
    let found = RBig::from_parts(top.into(), bottom);
    Some(if negative { -found } else { found })
}

fn call(expr: &Expr, func: Func, kids: Kids, draw: Option<u64>, budget: &mut Budget) -> Option<RBig> {
    let mut values = Vec::new();
    if matches!(
        func,
        Func::Abs
            | Func::Floor
            | Func::Ceil
            | Func::Gcd
            | Func::Lcm
            | Func::Max
            | Func::Min
            | Func::Mod
            | Func::Binomial
            | Func::Factorial
            | Func::Re
            | Func::Log
    ) {
        for &kid in expr.kids(kids) {
            values.push(exact_at(expr, kid, draw, budget)?);
        }
    }
    Some(match (func, &values[..]) {
        (Func::Abs, [x]) => x.clone().abs(),
        (Func::Re, [x]) => x.clone(),
        (Func::Floor, [x]) => RBig::from(x.floor()),
        (Func::Ceil, [x]) => RBig::from(x.ceil()),
        (Func::Max, all) => all.iter().max()?.clone(),
        (Func::Min, all) => all.iter().min()?.clone(),
        (Func::Mod, [_, y]) if y.is_zero() => return None,
        (Func::Mod, [x, y]) => x - y * RBig::from((x / y).floor()),
        (Func::Gcd | Func::Lcm, all) => {
            let mut result: Option<RBig> = None;
            for value in all {
                let value = value.clone().abs();
                result = Some(match result {
                    None => value,
                    Some(before) => common(func, &before, &value)?,
                });
            }
            result?
        }
        (Func::Factorial, [n]) => {
            let n = integer(n).filter(|n| (0..=2_000).contains(n))?;
            budget.spend(n as u64).ok()?;
            RBig::from((1..=n).map(UBig::try_from).try_fold(UBig::ONE, |product, n| Some(product * n.ok()?))?)
        }
        (Func::Binomial, [n, k]) => {
            let k = integer(k).filter(|k| *k <= 2_000)?;
            if k < 0 {
                return Some(RBig::ZERO);
            }
            budget.spend(k as u64).ok()?;
            let mut product = RBig::ONE;
            for at in 0..k {
                product *= (n - RBig::from(at)) / RBig::from(at + 1);
                sized(&product)?;
            }
            product
        }
        (Func::Log, [base, x]) => {
            // A whole logarithm.
            let (base, mut x) = (base.clone(), x.clone());
            if base <= RBig::ONE || !x.is_positive() {
                return None;
            }
            let invert = x < RBig::ONE;
            if invert {
                x = RBig::ONE / x;
            }
            let (mut power, mut exponent) = (RBig::ONE, 0i64);
            while power < x && exponent < 512 {
                power *= &base;
                exponent += 1;
                sized(&power)?;
                budget.spend(1).ok()?;
            }
            if power != x {
                return None;
            }
            RBig::from(if invert { -exponent } else { exponent })
        }
        _ => return None,
    })
}

/// Of two numbers above 0 or 0, fractions too: the largest number that both are multiples of, or the smallest
/// multiple of both.
fn common(func: Func, a: &RBig, b: &RBig) -> Option<RBig> {
    let whole = |value: &RBig| value.numerator().clone().into_parts().1;
    if func == Func::Gcd {
        if a.is_zero() || b.is_zero() {
            return Some(a + b);
        }
        let bottom = a.denominator() * b.denominator();
        let (x, y) = (whole(a) * b.denominator(), whole(b) * a.denominator());
        return Some(RBig::from_parts(x.gcd(&y).into(), bottom));
    }
    if a.is_zero() || b.is_zero() {
        return Some(RBig::ZERO);
    }
    let divisor = common(Func::Gcd, a, b)?;
    Some(a * b / divisor)
}
