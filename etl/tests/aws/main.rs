//! The engine against servers that stand in for AWS, each a real program of its own.
//!
//! `servers` starts them; every other module holds one part of the engine to what AWS promises. No server is right
//! about everything: where one is known to be wrong, the test says so by its name, and only there.

#![allow(unreachable_pub, reason = "tests offer nothing to anybody")]

mod cli;
mod delivery;
mod faults;
mod function;
mod glue;
mod ingest;
mod kills;
mod landing;
mod neighbours;
#[path = "../it/documents/page.rs"]
#[allow(dead_code, reason = "not all that is in a page is asked of AWS")]
mod page;
mod readers;
mod rebuild;
mod requests;
mod s3;
mod servers;
