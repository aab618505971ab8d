//! Adapters: they come back as they were written, llama.cpp and the trainer mean the same by them, a model with one in it
//! is a model with one beside it, and damaged ones are errors.
#![cfg(feature = "train")]

use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use rlkd::gguf::TensorType;
use rlkd::gguf::random::{Architecture, Spec, write};
use rlkd::seed::Seed;
use rlkd::train::adapter::merge::{Export, TYPES, export};
use rlkd::train::adapter::{Adapter, Pair, gguf, peft};
use rlkd::train::cpu::head::{Slope, Token};
use rlkd::train::lora::LoraConfig;
use rlkd::train::model::shape::Shape;
use rlkd::train::model::{Gradients, Model, Target, Texts, Trained, Weights};

const VOCABULARY: usize = 320;

fn spec(architecture: Architecture) -> Spec {
    let base = Spec {
        architecture,
        vocabulary: VOCABULARY,
        embedding: 256,
        heads: 4,
        kv_heads: 2,
        ..Spec::default()
    };
    Spec { head_size: 64, feed_forward: 512, context: 256, ..base }
}

fn model_file(folder: &Path, architecture: Architecture) -> PathBuf {
    let path = folder.join(format!("{}.gguf", architecture.name()));
    write(&path, &spec(architecture)).expect("a model");
    path
}

fn shape(model: &Path) -> Shape {
    Weights::load(model).expect("a model").shape
}

/// An adapter of random numbers that changes much.
fn adapter(shape: &Shape, config: LoraConfig) -> Adapter {
    let mut pairs = std::collections::BTreeMap::new();
    for layer in 0..shape.layers {
        for (module, name) in rlkd::train::lora::MODULES {
            if !config.covers(layer, module) {
                continue;
            }
            let (rows, columns) = shape.sizes(name);
            let name = format!("blk.{layer}.{name}.weight");
            let draw = |count: usize, what: &str| -> Vec<f32> {
                let mut stream = Seed(5).stream(&format!("{name}.{what}"), 0);
                (0..count).map(|_| (stream.next_f64() - 0.5) as f32 * 0.2).collect()
            };
            let (a, b) = (draw(config.r * columns, "a"), draw(rows * config.r, "b"));
            let lengths = config.use_dora.then(|| draw(rows, "lengths").iter().map(|x| x + 0.3).collect());
            let pair = Pair { a, b, rank: config.r, rows, columns, scale: config.scale(), lengths };
            pairs.insert(name, pair);
        }
    }
    Adapter { config, architecture: shape.architecture.clone(), pairs }
}

fn config() -> LoraConfig {
    LoraConfig { r: 3, lora_alpha: 7.0, ..LoraConfig::default() }
}

/// The logarithm of the probability of every token behind a prompt.
fn log_probabilities(model: &Path, adapter: Option<&Adapter>) -> Vec<f32> {
    let weights = Weights::load(model).expect("a model");
    let config = adapter.map_or_else(config, |adapter| adapter.config.clone());
    let mut model = Model::new(weights, Trained::Lora(config), Seed(0)).expect("a model");
    if let Some(adapter) = adapter {
        model.set_adapter(adapter).expect("it fits");
    }
    let targets: Vec<Target> =
        (0..VOCABULARY as u32).map(|token| Target { row: prompt().len() - 1, token }).collect();
    let found = model.log_probabilities(&Texts::pack([&prompt()[..]]), &targets, 1.0).expect("worked");
    found.into_iter().map(|token| token.logprob as f32).collect()
}

fn prompt() -> Vec<u32> {
    (0..30u32).map(|at| (17 * at * at + 5 * at + 3) % VOCABULARY as u32).collect()
}

/// The largest difference, beside the largest number.
fn apart(one: &[f32], other: &[f32]) -> f32 {
    assert_eq!(one.len(), other.len());
    let size = other.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    one.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / size
}

#[test]
fn they_come_back_as_they_were_written() {
    let room = tempfile::tempdir().expect("a folder");
    for architecture in Architecture::ALL {
        let shape = shape(&model_file(room.path(), architecture));
        for config in [
            config(),
            LoraConfig { use_rslora: true, ..config() },
            LoraConfig { use_dora: true, ..config() },
            LoraConfig {
                target_modules: vec!["layers.1.q_proj".into(), "layers.0.up_proj".into()],
                ..config()
            },
        ] {
            let own = adapter(&shape, config);
            let folder = room.path().join("there");
            own.save(&folder, &shape, "base").expect("written");
            let back = Adapter::load(&folder, &shape).expect("read");
            assert_eq!(back.pairs, own.pairs);
            assert_eq!((back.config.r, back.config.use_rslora), (own.config.r, own.config.use_rslora));
            let file = room.path().join("there.gguf");
            if own.config.use_dora {
                let error = back.save(&file, &shape, "base").expect_err("refused").to_string();
                assert!(error.contains("use_dora") && error.contains("rlkd export"), "{error}");
                continue;
            }
            back.save(&file, &shape, "base").expect("written");
            let again = Adapter::load(&file, &shape).expect("read");
            // llama.cpp keeps alpha, so a scale comes back to within its rounding.
            for (name, pair) in &again.pairs {
                let own = &own.pairs[name];
                assert!((pair.scale / own.scale - 1.0).abs() < 1e-6);
                assert_eq!((&pair.a, &pair.b, pair.rank), (&own.a, &own.b, own.rank));
            }
        }
    }
    let left: Vec<_> = std::fs::read_dir(room.path()).expect("a folder").collect();
    assert_eq!(left.len(), 5, "nothing else is left: {left:?}");
}

/// What peft makes of the names: a list of modules where every layer has them, or each matrix by its own.
#[test]
fn configurations_say_what_is_covered() {
    let room = tempfile::tempdir().expect("a folder");
    let shape = shape(&model_file(room.path(), Architecture::Llama));
    let all = peft::config_of(&adapter(&shape, config()), &shape, "base.gguf");
    assert_eq!(all["target_modules"].as_array().map(Vec::len), Some(7));
    assert_eq!((all["r"].as_u64(), all["lora_alpha"].as_f64()), (Some(3), Some(7.0)));
    let some = LoraConfig { target_modules: vec!["layers.1.q_proj".into()], ..config() };
    let some = peft::config_of(&adapter(&shape, some), &shape, "base.gguf");
    assert_eq!(some["target_modules"], serde_json::json!(["layers.1.self_attn.q_proj"]));
}

#[test]
fn merged_is_beside_and_comes_out_again() {
    let room = tempfile::tempdir().expect("a folder");
    for architecture in Architecture::ALL {
        let base = model_file(room.path(), architecture);
        let (own, merged, back) =
            (adapter(&shape(&base), config()), room.path().join("m.gguf"), room.path().join("b.gguf"));
        let done = export(&base, &merged, &Export { adapters: vec![(&own, 1.0)], kind: None }, |_, _| ())
            .expect("merged");
        assert_eq!((done.merged, done.stored_anew), (14, 0));
        let (plain, beside, inside) = (
            log_probabilities(&base, None),
            log_probabilities(&base, Some(&own)),
            log_probabilities(&merged, None),
        );
        assert!(apart(&beside, &plain) > 1e-2, "the adapter does something");
        assert!(apart(&inside, &beside) < 1e-5, "{}: {}", architecture.name(), apart(&inside, &beside));
        export(&merged, &back, &Export { adapters: vec![(&own, -1.0)], kind: None }, |_, _| ())
            .expect("taken out");
        assert!(apart(&log_probabilities(&back, None), &plain) < 1e-5);
        // Two halves are one whole.
        export(&base, &merged, &Export { adapters: vec![(&own, 0.25), (&own, 0.75)], kind: None }, |_, _| ())
            .expect("merged");
        assert!(apart(&log_probabilities(&merged, None), &beside) < 1e-5);
        // Lengths of rows belong to the sum of matrix and adapter.
        let dora = adapter(&shape(&base), LoraConfig { use_dora: true, ..config() });
        export(&base, &merged, &Export { adapters: vec![(&dora, 1.0)], kind: None }, |_, _| ())
            .expect("merged");
        let beside = log_probabilities(&base, Some(&dora));
        assert!(apart(&beside, &plain) > 1e-2, "the adapter does something");
        assert!(apart(&log_probabilities(&merged, None), &beside) < 1e-5);
        let half = Export { adapters: vec![(&dora, 0.5)], kind: None };
        let error = export(&base, &back, &half, |_, _| ()).expect_err("refused").to_string();
        assert!(error.contains("use_dora"), "{error}");
    }
}

/// An adapter on top of another that stays as it is: the same as on the model with that one in it, also where matrices
/// are packed; and so are the gradients.
#[test]
fn one_adapter_lies_beneath_another() {
    let room = tempfile::tempdir().expect("a folder");
    for (architecture, kind) in [
        (Architecture::Llama, TensorType::F32),
        (Architecture::Qwen2, TensorType::Q4_K),
        (Architecture::Qwen3, TensorType::F16),
    ] {
        let (base, merged) = (room.path().join("base.gguf"), room.path().join("merged.gguf"));
        let plain = model_file(room.path(), architecture);
        export(&plain, &base, &Export { adapters: Vec::new(), kind: Some(kind) }, |_, _| ())
            .expect("written");
        let shape = shape(&base);
        let beneath = adapter(&shape, LoraConfig { r: 5, target_modules: vec!["*_proj".into()], ..config() });
        let what = Export { adapters: vec![(&beneath, 1.0)], kind: Some(TensorType::F32) };
        export(&base, &merged, &what, |_, _| ()).expect("merged");
        for config in [config(), LoraConfig { use_dora: true, ..config() }] {
            let on_top = adapter(&shape, config);
            let targets: Vec<Target> = (4..20).map(|row| Target { row, token: prompt()[row + 1] }).collect();
            let found = |mut weights: Weights, put: bool, dtype: DType| {
                if put {
                    weights.put(&beneath).expect("it fits");
                }
                let trained = Trained::Lora(on_top.config.clone());
                let mut model = Model::new(weights, trained, Seed(0)).expect("a model");
                model.set_adapter(&on_top).expect("it fits");
                let mut model = model.to(&Device::Cpu, dtype).expect("moved");
                let mut gradients = Gradients::new();
                let slope = |_: usize, _: Token| Slope { logprob: -0.1, entropy: 0.0 };
                let texts = Texts::pack([&prompt()[..]]);
                let tokens =
                    model.loss(&texts, &targets, 1.0, Seed(0), slope, &mut gradients).expect("worked");
                let mut all: Vec<f32> = tokens.iter().map(|token| token.logprob as f32).collect();
                let sizes = gradients
                    .iter()
                    .map(|gradient| gradient.as_ref().expect("one").to_vec().expect("numbers"));
                for one in sizes {
                    let norm = one.iter().map(|x| x * x).sum::<f32>().sqrt();
                    all.push(norm);
                    all.extend(one.iter().map(|x| x / norm));
                }
                all
            };
            let load = |path: &Path| Weights::load(path).expect("a model");
            let expected = found(load(&merged), false, DType::F32);
            assert!(
                apart(&found(load(&base), false, DType::F32), &expected) > 1e-2,
                "what is beneath does something"
            );
            for dtype in [DType::F32, DType::F64] {
                let own = found(load(&base), true, dtype);
                println!("{} {dtype:?}: {:.1e}", kind.name(), apart(&own, &expected));
                assert!(
                    apart(&own, &expected) < 1e-5,
                    "{} {dtype:?}: {}",
                    kind.name(),
                    apart(&own, &expected)
                );
            }
            let mut weights = load(&base);
            if on_top.config.use_dora {
                let error = weights.put(&on_top).expect_err("refused").to_string();
                assert!(error.contains("use_dora"), "{error}");
            }
        }
    }
}

#[test]
fn models_are_written_in_every_type() {
    let room = tempfile::tempdir().expect("a folder");
    let base = model_file(room.path(), Architecture::Qwen3);
    let plain = log_probabilities(&base, None);
    let size = |path: &Path| std::fs::metadata(path).expect("a file").len();
    for (kind, most) in TYPES.into_iter().zip([0.0, 1e-3, 1e-2, 2e-2, 0.3, 0.3, 0.2, 0.1]) {
        let path = room.path().join("out.gguf");
        export(&base, &path, &Export { adapters: Vec::new(), kind: Some(kind) }, |_, _| ()).expect("written");
        let facts = rlkd::gguf::check(&path).expect("a good file");
        assert_eq!(facts.architecture, "qwen3");
        let found = apart(&log_probabilities(&path, None), &plain);
        println!("{}: {found:.1e}, {} bytes", kind.name(), size(&path));
        assert!(found <= most, "{}: {found}", kind.name());
        assert!(kind == TensorType::F32 || size(&path) < size(&base));
    }
    let error = export(&base, &base, &Export::default(), |_, _| ()).expect_err("refused").to_string();
    assert!(error.contains("the model itself"), "{error}");
}

/// The same file and the same adapter give the same log-probabilities in llama.cpp.
#[cfg(feature = "llama")]
#[test]
fn llama_cpp_means_the_same_by_them() {
    use llama_cpp_2::context::params::{KvCacheType, LlamaContextParams};
    use llama_cpp_2::llama_backend::LlamaBackend;
    use llama_cpp_2::llama_batch::LlamaBatch;
    use llama_cpp_2::model::LlamaModel;
    use llama_cpp_2::model::params::LlamaModelParams;
    use llama_cpp_2::token::LlamaToken;

    let room = tempfile::tempdir().expect("a folder");
    let mut backend = LlamaBackend::init().expect("llama.cpp");
    backend.void_logs();
    // Keys and values as they are: with f16 they differ by 7e-4.
    let params = || {
        let params =
            LlamaContextParams::default().with_type_k(KvCacheType::F32).with_type_v(KvCacheType::F32);
        params.with_flash_attention_policy(llama_cpp_sys_2::LLAMA_FLASH_ATTN_TYPE_DISABLED)
    };
    for architecture in Architecture::ALL {
        let base = model_file(room.path(), architecture);
        for (kind, most) in [(TensorType::F32, 1e-4), (TensorType::Q8_0, 3e-2), (TensorType::Q4_K, 6e-2)] {
            let path = room.path().join("stored.gguf");
            export(&base, &path, &Export { adapters: Vec::new(), kind: Some(kind) }, |_, _| ())
                .expect("written");
            let shape = shape(&path);
            for config in [config(), LoraConfig { use_rslora: true, r: 5, ..config() }] {
                let own = adapter(&shape, config);
                let file = room.path().join("adapter.gguf");
                own.save(&file, &shape, "base").expect("written");
                let mut model = LlamaModel::load_from_file(&backend, &path, &LlamaModelParams::default())
                    .expect("a model");
                let mut low = model.lora_adapter_init(&file).expect("an adapter");
                let mut context = model.new_context(&backend, params()).expect("a context");
                context.lora_adapter_set(&mut low, 1.0).expect("set");
                let mut batch = LlamaBatch::new(64, 1);
                for (at, token) in prompt().iter().enumerate() {
                    let last = at + 1 == prompt().len();
                    batch.add(LlamaToken(token.cast_signed()), at as i32, &[0], last).expect("room");
                }
                context.decode(&mut batch).expect("decoded");
                let logits = context.get_logits_ith(prompt().len() as i32 - 1);
                let most_likely = logits.iter().fold(f32::NEG_INFINITY, |most, x| most.max(*x));
                let sum: f64 = logits.iter().map(|x| f64::from(x - most_likely).exp()).sum();
                let theirs: Vec<f32> = logits.iter().map(|x| x - most_likely - sum.ln() as f32).collect();
                let found = apart(&log_probabilities(&path, Some(&own)), &theirs);
                println!("{} {}: {found:.1e}", architecture.name(), kind.name());
                assert!(found <= most, "{} {}: {found}", architecture.name(), kind.name());
            }
        }
    }
}

#[test]
fn adapters_of_other_models_are_refused() {
    let room = tempfile::tempdir().expect("a folder");
    let qwen = shape(&model_file(room.path(), Architecture::Qwen2));
    let llama = shape(&model_file(room.path(), Architecture::Llama));
    let own = adapter(&qwen, config());
    let file = room.path().join("a.gguf");
    own.save(&file, &qwen, "base").expect("written");
    let error = Adapter::load(&file, &llama).expect_err("refused").to_string();
    assert!(
        error.contains("a.gguf") && error.contains("\"qwen2\"") && error.contains("\"llama\""),
        "{error}"
    );
    let narrow = Spec { embedding: 128, heads: 2, ..spec(Architecture::Qwen2) };
    let path = room.path().join("narrow.gguf");
    write(&path, &narrow).expect("a model");
    for place in [file.clone(), {
        let folder = room.path().join("folder");
        own.save(&folder, &qwen, "base").expect("written");
        folder
    }] {
        let error = Adapter::load(&place, &shape(&path)).expect_err("refused").to_string();
        assert!(error.contains("blk.0.attn_k.weight") && error.contains("another model"), "{error}");
    }
    let mut short = shape(&path);
    short.layers = 1;
    let mut deep = adapter(&shape(&path), config());
    let error = deep.check(&short).expect_err("refused").to_string();
    assert!(error.contains("blk.1.") && error.contains("1 layers"), "{error}");
    deep.pairs.values_mut().next().expect("a pair").b[4] = f32::NAN;
    let error = deep.check(&shape(&path)).expect_err("refused").to_string();
    assert!(error.contains("NaN"), "{error}");
    // A folder says the architecture too, where the sizes do not tell.
    let folder = room.path().join("same");
    let mut twin = shape(&path);
    adapter(&twin, config()).save(&folder, &twin, "base").expect("written");
    twin.architecture = "qwen3".into();
    let error = Adapter::load(&folder, &twin).expect_err("refused").to_string();
    assert!(error.contains("\"qwen2\"") && error.contains("\"qwen3\""), "{error}");
    let theirs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/training/llama-lora-adapter");
    let error = Adapter::load(&theirs, &twin).expect_err("refused").to_string();
    assert!(error.contains("\"llama\""), "{error}");
    // Another rank than the one that is trained.
    let mut model = Model::new(
        Weights::load(&path).expect("a model"),
        Trained::Lora(LoraConfig { r: 2, ..config() }),
        Seed(0),
    )
    .expect("a model");
    let error = model.set_adapter(&adapter(&shape(&path), config())).expect_err("refused").to_string();
    assert!(
        error.contains("rank 3") && error.contains("makes 2") && error.contains("r = 3, lora_alpha = 7"),
        "{error}"
    );
    let dora = adapter(&shape(&path), LoraConfig { r: 2, use_dora: true, ..config() });
    let error = model.set_adapter(&dora).expect_err("refused").to_string();
    assert!(error.contains("use_dora = true"), "{error}");
    // Lengths without use_dora, and the other way round.
    let bytes = peft::bytes_of(&dora, &shape(&path)).expect("bytes");
    let without = LoraConfig { use_dora: false, ..dora.config.clone() };
    let error = peft::parse(&bytes, without, &shape(&path)).expect_err("refused").to_string();
    assert!(error.contains("use_dora is not set"), "{error}");
    let plain = peft::bytes_of(&adapter(&shape(&path), config()), &shape(&path)).expect("bytes");
    let found = peft::parse(&plain, dora.config, &shape(&path)).expect("read");
    let error = found.check(&shape(&path)).expect_err("refused").to_string();
    assert!(error.contains("use_dora is true") && error.contains("has none"), "{error}");
}

/// Cut, flipped and swapped bytes: an error, or an adapter that passes the check; never a panic.
#[test]
fn damaged_files_are_errors() {
    let room = tempfile::tempdir().expect("a folder");
    let spec = Spec {
        embedding: 64,
        heads: 1,
        kv_heads: 1,
        head_size: 64,
        feed_forward: 64,
        layers: 1,
        ..spec(Architecture::Llama)
    };
    let path = room.path().join("m.gguf");
    write(&path, &spec).expect("a model");
    let shape = shape(&path);
    let own = adapter(&shape, LoraConfig { r: 1, ..config() });
    let file = room.path().join("a.gguf");
    own.save(&file, &shape, "base").expect("written");
    let as_gguf = std::fs::read(&file).expect("read");
    let as_peft = peft::bytes_of(&own, &shape).expect("bytes");
    let read_gguf = |bytes: &[u8]| {
        gguf::read(std::io::Cursor::new(bytes)).and_then(|found| found.check(&shape).map(|()| found))
    };
    let read_peft = |bytes: &[u8]| {
        peft::parse(bytes, own.config.clone(), &shape).and_then(|found| found.check(&shape).map(|()| found))
    };
    assert!(read_gguf(&as_gguf).is_ok() && read_peft(&as_peft).is_ok());
    let mut stream = Seed(3).stream("damage", 0);
    let (mut refused, mut rounds) = (0, 0);
    for (bytes, read) in [
        (&as_gguf, &read_gguf as &dyn Fn(&[u8]) -> rlkd::Result<Adapter>),
        (&as_peft, &read_peft as &dyn Fn(&[u8]) -> rlkd::Result<Adapter>),
    ] {
        for cut in (0..bytes.len()).step_by(1 + bytes.len() / 400) {
            assert!(read(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        for _ in 0..3000 {
            let mut other = bytes.clone();
            for _ in 0..1 + stream.below(4) {
                // Mostly in the head, where the structure is.
                let most = if stream.below(4) > 0 { 2_000 } else { bytes.len() as u64 };
                let at = stream.below(most.min(bytes.len() as u64)) as usize;
                other[at] = if stream.below(2) == 0 {
                    stream.next_u64() as u8
                } else {
                    other[at] ^ 1 << stream.below(8)
                };
            }
            rounds += 1;
            refused += usize::from(read(&other).is_err());
        }
    }
    println!("{refused} of {rounds} damaged adapters are refused");
    assert!(refused > rounds / 3);
    let error = Adapter::load(&room.path().join("nowhere"), &shape).expect_err("missing").to_string();
    assert!(error.contains("nowhere: there is no such adapter"), "{error}");
    std::fs::create_dir(room.path().join("empty")).expect("a folder");
    let error = Adapter::load(&room.path().join("empty"), &shape).expect_err("missing").to_string();
    assert!(error.contains("adapter_config.json"), "{error}");
}

/// Ranks and scales that differ from matrix to matrix come through both formats; and no folder is replaced that holds
/// anything else.
#[test]
fn odd_adapters_and_odd_places() {
    let room = tempfile::tempdir().expect("a folder");
    let shape = shape(&model_file(room.path(), Architecture::Qwen2));
    let mut own = adapter(&shape, config());
    let other = adapter(&shape, LoraConfig { r: 5, lora_alpha: 20.0, ..config() });
    let name = "blk.1.ffn_up.weight";
    own.pairs.insert(name.into(), other.pairs[name].clone());
    let product = |pair: &Pair| -> Vec<f32> {
        let row = |row: usize| (0..pair.columns).map(move |column| (row, column));
        let at = |(row, column): (usize, usize)| {
            let sum: f32 =
                (0..pair.rank).map(|r| pair.b[row * pair.rank + r] * pair.a[r * pair.columns + column]).sum();
            sum * pair.scale
        };
        (0..4).flat_map(row).map(at).collect()
    };
    let (folder, file) = (room.path().join("odd"), room.path().join("odd.gguf"));
    // A slash at the end is what shells add.
    own.save(Path::new(&format!("{}/", folder.display())), &shape, "base").expect("written");
    let text = std::fs::read_to_string(folder.join(peft::CONFIG)).expect("the configuration");
    assert!(text.contains("\"layers.1.mlp.up_proj\": 5"), "{text}");
    let back = Adapter::load(&folder, &shape).expect("read");
    back.save(&file, &shape, "base").expect("written");
    for again in [&back, &Adapter::load(&file, &shape).expect("read")] {
        for (name, pair) in &own.pairs {
            assert!(apart(&product(&again.pairs[name]), &product(pair)) < 1e-6, "{name}");
        }
    }
    // The same folder once more, and then with something of somebody's in it.
    own.save(&folder, &shape, "base").expect("replaced");
    std::fs::write(folder.join("notes.txt"), "mine").expect("written");
    let error = own.save(&folder, &shape, "base").expect_err("refused").to_string();
    assert!(error.contains("holds other things"), "{error}");
    assert_eq!(std::fs::read_to_string(folder.join("notes.txt")).expect("still there"), "mine");
    own.save(Path::new("/"), &shape, "base").expect_err("refused");
    let left = std::fs::read_dir(room.path()).expect("a folder").count();
    assert_eq!(left, 3, "a model, a folder, a file");
}
