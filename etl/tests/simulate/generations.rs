//! The accounts of generations, checked from outside: by their documents and files alone, after every change of one.
//!
//! What is checked: a manifest never changes or goes, and comes behind the one before it, after somebody said that they are
//! at its number; what it names is there, and has the rows of the files that it contains, each value of them, once; each of
//! these files was named by a receipt that stood after that word was said. Files of sources go only once a generation that
//! contains them is as old as the grace, files of generations once another has superseded them for as long. The catalog has
//! a partition where all that it shows is there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use iotlake::catalog::{Catalog, TableName};
use iotlake::digest::Digest;
use iotlake::partition::Partition;
use iotlake::storage::Storage;
use serde_json::Value;

use crate::accounts::{Checked, Standing, ensure};
use crate::facts::facts;
use crate::world::World;

/// What keys of manifests begin with.
pub const MANIFESTS: &str = "_iotlake/generations/events/";

/// How far a clock may be from that of the storage.
const SKEW: Duration = Duration::from_secs(600);

/// A manifest that stands.
#[derive(Debug)]
pub struct Stood {
    at: SystemTime,
    /// The folder that it shows.
    location: String,
    /// Keys and digests.
    pub contains: BTreeMap<String, String>,
    pub outputs: BTreeMap<String, String>,
}

/// The generations of one partition.
#[derive(Debug, Default)]
pub struct Numbers {
    /// Since which step it is said that somebody is at a number.
    begun: BTreeMap<usize, u64>,
    pub manifests: Vec<Stood>,
}

/// The generations of the table, by the folder of their partition.
#[derive(Debug, Default)]
pub struct Generations {
    pub partitions: BTreeMap<String, Numbers>,
    /// How long superseded files stay.
    pub grace: Duration,
}

/// The folder of the partition, the folder of the generation and its number, of a file of a generation.
fn parse(key: &str) -> Option<(String, &str, usize)> {
    let rest = key.strip_prefix("events/")?;
    let (folder, _) = rest.rsplit_once('/')?;
    let (aside, name) = folder.rsplit_once('/')?;
    let (before, code) = aside.split_once("%3")?;
    let number = name.strip_prefix('g')?.split('-').next()?.parse().ok()?;
    Some((format!("{before}{code}"), folder, number))
}

/// Keys and digests of the files in a field.
fn files(document: &Value, field: &str) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = document[field].as_array().into_iter().flatten();
    all.map(|file| (text(&file["key"]), text(&file["digest"]))).collect()
}

/// The rows of a file: source, record, and all that stands in it.
type Rows = BTreeSet<(String, i64, u64)>;

fn rows_of(key: &str, digest: &str, bytes: &[u8], rows: &mut Rows) -> Checked {
    let facts = facts(digest, bytes);
    let facts = facts.as_ref().as_ref().map_err(|error| format!("{key}: cannot be read: {error}"))?;
    for ((source, record), whole) in facts.rows.iter().zip(&facts.whole) {
        let is_new = rows.insert((source.clone(), *record, *whole));
        ensure(is_new, || format!("{key}: record {record} of {source} is there twice"))?;
    }
    Ok(())
}

impl Generations {
    /// A document below [`MANIFESTS`] changed.
    pub fn document(
        &mut self,
        world: &World,
        receipts: &BTreeMap<String, Vec<Standing>>,
        (step, now): (u64, SystemTime),
        key: &str,
        before: Option<&[u8]>,
        after: Option<&[u8]>,
    ) -> Checked {
        let (folder, name) = key[MANIFESTS.len()..].rsplit_once('/').unwrap_or_default();
        let (number, kind) = name.split_once('.').unwrap_or_default();
        let number: usize = number.parse().map_err(|_| format!("{key}: has no number"))?;
        let numbers = self.partitions.entry(folder.to_owned()).or_default();
        if kind == "begun" {
            if after.is_some() {
                numbers.begun.entry(number).or_insert(step);
                return Ok(());
            }
            return ensure(number <= numbers.manifests.len(), || {
                format!("{key}: went before the number was taken")
            });
        }
        let (None, Some(bytes)) = (before, after) else {
            return Err(format!("{key}: a manifest was changed, or removed"));
        };
        ensure(number == numbers.manifests.len() + 1, || format!("{key}: is not the next one"))?;
        let said = numbers.begun.get(&number).copied();
        let said = said.ok_or_else(|| format!("{key}: nobody said that they are at the number"))?;
        let document: Value = serde_json::from_slice(bytes).map_err(|error| format!("{key}: {error}"))?;
        let (contains, outputs) = (files(&document, "contains"), files(&document, "outputs"));
        let known = numbers.manifests.last().map(|last| last.contains.clone()).unwrap_or_default();
        for (file, digest) in contains.iter().filter(|(file, _)| !known.contains_key(*file)) {
            let hash = file.rsplit('/').next().and_then(|name| name.split('-').next()).unwrap_or_default();
            let stood = receipts.get(hash).map_or(&[][..], Vec::as_slice);
            let next = stood.iter().skip(1).map(|next| next.since).chain([u64::MAX]);
            let mut named = stood.iter().zip(next).filter(|(_, until)| *until >= said);
            ensure(named.any(|(standing, _)| standing.named.rows.contains(file)), || {
                format!("{key}: contains {file} ({digest}), which no receipt named since step {said}")
            })?;
        }
        let (mut had, mut has) = (Rows::new(), Rows::new());
        for (file, digest) in &contains {
            let bytes = world.lake.read(file).expect("memory can be read").unwrap_or_default();
            // One that was swept was looked at when its receipt came.
            rows_of(file, digest, &bytes, &mut had)?;
        }
        for (file, digest) in &outputs {
            let bytes = world.lake.read(file).expect("memory can be read");
            let bytes = bytes.ok_or_else(|| format!("{key}: names {file}, which is not there"))?;
            ensure(Digest::of(&bytes) == *digest, || format!("{file}: is not what {key} says"))?;
            rows_of(file, digest, &bytes, &mut has)?;
        }
        ensure(had == has, || format!("{key}: contains {had:?} and shows {has:?}"))?;
        let location = match document["folder"].as_str() {
            Some(name) => format!("{}/{name}", aside(folder)),
            None => folder.to_owned(),
        };
        numbers.manifests.push(Stood { at: now, location, contains, outputs });
        Ok(())
    }

    /// A file of a source may go though its receipt names it.
    pub fn may_go(&self, key: &str, now: SystemTime) -> bool {
        let folder = key.strip_prefix("events/").and_then(|rest| rest.rsplit_once('/')).unwrap_or_default().0;
        let Some(numbers) = self.partitions.get(folder) else { return false };
        let is_old = |stood: &Stood| stood.at + self.grace <= now + SKEW && stood.contains.contains_key(key);
        numbers.manifests.last().is_some_and(|last| last.contains.contains_key(key))
            && numbers.manifests.iter().any(is_old)
    }

    /// A file of a generation went.
    pub fn gone(&self, key: &str, now: SystemTime) -> Checked {
        let Some((partition, _, number)) = parse(key) else { return Ok(()) };
        let manifests = self.partitions.get(&partition).map_or(&[][..], |numbers| &numbers.manifests);
        ensure(number <= manifests.len(), || {
            format!("{key}: somebody is at this number, and it was removed")
        })?;
        let Some(last) = manifests.iter().rposition(|stood| stood.outputs.contains_key(key)) else {
            return Ok(());
        };
        let superseded = manifests.get(last + 1);
        ensure(superseded.is_some_and(|next| next.at + self.grace <= now + SKEW), || {
            format!("{key}: was removed while it may be read")
        })
    }

    /// All that the catalog shows is there.
    pub fn located(&self, world: &World, receipts: &BTreeMap<String, Vec<Standing>>) -> Checked {
        let Some(catalog) = &world.catalog else { return Ok(()) };
        let rows = TableName::rows("events");
        let is_there = |key: &String| world.lake.head(key).is_ok_and(|found| found.is_some());
        for (folder, numbers) in &self.partitions {
            let partition =
                Partition::from_folder(folder).ok_or_else(|| format!("{folder}: no partition"))?;
            let Ok(Some(location)) = catalog.location(&rows, partition) else { continue };
            let stood = numbers.manifests.iter().rev().find(|stood| stood.location == location);
            ensure(stood.is_some() || location == *folder, || {
                format!("the catalog has {folder} at {location}, which no manifest names")
            })?;
            let missing = match stood.filter(|_| location != *folder) {
                Some(stood) => stood.outputs.keys().find(|key| !is_there(key)),
                None => {
                    let contains = numbers.manifests.last().map(|last| &last.contains);
                    let is_named = |key: &&String| {
                        let lasts = receipts.values().filter_map(|all| all.last());
                        lasts.into_iter().any(|last| last.named.rows.contains(*key))
                    };
                    contains.into_iter().flat_map(BTreeMap::keys).filter(is_named).find(|key| !is_there(key))
                }
            };
            if let Some(missing) = missing {
                return Err(format!("the catalog has {folder} at {location}, and {missing} is not there"));
            }
        }
        Ok(())
    }

    /// The files of sources whose rows are read in `files`, some of which are of generations, but for those of the sources
    /// that are left out; by the hash of their source.
    pub fn expand(
        &self,
        files: &BTreeSet<String>,
        stale: &BTreeMap<Partition, BTreeSet<String>>,
    ) -> Result<BTreeMap<String, BTreeSet<String>>, String> {
        let mut read: Vec<String> = Vec::new();
        let mut of_generations: BTreeMap<(String, String), BTreeSet<&String>> = BTreeMap::new();
        for key in files {
            match parse(key) {
                Some((partition, folder, _)) => {
                    of_generations.entry((partition, folder.to_owned())).or_default().insert(key);
                }
                None => read.push(key.clone()),
            }
        }
        for ((folder, location), outputs) in of_generations {
            let numbers = self.partitions.get(&folder).map_or(&[][..], |numbers| &numbers.manifests);
            let stood = numbers.iter().rev().find(|stood| stood.location == location);
            let stood = stood.filter(|stood| stood.outputs.keys().eq(outputs.iter().copied()));
            let stood =
                stood.ok_or_else(|| format!("a reader was given {outputs:?}, which no manifest shows"))?;
            let hidden = Partition::from_folder(&folder).and_then(|partition| stale.get(&partition));
            let is_hidden = |key: &&String| {
                let hash = key.rsplit('/').next().and_then(|name| name.split('-').next());
                hidden.is_some_and(|hidden| hash.is_some_and(|hash| hidden.contains(hash)))
            };
            read.extend(stood.contains.keys().filter(|key| !is_hidden(key)).cloned());
        }
        let mut by_source: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for key in read {
            let name = key.rsplit('/').next().unwrap_or_default();
            let of_source =
                by_source.entry(name.split('-').next().unwrap_or_default().to_owned()).or_default();
            ensure(of_source.insert(key.clone()), || format!("a reader was given the rows of {key} twice"))?;
        }
        Ok(by_source)
    }

    /// The newest manifests.
    pub fn newest(&self) -> impl Iterator<Item = &Stood> {
        self.partitions.values().filter_map(|numbers| numbers.manifests.last())
    }
}

/// The folder beside that of a partition.
fn aside(folder: &str) -> String {
    let (before, last) = folder.split_at(folder.len() - 1);
    format!("{before}%3{last}")
}
