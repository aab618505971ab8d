//! The loops over the vocabulary: maxima and exponentials of blocks of logits.
//!
//! Loops have a fixed length and no branches, so that the compiler makes vector instructions of them, wider ones
//! where the build allows them. Each lane sees the same operations in the same order whatever the width, and nothing
//! is fused or reassociated: results are equal, bit for bit, on every processor.

/// Tokens in a block: large enough that the sum of its lanes costs little, small enough that a block is not worth
/// splitting where few tokens are looked for.
pub const BLOCK: usize = 256;
/// Mask words for a block.
pub const WORDS: usize = BLOCK / 32;
/// Independent partial results: the width of AVX-512, and four registers of the smallest vectors.
const LANES: usize = 16;

pub use crate::math::exp;

/// The largest of a block, and whether one of them is NaN (which is never the largest).
#[inline]
pub fn max(block: &[f32; BLOCK]) -> (f32, bool) {
    let mut largest = [f32::NEG_INFINITY; LANES];
    let mut unordered = [0u32; LANES];
    for part in block.as_chunks::<LANES>().0 {
        for lane in 0..LANES {
            let x = part[lane];
            largest[lane] = if x > largest[lane] { x } else { largest[lane] };
            unordered[lane] |= u32::from(x.is_nan());
        }
    }
    let mut found = f32::NEG_INFINITY;
    for x in largest {
        found = if x > found { x } else { found };
    }
    (found, unordered.iter().any(|lane| *lane != 0))
}

/// The smallest and the largest of `values`, which are not NaN; ∞ and −∞ if there are none.
#[inline]
pub fn extent(values: &[f32]) -> (f32, f32) {
    let (mut small, mut large) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
    let (parts, rest) = values.as_chunks::<LANES>();
    for part in parts {
        for lane in 0..LANES {
            small[lane] = if part[lane] < small[lane] { part[lane] } else { small[lane] };
            large[lane] = if part[lane] > large[lane] { part[lane] } else { large[lane] };
        }
    }
    let least = small.iter().chain(rest).copied().fold(f32::INFINITY, f32::min);
    (least, large.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max))
}

/// The sum of e^((x − `from`) · `scale`) over a block; no x may be above `from`.
#[inline]
pub fn sum_exp(block: &[f32; BLOCK], from: f32, scale: f32) -> f32 {
    let mut sums = [0.0f32; LANES];
    for part in block.as_chunks::<LANES>().0 {
        for lane in 0..LANES {
            sums[lane] += exp((part[lane] - from) * scale);
        }
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0]
}

/// Puts e^((x − `from`) · `scale`) of each of `values` into `out`, which is as long.
#[inline]
pub fn exp_each(values: &[f32], from: f32, scale: f32, out: &mut [f32]) {
    for (out, x) in out.iter_mut().zip(values) {
        *out = exp((x - from) * scale);
    }
}

/// `block` with −∞ where the bit of `words` is not set.
#[inline]
pub fn masked(block: &[f32; BLOCK], words: &[u32; WORDS]) -> [f32; BLOCK] {
    let mut out = [f32::NEG_INFINITY; BLOCK];
    for (at, word) in words.iter().enumerate() {
        for bit in 0..32 {
            let x = block[at * 32 + bit];
            out[at * 32 + bit] = if word & (1 << bit) != 0 { x } else { f32::NEG_INFINITY };
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    #[test]
    fn sums_and_maxima_are_those_of_the_obvious_loop() {
        let mut stream = Seed(3).stream("kernel", 0);
        for scale in [0.1f32, 1.0, 7.5] {
            let block: [f32; BLOCK] = std::array::from_fn(|_| (stream.next_f64() * 40.0 - 20.0) as f32);
            let (largest, nan) = max(&block);
            assert_eq!((largest, nan), (block.iter().copied().fold(f32::MIN, f32::max), false));
            let exact: f64 =
                block.iter().map(|x| ((f64::from(*x) - f64::from(largest)) * f64::from(scale)).exp()).sum();
            let found = f64::from(sum_exp(&block, largest, scale));
            assert!((found / exact - 1.0).abs() < 2e-6, "{scale}: {found} {exact}");
        }
    }

    #[test]
    fn the_extent_of_any_number_of_values() {
        for size in [1, 15, 16, 17, 100] {
            let values: Vec<f32> = (0..size).map(|at| ((at * 7 + 3) % size) as f32).collect();
            let mut sorted = values.clone();
            sorted.sort_by(f32::total_cmp);
            assert_eq!(extent(&values), (sorted[0], sorted[size - 1]), "{size}");
        }
        assert_eq!(extent(&[]), (f32::INFINITY, f32::NEG_INFINITY));
    }

    #[test]
    fn a_nan_in_any_lane_is_seen() {
        for at in 0..BLOCK {
            let mut block = [1.0; BLOCK];
            block[at] = f32::NAN;
            assert_eq!(max(&block), (1.0, true));
        }
        assert_eq!(max(&[f32::NEG_INFINITY; BLOCK]), (f32::NEG_INFINITY, false));
    }

    #[test]
    fn a_mask_lets_through_what_its_bits_say() {
        let block: [f32; BLOCK] = std::array::from_fn(|at| at as f32);
        let words: [u32; WORDS] = std::array::from_fn(|at| 0x8000_0001 << (at % 2));
        let out = masked(&block, &words);
        for (at, x) in out.iter().enumerate() {
            let allowed = words[at / 32] >> (at % 32) & 1 == 1;
            assert_eq!(*x, if allowed { at as f32 } else { f32::NEG_INFINITY });
        }
    }
}
