//! A lake's tables in the Glue Data Catalog.
//!
//! ministack checks the version that an update names and moto does not; moto tells a missing database from a missing
//! table and ministack does not. Every test has a database of its own on the servers that all share.

use std::thread;

use aws_sdk_glue::types::{
    Column, Partition as GluePartition, StorageDescriptor, Table as Definition, TableInput,
};
use aws_smithy_types::base64;
use iotlake::aws::Aws;
use iotlake::catalog::conformance::{conformance, conformance_of_writers, relocations};
use iotlake::catalog::{Catalog, CatalogError, DataFile, GlueCatalog, Table, TableName};
use iotlake::error::Hint;
use iotlake::partition::{Partition, PartitionBy};
use iotlake::view::{Expression, View, ViewColumn, ViewType};
use iotlake_flatten::{Contract, Identity, Kind, Path, Schema, Type};
use serde_json::{Value, json};

use crate::servers::{Faults, Kind as Stand, Server};

const LAKE: &str = "s3://lake/all";

fn server(kind: Stand) -> Aws {
    Server::shared(kind).aws()
}

fn catalog(aws: &Aws, database: &str) -> GlueCatalog {
    GlueCatalog::new(aws, database, LAKE).with_create_database()
}

fn readings() -> Table {
    let contract = Contract::default().declare("device.Id", Type::String);
    let schema = Schema::new(contract);
    Table { layout: 1, ..Table::new("readings", schema, PartitionBy::Event(Path::dotted("ts"))) }
}

fn identity(path: &str, kind: Kind) -> Identity {
    Identity::new(Path::dotted(path), kind)
}

/// A file in each of these hours.
fn files(hours: &[Partition]) -> Vec<DataFile> {
    let file = |hour: &Partition| DataFile {
        key: format!("readings/{}/x.parquet", hour.folder()),
        partition: *hour,
        rows: 1,
        bytes: 4,
        digest: String::new(),
        columns: Vec::new(),
    };
    hours.iter().map(file).collect()
}

fn hour(hour: u8) -> Partition {
    Partition::new(2026, 3, 1, hour).unwrap()
}

/// What is there, as `GetTable` says.
fn raw(aws: &Aws, database: &str, name: &str) -> Definition {
    let request = aws.glue().get_table().database_name(database).name(name);
    aws.wait(request.send()).unwrap().table.unwrap()
}

fn raw_partitions(aws: &Aws, database: &str, name: &str) -> Vec<GluePartition> {
    let request = aws.glue().get_partitions().database_name(database).table_name(name);
    aws.wait(request.send()).unwrap().partitions.unwrap()
}

fn create(aws: &Aws, database: &str, input: TableInput) {
    aws.wait(aws.glue().create_table().database_name(database).table_input(input).send()).unwrap();
}

/// As the API writes it.
fn described(definition: &Definition) -> Value {
    json!({
        "Name": definition.name(),
        "TableType": definition.table_type(),
        "Parameters": definition.parameters(),
        "PartitionKeys": definition.partition_keys().iter().map(column).collect::<Vec<_>>(),
        "StorageDescriptor": descriptor(definition.storage_descriptor().unwrap()),
    })
}

fn descriptor(descriptor: &StorageDescriptor) -> Value {
    let serde = descriptor.serde_info().unwrap();
    json!({
        "Columns": descriptor.columns().iter().map(column).collect::<Vec<_>>(),
        "Location": descriptor.location(),
        "InputFormat": descriptor.input_format(),
        "OutputFormat": descriptor.output_format(),
        "SerdeInfo": {"SerializationLibrary": serde.serialization_library(), "Parameters": serde.parameters()},
        "Parameters": descriptor.parameters(),
    })
}

fn column(column: &Column) -> Value {
    json!({
        "Name": column.name(),
        "Type": column.r#type(),
        "Comment": column.comment(),
        "Parameters": column.parameters(),
    })
}

/// Compares without the fields that are null, which is what most are.
fn assert_is(found: &Value, expected: &str) {
    fn bare(value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                let fields = fields.iter().filter(|(_, value)| !value.is_null());
                fields.map(|(name, value)| (name.clone(), bare(value))).collect()
            }
            Value::Array(values) => values.iter().map(bare).collect(),
            other => other.clone(),
        }
    }
    let found = bare(found);
    let expected: Value = serde_json::from_str(expected).unwrap();
    assert_eq!(found, expected, "found\n{found:#}");
}

#[test]
fn conforms_on_ministack() {
    conformance(&catalog(&server(Stand::Ministack), "conforms"));
}

#[test]
fn conforms_on_moto_for_one_writer_since_moto_takes_stale_versions() {
    let catalog = catalog(&server(Stand::Moto), "conforms");
    conformance_of_writers(&catalog, 1);
    // Ministack knows no `UpdatePartition`.
    relocations(&catalog);
}

#[test]
fn tables_are_as_athena_wants_them() {
    for stand in [Stand::Ministack, Stand::Moto] {
        let aws = server(stand);
        // A database that Athena quotes and Spark refuses, but Glue takes.
        let database = "plant-1";
        let catalog = catalog(&aws, database);
        catalog.create_table(&readings()).unwrap();
        assert_is(&described(&raw(&aws, database, "readings")), include_str!("glue/readings.json"));
        let rejects = raw(&aws, database, "readings_rejects");
        assert_is(&described(&rejects), include_str!("glue/readings_rejects.json"));

        assert_eq!(
            catalog.commit(&TableName::rows("readings"), &files(&[hour(5)])).unwrap().new_partitions,
            1
        );
        let [partition] = &raw_partitions(&aws, database, "readings")[..] else { panic!("one partition") };
        assert_eq!(partition.values(), ["2026", "03", "01", "05"]);
        assert_is(&descriptor(partition.storage_descriptor().unwrap()), include_str!("glue/partition.json"));
    }
}

#[test]
fn a_view_is_as_athena_stores_it_and_follows_its_table() {
    let column = |name: &str, ty, from| ViewColumn { name: name.to_owned(), ty, from };
    let view = View {
        name: "latest".to_owned(),
        table: "readings".to_owned(),
        columns: vec![
            column("device.Id", ViewType::String, Expression::Column(identity("device.Id", Kind::String))),
            column("t", ViewType::Decimal, Expression::Column(identity("t", Kind::Double))),
        ],
    };
    for stand in [Stand::Ministack, Stand::Moto] {
        let aws = server(stand);
        let catalog = catalog(&aws, "views");
        let missing = catalog.put_view(&view);
        assert!(matches!(missing, Err(CatalogError::NoTable { .. })), "{missing:?}");
        catalog.create_table(&readings()).unwrap();
        catalog.put_view(&view).unwrap();
        let stored = || raw(&aws, "views", "latest");
        let sql = || {
            let text = stored().view_original_text.unwrap();
            let text = text.strip_prefix("/* Presto View: ").unwrap().strip_suffix(" */").unwrap();
            serde_json::from_slice::<Value>(&base64::decode(text).unwrap()).unwrap()
        };
        assert_is(&described(&stored()), include_str!("glue/view.json"));
        assert_eq!(stored().view_expanded_text(), Some("/* Presto View */"));
        let original =
            "SELECT\n  \"device.id\" AS \"device.Id\",\n  CAST(NULL AS double) AS \"t\"\nFROM \"readings\"";
        let columns = json!([{"name": "device.id", "type": "varchar"}, {"name": "t", "type": "double"}]);
        let expected = json!({"originalSql": original, "catalog": "awsdatacatalog", "schema": "views", "columns": columns});
        assert_eq!(sql(), expected);

        // Nothing is written while it is right, and it is brought up to date once the table has the column.
        let version = stored().version_id;
        catalog.put_view(&view).unwrap();
        assert_eq!(stored().version_id, version);
        let evolved = catalog.evolve("readings", &mut |_| vec![identity("t", Kind::Double)]).unwrap();
        catalog.put_view(&view).unwrap();
        assert_ne!(stored().version_id, version);
        assert_eq!(sql()["originalSql"], view.to_sql(&evolved.table.schema));
        assert_eq!(catalog.view("latest").unwrap().as_ref(), Some(&view));
        assert_eq!(catalog.views().unwrap(), std::slice::from_ref(&view));

        // A view is no table and a table no view, though Glue has one namespace for both.
        assert_eq!(catalog.tables().unwrap(), ["readings"]);
        assert_eq!(catalog.table("latest").unwrap(), None);
        assert_eq!(catalog.view("readings").unwrap(), None);
        let error = catalog.put_view(&View { name: "readings".to_owned(), ..view.clone() }).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`readings` in the Glue database `views` cannot be used: it is a table of iotlake, not a view"
        );
        let error = catalog.create_table(&Table { name: "latest".to_owned(), ..readings() }).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`latest` in the Glue database `views` cannot be used: it is a view of iotlake, not a table"
        );
    }
}

#[test]
fn a_missing_database_is_said_to_be_missing() {
    let message = |error: CatalogError| format!("{error}\nhint: {}", error.hint().unwrap());
    for (stand, calls) in [(Stand::Moto, "glue:GetTable"), (Stand::Ministack, "glue:CreateTable")] {
        let catalog = GlueCatalog::new(&server(stand), "nothing", LAKE);
        let error = message(catalog.create_table(&readings()).unwrap_err());
        let expected = format!(
            "database `nothing`: {calls}: there is no such database (EntityNotFoundException: Database nothing not \
             found.)"
        );
        assert!(error.starts_with(&expected), "{error}");
        assert!(error.contains("hint: check the database's name and AWS_REGION"), "{error}");
    }
    let moto = GlueCatalog::new(&server(Stand::Moto), "nothing", LAKE);
    for error in [
        moto.tables().unwrap_err(),
        moto.table("readings").unwrap_err(),
        moto.evolve("readings", &mut |_| Vec::new()).unwrap_err(),
        moto.commit(&TableName::rows("readings"), &files(&[hour(1)])).unwrap_err(),
        moto.partitions(&TableName::rows("readings")).unwrap_err(),
    ] {
        assert!(error.to_string().starts_with("database `nothing`: glue:"), "{error}");
    }
    let to_be_made = catalog(&server(Stand::Moto), "nothing");
    assert_eq!(to_be_made.tables().unwrap(), [""; 0]);
    assert_eq!(to_be_made.table("readings").unwrap(), None);
}

#[test]
fn what_others_made_is_refused_and_left_as_it_is() {
    let csv = |name: &str| {
        let descriptor = StorageDescriptor::builder()
            .columns(Column::builder().name("line").r#type("string").build().unwrap())
            .location("s3://lake/all/readings/")
            .input_format("org.apache.hadoop.mapred.TextInputFormat")
            .build();
        let input = TableInput::builder().name(name).storage_descriptor(descriptor).parameters("skip", "1");
        input.table_type("EXTERNAL_TABLE").build().unwrap()
    };
    for stand in [Stand::Ministack, Stand::Moto] {
        let aws = server(stand);
        let catalog = catalog(&aws, "foreign");
        catalog.create_table(&Table { name: "own".to_owned(), ..readings() }).unwrap();
        create(&aws, "foreign", csv("readings"));
        create(&aws, "foreign", csv("other_rejects"));
        let before = raw(&aws, "foreign", "readings");
        let view = View { name: "readings".to_owned(), table: "own".to_owned(), columns: Vec::new() };
        let errors = [
            catalog.table("readings").unwrap_err(),
            catalog.create_table(&readings()).unwrap_err(),
            catalog.evolve("readings", &mut |_| vec![identity("x", Kind::Double)]).unwrap_err(),
            catalog.commit(&TableName::rows("readings"), &files(&[hour(1)])).unwrap_err(),
            catalog.put_view(&view).unwrap_err(),
        ];
        for error in errors {
            assert_eq!(
                error.to_string(),
                "`readings` in the Glue database `foreign` cannot be used: iotlake did not make it (its input format is \
                 org.apache.hadoop.mapred.TextInputFormat, not that of Parquet)"
            );
            assert!(error.hint().unwrap().starts_with("choose another name"));
        }
        assert_eq!(raw(&aws, "foreign", "readings"), before);
        assert_eq!(catalog.tables().unwrap(), ["own"]);
        assert_eq!(catalog.view("readings").unwrap(), None);

        let other = Table { name: "other".to_owned(), ..readings() };
        let error = catalog.create_table(&other).unwrap_err().to_string();
        assert!(
            error.starts_with("`other_rejects` in the Glue database `foreign` cannot be used"),
            "{error}"
        );
        assert_eq!(catalog.table("other").unwrap(), None, "no table without its rejects");
    }
}

#[test]
fn a_table_of_another_lake_is_not_taken_for_one_of_this() {
    let aws = server(Stand::Ministack);
    catalog(&aws, "two_lakes").create_table(&readings()).unwrap();
    let same = GlueCatalog::new(&aws, "two_lakes", "s3://lake/all/");
    assert_eq!(same.tables().unwrap(), ["readings"]);
    let other = GlueCatalog::new(&aws, "two_lakes", "s3://lake/other");
    assert_eq!(other.tables().unwrap(), [""; 0]);
    for error in [
        other.create_table(&readings()).unwrap_err(),
        other.commit(&TableName::rows("readings"), &files(&[hour(1)])).unwrap_err(),
    ] {
        assert_eq!(
            error.to_string(),
            "table `readings`: its location is s3://lake/all/readings/, but s3://lake/other/readings/ was asked for"
        );
    }
}

#[test]
fn what_a_user_wrote_survives() {
    for stand in [Stand::Ministack, Stand::Moto] {
        let aws = server(stand);
        let catalog = catalog(&aws, "users");
        catalog.create_table(&readings()).unwrap();
        let there = raw(&aws, "users", "readings");
        let mut descriptor = there.storage_descriptor.unwrap();
        descriptor.columns.as_mut().unwrap()[4].comment = Some("on the label".to_owned());
        descriptor.parameters = Some([("own".to_owned(), "2".to_owned())].into());
        let mut parameters = there.parameters.unwrap();
        parameters.insert("team".to_owned(), "plant".to_owned());
        let input = TableInput::builder()
            .name("readings")
            .description("all of the plant")
            .owner("ops")
            .set_table_type(there.table_type)
            .set_partition_keys(there.partition_keys)
            .set_parameters(Some(parameters))
            .storage_descriptor(descriptor);
        let request = aws.glue().update_table().database_name("users").table_input(input.build().unwrap());
        aws.wait(request.send()).unwrap();

        let evolved = catalog.evolve("readings", &mut |_| vec![identity("t", Kind::Double)]).unwrap();
        assert_eq!(evolved.registered.len(), 1);
        catalog
            .create_table(&Table {
                schema: Schema::new(Contract::default().declare("new", Type::Boolean)),
                ..readings()
            })
            .unwrap();
        let after = raw(&aws, "users", "readings");
        assert_eq!((after.description(), after.owner()), (Some("all of the plant"), Some("ops")));
        assert_eq!(after.parameters().unwrap()["team"], "plant");
        let descriptor = after.storage_descriptor().unwrap();
        assert_eq!(descriptor.parameters().unwrap()["own"], "2");
        assert_eq!(descriptor.columns()[4].comment(), Some("on the label"));
        let names: Vec<_> = descriptor.columns().iter().map(Column::name).collect();
        assert_eq!(names, ["_source", "_record", "_overflow", "ts", "device.id", "t", "new"]);
        // A partition has the columns as they are, and none of what was said about them.
        catalog.commit(&TableName::rows("readings"), &files(&[hour(1)])).unwrap();
        let partitions = raw_partitions(&aws, "users", "readings");
        let columns = partitions[0].storage_descriptor().unwrap().columns();
        assert_eq!(columns.iter().map(Column::name).collect::<Vec<_>>(), names);
        assert!(columns.iter().all(|column| column.comment().is_none() && column.parameters().is_none()));
    }
}

#[test]
fn an_edited_column_is_named() {
    let aws = server(Stand::Ministack);
    let catalog = catalog(&aws, "edited");
    catalog.create_table(&readings()).unwrap();
    let there = raw(&aws, "edited", "readings");
    let mut descriptor = there.storage_descriptor.unwrap();
    descriptor.columns.as_mut().unwrap()[3].r#type = Some("int".to_owned());
    let input = TableInput::builder().name("readings").storage_descriptor(descriptor).build().unwrap();
    aws.wait(aws.glue().update_table().database_name("edited").table_input(input).send()).unwrap();
    let error = catalog.table("readings").unwrap_err();
    assert_eq!(
        error.to_string(),
        "table `readings` of database `edited`: not what iotlake writes: column `ts` has type int, but its files have \
         bigint: the type of a column never changes"
    );
    assert_eq!(error.hint(), Some("undo the edit that somebody made, or restore it from a backup"));
}

#[test]
fn a_table_deleted_under_us_is_missed() {
    for stand in [Stand::Ministack, Stand::Moto] {
        let aws = server(stand);
        let catalog = catalog(&aws, "deleted");
        catalog.create_table(&readings()).unwrap();
        let delete = |name| {
            aws.wait(aws.glue().delete_table().database_name("deleted").name(name).send()).unwrap();
        };
        // Between reading and writing.
        let evolved = catalog.evolve("readings", &mut |_| {
            delete("readings");
            vec![identity("t", Kind::Double)]
        });
        let is_missed =
            |error: CatalogError| matches!(error, CatalogError::NoTable { name } if name == "readings");
        assert!(is_missed(evolved.unwrap_err()));
        assert!(is_missed(catalog.evolve("readings", &mut |_| Vec::new()).unwrap_err()));
        assert!(is_missed(catalog.commit(&TableName::rows("readings"), &files(&[hour(1)])).unwrap_err()));
        assert_eq!(catalog.table("readings").unwrap(), None);
        delete("readings_rejects");
        let error = catalog.commit(&TableName::rejects("readings"), &files(&[hour(1)])).unwrap_err();
        assert_eq!(error.to_string(), "there is no table `readings_rejects`");
        // Made again, it has both.
        catalog.create_table(&readings()).unwrap();
        assert_eq!(
            catalog.commit(&TableName::rejects("readings"), &files(&[hour(1)])).unwrap().new_partitions,
            1
        );
    }
}

#[test]
fn no_update_is_lost_however_often_glue_refuses() {
    const WRITERS: usize = 20;
    let faults = Faults::before(Server::shared(Stand::Ministack));
    let catalog = catalog(&faults.aws(), "refusals");
    catalog.create_table(&readings()).unwrap();
    let refuse = |operation: &str, code: &str, times: usize| {
        faults.rule(&json!({
            "service": "glue", "operation": operation, "sequence": {"fail": 1, "pass": 2}, "times": times,
            "error": {"code": code, "status": 400},
        }));
    };
    refuse("UpdateTable", "ConcurrentModificationException", 10);
    // Few, since the client slows down by itself.
    refuse("GetTable", "ThrottlingException", 2);
    let conflicts: u32 = thread::scope(|scope| {
        let evolve = |writer: usize| {
            let own = [identity(&format!("own.{writer}"), Kind::Double), identity("shared", Kind::Boolean)];
            let evolved = catalog.evolve("readings", &mut |_| own.to_vec()).unwrap();
            assert!(evolved.registered.iter().any(|column| column.identity == own[0]));
            evolved.conflicts
        };
        let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || evolve(writer))).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).sum()
    });
    assert!(conflicts >= 10, "{conflicts}");
    assert_eq!(faults.fired().len(), 12);
    let table = catalog.table("readings").unwrap().unwrap();
    assert_eq!(table.schema.columns().len(), 2 + WRITERS + 1);
    for writer in 0..WRITERS {
        assert!(table.schema.column(&identity(&format!("own.{writer}"), Kind::Double)).is_some());
    }
}

#[test]
fn a_lost_reply_is_no_failure() {
    let faults = Faults::before(Server::shared(Stand::Ministack));
    let catalog = catalog(&faults.aws(), "lost_replies");
    let lose = |operation: &str| {
        faults.rule(&json!({
            "service": "glue", "operation": operation, "times": 1, "response": {"abort_bytes": 0},
        }));
    };
    ["CreateDatabase", "CreateTable", "UpdateTable", "BatchCreatePartition"].into_iter().for_each(lose);
    catalog.create_table(&readings()).unwrap();
    let evolved = catalog.evolve("readings", &mut |_| vec![identity("t", Kind::Double)]).unwrap();
    assert!(evolved.table.schema.column(&identity("t", Kind::Double)).is_some());
    assert_eq!(evolved.conflicts, 1);
    assert_eq!(catalog.table("readings").unwrap(), Some(evolved.table));
    catalog.commit(&TableName::rows("readings"), &files(&[hour(1), hour(2)])).unwrap();
    assert_eq!(catalog.partitions(&TableName::rows("readings")).unwrap(), [hour(1), hour(2)]);
    let fired = faults.fired();
    assert_eq!(fired.len(), 4, "{fired:?}");
}

#[test]
fn no_more_is_asked_than_is_promised() {
    let faults = Faults::before(Server::shared(Stand::Ministack));
    let catalog = catalog(&faults.aws(), "calls");
    catalog.create_table(&readings()).unwrap();
    // A rule that does nothing to speak of, so that every request is in the list.
    faults.rule(&json!({"service": "glue", "latency": 1}));
    let seen = std::cell::Cell::new(0);
    let asked = || {
        let fired = faults.fired();
        let new = fired[seen.replace(fired.len())..].iter();
        new.map(|event| event["operation"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let new = || vec![identity("t", Kind::Double)];
    catalog.evolve("readings", &mut |_| new()).unwrap();
    assert_eq!(asked(), ["GetTable", "UpdateTable"]);
    catalog.evolve("readings", &mut |_| new()).unwrap();
    assert_eq!(asked(), ["GetTable"]);
    catalog.table("readings").unwrap();
    assert_eq!(asked(), ["GetTable"]);
    catalog.create_table(&readings()).unwrap();
    assert_eq!(asked(), ["GetTable", "GetTable"]);
    let many: Vec<_> = (1..=15).flat_map(|day| (0..10).map(move |hour| (day, hour))).collect();
    let many: Vec<_> =
        many.into_iter().map(|(day, hour)| Partition::new(2026, 3, day, hour).unwrap()).collect();
    assert_eq!(catalog.commit(&TableName::rows("readings"), &files(&many)).unwrap().new_partitions, 150);
    assert_eq!(asked(), ["GetTable", "BatchCreatePartition", "BatchCreatePartition"]);
    assert_eq!(catalog.commit(&TableName::rows("readings"), &files(&many[140..])).unwrap().new_partitions, 0);
    assert_eq!(catalog.commit(&TableName::rows("readings"), &files(&[])).unwrap().new_partitions, 0);
    assert_eq!(asked(), [""; 0], "what was seen is not asked for again");
    let other = GlueCatalog::new(&faults.aws(), "calls", LAKE);
    assert_eq!(other.commit(&TableName::rows("readings"), &files(&many[140..])).unwrap().new_partitions, 0);
    assert_eq!(asked(), ["GetTable", "BatchCreatePartition"]);
}

#[test]
fn a_refusal_says_what_to_grant() {
    let faults = Faults::before(Server::shared(Stand::Ministack));
    let catalog = catalog(&faults.aws(), "refused");
    catalog.create_table(&readings()).unwrap();
    let deny = |operation: &str, message: &str| {
        faults.clear();
        let error = json!({"code": "AccessDeniedException", "status": 400, "message": message});
        faults.rule(&json!({"service": "glue", "operation": operation, "error": error}));
    };
    deny("UpdateTable", "Insufficient Lake Formation permission(s): Required Alter on readings");
    let error = catalog.evolve("readings", &mut |_| vec![identity("t", Kind::Double)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "table `readings` of database `refused`: glue:UpdateTable: Lake Formation does not permit it \
         (AccessDeniedException: Insufficient Lake Formation permission(s): Required Alter on readings)"
    );
    assert!(error.hint().unwrap().starts_with("grant the caller in Lake Formation CREATE_TABLE"), "{error}");
    deny("BatchCreatePartition", "User: x is not authorized to perform: glue:BatchCreatePartition");
    let error = catalog.commit(&TableName::rows("readings"), &files(&[hour(1)])).unwrap_err();
    assert!(error.to_string().contains("glue:BatchCreatePartition: permission denied"), "{error}");
    assert!(error.hint().unwrap().starts_with("allow the caller this action"), "{error}");
}
