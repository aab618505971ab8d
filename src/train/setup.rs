//! What runs have in common: the folder, the adapters that they begin with, the model, the way back to a checkpoint.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::adapter::Adapter;
use super::checkpoint::{self, State};
use super::cpu::bf16::Unit;
use super::cpu::gemm::Precision;
use super::lora::LoraConfig;
use super::model::shape::Shape;
use super::model::{Model, Trained, Weights};
use super::optim::AdamW;
use crate::error::{Error, Place, Result};
use crate::files;
use crate::seed::Seed;

/// The adapters that a run begins with.
#[derive(Clone, Debug, Default)]
pub struct Adapters {
    /// Those that stay as they are.
    pub frozen: Vec<Adapter>,
    /// The one that it goes on from.
    pub begin: Option<Adapter>,
    prints: Vec<String>,
}

impl Adapters {
    /// Reads them, and sees whether they go with the run.
    ///
    /// # Errors
    /// One is missing or damaged, for another model, twice there, or trained in another way than the run trains; with its
    /// file.
    pub fn load(
        frozen: &[PathBuf],
        begin: Option<&PathBuf>,
        lora: &LoraConfig,
        shape: &Shape,
    ) -> Result<Self> {
        let mut all = Adapters::default();
        for path in frozen {
            let adapter = Adapter::load(path, shape)?;
            let print = adapter.fingerprint();
            let fits = if all.prints.contains(&print) {
                Err(Error::config("frozen_adapters has the same adapter twice"))
            } else {
                adapter.may_lie_beneath()
            };
            fits.map_err(|error| error.at_if_missing(Place::file(path)))?;
            all.frozen.push(adapter);
            all.prints.push(print);
        }
        if let Some(path) = begin {
            let adapter = Adapter::load(path, shape)?;
            adapter.goes_on_as(lora, shape).map_err(|error| error.at_if_missing(Place::file(path)))?;
            all.begin = Some(adapter);
        }
        Ok(all)
    }

    /// What tells a model from others: its file and what lies beneath the adapter.
    pub fn identity(&self, model: &str) -> String {
        [model].into_iter().chain(self.prints.iter().map(String::as_str)).collect::<Vec<_>>().join("+")
    }
}

/// How a model is trained.
#[derive(Clone, Debug)]
pub struct Setup<'a> {
    /// An adapter, or all weights.
    pub trained: Trained,
    /// Compute layers once more on the way back.
    pub gradient_checkpointing: bool,
    /// Round numbers on their way into products.
    pub bf16: bool,
    /// `cpu`, `cuda`, `metal` or `auto`.
    pub device: &'a str,
    /// Of the new adapter.
    pub seed: u64,
}

impl Setup<'_> {
    /// Whether the machine can do it.
    ///
    /// # Errors
    /// There is no such device, or no unit for bf16.
    pub fn check(&self) -> Result<candle_core::Device> {
        let device = super::device(self.device)?;
        if self.bf16 && device.is_cpu() && Unit::best() == Unit::Plain {
            return Err(Error::config(
                "bf16 = true, and this processor has no unit for it (AMX or AVX512-BF16): it would only be slower; leave it \
                 out",
            ));
        }
        Ok(device)
    }

    /// The model of these weights, with the adapters of a run. The frozen ones have to be in the weights.
    ///
    /// # Errors
    /// An adapter does not go with it, or the device has no room.
    pub fn model(&self, weights: Weights, adapters: &Adapters) -> Result<Model> {
        let device = self.check()?;
        let mut model = Model::new(weights, self.trained.clone(), Seed(self.seed))?;
        model.recompute = self.gradient_checkpointing;
        if let Some(adapter) = &adapters.begin {
            model.set_adapter(adapter)?;
        }
        if self.bf16 {
            model.precision = Precision::Bf16;
        }
        model.to(&device, candle_core::DType::F32)
    }
}

/// Goes on from the last checkpoint, if there is one. `is_of` says whether its state is of the same run, and is given a way to
/// say what is other; `taken` is how many steps its optimiser took.
///
/// # Errors
/// The checkpoint is damaged, or of another run.
pub fn resume<T: State>(
    folder: &Path,
    model: &mut Model,
    optimizer: &mut AdamW,
    is_of: impl FnOnce(&T, &dyn Fn(&str) -> Error) -> Result<()>,
    taken: impl FnOnce(&T) -> u64,
) -> Result<Option<T>> {
    let Some(&step) = checkpoint::all(folder)?.last() else { return Ok(None) };
    // A damaged one is no reason to begin again in silence.
    let advice = |error: Error| {
        let known = checkpoint::all(folder).unwrap_or_default();
        let before = known.iter().rev().nth(1);
        let instead = before
            .map_or("the run begins again".into(), |step| format!("the run goes on from checkpoint-{step}"));
        let message = format!("{}; without checkpoint-{step}, {instead}", error.message());
        let place = error.place().cloned().unwrap_or_else(|| Place::file(checkpoint::folder(folder, step)));
        Error::new(error.kind(), message).at(place)
    };
    let state: T = checkpoint::state(folder, step).map_err(advice)?;
    let place = checkpoint::folder(folder, step);
    let other = |what: &str| {
        Error::config(format!(
            "the checkpoint is of a run with {what}: take another output_dir, or remove this one to begin again"
        ))
        .at(Place::file(&place))
    };
    is_of(&state, &other)?;
    checkpoint::load(folder, step, model, optimizer).map_err(advice)?;
    optimizer.steps = taken(&state);
    Ok(Some(state))
}

/// Whether two models, data and configurations of runs are the same; `other` makes the error that says which is not. Of
/// configurations both are JSON, `then` without the keys that came since.
///
/// # Errors
/// One is another.
pub fn same_run(
    [model, own_model]: [&str; 2],
    [data, own_data]: [&str; 2],
    [then, own]: [&str; 2],
    other: &dyn Fn(&str) -> Error,
) -> Result<()> {
    if model != own_model {
        let file = |model: &str| model.split('+').next().map(str::to_owned);
        let what =
            if file(model) == file(own_model) { "other frozen_adapters" } else { "another model file" };
        return Err(other(what));
    }
    if then != own {
        return Err(other(&format!("other values of {}", differing(then, own))));
    }
    if data != own_data {
        return Err(other("other training data"));
    }
    Ok(())
}

/// The keys whose values differ in two JSON objects.
fn differing(one: &str, other: &str) -> String {
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap_or_default();
    let (one, other) = (read(one), read(other));
    let mut keys = Vec::new();
    for (key, value) in other.as_object().into_iter().flatten() {
        let before = &one[key.as_str()];
        match value.as_object() {
            _ if before == value => {}
            None => keys.push(key.clone()),
            // Of a table, its keys.
            Some(table) => {
                let own = table.iter().filter(|(own, value)| before[own.as_str()] != **value);
                keys.extend(own.map(|(own, _)| format!("{key}.{own}")));
            }
        }
    }
    if keys.is_empty() { "the configuration".into() } else { keys.join(", ") }
}

/// Takes the folder for this process.
///
/// # Errors
/// Another process has it.
pub fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(".lock");
    let failed = |error| Error::io("lock the folder", &path, error);
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    if files::lock(&file).map_err(failed)? {
        return Ok(file);
    }
    let message = "another run writes into this folder: wait for it, or take another output_dir";
    Err(Error::config(message).at(Place::file(folder)))
}
