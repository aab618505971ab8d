//! Model files of ours: read as they were written, and loaded by llama.cpp.

use std::collections::BTreeSet;
use std::path::Path;

use rlkd::gguf::random::{Architecture, Spec, write};
use rlkd::gguf::{Gguf, TensorType, Value, Writer, check};

fn small(architecture: Architecture) -> Spec {
    Spec { architecture, vocabulary: 600, layers: 1, ..Spec::default() }
}

#[test]
fn a_random_model_reads_as_it_was_written() {
    let folder = tempfile::tempdir().expect("a folder");
    for architecture in Architecture::ALL {
        let path = folder.path().join("model.gguf");
        let spec = small(architecture);
        write(&path, &spec).expect("write");
        let file = Gguf::open(&path).expect("read");
        assert_eq!((file.version, file.alignment), (3, 32));
        assert_eq!(file.str("general.architecture"), Some(architecture.name()));
        assert_eq!(file.uint(&format!("{}.block_count", architecture.name())), Some(1));
        let tokens = file.strings("tokenizer.ggml.tokens").expect("tokens");
        let merges = file.strings("tokenizer.ggml.merges").expect("merges");
        assert_eq!(tokens.len(), 600);
        assert_eq!(tokens.iter().collect::<BTreeSet<_>>().len(), 600);
        // Each merge makes the token that follows the bytes and the merges before it.
        for (at, merge) in merges.iter().enumerate() {
            let (left, right) = merge.split_once(' ').expect("two parts");
            assert_eq!(tokens.get(256 + at), Some(format!("{left}{right}").as_str()));
        }
        let end =
            file.tensors.iter().map(|tensor| file.data_offset + tensor.offset + tensor.bytes().unwrap());
        assert_eq!(end.max().map(|end| end.next_multiple_of(32)), Some(file.file_length));
        let bytes = std::fs::read(&path).expect("bytes");
        write(&path, &spec).expect("write");
        assert!(bytes == std::fs::read(&path).expect("bytes"), "the same spec gives the same bytes");
        assert_eq!(std::fs::read_dir(folder.path()).expect("list").count(), 1, "nothing partial is left");
    }
}

#[test]
fn every_storage_type_is_written_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    use TensorType::{BF16, F16, F32, Q4_0, Q4_K, Q6_K, Q8_0};
    for weights in [F32, F16, BF16, Q8_0, Q4_0, Q4_K, Q6_K] {
        let path = folder.path().join("model.gguf");
        let spec = Spec { weights, embedding: 256, heads: 4, ..small(Architecture::Qwen2) };
        write(&path, &spec).expect("write");
        let file = Gguf::open(&path).expect("read");
        assert_eq!(file.tensor("blk.0.attn_q.weight").expect("a tensor").kind, weights);
    }
}

#[test]
fn a_file_gets_its_name_when_it_is_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    let names = || -> Vec<_> {
        let entries = std::fs::read_dir(folder.path()).expect("list");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    };
    let tensors = [("a".to_owned(), vec![3], TensorType::F32), ("b".to_owned(), vec![2, 2], TensorType::F16)];
    let begin = || Writer::create(&path, &[("k".into(), Value::U8(7))], &tensors).expect("create");
    let mut writer = begin();
    writer.write(&[1; 12]).expect("all of a");
    let error = writer.write(&[2; 9]).expect_err("b takes 8 bytes").to_string();
    assert!(error.contains("\"b\" takes 8 bytes, and 9 were given"), "{error}");
    writer.write(&[2; 5]).expect("a part of b");
    let error = writer.finish().expect_err("b is not whole").to_string();
    assert!(error.contains("\"b\" is not whole"), "{error}");
    assert!(names().is_empty(), "what was begun is gone: {:?}", names());

    let mut writer = begin();
    for byte in 0..20 {
        assert_eq!(names(), ["model.gguf.partial"]);
        writer.write(&[byte]).expect("room");
    }
    writer.finish().expect("whole");
    assert_eq!(names(), ["model.gguf"]);
    let (file, bytes) = (Gguf::open(&path).expect("read"), std::fs::read(&path).expect("bytes"));
    assert_eq!(file.tensors[1].offset, 32);
    let data = &bytes[file.data_offset as usize..];
    assert_eq!(data[..12], (0..12).collect::<Vec<u8>>());
    assert_eq!(data[32..40], (12..20).collect::<Vec<u8>>());
    assert_eq!(data.len(), 64);
}

#[test]
fn sizes_that_do_not_go_together_are_refused() {
    let path = Path::new("never.gguf");
    let spec = Spec::default();
    let cases = [
        (Spec { vocabulary: 258, ..spec.clone() }, "too small"),
        (Spec { head_size: 32, ..spec.clone() }, "heads * head_size"),
        (Spec { kv_heads: 3, heads: 2, ..spec.clone() }, "divide"),
        (Spec { layers: 0, ..spec.clone() }, "layers is 0"),
        (Spec { vocabulary: 1 << 40, ..spec.clone() }, "from 1 to 16777216"),
        (Spec { weights: TensorType::IQ1_S, ..spec.clone() }, "weights are"),
    ];
    for (spec, word) in cases {
        let error = write(path, &spec).expect_err(word).to_string();
        assert!(error.contains(word), "{word}: {error}");
    }
    assert!(!path.exists());
}

/// The size of Qwen's vocabulary can be had, and its merges are all used ones.
#[test]
fn a_vocabulary_of_the_real_size() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    let spec = Spec { vocabulary: 151_936, weights: TensorType::Q8_0, tied: true, ..Spec::default() };
    write(&path, &spec).expect("write");
    let facts = check(&path).expect("it passes");
    assert_eq!(facts.vocabulary, 151_936);
    let file = Gguf::open(&path).expect("read");
    let tokens = file.strings("tokenizer.ggml.tokens").expect("tokens");
    assert_eq!(tokens.len(), 151_936);
    assert_eq!(tokens.iter().collect::<BTreeSet<_>>().len(), 151_936);
}

/// What llama.cpp thinks of our files.
#[cfg(feature = "llama")]
mod loaded {
    use super::*;
    use std::num::NonZeroU32;
    use std::sync::LazyLock;

    use llama_cpp_2::context::params::{KvCacheType, LlamaContextParams};
    use llama_cpp_2::llama_backend::LlamaBackend;
    use llama_cpp_2::llama_batch::LlamaBatch;
    use llama_cpp_2::model::LlamaModel;
    use llama_cpp_2::model::params::LlamaModelParams;
    use llama_cpp_2::token::LlamaToken;
    use sha2::Digest;

    static BACKEND: LazyLock<LlamaBackend> = LazyLock::new(|| {
        let mut backend = LlamaBackend::init().expect("llama.cpp starts");
        backend.void_logs();
        backend
    });

    fn load(path: &Path) -> LlamaModel {
        LlamaModel::load_from_file(&BACKEND, path, &LlamaModelParams::default())
            .expect("llama.cpp loads the file")
    }

    /// The logits after every token.
    fn logits(model: &LlamaModel, tokens: &[LlamaToken]) -> Vec<Vec<f32>> {
        // Float32 all the way: llama.cpp's defaults, float16 keys and values and its flash attention on a CPU, differ
        // by 1e-3 of the largest logit. 0 turns flash attention off.
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(256))
            .with_n_threads(1)
            .with_type_k(KvCacheType::F32)
            .with_type_v(KvCacheType::F32)
            .with_flash_attention_policy(0);
        let mut context = model.new_context(&BACKEND, params).expect("a context");
        let mut batch = LlamaBatch::new(tokens.len(), 1);
        for (at, &token) in tokens.iter().enumerate() {
            batch.add(token, at as i32, &[0], true).expect("room");
        }
        context.decode(&mut batch).expect("decode");
        (0..tokens.len()).map(|at| context.get_logits_ith(at as i32).to_vec()).collect()
    }

    #[test]
    fn llama_cpp_loads_and_decodes_every_architecture_and_type() {
        let folder = tempfile::tempdir().expect("a folder");
        use TensorType::{BF16, F16, F32, Q4_0, Q4_K, Q6_K, Q8_0};
        for architecture in Architecture::ALL {
            for weights in [F32, F16, BF16, Q8_0, Q4_0, Q4_K, Q6_K] {
                let path = folder.path().join("model.gguf");
                let tied = weights == F16;
                let spec =
                    Spec { weights, tied, embedding: 256, heads: 4, kv_heads: 2, ..small(architecture) };
                write(&path, &spec).expect("write");
                let model = load(&path);
                assert_eq!(model.n_vocab(), 600);
                let text = "So we add 12 and 345. [Answer 1]: \u{3b1}\u{1f600}\n\n";
                let tokens = model.vocab().tokenize(text.as_bytes(), false, true);
                let bytes: Vec<u8> = tokens
                    .iter()
                    .flat_map(|&token| model.vocab().token_to_piece(token, true, None))
                    .collect();
                assert_eq!(String::from_utf8_lossy(&bytes), text);
                assert!(tokens.len() < text.len(), "merges are used");
                for logits in logits(&model, &tokens) {
                    let mean = logits.iter().sum::<f32>() / logits.len() as f32;
                    let spread = logits.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / logits.len() as f32;
                    assert!((0.3..30.0).contains(&spread), "{architecture:?} {weights}: variance {spread}");
                }
            }
        }
    }

    /// The models that golden logits were made of. Sizes that differ from each other, so that nothing is mixed up
    /// unseen; qwen3 with heads wider than `embedding / heads`, and tied.
    fn golden(architecture: Architecture) -> Spec {
        let spec =
            Spec { architecture, vocabulary: 600, embedding: 96, heads: 6, kv_heads: 2, ..Spec::default() };
        let tied = architecture == Architecture::Qwen3;
        let head_size = if architecture == Architecture::Qwen2 { 16 } else { 32 };
        Spec { layers: 3, head_size, feed_forward: 160, context: 512, tied, seed: 11, ..spec }
    }

    /// Writes them for `golden/transformers_logits.py`, into the folder that is asked for.
    #[test]
    fn golden_models() {
        let Some(folder) = std::env::var_os("RLKD_GOLDEN") else { return };
        std::fs::create_dir_all(&folder).expect("the folder");
        for architecture in Architecture::ALL {
            let path = Path::new(&folder).join(format!("{}.gguf", architecture.name()));
            write(&path, &golden(architecture)).expect("write");
        }
    }

    /// The same weights give the same logits in llama.cpp as in transformers: the largest difference is below 1e-4 of
    /// the largest logit, in size, of all that transformers gave.
    #[test]
    fn logits_are_those_of_transformers() {
        let folder = tempfile::tempdir().expect("a folder");
        for architecture in Architecture::ALL {
            let path = folder.path().join("model.gguf");
            write(&path, &golden(architecture)).expect("write");
            let name = format!("tests/golden/logits/{}.json", architecture.name());
            let text =
                std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("golden");
            let golden: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            let hash = sha2::Sha256::digest(std::fs::read(&path).expect("the file"));
            let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(golden["file_sha256"], hash, "the generator changed: make the golden logits anew");
            let tokens = golden["tokens"].as_array().expect("tokens").iter();
            let tokens: Vec<LlamaToken> =
                tokens.map(|token| LlamaToken(token.as_i64().expect("a token") as i32)).collect();
            let largest = golden["largest"].as_f64().expect("a number");
            let stride = golden["stride"].as_u64().expect("a number") as usize;
            let ours = logits(&load(&path), &tokens);
            let (mut worst, mut compared) = (0.0f64, 0);
            for (position, theirs) in golden["logits"].as_object().expect("positions") {
                let ours = ours[position.parse::<usize>().expect("a position")].iter().step_by(stride);
                let theirs = theirs.as_array().expect("logits");
                assert_eq!(ours.len(), theirs.len());
                for (ours, theirs) in ours.zip(theirs) {
                    worst =
                        worst.max((f64::from(*ours) - theirs.as_f64().expect("a number")).abs() / largest);
                    compared += 1;
                }
            }
            println!(
                "{architecture:?}: {compared} logits, largest {largest:.2}, worst relative error {worst:.2e}"
            );
            assert!(compared >= 300 && largest > 1.0 && worst < 1e-4, "{architecture:?}: {worst:e}");
        }
    }
}
