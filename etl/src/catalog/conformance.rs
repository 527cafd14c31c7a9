//! What every catalog must do, as a test that any implementation can be put through.

use std::thread;

use iotlake_flatten::{Contract, Declared, Identity, Kind, LAYOUT, Numbers, Path, Schema, Type};

use super::{Catalog, CatalogError, DataFile, Side, Table, TableName};
use crate::ledger::Output;
use crate::partition::{Partition, PartitionBy};
use crate::place::{FileName, Place};
use crate::view::{Expression, View, ViewColumn, ViewType};

/// Puts `catalog` through its paces. It must be empty, and is not empty afterwards.
///
/// # Panics
/// With a message that says which promise is broken.
pub fn conformance(catalog: &dyn Catalog) {
    conformance_of_writers(catalog, 8);
}

/// As [`conformance`], with so many writers that evolve a table at the same time: 1 for a stand-in that is known to
/// lose their updates.
///
/// # Panics
/// With a message that says which promise is broken.
pub fn conformance_of_writers(catalog: &dyn Catalog, writers: usize) {
    tables(catalog);
    agreement(catalog);
    evolution(catalog);
    no_column_is_lost(catalog, writers);
    commits(catalog);
    views(catalog);
    dropped(catalog);
}

/// What a catalog must do whose readers go by the locations that it has. [`conformance`] went before.
///
/// # Panics
/// With a message that says which promise is broken.
pub fn relocations(catalog: &dyn Catalog) {
    let hour = |hour| Partition::new(2026, 3, 1, hour).unwrap();
    let rows = TableName::rows("evolve");
    let aside = format!("{}/g1-00c0ffee00c0ffee", hour(4).folder_aside());
    let location = |of| catalog.location(&rows, of).unwrap();
    for _ in 0..2 {
        catalog.relocate(&rows, hour(4), &aside).unwrap();
        assert_eq!(location(hour(4)).as_deref(), Some(&*aside));
    }
    assert_eq!(location(hour(5)), Some(hour(5).folder()), "others stay where they are");
    catalog.commit(&rows, &[file(&rows, hour(4), 0)]).unwrap();
    assert_eq!(location(hour(4)), Some(aside), "a file that is committed moves nothing");
    catalog.relocate(&rows, hour(4), &hour(4).folder()).unwrap();
    assert_eq!(location(hour(4)), Some(hour(4).folder()));
    let missing = catalog.relocate(&rows, hour(9), &hour(9).folder());
    assert!(matches!(missing, Err(CatalogError::NoPartition { .. })), "{missing:?}");
}

fn table(name: &str, contract: Contract) -> Table {
    Table::new(name, Schema::new(contract), PartitionBy::Arrival)
}

fn identity(path: &str, kind: Kind) -> Identity {
    Identity::new(Path::dotted(path), kind)
}

fn names(table: &Table) -> Vec<&str> {
    table.schema.columns().iter().map(|column| column.name.as_str()).collect()
}

fn tables(catalog: &dyn Catalog) {
    assert_eq!(catalog.tables().unwrap(), [""; 0], "the catalog has to be empty");
    assert_eq!(catalog.table("none").unwrap(), None);
    let made = table("second", Contract::default());
    assert_eq!(catalog.create_table(&made).unwrap(), made);
    assert_eq!(catalog.create_table(&made).unwrap(), made, "making it again gives the same");
    assert_eq!(catalog.table("second").unwrap(), Some(made));
    let by_event =
        Table::new("first", Schema::new(Contract::empty()), PartitionBy::Event(Path::dotted("ts")));
    catalog.create_table(&by_event).unwrap();
    assert_eq!(catalog.table("first").unwrap(), Some(by_event));
    assert_eq!(catalog.tables().unwrap(), ["first", "second"]);
    for name in ["", "Upper", "a/b", "_hidden", "x_rejects"] {
        let refused = catalog.create_table(&table(name, Contract::default()));
        assert!(matches!(refused, Err(CatalogError::InvalidName { .. })), "{name}: {refused:?}");
        assert_eq!(catalog.table(name).unwrap(), None, "{name}");
    }
}

fn agreement(catalog: &dyn Catalog) {
    let base = || Contract::empty().declare("a", Type::Double);
    catalog.create_table(&table("agree", base())).unwrap();
    let found = [identity("seen", Kind::String), identity("object.x", Kind::Double)];
    catalog.evolve("agree", &mut |_| found.to_vec()).unwrap();

    let disagrees = |asked: Table, expected: &str| {
        let error = catalog.create_table(&asked).expect_err(expected);
        assert_eq!(error.to_string(), format!("table `agree`: {expected} was asked for"));
    };
    let asked = |contract| table("agree", contract);
    disagrees(
        asked(Contract::empty().declare("a", Type::String)),
        "the type of path a is double, but string",
    );
    disagrees(asked(base().declare("seen", Type::Double)), "the type of path seen is string, but double");
    disagrees(asked(base().declare("seen", Type::Ignore)), "the type of path seen is string, but ignore");
    disagrees(
        asked(base().declare("object", Type::Json)),
        "the type of path object is an object with column `object.x`, but json",
    );
    disagrees(asked(Contract { numbers: Numbers::Exact, ..base() }), "`numbers` is double, but exact");
    disagrees(asked(Contract { part_bytes: 1 << 20, ..base() }), "`part_bytes` is 67108864, but 1048576");
    let by_event = Table { partition_by: PartitionBy::Event(Path::dotted("ts")), ..asked(base()) };
    disagrees(by_event, "partition-by is arrival, but event:ts");
    disagrees(Table { layout: 0, ..asked(base()) }, &format!("its layout is {LAYOUT}, but 0"));
    catalog
        .create_table(&Table { layout: LAYOUT + 1, ..asked(base()) })
        .expect("a newer version reads older layouts");

    // What is declared in addition comes behind what is there.
    let also = Declared { path: Path::dotted("a"), ty: Type::Double, also: vec![Kind::String] };
    let mut more = Contract::empty().declare("new", Type::Boolean).declare("seen", Type::String);
    more.columns.insert(0, also);
    let grown = catalog.create_table(&asked(more)).unwrap();
    assert_eq!(names(&grown), ["a", "seen", "object.x", "a.string", "new"]);
    assert_eq!(catalog.table("agree").unwrap(), Some(grown.clone()));
    assert_eq!(
        catalog.create_table(&asked(Contract::empty())).unwrap(),
        grown,
        "asking for less changes nothing"
    );
}

fn evolution(catalog: &dyn Catalog) {
    let missing = catalog.evolve("none", &mut |_| Vec::new());
    assert!(matches!(missing, Err(CatalogError::NoTable { .. })), "{missing:?}");

    catalog.create_table(&table("evolve", Contract::default())).unwrap();
    let proposed = [
        identity("b", Kind::Double),
        identity("a", Kind::Double),
        identity("ts", Kind::Long),
        identity("b", Kind::String),
        identity("b", Kind::Double),
        Identity::new(Path::new(["B"]), Kind::Double),
    ];
    let evolved = catalog.evolve("evolve", &mut |_| proposed.to_vec()).unwrap();
    let hashed = evolved.table.schema.column(&proposed[5]).unwrap().name.clone();
    assert_eq!(names(&evolved.table), ["ts", "b", "a", "b.string", &hashed]);
    assert_eq!(evolved.registered, evolved.table.schema.columns()[1..]);
    assert_eq!(evolved.conflicts, 0);
    assert_eq!(catalog.table("evolve").unwrap(), Some(evolved.table.clone()));

    let again = catalog.evolve("evolve", &mut |_| proposed.to_vec()).unwrap();
    assert!(again.registered.is_empty());
    assert_eq!(again.table, evolved.table);
}

fn no_column_is_lost(catalog: &dyn Catalog, writers: usize) {
    const ROUNDS: usize = 25;
    catalog.create_table(&table("race", Contract::default())).unwrap();
    thread::scope(|scope| {
        for writer in 0..writers {
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let own = identity(&format!("own.{writer}.{round}"), Kind::Double);
                    let shared = identity(&format!("shared.{round}"), Kind::String);
                    let evolved = catalog.evolve("race", &mut |schema| {
                        assert!(schema.place(&identity("ts", Kind::Long)).is_some());
                        vec![own.clone(), shared.clone()]
                    });
                    let evolved = evolved.unwrap();
                    assert!(evolved.registered.iter().any(|column| column.identity == own));
                    assert!(evolved.table.schema.column(&shared).is_some());
                }
            });
        }
    });
    let table = catalog.table("race").unwrap().unwrap();
    assert_eq!(
        table.schema.columns().len(),
        1 + writers * ROUNDS + ROUNDS,
        "no column was lost, none stands twice"
    );
    for round in 0..ROUNDS {
        let shared = identity(&format!("shared.{round}"), Kind::String);
        assert_eq!(table.schema.column(&shared).unwrap().name, format!("shared.{round}"));
    }
}

/// A file of this hour. Several of one hour are told apart by their `number`.
fn file(table: &TableName, partition: Partition, number: u32) -> DataFile {
    let name = FileName { hash: "0".repeat(32), part: number, revision: 0 };
    let key = Place { side: table.side, partition, name }.key(&table.name);
    DataFile::named(Output { key, bytes: 4, rows: 1, digest: "0".repeat(32) }, partition, Vec::new())
}

fn commits(catalog: &dyn Catalog) {
    let hour = |hour| Partition::new(2026, 3, 1, hour).unwrap();
    let [rows, rejects] = Side::BOTH.map(|side| TableName::new("evolve", side));
    let commit = |table: &TableName, hours: &[Partition]| {
        let files = (0..).zip(hours).map(|(number, hour)| file(table, *hour, number));
        catalog.commit(table, &files.collect::<Vec<_>>()).unwrap().new_partitions
    };
    assert_eq!(catalog.partitions(&rows).unwrap(), []);
    assert_eq!(commit(&rows, &[]), 0);
    assert_eq!(commit(&rows, &[hour(5), hour(4), hour(5)]), 2);
    assert_eq!(commit(&rows, &[hour(5), hour(4), hour(5)]), 0, "to commit again changes nothing");
    assert_eq!(commit(&rows, &[hour(5), Partition::UNKNOWN]), 1);
    assert_eq!(commit(&rejects, &[hour(6)]), 1);
    assert_eq!(catalog.partitions(&rows).unwrap(), [Partition::UNKNOWN, hour(4), hour(5)]);
    assert_eq!(catalog.partitions(&rejects).unwrap(), [hour(6)], "each side has its own");

    let race = TableName::rows("race");
    let hours: Vec<_> = (0..24).map(hour).collect();
    let new: usize = thread::scope(|scope| {
        let writers: Vec<_> = (0..4).map(|_| scope.spawn(|| commit(&race, &hours))).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).sum()
    });
    assert_eq!(new, 24, "each partition is new to exactly one writer");
    assert_eq!(catalog.partitions(&race).unwrap(), hours);

    assert_eq!(catalog.location(&rows, hour(4)).unwrap(), Some(hour(4).folder()));
    assert_eq!(catalog.location(&rejects, hour(6)).unwrap(), Some(hour(6).folder()));
    assert_eq!(catalog.location(&rows, hour(6)).unwrap(), None, "a partition that is not known lies nowhere");

    // What is committed says nothing of the columns, and what is evolved nothing of the files.
    let table = catalog.table("evolve").unwrap();
    catalog.evolve("evolve", &mut |_| Vec::new()).unwrap();
    assert_eq!(catalog.table("evolve").unwrap(), table);

    for table in Side::BOTH.map(|side| TableName::new("none", side)) {
        let missing = catalog.commit(&table, &[file(&table, hour(1), 0)]);
        assert!(matches!(missing, Err(CatalogError::NoTable { .. })), "{missing:?}");
        let known = catalog.partitions(&table);
        assert!(matches!(known.as_deref(), Ok([]) | Err(CatalogError::NoTable { .. })), "{known:?}");
    }
    let bad = TableName::rows("Upper");
    let refused = catalog.commit(&bad, &[file(&bad, hour(1), 0)]);
    assert!(matches!(refused, Err(CatalogError::InvalidName { .. })), "{refused:?}");
}

fn dropped(catalog: &dyn Catalog) {
    let made = table("leaves", Contract::default());
    let hour = Partition::new(2026, 3, 1, 5).unwrap();
    let rows = TableName::new("leaves", Side::Rows);
    let view = View { name: "leaving".to_owned(), table: "leaves".to_owned(), columns: Vec::new() };
    let before = (catalog.tables().unwrap(), catalog.views().unwrap());
    for _ in 0..2 {
        catalog.create_table(&made).unwrap();
        assert_eq!(catalog.partitions(&rows).unwrap(), [], "it is made anew");
        catalog.commit(&rows, &[file(&rows, hour, 0)]).unwrap();
        catalog.put_view(&view).unwrap();
        catalog.drop_view("leaving").unwrap();
        catalog.drop_table("leaves").unwrap();
        assert_eq!((catalog.tables().unwrap(), catalog.views().unwrap()), before);
        assert_eq!((catalog.table("leaves").unwrap(), catalog.view("leaving").unwrap()), (None, None));
        catalog.drop_table("leaves").expect("one that is not there is dropped");
        catalog.drop_view("leaving").expect("one that is not there is dropped");
    }
    let refused = catalog.commit(&rows, &[file(&rows, hour, 0)]);
    assert!(matches!(refused, Err(CatalogError::NoTable { .. })), "{refused:?}");
}

fn views(catalog: &dyn Catalog) {
    let column = |from| ViewColumn { name: "X".to_owned(), ty: ViewType::Decimal, from };
    let view = |name: &str, from| View {
        name: name.to_owned(),
        table: "evolve".to_owned(),
        columns: vec![column(from)],
    };
    assert_eq!(catalog.views().unwrap(), []);
    assert_eq!(catalog.view("v").unwrap(), None);
    catalog.put_view(&view("v", Expression::Null)).unwrap();
    let second = view("v", Expression::Fraction(identity("a", Kind::Double)));
    catalog.put_view(&second).unwrap();
    assert_eq!(catalog.view("v").unwrap(), Some(second.clone()));
    let other = view("a", Expression::Text("all".to_owned()));
    catalog.put_view(&other).unwrap();
    assert_eq!(catalog.views().unwrap(), [other, second]);
    for taken in [
        catalog.create_table(&table("v", Contract::default())).map(drop),
        catalog.put_view(&view("evolve", Expression::Null)),
    ] {
        assert!(matches!(taken, Err(CatalogError::Foreign { .. })), "{taken:?}");
    }
    assert_eq!((catalog.table("v").unwrap(), catalog.view("evolve").unwrap()), (None, None));
    assert!(matches!(catalog.put_view(&view("V", Expression::Null)), Err(CatalogError::InvalidName { .. })));
}
