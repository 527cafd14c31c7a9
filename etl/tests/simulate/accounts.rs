//! The accounts, checked from outside: by the objects of the lake alone, after every change of one.
//!
//! Documents are read as JSON and files as Parquet by this module's own eyes; what has to be in them is known from how the
//! sources were made. What is checked: a file never changes, and goes only if no receipt names it; a receipt never goes,
//! its revision only grows, and what it names is there, with its digest, in the right hour, and holds each record of the
//! source once, as a row or as a reject; the table has the columns of each such file, and never changes one; the catalog
//! knows the partitions before the receipt is there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use iotlake::catalog::{Catalog, Side, Table, TableName};
use iotlake::digest::{Digest, source_hash};
use iotlake::partition::Partition;
use iotlake::storage::Storage;
use serde_json::Value;

use crate::facts::facts;
use crate::generations::{Generations, MANIFESTS};
use crate::sources::{self, Version};
use crate::world::World;

/// The files of rows and of rejects that a receipt names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Named {
    pub rows: BTreeSet<String>,
    pub rejects: BTreeSet<String>,
}

impl Named {
    pub fn of(&self, side: Side) -> &BTreeSet<String> {
        match side {
            Side::Rows => &self.rows,
            Side::Rejects => &self.rejects,
        }
    }
}

/// A receipt that stands, or stood.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Since which step.
    pub since: u64,
    pub revision: u64,
    pub digest: String,
    pub compression: String,
    pub named: Named,
    document: Value,
}

/// The accounts of one schedule.
#[derive(Debug, Default)]
pub struct Accounts {
    /// Whether rows are filed by their own time.
    by_event: bool,
    /// By the hash of a source, the receipts that it had, oldest first.
    pub receipts: BTreeMap<String, Vec<Standing>>,
    /// Names, identities and places of the table's columns.
    columns: Vec<(String, String)>,
    pub generations: Generations,
    /// Whether somebody takes sources out of the lake that are done.
    pub may_remove: bool,
}

pub type Checked = Result<(), String>;

pub fn ensure(holds: bool, why: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(why()) }
}

impl Accounts {
    /// Of a table whose rows are filed by their own time, or by that of their source.
    pub fn new(by_event: bool) -> Accounts {
        Accounts { by_event, ..Accounts::default() }
    }

    /// An object was changed, from one content to another.
    pub fn changed(
        &mut self,
        world: &World,
        (step, now): (u64, SystemTime),
        key: &str,
        before: Option<&[u8]>,
        after: Option<&[u8]>,
    ) -> Checked {
        if key.starts_with("events/") || key.starts_with("events_rejects/") {
            self.file(key, now, before, after)?;
            return if after.is_none() { self.located(world) } else { Ok(()) };
        }
        if key.starts_with(MANIFESTS) {
            return self.generations.document(world, &self.receipts, (step, now), key, before, after);
        }
        if key.starts_with("_iotlake/receipts/") {
            let bytes = after.ok_or_else(|| format!("{key}: a receipt was removed"))?;
            return self.receipt(world, step, key, bytes);
        }
        if key.starts_with("_iotlake/catalog/tables/") {
            let bytes = after.ok_or_else(|| format!("{key}: a table was removed"))?;
            let document: Value = serde_json::from_slice(bytes).map_err(|error| format!("{key}: {error}"))?;
            let columns = document["columns"].as_array().cloned().unwrap_or_default();
            let columns = columns.iter().map(|column| {
                let name = column["name"].as_str().unwrap_or_default().to_owned();
                (name, format!("{} {}", column["path"], column["kind"]))
            });
            return self.columns(columns.collect());
        }
        if key.starts_with("_iotlake/catalog/partitions/") {
            return ensure(after.is_some(), || format!("{key}: a partition was removed"));
        }
        Ok(())
    }

    /// The first receipt that stood under a key.
    pub fn first_receipt(&self, key: &str) -> Option<String> {
        let hash = key.strip_prefix("_iotlake/receipts/")?.rsplit('/').next()?.strip_suffix(".json")?;
        Some(self.receipts.get(hash)?.first()?.document.to_string())
    }

    /// The table as a catalog elsewhere has it.
    pub fn table(&mut self, table: &Table) -> Checked {
        let columns = table.schema.columns().iter();
        self.columns(columns.map(|column| (column.name.clone(), column.identity.to_string())).collect())
    }

    fn columns(&mut self, columns: Vec<(String, String)>) -> Checked {
        for (place, column) in self.columns.iter().enumerate() {
            ensure(columns.get(place) == Some(column), || {
                let now = columns.get(place);
                format!("column {place} of the table was {column:?} and is {now:?} now")
            })?;
        }
        self.columns = columns;
        Ok(())
    }

    /// Whoever reads where the catalog says finds all that is shown there.
    pub fn located(&self, world: &World) -> Checked {
        self.generations.located(world, &self.receipts)
    }

    fn file(&self, key: &str, now: SystemTime, before: Option<&[u8]>, after: Option<&[u8]>) -> Checked {
        ensure(before.is_none() || after.is_none(), || format!("{key}: a file was changed"))?;
        if after.is_none() {
            let names = |standing: &Standing| {
                standing.named.rows.contains(key) || standing.named.rejects.contains(key)
            };
            let named = self.receipts.values().filter_map(|receipts| receipts.last()).any(names);
            ensure(!named || self.generations.may_go(key, now), || {
                format!("{key}: a file that a receipt names was removed")
            })?;
            return self.generations.gone(key, now);
        }
        Ok(())
    }

    /// A receipt stands from now on.
    fn receipt(&mut self, world: &World, step: u64, key: &str, bytes: &[u8]) -> Checked {
        let document: Value = serde_json::from_slice(bytes).map_err(|error| format!("{key}: {error}"))?;
        let text = |field: &str| document[field].as_str().unwrap_or_default().to_owned();
        let (source, digest) = (text("source"), text("digest"));
        let number = |value: &Value| value.as_u64().unwrap_or_default();
        let revision = number(&document["revision"]);
        let receipts = self.receipts.entry(source_hash(&source)).or_default();
        if let Some(last) = receipts.last() {
            ensure(revision > last.revision, || {
                format!(
                    "{key}: revision {revision} came after {}: {} was {}",
                    last.revision, document, last.document
                )
            })?;
        }
        if document["given_up"].as_bool() == Some(true) {
            let was_done =
                self.receipts[&source_hash(&source)].last().is_some_and(|last| !last.digest.is_empty());
            ensure(!was_done || self.may_remove, || format!("{key}: a source that was done was given up"))?;
            let (compression, named) = Default::default();
            let standing = Standing { since: step, revision, digest, compression, named, document };
            self.receipts.entry(source_hash(&source)).or_default().push(standing);
            return Ok(());
        }
        let version = sources::version(&digest);
        let version = version.filter(|version| sources::name(version.source) == source);
        let version =
            version.ok_or_else(|| format!("{key}: no version of {source} has the digest {digest}"))?;
        let counts = |field: &str| number(&document["counts"][field]);
        let (records, rows, rejected) = (counts("records"), counts("rows"), counts("rejected"));
        let expected = version.records.len() as u64;
        ensure(records == expected && rows + rejected == records, || {
            format!(
                "{key}: {records} records are {rows} rows and {rejected} rejects; the source has {expected}"
            )
        })?;
        let mut named = Named::default();
        let mut seen = BTreeMap::new();
        for (field, side) in [("outputs", Side::Rows), ("rejects", Side::Rejects)] {
            for output in document[field].as_array().into_iter().flatten() {
                let file = output["key"].as_str().unwrap_or_default();
                self.output(world, version, side, file, output, &mut seen)?;
                match side {
                    Side::Rows => named.rows.insert(file.to_owned()),
                    Side::Rejects => named.rejects.insert(file.to_owned()),
                };
            }
        }
        let records: Vec<i64> = seen.into_values().flatten().collect();
        ensure(records.len() as u64 == expected, || {
            format!("{key}: its files have the records {records:?}; the source has {expected}")
        })?;
        let compression = document["options"]["compression"].as_str().unwrap_or_default().to_owned();
        let standing = Standing { since: step, revision, digest, compression, named, document };
        self.receipts.entry(source_hash(&source)).or_default().push(standing);
        Ok(())
    }

    /// A file that a receipt names, of one side of its table.
    fn output(
        &self,
        world: &World,
        version: &Version,
        side: Side,
        key: &str,
        output: &Value,
        seen: &mut BTreeMap<i64, Vec<i64>>,
    ) -> Checked {
        let bytes = world.lake.read(key).expect("memory can be read");
        let bytes = bytes.ok_or_else(|| format!("{key}: a receipt names it, and it is not there"))?;
        let digest = Digest::of(&bytes);
        ensure(output["digest"].as_str() == Some(&*digest), || {
            format!("{key}: its digest is {digest}: {output}")
        })?;
        let facts = facts(&digest, &bytes);
        let facts = facts.as_ref().as_ref().map_err(|error| format!("{key}: cannot be read: {error}"))?;
        ensure(output["rows"].as_u64() == Some(facts.rows.len() as u64), || {
            format!("{key}: its rows are others")
        })?;
        let partition =
            key.split_once('/').and_then(|(_, rest)| rest.rsplit_once('/')).map_or("", |(folder, _)| folder);
        for (source, record) in &facts.rows {
            let of = sources::name(version.source);
            ensure(*source == of, || format!("{key}: has a row of {source}, not of {of}"))?;
            let hour = version.records.get(*record as usize - 1).copied();
            let hour = hour.ok_or_else(|| format!("{key}: has a record {record}, which {source} has not"))?;
            ensure(hour.is_some() == (side == Side::Rows), || {
                format!("{key}: record {record} is on the wrong side")
            })?;
            let expected = expected_folder(version.source, hour.filter(|_| self.by_event));
            ensure(partition == expected, || format!("{key}: record {record} belongs to {expected}"))?;
            let twice = seen.entry(*record).or_default();
            ensure(twice.is_empty(), || format!("{key}: record {record} of {source} stands in two files"))?;
            twice.push(*record);
        }
        if side == Side::Rows {
            let own = facts.columns.iter().map(|(name, _)| name).filter(|name| !name.starts_with('_'));
            let mut table = self.columns.iter().map(|(name, _)| name);
            for name in own {
                ensure(table.any(|column| column == name), || {
                    format!("{key}: its column {name} is not in the table, or not at its place")
                })?;
            }
        }
        ensure(knows(world, side, partition), || {
            format!("{key}: the catalog does not know its partition, and a receipt stands")
        })
    }

    /// A reader that listed files between two steps was given these of one side of the table, and leaves out the rows of
    /// some sources in those of generations.
    pub fn reading(
        &self,
        side: Side,
        from: u64,
        to: u64,
        files: &BTreeSet<String>,
        stale: &BTreeMap<Partition, BTreeSet<String>>,
    ) -> Checked {
        let by_source = self.generations.expand(files, stale)?;
        let none = BTreeSet::new();
        for hash in self.receipts.keys().chain(by_source.keys()).collect::<BTreeSet<_>>() {
            let seen = by_source.get(hash).unwrap_or(&none);
            let receipts = self.receipts.get(hash).map_or(&[][..], Vec::as_slice);
            let before = receipts.iter().rfind(|standing| standing.since <= from);
            let meanwhile = receipts.iter().filter(|standing| standing.since > from && standing.since <= to);
            let is_right = match before {
                Some(standing) => standing.named.of(side) == seen,
                None => seen.is_empty(),
            };
            let is_right = is_right || meanwhile.clone().any(|standing| standing.named.of(side) == seen);
            ensure(is_right, || {
                let stood: Vec<_> =
                    before.into_iter().chain(meanwhile).map(|standing| standing.named.of(side)).collect();
                format!("a reader from step {from} to {to} was given {seen:?}; receipts named {stood:?}")
            })?;
        }
        Ok(())
    }
}

/// The folder that rows belong to: of their own hour, or of that in the key of their source.
fn expected_folder(source: usize, hour: Option<u32>) -> String {
    let words: Vec<&str> = sources::KEYS[source].split('/').collect();
    match hour {
        Some(hour) => format!("year=2026/month=03/day=01/hour={hour:02}"),
        None => format!("year={}/month={}/day={}/hour={}", words[0], words[1], words[2], words[3]),
    }
}

/// Whether the catalog has a partition.
fn knows(world: &World, side: Side, folder: &str) -> bool {
    let table = TableName::new("events", side);
    match &world.catalog {
        Some(catalog) => {
            let known = catalog.partitions(&table).unwrap_or_default();
            known.iter().any(|partition| partition.folder() == folder)
        }
        None => {
            let key = format!("_iotlake/catalog/partitions/{table}/{folder}.json");
            world.lake.head(&key).expect("memory can be read").is_some()
        }
    }
}
