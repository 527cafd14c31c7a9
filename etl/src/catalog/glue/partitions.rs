//! Partitions: made known in batches, and listed.
//!
//! `BatchCreatePartition` answers with success and a list of the partitions that it did not make; that one is there
//! already is what was wanted. Each partition carries the columns of its table, because Athena compares the two, so
//! that a request is bounded by its bytes as well as by its number of partitions.

use std::collections::BTreeSet;

use aws_sdk_glue::operation::get_partitions::GetPartitionsOutput;
use aws_sdk_glue::types::{Column, ErrorDetail, PartitionError, PartitionInput, Table as Definition};
use iotlake_flatten::layout::PARTITION_KEYS;

use super::definition::{self, Entry};
use super::{ALREADY_EXISTS, CONCURRENT_MODIFICATION, GlueCatalog, NOT_FOUND, code, wait};
use crate::aws::answered;
use crate::catalog::{CatalogError, Result, Side, TableName};
use crate::partition::Partition;
use crate::remote::RemoteError;

/// The most partitions of one request, as Glue has it.
const MOST: usize = 100;

/// About the most bytes of one request: far below what a service takes at once, and soon sent again.
const MOST_BYTES: usize = 500_000;

/// How often a partition is tried again that others, or too many requests, kept from being made.
const ATTEMPTS: u32 = 10;

impl GlueCatalog {
    /// Makes partitions, sorted, of a table or of a table of rejects known; how many were not.
    pub(super) fn create_partitions(&self, table: &TableName, partitions: &[Partition]) -> Result<usize> {
        let name = &*table.to_string();
        let definition = self.definition(name)?.ok_or_else(|| no_table(name))?;
        match (definition::entry(&definition), table.side) {
            (Entry::Table, Side::Rows) => {}
            (Entry::Rejects(of), Side::Rejects) if of == table.name => {}
            (Entry::Foreign(reason), _) => return Err(self.foreign(name, reason)),
            (Entry::Table | Entry::Rejects(_) | Entry::View, _) => return Err(no_table(name)),
        }
        self.check_location(name, &definition)?;
        let mut new = 0;
        for batch in partitions.chunks(batch_len(definition::columns(&definition))) {
            new += self.create_batch(name, &definition, batch)?;
        }
        Ok(new)
    }

    fn create_batch(&self, name: &str, definition: &Definition, batch: &[Partition]) -> Result<usize> {
        let mut pending = batch.to_vec();
        let mut new = 0;
        for attempt in 0.. {
            let request = self.client.batch_create_partition().database_name(&self.database).table_name(name);
            let inputs = pending.iter().map(|partition| self.input(name, definition, *partition)).collect();
            let request = request.set_partition_input_list(Some(inputs));
            let errors = match self.aws.wait(request.send()) {
                Ok(answer) => answer.errors.unwrap_or_default(),
                // One that others make at this moment: which one, only the next answer tells.
                Err(error) if code(&error) == Some(CONCURRENT_MODIFICATION) && attempt < ATTEMPTS => {
                    wait(attempt);
                    continue;
                }
                Err(error) => {
                    self.unless_missing("glue:BatchCreatePartition", name, &error)?;
                    return Err(no_table(name));
                }
            };
            let (mut known, mut again) = (0, Vec::new());
            for error in &errors {
                match verdict(error, &pending) {
                    Verdict::Known => known += 1,
                    Verdict::Again(partition) if attempt < ATTEMPTS => again.push(partition),
                    Verdict::NoTable => return Err(no_table(name)),
                    Verdict::Again(_) | Verdict::Failed => {
                        return Err(failed(error, &self.resource(name)).into());
                    }
                }
            }
            new += pending.len() - known - again.len();
            if again.is_empty() {
                break;
            }
            pending = again;
            wait(attempt);
        }
        Ok(new)
    }

    fn input(&self, name: &str, definition: &Definition, partition: Partition) -> PartitionInput {
        let location = format!("{}{}/", self.location_of(name), partition.folder());
        PartitionInput::builder()
            .set_values(Some(partition.values().into()))
            .storage_descriptor(definition::of_partition(definition, location))
            .build()
    }

    /// Where a partition lies, as a folder below that of its table; whole if it is not below that.
    pub(super) fn location_of_partition(
        &self,
        table: &TableName,
        partition: Partition,
    ) -> Result<Option<String>> {
        let name = &*table.to_string();
        let request = self.client.get_partition().database_name(&self.database).table_name(name);
        let answer = match self.aws.wait(request.set_partition_values(Some(partition.values().into())).send())
        {
            Ok(answer) => answer,
            Err(error) => {
                self.unless_missing("glue:GetPartition", name, &error)?;
                return Ok(None);
            }
        };
        let descriptor = answer.partition().and_then(|partition| partition.storage_descriptor());
        let location = descriptor.and_then(|descriptor| descriptor.location()).unwrap_or_default();
        let below = location.strip_prefix(&self.location_of(name)).unwrap_or(location);
        Ok(Some(below.trim_end_matches('/').to_owned()))
    }

    /// Changes where a partition lies. Its columns become those of the table: its files may have any of them.
    pub(super) fn relocate_partition(
        &self,
        table: &TableName,
        partition: Partition,
        folder: &str,
    ) -> Result<()> {
        let name = &*table.to_string();
        let definition = self.definition(name)?.ok_or_else(|| no_table(name))?;
        self.check_location(name, &definition)?;
        let location = format!("{}{folder}/", self.location_of(name));
        let input = PartitionInput::builder()
            .set_values(Some(partition.values().into()))
            .storage_descriptor(definition::of_partition(&definition, location))
            .build();
        for attempt in 0.. {
            let request = self.client.update_partition().database_name(&self.database).table_name(name);
            let request = request.set_partition_value_list(Some(partition.values().into()));
            match self.aws.wait(request.partition_input(input.clone()).send()) {
                Ok(_) => break,
                Err(error) if code(&error) == Some(CONCURRENT_MODIFICATION) && attempt < ATTEMPTS => {
                    wait(attempt)
                }
                Err(error) => {
                    self.unless_missing("glue:UpdatePartition", name, &error)?;
                    return Err(CatalogError::no_partition(table, partition));
                }
            }
        }
        Ok(())
    }

    /// The partitions of a table, sorted. Such as no writer of iotlake makes, `month=3`, are left out.
    pub(super) fn list_partitions(&self, table: &TableName) -> Result<Vec<Partition>> {
        let name = &*table.to_string();
        let request = self.client.get_partitions().database_name(&self.database).table_name(name);
        let pages = request.exclude_column_schema(true).into_paginator();
        let pages = match self.aws.wait(pages.send().collect::<Result<Vec<_>, _>>()) {
            Ok(pages) => pages,
            Err(error) => {
                self.unless_missing("glue:GetPartitions", name, &error)?;
                return Err(no_table(name));
            }
        };
        let partitions = pages.iter().flat_map(GetPartitionsOutput::partitions);
        let partitions: BTreeSet<_> =
            partitions.filter_map(|partition| of_values(partition.values())).collect();
        Ok(partitions.into_iter().collect())
    }
}

/// What became of a partition that was not made.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is there already.
    Known,
    /// It may be made when it is asked for again.
    Again(Partition),
    /// Its table is gone.
    NoTable,
    /// It cannot be made.
    Failed,
}

/// What became of the one of `pending` that `error` is about.
pub(super) fn verdict(error: &PartitionError, pending: &[Partition]) -> Verdict {
    let partition = pending.iter().copied().find(|partition| error.partition_values() == partition.values());
    match (code_of(error), partition) {
        (ALREADY_EXISTS, _) => Verdict::Known,
        (NOT_FOUND, _) => Verdict::NoTable,
        (CONCURRENT_MODIFICATION, Some(partition)) => Verdict::Again(partition),
        (_, Some(partition)) if failed(error, "").can_retry() => Verdict::Again(partition),
        _ => Verdict::Failed,
    }
}

/// As an error, with the table that the partition is of.
pub(super) fn failed(error: &PartitionError, table: &str) -> RemoteError {
    let code = code_of(error);
    let message = error.error_detail().and_then(ErrorDetail::error_message).unwrap_or_default();
    let values = PARTITION_KEYS.iter().zip(error.partition_values());
    let folders: Vec<_> = values.map(|(key, value)| format!("{key}={value}")).collect();
    RemoteError {
        operation: "glue:BatchCreatePartition".to_owned(),
        resource: format!("partition {} of {table}", folders.join("/")),
        code: Some(code.to_owned()).filter(|code| !code.is_empty()),
        message: message.to_owned(),
        fault: answered(Some(code), None, message),
    }
}

fn code_of(error: &PartitionError) -> &str {
    error.error_detail().and_then(ErrorDetail::error_code).unwrap_or_default()
}

fn no_table(name: &str) -> CatalogError {
    CatalogError::NoTable { name: name.to_owned() }
}

/// The partition of these values.
pub(super) fn of_values(values: &[String]) -> Option<Partition> {
    let folders: Vec<_> =
        PARTITION_KEYS.iter().zip(values).map(|(key, value)| format!("{key}={value}")).collect();
    Partition::from_folder(&folders.join("/")).filter(|_| values.len() == PARTITION_KEYS.len())
}

/// How many partitions with these columns one request may make.
pub(super) fn batch_len(columns: &[Column]) -> usize {
    // What a column and a partition take in JSON beside what is counted.
    const COLUMN: usize = 24;
    const PARTITION: usize = 1_024;
    let columns =
        columns.iter().map(|column| column.name().len() + column.r#type().unwrap_or_default().len() + COLUMN);
    (MOST_BYTES / (PARTITION + columns.sum::<usize>())).clamp(1, MOST)
}
