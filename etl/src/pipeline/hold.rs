//! The hold that a run has on a source: how two runs that write one source find each other.
//!
//! In the simple case, one part of rows filed by arrival, nothing is recorded: every such attempt has one file that it
//! puts first, under one key, so that whoever comes second meets the file of the first. Everything else begins with a
//! record (see [`super::attempt`]). What must stay true: of two unequal attempts the older finds itself fenced at its next
//! effect, and until then writes nothing that the newer does not know of; a record is made only where no receipt of its
//! revision or a higher one stands; nothing is removed before a receipt stands that does not name it.

use std::collections::HashSet;

use iotlake_flatten::Schema;

use super::attempt::{self, Attempt, Basis, Record, Way};
use super::error::PipelineError;
use super::halt::Halt;
use super::outcome::Remark;
use super::sweep::{self, Sweep};
use super::{Pipeline, leftovers};
use crate::catalog::{CatalogError, Side};
use crate::footer::Owner;
use crate::ledger::{LedgerError, Receipt, Standing, first_key};
use crate::place::Place;
use crate::source::SourceObject;
use crate::storage::{Put, Swap};
use crate::turns::Turn;

/// How often it is tried to get hold of a source while others do the same.
const TRIES: u32 = 16;

/// A run's hold on a source.
pub(super) struct Hold<'a> {
    pub(super) pipeline: &'a Pipeline<'a>,
    pub(super) source: &'a SourceObject,
    /// What this run is about to write.
    pub(super) attempt: Attempt,
    /// The basis that it reads with.
    pub(super) basis: Basis,
    pub(super) way: Way,
    pub(super) state: State,
}

/// How far the hold goes.
pub(super) enum State {
    /// Nothing was written.
    Nothing,
    /// The first file is the hold.
    Simple,
    /// A record is.
    Recorded(Box<Open>),
}

/// A record that stands in the storage as it is here.
pub(super) struct Open {
    record: Record,
    bytes: Vec<u8>,
    /// Older revisions that have a record.
    lower: Vec<u32>,
    /// Whether it was made just now, for the part that is to be written.
    is_fresh: bool,
}

impl Hold<'_> {
    /// The number of the attempt.
    pub(super) fn revision(&self) -> u32 {
        match &self.state {
            State::Recorded(open) => open.record.revision,
            State::Nothing | State::Simple => 0,
        }
    }

    /// Keys that files of earlier attempts may have.
    pub(super) fn replaced(&self) -> Vec<String> {
        match &self.state {
            State::Recorded(open) => open.record.replaced.clone(),
            State::Nothing | State::Simple => Vec::new(),
        }
    }

    /// Before the files at `places` are written, all of one part; `is_simple` if they are all of the source, and one
    /// of them is the first that every simple attempt has. Their keys.
    pub(super) fn begin(&mut self, places: &mut [Place], is_simple: bool) -> Result<(), Halt> {
        match &self.state {
            State::Nothing if is_simple && !self.way.is_recorded => self.state = State::Simple,
            State::Nothing => {
                let open = self.open(places)?;
                self.state = State::Recorded(Box::new(open));
            }
            _ => {}
        }
        let keys = self.name(self.revision(), places);
        match &self.state {
            State::Recorded(open)
                if keys.iter().all(|key| open.is_fresh && open.record.keys.contains(key)) =>
            {
                Ok(())
            }
            _ => self.announce(keys),
        }
    }

    /// Whether a run had begun to write the source as this one would.
    pub(super) fn is_begun(&self) -> Result<bool, Halt> {
        let storage = &*self.pipeline.lake.storage;
        let newest = attempt::list(storage, self.table(), &self.source.name)?.pop();
        let record = newest.map(|newest| Record::read(storage, &self.key(newest))).transpose()?.flatten();
        Ok(record.is_some_and(|(record, _)| !record.superseded && record.attempt == self.attempt))
    }

    /// Gives the files at `places` the names of this revision; their keys.
    fn name(&self, revision: u32, places: &mut [Place]) -> Vec<String> {
        places.iter_mut().for_each(|place| place.name.revision = revision);
        places.iter().map(|place| place.key(self.table())).collect()
    }

    fn table(&self) -> &str {
        &self.pipeline.run.table
    }

    fn key(&self, revision: u32) -> String {
        attempt::key(self.table(), &self.source.name, revision)
    }

    fn contended(&self) -> Halt {
        PipelineError::Contended { source_name: self.source.name.clone() }.into()
    }

    /// Adopts the attempt that is open, if it is equal, or begins the next revision, with the files at `places` first.
    fn open(&mut self, places: &mut [Place]) -> Result<Open, Halt> {
        let storage = &*self.pipeline.lake.storage;
        for round in 0..TRIES {
            // In the first round it was looked for just now.
            let standing = if self.way.is_recorded || round > 0 { self.standing()? } else { None };
            let mut lower = attempt::list(storage, self.table(), &self.source.name)?;
            let newest = lower.pop();
            if let Some(Ok(receipt)) = &standing
                && !self.pipeline.run.replace
                && !receipt.given_up
                && newest.is_none_or(|newest| newest <= receipt.revision)
            {
                // Another run was done meanwhile: whether the source is what it read is to be seen.
                let mut remarks = std::mem::take(&mut self.way.remarks);
                self.pipeline.complete(self.source, &mut remarks)?;
                return Err(Halt::Again(Way { remarks, ..Way::default() }));
            }
            let (mut revision, mut replaced) = self.had_before(standing.as_ref(), newest)?;
            if let Some(newest) = newest {
                let key = self.key(newest);
                let Some((mut record, bytes)) = Record::read(storage, &key)? else { continue };
                let is_equal = newest >= revision && !record.superseded && record.attempt == self.attempt;
                if is_equal && self.pipeline.schema(self.basis_of(&record))?.is_some() {
                    self.follow(&record)?;
                    return Ok(Open { record, bytes, lower, is_fresh: false });
                }
                if !record.superseded {
                    record.superseded = true;
                    if storage.compare_and_swap(&key, Some(&bytes), &record.to_bytes())? == Swap::Conflict {
                        continue;
                    }
                }
                revision = revision.max(newest + 1);
                replaced.extend(record.keys);
                replaced.extend(record.replaced);
                lower.push(newest);
            }
            let open = self.record(revision, replaced, lower, places);
            if storage.put_if_absent(&self.key(revision), &open.bytes)? == Put::AlreadyThere {
                continue;
            }
            // Whoever was done before the record was there did not know of it, and has the last word.
            if let Some(Ok(receipt)) = self.standing()?
                && receipt.revision >= revision
            {
                self.state = State::Recorded(Box::new(open));
                return Err(self.lost());
            }
            return Ok(open);
        }
        Err(self.contended())
    }

    /// A record that is to be made.
    fn record(
        &self,
        revision: u32,
        mut replaced: Vec<String>,
        lower: Vec<u32>,
        places: &mut [Place],
    ) -> Open {
        let source_name = &self.source.name;
        let mut record = Record::new(source_name, revision, self.attempt.clone(), self.basis.declared);
        record.columns = self.way.is_fixed.then_some(self.basis.columns);
        record.keys = self.name(revision, places);
        if revision > 0 {
            let first = |side| first_key(self.table(), source_name, self.source.hour, side);
            replaced.extend(Side::BOTH.map(first));
            replaced.sort_unstable();
            replaced.dedup();
            record.replaced = replaced;
        }
        let bytes = record.to_bytes();
        Open { record, bytes, lower, is_fresh: true }
    }

    /// The basis of a record, as far as it is fixed.
    fn basis_of(&self, record: &Record) -> Basis {
        Basis { columns: record.columns.unwrap_or(self.basis.columns), declared: record.declared }
    }

    /// Reads the source anew if it was read with another basis than the record's.
    fn follow(&mut self, record: &Record) -> Result<(), Halt> {
        let basis = self.basis_of(record);
        if basis == self.basis {
            return Ok(());
        }
        let mut way = std::mem::take(&mut self.way);
        (way.is_recorded, way.basis) = (true, Some(basis));
        way.is_fixed |= record.columns.is_some();
        Err(Halt::Again(way))
    }

    /// Fixes the columns of the basis, before a part is written that depends on them: those of the table once it is
    /// this source's turn, so that it makes no difference how many sources are read side by side.
    pub(super) fn fix_basis(&mut self, turn: &Turn<'_>) -> Result<(), Halt> {
        if self.way.is_fixed || matches!(&self.state, State::Recorded(open) if open.record.columns.is_some())
        {
            self.way.is_fixed = true;
            return Ok(());
        }
        turn.wait().map_err(PipelineError::from)?;
        let name = self.table();
        let table = self.pipeline.lake.catalog.table(name).map_err(PipelineError::from)?;
        let table = table.ok_or_else(|| CatalogError::NoTable { name: name.to_owned() })?;
        let table = self.pipeline.shared.refresh(table);
        let columns = table.schema.columns().len();
        self.way.is_fixed = true;
        if columns == self.basis.columns {
            return Ok(());
        }
        let mut way = std::mem::take(&mut self.way);
        way.basis = Some(Basis { columns, ..self.basis });
        Err(Halt::Again(way))
    }

    /// The receipt as it stands. One that cannot be read counts as none where the source is to be replaced.
    fn standing(&self) -> Result<Option<Standing>, Halt> {
        let standing = self.pipeline.lake.ledger().standing(self.table(), &self.source.name);
        match standing.map_err(PipelineError::from)? {
            Some(Err(error))
                if !(self.pipeline.run.replace && matches!(error, LedgerError::Damaged { .. })) =>
            {
                Err(error.into())
            }
            standing => Ok(standing),
        }
    }

    /// The lowest revision that has not been, and the keys of files that the source has, or that an older iotlake had
    /// begun to remove. Files of the attempt whose record is the `newest` are those of whoever goes on with it.
    fn had_before(
        &mut self,
        standing: Option<&Standing>,
        newest: Option<u32>,
    ) -> Result<(u32, Vec<String>), Halt> {
        let (source_name, shared) = (&self.source.name, self.pipeline.shared);
        let mut keys = shared.leftovers.files(source_name).to_vec();
        let revisions = keys.iter().filter_map(|key| Some(Place::parse(self.table(), key)?.name.revision));
        let of_files =
            revisions.filter(|revision| Some(*revision) != newest).map(|revision| revision + 1).max();
        let removed = match shared.leftovers.has(source_name) {
            true => leftovers::removal(&*self.pipeline.lake.storage, self.table(), source_name)?,
            false => None,
        };
        let of_receipt = match (standing, &removed) {
            (Some(Ok(receipt)), _) => receipt.revision + 1,
            (Some(Err(_)), _) | (None, Some(_)) => 1,
            (None, None) => 0,
        };
        let receipts = standing.and_then(|standing| standing.as_ref().ok()).into_iter().chain(&removed);
        for receipt in receipts {
            keys.extend(receipt.outputs.iter().chain(&receipt.rejects).map(|output| output.key.clone()));
            keys.extend(receipt.replaced.iter().cloned());
        }
        let (ours, foreign): (Vec<_>, Vec<_>) =
            keys.into_iter().partition(|key| sweep::is_of(self.table(), source_name, u32::MAX, key));
        for key in foreign {
            let uri = self.pipeline.lake.storage.uri(&key);
            let message =
                format!("the receipt of {source_name} names {uri}, which is none of its files: it was left");
            let hint = "the receipt was changed by somebody else; `iotlake audit` tells whether the lake is whole now";
            let remark = Remark { message, hint };
            if !self.way.remarks.contains(&remark) {
                self.way.remarks.push(remark);
            }
        }
        let least = of_receipt.max(of_files.unwrap_or(0)).max(self.way.at_least);
        Ok((least, ours))
    }

    /// Takes down `keys` before they are written, and finds out whether this attempt still is the newest.
    fn announce(&mut self, keys: Vec<String>) -> Result<(), Halt> {
        let storage = &*self.pipeline.lake.storage;
        for _ in 0..TRIES {
            let State::Recorded(open) = &self.state else { return Ok(()) };
            let key = self.key(open.record.revision);
            let mut record = open.record.clone();
            let known: HashSet<&String> = open.record.keys.iter().collect();
            record.keys.extend(keys.iter().filter(|key| !known.contains(key)).cloned());
            if self.way.is_fixed {
                record.columns = record.columns.or(Some(self.basis.columns));
            }
            let is_there = if record == open.record {
                storage.read(&key)?.as_deref() == Some(&open.bytes)
            } else {
                let bytes = record.to_bytes();
                let swap = storage.compare_and_swap(&key, Some(&open.bytes), &bytes)?;
                let lower = open.lower.clone();
                if swap == Swap::Done {
                    self.state = State::Recorded(Box::new(Open { record, bytes, lower, is_fresh: false }));
                }
                swap == Swap::Done
            };
            if is_there {
                return Ok(());
            }
            // A run that does the same takes down the same keys, at its own pace.
            match Record::read(storage, &key)? {
                Some((record, bytes)) if !record.superseded => {
                    self.follow(&record)?;
                    let State::Recorded(open) = &mut self.state else { return Ok(()) };
                    (open.record, open.bytes) = (record, bytes);
                }
                _ => return Err(self.lost()),
            }
        }
        Err(self.contended())
    }

    /// Finds out whether this attempt still is the newest.
    pub(super) fn check(&mut self) -> Result<(), Halt> {
        self.announce(Vec::new())
    }

    /// What is to be done where a file of ours is there already and is another one.
    pub(super) fn differs(&mut self, key: &str) -> Halt {
        let storage = &*self.pipeline.lake.storage;
        let look = || -> Result<bool, PipelineError> {
            Ok(match sweep::owner(storage, key)? {
                // Gone again: of an attempt that another run has just completed.
                Owner::Nobody => true,
                Owner::Source(source) => source == self.source.name,
                Owner::Unknown => false,
            })
        };
        match look() {
            Err(error) => return error.into(),
            Ok(false) => {
                let (uri, source_name) = (storage.uri(key), self.source.name.clone());
                return PipelineError::Conflict { uri, source_name }.into();
            }
            Ok(true) => {}
        }
        // It may be of a run that has ended since: then its receipt is the answer.
        if let Err(halt) = self.check() {
            return halt;
        }
        let mut way = std::mem::take(&mut self.way);
        (way.is_recorded, way.at_least) = (true, way.at_least.max(self.revision() + 1));
        let message = format!(
            "{}: an earlier run left files of another version of the source, or under other options; they are replaced",
            self.source.name
        );
        way.remarks.push(Remark { message, hint: "nothing needs to be done" });
        Halt::Again(way)
    }

    /// What is to be done where a newer attempt was begun, or another run was done first.
    pub(super) fn lost(&mut self) -> Halt {
        self.find_lost().unwrap_or_else(|halt| halt)
    }

    fn find_lost(&mut self) -> Result<Halt, Halt> {
        let revision = self.revision();
        let standing = match self.standing()? {
            Some(Ok(receipt)) => Some(receipt),
            _ => None,
        };
        let Some(receipt) = standing.filter(|receipt| receipt.revision >= revision) else {
            let key = self.key(revision);
            let record = Record::read(&*self.pipeline.lake.storage, &key)?;
            let source_name = self.source.name.clone();
            return Ok(match record {
                // Whoever comes later knows of what this run wrote, and removes it.
                Some((record, _)) if record.superseded => {
                    PipelineError::Superseded { source_name, revision: revision + 1 }.into()
                }
                _ => Halt::Again(std::mem::take(&mut self.way)),
            });
        };
        let mut keys = Vec::new();
        if let State::Simple = &self.state {
            let first = |side| first_key(self.table(), &receipt.source, self.source.hour, side);
            keys.extend(Side::BOTH.map(first));
        }
        self.release(&receipt, keys)?;
        if !self.pipeline.run.replace || receipt.given_up {
            return Ok(Halt::Again(Way { remarks: std::mem::take(&mut self.way.remarks), ..Way::default() }));
        }
        if receipt.revision == revision {
            // Another run did the same, and was done first.
            return Ok(Halt::Done(std::mem::take(&mut self.way)));
        }
        let source_name = self.source.name.clone();
        Ok(PipelineError::Superseded { source_name, revision: receipt.revision }.into())
    }

    /// Removes what no receipt can name any more, now that `receipt` stands, `keys` among it, and then the records.
    pub(super) fn release(&mut self, receipt: &Receipt, mut keys: Vec<String>) -> Result<(), PipelineError> {
        keys.extend(receipt.strays(self.table()));
        keys.extend(self.pipeline.shared.leftovers.files(&receipt.source).iter().cloned());
        let mut records = Vec::new();
        if let State::Recorded(open) = &self.state {
            let Open { record, lower, .. } = &**open;
            keys.extend(record.keys.iter().chain(&record.replaced).cloned());
            records.extend(lower.iter().chain([&record.revision]).copied());
        }
        let is_settled = self.pipeline.settle(receipt, keys, &records, &mut self.way.remarks)?;
        if is_settled && self.pipeline.shared.leftovers.has(&receipt.source) {
            leftovers::forget_removal(&*self.pipeline.lake.storage, self.table(), &receipt.source)?;
        }
        Ok(())
    }
}

impl Pipeline<'_> {
    /// The schema of the table as it was; `None` if the table is another one now.
    pub(super) fn schema(&self, basis: Basis) -> Result<Option<Schema>, PipelineError> {
        if let Some(schema) = basis.cut(&self.shared.table().schema) {
            return Ok(Some(schema));
        }
        let table = self.lake.catalog.table(&self.run.table)?;
        Ok(table.and_then(|table| basis.cut(&table.schema)))
    }

    /// As [`Pipeline::remove`]; but where a generation may show what the source had, that comes first, with others, at the
    /// end of the run: then nothing is removed yet, and this is false.
    pub(super) fn settle(
        &self,
        receipt: &Receipt,
        keys: Vec<String>,
        records: &[u32],
        remarks: &mut Vec<Remark>,
    ) -> Result<bool, PipelineError> {
        if self.is_shown(receipt, &keys, records)? {
            return Ok(false);
        }
        self.remove(receipt, keys, records, remarks)?;
        Ok(true)
    }

    /// Removes the files under `keys` that `receipt`, which stands, does not name, and then the records of these
    /// revisions, the newest last: it knows all that there may be.
    pub(super) fn remove(
        &self,
        receipt: &Receipt,
        mut keys: Vec<String>,
        records: &[u32],
        remarks: &mut Vec<Remark>,
    ) -> Result<(), PipelineError> {
        let (storage, table) = (&*self.lake.storage, &*self.run.table);
        keys.sort_unstable();
        keys.dedup();
        if !(Sweep { storage, table, receipt, remarks }).remove(&keys)? {
            return Ok(());
        }
        for revision in records.iter().filter(|revision| **revision <= receipt.revision) {
            match storage.delete(&attempt::key(table, &receipt.source, *revision)) {
                // Another run completes it.
                Err(error) if sweep::is_denied(&error) => return Ok(()),
                deleted => deleted?,
            }
        }
        Ok(())
    }

    /// Completes what earlier runs left of a source; whether there is something that only ingesting it completes.
    pub(super) fn complete(
        &self,
        source: &SourceObject,
        remarks: &mut Vec<Remark>,
    ) -> Result<bool, PipelineError> {
        let (storage, table, source_name) = (&*self.lake.storage, &*self.run.table, &source.name);
        let standing = match self.lake.ledger().standing(table, source_name)? {
            Some(Err(LedgerError::Damaged { .. })) if self.run.replace => None,
            standing => standing.transpose()?,
        };
        let revisions = attempt::list(storage, table, source_name)?;
        let removal = leftovers::removal(storage, table, source_name)?;
        let Some(receipt) = standing else { return Ok(!revisions.is_empty() || removal.is_some()) };
        for revision in revisions.iter().filter(|revision| **revision <= receipt.revision) {
            let key = attempt::key(table, source_name, *revision);
            let Some((record, _)) = Record::read(storage, &key)? else { continue };
            let keys = record.keys.into_iter().chain(record.replaced).collect();
            self.settle(&receipt, keys, &[*revision], remarks)?;
        }
        if let Some(removal) = removal {
            let keys = removal.outputs.iter().chain(&removal.rejects).map(|output| output.key.clone());
            if self.settle(&receipt, keys.collect(), &[], remarks)? {
                leftovers::forget_removal(storage, table, source_name)?;
            }
        }
        Ok(revisions.iter().any(|revision| *revision > receipt.revision))
    }
}
