//! What can go wrong with stored bytes, by what the caller can do about it.

use std::io;
use std::time::Duration;

use crate::error::Hint;
use crate::remote::RemoteError;

/// Why a storage operation failed. Each names the object by its full URI.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// There is no such object.
    #[error("{uri}: not found")]
    NotFound {
        /// The object.
        uri: String,
    },
    /// The caller may not do this.
    #[error("{uri}: permission denied")]
    PermissionDenied {
        /// The object.
        uri: String,
        /// What the storage said.
        source: io::Error,
    },
    /// Nothing can be written there by anybody.
    #[error("{uri}: the storage is read-only")]
    ReadOnly {
        /// The object.
        uri: String,
        /// What the storage said.
        source: io::Error,
    },
    /// There is no room for another object.
    #[error("{uri}: no space left")]
    Full {
        /// The object that was being written. Nothing of it is visible.
        uri: String,
        /// What the storage said.
        source: io::Error,
    },
    /// An object ended before its length. Reading it again may help; going on with what came would lose data.
    #[error("{uri}: ended after {got} of {expected} bytes")]
    ShortBody {
        /// The object.
        uri: String,
        /// Its length in bytes.
        expected: u64,
        /// The bytes that came.
        got: u64,
    },
    /// An object became longer while it was read: somebody is still writing it.
    #[error("{uri}: grew beyond its {expected} bytes while it was being read")]
    Grew {
        /// The object.
        uri: String,
        /// Its length in bytes when it was opened.
        expected: u64,
    },
    /// An object was replaced while it was read: what came and what is there now do not belong together.
    #[error("{uri}: changed while it was being read")]
    Changed {
        /// The object.
        uri: String,
    },
    /// Another process holds the lock of an object, and does not go on.
    #[error("{uri}: is locked, for {} seconds now{}", waited.as_secs(), by(*.holder))]
    Locked {
        /// The object.
        uri: String,
        /// How long was waited.
        waited: Duration,
        /// The process that holds it, if it said who it is.
        holder: Option<u32>,
    },
    /// What was given as a place in S3 is none.
    #[error("`{uri}` is no place in S3: {reason}")]
    InvalidUri {
        /// What was given.
        uri: String,
        /// Why not.
        reason: &'static str,
    },
    /// The key cannot name an object.
    #[error("key `{key}` cannot be used: {reason}")]
    InvalidKey {
        /// The key.
        key: String,
        /// Why not.
        reason: &'static str,
    },
    /// A file whose name is not UTF-8, so that no key can name it.
    #[error("{uri}: the file's name is not UTF-8 (shown with replacement characters)")]
    NameNotUtf8 {
        /// The file, as far as it can be shown.
        uri: String,
    },
    /// A file where a folder is needed.
    #[error("{uri}: not a folder")]
    NotAFolder {
        /// The file.
        uri: String,
    },
    /// The service that holds the object did not do what it was asked to.
    #[error(transparent)]
    Remote(Box<RemoteError>),
    /// Anything else.
    #[error("{uri}: {source}")]
    Io {
        /// The object.
        uri: String,
        /// What the storage said.
        source: io::Error,
    },
}

/// Who holds a lock, for messages.
fn by(holder: Option<u32>) -> String {
    holder.map(|process| format!(", by process {process}")).unwrap_or_default()
}

impl StorageError {
    /// Sorts an I/O error about `uri` by what can be done about it.
    pub fn from_io(uri: impl Into<String>, source: io::Error) -> StorageError {
        // The readers of this module hand their own errors through `io::Read`; unpack them.
        let source = match source.downcast::<StorageError>() {
            Ok(error) => return error,
            Err(source) => source,
        };
        let uri = uri.into();
        match source.kind() {
            io::ErrorKind::NotFound => StorageError::NotFound { uri },
            io::ErrorKind::PermissionDenied => StorageError::PermissionDenied { uri, source },
            io::ErrorKind::ReadOnlyFilesystem => StorageError::ReadOnly { uri, source },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StorageError::Full { uri, source },
            _ => StorageError::Io { uri, source },
        }
    }
}

impl Hint for StorageError {
    fn hint(&self) -> Option<&str> {
        match self {
            StorageError::NotFound { .. } => {
                Some("check the path; it may have been moved or removed meanwhile")
            }
            StorageError::PermissionDenied { .. } => {
                Some("run as a user who may read the source and write the lake")
            }
            StorageError::ReadOnly { .. } => Some("choose a lake on a writable file system"),
            StorageError::Full { .. } => {
                Some("make room and run the same command again; it goes on where it stopped")
            }
            StorageError::ShortBody { .. } => {
                Some("run the same command again; nothing of this object was kept")
            }
            StorageError::Locked { .. } => Some(
                "that process was stopped, or hangs: let it go on (kill -CONT) or end it, then run the same command \
                 again",
            ),
            StorageError::InvalidUri { .. } => Some("write s3://bucket/prefix"),
            StorageError::Grew { .. } | StorageError::Changed { .. } => {
                Some("wait until its writer is done, then run the same command again")
            }
            StorageError::NameNotUtf8 { .. } => Some("rename the file"),
            StorageError::NotAFolder { .. } => Some("give the path of a folder"),
            StorageError::Remote(error) => error.hint(),
            StorageError::InvalidKey { .. } | StorageError::Io { .. } => None,
        }
    }
}
