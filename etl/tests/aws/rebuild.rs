//! Tables of Glue that were deleted, made again from the files and receipts of their lake on S3.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use iotlake::audit::{Depth, audit};
use iotlake::backfill;
use iotlake::catalog::{GlueCatalog, Side, TableName};
use iotlake::lake::Lake;
use iotlake::plan::{PlanOptions, Selection, plan};
use iotlake::rebuild;
use iotlake::source::KeyPattern;
use iotlake::storage::{MemoryStorage, S3Storage, Storage};
use iotlake_fixtures::{Dirt, Gzip, Kit};
use iotlake_flatten::Contract;

use crate::landing::{Account, options};

#[test]
fn tables_that_were_deleted_are_made_again_as_they_were() {
    let account = Account::new("rebuild");
    let aws = account.server.aws();
    let storage: Arc<dyn Storage> = Arc::new(S3Storage::new(&aws, &account.lake_bucket, "iot"));
    let catalog = GlueCatalog::new(&aws, &account.database, &account.lake_uri()).with_create_database();
    let lake = Lake::new(storage.clone(), Arc::new(catalog));
    let source = MemoryStorage::new("raw");
    let dirt = Dirt::spread(0.2).unwrap();
    let kit = Kit {
        seed: 3,
        devices: 6,
        hours: 3,
        objects_per_hour: 2,
        dirt,
        gzip: Gzip::Hour(1),
        ..Kit::sample()
    };
    for object in kit.objects() {
        source.put(&object.key, &object.bytes).unwrap();
    }
    let contract = Contract { part_bytes: 4096, ..Contract::default() };
    let pattern = KeyPattern::default();
    let mut options = options(contract.clone());
    options.key_pattern = Some(pattern.clone());
    let planned = PlanOptions { known_as: Some("s3://raw".into()), ..PlanOptions::default() };
    let plan = plan(&source, &Selection::Folder(String::new()), &planned).unwrap();
    let summary = backfill::backfill(&lake, &source, &plan, &options, &AtomicBool::new(false), &()).unwrap();
    assert!(summary.failed.is_empty() && summary.counts.rejected > 0, "{summary:?}");

    let now = || {
        let table = lake.catalog.table("events").unwrap();
        let partitions = Side::BOTH.map(|side| lake.catalog.partitions(&TableName::new("events", side)).ok());
        (table, partitions)
    };
    let was = now();
    assert!(was.0.is_some() && was.1.iter().flatten().all(|partitions| partitions.len() > 1), "{was:?}");
    for name in ["events", "events_rejects"] {
        let delete = aws.glue().delete_table().database_name(&account.database).name(name);
        aws.wait(delete.send()).unwrap();
    }
    // One stand-in knows of no table whose partitions are asked for, another of none in it.
    let (table, partitions) = now();
    assert!(table.is_none() && partitions.iter().flatten().all(Vec::is_empty), "{partitions:?}");
    let rebuilt = rebuild::read(&storage, "events", &contract, &pattern).unwrap();
    assert!(rebuild::write(&*lake.catalog, &rebuilt).unwrap());
    assert_eq!(now(), was);
    let audit = audit(&*storage, &*lake.catalog, Depth::Footers).unwrap();
    assert!(audit.is_clean() && audit.orphans.is_empty(), "{:?}", audit.findings);
}
