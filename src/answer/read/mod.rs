//! From text to what it says: [`lex`](mod@lex) makes tokens of LaTeX, plain text and Unicode, [`parse`](mod@parse) an
//! expression of tokens.

pub(super) mod expr;
mod atoms;
mod functions;
mod lex;
mod names;
mod numbers;
mod parse;

pub(super) use parse::{Failure, parse};
