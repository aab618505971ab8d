//! How alike two strings are: bit-parallel Indel and Levenshtein, and rapidfuzz's ratios on top of them.
//!
//! All similarities here lie in 0..=1 (rapidfuzz gives its `fuzz` ratios in 0..=100: the same number times 100).
//! Lengths are counted in code points, as rapidfuzz does; nothing is normalised or lower-cased here.
//!
//! A [`Pattern`] is made once per string and compared with many others without allocating:
//! 60 characters against 60 cost some 60 dependent steps of an `and`, an addition and an `or`.
//! Of the other metrics, `strsim` has the obvious ones; they are re-exported.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use super::tags::is_space;

pub use strsim::{damerau_levenshtein, jaro, jaro_winkler, osa_distance};

/// Code points that have a row in the table of their own: ASCII.
const DIRECT: usize = 128;
/// Bits of a block.
const BITS: usize = u64::BITS as usize;

/// One string, made ready to be compared with many others: for each character, the bit set of its positions.
///
/// ```
/// use rlkd::text::similarity::{Pattern, Scratch};
/// let (kitten, mut scratch) = (Pattern::new("kitten"), Scratch::default());
/// assert_eq!(kitten.levenshtein("sitting", &mut scratch), 3);
/// assert_eq!(kitten.indel_similarity("kitten", &mut scratch), 1.0);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Pattern {
    /// Length in code points.
    chars: usize,
    /// Words of a bit set, at least 1 once something was set.
    blocks: usize,
    /// `DIRECT` rows of `blocks` words.
    direct: Vec<u64>,
    /// Row numbers in `rows` of the characters beyond ASCII.
    others: HashMap<char, usize, FxBuildHasher>,
    /// Rows of `blocks` words; row 0 is empty and stands for every character that does not occur.
    rows: Vec<u64>,
}

/// Memory that comparisons borrow, so that they need not allocate. Any one will do for any comparison.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    words: Vec<u64>,
    pattern: Pattern,
    left: String,
    right: String,
}

impl Pattern {
    /// The table for `text`.
    pub fn new(text: &str) -> Self {
        let mut pattern = Pattern::default();
        pattern.set(text);
        pattern
    }

    /// Makes this the table for `text`, reusing its memory.
    pub fn set(&mut self, text: &str) {
        self.chars = length(text);
        self.blocks = self.chars.div_ceil(BITS).max(1);
        self.direct.clear();
        self.direct.resize(DIRECT * self.blocks, 0);
        self.others.clear();
        self.rows.clear();
        self.rows.resize(self.blocks, 0);
        for (at, c) in text.chars().enumerate() {
            let (block, bit) = (at / BITS, 1u64 << (at % BITS));
            if c.is_ascii() {
                self.direct[c as usize * self.blocks + block] |= bit;
                continue;
            }
            let row = *self.others.entry(c).or_insert_with(|| {
                let row = self.rows.len() / self.blocks;
                self.rows.resize(self.rows.len() + self.blocks, 0);
                row
            });
            self.rows[row * self.blocks + block] |= bit;
        }
    }

    /// Number of code points of the string.
    pub fn len(&self) -> usize {
        self.chars
    }

    /// Whether the string is empty.
    pub fn is_empty(&self) -> bool {
        self.chars == 0
    }

    /// Length of the longest common subsequence, in code points.
    pub fn lcs(&self, other: &str, scratch: &mut Scratch) -> usize {
        self.lcs_with(other, &mut scratch.words)
    }

    /// Insertions and deletions that turn one string into the other.
    pub fn indel(&self, other: &str, scratch: &mut Scratch) -> usize {
        self.chars + length(other) - 2 * self.lcs(other, scratch)
    }

    /// 1 − indel / (sum of lengths), in 0..=1; 1 for two empty strings. rapidfuzz's `ratio` / 100.
    pub fn indel_similarity(&self, other: &str, scratch: &mut Scratch) -> f64 {
        let total = self.chars + length(other);
        if total == 0 {
            return 1.0;
        }
        let distance = total - 2 * self.lcs(other, scratch);
        1.0 - distance as f64 / total as f64
    }

    /// Insertions, deletions and substitutions that turn one string into the other.
    pub fn levenshtein(&self, other: &str, scratch: &mut Scratch) -> usize {
        if self.chars == 0 {
            return length(other);
        }
        match self.blocks {
            1 => self.levenshtein_fixed::<1>(other),
            2 => self.levenshtein_fixed::<2>(other),
            3 => self.levenshtein_fixed::<3>(other),
            4 => self.levenshtein_fixed::<4>(other),
            blocks => {
                scratch.words.clear();
                scratch.words.resize(blocks, !0);
                scratch.words.resize(2 * blocks, 0);
                let (up, down) = scratch.words.split_at_mut(blocks);
                levenshtein(other.chars().map(|c| self.row(c)), up, down, self.chars)
            }
        }
    }

    /// 1 − Levenshtein / (longer length), in 0..=1; 1 for two empty strings.
    pub fn levenshtein_similarity(&self, other: &str, scratch: &mut Scratch) -> f64 {
        let longer = self.chars.max(length(other));
        if longer == 0 {
            return 1.0;
        }
        1.0 - self.levenshtein(other, scratch) as f64 / longer as f64
    }

    fn lcs_with(&self, other: &str, words: &mut Vec<u64>) -> usize {
        if self.chars == 0 {
            return 0;
        }
        match self.blocks {
            1 => self.lcs_fixed::<1>(other),
            2 => self.lcs_fixed::<2>(other),
            3 => self.lcs_fixed::<3>(other),
            4 => self.lcs_fixed::<4>(other),
            blocks => {
                words.clear();
                words.resize(blocks, !0);
                lcs(other.chars().map(|c| self.row(c)), words)
            }
        }
    }

    /// The positions of `c`.
    fn row(&self, c: char) -> &[u64] {
        let (rows, row) = if c.is_ascii() {
            (&self.direct, c as usize)
        } else {
            (&self.rows, self.others.get(&c).copied().unwrap_or(0))
        };
        &rows[row * self.blocks..][..self.blocks]
    }

    /// The ASCII rows, with sizes that the compiler can see. `N` must be the number of blocks.
    fn table<const N: usize>(&self) -> &[[u64; N]; DIRECT] {
        self.direct.as_chunks::<N>().0.try_into().expect("one row for each ASCII character")
    }

    fn row_fixed<const N: usize>(&self, c: char) -> &[u64; N] {
        self.row(c).try_into().expect("a row has N words")
    }

    fn lcs_fixed<const N: usize>(&self, other: &str) -> usize {
        let mut state = [!0u64; N];
        if other.is_ascii() {
            let table = self.table::<N>();
            lcs(other.bytes().map(|b| &table[usize::from(b & 0x7f)]), &mut state)
        } else {
            lcs(other.chars().map(|c| self.row_fixed::<N>(c)), &mut state)
        }
    }

    fn levenshtein_fixed<const N: usize>(&self, other: &str) -> usize {
        let (mut up, mut down) = ([!0u64; N], [0u64; N]);
        if other.is_ascii() {
            let table = self.table::<N>();
            let rows = other.bytes().map(|b| &table[usize::from(b & 0x7f)]);
            levenshtein(rows, &mut up, &mut down, self.chars)
        } else {
            let rows = other.chars().map(|c| self.row_fixed::<N>(c));
            levenshtein(rows, &mut up, &mut down, self.chars)
        }
    }
}

/// Hyyrö's bit-vector LCS (2004): a zero bit in `state` is a position of the pattern that the best subsequence uses.
/// Bits beyond the pattern never match, so they stay 1 and need no mask.
#[inline(always)]
fn lcs<'a, R, S>(rows: impl Iterator<Item = &'a R>, state: &mut S) -> usize
where
    R: AsRef<[u64]> + ?Sized + 'a,
    S: AsMut<[u64]> + ?Sized,
{
    let state = state.as_mut();
    for row in rows {
        let mut carry = false;
        for (word, &positions) in state.iter_mut().zip(row.as_ref()) {
            let used = *word & positions;
            let (sum, over) = word.overflowing_add(used);
            let (sum, over_again) = sum.overflowing_add(u64::from(carry));
            carry = over | over_again;
            *word = sum | (*word - used);
        }
    }
    state.iter().map(|word| word.count_zeros() as usize).sum()
}

/// Myers' bit-vector edit distance as Hyyrö (2003) gives it for several words: `up` and `down` are the vertical
/// differences +1 and −1 of the current column, the score is followed at the pattern's last row.
#[inline(always)]
fn levenshtein<'a, R, S>(rows: impl Iterator<Item = &'a R>, up: &mut S, down: &mut S, chars: usize) -> usize
where
    R: AsRef<[u64]> + ?Sized + 'a,
    S: AsMut<[u64]> + ?Sized,
{
    let (up, down) = (up.as_mut(), down.as_mut());
    let last = (chars - 1) % BITS;
    let mut score = chars;
    for row in rows {
        // The row above the pattern grows by 1 with each character.
        let (mut plus, mut minus) = (1u64, 0u64);
        let (mut plus_last, mut minus_last) = (0u64, 0u64);
        for ((up, down), &positions) in up.iter_mut().zip(down.iter_mut()).zip(row.as_ref()) {
            let x = positions | minus;
            let diagonal = ((x & *up).wrapping_add(*up) ^ *up) | x | *down;
            let right_up = *down | !(diagonal | *up);
            let right_down = diagonal & *up;
            (plus_last, minus_last) = (right_up >> last & 1, right_down >> last & 1);
            let shifted_up = right_up << 1 | plus;
            let shifted_down = right_down << 1 | minus;
            (plus, minus) = (right_up >> (BITS - 1), right_down >> (BITS - 1));
            *up = shifted_down | !(diagonal | shifted_up);
            *down = shifted_up & diagonal;
        }
        score = score + plus_last as usize - minus_last as usize;
    }
    score
}

/// The words of one string, made ready for [`Tokens::sort_ratio`] and [`Tokens::set_ratio`].
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    /// All words, sorted by code point, with one space between them.
    sorted: String,
    /// The table for `sorted`.
    pattern: Pattern,
    /// The different words, ascending, as ranges of `sorted`.
    unique: Vec<(u32, u32)>,
}

impl Tokens {
    /// Splits at white space (what Python's `str.split` splits at).
    pub fn new(text: &str) -> Self {
        let mut words: Vec<&str> = text.split(is_space).filter(|w| !w.is_empty()).collect();
        words.sort_unstable();
        let sorted = words.join(" ");
        let mut unique: Vec<(u32, u32)> = Vec::with_capacity(words.len());
        let mut at = 0u32;
        for word in words {
            let end = at + word.len() as u32;
            let seen = unique.last().is_some_and(|&(s, e)| &sorted[s as usize..e as usize] == word);
            if !seen {
                unique.push((at, end));
            }
            at = end + 1;
        }
        Tokens { pattern: Pattern::new(&sorted), sorted, unique }
    }

    /// The different words, ascending by code point.
    pub fn words(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.unique.iter().map(|&(start, end)| &self.sorted[start as usize..end as usize])
    }

    /// The Indel similarity of the words in order, in 0..=1: rapidfuzz's `token_sort_ratio` / 100.
    pub fn sort_ratio(&self, other: &Tokens, scratch: &mut Scratch) -> f64 {
        self.pattern.indel_similarity(&other.sorted, scratch)
    }

    /// The best Indel similarity among (common words), (common + only ours), (common + only theirs), in 0..=1;
    /// 0 if either has no words: rapidfuzz's `token_set_ratio` / 100.
    pub fn set_ratio(&self, other: &Tokens, scratch: &mut Scratch) -> f64 {
        if self.unique.is_empty() || other.unique.is_empty() {
            return 0.0;
        }
        scratch.left.clear();
        scratch.right.clear();
        let push = |to: &mut String, word: &str| {
            if !to.is_empty() {
                to.push(' ');
            }
            to.push_str(word);
        };
        // Code points of the common words joined with spaces.
        let mut common = 0;
        let (mut ours, mut theirs) = (self.words().peekable(), other.words().peekable());
        loop {
            match (ours.peek(), theirs.peek()) {
                (Some(&a), Some(&b)) if a == b => {
                    common += length(a) + usize::from(common > 0);
                    ours.next();
                    theirs.next();
                }
                (Some(&a), b) if b.is_none_or(|&b| a < b) => {
                    push(&mut scratch.left, a);
                    ours.next();
                }
                (_, Some(&b)) => {
                    push(&mut scratch.right, b);
                    theirs.next();
                }
                // Unreachable in fact: the second arm takes every `Some` beside a `None`.
                (_, None) => break,
            }
        }
        if common > 0 && (scratch.left.is_empty() || scratch.right.is_empty()) {
            return 1.0;
        }
        let (left, right) = (length(&scratch.left), length(&scratch.right));
        scratch.pattern.set(&scratch.left);
        let both = left + right - 2 * scratch.pattern.lcs_with(&scratch.right, &mut scratch.words);
        let gap = usize::from(common > 0);
        let similarity = |distance: usize, total: usize| 1.0 - distance as f64 / total as f64;
        let best = similarity(both, 2 * (common + gap) + left + right);
        if common == 0 {
            return best;
        }
        let with_left = similarity(gap + left, 2 * common + gap + left);
        let with_right = similarity(gap + right, 2 * common + gap + right);
        best.max(with_left).max(with_right)
    }
}

/// The Indel similarity of two strings, in 0..=1: rapidfuzz's `ratio` / 100.
/// For more than one comparison with the same string, keep its [`Pattern`].
pub fn ratio(a: &str, b: &str) -> f64 {
    Pattern::new(a).indel_similarity(b, &mut Scratch::default())
}

/// See [`Tokens::sort_ratio`].
pub fn token_sort_ratio(a: &str, b: &str) -> f64 {
    Tokens::new(a).sort_ratio(&Tokens::new(b), &mut Scratch::default())
}

/// See [`Tokens::set_ratio`].
pub fn token_set_ratio(a: &str, b: &str) -> f64 {
    Tokens::new(a).set_ratio(&Tokens::new(b), &mut Scratch::default())
}

/// Length in code points.
fn length(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().count() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The textbook dynamic programme: `substitution` 1 gives Levenshtein, 2 gives Indel.
    fn slow_distance(a: &str, b: &str, substitution: usize) -> usize {
        let b: Vec<char> = b.chars().collect();
        let mut row: Vec<usize> = (0..=b.len()).collect();
        for (i, x) in a.chars().enumerate() {
            let mut diagonal = std::mem::replace(&mut row[0], i + 1);
            for (j, &y) in b.iter().enumerate() {
                let change = diagonal + if x == y { 0 } else { substitution };
                diagonal = row[j + 1];
                row[j + 1] = change.min(row[j] + 1).min(row[j + 1] + 1);
            }
        }
        row[b.len()]
    }

    fn check(a: &str, b: &str, pattern: &mut Pattern, scratch: &mut Scratch) {
        pattern.set(a);
        assert_eq!(pattern.levenshtein(b, scratch), slow_distance(a, b, 1), "levenshtein {a:?} {b:?}");
        assert_eq!(pattern.indel(b, scratch), slow_distance(a, b, 2), "indel {a:?} {b:?}");
    }

    #[test]
    fn every_number_of_blocks_agrees_with_the_table() {
        let (mut pattern, mut scratch) = (Pattern::default(), Scratch::default());
        for len in [0, 1, 2, 63, 64, 65, 127, 128, 129, 192, 193, 256, 257, 320, 321, 700] {
            let a: String = (0..len).map(|i| (b'a' + (i * i % 7) as u8) as char).collect();
            let b: String = (0..len).map(|i| (b'a' + (i * 3 % 5) as u8) as char).collect();
            check(&a, &b, &mut pattern, &mut scratch);
            check(&a, &a, &mut pattern, &mut scratch);
            check(&a, "", &mut pattern, &mut scratch);
            check("", &b, &mut pattern, &mut scratch);
            check(&a.replace('a', "é"), &b.replace('a', "é").replace('c', "香"), &mut pattern, &mut scratch);
        }
    }

    proptest! {
        #[test]
        fn random_strings_agree_with_the_table(a in "[abcé香 ]{0,150}", b in "[abcé香 ]{0,150}", c in "[ab]{0,400}") {
            let (mut pattern, mut scratch) = (Pattern::default(), Scratch::default());
            check(&a, &b, &mut pattern, &mut scratch);
            check(&b, &c, &mut pattern, &mut scratch);
            check(&c, &a, &mut pattern, &mut scratch);
        }

        #[test]
        fn ratios_are_symmetric_and_bounded(a in "[ab é]{0,60}", b in "[ab é]{0,60}") {
            for metric in [ratio, token_sort_ratio, token_set_ratio] {
                let value = metric(&a, &b);
                prop_assert!((0.0..=1.0).contains(&value));
                prop_assert_eq!(value, metric(&b, &a));
            }
        }
    }

    #[test]
    fn token_ratios_of_known_pairs() {
        assert_eq!(token_sort_ratio("a b", "b  a"), 1.0);
        assert_eq!(token_sort_ratio("", ""), 1.0);
        assert_eq!(token_set_ratio("", ""), 0.0);
        assert_eq!(token_set_ratio("a b b", "c b a"), 1.0);
        assert_eq!(token_set_ratio("a", "b"), 0.0);
        // Common "x y" (3), only left "ab" (2), only right "cd" (2): the best is 1 − 3/9.
        assert!((token_set_ratio("x y ab", "y x cd") - (1.0 - 3.0 / 9.0)).abs() < 1e-15);
    }
}
