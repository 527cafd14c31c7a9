//! The files of a folder as they come: which of them have settled, and which were taken before.
//!
//! In come looks at the folder, at all of it or at one name, each with the time at which it was taken; out come files that
//! are to be ingested, and when to look again. A file has settled when size and version were the same for a time, or when
//! somebody saw it renamed into place. The time is handed in, and is that of a clock that never jumps; the times of files
//! only tell that one was changed, never how long ago, so that no clock that is wrong makes a file old.
//!
//! What must stay true: a file that is there is waited for, was taken, or is told; one that changed after it was taken comes up
//! again; whether a source is done is decided by its receipt, where it is ingested, and what is kept here only saves asking;
//! what is kept grows by names and by nothing else, and names that have gone are forgotten.

mod receipts;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::digest::Digest;
use crate::error::Error;
use crate::ledger::Ledger;
use crate::pipeline::{Ingested, PipelineError};
use crate::plan::{Unlisted, is_hidden, name_below};
use crate::source::{KeyPattern, SourceObject};
use crate::storage::{LocalStorage, ObjectMeta, Storage, StorageError, content_version};

pub use receipts::{Done, Reading};

/// After how long a source is tried again that failed for a reason that may pass: such as one that may not be read, or a
/// service that is busy. Twice as long each time, for nobody may come to change it.
const FIRST_PAUSE: Duration = Duration::from_secs(10);

/// The longest of these times.
const LAST_PAUSE: Duration = Duration::from_secs(10 * 60);

/// How soon a file is looked at again that could not be, or was written while it was read, where files need no time to
/// settle.
const SHORT: Duration = Duration::from_secs(1);

/// A folder that is watched.
#[derive(Debug)]
pub struct Folder {
    storage: Arc<LocalStorage>,
    known_as: Option<String>,
    key_pattern: KeyPattern,
    settle: Duration,
    /// Files that may still be written, by key.
    waiting: BTreeMap<String, Waiting>,
    /// Files that are not looked at again until they change, by the hash of their key.
    taken: HashMap<u128, Taken>,
    /// The names of sources that were taken, by the file that they are.
    names: HashMap<u64, String>,
    /// What could not be listed the last time, by its place.
    unlisted: BTreeMap<String, Unlisted>,
    /// The number of the listing that goes on, or was the last.
    listing: u32,
}

#[derive(Debug)]
struct Waiting {
    seen: Seen,
    ready: Instant,
    listing: u32,
    /// Whether it was taken before, and has changed since.
    was_taken: bool,
    /// A source that this file was when it was taken.
    was: Option<String>,
    /// How often it failed for a reason that may pass.
    failures: u32,
}

#[derive(Debug)]
struct Taken {
    version: u64,
    file: Option<u64>,
    listing: u32,
}

/// What a look at a file tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    /// Differs whenever the content does, as far as times tell.
    version: u64,
    /// Which file it is, with its content; the same under another name. Nothing of an empty file, which has no rows to double.
    file: Option<u64>,
    modified: Option<SystemTime>,
}

/// A file that has settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What is to be ingested.
    pub source: SourceObject,
    /// The source that it was when it was taken, if it seems to have got another name since: see [`Folder::renamed`].
    was: Option<String>,
    /// Whether it failed before, and was told.
    pub was_told: bool,
}

/// What a listing found.
#[derive(Debug, PartialEq, Eq)]
pub enum Listed {
    /// Everything below the folder; and what cannot be listed and could the last time.
    All(Vec<Unlisted>),
    /// There is no folder. Nothing is forgotten.
    Gone,
}

/// What becomes of a file that was handed to be ingested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It is done.
    Taken,
    /// Its rows are there, under the name that it had when it was taken.
    Renamed,
    /// It failed, and will as long as it is as it is.
    Refused,
    /// It failed for a reason that may pass.
    Later,
    /// It was written while it was read.
    Unsettled,
    /// It is not there any more.
    Gone,
    /// Nothing was begun.
    Untouched,
}

impl Folder {
    /// The folder that is `storage`, of which nothing is known yet. Files settle for `settle`; `known_as` is the URI that
    /// the folder came from, if it is a copy.
    pub fn new(
        storage: LocalStorage,
        known_as: Option<String>,
        key_pattern: KeyPattern,
        settle: Duration,
    ) -> Folder {
        Folder {
            storage: Arc::new(storage),
            known_as,
            key_pattern,
            settle,
            waiting: BTreeMap::new(),
            taken: HashMap::new(),
            names: HashMap::new(),
            unlisted: BTreeMap::new(),
            listing: 0,
        }
    }

    /// Where its files lie.
    pub fn storage(&self) -> &LocalStorage {
        &self.storage
    }

    /// Its canonical path.
    pub fn root(&self) -> &Path {
        self.storage.root()
    }

    /// How many files may still be written, or are to be tried again.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many of them may still be written.
    pub fn unsettled(&self) -> usize {
        self.waiting.values().filter(|waiting| waiting.failures == 0).count()
    }

    /// The files that are waited for, as they are now.
    pub fn sources(&self) -> Vec<SourceObject> {
        let metas = self.waiting.keys().filter_map(|key| self.head(key).ok().flatten());
        metas.map(|meta| self.source(meta)).collect()
    }

    /// When the next file may have settled.
    pub fn next(&self) -> Option<Instant> {
        self.waiting.values().map(|waiting| waiting.ready).min()
    }

    /// What could not be listed the last time.
    pub fn unlisted(&self) -> impl Iterator<Item = &Unlisted> {
        self.unlisted.values()
    }

    /// Looks at all files.
    ///
    /// # Errors
    /// If the folder is there and cannot be listed.
    pub fn list(&mut self, now: Instant) -> Result<Listed, StorageError> {
        if !self.root().is_dir() {
            return Ok(Listed::Gone);
        }
        self.listing = self.listing.wrapping_add(1);
        let mut unlisted = BTreeMap::new();
        let storage = self.storage.clone();
        storage.list_sources(
            "",
            &mut |meta| {
                self.see(meta, false, now);
                Ok(())
            },
            &mut |uri, error| {
                let what = Unlisted::new(&uri, &error);
                unlisted.insert(uri, what);
            },
        )?;
        // One that goes while it is listed has less to show than it had.
        if !self.root().is_dir() {
            return Ok(Listed::Gone);
        }
        self.forget();
        let new = unlisted.iter().filter(|(uri, _)| !self.unlisted.contains_key(*uri));
        let new = new.map(|(_, what)| what.clone()).collect();
        self.unlisted = unlisted;
        Ok(Listed::All(new))
    }

    /// Looks at a file, or at all below a folder, of which the system told something; with `is_renamed`, that it was brought
    /// there whole by one rename. What is not there is waited for no longer; links, and what cannot be looked at, are left to
    /// the next listing. Whether it is a folder, to which more may have come before the system began to tell of it.
    pub fn look_at(&mut self, key: &str, is_renamed: bool, now: Instant) -> bool {
        let Ok(metadata) = fs::symlink_metadata(self.root().join(key)) else {
            self.waiting.remove(key);
            return false;
        };
        let storage = self.storage.clone();
        if metadata.is_file() {
            if let Ok(Some(meta)) = storage.head(key) {
                self.see(meta, is_renamed, now);
            }
        } else if metadata.is_dir() {
            let mut see = |meta| {
                self.see(meta, is_renamed, now);
                Ok(())
            };
            // Whatever is wrong, the next listing tells.
            let _ = storage.list_sources(&format!("{key}/"), &mut see, &mut |_, _| {});
        }
        metadata.is_dir()
    }

    /// The files that have settled, by name. Those that several names lead to come once.
    pub fn settled(&mut self, now: Instant) -> Vec<Candidate> {
        let due = self.waiting.iter().filter(|(_, waiting)| waiting.ready <= now);
        let due: Vec<String> = due.map(|(key, _)| key.clone()).collect();
        let mut candidates = Vec::new();
        for key in due {
            let there = self.head(&key);
            let Some(waiting) = self.waiting.get_mut(&key) else { continue };
            match there {
                Ok(Some(meta)) if Seen::of(&meta) == waiting.seen => {
                    let (was, was_told) = (waiting.was.clone(), waiting.failures > 0);
                    candidates.push(Candidate { source: self.source(meta), was, was_told });
                }
                Ok(Some(meta)) => self.see(meta, false, now),
                Ok(None) => {
                    self.waiting.remove(&key);
                }
                Err(_) => waiting.ready = now + self.settle.max(SHORT),
            }
        }
        candidates.sort_unstable_by(|Candidate { source: a, .. }, Candidate { source: b, .. }| {
            (&a.name, &a.key).cmp(&(&b.name, &b.key))
        });
        let mut unique: Vec<Candidate> = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            match unique.last() {
                Some(last) if last.source.name == candidate.source.name => {
                    self.ended(&candidate.source, After::Refused, now);
                }
                _ => unique.push(candidate),
            }
        }
        unique
    }

    /// The source as which the rows of a file are in `table` already, if it only got another name since it was taken: it is
    /// the same file, with a content of the same time and length, and its digest is in the receipt.
    ///
    /// # Errors
    /// If the receipt cannot be read.
    pub fn renamed(
        &self,
        ledger: &Ledger,
        table: &str,
        candidate: &Candidate,
    ) -> Result<Option<String>, Error> {
        let Candidate { source, was: Some(was), .. } = candidate else { return Ok(None) };
        let Some(receipt) = ledger.head(table, was)? else { return Ok(None) };
        if receipt.size != source.size {
            return Ok(None);
        }
        // One that cannot be read is not read either when it is ingested, which tells it.
        let Ok(mut body) = self.storage.get_source(&source.key) else { return Ok(None) };
        let digest = Digest::of_reader(&mut body.reader);
        Ok(digest.ok().filter(|digest| *digest == receipt.digest).map(|_| was.clone()))
    }

    /// What becomes of a file after this result.
    pub fn after(&self, source: &SourceObject, result: &Result<Ingested, PipelineError>) -> After {
        let Err(error) = result else { return After::Taken };
        match error {
            PipelineError::Stopped => After::Untouched,
            PipelineError::Source { source: error, .. } => match error {
                StorageError::Grew { .. } | StorageError::Changed { .. } | StorageError::ShortBody { .. } => {
                    After::Unsettled
                }
                // A link that leads nowhere is there, and is told.
                StorageError::NotFound { .. }
                    if fs::symlink_metadata(self.root().join(&source.key)).is_err() =>
                {
                    After::Gone
                }
                StorageError::NotFound { .. } => After::Refused,
                _ => After::Later,
            },
            PipelineError::Changed { .. }
            | PipelineError::Conflict { .. }
            | PipelineError::Unbalanced { .. }
            | PipelineError::NoHour { .. }
            | PipelineError::NoTime { .. }
            | PipelineError::Unlisted { .. }
            | PipelineError::Decode { .. }
            | PipelineError::Encode(_) => After::Refused,
            PipelineError::Superseded { .. }
            | PipelineError::Record { .. }
            | PipelineError::Contended { .. }
            | PipelineError::Storage(_)
            | PipelineError::Catalog(_)
            | PipelineError::Ledger(_) => After::Later,
        }
    }

    /// Notes what became of a file that had settled.
    pub fn ended(&mut self, source: &SourceObject, after: After, now: Instant) {
        let settle = self.settle.max(SHORT);
        let Some(waiting) = self.waiting.get_mut(&source.key) else { return };
        match after {
            After::Untouched => {}
            After::Unsettled => waiting.ready = now + settle,
            After::Later => {
                waiting.ready =
                    now + FIRST_PAUSE.saturating_mul(1 << waiting.failures.min(16)).min(LAST_PAUSE);
                waiting.failures += 1;
            }
            After::Gone => {
                self.waiting.remove(&source.key);
            }
            After::Taken => self.take(&source.key, Some(&source.name)),
            After::Renamed => {
                let was = self.waiting.get(&source.key).and_then(|waiting| waiting.was.clone());
                self.take(&source.key, was.as_deref());
            }
            After::Refused => self.take(&source.key, None),
        }
    }

    /// A file is not looked at again until it changes. `source_name` is that of its rows, if it has any.
    fn take(&mut self, key: &str, source_name: Option<&str>) {
        let Some(Waiting { seen, listing, .. }) = self.waiting.remove(key) else { return };
        let Seen { version, file, .. } = seen;
        let file = file.filter(|_| source_name.is_some());
        self.taken.insert(hash(key), Taken { version, file, listing });
        if let Some((file, name)) = file.zip(source_name) {
            self.names.insert(file, name.to_owned());
        }
    }

    /// Takes note of a file as it is now.
    fn see(&mut self, meta: ObjectMeta, is_whole: bool, now: Instant) {
        if is_hidden(&meta.key) {
            return;
        }
        let seen = Seen::of(&meta);
        let ready = if is_whole { now } else { now + self.settle };
        let id = hash(&meta.key);
        let mut was_taken = false;
        if let Some(taken) = self.taken.get_mut(&id) {
            taken.listing = self.listing;
            if taken.version == seen.version {
                return;
            }
            was_taken = true;
            self.taken.remove(&id);
        }
        let listing = self.listing;
        if let Some(waiting) = self.waiting.get_mut(&meta.key) {
            waiting.listing = listing;
            if waiting.seen != seen {
                let was_taken = waiting.was_taken;
                *waiting = Waiting { seen, ready, listing, was_taken, was: None, failures: 0 };
            } else if is_whole && waiting.failures == 0 {
                waiting.ready = now;
            }
            return;
        }
        let was = seen.file.filter(|_| !was_taken).and_then(|file| self.names.get(&file)).cloned();
        self.waiting.insert(meta.key, Waiting { seen, ready, listing, was_taken, was, failures: 0 });
    }

    /// Forgets files that the listing did not show.
    fn forget(&mut self) {
        let listing = self.listing;
        self.waiting.retain(|_, waiting| waiting.listing == listing);
        let mut gone = HashSet::new();
        self.taken.retain(|_, taken| {
            let is_there = taken.listing == listing;
            if !is_there {
                gone.extend(taken.file);
            }
            is_there
        });
        if !gone.is_empty() {
            // The file may be there under another name.
            for file in self.taken.values().filter_map(|taken| taken.file) {
                gone.remove(&file);
            }
            self.names.retain(|file, _| !gone.contains(file));
        }
    }

    /// A file as the listing shows it; a link that leads nowhere is an object of no bytes.
    fn head(&self, key: &str) -> Result<Option<ObjectMeta>, StorageError> {
        if let Some(meta) = self.storage.head(key)? {
            return Ok(Some(meta));
        }
        let is_link = fs::symlink_metadata(self.root().join(key)).is_ok_and(|metadata| metadata.is_symlink());
        let meta = ObjectMeta { key: key.to_owned(), size: 0, modified: None, etag: None, note: None };
        Ok(is_link.then_some(meta))
    }

    fn name(&self, key: &str) -> String {
        match &self.known_as {
            Some(uri) => name_below(uri, key),
            None => self.storage.uri(key),
        }
    }

    fn source(&self, meta: ObjectMeta) -> SourceObject {
        let name = self.name(&meta.key);
        let hour = self.key_pattern.hour(&name);
        let ObjectMeta { key, size, modified, etag, .. } = meta;
        SourceObject { name, key, size, modified, etag, hour }
    }
}

impl Seen {
    fn of(meta: &ObjectMeta) -> Seen {
        let modified = meta.modified;
        let etag = meta.etag.as_deref();
        Seen { version: version(meta.size, etag, modified), file: file(meta.size, etag), modified }
    }
}

/// What differs whenever the content does, as far as the storage tells.
fn version(size: u64, etag: Option<&str>, modified: Option<SystemTime>) -> u64 {
    match etag {
        Some(etag) => xxh3_64(format!("{size} {etag}").as_bytes()),
        // Where there are no versions, by the time alone.
        None => xxh3_64(format!("{size} {modified:?}").as_bytes()),
    }
}

/// Which file it is, and with which content.
fn file(size: u64, etag: Option<&str>) -> Option<u64> {
    let content = content_version(etag?).filter(|_| size > 0)?;
    Some(xxh3_64(format!("{size} {content}").as_bytes()))
}

fn hash(key: &str) -> u128 {
    xxh3_128(key.as_bytes())
}

#[cfg(all(test, unix))]
mod tests;
