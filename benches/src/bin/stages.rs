//! Where iotlake's time goes: bytes to columns, columns to Parquet, and both one after the other.
//!
//! Everything is in memory. Prints a Markdown table for each data set and panics if the files of a round, of the whole
//! way, or of several threads are not the same bytes as the first ones.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use iotlake_benches::data::{CLEAN, DIRTY, DataSet, parse_size};
use iotlake_benches::measure::{Times, time};
use iotlake_flatten::{Compression, Contract, Encoder, Flattener, Limits, Options, Part, Schema};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Measures iotlake's stages.
#[derive(Debug, Parser)]
struct Arguments {
    /// Size of each data set.
    #[arg(long, default_value = "64MB", value_parser = parse_size)]
    bytes: u64,
    /// Rounds that count; one more runs in front.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Data sets; all if none is named.
    #[arg(long)]
    set: Vec<String>,
    /// Threads that parse and encode.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

/// What was written: the same for every way of writing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Written {
    rows: u64,
    rejects: u64,
    columns: usize,
    files: usize,
    bytes: usize,
    checksum: u64,
}

/// Turns parts into files.
struct Writer {
    schema: Schema,
    is_parallel: bool,
    written: Written,
}

fn main() {
    let arguments = Arguments::parse();
    let names = match &arguments.set[..] {
        [] => CLEAN.into_iter().chain([DIRTY]).map(str::to_owned).collect(),
        named => named.to_vec(),
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(arguments.threads).build();
    let pool = pool.expect("threads can be started");
    for name in names {
        match DataSet::new(&name, arguments.bytes) {
            Ok(set) => pool.install(|| measure(&set, arguments.rounds, arguments.threads)),
            Err(message) => {
                eprintln!("error: {message}");
                std::process::exit(2);
            }
        }
    }
}

fn measure(set: &DataSet, rounds: u32, threads: usize) {
    let expected = write_all(&set.bytes, 1);
    let [mut columns, mut encoding, mut whole] = [(); 3].map(|()| Times::default());
    for round in 0..=rounds {
        let (parts, columns_time) = time(|| collect(&set.bytes, threads));
        let (written, encoding_time) = time(|| {
            let mut writer = Writer::new(threads);
            parts.into_iter().for_each(|part| writer.write(part));
            writer.written
        });
        assert_eq!(written, expected, "kept parts of {} give other files", set.name);
        let (written, whole_time) = time(|| write_all(&set.bytes, threads));
        assert_eq!(written, expected, "{} in one go gives other files", set.name);
        if round > 0 {
            columns.push(columns_time);
            encoding.push(encoding_time);
            whole.push(whole_time);
        }
    }
    print(set, threads, expected, [("columns", columns), ("encode", encoding), ("whole", whole)]);
}

fn print(set: &DataSet, threads: usize, written: Written, stages: [(&str, Times); 3]) {
    println!(
        "**{}**, {threads} thread{}: {:.1} MB, {} rows, {} rejects, {} columns, {} file{} of {:.1} MB in all\n",
        set.name,
        if threads == 1 { "" } else { "s" },
        set.bytes.len() as f64 / 1e6,
        written.rows,
        written.rejects,
        written.columns,
        written.files,
        if written.files == 1 { "" } else { "s" },
        written.bytes as f64 / 1e6,
    );
    println!("| stage | MB/s median (min–max) | rows/s | share of time |\n|---|---|---|---|");
    let sum: Duration = stages[..2].iter().map(|(_, times)| times.median()).sum();
    for (stage, times) in stages {
        let time = times.median().as_secs_f64();
        println!(
            "| {stage} | {} | {:.2} M | {:.0} % |",
            times.rate(set.bytes.len()),
            written.rows as f64 / time / 1e6,
            100.0 * time / sum.as_secs_f64(),
        );
    }
    println!();
}

/// All parts.
fn collect(bytes: &[u8], threads: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    flatten(bytes, threads, |part| parts.push(part));
    parts
}

/// All files, each made as soon as its part is there.
fn write_all(bytes: &[u8], threads: usize) -> Written {
    let mut writer = Writer::new(threads);
    flatten(bytes, threads, |part| writer.write(part));
    writer.written
}

/// Hands parts to `take`, from bytes that come in chunks as a decoder hands them out.
fn flatten(bytes: &[u8], threads: usize, mut take: impl FnMut(Part)) {
    let schema = Arc::new(Schema::new(Contract::default()));
    let mut flattener = Flattener::new(schema, Options { threads, ..Options::default() });
    let mut sink = |part| {
        take(part);
        Ok::<(), Infallible>(())
    };
    for chunk in bytes.chunks(1 << 20) {
        let Ok(()) = flattener.push(chunk, &mut sink);
    }
    let Ok(()) = flattener.finish(&mut sink);
}

impl Writer {
    fn new(threads: usize) -> Writer {
        let schema = Schema::new(Contract::default());
        Writer { schema, is_parallel: threads > 1, written: Written::default() }
    }

    /// Fits the part to the table, as a catalog would, and encodes it.
    fn write(&mut self, part: Part) {
        let fit = part.fit(&self.schema, &Limits::default());
        for identity in &fit.register {
            self.schema.register(identity);
        }
        let part = part.settle(&fit);
        let encoder = Encoder {
            source: "s3://bucket/2026/03/02/08/object",
            options: "{}",
            receipt: None,
            compression: Compression::Snappy,
            parallel: self.is_parallel,
        };
        let file =
            encoder.encode(&part, &self.schema).expect("a settled part has columns of the table").bytes;
        self.count(&file);
        if !part.rejects.is_empty() {
            let file = encoder.encode_rejects(&part).expect("rejects fit their columns").bytes;
            self.count(&file);
        }
        self.written.rows += u64::from(part.rows);
        self.written.rejects += part.rejects.len() as u64;
        self.written.columns = self.schema.columns().len();
    }

    fn count(&mut self, file: &[u8]) {
        self.written.files += 1;
        self.written.bytes += file.len();
        self.written.checksum = xxh3_64_with_seed(file, self.written.checksum);
    }
}
