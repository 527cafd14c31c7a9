//! Contracts as TOML files, and those that are built in.
//!
//! In comes the text of a file and its name; out comes a [`Contract`], or an error that says where in the file the
//! offending word stands and which words are allowed. [`to_toml`] goes the other way, from a table or a contract.
//!
//! ```toml
//! numbers = "double"           # or "exact": integers get columns of their own
//! part_bytes = "64 MiB"        # records of so many bytes make one file
//! sort = ["device.id", "ts"]   # what rows are sorted by when files are compacted
//!
//! [[column]]
//! path = "measurements.temperature"   # or ["measurements", "temperature"], for keys with dots
//! type = "double"                     # double, bigint, boolean, string, json, timestamp, ignore
//! also = ["string"]                   # a column for text at this path from the beginning
//! ```
//!
//! What must stay true: what [`to_toml`] writes of a contract, [`parse()`] reads back as that contract.

mod parse;
mod write;

use iotlake_flatten::Contract;

pub use parse::{bytes_of, parse};
pub use write::{table_to_toml, to_toml};

/// Why a text is no contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}:{line}:{column}: {message}")]
pub struct ContractError {
    /// The file, as the user named it.
    pub origin: String,
    /// The line of the offending word, from 1.
    pub line: usize,
    /// Its column in characters, from 1.
    pub column: usize,
    /// What is wrong with it, and what is allowed.
    pub message: String,
}

/// The names of the contracts that are built in.
pub const BUILT_IN: [&str; 2] = ["default", "rigado"];

/// The Rigado Allegro kit: every column, and every `.string` sibling, that its view reads.
const RIGADO: &str = include_str!("contract/rigado.toml");

/// The contract that is built in under `name`; `None` if there is none, see [`BUILT_IN`].
pub fn builtin(name: &str) -> Option<Contract> {
    match name {
        "default" => Some(Contract::default()),
        "rigado" => Some(parse("rigado.toml", RIGADO).expect("a test reads it")),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
