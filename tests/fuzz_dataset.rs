//! The seeds and the findings of the fuzz target `dataset`, played again.

#[path = "../fuzz/checks/dataset.rs"]
mod checks;

use std::path::Path;

#[test]
fn seeds_and_findings_hold() {
    let mut count = 0;
    for folder in ["seeds", "regressions"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder).join("dataset");
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for entry in entries {
            let path = entry.expect("an entry").path();
            println!("{}", path.display());
            let bytes = std::fs::read(&path).expect("read");
            checks::check(&bytes);
            // Every cut of it too: a file may end anywhere.
            for cut in (0..bytes.len()).step_by(bytes.len() / 32 + 1) {
                checks::check(&bytes[..cut]);
            }
            count += 1;
        }
    }
    assert!(count >= 7, "{count} seeds");
}
