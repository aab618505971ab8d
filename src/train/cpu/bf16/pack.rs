//! Numbers into tiles.
// Loads and stores of vector instructions.
#![allow(unsafe_code)]

use super::{SIDE, Tile};

/// Which side of a product a matrix is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::train::cpu) enum Side {
    /// Its rows are those of the output.
    Left,
    /// Its columns are those of the output.
    Right,
}

/// A matrix as one side of a product sees it: places of the output on the outer side, what is summed on the inner one.
/// Neighbours of one of the two lie beside each other.
#[derive(Clone, Copy)]
pub(in crate::train::cpu) struct Source<'a> {
    data: &'a [f32],
    outer: usize,
    inner: usize,
    /// How many numbers lie between neighbours of the outer side, and of the inner one: one of them is 1.
    far: usize,
    near: usize,
}

impl<'a> Source<'a> {
    /// A side of so many places by so many numbers, each with how far neighbours lie apart. Panics if the numbers are too
    /// few, or no neighbours lie together.
    pub(in crate::train::cpu) fn new(
        data: &'a [f32],
        (outer, far): (usize, usize),
        (inner, near): (usize, usize),
    ) -> Self {
        assert!(far == 1 || near == 1, "neighbours that lie apart on both sides");
        if outer > 0 && inner > 0 {
            let last = (outer - 1).checked_mul(far).zip((inner - 1).checked_mul(near));
            let last = last.and_then(|(outer, inner)| outer.checked_add(inner));
            assert!(
                last.is_some_and(|last| last < data.len()),
                "{outer} by {inner} in {} numbers",
                data.len()
            );
        }
        Source { data, outer, inner, far, near }
    }

    /// Places of the output.
    pub(super) fn outer(&self) -> usize {
        self.outer
    }

    /// Numbers that are summed.
    pub(super) fn inner(&self) -> usize {
        self.inner
    }

    /// Fills one tile, from an outer and an inner place on, with zeros where there is nothing.
    pub(super) fn fill(&self, side: Side, at: (usize, usize), tile: &mut Tile) {
        if at.0 >= self.outer || at.1 >= self.inner {
            *tile = Tile::ZERO;
            return;
        }
        #[cfg(target_arch = "x86_64")]
        if super::unit::has_avx512() {
            // SAFETY: the processor has what is asked for; `new` has seen to it that the numbers are there, and the place is
            // one of them.
            unsafe { self.fill_avx512(side, at, tile) };
            return;
        }
        self.fill_plain(side, at, tile);
    }

    /// Whether words come with outer places first, and whether they have to be turned: the left side has the outer places
    /// first, the right side pairs of inner ones.
    fn order(&self, side: Side) -> (bool, bool) {
        let outer_first = self.near == 1;
        (outer_first, outer_first != (side == Side::Left))
    }

    fn fill_plain(&self, side: Side, at: (usize, usize), tile: &mut Tile) {
        let (outer_first, turned) = self.order(side);
        let number = |outer: usize, inner: usize| {
            let inside = at.0 + outer < self.outer && at.1 + inner < self.inner;
            if inside { self.data[(at.0 + outer) * self.far + (at.1 + inner) * self.near] } else { 0.0 }
        };
        for (row, words) in tile.0.iter_mut().enumerate() {
            for (column, word) in words.iter_mut().enumerate() {
                let (outer, pair) = if outer_first != turned { (row, column) } else { (column, row) };
                *word = round(number(outer, 2 * pair)) | round(number(outer, 2 * pair + 1)) << 16;
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    // SAFETY: for those who call it: `at` is a place of the source.
    unsafe fn fill_avx512(&self, side: Side, at: (usize, usize), tile: &mut Tile) {
        let (outer_first, turned) = self.order(side);
        use std::arch::x86_64::*;
        // As `round`, but for the place of the bits: they stay in the upper half.
        let round = |x: __m512| {
            let bits = _mm512_castps_si512(x);
            let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
            let rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
            let is_nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(x, x);
            _mm512_mask_blend_epi32(is_nan, rounded, _mm512_set1_epi32(0x7fc0_0000))
        };
        // Of `count` numbers from `from` on the first sixteen, or fewer.
        let load = |from: usize, count: usize| {
            let mask = if count >= SIDE { u16::MAX } else { (1 << count) - 1 };
            // SAFETY: only numbers that the mask names are read.
            unsafe { _mm512_maskz_loadu_ps(mask, self.data.as_ptr().wrapping_add(from)) }
        };
        let Source { outer, inner, far, near, .. } = *self;
        let mut words = [_mm512_setzero_si512(); SIDE];
        if outer_first {
            let count = inner - at.1;
            for (row, words) in words.iter_mut().enumerate().take(outer - at.0) {
                let from = (at.0 + row) * far + at.1;
                let [low, high] =
                    [(from, count), (from + SIDE, count.saturating_sub(SIDE))].map(|(from, count)| {
                        _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(round(load(from, count))))
                    });
                *words = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
            }
        } else {
            let count = outer - at.0;
            for (pair, words) in words.iter_mut().enumerate() {
                let line =
                    |line: usize| round(load(line * near + at.0, if line < inner { count } else { 0 }));
                let (low, high) = (line(at.1 + 2 * pair), line(at.1 + 2 * pair + 1));
                let high = _mm512_and_si512(high, _mm512_set1_epi32(0xffff_0000_u32.cast_signed()));
                *words = _mm512_or_si512(_mm512_srli_epi32::<16>(low), high);
            }
        }
        if turned {
            words = turn(words);
        }
        for (to, words) in tile.0.iter_mut().zip(words) {
            // SAFETY: sixteen words.
            unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), words) };
        }
    }
}

/// The nearest number of bf16, ties to even; what is no number stays none.
fn round(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    if x.is_nan() { 0x7fc0 } else { rounded }
}

/// Rows as columns.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn turn(words: [std::arch::x86_64::__m512i; SIDE]) -> [std::arch::x86_64::__m512i; SIDE] {
    use std::arch::x86_64::*;
    let mut pairs = words;
    for four in 0..SIDE / 2 {
        let (a, b) = (words[2 * four], words[2 * four + 1]);
        pairs[2 * four] = _mm512_unpacklo_epi32(a, b);
        pairs[2 * four + 1] = _mm512_unpackhi_epi32(a, b);
    }
    // Of four rows, in each quarter of a register the words of one column.
    let mut fours = pairs;
    for four in 0..SIDE / 4 {
        for upper in 0..2 {
            let (a, b) = (pairs[4 * four + upper], pairs[4 * four + 2 + upper]);
            fours[4 * four + 2 * upper] = _mm512_unpacklo_epi64(a, b);
            fours[4 * four + 2 * upper + 1] = _mm512_unpackhi_epi64(a, b);
        }
    }
    // Quarters of four registers become one.
    let mut turned = fours;
    for column in 0..4 {
        let own = [0, 4, 8, 12].map(|four| fours[four + column]);
        let (a, b) = (
            _mm512_shuffle_i32x4::<0b10_00_10_00>(own[0], own[1]),
            _mm512_shuffle_i32x4::<0b11_01_11_01>(own[0], own[1]),
        );
        let (c, d) = (
            _mm512_shuffle_i32x4::<0b10_00_10_00>(own[2], own[3]),
            _mm512_shuffle_i32x4::<0b11_01_11_01>(own[2], own[3]),
        );
        turned[column] = _mm512_shuffle_i32x4::<0b10_00_10_00>(a, c);
        turned[column + 8] = _mm512_shuffle_i32x4::<0b11_01_11_01>(a, c);
        turned[column + 4] = _mm512_shuffle_i32x4::<0b10_00_10_00>(b, d);
        turned[column + 12] = _mm512_shuffle_i32x4::<0b11_01_11_01>(b, d);
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_as_everywhere() {
        let odd =
            [0.0, -0.0, 1e-40, f32::MIN_POSITIVE, f32::MAX, -f32::MAX, f32::INFINITY, f32::NEG_INFINITY];
        let halfway = [0x3f80_8000, 0x3f81_8000, 0x3f80_8001, 0xbf80_7fff].map(f32::from_bits);
        let numbers = (0..999).map(|at| (at * 7919 % 1000) as f32 / 500.0 - 1.0);
        let all: Vec<f32> = odd.into_iter().chain(halfway).chain(numbers).collect();
        for x in &all {
            assert_eq!(round(*x), u32::from(half::bf16::from_f32(*x).to_bits()), "{x}");
        }
        for nan in [f32::NAN, -f32::NAN, f32::from_bits(0x7f80_0001), f32::from_bits(u32::MAX)] {
            assert!(half::bf16::from_bits(round(nan) as u16).is_nan());
        }
        // And so do vector instructions, in whole tiles and in those at the edges.
        #[cfg(target_arch = "x86_64")]
        if super::super::unit::has_avx512() {
            let all: Vec<f32> = all.into_iter().chain([f32::NAN; 5]).collect();
            for (outer, inner) in [(16, 32), (20, 50), (1, 1), (3, 33), (17, 31), (31, 32)] {
                for (far, near) in [(inner, 1), (1, outer)] {
                    let source = Source::new(&all[..outer * inner], (outer, far), (inner, near));
                    for side in [Side::Left, Side::Right] {
                        for at in [(0, 0), (16, 0), (0, 32), (16, 32)] {
                            if at.0 >= outer || at.1 >= inner {
                                continue;
                            }
                            let (mut one, mut other) = (Tile::ZERO, Tile::ZERO);
                            source.fill_plain(side, at, &mut one);
                            source.fill(side, at, &mut other);
                            assert!(one.0 == other.0, "{outer} {inner} {far} {near} {side:?} {at:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "in 9 numbers")]
    fn numbers_that_are_not_there_are_refused() {
        Source::new(&[0.0; 9], (2, usize::MAX), (2, 1));
    }
}
