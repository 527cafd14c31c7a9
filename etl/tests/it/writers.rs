//! Writers that are stopped, killed and continued beside others, at any of their effects.
//!
//! A storage in memory lets a writer do so many changes, and then holds it until told how it goes on; meanwhile others
//! work on the same lake. So every interleaving here is the same each time.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use iotlake::audit::{Depth, audit};
use iotlake::backfill::{Options, Summary};
use iotlake::catalog::TableName;
use iotlake::lake::Lake;
use iotlake::ledger::{LedgerError, Output, Receipt};
use iotlake::storage::{Body, MemoryStorage, ObjectMeta, Put, Storage, StorageError, Swap, Visitor};

use crate::support::{contents, lineage, try_run};

/// What becomes of a writer at one of its effects.
pub enum Fate {
    /// It dies: neither this effect nor any later one is.
    Killed,
    /// There is no more room, from this effect on.
    Full,
    /// It waits until it is told whether to go on.
    Stopped,
    /// Somebody else does something; then it goes on.
    Interrupted(Box<dyn Fn() + Send + Sync>),
}

/// A lake's storage as one writer has it.
pub struct Writer {
    inner: Arc<MemoryStorage>,
    /// After how many effects, and what then.
    fate: Option<(u32, Fate)>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    effects: u32,
    is_dead: bool,
    is_waiting: bool,
    has_ended: bool,
    /// Whether it lives on after it was stopped.
    told: Option<bool>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writer")
    }
}

impl Writer {
    pub fn new(inner: &Arc<MemoryStorage>, fate: Option<(u32, Fate)>) -> Arc<Writer> {
        let (state, changed) = Default::default();
        Arc::new(Writer { inner: inner.clone(), fate, state, changed })
    }

    /// The lake as this writer has it.
    pub fn lake(self: &Arc<Self>) -> Lake {
        Lake::embedded(self.clone())
    }

    pub fn effects(&self) -> u32 {
        self.state.lock().unwrap().effects
    }

    pub fn is_dead(&self) -> bool {
        self.state.lock().unwrap().is_dead
    }

    /// Waits until it was stopped; `false` if it came to its end before.
    fn wait(&self) -> bool {
        let state = self.state.lock().unwrap();
        let state = self.changed.wait_while(state, |state| !state.is_waiting && !state.has_ended).unwrap();
        state.is_waiting
    }

    fn tell(&self, lives: bool) {
        self.state.lock().unwrap().told = Some(lives);
        self.changed.notify_all();
    }

    fn change(&self, key: &str) -> Result<(), StorageError> {
        let mut state = self.state.lock().unwrap();
        let number = state.effects;
        state.effects += 1;
        match &self.fate {
            Some((at, Fate::Killed)) if *at == number => state.is_dead = true,
            Some((at, Fate::Stopped)) if *at == number => {
                state.is_waiting = true;
                self.changed.notify_all();
                state = self.changed.wait_while(state, |state| state.told.is_none()).unwrap();
                state.is_waiting = false;
                state.is_dead = state.told == Some(false);
            }
            Some((at, Fate::Interrupted(act))) if *at == number => {
                drop(state);
                act();
                state = self.state.lock().unwrap();
            }
            _ => {}
        }
        if matches!(&self.fate, Some((at, Fate::Full)) if *at <= number) {
            return Err(StorageError::from_io(key.to_owned(), std::io::ErrorKind::StorageFull.into()));
        }
        match state.is_dead {
            false => Ok(()),
            true => Err(StorageError::from_io(key.to_owned(), std::io::ErrorKind::BrokenPipe.into())),
        }
    }
}

impl Storage for Writer {
    fn uri(&self, key: &str) -> String {
        self.inner.uri(key)
    }
    fn head(&self, key: &str) -> Result<Option<ObjectMeta>, StorageError> {
        self.inner.head(key)
    }
    fn get(&self, key: &str) -> Result<Body, StorageError> {
        self.inner.get(key)
    }
    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>, StorageError> {
        self.inner.get_range(key, range)
    }
    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), StorageError> {
        self.change(key)?;
        self.inner.put(key, bytes)
    }
    fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<Put, StorageError> {
        self.change(key)?;
        self.inner.put_if_absent(key, bytes)
    }
    fn compare_and_swap(&self, key: &str, expected: Option<&[u8]>, new: &[u8]) -> Result<Swap, StorageError> {
        self.change(key)?;
        self.inner.compare_and_swap(key, expected, new)
    }
    fn list_while(&self, prefix: &str, visit: &mut Visitor<'_>) -> Result<(), StorageError> {
        self.inner.list_while(prefix, visit)
    }
    fn delete(&self, key: &str) -> Result<(), StorageError> {
        self.change(key)?;
        self.inner.delete(key)
    }
}

/// One run of a story: what it reads, how.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    pub source: &'a MemoryStorage,
    pub options: &'a Options,
}

impl Run<'_> {
    pub fn on(&self, lake: &Lake) -> Result<Summary, iotlake::error::Error> {
        try_run(lake, self.source, self.options)
    }
}

/// Runs `first` until it has had so many effects, then `meanwhile`, and lets it go on, or die; whether it got so far.
pub fn stopped_beside(
    storage: &Arc<MemoryStorage>,
    first: Run<'_>,
    after: u32,
    lives: bool,
    meanwhile: impl FnOnce(),
) -> bool {
    let writer = Writer::new(storage, Some((after, Fate::Stopped)));
    thread::scope(|scope| {
        let running = scope.spawn(|| {
            let result = first.on(&writer.lake());
            writer.state.lock().unwrap().has_ended = true;
            writer.changed.notify_all();
            result
        });
        let was_stopped = writer.wait();
        meanwhile();
        writer.tell(lives);
        drop(running.join().unwrap());
        was_stopped
    })
}

/// `_source`, `_record` of the rows or rejects in these files, sorted, and the partitions they lie in.
fn rows<'a>(files: impl Iterator<Item = (&'a String, &'a Vec<u8>)>) -> Vec<(String, i64, String)> {
    let mut rows = Vec::new();
    for (key, bytes) in files {
        let folder = &key[..key.rfind('/').unwrap()];
        rows.extend(lineage(bytes).into_iter().map(|(source, record)| (source, record, folder.to_owned())));
    }
    rows.sort();
    rows
}

fn receipts(lake: &Lake) -> Vec<Receipt> {
    let mut receipts = Vec::new();
    lake.ledger()
        .list("events", |receipt| {
            receipts.push(receipt);
            Ok::<_, LedgerError>(())
        })
        .unwrap();
    receipts
}

/// Every file that a receipt names is there, and holds all records of the source, each once.
#[track_caller]
pub fn check_by_receipts(storage: &Arc<MemoryStorage>, why: &str) -> BTreeMap<String, Vec<u8>> {
    let lake = Lake::embedded(storage.clone());
    let contents = contents(&**storage);
    let mut named = BTreeMap::new();
    for receipt in receipts(&lake) {
        let mut records = Vec::new();
        for Output { key, rows: count, .. } in receipt.outputs.iter().chain(&receipt.rejects) {
            let bytes =
                contents.get(key).unwrap_or_else(|| panic!("{why}: {key} is gone, and has a receipt"));
            let lines = lineage(bytes);
            assert_eq!(lines.len() as u64, *count, "{why}: {key}");
            assert!(lines.iter().all(|(source, _)| *source == receipt.source), "{why}: {key}");
            records.extend(lines.into_iter().map(|(_, record)| record));
            named.insert(key.clone(), bytes.clone());
        }
        records.sort_unstable();
        let all: Vec<i64> = (1..=receipt.counts.records as i64).collect();
        assert_eq!(records, all, "{why}: records of {}", receipt.source);
    }
    named
}

/// The same, and nothing else is there: by path the lake is the same as by receipts, and whole.
#[track_caller]
pub fn check_whole(storage: &Arc<MemoryStorage>, why: &str) {
    let named = check_by_receipts(storage, why);
    let contents = contents(&**storage);
    let there: Vec<_> = contents.iter().filter(|(key, _)| key.ends_with(".parquet")).collect();
    let strays: Vec<_> = there.iter().map(|(key, _)| *key).filter(|key| !named.contains_key(*key)).collect();
    assert!(strays.is_empty(), "{why}: no receipt names {strays:?}");
    assert_eq!(rows(there.into_iter()), rows(named.iter()), "{why}");
    let left: Vec<_> = contents.keys().filter(|key| key.contains("/attempts/")).collect();
    assert!(left.is_empty(), "{why}: {left:?}");
    let lake = Lake::embedded(storage.clone());
    let audit = audit(&*lake.storage, &*lake.catalog, Depth::Bytes).unwrap();
    assert!(audit.is_clean(), "{why}: {:?}", audit.findings);
    assert!(audit.orphans.is_empty(), "{why}: {:?}", audit.orphans);
}

/// The one receipt there is.
#[track_caller]
pub fn receipt(storage: &Arc<MemoryStorage>) -> Receipt {
    let mut receipts = receipts(&Lake::embedded(storage.clone()));
    assert_eq!(receipts.len(), 1);
    receipts.remove(0)
}

/// Keys of files of rows and rejects.
pub fn files(storage: &MemoryStorage) -> BTreeMap<String, Vec<u8>> {
    let mut files = contents(storage);
    files.retain(|key, _| {
        key.starts_with("events/") || key.starts_with(&format!("{}/", TableName::rejects("events")))
    });
    files
}
