//! The bytes of an object while they come in.
//!
//! In comes a reader that some storage opened and the length it announced; out comes a reader that ends in success only
//! after exactly that many bytes. A connection that breaks quietly must not look like a shorter source.

use std::fmt;
use std::io::{self, Read};

use super::{ObjectMeta, StorageError};

/// An open object.
pub struct Body {
    /// What is being read: its size, and its version as of now.
    pub meta: ObjectMeta,
    /// The bytes. An [`io::Error`] from here holds a [`StorageError`] if the length was wrong; see
    /// [`StorageError::from_io`].
    pub reader: Box<dyn Read + Send>,
}

impl Body {
    /// A body that holds `reader` to the length in `meta`. `uri` is for messages.
    pub fn new(uri: String, meta: ObjectMeta, reader: impl Read + Send + 'static) -> Body {
        let reader = Box::new(Exact { inner: reader, uri, expected: meta.size, got: 0 });
        Body { meta, reader }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("meta", &self.meta).finish_non_exhaustive()
    }
}

struct Exact<R> {
    inner: R,
    uri: String,
    expected: u64,
    got: u64,
}

impl<R: Read> Read for Exact<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.inner.read(buffer)?;
        self.got += count as u64;
        let (uri, expected, got) = (&self.uri, self.expected, self.got);
        if got > expected {
            return Err(io::Error::other(StorageError::Grew { uri: uri.clone(), expected }));
        }
        if count == 0 && got < expected {
            let error = StorageError::ShortBody { uri: uri.clone(), expected, got };
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, error));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(size: u64, bytes: &'static [u8]) -> Result<Vec<u8>, StorageError> {
        let meta = ObjectMeta { key: "k".into(), size, modified: None, etag: None, note: None };
        let mut got = Vec::new();
        let mut body = Body::new("memory://t/k".into(), meta, bytes);
        body.reader.read_to_end(&mut got).map_err(|error| StorageError::from_io("", error))?;
        Ok(got)
    }

    #[test]
    fn only_a_body_of_exactly_its_length_succeeds() {
        assert_eq!(read(3, b"abc").unwrap(), b"abc");
        assert_eq!(read(4, b"abc").unwrap_err().to_string(), "memory://t/k: ended after 3 of 4 bytes");
        let grew = read(2, b"abc").unwrap_err().to_string();
        assert_eq!(grew, "memory://t/k: grew beyond its 2 bytes while it was being read");
    }
}
