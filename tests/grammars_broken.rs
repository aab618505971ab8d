//! Grammars that are none, too large or too deep: they end in an error, and the process lives.
#![cfg(feature = "llama")]

use rlkd::grammar::Constraint;
use rlkd::llama::constraint::{Token, Vocabulary};

#[test]
fn broken_grammars_are_errors() {
    let mut tokens: Vec<Token> =
        (0..=255u8).map(|byte| Token { bytes: vec![byte], special: false }).collect();
    tokens.push(Token { bytes: b"<|im_end|>".into(), special: true });
    let vocabulary = Vocabulary::new(tokens, &[256], None).expect("a vocabulary");
    let nested = |n: usize| format!("start: {}\"a\"{}", "(".repeat(n), ")".repeat(n));
    let chain = |n: usize| {
        let mut text = String::from("start: r0\n");
        for at in 0..n {
            text += &format!("r{at}: \"a\" r{}\n", at + 1);
        }
        text + &format!("r{n}: \"b\"\n")
    };
    for (what, grammar) in [
        ("nothing", String::new()),
        ("no Lark", "start \"a\"".into()),
        ("an unknown rule", "start: foo".into()),
        ("no start", "foo: \"a\"".into()),
        ("a broken expression", "start: /(/".into()),
        ("an expression that matches nothing", "start: /[^\\x00-\\u{10FFFF}]/".into()),
        ("brackets 10,000 deep", nested(10_000)),
        (
            "brackets of an expression 10,000 deep",
            format!("start: /{}a{}/", "(".repeat(10_000), ")".repeat(10_000)),
        ),
        ("braces 10,000 deep", format!("start: %json {}", "{\"a\":".repeat(10_000))),
        ("rules 10,000 deep", chain(10_000)),
        ("more than a megabyte", format!("start: \"{}\"", "a".repeat(1 << 20))),
        ("a rule that never ends", "start: start".into()),
        ("an unknown control token", "start: <|nothing|>".into()),
    ] {
        let compiled =
            vocabulary.compile(&Constraint::Lark(grammar)).and_then(|mut matcher| matcher.mask().map(drop));
        let error = compiled.expect_err(what).to_string();
        assert!(!error.is_empty() && error.len() < 2000, "{what}: {error}");
    }
    // Large and deep, but within bounds or nearly so: whether they compile does not matter, the process lives.
    let megabyte = 1_000_000 - 20;
    let words = (0..megabyte / 8).map(|n| format!("\"{n:04x}\"")).collect::<Vec<_>>();
    for grammar in [
        nested(190),
        chain(1900),
        format!("start: \"{}\"", "a".repeat(megabyte)),
        format!("start: {}", words[..megabyte / 12].join("|")),
        format!("start: {}", words[..megabyte / 12].join(" ")),
        format!("start: \"a\"{}", "?".repeat(megabyte)),
        format!("start: /{}/", "a?".repeat(megabyte / 2)),
        format!("start: /{}/", "a|".repeat(megabyte / 2)),
        "start: /((a{1000}){1000}){1000}b/".into(),
        "start: /(?-u:\\xff)/".into(),
        "start: <[5]> <[99999999]>".into(),
    ] {
        if let Ok(mut matcher) = vocabulary.compile(&Constraint::Lark(grammar)) {
            let _ = matcher.mask().map(drop);
            let _ = matcher.commit(u32::from(b'a'));
        }
    }
}
