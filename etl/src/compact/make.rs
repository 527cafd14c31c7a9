//! From what was chosen to the files of a generation.
//!
//! In come files of sources and of the generation before; out come the outputs of the next one, put, and the accounts. What
//! must stay true: rows read = rows written + rows left out, each as the receipts and manifests say, or it is an error; a
//! row is left out only because its source is one of those that are.

use std::cell::Cell;
use std::collections::BTreeSet;

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::record_batch::RecordBatch;
use iotlake_flatten::Schema;
use iotlake_flatten::layout::SOURCE;

use super::choose::Chosen;
use super::error::CompactError;
use super::file::File;
use super::shape::{Shape, count_values};
use super::sort::{BATCH, Sorter, Stream, Twice};
use super::spill::Spills;
use super::write::Files;
use crate::generation::{Folder, GenerationOptions, Manifest};
use crate::ledger::Output;
use crate::storage::Storage;

/// What a generation is made with.
pub(super) struct Make<'a> {
    pub(super) storage: &'a dyn Storage,
    pub(super) spills: Spills,
    pub(super) table: &'a str,
    pub(super) schema: &'a Schema,
    pub(super) folder: &'a Folder,
    pub(super) options: &'a GenerationOptions,
    /// Bytes that may be used.
    pub(super) memory: usize,
}

impl Make<'_> {
    /// Writes the files of the generation behind `before`.
    pub(super) fn make(
        &self,
        before: Option<&Manifest>,
        chosen: &Chosen,
    ) -> Result<Vec<Output>, CompactError> {
        let mut old = Vec::new();
        // Where nothing stays of the generation before there is nothing to read of it.
        if let Some(before) = before.filter(|before| chosen.removed < before.rows()) {
            let mut keeps = 0;
            for output in &before.outputs {
                old.push(File::open(self.storage, output.clone(), &mut keeps)?);
            }
        }
        let all = old.iter().chain(&chosen.fresh);
        let shape = Shape::of(self.table, self.schema, &self.options.sort, all)?;
        let mut sorter = Sorter::new(&shape, &self.spills, self.memory)?;
        let mut values = vec![0; shape.schema.fields().len()];
        let (mut read, mut removed) = (0, 0);
        for file in &chosen.fresh {
            self.each(file, &mut |batch| {
                let batch = shape.adapt(self.table, file, &batch)?;
                read += batch.num_rows() as u64;
                count_values(&mut values, &batch);
                sorter.push(batch)
            })?;
        }
        // Sorted as they are, unless rows are left out or the table is sorted by something else since.
        let is_sorted = chosen.dropped.is_empty()
            && before.is_some_and(|before| before.options.sort == self.options.sort);
        let streamed = Cell::new(0);
        let mut sorted: Vec<Stream<'_>> = Vec::new();
        if is_sorted {
            for place in old.iter().flat_map(|file| columns(&shape, file)) {
                values[place] += 1;
            }
            sorted.push(self.stream(&shape, &old, &streamed));
        } else {
            for file in &old {
                self.each(file, &mut |batch| {
                    read += batch.num_rows() as u64;
                    let kept = without(&batch, &chosen.dropped)?;
                    removed += (batch.num_rows() - kept.num_rows()) as u64;
                    let batch = shape.adapt(self.table, file, &kept)?;
                    count_values(&mut values, &batch);
                    sorter.push(batch)
                })?;
            }
        }
        let places = shape.filled(&values);
        let mut files = Files::new(self.storage, self.table, self.folder, self.options, &shape, places);
        if let Err(Twice { source, record }) = sorter.finish(sorted, &mut |batch| files.push(batch))? {
            let (table, partition) = (self.table.to_owned(), self.folder.partition);
            return Err(CompactError::Twice { table, partition, source_of: source, record });
        }
        let outputs = files.finish()?;
        self.balance(before, chosen, !old.is_empty(), read + streamed.get(), removed, &outputs)?;
        Ok(outputs)
    }

    /// Checks the accounts.
    fn balance(
        &self,
        before: Option<&Manifest>,
        chosen: &Chosen,
        is_read: bool,
        read: u64,
        removed: u64,
        outputs: &[Output],
    ) -> Result<(), CompactError> {
        let written = outputs.iter().map(|output| output.rows).sum();
        // What is not read of the generation before is left out whole.
        let (left_out, unread) = match is_read {
            true => (chosen.removed, 0),
            false => (0, before.map_or(0, Manifest::rows)),
        };
        let balances = read == written + removed
            && removed == left_out
            && written == chosen.rows()
            && (is_read || unread == chosen.removed);
        if balances {
            return Ok(());
        }
        let (table, partition, expected) = (self.table.to_owned(), self.folder.partition, chosen.rows());
        Err(CompactError::Unbalanced { table, partition, read, written, removed, expected })
    }

    /// Shows the batches of a file.
    fn each(
        &self,
        file: &File,
        show: &mut dyn FnMut(RecordBatch) -> Result<(), CompactError>,
    ) -> Result<(), CompactError> {
        for batch in file.read(self.storage, &self.spills, BATCH)? {
            show(batch?)?;
        }
        Ok(())
    }

    /// The rows of files that are sorted, one file behind the other.
    fn stream<'s>(&'s self, shape: &'s Shape, files: &'s [File], rows: &'s Cell<u64>) -> Stream<'s> {
        let mut left = files.iter();
        let mut open = None;
        Box::new(move || {
            loop {
                let Some((file, reader)) = &mut open else {
                    let Some(file) = left.next() else { return Ok(None) };
                    open = Some((file, file.read(self.storage, &self.spills, BATCH)?));
                    continue;
                };
                if let Some(batch) = reader.next() {
                    let batch = shape.adapt(self.table, file, &batch?)?;
                    rows.set(rows.get() + batch.num_rows() as u64);
                    return Ok(Some(batch));
                }
                open = None;
            }
        })
    }
}

/// The places of the columns that a file has.
fn columns(shape: &Shape, file: &File) -> Vec<usize> {
    let descriptor = file.footer.file_metadata().schema_descr();
    let names = descriptor.columns().iter().map(|column| column.path().parts()[0].clone());
    names.filter_map(|name| shape.schema.index_of(&name).ok()).collect()
}

/// The rows that are of none of the sources.
fn without(batch: &RecordBatch, sources: &BTreeSet<String>) -> Result<RecordBatch, CompactError> {
    let Some(column) = batch.column_by_name(SOURCE).and_then(|column| column.as_string_opt::<i32>()) else {
        return Ok(batch.clone());
    };
    let keep: BooleanArray =
        (0..column.len()).map(|row| Some(!sources.contains(column.value(row)))).collect();
    Ok(filter_record_batch(batch, &keep)?)
}
