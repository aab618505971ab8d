//! Many decompositions in a row with random cancellations, dropped tickets, deadlines and wrong requests: none may be
//! lost, all that end have to be whole, and the memory in use has to stay what it is after the first thousand.
//!
//! `cargo run --release --example soak -- 10000`

#[path = "soak/work.rs"]
mod work;

use std::time::Instant;

use work::{Soak, resident};

/// Jobs after which the memory is looked at for the first time: caches are full by then.
const WARM: u64 = 1_000;

fn main() -> rlkd::Result<()> {
    let count: u64 = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(10_000);
    let folder = tempfile::tempdir().expect("a folder for the model");
    let mut soak = Soak::new(folder.path(), 1)?;
    let start = Instant::now();
    let mut memory: Vec<(u64, u64)> = Vec::new();
    while soak.tally.jobs < count {
        soak.work();
        if soak.tally.jobs >= WARM {
            memory.extend(resident().map(|bytes| (soak.tally.jobs, bytes)));
        }
        if memory.len() % 50 == 1 {
            let (jobs, bytes) = memory[memory.len() - 1];
            println!("{jobs:>7} jobs, {:.1} MB in use", bytes as f64 / 1e6);
        }
    }
    soak.settle();
    println!("{:#?}", soak.tally);
    println!(
        "{:.0} jobs a second; every job was answered",
        soak.tally.jobs as f64 / start.elapsed().as_secs_f64()
    );
    if let (Some(&(first, before)), Some(&(last, after))) = (memory.first(), memory.last()) {
        let most = memory.iter().map(|(_, bytes)| *bytes).max().unwrap_or(after);
        let change = |bytes: u64| (bytes as f64 / before as f64 - 1.0) * 100.0;
        println!(
            "memory in use: {:.1} MB after {first} jobs, {:.1} MB after {last} ({:+.1} %), at most {:+.1} %",
            before as f64 / 1e6,
            after as f64 / 1e6,
            change(after),
            change(most),
        );
        assert!(after as f64 <= before as f64 * 1.05, "memory grows");
    }
    Ok(())
}
