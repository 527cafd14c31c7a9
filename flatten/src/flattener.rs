//! The push decoder: bytes in any chunking in, parts out.
//!
//! The flattener keeps the bytes it cannot decide about yet, reads records batch by batch, and closes a part where the
//! window of its bytes ends. With more than one thread it cuts what it holds at line starts, reads the pieces side by
//! side, and appends a piece only if the one before ended exactly where it starts; otherwise it reads it again. A
//! record that grows past its limit is not kept: its bytes are hashed as they pass, until reading can resume.
//!
//! What must stay true: parts depend on the bytes and the schema, not on how the bytes were cut into pushes, nor on
//! the number of threads; memory depends on the options, not on the source.

use std::sync::{Arc, Mutex, PoisonError};

use rayon::iter::{IntoParallelRefMutIterator, ParallelIterator};

use crate::batch::{Batch, Cursor, Stop};
use crate::options::Options;
use crate::part::Part;
use crate::records::is_separator;
use crate::reject::{Gather, Reason};
use crate::resume::Resume;
use crate::schema::Schema;
use crate::tree::Tree;

/// Bytes that are still in a core's own cache when they are read, behind being copied.
const CACHED_BYTES: usize = 256 << 10;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Turns the bytes of one source into parts.
///
/// ```
/// use std::sync::Arc;
/// use iotlake_flatten::{Contract, Flattener, Options, Schema};
///
/// let schema = Arc::new(Schema::new(Contract::default()));
/// let mut parts = Vec::new();
/// let mut sink = |part| -> Result<(), std::convert::Infallible> { parts.push(part); Ok(()) };
/// let mut flattener = Flattener::new(schema, Options::default());
/// flattener.push(b"{\"ts\":1,\"m\":{\"t\":21.5}}\n{\"ts\":2,", &mut sink)?;
/// flattener.push(b"\"m\":{\"t\":\"high\"}}\nnot json\n", &mut sink)?;
/// flattener.finish(&mut sink)?;
///
/// assert_eq!((parts[0].rows, parts[0].rejects.len()), (2, 1));
/// let columns: Vec<String> = parts[0].columns.iter().map(|column| column.identity.to_string()).collect();
/// assert_eq!(columns, ["m.t (double)", "m.t (string)", "ts (long)"]);
/// # Ok::<(), std::convert::Infallible>(())
/// ```
#[derive(Debug)]
pub struct Flattener {
    options: Options,
    part_bytes: u64,
    main: Batch,
    /// Batches for pieces that are read side by side.
    pieces: Vec<Piece>,
    /// Bytes from `base` on.
    buffer: Vec<u8>,
    base: u64,
    cursor: Cursor,
    /// Length of the buffer at which reading is worth another try.
    enough: usize,
    /// Whether a part ended within the buffer because it had enough rows or rejects: then pieces of it do not fit into
    /// parts, and reading them side by side would be in vain, again and again.
    is_dense: bool,
    skipping: Option<Skipping>,
    lines: Lines,
    /// Records in earlier parts.
    records: u64,
    /// Parts handed out.
    parts: u32,
    part_begin: u64,
    window_end: u64,
    spares: Spares,
}

/// Where parts go that are done with: their memory is used for later ones.
#[derive(Debug, Clone, Default)]
pub struct Spares(Arc<Mutex<Option<Part>>>);

/// A broken record whose end has not been seen.
#[derive(Debug)]
struct Skipping {
    gather: Gather,
    line: u64,
    resume: Resume,
}

/// Counts line feeds up to a place that only moves forward.
#[derive(Debug, Clone, Copy)]
struct Lines {
    counted_to: u64,
    line: u64,
}

#[derive(Debug)]
struct Piece {
    batch: Batch,
    begin: usize,
    until: usize,
    cursor: Cursor,
    stop: Stop,
}

impl Flattener {
    /// A flattener for one source of a table with this schema.
    ///
    /// With `options.threads` above 1 it works in rayon's current thread pool.
    pub fn new(schema: Arc<Schema>, options: Options) -> Flattener {
        let part_bytes = schema.contract().part_bytes.max(1);
        let batch = || Batch::new(Tree::new(schema.clone(), options.limits), options.limits);
        let count = if options.threads > 1 { options.threads } else { 0 };
        let start = Cursor { at: 0, in_array: false };
        let piece = || Piece { batch: batch(), begin: 0, until: 0, cursor: start, stop: Stop::NeedMore };
        let mut flattener = Flattener {
            options,
            part_bytes,
            main: batch(),
            pieces: std::iter::repeat_with(piece).take(count).collect(),
            buffer: Vec::new(),
            base: 0,
            cursor: start,
            enough: 0,
            is_dense: false,
            skipping: None,
            lines: Lines { counted_to: 0, line: 1 },
            records: 0,
            parts: 0,
            part_begin: 0,
            window_end: part_bytes,
            spares: Spares::default(),
        };
        flattener.enough = flattener.block_bytes();
        flattener
    }

    fn block_bytes(&self) -> usize {
        match self.options.threads {
            0 | 1 => self.options.chunk_bytes.clamp(1, CACHED_BYTES),
            threads => self.options.chunk_bytes.max(1) * threads,
        }
    }

    /// Where to put parts that are done with, so that later ones need no memory of their own.
    pub fn spares(&self) -> Spares {
        self.spares.clone()
    }

    /// Number of bytes pushed so far.
    pub fn position(&self) -> u64 {
        self.base + self.buffer.len() as u64
    }

    /// What was done so far beside reading each record once: what tests hold against the number of bytes.
    #[doc(hidden)]
    pub fn work(&self) -> u64 {
        let pieces: u64 = self.pieces.iter().map(|piece| piece.batch.work()).sum();
        self.main.work() + pieces
    }

    /// Takes the next bytes of the source; hands every part that they complete to `sink`.
    ///
    /// # Errors
    /// Only what `sink` returns; the flattener is of no use afterwards.
    pub fn push<E>(
        &mut self,
        mut bytes: &[u8],
        sink: &mut impl FnMut(Part) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            let room = self.enough.saturating_sub(self.buffer.len());
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() >= self.enough {
                self.read(false, sink)?;
            }
        }
        Ok(())
    }

    /// Ends the source: reads what is left and hands out the last part.
    ///
    /// # Errors
    /// Only what `sink` returns.
    pub fn finish<E>(self, sink: &mut impl FnMut(Part) -> Result<(), E>) -> Result<(), E> {
        self.finish_with(false, sink)
    }

    /// Ends a source whose bytes broke off, because what was compressed cannot be decompressed any further. What can be
    /// read is kept; the record that was cut off, or where none was, a reject without bytes, has [`Reason::Stream`].
    ///
    /// # Errors
    /// Only what `sink` returns.
    pub fn finish_broken<E>(self, sink: &mut impl FnMut(Part) -> Result<(), E>) -> Result<(), E> {
        self.finish_with(true, sink)
    }

    fn finish_with<E>(
        mut self,
        is_broken: bool,
        sink: &mut impl FnMut(Part) -> Result<(), E>,
    ) -> Result<(), E> {
        self.read(true, sink)?;
        let end = self.position();
        if let Some(skipping) = self.skipping.take() {
            self.push_gathered(skipping.gather, skipping.line);
        }
        if is_broken {
            let cut_off = self.main.rejects.last_mut();
            match cut_off
                .filter(|reject| reject.reason == Reason::Truncated && reject.offset + reject.length == end)
            {
                Some(reject) => reject.reason = Reason::Stream,
                None => self.push_gathered(Gather::new(end, Reason::Stream), self.lines.line),
            }
        } else if self.cursor.in_array {
            self.push_gathered(Gather::new(end, Reason::Truncated), self.lines.line);
        }
        self.close_part(end, sink)
    }

    fn push_gathered(&mut self, gather: Gather, line: u64) {
        let mut reject = gather.finish();
        reject.line = line;
        self.main.push_reject(reject);
    }

    /// Reads all that can be decided, then forgets the bytes that are done with.
    fn read<E>(&mut self, is_last: bool, sink: &mut impl FnMut(Part) -> Result<(), E>) -> Result<(), E> {
        if self.base == 0 && self.cursor.at == 0 && self.skipping.is_none() {
            if self.buffer.starts_with(BYTE_ORDER_MARK) {
                self.cursor.at = BYTE_ORDER_MARK.len();
            } else if BYTE_ORDER_MARK.starts_with(&self.buffer) && !is_last {
                self.enough = BYTE_ORDER_MARK.len();
                return Ok(());
            }
        }
        loop {
            if self.skipping.is_some() && !self.skip() {
                break;
            }
            match self.read_batches(is_last) {
                Stop::NeedMore => break,
                stop @ (Stop::Limit | Stop::Full) => {
                    self.is_dense |= stop == Stop::Full;
                    let begin = self.base + self.cursor.at as u64;
                    self.close_part(begin, sink)?;
                    self.window_end = (begin / self.part_bytes + 1).saturating_mul(self.part_bytes);
                }
                Stop::Skip { resume, reason } => self.begin_skip(resume, reason),
            }
        }
        self.number_lines();
        self.forget();
        Ok(())
    }

    /// Forgets the bytes in front of the cursor, and decides how many more are worth another look: twice those that
    /// were not enough, so that a record that comes in small pieces is not read again for each of them.
    fn forget(&mut self) {
        self.lines.advance(&self.buffer, self.base, self.base + self.cursor.at as u64);
        self.buffer.drain(..self.cursor.at);
        self.base += self.cursor.at as u64;
        self.cursor.at = 0;
        self.is_dense = false;
        self.enough = self.block_bytes().max(2 * self.buffer.len());
    }

    /// Reads records up to the end of the window.
    fn read_batches(&mut self, is_last: bool) -> Stop {
        let window = usize::try_from(self.window_end.saturating_sub(self.base)).unwrap_or(usize::MAX);
        let mut stop = Stop::Limit;
        let cuts = self.cut(window.min(self.buffer.len()));
        if cuts > 1 {
            let (buffer, base) = (&self.buffer[..], self.base);
            self.pieces[..cuts].par_iter_mut().for_each(|piece| {
                piece.batch.clear();
                piece.stop = piece.batch.read(buffer, base, &mut piece.cursor, piece.until, is_last);
            });
            for at in 0..cuts {
                let piece = &mut self.pieces[at];
                let begins_here = piece.begin == self.cursor.at
                    && !self.cursor.in_array
                    && matches!(piece.stop, Stop::Limit | Stop::NeedMore);
                if begins_here && self.main.append(&mut piece.batch) {
                    self.cursor = piece.cursor;
                    stop = piece.stop;
                } else {
                    let until = piece.until;
                    stop = self.main.read(&self.buffer, self.base, &mut self.cursor, until, is_last);
                }
                if stop != Stop::Limit {
                    return stop;
                }
            }
            if self.cursor.at >= window {
                return stop;
            }
        }
        self.main.read(&self.buffer, self.base, &mut self.cursor, window, is_last)
    }

    /// Cuts the bytes from the cursor to `end` at line starts into a piece for each thread; their number. Fewer than
    /// two mean that cutting is not worth it.
    fn cut(&mut self, end: usize) -> usize {
        while self.buffer.get(self.cursor.at).is_some_and(|byte| is_separator(*byte)) {
            self.cursor.at += 1;
        }
        let length = end.saturating_sub(self.cursor.at);
        // The first piece has to begin at a record for its batch to count.
        let begins = self.buffer.get(self.cursor.at) == Some(&b'{') && !self.is_dense;
        if self.pieces.is_empty() || length < self.options.chunk_bytes || !begins || self.cursor.in_array {
            return 0;
        }
        let share = length.div_ceil(self.pieces.len());
        let mut begin = self.cursor.at;
        let mut count = 0;
        while begin < end && count < self.pieces.len() {
            let until = self.line_start(begin + share, end);
            let piece = &mut self.pieces[count];
            piece.begin = begin;
            piece.until = until;
            piece.cursor = Cursor { at: begin, in_array: false };
            begin = until;
            count += 1;
        }
        count
    }

    /// The first `{` at the start of a line at or behind `from`; `end` if there is none before it.
    fn line_start(&self, from: usize, end: usize) -> usize {
        if from >= end {
            return end;
        }
        memchr::memchr_iter(b'\n', &self.buffer[from - 1..end])
            .map(|feed| from + feed)
            .find(|start| *start < end && self.buffer[*start] == b'{')
            .unwrap_or(end)
    }

    fn begin_skip(&mut self, resume: Resume, reason: Reason) {
        let begin = self.cursor.at;
        let offset = self.base + begin as u64;
        self.number_lines();
        self.lines.advance(&self.buffer, self.base, offset);
        let mut gather = Gather::new(offset, reason);
        gather.push(&self.buffer[begin..]);
        self.main.scanned += (self.buffer.len() - begin) as u64;
        self.skipping = Some(Skipping { gather, line: self.lines.line, resume });
        self.cursor.at = self.buffer.len();
    }

    /// Passes over bytes of the broken record; whether reading resumes at the cursor.
    fn skip(&mut self) -> bool {
        let skipping = self.skipping.as_mut().expect("only called while skipping");
        let rest = &self.buffer[self.cursor.at..];
        let place = skipping.resume.find(rest);
        self.main.scanned += place.unwrap_or(rest.len()) as u64;
        match place {
            Some(end) => {
                skipping.gather.push(&rest[..end]);
                let at = self.cursor.at + end;
                self.cursor.resume(&self.buffer, at);
                let Skipping { gather, line, .. } = self.skipping.take().expect("just used");
                self.push_gathered(gather, line);
                true
            }
            None => {
                skipping.gather.push(rest);
                self.cursor.at = self.buffer.len();
                false
            }
        }
    }

    /// Gives every reject the line it begins on, while its bytes are still here.
    fn number_lines(&mut self) {
        let first = self.main.rejects.iter().rposition(|reject| reject.line != 0).map_or(0, |last| last + 1);
        for reject in &mut self.main.rejects[first..] {
            self.lines.advance(&self.buffer, self.base, reject.offset);
            reject.line = self.lines.line;
        }
    }

    /// Hands out what was read since the last part, if there is a record in it. `end` is where the next part begins.
    fn close_part<E>(&mut self, end: u64, sink: &mut impl FnMut(Part) -> Result<(), E>) -> Result<(), E> {
        if self.main.count == 0 {
            return Ok(());
        }
        self.number_lines();
        let mut part = self.main.tree.take_part();
        let before = self.records;
        self.records += self.main.count;
        part.number = self.parts;
        part.span = self.part_begin..end;
        let room = Vec::with_capacity(self.main.records.len());
        part.records = std::mem::replace(&mut self.main.records, room);
        part.records.iter_mut().for_each(|record| *record += before);
        part.rejects = std::mem::take(&mut self.main.rejects);
        part.rejects.iter_mut().for_each(|reject| reject.record += before);
        self.main.clear();
        self.parts += 1;
        self.part_begin = end;
        sink(part)?;
        if let Some(mut spare) = self.spares.take() {
            spare.records.clear();
            if spare.records.capacity() >= self.main.records.capacity() {
                self.main.records = std::mem::take(&mut spare.records);
            }
            self.main.tree.reuse(spare);
        }
        Ok(())
    }
}

impl Spares {
    /// Gives the memory of a part back, from any thread and in whatever state the part is.
    pub fn give_back(&self, part: impl Into<Part>) {
        // One is enough: there is never more than one part that grows.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(part.into());
    }

    fn take(&self) -> Option<Part> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Lines {
    /// Moves on to `offset`, if that is ahead. `buffer` holds the bytes from `base` on.
    fn advance(&mut self, buffer: &[u8], base: u64, offset: u64) {
        if offset <= self.counted_to {
            return;
        }
        let from = self.counted_to.saturating_sub(base) as usize;
        let to = ((offset - base) as usize).min(buffer.len());
        self.line += memchr::memchr_iter(b'\n', &buffer[from..to]).count() as u64;
        self.counted_to = offset;
    }
}
