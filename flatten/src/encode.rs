//! From the columns of a part to the bytes of a Parquet file.
//!
//! In come a settled part, the schema of its table and what the file shall say about itself; out come the bytes of one
//! file with one row group: `_source`, `_record`, `_overflow` where it is needed, then the part's columns in the table's
//! order. The content of pages is ours ([`chunk`]), since what a part knows about its columns saves more than half of the
//! work; headers, footer and codecs are those of libraries.
//!
//! What must stay true: the bytes are a function of the arguments and of [`LAYOUT`] alone; only encodings and codecs
//! that Athena, Redshift Spectrum and Spark read. If you change what comes out, or take a version of `parquet` that
//! does, raise [`LAYOUT`]: the golden files in `tests/it` show when that is due.

mod bits;
mod chunk;
mod dictionary;
mod file;
mod index;
mod stretches;
mod summary;

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema as ArrowSchema};
use parquet::arrow::{ArrowSchemaConverter, PARQUET_FIELD_ID_META_KEY};
use parquet::basic::{self, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnDescPtr;
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};

use crate::column::{Cells, Texts, Values};
use crate::layout::{self, ColumnType, EngineColumn, LAYOUT, metadata};
use crate::naming;
use crate::part::{Part, SettledPart};
use crate::path::Kind;
use crate::reject::Reject;
use crate::schema::{Schema, TableColumn};
use chunk::{Chunk, Column, Content, PAGE_BYTES, PAGE_ROWS, Scattered, Scratch};
use stretches::Stretches;

pub use file::FileWriter;
pub use summary::{Bound, ColumnSummary, EncodedFile};

/// How pages are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Read by everything; the default.
    #[default]
    Snappy,
    /// Smaller; not read by Redshift Spectrum.
    Zstd,
}

/// Within a few percent of level 3 on columns, at half the time.
const ZSTD_LEVEL: i32 = 1;

impl Compression {
    /// The word on command lines and in receipts.
    pub fn word(self) -> &'static str {
        match self {
            Compression::Snappy => "snappy",
            Compression::Zstd => "zstd",
        }
    }

    fn codec(self) -> basic::Compression {
        match self {
            Compression::Snappy => basic::Compression::SNAPPY,
            Compression::Zstd => {
                basic::Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL).expect("1 is a level"))
            }
        }
    }
}

/// What a file says about itself, and how it is written.
#[derive(Debug, Clone, Copy)]
pub struct Encoder<'a> {
    /// Identity of the source.
    pub source: &'a str,
    /// The options of the run, as they stand in the receipt.
    pub options: &'a str,
    /// The key of the receipt that the source will have, if it is to have one.
    pub receipt: Option<&'a str>,
    /// How pages are compressed.
    pub compression: Compression,
    /// Whether columns are encoded side by side, in rayon's current thread pool. The bytes are the same.
    pub parallel: bool,
}

/// A file could not be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// A column of the part is not one of the table: the part was settled against another schema.
    #[error("column {0} is not in the table")]
    NotRegistered(crate::Identity),
    /// The Parquet writer failed.
    #[error("cannot write Parquet")]
    Parquet(#[from] ParquetError),
}

impl Encoder<'_> {
    /// The file of a settled part.
    ///
    /// # Errors
    /// [`EncodeError::NotRegistered`] if a column is not in `schema`.
    pub fn encode(&self, part: &SettledPart, schema: &Schema) -> Result<EncodedFile, EncodeError> {
        self.encode_rows(part, std::slice::from_ref(&(0..part.rows)), schema)
    }

    /// The file of some of the rows of a settled part: those in `stretches`, which ascend and do not overlap. Columns
    /// without a value in these rows are not in the file.
    ///
    /// # Errors
    /// [`EncodeError::NotRegistered`] if a column is not in `schema`.
    pub fn encode_rows(
        &self,
        part: &SettledPart,
        stretches: &[Range<u32>],
        schema: &Schema,
    ) -> Result<EncodedFile, EncodeError> {
        let records = stretches.iter().flat_map(|rows| &part.records[rows.start as usize..rows.end as usize]);
        let stretches = &Stretches::new(stretches);
        let mut ready = self.lineage(records.map(|record| *record as i64));
        if let Some(cells) = part.overflow() {
            ready.extend(Source::of_rows(overflow, cells, Kind::Json, stretches));
        }
        let mut columns = Vec::with_capacity(part.columns.len());
        for column in &part.columns {
            let place = schema.place(&column.identity);
            let place = place.ok_or_else(|| EncodeError::NotRegistered(column.identity.clone()))?;
            columns.push((place, column));
        }
        columns.sort_by_key(|(place, _)| *place);
        let mut described = Vec::with_capacity(columns.len());
        for (place, column) in columns {
            let of_table = &schema.columns()[place];
            let kind = column.identity.kind;
            if let Some(column) = Source::of_rows(|| of_own(of_table), &column.cells, kind, stretches) {
                described.push(of_table);
                ready.push(column);
            }
        }
        let described = serde_json::to_string(&described).expect("columns are JSON");
        self.write(part, &ready, stretches.count(), described)
    }

    /// The file of the rejects of a part, with the columns of [`layout::REJECTS`].
    ///
    /// # Errors
    /// If the Parquet writer fails.
    pub fn encode_rejects(&self, part: &SettledPart) -> Result<EncodedFile, EncodeError> {
        self.write(part, &self.reject_columns(part), part.rejects.len(), "[]".to_owned())
    }

    fn reject_columns(&self, part: &Part) -> Vec<Source<'_>> {
        let rejects = &part.rejects;
        let long = |column, value: fn(&Reject) -> u64| {
            let values = rejects.iter().map(|reject| value(reject) as i64).collect();
            Source::required(column, Content::Longs(Cow::Owned(values)))
        };
        fn texts(texts: Texts) -> Content<'static> {
            let places = 0..texts.len();
            Content::Texts(Cow::Owned(texts), places)
        }
        let mut reasons = Texts::default();
        rejects.iter().for_each(|reject| reasons.push(reject.reason.code().as_bytes()));
        let mut digests = Texts::default();
        rejects.iter().for_each(|reject| digests.push(naming::hexadecimal(&reject.sha256).as_bytes()));
        let mut kept = Texts::default();
        rejects.iter().for_each(|reject| kept.push(&reject.bytes));
        let [_, _, offset, length, line, reason, sha256, bytes] = &layout::REJECTS;
        let mut ready = self.lineage(rejects.iter().map(|reject| reject.record as i64));
        ready.extend([
            long(offset, |reject| reject.offset),
            long(length, |reject| reject.length),
            long(line, |reject| reject.line),
            Source::required(reason, texts(reasons)),
            Source::required(sha256, texts(digests)),
            Source::required(bytes, texts(kept)),
        ]);
        ready
    }

    /// `_source` and `_record`.
    fn lineage(&self, records: impl Iterator<Item = i64>) -> Vec<Source<'_>> {
        let [source, record, _] = &layout::ENGINE;
        vec![
            Source::required(source, Content::Constant(self.source)),
            Source::required(record, Content::Longs(records.collect())),
        ]
    }

    fn write(
        &self,
        part: &Part,
        columns: &[Source<'_>],
        rows: usize,
        described: String,
    ) -> Result<EncodedFile, EncodeError> {
        let part_and_span = [
            (metadata::PART, part.number.to_string()),
            (metadata::SPAN, format!("{}-{}", part.span.start, part.span.end)),
        ];
        let fields = columns.iter().map(|column| column.field().clone()).collect();
        let mut bytes = Vec::new();
        let mut file = self.open(&mut bytes, fields, &part_and_span, described)?;
        self.write_row_group(&mut file, columns, rows, has_pages(columns, rows))?;
        let columns = ColumnSummary::of_footer(&file.close()?);
        Ok(EncodedFile { bytes, rows: rows as u64, columns })
    }

    /// Begins a file, whose own columns are `described`; `more` is what only a file of one part says of itself.
    fn open<W: Write + Send>(
        &self,
        out: W,
        fields: Vec<Arc<Field>>,
        more: &[(&str, String)],
        described: String,
    ) -> Result<SerializedFileWriter<W>, EncodeError> {
        let schema = ArrowSchemaConverter::new().schema_root("record").convert(&ArrowSchema::new(fields))?;
        let pair = |key: &str, value: &str| KeyValue::new(key.to_owned(), value.to_owned());
        let mut metadata = vec![pair(metadata::SOURCE, self.source)];
        metadata.extend(more.iter().map(|(key, value)| pair(key, value)));
        metadata.push(pair(metadata::LAYOUT, &LAYOUT.to_string()));
        metadata.push(pair(metadata::OPTIONS, self.options));
        metadata.extend(self.receipt.map(|key| pair(metadata::RECEIPT, key)));
        metadata.push(pair(metadata::COLUMNS, &described));
        let properties = WriterProperties::builder()
            .set_created_by(format!("iotlake layout {LAYOUT}"))
            // Statistics by page, so that the writer keeps the indexes that come with chunks.
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_key_value_metadata(Some(metadata));
        Ok(SerializedFileWriter::new(out, schema.root_schema_ptr(), Arc::new(properties.build()))?)
    }

    /// Appends columns, those of the file in its order, as a row group; with page indexes if `is_indexed`.
    fn write_row_group<W: Write + Send>(
        &self,
        file: &mut SerializedFileWriter<W>,
        columns: &[Source<'_>],
        rows: usize,
        is_indexed: bool,
    ) -> Result<(), EncodeError> {
        let descriptors: Vec<_> = (0..columns.len()).map(|at| file.schema_descr().column(at)).collect();
        let codec = self.compression.codec();
        let mut group = file.next_row_group()?;
        let mut append = |chunk: Chunk| Ok::<_, EncodeError>(group.append_column(&chunk.0, chunk.1)?);
        if self.parallel {
            let chunks: Vec<Result<Chunk, EncodeError>> = columns
                .par_iter()
                .zip(&descriptors)
                .map_init(
                    || Scratch::new(self.compression),
                    |scratch, (column, descriptor)| match scratch {
                        Ok(scratch) => column.write(rows, is_indexed, descriptor.clone(), codec, scratch),
                        Err(error) => Err(ParquetError::General(error.to_string()).into()),
                    },
                )
                .collect();
            for chunk in chunks {
                append(chunk?)?;
            }
        } else {
            let mut scratch = Scratch::new(self.compression)?;
            for (column, descriptor) in columns.iter().zip(descriptors) {
                append(column.write(rows, is_indexed, descriptor, codec, &mut scratch)?)?;
            }
        }
        group.close()?;
        Ok(())
    }
}

/// Whether columns of so many rows have more than a page each, or one has so much text that it may have. The indexes of
/// pages say no more than the statistics of a column where there is one page, and would be a tenth of a small file.
fn has_pages(columns: &[Source<'_>], rows: usize) -> bool {
    rows > PAGE_ROWS || columns.iter().any(|column| column.text_bytes() > PAGE_BYTES)
}

/// What becomes a column of a file.
enum Source<'a> {
    Ready(Column<'a>),
    Scattered(Scattered<'a>),
}

impl<'a> Source<'a> {
    /// A column in which every row has a value.
    fn required(column: &EngineColumn, values: Content<'a>) -> Source<'a> {
        Source::Ready(Column { field: of_engine(column), rows: None, first_row: 0, values })
    }

    /// A column of a table.
    fn of_cells(field: Arc<Field>, cells: &'a Cells) -> Source<'a> {
        Source::Ready(Column::of_range(field, cells, 0..cells.len(), 0))
    }

    /// The same for some of its rows, if it has a value in one of them.
    fn of_rows(
        field: impl Fn() -> Arc<Field>,
        cells: &'a Cells,
        kind: Kind,
        stretches: &'a Stretches<'a>,
    ) -> Option<Source<'a>> {
        if let Some(rows) = stretches.single() {
            let begin = cells.seek(0, rows.start);
            let range = begin..cells.seek(begin, rows.end);
            let column = || Column::of_range(field(), cells, range.clone(), rows.start as usize);
            return (!range.is_empty()).then(|| Source::Ready(column()));
        }
        let scattered = || Scattered { field: field(), kind, cells, stretches };
        stretches.meet(&cells.rows).next().map(|_| Source::Scattered(scattered()))
    }

    fn field(&self) -> &Arc<Field> {
        match self {
            Source::Ready(column) => &column.field,
            Source::Scattered(column) => &column.field,
        }
    }

    fn write(
        &self,
        rows: usize,
        is_indexed: bool,
        descriptor: ColumnDescPtr,
        codec: basic::Compression,
        scratch: &mut Scratch,
    ) -> Result<Chunk, EncodeError> {
        match self {
            Source::Ready(column) => column.write(rows, is_indexed, descriptor, codec, scratch),
            Source::Scattered(column) => column.write(rows, is_indexed, descriptor, codec, scratch),
        }
    }

    fn text_bytes(&self) -> usize {
        match self {
            Source::Ready(column) => column.text_bytes(),
            Source::Scattered(column) => column.text_bytes(),
        }
    }
}

impl<'a> Column<'a> {
    /// A range of cells, where `first_row` is the first row of the row group.
    fn of_range(field: Arc<Field>, cells: &'a Cells, range: Range<usize>, first_row: usize) -> Column<'a> {
        let values = match &cells.values {
            Values::Double(values) => Content::Doubles(&values[range.clone()]),
            Values::Long(values) => Content::Longs(Cow::Borrowed(&values[range.clone()])),
            Values::Boolean(values) => Content::Booleans(&values[range.clone()]),
            Values::Text(texts) => Content::Texts(Cow::Borrowed(texts), range.clone()),
        };
        Column { field, rows: Some(&cells.rows[range]), first_row, values }
    }
}

/// The field of a column of the engine.
fn of_engine(column: &EngineColumn) -> Arc<Field> {
    field(column.name, column.ty, !column.required, column.id)
}

/// The field of the overflow.
fn overflow() -> Arc<Field> {
    of_engine(&layout::ENGINE[2])
}

/// The field of a table's own column.
fn of_own(column: &TableColumn) -> Arc<Field> {
    let id = column.id.expect("every column of a schema has an id");
    field(&column.name, column.identity.kind.into(), true, id)
}

fn field(name: &str, ty: ColumnType, nullable: bool, id: u32) -> Arc<Field> {
    let id = HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_string())]);
    Arc::new(Field::new(name, ty.arrow(), nullable).with_metadata(id))
}
