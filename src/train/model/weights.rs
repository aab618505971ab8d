//! The weights of a model file, in memory as the file stores them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use super::shape::Shape;
use crate::error::{Error, Place, Result};
use crate::gguf::dequantise::{dequantise, knows};
use crate::gguf::{Gguf, Tensor, check};
use crate::train::adapter::Adapter;
use crate::train::ops::{LowRank, Weight};

/// Matrices and vectors by the names of the file, such as `blk.0.attn_q.weight`.
#[derive(Clone, Debug)]
pub struct Weights {
    /// The sizes.
    pub shape: Shape,
    matrices: BTreeMap<String, Weight>,
    vectors: BTreeMap<String, Arc<[f32]>>,
}

impl Weights {
    /// Reads a model.
    ///
    /// # Errors
    /// The file does not pass [`check()`], cannot be read, or holds what cannot be trained; with the file's name.
    pub fn load(path: &Path) -> Result<Self> {
        Self::read(path).map_err(|error| error.at_if_missing(Place::file(path)))
    }

    fn read(path: &Path) -> Result<Self> {
        let facts = check(path)?;
        let head = Gguf::open(path)?;
        let mut file = File::open(path).map_err(|error| Error::io("open the model file", path, error))?;
        let (mut matrices, mut vectors) = (BTreeMap::new(), BTreeMap::new());
        for tensor in &head.tensors {
            if !knows(tensor.kind) {
                return Err(Error::config(format!(
                    "tensor {:?} is stored as {}, which cannot be trained on: F32, F16, BF16, Q8_0, Q4_0, Q4_K, Q5_K and \
                     Q6_K can",
                    tensor.name,
                    tensor.kind.name()
                )));
            }
            let bytes = bytes(&mut file, &head, tensor)
                .map_err(|error| Error::io("read the model file", path, error))?;
            match *tensor.shape {
                [columns, rows] => {
                    let (rows, columns) = (rows as usize, columns as usize);
                    let weight = if tensor.kind == crate::gguf::TensorType::F32 {
                        Weight::dense(floats(tensor, &bytes), rows, columns)
                    } else {
                        Weight::packed(tensor.kind, bytes.into(), rows, columns)
                    };
                    matrices.insert(tensor.name.clone(), weight);
                }
                [_] => {
                    vectors.insert(tensor.name.clone(), floats(tensor, &bytes));
                }
                _ => return Err(Error::data(format!("tensor {:?} is no matrix and no vector", tensor.name))),
            }
        }
        if vectors.contains_key("output.bias") {
            return Err(Error::config("the model has an output.bias, which cannot be trained with"));
        }
        let factors = vectors.get("rope_freqs.weight").map(|numbers| &**numbers);
        let shape = Shape::of(&head, &facts, factors)?;
        Ok(Weights { shape, matrices, vectors })
    }

    /// The matrix of a name.
    ///
    /// # Errors
    /// There is none.
    pub fn matrix(&self, name: &str) -> Result<&Weight> {
        self.matrices.get(name).ok_or_else(|| Error::data(format!("the model has no matrix {name:?}")))
    }

    /// The vector of a name.
    pub fn vector(&self, name: &str) -> Option<&Arc<[f32]>> {
        self.vectors.get(name)
    }

    /// The names of all tensors and their sizes: rows and columns, or numbers.
    pub fn names(&self) -> impl Iterator<Item = (&str, Vec<usize>)> {
        let matrices = self.matrices.iter().map(|(name, of)| (name.as_str(), vec![of.rows, of.columns]));
        matrices.chain(self.vectors.iter().map(|(name, of)| (name.as_str(), vec![of.len()])))
    }

    /// The numbers of a tensor, unpacked; none of a matrix that is trained.
    pub fn numbers(&self, name: &str) -> Option<Vec<f32>> {
        if let Some(vector) = self.vectors.get(name) {
            return Some(vector.to_vec());
        }
        let matrix = self.matrices.get(name).filter(|matrix| matrix.has_numbers())?;
        let mut numbers = vec![0.0; matrix.rows * matrix.columns];
        matrix.unpack(0, &mut numbers);
        Some(numbers)
    }

    /// Puts an adapter that is not trained onto the matrices: what is trained beside them stands on top of it.
    ///
    /// # Errors
    /// It does not fit the model, or has lengths of rows (DoRA), which packed matrices cannot take; nothing is changed then.
    pub fn put(&mut self, adapter: &Adapter) -> Result<()> {
        adapter.check(&self.shape)?;
        adapter.may_lie_beneath()?;
        for (name, pair) in &adapter.pairs {
            let low = LowRank { a: pair.a.clone(), b: pair.b.clone(), rank: pair.rank, scale: pair.scale };
            if let Some(matrix) = self.matrices.get_mut(name) {
                *matrix = matrix.on_top_of(Arc::new(low));
            }
        }
        Ok(())
    }

    /// Lets go the numbers of a matrix that is trained.
    pub(super) fn let_go(&mut self, name: &str) {
        if let Some(matrix) = self.matrices.get_mut(name) {
            *matrix = matrix.without_numbers();
        }
    }

    /// Bytes that all of them take.
    pub fn bytes(&self) -> usize {
        let vectors: usize = self.vectors.values().map(|vector| vector.len() * 4).sum();
        self.matrices.values().map(Weight::bytes).sum::<usize>() + vectors
    }
}

fn bytes(file: &mut File, head: &Gguf, tensor: &Tensor) -> std::io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(head.data_offset + tensor.offset))?;
    let mut bytes = vec![0; tensor.bytes().unwrap_or(0) as usize];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn floats(tensor: &Tensor, bytes: &[u8]) -> Arc<[f32]> {
    let mut numbers = vec![0.0; tensor.numbers().unwrap_or(0) as usize];
    dequantise(tensor.kind, bytes, &mut numbers);
    numbers.into()
}
