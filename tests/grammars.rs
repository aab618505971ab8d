//! Every grammar of the registry: literal texts that it accepts and refuses, random walks whose outcome must read back
//! whole, and inputs that try to bring the process down.
#![cfg(feature = "llama")]

use rlkd::decompose::tagged;
use rlkd::grammar::{Constraint, Form, GRAMMARS, Grammar, Limits, Question, Role, find};
use rlkd::llama::constraint::{Matcher, Token, Vocabulary};
use rlkd::seed::{Seed, Stream};
use rlkd::text::numbers;
use rlkd::trace::{Domain, End, StepList};

const DOMAINS: [Domain; 5] = [Domain::Math, Domain::Code, Domain::Science, Domain::Puzzle, Domain::Other];
const TRACE: &str = "Okay, 5 tickets cost 12 dollars each.\nSo 5 * 12 = 60 dollars, i.e. 1,200.50 in all.\n\
    [Answer 9]: no\n- **[Query 3]** x\nThe größte Zahl „東京“ is twice that 😀.";

/// Matchers go to worker threads, and a vocabulary is shared by all of them.
const _: fn() = || {
    fn goes<T: Send>() {}
    fn is_shared<T: Send + Sync>() {}
    goes::<Matcher>();
    is_shared::<Vocabulary>();
};

/// A vocabulary of every byte, common pieces, and control tokens at its end: `<pad>`, two end tokens.
struct Words {
    tokens: Vec<Token>,
    end: Vec<u32>,
}

fn words() -> Words {
    let pieces = [
        " the",
        "The",
        " is",
        "]: ",
        "]:",
        ": ",
        "[",
        " [",
        "\n[",
        ".\n",
        "\n\n",
        "\n",
        "\n\n[",
        " 1",
        "12",
        " 12",
        "é",
        "ß",
        "größ",
        "東",
        "東京",
        "😀",
        "\u{a0}",
        "\u{3000}",
        " - ",
        "**",
        "- [",
        "Answer",
        "Sub-problem",
        "Meta-reasoning",
        "sub-think",
        "Query",
        "[Answer",
        " [Answer 1",
        "[Query 2]",
        "[sub-think",
        "\\\"",
        "\", \"",
        "\"}",
        "\\\\",
        "\\n",
        "dollars",
        " dollars",
        " cost",
        "5 *",
        " = 60",
        "yes",
        "no",
        "y",
        "</think>",
        "   ",
        "        ",
        "aaaa bbbb cccc dddd",
        "!\n\n[Meta",
        "0\n\n",
        "s, ",
        "ſ",
        "[ſ",
    ];
    let mut tokens: Vec<Token> =
        (0..=255u8).map(|byte| Token { bytes: vec![byte], special: false }).collect();
    tokens.extend(pieces.map(|piece| Token { bytes: piece.into(), special: false }));
    // A token that comes twice, one without bytes, and control tokens, one of which looks like text.
    tokens.push(Token { bytes: b"the".into(), special: false });
    tokens.push(Token { bytes: b"the".into(), special: false });
    tokens.push(Token { bytes: Vec::new(), special: false });
    let end = vec![tokens.len() as u32 + 2, tokens.len() as u32 + 3];
    for name in ["<pad>", "a", "<|im_end|>", ""] {
        tokens.push(Token { bytes: name.into(), special: true });
    }
    Words { tokens, end }
}

impl Words {
    fn vocabulary(&self) -> Vocabulary {
        Vocabulary::new(self.tokens.clone(), &self.end, None).expect("a vocabulary")
    }

    /// One byte, one token: the first 256 ids.
    fn canonical(&self) -> Vocabulary {
        let bytes = |text: &[u8]| text.iter().map(|&byte| u32::from(byte)).collect();
        Vocabulary::new(self.tokens.clone(), &self.end, Some(Box::new(bytes))).expect("a vocabulary")
    }
}

fn allowed(matcher: &mut Matcher) -> Vec<u32> {
    let mask = matcher.mask().expect("a mask");
    (0..mask.len() as u32 * 32).filter(|id| mask[*id as usize / 32] >> (id % 32) & 1 == 1).collect()
}

/// Whether a text can be written byte by byte and may end then.
fn accepts(vocabulary: &Vocabulary, constraint: &Constraint, text: &str) -> bool {
    let mut matcher = vocabulary.compile(constraint).expect("a matcher");
    text.bytes().all(|byte| matcher.commit(u32::from(byte)).is_ok()) && matcher.can_end()
}

fn limits() -> Limits {
    Limits { max_steps: 3, min_steps: 1, max_part_chars: 40, max_sub_problem_chars: 30 }
}

fn step(n: u32) -> String {
    format!("[Meta-reasoning {n}]: why\n[Sub-problem {n}]: what\n[Answer {n}]: 60 dollars")
}

#[test]
fn texts_are_accepted_and_refused() {
    let vocabulary = words().vocabulary();
    let (one, two) = (step(1), step(2));
    let bare = "why\nwhat\n60 dollars";
    let four = [step(1), step(2), step(3), step(4)].join("\n\n");
    let with = |part: &str| one.replace("why", part);
    let json = |part: &str| format!(r#"[{{"meta_reasoning": "{part}", "sub_problem": "b", "answer": "c"}}]"#);
    let reference = |part: &str| format!("[sub-think 1]: {part}\n[Query 1]: b\n[Answer 1]: c");
    let extract = |answer: &str| one.replace("60 dollars", answer);
    let cases: Vec<(&str, String, bool)> = vec![
        ("steps", one.clone(), true),
        ("steps", format!("{one}\n"), true),
        ("steps", format!("{one}\n\n"), true),
        ("steps", format!("{one}\n\n\n"), false),
        ("steps", format!("{one}\n\n{two}\n\n"), true),
        ("steps", format!("{one}\n{two}"), false),
        ("steps", format!("{one}\n\n{}", step(3)), false),
        ("steps", two.clone(), false),
        ("steps", four, false),
        ("steps", String::new(), false),
        ("steps", with(""), false),
        ("steps", with(" "), false),
        ("steps", with("\u{a0}"), false),
        ("steps", with("- x"), false),
        ("steps", with("-5 [Answer 1]"), true),
        ("steps", with("[1, 2]"), true),
        ("steps", with("[Answer 1]"), false),
        ("steps", with("** [query]: x"), false),
        ("steps", with("[ſub problem] x"), false),
        ("steps", with("a\tb"), false),
        ("steps", with("a\nb"), false),
        ("steps", with("größer 東京 😀"), true),
        ("steps", with(&"é".repeat(38)), true),
        ("steps", with(&"é".repeat(41)), false),
        ("steps", one.replace("]: why", "]:why"), false),
        ("steps", one.replace("Meta", "Meat"), false),
        ("steps-json", json("a"), true),
        ("steps-json", json(r#"a \"b\" \\frac"#), true),
        ("steps-json", json(r"\frac"), false),
        ("steps-json", json(r"a\n"), false),
        ("steps-json", json(" a"), false),
        ("steps-json", json(""), false),
        ("steps-json", json("[Answer 1]"), true),
        ("steps-json", json("a").replace("sub_problem", "query"), false),
        (
            "steps-json",
            json("a")
                .replace(']', ",\n {\"meta_reasoning\": \"a\", \"sub_problem\": \"b\", \"answer\": \"c\"}]"),
            true,
        ),
        ("steps-json", "[]".into(), false),
        ("steps-json", json("a") + "\n", false),
        ("reference", reference("a"), true),
        ("reference", reference("a [Query 2] b"), false),
        ("reference", reference("a [[Answer 2]] b"), false),
        ("reference", reference("a [0, 1] b[i]"), true),
        ("reference", reference("[[0]]"), true),
        ("reference", reference("a ["), false),
        ("reference", reference(" a"), false),
        ("reference", reference("[Meta-reasoning 1]: x"), true),
        ("reference", reference("a").replace("Query 1", "Query  1"), false),
        ("reference", one.clone(), false),
        ("steps-extractive", one.clone(), true),
        ("steps-extractive", format!("{one}\n\n{two}\n\n"), true),
        ("steps-extractive", format!("{one}\n\n\n"), false),
        ("steps-extractive", extract("5 tickets cost 12 dollars each."), true),
        ("steps-extractive", extract("5 tickets cost 13"), false),
        ("steps-extractive", extract("ickets"), false),
        ("steps-extractive", extract("ticket"), false),
        ("steps-extractive", extract("1200.5"), true),
        ("steps-extractive", extract("1,200.50"), true),
        ("steps-extractive", extract("200"), false),
        ("steps-extractive", extract("2"), true),
        ("steps-extractive", extract("each.\nSo"), false),
        ("steps-extractive", extract("größte Zahl „東京"), true),
        ("steps-extractive", extract("京"), true),
        ("steps-extractive", extract("[Answer 9]: no"), false),
        ("steps-extractive", extract("- **[Query 3]** x"), false),
        ("steps-extractive", with("[1, 2]"), true),
        ("steps-extractive", with("[Answer 1]"), false),
        ("steps-extractive", with("a\nb"), false),
        ("steps-lines", bare.into(), true),
        ("steps-lines", format!("{bare}\n"), true),
        ("steps-lines", format!("{bare}\n\n"), true),
        ("steps-lines", format!("{bare}\n\nw"), false),
        ("steps-lines", format!("{bare}\n\n{bare}\n\n{bare}\n\n"), true),
        ("steps-lines", format!("{bare}\n\n{bare}\n\n{bare}\n\n{bare}"), false),
        ("steps-lines", format!("{bare}\n{bare}"), false),
        ("steps-lines", format!("{bare}\n\n\n{bare}"), false),
        ("steps-lines", "why\nwhat".into(), false),
        ("steps-lines", "why\nwhat\n61 dollars".into(), false),
        ("steps-lines", "why\n\n60 dollars".into(), false),
        ("steps-lines", "[Answer 1]: why\nwhat\n60 dollars".into(), false),
        ("steps-lines", " why\nwhat\n60 dollars".into(), false),
        ("steps-lines", "-5\n[1, 2]\n60".into(), true),
        ("steps-lines", one.clone(), false),
        ("verdict", "yes".into(), true),
        ("verdict", "no".into(), true),
        ("verdict", "ye".into(), false),
        ("verdict", "yesno".into(), false),
        ("verdict", "maybe".into(), false),
        ("verdict", String::new(), false),
    ];
    for (name, text, expected) in cases {
        let constraint = find(name).expect("a grammar").constraint(&limits(), TRACE);
        assert_eq!(accepts(&vocabulary, &constraint, &text), expected, "{name}: {text:?}");
    }
}

#[test]
fn at_least_so_many_steps_are_written() {
    let vocabulary = words().vocabulary();
    for name in ["steps", "steps-extractive"] {
        let two = Limits { min_steps: 2, ..limits() };
        let constraint = find(name).expect("a grammar").constraint(&two, TRACE);
        assert!(!accepts(&vocabulary, &constraint, &step(1)), "{name}");
        assert!(!accepts(&vocabulary, &constraint, &format!("{}\n\n", step(1))), "{name}");
        assert!(accepts(&vocabulary, &constraint, &format!("{}\n\n{}", step(1), step(2))), "{name}");
    }
}

/// The worked examples are what the grammars ask for, and read back as the steps that they show.
#[test]
fn worked_examples_are_in_their_form() {
    let vocabulary = words().vocabulary();
    for grammar in GRAMMARS.iter().filter(|grammar| grammar.form != Form::Verdict) {
        for domain in DOMAINS {
            let messages = grammar.messages(domain, "P", "x {{problem}} y");
            let roles: Vec<Role> = messages.iter().map(|message| message.role).collect();
            assert_eq!(roles, [Role::System, Role::User, Role::Assistant, Role::User]);
            assert_eq!(messages[..3], grammar.shared_messages(domain)[..]);
            assert!(messages[3].content.contains("x {{problem}} y"), "{}", messages[3].content);
            assert!(messages[..3].iter().all(|message| !message.content.contains("{{")), "{}", grammar.name);
            let (job, answer) = (&messages[1].content, &messages[2].content);
            let path = job.split_once("Reasoning:\n").expect("a path").1;
            let constraint = grammar.constraint(&Limits::default(), path);
            assert!(accepts(&vocabulary, &constraint, answer), "{} {domain:?}", grammar.name);
            let list = read(grammar, answer);
            assert_eq!(list.end, End::Complete);
            assert!((4..=6).contains(&list.steps.len()), "{} {domain:?}", grammar.name);
            for step in &list.steps {
                let said = step.answer.of(&list.text);
                let passage = said.split_once("]: ").map_or(said, |(_, text)| text);
                assert!(path.contains(passage), "{domain:?}: {passage:?}");
            }
        }
    }
    for question in Question::ALL {
        let messages = question.messages("", "{{second}}", "b");
        assert_eq!(messages[..5], question.shared_messages()[..]);
        assert!(messages[5].content.contains("{{second}}"));
        let verdict = find("verdict").expect("a grammar").constraint(&limits(), "");
        for reply in messages.iter().filter(|message| message.role == Role::Assistant) {
            assert!(accepts(&vocabulary, &verdict, &reply.content));
        }
    }
}

#[test]
fn fingerprints_tell_forms_and_limits_apart() {
    let mut seen = std::collections::BTreeSet::new();
    for grammar in GRAMMARS {
        assert!(seen.insert(grammar.fingerprint(&Limits::default())), "{}", grammar.name);
        assert_eq!(grammar.fingerprint(&limits()), grammar.fingerprint(&limits()));
    }
    let steps = find("steps").expect("a grammar");
    assert!(seen.insert(steps.fingerprint(&limits())));
    let wide = Limits { max_steps: 999, min_steps: 0, max_part_chars: 0, max_sub_problem_chars: 1 << 31 };
    assert_eq!(steps.fingerprint(&wide), steps.fingerprint(&wide.in_range()));
    let error = find("steps-jsn").expect_err("unknown").to_string();
    assert!(error.contains("did you mean `steps-json`?"), "{error}");
}

fn read(grammar: &Grammar, text: &str) -> StepList {
    match grammar.form {
        Form::Reference => tagged::reference(text),
        Form::Lines => tagged::lines(text),
        _ => tagged::parse(text),
    }
}

/// How often a text opens a step.
fn tags(grammar: &Grammar, text: &str) -> usize {
    if grammar.form == Form::Lines {
        return text.trim_end().split("\n\n").count();
    }
    let opening = match grammar.form {
        Form::Json => "{\"meta_reasoning\": \"",
        Form::Reference => "[sub-think ",
        _ => "[Meta-reasoning ",
    };
    let starts = text.match_indices(opening).filter(|(at, _)| match grammar.form {
        Form::Json => *at == 1 || text[..*at].ends_with("},\n "),
        _ => *at == 0 || text[..*at].ends_with('\n'),
    });
    starts.count()
}

/// Writes at random. Line breaks, quotes and end tokens are taken more often than others, so that lists come to an end.
/// Gives the text, cut after `most` tokens, and whether it ended.
fn walk(words: &Words, matcher: &mut Matcher, stream: &mut Stream, most: usize) -> (Vec<u8>, bool) {
    let mut text = Vec::new();
    for _ in 0..most {
        let choices = allowed(matcher);
        let is_end = |id: &&u32| words.end.contains(id);
        let is_closing = |id: &&u32| matches!(words.tokens[**id as usize].bytes.last(), Some(b'\n' | b'"'));
        let favoured: Vec<u32> = match stream.below(6) {
            0 => choices.iter().filter(is_end).copied().collect(),
            1 => choices.iter().filter(is_closing).copied().collect(),
            _ => Vec::new(),
        };
        let from = if favoured.is_empty() { &choices } else { &favoured };
        let token = from[stream.below(from.len() as u64) as usize];
        assert_eq!(matcher.can_end(), choices.iter().any(|id| words.end.contains(id)));
        matcher.commit(token).expect("an allowed token");
        if words.end.contains(&token) {
            assert!(matcher.is_finished());
            return (text, true);
        }
        let token = &words.tokens[token as usize];
        assert!(!token.special, "{token:?}");
        text.extend_from_slice(&token.bytes);
    }
    (text, false)
}

/// What was written whole reads back whole; what was cut reads as such. Gives the steps, if it ended.
fn check(grammar: &Grammar, text: &[u8], ended: bool) -> Option<StepList> {
    if grammar.form == Form::Verdict {
        assert!(!ended || text == b"yes" || text == b"no");
        return None;
    }
    if !ended {
        let list = read(grammar, &String::from_utf8_lossy(text));
        assert!(list.end != (End::Malformed { at: 0 }) || grammar.form == Form::Json, "{list:?}");
        return None;
    }
    let text = std::str::from_utf8(text).expect("whole characters");
    let list = read(grammar, text);
    assert_eq!(list.end, End::Complete, "{text:?}");
    assert_eq!(list.steps.len(), tags(grammar, text), "{text:?}");
    for step in &list.steps {
        for part in [step.meta, step.sub_problem, step.answer] {
            assert!(!part.of(&list.text).trim().is_empty(), "{text:?}");
        }
    }
    Some(list)
}

#[test]
fn what_is_accepted_reads_back_whole() {
    let words = words();
    let vocabulary = words.vocabulary();
    let canonical = words.canonical();
    for (at, grammar) in GRAMMARS.iter().enumerate() {
        let constraint = grammar.constraint(&limits(), TRACE);
        let mut whole = 0;
        for index in 0..150 {
            let mut stream = Seed(17).stream(grammar.name, index);
            let vocabulary = if index % 4 == 0 { &canonical } else { &vocabulary };
            let mut matcher = vocabulary.compile(&constraint).expect("a matcher");
            let most = if index % 5 == 0 { 40 + at * 7 } else { 2000 };
            let (text, ended) = walk(&words, &mut matcher, &mut stream, most);
            whole += usize::from(ended);
            check(grammar, &text, ended);
        }
        assert!(whole >= 100, "{}: only {whole} walks came to an end", grammar.name);
    }
}

/// Traces of random words, numbers, marks and tags, some of them not of this alphabet.
fn random_trace(stream: &mut Stream) -> String {
    let pieces = [
        "the",
        "größe",
        "東京",
        "é\u{301}",
        "x_1",
        "1,200",
        "3.5",
        ".5",
        "12",
        "-7",
        "twice",
        "half",
        " ",
        " ",
        " ",
        "  ",
        "\n",
        "\r\n",
        "\t",
        "[Answer 1]",
        "- [Query 2]: ",
        "**",
        "\u{a0}",
        "😀",
        "\u{2028}",
        "\\frac{1}{2}",
        "(",
        ")",
        ",",
        ".",
        "\u{0}",
        "1e9",
        "99999999999999999999",
        "٣",
        "ſ",
    ];
    let len = 1 + stream.below(120);
    (0..len).map(|_| pieces[stream.below(pieces.len() as u64) as usize]).collect()
}

#[test]
fn extracted_answers_are_in_the_trace() {
    ["steps-extractive", "steps-lines"].iter().for_each(|name| extracted_answers_of(name));
}

fn extracted_answers_of(name: &str) {
    let words = words();
    let vocabulary = words.vocabulary();
    let grammar = find(name).expect("a grammar");
    let mut whole = 0;
    for index in 0..300 {
        let mut stream = Seed(3).stream("extractive", index);
        let trace = random_trace(&mut stream);
        let Ok(mut matcher) = vocabulary.compile(&grammar.constraint(&limits(), &trace)) else {
            assert!(!trace.contains(char::is_alphanumeric), "{trace:?}");
            continue;
        };
        let (text, ended) = walk(&words, &mut matcher, &mut stream, 2000);
        let Some(list) = check(grammar, &text, ended) else { continue };
        whole += 1;
        let mut values = Vec::new();
        numbers::scan(&trace, &mut values);
        for step in &list.steps {
            let answer = step.answer.of(&list.text);
            assert!(answer.chars().count() <= 40, "{answer:?}");
            let is_value = answer.parse().is_ok_and(|value: f64| values.iter().any(|n| n.value == value));
            assert!(trace.contains(answer) || is_value, "{answer:?} is not in {trace:?}");
            let at_words = trace.match_indices(answer).any(|(at, _)| {
                let before = trace[..at].chars().next_back();
                let after = trace[at + answer.len()..].chars().next();
                let joined = |a: Option<char>, b: Option<char>| {
                    let in_word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
                    in_word(a) && in_word(b)
                };
                !joined(before, answer.chars().next()) && !joined(answer.chars().next_back(), after)
            });
            assert!(at_words || is_value, "{answer:?} cuts a word of {trace:?}");
        }
    }
    assert!(whole >= 200, "only {whole} walks came to an end");
}

/// A word that stands in a long trace very often, half of the time in front of something that belongs to it.
#[test]
fn passages_that_come_very_often_are_masked() {
    let vocabulary = words().vocabulary();
    let trace = format!("{} {}", "a_ ".repeat(100_000), "a{ ".repeat(100_000));
    let constraint = find("steps-extractive").expect("a grammar").constraint(&limits(), &trace);
    let mut matcher = vocabulary.compile(&constraint).expect("a matcher");
    for byte in b"[Meta-reasoning 1]: a\n[Sub-problem 1]: b\n[Answer 1]: a" {
        matcher.commit(u32::from(*byte)).expect("the text goes on");
    }
    let bytes: Vec<u32> = allowed(&mut matcher).into_iter().filter(|&id| id < 256).collect();
    assert_eq!(bytes, [b'\n', b'_', b'{'].map(u32::from));
}

/// The mask is what committing each token would say, for the automaton and for llguidance.
#[test]
fn masks_say_what_can_be_committed() {
    let words = words();
    let vocabulary = words.vocabulary();
    for name in ["steps", "reference", "steps-json", "steps-extractive", "steps-lines"] {
        let constraint = find(name).expect("a grammar").constraint(&limits(), TRACE);
        for index in 0..4 {
            let mut stream = Seed(5).stream(name, index);
            let mut written: Vec<u32> = Vec::new();
            let mut matcher = vocabulary.compile(&constraint).expect("a matcher");
            for _ in 0..60 {
                let choices = allowed(&mut matcher);
                // A sample of all tokens, each tried on a matcher of its own.
                for _ in 0..3 {
                    let token = stream.below(words.tokens.len() as u64) as u32;
                    let mut trial = vocabulary.compile(&constraint).expect("a matcher");
                    written.iter().for_each(|&token| trial.commit(token).expect("as before"));
                    assert_eq!(trial.commit(token).is_ok(), choices.contains(&token), "{name}: {token}");
                }
                let token = choices[stream.below(choices.len() as u64) as usize];
                matcher.commit(token).expect("an allowed token");
                if matcher.is_finished() {
                    break;
                }
                written.push(token);
            }
        }
    }
}

/// What the automaton accepts, the same form in llguidance's terms accepts too, but for values in digits of ours and
/// passages that begin in the middle of what llguidance takes for a word.
#[test]
fn the_automaton_agrees_with_its_slow_twin() {
    ["steps-extractive", "steps-lines"].iter().for_each(|name| the_automaton_agrees_on(name));
}

fn the_automaton_agrees_on(name: &str) {
    let words = words();
    let vocabulary = words.vocabulary();
    let grammar = find(name).expect("a grammar");
    let trace = "Okay, 5 tickets cost 12 dollars each. So 5 * 12 = 60 dollars, and so on.";
    let twin = Constraint::Lark(grammar.lark(&limits(), trace));
    for index in 0..60 {
        let mut stream = Seed(29).stream("twin", index);
        let mut matcher = vocabulary.compile(&grammar.constraint(&limits(), trace)).expect("a matcher");
        let (text, ended) = walk(&words, &mut matcher, &mut stream, 2000);
        let text = String::from_utf8_lossy(&text).into_owned();
        let rest = Limits { max_part_chars: 60, max_sub_problem_chars: 60, ..limits() };
        // The twin counts the marks in front apart, so it is given some characters more.
        let wide = Constraint::Lark(grammar.lark(&rest, trace));
        assert!(!ended || accepts(&vocabulary, &wide, &text), "{text:?}");
        // Tags take their place in a line.
        let most = if grammar.form == Form::Lines { 27 } else { 38 };
        let short = text.lines().all(|line| line.chars().count() < most);
        assert!(!ended || !short || accepts(&vocabulary, &twin, &text), "{text:?}");
    }
}

#[test]
fn forced_tokens_are_allowed_and_come_where_text_is_fixed() {
    let words = words();
    let vocabulary = words.canonical();
    for name in ["steps", "reference", "steps-json", "steps-extractive"] {
        let constraint = find(name).expect("a grammar").constraint(&limits(), TRACE);
        let mut matcher = vocabulary.compile(&constraint).expect("a matcher");
        let forced = matcher.forced();
        assert!(!forced.is_empty(), "{name}: the opening of a list is fixed");
        for token in forced {
            assert!(allowed(&mut matcher).contains(&token), "{name}: {token}");
            matcher.commit(token).expect("a forced token");
        }
        let mut none = words.vocabulary().compile(&constraint).expect("a matcher");
        assert_eq!(none.forced(), [0u32; 0]);
    }
    // A tokenizer that makes something else of the text is not believed.
    let liar = Vocabulary::new(words.tokens.clone(), &words.end, Some(Box::new(|_| vec![7, u32::MAX])));
    let liar = liar.expect("a vocabulary");
    for name in ["steps", "steps-extractive"] {
        let constraint = find(name).expect("a grammar").constraint(&limits(), TRACE);
        let mut matcher = liar.compile(&constraint).expect("a matcher");
        for token in matcher.forced() {
            matcher.commit(token).expect("a token of the text");
        }
        assert!(matcher.mask().is_ok());
    }
}

#[test]
fn wrong_tokens_are_errors_and_change_nothing() {
    let words = words();
    let vocabulary = words.vocabulary();
    let [pad, text_like] = [words.end[0] - 2, words.end[0] - 1];
    let bare = "why\nwhat\n60 dollars".to_string();
    for (name, whole) in [
        ("verdict", "yes".to_string()),
        ("steps", step(1)),
        ("steps-extractive", step(1)),
        ("steps-lines", bare),
    ] {
        let constraint = find(name).expect("a grammar").constraint(&limits(), TRACE);
        let mut matcher = vocabulary.compile(&constraint).expect("a matcher");
        for (at, byte) in whole.bytes().enumerate() {
            for wrong in [pad, text_like, u32::MAX, words.tokens.len() as u32, 0] {
                assert!(matcher.commit(wrong).is_err(), "{name}: {wrong} at {at}");
            }
            if at % 7 == 0 {
                assert!(
                    !allowed(&mut matcher)
                        .iter()
                        .any(|&id| words.tokens[id as usize].special && !words.end.contains(&id))
                );
            }
            if !matcher.can_end() {
                assert!(matcher.commit(words.end[1]).is_err());
            }
            assert!(!matcher.is_finished());
            matcher.commit(u32::from(byte)).expect("the text goes on");
        }
        assert!(matcher.can_end());
        matcher.commit(words.end[1]).expect("the end");
        assert!(matcher.is_finished() && matcher.can_end());
        for after in [words.end[0], words.end[1], u32::from(b'a')] {
            assert!(matcher.commit(after).is_err(), "{name}");
        }
        assert_eq!(allowed(&mut matcher), words.end);
        assert_eq!(matcher.forced(), [0u32; 0]);
    }
}

/// Models have control tokens that read as text, `<think>` for one. A form never allows them, and never needs one.
#[test]
fn control_tokens_that_read_as_text_are_never_written() {
    let mut words = words();
    for text in
        ["<think>", "</think>", "[", "[Meta", "]: ", " w", "why", "\n", "\n\n[", "y", "yes", "[{\"", "6", " "]
    {
        words.tokens.push(Token { bytes: text.into(), special: true });
    }
    let special: Vec<u32> =
        (0..words.tokens.len() as u32).filter(|&id| words.tokens[id as usize].special).collect();
    let plain = words.vocabulary();
    // A tokenizer that takes control tokens for text is not believed.
    let (last, bracket) = (words.tokens.len() as u32 - 1, b'[');
    let named = words.tokens.iter().rposition(|token| token.bytes == [bracket]).expect("a bracket") as u32;
    assert!(special.contains(&named) && named < last);
    let tokenize = move |text: &[u8]| {
        text.iter().map(|&byte| if byte == bracket { named } else { u32::from(byte) }).collect()
    };
    let forcing = Vocabulary::new(words.tokens.clone(), &words.end, Some(Box::new(tokenize)));
    let forcing = forcing.expect("a vocabulary");
    for grammar in GRAMMARS {
        let text = match grammar.form {
            Form::Json => r#"[{"meta_reasoning": "why y", "sub_problem": "b", "answer": "c"}]"#.into(),
            Form::Reference => "[sub-think 1]: why y\n[Query 1]: b\n[Answer 1]: 60\n\n".into(),
            Form::Verdict => "yes".into(),
            Form::Lines => "why y\nb\n60\n\nwhy y\nb\n60".into(),
            Form::Tagged => format!("{}\n\n{}", step(1).replace("why", "why y"), step(2)),
        };
        let constraint = grammar.constraint(&limits(), TRACE);
        for vocabulary in [&plain, &forcing] {
            let mut matcher = vocabulary.compile(&constraint).expect("a matcher");
            let mut rest = text.as_bytes();
            while !rest.is_empty() {
                let can_end = matcher.can_end();
                let choices = allowed(&mut matcher);
                for id in &special {
                    let ends = can_end && words.end.contains(id);
                    assert_eq!(choices.contains(id), ends, "{}: {id}", grammar.name);
                    assert!(ends || matcher.commit(*id).is_err(), "{}: {id}", grammar.name);
                }
                let forced = matcher.forced();
                assert!(!forced.iter().any(|id| special.contains(id)), "{}: {forced:?}", grammar.name);
                // Where text is forced, only the longest token may come.
                let bytes = |id: &u32| &words.tokens[*id as usize].bytes;
                let fits =
                    |id: &u32| !special.contains(id) && !bytes(id).is_empty() && rest.starts_with(bytes(id));
                let fitting = choices.into_iter().filter(fits);
                let token = if forced.is_empty() {
                    fitting.min_by_key(|id| bytes(id).len())
                } else {
                    fitting.max_by_key(|id| bytes(id).len())
                };
                let token = token.expect("the text goes on");
                matcher.commit(token).expect("an allowed token");
                rest = &rest[bytes(&token).len()..];
            }
            assert!(matcher.can_end(), "{}", grammar.name);
        }
    }
    // Where a text could be written with a control token only, it cannot be written.
    let token = |text: &str, special: bool| Token { bytes: text.into(), special };
    let tokens = vec![token("y", true), token("yes", true), token("n", false), token("<end>", true)];
    let vocabulary = Vocabulary::new(tokens, &[3], None).expect("a vocabulary");
    let verdict = find("verdict").expect("a grammar").constraint(&limits(), "");
    assert_eq!(allowed(&mut vocabulary.compile(&verdict).expect("a matcher")), [2]);
}

#[test]
fn the_widest_limits_compile() {
    let vocabulary = words().vocabulary();
    let widest = Limits {
        max_steps: u32::MAX,
        min_steps: 1,
        max_part_chars: u32::MAX,
        max_sub_problem_chars: u32::MAX,
    };
    for grammar in
        GRAMMARS.iter().filter(|grammar| grammar.form == Form::Tagged || grammar.form == Form::Reference)
    {
        let constraint = grammar.constraint(&widest, TRACE);
        let lists: Vec<String> = (1..=Limits::MOST_STEPS).map(step).collect();
        let text = lists.join("\n\n");
        let text = match grammar.form {
            Form::Reference => {
                text.replace("[Meta-reasoning ", "[sub-think ").replace("[Sub-problem ", "[Query ")
            }
            _ => text,
        };
        assert!(accepts(&vocabulary, &constraint, &text), "{}", grammar.name);
        assert!(!accepts(&vocabulary, &constraint, &format!("{text}\n\n[")), "{}", grammar.name);
    }
    let json = find("steps-json").expect("a grammar").constraint(&widest, "");
    assert!(vocabulary.compile(&json).and_then(|mut matcher| matcher.mask().map(drop)).is_ok());
}

#[test]
fn vocabularies_that_lack_something_are_errors() {
    let token = |bytes: &[u8]| Token { bytes: bytes.into(), special: false };
    let end = Token { bytes: b"<end>".into(), special: true };
    assert!(Vocabulary::new(Vec::new(), &[], None).is_err());
    assert!(Vocabulary::new(vec![token(b"a")], &[], None).is_err());
    assert!(Vocabulary::new(vec![token(b"a")], &[1], None).is_err());
    assert!(Vocabulary::new(vec![token(&[b'a'; 5_000_000]), end.clone()], &[1], None).is_ok());
    let large: Vec<Token> =
        (0..6000u32).map(|n| token(&[&n.to_le_bytes()[..], &[b'a'; 900]].concat())).collect();
    assert!(Vocabulary::new(large, &[0], None).is_err());
    // No `[`, so no list can begin.
    let poor = vec![token(b"a"), token(b"y"), token(b""), token(b"\xff"), token(b"\xff\xff"), end.clone()];
    let poor = Vocabulary::new(poor, &[5], None).expect("a vocabulary");
    for grammar in GRAMMARS {
        let constraint = grammar.constraint(&limits(), TRACE);
        let mut matcher = poor.compile(&constraint).expect("a matcher");
        let outcome = matcher.mask().map(drop);
        // A line can be begun with these letters, and never ended.
        assert_eq!(outcome.is_ok(), matches!(grammar.form, Form::Verdict | Form::Lines), "{}", grammar.name);
        if grammar.form == Form::Lines {
            assert!(!allowed(&mut matcher).contains(&5) && !matcher.can_end());
            continue;
        }
        assert!(matcher.commit(0).is_err());
        assert!(!matcher.can_end());
        if grammar.form == Form::Verdict {
            matcher.commit(1).expect("y");
            assert!(matcher.mask().is_err(), "a dead end");
            assert!(matcher.commit(5).is_err() && !matcher.can_end());
        }
    }
    // A blank trace has nothing to extract.
    let grammar = find("steps-extractive").expect("a grammar");
    for trace in ["", " \n\t ", "[Answer 1]\n"] {
        let compiled = poor.compile(&grammar.constraint(&limits(), trace));
        assert_eq!(compiled.is_err(), trace.trim().is_empty(), "{trace:?}");
    }
}
