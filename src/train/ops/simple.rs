//! The gate of feed-forward layers, and sums.

use candle_core::{D, Tensor, bail};

use super::value::add;
use super::{Back, Op, Result, Saved};
use crate::train::cpu::buffer::Buffer;
use crate::train::cpu::swiglu;

/// silu(g) · u. Input: rows of g and then u, `[.., 2 · width]`; output `[.., width]`.
#[derive(Clone, Copy, Debug)]
pub struct SwiGlu {
    /// Numbers of g, and of u.
    pub width: usize,
}

impl Op for SwiGlu {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>> {
        match inputs {
            [[rows @ .., width]] if *width == 2 * self.width => Ok([rows, &[self.width]].concat()),
            other => bail!("swiglu of {other:?} with {self:?}"),
        }
    }

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) -> Saved {
        swiglu::forward(inputs[0], self.width, out);
        Saved::default()
    }

    fn backward(
        &self,
        inputs: &[&[f32]],
        _out: &[f32],
        _saved: &Saved,
        dout: &[f32],
        _wanted: &[bool],
    ) -> Vec<Option<Back>> {
        let mut dx = Buffer::any(inputs[0].len());
        swiglu::backward(inputs[0], self.width, dout, &mut dx);
        vec![Some(dx.into())]
    }

    fn composed(&self, inputs: &[Tensor]) -> Result<Tensor> {
        let parts = inputs[0].chunk(2, D::Minus1)?;
        parts[0].silu()? * &parts[1]
    }
}

/// The sum of two tensors of one shape.
#[derive(Clone, Copy, Debug)]
pub struct Add;

impl Op for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>> {
        match inputs {
            [one, other] if one == other => Ok(one.to_vec()),
            other => bail!("the sum of {other:?}"),
        }
    }

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) -> Saved {
        out.copy_from_slice(inputs[0]);
        add(out, inputs[1]);
        Saved::default()
    }

    fn forward_in_place(&self, first: &mut [f32], others: &[&[f32]]) -> Result<()> {
        add(first, others[0]);
        Ok(())
    }

    fn backward(
        &self,
        _inputs: &[&[f32]],
        _out: &[f32],
        _saved: &Saved,
        _dout: &[f32],
        wanted: &[bool],
    ) -> Vec<Option<Back>> {
        wanted.iter().map(|wanted| wanted.then_some(Back::Same)).collect()
    }

    fn composed(&self, inputs: &[Tensor]) -> Result<Tensor> {
        &inputs[0] + &inputs[1]
    }
}
