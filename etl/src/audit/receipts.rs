//! Receipts against themselves, and the files they name against the files that are there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};

use super::file::Facts;
use super::{Audit, Depth, Finding, Rule};
use crate::catalog::REJECTS_SUFFIX;
use crate::digest::Digest;
use crate::error::Error;
use crate::ledger::{Ledger, Output, Receipt};
use crate::storage::{ObjectMeta, Storage, StorageError};

const RECEIPTS: &str = "_iotlake/receipts/";

/// What all receipts say about files.
#[derive(Default)]
pub(super) struct Claims {
    /// By the key of the file.
    files: BTreeMap<String, Claim>,
    /// Tables that have receipts.
    pub(super) tables: BTreeSet<String>,
}

/// What a receipt says about one file.
pub(super) struct Claim {
    output: Output,
    source: String,
    layout: u32,
    receipt: String,
    /// Set when the file has been seen.
    is_there: AtomicBool,
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
        audit.receipts += 1;
        let Some((table, _)) = key[RECEIPTS.len()..].split_once('/') else {
            audit.findings.push(Finding::new(Rule::ReceiptPlace, key, "lies in the folder of no table"));
            continue;
        };
        match parse(&bytes) {
            Ok(receipt) => claims.add(table, &key, receipt, &mut audit.findings),
            Err(reason) => audit.findings.push(Finding::new(Rule::ReceiptUnreadable, &key, reason)),
        }
        claims.tables.insert(table.to_owned());
    }
    Ok(claims)
}

fn parse(bytes: &[u8]) -> Result<Receipt, String> {
    let value: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|error| format!("is no JSON: {error}"))?;
    if let Some(format) = value["format"].as_u64().filter(|format| *format > Receipt::FORMAT) {
        return Err(format!("was written by a newer iotlake (format {format})"));
    }
    serde_json::from_value(value).map_err(|error| format!("is no receipt: {error}"))
}

impl Claims {
    pub(super) fn of(&self, key: &str) -> Option<&Claim> {
        self.files.get(key)
    }

    fn add(&mut self, table: &str, key: &str, receipt: Receipt, findings: &mut Vec<Finding>) {
        let mut find = |rule, message: String| findings.push(Finding::new(rule, key, message));
        let place = Ledger::key(table, &receipt.source);
        if place != key {
            find(
                Rule::ReceiptPlace,
                format!("is the receipt of {}, which belongs at {place}", receipt.source),
            );
        }
        let counts = &receipt.counts;
        let in_files = |outputs: &[Output]| outputs.iter().map(|output| output.rows).sum::<u64>();
        let (rows, rejected) = (in_files(&receipt.outputs), in_files(&receipt.rejects));
        if counts.records != counts.rows + counts.rejected {
            let (records, rows, rejected) = (counts.records, counts.rows, counts.rejected);
            find(
                Rule::ReceiptBalance,
                format!("{records} records are not {rows} rows and {rejected} rejects"),
            );
        } else if (counts.rows, counts.rejected) != (rows, rejected) {
            let message = format!(
                "{} rows and {} rejects are not the {rows} and {rejected} of its files",
                counts.rows, counts.rejected
            );
            find(Rule::ReceiptBalance, message);
        }
        let data = format!("{table}/");
        let rejects = format!("{table}{REJECTS_SUFFIX}/");
        let outputs = receipt.outputs.into_iter().map(|output| (output, &data));
        for (output, folder) in outputs.chain(receipt.rejects.into_iter().map(|output| (output, &rejects))) {
            if !output.key.starts_with(folder.as_str()) {
                find(Rule::ReceiptOutput, format!("names {}, which does not lie in {folder}", output.key));
            }
            let claim = Claim {
                source: receipt.source.clone(),
                layout: receipt.layout,
                receipt: key.to_owned(),
                is_there: AtomicBool::new(false),
                output,
            };
            if let Some(other) = self.files.get(&claim.output.key) {
                find(Rule::ReceiptOutput, format!("names {}, as {} does", claim.output.key, other.receipt));
                continue;
            }
            self.files.insert(claim.output.key.clone(), claim);
        }
    }

    /// Reports the files in the folders `audited` that were named and not seen.
    pub(super) fn report_missing(&self, audited: &BTreeSet<String>, findings: &mut Vec<Finding>) {
        for (key, claim) in &self.files {
            let is_audited = key.split_once('/').is_some_and(|(folder, _)| audited.contains(folder));
            if is_audited && !claim.is_there.load(Ordering::Relaxed) {
                let message = format!("is missing; {} names it", claim.receipt);
                findings.push(Finding::new(Rule::OutputMissing, key, message));
            }
        }
    }
}

impl Claim {
    /// Compares what the receipt says with the file that is there. `facts` are `None` if its footer is unreadable.
    pub(super) fn compare(
        &self,
        storage: &dyn Storage,
        meta: &ObjectMeta,
        facts: Option<&Facts>,
        depth: Depth,
        findings: &mut Vec<Finding>,
    ) -> Result<(), StorageError> {
        self.is_there.store(true, Ordering::Relaxed);
        let mut find = |rule, message: String| findings.push(Finding::new(rule, &meta.key, message));
        let Output { bytes, rows, digest, .. } = &self.output;
        if meta.size != *bytes {
            find(Rule::OutputSize, format!("has {} bytes; its receipt says {bytes}", meta.size));
        }
        if let Some(facts) = facts {
            if facts.rows != *rows {
                find(Rule::OutputRows, format!("has {} rows; its receipt says {rows}", facts.rows));
            }
            if let Some(source) = facts.source.as_ref().filter(|source| **source != self.source) {
                find(Rule::OutputMetadata, format!("is of {source}; its receipt is of {}", self.source));
            }
            if let Some(layout) = facts.layout.as_ref().filter(|layout| **layout != self.layout.to_string()) {
                find(Rule::OutputMetadata, format!("has layout {layout}; its receipt says {}", self.layout));
            }
        }
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
fn digest_of(storage: &dyn Storage, key: &str) -> Result<String, StorageError> {
    let mut body = storage.get(key)?;
    let mut digest = Digest::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match body.reader.read(&mut buffer) {
            Ok(0) => return Ok(digest.finish()),
            Ok(length) => digest.update(&buffer[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(StorageError::from_io(storage.uri(key), error)),
        }
    }
}
