//! A storage that is a folder of the local file system.
//!
//! Keys are paths below the folder. An object is written to a temporary file under `_iotlake/tmp/`, brought to disk,
//! and only then given its name: by a hard link where it must not replace anything, by a rename where it may. So a
//! crash leaves at most a temporary file, which is no object and is never listed; one that is a day old is removed by
//! the next writer. Swaps of one key take turns through a lock file under `_iotlake/locks/` ([`lock`]). Reading creates
//! nothing.
//!
//! What must stay true: under a final name there is never half an object; what was written is on the disk, its name
//! included, before anything that speaks of it is written; a listing is in the order of whole keys (`a.b` before `a/b`),
//! which sorting each folder with `/` behind the names of folders gives.

mod lock;
mod walk;

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::{Body, ObjectMeta, Put, Result, Storage, StorageError, Swap, Unlisted, Visitor, WEAK, check_key};

const TEMPORARY: &str = "_iotlake/tmp";
const LOCKS: &str = "_iotlake/locks";

/// How far a write has gone when it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The bytes are on the disk before the object has its name, and so is the name before the write is done. The
    /// default: a receipt that survives a power cut must not speak of data that did not.
    #[default]
    Fsync,
    /// The operating system has them. Survives the death of the process, not of the machine.
    None,
}

/// Objects as files of a folder.
#[derive(Debug)]
pub struct LocalStorage {
    root: PathBuf,
    durability: Durability,
    /// Keeps the temporary files of processes and storages apart.
    instance: u64,
    writes: AtomicU64,
    /// How long the lock of a key is waited for.
    patience: Duration,
    /// The canonical path of a folder that is not listed.
    left_out: Option<PathBuf>,
}

/// Nobody holds a lock for longer than it takes to read and write a document, so that whoever waited so long waits for
/// a process that was stopped.
const PATIENCE: Duration = Duration::from_secs(30);

/// A temporary file lives for as long as it takes to write one object. After a day nobody writes it any more, on
/// whatever machine that may have been.
const TEMPORARY_LIVES: Duration = Duration::from_secs(24 * 60 * 60);

impl LocalStorage {
    /// The existing folder `root`.
    ///
    /// # Errors
    /// [`StorageError::NotFound`], [`StorageError::NotAFolder`], or another if it cannot be reached.
    pub fn open(root: impl AsRef<Path>) -> Result<LocalStorage> {
        let given = root.as_ref();
        let error = |error| StorageError::from_io(given.display().to_string(), error);
        let root = fs::canonicalize(given).map_err(error)?;
        if !fs::metadata(&root).map_err(error)?.is_dir() {
            return Err(StorageError::NotAFolder { uri: root.display().to_string() });
        }
        if root.to_str().is_none() {
            return Err(StorageError::NameNotUtf8 { uri: root.display().to_string() });
        }
        Ok(LocalStorage {
            root,
            durability: Durability::default(),
            instance: fastrand::u64(..),
            writes: AtomicU64::new(0),
            patience: PATIENCE,
            left_out: None,
        })
    }

    /// The folder `root`, made if it is missing.
    ///
    /// # Errors
    /// As [`LocalStorage::open`], and if the folder cannot be made.
    pub fn create(root: impl AsRef<Path>) -> Result<LocalStorage> {
        let given = root.as_ref();
        match create_folders(given, Durability::default()) {
            // An existing file in its place: `open` says so.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(StorageError::from_io(given.display().to_string(), error))
            }
            _ => LocalStorage::open(given),
        }
    }

    /// The same with another [`Durability`].
    #[must_use]
    pub fn with_durability(mut self, durability: Durability) -> LocalStorage {
        self.durability = durability;
        self
    }

    /// The same, which waits so long for the lock of a key.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> LocalStorage {
        self.patience = patience;
        self
    }

    /// The same without what lies in `folder`, should a link lead there.
    #[must_use]
    pub fn leaving_out(mut self, folder: &Path) -> LocalStorage {
        self.left_out = fs::canonicalize(folder).ok();
        self
    }

    /// The folder's canonical absolute path.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, key: &str) -> Result<PathBuf> {
        check_key(key)?;
        if is_internal(key) {
            let reason = "it lies where temporary files and locks are kept";
            return Err(StorageError::InvalidKey { key: key.to_owned(), reason });
        }
        Ok(self.root.join(key))
    }

    fn error(&self, key: &str) -> impl Fn(io::Error) -> StorageError {
        let uri = self.root.join(key).display().to_string();
        move |error| StorageError::from_io(uri.clone(), error)
    }

    fn open_file(&self, key: &str) -> Result<(File, ObjectMeta)> {
        let path = self.path(key)?;
        let not_found = || StorageError::NotFound { uri: path.display().to_string() };
        // Looked at before it is opened: opening a pipe would wait for its writer for ever.
        let metadata = fs::metadata(&path).map_err(|error| absent_or(error, not_found, self.error(key)))?;
        if !metadata.is_file() {
            return Err(not_found());
        }
        let file = File::open(&path).map_err(self.error(key))?;
        let metadata = file.metadata().map_err(self.error(key))?;
        Ok((file, object_meta(key.to_owned(), &metadata)))
    }

    /// Writes `bytes` to a new temporary file, as durable as wanted.
    fn write_temporary(&self, bytes: &[u8]) -> io::Result<Temporary> {
        let folder = self.root.join(TEMPORARY);
        let number = self.writes.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{}-{:016x}-{number}", std::process::id(), self.instance));
        let mut file = self.make_folders(&folder, || File::create_new(&path))?;
        let temporary = Temporary(path);
        if number == 0 {
            self.remove_old(&folder, &file)?;
        }
        file.write_all(bytes)?;
        if self.durability == Durability::Fsync {
            file.sync_data()?;
        }
        Ok(temporary)
    }

    fn write(&self, key: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path(key)?;
        let written = self.write_temporary(bytes).and_then(|temporary| {
            self.make_folders(parent(&path), || fs::rename(&temporary.0, &path))?;
            // Dropping the temporary file finds it gone.
            self.sync(parent(&path))
        });
        written.map_err(self.error(key))
    }

    fn create_object(&self, key: &str, bytes: &[u8]) -> Result<Put> {
        let path = self.path(key)?;
        // Saves writing the bytes in the common case of a source delivered again.
        if path.try_exists().map_err(self.error(key))? {
            return self.already_there(key, &path);
        }
        let temporary = self.write_temporary(bytes).map_err(self.error(key))?;
        match self.make_folders(parent(&path), || fs::hard_link(&temporary.0, &path)) {
            Ok(()) => {
                self.sync(parent(&path)).map_err(self.error(key))?;
                Ok(Put::Created)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.already_there(key, &path),
            // File systems without hard links (FAT, some network shares) say one of these.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported) =>
            {
                self.create_by_rename(key, &temporary, &path)
            }
            Err(error) => Err(self.error(key)(error)),
        }
    }

    /// Whoever made the object may have been killed before its name was on the disk; ours speaks of it too.
    fn already_there(&self, key: &str, path: &Path) -> Result<Put> {
        self.sync(parent(path)).map_err(self.error(key))?;
        Ok(Put::AlreadyThere)
    }

    fn create_by_rename(&self, key: &str, temporary: &Temporary, path: &Path) -> Result<Put> {
        let _turn = self.take_turn(key)?;
        if path.try_exists().map_err(self.error(key))? {
            return self.already_there(key, path);
        }
        fs::rename(&temporary.0, path).and_then(|()| self.sync(parent(path))).map_err(self.error(key))?;
        Ok(Put::Created)
    }

    /// Removes temporary files that nobody writes any more, told by the age of one that was just `made`: the clock is
    /// then that of the file system. Which they were; fewer if somebody else removes them too.
    fn remove_old(&self, folder: &Path, made: &File) -> io::Result<Vec<String>> {
        let now = made.metadata()?.modified()?;
        let mut removed = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let is_old = |metadata: Metadata| {
                let age = now.duration_since(metadata.modified().ok()?).ok()?;
                Some(metadata.is_file() && age > TEMPORARY_LIVES)
            };
            if entry.metadata().ok().and_then(is_old) == Some(true) && fs::remove_file(entry.path()).is_ok() {
                removed.push(format!("{TEMPORARY}/{}", entry.file_name().to_string_lossy()));
            }
        }
        Ok(removed)
    }

    /// Runs `operation`, and once more with `folder` made if it was missing.
    fn make_folders<T>(&self, folder: &Path, mut operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create_folders(folder, self.durability)?;
                operation()
            }
            done => done,
        }
    }

    /// Brings the names in `folder` to the disk.
    fn sync(&self, folder: &Path) -> io::Result<()> {
        if self.durability == Durability::Fsync { sync_folder(folder) } else { Ok(()) }
    }
}

impl Storage for LocalStorage {
    /// The canonical absolute path: of the file itself where the key leads through links.
    fn uri(&self, key: &str) -> String {
        let path = self.root.join(key);
        let canonical = fs::canonicalize(&path).ok().and_then(|path| path.to_str().map(str::to_owned));
        canonical.unwrap_or_else(|| path.display().to_string())
    }

    fn head(&self, key: &str) -> Result<Option<ObjectMeta>> {
        match fs::metadata(self.path(key)?) {
            Ok(metadata) if metadata.is_file() => Ok(Some(object_meta(key.to_owned(), &metadata))),
            Ok(_) => Ok(None),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(self.error(key)(error)),
        }
    }

    fn get(&self, key: &str) -> Result<Body> {
        let (file, meta) = self.open_file(key)?;
        Ok(Body::new(self.root.join(key).display().to_string(), meta, file))
    }

    fn get_source(&self, key: &str) -> Result<Body> {
        let (file, meta) = self.open_file(key)?;
        let (path, expected) = (self.root.join(key), meta.clone());
        let uri = path.display().to_string();
        Ok(Body::new(uri, meta, Unchanged { file, path, expected, got: 0 }))
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>> {
        let (mut file, meta) = self.open_file(key)?;
        let uri = || self.root.join(key).display().to_string();
        if range.end > meta.size {
            return Err(StorageError::ShortBody { uri: uri(), expected: range.end, got: meta.size });
        }
        let length = range.end.saturating_sub(range.start);
        let mut bytes = Vec::with_capacity(length as usize);
        file.seek(SeekFrom::Start(range.start)).map_err(self.error(key))?;
        file.take(length).read_to_end(&mut bytes).map_err(self.error(key))?;
        if (bytes.len() as u64) < length {
            let got = range.start + bytes.len() as u64;
            return Err(StorageError::ShortBody { uri: uri(), expected: range.end, got });
        }
        Ok(bytes)
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<()> {
        self.write(key, bytes)
    }

    fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<Put> {
        self.create_object(key, bytes)
    }

    fn compare_and_swap(&self, key: &str, expected: Option<&[u8]>, new: &[u8]) -> Result<Swap> {
        let Some(expected) = expected else {
            return Ok(match self.create_object(key, new)? {
                Put::Created => Swap::Done,
                Put::AlreadyThere => Swap::Conflict,
            });
        };
        self.path(key)?;
        let _turn = self.take_turn(key)?;
        if self.read(key)?.as_deref() != Some(expected) {
            return Ok(Swap::Conflict);
        }
        self.write(key, new)?;
        Ok(Swap::Done)
    }

    fn list_while(&self, prefix: &str, visit: &mut Visitor<'_>) -> Result<()> {
        walk::walk(&self.root, self.left_out.as_deref(), prefix, visit, None)
    }

    fn list_sources(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(ObjectMeta) -> Result<()>,
        unlisted: &mut Unlisted<'_>,
    ) -> Result<()> {
        let visit = &mut |meta| visit(meta).map(ControlFlow::Continue);
        walk::walk(&self.root, self.left_out.as_deref(), prefix, visit, Some(unlisted))
    }

    fn delete(&self, key: &str) -> Result<()> {
        let path = self.path(key)?;
        match fs::remove_file(&path) {
            Ok(()) => self.sync(parent(&path)).map_err(self.error(key)),
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(self.error(key)(error)),
        }
    }

    fn sweep(&self) -> Result<Vec<String>> {
        let folder = self.root.join(TEMPORARY);
        if !folder.is_dir() {
            return Ok(Vec::new());
        }
        // The first write of a storage sweeps by itself.
        self.writes.fetch_add(1, Ordering::Relaxed);
        let made = self.write_temporary(b"").map_err(self.error(TEMPORARY))?;
        let removed = File::open(&made.0).and_then(|made| self.remove_old(&folder, &made));
        removed.map_err(self.error(TEMPORARY))
    }
}

/// A file that has to be the same, under its name, when its last byte was read: what came of one that was written
/// meanwhile may be of two versions.
struct Unchanged {
    file: File,
    path: PathBuf,
    expected: ObjectMeta,
    got: u64,
}

impl Read for Unchanged {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.got += count as u64;
        // That it became longer or shorter is told by whoever counts.
        if count == 0 && !buffer.is_empty() && self.got == self.expected.size {
            let now = match fs::metadata(&self.path) {
                Ok(metadata) => Some(object_meta(self.expected.key.clone(), &metadata)),
                Err(error) if is_absent(&error) => None,
                Err(error) => return Err(error),
            };
            if now.as_ref() != Some(&self.expected) {
                let uri = self.path.display().to_string();
                return Err(io::Error::other(StorageError::Changed { uri }));
            }
        }
        Ok(count)
    }
}

/// A file that goes away unless it got another name.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // Nothing depends on it being gone: it is no object and is not listed.
        let _ = fs::remove_file(&self.0);
    }
}

fn is_internal(key: &str) -> bool {
    [TEMPORARY, LOCKS].iter().any(|folder| key.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
}

/// Whether there is no such file: no such name, or a file where a folder would have to be.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn absent_or(
    error: io::Error,
    absent: impl FnOnce() -> StorageError,
    other: impl FnOnce(io::Error) -> StorageError,
) -> StorageError {
    if is_absent(&error) { absent() } else { other(error) }
}

fn parent(path: &Path) -> &Path {
    path.parent().expect("a key has at least one component below the root")
}

/// Makes `folder` and those above it that are missing, and brings their names to the disk.
fn create_folders(folder: &Path, durability: Durability) -> io::Result<()> {
    let missing = folder.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
    let missing: Vec<&Path> = missing.collect();
    fs::create_dir_all(folder)?;
    if durability == Durability::Fsync {
        for made in missing {
            match made.parent() {
                Some(above) if above.as_os_str().is_empty() => sync_folder(Path::new("."))?,
                Some(above) => sync_folder(above)?,
                None => {}
            }
        }
    }
    Ok(())
}

/// Brings the names in a folder to the disk, where that can be asked for.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // Some network file systems know no such thing.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Ok(())
        }
        done => done,
    }
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

fn object_meta(key: String, metadata: &Metadata) -> ObjectMeta {
    ObjectMeta { key, size: metadata.len(), modified: changed(metadata), etag: version(metadata), note: None }
}

/// Which file it is and when content and file changed: differs wherever the content does, unless it was changed twice
/// within the grain of the file system's clock. So it is weak, as HTTP has it.
#[cfg(unix)]
fn version(metadata: &Metadata) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let (inode, content, file) = (metadata.ino(), metadata.mtime(), metadata.ctime());
    let (content_ns, file_ns) = (metadata.mtime_nsec(), metadata.ctime_nsec());
    Some(format!("{WEAK}{inode:x}-{content}.{content_ns:09}-{file}.{file_ns:09}"))
}

/// What of a [`version`] stays when a file gets another name: which it is, and when its content changed.
pub(crate) fn content_version(etag: &str) -> Option<&str> {
    let (content, _file) = etag.strip_prefix(WEAK)?.rsplit_once('-')?;
    Some(content)
}

#[cfg(not(unix))]
fn version(_: &Metadata) -> Option<String> {
    None
}

/// The later of the times at which content and file changed: `mv` and `cp -p` bring an old content time along.
#[cfg(unix)]
fn changed(metadata: &Metadata) -> Option<SystemTime> {
    use std::os::unix::fs::MetadataExt;
    let file = u64::try_from(metadata.ctime()).ok().and_then(|seconds| {
        let since = std::time::Duration::new(seconds, metadata.ctime_nsec() as u32);
        SystemTime::UNIX_EPOCH.checked_add(since)
    });
    metadata.modified().ok().max(file)
}

#[cfg(not(unix))]
fn changed(metadata: &Metadata) -> Option<SystemTime> {
    metadata.modified().ok()
}

#[cfg(test)]
mod tests;
