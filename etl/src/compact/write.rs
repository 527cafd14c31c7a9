//! Sorted rows as the files of a generation.
//!
//! In come batches of equal size; out come files of up to so many bytes, put as they are full. What must stay true: the
//! bytes of files are a function of the rows, of the schema of the table and of the options.

use std::sync::Arc;

use arrow::datatypes::{Schema as ArrowSchema, SchemaRef};
use arrow::record_batch::RecordBatch;
use iotlake_flatten::layout::{LAYOUT, metadata};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::error::CompactError;
use super::shape::Shape;
use crate::digest::Digest;
use crate::generation::{Folder, GenerationOptions, Generations};
use crate::ledger::Output;
use crate::storage::{Put, Storage, StorageError};

/// Most rows of a row group.
const GROUP_ROWS: usize = 1 << 20;

/// About the most bytes of a row group: until it ends it is in memory beside the file that it is to be part of.
const GROUP_BYTES: usize = 32 << 20;

/// What the last batch and the footer may add to a file that is not full yet, as a fraction of it.
const SLACK: u64 = 16;

/// How often a value that is not there is taken for one that may be, in the filter of the first column that rows are
/// sorted by.
const FALSE_POSITIVES: f64 = 0.01;

/// Writes the files of a generation.
pub(super) struct Files<'a> {
    storage: &'a dyn Storage,
    table: &'a str,
    folder: &'a Folder,
    limit: u64,
    /// Asked for at once, and not taken before it is needed: to grow would take it twice.
    capacity: usize,
    schema: SchemaRef,
    /// The places of its columns in the batches that come.
    places: Vec<usize>,
    properties: WriterProperties,
    writer: Option<ArrowWriter<Vec<u8>>>,
    rows: u64,
    outputs: Vec<Output>,
}

impl<'a> Files<'a> {
    /// Files in `folder`, with the columns of `shape` at `places`.
    pub(super) fn new(
        storage: &'a dyn Storage,
        table: &'a str,
        folder: &'a Folder,
        options: &GenerationOptions,
        shape: &Shape,
        places: Vec<usize>,
    ) -> Files<'a> {
        let fields: Vec<_> = places.iter().map(|place| shape.schema.fields()[*place].clone()).collect();
        let schema = Arc::new(ArrowSchema::new(fields));
        let has = |name: &str| schema.index_of(name).is_ok();
        let own: Vec<_> = shape.own.iter().filter(|column| has(&column.name)).collect();
        let manifest = Generations::manifest_key(table, folder.partition, folder.number);
        let said = [
            (metadata::LAYOUT, LAYOUT.to_string()),
            (metadata::GENERATION, manifest),
            (metadata::COLUMNS, serde_json::to_string(&own).expect("columns are JSON")),
        ];
        let codec = match &*options.compression {
            "zstd" => Compression::ZSTD(ZstdLevel::try_new(1).expect("1 is a level")),
            _ => Compression::SNAPPY,
        };
        let sorted: Vec<usize> =
            shape.keys.iter().filter_map(|key| places.iter().position(|place| place == key)).collect();
        let sorting =
            |place: &usize| SortingColumn { column_idx: *place as i32, descending: false, nulls_first: true };
        let mut properties = WriterProperties::builder()
            .set_created_by(format!("iotlake layout {LAYOUT}"))
            .set_compression(codec)
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_sorting_columns(Some(sorted.iter().map(sorting).collect()))
            .set_key_value_metadata(Some(
                said.into_iter().map(|(key, value)| KeyValue::new(key.to_owned(), value)).collect(),
            ));
        // Behind the table's own paths stand source and record.
        if sorted.len() > 2 {
            let column = ColumnPath::new(vec![schema.field(sorted[0]).name().clone()]);
            properties = properties
                .set_column_bloom_filter_enabled(column.clone(), true)
                .set_column_bloom_filter_fpp(column, FALSE_POSITIVES);
        }
        let limit = options.file_bytes - options.file_bytes / SLACK;
        let properties = properties.build();
        let (capacity, outputs) = (usize::try_from(options.file_bytes).unwrap_or_default(), Vec::new());
        Files {
            storage,
            table,
            folder,
            limit,
            capacity,
            schema,
            places,
            properties,
            writer: None,
            rows: 0,
            outputs,
        }
    }

    /// Appends the rows of a batch.
    pub(super) fn push(&mut self, batch: &RecordBatch) -> Result<(), CompactError> {
        let columns = self.places.iter().map(|place| batch.column(*place).clone()).collect();
        let batch = RecordBatch::try_new(self.schema.clone(), columns)?;
        let uri = || self.storage.uri(&self.folder.key(self.table, self.outputs.len()));
        let failed = |source: ParquetError| CompactError::Parquet { uri: uri(), source };
        let writer = match &mut self.writer {
            Some(writer) => writer,
            empty => {
                let options = ArrowWriterOptions::new()
                    .with_properties(self.properties.clone())
                    .with_skip_arrow_metadata(true);
                let options = options.with_schema_root("record".to_owned());
                let writer = ArrowWriter::try_new_with_options(
                    Vec::with_capacity(self.capacity),
                    self.schema.clone(),
                    options,
                );
                empty.insert(writer.map_err(failed)?)
            }
        };
        writer.write(&batch).map_err(failed)?;
        self.rows += batch.num_rows() as u64;
        if writer.in_progress_size() >= GROUP_BYTES {
            writer.flush().map_err(failed)?;
        }
        if (writer.bytes_written() + writer.in_progress_size()) as u64 >= self.limit {
            self.close()?;
        }
        Ok(())
    }

    /// Puts the file that is open.
    fn close(&mut self) -> Result<(), CompactError> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let key = self.folder.key(self.table, self.outputs.len());
        let uri = || self.storage.uri(&key);
        let bytes = writer.into_inner().map_err(|source| CompactError::Parquet { uri: uri(), source })?;
        let digest = Digest::of(&bytes);
        if self.storage.put_if_absent(&key, &bytes)? == Put::AlreadyThere {
            // Of a twin that has lost its number meanwhile, and removed what it made.
            let gone = || StorageError::NotFound { uri: uri() };
            if self.storage.read(&key)?.ok_or_else(gone)? != bytes {
                return Err(CompactError::Conflict { uri: uri() });
            }
        }
        let rows = std::mem::take(&mut self.rows);
        self.outputs.push(Output { key, bytes: bytes.len() as u64, rows, digest });
        Ok(())
    }

    /// The files that were put.
    pub(super) fn finish(mut self) -> Result<Vec<Output>, CompactError> {
        self.close()?;
        Ok(self.outputs)
    }
}
