//! A new model: random weights, and a tokenizer that is trained on the data.

use std::path::PathBuf;

use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::{SplitDelimiterBehavior, Trainer};
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, PreTokenizerWrapper};

use super::config::SftConfig;
use super::data;
use crate::error::{Error, Place, Result};
use crate::gguf::random::{Architecture, Spec, Words, write_fresh};

/// The file of the new model in a run's folder.
const FILE: &str = "base.gguf";
/// What it was made of, beside it.
const MADE_OF: &str = "base.txt";
/// Texts that the tokenizer is trained on; more teach it nothing new.
const MOST_BYTES: usize = 64 << 20;

/// The sizes of the new model.
pub(super) fn spec(config: &SftConfig) -> Result<Spec> {
    let own = &config.random;
    let architecture =
        Architecture::ALL.into_iter().find(|one| one.name() == own.architecture).ok_or_else(|| {
            Error::config(format!("random.architecture = {:?}: qwen2, qwen3 or llama", own.architecture))
        })?;
    Ok(Spec {
        architecture,
        vocabulary: own.vocabulary,
        embedding: own.embedding,
        layers: own.layers,
        heads: own.heads,
        kv_heads: own.kv_heads,
        head_size: own.head_size,
        feed_forward: own.feed_forward,
        context: own.context,
        tied: own.tied,
        seed: config.seed,
        ..Spec::default()
    })
}

/// The new model of a run, made unless it is there.
///
/// # Errors
/// Sizes that do not go together, data that cannot be read, a full disk.
pub fn model(config: &SftConfig) -> Result<PathBuf> {
    let path = config.output_dir.join(FILE);
    std::fs::create_dir_all(&config.output_dir)
        .map_err(|error| Error::io("create the folder", &config.output_dir, error))?;
    let _lock = crate::train::setup::lock(&config.output_dir)?;
    // What it is made of stands beside it.
    let made_of = config.output_dir.join(MADE_OF);
    let mut hash = xxhash_rust::xxh3::Xxh3::new();
    data::texts(config, |text| {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    })?;
    let sizes = serde_json::to_string(&config.random).unwrap_or_default();
    let wanted = format!("{sizes} seed {} texts {:032x}\n", config.seed, hash.digest128());
    if path.exists() {
        if std::fs::read_to_string(&made_of).is_ok_and(|found| found == wanted) {
            return Ok(path);
        }
        if !crate::train::checkpoint::all(&config.output_dir)?.is_empty() {
            return Err(Error::config(
                "the model in this folder was made with other sizes, another seed or other data: take another output_dir, \
                 or remove this one to begin again",
            )
            .at(Place::file(&path)));
        }
    }
    let spec = spec(config)?;
    let words = learn(config, spec.architecture)?;
    write_fresh(&path, &spec, &words)?;
    crate::files::write(&made_of, wanted.as_bytes())?;
    Ok(path)
}

/// The expression by which llama.cpp cuts texts for the tokenizers of these families before it merges bytes.
fn pattern(architecture: Architecture) -> String {
    let digits = if architecture == Architecture::Llama { r"\p{N}{1,3}" } else { r"\p{N}" };
    format!(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
}

/// Trains the tokenizer.
fn learn(config: &SftConfig, architecture: Architecture) -> Result<Words> {
    let failed =
        |error: tokenizers::Error| Error::engine(format!("the tokenizer cannot be trained: {error}"));
    let split =
        Split::new(SplitPattern::Regex(pattern(architecture)), SplitDelimiterBehavior::Isolated, false);
    let cut = Sequence::new(vec![
        PreTokenizerWrapper::Split(split.map_err(failed)?),
        PreTokenizerWrapper::ByteLevel(ByteLevel::new(false, false, false)),
    ]);
    let mut texts = Vec::new();
    let mut bytes = 0;
    data::texts(config, |text| {
        if bytes < MOST_BYTES {
            bytes += text.len();
            texts.push(text.to_owned());
        }
    })?;
    let size = config.random.vocabulary.saturating_sub(8).max(256);
    let mut trainer = BpeTrainer::builder()
        .show_progress(false)
        .vocab_size(size)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    let pieces = |text: &str| {
        let mut whole = PreTokenizedString::from(text);
        cut.pre_tokenize(&mut whole)?;
        let splits = whole.get_splits(OffsetReferential::Original, OffsetType::Byte);
        Ok(splits.into_iter().map(|(piece, _, _)| piece.to_owned()).collect())
    };
    trainer.feed(texts.iter(), pieces).map_err(failed)?;
    let mut model = BPE::default();
    trainer.train(&mut model).map_err(failed)?;
    words(&model)
}

/// Tokens by number, and merges, of what was learnt.
fn words(model: &BPE) -> Result<Words> {
    let odd = || Error::engine("the tokenizer was written in a form that is not known");
    let value = serde_json::to_value(model).map_err(|error| Error::engine(error.to_string()))?;
    let vocabulary = value["vocab"].as_object().ok_or_else(odd)?;
    let mut tokens = vec![String::new(); vocabulary.len()];
    for (token, number) in vocabulary {
        let place = number.as_u64().and_then(|number| tokens.get_mut(number as usize)).ok_or_else(odd)?;
        place.clone_from(token);
    }
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned).ok_or_else(odd);
    let merges = value["merges"].as_array().ok_or_else(odd)?;
    let merges = merges.iter().map(|pair| Ok((text(&pair[0])?, text(&pair[1])?))).collect::<Result<_>>()?;
    Ok(Words { tokens, merges })
}
