//! What is computed from what, in a sentence or a step. `written` finds results that are written with more than digits, which
//! the reader of answers reads.

mod written;

use crate::answer;
use crate::text::numbers::{self, Number};
use crate::trace::Span;

/// A set of arithmetic operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operations(pub u8);

impl Operations {
    /// Addition.
    pub const ADD: Operations = Operations(1);
    /// Subtraction.
    pub const SUBTRACT: Operations = Operations(2);
    /// Multiplication.
    pub const MULTIPLY: Operations = Operations(4);
    /// Division.
    pub const DIVIDE: Operations = Operations(8);

    /// Number of operations in the set.
    pub fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether there is one, and none but those of `all`.
    pub fn is_within(self, all: Operations) -> bool {
        self.0 != 0 && self.0 & !all.0 == 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl std::ops::BitOr for Operations {
    type Output = Operations;

    fn bitor(self, other: Operations) -> Operations {
        Operations(self.0 | other.0)
    }
}

/// A text read as a calculation. Reused from text to text.
#[derive(Clone, Debug, Default)]
pub struct Calculation {
    /// What comes out at the end, if something does: the last number that is stated as a result, else the last
    /// number.
    pub result: Option<f64>,
    /// [`Self::result`] as it is compared: with its sign, and as a fraction where it is the last part of one.
    pub value: Option<Value>,
    /// Every number that is stated as a result, in order.
    pub stated: Vec<Stated>,
    /// The numbers that it is computed from: every number but the result, ascending, each once.
    pub operands: Vec<f64>,
    /// The operations that are written with a sign.
    pub operations: Operations,
    /// Whether something is really computed: a stated result after an operation on a number, or after at least
    /// two numbers.
    pub computed: bool,
    numbers: Vec<Number>,
}

/// A number that a text states as the result of something (`= 5`, "which is 5").
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stated {
    /// The number.
    pub number: Number,
    /// Its value with its sign, and as a fraction where it stands in one.
    pub value: Value,
    /// Whether it follows a calculation; else it is only stated.
    pub computed: bool,
}

/// What a result is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Value {
    /// As it is written.
    pub number: f64,
    /// Whether it is written in percent.
    pub percent: bool,
}

impl Value {
    /// A number that is not in percent.
    pub fn new(number: f64) -> Self {
        Value { number, percent: false }
    }

    /// Whether both are the same: 75% is 75 and 0.75, as to the reader of answers, which two are not the same.
    pub fn is(self, other: Value) -> bool {
        let share = |one: Value, other: Value| {
            one.percent && !other.percent && numbers::same(one.number / 100.0, other.number)
        };
        numbers::same(self.number, other.number) || share(self, other) || share(other, self)
    }
}

impl Calculation {
    /// Where [`Self::result`] stands.
    pub fn result_span(&self) -> Option<Span> {
        self.stated
            .last()
            .map(|stated| stated.number)
            .or(self.numbers.last().copied())
            .map(|number| number.span)
    }

    /// Every number of the text, in order.
    pub fn numbers(&self) -> &[Number] {
        &self.numbers
    }

    /// Reads `text`, forgetting what was read before.
    ///
    /// A result that is written with more than digits (`\frac{3}{4}`, `3/4`, `1 1/2`, `2\sqrt{3}`, `5 \times 10^3`) is one
    /// number, whose value the reader of answers gives. What is still to be worked out (`84/12`) is none. Allocates for these,
    /// and for texts with more numbers than any before.
    pub fn read(&mut self, text: &str) {
        self.numbers.clear();
        numbers::scan(text, &mut self.numbers);
        self.operands.clear();
        self.stated.clear();
        let (mut from, mut next) = (0, 0);
        while let Some(&first) = self.numbers.get(next) {
            let begin = written::start(text, first);
            let is_announced = is_stated(text, begin);
            let whole = if is_announced { whole(text, begin, first) } else { None };
            let number = whole.unwrap_or(first);
            let index = next;
            // The numbers of one value are one number.
            next += 1;
            while self.numbers.get(next).is_some_and(|part| part.span.start < number.span.end) {
                next += 1;
            }
            let start = number.span.start as usize;
            let is_announced = if begin == start { is_announced } else { is_stated(text, start) };
            if !is_announced || goes_on(&text[number.span.end as usize..]) {
                continue;
            }
            // What it may be computed from stands since the last result.
            let given = index - from;
            let has_operation = || {
                let before = &text[self.numbers[from].span.start as usize..start];
                has_sign(before) || has_operation_word(text, start)
            };
            let computed = given >= 2 || given == 1 && has_operation();
            let value = value_of(text, &self.numbers[..index], number, whole.is_some());
            self.stated.push(Stated { number, value, computed });
            from = if computed { next - 1 } else { from };
        }
        self.operations = operations(text, &self.numbers, &self.stated);
        self.computed = self.stated.iter().any(|stated| stated.computed);
        let unstated = || {
            let (&last, before) = self.numbers.split_last()?;
            Some((last, value_of(text, before, last, false)))
        };
        let last = self.stated.last().map(|stated| (stated.number, stated.value)).or_else(unstated);
        self.result = last.map(|(number, _)| number.value);
        self.value = last.map(|(_, value)| value);
        let (Some(value), Some(span)) = (self.result, self.result_span()) else { return };
        let others = self.numbers.iter().filter(|number| !is_part(**number, span));
        self.operands.extend(others.map(|number| number.value).filter(|&other| !numbers::same(other, value)));
        self.operands.sort_unstable_by(f64::total_cmp);
        self.operands.dedup_by(|a, b| numbers::same(*a, *b));
    }
}

/// Whether a number is a part of the value at `whole`.
fn is_part(number: Number, whole: Span) -> bool {
    whole.start <= number.span.start && number.span.start < whole.end
}

/// The value that is written from `start` on with more than the digits of `number`, if it is one.
fn whole(text: &str, start: usize, number: Number) -> Option<Number> {
    let span = written::whole(text, start, number)?;
    Some(Number { value: answer::number(span.of(text))?, span })
}

/// The value of a number where it stands, with those before it. If it is not the `whole` of what is written, it may be the
/// last part of `\frac{6}{8}` or `6/8`, and has the sign before it.
fn value_of(text: &str, before: &[Number], number: Number, whole: bool) -> Value {
    let mut value = number.value;
    let percent = is_percent(&text[number.span.end as usize..]);
    if whole {
        return Value { number: value, percent };
    }
    let mut start = number.span.start as usize;
    if let Some(above) = before.last() {
        let between = &text[above.span.end as usize..start];
        let before = text[..above.span.start as usize].trim_end();
        let stacked = between.trim() == "}{" && (before.ends_with("frac{") || before.ends_with("frac{-"));
        if (stacked || between == "/") && value != 0.0 {
            value = above.value / value;
            start = above.span.start as usize;
        }
    }
    Value { number: if is_negative(&text[..start]) { -value } else { value }, percent }
}

/// Whether what stands before is in percent.
fn is_percent(after: &str) -> bool {
    let rest = after.trim_start_matches(' ');
    ["%", "\\%", "percent"].iter().any(|mark| rest.starts_with(mark)) && !rest.starts_with("percentage")
}

/// Whether what follows has a sign of its own: a minus that takes nothing away from what stands before it.
fn is_negative(before: &str) -> bool {
    let bare = before.trim_end_matches(|c: char| c.is_whitespace() || "$({[".contains(c));
    let bare =
        bare.strip_suffix("frac").map_or(bare, |rest| rest.trim_end_matches(['d', 't', '\\']).trim_end());
    let Some(rest) = bare.strip_suffix(['-', '−', '–']) else { return false };
    let marks = |c: char| c.is_whitespace() || "$({[\\".contains(c);
    let left = rest.trim_end_matches(marks);
    // "is -2", but not "x - 2" and not "x-2".
    let is_glued = bare.len() == before.len() || before[bare.len()..].starts_with('\\');
    let behind_a_word = || rest.len() > left.len() && is_glued && left.ends_with(char::is_alphabetic);
    left.is_empty() || left.ends_with(['=', '<', '>', ',', ':', '≈']) || behind_a_word()
}

/// Words that name an operation on the one number beside them.
const OPERATION_WORDS: [&str; 15] = [
    "half",
    "twice",
    "double",
    "triple",
    "times",
    "plus",
    "minus",
    "divided",
    "divide",
    "multiplied",
    "multiply",
    "subtract",
    "subtracting",
    "percent",
    "more",
];

/// Whether the number at `start` is stated as a result: after `=` or a word that announces one, with nothing but marks
/// between.
fn is_stated(text: &str, start: usize) -> bool {
    let before = trim_marks(&text[..start]);
    // "= -4" has a sign of its own.
    let unsigned = before.trim_end_matches(['-', '−']).trim_end();
    let before = if unsigned.ends_with(['=', '≈', '→']) { unsigned } else { before };
    if before.ends_with(['=', '≈', '→']) {
        return !before.ends_with("!=");
    }
    let mut buffer = [0; LONGEST];
    let Some(word) = last_word(before, &mut buffer) else { return false };
    let ends_with_any = |all: &[&str]| all.iter().any(|announcing| ends_with_word(before, announcing));
    match word {
        b"equals" | b"equaling" | b"equalling" | b"totalling" | b"is" | b"are" | b"be" | b"was" | b"were"
        | b"gives" | b"give" | b"giving" | b"get" | b"gets" | b"makes" | b"make" | b"totals"
        | b"totaling" | b"yields" | b"leaves" | b"leaving" | b"becomes" | b"has" | b"have" | b"had"
        | b"cost" | b"costs" | b"weighs" | b"earns" | b"earned" | b"spends" | b"spent" | b"pays"
        | b"paid" | b"needs" | b"takes" => true,
        b"to" => ends_with_any(&["equal to", "comes to", "adds up to"]),
        b"us" => ends_with_any(&["gives us", "give us"]),
        b"of" => ends_with_any(&["total of", "subtotal of", "sum of"]),
        // "resulting in 5" states a result, "in 5 days" does not.
        b"in" => ends_with_any(&["resulting in", "results in"]),
        _ => false,
    }
}

/// Longest word that is looked for before a number.
const LONGEST: usize = 13;

/// The word that `text` ends with, in lower case; `None` if it ends with none, or with a longer one.
fn last_word<'a>(text: &str, buffer: &'a mut [u8; LONGEST]) -> Option<&'a [u8]> {
    let bytes = text.as_bytes();
    let length = bytes.iter().rev().take(LONGEST + 1).take_while(|b| b.is_ascii_alphabetic()).count();
    let glued = bytes.len().checked_sub(length + 1).is_some_and(|at| bytes[at].is_ascii_alphanumeric());
    if length == 0 || glued {
        return None;
    }
    let word = buffer.get_mut(..length)?;
    word.copy_from_slice(&bytes[bytes.len() - length..]);
    word.make_ascii_lowercase();
    Some(word)
}

/// Bytes of a unit in `\text{…}`.
const MOST_UNIT: usize = 64;

/// Whether what follows a number computes on with it: `= 4 × 20`, "is 12 multiplied by", `= 28 days * 3`.
fn goes_on(after: &str) -> bool {
    let mut rest = after;
    // Up to two words of a unit may stand between.
    for _ in 0..3 {
        rest = rest.trim_start_matches(|c: char| c == ' ' || "%)}$\u{b0}".contains(c));
        rest = ["^\\circ", "^{\\circ}"].iter().find_map(|degrees| rest.strip_prefix(degrees)).unwrap_or(rest);
        if let Some(unit) = rest.strip_prefix("\\text{").or_else(|| rest.strip_prefix("\\,\\text{")) {
            // A unit is short.
            let end = unit.bytes().take(MOST_UNIT).position(|b| b == b'}');
            rest = end.map_or("", |end| &unit[end + 1..]);
            rest = rest.trim_start_matches(' ');
        }
        // "9 eggs/day" and "$10/gallon" divide nothing.
        let divides = rest.strip_prefix('/').is_some_and(|below| {
            !below.trim_start_matches([' ', '$', '(']).starts_with(|c: char| c.is_ascii_alphabetic())
        });
        // "2(7.5)"
        let is_product = after.starts_with('(') && after[1..].starts_with(|c: char| c.is_ascii_digit());
        let sign = divides
            || is_product
            || rest.starts_with(['+', '×', '÷', '·', '^', '−'])
            || (rest.starts_with('*') && !rest.starts_with("**"))
            || (rest.starts_with("- ") && after.len() > rest.len())
            || ["\\times", "\\cdot", "\\div", "x "].iter().any(|sign| rest.starts_with(sign));
        let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let word = &rest[..end];
        let named = ["multiplied", "divided", "plus", "minus"];
        // "22 times." counts, "22 times 3" multiplies.
        let multiplies = word.eq_ignore_ascii_case("times") && {
            let next = rest[end..].trim_start_matches([' ', '$', '(', '\\']);
            next.starts_with(|c: char| c.is_ascii_digit())
                || ["as ", "the ", "that "].iter().any(|word| next.starts_with(word))
        };
        if sign || multiplies || named.iter().any(|operation| word.eq_ignore_ascii_case(operation)) {
            return true;
        }
        if word.is_empty() || ["and", "so", "or", "then", "which", "is"].contains(&word) {
            return false;
        }
        rest = &rest[end..];
    }
    false
}

fn has_sign(text: &str) -> bool {
    text.contains(['+', '*', '/', '×', '÷', '·', '%', '−']) || text.contains(" - ") || text.contains("\\")
}

/// How far back an operation is looked for, in bytes: a long sentence.
const OPERATION_WINDOW: usize = 240;

/// Whether an operation is named not far before `end`.
fn has_operation_word(text: &str, end: usize) -> bool {
    let mut start = end.saturating_sub(OPERATION_WINDOW);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text[start..end].split(|c: char| !c.is_ascii_alphabetic()).any(|word| {
        (4..=11).contains(&word.len())
            && OPERATION_WORDS.iter().any(|operation| word.eq_ignore_ascii_case(operation))
    })
}

/// Cuts what may stand between an announcement and its number: currency, emphasis, brackets, "about".
fn trim_marks(mut text: &str) -> &str {
    loop {
        let cut = text.trim_end_matches(|c: char| c.is_whitespace() || "$€£*({[~:\\".contains(c));
        let cut = cut.strip_suffix("\\boxed").or_else(|| cut.strip_suffix("boxed")).unwrap_or(cut);
        let mut buffer = [0; LONGEST];
        let filler = match last_word(cut, &mut buffer) {
            Some(b"approximately") => 13,
            Some(b"exactly") => 7,
            Some(b"simply" | b"indeed") => 6,
            Some(b"about") => 5,
            Some(b"only" | b"just" | b"also") => 4,
            Some(b"now") => 3,
            Some(b"of") if ends_with_word(cut, "a total of") => 10,
            _ => 0,
        };
        let cut = &cut[..cut.len() - filler];
        if cut.len() == text.len() {
            return text;
        }
        text = cut;
    }
}

fn ends_with_word(text: &str, word: &str) -> bool {
    let (text, word) = (text.as_bytes(), word.as_bytes());
    let Some(start) = text.len().checked_sub(word.len()) else { return false };
    text[start..].eq_ignore_ascii_case(word) && (start == 0 || !text[start - 1].is_ascii_alphanumeric())
}

/// The signs between or before the numbers of `text`. Those within a stated value are no operations.
fn operations(text: &str, numbers: &[Number], stated: &[Stated]) -> Operations {
    let bytes = text.as_bytes();
    let mut found = 0;
    let is_within = |at: usize| {
        let before = stated.partition_point(|stated| (stated.number.span.start as usize) < at);
        before.checked_sub(1).is_some_and(|last| at < stated[last].number.span.end as usize)
    };
    for number in numbers.iter().filter(|number| !is_within(number.span.start as usize)) {
        let before = trim_marks(&text[..number.span.start as usize]);
        found |= match before.as_bytes().last() {
            Some(b'+') => Operations::ADD.0,
            Some(b'-') if is_minus(before) => Operations::SUBTRACT.0,
            Some(b'*') => Operations::MULTIPLY.0,
            Some(b'/') => Operations::DIVIDE.0,
            Some(b'x' | b'X') if is_times(before) => Operations::MULTIPLY.0,
            _ => match before.chars().next_back() {
                Some('×' | '·') => Operations::MULTIPLY.0,
                Some('÷') => Operations::DIVIDE.0,
                Some('−' | '–') => Operations::SUBTRACT.0,
                _ => latex_operation(before),
            },
        };
        if text[..number.span.start as usize].ends_with('(')
            && text[..number.span.start as usize - 1].ends_with(|c: char| c.is_ascii_digit() || c == ')')
        {
            found |= Operations::MULTIPLY.0;
        }
        // `trim_marks` takes the emphasis mark `*` away, so look at it where it stands between blanks.
        let start = number.span.start as usize;
        let gap = bytes[..start].iter().rev().take_while(|b| matches!(b, b' ' | b'$' | b'(' | b'\\')).count();
        if start > gap && bytes[start - gap - 1] == b'*' && (gap > 0 || is_factor(bytes, start - 1)) {
            found |= Operations::MULTIPLY.0;
        }
    }
    // The name of a fraction stands within its value, behind the backslash.
    if memchr::memmem::find_iter(bytes, b"\\frac").any(|at| !is_within(at + 1)) {
        found |= Operations::DIVIDE.0;
    }
    Operations(found)
}

fn is_minus(before: &str) -> bool {
    let rest = before[..before.len() - 1].trim_end();
    rest.len() < before.len() - 1 || rest.ends_with(|c: char| c.is_ascii_digit() || ")}%$".contains(c))
}

fn is_times(before: &str) -> bool {
    let rest = &before[..before.len() - 1];
    rest.ends_with(|c: char| c.is_whitespace() || c.is_ascii_digit() || c == ')')
}

/// A single `*` between two factors, not emphasis: `4*20`.
fn is_factor(bytes: &[u8], star: usize) -> bool {
    star > 0 && (bytes[star - 1].is_ascii_alphanumeric() || matches!(bytes[star - 1], b')' | b'}' | b'%'))
}

fn latex_operation(before: &str) -> u8 {
    if before.ends_with("\\times") || before.ends_with("\\cdot") {
        Operations::MULTIPLY.0
    } else if before.ends_with("\\div") {
        Operations::DIVIDE.0
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<f64>, Vec<f64>, u8) {
        let mut calculation = Calculation::default();
        calculation.read(text);
        (calculation.result, calculation.operands, calculation.operations.0)
    }

    #[test]
    fn results_have_signs_and_may_be_fractions() {
        for (text, value) in [
            ("2 - 8 = -6", -6.0),
            ("so it is $-2$", -2.0),
            ("which is -\\frac{3}{4}", -0.75),
            ("= \\frac{16}{27}$ gallons", 16.0 / 27.0),
            ("that is 13/5", 2.6),
            ("x < 14/5", 2.8),
            ("10 - 4", 4.0),
            ("x - 4", 4.0),
            ("x-4", 4.0),
            ("(h, k) = (-1, -3)", -3.0),
            ("8/2 = 4", 4.0),
        ] {
            let mut calculation = Calculation::default();
            calculation.read(text);
            assert_eq!(calculation.value, Some(Value::new(value)), "{text:?}");
        }
    }

    #[test]
    fn results_may_be_written_with_more_than_digits() {
        use std::f64::consts::{PI, SQRT_2};
        for (text, value) in [
            ("1/4 + 1/2 = 3/4", 0.75),
            ("1/4 + 1/2 = \\frac{3}{4}$ cups.", 0.75),
            ("2 - 11/4 = -\\frac{3}{4}", -0.75),
            ("so 3 times 1/6 is \\(\\dfrac12\\).", 0.5),
            ("2 + 3 = \\left(\\frac{10}{3}\\right)", 10.0 / 3.0),
            ("half of 3 is 1 1/2 hours", 1.5),
            ("3/2 \\cdot 1 = 1\\frac{1}{2}", 1.5),
            ("half of 3 is 1½", 1.5),
            ("300 * 4 = 1,200/7 dollars", 1200.0 / 7.0),
            ("50 \\times 100 = 5 \\times 10^3", 5000.0),
            ("1/8 * 1/50 = 2.5 \\times 10^{-3}", 0.0025),
            ("the root of 8 over 2 is \\sqrt2", SQRT_2),
            ("2 * 2 = 4√2 cm", 4.0 * SQRT_2),
            ("so 2 and 3 give us 3*sqrt(2)/2.", 1.5 * SQRT_2),
            ("2 \\cdot 3 = \\boxed{6\\pi}", 6.0 * PI),
            ("1 - 3/4 = \\frac{\\pi}{4}", PI / 4.0),
            ("(1 + 5) / 2 = \\frac{-1+\\sqrt{5}}{2}", (5f64.sqrt() - 1.0) / 2.0),
            ("180 / 8 = \\frac{45}{2}^\\circ", 22.5),
            ("180 / 2 = 90^\\circ", 90.0),
            ("20 * 1/3 = 20/3 \\approx 6.67", 20.0 / 3.0),
        ] {
            let mut calculation = Calculation::default();
            calculation.read(text);
            let read = calculation.stated.last().map(|stated| stated.value.number);
            let close = read.is_some_and(|read| (read - value).abs() < 1e-12);
            assert!(close && calculation.computed, "{text:?}: {:?}", calculation.stated);
        }
    }

    #[test]
    fn a_part_of_something_is_no_result() {
        for text in [
            "F = 28 / 2",
            "he has 3/4 of the 12",
            "it is \\(\\frac{3}{4}\\) of it",
            "is 1/4 as big",
            "= 3/4 x",
            "= \\frac{4}{9} \\sin^2 x",
            "= \\frac{1}{2} \\times y",
            "= 3/4(1 + n)",
            "= \\frac{6}{8}",
            "= 2^3",
            "= \\frac{x}{4}",
        ] {
            let mut calculation = Calculation::default();
            calculation.read(text);
            assert_eq!(calculation.stated, [], "{text:?}");
        }
    }

    #[test]
    fn a_value_is_one_number() {
        let cases: &[(&str, Option<f64>, &[f64], u8)] = &[
            ("5 - 2 = \\frac{3}{4}", Some(0.75), &[2.0, 5.0], 2),
            ("5 - 2 = -3/4", Some(-0.75), &[2.0, 5.0], 2),
            ("\\frac{3}{4} + 2 = \\frac{11}{4}", Some(2.75), &[2.0, 3.0, 4.0], 9),
        ];
        for (text, result, operands, operations) in cases {
            assert_eq!(read(text), (*result, operands.to_vec(), *operations), "{text:?}");
        }
        let mut calculation = Calculation::default();
        let text = "5 - 2 = 1 1/2 cups";
        calculation.read(text);
        assert_eq!(calculation.result_span().map(|span| span.of(text)), Some("1 1/2"));
    }

    #[test]
    fn a_percent_is_its_number_and_its_share() {
        let value = |text: &str| {
            let mut calculation = Calculation::default();
            calculation.read(text);
            calculation.value.unwrap()
        };
        for (one, other, same) in [
            ("= 75%", "= 0.75", true),
            ("= 75\\%", "= \\frac{3}{4}", true),
            ("= 75", "is 75 percent", true),
            ("= 75%", "= 75 \\%", true),
            ("= 75", "= 0.75", false),
            ("= 75%", "= 0.75%", false),
            ("= 75 percentage points", "= 0.75", false),
        ] {
            let (one, other) = (value(one), value(other));
            assert_eq!((one.is(other), other.is(one)), (same, same), "{one:?} {other:?}");
        }
    }

    #[test]
    fn reads_calculations() {
        let cases: &[(&str, Option<f64>, &[f64], u8)] = &[
            ("It takes 2/2=1 bolt", Some(1.0), &[2.0], 8),
            ("total 2+1=3 bolts of fabric", Some(3.0), &[1.0, 2.0], 1),
            ("\\( 28 \\text{ days} \\times 3 = 84 \\text{ eggs} \\)", Some(84.0), &[3.0, 28.0], 4),
            ("\\[\\frac{84 \\text{ eggs}}{12} = \\boxed{7}\\]", Some(7.0), &[12.0, 84.0], 8),
            ("I multiply 20 by 4 to get 80 sheep", Some(80.0), &[4.0, 20.0], 0),
            ("half of 48, which is **24**", Some(24.0), &[2.0, 48.0], 0),
            ("$5 - $3 = $2 left of the 9", Some(2.0), &[3.0, 5.0, 9.0], 2),
            ("a 3-egg omelet", Some(3.0), &[], 0),
            ("4 x 20 = 80", Some(80.0), &[4.0, 20.0], 4),
            ("4*20", Some(20.0), &[4.0], 4),
            ("no numbers", None, &[], 0),
            ("3 people * 3 eggs/person/day = 9 eggs/day", Some(9.0), &[3.0], 4),
            ("4 + 12 + 6 = 22 times.", Some(22.0), &[4.0, 6.0, 12.0], 1),
        ];
        for (text, result, operands, operations) in cases {
            assert_eq!(read(text), (*result, operands.to_vec(), *operations), "{text:?}");
        }
    }
}
