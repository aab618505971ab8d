//! Bytes of a file, decompressed on the way: plain, gzip (several members), zstd (several frames).

use std::fs::File;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// Large enough that a system call is rare, small enough to stay in the cache.
const BUFFER: usize = 128 << 10;

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Gzip,
    Zstd,
    Parquet,
}

impl Packing {
    /// By the first bytes of the file; `name` decides only where they are too few to tell, so that
    /// `x.gz` cut off within its magic number is a broken gzip file and not an empty plain one.
    fn detect(head: &[u8], name: &Path) -> Packing {
        let suffix = name.extension().and_then(|s| s.to_str()).unwrap_or_default().to_ascii_lowercase();
        let skippable =
            head.len() >= 4 && (0x50..=0x5f).contains(&head[0]) && head[1..4] == [0x2a, 0x4d, 0x18];
        match head {
            [0x1f, 0x8b, ..] => Packing::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Packing::Zstd,
            _ if skippable => Packing::Zstd,
            [b'P', b'A', b'R', b'1', ..] => Packing::Parquet,
            _ if suffix == "gz" && [0x1f, 0x8b].starts_with(head) => Packing::Gzip,
            _ if suffix == "zst" && [0x28, 0xb5, 0x2f, 0xfd].starts_with(head) => Packing::Zstd,
            _ => Packing::Plain,
        }
    }
}

/// What is known of the packed bytes, seen from outside of the decompressor.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Packed bytes read so far.
    pub bytes: AtomicU64,
    ended: AtomicBool,
    failed: AtomicBool,
}

/// A reader that tells a [`Watch`] what happens to it.
struct Watched<R> {
    inner: R,
    watch: Arc<Watch>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer);
        match &read {
            Ok(0) if !buffer.is_empty() => self.watch.ended.store(true, Ordering::Relaxed),
            Ok(n) => drop(self.watch.bytes.fetch_add(*n as u64, Ordering::Relaxed)),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.watch.failed.store(true, Ordering::Relaxed),
        }
        read
    }
}

/// The bytes of one input, and how they are packed.
pub(super) struct Stream {
    pub reader: Box<dyn BufRead + Send>,
    pub packing: Packing,
    pub explain: Explain,
}

/// Tells data that is damaged from an operating system that fails.
pub(super) struct Explain {
    packing: Packing,
    watch: Arc<Watch>,
}

impl Stream {
    /// Opens `inner`, named `name`; the packing is told by its first bytes.
    pub fn new(inner: impl Read + Send + 'static, name: &Path, watch: Arc<Watch>) -> io::Result<Self> {
        watch.ended.store(false, Ordering::Relaxed);
        watch.failed.store(false, Ordering::Relaxed);
        let mut inner = Watched { inner, watch: watch.clone() };
        let mut head = Vec::with_capacity(4);
        Read::by_ref(&mut inner).take(4).read_to_end(&mut head)?;
        let packing = Packing::detect(&head, name);
        let packed: BufReader<Chain<Cursor<Vec<u8>>, _>> =
            BufReader::with_capacity(BUFFER, Cursor::new(head).chain(inner));
        let reader: Box<dyn BufRead + Send> = match packing {
            Packing::Plain | Packing::Parquet => Box::new(packed),
            Packing::Gzip => {
                let decoder = flate2::bufread::MultiGzDecoder::new(packed);
                Box::new(BufReader::with_capacity(BUFFER, decoder))
            }
            Packing::Zstd => Box::new(BufReader::with_capacity(BUFFER, ZstdFrames::new(packed))),
        };
        Ok(Stream { reader, packing, explain: Explain { packing, watch } })
    }
}

impl Explain {
    /// Why reading ended with `error`: `Ok` is what to say of damaged data, `Err` an error of the
    /// operating system.
    pub fn explain(&self, error: io::Error) -> Result<String, io::Error> {
        if self.watch.failed.load(Ordering::Relaxed) || self.packing == Packing::Plain {
            return Err(error);
        }
        let early = error.kind() == io::ErrorKind::UnexpectedEof
            || (self.packing == Packing::Zstd && self.watch.ended.load(Ordering::Relaxed));
        Ok(if early {
            "the compressed stream ends early: the file was cut off; what stood before is kept".to_string()
        } else {
            format!("the compressed stream is damaged ({error}); what stood before is kept")
        })
    }
}

/// How `path` is packed.
pub(super) fn packing_of(file: &mut File, path: &Path) -> io::Result<Packing> {
    let mut head = Vec::with_capacity(4);
    Read::by_ref(file).take(4).read_to_end(&mut head)?;
    io::Seek::rewind(file)?;
    Ok(Packing::detect(&head, path))
}

/// The frames of a zstd file one after the other; skippable frames are skipped, checksums checked.
struct ZstdFrames<R> {
    source: R,
    decoder: FrameDecoder,
    in_frame: bool,
    begun: bool,
}

impl<R: BufRead> ZstdFrames<R> {
    fn new(source: R) -> Self {
        ZstdFrames { source, decoder: FrameDecoder::new(), in_frame: false, begun: false }
    }

    fn next_frame(&mut self) -> io::Result<()> {
        match self.decoder.init(&mut self.source) {
            Ok(()) => self.in_frame = true,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                let mut frame = Read::by_ref(&mut self.source).take(u64::from(length));
                if io::copy(&mut frame, &mut io::sink())? < u64::from(length) {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Err(e) => return Err(io::Error::other(e)),
        }
        Ok(())
    }

    fn end_frame(&mut self) -> io::Result<()> {
        self.in_frame = false;
        let (stored, counted) =
            (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum());
        if stored.is_some() && stored != counted {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "wrong checksum"));
        }
        Ok(())
    }
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.in_frame {
                // A file without any frame was cut off.
                if std::mem::replace(&mut self.begun, true) && self.source.fill_buf()?.is_empty() {
                    return Ok(0);
                }
                self.next_frame()?;
            } else if self.decoder.can_collect() > 0 {
                return self.decoder.read(buffer);
            } else if self.decoder.is_finished() {
                self.end_frame()?;
            } else {
                self.decoder
                    .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(io::Error::other)?;
            }
        }
    }
}
