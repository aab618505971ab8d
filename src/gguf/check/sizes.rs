//! The sizes that all architectures share: what `llama_model_base::load_hparams` reads and asserts.

use super::keys::{Keys, wrong};
use crate::error::Result;

/// `LLAMA_MAX_LAYERS`.
const MOST_LAYERS: u32 = 512;
/// `LLAMA_MAX_EXPERTS`.
const MOST_EXPERTS: u32 = 1024;
/// Far above any model's; below this, products of two sizes fit 64 bits with room to spare.
const MOST: u32 = 1 << 28;

/// Sizes of a model.
pub(super) struct Sizes {
    pub(super) context: u64,
    pub(super) embedding: u64,
    pub(super) layers: u32,
    pub(super) heads: u32,
    pub(super) kv_heads: u32,
    pub(super) key: u32,
    pub(super) value: u32,
    pub(super) feed_forward: u64,
}

/// Reads the sizes, and checks what is asserted of any architecture's.
pub(super) fn check(keys: &Keys<'_>, architecture: &str) -> Result<Sizes> {
    let own = |key: &str| format!("{architecture}.{key}");
    let context = keys.number_within(&own("context_length"), 1, i32::MAX as u32)?;
    let embedding = keys.number_within(&own("embedding_length"), 1, MOST)?;
    let layers = keys.number_within(&own("block_count"), 1, MOST_LAYERS)?;
    let next = own("nextn_predict_layers");
    if keys.number(&next)?.is_some_and(|more| more >= layers) {
        return Err(wrong(&next, "leaves no layer to run"));
    }
    experts(keys, architecture, layers)?;

    let most = |list: Option<Vec<u32>>| list.and_then(|list| list.into_iter().max());
    let (heads_key, kv_key) = (own("attention.head_count"), own("attention.head_count_kv"));
    let heads = most(keys.per_layer(&heads_key, layers)?).unwrap_or(0);
    let kv_heads = most(keys.per_layer(&kv_key, layers)?).unwrap_or(heads);
    for (key, count) in [(&heads_key, heads), (&kv_key, kv_heads)] {
        if count > MOST {
            return Err(wrong(key, format_args!("is {count}")));
        }
    }
    // A model without attention has no heads.
    let width = embedding.checked_div(heads).unwrap_or(0);
    let size = |key: &str| keys.number(&own(key)).map(|number| number.unwrap_or(width));
    let (key, value) = (size("attention.key_length")?, size("attention.value_length")?);
    let feed_forward = most(keys.per_layer(&own("feed_forward_length"), layers)?).unwrap_or(0);
    rotation(keys, architecture)?;
    Ok(Sizes {
        context: context.into(),
        embedding: embedding.into(),
        layers,
        heads,
        kv_heads,
        key,
        value,
        feed_forward: feed_forward.into(),
    })
}

fn experts(keys: &Keys<'_>, architecture: &str, layers: u32) -> Result<()> {
    let own = |key: &str| format!("{architecture}.{key}");
    let (count_key, used_key) = (own("expert_count"), own("expert_used_count"));
    let count = keys.number(&count_key)?.unwrap_or(0);
    let used = keys.per_layer(&used_key, layers)?.and_then(|list| list.into_iter().max()).unwrap_or(0);
    let (groups_key, chosen_key) = (own("expert_group_count"), own("expert_group_used_count"));
    let groups = keys.number(&groups_key)?.unwrap_or(0);
    let chosen = keys.number(&chosen_key)?.unwrap_or(0);
    if count > MOST_EXPERTS {
        return Err(wrong(&count_key, format_args!("is {count}; {MOST_EXPERTS} are possible")));
    }
    if used > count || (count > 0 && used == 0) {
        return Err(wrong(&used_key, format_args!("is {used} with {count} experts")));
    }
    let are_even = groups <= 1 || (count.is_multiple_of(groups) && chosen > 0 && chosen < groups);
    if (groups > 0 && groups >= count) || !are_even {
        return Err(wrong(
            &groups_key,
            format_args!("is {groups} with {count} experts, of which {chosen} are used"),
        ));
    }
    Ok(())
}

/// The way in which positions are turned into angles.
fn rotation(keys: &Keys<'_>, architecture: &str) -> Result<()> {
    let own = |key: &str| format!("{architecture}.{key}");
    let key = own("rope.scaling.type");
    let known = ["none", "linear", "yarn", "longrope"];
    if let Some(name) = keys.text(&key)?.filter(|name| !known.contains(name)) {
        return Err(wrong(&key, format_args!("is {name:?}; llama.cpp knows {}", known.join(", "))));
    }
    let key = own("rope.freq_base");
    if keys.float(&key)?.is_some_and(|base| base <= 0.0) {
        return Err(wrong(&key, "is not above 0"));
    }
    for key in [own("rope.scaling.factor"), own("rope.scale_linear")] {
        if keys.float(&key)?.is_some_and(|factor| factor < 0.0) {
            return Err(wrong(&key, "is below 0"));
        }
    }
    for key in [own("attention.layer_norm_rms_epsilon"), own("attention.layer_norm_epsilon")] {
        if keys.float(&key)?.is_some_and(|epsilon| epsilon <= 0.0) {
            return Err(wrong(&key, "is not above 0"));
        }
    }
    Ok(())
}
