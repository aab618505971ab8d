//! Products with the matrices of a model, with their adapters beside them.

use std::sync::Arc;

use candle_core::{Device, Tensor, bail};
use rayon::prelude::*;

use super::value::add;
use super::{Back, Op, Result, Saved, Weight, matmul};
use crate::seed::mix;
use crate::train::cpu::buffer::Buffer;
use crate::train::cpu::gemm::{Left, Matrix, MatrixMut, Precision};
use crate::train::cpu::{PART, by_rows, rows_in_part};

/// Where a matrix comes from.
#[derive(Clone, Debug)]
pub enum Base {
    /// Of the model, and not trained.
    Frozen(Weight),
    /// An input `[rows, columns]`.
    Trained,
}

/// Where a bias comes from.
#[derive(Clone, Debug)]
pub enum Bias {
    /// There is none.
    None,
    /// Of the model, and not trained.
    Frozen(Arc<[f32]>),
    /// An input `[rows]`.
    Trained,
}

/// A low-rank matrix that is added (LoRA, Hu et al., 2021): inputs A `[rank, columns]` and B `[rows, rank]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adapter {
    /// Rows of A.
    pub rank: usize,
    /// What B · A is multiplied by.
    pub scale: f32,
    /// Whether the sum's rows get lengths of their own, an input `[rows]` behind B (DoRA, Liu et al., 2024). Their lengths
    /// before count as constants on the way back, as in section 4.3 there and in `peft`.
    pub dora: bool,
}

/// A matrix whose outputs lie beside those of others.
#[derive(Clone, Debug)]
pub struct Part {
    /// Outputs.
    pub rows: usize,
    /// The matrix.
    pub base: Base,
    /// What is added to the outputs.
    pub bias: Bias,
    /// What is trained beside it.
    pub adapter: Option<Adapter>,
}

/// x · Wᵀ + bias + scale · (x · Aᵀ) · Bᵀ for matrices that read the same x; W + B · A is never there. With lengths of rows,
/// what stands before the bias, times length / |row of W + scale · B · A|. Inputs: x `[n, columns]`, then for each part what
/// of it is trained: matrix, bias, A, B, lengths. Output: `[n, rows of all parts]`.
#[derive(Clone, Debug)]
pub struct Projection {
    /// Numbers of a row of x.
    pub columns: usize,
    /// The matrices.
    pub parts: Vec<Part>,
    /// Share of x that adapters do not see, and the seed by which it is drawn.
    pub dropout: Option<(f32, u64)>,
    /// How numbers go into products.
    pub precision: Precision,
}

/// Which inputs belong to a part.
struct Own {
    place: usize,
    matrix: Option<usize>,
    bias: Option<usize>,
    adapter: Option<Low>,
}

/// How the gradients of adapters are multiplied: their outputs are few, so that rounding would take longer than it saves.
const NARROW: Precision = Precision::F32;

/// What [`Projection::lengths_back`] finds.
struct LengthsBack {
    /// The gradients of the lengths, with their inputs.
    gradients: Vec<(usize, Vec<f32>)>,
    /// The gradient of the outputs before they got their lengths, where some did.
    dout: Option<Buffer>,
}

/// An adapter and its inputs.
#[derive(Clone, Copy)]
struct Low {
    of: Adapter,
    a: usize,
    b: usize,
    lengths: Option<usize>,
}

impl Projection {
    /// A frozen matrix alone.
    pub fn frozen(weight: Weight) -> Self {
        let (rows, columns) = (weight.rows, weight.columns);
        let part = Part { rows, base: Base::Frozen(weight), bias: Bias::None, adapter: None };
        Projection { columns, parts: vec![part], dropout: None, precision: Precision::F32 }
    }

    fn width(&self) -> usize {
        self.parts.iter().map(|part| part.rows).sum()
    }

    /// Ranks of all adapters.
    fn ranks(&self) -> usize {
        self.parts.iter().filter_map(|part| part.adapter).map(|adapter| adapter.rank).sum()
    }

    fn own(&self) -> Vec<Own> {
        let (mut next, mut place) = (1, 0);
        let mut input = |wanted: bool| {
            next += usize::from(wanted);
            wanted.then_some(next - 1)
        };
        self.parts
            .iter()
            .map(|part| {
                let own = Own {
                    place,
                    matrix: input(matches!(part.base, Base::Trained)),
                    bias: input(matches!(part.bias, Bias::Trained)),
                    adapter: part.adapter.and_then(|of| {
                        Some(Low { of, a: input(true)?, b: input(true)?, lengths: input(of.dora) })
                    }),
                };
                place += part.rows;
                own
            })
            .collect()
    }

    /// What the adapters see of x.
    fn seen(&self, x: &[f32]) -> Option<Buffer> {
        let (share, seed) = self.dropout.filter(|(share, _)| *share > 0.0)?;
        let mut seen = Buffer::copy(x);
        drop_out(&mut seen, share, seed);
        Some(seen)
    }

    /// A of all adapters, one below the other.
    fn all_a(&self, own: &[Own], inputs: &[&[f32]]) -> Vec<f32> {
        let mut all = Vec::with_capacity(self.ranks() * self.columns);
        for low in own.iter().filter_map(|own| own.adapter) {
            all.extend_from_slice(inputs[low.a]);
        }
        all
    }

    /// Adds what the adapters make of x. Keeps x · Aᵀ of all; then, of each part whose rows have lengths of their own,
    /// one over the lengths before, and the outputs before.
    fn add_adapters(
        &self,
        own: &[Own],
        inputs: &[&[f32]],
        left: &Left<'_>,
        rows: usize,
        out: &mut [f32],
    ) -> Saved {
        let (x, width, columns, ranks) = (inputs[0], self.width(), self.columns, self.ranks());
        if ranks == 0 {
            return Saved::default();
        }
        let mut saved = Buffer::any(rows * ranks + (rows + 1) * self.width_with_lengths());
        let (low, mut rest) = saved.split_at_mut(rows * ranks);
        let all_a = self.all_a(own, inputs);
        let (to, all_a) =
            (MatrixMut::new(low, rows, ranks), Matrix::new(&all_a, ranks, columns).transposed());
        match self.seen(x) {
            None => left.times(to, all_a, 1.0, false),
            Some(seen) => self.precision.product_on_all(to, Matrix::new(&seen, rows, columns), all_a, 1.0),
        }
        let mut from = 0;
        for (own, part) in own.iter().zip(&self.parts) {
            let Some(Low { of, b, .. }) = own.adapter else { continue };
            self.precision.add_product_on_all(
                MatrixMut::strided(&mut out[own.place..], rows, part.rows, width),
                Matrix::strided(&low[from..], rows, of.rank, ranks),
                Matrix::new(inputs[b], part.rows, of.rank).transposed(),
                of.scale,
            );
            from += of.rank;
        }
        for (place, count, weight, low, lengths) in self.with_lengths(own) {
            let (over, others) = rest.split_at_mut(count);
            let (before, others) = others.split_at_mut(rows * count);
            over.copy_from_slice(&over_lengths(weight, low.of, inputs[low.a], inputs[low.b]));
            for (to, row) in before.chunks_exact_mut(count).zip(out.chunks_exact(width)) {
                to.copy_from_slice(&row[place..place + count]);
            }
            let factors: Vec<f32> = over.iter().zip(inputs[lengths]).map(|(over, own)| over * own).collect();
            scale_columns(out, width, place, &factors);
            rest = others;
        }
        saved
    }

    /// The parts whose rows have lengths of their own: where their outputs begin, how many they are, the matrix, the
    /// adapter.
    fn with_lengths<'a>(
        &'a self,
        own: &'a [Own],
    ) -> impl Iterator<Item = (usize, usize, &'a Weight, Low, usize)> {
        own.iter().zip(&self.parts).filter_map(|(own, part)| match (&part.base, own.adapter?) {
            (Base::Frozen(weight), low) => Some((own.place, part.rows, weight, low, low.lengths?)),
            _ => None,
        })
    }

    /// The way back through lengths of their own.
    fn lengths_back(
        &self,
        own: &[Own],
        inputs: &[&[f32]],
        rows: usize,
        saved: &[f32],
        dout: &[f32],
    ) -> LengthsBack {
        let mut back = LengthsBack { gradients: Vec::new(), dout: None };
        let (width, mut rest) = (self.width(), saved.get(rows * self.ranks()..).unwrap_or_default());
        for (place, count, _, _, lengths) in self.with_lengths(own) {
            let (over, others) = rest.split_at(count);
            let (before, others) = others.split_at(rows * count);
            rest = others;
            let mut products = Buffer::any(rows * count);
            by_rows(&mut products, count, |from, products| {
                let rows = products.chunks_exact_mut(count).zip(before[from * count..].chunks_exact(count));
                for ((to, before), dout) in rows.zip(dout[from * width..].chunks_exact(width)) {
                    to.iter_mut().zip(before).zip(&dout[place..]).for_each(|((to, x), y)| *to = x * y);
                }
            });
            let mut gradient = vec![0.0; count];
            sum_rows(&products, count, 0, &mut gradient);
            gradient.iter_mut().zip(over).for_each(|(x, over)| *x *= over);
            back.gradients.push((lengths, gradient));
            let factors: Vec<f32> = over.iter().zip(inputs[lengths]).map(|(over, own)| over * own).collect();
            let dout = back.dout.get_or_insert_with(|| Buffer::copy(dout));
            scale_columns(dout, width, place, &factors);
        }
        back
    }

    /// Outputs whose rows have lengths of their own.
    fn width_with_lengths(&self) -> usize {
        let parts = self.parts.iter().filter(|part| part.adapter.is_some_and(|adapter| adapter.dora));
        parts.map(|part| part.rows).sum()
    }
}

/// One over the lengths of the rows of W + scale · B · A, without that matrix: of ‖w + s·bA‖² = ‖w‖² + 2s·b(Aw) +
/// s²·b(AAᵀ)bᵀ the middle is a product of W with `rank` rows. 0 for rows of nothing but 0.
fn over_lengths(weight: &Weight, adapter: Adapter, a: &[f32], b: &[f32]) -> Vec<f32> {
    let Adapter { rank, scale, .. } = adapter;
    let (rows, columns, scale) = (weight.rows, weight.columns, f64::from(scale));
    let mut wa = Buffer::any(rank * rows);
    let matrix = Matrix::new(a, rank, columns);
    weight.forward(&Precision::F32.left(matrix), &mut wa, rows, 0);
    let mut aa = vec![0.0; rank * rank];
    Precision::F32.product_on_all(MatrixMut::new(&mut aa, rank, rank), matrix, matrix.transposed(), 1.0);
    let length = |(row, (b, own)): (usize, (&[f32], &f64))| {
        let mut square = *own;
        for (k, x) in b.iter().enumerate() {
            let across: f64 =
                b.iter().zip(&aa[k * rank..]).map(|(y, aa)| f64::from(*y) * f64::from(*aa)).sum();
            square += scale * f64::from(*x) * (2.0 * f64::from(wa[k * rows + row]) + scale * across);
        }
        if square > 0.0 { (1.0 / square.sqrt()) as f32 } else { 0.0 }
    };
    b.chunks_exact(rank).zip(&*weight.squares()).enumerate().map(length).collect()
}

/// Multiplies the columns from `place` on of each row by `factors`.
fn scale_columns(numbers: &mut [f32], width: usize, place: usize, factors: &[f32]) {
    by_rows(numbers, width, |_, numbers| {
        for row in numbers.chunks_exact_mut(width) {
            row[place..].iter_mut().zip(factors).for_each(|(x, factor)| *x *= factor);
        }
    });
}

/// Puts the sums of columns from `place` on into `to`; rows are added up part by part, whoever does it.
fn sum_rows(numbers: &[f32], width: usize, place: usize, to: &mut [f32]) {
    let rows = rows_in_part(width);
    let sums: Vec<Vec<f32>> = numbers
        .par_chunks(rows * width)
        .map(|part| {
            let mut sum = vec![0.0; to.len()];
            for row in part.chunks_exact(width) {
                sum.iter_mut().zip(&row[place..]).for_each(|(to, more)| *to += more);
            }
            sum
        })
        .collect();
    to.fill(0.0);
    for sum in sums {
        to.iter_mut().zip(sum).for_each(|(to, more)| *to += more);
    }
}

/// Sets a share of the numbers to 0 and divides the others by what is left; the same numbers for the same seed.
fn drop_out(numbers: &mut [f32], share: f32, seed: u64) {
    let keep = 1.0 / (1.0 - share);
    let limit = (f64::from(share) * 2f64.powi(32)) as u64;
    numbers.par_chunks_mut(PART).enumerate().for_each(|(part, numbers)| {
        for (at, number) in numbers.iter_mut().enumerate() {
            let draw = mix(seed ^ mix((part * PART + at) as u64)) >> 32;
            *number = if draw < limit { 0.0 } else { *number * keep };
        }
    });
}

impl Op for Projection {
    fn name(&self) -> &'static str {
        "projection"
    }

    fn shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>> {
        let [[rows, columns], ..] = inputs else { bail!("a projection of {inputs:?}") };
        let mut fits = *columns == self.columns;
        let mut count = 1;
        for (own, part) in self.own().iter().zip(&self.parts) {
            let mut has = |input: Option<usize>, shape: &[usize]| {
                count += usize::from(input.is_some());
                fits &= input.is_none_or(|at| inputs.get(at) == Some(&shape));
            };
            has(own.matrix, &[part.rows, self.columns]);
            has(own.bias, &[part.rows]);
            if let Some(low) = own.adapter {
                has(Some(low.a), &[low.of.rank, self.columns]);
                has(Some(low.b), &[part.rows, low.of.rank]);
                has(low.lengths, &[part.rows]);
                // What peft does with both takes a second product with the matrix.
                let alone =
                    matches!(part.base, Base::Frozen(_)) && self.dropout.is_none_or(|own| own.0 == 0.0);
                fits &= !low.of.dora || alone;
            }
            if let Base::Frozen(weight) = &part.base {
                fits &= (weight.rows, weight.columns) == (part.rows, self.columns);
            }
            if let Bias::Frozen(bias) = &part.bias {
                fits &= bias.len() == part.rows;
            }
        }
        if !fits || count != inputs.len() {
            bail!("a projection of {inputs:?} by {} matrices of {} columns", self.parts.len(), self.columns);
        }
        Ok(vec![*rows, self.width()])
    }

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) -> Saved {
        let (x, width, columns) = (inputs[0], self.width(), self.columns);
        let rows = x.len() / columns;
        if rows == 0 {
            return Saved::default();
        }
        let own = self.own();
        let left = self.precision.left(Matrix::new(x, rows, columns));
        for (own, part) in own.iter().zip(&self.parts) {
            match (&part.base, own.matrix) {
                (Base::Frozen(weight), _) => weight.forward(&left, out, width, own.place),
                (Base::Trained, Some(matrix)) => {
                    let matrix = Matrix::new(inputs[matrix], part.rows, columns).transposed();
                    let to = MatrixMut::strided(&mut out[own.place..], rows, part.rows, width);
                    left.times(to, matrix, 1.0, false);
                }
                (Base::Trained, None) => {}
            }
        }
        let saved = self.add_adapters(&own, inputs, &left, rows, out);
        let biases: Vec<(usize, &[f32])> = own
            .iter()
            .zip(&self.parts)
            .filter_map(|(own, part)| match (&part.bias, own.bias) {
                (Bias::Frozen(bias), _) => Some((own.place, &**bias)),
                (Bias::Trained, Some(bias)) => Some((own.place, inputs[bias])),
                _ => None,
            })
            .collect();
        if !biases.is_empty() {
            by_rows(out, width, |_, out| {
                for row in out.chunks_exact_mut(width) {
                    for (place, bias) in &biases {
                        row[*place..].iter_mut().zip(*bias).for_each(|(to, more)| *to += more);
                    }
                }
            });
        }
        saved
    }

    fn backward(
        &self,
        inputs: &[&[f32]],
        _out: &[f32],
        saved: &Saved,
        dout: &[f32],
        wanted: &[bool],
    ) -> Vec<Option<Back>> {
        let (x, width, columns) = (inputs[0], self.width(), self.columns);
        let rows = x.len() / columns;
        let numbers = |count: usize| if rows > 0 { Buffer::any(count) } else { Buffer::zeros(count) };
        let gradient = |at: usize| (wanted[at] && at > 0).then(|| numbers(inputs[at].len()));
        let mut gradients: Vec<Option<Buffer>> = (0..inputs.len()).map(gradient).collect();
        let own = self.own();
        let mut dx = wanted[0].then(|| Buffer::any(x.len()));
        // Whether there is something in dx that is to be added to.
        let mut begun = false;
        if rows == 0 {
            gradients[0] = dx;
            return gradients.into_iter().map(|gradient| gradient.map(Back::from)).collect();
        }
        let lengths = self.lengths_back(&own, inputs, rows, saved, dout);
        for (at, gradient) in lengths.gradients {
            if let Some(to) = &mut gradients[at] {
                to.copy_from_slice(&gradient);
            }
        }
        let after = dout;
        let dout = lengths.dout.as_deref().unwrap_or(dout);
        let ranks = self.ranks();
        let mut dlow = Buffer::any(rows * ranks);
        let mut from = 0;
        for (own, part) in own.iter().zip(&self.parts) {
            let dy = Matrix::strided(&dout[own.place..], rows, part.rows, width);
            let left = (dx.is_some() || own.adapter.is_some()).then(|| self.precision.left(dy));
            if let (Some(dx), Some(left)) = (&mut dx, &left) {
                match (&part.base, own.matrix) {
                    (Base::Frozen(weight), _) => weight.backward(left, dx, begun),
                    (Base::Trained, Some(matrix)) => {
                        let matrix = Matrix::new(inputs[matrix], part.rows, columns);
                        left.times(MatrixMut::new(dx, rows, columns), matrix, 1.0, begun);
                    }
                    (Base::Trained, None) => {}
                }
                begun = true;
            }
            if let Some(gradient) = own.matrix.and_then(|at| gradients[at].as_mut()) {
                let to = MatrixMut::new(gradient, part.rows, columns);
                self.precision.product_on_all(to, dy.transposed(), Matrix::new(x, rows, columns), 1.0);
            }
            if let Some(gradient) = own.bias.and_then(|at| gradients[at].as_mut()) {
                sum_rows(after, width, own.place, gradient);
            }
            if let (Some(Low { of, b, .. }), Some(left)) = (own.adapter, &left) {
                let to = MatrixMut::strided(&mut dlow[from..], rows, of.rank, ranks);
                left.times(to, Matrix::new(inputs[b], part.rows, of.rank), of.scale, false);
                if let Some(gradient) = &mut gradients[b] {
                    NARROW.product_on_all(
                        MatrixMut::new(gradient, part.rows, of.rank),
                        dy.transposed(),
                        Matrix::strided(&saved[from..], rows, of.rank, ranks),
                        of.scale,
                    );
                }
                from += of.rank;
            }
        }
        if ranks > 0 {
            let seen = self.seen(x);
            let seen_x = Matrix::new(seen.as_deref().unwrap_or(x), rows, columns);
            let mut all = Buffer::any(ranks * columns);
            NARROW.product_on_all(
                MatrixMut::new(&mut all, ranks, columns),
                Matrix::new(&dlow, rows, ranks).transposed(),
                seen_x,
                1.0,
            );
            let mut rest = &all[..];
            for low in own.iter().filter_map(|own| own.adapter) {
                let (gradient, others) = rest.split_at(low.of.rank * columns);
                if let Some(to) = &mut gradients[low.a] {
                    to.copy_from_slice(gradient);
                }
                rest = others;
            }
            if let Some(dx) = &mut dx {
                let (low, all_a) = (Matrix::new(&dlow, rows, ranks), self.all_a(&own, inputs));
                let all_a = Matrix::new(&all_a, ranks, columns);
                match self.dropout.filter(|(share, _)| *share > 0.0) {
                    None => {
                        self.precision.add_product_on_all(MatrixMut::new(dx, rows, columns), low, all_a, 1.0);
                    }
                    Some((share, seed)) => {
                        let mut through = Buffer::any(x.len());
                        self.precision.product_on_all(
                            MatrixMut::new(&mut through, rows, columns),
                            low,
                            all_a,
                            1.0,
                        );
                        drop_out(&mut through, share, seed);
                        add(dx, &through);
                    }
                }
            }
        }
        gradients[0] = dx;
        gradients.into_iter().map(|gradient| gradient.map(Back::from)).collect()
    }

    fn composed(&self, inputs: &[Tensor]) -> Result<Tensor> {
        let x = &inputs[0];
        let seen = match self.dropout.filter(|(share, _)| *share > 0.0) {
            None => x.clone(),
            Some((share, seed)) => {
                let mut mask = vec![1.0f32; x.elem_count()];
                drop_out(&mut mask, share, seed);
                (x * Tensor::from_vec(mask, x.shape(), x.device())?.to_dtype(x.dtype())?)?
            }
        };
        let mut outs = Vec::new();
        for (own, part) in self.own().iter().zip(&self.parts) {
            let matrix = match (&part.base, own.matrix) {
                (Base::Frozen(weight), _) => weight.tensor(x.device())?.to_dtype(x.dtype())?,
                (Base::Trained, Some(at)) => inputs[at].clone(),
                (Base::Trained, None) => bail!("a matrix that is trained is no input"),
            };
            let mut out = matmul(self.precision, x, &matrix.t()?)?;
            if let Some(Low { of, a, b, lengths }) = own.adapter {
                let (a, b, scale) = (&inputs[a], &inputs[b], f64::from(of.scale));
                out = (out
                    + (matmul(self.precision, &matmul(self.precision, &seen, &a.t()?)?, &b.t()?)? * scale)?)?;
                if let Some(lengths) = lengths {
                    let (a, b) = (a.detach(), b.detach());
                    let middle = (&b * matrix.matmul(&a.t()?)?)?.sum(1)?;
                    let last = (b.matmul(&a.matmul(&a.t()?)?)? * &b)?.sum(1)?;
                    let own: Vec<f64> = match &part.base {
                        Base::Frozen(weight) => weight.squares().to_vec(),
                        Base::Trained => bail!("lengths of rows beside a matrix that is trained"),
                    };
                    let own = Tensor::new(own, &Device::Cpu)?.to_dtype(x.dtype())?.to_device(x.device())?;
                    let squares = ((own + (middle * (2.0 * scale))?)? + (last * (scale * scale))?)?;
                    // A row of nothing but 0 stays so.
                    let there = squares.gt(0.0)?;
                    let (one, none) = (squares.ones_like()?, squares.zeros_like()?);
                    let over = there.where_cond(&there.where_cond(&squares, &one)?.powf(-0.5)?, &none)?;
                    out = out.broadcast_mul(&(&inputs[lengths] * over)?)?;
                }
            }
            match (&part.bias, own.bias) {
                (Bias::Frozen(bias), _) => {
                    out = out.broadcast_add(&Tensor::new(&**bias, x.device())?.to_dtype(x.dtype())?)?;
                }
                (Bias::Trained, Some(at)) => out = out.broadcast_add(&inputs[at])?,
                _ => {}
            }
            outs.push(out);
        }
        Tensor::cat(&outs, 1)
    }
}
