//! Where bytes lie: the seam between the engine and a folder, a bucket or memory.
//!
//! Keys go in, `/`-separated and relative to the storage; whole objects come out. An implementation promises what the
//! rest of the engine stands on: an object appears whole or not at all, [`Storage::put_if_absent`] lets exactly one of
//! many writers create a key, [`Storage::compare_and_swap`] loses no update, a body that is not exactly as long as it
//! should be is an error and never a shorter source, and listings come in the order of the keys' bytes.
//!
//! The seam is synchronous because the engine computes on threads; an implementation over a network brings its own
//! runtime. [`conformance`] holds every implementation to these promises.

mod body;
#[doc(hidden)]
pub mod conformance;
mod error;
mod local;
mod memory;
#[cfg(feature = "aws")]
mod s3;

use std::fmt::Debug;
use std::io::Read;
use std::ops::{ControlFlow, Range};
use std::time::SystemTime;

pub use body::Body;
pub use error::StorageError;
pub(crate) use local::content_version;
pub use local::{Durability, LocalStorage};
pub use memory::MemoryStorage;
#[cfg(feature = "aws")]
pub use s3::S3Storage;

/// The result of a storage operation.
pub type Result<T, E = StorageError> = std::result::Result<T, E>;

/// What is known of an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Its key, relative to the storage.
    pub key: String,
    /// Its length in bytes, as stored.
    pub size: u64,
    /// When it, or the file that is it, was last changed.
    pub modified: Option<SystemTime>,
    /// An opaque text that differs whenever the content does, or, where [`is_weak`], almost always.
    pub etag: Option<String>,
    /// What [`Storage::put_noted`] wrote beside the content, where the storage keeps such.
    pub note: Option<String>,
}

/// What weak etags begin with, as in HTTP.
const WEAK: &str = "W/";

/// Whether an etag is made of times, so that changes that follow each other closely may leave it as it is.
pub fn is_weak(etag: &str) -> bool {
    etag.starts_with(WEAK)
}

/// What [`Storage::put_if_absent`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// Nothing was there: the object is ours.
    Created,
    /// The key was taken; nothing was changed.
    AlreadyThere,
}

/// What [`Storage::compare_and_swap`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// The object was as expected and is now the new one.
    Done,
    /// Somebody else had changed it; nothing was changed. Read again and retry.
    Conflict,
}

/// How often [`Storage::read`] reads an object that is written anew each time: other writers pause between two tries.
const READS: u32 = 8;

/// Is shown the objects of a listing one by one, and says whether to go on.
pub type Visitor<'a> = dyn FnMut(ObjectMeta) -> Result<ControlFlow<()>> + 'a;

/// Is told what cannot be listed: where it is, and why.
pub type Unlisted<'a> = dyn FnMut(String, StorageError) + 'a;

/// A place that holds objects under keys.
///
/// Every method takes keys as [`check_key`] allows them, and fails with [`StorageError::InvalidKey`] on others; but what
/// somebody else has made under another key can be read where the storage has such.
pub trait Storage: Debug + Send + Sync {
    /// The full name of `key`: what identifies the object outside of this storage, and what messages show.
    fn uri(&self, key: &str) -> String;

    /// Size and version of an object; `None` if there is none.
    fn head(&self, key: &str) -> Result<Option<ObjectMeta>>;

    /// Opens an object for reading from its beginning.
    ///
    /// The reader fails (see [`Body`]) if the bytes are not exactly as many as `meta.size` says.
    fn get(&self, key: &str) -> Result<Body>;

    /// As [`Storage::get`], for an object that others write by other means than a storage's, which may do so while it is
    /// read: the reader fails with [`StorageError::Changed`] if it is not the same at its end.
    fn get_source(&self, key: &str) -> Result<Body> {
        self.get(key)
    }

    /// Reads the bytes in `range`. A range that ends behind the object is [`StorageError::ShortBody`].
    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>>;

    /// Writes an object, in place of the one that may be there.
    fn put(&self, key: &str, bytes: &[u8]) -> Result<()>;

    /// Writes an object unless there is one. Of writers that race, exactly one creates it.
    fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<Put>;

    /// As [`Storage::put_if_absent`], with a line of ASCII, of at most 1,024 bytes, that [`Storage::head`] tells without
    /// the object being read. A storage that cannot keep it, such as a folder, leaves it out.
    fn put_noted(&self, key: &str, bytes: &[u8], _note: &str) -> Result<Put> {
        self.put_if_absent(key, bytes)
    }

    /// Writes `new` if the object still is `expected` (`None`: if there is no object).
    ///
    /// Safe among swaps and `put_if_absent`s of the same key; not together with [`Storage::put`].
    fn compare_and_swap(&self, key: &str, expected: Option<&[u8]>, new: &[u8]) -> Result<Swap>;

    /// Shows every object whose key begins with `prefix`, in the order of the keys' bytes, until `visit` has seen enough.
    /// An error of `visit` ends the listing and is returned.
    fn list_while(&self, prefix: &str, visit: &mut Visitor<'_>) -> Result<()>;

    /// Shows every object whose key begins with `prefix`, in the order of the keys' bytes. An error of `visit` ends
    /// the listing and is returned.
    fn list(&self, prefix: &str, visit: &mut dyn FnMut(ObjectMeta) -> Result<()>) -> Result<()> {
        self.list_while(prefix, &mut |meta| visit(meta).map(ControlFlow::Continue))
    }

    /// As [`Storage::list`], of objects that others have put there: what cannot be listed by itself, such as a folder that
    /// may not be read, is handed to `unlisted` with its place, and the listing goes on.
    ///
    /// # Errors
    /// As [`Storage::list`], if nothing can be listed.
    fn list_sources(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(ObjectMeta) -> Result<()>,
        _unlisted: &mut Unlisted<'_>,
    ) -> Result<()> {
        self.list(prefix, visit)
    }

    /// Removes an object; success if there is none.
    fn delete(&self, key: &str) -> Result<()>;

    /// Removes what writes that broke off long ago left beside the objects; which they were. A storage on which a write
    /// leaves nothing has nothing to remove.
    fn sweep(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Reads a whole object that is known to be small, such as a document of the catalog; `None` if there is none. One that
    /// is written anew while it is read is read again, so that what is read was there at one moment.
    fn read(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let mut tries = 1..READS;
        loop {
            let read = self.get(key).and_then(|mut body| {
                let mut bytes = Vec::with_capacity(body.meta.size as usize);
                let read = body.reader.read_to_end(&mut bytes);
                read.map(|_| bytes).map_err(|error| StorageError::from_io(self.uri(key), error))
            });
            return match read {
                Err(StorageError::NotFound { .. }) => Ok(None),
                Err(StorageError::Changed { .. }) if tries.next().is_some() => continue,
                read => read.map(Some),
            };
        }
    }
}

/// Checks that `key` names an object the same way on every storage: components that are not empty, `.` or `..`,
/// separated by single `/`, and no NUL.
///
/// # Errors
/// [`StorageError::InvalidKey`] with the reason.
pub fn check_key(key: &str) -> Result<()> {
    let reason = match key {
        "" => "it is empty",
        key if key.starts_with('/') => "it begins with `/`; keys are relative to the storage",
        key if key.ends_with('/') => "it ends with `/` and so names a folder",
        key if key.contains('\0') => "it contains a NUL character",
        key if key.split('/').any(str::is_empty) => "it has an empty component (`//`)",
        key if key.split('/').any(|part| part == "." || part == "..") => "it has a component `.` or `..`",
        _ => return Ok(()),
    };
    Err(StorageError::InvalidKey { key: key.to_owned(), reason })
}

#[cfg(test)]
mod tests;
