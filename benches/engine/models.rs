//! The models: random weights, real shapes. Written once, next to the build.

use std::path::{Path, PathBuf};

use rlkd::gguf::TensorType;
use rlkd::gguf::random::{Spec, write};

/// A shape by name.
pub struct Shape {
    /// What it is called on the command line and in the table.
    pub name: &'static str,
    /// The model.
    pub spec: Spec,
}

/// What can be asked for. Weights are Q8_0; the vocabulary is as large as that of Qwen2.5, but for `tiny`.
pub fn shapes() -> Vec<Shape> {
    let common = Spec {
        vocabulary: 151_936,
        weights: TensorType::Q8_0,
        tied: true,
        context: 4_096,
        ..Spec::default()
    };
    let small =
        Spec { embedding: 512, layers: 4, heads: 8, kv_heads: 2, feed_forward: 1_536, ..common.clone() };
    let half =
        Spec { embedding: 896, layers: 24, heads: 14, kv_heads: 2, feed_forward: 4_864, ..common.clone() };
    let tiny = Spec { vocabulary: 2_048, ..common };
    vec![
        Shape { name: "tiny", spec: tiny },
        Shape { name: "small", spec: small },
        Shape { name: "0.5b", spec: half },
    ]
}

/// The file of a shape, written unless it is there.
pub fn file(shape: &Shape) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("engine-{}.gguf", shape.name));
    let note = path.with_extension("spec");
    let spec = format!("{:?}", shape.spec);
    if !path.exists() || std::fs::read_to_string(&note).ok().as_ref() != Some(&spec) {
        eprintln!("writing {}", path.display());
        std::fs::create_dir_all(env!("CARGO_TARGET_TMPDIR")).expect("a folder beside the build");
        write(&path, &shape.spec).expect("a model is written");
        std::fs::write(note, spec).expect("a note beside it");
    }
    path
}
