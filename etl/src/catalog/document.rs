//! The JSON documents of an embedded catalog.
//!
//! What a document says depends on its content alone (no times, no counters), so that lakes made from the same sources
//! are the same byte for byte. Each begins with its format; a larger one than is known here is refused rather than
//! misread.

use iotlake_flatten::{Contract, Schema, TableColumn};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{CatalogError, Result, Table};
use crate::partition::PartitionBy;
use crate::source::KeyPattern;
use crate::view::View;

/// The newest format that this version reads, and the one it writes.
const FORMAT: u64 = 1;

#[derive(Deserialize)]
struct Format {
    format: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TableDocument {
    format: u64,
    table: String,
    layout: u32,
    partition_by: PartitionBy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_pattern: Option<KeyPattern>,
    contract: Contract,
    columns: Vec<TableColumn>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ViewDocument {
    format: u64,
    view: View,
}

pub(super) fn write_table(table: &Table) -> Vec<u8> {
    write(&TableDocument {
        format: FORMAT,
        table: table.name.clone(),
        layout: table.layout,
        partition_by: table.partition_by.clone(),
        key_pattern: table.key_pattern.clone(),
        contract: table.schema.contract().clone(),
        columns: table.schema.columns().to_vec(),
    })
}

pub(super) fn read_table(uri: &str, name: &str, bytes: &[u8]) -> Result<Table> {
    let document: TableDocument = read(uri, bytes)?;
    let damaged = |reason: String| CatalogError::Damaged { uri: uri.to_owned(), reason };
    if document.table != name {
        return Err(damaged(format!("it is that of table `{}`", document.table)));
    }
    let schema = Schema::from_columns(document.contract, document.columns);
    let schema = schema.map_err(|error| damaged(error.to_string()))?;
    let TableDocument { partition_by, key_pattern, layout, .. } = document;
    Ok(Table { name: document.table, schema, partition_by, key_pattern, layout })
}

pub(super) fn write_view(view: &View) -> Vec<u8> {
    write(&ViewDocument { format: FORMAT, view: view.clone() })
}

pub(super) fn read_view(uri: &str, bytes: &[u8]) -> Result<View> {
    Ok(read::<ViewDocument>(uri, bytes)?.view)
}

/// What stands in the object whose name says which partition there is.
pub(super) fn write_partition() -> Vec<u8> {
    b"{}\n".to_vec()
}

fn write(document: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(document).expect("documents have text keys and finite numbers");
    bytes.push(b'\n');
    bytes
}

fn read<T: DeserializeOwned>(uri: &str, bytes: &[u8]) -> Result<T> {
    let damaged =
        |error: serde_json::Error| CatalogError::Damaged { uri: uri.to_owned(), reason: error.to_string() };
    let Format { format } = serde_json::from_slice(bytes).map_err(damaged)?;
    if format > FORMAT {
        return Err(CatalogError::Newer { uri: uri.to_owned(), format, known: FORMAT });
    }
    serde_json::from_slice(bytes).map_err(damaged)
}
