//! Advantages, losses and gradients are TRL's, by golden files that its own code wrote (`golden/trl_grpo.py`).
#![cfg(feature = "train")]

use std::path::Path;

use rlkd::train::grpo::{Aggregation, Batch, GrpoConfig, Level, LossType, Objective, Sequence, advantages};
use serde_json::Value;

fn golden(key: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/trl_grpo.json");
    let text = std::fs::read_to_string(path).expect("golden");
    let value: Value = serde_json::from_str(&text).expect("JSON");
    value[key].as_array().expect("a list").clone()
}

/// The defaults are TRL's.
#[test]
fn defaults_are_those_of_trl() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/trl_grpo.json");
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("golden")).expect("JSON");
    let own = serde_json::to_value(GrpoConfig::default()).expect("JSON");
    assert_eq!(own, golden["defaults"]);
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number")).collect()
}

fn flat(value: &Value) -> Vec<f64> {
    value.as_array().expect("rows").iter().flat_map(floats).collect()
}

#[track_caller]
fn near(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{what}: {found}, and {expected}");
}

#[test]
fn advantages_are_those_of_trl() {
    let tables = golden("advantages");
    assert_eq!(tables.len(), 24);
    for table in tables {
        let config = GrpoConfig {
            scale_rewards: serde_json::from_value(table["scale_rewards"].clone()).expect("a scale"),
            multi_objective_aggregation: serde_json::from_value(table["multi_objective_aggregation"].clone())
                .expect("an aggregation"),
            ..GrpoConfig::default()
        };
        let rewards: Vec<Vec<Option<f64>>> =
            serde_json::from_value(table["rewards"].clone()).expect("rewards");
        let weights = floats(&table["weights"]);
        let found = advantages(&rewards, &weights, 4, &config).expect("advantages");
        let what =
            format!("{} {:?} {:?}", table["name"], config.scale_rewards, config.multi_objective_aggregation);
        for (own, theirs) in found.values.iter().zip(floats(&table["advantages"])) {
            near(*own, theirs, &what);
        }
        near(found.frac_reward_zero_std, table["zero_std"].as_f64().expect("a share"), &what);
        // What has no reward teaches nothing.
        for (value, reward) in found.values.iter().zip(&found.rewards) {
            assert!(reward.is_some() || *value == 0.0, "{what}");
        }
        assert_eq!(found.without_rewards, usize::from(table["name"] == "skipped"), "{what}");
    }
    let config = GrpoConfig::default();
    let error = advantages(&[vec![Some(1.0)]], &[1.0], 2, &config).expect_err("refused").to_string();
    assert!(error.contains("whole groups of 2"), "{error}");
    let error = advantages(&[vec![Some(1.0)]], &[1.0], 1, &config).expect_err("refused").to_string();
    assert!(error.contains("at least 2"), "{error}");
    for odd in [f64::NAN, f64::INFINITY] {
        let rewards = [vec![Some(1.0)], vec![Some(odd)]];
        let error = advantages(&rewards, &[1.0], 2, &config).expect_err("refused").to_string();
        assert!(error.contains("is skipped"), "{error}");
    }
    let error = advantages(&[vec![], vec![]], &[1.0], 2, &config).expect_err("refused").to_string();
    assert!(error.contains("0 rewards and 1 weights"), "{error}");
    assert!(advantages(&[], &[], 2, &config).expect("nothing").values.is_empty());
}

fn batch(case: &Value) -> Batch {
    let mut sequences = Vec::new();
    let mut from = 0;
    for (row, advantage) in case["logps"].as_array().expect("rows").iter().zip(floats(&case["advantages"])) {
        let tokens = from..from + row.as_array().expect("a row").len();
        from = tokens.end;
        sequences.push(Sequence { advantage, tokens });
    }
    let on_policy = case["on_policy"] == true;
    Batch {
        sequences,
        old: (!on_policy).then(|| flat(&case["old"])),
        reference: Some(flat(&case["reference"])),
        correction: (case["corrected"] == true).then(|| flat(&case["ratio"])),
        sampler: None,
        num_items: case["num_items"].as_f64().expect("a number"),
        accumulation_steps: case["accumulation_steps"].as_u64().unwrap_or(1) as usize,
        max_completion_length: case["max_completion_length"].as_u64().expect("a number") as usize,
    }
}

fn config(case: &Value) -> GrpoConfig {
    let level = match case["importance_sampling_level"].as_str() {
        Some("sequence") => Level::Sequence,
        _ => Level::Token,
    };
    GrpoConfig {
        loss_type: serde_json::from_value(case["loss_type"].clone()).expect("a loss"),
        importance_sampling_level: level,
        epsilon: case["epsilon"].as_f64().unwrap_or(0.2),
        epsilon_high: case["epsilon_high"].as_f64(),
        delta: case["delta"].as_f64(),
        beta: case["beta"].as_f64().unwrap_or(0.0),
        use_bias_correction_kl: case["use_bias_correction_kl"] != false,
        entropy_coef: case["entropy_coef"].as_f64().unwrap_or(0.0),
        ..GrpoConfig::default()
    }
}

#[test]
fn losses_and_gradients_are_those_of_trl() {
    let cases = golden("losses");
    assert_eq!(cases.len(), 52);
    let mut clipped = 0.0;
    for case in cases {
        let (config, batch) = (config(&case), batch(&case));
        config.check().expect("it makes sense");
        let what =
            format!("{:?} {:?} seed {}", config.loss_type, config.importance_sampling_level, case["seed"]);
        let (logps, entropies) = (flat(&case["logps"]), flat(&case["entropies"]));
        let objective = Objective::new(&config, &batch, &logps).expect("an objective");
        let found = objective.metrics(&logps, &entropies);
        near(found.loss, case["loss"].as_f64().expect("a loss"), &what);
        let (dlogps, dentropies) = (flat(&case["dlogps"]), flat(&case["dentropies"]));
        for (at, logp) in logps.iter().enumerate() {
            let slope = objective.slope(at, *logp);
            for (own, theirs) in [(slope.logprob, dlogps[at]), (slope.entropy, dentropies[at])] {
                assert!((f64::from(own) - theirs).abs() < 1e-7, "{what}, token {at}: {own}, and {theirs}");
            }
        }
        let told = |name: &str| case["metrics"][name].as_f64();
        near(found.entropy, told("entropy").expect("entropy"), &what);
        if let Some(kl) = told("kl") {
            near(found.kl, kl, &what);
        }
        // TRL counts in float32.
        let share = |found: f64, name: &str| {
            let theirs = told(name).expect("a share");
            assert!((found - theirs).abs() < 1e-7, "{what}, {name}: {found}, and {theirs}");
        };
        if config.loss_type == LossType::Cispo {
            share(found.clip_ratio_high, "cispo_clip_ratio");
        } else {
            share(found.clip_ratio_low, "clip_ratio/low_mean");
            share(found.clip_ratio_high, "clip_ratio/high_mean");
        }
        clipped += found.clip_ratio_low + found.clip_ratio_high;
        assert_eq!(objective.slope(logps.len(), 0.0), Default::default(), "no such token");
    }
    assert!(clipped > 1.0, "some are clipped");
}

/// Two tokens by hand: with advantage 1 and the model as it is, grpo's loss is −1, and each token of a completion of two is
/// asked for half.
#[test]
fn two_tokens_by_hand() {
    let sequences = vec![
        Sequence { advantage: 1.0, tokens: 0..2 },
        Sequence { advantage: -0.5, tokens: 2..3 },
        Sequence { advantage: 2.0, tokens: 3..3 },
    ];
    let batch = Batch {
        sequences,
        num_items: 3.0,
        max_completion_length: 4,
        accumulation_steps: 1,
        ..Batch::default()
    };
    let slopes = |loss_type: LossType, epsilon_high: Option<f64>| -> Vec<f32> {
        let config = GrpoConfig { loss_type, epsilon_high, ..GrpoConfig::default() };
        let objective = Objective::new(&config, &batch, &[]).expect("an objective");
        (0..3).map(|at| objective.slope(at, -1.0).logprob).collect()
    };
    let third = 1.0 / 3.0;
    assert_eq!(
        slopes(LossType::Grpo, None),
        [-0.5 * third, -0.5 * third, 0.5 * third].map(|x: f64| x as f32)
    );
    assert_eq!(slopes(LossType::Dapo, None), [-third, -third, 0.5 * third].map(|x: f64| x as f32));
    assert_eq!(slopes(LossType::Bnpo, None), slopes(LossType::Dapo, None));
    assert_eq!(slopes(LossType::Cispo, Some(5.0)), slopes(LossType::Dapo, None));
    assert_eq!(slopes(LossType::DrGrpo, None), [-1.0, -1.0, 0.5].map(|x: f64| (x / 12.0) as f32));
}

/// A correction that is taken from the model as it is, and one that was made before, are the same where that is the old model.
#[test]
fn a_sampler_is_corrected_on_the_way() {
    let (now, sampler): ([f64; 3], [f64; 3]) = ([-1.0, -0.2, -3.0], [-1.5, -0.1, -9.0]);
    let sequences =
        vec![Sequence { advantage: 1.0, tokens: 0..2 }, Sequence { advantage: -0.5, tokens: 2..3 }];
    let before = Batch {
        sequences,
        num_items: 3.0,
        max_completion_length: 4,
        accumulation_steps: 1,
        ..Batch::default()
    };
    let corrected =
        |most: f64| now.iter().zip(sampler).map(|(one, other)| (one - other).exp().min(most)).collect();
    for most in [1.0, 1.3, 3.0] {
        let lazily = Batch { sampler: Some((sampler.to_vec(), most)), ..before.clone() };
        let made = Batch { correction: Some(corrected(most)), ..before.clone() };
        let config = GrpoConfig::default();
        let one = Objective::new(&config, &lazily, &[]).expect("an objective");
        let other = Objective::new(&config, &made, &[]).expect("an objective");
        for (at, now) in now.iter().enumerate() {
            assert_eq!(one.slope(at, *now), other.slope(at, *now));
        }
        let entropies = [0.0; 3];
        assert_eq!(one.metrics(&now, &entropies), other.metrics(&now, &entropies));
        let config = GrpoConfig { importance_sampling_level: Level::Sequence, ..config };
        let error = Objective::new(&config, &lazily, &now).expect_err("refused").to_string();
        assert!(error.contains("made before"), "{error}");
    }
    for wrong in [
        Batch { num_items: 0.0, ..before.clone() },
        Batch { num_items: f64::NAN, ..before.clone() },
        Batch { accumulation_steps: 0, ..before.clone() },
    ] {
        let error = Objective::new(&GrpoConfig::default(), &wrong, &[]).expect_err("refused").to_string();
        assert!(error.contains("from 1 on"), "{error}");
    }
}

#[test]
fn values_that_make_no_sense_are_named() {
    let base = GrpoConfig::default();
    base.check().expect("the defaults");
    for (config, expected) in [
        (GrpoConfig { epsilon: 1.0, ..base.clone() }, "epsilon = 1"),
        (GrpoConfig { epsilon_high: Some(-0.1), ..base.clone() }, "epsilon_high"),
        (GrpoConfig { delta: Some(1.1), ..base.clone() }, "delta = Some(1.1): above 1 + epsilon_high = 1.2"),
        (GrpoConfig { loss_type: LossType::Cispo, ..base.clone() }, "5 is usual"),
        (GrpoConfig { beta: f64::NAN, ..base.clone() }, "beta"),
        (GrpoConfig { entropy_coef: -0.1, ..base.clone() }, "entropy_coef = -0.1"),
        (
            GrpoConfig {
                loss_type: LossType::Cispo,
                epsilon_high: Some(5.0),
                delta: Some(7.0),
                ..base.clone()
            },
            "one bound",
        ),
    ] {
        let error = config.check().expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    }
    let text =
        toml::from_str::<GrpoConfig>("loss_type = \"dr_grpo\"\nscale_rewards = \"none\"").expect("TOML");
    assert_eq!(text.loss_type, LossType::DrGrpo);
    assert_eq!(text.multi_objective_aggregation, Aggregation::SumThenNormalize);
    assert!(toml::from_str::<GrpoConfig>("loss = \"dapo\"").is_err());
}
