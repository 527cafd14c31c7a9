//! A storage as one process has it: every call is a point at which others may go on, and may go wrong.
//!
//! In come the calls of the product's own code, out come the answers of a storage in memory, or an error with or without
//! the effect. Listings come in pages, between which the world goes on, as those of S3 do. A deliberate fault changes what
//! the storage promises.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use iotlake::storage::{Body, MemoryStorage, ObjectMeta, Put, Result, Storage, StorageError, Swap, Visitor};

use crate::faults::{self, Fault};
use crate::world::{Fate, Process, State, World, error};

/// Which storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    Lake,
    Raw,
}

/// A storage as one process has it.
#[derive(Debug)]
pub struct Seen {
    process: Arc<Process>,
    of: Of,
}

/// A change of one object.
#[derive(Debug, Clone)]
pub enum Change {
    Put(Vec<u8>),
    Create(Vec<u8>, Option<String>),
    Swap(Option<Vec<u8>>, Vec<u8>),
    Delete,
}

/// What a change found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Done,
    /// The condition does not hold: nothing was changed.
    Refused,
}

impl Change {
    pub fn name(&self) -> &'static str {
        match self {
            Change::Put(_) => "put",
            Change::Create(..) => "create",
            Change::Swap(..) => "swap",
            Change::Delete => "delete",
        }
    }

    /// What the object shall be.
    pub fn bytes(&mut self) -> Option<&mut Vec<u8>> {
        match self {
            Change::Put(bytes) | Change::Create(bytes, _) | Change::Swap(_, bytes) => Some(bytes),
            Change::Delete => None,
        }
    }
}

/// Changes an object of a storage in memory.
pub fn change(storage: &MemoryStorage, key: &str, change: &Change) -> Result<Answer> {
    let created = |put| if put == Put::Created { Answer::Done } else { Answer::Refused };
    Ok(match change {
        Change::Put(bytes) => storage.put(key, bytes).map(|()| Answer::Done)?,
        Change::Create(bytes, None) => created(storage.put_if_absent(key, bytes)?),
        Change::Create(bytes, Some(note)) => created(storage.put_noted(key, bytes, note)?),
        Change::Swap(expected, new) => match storage.compare_and_swap(key, expected.as_deref(), new)? {
            Swap::Done => Answer::Done,
            Swap::Conflict => Answer::Refused,
        },
        Change::Delete => storage.delete(key).map(|()| Answer::Done)?,
    })
}

impl World {
    /// A change of the lake comes to its effect, and the accounts are looked at.
    pub fn apply(&self, state: &mut State, actor: usize, key: &str, wanted: &Change) -> Answer {
        let before = self.lake.read(key).expect("memory can be read");
        let answer = match self.fault {
            None => change(&self.lake, key, wanted).expect("the key can be used"),
            Some(fault) => faults::apply(self, state, fault, actor, key, wanted),
        };
        let after = self.lake.read(key).expect("memory can be read");
        if before != after {
            state.touch(key);
            self.account(state, key, before.as_deref(), after.as_deref());
        }
        answer
    }

    /// Looks at the accounts after an object changed.
    pub fn account(&self, state: &mut State, key: &str, before: Option<&[u8]>, after: Option<&[u8]>) {
        let at = (state.step, state.now());
        if let Err(why) = state.accounts.changed(self, at, key, before, after) {
            state.breaks(why);
        }
    }
}

impl Seen {
    pub fn new(process: &Arc<Process>, of: Of) -> Arc<Seen> {
        Arc::new(Seen { process: process.clone(), of })
    }

    fn inner(&self) -> &MemoryStorage {
        match self.of {
            Of::Lake => &self.process.world.lake,
            Of::Raw => &self.process.world.raw,
        }
    }

    /// A call that changes nothing.
    fn look<T>(&self, call: &str, key: &str, act: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let mut state = self.process.world.turn(&self.process)?;
        if state.is_throttled() {
            state.note(self.process.actor, call, key, "throttled");
            state.counts.add("reads that failed", 1);
            return Err(error(key, std::io::ErrorKind::TimedOut));
        }
        let result = act(&mut state);
        state.note(self.process.actor, call, key, if result.is_ok() { "read" } else { "not there" });
        result
    }

    fn change(&self, key: &str, change: &Change) -> Result<Answer> {
        let (world, process) = (&*self.process.world, &*self.process);
        let mut state = world.turn(process)?;
        let actor = process.actor;
        if matches!(change, Change::Delete) && !process.may_delete && !key.starts_with("_iotlake/attempts/") {
            state.note(actor, "delete", key, "denied");
            let source = std::io::ErrorKind::PermissionDenied.into();
            return Err(StorageError::PermissionDenied { uri: key.to_owned(), source });
        }
        let fate = state.fate();
        let mut answer = Answer::Done;
        match fate {
            Fate::Goes | Fate::Slow | Fate::Lost | Fate::KilledAfter => {
                answer = world.apply(&mut state, actor, key, change);
            }
            Fate::Late | Fate::KilledLate => world.send(&mut state, actor, key, change),
            Fate::Throttled | Fate::KilledBefore => {}
        }
        state.note(actor, change.name(), key, &format!("{fate:?}, {answer:?}"));
        let name = match fate {
            Fate::Goes => return Ok(answer),
            Fate::Slow => "answers that came late",
            Fate::Throttled => "calls that were refused",
            Fate::Lost => "answers that were lost",
            Fate::Late => "effects that came late",
            Fate::KilledBefore | Fate::KilledAfter | Fate::KilledLate => "processes that were killed",
        };
        state.counts.add(name, 1);
        match fate {
            Fate::Slow => self.answer_late(state, key, change, answer),
            Fate::Throttled | Fate::Lost | Fate::Late => Err(error(key, std::io::ErrorKind::TimedOut)),
            _ => Err(world.kill(state, process)),
        }
    }

    /// The answer to a write whose first reply was lost: the client sent it again, and looks whether the object in the
    /// way is its own. It is not if others have changed it meanwhile.
    fn answer_late(
        &self,
        state: std::sync::MutexGuard<'_, State>,
        key: &str,
        change: &Change,
        answer: Answer,
    ) -> Result<Answer> {
        let written = state.changed.get(key).copied();
        drop(state);
        let mut state = self.process.world.turn(&self.process)?;
        let is_conditional = matches!(change, Change::Create(..) | Change::Swap(..));
        let is_ours = !is_conditional || state.changed.get(key).copied() == written;
        let answer = if is_ours { answer } else { Answer::Refused };
        state.note(self.process.actor, change.name(), key, &format!("told so late, {answer:?}"));
        Ok(answer)
    }

    /// The objects behind `after`, as many as a page has, and whether there may be more.
    fn page(&self, state: &State, prefix: &str, after: Option<&str>) -> Result<(Vec<ObjectMeta>, bool)> {
        let page = self.process.world.page;
        let mut found = Vec::new();
        self.inner().list_while(prefix, &mut |mut meta| {
            let is_behind = after.is_none_or(|after| meta.key.as_str() > after);
            let is_hidden = self.process.world.fault == Some(Fault::ListingIsStale)
                && state.changed.get(&meta.key).is_some_and(|(_, step)| step + faults::STALE > state.step);
            if is_behind && !is_hidden {
                meta.modified = state.modified(&meta.key);
                meta.note = None;
                found.push(meta);
            }
            Ok(if found.len() == page { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        let is_full = found.len() == page;
        Ok((found, is_full))
    }
}

impl Storage for Seen {
    fn uri(&self, key: &str) -> String {
        match self.of {
            Of::Lake => self.inner().uri(key),
            Of::Raw => format!("s3://raw/{key}"),
        }
    }

    fn head(&self, key: &str) -> Result<Option<ObjectMeta>> {
        self.look("head", key, |state| {
            let found = self.inner().head(key)?;
            Ok(found.map(|meta| ObjectMeta { modified: state.modified(key), ..meta }))
        })
    }

    fn get(&self, key: &str) -> Result<Body> {
        let is_old = self.process.world.fault == Some(Fault::ReceiptsOfOld)
            && self.process.compacts.load(Ordering::Relaxed);
        self.look("get", key, |state| match state.accounts.first_receipt(key).filter(|_| is_old) {
            Some(receipt) => {
                let old = MemoryStorage::new("old");
                old.put(key, receipt.as_bytes())?;
                old.get(key)
            }
            None => self.inner().get(key),
        })
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>> {
        self.look("range", key, |_| self.inner().get_range(key, range))
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<()> {
        self.change(key, &Change::Put(bytes.to_vec())).map(drop)
    }

    fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<Put> {
        self.change(key, &Change::Create(bytes.to_vec(), None)).map(put)
    }

    fn put_noted(&self, key: &str, bytes: &[u8], note: &str) -> Result<Put> {
        self.change(key, &Change::Create(bytes.to_vec(), Some(note.to_owned()))).map(put)
    }

    fn compare_and_swap(&self, key: &str, expected: Option<&[u8]>, new: &[u8]) -> Result<Swap> {
        let change = Change::Swap(expected.map(<[u8]>::to_vec), new.to_vec());
        Ok(match self.change(key, &change)? {
            Answer::Done => Swap::Done,
            Answer::Refused => Swap::Conflict,
        })
    }

    fn list_while(&self, prefix: &str, visit: &mut Visitor<'_>) -> Result<()> {
        let mut after: Option<String> = None;
        loop {
            let (page, is_full) =
                self.look("list", prefix, |state| self.page(state, prefix, after.as_deref()))?;
            after = page.last().map(|meta| meta.key.clone());
            for meta in page {
                if visit(meta)?.is_break() {
                    return Ok(());
                }
            }
            if !is_full {
                return Ok(());
            }
        }
    }

    fn delete(&self, key: &str) -> Result<()> {
        self.change(key, &Change::Delete).map(drop)
    }
}

fn put(answer: Answer) -> Put {
    match answer {
        Answer::Done => Put::Created,
        Answer::Refused => Put::AlreadyThere,
    }
}
