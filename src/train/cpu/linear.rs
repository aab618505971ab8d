//! Products with matrices that are not trained, stored as the model file has them.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::buffer::Buffer;
use super::gemm::{Matrix, MatrixMut, add_product_on_all, product_on_all};
use crate::gguf::TensorType;
use crate::gguf::dequantise::dequantise;

/// Numbers of a matrix that are unpacked at a time: they are written once and read twice, from the caches.
const PANEL: usize = 1 << 20;

/// A matrix of `rows` outputs by `columns` inputs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Weight {
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub columns: usize,
    store: Store,
}

#[derive(Clone, Debug)]
enum Store {
    Dense(Arc<[f32]>),
    Packed(TensorType, Arc<[u8]>),
}

impl Weight {
    /// A matrix of floats. Panics if there are not `rows` · `columns`.
    pub fn dense(numbers: Arc<[f32]>, rows: usize, columns: usize) -> Self {
        assert_eq!(numbers.len(), rows * columns);
        Weight { rows, columns, store: Store::Dense(numbers) }
    }

    /// A matrix whose rows are stored as `kind`, in whole blocks. Panics if the bytes are not those of its size.
    pub fn packed(kind: TensorType, bytes: Arc<[u8]>, rows: usize, columns: usize) -> Self {
        assert!((columns as u64).is_multiple_of(kind.block()));
        assert_eq!(Some(bytes.len() as u64), kind.bytes(&[columns as u64, rows as u64]));
        Weight { rows, columns, store: Store::Packed(kind, bytes) }
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        match &self.store {
            Store::Dense(numbers) => numbers.len() * 4,
            Store::Packed(_, bytes) => bytes.len(),
        }
    }

    /// Unpacks the rows from `from` on into `out`, one behind the other.
    pub fn unpack(&self, from: usize, out: &mut [f32]) {
        match &self.store {
            Store::Dense(numbers) => out.copy_from_slice(&numbers[from * self.columns..][..out.len()]),
            Store::Packed(kind, bytes) => {
                let row = bytes.len() / self.rows.max(1);
                let rows = super::rows_in_part(self.columns);
                out.par_chunks_mut(rows * self.columns)
                    .zip(bytes[from * row..].par_chunks(rows * row))
                    .for_each(|(out, bytes)| dequantise(*kind, bytes, out));
            }
        }
    }

    /// Calls `work` with the first row of each panel and its numbers.
    pub fn panels(&self, mut work: impl FnMut(usize, &[f32])) {
        let step = (PANEL / self.columns.max(1)).max(1);
        match &self.store {
            Store::Dense(numbers) => work(0, numbers),
            Store::Packed(..) => {
                let mut panel = Buffer::any(step.min(self.rows) * self.columns);
                for from in (0..self.rows).step_by(step) {
                    let rows = step.min(self.rows - from);
                    let panel = &mut panel[..rows * self.columns];
                    self.unpack(from, panel);
                    work(from, panel);
                }
            }
        }
    }

    /// The matrix as floats on a device.
    ///
    /// # Errors
    /// candle's.
    pub fn tensor(&self, device: &Device) -> candle_core::Result<Tensor> {
        let mut numbers = vec![0.0; self.rows * self.columns];
        self.unpack(0, &mut numbers);
        Tensor::from_vec(numbers, (self.rows, self.columns), device)
    }

    /// Puts x · Wᵀ into the columns of `out` from `place` on; rows of `out` are `width` wide.
    pub fn forward(&self, x: &[f32], out: &mut [f32], width: usize, place: usize) {
        let tokens = x.len() / self.columns.max(1);
        if tokens == 0 {
            return;
        }
        let x = Matrix::new(x, tokens, self.columns);
        self.panels(|from, panel| {
            let rows = panel.len() / self.columns;
            let to = MatrixMut::strided(&mut out[place + from..], tokens, rows, width);
            product_on_all(to, x, Matrix::new(panel, rows, self.columns).transposed(), 1.0);
        });
    }

    /// Puts dy · W into `dx`, or adds it, with dy in the columns of `dout` from `place` on.
    pub fn backward(&self, dout: &[f32], width: usize, place: usize, dx: &mut [f32], mut add: bool) {
        let tokens = dx.len() / self.columns.max(1);
        if tokens == 0 {
            return;
        }
        self.panels(|from, panel| {
            let rows = panel.len() / self.columns;
            let dy = Matrix::strided(&dout[place + from..], tokens, rows, width);
            let to = MatrixMut::new(dx, tokens, self.columns);
            let panel = Matrix::new(panel, rows, self.columns);
            if add {
                add_product_on_all(to, dy, panel, 1.0);
            } else {
                product_on_all(to, dy, panel, 1.0);
            }
            add = true;
        });
    }
}
