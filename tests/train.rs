//! The trainer on small real models: losses, gradients and steps are those of transformers, peft and PyTorch.
#![cfg(feature = "train")]

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use rlkd::gguf::TensorType;
use rlkd::gguf::random::{Architecture, Spec, write};
use rlkd::seed::{Seed, mix};
use rlkd::train::adapter::merge::{Export, TYPES, export as export_model};
use rlkd::train::adapter::{Adapter, peft};
use rlkd::train::cpu::head::{Slope, Token};
use rlkd::train::lora::LoraConfig;
use rlkd::train::model::{Gradients, Model, Target, Texts, Trained, Weights};
use rlkd::train::optim::{AdamW, OptimConfig, Schedule};
use serde_json::Value;
use sha2::Digest;

/// A model that golden files were made of: its name says which it is and what is trained, or how its matrices are
/// stored, and then an adapter is trained.
struct Made {
    name: String,
    spec: Spec,
    /// What it is stored as, unless as it was written.
    kind: Option<TensorType>,
}

impl Made {
    fn write(&self, path: &Path) {
        let Some(kind) = self.kind else { return write(path, &self.spec).expect("a model is written") };
        let plain = path.with_extension("plain");
        write(&plain, &self.spec).expect("a model is written");
        let export = Export { adapters: Vec::new(), kind: Some(kind) };
        let done = export_model(&plain, path, &export, |_, _| ()).expect("a model is written");
        assert_eq!(done.fell_back, 0);
    }

    fn file(&self, folder: &Path) -> PathBuf {
        let path = folder.join("model.gguf");
        self.write(&path);
        path
    }
}

/// Sizes differ from each other, so that nothing is mixed up unseen.
fn golden() -> Vec<Made> {
    let mut all = Vec::new();
    for architecture in Architecture::ALL {
        let tied = architecture == Architecture::Qwen3;
        let head_size = if architecture == Architecture::Qwen2 { 16 } else { 32 };
        let spec =
            Spec { architecture, vocabulary: 600, embedding: 96, heads: 6, kv_heads: 2, ..Spec::default() };
        let spec = Spec { layers: 2, head_size, feed_forward: 160, context: 512, tied, seed: 11, ..spec };
        for kind in ["lora", "all", "dora"] {
            let name = format!("{}-{kind}", architecture.name());
            all.push(Made { name, spec: spec.clone(), kind: None });
        }
        // A row of 256 numbers is the shortest that all types hold.
        let spec = Spec { embedding: 256, heads: 4, head_size: 64, feed_forward: 512, ..spec };
        for kind in TYPES.into_iter().filter(|kind| *kind != TensorType::F32) {
            let name = format!("{}-{}", architecture.name(), kind.name().to_ascii_lowercase());
            all.push(Made { name, spec: spec.clone(), kind: Some(kind) });
        }
    }
    all
}

/// Writes them for `golden/peft_training.py`, into the folder that is asked for.
#[test]
fn golden_models() {
    let Some(folder) = std::env::var_os("RLKD_GOLDEN") else { return };
    std::fs::create_dir_all(&folder).expect("the folder");
    for made in golden() {
        made.write(&Path::new(&folder).join(format!("{}.gguf", made.name)));
    }
}

/// Numbers between -0.05 and 0.05 that look random, the same here and in `golden/peft_training.py`.
fn numbers(name: &str, count: usize) -> Vec<f32> {
    let hash = sha2::Sha256::digest(name.as_bytes());
    let seed = u64::from_le_bytes(hash[..8].try_into().expect("eight bytes"));
    let at = |n: usize| mix(seed.wrapping_add((n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    (0..count).map(|n| (((at(n) >> 40) as f64 / f64::from(1 << 24) - 0.5) * 0.1) as f32).collect()
}

struct Golden {
    value: Value,
}

impl Golden {
    fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/training/{name}.json"));
        let text = std::fs::read_to_string(path).expect("golden");
        Golden { value: serde_json::from_str(&text).expect("JSON") }
    }

    fn floats(&self, key: &str) -> Vec<f64> {
        floats(&self.value[key])
    }

    fn texts(&self) -> Vec<Vec<u32>> {
        let texts = self.value["texts"].as_array().expect("texts").iter();
        texts.map(|text| floats(text).into_iter().map(|token| token as u32).collect()).collect()
    }
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number")).collect()
}

/// The targets of texts from some places on, with the number of tokens before each text.
fn targets(texts: &[Vec<u32>], from: &[f64]) -> Vec<Target> {
    let mut before = 0;
    let mut targets = Vec::new();
    for (text, from) in texts.iter().zip(from) {
        for (at, token) in text.iter().enumerate().skip(*from as usize) {
            targets.push(Target { row: before + at - 1, token: *token });
        }
        before += text.len();
    }
    targets
}

fn file(folder: &Path, spec: &Spec) -> PathBuf {
    let path = folder.join("model.gguf");
    write(&path, spec).expect("a model is written");
    path
}

/// The mean loss of the targets and its gradients.
fn step(model: &mut Model, texts: &Texts, targets: &[Target]) -> (f64, Gradients) {
    let (found, gradients) = tokens(model, texts, targets);
    (found.iter().sum::<f64>() / -(found.len() as f64), gradients)
}

/// The log-probabilities of the targets, and the gradients of the mean loss.
fn tokens(model: &mut Model, texts: &Texts, targets: &[Target]) -> (Vec<f64>, Gradients) {
    let mut gradients = Gradients::new();
    let share = 1.0 / targets.len() as f32;
    let slope = |_: usize, _: Token| Slope { logprob: -share, entropy: 0.0 };
    let found = model.loss(texts, targets, 1.0, Seed(1), slope, &mut gradients).expect("a loss");
    (found.iter().map(|token| token.logprob).collect(), gradients)
}

/// Losses of ten steps within 1e-4, and every gradient of the first within 1e-3 of its norm.
#[test]
fn training_is_that_of_transformers_peft_and_torch() {
    let folder = tempfile::tempdir().expect("a folder");
    for made in golden() {
        let (name, golden) = (&made.name, Golden::read(&made.name));
        let path = made.file(folder.path());
        let hash = sha2::Sha256::digest(std::fs::read(&path).expect("the file"));
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(golden.value["file_sha256"], hash, "the generator changed: make the golden files anew");
        let weights = Weights::load(&path).expect("a model");
        let lora = LoraConfig {
            r: golden.value["rank"].as_u64().expect("a rank") as usize,
            lora_alpha: golden.value["alpha"].as_f64().expect("alpha") as f32,
            use_dora: name.ends_with("dora"),
            ..LoraConfig::default()
        };
        let trained = if name.ends_with("all") { Trained::All } else { Trained::Lora(lora) };
        let is_lora = trained != Trained::All;
        let mut model = Model::new(weights, trained, Seed(0)).expect("a model");
        if is_lora {
            // Lengths of rows begin with those of the matrix.
            for one in model.parameters_mut().iter_mut().filter(|one| one.decays) {
                let begin = numbers(&one.name, one.value.elem_count());
                one.value = Tensor::from_vec(begin, one.value.shape(), &Device::Cpu).expect("a tensor");
            }
        }
        let texts = golden.texts();
        let targets = targets(&texts, &golden.floats("from"));
        let packed = Texts::pack(texts.iter().map(Vec::as_slice));
        let config = OptimConfig {
            learning_rate: golden.value["lr"].as_f64().expect("a rate") as f32,
            lr_scheduler_type: Schedule::Constant,
            warmup_ratio: 0.0,
            weight_decay: 0.01,
            ..OptimConfig::default()
        };
        let mut optimizer = AdamW::new(model.parameters()).expect("moments");
        let (losses, norms) = (golden.floats("losses"), golden.floats("grad_norms"));
        let (mut worst_logprob, mut worst_loss, mut worst_gradient) = (0.0f64, 0.0f64, 0.0f64);
        for (number, (expected, norm)) in losses.iter().zip(norms).enumerate() {
            model.recompute = number % 2 == 1;
            let (logprobs, gradients) = tokens(&mut model, &packed, &targets);
            let loss = logprobs.iter().sum::<f64>() / -(logprobs.len() as f64);
            worst_loss = worst_loss.max((loss - expected).abs());
            if number == 0 {
                for (ours, theirs) in logprobs.iter().zip(golden.floats("logprobs")) {
                    let relative = (ours - theirs).abs() / theirs.abs();
                    assert!(relative <= 1e-4, "{name}: a log-probability of {ours}, and {theirs}");
                    worst_logprob = worst_logprob.max(relative);
                }
                let all = golden.value["gradients"].as_object().expect("gradients");
                assert_eq!(all.len(), model.parameters().len());
                for (one, gradient) in model.parameters().iter().zip(&gradients) {
                    let theirs = &all[&one.name];
                    let norm = theirs["norm"].as_f64().expect("a norm");
                    let ours = gradient.as_ref().expect("a gradient").to_vec().expect("numbers");
                    let own: f64 = ours.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
                    let stride = golden.value["stride"].as_u64().expect("a stride") as usize;
                    let kept: Vec<f64> = ours.iter().step_by(stride).map(|x| f64::from(*x)).collect();
                    let theirs = floats(&theirs["numbers"]);
                    assert_eq!(kept.len(), theirs.len(), "{}", one.name);
                    let error: f64 =
                        kept.iter().zip(&theirs).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
                    let size: f64 = theirs.iter().map(|x| x.powi(2)).sum::<f64>().sqrt();
                    let relative = ((own - norm).abs() / norm).max(error / size.max(norm * 1e-3));
                    assert!(relative < 1e-3, "{name}: gradient of {}: {relative}", one.name);
                    worst_gradient = worst_gradient.max(relative);
                }
            }
            let stepped = optimizer
                .step(model.parameters_mut(), &gradients, &config, config.learning_rate)
                .expect("a step");
            assert!(stepped.taken);
            assert!(
                (f64::from(stepped.grad_norm) - norm).abs() < 1e-2 * norm,
                "{name}: norm in step {number}"
            );
        }
        println!(
            "{name}: log-probabilities within {worst_logprob:.1e}, losses within {worst_loss:.1e}, gradients within \
             {worst_gradient:.1e}"
        );
        assert!(worst_loss < 1e-4, "{name}: {worst_loss}");
    }
}

/// An adapter that peft saved is the one that peft trained.
#[test]
fn adapters_of_peft_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    for made in golden().into_iter().filter(|made| made.name.ends_with("ora")) {
        let golden = Golden::read(&made.name);
        let weights = Weights::load(&made.file(folder.path())).expect("a model");
        let saved = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("tests/golden/training/{}-adapter", made.name));
        let adapter = Adapter::load(&saved, &weights.shape).expect("an adapter");
        let mut model = Model::new(weights, Trained::Lora(adapter.config.clone()), Seed(0)).expect("a model");
        model.set_adapter(&adapter).expect("it fits");
        let texts = golden.texts();
        let targets = targets(&texts, &golden.floats("from"));
        let (loss, _) = step(&mut model, &Texts::pack(texts.iter().map(Vec::as_slice)), &targets);
        let expected = golden.value["loss_after"].as_f64().expect("a loss");
        assert!((loss - expected).abs() < 1e-4, "{}: {loss}, {expected}", made.name);
        let own = model.adapter().expect("numbers").expect("an adapter");
        assert_eq!(own.pairs, adapter.pairs);
        // What we write has the same tensors under the same names.
        let ours = peft::bytes_of(&own, &model.weights().shape).expect("bytes");
        let theirs = std::fs::read(saved.join(peft::MODEL)).expect("the file of peft");
        let tensors = |bytes: &[u8]| -> Vec<(String, Vec<usize>, Vec<u8>)> {
            let file = safetensors::SafeTensors::deserialize(bytes).expect("safetensors");
            let mut all: Vec<_> = file
                .iter()
                .map(|(name, view)| (name.to_owned(), view.shape().to_vec(), view.data().to_vec()))
                .collect();
            all.sort();
            all
        };
        assert_eq!(tensors(&ours), tensors(&theirs), "{}", made.name);
    }
}

/// The log-probabilities of every token behind a prompt, in llama.cpp and here.
#[cfg(feature = "llama")]
fn next_tokens(path: &Path, prompt: &[u32]) -> (Vec<f32>, Vec<f32>) {
    use rlkd::llama::engine::{Cancel, Engine};
    use rlkd::llama::settings::Settings;

    let settings = Settings { context: 256, parallel: 1, threads: 1, ..Settings::default() };
    let llama = rlkd::llama::model::Model::load(path, &settings).expect("a model");
    let all: Vec<u32> = (0..llama.vocabulary_size() as u32).collect();
    let engine = Engine::start(llama).expect("it starts");
    let theirs =
        engine.compare(vec![(prompt.to_vec(), 0)], &all, &Cancel::default()).remove(0).expect("worked");
    let weights = Weights::load(path).expect("a model");
    let mut model = Model::new(weights, Trained::Lora(LoraConfig::default()), Seed(0)).expect("a model");
    let targets: Vec<Target> = all.iter().map(|&token| Target { row: prompt.len() - 1, token }).collect();
    let found = model.log_probabilities(&Texts::pack([prompt]), &targets, 1.0).expect("log-probabilities");
    (theirs, found.into_iter().map(|token| token.logprob as f32).collect())
}

/// The trainer reads the same model as llama.cpp: log-probabilities of every token after a prompt are equal, with
/// matrices of floats; with quantized ones llama.cpp rounds what they are multiplied with to eight bits as well.
#[cfg(feature = "llama")]
#[test]
fn the_model_that_is_trained_is_the_one_that_llama_cpp_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let prompt: Vec<u32> = (0..40u32).map(|at| (17 * at * at + 5 * at + 3) % 600).collect();
    for spec in golden().into_iter().filter(|made| made.name.ends_with("lora")).map(|made| made.spec) {
        for (weights, most) in [
            (TensorType::F32, 1e-4),
            (TensorType::F16, 2e-3),
            (TensorType::Q8_0, 3e-2),
            (TensorType::Q4_K, 4e-2),
            (TensorType::Q6_K, 4e-2),
        ] {
            // A row of 256 numbers is the shortest that the last two hold.
            let spec =
                Spec { weights, embedding: 256, heads: 4, head_size: 64, feed_forward: 512, ..spec.clone() };
            let path = file(folder.path(), &spec);
            let (theirs, ours) = next_tokens(&path, &prompt);
            let size = theirs.iter().fold(0.0f32, |most, x| most.max(x.abs()));
            let worst = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / size;
            println!("{} {}: {worst:.1e}", spec.architecture.name(), weights.name());
            assert!(worst <= most, "{} {}: {worst}", spec.architecture.name(), weights.name());
        }
    }
}

/// Positions are scaled as llama.cpp scales them.
#[cfg(feature = "llama")]
#[test]
fn positions_are_scaled_as_llama_cpp_scales_them() {
    use rlkd::gguf::{Gguf, Value as Entry, Writer};

    let folder = tempfile::tempdir().expect("a folder");
    let prompt: Vec<u32> = (0..150u32).map(|at| (17 * at * at + 5 * at + 3) % 600).collect();
    let linear = |name: &str| {
        vec![
            (format!("{name}.rope.scaling.type"), Entry::from("linear")),
            (format!("{name}.rope.scaling.factor"), Entry::F32(4.0)),
        ]
    };
    let yarn = |name: &str| {
        vec![
            (format!("{name}.rope.scaling.type"), Entry::from("yarn")),
            (format!("{name}.rope.scaling.factor"), Entry::F32(4.0)),
            (format!("{name}.rope.scaling.original_context_length"), Entry::U32(64)),
        ]
    };
    type Keys<'a> = &'a dyn Fn(&str) -> Vec<(String, Entry)>;
    let kinds: [(&str, Keys<'_>, bool); 4] = [
        ("none", &|_| Vec::new(), false),
        ("linear", &linear, false),
        ("yarn", &yarn, false),
        ("factors", &|_| Vec::new(), true),
    ];
    for architecture in Architecture::ALL {
        let spec = Spec {
            architecture,
            vocabulary: 600,
            embedding: 128,
            heads: 2,
            kv_heads: 1,
            context: 512,
            ..Spec::default()
        };
        let plain = folder.path().join("plain.gguf");
        write(&plain, &spec).expect("a model");
        let mut before: Option<Vec<f32>> = None;
        for (kind, keys, factors) in kinds {
            // Only Llama's files have factors.
            if factors && architecture != Architecture::Llama {
                continue;
            }
            let head = Gguf::open(&plain).expect("a file");
            let metadata = [head.metadata.clone(), keys(architecture.name())].concat();
            let mut plan: Vec<_> =
                head.tensors.iter().map(|one| (one.name.clone(), one.shape.clone(), one.kind)).collect();
            if factors {
                plan.push(("rope_freqs.weight".into(), vec![32], TensorType::F32));
            }
            let path = folder.path().join(format!("{kind}.gguf"));
            let mut writer = Writer::create(&path, &metadata, &plan).expect("begun");
            let bytes = std::fs::read(&plain).expect("read");
            for tensor in &head.tensors {
                let from = (head.data_offset + tensor.offset) as usize;
                writer.write(&bytes[from..from + tensor.bytes().expect("bytes") as usize]).expect("written");
            }
            if factors {
                let numbers = (0..32).flat_map(|at| (1.0 + at as f32 / 8.0).to_le_bytes());
                writer.write(&numbers.collect::<Vec<u8>>()).expect("written");
            }
            writer.finish().expect("written");
            let (theirs, ours) = next_tokens(&path, &prompt);
            let size = theirs.iter().fold(0.0f32, |most, x| most.max(x.abs()));
            let apart = |one: &[f32], other: &[f32]| {
                one.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / size
            };
            println!("{} {kind}: {:.1e}", architecture.name(), apart(&ours, &theirs));
            assert!(
                apart(&ours, &theirs) <= 1e-4,
                "{} {kind}: {}",
                architecture.name(),
                apart(&ours, &theirs)
            );
            match &before {
                None => before = Some(theirs),
                Some(plain) => assert!(apart(&theirs, plain) > 1e-3, "{kind} changes nothing"),
            }
        }
    }
}

#[test]
fn nothing_to_learn_from_is_no_panic() {
    let folder = tempfile::tempdir().expect("a folder");
    let weights = Weights::load(&file(folder.path(), &Spec::default())).expect("a model");
    let mut model = Model::new(weights, Trained::Lora(LoraConfig::default()), Seed(0)).expect("a model");
    for texts in [Texts::pack([]), Texts::pack([&[][..]]), Texts::pack([&[][..], &[1, 2], &[]])] {
        assert_eq!(model.log_probabilities(&texts, &[], 1.0).expect("nothing"), []);
    }
    let odd = Texts { tokens: vec![1; 4], starts: vec![0, 5, 4], ..Texts::default() };
    let error = model.log_probabilities(&odd, &[], 1.0).expect_err("refused").to_string();
    assert!(error.contains("begin and end"), "{error}");
    let config = OptimConfig::default();
    let error =
        AdamW::default().step(model.parameters_mut(), &Gradients::new(), &config, 1e-3).expect_err("refused");
    assert!(error.to_string().contains("no gradients"), "{error}");
}
