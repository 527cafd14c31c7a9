//! What needs no server: how a definition is read, how many partitions make a batch.

use iotlake_flatten::{Contract, Kind, Path, Type};

use aws_sdk_glue::types::{Column, ErrorDetail, PartitionError};

use super::partitions::Verdict;
use super::*;
use crate::partition::PartitionBy;

fn table() -> Table {
    let contract = Contract::default().declare("device.Id", Type::String);
    Table::new("readings", Schema::new(contract), PartitionBy::Event(Path::dotted("ts")))
}

/// What `GetTable` says of a table that was made of `input`.
fn stored(input: TableInput) -> Definition {
    Definition::builder()
        .name(input.name)
        .retention(input.retention)
        .set_description(input.description)
        .set_storage_descriptor(input.storage_descriptor)
        .set_partition_keys(input.partition_keys)
        .set_table_type(input.table_type)
        .set_parameters(input.parameters)
        .version_id("0")
        .build()
        .unwrap()
}

fn definition() -> Definition {
    stored(definition::of_table(&table(), "s3://lake/readings/".to_owned()))
}

#[test]
fn a_table_is_read_as_it_was_written() {
    let definition = definition();
    assert_eq!(definition::entry(&definition), Entry::Table);
    assert_eq!(definition::read("readings", &definition), Ok(table()));
    assert_eq!(definition::location(&definition), "s3://lake/readings/");
}

#[test]
fn a_change_appends_and_keeps_what_others_wrote() {
    let mut before = definition();
    before.description = Some("all of the plant".to_owned());
    before.retention = 7;
    let descriptor = before.storage_descriptor.as_mut().unwrap();
    descriptor.columns.as_mut().unwrap()[4].comment = Some("on the label".to_owned());
    let mut after = table();
    let new = after.schema.register(&Identity::new(Path::dotted("t"), Kind::Double)).clone();
    let input = definition::changed(&before, &after);
    assert_eq!(input.description(), before.description());
    assert_eq!(input.retention(), 7);
    let columns = input.storage_descriptor().unwrap().columns().to_vec();
    assert_eq!(columns[..5], *definition::columns(&before));
    assert_eq!(columns[5].name(), new.name);
    assert_eq!(definition::read("readings", &stored(input)), Ok(after));
}

#[test]
fn a_table_that_is_older_than_field_ids_gets_those_of_its_places() {
    let mut older = definition();
    for column in older.storage_descriptor.as_mut().unwrap().columns.as_mut().unwrap() {
        if let Some(parameters) = &mut column.parameters {
            parameters.remove("iotlake.id");
        }
    }
    assert_eq!(definition::read("readings", &older), Ok(table()));
    // What grows keeps the older columns as they stand, and the new one has the id that it would have had.
    let mut after = table();
    after.schema.register(&Identity::new(Path::dotted("t"), Kind::Double));
    let input = definition::changed(&older, &after);
    let columns = input.storage_descriptor().unwrap().columns();
    assert_eq!(columns[5].parameters().unwrap()["iotlake.id"], "18");
    assert_eq!(definition::read("readings", &stored(input)), Ok(after));
}

#[test]
fn what_is_wrong_with_a_definition_is_named() {
    type Edit = fn(&mut Definition);
    type EditColumns = fn(&mut Vec<Column>);
    let columns = |definition: &mut Definition, edit: EditColumns| {
        edit(definition.storage_descriptor.as_mut().unwrap().columns.as_mut().unwrap());
    };
    let flaw = |edit: &dyn Fn(&mut Definition)| {
        let mut definition = definition();
        edit(&mut definition);
        match definition::read("readings", &definition).unwrap_err() {
            Flaw::Damaged(reason) => reason,
            Flaw::Newer(format) => format!("newer: {format}"),
        }
    };
    let parameters: [(Edit, &str); 5] = [
        (|it| set(it, "iotlake.format", "2"), "newer: 2"),
        (|it| set(it, "iotlake.format", "one"), "its parameter `iotlake.format` cannot be read: one"),
        (
            |it| drop(it.parameters.as_mut().unwrap().remove("iotlake.layout")),
            "it has no parameter `iotlake.layout`",
        ),
        (
            |it| {
                set(
                    it,
                    "iotlake.contract",
                    "{\"numbers\":\"doubtful\",\"part_bytes\":67108864,\"columns\":[],\"more\":1}",
                )
            },
            "its parameter `iotlake.contract` cannot be read: \
             {\"numbers\":\"doubtful\",\"part_bytes\":67108864,\"columns\":[],\"mo...",
        ),
        (
            |it| drop(it.partition_keys.as_mut().unwrap().pop()),
            "its partition keys are not year, month, day, hour, each of type string",
        ),
    ];
    for (edit, expected) in parameters {
        assert_eq!(flaw(&edit), expected);
    }
    let of_columns: [(EditColumns, &str); 6] = [
        (
            |columns| columns[3].r#type = Some("int".to_owned()),
            "column `ts` has type int, but its files have bigint: the type of a column never changes",
        ),
        (|columns| drop(columns.remove(1)), "column `_record`, which every table has, is not there"),
        (
            |columns| columns.push(definition::column("mine", "string")),
            "column `mine` has no parameter `iotlake.path`: nobody but iotlake may add columns or write them anew",
        ),
        (
            |columns| set_of(&mut columns[3], "iotlake.kind", "int"),
            "parameter `iotlake.kind` of column `ts` cannot be read: int",
        ),
        (
            |columns| set_of(&mut columns[3], "iotlake.id", "first"),
            "parameter `iotlake.id` of column `ts` cannot be read: first",
        ),
        (
            |columns| set_of(&mut columns[4], "iotlake.id", "16"),
            "column `device.id` has the field id 16, which is taken",
        ),
    ];
    for (edit, expected) in of_columns {
        assert_eq!(flaw(&|it| columns(it, edit)), expected);
    }
    let twice = flaw(&|it| {
        columns(it, |columns| {
            let again = columns[3].clone();
            columns.push(again);
        });
    });
    assert_eq!(twice, "column name `ts` stands twice in the table");
}

fn set(definition: &mut Definition, name: &str, value: &str) {
    definition.parameters.as_mut().unwrap().insert(name.to_owned(), value.to_owned());
}

fn set_of(column: &mut Column, name: &str, value: &str) {
    column.parameters.as_mut().unwrap().insert(name.to_owned(), value.to_owned());
}

#[test]
fn what_others_made_is_told_apart() {
    let reason = |edit: fn(&mut Definition)| {
        let mut definition = definition();
        edit(&mut definition);
        match definition::entry(&definition) {
            Entry::Foreign(reason) => reason,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        reason(|it| drop(it.parameters.take())),
        "iotlake did not make it (it has no parameter `iotlake.format`)"
    );
    assert_eq!(
        reason(|it| it.table_type = Some("GOVERNED".to_owned())),
        "iotlake did not make it (its type is GOVERNED, not EXTERNAL_TABLE)"
    );
    assert_eq!(
        reason(|it| drop(it.storage_descriptor.take())),
        "iotlake did not make it (its input format is none, not that of Parquet)"
    );
    assert_eq!(
        reason(|it| it.table_type = Some("VIRTUAL_VIEW".to_owned())),
        "it is a view that iotlake did not make"
    );
    let rejects = stored(definition::of_rejects("readings", "s3://lake/readings_rejects/".to_owned()));
    assert_eq!(rejects.name(), "readings_rejects");
    assert_eq!(definition::entry(&rejects), Entry::Rejects("readings".to_owned()));
}

#[test]
fn a_batch_is_bounded_by_number_and_by_bytes() {
    let columns = |count: usize, length: usize| -> Vec<_> {
        (0..count).map(|number| definition::column(&format!("{number:0length$}"), "double")).collect()
    };
    assert_eq!(partitions::batch_len(&columns(0, 1)), 100);
    assert_eq!(partitions::batch_len(&columns(50, 20)), 100);
    assert_eq!(partitions::batch_len(&columns(1_500, 20)), 6);
    assert_eq!(partitions::batch_len(&columns(1_500, 127)), 2);
    assert_eq!(partitions::batch_len(&columns(10_000, 127)), 1, "one at a time, however wide the table");
}

#[test]
fn only_values_that_a_writer_makes_are_a_partition() {
    let values = |values: &[&str]| {
        partitions::of_values(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(values(&["2026", "03", "01", "05"]), Partition::new(2026, 3, 1, 5));
    assert_eq!(values(&["0000", "00", "00", "00"]), Some(Partition::UNKNOWN));
    for other in
        [&["2026", "3", "01", "05"][..], &["2026", "03", "01"], &["2026", "03", "01", "05", "x"], &[]]
    {
        assert_eq!(values(other), None, "{other:?}");
    }
}

#[test]
fn a_partition_that_was_not_made_is_known_or_tried_again_or_an_error() {
    let pending = [Partition::new(2026, 3, 1, 5).unwrap(), Partition::UNKNOWN];
    let error = |partition: Partition, code: &str| {
        let detail = ErrorDetail::builder().error_code(code).error_message("it says");
        let values = Some(partition.values().into());
        PartitionError::builder().set_partition_values(values).error_detail(detail.build()).build()
    };
    let verdict = |code| partitions::verdict(&error(pending[1], code), &pending);
    assert_eq!(verdict(ALREADY_EXISTS), Verdict::Known);
    assert_eq!(verdict(NOT_FOUND), Verdict::NoTable);
    for code in [
        CONCURRENT_MODIFICATION,
        "ThrottlingException",
        "InternalServiceException",
        "OperationTimeoutException",
    ] {
        assert_eq!(verdict(code), Verdict::Again(pending[1]), "{code}");
        let other = partitions::verdict(&error(Partition::new(2026, 3, 1, 6).unwrap(), code), &pending);
        assert_eq!(other, Verdict::Failed, "it cannot be asked for again, since it never was: {code}");
    }
    for code in ["ResourceNumberLimitExceededException", "InvalidInputException", "AccessDeniedException", ""]
    {
        assert_eq!(verdict(code), Verdict::Failed, "{code}");
    }
    assert_eq!(
        partitions::failed(&error(pending[0], "InvalidInputException"), "table `t` of database `d`")
            .to_string(),
        "partition year=2026/month=03/day=01/hour=05 of table `t` of database `d`: glue:BatchCreatePartition: refused \
         (InvalidInputException: it says)"
    );
    assert_eq!(partitions::verdict(&PartitionError::builder().build(), &pending), Verdict::Failed);
}
