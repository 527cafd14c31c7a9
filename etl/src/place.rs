//! Where an output of a source lies, and whose it is by its name.
//!
//! In comes the key of a file below a table, or what is needed to make one; out comes the other. The name of a file is
//! `<hash of the source>-<part>.parquet`, and `<hash>-<part>-r<revision>.parquet` where the source was written in
//! another way before: so two ways to write a source never want one name. What must stay true: a name that is read and
//! written is the same, and a key that is written in any other way is no place of an output.

use std::fmt;

use crate::catalog::{Side, TableName};
use crate::partition::Partition;

const EXTENSION: &str = ".parquet";

/// The name of a file of rows or rejects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName {
    /// [`crate::digest::source_hash`] of its source.
    pub hash: String,
    /// The number of the part in its source.
    pub part: u32,
    /// The number of the way in which the source was written.
    pub revision: u32,
}

impl FileName {
    /// The name that a file has, if it is one of ours.
    pub fn parse(name: &str) -> Option<FileName> {
        let mut words = name.strip_suffix(EXTENSION)?.split('-');
        let (hash, part) = (words.next()?, words.next()?);
        let is_hash = hash.len() == 32 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let revision = match words.next() {
            None => 0,
            Some(word) => number(word.strip_prefix('r')?).filter(|number| *number > 0)?,
        };
        if !is_hash || words.next().is_some() {
            return None;
        }
        Some(FileName { hash: hash.to_owned(), part: number(part)?, revision })
    }
}

fn number(digits: &str) -> Option<u32> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FileName { hash, part, revision } = self;
        write!(f, "{hash}-{part:05}")?;
        if *revision > 0 {
            write!(f, "-r{revision}")?;
        }
        f.write_str(EXTENSION)
    }
}

/// The place of a file in the folders of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Whether it holds rows, or lies beside the table with the rejects.
    pub side: Side,
    /// The hour it is filed under.
    pub partition: Partition,
    /// Its name.
    pub name: FileName,
}

impl Place {
    /// The place that `key` is for a file of `table` or of its rejects, if it is one.
    pub fn parse(table: &str, key: &str) -> Option<Place> {
        let (of_table, rest) = key.split_once('/')?;
        let TableName { side, .. } = Some(TableName::parse(of_table)).filter(|of| of.name == table)?;
        let (folder, name) = rest.rsplit_once('/')?;
        let (partition, name) = (Partition::from_folder(folder)?, FileName::parse(name)?);
        Some(Place { side, partition, name })
    }

    /// Its key.
    pub fn key(&self, table: &str) -> String {
        format!("{}/{}/{}", TableName::new(table, self.side), self.partition.folder(), self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "d4a1d5f18929dd7b4a7d5c23a2e2d1ab";
    const FOLDER: &str = "year=2026/month=03/day=01/hour=05";

    #[test]
    fn a_place_survives_being_written() {
        for (side, part, revision) in [(Side::Rows, 0, 0), (Side::Rejects, 7, 3), (Side::Rows, 123_456, 12)] {
            let name = FileName { hash: HASH.into(), part, revision };
            let place = Place { side, partition: Partition::UNKNOWN, name };
            assert_eq!(Place::parse("t", &place.key("t")), Some(place));
        }
        assert_eq!(
            Place::parse("t", &format!("t_rejects/{FOLDER}/{HASH}-00002-r1.parquet"))
                .unwrap()
                .name
                .to_string(),
            format!("{HASH}-00002-r1.parquet")
        );
    }

    #[test]
    fn what_is_written_otherwise_is_no_place() {
        for key in [
            format!("other/{FOLDER}/{HASH}-00000.parquet"),
            format!("t2/{FOLDER}/{HASH}-00000.parquet"),
            format!("t/month=3/{HASH}-00000.parquet"),
            format!("t/{FOLDER}/deeper/{HASH}-00000.parquet"),
            format!("t/{FOLDER}/{HASH}.parquet"),
            format!("t/{FOLDER}/{HASH}-.parquet"),
            format!("t/{FOLDER}/{HASH}-00000-r0.parquet"),
            format!("t/{FOLDER}/{HASH}-00000-1.parquet"),
            format!("t/{FOLDER}/{HASH}-00000-r1-r2.parquet"),
            format!("t/{FOLDER}/{}-00000.parquet", HASH.to_uppercase()),
            format!("t/{FOLDER}/{HASH}-00000.json"),
            "_iotlake/catalog/tables/t.json".to_owned(),
        ] {
            assert_eq!(Place::parse("t", &key), None, "{key}");
        }
    }
}
