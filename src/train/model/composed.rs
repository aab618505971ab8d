//! The last matrix and what belongs to it, composed of candle's operations: for other devices and types of numbers.

use candle_core::{D, DType, Tensor};

use super::{Model, Target};
use crate::error::Result;
use crate::train::cpu::gemm::Precision;
use crate::train::cpu::head::{Slope, Token, tokens_at_a_time};
use crate::train::ops::{Value, matmul};

/// What [`Model::composed_head`] found.
pub(super) struct Done {
    /// Of each target.
    pub(super) tokens: Vec<Token>,
    /// The gradient of the hidden states.
    pub(super) hidden: Value,
    /// That of the matrix, if it is trained.
    pub(super) weight: Option<Value>,
}

impl Model {
    /// As `cpu::head::loss`, or without `slope` as `cpu::head::forward`: some tokens at a time.
    pub(super) fn composed_head(
        &self,
        hidden: &Value,
        targets: &[u32],
        temperature: f32,
        slope: Option<&dyn Fn(usize, Token) -> Slope>,
    ) -> Result<Done> {
        let Value::Candle(hidden) = hidden else {
            return Err(crate::Error::engine("a tensor of candle's is wanted"));
        };
        let (device, dtype) = (hidden.device(), hidden.dtype());
        let scale = 1.0 / f64::from(temperature);
        // Elsewhere outputs of products would be rounded too, and logits have to be exact.
        let precision = if device.is_cpu() { self.precision } else { Precision::F32 };
        let place = self.place(self.output_name());
        let matrix = match place {
            Some(at) => self.parameters[at].value.clone(),
            None => self.weights.matrix(self.output_name())?.tensor(device)?.to_dtype(dtype)?,
        };
        let mut tokens = Vec::with_capacity(targets.len());
        let (mut dhidden, mut dweight) = (Vec::new(), None);
        let step = tokens_at_a_time(matrix.dim(0)?);
        for (part, own) in targets.chunks(step).enumerate() {
            let from = part * step;
            let states = hidden.narrow(0, from, own.len())?;
            let logits = (matmul(precision, &states, &matrix.t()?)? * scale)?;
            let most = logits.max_keepdim(D::Minus1)?;
            let below = logits.broadcast_sub(&most)?;
            let sum = below.exp()?.sum_keepdim(D::Minus1)?;
            let logs = below.broadcast_sub(&sum.log()?)?;
            let shares = logs.exp()?;
            let entropy = (&shares * &logs)?.sum_keepdim(D::Minus1)?.neg()?;
            let index = Tensor::from_slice(own, (own.len(), 1), device)?;
            let host = |tensor: &Tensor| tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
            let (found, entropies) = (host(&logs.gather(&index, 1)?)?, host(&entropy)?);
            let best = host(&below.gather(&index, 1)?)?;
            let mut slopes = Vec::new();
            for (at, ((logprob, entropy), best)) in found.into_iter().zip(entropies).zip(best).enumerate() {
                let token = Token { logprob, entropy, best: best >= 0.0 };
                slopes.extend(slope.map(|slope| slope(from + at, token)));
                tokens.push(token);
            }
            if slope.is_none() {
                continue;
            }
            let column = |of: fn(&Slope) -> f32| {
                let numbers: Vec<f32> = slopes.iter().map(of).collect();
                Tensor::from_vec(numbers, (own.len(), 1), device)?.to_dtype(dtype)
            };
            let (by_logprob, by_entropy) = (column(|slope| slope.logprob)?, column(|slope| slope.entropy)?);
            let around = logs.broadcast_add(&entropy)?.broadcast_mul(&by_entropy)?;
            let dlogits =
                (shares * around.broadcast_add(&by_logprob)?)?.neg()?.scatter_add(&index, &by_logprob, 1)?;
            let dlogits = (dlogits * scale)?;
            dhidden.push(matmul(precision, &dlogits, &matrix)?);
            if place.is_some() {
                let more = matmul(precision, &dlogits.t()?, &states)?;
                dweight = Some(match dweight {
                    None => more,
                    Some(sum) => (sum + more)?,
                });
            }
        }
        if dweight.is_none() && place.is_some() && slope.is_some() {
            dweight = Some(matrix.zeros_like()?);
        }
        let hidden = if dhidden.is_empty() { hidden.zeros_like()? } else { Tensor::cat(&dhidden, 0)? };
        Ok(Done { tokens, hidden: hidden.into(), weight: dweight.map(Value::from) })
    }
}

fn rows_of(targets: &[Target], like: &Tensor) -> candle_core::Result<Tensor> {
    let rows: Vec<u32> = targets.iter().map(|target| target.row as u32).collect();
    Tensor::from_vec(rows, targets.len(), like.device())
}

/// The rows of the targets.
pub(super) fn pick(states: &Value, targets: &[Target]) -> candle_core::Result<Value> {
    let states = states.tensor(&candle_core::Device::Cpu)?;
    Ok(states.index_select(&rows_of(targets, &states)?, 0)?.into())
}

/// Adds rows up where their targets are.
pub(super) fn spread(rows: &Value, targets: &[Target], tokens: usize) -> candle_core::Result<Value> {
    let rows = rows.tensor(&candle_core::Device::Cpu)?;
    let all = Tensor::zeros((tokens, rows.dim(1)?), rows.dtype(), rows.device())?;
    Ok(all.index_add(&rows_of(targets, &rows)?, &rows, 0)?.into())
}
