//! Files and folders that are there whole or not at all.

use std::fs::{self, File, TryLockError};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, ErrorKind, Place, Result};

/// Whether two paths mean the same file, also where that is not there yet.
pub fn same(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| {
        let folder = || {
            let folder =
                path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Some(folder.canonicalize().ok()?.join(path.file_name()?))
        };
        path.canonicalize().ok().or_else(folder)
    };
    place(one).is_some_and(|one| place(other) == Some(one))
}

/// What an output really is: where links lead, and whether that is no regular file (a pipe, a device), which is written into and never
/// replaced.
///
/// # Errors
/// It is a folder; a link leads nowhere that can be found.
pub fn target(path: &Path) -> Result<(PathBuf, bool)> {
    match fs::metadata(path) {
        Ok(facts) if facts.is_dir() => {
            let message = "this is a folder: name a file to write";
            Err(Error::new(ErrorKind::Io, message).at(Place::file(path)))
        }
        Ok(facts) if facts.is_file() => {
            let found = path.canonicalize().map_err(|error| Error::io("find the output", path, error))?;
            Ok((found, false))
        }
        Ok(_) => Ok((path.to_path_buf(), true)),
        // Not there yet: a new file, also behind a link.
        Err(_) => {
            let behind = fs::read_link(path).ok().map(|to| path.parent().unwrap_or(Path::new("")).join(to));
            Ok((behind.unwrap_or_else(|| path.to_path_buf()), false))
        }
    }
}

/// Writes a file and sees it through to the disk, under a temporary name first. What is no regular file is written into.
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
    let failed = |error| Error::io("write", path, error);
    let (path, special) = &target(path)?;
    if *special {
        let mut out = BufWriter::new(File::options().write(true).open(path).map_err(failed)?);
        work(&mut out)?;
        return out.flush().map_err(failed);
    }
    let partial = &beside(path, "partial");
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
    // Not every system can; the file itself is there by now.
    let _ = sync_folder(path);
    Ok(())
}

/// A vector of `f32` in a file of safetensors.
#[cfg(feature = "train")]
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
#[cfg(feature = "train")]
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
    may_replace(folder, own)?;
    let (whole, old) = (beside(folder, "partial"), beside(folder, "old"));
    remove(&whole)?;
    let failed = |error| Error::io("write the folder", folder, error);
    let written = fs::create_dir_all(&whole).map_err(failed).and_then(|()| work(&whole)).and_then(|()| {
        if folder.exists() {
            // A process that had the same number may have left one.
            remove(&old)?;
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
    let _ = sync_folder(folder);
    remove(&old)
}

/// Whether [`write_folder`] may put a folder there.
///
/// # Errors
/// It may not, and why.
pub fn may_replace(folder: &Path, own: &[&str]) -> Result<()> {
    let folder = folder.components().as_path();
    let wrong = |what: &str| Err(Error::config(what).at(Place::file(folder)));
    if folder.file_name().is_none() {
        return wrong("this is no name of a folder");
    }
    if !folder.exists() {
        return Ok(());
    }
    if !folder.is_dir() {
        return wrong("a file is there, and a folder is wanted: name another");
    }
    let failed = |error| Error::io("read the folder", folder, error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if !own.iter().any(|own| name == *own) {
            return wrong("this folder is there and holds other things: name another, or remove it");
        }
    }
    Ok(())
}

/// A name beside `path` that no other process uses.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.{ending}", std::process::id()));
    path.with_file_name(name)
}

/// Whether a name is one that this module gave to what is half-written or half-removed beside `name`. A name of
/// somebody's, such as `adapter.old`, has no number of a process in it.
pub fn is_left_over(found: &str, name: &str) -> bool {
    let rest = found.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')?.split_once('.'));
    rest.is_some_and(|(process, rest)| {
        process.parse::<u32>().is_ok()
            && ["partial", "old", "removed"].iter().any(|ending| rest.ends_with(ending))
    })
}

/// Removes a folder, if it is there: at once from its place, then file by file.
///
/// # Errors
/// The operating system refuses.
pub fn remove(folder: &Path) -> Result<()> {
    let failed = |error| Error::io("remove the folder", folder, error);
    let gone = beside(folder, "removed");
    let here = |done: std::io::Result<()>| match done {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(failed),
    };
    // What an earlier try left.
    here(fs::remove_dir_all(&gone))?;
    here(fs::rename(folder, &gone))?;
    here(fs::remove_dir_all(&gone))
}

/// Locks a file for this process; says whether nobody else has it.
///
/// It tries for half a second: a lock outlives its owner for as long as a child that was started meanwhile takes to
/// become another program, and the file of a killed run for as long as the system takes to clear up.
///
/// # Errors
/// The system cannot lock.
pub fn lock(file: &File) -> std::io::Result<bool> {
    const TRIES: u32 = 20;
    for attempt in 1.. {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if attempt >= TRIES => return Ok(false),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(25)),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(false)
}

/// Sees a rename in the folder of `path` through to the disk.
///
/// # Errors
/// The system cannot, or refuses.
pub fn sync_folder(path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| Error::io("sync the folder", folder, error))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn links_and_pipes_stay_what_they_are() {
        use std::os::unix::fs::FileTypeExt;

        let folder = tempfile::tempdir().expect("a folder");
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").expect("written");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        write(&link, b"new").expect("written");
        assert!(link.is_symlink());
        fs::remove_file(&file).expect("removed");
        write(&link, b"new").expect("written where nothing was");
        assert!(link.is_symlink());
        assert_eq!(fs::read(&file).expect("readable"), b"new");

        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read(pipe)
        });
        write(&pipe, b"through").expect("written");
        assert_eq!(reader.join().expect("a reader").expect("readable"), b"through");
        assert!(fs::metadata(&pipe).expect("there").file_type().is_fifo());
        assert!(crate::gguf::Writer::create(&pipe, &[], &[]).is_err(), "a model is no stream");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 3, "nothing is left beside them");
    }

    #[test]
    fn what_is_left_over_is_told_from_what_is_somebodys() {
        for (found, is) in [
            ("adapter.77.partial", true),
            ("adapter.77.old", true),
            ("adapter.77.old.8.removed", true),
            ("adapter.77.removed", true),
            ("adapter.removed", false),
            ("adapter.old", false),
            ("adapter.partial", false),
            ("adapter.v2.old", false),
            ("adapter", false),
            ("adapters.77.old", false),
        ] {
            assert_eq!(is_left_over(found, "adapter"), is, "{found}");
        }
    }

    #[test]
    fn folders_are_replaced_whole_or_not_at_all() {
        let room = tempfile::tempdir().expect("a folder");
        let folder = room.path().join("it");
        let put = |text: &'static str| move |folder: &Path| write(&folder.join("a"), text.as_bytes());
        write_folder(&folder, &["a"], put("one")).expect("written");
        write_folder(&folder, &["a"], put("two")).expect("replaced");
        write_folder(&folder, &["a"], |_| Err(Error::engine("no"))).expect_err("failed");
        assert_eq!(fs::read_to_string(folder.join("a")).expect("there"), "two");
        remove(&folder).expect("removed");
        remove(&folder).expect("there is nothing to remove");
        assert_eq!(fs::read_dir(room.path()).expect("a folder").count(), 0);
    }
}
