//! A line of free text, byte by byte, and the tokens that lie in one.
//!
//! The rule is the one of `grammars/README.md`: no control characters, a bounded number of characters, and in front
//! neither a space nor what could be read as a tag.

use super::trie::Trie;

/// Where in a line of free text the writing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Line {
    /// Characters that may still begin.
    left: u16,
    head: Head,
    /// The bytes of the character at hand, how many of them are missing, and its bits so far.
    bytes: u8,
    missing: u8,
    bits: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Head {
    /// Nothing is written yet.
    Start,
    /// A sign.
    Sign,
    /// A bracket, perhaps behind a sign.
    Bracket,
    /// Something that counts.
    Said,
}

/// Whether a line may begin with `c`, or go on with it behind a sign, whatever follows.
fn leads(c: char) -> bool {
    !(c.is_whitespace() || matches!(c, '[' | '-' | '*' | '+' | '#' | '>'))
}

impl Line {
    /// An empty line that may become so many characters long.
    pub(super) fn start(chars: u16) -> Self {
        Line { left: chars, head: Head::Start, bytes: 0, missing: 0, bits: 0 }
    }

    /// Whether the line may end here.
    pub(super) fn may_end(self) -> bool {
        self.head == Head::Said && self.missing == 0
    }

    /// The line with one more byte, which is no line break.
    pub(super) fn push(mut self, byte: u8) -> Option<Self> {
        if self.missing > 0 {
            // Too long a form, a surrogate, or beyond the last character: all are seen at the second byte.
            let second = self.missing + 1 == self.bytes;
            let fits = match (self.bytes, self.bits) {
                (3, 0) if second => byte >= 0xa0,
                (3, 0xd) if second => byte <= 0x9f,
                (4, 0) if second => byte >= 0x90,
                (4, 4) if second => byte <= 0x8f,
                _ => true,
            };
            if byte & 0xc0 != 0x80 || !fits {
                return None;
            }
            self.bits = self.bits << 6 | u32::from(byte & 0x3f);
            self.missing -= 1;
            if self.missing > 0 {
                return Some(self);
            }
            let c = char::from_u32(self.bits)?;
            (self.bytes, self.bits) = (0, 0);
            return self.take(c);
        }
        self.left = self.left.checked_sub(1)?;
        let (bytes, bits) = match byte {
            0x20..=0x7e => return self.take(char::from(byte)),
            0xc2..=0xdf => (2, byte & 0x1f),
            0xe0..=0xef => (3, byte & 0x0f),
            0xf0..=0xf4 => (4, byte & 0x07),
            _ => return None,
        };
        (self.bytes, self.missing, self.bits) = (bytes, bytes - 1, u32::from(bits));
        Some(self)
    }

    fn take(mut self, c: char) -> Option<Self> {
        self.head = match self.head {
            Head::Said => Head::Said,
            // A sign or a bracket needs room for what must follow it.
            Head::Start if matches!(c, '-' | '+') => (self.left > 0).then_some(Head::Sign)?,
            Head::Start | Head::Sign if c == '[' => (self.left > 0).then_some(Head::Bracket)?,
            Head::Start | Head::Sign => leads(c).then_some(Head::Said)?,
            Head::Bracket => {
                // The first letters of the tags, and the long s, which is an s where case does not matter.
                let begins_tag = matches!(c.to_ascii_lowercase(), 'm' | 's' | 'q' | 'a' | 'ſ');
                (!c.is_whitespace() && !begins_tag).then_some(Head::Said)?
            }
        };
        Some(self)
    }

    /// The same line with at most so many characters left.
    pub(super) fn capped(self, left: u16) -> Self {
        Line { left: self.left.min(left), ..self }
    }
}

/// Tokens that are plain text, by their length, so that what free text allows is looked up and not walked.
pub(super) struct LineTokens {
    /// For each number of characters up to [`LONGEST`] the tokens of at most so many that may begin a line.
    begin: Vec<Vec<u32>>,
    /// The same for tokens that may go on a line.
    go_on: Vec<Vec<u32>>,
    /// The tokens that are a space and one of `begin`.
    behind_space: Vec<Vec<u32>>,
    /// Every token that is in none of these, to be walked.
    pub(super) others: Trie,
    /// Bytes of the longest of them.
    longest_other: u16,
}

/// What may begin a line but is not looked up there, as it depends on what follows.
pub(super) const OPENERS: [u8; 3] = *b"-+[";

/// Longer tokens are few; they are walked.
const LONGEST: usize = 16;

impl LineTokens {
    pub(super) fn new(tokens: &[&[u8]]) -> Self {
        let words = tokens.len().div_ceil(32);
        let sets = || vec![vec![0u32; words]; LONGEST + 1];
        let (mut begin, mut go_on, mut behind_space) = (sets(), sets(), sets());
        let mut plain = vec![false; tokens.len()];
        let add = |sets: &mut [Vec<u32>], chars: usize, id: usize| {
            for set in &mut sets[chars..] {
                set[id / 32] |= 1 << (id % 32);
            }
        };
        for (id, bytes) in tokens.iter().enumerate() {
            let Some(chars) = plain_text(bytes) else { continue };
            plain[id] = true;
            add(&mut go_on, chars, id);
            if begins(bytes) {
                add(&mut begin, chars, id);
            }
            if bytes.strip_prefix(b" ").is_some_and(begins) {
                add(&mut behind_space, chars - 1, id);
            }
        }
        let longest_other =
            tokens.iter().zip(&plain).filter(|(_, plain)| !**plain).map(|(t, _)| t.len()).max();
        LineTokens {
            begin,
            go_on,
            behind_space,
            others: Trie::new(tokens, |id| !plain[id]),
            longest_other: longest_other.unwrap_or(0).try_into().unwrap_or(u16::MAX),
        }
    }

    /// Adds the plain tokens that `line` allows, but for those that begin with one of [`OPENERS`] where it begins.
    pub(super) fn allow(&self, line: Line, mask: &mut [u32]) -> Found {
        let chars = usize::from(line.left).min(LONGEST);
        match line.head {
            _ if line.missing > 0 => Found::Nothing,
            Head::Bracket => Found::Nothing,
            Head::Start | Head::Sign => {
                join(mask, &self.begin[chars]);
                Found::AllButOpeners
            }
            Head::Said => {
                join(mask, &self.go_on[chars]);
                Found::All
            }
        }
    }

    /// Adds the plain tokens that may stand where a space and then `line`, which is empty, must follow, but for the
    /// space alone and those that go on with one of [`OPENERS`].
    pub(super) fn allow_behind_space(&self, line: Line, mask: &mut [u32]) {
        join(mask, &self.behind_space[usize::from(line.left).min(LONGEST)]);
    }

    /// More characters left than this make no difference to what is allowed.
    pub(super) fn horizon(&self) -> u16 {
        // One more, as a sign must leave room for what follows it.
        self.longest_other.max(LONGEST as u16).saturating_add(1)
    }
}

fn join(mask: &mut [u32], set: &[u32]) {
    for (word, more) in mask.iter_mut().zip(set) {
        *word |= more;
    }
}

/// Which of the plain tokens were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// None, as whole tokens cannot be looked up here.
    Nothing,
    /// Those that lead a line.
    AllButOpeners,
    /// All that fit.
    All,
}

/// The characters of a token that may stand anywhere in a line.
fn plain_text(bytes: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(bytes).ok()?;
    let chars = text.chars().count();
    let clean = !bytes.iter().any(|&byte| byte < 0x20 || byte == 0x7f);
    (clean && (1..=LONGEST).contains(&chars)).then_some(chars)
}

fn begins(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| text.starts_with(leads))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8], chars: u16) -> Option<bool> {
        text.iter().try_fold(Line::start(chars), |line, &byte| line.push(byte)).map(Line::may_end)
    }

    #[test]
    fn lines_are_read() {
        for (text, expected) in [
            (&b"a b"[..], Some(true)),
            (b" a", None),
            (b"", Some(false)),
            (b"-", Some(false)),
            (b"- x", None),
            (b"-x", Some(true)),
            (b"--x", None),
            (b"**x**", None),
            (b"-[x]", Some(true)),
            (b"[1, 2]", Some(true)),
            (b"[", Some(false)),
            (b"[Answer", None),
            (b"-[s", None),
            ("[ſ".as_bytes(), None),
            ("\u{a0}".as_bytes(), None),
            ("a\u{a0}".as_bytes(), Some(true)),
            ("größer 東京 😀".as_bytes(), Some(true)),
            (b"a\tb", None),
            (b"a\xc3", Some(false)),
            (b"\xc0", None),
            (b"\xed\xa0", None),
            (b"\xe0\x80", None),
            (b"\xf4\x90", None),
            (b"\xf5", None),
            (b"a [Answer 1]", Some(true)),
        ] {
            assert_eq!(read(text, 16), expected, "{text:?}");
        }
        assert_eq!(read(b"abc", 3), Some(true));
        assert_eq!(read(b"abcd", 3), None);
        assert_eq!(read(b"a-", 2), Some(true));
        assert_eq!(read(b"-", 1), None);
        assert_eq!(read("äöü".as_bytes(), 3), Some(true));
    }

    /// What is looked up is what walking would find.
    #[test]
    fn sets_agree_with_the_automaton() {
        let tokens: Vec<&[u8]> = vec![
            b"a",
            b" a",
            b"  a",
            b"-",
            b" -",
            b"- a",
            b"-a",
            b"[",
            b" [",
            b"[1",
            b"[a",
            b" ",
            b"ab cd",
            "\u{a0}a".as_bytes(),
            b"\n",
            b"a\n",
            b"\xc3",
            "é".as_bytes(),
            b"a twenty-character ch",
            b"\t",
            b"x[a]",
            b" *[q",
            b">>",
            b"> b",
        ];
        let sets = LineTokens::new(&tokens);
        let starts: [&[u8]; 5] = [b"", b"-", b"a", b"a b", b"abcdefghijklm"];
        for start in starts {
            for chars in 14..40 {
                let line = start.iter().try_fold(Line::start(chars), |line, &byte| line.push(byte)).unwrap();
                let mut mask = [0u32];
                let found = sets.allow(line, &mut mask);
                assert_ne!(found, Found::Nothing);
                let opens =
                    |token: &[u8]| found != Found::All && token.first().is_some_and(|b| OPENERS.contains(b));
                for (id, token) in tokens.iter().enumerate() {
                    let walked = token.iter().try_fold(line, |line, &byte| line.push(byte)).is_some();
                    let is_other = token
                        .iter()
                        .try_fold(Trie::ROOT, |node, &byte| sets.others.child(node, byte))
                        .is_some();
                    let found = mask[0] >> id & 1 == 1;
                    let elsewhere = is_other || opens(token);
                    assert!(found == walked || (elsewhere && !found), "{start:?} {chars} {token:?}");
                }
            }
        }
    }
}
