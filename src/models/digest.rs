//! The SHA-256 of a file.

use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// Whether `text` is a SHA-256 as it is written: 64 hexadecimal digits in lower case.
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The SHA-256 of a file, in lower case hexadecimal; `progress` is told of every piece of bytes read.
///
/// # Errors
/// The file cannot be read.
pub fn sha256(path: &Path, mut progress: impl FnMut(u64)) -> Result<String> {
    let mut file = std::fs::File::open(path).map_err(|error| Error::io("open", path, error))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::io("read", path, error)),
        };
        hasher.update(&buffer[..read]);
        progress(read as u64);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digests() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        // FIPS 180-2, appendix B.
        for (text, expected) in [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ] {
            std::fs::write(&path, text).expect("written");
            let mut bytes = 0;
            let digest = sha256(&path, |read| bytes += read).expect("read");
            assert!(digest == expected && is_sha256(&digest) && bytes == text.len() as u64, "{digest}");
        }
        assert!(sha256(&folder.path().join("gone"), |_| ()).is_err());
        assert!(!is_sha256("E3B0") && !is_sha256(&"g".repeat(64)));
    }
}
