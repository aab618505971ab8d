//! What runs a model, by file and settings, so that a process loads each model once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::embed::Embedder;
use super::engine::Engine;
use super::model::Model;
use super::settings::Settings;
use crate::error::{Error, Result};

/// Things by key that are dropped when nobody holds them any more.
struct Cache<T>(Mutex<BTreeMap<String, Weak<T>>>);

impl<T> Cache<T> {
    const fn new() -> Self {
        Cache(Mutex::new(BTreeMap::new()))
    }

    /// Held while one is made: who comes second wants the same one, not a second copy.
    fn get(&self, key: &str, make: impl FnOnce() -> Result<Arc<T>>) -> Result<Arc<T>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(key).and_then(Weak::upgrade) {
            return Ok(found);
        }
        let made = make()?;
        known.retain(|_, one| one.strong_count() > 0);
        known.insert(key.into(), Arc::downgrade(&made));
        Ok(made)
    }
}

static MODELS: Cache<Model> = Cache::new();
static ENGINES: Cache<Engine> = Cache::new();
static EMBEDDERS: Cache<Embedder> = Cache::new();

fn key(path: &Path, settings: &Settings) -> Result<String> {
    let path = path.canonicalize().map_err(|error| Error::io("find the model", path, error))?;
    Ok(format!("{} {settings:?}", path.display()))
}

/// The model in a file; loaded if nobody holds it.
///
/// # Errors
/// The file cannot be loaded.
pub fn model(path: &Path, settings: &Settings) -> Result<Arc<Model>> {
    MODELS.get(&key(path, settings)?, || Model::load(path, settings))
}

/// The running engine for a model file; started if there is none.
///
/// # Errors
/// The file cannot be loaded, or the engine cannot be started.
pub fn engine(path: &Path, settings: &Settings) -> Result<Arc<Engine>> {
    ENGINES.get(&key(path, settings)?, || Engine::start(model(path, settings)?))
}

/// The running embedder for a model file, with its model; started if there is none.
///
/// # Errors
/// As [`engine`].
pub fn embedder(path: &Path, settings: &Settings) -> Result<(Arc<Model>, Arc<Embedder>)> {
    let model = model(path, settings)?;
    let embedder = EMBEDDERS.get(&key(path, settings)?, || Embedder::start(Arc::clone(&model)))?;
    Ok((model, embedder))
}
