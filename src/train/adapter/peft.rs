//! Adapters as `peft` keeps them: a folder with `adapter_config.json` and `adapter_model.safetensors`.
//!
//! Llama's rows of queries and keys stand in model files in llama.cpp's order (numbers that are turned together are
//! neighbours) and in `transformers` in another (half a head apart), so B is put in the other order on the way.

use std::path::Path;

use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

use super::{Adapter, Half, Halves, MOST_SIZE, Which, place_of};
use crate::error::{Error, Place, Result};
use crate::files;
use crate::train::lora::{LoraConfig, MODULES};
use crate::train::model::shape::Shape;

/// The file of the matrices.
pub const MODEL: &str = "adapter_model.safetensors";
/// The file of how it was trained.
pub const CONFIG: &str = "adapter_config.json";
/// The files of an adapter.
pub const FILES: [&str; 2] = [MODEL, CONFIG];
/// Larger configurations are none.
const MOST_CONFIG: u64 = 1 << 20;
/// What `peft` puts in front of a model's own names.
const PREFIX: &str = "base_model.model.";

/// `peft`'s name of a matrix, such as `model.layers.0.self_attn.q_proj`, without its prefix.
fn name_there(layer: usize, gguf: &str) -> String {
    let module = MODULES.iter().find(|(_, own)| *own == gguf).map_or(gguf, |(name, _)| *name);
    let block = if gguf.starts_with("attn") { "self_attn" } else { "mlp" };
    format!("model.layers.{layer}.{block}.{module}")
}

/// Our name of a matrix, from `peft`'s without its prefix, and what of it is meant.
fn name_here(there: &str) -> Option<(String, Which)> {
    let there = there.strip_prefix(PREFIX).unwrap_or(there);
    // That of lengths ends without it.
    let stem = there.strip_suffix(".weight").unwrap_or(there);
    // Files of several adapters have the adapter's name behind it.
    let stem = stem.strip_suffix(".default").unwrap_or(stem);
    let (module, which) = stem.rsplit_once('.')?;
    let which = match which {
        "lora_A" => Which::A,
        "lora_B" => Which::B,
        "lora_magnitude_vector" => Which::Lengths,
        _ => return None,
    };
    let (layer, rest) = module.strip_prefix("model.layers.")?.split_once('.')?;
    let (_, gguf) = MODULES.iter().find(|(name, gguf)| {
        let block = if gguf.starts_with("attn") { "self_attn." } else { "mlp." };
        rest.strip_prefix(block) == Some(name)
    })?;
    let name = format!("blk.{layer}.{gguf}.weight");
    place_of(&name).map(|_| (name, which))
}

/// Puts the rows of B in the other order: of `heads` heads, between halves and pairs.
fn reorder(b: &[f32], rank: usize, heads: usize, to_pairs: bool) -> Vec<f32> {
    let rows = b.len() / rank.max(1);
    let head = rows / heads.max(1);
    let half = head / 2;
    let mut out = vec![0.0; b.len()];
    for row in 0..rows {
        let (first, within) = (row / head * head, row % head);
        // Where this row of halves stands among pairs.
        let paired = first + (within % half) * 2 + within / half;
        let (from, to) = if to_pairs { (row, paired) } else { (paired, row) };
        out[to * rank..(to + 1) * rank].copy_from_slice(&b[from * rank..(from + 1) * rank]);
    }
    out
}

/// Heads whose rows are in another order in this module; none for most.
fn heads_in_other_order(shape: &Shape, gguf: &str) -> Option<usize> {
    match (shape.architecture.as_str(), gguf) {
        ("llama", "attn_q") => Some(shape.heads.queries),
        ("llama", "attn_k") => Some(shape.heads.keys),
        _ => None,
    }
}

/// Reads a folder.
///
/// # Errors
/// A file is missing or damaged, or holds what is not known here; names the file.
pub fn load(folder: &Path, shape: &Shape) -> Result<Adapter> {
    let config_path = folder.join(CONFIG);
    let (config, bytes) =
        read_config(&config_path, shape).map_err(|error| error.at_if_missing(Place::file(&config_path)))?;
    let path = folder.join(MODEL);
    let adapter =
        read_model(&path, config, shape).map_err(|error| error.at_if_missing(Place::file(&path)))?;
    check_ranks(&adapter, &bytes).map_err(|error| error.at_if_missing(Place::file(&config_path)))?;
    Ok(adapter)
}

/// Whether matrices have the ranks that the configuration says: `r`, or what `rank_pattern` has for the end of their names.
fn check_ranks(adapter: &Adapter, config: &[u8]) -> Result<()> {
    let value: Value = serde_json::from_slice(config).unwrap_or_default();
    let none = serde_json::Map::new();
    let mut patterns = Vec::new();
    for (key, rank) in value["rank_pattern"].as_object().unwrap_or(&none) {
        // As `peft` reads them.
        let pattern = regex::Regex::new(&format!(r"^(?:.*\.)?(?:{key})$"))
            .map_err(|error| Error::data(format!("rank_pattern has {key:?}: {error}")))?;
        patterns.push((pattern, rank.as_u64()));
    }
    for (name, pair) in &adapter.pairs {
        let Some((layer, module)) = place_of(name) else { continue };
        let there = name_there(layer, module);
        let own = patterns.iter().find(|(pattern, _)| pattern.is_match(&there)).map(|(_, rank)| *rank);
        let rank = own.unwrap_or(Some(adapter.config.r as u64));
        if rank != Some(pair.rank as u64) {
            let said = rank.map_or("no number".into(), |rank| rank.to_string());
            return Err(Error::data(format!(
                "r or rank_pattern says rank {said} for {there:?}, and its matrices have rank {}",
                pair.rank
            )));
        }
    }
    Ok(())
}

/// The classes by which `peft` may say which model an adapter is for, and their architectures.
const CLASSES: [(&str, &str); 3] =
    [("Qwen2ForCausalLM", "qwen2"), ("Qwen3ForCausalLM", "qwen3"), ("LlamaForCausalLM", "llama")];

/// The architecture that a configuration names, where it names one of ours.
fn architecture_of(bytes: &[u8]) -> Option<&'static str> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    let class = value["auto_mapping"]["base_model_class"].as_str()?;
    CLASSES.iter().find(|(known, _)| *known == class).map(|(_, architecture)| *architecture)
}

/// A configuration, and its bytes.
fn read_config(path: &Path, shape: &Shape) -> Result<(LoraConfig, Vec<u8>)> {
    let failed = |error| Error::io("read the adapter's configuration", path, error);
    if std::fs::metadata(path).map_err(failed)?.len() > MOST_CONFIG {
        return Err(Error::data("an adapter's configuration is a small JSON file, and this one is large"));
    }
    let bytes = std::fs::read(path).map_err(failed)?;
    if let Some(own) = architecture_of(&bytes).filter(|own| *own != shape.architecture) {
        return Err(Error::data(format!(
            "the adapter is for a model of architecture {own:?}, and this one is {:?}",
            shape.architecture
        )));
    }
    Ok((parse_config(&bytes)?, bytes))
}

/// Reads `adapter_config.json`.
///
/// # Errors
/// It is no JSON, or asks for something that is not known here; names the key.
pub fn parse_config(bytes: &[u8]) -> Result<LoraConfig> {
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| Error::data(format!("not the JSON of a configuration: {error}")))?;
    let object = value.as_object().ok_or_else(|| Error::data("not the JSON object of a configuration"))?;
    let kind = object.get("peft_type").and_then(Value::as_str).unwrap_or("LORA");
    if kind != "LORA" {
        return Err(Error::data(format!("peft_type is {kind:?}: only LORA is read")));
    }
    // What changes the numbers and is not done here.
    let on = |key: &str| match object.get(key) {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Object(map)) => !map.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(_) => true,
    };
    for key in [
        "modules_to_save",
        "fan_in_fan_out",
        "lora_bias",
        "alpha_pattern",
        "megatron_config",
        "trainable_token_indices",
        "layer_replication",
        "target_parameters",
        "use_qalora",
        "use_bdlora",
        "arrow_config",
        "monteclora_config",
    ] {
        if on(key) {
            return Err(Error::data(format!("{key} is set, and adapters with it are not read")));
        }
    }
    // These begin by changing the model's own matrices, which the file does not hold.
    let init =
        object.get("init_lora_weights").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    if ["pissa", "olora", "corda", "loftq", "lora_ga"].iter().any(|other| init.starts_with(other)) {
        return Err(Error::data(format!(
            "init_lora_weights is {init:?}, which changes the model too: save it with path_initial_model_for_weight_conversion"
        )));
    }
    if object.get("bias").and_then(Value::as_str).is_some_and(|bias| bias != "none") {
        return Err(Error::data("bias is not \"none\": an adapter with biases is not read"));
    }
    let number = |key: &str| {
        object
            .get(key)
            .and_then(Value::as_f64)
            .ok_or_else(|| Error::data(format!("{key} is missing, or no number")))
    };
    let rank = number("r")?;
    if rank.fract() != 0.0 || !(1.0..=MOST_SIZE as f64).contains(&rank) {
        return Err(Error::data(format!("r is {rank}, and should be a whole number above 0")));
    }
    let alpha = number("lora_alpha")?;
    if !alpha.is_finite() || alpha == 0.0 {
        return Err(Error::data(format!("lora_alpha is {alpha}, and such an adapter does nothing")));
    }
    let target_modules = match object.get("target_modules") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(list)) => list.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    };
    Ok(LoraConfig {
        r: rank as usize,
        lora_alpha: alpha as f32,
        use_rslora: object.get("use_rslora").and_then(Value::as_bool).unwrap_or(false),
        use_dora: object.get("use_dora").and_then(Value::as_bool).unwrap_or(false),
        lora_dropout: object.get("lora_dropout").and_then(Value::as_f64).unwrap_or(0.0) as f32,
        target_modules,
    })
}

fn read_model(path: &Path, config: LoraConfig, shape: &Shape) -> Result<Adapter> {
    let bytes = std::fs::read(path).map_err(|error| Error::io("read the adapter", path, error))?;
    parse(&bytes, config, shape)
}

/// Reads `adapter_model.safetensors`.
///
/// # Errors
/// It is damaged, or holds what is not known here; names the tensor.
pub fn parse(bytes: &[u8], config: LoraConfig, shape: &Shape) -> Result<Adapter> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| Error::data(format!("not a whole file of safetensors: {error}")))?;
    let mut halves = Halves::default();
    for (there, view) in file.iter() {
        let Some((name, which)) = name_here(there) else {
            return Err(Error::data(format!("{there:?} is no matrix of an adapter that is known here")));
        };
        let (rows, columns) = match (view.shape(), which) {
            (&[rows, columns], Which::A | Which::B) => (rows, columns),
            (&[rows], Which::Lengths) if config.use_dora => (rows, 1),
            (_, Which::Lengths) if !config.use_dora => {
                return Err(Error::data(format!("{there:?} is there, and use_dora is not set in {CONFIG}")));
            }
            _ => return Err(Error::data(format!("{there:?} has the shape {:?}", view.shape()))),
        };
        let numbers = numbers(there, &view)?;
        halves.put(name, which, Half { numbers, rows, columns })?;
    }
    let mut pairs = halves.pairs(|rank| LoraConfig { r: rank, ..config.clone() }.scale())?;
    for (name, pair) in &mut pairs {
        let module = place_of(name).map_or("", |(_, module)| module);
        let Some(heads) = heads_in_other_order(shape, module) else { continue };
        let rows = shape.sizes(module).0;
        if pair.rows != rows {
            return Err(Error::data(format!(
                "{name:?} has {} rows, and the model's has {rows}: the adapter is for another model",
                pair.rows
            )));
        }
        pair.b = reorder(&pair.b, pair.rank, heads, true);
        pair.lengths = pair.lengths.take().map(|lengths| reorder(&lengths, 1, heads, true));
    }
    Ok(Adapter { config, architecture: shape.architecture.clone(), pairs })
}

fn numbers(name: &str, view: &TensorView<'_>) -> Result<Vec<f32>> {
    let data = view.data();
    Ok(match view.dtype() {
        Dtype::F32 => data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        Dtype::F16 => data.as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
        Dtype::BF16 => data.as_chunks().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect(),
        other => {
            return Err(Error::data(format!("{name:?} is stored as {other:?}: F32, F16 and BF16 are read")));
        }
    })
}

/// `adapter_config.json` of an adapter.
pub fn config_of(adapter: &Adapter, shape: &Shape, base: &str) -> Value {
    let config = &adapter.config;
    let whole = adapter.modules().len() * shape.layers == adapter.pairs.len();
    // Names that every layer has, or else each matrix by its own, which `peft` takes as the end of a name.
    let targets: Vec<String> = if whole {
        adapter.modules().into_iter().map(str::to_owned).collect()
    } else {
        let own = |name: &String| {
            place_of(name).map(|(layer, module)| name_there(layer, module).replacen("model.", "", 1))
        };
        adapter.pairs.keys().filter_map(own).collect()
    };
    let ranks: serde_json::Map<String, Value> = adapter
        .pairs
        .iter()
        .filter(|(_, pair)| pair.rank != config.r)
        .filter_map(|(name, pair)| {
            let (layer, module) = place_of(name)?;
            Some((name_there(layer, module).replacen("model.", "", 1), pair.rank.into()))
        })
        .collect();
    // peft writes the model's class where it is not told a task, and looks it up by these.
    let own = CLASSES.iter().find(|(_, architecture)| *architecture == adapter.architecture);
    let class = own.map(|(class, _)| *class);
    let library = format!("transformers.models.{0}.modeling_{0}", adapter.architecture);
    json!({
        "auto_mapping": {"base_model_class": class, "parent_library": library},
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": config.r,
        "lora_alpha": config.lora_alpha,
        "lora_dropout": config.lora_dropout,
        "use_rslora": config.use_rslora,
        "use_dora": config.use_dora,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "modules_to_save": null,
        "rank_pattern": ranks,
        "alpha_pattern": {},
        "target_modules": targets,
    })
}

/// The bytes of `adapter_model.safetensors`.
///
/// # Errors
/// Sizes that do not go together.
pub fn bytes_of(adapter: &Adapter, shape: &Shape) -> Result<Vec<u8>> {
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, pair) in &adapter.pairs {
        let Some((layer, module)) = place_of(name) else { continue };
        let theirs = |rows: &[f32], rank: usize| match heads_in_other_order(shape, module) {
            Some(heads) => reorder(rows, rank, heads, false),
            None => rows.to_vec(),
        };
        let mut b = theirs(&pair.b, pair.rank);
        let lengths = pair.lengths.as_ref().map(|lengths| theirs(lengths, 1));
        // peft multiplies by what alpha and the rank make; B takes the difference, if there is one.
        let theirs = LoraConfig { r: pair.rank, ..adapter.config.clone() }.scale();
        if (pair.scale / theirs - 1.0).abs() > 1e-6 {
            b.iter_mut().for_each(|x| *x *= pair.scale / theirs);
        }
        let there = format!("{PREFIX}{}", name_there(layer, module));
        let bytes = |numbers: &[f32]| numbers.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        tensors.push((format!("{there}.lora_A.weight"), vec![pair.rank, pair.columns], bytes(&pair.a)));
        tensors.push((format!("{there}.lora_B.weight"), vec![pair.rows, pair.rank], bytes(&b)));
        if let Some(lengths) = lengths {
            tensors.push((format!("{there}.lora_magnitude_vector"), vec![pair.rows], bytes(&lengths)));
        }
    }
    let failed = |error| Error::data(format!("the adapter cannot be written as safetensors: {error}"));
    let views: Vec<(&str, TensorView<'_>)> = tensors
        .iter()
        .map(|(name, shape, bytes)| {
            Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(failed)?))
        })
        .collect::<Result<_>>()?;
    let about = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize(views, Some(about)).map_err(failed)
}

/// Writes a folder, whole or not at all; one that is there is replaced only if it holds an adapter and nothing else.
///
/// # Errors
/// The folder holds other things, the disk is full, or the like.
pub fn save(adapter: &Adapter, folder: &Path, shape: &Shape, base: &str) -> Result<()> {
    files::write_folder(folder, &FILES, |folder| write_into(adapter, folder, shape, base))
}

/// Writes the two files into a folder that is there.
///
/// # Errors
/// As [`save`].
pub fn write_into(adapter: &Adapter, folder: &Path, shape: &Shape, base: &str) -> Result<()> {
    files::write(&folder.join(MODEL), &bytes_of(adapter, shape)?)?;
    let config = format!("{:#}\n", config_of(adapter, shape, base));
    files::write(&folder.join(CONFIG), config.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        for (_, gguf) in MODULES {
            let there = format!("{PREFIX}{}.lora_B.weight", name_there(7, gguf));
            assert_eq!(name_here(&there), Some((format!("blk.7.{gguf}.weight"), Which::B)), "{there}");
        }
        assert_eq!(
            name_here("base_model.model.model.layers.0.mlp.up_proj.lora_A.default.weight"),
            Some(("blk.0.ffn_up.weight".into(), Which::A))
        );
        assert_eq!(
            name_here("base_model.model.model.layers.0.mlp.up_proj.lora_magnitude_vector"),
            Some(("blk.0.ffn_up.weight".into(), Which::Lengths))
        );
        for wrong in [
            "base_model.model.model.layers.0.self_attn.up_proj.lora_A.weight",
            "base_model.model.lm_head.lora_A.weight",
            "base_model.model.model.layers.0.mlp.up_proj.lora_embedding_A",
            "base_model.model.model.layers.01.mlp.up_proj.lora_A.weight",
            "",
        ] {
            assert_eq!(name_here(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn rows_come_back_from_the_other_order() {
        // Two heads of four rows, rank 1: halves 0 1 | 2 3 become pairs 0 2 1 3.
        let halves = [0.0, 1.0, 2.0, 3.0, 10.0, 11.0, 12.0, 13.0];
        let pairs = reorder(&halves, 1, 2, true);
        assert_eq!(pairs, [0.0, 2.0, 1.0, 3.0, 10.0, 12.0, 11.0, 13.0]);
        assert_eq!(reorder(&pairs, 1, 2, false), halves);
    }

    #[test]
    fn configurations_that_mean_something_else_are_refused() {
        let base = json!({"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj"]});
        let parse = |change: Value| {
            let mut value = base.clone();
            for (key, change) in change.as_object().expect("an object") {
                value[key] = change.clone();
            }
            parse_config(value.to_string().as_bytes())
        };
        let config =
            parse(json!({"use_rslora": true, "rank_pattern": {}, "modules_to_save": null})).expect("read");
        assert_eq!((config.r, config.lora_alpha, config.use_rslora), (8, 16.0, true));
        for (change, expected) in [
            (json!({"peft_type": "IA3"}), "IA3"),
            (json!({"modules_to_save": ["lm_head"]}), "modules_to_save"),
            (json!({"bias": "all"}), "bias"),
            (json!({"alpha_pattern": {"q_proj": 3}}), "alpha_pattern"),
            (json!({"r": 0}), "r is 0"),
            (json!({"r": 1.5}), "r is 1.5"),
            (json!({"r": "8"}), "r is missing"),
            (json!({"lora_alpha": null}), "lora_alpha"),
            (json!({"lora_alpha": 0}), "lora_alpha is 0"),
        ] {
            let error = parse(change).expect_err("refused").to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(parse_config(b"[1]").expect_err("refused").to_string().contains("object"));
        assert!(parse_config(b"{").expect_err("refused").to_string().contains("JSON"));
    }
}
