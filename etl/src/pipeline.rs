//! One source, from its bytes to its receipt: the one place that knows the order of steps.
//!
//! In comes a source and the table it belongs to; out come its data files, the files of its rejects, their partitions
//! and, last, its receipt. The Lambda, `backfill` and whatever else finds sources all come through here.
//!
//! What must stay true: every effect is idempotent and happens in this order, so that a run may stop anywhere and the
//! next one completes it; only a receipt means done; what is written depends on the source, the table and the options;
//! a source whose accounts do not balance is a failure, never a receipt.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::Read;
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use iotlake_flatten::time::Hour;
use iotlake_flatten::{
    Compression, EncodeError, Encoder, Flattener, LAYOUT, Limits, Options, Part, SettledPart, TableColumn,
};

use crate::catalog::{CatalogError, REJECTS_SUFFIX, Table};
use crate::decode::{self, Damage, DecodeError, Decoder, Known, OnDamage, Stored, Unreadable};
use crate::digest::{Digest, source_hash};
use crate::lake::Lake;
use crate::ledger::{Counts as Ledgered, LedgerError, Note, Output, Receipt, ReceiptOptions};
use crate::partition::{Partition, PartitionBy};
use crate::replace;
use crate::source::SourceObject;
use crate::storage::{Put, Storage, StorageError};
use crate::turns::{Closed, Turn};

/// Most partitions that the rows of one part go to; rows beyond them go to [`Partition::UNKNOWN`]. Each is a file.
pub const MAX_PARTITIONS: usize = 256;

/// Bytes that are read at a time: they are copied on while a core's own cache has them.
const READ_BYTES: usize = 256 << 10;

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
    /// Bounds on records, parts and tables.
    pub limits: Limits,
}

/// What became of the bytes and records of a source, or of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Counts {
    /// Records found.
    pub records: u64,
    /// Records that became rows.
    pub rows: u64,
    /// Records that were rejected.
    pub rejected: u64,
    /// Values at paths that the contract ignores.
    pub ignored: u64,
    /// Bytes of the sources as stored.
    pub bytes_stored: u64,
    /// Bytes of the sources decoded.
    pub bytes_decoded: u64,
    /// Bytes of the files written.
    pub bytes_out: u64,
    /// Files written.
    pub files: u64,
    /// Columns that the table did not have before.
    pub new_columns: u64,
}

impl Counts {
    /// Whether every record is a row or a reject.
    pub fn balances(&self) -> bool {
        self.records == self.rows + self.rejected
    }

    /// Adds the counts of another source.
    pub fn add(&mut self, other: &Counts) {
        self.records += other.records;
        self.rows += other.rows;
        self.rejected += other.rejected;
        self.ignored += other.ignored;
        self.bytes_stored += other.bytes_stored;
        self.bytes_decoded += other.bytes_decoded;
        self.bytes_out += other.bytes_out;
        self.files += other.files;
        self.new_columns += other.new_columns;
    }
}

/// Whether there was anything to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The source was ingested.
    Done,
    /// Its receipt was there; nothing was changed.
    AlreadyDone,
}

/// What became of a source.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Whether there was anything to do.
    pub status: Status,
    /// Accounts of what was done now; nothing for a source that was already done.
    pub counts: Counts,
    /// Number of rejects by [`iotlake_flatten::Reason::code`]. Empty for a source that was already done.
    pub rejects_by_reason: BTreeMap<&'static str, u64>,
    /// Columns that the table did not have before.
    pub new_columns: Vec<TableColumn>,
    /// How often another writer changed the table first.
    pub conflicts: u32,
    /// What a person should know though nothing failed: damage in a compressed stream.
    pub warnings: Vec<String>,
}

/// Why a source was not ingested.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "fields are named in the messages")]
pub enum PipelineError {
    /// The source changed since it was ingested.
    #[error("{identity}: the source changed since it was ingested: {difference}")]
    Changed { identity: String, difference: String },
    /// A file is where one of the source's belongs, and it is another one.
    #[error("{uri}: a file is there already and is not what {identity} gives now")]
    Conflict { uri: String, identity: String },
    /// Records do not add up to rows and rejects.
    #[error("{identity}: accounts do not balance: {difference}")]
    Unbalanced { identity: String, difference: String },
    /// Other writers changed the table every time before this source could be fitted to it.
    #[error("{identity}: the table changed too often while the source was read")]
    Contended { identity: String },
    /// The key does not tell the hour that the table is partitioned by.
    #[error("{identity}: there is no hour in its key, and the table is partitioned by arrival")]
    NoHour { identity: String },
    /// The run was stopped.
    #[error("stopped")]
    Stopped,
    /// The source cannot be read.
    #[error("cannot read {identity}")]
    Source { identity: String, source: StorageError },
    /// The source cannot be decoded.
    #[error("{identity}")]
    Decode { identity: String, source: DecodeError },
    /// The lake's storage failed.
    #[error("cannot write the lake")]
    Storage(#[from] StorageError),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A file could not be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl PipelineError {
    /// What the user can do about it, if that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            PipelineError::Changed { .. } => {
                Some("sources are immutable; if it was changed on purpose, ingest it again with --replace")
            }
            PipelineError::Conflict { .. } => Some(
                "it was left by a run with other options or of another version of the source; \
                 ingest the source again with --replace",
            ),
            PipelineError::Unbalanced { .. } => {
                Some("this is a bug in iotlake; please report it with the source")
            }
            PipelineError::Contended { .. } => Some("run again"),
            PipelineError::NoHour { .. } => {
                Some("say how keys tell their hour: --key-pattern, or IOTLAKE_KEY_PATTERN of the function")
            }
            PipelineError::Stopped => Some("run again: what is done is not done twice"),
            PipelineError::Source { source, .. } => source.hint(),
            PipelineError::Decode { source, .. } => source.hint(),
            PipelineError::Storage(error) => error.hint(),
            PipelineError::Catalog(error) => error.hint(),
            PipelineError::Ledger(error) => error.hint(),
            PipelineError::Encode(_) => None,
        }
    }
}

impl From<Closed> for PipelineError {
    fn from(Closed: Closed) -> PipelineError {
        PipelineError::Stopped
    }
}

/// What sources of one run share: the table as last seen and the partitions known to be there.
#[derive(Debug)]
pub struct Shared {
    table: Mutex<Arc<Table>>,
    partitions: Mutex<HashSet<(bool, Partition)>>,
}

impl Shared {
    /// Shares `table` as the catalog has it now.
    pub fn new(table: Table) -> Shared {
        Shared { table: Mutex::new(Arc::new(table)), partitions: Mutex::new(HashSet::new()) }
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

/// Watches the way of a source.
pub trait Watch: Sync {
    /// So many more bytes of the source, as stored, were read.
    fn read(&self, _stored_bytes: u64) {}

    /// What was done until now is over, and this begins.
    fn enter(&self, _stage: Stage) {}

    /// A part was read; it is not written yet.
    fn part(&self, _part: &Part) {}

    /// Whether to stop: what is being written is finished, then the source ends in [`PipelineError::Stopped`].
    fn is_stopped(&self) -> bool {
        false
    }
}

/// Watches nothing.
impl Watch for () {}

/// What the time of a source is spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Looking for a receipt.
    Ledger,
    /// Fetching, decoding and flattening, which go on together.
    Read,
    /// Asking the catalog for columns.
    Resolve,
    /// Making Parquet of columns.
    Encode,
    /// Writing files.
    Write,
    /// Making partitions known.
    Register,
    /// Writing the receipt.
    Receipt,
}

/// Everything a source has had written so far.
#[derive(Default)]
struct Written {
    outputs: Vec<Output>,
    rejects: Vec<Output>,
    partitions: BTreeSet<Partition>,
    reject_partitions: BTreeSet<Partition>,
    /// Highest number of a record.
    records: u64,
    ignored: u64,
    /// Offset up to which parts account for the decoded source.
    accounted: u64,
    rejects_by_reason: BTreeMap<&'static str, u64>,
    new_columns: Vec<TableColumn>,
    conflicts: u32,
}

/// Why reading a source stopped before its end.
enum Halt {
    Failed(PipelineError),
    /// The table changed in a way that decides what of a crowded part is a column: read again.
    Stale,
    /// The source is damaged, and nothing of it was written.
    Damaged(Damage),
}

impl<E: Into<PipelineError>> From<E> for Halt {
    fn from(error: E) -> Halt {
        Halt::Failed(error.into())
    }
}

impl Pipeline<'_> {
    /// Takes a source from its bytes to its receipt, or finds that it is done.
    ///
    /// # Errors
    /// See [`PipelineError`]. Nothing a reader could take for data of this source in error is left behind: what was
    /// written is what the next attempt would write.
    pub fn process(&self, source: &SourceObject, turn: &Turn<'_>) -> Result<Outcome, PipelineError> {
        self.watch.enter(Stage::Ledger);
        let (ledger, table) = (self.lake.ledger(), &self.run.table);
        if self.run.replace {
            match ledger.head(table, &source.identity)? {
                Some(receipt) => replace::remove(self.lake, table, &receipt)?,
                None => replace::resume(self.lake, table, &source.identity)?,
            }
        } else if let Some(note) = ledger.look(table, &source.identity)? {
            return self.already_done(source, &note);
        }
        let mut damage = None;
        for _ in 0..8 {
            match self.ingest(source, damage.as_ref(), turn) {
                Ok(outcome) => return Ok(outcome),
                Err(Halt::Stale) => continue,
                Err(Halt::Damaged(found)) if self.run.on_damage == OnDamage::Reject => damage = Some(found),
                Err(Halt::Damaged(Damage { error, .. })) => {
                    let identity = source.identity.clone();
                    return Err(PipelineError::Decode { identity, source: error });
                }
                Err(Halt::Failed(error)) => {
                    if matches!(error, PipelineError::Stopped) {
                        turn.close();
                    }
                    return Err(error);
                }
            }
        }
        Err(PipelineError::Contended { identity: source.identity.clone() })
    }

    fn already_done(&self, source: &SourceObject, note: &Note) -> Result<Outcome, PipelineError> {
        if let Some(difference) = self.change(source, note)? {
            return Err(PipelineError::Changed { identity: source.identity.clone(), difference });
        }
        self.watch.read(source.size);
        Ok(Outcome {
            status: Status::AlreadyDone,
            counts: Counts::default(),
            rejects_by_reason: BTreeMap::new(),
            new_columns: Vec::new(),
            conflicts: 0,
            warnings: Vec::new(),
        })
    }

    /// How the source differs from what its receipt says was read.
    ///
    /// Its version tells, where the storage has such: first the one that was announced, which costs nothing; but an
    /// announcement may be older than the source, so before it counts as changed the source is asked. Where there are
    /// no versions, a file that was last changed before its receipt was written has not changed. Any other is read.
    fn change(&self, source: &SourceObject, note: &Note) -> Result<Option<String>, PipelineError> {
        let failed = |error| PipelineError::Source { identity: source.identity.clone(), source: error };
        let is_same = |size, etag: &Option<String>| size == note.size && etag.is_some() && *etag == note.etag;
        if is_same(source.size, &source.etag) {
            return Ok(None);
        }
        let mut size = source.size;
        if source.etag.is_some() {
            // A source that was removed after it was ingested is no change to what was ingested.
            let Some(now) = self.from.head(&source.key).map_err(failed)? else { return Ok(None) };
            if is_same(now.size, &now.etag) {
                return Ok(None);
            }
            size = now.size;
        }
        if size != note.size {
            return Ok(Some(format!("it had {} bytes and has {size} now", note.size)));
        }
        let has_versions = source.etag.is_some() && note.etag.is_some();
        if let (false, Some(changed), Some(written)) = (has_versions, source.modified, note.written)
            && changed < written
        {
            return Ok(None);
        }
        let receipt = self.lake.ledger().head(&self.run.table, &source.identity)?;
        // Removed between the two looks, by a `--replace` of somebody else: theirs is the newer word.
        let Some(receipt) = receipt else { return Ok(None) };
        let mut reader = self.from.get(&source.key).map_err(failed)?.reader;
        let mut digest = Digest::new();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => digest.update(&buffer[..count]),
                Err(error) => return Err(failed(StorageError::from_io(source.identity.clone(), error))),
            }
        }
        let digest = digest.finish();
        let is_other = digest != receipt.digest;
        Ok(is_other.then(|| format!("the digest of its bytes was {} and is {digest} now", receipt.digest)))
    }

    /// Ingests a source, or what of it was verified before `damage`.
    fn ingest(
        &self,
        source: &SourceObject,
        damage: Option<&Damage>,
        turn: &Turn<'_>,
    ) -> Result<Outcome, Halt> {
        self.watch.enter(Stage::Read);
        let table = self.shared.table();
        let failed = |error| PipelineError::Source { identity: source.identity.clone(), source: error };
        let body = self.from.get(&source.key).map_err(failed)?;
        let etag = body.meta.etag.clone();
        let counted = Counted { inner: body.reader, watch: self.watch };
        let mut decoder = Decoder::new(counted, self.run.output_limit);
        // One of several threads writes parts while the others read on.
        let threads = self.run.threads.saturating_sub(1).max(1);
        let options = Options { threads, limits: self.run.limits, ..Options::default() };
        let flattener = Flattener::new(Arc::new(table.schema.clone()), options);
        let settings = self.settings(source);
        let settings_text = serde_json::to_string(&settings).expect("options are JSON");
        let mut written = Written::default();
        let warnings = damage.map(|damage| format!("{}: {damage}", source.identity)).into_iter().collect();
        let known = damage.map_or(Known::Nothing, Known::Damaged);
        let mut again = || Ok(self.from.get(&source.key).map_err(failed)?.reader);
        let spares = flattener.spares();
        let mut write = |part: Part| {
            let part = self.write_part(part, source, &table, &settings_text, turn, &mut written)?;
            spares.give_back(part);
            Ok(())
        };
        if self.run.threads > 1 {
            std::thread::scope(|scope| {
                // Nothing waits in between: there are never more than the part that is written and the one that grows.
                let (parts, taken) = mpsc::sync_channel(0);
                let writer = scope.spawn(move || taken.into_iter().try_for_each(&mut write));
                let mut hand_over = |part| parts.send(part).map_err(|_| Halt::Failed(PipelineError::Stopped));
                let read = decode::parts(&mut decoder, flattener, known, Some(&mut again), &mut hand_over);
                drop(parts);
                // Whoever writes knows better why nobody takes parts any more.
                writer.join().unwrap_or_else(|panic| resume_unwind(panic))?;
                read.map_err(|error| halted(source, error))
            })?;
        } else {
            decode::parts(&mut decoder, flattener, known, Some(&mut again), &mut write)
                .map_err(|error| halted(source, error))?;
        }
        let undecoded = |error| PipelineError::Decode { identity: source.identity.clone(), source: error };
        let stored = decoder.finish().map_err(undecoded)?;
        self.finish(source, etag, stored, settings, written, warnings).map_err(Halt::Failed)
    }

    fn settings(&self, source: &SourceObject) -> ReceiptOptions {
        ReceiptOptions {
            partition_by: self.run.partition_by.clone(),
            hour: source.hour,
            compression: self.run.compression.word().to_owned(),
        }
    }

    /// Fits a part to the table, registering what is new, and writes its files; the part, to use its memory again.
    fn write_part(
        &self,
        part: Part,
        source: &SourceObject,
        read_with: &Table,
        settings: &str,
        turn: &Turn<'_>,
        written: &mut Written,
    ) -> Result<SettledPart, Halt> {
        if self.watch.is_stopped() {
            return Err(PipelineError::Stopped.into());
        }
        self.watch.part(&part);
        let limits = &self.run.limits;
        let mut table = self.shared.table();
        let mut fit = part.fit(&table.schema, limits);
        if !fit.register.is_empty() || fit.has_refused() || part.spilled {
            self.watch.enter(Stage::Resolve);
            turn.wait().map_err(PipelineError::from)?;
            let propose = &mut |schema: &iotlake_flatten::Schema| part.fit(schema, limits).register;
            let evolved = self.lake.catalog.evolve(&self.run.table, propose).map_err(PipelineError::from)?;
            // Whoever registers a column first brings it; a retry or a sibling finds it there.
            written.new_columns.extend(evolved.registered);
            written.conflicts += evolved.conflicts;
            table = self.shared.refresh(evolved.table);
            if part.spilled && table.version() != read_with.version() {
                return Err(Halt::Stale);
            }
            fit = part.fit(&table.schema, limits);
        }
        self.watch.enter(Stage::Encode);
        // Before the column that tells the time may find no room in the table.
        let hours = match &self.run.partition_by {
            PartitionBy::Event(path) => Some(part.hours(path)),
            PartitionBy::Arrival => None,
        };
        let part = part.settle(&fit);
        self.account(&part, written);
        let hash = source_hash(&source.identity);
        let encoder = Encoder {
            source: &source.identity,
            options: settings,
            compression: self.run.compression,
            parallel: self.run.threads > 2,
        };
        let name = format!("{hash}-{:05}.parquet", part.number);
        if !part.rejects.is_empty() {
            let partition = source.hour.unwrap_or(Partition::UNKNOWN);
            let key = format!("{}{REJECTS_SUFFIX}/{}/{name}", self.run.table, partition.folder());
            let bytes = encoder.encode_rejects(&part).map_err(PipelineError::from)?;
            let output = self.put(key, &bytes, part.rejects.len() as u64, source)?;
            written.rejects.push(output);
            written.reject_partitions.insert(partition);
        }
        let mut write = |partition: Partition, stretches: &[Range<u32>]| {
            let key = format!("{}/{}/{name}", self.run.table, partition.folder());
            let rows = stretches.iter().map(|rows| u64::from(rows.end - rows.start)).sum();
            let bytes = encoder.encode_rows(&part, stretches, &table.schema).map_err(PipelineError::from)?;
            written.outputs.push(self.put(key, &bytes, rows, source)?);
            written.partitions.insert(partition);
            Ok::<(), Halt>(())
        };
        match hours {
            _ if part.rows == 0 => {}
            None => write(source.hour.unwrap_or(Partition::UNKNOWN), std::slice::from_ref(&(0..part.rows)))?,
            Some(hours) => {
                for (partition, stretches) in partitioned(&hours) {
                    write(partition, &stretches)?;
                }
            }
        }
        self.watch.enter(Stage::Read);
        Ok(part)
    }

    fn account(&self, part: &Part, written: &mut Written) {
        let last_row = part.records.last().copied().unwrap_or(0);
        let last_reject = part.rejects.last().map_or(0, |reject| reject.record);
        written.records = written.records.max(last_row).max(last_reject);
        written.ignored += part.ignored;
        if part.span.start == written.accounted {
            written.accounted = part.span.end;
        }
        for reject in &part.rejects {
            *written.rejects_by_reason.entry(reject.reason.code()).or_default() += 1;
        }
    }

    /// Writes a file, or finds that it was written before: then it is the same, byte for byte.
    fn put(
        &self,
        key: String,
        bytes: &[u8],
        rows: u64,
        source: &SourceObject,
    ) -> Result<Output, PipelineError> {
        self.watch.enter(Stage::Write);
        let storage = &self.lake.storage;
        if storage.put_if_absent(&key, bytes)? == Put::AlreadyThere
            && storage.read(&key)?.is_none_or(|there| there != bytes)
        {
            let identity = source.identity.clone();
            return Err(PipelineError::Conflict { uri: storage.uri(&key), identity });
        }
        self.watch.enter(Stage::Encode);
        Ok(Output { key, bytes: bytes.len() as u64, rows, digest: Digest::of(bytes) })
    }

    /// Makes the partitions known, checks the accounts and writes the receipt.
    fn finish(
        &self,
        source: &SourceObject,
        etag: Option<String>,
        stored: Stored,
        options: ReceiptOptions,
        mut written: Written,
        warnings: Vec<String>,
    ) -> Result<Outcome, PipelineError> {
        written.outputs.sort_by(|a, b| a.key.cmp(&b.key));
        written.rejects.sort_by(|a, b| a.key.cmp(&b.key));
        let rows = written.outputs.iter().map(|output| output.rows).sum();
        let rejected = written.rejects.iter().map(|output| output.rows).sum();
        let files = written.outputs.iter().chain(&written.rejects);
        let counts = Counts {
            records: written.records,
            rows,
            rejected,
            ignored: written.ignored,
            bytes_stored: stored.size,
            bytes_decoded: stored.decoded,
            bytes_out: files.clone().map(|output| output.bytes).sum(),
            files: files.count() as u64,
            new_columns: written.new_columns.len() as u64,
        };
        let unbalanced = |difference| {
            let identity = source.identity.clone();
            Err(PipelineError::Unbalanced { identity, difference })
        };
        if !counts.balances() {
            return unbalanced(format!("{} records, {rows} rows, {rejected} rejects", counts.records));
        }
        if counts.records > 0 && written.accounted != stored.decoded {
            let (accounted, decoded) = (written.accounted, stored.decoded);
            return unbalanced(format!("parts account for {accounted} of {decoded} bytes"));
        }
        self.watch.enter(Stage::Register);
        self.ensure_partitions(false, &written.partitions)?;
        self.ensure_partitions(true, &written.reject_partitions)?;
        self.watch.enter(Stage::Receipt);
        let receipt = Receipt {
            format: Receipt::FORMAT,
            source: source.identity.clone(),
            etag,
            size: stored.size,
            digest: stored.digest,
            layout: LAYOUT,
            options,
            outputs: written.outputs,
            rejects: written.rejects,
            counts: Ledgered {
                records: counts.records,
                rows,
                rejected,
                ignored: counts.ignored,
                bytes_decoded: counts.bytes_decoded,
            },
        };
        self.lake.ledger().put(&self.run.table, &receipt)?;
        Ok(Outcome {
            status: Status::Done,
            counts,
            rejects_by_reason: written.rejects_by_reason,
            new_columns: written.new_columns,
            conflicts: written.conflicts,
            warnings,
        })
    }

    fn ensure_partitions(
        &self,
        of_rejects: bool,
        partitions: &BTreeSet<Partition>,
    ) -> Result<(), CatalogError> {
        let lock = || self.shared.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().clone();
        let unseen: Vec<Partition> = partitions
            .iter()
            .copied()
            .filter(|partition| !known.contains(&(of_rejects, *partition)))
            .collect();
        if unseen.is_empty() {
            return Ok(());
        }
        let suffix = if of_rejects { REJECTS_SUFFIX } else { "" };
        self.lake.catalog.ensure_partitions(&format!("{}{suffix}", self.run.table), &unseen)?;
        lock().extend(unseen.into_iter().map(|partition| (of_rejects, partition)));
        Ok(())
    }
}

fn halted(source: &SourceObject, error: Unreadable<Halt>) -> Halt {
    match error {
        Unreadable::Damaged(damage) => Halt::Damaged(damage),
        Unreadable::Failed(error) => {
            PipelineError::Decode { identity: source.identity.clone(), source: error }.into()
        }
        Unreadable::Caller(halt) => halt,
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

struct Counted<'a> {
    inner: Box<dyn Read + Send>,
    watch: &'a dyn Watch,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.watch.read(count as u64);
        Ok(count)
    }
}
