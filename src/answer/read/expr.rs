//! What an answer says: expressions in one arena, and the forms around them.

use dashu_ratio::RBig;
use rustc_hash::FxHashMap;

/// A node of an arena.
pub(in crate::answer) type Id = u32;

/// Nodes that stand together in [`Expr::kids`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::answer) struct Kids {
    pub from: u32,
    pub count: u32,
}

/// A function with a name of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::answer) enum Func {
    Sin,
    Cos,
    Tan,
    Cot,
    Sec,
    Csc,
    Asin,
    Acos,
    Atan,
    Acot,
    Sinh,
    Cosh,
    Tanh,
    Coth,
    Asinh,
    Acosh,
    Atanh,
    Exp,
    Ln,
    /// Of the second in the base of the first.
    Log,
    Abs,
    Floor,
    Ceil,
    Gcd,
    Lcm,
    Max,
    Min,
    /// The first modulo the second, with the sign of the second.
    Mod,
    Binomial,
    Factorial,
    Re,
    Im,
    Arg,
    Det,
}

/// A sum and its kin over a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::answer) enum Big {
    Sum,
    Product,
    Integral,
    Limit,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::answer) enum Node {
    /// An exact number in [`Expr::numbers`]; `decimal` if it was written with a point, so that it may be rounded.
    Number {
        at: u32,
        decimal: bool,
    },
    /// A variable, by its name in [`Expr::names`].
    Symbol(u32),
    Pi,
    E,
    I,
    Infinity,
    Neg(Id),
    Add(Kids),
    Mul(Kids),
    Div(Id, Id),
    Pow(Id, Id),
    /// Degree, radicand.
    Root(Id, Id),
    /// Left side and right side; `true` for ∓.
    PlusMinus(Id, Id, bool),
    Call(Func, Kids),
    /// A function with the name of a variable.
    Named(u32, Kids),
    /// Over a variable (its name), from, to, of what.
    Big(Big, Kids),
    Percent(Id),
    /// In degrees.
    Degrees(Id),
    /// With a unit, in [`Expr::names`].
    Unit(Id, u32),
    /// `a:b:c`.
    Ratio(Kids),
    /// In brackets: the left one and the right one.
    Tuple(char, char, Kids),
    /// In braces.
    Set(Kids),
    /// Several, separated by commas or words, without brackets.
    List(Kids),
    /// Of two sets: `∪`, `∩` or `∖`.
    SetOp(char, Id, Id),
    /// Two sides and what relates them.
    Relation(char, Id, Id),
    /// Sides with what stands between them: relation and side by turns, as `Relation` nodes of neighbours.
    Chain(Kids),
    /// Columns, and the cells row by row.
    Matrix(u32, Kids),
    /// Words, or a set with a name, in [`Expr::names`].
    Text(u32),
    /// The empty set.
    Empty,
}

impl Node {
    /// Whether it is a form around values, or a word, and no value itself.
    pub fn is_form(self) -> bool {
        matches!(
            self,
            Node::Infinity
                | Node::PlusMinus(..)
                | Node::Ratio(_)
                | Node::Tuple(..)
                | Node::Set(_)
                | Node::List(_)
                | Node::SetOp(..)
                | Node::Relation(..)
                | Node::Chain(_)
                | Node::Matrix(..)
                | Node::Text(_)
                | Node::Empty
        )
    }
}

/// An answer that was read.
#[derive(Clone, Debug, Default)]
pub(in crate::answer) struct Expr {
    pub nodes: Vec<Node>,
    pub kids: Vec<Id>,
    pub numbers: Vec<RBig>,
    pub names: Vec<String>,
    /// Where a name is, once there are many.
    index: FxHashMap<String, u32>,
}

impl Expr {
    pub fn push(&mut self, node: Node) -> Id {
        self.nodes.push(node);
        self.nodes.len() as Id - 1
    }

    pub fn list(&mut self, kids: &[Id]) -> Kids {
        let from = self.kids.len() as u32;
        self.kids.extend_from_slice(kids);
        Kids { from, count: kids.len() as u32 }
    }

    pub fn number(&mut self, value: RBig, decimal: bool) -> Id {
        self.numbers.push(value);
        self.push(Node::Number { at: self.numbers.len() as u32 - 1, decimal })
    }

    pub fn name(&mut self, name: &str) -> u32 {
        const FEW: usize = 16;
        let known = match self.index.get(name) {
            Some(at) => Some(*at),
            None => self.names.iter().take(FEW).position(|known| known == name).map(|at| at as u32),
        };
        known.unwrap_or_else(|| {
            let at = self.names.len() as u32;
            self.names.push(name.to_owned());
            if at as usize >= FEW {
                self.index.insert(name.to_owned(), at);
            }
            at
        })
    }

    pub fn node(&self, id: Id) -> Node {
        self.nodes[id as usize]
    }

    pub fn kids(&self, kids: Kids) -> &[Id] {
        &self.kids[kids.from as usize..][..kids.count as usize]
    }

    pub fn value(&self, at: u32) -> &RBig {
        &self.numbers[at as usize]
    }

    pub fn named(&self, at: u32) -> &str {
        &self.names[at as usize]
    }

    /// Calls `visit` for every node below `id`, itself included; not deeper where it says `false`.
    pub fn walk(&self, id: Id, visit: &mut impl FnMut(Node) -> bool) {
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            let node = self.node(id);
            if visit(node) {
                open.extend(self.below(node));
            }
        }
    }

    /// The nodes directly below one.
    pub fn below(&self, node: Node) -> Vec<Id> {
        match node {
            Node::Number { .. }
            | Node::Symbol(_)
            | Node::Pi
            | Node::E
            | Node::I
            | Node::Infinity
            | Node::Text(_)
            | Node::Empty => Vec::new(),
            Node::Neg(a) | Node::Percent(a) | Node::Degrees(a) | Node::Unit(a, _) => vec![a],
            Node::Div(a, b)
            | Node::Pow(a, b)
            | Node::Root(a, b)
            | Node::PlusMinus(a, b, _)
            | Node::SetOp(_, a, b)
            | Node::Relation(_, a, b) => vec![a, b],
            Node::Add(kids)
            | Node::Mul(kids)
            | Node::Call(_, kids)
            | Node::Named(_, kids)
            | Node::Big(_, kids)
            | Node::Ratio(kids)
            | Node::Tuple(_, _, kids)
            | Node::Set(kids)
            | Node::List(kids)
            | Node::Chain(kids)
            | Node::Matrix(_, kids) => self.kids(kids).to_vec(),
        }
    }

    /// Whether a node below has this property.
    pub fn any(&self, id: Id, mut is: impl FnMut(Node) -> bool) -> bool {
        let mut found = false;
        self.walk(id, &mut |node| {
            found |= is(node);
            !found
        });
        found
    }

    /// Whether it has no variable.
    pub fn is_constant(&self, id: Id) -> bool {
        !self
            .any(id, |node| matches!(node, Node::Symbol(_) | Node::Named(..) | Node::Text(_) | Node::Big(..)))
    }
}
