//! Numbers as they are written: decimals, separators, mixed numbers, repeating decimals, bases.

use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

use super::expr::{Id, Node};
use super::lex::{Tok, Token};
use super::parse::{Failure, Parser, Result};

/// Digits of a number that is worked with; longer ones are compared digit by digit only.
const MOST_DIGITS: usize = 10_000;
/// Largest power of ten of a literal that is written out.
const MOST_ZEROS: i64 = 5_000;

impl<'a> Parser<'a> {
    /// A number as it was written, with the fraction of a mixed one, and its base.
    pub(super) fn literal(&mut self, written: &str) -> Result<Id> {
        if !self.grouped && written.contains(',') {
            return self.ungrouped(written);
        }
        let at = self.here();
        self.at += 1;
        let Some(number) = number(written)? else { return Err(Failure::At(at)) };
        let Literal { value, decimal, zeros, whole } = number;
        // 0.1\overline{6}, and 0.(3)
        let over = match self.peek() {
            Some(Tok::Command("overline" | "bar" | "dot")) => true,
            Some(Tok::Open('(')) => written.ends_with('.'),
            _ => false,
        };
        if over && !self.spaced() && decimal_places(written).is_some() {
            let is_command = self.peek() != Some(Tok::Open('('));
            self.at += usize::from(is_command);
            let close = match self.peek() {
                Some(Tok::Open('{')) => Some('}'),
                Some(Tok::Open('(')) => Some(')'),
                _ => None,
            };
            self.at += usize::from(close.is_some());
            let Some(Tok::Number(period)) = self.peek() else { return self.fail() };
            self.at += 1;
            if let Some(close) = close {
                self.expect(Tok::Close(close))?;
            }
            if !period.bytes().all(|byte| byte.is_ascii_digit()) || period.len() > 1_000 {
                return self.fail();
            }
            let places = decimal_places(written).unwrap_or(0);
            let nines = UBig::from(10u8).pow(period.len()) - UBig::ONE;
            let digits: IBig = period.parse().or_else(|_| self.fail())?;
            let part = RBig::from_parts(digits, nines * UBig::from(10u8).pow(places));
            return Ok(self.expr.number(value + part, false));
        }
        if let Some(zeros) = zeros {
            let mantissa = self.expr.number(value, decimal);
            let ten = self.expr.number(RBig::from(10u8), false);
            let exponent = self.expr.number(RBig::from(IBig::from(zeros)), false);
            let power = self.expr.push(Node::Pow(ten, exponent));
            let kids = self.expr.list(&[mantissa, power]);
            return Ok(self.expr.push(Node::Mul(kids)));
        }
        if whole {
            if let Some(part) = self.part()? {
                return Ok(self.expr.number(value + part, false));
            }
            let base = match (self.peek(), self.tokens.get(self.at + 1).map(|token| token.tok)) {
                (Some(Tok::Op('_')), Some(Tok::Number(base))) => Some((base, 2)),
                (Some(Tok::Op('_')), Some(Tok::Open('{'))) => match self.tokens.get(self.at + 2..self.at + 4)
                {
                    Some([Token { tok: Tok::Number(base), .. }, Token { tok: Tok::Close('}'), .. }]) => {
                        Some((*base, 4))
                    }
                    _ => None,
                },
                (Some(Tok::Lowered(base)), _) => Some((base, 1)),
                _ => None,
            };
            if let Some((base, length)) = base {
                self.at += length;
                let name = self.expr.name(&format!("base {base}"));
                let value = self.expr.number(value, false);
                return Ok(self.expr.push(Node::Unit(value, name)));
            }
        }
        Ok(self.expr.number(value, decimal))
    }

    /// `1,234` as a list.
    pub(super) fn ungrouped(&mut self, written: &str) -> Result<Id> {
        let mut items = Vec::new();
        for part in written.split(',') {
            // 1,000 is no list of 1 and 000.
            let is_group =
                part.len() > 1 && part.trim_start_matches(|c: char| !c.is_ascii_digit()).starts_with('0');
            if is_group {
                return self.fail();
            }
            let Some(number) = number(part)? else { return self.fail() };
            items.push(self.expr.number(number.value, number.decimal));
        }
        self.at += 1;
        let kids = self.expr.list(&items);
        Ok(self.expr.push(Node::List(kids)))
    }

    /// The fraction of a mixed number: `\frac{1}{2}`, ` 1/2` or ½ right behind a whole number. Two numbers side by side
    /// that are none are an error.
    pub(super) fn part(&mut self) -> Result<Option<RBig>> {
        let digits = |tok: Option<&Token<'a>>| match tok?.tok {
            Tok::Number(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.len() < 30 => {
                Some(digits.parse::<UBig>().ok()?)
            }
            _ => None,
        };
        let at = self.at;
        let get = |offset: usize| self.tokens.get(at + offset);
        let is = |offset: usize, tok: Tok<'_>| get(offset).is_some_and(|token| token.tok == tok);
        let found = match get(0).map(|token| token.tok) {
            Some(Tok::Vulgar(parts)) => {
                let (top, bottom) = parts.split_once('/').unwrap_or((parts, "1"));
                top.parse::<UBig>().ok().zip(bottom.parse::<UBig>().ok()).map(|parts| (parts, 1))
            }
            Some(Tok::Command("frac")) => {
                let braced = is(1, Tok::Open('{'))
                    && is(3, Tok::Close('}'))
                    && is(4, Tok::Open('{'))
                    && is(6, Tok::Close('}'));
                match (braced, digits(get(2)), digits(get(5))) {
                    (true, Some(top), Some(bottom)) => Some(((top, bottom), 7)),
                    _ => match get(1).map(|token| token.tok) {
                        // \frac12
                        Some(Tok::Number(both)) if both.len() == 2 => {
                            let (top, bottom) = both.split_at(1);
                            top.parse::<UBig>().ok().zip(bottom.parse::<UBig>().ok()).map(|parts| (parts, 2))
                        }
                        _ => None,
                    },
                }
            }
            Some(Tok::Number(_)) if self.spaced() => {
                let is_fraction = is(1, Tok::Op('/')) && !get(1).is_some_and(|token| token.spaced);
                let fresh = get(0).is_some_and(|token| token.fresh);
                match (is_fraction && !fresh, digits(get(0)), digits(get(2))) {
                    (true, Some(top), Some(bottom)) => Some(((top, bottom), 3)),
                    _ => return self.fail(),
                }
            }
            _ => None,
        };
        let Some(((top, bottom), length)) = found else { return Ok(None) };
        if bottom == UBig::ZERO || top == UBig::ZERO || top >= bottom {
            // 11 6/6 is nothing, 2\frac{3}{2} is a product.
            return if length == 7 || length == 2 { Ok(None) } else { self.fail() };
        }
        self.at += length;
        Ok(Some(RBig::from_parts(top.into(), bottom)))
    }

    pub(super) fn raised(&mut self) -> Result<Id> {
        let mut digits = String::new();
        let mut negative = false;
        while let Some(Tok::Raised(digit)) = self.peek() {
            if digit == "-" {
                negative = true;
            } else {
                digits.push_str(digit);
            }
            self.at += 1;
        }
        let value: IBig = digits.parse().or_else(|_| self.fail())?;
        Ok(self.expr.number(RBig::from(if negative { -value } else { value }), false))
    }
}

/// A literal.
struct Literal {
    value: RBig,
    /// It has a point, or an exponent below zero.
    decimal: bool,
    /// Powers of ten that are too many to write out.
    zeros: Option<i64>,
    /// Digits and nothing else.
    whole: bool,
}

/// Digits behind the point.
fn decimal_places(written: &str) -> Option<usize> {
    let (_, part) = written.split_once('.')?;
    part.bytes().all(|byte| byte.is_ascii_digit()).then_some(part.len())
}

/// Reads a literal. `None` if it is none.
fn number(written: &str) -> Result<Option<Literal>> {
    let (mantissa, exponent) = match written.find(['e', 'E']) {
        Some(at) => match written[at + 1..].parse::<i64>() {
            Ok(exponent) if exponent.abs() < 1 << 40 => (&written[..at], exponent),
            _ => return Err(Failure::TooComplex),
        },
        None => (written, 0),
    };
    let mut digits = String::with_capacity(mantissa.len());
    let mut places = None;
    for byte in mantissa.bytes() {
        match byte {
            b'0'..=b'9' => {
                digits.push(byte as char);
                places = places.map(|places: i64| places + 1);
            }
            b'.' => places = Some(0),
            _ => {}
        }
    }
    if digits.len() > MOST_DIGITS {
        return Err(Failure::TooComplex);
    }
    let Ok(whole) = digits.parse::<IBig>() else { return Ok(None) };
    let shift = exponent - places.unwrap_or(0);
    let decimal = places.is_some() || exponent < 0;
    let (value, zeros) = if shift.abs() > MOST_ZEROS {
        (RBig::from(whole), Some(shift))
    } else if shift >= 0 {
        (RBig::from(whole * IBig::from(10u8).pow(shift as usize)), None)
    } else {
        (RBig::from_parts(whole, UBig::from(10u8).pow(shift.unsigned_abs() as usize)), None)
    };
    Ok(Some(Literal {
        value,
        decimal,
        zeros,
        whole: places.is_none() && exponent == 0 && !written.contains(['e', 'E']),
    }))
}
