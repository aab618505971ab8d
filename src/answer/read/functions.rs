//! Functions and what they are of; sums over a variable; matrices.

use dashu_int::IBig;
use dashu_ratio::RBig;

use super::expr::{Big, Func, Id, Node};
use super::lex::Tok;
use super::names::{function, inverse};
use super::parse::{Parser, Result};

impl<'a> Parser<'a> {
    /// A function and what it is of.
    pub(super) fn call(&mut self, func: Func) -> Result<Id> {
        let (mut func, mut power, mut base) = (func, None, None);
        loop {
            match self.peek() {
                Some(Tok::Op('^')) if power.is_none() => {
                    self.at += 1;
                    let exponent = self.script()?;
                    let is_inverse = matches!(self.expr.node(exponent), Node::Neg(one) if self.is_one(one));
                    match inverse(func) {
                        Some(inverse) if is_inverse => func = inverse,
                        _ => power = Some(exponent),
                    }
                }
                Some(Tok::Raised(_)) if power.is_none() => power = Some(self.raised()?),
                Some(Tok::Op('_')) if func == Func::Log && base.is_none() => {
                    self.at += 1;
                    base = Some(self.subscript()?);
                }
                Some(Tok::Lowered(digits)) if func == Func::Log && base.is_none() => {
                    self.at += 1;
                    let value: IBig = digits.parse().or_else(|_| self.fail())?;
                    base = Some(self.expr.number(RBig::from(value), false));
                }
                _ => break,
            }
        }
        let mut args = Vec::new();
        match self.peek() {
            Some(Tok::Open(open @ ('(' | 'S' | '['))) => {
                self.at += 1;
                let bars = std::mem::take(&mut self.bars);
                self.deeper(|parser| parser.items(&mut args))?;
                self.bars = bars;
                let close = match open {
                    '(' => ')',
                    '[' => ']',
                    _ => 'S',
                };
                self.expect(Tok::Close(close))?;
            }
            Some(Tok::Open('{')) => {
                self.at += 1;
                self.deeper(|parser| parser.items(&mut args))?;
                self.expect(Tok::Close('}'))?;
            }
            _ => args.push(self.deeper(Self::applied)?),
        }
        let takes_many =
            matches!(func, Func::Gcd | Func::Lcm | Func::Max | Func::Min | Func::Binomial | Func::Log);
        if args.is_empty() || args.len() > 1 && !takes_many {
            return self.fail();
        }
        if func == Func::Log && args.len() == 1 {
            let base = match base {
                Some(base) => base,
                None => self.expr.number(RBig::from(10u8), false),
            };
            args.insert(0, base);
        }
        let kids = self.expr.list(&args);
        let call = match func {
            Func::Exp => {
                let e = self.expr.push(Node::E);
                self.expr.push(Node::Pow(e, args[0]))
            }
            _ => self.expr.push(Node::Call(func, kids)),
        };
        Ok(match power {
            Some(power) => self.expr.push(Node::Pow(call, power)),
            None => call,
        })
    }

    /// The base of a logarithm.
    fn subscript(&mut self) -> Result<Id> {
        let Some(Tok::Number(digits)) = self.peek() else { return self.argument() };
        self.at += 1;
        let base: IBig = digits.parse().or_else(|_| self.fail())?;
        Ok(self.expr.number(RBig::from(base), false))
    }

    pub(super) fn is_one(&self, id: Id) -> bool {
        matches!(self.expr.node(id), Node::Number { at, .. } if *self.expr.value(at) == RBig::ONE)
    }

    /// What a function without brackets is of: `\sin 2x`, up to an operator or the next function.
    pub(super) fn applied(&mut self) -> Result<Id> {
        if self.eat(Tok::Op('-')) {
            let inner = self.deeper(Self::applied)?;
            return Ok(self.expr.push(Node::Neg(inner)));
        }
        let first = self.power()?;
        let mut factors = vec![first];
        while let Some(tok) = self.peek() {
            let last = factors[factors.len() - 1];
            let is_function = match tok {
                Tok::Word(word) => {
                    function(word).is_some() || function(word.get(..3).unwrap_or("")).is_some()
                }
                Tok::Command(name) => {
                    function(name).is_some() || matches!(name, "sum" | "int" | "prod" | "begin")
                }
                Tok::Open(open) => open != '{',
                _ => false,
            };
            if is_function || !self.follows(tok, last) {
                break;
            }
            factors.push(self.power()?);
        }
        let mut product = self.multiplied(&factors);
        // \ln x/2 and \sin \pi/3: what follows the slash belongs to the argument if it is a number.
        if self.peek() == Some(Tok::Op('/'))
            && matches!(self.tokens.get(self.at + 1).map(|token| token.tok), Some(Tok::Number(_)))
            && self.expr.is_constant(product)
        {
            self.at += 1;
            let bottom = self.power()?;
            product = self.expr.push(Node::Div(product, bottom));
        }
        Ok(product)
    }

    /// A bound: one number, letter or command, or a group. What stands behind it belongs to the sum.
    fn bound(&mut self) -> Result<Id> {
        match self.peek() {
            Some(Tok::Open('{')) => self.group(),
            Some(Tok::Op('-')) => {
                self.at += 1;
                let inner = self.deeper(Self::bound)?;
                Ok(self.expr.push(Node::Neg(inner)))
            }
            Some(Tok::Word(word)) if function(word).is_none() => Ok(self.letter()),
            Some(Tok::Number(digits)) => self.whole(digits),
            _ => self.deeper(Self::primary),
        }
    }

    /// Digits and nothing else.
    pub(super) fn whole(&mut self, digits: &str) -> Result<Id> {
        let Ok(value) = digits.parse::<IBig>() else { return self.deeper(Self::primary) };
        self.at += 1;
        Ok(self.expr.number(RBig::from(value), false))
    }

    /// A sum and its kin, with bounds: over what is spelled first in the lower one.
    pub(super) fn big(&mut self, big: Big) -> Result<Id> {
        let (mut low, mut high) = (None, None);
        loop {
            match self.peek() {
                Some(Tok::Op('_')) if low.is_none() => {
                    self.at += 1;
                    low = Some(self.bound()?);
                }
                Some(Tok::Op('^')) if high.is_none() => {
                    self.at += 1;
                    high = Some(self.bound()?);
                }
                _ => break,
            }
        }
        let from = self.expr.nodes.len();
        let body = self.deeper(Self::product)?;
        // Over i: there it is a number, and nothing imaginary.
        let over = low.and_then(|low| match self.expr.node(low) {
            Node::Relation('=' | '→', variable, _) => Some(variable),
            _ => None,
        });
        if let Some(variable) = over
            && self.expr.node(variable) == Node::I
        {
            let name = Node::Symbol(self.expr.name("i"));
            self.expr.nodes[variable as usize] = name;
            for node in &mut self.expr.nodes[from..] {
                if *node == Node::I {
                    *node = name;
                }
            }
        }
        let none = self.expr.push(Node::Empty);
        let (variable, from) = match low.map(|low| self.expr.node(low)) {
            Some(Node::Relation('=' | '→', variable, from)) => (variable, from),
            Some(_) => (none, low.unwrap_or(none)),
            None => (none, none),
        };
        let kids = self.expr.list(&[variable, from, high.unwrap_or(none), body]);
        Ok(self.expr.push(Node::Big(big, kids)))
    }

    /// `\begin{…}` and what follows it.
    pub(super) fn environment(&mut self) -> Result<Id> {
        let mut name = String::new();
        self.index(&mut name)?;
        match name.as_str() {
            "pmatrix" | "bmatrix" | "matrix" | "vmatrix" | "Bmatrix" | "Vmatrix" | "smallmatrix"
            | "array" => {}
            "cases" => return self.fail(),
            // Alignments and the like: what is in them.
            _ => {
                let inner = self.deeper(|parser| parser.list(None))?;
                self.expect(Tok::Command("end"))?;
                self.index(&mut String::new())?;
                return Ok(inner);
            }
        }
        if name == "array" && self.peek() == Some(Tok::Open('{')) {
            self.index(&mut String::new())?;
        }
        let (mut cells, mut columns, mut column) = (Vec::new(), None, 0u32);
        let bars = std::mem::take(&mut self.bars);
        loop {
            match self.peek() {
                Some(Tok::Command("end")) => break,
                Some(Tok::Row) => {
                    self.at += 1;
                    if column > 0 && *columns.get_or_insert(column) != column {
                        return self.fail();
                    }
                    column = 0;
                }
                Some(Tok::Op('&')) => self.at += 1,
                Some(_) => {
                    cells.push(self.deeper(Self::relation)?);
                    column += 1;
                }
                None => return self.fail(),
            }
        }
        self.bars = bars;
        if column > 0 && *columns.get_or_insert(column) != column || cells.is_empty() {
            return self.fail();
        }
        self.at += 1;
        self.index(&mut String::new())?;
        let kids = self.expr.list(&cells);
        let matrix = self.expr.push(Node::Matrix(columns.unwrap_or(1), kids));
        Ok(if name == "vmatrix" {
            let kids = self.expr.list(&[matrix]);
            self.expr.push(Node::Call(Func::Det, kids))
        } else {
            matrix
        })
    }
}
