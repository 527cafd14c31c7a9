//! The world that actors share: who makes the next effect, what becomes of it, and the accounts that are looked at after
//! each.
//!
//! Actors run on threads of their own, but only the one that holds the baton goes on: each call to a storage or a catalog
//! gives the baton back, and chance decides who has it next and whether the call succeeds. All chance comes from the seed
//! and nothing else decides, so that a schedule is a function of its seed. What must stay true: nobody but the holder of
//! the baton touches the world; a call of a process that was killed has no effect.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use iotlake::catalog::MemoryCatalog;
use iotlake::storage::{MemoryStorage, StorageError};
use iotlake_fixtures::SplitMix64;

use crate::accounts::Accounts;
use crate::faults::Fault;
use crate::storage::Change;

/// Most actors of an era.
pub const ACTORS: usize = 8;

/// How often things go wrong: in so many of 1,024 calls.
#[derive(Debug, Clone, Copy, Default)]
pub struct Odds {
    pub killed: u32,
    /// The effect is, and its caller is told of an error.
    pub lost: u32,
    /// The caller is told of an error, and the effect is later.
    pub late: u32,
    /// The effect is not, and its caller is told of an error.
    pub throttled: u32,
    /// The answer takes its time: others go on before it comes.
    pub slow: u32,
}

/// Who has the baton next.
#[derive(Debug, Clone)]
pub enum Style {
    /// In so many of 64 calls anybody, else the same.
    Random(u32),
    /// Whoever ranks highest; the running actor becomes the last at each of these steps.
    Ranked(Vec<u64>),
}

/// What chance may do, and how.
#[derive(Debug, Clone)]
pub struct Chances {
    pub seed: u64,
    pub odds: Odds,
    pub style: Style,
    /// Objects that a listing tells at a time.
    pub page: usize,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Goes,
    Slow,
    Throttled,
    Lost,
    Late,
    KilledBefore,
    KilledAfter,
    /// Killed with the request under way.
    KilledLate,
}

/// How often what happened, over many schedules: a simulator in which nothing goes wrong proves nothing.
#[derive(Debug, Clone, Default)]
pub struct Counts(pub HashMap<&'static str, u64>);

impl Counts {
    pub fn add(&mut self, what: &'static str, count: u64) {
        *self.0.entry(what).or_default() += count;
    }
}

/// A request that is still on its way though nobody waits for it.
struct UnderWay {
    actor: usize,
    key: String,
    change: Change,
}

/// What only the holder of the baton touches.
pub struct State {
    pub random: SplitMix64,
    odds: Odds,
    style: Style,
    ready: Vec<usize>,
    ranks: Vec<u64>,
    running: usize,
    pub step: u64,
    /// Seconds since 1970.
    now: u64,
    /// When each object was last changed, and by which step.
    pub changed: HashMap<String, (u64, u64)>,
    under_way: Vec<UnderWay>,
    pub accounts: Accounts,
    pub counts: Counts,
    hash: DefaultHasher,
    lines: Option<Vec<String>>,
    pub broken: Option<String>,
}

/// The world of one schedule.
pub struct World {
    state: Mutex<State>,
    woken: [Condvar; ACTORS],
    pub lake: Arc<MemoryStorage>,
    pub raw: Arc<MemoryStorage>,
    /// Where tables are not kept in the lake.
    pub catalog: Option<Arc<MemoryCatalog>>,
    /// Objects that a listing tells at a time.
    pub page: usize,
    pub fault: Option<Fault>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("World")
    }
}

/// Ends a process: carried by the unwinding of its thread.
struct Killed;

/// A process: an actor from its start until it ends or is killed.
#[derive(Debug)]
pub struct Process {
    pub world: Arc<World>,
    pub actor: usize,
    /// Whether it may remove what readers see. The function may not.
    pub may_delete: bool,
    /// Whether it makes generations.
    pub compacts: AtomicBool,
    is_dead: AtomicBool,
}

impl Process {
    pub fn new(world: &Arc<World>, actor: usize, may_delete: bool) -> Arc<Process> {
        let (world, compacts, is_dead) = (world.clone(), AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Process { world, actor, may_delete, compacts, is_dead })
    }
}

/// What became of the work of a process.
pub enum Ended<T> {
    With(T),
    Killed,
}

/// Runs `work` as a process that may be killed.
pub fn until_killed<T>(work: impl FnOnce() -> T) -> Ended<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(value) => Ended::With(value),
        Err(panic) if panic.is::<Killed>() => Ended::Killed,
        Err(panic) => resume_unwind(panic),
    }
}

/// The error of a call that went wrong.
pub fn error(key: &str, kind: std::io::ErrorKind) -> StorageError {
    StorageError::from_io(format!("memory://{key}"), kind.into())
}

impl World {
    pub fn new(
        chances: Chances,
        catalog: Option<Arc<MemoryCatalog>>,
        accounts: Accounts,
        fault: Option<Fault>,
        is_traced: bool,
    ) -> World {
        let Chances { seed, odds, style, page } = chances;
        let state = State {
            random: SplitMix64::stream(seed, 1),
            odds,
            style,
            ready: Vec::new(),
            ranks: Vec::new(),
            running: 0,
            step: 0,
            now: 1_772_352_000,
            changed: HashMap::new(),
            under_way: Vec::new(),
            accounts,
            counts: Counts::default(),
            hash: DefaultHasher::new(),
            lines: is_traced.then(Vec::new),
            broken: None,
        };
        World {
            state: Mutex::new(state),
            woken: Default::default(),
            lake: Arc::new(MemoryStorage::new("lake")),
            raw: Arc::new(MemoryStorage::new("raw")),
            catalog,
            page,
            fault,
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs actors side by side until each has ended.
    pub fn run(&self, actors: Vec<Box<dyn FnOnce() + Send + '_>>) {
        let mut state = self.lock();
        state.ready = (0..actors.len()).collect();
        state.ranks = (0..actors.len()).map(|_| u64::from(state.random.below(1 << 30)) + (1 << 30)).collect();
        state.running = state.choose(None);
        drop(state);
        thread::scope(|scope| {
            for (number, actor) in actors.into_iter().enumerate() {
                scope.spawn(move || {
                    drop(self.wait(self.lock(), number));
                    let ended = catch_unwind(AssertUnwindSafe(|| until_killed(actor)));
                    let mut state = self.lock();
                    if let Err(panic) = ended {
                        let text = panic.downcast_ref::<String>().cloned();
                        let text =
                            text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                        state.breaks(format!("actor {number} panicked: {}", text.unwrap_or_default()));
                    }
                    state.ready.retain(|ready| *ready != number);
                    if !state.ready.is_empty() {
                        state.running = state.choose(None);
                        self.woken[state.running].notify_one();
                    }
                });
            }
        });
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, actor: usize) -> MutexGuard<'a, State> {
        let waited = self.woken[actor].wait_while(state, |state| state.running != actor);
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the baton back, and has it again when it is this process's turn.
    pub fn turn(&self, process: &Process) -> Result<MutexGuard<'_, State>, StorageError> {
        if process.is_dead.load(Ordering::Relaxed) {
            return Err(error("", std::io::ErrorKind::BrokenPipe));
        }
        let mut state = self.lock();
        state.step += 1;
        state.now += 1;
        self.land(&mut state, 8);
        let next = state.choose(Some(process.actor));
        if next != process.actor {
            state.running = next;
            self.woken[next].notify_one();
            state = self.wait(state, process.actor);
        }
        if state.broken.is_some() {
            return Err(self.kill(state, process));
        }
        Ok(state)
    }

    /// The process ends here. The error is for what it still does while it unwinds.
    pub fn kill(&self, state: MutexGuard<'_, State>, process: &Process) -> StorageError {
        process.is_dead.store(true, Ordering::Relaxed);
        drop(state);
        if !thread::panicking() {
            resume_unwind(Box::new(Killed));
        }
        error("", std::io::ErrorKind::BrokenPipe)
    }

    /// Lets a request that nobody waits for come to its effect, in one of so many steps.
    fn land(&self, state: &mut State, one_in: u32) {
        if state.under_way.is_empty() || state.random.below(one_in) > 0 {
            return;
        }
        let which = state.random.below(state.under_way.len() as u32) as usize;
        let UnderWay { actor, key, change } = state.under_way.swap_remove(which);
        let answer = self.apply(state, actor, &key, &change);
        state.note(actor, change.name(), &key, &format!("late: {answer:?}"));
    }

    /// Everything that is still under way comes to its effect; then so many seconds pass.
    pub fn rest(&self, seconds: u64) {
        let mut state = self.lock();
        while !state.under_way.is_empty() {
            self.land(&mut state, 1);
        }
        state.now += seconds;
    }

    /// From now on nothing goes wrong.
    pub fn calm(&self) {
        self.lock().odds = Odds::default();
    }

    /// So that a request of a process goes on without it.
    pub fn send(&self, state: &mut State, actor: usize, key: &str, change: &Change) {
        state.under_way.push(UnderWay { actor, key: key.to_owned(), change: change.clone() });
    }

    /// What the schedule was: a fingerprint, and its lines if it was traced.
    pub fn trace(&self) -> (u64, Vec<String>) {
        let state = self.lock();
        (state.hash.finish(), state.lines.clone().unwrap_or_default())
    }
}

impl State {
    /// Who goes on.
    fn choose(&mut self, running: Option<usize>) -> usize {
        let anybody = |state: &mut State| {
            let index = state.random.below(state.ready.len() as u32);
            state.ready[index as usize]
        };
        match &self.style {
            Style::Random(often) => match running {
                Some(running) if self.random.below(64) >= *often => running,
                _ => anybody(self),
            },
            Style::Ranked(changes) => {
                if let Some(running) = running
                    && changes.contains(&self.step)
                {
                    self.ranks[running] = (1 << 30) - self.step;
                }
                *self.ready.iter().max_by_key(|actor| self.ranks[**actor]).expect("somebody is ready")
            }
        }
    }

    /// What becomes of a call that changes something.
    pub fn fate(&mut self) -> Fate {
        let Odds { killed, lost, late, throttled, slow } = self.odds;
        let mut drawn = self.random.below(1024);
        let fates = [
            (killed, Fate::KilledBefore),
            (lost, Fate::Lost),
            (late, Fate::Late),
            (throttled, Fate::Throttled),
            (slow, Fate::Slow),
        ];
        for (odds, fate) in fates {
            if drawn < odds {
                return match fate {
                    Fate::KilledBefore => [Fate::KilledBefore, Fate::KilledAfter, Fate::KilledLate]
                        [self.random.below(3) as usize],
                    fate => fate,
                };
            }
            drawn -= odds;
        }
        Fate::Goes
    }

    /// Whether a call that only looks goes wrong.
    pub fn is_throttled(&mut self) -> bool {
        let odds = self.odds.throttled;
        odds > 0 && self.random.below(4096) < odds
    }

    /// The clock that objects are dated by.
    pub fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.now)
    }

    /// When an object was last changed.
    pub fn modified(&self, key: &str) -> Option<SystemTime> {
        self.changed.get(key).map(|(seconds, _)| SystemTime::UNIX_EPOCH + Duration::from_secs(*seconds))
    }

    /// An object was changed now.
    pub fn touch(&mut self, key: &str) {
        self.changed.insert(key.to_owned(), (self.now, self.step));
    }

    /// One line of the trace.
    pub fn note(&mut self, actor: usize, call: &str, key: &str, outcome: &str) {
        (self.step, actor, call, key, outcome).hash(&mut self.hash);
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>5} {actor} {call:<8} {key}: {outcome}", self.step));
        }
    }

    /// The accounts do not hold: the schedule ends here.
    pub fn breaks(&mut self, why: String) {
        if self.broken.is_none() {
            self.broken = Some(why);
        }
    }
}
