//! From raw objects of JSON to a lake of Parquet: everything around the pure core `iotlake-flatten`.
//!
//! A run asks [`plan`] which sources there are, reads each through [`storage`] and [`decode`], lets the core make rows
//! of it, asks the [`catalog`] for the columns it has not seen, writes what came out, and notes in the [`ledger`] that
//! the source is done. Storage and catalog are seams with several real implementations behind them; what comes before
//! a seam knows nothing of what lies behind it.

pub mod audit;
#[cfg(feature = "aws")]
pub mod aws;
pub mod backfill;
pub mod catalog;
pub mod clean;
pub mod contract;
pub mod convert;
pub mod decode;
pub mod digest;
pub mod error;
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
pub mod source;
pub mod storage;
pub mod turns;
pub mod twin;
pub mod view;
