//! Why an attempt stopped before its end: it failed, or what it found asks for something else.

use super::attempt::Way;
use super::error::PipelineError;
use crate::decode::Damage;

/// Why an attempt stopped before its end.
pub(super) enum Halt {
    Failed(PipelineError),
    /// What was found asks for another attempt, in this way.
    Again(Way),
    /// Another run did the same, and was done first.
    Done(Way),
    /// The source is damaged, and nothing of it was written.
    Damaged(Damage),
}

impl<E: Into<PipelineError>> From<E> for Halt {
    fn from(error: E) -> Halt {
        Halt::Failed(error.into())
    }
}
