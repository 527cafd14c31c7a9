//! Why there is no report.

use crate::error::{Error, Hint};
use crate::query::QueryError;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The lake cannot be read.
    #[error(transparent)]
    Lake(#[from] Error),
    /// A query failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// There is no table of this name.
    #[error("there is no table `{name}`")]
    NoTable {
        /// What was asked for.
        name: String,
        /// Which there are.
        hint: String,
    },
    /// The column that is to tell devices apart is not there.
    #[error("there is no column `{name}` in {table}")]
    NoColumn {
        /// What was asked for.
        name: String,
        /// The table.
        table: String,
        /// Where columns are listed.
        hint: String,
    },
}

impl ReportError {
    /// There are others.
    pub(super) fn no_table(name: &str, there: &[String]) -> ReportError {
        let hint = match there {
            [] => "the lake has no tables yet: `iotlake backfill SRC --lake DIR` makes one".to_owned(),
            there => format!("there are {}", there.join(", ")),
        };
        ReportError::NoTable { name: name.to_owned(), hint }
    }
}

impl Hint for ReportError {
    fn hint(&self) -> Option<&str> {
        match self {
            ReportError::Lake(error) => error.hint(),
            ReportError::Query(error) => error.hint(),
            ReportError::NoTable { hint, .. } | ReportError::NoColumn { hint, .. } => Some(hint),
        }
    }
}
