//! What one invocation can take on: memory for objects side by side, and time for each.
//!
//! In come the function's memory, the deadline and the size of an object; out comes how much of the memory it is given
//! and whether it can be done in the time left. An object that needs more time than a whole invocation has is told
//! from one that only came too late in this one: the first never succeeds here, the second does when it is delivered
//! again.
//!
//! What must stay true: nothing is begun that is not expected to end before the deadline, so that the time of a batch
//! is spent on what succeeds; an estimate errs on the slow side until it has been measured.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What the process takes beside its objects, in MiB.
const BASE_MIB: u32 = 48;

/// The least an object takes, in MiB: buffers of its reader, parser and columns.
const LEAST_MIB: u32 = 8;

/// The most an object takes, in MiB: one part decoded into columns and encoded beside the next. Measured on the kit's
/// messages with parts of 64 MiB (`make slow`), and half as much again.
const MOST_MIB: u32 = 192;

/// What a stored byte takes in memory, as columns and as a file, until the bound of a part is reached. Compressed
/// objects decode to about eight times their size.
const PER_BYTE: u64 = 4;
const PER_COMPRESSED_BYTE: u64 = 16;

/// The memory at which a function has one vCPU:
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>.
const ONE_VCPU_MIB: u32 = 1769;

/// Stored bytes a second and vCPU until something was measured: compressed messages over a slow connection.
const ASSUMED_RATE: u64 = 10 << 20;

/// Objects below this tell more about round trips than about throughput, in bytes.
const TELLING: u64 = 1 << 20;

/// What an object costs beside its bytes: its requests.
const ROUND_TRIPS: Duration = Duration::from_millis(500);

/// The share of a whole invocation that an object may be expected to take.
const SHARE: f64 = 0.9;

/// Whether an object can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// In the time left.
    Now,
    /// In a new invocation, not in what is left of this one.
    Later,
    /// Not even in a whole invocation.
    Never,
}

/// Memory and speed of the function.
#[derive(Debug)]
pub struct Budget {
    memory_mib: u32,
    /// Stored bytes a second that can be counted on before anything was measured.
    assumed: u64,
    /// Stored bytes a second as measured, 0 until something was.
    measured: AtomicU64,
}

impl Budget {
    /// The budget of a function with so much memory.
    pub fn new(memory_mib: u32) -> Budget {
        let share = (f64::from(memory_mib) / f64::from(ONE_VCPU_MIB)).min(1.0);
        let assumed = (ASSUMED_RATE as f64 * share).max(1.0) as u64;
        Budget { memory_mib, assumed, measured: AtomicU64::new(0) }
    }

    /// The memory that objects share, in MiB. At least one of them fits, however small the function is.
    pub fn memory_mib(&self) -> u32 {
        self.memory_mib.saturating_sub(BASE_MIB).max(LEAST_MIB)
    }

    /// What an object of `size` stored bytes is given of it, in MiB. Compression is told by the name alone, for this
    /// comes before the first byte.
    pub fn share_mib(&self, key: &str, size: u64) -> u32 {
        let is_compressed = [".gz", ".zst", ".gzip", ".zstd"].iter().any(|end| key.ends_with(end));
        let per_byte = if is_compressed { PER_COMPRESSED_BYTE } else { PER_BYTE };
        let need = (size.saturating_mul(per_byte) >> 20).min(u64::from(MOST_MIB)) as u32;
        (LEAST_MIB + need).min(MOST_MIB).min(self.memory_mib())
    }

    /// Whether an object can be done, with `left` of an invocation of `whole` length.
    pub fn verdict(&self, size: u64, left: Duration, whole: Duration) -> Verdict {
        let need = self.need(size);
        if need > whole.mul_f64(SHARE) {
            Verdict::Never
        } else if need > left {
            Verdict::Later
        } else {
            Verdict::Now
        }
    }

    /// How long an object is expected to take.
    pub fn need(&self, size: u64) -> Duration {
        let rate = self.measured.load(Ordering::Relaxed).max(self.assumed);
        ROUND_TRIPS + Duration::from_secs_f64(size as f64 / rate as f64)
    }

    /// Learns how long an object took. A slow one counts at once and a fast one by and by; but one that was held up does
    /// not make the function refuse its successors: what was assumed stays the least.
    pub fn learn(&self, size: u64, took: Duration) {
        if size < TELLING || took.is_zero() {
            return;
        }
        let rate = (size as f64 / took.as_secs_f64()) as u64;
        let known = self.measured.load(Ordering::Relaxed);
        let new = if known == 0 || rate < known { rate } else { (3 * known + rate) / 4 };
        self.measured.store(new, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn small_objects_share_the_memory_and_a_large_one_has_its_bound() {
        let budget = Budget::new(512);
        assert_eq!(budget.share_mib("a", 0), 8);
        assert_eq!(budget.share_mib("a", 5 << 20), 28);
        assert_eq!(budget.share_mib("a.gz", 5 << 20), 88);
        assert_eq!(budget.share_mib("a", u64::MAX), 192);
        // Even the smallest function takes one object at a time.
        let small = Budget::new(128);
        assert_eq!(small.share_mib("a", u64::MAX), small.memory_mib());
    }

    #[test]
    fn too_late_is_not_too_large() {
        let budget = Budget::new(1769);
        assert_eq!(budget.verdict(100 << 20, MINUTE, MINUTE), Verdict::Now);
        assert_eq!(budget.verdict(100 << 20, Duration::from_secs(5), MINUTE), Verdict::Later);
        assert_eq!(budget.verdict(1 << 30, MINUTE, MINUTE), Verdict::Never);
        // A quarter of the memory has a quarter of the speed.
        assert_eq!(Budget::new(442).verdict(200 << 20, MINUTE, MINUTE), Verdict::Never);
    }

    #[test]
    fn what_was_measured_replaces_what_was_assumed() {
        let budget = Budget::new(1769);
        budget.learn(1000, Duration::from_secs(1));
        assert_eq!(budget.verdict(1 << 30, MINUTE, MINUTE), Verdict::Never, "small objects tell nothing");
        budget.learn(100 << 20, Duration::from_secs(1));
        assert_eq!(budget.verdict(1 << 30, MINUTE, MINUTE), Verdict::Now);
        budget.learn(15 << 20, Duration::from_secs(1));
        assert_eq!(budget.verdict(1 << 30, MINUTE, MINUTE), Verdict::Never, "a slow one counts at once");
        budget.learn(2 << 20, Duration::from_secs(600));
        assert_eq!(budget.verdict(100 << 20, MINUTE, MINUTE), Verdict::Now, "one that was held up does not");
    }
}
