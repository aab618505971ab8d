//! How the numbers of a tensor are stored: the types of ggml.

/// Declares [`TensorType`] and its table from one list, so that no entry can be missing from either.
macro_rules! kinds {
    ($($variant:ident = $id:literal, $name:literal, $block:literal x $bytes:literal;)*) => {
        /// A storage type of tensors: a row is cut into blocks of [`Self::block`] numbers, each of which takes
        /// [`Self::block_bytes`] bytes. Source: `enum ggml_type` and `ggml-common.h` of llama.cpp; types that were
        /// removed there (4, 5, 31 to 33, 36 to 38) are unknown here.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, non_camel_case_types)]
        pub enum TensorType { $($variant = $id,)* }

        const TABLE: &[(TensorType, &str, u64, u64)] = &[$((TensorType::$variant, $name, $block, $bytes),)*];
    };
}

kinds! {
    F32 = 0, "F32", 1 x 4;
    F16 = 1, "F16", 1 x 2;
    Q4_0 = 2, "Q4_0", 32 x 18;
    Q4_1 = 3, "Q4_1", 32 x 20;
    Q5_0 = 6, "Q5_0", 32 x 22;
    Q5_1 = 7, "Q5_1", 32 x 24;
    Q8_0 = 8, "Q8_0", 32 x 34;
    Q8_1 = 9, "Q8_1", 32 x 36;
    Q2_K = 10, "Q2_K", 256 x 84;
    Q3_K = 11, "Q3_K", 256 x 110;
    Q4_K = 12, "Q4_K", 256 x 144;
    Q5_K = 13, "Q5_K", 256 x 176;
    Q6_K = 14, "Q6_K", 256 x 210;
    Q8_K = 15, "Q8_K", 256 x 292;
    IQ2_XXS = 16, "IQ2_XXS", 256 x 66;
    IQ2_XS = 17, "IQ2_XS", 256 x 74;
    IQ3_XXS = 18, "IQ3_XXS", 256 x 98;
    IQ1_S = 19, "IQ1_S", 256 x 50;
    IQ4_NL = 20, "IQ4_NL", 32 x 18;
    IQ3_S = 21, "IQ3_S", 256 x 110;
    IQ2_S = 22, "IQ2_S", 256 x 82;
    IQ4_XS = 23, "IQ4_XS", 256 x 136;
    I8 = 24, "I8", 1 x 1;
    I16 = 25, "I16", 1 x 2;
    I32 = 26, "I32", 1 x 4;
    I64 = 27, "I64", 1 x 8;
    F64 = 28, "F64", 1 x 8;
    IQ1_M = 29, "IQ1_M", 256 x 56;
    BF16 = 30, "BF16", 1 x 2;
    TQ1_0 = 34, "TQ1_0", 256 x 54;
    TQ2_0 = 35, "TQ2_0", 256 x 66;
    MXFP4 = 39, "MXFP4", 32 x 17;
    NVFP4 = 40, "NVFP4", 64 x 36;
    Q1_0 = 41, "Q1_0", 128 x 18;
    Q2_0 = 42, "Q2_0", 64 x 18;
}

impl TensorType {
    /// All of them, by their number.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }

    /// The type with this number in a file.
    pub fn from_id(id: u32) -> Option<Self> {
        TABLE.iter().find(|row| row.0.id() == id).map(|row| row.0)
    }

    /// The type with this name, such as `Q4_K`; letters of any case.
    pub fn from_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.1.eq_ignore_ascii_case(name)).map(|row| row.0)
    }

    /// Its number in a file.
    pub fn id(self) -> u32 {
        self as u32
    }

    fn row(self) -> (&'static str, u64, u64) {
        // Every variant has its row: both come from one list.
        TABLE.iter().find(|row| row.0 == self).map_or(("", 1, 1), |row| (row.1, row.2, row.3))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// Numbers in a block; a row of a tensor is a whole number of blocks.
    pub fn block(self) -> u64 {
        self.row().1
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> u64 {
        self.row().2
    }

    /// Bytes of a tensor of this shape (the row first). None if a row is no whole number of blocks, or if the
    /// count of numbers or bytes is above `i64::MAX`.
    pub fn bytes(self, shape: &[u64]) -> Option<u64> {
        let row = shape.first().copied().unwrap_or(1);
        if !row.is_multiple_of(self.block()) {
            return None;
        }
        let numbers = shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size))?;
        let bytes = (numbers / self.block()).checked_mul(self.block_bytes())?;
        (numbers <= i64::MAX as u64 && bytes <= i64::MAX as u64).then_some(bytes)
    }
}

impl std::fmt::Display for TensorType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_number_and_name() {
        for kind in TensorType::all() {
            assert_eq!(TensorType::from_id(kind.id()), Some(kind));
            assert_eq!(TensorType::from_name(&kind.name().to_lowercase()), Some(kind));
            assert!(kind.block() > 0 && kind.block_bytes() > 0);
        }
        for removed in [4, 5, 31, 32, 33, 36, 37, 38, 43, u32::MAX] {
            assert_eq!(TensorType::from_id(removed), None);
        }
    }

    /// Bits per number, as the formats' documentation has them.
    #[test]
    fn bits_per_number() {
        for (kind, bits) in [
            (TensorType::F32, 32.0),
            (TensorType::Q4_0, 4.5),
            (TensorType::Q8_0, 8.5),
            (TensorType::Q2_K, 2.625),
            (TensorType::Q3_K, 3.4375),
            (TensorType::Q4_K, 4.5),
            (TensorType::Q5_K, 5.5),
            (TensorType::Q6_K, 6.5625),
            (TensorType::IQ2_XXS, 2.0625),
            (TensorType::IQ3_S, 3.4375),
            (TensorType::IQ1_S, 1.5625),
            (TensorType::IQ1_M, 1.75),
            (TensorType::IQ4_XS, 4.25),
            (TensorType::TQ1_0, 1.6875),
            (TensorType::TQ2_0, 2.0625),
            (TensorType::MXFP4, 4.25),
            (TensorType::NVFP4, 4.5),
        ] {
            assert_eq!(kind.block_bytes() as f64 * 8.0 / kind.block() as f64, bits, "{kind}");
        }
    }

    #[test]
    fn bytes_of_a_shape() {
        assert_eq!(TensorType::F32.bytes(&[3, 5]), Some(60));
        assert_eq!(TensorType::Q4_K.bytes(&[512, 2]), Some(4 * 144));
        assert_eq!(TensorType::Q4_K.bytes(&[128, 2]), None);
        assert_eq!(TensorType::F32.bytes(&[u64::MAX, 2]), None);
        assert_eq!(TensorType::F32.bytes(&[1 << 62]), None);
    }
}
