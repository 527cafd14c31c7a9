//! A source read to its end, part by part, of which nothing is handed on that damage could have altered.
//!
//! In come a decoder at its beginning, a flattener, and a way to read the source a second time; out go its parts. Damage
//! shows only where a checksum is compared, and that may be gigabytes behind the bytes that it altered. So before the
//! first part of a compressed source is handed on, all of the source has been decoded: of a source of one part, which
//! most are, that is so anyway; any other is first decoded once more from its beginning, without being kept. A source
//! that is damaged ends in [`Unreadable::Damaged`] with the place of the last checksum that agreed, and nothing was
//! handed on; whoever wants what lies before that place reads again, and says what is known.
//!
//! What must stay true: a part is handed on only if every byte of it was verified, or nothing is there to verify it;
//! memory does not grow with the source.

use std::fmt;
use std::io::Read;

use iotlake_flatten::{Flattener, Part};

use super::{Codec, DecodeError, Decoder};

/// Bytes that are read at a time: they are copied on while a core's own cache has them. Fewer in tests, whose sources are
/// small.
const READ_BYTES: usize = if cfg!(test) { 4 << 10 } else { 256 << 10 };

/// That a compressed source is damaged, and what of it is beyond doubt.
#[derive(Debug)]
pub struct Damage {
    /// What is wrong with it.
    pub error: DecodeError,
    /// How many of its decoded bytes lie before the last checksum that agreed.
    pub verified: u64,
    /// XXH3-128 of the stored bytes, in hexadecimal.
    pub digest: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Damage { error, verified, .. } = self;
        write!(
            f,
            "{error}; the {verified} decoded bytes before the last checksum that agrees were kept, and the rest is one \
             reject, `stream`"
        )
    }
}

/// Why a source was not read to its end.
#[derive(Debug)]
pub enum Unreadable<E> {
    /// It is damaged; no part of it was handed on.
    Damaged(Damage),
    /// It cannot be decoded.
    Failed(DecodeError),
    /// It could not be opened again, or whoever took its parts failed.
    Caller(E),
}

impl<E> From<DecodeError> for Unreadable<E> {
    fn from(error: DecodeError) -> Unreadable<E> {
        Unreadable::Failed(error)
    }
}

/// What is known of a source before it is read.
#[derive(Debug, Clone, Copy)]
pub enum Known<'a> {
    /// Nothing.
    Nothing,
    /// The digest of its stored bytes, and that all of them can be decoded.
    Whole(&'a str),
    /// Where it is damaged.
    Damaged(&'a Damage),
}

/// Reads what `decoder`, which is at its beginning, decodes, and hands its parts to `sink`, each with whether it is known
/// to be all that there is: up to its end, or as far as it was verified before the damage that is known. `again` opens the source a second time, to look it through before
/// its first part is handed on; without it, nothing that `sink` does may last if this fails.
///
/// # Errors
/// See [`Unreadable`].
pub fn parts<R: Read, E>(
    decoder: &mut Decoder<R>,
    mut flattener: Flattener,
    known: Known<'_>,
    mut again: Option<&mut dyn FnMut() -> Result<Box<dyn Read + Send>, E>>,
    sink: &mut impl FnMut(Part, bool) -> Result<(), E>,
) -> Result<(), Unreadable<E>> {
    let mut buffer = vec![0; READ_BYTES];
    let limit = decoder.limit;
    if decoder.codec()? == Codec::Plain || !matches!(known, Known::Nothing) {
        again = None;
    }
    let (end, mut expected) = match known {
        Known::Nothing => (u64::MAX, None),
        Known::Whole(digest) => (u64::MAX, Some(digest.to_owned())),
        Known::Damaged(damage) => (damage.verified, Some(damage.digest.clone())),
    };
    loop {
        let left = usize::try_from(end - decoder.decoded).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        match decoder.read(&mut buffer[..length]) {
            Ok(0) => {
                let found = decoder.drain()?;
                let is_damaged = matches!(known, Known::Damaged(_));
                if is_damaged && left > 0 || expected.is_some_and(|digest| digest != found) {
                    return Err(DecodeError::Changed.into());
                }
                return finish(flattener, is_damaged, sink).map_err(Unreadable::Caller);
            }
            Ok(count) => flattener.push(&buffer[..count], &mut |part| {
                if let Some(open) = again.take() {
                    expected = Some(look_through(open().map_err(Unreadable::Caller)?, limit)?);
                }
                sink(part, false).map_err(Unreadable::Caller)
            })?,
            // It was another one when it was looked through.
            Err(error) if error.is_damage() && expected.is_some() => return Err(DecodeError::Changed.into()),
            Err(error) if error.is_damage() => {
                let (verified, digest) = (decoder.verified(), decoder.drain()?);
                return Err(Unreadable::Damaged(Damage { error, verified, digest }));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Hands on what is left. The last part but one waits for the last: at the end of a source there is little behind it.
fn finish<E>(
    flattener: Flattener,
    is_damaged: bool,
    sink: &mut impl FnMut(Part, bool) -> Result<(), E>,
) -> Result<(), E> {
    let mut last: Option<Part> = None;
    let hold_back = &mut |part| match last.replace(part) {
        Some(part) => sink(part, false),
        None => Ok(()),
    };
    match is_damaged {
        true => flattener.finish_broken(hold_back)?,
        false => flattener.finish(hold_back)?,
    }
    match last {
        Some(part) => {
            let is_all = part.number == 0;
            sink(part, is_all)
        }
        None => Ok(()),
    }
}

/// The digest of a source that can be decoded to its end.
fn look_through<E>(reader: impl Read, limit: u64) -> Result<String, Unreadable<E>> {
    let mut decoder = Decoder::new(reader, limit);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match decoder.read(&mut buffer) {
            Ok(0) => return Ok(decoder.drain()?),
            Ok(_) => {}
            Err(error) if error.is_damage() => {
                let (verified, digest) = (decoder.verified(), decoder.drain()?);
                return Err(Unreadable::Damaged(Damage { error, verified, digest }));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests;
