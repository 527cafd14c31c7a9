//! Whole lakes, written and read.

mod attempts;
mod audit;
#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "query")]
mod examples;
#[cfg(feature = "cli")]
mod kills;
mod lake;
mod proofs;
#[cfg(feature = "query")]
mod query;
#[cfg(feature = "query")]
mod readers;
mod support;
mod writers;
