use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// Objects that are written anew the next few times that one is read.
#[derive(Debug)]
struct Restless {
    inner: MemoryStorage,
    changes: AtomicU32,
}

impl Storage for Restless {
    fn uri(&self, key: &str) -> String {
        self.inner.uri(key)
    }

    fn head(&self, key: &str) -> Result<Option<ObjectMeta>> {
        self.inner.head(key)
    }

    fn get(&self, key: &str) -> Result<Body> {
        let left = self.changes.load(Ordering::Relaxed);
        if left > 0 {
            self.changes.store(left - 1, Ordering::Relaxed);
            return Err(StorageError::Changed { uri: self.uri(key) });
        }
        self.inner.get(key)
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>> {
        self.inner.get_range(key, range)
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<()> {
        self.inner.put(key, bytes)
    }

    fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<Put> {
        self.inner.put_if_absent(key, bytes)
    }

    fn compare_and_swap(&self, key: &str, expected: Option<&[u8]>, new: &[u8]) -> Result<Swap> {
        self.inner.compare_and_swap(key, expected, new)
    }

    fn list_while(&self, prefix: &str, visit: &mut Visitor<'_>) -> Result<()> {
        self.inner.list_while(prefix, visit)
    }

    fn delete(&self, key: &str) -> Result<()> {
        self.inner.delete(key)
    }
}

#[test]
fn a_document_that_is_written_anew_while_it_is_read_is_read_again() {
    let storage = Restless { inner: MemoryStorage::new("lake"), changes: AtomicU32::new(READS - 1) };
    storage.put("a", b"new").unwrap();
    assert_eq!(storage.read("a").unwrap().as_deref(), Some(&b"new"[..]));
    assert_eq!(storage.read("b").unwrap(), None);
    storage.changes.store(READS, Ordering::Relaxed);
    assert!(matches!(storage.read("a"), Err(StorageError::Changed { .. })));
}
