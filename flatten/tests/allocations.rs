//! What is allocated: once a shape is known nothing for a record and nothing for a value, and whatever the keys are no
//! more than the bytes of the source ask for.
//!
//! A binary of its own, since it counts what the whole process allocates.

use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;

use allocation_counter::measure;
use iotlake_flatten::{Compression, Contract, Encoder, Flattener, Limits, Options, Part, Schema};

const PART_BYTES: usize = 4 << 20;

/// Messages with every kind of value, text with escapes and beyond ASCII, a list, and keys that take turns.
fn messages(bytes: usize) -> String {
    let mut text = String::new();
    let mut number = 0u64;
    while text.len() < bytes {
        let value = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        write!(
            text,
            "{{\"device\":{{\"id\":\"device {}\",\"place\":\"Büro\"}},\"measurements\":{{",
            value % 50
        )
        .unwrap();
        match value % 3 {
            0 => write!(text, "\"temperature\":{}.25,\"humidity\":{}", value % 40, value % 90).unwrap(),
            1 => {
                write!(text, "\"note\":\"a \\\"line\\\"\\n{value}\",\"is_open\":{}", value.is_multiple_of(2))
                    .unwrap()
            }
            _ => write!(text, "\"serial\":{},\"factor\":1.5e-7", value + (1 << 60)).unwrap(),
        }
        writeln!(text, "}},\"ts\":{}}}", 1_772_355_600_000 + number).unwrap();
        number += 1;
    }
    text
}

#[test]
fn records_and_values_allocate_nothing_once_their_shape_is_known() {
    let contract = Contract { part_bytes: PART_BYTES as u64, ..Contract::default() };
    let mut schema = Schema::new(contract);
    let mut flattener = Flattener::new(Arc::new(schema.clone()), Options::default());
    let mut parts: Vec<Part> = Vec::with_capacity(8);
    let mut push = |flattener: &mut Flattener, text: &str| {
        let Ok(()) = flattener.push(text.as_bytes(), &mut |part| {
            parts.push(part);
            Ok::<(), Infallible>(())
        });
    };
    let text = messages(3 * PART_BYTES);
    // The first part has shown how much room the next ones need, and the second has begun.
    push(&mut flattener, &text[..PART_BYTES + PART_BYTES / 2]);
    let more =
        measure(|| push(&mut flattener, &text[PART_BYTES + PART_BYTES / 2..2 * PART_BYTES - (512 << 10)]));
    let records = 10_000;
    assert!(text.lines().count() > 8 * records, "the stretch that was measured has fewer records");
    assert_eq!(more.count_total, 0, "{more:?}");
    push(&mut flattener, &text[2 * PART_BYTES - (512 << 10)..]);

    // A file costs what its columns and pages cost, however many values are in them.
    let part = parts.remove(0);
    let fit = part.fit(&schema, &Limits::default());
    fit.register.iter().for_each(|identity| _ = schema.register(identity));
    let part = part.settle(&fit);
    assert!(part.rows as usize > 3 * records, "{}", part.rows);
    let encoder = Encoder {
        source: "s3://b/k",
        options: "{}",
        receipt: None,
        compression: Compression::Snappy,
        parallel: false,
    };
    let file = measure(|| drop(encoder.encode(&part, &schema).unwrap()));
    assert!(file.count_total < 100 * (part.columns.len() as u64 + 4), "{file:?}");
}

/// Most bytes in use at once while a source is read, fitted, settled and encoded, for each of its bytes.
fn peak(text: &str) -> f64 {
    let more = measure(|| {
        let mut schema = Schema::new(Contract::default());
        let mut parts: Vec<Part> = Vec::new();
        let mut sink = |part| {
            parts.push(part);
            Ok::<(), Infallible>(())
        };
        let mut flattener = Flattener::new(Arc::new(schema.clone()), Options::default());
        for piece in text.as_bytes().chunks(1 << 16) {
            let Ok(()) = flattener.push(piece, &mut sink);
        }
        let Ok(()) = flattener.finish(&mut sink);
        for part in parts {
            let fit = part.fit(&schema, &Limits::default());
            fit.register.iter().for_each(|identity| _ = schema.register(identity));
            let part = part.settle(&fit);
            let encoder = Encoder {
                source: "s",
                options: "{}",
                receipt: None,
                compression: Compression::Snappy,
                parallel: false,
            };
            let file = encoder.encode(&part, &schema).unwrap().bytes;
            assert!(file.len() < 2 * text.len() + 500 * schema.columns().len() + 10_000, "{}", file.len());
        }
    });
    more.bytes_max as f64 / text.len() as f64
}

#[test]
fn keys_cost_memory_by_their_bytes_however_much_lies_below_them() {
    let object = |key: usize, children: usize| {
        let fields: Vec<String> = (0..children).map(|at| format!("\"c{at}\":0")).collect();
        format!("{{\"{}\":{{{}}}}}\n", "k".repeat(key), fields.join(","))
    };
    // What is kept of a source that has a column for each of its values, to compare with.
    let wide = object(8, 200).repeat(2000);
    for (name, most, text) in [
        ("columns", 40.0, wide),
        ("a key of a megabyte", 16.0, object(1 << 20, 256)),
        ("a key of twenty kilobytes, many below it", 16.0, object(20_000, 11_000).repeat(20)),
        ("a key as long as may be, many below it", 40.0, object(1000, 11_000).repeat(20)),
        (
            "many keys as long as may be",
            40.0,
            (0..2000).map(|at| object(1000 - at % 7, 3 + at % 5)).collect(),
        ),
        ("as many keys as bytes allow", 60.0, object(1, 200_000)),
    ] {
        let bytes = peak(&text);
        eprintln!("{name}: {bytes:.1} for each of {} bytes", text.len());
        assert!(bytes <= most, "{name}: {bytes:.1} bytes for a byte");
    }
}
