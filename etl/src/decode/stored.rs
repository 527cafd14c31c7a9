//! The bytes of a source as they are stored: counted, digested, and handed on in pieces of a fixed size.
//!
//! A reader may return as little as it likes at a time; the pieces here are full but for the last one, so that nothing
//! a codec does depends on how the bytes arrived.

use std::io::{self, Read};

use crate::digest::Digest;

/// 128 KiB: the largest block of zstd fits, and the cost of a read disappears.
const PIECE: usize = 128 << 10;

pub(super) struct StoredBytes<R> {
    reader: R,
    piece: Vec<u8>,
    at: usize,
    /// Bytes read from the reader.
    pub(super) size: u64,
    /// Bytes that were used.
    pub(super) consumed: u64,
    /// Of all bytes read.
    pub(super) digest: Digest,
}

impl<R: Read> StoredBytes<R> {
    pub(super) fn new(reader: R) -> StoredBytes<R> {
        let piece = Vec::with_capacity(PIECE);
        StoredBytes { reader, piece, at: 0, size: 0, consumed: 0, digest: Digest::new() }
    }

    /// The bytes at hand; only at the end of the source there are none.
    pub(super) fn fill(&mut self) -> io::Result<&[u8]> {
        if self.at == self.piece.len() {
            self.at = 0;
            self.piece.clear();
            // Reads until the piece is full or the source ends, over interruptions.
            self.reader.by_ref().take(PIECE as u64).read_to_end(&mut self.piece)?;
            self.size += self.piece.len() as u64;
            self.digest.update(&self.piece);
        }
        Ok(&self.piece[self.at..])
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.at += count;
        self.consumed += count as u64;
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }

    pub(super) fn next(&mut self) -> io::Result<Option<u8>> {
        let byte = self.fill()?.first().copied();
        self.consume(usize::from(byte.is_some()));
        Ok(byte)
    }

    /// Reads to the end, for count and digest.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        loop {
            match self.fill()?.len() {
                0 => return Ok(()),
                rest => self.consume(rest),
            }
        }
    }
}
