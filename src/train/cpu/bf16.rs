//! Products of matrices whose numbers are rounded to bf16 on their way in, with sums in `f32`.
//!
//! Both sides are packed into tiles first: sixteen rows (of the right side: columns) by thirty-two numbers of the inner
//! side, which the matrix unit of Intel's processors (AMX) and AVX-512 read as they lie. A number of the output is summed
//! in the same order however many threads there are.
//!
//! Intel, "Architecture Instruction Set Extensions Programming Reference", chapter 3, says what AMX does; the kernel's
//! documentation of `arch_prctl`, how a process asks for it.
// The calls of the instructions, and memory for tiles.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::sync::LazyLock;

use rayon::prelude::*;

use super::buffer::Buffer;

/// Rows, or columns, of a tile.
const SIDE: usize = 16;
/// Numbers of the inner side in a tile, two in a word.
pub const DEPTH: usize = 2 * SIDE;
/// Tiles of the inner side that are summed up before the next rows come: so many of the left side stay in the nearest
/// cache.
const STEPS: usize = 8;
/// Rows and columns of the output that are summed up at a time: what they need stays in the second cache.
const ROWS: usize = 128;
const COLUMNS: usize = 256;

/// Strips that are packed together.
const GROUP: usize = 4;

/// Sixteen by sixteen words of two neighbours on the inner side, the first one low.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Tile([[u32; SIDE]; SIDE]);

/// Words of a tile.
const WORDS: usize = SIDE * SIDE;

/// The sums of two strips of tiles by two.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Block([[f32; 2 * SIDE]; 2 * SIDE]);

/// What computes the products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// The matrix unit of Intel's processors from Sapphire Rapids on, under Linux.
    Amx,
    /// Vector instructions: Intel's from Cooper Lake on, AMD's from Zen 4 on.
    Avx512,
    /// Ordinary instructions: right, and slower than products of `f32`.
    Plain,
}

impl Unit {
    /// The fastest that this processor has.
    pub fn best() -> Self {
        static BEST: LazyLock<Unit> = LazyLock::new(|| Unit::all()[0]);
        *BEST
    }

    /// Those that this processor has, the fastest first.
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if has_amx() {
                all.push(Unit::Amx);
            }
            if has_avx512() && is_x86_feature_detected!("avx512bf16") {
                all.push(Unit::Avx512);
            }
        }
        all.push(Unit::Plain);
        all
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    static HAS: LazyLock<bool> = LazyLock::new(|| {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
    });
    *HAS
}

/// Whether the processor has AMX for bf16, and Linux lets this process use it.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn has_amx() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    static HAS: LazyLock<bool> = LazyLock::new(|| {
        // AMX-BF16 and AMX-TILE, in EDX of leaf 7.
        const BITS: u32 = 1 << 22 | 1 << 24;
        has_avx512() && __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & BITS == BITS && ask_for_tiles()
    });
    *HAS
}

#[cfg(all(target_arch = "x86_64", not(target_os = "linux")))]
fn has_amx() -> bool {
    false
}

/// `arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)`: the kernel makes room for the registers of this process.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn ask_for_tiles() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const REQ_XCOMP_PERM: i64 = 0x1023;
    const XTILEDATA: i64 = 18;
    let result: i64;
    // SAFETY: a system call that reads and writes no memory; the registers that it spoils are named.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") REQ_XCOMP_PERM,
            in("rsi") XTILEDATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack, nomem),
        );
    }
    result == 0
}

/// Which side of a product a matrix is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Its rows are those of the output.
    Left,
    /// Its columns are those of the output.
    Right,
}

/// A matrix as one side of a product sees it: places of the output on the outer side, what is summed on the inner one.
/// Neighbours of one of the two lie beside each other.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The numbers.
    pub data: &'a [f32],
    /// Places of the output, and how many numbers lie between neighbours.
    pub outer: (usize, usize),
    /// Numbers that are summed, and how many lie between neighbours.
    pub inner: (usize, usize),
}

/// One side of a product, rounded and in tiles.
pub struct Packed {
    memory: Buffer,
    outer: usize,
    inner: usize,
}

impl Packed {
    /// Packs a side, on all threads or on one. Panics if the numbers are too few, or no neighbours lie together.
    pub fn new(source: Source<'_>, side: Side, on_all: bool) -> Self {
        let ((outer, far), (inner, near)) = (source.outer, source.inner);
        assert!(far == 1 || near == 1, "neighbours that lie apart");
        assert!(outer == 0 || inner == 0 || (outer - 1) * far + (inner - 1) * near < source.data.len());
        let steps = inner.div_ceil(DEPTH);
        // Strips go together by twos.
        let strips = outer.div_ceil(2 * SIDE) * 2;
        let mut memory = Buffer::any((strips * steps + 1) * WORDS);
        let group = |(group, tiles): (usize, &mut [Tile])| {
            let strips = group * GROUP..group * GROUP + tiles.len() / steps;
            let places = |step: usize| strips.clone().map(move |strip| (strip, step));
            // Neighbours of the outer side are read together where they lie together.
            for (strip, step) in (0..steps).flat_map(places) {
                let tile = &mut tiles[(strip - group * GROUP) * steps + step];
                fill(&source, side, (strip * SIDE, step * DEPTH), tile);
            }
        };
        if steps > 0 {
            let tiles = &mut tiles_mut(&mut memory)[..strips * steps];
            if on_all {
                tiles.par_chunks_mut(GROUP * steps).enumerate().for_each(group);
            } else {
                tiles.chunks_mut(GROUP * steps).enumerate().for_each(group);
            }
        }
        Packed { memory, outer, inner }
    }

    /// Places of the output.
    pub fn outer(&self) -> usize {
        self.outer
    }

    /// Numbers that are summed.
    pub fn inner(&self) -> usize {
        self.inner
    }

    /// The tiles of a strip, from one step to another.
    fn strip(&self, strip: usize, from: usize, to: usize) -> &[Tile] {
        let steps = self.inner.div_ceil(DEPTH);
        // SAFETY: a tile is words of any bits, as numbers of `f32` are.
        let (_, tiles, _) = unsafe { self.memory.align_to::<Tile>() };
        &tiles[strip * steps + from..strip * steps + to]
    }
}

/// Memory as tiles, of which there is room for one less than its size.
fn tiles_mut(memory: &mut [f32]) -> &mut [Tile] {
    // SAFETY: a tile is words of any bits, as numbers of `f32` are, and the other way round.
    unsafe { memory.align_to_mut::<Tile>().1 }
}

/// The nearest number of bf16, ties to even; what is no number stays none.
#[inline(always)]
fn round(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    if x.is_nan() { 0x7fc0 } else { rounded }
}

/// One tile, from an outer and an inner place on.
#[inline]
fn fill(source: &Source<'_>, side: Side, at: (usize, usize), tile: &mut Tile) {
    let outer_first = source.inner.1 == 1;
    // The left side has the outer places first, the right side pairs of inner ones.
    let turned = outer_first != (side == Side::Left);
    if at.0 >= source.outer.0 {
        tile.0 = [[0; SIDE]; SIDE];
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if has_avx512() {
        // SAFETY: the processor has what is asked for; the source is as large as it says.
        unsafe { fill_avx512(source, outer_first, turned, at, tile) };
        return;
    }
    if outer_first {
        along(source, at.0, at.1, &mut tile.0);
    } else {
        across(source, at.0, at.1, &mut tile.0);
    }
    if turned {
        transpose(&mut tile.0);
    }
}

/// The same as [`along`] or [`across`], and [`transpose`].
///
/// # Safety
/// The source has the numbers that its sizes say.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
unsafe fn fill_avx512(
    source: &Source<'_>,
    outer_first: bool,
    turned: bool,
    at: (usize, usize),
    tile: &mut Tile,
) {
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
        unsafe { _mm512_maskz_loadu_ps(mask, source.data.as_ptr().wrapping_add(from)) }
    };
    let ((outer, far), (inner, near)) = (source.outer, source.inner);
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
            let line = |line: usize| round(load(line * near + at.0, if line < inner { count } else { 0 }));
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

/// Words by outer places, where inner neighbours lie together.
#[inline(always)]
fn along(source: &Source<'_>, outer: usize, inner: usize, tile: &mut [[u32; SIDE]; SIDE]) {
    let count = DEPTH.min(source.inner.0 - inner);
    for (at, words) in tile.iter_mut().enumerate() {
        if outer + at >= source.outer.0 {
            *words = [0; SIDE];
            continue;
        }
        let own = &source.data[(outer + at) * source.outer.1 + inner..][..count];
        let mut row = [0.0f32; DEPTH];
        match <&[f32; DEPTH]>::try_from(own) {
            Ok(own) => row = *own,
            Err(_) => row[..count].copy_from_slice(own),
        }
        for (word, pair) in words.iter_mut().zip(row.as_chunks::<2>().0) {
            *word = round(pair[0]) | round(pair[1]) << 16;
        }
    }
}

/// Words by inner places, where outer neighbours lie together.
#[inline(always)]
fn across(source: &Source<'_>, outer: usize, inner: usize, tile: &mut [[u32; SIDE]; SIDE]) {
    let count = SIDE.min(source.outer.0 - outer);
    let line = |inner: usize| {
        let mut line = [0.0f32; SIDE];
        if inner < source.inner.0 {
            let own = &source.data[inner * source.inner.1 + outer..][..count];
            match <&[f32; SIDE]>::try_from(own) {
                Ok(own) => line = *own,
                Err(_) => line[..count].copy_from_slice(own),
            }
        }
        line
    };
    for (at, words) in tile.iter_mut().enumerate() {
        let (low, high) = (line(inner + 2 * at), line(inner + 2 * at + 1));
        for ((word, low), high) in words.iter_mut().zip(low).zip(high) {
            *word = round(low) | round(high) << 16;
        }
    }
}

#[inline(always)]
fn transpose(words: &mut [[u32; SIDE]; SIDE]) {
    for row in 1..SIDE {
        let (upper, lower) = words.split_at_mut(row);
        for (column, other) in upper.iter_mut().enumerate() {
            std::mem::swap(&mut lower[0][column], &mut other[row]);
        }
    }
}

/// What is to be done with a product.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// What it is multiplied by.
    pub scale: f32,
    /// Add it to what is there.
    pub add: bool,
    /// On all threads, or on one.
    pub on_all: bool,
    /// What computes it.
    pub unit: Unit,
}

/// Puts left · right into `out`, whose rows lie `stride` numbers apart; of the left side, the numbers from `from` on, a
/// multiple of [`DEPTH`]. Panics if the sizes do not go together, or the processor does not have the unit.
pub fn product(out: &mut [f32], stride: usize, (left, from): (&Packed, usize), right: &Packed, how: How) {
    let (rows, columns) = (left.outer, right.outer);
    assert!(from + right.inner <= left.inner && from.is_multiple_of(DEPTH), "sides that do not go together");
    #[cfg(target_arch = "x86_64")]
    assert!(match how.unit {
        Unit::Amx => has_amx(),
        Unit::Avx512 => has_avx512() && is_x86_feature_detected!("avx512bf16"),
        Unit::Plain => true,
    });
    if rows == 0 || columns == 0 {
        return;
    }
    // However rows are cut, each number is summed in the same order.
    let mut at_once = ROWS;
    while how.on_all && at_once > 2 * SIDE && rows.div_ceil(at_once) < 2 * rayon::current_num_threads() {
        at_once /= 2;
    }
    let out = &mut out[..(rows - 1) * stride + columns];
    let work = |(part, out): (usize, &mut [f32])| {
        SUMS.with_borrow_mut(|sums| {
            let part = Rows { first: part * at_once, count: at_once.min(rows - part * at_once), out, stride };
            part.product(sums, (left, from / DEPTH), right, how);
        });
    };
    if how.on_all {
        out.par_chunks_mut(at_once * stride).enumerate().for_each(work);
    } else {
        out.chunks_mut(at_once * stride).enumerate().for_each(work);
    }
}

thread_local! {
    /// Memory for sums.
    static SUMS: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
}

/// Some rows of an output.
struct Rows<'a> {
    first: usize,
    count: usize,
    out: &'a mut [f32],
    stride: usize,
}

impl Rows<'_> {
    fn product(self, sums: &mut Vec<Block>, (left, begin): (&Packed, usize), right: &Packed, how: How) {
        // What the left side has behind the last number meets zeros of the right side.
        let (columns, steps) = (right.outer, right.inner.div_ceil(DEPTH));
        let (row_blocks, all) = (self.count.div_ceil(2 * SIDE), columns.div_ceil(2 * SIDE));
        sums.resize(row_blocks * (COLUMNS / (2 * SIDE)), Block([[0.0; 2 * SIDE]; 2 * SIDE]));
        if steps == 0 {
            sums.fill(Block([[0.0; 2 * SIDE]; 2 * SIDE]));
        }
        #[cfg(target_arch = "x86_64")]
        let _tiles = (how.unit == Unit::Amx).then(Tiles::new);
        for from in (0..all).step_by(COLUMNS / (2 * SIDE)) {
            let blocks = (COLUMNS / (2 * SIDE)).min(all - from);
            for step in (0..steps).step_by(STEPS) {
                let to = (step + STEPS).min(steps);
                for row in 0..row_blocks {
                    let strip = self.first / SIDE + 2 * row;
                    let left = [strip, strip + 1].map(|strip| left.strip(strip, begin + step, begin + to));
                    for column in 0..blocks {
                        let strip = 2 * (from + column);
                        let right = [strip, strip + 1].map(|strip| right.strip(strip, step, to));
                        let sums = &mut sums[row * blocks + column];
                        match how.unit {
                            #[cfg(target_arch = "x86_64")]
                            // SAFETY: `product` has seen to it that the processor has the unit, and its tiles are set up.
                            Unit::Amx => unsafe { amx(sums, step == 0, left, right) },
                            #[cfg(target_arch = "x86_64")]
                            // SAFETY: as above.
                            Unit::Avx512 => unsafe { avx512(sums, step == 0, left, right) },
                            _ => plain(sums, step == 0, left, right),
                        }
                    }
                }
            }
            for row in 0..self.count {
                let own = &sums[row / (2 * SIDE) * blocks..][..blocks];
                let place = row * self.stride + from * 2 * SIDE;
                let count = (blocks * 2 * SIDE).min(columns - from * 2 * SIDE);
                let to = self.out[place..place + count].chunks_mut(2 * SIDE);
                for (to, Block(sums)) in to.zip(own) {
                    let sums = &sums[row % (2 * SIDE)];
                    if how.add {
                        to.iter_mut().zip(sums).for_each(|(to, sum)| *to += how.scale * sum);
                    } else {
                        to.iter_mut().zip(sums).for_each(|(to, sum)| *to = how.scale * sum);
                    }
                }
            }
        }
    }
}

/// The tiles of this thread, set up until it is dropped: eight, of sixteen rows of 64 bytes.
#[cfg(target_arch = "x86_64")]
struct Tiles;

#[cfg(target_arch = "x86_64")]
impl Tiles {
    fn new() -> Self {
        static CONFIG: [u8; 64] = {
            let mut bytes = [0; 64];
            bytes[0] = 1;
            let mut tile = 0;
            while tile < 8 {
                bytes[16 + 2 * tile] = 64;
                bytes[48 + tile] = SIDE as u8;
                tile += 1;
            }
            bytes
        };
        // SAFETY: reads 64 bytes; whoever makes one has seen to it that the processor has tiles.
        unsafe {
            std::arch::asm!("ldtilecfg [{config}]", config = in(reg) CONFIG.as_ptr(), options(nostack, readonly));
        }
        Tiles
    }
}

#[cfg(target_arch = "x86_64")]
impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: touches no memory; the tiles are there, or this could not have been made.
        unsafe { std::arch::asm!("tilerelease", options(nostack, nomem)) };
    }
}

/// Adds the products of two strips by two. Tiles 0 to 3 are the sums.
///
/// # Safety
/// The processor has AMX, and [`Tiles`] are set up on this thread.
#[cfg(target_arch = "x86_64")]
unsafe fn amx(sums: &mut Block, first: bool, left: [&[Tile]; 2], right: [&[Tile]; 2]) {
    let steps = left[0].len();
    assert!(steps > 0 && [left[1], right[0], right[1]].iter().all(|strip| strip.len() == steps));
    if first {
        sums.0 = [[0.0; 2 * SIDE]; 2 * SIDE];
    }
    let upper = sums.0.as_mut_ptr();
    // SAFETY: sums are 32 rows of 128 bytes, of which each tile reads and writes sixteen halves; strips are `steps` tiles
    // of 1024 bytes each.
    unsafe {
        std::arch::asm!(
            "tileloadd tmm0, [{upper} + {row}*1]",
            "tileloadd tmm1, [{upper} + {row}*1 + 64]",
            "tileloadd tmm2, [{lower} + {row}*1]",
            "tileloadd tmm3, [{lower} + {row}*1 + 64]",
            "2:",
            "tileloadd tmm6, [{right0} + {tile_row}*1]",
            "tileloadd tmm4, [{left0} + {tile_row}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{right1} + {tile_row}*1]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{left1} + {tile_row}*1]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {left0}, 1024",
            "add {left1}, 1024",
            "add {right0}, 1024",
            "add {right1}, 1024",
            "dec {steps}",
            "jnz 2b",
            "tilestored [{upper} + {row}*1], tmm0",
            "tilestored [{upper} + {row}*1 + 64], tmm1",
            "tilestored [{lower} + {row}*1], tmm2",
            "tilestored [{lower} + {row}*1 + 64], tmm3",
            left0 = inout(reg) left[0].as_ptr() => _,
            left1 = inout(reg) left[1].as_ptr() => _,
            right0 = inout(reg) right[0].as_ptr() => _,
            right1 = inout(reg) right[1].as_ptr() => _,
            steps = inout(reg) steps => _,
            upper = in(reg) upper,
            lower = in(reg) upper.add(SIDE),
            row = in(reg) 128usize,
            tile_row = in(reg) 64usize,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}

/// Adds the products of two strips by two.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn avx512(sums: &mut Block, first: bool, left: [&[Tile]; 2], right: [&[Tile]; 2]) {
    use std::arch::x86_64::{
        __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_loadu_ps, _mm512_set1_epi32, _mm512_setzero_ps,
        _mm512_storeu_ps,
    };
    /// Rows whose sums are in registers at a time.
    const AT_ONCE: usize = 8;
    // SAFETY: both are 64 bytes of any bits.
    let pairs = |words: &[u32; SIDE]| unsafe { std::mem::transmute::<[u32; SIDE], __m512bh>(*words) };
    // SAFETY: as above.
    let both = |word: u32| unsafe {
        std::mem::transmute::<__m512i, __m512bh>(_mm512_set1_epi32(word.cast_signed()))
    };
    for (strip, left) in left.into_iter().enumerate() {
        for from in (0..SIDE).step_by(AT_ONCE) {
            let rows = &mut sums.0[strip * SIDE + from..][..AT_ONCE];
            let mut all = [[_mm512_setzero_ps(); 2]; AT_ONCE];
            if !first {
                for (all, row) in all.iter_mut().zip(&*rows) {
                    // SAFETY: a row is 32 numbers.
                    *all = unsafe { [_mm512_loadu_ps(row.as_ptr()), _mm512_loadu_ps(row[SIDE..].as_ptr())] };
                }
            }
            for (left, (right0, right1)) in left.iter().zip(right[0].iter().zip(right[1])) {
                for pair in 0..SIDE {
                    let right = [pairs(&right0.0[pair]), pairs(&right1.0[pair])];
                    for (all, row) in all.iter_mut().zip(&left.0[from..from + AT_ONCE]) {
                        let left = both(row[pair]);
                        *all = [
                            _mm512_dpbf16_ps(all[0], left, right[0]),
                            _mm512_dpbf16_ps(all[1], left, right[1]),
                        ];
                    }
                }
            }
            for (all, row) in all.into_iter().zip(rows) {
                // SAFETY: as above.
                unsafe {
                    _mm512_storeu_ps(row.as_mut_ptr(), all[0]);
                    _mm512_storeu_ps(row[SIDE..].as_mut_ptr(), all[1]);
                }
            }
        }
    }
}

/// Adds the products of two strips by two.
fn plain(sums: &mut Block, first: bool, left: [&[Tile]; 2], right: [&[Tile]; 2]) {
    let low = |word: u32| f32::from_bits(word << 16);
    let high = |word: u32| f32::from_bits(word & 0xffff_0000);
    if first {
        sums.0 = [[0.0; 2 * SIDE]; 2 * SIDE];
    }
    for (row, sums) in sums.0.iter_mut().enumerate() {
        for (left, (right0, right1)) in left[row / SIDE].iter().zip(right[0].iter().zip(right[1])) {
            for (pair, own) in left.0[row % SIDE].into_iter().enumerate() {
                let words = right0.0[pair].iter().chain(&right1.0[pair]);
                for (to, word) in sums.iter_mut().zip(words) {
                    *to += low(own) * low(*word) + high(own) * high(*word);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|at| ((at * 7919 + seed * 104_729) % 1000) as f32 / 500.0 - 1.0).collect()
    }

    fn rounded(x: f32) -> f64 {
        half::bf16::from_f32(x).to_f64()
    }

    #[test]
    fn numbers_are_rounded_as_everywhere() {
        let odd =
            [0.0, -0.0, 1e-40, f32::MIN_POSITIVE, f32::MAX, -f32::MAX, f32::INFINITY, f32::NEG_INFINITY];
        let halfway = [0x3f80_8000, 0x3f81_8000, 0x3f80_8001, 0xbf80_7fff].map(f32::from_bits);
        for x in odd.into_iter().chain(halfway).chain(numbers(999, 5)) {
            assert_eq!(round(x), u32::from(half::bf16::from_f32(x).to_bits()), "{x}");
        }
        for nan in [f32::NAN, -f32::NAN, f32::from_bits(0x7f80_0001), f32::from_bits(u32::MAX)] {
            assert!(half::bf16::from_bits(round(nan) as u16).is_nan());
        }
    }

    #[test]
    fn every_unit_multiplies() {
        println!("{:?}", Unit::all());
        for (rows, inner, columns) in
            [(1, 1, 1), (37, 70, 50), (130, 600, 300), (64, 64, 32), (5, 0, 3), (0, 4, 4)]
        {
            let (a, b) = (numbers(rows * inner, 1), numbers(inner * columns, 2));
            let turned = |from: &[f32], rows: usize, columns: usize| -> Vec<f32> {
                (0..from.len()).map(|at| from[(at % rows) * columns + at / rows]).collect()
            };
            let (a_turned, b_turned) = (turned(&a, rows.max(1), inner), turned(&b, inner.max(1), columns));
            for unit in Unit::all() {
                let mut first: Option<Vec<f32>> = None;
                for (on_all, turned) in [(false, false), (true, false), (false, true)] {
                    let side = |data, outer, inner| Source { data, outer, inner };
                    let (left, right) = if turned {
                        (
                            side(&a_turned, (rows, 1), (inner, rows)),
                            side(&b_turned, (columns, inner), (inner, 1)),
                        )
                    } else {
                        (side(&a, (rows, inner), (inner, 1)), side(&b, (columns, 1), (inner, columns)))
                    };
                    let (left, right) =
                        (Packed::new(left, Side::Left, on_all), Packed::new(right, Side::Right, on_all));
                    // Written between columns that must stay.
                    let stride = columns + 3;
                    let mut out = vec![5.0; rows * stride];
                    let how = How { scale: 0.5, add: false, on_all, unit };
                    product(&mut out, stride, (&left, 0), &right, how);
                    product(&mut out, stride, (&left, 0), &right, How { add: true, ..how });
                    for (at, found) in out.iter().enumerate() {
                        let (row, column) = (at / stride, at % stride);
                        let expected = if column < columns {
                            (0..inner)
                                .map(|i| rounded(a[row * inner + i]) * rounded(b[i * columns + column]))
                                .sum()
                        } else {
                            5.0
                        };
                        let off = (f64::from(*found) - expected).abs();
                        assert!(off < 1e-4, "{unit:?}, {rows} {inner} {columns}: {found}, {expected}");
                    }
                    // The same from some inner number on.
                    if inner > DEPTH {
                        let rest = if turned {
                            side(&b_turned[DEPTH..], (columns, inner), (inner - DEPTH, 1))
                        } else {
                            side(&b[DEPTH * columns..], (columns, 1), (inner - DEPTH, columns))
                        };
                        let right = Packed::new(rest, Side::Right, on_all);
                        let mut out = vec![5.0; rows * stride];
                        product(&mut out, stride, (&left, DEPTH), &right, How { scale: 1.0, ..how });
                        let of = |i: usize| rounded(a[i]) * rounded(b[i * columns]);
                        let expected: f64 = (DEPTH..inner).map(of).sum();
                        assert!((f64::from(out[0]) - expected).abs() < 1e-4);
                    }
                    // The same bits however it is packed and on however many threads.
                    assert!(first.get_or_insert_with(|| out.clone()) == &out, "{unit:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_number_stays_none() {
        for unit in Unit::all() {
            for at in [0, 33, 69] {
                let mut a = numbers(70, 1);
                a[at] = f32::NAN;
                let b = numbers(70, 2);
                let side = |data| Source { data, outer: (1, 70), inner: (70, 1) };
                let left = Packed::new(side(&a), Side::Left, false);
                let right = Packed::new(side(&b), Side::Right, false);
                let mut out = [0.0];
                product(&mut out, 1, (&left, 0), &right, How { scale: 1.0, add: false, on_all: false, unit });
                assert!(out[0].is_nan(), "{unit:?}");
            }
        }
    }
}
