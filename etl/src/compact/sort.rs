//! Sorting more rows than memory holds.
//!
//! In come batches in any order, and files that are sorted already; out come batches of [`BATCH`] rows, sorted. Batches
//! gather in memory until there are as many as are allowed, are sorted and brought to the disk as a run; at the end runs
//! and sorted files are merged. If everything fits, nothing is brought to the disk. Arrow's kernels do it rather than
//! DataFusion, so that a function that compacts is as small as the one that ingests; keys are compared as bytes.
//!
//! What must stay true: what comes out depends on the rows alone, not on how much memory there was or how they came;
//! memory is that of the rows that gather, or of a batch of each run that is merged; no row twice.

use std::cmp::Ordering;

use arrow::array::{Array, AsArray};
use arrow::compute::{concat_batches, interleave_record_batch};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, Rows};

use super::error::CompactError;
use super::shape::Shape;
use super::spill::{Reading, Spills};

/// Rows of a batch that comes out, but for the last.
pub(super) const BATCH: usize = 8_192;

/// Most runs that are merged at a time; each has a batch in memory.
const FAN_IN: usize = 32;

/// Sorted batches.
pub(super) type Stream<'a> = Box<dyn FnMut() -> Result<Option<RecordBatch>, CompactError> + 'a>;

/// Takes in rows, and hands them out sorted.
pub(super) struct Sorter<'a> {
    shape: &'a Shape,
    spills: &'a Spills,
    converter: RowConverter,
    /// Bytes that may gather.
    room: usize,
    gathered: Vec<RecordBatch>,
    /// Small batches, to be made one.
    small: Vec<RecordBatch>,
    bytes: usize,
    runs: Vec<Reading>,
}

impl<'a> Sorter<'a> {
    /// Sorts rows of this shape within about `memory` bytes.
    pub(super) fn new(
        shape: &'a Shape,
        spills: &'a Spills,
        memory: usize,
    ) -> Result<Sorter<'a>, CompactError> {
        let converter = shape.converter()?;
        // Beside the rows that gather there are their keys, and a batch on its way to the disk.
        let room = memory / 3;
        Ok(Sorter {
            shape,
            spills,
            converter,
            room,
            gathered: Vec::new(),
            small: Vec::new(),
            bytes: 0,
            runs: Vec::new(),
        })
    }

    /// Takes in the rows of a batch.
    pub(super) fn push(&mut self, batch: RecordBatch) -> Result<(), CompactError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.bytes += size_of(&batch);
        self.small.push(batch);
        if self.small.iter().map(RecordBatch::num_rows).sum::<usize>() >= BATCH {
            self.join()?;
        }
        if self.bytes >= self.room {
            self.spill()?;
        }
        Ok(())
    }

    /// Brings what has gathered to the disk.
    fn spill(&mut self) -> Result<(), CompactError> {
        self.join()?;
        if !self.gathered.is_empty() {
            let rows = self.batch_rows();
            let mut sorted = self.take_sorted()?;
            let run = write_run(self.shape, self.spills, &mut || sorted(rows))?;
            self.runs.push(run);
        }
        Ok(())
    }

    /// Makes one batch of the small ones.
    fn join(&mut self) -> Result<(), CompactError> {
        if !self.small.is_empty() {
            let joined = concat_batches(&self.shape.schema, &self.small)?;
            self.bytes -= self.small.iter().map(size_of).sum::<usize>();
            self.bytes += size_of(&joined);
            self.small.clear();
            self.gathered.push(joined);
        }
        Ok(())
    }

    /// Rows of a batch of a run: as many runs as are merged at a time have one each in the room.
    fn batch_rows(&self) -> usize {
        let rows: usize = self.gathered.iter().map(RecordBatch::num_rows).sum();
        let of_row = (self.bytes / rows.max(1)).max(1);
        (self.room / (2 * FAN_IN) / of_row).clamp(16, BATCH)
    }

    /// What has gathered, sorted, in batches of the size that is asked for.
    #[allow(clippy::type_complexity, reason = "it has no name but what it is")]
    fn take_sorted(
        &mut self,
    ) -> Result<Box<dyn FnMut(usize) -> Result<Option<RecordBatch>, CompactError>>, CompactError> {
        let batches = std::mem::take(&mut self.gathered);
        self.bytes = 0;
        let mut keys: Vec<Rows> = Vec::with_capacity(batches.len());
        for batch in &batches {
            keys.push(self.shape.rows(&self.converter, batch)?);
        }
        let mut order: Vec<(usize, usize)> = Vec::new();
        for (place, batch) in batches.iter().enumerate() {
            order.extend((0..batch.num_rows()).map(|row| (place, row)));
        }
        order.sort_unstable_by(|a, b| keys[a.0].row(a.1).cmp(&keys[b.0].row(b.1)));
        drop(keys);
        let mut at = 0;
        Ok(Box::new(move |rows| {
            let some = &order[at..order.len().min(at + rows)];
            at += some.len();
            if some.is_empty() {
                return Ok(None);
            }
            let batches: Vec<&RecordBatch> = batches.iter().collect();
            Ok(Some(interleave_record_batch(&batches, some)?))
        }))
    }

    /// Hands out all rows, those of `sorted` among them, in batches of [`BATCH`].
    ///
    /// Ends with [`Twice`] if a record is there twice.
    pub(super) fn finish(
        mut self,
        sorted: Vec<Stream<'a>>,
        emit: &mut dyn FnMut(&RecordBatch) -> Result<(), CompactError>,
    ) -> Result<Result<(), Twice>, CompactError> {
        self.join()?;
        // Memory is then for the file that is written.
        if !self.runs.is_empty() {
            self.spill()?;
        }
        let mut streams: Vec<Stream<'a>> = Vec::new();
        while self.runs.len() + sorted.len() > FAN_IN && self.runs.len() > 1 {
            let some: Vec<_> = self.runs.drain(..self.runs.len().min(FAN_IN)).collect();
            let some = some.into_iter().map(|mut run| Box::new(move || run.next()) as Stream<'_>).collect();
            let mut merge = Merge::new(self.shape, some)?;
            let rows = merge.batch_rows;
            let run = write_run(self.shape, self.spills, &mut || merge.next(rows))?;
            if let Some(twice) = merge.twice {
                return Ok(Err(twice));
            }
            self.runs.push(run);
        }
        if !self.gathered.is_empty() {
            let mut last = self.take_sorted()?;
            streams.push(Box::new(move || last(BATCH)));
        }
        streams.extend(self.runs.into_iter().map(|mut run| Box::new(move || run.next()) as Stream<'a>));
        streams.extend(sorted);
        let mut merge = Merge::new(self.shape, streams)?;
        while let Some(batch) = merge.next(BATCH)? {
            emit(&batch)?;
        }
        Ok(merge.twice.map_or(Ok(()), Err))
    }
}

/// A record that is a row twice.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Twice {
    pub(super) source: String,
    pub(super) record: i64,
}

/// Bytes of a batch: of a slice, those of the slice.
fn size_of(batch: &RecordBatch) -> usize {
    let of = |column: &dyn Array| column.to_data().get_slice_memory_size().unwrap_or_default();
    batch.columns().iter().map(|column| of(column)).sum()
}

fn write_run(
    shape: &Shape,
    spills: &Spills,
    next: &mut dyn FnMut() -> Result<Option<RecordBatch>, CompactError>,
) -> Result<Reading, CompactError> {
    let mut run = spills.begin(&shape.schema)?;
    while let Some(batch) = next()? {
        run.push(&batch)?;
    }
    run.finish()
}

/// One of the streams that are merged.
struct Cursor<'a> {
    stream: Stream<'a>,
    keys: Rows,
    /// The place of its batch among those in use.
    batch: usize,
    row: usize,
}

/// Sorted streams as one.
struct Merge<'a> {
    shape: &'a Shape,
    converter: RowConverter,
    /// Streams with rows left, the one with the least row first: a heap.
    heap: Vec<Cursor<'a>>,
    /// Batches that rows of the next one come from.
    batches: Vec<RecordBatch>,
    /// The key of the row before.
    last: Vec<u8>,
    batch_rows: usize,
    twice: Option<Twice>,
}

impl<'a> Merge<'a> {
    fn new(shape: &'a Shape, streams: Vec<Stream<'a>>) -> Result<Merge<'a>, CompactError> {
        let converter = shape.converter()?;
        let mut merge = Merge {
            shape,
            converter,
            heap: Vec::new(),
            batches: Vec::new(),
            last: Vec::new(),
            batch_rows: BATCH,
            twice: None,
        };
        for mut stream in streams {
            if let Some(batch) = next_of(&mut stream)? {
                merge.batch_rows = merge.batch_rows.min(batch.num_rows());
                let keys = shape.rows(&merge.converter, &batch)?;
                merge.batches.push(batch);
                merge.heap.push(Cursor { stream, keys, batch: merge.batches.len() - 1, row: 0 });
            }
        }
        for place in (0..merge.heap.len() / 2).rev() {
            merge.sink(place);
        }
        Ok(merge)
    }

    /// The next `rows` rows, fewer at the end; `None` behind it, and once a row was there twice.
    fn next(&mut self, rows: usize) -> Result<Option<RecordBatch>, CompactError> {
        let mut order = Vec::with_capacity(rows);
        while order.len() < rows && !self.heap.is_empty() {
            let cursor = &mut self.heap[0];
            let key = cursor.keys.row(cursor.row);
            if self.last == key.as_ref() {
                self.twice = Some(twice(self.shape, &self.batches[cursor.batch], cursor.row));
                return Ok(None);
            }
            self.last.clear();
            self.last.extend_from_slice(key.as_ref());
            order.push((cursor.batch, cursor.row));
            cursor.row += 1;
            if cursor.row == cursor.keys.num_rows() {
                match next_of(&mut cursor.stream)? {
                    Some(batch) => {
                        (cursor.keys, cursor.row) = (self.shape.rows(&self.converter, &batch)?, 0);
                        cursor.batch = self.batches.len();
                        self.batches.push(batch);
                    }
                    None => {
                        self.heap.swap_remove(0);
                    }
                }
            }
            self.sink(0);
        }
        if order.is_empty() {
            return Ok(None);
        }
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        let merged = interleave_record_batch(&batches, &order)?;
        // Only what still has rows to come is kept.
        let old = std::mem::take(&mut self.batches);
        for cursor in &mut self.heap {
            self.batches.push(old[cursor.batch].clone());
            cursor.batch = self.batches.len() - 1;
        }
        Ok(Some(merged))
    }

    /// Lets the stream at `place` of the heap sink to where it belongs.
    fn sink(&mut self, mut place: usize) {
        let less =
            |a: &Cursor<'_>, b: &Cursor<'_>| a.keys.row(a.row).cmp(&b.keys.row(b.row)) == Ordering::Less;
        loop {
            let mut least = place;
            for child in [2 * place + 1, 2 * place + 2] {
                if child < self.heap.len() && less(&self.heap[child], &self.heap[least]) {
                    least = child;
                }
            }
            if least == place {
                return;
            }
            self.heap.swap(place, least);
            place = least;
        }
    }
}

/// The next batch with rows.
fn next_of(stream: &mut Stream<'_>) -> Result<Option<RecordBatch>, CompactError> {
    loop {
        match stream()? {
            Some(batch) if batch.num_rows() == 0 => {}
            next => return Ok(next),
        }
    }
}

fn twice(shape: &Shape, batch: &RecordBatch, row: usize) -> Twice {
    let [.., source, record] = shape.keys[..] else {
        unreachable!("rows are sorted by source and record last")
    };
    let source = batch.column(source).as_string::<i32>().value(row).to_owned();
    Twice { source, record: batch.column(record).as_primitive::<Int64Type>().value(row) }
}
