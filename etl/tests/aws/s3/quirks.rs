//! Storages that hide where a server is known not to be S3, each narrowly and by name, so that the rest can be tested.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard};

use iotlake::aws::Aws;
use iotlake::storage::{Body, ObjectMeta, Put, Result, S3Storage, Storage, Swap, Visitor};

/// Before moto, which looks whether a condition holds and writes in two steps, so that of two writers both may win.
#[derive(Debug)]
pub struct OneWriteAtATime {
    storage: S3Storage,
    turn: Mutex<()>,
}

impl OneWriteAtATime {
    pub fn new(storage: S3Storage) -> OneWriteAtATime {
        OneWriteAtATime { storage, turn: Mutex::default() }
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap()
    }
}

impl Storage for OneWriteAtATime {
    fn uri(&self, key: &str) -> String {
        self.storage.uri(key)
    }

    fn head(&self, key: &str) -> Result<Option<ObjectMeta>> {
        self.storage.head(key)
    }

    fn get(&self, key: &str) -> Result<Body> {
        self.storage.get(key)
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>> {
        self.storage.get_range(key, range)
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<()> {
        let _turn = self.turn();
        self.storage.put(key, bytes)
    }

    fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<Put> {
        let _turn = self.turn();
        self.storage.put_if_absent(key, bytes)
    }

    fn put_noted(&self, key: &str, bytes: &[u8], note: &str) -> Result<Put> {
        let _turn = self.turn();
        self.storage.put_noted(key, bytes, note)
    }

    fn compare_and_swap(&self, key: &str, expected: Option<&[u8]>, new: &[u8]) -> Result<Swap> {
        let _turn = self.turn();
        self.storage.compare_and_swap(key, expected, new)
    }

    fn list_while(&self, prefix: &str, visit: &mut Visitor<'_>) -> Result<()> {
        self.storage.list_while(prefix, visit)
    }

    fn delete(&self, key: &str) -> Result<()> {
        self.storage.delete(key)
    }
}

/// Before SeaweedFS, which lists folder by folder, `a/b` before `a-b`, and takes `\` for `/`.
#[derive(Debug)]
pub struct ListsByFolder {
    storage: S3Storage,
    aws: Aws,
}

impl ListsByFolder {
    pub fn new(storage: S3Storage, aws: Aws) -> ListsByFolder {
        ListsByFolder { storage, aws }
    }
}

/// With a character that SeaweedFS leaves alone in the place of `\`.
fn there(key: &str) -> String {
    key.replace('\\', "\u{2216}")
}

fn here(key: &str) -> String {
    key.replace('\u{2216}', "\\")
}

impl Storage for ListsByFolder {
    fn uri(&self, key: &str) -> String {
        self.storage.uri(key)
    }

    fn head(&self, key: &str) -> Result<Option<ObjectMeta>> {
        let meta = self.storage.head(&there(key))?;
        Ok(meta.map(|meta| ObjectMeta { key: key.to_owned(), ..meta }))
    }

    fn get(&self, key: &str) -> Result<Body> {
        self.storage.get(&there(key))
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>> {
        self.storage.get_range(&there(key), range)
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<()> {
        self.storage.put(&there(key), bytes)
    }

    fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<Put> {
        self.storage.put_if_absent(&there(key), bytes)
    }

    fn put_noted(&self, key: &str, bytes: &[u8], note: &str) -> Result<Put> {
        self.storage.put_noted(&there(key), bytes, note)
    }

    fn compare_and_swap(&self, key: &str, expected: Option<&[u8]>, new: &[u8]) -> Result<Swap> {
        self.storage.compare_and_swap(&there(key), expected, new)
    }

    /// Asks the server itself, and sorts.
    fn list_while(&self, prefix: &str, visit: &mut Visitor<'_>) -> Result<()> {
        let root = self.storage.uri("");
        let root = root.strip_prefix(&format!("s3://{}/", self.storage.bucket())).expect("its URI");
        let request = self.aws.s3().list_objects_v2().bucket(self.storage.bucket());
        let pages = request.prefix(format!("{root}{}", there(prefix))).into_paginator().send().try_collect();
        let pages = self.aws.wait(pages).expect("the bucket is there");
        let keys = pages.iter().flat_map(|page| page.contents()).filter_map(|object| object.key());
        let mut keys: Vec<_> =
            keys.map(|key| here(key.strip_prefix(root).expect("it was asked for"))).collect();
        keys.sort();
        for key in keys {
            if let Some(meta) = self.head(&key)?
                && visit(meta)?.is_break()
            {
                break;
            }
        }
        Ok(())
    }

    fn delete(&self, key: &str) -> Result<()> {
        self.storage.delete(&there(key))
    }
}
