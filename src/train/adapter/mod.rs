//! Adapters outside of a model: read, written, converted, merged.
//!
//! In memory a matrix of an adapter goes by the name of the matrix that it stands beside in the model file, with its
//! rows in the order of that file. `peft` has other names and, for Llama, another order of the rows of queries and
//! keys ([`peft`]); llama.cpp has the file's own ([`gguf`]).

pub mod gguf;
pub mod merge;
pub mod peft;

use std::collections::BTreeMap;
use std::path::Path;

use sha2::Digest;

use super::lora::{LoraConfig, MODULES};
use super::model::shape::Shape;
use crate::error::{Error, Place, Result};

/// Rows and columns that are too many for any model, so that sizes can be multiplied.
const MOST_SIZE: usize = 1 << 28;

/// The two matrices beside one of the model's: scale · B · A is added to it, and then its rows may get other lengths.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// A, `[rank, columns]`.
    pub a: Vec<f32>,
    /// B, `[rows, rank]`.
    pub b: Vec<f32>,
    /// Rows of A.
    pub rank: usize,
    /// Outputs of the matrix.
    pub rows: usize,
    /// Inputs of the matrix.
    pub columns: usize,
    /// What B · A is multiplied by.
    pub scale: f32,
    /// The length of each row of the sum (DoRA); none where that is left as it is.
    pub lengths: Option<Vec<f32>>,
}

/// An adapter.
#[derive(Clone, Debug, PartialEq)]
pub struct Adapter {
    /// How it was trained, as far as its file says so.
    pub config: LoraConfig,
    /// The architecture of its model, such as `qwen2`.
    pub architecture: String,
    /// By the names of the model's matrices, such as `blk.0.attn_q.weight`.
    pub pairs: BTreeMap<String, Pair>,
}

/// How adapters are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A folder with `adapter_config.json` and `adapter_model.safetensors`.
    Peft,
    /// A GGUF file, as llama.cpp loads with `--lora`.
    Gguf,
}

impl Format {
    /// The format of what lies at `path`, or would: `.gguf` files, and folders.
    pub fn of(path: &Path) -> Self {
        match path.extension() {
            Some(ending) if ending.eq_ignore_ascii_case("gguf") => Format::Gguf,
            _ => Format::Peft,
        }
    }
}

impl Adapter {
    /// Reads an adapter in either format; `shape` is that of the model that it is for.
    ///
    /// # Errors
    /// It cannot be read, is damaged, or is for another model; with its place.
    pub fn load(path: &Path, shape: &Shape) -> Result<Self> {
        if !path.exists() {
            return Err(Error::data("there is no such adapter").at(Place::file(path)));
        }
        let found = match Format::of(path) {
            Format::Peft if !path.is_dir() => Err(Error::data(
                "not an adapter: a folder of peft, or a file of llama.cpp that ends in .gguf, is one",
            )),
            Format::Gguf => gguf::load(path),
            Format::Peft => peft::load(path, shape),
        };
        found
            .and_then(|adapter| adapter.check(shape).map(|()| adapter))
            .map_err(|error| error.at_if_missing(Place::file(path)))
    }

    /// Writes it in the format that the name asks for, whole or not at all; `base` is what a reader is told of the
    /// model.
    ///
    /// # Errors
    /// The disk is full, or the like.
    pub fn save(&self, path: &Path, shape: &Shape, base: &str) -> Result<()> {
        match Format::of(path) {
            Format::Gguf => gguf::save(self, path, base),
            Format::Peft => peft::save(self, path, shape, base),
        }
    }

    /// Whether it fits a model.
    ///
    /// # Errors
    /// It is for another architecture, or a matrix has another size there or is missing; names it.
    pub fn check(&self, shape: &Shape) -> Result<()> {
        if self.architecture != shape.architecture {
            return Err(Error::data(format!(
                "the adapter is for a model of architecture {:?}, and this one is {:?}",
                self.architecture, shape.architecture
            )));
        }
        if self.pairs.is_empty() {
            return Err(Error::data("the adapter is empty: it has no matrices"));
        }
        for (name, pair) in &self.pairs {
            let (layer, module) = place_of(name).ok_or_else(|| {
                Error::data(format!("the adapter has {name:?}, and no matrix of a layer goes by that name"))
            })?;
            if layer >= shape.layers {
                return Err(Error::data(format!(
                    "the adapter has {name:?}, and the model has {} layers",
                    shape.layers
                )));
            }
            let (rows, columns) = shape.sizes(module);
            if (pair.rows, pair.columns) != (rows, columns) {
                return Err(Error::data(format!(
                    "{name:?} is for a matrix of {} by {}, and the model's has {rows} by {columns}: the adapter is for \
                     another model",
                    pair.rows, pair.columns
                )));
            }
            pair.check(name)?;
            if pair.lengths.is_some() != self.config.use_dora {
                let has = if self.config.use_dora { "has none" } else { "has some" };
                return Err(Error::data(format!(
                    "use_dora is {}, and {name:?} {has} of the lengths of rows that belong to it",
                    self.config.use_dora
                )));
            }
        }
        Ok(())
    }

    /// Numbers that were trained.
    pub fn parameters(&self) -> usize {
        let of = |pair: &Pair| pair.a.len() + pair.b.len() + pair.lengths.as_ref().map_or(0, Vec::len);
        self.pairs.values().map(of).sum()
    }

    /// Whether a run that trains `config` can go on from it.
    ///
    /// # Errors
    /// It is for another model, or does not cover the same matrices with the same rank and scale; names one.
    pub fn goes_on_as(&self, config: &LoraConfig, shape: &Shape) -> Result<()> {
        self.check(shape)?;
        if self.config.use_dora != config.use_dora {
            return Err(Error::config(format!(
                "use_dora is {}, and the adapter was trained with use_dora = {}",
                config.use_dora, self.config.use_dora
            )));
        }
        let covers = |layer, name: &str| {
            MODULES.iter().any(|(module, gguf)| *gguf == name && config.covers(layer, module))
        };
        for layer in 0..shape.layers {
            for (_, module) in MODULES.iter().filter(|(_, module)| covers(layer, module)) {
                let name = format!("blk.{layer}.{module}.weight");
                let Some(pair) = self.pairs.get(&name) else {
                    return Err(Error::config(format!(
                        "the adapter has no {name:?}, which target_modules covers"
                    )));
                };
                // A scale that went through a file of llama.cpp comes back rounded.
                if pair.rank != config.r || (pair.scale / config.scale() - 1.0).abs() > 1e-5 {
                    return Err(Error::config(format!(
                        "{name:?} has rank {} and scale {} in the adapter, and [lora] makes {} and {}: take r = {}, \
                         lora_alpha = {} and use_rslora = {}",
                        pair.rank,
                        pair.scale,
                        config.r,
                        config.scale(),
                        pair.rank,
                        self.config.lora_alpha,
                        self.config.use_rslora
                    )));
                }
            }
        }
        let other = self
            .pairs
            .keys()
            .find(|name| !place_of(name).is_some_and(|(layer, module)| covers(layer, module)));
        match other {
            Some(name) => {
                Err(Error::config(format!("the adapter has {name:?}, which target_modules does not cover")))
            }
            None => Ok(()),
        }
    }

    /// Several adapters of one model as one that does what all of them do together: their ranks lie beside each other.
    ///
    /// # Errors
    /// There is none; one has lengths of rows (DoRA), which do not add up; a matrix has other sizes in another.
    pub fn together(all: &[&Self]) -> Result<Self> {
        let first = all.first().ok_or_else(|| Error::config("no adapter was given"))?;
        let mut sum = Adapter {
            config: LoraConfig::default(),
            architecture: first.architecture.clone(),
            pairs: BTreeMap::new(),
        };
        for (name, pair) in all.iter().flat_map(|one| &one.pairs) {
            if pair.lengths.is_some() {
                return Err(Error::config(
                    "an adapter with use_dora cannot be put together with others: merge it first",
                ));
            }
            let scaled = pair.b.iter().map(|x| x * pair.scale);
            let Some(own) = sum.pairs.get_mut(name) else {
                sum.pairs.insert(name.clone(), Pair { b: scaled.collect(), scale: 1.0, ..pair.clone() });
                continue;
            };
            if (own.rows, own.columns) != (pair.rows, pair.columns) {
                return Err(Error::config(format!("{name:?} has other sizes in another adapter")));
            }
            own.a.extend(&pair.a);
            let scaled: Vec<f32> = scaled.collect();
            let (before, more) = (own.b.chunks_exact(own.rank.max(1)), scaled.chunks_exact(pair.rank.max(1)));
            own.b = before.zip(more).flat_map(|(before, more)| [before, more].concat()).collect();
            own.rank += pair.rank;
        }
        let rank = sum.pairs.values().map(|pair| pair.rank).max().unwrap_or(1);
        sum.config = LoraConfig { r: rank, lora_alpha: rank as f32, ..LoraConfig::default() };
        sum.config.target_modules = sum.modules().into_iter().map(str::to_owned).collect();
        Ok(sum)
    }

    /// Whether it can stay as it is beneath another one.
    ///
    /// # Errors
    /// It has lengths of rows (DoRA), which packed matrices cannot take.
    pub fn may_lie_beneath(&self) -> Result<()> {
        if !self.config.use_dora {
            return Ok(());
        }
        Err(Error::config(
            "an adapter with use_dora cannot lie beneath another: put it into the model with `rlkd export` first",
        ))
    }

    /// A hash of its numbers.
    pub fn fingerprint(&self) -> String {
        let mut hash = sha2::Sha256::new();
        for (name, pair) in &self.pairs {
            hash.update(name.as_bytes());
            let lengths = pair.lengths.as_deref().unwrap_or_default();
            for number in pair.a.iter().chain(&pair.b).chain(lengths).chain([&pair.scale]) {
                hash.update(number.to_le_bytes());
            }
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The modules that it covers, by `peft`'s names.
    pub fn modules(&self) -> Vec<&'static str> {
        let has = |gguf: &str| {
            self.pairs.keys().any(|name| place_of(name).is_some_and(|(_, module)| module == gguf))
        };
        MODULES.iter().filter(|(_, gguf)| has(gguf)).map(|(name, _)| *name).collect()
    }

    /// The layers that it covers.
    pub fn layers(&self) -> Vec<usize> {
        let mut layers: Vec<usize> =
            self.pairs.keys().filter_map(|name| place_of(name)).map(|(layer, _)| layer).collect();
        layers.sort_unstable();
        layers.dedup();
        layers
    }
}

impl Pair {
    /// The norm of scale · B · A (Frobenius): from products of rank by rank, without the matrix.
    pub fn norm(&self) -> f64 {
        // ‖BA‖² = Σ (BᵀB) ∘ (AAᵀ).
        let mut sum = 0.0;
        for one in 0..self.rank {
            for other in 0..self.rank {
                let a = self.a[one * self.columns..][..self.columns].iter();
                let a: f64 =
                    a.zip(&self.a[other * self.columns..]).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
                let b = self.b.chunks_exact(self.rank).map(|row| f64::from(row[one]) * f64::from(row[other]));
                sum += a * b.sum::<f64>();
            }
        }
        sum.max(0.0).sqrt() * f64::from(self.scale.abs())
    }

    /// Whether its numbers are as many as its sizes say, and are numbers.
    fn check(&self, name: &str) -> Result<()> {
        let Pair { rank, rows, columns, scale, .. } = *self;
        let lengths = self.lengths.as_deref();
        if rank == 0 || rank > rows.min(columns).max(1) * 4 || rows > MOST_SIZE || columns > MOST_SIZE {
            return Err(Error::data(format!(
                "{name:?} has rank {rank} beside a matrix of {rows} by {columns}"
            )));
        }
        let whole = lengths.is_none_or(|lengths| lengths.len() == rows);
        if self.a.len() != rank * columns || self.b.len() != rows * rank || !whole {
            return Err(Error::data(format!("{name:?} has matrices of other sizes than it says")));
        }
        if !scale.is_finite()
            || !self.a.iter().chain(&self.b).chain(lengths.unwrap_or_default()).all(|x| x.is_finite())
        {
            return Err(Error::data(format!("{name:?} holds what is no number (NaN or infinity)")));
        }
        Ok(())
    }
}

/// A matrix of a file: rows by columns.
struct Half {
    numbers: Vec<f32>,
    rows: usize,
    columns: usize,
}

/// Which part of an adapter's matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    A,
    B,
    Lengths,
}

/// What was read of each matrix: A, B, and the lengths of rows.
#[derive(Default)]
struct Halves(BTreeMap<String, [Option<Half>; 3]>);

impl Halves {
    /// Adds what was read.
    fn put(&mut self, name: String, which: Which, half: Half) -> Result<()> {
        let place = &mut self.0.entry(name.clone()).or_default()[which as usize];
        match place.replace(half) {
            None => Ok(()),
            Some(_) => Err(Error::data(format!("{which:?} of {name:?} comes twice"))),
        }
    }

    /// The pairs, with the scale that belongs to a rank.
    fn pairs(self, scale: impl Fn(usize) -> f32) -> Result<BTreeMap<String, Pair>> {
        let pair = |(name, halves): (String, [Option<Half>; 3])| {
            let [Some(a), Some(b), lengths] = halves else {
                return Err(Error::data(format!("{name:?} has one of A and B, and both are needed")));
            };
            if a.rows != b.columns || a.rows == 0 {
                return Err(Error::data(format!("{name:?}: A has rank {} and B has {}", a.rows, b.columns)));
            }
            let (rank, rows, columns) = (a.rows, b.rows, a.columns);
            if lengths.as_ref().is_some_and(|lengths| lengths.numbers.len() != rows) {
                return Err(Error::data(format!("{name:?} has {rows} rows, and lengths of another number")));
            }
            let lengths = lengths.map(|lengths| lengths.numbers);
            Ok((name, Pair { a: a.numbers, b: b.numbers, rank, rows, columns, scale: scale(rank), lengths }))
        };
        self.0.into_iter().map(pair).collect()
    }
}

/// The layer and the module of a matrix's name: of `blk.3.attn_q.weight`, 3 and `attn_q`.
pub(super) fn place_of(name: &str) -> Option<(usize, &'static str)> {
    let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
    let module = rest.strip_suffix(".weight")?;
    // "03" is no layer's number.
    let number: usize = layer.parse().ok().filter(|number: &usize| number.to_string() == layer)?;
    MODULES.iter().find(|(_, gguf)| *gguf == module).map(|(_, gguf)| (number, *gguf))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_matrices_are_read() {
        assert_eq!(place_of("blk.12.ffn_up.weight"), Some((12, "ffn_up")));
        for wrong in [
            "blk.03.attn_q.weight",
            "blk.1.attn_norm.weight",
            "blk.x.attn_q.weight",
            "output.weight",
            "blk.1",
        ] {
            assert_eq!(place_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn formats_go_by_the_ending() {
        assert_eq!(Format::of(Path::new("a/b.gguf")), Format::Gguf);
        assert_eq!(Format::of(Path::new("a/b.GGUF")), Format::Gguf);
        assert_eq!(Format::of(Path::new("a/adapter")), Format::Peft);
    }
}
