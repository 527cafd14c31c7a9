use iotlake_flatten::{Kind, Path};

use super::*;
use crate::catalog::MemoryCatalog;
use crate::partition::Partition;
use crate::storage::MemoryStorage;

fn column(name: &str, path: &str, kind: Kind) -> TableColumn {
    TableColumn { name: name.to_owned(), id: None, identity: Identity::new(Path::dotted(path), kind) }
}

fn file(source: &str, part: u64, columns: &[TableColumn]) -> Described {
    Described { source: source.to_owned(), part, columns: columns.to_vec(), summary: Vec::new() }
}

fn names(declared: &[TableColumn], files: Vec<Described>) -> Result<Vec<String>, RebuildError> {
    let files = files.into_iter().enumerate().map(|(at, file)| (format!("t/{at}"), file)).collect();
    let all = Columns::gather(declared, &files)?;
    let ordered = order::order(&all.registered, &all.lists).expect("there is an order");
    Ok(ordered.into_iter().map(|place| all.registered[place].name.clone()).collect())
}

#[test]
fn columns_stand_as_one_backfill_registers_them_unless_a_file_says_otherwise() {
    let [ts, a, b, c] = ["ts", "a", "b", "c"]
        .map(|name| column(name, name, if name == "ts" { Kind::Long } else { Kind::Double }));
    let declared = [ts.clone()];
    // By source, then part, then path: `b` of the first part before `a` of the second.
    let files = vec![
        file("s2", 0, std::slice::from_ref(&c)),
        file("s1", 1, &[ts.clone(), b.clone(), a.clone()]),
        file("s1", 0, &[ts.clone(), b.clone()]),
    ];
    assert_eq!(names(&declared, files).unwrap(), ["ts", "b", "a", "c"]);
    // The file decides where two writers came in another order.
    let files =
        vec![file("s1", 0, std::slice::from_ref(&a)), file("s2", 0, &[ts.clone(), c.clone(), a.clone()])];
    assert_eq!(names(&declared, files).unwrap(), ["ts", "c", "a"]);
    let text = column("a", "a", Kind::String);
    let with_id = |id| TableColumn { id: Some(id), ..a.clone() };
    let files = vec![file("s1", 0, &[with_id(17)]), file("s2", 0, &[with_id(18)])];
    let error = names(&declared, files).unwrap_err();
    assert_eq!(error.to_string(), "column `a` has the field id 17 in t/0, and 18 in t/1");
    for other in [text, column("a2", "a", Kind::Double)] {
        let error = names(&declared, vec![file("s1", 0, std::slice::from_ref(&a)), file("s2", 0, &[other])]);
        assert!(matches!(error, Err(RebuildError::Columns { .. })), "{error:?}");
    }
}

#[test]
fn a_table_that_was_never_written_is_not_made_up() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new("lake"));
    let error = read(&storage, "t", &Contract::default(), &KeyPattern::default()).unwrap_err();
    assert_eq!(error.to_string(), "table t: there is no receipt of it in the lake");
    assert_eq!(tables(&*storage).unwrap(), BTreeSet::new());
}

#[test]
fn a_table_that_is_there_keeps_what_it_has() {
    let catalog = MemoryCatalog::new();
    let schema = Schema::new(Contract::default());
    let hour = Partition::new(2026, 3, 1, 5).unwrap();
    let output = Output { key: "t/x.parquet".into(), bytes: 4, rows: 1, digest: "0".into() };
    let rebuilt = |columns: Vec<TableColumn>| Rebuilt {
        said_ids: columns.iter().filter_map(|column| Some((column.identity.clone(), column.id?))).collect(),
        table: Table::new(
            "t",
            Schema::from_columns(Contract::default(), columns).unwrap(),
            PartitionBy::Arrival,
        ),
        named: [(Side::Rows, vec![DataFile::named(output.clone(), hour, Vec::new())])].into(),
        locations: BTreeMap::new(),
        files: 1,
        receipts: 1,
        unfilled: Vec::new(),
        guessed: 0,
    };
    let ts = schema.columns()[0].clone();
    let table = Table::new("t", schema, PartitionBy::Arrival);
    catalog.create_table(&table).unwrap();
    let a = column("a", "a", Kind::Double);
    assert!(!write(&catalog, &rebuilt(vec![a.clone()])).unwrap());
    // Of files that are older than field ids nothing is known; the table gives the next.
    let with_id = |id| TableColumn { id: Some(id), ..a.clone() };
    assert_eq!(catalog.table("t").unwrap().unwrap().schema.columns(), [ts, with_id(17)]);
    assert!(!write(&catalog, &rebuilt(vec![with_id(17)])).unwrap());
    let error = write(&catalog, &rebuilt(vec![with_id(18)])).unwrap_err();
    assert!(matches!(error, RebuildError::Ids { id: 17, other_id: 18, .. }), "{error}");
    assert_eq!(catalog.partitions(&TableName::rows("t")).unwrap(), [hour]);
    let other = rebuilt(vec![column("b", "a", Kind::Double)]);
    assert!(matches!(write(&catalog, &other), Err(RebuildError::Columns { .. })));
}
