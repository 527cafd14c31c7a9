//! Answers as text or Parquet.
//!
//! Numbers are written so that reading them gives the same number. Text comes from devices: where it goes to a
//! terminal, control characters are shown and not sent. What must stay true: NULL is never mistaken for a text, and no name
//! stands twice where a reader would keep only one of them.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::Write;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::LineDelimitedWriter;
use datafusion::arrow::json::writer::{LineDelimited, WriterBuilder};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::arrow::util::pretty::pretty_format_batches_with_options;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::{Answer, QueryError};

/// The most rows that [`Format::Table`] and its kin show: what is read by eye, and fits into memory.
pub const TABLE_ROWS: usize = 1000;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For the eye: at most [`TABLE_ROWS`] rows in a frame, and below it how many there are. NULL is `NULL`.
    #[default]
    Table,
    /// As [`Format::Table`], with a line for each value.
    Vertical,
    /// As [`Format::Table`] if that has no more columns of letters than this, else as [`Format::Vertical`].
    Fitted(usize),
    /// RFC 4180 with a header. NULL is an empty field, an empty text is `""`.
    Csv,
    /// One JSON object per line, NULLs included. Of columns of one name the second has `_2` behind it, and so on.
    Json,
    /// One Parquet file, compressed with Snappy; names as in JSON.
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
    Table { out: &'a mut W, schema: SchemaRef, shown: Vec<RecordBatch>, format: Format },
    Csv(&'a mut W),
    Json(LineDelimitedWriter<&'a mut W>, SchemaRef),
    Parquet(Box<ArrowWriter<&'a mut W>>, SchemaRef),
}

impl<'a, W: Write + Send> AnswerWriter<'a, W> {
    pub(super) fn new(schema: &SchemaRef, format: Format, out: &'a mut W) -> Result<Self, QueryError> {
        let sink = match format {
            Format::Table | Format::Vertical | Format::Fitted(_) => {
                Sink::Table { out, schema: as_text(schema), shown: Vec::new(), format }
            }
            Format::Csv => {
                let names = schema.fields().iter().map(|field| Some(field.name().as_str()));
                write_record(out, names)?;
                Sink::Csv(out)
            }
            Format::Json => {
                let builder = WriterBuilder::new().with_explicit_nulls(true);
                Sink::Json(builder.build::<_, LineDelimited>(out), unique(schema))
            }
            Format::Parquet => {
                let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
                let schema = unique(schema);
                let writer = ArrowWriter::try_new(out, schema.clone(), Some(properties));
                Sink::Parquet(Box::new(writer.map_err(of_parquet)?), schema)
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
                        .map(|(column, texts)| (!is_null(column, row)).then(|| texts.value(row).to_string()));
                    write_record(out, texts)?;
                }
            }
            Sink::Json(writer, schema) => writer.write(&under(schema, batch)?).map_err(of_arrow)?,
            Sink::Parquet(writer, schema) => writer.write(&under(schema, batch)?).map_err(of_parquet)?,
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Writes what is left; the number of rows.
    pub(super) fn finish(self) -> Result<u64, QueryError> {
        match self.sink {
            Sink::Table { out, schema, mut shown, format } => {
                if shown.is_empty() {
                    shown.push(RecordBatch::new_empty(schema));
                }
                writeln!(out, "{}", for_the_eye(&shown, format)?)?;
                match self.rows {
                    1 => writeln!(out, "1 row")?,
                    rows if rows <= TABLE_ROWS as u64 => writeln!(out, "{rows} rows")?,
                    rows => writeln!(out, "{rows} rows, of which the first {TABLE_ROWS} are shown")?,
                }
            }
            Sink::Csv(_) => {}
            Sink::Json(mut writer, _) => writer.finish().map_err(of_arrow)?,
            Sink::Parquet(writer, _) => writer.close().map(drop).map_err(of_parquet)?,
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

/// Rows of text in a frame, or one value a line.
fn for_the_eye(rows: &[RecordBatch], format: Format) -> Result<String, QueryError> {
    let options = FormatOptions::new().with_null(NULL);
    let framed = || -> Result<String, QueryError> {
        Ok(pretty_format_batches_with_options(rows, &options).map_err(of_arrow)?.to_string())
    };
    match format {
        Format::Vertical => Ok(vertical(rows)),
        Format::Fitted(width) => {
            let framed = framed()?;
            let is_too_wide = framed.lines().any(|line| line.chars().count() > width);
            Ok(if is_too_wide { vertical(rows) } else { framed })
        }
        _ => framed(),
    }
}

/// Whether a value is NULL; all of a column are that never had a type.
fn is_null(column: &ArrayRef, row: usize) -> bool {
    *column.data_type() == DataType::Null || column.is_null(row)
}

/// How NULL is shown.
const NULL: &str = "NULL";

fn vertical(rows: &[RecordBatch]) -> String {
    let mut text = String::new();
    let mut number = 0;
    for batch in rows {
        let schema = batch.schema_ref();
        let width = schema.fields().iter().map(|field| field.name().chars().count()).max().unwrap_or(0);
        for row in 0..batch.num_rows() {
            number += 1;
            let _ = writeln!(text, "-- row {number} --");
            for (field, column) in schema.fields().iter().zip(batch.columns()) {
                let value = if column.is_null(row) { NULL } else { column.as_string::<i32>().value(row) };
                let _ = writeln!(text, "{:<width$} | {value}", field.name());
            }
        }
    }
    text.truncate(text.trim_end_matches('\n').len());
    text
}

/// The same columns, each with a name of its own.
fn unique(schema: &SchemaRef) -> SchemaRef {
    let mut taken: HashSet<String> = HashSet::new();
    let fields = schema.fields().iter().map(|field| {
        let is_free = |name: &String| {
            !taken.contains(name) && (name == field.name() || schema.column_with_name(name).is_none())
        };
        let numbered = (2..).map(|number| format!("{}_{number}", field.name()));
        let mut names = std::iter::once(field.name().clone()).chain(numbered);
        let name = names.find(is_free).expect("there is always another number");
        taken.insert(name.clone());
        field.as_ref().clone().with_name(name)
    });
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone()))
}

/// The batch with the names of `schema`.
fn under(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch, QueryError> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), batch.columns().to_vec(), &options).map_err(of_arrow)
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
            (!is_null(column, row)).then(|| if is_plan { text() } else { escaped(&text()) })
        });
        columns.push(Arc::new(cells.collect::<StringArray>()));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
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
