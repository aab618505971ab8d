//! Reading: from the bytes of a file to a [`Gguf`], with every count and length held against the bytes that are left.
//!
//! Nothing is allocated that the rest of the file could not fill, and the number of entries is bounded, so what is read
//! takes at most twice the file's head for a moment, and some 10 MiB.

use std::collections::HashSet;
use std::io::{BufReader, Read, Seek, SeekFrom};

use super::value::{ARRAY, Array, Strings, Value, ValueType};
use super::{DEFAULT_ALIGNMENT, Gguf, MAGIC, Tensor, TensorType};
use crate::error::{Error, Result};

/// Most bytes of a key: what the specification allows.
pub const MOST_KEY_BYTES: u64 = 65_535;
/// A tensor's name is shorter than this: `GGML_MAX_NAME`.
pub const NAME_LIMIT: u64 = 64;
/// Most dimensions of a tensor: `GGML_MAX_DIMS`.
pub const MOST_DIMENSIONS: u32 = 4;
/// Most entries, and most tensors. The largest models that circulate have some 3,000 tensors.
const MOST_ENTRIES: u64 = 1 << 16;
/// Most bytes of one text, and most items of a list: what llama.cpp's reader takes.
const MOST_ITEMS: u64 = 1 << 30;
/// Fewest bytes that an entry takes: a key of one byte with its length, a type, a value of one byte.
const LEAST_ENTRY: u64 = 8 + 1 + 4 + 1;
/// Fewest bytes that the description of a tensor takes: an empty name's length, dimensions, type, offset.
const LEAST_TENSOR: u64 = 8 + 4 + 4 + 8;

/// Reads the head of a file: everything but the tensors' data.
///
/// # Errors
/// As [`Gguf::open`]; without the file's name, which a stream does not have.
pub(super) fn read(source: impl Read + Seek) -> Result<Gguf> {
    let mut source = BufReader::with_capacity(1 << 16, source);
    let length = source.seek(SeekFrom::End(0)).and_then(|length| source.rewind().map(|()| length));
    let length = length.map_err(failed)?;
    Reader { source, at: 0, length }.file()
}

fn failed(error: std::io::Error) -> Error {
    Error::new(crate::error::ErrorKind::Io, format!("cannot read the model file: {error}"))
}

struct Reader<R> {
    source: BufReader<R>,
    at: u64,
    length: u64,
}

impl<R: Read + Seek> Reader<R> {
    fn file(&mut self) -> Result<Gguf> {
        if self.length < 4 || self.array::<4>("the magic")? != *MAGIC {
            return Err(Error::data("this is no GGUF file: it does not begin with the bytes `GGUF`"));
        }
        let version = self.u32("the version")?;
        match version {
            2 | 3 => {}
            1 => return Err(Error::data("GGUF version 1 is out of use: convert the model anew")),
            _ if version & 0xffff == 0 => {
                let message = format!(
                    "byte 4: version {version:#x} looks like a file of the other byte order: convert the model for little-endian machines"
                );
                return Err(Error::data(message));
            }
            _ => {
                let message =
                    format!("byte 4: GGUF version {version} is unknown; versions 2 and 3 can be read");
                return Err(Error::data(message));
            }
        }
        let tensor_count = self.count("tensors", LEAST_TENSOR)?;
        let entry_count = self.count("metadata entries", LEAST_ENTRY)?;
        let metadata = self.metadata(entry_count)?;
        let alignment = alignment(&metadata)?;
        let tensors = self.tensors(tensor_count)?;
        let data_offset = self.at.checked_next_multiple_of(alignment).unwrap_or(u64::MAX);
        let data_offset = if tensors.is_empty() { self.at } else { data_offset };
        Ok(Gguf { version, alignment, metadata, tensors, data_offset, file_length: self.length })
    }

    fn metadata(&mut self, count: u64) -> Result<Vec<(String, Value)>> {
        let mut metadata = Vec::new();
        let mut seen = HashSet::new();
        for index in 0..count {
            let at = self.at;
            let key = self.string("a key", MOST_KEY_BYTES)?;
            if key.is_empty() {
                return Err(Error::data(format!("byte {at}: key {index} is empty")));
            }
            if !seen.insert(key.clone()) {
                return Err(Error::data(format!("byte {at}: the key {key:?} comes twice")));
            }
            let value = self.value(&key)?;
            metadata.push((key, value));
        }
        Ok(metadata)
    }

    fn tensors(&mut self, count: u64) -> Result<Vec<Tensor>> {
        let mut tensors = Vec::new();
        let mut seen = HashSet::new();
        for index in 0..count {
            let at = self.at;
            let name = self.string("a tensor's name", NAME_LIMIT - 1)?;
            if name.is_empty() || name.contains('\0') {
                let what =
                    format!("byte {at}: the name of tensor {index}, {name:?}, is empty or has a zero byte");
                return Err(Error::data(what));
            }
            if !seen.insert(name.clone()) {
                return Err(Error::data(format!("byte {at}: the tensor {name:?} comes twice")));
            }
            let at = self.at;
            let dimensions = self.u32("a tensor's dimensions")?;
            if !(1..=MOST_DIMENSIONS).contains(&dimensions) {
                let what =
                    format!("byte {at}: tensor {name:?} has {dimensions} dimensions; 1 to 4 are possible");
                return Err(Error::data(what));
            }
            let shape = (0..dimensions).map(|_| self.u64("a tensor's shape")).collect::<Result<Vec<_>>>()?;
            let id = self.u32("a tensor's type")?;
            let kind = TensorType::from_id(id).ok_or_else(|| {
                Error::data(format!(
                    "byte {}: tensor {name:?} has the unknown type {id}: quantize the model anew, or use a newer rlkd",
                    self.at - 4
                ))
            })?;
            let offset = self.u64("a tensor's offset")?;
            tensors.push(Tensor { name, shape, kind, offset });
        }
        Ok(tensors)
    }

    fn value(&mut self, key: &str) -> Result<Value> {
        let at = self.at;
        let unknown =
            |id: u32, at: u64| Error::data(format!("byte {at}: key {key:?} has the unknown value type {id}"));
        let id = self.u32("a value's type")?;
        if id != ARRAY {
            let kind = ValueType::from_id(id).ok_or_else(|| unknown(id, at))?;
            return self.scalar(key, kind);
        }
        let at = self.at;
        let id = self.u32("the type of a list")?;
        if id == ARRAY {
            return Err(Error::data(format!(
                "byte {at}: key {key:?} is a list of lists, which llama.cpp cannot read"
            )));
        }
        let kind = ValueType::from_id(id).ok_or_else(|| unknown(id, at))?;
        let length = self.u64("the length of a list")?;
        if length > MOST_ITEMS {
            let what = format!("byte {}: key {key:?} has {length} items; 2^30 are possible", self.at - 8);
            return Err(Error::data(what));
        }
        self.list(key, kind, length).map(Value::Array)
    }

    fn scalar(&mut self, key: &str, kind: ValueType) -> Result<Value> {
        Ok(match kind {
            ValueType::U8 => Value::U8(u8::from_le_bytes(self.array(key)?)),
            ValueType::I8 => Value::I8(i8::from_le_bytes(self.array(key)?)),
            ValueType::U16 => Value::U16(u16::from_le_bytes(self.array(key)?)),
            ValueType::I16 => Value::I16(i16::from_le_bytes(self.array(key)?)),
            ValueType::U32 => Value::U32(u32::from_le_bytes(self.array(key)?)),
            ValueType::I32 => Value::I32(i32::from_le_bytes(self.array(key)?)),
            ValueType::F32 => Value::F32(f32::from_le_bytes(self.array(key)?)),
            ValueType::Bool => Value::Bool(self.array::<1>(key)?[0] != 0),
            ValueType::String => Value::String(self.string(key, MOST_ITEMS)?),
            ValueType::U64 => Value::U64(u64::from_le_bytes(self.array(key)?)),
            ValueType::I64 => Value::I64(i64::from_le_bytes(self.array(key)?)),
            ValueType::F64 => Value::F64(f64::from_le_bytes(self.array(key)?)),
        })
    }

    fn list(&mut self, key: &str, kind: ValueType, length: u64) -> Result<Array> {
        Ok(match kind {
            ValueType::U8 => Array::U8(self.numbers(key, length, u8::from_le_bytes)?),
            ValueType::I8 => Array::I8(self.numbers(key, length, i8::from_le_bytes)?),
            ValueType::U16 => Array::U16(self.numbers(key, length, u16::from_le_bytes)?),
            ValueType::I16 => Array::I16(self.numbers(key, length, i16::from_le_bytes)?),
            ValueType::U32 => Array::U32(self.numbers(key, length, u32::from_le_bytes)?),
            ValueType::I32 => Array::I32(self.numbers(key, length, i32::from_le_bytes)?),
            ValueType::F32 => Array::F32(self.numbers(key, length, f32::from_le_bytes)?),
            ValueType::Bool => Array::Bool(self.numbers(key, length, |[byte]: [u8; 1]| byte != 0)?),
            ValueType::String => Array::String(self.strings(key, length)?),
            ValueType::U64 => Array::U64(self.numbers(key, length, u64::from_le_bytes)?),
            ValueType::I64 => Array::I64(self.numbers(key, length, i64::from_le_bytes)?),
            ValueType::F64 => Array::F64(self.numbers(key, length, f64::from_le_bytes)?),
        })
    }

    fn numbers<T, const N: usize>(
        &mut self,
        key: &str,
        length: u64,
        read: fn([u8; N]) -> T,
    ) -> Result<Vec<T>> {
        let bytes = self.bytes(key, length.saturating_mul(N as u64))?;
        let (items, _) = bytes.as_chunks::<N>();
        Ok(items.iter().map(|&item| read(item)).collect())
    }

    fn strings(&mut self, key: &str, length: u64) -> Result<Strings> {
        // Each text has a length of eight bytes.
        self.need(key, length.saturating_mul(8))?;
        let mut strings = Strings::default();
        for _ in 0..length {
            strings.push(&self.string(key, MOST_ITEMS)?);
        }
        Ok(strings)
    }

    /// A text of at most `most` bytes; `what` stands in errors.
    fn string(&mut self, what: &str, most: u64) -> Result<String> {
        let at = self.at;
        let length = self.u64(what)?;
        if length > most {
            let message = format!("byte {at}: {what:?} is {length} bytes long; {most} are possible");
            return Err(Error::data(message));
        }
        let bytes = self.bytes(what, length)?;
        String::from_utf8(bytes).map_err(|error| {
            let at = at + 8 + error.utf8_error().valid_up_to() as u64;
            Error::data(format!("byte {at}: {what:?} is no UTF-8 text: the file is damaged, fetch it again"))
        })
    }

    fn count(&mut self, of: &str, least: u64) -> Result<u64> {
        let at = self.at;
        let count = self.u64(of)?;
        let most = (self.length - self.at) / least;
        if count <= most && count > MOST_ENTRIES {
            let what = format!("byte {at}: {count} {of} are announced; {MOST_ENTRIES} are possible");
            return Err(Error::data(what));
        }
        if count > most {
            let what = format!(
                "byte {at}: {count} {of} are announced, but the rest of the file has room for {most} at most: \
                 the file is cut or damaged, fetch it again"
            );
            return Err(Error::data(what));
        }
        Ok(count)
    }

    fn need(&self, what: &str, bytes: u64) -> Result<()> {
        let left = self.length.saturating_sub(self.at);
        if bytes > left {
            let what = format!(
                "byte {}: {what:?} takes {bytes} bytes, but the file has {left} left: it is cut or damaged, \
                 fetch it again",
                self.at
            );
            return Err(Error::data(what));
        }
        Ok(())
    }

    fn bytes(&mut self, what: &str, count: u64) -> Result<Vec<u8>> {
        self.need(what, count)?;
        let mut bytes =
            vec![0; usize::try_from(count).map_err(|_| Error::data("too large for this machine"))?];
        self.source.read_exact(&mut bytes).map_err(failed)?;
        self.at += count;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        self.need(what, N as u64)?;
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes).map_err(failed)?;
        self.at += N as u64;
        Ok(bytes)
    }

    fn u32(&mut self, what: &str) -> Result<u32> {
        self.array(what).map(u32::from_le_bytes)
    }

    fn u64(&mut self, what: &str) -> Result<u64> {
        self.array(what).map(u64::from_le_bytes)
    }
}

fn alignment(metadata: &[(String, Value)]) -> Result<u64> {
    let Some((key, value)) = metadata.iter().find(|entry| entry.0 == "general.alignment") else {
        return Ok(DEFAULT_ALIGNMENT);
    };
    match *value {
        Value::U32(alignment) if alignment.is_power_of_two() => Ok(alignment.into()),
        ref other => {
            Err(Error::data(format!("key {key:?} has to be a u32 and a power of two, and is {other:?}")))
        }
    }
}
