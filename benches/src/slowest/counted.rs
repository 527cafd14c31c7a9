//! What a source costs, counted and not timed: for tests, which must not depend on how fast a machine is.
//!
//! In comes a genome; out comes what was looked at, and what was allocated, for each byte of its source. What must stay
//! true: the same each time, on every machine; so one thread reads, whatever the genome says.

use std::convert::Infallible;
use std::sync::Arc;

use iotlake::decode::Decoder;
use iotlake_flatten::{Compression, Encoder, Flattener, Limits, Options, Part, Schema};

use super::genome::Genome;
use super::ingest::contract;
use super::source::Source;

/// Bytes that are decoded at a time.
const BLOCK: usize = 64 << 10;

/// Reads the source of a genome, makes files of it and drops them; what was looked at beside reading each record once.
///
/// # Panics
/// If the source cannot be decoded, or its parts become no files.
pub fn read(genome: &Genome, source: &Source) -> u64 {
    let mut schema = Schema::new(contract(genome));
    let options = Options { chunk_bytes: 4 * BLOCK, ..Options::default() };
    let mut flattener = Flattener::new(Arc::new(schema.clone()), options);
    let mut sink = |part: Part| {
        encode(part, &mut schema);
        Ok::<(), Infallible>(())
    };
    let mut decoder = Decoder::new(&source.stored[..], u64::MAX);
    let mut buffer = vec![0; BLOCK];
    loop {
        match decoder.read(&mut buffer).expect("the source is whole") {
            0 => break,
            count => {
                let Ok(()) = flattener.push(&buffer[..count], &mut sink);
            }
        }
    }
    let work = flattener.work();
    let Ok(()) = flattener.finish(&mut sink);
    work
}

fn encode(part: Part, schema: &mut Schema) {
    let fit = part.fit(schema, &Limits::default());
    fit.register.iter().for_each(|identity| _ = schema.register(identity));
    let part = part.settle(&fit);
    let encoder = Encoder {
        source: "s",
        options: "{}",
        receipt: None,
        compression: Compression::Snappy,
        parallel: false,
    };
    if part.rows > 0 {
        encoder.encode(&part, schema).expect("a settled part becomes a file");
    }
    if !part.rejects.is_empty() {
        encoder.encode_rejects(&part).expect("rejects become a file");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worst that were found: a genome a line, then what may be looked at and allocated, and be allocated at once,
    /// for each byte.
    const WORST: &str = include_str!("worst.txt");

    #[test]
    fn the_worst_that_were_found_cost_no_more_than_they_did() {
        let mut count = 0;
        for line in WORST.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let (genome, ceilings) = line.split_once('#').expect("ceilings stand behind `#`");
            let genome: Genome = genome.parse().expect("a genome");
            let ceilings: Vec<f64> =
                ceilings.split_whitespace().map(|number| number.parse().expect("a number")).collect();
            let source = Source::new(&genome);
            let bytes = source.decoded.max(source.stored.len()) as f64;
            let mut work = 0;
            let memory = allocation_counter::measure(|| work = read(&genome, &source));
            let counted =
                [work as f64, memory.bytes_total as f64, memory.bytes_max as f64].map(|it| it / bytes);
            eprintln!("{genome}: {counted:.2?}");
            for (counted, ceiling) in counted.into_iter().zip(&ceilings) {
                assert!(counted <= *ceiling, "{genome}: {counted:.2} a byte, at most {ceiling}");
            }
            assert_eq!(ceilings.len(), counted.len(), "{line}");
            count += 1;
        }
        assert!(count >= 10, "{count}");
    }
}
