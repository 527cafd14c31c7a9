//! NDJSON from standard input into one Parquet file, a row group for each part.
//!
//! ```text
//! cargo run -p iotlake-flatten --example ndjson_to_parquet -- out.parquet < in.ndjson
//! ```
//!
//! A Parquet file has one list of columns, so all parts are kept until the last is known. `iotlake convert` reads a file
//! twice instead, and holds one part at a time.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the library does no I/O: its caller does"
)]

use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;

use iotlake_flatten::{
    Compression, Contract, Encoder, FileWriter, Flattener, Limits, Options, Part, Schema, SettledPart,
};

fn main() -> Result<(), Box<dyn Error>> {
    let out = std::env::args().nth(1).ok_or("usage: ndjson_to_parquet OUT < IN")?;
    let (rows, rejects) = convert(std::io::stdin().lock(), File::create(&out)?)?;
    rejects.iter().for_each(|reject| eprintln!("{reject}"));
    eprintln!("{out}: {} records = {rows} rows + {} rejected", rows + rejects.len() as u64, rejects.len());
    Ok(())
}

/// Writes the records of `input` to `out` as Parquet; the number of rows, and where and why a record was rejected.
pub fn convert(mut input: impl Read, out: impl Write + Send) -> Result<(u64, Vec<String>), Box<dyn Error>> {
    let mut schema = Schema::new(Contract::empty());
    let parts = flatten(&mut input, &schema)?;

    // New columns get their names in the order of the parts, so that the same input gives the same file.
    let limits = Limits::default();
    let mut settled: Vec<SettledPart> = Vec::new();
    for part in parts {
        let fit = part.fit(&schema, &limits);
        for identity in &fit.register {
            schema.register(identity);
        }
        settled.push(part.settle(&fit));
    }

    let encoder = Encoder {
        source: "stdin",
        options: "{}",
        receipt: None,
        compression: Compression::Zstd,
        parallel: false,
    };
    // Only a table with too many columns leaves anything for `_overflow`.
    let overflow = settled.iter().any(|part| part.overflow().is_some());
    let mut file = FileWriter::new(encoder, out, &schema, overflow)?;
    let mut rows = 0;
    let mut rejects = Vec::new();
    for part in &settled {
        file.push(part)?;
        rows += u64::from(part.rows);
        rejects.extend(part.rejects.iter().map(|reject| format!("line {}: {}", reject.line, reject.reason)));
    }
    file.finish()?.flush()?;
    Ok((rows, rejects))
}

/// The parts of all that `input` holds.
fn flatten(input: &mut impl Read, schema: &Schema) -> Result<Vec<Part>, Box<dyn Error>> {
    let mut parts: Vec<Part> = Vec::new();
    let mut sink = |part| -> Result<(), Box<dyn Error>> {
        parts.push(part);
        Ok(())
    };
    let mut flattener = Flattener::new(Arc::new(schema.clone()), Options::default());
    let mut buffer = vec![0; 256 << 10];
    loop {
        match input.read(&mut buffer)? {
            0 => break,
            read => flattener.push(&buffer[..read], &mut sink)?,
        }
    }
    flattener.finish(&mut sink)?;
    Ok(parts)
}
