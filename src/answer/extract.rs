//! Where the final answer stands in a text.
//!
//! In this order; the first that is there wins:
//! 1. the last closed `<answer>…</answer>` that is not empty: what is marked inside of it, or else all of it;
//!    but a `\boxed{…}` after it wins;
//! 2. the last `\boxed{…}` or `\fbox{…}` that is closed and not empty, with any braces inside, and with those right
//!    before it that are parts of the same answer; but "the final answer is x" after it wins;
//! 3. the whole text, if it is nothing but an answer;
//! 4. the last statement: `#### x` on its own line, "the answer is x", "**Answer:** x", "Final Answer" as a
//!    heading above x, "the correct option is B";
//! 5. a last line that is a choice letter and nothing else: `(B)`;
//! 6. the last formula or number in the text, whichever stands later, if
//!    [`Options::try_extract_without_anchor`] says so.
//!
//! [`Options`] can move boxes to another place or leave them out, and can have the next place tried where the text
//! of one cannot be read.
//!
//! Every step is linear in the length of the text, and a statement is read at most [`LONGEST`] bytes far.

use super::options::{ExtractionMode, Fit, Options};
use super::read::expr::Expr;
use super::read::{makes_another, multiplier, parse};
use super::stated::{each_stated, is_prose, lone_choice, stated};
use super::strings::is_denied;
use super::verify::is_number;
use crate::trace::Span;

/// How far, in bytes, the value of a statement may reach. Longer ones are arguments, not answers.
pub const LONGEST: usize = 300;

/// How the final answer was marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// `\boxed{…}` or `\fbox{…}`.
    Boxed,
    /// `<answer>…</answer>`.
    Tag,
    /// `#### x`.
    Hashes,
    /// "The answer is x" and its kin.
    Statement,
    /// A choice letter, stated or alone on the last line.
    Choice,
    /// The last formula of the text; nothing marks it as the answer.
    Formula,
    /// The last number of the text; nothing marks it as the answer.
    LastNumber,
    /// The whole text: nothing but an answer.
    Bare,
}

/// A final answer and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extracted<'a> {
    /// The answer, without white space at its ends; never empty.
    pub text: &'a str,
    /// Where it stands in the text that was searched.
    pub span: Span,
    /// How it was marked.
    pub how: How,
}

impl Extracted<'_> {
    /// The same answer in a text that has `by` more bytes in front.
    #[must_use]
    pub fn moved(mut self, by: usize) -> Self {
        self.span = Span::new(self.span.start as usize + by, self.span.end as usize + by);
        self
    }
}

/// The final answer of a text, by any of the ways that this module knows.
pub fn extract(text: &str) -> Option<Extracted<'_>> {
    extract_with(text, Options::default())
}

/// The final answer of a text. The span lies on character boundaries.
pub fn extract_with(text: &str, options: Options) -> Option<Extracted<'_>> {
    let stages = if options.try_extract_without_anchor { &[true, false][..] } else { &[true] };
    first_fit(options, |visit| {
        stages.iter().any(|&marked| {
            if marked { each_marked(text, options, visit) } else { each_unmarked(text, options, visit) }
        })
    })
}

/// What a visitor of places is: it says whether to stop.
pub(super) type Visit<'v, 'a> = dyn FnMut(Extracted<'a>) -> bool + 'v;

/// The first place that will do, of those that `each` shows.
pub(super) fn first_fit<'a>(
    options: Options,
    each: impl FnOnce(&mut Visit<'_, 'a>) -> bool,
) -> Option<Extracted<'a>> {
    /// Who writes more answers that cannot be read has none.
    const MOST_TRIES: u32 = 64;
    let (mut fitting, mut fallback, mut tries) = (None, None, 0);
    each(&mut |found| {
        match options.fit(found.text) {
            Fit::Yes => fitting = Some(found),
            Fit::Perhaps => fallback = fallback.or(Some(found)),
            Fit::No => {}
        }
        tries += 1;
        fitting.is_some() || tries >= MOST_TRIES || options.extraction_mode == ExtractionMode::FirstMatch
    });
    fitting.or(fallback)
}

/// Shows the places that are marked as the answer, the most telling first.
pub(super) fn each_marked<'a>(text: &'a str, options: Options, visit: &mut Visit<'_, 'a>) -> bool {
    let priority = options.boxed_match_priority;
    let is_early = (0..100).contains(&priority);
    let in_box = |visit: &mut Visit<'_, 'a>| {
        let Some(found) = boxed(text, 0) else { return false };
        // "Final Answer: The final answer is 7." below boxes of other things.
        let later = if priority == 0 { None } else { final_statement(text, found.span.end as usize) };
        later.is_some_and(&mut *visit) || visit(found)
    };
    // Without boxes nothing that touches one counts.
    let closed = closed_boxes(text, options);
    let visit: &mut Visit<'_, 'a> = &mut |found| !touches(&closed, &found) && visit(found);
    priority == 0 && in_box(visit)
        || tag(text, priority > 0).is_some_and(&mut *visit)
        || is_early && priority > 0 && in_box(visit)
        || whole(text).is_some_and(&mut *visit)
        || each_stated(text, visit)
        || lone_choice(text).is_some_and(&mut *visit)
        || priority >= 100 && in_box(visit)
}

/// Shows the places that nothing marks: the last formula or the last number, whichever stands later, and then the other
/// formulas from the last to the first, and the last number that is in none of them.
pub(super) fn each_unmarked<'a>(text: &'a str, options: Options, visit: &mut Visit<'_, 'a>) -> bool {
    /// Who writes more formulas that cannot be read has no answer.
    const MOST: usize = 16;
    let closed = closed_boxes(text, options);
    let is_open = |found: &Extracted<'_>| !touches(&closed, found);
    let found = formulas(text);
    let first = match (found.last(), last_number(text)) {
        (Some(formula), Some(number)) if number.span.start >= formula.span.end => Some(number),
        (Some(formula), _) => Some(*formula),
        (None, number) => number,
    };
    if first.filter(is_open).is_some_and(&mut *visit) {
        return true;
    }
    let shown = first.map(|first| first.span);
    if found
        .iter()
        .rev()
        .take(MOST)
        .any(|formula| Some(formula.span) != shown && is_open(formula) && visit(*formula))
    {
        return true;
    }
    let inside = |number: &Extracted<'_>| {
        found
            .iter()
            .find(|formula| formula.span.start < number.span.end && number.span.start < formula.span.end)
    };
    let mut number = last_number(text);
    let mut tries = 0;
    while let Some(formula) = number.as_ref().and_then(inside) {
        tries += 1;
        if tries > MOST {
            return false;
        }
        number = last_number(&text[..formula.span.start as usize]);
    }
    number.filter(|number| is_open(number) && Some(number.span) != shown).is_some_and(&mut *visit)
}

/// "The final answer is" at or behind byte `from`.
fn final_statement(text: &str, from: usize) -> Option<Extracted<'_>> {
    const KEY: &str = "final answer is";
    let tail = &text[from..];
    let at = tail.to_ascii_lowercase().rfind(KEY)?;
    stated(&tail[at..]).map(|found| found.moved(from + at))
}

/// A text that is nothing but an answer.
fn whole(text: &str) -> Option<Extracted<'_>> {
    const LONGEST: usize = 200;
    let found = answer(text, Span::new(0, text.len()), How::Bare)?;
    let reads = found.text.len() <= LONGEST && parse(found.text, true, &mut Expr::default()).is_ok();
    reads.then_some(found)
}

/// The gold answer in a gold field, which may hold the bare answer, or a whole solution that marks it.
/// `None` if it is blank.
pub fn extract_gold(text: &str) -> Option<Extracted<'_>> {
    // A short gold is taken as it stands unless it is marked: "the answer is unique" can be a gold.
    const SHORT_WORDS: usize = 12;
    let marked = tag(text, true).or_else(|| boxed(text, 0));
    let long = || text.split_whitespace().nth(SHORT_WORDS).is_some();
    marked
        .or_else(|| stated(text).filter(|found| found.how == How::Hashes || long()))
        .or_else(|| answer(text, Span::new(0, text.len()), How::Bare))
}

/// An answer at `span`, trimmed; `None` if that leaves nothing.
pub(super) fn answer(text: &str, span: Span, how: How) -> Option<Extracted<'_>> {
    let span = span.trim(text);
    (!span.is_empty()).then(|| Extracted { text: span.of(text), span, how })
}

/// The last `<answer>`; `boxes`: what is boxed in it or behind it wins.
fn tag(text: &str, boxes: bool) -> Option<Extracted<'_>> {
    const OPEN: &str = "<answer>";
    const CLOSE: &str = "</answer>";
    let mut head = text;
    loop {
        let end = head.rfind(CLOSE)?;
        let at = head[..end].rfind(OPEN)?;
        let start = at + OPEN.len();
        if let Some(whole) = answer(text, Span::new(start, end), How::Tag) {
            let in_box = |text, from| if boxes { boxed(text, from) } else { None };
            if let Some(later) = in_box(text, end) {
                return Some(later);
            }
            let inner = &text[start..end];
            let inside = in_box(inner, 0).or_else(|| stated(inner)).map(|found| found.moved(start));
            return inside.or(Some(whole));
        }
        head = &text[..at];
    }
}

/// The last closed box from byte `from` on, with those right before it that are parts of the same answer: "\\boxed{1} and
/// \\boxed{2}". One pass with a stack of open braces, so that a thousand unclosed boxes cost no more than one.
fn boxed(text: &str, from: usize) -> Option<Extracted<'_>> {
    // The whole of the last answer, with its commands, and its only content.
    let mut last: Option<(Span, Option<Extracted<'_>>)> = None;
    each_box(text, from, &mut |command, content| {
        let Some(found) = answer(text, content, How::Boxed) else { return };
        let end = content.end as usize + 1;
        last = Some(match last {
            Some((before, _))
                if before.end as usize <= command && is_joint(&text[before.end as usize..command]) =>
            {
                (Span::new(before.start as usize, end), None)
            }
            _ => (Span::new(command, end), Some(found)),
        });
    });
    match last? {
        (_, Some(only)) => Some(only),
        (whole, None) => answer(text, whole, How::Boxed),
    }
}

/// The boxes, with their commands, in which nothing counts.
fn closed_boxes(text: &str, options: Options) -> Vec<Span> {
    let mut spans = Vec::new();
    if options.boxed_match_priority >= 0 {
        return spans;
    }
    each_box(text, 0, &mut |command, content| spans.push(Span::new(command, content.end as usize + 1)));
    spans
}

/// Whether a place shares a byte with one of these spans.
fn touches(spans: &[Span], found: &Extracted<'_>) -> bool {
    spans.iter().any(|span| span.start < found.span.end && found.span.start < span.end)
}

/// Every closed box, as it closes: where its command begins, and what is in it.
fn each_box(text: &str, from: usize, closed: &mut dyn FnMut(usize, Span)) {
    let bytes = text.as_bytes();
    // For each open brace, where the command of its box begins and its content.
    let mut open: Vec<Option<(usize, usize)>> = Vec::new();
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => {
                let rest = &text.as_bytes()[at..];
                let name = [&b"\\boxed"[..], b"\\fbox"].into_iter().find(|name| rest.starts_with(name));
                let brace = name.map(|name| {
                    let after = at + name.len();
                    after + bytes[after..].iter().take_while(|byte| byte.is_ascii_whitespace()).count()
                });
                match brace {
                    Some(brace) if bytes.get(brace) == Some(&b'{') => {
                        open.push(Some((at, brace + 1)));
                        at = brace + 1;
                    }
                    // A text that was escaped twice.
                    _ if rest.starts_with(b"\\\\boxed{") || rest.starts_with(b"\\\\fbox{") => at += 1,
                    // The next byte is escaped: `\{` opens nothing.
                    _ => at += 2,
                }
            }
            b'{' => {
                open.push(None);
                at += 1;
            }
            b'}' => {
                if let Some(Some((command, start))) = open.pop() {
                    closed(command, Span::new(start, at));
                }
                at += 1;
            }
            _ => at += 1,
        }
    }
}

/// What may stand between two boxes of one answer: nothing but marks, or a few words that end in "and" or "or".
fn is_joint(between: &str) -> bool {
    const LONGEST: usize = 60;
    if between.len() > LONGEST || between.contains(['.', '\n']) {
        return false;
    }
    let mut words = between
        .split(|c: char| !c.is_alphabetic() && c != '\\')
        .filter(|word| !word.is_empty() && !word.starts_with('\\'));
    words.next_back().is_none_or(|word| ["and", "or"].contains(&word))
}

/// The formulas of a text: what stands between dollars, or in `\(…\)` or `\[…\]`. One pass; what is
/// opened and never closed takes the rest with it.
fn formulas(text: &str) -> Vec<Extracted<'_>> {
    let bytes = text.as_bytes();
    // The mark that closes, and where the content begins.
    let mut open: Option<(&[u8], usize)> = None;
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let mark: &[u8] = match rest {
            [b'$', b'$', ..] if open.is_none_or(|(close, _)| close == b"$$") => b"$$",
            [b'$', ..] => b"$",
            [b'\\', b'(' | b')' | b'[' | b']', ..] => &rest[..2],
            // The next byte is escaped: `\$` is money.
            [b'\\', ..] => {
                at += 2;
                continue;
            }
            _ => {
                at += 1;
                continue;
            }
        };
        let end = at + mark.len();
        match open {
            Some((close, start)) if close == mark => {
                found.extend(answer(text, Span::new(start, at), How::Formula));
                open = None;
            }
            Some(_) => {}
            None => {
                let close: Option<&[u8]> = match mark {
                    b"\\(" => Some(b"\\)"),
                    b"\\[" => Some(b"\\]"),
                    b"$" | b"$$" => Some(mark),
                    _ => None,
                };
                open = close.map(|close| (close, end));
            }
        }
        at = end;
    }
    found
}

/// The number that a stated sentence is about ("she sold 50 bags of wheat"), for a prediction that is prose:
/// the only number in it, or the first one after its last "is" or "=", or else the first.
/// `None` if the answer is no prose, or was boxed.
pub fn number_in_prose<'a>(found: &Extracted<'a>) -> Option<&'a str> {
    if !matches!(found.how, How::Statement | How::Tag) || !is_prose(found.text) {
        return None;
    }
    let text = found.text;
    if speaks_against(text) {
        return None;
    }
    let tail = behind_joint(text);
    let from = tail.unwrap_or(0);
    let first = first_number(&text[from..])?;
    let (start, end) = (from + first.span.start as usize, from + first.span.end as usize);
    if is_another(&text[..start], &text[end..]) {
        return None;
    }
    let first = first.text;
    // Two numbers, and nothing that tells which one counts.
    let last = last_number(text).map(|found| found.text);
    (tail.is_some() || last == Some(first)).then_some(first)
}

/// Behind the last word that joins a number to what it counts, if there is a number.
pub(super) fn behind_joint(text: &str) -> Option<usize> {
    const JOINTS: [&str; 18] = [
        " is ", " are ", " be ", " was ", " were ", "= ", " has ", " have ", " had ", " cost ", " costs ",
        " paid ", " pays ", " earns ", " made ", " makes ", " spent ", " weighs ",
    ];
    let joint = JOINTS.iter().filter_map(|joint| Some(text.rfind(joint)? + joint.len())).max();
    joint.filter(|&at| text[at..].contains(|c: char| c.is_ascii_digit()))
}

/// Whoever is not sure, or says that it is wrong, has not answered.
pub(super) fn speaks_against(text: &str) -> bool {
    const REFUSED: [&str; 10] =
        ["or", "either", "neither", "maybe", "perhaps", "wrong", "incorrect", "false", "untrue", "case"];
    words_of(text).any(|word| REFUSED.contains(&word.as_str())) || denies_all(text)
}

fn words_of(text: &str) -> impl DoubleEndedIterator<Item = String> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '\'');
    words.filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// "It is not true that she has 16."
fn denies_all(text: &str) -> bool {
    let mut denied = false;
    words_of(text).any(|word| {
        let is_said = ["true", "right", "correct", "so", "that"].contains(&word.as_str());
        let found = denied && is_said;
        denied = word == "not" || word.ends_with("n't");
        found
    })
}

/// Whether the words beside a number make another value of it, or deny it: "twice 5", "5 squared", "not 5".
pub(super) fn is_another(before: &str, after: &str) -> bool {
    /// How many words count on each side: "5 and a half", "the square root of 5".
    const NEAR: usize = 3;
    let denies =
        |word: &str| ["not", "never", "cannot", "root", "any"].contains(&word) || word.ends_with("n't");
    // "16 fewer than 20" is 4.
    let compared =
        after.split_once(" than ").is_some_and(|(_, than)| than.contains(|c: char| c.is_ascii_digit()));
    // "3 times a week" counts, "3 times as many" multiplies.
    let counted =
        |next: &str| ["a", "in", "this", "per", "before", "each", "every", "to", "on"].contains(&next);
    let mut later = words_beside(after).take(NEAR + 1).peekable();
    let mut behind = |at: usize| {
        let Some(word) = later.next() else { return false };
        match word.as_str() {
            "times" => later.peek().is_some_and(|next| !counted(next)),
            // "40 more than Bob has", "8 not counting her own".
            "than" => at == 0,
            "not" => false,
            word => makes_another(word),
        }
    };
    compared
        || (0..NEAR).any(&mut behind)
        || words_of(before).rev().take(NEAR).any(|word| denies(&word) || makes_another(&word))
}

/// The words of a text without those that only say what kind of thing is counted: of "49 fourth-grade boys" the boys, but of "5
/// and one-half" both.
fn words_beside(text: &str) -> impl Iterator<Item = String> {
    let tokens = text.split_whitespace().filter(|token| {
        let kind = token.trim_matches(|c: char| !c.is_alphanumeric()).rsplit_once('-');
        kind.is_none_or(|(_, last)| makes_another(&last.to_lowercase()))
    });
    tokens.flat_map(words_of)
}

/// The first number of a text.
fn first_number(text: &str) -> Option<Extracted<'_>> {
    number_at(text, text.find(|c: char| c.is_ascii_digit())?)
}

/// The number whose digits begin at a place, with its sign.
pub(super) fn number_at(text: &str, start: usize) -> Option<Extracted<'_>> {
    let part = |c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',' | '/'));
    let end = text[start..].find(part).map_or(text.len(), |length| start + length);
    last_number(&text[..end])
}

/// The last number: digits with separators, a sign, a fraction bar, an exponent, a percent sign.
pub(super) fn last_number(text: &str) -> Option<Extracted<'_>> {
    let mut end = text.len();
    // "AZYUK2A" has a digit and no number. Who writes more of them has none.
    const MOST_TRIES: u32 = 1_000;
    for _ in 0..MOST_TRIES {
        let found = last_number_before(text, end)?;
        let start = found.span.start as usize;
        let is_inside =
            text[..start].ends_with(|c: char| c.is_alphabetic() || c == '_') && !found.text.starts_with('-');
        if !is_inside && !is_denied(&text[..start]) {
            return mixed(text, found).map(|found| widened(text, found));
        }
        end = start;
    }
    None
}

/// A number with what makes another value of it: 2√3, π/2, x^2, 3!, 4:5, (4, 5), 1 million.
fn widened<'a>(text: &'a str, found: Extracted<'a>) -> Extracted<'a> {
    /// How far it may reach, in bytes.
    const FAR: usize = 60;
    let (start, end) = (found.span.start as usize, found.span.end as usize);
    let whole = |from: usize, to: usize| {
        answer(text, Span::new(from, to), How::LastNumber)
            .filter(|wide| parse(wide.text, true, &mut Expr::default()).is_ok())
            .unwrap_or(found)
    };
    let rest = &text[end..];
    let next_word = rest.trim_start_matches(' ');
    let word = next_word.find(|c: char| !c.is_alphabetic()).map_or(next_word, |at| &next_word[..at]);
    if multiplier(word).is_some() {
        return whole(start, end + (rest.len() - next_word.len()) + word.len());
    }
    // A pair or an interval.
    if let Some(close) = next_word.chars().next().filter(|c| matches!(c, ')' | ']' | '}')) {
        let mut from = start.saturating_sub(FAR);
        while !text.is_char_boundary(from) {
            from += 1;
        }
        let open = text[from..start].rfind(['(', '[', '{']).map(|at| from + at);
        if let Some(open) = open
            .filter(|&open| text[open..start].contains(',') && !text[open..start].contains([')', ']', '}']))
        {
            return whole(open, end + (rest.len() - next_word.len()) + close.len_utf8());
        }
    }
    let is_sign = |c: char| matches!(c, '√' | 'π' | '^' | '!' | ':' | '∛');
    let part =
        |c: char| c.is_alphanumeric() || is_sign(c) || matches!(c, '/' | '*' | '(' | ')' | '.' | '×' | '·');
    let mut from = start;
    for (at, c) in text[..start].char_indices().rev() {
        if !part(c) || start - at > FAR {
            break;
        }
        from = at;
    }
    let length = rest.char_indices().find(|&(at, c)| !part(c) || at > FAR).map_or(rest.len(), |(at, _)| at);
    let to = end + rest[..length].trim_end_matches(['.', ':', '!']).len();
    let to = if rest[..length].starts_with('!') { to.max(end + 1) } else { to };
    if text[from..to].contains(is_sign) { whole(from, to) } else { found }
}

/// With the whole number in front of a fraction; `None` if the two are no number: 11 6/6.
fn mixed<'a>(text: &'a str, found: Extracted<'a>) -> Option<Extracted<'a>> {
    let start = found.span.start as usize;
    // 4/0 is not 0, and "4percent" is neither 4 nor a percentage.
    let is_bottom = text[..start].ends_with('/') && found.text.bytes().all(|byte| byte == b'0');
    if is_bottom || text[found.span.end as usize..].starts_with("percent") {
        return None;
    }
    let Some((top, bottom)) = found.text.trim_end_matches('%').split_once('/') else { return Some(found) };
    let (Ok(top), Ok(bottom)) = (top.parse::<u64>(), bottom.parse::<u64>()) else { return Some(found) };
    let head = text[..start].trim_end_matches(' ');
    if head.len() == start || !head.ends_with(|c: char| c.is_ascii_digit()) {
        return (bottom != 0).then_some(found);
    }
    let before = last_number_before(text, head.len())?;
    let is_whole =
        before.text.trim_start_matches(['-', '+']).bytes().all(|byte| byte.is_ascii_digit() || byte == b' ');
    if !is_whole {
        return Some(found);
    }
    if top == 0 || top >= bottom {
        return None;
    }
    answer(text, Span::new(before.span.start as usize, found.span.end as usize), How::LastNumber)
}

fn last_number_before(text: &str, end: usize) -> Option<Extracted<'_>> {
    let bytes = &text.as_bytes()[..end];
    let last = bytes.iter().rposition(u8::is_ascii_digit)?;
    let run = |end: usize| {
        let part = |byte: &&u8| byte.is_ascii_digit() || matches!(byte, b'.' | b',' | b'/');
        let start = end - bytes[..end].iter().rev().take_while(part).count();
        let skipped = bytes[start..end].iter().take_while(|byte| !byte.is_ascii_digit()).count();
        // Separators at the front belong to the sentence, except for the point of " .5".
        let is_point = &bytes[start..start + skipped] == b"." && (start == 0 || bytes[start - 1] == b' ');
        if is_point { start } else { start + skipped }
    };
    let mut end = last + 1;
    let mut start = run(end);
    // What does not read as one number (a list "1,2,3", a date) ends in one.
    for separator in [b',', b'/', b'.'] {
        if is_number(&text[start..end]) {
            break;
        }
        if let Some(at) = bytes[start..end].iter().rposition(|byte| *byte == separator) {
            start += at + 1;
        }
    }
    // The mantissa of "1.5e-7".
    let sign = usize::from(start > 0 && matches!(bytes[start - 1], b'-' | b'+'));
    if start > sign && matches!(bytes[start - sign - 1], b'e' | b'E') {
        let mantissa_end = start - sign - 1;
        if mantissa_end > 0 && bytes[mantissa_end - 1].is_ascii_digit() {
            let mantissa = run(mantissa_end);
            if is_number(&text[mantissa..end]) {
                start = mantissa;
            }
        }
    }
    let mut front = text[..start].chars().rev().peekable();
    let mut sign_start = start;
    if front.peek() == Some(&'$') {
        front.next();
        sign_start -= 1;
    }
    if let Some(minus) = front.next_if(|c| matches!(c, '-' | '−')) {
        // "3-5" is a range or a difference; "x - 5" is one too, but "= -5" is a sign.
        if front.peek().is_none_or(|c| !c.is_alphanumeric() && !matches!(c, ')' | '-' | '}')) {
            start = sign_start - minus.len_utf8();
        }
    }
    end += usize::from(bytes.get(end) == Some(&b'%'));
    answer(text, Span::new(start, end), How::LastNumber)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_found_where_they_stand() {
        let cases: &[(&str, Option<(&str, How)>)] = &[
            ("", None),
            ("no answer", None),
            ("\\boxed{1} then \\boxed{2}", Some(("2", How::Boxed))),
            ("\\boxed{\\frac{1}{2}}", Some(("\\frac{1}{2}", How::Boxed))),
            ("\\boxed{1} and \\boxed{2", Some(("1", How::Boxed))),
            ("\\boxed{ a \\boxed{5}", Some(("5", How::Boxed))),
            ("\\boxed{5}\\boxed{}", Some(("5", How::Boxed))),
            ("\\fbox {x}", Some(("x", How::Boxed))),
            ("\\boxed{\\{1, 2\\}}", Some(("\\{1, 2\\}", How::Boxed))),
            ("<answer> 7 </answer>", Some(("7", How::Tag))),
            ("\\boxed{1} <answer>so \\boxed{2}, yes</answer>", Some(("2", How::Boxed))),
            ("\\boxed{1} <answer>9</answer>", Some(("9", How::Tag))),
            ("<answer>9</answer> \\boxed{1}", Some(("1", How::Boxed))),
            ("<answer>3</answer><answer></answer>", Some(("3", How::Tag))),
            ("<answer>The answer is 12.</answer>", Some(("12", How::Statement))),
            ("work\n#### 72", Some(("72", How::Hashes))),
            ("#### 1. Compute the sum of parts\nIt is 4", Some(("4", How::LastNumber))),
            ("Final answer is 42. I hope so.", Some(("42", How::Statement))),
            ("The answer is 3.5, because it is.", Some(("3.5", How::Statement))),
            ("the answer is $\\frac{1}{2}$ and 9", Some(("$\\frac{1}{2}$", How::Statement))),
            ("The answer is $18 per day and $20 later", Some(("$18 per day and $20 later", How::Statement))),
            ("**Answer:** 12 apples\n", Some(("12 apples", How::Statement))),
            ("**Final Answer**\n\n81\n", Some(("81", How::Statement))),
            ("The answer to the first question is 6.", Some(("6", How::Statement))),
            ("Step by step answer:\nLet's denote it by B. So B = 6.", Some(("6", How::LastNumber))),
            ("Answer:\nblue", Some(("blue", How::Statement))),
            ("The answer is (2, 3).", Some(("(2, 3)", How::Statement))),
            ("The answer is (B).", Some(("B", How::Choice))),
            ("Answer: B) 42", Some(("B", How::Choice))),
            ("The correct option is C", Some(("C", How::Choice))),
            ("We pick\n(D)", Some(("D", How::Choice))),
            ("The answer is A dog", Some(("A dog", How::Statement))),
            ("the answer is", None),
            ("so 3 + 4 = 7 eggs.", Some(("7", How::LastNumber))),
            ("It costs $1,200.50.", Some(("1,200.50", How::LastNumber))),
            ("lost -$5", Some(("-$5", How::LastNumber))),
            ("a range 3-5", Some(("5", How::LastNumber))),
            ("1,2,3", Some(("1,2,3", How::Bare))),
            ("they are 1,2,3", Some(("3", How::LastNumber))),
            ("on 3/4/2020", Some(("2020", How::LastNumber))),
            ("it is 1.5e-7", Some(("1.5e-7", How::LastNumber))),
            ("half is .5", Some((".5", How::LastNumber))),
            ("ends...5", Some(("5", How::LastNumber))),
            ("that is half of it, 50%", Some(("50%", How::LastNumber))),
            ("réponse −5 é", Some(("−5", How::LastNumber))),
        ];
        for (text, expected) in cases {
            let found = extract(text);
            assert_eq!(found.map(|f| (f.text, f.how)), *expected, "{text:?}");
            if let Some(found) = found {
                assert_eq!(found.span.of(text), found.text);
            }
        }
    }

    #[test]
    fn a_stated_sentence_has_its_number() {
        for (text, expected) in [
            ("So the answer is 250 candles that smell like a wet dog.", Some("250")),
            ("The answer is there are 4 blue balls for 2 people", Some("4")),
            ("Answer: the cost of 5 apples is $1,250.", Some("1,250")),
            ("Answer: There were 49 fourth-grade boys at the school", Some("49")),
            ("Answer: There were 49 and one-half boys at the school", None),
            ("Answer: There were 49 fourth of them at the school", None),
            ("<answer>She has -3 dollars left</answer>", Some("-3")),
            ("The answer is blue and green", None),
            ("The answer is 12", None),
            ("\\boxed{5 red and 4 blue}", None),
        ] {
            let found = extract(text).unwrap();
            assert_eq!(number_in_prose(&found), expected, "{text:?}");
        }
    }

    #[test]
    fn the_last_number_can_be_switched_off() {
        let options = Options { try_extract_without_anchor: false, ..Options::default() };
        assert_eq!(extract_with("so 7 eggs", options), None);
    }

    #[test]
    fn gold_answers_may_be_bare() {
        for (gold, expected, how) in [
            ("72", "72", How::Bare),
            (" \\frac{63}{400} ", "\\frac{63}{400}", How::Bare),
            ("$1,200", "$1,200", How::Bare),
            ("2/2=1 bolt\n#### 3", "3", How::Hashes),
            ("We see that \\boxed{x+1}.", "x+1", How::Boxed),
            ("The answer is unique", "The answer is unique", How::Bare),
        ] {
            let found = extract_gold(gold).unwrap();
            assert_eq!((found.text, found.how), (expected, how), "{gold:?}");
        }
        assert_eq!(extract_gold(" \n"), None);
    }
}
