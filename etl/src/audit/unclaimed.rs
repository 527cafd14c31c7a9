//! Files that no receipt names, and what is known of them: what [`crate::clean`] decides about.

use std::collections::BTreeSet;
use std::time::SystemTime;

use super::{Audit, receipts};
use crate::catalog::{Side, TableName};
use crate::error::Error;
use crate::footer::{self, Owner};
use crate::generation::place;
use crate::place::FileName;
use crate::storage::Storage;

/// A file below a table that no receipt names.
#[derive(Debug)]
pub(crate) struct Unclaimed {
    pub(crate) key: String,
    /// The table, also where it is a file of rejects.
    pub(crate) table: String,
    pub(crate) bytes: u64,
    /// When it was last changed, where the storage tells.
    pub(crate) modified: Option<SystemTime>,
    /// By its name; 0 if that says none.
    pub(crate) revision: u32,
    /// The hash in its name.
    pub(crate) hash: Option<String>,
    /// The source that its footer names.
    pub(crate) source: Option<String>,
    /// The revision of the receipt of that source, if there is one.
    pub(crate) receipt: Option<u32>,
}

/// The files below `tables`, and below others that have receipts, which no receipt names. Receipts are read before files
/// are listed, so that what a run completes meanwhile is either named or of a source without a receipt.
pub(crate) fn unclaimed(storage: &dyn Storage, tables: &BTreeSet<String>) -> Result<Vec<Unclaimed>, Error> {
    let claims = receipts::read(storage, &mut Audit::default())?;
    let mut found = Vec::new();
    for table in tables.union(&claims.tables) {
        for folder in Side::BOTH.map(|side| TableName::new(table, side)) {
            let mut listed = Vec::new();
            storage.list(&format!("{folder}/"), &mut |meta| {
                // Of generations it is the sweeper that takes away.
                if claims.of(&meta.key).is_none() && place::parse(table, &meta.key).is_none() {
                    listed.push(meta);
                }
                Ok(())
            })?;
            for meta in listed {
                let named = meta.key.rsplit('/').next().and_then(FileName::parse);
                let source = match footer::owner(storage, &meta)? {
                    Owner::Nobody => continue,
                    Owner::Unknown => None,
                    Owner::Source(source) => Some(source),
                };
                let receipt = source.as_deref().and_then(|source| claims.receipt(table, source));
                found.push(Unclaimed {
                    table: table.clone(),
                    bytes: meta.size,
                    modified: meta.modified,
                    revision: named.as_ref().map_or(0, |named| named.revision),
                    hash: named.map(|named| named.hash),
                    receipt: receipt.map(|receipt| receipt.revision),
                    source,
                    key: meta.key,
                });
            }
        }
    }
    found.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(found)
}
