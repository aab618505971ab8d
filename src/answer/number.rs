//! The value of an answer that is one number, for those who compare many and not to the last digit.

use super::budget::Budget;
use super::read::expr::{Expr, Id, Node};
use super::read::parse;
use super::value::exact::{exact, integer};
use super::value::narrow::Narrow;
use super::value::points::Valuer;

/// Steps that a value may cost. Numbers take a few dozen.
const BUDGET: u64 = 2_000;

/// The value of `text` if it is one real number, written out as a value: digits, a fraction in lowest terms, a mixed number,
/// a power of ten, or something with a root or π that is not rational. Units are left out, a percent is a hundredth.
///
/// What is still to be worked out is none: `84/12`, `2^3`, `\sqrt{16}`, `\frac12+\frac14`. Variables have no value, nor do
/// angles in degrees, which would be compared in radians. Takes time linear in the text, and a bounded number of steps.
///
/// ```
/// use rlkd::answer::number;
/// assert_eq!(number("-\\dfrac34"), Some(-0.75));
/// assert_eq!(number("1 1/2 cups"), Some(1.5));
/// assert_eq!(number("5 \\times 10^3"), Some(5000.0));
/// assert_eq!(number("2\\sqrt{3}"), number("\\sqrt{12}"));
/// assert_eq!(number("84/12"), None);
/// assert_eq!(number("2x"), None);
/// ```
pub fn number(text: &str) -> Option<f64> {
    let mut expr = Expr::default();
    let root = parse(text, true, &mut expr).ok()?;
    if !is_closed(&expr) {
        return None;
    }
    let mut budget = Budget::new(BUDGET);
    if let Some(value) = exact(&expr, root, &mut budget) {
        return is_written_out(&expr, root).then(|| value.to_f64().value());
    }
    let value = Valuer::new(&expr, Narrow, 0, &mut budget).value(root)?;
    value.im.is_none().then(|| Narrow.middle(&value.re))?
}

/// Whether nothing in it is a variable, an angle, a word or a form.
fn is_closed(expr: &Expr) -> bool {
    expr.nodes.iter().all(|node| {
        let open =
            matches!(node, Node::Symbol(_) | Node::Named(..) | Node::Big(..) | Node::I | Node::Degrees(_));
        !open && !node.is_form()
    })
}

/// Whether a rational number is written as one.
fn is_written_out(expr: &Expr, id: Id) -> bool {
    let whole = |id: Id| match expr.node(id) {
        Node::Number { at, .. } => integer(expr.value(at)),
        _ => None,
    };
    match expr.node(id) {
        Node::Number { .. } => true,
        Node::Neg(a) | Node::Percent(a) | Node::Unit(a, _) => is_written_out(expr, a),
        Node::Div(a, b) => {
            let above = if let Node::Neg(a) = expr.node(a) { a } else { a };
            match (whole(above), whole(b)) {
                (Some(above), Some(below)) => below != 1 && common_factor(above, below) == 1,
                _ => false,
            }
        }
        Node::Mul(kids) => match *expr.kids(kids) {
            [a, b] => {
                let ten = |base: Id, power: Id| whole(base) == Some(10) && exact_whole(expr, power);
                is_written_out(expr, a) && matches!(expr.node(b), Node::Pow(base, power) if ten(base, power))
            }
            _ => false,
        },
        _ => false,
    }
}

/// Whether it is a whole number with or without a sign.
fn exact_whole(expr: &Expr, id: Id) -> bool {
    match expr.node(id) {
        Node::Number { at, .. } => integer(expr.value(at)).is_some(),
        Node::Neg(a) => exact_whole(expr, a),
        _ => false,
    }
}

fn common_factor(a: i64, b: i64) -> u64 {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_values() {
        use std::f64::consts::{PI, SQRT_2};
        for (text, value) in [
            ("\\frac{3}{4}", 0.75),
            ("\\dfrac12", 0.5),
            ("-3/4", -0.75),
            ("\\frac{-3}{4}", -0.75),
            ("1 1/2", 1.5),
            ("1\\frac{1}{2}", 1.5),
            ("2½", 2.5),
            ("75\\%", 0.75),
            ("1{,}200", 1200.0),
            ("\\$1,200", 1200.0),
            ("5 \\times 10^3", 5000.0),
            ("1.5 \\cdot 10^{-2}", 0.015),
            ("\\frac{3}{4}\\text{ cups}", 0.75),
            ("{\\frac{3}{4}}", 0.75),
            ("\\sqrt{2}", SQRT_2),
            ("4√2", 4.0 * SQRT_2),
            ("sqrt(2)/2", SQRT_2 / 2.0),
            ("\\frac{1+\\sqrt{5}}{2}", (1.0 + 5f64.sqrt()) / 2.0),
            ("2\\pi", 2.0 * PI),
            ("\\frac{\\pi}{4}", PI / 4.0),
        ] {
            let read = number(text);
            assert!(
                read.is_some_and(|read| (read - value).abs() < 1e-12 * value.abs()),
                "{text:?}: {read:?}"
            );
        }
    }

    #[test]
    fn what_is_to_be_worked_out_has_none() {
        for text in [
            "84/12",
            "6/8",
            "2^3",
            "\\sqrt{16}",
            "\\frac12+\\frac14",
            "3 \\times 4",
            "2x",
            "x",
            "(1, 2)",
            "1, 2",
            "3:4",
            "x=2",
            "\\sqrt{-2}",
            "\\frac{1}{0}",
            "10^{10^{10}}",
            "i",
            "7 8",
            "90^\\circ",
            "",
        ] {
            assert_eq!(number(text), None, "{text:?}");
        }
    }
}
