//! Reading a source to its end: decoded, cut into parts, handed on.
//!
//! What must stay true: whoever takes a part is told whether it is all that there is of the source, and only one that
//! is known to be is said to be; of a source that is damaged nothing is handed on before that is known.

use iotlake_flatten::{Flattener, Part};

use super::error::PipelineError;
use super::halt::Halt;
use super::watch::Counted;
use crate::decode::{self, Damage, DecodeError, Decoder, Known, Unreadable};
use crate::source::SourceObject;
use crate::storage::{Storage, StorageError};

/// A part, and whether it is the only one of its source.
pub(super) struct Read {
    pub(super) part: Part,
    pub(super) is_all: bool,
}

/// Reads a source to its end, or to where it was verified before `damage`, and hands its parts to `sink`.
pub(super) fn read_all(
    source: &SourceObject,
    from: &dyn Storage,
    decoder: &mut Decoder<Counted<'_>>,
    flattener: Flattener,
    damage: Option<&Damage>,
    sink: &mut impl FnMut(Read) -> Result<(), Halt>,
) -> Result<(), Halt> {
    let known = damage.map_or(Known::Nothing, Known::Damaged);
    let mut again = || match from.get_source(&source.key) {
        Ok(body) => Ok(body.reader),
        Err(error) => {
            let source_name = source.name.clone();
            Err(Halt::Failed(PipelineError::Source { source_name, source: error }))
        }
    };
    let mut sink = |part, is_all| sink(Read { part, is_all });
    decode::parts(decoder, flattener, known, Some(&mut again), &mut sink).map_err(|error| match error {
        Unreadable::Damaged(damage) => Halt::Damaged(damage),
        Unreadable::Failed(error) => failure(source, error).into(),
        Unreadable::Caller(halt) => halt,
    })
}

/// What kept a source from being decoded: the storage, whose words are the better ones, or what is stored.
pub(super) fn failure(source: &SourceObject, error: DecodeError) -> PipelineError {
    let source_name = source.name.clone();
    match error {
        DecodeError::Io(error) => {
            let source = StorageError::from_io(source_name.clone(), error);
            PipelineError::Source { source_name, source }
        }
        source => PipelineError::Decode { source_name, source },
    }
}
