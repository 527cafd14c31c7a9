//! The rules, and those among them that only the catalog is needed for.

use std::collections::HashSet;
use std::fmt;

use iotlake_flatten::naming::{MAX_NAME, is_reserved};

use super::Finding;
use crate::catalog::Table;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Some reader fails or sees something else than it should.
    Error,
    /// Worth knowing; every reader sees what it should.
    Warning,
}

macro_rules! rules {
    ($($(#[doc = $doc:literal])* $name:ident, $code:literal, $hint:literal;)*) => {
        /// A rule of the lake.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $($(#[doc = $doc])* $name,)*
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &[Rule] = &[$(Rule::$name),*];

            /// Its stable name.
            pub fn code(self) -> &'static str {
                match self { $(Rule::$name => $code,)* }
            }

            /// What to do when it is broken.
            pub fn hint(self) -> &'static str {
                match self { $(Rule::$name => $hint,)* }
            }
        }
    };
}

rules! {
    /// The catalog can be read.
    Catalog, "catalog", "restore the document from a backup, or upgrade iotlake if it is newer";
    /// Folders of data and receipts belong to tables of the catalog.
    UnknownTable, "unknown-table", "move it out of the lake, or restore the catalog that knows the table";
    /// Names of columns are lower case `[a-z0-9_.-]`, at most 127 bytes.
    ColumnName, "column-name", "Athena or QuickSight will not take it; ingest into a new table";
    /// Names of columns are unique ignoring case.
    ColumnTwice, "column-twice", "Athena refuses the table; ingest into a new table";
    /// No column is named as a partition key.
    PartitionKey, "partition-key", "Athena refuses the table; ingest into a new table";
    /// Nothing below a table begins with `_` or `.`.
    HiddenName, "hidden-name", "move it out of the lake";
    /// Files below a table are Parquet files.
    ForeignFile, "foreign-file", "move it out of the lake";
    /// Folders are `year=YYYY/month=MM/day=DD/hour=HH`.
    FolderName, "folder-name", "remove the folder, and ingest its sources with --replace";
    /// Files are named `<hash of the source>-<part>.parquet`, with `-r<revision>` if the source was ingested anew.
    FileName, "file-name", "move it out of the lake; files are written by iotlake only";
    /// The files of a source that has a receipt are those that the receipt names. Whoever reads by path reads others too.
    StaleFile, "stale-file", "ingest its source again, which completes what a run that was killed had begun; `iotlake clean` removes what is left";
    /// The footer of a file can be read.
    Unreadable, "unreadable", "remove the file, and ingest its source with --replace";
    /// A file has one row group.
    RowGroups, "row-groups", "remove the file, and ingest its source with --replace";
    /// Pages are compressed as every reader knows it.
    Codec, "codec", "remove the file, and ingest its source with --replace";
    /// Every column of a file is one of the table's.
    UnknownColumn, "unknown-column", "queries do not see it; restore the newest catalog, or ingest its source with --replace";
    /// The type of a column in a file is that of the table.
    ColumnType, "column-type", "Athena fails on the file; remove it, and ingest its source with --replace";
    /// The field id of a column in a file is that of the table. Files of layouts before 3 have none.
    FieldId, "field-id", "readers that go by field ids take it for another column; ingest its source with --replace";
    /// A file has `_source` and `_record`.
    Lineage, "lineage", "remove the file, and ingest its source with --replace";
    /// Columns of a file stand in the order of the table.
    ColumnOrder, "column-order", "remove the file, and ingest its source with --replace";
    /// What a file says about its columns is what the table says.
    ColumnMetadata, "column-metadata", "remove the file, and ingest its source with --replace";
    /// The catalog knows every partition that has data.
    PartitionUnknown, "partition-unknown", "`iotlake catalog rebuild` registers it; so does ingesting its sources with --replace";
    /// A partition that the catalog knows has data.
    PartitionEmpty, "partition-empty", "nothing needs to be done";
    /// A receipt can be read.
    ReceiptUnreadable, "receipt-unreadable", "ingest its source with --replace, which finds every file of the source";
    /// A receipt lies where that of its source is looked for.
    ReceiptPlace, "receipt-place", "remove it, and ingest its source again";
    /// In a receipt, records = rows + rejected, and its files have them all.
    ReceiptBalance, "receipt-balance", "ingest the source with --replace, and report this as a bug";
    /// The files that a receipt names are its own.
    ReceiptOutput, "receipt-output", "ingest the source with --replace, and report this as a bug";
    /// The files of a source have all of its parts, bytes and records, each once.
    Gap, "gap", "ingest the source with --replace";
    /// The files that a receipt names are there.
    OutputMissing, "output-missing", "ingest the source with --replace";
    /// A file has the length that its receipt says.
    OutputSize, "output-size", "ingest the source with --replace";
    /// A file has as many rows as its receipt says.
    OutputRows, "output-rows", "ingest the source with --replace";
    /// A file names the same source and layout as its receipt.
    OutputMetadata, "output-metadata", "ingest the source with --replace";
    /// A file has the digest that its receipt says.
    OutputDigest, "output-digest", "ingest the source with --replace";
    /// The manifest of a generation can be read, and agrees with itself.
    Manifest, "manifest", "manifests never change: take it from a backup of the lake, or upgrade iotlake if it is newer";
    /// The files that a generation shows are there, as its manifest says.
    Generation, "generation", "take it from a backup of the lake, or ingest the sources that the manifest names with --replace";
    /// A generation has the rows that receipts name; those who read by receipts leave others out.
    Superseded, "superseded-rows", "the next `iotlake compact`, or `iotlake audit --repair`, makes a generation without them; until then those who read by path or by the location in the catalog see them";
    /// The catalog says that a partition lies where its newest generation does.
    Location, "location", "`iotlake audit --repair`, or the next `iotlake compact`, sets it";
}

impl Rule {
    /// How bad it is when it is broken.
    pub fn severity(self) -> Severity {
        match self {
            Rule::PartitionEmpty | Rule::Superseded => Severity::Warning,
            _ => Severity::Error,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Checks the names of a table's columns.
pub(super) fn check_names(table: &Table, findings: &mut Vec<Finding>) {
    let mut names = HashSet::new();
    for column in table.schema.columns() {
        let mut find = |rule, message| findings.push(Finding::new(rule, &table.name, message));
        if is_reserved(&column.name.to_ascii_lowercase()) {
            find(
                Rule::PartitionKey,
                format!("column `{}` has a name that belongs to the engine", column.name),
            );
        }
        if let Some(reason) = illegal(&column.name) {
            find(Rule::ColumnName, format!("column `{}` {reason}", column.name));
        }
        if !names.insert(column.name.to_lowercase()) {
            find(Rule::ColumnTwice, format!("column `{}` stands there twice, ignoring case", column.name));
        }
    }
}

/// Why `name` is no name of a column.
pub(super) fn illegal(name: &str) -> Option<String> {
    let is_allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '.' | '-');
    if name.is_empty() {
        return Some("has an empty name".to_owned());
    }
    if let Some(c) = name.chars().find(|c| !is_allowed(*c)) {
        return Some(format!("has a character outside of a-z, 0-9, `_`, `.` and `-`: {c:?}"));
    }
    (name.len() > MAX_NAME).then(|| format!("is longer than {MAX_NAME} bytes"))
}
