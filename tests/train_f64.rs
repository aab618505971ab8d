//! The whole loss: its gradients are its central differences in `f64`, in every architecture, for adapters and for all
//! weights; and the loops in `f32` find the same as candle's operations in `f64`, which is what runs on other devices.
#![cfg(feature = "train")]

use candle_core::{DType, Device, Tensor};
use rlkd::gguf::random::{Architecture, Spec, write};
use rlkd::seed::Seed;
use rlkd::train::cpu::bf16::Unit;
use rlkd::train::cpu::gemm::Precision;
use rlkd::train::cpu::head::{Slope, Token};
use rlkd::train::lora::LoraConfig;
use rlkd::train::model::{Gradients, Model, Target, Texts, Trained, Weights};
use rlkd::train::optim::{AdamW, OptimConfig};

const TEMPERATURE: f32 = 0.75;

fn models(folder: &std::path::Path) -> Vec<(String, std::path::PathBuf, Trained)> {
    let mut all = Vec::new();
    for architecture in Architecture::ALL {
        let tied = architecture == Architecture::Qwen2;
        let spec = Spec {
            architecture,
            vocabulary: 300,
            embedding: 32,
            heads: 4,
            kv_heads: 2,
            tied,
            ..Spec::default()
        };
        let spec = Spec { head_size: 8, feed_forward: 40, layers: 2, context: 64, ..spec };
        let path = folder.join(format!("{}.gguf", architecture.name()));
        write(&path, &spec).expect("a model");
        let lora = LoraConfig { r: 3, ..LoraConfig::default() };
        let dora = LoraConfig { use_dora: true, ..lora.clone() };
        // Above the first layer, to which gradients do not go then.
        let upper = LoraConfig { target_modules: vec!["layers.1.*".into()], ..lora.clone() };
        for (kind, trained) in [
            ("lora", Trained::Lora(lora)),
            ("all", Trained::All),
            ("dora", Trained::Lora(dora)),
            ("upper", Trained::Lora(upper)),
        ] {
            all.push((format!("{} {kind}", architecture.name()), path.clone(), trained));
        }
    }
    all
}

/// A model whose adapters are not 0.
fn model(path: &std::path::Path, trained: &Trained, dtype: DType) -> Model {
    let mut model =
        Model::new(Weights::load(path).expect("a model"), trained.clone(), Seed(3)).expect("a model");
    for one in model.parameters_mut().iter_mut().filter(|one| one.name.ends_with(".lora_b")) {
        let mut stream = Seed(4).stream(&one.name, 0);
        let numbers = (0..one.value.elem_count()).map(|_| (stream.next_f64() - 0.5) as f32 * 0.4).collect();
        one.value = Tensor::from_vec(numbers, one.value.shape(), &Device::Cpu).expect("a tensor");
    }
    model.to(&Device::Cpu, dtype).expect("moved")
}

fn texts() -> (Texts, Vec<Target>) {
    let text =
        |first: u32, count: u32| (0..count).map(|at| (first + 7 * at * at + at) % 300).collect::<Vec<u32>>();
    let texts = Texts::pack([&text(5, 9)[..], &text(100, 6)]);
    let targets = [(2, 7u32), (3, 250), (7, 0), (7, 11), (9, 299), (13, 5), (14, 6)];
    (texts, targets.map(|(row, token)| Target { row, token }).into())
}

/// What is asked of each target: of its log-probability and of the entropy.
fn asked(number: usize) -> Slope {
    Slope { logprob: [-0.5, 0.25, -1.0][number % 3], entropy: [0.0, 0.5, -0.25, 0.75][number % 4] }
}

fn value(model: &mut Model) -> f64 {
    let (texts, targets) = texts();
    let tokens = model.log_probabilities(&texts, &targets, TEMPERATURE).expect("worked");
    let of = |(at, token): (usize, Token)| {
        let slope = asked(at);
        f64::from(slope.logprob) * token.logprob + f64::from(slope.entropy) * token.entropy
    };
    tokens.into_iter().enumerate().map(of).sum()
}

fn gradients(model: &mut Model) -> Vec<Vec<f64>> {
    let (texts, targets) = texts();
    let mut gradients = Gradients::new();
    let slope = |at: usize, _: Token| asked(at);
    model.loss(&texts, &targets, TEMPERATURE, Seed(0), slope, &mut gradients).expect("worked");
    let numbers = |gradient: &Option<rlkd::train::ops::Value>| -> Vec<f64> {
        let tensor = gradient.as_ref().expect("a gradient").tensor(&Device::Cpu).expect("a tensor");
        let wide = tensor.to_dtype(DType::F64).and_then(|wide| wide.flatten_all()).expect("f64");
        wide.to_vec1().expect("numbers")
    };
    gradients.iter().map(numbers).collect()
}

#[test]
fn gradients_are_central_differences() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, path, trained) in models(folder.path()) {
        let mut wide = model(&path, &trained, DType::F64);
        let exact = gradients(&mut wide);
        let mut worst = 0.0f64;
        for (at, exact) in exact.iter().enumerate() {
            let own = wide.parameters()[at].clone();
            let numbers: Vec<f64> = own.value.flatten_all().and_then(|flat| flat.to_vec1()).expect("numbers");
            let size = exact.iter().fold(0.0f64, |most, x| most.max(x.abs()));
            assert!(size > 0.0, "{name}: nothing reaches {}", own.name);
            // With DoRA the lengths before count as constants, which differences do not know.
            if name.ends_with("dora") && own.decays {
                continue;
            }
            // The numbers with the largest gradients, and some others.
            let mut order: Vec<usize> = (0..exact.len()).collect();
            order.sort_by(|a, b| exact[*b].abs().total_cmp(&exact[*a].abs()));
            for number in
                order.iter().copied().take(2).chain((0..exact.len()).step_by(exact.len().div_ceil(3)))
            {
                let step = 1e-5;
                let mut moved = |by: f64| {
                    let mut numbers = numbers.clone();
                    numbers[number] += by;
                    wide.parameters_mut()[at].value =
                        Tensor::from_vec(numbers, own.value.shape(), &Device::Cpu).expect("a tensor");
                    value(&mut wide)
                };
                let difference = (moved(step) - moved(-step)) / (2.0 * step);
                wide.parameters_mut()[at].value = own.value.clone();
                let off = (difference - exact[number]).abs() / size;
                worst = worst.max(off);
                assert!(
                    off < 1e-6,
                    "{name}: {}, number {number}: {difference} and {}",
                    own.name,
                    exact[number]
                );
            }
        }
        // And those of the loops.
        let mut narrow = model(&path, &trained, DType::F32);
        let mut apart = 0.0f64;
        for recompute in [false, true] {
            narrow.recompute = recompute;
            for (at, (own, exact)) in gradients(&mut narrow).iter().zip(&exact).enumerate() {
                let norm = |all: &[f64]| all.iter().map(|x| x * x).sum::<f64>().sqrt();
                let difference: Vec<f64> = own.iter().zip(exact).map(|(a, b)| a - b).collect();
                let off = norm(&difference) / norm(exact);
                apart = apart.max(off);
                assert!(off < 2e-5, "{name}: {}: {off}", wide.parameters()[at].name);
            }
        }
        assert!((value(&mut narrow) - value(&mut wide)).abs() < 1e-5);
        println!("{name}: differences within {worst:.1e}, loops within {apart:.1e}");
    }
}

/// With numbers rounded to bf16 on their way into products: near, and as near as candle's operations with the same
/// rounding are to them.
#[test]
fn products_of_bf16_are_near() {
    let folder = tempfile::tempdir().expect("a folder");
    println!("{:?}", Unit::best());
    for (name, path, trained) in models(folder.path()) {
        let mut exact = model(&path, &trained, DType::F64);
        let expected = gradients(&mut exact);
        let mut found = Vec::new();
        for dtype in [DType::F32, DType::F64] {
            let mut model = model(&path, &trained, dtype);
            model.precision = Precision::Bf16;
            found.push((value(&mut model), gradients(&mut model)));
        }
        // Of all gradients together: a small one of its own can be lost in the rounding.
        let norm = |all: &mut dyn Iterator<Item = f64>| all.map(|x| x * x).sum::<f64>().sqrt();
        let apart = |one: &[Vec<f64>], other: &[Vec<f64>]| -> f64 {
            let (one, other) = (one.iter().flatten(), other.iter().flatten());
            norm(&mut one.zip(other.clone()).map(|(a, b)| a - b)) / norm(&mut other.copied())
        };
        let (ours, twin) = (&found[0], &found[1]);
        let exact = value(&mut exact);
        println!(
            "{name}: loss {:.1e}, gradients {:.1e}; beside the twin {:.1e}, {:.1e}",
            ((ours.0 - exact) / exact).abs(),
            apart(&ours.1, &expected),
            ((ours.0 - twin.0) / exact).abs(),
            apart(&ours.1, &twin.1)
        );
        assert!(((ours.0 - exact) / exact).abs() < 1e-2, "{name}");
        assert!(apart(&ours.1, &expected) < 0.2, "{name}: {}", apart(&ours.1, &expected));
        assert!(((ours.0 - twin.0) / exact).abs() < 5e-3, "{name}");
        assert!(apart(&ours.1, &twin.1) < 5e-2, "{name}: {}", apart(&ours.1, &twin.1));
        // It is rounded at all.
        assert!(apart(&ours.1, &expected) > 1e-4, "{name}");
    }
}

/// A few steps end at the same place.
#[test]
fn steps_are_the_same_elsewhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, path, trained) = models(folder.path()).swap_remove(4);
    let config = OptimConfig { weight_decay: 0.1, max_grad_norm: 0.5, ..OptimConfig::default() };
    let after = |dtype: DType| {
        let mut model = model(&path, &trained, dtype);
        let mut optimizer = AdamW::new(model.parameters()).expect("moments");
        let (texts, targets) = texts();
        for _ in 0..5 {
            let mut gradients = Gradients::new();
            let slope = |at: usize, _: Token| asked(at);
            model.loss(&texts, &targets, TEMPERATURE, Seed(0), slope, &mut gradients).expect("worked");
            optimizer.step(model.parameters_mut(), &gradients, &config, 1e-3).expect("a step");
        }
        value(&mut model)
    };
    let (narrow, wide) = (after(DType::F32), after(DType::F64));
    assert!((narrow - wide).abs() < 1e-5 * wide.abs(), "{narrow} {wide}");
}

/// Texts that share their beginning are the same as texts that each have it: log-probabilities and gradients.
#[test]
fn a_shared_beginning_is_computed_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let text =
        |first: u32, count: u32| (0..count).map(|at| (first + 7 * at * at + at) % 300).collect::<Vec<u32>>();
    let (prefix, ends) = (text(5, 9), [text(100, 6), text(50, 1), text(200, 12)]);
    for (name, path, trained) in models(folder.path()) {
        for (dtype, recompute) in [(DType::F32, false), (DType::F32, true), (DType::F64, false)] {
            let run = |shared: bool| {
                let mut model = model(&path, &trained, dtype);
                model.recompute = recompute;
                // The first token of an end is asked of the last row of the prefix.
                let mut targets = Vec::new();
                let mut from = if shared { prefix.len() } else { 0 };
                for end in &ends {
                    for (at, token) in end.iter().enumerate() {
                        let row = match (shared, at) {
                            (true, 0) => prefix.len() - 1,
                            (true, _) => from + at - 1,
                            (false, _) => from + prefix.len() + at - 1,
                        };
                        targets.push(Target { row, token: *token });
                    }
                    from += end.len() + if shared { 0 } else { prefix.len() };
                }
                let whole: Vec<Vec<u32>> = ends.iter().map(|end| [&prefix[..], end].concat()).collect();
                let texts = if shared {
                    Texts::pack_behind(&prefix, ends.iter().map(Vec::as_slice))
                } else {
                    Texts::pack(whole.iter().map(Vec::as_slice))
                };
                let mut gradients = Gradients::new();
                let slope = |at: usize, _: Token| asked(at);
                let found = model
                    .loss(&texts, &targets, TEMPERATURE, Seed(0), slope, &mut gradients)
                    .expect("worked");
                let numbers: Vec<Vec<f32>> = gradients
                    .iter()
                    .map(|gradient| gradient.as_ref().expect("a gradient").to_vec().expect("numbers"))
                    .collect();
                (found, numbers)
            };
            let ((found, gradients), (expected, others)) = (run(true), run(false));
            for (own, other) in found.iter().zip(&expected) {
                assert!((own.logprob - other.logprob).abs() < 1e-5, "{name}");
            }
            for (own, other) in gradients.iter().zip(&others) {
                let norm = |all: &mut dyn Iterator<Item = f32>| all.map(|x| x * x).sum::<f32>().sqrt();
                let off =
                    norm(&mut own.iter().zip(other).map(|(a, b)| a - b)) / norm(&mut other.iter().copied());
                assert!(off < 2e-5, "{name} {dtype:?}: {off}");
            }
        }
    }
    // What goes on from nothing is refused.
    let (_, path, trained) = models(folder.path()).remove(0);
    let mut model = model(&path, &trained, DType::F32);
    for parents in
        [vec![Some(0), None, None], vec![None, Some(1), None], vec![None], vec![None, Some(0), Some(1)]]
    {
        let texts = Texts { tokens: vec![1; 4], starts: vec![0, 2, 3, 4], parents };
        let error = model.log_probabilities(&texts, &[], 1.0).expect_err("refused").to_string();
        assert!(error.contains("go on from none"), "{error}");
    }
}
