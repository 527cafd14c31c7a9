//! Which objects a run is to ingest.
//!
//! In comes a storage, a file or folder in it and what the user asked for; out comes the list of sources, sorted by
//! name, and an account of what was left out and why. Nothing is opened here and nothing written.
//!
//! What must stay true: an name does not depend on the folder from which a run was started; every object that was
//! found is either in the list or counted; and a source whose partition cannot be told stops the run before it began.

use std::path::Path;
use std::sync::Arc;

use crate::error::Hint;
use crate::location::{LazyAws, Location, OpenError, S3Location};
use crate::partition::{Partition, PartitionBy};
use crate::source::{KeyPattern, SourceObject};
use crate::storage::{LocalStorage, Storage, StorageError};

/// What of a storage is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// The one object with this key.
    Object(String),
    /// Every object below this folder: a key that ends in `/`, or `""` for the whole storage.
    Folder(String),
}

/// What the user asked for.
#[derive(Debug, Clone, Default)]
pub struct PlanOptions {
    /// Where the source came from: the URI of its folder, or of the object itself.
    pub known_as: Option<String>,
    /// Leave out sources whose key tells an hour before this one.
    pub since: Option<Partition>,
    /// Leave out sources whose key tells this hour or a later one.
    pub until: Option<Partition>,
    /// How keys tell their hour.
    pub key_pattern: KeyPattern,
    /// How the table is partitioned: by arrival every key has to tell its hour.
    pub partition_by: PartitionBy,
}

/// The sources of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// What to ingest, sorted by name.
    pub sources: Vec<SourceObject>,
    /// The sum of their sizes, in bytes as stored.
    pub bytes: u64,
    /// Left out because their name, or that of a folder above them, begins with `_` or `.`.
    pub hidden: u64,
    /// Left out because their hour is not between `since` and `until`.
    pub outside: u64,
    /// Left out because they are one and the same file as another, through a link.
    pub links: u64,
    /// What may hold sources and cannot be listed.
    pub unlisted: Vec<Unlisted>,
}

/// A folder that cannot be read, or a file with a name that no key can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlisted {
    /// Where it is.
    pub uri: String,
    /// What is wrong with it.
    pub message: String,
    /// What can be done about it.
    pub hint: Option<String>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// There is no such file or folder.
    #[error("source {uri}: no such file or folder")]
    Missing {
        /// What was asked for.
        uri: String,
    },
    /// There is nothing to ingest in the folder.
    #[error("source {uri}: the folder holds no files{}", hidden_note(*hidden))]
    Empty {
        /// The folder.
        uri: String,
        /// How many were left out because of their name.
        hidden: u64,
    },
    /// Keys that do not tell their hour, where it is needed.
    #[error("{count} of {total} {} no hour in the key, such as {}", sources_have(*count, *total), examples.join(", "))]
    NoHour {
        /// Up to three of them.
        examples: Vec<String>,
        /// How many there are.
        count: u64,
        /// Among how many.
        total: u64,
    },
    /// The source cannot be read.
    #[error("cannot list source {uri}")]
    Storage {
        /// What was asked for.
        uri: String,
        /// Why.
        source: StorageError,
    },
    /// The source cannot even be looked at.
    #[error(transparent)]
    Open(#[from] OpenError),
}

fn sources_have(count: u64, total: u64) -> &'static str {
    match (count, total) {
        (_, 1) => "source has",
        (1, _) => "sources has",
        _ => "sources have",
    }
}

fn hidden_note(hidden: u64) -> String {
    match hidden {
        0 => String::new(),
        hidden => format!(" ({hidden} whose name, or a folder's above, begins with `_` or `.` do not count)"),
    }
}

impl Hint for PlanError {
    fn hint(&self) -> Option<&str> {
        match self {
            PlanError::Missing { uri } | PlanError::Empty { uri, .. } if is_remote(uri) => {
                Some("check bucket and prefix; a prefix ends at a `/`")
            }
            PlanError::Missing { .. } | PlanError::Empty { .. } => {
                Some("check the path; it is relative to the current folder")
            }
            PlanError::NoHour { .. } => Some(
                "say how keys tell their hour with --key-pattern, such as '{yyyy}/{MM}/{dd}/{HH}/', or file each record \
                 by its own time with --partition-by event:PATH",
            ),
            PlanError::Storage { source, .. } => source.hint(),
            PlanError::Open(error) => error.hint(),
        }
    }
}

fn is_remote(uri: &str) -> bool {
    uri.contains("://")
}

/// Opens `location` as a storage and the selection in it that is meant.
///
/// `s3://bucket/key` means the object with exactly this key if there is one, else the folder of that name. Links that
/// lead into the local folder `lake` are not followed: what stands there came from sources and is none.
///
/// # Errors
/// As [`open_local`], and [`PlanError::Open`].
pub fn open(
    location: &Location,
    lake: Option<&Location>,
    aws: &LazyAws,
) -> Result<(Arc<dyn Storage>, Selection), PlanError> {
    match location {
        Location::Local(path) => {
            let (mut storage, selection) = open_local(path)?;
            if let Some(Location::Local(lake)) = lake {
                storage = storage.leaving_out(lake);
            }
            Ok((Arc::new(storage), selection))
        }
        Location::S3(location) => open_s3(location, aws),
    }
}

#[cfg(feature = "aws")]
fn open_s3(location: &S3Location, aws: &LazyAws) -> Result<(Arc<dyn Storage>, Selection), PlanError> {
    use crate::storage::S3Storage;
    let aws = aws.get()?;
    if let Some((folder, name)) = location.object() {
        let storage = S3Storage::new(aws, &location.bucket, folder);
        let head = storage.head(name);
        let head = head.map_err(|source| PlanError::Storage { uri: location.to_string(), source })?;
        if head.is_some() {
            return Ok((Arc::new(storage), Selection::Object(name.to_owned())));
        }
    }
    let storage = S3Storage::new(aws, &location.bucket, location.prefix());
    Ok((Arc::new(storage), Selection::Folder(String::new())))
}

#[cfg(not(feature = "aws"))]
fn open_s3(location: &S3Location, _: &LazyAws) -> Result<(Arc<dyn Storage>, Selection), PlanError> {
    Err(OpenError::NoAws { location: location.to_string() }.into())
}

/// Opens the local file or folder `path` as a storage and the selection in it that is meant.
///
/// # Errors
/// [`PlanError::Missing`], or [`PlanError::Storage`] if it cannot be reached.
pub fn open_local(path: impl AsRef<Path>) -> Result<(LocalStorage, Selection), PlanError> {
    let path = path.as_ref();
    let uri = || path.display().to_string();
    let failed = |source| match source {
        StorageError::NotFound { .. } => PlanError::Missing { uri: uri() },
        source => PlanError::Storage { uri: uri(), source },
    };
    let io_failed = |error| failed(StorageError::from_io(uri(), error));
    let canonical = std::fs::canonicalize(path).map_err(io_failed)?;
    if canonical.is_dir() {
        return Ok((LocalStorage::open(&canonical).map_err(failed)?, Selection::Folder(String::new())));
    }
    let folder = canonical.parent().expect("a file is in a folder");
    let name = canonical.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| failed(StorageError::NameNotUtf8 { uri: uri() }))?;
    Ok((LocalStorage::open(folder).map_err(failed)?, Selection::Object(name.to_owned())))
}

/// Checks that `uri` can be where a source came from: it stands in every row, for ever.
///
/// # Errors
/// With what is wrong, for a message.
pub fn check_known_as(uri: &str) -> Result<(), String> {
    if uri.trim().is_empty() {
        return Err("expected a URI, such as s3://bucket/prefix".to_owned());
    }
    if uri.trim() != uri || uri.contains(char::is_control) {
        return Err("it has white space at an end, or control characters".to_owned());
    }
    match uri.split_once("://") {
        Some((_, "")) => Err("nothing stands behind `://`".to_owned()),
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("s3") => match Location::parse(uri) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        },
        _ => Ok(()),
    }
}

/// Lists what `selection` means in `storage`.
///
/// # Errors
/// See [`PlanError`]. What cannot be listed is in the plan, unless there is nothing else.
pub fn plan(storage: &dyn Storage, selection: &Selection, options: &PlanOptions) -> Result<Plan, PlanError> {
    let mut plan = Plan::default();
    let mut hours = HourCheck::default();
    match selection {
        Selection::Object(key) => {
            let uri = storage.uri(key);
            let head = storage.head(key).map_err(|source| PlanError::Storage { uri: uri.clone(), source })?;
            let meta = head.ok_or(PlanError::Missing { uri })?;
            plan.consider(storage, meta, name_of_object(options, key), options, &mut hours);
        }
        Selection::Folder(folder) => {
            let mut found = false;
            let mut unlisted = Vec::new();
            let mut visit = |meta: crate::storage::ObjectMeta| {
                let relative = &meta.key[folder.len()..];
                if is_hidden(relative) {
                    plan.hidden += 1;
                } else {
                    found = true;
                    let known_as = options.known_as.as_ref();
                    let source_name = known_as.map(|uri| name_below(uri, relative));
                    plan.consider(storage, meta, source_name, options, &mut hours);
                }
                Ok(())
            };
            let listed =
                storage.list_sources(folder, &mut visit, &mut |uri, error| unlisted.push((uri, error)));
            let uri = || storage.uri(folder.trim_end_matches('/'));
            listed.map_err(|source| PlanError::Storage { uri: uri(), source })?;
            if !found && !unlisted.is_empty() {
                let (uri, source) = unlisted.swap_remove(0);
                return Err(PlanError::Storage { uri, source });
            }
            plan.unlisted = unlisted.iter().map(|(uri, error)| Unlisted::new(uri, error)).collect();
            if !found {
                return Err(PlanError::Empty { uri: uri(), hidden: plan.hidden });
            }
        }
    }
    hours.check()?;
    plan.sources.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let found = plan.sources.len();
    plan.sources.dedup_by(|a, b| a.name == b.name);
    plan.links = (found - plan.sources.len()) as u64;
    plan.bytes = plan.sources.iter().map(|source| source.size).sum();
    Ok(plan)
}

/// Whether a key, relative to the folder that is ingested, counts as no source: its name, or that of a folder above it,
/// begins with `_` or `.`.
pub fn is_hidden(relative: &str) -> bool {
    relative.split('/').any(|part| part.starts_with(['_', '.']))
}

/// The name of a source under this key in a folder that came from `uri`.
pub(crate) fn name_below(uri: &str, relative: &str) -> String {
    format!("{}/{relative}", uri.trim_end_matches('/'))
}

/// Checks that every key tells its hour.
///
/// # Errors
/// [`PlanError::NoHour`].
pub fn check_hours(sources: &[SourceObject]) -> Result<(), PlanError> {
    let mut hours = HourCheck { total: sources.len() as u64, ..HourCheck::default() };
    for source in sources.iter().filter(|source| source.hour.is_none()) {
        hours.note(&source.name);
    }
    hours.check()
}

impl Unlisted {
    pub(crate) fn new(uri: &str, error: &StorageError) -> Unlisted {
        let causes = crate::error::causes(error);
        let message = [error.to_string()].into_iter().chain(causes).collect::<Vec<_>>().join(": ");
        Unlisted { uri: uri.to_owned(), message, hint: error.hint().map(str::to_owned) }
    }
}

/// The name of a single object under `known_as`: the URI itself, or a folder's URI and the object's name.
fn name_of_object(options: &PlanOptions, key: &str) -> Option<String> {
    let uri = options.known_as.as_ref()?;
    let name = key.rsplit('/').next().expect("splitting gives at least one part");
    Some(if uri.ends_with('/') { format!("{uri}{name}") } else { uri.clone() })
}

impl Plan {
    fn consider(
        &mut self,
        storage: &dyn Storage,
        meta: crate::storage::ObjectMeta,
        source_name: Option<String>,
        options: &PlanOptions,
        hours: &mut HourCheck,
    ) {
        let source_name = source_name.unwrap_or_else(|| storage.uri(&meta.key));
        let hour = options.key_pattern.hour(&source_name);
        let needs_hour = options.partition_by == PartitionBy::Arrival
            || options.since.is_some()
            || options.until.is_some();
        hours.total += 1;
        if hour.is_none() && needs_hour {
            hours.note(&source_name);
        }
        let is_outside = hour.is_some_and(|hour| {
            options.since.is_some_and(|since| hour < since)
                || options.until.is_some_and(|until| hour >= until)
        });
        if is_outside {
            self.outside += 1;
            return;
        }
        let crate::storage::ObjectMeta { key, size, modified, etag, .. } = meta;
        self.sources.push(SourceObject { name: source_name, key, size, modified, etag, hour });
    }
}

#[derive(Default)]
struct HourCheck {
    examples: Vec<String>,
    count: u64,
    total: u64,
}

impl HourCheck {
    fn note(&mut self, source_name: &str) {
        self.count += 1;
        if self.examples.len() < 3 {
            self.examples.push(source_name.to_owned());
        }
    }

    fn check(self) -> Result<(), PlanError> {
        let HourCheck { examples, count, total } = self;
        if count > 0 { Err(PlanError::NoHour { examples, count, total }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
