//! A search for sources that cost more than their bytes: what `make slowest` runs.
//!
//! A [`genome::Genome`] says what a source looks like, [`source::Source`] is its bytes, [`ingest`] takes it all the way, and
//! [`trial`] does that in a process of its own and tells what it cost. The worst that were found are in `worst.txt`
//! beside this file, with what may be looked at and allocated for each of their bytes; a test holds them.

pub mod counted;
pub mod genome;
pub mod ingest;
pub mod source;
pub mod trial;
