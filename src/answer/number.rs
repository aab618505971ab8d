//! A text as an exact number: decimals of any size, fractions in 128 bits. Never a float.

use super::normalise::{MARK, normalise};

/// An exact number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Number {
    /// ± `digits` · 10^`exponent`. Canonical: no zero at either end of `digits`; zero has none, and no sign.
    Decimal { negative: bool, digits: String, exponent: i64 },
    /// Reduced, with a denominator above 1.
    Fraction { numerator: i128, denominator: i128 },
}

/// A number as it was written: 50 % is `number` 1/2 with `percent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub number: Number,
    pub percent: bool,
}

impl Value {
    /// Whether both are one number. An answer to "what percentage" may leave the sign away, so 50 equals 50 %;
    /// and 0.5 equals 50 %.
    pub fn same(&self, other: &Value) -> bool {
        let hundredfold = |number: &Number| number.scaled(2);
        self.number.same(&other.number)
            || match (self.percent, other.percent) {
                (true, false) => hundredfold(&self.number).is_some_and(|number| number.same(&other.number)),
                (false, true) => hundredfold(&other.number).is_some_and(|number| number.same(&self.number)),
                _ => false,
            }
    }
}

impl Number {
    fn decimal(negative: bool, whole: &str, part: &str, exponent: i64) -> Self {
        let all: String = [whole, part].concat();
        let digits = all.trim_start_matches('0');
        let kept = digits.trim_end_matches('0');
        if kept.is_empty() {
            return Number::Decimal { negative: false, digits: String::new(), exponent: 0 };
        }
        let exponent = exponent - part.len() as i64 + (digits.len() - kept.len()) as i64;
        Number::Decimal { negative, digits: kept.to_owned(), exponent }
    }

    /// `None` if a part does not fit in 128 bits, or the denominator is 0.
    fn fraction(numerator: i128, denominator: i128) -> Option<Self> {
        if denominator == 0 {
            return None;
        }
        let divisor = common_divisor(numerator.unsigned_abs(), denominator.unsigned_abs());
        let divisor = i128::try_from(divisor).ok()?;
        let sign = denominator.signum();
        let numerator = (numerator / divisor).checked_mul(sign)?;
        let denominator = (denominator / divisor).checked_mul(sign)?;
        if denominator == 1 {
            let digits = numerator.unsigned_abs().to_string();
            return Some(Number::decimal(numerator < 0, &digits, "", 0));
        }
        Some(Number::Fraction { numerator, denominator })
    }

    /// Numerator and denominator, if they fit.
    fn parts(&self) -> Option<(i128, i128)> {
        match self {
            Number::Fraction { numerator, denominator } => Some((*numerator, *denominator)),
            Number::Decimal { digits, .. } if digits.is_empty() => Some((0, 1)),
            Number::Decimal { negative, digits, exponent } => {
                let size: i128 = digits.parse().ok()?;
                let size = if *negative { -size } else { size };
                let power = 10i128.checked_pow(u32::try_from(exponent.unsigned_abs()).ok()?)?;
                if *exponent >= 0 { Some((size.checked_mul(power)?, 1)) } else { Some((size, power)) }
            }
        }
    }

    /// Whether it is above 0 and below 1. Called with quotients, which are fractions unless they are whole.
    fn is_proper(&self) -> bool {
        matches!(self, Number::Fraction { numerator, denominator } if 0 < *numerator && numerator < denominator)
    }

    fn divided_by(&self, other: &Number) -> Option<Number> {
        let ((a, b), (c, d)) = (self.parts()?, other.parts()?);
        Number::fraction(a.checked_mul(d)?, b.checked_mul(c)?)
    }

    fn plus(&self, other: &Number) -> Option<Number> {
        let ((a, b), (c, d)) = (self.parts()?, other.parts()?);
        Number::fraction(a.checked_mul(d)?.checked_add(b.checked_mul(c)?)?, b.checked_mul(d)?)
    }

    fn negated(mut self) -> Number {
        match &mut self {
            Number::Decimal { negative, digits, .. } => *negative = !*negative && !digits.is_empty(),
            Number::Fraction { numerator, .. } => *numerator = -*numerator,
        }
        self
    }

    /// Times 10^`by`.
    fn scaled(&self, by: i64) -> Option<Number> {
        match self {
            Number::Decimal { negative, digits, exponent } => Some(Number::Decimal {
                negative: *negative,
                digits: digits.clone(),
                exponent: if digits.is_empty() { 0 } else { exponent.checked_add(by)? },
            }),
            Number::Fraction { numerator, denominator } => {
                let power = 10i128.checked_pow(u32::try_from(by.unsigned_abs()).ok()?)?;
                if by >= 0 {
                    Number::fraction(numerator.checked_mul(power)?, *denominator)
                } else {
                    Number::fraction(*numerator, denominator.checked_mul(power)?)
                }
            }
        }
    }

    fn same(&self, other: &Number) -> bool {
        if self == other {
            return true;
        }
        match (self, other) {
            (Number::Fraction { .. }, Number::Decimal { .. })
            | (Number::Decimal { .. }, Number::Fraction { .. }) => {
                let reduced = |number: &Number| number.parts().and_then(|(a, b)| Number::fraction(a, b));
                reduced(self).is_some_and(|number| Some(number) == reduced(other))
            }
            _ => false,
        }
    }
}

fn common_divisor(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

/// Reads a raw text as one number, with its unit.
pub(super) fn of_text(raw: &str) -> Option<Value> {
    read(&normalise(raw))
}

/// Reads a normalised text as one number: sign, decimals, thousands separators, `a/b`, `\frac{a}{b}`, mixed
/// numbers, scientific notation, a percent sign, "million", and words for a unit. `None` if anything else is
/// in it, or the number is too large for a fraction.
pub(super) fn read(text: &str) -> Option<Value> {
    let text = text.trim_matches([' ', MARK]);
    if let Some(inner) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
        // "(1,234)" is a pair.
        return if inner.contains([',', '(', ')']) { None } else { read(inner) };
    }
    let (negative, body) = signed(text);
    let (number, rest) = magnitude(body)?;
    let number = if negative { number.negated() } else { number };
    finish(number, rest)
}

fn signed(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest.trim_start()),
        None => (false, text.strip_prefix('+').unwrap_or(text).trim_start()),
    }
}

/// The number at the start of `text`, without its sign, and what follows.
fn magnitude(text: &str) -> Option<(Number, &str)> {
    if let Some((number, rest)) = latex_fraction(text) {
        return Some((number, rest));
    }
    let (number, is_whole, rest) = decimal(text)?;
    // 2\frac{1}{2} and 2 1/2.
    let after = rest.trim_start();
    if is_whole {
        let part = latex_fraction(after).or_else(|| {
            let (top, top_is_whole, rest) = decimal(after).filter(|_| after.len() < rest.len())?;
            let (bottom, bottom_is_whole, rest) = decimal(rest.strip_prefix('/')?)?;
            (top_is_whole && bottom_is_whole).then_some((top.divided_by(&bottom)?, rest))
        });
        // Two numbers side by side, unless the second is a part of one.
        if let Some((part, rest)) = part {
            if !part.is_proper() {
                return None;
            }
            return Some((number.plus(&part)?, rest));
        }
    }
    if let Some(bottom) = after.strip_prefix('/')
        && let Some((bottom, _, rest)) = decimal(bottom.trim_start())
    {
        return Some((number.divided_by(&bottom)?, rest));
    }
    if let Some(rest) = rest.strip_prefix(['e', 'E'])
        && let Some((power, rest)) = whole(rest)
    {
        return Some((number.scaled(power)?, rest));
    }
    if let Some(power) =
        after.strip_prefix('*').map(str::trim_start).and_then(|rest| rest.strip_prefix("10^"))
        && let Some((power, rest)) = exponent(power)
    {
        return Some((number.scaled(power)?, rest));
    }
    if let Some(power) = rest.strip_prefix('^')
        && text.strip_prefix("10") == Some(rest)
        && let Some((power, rest)) = exponent(power)
    {
        return Some((Number::decimal(false, "1", "", 0).scaled(power)?, rest));
    }
    Some((number, rest))
}

/// `\frac{a}{b}` with decimal parts.
fn latex_fraction(text: &str) -> Option<(Number, &str)> {
    let part = |text| {
        let (negative, body) = signed(text);
        let (number, _, rest) = decimal(body)?;
        let number = if negative { number.negated() } else { number };
        Some((number, rest.trim_start().strip_prefix('}')?))
    };
    let (top, rest) = part(text.strip_prefix("\\frac{")?.trim_start())?;
    let (bottom, rest) = part(rest.strip_prefix('{')?.trim_start())?;
    Some((top.divided_by(&bottom)?, rest))
}

/// A decimal without sign or exponent, whether it is a whole number, and what follows. Thousands are
/// separated by commas or by spaces, strictly in threes: `48` is not `4,8`.
fn decimal(text: &str) -> Option<(Number, bool, &str)> {
    let count = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let first = count(text);
    let mut digits = text[..first].to_owned();
    let mut rest = &text[first..];
    if (1..=3).contains(&first) && !text.starts_with('0') {
        for separator in [',', ' '] {
            while let Some(group) = rest.strip_prefix(separator).filter(|group| count(group) == 3) {
                digits.push_str(&group[..3]);
                rest = &group[3..];
            }
            if digits.len() > first {
                break;
            }
        }
    }
    let mut part = "";
    if let Some(after) = rest.strip_prefix('.') {
        let length = count(after);
        if length > 0 || first > 0 {
            (part, rest) = after.split_at(length);
        }
    }
    if first == 0 && part.is_empty() {
        return None;
    }
    Some((Number::decimal(false, &digits, part, 0), part.is_empty(), rest))
}

/// The exponent after `^`: `7`, `-7`, `{-7}`.
fn exponent(text: &str) -> Option<(i64, &str)> {
    match text.strip_prefix('{') {
        Some(inner) => {
            whole(inner.trim_start()).and_then(|(n, rest)| Some((n, rest.trim_start().strip_prefix('}')?)))
        }
        None => whole(text),
    }
}

fn whole(text: &str) -> Option<(i64, &str)> {
    let (negative, body) = signed(text);
    let length = body.bytes().take_while(u8::is_ascii_digit).count();
    let size: i64 = i64::from(body[..length].parse::<i32>().ok()?);
    Some((if negative { -size } else { size }, &body[length..]))
}

/// What may follow a number: `%`, a scale word, a unit.
fn finish(number: Number, rest: &str) -> Option<Value> {
    // Longer ones are sentences.
    const LONGEST_UNIT: usize = 60;
    let plain = |number| Some(Value { number, percent: false });
    if rest.len() > LONGEST_UNIT {
        return None;
    }
    let from_text = rest.trim_start().starts_with(MARK);
    let spaced = rest.starts_with([' ', MARK]);
    if rest.trim_start().starts_with(['/', '^']) {
        return None;
    }
    let unit = rest.replace(MARK, " ").replace("^{2}", "^2").replace("^{3}", "^3");
    let mut words = unit.split([' ', '/']).filter(|word| !word.is_empty()).peekable();
    match words.peek() {
        None => return plain(number),
        Some(&("%" | "percent" | "percentage" | "pct")) => {
            words.next();
            return if words.all(is_unit) { percent(number) } else { None };
        }
        _ => {}
    }
    let scales = [("hundred", 2), ("thousand", 3), ("million", 6), ("billion", 9), ("trillion", 12)];
    let mut number = number;
    if let Some((_, power)) = words.peek().and_then(|word| scales.iter().find(|scale| scale.0 == *word)) {
        number = number.scaled(*power)?;
        words.next();
    }
    for (seen, word) in words.enumerate() {
        let base = word.strip_suffix("^2").or(word.strip_suffix("^3")).unwrap_or(word);
        let later = seen > 0 && matches!(base, "" | "h" | "s" | "m" | "L");
        let is_known = later || SHORT_UNITS.contains(&base) || from_text && is_word(base);
        if seen >= 4 || !(is_known || spaced && is_unit(base)) {
            return None;
        }
    }
    plain(number)
}

fn percent(number: Number) -> Option<Value> {
    Some(Value { number: number.scaled(-2)?, percent: true })
}

/// Units of two letters; other short words are taken for variables.
const SHORT_UNITS: &[&str] = &[
    "cm", "mm", "km", "dm", "nm", "kg", "mg", "ml", "mL", "cl", "dl", "ft", "yd", "mi", "lb", "oz", "hr",
    "am", "pm", "Hz", "kW", "kJ", "mph", "kph", "sq",
];

/// Words that are part of an expression or of a sentence, and no unit.
const NO_UNITS: &[&str] = &[
    "and", "arccos", "arcsin", "arctan", "are", "but", "cos", "cot", "csc", "divided", "dozen", "exp",
    "from", "minus", "mod", "not", "plus", "sec", "sin", "sqrt", "tan", "than", "the", "then", "times",
    "with", "hundred", "thousand", "million", "billion", "trillion", "percent", "log",
];

fn is_word(word: &str) -> bool {
    let word = word.strip_suffix('.').unwrap_or(word);
    !word.is_empty() && word.chars().all(char::is_alphabetic) && !NO_UNITS.contains(&word) && word != "or"
}

fn is_unit(word: &str) -> bool {
    // "per", "of" and the like stand between the words of a unit.
    matches!(word, "of" | "a" | "per" | "in")
        || SHORT_UNITS.contains(&word)
        || word.len() >= 3 && is_word(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: &str, b: &str) -> Option<bool> {
        Some(of_text(a)?.same(&of_text(b)?))
    }

    #[test]
    fn one_number_in_many_spellings() {
        for (a, b) in [
            ("7", "007"),
            ("1200", "$1,200"),
            ("1200", "1 200.00"),
            ("0.5", "1/2"),
            ("0.5", ".5"),
            ("0.5", "\\frac{1}{2}"),
            ("-0.5", "\\frac{-1}{2}"),
            ("-0.5", "-\\dfrac12"),
            ("2.5", "2\\frac{1}{2}"),
            ("2.5", "2 1/2"),
            ("-2.5", "-2 1/2"),
            ("1/3", "2/6"),
            ("50%", "0.5"),
            ("50%", "50"),
            ("50\\%", "50 percent"),
            ("1500", "1.5e3"),
            ("1500", "1.5 \\times 10^{3}"),
            ("0.0015", "1.5 × 10^-3"),
            ("1000", "10^3"),
            ("0", "-0.00"),
            ("5 million", "5000000"),
            ("18", "18 dollars"),
            ("18", "18\\text{ m}"),
            ("18", "18 cm^2"),
            ("72", "72 km/h"),
            ("90", "90^\\circ"),
            ("5", "(5)"),
            (
                "123456789012345678901234567890123456789012345678901",
                "123456789012345678901234567890123456789012345678901.0",
            ),
        ] {
            assert_eq!(same(a, b), Some(true), "{a} = {b}");
            assert_eq!(same(b, a), Some(true), "{b} = {a}");
        }
    }

    #[test]
    fn different_numbers_differ() {
        for (a, b) in [
            ("64/400", "63/400"),
            ("100", "1"),
            ("0.333333333333333333", "1/3"),
            ("0.1", "0.10000000000000001"),
            ("50", "0.5"),
            ("5", "-5"),
            ("9007199254740993", "9007199254740992"),
            (
                "123456789012345678901234567890123456789012345678901",
                "123456789012345678901234567890123456789012345678902",
            ),
        ] {
            assert_eq!(same(a, b), Some(false), "{a} != {b}");
        }
    }

    #[test]
    fn what_is_no_single_number_has_no_value() {
        for text in [
            "",
            "x",
            "4,8",
            "1,23",
            "1/0",
            "3/4/2020",
            "1.2.3",
            "10:30",
            "5x",
            "5 x",
            "5 \\pi",
            "5 or 6",
            "1, 2",
            "(1,234)",
            "2^3",
            "5 not",
            "\\frac{x}{2}",
            "3-5",
            "1/170141183460469231731687303715884105728000",
            "5\\text{ or }6",
            "11 6/6",
            "2 5/2",
            "-",
            ".",
            "5 pi",
        ] {
            assert_eq!(of_text(text), None, "{text:?}");
        }
    }
}
