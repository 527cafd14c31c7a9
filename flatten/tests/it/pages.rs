//! What a file says of its pages: readers that skip by it find every row that they look for, and small files say
//! nothing. And its field ids.

use std::fmt::Write;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use iotlake_fixtures::SplitMix64;
use iotlake_flatten::layout::{ENGINE, FIRST_FIELD_ID, REJECTS};
use iotlake_flatten::{
    Bound, Compression, Contract, Encoder, FileWriter, LAYOUT, Limits, Options, Part, Schema, SettledPart,
    Type, metadata,
};
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::basic::BoundaryOrder;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;

use crate::support::{parts, schema};

const ENCODER: Encoder<'_> = Encoder {
    source: "s3://raw/a",
    options: "{}",
    receipt: Some("_iotlake/receipts/t/x.json"),
    compression: Compression::Snappy,
    parallel: false,
};

fn settle(part: Part, schema: &Schema) -> (SettledPart, Schema) {
    let fit = part.fit(schema, &Limits::default());
    let mut grown = schema.clone();
    fit.register.iter().for_each(|identity| drop(grown.register(identity).name.clone()));
    (part.settle(&fit), grown)
}

fn open(file: &[u8], rows: Option<RowSelection>) -> (ParquetMetaData, RecordBatch) {
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    let file = bytes::Bytes::copy_from_slice(file);
    let mut reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).unwrap();
    let footer = (**reader.metadata()).clone();
    if let Some(rows) = rows {
        reader = reader.with_row_selection(rows);
    }
    let batch = reader.with_batch_size(1 << 21).build().unwrap().next().unwrap().unwrap();
    (footer, batch)
}

/// The least and the greatest value of an array, with zeros as statistics have them.
fn bounds(array: &ArrayRef) -> Option<(Bound, Bound)> {
    let values: Vec<Bound> = match array.data_type() {
        DataType::Float64 => {
            array.as_primitive::<Float64Type>().iter().flatten().map(Bound::Double).collect()
        }
        DataType::Int64 => array.as_primitive::<Int64Type>().iter().flatten().map(Bound::Long).collect(),
        DataType::Timestamp(..) => {
            array.as_primitive::<TimestampMicrosecondType>().iter().flatten().map(Bound::Long).collect()
        }
        DataType::Boolean => array.as_boolean().iter().flatten().map(Bound::Boolean).collect(),
        DataType::Utf8 => {
            array.as_string::<i32>().iter().flatten().map(|text| Bound::Bytes(text.into())).collect()
        }
        ty => panic!("{ty}"),
    };
    let order = |a: &Bound, b: &Bound| a.partial_cmp(b).unwrap();
    Some((values.iter().cloned().min_by(order)?, values.iter().cloned().max_by(order)?))
}

/// What the index says of a page.
fn said(index: &ColumnIndexMetaData, page: usize) -> Option<(Bound, Bound)> {
    match index {
        ColumnIndexMetaData::BOOLEAN(of) => {
            Some((Bound::Boolean(*of.min_value(page)?), Bound::Boolean(*of.max_value(page)?)))
        }
        ColumnIndexMetaData::INT64(of) => {
            Some((Bound::Long(*of.min_value(page)?), Bound::Long(*of.max_value(page)?)))
        }
        ColumnIndexMetaData::DOUBLE(of) => {
            Some((Bound::Double(*of.min_value(page)?), Bound::Double(*of.max_value(page)?)))
        }
        ColumnIndexMetaData::BYTE_ARRAY(of) => {
            Some((Bound::Bytes(of.min_value(page)?.to_vec()), Bound::Bytes(of.max_value(page)?.to_vec())))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_page_says_what_is_in_it_and_is_found() {
    let empty = schema(&Contract::empty().declare("when", Type::Timestamp));
    let mut random = SplitMix64::new(3);
    let mut text = String::new();
    for row in 0..150_000u64 {
        let noise = random.word();
        write!(text, "{{\"when\":{},\"down\":{}", 1_772_355_600_000 + row * 10, 500_000 - row).unwrap();
        let mut field = |is_there: bool, name: &str, value: std::fmt::Arguments<'_>| {
            if is_there {
                write!(text, ",\"{name}\":{value}").unwrap();
            }
        };
        // A dictionary of which each page has some entries, and one page none.
        field(row / 65_536 != 1, "device", format_args!("\"device {}\"", noise % 500 + row / 65_536 * 400));
        field(noise.is_multiple_of(3), "noise", format_args!("{}.25", noise % 1_000_003));
        field(noise.is_multiple_of(2), "is_on", format_args!("{}", row > 70_000));
        field(row % 5 == 0, "zero", format_args!("{}0.0", if noise.is_multiple_of(2) { "-" } else { "" }));
        field(row == 3, "long", format_args!("\"{}\"", "x".repeat(65)));
        text.push_str("}\n");
    }
    let part = parts(text.as_bytes(), 1 << 20, &empty, Options::default()).remove(0);
    let (part, table) = settle(part, &empty);
    for parallel in [false, true] {
        let file = Encoder { parallel, ..ENCODER }.encode(&part, &table).unwrap().bytes;
        let (footer, batch) = open(&file, None);
        let (values, places) = (&footer.column_index().unwrap()[0], &footer.offset_index().unwrap()[0]);
        for (at, (field, column)) in batch.schema().fields().iter().zip(batch.columns()).enumerate() {
            let name = field.name();
            let pages = places[at].page_locations();
            assert_eq!(pages.len(), 3, "{name}");
            let begins: Vec<usize> = pages.iter().map(|page| page.first_row_index as usize).collect();
            assert_eq!(begins, [0, 65_536, 131_072], "{name}");
            if name == "long" {
                assert!(matches!(values[at], ColumnIndexMetaData::NONE), "a bound is too long to be kept");
                continue;
            }
            for (page, begin) in begins.iter().enumerate() {
                let end = begins.get(page + 1).copied().unwrap_or(batch.num_rows());
                let slice = column.slice(*begin, end - begin);
                let is_zero = |bound: &Bound| *bound == Bound::Double(0.0);
                match (said(&values[at], page), bounds(&slice)) {
                    (Some((a, b)), Some((c, d))) if is_zero(&a) && is_zero(&b) => {
                        assert!(is_zero(&c) && is_zero(&d), "{name}");
                        let signs = [a, b]
                            .map(|bound| matches!(bound, Bound::Double(zero) if zero.is_sign_negative()));
                        assert_eq!(signs, [true, false], "a zero stands for both");
                    }
                    (found, expected) => assert_eq!(found, expected, "{name}, page {page}"),
                }
                assert_eq!(values[at].null_count(page), Some(slice.null_count() as i64), "{name}");
                assert_eq!(values[at].is_null_page(page), slice.null_count() == slice.len(), "{name}");
            }
            let order = match name.as_str() {
                "_source" | "_record" | "when" | "zero" | "is_on" => BoundaryOrder::ASCENDING,
                "down" => BoundaryOrder::DESCENDING,
                _ => continue,
            };
            assert_eq!(values[at].get_boundary_order(), Some(order), "{name}");
        }
        // A reader that skips the first page and a half by the places of pages.
        let rows = vec![RowSelector::skip(100_000), RowSelector::select(40_000), RowSelector::skip(10_000)];
        let (_, some) = open(&file, Some(rows.into()));
        assert_eq!(some, batch.slice(100_000, 40_000));
    }
}

#[test]
fn a_small_file_has_no_indexes_and_a_file_of_many_row_groups_has_them_in_all_or_in_none() {
    let contract = Contract { part_bytes: 1 << 20, ..Contract::empty() };
    let empty = schema(&contract);
    let small = "{\"a\":1}\n".repeat(65_536);
    let large = "{\"a\":1}\n".repeat(100_000);
    let text = format!("{{\"a\":\"{}\"}}\n", "x".repeat((1 << 20) + 1));
    let is_indexed = |footer: &ParquetMetaData| {
        let chunks = footer.row_groups().iter().flat_map(|group| group.columns());
        let has: Vec<bool> = chunks.map(|chunk| chunk.offset_index_offset().is_some()).collect();
        assert!(has.iter().all(|other| *other == has[0]), "{has:?}");
        has[0]
    };
    for (text, expected) in [(&small, false), (&large, true), (&text, true)] {
        let mut schema = (*empty).clone();
        let mut file = None;
        for part in parts(text.as_bytes(), 1 << 20, &empty, Options::default()) {
            let (part, grown) = settle(part, &schema);
            schema = grown;
            file.get_or_insert_with(|| FileWriter::new(ENCODER, Vec::new(), &schema, false).unwrap())
                .push(&part)
                .unwrap();
            if part.rows as usize == text.lines().count() {
                let alone = ENCODER.encode(&part, &schema).unwrap().bytes;
                assert_eq!(is_indexed(&open(&alone, None).0), expected);
            }
        }
        assert_eq!(is_indexed(&open(&file.unwrap().finish().unwrap(), None).0), expected);
    }
}

#[test]
fn columns_have_the_field_ids_of_the_table_and_a_file_names_its_receipt() {
    let empty = schema(&Contract::empty().declare("b", Type::Double));
    let text = b"{\"z\":1,\"a\":true}\nbroken\n{\"b\":\"x\"}\n";
    let part = parts(text, 1 << 20, &empty, Options::default()).remove(0);
    let (part, table) = settle(part, &empty);
    let ids = |file: &[u8]| -> Vec<(String, i32)> {
        let (footer, _) = open(file, None);
        let file = footer.file_metadata();
        let pairs = file.key_value_metadata().unwrap();
        let said = |key: &str| pairs.iter().find(|pair| pair.key == key).unwrap().value.as_deref();
        assert_eq!(said(metadata::RECEIPT), ENCODER.receipt);
        assert_eq!(said(metadata::LAYOUT), Some(&*LAYOUT.to_string()));
        let columns = file.schema_descr().columns().iter();
        columns
            .map(|column| {
                let info = column.self_type().get_basic_info();
                assert!(info.has_id());
                (info.name().to_owned(), info.id())
            })
            .collect()
    };
    let first = FIRST_FIELD_ID as i32;
    let named = |pairs: &[(&str, i32)]| -> Vec<(String, i32)> {
        pairs.iter().map(|(name, id)| ((*name).to_owned(), *id)).collect()
    };
    // `b`, which is declared, is in the table and not in the file: nobody takes its id.
    assert_eq!(
        ids(&ENCODER.encode(&part, &table).unwrap().bytes),
        named(&[("_source", 1), ("_record", 2), ("a", first + 1), ("b.string", first + 2), ("z", first + 3)])
    );
    let of_rejects: Vec<(&str, i32)> = REJECTS.iter().map(|column| (column.name, column.id as i32)).collect();
    assert_eq!(ids(&ENCODER.encode_rejects(&part).unwrap().bytes), named(&of_rejects));
    assert_eq!(ENGINE.map(|column| column.id), [1, 2, 3]);
}
