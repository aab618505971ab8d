//! Scores two students with a language model that writes the steps of each trace (a GSRM).
//!
//! `cargo run --release --example gsrm -- model.gguf`; without a GSRM at hand, `tiny-random-qwen2` in place of the file
//! shows the machinery at work (after `rlkd models fetch tiny-random-qwen2`), with steps that mean nothing.

use rlkd::score::{Scorer, Settings};
use rlkd::trace::{Domain, Sample, Trace};

fn main() -> rlkd::Result<()> {
    let mut settings = Settings { decomposer: "gsrm".into(), ..Settings::default() };
    settings.llama.model = std::env::args().nth(1);
    settings.llama.gsrm.limits.max_steps = 8;
    let sample = Sample {
        id: "eggs".into(),
        domain: Domain::Math,
        problem: "A farm packs 18 trays of 24 eggs and sells 5/6 of them. How many are left?".into(),
        teachers: vec![Trace::new("There are 18 * 24 = 432 eggs. One sixth is left, and 432 / 6 = 72.")],
        students: vec![
            Trace::new("In all 24 * 18 = 432 eggs. The farm keeps a sixth: 432 / 6 = 72."),
            Trace::new("432 * 5 / 6 = 360 are sold, so 360 are left."),
        ],
        answer: Some("72".into()),
    };
    for scored in Scorer::new(&settings)?.score(&sample)? {
        println!("student {}: structure {:?}", scored.student, scored.parts["structure"].value);
        if let Some(steps) = scored.structure.and_then(|found| found.student_steps) {
            println!("{}\n", steps.text);
        }
    }
    Ok(())
}
