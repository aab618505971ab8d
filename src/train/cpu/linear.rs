//! Products with matrices that are not trained, stored as the model file has them.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{Device, Tensor, bail};
use rayon::prelude::*;

use super::bf16::DEPTH;
use super::buffer::Buffer;
use super::gemm::{Left, Matrix, MatrixMut, Precision};
use crate::gguf::TensorType;
use crate::gguf::dequantise::dequantise;

/// Numbers of a matrix that are unpacked at a time: they are written once and read twice, from the caches.
const PANEL: usize = 1 << 20;

/// Rows of a panel: whole tiles, so that a left side of bf16 can begin at each.
fn rows_of_panel(columns: usize) -> usize {
    (PANEL / columns.max(1)).next_multiple_of(DEPTH).max(DEPTH)
}

/// Calls `work` with the first row of each panel of numbers that are there, or of all at once.
pub(super) fn panels_of(numbers: &[f32], columns: usize, whole: bool, mut work: impl FnMut(usize, &[f32])) {
    if whole {
        return work(0, numbers);
    }
    let rows = rows_of_panel(columns);
    let panels = numbers.chunks(rows * columns.max(1)).enumerate();
    panels.for_each(|(at, panel)| work(at * rows, panel));
}

/// A matrix of `rows` outputs by `columns` inputs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Weight {
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub columns: usize,
    store: Store,
    /// What is added to what is stored.
    beneath: Vec<Arc<LowRank>>,
    /// The same on another device, made at the first use.
    there: Arc<OnceLock<QTensor>>,
    /// Sums of the squares of each row, made at the first use.
    squares: Arc<OnceLock<Arc<[f64]>>>,
}

/// A matrix of few numbers, scale · B · A: that of an adapter that is not trained.
#[derive(Clone, Debug, PartialEq)]
pub struct LowRank {
    /// A, `[rank, columns]`.
    pub a: Vec<f32>,
    /// B, `[rows, rank]`.
    pub b: Vec<f32>,
    /// Rows of A.
    pub rank: usize,
    /// What B · A is multiplied by.
    pub scale: f32,
}

#[derive(Clone, Debug)]
enum Store {
    Dense(Arc<[f32]>),
    Packed(TensorType, Arc<[u8]>),
    /// Only the sizes: the numbers are somewhere else.
    Gone,
}

impl Weight {
    /// A matrix of floats. Panics if there are not `rows` · `columns`.
    pub fn dense(numbers: Arc<[f32]>, rows: usize, columns: usize) -> Self {
        assert_eq!(numbers.len(), rows * columns);
        Self::of(Store::Dense(numbers), rows, columns)
    }

    /// A matrix whose rows are stored as `kind`, in whole blocks. Panics if the bytes are not those of its size.
    pub fn packed(kind: TensorType, bytes: Arc<[u8]>, rows: usize, columns: usize) -> Self {
        assert!((columns as u64).is_multiple_of(kind.block()));
        assert_eq!(Some(bytes.len() as u64), kind.bytes(&[columns as u64, rows as u64]));
        Self::of(Store::Packed(kind, bytes), rows, columns)
    }

    fn of(store: Store, rows: usize, columns: usize) -> Self {
        Weight { rows, columns, store, beneath: Vec::new(), there: Arc::default(), squares: Arc::default() }
    }

    /// The same with `low` added: to numbers at once, to packed ones wherever they are unpacked, which costs as little as
    /// the unpacking. Panics if its sizes are others.
    #[must_use]
    pub fn on_top_of(&self, low: Arc<LowRank>) -> Self {
        assert_eq!((low.b.len(), low.a.len()), (self.rows * low.rank, low.rank * self.columns));
        let mut new = Self::of(self.store.clone(), self.rows, self.columns);
        new.beneath.clone_from(&self.beneath);
        match &self.store {
            Store::Gone => {}
            Store::Packed(..) => new.beneath.push(low),
            Store::Dense(numbers) => {
                let mut numbers = numbers.to_vec();
                low.add(self.columns, 0, &mut numbers);
                new.store = Store::Dense(numbers.into());
            }
        }
        new
    }

    /// The sum of the squares of each row.
    pub fn squares(&self) -> Arc<[f64]> {
        let squares = || {
            let mut squares = Vec::with_capacity(self.rows);
            self.panels(true, |_, panel| {
                let rows = panel.par_chunks_exact(self.columns.max(1));
                let own: Vec<f64> =
                    rows.map(|row| row.iter().map(|x| f64::from(*x) * f64::from(*x)).sum()).collect();
                squares.extend(own);
            });
            squares.into()
        };
        Arc::clone(self.squares.get_or_init(squares))
    }

    /// The same without its numbers, for a matrix that is trained and is kept elsewhere.
    #[must_use]
    pub fn without_numbers(&self) -> Self {
        Self::of(Store::Gone, self.rows, self.columns)
    }

    /// Whether it has its numbers.
    pub fn has_numbers(&self) -> bool {
        !matches!(self.store, Store::Gone)
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        let beneath: usize = self.beneath.iter().map(|low| (low.a.len() + low.b.len()) * 4).sum();
        beneath
            + match &self.store {
                Store::Gone => 0,
                Store::Dense(numbers) => numbers.len() * 4,
                Store::Packed(_, bytes) => bytes.len(),
            }
    }

    /// Unpacks the rows from `from` on into `out`, one behind the other.
    pub fn unpack(&self, from: usize, out: &mut [f32]) {
        match &self.store {
            Store::Gone => panic!("a matrix whose numbers are somewhere else"),
            Store::Dense(numbers) => out.copy_from_slice(&numbers[from * self.columns..][..out.len()]),
            Store::Packed(kind, bytes) => {
                let row = bytes.len() / self.rows.max(1);
                let rows = super::rows_in_part(self.columns);
                out.par_chunks_mut(rows * self.columns)
                    .zip(bytes[from * row..].par_chunks(rows * row))
                    .for_each(|(out, bytes)| dequantise(*kind, bytes, out));
            }
        }
        self.beneath.iter().for_each(|low| low.add(self.columns, from, out));
    }

    /// Calls `work` with the first row of each panel and its numbers. With `whole`, what is not packed is one panel.
    pub fn panels(&self, whole: bool, mut work: impl FnMut(usize, &[f32])) {
        let step = rows_of_panel(self.columns);
        match &self.store {
            Store::Gone => panic!("a matrix whose numbers are somewhere else"),
            Store::Dense(numbers) => panels_of(numbers, self.columns, whole, work),
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

    /// The matrix as floats on a device. On others than processors it stays as it is stored, and is unpacked there.
    ///
    /// # Errors
    /// candle's.
    pub fn tensor(&self, device: &Device) -> candle_core::Result<Tensor> {
        if device.is_cpu() {
            let mut numbers = vec![0.0; self.rows * self.columns];
            self.unpack(0, &mut numbers);
            return Tensor::from_vec(numbers, (self.rows, self.columns), device);
        }
        let there = match self.there.get() {
            Some(there) => there,
            None => {
                let made = self.on(device)?;
                self.there.get_or_init(|| made)
            }
        };
        let mut numbers = there.dequantize(device)?;
        for low in &self.beneath {
            let b = Tensor::from_slice(&low.b, (self.rows, low.rank), device)?;
            let a = Tensor::from_slice(&low.a, (low.rank, self.columns), device)?;
            numbers = (numbers + (b.matmul(&a)? * f64::from(low.scale))?)?;
        }
        Ok(numbers)
    }

    fn on(&self, device: &Device) -> candle_core::Result<QTensor> {
        let (kind, bytes): (GgmlDType, Cow<'_, [u8]>) = match &self.store {
            Store::Dense(numbers) => {
                (GgmlDType::F32, numbers.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>().into())
            }
            Store::Packed(kind, bytes) => (theirs(*kind)?, Cow::Borrowed(&**bytes)),
            Store::Gone => bail!("a matrix whose numbers are somewhere else"),
        };
        QTensor::new(QStorage::from_data(bytes, device, kind)?, (self.rows, self.columns))
    }

    /// Puts x · Wᵀ into the columns of `out` from `place` on; rows of `out` are `width` wide.
    pub fn forward(&self, x: &Left<'_>, out: &mut [f32], width: usize, place: usize) {
        let tokens = x.rows();
        if tokens == 0 {
            return;
        }
        self.panels(x.is_plain(), |from, panel| {
            let rows = panel.len() / self.columns;
            let to = MatrixMut::strided(&mut out[place + from..], tokens, rows, width);
            x.times(to, Matrix::new(panel, rows, self.columns).transposed(), 1.0, false);
        });
    }

    /// Puts dy · W into `dx`, or adds it.
    pub fn backward(&self, dy: &Left<'_>, dx: &mut [f32], mut add: bool) {
        let tokens = dx.len() / self.columns.max(1);
        if tokens == 0 {
            return;
        }
        self.panels(dy.is_plain(), |from, panel| {
            let rows = panel.len() / self.columns;
            let to = MatrixMut::new(dx, tokens, self.columns);
            let panel = Matrix::new(panel, rows, self.columns);
            dy.times_from(from, to, panel, 1.0, add);
            add = true;
        });
    }
}

impl LowRank {
    /// Adds its rows from `from` on to rows of `columns` numbers.
    fn add(&self, columns: usize, from: usize, to: &mut [f32]) {
        let rows = to.len() / columns.max(1);
        let b = Matrix::new(&self.b[from * self.rank..], rows, self.rank);
        let a = Matrix::new(&self.a, self.rank, columns);
        Precision::F32.add_product_on_all(MatrixMut::new(to, rows, columns), b, a, self.scale);
    }
}

/// candle's name of a type.
fn theirs(kind: TensorType) -> candle_core::Result<GgmlDType> {
    Ok(match kind {
        TensorType::F32 => GgmlDType::F32,
        TensorType::F16 => GgmlDType::F16,
        TensorType::BF16 => GgmlDType::BF16,
        TensorType::Q4_0 => GgmlDType::Q4_0,
        TensorType::Q8_0 => GgmlDType::Q8_0,
        TensorType::Q4_K => GgmlDType::Q4K,
        TensorType::Q5_K => GgmlDType::Q5K,
        TensorType::Q6_K => GgmlDType::Q6K,
        other => bail!("{} is not known to candle", other.name()),
    })
}
