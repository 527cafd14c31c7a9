//! What a table is in Glue's words, and back.
//!
//! In comes a table of iotlake or the definition that `GetTable` gave; out comes the input of `CreateTable` and
//! `UpdateTable`, or the table. Options live in the table's parameters, the identity of a column in its own
//! parameters (`Column.Parameters`), never in its comment, which is short and belongs to the user.
//!
//! What must stay true: a definition that is read and changed keeps every field of `TableInput`, whoever wrote it;
//! what does not say what iotlake needs to know is refused rather than guessed at.

use aws_sdk_glue::types::{Column, SerDeInfo, StorageDescriptor, Table as Definition, TableInput};
use iotlake_flatten::layout::{ENGINE, EngineColumn, PARTITION_KEYS, REJECTS};
use iotlake_flatten::{ColumnType, Contract, Identity, Kind, Path, Schema, TableColumn};

use crate::catalog::{Table, TableName};
use crate::partition::PartitionBy;
use crate::source::KeyPattern;

/// The newest format of parameters that this version reads, and the one it writes.
pub(super) const FORMAT: u64 = 1;

/// The format; what has it is ours.
pub(super) const FORMAT_PARAMETER: &str = "iotlake.format";
/// The view of a view, as JSON.
pub(super) const VIEW_PARAMETER: &str = "iotlake.view";
const LAYOUT_PARAMETER: &str = "iotlake.layout";
const PARTITION_BY_PARAMETER: &str = "iotlake.partition_by";
const KEY_PATTERN_PARAMETER: &str = "iotlake.key_pattern";
const CONTRACT_PARAMETER: &str = "iotlake.contract";
/// The table whose rejects a table holds.
const REJECTS_PARAMETER: &str = "iotlake.rejects_of";
/// Of a column: the keys that lead to its values, as a JSON array.
const PATH_PARAMETER: &str = "iotlake.path";
/// Of a column: their kind.
const KIND_PARAMETER: &str = "iotlake.kind";
/// Of a column: its field id in files.
const ID_PARAMETER: &str = "iotlake.id";

const TABLE_TYPE: &str = "EXTERNAL_TABLE";
pub(super) const VIEW_TYPE: &str = "VIRTUAL_VIEW";
const INPUT_FORMAT: &str = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat";
const OUTPUT_FORMAT: &str = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat";
const SERDE: &str = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe";

/// What an entry of a database is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A table of iotlake.
    Table,
    /// The rejects of the table of this name.
    Rejects(String),
    /// A view of iotlake.
    View,
    /// Something else, and how that can be told.
    Foreign(String),
}

/// Why a definition is not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It is of this format.
    Newer(u64),
    /// This is wrong with it.
    Damaged(String),
}

/// What `definition` defines.
pub(super) fn entry(definition: &Definition) -> Entry {
    let has = |name| parameter(definition, name).is_some();
    let ty = definition.table_type().unwrap_or("none");
    if ty == VIEW_TYPE {
        return match has(VIEW_PARAMETER) {
            true => Entry::View,
            false => Entry::Foreign("it is a view that iotlake did not make".to_owned()),
        };
    }
    let input = definition.storage_descriptor().and_then(StorageDescriptor::input_format).unwrap_or("none");
    let not_ours = |how: String| Entry::Foreign(format!("iotlake did not make it ({how})"));
    if ty != TABLE_TYPE {
        not_ours(format!("its type is {ty}, not {TABLE_TYPE}"))
    } else if input != INPUT_FORMAT {
        not_ours(format!("its input format is {input}, not that of Parquet"))
    } else if let Some(of) = parameter(definition, REJECTS_PARAMETER) {
        Entry::Rejects(of.to_owned())
    } else if has(FORMAT_PARAMETER) {
        Entry::Table
    } else {
        not_ours(format!("it has no parameter `{FORMAT_PARAMETER}`"))
    }
}

/// The location of its files; empty if there is none.
pub(super) fn location(definition: &Definition) -> &str {
    definition.storage_descriptor().and_then(StorageDescriptor::location).unwrap_or_default()
}

/// The table that `definition`, an [`Entry::Table`], defines.
pub(super) fn read(name: &str, definition: &Definition) -> Result<Table, Flaw> {
    let format: u64 = parse(definition, FORMAT_PARAMETER, |text| text.parse().ok())?;
    if format > FORMAT {
        return Err(Flaw::Newer(format));
    }
    let layout = parse(definition, LAYOUT_PARAMETER, |text| text.parse().ok())?;
    let partition_by: PartitionBy = parse(definition, PARTITION_BY_PARAMETER, |text| text.parse().ok())?;
    let key_pattern: Option<KeyPattern> = match parameter(definition, KEY_PATTERN_PARAMETER) {
        Some(_) => Some(parse(definition, KEY_PATTERN_PARAMETER, |text| text.parse().ok())?),
        None => None,
    };
    let contract: Contract = parse(definition, CONTRACT_PARAMETER, |text| serde_json::from_str(text).ok())?;
    let keys = definition.partition_keys().iter().map(|key| (key.name(), key.r#type().unwrap_or_default()));
    if !keys.eq(PARTITION_KEYS.map(|key| (key, "string"))) {
        let keys = PARTITION_KEYS.join(", ");
        return Err(Flaw::Damaged(format!("its partition keys are not {keys}, each of type string")));
    }
    let columns = read_columns(columns(definition))?;
    let schema = Schema::from_columns(contract, columns).map_err(|error| Flaw::Damaged(error.to_string()))?;
    Ok(Table { name: name.to_owned(), schema, partition_by, key_pattern, layout })
}

fn parse<T>(definition: &Definition, name: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, Flaw> {
    let text = parameter(definition, name);
    let text = text.ok_or_else(|| Flaw::Damaged(format!("it has no parameter `{name}`")))?;
    read(text)
        .ok_or_else(|| Flaw::Damaged(format!("its parameter `{name}` cannot be read: {}", excerpt(text))))
}

/// As much of a text as fits in a message.
fn excerpt(text: &str) -> String {
    let begin: String = text.chars().take(60).collect();
    if begin.len() < text.len() { begin + "..." } else { begin }
}

/// The table's own columns of all that it has.
fn read_columns(columns: &[Column]) -> Result<Vec<TableColumn>, Flaw> {
    for EngineColumn { name, ty, .. } in ENGINE {
        match columns.iter().find(|column| column.name() == name) {
            Some(column) => check_type(column, ty)?,
            None => {
                return Err(Flaw::Damaged(format!("column `{name}`, which every table has, is not there")));
            }
        }
    }
    let own = columns.iter().filter(|column| ENGINE.iter().all(|every| column.name() != every.name));
    own.map(read_column).collect()
}

fn read_column(column: &Column) -> Result<TableColumn, Flaw> {
    let name = column.name();
    let parameter = |parameter: &str| {
        let text = column.parameters().and_then(|parameters| parameters.get(parameter));
        text.ok_or_else(|| {
            Flaw::Damaged(format!(
                "column `{name}` has no parameter `{parameter}`: nobody but iotlake may add columns or write them anew"
            ))
        })
    };
    let unreadable = |parameter: &str, text: &str| {
        Flaw::Damaged(format!("parameter `{parameter}` of column `{name}` cannot be read: {}", excerpt(text)))
    };
    let path = parameter(PATH_PARAMETER)?;
    let path: Path = serde_json::from_str(path).map_err(|_| unreadable(PATH_PARAMETER, path))?;
    let word = parameter(KIND_PARAMETER)?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.word() == word);
    let kind = kind.ok_or_else(|| unreadable(KIND_PARAMETER, word))?;
    check_type(column, kind.into())?;
    // Tables that are older than field ids have none.
    let id = column.parameters().and_then(|parameters| parameters.get(ID_PARAMETER));
    let id = id.map(|id| id.parse().map_err(|_| unreadable(ID_PARAMETER, id))).transpose()?;
    Ok(TableColumn { name: name.to_owned(), id, identity: Identity::new(path, kind) })
}

fn check_type(column: &Column, expected: ColumnType) -> Result<(), Flaw> {
    let expected = expected.hive();
    match column.r#type().unwrap_or("none") {
        ty if ty == expected => Ok(()),
        ty => Err(Flaw::Damaged(format!(
            "column `{}` has type {ty}, but its files have {expected}: the type of a column never changes",
            column.name()
        ))),
    }
}

/// The input that makes `table` with files at `location`.
pub(super) fn of_table(table: &Table, location: String) -> TableInput {
    let own = table.schema.columns().iter().map(own_column);
    let columns = ENGINE.iter().map(of_engine).chain(own).collect();
    let options = [
        (LAYOUT_PARAMETER, table.layout.to_string()),
        (PARTITION_BY_PARAMETER, table.partition_by.to_string()),
        (CONTRACT_PARAMETER, contract(table)),
    ];
    let mut input = parquet(&table.name, location, columns, options);
    set_key_pattern(&mut input, table);
    input
}

fn set_key_pattern(input: &mut TableInput, table: &Table) {
    if let Some(pattern) = &table.key_pattern {
        let parameters = input.parameters.get_or_insert_default();
        parameters.insert(KEY_PATTERN_PARAMETER.to_owned(), pattern.to_string());
    }
}

/// The input that makes the table of the rejects of `table`.
pub(super) fn of_rejects(table: &str, location: String) -> TableInput {
    let columns = REJECTS.iter().map(of_engine).collect();
    let options = [(REJECTS_PARAMETER, table.to_owned())];
    parquet(&TableName::rejects(table).to_string(), location, columns, options)
}

/// The input that changes `definition` to what `table` is now: its contract, and columns behind those that are there.
pub(super) fn changed(definition: &Definition, table: &Table) -> TableInput {
    let mut input = unchanged(definition);
    let parameters = input.parameters.get_or_insert_default();
    parameters.insert(CONTRACT_PARAMETER.to_owned(), contract(table));
    set_key_pattern(&mut input, table);
    let there = columns(definition).len() - ENGINE.len();
    let new = table.schema.columns()[there..].iter().map(own_column);
    let descriptor = input.storage_descriptor.get_or_insert_with(|| StorageDescriptor::builder().build());
    descriptor.columns.get_or_insert_default().extend(new);
    input
}

/// The input that leaves `definition` as it is.
pub(super) fn unchanged(definition: &Definition) -> TableInput {
    // Some catalogs answer with an empty text, which Glue does not take, where there is none.
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    TableInput::builder()
        .name(&definition.name)
        .set_description(text(&definition.description))
        .set_owner(text(&definition.owner))
        .set_last_access_time(definition.last_access_time)
        .set_last_analyzed_time(definition.last_analyzed_time)
        .retention(definition.retention)
        .set_storage_descriptor(definition.storage_descriptor.clone())
        .set_partition_keys(definition.partition_keys.clone())
        .set_view_original_text(definition.view_original_text.clone())
        .set_view_expanded_text(definition.view_expanded_text.clone())
        .set_table_type(definition.table_type.clone())
        .set_parameters(definition.parameters.clone())
        .set_target_table(definition.target_table.clone())
        .build()
        .expect("it has a name")
}

/// The descriptor of a partition of `definition` whose files lie at `location`: Athena consults the partition's own
/// columns, which have to be those of the table.
pub(super) fn of_partition(definition: &Definition, location: String) -> StorageDescriptor {
    let plain = |from: &Column| column(from.name(), from.r#type().unwrap_or_default());
    let table = definition.storage_descriptor();
    StorageDescriptor::builder()
        .set_columns(Some(columns(definition).iter().map(plain).collect()))
        .location(location)
        .set_input_format(table.and_then(|table| table.input_format.clone()))
        .set_output_format(table.and_then(|table| table.output_format.clone()))
        .set_serde_info(table.and_then(|table| table.serde_info.clone()))
        .number_of_buckets(-1)
        .build()
}

/// All columns of a definition.
pub(super) fn columns(definition: &Definition) -> &[Column] {
    definition.storage_descriptor().map(StorageDescriptor::columns).unwrap_or_default()
}

/// A parameter of a definition.
pub(super) fn parameter<'a>(definition: &'a Definition, name: &str) -> Option<&'a str> {
    definition.parameters()?.get(name).map(String::as_str)
}

/// A column without parameters.
pub(super) fn column(name: &str, ty: &str) -> Column {
    Column::builder().name(name).r#type(ty).build().expect("it has a name")
}

fn of_engine(of: &EngineColumn) -> Column {
    column(of.name, of.ty.hive())
}

fn own_column(own: &TableColumn) -> Column {
    let Identity { path, kind } = &own.identity;
    Column::builder()
        .name(&own.name)
        .r#type(ColumnType::from(*kind).hive())
        .parameters(PATH_PARAMETER, path.to_json())
        .parameters(KIND_PARAMETER, kind.word())
        .parameters(ID_PARAMETER, own.id.expect("every column of a schema has an id").to_string())
        .build()
        .expect("it has a name")
}

fn contract(table: &Table) -> String {
    serde_json::to_string(table.schema.contract()).expect("a contract has text keys and finite numbers")
}

/// A table of Parquet files, partitioned as all of them are.
fn parquet<const N: usize>(
    name: &str,
    location: String,
    columns: Vec<Column>,
    options: [(&str, String); N],
) -> TableInput {
    let serde = SerDeInfo::builder().serialization_library(SERDE).parameters("serialization.format", "1");
    let descriptor = StorageDescriptor::builder()
        .set_columns(Some(columns))
        .location(location)
        .input_format(INPUT_FORMAT)
        .output_format(OUTPUT_FORMAT)
        .serde_info(serde.build())
        // As Athena and crawlers write it where there are none.
        .number_of_buckets(-1);
    let mut input = TableInput::builder()
        .name(name)
        .table_type(TABLE_TYPE)
        .storage_descriptor(descriptor.build())
        .set_partition_keys(Some(PARTITION_KEYS.iter().map(|key| column(key, "string")).collect()))
        .parameters("EXTERNAL", "TRUE")
        .parameters("classification", "parquet")
        // As crawlers say of Parquet: the files as such are not compressed, and the pages in them tell their own codec.
        .parameters("compressionType", "none")
        .parameters("typeOfData", "file")
        .parameters(FORMAT_PARAMETER, FORMAT.to_string());
    for (name, value) in options {
        input = input.parameters(name, value);
    }
    input.build().expect("it has a name")
}
