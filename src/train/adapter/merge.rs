//! Model files with adapters in them, or without them again, and in another type.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor as CandleTensor};

use super::{Adapter, Pair};
use crate::error::{Error, Place, Result};
use crate::files;
use crate::gguf::dequantise::{dequantise, knows};
use crate::gguf::{Gguf, Tensor, TensorType, Value, Writer, quantise};
use crate::train::cpu::gemm::{Matrix, MatrixMut, Precision};
use crate::train::model::Model;

/// The types that matrices can be written in.
pub const TYPES: [TensorType; 8] = [
    TensorType::F32,
    TensorType::F16,
    TensorType::BF16,
    TensorType::Q8_0,
    TensorType::Q4_0,
    TensorType::Q4_K,
    TensorType::Q5_K,
    TensorType::Q6_K,
];

/// What is written.
#[derive(Clone, Debug, Default)]
pub struct Export<'a> {
    /// Adapters that are added one after the other, each times a factor: −1 takes one out again. Those with lengths of
    /// rows (DoRA) are added whole or not at all.
    pub adapters: Vec<(&'a Adapter, f32)>,
    /// How matrices are stored; `None`: as they were. Vectors stay as they are.
    pub kind: Option<TensorType>,
}

/// What became of a model file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Tensors that were copied byte by byte.
    pub copied: usize,
    /// Tensors that an adapter changed.
    pub merged: usize,
    /// Tensors that were stored in another type.
    pub stored_anew: usize,
    /// Tensors whose rows are no whole blocks of the type that was asked for, and which became Q8_0 or F16.
    pub fell_back: usize,
}

/// Writes the model of `base` to `to`, whole or not at all, tensor by tensor: memory is taken for one of them.
/// `watch` is called with the bytes of `base` that are done and their sum.
///
/// # Errors
/// A tensor's type cannot be read or written, an adapter does not fit, or the disk is full.
pub fn export(base: &Path, to: &Path, what: &Export<'_>, mut watch: impl FnMut(u64, u64)) -> Result<Done> {
    if files::same(base, to) {
        return Err(Error::config("the output is the model itself: name another file").at(Place::file(to)));
    }
    if what.adapters.iter().any(|(adapter, factor)| adapter.config.use_dora && *factor != 1.0) {
        return Err(Error::config(
            "an adapter with use_dora is added whole: give it without a factor, and keep the model without it, for it cannot be taken out again",
        ));
    }
    if let Some(kind) = what.kind.filter(|kind| !TYPES.contains(kind)) {
        return Err(Error::config(format!("models are not written as {}", kind.name())));
    }
    crate::gguf::check(base)?;
    let head = Gguf::open(base)?;
    let mut done = Done::default();
    let mut metadata = head.metadata.clone();
    let mut plan = Vec::new();
    for tensor in &head.tensors {
        let kind = match what.kind {
            Some(kind) if tensor.shape.len() == 2 => {
                let fits = fitting(kind, tensor.shape[0]);
                done.fell_back += usize::from(fits != kind);
                fits
            }
            _ => tensor.kind,
        };
        plan.push((tensor.name.clone(), tensor.shape.clone(), kind));
    }
    if let Some(kind) = what.kind {
        // The number that llama.cpp gives a file of mostly this type.
        if let Some(entry) = metadata.iter_mut().find(|entry| entry.0 == "general.file_type") {
            entry.1 = file_type(kind).into();
        }
    }
    let mut writer = Writer::create(to, &metadata, &plan)?;
    let mut file = File::open(base).map_err(|error| Error::io("open the model file", base, error))?;
    let all: u64 = head.tensors.iter().filter_map(Tensor::bytes).sum();
    let mut read = 0;
    for (tensor, (_, _, kind)) in head.tensors.iter().zip(&plan) {
        let count = tensor.bytes().unwrap_or(0);
        let mut bytes = vec![0; count as usize];
        file.seek(SeekFrom::Start(head.data_offset + tensor.offset))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|error| Error::io("read the model file", base, error))?;
        let pairs: Vec<(&Pair, f32)> = what
            .adapters
            .iter()
            .filter_map(|(adapter, factor)| Some((adapter.pairs.get(&tensor.name)?, *factor)))
            .collect();
        if pairs.is_empty() && *kind == tensor.kind {
            writer.write(&bytes)?;
            done.copied += 1;
        } else {
            let bytes = changed(tensor, &bytes, &pairs, *kind)?;
            writer.write(&bytes)?;
            done.merged += usize::from(!pairs.is_empty());
            done.stored_anew += usize::from(*kind != tensor.kind);
        }
        read += count;
        watch(read, all);
    }
    writer.finish()?;
    Ok(done)
}

/// Writes a model whose weights were trained, each stored as it was in `base`, or as F16 where that has few bits, in which
/// small changes would be lost; whole or not at all. `facts` are keys and texts that its head says beside.
///
/// # Errors
/// As [`export`].
pub fn write_model(base: &Path, to: &Path, model: &Model, facts: &[(&str, &str)]) -> Result<()> {
    let mut head = Gguf::open(base)?;
    head.metadata.retain(|(key, _)| facts.iter().all(|(own, _)| own != key));
    head.metadata.extend(facts.iter().map(|(key, text)| ((*key).to_owned(), Value::String((*text).into()))));
    let kind = |tensor: &Tensor| if tensor.kind.block() > 1 { TensorType::F16 } else { tensor.kind };
    let plan: Vec<_> =
        head.tensors.iter().map(|one| (one.name.clone(), one.shape.clone(), kind(one))).collect();
    let mut writer = Writer::create(to, &head.metadata, &plan)?;
    for tensor in &head.tensors {
        let trained = model.parameters().iter().find(|one| one.name == tensor.name);
        let numbers = match trained {
            Some(one) => one.value.flatten_all()?.to_vec1()?,
            None => model.weights().numbers(&tensor.name).unwrap_or_default(),
        };
        holds(tensor, kind(tensor), &numbers)?;
        writer.write(&pack(kind(tensor), &numbers, tensor.shape[0] as usize)?)?;
    }
    writer.finish()
}

/// The bytes of a tensor with adapters in it, stored as `kind`.
fn changed(tensor: &Tensor, bytes: &[u8], pairs: &[(&Pair, f32)], kind: TensorType) -> Result<Vec<u8>> {
    if !knows(tensor.kind) {
        return Err(Error::config(format!(
            "tensor {:?} is stored as {}, which cannot be read here",
            tensor.name,
            tensor.kind.name()
        )));
    }
    let mut numbers = vec![0.0; tensor.numbers().unwrap_or(0) as usize];
    dequantise(tensor.kind, bytes, &mut numbers);
    for (pair, factor) in pairs {
        let b = Matrix::new(&pair.b, pair.rows, pair.rank);
        let a = Matrix::new(&pair.a, pair.rank, pair.columns);
        let to = MatrixMut::new(&mut numbers, pair.rows, pair.columns);
        Precision::F32.add_product_on_all(to, b, a, pair.scale * factor);
        let rows = numbers.chunks_exact_mut(pair.columns.max(1));
        for (row, length) in rows.zip(pair.lengths.as_deref().unwrap_or_default()) {
            let square: f64 = row.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
            let longer = if square > 0.0 { (f64::from(*length) / square.sqrt()) as f32 } else { 0.0 };
            row.iter_mut().for_each(|x| *x *= longer);
        }
    }
    holds(tensor, kind, &numbers)?;
    pack(kind, &numbers, tensor.shape[0] as usize)
}

/// Whether a type holds these numbers.
///
/// # Errors
/// One is none, or too large; names the tensor.
fn holds(tensor: &Tensor, kind: TensorType, numbers: &[f32]) -> Result<()> {
    let most = match kind {
        TensorType::F32 => f32::MAX,
        TensorType::BF16 => half::bf16::MAX.to_f32(),
        // The scales of types of few bits are f16 as well.
        _ => half::f16::MAX.to_f32(),
    };
    if numbers.iter().all(|x| x.abs() <= most) {
        return Ok(());
    }
    Err(Error::data(format!(
        "tensor {:?} would hold what is no number, or too large for {}: the model, an adapter or its factor is spoilt",
        tensor.name,
        kind.name()
    )))
}

/// Numbers in rows of `row` as the bytes of a type.
///
/// # Errors
/// The rows are no whole blocks, or the type is not among [`TYPES`].
pub fn pack(kind: TensorType, numbers: &[f32], row: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if quantise::knows(kind) {
        quantise::quantise(kind, numbers, &mut bytes);
        return Ok(bytes);
    }
    let theirs = match kind {
        TensorType::Q4_K => GgmlDType::Q4K,
        TensorType::Q5_K => GgmlDType::Q5K,
        TensorType::Q6_K => GgmlDType::Q6K,
        other => return Err(Error::config(format!("nothing is written as {}", other.name()))),
    };
    let rows = numbers.len() / row.max(1);
    let tensor = CandleTensor::from_slice(numbers, (rows, row), &Device::Cpu)?;
    let packed = QTensor::quantize(&tensor, theirs)?;
    bytes.extend_from_slice(&packed.data()?);
    Ok(bytes)
}

/// The type itself, or the next one whose blocks rows of this length are made of.
fn fitting(kind: TensorType, row: u64) -> TensorType {
    let fits = |kind: &TensorType| row.is_multiple_of(kind.block());
    [kind, TensorType::Q8_0].into_iter().find(fits).unwrap_or(TensorType::F16)
}

/// `general.file_type` of llama.cpp's `llama_ftype`.
fn file_type(kind: TensorType) -> u32 {
    match kind {
        TensorType::F32 => 0,
        TensorType::Q4_0 => 2,
        TensorType::Q8_0 => 7,
        TensorType::Q4_K => 14,
        TensorType::Q5_K => 16,
        TensorType::Q6_K => 18,
        TensorType::BF16 => 32,
        _ => 1,
    }
}
