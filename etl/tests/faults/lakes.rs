//! Sources and lakes of the suite, and what a reader sees in them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use iotlake::audit::{Depth, audit};
use iotlake::lake::Lake;
use iotlake::ledger::{LedgerError, Output, Receipt};
use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::process::{Binary, Ended, Fate, Fault};

/// One row or reject: where it is filed, and its values by path and kind.
type Row = (String, Vec<(String, String)>);

/// What whoever goes by receipts sees: by source, then by number of the record.
pub type Seen = BTreeMap<String, BTreeMap<i64, Row>>;

/// The folder of the suite: sources, lakes to begin with, and one lake for each fault.
pub struct Workshop {
    folder: tempfile::TempDir,
    root: PathBuf,
    binary: Binary,
    cases: AtomicU64,
}

/// What is run, on what, and what comes of it.
pub struct Scenario {
    pub name: &'static str,
    /// The lake before; none if there is not to be one.
    base: Option<PathBuf>,
    arguments: fn(&Workshop, &Path) -> Vec<String>,
    /// What a second writer runs meanwhile.
    other: fn(&Workshop, &Path) -> Vec<String>,
    before: Seen,
    after: Seen,
}

const CONTRACT: &str = "part_bytes = 4096\n\n[[column]]\npath = \"ts\"\ntype = \"bigint\"\n";

impl Workshop {
    pub fn new() -> Workshop {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let binary = Binary::new(&root);
        fs::write(root.join("contract.toml"), CONTRACT).unwrap();
        write_sources(&root.join("old"), 1_772_352_000_000);
        write_sources(&root.join("new"), 1_772_366_400_000);
        Workshop { folder, root, binary, cases: AtomicU64::new(0) }
    }

    pub fn scenarios(&self) -> Vec<Scenario> {
        let plain = |workshop: &Workshop, lake: &Path| workshop.backfill("old", lake, "event:ts", &[]);
        let event = self.lake("event", None, plain);
        let replaced =
            |workshop: &Workshop, lake: &Path| workshop.backfill("new", lake, "event:ts", &["--replace"]);
        let arrival = |workshop: &Workshop, lake: &Path| workshop.backfill("old", lake, "arrival", &[]);
        let watched = |workshop: &Workshop, lake: &Path| {
            let mut arguments = workshop.backfill("old", lake, "event:ts", &["--once", "--settle", "0"]);
            arguments[0] = "watch".to_owned();
            arguments
        };
        let stale = self.lake("stale", Some(&event), |_, lake| clean(lake, "--dry-run"));
        add_stale(&stale);
        vec![
            self.scenario("backfill by event time", None, plain, plain),
            self.scenario("backfill by arrival", None, arrival, arrival),
            self.scenario("watch", None, watched, watched),
            self.scenario("replace", Some(&event), replaced, replaced),
            self.scenario(
                "clean",
                Some(&stale),
                |_, lake| clean(lake, "--yes"),
                |_, lake| clean(lake, "--yes"),
            ),
        ]
    }

    fn backfill(&self, sources: &str, lake: &Path, partition_by: &str, more: &[&str]) -> Vec<String> {
        let path = |path: PathBuf| path.to_str().unwrap().to_owned();
        let mut arguments = vec!["backfill".to_owned(), path(self.root.join(sources)), "--lake".to_owned()];
        arguments.push(path(lake.to_owned()));
        let options =
            ["--quiet", "--jobs", "1", "--threads", "1", "--as", "s3://raw", "--partition-by", partition_by];
        arguments.extend(options.into_iter().chain(more.iter().copied()).map(str::to_owned));
        arguments.extend(["--contract".to_owned(), path(self.root.join("contract.toml"))]);
        arguments
    }

    /// A lake that a command made of another one.
    fn lake(
        &self,
        name: &str,
        base: Option<&Path>,
        arguments: fn(&Workshop, &Path) -> Vec<String>,
    ) -> PathBuf {
        let lake = self.root.join("lakes").join(name);
        if let Some(base) = base {
            copy(base, &lake);
        }
        let ended = self.binary.run(&arguments(self, &lake)).unwrap();
        assert!(ended.is_done(), "{}", ended.stderr);
        lake
    }

    fn scenario(
        &self,
        name: &'static str,
        base: Option<&Path>,
        arguments: fn(&Workshop, &Path) -> Vec<String>,
        other: fn(&Workshop, &Path) -> Vec<String>,
    ) -> Scenario {
        let before = base.map_or_else(Seen::new, |base| seen(base).unwrap());
        let after = seen(&self.lake(&format!("{name}, done"), base, arguments)).unwrap();
        assert!(after.values().map(BTreeMap::len).sum::<usize>() > 50);
        Scenario { name, base: base.map(Path::to_owned), arguments, other, before, after }
    }

    /// A folder of its own for one run, with the lake it begins with.
    fn begin(&self, base: Option<&Path>) -> PathBuf {
        let number = self.cases.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.path().canonicalize().unwrap().join(format!("case{number}"));
        fs::create_dir(&folder).unwrap();
        if let Some(base) = base {
            copy(base, &folder.join("lake"));
        }
        folder
    }
}

impl Scenario {
    /// How many calls the run makes when nothing goes wrong.
    pub fn count(&self, workshop: &Workshop) -> u64 {
        let folder = workshop.begin(self.base.as_deref());
        let arguments = (self.arguments)(workshop, &folder.join("lake"));
        workshop.binary.count(&arguments, &folder.join("count"))
    }

    /// Runs with a fault, looks, runs again, and looks again.
    pub fn meet(&self, workshop: &Workshop, fault: Fault) -> Result<(), String> {
        let folder = workshop.begin(self.base.as_deref());
        let lake = folder.join("lake");
        let (arguments, other) = ((self.arguments)(workshop, &lake), (self.other)(workshop, &lake));
        let run = workshop.binary.run_with(fault, &arguments, &other, &folder.join("waits"))?;
        self.check_ends(fault, &run)?;
        self.check_between(&lake)?;
        let again = workshop.binary.run(&arguments)?;
        if !again.is_done() {
            return Err(format!("run again, it ends with {:?}: {}", again.code, again.stderr));
        }
        self.check_end(&lake)?;
        // What failed is looked at; of what did not nothing is kept.
        fs::remove_dir_all(&folder).map_err(|error| error.to_string())
    }

    fn check_ends(&self, fault: Fault, (first, second): &(Ended, Option<Ended>)) -> Result<(), String> {
        for ended in [Some(first), second.as_ref()].into_iter().flatten() {
            if ended.code == Some(255) || ended.stderr.contains("panicked") {
                return Err(format!("a bug: {}", ended.stderr));
            }
        }
        match fault.fate {
            Fate::Kill if first.code.is_some() && !first.is_done() => {
                Err(format!("not killed, and ended with {:?}: {}", first.code, first.stderr))
            }
            Fate::Kill | Fate::Eio | Fate::Enospc | Fate::Stop => Ok(()),
            // Whoever is given half asks for the other half.
            Fate::Short if first.is_done() => Ok(()),
            Fate::Short => Err(format!("ended with {:?}: {}", first.code, first.stderr)),
        }
    }

    /// Whoever reads now sees every source as it was, or as it shall be.
    fn check_between(&self, lake: &Path) -> Result<(), String> {
        if !lake.is_dir() {
            return Ok(());
        }
        let now = seen(lake).map_err(|reason| format!("a reader in between: {reason}"))?;
        for source in self.before.keys().chain(self.after.keys()) {
            let now = now.get(source);
            if now != self.before.get(source) && now != self.after.get(source) {
                let rows = now.map_or(0, BTreeMap::len);
                return Err(format!(
                    "a reader in between sees {rows} records of {source}, neither old nor new"
                ));
            }
        }
        Ok(())
    }

    fn check_end(&self, lake: &Path) -> Result<(), String> {
        let now = seen(lake)?;
        for (source, expected) in &self.after {
            let rows = now.get(source).map_or(0, BTreeMap::len);
            if now.get(source) != Some(expected) {
                return Err(format!(
                    "in the end, {rows} records of {source} are not the {} due",
                    expected.len()
                ));
            }
        }
        let lake = Lake::open_local(lake).map_err(|error| error.to_string())?;
        let audit = audit(&*lake.storage, &*lake.catalog, Depth::Bytes).map_err(|error| error.to_string())?;
        match audit.findings.first() {
            Some(finding) if !audit.is_clean() => Err(format!("an audit finds {finding}")),
            _ if !audit.orphans.is_empty() => Err(format!("left: {:?}", audit.orphans)),
            _ => Ok(()),
        }
    }
}

fn clean(lake: &Path, how: &str) -> Vec<String> {
    ["clean", "--lake", lake.to_str().unwrap(), how].map(str::to_owned).into()
}

/// Three sources: of several parts, hours and rejects; compressed, with columns of its own; and of one record.
fn write_sources(folder: &Path, first: u64) {
    let hour = folder.join("2026/03/01/08");
    fs::create_dir_all(&hour).unwrap();
    let mut text = String::new();
    for i in 0..150_u64 {
        text += &match i {
            40 | 90 => "nonsense\n".to_owned(),
            _ => format!("{{\"ts\":{},\"v\":{i},\"s\":\"{}\"}}\n", first + i * 60_000, "x".repeat(40)),
        };
    }
    fs::write(hour.join("a.json"), text).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for i in 0..20_u64 {
        writeln!(encoder, "{{\"ts\":{},\"w\":{{\"t\":{i}.5}},\"on\":true}}", first + i).unwrap();
    }
    fs::write(hour.join("b.json.gz"), encoder.finish().unwrap()).unwrap();
    fs::write(hour.join("c.json"), format!("{{\"ts\":{first},\"z\":\"last\"}}\n")).unwrap();
}

/// Copies of files under the numbers of parts that there are not.
fn add_stale(lake: &Path) {
    let mut files = Vec::new();
    list(&lake.join("events"), &mut files);
    for (number, file) in files.iter().take(4).enumerate() {
        let name = file.file_name().unwrap().to_str().unwrap();
        let (hash, _) = name.split_once('-').unwrap();
        fs::copy(file, file.with_file_name(format!("{hash}-0009{number}.parquet"))).unwrap();
    }
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { list(&path, files) } else { files.push(path) }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// What whoever goes by receipts sees in a lake; an error if a receipt names what is not there, or a record twice.
pub fn seen(lake: &Path) -> Result<Seen, String> {
    let opened = Lake::open_local(lake).map_err(|error| error.to_string())?;
    let mut receipts = Vec::new();
    let listed = opened.ledger().list("events", |receipt: Receipt| {
        receipts.push(receipt);
        Ok::<_, LedgerError>(())
    });
    listed.map_err(|error| error.to_string())?;
    let table = opened.catalog.table("events").map_err(|error| error.to_string())?;
    let mut names = BTreeMap::new();
    for column in table.iter().flat_map(|table| table.schema.columns()) {
        names.insert(column.name.clone(), column.identity.to_string());
    }
    let mut seen = Seen::new();
    for receipt in receipts {
        let records = seen.entry(receipt.source.clone()).or_default();
        for output in receipt.outputs.iter().chain(&receipt.rejects) {
            read(lake, output, &names, records)?;
        }
        if records.len() as u64 != receipt.counts.records {
            return Err(format!("{} records of {}", records.len(), receipt.source));
        }
    }
    Ok(seen)
}

fn read(
    lake: &Path,
    output: &Output,
    names: &BTreeMap<String, String>,
    records: &mut BTreeMap<i64, Row>,
) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", output.key);
    let file = fs::File::open(lake.join(&output.key)).map_err(|error| failed(&error))?;
    let reader = SerializedFileReader::new(file).map_err(|error| failed(&error))?;
    let folder = output.key.rsplit_once('/').unwrap().0.to_owned();
    for row in reader.get_row_iter(None).map_err(|error| failed(&error))? {
        let row = row.map_err(|error| failed(&error))?;
        let mut record = None;
        let mut values = Vec::new();
        for (name, value) in row.get_column_iter() {
            let text = value.to_string();
            if name == "_record" {
                record = text.parse::<i64>().ok();
            } else if text != "null" {
                // The name of a column may depend on who registered it first; what it is for does not.
                values.push((names.get(name).unwrap_or(name).clone(), text));
            }
        }
        values.sort();
        let record = record.ok_or_else(|| failed(&"a row without a number"))?;
        if records.insert(record, (folder.clone(), values)).is_some() {
            return Err(failed(&format!("record {record} is there twice")));
        }
    }
    Ok(())
}
