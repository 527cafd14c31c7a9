//! Turns of writers at one key: a lock file for each, under `_iotlake/locks/`.
//!
//! In comes a key; out comes its lock, which is given back when it is dropped, even by a crash. Whoever holds it writes
//! the number of its process into the file, so that whoever waits in vain can say for whom.
//!
//! What must stay true: of all processes on this machine one holds the lock of a key at a time; nobody waits for ever.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::thread;
use std::time::Duration;

use super::super::{Result, StorageError};
use super::{LOCKS, LocalStorage};
use crate::digest::Digest;

/// The first and the longest wait between two tries: a turn takes about as long as a write to the disk.
const WAITS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

impl LocalStorage {
    /// Waits for the lock of `key`.
    ///
    /// # Errors
    /// [`StorageError::Locked`] if it is still held after this storage's patience.
    pub(super) fn take_turn(&self, key: &str) -> Result<File> {
        let folder = self.root.join(LOCKS);
        // Lock files stay: removing one would let two processes hold the lock of one key.
        let path = folder.join(Digest::of(key.as_bytes()));
        let open = || File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let mut lock = self.make_folders(&folder, open).map_err(self.error(key))?;
        let (mut waited, mut wait) = (Duration::ZERO, WAITS.0);
        loop {
            match lock.try_lock() {
                Ok(()) => {
                    // Only a message depends on it.
                    let _ = sign(&mut lock);
                    return Ok(lock);
                }
                Err(TryLockError::Error(error)) => return Err(self.error(key)(error)),
                Err(TryLockError::WouldBlock) if waited < self.patience => {
                    thread::sleep(wait);
                    waited += wait;
                    wait = WAITS.1.min(wait * 2);
                }
                Err(TryLockError::WouldBlock) => {
                    let uri = self.root.join(key).display().to_string();
                    return Err(StorageError::Locked { uri, waited, holder: holder(&mut lock) });
                }
            }
        }
    }
}

fn sign(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    write!(lock, "{}", std::process::id())
}

fn holder(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.rewind().and_then(|()| lock.read_to_string(&mut text)).ok()?;
    text.parse().ok()
}
