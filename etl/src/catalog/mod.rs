//! What tables there are and what they promise: the seam between the engine and a catalog.
//!
//! In come tables to make, identities of columns that records brought, and files that hold their rows; out comes the
//! table as it stands. Many writers ask at once: [`Catalog::evolve`] is a compare-and-swap, so that writers that find
//! the same column agree on it and none is lost.
//!
//! What must stay true: a column that is in a catalog keeps name, type and place for ever; what a catalog holds depends
//! on what was registered in which order, not on time or on how often a writer had to try again. [`conformance`] holds
//! every implementation to this.

mod agree;
#[doc(hidden)]
pub mod conformance;
mod data_file;
mod document;
mod embedded;
mod error;
#[cfg(feature = "aws")]
mod glue;
mod known;
mod memory;
mod name;

use std::fmt::Debug;

use iotlake_flatten::{Identity, LAYOUT, Schema, TableColumn};

pub use data_file::DataFile;
pub use embedded::EmbeddedCatalog;
pub use error::CatalogError;
#[cfg(feature = "aws")]
pub use glue::GlueCatalog;
pub use memory::MemoryCatalog;
pub use name::{MAX_TABLE_NAME, Side, TableName, check_name};

use crate::partition::{Partition, PartitionBy};
use crate::source::KeyPattern;
use crate::view::View;

/// The result of asking a catalog.
pub type Result<T, E = CatalogError> = std::result::Result<T, E>;

/// A table as a catalog has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name, and that of its folder.
    pub name: String,
    /// Its contract and columns.
    pub schema: Schema,
    /// What decides the partition of a row.
    pub partition_by: PartitionBy,
    /// How keys tell the hour by which rows are filed, where they are filed by arrival: a source has one place for ever.
    /// `None` until the first run says so.
    pub key_pattern: Option<KeyPattern>,
    /// The layout of its files, [`LAYOUT`] when it was made.
    pub layout: u32,
}

impl Table {
    /// A table to be made, of the current layout.
    pub fn new(name: impl Into<String>, schema: Schema, partition_by: PartitionBy) -> Table {
        Table { name: name.into(), schema, partition_by, key_pattern: None, layout: LAYOUT }
    }

    /// The same, of sources whose keys tell their hour so.
    #[must_use]
    pub fn with_key_pattern(mut self, pattern: Option<KeyPattern>) -> Table {
        // By event time a key only says where rejects go.
        self.key_pattern = pattern.filter(|_| self.partition_by == PartitionBy::Arrival);
        self
    }

    /// Grows with every change: columns are only ever appended, so their number tells older from newer.
    pub fn version(&self) -> u64 {
        self.schema.columns().len() as u64
    }
}

/// What [`Catalog::evolve`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evolved {
    /// The table afterwards.
    pub table: Table,
    /// The columns that this call appended, in the table's order.
    pub registered: Vec<TableColumn>,
    /// How often another writer came first and the proposal was made anew.
    pub conflicts: u32,
}

/// What [`Catalog::commit`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Partitions that nobody knew of before; each is new to one writer.
    pub new_partitions: usize,
}

/// A place that knows tables, their partitions, and views on them.
pub trait Catalog: Debug + Send + Sync {
    /// The names of all tables, sorted.
    fn tables(&self) -> Result<Vec<String>>;

    /// A table; `None` if there is none of this name.
    fn table(&self, name: &str) -> Result<Option<Table>>;

    /// Makes `table`, or returns the one that is there after adding the columns that `table` declares and it lacks.
    ///
    /// # Errors
    /// [`CatalogError::Disagrees`] if the table that is there was made under other options or has another type for a
    /// path; [`CatalogError::InvalidName`].
    fn create_table(&self, table: &Table) -> Result<Table>;

    /// Appends the columns that `propose` asks for.
    ///
    /// `propose` sees the table's schema as it is now and returns identities in the order in which they shall be
    /// registered; those that the table has are skipped. If another writer changes the table meanwhile it is called
    /// again. If nothing is new, nothing is written.
    ///
    /// # Errors
    /// [`CatalogError::NoTable`], or [`CatalogError::Contended`] if other writers always came first.
    fn evolve(&self, name: &str, propose: &mut dyn FnMut(&Schema) -> Vec<Identity>) -> Result<Evolved>;

    /// Takes files into a table: who reads it through the catalog finds their rows from then on.
    ///
    /// The files are there, and never change. To commit one again is success and changes nothing; of files that several
    /// writers commit at a time none is lost. That a file is committed does not say that its source is done: only a
    /// receipt does. A catalog that knows partitions and no files makes those known that it has not, and remembers which
    /// it has seen: a file in one of them costs it nothing.
    ///
    /// # Errors
    /// [`CatalogError::NoTable`] if there is no such table; then nothing is known of the files. One that vanished after a
    /// partition was seen may not be missed before the next partition that was not.
    fn commit(&self, table: &TableName, files: &[DataFile]) -> Result<Committed>;

    /// The known partitions of a table, sorted.
    fn partitions(&self, table: &TableName) -> Result<Vec<Partition>>;

    /// Where the files of a partition lie, as a folder below that of the table: what readers of the catalog list. `None` if
    /// the partition is not known.
    fn location(&self, table: &TableName, partition: Partition) -> Result<Option<String>>;

    /// Makes `folder` the location of a partition that is known, in one step for those who read: they see the files that
    /// lay there before or those that lie there now. A catalog whose readers go by the newest manifest of the partition
    /// ([`crate::generation`]) has nothing to do.
    fn relocate(&self, table: &TableName, partition: Partition, folder: &str) -> Result<()>;

    /// Makes a view, in place of the one of the same name.
    fn put_view(&self, view: &View) -> Result<()>;

    /// All views, sorted by name.
    fn views(&self) -> Result<Vec<View>>;

    /// Forgets a table, its rejects and their partitions; success if there is none. Files are not touched.
    fn drop_table(&self, name: &str) -> Result<()>;

    /// Forgets a view; success if there is none.
    fn drop_view(&self, name: &str) -> Result<()>;

    /// A view; `None` if there is none of this name.
    fn view(&self, name: &str) -> Result<Option<View>>;
}

/// Registers what is new of `proposed`; what it appended.
fn register(schema: &mut Schema, proposed: &[Identity]) -> Vec<TableColumn> {
    let before = schema.columns().len();
    for identity in proposed {
        schema.register(identity);
    }
    schema.columns()[before..].to_vec()
}
