//! The loops of training over slices of `f32`, forward and backward, on the threads of the current rayon pool.
//!
//! Work is cut into parts by shape alone and each part is summed in a fixed order, so that results do not depend on
//! the number of threads or on which thread did what.

pub mod adamw;
pub mod attention;
pub mod bf16;
pub mod buffer;
pub mod gemm;
pub mod head;
pub mod linear;
pub mod norm;
pub mod rope;
pub mod swiglu;

use rayon::prelude::*;

/// Numbers that a thread takes at a time: enough to be worth the hand-over, few enough to stay in its cache.
pub const PART: usize = 1 << 14;

/// Rows of `width` numbers in a part.
pub fn rows_in_part(width: usize) -> usize {
    (PART / width.max(1)).max(1)
}

/// Calls `work` with the number of the first row of each part and the part of `out`, whose rows are `width` wide.
pub fn by_rows(out: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    let rows = rows_in_part(width);
    out.par_chunks_mut(rows * width.max(1)).enumerate().for_each(|(part, out)| work(part * rows, out));
}

/// The sum of products, in sixteen lanes: the compiler makes vector instructions of it.
#[inline]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0f32; LANES];
    let (a_parts, a_rest) = a.as_chunks::<LANES>();
    let (b_parts, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_parts.iter().zip(b_parts) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0] + rest
}
