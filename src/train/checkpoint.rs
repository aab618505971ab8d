//! Checkpoints: folders that are there whole or not at all.
//!
//! `checkpoint-N` holds the adapter as `peft` keeps it (or, where all weights are trained, `parameters.safetensors`),
//! the moments of the optimiser in `optimizer.safetensors`, and everything else in `trainer_state.json`. Order and
//! dropout of a step are drawn from the seed and the step's number, so no state of a generator is kept.

use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Place, Result};
use crate::files::{self, Vector};
use crate::train::adapter::peft;
use crate::train::model::{Model, Parameter};
use crate::train::ops::Value;
use crate::train::optim::AdamW;

/// The folder of the adapter that a run was for.
pub const ADAPTER: &str = "adapter";
const STATE: &str = "trainer_state.json";
const MOMENTS: &str = "optimizer.safetensors";
const PARAMETERS: &str = "parameters.safetensors";
/// Raised when a checkpoint holds something else than before.
const VERSION: u32 = 1;

/// Everything of a run but tensors.
pub trait State: Serialize + DeserializeOwned {
    /// Optimiser steps that were taken, or passed over because of gradients that are no numbers.
    fn step(&self) -> u64;
}

/// The folder of a step's checkpoint.
pub fn folder(run: &Path, step: u64) -> PathBuf {
    run.join(format!("checkpoint-{step}"))
}

/// The steps of all checkpoints in a run's folder, ascending.
///
/// # Errors
/// The folder cannot be read.
pub fn all(run: &Path) -> Result<Vec<u64>> {
    let failed = |error| Error::io("read the folder", run, error);
    let mut steps = Vec::new();
    for entry in std::fs::read_dir(run).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let step = |name: &str| {
            let text = name.strip_prefix("checkpoint-")?;
            text.parse().ok().filter(|step: &u64| step.to_string() == text)
        };
        steps.extend(name.to_str().and_then(step));
    }
    steps.sort_unstable();
    Ok(steps)
}

/// Writes a checkpoint.
///
/// # Errors
/// The disk is full, or the like; then there is no checkpoint of this step, and the others are as they were.
pub fn save(run: &Path, model: &Model, optimizer: &AdamW, state: &impl State, base: &str) -> Result<()> {
    let files = [peft::MODEL, peft::CONFIG, PARAMETERS, MOMENTS, STATE];
    files::write_folder(&folder(run, state.step()), &files, |temporary| {
        match model.adapter()? {
            Some(adapter) => peft::write_into(&adapter, temporary, &model.weights().shape, base)?,
            None => {
                let values = model.parameters().iter().map(|one| {
                    let value = Value::from(one.value.clone());
                    vector(one.name.clone(), one.value.elem_count(), move || Ok(value.to_vec()?))
                });
                files::write_vectors(&temporary.join(PARAMETERS), &values.collect::<Vec<_>>())?;
            }
        }
        let moments = model.parameters().iter().zip(optimizer.first.iter().zip(&optimizer.second));
        let moments = moments.flat_map(|(one, (first, second))| {
            let own = |what: &str, of: &Value| {
                let of = of.clone();
                vector(format!("{}.{what}", one.name), one.value.elem_count(), move || Ok(of.to_vec()?))
            };
            [own("exp_avg", first), own("exp_avg_sq", second)]
        });
        files::write_vectors(&temporary.join(MOMENTS), &moments.collect::<Vec<_>>())?;
        let wrong = |error: serde_json::Error| Error::engine(error.to_string());
        let mut state = serde_json::to_value(state).map_err(wrong)?;
        state["version"] = VERSION.into();
        let text = serde_json::to_string_pretty(&state).map_err(wrong)?;
        files::write(&temporary.join(STATE), text.as_bytes())
    })
}

/// Removes what a run that was killed left half-written or half-removed.
///
/// # Errors
/// The operating system refuses.
pub fn sweep(run: &Path) -> Result<()> {
    let failed = |error| Error::io("read the folder", run, error);
    for entry in std::fs::read_dir(run).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let own =
            [ADAPTER, "adapter.gguf", "model.gguf", "base.gguf", "base.txt", "run.html", "rollout.gguf"];
        let checkpoint = name
            .split('.')
            .next()
            .filter(|of| of.strip_prefix("checkpoint-").is_some_and(|step| step.parse::<u64>().is_ok()));
        let is_of = |of: &str| {
            files::is_left_over(name, of) || of.ends_with(".gguf") && *name == format!("{of}.partial")
        };
        if own.into_iter().chain(checkpoint).any(is_of) {
            let removed =
                if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            removed.map_err(|error| Error::io("remove", &path, error))?;
        }
    }
    Ok(())
}

/// What a checkpoint says, without its tensors.
///
/// # Errors
/// It is damaged, or of another version.
pub fn state<T: State>(run: &Path, step: u64) -> Result<T> {
    let path = folder(run, step).join(STATE);
    let text = std::fs::read(&path).map_err(|error| Error::io("read the checkpoint", &path, error))?;
    let wrong = |what: String| Error::data(what).at(Place::file(&path));
    let odd = |error: serde_json::Error| wrong(format!("not the state of a checkpoint: {error}"));
    let value: serde_json::Value = serde_json::from_slice(&text).map_err(odd)?;
    if value["version"] != VERSION {
        return Err(wrong(format!(
            "a checkpoint of form {}, and this program reads {VERSION}",
            value["version"]
        )));
    }
    let state: T = serde_json::from_value(value).map_err(odd)?;
    if state.step() != step {
        return Err(wrong(format!("says that it is of step {}", state.step())));
    }
    Ok(state)
}

/// Puts a checkpoint's tensors into a model and an optimiser.
///
/// # Errors
/// A file is damaged, or is of another model; names the tensor.
pub fn load(run: &Path, step: u64, model: &mut Model, optimizer: &mut AdamW) -> Result<()> {
    load_model(run, step, model)?;
    let path = folder(run, step).join(MOMENTS);
    let names: Vec<(String, usize)> =
        model.parameters().iter().map(|one| (one.name.clone(), one.value.elem_count())).collect();
    read(&path, |file| {
        for (at, (name, count)) in names.iter().enumerate() {
            for (moments, what) in [(&mut optimizer.first, "exp_avg"), (&mut optimizer.second, "exp_avg_sq")]
            {
                let numbers = numbers(file, &format!("{name}.{what}"), *count)?;
                moments[at] = moments[at].with(numbers)?;
            }
        }
        Ok(())
    })
}

/// Puts a checkpoint's weights or adapter into a model.
///
/// # Errors
/// As [`load`].
pub fn load_model(run: &Path, step: u64, model: &mut Model) -> Result<()> {
    let own = folder(run, step);
    if model.adapter()?.is_some() {
        let adapter = crate::train::adapter::Adapter::load(&own, &model.weights().shape)?;
        return model.set_adapter(&adapter).map_err(|error| error.at_if_missing(Place::file(&own)));
    }
    read(&own.join(PARAMETERS), |file| {
        for Parameter { name, value, .. } in model.parameters_mut() {
            let numbers = numbers(file, name, value.elem_count())?;
            let new = candle_core::Tensor::from_vec(numbers, value.shape(), value.device())?;
            *value = new.to_dtype(value.dtype())?;
        }
        Ok(())
    })
}

fn vector(name: String, count: usize, numbers: impl Fn() -> Result<Vec<f32>> + 'static) -> Vector {
    Vector { name, count, numbers: Box::new(numbers) }
}

fn read(path: &Path, work: impl FnOnce(&SafeTensors<'_>) -> Result<()>) -> Result<()> {
    let bytes = std::fs::read(path).map_err(|error| Error::io("read the checkpoint", path, error))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| {
        Error::data(format!("not a whole file of safetensors: {error}")).at(Place::file(path))
    })?;
    work(&file).map_err(|error| error.at_if_missing(Place::file(path)))
}

fn numbers(file: &SafeTensors<'_>, name: &str, count: usize) -> Result<Vec<f32>> {
    let view = file.tensor(name).map_err(|_| {
        Error::data(format!("the checkpoint has no {name:?}: it is of another model or configuration"))
    })?;
    if view.dtype() != Dtype::F32 || view.shape() != [count] {
        return Err(Error::data(format!(
            "{name:?} is {:?} of shape {:?} in the checkpoint, and should be {count} numbers of F32",
            view.dtype(),
            view.shape()
        )));
    }
    Ok(view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}
