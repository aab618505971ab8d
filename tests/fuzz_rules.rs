//! The seeds and the findings of the fuzz target `rules`, played again, and every cut of them.

#[path = "../fuzz/checks/rules.rs"]
mod checks;

use std::path::Path;

#[test]
fn seeds_and_findings_hold() {
    let mut count = 0;
    for folder in ["seeds", "regressions"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder).join("rules");
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for entry in entries {
            let bytes = std::fs::read(entry.expect("an entry").path()).expect("read");
            let text = String::from_utf8_lossy(&bytes);
            for (cut, _) in text.char_indices() {
                checks::check(&text[..cut]);
            }
            checks::check(&text);
            count += 1;
        }
    }
    assert!(count >= 2, "{count} seeds");
}
