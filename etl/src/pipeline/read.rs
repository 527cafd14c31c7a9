//! Reading a source to its end: decoded, cut into parts, handed on.
//!
//! What must stay true: whoever takes a part is told whether it is all that there is of the source, and only one that
//! is known to be is said to be.

use iotlake_flatten::{Flattener, Part};

use super::error::Halt;
use super::watch::Counted;
use super::{PipelineError, READ_BYTES};
use crate::decode::{DecodeError, Decoder};
use crate::source::SourceObject;
use crate::storage::StorageError;

/// A part, and whether it is the only one of its source.
pub(super) struct Read {
    pub(super) part: Part,
    pub(super) is_all: bool,
}

/// Reads a source to its end, and hands its parts to `sink`.
pub(super) fn read_all(
    source: &SourceObject,
    decoder: &mut Decoder<Counted<'_>>,
    mut flattener: Flattener,
    warnings: &mut Vec<String>,
    sink: &mut impl FnMut(Read) -> Result<(), Halt>,
) -> Result<(), Halt> {
    let mut buffer = vec![0; READ_BYTES];
    let is_broken = loop {
        match decoder.read(&mut buffer) {
            Ok(0) => break false,
            Ok(count) => {
                flattener.push(&buffer[..count], &mut |part| sink(Read { part, is_all: false }))?;
            }
            Err(error) if error.is_damage() => {
                warnings.push(format!("{}: {error}", source.identity));
                break true;
            }
            Err(error) => return Err(failure(source, error).into()),
        }
    };
    // The last but one waits for the last: at the end of a source there is little behind it.
    let mut last: Option<Part> = None;
    let hold_back = &mut |part| match last.replace(part) {
        Some(part) => sink(Read { part, is_all: false }),
        None => Ok(()),
    };
    if is_broken {
        flattener.finish_broken(hold_back)?;
    } else {
        flattener.finish(hold_back)?;
    }
    match last {
        Some(part) => sink(Read { is_all: part.number == 0, part }),
        None => Ok(()),
    }
}

/// What kept a source from being decoded: the storage, whose words are the better ones, or what is stored.
pub(super) fn failure(source: &SourceObject, error: DecodeError) -> PipelineError {
    let identity = source.identity.clone();
    match error {
        DecodeError::Io(error) => {
            let source = StorageError::from_io(identity.clone(), error);
            PipelineError::Source { identity, source }
        }
        source => PipelineError::Decode { identity, source },
    }
}
