//! Adapters out of a model and into it.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};

use super::{Model, Trained};
use crate::error::{Error, Result};
use crate::train::adapter::{Adapter, Pair};
use crate::train::lora::LoraConfig;

impl Model {
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
        adapter.check(&self.weights.shape)?;
        let Trained::Lora(config) = &self.trained else {
            return Err(Error::config("all weights are trained, and no adapter"));
        };
        let own = self.adapter()?.map_or_else(BTreeMap::new, |own| own.pairs);
        for (name, pair) in &own {
            let Some(theirs) = adapter.pairs.get(name) else {
                return Err(Error::config(format!(
                    "the adapter has no {name:?}, which target_modules covers"
                )));
            };
            if theirs.lengths.is_some() != pair.lengths.is_some() {
                return Err(Error::config(format!(
                    "use_dora is {} here, and the adapter was trained the other way: take use_dora = {}",
                    config.use_dora,
                    theirs.lengths.is_some()
                )));
            }
            // A scale that went through a file of llama.cpp comes back rounded.
            if theirs.rank != pair.rank || (theirs.scale / pair.scale - 1.0).abs() > 1e-5 {
                let LoraConfig { r, lora_alpha, use_rslora, .. } = &adapter.config;
                return Err(Error::config(format!(
                    "{name:?} has rank {} and scale {} in the adapter, and [lora] makes {} and {}: the adapter was trained \
                     with r = {r}, lora_alpha = {lora_alpha} and use_rslora = {use_rslora}",
                    theirs.rank, theirs.scale, pair.rank, pair.scale
                )));
            }
        }
        if let Some(name) = adapter.pairs.keys().find(|name| !own.contains_key(*name)) {
            return Err(Error::config(format!(
                "the adapter has {name:?}, which target_modules does not cover"
            )));
        }
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
