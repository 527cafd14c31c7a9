//! A record that did not become a row: where it is, why, and what it said.
//!
//! A reject holds the range of its bytes, so that every byte of a source can be accounted for, a hash of all of them,
//! and the first bytes themselves, so that a person can see what a device sent without fetching the source. The bytes
//! that are not kept are still in the source, at the range given.

use std::fmt;

use sha2::{Digest, Sha256};

/// How many bytes of a reject are kept; its source has the rest.
pub const KEPT_BYTES: usize = 64 << 10;

/// Why a record was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Bytes that are not JSON.
    Syntax,
    /// The source ended inside a value or an array.
    Truncated,
    /// JSON, but not an object.
    NotObject,
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// A string that stands for no text: an escape with half of a surrogate pair.
    InvalidString,
    /// One key twice in one object: no reader could say which value was meant.
    DuplicateKey,
    /// Nested deeper than [`crate::records::MAX_DEPTH`].
    TooDeep,
    /// Larger than [`crate::Limits::record_bytes`].
    TooLarge,
    /// The compressed stream broke off here; what would have followed cannot be known.
    Stream,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Reason; 9] = [
        Reason::Syntax,
        Reason::Truncated,
        Reason::NotObject,
        Reason::NotUtf8,
        Reason::InvalidString,
        Reason::DuplicateKey,
        Reason::TooDeep,
        Reason::TooLarge,
        Reason::Stream,
    ];

    /// The stable code that stands in the rejects table.
    pub fn code(self) -> &'static str {
        match self {
            Reason::Syntax => "syntax",
            Reason::Truncated => "truncated",
            Reason::NotObject => "not_object",
            Reason::NotUtf8 => "not_utf8",
            Reason::InvalidString => "invalid_string",
            Reason::DuplicateKey => "duplicate_key",
            Reason::TooDeep => "too_deep",
            Reason::TooLarge => "too_large",
            Reason::Stream => "stream",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// One rejected record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Its number among the records of the source, from 1; rows count too.
    pub record: u64,
    /// Offset of its first byte in the decompressed source.
    pub offset: u64,
    /// Number of its bytes. 0 where something is missing at the end of the source.
    pub length: u64,
    /// Line of its first byte, from 1.
    pub line: u64,
    /// Why.
    pub reason: Reason,
    /// SHA-256 of all its bytes.
    pub sha256: [u8; 32],
    /// Its first bytes, at most [`KEPT_BYTES`].
    pub bytes: Vec<u8>,
}

/// Collects the bytes of a reject that may be far larger than memory.
#[derive(Debug)]
pub(crate) struct Gather {
    pub(crate) offset: u64,
    pub(crate) reason: Reason,
    length: u64,
    hash: Sha256,
    bytes: Vec<u8>,
}

impl Gather {
    pub(crate) fn new(offset: u64, reason: Reason) -> Gather {
        Gather { offset, reason, length: 0, hash: Sha256::new(), bytes: Vec::new() }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.hash.update(bytes);
        let room = KEPT_BYTES - self.bytes.len();
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// The reject; its record number and line are filled in where they are known.
    pub(crate) fn finish(self) -> Reject {
        Reject {
            record: 0,
            offset: self.offset,
            length: self.length,
            line: 0,
            reason: self.reason,
            sha256: self.hash.finalize().into(),
            bytes: self.bytes,
        }
    }
}
