//! Nested JSON records to flat columns and Parquet bytes, without I/O.
//!
//! ```text
//!   bytes, in any chunking
//!     -> Flattener      frames records, rejects what is none, sorts values by (path, kind)
//!     -> Part           columns of (row, value), rejects with their place and reason
//!     -> Part::fit      which identities are new to the table, which find no room
//!     -> Schema         gives new identities a name and a place, for ever
//!     -> Part::settle   every value where it will be written: a SettledPart
//!     -> Encoder        one Parquet file of the part, one of its rejects
//! ```
//!
//! This crate knows no AWS, no runtime, no file system, no environment and no clock: the same arguments give the same
//! bytes everywhere. Who reads sources, keeps schemas and writes files is the business of its caller.
//!
//! The model in a few words: a *record* is a JSON object; a value's *identity* is the list of keys that lead to it and
//! its kind; each identity is one column; nothing is coerced, so nothing is lost. See `ARCHITECTURE.md`.

mod authority;
mod batch;
mod column;
mod contract;
mod encode;
mod fast;
mod flattener;
pub mod layout;
pub mod naming;
mod number;
mod options;
mod overflow;
mod part;
mod path;
pub mod records;
#[doc(hidden)]
pub mod reference;
mod reject;
mod resume;
mod schema;
pub mod time;
mod tree;
mod trie;

pub use column::{Cells, Texts, Values};
pub use contract::{Contract, Declared, Numbers, Type, UnknownType};
pub use encode::{Bound, ColumnSummary, Compression, EncodeError, EncodedFile, Encoder, FileWriter};
pub use flattener::{Flattener, Spares};
pub use layout::{ColumnType, LAYOUT, metadata};
pub use options::{Limits, Options};
pub use part::{Fit, Part, PartColumn, SettledPart};
pub use path::{Identity, Kind, Path};
pub use reject::{KEPT_BYTES, Reason, Reject};
pub use schema::{Schema, SchemaError, TableColumn};
