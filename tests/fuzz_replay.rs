//! The seeds and the findings of every fuzz target, played again, and cuts of them.
//!
//! A new target needs its line in [`TARGETS`]; [`every_target_is_replayed`] says so when it is missing.

// The checks are shared with the targets and the tests, each of which uses a part.
#![allow(dead_code)]

#[cfg(feature = "train")]
#[path = "../fuzz/checks/adapter.rs"]
mod adapter;
#[path = "../fuzz/checks/align.rs"]
mod align;
#[path = "../fuzz/checks/answer_extract.rs"]
mod answer_extract;
#[path = "../fuzz/checks/dataset.rs"]
mod dataset;
#[path = "../fuzz/checks/gguf.rs"]
mod gguf;
#[path = "../fuzz/checks/mix.rs"]
mod mix;
#[path = "../fuzz/checks/rules.rs"]
mod rules;
#[path = "oracle/tagged.rs"]
mod tagged;
#[path = "../fuzz/checks/tree.rs"]
mod tree;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use arbitrary::{Arbitrary, Unstructured};

/// A target: its name, and its check of one input as the target makes it from bytes.
type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 9] = [
    // Without the trainer there is nothing that reads adapters.
    #[cfg(feature = "train")]
    ("adapter", adapter::check),
    #[cfg(not(feature = "train"))]
    ("adapter", |_| ()),
    ("align", |bytes| {
        if let Ok(grid) = align::Grid::arbitrary_take_rest(Unstructured::new(bytes)) {
            align::check(&grid);
        }
    }),
    ("answer_extract", answer_extract::check_all),
    ("dataset", dataset::check),
    ("gguf", gguf::check),
    ("mix", |bytes| {
        if let Ok(input) = mix::Input::arbitrary_take_rest(Unstructured::new(bytes)) {
            mix::check(&input);
        }
    }),
    ("rules", |bytes| rules::check(&String::from_utf8_lossy(bytes))),
    ("tagged", |bytes| tagged::check(&String::from_utf8_lossy(bytes))),
    ("tree", tree::check),
];

/// Cuts of each input that are tried besides the whole one: a file may end anywhere.
const CUTS: usize = 32;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn names(folder: &Path) -> BTreeSet<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return BTreeSet::new() };
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

fn replay(name: &str) {
    let (_, check) = TARGETS.iter().find(|target| target.0 == name).expect("a target");
    let mut count = 0;
    for folder in ["seeds", "regressions"] {
        let folder = fuzz().join(folder).join(name);
        for file in names(&folder) {
            println!("{}", folder.join(&file).display());
            let bytes = std::fs::read(folder.join(&file)).expect("read");
            check(&bytes);
            for cut in (0..bytes.len()).step_by(bytes.len() / CUTS + 1) {
                check(&bytes[..cut]);
            }
            count += usize::from(folder.ends_with(Path::new("seeds").join(name)));
        }
    }
    assert!(count >= 2, "{name} has {count} seeds");
}

#[test]
fn adapter_holds() {
    replay("adapter");
}

#[test]
fn align_holds() {
    replay("align");
}

#[test]
fn answer_extract_holds() {
    replay("answer_extract");
}

#[test]
fn dataset_holds() {
    replay("dataset");
}

#[test]
fn gguf_holds() {
    replay("gguf");
}

#[test]
fn mix_holds() {
    replay("mix");
}

#[test]
fn rules_hold() {
    replay("rules");
}

#[test]
fn tagged_holds() {
    replay("tagged");
}

#[test]
fn tree_holds() {
    replay("tree");
}

#[test]
fn every_target_is_replayed() {
    let known: BTreeSet<String> = TARGETS.iter().map(|target| target.0.to_owned()).collect();
    let targets = names(&fuzz().join("fuzz_targets"));
    let targets: BTreeSet<String> = targets.iter().map(|name| name.trim_end_matches(".rs").into()).collect();
    assert_eq!(targets, known);
    for folder in ["seeds", "regressions"] {
        let strange: Vec<String> = names(&fuzz().join(folder)).difference(&known).cloned().collect();
        assert!(strange.iter().all(|name| name.starts_with('.')), "{folder} of no target: {strange:?}");
    }
}
