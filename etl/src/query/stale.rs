//! Tables of which some rows are not read: those in a generation of sources whose receipts name other files since.
//!
//! In come the tables that DataFusion makes of folders, and the names of files as they are shown to it; out come the same
//! tables, in whose plans the files that have such rows are filtered by the source of each row. What must stay true: a
//! listing and what is filtered out of it are of one look at the lake, so the name under which a file was listed says which
//! sources are hidden in it; where nothing is hidden, a plan is what it would be without all this.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::config::ConfigOptions;
use datafusion::datasource::listing::ListingTable;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarUDF, TableProviderFilterPushDown, TableType, Volatility, create_udf,
};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::expressions::Column;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use iotlake_flatten::layout::SOURCE;

use crate::digest::source_hash;
use crate::generation::place;

/// The hashes of sources whose rows are hidden in some files.
type Sources = Arc<BTreeSet<String>>;

/// What is hidden in files, by a number that is part of the name under which they are shown. Of no file 0 hides anything.
#[derive(Debug, Default)]
pub(super) struct Hidden(Mutex<Vec<Sources>>);

impl Hidden {
    /// The number of this set.
    pub(super) fn number(&self, sources: Option<&BTreeSet<String>>) -> usize {
        let Some(sources) = sources.filter(|sources| !sources.is_empty()) else { return 0 };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = all.iter().position(|known| **known == *sources);
        let place = found.unwrap_or_else(|| {
            all.push(Arc::new(sources.clone()));
            all.len() - 1
        });
        place + 1
    }

    fn of(&self, number: usize) -> Option<Sources> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(number.checked_sub(1)?).cloned()
    }
}

/// A table of rows.
#[derive(Debug)]
pub(super) struct RowsTable {
    listing: ListingTable,
    hidden: Arc<Hidden>,
}

impl RowsTable {
    pub(super) fn new(listing: ListingTable, hidden: Arc<Hidden>) -> RowsTable {
        RowsTable { listing, hidden }
    }

    /// The plan, of which column `source` is that of the source, without what is hidden.
    fn without_hidden(&self, plan: Arc<dyn ExecutionPlan>, source: usize) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(config) = files_of(&plan) else { return Ok(plan) };
        let mut groups: BTreeMap<usize, Vec<FileGroup>> = BTreeMap::new();
        for group in &config.file_groups {
            let mut split: BTreeMap<usize, Vec<_>> = BTreeMap::new();
            for file in group.files() {
                split.entry(place::hidden_in(file.path().as_ref())).or_default().push(file.clone());
            }
            for (number, files) in split {
                groups.entry(number).or_default().push(FileGroup::new(files));
            }
        }
        let mut inputs: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
        for (number, groups) in groups {
            let config = FileScanConfigBuilder::from(config.clone())
                .with_file_groups(groups)
                .with_output_partitioning(None)
                .build();
            let input = DataSourceExec::from_data_source(config);
            inputs.push(match self.hidden.of(number) {
                None => input,
                Some(hidden) => {
                    Arc::new(FilterExec::try_new(is_shown(hidden, source, &input.schema())?, input)?)
                }
            });
        }
        match inputs.len() {
            1 => Ok(inputs.remove(0)),
            _ => UnionExec::try_new(inputs),
        }
    }
}

#[async_trait]
impl TableProvider for RowsTable {
    fn schema(&self) -> SchemaRef {
        self.listing.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = self.listing.scan(state, projection, filters, limit).await?;
        if !hides(&plan) {
            return Ok(plan);
        }
        // Looked at anew, with the source of each row: what is hidden is told by the names of this look.
        let schema = self.schema();
        let wanted: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..schema.fields().len()).collect());
        let column = schema.index_of(SOURCE)?;
        let mut wide = wanted.clone();
        let source = wide.iter().position(|place| *place == column).unwrap_or(wide.len());
        if source == wide.len() {
            wide.push(column);
        }
        let plan = self.listing.scan(state, Some(&wide), filters, None).await?;
        let plan = self.without_hidden(plan, source)?;
        if source < wanted.len() {
            return Ok(plan);
        }
        let schema = plan.schema();
        let columns = (0..wanted.len()).map(|place| {
            let name = schema.field(place).name().clone();
            (Arc::new(Column::new(&name, place)) as Arc<dyn PhysicalExpr>, name)
        });
        Ok(Arc::new(ProjectionExec::try_new(columns.collect::<Vec<_>>(), plan)?))
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        self.listing.supports_filters_pushdown(filters)
    }
}

/// The files that a plan reads.
fn files_of(plan: &Arc<dyn ExecutionPlan>) -> Option<&FileScanConfig> {
    let plan: &dyn Any = &**plan;
    plan.downcast_ref::<DataSourceExec>()?.data_source().downcast_ref::<FileScanConfig>()
}

/// Whether something is hidden in one of the files that a plan reads.
fn hides(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let groups = files_of(plan).map_or(&[][..], |config| &config.file_groups);
    groups.iter().flat_map(FileGroup::files).any(|file| place::hidden_in(file.path().as_ref()) > 0)
}

/// Whether the source in a column is none of those that are hidden.
fn is_shown(hidden: Sources, column: usize, schema: &SchemaRef) -> Result<Arc<dyn PhysicalExpr>> {
    let function = move |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let names = arrays[0].as_string::<i32>();
        let mut known: HashMap<&str, bool> = HashMap::new();
        let shown: BooleanArray = (0..names.len())
            .map(|row| {
                let name = names.value(row);
                Some(*known.entry(name).or_insert_with(|| !hidden.contains(&source_hash(name))))
            })
            .collect();
        Ok(ColumnarValue::Array(Arc::new(shown) as ArrayRef))
    };
    let function: ScalarUDF = create_udf(
        "is_shown",
        vec![DataType::Utf8],
        DataType::Boolean,
        Volatility::Immutable,
        Arc::new(function),
    );
    let argument: Arc<dyn PhysicalExpr> = Arc::new(Column::new(SOURCE, column));
    let call = ScalarFunctionExpr::try_new(
        Arc::new(function),
        vec![argument],
        schema,
        Arc::new(ConfigOptions::default()),
    )?;
    Ok(Arc::new(call))
}
