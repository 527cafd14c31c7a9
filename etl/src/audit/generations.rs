//! Generations against themselves, the files they show, the receipts, and the catalog.
//!
//! In come the newest manifests of a table; out come findings, and the account of its partitions: rows of receipts and rows
//! that are shown though no receipt names them any more = rows of generations + rows that wait for the next one. A manifest
//! that another one followed while the lake was looked at is not reported: its files may be gone by right.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::file::{self, Writer};
use super::{Audit, Checked, Depth, Finding, Rule, TableAudit, receipts};
use crate::catalog::Catalog;
use crate::digest::source_hash;
use crate::error::Error;
use crate::generation::{Folder, GenerationError, Generations, Manifest};
use crate::ledger::Output;
use crate::partition::Partition;
use crate::place::Place;
use crate::storage::{ObjectMeta, Storage, StorageError};

/// What is known of partitions that have a generation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Partitions {
    /// How many there are.
    pub partitions: usize,
    /// Files of sources and of older generations that are not read any more, and were not swept.
    pub superseded: usize,
    /// Their bytes.
    pub superseded_bytes: u64,
    /// Rows of receipts that the next generation will have: who reads by the location in the catalog reads them then, who
    /// reads by receipts reads them now.
    pub pending: u64,
    /// Rows that generations have though no receipt names them any more: of these the next one is without.
    pub stale: u64,
    /// What can be mended.
    pub drift: Vec<Drift>,
}

/// A partition that is not as its receipts and manifests say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// The table.
    pub table: String,
    /// The partition.
    pub partition: Partition,
    /// Sources whose rows it has as they are not any more, where they have a receipt.
    pub sources: Vec<String>,
}

/// What the newest generations of a table show.
pub(super) struct Shown {
    manifests: BTreeMap<Partition, Manifest>,
    /// The hashes of the sources that are in each.
    sources: HashMap<Partition, HashSet<String>>,
    outputs: HashMap<String, Output>,
    contains: HashSet<String>,
}

impl Shown {
    /// Reads the newest manifests of `table`.
    pub(super) fn read(
        storage: &dyn Storage,
        table: &str,
        findings: &mut Vec<Finding>,
    ) -> Result<Shown, Error> {
        let generations = Generations::new(storage);
        let mut manifests = BTreeMap::new();
        for (partition, number) in generations.newest_of(table, "")? {
            match generations.read(table, partition, number) {
                Ok(held) => {
                    manifests.insert(partition, held.manifest);
                }
                Err(error @ (GenerationError::Damaged { .. } | GenerationError::Newer { .. })) => {
                    let key = Generations::manifest_key(table, partition, number);
                    findings.push(Finding::new(Rule::Manifest, key, error.to_string()));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let sources = manifests.iter().map(|(partition, manifest)| (*partition, manifest.sources()));
        let outputs = manifests.values().flat_map(|manifest| &manifest.outputs);
        let contains = manifests.values().flat_map(|manifest| &manifest.contains);
        Ok(Shown {
            sources: sources.collect(),
            outputs: outputs.map(|output| (output.key.clone(), output.clone())).collect(),
            contains: contains.map(|file| file.key.clone()).collect(),
            manifests,
        })
    }

    /// Adds the files of sources whose rows are shown, with their digests.
    pub(super) fn contained(&self, all: &mut HashMap<String, String>) {
        let files = self.manifests.values().flat_map(|manifest| &manifest.contains);
        all.extend(files.map(|file| (file.key.clone(), file.digest.clone())));
    }

    pub(super) fn partitions(&self) -> impl Iterator<Item = Partition> {
        self.manifests.keys().copied()
    }

    pub(super) fn is_contained(&self, key: &str) -> bool {
        self.contains.contains(key)
    }

    pub(super) fn output(&self, key: &str) -> Option<&Output> {
        self.outputs.get(key)
    }

    /// Whether a source is in the generation of a partition.
    pub(super) fn has(&self, partition: Partition, hash: &str) -> bool {
        self.sources.get(&partition).is_some_and(|sources| sources.contains(hash))
    }

    /// Checks a file in the folder of a generation.
    pub(super) fn file(
        &self,
        of: &TableAudit<'_>,
        meta: &ObjectMeta,
        folder: &Folder,
    ) -> Result<Checked, Error> {
        let partition = Some(folder.partition);
        let mut checked = Checked { is_data: true, partition, ..Checked::default() };
        let Some(output) = self.output(&meta.key) else {
            checked.is_hidden = true;
            return Ok(checked);
        };
        let mut found = Vec::new();
        checked.facts = match file::check(of.storage, meta, of.expected, Writer::Generation, &mut found) {
            // Swept since it was listed, or lost.
            Err(StorageError::NotFound { uri }) => {
                if self.stands(of, folder.partition)? {
                    let message = format!("{uri} is gone since it was listed; its manifest names it");
                    checked.findings.push(Finding::new(Rule::Generation, &meta.key, message));
                }
                return Ok(Checked { is_data: false, ..checked });
            }
            facts => facts?,
        };
        let mut find = |message: String| found.push(Finding::new(Rule::Generation, &meta.key, message));
        let Output { bytes, rows, digest, .. } = output;
        if meta.size != *bytes {
            find(format!("has {} bytes; its manifest says {bytes}", meta.size));
        }
        if let Some(facts) = checked.facts.as_ref().filter(|facts| facts.rows != *rows) {
            find(format!("has {} rows; its manifest says {rows}", facts.rows));
        }
        if of.depth == Depth::Bytes && meta.size == *bytes {
            let there = receipts::digest_of(of.storage, &meta.key)?;
            if there != *digest {
                find(format!("has the digest {there}; its manifest says {digest}"));
            }
        }
        if !found.is_empty() && self.stands(of, folder.partition)? {
            checked.findings = found;
        }
        Ok(checked)
    }

    /// Checks what can be told once all files are known: what is missing, the accounts, and the catalog. How many rows of
    /// generations are not read any more.
    pub(super) fn check(
        &self,
        of: &TableAudit<'_>,
        catalog: &dyn Catalog,
        listed: &[ObjectMeta],
        audit: &mut Audit,
    ) -> Result<u64, Error> {
        let there: HashSet<&str> = listed.iter().map(|meta| meta.key.as_str()).collect();
        let named: HashMap<&str, &Output> = of.claims.of_rows(&of.name.name).collect();
        let by_hash: HashMap<String, &str> =
            of.claims.sources(&of.name.name).map(|source| (source_hash(source), source)).collect();
        audit.generations.partitions += self.manifests.len();
        let mut all_stale = 0;
        for (partition, manifest) in &self.manifests {
            let place = Generations::manifest_key(&of.name.name, *partition, manifest.number);
            let mut found = Vec::new();
            for output in manifest.outputs.iter().filter(|output| !there.contains(&*output.key)) {
                // One that was made since the files were listed is there now.
                if of.storage.head(&output.key)?.is_some() {
                    continue;
                }
                let message = format!("is missing; {place} names it");
                found.push(Finding::new(Rule::Generation, &output.key, message));
            }
            let (stale, sources) = self.stale(manifest, &named, &by_hash, &mut found);
            audit.generations.stale += stale;
            all_stale += stale;
            let location = catalog.location(of.name, *partition)?;
            let is_elsewhere = location.as_ref().is_some_and(|location| *location != manifest.location());
            if let Some(location) = location.filter(|_| is_elsewhere) {
                let message = format!("the catalog has {location}; it is {}", manifest.location());
                found.push(Finding::new(Rule::Location, &place, message));
            }
            if !found.is_empty() && self.stands(of, *partition)? {
                if is_elsewhere || stale > 0 {
                    let (table, partition) = (of.name.name.clone(), *partition);
                    audit.generations.drift.push(Drift { table, partition, sources });
                }
                audit.findings.append(&mut found);
            }
        }
        let is_pending = |key: &str| {
            let place = Place::parse(&of.name.name, key);
            place.is_some_and(|place| self.manifests.contains_key(&place.partition))
                && !self.is_contained(key)
        };
        let pending = named.iter().filter(|(key, _)| is_pending(key));
        audit.generations.pending += pending.map(|(_, output)| output.rows).sum::<u64>();
        Ok(all_stale)
    }

    /// Rows that are shown of files that no receipt names any more, and the sources that they are of.
    fn stale(
        &self,
        manifest: &Manifest,
        named: &HashMap<&str, &Output>,
        by_hash: &HashMap<String, &str>,
        found: &mut Vec<Finding>,
    ) -> (u64, Vec<String>) {
        let (mut rows, mut sources) = (0, BTreeSet::new());
        for file in &manifest.contains {
            if named.get(&*file.key).is_some_and(|output| *output == file) {
                continue;
            }
            rows += file.rows;
            let hash = Place::parse(&manifest.table, &file.key).map(|place| place.name.hash);
            let source = hash.and_then(|hash| by_hash.get(&hash)).map(|source| (*source).to_owned());
            let of = source.as_deref().unwrap_or("a source without a receipt").to_owned();
            let message = format!(
                "its generation {} has {} rows of {of}, which no receipt names",
                manifest.number, file.rows
            );
            found.push(Finding::new(Rule::Superseded, &file.key, message));
            sources.extend(source);
        }
        (rows, sources.into_iter().collect())
    }

    /// Whether a manifest still is the newest: else its partition changed while the lake was looked at.
    fn stands(&self, of: &TableAudit<'_>, partition: Partition) -> Result<bool, Error> {
        let newest = Generations::new(of.storage).numbers(&of.name.name, partition)?.newest();
        Ok(self.manifests.get(&partition).is_some_and(|manifest| manifest.number == newest))
    }
}
