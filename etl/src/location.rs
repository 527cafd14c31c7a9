//! Where sources and lakes lie, and where tables are known, as a user writes it.
//!
//! In comes what was typed: a path, `s3://bucket/prefix`, `glue:DATABASE`; out come values that can only mean one thing,
//! or an error that says what to write instead. Nothing is opened here; [`LazyAws`] opens the way to AWS when the first
//! location needs it, and at most once.
//!
//! What must stay true: a local path is never mistaken for a location elsewhere, nor the other way round: a folder named
//! `s3:` is never what was wanted.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
#[cfg(feature = "aws")]
use std::sync::OnceLock;

#[cfg(feature = "aws")]
use crate::aws::Aws;
use crate::catalog::CatalogError;
use crate::error::Hint;
use crate::storage::StorageError;

/// A place for sources or for a lake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A file or folder of this machine.
    Local(PathBuf),
    /// An object, or the objects below a prefix, of an S3 bucket.
    S3(S3Location),
}

/// `s3://bucket/key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Location {
    /// The bucket.
    pub bucket: String,
    /// What follows the bucket, without the `/` before it. One that ends in `/`, or is empty, can only be a prefix.
    pub key: String,
}

/// Why what was typed is no location.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// Nothing was typed.
    #[error("expected a path or s3://bucket/prefix")]
    Empty,
    /// A URI of a kind that is not known.
    #[error(
        "`{scheme}:` is not supported: give a local path or s3://bucket/prefix; for a local copy, `backfill --as URI` says \
         where it came from"
    )]
    UnknownScheme {
        /// What stands before `://`.
        scheme: String,
    },
    /// It means S3 or a local path, but is not written so.
    #[error("write it as {instead}")]
    Spelling {
        /// What was meant.
        instead: String,
    },
    /// What follows `s3://` is no bucket.
    #[error("`{bucket}` cannot be a bucket: write s3://bucket/prefix")]
    NotABucket {
        /// What stands there.
        bucket: String,
    },
    /// The key cannot be that of a source or a lake.
    #[error("the key `{key}` cannot be used: {reason}")]
    Key {
        /// What follows the bucket.
        key: String,
        /// Why not.
        reason: &'static str,
    },
}

impl Location {
    /// Understands what was typed.
    ///
    /// # Errors
    /// See [`LocationError`].
    pub fn parse(text: impl Into<OsString>) -> Result<Location, LocationError> {
        let text = text.into();
        if text.is_empty() {
            return Err(LocationError::Empty);
        }
        // A path that is not UTF-8 holds no scheme that would be known.
        let Some(utf8) = text.to_str() else { return Ok(Location::Local(text.into())) };
        match utf8.split_once("://") {
            Some((scheme, rest)) => match &*scheme.to_ascii_lowercase() {
                "s3" => Ok(Location::S3(S3Location::parse(rest)?)),
                "s3a" | "s3n" => Err(LocationError::Spelling { instead: format!("s3://{rest}") }),
                "file" => Err(LocationError::Spelling { instead: format!("a path: {rest}") }),
                _ => Err(LocationError::UnknownScheme { scheme: scheme.to_owned() }),
            },
            None => match utf8.strip_prefix("s3:") {
                Some(rest) => {
                    Err(LocationError::Spelling { instead: format!("s3://{}", rest.trim_start_matches('/')) })
                }
                None => Ok(Location::Local(text.into())),
            },
        }
    }
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Location, LocationError> {
        Location::parse(text)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Local(path) => path.display().fmt(f),
            Location::S3(location) => location.fmt(f),
        }
    }
}

impl S3Location {
    /// Understands what follows `s3://`.
    fn parse(text: &str) -> Result<S3Location, LocationError> {
        let (bucket, key) = text.split_once('/').unwrap_or((text, ""));
        // Wider than what can be created today: there are older buckets.
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if !(3..=255).contains(&bucket.len()) || !bucket.chars().all(is_allowed) {
            return Err(LocationError::NotABucket { bucket: bucket.to_owned() });
        }
        let folder = key.strip_suffix('/').unwrap_or(key);
        if !key.is_empty()
            && let Err(StorageError::InvalidKey { reason, .. }) = crate::storage::check_key(folder)
        {
            return Err(LocationError::Key { key: key.to_owned(), reason });
        }
        Ok(S3Location { bucket: bucket.to_owned(), key: key.to_owned() })
    }

    /// The key as that of a folder: without a `/` at its end.
    pub fn prefix(&self) -> &str {
        self.key.strip_suffix('/').unwrap_or(&self.key)
    }

    /// The folder and the name of the object with exactly this key; `None` if the key can only be a prefix.
    pub fn object(&self) -> Option<(&str, &str)> {
        if self.key.is_empty() || self.key.ends_with('/') {
            return None;
        }
        Some(self.key.rsplit_once('/').unwrap_or(("", &self.key)))
    }

    /// Whether `other` is this folder or lies in it.
    pub fn contains(&self, other: &S3Location) -> bool {
        let rest = other.prefix().strip_prefix(self.prefix());
        let is_below = |rest: &str| rest.is_empty() || rest.starts_with('/') || self.prefix().is_empty();
        self.bucket == other.bucket && rest.is_some_and(is_below)
    }
}

impl fmt::Display for S3Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.bucket)?;
        if self.key.is_empty() { Ok(()) } else { write!(f, "/{}", self.key) }
    }
}

/// Where tables are registered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CatalogChoice {
    /// In documents beside the lake: needs nothing, and so is the default.
    #[default]
    Embedded,
    /// In this database of the Glue Data Catalog, where Athena finds them.
    Glue(String),
}

/// Why what was typed is no catalog.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotACatalog {
    /// Neither word is known.
    #[error("`{0}` is no catalog: write `embedded`, or `glue:` and the name of a database, such as glue:iot")]
    Unknown(String),
    /// The name cannot be that of a database.
    #[error("`{database}` cannot be a database: {reason}")]
    Database {
        /// The name.
        database: String,
        /// Why not, and what can.
        reason: String,
    },
}

impl FromStr for CatalogChoice {
    type Err = NotACatalog;

    fn from_str(text: &str) -> Result<CatalogChoice, NotACatalog> {
        if text == "embedded" {
            return Ok(CatalogChoice::Embedded);
        }
        let Some(database) = text.strip_prefix("glue:") else {
            return Err(NotACatalog::Unknown(text.to_owned()));
        };
        // Glue would fold and Athena would quote other names; Spark and Hive refuse even `-`, which exists in the wild.
        let is_allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-');
        let reason = match database {
            "" => "a name has at least one character, such as in glue:iot".to_owned(),
            name if name.len() > 255 => format!("it has {} bytes; at most 255 are allowed", name.len()),
            name if !name.chars().all(is_allowed) => {
                let better: String =
                    name.to_lowercase().chars().map(|c| if is_allowed(c) { c } else { '_' }).collect();
                format!("only a-z, 0-9, `_` and `-` are allowed; `{better}` would do")
            }
            name => return Ok(CatalogChoice::Glue(name.to_owned())),
        };
        Err(NotACatalog::Database { database: database.to_owned(), reason })
    }
}

impl fmt::Display for CatalogChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CatalogChoice::Embedded => f.write_str("embedded"),
            CatalogChoice::Glue(database) => write!(f, "glue:{database}"),
        }
    }
}

/// Why a location or a catalog cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A location on AWS, and a build without it.
    #[error("{location}: this iotlake was built without AWS")]
    NoAws {
        /// The location.
        location: String,
    },
    /// Glue for a lake that its readers cannot reach.
    #[error("{catalog}: the tables of Glue need a lake on S3, and {lake} is a local folder")]
    NotOnS3 {
        /// The catalog.
        catalog: CatalogChoice,
        /// The lake.
        lake: Location,
    },
    /// The threads that speak to AWS cannot be started.
    #[error("cannot start the threads that speak to AWS")]
    Threads(#[source] std::io::Error),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl Hint for OpenError {
    fn hint(&self) -> Option<&str> {
        match self {
            OpenError::NoAws { .. } => Some("build it with the feature `aws`, which is a default one"),
            OpenError::NotOnS3 { .. } => Some(
                "give the lake as s3://bucket/prefix, or leave the catalog out: it then lies beside the lake",
            ),
            OpenError::Threads(_) => None,
            OpenError::Storage(error) => error.hint(),
            OpenError::Catalog(error) => error.hint(),
        }
    }
}

/// The way to AWS, opened by whoever needs it first. Local work never waits for credentials.
#[derive(Debug, Default)]
pub struct LazyAws {
    #[cfg(feature = "aws")]
    aws: OnceLock<Aws>,
}

#[cfg(feature = "aws")]
impl LazyAws {
    /// The way to AWS.
    ///
    /// # Errors
    /// [`OpenError::Threads`].
    pub fn get(&self) -> Result<&Aws, OpenError> {
        if let Some(aws) = self.aws.get() {
            return Ok(aws);
        }
        let aws = Aws::start().map_err(OpenError::Threads)?;
        Ok(self.aws.get_or_init(|| aws))
    }
}

#[cfg(feature = "aws")]
impl From<Aws> for LazyAws {
    fn from(aws: Aws) -> LazyAws {
        LazyAws { aws: OnceLock::from(aws) }
    }
}

#[cfg(test)]
mod tests;
