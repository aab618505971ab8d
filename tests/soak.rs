//! What `examples/soak.rs` does for ten thousand jobs, for a few hundred.
#![cfg(feature = "llama")]

#[path = "../examples/soak/work.rs"]
mod work;

use work::{Soak, resident};

#[test]
fn no_job_is_lost_and_what_ends_is_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut soak = Soak::new(folder.path(), 2).expect("it starts");
    while soak.tally.jobs < 200 {
        soak.work();
    }
    let warm = resident();
    while soak.tally.jobs < 500 {
        soak.work();
    }
    soak.settle();
    let tally = soak.tally;
    // Every fate was met.
    for (what, count) in [
        ("complete", tally.complete),
        ("cancelled", tally.cancelled),
        ("out of time", tally.out_of_time),
        ("too long", tally.too_long),
        ("dropped", tally.dropped),
        ("refused", tally.refused),
        ("decomposed", tally.decomposed),
    ] {
        assert!(count > 0, "{what}: {tally:?}");
    }
    // Other sizes of allocations come up late; a leak of a sequence's buffers would be many times this.
    if let (Some(warm), Some(end)) = (warm, resident()) {
        assert!(end < warm + (32 << 20), "{warm} bytes in use, and {end} after 300 more jobs");
    }
}
