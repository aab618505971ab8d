//! What multiplies tiles: the matrix unit of Intel's processors, vector instructions, or ordinary ones.
//!
//! Intel, "Architecture Instruction Set Extensions Programming Reference", chapter 3, says what AMX does; the kernel's
//! documentation of `arch_prctl`, how a process asks for it.
// The calls of the instructions.
#![allow(unsafe_code)]

use std::sync::LazyLock;

use super::{SIDE, Tile};

/// What computes the products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// The matrix unit of Intel's processors from Sapphire Rapids on, under Linux.
    Amx,
    /// Vector instructions: Intel's from Cooper Lake on (where they are no faster than products of `f32`), AMD's from Zen 4 on.
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

    /// Whether this processor has it.
    pub(super) fn is_here(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Unit::Amx => has_amx(),
            #[cfg(target_arch = "x86_64")]
            Unit::Avx512 => has_avx512_bf16(),
            #[cfg(not(target_arch = "x86_64"))]
            Unit::Amx | Unit::Avx512 => false,
            Unit::Plain => true,
        }
    }

    /// Those that this processor has, the fastest first.
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if has_amx() {
                all.push(Unit::Amx);
            }
            if has_avx512_bf16() {
                all.push(Unit::Avx512);
            }
        }
        all.push(Unit::Plain);
        all
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx512_bf16() -> bool {
    has_avx512() && is_x86_feature_detected!("avx512bf16")
}

/// What packing takes.
#[cfg(target_arch = "x86_64")]
pub(super) fn has_avx512() -> bool {
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
        // SAFETY: every processor of this architecture has the instruction. (Newer compilers know.)
        #[allow(unused_unsafe)]
        let bits = unsafe { if __cpuid(0).eax >= 7 { __cpuid_count(7, 0).edx } else { 0 } };
        has_avx512() && bits & BITS == BITS && ask_for_tiles()
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

/// The sums of two strips of tiles by two.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Block(pub(super) [[f32; 2 * SIDE]; 2 * SIDE]);

impl Block {
    pub(super) const ZERO: Block = Block([[0.0; 2 * SIDE]; 2 * SIDE]);
}

/// Two strips of tiles, as many in each.
pub(super) type Strips<'a> = [&'a [Tile]; 2];

/// A unit that is set up on this thread.
pub(super) struct Ready {
    unit: Unit,
    #[cfg(target_arch = "x86_64")]
    _tiles: Option<Tiles>,
}

impl Ready {
    /// Sets it up. Panics if the processor does not have it.
    pub(super) fn new(unit: Unit) -> Self {
        assert!(unit.is_here(), "this processor has no {unit:?}");
        Ready {
            unit,
            #[cfg(target_arch = "x86_64")]
            _tiles: (unit == Unit::Amx).then(Tiles::new),
        }
    }

    /// Adds the products of two strips by two to sums, or begins with them. Panics if strips are of different lengths.
    pub(super) fn multiply(&self, sums: &mut Block, begin: bool, left: Strips<'_>, right: Strips<'_>) {
        let steps = left[0].len();
        assert!(
            [left[1], right[0], right[1]].iter().all(|strip| strip.len() == steps),
            "strips of other lengths"
        );
        if begin {
            *sums = Block::ZERO;
        }
        match self.unit {
            _ if steps == 0 => {}
            // SAFETY: the processor has the unit, or this could not have been made; tiles are set up, strips are equally
            // long and not empty.
            #[cfg(target_arch = "x86_64")]
            Unit::Amx => unsafe { amx(sums, left, right) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Unit::Avx512 => unsafe { avx512(sums, left, right) },
            _ => plain(sums, left, right),
        }
    }
}

/// The tiles of this thread, set up until it is dropped: eight, of sixteen rows of 64 bytes. (llama.cpp sets up its own, once
/// for each of its threads, which are others.)
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
#[cfg(target_arch = "x86_64")]
// SAFETY: for those who call it: the processor has AMX, `Tiles` are set up on this thread, and strips are equally long and
// not empty.
unsafe fn amx(sums: &mut Block, left: Strips<'_>, right: Strips<'_>) {
    let steps = left[0].len();
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
fn avx512(sums: &mut Block, left: Strips<'_>, right: Strips<'_>) {
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
            for (all, row) in all.iter_mut().zip(&*rows) {
                // SAFETY: a row is 32 numbers.
                *all = unsafe { [_mm512_loadu_ps(row.as_ptr()), _mm512_loadu_ps(row[SIDE..].as_ptr())] };
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
fn plain(sums: &mut Block, left: Strips<'_>, right: Strips<'_>) {
    let low = |word: u32| f32::from_bits(word << 16);
    let high = |word: u32| f32::from_bits(word & 0xffff_0000);
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
