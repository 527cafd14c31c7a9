//! From the bytes of an object as stored to the bytes of its records.
//!
//! In comes a stream that is plain, gzip (of any number of members) or zstd (of any number of frames), told apart by
//! its first bytes and never by its name; out come the decoded bytes. On the way the stored bytes are counted and
//! digested, all of them, also those behind damage.
//!
//! What must stay true: where damage is found, and how many of the bytes before it a checksum has verified, depends on
//! the stored bytes alone, not on how they were cut into reads; what no checksum has verified becomes a row of nobody's
//! ([`parts()`] sees to it); damage of the data is never confused with a failure to read it (the source is tried again);
//! memory and output are bounded.

mod foreign;
mod gzip;
mod parts;
mod stored;
mod zstandard;

use std::fmt;
use std::io::{self, Read};

use gzip::Gzip;
use stored::StoredBytes;
use zstandard::Zstd;

use crate::error::Hint;

pub use foreign::Foreign;
pub use parts::{Damage, Known, Unreadable, parts};

/// The largest window of a zstd stream that is accepted, as a power of two: 128 MiB, what `zstd` itself accepts
/// without being told otherwise.
pub const MAX_WINDOW_LOG: u32 = 27;

/// How an object is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// Not at all.
    Plain,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Codec {
    /// The codec of a stream that begins with `bytes` (four are enough).
    pub fn of(bytes: &[u8]) -> Codec {
        match bytes {
            [0x1f, 0x8b, ..] => Codec::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Codec::Zstd,
            // A frame to be skipped may come first (RFC 8878, 3.1.2).
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Codec::Zstd,
            _ => Codec::Plain,
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Codec::Plain => "plain",
            Codec::Gzip => "gzip",
            Codec::Zstd => "zstd",
        })
    }
}

/// What becomes of a source whose compressed stream is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDamage {
    /// It fails, and nothing of it is written. The default: most damage is a transfer that can be repeated, and then
    /// all rows can be had; a source that counts as done is never looked at again.
    #[default]
    Fail,
    /// The records before the last checksum that agrees are kept; all that follows is one reject with reason `stream`.
    Reject,
}

impl OnDamage {
    /// Every choice with its word on command lines and in variables.
    pub const WORDS: [(&'static str, OnDamage); 2] = [("fail", OnDamage::Fail), ("reject", OnDamage::Reject)];

    /// The word for this choice.
    pub fn word(self) -> &'static str {
        OnDamage::WORDS.iter().find(|(_, choice)| *choice == self).expect("every choice has a word").0
    }
}

impl fmt::Display for OnDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl std::str::FromStr for OnDamage {
    type Err = String;

    fn from_str(word: &str) -> Result<OnDamage, String> {
        let found = OnDamage::WORDS.iter().find(|(known, _)| *known == word);
        found.map(|(_, choice)| *choice).ok_or_else(|| "expected `fail` or `reject`".to_owned())
    }
}

/// Why decoding stopped before the end.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The stream ends within a member or frame. What was decoded of it is most likely right, but nothing proves it.
    #[error("the {codec} stream is cut off after {at_input} bytes ({at_output} decoded)")]
    Truncated {
        /// The codec.
        codec: Codec,
        /// Stored bytes up to here.
        at_input: u64,
        /// Decoded bytes up to here.
        at_output: u64,
    },
    /// The stream is damaged, or something else follows it. What was decoded since the last checksum may be anything.
    #[error("the {codec} stream is damaged at byte {at_input} ({at_output} decoded): {reason}")]
    Corrupt {
        /// The codec.
        codec: Codec,
        /// Stored bytes read when the damage was noticed.
        at_input: u64,
        /// Decoded bytes up to here.
        at_output: u64,
        /// What is wrong.
        reason: String,
    },
    /// More comes out than the caller allows.
    #[error("the source decodes to more than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// A zstd stream that needs more memory than is allowed.
    #[error("the zstd stream needs a window of more than 2^{MAX_WINDOW_LOG} bytes (128 MiB)")]
    WindowTooLarge,
    /// The stored bytes could not be read: this says nothing about them.
    #[error("cannot read the source")]
    Io(#[from] io::Error),
    /// The first bytes are those of a file that holds no JSON, or holds it in a way that is not read here.
    #[error("this is {}; expected JSON in UTF-8, plain or compressed with gzip or zstd", kind.name)]
    Foreign {
        /// What it is.
        kind: Foreign,
    },
    /// The source was another one when it was read a second time.
    #[error("changed while it was being read")]
    Changed,
}

impl DecodeError {
    /// Whether this is damage in the data, rather than a failure to read it or a limit.
    pub fn is_damage(&self) -> bool {
        matches!(self, DecodeError::Truncated { .. } | DecodeError::Corrupt { .. })
    }
}

impl Hint for DecodeError {
    fn hint(&self) -> Option<&str> {
        match self {
            DecodeError::TooLarge { .. } => {
                Some("if the source is what it should be, raise --max-decoded-bytes")
            }
            DecodeError::WindowTooLarge => Some("compress the source again without --long or --ultra"),
            DecodeError::Truncated { .. } | DecodeError::Corrupt { .. } => Some(
                "nothing of it was kept: get a whole copy and run again; or keep what comes before the damage with \
                 --on-damage reject (IOTLAKE_ON_DAMAGE of the function)",
            ),
            DecodeError::Foreign { kind } => Some(kind.remedy),
            DecodeError::Changed => Some("wait until its writer is done, then run the same command again"),
            DecodeError::Io(_) => None,
        }
    }
}

/// What a source was, known once all of it has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// How it was compressed.
    pub codec: Codec,
    /// Its length as stored, in bytes.
    pub size: u64,
    /// XXH3-128 of the stored bytes, in hexadecimal.
    pub digest: String,
    /// Its length decoded, in bytes.
    pub decoded: u64,
}

/// Reads a source and decodes it.
///
/// ```
/// use iotlake::decode::Decoder;
///
/// let mut decoder = Decoder::new(&b"{\"a\":1}\n"[..], u64::MAX);
/// let mut buffer = [0; 1024];
/// assert_eq!(decoder.read(&mut buffer).unwrap(), 8);
/// assert_eq!(decoder.read(&mut buffer).unwrap(), 0);
/// assert_eq!(decoder.finish().unwrap().size, 8);
/// ```
pub struct Decoder<R> {
    stored: StoredBytes<R>,
    method: Option<Method>,
    decoded: u64,
    limit: u64,
    is_done: bool,
}

enum Method {
    Plain,
    Gzip(Box<Gzip>),
    Zstd(Box<Zstd>),
}

/// What one step of a method gave.
enum Step {
    /// So many bytes, at least one.
    Bytes(usize),
    /// The stream is complete.
    End,
    /// No further byte can be had.
    Fault(Fault),
}

/// What is wrong with a stream.
enum Fault {
    Truncated,
    Corrupt(String),
    WindowTooLarge,
}

impl<R: Read> Decoder<R> {
    /// A decoder of `reader` that fails with [`DecodeError::TooLarge`] beyond `limit` decoded bytes.
    pub fn new(reader: R, limit: u64) -> Decoder<R> {
        Decoder { stored: StoredBytes::new(reader), method: None, decoded: 0, limit, is_done: false }
    }

    /// Decodes the next bytes into `buffer` and says how many; 0 means the end, also after damage was reported.
    ///
    /// # Errors
    /// See [`DecodeError`]. After damage ([`DecodeError::is_damage`]) the source can still be finished.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, DecodeError> {
        if self.is_done || buffer.is_empty() {
            return Ok(0);
        }
        match self.step(buffer)? {
            Step::Bytes(count) => {
                self.decoded += count as u64;
                if self.decoded > self.limit {
                    self.is_done = true;
                    return Err(DecodeError::TooLarge { limit: self.limit });
                }
                Ok(count)
            }
            Step::End => {
                self.is_done = true;
                Ok(0)
            }
            Step::Fault(fault) => Err(self.fail(fault)),
        }
    }

    /// How the source is compressed; reads its first bytes if none have been read yet.
    ///
    /// # Errors
    /// [`DecodeError::Io`] and [`DecodeError::Foreign`].
    pub fn codec(&mut self) -> Result<Codec, DecodeError> {
        let method = match &mut self.method {
            Some(method) => method,
            None => self.method.insert(Method::start(&mut self.stored)?),
        };
        Ok(method.codec())
    }

    /// How many of the bytes handed out so far lie before the last checksum that agreed. All of them, where nothing is
    /// compressed: there is no checksum to wait for.
    pub fn verified(&self) -> u64 {
        match &self.method {
            None => 0,
            Some(Method::Plain) => self.decoded,
            Some(Method::Gzip(gzip)) => gzip.verified,
            Some(Method::Zstd(zstd)) => zstd.verified,
        }
    }

    /// Reads what is left of the stored bytes without decoding it, and says what the source was.
    ///
    /// # Errors
    /// [`DecodeError::Io`] and [`DecodeError::Foreign`].
    pub fn finish(mut self) -> Result<Stored, DecodeError> {
        let codec = self.codec()?;
        let digest = self.drain()?;
        Ok(Stored { codec, size: self.stored.size, digest, decoded: self.decoded })
    }

    /// Reads what is left of the stored bytes without decoding it; the digest of all of them.
    fn drain(&mut self) -> Result<String, DecodeError> {
        self.is_done = true;
        self.stored.drain()?;
        Ok(self.stored.digest.finish())
    }

    fn step(&mut self, buffer: &mut [u8]) -> Result<Step, DecodeError> {
        let method = match &mut self.method {
            Some(method) => method,
            None => self.method.insert(Method::start(&mut self.stored)?),
        };
        Ok(match method {
            Method::Plain => match self.stored.read(buffer)? {
                0 => Step::End,
                count => Step::Bytes(count),
            },
            Method::Gzip(gzip) => gzip.step(&mut self.stored, buffer)?,
            Method::Zstd(zstd) => zstd.step(&mut self.stored, buffer)?,
        })
    }

    fn fail(&mut self, fault: Fault) -> DecodeError {
        self.is_done = true;
        let codec = self.method.as_ref().map_or(Codec::Plain, Method::codec);
        let (at_input, at_output) = (self.stored.consumed, self.decoded);
        // Damage may be nothing but a connection that is about to break: only when the rest could be read is it
        // certain that the data is what is wrong.
        if let Err(error) = self.stored.drain() {
            return error.into();
        }
        match fault {
            Fault::Truncated => DecodeError::Truncated { codec, at_input, at_output },
            Fault::Corrupt(reason) => DecodeError::Corrupt { codec, at_input, at_output, reason },
            Fault::WindowTooLarge => DecodeError::WindowTooLarge,
        }
    }
}

impl<R> fmt::Debug for Decoder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("decoded", &self.decoded)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl Method {
    fn start<R: Read>(stored: &mut StoredBytes<R>) -> Result<Method, DecodeError> {
        let bytes = stored.fill()?;
        Ok(match (Codec::of(bytes), Foreign::of(bytes)) {
            (Codec::Plain, Some(kind)) => return Err(DecodeError::Foreign { kind }),
            (Codec::Plain, None) => Method::Plain,
            (Codec::Gzip, _) => Method::Gzip(Box::new(Gzip::new())),
            (Codec::Zstd, _) => Method::Zstd(Box::new(Zstd::new()?)),
        })
    }

    fn codec(&self) -> Codec {
        match self {
            Method::Plain => Codec::Plain,
            Method::Gzip(_) => Codec::Gzip,
            Method::Zstd(_) => Codec::Zstd,
        }
    }
}

#[cfg(test)]
mod tests;
