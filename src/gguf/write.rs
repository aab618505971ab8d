//! Writing: metadata and tensors, streamed to a temporary name that becomes the file's own when all is there.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::value::{ARRAY, Array, Value};
use super::{DEFAULT_ALIGNMENT, MAGIC, MOST_ALIGNMENT, Tensor, TensorType};
use crate::error::{Error, Place, Result};
use crate::files::sync_folder;

/// The bytes of a file up to the tensors' data, padded; and the tensors with the offsets that they were given: one
/// after the other, each at a multiple of the alignment (`general.alignment`, or 32).
///
/// # Errors
/// A shape does not fit its type, or the alignment is no power of two up to [`MOST_ALIGNMENT`].
pub fn head(
    metadata: &[(String, Value)],
    tensors: &[(String, Vec<u64>, TensorType)],
) -> Result<(Vec<u8>, Vec<Tensor>)> {
    let alignment = alignment(metadata)?;
    let mut out = Vec::new();
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&3u32.to_le_bytes());
    out.extend_from_slice(&(tensors.len() as u64).to_le_bytes());
    out.extend_from_slice(&(metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        put_string(&mut out, key);
        put_value(&mut out, value);
    }
    let mut placed = Vec::with_capacity(tensors.len());
    let mut offset = 0u64;
    for (name, shape, kind) in tensors {
        let bytes = kind.bytes(shape);
        let end = bytes.and_then(|bytes| offset.checked_add(bytes)?.checked_next_multiple_of(alignment));
        let end = end.ok_or_else(|| {
            Error::data(format!(
                "tensor {name:?} of shape {shape:?} cannot be stored as {kind}: rows are whole blocks of {}",
                kind.block()
            ))
        })?;
        put_string(&mut out, name);
        out.extend_from_slice(&(shape.len() as u32).to_le_bytes());
        shape.iter().for_each(|size| out.extend_from_slice(&size.to_le_bytes()));
        out.extend_from_slice(&kind.id().to_le_bytes());
        out.extend_from_slice(&offset.to_le_bytes());
        placed.push(Tensor { name: name.clone(), shape: shape.clone(), kind: *kind, offset });
        offset = end;
    }
    out.resize(out.len().next_multiple_of(alignment as usize), 0);
    Ok((out, placed))
}

fn alignment(metadata: &[(String, Value)]) -> Result<u64> {
    match metadata.iter().find(|entry| entry.0 == "general.alignment") {
        None => Ok(DEFAULT_ALIGNMENT),
        Some((_, Value::U32(size))) if size.is_power_of_two() && u64::from(*size) <= MOST_ALIGNMENT => {
            Ok(u64::from(*size))
        }
        Some((key, other)) => {
            let what = format!(
                "key {key:?} has to be a u32, and a power of two up to {MOST_ALIGNMENT}; it is {other:?}"
            );
            Err(Error::data(what))
        }
    }
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u64).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    let kind = value.kind() as u32;
    if let Value::Array(array) = value {
        out.extend_from_slice(&ARRAY.to_le_bytes());
        out.extend_from_slice(&kind.to_le_bytes());
        out.extend_from_slice(&(array.len() as u64).to_le_bytes());
        return put_items(out, array);
    }
    out.extend_from_slice(&kind.to_le_bytes());
    match value {
        Value::U8(x) => out.extend_from_slice(&x.to_le_bytes()),
        Value::I8(x) => out.extend_from_slice(&x.to_le_bytes()),
        Value::U16(x) => out.extend_from_slice(&x.to_le_bytes()),
        Value::I16(x) => out.extend_from_slice(&x.to_le_bytes()),
        Value::U32(x) => out.extend_from_slice(&x.to_le_bytes()),
        Value::I32(x) => out.extend_from_slice(&x.to_le_bytes()),
        Value::F32(x) => out.extend_from_slice(&x.to_le_bytes()),
        Value::Bool(x) => out.push(u8::from(*x)),
        Value::String(x) => put_string(out, x),
        Value::U64(x) => out.extend_from_slice(&x.to_le_bytes()),
        Value::I64(x) => out.extend_from_slice(&x.to_le_bytes()),
        Value::F64(x) => out.extend_from_slice(&x.to_le_bytes()),
        Value::Array(_) => {}
    }
}

fn put_items(out: &mut Vec<u8>, array: &Array) {
    match array {
        Array::U8(list) => out.extend_from_slice(list),
        Array::I8(list) => list.iter().for_each(|x| out.extend_from_slice(&x.to_le_bytes())),
        Array::U16(list) => list.iter().for_each(|x| out.extend_from_slice(&x.to_le_bytes())),
        Array::I16(list) => list.iter().for_each(|x| out.extend_from_slice(&x.to_le_bytes())),
        Array::U32(list) => list.iter().for_each(|x| out.extend_from_slice(&x.to_le_bytes())),
        Array::I32(list) => list.iter().for_each(|x| out.extend_from_slice(&x.to_le_bytes())),
        Array::F32(list) => list.iter().for_each(|x| out.extend_from_slice(&x.to_le_bytes())),
        Array::Bool(list) => list.iter().for_each(|&x| out.push(u8::from(x))),
        Array::String(list) => list.iter().for_each(|x| put_string(out, x)),
        Array::U64(list) => list.iter().for_each(|x| out.extend_from_slice(&x.to_le_bytes())),
        Array::I64(list) => list.iter().for_each(|x| out.extend_from_slice(&x.to_le_bytes())),
        Array::F64(list) => list.iter().for_each(|x| out.extend_from_slice(&x.to_le_bytes())),
    }
}

/// Writes a file: the head at once, then the tensors' bytes in their order, in pieces of any size.
///
/// Until [`Self::finish`] the bytes lie in a file beside the target, `NAME.partial`, which is removed if the writer
/// is dropped before.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    partial: PathBuf,
    file: Option<BufWriter<File>>,
    tensors: Vec<Tensor>,
    alignment: u64,
    /// The tensor that is being written, and how many of its bytes are there.
    at: (usize, u64),
    named: bool,
}

impl Writer {
    /// Begins the file `path`.
    ///
    /// # Errors
    /// As [`head`]; the partial file cannot be made.
    pub fn create(
        path: &Path,
        metadata: &[(String, Value)],
        tensors: &[(String, Vec<u64>, TensorType)],
    ) -> Result<Self> {
        let (bytes, tensors) =
            head(metadata, tensors).map_err(|error| error.at_if_missing(Place::file(path)))?;
        let alignment = alignment(metadata)?;
        // A link is followed, so that the file it leads to is replaced and not the link.
        let (path, special) = &crate::files::target(path)?;
        if *special {
            let message = "a model cannot be written into a pipe or a device: name a file";
            return Err(Error::config(message).at(Place::file(path)));
        }
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file =
            File::create(&partial).map_err(|error| Error::io("create the model file", &partial, error))?;
        let file = BufWriter::with_capacity(1 << 20, file);
        let path = path.to_path_buf();
        let mut writer =
            Writer { path, partial, file: Some(file), tensors, alignment, at: (0, 0), named: false };
        writer.put(&bytes)?;
        Ok(writer)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(file) = &mut self.file else { return Err(Error::data("the file is finished")) };
        file.write_all(bytes).map_err(|error| Error::io("write the model file", &self.partial, error))
    }

    /// The tensor that the next bytes belong to.
    pub fn next_tensor(&self) -> Option<&Tensor> {
        self.tensors.get(self.at.0)
    }

    /// Adds bytes to the current tensor, and pads it when it is whole.
    ///
    /// # Errors
    /// They are more than the tensor has left; the disk is full, or the like.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let (index, done) = self.at;
        let total = self.tensors.get(index).and_then(Tensor::bytes).unwrap_or(0);
        let now = done + bytes.len() as u64;
        if now > total {
            let name = self.tensors.get(index).map_or("", |tensor| &tensor.name);
            let what = format!("tensor {name:?} takes {total} bytes, and {now} were given");
            return Err(Error::data(what).at(Place::file(&self.path)));
        }
        self.put(bytes)?;
        self.at.1 = now;
        if now == total {
            let padding = total.next_multiple_of(self.alignment) - total;
            self.put(&vec![0; padding as usize])?;
            self.at = (index + 1, 0);
        }
        Ok(())
    }

    /// Makes the file whole: it is written through to the disk and gets its name.
    ///
    /// # Errors
    /// A tensor is not whole; the disk is full, or the like. The target is as it was before.
    pub fn finish(mut self) -> Result<()> {
        if let Some(tensor) = self.next_tensor() {
            let what = format!("tensor {:?} is not whole: {} bytes were given", tensor.name, self.at.1);
            return Err(Error::data(what).at(Place::file(&self.path)));
        }
        let failed = |error| Error::io("write the model file", &self.path, error);
        if let Some(file) = self.file.take() {
            let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
            file.sync_all().map_err(failed)?;
        }
        std::fs::rename(&self.partial, &self.path).map_err(failed)?;
        self.named = true;
        // Not every system can sync a folder; the file itself is on the disk by now.
        let _ = sync_folder(&self.path);
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.file.take());
        if !self.named {
            let _ = std::fs::remove_file(&self.partial);
        }
    }
}
