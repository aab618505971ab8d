//! From floats to the bytes of a tensor, as the reference code of ggml does it (`ggml-quants.c`).

use half::{bf16, f16};

use super::TensorType;

/// Whether [`quantise`] knows the type.
pub fn knows(kind: TensorType) -> bool {
    use TensorType::{BF16, F16, F32, Q4_0, Q8_0};
    matches!(kind, F32 | F16 | BF16 | Q8_0 | Q4_0)
}

/// Adds `numbers` to `out` as `kind` stores them. The count is a multiple of the type's block; what is left over is
/// not written. Types that [`knows`] denies add nothing.
pub fn quantise(kind: TensorType, numbers: &[f32], out: &mut Vec<u8>) {
    match kind {
        TensorType::F32 => numbers.iter().for_each(|x| out.extend_from_slice(&x.to_le_bytes())),
        TensorType::F16 => {
            numbers.iter().for_each(|&x| out.extend_from_slice(&f16::from_f32(x).to_le_bytes()));
        }
        TensorType::BF16 => {
            numbers.iter().for_each(|&x| out.extend_from_slice(&bf16::from_f32(x).to_le_bytes()));
        }
        TensorType::Q8_0 => numbers.as_chunks().0.iter().for_each(|block| q8_0(block, out)),
        TensorType::Q4_0 => numbers.as_chunks().0.iter().for_each(|block| q4_0(block, out)),
        _ => {}
    }
}

fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// A scale, and 32 whole numbers of eight bits.
fn q8_0(block: &[f32; 32], out: &mut Vec<u8>) {
    let most = block.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    let scale = most / 127.0;
    out.extend_from_slice(&f16::from_f32(scale).to_le_bytes());
    out.extend(block.iter().map(|x| (x * inverse(scale)).round() as i8 as u8));
}

/// A scale, and 32 whole numbers of four bits: the first half in the low bits, the second in the high ones. The
/// number that is largest in size becomes -8, so the scale takes its opposite sign.
fn q4_0(block: &[f32; 32], out: &mut Vec<u8>) {
    let extreme = block.iter().fold(0.0f32, |most, &x| if most.abs() < x.abs() { x } else { most });
    let scale = extreme / -8.0;
    out.extend_from_slice(&f16::from_f32(scale).to_le_bytes());
    let level = |x: f32| ((x * inverse(scale) + 8.5) as i8).min(15) as u8;
    out.extend((0..16).map(|at| level(block[at]) | level(block[at + 16]) << 4));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(kind: TensorType, numbers: &[f32]) -> Vec<u8> {
        let mut out = Vec::new();
        quantise(kind, numbers, &mut out);
        out
    }

    #[test]
    fn q8_0_by_hand() {
        let mut block = [0.0f32; 32];
        (block[0], block[1], block[2]) = (127.0, -63.5, 0.4);
        let out = bytes(TensorType::Q8_0, &block);
        // 1.0 as f16 is 0x3c00; -63.5 is rounded away from zero.
        assert_eq!(out[..5], [0x00, 0x3c, 127, (-64i8) as u8, 0]);
        assert_eq!(out.len(), 34);
    }

    #[test]
    fn q4_0_by_hand() {
        let mut block = [0.0f32; 32];
        // The scale is -8 / -8 = 1; -8 becomes level 0, 7 becomes 15, and nothing becomes 8.
        (block[0], block[16], block[1]) = (-8.0, 7.0, 3.0);
        let out = bytes(TensorType::Q4_0, &block);
        assert_eq!(out[..4], [0x00, 0x3c, 0xf0, 0x8b]);
        assert_eq!(out.len(), 18);
        // The scale is -1, and all levels are turned round.
        block.iter_mut().for_each(|x| *x = -*x);
        assert_eq!(bytes(TensorType::Q4_0, &block)[..4], [0x00, 0xbc, 0xf0, 0x8b]);
    }

    #[test]
    fn floats_by_hand() {
        assert_eq!(bytes(TensorType::F32, &[1.0]), [0, 0, 0x80, 0x3f]);
        assert_eq!(bytes(TensorType::F16, &[-2.0]), [0, 0xc0]);
        assert_eq!(bytes(TensorType::BF16, &[1.0]), [0x80, 0x3f]);
    }

    #[test]
    fn sizes_are_those_of_the_type() {
        for kind in TensorType::all().filter(|&kind| knows(kind)) {
            assert_eq!(bytes(kind, &[0.5; 64]).len() as u64, kind.bytes(&[64]).unwrap_or(0), "{kind}");
        }
    }
}
