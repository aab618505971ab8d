//! Causal attention within texts that lie one behind the other.

use std::sync::Arc;

use candle_core::{D, Tensor, bail};

use super::{Back, Op, Result, Saved, matmul};
use crate::train::cpu::attention::{self, Heads, Span};
use crate::train::cpu::buffer::Buffer;
use crate::train::cpu::gemm::Precision;

/// Input: rows of queries, keys and values `[n, heads.width()]`; output `[n, heads.out()]`. A row sees itself,
/// the rows before it in its own text, and those of the text that this goes on from.
#[derive(Clone, Debug)]
pub struct Attention {
    /// How rows are laid out.
    pub heads: Heads,
    /// The texts, one behind the other.
    pub texts: Arc<[Span]>,
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
        let mut end = 0;
        let ordered = self.texts.iter().all(|text| {
            let (from, count) = text.prefix;
            let follows = text.first == end && from.checked_add(count).is_some_and(|last| last <= text.first);
            end += text.length;
            follows
        });
        match inputs {
            [[rows, width]]
                if ordered
                    && end == *rows
                    && *width == self.heads.width()
                    && keys > 0
                    && queries.is_multiple_of(keys) =>
            {
                Ok(vec![*rows, self.heads.out()])
            }
            other => bail!("attention of {other:?} with {:?} and texts {:?}", self.heads, self.texts),
        }
    }

    fn reads_output(&self) -> bool {
        true
    }

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) -> Saved {
        let mut log_sums = Buffer::any(out.len() / self.heads.size);
        attention::forward(self.precision, inputs[0], self.heads, &self.texts, out, &mut log_sums);
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
        attention::backward(self.precision, inputs[0], self.heads, &self.texts, (out, saved), dout, &mut dx);
        vec![Some(dx.into())]
    }

    fn composed(&self, inputs: &[Tensor]) -> Result<Tensor> {
        let Heads { queries, size, .. } = self.heads;
        let x = &inputs[0];
        let mut outs = Vec::new();
        for text in self.texts() {
            let [q, k, v] = self.parts(x, text)?;
            let mut chunks = Vec::new();
            for (from, rows) in chunks_of(text.length) {
                let weights = weights(self.precision, &q, &k, from, rows)?;
                let seen = text.prefix.1 + from + rows;
                chunks.push(matmul(self.precision, &weights, &v.narrow(2, 0, seen)?)?);
            }
            let own = Tensor::cat(&chunks, 2)?.reshape((queries, text.length, size))?;
            outs.push(own.transpose(0, 1)?.contiguous()?.reshape((text.length, queries * size))?);
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
        // Of each text, what it asks of its own rows; and of those that it shares.
        let (mut all, mut shared) = (Vec::new(), Vec::new());
        for text in self.texts() {
            let (length, before) = (text.length, text.prefix.1);
            let [q, k, v] = self.parts(x, text)?;
            let dout = heads(&dout.narrow(0, text.first, length)?, queries, size)?;
            let dout = dout.reshape((keys, group, length, size))?;
            let (mut dk, mut dv) = (k.zeros_like()?, v.zeros_like()?);
            let mut dq = Vec::new();
            for (from, rows) in chunks_of(length) {
                let seen = before + from + rows;
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
                    all + more.pad_with_zeros(2, 0, before + length - seen)?
                };
                dk = more(&dk, product(&dscores.t()?, &own_q)?)?;
                dv = more(&dv, product(&weights.t()?, &dout)?)?;
            }
            // Heads of queries that share keys add up.
            let flat = |all: &Tensor, heads: usize, rows: usize| -> Result<Tensor> {
                all.reshape((heads, rows, size))?.transpose(0, 1)?.contiguous()?.reshape((rows, heads * size))
            };
            let seen = before + length;
            let (dk, dv) = (flat(&dk.sum(1)?, keys, seen)?, flat(&dv.sum(1)?, keys, seen)?);
            let dq = flat(&Tensor::cat(&dq, 2)?, queries, length)?;
            all.push(Tensor::cat(&[dq, dk.narrow(0, before, length)?, dv.narrow(0, before, length)?], 1)?);
            if before > 0 {
                let more = Tensor::cat(&[dk.narrow(0, 0, before)?, dv.narrow(0, 0, before)?], 1)?;
                // Summed for each text that is shared, in the order of those that share it.
                match shared
                    .iter_mut()
                    .find(|(prefix, _): &&mut ((usize, usize), Tensor)| *prefix == text.prefix)
                {
                    Some((_, sum)) => *sum = (&*sum + more)?,
                    None => shared.push((text.prefix, more)),
                }
            }
        }
        let mut dx = if all.is_empty() { x.zeros_like()? } else { Tensor::cat(&all, 0)? };
        for ((from, count), more) in shared {
            let more = more.pad_with_zeros(1, queries * size, 0)?;
            dx = (dx + more.pad_with_zeros(0, from, x.dim(0)? - from - count)?)?;
        }
        Ok(Some(vec![Some(dx)]))
    }
}

impl Attention {
    /// The texts that are not empty.
    fn texts(&self) -> impl Iterator<Item = &Span> {
        self.texts.iter().filter(|text| text.length > 0)
    }

    /// The queries of a text, `[keys, group, length, size]`, and the keys and values that it sees, with as many rows more as it
    /// shares.
    fn parts(&self, x: &Tensor, text: &Span) -> Result<[Tensor; 3]> {
        let Heads { queries, keys, size } = self.heads;
        let (group, length) = (queries / keys, text.length);
        let own = x.narrow(0, text.first, length)?;
        let all = match text.prefix {
            (_, 0) => own.clone(),
            (from, count) => Tensor::cat(&[&x.narrow(0, from, count)?, &own], 0)?,
        };
        let part = |rows: &Tensor, from: usize, count: usize| {
            heads(&rows.narrow(1, from * size, count * size)?, count, size)
        };
        let shared = |from: usize| {
            let seen = all.dim(0)?;
            part(&all, from, keys)?.unsqueeze(1)?.broadcast_as((keys, group, seen, size))?.contiguous()
        };
        Ok([
            part(&own, 0, queries)?.reshape((keys, group, length, size))?,
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
    let before = k.dim(2)? - q.dim(2)?;
    let seen = before + from + rows;
    let scores = matmul(precision, &q.narrow(2, from, rows)?, &k.narrow(2, 0, seen)?.t()?)?;
    let scores = (scores / (q.dim(3)? as f64).sqrt())?;
    // 0 where a row sees, -∞ where it does not.
    let hidden = (0..rows * seen)
        .map(|at| if at % seen > before + from + at / seen { f32::NEG_INFINITY } else { 0.0 });
    let hidden = Tensor::from_vec(hidden.collect(), (rows, seen), q.device())?.to_dtype(q.dtype())?;
    let scores = scores.broadcast_add(&hidden)?;
    let powers = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?.detach())?.exp()?;
    powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)
}
