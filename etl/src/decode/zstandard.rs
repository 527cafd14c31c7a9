//! Zstandard (RFC 8878): frames of blocks.
//!
//! The decoder is given exactly as many bytes as it asks for, that is one block at a time: handed more it would decode
//! several blocks in one call and, where the last is damaged, not tell how much the others gave. A frame counts as
//! verified at its end: there stands its checksum, or, if it was written without one, there is nothing more to ask.

use std::io::{self, Read};

use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use super::stored::StoredBytes;
use super::{Fault, MAX_WINDOW_LOG, Step};

/// What every frame begins with: magic number and descriptor.
const FRAME_START: usize = 5;

pub(super) struct Zstd {
    decoder: Decoder<'static>,
    /// How many bytes the decoder wants next; 0 between frames.
    wanted: usize,
    /// Whether the last buffer was filled, so that the decoder may hold more without being given anything.
    is_full: bool,
    /// Decoded bytes so far.
    decoded: u64,
    /// Those of frames that came to their end.
    pub(super) verified: u64,
    /// Reported once the bytes before it were handed out.
    fault: Option<Fault>,
}

impl Zstd {
    pub(super) fn new() -> io::Result<Zstd> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG))?;
        Ok(Zstd { decoder, wanted: 0, is_full: false, decoded: 0, verified: 0, fault: None })
    }

    pub(super) fn step<R: Read>(
        &mut self,
        stored: &mut StoredBytes<R>,
        buffer: &mut [u8],
    ) -> io::Result<Step> {
        if let Some(fault) = self.fault.take() {
            return Ok(Step::Fault(fault));
        }
        loop {
            let available = if self.is_full { &[] } else { stored.fill()? };
            let is_end = !self.is_full && available.is_empty();
            let wanted = match self.wanted {
                0 if is_end => return Ok(Step::End),
                0 => FRAME_START,
                wanted => wanted,
            };
            let mut input = InBuffer::around(&available[..available.len().min(wanted)]);
            let mut output = OutBuffer::around(&mut *buffer);
            let result = self.decoder.run(&mut input, &mut output);
            let (read, count) = (input.pos(), output.pos());
            stored.consume(read);
            self.decoded += count as u64;
            match result {
                Ok(wanted) => {
                    self.wanted = wanted;
                    if wanted == 0 {
                        self.verified = self.decoded;
                    }
                    self.is_full = count == buffer.len() && wanted > 0;
                }
                Err(error) => self.fault = Some(fault(&error)),
            }
            match self.fault.take() {
                fault if count > 0 => {
                    self.fault = fault;
                    return Ok(Step::Bytes(count));
                }
                Some(fault) => return Ok(Step::Fault(fault)),
                None if is_end => return Ok(Step::Fault(Fault::Truncated)),
                None => {}
            }
        }
    }
}

fn fault(error: &io::Error) -> Fault {
    let reason = error.to_string();
    // The names of zstd's errors are all the binding gives.
    match reason.contains("too much memory") {
        true => Fault::WindowTooLarge,
        false => Fault::Corrupt(reason),
    }
}
