//! Giving up on a source that was begun and never completed, so that what was written of it can go.
//!
//! In comes a source without a receipt; out comes the first revision that nobody has: each record is marked as superseded
//! by compare-and-swap, as by a run that begins anew, so that whoever still writes finds itself fenced at its next effect.
//! What must stay true: a record goes only once no file that it names is there, the newest last, since it names those of
//! the older ones too.

use std::collections::BTreeSet;

use super::attempt::{self, Record};
use super::error::PipelineError;
use crate::storage::{Storage, Swap};

/// The names of all sources of `table` that have a record.
///
/// # Errors
/// As [`fence`].
pub(crate) fn sources(storage: &dyn Storage, table: &str) -> Result<BTreeSet<String>, PipelineError> {
    let mut keys = Vec::new();
    storage.list(&format!("{}/{table}/", attempt::ATTEMPTS), &mut |meta| {
        keys.push(meta.key);
        Ok(())
    })?;
    let mut sources = BTreeSet::new();
    for key in keys {
        sources.extend(Record::read(storage, &key)?.map(|(record, _)| record.source));
    }
    Ok(sources)
}

/// Fences off all who may still write the source `source_name`; the first revision above theirs. `None` if somebody changed a
/// record meanwhile: the source is being written, and stays.
///
/// # Errors
/// If the storage fails, or a record cannot be read.
pub(crate) fn fence(
    storage: &dyn Storage,
    table: &str,
    source_name: &str,
) -> Result<Option<u32>, PipelineError> {
    let mut next = 0;
    for revision in attempt::list(storage, table, source_name)? {
        let key = attempt::key(table, source_name, revision);
        let Some((mut record, bytes)) = Record::read(storage, &key)? else { return Ok(None) };
        next = revision + 1;
        if !record.superseded {
            record.superseded = true;
            if storage.compare_and_swap(&key, Some(&bytes), &record.to_bytes())? == Swap::Conflict {
                return Ok(None);
            }
        }
    }
    Ok(Some(next))
}

/// Removes the records of a source that was fenced off, unless a file that one of them names is still there.
///
/// # Errors
/// As [`fence`].
pub(crate) fn forget(storage: &dyn Storage, table: &str, source_name: &str) -> Result<(), PipelineError> {
    let revisions = attempt::list(storage, table, source_name)?;
    for revision in &revisions {
        let Some((record, _)) = Record::read(storage, &attempt::key(table, source_name, *revision))? else {
            continue;
        };
        if !record.superseded {
            return Ok(());
        }
        for key in record.keys.iter().chain(&record.replaced) {
            if storage.head(key)?.is_some() {
                return Ok(());
            }
        }
    }
    for revision in revisions {
        storage.delete(&attempt::key(table, source_name, revision))?;
    }
    Ok(())
}
