//! RMSNorm of rows, and of heads within rows.

use candle_core::{D, Tensor, bail};

use super::{Back, Op, Result, Saved};
use crate::train::cpu::attention::Heads;
use crate::train::cpu::buffer::Buffer;
use crate::train::cpu::norm;

/// x / rms(x) · weight over the last axis. Inputs: x `[.., width]`, weight `[width]`.
#[derive(Clone, Copy, Debug)]
pub struct RmsNorm {
    /// Added to the mean square.
    pub epsilon: f32,
}

fn composed(x: &Tensor, weight: &Tensor, epsilon: f32) -> Result<Tensor> {
    let root = (x.sqr()?.mean_keepdim(D::Minus1)? + f64::from(epsilon))?.sqrt()?;
    x.broadcast_div(&root)?.broadcast_mul(weight)
}

impl Op for RmsNorm {
    fn name(&self) -> &'static str {
        "rms_norm"
    }

    fn shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>> {
        match inputs {
            [x, weight] if weight.len() == 1 && x.last() == weight.first() => Ok(x.to_vec()),
            other => bail!("rms_norm of {other:?}"),
        }
    }

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) -> Saved {
        norm::forward(inputs[0], inputs[1], self.epsilon, out);
        Saved::default()
    }

    fn backward(
        &self,
        inputs: &[&[f32]],
        _out: &[f32],
        _saved: &Saved,
        dout: &[f32],
        wanted: &[bool],
    ) -> Vec<Option<Back>> {
        let (x, weight) = (inputs[0], inputs[1]);
        let mut dx = Buffer::any(x.len());
        let mut dweight = wanted[1].then(|| Buffer::zeros(weight.len()));
        norm::backward(x, weight, self.epsilon, dout, &mut dx, dweight.as_deref_mut());
        vec![Some(dx.into()), dweight.map(Back::from)]
    }

    fn composed(&self, inputs: &[Tensor]) -> Result<Tensor> {
        composed(&inputs[0], &inputs[1], self.epsilon)
    }
}

/// RMSNorm of each head of queries and of keys (Qwen3); values stay. Inputs: rows `[n, heads.width()]`, weights of
/// queries and of keys `[heads.size]`.
#[derive(Clone, Copy, Debug)]
pub struct HeadNorm {
    /// How rows are laid out.
    pub heads: Heads,
    /// Added to the mean square.
    pub epsilon: f32,
}

impl HeadNorm {
    /// The columns of queries, keys and values.
    fn columns(&self) -> [usize; 3] {
        let Heads { queries, keys, size } = self.heads;
        [queries * size, keys * size, keys * size]
    }

    fn split(&self, x: &[f32]) -> [Buffer; 3] {
        let rows = x.len() / self.heads.width();
        let mut parts = self.columns().map(|columns| Buffer::any(columns * rows));
        for (at, row) in x.chunks_exact(self.heads.width()).enumerate() {
            let mut rest = row;
            for (part, columns) in parts.iter_mut().zip(self.columns()) {
                let (own, others) = rest.split_at(columns);
                part[at * columns..(at + 1) * columns].copy_from_slice(own);
                rest = others;
            }
        }
        parts
    }

    fn join(&self, parts: [&[f32]; 3], out: &mut [f32]) {
        for (at, row) in out.chunks_exact_mut(self.heads.width()).enumerate() {
            let mut rest = row;
            for (part, columns) in parts.iter().zip(self.columns()) {
                let (own, others) = rest.split_at_mut(columns);
                own.copy_from_slice(&part[at * columns..(at + 1) * columns]);
                rest = others;
            }
        }
    }
}

impl Op for HeadNorm {
    fn name(&self) -> &'static str {
        "head_norm"
    }

    fn shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>> {
        match inputs {
            [x, q, k] if x.len() == 2 && x[1] == self.heads.width() && **q == [self.heads.size] && q == k => {
                Ok(x.to_vec())
            }
            other => bail!("head_norm of {other:?} with {:?}", self.heads),
        }
    }

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) -> Saved {
        let [q, k, v] = self.split(inputs[0]);
        let (mut q_out, mut k_out) = (Buffer::any(q.len()), Buffer::any(k.len()));
        norm::forward(&q, inputs[1], self.epsilon, &mut q_out);
        norm::forward(&k, inputs[2], self.epsilon, &mut k_out);
        self.join([&q_out, &k_out, &v], out);
        Saved::default()
    }

    fn backward(
        &self,
        inputs: &[&[f32]],
        _out: &[f32],
        _saved: &Saved,
        dout: &[f32],
        wanted: &[bool],
    ) -> Vec<Option<Back>> {
        let ([q, k, _], [dq_out, dk_out, dv]) = (self.split(inputs[0]), self.split(dout));
        let gradient = |x: &[f32], weight: &[f32], dout: &[f32], wanted: bool| {
            let mut dx = Buffer::any(x.len());
            let mut dweight = wanted.then(|| Buffer::zeros(weight.len()));
            norm::backward(x, weight, self.epsilon, dout, &mut dx, dweight.as_deref_mut());
            (dx, dweight.map(Back::from))
        };
        let (dq, dq_weight) = gradient(&q, inputs[1], &dq_out, wanted[1]);
        let (dk, dk_weight) = gradient(&k, inputs[2], &dk_out, wanted[2]);
        let mut dx = Buffer::any(dout.len());
        self.join([&dq, &dk, &dv], &mut dx);
        vec![Some(dx.into()), dq_weight, dk_weight]
    }

    fn composed(&self, inputs: &[Tensor]) -> Result<Tensor> {
        let Heads { queries, keys, size } = self.heads;
        let rows = inputs[0].dim(0)?;
        let part = |from: usize, heads: usize, weight: &Tensor| {
            let x = inputs[0].narrow(1, from * size, heads * size)?.reshape((rows, heads, size))?;
            composed(&x, weight, self.epsilon)?.reshape((rows, heads * size))
        };
        let values = inputs[0].narrow(1, (queries + keys) * size, keys * size)?;
        Tensor::cat(&[part(0, queries, &inputs[1])?, part(queries, keys, &inputs[2])?, values], 1)
    }
}
