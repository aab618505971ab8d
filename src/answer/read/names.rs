//! Words that mean something: functions, letters, units, joints.

use super::expr::Func;
use super::lex::Tok;

/// Whether a word stands between the items of a list.
pub(super) fn joins(word: &str) -> bool {
    let last = word.trim_end_matches([' ', ',', '.', ';', '~']).rsplit([' ', ',', '~']).next().unwrap_or("");
    ["and", "or", "AND", "OR", "And", "Or"].contains(&last)
}

pub(super) fn function(name: &str) -> Option<Func> {
    Some(match name {
        "sin" => Func::Sin,
        "cos" => Func::Cos,
        "tan" | "tg" => Func::Tan,
        "cot" | "ctg" => Func::Cot,
        "sec" => Func::Sec,
        "csc" | "cosec" => Func::Csc,
        "arcsin" | "asin" => Func::Asin,
        "arccos" | "acos" => Func::Acos,
        "arctan" | "atan" | "arctg" => Func::Atan,
        "arccot" | "acot" => Func::Acot,
        "sinh" => Func::Sinh,
        "cosh" => Func::Cosh,
        "tanh" => Func::Tanh,
        "coth" => Func::Coth,
        "arcsinh" | "asinh" | "arsinh" => Func::Asinh,
        "arccosh" | "acosh" | "arcosh" => Func::Acosh,
        "arctanh" | "atanh" | "artanh" => Func::Atanh,
        "exp" => Func::Exp,
        "ln" => Func::Ln,
        "log" | "lg" => Func::Log,
        "abs" => Func::Abs,
        "floor" => Func::Floor,
        "ceil" => Func::Ceil,
        "gcd" => Func::Gcd,
        "lcm" => Func::Lcm,
        "max" => Func::Max,
        "min" => Func::Min,
        "Re" => Func::Re,
        "Im" => Func::Im,
        "arg" => Func::Arg,
        "det" => Func::Det,
        "binomial" => Func::Binomial,
        "factorial" => Func::Factorial,
        _ => return None,
    })
}

pub(super) fn inverse(func: Func) -> Option<Func> {
    Some(match func {
        Func::Sin => Func::Asin,
        Func::Cos => Func::Acos,
        Func::Tan => Func::Atan,
        Func::Cot => Func::Acot,
        Func::Sinh => Func::Asinh,
        Func::Cosh => Func::Acosh,
        Func::Tanh => Func::Atanh,
        _ => return None,
    })
}

pub(super) const GREEK: &[&str] = &[
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "zeta",
    "eta",
    "theta",
    "iota",
    "kappa",
    "lambda",
    "mu",
    "nu",
    "xi",
    "rho",
    "sigma",
    "tau",
    "upsilon",
    "phi",
    "chi",
    "psi",
    "omega",
    "varepsilon",
    "varphi",
    "vartheta",
    "Gamma",
    "Delta",
    "Theta",
    "Lambda",
    "Xi",
    "Pi",
    "Sigma",
    "Phi",
    "Psi",
    "Omega",
    "Alpha",
    "Beta",
    "hbar",
    "ell",
    "nabla",
    "partial",
    "triangle",
    "dots",
    "top",
    "e",
    "i",
];

/// Units of two letters and more that may stand behind a number without a space.
pub(super) const UNITS: &[&str] = &[
    "cm", "mm", "km", "dm", "nm", "kg", "mg", "ml", "mL", "cl", "dl", "ft", "yd", "mi", "lb", "oz", "hr",
    "am", "pm", "Hz", "kW", "kJ", "mph", "kph", "sq", "th", "st", "nd", "rd",
];

pub(super) fn is_percent(word: &str) -> bool {
    matches!(word, "percent" | "percentage" | "pct")
}

/// Words with single spaces, in lower case.
pub(super) fn words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split([' ', '~', '\n', '\t']).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&word.to_lowercase());
    }
    out.trim_end_matches(['.', ',', ';']).to_owned()
}

pub(super) fn spell(tok: Tok<'_>, name: &mut String) {
    match tok {
        Tok::Number(text) | Tok::Word(text) | Tok::Text(text) | Tok::Unknown(text) => name.push_str(text),
        Tok::Command(text) => {
            name.push('\\');
            name.push_str(text);
            name.push(' ');
        }
        Tok::Raised(text) | Tok::Lowered(text) | Tok::Vulgar(text) => name.push_str(text),
        Tok::Open(c) | Tok::Close(c) | Tok::Op(c) => name.push(c),
        Tok::Bar => name.push('|'),
        Tok::Currency(sign) => name.push_str(sign),
        Tok::Row => name.push(';'),
    }
}

/// Words beside a number that make another value of it.
const OTHER_VALUE: &[&str] = &[
    "squared",
    "cubed",
    "over",
    "plus",
    "minus",
    "times",
    "divided",
    "multiplied",
    "mod",
    "modulo",
    "choose",
    "remainder",
    "half",
    "halves",
    "third",
    "thirds",
    "power",
    "factorial",
    "twice",
    "double",
    "doubled",
    "tripled",
    "halved",
    "inverse",
    "reciprocal",
    "negative",
    "binary",
    "octal",
    "hex",
    "hexadecimal",
    "tens",
    "permille",
    "least",
    "most",
    "than",
    "except",
    "not",
    "between",
];

/// Words behind a number that are no unit: they say something of it.
const NO_UNIT: &[&str] =
    &["out", "to", "below", "above", "less", "more", "if", "is", "are", "no", "wrong", "pi", "odd", "even"];

/// Whether a word beside a number makes another value of it: squared, halves, twelfths, million.
pub(in crate::answer) fn makes_another(word: &str) -> bool {
    let word = word.to_lowercase();
    let word = word.trim_end_matches('.');
    OTHER_VALUE.contains(&word) || is_part(word) || multiplier(word).is_some()
}

/// Whether a word behind a number is no part of a unit.
pub(super) fn is_no_unit(word: &str) -> bool {
    makes_another(word) || NO_UNIT.contains(&word.to_lowercase().trim_end_matches('.'))
}

/// "Twelfths", "seventh": a part of a whole, or a place in a row.
fn is_part(word: &str) -> bool {
    const PARTS: [&str; 13] = [
        "fourth",
        "fifth",
        "sixth",
        "seventh",
        "eighth",
        "ninth",
        "tenth",
        "eleventh",
        "twelfth",
        "hundredth",
        "thousandth",
        "millionth",
        "billionth",
    ];
    let word = word.strip_suffix('s').unwrap_or(word);
    PARTS.contains(&word) || word.ends_with("teenth") || word.ends_with("tieth")
}

/// A word that multiplies a number, at the start of a unit, and what is behind it.
pub(in crate::answer) fn multiplier(unit: &str) -> Option<(u64, &str)> {
    let (word, rest) = unit.split_once(' ').unwrap_or((unit, ""));
    let word = word.to_lowercase();
    let many = match word.strip_suffix('s').unwrap_or(&word) {
        "dozen" => 12,
        "gros" => 144,
        "hundred" => 100,
        "thousand" => 1_000,
        "million" => 1_000_000,
        "billion" => 1_000_000_000,
        "trillion" => 1_000_000_000_000,
        "quadrillion" => 1_000_000_000_000_000,
        "lakh" => 100_000,
        "crore" => 10_000_000,
        "bn" => 1_000_000_000,
        "mn" => 1_000_000,
        _ => return None,
    };
    Some((many, rest.trim_start()))
}
