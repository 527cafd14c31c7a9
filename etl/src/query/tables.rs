//! The tables of a lake as DataFusion sees them: folders with a schema that the catalog has told.
//!
//! Files keep their column order and may lack columns; the schema here is the table's. The partition keys come from
//! the names of the folders, as text: `month = '03'` is the folder `month=03` and no other.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema as ArrowSchema, TimeUnit};
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use iotlake_flatten::naming::{OVERFLOW, PARTITION_KEYS, RECORD, SOURCE};
use iotlake_flatten::{Schema, data_type};

use super::QueryError;

/// Under which DataFusion knows the lake's storage, whatever it is. Names below it are keys, and those of tables need no
/// escapes.
pub(super) const LAKE_URL: &str = "lake://lake";

/// The table in the folder `name`.
pub(super) fn data(name: &str, schema: &Schema) -> Result<ListingTable, QueryError> {
    let own = schema.columns().iter().map(|column| field(&column.name, data_type(column.identity.kind)));
    let every =
        [field(SOURCE, DataType::Utf8), field(RECORD, DataType::Int64), field(OVERFLOW, DataType::Utf8)];
    listing(name, ArrowSchema::new(every.into_iter().chain(own).collect::<Vec<_>>()))
}

/// The table of rejects in the folder `name`.
pub(super) fn rejects(name: &str) -> Result<ListingTable, QueryError> {
    let fields = [
        (SOURCE, DataType::Utf8),
        (RECORD, DataType::Int64),
        ("offset", DataType::Int64),
        ("length", DataType::Int64),
        ("line", DataType::Int64),
        ("reason", DataType::Utf8),
        ("sha256", DataType::Utf8),
        ("bytes", DataType::Binary),
    ];
    listing(name, ArrowSchema::new(fields.map(|(name, ty)| field(name, ty)).to_vec()))
}

fn field(name: &str, ty: DataType) -> Field {
    Field::new(name, ty, true)
}

fn listing(name: &str, schema: ArrowSchema) -> Result<ListingTable, QueryError> {
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
    match ty {
        DataType::Utf8 => "string".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Binary => "binary".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => "timestamp".to_owned(),
        other => other.to_string(),
    }
}
