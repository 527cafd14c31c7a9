//! Every file below a folder, in the order of whole keys.
//!
//! One folder is read and sorted at a time, so that memory holds the entries of one path from the root, never of the
//! whole tree. Links to files and folders are followed; a link to a folder that leads back to where the walk already
//! is ends there, and so does one into the folder that shall be left out. A link that leads nowhere is shown as an object
//! of no bytes: reading it fails and says so, where leaving it out would lose a source without a word.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::super::{ObjectMeta, Result, StorageError, Unlisted, Visitor};
use super::{LOCKS, TEMPORARY, object_meta};

/// Shows the files below `root` whose key begins with `prefix`. What cannot be listed below the folder where the walk begins
/// is told to `unlisted`; without it, it ends the walk.
pub(super) fn walk(
    root: &Path,
    left_out: Option<&Path>,
    prefix: &str,
    visit: &mut Visitor<'_>,
    unlisted: Option<&mut Unlisted<'_>>,
) -> Result<()> {
    // Folders named in full by the prefix need not be searched for.
    let start = prefix.rfind('/').map_or("", |slash| &prefix[..slash]);
    let leaves_root = start.split('/').any(|part| part == ".." || part == ".") || prefix.starts_with('/');
    if leaves_root {
        return Ok(());
    }
    let path = root.join(start);
    let canonical = match fs::canonicalize(&path) {
        Ok(canonical) => canonical,
        Err(error) if super::is_absent(&error) => return Ok(()),
        Err(error) => return Err(StorageError::from_io(path.display().to_string(), error)),
    };
    if !canonical.is_dir() {
        return Ok(());
    }
    let mut walk = Walk { prefix, left_out, visit, unlisted, above: vec![canonical] };
    walk.folder(&path, start).map(drop)
}

struct Walk<'a, 'v, 'u> {
    prefix: &'a str,
    /// The canonical path of a folder of which nothing is shown.
    left_out: Option<&'a Path>,
    visit: &'a mut Visitor<'v>,
    unlisted: Option<&'a mut Unlisted<'u>>,
    /// The canonical paths of the folders from the start to here.
    above: Vec<PathBuf>,
}

/// A name in a folder; folders end in `/`, so that names sort as the keys below them do.
struct Entry {
    name: String,
    is_link: bool,
    metadata: Option<fs::Metadata>,
}

impl Walk<'_, '_, '_> {
    fn folder(&mut self, path: &Path, key: &str) -> Result<ControlFlow<()>> {
        let mut entries = self.entries(path, key)?;
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        for entry in entries {
            let key = if key.is_empty() { entry.name } else { format!("{key}/{}", entry.name) };
            let flow = match (key.strip_suffix('/'), entry.metadata) {
                (Some(folder), _) => self.enter(&path.join(file_name(folder)), folder, entry.is_link)?,
                (None, Some(metadata)) => (self.visit)(object_meta(key, &metadata))?,
                (None, None) => {
                    (self.visit)(ObjectMeta { key, size: 0, modified: None, etag: None, note: None })?
                }
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Goes on without `path`, if somebody is told.
    fn cannot(&mut self, path: &Path, error: StorageError) -> Result<()> {
        match &mut self.unlisted {
            Some(tell) => {
                tell(path.display().to_string(), error);
                Ok(())
            }
            None => Err(error),
        }
    }

    fn entries(&mut self, path: &Path, key: &str) -> Result<Vec<Entry>> {
        let failed = |path: &Path, error| StorageError::from_io(path.display().to_string(), error);
        let listing = match fs::read_dir(path) {
            Ok(listing) => listing,
            // Removed since its parent was read.
            Err(error) if super::is_absent(&error) => return Ok(Vec::new()),
            // Where nothing at all can be read there is nothing to go on with.
            Err(error) if self.above.len() == 1 => return Err(failed(path, error)),
            Err(error) => return self.cannot(path, failed(path, error)).map(|()| Vec::new()),
        };
        let mut entries = Vec::new();
        for entry in listing {
            let entry = entry.map_err(|error| failed(path, error))?;
            let path = entry.path();
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                self.cannot(&path, StorageError::NameNotUtf8 { uri: path.display().to_string() })?;
                continue;
            };
            let key = if key.is_empty() { name.clone() } else { format!("{key}/{name}") };
            if key == TEMPORARY || key == LOCKS || !self.concerns(&key) {
                continue;
            }
            let is_link = entry.file_type().map_err(|error| failed(&path, error))?.is_symlink();
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => {
                    entries.push(Entry { name: name + "/", is_link, metadata: None });
                }
                Ok(metadata) if metadata.is_file() && key.starts_with(self.prefix) => {
                    if is_link && fs::canonicalize(&path).is_ok_and(|path| self.leaves_out(&path)) {
                        continue;
                    }
                    entries.push(Entry { name, is_link, metadata: Some(metadata) });
                }
                // Pipes, sockets and devices hold no data.
                Ok(_) => {}
                Err(_) if is_link && key.starts_with(self.prefix) => {
                    entries.push(Entry { name, is_link, metadata: None });
                }
                Err(error) if super::is_absent(&error) => {}
                Err(error) => self.cannot(&path, failed(&path, error))?,
            }
        }
        Ok(entries)
    }

    /// Whether `key`, or something below it, can begin with the prefix.
    fn concerns(&self, key: &str) -> bool {
        key.starts_with(self.prefix)
            || self.prefix.strip_prefix(key).is_some_and(|rest| rest.starts_with('/'))
    }

    fn leaves_out(&self, canonical: &Path) -> bool {
        self.left_out.is_some_and(|folder| canonical.starts_with(folder))
    }

    fn enter(&mut self, path: &Path, key: &str, is_link: bool) -> Result<ControlFlow<()>> {
        let canonical = if is_link {
            match fs::canonicalize(path) {
                Ok(canonical) => canonical,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(ControlFlow::Continue(()));
                }
                Err(error) => {
                    let error = StorageError::from_io(path.display().to_string(), error);
                    return self.cannot(path, error).map(|()| ControlFlow::Continue(()));
                }
            }
        } else {
            self.above.last().expect("the start is above").join(file_name(key))
        };
        if self.above.contains(&canonical) || self.leaves_out(&canonical) {
            return Ok(ControlFlow::Continue(()));
        }
        self.above.push(canonical);
        let flow = self.folder(path, key)?;
        self.above.pop();
        Ok(flow)
    }
}

fn file_name(key: &str) -> &str {
    key.rsplit_once('/').map_or(key, |(_, name)| name)
}
