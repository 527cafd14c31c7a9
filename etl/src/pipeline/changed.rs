//! Whether a source that is done changed since: by its version where there is one, by its digest where there is doubt.

use std::time::{Duration, SystemTime};

use super::Pipeline;
use super::error::PipelineError;
use crate::digest::Digest;
use crate::ledger::Note;
use crate::source::SourceObject;
use crate::storage::{ObjectMeta, StorageError, is_weak};

/// Within how long a change may leave no trace in a file's times: two seconds on the coarsest of file systems.
const GRAIN: Duration = Duration::from_secs(2);

/// The same where times are not whole multiples of ten milliseconds, so that the clock they are of is a fine one: it ticks
/// at least a hundred times a second.
const FINE_GRAIN: Duration = Duration::from_millis(100);

impl Pipeline<'_> {
    /// How the source differs from what its receipt says was read.
    ///
    /// Its version tells: first the one that was announced, which costs nothing; but an announcement may be older than
    /// the source, so before it counts as changed the source is asked. A version that is made of times says nothing of
    /// changes soon after it was taken. Whatever is in doubt is read, and its digest compared.
    pub(super) fn change(&self, source: &SourceObject, note: &Note) -> Result<Option<String>, PipelineError> {
        let failed = |error| PipelineError::Source { source_name: source.name.clone(), source: error };
        if is_same(source.size, source.etag.as_ref(), source.modified, note) {
            return Ok(None);
        }
        let mut size = source.size;
        if source.etag.is_some() {
            // A source that was removed after it was ingested is no change to what was ingested.
            let Some(now) = self.from.head(&source.key).map_err(failed)? else { return Ok(None) };
            let ObjectMeta { size: length, etag, modified, .. } = now;
            if is_same(length, etag.as_ref(), modified, note) {
                return Ok(None);
            }
            size = length;
        }
        if size != note.size {
            return Ok(Some(format!("it had {} bytes and has {size} now", note.size)));
        }
        let receipt = match &note.receipt {
            Some(receipt) => Some(receipt.as_ref().clone()),
            None => self.lake.ledger().head(&self.run.table, &source.name)?,
        };
        // Removed between the two looks.
        let Some(receipt) = receipt else { return Ok(None) };
        let mut reader = self.from.get_source(&source.key).map_err(failed)?.reader;
        let digest = Digest::of_reader(&mut reader);
        let digest = digest.map_err(|error| failed(StorageError::from_io(source.name.clone(), error)))?;
        let is_other = digest != receipt.digest;
        Ok(is_other.then(|| format!("the digest of its bytes was {} and is {digest} now", receipt.digest)))
    }
}

/// Whether a source of this length and version is certain to be the one that was read.
fn is_same(size: u64, etag: Option<&String>, modified: Option<SystemTime>, note: &Note) -> bool {
    let Some(etag) = etag.filter(|etag| Some(*etag) == note.etag.as_ref()) else { return false };
    size == note.size && (!is_weak(etag) || is_older(modified, note.written))
}

/// Whether a file that was last changed at `modified` had not been changed since when a receipt was `written`, so that a
/// later change cannot but show in its times.
pub(crate) fn is_older(modified: Option<SystemTime>, written: Option<SystemTime>) -> bool {
    let settled = modified.and_then(|modified| modified.checked_add(grain(modified)));
    settled.zip(written).is_some_and(|(settled, written)| settled < written)
}

/// Within how long a second change may leave this time as it is.
fn grain(modified: SystemTime) -> Duration {
    let since = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    if since.subsec_nanos().is_multiple_of(10_000_000) { GRAIN } else { FINE_GRAIN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_made_of_times_is_believed_only_where_time_tells() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let note = |etag: &str, written| Note {
            size: 5,
            etag: Some(etag.to_owned()),
            written: Some(at(written)),
            receipt: None,
        };
        let same = |size, etag: &str, modified, note| is_same(size, Some(&etag.to_owned()), modified, &note);
        assert!(same(5, "abc", None, note("abc", 10)));
        assert!(!same(6, "abc", None, note("abc", 10)));
        assert!(!same(5, "abd", None, note("abc", 10)));
        assert!(same(5, "W/1", Some(at(7)), note("W/1", 10)));
        assert!(!same(5, "W/1", Some(at(8)), note("W/1", 10)), "too close to tell");
        assert!(!same(5, "W/1", None, note("W/1", 10)));
        // A receipt dated ahead, or written anew with a copy of the lake, believes no other version for that.
        assert!(!same(5, "W/2", Some(at(7)), note("W/1", 4_000_000_000)));
        assert!(!is_same(5, None, None, &note("W/1", 10)));
        // A clock that tells more than hundredths of a second.
        let fine = |milliseconds: u64| Some(at(9) + Duration::from_micros(milliseconds * 1000 + 1));
        assert!(same(5, "W/1", fine(890), note("W/1", 10)));
        assert!(!same(5, "W/1", fine(910), note("W/1", 10)), "too close to tell");
    }
}
