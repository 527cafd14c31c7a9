//! Looking at a lake while a source of it is replaced: it is read as one receipt has it, whole, whenever that happens.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use iotlake::audit::{Depth, audit};
use iotlake::catalog::EmbeddedCatalog;
use iotlake::lake::Lake;
use iotlake::query::Receipts;
use iotlake::storage::{Body, MemoryStorage, ObjectMeta, Put, Storage, StorageError, Swap, Visitor};
use iotlake_flatten::Contract;

use crate::support::{options, run};
use crate::writers::{files, receipt};

const KEY: &str = "2026/03/01/09/iot-1-2026-03-01-09-00-00-x";

/// What happens once.
type Act = Box<dyn FnOnce() + Send>;

/// A storage whose listings come in two pages, one up to a key and one from there on, and something happens in between.
struct InPages {
    inner: Arc<MemoryStorage>,
    /// Of which listing.
    prefix: &'static str,
    turn: &'static str,
    act: Mutex<Option<Act>>,
}

impl InPages {
    fn new(inner: &Arc<MemoryStorage>, prefix: &'static str, turn: &'static str, act: Act) -> Arc<InPages> {
        Arc::new(InPages { inner: inner.clone(), prefix, turn, act: Mutex::new(Some(act)) })
    }
}

impl std::fmt::Debug for InPages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InPages")
    }
}

impl Storage for InPages {
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
        self.inner.put(key, bytes)
    }
    fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<Put, StorageError> {
        self.inner.put_if_absent(key, bytes)
    }
    fn compare_and_swap(&self, key: &str, expected: Option<&[u8]>, new: &[u8]) -> Result<Swap, StorageError> {
        self.inner.compare_and_swap(key, expected, new)
    }
    fn list_while(&self, prefix: &str, visit: &mut Visitor<'_>) -> Result<(), StorageError> {
        if prefix != self.prefix {
            return self.inner.list_while(prefix, visit);
        }
        let mut listed = Vec::new();
        self.inner.list(prefix, &mut |meta| {
            listed.push(meta);
            Ok(())
        })?;
        listed.retain(|meta| meta.key.as_str() < self.turn);
        if let Some(act) = self.act.lock().unwrap().take() {
            act();
        }
        self.inner.list(prefix, &mut |meta| {
            if meta.key.as_str() >= self.turn {
                listed.push(meta);
            }
            Ok(())
        })?;
        for meta in listed {
            if visit(meta)?.is_break() {
                break;
            }
        }
        Ok(())
    }
    fn delete(&self, key: &str) -> Result<(), StorageError> {
        self.inner.delete(key)
    }
}

/// Messages of these hours of the first of March; `x` is none.
fn source(hours: &str) -> MemoryStorage {
    let line = |hour: char| match hour.to_digit(10) {
        Some(hour) => format!("{{\"ts\":{}}}\n", 1_772_323_200_000 + u64::from(hour) * 3_600_000),
        None => "no message\n".to_owned(),
    };
    let storage = MemoryStorage::new("raw");
    storage.put(KEY, hours.chars().map(line).collect::<String>().as_bytes()).unwrap();
    storage
}

/// Ingests the messages of these hours, in place of those that were there.
fn ingest(storage: &Arc<MemoryStorage>, hours: &str) {
    let mut options = options(Contract::default(), "event:ts".parse().unwrap());
    options.run.replace = true;
    run(&Lake::embedded(storage.clone()), &source(hours), &options);
}

/// The files of rows of the one source there is.
fn named(storage: &Arc<MemoryStorage>) -> BTreeSet<String> {
    receipt(storage).outputs.into_iter().map(|output| output.key).collect()
}

/// The files of rows that a query reads.
fn read(storage: Arc<dyn Storage>) -> BTreeSet<String> {
    let catalog = Arc::new(EmbeddedCatalog::new(storage.clone()));
    let read = Receipts::new(storage, catalog).choose("events/").unwrap().files;
    read.into_iter().map(|meta| meta.key).collect()
}

#[test]
fn a_source_that_is_replaced_while_its_files_are_listed_is_read_whole() {
    let turns = ["events/", "events/year=2026/month=03/day=01/hour=09", "events0"];
    for (before, between) in
        [("89", "89"), ("89", "8"), ("89", "9"), ("9", "8"), ("89", "x"), ("x", "89"), ("9", "7")]
    {
        for turn in turns {
            for is_second in [false, true] {
                let storage = Arc::new(MemoryStorage::new("lake"));
                if is_second {
                    ingest(&storage, "789");
                }
                ingest(&storage, before);
                let old = named(&storage);
                let other = storage.clone();
                let act = Box::new(move || ingest(&other, between));
                let read = read(InPages::new(&storage, "events/", turn, act));
                let new = named(&storage);
                let why = format!("{before} became {between} at {turn}, replaced before: {is_second}");
                assert!(read == old || read == new, "{why}: {read:?} is neither {old:?} nor {new:?}");
            }
        }
    }
}

#[test]
fn a_file_that_comes_late_of_a_source_that_was_replaced_by_no_rows_is_not_read() {
    let storage = Arc::new(MemoryStorage::new("lake"));
    ingest(&storage, "89");
    let before = files(&storage);
    ingest(&storage, "x");
    assert_eq!(read(storage.clone()), BTreeSet::new());
    // As of a writer that was stopped all the while, and is killed behind its next effect.
    for (key, bytes) in before {
        storage.put(&key, &bytes).unwrap();
    }
    assert_eq!(read(storage.clone()), BTreeSet::new());
    ingest(&storage, "8");
    assert_eq!(read(storage.clone()), named(&storage));
}

#[test]
fn that_a_source_is_replaced_while_the_lake_is_audited_is_no_finding() {
    for turn in ["", "events/year=2026/month=03/day=01/hour=09", "events0"] {
        let storage = Arc::new(MemoryStorage::new("lake"));
        ingest(&storage, "89");
        let other = storage.clone();
        let seen = InPages::new(&storage, "", turn, Box::new(move || ingest(&other, "89")));
        let audit = audit(&*seen, &EmbeddedCatalog::new(seen.clone()), Depth::Footers).unwrap();
        assert!(audit.is_clean(), "{turn}: {:?}", audit.findings);
    }
}
