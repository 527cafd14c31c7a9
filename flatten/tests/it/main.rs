//! Proofs of the flattener from outside, one module for each claim.

#![allow(unreachable_pub, reason = "tests offer nothing to anybody")]
#![allow(clippy::disallowed_methods, reason = "tests read golden files")]

mod agreement;
mod encoding;
mod examples;
mod limits;
mod pages;
mod record_batches;
mod resumption;
mod support;
mod templates;
mod work;
