//! What counts as a final answer. Options have the names of Math-Verify's `parse` where they mean the same.

use super::read::expr::{Big, Expr, Node};
use super::read::{Reading, parse_as};
use super::verify::LONGEST;

/// Which of the places where an answer may stand are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExtractionMode {
    /// The first one only: who states something that cannot be read has not answered.
    #[default]
    FirstMatch,
    /// One after the other, until one can be read and has a value (a sum up to `n` has none).
    AnyMatch,
}

/// What becomes of a place whose text cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FallbackMode {
    /// The first such text is the answer, as it stands.
    #[default]
    FirstMatch,
    /// There is no answer.
    NoFallback,
}

/// What counts as a final answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether the last number or formula of a text counts when nothing in it is marked as its answer.
    pub try_extract_without_anchor: bool,
    /// How early boxes are looked for. 0: before all else; below 100: but "the final answer is" behind a box comes
    /// before it; from 100 on: after what is stated; below 0: never, and nothing in them counts.
    pub boxed_match_priority: i32,
    /// Which places are tried.
    pub extraction_mode: ExtractionMode,
    /// What becomes of what cannot be read.
    pub fallback_mode: FallbackMode,
    /// Whether `\frac12` and `\sqrt3` are read, which have no braces.
    pub malformed_operators: bool,
}

impl Default for Options {
    /// With the last number: it finds answers that base models state plainly ("so she has 18 eggs").
    fn default() -> Self {
        Options {
            try_extract_without_anchor: true,
            boxed_match_priority: 50,
            extraction_mode: ExtractionMode::FirstMatch,
            fallback_mode: FallbackMode::FirstMatch,
            malformed_operators: true,
        }
    }
}

/// Whether a place will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Yes,
    /// Only if there is nothing better.
    Perhaps,
    No,
}

impl Options {
    /// Whether a text that was found will do as an answer.
    pub(super) fn fit(&self, text: &str) -> Fit {
        let takes_all = self.extraction_mode == ExtractionMode::FirstMatch
            && self.fallback_mode == FallbackMode::FirstMatch;
        if takes_all && self.malformed_operators {
            return Fit::Yes;
        }
        if text.len() > LONGEST {
            return if self.fallback_mode == FallbackMode::NoFallback { Fit::No } else { Fit::Perhaps };
        }
        let mut expr = Expr::default();
        let reads = |malformed, expr: &mut Expr| parse_as(text, Reading { grouped: true, malformed }, expr);
        let Ok(id) = reads(self.malformed_operators, &mut expr) else {
            // What only lacks its braces is refused, and not kept as it stands.
            let is_refused = !self.malformed_operators && reads(true, &mut expr).is_ok();
            return match self.fallback_mode {
                FallbackMode::NoFallback => Fit::No,
                FallbackMode::FirstMatch if is_refused => Fit::No,
                FallbackMode::FirstMatch if takes_all => Fit::Yes,
                FallbackMode::FirstMatch => Fit::Perhaps,
            };
        };
        if self.extraction_mode == ExtractionMode::AnyMatch && is_open(&expr, id) {
            return match self.fallback_mode {
                FallbackMode::NoFallback => Fit::No,
                FallbackMode::FirstMatch => Fit::Perhaps,
            };
        }
        Fit::Yes
    }
}

/// Whether there is a sum or product over bounds that are no numbers in it, or an integral or a limit.
fn is_open(expr: &Expr, id: u32) -> bool {
    expr.any(id, |node| match node {
        Node::Big(Big::Sum | Big::Product, kids) => {
            let kids = expr.kids(kids);
            [kids[1], kids[2]]
                .iter()
                .any(|&bound| !expr.is_constant(bound) || expr.node(bound) == Node::Empty)
        }
        Node::Big(..) => true,
        _ => false,
    })
}
