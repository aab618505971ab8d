//! Files and folders that are there whole or not at all.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::error::{Error, Place, Result};

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
/// As [`write()`], and those of `work`.
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
/// As [`write()`], and those of what gives the numbers.
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

/// Writes a folder: `work` fills one under a temporary name, which then gets the name `folder`. A folder that is there is
/// replaced only if it is empty or holds nothing but files of the names `own`.
///
/// # Errors
/// There is a folder with other things in it, or a file; the disk is full, or the like. What was there is still there.
pub fn write_folder(folder: &Path, own: &[&str], work: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    // Without a slash at its end.
    let folder = folder.components().as_path();
    let wrong = |what: &str| Error::config(what).at(Place::file(folder));
    let name = folder.file_name().ok_or_else(|| wrong("this is no name of a folder"))?;
    let beside = |ending: &str| {
        let mut own = name.to_owned();
        own.push(format!(".{}.{ending}", std::process::id()));
        folder.with_file_name(own)
    };
    if folder.exists() {
        let failed = |error| Error::io("read the folder", folder, error);
        for entry in fs::read_dir(folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if !own.iter().any(|own| name == *own) {
                return Err(wrong("this folder is there and holds other things: name another, or remove it"));
            }
        }
    }
    let (whole, old) = (beside("partial"), beside("old"));
    remove(&whole)?;
    let failed = |error| Error::io("write the folder", folder, error);
    let written = fs::create_dir_all(&whole).map_err(failed).and_then(|()| work(&whole)).and_then(|()| {
        if folder.exists() {
            fs::rename(folder, &old).map_err(failed)?;
        }
        fs::rename(&whole, folder).map_err(|error| {
            // What was there gets its name back.
            let _ = fs::rename(&old, folder);
            failed(error)
        })
    });
    if let Err(error) = written {
        let _ = remove(&whole);
        return Err(error);
    }
    sync(folder);
    remove(&old)
}

/// Removes a folder, if it is there: at once from its place, then file by file.
///
/// # Errors
/// The operating system refuses.
pub fn remove(folder: &Path) -> Result<()> {
    let failed = |error| Error::io("remove the folder", folder, error);
    let mut gone = folder.as_os_str().to_owned();
    gone.push(".partial");
    let gone = if folder.to_string_lossy().ends_with(".partial") {
        folder.into()
    } else {
        Path::new(&gone).to_owned()
    };
    if gone != folder {
        match fs::rename(folder, &gone) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(failed)?,
        }
    }
    match fs::remove_dir_all(&gone) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

/// Sees the folder of `path` through to the disk. Not every system can; the file itself is there by then.
fn sync(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}
