//! From raw objects of JSON to a lake of Parquet: everything around the pure core `iotlake-flatten`.
//!
//! A run asks [`plan`] which sources there are, reads each through [`storage`] and [`decode`], lets the core make rows
//! of it, asks the [`catalog`] for the columns it has not seen, writes what came out, and notes in the [`ledger`] that
//! the source is done. Storage and catalog are seams with several real implementations behind them; what comes before
//! a seam knows nothing of what lies behind it.
//!
//! A whole ingest, from raw objects to a lake, both in memory:
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::AtomicBool;
//!
//! use iotlake::backfill::{self, Options};
//! use iotlake::lake::Lake;
//! use iotlake::pipeline::Run;
//! use iotlake::plan::{PlanOptions, Selection, plan};
//! use iotlake::storage::{MemoryStorage, Storage};
//! use iotlake_flatten::Contract;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let raw = MemoryStorage::new("raw");
//! raw.put("2026/03/01/08/a.json", b"{\"device\":{\"id\":\"ac23\"},\"t\":19.5}\n{\"t\":\"n/a\"}\nno record\n")?;
//!
//! let lake = Lake::embedded(Arc::new(MemoryStorage::new("lake")));
//! let options = Options {
//!     run: Run::new("events"),
//!     contract: Contract::empty(),
//!     key_pattern: None,
//!     view: None,
//!     jobs: 1,
//! };
//! let sources = plan(&raw, &Selection::Folder(String::new()), &PlanOptions::default())?;
//! let summary = backfill::backfill(&lake, &raw, &sources, &options, &AtomicBool::new(false), &())?;
//! assert!(summary.failed.is_empty() && summary.balances());
//! assert_eq!((summary.counts.records, summary.counts.rows, summary.counts.rejected), (3, 2, 1));
//!
//! // A column for each path and kind.
//! let table = lake.catalog.table("events")?.expect("the backfill has made it");
//! let columns: Vec<&str> = table.schema.columns().iter().map(|column| column.name.as_str()).collect();
//! assert_eq!(columns, ["device.id", "t", "t.string"]);
//!
//! // Rows and rejects, filed by hour, and the receipt: only that means done.
//! let mut keys = Vec::new();
//! lake.storage.list("", &mut |object| {
//!     keys.push(object.key);
//!     Ok(())
//! })?;
//! let count = |folder: &str| keys.iter().filter(|key| key.starts_with(folder)).count();
//! assert_eq!(count("events/year=2026/month=03/day=01/hour=08/"), 1);
//! assert_eq!(count("events_rejects/year=2026/month=03/day=01/hour=08/"), 1);
//! assert_eq!(count("_iotlake/receipts/events/2026/03/01/"), 1);
//!
//! // What is done is not done twice.
//! let summary = backfill::backfill(&lake, &raw, &sources, &options, &AtomicBool::new(false), &())?;
//! assert_eq!((summary.done, summary.already_done), (0, 1));
//! # Ok(())
//! # }
//! ```

pub mod audit;
#[cfg(feature = "aws")]
pub mod aws;
pub mod backfill;
pub mod catalog;
pub mod clean;
pub mod compact;
pub mod contract;
pub mod convert;
pub mod decode;
pub mod digest;
pub mod error;
mod footer;
pub mod generation;
#[cfg(feature = "lambda")]
pub mod ingest;
pub mod lake;
pub mod ledger;
pub mod location;
pub mod partition;
pub mod peek;
pub mod pipeline;
pub mod place;
pub mod plan;
#[cfg(feature = "query")]
pub mod query;
pub mod rebuild;
pub mod remote;
pub mod remove;
#[cfg(feature = "query")]
pub mod report;
pub mod source;
pub mod storage;
pub mod turns;
pub mod twin;
pub mod view;
pub mod watch;
