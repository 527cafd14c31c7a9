//! The port to the registry: one record a device, changed only by compare-and-swap.
//!
//! [`dynamodb`] is a table, [`memory`] the same promises in a map; one suite of tests holds both to this text.
//!
//! What must stay true: reads see the last write; a write that was answered late, or twice, is not mistaken for
//! somebody else's; a record that the quickstart wrote reads as an active device with its key in the clear.

pub mod dynamodb;
pub mod memory;

use std::future::Future;

use crate::error::Fault;
use crate::iot::Page;
use crate::record::{Record, Stamp};

/// What became of a conditional write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Written; the record with its new stamp.
    Done(Box<Record>),
    /// Somebody was faster; what is there now, if anything.
    Lost(Option<Box<Record>>),
}

type Answer<T> = Result<T, Fault>;

/// Where devices are recorded.
pub trait Registry: Send + Sync + 'static {
    /// Reads a record, consistently.
    fn get(&self, serial: &str) -> impl Future<Output = Answer<Option<Record>>> + Send;
    /// Writes a record if there is none of that serial number.
    fn claim(&self, record: Record) -> impl Future<Output = Answer<Write>> + Send;
    /// Writes a record if that which is there has the stamp that `record` has.
    fn swap(&self, record: Record) -> impl Future<Output = Answer<Write>> + Send;
    /// Removes a record if it has this stamp; whether none is there now.
    fn remove(&self, serial: &str, stamp: Option<&Stamp>) -> impl Future<Output = Answer<bool>> + Send;
    /// All records, in the order of their serial numbers.
    fn list(&self, from: Option<String>) -> impl Future<Output = Answer<Page<Record>>> + Send;
    /// The records of another table that the quickstart wrote.
    fn quickstart(
        &self,
        table: &str,
        from: Option<String>,
    ) -> impl Future<Output = Answer<Page<Record>>> + Send;
    /// Removes the private key from a record in the quickstart's table.
    fn erase_key(&self, table: &str, serial: &str) -> impl Future<Output = Answer<()>> + Send;
}
