//! The text that a random model's tokenizer is trained on: sentences as reasoning has them, numbers, step tags, and
//! made-up words for vocabularies that are larger than the rest can fill.

use std::collections::HashMap;

use crate::seed::{Seed, Stream};
use crate::text::words::capitalized;

/// Words of the sentences, the frequent ones first.
const WORDS: &str = "the to is of we a and so that it in first then for need how many much what find number each \
    total answer step are if have has with by on at from as this which can let know must next now because since \
    therefore thus check wait but not all one two three four five six seven eight nine ten more less than times \
    plus minus divided equals sum product difference ratio percent half twice value result price cost dollars \
    apples books students hours minutes days miles kilometers speed distance area length width height triangle \
    circle square equation variable solve compute calculate subtract multiply divide add compare problem question \
    method remaining left together altogether given initially after before every there their they was were will \
    would should could reasoning thinking conclusion final verify correct wrong actually instead again another";

/// Pieces that structured answers are made of. The spellings of step tags, with and without numbers, and JSON's.
const FORMS: [&str; 14] = [
    "[Meta-Reasoning",
    "[Sub-problem",
    "[Answer",
    "\n[Step",
    "]:",
    "]",
    "\n\n",
    "{\"steps\": [{\"meta_reasoning\": \"",
    "\", \"sub_problem\": \"",
    "\", \"answer\": \"",
    "\"}, {\"",
    "\"}]}",
    "\n- ",
    " $\\boxed{",
];

const STARTS: [&str; 24] = [
    "b", "c", "d", "f", "g", "h", "l", "m", "n", "p", "r", "s", "t", "v", "br", "ch", "cl", "gr", "pl", "sh",
    "st", "tr", "wh", "",
];
const VOWELS: [&str; 8] = ["a", "e", "i", "o", "u", "ea", "ou", "ai"];
const ENDS: [&str; 14] = ["", "", "", "n", "r", "s", "t", "l", "nd", "st", "ng", "rt", "m", "ck"];
const ENDINGS: [&str; 10] = ["", "", "s", "ed", "ing", "ly", "er", "tion", "ment", "ness"];

/// Counted pieces of text, as a pre-tokenizer would cut them: a word with the space before it, a number's digits, a
/// run of signs. In order of their first use, so that nothing depends on a hash.
pub(super) struct Pieces {
    pub(super) pieces: Vec<(String, u64)>,
    index: HashMap<String, usize>,
}

impl Pieces {
    /// The pieces of the text of `seed`, with `made_up` words besides.
    ///
    /// A made-up word's count falls with its rank (Zipf), so that merges keep being learnt in a firm order.
    pub(super) fn new(seed: Seed, made_up: usize, digits: usize) -> Self {
        let mut pieces = Pieces { pieces: Vec::new(), index: HashMap::new() };
        let words: Vec<&str> = WORDS.split_whitespace().collect();
        let stream = &mut seed.stream("tokenizer text", 0);
        for _ in 0..3_000 {
            pieces.sentence(&words, digits, stream);
        }
        for rank in 0..made_up {
            let word = made_up_word(stream);
            pieces.add(&format!(" {word}"), 1 + 200_000 / (rank as u64 + 20));
        }
        pieces
    }

    fn add(&mut self, piece: &str, count: u64) {
        if let Some(&at) = self.index.get(piece) {
            self.pieces[at].1 += count;
        } else {
            self.index.insert(piece.into(), self.pieces.len());
            self.pieces.push((piece.into(), count));
        }
    }

    fn sentence(&mut self, words: &[&str], digits: usize, stream: &mut Stream) {
        for place in 0..4 + stream.below(9) {
            // The smaller of two draws: frequent words come first in the list.
            let (one, two) = (stream.below(words.len() as u64), stream.below(words.len() as u64));
            let word = words[one.min(two) as usize];
            match stream.below(12) {
                0 => self.number(digits, stream),
                1 => self.calculation(digits, stream),
                2 => {
                    let form = stream.pick(&FORMS);
                    cut(form).into_iter().for_each(|piece| self.add(piece, 1));
                    self.number(digits, stream);
                }
                3 => self.add(word, 1),
                _ if place == 0 => self.add(&capitalized(word), 1),
                _ => self.add(&format!(" {word}"), 1),
            }
        }
        let end = [".", ",", ".\n", ".\n\n", "?", ":", "?\n"][stream.below(7) as usize];
        self.add(end, 1);
    }

    fn calculation(&mut self, digits: usize, stream: &mut Stream) {
        self.number(digits, stream);
        self.add([" +", " -", " *", " /", " ="][stream.below(5) as usize], 1);
        self.number(digits, stream);
        self.add(" =", 1);
        self.number(digits, stream);
    }

    /// A space, and the digits in groups of at most `digits`, as the family's pre-tokenizer cuts them.
    fn number(&mut self, digits: usize, stream: &mut Stream) {
        self.add(" ", 1);
        let most = [10, 100, 100, 1_000, 10_000][stream.below(5) as usize];
        let number = stream.below(most).to_string();
        number.as_bytes().chunks(digits).for_each(|group| self.add(&String::from_utf8_lossy(group), 1));
    }
}

/// Cuts a form at the bounds between letters and signs; a space or one sign goes with the letters after it.
fn cut(form: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let bytes = form.as_bytes();
    let mut start = 0;
    for at in 1..bytes.len() {
        let (before, here) = (bytes[at - 1].is_ascii_alphabetic(), bytes[at].is_ascii_alphabetic());
        let lone = at - start == 1 && bytes[start] != b'\n' && !before;
        if before != here && !(here && lone) {
            pieces.push(&form[start..at]);
            start = at;
        }
    }
    pieces.push(&form[start..]);
    pieces
}

fn made_up_word(stream: &mut Stream) -> String {
    let mut word = String::new();
    let pick = |list: &[&'static str], stream: &mut Stream| stream.pick(list);
    for _ in 0..2 + stream.below(2) {
        word += pick(&STARTS, stream);
        word += pick(&VOWELS, stream);
        word += pick(&ENDS, stream);
    }
    word += pick(&ENDINGS, stream);
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_cut_as_pre_tokenizers_do() {
        assert_eq!(cut("[Sub-problem"), ["[Sub", "-problem"]);
        assert_eq!(cut("]:"), ["]:"]);
        assert_eq!(cut("\", \"answer\": \""), ["\", \"", "answer", "\": \""]);
    }

    #[test]
    fn digits_stay_in_their_groups() {
        for (digits, longest) in [(1, 1), (3, 3)] {
            let pieces = Pieces::new(Seed(1), 10, digits).pieces;
            let numbers = pieces.iter().filter(|piece| piece.0.as_bytes()[0].is_ascii_digit());
            assert_eq!(numbers.map(|piece| piece.0.len()).max(), Some(longest));
        }
    }
}
