//! Division of rows by their root mean square (RMSNorm, Zhang and Sennrich, 2019).

use rayon::prelude::*;

use super::{by_rows, dot, rows_in_part};

/// 1 / sqrt(mean(x²) + ε) of a row.
fn inverse(row: &[f32], epsilon: f32) -> f32 {
    1.0 / (dot(row, row) / row.len() as f32 + epsilon).sqrt()
}

/// `out` = x / rms(x) · weight, for rows as wide as `weight`.
pub fn forward(x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) {
    let width = weight.len();
    by_rows(out, width, |first, out| {
        let rows = x[first * width..].chunks_exact(width);
        for (out, x) in out.chunks_exact_mut(width).zip(rows) {
            let inverse = inverse(x, epsilon);
            for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                *out = x * inverse * weight;
            }
        }
    });
}

/// Puts the gradient of `x` into `dx`, and adds that of the weights to `dweight` where it is wanted.
pub fn backward(
    x: &[f32],
    weight: &[f32],
    epsilon: f32,
    dy: &[f32],
    dx: &mut [f32],
    dweight: Option<&mut [f32]>,
) {
    let width = weight.len();
    by_rows(dx, width, |first, dx| {
        let rows = x[first * width..].chunks_exact(width).zip(dy[first * width..].chunks_exact(width));
        for (dx, (x, dy)) in dx.chunks_exact_mut(width).zip(rows) {
            let inverse = inverse(x, epsilon);
            // dx holds weight · dy first.
            for ((dx, dy), weight) in dx.iter_mut().zip(dy).zip(weight) {
                *dx = dy * weight;
            }
            let along = dot(dx, x) * inverse * inverse / width as f32;
            for (dx, x) in dx.iter_mut().zip(x) {
                *dx = (*dx - x * along) * inverse;
            }
        }
    });
    if let Some(dweight) = dweight {
        let part = rows_in_part(width) * width;
        let sums: Vec<Vec<f32>> = (x.par_chunks(part).zip(dy.par_chunks(part)))
            .map(|(x, dy)| {
                let mut sum = vec![0.0; width];
                for (x, dy) in x.chunks_exact(width).zip(dy.chunks_exact(width)) {
                    let inverse = inverse(x, epsilon);
                    for ((sum, x), dy) in sum.iter_mut().zip(x).zip(dy) {
                        *sum += x * inverse * dy;
                    }
                }
                sum
            })
            .collect();
        for sum in sums {
            dweight.iter_mut().zip(sum).for_each(|(to, more)| *to += more);
        }
    }
}
