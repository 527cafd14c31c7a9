//! The Glue Data Catalog: the tables of one database, as Athena, QuickSight and Spark read them.
//!
//! A table of a lake is a Glue table whose parameters hold its contract and whose columns each hold the path and the
//! kind they are for; beside it stands the table of its rejects. `UpdateTable` with the version that was read is the
//! compare-and-swap. Calls, when nobody interferes: [`Catalog::table`], one `GetTable`; [`Catalog::evolve`], one
//! `GetTable` and, only if something is new, one `UpdateTable`; [`Catalog::commit`], none if it has seen the partitions,
//! else one `GetTable` and one `BatchCreatePartition` for at most 100 that it has not; [`Catalog::create_table`] of a
//! table that is there, two `GetTable`; lists, one call a page.
//!
//! What must stay true: what others wrote into a definition (descriptions, comments, parameters of their own) survives
//! every change made here; what iotlake did not make is never changed; a table whose files lie elsewhere than in this
//! lake is not taken for one of it.
//!
//! Name databases and tables with underscores where there is a choice: hyphens work, but Athena wants them quoted, and
//! Spark and Hive refuse a database with one.

mod definition;
mod partitions;
mod views;

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use aws_sdk_glue::Client;
use aws_sdk_glue::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_glue::types::{DatabaseInput, Table as Definition, TableInput};
use iotlake_flatten::{Identity, Schema, TableColumn};

use self::definition::{Entry, Flaw};
use super::known::Known;
use super::{
    Catalog, CatalogError, Committed, DataFile, Evolved, Result, Table, TableName, agree, check_name,
    register,
};
use crate::aws::{Aws, remote};
use crate::partition::Partition;
use crate::remote::{Fault, RemoteError};
use crate::view::View;

/// How often a change is tried before it is given up. With the waits between, that is more than a minute in which
/// every single time somebody else came first.
const ATTEMPTS: u32 = 100;

/// The longest wait between two attempts: several times what a `GetTable` with its `UpdateTable` takes.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

const ALREADY_EXISTS: &str = "AlreadyExistsException";
const CONCURRENT_MODIFICATION: &str = "ConcurrentModificationException";
const NOT_FOUND: &str = "EntityNotFoundException";

/// The tables of a lake in a database of the Glue Data Catalog.
#[derive(Debug)]
pub struct GlueCatalog {
    aws: Aws,
    client: Client,
    database: String,
    /// The root of the lake, without a `/` at its end.
    location: String,
    create_database: bool,
    /// Partitions known to be there, so that a file in one of them costs no call.
    known: Known,
}

impl GlueCatalog {
    /// The tables in `database` of the lake at `location`, such as `s3://bucket/prefix`. Asks nothing yet.
    pub fn new(aws: &Aws, database: &str, location: &str) -> GlueCatalog {
        GlueCatalog {
            aws: aws.clone(),
            client: aws.glue(),
            database: database.to_owned(),
            location: location.trim_end_matches('/').to_owned(),
            create_database: false,
            known: Known::default(),
        }
    }

    /// Lets [`Catalog::create_table`] make the database if there is none. Until then it is one without tables.
    #[must_use]
    pub fn with_create_database(self) -> GlueCatalog {
        GlueCatalog { create_database: true, ..self }
    }

    /// Where the files of a table lie, with a `/` at its end.
    fn location_of(&self, name: &str) -> String {
        format!("{}/{name}/", self.location)
    }

    /// What `GetTable` says; `None` if there is none of this name.
    fn definition(&self, name: &str) -> Result<Option<Definition>> {
        let request = self.client.get_table().database_name(&self.database).name(name);
        match self.aws.wait(request.send()) {
            Ok(answer) => Ok(answer.table),
            Err(error) => {
                self.unless_missing("glue:GetTable", name, &error)?;
                self.known.forget(&TableName::parse(name).name);
                Ok(None)
            }
        }
    }

    /// All that is in the database.
    fn definitions(&self) -> Result<Vec<Definition>> {
        let pages = self.client.get_tables().database_name(&self.database).into_paginator();
        match self.aws.wait(pages.send().collect::<Result<Vec<_>, _>>()) {
            Ok(pages) => Ok(pages.into_iter().flat_map(|page| page.table_list.unwrap_or_default()).collect()),
            Err(error) if code(&error) == Some(NOT_FOUND) && self.create_database => Ok(Vec::new()),
            Err(error) if code(&error) == Some(NOT_FOUND) => Err(self.no_database("glue:GetTables", &error)),
            Err(error) => {
                Err(remote("glue:GetTables", format!("database `{}`", self.database), &error).into())
            }
        }
    }

    /// The table that `definition` defines.
    fn read_table(&self, definition: &Definition) -> Result<Table> {
        let name = definition.name();
        match definition::entry(definition) {
            Entry::Table => {}
            Entry::Foreign(reason) => return Err(self.foreign(name, reason)),
            Entry::View => return Err(self.foreign(name, "it is a view of iotlake, not a table")),
            Entry::Rejects(of) => {
                return Err(self.foreign(name, format!("it is the table of the rejects of `{of}`")));
            }
        }
        self.check_location(name, definition)?;
        definition::read(name, definition).map_err(|flaw| self.flawed(name, flaw))
    }

    /// Files would go where no query looks for them if the table were that of another lake.
    fn check_location(&self, name: &str, definition: &Definition) -> Result<()> {
        let (has, asked) = (definition::location(definition), self.location_of(name));
        if has.trim_end_matches('/') == asked.trim_end_matches('/') {
            return Ok(());
        }
        let what = "its location".to_owned();
        Err(CatalogError::Disagrees { table: name.to_owned(), what, has: has.to_owned(), asked })
    }

    /// Changes a table until no other writer interferes. `change` sees the table, if there is one, and returns what it
    /// shall be, `None` to leave it.
    fn change_table<T>(
        &self,
        name: &str,
        mut change: impl FnMut(Option<&Table>) -> Result<(Option<Table>, T)>,
    ) -> Result<(T, u32)> {
        for conflicts in 0..ATTEMPTS {
            let definition = self.definition(name)?;
            let there = definition.as_ref().map(|definition| self.read_table(definition)).transpose()?;
            let (table, outcome) = change(there.as_ref())?;
            let Some(table) = table else { return Ok((outcome, conflicts)) };
            let is_done = match &definition {
                Some(definition) => self.update(definition, definition::changed(definition, &table))?,
                None => self.create(name, definition::of_table(&table, self.location_of(name)))?,
            };
            if is_done {
                return Ok((outcome, conflicts));
            }
            wait(conflicts);
        }
        Err(CatalogError::Contended { uri: self.resource(name), attempts: ATTEMPTS })
    }

    /// `CreateTable`; false if somebody else made it meanwhile. Makes the database first where that is missing and
    /// shall be made.
    fn create(&self, name: &str, input: TableInput) -> Result<bool> {
        let request = self.client.create_table().database_name(&self.database).table_input(input);
        let mut answer = self.aws.wait(request.clone().send());
        let is_missing = |error| code(error) == Some(NOT_FOUND);
        if self.create_database && answer.as_ref().err().is_some_and(is_missing) {
            self.make_database()?;
            answer = self.aws.wait(request.send());
        }
        match answer {
            Ok(_) => Ok(true),
            Err(error) => match code(&error) {
                Some(ALREADY_EXISTS | CONCURRENT_MODIFICATION) => Ok(false),
                // Of a table that is to be made, nothing else can be missing.
                Some(NOT_FOUND) => Err(self.no_database("glue:CreateTable", &error)),
                _ => Err(self.failed("glue:CreateTable", name, &error)),
            },
        }
    }

    fn make_database(&self) -> Result<()> {
        let input = DatabaseInput::builder().name(&self.database).build().expect("it has a name");
        match self.aws.wait(self.client.create_database().database_input(input).send()) {
            Ok(_) => Ok(()),
            Err(error) if code(&error) == Some(ALREADY_EXISTS) => Ok(()),
            Err(error) => {
                Err(remote("glue:CreateDatabase", format!("database `{}`", self.database), &error).into())
            }
        }
    }

    /// `UpdateTable` of what was read as `definition`; false if it has changed since or is gone.
    ///
    /// Where a reply was lost, the client's next try meets its own version: that is a change as well, and reading
    /// again shows that nothing is left to do.
    fn update(&self, definition: &Definition, input: TableInput) -> Result<bool> {
        let name = definition.name();
        let Some(version) = definition.version_id() else {
            let reason = "the catalog tells no version of it, so that the changes of others could get lost";
            return Err(self.flawed(name, Flaw::Damaged(reason.to_owned())));
        };
        let request = self.client.update_table().database_name(&self.database).table_input(input);
        // Every archived version counts against a quota of the account.
        match self.aws.wait(request.version_id(version).skip_archive(true).send()) {
            Ok(_) => Ok(true),
            Err(error) if code(&error) == Some(CONCURRENT_MODIFICATION) => Ok(false),
            Err(error) => self.unless_missing("glue:UpdateTable", name, &error).map(|()| false),
        }
    }

    /// Makes the table of the rejects of `name` if there is none.
    fn ensure_rejects(&self, name: &str) -> Result<()> {
        let rejects = TableName::rejects(name).to_string();
        for attempt in 0..ATTEMPTS {
            if let Some(definition) = self.definition(&rejects)? {
                return match definition::entry(&definition) {
                    Entry::Rejects(of) if of == name => self.check_location(&rejects, &definition),
                    _ => Err(self.foreign(&rejects, format!("it is not that of the rejects of `{name}`"))),
                };
            }
            if self.create(&rejects, definition::of_rejects(name, self.location_of(&rejects)))? {
                return Ok(());
            }
            wait(attempt);
        }
        Err(CatalogError::Contended { uri: self.resource(&rejects), attempts: ATTEMPTS })
    }

    /// What messages call a table.
    fn resource(&self, name: &str) -> String {
        format!("table `{name}` of database `{}`", self.database)
    }

    fn foreign(&self, name: &str, reason: impl Into<String>) -> CatalogError {
        let catalog = format!("the Glue database `{}`", self.database);
        CatalogError::Foreign { name: name.to_owned(), catalog, reason: reason.into() }
    }

    fn flawed(&self, name: &str, flaw: Flaw) -> CatalogError {
        let uri = self.resource(name);
        match flaw {
            Flaw::Newer(format) => CatalogError::Newer { uri, format, known: definition::FORMAT },
            Flaw::Damaged(reason) => CatalogError::Damaged { uri, reason },
        }
    }

    fn failed<E>(&self, operation: &str, name: &str, error: &SdkError<E>) -> CatalogError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        remote(operation, self.resource(name), error).into()
    }

    /// Success if `error` says that there is no such table.
    fn unless_missing<E>(&self, operation: &str, name: &str, error: &SdkError<E>) -> Result<()>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        if code(error) != Some(NOT_FOUND) {
            return Err(self.failed(operation, name, error));
        }
        let error = remote(operation, self.resource(name), error);
        match error.fault {
            Fault::NoDatabase if !self.create_database => Err(self.of_database(error)),
            _ => Ok(()),
        }
    }

    /// The error of a request that can only have failed because there is no database.
    fn no_database<E>(&self, operation: &str, error: &SdkError<E>) -> CatalogError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        self.of_database(RemoteError { fault: Fault::NoDatabase, ..remote(operation, "", error) })
    }

    fn of_database(&self, error: RemoteError) -> CatalogError {
        RemoteError { resource: format!("database `{}`", self.database), ..error }.into()
    }
}

/// The service's word for what went wrong.
fn code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<&str> {
    error.as_service_error().and_then(ProvideErrorMetadata::code)
}

/// Waits a random time, longer on average with every attempt, so that writers get out of each other's way.
fn wait(attempts: u32) {
    let longest = LONGEST_WAIT.min(Duration::from_millis(10 << attempts.min(20)));
    thread::sleep(longest.mul_f64(fastrand::f64()));
}

impl From<RemoteError> for CatalogError {
    fn from(error: RemoteError) -> CatalogError {
        CatalogError::Remote(Box::new(error))
    }
}

impl Catalog for GlueCatalog {
    fn tables(&self) -> Result<Vec<String>> {
        let definitions = self.definitions()?;
        let mut names: Vec<String> = self.own_tables(&definitions).map(str::to_owned).collect();
        names.sort_unstable();
        Ok(names)
    }

    fn table(&self, name: &str) -> Result<Option<Table>> {
        // No table has such a name, and Glue would fold its case.
        if check_name(name).is_err() {
            return Ok(None);
        }
        // A view is no table, which is not to say that there is something wrong with it.
        let definition = self.definition(name)?.filter(|there| definition::entry(there) != Entry::View);
        definition.map(|definition| self.read_table(&definition)).transpose()
    }

    fn create_table(&self, table: &Table) -> Result<Table> {
        check_name(&table.name)?;
        let change = |there: Option<&Table>| {
            let merged = match there {
                Some(there) => agree::merge(there, table)?,
                None => Some(table.clone()),
            };
            // First, so that a table that is there has its rejects.
            self.ensure_rejects(&table.name)?;
            let outcome = merged.as_ref().or(there).unwrap_or(table).clone();
            Ok((merged, outcome))
        };
        Ok(self.change_table(&table.name, change)?.0)
    }

    fn evolve(&self, name: &str, propose: &mut dyn FnMut(&Schema) -> Vec<Identity>) -> Result<Evolved> {
        check_name(name)?;
        let change = |there: Option<&Table>| {
            let mut table = there.cloned().ok_or_else(|| CatalogError::NoTable { name: name.to_owned() })?;
            let proposed = propose(&table.schema);
            let registered: Vec<TableColumn> = register(&mut table.schema, &proposed);
            let changed = (!registered.is_empty()).then(|| table.clone());
            Ok((changed, (table, registered)))
        };
        let ((table, registered), conflicts) = self.change_table(name, change)?;
        Ok(Evolved { table, registered, conflicts })
    }

    fn commit(&self, table: &TableName, files: &[DataFile]) -> Result<Committed> {
        table.check()?;
        let unseen = self.known.unseen(table, files);
        if unseen.is_empty() {
            return Ok(Committed { new_partitions: 0 });
        }
        let created = self.create_partitions(table, &unseen);
        match created {
            Ok(_) => self.known.add(table, &unseen),
            // Between the two calls.
            Err(CatalogError::NoTable { .. }) => self.known.forget(&table.name),
            Err(_) => {}
        }
        Ok(Committed { new_partitions: created? })
    }

    fn partitions(&self, table: &TableName) -> Result<Vec<Partition>> {
        table.check()?;
        self.list_partitions(table)
    }

    fn location(&self, table: &TableName, partition: Partition) -> Result<Option<String>> {
        table.check()?;
        self.location_of_partition(table, partition)
    }

    fn relocate(&self, table: &TableName, partition: Partition, folder: &str) -> Result<()> {
        table.check()?;
        self.relocate_partition(table, partition, folder)
    }

    fn put_view(&self, view: &View) -> Result<()> {
        check_name(&view.name)?;
        self.write_view(view)
    }

    fn drop_table(&self, name: &str) -> Result<()> {
        check_name(name)?;
        if let Some(there) = self.definition(name)? {
            self.read_table(&there)?;
            // The table last: while it is there, this can be asked for again. Glue drops partitions with their table.
            self.delete(&TableName::rejects(name).to_string())?;
            self.delete(name)?;
        }
        self.known.forget(name);
        Ok(())
    }

    fn drop_view(&self, name: &str) -> Result<()> {
        match self.view(name)? {
            Some(_) => self.delete(name),
            None => Ok(()),
        }
    }

    fn views(&self) -> Result<Vec<View>> {
        let definitions = self.definitions()?;
        let tables: HashSet<&str> = self.own_tables(&definitions).collect();
        let views = definitions.iter().filter(|definition| definition::entry(definition) == Entry::View);
        let views = views.map(|definition| self.read_view(definition));
        // Views on tables of other lakes in this database are not of this lake.
        let of_this_lake =
            |view: &Result<View>| view.as_ref().map_or(true, |view| tables.contains(&*view.table));
        let mut views = views.filter(of_this_lake).collect::<Result<Vec<_>>>()?;
        views.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(views)
    }

    fn view(&self, name: &str) -> Result<Option<View>> {
        if check_name(name).is_err() {
            return Ok(None);
        }
        let definition = self.definition(name)?.filter(|there| definition::entry(there) == Entry::View);
        definition.map(|definition| self.read_view(&definition)).transpose()
    }
}

impl GlueCatalog {
    /// Deletes what is ours; success if there is none.
    fn delete(&self, name: &str) -> Result<()> {
        let request = self.client.delete_table().database_name(&self.database).name(name);
        match self.aws.wait(request.send()) {
            Ok(_) => Ok(()),
            Err(error) => self.unless_missing("glue:DeleteTable", name, &error),
        }
    }

    /// The names of those of `definitions` that are tables of this lake.
    fn own_tables<'a>(&self, definitions: &'a [Definition]) -> impl Iterator<Item = &'a str> {
        let is_own = |definition: &&Definition| {
            definition::entry(definition) == Entry::Table
                && self.check_location(definition.name(), definition).is_ok()
        };
        definitions.iter().filter(is_own).map(|definition| definition.name())
    }
}

#[cfg(test)]
mod tests;
