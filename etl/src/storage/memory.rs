//! A storage in memory: for tests, and for embedding the engine where nothing shall be kept.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Body, ObjectMeta, Put, Result, Storage, StorageError, Swap, Visitor, check_key};
use crate::digest::Digest;

type Objects = BTreeMap<String, Object>;

#[derive(Debug, Clone)]
struct Object {
    bytes: Arc<[u8]>,
    etag: String,
    note: Option<String>,
}

impl From<&[u8]> for Object {
    fn from(bytes: &[u8]) -> Object {
        Object { bytes: bytes.into(), etag: Digest::of(bytes), note: None }
    }
}

/// Objects in memory under the URI `memory://<name>/`.
#[derive(Debug)]
pub struct MemoryStorage {
    name: String,
    objects: Mutex<Objects>,
}

impl MemoryStorage {
    /// An empty storage. Two storages of one name are still two.
    pub fn new(name: impl Into<String>) -> MemoryStorage {
        MemoryStorage { name: name.into(), objects: Mutex::default() }
    }

    fn objects(&self, key: &str) -> Result<MutexGuard<'_, Objects>> {
        check_key(key)?;
        Ok(self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().expect("no operation on the map panics")
    }

    fn create(&self, key: &str, object: Object) -> Result<Put> {
        let mut objects = self.objects(key)?;
        if objects.contains_key(key) {
            return Ok(Put::AlreadyThere);
        }
        objects.insert(key.to_owned(), object);
        Ok(Put::Created)
    }

    fn object(&self, key: &str) -> Result<Object> {
        let found = self.objects(key)?.get(key).cloned();
        found.ok_or_else(|| StorageError::NotFound { uri: self.uri(key) })
    }
}

fn meta(key: &str, object: &Object) -> ObjectMeta {
    let etag = Some(object.etag.clone());
    let size = object.bytes.len() as u64;
    ObjectMeta { key: key.to_owned(), size, modified: None, etag, note: object.note.clone() }
}

impl Storage for MemoryStorage {
    fn uri(&self, key: &str) -> String {
        format!("memory://{}/{key}", self.name)
    }

    fn head(&self, key: &str) -> Result<Option<ObjectMeta>> {
        Ok(self.objects(key)?.get(key).map(|object| meta(key, object)))
    }

    fn get(&self, key: &str) -> Result<Body> {
        let object = self.object(key)?;
        Ok(Body::new(self.uri(key), meta(key, &object), Cursor::new(object.bytes)))
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>> {
        let bytes = self.object(key)?.bytes;
        let part = bytes.get(range.start as usize..range.end as usize);
        part.map(<[u8]>::to_vec).ok_or_else(|| StorageError::ShortBody {
            uri: self.uri(key),
            expected: range.end,
            got: bytes.len() as u64,
        })
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<()> {
        self.objects(key)?.insert(key.to_owned(), bytes.into());
        Ok(())
    }

    fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<Put> {
        self.create(key, bytes.into())
    }

    fn put_noted(&self, key: &str, bytes: &[u8], note: &str) -> Result<Put> {
        self.create(key, Object { note: Some(note.to_owned()), ..bytes.into() })
    }

    fn compare_and_swap(&self, key: &str, expected: Option<&[u8]>, new: &[u8]) -> Result<Swap> {
        let mut objects = self.objects(key)?;
        if objects.get(key).map(|object| &*object.bytes) != expected {
            return Ok(Swap::Conflict);
        }
        objects.insert(key.to_owned(), new.into());
        Ok(Swap::Done)
    }

    fn list_while(&self, prefix: &str, visit: &mut Visitor<'_>) -> Result<()> {
        // Collected first: `visit` may well use this storage.
        let found: Vec<_> = {
            let objects = self.lock();
            let from = objects.range(prefix.to_owned()..);
            from.take_while(|(key, _)| key.starts_with(prefix))
                .map(|(key, object)| meta(key, object))
                .collect()
        };
        for meta in found {
            if visit(meta)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn delete(&self, key: &str) -> Result<()> {
        self.objects(key)?.remove(key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conforms() {
        super::super::conformance::conformance(&MemoryStorage::new("test"));
    }
}
