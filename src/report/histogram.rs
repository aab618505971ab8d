//! The distribution of a stream of numbers in bounded memory.

use std::collections::BTreeMap;

/// Most bins that are kept. Discrete rewards have far fewer values, so their quantiles are exact
/// to 10⁻⁶; continuous ones are known to about a thousandth of their range.
const MOST_BINS: usize = 1024;
/// Bins start 2⁻²⁰ (about 10⁻⁶) wide.
const FINEST: i32 = -20;

/// A histogram whose bins double in width when there are too many of them. Bins are aligned to 0, so doubling
/// merges whole bins and the result does not depend on the order of the numbers.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    bins: BTreeMap<i64, u64>,
    exponent: i32,
    count: u64,
    mean: f64,
    min: f64,
    max: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram {
            bins: BTreeMap::new(),
            exponent: FINEST,
            count: 0,
            mean: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }
}

impl Histogram {
    /// Adds a finite number; others are ignored.
    pub fn push(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        self.count += 1;
        self.mean += (value - self.mean) / self.count as f64;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        // Bin numbers above 2⁵³ would no longer be exact.
        while (value * self.scale()).abs() > (1u64 << 53) as f64 {
            self.coarsen();
        }
        let bin = (value * self.scale()).floor() as i64;
        *self.bins.entry(bin).or_insert(0) += 1;
        while self.bins.len() > MOST_BINS {
            self.coarsen();
        }
    }

    fn scale(&self) -> f64 {
        f64::powi(2.0, -self.exponent)
    }

    fn coarsen(&mut self) {
        self.exponent += 1;
        for (bin, count) in std::mem::take(&mut self.bins) {
            *self.bins.entry(bin >> 1).or_insert(0) += count;
        }
    }

    /// How many numbers there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their mean; `None` without numbers, likewise below.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }

    /// The least and the greatest.
    pub fn range(&self) -> Option<(f64, f64)> {
        (self.count > 0).then_some((self.min, self.max))
    }

    /// The value below which a share `q` in [0, 1] of the numbers lies, to the width of a bin.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let wanted = (q * self.count as f64).ceil().max(1.0) as u64;
        let mut below = 0;
        for (&bin, &count) in &self.bins {
            below += count;
            if below >= wanted {
                return Some(self.middle(bin));
            }
        }
        None
    }

    /// The counts in `n` equal bars over `low..=high`; what lies outside goes to the nearest bar.
    pub fn bars(&self, low: f64, high: f64, n: usize) -> Vec<u64> {
        let mut bars = vec![0; n];
        for (&bin, &count) in &self.bins {
            let at = (self.middle(bin) - low) / (high - low) * n as f64;
            let at = (at.max(0.0) as usize).min(n.saturating_sub(1));
            if let Some(bar) = bars.get_mut(at) {
                *bar += count;
            }
        }
        bars
    }

    /// The middle of a bin. The finest bins stand for their lower edge, so that 0.5 stays 0.5.
    fn middle(&self, bin: i64) -> f64 {
        let offset = if self.exponent == FINEST { 0.0 } else { 0.5 };
        // Clamped: the edge of a bin may lie outside what was seen.
        ((bin as f64 + offset) / self.scale()).clamp(self.min, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discrete_values_are_exact() {
        let mut histogram = Histogram::default();
        for value in [0.0, 0.25, 0.5, 0.5, 1.0] {
            histogram.push(value);
        }
        histogram.push(f64::NAN);
        assert_eq!(histogram.count(), 5);
        assert_eq!(histogram.range(), Some((0.0, 1.0)));
        assert!((histogram.mean().unwrap() - 0.45).abs() < 1e-12);
        assert_eq!(histogram.quantile(0.5), Some(0.5));
        assert_eq!(histogram.bars(0.0, 1.0, 4), [1, 1, 2, 1]);
    }

    #[test]
    fn memory_is_bounded_and_order_does_not_matter() {
        let values: Vec<f64> = (0..50_000).map(|i| f64::from(i) * 0.37 - 500.0).collect();
        let (mut up, mut down) = (Histogram::default(), Histogram::default());
        values.iter().for_each(|v| up.push(*v));
        values.iter().rev().for_each(|v| down.push(*v));
        assert!(up.bins.len() <= MOST_BINS);
        assert_eq!((&up.bins, up.exponent), (&down.bins, down.exponent));
        let median = up.quantile(0.5).unwrap();
        assert!((median - (25_000.0 * 0.37 - 500.0)).abs() < 37.0, "{median}");
    }

    #[test]
    fn extreme_values_are_kept_apart() {
        let mut histogram = Histogram::default();
        for value in [-1e300, 0.0, 1e300, f64::MIN_POSITIVE] {
            histogram.push(value);
        }
        assert_eq!(histogram.bars(-1e300, 1e300, 3), [1, 2, 1]);
        assert_eq!(Histogram::default().quantile(0.5), None);
    }
}
