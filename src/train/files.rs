//! Files and folders that are there whole or not at all.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::error::{Error, Result};

/// Writes a file and sees it through to the disk, under a temporary name first.
///
/// # Errors
/// The disk is full, or the like; what was there before is still there.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = Path::new(&partial);
    let failed = |error| Error::io("write", path, error);
    let written = File::create(partial).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    if let Err(error) = written.and_then(|()| fs::rename(partial, path)) {
        let _ = fs::remove_file(partial);
        return Err(failed(error));
    }
    sync(path);
    Ok(())
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
