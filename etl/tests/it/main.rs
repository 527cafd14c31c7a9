//! Whole lakes, written and read.

#![allow(unreachable_pub, reason = "tests offer nothing to anybody")]

mod attempts;
mod audit;
#[cfg(feature = "cli")]
mod cli;
mod commits;
#[cfg(feature = "query")]
mod compaction;
#[cfg(all(feature = "cli", feature = "query"))]
mod documents;
#[cfg(feature = "query")]
mod examples;
#[cfg(feature = "cli")]
mod kills;
mod lake;
mod layouts;
#[cfg(all(feature = "cli", feature = "query"))]
mod page;
mod proofs;
#[cfg(feature = "query")]
mod query;
#[cfg(feature = "query")]
mod readers;
mod removal;
#[cfg(feature = "query")]
mod replaced;
#[cfg(feature = "query")]
mod report;
mod support;
#[cfg(all(unix, feature = "cli"))]
mod watch;
mod writers;
