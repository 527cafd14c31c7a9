//! Figures for iotlake, and other ways to do the same measured beside it.
//!
//! Five binaries. `approaches` takes NDJSON to columns of (row, value) with several parsers and with iotlake's own;
//! `stages` tells where iotlake's time goes. Both make their data in memory from a seed, print Markdown, and stop with
//! a panic where two ways do not give the same answer: a figure is only printed for work that was done. `growth` runs
//! the program `iotlake` and tells how its cost grows; `slowest` searches for sources that cost more than their bytes;
//! `arrow_json` is a rival as a program, for `make rivals`.
//!
//! The figures on record are in `README.md` beside this crate, with machine, command and date.

pub mod answer;
pub mod approaches;
pub mod chart;
pub mod columns;
pub mod data;
pub mod measure;
pub mod rivals;
pub mod slowest;
