//! What memory a model will take in llama.cpp, from the facts of its file alone.
//!
//! Weights and the KV cache are exact for models whose layers are alike (qwen2, qwen3, llama). The compute buffers are
//! the peak of one reserved graph, after what the pinned llama.cpp allocates; see [`Plan::compute`].

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::gguf::{Facts, TensorType};

/// Streams of the KV cache that llama.cpp keeps apart at most (its `LLAMA_MAX_SEQ`).
pub const MOST_SEQUENCES: u32 = 256;
/// Beginnings of prompts that a run keeps unless asked for another number: a decomposer's and a judge's live side by
/// side.
pub const PREFIXES: u32 = 2;
/// llama.cpp rounds the context of a sequence up to a multiple of this.
pub const CONTEXT_STEP: u32 = 256;

/// How the numbers of the KV cache are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KvType {
    /// 4 bytes.
    F32,
    /// 2 bytes.
    #[default]
    F16,
    /// 34 bytes for 32 numbers.
    Q8_0,
    /// 18 bytes for 32 numbers.
    Q4_0,
}

impl KvType {
    /// All of them, largest first.
    pub const ALL: [KvType; 4] = [KvType::F32, KvType::F16, KvType::Q8_0, KvType::Q4_0];

    /// The name in options and run files.
    pub fn name(self) -> &'static str {
        match self {
            KvType::F32 => "f32",
            KvType::F16 => "f16",
            KvType::Q8_0 => "q8_0",
            KvType::Q4_0 => "q4_0",
        }
    }

    /// The type of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Bytes of `numbers` numbers; a part of a block counts as a whole one.
    fn bytes(self, numbers: u64) -> u64 {
        let kind = match self {
            KvType::F32 => TensorType::F32,
            KvType::F16 => TensorType::F16,
            KvType::Q8_0 => TensorType::Q8_0,
            KvType::Q4_0 => TensorType::Q4_0,
        };
        numbers.div_ceil(kind.block()).saturating_mul(kind.block_bytes())
    }
}

/// What is asked of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Tokens of each sequence; rounded up to [`CONTEXT_STEP`].
    pub context: u32,
    /// Sequences at a time, each with its own KV stream; 0 counts as 1.
    pub parallel: u32,
    /// Beginnings of prompts that are kept, each in a KV stream as well; in each lane.
    pub prefixes: u32,
    /// Groups of sequences that are decoded apart from each other; 0 counts as 1.
    pub lanes: u32,
    /// Most tokens of one call to decode (`n_batch`).
    pub batch: u32,
    /// Most tokens computed at once (`n_ubatch`).
    pub micro_batch: u32,
    /// How keys and values are stored.
    pub kv: KvType,
    /// Layers on a GPU, the last ones first; one more than the model has takes the output matrix too.
    pub gpu_layers: u32,
    /// Whether attention is computed by the fused kernel, which needs no room for scores.
    pub flash_attention: bool,
}

impl Default for Demand {
    /// 4,096 tokens for one sequence, llama.cpp's own batch sizes, no GPU, the fused attention.
    fn default() -> Self {
        Demand {
            context: 4_096,
            parallel: 1,
            prefixes: 0,
            lanes: 1,
            batch: 2_048,
            micro_batch: 512,
            kv: KvType::F16,
            gpu_layers: 0,
            flash_attention: true,
        }
    }
}

/// The memory that a model takes, in bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The tensors of the file; a tied embedding of four bits counts twice, once for each form that a CPU uses.
    pub weights: u64,
    /// Keys and values of all sequences.
    pub kv_cache: u64,
    /// The logits that are handed out: one row of the vocabulary for each sequence.
    pub logits: u64,
    /// Buffers for one micro-batch: the mask, and the largest of attention, feed-forward, and a row of logits for each
    /// token; without flash attention the scores as well. Within 3 % of the pinned llama.cpp on a CPU.
    pub compute: u64,
    /// All of the above.
    pub total: u64,
    /// What the compute buffers take on top without flash attention.
    pub without_flash_attention: u64,
    /// The part of `total` that lies on a GPU, with [`Demand::gpu_layers`] there.
    pub device: u64,
    sizes: Sizes,
    demand: Demand,
}

/// Weights of so many bytes stay in a processor's caches, where several lanes may read them.
const SMALL: u64 = 64 << 20;
/// Sequences that are worth a lane.
const OF_A_LANE: u32 = 32;
const MOST_LANES: u32 = 8;

/// How many lanes a processor takes for a model of so many bytes and so many sequences, unless asked for another number.
pub fn lanes(weights: u64, parallel: u32) -> u32 {
    if weights > SMALL { 1 } else { (parallel / OF_A_LANE).clamp(1, MOST_LANES) }
}

/// Plans the memory of a model.
pub fn plan(facts: &Facts, demand: &Demand) -> Plan {
    Sizes::of(facts).plan(*demand)
}

impl Plan {
    /// Whether the plan fits into `available` bytes.
    ///
    /// # Errors
    /// Kind `Config`: it does not; says which setting to lower, and to what.
    pub fn check(&self, available: u64) -> Result<()> {
        if self.total <= available {
            return Ok(());
        }
        let mut message = format!(
            "the model needs {} (weights {}, KV cache {}, logits {}, compute {}) and {} are there, {} too few",
            in_words(self.total),
            in_words(self.weights),
            in_words(self.kv_cache),
            in_words(self.logits),
            in_words(self.compute),
            in_words(available),
            in_words(self.total - available),
        );
        let mut ways = Vec::new();
        if let Some(context) = self.largest_context(available) {
            ways.push(format!("lower the context from {} to {context} tokens", self.demand.context));
        }
        if let Some(parallel) = self.largest_parallel(available) {
            ways.push(format!("lower the parallel sequences from {} to {parallel}", self.demand.parallel));
        }
        let smaller = KvType::ALL.into_iter().skip_while(|kind| *kind != self.demand.kv).skip(1);
        let fits = |kind: &KvType| self.with(|demand| demand.kv = *kind).total <= available;
        if let Some(kind) = smaller.into_iter().find(fits) {
            ways.push(format!("store the KV cache as {}", kind.name()));
        }
        let batch = (5..10).rev().map(|power| 1 << power).find(|&size| {
            size < self.demand.micro_batch && self.with(|demand| demand.micro_batch = size).total <= available
        });
        if let Some(size) = batch {
            ways.push(format!("lower the micro-batch from {} to {size}", self.demand.micro_batch));
        }
        message += "; ";
        message += &match ways.as_slice() {
            [] if self.weights > available => {
                format!(
                    "the weights alone are {} too large: take a smaller model",
                    in_words(self.weights - available)
                )
            }
            [] => {
                "no one setting is enough: lower the context and the parallel sequences together".to_owned()
            }
            ways => ways.join(", or "),
        };
        Err(Error::config(message))
    }

    /// The longest context of a sequence, in tokens, with which all else fits into `available` bytes; a multiple of
    /// [`CONTEXT_STEP`], not above 2²⁰ nor what the model was trained for. `None` if no context does.
    pub fn largest_context(&self, available: u64) -> Option<u32> {
        let most = self.sizes.trained_context.min(1 << 20).max(u64::from(CONTEXT_STEP)) as u32;
        let steps = most.div_ceil(CONTEXT_STEP);
        self.largest(steps, available, |demand, steps| demand.context = steps * CONTEXT_STEP)
            .map(|steps| (steps * CONTEXT_STEP).min(most))
    }

    /// The most parallel sequences with which all else fits into `available` bytes, at most [`MOST_SEQUENCES`] with the
    /// kept prefixes. `None` if not even one does.
    pub fn largest_parallel(&self, available: u64) -> Option<u32> {
        self.largest(MOST_SEQUENCES.saturating_sub(self.demand.prefixes), available, |demand, parallel| {
            demand.parallel = parallel;
            demand.lanes = demand.lanes.min(lanes(self.weights, parallel));
        })
    }

    fn with(&self, change: impl FnOnce(&mut Demand)) -> Plan {
        let mut demand = self.demand;
        change(&mut demand);
        self.sizes.plan(demand)
    }

    /// The largest of `1..=most` that fits, by bisection: what a plan takes grows with each of its settings.
    fn largest(&self, most: u32, available: u64, set: impl Fn(&mut Demand, u32)) -> Option<u32> {
        let fits = |value: u32| self.with(|demand| set(demand, value)).total <= available;
        let (mut low, mut high) = (0, most);
        while low < high {
            let middle = high - (high - low) / 2;
            if fits(middle) { low = middle } else { high = middle - 1 }
        }
        (low > 0).then_some(low)
    }
}

/// What of a model shapes its memory.
#[derive(Clone, Debug, PartialEq)]
struct Sizes {
    embedding: u64,
    heads: u64,
    /// Numbers of a token's keys in one layer, and of its values.
    keys: u64,
    values: u64,
    queries: u64,
    feed_forward: u64,
    vocabulary: u64,
    trained_context: u64,
    weights: u64,
    layers: Vec<u64>,
    output: u64,
}

impl Sizes {
    fn of(facts: &Facts) -> Self {
        let times = |heads: u32, length: u32| u64::from(heads) * u64::from(length);
        let bytes = &facts.tensor_bytes;
        // With a tied embedding `output` is the norm alone, and a GPU holds a copy of the embedding.
        let tied = bytes.output <= facts.embedding_length.saturating_mul(4);
        let embedding = product(&[facts.vocabulary, facts.embedding_length]);
        // 4.5 bits a number: Q4_0, Q4_K and IQ4_NL.
        let rearranged = bytes.token_embedding == embedding / 16 * 9;
        Sizes {
            embedding: facts.embedding_length,
            heads: facts.head_count.into(),
            keys: times(facts.head_count_kv, facts.key_length),
            values: times(facts.head_count_kv, facts.value_length),
            queries: times(facts.head_count, facts.key_length.max(facts.value_length)),
            feed_forward: facts.feed_forward_length,
            vocabulary: facts.vocabulary,
            trained_context: facts.context_length,
            // With a tied embedding of a type that llama.cpp rearranges on a CPU, it keeps both forms.
            weights: bytes.total() + if tied && rearranged { bytes.token_embedding } else { 0 },
            layers: bytes.layers.clone(),
            output: bytes.output + if tied { bytes.token_embedding } else { 0 },
        }
    }

    fn plan(&self, demand: Demand) -> Plan {
        let lanes = u64::from(demand.lanes.max(1));
        let of_a_lane = u64::from(demand.parallel.max(1)).div_ceil(lanes) + u64::from(demand.prefixes);
        let parallel = of_a_lane.saturating_mul(lanes);
        let context = u64::from(demand.context.max(1)).next_multiple_of(CONTEXT_STEP.into());
        let tokens =
            u64::from(demand.micro_batch.min(demand.batch).max(1)).min(context.saturating_mul(of_a_lane));
        let layers = self.layers.len() as u64;

        let cell = sum(&[demand.kv.bytes(self.keys), demand.kv.bytes(self.values)]);
        let layer_cache = product(&[cell, context, parallel]);
        let kv_cache = product(&[layer_cache, layers]);
        let logits = product(&[parallel, self.vocabulary, 4]);
        let (with, without_flash_attention) = self.compute(tokens, context);
        let (with, without_flash_attention) =
            (with.saturating_mul(lanes), without_flash_attention.saturating_mul(lanes));
        let compute = if demand.flash_attention { with } else { sum(&[with, without_flash_attention]) };

        // The last layers go to the GPU; the output counts as one more, and goes first.
        let on_device = u64::from(demand.gpu_layers);
        let device_layers = on_device.saturating_sub(1).min(layers);
        let device = if on_device == 0 {
            0
        } else {
            let moved: u64 = self.layers.iter().rev().take(device_layers as usize).sum();
            sum(&[moved, self.output, product(&[layer_cache, device_layers]), compute])
        };
        Plan {
            weights: self.weights,
            kv_cache,
            logits,
            compute,
            total: sum(&[self.weights, kv_cache, logits, compute]),
            without_flash_attention,
            device,
            sizes: self.clone(),
            demand,
        }
    }

    /// The compute buffers for `tokens` tokens against sequences of `context`: with flash attention, and what comes on
    /// top without.
    ///
    /// llama.cpp reserves a graph whose every token gives logits, as full as the batch may be. Each layer reuses the
    /// same memory, and the logits go where something was freed if they fit there, else behind what still lives. The
    /// factors are those of the pinned version, found by comparing; see the test.
    fn compute(&self, tokens: u64, context: u64) -> (u64, u64) {
        let floats = |numbers: u64| product(&[numbers, tokens, 4]);
        let feed_forward = floats(product(&[4, self.feed_forward]));
        let attention =
            sum(&[product(&[3, self.embedding]), product(&[3, self.queries]), self.keys, self.values]);
        let logits = floats(self.vocabulary);
        let peak = |mask: u64, scores: u64| {
            let layer = sum(&[floats(attention), scores]).max(sum(&[feed_forward, floats(self.embedding)]));
            let layer = sum(&[mask, layer]);
            let freed = mask.max(feed_forward).max(scores);
            if logits <= freed {
                layer
            } else {
                layer.max(sum(&[logits, mask, floats(product(&[6, self.embedding]))]))
            }
        };
        // Flash attention reads a mask of float16, and needs no scores.
        let cells = product(&[context, tokens]);
        let with = peak(product(&[cells, 2]), 0);
        let without = peak(product(&[cells, 4]), product(&[cells, self.heads, 4]));
        (with, without.saturating_sub(with))
    }
}

/// A file may claim any size: what is too large to count is too large to fit.
fn product(factors: &[u64]) -> u64 {
    factors.iter().fold(1, |product: u64, factor| product.saturating_mul(*factor))
}

fn sum(terms: &[u64]) -> u64 {
    terms.iter().fold(0, |sum: u64, term| sum.saturating_add(*term))
}

/// A number of bytes for people: `1.5 GiB`.
pub fn in_words(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

/// The memory of this machine, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What there is; a container's limit if that is less.
    pub total: u64,
    /// What a new program can take.
    pub available: u64,
}

/// The memory of this machine; `None` where the system does not say.
#[cfg(feature = "llama")]
pub fn memory() -> Option<Memory> {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let mut memory = Memory { total: system.total_memory(), available: system.available_memory() };
    if let Some(limits) = system.cgroup_limits() {
        memory.total = memory.total.min(limits.total_memory);
        memory.available = memory.available.min(limits.free_memory);
    }
    (memory.total > 0).then_some(memory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::TensorBytes;

    /// The sizes of Qwen2.5-7B-Instruct, from its published configuration: 28 layers of 3,584, 28 heads of 128, 4 of
    /// them for keys and values, feed-forward 18,944, vocabulary 152,064, 7.62 billion parameters in bfloat16.
    fn seven_billion() -> Facts {
        let layer = 466_115_584 + 2 * (3_584 + 2 * 512); // matrices and norms, biases in float32 left aside
        Facts {
            architecture: "qwen2".into(),
            checked_in_full: true,
            name: None,
            context_length: 32_768,
            embedding_length: 3_584,
            block_count: 28,
            head_count: 28,
            head_count_kv: 4,
            key_length: 128,
            value_length: 128,
            feed_forward_length: 18_944,
            vocabulary: 152_064,
            parameters: 7_615_616_512,
            tensor_bytes: TensorBytes {
                token_embedding: 1_089_994_752,
                output: 1_089_994_752 + 14_336,
                layers: vec![layer; 28],
                other: 0,
            },
            weights: TensorType::BF16,
            chat_template: None,
            tokenizer_model: None,
            tokenizer_pre: None,
            gsrm_grammar: None,
            gsrm_prompt: None,
        }
    }

    #[test]
    fn the_cache_is_what_the_shape_says() {
        // Two of 4 heads x 128 numbers, 28 layers: 28,672 numbers a token.
        for (kv, bytes) in
            [(KvType::F32, 114_688), (KvType::F16, 57_344), (KvType::Q8_0, 30_464), (KvType::Q4_0, 16_128)]
        {
            let demand = Demand { context: 1_000, parallel: 3, kv, ..Demand::default() };
            // 1,000 is rounded up to 1,024.
            assert_eq!(plan(&seven_billion(), &demand).kv_cache, bytes * 1_024 * 3, "{kv:?}");
            assert_eq!(KvType::from_name(kv.name()), Some(kv));
        }
    }

    #[test]
    fn parts_add_up() {
        let plan = plan(&seven_billion(), &Demand { parallel: 8, ..Demand::default() });
        assert_eq!(plan.logits, 8 * 152_064 * 4);
        assert_eq!(plan.total, plan.weights + plan.kv_cache + plan.logits + plan.compute);
        // 512 rows of logits alone are 297 MiB.
        assert!(plan.compute > 512 * 152_064 * 4);
        assert_eq!(plan.device, 0);
    }

    #[test]
    fn compute_buffers_are_those_of_llama_cpp() {
        // "CPU compute buffer size", MiB, as the pinned llama.cpp logs it for models of `rlkd models random`.
        type Shape = (u64, u64, u32, u32, u64); // vocabulary, embedding, heads, heads_kv, feed-forward; heads of 64
        const A: Shape = (2_048, 128, 2, 1, 256);
        const B: Shape = (32_000, 512, 8, 2, 1_536);
        const C: Shape = (151_936, 128, 2, 1, 256);
        const D: Shape = (8_000, 1_024, 16, 4, 4_096);
        const E: Shape = (64_000, 512, 8, 2, 2_816);
        const G: Shape = (16_000, 512, 16, 4, 1_024);
        for (shape, context, parallel, micro_batch, flash, expected) in [
            (A, 4_096, 8, 512, true, 6.27),
            (A, 4_096, 8, 512, false, 25.77),
            (B, 256, 1, 512, true, 33.88),
            (B, 1_024, 1, 512, true, 69.52),
            (B, 4_096, 1, 512, false, 78.52),
            (B, 4_096, 4, 512, true, 72.55),
            (B, 8_192, 16, 256, true, 37.76),
            (B, 32_768, 1, 512, true, 99.52),
            (C, 1_024, 8, 512, true, 299.02),
            (D, 2_048, 1, 128, true, 9.04),
            (D, 2_048, 2, 512, false, 81.02),
            (D, 2_048, 32, 512, true, 36.02),
            (E, 256, 1, 512, true, 65.13),
            (E, 1_024, 1, 512, true, 131.02),
            (E, 4_096, 1, 512, false, 139.52),
            (E, 8_192, 1, 512, true, 139.02),
            (G, 1_024, 1, 512, true, 38.27),
            (G, 1_024, 4, 512, false, 44.02),
            (G, 8_192, 1, 512, true, 44.27),
            (G, 8_192, 4, 512, false, 282.02),
        ] {
            let (vocabulary, embedding_length, head_count, head_count_kv, feed_forward_length) = shape;
            let facts = Facts {
                vocabulary,
                embedding_length,
                head_count,
                head_count_kv,
                feed_forward_length,
                key_length: 64,
                value_length: 64,
                ..seven_billion()
            };
            let plan = plan(&facts, &Demand { context, parallel, micro_batch, ..Demand::default() });
            let bytes = plan.compute + if flash { 0 } else { plan.without_flash_attention };
            let ratio = bytes as f64 / f64::from(1 << 20) / expected;
            assert!(
                (0.97..1.03).contains(&ratio),
                "{shape:?}, {context} x {parallel}, {micro_batch}: {ratio}"
            );
        }
    }

    #[test]
    fn a_gpu_takes_the_last_layers_and_the_output() {
        let facts = seven_billion();
        let device = |gpu_layers| plan(&facts, &Demand { gpu_layers, ..Demand::default() });
        let (one, two, all, more) = (device(1), device(2), device(29), device(99));
        assert_eq!(one.device, facts.tensor_bytes.output + one.compute);
        assert_eq!(two.device - one.device, facts.tensor_bytes.layers[27] + one.kv_cache / 28);
        assert_eq!(all.device, all.total - all.logits - facts.tensor_bytes.token_embedding);
        assert_eq!(all.device, more.device);
        let mut tied = facts.clone();
        tied.tensor_bytes.output = 14_336;
        assert_eq!(plan(&tied, &Demand { gpu_layers: 1, ..Demand::default() }).device, one.device);
    }

    #[test]
    fn what_fits_is_found_and_told() {
        let gib = 1 << 30;
        let demand = Demand { context: 32_768, parallel: 64, ..Demand::default() };
        let plan = plan(&seven_billion(), &demand);
        let error = plan.check(24 * gib).expect_err("too large").to_string();
        let context = plan.largest_context(24 * gib).expect("some context");
        let parallel = plan.largest_parallel(24 * gib).expect("some sequences");
        for part in [
            "KV cache 112.0 GiB".to_owned(),
            format!("lower the context from 32768 to {context} tokens"),
            format!("lower the parallel sequences from 64 to {parallel}"),
        ] {
            assert!(error.contains(&part), "{part}: {error}");
        }
        for (fits, exceeds) in [
            (Demand { context, ..demand }, Demand { context: context + CONTEXT_STEP, ..demand }),
            (Demand { parallel, ..demand }, Demand { parallel: parallel + 1, ..demand }),
        ] {
            assert!(super::plan(&seven_billion(), &fits).check(24 * gib).is_ok(), "{fits:?}");
            assert!(super::plan(&seven_billion(), &exceeds).check(24 * gib).is_err(), "{exceeds:?}");
        }
        let error = plan.check(4 * gib).expect_err("too large").to_string();
        assert!(error.contains("the weights alone are"), "{error}");
        assert!(plan.check(plan.total).is_ok() && plan.check(plan.total - 1).is_err());
        assert_eq!(plan.largest_parallel(0), None);
        assert_eq!(plan.largest_context(u64::MAX), Some(32_768));
    }

    #[test]
    fn sizes_that_nobody_has_do_not_overflow() {
        let facts = Facts {
            context_length: u64::MAX,
            embedding_length: u64::MAX,
            head_count: u32::MAX,
            head_count_kv: u32::MAX,
            key_length: u32::MAX,
            value_length: u32::MAX,
            feed_forward_length: u64::MAX,
            vocabulary: u64::MAX,
            ..seven_billion()
        };
        let demand =
            Demand { context: u32::MAX, parallel: u32::MAX, gpu_layers: u32::MAX, ..Demand::default() };
        let plan = plan(&facts, &demand);
        assert_eq!(plan.total, u64::MAX);
        assert!(plan.check(1 << 40).is_err());
    }

    #[test]
    fn bytes_are_told_in_words() {
        for (bytes, words) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 20, "1.0 MiB"), (u64::MAX, "16.0 EiB")]
        {
            assert_eq!(in_words(bytes), words);
        }
    }
}
