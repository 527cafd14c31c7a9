//! Tests of the onboarding service: against memory, against servers that nobody here wrote, and over HTTP.

#![allow(unreachable_pub, reason = "tests offer nothing to anybody")]
#![allow(missing_docs)]

mod conformance_iot;
mod conformance_registry;
mod documents;
mod fuse;
mod http;
mod kill;
mod quickstart;
mod races;
mod reconcile;
mod servers;
mod stack;
mod world;
