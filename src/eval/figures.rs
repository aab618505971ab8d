//! What samples say of a model: shares, and how sure they are.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{Evaluated, Sampled};
use crate::answer::{Rules, verify};
use crate::seed::Seed;

/// Resamplings of an interval, and sign flips of a test.
const DRAWS: usize = 10_000;

/// A mean over problems with its 95 % interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// From here …
    pub low: f64,
    /// … to here: the middle 95 % of means of problems drawn with replacement (bootstrap, Efron, 1979).
    pub high: f64,
    /// Problems.
    pub n: usize,
}

impl Mean {
    /// Of these values, one of each problem.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        let mean = values.iter().sum::<f64>() / n as f64;
        let mut stream = Seed(0).stream("bootstrap", n as u64);
        let mut means: Vec<f64> = (0..if n == 0 { 0 } else { DRAWS })
            .map(|_| (0..n).map(|_| values[stream.below(n as u64) as usize]).sum::<f64>() / n as f64)
            .collect();
        means.sort_by(f64::total_cmp);
        let at = |share: f64| means.get((share * (means.len() as f64 - 1.0)).round() as usize).copied();
        Some(Mean { mean, low: at(0.025)?, high: at(0.975)?, n })
    }
}

/// The chance that at least one of `k` samples is right, of `n` of which `right` are: 1 − C(n − right, k) / C(n, k), the unbiased
/// estimate of Chen et al. (2021).
pub fn pass_at(n: usize, right: usize, k: usize) -> f64 {
    if n - right < k {
        return 1.0;
    }
    1.0 - (n - right + 1..=n).map(|i| 1.0 - k as f64 / i as f64).product::<f64>()
}

/// The answer that most samples give: whether it is right. Answers that mean the same count together; of several with as many, the one that
/// came first. None if no sample gives an answer.
pub fn majority(samples: &[Sampled]) -> Option<bool> {
    let mut votes: Vec<(&str, bool, usize)> = Vec::new();
    for sample in samples {
        let (Some(answer), Some(right)) = (sample.answer.as_deref(), sample.right) else { continue };
        let known = votes.iter_mut().find(|(known, was, _)| {
            *was == right && (right || verify(known, answer, &Rules::default()).is_equal())
        });
        match known {
            Some((.., count)) => *count += 1,
            None => votes.push((answer, right, 1)),
        }
    }
    let most = votes.iter().map(|(.., count)| *count).max()?;
    votes.iter().find(|(.., count)| *count == most).map(|(_, right, _)| *right)
}

/// All figures, by name.
pub fn figures(all: &[Evaluated]) -> BTreeMap<String, Mean> {
    let mut figures = BTreeMap::new();
    let mut put = |name: String, values: Vec<f64>| {
        if let Some(mean) = Mean::of(&values) {
            figures.insert(name, mean);
        }
    };
    let n = all.iter().map(|one| one.samples.len()).min().unwrap_or(0);
    for (name, values) in by_problem(all, n) {
        put(name, values.into_iter().flatten().collect());
    }
    figures
}

/// Each figure of each problem; none where the problem has none.
fn by_problem(all: &[Evaluated], n: usize) -> BTreeMap<String, Vec<Option<f64>>> {
    let mut columns: BTreeMap<String, Vec<Option<f64>>> = BTreeMap::new();
    let ks: Vec<usize> = (0..).map(|power| 1 << power).take_while(|k| *k <= n).collect();
    for one in all {
        let mut put = |name: &str, value: Option<f64>| columns.entry(name.into()).or_default().push(value);
        // What depends on how many there are looks at as many of all.
        let first = &one.samples[..n.min(one.samples.len())];
        let judged: Vec<bool> = one.samples.iter().filter_map(|sample| sample.right).collect();
        let right = judged.iter().filter(|right| **right).count();
        for k in &ks {
            let value = (judged.len() >= *k && !judged.is_empty()).then(|| pass_at(judged.len(), right, *k));
            put(&format!("pass@{k}"), value);
        }
        let voted = (!judged.is_empty()).then(|| f64::from(u8::from(majority(first) == Some(true))));
        put(&format!("majority@{n}"), voted.filter(|_| n > 1));
        let mean = |of: &dyn Fn(&Sampled) -> Option<f64>| {
            let found: Vec<f64> = one.samples.iter().filter_map(of).collect();
            (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64)
        };
        put("structure", mean(&|sample| sample.structure));
        put("agreement", mean(&|sample| sample.agreement));
        put("tokens", mean(&|sample| Some(f64::from(sample.tokens))));
        put("cut", mean(&|sample| Some(f64::from(u8::from(!sample.ended)))));
        // Of those that find something, how many orders.
        let orders: std::collections::BTreeSet<&Vec<usize>> = one
            .samples
            .iter()
            .filter_map(|sample| sample.order.as_ref())
            .filter(|order| !order.is_empty())
            .collect();
        let knows = first.iter().any(|sample| sample.order.is_some());
        put("distinct_orders", (knows && n > 1).then_some(orders.len() as f64));
    }
    columns.retain(|_, column| column.iter().any(Option::is_some));
    columns
}

/// Two models on the same problems.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Compared {
    /// Means of the first and of the second, over problems that both have.
    pub means: [f64; 2],
    /// The second less the first, with its interval over problems.
    pub difference: Mean,
    /// How often a difference as large comes about by chance: the share of random signs of the problems' differences that give one (paired
    /// permutation test).
    pub p: f64,
}

/// Compares two runs by the ids and gold answers of their problems; those that are alike in both pair in their order.
pub fn compared(one: &[Evaluated], other: &[Evaluated]) -> BTreeMap<String, Compared> {
    let key = |own: &'_ Evaluated| (own.id.clone(), own.gold.clone());
    let mut known: BTreeMap<_, VecDeque<&Evaluated>> = BTreeMap::new();
    other.iter().for_each(|own| known.entry(key(own)).or_default().push_back(own));
    let pair = |own: &Evaluated| Some((own.clone(), known.get_mut(&key(own))?.pop_front()?.clone()));
    let (one, other): (Vec<Evaluated>, Vec<Evaluated>) = one.iter().filter_map(pair).unzip();
    let n = one.iter().chain(&other).map(|one| one.samples.len()).min().unwrap_or(0);
    let (first, second) = (by_problem(&one, n), by_problem(&other, n));
    let mut all = BTreeMap::new();
    for (name, values) in first {
        let Some(others) = second.get(&name) else { continue };
        let both: Vec<(f64, f64)> =
            values.iter().zip(others).filter_map(|(one, other)| (*one).zip(*other)).collect();
        let apart: Vec<f64> = both.iter().map(|(one, other)| other - one).collect();
        let Some(difference) = Mean::of(&apart) else { continue };
        let mean = |of: fn(&(f64, f64)) -> f64| both.iter().map(of).sum::<f64>() / both.len() as f64;
        let means = [mean(|pair| pair.0), mean(|pair| pair.1)];
        all.insert(name, Compared { means, difference, p: chance(&apart) });
    }
    all
}

/// The share of random signs that give a sum at least as far from 0; never 0, as the signs that are there count.
fn chance(apart: &[f64]) -> f64 {
    let sum = apart.iter().sum::<f64>().abs() - 1e-12;
    let mut stream = Seed(0).stream("signs", apart.len() as u64);
    let flipped = |_: &usize| {
        let sum_of: f64 = apart.iter().map(|x| if stream.next_u64() & 1 == 0 { *x } else { -*x }).sum();
        sum_of.abs() >= sum
    };
    let as_far = (0..DRAWS).filter({
        let mut flipped = flipped;
        move |at| flipped(at)
    });
    (as_far.count() + 1) as f64 / (DRAWS + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pass_at_k_is_the_share_of_subsets() {
        // All subsets, counted.
        for n in 1..=7_usize {
            for right in 0..=n {
                for k in 1..=n {
                    let sets = (0_u32..1 << n).filter(|set| set.count_ones() as usize == k);
                    let (mut all, mut with) = (0, 0);
                    for set in sets {
                        all += 1;
                        with += u32::from(set & ((1 << right) - 1) != 0);
                    }
                    let expected = f64::from(with) / f64::from(all);
                    assert!((pass_at(n, right, k) - expected).abs() < 1e-12, "{n} {right} {k}");
                }
            }
        }
    }

    fn evaluated(id: &str, answers: &[(&str, bool)]) -> Evaluated {
        let sample = |(answer, right): &(&str, bool)| Sampled {
            answer: (!answer.is_empty()).then(|| (*answer).to_owned()),
            right: Some(*right),
            ..Sampled::default()
        };
        Evaluated { id: id.into(), samples: answers.iter().map(sample).collect(), ..Evaluated::default() }
    }

    fn votes(one: &Evaluated) -> Option<bool> {
        majority(&one.samples)
    }

    #[test]
    fn most_votes_win() {
        assert_eq!(votes(&evaluated("a", &[("4", true), ("5", false), ("4.0", true)])), Some(true));
        assert_eq!(votes(&evaluated("a", &[("4", true), ("5", false), ("5.0", false)])), Some(false));
        // As many: the first.
        assert_eq!(votes(&evaluated("a", &[("5", false), ("4", true)])), Some(false));
        assert_eq!(votes(&evaluated("a", &[("", false), ("4", true)])), Some(true));
        assert_eq!(votes(&evaluated("a", &[("", false)])), None);
    }

    #[test]
    fn intervals_hold_what_they_say() {
        // Of 400 samples of 60 coins each, 95 % of the intervals hold one half, within what chance does.
        let mut stream = Seed(3).stream("coins", 0);
        let held = (0..100)
            .filter(|_| {
                let coins: Vec<f64> = (0..60).map(|_| (stream.next_u64() & 1) as f64).collect();
                let mean = Mean::of(&coins).expect("a mean");
                mean.low <= 0.5 && 0.5 <= mean.high
            })
            .count();
        assert!((86..=100).contains(&held), "{held}");
        assert_eq!(Mean::of(&[]), None);
        let same = Mean::of(&[0.25; 9]).expect("a mean");
        assert_eq!((same.mean, same.low, same.high, same.n), (0.25, 0.25, 0.25, 9));
    }

    #[test]
    fn runs_are_compared_by_their_problems() {
        let run = |right: &dyn Fn(usize) -> bool| -> Vec<Evaluated> {
            (0..40).map(|at| evaluated(&at.to_string(), &[("1", right(at)), ("1", right(at))])).collect()
        };
        let (half, most) = (run(&|at| at % 2 == 0), run(&|at| at % 2 == 0 || at % 4 == 1));
        let mut shuffled = most.clone();
        shuffled.reverse();
        shuffled.push(evaluated("of its own", &[("1", true)]));
        let found = compared(&half, &shuffled)["pass@1"];
        assert_eq!(found.means, [0.5, 0.75]);
        assert!((found.difference.mean - 0.25).abs() < 1e-12 && found.difference.low > 0.1, "{found:?}");
        assert!(found.p < 0.01, "{found:?}");
        let same = compared(&half, &half)["pass@1"];
        assert_eq!((same.difference.mean, same.p), (0.0, 1.0));
        // 3 better, 2 worse of 40: that is chance.
        let near = run(&|at| (at % 2 == 0) != [0, 2, 1, 3, 5].contains(&at));
        assert!(compared(&half, &near)["pass@1"].p > 0.3);
        // Problems that cannot be told apart pair in their order.
        let twins = |right: [bool; 2]| right.map(|right| evaluated("twin", &[("1", right)]));
        let found = compared(&twins([true, false]), &twins([true, false]))["pass@1"];
        assert_eq!((found.means, found.difference.high), ([0.5, 0.5], 0.0));
    }
}
