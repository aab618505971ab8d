//! The gate of feed-forward layers: silu(g) · u (Shazeer, 2020), where a row holds g and then u.

use super::by_rows;
use crate::math::exp;

/// 1 / (1 + e⁻ˣ).
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    // Of the two ways, each has a power of e that is at most 1.
    let small = exp(-x.abs());
    let of_small = small / (1.0 + small);
    if x < 0.0 { of_small } else { 1.0 - of_small }
}

/// `out` = silu(g) · u. `x` has rows of 2 · `width`, `out` of `width`.
pub fn forward(x: &[f32], width: usize, out: &mut [f32]) {
    by_rows(out, width, |first, out| {
        let rows = x[first * 2 * width..].chunks_exact(2 * width);
        for (out, row) in out.chunks_exact_mut(width).zip(rows) {
            let (gate, up) = row.split_at(width);
            for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
                *out = gate * sigmoid(*gate) * up;
            }
        }
    });
}

/// Puts the gradients of g and u into `dx`.
pub fn backward(x: &[f32], width: usize, dy: &[f32], dx: &mut [f32]) {
    by_rows(dx, 2 * width, |first, dx| {
        let rows =
            x[first * 2 * width..].chunks_exact(2 * width).zip(dy[first * width..].chunks_exact(width));
        for (dx, (row, dy)) in dx.chunks_exact_mut(2 * width).zip(rows) {
            let (gate, up) = row.split_at(width);
            let (dgate, dup) = dx.split_at_mut(width);
            for at in 0..width {
                let share = sigmoid(gate[at]);
                dgate[at] = dy[at] * up[at] * share * (1.0 + gate[at] * (1.0 - share));
                dup[at] = dy[at] * gate[at] * share;
            }
        }
    });
}
