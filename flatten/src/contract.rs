//! What a table promises before the first record arrives.
//!
//! A contract lists paths with the type their values shall have, and the options that decide how bytes become columns.
//! It is data: reading it from TOML or a catalog is the caller's business. For a declared path nothing depends on the
//! order of arrival, and a declared column always has its place, however many other keys a hostile source invents.
//!
//! What must stay true: a contract changes where a value goes, never whether it is kept. A value that does not have
//! the declared type goes to the sibling column of its own kind.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::path::{Identity, Kind, Path};

/// The type a contract declares for a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    /// Numbers as doubles; integers beyond 2^53 go to the `long` sibling.
    Double,
    /// Integer literals as 64-bit integers; fractions go to the `double` sibling.
    Bigint,
    /// `true` and `false`.
    Boolean,
    /// Any scalar as text: numbers with the digits as written, `true`, `false`.
    String,
    /// Anything but null as compact JSON text, objects included.
    Json,
    /// RFC 3339 text or epoch seconds, milliseconds or microseconds (told apart by magnitude).
    Timestamp,
    /// Not kept; the values are counted.
    Ignore,
}

impl Type {
    /// The kind of the declared column; `None` for [`Type::Ignore`].
    pub fn kind(self) -> Option<Kind> {
        match self {
            Type::Double => Some(Kind::Double),
            Type::Bigint => Some(Kind::Long),
            Type::Boolean => Some(Kind::Boolean),
            Type::String => Some(Kind::String),
            Type::Json => Some(Kind::Json),
            Type::Timestamp => Some(Kind::Timestamp),
            Type::Ignore => None,
        }
    }

    /// Every type with the word that a contract uses for it.
    pub const WORDS: [(&'static str, Type); 7] = [
        ("double", Type::Double),
        ("bigint", Type::Bigint),
        ("boolean", Type::Boolean),
        ("string", Type::String),
        ("json", Type::Json),
        ("timestamp", Type::Timestamp),
        ("ignore", Type::Ignore),
    ];

    /// The word that a contract uses for this type.
    pub fn word(self) -> &'static str {
        Type::WORDS.iter().find(|(_, ty)| *ty == self).expect("every type has a word").0
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A word that is no type of a contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown type `{0}`: expected one of double, bigint, boolean, string, json, timestamp, ignore")]
pub struct UnknownType(pub String);

impl FromStr for Type {
    type Err = UnknownType;

    fn from_str(word: &str) -> Result<Type, UnknownType> {
        let found = Type::WORDS.iter().find(|(name, _)| *name == word);
        found.map(|(_, ty)| *ty).ok_or_else(|| UnknownType(word.to_owned()))
    }
}

/// How integers of undeclared paths are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Numbers {
    /// As doubles while a double holds them exactly (up to 2^53). The default: AWS IoT SQL prints 21.0 as 21, so
    /// "integer" is an accident of one reading.
    #[default]
    Double,
    /// All integers in `long` columns, fractions in `double` columns.
    Exact,
}

/// One declared path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// The keys that lead to the values.
    pub path: Path,
    /// What the values shall be.
    #[serde(rename = "type")]
    pub ty: Type,
    /// Sibling columns registered up front, so that queries on them work before the first such value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Kind>,
}

impl Declared {
    /// The columns that this declaration registers, the declared one first.
    pub fn identities(&self) -> impl Iterator<Item = Identity> + '_ {
        let kinds = self.ty.kind().into_iter().chain(self.also.iter().copied());
        kinds.map(|kind| Identity::new(self.path.clone(), kind))
    }
}

/// What a table promises: declared columns and the options under which bytes become columns.
///
/// ```
/// use iotlake_flatten::{Contract, Schema, Type};
///
/// let contract = Contract::empty().declare("ts", Type::Timestamp).declare("device.raw", Type::Json);
/// // Declared columns are there before the first record, in this order.
/// let schema = Schema::new(contract);
/// let names: Vec<&str> = schema.columns().iter().map(|column| column.name.as_str()).collect();
/// assert_eq!(names, ["ts", "device.raw"]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    /// How integers of undeclared paths are kept.
    #[serde(default)]
    pub numbers: Numbers,
    /// A part is the records that begin in a window of this many decompressed bytes.
    pub part_bytes: u64,
    /// Paths by which rows are sorted when files are compacted, the one that queries ask for first. Says nothing of the files
    /// that a source becomes, so that it may change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sort: Vec<Path>,
    /// Declared paths, in the order in which their columns stand in the table.
    #[serde(default)]
    pub columns: Vec<Declared>,
}

impl Contract {
    /// Size of a part's window unless the contract says otherwise: large enough that a file is worth opening, small
    /// enough that a part with its columns stays far below 256 MB of memory.
    pub const PART_BYTES: u64 = 64 << 20;

    /// A contract without declarations.
    pub fn empty() -> Contract {
        Contract {
            numbers: Numbers::Double,
            part_bytes: Contract::PART_BYTES,
            sort: Vec::new(),
            columns: Vec::new(),
        }
    }

    /// Adds a declaration of a dotted path.
    #[must_use]
    pub fn declare(mut self, path: &str, ty: Type) -> Contract {
        self.columns.push(Declared { path: Path::dotted(path), ty, also: Vec::new() });
        self
    }
}

impl Default for Contract {
    /// The contract of a table that knows only what the IoT rule adds: `ts`, epoch milliseconds.
    fn default() -> Contract {
        Contract::empty().declare("ts", Type::Bigint)
    }
}
