//! Whether two answers that were read are the same.
//!
//! - this file: what stands around an answer (`x =`, units), and which comparison fits which forms;
//! - `relations`: equations and inequalities;
//! - `collections`: lists, sets, tuples, intervals, ratios;
//! - `matrices`;
//! - `numbers`: numbers and functions.

mod collections;
mod matrices;
mod numbers;
mod relations;

use std::borrow::Cow;
use std::cmp::Ordering;

use super::budget::Budget;
use super::read::expr::{Expr, Func, Id, Kids, Node};
use super::units;
use super::value::exact::in_base;
use super::value::interval::Interval;
use super::value::narrow::Narrow;
use super::value::points::Valuer;

/// How answers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Decimals that count where one side was written with a point: 0.333333 is 1/3 with 6. `None`: all.
    pub float_rounding: Option<u32>,
    /// Whether names of variables mean something, and a tuple is no set. Otherwise a prediction's variables stand for
    /// those of the gold answer, in the order in which they are written.
    pub strict: bool,
    /// Whether an inequality may stand for a gold set: −2 ≤ x ≤ 7 for [−2, 7].
    pub allow_set_relation_comp: bool,
    /// Whether a prediction that cannot be read is different; otherwise the verdict is that it cannot be read.
    pub unparsable_is_different: bool,
    /// Most steps of work.
    pub budget: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            float_rounding: Some(6),
            strict: true,
            allow_set_relation_comp: false,
            unparsable_is_different: true,
            budget: 400_000,
        }
    }
}

/// Why two answers are the same, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// They are spelled the same.
    Spelling,
    /// They are the same exact number.
    Number,
    /// They are other exact numbers.
    OtherNumber,
    /// They differ by less than half a unit of the last decimal that counts.
    Rounding,
    /// They are the same function of their parts: equal modulo primes of 61 bits at random points.
    Identity,
    /// They are other functions: they differ modulo a prime at a random point.
    OtherFunction,
    /// They agree to 2^-160 at random points.
    Values,
    /// They have other values at a random point.
    OtherValues,
    /// They agree at every whole number that was tried.
    WholeNumbers,
    /// Nothing shows that they are equal.
    NotShown,
    /// The same words.
    Words,
    /// Other words.
    OtherWords,
    /// Things of different kinds: a pair and a number.
    Kinds,
    /// Other numbers of things.
    Counts,
    /// Other ends: open where the other is closed.
    Ends,
    /// Other relations: < and >.
    Relations,
    /// Equations or inequalities with the same solutions: one is a multiple of the other.
    Multiple,
    /// Other variables.
    Variables,
    /// Units of different kinds.
    Units,
    /// The percent sign was left away.
    PercentSign,
    /// They are the same choice.
    Choice,
    /// The completion states no answer.
    NoAnswer,
    /// The prediction cannot be read, from this byte on.
    Unreadable(usize),
}

impl Reason {
    /// In words.
    pub fn words(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Reason::Spelling => "they are spelled the same",
            Reason::Number => "they are the same number, exactly",
            Reason::OtherNumber => "they are different numbers",
            Reason::Rounding => "they are the same to the decimals that count",
            Reason::Identity => "they are identical: equal modulo primes of 61 bits at random points",
            Reason::OtherFunction => {
                "they are different functions: they differ modulo a prime at a random point"
            }
            Reason::Values => "they have the same values to 2^-160 at random points",
            Reason::OtherValues => "they have different values at a random point",
            Reason::WholeNumbers => "they have the same values at all whole numbers that were tried",
            Reason::NotShown => "nothing shows that they are equal",
            Reason::Words => "they are the same words",
            Reason::OtherWords => "they are different words",
            Reason::Kinds => "they are of different kinds",
            Reason::Counts => "they have different numbers of parts",
            Reason::Ends => "an end is open in one and closed in the other",
            Reason::Relations => "they state different relations",
            Reason::Multiple => "one is a multiple of the other",
            Reason::Variables => "they are about different variables",
            Reason::Units => "their units measure different things",
            Reason::NoAnswer => "no answer is stated",
            Reason::Choice => "they are the same choice",
            Reason::PercentSign => "they are the same but for a percent sign, which may be left away",
            Reason::Unreadable(at) => {
                return format!("the prediction cannot be read from byte {at} on").into();
            }
        })
    }
}

/// Two answers in one arena.
pub(in crate::answer) struct Comparer<'a> {
    pub expr: &'a mut Expr,
    pub rules: Rules,
    pub budget: Budget,
    /// Why the last comparison came out as it did.
    pub reason: Reason,
    depth: u32,
}

impl<'a> Comparer<'a> {
    pub fn new(expr: &'a mut Expr, rules: Rules) -> Self {
        Comparer { expr, rules, budget: Budget::new(rules.budget), reason: Reason::NotShown, depth: 0 }
    }

    pub(super) fn is(&mut self, same: bool, yes: Reason, no: Reason) -> bool {
        self.reason = if same { yes } else { no };
        same
    }

    pub(super) fn no(&mut self, reason: Reason) -> bool {
        self.reason = reason;
        false
    }

    /// Whether a gold answer and a prediction are the same.
    pub fn same(&mut self, gold: Id, other: Id) -> bool {
        if self.depth > 60 || self.budget.spend(2).is_err() {
            return self.no(Reason::NotShown);
        }
        self.depth += 1;
        let found = self.same_here(gold, other);
        self.depth -= 1;
        found
    }

    pub(super) fn same_here(&mut self, gold: Id, other: Id) -> bool {
        let (gold, other) = (self.settled(gold), self.settled(other));
        let (gold, other) = match self.without_units(gold, other) {
            Ok(both) => both,
            Err(same) => return same,
        };
        match (self.expr.node(gold), self.expr.node(other)) {
            (Node::Relation('=', a, b), Node::Relation('=', c, d)) => self.equations((a, b), (c, d)),
            (Node::Relation(op, a, b), Node::Relation(with, c, d))
                if "<>≤≥≠".contains(op) && "<>≤≥≠".contains(with) =>
            {
                self.inequalities((op, a, b), (with, c, d))
            }
            // x ≡ 3 (mod 7): the same modulus, and the same rest.
            (Node::Relation('≡', a, b), Node::Relation('≡', c, d)) => {
                let modulus = |expr: &Expr, id| match expr.node(id) {
                    Node::Call(Func::Mod, kids) => Some(expr.kids(kids)[1]),
                    _ => None,
                };
                match (modulus(self.expr, b), modulus(self.expr, d)) {
                    (Some(one), Some(other)) if !self.same(one, other) => self.no(Reason::OtherNumber),
                    (Some(_), None) | (None, Some(_)) => self.no(Reason::Relations),
                    _ => self.same(a, c) && self.same(b, d),
                }
            }
            (
                Node::Relation(op @ ('∈' | '∉' | '⊂' | '⊆' | '⊃' | '⊇' | '≅' | '∼' | '≈' | '→' | '⇔'), a, b),
                Node::Relation(with, c, d),
            ) if op == with => self.same(a, c) && self.same(b, d),
            (Node::Chain(a), Node::Chain(b)) => self.chains(a, b),
            (Node::Relation('=' | '∈', name, value), _) if self.is_name(name) => self.same(value, other),
            (_, Node::Relation('=' | '∈', name, value)) if self.is_name(name) => self.same(gold, value),
            (Node::Relation('=', value, name), _) if self.is_name(name) => self.same(value, other),
            // "520 - 480 = 40", if that is true
            (_, Node::Relation('=', a, b)) if self.expr.is_constant(a) && self.expr.is_constant(b) => {
                if self.same(a, b) { self.same(gold, b) } else { self.no(Reason::NotShown) }
            }
            (Node::Relation('=', a, b), _) if self.expr.is_constant(a) && self.expr.is_constant(b) => {
                if self.same(a, b) { self.same(b, other) } else { self.no(Reason::NotShown) }
            }
            (_, Node::Relation('=', value, name)) if self.is_name(name) => self.same(gold, value),
            (Node::Relation(..) | Node::Chain(_), Node::Tuple(..) | Node::SetOp(..) | Node::Set(_)) => {
                match self.solved(gold) {
                    Some(set) => self.same(set, other),
                    None => self.no(Reason::Kinds),
                }
            }
            (Node::Tuple(..) | Node::SetOp(..) | Node::Set(_), Node::Relation(..) | Node::Chain(_)) => {
                match self.solved(other) {
                    Some(set) if self.rules.allow_set_relation_comp => self.same(gold, set),
                    _ => self.no(Reason::Kinds),
                }
            }
            _ => self.same_things(gold, other),
        }
    }

    /// Whether two numbers differ by a hundredth of the first at most.
    fn are_roughly(&mut self, a: Id, b: Id) -> bool {
        let [a, b] = [a, b].map(|id| {
            let value = Valuer::new(self.expr, Narrow, 0, &mut self.budget).value(id)?;
            self.expr.is_constant(id).then_some(value.re)
        });
        let (Some(a), Some(b)) = (a, b) else { return false };
        let many = |x| Narrow.mul(&Narrow.whole(100), &x);
        let Some(off) = Narrow.sub(&a, &b).and_then(|off| many(Narrow.abs(&off))) else { return false };
        Narrow.sub(&off, &Narrow.abs(&a)).and_then(|over| Narrow.sign(&over)) != Some(Ordering::Greater)
    }

    /// `z = 1 + 1 = 2 ≈ 2.0` as `z = 2`.
    pub(super) fn settled(&mut self, id: Id) -> Id {
        match self.expr.node(id) {
            Node::Chain(kids) => {
                let links = self.expr.kids(kids).to_vec();
                let link = |expr: &Expr, id| match expr.node(id) {
                    Node::Relation(op, a, b) => Some((op, a, b)),
                    _ => None,
                };
                let equals =
                    links.iter().take_while(|&&id| matches!(link(self.expr, id), Some(('=', ..)))).count();
                let rest_is_rough =
                    links[equals..].iter().all(|&id| matches!(link(self.expr, id), Some(('≈' | '=', ..))));
                if !rest_is_rough {
                    return id;
                }
                let Some((_, first, _)) = link(self.expr, links[0]) else { return id };
                let last = match equals {
                    0 => links[0],
                    _ => links[equals - 1],
                };
                match link(self.expr, last) {
                    Some((_, _, last)) => {
                        let relation =
                            self.expr.push(Node::Relation(if equals == 0 { '≈' } else { '=' }, first, last));
                        self.settled(relation)
                    }
                    None => id,
                }
            }
            Node::Relation('≈', a, b) => {
                if self.is_name(a) {
                    self.expr.push(Node::Relation('=', a, b))
                } else if self.are_roughly(a, b) {
                    a
                } else {
                    id
                }
            }
            _ => id,
        }
    }

    /// Takes units off; an answer at once if they measure different things, or make the difference.
    pub(super) fn without_units(&mut self, gold: Id, other: Id) -> Result<(Id, Id), bool> {
        let split = |expr: &Expr, id| match expr.node(id) {
            Node::Unit(inner, name) => (inner, Some(name)),
            Node::Neg(inner) => match expr.node(inner) {
                Node::Unit(_, name) => (id, Some(name)),
                _ => (id, None),
            },
            _ => (id, None),
        };
        // "1000 m" beside "1 km": a letter behind a number.
        let letter = |expr: &Expr, id| match expr.node(id) {
            Node::Mul(kids) => match *expr.kids(kids) {
                [number, symbol] => match (expr.node(number), expr.node(symbol)) {
                    (Node::Number { .. }, Node::Symbol(name)) if units::read(expr.named(name)).is_some() => {
                        (number, Some(name))
                    }
                    _ => (id, None),
                },
                _ => (id, None),
            },
            _ => (id, None),
        };
        // 180° are π radians, and 5° are no 5 radians.
        for (id, with) in [(gold, other), (other, gold)] {
            let radians = match (self.expr.node(id), self.expr.node(with)) {
                (Node::Degrees(_), Node::Unit(inner, name)) => {
                    self.expr.named(name).to_lowercase().starts_with("rad").then_some(inner)
                }
                _ => None,
            };
            if let Some(inner) = radians {
                return Err(self.values(id, inner));
            }
        }
        let (mut first, mut second) = (split(self.expr, gold), split(self.expr, other));
        match (first.1, second.1) {
            (None, None) => return Ok((gold, other)),
            (Some(_), None) => second = letter(self.expr, other),
            (None, Some(_)) => first = letter(self.expr, gold),
            (Some(_), Some(_)) => {}
        }
        let ((a, of_gold), (b, of_other)) = (first, second);
        let name = |expr: &Expr, at: Option<u32>| at.map(|at| expr.named(at).to_owned());
        let (of_gold, of_other) = (name(self.expr, of_gold), name(self.expr, of_other));
        let base = |name: &Option<String>| name.as_ref()?.strip_prefix("base ")?.parse::<u32>().ok();
        match (base(&of_gold), base(&of_other)) {
            (None, None) => {}
            (Some(x), Some(y)) if x == y => return Ok((a, b)),
            (x, y) => {
                // Written in other bases, or one without.
                let values = [(a, x), (b, y)].map(|(id, base)| {
                    let Node::Number { at, .. } = self.expr.node(id) else { return None };
                    in_base(self.expr.value(at), base.unwrap_or(10))
                });
                return match values {
                    [Some(x), Some(y)] if x == y => Err(self.is(true, Reason::Number, Reason::OtherNumber)),
                    // The base may be left away.
                    _ if x.is_none() || y.is_none() => Ok((a, b)),
                    _ => Err(self.no(Reason::OtherNumber)),
                };
            }
        }
        if let (Some(x), Some(y)) =
            (of_gold.as_deref().and_then(units::read), of_other.as_deref().and_then(units::read))
        {
            if x.measures != y.measures {
                return Err(self.no(Reason::Units));
            }
            if x.factor != y.factor {
                let scaled = [(a, x.factor), (b, y.factor)].map(|(id, factor)| {
                    let factor = self.expr.number(factor, false);
                    let kids = self.expr.list(&[id, factor]);
                    self.expr.push(Node::Mul(kids))
                });
                return Ok((scaled[0], scaled[1]));
            }
        } else if let (Some(x), Some(y)) = (&of_gold, &of_other)
            && units::are_other_words(x, y)
        {
            return Err(self.no(Reason::Units));
        }
        Ok((a, b))
    }

    /// Everything but relations.
    pub(super) fn same_things(&mut self, gold: Id, other: Id) -> bool {
        let expands = |expr: &Expr, id| {
            !matches!(expr.node(id), Node::List(_) | Node::Set(_))
                && expr.any(id, |node| matches!(node, Node::PlusMinus(..)))
        };
        if expands(self.expr, gold) || expands(self.expr, other) {
            return match (self.expanded(gold), self.expanded(other)) {
                (Some(a), Some(b)) => self.in_any_order(&a, &b),
                _ => self.no(Reason::NotShown),
            };
        }
        if self.is_all(gold) && self.is_all(other) {
            return self.is(true, Reason::Spelling, Reason::Kinds);
        }
        match (self.expr.node(gold), self.expr.node(other)) {
            (Node::List(a) | Node::Set(a), Node::List(b) | Node::Set(b)) => {
                let (a, b) = (self.items(a), self.items(b));
                self.in_any_order(&a, &b)
            }
            (Node::Tuple(open, close, a), Node::Tuple(with_open, with_close, b)) => {
                if a.count != b.count {
                    return self.no(Reason::Counts);
                }
                let kind = |c| match c {
                    '<' => '(',
                    c => c,
                };
                let ends = [(kind(open), kind(with_open)), (closed(close), closed(with_close))];
                if a.count == 2 && ends.iter().any(|(a, b)| a != b) {
                    return self.no(Reason::Ends);
                }
                self.in_order(a, b)
            }
            (Node::Tuple('(', ')', a), Node::List(b) | Node::Set(b))
            | (Node::List(a) | Node::Set(a), Node::Tuple('(', ')', b)) => {
                if a.count != b.count {
                    return self.no(Reason::Counts);
                }
                if !self.rules.strict {
                    let (a, b) = (self.items(a), self.items(b));
                    return self.in_any_order(&a, &b);
                }
                self.in_order(a, b)
            }
            // The same item over and over.
            (Node::List(a), _) | (_, Node::List(a))
                if !is_many(self.expr, gold) || !is_many(self.expr, other) =>
            {
                let single = if matches!(self.expr.node(gold), Node::List(_)) { other } else { gold };
                let items = self.items(a);
                let is_value =
                    |&item: &Id| !matches!(self.expr.node(item), Node::Relation(..) | Node::Chain(_));
                if items.iter().all(is_value) && items.iter().all(|&item| self.same(item, single)) {
                    true
                } else {
                    self.no(Reason::Counts)
                }
            }
            // A set or list of one.
            (Node::Set(a), _) if a.count == 1 && !matches!(self.expr.node(other), Node::Tuple(..)) => {
                let only = self.expr.kids(a)[0];
                self.same(only, other)
            }
            (_, Node::Set(b)) if b.count == 1 && !matches!(self.expr.node(gold), Node::Tuple(..)) => {
                let only = self.expr.kids(b)[0];
                self.same(gold, only)
            }
            (Node::SetOp(..), _) | (_, Node::SetOp(..)) => self.same_sets(gold, other),
            (Node::Text(a), Node::Text(b)) => {
                let same = a == b || spaceless(self.expr.named(a)) == spaceless(self.expr.named(b));
                self.is(same, Reason::Words, Reason::OtherWords)
            }
            (Node::Text(a), _) => self.spells(a, other),
            (_, Node::Text(b)) => self.spells(b, gold),
            (Node::Empty, Node::Empty) => self.is(true, Reason::Spelling, Reason::Kinds),
            (Node::Ratio(a), Node::Ratio(b)) => self.ratios(a, b),
            (Node::Ratio(a), _) if a.count == 2 => {
                let quotient = self.quotient(a);
                self.same(quotient, other)
            }
            (_, Node::Ratio(b)) if b.count == 2 => {
                let quotient = self.quotient(b);
                self.same(gold, quotient)
            }
            (Node::Percent(a), Node::Percent(b)) => self.same(a, b),
            (Node::Percent(a), _) => self.percent(a, gold, other),
            (_, Node::Percent(b)) => self.percent(b, other, gold),
            (Node::Degrees(a), Node::Degrees(b)) => self.same(a, b),
            (Node::Degrees(a), _) => self.same(a, other) || self.values(gold, other),
            (_, Node::Degrees(b)) => self.same(gold, b) || self.values(gold, other),
            _ => {
                if let Some(same) = self.infinite(gold, other) {
                    return same;
                }
                let has_matrix = |expr: &Expr, id| expr.any(id, |node| matches!(node, Node::Matrix(..)));
                if has_matrix(self.expr, gold) || has_matrix(self.expr, other) {
                    return self.matrices(gold, other);
                }
                if self.expr.node(gold).is_form() || self.expr.node(other).is_form() {
                    return self.no(Reason::Kinds);
                }
                self.values(gold, other)
            }
        }
    }

    pub(super) fn items(&self, kids: Kids) -> Vec<Id> {
        self.expr.kids(kids).to_vec()
    }
}

fn is_many(expr: &Expr, id: Id) -> bool {
    matches!(expr.node(id), Node::List(_) | Node::Set(_) | Node::Tuple(..))
}

fn closed(c: char) -> char {
    if c == '<' { ')' } else { c }
}

fn spaceless(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect()
}
