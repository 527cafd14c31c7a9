//! One source, from its bytes to its receipt: the one place that knows the order of steps.
//!
//! In comes a source and the table it belongs to; out come its data files, the files of its rejects, what the catalog
//! is told of them and, last, its receipt. The Lambda, `backfill` and whatever else finds sources all come through here.
//!
//! What must stay true: what is written is a function of what was recorded before the first effect ([`attempt`]), so that
//! a run may stop anywhere and the next one completes it; of runs that would write one source in different ways one wins,
//! and removes what the others wrote ([`hold`]); only a receipt means done; a source whose accounts do not balance is a
//! failure, never a receipt.

pub(crate) mod abandon;
mod account;
mod attempt;
mod changed;
mod error;
mod halt;
mod hold;
mod leftovers;
mod outcome;
mod read;
mod renew;
mod sweep;
mod watch;
mod write;

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use iotlake_flatten::{Compression, Flattener, LAYOUT, Limits, Options};

use crate::catalog::{CatalogError, Table, TableName};
use crate::decode::{Damage, Decoder, OnDamage, Stored};
use crate::lake::Lake;
use crate::ledger::{Counts as Ledgered, LedgerError, Note, Placed, Receipt, ReceiptOptions};
use crate::partition::PartitionBy;
use crate::source::SourceObject;
use crate::storage::Storage;
use crate::turns::Turn;

use account::Written;
pub use account::{Columns, Counts};
pub(crate) use attempt::ATTEMPTS;
use attempt::{Attempt, Basis, Way};
pub(crate) use changed::is_older;
pub use error::PipelineError;
use halt::Halt;
use hold::{Hold, State};
pub use leftovers::Leftovers;
pub use outcome::{Ingested, Remark, Status};
use read::{Read, read_all};
use renew::Shown;
pub use renew::Unrenewed;
use watch::Counted;
pub use watch::{Stage, Watch};
pub use write::MAX_PARTITIONS;
use write::Writer;

/// How often a source is tried anew when other runs change what is there.
const TRIES: u32 = 8;

/// How a source is processed.
#[derive(Debug, Clone)]
pub struct Run {
    /// The table its rows go to.
    pub table: String,
    /// What decides the partition of a row.
    pub partition_by: PartitionBy,
    /// How output files are compressed.
    pub compression: Compression,
    /// Threads inside one source; 1 works where the caller is, more use rayon's current pool.
    pub threads: usize,
    /// Whether a source that was ingested before is ingested anew.
    pub replace: bool,
    /// Most bytes that a source may decode to.
    pub output_limit: u64,
    /// What becomes of a source whose compressed stream is damaged.
    pub on_damage: OnDamage,
    /// Whether a source is taken whose records have no time where the table is filed by one.
    pub allow_missing_time: bool,
    /// Where rows are kept that do not fit into memory, when generations are made anew without those of replaced sources.
    pub spill: PathBuf,
    /// Bounds on records, parts and tables.
    pub limits: Limits,
}

impl Run {
    /// Most bytes that a source decodes to unless it is said otherwise: far beyond any object of a delivery stream, and
    /// still an end to a compressed stream that would fill the disk.
    pub const OUTPUT_LIMIT: u64 = 1 << 40;

    /// Sources go to `table`, each row to the hour in its source's key, in files that everything reads (Snappy), one
    /// thread a source; one that was ingested stays as it is, and one that is damaged or has no times fails.
    pub fn new(table: impl Into<String>) -> Run {
        Run {
            table: table.into(),
            partition_by: PartitionBy::Arrival,
            compression: Compression::default(),
            threads: 1,
            replace: false,
            output_limit: Run::OUTPUT_LIMIT,
            on_damage: OnDamage::Fail,
            allow_missing_time: false,
            spill: PathBuf::from("/tmp"),
            limits: Limits::default(),
        }
    }
}

/// What sources of one run share: the table as last seen, and what earlier runs left.
#[derive(Debug)]
pub struct Shared {
    table: Mutex<Arc<Table>>,
    leftovers: Leftovers,
    /// Sources that were ingested anew while a generation showed what they were.
    shown: Shown,
}

impl Shared {
    /// Shares `table` as the catalog has it now.
    pub fn new(table: Table) -> Shared {
        Shared {
            table: Mutex::new(Arc::new(table)),
            leftovers: Leftovers::default(),
            shown: Shown::unasked(),
        }
    }

    /// The same, where it is known what earlier runs left; whoever shares it so calls [`Pipeline::renew`] at the end.
    pub fn with_leftovers(table: Table, leftovers: Leftovers) -> Shared {
        Shared { table: Mutex::new(Arc::new(table)), leftovers, shown: Shown::default() }
    }

    fn table(&self) -> Arc<Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes note of a newer state of the table.
    fn refresh(&self, table: Table) -> Arc<Table> {
        let mut current = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if table.version() > current.version() {
            *current = Arc::new(table);
        }
        current.clone()
    }
}

/// Processes one source.
pub struct Pipeline<'a> {
    /// Where the rows go.
    pub lake: &'a Lake,
    /// Where the source lies.
    pub from: &'a dyn Storage,
    /// How.
    pub run: &'a Run,
    /// What sources of this run share.
    pub shared: &'a Shared,
    /// Told how it goes.
    pub watch: &'a dyn Watch,
}

impl Pipeline<'_> {
    /// Takes a source from its bytes to its receipt, or finds that it is done.
    ///
    /// # Errors
    /// See [`PipelineError`]. Nothing a reader could take for data of this source in error is left behind: what was
    /// written is what the next attempt would write, or knows of and removes.
    pub fn process(&self, source: &SourceObject, turn: &Turn<'_>) -> Result<Ingested, PipelineError> {
        let mut way = Way::default();
        let mut damage = None;
        for _ in 0..TRIES {
            self.watch.enter(Stage::Ledger);
            if self.shared.leftovers.has(&source.name) {
                way.is_recorded |= self.complete(source, &mut way.remarks)?;
            }
            way.is_recorded |= self.run.replace;
            if !way.is_recorded
                && let Some(note) = self.lake.ledger().look(&self.run.table, &source.name)?
            {
                if !note.is_given_up() {
                    return self.already_done(source, &note, way.remarks);
                }
                // Begun anew, under names that nobody had before.
                way.is_recorded = true;
            }
            match self.ingest(source, damage.as_ref(), turn, way) {
                Ok(outcome) => return Ok(outcome),
                Err(Halt::Again(again)) => way = again,
                Err(Halt::Damaged(found)) if self.run.on_damage == OnDamage::Reject => {
                    damage = Some(found);
                    way = Way::default();
                }
                Err(Halt::Damaged(Damage { error, .. })) => return Err(read::failure(source, error)),
                Err(Halt::Done(way)) => return Ok(Ingested::already_done(way.remarks)),
                Err(Halt::Failed(error)) => {
                    if matches!(error, PipelineError::Stopped) {
                        turn.close();
                    }
                    return Err(error);
                }
            }
        }
        Err(PipelineError::Contended { source_name: source.name.clone() })
    }

    fn already_done(
        &self,
        source: &SourceObject,
        note: &Note,
        mut remarks: Vec<Remark>,
    ) -> Result<Ingested, PipelineError> {
        if let Some(difference) = self.change(source, note)? {
            return Err(PipelineError::Changed { source_name: source.name.clone(), difference });
        }
        if let Some(receipt) = &note.receipt {
            self.remove(receipt, receipt.strays(&self.run.table), &[], &mut remarks)?;
        }
        Ok(Ingested::already_done(remarks))
    }

    /// Ingests a source, or what of it was verified before `damage`.
    fn ingest(
        &self,
        source: &SourceObject,
        damage: Option<&Damage>,
        turn: &Turn<'_>,
        way: Way,
    ) -> Result<Ingested, Halt> {
        self.watch.enter(Stage::Read);
        let failed = |error| PipelineError::Source { source_name: source.name.clone(), source: error };
        let body = self.from.get_source(&source.key).map_err(failed)?;
        let table = self.shared.table();
        let schema = match way.basis {
            Some(basis) => self.schema(basis)?,
            None => None,
        };
        // A table that lost columns since is another one: there is nothing to go on with.
        let schema = schema.unwrap_or_else(|| table.schema.clone());
        let options = self.settings(source);
        let attempt = Attempt::new(&body.meta, options.clone());
        let counted = Counted { inner: body.reader, watch: self.watch };
        let mut decoder = Decoder::new(counted, self.run.output_limit);
        let basis = Basis::of(&schema);
        let hold = Hold { pipeline: self, source, attempt, basis, way, state: State::Nothing };
        // One of several threads writes parts while the others read on.
        let threads = self.run.threads.saturating_sub(1).max(1);
        let flattening = Options { threads, limits: self.run.limits, ..Options::default() };
        let flattener = Flattener::new(Arc::new(schema), flattening);
        let spares = flattener.spares();
        let mut writer = Writer::new(self, source, turn, hold, &options);
        let warnings = damage.map(|damage| format!("{}: {damage}", source.name)).into_iter().collect();
        let mut write = |read: Read| {
            spares.give_back(writer.write(read.part, read.is_all)?);
            Ok(())
        };
        if self.run.threads > 1 {
            std::thread::scope(|scope| {
                // Nothing waits in between: there are never more than the part that is written and the one that grows.
                let (parts, taken) = mpsc::sync_channel(0);
                let write = &mut write;
                let writer = scope.spawn(move || taken.into_iter().try_for_each(write));
                let mut hand_over = |part| parts.send(part).map_err(|_| Halt::Failed(PipelineError::Stopped));
                let read = read_all(source, self.from, &mut decoder, flattener, damage, &mut hand_over);
                drop(parts);
                // Whoever writes knows better why nobody takes parts any more.
                writer.join().unwrap_or_else(|panic| resume_unwind(panic)).and(read)
            })?;
        } else {
            read_all(source, self.from, &mut decoder, flattener, damage, &mut write)?;
        }
        let stored = decoder.finish().map_err(|error| read::failure(source, error))?;
        let Writer { hold, written, .. } = writer;
        self.finish(hold, stored, options, written, warnings)
    }

    fn settings(&self, source: &SourceObject) -> ReceiptOptions {
        ReceiptOptions {
            partition_by: self.run.partition_by.clone(),
            hour: source.hour,
            compression: self.run.compression.word().to_owned(),
        }
    }

    /// Checks the accounts, tells the catalog of the last files, writes the receipt and removes what it does not name.
    fn finish(
        &self,
        mut hold: Hold<'_>,
        stored: Stored,
        options: ReceiptOptions,
        mut written: Written,
        warnings: Vec<String>,
    ) -> Result<Ingested, Halt> {
        written.outputs.sort_by(|a, b| a.key.cmp(&b.key));
        written.rejects.sort_by(|a, b| a.key.cmp(&b.key));
        let mut counts = written.balance(&hold.source.name, &stored)?;
        if let State::Nothing = hold.state {
            hold.begin(&mut [], false)?;
        }
        self.watch.enter(Stage::Register);
        self.commit(&mut written)?;
        self.watch.enter(Stage::Receipt);
        hold.check()?;
        let receipt = Receipt {
            format: Receipt::FORMAT,
            source: hold.source.name.clone(),
            etag: hold.attempt.etag.clone(),
            size: stored.size,
            digest: stored.digest,
            layout: LAYOUT,
            revision: hold.revision(),
            options,
            outputs: written.outputs,
            rejects: written.rejects,
            counts: Ledgered {
                records: counts.records,
                rows: counts.rows,
                rejected: counts.rejected,
                ignored: counts.ignored,
                bytes_decoded: counts.bytes_decoded,
            },
            replaced: hold.replaced(),
            given_up: false,
        };
        match self.lake.ledger().put(&self.run.table, &receipt) {
            Ok(Placed::Stands) => {}
            Ok(Placed::Newer) | Err(LedgerError::Conflict { .. }) => return Err(hold.lost()),
            Err(error) => return Err(error.into()),
        }
        hold.release(&receipt, Vec::new())?;
        let Way { new_columns, conflicts, remarks, .. } = hold.way;
        counts.new_columns = new_columns.len() as u64;
        Ok(Ingested {
            status: Status::Done,
            counts,
            rejects_by_reason: written.rejects_by_reason,
            new_columns,
            columns: written.columns,
            conflicts,
            warnings,
            remarks,
        })
    }

    /// Tells the catalog of files that lie where they belong.
    fn commit(&self, written: &mut Written) -> Result<(), CatalogError> {
        for (side, files) in std::mem::take(&mut written.uncommitted) {
            self.lake.catalog.commit(&TableName::new(&self.run.table, side), &files)?;
        }
        Ok(())
    }
}
