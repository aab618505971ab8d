//! Tensors as operations see them.

use std::sync::Arc;

use candle_core::{CpuStorage, DType, Device, Layout, Storage, Tensor, bail};
use rayon::prelude::*;

use super::Result;
use crate::train::cpu::PART;
use crate::train::cpu::buffer::Buffer;

/// A tensor of `f32`: numbers of ours, or a tensor of candle's, on any device. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Value {
    /// Numbers in memory that is used again, row by row.
    Own(Vec<usize>, Arc<Buffer>),
    /// A tensor of candle's.
    Candle(Tensor),
}

impl From<Tensor> for Value {
    fn from(tensor: Tensor) -> Self {
        Value::Candle(tensor)
    }
}

impl Value {
    /// Numbers of a shape. Panics if there are not as many.
    pub fn new(shape: impl Into<Vec<usize>>, numbers: Buffer) -> Self {
        let shape = shape.into();
        assert_eq!(shape.iter().product::<usize>(), numbers.len(), "{shape:?}");
        Value::Own(shape, Arc::new(numbers))
    }

    /// The shape of what has been used up.
    pub(in crate::train) fn spent(shape: &[usize]) -> Self {
        Value::Own(shape.to_vec(), Arc::default())
    }

    /// The sizes.
    pub fn dims(&self) -> &[usize] {
        match self {
            Value::Own(shape, _) => shape,
            Value::Candle(tensor) => tensor.dims(),
        }
    }

    /// Whether our loops work on it: `f32` in the memory of the processor.
    pub fn is_here(&self) -> bool {
        match self {
            Value::Own(..) => true,
            Value::Candle(tensor) => tensor.device().is_cpu() && tensor.dtype() == DType::F32,
        }
    }

    /// As a tensor of candle's; own numbers are copied to `device`.
    ///
    /// # Errors
    /// candle's.
    pub fn tensor(&self, device: &Device) -> Result<Tensor> {
        match self {
            Value::Own(shape, numbers) => Tensor::from_slice(numbers, shape.as_slice(), device),
            Value::Candle(tensor) => Ok(tensor.clone()),
        }
    }

    /// The numbers, as `f32`.
    ///
    /// # Errors
    /// candle's.
    pub fn to_vec(&self) -> Result<Vec<f32>> {
        match self {
            Value::Own(_, numbers) => Ok(numbers.to_vec()),
            Value::Candle(tensor) => tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1(),
        }
    }

    /// Other numbers in the same shape, type and place.
    ///
    /// # Errors
    /// Another count, or candle's.
    pub fn with(&self, numbers: Vec<f32>) -> Result<Self> {
        match self {
            Value::Own(shape, own) if own.len() == numbers.len() => {
                Ok(Value::new(shape.clone(), numbers.into()))
            }
            Value::Own(shape, _) => bail!("{} numbers for a tensor of {shape:?}", numbers.len()),
            Value::Candle(tensor) => {
                let new = Tensor::from_vec(numbers, tensor.shape(), tensor.device())?;
                Ok(new.to_dtype(tensor.dtype())?.into())
            }
        }
    }

    /// Adds another tensor of the same shape.
    ///
    /// # Errors
    /// The shapes differ, or candle fails.
    pub fn add(&mut self, more: &Value) -> Result<()> {
        if self.dims() != more.dims() {
            bail!("the sum of {:?} and {:?}", self.dims(), more.dims());
        }
        if let (Value::Candle(own), Value::Candle(more)) = (&mut *self, more) {
            *own = (&*own + more)?;
            return Ok(());
        }
        let own = self.numbers_mut()?;
        with_slices(&[more], |slices| {
            add(own, slices[0]);
            Ok(())
        })
    }

    /// The numbers, to change them; copied first if somebody else has them too.
    ///
    /// # Errors
    /// candle's.
    pub(in crate::train) fn numbers_mut(&mut self) -> Result<&mut Buffer> {
        if let Value::Candle(tensor) = self {
            *self = Value::new(tensor.dims(), tensor.flatten_all()?.to_vec1()?.into());
        }
        let Value::Own(_, numbers) = self else { bail!("no numbers") };
        if Arc::get_mut(numbers).is_none() {
            *numbers = Arc::new(Buffer::copy(numbers));
        }
        match Arc::get_mut(numbers) {
            Some(numbers) => Ok(numbers),
            None => bail!("numbers that somebody else has"),
        }
    }
}

/// Adds numbers, on all threads.
pub(super) fn add(to: &mut [f32], more: &[f32]) {
    to.par_chunks_mut(PART).zip(more.par_chunks(PART)).for_each(|(to, more)| {
        to.iter_mut().zip(more).for_each(|(to, more)| *to += more);
    });
}

/// Calls `work` with the numbers of tensors on a processor.
///
/// # Errors
/// One is elsewhere, has other numbers than `f32`, or holes.
pub(in crate::train) fn with_slices<T>(
    values: &[&Value],
    work: impl FnOnce(&[&[f32]]) -> Result<T>,
) -> Result<T> {
    let guards: Vec<_> = values
        .iter()
        .map(|value| match value {
            Value::Own(..) => None,
            Value::Candle(tensor) => Some(tensor.storage_and_layout()),
        })
        .collect();
    let slices = values
        .iter()
        .zip(&guards)
        .map(|(value, guard)| match (value, guard) {
            (Value::Own(_, numbers), _) => Ok(&***numbers),
            (_, Some((storage, layout))) => match &**storage {
                Storage::Cpu(storage) => slice(storage, layout),
                _ => bail!("a tensor on a processor is wanted"),
            },
            (_, None) => bail!("a tensor without numbers"),
        })
        .collect::<Result<Vec<_>>>()?;
    work(&slices)
}

pub(super) fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(numbers), Some((from, to))) => Ok(&numbers[from..to]),
        (CpuStorage::F32(_), None) => bail!("a tensor without holes is wanted"),
        _ => bail!("a tensor of f32 is wanted"),
    }
}
