//! What is computed from what, in a sentence or a step.

use super::numbers::{self, Number};
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
    /// The value of [`Self::result`] with its sign, and as a fraction where it stands in one: -3/4 for `= -\frac{3}{4}`, of
    /// which the result is the 4.
    pub value: Option<f64>,
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
    pub value: f64,
    /// Whether it follows a calculation; else it is only stated.
    pub computed: bool,
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

    /// Reads `text`, forgetting what was read before. Allocates only for texts with more numbers than any before.
    pub fn read(&mut self, text: &str) {
        self.numbers.clear();
        numbers::scan(text, &mut self.numbers);
        self.operations = operations(text, &self.numbers);
        self.operands.clear();
        self.stated.clear();
        let mut from = 0;
        for (index, &number) in self.numbers.iter().enumerate() {
            let start = number.span.start as usize;
            if !is_stated(text, start) || goes_on(&text[number.span.end as usize..]) {
                continue;
            }
            // What it may be computed from stands since the last result.
            let given = index - from;
            let before = &text[self.numbers[from].span.start as usize..start];
            let computed =
                given >= 2 || (given == 1 && (has_sign(before) || has_operation_word(text, start)));
            let value = value_of(text, &self.numbers, index);
            self.stated.push(Stated { number, value, computed });
            from = if computed { index } else { from };
        }
        self.computed = self.stated.iter().any(|stated| stated.computed);
        let unstated = || {
            let index = self.numbers.len().checked_sub(1)?;
            Some((self.numbers[index], value_of(text, &self.numbers, index)))
        };
        let last = self.stated.last().map(|stated| (stated.number, stated.value)).or_else(unstated);
        self.result = last.map(|(number, _)| number.value);
        self.value = last.map(|(_, value)| value);
        let Some(value) = self.result else { return };
        self.operands.extend(self.numbers.iter().map(|n| n.value).filter(|&v| !numbers::same(v, value)));
        self.operands.sort_unstable_by(f64::total_cmp);
        self.operands.dedup_by(|a, b| numbers::same(*a, *b));
    }
}

/// The value of a number where it stands: of `\frac{3}{4}` and `3/4` as of their last number, with the sign before it.
fn value_of(text: &str, numbers: &[Number], index: usize) -> f64 {
    let number = numbers[index];
    let mut value = number.value;
    let mut start = number.span.start as usize;
    if let Some(above) = index.checked_sub(1).map(|at| numbers[at]) {
        let between = &text[above.span.end as usize..start];
        let before = text[..above.span.start as usize].trim_end();
        let stacked = between.trim() == "}{" && (before.ends_with("frac{") || before.ends_with("frac{-"));
        if (stacked || between == "/") && value != 0.0 {
            value = above.value / value;
            start = above.span.start as usize;
        }
    }
    if is_negative(&text[..start]) { -value } else { value }
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
        b"equals" | b"is" | b"are" | b"be" | b"was" | b"were" | b"gives" | b"give" | b"giving" | b"get"
        | b"gets" | b"makes" | b"make" | b"totals" | b"totaling" | b"yields" | b"leaves" | b"leaving"
        | b"becomes" | b"has" | b"have" | b"had" | b"cost" | b"costs" | b"weighs" | b"earns" | b"earned"
        | b"spends" | b"spent" | b"pays" | b"paid" | b"needs" | b"takes" => true,
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
        let sign = divides
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

/// The signs between or before the numbers of `text`.
fn operations(text: &str, numbers: &[Number]) -> Operations {
    let bytes = text.as_bytes();
    let mut found = 0;
    for number in numbers {
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
        // `trim_marks` takes the emphasis mark `*` away, so look at it where it stands between blanks.
        let start = number.span.start as usize;
        let gap = bytes[..start].iter().rev().take_while(|b| matches!(b, b' ' | b'$' | b'(' | b'\\')).count();
        if start > gap && bytes[start - gap - 1] == b'*' && (gap > 0 || is_factor(bytes, start - 1)) {
            found |= Operations::MULTIPLY.0;
        }
    }
    if memchr::memmem::find(bytes, b"\\frac").is_some() {
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
            assert_eq!(calculation.value, Some(value), "{text:?}");
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
