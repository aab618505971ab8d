//! The trainer: LoRA, or all weights, of a model that llama.cpp runs, by way of candle.
//!
//! From the bottom up: loops over slices ([`cpu`]), operations with a way back ([`ops`]), a [`tape`] of them, the
//! [`model`] read from a GGUF file, adapters ([`lora`]), and the optimiser ([`optim`]).

pub mod adapter;
pub mod cpu;
pub mod files;
pub mod lora;
pub mod model;
pub mod ops;
pub mod optim;
pub mod sft;
pub mod tape;

impl From<candle_core::Error> for crate::Error {
    fn from(error: candle_core::Error) -> Self {
        match error {
            // The trace is for candle's own developers.
            candle_core::Error::WithBacktrace { inner, .. } => (*inner).into(),
            other => crate::Error::engine(other.to_string()),
        }
    }
}
