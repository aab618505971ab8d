//! What is known of a model file before it is there: one TOML file each, in `models/` and in the user's own folder.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::digest::is_sha256;
use super::source::HubFile;
use crate::config::parse_toml;
use crate::error::{Error, Place, Result};

/// The manifests that come with the program: file name and text.
const BUILT_IN: &[(&str, &str)] = &[
    ("models/gsrm-tiny.toml", include_str!("../../models/gsrm-tiny.toml")),
    ("models/student-tiny.toml", include_str!("../../models/student-tiny.toml")),
    ("models/tiny-random-qwen2.toml", include_str!("../../models/tiny-random-qwen2.toml")),
];

/// The models that come with the program: name and file.
#[cfg(any(feature = "llama", feature = "train"))]
const WEIGHTS: &[(&str, &[u8])] = &[
    ("gsrm-tiny", include_bytes!("../../models/gsrm-tiny.gguf")),
    ("student-tiny", include_bytes!("../../models/student-tiny.gguf")),
];
/// A program that runs no model carries none.
#[cfg(not(any(feature = "llama", feature = "train")))]
const WEIGHTS: &[(&str, &[u8])] = &[];

/// A model file: what it is called, how it can be told, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What `--model` calls it: letters, digits, `.`, `_`, `-`.
    pub name: String,
    /// The name of the file in the folder of models: letters, digits, `.`, `_`, `-`, ending in `.gguf`.
    pub file: String,
    /// Bytes.
    pub size: u64,
    /// 64 hexadecimal digits in lower case.
    pub sha256: String,
    /// An SPDX expression, such as `Apache-2.0`.
    pub licence: String,
    /// Words for a reader of the list, such as `instruct` or `4-bit`: letters, digits, `.`, `_`, `-`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Where the file comes from.
    pub source: Origin,
}

/// Where a file comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Origin {
    /// `hf:owner/repo/file.gguf[@revision]`.
    Hub(HubFile),
    /// `built-in`: in the program itself, which writes it into the folder of models when it is asked for.
    BuiltIn,
    /// `random`: made on this machine, by [`crate::gguf::random::write`] with the default spec.
    Random,
    /// `local`: put into the folder of models by hand.
    Local,
}

impl TryFrom<String> for Origin {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        match text.as_str() {
            "built-in" => Ok(Origin::BuiltIn),
            "random" => Ok(Origin::Random),
            "local" => Ok(Origin::Local),
            hub if hub.starts_with(HubFile::SCHEME) => Ok(Origin::Hub(hub.parse()?)),
            _ => Err(Error::config(format!(
                "{text:?} is no source: hf:owner/repo/file.gguf[@revision], built-in, random, or local"
            ))),
        }
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> String {
        match origin {
            Origin::Hub(file) => file.to_string(),
            Origin::BuiltIn => "built-in".into(),
            Origin::Random => "random".into(),
            Origin::Local => "local".into(),
        }
    }
}

impl Manifest {
    /// Reads a manifest; `place` names where the text came from.
    ///
    /// # Errors
    /// Kind `Config`: not TOML, an unknown key, or a value that is not of its form; with the file and, where it is
    /// known, the line.
    pub fn parse(text: &str, place: &Place) -> Result<Self> {
        let manifest: Manifest = parse_toml(text, place)?;
        let wrong = |what: String| Err(Error::config(what).at(place.clone()));
        if !is_plain(&manifest.name) {
            return wrong(format!("name = {:?}: letters, digits, '.', '_' and '-' only", manifest.name));
        }
        if !is_plain(&manifest.file) || !manifest.file.ends_with(".gguf") {
            return wrong(format!("file = {:?}: a plain file name that ends in .gguf", manifest.file));
        }
        if !is_sha256(&manifest.sha256) {
            return wrong(format!("sha256 = {:?}: 64 hexadecimal digits in lower case", manifest.sha256));
        }
        if manifest.size == 0 || manifest.licence.trim().is_empty() {
            return wrong("size and licence may not be empty".into());
        }
        if let Some(tag) = manifest.tags.iter().find(|tag| !is_plain(tag)) {
            return wrong(format!("tags: {tag:?}: letters, digits, '.', '_' and '-' only"));
        }
        Ok(manifest)
    }

    /// The manifests that come with the program.
    ///
    /// # Errors
    /// One of them is wrong, which is a fault of this program.
    pub fn built_in() -> Result<Vec<Manifest>> {
        BUILT_IN.iter().map(|(name, text)| Manifest::parse(text, &Place::file(*name))).collect()
    }

    /// The file of a model that comes with the program.
    ///
    /// # Errors
    /// Kind `Config`: this program carries no such model.
    pub fn weights(&self) -> Result<&'static [u8]> {
        let found = WEIGHTS.iter().find(|(name, _)| *name == self.name);
        found.map(|(_, bytes)| *bytes).ok_or_else(|| {
            let name = &self.name;
            Error::config(format!(
                "{name} is not in this program: its own models come with the features llama and train, and source = \"built-in\" is for \
                 them only"
            ))
        })
    }

    /// The manifests in a folder, by file name; none if the folder is not there.
    ///
    /// # Errors
    /// The folder or a manifest in it cannot be read, or is wrong.
    pub fn in_folder(folder: &Path) -> Result<Vec<Manifest>> {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io("read the folder of models", folder, error)),
        };
        let mut paths: Vec<PathBuf> = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()
            .map_err(|error| Error::io("read the folder of models", folder, error))?;
        paths.retain(|path| path.extension().is_some_and(|suffix| suffix == "toml"));
        paths.sort();
        let read = |path: PathBuf| {
            let text = std::fs::read_to_string(&path)
                .map_err(|error| Error::io("read the manifest", &path, error))?;
            Manifest::parse(&text, &Place::file(path))
        };
        paths.into_iter().map(read).collect()
    }
}

/// Whether a name is safe as a part of a path and of a command line.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 200
        && !name.starts_with(['.', '-'])
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name = \"a\"\nfile = \"a.gguf\"\nsize = 3\n\
        sha256 = \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"\n\
        licence = \"MIT\"\nsource = \"hf:owner/repo/sub/a.gguf@v1\"\n";

    #[test]
    fn manifests_are_read_and_written() {
        let tagged = GOOD.to_owned() + "tags = [\"instruct\", \"4-bit\"]\n";
        let manifest = Manifest::parse(&tagged, &Place::file("a.toml")).expect("a manifest");
        assert_eq!(manifest.tags, ["instruct", "4-bit"]);
        assert_eq!(String::from(manifest.source.clone()), "hf:owner/repo/sub/a.gguf@v1");
        let again = toml::to_string(&manifest).expect("TOML");
        assert_eq!(Manifest::parse(&again, &Place::file("b.toml")).expect("a manifest"), manifest);
    }

    #[test]
    fn wrong_manifests_name_place_and_reason() {
        for (from, to, part) in [
            ("licence", "license", "a.toml:5: byte 0: unknown key `license`: did you mean `licence`?"),
            ("size = 3", "size = -3", "a.toml:3"),
            ("size = 3", "size = 0", "size and licence"),
            ("\"a.gguf\"", "\"../a.gguf\"", "a plain file name"),
            ("\"a.gguf\"", "\"a.bin\"", "a plain file name"),
            ("\"a\"", "\"-a\"", "name ="),
            ("ba78", "BA78", "64 hexadecimal"),
            ("hf:owner/repo/sub/a.gguf@v1", "https://a/b.gguf", "is no source"),
            ("hf:owner/repo/sub/a.gguf@v1", "hf:owner/../a.gguf", "a.toml:6"),
            ("licence", "template = \"file\"\nlicence", "unknown key `template`"),
            ("licence", "tags = [\"two words\"]\nlicence", "tags: \"two words\""),
        ] {
            let error = Manifest::parse(&GOOD.replace(from, to), &Place::file("a.toml")).expect_err(to);
            assert!(error.to_string().contains(part), "{to}: {error}");
        }
    }

    #[test]
    fn built_in_manifests_are_right_and_complete() {
        let manifests = Manifest::built_in().expect("they parse");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let mut in_folder = Manifest::in_folder(&folder).expect("they parse");
        in_folder.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(manifests, in_folder, "BUILT_IN lists every file of models/, in order");
        assert!(Manifest::in_folder(&folder.join("gone")).expect("none").is_empty());
    }
}
