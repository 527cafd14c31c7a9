//! The flattener says what the reference says: for every hostile case, for random and damaged JSON, for any chunking
//! and any number of threads.

use iotlake_fixtures::{Dirt, Kit, hostile};
use iotlake_flatten::reference::{self, Said};
use iotlake_flatten::{Contract, Limits, Numbers, Options, Type};
use proptest::prelude::*;

use crate::support::{check_accounts, parts, said, schema};

const CHUNKS: [usize; 6] = [1, 2, 3, 7, 64, usize::MAX];

pub fn plain() -> Contract {
    Contract::empty()
}

/// A contract that declares something for the paths the tests use.
pub fn declared() -> Contract {
    let mut contract = Contract::empty()
        .declare("a", Type::String)
        .declare("n", Type::Bigint)
        .declare("b", Type::Json)
        .declare("t", Type::Timestamp)
        .declare("ts", Type::Timestamp)
        .declare("c.d", Type::Double)
        .declare("e", Type::Ignore)
        .declare("device", Type::Json)
        .declare("measurements.temperature", Type::String);
    contract.numbers = Numbers::Exact;
    contract
}

/// Small blocks, so that records straddle them and pieces are cut.
pub fn options(threads: usize, chunk_bytes: usize) -> Options {
    Options { threads, chunk_bytes, ..Options::default() }
}

pub fn check(name: &str, bytes: &[u8], contract: &Contract) -> Said {
    let expected = reference::read(bytes, contract, Limits::default().record_bytes);
    let schema = schema(contract);
    let whole = parts(bytes, usize::MAX, &schema, Options::default());
    check_accounts(&whole, bytes);
    assert_eq!(said(&whole), expected, "{name}");
    for chunk in CHUNKS {
        // Pushing byte by byte means nothing where the whole is a single block; a block of one byte means most.
        for block in [1, 16, 2 << 20] {
            if block == 1 && bytes.len() > 20_000 {
                continue;
            }
            let chunked = parts(bytes, chunk, &schema, options(1, block));
            assert_eq!(chunked, whole, "{name} in chunks of {chunk}, blocks of {block}");
        }
    }
    for threads in [2, 3, 8] {
        let threaded = parts(bytes, usize::MAX, &schema, options(threads, 24));
        assert_eq!(threaded, whole, "{name} with {threads} threads");
    }
    expected
}

#[test]
fn on_every_hostile_case_however_it_is_cut() {
    for case in hostile::cases() {
        for contract in [plain(), declared()] {
            check(&case.name, &case.bytes, &contract);
        }
    }
}

#[test]
fn on_every_hostile_case_behind_and_before_good_records() {
    for case in hostile::cases().iter().filter(|case| case.bytes.len() < 5000) {
        let mut bytes = b"{\"a\":1,\"b\":\"x\"}\n{\"a\":2,\"b\":\"y\"}\n".to_vec();
        bytes.extend_from_slice(&case.bytes);
        bytes.extend_from_slice(b"\n{\"a\":3,\"b\":\"z\"}\n{\"a\":4,\"b\":\"z\"}\n");
        check(&case.name, &bytes, &plain());
    }
}

#[test]
fn on_dirty_kit_messages_with_the_truth_the_generator_knows() {
    let dirt = Dirt::spread(0.3).unwrap();
    let kit = Kit { seed: 7, devices: 25, hours: 2, messages_per_hour: 10, dirt, ..Kit::sample() };
    for object in kit.objects().filter(|object| !object.bytes.starts_with(b"\x1f\x8b")) {
        let said = check(&object.key, &object.bytes, &Contract::default());
        assert_eq!(said.records.len() as u64, object.truth.rows, "{}", object.key);
        assert_eq!(said.rejects.len() as u64, object.truth.rejected, "{}", object.key);
        check(&object.key, &object.bytes, &declared());
    }
}

#[test]
fn on_many_threads_over_large_dirty_input() {
    let kit = Kit { seed: 3, dirt: Dirt::spread(0.02).unwrap(), ..Kit::default() };
    let mut bytes = Vec::new();
    kit.write_ndjson(&mut bytes, 3_000_000).unwrap();
    let contract = Contract { part_bytes: 700_000, ..Contract::default() };
    let schema = schema(&contract);
    let whole = parts(&bytes, usize::MAX, &schema, Options::default());
    assert!(whole.len() > 3);
    check_accounts(&whole, &bytes);
    assert_eq!(said(&whole), reference::read(&bytes, &contract, Limits::default().record_bytes));
    for threads in [2, 8] {
        for chunk in [10_000, 100_000] {
            let threaded = parts(&bytes, 77_777, &schema, options(threads, chunk));
            assert!(threaded == whole, "{threads} threads, chunks of {chunk}");
        }
    }
}

/// JSON-like text: valid records, then damaged by cutting and replacing bytes.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        (-1000i32..1000).prop_map(|n| n.to_string()),
        any::<f64>()
            .prop_filter("finite", |n| n.is_finite())
            .prop_map(|n| serde_json::to_string(&n).unwrap()),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
        "[a-z\"\\\\é\u{1}😀]{0,12}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just("\"\\u0041\\/\\ud83d\\ude00\"".to_owned()),
        Just("\"\\ud800\"".to_owned()),
        Just("\"2026-03-01T09:00:00.123Z\"".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            proptest::collection::vec((key(), inner), 0..5).prop_map(|fields| {
                let fields: Vec<_> = fields.iter().map(|(key, value)| format!("{key}:{value}")).collect();
                format!("{{{}}}", fields.join(","))
            }),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[a-e]".prop_map(|key| format!("\"{key}\"")),
        1 => Just("\"\"".to_owned()),
        1 => Just("\"\\u0061\"".to_owned()),
        1 => Just("\"é\"".to_owned()),
        1 => Just("\"a.b\"".to_owned()),
        1 => Just("\"x\\\"y\"".to_owned()),
    ]
}

fn record() -> impl Strategy<Value = String> {
    let fields = proptest::collection::vec((key(), value()), 0..6);
    (fields, any::<bool>()).prop_map(|(fields, spaced)| {
        let (colon, comma) = if spaced { (" : ", "\n , ") } else { (":", ",") };
        let fields: Vec<_> = fields.iter().map(|(key, value)| format!("{key}{colon}{value}")).collect();
        format!("{{{}}}", fields.join(comma))
    })
}

fn source() -> impl Strategy<Value = Vec<u8>> {
    let separator =
        prop_oneof![4 => Just("\n"), 1 => Just(""), 1 => Just("\r\n"), 1 => Just(","), 1 => Just(" \n\n")];
    let records = proptest::collection::vec((prop_oneof![6 => record(), 1 => value()], separator), 0..12);
    let damage = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4usize), 0..4);
    (records, damage, 0..6u8).prop_map(|(records, damage, wrap)| {
        let body: String = records.iter().map(|(record, separator)| format!("{record}{separator}")).collect();
        let mut bytes = if wrap == 0 { format!("[{body}]") } else { body }.into_bytes();
        for (place, byte, kind) in damage {
            if bytes.is_empty() {
                break;
            }
            let at = place.index(bytes.len());
            match kind {
                0 => drop(bytes.remove(at)),
                1 => bytes[at] = byte,
                2 => bytes.insert(at, b"{}[]\",:\\\n"[usize::from(byte) % 9]),
                _ => bytes.truncate(at),
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn on_random_and_damaged_json(bytes in source()) {
        check("random", &bytes, &plain());
        check("random, declared", &bytes, &declared());
    }

    #[test]
    fn in_windows_of_any_size(bytes in source(), part_bytes in 1u64..200, threads in 1usize..4) {
        let contract = Contract { part_bytes, ..plain() };
        let schema = schema(&contract);
        let whole = parts(&bytes, usize::MAX, &schema, Options::default());
        check_accounts(&whole, &bytes);
        prop_assert_eq!(said(&whole), reference::read(&bytes, &contract, 16 << 20));
        prop_assert_eq!(&parts(&bytes, 5, &schema, options(threads, 10)), &whole);
    }

    #[test]
    fn with_records_over_the_limit(bytes in source(), record_bytes in 1usize..60) {
        let limits = Limits { record_bytes, ..Limits::default() };
        let schema = schema(&plain());
        let whole = parts(&bytes, usize::MAX, &schema, Options { limits, ..Options::default() });
        check_accounts(&whole, &bytes);
        prop_assert_eq!(said(&whole), reference::read(&bytes, &plain(), record_bytes));
        for chunk in [1, 3, 64] {
            let options = Options { limits, chunk_bytes: chunk, threads: 2 };
            prop_assert_eq!(&parts(&bytes, chunk, &schema, options), &whole);
        }
    }
}
