//! GGUF model files: read, checked, written; and small models with random weights for tests and benchmarks.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>, versions 2 and 3, little-endian.

pub mod check;
pub mod dequantise;
mod kinds;
pub mod quantise;
pub mod random;
mod read;
mod value;
mod write;

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

pub use check::{Facts, TensorBytes, check};
pub use kinds::TensorType;
pub use value::{Array, Strings, Value, ValueType};
pub use write::{Writer, head};

use crate::error::{Error, Place, Result};

/// The first bytes of every file.
pub const MAGIC: &[u8; 4] = b"GGUF";
/// Where tensors begin is a multiple of this, if `general.alignment` does not say otherwise.
pub const DEFAULT_ALIGNMENT: u64 = 32;
/// Most that is written or passes the check: 1 MiB. Files that circulate have 32 or, to be mapped by pages, 4,096 to
/// 65,536.
pub const MOST_ALIGNMENT: u64 = 1 << 20;

/// What a file says of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its name, such as `blk.0.attn_q.weight`.
    pub name: String,
    /// Sizes in the order of ggml: the numbers of a row (`ne0`) first. 1 to 4 of them.
    pub shape: Vec<u64>,
    /// How its numbers are stored.
    pub kind: TensorType,
    /// Where it begins, in bytes from [`Gguf::data_offset`].
    pub offset: u64,
}

impl Tensor {
    /// How many numbers it has; none above `u64::MAX`.
    pub fn numbers(&self) -> Option<u64> {
        self.shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size))
    }

    /// How many bytes it takes; see [`TensorType::bytes`].
    pub fn bytes(&self) -> Option<u64> {
        self.kind.bytes(&self.shape)
    }
}

/// The head of a file: everything but the tensors' data.
#[derive(Clone, Debug, PartialEq)]
pub struct Gguf {
    /// 2 or 3.
    pub version: u32,
    /// What the tensors' offsets are multiples of: a power of two.
    pub alignment: u64,
    /// Keys and values, in the order of the file; keys are not empty and come once.
    pub metadata: Vec<(String, Value)>,
    /// Tensors, in the order of the file; names come once.
    pub tensors: Vec<Tensor>,
    /// Where the tensors' data begins, in bytes. It may lie behind the end of a file that is cut.
    pub data_offset: u64,
    /// The length of the file, in bytes.
    pub file_length: u64,
}

impl Gguf {
    /// Reads the head of a file. Counts and lengths are held against the bytes that are left, and at most 65,536 keys
    /// and as many tensors are taken, so what is kept is no more than the head's size and some 10 MiB. Where tensors lie and what a model needs is not looked at here: see [`check()`].
    ///
    /// # Errors
    /// The file cannot be read; it is no GGUF file of version 2 or 3; it is cut; a key or a tensor comes twice; a
    /// type is unknown; a text is no UTF-8. Each names the file and the byte or the key.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| Error::io("open the model file", path, error))?;
        Self::read(file).map_err(|error| error.at_if_missing(Place::file(path)))
    }

    /// As [`Self::open`], from anything that can be read; bytes go into a [`std::io::Cursor`].
    ///
    /// # Errors
    /// As [`Self::open`], without the file's name.
    pub fn read(source: impl Read + Seek) -> Result<Self> {
        read::read(source)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.metadata.iter().find(|entry| entry.0 == key).map(|entry| &entry.1)
    }

    /// The text under a key; none if it is missing or no text.
    pub fn str(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// The whole number under a key, of any width, if it is one and not negative.
    pub fn uint(&self, key: &str) -> Option<u64> {
        self.get(key)?.as_uint()
    }

    /// The float under a key, of either width.
    pub fn float(&self, key: &str) -> Option<f64> {
        self.get(key)?.as_float()
    }

    /// The list of texts under a key.
    pub fn strings(&self, key: &str) -> Option<&Strings> {
        self.get(key)?.as_strings()
    }

    /// The tensor of a name.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }
}
