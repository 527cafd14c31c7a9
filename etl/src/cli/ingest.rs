//! What commands that bring sources into a lake have in common: the options that decide what becomes of a source, checked
//! against the lake and the machine, Ctrl-C, and how failures are told.
//!
//! What must stay true: whichever command a source comes by, it is ingested under the same options; nothing is written
//! before the options are known to be meant.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use iotlake::backfill::{Options, Summary};
use iotlake::catalog::{CatalogError, Table, check_name};
use iotlake::lake::Lake;
use iotlake::location::{CatalogChoice, LazyAws, Location};
use iotlake::partition::PartitionBy;
use iotlake::pipeline::Run;
use iotlake::plan::{Plan, Selection};
use iotlake::remote::Fault;
use iotlake::source::KeyPattern;
use iotlake::storage::Storage;
use iotlake::twin;
use iotlake::view::{View, rigado_view};
use iotlake_flatten::{Contract, Limits};

use super::args::{IngestArgs, LakeArgs};
use super::cores::{LARGE_SOURCE, cores, most_threads, split_cores};
use super::exit::{self, Exit, Failure};
use super::{check_lake, folder_of, open_failure, read_contract, times};

/// What is meant by the options, given what is in the lake.
pub struct Ingest {
    pub arguments: IngestArgs,
    pub aws: LazyAws,
    pub contract: Contract,
    view: Option<View>,
    pub partition_by: PartitionBy,
    pub key_pattern: KeyPattern,
    /// Whether the table has to be made.
    pub is_new: bool,
    source: Location,
}

impl Ingest {
    /// For sources that lie in `source`, which was given as the argument `name`.
    pub fn of(arguments: IngestArgs, name: &str, source: &Location) -> Result<Ingest, Failure> {
        check_lake(&arguments.lake)?;
        if arguments.create_database && arguments.lake.catalog == CatalogChoice::Embedded {
            let message = "--create-database: the embedded catalog has no database";
            return Err(
                Failure::usage(message).with_hint("name one with --catalog glue:DATABASE, or leave it out")
            );
        }
        check_name(&arguments.table).map_err(|error| Failure::usage_of(&error, "--table"))?;
        split_cores(arguments.jobs, arguments.threads, usize::MAX, most_threads(source))?;
        keep_apart(name, source, &arguments.lake.lake)?;

        // A table that is there keeps what it was made with unless something else is asked for.
        let aws = LazyAws::default();
        let there = table_of(&arguments, &aws)?;
        let (contract, view) = match (&arguments.contract, &there) {
            (Some(name), _) => {
                let chosen = read_contract(name)?;
                let view = (chosen.name == "rigado").then(|| rigado_view(&arguments.table));
                (chosen.contract, view)
            }
            (None, Some(table)) => (table.schema.contract().clone(), None),
            (None, None) => (Contract::default(), None),
        };
        let (by, pattern) = there.map(|table| (table.partition_by, table.key_pattern)).unzip();
        let is_new = by.is_none();
        let partition_by = times::partition_by(&arguments, by)?;
        let key_pattern = arguments.key_pattern.clone().or(pattern.flatten()).unwrap_or_default();
        let source = source.clone();
        Ok(Ingest { arguments, aws, contract, view, partition_by, key_pattern, is_new, source })
    }

    /// The lake, which is made if it is not there.
    pub fn create_lake(&self) -> Result<Lake, Failure> {
        let IngestArgs { lake: LakeArgs { lake, catalog }, create_database, .. } = &self.arguments;
        Lake::create(lake, catalog, *create_database, &self.aws).map_err(open_failure)
    }

    /// Jobs and threads for these sources.
    pub fn split_cores(&self, plan: &Plan) -> Result<(usize, usize), Failure> {
        let IngestArgs { jobs, threads, .. } = &self.arguments;
        let sources = plan.sources.len();
        let most = most_threads(&self.source);
        let is_large = plan.bytes / (sources as u64).max(1) > LARGE_SOURCE;
        match (&self.source, jobs) {
            // What follows is only the default: whoever asks for all of them gets them.
            (Location::S3(_), None) if is_large => {
                split_cores(*jobs, *threads, sources, most.min(2 * cores()))
            }
            _ => split_cores(*jobs, *threads, sources, most),
        }
    }

    /// How sources are ingested, so many at a time; with `replace` also those that were ingested before.
    pub fn options(&self, (jobs, threads): (usize, usize), replace: bool) -> Options {
        let arguments = &self.arguments;
        Options {
            run: Run {
                table: arguments.table.clone(),
                partition_by: self.partition_by.clone(),
                compression: arguments.compression.into(),
                threads,
                replace,
                output_limit: arguments.max_decoded_bytes.unwrap_or(Run::OUTPUT_LIMIT),
                on_damage: arguments.on_damage.into(),
                allow_missing_time: arguments.allow_missing_time,
                spill: std::env::temp_dir(),
                limits: Limits::default(),
            },
            contract: self.contract.clone(),
            key_pattern: Some(self.key_pattern.clone()),
            view: self.view.clone(),
            jobs,
        }
    }

    /// Stops, before anything is written, at sources that the table seems to have under other names.
    pub fn refuse_twins(
        &self,
        lake: &Lake,
        from: &dyn Storage,
        selection: &Selection,
        plan: &Plan,
    ) -> Result<(), Failure> {
        let IngestArgs { lake: LakeArgs { lake: location, .. }, known_as, table, .. } = &self.arguments;
        let twin = match (location, &self.source) {
            _ if self.arguments.again => None,
            (Location::Local(_), _) => twin::find(&lake.ledger(), table, from, plan)?,
            // Each receipt is a request there, so that only what is most likely a copy is looked for.
            (Location::S3(_), Location::Local(_)) if known_as.is_none() => {
                twin::glance(lake, table, from, plan)?
            }
            (Location::S3(_), _) => None,
        };
        let Some(twin) = twin else { return Ok(()) };
        let message = format!(
            "{} looks as if it was ingested before, as {} (same name, size and digest){}; its rows would be in \
             table {table} twice",
            twin.name,
            twin.ingested_as,
            if twin.count > 1 { format!(", and so do {} more", twin.count - 1) } else { String::new() },
        );
        let uri = match selection {
            Selection::Object(_) => Some(&twin.ingested_as),
            Selection::Folder(_) => twin.folder.as_ref(),
        };
        let again = "--again ingests it all the same";
        let hint = match uri {
            Some(uri) => format!("if it is a copy, say where it came from: --as {uri}; {again}"),
            None => format!("if it is a copy, say with --as where it came from; {again}"),
        };
        Err(Failure::new(message).with_hint(hint))
    }
}

/// The table, if the lake and it are there.
fn table_of(arguments: &IngestArgs, aws: &LazyAws) -> Result<Option<Table>, Failure> {
    let LakeArgs { lake: location, catalog } = &arguments.lake;
    if matches!(location, Location::Local(path) if !path.exists()) {
        return Ok(None);
    }
    let lake = Lake::open(location, catalog, aws).map_err(open_failure)?;
    match lake.catalog.table(&arguments.table) {
        Err(CatalogError::Remote(error)) if arguments.create_database && error.fault == Fault::NoDatabase => {
            Ok(None)
        }
        table => Ok(table?),
    }
}

/// A lake within its own source would be ingested by the next run.
fn keep_apart(name: &str, source: &Location, lake: &Location) -> Result<(), Failure> {
    let (lake_is_inner, source_is_inner) = match (source, lake) {
        (Location::Local(source), Location::Local(lake)) => {
            let Ok(source_path) = source.canonicalize() else { return Ok(()) };
            let Some(lake_path) = canonical(lake) else { return Ok(()) };
            (lake_path.starts_with(&source_path), source_path.starts_with(&lake_path))
        }
        (Location::S3(source), Location::S3(lake)) => (source.contains(lake), lake.contains(source)),
        _ => return Ok(()),
    };
    let (inner, outer) = match (lake_is_inner, source_is_inner) {
        (true, _) => ("--lake", name),
        (_, true) => (name, "--lake"),
        _ => return Ok(()),
    };
    let message = format!("{name} {source} --lake {lake}: {inner} lies within {outer}");
    Err(Failure::usage(message).with_hint("keep sources and lake in folders beside each other"))
}

/// The canonical path of a folder that need not be there itself.
fn canonical(folder: &Path) -> Option<std::path::PathBuf> {
    let there = folder.canonicalize().or_else(|_| {
        let name = folder.file_name().unwrap_or_default();
        folder_of(folder).canonicalize().map(|above| above.join(name))
    });
    there.ok()
}

/// Set by the first Ctrl-C, which also wakes whoever waits; the second ends the process, which is safe at any time.
pub fn stop_on_interrupt(wake: impl Fn() + Send + 'static) -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let handler = move || {
        if flag.swap(true, Ordering::Relaxed) {
            exit::warn("stopped at once; the same command again does the rest", None);
            std::process::exit(Exit::Interrupted as i32);
        }
        exit::warn("stopping after the parts that are being written; Ctrl-C again stops at once", None);
        wake();
    };
    match ctrlc::set_handler(handler) {
        Ok(()) => Ok(stop),
        Err(error) => Err(Failure::new(format!("cannot listen for Ctrl-C: {error}"))),
    }
}

/// Tells what ended a run, once for all sources that met it, if something did.
pub fn tell_end(summary: &Summary) {
    let ended: Vec<_> = summary.failed.iter().filter(|(_, error)| error.ends_all()).collect();
    let Some((_, error)) = ended.first() else { return };
    let names: Vec<_> = ended.iter().map(|(name, _)| name.as_str()).collect();
    let message = format!("{error}; not done: {}", names.join(", "));
    Failure::of(error).with_message(message).print();
}

/// Tells what a person should know of files that are there or were.
pub fn tell_remarks(summary: &Summary) {
    for remark in &summary.remarks {
        exit::warn(&remark.message, Some(remark.hint));
    }
}

/// How a run ends that was not stopped.
pub fn exit_of(summary: &Summary) -> Exit {
    assert!(summary.balances(), "the accounts of a run do not add up: {summary:?}");
    if !summary.failed.is_empty() || summary.not_reached > 0 || !summary.unrenewed.is_empty() {
        Exit::Failed
    } else if summary.counts.rejected > 0 {
        Exit::Rejects
    } else {
        Exit::Done
    }
}
