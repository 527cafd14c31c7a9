//! What receipts say of the files of a folder, in one listing of them instead of a look for each file.
//!
//! In come the files that a first listing of the folder found, and a lake; those that are certain to be done, unchanged, are
//! taken. What must stay true: whatever is in doubt is left to be asked for where it is ingested; a receipt of a file that is
//! not in the folder leaves nothing in memory.

use std::collections::{BTreeSet, HashMap};

use super::{Folder, Seen, file, version};
use crate::digest::source_hash;
use crate::error::Error;
use crate::lake::Lake;
use crate::ledger::Ledger;
use crate::pipeline::is_older;
use crate::storage::ObjectMeta;

/// What a listing of receipts tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Each is read, so that versions are compared, and files are known that got another name: for a lake in a folder.
    Contents,
    /// Only names and times: where each receipt that is read is a request. A file is taken for unchanged that is older than its
    /// receipt; none whose source was ever replaced or given up is.
    Times,
}

/// How many files of a folder have receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Done {
    /// Those that are certain to be unchanged.
    pub unchanged: u64,
    /// Those of which that is not certain.
    pub in_doubt: u64,
}

/// The files that are waited for, by what receipts know of them.
struct Files {
    /// Key and name, by the hash of the name.
    by_source: HashMap<String, (String, String)>,
    /// Key, by which file it is.
    by_file: HashMap<u64, String>,
}

/// What is found out, by key.
#[derive(Default)]
struct Found {
    done: Vec<(String, String)>,
    in_doubt: Vec<String>,
    /// With the name of the source that it was.
    renamed: Vec<(String, String)>,
}

impl Folder {
    /// Takes those files for done, of which receipts of `table` say that they are.
    ///
    /// # Errors
    /// If receipts cannot be listed. One that cannot be read says nothing here.
    pub fn skip_done(&mut self, lake: &Lake, table: &str, reading: Reading) -> Result<Done, Error> {
        if self.waiting.is_empty() {
            return Ok(Done::default());
        }
        let files = self.files();
        let ledger = lake.ledger();
        let replaced = match reading {
            Reading::Contents => BTreeSet::new(),
            Reading::Times => ledger.replaced(table)?,
        };
        let mut found = Found::default();
        lake.storage.list(&Ledger::folder(table), &mut |receipt| {
            let Some(hash) = hash_in(&receipt.key) else { return Ok(()) };
            match reading {
                Reading::Times => {
                    let is_certain =
                        |seen: Seen| !replaced.contains(hash) && is_older(seen.modified, receipt.modified);
                    found.sort(&files, hash, |key| is_certain(self.waiting[key].seen));
                }
                Reading::Contents => {
                    let Some(bytes) = lake.storage.read(&receipt.key)? else { return Ok(()) };
                    self.compare(&ledger, &receipt, &bytes, &files, &mut found);
                }
            }
            Ok(())
        })?;
        Ok(self.apply(found))
    }

    fn files(&self) -> Files {
        let mut files = Files { by_source: HashMap::new(), by_file: HashMap::new() };
        for (key, waiting) in &self.waiting {
            let name = self.name(key);
            files.by_source.insert(source_hash(&name), (key.clone(), name));
            if let Some(file) = waiting.seen.file {
                files.by_file.insert(file, key.clone());
            }
        }
        files
    }

    /// Compares a receipt with the file that is its source, or was.
    fn compare(&self, ledger: &Ledger, meta: &ObjectMeta, bytes: &[u8], files: &Files, found: &mut Found) {
        // Whoever ingests the source says what is wrong with it.
        let Ok(receipt) = ledger.parse(&meta.key, bytes) else { return };
        let Some(hash) = hash_in(&meta.key).filter(|_| !receipt.given_up) else { return };
        let etag = receipt.etag.as_deref();
        if files.by_source.contains_key(hash) {
            let is_certain = |seen: Seen| {
                etag.is_some()
                    && seen.version == version(receipt.size, etag, None)
                    && is_older(seen.modified, meta.modified)
            };
            found.sort(files, hash, |key| is_certain(self.waiting[key].seen));
        } else if let Some(key) = file(receipt.size, etag).and_then(|file| files.by_file.get(&file)) {
            found.renamed.push((key.clone(), receipt.source));
        }
    }

    fn apply(&mut self, found: Found) -> Done {
        let Found { done, in_doubt, renamed } = found;
        let counts = Done { unchanged: done.len() as u64, in_doubt: in_doubt.len() as u64 };
        for (key, was) in renamed {
            if let Some(waiting) = self.waiting.get_mut(&key) {
                waiting.was = Some(was);
            }
        }
        for key in in_doubt {
            if let Some(waiting) = self.waiting.get_mut(&key) {
                (waiting.was_taken, waiting.was) = (true, None);
            }
        }
        for (key, name) in done {
            self.take(&key, Some(&name));
        }
        counts
    }
}

impl Found {
    /// Takes note of a file that has a receipt.
    fn sort(&mut self, files: &Files, hash: &str, is_certain: impl Fn(&str) -> bool) {
        let Some((key, name)) = files.by_source.get(hash) else { return };
        match is_certain(key) {
            true => self.done.push((key.clone(), name.clone())),
            false => self.in_doubt.push(key.clone()),
        }
    }
}

/// The hash of the source that the receipt with this key is of.
fn hash_in(key: &str) -> Option<&str> {
    key.rsplit_once('/')?.1.strip_suffix(".json")
}
