//! Fingerprints of bytes and of names.
//!
//! Two functions with two purposes: [`Digest`] (XXH3, 128 bits) tells whether bytes are the same bytes, fast enough to
//! run over everything that is read or written; [`source_hash`] (SHA-256, cut to 128 bits) turns the identity of a
//! source into the name its outputs have in the lake, for ever. Both are stable and published.

use std::fmt;

use iotlake_flatten::naming::hexadecimal;
use sha2::Digest as _;
use xxhash_rust::xxh3::Xxh3;

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

/// The name of a source in the lake: the first 128 bits of the SHA-256 of its identity, in hexadecimal.
pub fn source_hash(identity: &str) -> String {
    hexadecimal(&sha2::Sha256::digest(identity.as_bytes())[..16])
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
}
