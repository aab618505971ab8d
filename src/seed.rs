//! One seed for a run, and independent streams drawn from it.
//!
//! Every random draw on the host comes from `Seed::stream(label, index)`, so a
//! run repeats exactly, and adding a draw in one place moves no other.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The seed of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// The stream of draws for `label` (what is drawn) and `index` (for which item).
    pub fn stream(self, label: &str, index: u64) -> Stream {
        let base = xxh3_64_with_seed(label.as_bytes(), self.0);
        Stream(xxh3_64_with_seed(&index.to_le_bytes(), base))
    }
}

/// A stream of pseudo-random numbers: SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub struct Stream(u64);

impl Stream {
    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Uniform in `[0, 1)`.
    pub fn next_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in `0..bound`; `bound` must not be 0. The bias is below 2⁻³² for bounds below 2³².
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// One of several. Panics if there are none.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// Puts things in a random order (Fisher and Yates, as Durstenfeld has it).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at as u64 + 1) as usize);
        }
    }
}

/// Bits that look random, another 64 for every `number`: what SplitMix64 makes of its counter.
pub fn mix(number: u64) -> u64 {
    let z = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ() {
        let draw = |seed, label, index| Seed(seed).stream(label, index).next_u64();
        assert_eq!(draw(1, "a", 0), draw(1, "a", 0));
        assert_ne!(draw(1, "a", 0), draw(1, "a", 1));
        assert_ne!(draw(1, "a", 0), draw(1, "b", 0));
        assert_ne!(draw(1, "a", 0), draw(2, "a", 0));
    }

    #[test]
    fn shuffled_things_are_the_same_things() {
        let mut items: Vec<u32> = (0..50).collect();
        Seed(1).stream("shuffle", 0).shuffle(&mut items);
        assert_ne!(items, (0..50).collect::<Vec<u32>>());
        assert!((0..200).all(|at| Seed(2).stream("pick", at).pick(&items) < 50));
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<u32>>());
        Seed(1).stream("shuffle", 0).shuffle::<u32>(&mut []);
    }

    #[test]
    fn below_stays_below() {
        let mut stream = Seed(7).stream("below", 0);
        for bound in [1, 2, 3, 10, 1 << 40] {
            for _ in 0..100 {
                assert!(stream.below(bound) < bound);
            }
        }
    }
}
