//! From the bytes of a tensor to floats, as the reference code of ggml does it (`ggml-quants.c`).

use half::{bf16, f16};

use super::TensorType;

/// Whether [`dequantise`] knows the type.
pub fn knows(kind: TensorType) -> bool {
    use TensorType::{BF16, F16, F32, Q4_0, Q4_K, Q5_K, Q6_K, Q8_0};
    matches!(kind, F32 | F16 | BF16 | Q8_0 | Q4_0 | Q4_K | Q5_K | Q6_K)
}

/// Fills `out` with the numbers that `bytes` store as `kind`. Both are whole blocks of the type; what one of them is
/// longer than the other is not looked at. Types that [`knows`] denies change nothing.
pub fn dequantise(kind: TensorType, bytes: &[u8], out: &mut [f32]) {
    match kind {
        TensorType::F32 => {
            each(bytes, out, |bytes: &[u8; 4], out: &mut [f32; 1]| out[0] = f32::from_le_bytes(*bytes))
        }
        TensorType::F16 => each(bytes, out, |bytes, out: &mut [f32; 1]| out[0] = half(bytes)),
        TensorType::BF16 => {
            each(bytes, out, |bytes, out: &mut [f32; 1]| out[0] = bf16::from_le_bytes(*bytes).to_f32())
        }
        TensorType::Q8_0 => each(bytes, out, q8_0),
        TensorType::Q4_0 => each(bytes, out, q4_0),
        TensorType::Q4_K => each(bytes, out, q4_k),
        TensorType::Q5_K => each(bytes, out, q5_k),
        TensorType::Q6_K => each(bytes, out, q6_k),
        _ => {}
    }
}

fn each<const B: usize, const N: usize>(
    bytes: &[u8],
    out: &mut [f32],
    block: impl Fn(&[u8; B], &mut [f32; N]),
) {
    for (bytes, out) in bytes.as_chunks().0.iter().zip(out.as_chunks_mut().0) {
        block(bytes, out);
    }
}

fn half(bytes: &[u8; 2]) -> f32 {
    f16::from_le_bytes(*bytes).to_f32()
}

/// The number of sixteen bits at `at`.
fn half_at(bytes: &[u8], at: usize) -> f32 {
    half(&[bytes[at], bytes[at + 1]])
}

/// A scale, and 32 whole numbers of eight bits.
fn q8_0(bytes: &[u8; 34], out: &mut [f32; 32]) {
    let scale = half_at(bytes, 0);
    for (out, byte) in out.iter_mut().zip(&bytes[2..]) {
        *out = scale * f32::from(*byte as i8);
    }
}

/// A scale, and 32 whole numbers of four bits less 8: the first half in the low bits.
fn q4_0(bytes: &[u8; 18], out: &mut [f32; 32]) {
    let scale = half_at(bytes, 0);
    let (low, high) = out.split_at_mut(16);
    for ((low, high), byte) in low.iter_mut().zip(high).zip(&bytes[2..]) {
        *low = scale * (f32::from(byte & 15) - 8.0);
        *high = scale * (f32::from(byte >> 4) - 8.0);
    }
}

/// The scale and the offset of the `at`th of eight groups of 32, of six bits each.
fn scale_and_offset(packed: &[u8], at: usize) -> (f32, f32) {
    let (scale, offset) = if at < 4 {
        (packed[at] & 63, packed[at + 4] & 63)
    } else {
        (packed[at + 4] & 15 | packed[at - 4] >> 6 << 4, packed[at + 4] >> 4 | packed[at] >> 6 << 4)
    };
    (f32::from(scale), f32::from(offset))
}

/// 256 numbers in eight groups: scale · q − offset, with q of four bits.
fn q4_k(bytes: &[u8; 144], out: &mut [f32; 256]) {
    let (scale, offset) = (half_at(bytes, 0), half_at(bytes, 2));
    let packed = &bytes[4..16];
    for (pair, out) in out.as_chunks_mut::<64>().0.iter_mut().enumerate() {
        let codes = &bytes[16 + pair * 32..][..32];
        let (low, high) = out.split_at_mut(32);
        let (one, other) = (scale_and_offset(packed, 2 * pair), scale_and_offset(packed, 2 * pair + 1));
        let (one, other) = ((scale * one.0, offset * one.1), (scale * other.0, offset * other.1));
        for ((low, high), code) in low.iter_mut().zip(high).zip(codes) {
            *low = one.0 * f32::from(code & 15) - one.1;
            *high = other.0 * f32::from(code >> 4) - other.1;
        }
    }
}

/// The same with a fifth bit for each number.
fn q5_k(bytes: &[u8; 176], out: &mut [f32; 256]) {
    let (scale, offset) = (half_at(bytes, 0), half_at(bytes, 2));
    let packed = &bytes[4..16];
    let fifths = &bytes[16..48];
    for (pair, out) in out.as_chunks_mut::<64>().0.iter_mut().enumerate() {
        let codes = &bytes[48 + pair * 32..][..32];
        let (low, high) = out.split_at_mut(32);
        let (one, other) = (scale_and_offset(packed, 2 * pair), scale_and_offset(packed, 2 * pair + 1));
        let (one, other) = ((scale * one.0, offset * one.1), (scale * other.0, offset * other.1));
        for at in 0..32 {
            let (code, fifth) = (codes[at], fifths[at] >> (2 * pair));
            low[at] = one.0 * f32::from(code & 15 | (fifth & 1) << 4) - one.1;
            high[at] = other.0 * f32::from(code >> 4 | (fifth >> 1 & 1) << 4) - other.1;
        }
    }
}

/// 256 numbers in sixteen groups: scale · (q − 32), with q of six bits, four low and two high ones.
fn q6_k(bytes: &[u8; 210], out: &mut [f32; 256]) {
    let scale = half_at(bytes, 208);
    for (half, out) in out.as_chunks_mut::<128>().0.iter_mut().enumerate() {
        let low = &bytes[half * 64..][..64];
        let high = &bytes[128 + half * 32..][..32];
        let scales = &bytes[192 + half * 8..][..8];
        for quarter in 0..4 {
            let (from, shift) = (quarter % 2 * 32, quarter / 2 * 4);
            for at in 0..32 {
                let code = low[from + at] >> shift & 15 | (high[at] >> (2 * quarter) & 3) << 4;
                let own = scale * f32::from(scales[quarter * 2 + at / 16] as i8);
                out[quarter * 32 + at] = own * (f32::from(code) - 32.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::quantise::quantise;
    use super::*;

    #[test]
    fn what_was_quantised_comes_back_within_half_a_level() {
        let numbers: Vec<f32> = (0..512).map(|at| ((at * 7919) % 1001) as f32 / 500.0 - 1.0).collect();
        for (kind, most) in [
            (TensorType::F32, 0.0),
            (TensorType::F16, 5e-4),
            (TensorType::BF16, 4e-3),
            (TensorType::Q8_0, 4.5e-3),
            (TensorType::Q4_0, 0.13),
        ] {
            let mut bytes = Vec::new();
            quantise(kind, &numbers, &mut bytes);
            let mut found = vec![0.0; numbers.len()];
            dequantise(kind, &bytes, &mut found);
            let worst = numbers.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= most, "{}: {worst}", kind.name());
            assert!(knows(kind));
        }
        assert!(!knows(TensorType::IQ1_S));
    }
}
