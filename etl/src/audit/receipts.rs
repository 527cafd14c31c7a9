//! Receipts against themselves, and the files they name against the files that are there.
//!
//! A receipt vouches for files of its own source alone, told by their names; those files, part by part, hold every
//! record and every byte of the source once. A receipt that is written anew while the lake is looked at is not reported:
//! what it named may be gone by right.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::OnceLock;

use super::file::Facts;
use super::{Audit, Depth, Finding, Rule};
use crate::catalog::{Side, TableName};
use crate::digest::{Digest, source_hash};
use crate::error::Error;
use crate::ledger::{Counts, Ledger, Output, Receipt};
use crate::partition::{Partition, PartitionBy};
use crate::place::{FileName, Place};
use crate::storage::{ObjectMeta, Storage, StorageError};

const RECEIPTS: &str = "_iotlake/receipts/";

/// What all receipts say about files.
#[derive(Default)]
pub(super) struct Claims {
    /// By the key of the file.
    files: BTreeMap<String, Claim>,
    receipts: Vec<Held>,
    /// The place in `receipts` of that of a source of a table.
    by_source: HashMap<(String, String), usize>,
    /// Tables that have receipts.
    pub(super) tables: BTreeSet<String>,
}

/// What is kept of a receipt.
pub(super) struct Held {
    pub(super) key: String,
    pub(super) revision: u32,
    source: String,
    layout: u32,
    counts: Counts,
    /// Of its own bytes, to tell whether somebody wrote it anew meanwhile.
    digest: String,
    /// The keys of its files.
    files: Vec<String>,
    /// Whether nothing is wrong with it by itself.
    is_sound: bool,
}

/// What a receipt says about one file.
pub(super) struct Claim {
    output: Output,
    /// The place of the receipt.
    held: usize,
    /// Set when the file has been looked at.
    seen: OnceLock<Option<Seen>>,
}

/// What a file says of its place in its source.
#[derive(Clone, Copy)]
struct Seen {
    part: u64,
    rows: u64,
    span: (u64, u64),
    records: Option<(u64, u64)>,
}

/// Reads and checks every receipt.
pub(super) fn read(storage: &dyn Storage, audit: &mut Audit) -> Result<Claims, Error> {
    let mut listed = Vec::new();
    storage.list(RECEIPTS, &mut |meta| {
        listed.push(meta.key);
        Ok(())
    })?;
    let mut claims = Claims::default();
    for key in listed {
        // Removed since it was listed, by a run with --replace.
        let Some(bytes) = storage.read(&key)? else { continue };
        let Some((table, _)) = key[RECEIPTS.len()..].split_once('/') else {
            audit.findings.push(Finding::new(Rule::ReceiptPlace, key, "lies in the folder of no table"));
            continue;
        };
        let parsed = parse(&bytes);
        // Is no receipt: its source is not done.
        if parsed.as_ref().is_ok_and(|receipt| receipt.given_up) {
            continue;
        }
        audit.receipts += 1;
        match parsed {
            Ok(receipt) => claims.add(table, &key, receipt, Digest::of(&bytes), &mut audit.findings),
            Err(reason) => audit.findings.push(Finding::new(Rule::ReceiptUnreadable, &key, reason)),
        }
        claims.tables.insert(table.to_owned());
    }
    Ok(claims)
}

fn parse(bytes: &[u8]) -> Result<Receipt, String> {
    let value: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|error| format!("is no JSON: {error}"))?;
    if let Some(format) = value["format"].as_u64().filter(|format| *format > Receipt::GIVEN_UP) {
        return Err(format!("was written by a newer iotlake (format {format})"));
    }
    serde_json::from_value(value).map_err(|error| format!("is no receipt: {error}"))
}

impl Claims {
    pub(super) fn of(&self, key: &str) -> Option<&Claim> {
        self.files.get(key)
    }

    /// The files of rows of `table` that receipts name, with the keys that they have.
    pub(super) fn of_rows(&self, table: &str) -> impl Iterator<Item = (&str, &Output)> {
        let prefix = format!("{table}/");
        let files = self.files.range(prefix.clone()..).take_while(move |(key, _)| key.starts_with(&prefix));
        files.map(|(key, claim)| (key.as_str(), &claim.output))
    }

    /// The sources of `table` that have a receipt.
    pub(super) fn sources<'a>(&'a self, table: &'a str) -> impl Iterator<Item = &'a str> {
        self.by_source.keys().filter(move |(of, _)| of == table).map(|(_, source)| source.as_str())
    }

    /// The receipt of a source of `table`.
    pub(super) fn receipt(&self, table: &str, source: &str) -> Option<&Held> {
        self.by_source.get(&(table.to_owned(), source.to_owned())).map(|place| &self.receipts[*place])
    }

    fn add(&mut self, table: &str, key: &str, receipt: Receipt, digest: String, findings: &mut Vec<Finding>) {
        let before = findings.len();
        let mut find = |rule, message: String| findings.push(Finding::new(rule, key, message));
        let place = Ledger::key(table, &receipt.source);
        let is_in_place = place == key;
        if !is_in_place {
            find(
                Rule::ReceiptPlace,
                format!("is the receipt of {}, which belongs at {place}", receipt.source),
            );
        }
        check_balance(&receipt, &mut find);
        let held = self.receipts.len();
        let sides = [(Side::Rows, &receipt.outputs), (Side::Rejects, &receipt.rejects)];
        let mut files = Vec::new();
        for (side, outputs) in sides {
            let folder = TableName::new(table, side);
            for output in outputs {
                if let Some(reason) = check_key(&folder, &receipt, &output.key) {
                    find(Rule::ReceiptOutput, format!("names {}, which {reason}", output.key));
                    continue;
                }
                if let Some(other) = self.files.get(&output.key) {
                    let other = &self.receipts.get(other.held).map_or(key, |other| &other.key);
                    find(Rule::ReceiptOutput, format!("names {}, as {other} does", output.key));
                    continue;
                }
                files.push(output.key.clone());
                let claim = Claim { output: output.clone(), held, seen: OnceLock::new() };
                self.files.insert(output.key.clone(), claim);
            }
        }
        // Where nobody looks for it, it is not the receipt of its source.
        if is_in_place {
            self.by_source.insert((table.to_owned(), receipt.source.clone()), held);
        }
        let Receipt { source, layout, counts, revision, .. } = receipt;
        let (key, is_sound) = (key.to_owned(), findings.len() == before);
        self.receipts.push(Held { key, revision, source, layout, counts, digest, files, is_sound });
    }

    /// Reports what can only be told when the files in the folders `audited` have been looked at: files that were named
    /// and not seen, and gaps among those of a source.
    pub(super) fn report(
        &self,
        storage: &dyn Storage,
        audited: &BTreeSet<String>,
        contained: &HashMap<String, String>,
        findings: &mut Vec<Finding>,
    ) -> Result<(), StorageError> {
        for held in &self.receipts {
            let files = held.files.iter().map(|key| (key, &self.files[key]));
            let files = files
                .filter(|(key, _)| key.split_once('/').is_some_and(|(folder, _)| audited.contains(folder)));
            let mut found = Vec::new();
            let mut seen = Some(Vec::new());
            for (key, claim) in files {
                match claim.seen.get() {
                    Some(Some(file)) => seen.iter_mut().for_each(|seen| seen.push(*file)),
                    // Cannot be read, which is a finding already.
                    Some(None) => seen = None,
                    // Its rows are in a generation, and it was swept.
                    None if contained.get(key) == Some(&claim.output.digest) => seen = None,
                    None => {
                        let message = format!("is missing; {} names it", held.key);
                        found.push(Finding::new(Rule::OutputMissing, key, message));
                    }
                }
            }
            let is_whole =
                held.is_sound && found.is_empty() && !held.files.iter().any(|key| !is_below(key, audited));
            if let Some(seen) = seen.filter(|_| is_whole) {
                let gap = check_sequence(&held.counts, seen);
                found.extend(gap.map(|message| Finding::new(Rule::Gap, &held.key, message)));
            }
            if !found.is_empty() && held.stands(storage)? {
                findings.append(&mut found);
            }
        }
        Ok(())
    }
}

fn is_below(key: &str, folders: &BTreeSet<String>) -> bool {
    key.split_once('/').is_some_and(|(folder, _)| folders.contains(folder))
}

fn check_balance(receipt: &Receipt, find: &mut impl FnMut(Rule, String)) {
    let counts = &receipt.counts;
    let in_files = |outputs: &[Output]| outputs.iter().map(|output| output.rows).sum::<u64>();
    let (rows, rejected) = (in_files(&receipt.outputs), in_files(&receipt.rejects));
    if counts.records != counts.rows + counts.rejected {
        let (records, rows, rejected) = (counts.records, counts.rows, counts.rejected);
        find(Rule::ReceiptBalance, format!("{records} records are not {rows} rows and {rejected} rejects"));
    } else if (counts.rows, counts.rejected) != (rows, rejected) {
        let message = format!(
            "{} rows and {} rejects are not the {rows} and {rejected} of its files",
            counts.rows, counts.rejected
        );
        find(Rule::ReceiptBalance, message);
    }
}

/// Why `key` cannot be that of a file in `folder` that is `receipt`'s.
fn check_key(folder: &TableName, receipt: &Receipt, key: &str) -> Option<String> {
    if key.split_once('/').is_none_or(|(first, _)| first != folder.to_string()) {
        return Some(format!("does not lie in {folder}/"));
    }
    let name = key.rsplit('/').next().and_then(FileName::parse);
    let Some(named) = name else { return Some("no file of iotlake is named so".to_owned()) };
    if named.hash != source_hash(&receipt.source) {
        return Some("is named as that of another source".to_owned());
    }
    if named.revision != receipt.revision {
        return Some(format!("is of revision {}; the receipt is of {}", named.revision, receipt.revision));
    }
    let Some(Place { partition: hour, .. }) = Place::parse(&folder.name, key) else {
        return Some("lies in the folder of no hour".to_owned());
    };
    let by_arrival = receipt.options.partition_by == PartitionBy::Arrival || folder.side == Side::Rejects;
    let expected = receipt.options.hour.unwrap_or(Partition::UNKNOWN);
    (by_arrival && hour != expected)
        .then(|| format!("lies in another hour than that of its source, {expected}"))
}

/// Where the files of a source leave something out, or say something twice.
fn check_sequence(counts: &Counts, mut files: Vec<Seen>) -> Option<String> {
    files.sort_by_key(|file| file.part);
    let (mut next_record, mut next_byte) = (1, 0);
    for (number, part) in files.chunk_by(|a, b| a.part == b.part).enumerate() {
        let (place, span) = (part[0].part, part[0].span);
        if place != number as u64 {
            return Some(format!("part {number} of its source is in no file; there is one of part {place}"));
        }
        if part.iter().any(|file| file.span != span) || span.0 != next_byte {
            let (begin, end) = span;
            return Some(format!(
                "part {place} is of the bytes {begin}-{end}, and the one before ends at {next_byte}"
            ));
        }
        next_byte = span.1;
        let rows: u64 = part.iter().map(|file| file.rows).sum();
        // Files of older layouts do not say which records they have.
        let known: Option<Vec<_>> = part.iter().map(|file| file.records).collect();
        if let Some(known) = known {
            let first = known.iter().map(|records| records.0).min().unwrap_or(next_record);
            let last = known.iter().map(|records| records.1).max().unwrap_or(first);
            if first != next_record || last + 1 != first + rows {
                return Some(format!(
                    "part {place} has {rows} records, numbered {first} to {last}; the next is number {next_record}"
                ));
            }
        }
        next_record += rows;
    }
    if next_record - 1 != counts.records {
        let (found, records) = (next_record - 1, counts.records);
        return Some(format!("its files have {found} records; it says {records}"));
    }
    let is_short = next_byte != counts.bytes_decoded && counts.records > 0;
    is_short.then(|| {
        format!("its parts end at byte {next_byte} of its source; that has {} decoded", counts.bytes_decoded)
    })
}

impl Held {
    /// Whether it is still there as it was read: else its source was written anew while the lake was looked at.
    pub(super) fn stands(&self, storage: &dyn Storage) -> Result<bool, StorageError> {
        Ok(storage.read(&self.key)?.is_some_and(|bytes| Digest::of(&bytes) == self.digest))
    }
}

impl Claim {
    /// Compares what the receipt says with the file that is there. `facts` are `None` if its footer is unreadable.
    pub(super) fn compare(
        &self,
        claims: &Claims,
        storage: &dyn Storage,
        meta: &ObjectMeta,
        facts: Option<&Facts>,
        depth: Depth,
        findings: &mut Vec<Finding>,
    ) -> Result<(), StorageError> {
        let held = &claims.receipts[self.held];
        let mut find = |rule, message: String| findings.push(Finding::new(rule, &meta.key, message));
        let Output { bytes, rows, digest, .. } = &self.output;
        if meta.size != *bytes {
            find(Rule::OutputSize, format!("has {} bytes; its receipt says {bytes}", meta.size));
        }
        let mut seen = None;
        if let Some(facts) = facts {
            if facts.rows != *rows {
                find(Rule::OutputRows, format!("has {} rows; its receipt says {rows}", facts.rows));
            }
            if let Some(source) = facts.source.as_ref().filter(|source| **source != held.source) {
                find(Rule::OutputMetadata, format!("is of {source}; its receipt is of {}", held.source));
            } else if facts.rows == *rows
                && let (Some(part), Some(span)) = (facts.part, facts.span)
            {
                seen = Some(Seen { part, rows: facts.rows, span, records: facts.records });
            }
            // That of another source, or a receipt that is wrong itself, is a finding already.
            let is_known = facts.source.as_ref() != Some(&held.source) || !held.is_sound;
            if let Some(receipt) = facts.receipt.as_ref().filter(|key| !is_known && **key != held.key) {
                find(Rule::OutputMetadata, format!("belongs to {receipt}; {} names it", held.key));
            }
            if let Some(layout) = facts.layout.as_ref().filter(|layout| **layout != held.layout.to_string()) {
                find(Rule::OutputMetadata, format!("has layout {layout}; its receipt says {}", held.layout));
            }
        }
        let _ = self.seen.set(seen);
        if depth == Depth::Bytes && meta.size == *bytes {
            let found = digest_of(storage, &meta.key)?;
            if found != *digest {
                find(Rule::OutputDigest, format!("has the digest {found}; its receipt says {digest}"));
            }
        }
        Ok(())
    }
}

/// The digest of an object, read piece by piece.
pub(super) fn digest_of(storage: &dyn Storage, key: &str) -> Result<String, StorageError> {
    let digest = Digest::of_reader(&mut storage.get(key)?.reader);
    digest.map_err(|error| StorageError::from_io(storage.uri(key), error))
}
