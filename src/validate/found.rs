//! Precision and recall.

/// How much was wanted, how much was found, and how much of it is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub gold: usize,
    pub found: usize,
    pub hits: usize,
}

impl Found {
    pub fn add(&mut self, other: Found) {
        self.gold += other.gold;
        self.found += other.found;
        self.hits += other.hits;
    }

    /// The share of what was found that was wanted, in [0, 1]; NaN where nothing was found.
    pub fn precision(self) -> f64 {
        self.hits as f64 / self.found as f64
    }

    /// The share of what was wanted that was found; NaN where nothing was wanted.
    pub fn recall(self) -> f64 {
        self.hits as f64 / self.gold as f64
    }

    /// Their harmonic mean; NaN where there is neither.
    pub fn f1(self) -> f64 {
        2.0 * self.hits as f64 / (self.gold + self.found) as f64
    }
}
