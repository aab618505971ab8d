//! The bare loop: llama.cpp's decoder and nothing else, on the batches that the engine would make.

use std::mem::ManuallyDrop;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::{Duration, Instant};

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::{KvCacheType, LlamaContextParams};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;
use rlkd::llama::settings::Settings;

/// The one that was initialised belongs to the library. It has no fields, and dropping it would stop llama.cpp.
const BACKEND: ManuallyDrop<LlamaBackend> = ManuallyDrop::new(LlamaBackend {});

/// Loads a model a second time; llama.cpp must have been started.
pub fn load(path: &Path) -> LlamaModel {
    LlamaModel::load_from_file(&BACKEND, path, &LlamaModelParams::default()).expect("the model")
}

/// A context with the settings that the engine has.
pub struct Bare<'a> {
    context: LlamaContext<'a>,
    batch: LlamaBatch<'a>,
}

impl<'a> Bare<'a> {
    /// Makes the context.
    pub fn new(model: &'a LlamaModel, settings: &Settings) -> Self {
        let streams = settings.parallel + settings.prefixes;
        let threads = settings.threads.cast_signed();
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(settings.context * streams))
            .with_n_seq_max(streams)
            .with_n_batch(settings.batch)
            .with_n_ubatch(settings.micro_batch)
            .with_n_threads(threads)
            .with_n_threads_batch(threads)
            .with_type_k(KvCacheType::F32)
            .with_type_v(KvCacheType::F32)
            .with_flash_attention_policy(0)
            .with_kv_unified(false)
            .with_no_perf(true);
        let context = model.new_context(&BACKEND, params).expect("a context");
        Bare { context, batch: LlamaBatch::new(settings.batch as usize, 1) }
    }

    /// Reads the prompts in one batch, then decodes fixed tokens, one a sequence, until every sequence would have
    /// `tokens`: the same calls as the engine, whose first token comes out of the prompt's batch. Logits are computed,
    /// as llama.cpp computes them for any row that is asked for, and not looked at.
    pub fn run(&mut self, prompts: &[Vec<u32>], tokens: usize) -> Duration {
        self.context.clear_kv_cache();
        let start = Instant::now();
        self.batch.clear();
        for (stream, prompt) in prompts.iter().enumerate() {
            for (at, &token) in prompt.iter().enumerate() {
                self.add(token, at, stream, at + 1 == prompt.len());
            }
        }
        self.decode();
        for step in 0..tokens - 1 {
            self.batch.clear();
            for (stream, prompt) in prompts.iter().enumerate() {
                let token = prompt[(step + stream) % prompt.len()];
                self.add(token, prompt.len() + step, stream, true);
            }
            self.decode();
        }
        start.elapsed()
    }

    fn add(&mut self, token: u32, position: usize, stream: usize, wanted: bool) {
        let token = LlamaToken(token.cast_signed());
        self.batch.add(token, position as i32, &[stream as i32], wanted).expect("room in the batch");
    }

    fn decode(&mut self) {
        self.context.decode(&mut self.batch).expect("the batch is decoded");
        self.context.synchronize();
    }
}
