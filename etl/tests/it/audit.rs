use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use arrow::record_batch::RecordBatch;
use iotlake::audit::{Audit, Depth, Rule, Severity, audit};
use iotlake::catalog::{Catalog, DataFile, TableName};
use iotlake::digest::source_hash;
use iotlake::ledger::{Ledger, Receipt};
use iotlake::partition::Partition;
use iotlake_flatten::{Contract, metadata};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::metadata::{KeyValue, ParquetMetaDataReader, ParquetMetaDataWriter};
use parquet::file::properties::WriterProperties;

use crate::lake::Lake;
use crate::support;

const A: &str = "s3://raw/2026/03/01/05/a";
const B: &str = "s3://raw/2026/03/01/05/b";
/// Without a receipt.
const C: &str = "s3://raw/2026/03/01/05/c";

/// Two sources in one hour; the second has a reject.
fn good() -> Lake {
    let lake = Lake::new();
    lake.create_table("t", Contract::default());
    lake.ingest("t", A, br#"{"ts":1,"n":0.5,"x":{"y":"z"}}"#);
    lake.ingest("t", B, b"{\"ts\":2,\"n\":1.5,\"on\":true}\n{\"n\":\"two\"}\nnonsense\n");
    lake
}

fn check(lake: &Lake, depth: Depth) -> Audit {
    audit(&*lake.storage, &lake.catalog, depth).unwrap()
}

fn rules(audit: &Audit) -> Vec<Rule> {
    audit.findings.iter().map(|finding| finding.rule).collect()
}

#[test]
fn a_good_lake_is_clean_and_counted() {
    let lake = good();
    for depth in [Depth::Footers, Depth::Bytes] {
        let audit = check(&lake, depth);
        let expected = Audit { tables: 1, receipts: 2, files: 3, rows: 3, rejected: 1, ..Audit::default() };
        assert_eq!(audit, expected);
        assert!(audit.is_clean());
    }
    let empty = Lake::new();
    empty.create_table("t", Contract::default());
    assert_eq!(check(&empty, Depth::Footers), Audit { tables: 1, ..Audit::default() });
    assert_eq!(check(&Lake::new(), Depth::Footers), Audit::default());
}

#[test]
fn what_a_backfill_of_dirty_sources_writes_is_clean() {
    let lake = support::memory_lake();
    let summary = support::run(&lake, &support::dirty_source(), &support::small_parts());
    let audit = audit(&*lake.storage, &*lake.catalog, Depth::Bytes).unwrap();
    assert_eq!((rules(&audit), audit.orphans.len()), (vec![], 0), "{:?}", audit.findings);
    assert_eq!((audit.rows, audit.rejected), (summary.counts.rows, summary.counts.rejected));
    assert!(audit.rejected > 0 && audit.files > audit.receipts);
}

#[test]
fn every_rule_says_its_name_and_what_to_do() {
    let codes: std::collections::HashSet<_> = Rule::ALL.iter().map(|rule| rule.code()).collect();
    assert_eq!(codes.len(), Rule::ALL.len());
    assert!(Rule::ALL.iter().all(|rule| !rule.hint().is_empty()));
}

/// A data file of source C, which has no receipt, with these columns behind `_source` and `_record`.
struct Extra {
    columns: Vec<(&'static str, ArrayRef)>,
    lineage: Vec<(&'static str, ArrayRef)>,
    described: Option<&'static str>,
    rows_of_a_group: Option<usize>,
}

impl Extra {
    fn new(columns: Vec<(&'static str, ArrayRef)>) -> Extra {
        let lineage: Vec<(&str, ArrayRef)> = vec![
            ("_source", Arc::new(StringArray::from(vec![C, C]))),
            ("_record", Arc::new(Int64Array::from(vec![1, 2]))),
        ];
        Extra { columns, lineage, described: None, rows_of_a_group: None }
    }

    fn write(self, lake: &Lake) {
        let described: Vec<_> = self
            .columns
            .iter()
            .map(|(name, column)| {
                let kind = if *column.data_type() == DataType::Int64 { "long" } else { "double" };
                // The kind of `n` is that of the table, whatever the file has.
                let kind = if *name == "n" { "double" } else { kind };
                format!(r#"{{"name":"{name}","path":["{name}"],"kind":"{kind}"}}"#)
            })
            .collect();
        let described = self.described.map_or_else(|| format!("[{}]", described.join(",")), str::to_owned);
        let said = [
            (metadata::SOURCE, C),
            (metadata::PART, "7"),
            (metadata::SPAN, "0-1"),
            (metadata::LAYOUT, "1"),
            (metadata::OPTIONS, "{}"),
            (metadata::COLUMNS, &described),
        ];
        let said = said.map(|(key, value)| KeyValue::new(key.to_owned(), value.to_owned())).to_vec();
        let properties = WriterProperties::builder()
            .set_key_value_metadata(Some(said))
            .set_max_row_group_row_count(Some(self.rows_of_a_group.unwrap_or(100)))
            .build();
        let columns: Vec<_> = self.lineage.into_iter().chain(self.columns).collect();
        let fields = columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true));
        let schema = Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>()));
        let arrays = columns.into_iter().map(|(_, column)| column).collect();
        let batch = RecordBatch::try_new(schema.clone(), arrays).unwrap();
        let mut bytes = Vec::new();
        let options = parquet::arrow::arrow_writer::ArrowWriterOptions::new()
            .with_properties(properties)
            .with_skip_arrow_metadata(true);
        let mut writer = ArrowWriter::try_new_with_options(&mut bytes, schema, options).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        lake.storage.put(&extra_key(), &bytes).unwrap();
    }
}

fn extra_key() -> String {
    format!("t/year=2026/month=03/day=01/hour=05/{}-7.parquet", source_hash(C))
}

fn doubles() -> ArrayRef {
    Arc::new(Float64Array::from(vec![1.0, 2.0]))
}

fn longs() -> ArrayRef {
    Arc::new(Int64Array::from(vec![1, 2]))
}

#[test]
fn each_way_a_file_can_be_wrong_is_found() {
    let with = |columns| Extra::new(columns);
    let swapped = r#"[{"name":"n","path":["n"],"kind":"double"},{"name":"ts","path":["ts"],"kind":"long"}]"#;
    let other = r#"[{"name":"n","path":["m","n"],"kind":"double"}]"#;
    let mut without_record = with(vec![("n", doubles())]);
    without_record.lineage.pop();
    let cases = [
        (with(vec![("ts", longs()), ("n", doubles())]), vec![]),
        (with(vec![("n", longs())]), vec![Rule::ColumnType]),
        (with(vec![("zzz", doubles())]), vec![Rule::UnknownColumn]),
        (with(vec![("ts", longs()), ("TS", longs())]), vec![Rule::ColumnTwice]),
        (with(vec![("year", longs())]), vec![Rule::PartitionKey]),
        (with(vec![("Upper", longs())]), vec![Rule::ColumnName]),
        (
            Extra { described: Some(swapped), ..with(vec![("n", doubles()), ("ts", longs())]) },
            vec![Rule::ColumnOrder],
        ),
        (Extra { described: Some(other), ..with(vec![("n", doubles())]) }, vec![Rule::ColumnMetadata]),
        (Extra { described: Some("[]"), ..with(vec![("n", doubles())]) }, vec![Rule::ColumnMetadata]),
        (Extra { described: Some("{"), ..with(vec![("n", doubles())]) }, vec![Rule::ColumnMetadata]),
        (Extra { rows_of_a_group: Some(1), ..with(vec![("n", doubles())]) }, vec![Rule::RowGroups]),
        (without_record, vec![Rule::Lineage]),
    ];
    for (extra, expected) in cases {
        let lake = good();
        extra.write(&lake);
        let audit = check(&lake, Depth::Footers);
        assert_eq!(rules(&audit), expected, "{:?}", audit.findings);
        assert_eq!(audit.orphans, [extra_key()]);
        assert!(audit.findings.iter().all(|finding| finding.place == extra_key()));
    }
}

#[test]
fn a_codec_that_not_every_reader_knows_is_found() {
    let lake = good();
    Extra::new(vec![("n", doubles())]).write(&lake);
    let bytes = lake.storage.read(&extra_key()).unwrap().unwrap();
    let end = bytes.len() - 8;
    let length = u32::from_le_bytes(bytes[end..end + 4].try_into().unwrap()) as usize;
    let footer = ParquetMetaDataReader::decode_metadata(&bytes[end - length..end]).unwrap();
    let mut builder = footer.into_builder();
    let groups = builder.take_row_groups().into_iter().map(|group| {
        let columns = group.columns().iter().cloned();
        let columns = columns.map(|column| {
            column.into_builder().set_compression(Compression::BROTLI(Default::default())).build().unwrap()
        });
        let columns = columns.collect();
        group.into_builder().set_column_metadata(columns).build().unwrap()
    });
    let footer = builder.set_row_groups(groups.collect()).build();
    let mut changed = bytes[..end - length].to_vec();
    ParquetMetaDataWriter::new(&mut changed, &footer).finish().unwrap();
    lake.storage.put(&extra_key(), &changed).unwrap();
    let audit = check(&lake, Depth::Footers);
    assert_eq!(rules(&audit), [Rule::Codec], "{:?}", audit.findings);
}

/// Changes the receipt of A where it lies.
fn edit(lake: &Lake, change: impl FnOnce(&mut Receipt)) {
    let key = Ledger::key("t", A);
    let mut receipt: Receipt = serde_json::from_slice(&lake.storage.read(&key).unwrap().unwrap()).unwrap();
    change(&mut receipt);
    lake.storage.put(&key, &serde_json::to_vec(&receipt).unwrap()).unwrap();
}

fn file_of_a(lake: &Lake) -> PathBuf {
    lake.root().join(format!("t/year=2026/month=03/day=01/hour=05/{}-0.parquet", source_hash(A)))
}

/// Puts a copy of A's file somewhere else.
fn copy(lake: &Lake, key: &str) {
    lake.storage.put(key, &std::fs::read(file_of_a(lake)).unwrap()).unwrap();
}

type Damage = Box<dyn Fn(&Lake)>;

#[test]
#[expect(clippy::too_many_lines, reason = "a list of cases, each a few lines")]
fn each_way_a_lake_can_be_damaged_is_found() {
    let hour = "t/year=2026/month=03/day=01/hour=05";
    let name = format!("{}-0.parquet", source_hash(A));
    let damages: Vec<(Damage, Vec<Rule>)> = vec![
        (
            Box::new(|lake| std::fs::write(file_of_a(lake), "").unwrap()),
            vec![Rule::Unreadable, Rule::OutputSize],
        ),
        (
            Box::new(|lake| {
                let bytes = std::fs::read(file_of_a(lake)).unwrap();
                std::fs::write(file_of_a(lake), &bytes[..bytes.len() - 3]).unwrap();
            }),
            vec![Rule::Unreadable, Rule::OutputSize],
        ),
        (
            Box::new(|lake| {
                let length = std::fs::read(file_of_a(lake)).unwrap().len();
                std::fs::write(file_of_a(lake), vec![b'x'; length]).unwrap();
            }),
            vec![Rule::Unreadable],
        ),
        (
            Box::new(|lake| {
                // The footer ends well and is none.
                let length = std::fs::read(file_of_a(lake)).unwrap().len();
                let mut bytes = vec![0xff; length];
                bytes[length - 8..].copy_from_slice(b"\x40\0\0\0PAR1");
                std::fs::write(file_of_a(lake), bytes).unwrap();
            }),
            vec![Rule::Unreadable],
        ),
        (Box::new(|lake| std::fs::remove_file(file_of_a(lake)).unwrap()), vec![Rule::OutputMissing]),
        (Box::new(|lake| copy(lake, "t/_temporary/0.parquet")), vec![Rule::HiddenName]),
        (Box::new(|lake| copy(lake, "t/year=2026/.part.crc")), vec![Rule::HiddenName]),
        (Box::new(move |lake| copy(lake, &format!("{hour}/notes.txt"))), vec![Rule::ForeignFile]),
        (
            {
                let name = name.clone();
                Box::new(move |lake| copy(lake, &format!("t/year=2026/month=3/day=01/hour=05/{name}")))
            },
            vec![Rule::FolderName, Rule::StaleFile],
        ),
        (
            {
                let name = name.clone();
                Box::new(move |lake| copy(lake, &format!("t/{name}")))
            },
            vec![Rule::FolderName, Rule::StaleFile],
        ),
        (
            Box::new(move |lake| copy(lake, &format!("{hour}/part-0.parquet"))),
            vec![Rule::FileName, Rule::StaleFile],
        ),
        (
            Box::new(move |lake| copy(lake, &format!("{hour}/{}-0.parquet", source_hash("else")))),
            vec![Rule::FileName, Rule::StaleFile],
        ),
        (
            {
                let name = name.clone();
                Box::new(move |lake| copy(lake, &format!("stray/year=2026/{name}")))
            },
            vec![Rule::UnknownTable],
        ),
        (
            Box::new(|lake| {
                let key = "_iotlake/catalog/partitions/t/year=2026/month=03/day=01/hour=05.json";
                assert!(lake.storage.head(key).unwrap().is_some());
                lake.storage.delete(key).unwrap();
            }),
            vec![Rule::PartitionUnknown],
        ),
        (
            Box::new(|lake| lake.storage.put("_iotlake/catalog/tables/t.json", b"{}").unwrap()),
            vec![Rule::Catalog],
        ),
        (
            Box::new(|lake| lake.storage.put(&Ledger::key("t", A), b"{\"format\":1").unwrap()),
            vec![Rule::ReceiptUnreadable],
        ),
        (
            Box::new(|lake| lake.storage.put(&Ledger::key("t", A), b"{\"format\":99}").unwrap()),
            vec![Rule::ReceiptUnreadable],
        ),
        (
            Box::new(|lake| {
                let bytes = lake.storage.read(&Ledger::key("t", A)).unwrap().unwrap();
                lake.storage.delete(&Ledger::key("t", A)).unwrap();
                lake.storage.put("_iotlake/receipts/t/2026/03/02/0.json", &bytes).unwrap();
            }),
            vec![Rule::ReceiptPlace],
        ),
        (Box::new(|lake| edit(lake, |receipt| receipt.counts.records += 1)), vec![Rule::ReceiptBalance]),
        (
            Box::new(|lake| {
                edit(lake, |receipt| {
                    receipt.counts.records += 1;
                    receipt.counts.rejected += 1;
                });
            }),
            vec![Rule::ReceiptBalance],
        ),
        (
            Box::new(|lake| {
                let theirs = Ledger::new(lake.storage.clone()).head("t", B).unwrap().unwrap();
                edit(lake, |receipt| {
                    receipt.outputs.push(theirs.outputs[0].clone());
                    receipt.counts.rows += theirs.counts.rows;
                    receipt.counts.records += theirs.counts.rows;
                });
            }),
            vec![Rule::ReceiptOutput],
        ),
        (Box::new(|lake| edit(lake, |receipt| receipt.outputs[0].bytes += 1)), vec![Rule::OutputSize]),
        (
            Box::new(|lake| {
                edit(lake, |receipt| {
                    receipt.outputs[0].rows += 1;
                    receipt.counts.rows += 1;
                    receipt.counts.records += 1;
                });
            }),
            vec![Rule::OutputRows],
        ),
        (Box::new(|lake| edit(lake, |receipt| receipt.layout += 1)), vec![Rule::OutputMetadata]),
    ];
    for (number, (damage, expected)) in damages.into_iter().enumerate() {
        let lake = good();
        damage(&lake);
        let audit = check(&lake, Depth::Footers);
        assert_eq!(rules(&audit), expected, "{number}: {:?}", audit.findings);
        assert!(!audit.is_clean());
    }
}

#[test]
fn field_ids_and_receipts_in_files_are_those_of_the_table() {
    let lake = good();
    let key = "_iotlake/catalog/tables/t.json";
    let text = String::from_utf8(lake.storage.read(key).unwrap().unwrap()).unwrap();
    // That of `x.y`, which A alone has.
    let changed = text.replace("\"id\": 18", "\"id\": 99");
    assert_ne!(changed, text);
    lake.storage.put(key, changed.as_bytes()).unwrap();
    let audit = check(&lake, Depth::Footers);
    assert_eq!(rules(&audit), [Rule::FieldId]);
    let message = &audit.findings[0].message;
    assert_eq!(message, "column `x.y` has the field id 18, and in the table the field id 99");

    // The same source in two tables, and the file of one among those of the other.
    let lake = good();
    lake.create_table("u", Contract::default());
    let receipt = lake.ingest("u", A, br#"{"ts":1,"n":0.5,"x":{"y":"z"}}"#);
    lake.storage.put(&receipt.outputs[0].key, &std::fs::read(file_of_a(&lake)).unwrap()).unwrap();
    assert_eq!(rules(&check(&lake, Depth::Footers)), [Rule::OutputMetadata]);
}

#[test]
fn a_changed_byte_in_the_data_is_found_when_asked_for() {
    let lake = good();
    let mut bytes = std::fs::read(file_of_a(&lake)).unwrap();
    bytes[20] ^= 1;
    std::fs::write(file_of_a(&lake), bytes).unwrap();
    assert_eq!(rules(&check(&lake, Depth::Footers)), []);
    let audit = check(&lake, Depth::Bytes);
    assert_eq!(rules(&audit), [Rule::OutputDigest]);
    let text = audit.findings[0].to_string();
    assert!(text.starts_with("t/year=2026/month=03/") && text.ends_with("[output-digest]"), "{text}");
}

#[test]
fn names_in_the_catalog_are_checked_before_there_is_data() {
    let lake = good();
    lake.create_table("u", Contract::default());
    let key = "_iotlake/catalog/tables/u.json";
    let text = String::from_utf8(lake.storage.read(key).unwrap().unwrap()).unwrap();
    for (name, expected) in
        [("TS", vec![Rule::ColumnName]), ("Year", vec![Rule::ColumnName, Rule::PartitionKey])]
    {
        let changed = text.replace("\"name\":\"ts\"", &format!("\"name\":\"{name}\""));
        let changed = changed.replace("\"name\": \"ts\"", &format!("\"name\": \"{name}\""));
        assert_ne!(changed, text);
        lake.storage.put(key, changed.as_bytes()).unwrap();
        assert_eq!(rules(&check(&lake, Depth::Footers)), expected);
    }
}

#[test]
fn what_a_crash_leaves_is_listed_and_no_finding() {
    let lake = good();
    // Data is written before partitions and receipts.
    lake.storage.delete(&Ledger::key("t", A)).unwrap();
    let folder = Partition::new(2026, 3, 1, 6).unwrap().folder();
    let orphan = format!("t/{folder}/{}-0.parquet", source_hash(A));
    copy(&lake, &orphan);
    std::fs::create_dir_all(lake.root().join("_iotlake/tmp")).unwrap();
    std::fs::write(lake.root().join("_iotlake/tmp/1-2-3"), "half").unwrap();
    // Files beside the tables are nobody's business.
    std::fs::write(lake.root().join("README"), "a lake").unwrap();
    lake.storage.put("answers/today.csv", b"n\r\n").unwrap();
    let audit = check(&lake, Depth::Bytes);
    assert_eq!(rules(&audit), []);
    let of_a = file_of_a(&lake);
    let of_a = of_a.strip_prefix(lake.root()).unwrap().to_str().unwrap();
    assert_eq!(
        (audit.orphans, audit.leftovers),
        (vec![of_a.to_owned(), orphan], vec!["_iotlake/tmp/1-2-3".to_owned()])
    );

    // A partition without files is worth a word, and does not make the lake unclean.
    let partition = Partition::new(2026, 3, 2, 0).unwrap();
    let (key, digest, columns) = ("t/gone.parquet".to_owned(), String::new(), Vec::new());
    let gone = DataFile { key, partition, rows: 1, bytes: 4, digest, columns };
    lake.catalog.commit(&TableName::rows("t"), &[gone]).unwrap();
    let audit = check(&lake, Depth::Footers);
    assert_eq!(rules(&audit), [Rule::PartitionEmpty]);
    assert_eq!(audit.findings[0].rule.severity(), Severity::Warning);
    assert!(audit.is_clean());
}

#[test]
fn a_file_that_disagrees_with_its_receipt_about_the_source_is_found() {
    let lake = good();
    // The bytes of B's file under the name that A's receipt has.
    let theirs: HashMap<_, _> = [A, B]
        .map(|source| (source, Ledger::new(lake.storage.clone()).head("t", source).unwrap().unwrap()))
        .into();
    let (a, b) = (&theirs[A].outputs[0], &theirs[B].outputs[0]);
    let bytes = lake.storage.read(&b.key).unwrap().unwrap();
    lake.storage.put(&a.key, &bytes).unwrap();
    edit(&lake, |receipt| {
        receipt.outputs[0] = iotlake::ledger::Output { key: a.key.clone(), ..b.clone() };
        receipt.counts = iotlake::ledger::Counts { records: b.rows, rows: b.rows, ..receipt.counts };
    });
    let audit = check(&lake, Depth::Bytes);
    assert_eq!(rules(&audit), [Rule::FileName, Rule::OutputMetadata], "{:?}", audit.findings);
}

/// What the attack of the test does, and what is found of it: place and rule.
fn found(audit: &Audit) -> Vec<(&str, Rule)> {
    audit.findings.iter().map(|finding| (finding.place.as_str(), finding.rule)).collect()
}

/// One source in several parts.
fn in_parts() -> (Lake, Receipt) {
    let lake = Lake::new();
    lake.create_table("t", Contract { part_bytes: 4096, ..Contract::default() });
    let line = |ts| if ts == 300 { "nonsense\n".to_owned() } else { format!("{{\"ts\":{ts},\"n\":{ts}}}\n") };
    let text: String = (0..600).map(line).collect();
    let receipt = lake.ingest("t", A, text.as_bytes());
    assert!(receipt.outputs.len() > 2 && receipt.rejects.len() == 1, "{receipt:?}");
    assert_eq!(rules(&check(&lake, Depth::Footers)), []);
    (lake, receipt)
}

#[test]
fn a_file_that_its_sources_receipt_does_not_name_doubles_rows_and_is_found() {
    let hour = "t/year=2026/month=03/day=01/hour=05";
    let name = |part: u32, revision: &str| format!("{hour}/{}-{part}{revision}.parquet", source_hash(A));
    // A copy under the number of a part that there is not, of an earlier attempt, of a later one, in another hour.
    let copies = [
        (name(1, ""), vec![Rule::FileName, Rule::StaleFile], "reads its rows too often"),
        (name(0, "-r3"), vec![Rule::StaleFile], "old and new rows"),
        (name(0, "").replace("hour=05", "hour=06"), vec![Rule::StaleFile], "reads its rows too often"),
    ];
    for (key, expected, does) in copies {
        let lake = good();
        copy(&lake, &key);
        let audit = check(&lake, Depth::Footers);
        assert_eq!(found(&audit), expected.iter().map(|rule| (key.as_str(), *rule)).collect::<Vec<_>>());
        let last = audit.findings.last().unwrap();
        assert!(last.message.contains(does) && last.hint().contains("iotlake clean"), "{last}");
        assert!(!audit.is_clean());
    }
    let lake = good();
    let empty = name(1, "");
    lake.storage.put(&empty, b"").unwrap();
    assert_eq!(found(&check(&lake, Depth::Footers)), [(empty.as_str(), Rule::Unreadable)]);
    // Moved, it is missing in one place and too much in the other.
    let lake = good();
    let there = name(0, "").replace("hour=05", "hour=06");
    copy(&lake, &there);
    std::fs::remove_file(file_of_a(&lake)).unwrap();
    let audit = check(&lake, Depth::Footers);
    assert_eq!(found(&audit), [(&*name(0, ""), Rule::OutputMissing), (there.as_str(), Rule::StaleFile)]);
}

#[test]
fn a_receipt_that_was_shortened_consistently_is_found() {
    let place = Ledger::key("t", A);
    let outputs = in_parts().1.outputs.len();
    for (part, keeps_file) in [(0, true), (0, false), (1, false), (outputs - 1, true), (outputs - 1, false)] {
        let (lake, receipt) = in_parts();
        let gone = receipt.outputs[part].clone();
        edit(&lake, |receipt| {
            receipt.outputs.remove(part);
            receipt.counts.rows -= gone.rows;
            receipt.counts.records -= gone.rows;
        });
        let mut expected = vec![(place.as_str(), Rule::Gap)];
        match keeps_file {
            true => expected.push((gone.key.as_str(), Rule::StaleFile)),
            false => lake.storage.delete(&gone.key).unwrap(),
        }
        let audit = check(&lake, Depth::Footers);
        assert_eq!(found(&audit), expected, "part {part}: {:?}", audit.findings);
    }
    // The rejects, with their reject.
    let (lake, receipt) = in_parts();
    edit(&lake, |receipt| {
        receipt.rejects.clear();
        receipt.counts.rejected = 0;
        receipt.counts.records -= 1;
    });
    let expected = [(place.as_str(), Rule::Gap), (receipt.rejects[0].key.as_str(), Rule::StaleFile)];
    assert_eq!(found(&check(&lake, Depth::Footers)), expected);
    // A part in the place of another: as many rows, other records.
    let (lake, receipt) = in_parts();
    let [first, second] = [0, 1].map(|part| receipt.outputs[part].clone());
    let bytes = lake.storage.read(&first.key).unwrap().unwrap();
    lake.storage.put(&second.key, &bytes).unwrap();
    edit(&lake, |receipt| {
        receipt.outputs[1] = iotlake::ledger::Output { key: second.key.clone(), ..first.clone() };
        receipt.counts.rows = receipt.counts.rows - second.rows + first.rows;
        receipt.counts.records = receipt.counts.records - second.rows + first.rows;
    });
    let audit = check(&lake, Depth::Bytes);
    assert_eq!(found(&audit), [(place.as_str(), Rule::Gap), (second.key.as_str(), Rule::FileName)]);
}

#[test]
fn a_receipt_vouches_for_files_of_its_own_source_alone() {
    let place = Ledger::key("t", A);
    let b = Ledger::new(good().storage.clone()).head("t", B).unwrap().unwrap();
    let hour = "t/year=2026/month=03/day=01";
    let of_a = format!("{}-0.parquet", source_hash(A));
    let keys = [
        "_iotlake/catalog/tables/t.json".to_owned(),
        Ledger::key("t", B),
        b.outputs[0].key.clone(),
        b.rejects[0].key.clone(),
        format!("{hour}/hour=06/{of_a}"),
        format!("t/{of_a}"),
        format!("{hour}/hour=05/{}", of_a.replace(".parquet", "-r1.parquet")),
        format!("{hour}/hour=05/{}", of_a.replace(".parquet", ".txt")),
        "t".to_owned(),
    ];
    for key in keys {
        let lake = good();
        edit(&lake, |receipt| {
            let output = iotlake::ledger::Output { key: key.clone(), rows: 0, ..receipt.outputs[0].clone() };
            receipt.outputs.push(output);
        });
        let audit = check(&lake, Depth::Footers);
        assert_eq!(found(&audit), [(place.as_str(), Rule::ReceiptOutput)], "{key}: {:?}", audit.findings);
    }
}

#[test]
fn cleaning_takes_away_what_no_receipt_names_and_nothing_else() {
    let lake = good();
    let whole = iotlake::lake::Lake::embedded(lake.storage.clone());
    let before = support::contents(&*lake.storage);
    let hour = "t/year=2026/month=03/day=01/hour=05";
    let (of_a, of_c) = (source_hash(A), source_hash(C));
    let stale = [
        format!("{hour}/{of_a}-1.parquet"),
        format!("{}/{of_a}-0.parquet", hour.replace("=05", "=06")),
        format!("t_rejects/year=2026/{of_a}-0.parquet"),
    ];
    let left = [
        format!("{hour}/{of_a}-0-r1.parquet"),
        format!("{hour}/{of_c}-0.parquet"),
        format!("{hour}/notes.txt"),
    ];
    stale.iter().chain(&left).for_each(|key| copy(&lake, key));
    lake.storage.put(&format!("{hour}/{of_a}-9.parquet"), b"").unwrap();
    Extra::new(vec![("n", doubles())]).write(&lake);
    let left: Vec<_> = left.into_iter().chain([format!("{hour}/{of_a}-9.parquet"), extra_key()]).collect();

    let found = iotlake::clean::find(&whole, None).unwrap();
    let keys = |files: &[iotlake::clean::Stale]| -> std::collections::BTreeSet<String> {
        files.iter().map(|file| file.key.clone()).collect()
    };
    assert_eq!(keys(&found.stale), stale.iter().cloned().collect());
    let reasons: HashMap<_, _> = found.left.iter().cloned().collect();
    assert_eq!(reasons.len(), left.len(), "{reasons:?}");
    let reason = |place: usize| reasons[&left[place]].split([':', ';']).next().unwrap().to_owned();
    assert_eq!(reason(0), "its source is being ingested anew");
    assert_eq!(reason(1), "its name is not that of its source");
    assert_eq!(reason(2), "no file of iotlake is named so");
    assert_eq!(reason(3), "its footer cannot be read");
    assert_eq!(reason(4), "its source is not done");

    // One that a receipt names by now stays.
    let late = iotlake::clean::Stale {
        key: before.keys().find(|key| key.starts_with("t/") && key.contains(&of_a)).unwrap().clone(),
        ..found.stale[0].clone()
    };
    assert!(iotlake::clean::remove(&whole, &[late]).unwrap().is_empty());
    assert_eq!(iotlake::clean::remove(&whole, &found.stale).unwrap().len(), found.stale.len());
    let after: Vec<_> = support::contents(&*lake.storage).into_keys().collect();
    let expected: std::collections::BTreeSet<_> = before.into_keys().chain(left).collect();
    assert_eq!(after, expected.into_iter().collect::<Vec<_>>());
    assert_eq!(iotlake::clean::find(&whole, None).unwrap().stale, []);
}

#[test]
fn what_was_never_completed_goes_only_if_asked_and_old() {
    let lake = good();
    let whole = iotlake::lake::Lake::embedded(lake.storage.clone());
    let of_receipt = Ledger::key("t", A);
    let receipt = lake.storage.read(&of_receipt).unwrap().unwrap();
    lake.storage.delete(&of_receipt).unwrap();
    let file = file_of_a(&lake);
    let file = file.strip_prefix(lake.root()).unwrap().to_str().unwrap().to_owned();
    let of_record = format!("_iotlake/attempts/t/{}-r0.json", source_hash(A));
    let said: serde_json::Value = serde_json::from_slice(&receipt).unwrap();
    let record = serde_json::json!({
        "format": 1, "source": A, "revision": 0, "size": said["size"], "etag": null, "options": said["options"],
        "layout": said["layout"], "declared": 0, "keys": [file],
    });
    lake.storage.put(&of_record, record.to_string().as_bytes()).unwrap();
    let audit = check(&lake, Depth::Footers);
    assert_eq!((&audit.attempts, &audit.orphans), (&vec![of_record.clone()], &vec![file.clone()]));

    let now = std::time::SystemTime::now();
    let hour = std::time::Duration::from_secs(3600);
    for before in [None, Some(now - hour)] {
        let found = iotlake::clean::find(&whole, before).unwrap();
        let reasons: Vec<_> = found.left.iter().filter(|(key, _)| *key == file).collect();
        assert!(found.stale.is_empty() && reasons[0].1.starts_with("its source is not done"), "{found:?}");
    }
    let found = iotlake::clean::find(&whole, Some(now + hour)).unwrap();
    assert_eq!(
        found.stale.iter().map(|stale| (&stale.key, stale.is_done)).collect::<Vec<_>>(),
        [(&file, false)]
    );

    // One that was completed meanwhile stays.
    lake.storage.put(&of_receipt, &receipt).unwrap();
    assert!(iotlake::clean::remove(&whole, &found.stale).unwrap().is_empty());
    assert!(lake.storage.head(&file).unwrap().is_some());
    lake.storage.delete(&of_receipt).unwrap();

    assert_eq!(iotlake::clean::remove(&whole, &found.stale).unwrap(), found.stale.iter().collect::<Vec<_>>());
    assert!(lake.storage.head(&file).unwrap().is_none() && lake.storage.head(&of_record).unwrap().is_none());
    let audit = check(&lake, Depth::Footers);
    assert!(audit.attempts.is_empty() && audit.orphans.is_empty(), "{audit:?}");
}
