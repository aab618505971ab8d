//! Low-rank adapters: what is trained beside which matrices, and how it begins.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::seed::Seed;

/// The matrices of a layer that adapters can stand beside: their names in `transformers` and `peft`, and in GGUF.
pub const MODULES: [(&str, &str); 7] = [
    ("q_proj", "attn_q"),
    ("k_proj", "attn_k"),
    ("v_proj", "attn_v"),
    ("o_proj", "attn_output"),
    ("gate_proj", "ffn_gate"),
    ("up_proj", "ffn_up"),
    ("down_proj", "ffn_down"),
];

/// An adapter. Names as in `peft`'s `LoraConfig`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoraConfig {
    /// Rank of each low-rank matrix.
    pub r: usize,
    /// What it is multiplied by, after division by `r` (or its root, with `use_rslora`).
    pub lora_alpha: f32,
    /// Multiply by alpha / √r and not by alpha / r (Kalajdzievski, 2023).
    pub use_rslora: bool,
    /// Give each row of the sum of matrix and adapter a length of its own, which is trained too (DoRA, Liu et al., 2024).
    /// Not with `lora_dropout`. llama.cpp loads no such adapters: `rlkd export` puts them into the model.
    pub use_dora: bool,
    /// Share of the inputs that it does not see in training.
    pub lora_dropout: f32,
    /// The matrices: names such as `q_proj`, or patterns such as `layers.[0-3].*_proj`; `all-linear` is all.
    pub target_modules: Vec<String>,
}

impl Default for LoraConfig {
    fn default() -> Self {
        LoraConfig {
            r: 16,
            lora_alpha: 32.0,
            use_rslora: false,
            use_dora: false,
            lora_dropout: 0.0,
            target_modules: vec!["all-linear".into()],
        }
    }
}

impl LoraConfig {
    /// What B · A is multiplied by.
    pub fn scale(&self) -> f32 {
        self.lora_alpha / if self.use_rslora { (self.r as f32).sqrt() } else { self.r as f32 }
    }

    /// Whether the values make sense.
    ///
    /// # Errors
    /// Kind `Config`, naming the value.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::config(what));
        if self.r == 0 || self.r > 4096 {
            return wrong(format!("r = {}: from 1 to 4096", self.r));
        }
        if !self.lora_alpha.is_finite() || self.lora_alpha == 0.0 {
            return wrong(format!("lora_alpha = {}: a number, and not 0", self.lora_alpha));
        }
        if !(0.0..1.0).contains(&self.lora_dropout) {
            return wrong(format!("lora_dropout = {}: from 0 to below 1", self.lora_dropout));
        }
        if self.use_dora && self.lora_dropout > 0.0 {
            return wrong(
                "use_dora with lora_dropout: either one; lora_dropout = 0.0 goes with use_dora".into(),
            );
        }
        for target in &self.target_modules {
            let matched =
                (0..1000).any(|layer| MODULES.iter().any(|(module, _)| matches(target, layer, module)));
            if !matched {
                let names: Vec<&str> = MODULES.iter().map(|(name, _)| *name).collect();
                return wrong(format!(
                    "target_modules has {target:?}, which matches no matrix: there are {}, all-linear, and patterns over \
                     layers.0.q_proj and the like with * and [0-3]",
                    names.join(", ")
                ));
            }
        }
        if self.target_modules.is_empty() {
            return wrong("target_modules is empty: nothing would be trained".into());
        }
        Ok(())
    }

    /// Whether a matrix, by its name in `peft`, gets an adapter.
    pub fn covers(&self, layer: usize, module: &str) -> bool {
        self.target_modules.iter().any(|target| matches(target, layer, module))
    }

    /// The numbers of A in the beginning: uniform, as `peft` draws them (Kaiming with √5). B begins with zeros.
    pub fn draw_a(&self, seed: Seed, name: &str, columns: usize) -> Vec<f32> {
        let bound = 1.0 / (columns as f64).sqrt();
        let mut stream = seed.stream(name, 0);
        (0..self.r * columns).map(|_| ((stream.next_f64() * 2.0 - 1.0) * bound) as f32).collect()
    }
}

/// Whether `target` means this matrix.
fn matches(target: &str, layer: usize, module: &str) -> bool {
    if target == "all-linear" || target == module {
        return true;
    }
    glob(target.as_bytes(), format!("layers.{layer}.{module}").as_bytes())
        || glob(target.as_bytes(), module.as_bytes())
}

/// Patterns of shells: `*` is anything, `?` one byte, `[a-c]` one of some; and `[10-15]` a number between two.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', rest @ ..] => (0..=text.len()).any(|at| glob(rest, &text[at..])),
        [b'?', rest @ ..] => !text.is_empty() && glob(rest, &text[1..]),
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().position(|byte| *byte == b']') else { return false };
            let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse::<u64>().ok();
            let range = &rest[..end];
            let Some(dash) = range.iter().position(|byte| *byte == b'-') else { return false };
            match (number(&range[..dash]), number(&range[dash + 1..]), number(&text[..digits])) {
                (Some(low), Some(high), Some(found)) => {
                    (low..=high).contains(&found) && glob(&rest[end + 1..], &text[digits..])
                }
                _ => false,
            }
        }
        [byte, rest @ ..] => text.first() == Some(byte) && glob(rest, &text[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_names_and_patterns() {
        for (target, layer, module, expected) in [
            ("q_proj", 3, "q_proj", true),
            ("q_proj", 3, "k_proj", false),
            ("all-linear", 0, "down_proj", true),
            ("*_proj", 9, "up_proj", true),
            ("layers.[0-3].*", 3, "q_proj", true),
            ("layers.[0-3].*", 4, "q_proj", false),
            ("layers.[10-15].?_proj", 12, "v_proj", true),
            ("layers.[10-15].?_proj", 12, "up_proj", false),
            ("layers.[x-3].*", 2, "q_proj", false),
            ("layers.[0-3", 2, "q_proj", false),
        ] {
            assert_eq!(matches(target, layer, module), expected, "{target} {layer} {module}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let wrong = |config: LoraConfig| config.check().expect_err("wrong").to_string();
        let config = LoraConfig::default;
        config().check().expect("the defaults");
        assert!(wrong(LoraConfig { r: 0, ..config() }).contains("r = 0"));
        assert!(wrong(LoraConfig { lora_alpha: f32::NAN, ..config() }).contains("lora_alpha"));
        assert!(wrong(LoraConfig { lora_dropout: 1.0, ..config() }).contains("lora_dropout = 1"));
        assert!(wrong(LoraConfig { use_dora: true, lora_dropout: 0.1, ..config() }).contains("use_dora"));
        assert!(wrong(LoraConfig { target_modules: vec![], ..config() }).contains("empty"));
        let error = wrong(LoraConfig { target_modules: vec!["qproj".into()], ..config() });
        assert!(error.contains("\"qproj\"") && error.contains("q_proj"), "{error}");
    }
}
