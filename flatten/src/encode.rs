//! From the columns of a part to the bytes of a Parquet file.
//!
//! In come a settled part, the schema of its table and what the file shall say about itself; out come the bytes of one
//! file with one row group: `_source`, `_record`, `_overflow` where it is needed, then the part's columns in the table's
//! order. Columns are encoded one at a time, so that only one is ever spread over its rows.
//!
//! What must stay true: the bytes are a function of the arguments and of [`LAYOUT`] alone; only encodings and codecs
//! that Athena, Redshift Spectrum and Spark read. If you change what comes out, or take a version of `parquet` that
//! does, raise [`LAYOUT`]: the golden files in `tests/it` show when that is due.

mod file;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, DictionaryArray, Float64Array, Int32Array, Int64Array,
    StringArray, TimestampMicrosecondArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Int32Type, Schema as ArrowSchema, TimeUnit};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves,
};
use parquet::basic::{self, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::column::{Cells, Texts, Values};
use crate::naming::{self, OVERFLOW, RECORD, SOURCE};
use crate::part::Part;
use crate::path::Kind;
use crate::reject::Reject;
use crate::schema::Schema;

pub use file::FileWriter;

/// Version of the layout of output files. Files of different layouts may differ byte by byte though they say the same.
pub const LAYOUT: u32 = 1;

/// Keys of the metadata in every file.
pub mod metadata {
    /// The identity of the source.
    pub const SOURCE: &str = "iotlake.source";
    /// The number of the part in its source.
    pub const PART: &str = "iotlake.part";
    /// The range of bytes of the decompressed source that the part accounts for, `begin-end`.
    pub const SPAN: &str = "iotlake.span";
    /// [`super::LAYOUT`].
    pub const LAYOUT: &str = "iotlake.layout";
    /// The options of the run that decide what the file holds.
    pub const OPTIONS: &str = "iotlake.options";
    /// JSON list of the columns with name, path and kind.
    pub const COLUMNS: &str = "iotlake.columns";
}

/// How pages are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Read by everything; the default.
    #[default]
    Snappy,
    /// Smaller; not read by Redshift Spectrum.
    Zstd,
}

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
            // Level 1: within a few percent of level 3 on columns, at half the time.
            Compression::Zstd => basic::Compression::ZSTD(ZstdLevel::try_new(1).expect("1 is a level")),
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
    /// How pages are compressed.
    pub compression: Compression,
    /// Whether columns are encoded side by side, in rayon's current thread pool. The bytes are the same.
    pub parallel: bool,
}

/// A file could not be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// A column of the part is not one of the table: the part was not settled against this schema.
    #[error("column {0} is not in the table")]
    NotRegistered(crate::Identity),
    /// The Parquet writer failed.
    #[error("cannot write Parquet")]
    Parquet(#[from] ParquetError),
}

/// A column ready to be written.
struct Ready<'a> {
    field: Arc<Field>,
    content: Content<'a>,
    style: Style,
}

enum Content<'a> {
    Array(ArrayRef),
    Cells(&'a Cells, Kind),
}

/// How values are encoded.
#[derive(Clone, Copy)]
enum Style {
    Plain,
    Dictionary,
    Delta,
}

impl Encoder<'_> {
    /// The file of a settled part.
    ///
    /// # Errors
    /// [`EncodeError::NotRegistered`] if a column is not in `schema`.
    pub fn encode(&self, part: &Part, schema: &Schema) -> Result<Vec<u8>, EncodeError> {
        let rows = part.rows as usize;
        let mut ready = self.lineage(rows, part.records.iter().map(|record| *record as i64));
        if let Some(cells) = part.overflow() {
            ready.push(Ready::cells(OVERFLOW, cells, Kind::Json));
        }
        let mut columns = Vec::with_capacity(part.columns.len());
        for column in &part.columns {
            let place = schema.place(&column.identity);
            let place = place.ok_or_else(|| EncodeError::NotRegistered(column.identity.clone()))?;
            columns.push((place, column));
        }
        columns.sort_by_key(|(place, _)| *place);
        let described: Vec<_> = columns.iter().map(|(place, _)| &schema.columns()[*place]).collect();
        for ((_, column), described) in columns.iter().zip(&described) {
            ready.push(Ready::cells(&described.name, &column.cells, column.identity.kind));
        }
        let described = serde_json::to_string(&described).expect("columns are JSON");
        self.write(part, ready, rows, described)
    }

    /// The file of the rejects of a part: `_source`, `_record`, `offset`, `length`, `line` (bigint), `reason`, `sha256`
    /// (string), `bytes` (binary).
    ///
    /// # Errors
    /// If the Parquet writer fails.
    pub fn encode_rejects(&self, part: &Part) -> Result<Vec<u8>, EncodeError> {
        self.write(part, self.reject_columns(part), part.rejects.len(), "[]".to_owned())
    }

    fn reject_columns(&self, part: &Part) -> Vec<Ready<'static>> {
        let rejects = &part.rejects;
        let long = |name, value: fn(&Reject) -> u64| {
            let array = Int64Array::from_iter_values(rejects.iter().map(|reject| value(reject) as i64));
            Ready::array(name, Arc::new(array), Style::Delta)
        };
        let text = |name, value: fn(&Reject) -> String, style| {
            let array = StringArray::from_iter_values(rejects.iter().map(value));
            Ready::array(name, Arc::new(array), style)
        };
        let mut ready = self.lineage(rejects.len(), rejects.iter().map(|reject| reject.record as i64));
        ready.push(long("offset", |reject| reject.offset));
        ready.push(long("length", |reject| reject.length));
        ready.push(long("line", |reject| reject.line));
        ready.push(text("reason", |reject| reject.reason.code().to_owned(), Style::Dictionary));
        ready.push(text("sha256", |reject| naming::hexadecimal(&reject.sha256), Style::Plain));
        let bytes = BinaryArray::from_iter_values(rejects.iter().map(|reject| &reject.bytes));
        ready.push(Ready::array("bytes", Arc::new(bytes), Style::Plain));
        ready
    }

    /// `_source` and `_record`.
    fn lineage(&self, rows: usize, records: impl Iterator<Item = i64>) -> Vec<Ready<'static>> {
        let values: ArrayRef = Arc::new(StringArray::from_iter_values([self.source]));
        let keys = Int32Array::from(vec![0; rows]);
        let source = DictionaryArray::<Int32Type>::try_new(keys, values).expect("every key is 0");
        vec![
            Ready::array(SOURCE, Arc::new(source), Style::Dictionary),
            Ready::array(RECORD, Arc::new(Int64Array::from_iter_values(records)), Style::Delta),
        ]
    }

    fn write(
        &self,
        part: &Part,
        ready: Vec<Ready<'_>>,
        rows: usize,
        described: String,
    ) -> Result<Vec<u8>, EncodeError> {
        let fields: Vec<_> = ready.iter().map(|column| column.field.clone()).collect();
        let arrow_schema = Arc::new(ArrowSchema::new(fields));
        let parquet_schema = ArrowSchemaConverter::new().schema_root("record").convert(&arrow_schema)?;
        let styles = ready.iter().map(|column| (column.field.name().as_str(), column.style));
        let properties = Arc::new(self.properties(self.metadata(part, described), styles));
        let mut file = SerializedFileWriter::new(Vec::new(), parquet_schema.root_schema_ptr(), properties)?;
        let factory = ArrowRowGroupWriterFactory::new(&file, arrow_schema);
        let writers = factory.create_column_writers(0)?;
        let encode = |(column, writer): (Ready<'_>, ArrowColumnWriter)| column.write(writer, rows);
        let mut group = file.next_row_group()?;
        if self.parallel {
            let pairs: Vec<_> = ready.into_iter().zip(writers).collect();
            let chunks: Vec<_> = pairs.into_par_iter().map(encode).collect();
            for chunk in chunks {
                chunk?.append_to_row_group(&mut group)?;
            }
        } else {
            for pair in ready.into_iter().zip(writers) {
                encode(pair)?.append_to_row_group(&mut group)?;
            }
        }
        group.close()?;
        Ok(file.into_inner()?)
    }

    fn metadata(&self, part: &Part, described: String) -> Vec<KeyValue> {
        let metadata = [
            (metadata::SOURCE, self.source.to_owned()),
            (metadata::PART, part.number.to_string()),
            (metadata::SPAN, format!("{}-{}", part.span.start, part.span.end)),
            (metadata::LAYOUT, LAYOUT.to_string()),
            (metadata::OPTIONS, self.options.to_owned()),
            (metadata::COLUMNS, described),
        ];
        metadata.map(|(key, value)| KeyValue::new(key.to_owned(), value)).to_vec()
    }

    fn properties<'n>(
        &self,
        metadata: Vec<KeyValue>,
        styles: impl Iterator<Item = (&'n str, Style)>,
    ) -> WriterProperties {
        let mut properties = WriterProperties::builder()
            .set_created_by(format!("iotlake layout {LAYOUT}"))
            .set_compression(self.compression.codec())
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .set_dictionary_enabled(false)
            .set_max_row_group_row_count(None)
            .set_key_value_metadata(Some(metadata));
        for (name, style) in styles {
            let path = ColumnPath::new(vec![name.to_owned()]);
            properties = match style {
                Style::Plain => properties,
                Style::Dictionary => properties.set_column_dictionary_enabled(path, true),
                Style::Delta => properties.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
            };
        }
        properties.build()
    }
}

impl<'a> Ready<'a> {
    fn array(name: &str, array: ArrayRef, style: Style) -> Ready<'a> {
        let field = Arc::new(Field::new(name, array.data_type().clone(), false));
        Ready { field, content: Content::Array(array), style }
    }

    fn cells(name: &str, cells: &'a Cells, kind: Kind) -> Ready<'a> {
        let field = Arc::new(Field::new(name, data_type(kind), true));
        Ready { field, content: Content::Cells(cells, kind), style: style(cells) }
    }

    fn write(self, mut writer: ArrowColumnWriter, rows: usize) -> Result<ArrowColumnChunk, EncodeError> {
        let array = match self.content {
            Content::Array(array) => array,
            Content::Cells(cells, kind) => spread(cells, kind, rows),
        };
        for leaf in compute_leaves(&self.field, &array)? {
            writer.write(&leaf)?;
        }
        Ok(writer.close()?)
    }
}

/// The Arrow type of columns of `kind`.
pub fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Double => DataType::Float64,
        Kind::Long => DataType::Int64,
        Kind::Boolean => DataType::Boolean,
        Kind::String | Kind::Json => DataType::Utf8,
        Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    }
}

/// Cells spread over all rows, null where there is none.
pub fn spread(cells: &Cells, kind: Kind, rows: usize) -> ArrayRef {
    let nulls = (cells.len() < rows).then(|| {
        let mut bits = arrow::array::BooleanBufferBuilder::new(rows);
        bits.append_n(rows, false);
        cells.rows.iter().for_each(|row| bits.set_bit(*row as usize, true));
        NullBuffer::new(bits.finish())
    });
    fn dense<T: Copy + Default>(cells: &Cells, values: &[T], rows: usize) -> Vec<T> {
        if values.len() == rows {
            return values.to_vec();
        }
        let mut dense = vec![T::default(); rows];
        for (row, value) in cells.rows.iter().zip(values) {
            dense[*row as usize] = *value;
        }
        dense
    }
    match &cells.values {
        Values::Double(values) => Arc::new(Float64Array::new(dense(cells, values, rows).into(), nulls)),
        Values::Long(values) => {
            let values: ScalarBuffer<i64> = dense(cells, values, rows).into();
            match kind {
                Kind::Timestamp => {
                    Arc::new(TimestampMicrosecondArray::new(values, nulls).with_timezone("UTC"))
                }
                _ => Arc::new(Int64Array::new(values, nulls)),
            }
        }
        Values::Boolean(values) => Arc::new(BooleanArray::new(dense(cells, values, rows).into(), nulls)),
        Values::Text(texts) => Arc::new(spread_text(cells, texts, rows, nulls)),
    }
}

fn spread_text(cells: &Cells, texts: &Texts, rows: usize, nulls: Option<NullBuffer>) -> StringArray {
    let mut offsets = Vec::with_capacity(rows + 1);
    offsets.push(0i32);
    for (row, end) in cells.rows.iter().zip(texts.ends()) {
        // Rows without a value end where the last one ended.
        let last = offsets[offsets.len() - 1];
        offsets.resize(*row as usize + 1, last);
        offsets.push(*end as i32);
    }
    let last = offsets[offsets.len() - 1];
    offsets.resize(rows + 1, last);
    let bytes = Buffer::from(texts.bytes());
    StringArray::new(OffsetBuffer::new(offsets.into()), bytes, nulls)
}

/// Whether a dictionary pays for these cells: a sample tells whether values repeat.
fn style(cells: &Cells) -> Style {
    const SAMPLE: usize = 512;
    let step = cells.len().div_ceil(SAMPLE).max(1);
    let places = (0..cells.len()).step_by(step);
    let count = places.clone().count();
    fn distinct<T: Ord>(values: impl Iterator<Item = T>) -> usize {
        values.collect::<std::collections::BTreeSet<T>>().len()
    }
    match &cells.values {
        Values::Double(values) => {
            let distinct = distinct(places.map(|at| values[at].to_bits()));
            if distinct * 2 <= count { Style::Dictionary } else { Style::Plain }
        }
        Values::Long(values) => {
            let distinct = distinct(places.map(|at| values[at]));
            if distinct * 4 <= count { Style::Dictionary } else { Style::Delta }
        }
        Values::Boolean(_) => Style::Plain,
        Values::Text(texts) => {
            let distinct = distinct(places.map(|at| texts.get(at)));
            if distinct * 4 <= count * 3 { Style::Dictionary } else { Style::Plain }
        }
    }
}
