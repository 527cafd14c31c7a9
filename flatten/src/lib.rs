#![doc = include_str!("../README.md")]

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
mod record_batch;
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
pub use record_batch::RecordBatchError;
pub use reject::{KEPT_BYTES, Reason, Reject};
pub use schema::{Schema, SchemaError, TableColumn};
