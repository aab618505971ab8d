//! What `--model` may name, and where that is on this machine. Nothing here asks the network.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::manifest::{Manifest, Origin};
use crate::config::nearest;
use crate::error::{Error, Place, Result};

/// What `--model` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file: what has a separator of paths in it or ends in `.gguf`.
    Path(PathBuf),
    /// `hf:owner/repo/file.gguf[@revision]`.
    Hub(HubFile),
    /// A manifest, by its name.
    Name(String),
}

impl FromStr for Source {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.starts_with(HubFile::SCHEME) {
            return Ok(Source::Hub(text.parse()?));
        }
        if text.contains(['/', '\\']) || text.ends_with(".gguf") {
            return Ok(Source::Path(text.into()));
        }
        if text.is_empty() {
            return Err(Error::config("the model has no name"));
        }
        Ok(Source::Name(text.into()))
    }
}

/// A file of a repository on the hub.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HubFile {
    /// `owner/name`.
    pub repository: String,
    /// The path in the repository, with `/`.
    pub path: String,
    /// A branch, a tag or a commit.
    pub revision: String,
}

impl HubFile {
    /// What its written form begins with.
    pub const SCHEME: &'static str = "hf:";

    /// The folder of the repository in the hub's cache.
    pub fn folder(&self) -> String {
        format!("models--{}", self.repository.replace('/', "--"))
    }
}

impl FromStr for HubFile {
    type Err = Error;

    /// # Errors
    /// Kind `Config`: not `hf:owner/repo/file.gguf[@revision]`, or a part of it that could lead out of a folder.
    fn from_str(text: &str) -> Result<Self> {
        let wrong =
            |what: &str| Error::config(format!("{text:?}: {what}; write hf:owner/repo/file.gguf[@revision]"));
        let rest = text.strip_prefix(Self::SCHEME).ok_or_else(|| wrong("it does not begin with hf:"))?;
        let (rest, revision) = rest.rsplit_once('@').unwrap_or((rest, "main"));
        let mut parts = rest.splitn(3, '/');
        let (Some(owner), Some(name), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong("owner, repository or file is missing"));
        };
        // What could leave a folder, end a URL's path or be a switch is no name on the hub either.
        let is_part = |part: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+');
            !part.is_empty() && !part.starts_with('.') && !part.starts_with('-') && part.bytes().all(plain)
        };
        let all = [owner, name].into_iter().chain(path.split('/')).chain(revision.split('/'));
        if let Some(part) = all.into_iter().find(|part| !is_part(part)) {
            return Err(wrong(&format!("{part:?} cannot be a part of it")));
        }
        if !path.ends_with(".gguf") {
            return Err(wrong("the file does not end in .gguf"));
        }
        Ok(HubFile { repository: format!("{owner}/{name}"), path: path.into(), revision: revision.into() })
    }
}

impl fmt::Display for HubFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}/{}", Self::SCHEME, self.repository, self.path)?;
        if self.revision != "main" {
            write!(f, "@{}", self.revision)?;
        }
        Ok(())
    }
}

/// Where models are on this machine: a folder of our own, and the cache that other programs of the hub share.
#[derive(Clone, Debug)]
pub struct Shelf {
    /// Known models, those of the user first.
    pub manifests: Vec<Manifest>,
    /// The user's folder: manifests, and files that they name.
    pub folder: PathBuf,
    /// The hub's cache, as `huggingface_hub` and `hf-hub` lay it out.
    pub hub_cache: PathBuf,
}

impl Shelf {
    /// The shelf of this user. The folder is `RLKD_MODELS`, or `rlkd/models` in `XDG_DATA_HOME` (`~/.local/share`). The
    /// hub's cache is `HF_HUB_CACHE`, or `hub` in `HF_HOME` (`~/.cache/huggingface`).
    ///
    /// # Errors
    /// No home is known and a variable that is needed is not set; a manifest is wrong.
    pub fn from_env() -> Result<Self> {
        let variable =
            |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = |name: &str| {
            std::env::home_dir().ok_or_else(|| Error::config(format!("no home folder is known: set {name}")))
        };
        let folder = match (variable("RLKD_MODELS"), variable("XDG_DATA_HOME")) {
            (Some(folder), _) => folder,
            (None, Some(data)) => data.join("rlkd/models"),
            (None, None) => home("RLKD_MODELS")?.join(".local/share/rlkd/models"),
        };
        let hub_cache = match (variable("HF_HUB_CACHE"), variable("HF_HOME")) {
            (Some(cache), _) => cache,
            (None, Some(home)) => home.join("hub"),
            (None, None) => home("HF_HOME")?.join(".cache/huggingface/hub"),
        };
        Self::new(folder, hub_cache)
    }

    /// A shelf in folders of the caller's choice, with the manifests of `folder` and those of the program.
    ///
    /// # Errors
    /// A manifest is wrong.
    pub fn new(folder: impl Into<PathBuf>, hub_cache: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        let mut manifests = Manifest::in_folder(&folder)?;
        for manifest in Manifest::built_in()? {
            if !manifests.iter().any(|other| other.name == manifest.name) {
                manifests.push(manifest);
            }
        }
        Ok(Shelf { manifests, folder, hub_cache: hub_cache.into() })
    }

    /// The manifest of a name.
    ///
    /// # Errors
    /// Kind `Config`: there is none; names the nearest.
    pub fn manifest(&self, name: &str) -> Result<&Manifest> {
        let names = || self.manifests.iter().map(|manifest| manifest.name.as_str());
        self.manifests.iter().find(|manifest| manifest.name == name).ok_or_else(|| {
            let meant = nearest(name, names()).map_or(String::new(), |name| format!("; did you mean {name:?}?"));
            let known = names().collect::<Vec<_>>().join(", ");
            Error::config(format!(
                "no model is called {name:?}{meant}. Known are {known}; a file is named by a path, one on the hub as \
                 hf:owner/repo/file.gguf"
            ))
        })
    }

    /// Where a file of the hub is in the cache, if it is there.
    pub fn cached(&self, file: &HubFile) -> Option<PathBuf> {
        let repository = self.hub_cache.join(file.folder());
        let snapshot = |commit: &str| repository.join("snapshots").join(commit).join(&file.path);
        let by_reference = std::fs::read_to_string(repository.join("refs").join(&file.revision)).ok();
        let by_reference =
            by_reference.filter(|commit| is_commit(commit.trim())).map(|commit| snapshot(commit.trim()));
        by_reference.into_iter().chain([snapshot(&file.revision)]).find(|path| path.is_file())
    }

    /// Where the file of a manifest is; `None` for one that is not there.
    pub fn file_of(&self, manifest: &Manifest) -> Option<PathBuf> {
        match &manifest.source {
            Origin::Hub(file) => self.cached(file),
            Origin::BuiltIn => Some(self.built_in(manifest)).filter(|path| path.is_file()),
            Origin::Random | Origin::Local => {
                Some(self.folder.join(&manifest.file)).filter(|path| path.is_file())
            }
        }
    }

    /// Where a model of the program itself is written to: a folder of its own, so that nothing of the user's is replaced.
    fn built_in(&self, manifest: &Manifest) -> PathBuf {
        self.folder.join("built-in").join(&manifest.file)
    }

    /// Writes a model of the program itself, unless it is there as it should be.
    fn unpack(&self, manifest: &Manifest) -> Result<PathBuf> {
        let (path, bytes) = (self.built_in(manifest), manifest.weights()?);
        if std::fs::read(&path).is_ok_and(|found| found == bytes) {
            return Ok(path);
        }
        // One thread at a time, and each process under a name of its own.
        static WRITING: Mutex<()> = Mutex::new(());
        let _turn = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let own = path.with_extension(format!("{}-{now}", std::process::id()));
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        let written = written.and_then(|()| std::fs::write(&own, bytes));
        written.and_then(|()| std::fs::rename(&own, &path)).map_err(|error| {
            let _ = std::fs::remove_file(&own);
            Error::io("write the program's own model (RLKD_MODELS names another folder)", &path, error)
        })?;
        Ok(path)
    }

    /// The file that `source` names. Sizes are compared with the manifest, checksums are not: `rlkd models check` does.
    ///
    /// # Errors
    /// Kind `Config`: there is no such model, or its file is not on this machine (says how to fetch it). Kind `Data`: it
    /// is not of the size that its manifest says. Kind `Io`: a path leads nowhere, or a model of the program itself
    /// cannot be written.
    pub fn locate(&self, source: &Source) -> Result<PathBuf> {
        match source {
            Source::Path(path) => {
                let found =
                    std::fs::metadata(path).map_err(|error| Error::io("open the model", path, error))?;
                if !found.is_file() {
                    return Err(Error::config("the model is no file").at(Place::file(path)));
                }
                Ok(path.clone())
            }
            Source::Hub(file) => self.cached(file).ok_or_else(|| absent(&file.to_string())),
            Source::Name(name) => {
                let manifest = self.manifest(name)?;
                if manifest.source == Origin::BuiltIn {
                    return self.unpack(manifest);
                }
                let path = self.file_of(manifest).ok_or_else(|| match manifest.source {
                    Origin::Local => Error::config(format!(
                        "{name} is not on this machine, and its manifest names no place to fetch it from: put the file \
                         at {}",
                        self.folder.join(&manifest.file).display()
                    )),
                    _ => absent(name),
                })?;
                has_size(&path, manifest.size)?;
                Ok(path)
            }
        }
    }
}

/// The error for a model that could be fetched.
fn absent(model: &str) -> Error {
    Error::config(format!(
        "{model} is not on this machine, and nothing is fetched unless asked for: run rlkd models fetch {model}, or add \
         --fetch"
    ))
}

/// Whether `text` can be the commit of a snapshot: what is joined to a path.
pub(super) fn is_commit(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Holds the size of a file against what it should be.
///
/// # Errors
/// Kind `Data`: it is another.
pub(super) fn has_size(path: &Path, size: u64) -> Result<()> {
    let found = std::fs::metadata(path).map_err(|error| Error::io("open the model", path, error))?.len();
    if found == size {
        return Ok(());
    }
    let message = format!(
        "the file has {found} bytes and its manifest says {size}: it is another file, or cut; move it away and fetch it \
         again"
    );
    Err(Error::data(message).at(Place::file(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_named_in_three_ways() {
        let hub = |repository: &str, path: &str, revision: &str| {
            Source::Hub(HubFile {
                repository: repository.into(),
                path: path.into(),
                revision: revision.into(),
            })
        };
        for (text, expected) in [
            ("m.gguf", Source::Path("m.gguf".into())),
            ("./m", Source::Path("./m".into())),
            ("tiny", Source::Name("tiny".into())),
            ("hf:o/r/m.gguf", hub("o/r", "m.gguf", "main")),
            ("hf:o-1/r.2_x/sub/m+q4.gguf@refs/pr/1", hub("o-1/r.2_x", "sub/m+q4.gguf", "refs/pr/1")),
        ] {
            let source: Source = text.parse().expect(text);
            assert_eq!(source, expected, "{text}");
            if let Source::Hub(file) = source {
                assert_eq!(file.to_string(), text);
            }
        }
        for text in [
            "",
            "hf:",
            "hf:o/m.gguf",
            "hf:o/r/m.bin",
            "hf:o/r/../m.gguf",
            "hf:../r/m.gguf",
            "hf:o//m.gguf",
            "hf:o/r/m.gguf@",
            "hf:o/r/m.gguf@../x",
            "hf:o/r/m.gguf@a//b",
            "hf:o/r/m .gguf",
            "hf:o/r/m?x.gguf",
            "hf:o/r/%2e%2e/m.gguf",
            "hf:-o/r/m.gguf",
            "hf:o/r/ü.gguf",
        ] {
            text.parse::<Source>().expect_err(text);
        }
    }

    #[cfg(any(feature = "llama", feature = "train"))]
    #[test]
    fn the_program_s_own_models_are_written_when_asked_for_and_mended() {
        let folder = tempfile::tempdir().expect("a folder");
        let shelf = Shelf::new(folder.path().join("models"), folder.path()).expect("a shelf");
        for name in ["gsrm-tiny", "student-tiny"] {
            let manifest = shelf.manifest(name).expect("known");
            assert_eq!(shelf.file_of(manifest), None, "nothing is written before it is asked for");
            let path = shelf.locate(&Source::Name(name.into())).expect("a model");
            let sha256 = || crate::models::digest::sha256(&path, |_| ()).expect("readable");
            assert_eq!(std::fs::metadata(&path).expect("there").len(), manifest.size, "{name}");
            assert_eq!(sha256(), manifest.sha256, "{name}");
            assert_eq!(shelf.file_of(manifest), Some(path.clone()));
            std::fs::write(&path, b"GGUF, cut").expect("writable");
            shelf.locate(&Source::Name(name.into())).expect("mended");
            assert_eq!(sha256(), manifest.sha256, "{name}");
        }
        let left = std::fs::read_dir(shelf.folder.join("built-in")).expect("a folder").count();
        assert_eq!(left, 2, "nothing else is left there");
        // A folder that cannot be: a file is in its place.
        let shelf = Shelf::new(folder.path().join("other"), folder.path()).expect("a shelf");
        std::fs::create_dir(&shelf.folder).expect("a folder");
        std::fs::write(shelf.folder.join("built-in"), b"").expect("writable");
        let error = shelf.locate(&Source::Name("gsrm-tiny".into())).expect_err("no folder");
        assert!(error.to_string().contains("RLKD_MODELS"), "{error}");
    }
}
