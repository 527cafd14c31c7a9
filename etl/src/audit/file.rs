//! One Parquet file against the schema of its table, by its footer.

use std::collections::{HashMap, HashSet};

use iotlake_flatten::layout::{ENGINE, EngineColumn, PARTITION_KEYS, RECORD, REJECTS};
use iotlake_flatten::{ColumnType, TableColumn, metadata};
use parquet::basic::{Compression, LogicalType, TimeUnit, Type};
use parquet::file::metadata::{FileMetaData, ParquetMetaData};
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescriptor;

use super::rule::illegal;
use super::{Finding, Rule};
use crate::catalog::Table;
use crate::footer::{self, said};
use crate::storage::{ObjectMeta, Storage, StorageError};

/// The layout from which on files have field ids and name their receipt.
const FIRST_WITH_IDS: u32 = 3;

/// Whether a file may hold values of type `ty` so.
fn is_stored_as(ty: ColumnType, column: &ColumnDescriptor) -> bool {
    let logical = column.logical_type_ref();
    // Repeated or nested, it is a list or a struct whatever its leaf is.
    let is_flat = column.max_rep_level() == 0 && column.path().parts().len() == 1;
    let (physical, fits) = match ty {
        ColumnType::Double => (Type::DOUBLE, logical.is_none()),
        ColumnType::Long => (Type::INT64, logical.is_none_or(|ty| *ty == LogicalType::integer(64, true))),
        ColumnType::Boolean => (Type::BOOLEAN, logical.is_none()),
        ColumnType::Text => (Type::BYTE_ARRAY, logical == Some(&LogicalType::String)),
        ColumnType::Timestamp => {
            (Type::INT64, logical == Some(&LogicalType::timestamp(true, TimeUnit::MICROS)))
        }
        ColumnType::Bytes => (Type::BYTE_ARRAY, logical.is_none()),
    };
    is_flat && fits && column.physical_type() == physical
}

/// The words of Parquet for a type.
fn stored(ty: ColumnType) -> &'static str {
    match ty {
        ColumnType::Double => "DOUBLE",
        ColumnType::Long => "INT64",
        ColumnType::Boolean => "BOOLEAN",
        ColumnType::Text => "BYTE_ARRAY (String)",
        ColumnType::Timestamp => "INT64 (Timestamp, microseconds, UTC)",
        ColumnType::Bytes => "BYTE_ARRAY",
    }
}

/// What the files of a table may hold.
pub(super) struct Expected {
    /// By name.
    columns: HashMap<String, ExpectedColumn>,
    /// The table's own columns; `None` for rejects.
    own: Option<Vec<TableColumn>>,
}

/// What a column has to be.
struct ExpectedColumn {
    place: usize,
    ty: ColumnType,
    id: Option<u32>,
}

impl Expected {
    pub(super) fn data(table: &Table) -> Expected {
        let own = table.schema.columns().to_vec();
        let of_own = own.iter().map(|column| (column.name.as_str(), column.identity.kind.into(), column.id));
        let columns = Expected::places(ENGINE.iter().map(of_engine).chain(of_own));
        Expected { columns, own: Some(own) }
    }

    pub(super) fn rejects() -> Expected {
        Expected { columns: Expected::places(REJECTS.iter().map(of_engine)), own: None }
    }

    fn places<'a>(
        columns: impl Iterator<Item = (&'a str, ColumnType, Option<u32>)>,
    ) -> HashMap<String, ExpectedColumn> {
        let placed = columns.enumerate();
        placed.map(|(place, (name, ty, id))| (name.to_owned(), ExpectedColumn { place, ty, id })).collect()
    }
}

fn of_engine<'a>(column: &EngineColumn) -> (&'a str, ColumnType, Option<u32>) {
    (column.name, column.ty, Some(column.id))
}

/// What a file says about itself.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) rows: u64,
    pub(super) source: Option<String>,
    pub(super) layout: Option<String>,
    /// The key of the receipt that is to name it.
    pub(super) receipt: Option<String>,
    /// The number of its part.
    pub(super) part: Option<u64>,
    /// Where the part begins and ends in the decoded source.
    pub(super) span: Option<(u64, u64)>,
    /// The lowest and the highest number of a record, by the statistics.
    pub(super) records: Option<(u64, u64)>,
}

/// What a file was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writer {
    /// A part of a source.
    Source,
    /// The rows of a partition.
    Generation,
}

/// Checks the footer of a file; what it says, `None` if it cannot be read.
///
/// # Errors
/// [`StorageError::NotFound`] if it is gone since it was listed, and as the storage.
pub(super) fn check(
    storage: &dyn Storage,
    meta: &ObjectMeta,
    expected: &Expected,
    writer: Writer,
    findings: &mut Vec<Finding>,
) -> Result<Option<Facts>, StorageError> {
    let mut find = |rule, message: String| findings.push(Finding::new(rule, &meta.key, message));
    let footer = match footer::read(storage, meta) {
        Ok(Ok(footer)) => footer,
        Ok(Err(reason)) => {
            find(Rule::Unreadable, reason);
            return Ok(None);
        }
        Err(error @ StorageError::ShortBody { .. }) => {
            find(Rule::Unreadable, error.to_string());
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let file = footer.file_metadata();
    let groups = footer.num_row_groups();
    if groups != 1 && writer == Writer::Source {
        find(Rule::RowGroups, format!("has {groups} row groups instead of one"));
    }
    for column in footer.row_groups().iter().flat_map(|group| group.columns()) {
        if !matches!(
            column.compression(),
            Compression::SNAPPY | Compression::ZSTD(_) | Compression::UNCOMPRESSED
        ) {
            let (name, codec) = (column.column_path().string(), column.compression());
            find(
                Rule::Codec,
                format!("column `{name}` is compressed with {codec}; snappy and zstd are allowed"),
            );
            break;
        }
    }
    check_columns(file, expected, &mut find);
    check_metadata(file, expected, writer, &mut find);
    let said = |key| said(file, key).map(str::to_owned);
    Ok(Some(Facts {
        rows: u64::try_from(file.num_rows()).unwrap_or_default(),
        source: said(metadata::SOURCE),
        layout: said(metadata::LAYOUT),
        receipt: said(metadata::RECEIPT),
        part: said(metadata::PART).and_then(|part| part.parse().ok()),
        span: said(metadata::SPAN).and_then(|span| {
            let (begin, end) = span.split_once('-')?;
            Some((begin.parse().ok()?, end.parse().ok()?))
        }),
        records: records(&footer),
    }))
}

/// The lowest and the highest number of a record; `None` if a row group does not say.
fn records(footer: &ParquetMetaData) -> Option<(u64, u64)> {
    let columns = footer.file_metadata().schema_descr().columns();
    let place = columns.iter().position(|column| column.path().string() == RECORD)?;
    let mut all = None;
    for group in footer.row_groups() {
        let Some(Statistics::Int64(numbers)) = group.column(place).statistics() else { return None };
        let least = u64::try_from(*numbers.min_opt()?).ok()?;
        let most = u64::try_from(*numbers.max_opt()?).ok()?;
        let (first, last) = all.unwrap_or((least, most));
        all = Some((least.min(first), most.max(last)));
    }
    all
}

fn check_columns(file: &FileMetaData, expected: &Expected, find: &mut impl FnMut(Rule, String)) {
    let mut seen = HashSet::new();
    let mut last = None;
    for column in file.schema_descr().columns() {
        // Of a nested column the first part: that is what a table would know it as.
        let name = column.path().parts()[0].as_str();
        if !seen.insert(name.to_lowercase()) {
            find(Rule::ColumnTwice, format!("column `{name}` stands there twice, ignoring case"));
            continue;
        }
        if PARTITION_KEYS.contains(&name) {
            find(Rule::PartitionKey, format!("column `{name}` has the name of a partition key"));
            continue;
        }
        if let Some(reason) = illegal(name) {
            find(Rule::ColumnName, format!("column `{name}` {reason}"));
            continue;
        }
        let Some(ExpectedColumn { place, ty, id }) = expected.columns.get(name) else {
            find(Rule::UnknownColumn, format!("column `{name}` is not in the table"));
            continue;
        };
        if !is_stored_as(*ty, column) {
            let logical = column.logical_type_ref().map(|ty| format!(" ({ty:?})")).unwrap_or_default();
            let found = format!("{}{logical}", column.physical_type());
            find(Rule::ColumnType, format!("column `{name}` is {found} and in the table {}", stored(*ty)));
        }
        let info = column.self_type().get_basic_info();
        let found = info.has_id().then(|| info.id());
        let has_ids = layout(file).is_some_and(|layout| layout >= FIRST_WITH_IDS);
        if found != id.filter(|_| has_ids).map(|id| id as i32) {
            let said =
                |id: Option<i32>| id.map_or("no field id".to_owned(), |id| format!("the field id {id}"));
            let expected = id.map(|id| id as i32);
            find(
                Rule::FieldId,
                format!("column `{name}` has {}, and in the table {}", said(found), said(expected)),
            );
        }
        if last.is_some_and(|last| *place < last) {
            find(Rule::ColumnOrder, format!("column `{name}` stands behind one that the table has later"));
        }
        last = Some(*place);
    }
    for EngineColumn { name, .. } in ENGINE.iter().filter(|column| column.required) {
        if !seen.contains(*name) {
            find(Rule::Lineage, format!("column `{name}` is missing"));
        }
    }
}

/// Checks that the file means by its columns what the table means by them.
fn check_metadata(
    file: &FileMetaData,
    expected: &Expected,
    writer: Writer,
    find: &mut impl FnMut(Rule, String),
) {
    let of_receipt = layout(file).filter(|layout| *layout >= FIRST_WITH_IDS).map(|_| metadata::RECEIPT);
    let of_source = [metadata::SOURCE, metadata::PART, metadata::SPAN, metadata::LAYOUT, metadata::OPTIONS];
    let due: Vec<&str> = match writer {
        Writer::Source => of_source.into_iter().chain(of_receipt).collect(),
        Writer::Generation => vec![metadata::GENERATION, metadata::LAYOUT],
    };
    for key in due {
        if said(file, key).is_none() {
            find(Rule::OutputMetadata, format!("the metadata does not say `{key}`"));
        }
    }
    let mut wrong = |message: String| find(Rule::ColumnMetadata, message);
    let Some(text) = said(file, metadata::COLUMNS) else {
        return wrong(format!("the metadata does not say `{}`", metadata::COLUMNS));
    };
    let described: Vec<TableColumn> = match serde_json::from_str(text) {
        Ok(described) => described,
        Err(error) => {
            return wrong(format!("`{}` of the metadata cannot be read: {error}", metadata::COLUMNS));
        }
    };
    let Some(own) = &expected.own else {
        if !described.is_empty() {
            wrong("a file of rejects describes columns of a table".to_owned());
        }
        return;
    };
    let is_own = |name: &&str| !ENGINE.iter().any(|every| every.name == *name);
    let columns = file.schema_descr().columns();
    let found: Vec<_> =
        columns.iter().map(|column| column.path().parts()[0].as_str()).filter(is_own).collect();
    let named: Vec<_> = described.iter().map(|column| column.name.as_str()).collect();
    if found != named {
        return wrong("the metadata describes other columns than the file has".to_owned());
    }
    let table: HashMap<_, _> = own.iter().map(|column| (column.name.as_str(), &column.identity)).collect();
    for column in &described {
        // That the table lacks the column is a finding of its own.
        if let Some(identity) =
            table.get(column.name.as_str()).filter(|identity| ***identity != column.identity)
        {
            wrong(format!("column `{}` holds {}, and in the table {identity}", column.name, column.identity));
        }
    }
}

/// The layout that a file says it has.
fn layout(file: &FileMetaData) -> Option<u32> {
    said(file, metadata::LAYOUT)?.parse().ok()
}
