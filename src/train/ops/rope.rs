//! Rotary positions.

use std::sync::Arc;

use candle_core::{Tensor, bail};

use super::{Back, Op, Result, Saved};
use crate::train::cpu::attention::Heads;
use crate::train::cpu::buffer::Buffer;
use crate::train::cpu::rope::{Angles, Layout, Rows, turn};

/// Turns the heads of queries and keys by the angles of their positions. Input: rows `[n, heads.width()]`.
#[derive(Clone, Debug)]
pub struct Rope {
    /// How rows are laid out.
    pub heads: Heads,
    /// Which two numbers are turned together.
    pub layout: Layout,
    /// Cosines and sines by position.
    pub angles: Arc<Angles>,
    /// The position of each row in its text.
    pub positions: Arc<[u32]>,
}

impl Rope {
    fn rows(&self) -> Rows {
        let Heads { queries, keys, size } = self.heads;
        Rows { heads: queries + keys, head: size, width: self.heads.width() }
    }

    fn turn(&self, back: bool, x: &mut [f32]) {
        turn(x, self.rows(), self.layout, &self.angles, &self.positions, back);
    }

    /// Cosines and sines of each row, `[n, 1, pairs]`.
    fn tables(&self, x: &Tensor) -> Result<[Tensor; 2]> {
        let pairs = self.angles.pairs;
        let table = |of: &[f32]| {
            let rows =
                self.positions.iter().flat_map(|&at| &of[at as usize * pairs..(at as usize + 1) * pairs]);
            Tensor::from_vec(rows.copied().collect(), (self.positions.len(), 1, pairs), x.device())?
                .to_dtype(x.dtype())
        };
        Ok([table(&self.angles.cos)?, table(&self.angles.sin)?])
    }
}

impl Op for Rope {
    fn name(&self) -> &'static str {
        "rope"
    }

    fn shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>> {
        let known = self.angles.positions();
        if let Some(at) = self.positions.iter().find(|&&at| at as usize >= known) {
            bail!("rope at position {at}, and there are angles for {known}");
        }
        match inputs {
            [[rows, width]]
                if *rows == self.positions.len()
                    && *width == self.heads.width()
                    && 2 * self.angles.pairs <= self.heads.size =>
            {
                Ok(vec![*rows, *width])
            }
            other => bail!("rope of {other:?} with {:?} and {} positions", self.heads, self.positions.len()),
        }
    }

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) -> Saved {
        out.copy_from_slice(inputs[0]);
        self.turn(false, out);
        Saved::default()
    }

    fn forward_in_place(&self, first: &mut [f32], _others: &[&[f32]]) -> Result<()> {
        self.turn(false, first);
        Ok(())
    }

    fn backward(
        &self,
        _inputs: &[&[f32]],
        _out: &[f32],
        _saved: &Saved,
        dout: &[f32],
        _wanted: &[bool],
    ) -> Vec<Option<Back>> {
        let mut dx = Buffer::copy(dout);
        self.turn(true, &mut dx);
        vec![Some(dx.into())]
    }

    fn composed(&self, inputs: &[Tensor]) -> Result<Tensor> {
        let Rows { heads, head, width } = self.rows();
        let (x, rows, pairs) = (&inputs[0], inputs[0].dim(0)?, self.angles.pairs);
        let [cos, sin] = self.tables(x)?;
        let turned = x.narrow(1, 0, heads * head)?.reshape((rows, heads, head))?;
        let (own, rest) = (turned.narrow(2, 0, 2 * pairs)?, turned.narrow(2, 2 * pairs, head - 2 * pairs)?);
        let (a, b) = match self.layout {
            Layout::Halves => (own.narrow(2, 0, pairs)?, own.narrow(2, pairs, pairs)?),
            Layout::Pairs => {
                let own = own.reshape((rows, heads, pairs, 2))?;
                (own.narrow(3, 0, 1)?.squeeze(3)?, own.narrow(3, 1, 1)?.squeeze(3)?)
            }
        };
        let first = (a.broadcast_mul(&cos)? - b.broadcast_mul(&sin)?)?;
        let second = (a.broadcast_mul(&sin)? + b.broadcast_mul(&cos)?)?;
        let own = match self.layout {
            Layout::Halves => Tensor::cat(&[first, second], 2)?,
            Layout::Pairs => Tensor::stack(&[first, second], 3)?.reshape((rows, heads, 2 * pairs))?,
        };
        let own = if pairs * 2 == head { own } else { Tensor::cat(&[own, rest], 2)? };
        let own = own.reshape((rows, heads * head))?;
        Tensor::cat(&[own, x.narrow(1, heads * head, width - heads * head)?], 1)
    }
}
