//! Where words and numbers part in a line, so that a passage may begin or end there.

use std::sync::LazyLock;

use regex::Regex;

use crate::text::tags;

/// The characters around a place in a line, nearest first.
pub(super) struct Around {
    pub(super) before: [Option<char>; 3],
    pub(super) after: [Option<char>; 5],
}

impl Around {
    /// At a byte of a text.
    pub(super) fn of(text: &str, at: usize) -> Self {
        let (before, after) = text.split_at(at);
        let (mut before, mut after) = (before.chars().rev(), after.chars());
        Around { before: [(); 3].map(|()| before.next()), after: [(); 5].map(|()| after.next()) }
    }

    /// Whether a passage may begin here, if words part: at a word or number, or at a mark that belongs to what follows
    /// it. A sign behind a word or number is none (`10-5`).
    pub(super) fn begins(&self) -> bool {
        let [Some(c), next, ..] = self.after else { return false };
        let leads = !tags::is_space(c) && next.is_some_and(|next| !tags::is_space(next));
        c.is_alphanumeric() || (leads && !(is_sign(c) && self.before[0].is_some_and(in_word)))
    }

    /// Whether words part here. Letters and digits hold together, but for scripts that write without spaces; so do
    /// the digits of a number over what stands in it, and a letter and the marks on it.
    pub(super) fn is_break(&self) -> bool {
        let (Some(before), Some(after)) = (self.before[0], self.after[0]) else { return true };
        let spaced = !(is_unspaced(before) || is_unspaced(after));
        let joined = is_joined(after) || before == ZERO_WIDTH_JOINER;
        let word = in_word(before) && in_word(after) && spaced;
        !(joined || word || self.in_decimal() || self.in_long_number())
    }

    /// Whether this is at the point or comma of a number.
    fn in_decimal(&self) -> bool {
        let ([a, b, _], [x, y, ..]) = (self.before, self.after);
        let mark = |c: Option<char>| matches!(c, Some('.' | ','));
        let first = a == Some('.') && !b.is_some_and(|b| in_word(b) || b == '.');
        (is_digit(x) && mark(a) && is_digit(b))
            || (is_digit(a) && mark(x) && is_digit(y))
            || (first && is_digit(x))
    }

    /// Whether this is in the exponent of a number, or at an apostrophe or no-break space in front of three digits.
    pub(super) fn in_long_number(&self) -> bool {
        let ([a, b, c], [v, w, x, y, z]) = (self.before, self.after);
        let letter = |c: Option<char>| matches!(c, Some('e' | 'E'));
        let sign = |c: Option<char>| c.is_some_and(is_sign);
        let group = |digits: [Option<char>; 3], behind: Option<char>| {
            digits.into_iter().all(is_digit) && !is_digit(behind)
        };
        (is_digit(a) && letter(v) && (is_digit(w) || (sign(w) && is_digit(x))))
            || (is_digit(b) && letter(a) && (is_digit(v) || (sign(v) && is_digit(w))))
            || (is_digit(c) && letter(b) && sign(a) && is_digit(v))
            || (is_digit(a) && is_group_mark(v) && group([w, x, y], z))
            || (is_digit(b) && is_group_mark(a) && group([v, w, x], y))
    }
}

fn is_digit(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_ascii_digit())
}

/// Hyphen, plus, en dash and minus.
fn is_sign(c: char) -> bool {
    matches!(c, '-' | '+' | '\u{2013}' | '\u{2212}')
}

/// What stands between thousands beside the comma: apostrophes, and spaces at which no line is broken.
fn is_group_mark(c: Option<char>) -> bool {
    matches!(c, Some('\'' | '\u{2019}' | '\u{a0}' | '\u{202f}'))
}

fn in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || is_joined(c)
}

const ZERO_WIDTH_JOINER: char = '\u{200d}';

/// Whether `c` belongs to the character in front of it: accents, vowel signs, and the two joiners.
fn is_joined(c: char) -> bool {
    static JOINED: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"[\p{M}\x{200C}\x{200D}]").expect("a fixed pattern"));
    c >= '\u{300}' && JOINED.is_match(c.encode_utf8(&mut [0; 4]))
}

/// Han, kana and their extensions.
fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c), 0x2e80..=0x9fff | 0xf900..=0xfaff | 0x20000..=0x3ffff)
}
