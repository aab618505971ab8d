//! Adapters out of a model and into it.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};

use super::{Model, Trained};
use crate::error::{Error, Result};
use crate::train::adapter::{Adapter, Pair};

impl Model {
    /// Does something with the model as it is without the adapter that is trained.
    ///
    /// # Errors
    /// There is none, or it has lengths of rows, without which the rows would not be what they were; what `work` says.
    pub fn without_adapter<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if !matches!(&self.trained, Trained::Lora(config) if !config.use_dora) {
            return Err(Error::config(
                "there is no adapter that could be left out (use_dora, or all weights are trained)",
            ));
        }
        let mut kept = Vec::new();
        for one in self.parameters.iter_mut().filter(|one| one.name.ends_with(".lora_b")) {
            let zeros = one.value.zeros_like()?;
            kept.push(std::mem::replace(&mut one.value, zeros));
        }
        let done = work(self);
        let own = self.parameters.iter_mut().filter(|one| one.name.ends_with(".lora_b"));
        own.zip(kept).for_each(|(one, value)| one.value = value);
        done
    }

    /// The adapter that is trained; none if all weights are.
    ///
    /// # Errors
    /// candle's.
    pub fn adapter(&self) -> Result<Option<Adapter>> {
        let Trained::Lora(config) = &self.trained else { return Ok(None) };
        let mut pairs = BTreeMap::new();
        for (at, one) in self.parameters.iter().enumerate() {
            let Some(name) = one.name.strip_suffix(".lora_a") else { continue };
            let matrix = self.weights.matrix(name)?;
            let b = &self.parameters[at + 1].value;
            let lengths = self.place(&format!("{name}.{LENGTHS}")).map(|at| &self.parameters[at].value);
            let pair = Pair {
                a: numbers(&one.value)?,
                b: numbers(b)?,
                rank: config.r,
                rows: matrix.rows,
                columns: matrix.columns,
                scale: config.scale(),
                lengths: lengths.map(numbers).transpose()?,
            };
            pairs.insert(name.to_owned(), pair);
        }
        let architecture = self.weights.shape.architecture.clone();
        Ok(Some(Adapter { config: config.clone(), architecture, pairs }))
    }

    /// Goes on from an adapter that was trained before.
    ///
    /// # Errors
    /// It does not cover the same matrices with the same rank and scale; names one. Nothing is changed then.
    pub fn set_adapter(&mut self, adapter: &Adapter) -> Result<()> {
        let Trained::Lora(config) = &self.trained else {
            return Err(Error::config("all weights are trained, and no adapter"));
        };
        adapter.goes_on_as(config, &self.weights.shape)?;
        for one in &mut self.parameters {
            let Some((name, which)) = one.name.rsplit_once('.') else { continue };
            let Some(pair) = adapter.pairs.get(name) else { continue };
            let numbers = match (which, &pair.lengths) {
                ("lora_a", _) => &pair.a,
                ("lora_b", _) => &pair.b,
                (_, Some(lengths)) => lengths,
                (_, None) => continue,
            };
            let value = Tensor::from_slice(numbers, one.value.shape(), one.value.device())?;
            one.value = value.to_dtype(one.value.dtype())?;
        }
        Ok(())
    }
}

/// What stands behind the names of the lengths of rows.
pub(super) const LENGTHS: &str = "lora_magnitude_vector";

fn numbers(tensor: &Tensor) -> candle_core::Result<Vec<f32>> {
    tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
}
