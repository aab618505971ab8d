//! The one error type of the library.
//!
//! An [`Error`] says what went wrong, where (file, line, byte) and, where
//! something can be done about it, what to do next.

use std::fmt;
use std::path::{Path, PathBuf};

/// Shorthand for results of this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A place in an input: a file and, where known, a line (from 1) and a byte
/// offset in that line (from 0).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file, or `-` for standard input.
    pub file: PathBuf,
    /// Line number, from 1; 0 when no line is meant.
    pub line: u64,
    /// Byte offset in the line, from 0.
    pub byte: Option<u64>,
}

impl Place {
    /// A whole file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Place { file: path.into(), line: 0, byte: None }
    }

    /// A line of a file; lines count from 1.
    pub fn line(path: impl Into<PathBuf>, line: u64) -> Self {
        Place { file: path.into(), line, byte: None }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
            if let Some(byte) = self.byte {
                write!(f, ": byte {byte}")?;
            }
        }
        Ok(())
    }
}

/// What kind of thing went wrong; decides nothing but how a caller may react.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A record or a file of data is not what it should be.
    Data,
    /// An option, a run file or a command line is wrong.
    Config,
    /// The operating system refused: missing file, full disk, no permission.
    Io,
    /// The embedded store is damaged or busy.
    Store,
    /// A decomposer or a judge could not do its work.
    Engine,
}

/// An error of this library.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    place: Option<Place>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of the given kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner { kind, message: message.into(), place: None, source: None }))
    }

    /// Bad data.
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Data, message)
    }

    /// A wrong option.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// A decomposer or judge that could not do its work.
    pub fn engine(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Engine, message)
    }

    /// An operating-system error on `path`; `doing` completes "cannot …".
    pub fn io(doing: &str, path: &Path, source: std::io::Error) -> Self {
        let message = format!("cannot {doing}: {source}");
        Error(Box::new(Inner {
            kind: ErrorKind::Io,
            message,
            place: Some(Place::file(path)),
            source: Some(Box::new(source)),
        }))
    }

    /// An error of the embedded store.
    pub fn store(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Store, message)
    }

    /// The same error, at `place`.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.0.place = Some(place);
        self
    }

    /// The same error, at `place` unless it has a place of its own.
    #[must_use]
    pub fn at_if_missing(mut self, place: Place) -> Self {
        self.0.place.get_or_insert(place);
        self
    }

    /// What kind of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Where it happened, if known.
    pub fn place(&self) -> Option<&Place> {
        self.0.place.as_ref()
    }

    /// The message without the place.
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.0.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|e| &**e as &(dyn std::error::Error + 'static))
    }
}
