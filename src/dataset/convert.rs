//! Finished lines into the format that the output's name asks for.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// The format of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Lines,
    Gzip,
    Zstd,
    Parquet,
}

impl Format {
    /// By the suffix of its name.
    pub fn of(out: &Path) -> Result<Format> {
        let suffix = out.extension().and_then(|s| s.to_str()).unwrap_or_default().to_ascii_lowercase();
        match suffix.as_str() {
            "gz" => Ok(Format::Gzip),
            "zst" => Ok(Format::Zstd),
            "parquet" if cfg!(feature = "parquet") => Ok(Format::Parquet),
            "parquet" => Err(Error::config(
                "this build of rlkd writes no Parquet: build it with --features parquet, or name a .jsonl file",
            )),
            _ => Ok(Format::Lines),
        }
    }
}

/// zstd frames hold this much: enough to find repetitions, little enough to lie in memory.
const FRAME: usize = 4 << 20;

/// Writes the lines of `from` to `to` in `format`, and makes sure that they are on the disk.
pub(super) fn convert(from: &Path, to: &Path, format: Format) -> Result<()> {
    let read = |e| Error::io("read the partial output", from, e);
    let write = |e| Error::io("write the output", to, e);
    let mut input = BufReader::with_capacity(1 << 16, File::open(from).map_err(read)?);
    let output = File::create(to).map_err(write)?;
    let output = match format {
        Format::Lines => {
            let mut writer = output;
            std::io::copy(&mut input, &mut writer).map_err(write)?;
            writer
        }
        Format::Gzip => {
            let writer = BufWriter::new(output);
            let mut encoder = flate2::write::GzEncoder::new(writer, flate2::Compression::default());
            std::io::copy(&mut input, &mut encoder).map_err(write)?;
            let writer = encoder.finish().map_err(write)?;
            writer.into_inner().map_err(|e| write(e.into_error()))?
        }
        Format::Zstd => {
            // Frame by frame: the encoder gives up on a writer that fails, so it writes to memory.
            let mut writer = output;
            let mut part = Vec::new();
            loop {
                part.clear();
                (&mut input).take(FRAME as u64).read_to_end(&mut part).map_err(read)?;
                if part.is_empty() {
                    break;
                }
                let level = ruzstd::encoding::CompressionLevel::Fastest;
                let packed = ruzstd::encoding::compress_to_vec(part.as_slice(), level);
                writer.write_all(&packed).map_err(write)?;
            }
            writer
        }
        #[cfg(feature = "parquet")]
        Format::Parquet => super::columns::write(input, from, output, to)?,
        #[cfg(not(feature = "parquet"))]
        Format::Parquet => {
            return Err(
                Error::config("this build of rlkd writes no Parquet").at(crate::error::Place::file(to))
            );
        }
    };
    output.sync_all().map_err(write)
}
