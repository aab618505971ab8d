//! How a model is run: sizes, threads, devices. Zero means "choose for this model and this machine".

use llama_cpp_2::context::params::KvCacheType;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::gguf::Facts;
use crate::models::plan::{
    CONTEXT_STEP, Demand, KvType, MOST_SEQUENCES, PREFIXES, Plan, in_words, lanes, plan,
};

/// When the attention is computed by the fused kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlashAttention {
    /// On a GPU, where llama.cpp finds that it has it. On a processor only with a quantized KV cache, which needs it.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// How a model is run. A field that is 0 is chosen for the model and the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Tokens that one sequence may hold, prompt and output together.
    pub context: u32,
    /// Sequences that are decoded at once.
    pub parallel: u32,
    /// Where `parallel` is to be chosen: from so many down, until they take at most half of the free memory; 0: from 8, on a GPU from 32.
    #[serde(skip)]
    pub most_parallel: u32,
    /// Prompt beginnings that are kept, so that prompts that share one do not compute it again.
    pub prefixes: u32,
    /// Most tokens in one call of the decoder; at least one for each sequence and kept beginning.
    pub batch: u32,
    /// Most tokens that are computed at once, at least as many; takes memory.
    pub micro_batch: u32,
    /// Threads of the decoder, of all lanes together.
    pub threads: u32,
    /// Groups of sequences that are decoded apart from each other, each in a context of its own. A small model has too little to do in
    /// one call for several threads to share it: they go through it side by side instead.
    pub lanes: u32,
    /// Threads that compute grammar masks while the decoder runs.
    pub mask_threads: u32,
    /// Layers that go to the GPU; none given: all, where there is a GPU.
    pub gpu_layers: Option<u32>,
    /// Type of the numbers in the KV cache; none given: f32 on a processor, f16 on a GPU.
    pub kv: Option<KvType>,
    /// When the fused attention is used.
    pub flash_attention: FlashAttention,
    /// Decode tokens that the grammar forces in one go, without sampling them. Off by default: it may spell the fixed
    /// parts in other tokens, and a model that reads other tokens goes on otherwise.
    pub fast_forward: bool,
    /// Run a model of any architecture. The files of qwen2, qwen3 and llama are checked down to each tensor before
    /// llama.cpp reads them; those of others in general only, and a damaged one may end the program.
    pub trust: bool,
}

/// Settings with nothing left to choose.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// As in [`Settings`], never 0, and a multiple of 256 for `context`.
    pub settings: Settings,
    /// Layers that go to the GPU.
    pub gpu_layers: u32,
    /// Type of the numbers in the KV cache.
    pub kv: KvType,
    /// When the fused attention is used.
    pub flash_attention: FlashAttention,
    /// What it takes.
    pub plan: Plan,
}

/// What a machine has to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Free memory, in bytes.
    pub memory: u64,
    /// Free memory of its GPUs, in bytes; `None` without one.
    pub gpu_memory: Option<u64>,
    /// Cores.
    pub cores: u32,
}

impl Machine {
    /// One that holds anything, where nothing is loaded.
    pub(super) fn endless() -> Self {
        Machine { memory: u64::MAX, gpu_memory: None, cores: 1 }
    }

    fn half(self) -> Self {
        Machine { memory: self.memory / 2, gpu_memory: self.gpu_memory.map(|bytes| bytes / 2), ..self }
    }

    /// Whether what lies on the GPU fits there, and the rest into the memory.
    fn holds(&self, plan: &Plan) -> bool {
        plan.total.saturating_sub(plan.device) <= self.memory && plan.device <= self.gpu_memory.unwrap_or(0)
    }

    fn check(&self, plan: &Plan) -> Result<()> {
        if self.holds(plan) {
            return Ok(());
        }
        if plan.device == 0 {
            return plan.check(self.memory);
        }
        Err(Error::config(format!(
            "the model needs {} on the GPU, where {} are free, and {} beside it, where {} are free: lower --ctx or \
             --parallel, take another --kv, or move the border with --gpu-layers",
            in_words(plan.device),
            in_words(self.gpu_memory.unwrap_or(0)),
            in_words(plan.total.saturating_sub(plan.device)),
            in_words(self.memory),
        )))
    }
}

impl Settings {
    /// Sequences that one lane decodes at once.
    fn of_a_lane(&self) -> u32 {
        self.parallel.div_ceil(self.lanes.max(1))
    }

    /// The same with the numbers of threads left open, which do not change what is computed.
    #[cfg(feature = "train")]
    pub(crate) fn without_threads(&self) -> Settings {
        Settings { threads: 0, mask_threads: 0, ..self.clone() }
    }

    /// What one of the lanes is run with.
    pub(super) fn lane(&self) -> Settings {
        let share = |all: u32| (all / self.lanes.max(1)).max(1);
        Settings {
            parallel: self.of_a_lane(),
            threads: share(self.threads),
            mask_threads: share(self.mask_threads),
            lanes: 1,
            ..self.clone()
        }
    }

    /// Chooses what was left open.
    ///
    /// - `context`: what the model was trained on, at most 16,384: the released GSRM reads traces of some 12,000
    ///   tokens and writes up to 10,000, but few are that long;
    /// - `parallel`: 8 on a processor, 32 on a GPU, halved until it takes at most half of the free memory, on the GPU and beside it;
    /// - `prefixes`: 2, so that two prompt forms (a decomposer's and a judge's) live side by side;
    /// - `micro_batch` 512 as in llama.cpp; `batch` the same, so that one call is at most one full pass;
    /// - `kv` and `flash_attention`: on a processor f32 and off. So what a sequence writes does not depend on what else
    ///   is in the batch or how its prompt was cut into chunks: to the bit with weights of type Q8_0 and Q4_0. The fused
    ///   attention of a processor changes logits with the chunks by far more than rounding (measured: 0.25);
    /// - `lanes`: on a processor, for weights of at most 64 MiB, one for each 32 sequences, at most 8; otherwise 1. Not by the number of
    ///   threads, so that it does not change what is computed;
    /// - `threads`: one for each core; `mask_threads`: one for each two sequences, at most one for each core.
    ///
    /// # Errors
    /// A value out of range, or sizes that do not fit, with the setting to lower.
    pub fn resolve(&self, facts: &Facts, machine: Machine) -> Result<Resolved> {
        let Machine { cores, .. } = machine;
        let mut settings = self.clone();
        let or = |value: u32, default: u32| if value == 0 { default } else { value };
        settings.context = or(self.context, facts.context_length.clamp(CONTEXT_STEP.into(), 16_384) as u32);
        settings.context = settings
            .context
            .checked_next_multiple_of(CONTEXT_STEP)
            .ok_or_else(|| Error::config(format!("a context of {} tokens is too large", self.context)))?;
        settings.prefixes = or(self.prefixes, PREFIXES);
        settings.micro_batch = or(self.micro_batch, 512);
        settings.batch = or(self.batch, settings.micro_batch);
        settings.threads = or(self.threads, cores.max(1));
        let gpu_layers = match (machine.gpu_memory, self.gpu_layers) {
            (None, _) => 0,
            (Some(_), Some(layers)) => layers,
            (Some(_), None) => facts.block_count.saturating_add(1),
        };
        let on_gpu = gpu_layers > 0;
        let kv = self.kv.unwrap_or(if on_gpu { KvType::F16 } else { KvType::F32 });
        let flash_attention = match self.flash_attention {
            FlashAttention::Auto if !on_gpu && matches!(kv, KvType::F32 | KvType::F16) => FlashAttention::Off,
            asked => asked,
        };
        let lanes = |parallel: u32| match self.lanes {
            0 if on_gpu => 1,
            0 => lanes(facts.tensor_bytes.total(), parallel),
            asked => asked.min(parallel),
        };
        let demand = |parallel: u32, settings: &Settings| Demand {
            context: settings.context,
            parallel,
            prefixes: settings.prefixes,
            lanes: lanes(parallel),
            batch: settings.batch,
            micro_batch: settings.micro_batch,
            kv,
            gpu_layers,
            flash_attention: flash_attention != FlashAttention::Off,
        };
        if self.parallel == 0 {
            let mut parallel = match self.most_parallel {
                0 if on_gpu => 32,
                0 => 8,
                most => most,
            };
            while parallel > 1 && !machine.half().holds(&plan(facts, &demand(parallel, &settings))) {
                parallel /= 2;
            }
            settings.parallel = parallel;
        }
        settings.lanes = lanes(settings.parallel);
        if settings.of_a_lane().saturating_add(settings.prefixes) > MOST_SEQUENCES {
            return Err(Error::config(format!(
                "{} parallel sequences and {} kept prefixes: llama.cpp keeps at most {MOST_SEQUENCES} apart; \
                 lower --parallel{}",
                settings.parallel,
                settings.prefixes,
                if settings.prefixes > PREFIXES { ", or prefixes in the run file" } else { "" }
            )));
        }
        settings.mask_threads = or(self.mask_threads, (settings.parallel / 2).clamp(1, cores.max(1)));
        for (name, value, most) in [
            ("threads", settings.threads, 1024),
            ("mask_threads", settings.mask_threads, 1024),
            ("batch", settings.batch, 1 << 20),
            ("micro_batch", settings.micro_batch, 1 << 20),
            ("lanes", self.lanes, 1024),
        ] {
            if value > most {
                return Err(Error::config(format!("{name} = {value}: at most {most}")));
            }
        }
        // llama.cpp aborts where a batch has no room for one output of each sequence.
        let least = settings.of_a_lane() + settings.prefixes;
        settings.batch = settings.batch.max(least);
        settings.micro_batch = settings.micro_batch.clamp(least, settings.batch);
        let plan = plan(facts, &demand(settings.parallel, &settings));
        machine.check(&plan)?;
        Ok(Resolved { settings, gpu_layers, kv, flash_attention, plan })
    }
}

/// llama.cpp's name for a type of the KV cache.
pub(super) fn kv_type(kv: KvType) -> KvCacheType {
    match kv {
        KvType::F32 => KvCacheType::F32,
        KvType::F16 => KvCacheType::F16,
        KvType::Q8_0 => KvCacheType::Q8_0,
        KvType::Q4_0 => KvCacheType::Q4_0,
    }
}

/// llama.cpp's number for when the fused attention is used (its `llama_flash_attn_type`).
pub(super) fn flash_policy(flash: FlashAttention) -> i32 {
    match flash {
        FlashAttention::Auto => -1,
        FlashAttention::Off => 0,
        FlashAttention::On => 1,
    }
}
