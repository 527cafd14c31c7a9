//! SQL over a lake, answered by DataFusion on this machine.
//!
//! In comes a lake, wherever it lies; out come the answers of `SELECT` statements as batches of rows, and
//! writers that print them. Every table of the catalog is there with all its columns, beside it the table of its
//! rejects and the catalog's views; partition keys are text with their zeros, and a condition on them decides which
//! files are opened. A file that lacks a column has NULL in it, a table without files has no rows. Files are read that a
//! receipt names, or the generation that has its source, in partitions that the catalog has; of others there is word.
//!
//! What must stay true: types come from the catalog and never from a file; names fold to lower case unless they are in
//! double quotes, as in Athena; nothing that is run here can change the lake.

mod error;
mod files;
mod functions;
mod receipts;
mod stale;
mod store;
mod tables;
mod write;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, TableReference};
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::{Expr, cast};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_functions_json::functions::json_union_to_text;
use futures::future::{Either, select};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use crate::catalog::TableName;
use crate::lake::Lake;
use crate::storage::Storage;

pub use error::QueryError;
pub use files::TableFile;
pub use receipts::{Choice, Receipts, Unread};
use stale::RowsTable;
use store::LakeStore;
use write::AnswerWriter;
pub use write::{Format, TABLE_ROWS, write};

/// A lake that answers SQL.
///
/// Tables and columns are those that the catalog had when it was opened; files are looked for in every query.
pub struct Session {
    runtime: Runtime,
    context: SessionContext,
    storage: Arc<dyn Storage>,
    store: LakeStore,
    receipts: Arc<Receipts>,
    tables: Vec<TableSummary>,
    stop: Stop,
}

/// Ends the query that a session runs, or the next one that it is asked, from another thread.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<Notify>);

impl Stop {
    /// The query ends with [`QueryError::Stopped`].
    pub fn stop(&self) {
        self.0.notify_one();
    }
}

/// What can be queried under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSummary {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: TableKind,
    /// Its columns, in order; of a table, the partition keys last.
    pub columns: Vec<ColumnSummary>,
}

/// What a name in a query stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// A table of the catalog.
    Data,
    /// The rejects of a table.
    Rejects,
    /// A view of the catalog.
    View,
}

/// A column of a table or view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnSummary {
    /// Its name.
    pub name: String,
    /// Its type, in the words of Athena: `double`, `bigint`, `boolean`, `string`, `timestamp`, `binary`.
    pub data_type: String,
}

/// The rows that answer a query.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Names and types of its columns.
    pub schema: SchemaRef,
    /// Its rows.
    pub batches: Vec<RecordBatch>,
}

impl Answer {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

impl Session {
    /// A lake, with the tables and views of its catalog.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub fn open(lake: &Lake) -> Result<Session, QueryError> {
        let catalog = &*lake.catalog;
        let runtime = tokio::runtime::Builder::new_multi_thread().build().map_err(QueryError::Runtime)?;
        let context = context()?;
        let url = ObjectStoreUrl::parse(tables::LAKE_URL).map_err(QueryError::failed)?;
        let receipts = Arc::new(Receipts::new(lake.storage.clone(), lake.catalog.clone()));
        let store = LakeStore::new(lake.storage.clone()).with_receipts(receipts.clone());
        context.register_object_store(url.as_ref(), Arc::new(store.clone()));
        let storage = lake.storage.clone();
        let (tables, stop) = (Vec::new(), Stop::default());
        let mut session = Session { runtime, context, storage, store, receipts, tables, stop };
        for name in catalog.tables()? {
            let Some(table) = catalog.table(&name)? else { continue };
            let data = tables::rows(&name, &table.schema)?;
            let data = RowsTable::new(data, session.store.hidden().clone());
            session.register(&name, TableKind::Data, Arc::new(data))?;
            let rejects_name = TableName::rejects(name).to_string();
            let rejects = tables::rejects(&rejects_name)?;
            session.register(&rejects_name, TableKind::Rejects, Arc::new(rejects))?;
        }
        for view in catalog.views()? {
            // A view whose table is not made yet has no columns to show: it is not there either.
            let Some(table) = catalog.table(&view.table)? else { continue };
            if session.tables.iter().any(|table| table.name == view.name) {
                continue;
            }
            let sql = view.to_sql(&table.schema);
            let state = session.context.state();
            let planned = session.runtime.block_on(state.create_logical_plan(&sql));
            let plan = planned
                .map_err(|source| QueryError::View { view: view.name.clone(), source: Box::new(source) })?;
            let provider = datafusion::datasource::ViewTable::new(plan, Some(sql));
            session.register(&view.name, TableKind::View, Arc::new(provider))?;
        }
        session.tables.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(session)
    }

    fn register(
        &mut self,
        name: &str,
        kind: TableKind,
        provider: Arc<dyn TableProvider>,
    ) -> Result<(), QueryError> {
        let schema = provider.schema();
        let columns = schema.fields().iter().map(|field| ColumnSummary {
            name: field.name().clone(),
            data_type: tables::type_name(field.data_type()),
        });
        self.tables.push(TableSummary { name: name.to_owned(), kind, columns: columns.collect() });
        self.context.register_table(TableReference::bare(name), provider).map_err(QueryError::failed)?;
        Ok(())
    }

    /// Everything that can be queried, sorted by name.
    pub fn tables(&self) -> &[TableSummary] {
        &self.tables
    }

    /// What the query that was run last did not read though it is there: files that no receipt names, and those of
    /// partitions that the catalog does not have.
    pub fn unread(&self) -> Vec<Unread> {
        self.receipts.unread()
    }

    /// Runs one query and keeps all of its rows in memory.
    ///
    /// # Errors
    /// [`QueryError::Sql`] if the statement is wrong, [`QueryError::Refused`] if it would change something.
    pub fn run(&self, sql: &str) -> Result<Answer, QueryError> {
        let failed = |error| QueryError::of_execution(error, &self.store);
        self.unless_stopped(async {
            let frame = self.plan(sql).await?;
            let schema = frame.schema().inner().clone();
            let batches = frame.collect().await.map_err(failed)?;
            Ok(Answer { schema, batches })
        })
    }

    /// Runs one query and writes its rows as they come; their number.
    ///
    /// # Errors
    /// As [`Session::run`], and if `out` fails.
    pub fn write(
        &self,
        sql: &str,
        format: Format,
        out: &mut (impl std::io::Write + Send),
    ) -> Result<u64, QueryError> {
        let failed = |error| QueryError::of_execution(error, &self.store);
        self.unless_stopped(async {
            let frame = self.plan(sql).await?;
            let schema = frame.schema().inner().clone();
            let mut rows = frame.execute_stream().await.map_err(failed)?;
            let mut writer = AnswerWriter::new(&schema, format, out)?;
            while let Some(batch) = std::future::poll_fn(|task| rows.as_mut().poll_next(task)).await {
                writer.push(&batch.map_err(failed)?)?;
            }
            writer.finish()
        })
    }

    /// With another way to end its queries.
    #[must_use]
    pub fn stopped_by(self, stop: &Stop) -> Session {
        Session { stop: stop.clone(), ..self }
    }

    fn unless_stopped<T>(&self, query: impl Future<Output = Result<T, QueryError>>) -> Result<T, QueryError> {
        self.runtime.block_on(async {
            match select(pin!(query), pin!(self.stop.0.notified())).await {
                Either::Left((answer, _)) => answer,
                Either::Right(_) => Err(QueryError::Stopped),
            }
        })
    }

    async fn plan(&self, sql: &str) -> Result<DataFrame, QueryError> {
        self.receipts.forget();
        let state = self.context.state();
        let wrong = |error: DataFusionError| QueryError::of_plan(sql, &error, &self.tables);
        let plan = state.create_logical_plan(sql).await.map_err(wrong)?;
        only_queries().verify_plan(&plan).map_err(|error| QueryError::refused(&error))?;
        let frame = self.context.execute_logical_plan(plan).await.map_err(wrong)?;
        with_json_as_text(frame).map_err(wrong)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("tables", &self.tables).finish_non_exhaustive()
    }
}

/// The values that `->` and `json_get` find, which are of any type, as JSON text: no format has a column of several types.
fn with_json_as_text(frame: DataFrame) -> Result<DataFrame, DataFusionError> {
    let is_any = |field: &FieldRef| matches!(field.data_type(), DataType::Union(..));
    if !frame.schema().fields().iter().any(is_any) {
        return Ok(frame);
    }
    let columns = frame.schema().iter().map(|(qualifier, field)| {
        let column = Expr::Column(Column::from((qualifier, field)));
        match is_any(field) {
            true => cast(json_union_to_text(column), DataType::Utf8).alias(field.name()),
            false => column,
        }
    });
    let columns: Vec<_> = columns.collect();
    frame.select(columns)
}

/// Nothing that changes anything.
fn only_queries() -> SQLOptions {
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false)
}

/// DataFusion as the lake needs it; memory and spilling are as DataFusion has them.
fn context() -> Result<SessionContext, QueryError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut config = SessionConfig::new()
        .with_target_partitions(cores)
        .with_information_schema(true)
        // Would open every file of a table before the conditions of a query have ruled most of them out.
        .with_collect_statistics(false);
    let options = config.options_mut();
    // Text is `Utf8` throughout, as in the files: other readers of the answers may not know views.
    options.execution.parquet.schema_force_view_types = false;
    options.sql_parser.map_string_types_to_utf8view = false;
    // A lake grows while it is read: each query lists its files anew.
    let runtime = RuntimeEnvBuilder::new().with_object_list_cache_limit(0);
    let runtime = runtime.build_arc().map_err(QueryError::failed)?;
    let mut context = SessionContext::new_with_config_rt(config, runtime);
    functions::register(&mut context).map_err(QueryError::failed)?;
    Ok(context)
}
