//! Which of any number of records are shown: a bounded choice that depends on the records alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::escape::prefix;
use crate::score::Scored;
use crate::trace::StepList;

/// Why a record is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// One of the lowest rewards.
    Lowest,
    /// One of the highest rewards.
    Highest,
    /// Near the median reward.
    Median,
    /// Many teacher steps without an answer.
    Gaps,
    /// A reward or a part was not given.
    Unscored,
    /// Drawn at random.
    Drawn,
}

impl Reason {
    /// A word for tables.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Lowest => "lowest",
            Reason::Highest => "highest",
            Reason::Median => "median",
            Reason::Gaps => "most skipped",
            Reason::Unscored => "not scored",
            Reason::Drawn => "drawn",
        }
    }
}

/// A record that may be shown, its texts cut to the length that is shown.
#[derive(Debug)]
pub(super) struct Kept {
    /// Its number in the input, from 0.
    pub order: u64,
    /// The record.
    pub record: Scored,
    /// Bytes that were cut off: problem, teacher, student.
    pub cut: [usize; 3],
}

/// The best few by a key; the least key wins, earlier records first.
#[derive(Debug, Default)]
struct Best {
    most: usize,
    entries: BTreeMap<(u64, u64), Arc<Kept>>,
}

impl Best {
    fn wants(&self, key: (u64, u64)) -> bool {
        let full = self.entries.len() >= self.most;
        self.most > 0 && (!full || self.entries.last_key_value().is_some_and(|(last, _)| key < *last))
    }

    fn put(&mut self, key: (u64, u64), kept: &Arc<Kept>) {
        self.entries.insert(key, Arc::clone(kept));
        if self.entries.len() > self.most {
            self.entries.pop_last();
        }
    }
}

/// Takes records one by one and keeps at most some three times `limit` of them.
#[derive(Debug)]
pub(super) struct Choice {
    limit: usize,
    text_bytes: usize,
    seen: u64,
    /// All records, as long as they are no more than `limit`.
    first: Vec<Arc<Kept>>,
    ranked: [(Reason, Best); 4],
    sample: Best,
}

impl Choice {
    /// At most `limit` records, with at most `text_bytes` bytes of each text.
    pub fn new(limit: usize, text_bytes: usize) -> Self {
        let best = |most| Best { most, entries: BTreeMap::new() };
        Choice {
            limit,
            text_bytes,
            seen: 0,
            first: Vec::new(),
            ranked: [
                (Reason::Lowest, best(limit.div_ceil(5))),
                (Reason::Highest, best(limit.div_ceil(5))),
                (Reason::Gaps, best(limit.div_ceil(6))),
                (Reason::Unscored, best(limit.div_ceil(6))),
            ],
            sample: best(limit),
        }
    }

    /// Offers a record.
    pub fn offer(&mut self, record: &Scored) {
        let order = self.seen;
        self.seen += 1;
        let reward = record.reward.filter(|reward| reward.is_finite());
        let keys = [
            reward.map(ordered),
            reward.map(|reward| !ordered(reward)),
            record
                .structure
                .as_ref()
                .map(|e| e.alignment.skipped.len() as u64)
                .filter(|n| *n > 0)
                .map(|n| !n),
            (reward.is_none() || record.parts.values().any(|part| part.value.is_none())).then_some(0),
        ];
        let drawn = (xxh3_64_with_seed(record.id.as_bytes(), u64::from(record.student)), order);
        let wanted: Vec<bool> = (self.ranked.iter().zip(keys))
            .map(|((_, best), key)| key.is_some_and(|key| best.wants((key, order))))
            .collect();
        let all_fit = self.seen <= self.limit as u64;
        if !all_fit {
            self.first = Vec::new();
        }
        if !all_fit && !self.sample.wants(drawn) && !wanted.contains(&true) {
            return;
        }
        let kept = Arc::new(self.cut(order, record));
        if all_fit {
            self.first.push(Arc::clone(&kept));
        }
        for (((_, best), key), wanted) in self.ranked.iter_mut().zip(keys).zip(wanted) {
            if let (Some(key), true) = (key, wanted) {
                best.put((key, order), &kept);
            }
        }
        if self.sample.wants(drawn) {
            self.sample.put(drawn, &kept);
        }
    }

    /// The records to show in input order, each with the reasons why (none if all are shown).
    pub fn finish(self, median: Option<f64>) -> Vec<(Arc<Kept>, Vec<Reason>)> {
        if self.seen <= self.limit as u64 {
            return self.first.into_iter().map(|kept| (kept, Vec::new())).collect();
        }
        let mut chosen: BTreeMap<u64, (Arc<Kept>, Vec<Reason>)> = BTreeMap::new();
        let mut take = |kept: &Arc<Kept>, reason: Reason| {
            if chosen.len() < self.limit || chosen.contains_key(&kept.order) {
                let entry = chosen.entry(kept.order).or_insert_with(|| (Arc::clone(kept), Vec::new()));
                if reason != Reason::Drawn || entry.1.is_empty() {
                    entry.1.push(reason);
                }
            }
        };
        for (reason, best) in &self.ranked {
            best.entries.values().for_each(|kept| take(kept, *reason));
        }
        if let Some(median) = median {
            let mut near: Vec<(u64, &Arc<Kept>)> = self
                .sample
                .entries
                .values()
                .filter_map(|kept| Some((ordered((kept.record.reward? - median).abs()), kept)))
                .collect();
            near.sort_by_key(|(distance, kept)| (*distance, kept.order));
            near.iter().take(self.limit.div_ceil(6)).for_each(|(_, kept)| take(kept, Reason::Median));
        }
        self.sample.entries.values().for_each(|kept| take(kept, Reason::Drawn));
        chosen
            .into_values()
            .map(|(kept, mut reasons)| {
                reasons.sort_unstable();
                (kept, reasons)
            })
            .collect()
    }

    /// A copy of the record with its texts cut.
    fn cut(&self, order: u64, record: &Scored) -> Kept {
        let most = self.text_bytes;
        let mut cut = [0; 3];
        let problem = record.problem.as_ref().map(|text| cut_text(text, most / 4, &mut cut[0]));
        let structure = record.structure.as_ref().map(|explained| crate::score::Explained {
            teacher: explained.teacher,
            alignment: explained.alignment.clone(),
            teacher_steps: explained.teacher_steps.as_ref().map(|list| cut_list(list, most, &mut cut[1])),
            student_steps: explained.student_steps.as_ref().map(|list| cut_list(list, most, &mut cut[2])),
        });
        let record = Scored {
            id: record.id.clone(),
            student: record.student,
            reward: record.reward,
            parts: record.parts.clone(),
            structure,
            tree: None,
            problem,
        };
        Kept { order, record, cut }
    }
}

fn cut_text(text: &str, most: usize, cut: &mut usize) -> String {
    let kept = prefix(text, most);
    *cut = text.len() - kept.len();
    kept.to_owned()
}

fn cut_list(list: &StepList, most: usize, cut: &mut usize) -> StepList {
    let text = cut_text(&list.text, most, cut);
    // Spans ascend: once a step ends past the cut, so do the rest.
    let whole = list.steps.iter().take_while(|step| step.span().end as usize <= text.len()).count();
    StepList { text, steps: list.steps[..whole].to_vec(), end: list.end }
}

/// Maps a number to one with the same order. (IEEE 754: flip all bits of negatives, the sign of others.)
fn ordered(value: f64) -> u64 {
    let bits = value.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept() {
        let values = [f64::NEG_INFINITY, -2.0, -1.0, -0.0, 0.0, 1e-300, 1.0, f64::INFINITY];
        assert!(values.windows(2).all(|w| ordered(w[0]) < ordered(w[1])));
    }

    #[test]
    fn texts_are_cut_on_character_boundaries() {
        let mut cut = 0;
        assert_eq!(cut_text("aéé", 2, &mut cut), "a");
        assert_eq!(cut, 4);
    }

    fn records(n: u32) -> Vec<Scored> {
        // A permutation of 0..n, so that ranks are known: 7919 is prime to n.
        let reward = |i: u32| (u64::from(i) * 7919 % u64::from(n)) as f64;
        (0..n)
            .map(|i| Scored {
                id: format!("r{i}"),
                student: 0,
                reward: (i % 50 != 3).then(|| reward(i)),
                parts: BTreeMap::new(),
                structure: None,
                tree: None,
                problem: Some("p".repeat(1000)),
            })
            .collect()
    }

    fn fill(records: &[Scored], limit: usize) -> Choice {
        let mut choice = Choice::new(limit, 400);
        records.iter().for_each(|record| choice.offer(record));
        choice
    }

    #[test]
    fn each_reason_holds_for_those_that_it_names() {
        let records = records(6000);
        let mut rewards: Vec<f64> = records.iter().filter_map(|record| record.reward).collect();
        rewards.sort_by(f64::total_cmp);
        let chosen = fill(&records, 60).finish(Some(3000.0));
        assert_eq!(chosen.len(), 60);
        assert!(chosen.windows(2).all(|w| w[0].0.order < w[1].0.order), "in input order");
        let of = |reason: Reason| -> Vec<f64> {
            let named = chosen.iter().filter(|(_, reasons)| reasons.contains(&reason));
            let mut rewards: Vec<f64> =
                named.map(|(kept, _)| kept.record.reward.unwrap_or(f64::NAN)).collect();
            rewards.sort_by(f64::total_cmp);
            rewards
        };
        assert_eq!(of(Reason::Lowest), rewards[..12]);
        assert_eq!(of(Reason::Highest), rewards[rewards.len() - 12..]);
        assert_eq!(of(Reason::Unscored).len(), 10);
        assert!(of(Reason::Unscored).iter().all(|reward| reward.is_nan()));
        // Ten of sixty drawn from 6000 lie within a quarter of the range around the median.
        assert_eq!(of(Reason::Median).len(), 10);
        assert!(of(Reason::Median).iter().all(|reward| (reward - 3000.0).abs() < 1500.0));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        for n in [1_000, 30_000] {
            let choice = fill(&records(n), 60);
            let ranked = choice.ranked.iter().flat_map(|(_, best)| best.entries.values());
            let kept = ranked.chain(choice.sample.entries.values()).chain(&choice.first);
            let texts: Vec<usize> =
                kept.filter_map(|kept| Some(kept.record.problem.as_ref()?.len())).collect();
            assert!(texts.len() <= 2 * 60, "{n}: {}", texts.len());
            assert!(texts.iter().all(|bytes| *bytes == 100));
        }
    }
}
