//! Fingerprints of bytes and of names.
//!
//! Two functions with two purposes: [`Digest`] (XXH3, 128 bits) tells whether bytes are the same bytes, fast enough to
//! run over everything that is read or written; [`source_hash`] (SHA-256, cut to 128 bits) turns the name of a
//! source into the name its outputs have in the lake, for ever. Both are stable and published.

use std::fmt;
use std::io::{self, Read};

use iotlake_flatten::naming::hexadecimal;
use sha2::Digest as _;
use xxhash_rust::xxh3::Xxh3;

/// Bytes that are read at a time: they are digested while a core's own cache has them.
const PIECE: usize = 256 << 10;

/// XXH3-128 of a stream of bytes.
#[derive(Clone, Default)]
pub struct Digest(Box<Xxh3>);

impl Digest {
    /// The digest of nothing yet.
    pub fn new() -> Digest {
        Digest::default()
    }

    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes so far: 32 lower-case hexadecimal digits.
    pub fn finish(&self) -> String {
        hexadecimal(&self.0.digest128().to_be_bytes())
    }

    /// The digest of what is left of `reader`, which is read piece by piece.
    ///
    /// # Errors
    /// As `reader`.
    pub fn of_reader(reader: &mut dyn Read) -> io::Result<String> {
        let mut digest = Digest::new();
        let mut piece = vec![0; PIECE];
        loop {
            match reader.read(&mut piece) {
                Ok(0) => return Ok(digest.finish()),
                Ok(length) => digest.update(&piece[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> String {
        hexadecimal(&xxhash_rust::xxh3::xxh3_128(bytes).to_be_bytes())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.finish())
    }
}

/// The name of a source in the lake: the first 128 bits of the SHA-256 of its name, in hexadecimal.
pub fn source_hash(source_name: &str) -> String {
    hexadecimal(&sha2::Sha256::digest(source_name.as_bytes())[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_functions_are_the_published_ones() {
        assert_eq!(Digest::of(b""), "99aa06d3014798d86001c324468d497f");
        assert_eq!(source_hash(""), "e3b0c44298fc1c149afbf4c8996fb924");
        let mut digest = Digest::new();
        digest.update(b"ab");
        digest.update(b"c");
        assert_eq!(digest.finish(), Digest::of(b"abc"));
    }

    /// Hands out one byte at a time, each only when it is asked for a second time.
    struct Interrupted<'a>(&'a [u8], bool);

    impl Read for Interrupted<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            match self.1 {
                true => Err(io::ErrorKind::Interrupted.into()),
                false => (&mut self.0).take(1).read(buffer),
            }
        }
    }

    #[test]
    fn a_reader_has_the_digest_of_its_bytes_however_they_come() {
        let digest = Digest::of_reader(&mut Interrupted(b"abc", false)).unwrap();
        assert_eq!(digest, Digest::of(b"abc"));
        let long = vec![7; 3 * PIECE / 2];
        assert_eq!(Digest::of_reader(&mut &long[..]).unwrap(), Digest::of(&long));
        let mut broken = (&b"abc"[..]).chain(io::Read::take(BrokenOff, 1));
        assert_eq!(Digest::of_reader(&mut broken).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    struct BrokenOff;

    impl Read for BrokenOff {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}
