//! What a reader through the catalog reads of a partition.

use super::Generations;
use crate::catalog::Side;
use crate::digest::source_hash;
use crate::error::Error;
use crate::lake::Lake;
use crate::ledger::{Output, Receipt};
use crate::partition::Partition;
use crate::place::Place;

/// The files of rows that a partition of `table` shows: those of its newest generation and, of sources that are not in it,
/// those that a receipt names. In the order of their keys.
///
/// # Errors
/// If the storage fails, or a manifest or a receipt cannot be read.
pub fn visible(lake: &Lake, table: &str, partition: Partition) -> Result<Vec<Output>, Error> {
    let is_here = |output: &Output| {
        Place::parse(table, &output.key)
            .is_some_and(|place| (place.side, place.partition) == (Side::Rows, partition))
    };
    let mut done = Vec::new();
    lake.ledger().list(table, |receipt: Receipt| -> Result<(), Error> {
        let hash = source_hash(&receipt.source);
        let here = receipt.outputs.into_iter().filter(is_here);
        done.extend(here.map(|output| (hash.clone(), output)));
        Ok(())
    })?;
    // Behind the receipts: what was swept meanwhile is in the generation that is read now.
    let manifest = Generations::new(&*lake.storage).latest(table, partition)?;
    let (mut files, sources) =
        manifest.map(|manifest| (manifest.outputs.clone(), manifest.sources())).unwrap_or_default();
    files.extend(done.into_iter().filter(|(hash, _)| !sources.contains(hash)).map(|(_, output)| output));
    files.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(files)
}
