//! The files of a table as the catalog sees them, for readers that take lists.
//!
//! In come the name of a table, or of the rejects of one, and a condition on its partition keys; out come the files that a
//! query under that condition would read, by key. What must stay true: what is listed here and what a query reads are
//! chosen by the same code, so that another reader of the list sees the rows that `iotlake query` sees; where a query
//! would leave out rows of a file, for their source was ingested anew or removed since, there is no list but an error.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, StringArray, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema, UInt64Type};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;
use iotlake_flatten::layout::PARTITION_KEYS;

use super::{Choice, QueryError, Session, TableKind, context, only_queries};
use crate::catalog::TableName;
use crate::generation::place;
use crate::partition::Partition;
use crate::place::Place;
use crate::storage::ObjectMeta;

/// The column by which files are told apart that meet a condition.
const NUMBER: &str = "_file";

/// How often it is looked whether files have rows that are not read.
const LOOKS: u32 = 3;

/// A file of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFile {
    /// Where it lies: an absolute path or a URI.
    pub uri: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// The hour it is filed under.
    pub partition: Partition,
}

impl Session {
    /// The files that a query of `table` reads where `condition`, SQL about the partition keys, is true; sorted by key.
    /// What is left out, [`Session::unread`] says.
    ///
    /// # Errors
    /// [`QueryError::Sql`] if there is no such table or the condition is wrong, [`QueryError::Lake`] if the lake cannot be
    /// read, [`QueryError::Stale`] if a file has rows that a query does not read, which no list of files can say.
    pub fn files(&self, table: &str, condition: Option<&str>) -> Result<Vec<TableFile>, QueryError> {
        self.check_has_files(table)?;
        let mut looks = 1..LOOKS;
        loop {
            self.receipts.forget();
            let found = self.look_for_files(table, condition);
            // A source that was compacted as soon as it was done is whole at the next look.
            match found {
                Err(QueryError::Stale { .. }) if looks.next().is_some() => {}
                found => return found,
            }
        }
    }

    fn look_for_files(&self, table: &str, condition: Option<&str>) -> Result<Vec<TableFile>, QueryError> {
        let Choice { files: chosen, stale } =
            self.receipts.choose(&format!("{table}/")).map_err(QueryError::Lake)?;
        let name = TableName::parse(table);
        let mut files: Vec<(Partition, ObjectMeta)> = Vec::with_capacity(chosen.len());
        for meta in chosen {
            let of_source = Place::parse(&name.name, &meta.key).map(|place| place.partition);
            let partition = of_source.or_else(|| Some(place::parse(table, &meta.key)?.partition));
            // All that is chosen has a place.
            files.extend(partition.map(|partition| (partition, meta)));
        }
        let numbers = match condition {
            Some(condition) => self.choose(&files, condition)?,
            None => (0..files.len()).collect(),
        };
        let mut wanted = Vec::with_capacity(numbers.len());
        for number in numbers {
            let (partition, meta) = &files[number];
            if let Some(sources) = stale.get(partition).filter(|_| place::parse(table, &meta.key).is_some()) {
                let (table, partition) = (table.to_owned(), *partition);
                return Err(QueryError::Stale { table, partition, sources: sources.len() });
            }
            let uri = self.storage.uri(&meta.key);
            wanted.push(TableFile { uri, bytes: meta.size, partition: *partition });
        }
        Ok(wanted)
    }

    fn check_has_files(&self, name: &str) -> Result<(), QueryError> {
        let there = || {
            let tables = self.tables.iter().filter(|table| table.kind != TableKind::View);
            let names: Vec<_> = tables.map(|table| table.name.as_str()).collect();
            match names.as_slice() {
                [] => "the lake has no tables yet".to_owned(),
                names => format!("there are {}", names.join(", ")),
            }
        };
        let message = match self.tables.iter().find(|table| table.name == name) {
            None => format!("there is no table `{name}`"),
            Some(table) if table.kind == TableKind::View => {
                format!("`{name}` is a view; only tables have files")
            }
            Some(_) => return Ok(()),
        };
        Err(QueryError::Sql { message, hint: Some(there()) })
    }

    /// The numbers of the files for which `condition` is true, in order.
    fn choose(&self, files: &[(Partition, ObjectMeta)], condition: &str) -> Result<Vec<usize>, QueryError> {
        let wrong = |error: DataFusionError| {
            let message = QueryError::of_plan(condition, &error, &[]).to_string();
            let hint = "a condition is about year, month, day and hour, which are text: \"month = '03' AND hour >= '06'\"";
            QueryError::Sql { message, hint: Some(hint.to_owned()) }
        };
        check_is_one(condition).map_err(wrong)?;
        let context = context()?;
        context.register_batch("files", keys(files)?).map_err(QueryError::failed)?;
        // On a line of its own, for it may end in a comment.
        let sql = format!("SELECT \"{NUMBER}\" FROM files WHERE (\n{condition}\n) ORDER BY 1");
        let batches = self.runtime.block_on(async {
            let plan = context.state().create_logical_plan(&sql).await?;
            only_queries().verify_plan(&plan)?;
            context.execute_logical_plan(plan).await?.collect().await
        });
        let batches = batches.map_err(wrong)?;
        let numbers = batches.iter().flat_map(|batch| batch.column(0).as_primitive::<UInt64Type>().values());
        Ok(numbers.map(|number| *number as usize).collect())
    }
}

/// Refuses what goes on behind a condition, such as a bracket that closes what it has not opened.
fn check_is_one(condition: &str) -> Result<(), DataFusionError> {
    let mut parser = Parser::new(&GenericDialect {}).try_with_sql(condition)?;
    parser.parse_expr()?;
    let next = parser.next_token();
    match next.token {
        Token::EOF => Ok(()),
        _ => Err(DataFusionError::Plan(format!("`{next}` follows the condition"))),
    }
}

/// The partition keys of files, and their numbers.
fn keys(files: &[(Partition, ObjectMeta)]) -> Result<RecordBatch, QueryError> {
    let values: Vec<[String; 4]> = files.iter().map(|(partition, _)| partition.values()).collect();
    let column = |at: usize| -> ArrayRef {
        Arc::new(values.iter().map(|values| Some(values[at].as_str())).collect::<StringArray>())
    };
    let mut columns: Vec<ArrayRef> = (0..PARTITION_KEYS.len()).map(column).collect();
    columns.push(Arc::new(UInt64Array::from_iter_values(0..files.len() as u64)));
    let mut fields = PARTITION_KEYS.map(|key| Field::new(key, DataType::Utf8, false)).to_vec();
    fields.push(Field::new(NUMBER, DataType::UInt64, false));
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns);
    batch.map_err(|error| QueryError::failed(error.into()))
}
