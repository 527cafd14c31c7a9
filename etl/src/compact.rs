//! Compaction: the many files of a partition become a few, sorted, and readers see every row once all the while.
//!
//! In come a lake and a partition; out comes the next generation of it ([`crate::generation`]), or word that there is none to
//! make. Effects, in this order: that somebody is at the number is said, files are put, the manifest is put if there is none
//! of its number, the catalog's location is set. Readers that go by manifests change at the third, those that go by the
//! catalog's location at the fourth; each at once. A run that is killed anywhere leaves what the next one completes,
//! or what [`Compactor::sweep`] removes once the number is taken.
//!
//! What must stay true: a file is an input only if a receipt names it that was read after it was said that somebody is at the
//! number. Whoever changes a receipt looks for that word afterwards ([`Compactor::refresh`]): so one of the two sees the
//! other, and no generation comes to show rows that a receipt does not name any more without somebody making the next. That
//! word is taken back only once the number is taken. Should a generation show such rows after all, for whoever changed the
//! receipt was killed, readers by receipts leave them out, and the next run over the partition makes one without them.

mod choose;
mod error;
mod file;
mod make;
mod shape;
mod sort;
mod spill;
mod survey;
mod sweep;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use iotlake_flatten::layout::LAYOUT;
use iotlake_flatten::{Compression, Schema};

use crate::catalog::{CatalogError, DataFile, TableName};
use crate::digest::source_hash;
use crate::generation::{Cause, Folder, GenerationOptions, Generations, Held, Manifest, Numbers};
use crate::lake::Lake;
use crate::partition::Partition;

use choose::{Chosen, Look};
pub use error::CompactError;
use make::Make;
use spill::Spills;
use survey::Replaced;
pub use survey::{Survey, survey};
pub use sweep::Swept;

/// How often a partition is tried anew when other runs come first.
const TRIES: u32 = 16;

/// How partitions are compacted.
#[derive(Debug, Clone)]
pub struct CompactOptions {
    /// How pages are compressed.
    pub compression: Compression,
    /// The most bytes of a file. One is in memory while it is made.
    pub file_bytes: u64,
    /// Bytes of memory for one partition. Decides nothing about what is written.
    pub memory: usize,
    /// Where rows are kept that do not fit into memory.
    pub spill: PathBuf,
    /// How long after its end a partition is closed: what comes later is late.
    pub settled: Duration,
    /// How long superseded files stay for those who read them.
    pub grace: Duration,
}

impl CompactOptions {
    /// As large as Athena likes them, and small enough to be made in memory.
    pub const FILE_BYTES: u64 = 128 << 20;
    /// What a small function has.
    pub const MEMORY: usize = 256 << 20;
    /// Delivery streams and retries of the queue are done by then.
    pub const SETTLED: Duration = Duration::from_secs(2 * 60 * 60);
    /// Longer than any query runs, and than Athena keeps a plan.
    pub const GRACE: Duration = Duration::from_secs(24 * 60 * 60);
    /// In a folder: longer than most queries run, and short enough that whoever reads by path soon sees no row twice.
    pub const LOCAL_GRACE: Duration = Duration::from_secs(10 * 60);

    /// The defaults; what does not fit into memory goes to `spill`.
    pub fn new(spill: PathBuf) -> CompactOptions {
        CompactOptions {
            compression: Compression::default(),
            file_bytes: CompactOptions::FILE_BYTES,
            memory: CompactOptions::MEMORY,
            spill,
            settled: CompactOptions::SETTLED,
            grace: CompactOptions::GRACE,
        }
    }
}

/// What became of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// There was nothing to do. So many files lie there that no receipt names.
    Nothing {
        /// How many.
        waiting: u64,
    },
    /// It has a new generation.
    Done(Compacted),
    /// Another run made the next generation first; nothing of this one is left.
    Lost,
}

/// A generation that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Its number.
    pub number: u32,
    /// Files that were read: those of sources, and those of the generation before.
    pub files_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Files that were written.
    pub files_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Rows that it shows.
    pub rows: u64,
    /// Rows that the generation before showed and this one does not.
    pub removed: u64,
    /// Files that no receipt names.
    pub waiting: u64,
}

/// Compacts partitions of a lake.
pub struct Compactor<'a> {
    lake: &'a Lake,
    options: &'a CompactOptions,
    generations: Generations<'a>,
    /// Partitions that the catalog had elsewhere: for those who read by its locations the grace begins now.
    moved: Mutex<BTreeSet<(String, Partition)>>,
}

/// Which partition, and what is asked.
#[derive(Clone, Copy)]
struct Task<'a> {
    table: &'a str,
    partition: Partition,
    /// Sources of which new receipts stand, where whoever put them asks.
    again: &'a [String],
    /// Whether the number is taken, if somebody may be at it, though there is nothing to make of it.
    takes: bool,
}

impl<'a> Compactor<'a> {
    /// Compacts partitions of `lake`.
    pub fn new(lake: &'a Lake, options: &'a CompactOptions) -> Compactor<'a> {
        let generations = Generations::new(&*lake.storage);
        Compactor { lake, options, generations, moved: Mutex::default() }
    }

    /// Makes the next generation of a partition, if there is more than one file or something that its generation does not
    /// have. Whether it is closed is not asked.
    ///
    /// # Errors
    /// See [`CompactError`]. Readers see what they saw.
    pub fn partition(&self, table: &str, partition: Partition) -> Result<Outcome, CompactError> {
        let task = Task { table, partition, again: &[], takes: false };
        let mut tries = 0..TRIES;
        loop {
            let numbers = self.generations.numbers(table, partition)?;
            let before = self.newest(&task, &numbers)?;
            if before.is_some() {
                self.place(table, partition)?;
            }
            // Most partitions are closed and compact: they shall cost no effect.
            if !self.is_due(&task, before.as_ref())? && !self.is_stale(table, before.as_ref())? {
                return Ok(Outcome::Nothing { waiting: 0 });
            }
            match self.advance(&task, &numbers, before.as_ref()) {
                // Of a source that was ingested anew since its receipt was read.
                Err(error) if error.is_gone() && tries.next().is_some() => {}
                outcome => return outcome,
            }
        }
    }

    /// Makes the next generation of a partition in which these sources, of which new receipts stand, are as their receipts
    /// say. Nothing is done where nobody made a generation, or began to, before the receipts stood.
    ///
    /// Whoever replaces a receipt calls this afterwards, for every partition that the source had files in or has now,
    /// and only then removes what the source had.
    ///
    /// # Errors
    /// See [`CompactError`].
    pub fn refresh(
        &self,
        table: &str,
        partition: Partition,
        sources: &[String],
    ) -> Result<Outcome, CompactError> {
        let task = Task { table, partition, again: sources, takes: true };
        for _ in 0..TRIES {
            let numbers = self.generations.numbers(table, partition)?;
            // A listing of a folder that changes may show neither the word of the next one nor, yet, its manifest.
            if self.generations.is_there(table, partition, numbers.newest() + 1)? {
                continue;
            }
            if numbers.newest() == 0 && !numbers.is_open() {
                return Ok(Outcome::Nothing { waiting: 0 });
            }
            let before = self.newest(&task, &numbers)?;
            if !numbers.is_open() && !shows(before.as_ref(), sources) {
                return Ok(Outcome::Nothing { waiting: 0 });
            }
            match self.advance(&task, &numbers, before.as_ref()) {
                Ok(Outcome::Lost) => {}
                Err(error) if error.is_gone() => {}
                outcome => {
                    self.place(table, partition)?;
                    return outcome;
                }
            }
        }
        Err(CompactError::Contended { table: table.to_owned(), partition })
    }

    /// Lets the catalog say where a partition lies that has a generation, should it say something else; whether it did.
    ///
    /// # Errors
    /// If manifests cannot be read, or the catalog fails.
    pub fn place(&self, table: &str, partition: Partition) -> Result<bool, CompactError> {
        let name = TableName::rows(table);
        let mut is_changed = false;
        for _ in 0..TRIES {
            let Some(manifest) = self.generations.latest(table, partition)? else { return Ok(is_changed) };
            let location = manifest.location();
            match self.lake.catalog.location(&name, partition)? {
                Some(there) if there == location => return Ok(is_changed),
                // Set by somebody who has made the next one since.
                Some(_) if self.generations.is_there(table, partition, manifest.number + 1)? => continue,
                Some(_) => {}
                None => {
                    let outputs = manifest.outputs.into_iter();
                    let files: Vec<_> =
                        outputs.map(|output| DataFile::named(output, partition, Vec::new())).collect();
                    self.lake.catalog.commit(&name, &files)?;
                    if files.is_empty() {
                        return Ok(is_changed);
                    }
                }
            }
            self.lake.catalog.relocate(&name, partition, &location)?;
            is_changed = true;
            let mut moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
            moved.insert((table.to_owned(), partition));
        }
        Err(CompactError::Contended { table: table.to_owned(), partition })
    }

    /// The newest manifest of those that were listed.
    fn newest(&self, task: &Task<'_>, numbers: &Numbers) -> Result<Option<Held>, CompactError> {
        Ok(match numbers.newest() {
            0 => None,
            number => Some(self.generations.read(task.table, task.partition, number)?),
        })
    }

    /// Whether there may be something to do, told by the names of files alone.
    fn is_due(&self, task: &Task<'_>, before: Option<&Held>) -> Result<bool, CompactError> {
        let prefix = format!("{}/{}/", task.table, task.partition.folder());
        let mut files = 0;
        let contains = before.map_or(&[][..], |held| &held.manifest.contains);
        self.lake.storage.list(&prefix, &mut |meta| {
            let is_contained = contains.binary_search_by(|file| file.key.cmp(&meta.key)).is_ok();
            files += usize::from(!is_contained);
            Ok(())
        })?;
        Ok(files > usize::from(before.is_none()))
    }

    /// Whether the generation has sources otherwise than their receipts say.
    fn is_stale(&self, table: &str, before: Option<&Held>) -> Result<bool, CompactError> {
        let Some(before) = before else { return Ok(false) };
        Ok(Replaced::of(self.lake, table)?.stale_in(&before.manifest)? > 0)
    }

    /// The sources that the generation shows and that were replaced or removed at some time: of these a receipt may say
    /// something else.
    fn marked(&self, task: &Task<'_>, before: Option<&Held>) -> Result<Vec<String>, CompactError> {
        let Some(before) = before else { return Ok(Vec::new()) };
        let ledger = self.lake.ledger();
        let shown = before.manifest.sources();
        let mut names = Vec::new();
        for hash in ledger.replaced(task.table)?.iter().filter(|hash| shown.contains(*hash)) {
            names.extend(ledger.replaced_name(task.table, hash)?);
        }
        Ok(names)
    }

    /// Makes the next generation behind `before`, if it shows something else.
    fn advance(
        &self,
        task: &Task<'_>,
        numbers: &Numbers,
        before: Option<&Held>,
    ) -> Result<Outcome, CompactError> {
        let Task { table: name, partition, again, takes } = *task;
        let number = numbers.newest() + 1;
        self.generations.begin(name, partition, number)?;
        let manifest_before = before.map(|held| &held.manifest);
        let (storage, ledger) = (&*self.lake.storage, self.lake.ledger());
        let look = Look { storage, ledger: &ledger, table: name, partition, before: manifest_before };
        let mut asked = self.marked(task, before)?;
        asked.extend(again.iter().filter(|source| !asked.contains(source)).cloned().collect::<Vec<_>>());
        let chosen = match look.choose(&asked) {
            Err(error) => return self.gone(task, number, error),
            Ok(chosen) => chosen,
        };
        // Behind the receipts: it has the columns of every file that they name.
        let table = self.lake.catalog.table(name)?;
        let table = table.ok_or_else(|| CatalogError::NoTable { name: name.to_owned() })?;
        let is_worth_it = chosen.is_changed() && (before.is_some() || chosen.fresh.len() > 1);
        let mut manifest = self.manifest(task, number, before, &table.schema, &chosen);
        if is_worth_it {
            let folder = Folder { partition, number, plan: manifest.plan() };
            manifest.folder = Some(folder.name());
            let make = Make {
                storage,
                spills: Spills::new(&self.options.spill),
                table: name,
                schema: &table.schema,
                folder: &folder,
                options: &manifest.options,
                memory: self.options.memory,
            };
            manifest.outputs = match make.make(manifest_before, &chosen) {
                Err(error) => return self.gone(task, number, error),
                Ok(outputs) => outputs,
            };
        } else if takes && numbers.is_open() {
            // Somebody may be at this number who has read an older receipt, or was killed: it is taken, and shows what was
            // shown.
            manifest = fence(manifest, manifest_before);
        } else {
            return Ok(Outcome::Nothing { waiting: chosen.waiting });
        }
        if !self.generations.commit(&manifest)? {
            self.withdraw(task, &manifest)?;
            return Ok(Outcome::Lost);
        }
        self.place(name, partition)?;
        self.generations.end(name, partition, number)?;
        Ok(Outcome::Done(self.report(manifest_before, &manifest, &chosen)))
    }

    /// The next manifest, but for its files.
    fn manifest(
        &self,
        task: &Task<'_>,
        number: u32,
        before: Option<&Held>,
        schema: &Schema,
        chosen: &Chosen,
    ) -> Manifest {
        let mut removed = BTreeMap::new();
        if chosen.removed > 0 {
            removed.insert(Cause::Replaced, chosen.removed);
        }
        Manifest {
            format: Manifest::FORMAT,
            table: task.table.to_owned(),
            partition: task.partition,
            number,
            previous: before.map(|held| held.digest.clone()),
            writer: format!("iotlake {} layout {LAYOUT}", env!("CARGO_PKG_VERSION")),
            options: GenerationOptions {
                sort: schema.contract().sort.clone(),
                compression: self.options.compression.word().to_owned(),
                columns: schema.columns().len(),
                file_bytes: self.options.file_bytes,
            },
            folder: None,
            contains: chosen.contains.clone(),
            outputs: Vec::new(),
            removed,
        }
    }

    /// What an error means at `number`: if that is taken by now, what was read may have been removed by right.
    fn gone(&self, task: &Task<'_>, number: u32, error: CompactError) -> Result<Outcome, CompactError> {
        let is_taken =
            error.is_gone() && self.generations.numbers(task.table, task.partition)?.newest() >= number;
        if is_taken { Ok(Outcome::Lost) } else { Err(error) }
    }

    /// Removes the files of a generation that another one came before: no manifest will ever name them.
    fn withdraw(&self, task: &Task<'_>, lost: &Manifest) -> Result<(), CompactError> {
        let Some(folder) = lost.folder().filter(|folder| folder.number == lost.number) else { return Ok(()) };
        let winner = self.generations.read(task.table, task.partition, lost.number)?.manifest;
        if winner.folder() != Some(folder) {
            for output in &lost.outputs {
                self.lake.storage.delete(&output.key)?;
            }
        }
        Ok(())
    }

    fn report(&self, before: Option<&Manifest>, manifest: &Manifest, chosen: &Chosen) -> Compacted {
        let bytes = |files: &[crate::ledger::Output]| files.iter().map(|file| file.bytes).sum::<u64>();
        let old = before.map_or(&[][..], |before| &before.outputs);
        Compacted {
            number: manifest.number,
            files_in: (chosen.fresh.len() + old.len()) as u64,
            bytes_in: chosen.fresh.iter().map(|file| file.output.bytes).sum::<u64>() + bytes(old),
            files_out: manifest.outputs.len() as u64,
            bytes_out: bytes(&manifest.outputs),
            rows: manifest.rows(),
            removed: chosen.removed,
            waiting: chosen.waiting,
        }
    }
}

impl std::fmt::Debug for Compactor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compactor").field("options", self.options).finish_non_exhaustive()
    }
}

/// Whether a generation shows rows of one of these sources.
fn shows(held: Option<&Held>, sources: &[String]) -> bool {
    let shown = held.map(|held| held.manifest.sources()).unwrap_or_default();
    sources.iter().any(|source| shown.contains(&source_hash(source)))
}

/// A manifest that shows what the one before shows.
fn fence(manifest: Manifest, before: Option<&Manifest>) -> Manifest {
    let (folder, contains, outputs) = match before {
        Some(before) => (before.folder.clone(), before.contains.clone(), before.outputs.clone()),
        None => Default::default(),
    };
    let options = before.map_or(manifest.options, |before| before.options.clone());
    Manifest { folder, contains, outputs, options, removed: BTreeMap::new(), ..manifest }
}
