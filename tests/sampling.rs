//! Sampling against its definitions, against transformers' values, and what must hold of every choice.
#![cfg(feature = "llama")]

#[path = "oracle/sampling.rs"]
mod oracle;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rlkd::llama::sample::{Choice, Sampler, Sampling, Scratch, logprob_raw};
use rlkd::seed::{Seed, Stream};

type Logits<'a> = &'a [f32];
type Mask<'a> = Option<&'a [u32]>;

fn stream(index: u64) -> Stream {
    Seed(11).stream("sampling", index)
}

fn sampler(sampling: &Sampling, before: &[u32], index: u64) -> Sampler {
    sampling.check().expect("settings in range");
    let mut sampler = Sampler::new(sampling, stream(index));
    before.iter().for_each(|token| sampler.accept(*token));
    sampler
}

fn mask_of(tokens: impl IntoIterator<Item = usize>) -> Vec<u32> {
    let mut mask = Vec::new();
    for token in tokens {
        if mask.len() <= token / 32 {
            mask.resize(token / 32 + 1, 0);
        }
        mask[token / 32] |= 1 << (token % 32);
    }
    mask
}

/// Logits with a bell-shaped spread.
fn bell(size: usize, spread: f32, index: u64) -> Vec<f32> {
    let mut stream = stream(index);
    (0..size).map(|_| ((0..12).map(|_| stream.next_f64()).sum::<f64>() - 6.0) as f32 * spread).collect()
}

#[test]
fn greedy_by_hand() {
    let inf = f32::NEG_INFINITY;
    let cases: [(Logits, Mask, u32); 8] = [
        (&[1.0, 3.0, 2.0], None, 1),
        (&[3.0, 3.0, 3.0], None, 0),
        (&[1.0, 3.0, 3.0], Some(&[0b101]), 2),
        (&[inf, inf, -5.0], None, 2),
        (&[-0.0, 0.0], None, 0),
        (&[0.0, -0.0], None, 0),
        (&[f32::MIN, f32::MAX], None, 1),
        (&[5.0, f32::NAN], Some(&[0b01]), 0),
    ];
    for (logits, mask, expected) in cases {
        let choice = sampler(&Sampling::greedy(), &[], 0).sample(logits, mask).expect("a choice");
        assert_eq!(choice, Choice { token: expected, logprob: 0.0, logprob_raw: 0.0 }, "{logits:?}");
    }
}

#[test]
fn the_first_of_equal_logits_is_greedy_wherever_it_stands() {
    for size in [1, 31, 32, 33, 255, 256, 257, 1000] {
        for first in [0, size / 2, size - 1] {
            let mut logits = vec![-1.0; size];
            logits[first..].fill(2.0);
            for mask in [None, Some(mask_of(0..size)), Some(mask_of(0..size + 100))] {
                let choice = sampler(&Sampling::greedy(), &[], 0).sample(&logits, mask.as_deref());
                assert_eq!(choice.expect("a choice").token as usize, first);
            }
            let after = Some(mask_of(first..size));
            let mut sampling = Sampling::greedy();
            sampling.logit_bias.insert(first as u32, -0.5);
            let choice = sampler(&sampling, &[], 0).sample(&logits, after.as_deref()).expect("a choice");
            assert_eq!(choice.token as usize, (first + 1).min(size - 1));
        }
    }
}

#[test]
fn what_cannot_be_sampled_is_an_error_that_says_why() {
    let inf = f32::NEG_INFINITY;
    let plain = Sampling { logprobs: true, ..Sampling::default() };
    let banned = Sampling { logit_bias: BTreeMap::from([(1, inf)]), ..Sampling::default() };
    let beyond = Sampling { logit_bias: BTreeMap::from([(9, 1.0)]), ..Sampling::default() };
    let growing = Sampling { repetition_penalty: 1e-30, ..Sampling::default() };
    let cases: [(&Sampling, Logits, Mask, &str); 12] = [
        (&plain, &[], None, "no logits"),
        (&plain, &[1.0; 40], Some(&[]), "mask allows none of the 40 tokens"),
        (&plain, &[1.0; 40], Some(&[0, 0xffff_ff00]), "mask allows none of the 40 tokens"),
        (&plain, &[inf; 3], None, "each of the 3 tokens that may be chosen (of 3) has a logit of -inf"),
        (&plain, &[inf, inf, 1.0], Some(&[0b11]), "each of the 2 tokens that may be chosen (of 3)"),
        (&plain, &[1.0, f32::NAN, f32::NAN], None, "NaN as the logit of token 1 (and 1 more like it)"),
        (&plain, &[1.0, 2.0, f32::NAN], Some(&[0b11]), "NaN as the logit of token 2"),
        (&plain, &[1.0, f32::INFINITY], None, "inf as the logit of token 1"),
        (&banned, &[1.0, 2.0], Some(&[0b10]), "each of the 1 tokens that may be chosen (of 2)"),
        (&banned, &[1.0, f32::NAN], None, "the logit of token 1 is NaN from the model"),
        (
            &beyond,
            &[1.0, 2.0],
            None,
            "token 9 has a bias or came before, but the vocabulary has 2 tokens only",
        ),
        (
            &growing,
            &[1.0, 1e20],
            None,
            "the logit of token 1 is 100000000000000000000 from the model and inf with",
        ),
    ];
    for (sampling, logits, mask, expected) in cases {
        for temperature in [0.0, 0.7] {
            let sampling = Sampling { temperature, ..sampling.clone() };
            let mut sampler = sampler(&sampling, &[1], 0);
            let error = sampler.sample(logits, mask).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}

#[test]
fn an_error_takes_no_number_from_the_stream() {
    let logits = bell(5000, 1.0, 1);
    for sampling in [Sampling::default(), Sampling { top_k: 900, ..Sampling::default() }] {
        let mut interrupted = sampler(&sampling, &[], 3);
        let mut other = interrupted.clone();
        for _ in 0..16 {
            assert!(interrupted.sample(&logits, Some(&[])).is_err());
            assert_eq!(
                interrupted.sample(&logits, None).expect("a choice"),
                other.sample(&logits, None).expect("a choice")
            );
        }
    }
}

#[test]
fn draws_repeat_with_their_stream_and_differ_with_another() {
    let logits = bell(5000, 1.0, 1);
    for sampling in [
        Sampling::default(),
        Sampling { top_p: 0.9, ..Sampling::default() },
        Sampling { top_k: 1000, ..Sampling::default() },
    ] {
        let draw = |index| {
            let mut sampler = sampler(&sampling, &[], index);
            (0..32).map(|_| sampler.sample(&logits, None).expect("a choice").token).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}

#[test]
fn a_shared_scratch_changes_nothing() {
    let mut scratch = Scratch::default();
    let settings = [
        Sampling { top_p: 0.8, logprobs: true, repetition_penalty: 1.5, ..Sampling::default() },
        Sampling { top_k: 7, min_p: 0.01, ..Sampling::default() },
        Sampling::greedy(),
        Sampling { logit_bias: BTreeMap::from([(3, 4.0)]), ..Sampling::default() },
    ];
    let mut alone: Vec<Sampler> = settings.iter().map(|one| sampler(one, &[], 5)).collect();
    let mut shared = alone.clone();
    for round in 0..50 {
        let logits = bell(40 + 300 * (round % 3), 2.0, round as u64);
        let mask = (round % 2 == 0).then(|| mask_of((0..logits.len()).step_by(3)));
        for (one, other) in alone.iter_mut().zip(&mut shared) {
            let choice = one.sample(&logits, mask.as_deref()).expect("a choice");
            assert_eq!(
                choice,
                other.sample_with(&mut scratch, &logits, mask.as_deref(), &[]).expect("a choice")
            );
            if choice.token < 40 {
                one.accept(choice.token);
                other.accept(choice.token);
            }
        }
    }
}

#[test]
fn the_log_probabilities_of_forced_tokens() {
    let logits = bell(1000, 3.0, 4);
    let exact = oracle::softmax(&logits, 1.0);
    for token in [0u32, 1, 500, 999] {
        let found = f64::from(logprob_raw(&logits, token).expect("a token"));
        assert!((found - exact[token as usize].ln()).abs() < 1e-5);
    }
    assert_eq!(logprob_raw(&[3e38; 2], 1).expect("a token"), 0.5f32.ln());
    assert_eq!(logprob_raw(&[0.0, f32::NEG_INFINITY], 1).expect("a token"), f32::NEG_INFINITY);
    let error = logprob_raw(&[0.0; 8], 8).expect_err("beyond").to_string();
    assert!(error.contains("token 8 is not in the vocabulary of 8"), "{error}");
}

/// Draws `count` tokens and compares their frequencies with the oracle's distribution. False if it has one likely
/// token only, so that there is nothing to compare.
fn follows(logits: &[f32], mask: Option<&[u32]>, before: &[u32], sampling: &Sampling, count: usize) -> bool {
    let adjusted = oracle::adjusted(logits, mask, before, sampling);
    let expected = oracle::distribution(&adjusted, sampling);
    let mut sampler = sampler(sampling, before, 77);
    let mut seen = vec![0usize; logits.len()];
    for _ in 0..count {
        seen[sampler.sample(logits, mask).expect("a choice").token as usize] += 1;
    }
    // Rare tokens are counted together, so that every class is expected 10 times or more.
    let (mut statistic, mut classes) = (0.0, 0);
    let (mut rare_seen, mut rare_expected) = (0.0, 0.0);
    for (token, p) in expected.probabilities.iter().enumerate() {
        assert!(*p > 0.0 || seen[token] == 0, "token {token} was drawn {} times: {sampling:?}", seen[token]);
        let (own_seen, own_expected) = (seen[token] as f64, p * count as f64);
        if own_expected < 10.0 {
            rare_seen += own_seen;
            rare_expected += own_expected;
        } else {
            statistic += (own_seen - own_expected).powi(2) / own_expected;
            classes += 1;
        }
    }
    if rare_expected >= 10.0 {
        statistic += (rare_seen - rare_expected).powi(2) / rare_expected;
        classes += 1;
    }
    if classes < 2 {
        return false;
    }
    let tail = oracle::chi_square_tail(statistic, (classes - 1) as f64);
    assert!(tail > 1e-4, "{statistic} over {classes} classes, {tail}: {sampling:?}");
    true
}

#[test]
fn draws_follow_the_distribution() {
    let base = Sampling::default();
    let peaked = bell(600, 2.5, 21);
    let flat = bell(600, 0.05, 22);
    let dense = mask_of((0..600).filter(|token| token % 10 != 3));
    let sparse = mask_of((5..600).step_by(18));
    let before: Vec<u32> = (0..60).map(|at| at * at % 600).collect();
    let settings = [
        base.clone(),
        Sampling { temperature: 0.5, ..base.clone() },
        Sampling { temperature: 2.0, top_k: 40, ..base.clone() },
        Sampling { top_p: 0.9, ..base.clone() },
        Sampling { top_p: 0.5, min_p: 0.02, ..base.clone() },
        Sampling { min_p: 0.1, temperature: 1.3, ..base.clone() },
        Sampling { top_k: 500, top_p: 0.95, min_p: 0.001, ..base.clone() },
        Sampling { repetition_penalty: 1.4, presence_penalty: 0.3, frequency_penalty: 0.2, ..base.clone() },
        Sampling { repetition_penalty: 0.7, penalty_window: 9, top_p: 0.9, ..base.clone() },
        Sampling { logit_bias: BTreeMap::from([(5, 6.0), (17, f32::NEG_INFINITY), (599, 3.0)]), ..base },
    ];
    let mut compared = 0;
    for sampling in settings {
        for logits in [&peaked, &flat] {
            for mask in [None, Some(&dense), Some(&sparse)] {
                compared += usize::from(follows(logits, mask.map(Vec::as_slice), &before, &sampling, 10_000));
            }
        }
    }
    assert!(compared >= 55, "{compared} of 60 were compared");
}

#[test]
fn the_chi_square_test_can_fail() {
    // Known values: the 5 % and the 0.1 % points for 10 degrees of freedom.
    assert!((oracle::chi_square_tail(18.307, 10.0) - 0.05).abs() < 1e-3);
    assert!((oracle::chi_square_tail(29.588, 10.0) - 0.001).abs() < 1e-4);
    let logits = bell(200, 1.0, 3);
    let wrong = std::panic::catch_unwind(|| {
        let other: Vec<f32> = logits.iter().map(|x| x * 0.95).collect();
        let adjusted = oracle::adjusted(&other, None, &[], &Sampling::default());
        let expected = oracle::distribution(&adjusted, &Sampling::default()).probabilities;
        let mut sampler = sampler(&Sampling::default(), &[], 1);
        let mut statistic = 0.0;
        let mut seen = vec![0.0; 200];
        (0..50_000)
            .for_each(|_| seen[sampler.sample(&logits, None).expect("a choice").token as usize] += 1.0);
        for (seen, p) in seen.iter().zip(expected) {
            statistic += (seen - p * 50_000.0) * (seen - p * 50_000.0) / (p * 50_000.0);
        }
        assert!(oracle::chi_square_tail(statistic, 199.0) > 1e-4);
    });
    assert!(wrong.is_err(), "a temperature that is 5 % off must be seen");
}

#[derive(serde::Deserialize)]
struct Golden {
    cases: Vec<GoldenCase>,
}

#[derive(serde::Deserialize)]
struct GoldenCase {
    settings: Sampling,
    logits: Vec<f32>,
    before: Vec<u32>,
    left: BTreeMap<u32, f64>,
}

#[test]
fn what_is_left_is_what_transformers_leaves() {
    let golden: Golden =
        serde_json::from_str(include_str!("golden/sampling/golden.json")).expect("golden values");
    assert!(golden.cases.len() >= 28);
    for case in golden.cases {
        let mut sampler = sampler(&case.settings, &case.before, 0);
        let mut seen = BTreeSet::new();
        for _ in 0..4000 {
            let choice = sampler.sample(&case.logits, None).expect("a choice");
            let expected = case.left.get(&choice.token);
            let expected =
                expected.unwrap_or_else(|| panic!("{} was drawn: {:?}", choice.token, case.settings));
            assert!((f64::from(choice.logprob) - expected).abs() < 1e-5, "{choice:?} {expected}");
            seen.insert(choice.token);
        }
        for (token, logprob) in &case.left {
            // One in a hundred: missed in 4,000 draws with a probability of e⁻⁴⁰.
            assert!(seen.contains(token) || *logprob < 0.01f64.ln(), "{token}: {:?}", case.settings);
        }
    }
}

#[derive(Clone, Debug)]
struct Case {
    logits: Vec<f32>,
    mask: Option<Vec<u32>>,
    before: Vec<u32>,
    sampling: Sampling,
}

fn logits(size: usize) -> impl Strategy<Value = Vec<f32>> {
    let inf = f32::NEG_INFINITY;
    let plain = prop::collection::vec(-8.0f32..8.0, size);
    let ties = prop::collection::vec((-4i8..4).prop_map(f32::from), size);
    let holes = prop::collection::vec(prop_oneof![3 => -8.0f32..8.0, 1 => Just(inf)], size);
    let huge = prop::collection::vec(prop_oneof![Just(f32::MAX), Just(f32::MIN), -1e30f32..1e30], size);
    let wide = prop::collection::vec(-300.0f32..300.0, size);
    prop_oneof![4 => plain, 3 => ties, 2 => holes, 1 => huge, 1 => wide]
}

fn sampling(size: usize) -> impl Strategy<Value = Sampling> {
    let off = |value: f32, range: std::ops::Range<f32>| prop_oneof![Just(value), range];
    let truncations = (
        prop_oneof![1 => Just(0.0f32), 2 => Just(1.0f32), 3 => 0.1f32..3.0],
        prop_oneof![Just(0u32), 1u32..20, 1u32..400],
        off(1.0, 0.01..1.0),
        off(0.0, 0.0..1.0),
    );
    let penalties = (off(1.0, 0.5..2.0), off(0.0, -2.0..2.0), off(0.0, -2.0..2.0), 0u32..12);
    let bias = prop::collection::btree_map(
        0..size as u32,
        prop_oneof![4 => -10.0f32..10.0, 1 => Just(f32::NEG_INFINITY)],
        0..4,
    );
    (truncations, penalties, bias).prop_map(|(truncations, penalties, logit_bias)| {
        let (temperature, top_k, top_p, min_p) = truncations;
        let (repetition_penalty, presence_penalty, frequency_penalty, penalty_window) = penalties;
        Sampling {
            temperature,
            top_k,
            top_p,
            min_p,
            repetition_penalty,
            presence_penalty,
            frequency_penalty,
            penalty_window,
            logit_bias,
            logprobs: true,
        }
    })
}

fn case() -> impl Strategy<Value = Case> {
    prop_oneof![1usize..40, 200usize..300, 500usize..900].prop_flat_map(|size| {
        let word = prop_oneof![Just(0u32), Just(u32::MAX), any::<u32>()];
        let mask = prop::option::of(prop::collection::vec(word, 0..size / 32 + 3));
        let before = prop::collection::vec(0..size as u32, 0..30);
        (logits(size), mask, before, sampling(size)).prop_map(|(logits, mask, before, sampling)| Case {
            logits,
            mask,
            before,
            sampling,
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn every_choice_is_the_oracles(case in case()) {
        let Case { logits, mask, before, sampling } = case;
        let mask = mask.as_deref();
        let adjusted = oracle::adjusted(&logits, mask, &before, &sampling);
        let mut sampler = sampler(&sampling, &before, 0);
        if adjusted.contains(&f32::INFINITY) || adjusted.iter().all(|x| *x == f32::NEG_INFINITY) {
            prop_assert!(sampler.sample(&logits, mask).is_err());
            return Ok(());
        }
        let raw = oracle::softmax(&logits, 1.0);
        if sampling.temperature == 0.0 {
            let choice = sampler.sample(&logits, mask).expect("a choice");
            prop_assert_eq!(choice.token as usize, oracle::greedy(&adjusted));
            prop_assert_eq!(choice.logprob, 0.0);
        } else {
            let expected = oracle::distribution(&adjusted, &sampling);
            prop_assume!(expected.margin > 1e-5);
            for _ in 0..8 {
                let choice = sampler.sample(&logits, mask).expect("a choice");
                let p = expected.probabilities[choice.token as usize];
                prop_assert!(p > 0.0, "{:?}", choice);
                prop_assert!((f64::from(choice.logprob) - p.ln()).abs() < 1e-5, "{:?} {}", choice, p.ln());
                let p = raw[choice.token as usize];
                if p > 1e-300 {
                    let error = (f64::from(choice.logprob_raw) - p.ln()).abs();
                    // 1e-5, or the precision of a 32-bit float where the log-probability is large.
                    prop_assert!(error < 1e-5 + p.ln().abs() * 1e-7, "{:?} {}", choice, p.ln());
                }
                prop_assert!(!choice.logprob_raw.is_nan());
            }
        }
    }
}
