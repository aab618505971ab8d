//! From tokens to what they say.
//!
//! Precedence, loosest first: lists, relations, ratios, set operations, sums, products (explicit and by standing side
//! by side), signs, powers. What cannot be read is an error with its place; the caller decides whether it is prose.

use dashu_ratio::RBig;

use super::expr::{Expr, Func, Id, Node};
use super::lex::{Tok, Token, lex};
use super::names::{GREEK, UNITS, function, is_no_unit, is_percent, joins, multiplier};
use crate::answer::units;

/// Why a text could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::answer) enum Failure {
    /// At this byte.
    At(usize),
    /// It is too long or nested too deeply.
    TooComplex,
}

pub(super) type Result<T> = std::result::Result<T, Failure>;

/// Words of a unit: "dollars for each of them".
const MOST_UNIT_WORDS: usize = 5;
/// Brackets, powers and arguments inside of each other.
const DEEPEST: u32 = 100;
/// Operations in a row of which each is of the one before: `1/2/3`, `5!!`, unions.
const LONGEST_ROWS: u32 = 300;

/// Where the reading of an answer stands.
pub(super) struct Parser<'a> {
    pub(super) tokens: Vec<Token<'a>>,
    pub(super) at: usize,
    pub(super) depth: u32,
    /// Operations of others in a row so far: they nest without any brackets.
    pub(super) rows: u32,
    /// Open bars.
    pub(super) bars: u32,
    /// Whether `1,234` is one number.
    pub(super) grouped: bool,
    /// Whether `\frac12` may lack its braces.
    pub(super) malformed: bool,
    pub(super) end: usize,
    pub(super) expr: &'a mut Expr,
}

/// What is read as what.
#[derive(Clone, Copy, Debug)]
pub(in crate::answer) struct Reading {
    /// Commas between three digits separate thousands.
    pub grouped: bool,
    /// Arguments of commands may lack their braces.
    pub malformed: bool,
}

/// [`parse_as`], with arguments that may lack their braces.
pub(in crate::answer) fn parse(text: &str, grouped: bool, expr: &mut Expr) -> Result<Id> {
    parse_as(text, Reading { grouped, malformed: true }, expr)
}

/// Reads an answer into an arena, and gives its root.
pub(in crate::answer) fn parse_as(text: &str, reading: Reading, expr: &mut Expr) -> Result<Id> {
    let Reading { grouped, malformed } = reading;
    let end = text.len();
    let mut parser =
        Parser { tokens: lex(text), at: 0, depth: 0, rows: 0, bars: 0, grouped, malformed, end, expr };
    parser.trim();
    let root = parser.list(None)?;
    match parser.tokens.get(parser.at) {
        Some(token) => Err(Failure::At(token.at)),
        None => Ok(root),
    }
}

impl<'a> Parser<'a> {
    pub(super) fn peek(&self) -> Option<Tok<'a>> {
        self.tokens.get(self.at).map(|token| token.tok)
    }

    pub(super) fn spaced(&self) -> bool {
        self.tokens.get(self.at).is_some_and(|token| token.spaced)
    }

    pub(super) fn here(&self) -> usize {
        self.tokens.get(self.at).map_or(self.end, |token| token.at)
    }

    pub(super) fn fail<T>(&self) -> Result<T> {
        Err(Failure::At(self.here()))
    }

    pub(super) fn eat(&mut self, tok: Tok<'_>) -> bool {
        let is = self.peek() == Some(tok);
        self.at += usize::from(is);
        is
    }

    pub(super) fn expect(&mut self, tok: Tok<'_>) -> Result<()> {
        if self.eat(tok) { Ok(()) } else { self.fail() }
    }

    pub(super) fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= DEEPEST {
            return Err(Failure::TooComplex);
        }
        self.depth += 1;
        let found = parse(self);
        self.depth -= 1;
        found
    }

    /// One more operation in a row.
    pub(super) fn in_a_row(&mut self) -> Result<()> {
        self.rows += 1;
        if self.rows > LONGEST_ROWS { Err(Failure::TooComplex) } else { Ok(()) }
    }

    /// Drops what an answer may be cut off with or set off by, and means nothing: "12^{", "185\", "x ,".
    pub(super) fn trim(&mut self) {
        let count = |tok: Tok<'_>| self.tokens.iter().filter(|token| token.tok == tok).count();
        let mut unclosed = count(Tok::Open('{')).saturating_sub(count(Tok::Close('}')));
        while let Some(last) = self.tokens.last() {
            let junk = match last.tok {
                Tok::Op(',' | ';' | ':' | '^' | '_' | '=' | '&') | Tok::Row => true,
                Tok::Unknown("." | "?" | "\\" | "#") => true,
                Tok::Open('{') => {
                    let is_unclosed = unclosed > 0;
                    unclosed = unclosed.saturating_sub(1);
                    is_unclosed
                }
                Tok::Close('}') => {
                    // Braces with nothing in them.
                    let before = self.tokens.len().checked_sub(2).map(|at| self.tokens[at].tok);
                    if before == Some(Tok::Open('{')) {
                        self.tokens.pop();
                    }
                    before == Some(Tok::Open('{'))
                }
                _ => false,
            };
            if !junk {
                break;
            }
            self.tokens.pop();
        }
        let leading = self
            .tokens
            .iter()
            .take_while(|token| matches!(token.tok, Tok::Op(':' | ',' | '=') | Tok::Row))
            .count();
        self.tokens.drain(..leading);
    }

    /// Items with separators between them, up to the end or a closing bracket.
    pub(super) fn list(&mut self, open: Option<char>) -> Result<Id> {
        let mut items = Vec::new();
        let breaks = self.items(&mut items)?;
        if open.is_none()
            && let Some(nested) = self.nested(&items, &breaks)
        {
            return Ok(nested);
        }
        match (open, &items[..]) {
            (_, []) => self.fail(),
            (None | Some('{'), &[one]) => Ok(one),
            (None, many) => {
                let many = flattened(self.expr, many);
                let kids = self.expr.list(&many);
                Ok(self.expr.push(Node::List(kids)))
            }
            (Some(_), many) => {
                let kids = self.expr.list(many);
                Ok(self.expr.push(Node::Set(kids)))
            }
        }
    }

    /// Lists in a list: `p=5,q=2;p=7,q=2`.
    pub(super) fn nested(&mut self, items: &[Id], breaks: &[usize]) -> Option<Id> {
        if breaks.is_empty() || breaks.len() + 1 >= items.len() {
            return None;
        }
        let mut groups = Vec::new();
        let mut from = 0;
        for &to in breaks.iter().chain([&items.len()]) {
            let group = &items[from..to];
            from = to;
            groups.push(match *group {
                [] => continue,
                [one] => one,
                _ => {
                    let kids = self.expr.list(group);
                    self.expr.push(Node::Tuple('(', ')', kids))
                }
            });
        }
        let kids = self.expr.list(&groups);
        Some(self.expr.push(Node::List(kids)))
    }

    /// Reads items up to the end or a closing bracket, and gives the numbers of those behind a semicolon.
    pub(super) fn items(&mut self, items: &mut Vec<Id>) -> Result<Vec<usize>> {
        let mut breaks = Vec::new();
        loop {
            if matches!(self.peek(), None | Some(Tok::Close(_))) {
                return Ok(breaks);
            }
            items.push(self.deeper(Self::item)?);
            let mut seen = false;
            while let Some(tok) = self.peek() {
                let is_joint = match tok {
                    Tok::Op(',' | ';') | Tok::Row => true,
                    Tok::Op('&') => true,
                    Tok::Word(word) | Tok::Text(word) => joins(word),
                    Tok::Command("lor" | "vee" | "wedge") => true,
                    _ => false,
                };
                if !is_joint {
                    break;
                }
                seen = true;
                if tok == Tok::Op(';') {
                    breaks.push(items.len());
                }
                self.at += 1;
            }
            if !seen {
                return Ok(breaks);
            }
        }
    }

    pub(super) fn item(&mut self) -> Result<Id> {
        let left = self.relation()?;
        if self.eat(Tok::Command("choose")) {
            let right = self.relation()?;
            let kids = self.expr.list(&[left, right]);
            return Ok(self.expr.push(Node::Call(Func::Binomial, kids)));
        }
        Ok(left)
    }

    pub(super) fn relation(&mut self) -> Result<Id> {
        let first = self.ratio()?;
        let mut links = Vec::new();
        let mut left = first;
        while let Some(Tok::Op(
            op @ ('=' | '<' | '>' | '≤' | '≥' | '≠' | '≈' | '≡' | '≅' | '∼' | '∈' | '∉' | '⊂' | '⊆' | '⊃'
            | '⊇' | '→' | '⇔'),
        )) = self.peek()
        {
            self.at += 1;
            // "≈ 3.14" at the end, with nothing behind it, is prose.
            let right = self.ratio()?;
            links.push(self.expr.push(Node::Relation(op, left, right)));
            left = right;
        }
        Ok(match links[..] {
            [] => first,
            [one] => one,
            _ => {
                let kids = self.expr.list(&links);
                self.expr.push(Node::Chain(kids))
            }
        })
    }

    pub(super) fn ratio(&mut self) -> Result<Id> {
        let first = self.set()?;
        if self.peek() != Some(Tok::Op(':')) {
            return Ok(first);
        }
        let mut sides = vec![first];
        while self.eat(Tok::Op(':')) {
            sides.push(self.set()?);
        }
        let kids = self.expr.list(&sides);
        Ok(self.expr.push(Node::Ratio(kids)))
    }

    pub(super) fn set(&mut self) -> Result<Id> {
        let mut left = self.sum()?;
        while let Some(Tok::Op(op @ ('∪' | '∩' | '∖'))) = self.peek() {
            self.at += 1;
            let right = self.sum()?;
            self.in_a_row()?;
            left = self.expr.push(Node::SetOp(op, left, right));
        }
        Ok(left)
    }

    pub(super) fn sum(&mut self) -> Result<Id> {
        let mut terms = Vec::new();
        if let Some(Tok::Op(op @ ('±' | '∓'))) = self.peek() {
            self.at += 1;
            let right = self.product()?;
            let zero = self.expr.number(RBig::ZERO, false);
            terms.push(self.expr.push(Node::PlusMinus(zero, right, op == '∓')));
        } else {
            terms.push(self.product()?);
        }
        while let Some(Tok::Op(op @ ('+' | '-' | '±' | '∓'))) = self.peek() {
            self.at += 1;
            let term = self.product()?;
            match op {
                '+' => terms.push(term),
                '-' => terms.push(self.expr.push(Node::Neg(term))),
                _ => {
                    self.in_a_row()?;
                    let left = self.added(&terms);
                    terms = vec![self.expr.push(Node::PlusMinus(left, term, op == '∓'))];
                }
            }
        }
        let sum = self.added(&terms);
        self.with_unit(sum)
    }

    pub(super) fn added(&mut self, terms: &[Id]) -> Id {
        match *terms {
            [one] => one,
            _ => {
                let kids = self.expr.list(terms);
                self.expr.push(Node::Add(kids))
            }
        }
    }

    /// Words behind a value: its unit.
    pub(super) fn with_unit(&mut self, value: Id) -> Result<Id> {
        let from = self.at;
        let starts = match self.peek() {
            Some(Tok::Text(text)) => !joins(text),
            Some(Tok::Word(word)) => !joins(word) && word.len() > 1 && self.expr.is_constant(value),
            Some(Tok::Currency(_)) => true,
            _ => false,
        };
        if !starts {
            return Ok(value);
        }
        let mut unit = String::new();
        while let Some(tok) = self.peek() {
            match tok {
                Tok::Text(word) if !joins(word) => {
                    unit.push_str(word);
                    unit.push(' ');
                }
                Tok::Word(word) if !joins(word) => {
                    unit.push_str(word);
                    unit.push(' ');
                }
                Tok::Currency(sign) => unit.push_str(sign),
                Tok::Op(c @ ('/' | '^' | '*' | '-' | '\'')) if self.at > from => {
                    unit.truncate(unit.trim_end().len());
                    unit.push(c);
                }
                // An exponent; other numbers are more than a unit: 2 hours 30 minutes.
                Tok::Number(digits @ ("2" | "3"))
                    if self.at > from
                        && (unit.ends_with(['^', '-', '{']) || !self.spaced() && !unit.contains('^')) =>
                {
                    if !unit.ends_with(['^', '-']) {
                        unit.truncate(unit.trim_end().len());
                        unit.push('^');
                    }
                    unit.push_str(digits);
                }
                Tok::Raised(digit) => {
                    unit.truncate(unit.trim_end().len());
                    unit.push('^');
                    unit.push_str(digit);
                }
                Tok::Open('{') | Tok::Close('}')
                    if matches!(self.tokens.get(self.at + 1).map(|t| t.tok), Some(Tok::Number(_)))
                        || unit.ends_with(|c: char| c.is_ascii_digit())
                            && tok == Tok::Close('}')
                            && unit.contains('^') => {}
                Tok::Op('.') => {}
                Tok::Unknown(".") => {}
                _ => break,
            }
            self.at += 1;
        }
        let mut unit = unit.trim();
        let mut value = value;
        // 1.2 million dollars.
        while let Some((many, rest)) = multiplier(unit) {
            unit = rest;
            let many = self.expr.number(RBig::from(many), false);
            value = match self.expr.node(value) {
                Node::Unit(inner, name) => {
                    let inner = self.multiplied(&[inner, many]);
                    self.expr.push(Node::Unit(inner, name))
                }
                _ => self.multiplied(&[value, many]),
            };
        }
        if unit.is_empty() {
            return Ok(value);
        }
        // More words are a sentence, and some words say more than what is counted.
        if unit.split(' ').count() > MOST_UNIT_WORDS || unit.split([' ', '-']).any(is_no_unit) {
            return Err(Failure::At(self.tokens[from].at));
        }
        if is_percent(unit) {
            return Ok(self.expr.push(Node::Percent(value)));
        }
        if matches!(unit, "degrees" | "degree") {
            return Ok(self.expr.push(Node::Degrees(value)));
        }
        let name = self.expr.name(unit);
        // 2 hours 30 minutes.
        if let (Some(Tok::Number(_)), Some(whole)) = (self.peek(), units::read(unit)) {
            let at = self.here();
            let more = self.deeper(Self::sum)?;
            let Node::Unit(part, smaller) = self.expr.node(more) else { return Err(Failure::At(at)) };
            let part_of = units::read(self.expr.named(smaller))
                .filter(|unit| unit.measures == whole.measures && unit.factor < whole.factor);
            let Some(part_of) = part_of else { return Err(Failure::At(at)) };
            let factor = self.expr.number(part_of.factor / whole.factor, false);
            let part = self.multiplied(&[part, factor]);
            value = self.added(&[value, part]);
        }
        Ok(self.expr.push(Node::Unit(value, name)))
    }

    pub(super) fn product(&mut self) -> Result<Id> {
        if let Some(Tok::Op(op @ ('-' | '+'))) = self.peek() {
            self.at += 1;
            let inner = self.deeper(Self::product)?;
            if op == '+' {
                return Ok(inner);
            }
            // −7 mod 3 is 2.
            if let Node::Call(Func::Mod, kids) = self.expr.node(inner) {
                let &[of, modulus] = self.expr.kids(kids) else { return self.fail() };
                let negative = self.expr.push(Node::Neg(of));
                let kids = self.expr.list(&[negative, modulus]);
                return Ok(self.expr.push(Node::Call(Func::Mod, kids)));
            }
            return Ok(self.expr.push(Node::Neg(inner)));
        }
        let mut left = self.power()?;
        let mut factors = vec![left];
        loop {
            match self.peek() {
                Some(Tok::Op('*')) => {
                    self.at += 1;
                    factors.push(self.signed()?);
                }
                Some(Tok::Op('/')) => {
                    self.at += 1;
                    let right = self.denominator()?;
                    left = self.multiplied(&factors);
                    if matches!(self.expr.node(left), Node::Div(..)) {
                        self.in_a_row()?;
                    }
                    left = self.expr.push(Node::Div(left, right));
                    factors = vec![left];
                }
                Some(Tok::Command(name @ ("mod" | "pmod"))) => {
                    self.at += 1;
                    let first = if name == "pmod" { self.argument()? } else { self.signed()? };
                    let mut right = vec![first];
                    while let Some(tok) = self.peek()
                        && self.follows(tok, right[right.len() - 1])
                    {
                        right.push(self.power()?);
                    }
                    self.in_a_row()?;
                    let right = self.multiplied(&right);
                    left = self.multiplied(&factors);
                    let kids = self.expr.list(&[left, right]);
                    left = self.expr.push(Node::Call(Func::Mod, kids));
                    factors = vec![left];
                }
                Some(tok) if self.follows(tok, *factors.last().unwrap_or(&left)) => {
                    factors.push(self.power()?)
                }
                _ => break,
            }
        }
        Ok(self.multiplied(&factors))
    }

    pub(super) fn multiplied(&mut self, factors: &[Id]) -> Id {
        match *factors {
            [one] => one,
            _ => {
                let kids = self.expr.list(factors);
                self.expr.push(Node::Mul(kids))
            }
        }
    }

    /// A factor with a sign in front: in `2 * -3`.
    pub(super) fn signed(&mut self) -> Result<Id> {
        if let Some(Tok::Op(op @ ('-' | '+'))) = self.peek() {
            self.at += 1;
            let inner = self.deeper(Self::signed)?;
            return Ok(if op == '-' { self.expr.push(Node::Neg(inner)) } else { inner });
        }
        self.power()
    }

    /// Behind a slash: one factor, and what stands close to it: 1/2x is 1/(2x), and 1/2 x and 1/2(x) are not.
    pub(super) fn denominator(&mut self) -> Result<Id> {
        let first = self.signed()?;
        let mut factors = vec![first];
        while let Some(tok @ (Tok::Word(_) | Tok::Command(_))) = self.peek() {
            let last = factors[factors.len() - 1];
            let is_name = match tok {
                Tok::Word(word) => function(word).is_none(),
                Tok::Command(name) => GREEK.contains(&name) || name == "pi",
                _ => false,
            };
            let is_close = matches!(
                self.expr.node(last),
                Node::Number { .. } | Node::Symbol(_) | Node::Pow(..) | Node::Pi
            );
            if !is_name || !is_close || self.spaced() || !self.follows(tok, last) {
                break;
            }
            factors.push(self.power()?);
        }
        Ok(self.multiplied(&factors))
    }

    /// Whether a token that stands behind a factor is one more.
    pub(super) fn follows(&self, tok: Tok<'_>, last: Id) -> bool {
        let after_number = matches!(self.expr.node(last), Node::Number { .. });
        match tok {
            Tok::Number(_) | Tok::Vulgar(_) => {
                !after_number && !matches!(self.expr.node(last), Node::Div(..))
            }
            Tok::Word(word) => {
                let known = function(word).is_some()
                    || matches!(word, "pi" | "infinity" | "sqrt")
                    || GREEK.contains(&word);
                if known {
                    return true;
                }
                if joins(word) || is_percent(word) {
                    return false;
                }
                let is_value = self.expr.is_constant(last);
                !(is_value && word.len() > 1 && (self.spaced() || UNITS.contains(&word) || word.len() > 4))
            }
            Tok::Command(name) => !matches!(
                name,
                "choose" | "end" | "mod" | "pmod" | "lor" | "vee" | "wedge" | "neg" | "inf" | "sup"
            ),
            Tok::Unknown(name) => name.starts_with('\\') && name.len() > 2,
            Tok::Open(c) => c != 'S',
            Tok::Bar => self.bars == 0,
            _ => false,
        }
    }

    pub(super) fn power(&mut self) -> Result<Id> {
        self.deeper(|parser| {
            let base = parser.primary()?;
            parser.postfix(base)
        })
    }

    pub(super) fn postfix(&mut self, base: Id) -> Result<Id> {
        let mut base = base;
        for round in 0.. {
            // The first finds x², the second that no more comes.
            if round > 1 {
                self.in_a_row()?;
            }
            match self.peek() {
                Some(Tok::Op('^')) => {
                    self.at += 1;
                    if let Some(degrees) = self.degrees(base) {
                        base = degrees;
                        continue;
                    }
                    let exponent = self.script()?;
                    base = self.expr.push(Node::Pow(base, exponent));
                }
                Some(Tok::Raised(_)) => {
                    let exponent = self.raised()?;
                    base = self.expr.push(Node::Pow(base, exponent));
                }
                Some(Tok::Op('!')) => {
                    self.at += 1;
                    // A double factorial is another function.
                    if self.peek() == Some(Tok::Op('!')) && !self.spaced() {
                        return self.fail();
                    }
                    let kids = self.expr.list(&[base]);
                    base = self.expr.push(Node::Call(Func::Factorial, kids));
                }
                Some(Tok::Op('%')) => {
                    self.at += 1;
                    base = self.expr.push(Node::Percent(base));
                }
                // f ∘ g has nothing to do with degrees.
                Some(Tok::Op('°'))
                    if !self.expr.is_constant(base)
                        && matches!(
                            self.tokens.get(self.at + 1).map(|next| next.tok),
                            Some(Tok::Word(_) | Tok::Command(_) | Tok::Open(_))
                        ) =>
                {
                    return self.fail();
                }
                Some(Tok::Op('°')) => {
                    self.at += 1;
                    base = self.expr.push(Node::Degrees(base));
                    self.celsius();
                }
                Some(Tok::Word(word)) if is_percent(word) => {
                    // "4 4/9percent" is no word of its own.
                    if !self.spaced() && word != "pct" {
                        return self.fail();
                    }
                    self.at += 1;
                    base = self.expr.push(Node::Percent(base));
                }
                // A transpose, an index of what is no name.
                Some(Tok::Op('_')) => return self.fail(),
                _ => break,
            }
        }
        Ok(base)
    }

    /// `^\circ` and `^{\circ}`.
    pub(super) fn degrees(&mut self, base: Id) -> Option<Id> {
        let braced = self.peek() == Some(Tok::Open('{'));
        let at = self.at + usize::from(braced);
        if self.tokens.get(at)?.tok != Tok::Op('°') {
            return None;
        }
        if braced && self.tokens.get(at + 1)?.tok != Tok::Close('}') {
            return None;
        }
        self.at = at + 1 + usize::from(braced);
        self.celsius();
        Some(self.expr.push(Node::Degrees(base)))
    }

    /// The letter behind ° in 20 °C.
    fn celsius(&mut self) {
        let is = |at: usize, tok: Tok<'_>| self.tokens.get(at).is_some_and(|token| token.tok == tok);
        let letter = |at: usize| is(at, Tok::Word("C")) || is(at, Tok::Word("F"));
        if letter(self.at) {
            self.at += 1;
        } else if is(self.at, Tok::Open('{')) && letter(self.at + 1) && is(self.at + 2, Tok::Close('}')) {
            self.at += 3;
        }
    }

    /// What stands behind `^`.
    pub(super) fn script(&mut self) -> Result<Id> {
        match self.peek() {
            Some(Tok::Open('{')) => self.group(),
            Some(Tok::Op(op @ ('-' | '+'))) => {
                self.at += 1;
                let inner = self.deeper(Self::script)?;
                Ok(if op == '-' { self.expr.push(Node::Neg(inner)) } else { inner })
            }
            Some(Tok::Word(word)) if function(word).is_none() && word != "pi" => {
                let letter = self.letter();
                Ok(letter)
            }
            Some(Tok::Op('*')) => {
                // A conjugate or dual: x^*.
                self.at += 1;
                let name = self.expr.name("*");
                Ok(self.expr.push(Node::Symbol(name)))
            }
            // 2^3½ is 2³ · ½, and 2^3^2 is 2^(3^2).
            Some(Tok::Number(digits)) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                let base = self.whole(digits)?;
                if !self.eat(Tok::Op('^')) {
                    return Ok(base);
                }
                let exponent = self.deeper(Self::script)?;
                Ok(self.expr.push(Node::Pow(base, exponent)))
            }
            _ => self.power(),
        }
    }

    /// `{…}`.
    pub(super) fn group(&mut self) -> Result<Id> {
        self.expect(Tok::Open('{'))?;
        let inner = self.deeper(|parser| parser.list(Some('{')))?;
        self.expect(Tok::Close('}'))?;
        Ok(inner)
    }
}

/// Lists in a list as its own items: `x = 1, 2 and 3`.
fn flattened(expr: &Expr, items: &[Id]) -> Vec<Id> {
    let mut all = Vec::with_capacity(items.len());
    for &item in items {
        match expr.node(item) {
            Node::List(kids) => all.extend_from_slice(expr.kids(kids)),
            _ => all.push(item),
        }
    }
    all
}
