//! A file of the hub, fetched: with resume, checked, and never half there.
//!
//! `hf-hub` speaks with the hub. It knows no checksums and gives a file its name as soon as bytes stop coming, so it
//! downloads into a folder beside the cache; from there a file moves into the cache once its size and SHA-256 are right.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use hf_hub::api::Progress;
use hf_hub::api::sync::{ApiBuilder, ApiError};
use hf_hub::{Cache, Repo, RepoType};

use super::digest;
use super::manifest::{Manifest, Origin};
use super::source::{HubFile, Shelf, Source, has_size, is_commit};
use crate::error::{Error, Place, Result};
use crate::gguf::random;

/// The hub that is asked unless `HF_ENDPOINT` names another.
const ENDPOINT: &str = "https://huggingface.co";
/// The folder in the hub's cache where files lie until they are whole and checked.
const STAGING: &str = ".rlkd-partial";

/// How far a fetch has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Bytes on disk, of how many.
    Download(u64, u64),
    /// Bytes whose checksum was computed, of how many.
    Check(u64, u64),
}

/// A hub and the right to read it.
#[derive(Clone, Debug)]
pub struct Hub {
    /// `https://…`, without a slash at the end.
    pub endpoint: String,
    /// What gated and private repositories ask for.
    pub token: Option<String>,
}

impl Hub {
    /// The hub of `HF_ENDPOINT`, with the token of `HF_TOKEN` or of the file that `hf auth login` leaves beside the cache
    /// of `shelf`.
    pub fn from_env(shelf: &Shelf) -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.into());
        let token = variable("HF_TOKEN").or_else(|| Cache::new(shelf.hub_cache.clone()).token());
        Hub { endpoint: endpoint.trim_end_matches('/').into(), token: token.map(|token| token.trim().into()) }
    }
}

/// What a file must be.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Expected {
    size: u64,
    sha256: String,
}

/// The file that `source` names, fetched or made if it is not on this machine. A file that is there is not asked for
/// again.
///
/// # Errors
/// As [`Shelf::locate`] for a path or a model without a place to fetch it from. Kind `Io`: the hub cannot be reached,
/// refuses (with a word on `HF_TOKEN`), or the transfer broke; the same call goes on where it stopped. Kind `Data`: what
/// came is not what the manifest or the hub said; it is kept aside, and the message says where.
pub fn fetch(shelf: &Shelf, hub: &Hub, source: &Source, progress: &mut dyn FnMut(Stage)) -> Result<PathBuf> {
    match source {
        Source::Path(_) => shelf.locate(source),
        Source::Hub(file) => match shelf.cached(file) {
            Some(path) => Ok(path),
            None => fetch_file(shelf, hub, file, None, progress),
        },
        Source::Name(name) => {
            let manifest = shelf.manifest(name)?;
            match (&manifest.source, shelf.file_of(manifest)) {
                (Origin::BuiltIn | Origin::Local, _) => shelf.locate(source),
                (_, Some(path)) => {
                    has_size(&path, manifest.size)?;
                    Ok(path)
                }
                (Origin::Hub(file), None) => {
                    let expected = Expected { size: manifest.size, sha256: manifest.sha256.clone() };
                    fetch_file(shelf, hub, file, Some(expected), progress)
                }
                (Origin::Random, None) => make(shelf, manifest, progress),
            }
        }
    }
}

/// Makes a model with random weights.
fn make(shelf: &Shelf, manifest: &Manifest, progress: &mut dyn FnMut(Stage)) -> Result<PathBuf> {
    let folder = &shelf.folder;
    std::fs::create_dir_all(folder)
        .map_err(|error| Error::io("create the folder of models", folder, error))?;
    let path = folder.join(&manifest.file);
    let unchecked = folder.join(format!("{}.unchecked", manifest.file));
    random::write(&unchecked, &random::Spec::default())?;
    verify(&unchecked, &Expected { size: manifest.size, sha256: manifest.sha256.clone() }, progress)?;
    std::fs::rename(&unchecked, &path).map_err(|error| Error::io("move the file to", &path, error))?;
    Ok(path)
}

fn fetch_file(
    shelf: &Shelf,
    hub: &Hub,
    file: &HubFile,
    expected: Option<Expected>,
    progress: &mut dyn FnMut(Stage),
) -> Result<PathBuf> {
    let staging = shelf.hub_cache.join(STAGING);
    std::fs::create_dir_all(&staging).map_err(|error| Error::io("create the folder", &staging, error))?;
    let cache = Cache::new(staging);
    let repo = Repo::with_revision(file.repository.clone(), RepoType::Model, file.revision.clone());
    let staged = cache.repo(repo.clone());
    let api = ApiBuilder::from_cache(cache)
        .with_endpoint(hub.endpoint.clone())
        .with_token(hub.token.clone())
        .with_progress(false)
        .build()
        .map_err(|error| refused(file, hub, &error))?;
    let repository = api.repo(repo);

    let metadata =
        caught(|| api.metadata(&repository.url(&file.path))).map_err(|error| refused(file, hub, &error))?;
    let (etag, commit, size) = (metadata.etag(), metadata.commit_hash(), metadata.size() as u64);
    // Both become parts of paths.
    if !is_commit(etag) || !is_commit(commit) {
        return Err(Error::data(format!("{file}: the hub's answer has no proper etag or commit")));
    }
    // The hub names a large file by its SHA-256; a small one by git's SHA-1, which is no check against tampering.
    let told = digest::is_sha256(etag).then(|| Expected { size, sha256: etag.to_owned() });
    let expected = match (expected, told) {
        (Some(expected), told) => {
            let other = told.as_ref().is_some_and(|told| told.sha256 != expected.sha256);
            if other || expected.size != size {
                return Err(Error::data(format!(
                    "{file}: the hub has another file than the manifest names (size {size}, SHA-256 {etag}; expected {} \
                     and {}); nothing was fetched. Name the revision that is meant, or mend the manifest",
                    expected.size, expected.sha256
                )));
            }
            expected
        }
        (None, Some(told)) => told,
        (None, None) => {
            return Err(Error::data(format!(
                "{file}: the hub gives no SHA-256 for this file, so it could not be checked; write a manifest for it"
            )));
        }
    };

    let is_whole = |path: &Path| path.metadata().is_ok_and(|found| found.is_file() && found.len() == size);
    let blob = staged.blob_path(etag);
    let part = blob.with_extension("part");
    let moved = shelf.hub_cache.join(file.folder()).join("blobs").join(etag);
    // A run that was ended may have left the whole file: moved and not named, fetched and not checked, or a part that
    // lacks nothing, for which the hub would not send the rest.
    let whole = if cfg!(unix) && is_whole(&moved) {
        moved
    } else if blob.is_file() {
        blob.clone()
    } else if is_whole(&part) {
        std::fs::rename(&part, &blob).map_err(|error| Error::io("move the file to", &blob, error))?;
        blob.clone()
    } else {
        let watch = Watch { progress, done: 0, total: size };
        match caught(|| repository.download_with_progress(&file.path, watch)) {
            // On Unix a link to the blob; elsewhere the file may have been moved there.
            Ok(pointer) if !blob.is_file() => pointer,
            Err(error) if !is_whole(&blob) => return Err(broken(file, hub, &blob, &error)),
            // What failed came after the download, and is not needed.
            Ok(_) | Err(_) => blob.clone(),
        }
    };
    verify(&whole, &expected, progress)?;
    File::open(&whole)
        .and_then(|written| written.sync_all())
        .map_err(|error| Error::io("write through to the disk", &whole, error))?;
    let path = place(shelf, file, &whole, etag, commit)?;
    // What hf-hub noted of a file that has moved. Folders stay: another fetch of the repository may be using them.
    let folder = shelf.hub_cache.join(STAGING).join(file.folder());
    let _ = std::fs::remove_file(folder.join("snapshots").join(commit).join(&file.path));
    let _ = std::fs::remove_file(folder.join("refs").join(&file.revision));
    let _ = std::fs::remove_file(blob.with_extension("lock"));
    Ok(path)
}

/// `hf-hub` panics at some answers of a hub, and it may where two fetches of a repository meet. That becomes an error.
fn caught<T>(call: impl FnOnce() -> Result<T, ApiError>) -> Result<T, ApiError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no word on why");
        Err(ApiError::IoError(std::io::Error::other(format!("the client of the hub failed: {text}"))))
    })
}

/// Holds a file against what it must be.
fn verify(path: &Path, expected: &Expected, progress: &mut dyn FnMut(Stage)) -> Result<()> {
    let size = std::fs::metadata(path).map_err(|error| Error::io("read", path, error))?.len();
    let mut done = 0;
    let sha256 = digest::sha256(path, |read| {
        done += read;
        progress(Stage::Check(done, size));
    })?;
    if size == expected.size && sha256 == expected.sha256 {
        return Ok(());
    }
    let message = format!(
        "this is not the file that was meant: size {size} and SHA-256 {sha256}, expected {} and {}. It is kept here and \
         not used; remove it to fetch it again from the beginning",
        expected.size, expected.sha256
    );
    Err(Error::data(message).at(Place::file(path)))
}

/// Moves a checked file to where programs of the hub look for it: the bytes under their name in `blobs`, a link to them
/// under the commit, and the commit under the revision's name. Each step leaves the cache in order.
fn place(shelf: &Shelf, file: &HubFile, staged: &Path, etag: &str, commit: &str) -> Result<PathBuf> {
    let repository = shelf.hub_cache.join(file.folder());
    let blob = repository.join("blobs").join(etag);
    let pointer = repository.join("snapshots").join(commit).join(&file.path);
    let reference = repository.join("refs").join(&file.revision);
    for path in [&blob, &pointer, &reference] {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| Error::io("create the folder", folder, error))?;
        }
    }
    let target = if cfg!(unix) { &blob } else { &pointer };
    std::fs::rename(staged, target).map_err(|error| Error::io("move the file to", target, error))?;
    if let Some(folder) = target.parent() {
        // Not every system can sync a folder; the file itself is on the disk by now.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    #[cfg(unix)]
    {
        // From `snapshots/COMMIT/` and as many folders below as the path has.
        let up = "../".repeat(2 + file.path.matches('/').count());
        let link = pointer.with_extension("rlkd-link");
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(format!("{up}blobs/{etag}"), &link)
            .and_then(|()| std::fs::rename(&link, &pointer))
            .map_err(|error| Error::io("link the file to", &pointer, error))?;
    }
    if *commit != file.revision {
        let partial = reference.with_extension("rlkd-partial");
        std::fs::write(&partial, commit)
            .and_then(|()| std::fs::rename(&partial, &reference))
            .map_err(|error| Error::io("write", &reference, error))?;
    }
    Ok(pointer)
}

/// Tells how far a download has come.
struct Watch<'a> {
    progress: &'a mut dyn FnMut(Stage),
    done: u64,
    total: u64,
}

impl Progress for Watch<'_> {
    fn init(&mut self, size: usize, _: &str) {
        (self.done, self.total) = (0, size as u64);
    }

    fn update(&mut self, size: usize) {
        self.done += size as u64;
        (self.progress)(Stage::Download(self.done, self.total));
    }

    fn finish(&mut self) {}
}

/// The hub said no, or nothing.
fn refused(file: &HubFile, hub: &Hub, error: &ApiError) -> Error {
    let text = error.to_string();
    let status = ["401", "403", "404"].into_iter().find(|code| text.contains(&format!("status: {code}")));
    let what = match (status, hub.token.is_some()) {
        (Some("401" | "403"), false) => {
            "the hub asks who you are: the repository is private or gated. Set HF_TOKEN to a token that may read it"
        }
        (Some("401" | "403"), true) => {
            "the hub does not let this token read the repository: accept its terms on the hub, or set HF_TOKEN to \
             another token"
        }
        (Some(_), _) => "the hub knows no such file: check owner, repository, path and revision",
        (None, _) => "the hub cannot be asked",
    };
    Error::io(&format!("fetch {file}: {what}"), Path::new(&hub.endpoint), std::io::Error::other(text))
}

/// The transfer ended before its end.
fn broken(file: &HubFile, hub: &Hub, blob: &Path, error: &ApiError) -> Error {
    let part = blob.with_extension("part");
    match error {
        ApiError::InvalidResume => Error::data(format!(
            "what was fetched of {file} is longer than the file: remove it and fetch again"
        ))
        .at(Place::file(part)),
        ApiError::LockAcquisition(_) => Error::config(format!(
            "another program is fetching {file}: wait for it, and run the same command again"
        )),
        error => match std::fs::metadata(&part) {
            Ok(found) if found.len() > 0 => Error::io(
                &format!(
                    "fetch all of {file}: {} bytes are there, and the same command goes on from them",
                    found.len()
                ),
                &part,
                std::io::Error::other(error.to_string()),
            ),
            _ => refused(file, hub, error),
        },
    }
}
