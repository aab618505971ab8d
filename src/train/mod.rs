//! The trainer: LoRA, or all weights, of a model that llama.cpp runs, by way of candle.
//!
//! From the bottom up: loops over slices ([`cpu`]), operations with a way back ([`ops`]), a [`tape`] of them, the
//! [`model`] read from a GGUF file, adapters ([`lora`]), and the optimiser ([`optim`]).

pub mod adapter;
pub mod checkpoint;
pub mod cpu;
pub mod grpo;
pub mod lora;
pub mod memory;
pub mod model;
pub mod ops;
pub mod optim;
pub mod setup;
pub mod sft;
pub mod tape;

/// The device of a name: `cpu`, `cuda`, `metal`, or `auto` for the first GPU, if the program was built for one and one is
/// there.
///
/// # Errors
/// An unknown name, or there is no such device, with what to do.
pub fn device(name: &str) -> crate::Result<candle_core::Device> {
    use candle_core::Device;
    let missing = |error: candle_core::Error, feature: &str| {
        crate::Error::config(format!(
            "device = {name:?}: {}. The program has to be built with --features {feature}, and see the device; \
             device = \"cpu\" trains on the processor",
            crate::Error::from(error).message()
        ))
    };
    match name {
        "cpu" => Ok(Device::Cpu),
        "cuda" => Device::new_cuda(0).map_err(|error| missing(error, "cuda")),
        "metal" => Device::new_metal(0).map_err(|error| missing(error, "metal")),
        "auto" => Ok(Device::new_cuda(0).or_else(|_| Device::new_metal(0)).unwrap_or(Device::Cpu)),
        other => Err(crate::Error::config(format!("device = {other:?}: auto, cpu, cuda or metal"))),
    }
}

impl From<candle_core::Error> for crate::Error {
    fn from(error: candle_core::Error) -> Self {
        match error {
            // The trace is for candle's own developers.
            candle_core::Error::WithBacktrace { inner, .. } => (*inner).into(),
            other => crate::Error::engine(other.to_string()),
        }
    }
}
