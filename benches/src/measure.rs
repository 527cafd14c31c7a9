//! Times and what is printed of them.
//!
//! Ways to do the same run in alternation, round by round, so that what else the machine does falls on all of them
//! alike; a round in front is not counted. Printed are the median and the range, never the best alone. Two ways are
//! compared round by round, because a machine that is shared may be half as fast in one round as in the next.

use std::time::{Duration, Instant};

/// What `work` gives, and how long it took. Dropping the result is not part of it.
pub fn time<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

/// The times of one way, round by round.
#[derive(Debug, Clone, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Adds the time of a round.
    pub fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The middle of the times in order.
    pub fn median(&self) -> Duration {
        self.sorted()[self.0.len() / 2]
    }

    /// What these times are of the `other` ones of the same rounds; the median of all rounds.
    pub fn ratio(&self, other: &Times) -> f64 {
        let pairs = self.0.iter().zip(&other.0);
        let mut ratios: Vec<f64> =
            pairs.map(|(mine, theirs)| mine.as_secs_f64() / theirs.as_secs_f64()).collect();
        ratios.sort_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    }

    fn sorted(&self) -> Vec<Duration> {
        let mut times = self.0.clone();
        times.sort();
        times
    }

    /// Millions of bytes per second: `median (min–max)`.
    pub fn rate(&self, bytes: usize) -> String {
        let of = |time: &Duration| bytes as f64 / time.as_secs_f64() / 1e6;
        let times = self.sorted();
        let (slowest, fastest) = (times.last().expect("a round"), &times[0]);
        format!("{:.0} ({:.0}–{:.0})", of(&self.median()), of(slowest), of(fastest))
    }
}
