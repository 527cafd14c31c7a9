//! One error for callers that do not need to tell apart what went wrong on the way from sources to a lake.
//!
//! Convert, query, audit, clean and opening a lake have errors of their own ([`crate::convert::ConvertError`] and so on):
//! who calls those calls one of them.

use crate::catalog::CatalogError;
use crate::compact::CompactError;
use crate::contract::ContractError;
use crate::decode::DecodeError;
use crate::generation::GenerationError;
use crate::ledger::LedgerError;
use crate::partition::{NotAPartitioning, NotAnHour};
use crate::pipeline::PipelineError;
use crate::plan::PlanError;
use crate::rebuild::RebuildError;
use crate::source::PatternError;
use crate::storage::StorageError;

/// An error that knows what can be done about it.
pub trait Hint: std::error::Error {
    /// What the user can do about it, if that is known.
    fn hint(&self) -> Option<&str>;
}

/// An error of any part of the library. Its message is that of the part; its sources follow.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant is the error it holds")]
pub enum Error {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Generation(#[from] GenerationError),
    #[error(transparent)]
    Compact(#[from] CompactError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    #[error(transparent)]
    Rebuild(#[from] RebuildError),
    #[error(transparent)]
    Contract(#[from] ContractError),
    #[error(transparent)]
    Pattern(#[from] PatternError),
    #[error(transparent)]
    Hour(#[from] NotAnHour),
    #[error(transparent)]
    Partitioning(#[from] NotAPartitioning),
}

impl Hint for Error {
    fn hint(&self) -> Option<&str> {
        match self {
            Error::Storage(error) => error.hint(),
            Error::Catalog(error) => error.hint(),
            Error::Ledger(error) => error.hint(),
            Error::Generation(error) => error.hint(),
            Error::Compact(error) => error.hint(),
            Error::Decode(error) => error.hint(),
            Error::Plan(error) => error.hint(),
            Error::Pipeline(error) => error.hint(),
            Error::Rebuild(error) => error.hint(),
            Error::Contract(_) | Error::Pattern(_) | Error::Hour(_) | Error::Partitioning(_) => None,
        }
    }
}

/// The causes of `error`, the nearest first, without those that what stands before them repeats in its own words.
pub fn causes(error: &dyn std::error::Error) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    let message = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !plain(causes.last().unwrap_or(&message)).ends_with(&plain(&text)) {
            causes.push(text);
        }
        next = cause.source();
    }
    causes
}

/// `permission denied` for `Permission denied (os error 13)`.
fn plain(text: &str) -> String {
    text.rsplit_once(" (os error ").map_or(text, |(words, _)| words).to_lowercase()
}
