//! Lakes that older versions wrote: what is in them is read beside what is written now.
//!
//! `fixtures/lakes/layout-N` is the lake that the last version of layout N made of two objects.

use std::fs;
use std::path::Path;

use iotlake::audit::{Depth, audit};
use iotlake::lake::Lake;
use iotlake::partition::PartitionBy;
use iotlake::rebuild;
use iotlake::source::KeyPattern;
use iotlake::storage::{MemoryStorage, Storage};
use iotlake_flatten::{Contract, LAYOUT};

use crate::support::{options, run};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

fn names(lake: &Lake) -> Vec<String> {
    let table = lake.catalog.table("events").unwrap().unwrap();
    table.schema.columns().iter().map(|column| column.name.clone()).collect()
}

#[test]
fn a_lake_of_an_older_layout_is_audited_grows_and_is_rebuilt() {
    for layout in 2..=LAYOUT {
        let committed = format!("{}/../fixtures/lakes/layout-{layout}", env!("CARGO_MANIFEST_DIR"));
        assert!(Path::new(&committed).is_dir(), "a new layout: keep a lake of it as {committed}");
        let folder = tempfile::tempdir().unwrap();
        copy(Path::new(&committed), folder.path());
        let lake = Lake::open_local(folder.path()).unwrap();
        let before = audit(&*lake.storage, &*lake.catalog, Depth::Bytes).unwrap();
        assert_eq!((before.findings, before.orphans), (vec![], vec![]));
        assert_eq!((before.receipts, before.files, before.rows, before.rejected), (2, 3, 3, 1));
        let columns = names(&lake);

        // A source of now, with columns that are there and one that is not.
        let from = MemoryStorage::new("raw");
        let line = b"{\"ts\":1772352002123,\"device\":\"c\",\"temperature\":23,\"new\":true}\n";
        from.put("2026/03/01/10/c.json", line).unwrap();
        let by_arrival = options(Contract::default(), PartitionBy::Arrival);
        assert_eq!(run(&lake, &from, &by_arrival).counts.new_columns, 1);
        assert_eq!(names(&lake), [&columns[..], &["new".to_owned()]].concat());
        let after = audit(&*lake.storage, &*lake.catalog, Depth::Bytes).unwrap();
        assert_eq!((after.findings, after.orphans, after.rows), (vec![], vec![], 4));

        let rebuilt =
            rebuild::read(&lake.storage, "events", &Contract::default(), &KeyPattern::default()).unwrap();
        let table = lake.catalog.table("events").unwrap().unwrap();
        assert_eq!(rebuilt.table.schema.columns(), table.schema.columns());
    }
}

#[cfg(feature = "query")]
#[test]
fn a_query_reads_every_layout_at_once() {
    let committed = format!("{}/../fixtures/lakes/layout-2", env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    copy(Path::new(&committed), folder.path());
    let lake = Lake::open_local(folder.path()).unwrap();
    let from = MemoryStorage::new("raw");
    from.put("2026/03/01/08/c.json", b"{\"device\":\"c\",\"temperature\":23}\n").unwrap();
    run(&lake, &from, &options(Contract::default(), PartitionBy::Arrival));
    let session = iotlake::query::Session::open(&lake).unwrap();
    let mut out = Vec::new();
    // As the versions of that layout named it, which had met `Temperature` first.
    let sql = "SELECT device, temperature_5644dd AS t FROM events ORDER BY device, t";
    session.write(sql, iotlake::query::Format::Csv, &mut out).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), "device,t\r\na,21.5\r\na,\r\nb,22.0\r\nc,23.0\r\n");
}
