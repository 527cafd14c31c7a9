//! Sources that look as if they had been ingested already, under another name.
//!
//! In come a plan and the receipts of its table; out comes a pair that has the same file name, the same length and the
//! same digest, if there is one: most likely a local copy of what was ingested from elsewhere, whose rows would stand in
//! the table twice. This is a guess: whoever asks decides.
//!
//! Where reading a receipt is a request over a network, [`glance`] looks at the receipts of one day instead of at all.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use crate::digest::Digest;
use crate::error::Error;
use crate::lake::Lake;
use crate::ledger::{Ledger, Receipt};
use crate::plan::Plan;
use crate::source::SourceObject;
use crate::storage::{Storage, StorageError};

/// How many pairs of equal name and length are read and compared, the shortest first.
const COMPARED: usize = 3;

/// How many receipts [`glance`] reads: those of a day, if a delivery stream closes an object every five minutes.
/// One after the other they take seconds, which only a run that uploads a local copy spends.
const GLANCED: usize = 288;

/// A source of a plan and the receipt of the same bytes under another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Twin {
    /// The name that the source has in the plan.
    pub name: String,
    /// The name under which its bytes were ingested.
    pub ingested_as: String,
    /// The URI of the plan's folder under which the two identities would be one, if there is such.
    pub folder: Option<String>,
    /// How many sources of the plan have a receipt of the same name and length under another name.
    pub count: u64,
}

/// Looks for sources of `plan`, which lie in `from`, that `table` seems to hold already under other identities.
///
/// # Errors
/// If the ledger or a source cannot be read.
pub fn find(ledger: &Ledger, table: &str, from: &dyn Storage, plan: &Plan) -> Result<Option<Twin>, Error> {
    let mut by_look: HashMap<(&str, u64), &SourceObject> = HashMap::new();
    for source in plan.sources.iter().filter(|source| source.size > 0) {
        by_look.entry((file_name(&source.name), source.size)).or_insert(source);
    }
    let planned: HashSet<&str> = plan.sources.iter().map(|source| source.name.as_str()).collect();
    let mut ingested = HashSet::new();
    let mut pairs: Vec<(&SourceObject, String, String)> = Vec::new();
    ledger.list(table, |receipt| {
        let Receipt { source: source_name, size, digest, .. } = receipt;
        if planned.contains(source_name.as_str()) {
            ingested.insert(source_name);
        } else if let Some(source) = by_look.get(&(file_name(&source_name), size)) {
            pairs.push((source, source_name, digest));
        }
        Ok::<_, Error>(())
    })?;
    pairs.retain(|(source, _, _)| !ingested.contains(&source.name));
    let count = pairs.len() as u64;
    pairs.sort_by(|(a, ..), (b, ..)| (a.size, &a.name).cmp(&(b.size, &b.name)));
    for (source, ingested_as, digest) in pairs.into_iter().take(COMPARED) {
        if digest_of(from, source)? == digest {
            return Ok(Some(twin(source, ingested_as, count)));
        }
    }
    Ok(None)
}

/// Looks whether the shortest source of `plan` that `lake` does not have is there under another name, among the
/// receipts of its day: a copy has the keys of its original, and so its days.
///
/// # Errors
/// If the ledger or the source cannot be read.
pub fn glance(lake: &Lake, table: &str, from: &dyn Storage, plan: &Plan) -> Result<Option<Twin>, Error> {
    let shortest = plan.sources.iter().filter(|source| source.size > 0).min_by_key(|source| source.size);
    let Some(source) = shortest else { return Ok(None) };
    if lake.ledger().look(table, &source.name)?.is_some_and(|note| !note.is_given_up()) {
        return Ok(None);
    }
    let key = Ledger::key(table, &source.name);
    let day = &key[..=key.rfind('/').expect("receipts lie in folders")];
    let mut keys = Vec::new();
    lake.storage.list_while(day, &mut |meta| {
        keys.push(meta.key);
        Ok(if keys.len() < GLANCED { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    for key in keys {
        // What cannot be read here is told of where it matters: when the source it is of comes up, or in an audit.
        let Some(bytes) = lake.storage.read(&key)? else { continue };
        let Ok(receipt) = serde_json::from_slice::<Receipt>(&bytes) else { continue };
        let looks_alike =
            file_name(&receipt.source) == file_name(&source.name) && receipt.size == source.size;
        if looks_alike && digest_of(from, source)? == receipt.digest {
            return Ok(Some(twin(source, receipt.source, 1)));
        }
    }
    Ok(None)
}

fn twin(source: &SourceObject, ingested_as: String, count: u64) -> Twin {
    let folder = ingested_as.strip_suffix(&source.key).and_then(|rest| rest.strip_suffix('/'));
    let folder = folder.map(str::to_owned);
    Twin { name: source.name.clone(), ingested_as, folder, count }
}

fn file_name(source_name: &str) -> &str {
    source_name.rsplit('/').next().unwrap_or(source_name)
}

fn digest_of(from: &dyn Storage, source: &SourceObject) -> Result<String, StorageError> {
    let digest = Digest::of_reader(&mut from.get_source(&source.key)?.reader);
    digest.map_err(|error| StorageError::from_io(&source.name, error))
}
