//! Taking back what was written for a source, so that it can be ingested anew.
//!
//! The receipt is the list of what to remove and also the sign that the source is done, so it cannot simply go first
//! or last. It is moved: a copy under `_iotlake/replacing/` says that removal has begun, then the receipt goes, then
//! the files, then the copy. A run that was killed in between is completed by the next one that replaces the source.

use crate::digest::source_hash;
use crate::lake::Lake;
use crate::ledger::{Ledger, LedgerError, Receipt};
use crate::pipeline::PipelineError;

fn key(table: &str, identity: &str) -> String {
    format!("_iotlake/replacing/{table}/{}.json", source_hash(identity))
}

/// Removes the receipt of a source and every file it names.
///
/// # Errors
/// If the storage fails; calling [`resume`] completes it.
pub fn remove(lake: &Lake, table: &str, receipt: &Receipt) -> Result<(), PipelineError> {
    let copy = serde_json::to_vec(receipt).expect("a receipt is JSON");
    lake.storage.put(&key(table, &receipt.source), &copy)?;
    resume(lake, table, &receipt.source)
}

/// Completes a removal that has begun; success if none has.
///
/// # Errors
/// If the storage fails, or the copy is not a receipt.
pub fn resume(lake: &Lake, table: &str, identity: &str) -> Result<(), PipelineError> {
    let copy = key(table, identity);
    let Some(bytes) = lake.storage.read(&copy)? else { return Ok(()) };
    let damaged = |source| LedgerError::Damaged { uri: lake.storage.uri(&copy), source };
    let receipt: Receipt = serde_json::from_slice(&bytes).map_err(damaged)?;
    lake.storage.delete(&Ledger::key(table, &receipt.source))?;
    for output in receipt.outputs.iter().chain(&receipt.rejects) {
        lake.storage.delete(&output.key)?;
    }
    lake.storage.delete(&copy)?;
    Ok(())
}
