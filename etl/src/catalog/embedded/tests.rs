use iotlake_flatten::{Contract, Kind, Path};

use super::*;
use crate::error::Hint;
use crate::partition::PartitionBy;
use crate::storage::{Durability, LocalStorage, MemoryStorage};

fn catalog() -> (Arc<MemoryStorage>, EmbeddedCatalog) {
    let storage = Arc::new(MemoryStorage::new("lake"));
    (storage.clone(), EmbeddedCatalog::new(storage))
}

fn table(name: &str) -> Table {
    Table::new(name, Schema::new(Contract::default()), PartitionBy::Arrival)
}

#[test]
fn conforms_in_memory() {
    super::super::conformance::conformance(&catalog().1);
}

#[test]
fn conforms_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let storage = LocalStorage::open(folder.path()).unwrap().with_durability(Durability::None);
    super::super::conformance::conformance(&EmbeddedCatalog::new(Arc::new(storage)));
}

#[test]
fn a_document_says_only_what_the_table_is() {
    let (storage, catalog) = catalog();
    catalog.create_table(&Table { layout: 1, ..table("t") }).unwrap();
    let expected = r#"{
  "format": 1,
  "table": "t",
  "layout": 1,
  "partition_by": "arrival",
  "contract": {
    "numbers": "double",
    "part_bytes": 67108864,
    "columns": [
      {
        "path": [
          "ts"
        ],
        "type": "bigint"
      }
    ]
  },
  "columns": [
    {
      "name": "ts",
      "id": 16,
      "path": [
        "ts"
      ],
      "kind": "long"
    }
  ]
}
"#;
    let document = storage.read("_iotlake/catalog/tables/t.json").unwrap().unwrap();
    assert_eq!(String::from_utf8(document).unwrap(), expected);
}

#[test]
fn nothing_is_written_when_nothing_is_new() {
    let (storage, catalog) = catalog();
    catalog.create_table(&table("t")).unwrap();
    let before = storage.head("_iotlake/catalog/tables/t.json").unwrap();
    catalog.create_table(&table("t")).unwrap();
    let known = Identity::new(Path::dotted("ts"), Kind::Long);
    let evolved = catalog.evolve("t", &mut |_| vec![known.clone()]).unwrap();
    assert!(evolved.registered.is_empty());
    assert_eq!(storage.head("_iotlake/catalog/tables/t.json").unwrap(), before);
}

#[test]
fn a_lake_of_a_newer_version_is_left_alone() {
    let (storage, catalog) = catalog();
    storage.put("_iotlake/catalog/tables/t.json", br#"{"format": 2, "tables": {}}"#).unwrap();
    let error = catalog.table("t").unwrap_err();
    assert_eq!(
        error.to_string(),
        "memory://lake/_iotlake/catalog/tables/t.json: written by a newer iotlake (format 2; this one knows 1)"
    );
    assert_eq!(error.hint(), Some("upgrade iotlake"));
    assert!(matches!(catalog.create_table(&table("t")), Err(CatalogError::Newer { .. })));
}

#[test]
fn a_damaged_document_is_named() {
    let (storage, catalog) = catalog();
    for document in ["", "{}", "[1]", r#"{"format":1,"view":2}"#] {
        storage.put("_iotlake/catalog/tables/t.json", document.as_bytes()).unwrap();
        let error = catalog.table("t").unwrap_err();
        assert!(matches!(error, CatalogError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("tables/t.json"), "{error}");
    }
}

#[test]
fn a_table_that_vanished_is_missed_with_the_next_new_partition() {
    let (storage, catalog) = catalog();
    catalog.create_table(&table("t")).unwrap();
    let rows = TableName::rows("t");
    let file = |hour| DataFile {
        key: format!("t/{hour}.parquet"),
        partition: Partition::new(2026, 3, 1, hour).unwrap(),
        rows: 1,
        bytes: 4,
        digest: String::new(),
        columns: Vec::new(),
    };
    catalog.commit(&rows, &[file(5)]).unwrap();
    storage.delete("_iotlake/catalog/tables/t.json").unwrap();
    storage.delete("_iotlake/catalog/partitions/t/year=2026/month=03/day=01/hour=05.json").unwrap();
    assert_eq!(catalog.commit(&rows, &[file(5)]).unwrap(), Committed { new_partitions: 0 });
    let missing = catalog.commit(&rows, &[file(6)]);
    assert!(matches!(missing, Err(CatalogError::NoTable { .. })), "{missing:?}");
    // Made again, it has nothing of what the other had, whoever noticed that it was gone.
    for _ in 0..2 {
        catalog.create_table(&table("t")).unwrap();
        assert_eq!(catalog.commit(&rows, &[file(5)]).unwrap(), Committed { new_partitions: 1 });
        storage.delete("_iotlake/catalog/tables/t.json").unwrap();
        storage.delete("_iotlake/catalog/partitions/t/year=2026/month=03/day=01/hour=05.json").unwrap();
        assert_eq!(catalog.table("t").unwrap(), None);
    }
}
