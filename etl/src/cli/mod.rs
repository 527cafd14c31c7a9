//! The commands, one file each, and what they share: arguments, progress, the report, exit codes.

pub mod args;
pub mod audit;
pub mod backfill;
pub mod catalog;
pub mod clean;
pub mod compact;
pub mod complete;
mod consent;
pub mod convert;
mod cores;
pub mod exit;
#[cfg(feature = "query")]
pub mod files;
mod ingest;
mod limits;
#[cfg(feature = "query")]
pub mod page;
mod progress;
#[cfg(feature = "query")]
pub mod query;
pub mod remove;
mod report;
pub mod schema;
#[cfg(feature = "query")]
mod serve;
#[cfg(feature = "query")]
mod shell;
#[cfg(feature = "query")]
pub mod tables;
mod times;
mod units;
pub mod watch;
mod whole;

use std::io::Write;
use std::path::{Path, PathBuf};

use iotlake::contract;
use iotlake::error::Hint;
use iotlake::lake::Lake;
use iotlake::location::{CatalogChoice, LazyAws, Location, OpenError};
use iotlake_flatten::Contract;

use args::LakeArgs;
use exit::Failure;
use whole::{WholeFile, cannot_write};

/// A contract as it was chosen on the command line.
struct Chosen {
    /// The word or the file.
    name: String,
    contract: Contract,
}

/// Reads `--contract`: a name that is built in, else a file.
fn read_contract(name: &str) -> Result<Chosen, Failure> {
    if let Some(contract) = contract::builtin(name) {
        return Ok(Chosen { name: name.to_owned(), contract });
    }
    let text = std::fs::read_to_string(name).map_err(|error| {
        let looks_like_a_file = name.contains(['/', '.']);
        let built_in = contract::BUILT_IN.join(", ");
        let message = match error.kind() {
            std::io::ErrorKind::NotFound if looks_like_a_file => format!("--contract {name}: no such file"),
            std::io::ErrorKind::NotFound => format!("--contract {name}: neither built in nor a file"),
            _ => format!("--contract {name}: {}", exit::reason(&error)),
        };
        Failure::usage(message).with_hint(format!(
            "built in are {built_in}; `iotlake schema TABLE --as-contract > FILE` writes a file to start from"
        ))
    })?;
    let contract = contract::parse(name, &text).map_err(|error| Failure::usage_of(&error, "--contract"))?;
    Ok(Chosen { name: name.to_owned(), contract })
}

/// Opens a lake that has to be there.
fn open_lake(arguments: &LakeArgs) -> Result<Lake, Failure> {
    let LakeArgs { lake, catalog } = arguments;
    check_lake(arguments)?;
    if let Location::Local(path) = lake
        && !path.exists()
    {
        let message = format!("--lake {lake}: no such folder");
        return Err(Failure::new(message).with_hint("`iotlake backfill SRC --lake DIR` makes a lake"));
    }
    Lake::open(lake, catalog, &LazyAws::default()).map_err(open_failure)
}

/// Refuses a pair of lake and catalog that cannot be meant.
fn check_lake(arguments: &LakeArgs) -> Result<(), Failure> {
    let LakeArgs { lake, catalog } = arguments;
    if let (Location::Local(_), CatalogChoice::Glue(_)) = (lake, catalog) {
        let error = OpenError::NotOnS3 { catalog: catalog.clone(), lake: lake.clone() };
        let failure = Failure::usage_of(&error, "--catalog");
        return Err(failure.with_hint(error.hint().expect("this one has a hint")));
    }
    Ok(())
}

fn open_failure(error: OpenError) -> Failure {
    Failure::of(&error)
}

/// The folder of a file that is to be written; `.` where only a name was given.
fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => PathBuf::from("."),
    }
}

/// Writes a small file whole or not at all.
fn write_file(flag: &str, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let written = WholeFile::begin(path).and_then(|file| {
        let mut writer = file.writer()?;
        writer.write_all(bytes).and_then(|()| writer.flush())?;
        file.keep()
    });
    written.map_err(|error| cannot_write(format!("{flag} {}", path.display()), &error))
}

/// What a command says that needs SQL, where iotlake has none.
#[cfg(not(feature = "query"))]
pub fn without_sql() -> exit::Outcome {
    Err(Failure::new("this iotlake was built without SQL")
        .with_hint("build it with the feature `query`: cargo build --release --features query"))
}
