//! The Lambda `ingest`: every object is in the lake seconds after it landed.
//!
//! In comes an event, in whatever wrapping it was delivered ([`event`]); its objects go through the same pipeline as
//! those of a backfill, several at once, within the memory and the time of the invocation ([`budget`]). Out comes what
//! the sender has to deliver again: the messages of a batch that failed, or an error for everything else. What happened
//! is told in lines of JSON ([`telemetry`]).
//!
//! What must stay true: a message is answered as done only when each of its objects is in the lake, was before, is no
//! data by its name or is gone; an answer is given before the deadline, whatever hangs; one bad message or object costs
//! no other its place.

pub mod budget;
pub mod event;
mod handler;
mod init;
pub mod settings;
pub mod telemetry;
pub mod worker;

pub use handler::handle;
pub use init::InitError;
pub use worker::Worker;
