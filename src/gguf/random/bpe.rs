//! Training byte-level byte-pair encoding (Sennrich, Haddow and Birch, 2016; bytes as GPT-2 spells them).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::{FxHashMap, FxHashSet};

/// The character that GPT-2 spells each byte with: itself where it can be seen, else one from 256 on.
pub(in crate::gguf) fn byte_chars() -> [char; 256] {
    let mut next = 256u32;
    std::array::from_fn(|byte| {
        let byte = byte as u32;
        let seen = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
        let code = if seen {
            byte
        } else {
            next += 1;
            next - 1
        };
        // All codes are below 512, where no surrogate lies.
        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
    })
}

/// What was learnt.
pub(super) struct Trained {
    /// The 256 bytes and then the merged tokens, in the order in which they were learnt.
    pub(super) tokens: Vec<String>,
    /// Pairs of tokens, by their places in `tokens`; the merge at `i` made the token `256 + i`.
    pub(super) merges: Vec<(u32, u32)>,
}

/// Learns up to `merges` merges from counted pieces. Of two pairs that are equally frequent the one with the lower
/// numbers comes first, so the result depends on the pieces only. A merge that would make a token which is there
/// already is passed over: a token's text has to be unique.
pub(super) fn train(pieces: &[(String, u64)], merges: usize) -> Trained {
    let mut tokens: Vec<String> = byte_chars().iter().map(char::to_string).collect();
    let mut known: FxHashSet<String> = tokens.iter().cloned().collect();
    let mut words: Vec<Vec<u32>> =
        pieces.iter().map(|(piece, _)| piece.bytes().map(u32::from).collect()).collect();
    let mut pairs = Pairs::default();
    for (at, word) in words.iter().enumerate() {
        for pair in word.windows(2) {
            pairs.change((pair[0], pair[1]), at, pieces[at].1 as i64);
        }
    }
    let mut heap: BinaryHeap<(i64, Reverse<(u32, u32)>)> =
        pairs.counts.iter().map(|(&pair, entry)| (entry.count, Reverse(pair))).collect();
    let mut learnt = Vec::with_capacity(merges);
    let mut changed: Vec<(u32, u32)> = Vec::new();
    while learnt.len() < merges {
        let Some((count, Reverse(pair))) = heap.pop() else { break };
        let current = pairs.counts.get(&pair).map_or(0, |entry| entry.count);
        if current <= 0 {
            continue;
        }
        if current != count {
            // The count fell since it was put there.
            heap.push((current, Reverse(pair)));
            continue;
        }
        let text = format!("{}{}", tokens[pair.0 as usize], tokens[pair.1 as usize]);
        let places = pairs.counts.remove(&pair).map(|entry| entry.places).unwrap_or_default();
        if !known.insert(text.clone()) {
            continue;
        }
        let new = tokens.len() as u32;
        tokens.push(text);
        learnt.push(pair);
        changed.clear();
        for at in places {
            let (at, weight) = (at as usize, pieces[at as usize].1 as i64);
            merge(&mut words[at], pair, new, |pair, sign| {
                pairs.change(pair, at, sign * weight);
                if sign > 0 {
                    changed.push(pair);
                }
            });
        }
        // The merged pair is gone from every word that had it.
        pairs.counts.remove(&pair);
        changed.sort_unstable();
        changed.dedup();
        heap.extend(changed.iter().filter_map(|pair| Some((pairs.counts.get(pair)?.count, Reverse(*pair)))));
    }
    Trained { tokens, merges: learnt }
}

#[derive(Default)]
struct Pairs {
    counts: FxHashMap<(u32, u32), Entry>,
}

#[derive(Default)]
struct Entry {
    count: i64,
    /// The words that have it, or had it: each at most once in a row.
    places: Vec<u32>,
}

impl Pairs {
    fn change(&mut self, pair: (u32, u32), word: usize, by: i64) {
        let entry = self.counts.entry(pair).or_default();
        entry.count += by;
        let word = word as u32;
        if by > 0 && entry.places.last() != Some(&word) {
            entry.places.push(word);
        }
    }
}

/// Puts `new` for each `pair` in the word, and tells which pairs came (1) and went (-1).
fn merge(word: &mut Vec<u32>, pair: (u32, u32), new: u32, mut tell: impl FnMut((u32, u32), i64)) {
    let mut at = 0;
    while at + 1 < word.len() {
        if (word[at], word[at + 1]) != pair {
            at += 1;
            continue;
        }
        if at > 0 {
            tell((word[at - 1], pair.0), -1);
            tell((word[at - 1], new), 1);
        }
        if let Some(&next) = word.get(at + 2) {
            tell((pair.1, next), -1);
            tell((new, next), 1);
        }
        word[at] = new;
        word.remove(at + 1);
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Learns the slow way: counts all pairs anew for every merge.
    fn slowly(pieces: &[(String, u64)], merges: usize) -> Vec<(u32, u32)> {
        let mut words: Vec<Vec<u32>> =
            pieces.iter().map(|(piece, _)| piece.bytes().map(u32::from).collect()).collect();
        let mut texts: Vec<String> = byte_chars().iter().map(char::to_string).collect();
        let (mut learnt, mut dead) = (Vec::new(), FxHashSet::default());
        while learnt.len() < merges {
            let mut counts: FxHashMap<(u32, u32), u64> = FxHashMap::default();
            for (word, (_, count)) in words.iter().zip(pieces) {
                word.windows(2).for_each(|pair| *counts.entry((pair[0], pair[1])).or_default() += count);
            }
            let best = counts.iter().filter(|(pair, _)| !dead.contains(*pair));
            let Some((&pair, _)) = best.max_by_key(|(pair, count)| (**count, Reverse(**pair))) else { break };
            let text = format!("{}{}", texts[pair.0 as usize], texts[pair.1 as usize]);
            if texts.contains(&text) {
                dead.insert(pair);
                continue;
            }
            let new = texts.len() as u32;
            texts.push(text);
            learnt.push(pair);
            words.iter_mut().for_each(|word| merge(word, pair, new, |_, _| ()));
        }
        learnt
    }

    #[test]
    fn equals_the_slow_way() {
        for seed in 0..4 {
            let pieces = super::super::text::Pieces::new(crate::seed::Seed(seed), 60, 1).pieces;
            let pieces = &pieces[pieces.len().saturating_sub(250)..];
            let fast = train(pieces, 300);
            assert_eq!(fast.merges, slowly(pieces, 300), "seed {seed}");
            assert!(fast.merges.len() > 100);
        }
    }

    #[test]
    fn repeated_letters() {
        let pieces = [("aaaa".to_owned(), 3), ("aa".to_owned(), 1)];
        let a = u32::from(b'a');
        assert_eq!(train(&pieces, 5).merges, [(a, a), (256, 256)]);
        assert_eq!(slowly(&pieces, 5), [(a, a), (256, 256)]);
    }

    #[test]
    fn bytes_are_spelt_as_gpt2_does() {
        let chars = byte_chars();
        assert_eq!((chars[b' ' as usize], chars[b'\n' as usize], chars[b'!' as usize]), ('Ġ', 'Ċ', '!'));
        assert_eq!((chars[0], chars[0xad], chars[0x7f]), ('Ā', 'Ń', 'ġ'));
    }
}
