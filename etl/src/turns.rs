//! Whose turn it is to register columns.
//!
//! Sources are read side by side, but their columns register in the order of the sources, so that the table is the
//! same however many run at once and whatever finishes first. A source that brings nothing new never waits. When a run
//! is stopped, sources behind the one that was cut short must not register either: the next run will come to them in
//! their order.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, PoisonError};

/// The order of a run's sources, by their index.
#[derive(Debug, Default)]
pub struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Every source before this one has left.
    next: usize,
    /// Sources from `next` on that have left.
    left: BTreeSet<usize>,
    is_closed: bool,
}

/// A source's place in the order; leaves when dropped.
#[derive(Debug)]
pub struct Turn<'a> {
    turns: &'a Turns,
    index: usize,
}

/// The run was stopped before it was this source's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

impl Turns {
    /// The turn of the source with this index. Every index is entered exactly once.
    pub fn enter(&self, index: usize) -> Turn<'_> {
        Turn { turns: self, index }
    }

    /// Ends all waiting: nobody registers anything any more.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // The state is consistent between any two of its changes, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// Waits until every source before this one has left.
    ///
    /// # Errors
    /// [`Closed`] if the run was stopped.
    pub fn wait(&self) -> Result<(), Closed> {
        let mut state = self.turns.lock();
        while state.next < self.index && !state.is_closed {
            state = self.turns.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_closed { Err(Closed) } else { Ok(()) }
    }

    /// Ends the run's registering behind this source, which was cut short.
    pub fn close(&self) {
        self.turns.close();
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.turns.lock();
        state.left.insert(self.index);
        while let Some(next) = state.left.pop_first() {
            if next != state.next {
                state.left.insert(next);
                break;
            }
            state.next += 1;
        }
        drop(state);
        self.turns.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_register_in_order_whatever_finishes_first() {
        let turns = Turns::default();
        let order = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for index in (0..8).rev() {
                let (turns, order) = (&turns, &order);
                scope.spawn(move || {
                    let turn = turns.enter(index);
                    turn.wait().unwrap();
                    order.lock().unwrap().push(index);
                });
            }
        });
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn behind_a_source_that_was_cut_short_nobody_registers() {
        let turns = Turns::default();
        let first = turns.enter(0);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| turns.enter(1).wait());
            first.close();
            drop(first);
            assert_eq!(waiting.join().unwrap(), Err(Closed));
        });
    }
}
