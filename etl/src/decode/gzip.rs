//! Gzip (RFC 1952): members of a header, deflated data, and a trailer with checksum and length.
//!
//! Framed here, because the decoders at hand lose what they had decoded when they meet damage.

use std::io::{self, Read};

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::stored::StoredBytes;
use super::{Fault, Step};

const HEADER_CHECKSUM: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

pub(super) struct Gzip {
    inflate: Decompress,
    crc: Crc,
    stage: Stage,
    /// Decoded bytes of members whose checksum agreed.
    pub(super) verified: u64,
    /// Reported once the bytes before it were handed out.
    fault: Option<Fault>,
}

enum Stage {
    First,
    Next,
    Data,
    Trailer,
}

/// Either the stream goes on, or it does not.
type Checked<T> = io::Result<Result<T, Fault>>;

impl Gzip {
    pub(super) fn new() -> Gzip {
        Gzip {
            inflate: Decompress::new(false),
            crc: Crc::new(),
            stage: Stage::First,
            verified: 0,
            fault: None,
        }
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
            match self.stage {
                Stage::Next if stored.fill()?.is_empty() => return Ok(Step::End),
                Stage::First | Stage::Next => match header(stored)? {
                    Ok(()) => {
                        self.inflate.reset(false);
                        self.crc.reset();
                        self.stage = Stage::Data;
                    }
                    Err(fault) => return Ok(Step::Fault(fault)),
                },
                Stage::Data => match self.data(stored, buffer)? {
                    Ok(0) => {}
                    Ok(count) => return Ok(Step::Bytes(count)),
                    Err(fault) => return Ok(Step::Fault(fault)),
                },
                Stage::Trailer => match self.trailer(stored)? {
                    Ok(()) => {
                        self.verified += self.inflate.total_out();
                        self.stage = Stage::Next;
                    }
                    Err(fault) => return Ok(Step::Fault(fault)),
                },
            }
        }
    }

    fn data<R: Read>(&mut self, stored: &mut StoredBytes<R>, buffer: &mut [u8]) -> Checked<usize> {
        let (read, written) = (self.inflate.total_in(), self.inflate.total_out());
        let input = stored.fill()?;
        let is_last = input.is_empty();
        let result = self.inflate.decompress(input, buffer, FlushDecompress::None);
        let read = (self.inflate.total_in() - read) as usize;
        let count = (self.inflate.total_out() - written) as usize;
        stored.consume(read);
        self.crc.update(&buffer[..count]);
        let fault = match result {
            Ok(Status::StreamEnd) => {
                self.stage = Stage::Trailer;
                return Ok(Ok(count));
            }
            Ok(_) if is_last && count == 0 => Fault::Truncated,
            Ok(_) => return Ok(Ok(count)),
            Err(_) => Fault::Corrupt("invalid deflate data".to_owned()),
        };
        if count > 0 {
            self.fault = Some(fault);
            return Ok(Ok(count));
        }
        Ok(Err(fault))
    }

    fn trailer<R: Read>(&self, stored: &mut StoredBytes<R>) -> Checked<()> {
        let mut words = [0_u32; 2];
        for word in &mut words {
            match little_endian(stored, 4)? {
                Some(value) => *word = value,
                None => return Ok(Err(Fault::Truncated)),
            }
        }
        // The length as it wraps around at 2^32.
        let found = [self.crc.sum(), self.inflate.total_out() as u32];
        Ok(match words == found {
            true => Ok(()),
            false => Err(Fault::Corrupt("checksum or length of the member do not match its data".to_owned())),
        })
    }
}

fn header<R: Read>(stored: &mut StoredBytes<R>) -> Checked<()> {
    let mut fixed = [0_u8; 10];
    for (i, byte) in fixed.iter_mut().enumerate() {
        match stored.next()? {
            Some(value) => *byte = value,
            None => return Ok(Err(Fault::Truncated)),
        }
        if [0x1f, 0x8b].get(i).is_some_and(|magic| magic != byte) {
            return Ok(Err(Fault::Corrupt("something that is not gzip follows the last member".to_owned())));
        }
    }
    let (method, flags) = (fixed[2], fixed[3]);
    if method != 8 || flags & RESERVED != 0 {
        return Ok(Err(Fault::Corrupt("the header of the member is not one of RFC 1952".to_owned())));
    }
    if flags & EXTRA != 0 {
        let Some(length) = little_endian(stored, 2)? else { return Ok(Err(Fault::Truncated)) };
        for _ in 0..length {
            if stored.next()?.is_none() {
                return Ok(Err(Fault::Truncated));
            }
        }
    }
    for text in [NAME, COMMENT] {
        if flags & text == 0 {
            continue;
        }
        loop {
            match stored.next()? {
                Some(0) => break,
                Some(_) => {}
                None => return Ok(Err(Fault::Truncated)),
            }
        }
    }
    if flags & HEADER_CHECKSUM != 0 && little_endian(stored, 2)?.is_none() {
        return Ok(Err(Fault::Truncated));
    }
    Ok(Ok(()))
}

fn little_endian<R: Read>(stored: &mut StoredBytes<R>, bytes: u32) -> io::Result<Option<u32>> {
    let mut value = 0;
    for i in 0..bytes {
        let Some(byte) = stored.next()? else { return Ok(None) };
        value |= u32::from(byte) << (8 * i);
    }
    Ok(Some(value))
}
