//! What every output file is made of: the columns of the engine, those of rejects, the types there are, and the version.
//!
//! Whoever writes files, reads them, checks them or tells a catalog of them takes names, order and types from here, so
//! that each is said once. What must stay true: the columns of a table of rows are [`ENGINE`], then the table's own; those
//! of a table of rejects are [`REJECTS`] and no others; a kind has one type in every reader, for ever. If the bytes of
//! files change, raise [`LAYOUT`]: the golden digests in `tests/it` show when that is due.

use arrow::datatypes::{DataType, TimeUnit};

use crate::path::Kind;

/// Version of the layout of output files. Files of different layouts may differ byte by byte though they say the same.
pub const LAYOUT: u32 = 3;

/// The column that holds the identity of the source of a row.
pub const SOURCE: &str = "_source";
/// The column that holds the number of the record in its source, from 1.
pub const RECORD: &str = "_record";
/// The column that holds, as one JSON object, the fields of a record that have no column.
pub const OVERFLOW: &str = "_overflow";
/// The partition keys of every table. Their values are zero-padded strings.
pub const PARTITION_KEYS: [&str; 4] = ["year", "month", "day", "hour"];

/// The first field id of a table's own columns. Below are those of the engine: its columns, those of rejects, and, for
/// formats that know partition keys as columns, 4 to 7 for [`PARTITION_KEYS`].
pub const FIRST_FIELD_ID: u32 = 16;

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
    /// The key of the receipt that makes the file part of the table, once it is there.
    pub const RECEIPT: &str = "iotlake.receipt";
    /// Of a file that holds rows of many sources: the key of the manifest that makes it part of the table, once it is there.
    pub const GENERATION: &str = "iotlake.generation";
    /// JSON list of the columns with name, field id, path and kind.
    pub const COLUMNS: &str = "iotlake.columns";
}

/// The type of a column, in every reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// 64-bit floating point.
    Double,
    /// 64-bit integer.
    Long,
    /// True or false.
    Boolean,
    /// UTF-8.
    Text,
    /// Microseconds since 1970, in UTC.
    Timestamp,
    /// Any bytes.
    Bytes,
}

impl ColumnType {
    /// The type's name in Athena, Glue and Hive DDL.
    pub fn hive(self) -> &'static str {
        match self {
            ColumnType::Double => "double",
            ColumnType::Long => "bigint",
            ColumnType::Boolean => "boolean",
            ColumnType::Text => "string",
            ColumnType::Timestamp => "timestamp",
            ColumnType::Bytes => "binary",
        }
    }

    /// The type in Arrow, and so, by its converter, in Parquet.
    pub fn arrow(self) -> DataType {
        match self {
            ColumnType::Double => DataType::Float64,
            ColumnType::Long => DataType::Int64,
            ColumnType::Boolean => DataType::Boolean,
            ColumnType::Text => DataType::Utf8,
            ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            ColumnType::Bytes => DataType::Binary,
        }
    }

    /// The type whose [`ColumnType::arrow`] is `ty`.
    pub fn of_arrow(ty: &DataType) -> Option<ColumnType> {
        ColumnType::ALL.into_iter().find(|known| known.arrow() == *ty)
    }

    /// Every type.
    pub const ALL: [ColumnType; 6] = [
        ColumnType::Double,
        ColumnType::Long,
        ColumnType::Boolean,
        ColumnType::Text,
        ColumnType::Timestamp,
        ColumnType::Bytes,
    ];
}

impl From<Kind> for ColumnType {
    fn from(kind: Kind) -> ColumnType {
        match kind {
            Kind::Double => ColumnType::Double,
            Kind::Long => ColumnType::Long,
            Kind::Boolean => ColumnType::Boolean,
            Kind::String | Kind::Json => ColumnType::Text,
            Kind::Timestamp => ColumnType::Timestamp,
        }
    }
}

/// A column that the engine brings itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineColumn {
    /// Its name.
    pub name: &'static str,
    /// Its field id in Parquet, for ever.
    pub id: u32,
    /// Its type.
    pub ty: ColumnType,
    /// Whether every file has it, with a value in every row.
    pub required: bool,
    /// What it holds, for people.
    pub about: &'static str,
}

impl EngineColumn {
    const fn required(name: &'static str, id: u32, ty: ColumnType, about: &'static str) -> EngineColumn {
        EngineColumn { name, id, ty, required: true, about }
    }
}

const LINEAGE: [EngineColumn; 2] = [
    EngineColumn::required(SOURCE, 1, ColumnType::Text, "the source of the row"),
    EngineColumn::required(RECORD, 2, ColumnType::Long, "its record in the source, from 1"),
];

/// The columns that every table of rows has, in front of its own.
pub const ENGINE: [EngineColumn; 3] = [
    LINEAGE[0],
    LINEAGE[1],
    EngineColumn {
        name: OVERFLOW,
        id: 3,
        ty: ColumnType::Text,
        required: false,
        about: "fields without a column, as JSON",
    },
];

/// The columns of every table of rejects.
pub const REJECTS: [EngineColumn; 8] = [
    LINEAGE[0],
    LINEAGE[1],
    EngineColumn::required("offset", 8, ColumnType::Long, "where it begins in the decoded source"),
    EngineColumn::required("length", 9, ColumnType::Long, "how many bytes it has"),
    EngineColumn::required("line", 10, ColumnType::Long, "the line of its first byte, from 1"),
    EngineColumn::required("reason", 11, ColumnType::Text, "why it was rejected"),
    EngineColumn::required("sha256", 12, ColumnType::Text, "the digest of its bytes"),
    EngineColumn::required("bytes", 13, ColumnType::Bytes, "its first bytes"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_of_the_engine_has_an_id_of_its_own() {
        let mut ids: Vec<u32> = ENGINE.iter().chain(&REJECTS[2..]).map(|column| column.id).collect();
        ids.extend(4..8);
        ids.sort_unstable();
        assert_eq!(ids, (1..14).collect::<Vec<_>>());
        assert!(ids.last() < Some(&FIRST_FIELD_ID));
    }

    #[test]
    fn a_type_is_known_by_what_it_is_in_arrow() {
        for ty in ColumnType::ALL {
            assert_eq!(ColumnType::of_arrow(&ty.arrow()), Some(ty));
        }
        assert_eq!(ColumnType::of_arrow(&DataType::Int32), None);
    }
}
