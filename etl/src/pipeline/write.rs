//! From a part to the files that it becomes: fitted to the table, encoded, put.
//!
//! In comes a part, read with the basis of the attempt; out come its files and what the accounts need. What must stay
//! true: which files a part has depends on the part alone, and is announced before the first of them is written; columns
//! are registered in the table as it is now and before a file has them; of rows and rejects the rows come first, since
//! the first file of a simple attempt is its hold on the source.

use std::collections::BTreeMap;
use std::ops::Range;

use iotlake_flatten::time::{Hour, Zoneless};
use iotlake_flatten::{EncodedFile, Encoder, Part, SettledPart};

use super::Pipeline;
use super::account::{Untimed, Written};
use super::error::PipelineError;
use super::halt::Halt;
use super::hold::{Hold, State};
use super::watch::Stage;
use crate::catalog::{DataFile, Side};
use crate::digest::source_hash;
use crate::ledger::{Ledger, ReceiptOptions};
use crate::partition::{Partition, PartitionBy};
use crate::place::{FileName, Place};
use crate::source::SourceObject;
use crate::storage::Put;
use crate::turns::Turn;

/// Most partitions that the rows of one part go to; rows beyond them go to [`Partition::UNKNOWN`]. Each is a file.
pub const MAX_PARTITIONS: usize = 256;

/// Writes the parts of one attempt.
pub(super) struct Writer<'a> {
    pipeline: &'a Pipeline<'a>,
    source: &'a SourceObject,
    turn: &'a Turn<'a>,
    hash: String,
    /// The options, and the key of the receipt, as they stand in each file.
    options: String,
    receipt: String,
    pub(super) hold: Hold<'a>,
    pub(super) written: Written,
}

/// A file to be written: where, and of which rows; `None` if of the rejects.
type File = (Place, Option<Vec<Range<u32>>>);

impl<'a> Writer<'a> {
    pub(super) fn new(
        pipeline: &'a Pipeline<'a>,
        source: &'a SourceObject,
        turn: &'a Turn<'a>,
        hold: Hold<'a>,
        options: &ReceiptOptions,
    ) -> Writer<'a> {
        let options = serde_json::to_string(options).expect("options are JSON");
        let hash = source_hash(&source.name);
        let receipt = Ledger::key(&pipeline.run.table, &source.name);
        Writer { pipeline, source, turn, hash, options, receipt, hold, written: Written::default() }
    }

    /// Fits a part to the table, registering what is new, and writes its files; the part, to use its memory again.
    /// `is_all` if the source has no other.
    pub(super) fn write(&mut self, part: Part, is_all: bool) -> Result<SettledPart, Halt> {
        let Pipeline { watch, run, shared, lake, .. } = self.pipeline;
        if watch.is_stopped() {
            return Err(PipelineError::Stopped.into());
        }
        watch.part(&part);
        let (files, untimed) = self.files(&part);
        // Before the first effect, so that what decides is the first part: it is all of nearly every source, and memory
        // holds no other.
        if !run.allow_missing_time
            && let Some((path, _)) = run.partition_by.event()
            && untimed.rows > 0
            && untimed.rows == u64::from(part.rows)
            && matches!(self.hold.state, State::Nothing)
            // What was begun is completed: whoever began it was asked.
            && !self.hold.is_begun()?
        {
            let Untimed { rows, zoneless } = untimed;
            let (source_name, path) = (self.source.name.clone(), path.to_string());
            return Err(PipelineError::NoTime { source_name, path, rows, zoneless, is_all }.into());
        }
        if part.spilled {
            self.hold.fix_basis(self.turn)?;
        }
        let is_simple = is_all && part.rows > 0 && !part.spilled && run.partition_by == PartitionBy::Arrival;
        let (mut places, rows): (Vec<Place>, Vec<_>) = files.into_iter().unzip();
        self.hold.begin(&mut places, is_simple)?;
        let mut table = shared.table();
        let mut fit = part.fit(&table.schema, &run.limits);
        if !fit.register.is_empty() || fit.has_refused() {
            watch.enter(Stage::Resolve);
            self.turn.wait().map_err(PipelineError::from)?;
            let propose = &mut |schema: &iotlake_flatten::Schema| part.fit(schema, &run.limits).register;
            let evolved = lake.catalog.evolve(&run.table, propose).map_err(PipelineError::from)?;
            // Whoever registers a column first brings it; a retry or a sibling finds it there.
            self.hold.way.new_columns.extend(evolved.registered);
            self.hold.way.conflicts += evolved.conflicts;
            table = shared.refresh(evolved.table);
            fit = part.fit(&table.schema, &run.limits);
        }
        watch.enter(Stage::Encode);
        self.written.fit(&part, &fit, table.schema.contract());
        let part = part.settle(&fit);
        self.written.account(&part, untimed);
        for (place, rows) in places.into_iter().zip(rows) {
            let encoder = Encoder {
                source: &self.source.name,
                options: &self.options,
                receipt: Some(&self.receipt),
                compression: run.compression,
                parallel: run.threads > 2,
            };
            let encoded = match &rows {
                Some(rows) => encoder.encode_rows(&part, rows, &table.schema),
                None => encoder.encode_rejects(&part),
            };
            let file = self.put(&place, encoded.map_err(PipelineError::from)?)?;
            self.written.add(place.side, file);
        }
        if self.written.is_to_be_committed() {
            watch.enter(Stage::Register);
            self.pipeline.commit(&mut self.written).map_err(PipelineError::from)?;
        }
        watch.enter(Stage::Read);
        Ok(part)
    }

    /// The files that a part becomes, those of rows first; and how many rows have no time where one is due.
    fn files(&self, part: &Part) -> (Vec<File>, Untimed) {
        let of_key = self.source.hour.unwrap_or(Partition::UNKNOWN);
        let place = |side, partition| {
            let name = FileName { hash: self.hash.clone(), part: part.number, revision: 0 };
            Place { side, partition, name }
        };
        let mut files = Vec::new();
        let mut untimed = Untimed::default();
        match self.pipeline.run.partition_by.event() {
            _ if part.rows == 0 => {}
            None => {
                files.push((place(Side::Rows, of_key), Some(std::iter::once(0..part.rows).collect())));
            }
            // Before the column that tells the time may find no room in the table.
            Some((path, zoneless)) => {
                let hours = part.hours(path, zoneless);
                untimed.rows = hours.iter().filter(|hour| hour.is_none()).count() as u64;
                if untimed.rows > 0 {
                    let as_utc = part.hours(path, Zoneless::Utc);
                    let pairs = hours.iter().zip(as_utc);
                    untimed.zoneless =
                        pairs.filter(|(hour, utc)| hour.is_none() && utc.is_some()).count() as u64;
                }
                let partitions = partitioned(&hours).into_iter();
                files.extend(partitions.map(|(partition, rows)| (place(Side::Rows, partition), Some(rows))));
            }
        }
        if !part.rejects.is_empty() {
            files.push((place(Side::Rejects, of_key), None));
        }
        (files, untimed)
    }

    /// Writes a file, or finds that it was written before: then it is the same, byte for byte.
    fn put(&mut self, place: &Place, file: EncodedFile) -> Result<DataFile, Halt> {
        let Pipeline { watch, lake, run, .. } = self.pipeline;
        watch.enter(Stage::Write);
        let (storage, key) = (&lake.storage, place.key(&run.table));
        if storage.put_if_absent(&key, &file.bytes)? == Put::AlreadyThere
            && storage.read(&key)?.is_none_or(|there| there != file.bytes)
        {
            return Err(self.hold.differs(&key));
        }
        watch.enter(Stage::Encode);
        Ok(DataFile::new(key, place.partition, file))
    }
}

/// The partitions of rows with these hours, and the rows of each: neighbours as one stretch, in order.
fn partitioned(hours: &[Option<Hour>]) -> BTreeMap<Partition, Vec<Range<u32>>> {
    let mut known: Vec<Hour> = hours.iter().flatten().copied().collect();
    // Neighbours mostly have the same hour; few are left to be sorted.
    known.dedup();
    known.sort_unstable();
    known.dedup();
    known.truncate(MAX_PARTITIONS - 1);
    let mut partitions: BTreeMap<Partition, Vec<Range<u32>>> = BTreeMap::new();
    let mut begin = 0;
    for stretch in hours.chunk_by(|a, b| a == b) {
        let end = begin + stretch.len() as u32;
        let hour = stretch[0].filter(|hour| known.binary_search(hour).is_ok());
        let partition = hour.map_or(Partition::UNKNOWN, Partition::from);
        let stretches = partitions.entry(partition).or_default();
        match stretches.last_mut() {
            // Two hours without a partition of their own.
            Some(last) if last.end == begin => last.end = end,
            _ => stretches.push(begin..end),
        }
        begin = end;
    }
    partitions
}

#[cfg(test)]
mod tests;
