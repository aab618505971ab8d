//! Causal attention within texts that lie one behind the other.

use std::sync::Arc;

use candle_core::{D, Tensor, bail};

use super::{Back, Op, Result, Saved, matmul};
use crate::train::cpu::attention::{self, Heads};
use crate::train::cpu::buffer::Buffer;
use crate::train::cpu::gemm::Precision;

/// Input: rows of queries, keys and values `[n, heads.width()]`; output `[n, heads.out()]`. A row sees itself and the
/// rows before it in its own text.
#[derive(Clone, Debug)]
pub struct Attention {
    /// How rows are laid out.
    pub heads: Heads,
    /// The first rows of the texts, ascending from 0, and at the end the number of all rows.
    pub starts: Arc<[usize]>,
    /// How numbers go into products.
    pub precision: Precision,
}

/// Rows of queries whose scores the composed form has at a time.
const CHUNK: usize = 512;

impl Op for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>> {
        let Heads { queries, keys, .. } = self.heads;
        let ordered = self.starts.first() == Some(&0) && self.starts.is_sorted();
        match inputs {
            [[rows, width]]
                if ordered
                    && self.starts.last() == Some(rows)
                    && *width == self.heads.width()
                    && keys > 0
                    && queries.is_multiple_of(keys) =>
            {
                Ok(vec![*rows, self.heads.out()])
            }
            other => bail!("attention of {other:?} with {:?} and texts from {:?}", self.heads, self.starts),
        }
    }

    fn reads_output(&self) -> bool {
        true
    }

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) -> Saved {
        let mut log_sums = Buffer::any(out.len() / self.heads.size);
        attention::forward(self.precision, inputs[0], self.heads, &self.starts, out, &mut log_sums);
        log_sums
    }

    fn backward(
        &self,
        inputs: &[&[f32]],
        out: &[f32],
        saved: &Saved,
        dout: &[f32],
        _wanted: &[bool],
    ) -> Vec<Option<Back>> {
        let mut dx = Buffer::any(inputs[0].len());
        attention::backward(self.precision, inputs[0], self.heads, &self.starts, (out, saved), dout, &mut dx);
        vec![Some(dx.into())]
    }

    fn composed(&self, inputs: &[Tensor]) -> Result<Tensor> {
        let Heads { queries, size, .. } = self.heads;
        let x = &inputs[0];
        let mut outs = Vec::new();
        for text in self.texts() {
            let [q, k, v] = self.parts(x, text)?;
            let mut chunks = Vec::new();
            for (from, rows) in chunks_of(text[1] - text[0]) {
                let weights = weights(self.precision, &q, &k, from, rows)?;
                chunks.push(matmul(self.precision, &weights, &v.narrow(2, 0, from + rows)?)?);
            }
            let own = Tensor::cat(&chunks, 2)?.reshape((queries, text[1] - text[0], size))?;
            outs.push(own.transpose(0, 1)?.contiguous()?.reshape((text[1] - text[0], queries * size))?);
        }
        if outs.is_empty() {
            Tensor::zeros((0, queries * size), x.dtype(), x.device())
        } else {
            Tensor::cat(&outs, 0)
        }
    }

    /// Chunk by chunk, with the weights computed once more, so that no more than a chunk's scores are there.
    fn composed_back(&self, inputs: &[Tensor], dout: &Tensor) -> Result<Option<Vec<Option<Tensor>>>> {
        let Heads { queries, keys, size } = self.heads;
        let (x, group) = (&inputs[0], queries / keys);
        let mut all = Vec::new();
        for text in self.texts() {
            let length = text[1] - text[0];
            let [q, k, v] = self.parts(x, text)?;
            let dout = heads(&dout.narrow(0, text[0], length)?, queries, size)?;
            let dout = dout.reshape((keys, group, length, size))?;
            let (mut dk, mut dv) = (k.zeros_like()?, v.zeros_like()?);
            let mut dq = Vec::new();
            for (from, rows) in chunks_of(length) {
                let seen = from + rows;
                let weights = weights(self.precision, &q, &k, from, rows)?;
                let product = |a: &Tensor, b: &Tensor| matmul(self.precision, a, b);
                let dout = dout.narrow(2, from, rows)?.contiguous()?;
                let values = v.narrow(2, 0, seen)?.contiguous()?;
                let out = product(&weights, &values)?;
                let common = (&dout * out)?.sum_keepdim(D::Minus1)?;
                let dweights = product(&dout, &values.t()?)?;
                let dscores = ((&weights * dweights.broadcast_sub(&common)?)? / (size as f64).sqrt())?;
                let (own_q, own_k) = (q.narrow(2, from, rows)?, k.narrow(2, 0, seen)?);
                dq.push(product(&dscores, &own_k)?);
                let more = |all: &Tensor, more: Tensor| -> Result<Tensor> {
                    all + more.pad_with_zeros(2, 0, length - seen)?
                };
                dk = more(&dk, product(&dscores.t()?, &own_q)?)?;
                dv = more(&dv, product(&weights.t()?, &dout)?)?;
            }
            // Heads of queries that share keys add up.
            let flat = |all: &Tensor, heads: usize| -> Result<Tensor> {
                all.reshape((heads, length, size))?
                    .transpose(0, 1)?
                    .contiguous()?
                    .reshape((length, heads * size))
            };
            let (dk, dv) = (dk.sum(1)?, dv.sum(1)?);
            all.push(Tensor::cat(
                &[flat(&Tensor::cat(&dq, 2)?, queries)?, flat(&dk, keys)?, flat(&dv, keys)?],
                1,
            )?);
        }
        let dx = if all.is_empty() { x.zeros_like()? } else { Tensor::cat(&all, 0)? };
        Ok(Some(vec![Some(dx)]))
    }
}

impl Attention {
    /// The texts that are not empty.
    fn texts(&self) -> impl Iterator<Item = &[usize]> {
        self.starts.windows(2).filter(|text| text[0] < text[1])
    }

    /// Queries, keys and values of a text, `[keys, group, length, size]` each.
    fn parts(&self, x: &Tensor, text: &[usize]) -> Result<[Tensor; 3]> {
        let Heads { queries, keys, size } = self.heads;
        let (group, length) = (queries / keys, text[1] - text[0]);
        let own = x.narrow(0, text[0], length)?;
        let part = |from: usize, count: usize| heads(&own.narrow(1, from * size, count * size)?, count, size);
        let shared = |from: usize| {
            part(from, keys)?.unsqueeze(1)?.broadcast_as((keys, group, length, size))?.contiguous()
        };
        Ok([
            part(0, queries)?.reshape((keys, group, length, size))?,
            shared(queries)?,
            shared(queries + keys)?,
        ])
    }
}

/// Rows of heads as heads of rows.
fn heads(rows: &Tensor, heads: usize, size: usize) -> Result<Tensor> {
    rows.reshape((rows.dim(0)?, heads, size))?.transpose(0, 1)?.contiguous()
}

/// First row and rows of each chunk.
fn chunks_of(length: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..length).step_by(CHUNK).map(move |from| (from, CHUNK.min(length - from)))
}

/// What each of some rows makes of the keys that it sees.
fn weights(precision: Precision, q: &Tensor, k: &Tensor, from: usize, rows: usize) -> Result<Tensor> {
    let seen = from + rows;
    let scores = matmul(precision, &q.narrow(2, from, rows)?, &k.narrow(2, 0, seen)?.t()?)?;
    let scores = (scores / (q.dim(3)? as f64).sqrt())?;
    // 0 where a row sees, -∞ where it does not.
    let hidden =
        (0..rows * seen).map(|at| if at % seen > from + at / seen { f32::NEG_INFINITY } else { 0.0 });
    let hidden = Tensor::from_vec(hidden.collect(), (rows, seen), q.device())?.to_dtype(q.dtype())?;
    let scores = scores.broadcast_add(&hidden)?;
    let powers = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?.detach())?.exp()?;
    powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)
}
