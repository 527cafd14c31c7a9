//! Views, stored as Athena stores them.
//!
//! A view is a table without files whose text is a comment with Base64 of JSON: the `SELECT`, the schema its names are
//! looked up in, and its columns with their types in Trino's words. Glue's own columns say the same in Hive's words.
//! The description that the `SELECT` was written from stands beside it as a parameter; that is what is read back.
//!
//! What must stay true: what is stored is right for the columns that the table has now ([`write`] does nothing if it
//! is), and a table or a view that iotlake did not make is left alone. Whether Athena reads a view whose columns have
//! dots in their names is not verified; the same `SELECT` can be had as text from [`View::to_sql`].
//!
//! [`write`]: GlueCatalog::write_view

use aws_sdk_glue::types::{SerDeInfo, StorageDescriptor, Table as Definition, TableInput};
use aws_smithy_types::base64;
use iotlake_flatten::Schema;
use serde::Serialize;

use super::definition::{self, Entry, FORMAT, FORMAT_PARAMETER, Flaw, VIEW_PARAMETER, VIEW_TYPE};
use super::{ATTEMPTS, GlueCatalog, wait};
use crate::catalog::{Catalog, CatalogError, Result};
use crate::view::View;

/// What Athena calls the catalog of an account.
const CATALOG: &str = "awsdatacatalog";

/// The text that Trino shows to Hive, and the comment of the table.
const EXPANDED: &str = "/* Presto View */";

/// What Trino keeps of a view.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stored<'a> {
    original_sql: String,
    catalog: &'a str,
    schema: &'a str,
    columns: Vec<StoredColumn>,
}

#[derive(Serialize)]
struct StoredColumn {
    name: String,
    #[serde(rename = "type")]
    ty: &'static str,
}

impl GlueCatalog {
    /// Makes a view, or brings the one that is there up to date.
    pub(super) fn write_view(&self, view: &View) -> Result<()> {
        let name = &view.name;
        let table = self.table(&view.table)?;
        let table = table.ok_or_else(|| CatalogError::NoTable { name: view.table.clone() })?;
        let new = input(view, &table.schema, &self.database);
        for attempt in 0..ATTEMPTS {
            let is_done = match self.definition(name)? {
                None => self.create(name, new.clone())?,
                Some(there) => match definition::entry(&there) {
                    Entry::View => {
                        let (before, after) = (definition::unchanged(&there), replaced(&there, &new));
                        before == after || self.update(&there, after)?
                    }
                    Entry::Foreign(reason) => return Err(self.foreign(name, reason)),
                    Entry::Table | Entry::Rejects(_) => {
                        return Err(self.foreign(name, "it is a table of iotlake, not a view"));
                    }
                },
            };
            if is_done {
                return Ok(());
            }
            wait(attempt);
        }
        Err(CatalogError::Contended { uri: self.resource(name), attempts: ATTEMPTS })
    }

    /// The view that `definition`, an [`Entry::View`], defines.
    pub(super) fn read_view(&self, definition: &Definition) -> Result<View> {
        let name = definition.name();
        let damaged = |reason: String| self.flawed(name, Flaw::Damaged(reason));
        let format = definition::parameter(definition, FORMAT_PARAMETER).and_then(|text| text.parse().ok());
        match format {
            Some(format) if format > FORMAT => return Err(self.flawed(name, Flaw::Newer(format))),
            Some(_) => {}
            None => return Err(damaged(format!("its parameter `{FORMAT_PARAMETER}` is no number"))),
        }
        let text = definition::parameter(definition, VIEW_PARAMETER).unwrap_or_default();
        let view: View = serde_json::from_str(text)
            .map_err(|error| damaged(format!("its parameter `{VIEW_PARAMETER}` cannot be read: {error}")))?;
        if view.name != name {
            return Err(damaged(format!("it is that of view `{}`", view.name)));
        }
        Ok(view)
    }
}

/// What `there` is once it says what `new` says, with what others added to it.
fn replaced(there: &Definition, new: &TableInput) -> TableInput {
    let mut input = definition::unchanged(there);
    input.view_original_text.clone_from(&new.view_original_text);
    input.view_expanded_text.clone_from(&new.view_expanded_text);
    let parameters = new.parameters.clone().unwrap_or_default();
    input.parameters.get_or_insert_default().extend(parameters);
    let columns = new.storage_descriptor().map(StorageDescriptor::columns).unwrap_or_default();
    if definition::columns(there).iter().map(named).ne(columns.iter().map(named)) {
        input.storage_descriptor.clone_from(&new.storage_descriptor);
    }
    input
}

fn named(column: &aws_sdk_glue::types::Column) -> (&str, Option<&str>) {
    (column.name(), column.r#type())
}

/// The input that makes `view` on a table of this schema.
pub(super) fn input(view: &View, schema: &Schema, database: &str) -> TableInput {
    // Athena folds names, in whatever case they were written.
    let columns = || view.columns.iter().map(|column| (column.name.to_ascii_lowercase(), column.ty));
    let stored = Stored {
        original_sql: view.to_sql(schema),
        catalog: CATALOG,
        schema: database,
        columns: columns().map(|(name, ty)| StoredColumn { name, ty: ty.sql_type() }).collect(),
    };
    let stored = serde_json::to_string(&stored).expect("it has text keys and no numbers");
    let text = serde_json::to_string(view).expect("it has text keys and no numbers");
    let hive = columns().map(|(name, ty)| definition::column(&name, ty.hive_type())).collect();
    // Athena does not read a view that lacks them.
    let descriptor = StorageDescriptor::builder()
        .set_columns(Some(hive))
        .location("")
        .serde_info(SerDeInfo::builder().build());
    TableInput::builder()
        .name(&view.name)
        .table_type(VIEW_TYPE)
        .storage_descriptor(descriptor.build())
        .set_partition_keys(Some(Vec::new()))
        .view_original_text(format!("/* Presto View: {} */", base64::encode(stored)))
        .view_expanded_text(EXPANDED)
        .parameters("presto_view", "true")
        .parameters("comment", "Presto View")
        .parameters(FORMAT_PARAMETER, FORMAT.to_string())
        .parameters(VIEW_PARAMETER, text)
        .build()
        .expect("it has a name")
}
