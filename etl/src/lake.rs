//! A lake: the place its files lie and the catalog that knows its tables.
//!
//! In come a location and the choice of a catalog; out comes the pair of seams that everything else works on. What must
//! stay true: opening a lake changes nothing, and one whose readers could not reach it is refused before anything is
//! written.

use std::path::Path;
use std::sync::Arc;

use crate::catalog::{Catalog, EmbeddedCatalog};
use crate::ledger::Ledger;
use crate::location::{CatalogChoice, LazyAws, Location, OpenError, S3Location};
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

    /// The lake at `location`, whose folder, if it is local, is made if it is not there; with `create_database` so is the
    /// database of Glue when the first table is made.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn create(
        location: &Location,
        catalog: &CatalogChoice,
        create_database: bool,
        aws: &LazyAws,
    ) -> Result<Lake, OpenError> {
        match (location, catalog) {
            (Location::Local(path), CatalogChoice::Embedded) => Ok(Lake::create_local(path)?),
            (Location::S3(location), catalog) => Lake::on_s3(location, catalog, create_database, aws),
            (Location::Local(_), CatalogChoice::Glue(_)) => Err(not_on_s3(location, catalog)),
        }
    }

    /// The lake at `location`, which is there; changes nothing by itself.
    ///
    /// # Errors
    /// See [`OpenError`]. Whether there is a bucket or a database shows only when it is used.
    pub fn open(location: &Location, catalog: &CatalogChoice, aws: &LazyAws) -> Result<Lake, OpenError> {
        match (location, catalog) {
            (Location::Local(path), CatalogChoice::Embedded) => Ok(Lake::open_local(path)?),
            (Location::S3(location), catalog) => Lake::on_s3(location, catalog, false, aws),
            (Location::Local(_), CatalogChoice::Glue(_)) => Err(not_on_s3(location, catalog)),
        }
    }

    #[cfg(feature = "aws")]
    fn on_s3(
        location: &S3Location,
        catalog: &CatalogChoice,
        create_database: bool,
        aws: &LazyAws,
    ) -> Result<Lake, OpenError> {
        let aws = aws.get()?;
        let storage = crate::storage::S3Storage::new(aws, &location.bucket, location.prefix());
        let storage: Arc<dyn Storage> = Arc::new(storage);
        match catalog {
            CatalogChoice::Embedded => Ok(Lake::embedded(storage)),
            CatalogChoice::Glue(database) => {
                let catalog = crate::catalog::GlueCatalog::new(aws, database, &location.to_string());
                let catalog = if create_database { catalog.with_create_database() } else { catalog };
                Ok(Lake::new(storage, Arc::new(catalog)))
            }
        }
    }

    #[cfg(not(feature = "aws"))]
    fn on_s3(location: &S3Location, _: &CatalogChoice, _: bool, _: &LazyAws) -> Result<Lake, OpenError> {
        Err(OpenError::NoAws { location: location.to_string() })
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

fn not_on_s3(lake: &Location, catalog: &CatalogChoice) -> OpenError {
    OpenError::NotOnS3 { catalog: catalog.clone(), lake: lake.clone() }
}
