//! The rows of tokens in a trained matrix.

use std::sync::Arc;

use candle_core::{Tensor, bail};

use super::{Back, Op, Result, Saved};
use crate::train::cpu::buffer::Buffer;

/// Input: a matrix `[vocabulary, width]`; output: its rows for `tokens`, `[tokens, width]`.
#[derive(Clone, Debug)]
pub struct Embedding {
    /// The tokens.
    pub tokens: Arc<[u32]>,
    /// Numbers of a row.
    pub width: usize,
}

impl Op for Embedding {
    fn name(&self) -> &'static str {
        "embedding"
    }

    fn shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>> {
        match inputs {
            [[rows, width]] if *width == self.width => {
                match self.tokens.iter().find(|&&token| token as usize >= *rows) {
                    Some(token) => bail!("embedding of token {token}, and there are {rows}"),
                    None => Ok(vec![self.tokens.len(), *width]),
                }
            }
            other => bail!("embedding of {other:?} with rows of {}", self.width),
        }
    }

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) -> Saved {
        for (out, token) in out.chunks_exact_mut(self.width).zip(&*self.tokens) {
            out.copy_from_slice(&inputs[0][*token as usize * self.width..][..self.width]);
        }
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
        let mut dmatrix = Buffer::zeros(inputs[0].len());
        for (dout, token) in dout.chunks_exact(self.width).zip(&*self.tokens) {
            let row = &mut dmatrix[*token as usize * self.width..][..self.width];
            row.iter_mut().zip(dout).for_each(|(to, more)| *to += more);
        }
        vec![Some(dmatrix.into())]
    }

    fn composed(&self, inputs: &[Tensor]) -> Result<Tensor> {
        let tokens = Tensor::new(&*self.tokens, inputs[0].device())?;
        inputs[0].index_select(&tokens, 0)
    }
}
