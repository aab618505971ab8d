//! What a formula is made of: numbers, variables, brackets, roots, fractions.

use dashu_int::IBig;
use dashu_ratio::RBig;

use super::expr::{Big, Func, Id, Node};
use super::lex::Tok;
use super::names::{GREEK, function, spell, words};
use super::parse::{Parser, Result};

/// Short words of sentences.
const PROSE: &[&str] = &[
    "are", "be", "but", "by", "can", "do", "for", "get", "go", "has", "he", "her", "his", "how", "if", "is",
    "it", "its", "let", "my", "no", "not", "now", "of", "on", "one", "our", "out", "see", "she", "so", "the",
    "to", "two", "up", "us", "was", "we", "who", "you",
];

/// Letters side by side, in bytes: more are no product.
const LONGEST_WORD: usize = 40;

impl<'a> Parser<'a> {
    pub(super) fn primary(&mut self) -> Result<Id> {
        let Some(tok) = self.peek() else { return self.fail() };
        match tok {
            Tok::Number(digits) => self.literal(digits),
            Tok::Vulgar(parts) => {
                self.at += 1;
                self.vulgar(parts)
            }
            Tok::Word(word) => self.word(word),
            Tok::Command(name) => self.command(name),
            Tok::Unknown(name) if name.starts_with('\\') && name.len() > 2 => {
                self.at += 1;
                self.symbol(name)
            }
            Tok::Text(text) => {
                self.at += 1;
                let name = self.expr.name(&words(text));
                Ok(self.expr.push(Node::Text(name)))
            }
            Tok::Currency(sign) => {
                self.at += 1;
                let negative = self.eat(Tok::Op('-'));
                let value = self.power()?;
                let name = self.expr.name(sign);
                let value = if negative { self.expr.push(Node::Neg(value)) } else { value };
                Ok(self.expr.push(Node::Unit(value, name)))
            }
            Tok::Open('{') => self.group(),
            Tok::Open(open) => self.bracket(open),
            Tok::Bar => {
                self.at += 1;
                self.bars += 1;
                let inner = self.deeper(Self::sum)?;
                self.bars -= 1;
                self.expect(Tok::Bar)?;
                let kids = self.expr.list(&[inner]);
                Ok(self.expr.push(Node::Call(Func::Abs, kids)))
            }
            _ => self.fail(),
        }
    }

    pub(super) fn bracket(&mut self, open: char) -> Result<Id> {
        self.at += 1;
        let bars = std::mem::take(&mut self.bars);
        let mut items = Vec::new();
        self.deeper(|parser| parser.items(&mut items))?;
        self.bars = bars;
        let Some(Tok::Close(close)) = self.peek() else { return self.fail() };
        self.at += 1;
        let whole = match open {
            'f' => Some(Func::Floor),
            'c' => Some(Func::Ceil),
            _ => None,
        };
        if let Some(func) = whole {
            let kids = self.expr.list(&items);
            return if items.len() == 1 { Ok(self.expr.push(Node::Call(func, kids))) } else { self.fail() };
        }
        match (open, &items[..]) {
            ('S', []) => Ok(self.expr.push(Node::Empty)),
            ('S', many) => {
                let kids = self.expr.list(many);
                Ok(self.expr.push(Node::Set(kids)))
            }
            (_, []) => self.fail(),
            ('(' | '[', &[one]) if matches!((open, close), ('(', ')') | ('[', ']')) => Ok(one),
            (_, many) => {
                let kids = self.expr.list(many);
                Ok(self.expr.push(Node::Tuple(open, close, kids)))
            }
        }
    }

    pub(super) fn vulgar(&mut self, parts: &str) -> Result<Id> {
        let (top, bottom) = parts.split_once('/').unwrap_or((parts, "1"));
        let read = |digits: &str| digits.parse::<IBig>().unwrap_or(IBig::ONE);
        Ok(self.expr.number(RBig::from_parts(read(top), read(bottom).into_parts().1), false))
    }

    pub(super) fn word(&mut self, word: &'a str) -> Result<Id> {
        if let Some(func) = function(word) {
            self.at += 1;
            return self.call(func);
        }
        match word {
            "pi" | "Pi" => {
                self.at += 1;
                return Ok(self.expr.push(Node::Pi));
            }
            "infinity" | "inf" | "Infinity" | "oo" | "infty" => {
                self.at += 1;
                return Ok(self.expr.push(Node::Infinity));
            }
            "sqrt" => {
                self.at += 1;
                return self.root();
            }
            "frac" => {
                self.at += 1;
                return self.fraction();
            }
            _ if GREEK.contains(&word) && word.len() > 1 => {
                self.at += 1;
                return self.symbol(word);
            }
            _ => {}
        }
        // "sinx", "lnx".
        for length in [6, 4, 3, 2] {
            if word.len() > length
                && word.len() <= length + 2
                && word.is_char_boundary(length)
                && let Some(func) = function(&word[..length])
            {
                let token = &mut self.tokens[self.at];
                token.tok = Tok::Word(&word[length..]);
                token.at += length;
                token.spaced = false;
                return self.call(func);
            }
        }
        if word.len() == 1 {
            self.at += 1;
            return self.symbol(word);
        }
        if word.len() > LONGEST_WORD {
            return self.fail();
        }
        // Prose is no product of letters.
        let set_off = self.spaced_or_first()
            && self
                .tokens
                .get(self.at + 1)
                .is_some_and(|next| next.spaced || matches!(next.tok, Tok::Op(',')));
        if word.len() > 3 && word.bytes().any(|byte| byte.is_ascii_lowercase())
            || set_off && PROSE.contains(&word.to_lowercase().as_str())
        {
            return self.fail();
        }
        let letter = self.letter();
        Ok(letter)
    }

    fn spaced_or_first(&self) -> bool {
        self.at == 0 || self.spaced()
    }

    /// A variable with its primes and its index, or a function of that name.
    pub(super) fn symbol(&mut self, name: &str) -> Result<Id> {
        let mut name = name.to_owned();
        loop {
            match self.peek() {
                Some(Tok::Op('\'')) => {
                    name.push('\'');
                    self.at += 1;
                }
                Some(Tok::Op('_')) => {
                    self.at += 1;
                    name.push('_');
                    self.index(&mut name)?;
                }
                Some(Tok::Lowered(digit)) => {
                    if !name.contains('_') {
                        name.push('_');
                    }
                    name.push_str(digit);
                    self.at += 1;
                }
                Some(Tok::Op('^'))
                    if self.tokens.get(self.at + 1).is_some_and(|token| token.tok == Tok::Op('\'')) =>
                {
                    self.at += 1;
                }
                _ => break,
            }
        }
        match name.as_str() {
            "e" => return Ok(self.expr.push(Node::E)),
            "i" => return Ok(self.expr.push(Node::I)),
            _ => {}
        }
        let is_function = name.starts_with(['f', 'g', 'h', 'F', 'G'])
            && name.bytes().all(|byte| !byte.is_ascii_lowercase() || b"fgh".contains(&byte));
        if is_function && self.peek() == Some(Tok::Open('(')) && !self.spaced() {
            self.at += 1;
            let mut items = Vec::new();
            self.deeper(|parser| parser.items(&mut items))?;
            self.expect(Tok::Close(')'))?;
            let kids = self.expr.list(&items);
            let name = self.expr.name(&name);
            return Ok(self.expr.push(Node::Named(name, kids)));
        }
        let name = self.expr.name(&name);
        Ok(self.expr.push(Node::Symbol(name)))
    }

    /// An index, spelled into the name.
    pub(super) fn index(&mut self, name: &mut String) -> Result<()> {
        match self.peek() {
            Some(Tok::Open('{')) => {
                self.at += 1;
                let mut depth = 0;
                loop {
                    let Some(tok) = self.peek() else { return self.fail() };
                    match tok {
                        Tok::Close('}') if depth == 0 => break,
                        Tok::Close('}') => depth -= 1,
                        Tok::Open('{') => depth += 1,
                        other => spell(other, name),
                    }
                    self.at += 1;
                }
                self.at += 1;
            }
            Some(Tok::Word(word)) => {
                let first = word.chars().next().map_or(0, char::len_utf8);
                name.push_str(&word[..first]);
                self.letter();
            }
            Some(Tok::Number(digits)) => {
                // "x_12" is meant as one index.
                name.push_str(digits);
                self.at += 1;
            }
            Some(tok @ (Tok::Command(_) | Tok::Text(_) | Tok::Unknown(_))) => {
                spell(tok, name);
                self.at += 1;
            }
            _ => return self.fail(),
        }
        Ok(())
    }

    pub(super) fn command(&mut self, name: &'static str) -> Result<Id> {
        if let Some(func) = function(name) {
            self.at += 1;
            return self.call(func);
        }
        self.at += 1;
        match name {
            "pi" => Ok(self.expr.push(Node::Pi)),
            "infty" => Ok(self.expr.push(Node::Infinity)),
            "emptyset" => Ok(self.expr.push(Node::Empty)),
            "frac" => self.fraction(),
            "sqrt" => self.root(),
            "binom" => {
                let (top, bottom) = (self.argument()?, self.argument()?);
                let kids = self.expr.list(&[top, bottom]);
                Ok(self.expr.push(Node::Call(Func::Binomial, kids)))
            }
            "sum" => self.big(Big::Sum),
            "prod" => self.big(Big::Product),
            "int" => self.big(Big::Integral),
            "lim" => self.big(Big::Limit),
            "bar" | "overline" | "hat" | "vec" | "tilde" | "dot" | "ddot" => {
                let mut spelled = format!("\\{name} ");
                self.spelled_argument(&mut spelled)?;
                self.symbol(&spelled)
            }
            "angle" | "triangle" => {
                let mut spelled = format!("\\{name} ");
                while let Some(Tok::Word(word)) = self.peek() {
                    spelled.push_str(word);
                    self.at += 1;
                }
                self.symbol(&spelled)
            }
            "mathbb" => {
                let mut set = String::new();
                self.spelled_argument(&mut set)?;
                let name = self.expr.name(&set);
                Ok(self.expr.push(Node::Text(name)))
            }
            // latex2sympy's own: a variable of that name.
            "variable" => {
                let mut name = String::new();
                self.spelled_argument(&mut name)?;
                self.symbol(&name)
            }
            "begin" => self.environment(),
            "pmod" => self.fail(),
            _ if GREEK.contains(&name) => self.symbol(name),
            _ => {
                self.at -= 1;
                self.fail()
            }
        }
    }

    pub(super) fn spelled_argument(&mut self, name: &mut String) -> Result<()> {
        if self.peek() == Some(Tok::Open('{')) {
            return self.index(name);
        }
        match self.peek() {
            Some(Tok::Word(_) | Tok::Number(_) | Tok::Command(_) | Tok::Text(_)) => self.index(name),
            _ => self.fail(),
        }
    }

    pub(super) fn fraction(&mut self) -> Result<Id> {
        let (top, bottom) = (self.argument()?, self.argument()?);
        // d/dx and dy/dx are no quotients of letters.
        let starts_with_d = |id| match self.expr.node(id) {
            Node::Symbol(name) => self.expr.named(name) == "d",
            Node::Mul(kids) => {
                let first = self.expr.kids(kids)[0];
                matches!(self.expr.node(first), Node::Symbol(name) if self.expr.named(name) == "d")
            }
            _ => false,
        };
        if starts_with_d(top) && starts_with_d(bottom) && matches!(self.expr.node(bottom), Node::Mul(_)) {
            return self.fail();
        }
        Ok(self.expr.push(Node::Div(top, bottom)))
    }

    pub(super) fn root(&mut self) -> Result<Id> {
        let degree = if self.peek() == Some(Tok::Open('[')) {
            self.at += 1;
            let degree = self.deeper(Self::sum)?;
            self.expect(Tok::Close(']'))?;
            degree
        } else {
            self.expr.number(RBig::from(2u8), false)
        };
        let inner = match self.peek() {
            Some(Tok::Open('(')) => self.deeper(Self::primary)?,
            Some(Tok::Number(_)) => self.deeper(Self::primary)?,
            _ => self.argument()?,
        };
        Ok(self.expr.push(Node::Root(degree, inner)))
    }

    /// The first letter of a word as a variable; the rest stays.
    pub(super) fn letter(&mut self) -> Id {
        let Some(Tok::Word(word)) = self.peek() else { return self.expr.push(Node::Empty) };
        let first = word.chars().next().map_or(0, char::len_utf8);
        let (letter, rest) = word.split_at(first);
        if rest.is_empty() {
            self.at += 1;
        } else {
            let token = &mut self.tokens[self.at];
            token.tok = Tok::Word(rest);
            token.at += first;
            (token.spaced, token.fresh) = (false, false);
        }
        match letter {
            "e" => self.expr.push(Node::E),
            "i" => self.expr.push(Node::I),
            _ => {
                let name = self.expr.name(letter);
                self.expr.push(Node::Symbol(name))
            }
        }
    }

    /// An argument of `\frac` and its kin: a group, or a digit, letter or command.
    pub(super) fn argument(&mut self) -> Result<Id> {
        match self.peek() {
            Some(Tok::Open('{')) => self.group(),
            _ if !self.malformed => self.fail(),
            Some(Tok::Number(digits)) if digits.len() > 1 => {
                // "\frac12": the first digit only.
                let token = &mut self.tokens[self.at];
                let (first, rest) = digits.split_at(1);
                token.tok = Tok::Number(rest);
                token.at += 1;
                token.spaced = false;
                let value: IBig = first.parse().or_else(|_| self.fail())?;
                Ok(self.expr.number(RBig::from(value), false))
            }
            Some(Tok::Word(_)) => Ok(self.letter()),
            Some(_) => self.deeper(Self::primary),
            None => self.fail(),
        }
    }
}
