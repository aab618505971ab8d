//! Random weights: streams of numbers, and blocks of the K types that need no floats to start from.

use half::f16;

use crate::error::Result;
use crate::gguf::quantise::{knows, quantise};
use crate::gguf::{Tensor, TensorType, Writer};
use crate::seed::Stream;

/// Numbers that are made at a time: a multiple of every block.
const CHUNK: u64 = 1 << 14;

/// How the numbers of a tensor are spread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread {
    pub(super) mean: f32,
    pub(super) deviation: f32,
}

/// Writes the tensor that is next.
pub(super) fn write(writer: &mut Writer, tensor: &Tensor, spread: Spread, stream: &mut Stream) -> Result<()> {
    let mut left = tensor.numbers().unwrap_or(0);
    let (mut numbers, mut bytes) = (Vec::new(), Vec::new());
    while left > 0 {
        let now = left.min(CHUNK);
        bytes.clear();
        if knows(tensor.kind) {
            numbers.clear();
            numbers.extend((0..now).map(|_| spread.mean + spread.deviation * bell(stream)));
            quantise(tensor.kind, &numbers, &mut bytes);
        } else {
            let blocks = now / tensor.kind.block();
            match tensor.kind {
                TensorType::Q4_K => (0..blocks).for_each(|_| q4_k(spread.deviation, stream, &mut bytes)),
                _ => (0..blocks).for_each(|_| q6_k(spread.deviation, stream, &mut bytes)),
            }
        }
        writer.write(&bytes)?;
        left -= now;
    }
    Ok(())
}

/// Near to normal, with mean 0 and deviation 1: the sum of four uniform draws of 16 bits. It needs no logarithm or
/// cosine, whose last bits differ between machines, and one draw of the stream.
fn bell(stream: &mut Stream) -> f32 {
    let bits = stream.next_u64();
    let sum: u64 = (0..4).map(|part| bits >> (16 * part) & 0xffff).sum();
    // A uniform draw of 0..65536 has the variance 65536² / 12, and four of them a third of 65536².
    (sum as f32 - 131_070.0) * (1.732_050_8 / 65_536.0)
}

fn fill(stream: &mut Stream, count: usize, out: &mut Vec<u8>) {
    for _ in 0..count / 8 {
        out.extend_from_slice(&stream.next_u64().to_le_bytes());
    }
}

/// A block of Q4_K: two scales, eight pairs of six-bit factors, and 256 levels of four bits. A number is
/// `scale * factor * level - least * factor'`. With the same factor in both places and `least = 7.5 * scale` its mean
/// is 0; levels are uniform, so their deviation is 4.61.
fn q4_k(deviation: f32, stream: &mut Stream, out: &mut Vec<u8>) {
    let bits = stream.next_u64();
    // Eight factors of 32 to 63, five random bits each.
    let factor: [u8; 8] = std::array::from_fn(|at| 32 + (bits >> (5 * at) & 31) as u8);
    let scale = deviation / (4.61 * 47.5);
    out.extend_from_slice(&f16::from_f32(scale).to_le_bytes());
    out.extend_from_slice(&f16::from_f32(7.5 * scale).to_le_bytes());
    // The first four have their six bits in the low bits; the other four have four bits in the last four bytes, and
    // two in the high bits of the first eight.
    out.extend((0..8).map(|at| factor[at % 4] | factor[4 + at % 4] >> 4 << 6));
    out.extend((4..8).map(|at| factor[at] & 15 | factor[at] << 4));
    fill(stream, 128, out);
}

/// A block of Q6_K: 256 levels of six bits (-32 to 31), sixteen factors of eight bits, one scale. Levels are
/// uniform, so their deviation is 18.47.
fn q6_k(deviation: f32, stream: &mut Stream, out: &mut Vec<u8>) {
    fill(stream, 192, out);
    let (sizes, signs) = (stream.next_u64(), stream.next_u64());
    out.extend((0..16).map(|at| {
        let size = 64 + (sizes >> (4 * at) & 15) as i8 * 4;
        (if signs >> at & 1 == 0 { size } else { -size }) as u8
    }));
    out.extend_from_slice(&f16::from_f32(deviation / (18.47 * 94.0)).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    fn moments(numbers: &[f32]) -> (f64, f64) {
        let count = numbers.len() as f64;
        let mean = numbers.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
        let variance = numbers.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count;
        (mean, variance.sqrt())
    }

    /// As `dequantize_row_q4_K` in `ggml-quants.c`.
    fn numbers_of_q4_k(block: &[u8]) -> Vec<f32> {
        let half = |at: usize| f16::from_le_bytes([block[at], block[at + 1]]).to_f32();
        let (scale, least, scales, levels) = (half(0), half(2), &block[4..16], &block[16..]);
        let factors = |at: usize| {
            if at < 4 {
                (scales[at] & 63, scales[at + 4] & 63)
            } else {
                let (low, high) = (scales[at + 4] & 15, scales[at + 4] >> 4);
                (low | (scales[at - 4] >> 6) << 4, high | (scales[at] >> 6) << 4)
            }
        };
        (0..256)
            .map(|at| {
                let (factor, minimum) = factors(at / 32);
                let byte = levels[at / 64 * 32 + at % 32];
                let level = if at / 32 % 2 == 0 { byte & 15 } else { byte >> 4 };
                scale * f32::from(factor) * f32::from(level) - least * f32::from(minimum)
            })
            .collect()
    }

    /// As `dequantize_row_q6_K`.
    fn numbers_of_q6_k(block: &[u8]) -> Vec<f32> {
        let (low, high, factors) = (&block[..128], &block[128..192], &block[192..208]);
        let scale = f16::from_le_bytes([block[208], block[209]]).to_f32();
        (0..256)
            .map(|at| {
                let (half, quarter, place) = (at / 128, at % 128 / 32, at % 32);
                let byte = low[half * 64 + quarter % 2 * 32 + place];
                let low = if quarter < 2 { byte & 15 } else { byte >> 4 };
                let level = low | (high[half * 32 + place] >> (2 * quarter) & 3) << 4;
                let factor = factors[half * 8 + quarter * 2 + place / 16] as i8;
                scale * f32::from(factor) * (f32::from(level) - 32.0)
            })
            .collect()
    }

    #[test]
    fn numbers_are_spread_as_asked() {
        let stream = &mut Seed(3).stream("spread", 0);
        let (mean, deviation) = moments(&(0..100_000).map(|_| bell(stream)).collect::<Vec<_>>());
        assert!(mean.abs() < 0.01 && (deviation - 1.0).abs() < 0.01, "{mean} {deviation}");
        let blocks = |make: fn(f32, &mut Stream, &mut Vec<u8>), read: fn(&[u8]) -> Vec<f32>| {
            let stream = &mut Seed(3).stream("blocks", 0);
            let all: Vec<f32> = (0..400)
                .flat_map(|_| {
                    let mut block = Vec::new();
                    make(0.05, stream, &mut block);
                    read(&block)
                })
                .collect();
            moments(&all)
        };
        for (mean, deviation) in [blocks(q4_k, numbers_of_q4_k), blocks(q6_k, numbers_of_q6_k)] {
            assert!(mean.abs() < 0.001 && (deviation - 0.05).abs() < 0.002, "{mean} {deviation}");
        }
    }

    #[test]
    fn blocks_have_the_size_of_their_type() {
        for (make, kind) in
            [(q4_k as fn(f32, &mut Stream, &mut Vec<u8>), TensorType::Q4_K), (q6_k, TensorType::Q6_K)]
        {
            let mut block = Vec::new();
            make(1.0, &mut Seed(1).stream("size", 0), &mut block);
            assert_eq!(block.len() as u64, kind.block_bytes());
        }
    }
}
