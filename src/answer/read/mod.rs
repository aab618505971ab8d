//! From text to what it says: [`lex`](mod@lex) makes tokens of LaTeX, plain text and Unicode, [`parse`](mod@parse) an
//! expression of tokens, [`print`](mod@print) SymPy's text of an expression.

pub(super) mod expr;
mod atoms;
mod functions;
mod lex;
mod names;
mod numbers;
mod parse;
mod print;

pub(super) use names::{makes_another, multiplier};
pub(super) use parse::{Failure, Reading, parse, parse_as};
pub(super) use print::print;
