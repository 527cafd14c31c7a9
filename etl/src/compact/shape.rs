//! Which columns a generation has, and what its rows are sorted by.
//!
//! In come the schema of the table and the footers of the files that are read; out comes the schema of the batches that are
//! sorted: every column that a file has, in the table's order. A file without a column has NULL in it. What must stay true:
//! no column that a file has is left out; the order of rows depends on their values alone, down to source and record, so
//! that it does not matter in which files they came.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, Rows, SortField};
use iotlake_flatten::layout::{ENGINE, EngineColumn, RECORD, SOURCE};
use iotlake_flatten::{ColumnType, Path, Schema, TableColumn};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;

use super::error::CompactError;
use super::file::File;

/// NULL first: what a device does not send stands in one place.
pub(super) const ORDER: SortOptions = SortOptions { descending: false, nulls_first: true };

/// The columns of batches.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) schema: SchemaRef,
    /// Those of the table's own, for the metadata of files.
    pub(super) own: Vec<TableColumn>,
    /// The places of the columns that rows are sorted by: those of the table's paths, source, record.
    pub(super) keys: Vec<usize>,
}

impl Shape {
    /// The columns that `files` have, as the table has them.
    pub(super) fn of<'a>(
        table: &str,
        schema: &Schema,
        sort: &[Path],
        files: impl Iterator<Item = &'a File>,
    ) -> Result<Shape, CompactError> {
        let engine = ENGINE.iter().map(of_engine);
        let own = schema.columns().iter().map(of_own);
        let known: Vec<Field> = engine.chain(own).collect();
        let mut has = vec![false; known.len()];
        for file in files {
            for column in file.footer.file_metadata().schema_descr().columns() {
                let name = column.path().parts()[0].as_str();
                let place = known.iter().position(|field| field.name() == name).ok_or_else(|| {
                    CompactError::Column {
                        uri: file.output.key.clone(),
                        table: table.to_owned(),
                        column: name.to_owned(),
                    }
                })?;
                has[place] = true;
            }
        }
        has[..2].fill(true);
        let own = schema.columns().iter().zip(&has[ENGINE.len()..]);
        let own: Vec<TableColumn> = own.filter(|(_, has)| **has).map(|(column, _)| column.clone()).collect();
        let fields: Vec<Field> =
            known.into_iter().zip(has).filter(|(_, has)| *has).map(|(field, _)| field).collect();
        let arrow = ArrowSchema::new(fields);
        let mut names = Vec::new();
        for path in sort {
            // The first column of a path is the one that has its plain name.
            let column = schema.columns().iter().find(|column| column.identity.path == *path);
            names.extend(column.map(|column| column.name.as_str()));
        }
        let keys =
            names.into_iter().chain([SOURCE, RECORD]).filter_map(|name| arrow.index_of(name).ok()).collect();
        Ok(Shape { schema: Arc::new(arrow), own, keys })
    }

    /// `batch`, of `file`, with all columns.
    pub(super) fn adapt(
        &self,
        table: &str,
        file: &File,
        batch: &RecordBatch,
    ) -> Result<RecordBatch, CompactError> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for field in self.schema.fields() {
            columns.push(match batch.column_by_name(field.name()) {
                None => new_null_array(field.data_type(), batch.num_rows()),
                Some(column) if column.data_type() == field.data_type() => column.clone(),
                Some(_) => {
                    let (uri, table) = (file.output.key.clone(), table.to_owned());
                    return Err(CompactError::Column { uri, table, column: field.name().clone() });
                }
            });
        }
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }

    /// Makes keys of rows, which compare as the rows are sorted.
    pub(super) fn converter(&self) -> Result<RowConverter, CompactError> {
        let field =
            |place: &usize| SortField::new_with_options(self.schema.field(*place).data_type().clone(), ORDER);
        Ok(RowConverter::new(self.keys.iter().map(field).collect())?)
    }

    /// The keys of the rows of `batch`.
    pub(super) fn rows(&self, converter: &RowConverter, batch: &RecordBatch) -> Result<Rows, CompactError> {
        let columns: Vec<_> = self.keys.iter().map(|place| batch.column(*place).clone()).collect();
        Ok(converter.convert_columns(&columns)?)
    }

    /// Places of the columns in which a row has a value.
    pub(super) fn filled(&self, values: &[u64]) -> Vec<usize> {
        (0..self.schema.fields().len()).filter(|place| *place < 2 || values[*place] > 0).collect()
    }
}

/// Adds to `values`, by column, how many values `batch` has.
pub(super) fn count_values(values: &mut [u64], batch: &RecordBatch) {
    for (count, column) in values.iter_mut().zip(batch.columns()) {
        *count += (column.len() - column.null_count()) as u64;
    }
}

fn of_engine(column: &EngineColumn) -> Field {
    with_id(Field::new(column.name, column.ty.arrow(), !column.required), Some(column.id))
}

fn of_own(column: &TableColumn) -> Field {
    let ty: DataType = ColumnType::from(column.identity.kind).arrow();
    with_id(Field::new(&column.name, ty, true), column.id)
}

/// A field that Parquet knows by its id too.
fn with_id(field: Field, id: Option<u32>) -> Field {
    let metadata = id.map(|id| (PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_string()));
    field.with_metadata(metadata.into_iter().collect())
}
