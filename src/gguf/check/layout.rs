//! Where the tensors lie.

use crate::error::{Error, Result};
use crate::gguf::{Gguf, MOST_ALIGNMENT};

/// Least alignment of the tensors' data: llama.cpp maps the file, and asserts that its first tensor lies at a multiple
/// of this (`TENSOR_ALIGNMENT`).
const LEAST_ALIGNMENT: u64 = 32;

/// Every tensor has a size, lies inside the file, at its alignment and right behind the one before it, which is the
/// only layout that llama.cpp reads. So none overlaps another.
pub(super) fn check(file: &Gguf) -> Result<()> {
    if file.tensors.is_empty() {
        return Err(Error::data("the file has no tensors: it may be a vocabulary only"));
    }
    if !(LEAST_ALIGNMENT..=MOST_ALIGNMENT).contains(&file.alignment) {
        let what = format!(
            "key \"general.alignment\" is {}; {LEAST_ALIGNMENT} to {MOST_ALIGNMENT} are possible",
            file.alignment
        );
        return Err(Error::data(what));
    }
    let mut expected = 0u64;
    for tensor in &file.tensors {
        let name = &tensor.name;
        if tensor.shape.contains(&0) {
            return Err(Error::data(format!("tensor {name:?} of shape {:?} is empty", tensor.shape)));
        }
        let bytes = tensor.bytes().ok_or_else(|| {
            let (shape, kind) = (&tensor.shape, tensor.kind);
            Error::data(format!(
                "tensor {name:?} of shape {shape:?} cannot be {kind}: its rows are no whole blocks of {} numbers, or \
                 it is too large",
                kind.block()
            ))
        })?;
        if tensor.offset != expected {
            let what = if tensor.offset < expected { "overlaps the one before it" } else { "leaves a gap" };
            return Err(Error::data(format!(
                "tensor {name:?} begins at {} and should at {expected}: it {what}; the file is damaged, fetch it again",
                tensor.offset
            )));
        }
        let end = file.data_offset.checked_add(tensor.offset).and_then(|start| start.checked_add(bytes));
        if end.is_none_or(|end| end > file.file_length) {
            let end = end.map_or_else(|| "too far".into(), |end| end.to_string());
            return Err(Error::data(format!(
                "tensor {name:?} ends at byte {end}, and the file at {}: it is cut, fetch it again",
                file.file_length
            )));
        }
        // No overflow: the sum is below the file's length.
        expected = (tensor.offset + bytes).next_multiple_of(file.alignment);
    }
    Ok(())
}
