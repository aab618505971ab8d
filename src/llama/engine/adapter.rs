//! LoRA adapters in llama.cpp's memory. Only for a model that one engine alone has, while none of its lanes computes: contexts read the
//! model's list of adapters, which is changed here.
//!
//! llama-cpp-2 gives one only for a `&mut LlamaModel`, which nobody has while a context lives, and never frees it: a run that
//! takes a new adapter at every step would keep all of them. So these few calls are made here.

use std::ffi::CString;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::model::{LlamaLoraAdapter, LlamaModel};
use llama_cpp_sys_2::{llama_adapter_lora, llama_adapter_lora_free, llama_adapter_lora_init, llama_model};

use crate::error::{Error, Place, Result};
use crate::llama::model::Model;

/// Held while the list of adapters that a model keeps is changed.
static LISTS: Mutex<()> = Mutex::new(());

// Both are `repr(transparent)` around a pointer that is not null.
const _: () = assert!(size_of::<LlamaModel>() == size_of::<NonNull<llama_model>>());
const _: () = assert!(size_of::<LlamaLoraAdapter>() == size_of::<NonNull<llama_adapter_lora>>());

/// An adapter of a model. Dropping it frees it: by then no context may use it.
pub(super) struct Loaded {
    handle: LlamaLoraAdapter,
    /// What it is of lives as long.
    _model: Arc<Model>,
}

impl Loaded {
    /// Reads a file that [`crate::gguf`] has written: llama.cpp checks names and shapes, and little else.
    ///
    /// # Errors
    /// The file does not go with the model, or cannot be read.
    #[allow(unsafe_code)]
    pub(super) fn load(model: &Arc<Model>, file: &Path) -> Result<Self> {
        let failed = || {
            Error::engine("llama.cpp cannot load this adapter; RLKD_LOG=llama=info says why")
                .at(Place::file(file))
        };
        let path = file.to_str().and_then(|path| CString::new(path).ok()).ok_or_else(failed)?;
        let _held = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: LlamaModel is a pointer to a llama_model and nothing else (its attribute says so, and the size above), and
        // lives behind the Arc. The call reads the model's tensors and adds to its list of adapters. Contexts read that list:
        // those of this model belong to one engine ([`super::Engine::set_adapter`]), and none computes now ([`super::gate`]).
        let adapter = unsafe {
            let raw = *std::ptr::from_ref(model.inner()).cast::<NonNull<llama_model>>();
            llama_adapter_lora_init(raw.as_ptr(), path.as_ptr())
        };
        let adapter = NonNull::new(adapter).ok_or_else(failed)?;
        // SAFETY: LlamaLoraAdapter is such a pointer and nothing else.
        let handle = unsafe { std::mem::transmute::<NonNull<llama_adapter_lora>, LlamaLoraAdapter>(adapter) };
        Ok(Loaded { handle, _model: Arc::clone(model) })
    }

    /// Makes a context use it, and no other.
    ///
    /// # Errors
    /// llama.cpp refuses.
    pub(super) fn set(&mut self, context: &mut LlamaContext<'_>) -> Result<()> {
        context
            .lora_adapter_set(&mut self.handle, 1.0)
            .map_err(|error| Error::engine(format!("the adapter cannot be set: {error}")))
    }

    /// Makes a context use none.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub(super) fn unset(&mut self, context: &mut LlamaContext<'_>) -> Result<()> {
        context
            .lora_adapter_remove(&mut self.handle)
            .map_err(|error| Error::engine(format!("the adapter cannot be unset: {error}")))
    }
}

impl Drop for Loaded {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        let _held = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the handle is the pointer that llama_adapter_lora_init gave, which nobody else has, and its model lives. It
        // is taken off the model's list, so that it is not freed once more with the model.
        unsafe {
            let raw = *std::ptr::from_ref(&self.handle).cast::<NonNull<llama_adapter_lora>>();
            llama_adapter_lora_free(raw.as_ptr());
        }
    }
}
