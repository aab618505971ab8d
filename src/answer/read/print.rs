//! An answer as it was read, in SymPy's syntax, so that a person can see it and another program can check it.

use std::fmt::Write as _;

use super::expr::{Big, Expr, Func, Id, Kids, Node};

/// What binds how tightly.
const LOOSE: u8 = 0;
const SUM: u8 = 2;
const PRODUCT: u8 = 3;
const POWER: u8 = 5;
const ATOM: u8 = 6;

/// Deeper parts are left out, and so is what comes after so many bytes.
const DEEPEST: u32 = 200;
const LONGEST: usize = 1 << 14;

/// The expression below `id`. Percent signs, degrees and units are factors with these names.
pub(in crate::answer) fn print(expr: &Expr, id: Id) -> String {
    let mut printer = Printer { expr, out: String::new(), depth: 0 };
    printer.put(id, LOOSE);
    printer.out
}

struct Printer<'a> {
    expr: &'a Expr,
    out: String,
    depth: u32,
}

impl Printer<'_> {
    fn is_full(&self) -> bool {
        self.out.len() >= LONGEST
    }

    /// `id`, in brackets if it binds less than `least`.
    fn put(&mut self, id: Id, least: u8) {
        if self.depth >= DEEPEST || self.is_full() {
            if !self.out.ends_with('…') {
                self.out.push('…');
            }
            return;
        }
        self.depth += 1;
        let node = self.expr.node(id);
        let open = self.binds(node) < least;
        self.out.push_str(if open { "(" } else { "" });
        self.node(node);
        self.out.push_str(if open { ")" } else { "" });
        self.depth -= 1;
    }

    fn binds(&self, node: Node) -> u8 {
        match node {
            Node::Number { at, .. } => {
                let value = self.expr.value(at);
                if value.is_int() && value.numerator() >= &dashu_int::IBig::ZERO { ATOM } else { PRODUCT }
            }
            Node::Neg(_) | Node::Add(_) => SUM,
            Node::Mul(_) | Node::Div(..) | Node::Percent(_) | Node::Degrees(_) | Node::Unit(..) => PRODUCT,
            Node::Pow(..) => POWER,
            Node::List(_) => LOOSE,
            Node::Relation(op, ..) if "<>≤≥".contains(op) => LOOSE,
            Node::Chain(_) => LOOSE,
            _ => ATOM,
        }
    }

    fn node(&mut self, node: Node) {
        match node {
            Node::Number { at, .. } => self.number(at),
            Node::Symbol(name) => self.symbol(name),
            Node::Pi => self.out.push_str("pi"),
            Node::E => self.out.push('E'),
            Node::I => self.out.push('I'),
            Node::Infinity => self.out.push_str("oo"),
            Node::Empty => self.out.push_str("EmptySet"),
            Node::Text(name) => {
                let text = self.expr.named(name).to_owned();
                self.quoted(&text);
            }
            Node::Neg(a) => {
                self.out.push('-');
                self.put(a, PRODUCT);
            }
            Node::Add(kids) => {
                for (place, &kid) in self.expr.kids(kids).iter().enumerate() {
                    if self.is_full() {
                        return self.put(kid, SUM);
                    }
                    match self.expr.node(kid) {
                        Node::Neg(inner) if place > 0 => {
                            self.out.push_str(" - ");
                            self.put(inner, PRODUCT);
                        }
                        _ => {
                            self.out.push_str(if place > 0 { " + " } else { "" });
                            self.put(kid, PRODUCT);
                        }
                    }
                }
            }
            Node::Mul(kids) => {
                for (place, &kid) in self.expr.kids(kids).iter().enumerate() {
                    if self.is_full() {
                        return self.put(kid, POWER);
                    }
                    self.out.push_str(if place > 0 { "*" } else { "" });
                    self.put(kid, if place > 0 { POWER } else { PRODUCT });
                }
            }
            Node::Div(a, b) => {
                self.put(a, PRODUCT);
                self.out.push('/');
                self.put(b, POWER);
            }
            Node::Percent(a) => self.times(a, "percent"),
            Node::Degrees(a) => self.times(a, "degree"),
            Node::Unit(a, name) => {
                self.put(a, PRODUCT);
                self.out.push('*');
                self.symbol(name);
            }
            Node::Pow(a, b) => {
                self.put(a, ATOM);
                self.out.push_str("**");
                self.put(b, ATOM);
            }
            Node::Root(degree, a) => {
                let Node::Number { at, .. } = self.expr.node(degree) else {
                    return self.function("root", &[a, degree]);
                };
                match self.expr.value(at).to_string().as_str() {
                    "2" => self.function("sqrt", &[a]),
                    // Real where there is a real one.
                    _ => self.function("real_root", &[a, degree]),
                }
            }
            Node::Call(Func::Log, kids) => {
                let mut args = self.expr.kids(kids).to_vec();
                args.reverse();
                self.function("log", &args);
            }
            Node::Call(func, kids) => self.function(name(func), self.expr.kids(kids)),
            Node::Named(name, kids) => {
                self.symbol(name);
                self.out.push('(');
                self.joined(kids, ", ", SUM);
                self.out.push(')');
            }
            Node::Big(big, kids) => self.big(big, kids),
            Node::PlusMinus(a, b, swapped) => {
                self.function(if swapped { "MinusPlus" } else { "PlusMinus" }, &[a, b])
            }
            Node::Ratio(kids) => self.function("Ratio", self.expr.kids(kids)),
            Node::Tuple('(' | '<', ')' | '>', kids) => {
                self.out.push('(');
                self.joined(kids, ", ", SUM);
                self.out.push_str(if kids.count == 1 { ",)" } else { ")" });
            }
            Node::Tuple('[', ']', kids) if kids.count != 2 => {
                self.out.push('[');
                self.joined(kids, ", ", SUM);
                self.out.push(']');
            }
            Node::Tuple(open, close, kids) => {
                self.out.push_str("Interval(");
                self.joined(kids, ", ", SUM);
                for is_open in [open != '[', close != ']'] {
                    self.out.push_str(if is_open { ", True" } else { ", False" });
                }
                self.out.push(')');
            }
            Node::Set(kids) => self.function("FiniteSet", self.expr.kids(kids)),
            Node::List(kids) => self.joined(kids, ", ", SUM),
            Node::SetOp(op, a, b) => {
                let name = match op {
                    '∪' => "Union",
                    '∩' => "Intersection",
                    _ => "Complement",
                };
                self.out.push_str(name);
                for (place, side) in [a, b].into_iter().enumerate() {
                    self.out.push_str(if place == 0 { "(" } else { ", " });
                    self.set(side);
                }
                self.out.push(')');
            }
            Node::Relation(op, a, b) => self.relation(op, a, b),
            Node::Chain(kids) => self.function("And", self.expr.kids(kids)),
            Node::Matrix(columns, kids) => {
                let cells = self.expr.kids(kids).to_vec();
                self.out.push_str("Matrix([");
                for (row, cells) in cells.chunks(columns.max(1) as usize).enumerate() {
                    if self.is_full() {
                        break;
                    }
                    self.out.push_str(if row > 0 { ", [" } else { "[" });
                    self.all(cells, ", ", SUM);
                    self.out.push(']');
                }
                self.out.push_str("])");
            }
        }
    }

    /// `id` where only sets stand: there a pair is an open interval.
    fn set(&mut self, id: Id) {
        match self.expr.node(id) {
            Node::Tuple('(', ')', kids) if kids.count == 2 => {
                self.out.push_str("Interval(");
                self.joined(kids, ", ", SUM);
                self.out.push_str(", True, True)");
            }
            Node::Tuple(..)
            | Node::Set(_)
            | Node::SetOp(..)
            | Node::Empty
            | Node::Text(_)
            | Node::Symbol(_) => {
                self.put(id, SUM);
            }
            _ => self.function("FiniteSet", &[id]),
        }
    }

    fn relation(&mut self, op: char, a: Id, b: Id) {
        let sign = match op {
            '<' => " < ",
            '>' => " > ",
            '≤' => " <= ",
            '≥' => " >= ",
            '=' => return self.function("Eq", &[a, b]),
            '≠' => return self.function("Ne", &[a, b]),
            '∈' => return self.function("Contains", &[a, b]),
            _ => {
                self.out.push_str("Relation(");
                self.quoted(&op.to_string());
                self.out.push_str(", ");
                self.all(&[a, b], ", ", SUM);
                return self.out.push(')');
            }
        };
        self.put(a, SUM);
        self.out.push_str(sign);
        self.put(b, SUM);
    }

    fn big(&mut self, big: Big, kids: Kids) {
        let &[variable, from, to, body] = self.expr.kids(kids) else { return };
        self.out.push_str(match big {
            Big::Sum => "Sum(",
            Big::Product => "Product(",
            Big::Integral => "Integral(",
            Big::Limit => "Limit(",
        });
        self.put(body, SUM);
        let bounds: Vec<Id> =
            [variable, from, to].into_iter().filter(|&id| self.expr.node(id) != Node::Empty).collect();
        if !bounds.is_empty() {
            self.out.push_str(", (");
            self.all(&bounds, ", ", SUM);
            self.out.push_str(if bounds.len() == 1 { ",)" } else { ")" });
        }
        self.out.push(')');
    }

    fn number(&mut self, at: u32) {
        const MOST_BITS: usize = 1 << 13;
        let value = self.expr.value(at);
        use dashu_base::BitTest as _;
        let bits = value.numerator().bit_len().max(value.denominator().bit_len());
        // Written out it would take longer than all that is done with it.
        let _ = match bits {
            0..=MOST_BITS => write!(self.out, "{value}"),
            bits => write!(self.out, "Symbol('a number of {bits} bits')"),
        };
    }

    fn symbol(&mut self, name: u32) {
        let name = self.expr.named(name).to_owned();
        let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit());
        if is_name {
            self.out.push_str(&name);
        } else {
            self.out.push_str("Symbol(");
            self.quoted(&name);
            self.out.push(')');
        }
    }

    fn quoted(&mut self, text: &str) {
        self.out.push('\'');
        for c in text.chars() {
            match c {
                '\'' | '\\' => self.out.extend(['\\', c]),
                c if c.is_control() => self.out.push(' '),
                c => self.out.push(c),
            }
        }
        self.out.push('\'');
    }

    fn times(&mut self, a: Id, factor: &str) {
        self.put(a, PRODUCT);
        self.out.push('*');
        self.out.push_str(factor);
    }

    fn function(&mut self, name: &str, args: &[Id]) {
        self.out.push_str(name);
        self.out.push('(');
        self.all(args, ", ", SUM);
        self.out.push(')');
    }

    fn joined(&mut self, kids: Kids, between: &str, least: u8) {
        let kids = self.expr.kids(kids).to_vec();
        self.all(&kids, between, least);
    }

    fn all(&mut self, ids: &[Id], between: &str, least: u8) {
        for (place, &id) in ids.iter().enumerate() {
            if self.is_full() {
                return self.put(id, least);
            }
            self.out.push_str(if place > 0 { between } else { "" });
            self.put(id, least);
        }
    }
}

fn name(func: Func) -> &'static str {
    match func {
        Func::Sin => "sin",
        Func::Cos => "cos",
        Func::Tan => "tan",
        Func::Cot => "cot",
        Func::Sec => "sec",
        Func::Csc => "csc",
        Func::Asin => "asin",
        Func::Acos => "acos",
        Func::Atan => "atan",
        Func::Acot => "acot",
        Func::Sinh => "sinh",
        Func::Cosh => "cosh",
        Func::Tanh => "tanh",
        Func::Coth => "coth",
        Func::Asinh => "asinh",
        Func::Acosh => "acosh",
        Func::Atanh => "atanh",
        Func::Exp => "exp",
        Func::Ln | Func::Log => "log",
        Func::Abs => "Abs",
        Func::Floor => "floor",
        Func::Ceil => "ceiling",
        Func::Gcd => "gcd",
        Func::Lcm => "lcm",
        Func::Max => "Max",
        Func::Min => "Min",
        Func::Mod => "Mod",
        Func::Binomial => "binomial",
        Func::Factorial => "factorial",
        Func::Re => "re",
        Func::Im => "im",
        Func::Arg => "arg",
        Func::Det => "det",
    }
}
