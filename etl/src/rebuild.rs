//! A table's catalog entry, made again from what its files and receipts say.
//!
//! In come a lake whose catalog was lost and the contract its table was made with; out comes the table: its columns by
//! the metadata of every file, its partitions and options by its receipts, where they lie by its generations. Only
//! footers, receipts and manifests are read.
//!
//! Names and paths stand in every file, so that they are certain; so do field ids, from layout 3 on. The order of columns
//! is that of the files and of ids. Between columns of older files that stand together in none it is the order in which
//! one backfill registers them: by source, part, path and kind. What stands in neither cannot be known: declared columns
//! that no record ever filled and the options of the contract, which is why it has to be said, and tables without receipts.
//!
//! What must stay true: of a lake that was written by `backfill`, the table is the one that was lost; nothing is written
//! over a table that is there.

mod order;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use iotlake_flatten::layout::FIRST_FIELD_ID;
use iotlake_flatten::{Contract, Identity, Schema, SchemaError, TableColumn};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::catalog::{Catalog, CatalogError, DataFile, Side, Table, TableName};
use crate::error::Hint;
use crate::footer::{Described, described};
use crate::generation::{self, GenerationError, Generations};
use crate::ledger::{Ledger, LedgerError, Output, Receipt};
use crate::partition::{Partition, PartitionBy};
use crate::place::Place;
use crate::source::KeyPattern;
use crate::storage::{ObjectMeta, Storage, StorageError};

const RECEIPTS: &str = "_iotlake/receipts/";

/// What files and receipts say of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Rebuilt {
    /// The table.
    pub table: Table,
    /// The files of rows and of rejects that receipts and the newest generations name.
    pub named: BTreeMap<Side, Vec<DataFile>>,
    /// Where partitions lie that have a generation, below the folder of the table.
    pub locations: BTreeMap<Partition, String>,
    /// The field ids that files say, of the columns that they say them of.
    pub said_ids: BTreeMap<Identity, u32>,
    /// Files that were read.
    pub files: usize,
    /// Receipts that were read.
    pub receipts: usize,
    /// Columns of the contract that no file has.
    pub unfilled: Vec<String>,
    /// How many pairs of neighbouring columns stand together in neither a file nor the contract.
    pub guessed: usize,
}

impl Rebuilt {
    /// How many partitions there are on one side of the table.
    pub fn partitions(&self, side: Side) -> usize {
        let files = self.named.get(&side).into_iter().flatten();
        files.map(|file| file.partition).collect::<BTreeSet<_>>().len()
    }
}

/// Why a table cannot be made again.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "fields are named in the messages")]
pub enum RebuildError {
    /// Nothing says what it was.
    #[error("table {table}: there is no receipt of it in the lake")]
    Nothing { table: String },
    /// Two files mean different things by one name, or have two names for one thing.
    #[error("{one} and {other} disagree about column `{name}`")]
    Columns { name: String, one: String, other: String },
    /// A column has two field ids.
    #[error("column `{name}` has the field id {id} in {one}, and {other_id} in {other}")]
    Ids { name: String, id: u32, one: String, other_id: u32, other: String },
    /// Files have columns in orders that no table had.
    #[error("the files of table {table} have column `{name}` in front of, and behind, the same others")]
    Order { table: String, name: String },
    /// Receipts were written under different options.
    #[error("the receipts of table {table} disagree about partition-by: {one} and {other}")]
    Options { table: String, one: PartitionBy, other: PartitionBy },
    /// Keys tell another hour than the one by which they were filed.
    #[error("{source_name} was filed under {filed}, and its key tells {told}")]
    Hour { source_name: String, filed: String, told: String },
    /// The columns are not those of a table.
    #[error("the files of table {table} do not make a table")]
    Schema { table: String, source: SchemaError },
    /// A file cannot be read.
    #[error("{key}: {reason}")]
    File { key: String, reason: String },
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A receipt cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A manifest cannot be read.
    #[error(transparent)]
    Generation(#[from] GenerationError),
}

impl Hint for RebuildError {
    fn hint(&self) -> Option<&str> {
        match self {
            RebuildError::Nothing { .. } => Some("an empty table is made anew by the next ingest"),
            RebuildError::Columns { .. } => Some(
                "say with --contract what the table was made with; else one of the files is of another table: move it \
                 out of the lake",
            ),
            RebuildError::Ids { .. } => Some(
                "the table was begun anew between them: move the files and receipts of one out of the lake, rebuild, and \
                 ingest their sources again",
            ),
            RebuildError::Order { .. } | RebuildError::Schema { .. } => {
                Some("some files are of another table: move them out of the lake")
            }
            RebuildError::Hour { .. } => Some("say how the table's keys tell their hour: --key-pattern"),
            RebuildError::Options { .. } => {
                Some("some receipts are of another table: move them out of the lake")
            }
            RebuildError::File { .. } => Some("move the file out of the lake, then ingest its source again"),
            RebuildError::Storage(error) => error.hint(),
            RebuildError::Catalog(error) => error.hint(),
            RebuildError::Ledger(error) => error.hint(),
            RebuildError::Generation(error) => error.hint(),
        }
    }
}

/// The names of the tables that have receipts, sorted.
///
/// # Errors
/// If the storage fails.
pub fn tables(storage: &dyn Storage) -> Result<BTreeSet<String>, StorageError> {
    let mut tables = BTreeSet::new();
    storage.list(RECEIPTS, &mut |meta| {
        let table = meta.key[RECEIPTS.len()..].split_once('/').map(|(table, _)| table.to_owned());
        tables.extend(table);
        Ok(())
    })?;
    Ok(tables)
}

/// What files and receipts in `storage` say of the table `name`, which was made with `contract` and of sources whose keys
/// tell their hour by `pattern`.
///
/// # Errors
/// See [`RebuildError`]; nothing is written.
pub fn read(
    storage: &Arc<dyn Storage>,
    name: &str,
    contract: &Contract,
    pattern: &KeyPattern,
) -> Result<Rebuilt, RebuildError> {
    let said = Said::read(&Ledger::new(storage.clone()), name, pattern)?;
    let storage = &**storage;
    let (layout, partition_by) = match (said.layout, said.partition_by) {
        (Some(layout), Some(partition_by)) => (layout, partition_by),
        _ => return Err(RebuildError::Nothing { table: name.to_owned() }),
    };
    let [rows, rejects] = Side::BOTH.map(|side| files(storage, &TableName::new(name, side)));
    let (files, rejects) = (rows?, rejects?);
    let (generations, mut outputs) = (Generations::new(storage), said.outputs);
    let mut locations = BTreeMap::new();
    for (partition, number) in generations.newest_of(name, "")? {
        let manifest = generations.read(name, partition, number)?.manifest;
        locations.insert(partition, manifest.location());
        outputs.extend(manifest.outputs);
    }
    let declared = Schema::new(contract.clone());
    let mut all = Columns::gather(declared.columns(), &files)?;
    all.order_by_ids();
    let ordered = order::order(&all.registered, &all.lists).map_err(|place| RebuildError::Order {
        table: name.to_owned(),
        name: all.registered[place].name.clone(),
    })?;
    let is_guessed = |pair: &&[usize]| {
        // Declared columns stand first in what may be registered, as they do in the contract.
        pair[1] >= declared.columns().len() && !all.together.contains(&(pair[0], pair[1]))
    };
    let guessed = ordered.windows(2).filter(is_guessed).count();
    let said_ids =
        all.registered.iter().filter_map(|column| Some((column.identity.clone(), column.id?))).collect();
    let columns = with_ids(ordered.iter().map(|place| all.registered[*place].clone()).collect());
    let schema = Schema::from_columns(contract.clone(), columns)
        .map_err(|source| RebuildError::Schema { table: name.to_owned(), source })?;
    let is_filled = |column: &&TableColumn| all.filled.contains(&column.identity);
    let unfilled = declared.columns().iter().filter(|column| !is_filled(column));
    Ok(Rebuilt {
        unfilled: unfilled.map(|column| column.name.clone()).collect(),
        table: Table {
            layout,
            ..Table::new(name, schema, partition_by).with_key_pattern(Some(pattern.clone()))
        },
        said_ids,
        files: files.len(),
        named: named(name, outputs, [files, rejects]),
        locations,
        receipts: said.receipts,
        guessed,
    })
}

/// Makes the table in `catalog`, or adds to the one that is there what it lacks; whether it was made.
///
/// # Errors
/// [`RebuildError::Columns`] or [`RebuildError::Ids`] if the table that is there has other names or field ids for what
/// the files have.
pub fn write(catalog: &dyn Catalog, rebuilt: &Rebuilt) -> Result<bool, RebuildError> {
    let Rebuilt { table, named, locations, said_ids, .. } = rebuilt;
    let is_new = catalog.table(&table.name)?.is_none();
    let there = if is_new {
        catalog.create_table(table)?
    } else {
        let propose = &mut |_: &Schema| -> Vec<Identity> {
            table.schema.columns().iter().map(|column| column.identity.clone()).collect()
        };
        catalog.evolve(&table.name, propose)?.table
    };
    for column in table.schema.columns() {
        let (name, one, other) = (column.name.clone(), "the catalog".to_owned(), "the files".to_owned());
        let found = there.schema.column(&column.identity).filter(|found| found.name == name);
        let Some(found) = found else { return Err(RebuildError::Columns { name, one, other }) };
        if let (Some(id), Some(other_id)) = (found.id, said_ids.get(&column.identity).copied())
            && id != other_id
        {
            return Err(RebuildError::Ids { name, id, one, other_id, other });
        }
    }
    for (side, files) in named {
        catalog.commit(&TableName::new(&table.name, *side), files)?;
    }
    let rows = TableName::rows(&table.name);
    for (partition, location) in locations {
        // One that shows nothing is not known, and nobody looks there.
        if catalog.location(&rows, *partition)?.is_some_and(|there| there != *location) {
            catalog.relocate(&rows, *partition, location)?;
        }
    }
    Ok(is_new)
}

/// What the receipts of a table say.
#[derive(Default)]
struct Said {
    receipts: usize,
    layout: Option<u32>,
    partition_by: Option<PartitionBy>,
    /// Every file that a receipt names.
    outputs: Vec<Output>,
}

impl Said {
    fn read(ledger: &Ledger, table: &str, pattern: &KeyPattern) -> Result<Said, RebuildError> {
        let mut said = Said::default();
        ledger.list(table, |receipt| said.add(table, &receipt, pattern))?;
        Ok(said)
    }

    fn add(&mut self, table: &str, receipt: &Receipt, pattern: &KeyPattern) -> Result<(), RebuildError> {
        let (filed, told) = (receipt.options.hour, pattern.hour(&receipt.source));
        if receipt.options.partition_by == PartitionBy::Arrival && filed != told {
            let show = |hour: Option<Partition>| hour.map_or("no hour".to_owned(), |hour| hour.to_string());
            let source_name = receipt.source.clone();
            return Err(RebuildError::Hour { source_name, filed: show(filed), told: show(told) });
        }
        self.receipts += 1;
        // Files of older layouts stay readable, and the table has that of its first.
        self.layout = Some(self.layout.map_or(receipt.layout, |layout| layout.min(receipt.layout)));
        let by = self.partition_by.get_or_insert_with(|| receipt.options.partition_by.clone());
        if *by != receipt.options.partition_by {
            let (one, other) = (by.clone(), receipt.options.partition_by.clone());
            return Err(RebuildError::Options { table: table.to_owned(), one, other });
        }
        self.outputs.extend(receipt.outputs.iter().chain(&receipt.rejects).cloned());
        Ok(())
    }
}

/// The files that receipts name and that are there, by their side.
fn named(
    table: &str,
    outputs: Vec<Output>,
    mut files: [BTreeMap<String, Described>; 2],
) -> BTreeMap<Side, Vec<DataFile>> {
    let mut named: BTreeMap<Side, Vec<DataFile>> = BTreeMap::new();
    for output in outputs {
        let of_source = Place::parse(table, &output.key).map(|place| (place.side, place.partition));
        let of_generation = || Some((Side::Rows, generation::place::parse(table, &output.key)?.partition));
        let Some((side, partition)) = of_source.or_else(of_generation) else { continue };
        let described = files.iter_mut().find_map(|files| files.remove(&output.key));
        if let Some(Described { summary, .. }) = described {
            named.entry(side).or_default().push(DataFile::named(output, partition, summary));
        }
    }
    named
}

/// What every file on one side of a table says of itself, by its key.
fn files(storage: &dyn Storage, table: &TableName) -> Result<BTreeMap<String, Described>, RebuildError> {
    let mut listed = Vec::new();
    storage.list(&format!("{table}/"), &mut |meta| {
        let is_hidden = meta.key.split('/').any(|part| part.starts_with(['_', '.']));
        if meta.key.ends_with(".parquet") && !is_hidden {
            listed.push(meta);
        }
        Ok(())
    })?;
    let read = |meta: &ObjectMeta| match described(storage, meta)? {
        Ok(described) => Ok((meta.key.clone(), described)),
        Err(reason) => Err(RebuildError::File { key: meta.key.clone(), reason }),
    };
    listed.par_iter().map(read).collect()
}

/// Every column that something speaks of.
#[derive(Default)]
struct Columns {
    /// In the order in which one backfill would have registered them.
    registered: Vec<TableColumn>,
    /// Which of them each file has, in its order.
    lists: Vec<Vec<usize>>,
    /// Pairs that are neighbours in a file.
    together: BTreeSet<(usize, usize)>,
    filled: BTreeSet<Identity>,
}

impl Columns {
    fn gather(
        declared: &[TableColumn],
        files: &BTreeMap<String, Described>,
    ) -> Result<Columns, RebuildError> {
        let mut all = Columns::default();
        let mut names: HashMap<String, (TableColumn, String)> = HashMap::new();
        let mut places: HashMap<Identity, usize> = HashMap::new();
        let mut add = |all: &mut Columns, column: &TableColumn, origin: &str| {
            let (known, first) =
                names.entry(column.name.clone()).or_insert_with(|| (column.clone(), origin.to_owned()));
            let place = *places.entry(column.identity.clone()).or_insert_with(|| {
                all.registered.push(column.clone());
                all.registered.len() - 1
            });
            let there = &mut all.registered[place];
            let is_that = |of: &TableColumn| of.name == column.name && of.identity == column.identity;
            let (name, one, other) = (column.name.clone(), first.clone(), origin.to_owned());
            if !is_that(known) || !is_that(there) {
                return Err(RebuildError::Columns { name, one, other });
            }
            if let (Some(id), Some(other_id)) = (there.id, column.id)
                && id != other_id
            {
                return Err(RebuildError::Ids { name, id, one, other_id, other });
            }
            there.id = there.id.or(column.id);
            Ok(place)
        };
        for column in declared {
            // Where it stood in the table only files can say: declarations may have come later.
            add(&mut all, &TableColumn { id: None, ..column.clone() }, "the contract")?;
        }
        // A part registers what it brings at once, sorted, in however many files its rows are.
        let mut by_part: BTreeMap<(&str, u64), Vec<(&str, &Described)>> = BTreeMap::new();
        for (key, file) in files {
            by_part.entry((&file.source, file.part)).or_default().push((key, file));
        }
        for files in by_part.values() {
            let columns =
                files.iter().flat_map(|(key, file)| file.columns.iter().map(|column| (column, *key)));
            let mut columns: Vec<_> = columns.collect();
            columns.sort_by(|(a, _), (b, _)| a.identity.cmp(&b.identity));
            for (column, key) in columns {
                add(&mut all, column, key)?;
                all.filled.insert(column.identity.clone());
            }
            for (key, file) in files {
                let list: Result<Vec<_>, _> =
                    file.columns.iter().map(|column| add(&mut all, column, key)).collect();
                let list = list?;
                all.together.extend(list.windows(2).map(|pair| (pair[0], pair[1])));
                all.lists.push(list);
            }
        }
        Ok(all)
    }
}

impl Columns {
    /// Takes field ids, which were given in the order of the table, for one more list.
    fn order_by_ids(&mut self) {
        let with_ids = self.registered.iter().enumerate();
        let mut with_ids: Vec<(u32, usize)> =
            with_ids.filter_map(|(place, column)| Some((column.id?, place))).collect();
        with_ids.sort_unstable();
        let list: Vec<usize> = with_ids.into_iter().map(|(_, place)| place).collect();
        self.together.extend(list.windows(2).map(|pair| (pair[0], pair[1])));
        self.lists.push(list);
    }
}

/// Columns in the table's order, with the ids that files say. One that only files of older layouts have gets that of its
/// place, as in a catalog that is older than ids, or, where that is taken, the next behind all.
fn with_ids(mut columns: Vec<TableColumn>) -> Vec<TableColumn> {
    let mut taken: BTreeSet<u32> = columns.iter().filter_map(|column| column.id).collect();
    for (id, column) in (FIRST_FIELD_ID..).zip(&mut columns) {
        if column.id.is_none() {
            let next = taken.last().map_or(FIRST_FIELD_ID, |last| last + 1);
            let id = if taken.contains(&id) { next } else { id };
            taken.insert(id);
            column.id = Some(id);
        }
    }
    columns
}

#[cfg(test)]
mod tests;
