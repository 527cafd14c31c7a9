//! Making the tables before the first message, so that queries return no rows rather than an error.
//!
//! In come the settings; out come the database, the table with the columns of its contract, the table of its rejects
//! and, for the kit, its view: made, or found as they should be. Repeating it changes nothing.
//!
//! What must stay true: a table that is missing though its files are there is not made anew, for it would not have the
//! columns that its files have.

use std::ops::ControlFlow;

use serde_json::{Value, json};

use super::worker::Worker;
use crate::backfill::{Options, ensure_table};
use crate::catalog::TableName;
use crate::contract;
use crate::error::Error;
use crate::error::Hint;
use crate::location::OpenError;
use crate::storage::Storage;
use crate::view::{View, rigado_view};
use iotlake_flatten::Contract;

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Files without a table.
    #[error(
        "there are files below {folder}, but no table `{table}`: it was deleted, or the lake is another one"
    )]
    Orphaned {
        /// Where they lie.
        folder: String,
        /// The table that is missing.
        table: String,
    },
    /// The file or object that should be the contract.
    #[error("IOTLAKE_CONTRACT is `{name}`: cannot be read: {problem}")]
    Contract {
        /// What was said.
        name: String,
        /// Why not.
        problem: String,
    },
    /// The database could not be made.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Anything below.
    #[error(transparent)]
    Below(#[from] Error),
}

impl Hint for InitError {
    fn hint(&self) -> Option<&str> {
        match self {
            InitError::Orphaned { .. } => Some(
                "make it again with `iotlake catalog rebuild`; or move its files and receipts away and \
                 ingest the sources again",
            ),
            InitError::Contract { .. } => {
                Some("a built-in name, a file in the function's package or s3://bucket/key")
            }
            InitError::Open(error) => error.hint(),
            InitError::Below(error) => error.hint(),
        }
    }
}

impl Worker {
    /// Makes database, tables and view, or finds them; says what there is.
    ///
    /// # Errors
    /// See [`InitError`]. What was made until then stays and is found by the next attempt.
    pub fn init(&self) -> Result<Value, InitError> {
        let settings = self.settings();
        let lake = self.lake_to_make()?;
        let there = lake.catalog.table(&settings.table).map_err(Error::from)?;
        if there.is_none() {
            refuse_orphans(&*lake.storage, &settings.table)?;
        }
        let (contract, view) = match (&settings.contract, &there) {
            (Some(name), _) => self.contract(name)?,
            (None, Some(table)) => (table.schema.contract().clone(), None),
            (None, None) => (Contract::default(), None),
        };
        let (by, pattern) = there.map(|table| (table.partition_by, table.key_pattern)).unzip();
        let partition_by = settings.partition_by.clone().or(by).unwrap_or_default();
        let key_pattern = settings.key_pattern.clone().or(pattern.flatten()).unwrap_or_default();
        let run = self.run(partition_by);
        let options = Options { run, contract, key_pattern: Some(key_pattern), view, jobs: 1 };
        let table = ensure_table(&lake, &options).map_err(Error::from)?;
        Ok(json!({
            "table": table.name,
            "columns": table.schema.columns().len(),
            "partition_by": table.partition_by.to_string(),
            "rejects": TableName::rejects(table.name).to_string(),
            "view": options.view.map(|view| view.name),
        }))
    }

    /// The contract of this name, and the view that belongs to it.
    fn contract(&self, name: &str) -> Result<(Contract, Option<View>), InitError> {
        if let Some(contract) = contract::builtin(name) {
            let view = (name == "rigado").then(|| rigado_view(&self.settings().table));
            return Ok((contract, view));
        }
        let failed = |problem: String| InitError::Contract { name: name.to_owned(), problem };
        let bytes = match name.strip_prefix("s3://").and_then(|rest| rest.split_once('/')) {
            Some((bucket, key)) => {
                let read = self.source(bucket).read(key);
                read.map_err(|error| failed(error.to_string()))?
                    .ok_or_else(|| failed("not found".to_owned()))?
            }
            None => std::fs::read(name).map_err(|error| failed(error.to_string()))?,
        };
        let text = String::from_utf8(bytes).map_err(|_| failed("it is not UTF-8".to_owned()))?;
        Ok((contract::parse(name, &text).map_err(Error::from)?, None))
    }
}

fn refuse_orphans(storage: &dyn Storage, table: &str) -> Result<(), InitError> {
    let folder = format!("{table}/");
    let mut found = false;
    let listed = storage.list_while(&folder, &mut |_| {
        found = true;
        Ok(ControlFlow::Break(()))
    });
    listed.map_err(Error::from)?;
    if found {
        return Err(InitError::Orphaned { folder: storage.uri(&folder), table: table.to_owned() });
    }
    Ok(())
}
