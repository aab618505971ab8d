//! Causal attention within texts that lie one behind the other.

use std::sync::Arc;

use candle_core::{D, Device, Tensor, bail};

use super::{Back, Op, Result, Saved};
use crate::train::cpu::attention::{self, Heads};
use crate::train::cpu::buffer::Buffer;

/// Input: rows of queries, keys and values `[n, heads.width()]`; output `[n, heads.out()]`. A row sees itself and the
/// rows before it in its own text.
#[derive(Clone, Debug)]
pub struct Attention {
    /// How rows are laid out.
    pub heads: Heads,
    /// The first rows of the texts, ascending from 0, and at the end the number of all rows.
    pub starts: Arc<[usize]>,
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

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) -> Saved {
        let mut log_sums = Buffer::any(out.len() / self.heads.size);
        attention::forward(inputs[0], self.heads, &self.starts, out, &mut log_sums);
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
        attention::backward(inputs[0], self.heads, &self.starts, out, saved, dout, &mut dx);
        vec![Some(dx.into())]
    }

    fn composed(&self, inputs: &[Tensor]) -> Result<Tensor> {
        let Heads { queries, keys, size } = self.heads;
        let (x, group) = (&inputs[0], queries / keys);
        let mut outs = Vec::new();
        for text in self.starts.windows(2).filter(|text| text[0] < text[1]) {
            let length = text[1] - text[0];
            let own = x.narrow(0, text[0], length)?;
            let part = |from: usize, heads: usize| {
                own.narrow(1, from * size, heads * size)?
                    .reshape((length, heads, size))?
                    .transpose(0, 1)?
                    .contiguous()
            };
            // [keys, group, length, size] and [keys, 1, length, size].
            let q = part(0, queries)?.reshape((keys, group, length, size))?;
            let k =
                part(queries, keys)?.unsqueeze(1)?.broadcast_as((keys, group, length, size))?.contiguous()?;
            let v = part(queries + keys, keys)?
                .unsqueeze(1)?
                .broadcast_as((keys, group, length, size))?
                .contiguous()?;
            let mut chunks = Vec::new();
            for from in (0..length).step_by(CHUNK) {
                let rows = CHUNK.min(length - from);
                let seen = from + rows;
                let scores = q
                    .narrow(2, from, rows)?
                    .contiguous()?
                    .matmul(&k.narrow(2, 0, seen)?.contiguous()?.t()?)?;
                let scores = (scores / (size as f64).sqrt())?;
                let scores = scores.broadcast_add(&hidden(from, rows, seen, x.device())?)?;
                let most = scores.max_keepdim(D::Minus1)?.detach();
                let powers = scores.broadcast_sub(&most)?.exp()?;
                let weights = powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)?;
                chunks.push(weights.matmul(&v.narrow(2, 0, seen)?.contiguous()?)?);
            }
            let own = Tensor::cat(&chunks, 2)?.reshape((queries, length, size))?;
            outs.push(own.transpose(0, 1)?.contiguous()?.reshape((length, queries * size))?);
        }
        if outs.is_empty() {
            Tensor::zeros((0, queries * size), x.dtype(), x.device())
        } else {
            Tensor::cat(&outs, 0)
        }
    }
}

/// 0 where a row sees, −∞ where it does not.
fn hidden(from: usize, rows: usize, seen: usize, device: &Device) -> Result<Tensor> {
    let mask = (0..rows * seen).map(|at| if at % seen > from + at / seen { f32::NEG_INFINITY } else { 0.0 });
    Tensor::from_vec(mask.collect(), (rows, seen), device)
}
