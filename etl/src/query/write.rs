//! Answers as text or Parquet.
//!
//! Numbers are written so that reading them gives the same number. Text comes from devices: where it goes to a
//! terminal, control characters are shown and not sent.

use std::io::Write;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::LineDelimitedWriter;
use datafusion::arrow::json::writer::{LineDelimited, WriterBuilder};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::arrow::util::pretty::pretty_format_batches;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::{Answer, QueryError};

/// The most rows that [`Format::Table`] shows: what is read by eye, and fits into memory.
pub const TABLE_ROWS: usize = 1000;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For the eye: at most [`TABLE_ROWS`] rows in a frame, and below it how many there are.
    #[default]
    Table,
    /// RFC 4180 with a header. NULL is an empty field, an empty text is `""`.
    Csv,
    /// One JSON object per line, NULLs included.
    Json,
    /// One Parquet file, compressed with Snappy.
    Parquet,
}

/// Writes a whole answer.
///
/// # Errors
/// If `out` fails.
pub fn write(answer: &Answer, format: Format, out: &mut (impl Write + Send)) -> Result<(), QueryError> {
    let mut writer = AnswerWriter::new(&answer.schema, format, out)?;
    for batch in &answer.batches {
        writer.push(batch)?;
    }
    writer.finish().map(drop)
}

/// Writes an answer batch by batch.
pub(super) struct AnswerWriter<'a, W: Write + Send> {
    sink: Sink<'a, W>,
    rows: u64,
}

enum Sink<'a, W: Write + Send> {
    Table { out: &'a mut W, schema: SchemaRef, shown: Vec<RecordBatch> },
    Csv(&'a mut W),
    Json(LineDelimitedWriter<&'a mut W>),
    Parquet(Box<ArrowWriter<&'a mut W>>),
}

impl<'a, W: Write + Send> AnswerWriter<'a, W> {
    pub(super) fn new(schema: &SchemaRef, format: Format, out: &'a mut W) -> Result<Self, QueryError> {
        let sink = match format {
            Format::Table => Sink::Table { out, schema: as_text(schema), shown: Vec::new() },
            Format::Csv => {
                let names = schema.fields().iter().map(|field| Some(field.name().as_str()));
                write_record(out, names)?;
                Sink::Csv(out)
            }
            Format::Json => {
                let builder = WriterBuilder::new().with_explicit_nulls(true);
                Sink::Json(builder.build::<_, LineDelimited>(out))
            }
            Format::Parquet => {
                let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
                let writer = ArrowWriter::try_new(out, schema.clone(), Some(properties));
                Sink::Parquet(Box::new(writer.map_err(of_parquet)?))
            }
        };
        Ok(AnswerWriter { sink, rows: 0 })
    }

    pub(super) fn push(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        match &mut self.sink {
            Sink::Table { schema, shown, .. } => {
                let room = TABLE_ROWS.saturating_sub(self.rows as usize).min(batch.num_rows());
                if room > 0 {
                    shown.push(visible(&batch.slice(0, room), schema)?);
                }
            }
            Sink::Csv(out) => {
                let options = FormatOptions::new();
                let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options));
                let columns = columns.collect::<Result<Vec<_>, _>>().map_err(of_arrow)?;
                for row in 0..batch.num_rows() {
                    let fields = batch.columns().iter().zip(&columns);
                    let texts = fields
                        .map(|(column, texts)| column.is_valid(row).then(|| texts.value(row).to_string()));
                    write_record(out, texts)?;
                }
            }
            Sink::Json(writer) => writer.write(batch).map_err(of_arrow)?,
            Sink::Parquet(writer) => writer.write(batch).map_err(of_parquet)?,
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Writes what is left; the number of rows.
    pub(super) fn finish(self) -> Result<u64, QueryError> {
        match self.sink {
            Sink::Table { out, schema, mut shown } => {
                if shown.is_empty() {
                    shown.push(RecordBatch::new_empty(schema));
                }
                writeln!(out, "{}", pretty_format_batches(&shown).map_err(of_arrow)?)?;
                match self.rows {
                    1 => writeln!(out, "1 row")?,
                    rows if rows <= TABLE_ROWS as u64 => writeln!(out, "{rows} rows")?,
                    rows => writeln!(out, "{rows} rows, of which the first {TABLE_ROWS} are shown")?,
                }
            }
            Sink::Csv(_) => {}
            Sink::Json(mut writer) => writer.finish().map_err(of_arrow)?,
            Sink::Parquet(writer) => writer.close().map(drop).map_err(of_parquet)?,
        }
        Ok(self.rows)
    }
}

/// One line of CSV.
fn write_record<T: AsRef<str>>(
    out: &mut impl Write,
    fields: impl Iterator<Item = Option<T>>,
) -> std::io::Result<()> {
    for (at, field) in fields.enumerate() {
        if at > 0 {
            out.write_all(b",")?;
        }
        match field.as_ref().map(AsRef::as_ref) {
            None => {}
            Some(text) if text.is_empty() || text.contains([',', '"', '\r', '\n']) => {
                write!(out, "\"{}\"", text.replace('"', "\"\""))?;
            }
            Some(text) => out.write_all(text.as_bytes())?,
        }
    }
    out.write_all(b"\r\n")
}

/// The same columns, each as text.
fn as_text(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| Field::new(escaped(field.name()), DataType::Utf8, true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The batch as text that a terminal only shows. Plans keep their lines.
fn visible(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, QueryError> {
    let is_plan = batch.schema_ref().fields().iter().any(|field| field.name() == "plan_type");
    let options = FormatOptions::new();
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(batch.num_columns());
    for column in batch.columns() {
        let texts = ArrayFormatter::try_new(column, &options).map_err(of_arrow)?;
        let cells = (0..batch.num_rows()).map(|row| {
            let text = || texts.value(row).to_string();
            column.is_valid(row).then(|| if is_plan { text() } else { escaped(&text()) })
        });
        columns.push(Arc::new(cells.collect::<StringArray>()));
    }
    let options =
        datafusion::arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(of_arrow)
}

fn escaped(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.to_owned();
    }
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escape).collect()
}

fn of_arrow(error: ArrowError) -> QueryError {
    match error {
        ArrowError::IoError(_, source) => QueryError::Write(source),
        other => QueryError::Write(std::io::Error::other(other)),
    }
}

fn of_parquet(error: ParquetError) -> QueryError {
    match error {
        ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(source) => QueryError::Write(*source),
            Err(other) => QueryError::Write(std::io::Error::other(other)),
        },
        other => QueryError::Write(std::io::Error::other(other)),
    }
}
