//! Files and folders that are there whole or not at all.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// Writes a file and sees it through to the disk, under a temporary name first.
///
/// # Errors
/// The disk is full, or the like; what was there before is still there.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, |out| out.write_all(bytes).map_err(|error| Error::io("write", path, error)))
}

/// The same, piece by piece.
///
/// # Errors
/// As [`write`], and those of `work`.
pub fn write_with(path: &Path, work: impl FnOnce(&mut BufWriter<File>) -> Result<()>) -> Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = Path::new(&partial);
    let failed = |error| Error::io("write", path, error);
    let written = || -> Result<()> {
        let mut out = BufWriter::with_capacity(1 << 18, File::create(partial).map_err(failed)?);
        work(&mut out)?;
        out.flush().and_then(|()| out.get_ref().sync_all()).map_err(failed)?;
        fs::rename(partial, path).map_err(failed)
    };
    if let Err(error) = written() {
        let _ = fs::remove_file(partial);
        return Err(error);
    }
    sync(path);
    Ok(())
}

/// A vector of `f32` in a file of safetensors.
pub struct Vector {
    /// Its name.
    pub name: String,
    /// How many numbers it has.
    pub count: usize,
    /// What gives them, when their turn comes.
    pub numbers: Box<dyn Fn() -> Result<Vec<f32>>>,
}

/// Writes a file of safetensors, one vector at a time.
///
/// Format: <https://github.com/huggingface/safetensors>: the length of a header (u64, little-endian), the header in JSON,
/// the numbers.
///
/// # Errors
/// As [`write`], and those of what gives the numbers.
pub fn write_vectors(path: &Path, vectors: &[Vector]) -> Result<()> {
    let mut header = serde_json::Map::new();
    let mut from = 0;
    for Vector { name, count, .. } in vectors {
        let to = from + 4 * count;
        let about = serde_json::json!({"dtype": "F32", "shape": [count], "data_offsets": [from, to]});
        header.insert(name.clone(), about);
        from = to;
    }
    let mut header = serde_json::Value::Object(header).to_string();
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    write_with(path, |out| {
        let failed = |error| Error::io("write", path, error);
        out.write_all(&(header.len() as u64).to_le_bytes()).map_err(failed)?;
        out.write_all(header.as_bytes()).map_err(failed)?;
        for vector in vectors {
            for number in (vector.numbers)()? {
                out.write_all(&number.to_le_bytes()).map_err(failed)?;
            }
        }
        Ok(())
    })
}

/// Makes an empty folder, in the place of whatever a broken-off run left there.
///
/// # Errors
/// The operating system refuses.
pub fn make_empty(folder: &Path) -> Result<()> {
    remove(folder)?;
    fs::create_dir_all(folder).map_err(|error| Error::io("create the folder", folder, error))
}

/// Removes a folder, if it is there.
///
/// # Errors
/// The operating system refuses.
pub fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove the folder", folder, error))
        }
        _ => Ok(()),
    }
}

/// Gives a folder that is whole its name; one that had it before is removed.
///
/// # Errors
/// The operating system refuses.
pub fn replace_folder(whole: &Path, folder: &Path) -> Result<()> {
    sync(&whole.join("."));
    let mut old = folder.as_os_str().to_owned();
    old.push(".old");
    let old = Path::new(&old);
    let failed = |error| Error::io("rename the folder", folder, error);
    if folder.exists() {
        remove(old)?;
        fs::rename(folder, old).map_err(failed)?;
    }
    fs::rename(whole, folder).map_err(failed)?;
    sync(folder);
    remove(old)
}

/// Sees the folder of `path` through to the disk. Not every system can; the file itself is there by then.
fn sync(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}
