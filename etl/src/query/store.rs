//! A lake's storage as DataFusion reads it.
//!
//! In come DataFusion's requests for ranges and listings, out come those of the [`Storage`] seam, so that a query finds
//! the same credentials, tries again in the same way and fails with the same words as everything else. Files of generations
//! are shown below the folder of their partition that DataFusion looks for when a condition names all keys. What must stay
//! true: only the bytes that were asked for are read; nothing can be written; and what DataFusion's threads wait for,
//! other threads wait for in their place.

use std::collections::HashMap;
use std::fmt;
use std::ops::{ControlFlow, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult,
    MultipartUpload, OBJECT_STORE_COALESCE_DEFAULT, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, Result, coalesce_ranges,
};
use tokio::sync::mpsc;

use super::receipts::{Choice, Receipts};
use super::stale::Hidden;
use crate::error::{self as lake, Hint};
use crate::generation::place;
use crate::storage::{self, Storage, StorageError};

/// Of how many listed objects the sizes are remembered, so that the first read of a file needs no request for its size.
/// Some 16 MiB; files beyond are asked for.
const REMEMBERED: usize = 1 << 16;

/// How many objects a listing may be ahead of its reader: one page of S3.
const LISTED_AHEAD: usize = 1000;

/// How many failures are remembered: more than files are read at once.
const REFUSALS: usize = 256;

/// A lake's storage, for reading.
#[derive(Debug, Clone)]
pub(super) struct LakeStore {
    storage: Arc<dyn Storage>,
    listed: Arc<Mutex<HashMap<Path, ObjectMeta>>>,
    refusals: Arc<Mutex<Vec<Refusal>>>,
    /// Says which of the files that are there are listed; all of them without it.
    receipts: Option<Arc<Receipts>>,
    /// What is hidden in files, by the number in the name under which they are listed.
    hidden: Arc<Hidden>,
}

/// What the storage said when it failed. DataFusion makes a text of some of its errors on their way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub message: String,
    pub hint: Option<String>,
}

impl LakeStore {
    pub(super) fn new(storage: Arc<dyn Storage>) -> LakeStore {
        LakeStore {
            storage,
            listed: Arc::default(),
            refusals: Arc::default(),
            receipts: None,
            hidden: Arc::default(),
        }
    }

    /// The same, where only files are listed that receipts name.
    pub(super) fn with_receipts(mut self, receipts: Arc<Receipts>) -> LakeStore {
        self.receipts = Some(receipts);
        self
    }

    /// What is hidden in files that are listed.
    pub(super) fn hidden(&self) -> &Arc<Hidden> {
        &self.hidden
    }

    /// What the storage said, if that is what an error of this text is about.
    pub(super) fn refusal_behind(&self, text: &str) -> Option<Refusal> {
        let refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.iter().find(|refusal| text.contains(&refusal.message)).cloned()
    }

    fn refused(&self, error: StorageError) -> Error {
        self.note(&error);
        of_storage(error)
    }

    /// As [`LakeStore::refused`], for what else can go wrong when files are chosen.
    fn unchosen(&self, error: lake::Error) -> Error {
        match error {
            lake::Error::Storage(error) => self.refused(error),
            error => {
                self.note(&error);
                Error::Generic { store: STORE, source: Box::new(error) }
            }
        }
    }

    fn note(&self, error: &dyn Hint) {
        let refusal = Refusal { message: error.to_string(), hint: error.hint().map(str::to_owned) };
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        // Files are read side by side: the last to fail is not always the one whose error ends the query.
        if refusals.len() == REFUSALS {
            refusals.remove(0);
        }
        refusals.push(refusal);
    }

    fn listed(&self) -> MutexGuard<'_, HashMap<Path, ObjectMeta>> {
        // The map is whole between any two of its changes.
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, meta: &ObjectMeta) {
        let mut listed = self.listed();
        if listed.len() < REMEMBERED {
            listed.insert(meta.location.clone(), meta.clone());
        }
    }

    /// What is known of an object: as it was listed, or, where what is asked for depends on it, as it is now.
    async fn meta(&self, location: &Path, as_of_now: bool) -> Result<ObjectMeta> {
        let known = if as_of_now { None } else { self.listed().get(location).cloned() };
        if let Some(meta) = known {
            return Ok(meta);
        }
        let key = place::behind(location.as_ref());
        let meta = self.blocking(move |storage| storage.head(&key)).await?;
        let absent =
            || Error::NotFound { path: location.to_string(), source: "there is no such object".into() };
        meta_of(meta.ok_or_else(absent)?, place::hidden_in(location.as_ref()))
    }

    async fn range(&self, location: &Path, range: Range<u64>) -> Result<Bytes> {
        let key = place::behind(location.as_ref());
        self.blocking(move |storage| storage.get_range(&key, range)).await.map(Bytes::from)
    }

    /// Runs `operation` where waiting hinders nobody.
    async fn blocking<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&dyn Storage) -> storage::Result<T> + Send + 'static,
    ) -> Result<T> {
        let storage = self.storage.clone();
        match tokio::task::spawn_blocking(move || operation(&*storage)).await {
            Ok(result) => result.map_err(|error| self.refused(error)),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => Err(Error::Generic { store: STORE, source: Box::new(error) }),
            },
        }
    }

    /// What was chosen, with the number of what is hidden in each file, in the order of the names they are shown under.
    fn shown(&self, choice: Choice) -> Vec<(storage::ObjectMeta, usize)> {
        let Choice { files, stale } = choice;
        let hidden = |key: &str| {
            let folder = place::parse(key.split('/').next()?, key)?;
            Some(self.hidden.number(stale.get(&folder.partition)))
        };
        let mut shown: Vec<(String, storage::ObjectMeta, usize)> = Vec::with_capacity(files.len());
        for meta in files {
            let hidden = hidden(&meta.key).unwrap_or_default();
            shown.push((
                place::shown_as(&meta.key, hidden).unwrap_or_else(|| meta.key.clone()),
                meta,
                hidden,
            ));
        }
        shown.sort_by(|a, b| a.0.cmp(&b.0));
        shown.into_iter().map(|(_, meta, hidden)| (meta, hidden)).collect()
    }

    /// Every object below `prefix`, a folder, while it is listed.
    fn listing(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let folder = folder(prefix);
        let (sender, mut receiver) = mpsc::channel(LISTED_AHEAD);
        let store = self.clone();
        // Begins with the first object that is asked for: only then a runtime is sure to be there.
        let begin = stream::once(async move {
            tokio::task::spawn_blocking(move || {
                // Until nobody is left who would read of it.
                let send = |meta, hidden| match sender.blocking_send(meta_of(meta, hidden)) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                };
                let listed = match &store.receipts {
                    None => {
                        let listed = store.storage.list_while(&folder, &mut |meta| Ok(send(meta, 0)));
                        listed.map_err(lake::Error::from)
                    }
                    Some(receipts) => receipts.choose(&folder).map(|chosen| {
                        let _ =
                            store.shown(chosen).into_iter().try_for_each(|(meta, hidden)| send(meta, hidden));
                    }),
                };
                if let Err(error) = listed
                    && !sender.is_closed()
                {
                    // Fails where there is nobody left to tell.
                    let _ = sender.blocking_send(Err(store.unchosen(error)));
                }
            });
            stream::poll_fn(move |task| receiver.poll_recv(task))
        });
        let store = self.clone();
        begin.flatten().inspect_ok(move |meta| store.remember(meta)).boxed()
    }
}

#[async_trait]
impl ObjectStore for LakeStore {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if options.version.is_some() {
            return Err(unsupported("reading an older version"));
        }
        let has_condition = options.if_match.is_some()
            || options.if_none_match.is_some()
            || options.if_modified_since.is_some()
            || options.if_unmodified_since.is_some();
        let meta = self.meta(location, has_condition || options.head || options.range.is_none()).await?;
        options.check_preconditions(&meta)?;
        let range = match &options.range {
            _ if options.head => 0..0,
            None => 0..meta.size,
            Some(range) => within(range, meta.size, location)?,
        };
        let bytes = if range.is_empty() { Bytes::new() } else { self.range(location, range.clone()).await? };
        let payload = GetResultPayload::Stream(stream::once(async { Ok(bytes) }).boxed());
        Ok(GetResult { payload, meta, range, attributes: Attributes::default() })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        coalesce_ranges(ranges, |range| self.range(location, range), OBJECT_STORE_COALESCE_DEFAULT).await
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listing(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let folder = folder(prefix);
        let mut found = ListResult { common_prefixes: Vec::new(), objects: Vec::new() };
        let mut listing = self.listing(prefix);
        while let Some(meta) = listing.try_next().await? {
            let rest = meta.location.as_ref().strip_prefix(&folder).unwrap_or(meta.location.as_ref());
            match rest.split_once('/') {
                None => found.objects.push(meta),
                Some((name, _)) => {
                    let below = Path::parse(format!("{folder}{name}"))?;
                    // Keys come in order, and so does what begins like them.
                    if found.common_prefixes.last() != Some(&below) {
                        found.common_prefixes.push(below);
                    }
                }
            }
        }
        Ok(found)
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(unsupported(WRITING))
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(unsupported(WRITING))
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        locations.map(|_| Err(unsupported(WRITING))).boxed()
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(unsupported(WRITING))
    }
}

impl fmt::Display for LakeStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the lake {}", self.storage.uri(""))
    }
}

const STORE: &str = "lake";

const WRITING: &str = "a query only reads a lake: writing";

fn unsupported(what: &str) -> Error {
    Error::NotSupported { source: what.into() }
}

/// What keys below a folder begin with.
fn folder(prefix: Option<&Path>) -> String {
    match prefix {
        Some(prefix) if !prefix.is_root() => format!("{prefix}/"),
        _ => String::new(),
    }
}

/// The part of a range that lies within the object.
fn within(range: &GetRange, size: u64, location: &Path) -> Result<Range<u64>> {
    let within = match *range {
        GetRange::Bounded(ref range) => range.start..range.end.min(size),
        GetRange::Offset(start) => start..size,
        GetRange::Suffix(length) => size.saturating_sub(length)..size,
    };
    if within.start < within.end || (matches!(range, GetRange::Suffix(_)) && size == 0) {
        return Ok(within);
    }
    let source = format!("{location}: nothing of {range} lies within its {size} bytes").into();
    Err(Error::Generic { store: STORE, source })
}

fn meta_of(meta: storage::ObjectMeta, hidden: usize) -> Result<ObjectMeta> {
    let storage::ObjectMeta { key, size, modified, etag, .. } = meta;
    let key = place::shown_as(&key, hidden).unwrap_or(key);
    let last_modified = modified.unwrap_or(SystemTime::UNIX_EPOCH).into();
    Ok(ObjectMeta { location: Path::parse(key)?, last_modified, size, e_tag: etag, version: None })
}

fn of_storage(error: StorageError) -> Error {
    match error {
        StorageError::NotFound { ref uri } => Error::NotFound { path: uri.clone(), source: Box::new(error) },
        error => Error::Generic { store: STORE, source: Box::new(error) },
    }
}

#[cfg(test)]
mod tests;
