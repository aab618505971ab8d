//! What a file says of the sizes of its model and of how positions are turned.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::gguf::{Facts, Gguf};
use crate::train::cpu::attention::Heads;
use crate::train::cpu::rope::{Angles, Layout};

/// The sizes of a model.
#[derive(Clone, Debug)]
pub struct Shape {
    /// `general.architecture`: qwen2, qwen3 or llama.
    pub architecture: String,
    /// Layers.
    pub layers: usize,
    /// Numbers of a hidden state.
    pub width: usize,
    /// Heads of attention.
    pub heads: Heads,
    /// Numbers inside a feed-forward block.
    pub feed_forward: usize,
    /// Tokens.
    pub vocabulary: usize,
    /// Positions that it was trained for.
    pub context: usize,
    /// Added to mean squares.
    pub epsilon: f32,
    /// How positions are turned.
    pub rope: Rotation,
}

/// How positions are turned.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// Which two numbers of a head belong together.
    pub layout: Layout,
    /// Angle a position, by pair.
    pub frequencies: Vec<f64>,
    /// What cosines and sines are multiplied by.
    pub magnitude: f64,
}

impl Rotation {
    /// The angles of `positions` positions.
    pub fn angles(&self, positions: usize) -> Arc<Angles> {
        Arc::new(Angles::new(&self.frequencies, self.magnitude, positions))
    }
}

impl Shape {
    /// Rows and columns of a layer's matrix, by its name in the file, such as `attn_q`.
    pub fn sizes(&self, module: &str) -> (usize, usize) {
        let Heads { queries, keys, size } = self.heads;
        sizes(module, self.width, queries * size, keys * size, self.feed_forward)
    }

    /// The sizes of a model that passed the check. `factors` are the numbers of `rope_freqs.weight`, if there are any.
    ///
    /// # Errors
    /// An architecture or a way to scale positions that is not trained here, or experts.
    pub fn of(file: &Gguf, facts: &Facts, factors: Option<&[f32]>) -> Result<Self> {
        let name = facts.architecture.as_str();
        if !["qwen2", "qwen3", "llama"].contains(&name) || !facts.checked_in_full {
            return Err(Error::config(format!(
                "a model of architecture {name:?}, or one with experts, cannot be trained: qwen2, qwen3 and llama can"
            )));
        }
        if facts.key_length != facts.value_length {
            return Err(Error::config("keys and values of different lengths cannot be trained"));
        }
        let own = |key: &str| format!("{name}.{key}");
        let size = facts.key_length as usize;
        let layout = if name == "llama" { Layout::Pairs } else { Layout::Halves };
        let epsilon = file.float(&own("attention.layer_norm_rms_epsilon")).unwrap_or(1e-5);
        Ok(Shape {
            layers: facts.block_count as usize,
            width: facts.embedding_length as usize,
            heads: Heads { queries: facts.head_count as usize, keys: facts.head_count_kv as usize, size },
            feed_forward: facts.feed_forward_length as usize,
            vocabulary: facts.vocabulary as usize,
            context: facts.context_length as usize,
            epsilon: epsilon as f32,
            rope: rotation(file, name, layout, size, facts.context_length as f64, factors)?,
            architecture: name.into(),
        })
    }
}

/// Rows and columns of a layer's matrix, from the numbers of a hidden state, of all heads of queries and of keys, and
/// inside of a feed-forward block.
pub(in crate::train) fn sizes<T: Copy>(
    module: &str,
    width: T,
    queries: T,
    keys: T,
    feed_forward: T,
) -> (T, T) {
    match module {
        "attn_q" => (queries, width),
        "attn_k" | "attn_v" => (keys, width),
        "attn_output" => (width, queries),
        "ffn_gate" | "ffn_up" => (feed_forward, width),
        _ => (width, feed_forward),
    }
}

fn rotation(
    file: &Gguf,
    name: &str,
    layout: Layout,
    head: usize,
    context: f64,
    factors: Option<&[f32]>,
) -> Result<Rotation> {
    let number = |key: &str| file.float(&format!("{name}.{key}"));
    let turned = file.uint(&format!("{name}.rope.dimension_count")).unwrap_or(head as u64) as usize;
    let base = number("rope.freq_base").unwrap_or(10_000.0);
    if turned > head || !turned.is_multiple_of(2) || turned == 0 {
        return Err(Error::data(format!("rope.dimension_count is {turned}, and a head has {head} numbers")));
    }
    let pairs = turned / 2;
    let plain = |pair: usize| base.powf(-2.0 * pair as f64 / turned as f64);
    let kind = file.str(&format!("{name}.rope.scaling.type"));
    // llama.cpp scales by these where the type is missing or another one.
    let scaled = |key: &str, most: &str| number(key).is_some_and(|value| value != 1.0) && kind != Some(most);
    if number("rope.scale_linear").is_some_and(|value| value != 1.0)
        || kind.is_none() && number("rope.scaling.factor").is_some_and(|value| value != 1.0)
        || scaled("rope.scaling.attn_factor", "yarn")
    {
        return Err(Error::config("positions are scaled without saying how: such a model cannot be trained"));
    }
    let kind = kind.unwrap_or("none");
    let factor = number("rope.scaling.factor").filter(|factor| *factor > 0.0).unwrap_or(1.0);
    let mut magnitude = 1.0;
    let mut frequencies: Vec<f64> = match kind {
        "none" => (0..pairs).map(plain).collect(),
        "linear" => (0..pairs).map(|pair| plain(pair) / factor).collect(),
        "yarn" => {
            let trained = file.uint(&format!("{name}.rope.scaling.original_context_length"));
            let trained = trained.filter(|&trained| trained > 0).map_or(context, |trained| trained as f64);
            magnitude =
                number("rope.scaling.attn_factor").unwrap_or(1.0) * (1.0 + 0.1 * factor.ln().max(0.0));
            yarn(turned, base, factor, trained)
        }
        other => return Err(Error::config(format!("positions scaled by {other:?} cannot be trained"))),
    };
    if let Some(factors) = factors {
        if factors.iter().any(|factor| !factor.is_finite() || *factor <= 0.0) {
            return Err(Error::data("rope_freqs.weight has a number that is not above 0"));
        }
        if factors.len() != pairs {
            return Err(Error::data(format!("rope_freqs.weight has {} numbers, not {pairs}", factors.len())));
        }
        frequencies.iter_mut().zip(factors).for_each(|(own, factor)| *own /= f64::from(*factor));
    }
    Ok(Rotation { layout, frequencies, magnitude })
}

/// Frequencies of YaRN (Peng et al., 2023): high ones stay, low ones are divided by the factor.
fn yarn(turned: usize, base: f64, factor: f64, trained: f64) -> Vec<f64> {
    const FAST: f64 = 32.0;
    const SLOW: f64 = 1.0;
    let pair_of =
        |turns: f64| turned as f64 * (trained / (turns * std::f64::consts::TAU)).ln() / (2.0 * base.ln());
    let low = pair_of(FAST).floor().max(0.0);
    let high = pair_of(SLOW).ceil().min(turned as f64 - 1.0);
    (0..turned / 2)
        .map(|pair| {
            let plain = base.powf(-2.0 * pair as f64 / turned as f64);
            let stays = 1.0 - ((pair as f64 - low) / (high - low).max(0.001)).clamp(0.0, 1.0);
            plain / factor * (1.0 - stays) + plain * stays
        })
        .collect()
}
