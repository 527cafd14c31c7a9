//! The list of approaches: from the same bytes to the same columns.
//!
//! Each is a function from NDJSON to what it found; `approaches` (the binary) times them, a test here holds their answers
//! against each other. The names that end in "expecting" give a rival iotlake's own idea, that the next key is the one
//! that came here last time; what is left of the difference is the parser's.

use std::convert::Infallible;
use std::sync::Arc;

use iotlake_flatten::{Contract, Flattener, Limits, Options, Part, Schema};

use crate::answer::Answer;
use crate::columns::{Columns, Lookup};
use crate::rivals::{serde, simd, sonic};

/// What an approach leaves behind.
pub enum Found {
    /// iotlake's own.
    Parts(Vec<Part>),
    /// A rival's.
    Columns(Columns),
    /// Only the number of records: a limit, not a rival.
    Records(u64),
}

/// A way from bytes to columns.
pub struct Approach {
    /// As printed.
    pub name: &'static str,
    run: fn(&[u8]) -> Found,
}

/// The name of iotlake's own approach.
pub const OWN: &str = "iotlake-flatten";

/// All of them, the own one first.
pub const APPROACHES: [Approach; 12] = [
    Approach { name: OWN, run: |bytes| Found::Parts(flatten(bytes)) },
    Approach { name: "serde_json visitor", run: |b| Found::Columns(serde::serde_json(b, Lookup::Hash)) },
    Approach {
        name: "serde_json visitor, expecting",
        run: |b| Found::Columns(serde::serde_json(b, Lookup::Expect)),
    },
    Approach { name: "sonic-rs visitor", run: |b| Found::Columns(serde::sonic(b, Lookup::Hash)) },
    Approach {
        name: "sonic-rs visitor, expecting",
        run: |b| Found::Columns(serde::sonic(b, Lookup::Expect)),
    },
    Approach { name: "sonic-rs document", run: |b| Found::Columns(sonic::documents(b, Lookup::Hash)) },
    Approach {
        name: "sonic-rs document, expecting",
        run: |b| Found::Columns(sonic::documents(b, Lookup::Expect)),
    },
    Approach {
        name: "simd-json tape per line, expecting",
        run: |b| Found::Columns(simd::line_by_line(b, Lookup::Expect)),
    },
    Approach {
        name: "simd-json tape per block",
        run: |b| Found::Columns(simd::block_by_block(b, Lookup::Hash)),
    },
    Approach {
        name: "simd-json tape per block, expecting",
        run: |b| Found::Columns(simd::block_by_block(b, Lookup::Expect)),
    },
    Approach { name: "limit: simd-json tape only", run: |b| Found::Records(simd::tapes_only(b)) },
    Approach {
        name: "limit: line count",
        run: |b| Found::Records(memchr::memchr_iter(b'\n', b).count() as u64),
    },
];

impl Found {
    /// The account of it; of a limit the rows alone are known.
    pub fn answer(&self) -> Result<Answer, u64> {
        match self {
            Found::Parts(parts) => Ok(Answer::of_parts(parts)),
            Found::Columns(columns) => Ok(Answer::of_columns(columns)),
            Found::Records(records) => Err(*records),
        }
    }
}

impl Approach {
    /// Runs it. Never inlined, so that a profiler can be told to count what happens in here.
    #[inline(never)]
    pub fn run(&self, bytes: &[u8]) -> Found {
        (self.run)(bytes)
    }
}

/// iotlake's columns: pushed in chunks as a decoder hands them out, without Parquet.
fn flatten(bytes: &[u8]) -> Vec<Part> {
    // `ragged` has more keys than iotlake would make columns of; the others do not come near any bound.
    let limits = Limits { discovered: 1 << 24, ..Limits::default() };
    let schema = Arc::new(Schema::new(Contract::empty()));
    let mut flattener = Flattener::new(schema, Options { limits, ..Options::default() });
    let mut parts = Vec::new();
    let mut sink = |part| {
        parts.push(part);
        Ok::<(), Infallible>(())
    };
    for chunk in bytes.chunks(1 << 20) {
        let Ok(()) = flattener.push(chunk, &mut sink);
    }
    let Ok(()) = flattener.finish(&mut sink);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{CLEAN, DataSet};

    #[test]
    fn all_approaches_find_the_same() {
        for name in CLEAN {
            let set = DataSet::new(name, 400_000).unwrap();
            let expected = APPROACHES[0].run(&set.bytes).answer().expect("the own approach finds values");
            assert!(expected.value_count() > 0);
            for approach in &APPROACHES[1..] {
                match approach.run(&set.bytes).answer() {
                    Ok(answer) => assert!(answer == expected, "{} on {name}", approach.name),
                    Err(records) => assert_eq!(records, expected.rows, "{} on {name}", approach.name),
                }
            }
        }
    }
}
