//! A look at the beginning of a source, before anything is decided: which of its fields hold times?
//!
//! In comes a source; out come the paths at which its first records have a time, the best first. What must stay true:
//! nothing is written, and never more is kept than one small part. What is found is for refusals and hints; what becomes
//! of a source is decided where it is ingested, by all that is read there.

use std::cmp::Reverse;
use std::io::Read;
use std::sync::Arc;

use iotlake_flatten::time::Zoneless;
use iotlake_flatten::{Contract, Flattener, Kind, Options, Part, Path, Schema};

use crate::decode::{self, Decoder, Known};
use crate::partition::PartitionBy;
use crate::source::SourceObject;
use crate::storage::Storage;

/// How much is looked at: some hundred records of any device.
const PEEKED_BYTES: u64 = 256 << 10;

/// The beginning of a source.
#[derive(Debug)]
pub struct Peek {
    part: Part,
}

/// Reads the beginning of `source`, which lies in `from`; `None` if no record is there or it cannot be read, which the
/// run itself reports better.
pub fn peek(from: &dyn Storage, source: &SourceObject) -> Option<Peek> {
    let body = from.get_source(&source.key).ok()?;
    // Enough for a part, also where the bytes do not compress.
    let mut decoder = Decoder::new(body.reader.take(4 * PEEKED_BYTES), u64::MAX);
    let contract = Contract { part_bytes: PEEKED_BYTES, ..Contract::empty() };
    let flattener = Flattener::new(Arc::new(Schema::new(contract)), Options::default());
    let mut first = None;
    // The first part ends it, so that the result says nothing.
    let _ = decode::parts(&mut decoder, flattener, Known::Nothing, None, &mut |part, _| {
        first = Some(part);
        Err(())
    });
    first.filter(|part| part.rows > 0).map(|part| Peek { part })
}

impl Peek {
    /// How many records were looked at.
    pub fn records(&self) -> u64 {
        u64::from(self.part.rows)
    }

    /// How many of them `by` finds an hour for; all, where the key tells it.
    pub fn timed(&self, by: &PartitionBy) -> u64 {
        match by.event() {
            None => self.records(),
            Some((path, zoneless)) => self.part.hours(path, zoneless).iter().flatten().count() as u64,
        }
    }

    /// The ways to file these records by a time in them, each with how many have it there: those that file most first,
    /// then text, which cannot be taken for a time by chance, then what lies at the top.
    pub fn ways(&self) -> Vec<(PartitionBy, u64)> {
        let mut paths: Vec<&Path> = self.part.columns.iter().map(|column| &column.identity.path).collect();
        paths.dedup();
        let by = |path: &Path, zoneless| match zoneless {
            Zoneless::NoTime => PartitionBy::Event(path.clone()),
            Zoneless::Utc => PartitionBy::EventUtc(path.clone()),
        };
        let is_text = |path: &Path| {
            let mut columns = self.part.columns.iter();
            columns.any(|column| column.identity.path == *path && column.identity.kind == Kind::String)
        };
        let mut ways = Vec::new();
        for path in paths {
            let zoned = self.timed(&by(path, Zoneless::NoTime));
            let all = self.timed(&by(path, Zoneless::Utc));
            let (zoneless, timed) =
                if all > zoned { (Zoneless::Utc, all) } else { (Zoneless::NoTime, zoned) };
            if timed > 0 {
                ways.push(((Reverse(timed), !is_text(path), path.len()), by(path, zoneless), timed));
            }
        }
        ways.sort_by_key(|(key, ..)| *key);
        ways.into_iter().map(|(_, by, timed)| (by, timed)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryStorage;

    fn look(bytes: &str) -> Option<Peek> {
        let storage = MemoryStorage::new("raw");
        storage.put("a", bytes.as_bytes()).unwrap();
        let (source_name, size) = ("raw/a".to_owned(), bytes.len() as u64);
        let source =
            SourceObject { name: source_name, key: "a".into(), size, modified: None, etag: None, hour: None };
        peek(&storage, &source)
    }

    #[test]
    fn the_path_that_most_records_have_comes_first() {
        let peek = look(
            "{\"id\":7,\"seen\":1772355600,\"d\":{\"at\":\"2026-03-01T09:00:00Z\"},\"t\":\"2026-03-01T09:00:00\"}\n\
             {\"id\":8,\"seen\":1772355601,\"t\":\"2026-03-01T09:00:01\"}\n",
        );
        let ways = peek.unwrap().ways();
        let shown: Vec<_> = ways.iter().map(|(by, timed)| format!("{by} {timed}")).collect();
        assert_eq!(shown, ["event-utc:t 2", "event:seen 2", "event:d.at 1"]);
    }

    #[test]
    fn a_source_without_records_tells_nothing() {
        assert!(look("").is_none());
        assert!(look("nonsense\n").is_none());
        assert!(look("{\"a\":\"b\"}").unwrap().ways().is_empty());
    }

    #[test]
    fn of_a_long_source_only_the_beginning_is_looked_at() {
        let line = "{\"ts\":1772355600000,\"text\":\"some of what a device says\"}\n";
        let peek = look(&line.repeat(1 << 17)).unwrap();
        assert!(peek.records() > 1000 && peek.records() < 1 << 14, "{}", peek.records());
    }
}
