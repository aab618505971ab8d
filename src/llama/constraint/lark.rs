//! Grammars in Lark, through llguidance, with what it takes for a grammar of any origin to end in an error and not in
//! an abort: bounds on its size and nesting, and a thread with a stack of its own.

use std::sync::Arc;

use llguidance::api::TopLevelGrammar;
use llguidance::{Matcher, ParserFactory};

use crate::error::{Error, Result};

/// The longest grammar that is read, in bytes. Ours stay below 100 KB.
const MOST_BYTES: usize = 1 << 20;
/// Nested brackets: the parser goes one call deeper for each, and a full stack aborts the process.
const MOST_DEPTH: usize = 200;
/// Rules, counted by their colons: the compiler goes into a rule from the one that names it, so that a chain of rules
/// is as deep as it is long. The longest form of ours has 200 steps and 600 colons in its tags.
const MOST_COLONS: usize = 2000;
/// Quotation marks and slashes, which stand around literals and expressions: the compiler's time grows with the square
/// of their number, 23 s for 50,000 of them before it gives up. The longest form of ours has 7,000 marks.
const MOST_MARKS: usize = 20_000;
/// Room for that chain, at up to 10 KB a rule in a debug build; memory that is not touched costs nothing.
const STACK: usize = 256 << 20;

/// Compiles a grammar.
///
/// # Errors
/// It is too large, too deep, or no grammar; the message names the place in it.
pub(super) fn compile(factory: &Arc<ParserFactory>, grammar: &str) -> Result<Matcher> {
    check(grammar)?;
    let work = {
        let (factory, grammar) = (factory.clone(), grammar.to_string());
        move || Matcher::new(factory.create_parser(TopLevelGrammar::from_lark(grammar)))
    };
    let thread = std::thread::Builder::new()
        .name("grammar".into())
        .stack_size(STACK)
        .spawn(work)
        .map_err(|e| Error::engine(format!("cannot start a thread to compile the grammar: {e}")))?;
    let mut matcher = thread
        .join()
        .map_err(|_| Error::config("the grammar cannot be compiled: the compiler gave up on it"))?;
    match matcher.get_error() {
        Some(message) => {
            Err(Error::config(format!("the grammar cannot be compiled: {}", first_lines(&message))))
        }
        None => {
            // Takes the parser out of its first state, where some questions are not answered yet.
            let _ = matcher.is_accepting();
            Ok(matcher)
        }
    }
}

/// llguidance adds its state and the whole grammar to a message.
pub(super) fn first_lines(message: &str) -> String {
    let message = message.split("\n<state>").next().unwrap_or(message);
    let message = message.split("\n<backtrace>").next().unwrap_or(message);
    message.chars().take(500).collect()
}

fn check(grammar: &str) -> Result<()> {
    if grammar.len() > MOST_BYTES {
        return Err(Error::config(format!(
            "the grammar has {} bytes, and at most {MOST_BYTES} are read",
            grammar.len()
        )));
    }
    // Brackets in strings and expressions count as well: that errs on the safe side, and no grammar needs so many.
    let (mut depth, mut most) = (0usize, 0);
    let (mut colons, mut marks) = (0, 0);
    for byte in grammar.bytes() {
        match byte {
            b'(' | b'[' | b'{' => {
                depth += 1;
                most = most.max(depth);
            }
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b':' => colons += 1,
            b'"' | b'/' => marks += 1,
            _ => {}
        }
    }
    if most > MOST_DEPTH {
        return Err(Error::config(format!(
            "the grammar nests {most} brackets, and at most {MOST_DEPTH} are followed: name the inner parts as rules"
        )));
    }
    if marks > MOST_MARKS {
        return Err(Error::config(format!(
            "the grammar has {marks} quotation marks and slashes, and at most {MOST_MARKS} are followed: write lists of \
             words as one expression, /one|two/"
        )));
    }
    if colons > MOST_COLONS {
        return Err(Error::config(format!(
            "the grammar has some {colons} rules, and at most {MOST_COLONS} are followed"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_counted_however_they_are_written() {
        for (literal, most) in [("\"a\" ", 10_000), ("/a/ ", 10_000), ("/a/ \"b\" ", 5_000)] {
            let grammar = |n: usize| format!("start: {}", literal.repeat(n));
            assert!(check(&grammar(most)).is_ok(), "{literal}");
            let error = check(&grammar(most + 1)).expect_err(literal).to_string();
            assert!(error.contains("quotation marks and slashes"), "{error}");
        }
    }
}
