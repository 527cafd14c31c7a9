//! Records one after the other: from bytes to columns and rejects.
//!
//! In comes a slice of a source with a cursor in it; the batch reads record by record until a limit is reached, the
//! bytes end, or something needs more than this slice can tell. Each record is tried on the fast path, and where that
//! is not sure, framed by [`crate::records`] and judged by [`crate::authority`]. One flattener reads one batch after the
//! other; with several threads, several batches are read side by side and appended in order.
//!
//! What must stay true: the same bytes from the same cursor give the same batch, wherever the slice around them ends:
//! nothing is concluded from bytes that have not come yet.

use crate::authority;
use crate::fast;
use crate::options::Limits;
use crate::records::{self, Broken, Scan};
use crate::reject::{Gather, Reason, Reject};
use crate::resume::Resume;
use crate::tree::{NodeId, Tree};

/// Where reading stands in a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Offset in the slice of the next byte to be looked at.
    pub(crate) at: usize,
    /// Whether a top-level array is open.
    pub(crate) in_array: bool,
}

/// Why reading stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The next record begins at or behind the limit.
    Limit,
    /// The batch is as large as a part may be.
    Full,
    /// The slice ends in or before the next record.
    NeedMore,
    /// The record at the cursor is broken, and the slice does not show where reading resumes; it was followed to the end.
    Skip { resume: Resume, reason: Reason },
}

/// What has been read so far.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) tree: Tree,
    limits: Limits,
    /// Rows and rejects.
    pub(crate) count: u64,
    /// For each row its number among the records of the batch, from 1.
    pub(crate) records: Vec<u64>,
    /// Rejects, numbered the same way, with absolute offsets; lines are not known here.
    pub(crate) rejects: Vec<Reject>,
    reject_bytes: usize,
    /// The record that turned out to be broken last.
    broken: Broken,
    /// Bytes of records that the fast path did not decide, and those looked at to find where reading goes on.
    pub(crate) scanned: u64,
}

impl Batch {
    pub(crate) fn new(tree: Tree, limits: Limits) -> Batch {
        Batch {
            tree,
            limits,
            count: 0,
            records: Vec::new(),
            rejects: Vec::new(),
            reject_bytes: 0,
            broken: Broken::NOWHERE,
            scanned: 0,
        }
    }

    /// Bytes, nodes and values looked at beside reading records.
    pub(crate) fn work(&self) -> u64 {
        self.scanned + self.tree.work
    }

    fn is_full(&self) -> bool {
        self.tree.rows() >= self.limits.part_rows
            || self.rejects.len() >= self.limits.part_rejects
            || self.reject_bytes >= self.limits.part_reject_bytes
    }

    /// Reads the records that begin before `until`. `base` is the offset of the slice in the source; `is_last` says
    /// that nothing follows it.
    pub(crate) fn read(
        &mut self,
        bytes: &[u8],
        base: u64,
        cursor: &mut Cursor,
        until: usize,
        is_last: bool,
    ) -> Stop {
        loop {
            let Some(first) = next_value(bytes, cursor) else { return Stop::NeedMore };
            if cursor.at >= until {
                return Stop::Limit;
            }
            if self.is_full() {
                return Stop::Full;
            }
            self.tree.relieve();
            let begin = cursor.at;
            if first == b'{' && !self.broken.knows(base + begin as u64) {
                self.tree.begin();
                match fast::record(&mut self.tree, bytes, begin) {
                    Ok(end) if end - begin <= self.limits.record_bytes => {
                        self.commit();
                        cursor.at = end;
                        continue;
                    }
                    _ => self.tree.roll_back(),
                }
            }
            if let Some(stop) = self.read_slowly(bytes, base, cursor, is_last) {
                return stop;
            }
        }
    }

    fn commit(&mut self) {
        self.tree.commit();
        self.count += 1;
        self.records.push(self.count);
    }

    /// Reads the value at the cursor by the rules.
    fn read_slowly(&mut self, bytes: &[u8], base: u64, cursor: &mut Cursor, is_last: bool) -> Option<Stop> {
        let begin = cursor.at;
        let most = begin.saturating_add(self.limits.record_bytes);
        let limit = bytes.len().min(most);
        let ends_here = limit == most || is_last;
        let (scan, looked_at) = self.broken.value(&bytes[..limit], base, begin, ends_here);
        let (error, reason) = match scan {
            Scan::End(end) => {
                self.scanned += looked_at as u64;
                match authority::record(&bytes[begin..end]) {
                    Ok(fields) => {
                        self.tree.begin();
                        self.tree.push_fields(NodeId::ROOT, &fields);
                        self.commit();
                    }
                    Err(reason) => self.reject(bytes, base, begin, end, reason),
                }
                cursor.at = end;
                return None;
            }
            Scan::Error(at) => (at, Reason::Syntax),
            Scan::TooDeep(at) => (at, Reason::TooDeep),
            Scan::Incomplete if limit == most => (limit, Reason::TooLarge),
            Scan::Incomplete if is_last => (limit, Reason::Truncated),
            Scan::Incomplete => return Some(Stop::NeedMore),
        };
        let mut resume = Resume::new(error - begin, cursor.in_array);
        let place = match resume.find(&bytes[begin..]) {
            Some(place) => begin + place,
            None if is_last => bytes.len(),
            None => return Some(Stop::Skip { resume, reason }),
        };
        self.scanned += looked_at.max(place - begin) as u64;
        self.reject(bytes, base, begin, place, reason);
        cursor.resume(bytes, place);
        None
    }

    fn reject(&mut self, bytes: &[u8], base: u64, begin: usize, end: usize, reason: Reason) {
        let mut gather = Gather::new(base + begin as u64, reason);
        gather.push(&bytes[begin..end]);
        self.push_reject(gather.finish());
    }

    /// Adds a reject that was gathered elsewhere.
    pub(crate) fn push_reject(&mut self, mut reject: Reject) {
        self.count += 1;
        reject.record = self.count;
        self.reject_bytes += reject.bytes.len();
        self.rejects.push(reject);
    }

    /// Appends the batch that was read from right behind this one and empties it. `false`, and nothing changed, where
    /// the two together are more than one part, or the order of their records decides what is a column.
    pub(crate) fn append(&mut self, other: &mut Batch) -> bool {
        let fits = self.tree.rows().saturating_add(other.tree.rows()) <= self.limits.part_rows
            && self.rejects.len() + other.rejects.len() <= self.limits.part_rejects
            && self.reject_bytes + other.reject_bytes < self.limits.part_reject_bytes;
        if !fits || self.tree.append(&mut other.tree).is_err() {
            return false;
        }
        let base = self.count;
        self.records.extend(other.records.drain(..).map(|record| base + record));
        self.rejects.extend(other.rejects.drain(..).map(|mut reject| {
            reject.record += base;
            reject
        }));
        self.count += std::mem::take(&mut other.count);
        self.reject_bytes += std::mem::take(&mut other.reject_bytes);
        true
    }

    /// Drops what was read, keeping what was learnt about shapes.
    pub(crate) fn clear(&mut self) {
        self.tree.clear();
        self.count = 0;
        self.records.clear();
        self.rejects.clear();
        self.reject_bytes = 0;
    }
}

impl Cursor {
    /// Goes on at `at`, where an error was left behind. A `[` there begins a new array, as [`Resume`] takes it.
    pub(crate) fn resume(&mut self, bytes: &[u8], at: usize) {
        self.at = at;
        if bytes.get(at) == Some(&b'[') {
            self.in_array = false;
        }
    }
}

/// Moves the cursor over separators and the brackets of top-level arrays; the first byte of the next value, if it is
/// there.
#[inline]
fn next_value(bytes: &[u8], cursor: &mut Cursor) -> Option<u8> {
    loop {
        let byte = *bytes.get(cursor.at)?;
        match byte {
            b'[' if !cursor.in_array => cursor.in_array = true,
            b']' if cursor.in_array => cursor.in_array = false,
            _ if records::is_separator(byte) => {}
            _ => return Some(byte),
        }
        cursor.at += 1;
    }
}
