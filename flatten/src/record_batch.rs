//! From a settled part to an Arrow record batch, for those who compute on rows instead of writing them to a file.
//!
//! In come a settled part and the schema of its table; out comes a batch with `_source`, `_record`, `_overflow` and every
//! column of the table in its order, null where the part has no value. Buffers are handed over and not copied where the
//! part has them as Arrow wants them: the numbers of columns in which every row has a value, and the bytes of all text.
//!
//! What must stay true: a batch says what the part's file says, with the same names and types; batches of one table
//! have one Arrow schema, whatever their parts hold; what does not fit is an error and never cut.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::array::{StringBuilder, new_null_array};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{Field, Schema as ArrowSchema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use crate::column::{Cells, Texts, Values};
use crate::layout::{ColumnType, ENGINE, EngineColumn, OVERFLOW, SOURCE};
use crate::part::SettledPart;
use crate::path::{Identity, Kind};
use crate::schema::Schema;

/// A part could not become a record batch.
#[derive(Debug, thiserror::Error)]
pub enum RecordBatchError {
    /// A column of the part is not one of the table: the part was settled against another schema.
    #[error("column {0} is not in the table")]
    NotRegistered(Identity),
    /// More text than an Arrow string column has offsets for, which is 2 GiB; smaller parts
    /// ([`crate::Contract::part_bytes`]) have less.
    #[error("column `{column}`: {bytes} bytes of text in one part; a record batch takes 2147483647")]
    TooMuchText {
        /// The name of the column.
        column: String,
        /// Bytes of its values.
        bytes: usize,
    },
    /// Arrow refused the columns.
    #[error("cannot make a record batch")]
    Arrow(#[from] ArrowError),
}

impl Schema {
    /// The Arrow schema of the table's record batches: `_source` and `_record`, which are never null, `_overflow`, then
    /// all columns in the table's order. Partition keys are not among them, as they are not in files.
    pub fn to_arrow(&self) -> SchemaRef {
        let of_engine = |column: &EngineColumn| Field::new(column.name, column.ty.arrow(), !column.required);
        let columns = self.columns().iter();
        let columns = columns
            .map(|column| Field::new(&column.name, ColumnType::from(column.identity.kind).arrow(), true));
        Arc::new(ArrowSchema::new(ENGINE.iter().map(of_engine).chain(columns).collect::<Vec<_>>()))
    }
}

impl SettledPart {
    /// The rows of the part as an Arrow record batch with the columns of [`Schema::to_arrow`]. `source` is what
    /// `_source` says in every row.
    ///
    /// Rejects are no rows: whoever wants them reads [`crate::Part::rejects`] before.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use iotlake_flatten::{Contract, Flattener, Limits, Options, Part, Schema};
    ///
    /// let mut schema = Schema::new(Contract::empty());
    /// let mut parts: Vec<Part> = Vec::new();
    /// let mut sink = |part| -> Result<(), std::convert::Infallible> { parts.push(part); Ok(()) };
    /// let mut flattener = Flattener::new(Arc::new(schema.clone()), Options::default());
    /// flattener.push(b"{\"m\":{\"t\":21.5}}\n{\"m\":{\"t\":20},\"place\":\"hall\"}\n", &mut sink)?;
    /// flattener.finish(&mut sink)?;
    ///
    /// for part in parts {
    ///     let fit = part.fit(&schema, &Limits::default());
    ///     for identity in &fit.register {
    ///         schema.register(identity);
    ///     }
    ///     let batch = part.settle(&fit).into_record_batch("stdin", &schema)?;
    ///     assert_eq!(batch.schema(), schema.to_arrow());
    ///     assert_eq!(batch["m.t"].null_count(), 0);
    ///     assert_eq!(batch["place"].null_count(), 1);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`RecordBatchError`].
    pub fn into_record_batch(self, source: &str, schema: &Schema) -> Result<RecordBatch, RecordBatchError> {
        let (part, overflow) = self.into_parts();
        let rows = part.rows as usize;
        let mut placed: Vec<Option<Cells>> = vec![None; schema.columns().len()];
        for column in part.columns {
            let place = schema.place(&column.identity);
            placed[place.ok_or(RecordBatchError::NotRegistered(column.identity))?] = Some(column.cells);
        }
        let records: Vec<i64> = part.records.into_iter().map(|record| record as i64).collect();
        let mut arrays: Vec<ArrayRef> = vec![
            Arc::new(repeated(source, rows)?),
            Arc::new(Int64Array::from(records)),
            array(OVERFLOW, Kind::Json, overflow, rows)?,
        ];
        for (column, cells) in schema.columns().iter().zip(placed) {
            arrays.push(array(&column.name, column.identity.kind, cells, rows)?);
        }
        Ok(RecordBatch::try_new(schema.to_arrow(), arrays)?)
    }
}

/// The same text in every row.
fn repeated(text: &str, rows: usize) -> Result<StringArray, RecordBatchError> {
    check_text(SOURCE, text.len().saturating_mul(rows))?;
    let mut builder = StringBuilder::with_capacity(rows, rows * text.len());
    (0..rows).for_each(|_| builder.append_value(text));
    Ok(builder.finish())
}

/// The column called `name`, its cells spread over the rows.
fn array(name: &str, kind: Kind, cells: Option<Cells>, rows: usize) -> Result<ArrayRef, RecordBatchError> {
    let Some(Cells { rows: places, values }) = cells else {
        return Ok(new_null_array(&ColumnType::from(kind).arrow(), rows));
    };
    let nulls = nulls(&places, rows);
    Ok(match values {
        Values::Double(values) => Arc::new(Float64Array::try_new(spread(values, &places, rows), nulls)?),
        Values::Long(values) if kind == Kind::Timestamp => {
            let array = TimestampMicrosecondArray::try_new(spread(values, &places, rows), nulls)?;
            Arc::new(array.with_timezone("UTC"))
        }
        Values::Long(values) => Arc::new(Int64Array::try_new(spread(values, &places, rows), nulls)?),
        Values::Boolean(values) => {
            let values: Vec<bool> = spread(values, &places, rows);
            Arc::new(BooleanArray::new(BooleanBuffer::from(values), nulls))
        }
        Values::Text(texts) => {
            check_text(name, texts.bytes().len())?;
            let offsets = offsets(&texts, &places, rows);
            Arc::new(StringArray::try_new(offsets, Buffer::from_vec(texts.into_bytes()), nulls)?)
        }
    })
}

/// Which rows have no value; `None` where all have one.
fn nulls(places: &[u32], rows: usize) -> Option<NullBuffer> {
    if places.len() == rows {
        return None;
    }
    let mut valid = vec![false; rows];
    places.iter().for_each(|row| valid[*row as usize] = true);
    Some(NullBuffer::from(valid))
}

/// Each value in its row. Where every row has one they are as they should be already.
fn spread<T: Copy + Default, B: From<Vec<T>>>(values: Vec<T>, places: &[u32], rows: usize) -> B {
    if places.len() == rows {
        return B::from(values);
    }
    let mut spread = vec![T::default(); rows];
    places.iter().zip(values).for_each(|(row, value)| spread[*row as usize] = value);
    B::from(spread)
}

/// Where the text of each row begins and, behind the last, ends; rows without one have a range of no bytes.
fn offsets(texts: &Texts, places: &[u32], rows: usize) -> OffsetBuffer<i32> {
    let mut offsets = Vec::with_capacity(rows + 1);
    let mut end = 0;
    for (row, text) in places.iter().zip(texts.ends()) {
        // Up to and with the row's own beginning.
        offsets.resize(*row as usize + 1, end);
        end = *text as i32;
    }
    offsets.resize(rows + 1, end);
    OffsetBuffer::new(ScalarBuffer::from(offsets))
}

/// Whether offsets of 32 bits reach.
fn check_text(column: &str, bytes: usize) -> Result<(), RecordBatchError> {
    match i32::try_from(bytes) {
        Ok(_) => Ok(()),
        Err(_) => Err(RecordBatchError::TooMuchText { column: column.to_owned(), bytes }),
    }
}
