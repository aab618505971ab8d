//! Adapters as llama.cpp loads them: GGUF files with `general.type` = `adapter`.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::{Adapter, Half, Halves, MOST_SIZE, Which};
use crate::error::{Error, Result};
use crate::gguf::dequantise::{dequantise, knows};
use crate::gguf::{Gguf, Tensor, TensorType, Value, Writer};
use crate::train::lora::LoraConfig;

/// Reads a file.
///
/// # Errors
/// It is damaged, or no adapter; names the key or the tensor.
pub fn load(path: &Path) -> Result<Adapter> {
    let file = File::open(path).map_err(|error| Error::io("open the adapter", path, error))?;
    read(file)
}

/// Reads from anything that can be read; bytes go into a [`std::io::Cursor`].
///
/// # Errors
/// As [`load`].
pub fn read(mut source: impl Read + Seek) -> Result<Adapter> {
    let head = Gguf::read(&mut source)?;
    let text = |key: &str| head.str(key).unwrap_or_default();
    if text("general.type") != "adapter" || text("adapter.type") != "lora" {
        return Err(Error::data(format!(
            "not an adapter: general.type is {:?} and adapter.type {:?}, and should be \"adapter\" and \"lora\"",
            text("general.type"),
            text("adapter.type")
        )));
    }
    let alpha = head
        .float("adapter.lora.alpha")
        .filter(|alpha| alpha.is_finite())
        .ok_or_else(|| Error::data("adapter.lora.alpha is missing, or no number"))?;
    let mut halves = Halves::default();
    for tensor in &head.tensors {
        let (name, which) = match (tensor.name.strip_suffix(".lora_a"), tensor.name.strip_suffix(".lora_b")) {
            (Some(name), _) => (name, Which::A),
            (_, Some(name)) => (name, Which::B),
            _ => return Err(Error::data(format!("tensor {:?} is neither .lora_a nor .lora_b", tensor.name))),
        };
        let [columns, rows] = *tensor.shape else {
            return Err(Error::data(format!("tensor {:?} is no matrix", tensor.name)));
        };
        let size = |size: u64| usize::try_from(size).ok().filter(|size| *size <= MOST_SIZE);
        let (Some(rows), Some(columns)) = (size(rows), size(columns)) else {
            return Err(Error::data(format!("tensor {:?} is larger than any model's", tensor.name)));
        };
        let numbers = numbers(&mut source, &head, tensor)?;
        halves.put(name.into(), which, Half { numbers, rows, columns })?;
    }
    // As llama.cpp: without an alpha, B · A as it is.
    let pairs = halves.pairs(|rank| if alpha == 0.0 { 1.0 } else { (alpha / rank as f64) as f32 })?;
    let rank = pairs.values().map(|pair| pair.rank).max().unwrap_or(1);
    let lora_alpha = if alpha == 0.0 { rank as f32 } else { alpha as f32 };
    let mut adapter = Adapter {
        config: LoraConfig { r: rank, lora_alpha, ..LoraConfig::default() },
        architecture: text("general.architecture").into(),
        pairs,
    };
    adapter.config.target_modules = adapter.modules().into_iter().map(str::to_owned).collect();
    Ok(adapter)
}

fn numbers(source: &mut (impl Read + Seek), head: &Gguf, tensor: &Tensor) -> Result<Vec<f32>> {
    let wrong = |what: &str| Error::data(format!("tensor {:?} {what}", tensor.name));
    if !knows(tensor.kind) {
        return Err(wrong(&format!("is stored as {}, which is not read", tensor.kind.name())));
    }
    let bytes = tensor.bytes().ok_or_else(|| wrong("has rows that are no whole blocks"))?;
    let from =
        head.data_offset.checked_add(tensor.offset).ok_or_else(|| wrong("lies outside of the file"))?;
    if from.checked_add(bytes).is_none_or(|end| end > head.file_length) {
        return Err(wrong("goes on behind the end of the file: it is cut"));
    }
    let failed = |error: std::io::Error| wrong(&format!("cannot be read: {error}"));
    source.seek(SeekFrom::Start(from)).map_err(failed)?;
    let mut raw = vec![0; bytes as usize];
    source.read_exact(&mut raw).map_err(failed)?;
    let mut numbers = vec![0.0; tensor.numbers().unwrap_or(0) as usize];
    dequantise(tensor.kind, &raw, &mut numbers);
    Ok(numbers)
}

/// Writes a file, whole or not at all. llama.cpp multiplies by alpha / rank with one alpha, so of matrices with other
/// scales B takes the difference.
///
/// # Errors
/// It has lengths of rows (DoRA), the disk is full, or the like.
pub fn save(adapter: &Adapter, path: &Path, base: &str) -> Result<()> {
    if adapter.config.use_dora {
        return Err(Error::config(
            "the adapter was trained with use_dora, and llama.cpp loads no such adapters: put it into the model with \
             `rlkd export --model MODEL --adapter ADAPTER -o MERGED.gguf`",
        ));
    }
    let first = adapter.pairs.values().next();
    // To llama.cpp an alpha of 0 is none at all.
    let alpha = first.map(|pair| pair.scale * pair.rank as f32).filter(|alpha| *alpha != 0.0).unwrap_or(1.0);
    let metadata: Vec<(String, Value)> = vec![
        ("general.type".into(), "adapter".into()),
        ("general.architecture".into(), adapter.architecture.as_str().into()),
        ("general.name".into(), format!("adapter of {base}").as_str().into()),
        ("adapter.type".into(), "lora".into()),
        ("adapter.lora.alpha".into(), Value::F32(alpha)),
    ];
    let mut plan = Vec::new();
    for (name, pair) in &adapter.pairs {
        let (rank, rows, columns) = (pair.rank as u64, pair.rows as u64, pair.columns as u64);
        plan.push((format!("{name}.lora_a"), vec![columns, rank], TensorType::F32));
        plan.push((format!("{name}.lora_b"), vec![rank, rows], TensorType::F32));
    }
    let mut writer = Writer::create(path, &metadata, &plan)?;
    let bytes = |numbers: &[f32], factor: f32| -> Vec<u8> {
        numbers.iter().flat_map(|x| (x * factor).to_le_bytes()).collect()
    };
    for pair in adapter.pairs.values() {
        let own = alpha / pair.rank as f32;
        let factor = if own == pair.scale { 1.0 } else { pair.scale / own };
        writer.write(&bytes(&pair.a, 1.0))?;
        writer.write(&bytes(&pair.b, factor))?;
    }
    writer.finish()
}
