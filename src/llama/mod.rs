//! Language models in the process, through llama.cpp. The only place that knows llama.cpp.
//!
//! - [`model`]: a GGUF file that was checked, with its tokenizer and chat template;
//! - [`engine`]: many sequences decoded at once on a thread of their own, under grammars, sampled in Rust;
//! - [`gsrm`]: the decomposer; [`judge`]: the judges `llm` and `embedding`.

pub mod chat;
pub mod constraint;
pub mod embed;
pub mod engine;
pub mod gsrm;
pub mod judge;
pub mod logging;
pub mod model;
pub mod sample;
pub mod settings;
pub mod shared;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::decompose::Decomposer;
use crate::error::{Error, Result};
use crate::judge::Judge;
use crate::models::fetch::{Hub, fetch};
use crate::models::source::Shelf;

/// The model that writes steps unless another is named: a small one, in the program itself.
pub const OWN_GSRM: &str = "gsrm-tiny";

/// Which models are run, and how: the table `[llama]` of a run file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The model of the decomposer, and of the judge if that has none: a file, the name of a manifest, or
    /// `hf:owner/repository/file.gguf`. The decomposer's is [`OWN_GSRM`] unless one is named.
    pub model: Option<String>,
    /// The model of the judge, if it is another one.
    pub judge: Option<String>,
    /// Whether a model that is not here yet may be fetched.
    pub fetch: bool,
    /// How the models are run.
    pub engine: settings::Settings,
    /// How traces are decomposed.
    pub gsrm: gsrm::Options,
}

impl Config {
    /// The file of the decomposer's model.
    ///
    /// # Errors
    /// It is not here.
    pub fn model_file(&self) -> Result<PathBuf> {
        self.locate(self.model.as_deref().unwrap_or(OWN_GSRM))
    }

    /// The file of the judge's model.
    ///
    /// # Errors
    /// None was named, or it is not here.
    pub fn judge_file(&self) -> Result<PathBuf> {
        let name = self.judge.as_deref().or(self.model.as_deref()).ok_or_else(|| {
            let message =
                "this judge needs a model: --model FILE.gguf; `rlkd models list` says which are known";
            Error::config(message)
        })?;
        self.locate(name)
    }

    fn locate(&self, name: &str) -> Result<PathBuf> {
        let (shelf, source) = (Shelf::from_env()?, name.parse()?);
        if self.fetch {
            fetch(&shelf, &Hub::from_env(&shelf), &source, &mut |_| ())
        } else {
            shelf.locate(&source)
        }
    }
}

/// A decomposer that runs a model, by name.
pub struct DecomposerEntry {
    /// The name on the command line and in run files.
    pub name: &'static str,
    /// One line of help.
    pub summary: &'static str,
    /// Makes one for one thread; all of them share the running model.
    pub build: fn(&Config) -> Result<Box<dyn Decomposer>>,
}

/// Every decomposer that runs a model.
pub const DECOMPOSERS: &[DecomposerEntry] = &[DecomposerEntry {
    name: "gsrm",
    summary: "a language model under a grammar (--model; gsrm-tiny unless named)",
    build: |config| {
        let engine = shared::engine(&config.model_file()?, &config.engine)?;
        Ok(Box::new(gsrm::Gsrm::new(engine, &config.gsrm)?))
    },
}];

/// Makes a judge for one thread; the text is that of a scale file, if one was given.
pub type BuildJudge = fn(&Config, Option<&str>) -> Result<Box<dyn Judge>>;

/// A judge that runs a model, by name.
pub struct JudgeEntry {
    /// The name on the command line and in run files.
    pub name: &'static str,
    /// One line of help.
    pub summary: &'static str,
    /// Makes one; all of them share the running model.
    pub build: BuildJudge,
}

/// Every judge that runs a model.
pub const JUDGES: &[JudgeEntry] = &[
    JudgeEntry {
        name: "llm",
        summary: "a language model that is asked for yes or no (--model)",
        build: |config, scale| {
            let engine = shared::engine(&config.judge_file()?, &config.engine)?;
            Ok(Box::new(judge::Llm::new(engine, scale)?))
        },
    },
    JudgeEntry {
        name: "embedding",
        summary: "the angle between a language model's vectors of both texts (--model)",
        build: |config, scale| {
            let (model, embedder) = shared::embedder(&config.judge_file()?, &config.engine)?;
            Ok(Box::new(judge::Embedding::new(model, embedder, scale)?))
        },
    },
];
