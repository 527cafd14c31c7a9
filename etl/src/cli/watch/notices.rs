//! What wakes a watch: the system's notifications of changes below a folder, and Ctrl-C.
//!
//! In come events; out come keys to look at, gathered for a moment, or word that everything has to be looked at. What must stay
//! true: an event only says where to look; so many events as may come, they take no more memory than so many names; where
//! notifications are lost, or cannot be had, that is told, and whoever waits goes by listings alone.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use iotlake::plan::is_hidden;
use notify::event::{ModifyKind, RenameMode};
use notify::{Config, ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

/// How long events are gathered: a file that is written has many. Also what a watch waits at the least, so that a file which is
/// written all the time does not keep a core busy.
const GATHER: Duration = Duration::from_millis(50);

/// How many names are gathered; where more change at a time, all are looked at.
const MOST: usize = 10_000;

/// The error that there are too many of something, of which Rust has no word.
const EMFILE: i32 = 24;

/// What wakes a watch of one folder.
pub struct Notices {
    root: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    noticed: Noticed,
    is_stopped: bool,
    /// The rename of which only the beginning was told: its number, and whether the file had been a source under that name.
    renamed: Option<(usize, bool)>,
}

/// What was told since the last time.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Noticed {
    /// What to look at, and whether one rename brought it there whole.
    pub keys: HashMap<String, bool>,
    /// Whether everything has to be looked at.
    pub all: bool,
    /// Whether the system dropped some because there were too many.
    pub is_incomplete: bool,
    /// Why no more will come.
    pub lost: Option<String>,
}

impl Notices {
    /// For the folder with this canonical path.
    pub fn new(root: &Path) -> Arc<Notices> {
        let (state, changed) = Default::default();
        Arc::new(Notices { root: root.to_owned(), state, changed })
    }

    /// Asks the system to notify of changes, as long as what is returned lives.
    ///
    /// # Errors
    /// Why it does not, in words.
    pub fn listen(self: &Arc<Notices>) -> Result<RecommendedWatcher, String> {
        let notices = self.clone();
        // What lies behind links is listed; nothing tells of it.
        let config = Config::default().with_follow_symlinks(false);
        let watcher = RecommendedWatcher::new(move |event| notices.take(event), config);
        let watched = watcher.and_then(|mut watcher| {
            watcher.watch(&self.root, RecursiveMode::Recursive)?;
            Ok(watcher)
        });
        watched.map_err(|error| in_words(&error))
    }

    /// Ends all waiting.
    pub fn stop(&self) {
        self.lock().is_stopped = true;
        self.changed.notify_all();
    }

    /// Waits until something is told, it is `until`, or somebody stops.
    pub fn wait(&self, until: Instant) -> Noticed {
        let gathered = Instant::now() + GATHER;
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let is_told = state.noticed != Noticed::default();
            if state.is_stopped || (now >= gathered && (is_told || now >= until)) {
                return std::mem::take(&mut state.noticed);
            }
            let next = if is_told { gathered } else { gathered.max(until) };
            let waited = self.changed.wait_timeout(state, next.saturating_duration_since(now));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes in an event of the system.
    fn take(&self, event: notify::Result<Event>) {
        let mut state = self.lock();
        match event {
            Err(error) => state.noticed.lost = Some(in_words(&error)),
            Ok(event) if event.need_rescan() => {
                state.noticed.is_incomplete = true;
                state.noticed.all = true;
            }
            Ok(event) => self.look(&mut state, &event),
        }
        if state.noticed != Noticed::default() {
            self.changed.notify_all();
        }
    }

    fn look(&self, state: &mut State, event: &Event) {
        let mut is_whole = false;
        match event.kind {
            // Whoever reads changes nothing; of a rename whose two halves were told there is nothing left to say.
            EventKind::Access(_) | EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => return,
            EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
                let was_source = event.paths.iter().any(|path| self.key(path).is_some());
                state.renamed = event.tracker().map(|number| (number, was_source));
            }
            EventKind::Modify(ModifyKind::Name(RenameMode::To)) => {
                let from = state.renamed.take().filter(|(number, _)| Some(*number) == event.tracker());
                // A file that had been seen under another name, such as a log that is rotated, may still be written.
                is_whole = !from.is_some_and(|(_, was_source)| was_source);
            }
            EventKind::Remove(_) => state.noticed.all |= event.paths.contains(&self.root),
            _ => {}
        }
        for path in &event.paths {
            let Some(key) = self.key(path) else { continue };
            if state.noticed.keys.len() < MOST {
                let known = state.noticed.keys.entry(key).or_default();
                // What is written after it was renamed is not whole.
                *known = is_whole;
            } else {
                state.noticed.all = true;
            }
        }
    }

    /// The key of what may be a source; the listing tells of names that cannot be keys.
    fn key(&self, path: &Path) -> Option<String> {
        let key = path.strip_prefix(&self.root).ok()?.to_str()?;
        (!key.is_empty() && !is_hidden(key)).then(|| key.to_owned())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn in_words(error: &notify::Error) -> String {
    match &error.kind {
        ErrorKind::MaxFilesWatch => {
            "it has no room for so many folders; sysctl fs.inotify.max_user_watches has the limit".to_owned()
        }
        ErrorKind::Io(error) if error.raw_os_error() == Some(EMFILE) => {
            "too many programs ask for it; sysctl fs.inotify.max_user_instances has the limit".to_owned()
        }
        ErrorKind::Io(error) => error.to_string(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, CreateKind, DataChange, Flag, RemoveKind};

    use super::*;

    fn event(kind: EventKind, path: &str) -> notify::Result<Event> {
        Ok(Event::new(kind).add_path(PathBuf::from(path)))
    }

    fn rename(mode: RenameMode, path: &str, number: usize) -> notify::Result<Event> {
        event(EventKind::Modify(ModifyKind::Name(mode)), path).map(|event| event.set_tracker(number))
    }

    /// What is told after these events.
    fn noticed(events: Vec<notify::Result<Event>>) -> Noticed {
        let notices = Notices::new(Path::new("/raw"));
        events.into_iter().for_each(|event| notices.take(event));
        notices.wait(Instant::now())
    }

    fn keys(noticed: &Noticed) -> Vec<(&str, bool)> {
        let mut keys: Vec<_> = noticed.keys.iter().map(|(key, is_whole)| (&**key, *is_whole)).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn what_was_made_or_written_is_looked_at() {
        let told = noticed(vec![
            event(EventKind::Create(CreateKind::File), "/raw/a"),
            event(EventKind::Modify(ModifyKind::Data(DataChange::Any)), "/raw/d/b"),
            event(EventKind::Create(CreateKind::File), "/raw/.hidden"),
            event(EventKind::Create(CreateKind::File), "/elsewhere/c"),
            event(EventKind::Access(AccessKind::Any), "/raw/read"),
            event(EventKind::Remove(RemoveKind::File), "/raw/gone"),
        ]);
        assert_eq!(keys(&told), [("a", false), ("d/b", false), ("gone", false)]);
        assert!(!told.all && told.lost.is_none());
    }

    #[test]
    fn what_was_renamed_into_place_is_whole_unless_it_had_been_in_sight() {
        let told = noticed(vec![
            rename(RenameMode::To, "/raw/moved-in", 1),
            rename(RenameMode::From, "/raw/.writing", 2),
            rename(RenameMode::To, "/raw/written", 2),
            rename(RenameMode::From, "/raw/log", 3),
            rename(RenameMode::To, "/raw/log.1", 3),
            rename(RenameMode::From, "/raw/away", 4),
            rename(RenameMode::To, "/raw/goes-on", 5),
            event(EventKind::Modify(ModifyKind::Data(DataChange::Any)), "/raw/goes-on"),
        ]);
        let (whole, others): (Vec<_>, Vec<_>) = keys(&told).into_iter().partition(|(_, is_whole)| *is_whole);
        assert_eq!(whole, [("moved-in", true), ("written", true)]);
        assert_eq!(others, ["away", "goes-on", "log", "log.1"].map(|key| (key, false)));
    }

    #[test]
    fn where_events_are_lost_everything_is_looked_at() {
        let told = noticed(vec![Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan))]);
        assert!(told.all && told.is_incomplete);
        let told = noticed(vec![event(EventKind::Remove(RemoveKind::Folder), "/raw")]);
        assert!(told.all && !told.is_incomplete, "the folder itself is gone");
        let many = (0..=MOST).map(|n| event(EventKind::Create(CreateKind::File), &format!("/raw/{n}")));
        let told = noticed(many.collect());
        assert!(told.all && told.keys.len() == MOST);
    }

    #[test]
    fn a_limit_of_the_system_is_told_in_words() {
        let told = noticed(vec![Err(notify::Error::new(ErrorKind::MaxFilesWatch))]);
        assert!(told.lost.unwrap().contains("fs.inotify.max_user_watches"));
    }

    #[test]
    fn whoever_stops_ends_all_waiting() {
        let notices = Notices::new(Path::new("/raw"));
        notices.stop();
        assert_eq!(notices.wait(Instant::now() + Duration::from_secs(3600)), Noticed::default());
    }
}
