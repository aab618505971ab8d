//! Texts as vectors: the mean of a model's last hidden states.

use std::num::NonZeroU32;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::{LlamaContextParams, LlamaPoolingType};
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::token::LlamaToken;

use super::model::{Model, backend};
use super::settings::{flash_policy, kv_type};
use crate::error::{Error, Result};

/// Tokens of a text that count; a step is seldom longer, and what it is about stands at its beginning.
pub const MOST_TOKENS: usize = 512;
/// Texts that are worked on at once.
const SEQUENCES: usize = 16;
/// Tokens that are worked on at once. llama.cpp computes logits for each of them that nobody reads: 600 KB a token at
/// a vocabulary of 151,936.
const BATCH: usize = 256;

type Order = (Vec<String>, Sender<Result<Vec<Vec<f32>>>>);

/// A thread that turns texts into vectors. Share it in an `Arc`.
pub struct Embedder {
    orders: Mutex<Option<Sender<Order>>>,
    thread: Option<JoinHandle<()>>,
}

impl Embedder {
    /// Starts the thread, which makes a context of its own.
    ///
    /// # Errors
    /// The context cannot be made.
    pub fn start(model: Arc<Model>) -> Result<Arc<Self>> {
        let (orders, inbox) = channel();
        let (ready, is_ready) = channel();
        let thread = std::thread::Builder::new()
            .name("rlkd-embed".into())
            .spawn(move || run(&model, &inbox, &ready))
            .map_err(|error| Error::engine(format!("cannot start the embedding thread: {error}")))?;
        is_ready.recv().map_err(|_| gone())??;
        Ok(Arc::new(Embedder { orders: Mutex::new(Some(orders)), thread: Some(thread) }))
    }

    /// A vector of length 1 for each text; a text without tokens gets the zero vector.
    ///
    /// The vector of a text does not depend on the others that it comes with.
    ///
    /// # Errors
    /// The model cannot be run.
    pub fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
        let (reply, answer) = channel();
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = orders.as_ref().is_some_and(|orders| orders.send((texts, reply)).is_ok());
        drop(orders);
        if !sent {
            return Err(gone());
        }
        answer.recv().map_err(|_| gone())?
    }
}

impl Drop for Embedder {
    fn drop(&mut self) {
        *self.orders.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn gone() -> Error {
    Error::engine("the embedding thread has stopped; RLKD_LOG=info says why")
}

fn run(model: &Model, inbox: &Receiver<Order>, ready: &Sender<Result<()>>) {
    let resolved = model.resolved();
    let threads = resolved.settings.threads.cast_signed();
    let params = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new((MOST_TOKENS * SEQUENCES) as u32))
        .with_n_seq_max(SEQUENCES as u32)
        .with_n_batch(BATCH as u32)
        .with_n_ubatch(BATCH as u32)
        .with_n_threads(threads)
        .with_n_threads_batch(threads)
        .with_kv_unified(false)
        .with_type_k(kv_type(resolved.kv))
        .with_type_v(kv_type(resolved.kv))
        .with_flash_attention_policy(flash_policy(resolved.flash_attention))
        .with_embeddings(true)
        .with_pooling_type(LlamaPoolingType::None)
        .with_no_perf(true);
    let context = backend().and_then(|backend| {
        model.inner().new_context(backend, params).map_err(|error| {
            Error::engine(format!("llama.cpp cannot make a context for embeddings: {error}"))
        })
    });
    let mut context = match context {
        Ok(context) => context,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    if ready.send(Ok(())).is_err() {
        return;
    }
    let mut batch = LlamaBatch::new(BATCH, 1);
    while let Ok((texts, reply)) = inbox.recv() {
        let vectors = embed(model, &mut context, &mut batch, &texts);
        // Whoever asked may be gone.
        let _ = reply.send(vectors);
    }
}

fn embed(
    model: &Model,
    context: &mut LlamaContext<'_>,
    batch: &mut LlamaBatch<'_>,
    texts: &[String],
) -> Result<Vec<Vec<f32>>> {
    let width = model.inner().n_embd_out().max(0) as usize;
    let mut vectors = Vec::with_capacity(texts.len());
    for group in texts.chunks(SEQUENCES) {
        // Means are taken here: llama.cpp pools what one pass sees of a text, and a text may lie in several.
        let mut sums = vec![vec![0.0_f64; width]; group.len()];
        let mut rows: Vec<usize> = Vec::with_capacity(BATCH);
        context.clear_kv_cache();
        batch.clear();
        for (sequence, text) in group.iter().enumerate() {
            let mut tokens = model.tokenize(text);
            tokens.truncate(MOST_TOKENS);
            for (position, token) in tokens.into_iter().enumerate() {
                batch
                    .add(LlamaToken(token.cast_signed()), position as i32, &[sequence as i32], true)
                    .map_err(|error| Error::engine(format!("the batch is full: {error}")))?;
                rows.push(sequence);
                if rows.len() == BATCH {
                    add_rows(context, batch, &mut rows, &mut sums)?;
                }
            }
        }
        add_rows(context, batch, &mut rows, &mut sums)?;
        vectors.extend(sums.into_iter().map(normalised));
    }
    Ok(vectors)
}

/// Computes what is in the batch and adds the hidden state of each token to the sum of its sequence.
fn add_rows(
    context: &mut LlamaContext<'_>,
    batch: &mut LlamaBatch<'_>,
    rows: &mut Vec<usize>,
    sums: &mut [Vec<f64>],
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    context.decode(batch).map_err(|error| Error::engine(format!("llama.cpp cannot embed: {error}")))?;
    for (row, sequence) in rows.drain(..).enumerate() {
        let state = context
            .embeddings_ith(row as i32)
            .map_err(|error| Error::engine(format!("this model gives no embeddings: {error}")))?;
        sums[sequence].iter_mut().zip(state).for_each(|(sum, x)| *sum += f64::from(*x));
    }
    batch.clear();
    Ok(())
}

/// The direction of a vector, as one of length 1; zeros where there is none.
fn normalised(vector: Vec<f64>) -> Vec<f32> {
    let length = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
    let scale = if length > 0.0 && length.is_finite() { 1.0 / length } else { 0.0 };
    vector.into_iter().map(|x| (x * scale) as f32).collect()
}
