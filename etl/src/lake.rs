//! A lake: the place its files lie and the catalog that knows its tables.

use std::path::Path;
use std::sync::Arc;

use crate::catalog::{Catalog, EmbeddedCatalog};
use crate::ledger::Ledger;
use crate::storage::{LocalStorage, Storage, StorageError};

/// Where data, rejects and receipts lie, and which tables there are.
#[derive(Debug, Clone)]
pub struct Lake {
    /// Data, rejects, receipts.
    pub storage: Arc<dyn Storage>,
    /// Tables, partitions, views.
    pub catalog: Arc<dyn Catalog>,
}

impl Lake {
    /// A lake of this storage and catalog.
    pub fn new(storage: Arc<dyn Storage>, catalog: Arc<dyn Catalog>) -> Lake {
        Lake { storage, catalog }
    }

    /// A lake whose catalog lies beside its data.
    pub fn embedded(storage: Arc<dyn Storage>) -> Lake {
        let catalog = Arc::new(EmbeddedCatalog::new(storage.clone()));
        Lake { storage, catalog }
    }

    /// The lake in a local folder, which is made if it is not there.
    ///
    /// # Errors
    /// If the folder cannot be made or opened.
    pub fn create_local(root: &Path) -> Result<Lake, StorageError> {
        Ok(Lake::embedded(Arc::new(LocalStorage::create(root)?)))
    }

    /// The lake in a local folder that is there; changes nothing by itself.
    ///
    /// # Errors
    /// If the folder is not there or cannot be read.
    pub fn open_local(root: &Path) -> Result<Lake, StorageError> {
        Ok(Lake::embedded(Arc::new(LocalStorage::open(root)?)))
    }

    /// The receipts of this lake.
    pub fn ledger(&self) -> Ledger {
        Ledger::new(self.storage.clone())
    }
}
