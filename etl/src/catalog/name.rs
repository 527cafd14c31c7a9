//! Names of tables, and of the table of rejects that each has beside it.
//!
//! In comes a name that somebody chose; out comes whether every catalog takes it, and how the folders of rows and of
//! rejects are called. What must stay true: two tables never share a folder, so no table is called as the rejects of
//! another.

use std::fmt;

use super::{CatalogError, Result};

/// What follows a table's name in that of the table of its rejects.
const REJECTS_SUFFIX: &str = "_rejects";

/// The longest name of a table, in bytes: with that of its rejects and a file's extension it stays within the 255 that
/// Glue and file systems allow.
pub const MAX_TABLE_NAME: usize = 240;

/// Which of the two tables that a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Records that became rows.
    Rows,
    /// Records that were rejected.
    Rejects,
}

impl Side {
    /// Both.
    pub const BOTH: [Side; 2] = [Side::Rows, Side::Rejects];
}

/// A table of rows, or the table of its rejects: a folder of the lake, and an entry of the catalog.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// The name of the table, whichever side is meant.
    pub name: String,
    /// The side.
    pub side: Side,
}

impl TableName {
    /// One side of the table `name`.
    pub fn new(name: impl Into<String>, side: Side) -> TableName {
        TableName { name: name.into(), side }
    }

    /// The rows of the table `name`.
    pub fn rows(name: impl Into<String>) -> TableName {
        TableName::new(name, Side::Rows)
    }

    /// The rejects of the table `name`.
    pub fn rejects(name: impl Into<String>) -> TableName {
        TableName::new(name, Side::Rejects)
    }

    /// What a folder, or an entry of a catalog, of this name is.
    pub fn parse(folder: &str) -> TableName {
        match folder.strip_suffix(REJECTS_SUFFIX) {
            Some(name) => TableName::rejects(name),
            None => TableName::rows(folder),
        }
    }

    /// As [`check_name`].
    pub(super) fn check(&self) -> Result<()> {
        check_name(&self.name)
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = match self.side {
            Side::Rows => "",
            Side::Rejects => REJECTS_SUFFIX,
        };
        write!(f, "{}{suffix}", self.name)
    }
}

/// Checks that `name` can be the name of a table or a view on every catalog.
///
/// # Errors
/// [`CatalogError::InvalidName`] with what to write instead.
pub fn check_name(name: &str) -> Result<()> {
    let is_allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-');
    let reason = match name {
        "" => "a name has at least one character".to_owned(),
        name if name.starts_with(['_', '.']) => {
            "query engines ignore names that begin with `_` or `.`; begin it with a letter".to_owned()
        }
        name if name.chars().any(|c| !is_allowed(c)) => {
            let lower: String =
                name.to_lowercase().chars().map(|c| if is_allowed(c) { c } else { '_' }).collect();
            format!("only a-z, 0-9, `_` and `-` are allowed; `{lower}` would do")
        }
        name if name.ends_with(REJECTS_SUFFIX) => {
            format!("`{REJECTS_SUFFIX}` marks the rejects of another table; choose another ending")
        }
        name if name.len() > MAX_TABLE_NAME => {
            format!("it has {} bytes; at most {MAX_TABLE_NAME} are allowed", name.len())
        }
        _ => return Ok(()),
    };
    Err(CatalogError::InvalidName { name: name.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_name_is_refused_with_a_better_one() {
        let message = |name: &str| check_name(name).unwrap_err().to_string();
        assert_eq!(
            message("My Table"),
            "`My Table` cannot be a name: only a-z, 0-9, `_` and `-` are allowed; `my_table` would do"
        );
        assert!(message("x_rejects").contains("marks the rejects of another table"));
        assert!(message("_x").contains("begin it with a letter"));
        assert!(message(".x").contains("begin it with a letter"));
        assert!(message("").contains("at least one character"));
        assert!(message(&"x".repeat(241)).contains("241 bytes"));
        for name in ["telemetry", "iot-data_2", &"x".repeat(240)] {
            check_name(name).unwrap();
        }
    }

    #[test]
    fn a_folder_tells_the_table_and_its_side() {
        for name in ["t", "t_rejects", "x_rejects_rejects"] {
            assert_eq!(TableName::parse(name).to_string(), name);
        }
        assert_eq!(TableName::parse("t_rejects"), TableName::rejects("t"));
        TableName::parse("telemetry_rejects").check().unwrap();
        TableName::rejects("x_rejects").check().unwrap_err();
    }
}
