//! What is ingested: a few sources, each in several versions, and what has to become of them.
//!
//! The truth is known from how a source is made, not from reading it: which records are rows and of which hour, and which
//! are rejected. Sources are small, so that parts can be cut small: several files of several hours come of one.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::LazyLock;

use iotlake::digest::Digest;

/// How many sources there are.
pub const SOURCES: usize = 5;

/// How many versions each has.
pub const VERSIONS: usize = 3;

/// The keys of sources.
pub const KEYS: [&str; SOURCES] =
    ["2026/03/01/08/a", "2026/03/01/08/b", "2026/03/01/09/c", "2026/03/01/09/d", "2026/03/02/10/e"];

/// One version of a source.
#[derive(Debug)]
pub struct Version {
    pub source: usize,
    pub text: String,
    /// The hour in which each record lies by its own time; `None` if it is no record.
    pub records: Vec<Option<u32>>,
}

/// A record of one letter: its hour, or `x` if it is none.
///
/// The second version has fewer rows, of other hours; the third of some has none at all.
const SHAPES: [[&str; VERSIONS]; SOURCES] = [
    ["888", "88", "x"],
    ["8888x9999", "999", "88x889999"],
    ["9x99x8", "xx", "9"],
    ["xx", "88", "x8"],
    ["", "8989", "889"],
];

static ALL: LazyLock<BTreeMap<String, Version>> = LazyLock::new(|| {
    let all = (0..SOURCES).flat_map(|source| (0..VERSIONS).map(move |version| (source, version)));
    all.map(|(source, version)| {
        let version = make(source, version);
        (Digest::of(version.text.as_bytes()), version)
    })
    .collect()
});

/// The version whose bytes have this digest.
pub fn version(digest: &str) -> Option<&'static Version> {
    ALL.get(digest)
}

/// The bytes of a version.
pub fn bytes(source: usize, version: usize) -> Vec<u8> {
    make(source, version).text.into_bytes()
}

/// The name of a source.
pub fn name(source: usize) -> String {
    format!("s3://raw/{}", KEYS[source])
}

fn make(source: usize, version: usize) -> Version {
    let shape = SHAPES[source][version];
    let mut text = String::new();
    let mut records = Vec::new();
    for (number, letter) in shape.chars().enumerate() {
        let hour = letter.to_digit(10);
        records.push(hour);
        let Some(hour) = hour else {
            writeln!(text, "{{broken {source} {version} {number}").unwrap();
            continue;
        };
        let ts = 1_772_323_200_000 + u64::from(hour) * 3_600_000 + number as u64 * 1000;
        // Columns that one source brings alone, that several bring, and of one path in two kinds.
        let value =
            if (source + number).is_multiple_of(3) { format!("\"{number}\"") } else { number.to_string() };
        writeln!(text, r#"{{"ts":{ts},"v":{value},"of":{{"s{source}":{version},"n{}":true}}}}"#, number % 2)
            .unwrap();
    }
    // So that no two versions are the same.
    writeln!(text, "{}", " ".repeat(1 + version + VERSIONS * source)).unwrap();
    Version { source, text: if shape.is_empty() { String::new() } else { text }, records }
}
