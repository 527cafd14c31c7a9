//! The commands, one file each, and what they share: arguments, progress, the report, exit codes.

pub mod args;
pub mod audit;
pub mod backfill;
pub mod complete;
pub mod convert;
pub mod exit;
mod progress;
pub mod query;
mod report;
pub mod schema;
mod units;

use std::path::{Path, PathBuf};

use iotlake::contract;
use iotlake::lake::Lake;
use iotlake_flatten::Contract;

use exit::Failure;

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
            _ => format!("--contract {name}: cannot be read: {error}"),
        };
        Failure::usage(message).with_hint(format!(
            "built in are {built_in}; `iotlake schema TABLE --as-contract > FILE` writes a file to start from"
        ))
    })?;
    let contract = contract::parse(name, &text).map_err(|error| Failure::usage_of(&error, "--contract"))?;
    Ok(Chosen { name: name.to_owned(), contract })
}

/// Opens a lake that has to be there.
fn open_lake(path: &Path) -> Result<Lake, Failure> {
    local(path, "--lake")?;
    if !path.exists() {
        let message = format!("--lake {}: no such folder", path.display());
        return Err(Failure::new(message).with_hint("`iotlake backfill SRC --lake DIR` makes a lake"));
    }
    Ok(Lake::open_local(path)?)
}

/// Refuses paths that mean another storage: a folder named `s3:` is never what was wanted.
fn local(path: &Path, flag: &str) -> Result<(), Failure> {
    let text = path.to_string_lossy();
    match text.split_once("://") {
        Some((scheme, _)) => {
            let message =
                format!("{flag} {text}: `{scheme}` is no storage that this version reads or writes");
            Err(Failure::usage(message)
                .with_hint("copy it to a local folder; `backfill --as URI` keeps where it came from"))
        }
        None => Ok(()),
    }
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
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = std::fs::write(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, path));
    written.map_err(|error| {
        let _ = std::fs::remove_file(&temporary);
        Failure::new(format!("{flag} {}: cannot be written: {error}", path.display()))
    })
}
