//! The bytes of an object while they come from S3.
//!
//! In comes a key and maybe a range; out come its bytes, in order and each once. What must stay true: when a body
//! breaks off or stalls, the rest is fetched from where it stopped and only of the version that was begun; if that is
//! gone the reading fails, for two halves of two versions are no object. The tries are bounded; when they are used up
//! the body just ends, and whoever counts its bytes finds it short.
//!
//! The client compares a whole body with the checksum that S3 keeps and fails behind its last byte if they differ.
//! For the rest of a body that broke off S3 sends no checksum; there it is TLS that protects the bytes.

use std::io::{self, Read};
use std::ops::Range;
use std::thread;
use std::time::Duration;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;

use super::{NOTE, S3Storage, meta, quoted, status};
use crate::storage::{ObjectMeta, Result, Storage, StorageError};

/// How often a body may break off.
const BREAKS: u64 = 6;

/// A body may break off once more for so many bytes that came: large objects meet more accidents.
const BYTES_PER_BREAK: u64 = 16 << 20;

/// An open object, or part of one.
pub(super) struct Opened {
    /// `size` is that of what is read: of the part, if a range was asked for.
    pub meta: ObjectMeta,
    pub reader: Reader,
}

pub(super) struct Reader {
    storage: S3Storage,
    key: String,
    etag: Option<String>,
    stream: ByteStream,
    /// What came and is not yet handed out.
    chunk: Bytes,
    /// Where the bytes that come next lie in the object.
    at: u64,
    end: u64,
    /// Bytes that came.
    got: u64,
    breaks: u64,
}

impl Reader {
    /// Opens the bytes in `range`, or all. A range that begins behind the object has no bytes.
    pub(super) fn open(storage: &S3Storage, key: &str, range: Option<Range<u64>>) -> Result<Opened> {
        let at = range.as_ref().map_or(0, |range| range.start);
        let asked = range.map(|range| format!("bytes={}-{}", range.start, range.end - 1));
        let is_part = asked.is_some();
        let request = storage.client.get_object().bucket(&storage.bucket).key(storage.full(key));
        let output = match storage.aws.wait(request.set_range(asked).send()) {
            Err(error) if status(&error) == Some(416) => {
                let size = storage.head(key)?.map_or(0, |meta| meta.size);
                return Err(StorageError::ShortBody { uri: storage.uri(key), expected: at + 1, got: size });
            }
            output => output.map_err(|error| storage.error("s3:GetObject", key, &error))?,
        };
        let size = if is_part {
            let part = part(&output).map(|(part, _)| part).filter(|part| part.start == at);
            let part = part.ok_or_else(|| unexpected(storage.uri(key), OTHER_RANGE))?;
            i64::try_from(part.end - part.start).ok()
        } else {
            output.content_length()
        };
        let size = match size {
            Some(size) => size,
            None => size_of(storage, key, output.e_tag())?,
        };
        let note = output.metadata().and_then(|metadata| metadata.get(NOTE));
        let meta = meta(key, size, output.last_modified(), output.e_tag(), note);
        let reader = Reader {
            storage: storage.clone(),
            key: key.to_owned(),
            etag: meta.etag.clone(),
            at,
            end: at + meta.size,
            stream: output.body,
            chunk: Bytes::new(),
            got: 0,
            breaks: 0,
        };
        Ok(Opened { meta, reader })
    }

    /// The next bytes; `None` at the end of the object, or when the tries are used up.
    fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.storage.aws.wait(self.stream.next()) {
                Some(Ok(chunk)) => {
                    self.at += chunk.len() as u64;
                    self.got += chunk.len() as u64;
                    return Ok(Some(chunk));
                }
                None if self.at >= self.end => return Ok(None),
                // All bytes came and something is wrong all the same: the checksum.
                Some(Err(error)) if self.at >= self.end => {
                    return Err(StorageError::Io { uri: self.uri(), source: error.into() });
                }
                None | Some(Err(_)) => {}
            }
            self.breaks += 1;
            if self.etag.is_none() || self.breaks > BREAKS + self.got / BYTES_PER_BREAK {
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(50 << self.breaks.min(6)).mul_f64(0.5 + fastrand::f64()));
            self.resume()?;
        }
    }

    /// Opens the rest of the body.
    fn resume(&mut self) -> Result<()> {
        let S3Storage { client, bucket, aws, .. } = &self.storage;
        let request = client.get_object().bucket(bucket).key(self.storage.full(&self.key));
        let request = request.range(format!("bytes={}-{}", self.at, self.end - 1));
        let output = match aws.wait(request.set_if_match(self.etag.as_deref().map(quoted)).send()) {
            // 416: it became shorter.
            Err(error) if matches!(status(&error), Some(412 | 416)) => {
                return Err(StorageError::Changed { uri: self.uri() });
            }
            output => output.map_err(|error| self.storage.error("s3:GetObject", &self.key, &error))?,
        };
        if part(&output).is_none_or(|(part, _)| part != (self.at..self.end)) {
            return Err(unexpected(self.uri(), OTHER_RANGE));
        }
        self.stream = output.body;
        Ok(())
    }

    fn uri(&self) -> String {
        self.storage.uri(&self.key)
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() && !buffer.is_empty() {
            match self.next().map_err(io::Error::other)? {
                Some(chunk) => self.chunk = chunk,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.chunk.len());
        buffer[..count].copy_from_slice(&self.chunk.split_to(count));
        Ok(count)
    }
}

/// Which bytes of the object `output` holds, if it is not a whole one, and how many the object has.
fn part(output: &GetObjectOutput) -> Option<(Range<u64>, u64)> {
    let (range, total) = output.content_range()?.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some((first.parse().ok()?..last.parse::<u64>().ok()?.checked_add(1)?, total.parse().ok()?))
}

/// The length of the object if it still has this etag, for where a proxy on the way passed it on in chunks and left
/// its length out: that of a part is told with the part.
pub(super) fn size_of(storage: &S3Storage, key: &str, etag: Option<&str>) -> Result<i64> {
    let request =
        storage.client.get_object().bucket(&storage.bucket).key(storage.full(key)).range("bytes=0-0");
    match storage.aws.wait(request.set_if_match(etag.map(str::to_owned)).send()) {
        Ok(output) => {
            let size = part(&output).and_then(|(_, total)| i64::try_from(total).ok());
            size.ok_or_else(|| unexpected(storage.uri(key), NO_LENGTH))
        }
        // No first byte: it is empty.
        Err(error) if status(&error) == Some(416) => Ok(0),
        Err(error) if status(&error) == Some(412) => Err(StorageError::Changed { uri: storage.uri(key) }),
        Err(error) => Err(storage.error("s3:GetObject", key, &error)),
    }
}

const OTHER_RANGE: &str = "S3 sent other bytes of the object than those it was asked for";

/// For [`unexpected`].
pub(super) const NO_LENGTH: &str = "S3 did not tell how long the object is";

/// An answer that no S3 should give.
pub(super) fn unexpected(uri: String, what: &'static str) -> StorageError {
    StorageError::Io { uri, source: io::Error::other(what) }
}
