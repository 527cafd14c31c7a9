//! Where the files of a generation lie, and which generation a key is of.
//!
//! In comes a key below a table, or what is needed to make one; out comes the other. A generation has a folder of its own,
//! `g<number>-<plan>`, below the other folder of its partition ([`Partition::folder_aside`]): beside the files that sources
//! became, with the same keys in its path. The plan is a digest of all that decides the content: two that would differ
//! never share a folder, and two that would be equal write the same files.
//!
//! What must stay true: a name that is read and written is the same, and a key that is written in any other way is no
//! place of a generation.

use std::fmt;

use crate::partition::Partition;

/// Hexadecimal digits of a plan.
const PLAN: usize = 16;

/// The folder of a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Its partition.
    pub partition: Partition,
    /// The number of the generation.
    pub number: u32,
    /// 16 hexadecimal digits that say what it was made of.
    pub plan: String,
}

impl Folder {
    /// The folder that is called `name` in a partition.
    pub fn named(partition: Partition, name: &str) -> Option<Folder> {
        let (number, plan) = name.strip_prefix('g')?.split_once('-')?;
        let is_plan =
            plan.len() == PLAN && plan.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let folder = Folder {
            partition,
            number: number.parse().ok().filter(|number| *number > 0)?,
            plan: plan.to_owned(),
        };
        (is_plan && folder.name() == name).then_some(folder)
    }

    /// Its name: `g2-00c0ffee00c0ffee`.
    pub fn name(&self) -> String {
        format!("g{}-{}", self.number, self.plan)
    }

    /// It below the folder of its table: the location of the partition once it is committed.
    pub fn path(&self) -> String {
        format!("{}/{}", self.partition.folder_aside(), self.name())
    }

    /// The key of its file number `part`.
    pub fn key(&self, table: &str, part: usize) -> String {
        format!("{table}/{}/{part:05}.parquet", self.path())
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}

/// What the keys of all generations of a partition begin with.
pub fn folder_of(table: &str, partition: Partition) -> String {
    format!("{table}/{}/", partition.folder_aside())
}

/// The folder in which the file `key` of `table` lies, if it is one of a generation.
pub fn parse(table: &str, key: &str) -> Option<Folder> {
    let rest = key.strip_prefix(table)?.strip_prefix('/')?;
    let (rest, name) = rest.rsplit_once('/')?;
    let part: usize = name.strip_suffix(".parquet")?.parse().ok()?;
    let (aside, folder) = rest.rsplit_once('/')?;
    let folder = Folder::named(Partition::from_folder_aside(aside)?, folder)?;
    (folder.key(table, part) == key).then_some(folder)
}

/// Under which name a file of a generation is shown to whoever reads keys from paths and looks in one folder of a partition
/// only, and not below that: in that of the files that sources became, where none of ours is called so. The number says
/// what is hidden in it. `None` if `key` is no file of a generation.
#[cfg(feature = "query")]
pub(crate) fn shown_as(key: &str, hidden: usize) -> Option<String> {
    let (table, _) = key.split_once('/')?;
    let folder = parse(table, key)?;
    let name = key.rsplit('/').next()?;
    Some(format!("{table}/{}/{}-{hidden}-{name}", folder.partition.folder(), folder.name()))
}

/// The table, the folder, the number of what is hidden and the name of a file of a generation that is shown so.
#[cfg(feature = "query")]
fn parse_shown(shown: &str) -> Option<(&str, Folder, usize, &str)> {
    let (rest, name) = shown.rsplit_once('/')?;
    let (rest_of_name, name) = name.rsplit_once('-')?;
    let (folder, hidden) = rest_of_name.rsplit_once('-')?;
    let (table, partition) = rest.split_once('/')?;
    Some((table, Folder::named(Partition::from_folder(partition)?, folder)?, hidden.parse().ok()?, name))
}

/// The key of what is shown under a name: of a file of a generation its own, else the name.
#[cfg(feature = "query")]
pub(crate) fn behind(shown: &str) -> String {
    let key = parse_shown(shown).map(|(table, folder, _, name)| format!("{table}/{}/{name}", folder.path()));
    key.unwrap_or_else(|| shown.to_owned())
}

/// The number of what is hidden in what is shown under a name: 0 is nothing.
#[cfg(feature = "query")]
pub(crate) fn hidden_in(shown: &str) -> usize {
    parse_shown(shown).map_or(0, |(_, _, hidden, _)| hidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_survives_being_written() {
        for (partition, number) in [(Partition::UNKNOWN, 1), (Partition::new(2026, 3, 1, 8).unwrap(), 12)] {
            let folder = Folder { partition, number, plan: "00c0ffee00c0ffee".to_owned() };
            assert_eq!(Folder::named(partition, &folder.name()), Some(folder.clone()));
            for part in [0, 7, 123_456] {
                let key = folder.key("t", part);
                assert_eq!(parse("t", &key), Some(folder.clone()));
                for hidden in [0, 3, 12] {
                    let shown = shown_as(&key, hidden).unwrap();
                    assert!(shown.starts_with(&format!("t/{}/", partition.folder())), "{shown}");
                    assert_eq!((behind(&shown), behind(&key)), (key.clone(), key.clone()));
                    assert_eq!((hidden_in(&shown), hidden_in(&key)), (hidden, 0));
                }
            }
            assert!(folder.key("t", 0).starts_with(&folder_of("t", partition)));
        }
    }

    #[test]
    fn what_is_written_otherwise_is_no_place() {
        let aside = "year=2026/month=03/day=01/hour=0%38";
        for key in [
            "t/year=2026/month=03/day=01/hour=08/g1-00c0ffee00c0ffee/00000.parquet".to_owned(),
            format!("other/{aside}/g1-00c0ffee00c0ffee/00000.parquet"),
            format!("t2/{aside}/g1-00c0ffee00c0ffee/00000.parquet"),
            format!("t/{aside}/g0-00c0ffee00c0ffee/00000.parquet"),
            format!("t/{aside}/g01-00c0ffee00c0ffee/00000.parquet"),
            format!("t/{aside}/g1-00C0FFEE00C0FFEE/00000.parquet"),
            format!("t/{aside}/g1-00c0ffee/00000.parquet"),
            format!("t/{aside}/g1-00c0ffee00c0ffee/0.parquet"),
            format!("t/{aside}/g1-00c0ffee00c0ffee/00000.json"),
            format!("t/{aside}/00000.parquet"),
            format!("t/{aside}/x/g1-00c0ffee00c0ffee/00000.parquet"),
        ] {
            assert_eq!(parse("t", &key), None, "{key}");
        }
    }
}
