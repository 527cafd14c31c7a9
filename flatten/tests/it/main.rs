//! Proofs of the flattener from outside, one module for each claim.

mod agreement;
mod encoding;
mod limits;
mod support;
