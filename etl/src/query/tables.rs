//! The tables of a lake as DataFusion sees them: folders with a schema that the catalog has told.
//!
//! Files keep their column order and may lack columns; the schema here is the table's. The partition keys come from
//! the names of the folders, as text: `month = '03'` is the folder `month=03` and no other.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use iotlake_flatten::layout::{ENGINE, EngineColumn, PARTITION_KEYS, REJECTS};
use iotlake_flatten::{ColumnType, Schema};

use super::QueryError;

/// Under which DataFusion knows the lake's storage, whatever it is. Names below it are keys, and those of tables need no
/// escapes.
pub(super) const LAKE_URL: &str = "lake://lake";

/// The table whose rows are in the folder `name`.
pub(super) fn rows(name: &str, schema: &Schema) -> Result<ListingTable, QueryError> {
    let own = schema.columns().iter().map(|column| (column.name.as_str(), column.identity.kind.into()));
    listing(name, ENGINE.iter().map(of_engine).chain(own))
}

/// The table of rejects in the folder `name`.
pub(super) fn rejects(name: &str) -> Result<ListingTable, QueryError> {
    listing(name, REJECTS.iter().map(of_engine))
}

fn of_engine(column: &EngineColumn) -> (&str, ColumnType) {
    (column.name, column.ty)
}

fn listing<'a>(
    name: &str,
    columns: impl Iterator<Item = (&'a str, ColumnType)>,
) -> Result<ListingTable, QueryError> {
    let fields = columns.map(|(name, ty)| Field::new(name, ty.arrow(), true));
    let schema = ArrowSchema::new(fields.collect::<Vec<_>>());
    let keys = PARTITION_KEYS.map(|key| (key.to_owned(), DataType::Utf8)).to_vec();
    let options = ListingOptions::new(Arc::new(ParquetFormat::default().with_force_view_types(false)))
        .with_file_extension(".parquet")
        .with_table_partition_cols(keys);
    let url = ListingTableUrl::parse(format!("{LAKE_URL}/{name}/")).map_err(QueryError::failed)?;
    let config = ListingTableConfig::new(url).with_listing_options(options).with_schema(Arc::new(schema));
    ListingTable::try_new(config).map_err(QueryError::failed)
}

/// The word for a type in Athena.
pub(super) fn type_name(ty: &DataType) -> String {
    ColumnType::of_arrow(ty).map_or_else(|| ty.to_string(), |ty| ty.hive().to_owned())
}
