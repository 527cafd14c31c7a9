//! The names of files, and where they lie: what they say of the source, the part and the hour.

use crate::partition::Partition;

/// What the name of a file says: `<hash of the source>-<part>.parquet`, with `-r<revision>` behind the part if the
/// source was written anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Named<'a> {
    pub(super) hash: &'a str,
    pub(super) part: u64,
    pub(super) revision: u64,
}

impl<'a> Named<'a> {
    /// What `key`, or the last component of one, says; `None` if no file of iotlake has such a name.
    pub(super) fn of(key: &'a str) -> Option<Named<'a>> {
        let name = key.rsplit('/').next()?.strip_suffix(".parquet")?;
        let (hash, rest) = name.split_once('-')?;
        let is_hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if hash.len() != 32 || !hash.bytes().all(is_hexadecimal) {
            return None;
        }
        let (part, revision) = match rest.split_once("-r") {
            Some((part, revision)) => (number(part)?, number(revision).filter(|revision| *revision > 0)?),
            None => (number(rest)?, 0),
        };
        Some(Named { hash, part, revision })
    }
}

fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

/// The hour of the folder that `key` lies in, if it lies in one of `table`.
pub(super) fn hour(table: &str, key: &str) -> Option<Partition> {
    let rest = key.strip_prefix(table)?.strip_prefix('/')?;
    Partition::from_folder(rest.rsplit_once('/')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_source_part_and_revision() {
        let hash = "0123456789abcdef0123456789abcdef";
        let of = |rest: &str| {
            let key = format!("t/year=2026/{hash}{rest}");
            Named::of(&key).map(|named| (named.hash == hash, named.part, named.revision))
        };
        assert_eq!(of("-00007.parquet"), Some((true, 7, 0)));
        assert_eq!(of("-7-r12.parquet"), Some((true, 7, 12)));
        for rest in [
            "",
            "-.parquet",
            "-7",
            "-x.parquet",
            "-7-r.parquet",
            "-7-r0.parquet",
            "-+7.parquet",
            "-7-r1-r2.parquet",
        ] {
            assert_eq!(of(rest), None, "{rest}");
        }
        assert_eq!(Named::of("part-0.parquet"), None);
    }

    #[test]
    fn a_folder_says_the_hour() {
        let folder = "year=2026/month=03/day=01/hour=05";
        let expected = Partition::from_folder(folder);
        assert_eq!(hour("t", &format!("t/{folder}/x")), expected);
        assert!(expected.is_some());
        for key in [format!("t2/{folder}/x"), "t/x".to_owned(), format!("t/a/{folder}/x")] {
            assert_eq!(hour("t", &key), None, "{key}");
        }
    }
}
