//! The lint of a lake: does everything in it keep the rules that its readers stand on?
//!
//! In come the storage and the catalog of a lake; out comes what breaks a rule, each with its place and what to do.
//! Footers of files are read, never their data unless [`Depth::Bytes`] asks for it. Nothing is changed. Athena's rules
//! are among those that are checked, because Athena itself can only be asked once it is too late.
//!
//! What must stay true: a lake that is being written to has no findings for that reason alone. So receipts are listed
//! before the files they name, files before the catalog that knows their columns, and a file that no receipt names yet
//! is no finding but an orphan, unless its source has a receipt: then readers by path do see rows too often, for as long
//! as it takes to ingest the source anew. Beyond what can be seen here lies only what was changed so as to agree: a
//! receipt and its files, footers included.

mod file;
mod generations;
mod receipts;
mod rule;
mod unclaimed;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::catalog::{Catalog, CatalogError, Side, Table, TableName};
use crate::digest::source_hash;
use crate::error::Error;
use crate::generation::place;
use crate::partition::Partition;
use crate::pipeline::ATTEMPTS;
use crate::place::FileName;
use crate::storage::{ObjectMeta, Storage, StorageError};

use file::{Expected, Facts, Writer};
use generations::Shown;
pub use generations::{Drift, Partitions};
use receipts::{Claims, Held};
pub use rule::{Rule, Severity};
pub(crate) use unclaimed::{Unclaimed, unclaimed};

/// How much of each file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Depth {
    /// The footer. The default: what readers rely on stands there.
    #[default]
    Footers,
    /// Every byte, to compare the digest with that of the receipt.
    Bytes,
}

/// One thing that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// Where: a key, a folder, or the name of a table.
    pub place: String,
    /// What is the matter there.
    pub message: String,
}

impl Finding {
    fn new(rule: Rule, place: impl Into<String>, message: impl Into<String>) -> Finding {
        Finding { rule, place: place.into(), message: message.into() }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        self.rule.hint()
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} [{}]", self.place, self.message, self.rule.code())
    }
}

/// What an audit found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audit {
    /// What breaks a rule, by place.
    pub findings: Vec<Finding>,
    /// Tables of the catalog, without those of rejects.
    pub tables: usize,
    /// Receipts.
    pub receipts: usize,
    /// Parquet files, those of rejects included.
    pub files: usize,
    /// Rows that readers through the catalog see, and those of orphans.
    pub rows: u64,
    /// What is known of partitions that have a generation.
    pub generations: Partitions,
    /// Rows of files of rejects.
    pub rejected: u64,
    /// Files that no receipt names, of sources without one: left by a run that broke off, or written by one that still
    /// goes on. Who reads by path sees the rows of a source that is not done; the next run over it completes them.
    pub orphans: Vec<String>,
    /// Records of attempts to write a source: of runs that still go on, or broke off. The next backfill completes those.
    pub attempts: Vec<String>,
    /// Temporary files of runs that broke off, or that still go on. Nobody reads them; the next run removes those that
    /// are a day old.
    pub leftovers: Vec<String>,
}

impl Audit {
    /// Whether nothing is wrong. Findings of [`Severity::Warning`] are allowed.
    pub fn is_clean(&self) -> bool {
        self.findings.iter().all(|finding| finding.rule.severity() == Severity::Warning)
    }
}

/// Checks the whole lake in `storage` against `catalog`.
///
/// # Errors
/// If the storage or the catalog cannot be read. What is damaged in them is a finding, not an error.
pub fn audit(storage: &dyn Storage, catalog: &dyn Catalog, depth: Depth) -> Result<Audit, Error> {
    let mut audit = Audit::default();
    storage.list(TEMPORARY, &mut |meta| {
        audit.leftovers.push(meta.key);
        Ok(())
    })?;
    storage.list(&format!("{ATTEMPTS}/"), &mut |meta| {
        audit.attempts.push(meta.key);
        Ok(())
    })?;
    let claims = receipts::read(storage, &mut audit)?;
    let mut folders = folders(storage)?;
    let tables = catalog.tables()?;
    let sides = |name: &String| Side::BOTH.map(|side| TableName::new(name, side));
    let expected: BTreeSet<_> = tables.iter().flat_map(sides).map(|name| name.to_string()).collect();
    for folder in folders.keys().chain(&claims.tables).collect::<BTreeSet<_>>() {
        let has_data = |meta: &ObjectMeta| meta.key.contains("/year=") || meta.key.ends_with(".parquet");
        let is_table = claims.tables.contains(folder) || folders[folder].iter().any(has_data);
        if is_table && !expected.contains(folder) {
            audit.findings.push(Finding::new(
                Rule::UnknownTable,
                folder,
                "no table of the catalog has this name",
            ));
        }
    }
    let (mut audited, mut contained) = (BTreeSet::new(), HashMap::new());
    for name in &tables {
        let table = match catalog.table(name) {
            Ok(Some(table)) => table,
            Ok(None) => continue,
            Err(error @ (CatalogError::Damaged { .. } | CatalogError::Newer { .. })) => {
                audit.findings.push(Finding::new(Rule::Catalog, name, error.to_string()));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        audit.tables += 1;
        rule::check_names(&table, &mut audit.findings);
        // Behind the files: what was swept since they were listed is in the generation that is read now.
        let shown = Shown::read(storage, name, &mut audit.findings)?;
        shown.contained(&mut contained);
        for name in sides(name) {
            let (folder, expected) = (name.to_string(), expected_of(name.side, &table));
            let listed = folders.remove(&folder).unwrap_or_default();
            let of_side = TableAudit {
                storage,
                depth,
                claims: &claims,
                shown: (name.side == Side::Rows).then_some(&shown),
                name: &name,
                folder: &folder,
                expected: &expected,
            };
            let rows = of_side.run(catalog, &listed, &mut audit)?;
            audited.insert(folder);
            match name.side {
                Side::Rows => audit.rows += rows,
                Side::Rejects => audit.rejected += rows,
            }
        }
    }
    claims.report(storage, &audited, &contained, &mut audit.findings)?;
    audit.findings.sort_by(|a, b| (&a.place, a.rule).cmp(&(&b.place, b.rule)));
    Ok(audit)
}

/// What the files on one side of a table may hold.
fn expected_of(side: Side, table: &Table) -> Expected {
    match side {
        Side::Rows => Expected::data(table),
        Side::Rejects => Expected::rejects(),
    }
}

const TEMPORARY: &str = "_iotlake/tmp/";

/// Everything but the engine's own folder, by its first component.
fn folders(storage: &dyn Storage) -> Result<BTreeMap<String, Vec<ObjectMeta>>, Error> {
    let mut folders: BTreeMap<String, Vec<ObjectMeta>> = BTreeMap::new();
    storage.list("", &mut |meta| {
        match meta.key.split_once('/') {
            None | Some(("_iotlake", _)) => {}
            Some((folder, _)) => match folders.get_mut(folder) {
                Some(listed) => listed.push(meta),
                None => {
                    folders.insert(folder.to_owned(), vec![meta]);
                }
            },
        }
        Ok(())
    })?;
    Ok(folders)
}

/// One folder of files of one schema.
struct TableAudit<'a> {
    storage: &'a dyn Storage,
    depth: Depth,
    claims: &'a Claims,
    /// What generations show; `None` of rejects.
    shown: Option<&'a Shown>,
    name: &'a TableName,
    /// The name as the folder's.
    folder: &'a str,
    expected: &'a Expected,
}

impl TableAudit<'_> {
    /// Checks the files in the folder and the partitions they are in; the number of their rows.
    fn run(&self, catalog: &dyn Catalog, listed: &[ObjectMeta], audit: &mut Audit) -> Result<u64, Error> {
        let checked: Vec<_> = listed.par_iter().map(|meta| self.file(meta)).collect();
        let (mut rows, mut there, mut receipted) = (0, HashSet::new(), BTreeSet::new());
        for (meta, checked) in listed.iter().zip(checked) {
            let Checked { findings, partition, is_data, is_stale, is_hidden, facts } = checked?;
            audit.findings.extend(findings);
            if !is_data {
                continue;
            }
            audit.files += 1;
            there.extend(partition);
            if is_hidden {
                audit.generations.superseded += 1;
                audit.generations.superseded_bytes += meta.size;
                continue;
            }
            rows += facts.map_or(0, |facts| facts.rows);
            let is_shown = self.shown.is_some_and(|shown| shown.output(&meta.key).is_some());
            if is_shown || self.claims.of(&meta.key).is_some() {
                receipted.extend(partition);
            } else if !is_stale {
                audit.orphans.push(meta.key.clone());
            }
        }
        if let Some(shown) = self.shown {
            rows -= shown.check(self, catalog, listed, audit)?.min(rows);
            there.extend(shown.partitions());
        }
        let registered: BTreeSet<_> = catalog.partitions(self.name)?.into_iter().collect();
        let place = |partition: &Partition| format!("{}/{}", self.folder, partition.folder());
        for partition in receipted.difference(&registered) {
            let message = "the catalog does not know the partition, so queries do not see it";
            audit.findings.push(Finding::new(Rule::PartitionUnknown, place(partition), message));
        }
        for partition in registered.iter().filter(|partition| !there.contains(partition)) {
            let message = "the catalog knows the partition, and no file is in it";
            audit.findings.push(Finding::new(Rule::PartitionEmpty, place(partition), message));
        }
        Ok(rows)
    }

    fn file(&self, meta: &ObjectMeta) -> Result<Checked, Error> {
        let mut checked = Checked::default();
        let rest = &meta.key[self.folder.len() + 1..];
        let mut find = |rule, message: String| checked.findings.push(Finding::new(rule, &meta.key, message));
        if let Some(hidden) = rest.split('/').find(|component| component.starts_with(['_', '.'])) {
            find(Rule::HiddenName, format!("query engines ignore `{hidden}` and everything below"));
            return Ok(checked);
        }
        if !rest.ends_with(".parquet") {
            find(Rule::ForeignFile, "not a Parquet file; query engines would read it as one".to_owned());
            return Ok(checked);
        }
        checked.is_data = true;
        if let Some(shown) = self.shown
            && let Some(folder) = place::parse(&self.name.name, &meta.key)
        {
            return shown.file(self, meta, &folder);
        }
        let folder = rest.rsplit_once('/').map_or("", |(folder, _)| folder);
        checked.partition = Partition::from_folder(folder);
        if checked.partition.is_none() {
            find(Rule::FolderName, format!("`{folder}` is not written as year=YYYY/month=MM/day=DD/hour=HH"));
        }
        let named = rest.rsplit('/').next().and_then(FileName::parse);
        if named.is_none() {
            find(Rule::FileName, "the name is not <32 hexadecimal digits>-<part>.parquet".to_owned());
        }
        checked.facts =
            match file::check(self.storage, meta, self.expected, Writer::Source, &mut checked.findings) {
                // Removed since it was listed: a receipt that still names it will say so.
                Err(StorageError::NotFound { .. }) => return Ok(Checked::default()),
                facts => facts?,
            };
        let mut find = |rule, message: String| checked.findings.push(Finding::new(rule, &meta.key, message));
        let facts = checked.facts.as_ref();
        let source = facts.and_then(|facts| facts.source.as_deref());
        if let (Some(named), Some(source)) = (&named, source) {
            let part = facts.and_then(|facts| facts.part).unwrap_or(named.part.into());
            if source_hash(source) != named.hash {
                find(Rule::FileName, format!("the name is not that of its source, {source}"));
            } else if part != u64::from(named.part) {
                find(Rule::FileName, format!("the name says part {}, the file says {part}", named.part));
            }
        }
        // Those who read through the catalog read its rows in the generation, those of its source before, or none.
        let is_contained = self.shown.is_some_and(|shown| shown.is_contained(&meta.key));
        let is_in_generation = self.shown.is_some_and(|shown| {
            checked
                .partition
                .zip(named.as_ref())
                .is_some_and(|(partition, named)| shown.has(partition, &named.hash))
        });
        // But for those of a source that was ingested anew since: they are read, and what the generation has is not.
        checked.is_hidden = is_contained || (is_in_generation && self.claims.of(&meta.key).is_none());
        match self.claims.of(&meta.key) {
            None if is_contained => {}
            Some(claim) => {
                claim.compare(self.claims, self.storage, meta, facts, self.depth, &mut checked.findings)?;
            }
            None => {
                let receipt = source.and_then(|source| self.claims.receipt(&self.name.name, source));
                if let Some(receipt) = receipt
                    && receipt.stands(self.storage)?
                {
                    checked.is_stale = true;
                    find(Rule::StaleFile, stale(named.map_or(0, |named| named.revision), receipt));
                }
            }
        }
        Ok(checked)
    }
}

/// What a file of a source with a receipt, which does not name the file, does to those who read it.
fn stale(revision: u32, receipt: &Held) -> String {
    let does = match revision.cmp(&receipt.revision) {
        Ordering::Less => "is left of what its source was before: who reads by path reads stale rows",
        Ordering::Equal => {
            "is not named by the receipt of its source: who reads by path reads its rows too often"
        }
        Ordering::Greater => {
            "is of a replacement of its source that has not ended: who reads by path reads old and new rows"
        }
    };
    format!("{does} (the receipt is {})", receipt.key)
}

/// What became of one file.
#[derive(Default)]
struct Checked {
    findings: Vec<Finding>,
    partition: Option<Partition>,
    /// Whether query engines read it as data.
    is_data: bool,
    /// Whether its source has a receipt that does not name it.
    is_stale: bool,
    /// Whether nobody who reads through the catalog reads it, since a generation is read in its place.
    is_hidden: bool,
    /// `None` if it cannot be read.
    facts: Option<Facts>,
}
