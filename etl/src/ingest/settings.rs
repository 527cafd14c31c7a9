//! How the function is configured: by environment variables, all of which are listed here.
//!
//! In come variables; out come settings, or an error for every variable that is wrong, all at once, so that one look at
//! the log is enough. A variable of ours that is not known is an error too: it is most likely misspelt, and what it was
//! meant to change would silently stay as it is.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;

use iotlake_flatten::Compression;

use crate::catalog::check_name;
use crate::contract;
use crate::decode::OnDamage;
use crate::location::{CatalogChoice, Location, S3Location};
use crate::partition::PartitionBy;
use crate::source::KeyPattern;

/// A variable, for documentation and for checking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it is when it is not set; `None` if it has to be.
    pub default: Option<&'static str>,
    /// What it means.
    pub meaning: &'static str,
}

/// What every variable of ours begins with.
const PREFIX: &str = "IOTLAKE_";

/// The folders into which Firehose puts what it could not deliver as it should (`!{firehose:error-output-type}`).
const FIREHOSE_ERRORS: &str = "processing-failed,format-conversion-failed,dynamic-partitioning-failed,\
    http-endpoint-failed,elasticsearch-failed,splunk-failed,iceberg-failed";

/// Every variable that the function reads, beside those of the AWS SDK and of the Lambda runtime.
pub const VARIABLES: [Variable; 13] = [
    Variable {
        name: "IOTLAKE_LAKE",
        default: None,
        meaning: "where the lake lies: `s3://bucket` or `s3://bucket/prefix`, another bucket than the raw one",
    },
    Variable {
        name: "IOTLAKE_CATALOG",
        default: None,
        meaning: "`glue:DATABASE`, or `embedded` for documents beside the lake",
    },
    Variable {
        name: "IOTLAKE_TABLE",
        default: Some("events"),
        meaning: "the table that objects are ingested into",
    },
    Variable {
        name: "IOTLAKE_CONTRACT",
        default: Some("as the table, else `default`"),
        meaning: "columns that `init` declares: `default`, `rigado` (with its view), a file in the function's \
                  package, or `s3://bucket/key`",
    },
    Variable {
        name: "IOTLAKE_PARTITION_BY",
        default: Some("as the table, else `arrival`"),
        meaning: "what files a row under its hour: `arrival` or `event:PATH`; decided when `init` makes the table",
    },
    Variable {
        name: "IOTLAKE_KEY_PATTERN",
        default: Some("Firehose's and Hive's ways"),
        meaning: "how keys tell their hour, such as `dt={yyyy}-{MM}-{dd}/hh={HH}/`",
    },
    Variable { name: "IOTLAKE_COMPRESSION", default: Some("snappy"), meaning: "`snappy` or `zstd`" },
    Variable {
        name: "IOTLAKE_CREATE_DATABASE",
        default: Some("true"),
        meaning: "whether `init` makes the Glue database if it is missing",
    },
    Variable {
        name: "IOTLAKE_SKIP_FOLDERS",
        default: Some(FIREHOSE_ERRORS),
        meaning: "folders whose objects are not data, at any depth, separated by commas; names that begin with `_` \
                  or `.` never are",
    },
    Variable {
        name: "IOTLAKE_MAX_DECODED_BYTES",
        default: Some("16 GiB"),
        meaning: "refuse sources that decode to more than this",
    },
    Variable {
        name: "IOTLAKE_ON_DAMAGE",
        default: Some("fail"),
        meaning: "what becomes of an object whose compressed stream is damaged: `fail`, or `reject`: records before the \
                  last checksum that agrees are kept, the rest is one reject",
    },
    Variable {
        name: "IOTLAKE_CONCURRENCY",
        default: Some("as memory allows"),
        meaning: "most objects of one invocation that are processed at once",
    },
    Variable {
        name: "IOTLAKE_METRICS_NAMESPACE",
        default: Some("iotlake"),
        meaning: "the CloudWatch namespace of the metrics",
    },
];

/// The settings of the function.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where the lake lies.
    pub lake: S3Location,
    /// Where tables are registered.
    pub catalog: CatalogChoice,
    /// The table that objects go to.
    pub table: String,
    /// A built-in name, a file or a URI, if it was said.
    pub contract: Option<String>,
    /// What partitions the table, if it was said.
    pub partition_by: Option<PartitionBy>,
    /// How keys tell their hour, if it was said.
    pub key_pattern: Option<KeyPattern>,
    /// How output files are compressed.
    pub compression: Compression,
    /// Whether `init` makes the database.
    pub create_database: bool,
    /// Folders whose objects are not data.
    pub skip_folders: Vec<String>,
    /// Most bytes that a source may decode to.
    pub max_decoded_bytes: u64,
    /// What becomes of a damaged object.
    pub on_damage: OnDamage,
    /// Most objects at once, if it was said.
    pub concurrency: Option<NonZeroU32>,
    /// The namespace of the metrics.
    pub namespace: String,
    /// The function's memory in MiB.
    pub memory_mib: u32,
}

/// Every variable that is wrong, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError(pub Vec<String>);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the function is not configured: {}", self.0.join("; "))
    }
}

impl std::error::Error for SettingsError {}

impl Settings {
    /// Reads settings from variables, such as those of [`std::env::vars`].
    ///
    /// # Errors
    /// [`SettingsError`] with every variable that is wrong.
    pub fn read(variables: impl IntoIterator<Item = (String, String)>) -> Result<Settings, SettingsError> {
        let mut reader = Reader { variables: variables.into_iter().collect(), problems: Vec::new() };
        let settings = Settings {
            lake: reader.required("IOTLAKE_LAKE", lake).unwrap_or_else(nowhere),
            catalog: reader
                .required("IOTLAKE_CATALOG", |text| {
                    text.parse::<CatalogChoice>().map_err(|error| error.to_string())
                })
                .unwrap_or_default(),
            table: reader.or("IOTLAKE_TABLE", table, || "events".to_owned()),
            contract: reader.optional("IOTLAKE_CONTRACT", contract_name),
            partition_by: reader.optional("IOTLAKE_PARTITION_BY", |text| {
                text.parse::<PartitionBy>().map_err(|error| error.to_string())
            }),
            key_pattern: reader.optional("IOTLAKE_KEY_PATTERN", |text| {
                text.parse::<KeyPattern>().map_err(|error| error.to_string())
            }),
            compression: reader.or("IOTLAKE_COMPRESSION", compression, || Compression::Snappy),
            create_database: reader.or("IOTLAKE_CREATE_DATABASE", flag, || true),
            skip_folders: reader.or("IOTLAKE_SKIP_FOLDERS", folders, || {
                folders(FIREHOSE_ERRORS).expect("it is a list of names")
            }),
            max_decoded_bytes: reader.or("IOTLAKE_MAX_DECODED_BYTES", size, || 16 << 30),
            on_damage: reader.or("IOTLAKE_ON_DAMAGE", |text| text.parse::<OnDamage>(), OnDamage::default),
            concurrency: reader.optional("IOTLAKE_CONCURRENCY", |text| {
                text.parse::<NonZeroU32>().map_err(|_| "expected a whole number above 0".to_owned())
            }),
            namespace: reader.or(
                "IOTLAKE_METRICS_NAMESPACE",
                |text| Ok(text.to_owned()),
                || "iotlake".to_owned(),
            ),
            memory_mib: reader.or(
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
                |text| text.parse::<u32>().map_err(|_| "expected a number of MiB".to_owned()),
                || 1769,
            ),
        };
        reader.check_unknown();
        if reader.problems.is_empty() { Ok(settings) } else { Err(SettingsError(reader.problems)) }
    }
}

/// Reads variables and collects what is wrong with them. An empty variable is as good as none.
struct Reader {
    variables: BTreeMap<String, String>,
    problems: Vec<String>,
}

impl Reader {
    fn optional<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let value = self.variables.get(name).filter(|value| !value.is_empty())?;
        match parse(value) {
            Ok(parsed) => Some(parsed),
            Err(problem) => {
                self.problems.push(format!("{name} is `{value}`: {problem}"));
                None
            }
        }
    }

    fn or<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>, default: impl Fn() -> T) -> T {
        self.optional(name, parse).unwrap_or_else(default)
    }

    /// `None` where a problem was noted.
    fn required<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        if self.variables.get(name).is_none_or(String::is_empty) {
            let meaning =
                VARIABLES.iter().find(|variable| variable.name == name).map(|variable| variable.meaning);
            self.problems.push(format!("{name} is not set: {}", meaning.unwrap_or_default()));
            return None;
        }
        self.optional(name, parse)
    }

    fn check_unknown(&mut self) {
        let ours = self.variables.keys().filter(|name| name.starts_with(PREFIX));
        let unknown = ours.filter(|name| VARIABLES.iter().all(|variable| variable.name != **name));
        let known = VARIABLES.map(|variable| variable.name).join(", ");
        self.problems
            .extend(unknown.map(|name| format!("{name} is not a variable of iotlake; there are {known}")));
    }
}

fn lake(text: &str) -> Result<S3Location, String> {
    match text.parse::<Location>() {
        Ok(Location::S3(location)) => Ok(location),
        Ok(Location::Local(_)) => Err("expected `s3://bucket` or `s3://bucket/prefix`".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Stands in for a lake that was not told, until that is reported.
fn nowhere() -> S3Location {
    S3Location { bucket: String::new(), key: String::new() }
}

fn table(text: &str) -> Result<String, String> {
    check_name(text).map(|()| text.to_owned()).map_err(|error| error.to_string())
}

/// A name that is built in has to be spelt right; files and URIs are read when `init` needs them.
fn contract_name(text: &str) -> Result<String, String> {
    if contract::BUILT_IN.contains(&text) || text.contains(['/', '.']) {
        return Ok(text.to_owned());
    }
    Err(format!("neither built in ({}) nor a file nor a URI", contract::BUILT_IN.join(", ")))
}

fn compression(text: &str) -> Result<Compression, String> {
    let known = [Compression::Snappy, Compression::Zstd];
    let found = known.into_iter().find(|compression| compression.word() == text);
    found.ok_or_else(|| "expected `snappy` or `zstd`".to_owned())
}

fn flag(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "expected `true` or `false`".to_owned())
}

fn folders(text: &str) -> Result<Vec<String>, String> {
    let names: Vec<String> = text.split(',').map(|name| name.trim().trim_matches('/').to_owned()).collect();
    match names.iter().find(|name| name.contains('/') || name.is_empty()) {
        Some(name) => Err(format!("`{name}` is not the name of one folder")),
        None => Ok(names),
    }
}

fn size(text: &str) -> Result<u64, String> {
    contract::bytes_of(text).ok_or_else(|| "expected a size such as `16 GiB`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::read(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn two_variables_are_enough() {
        let settings = read(&[("IOTLAKE_LAKE", "s3://lake/x/"), ("IOTLAKE_CATALOG", "glue:iot")]).unwrap();
        assert_eq!(settings.lake.to_string(), "s3://lake/x/");
        assert_eq!(settings.catalog, CatalogChoice::Glue("iot".to_owned()));
        assert_eq!((settings.table.as_str(), settings.create_database), ("events", true));
        assert_eq!(settings.skip_folders[0], "processing-failed");
        assert_eq!(settings.max_decoded_bytes, 16 << 30);
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let SettingsError(problems) = read(&[
            ("IOTLAKE_LAKE", "lake"),
            ("IOTLAKE_TABLE", "My Table"),
            ("IOTLAKE_CONTRACT", "rigadoo"),
            ("IOTLAKE_CREATE_DATABASE", "yes"),
            ("IOTLAKE_MAX_DECODED_BYTES", "16 gigs"),
            ("IOTLAKE_CONCURRENCY", "0"),
            ("IOTLAKE_SKIP_FOLDERS", "a/b"),
            ("IOTLAKE_PARTITON_BY", "arrival"),
        ])
        .unwrap_err();
        let begins = [
            "IOTLAKE_LAKE is `lake`: expected `s3://bucket` or",
            "IOTLAKE_CATALOG is not set: `glue:DATABASE`, or",
            "IOTLAKE_TABLE is `My Table`: `My Table` cannot be a name",
            "IOTLAKE_CONTRACT is `rigadoo`: neither built in (default, rigado)",
            "IOTLAKE_CREATE_DATABASE is `yes`: expected `true` or `false`",
            "IOTLAKE_SKIP_FOLDERS is `a/b`: `a/b` is not the name of one folder",
            "IOTLAKE_MAX_DECODED_BYTES is `16 gigs`: expected a size such as",
            "IOTLAKE_CONCURRENCY is `0`: expected a whole number above 0",
            "IOTLAKE_PARTITON_BY is not a variable of iotlake; there are IOTLAKE_LAKE",
        ];
        assert_eq!(problems.len(), begins.len(), "{problems:#?}");
        for (problem, begin) in problems.iter().zip(begins) {
            assert!(problem.starts_with(begin), "{problem}");
        }
    }

    #[test]
    fn the_page_for_operators_lists_every_variable() {
        let page = include_str!("../../../docs/aws.md");
        for Variable { name, default, .. } in VARIABLES {
            assert!(page.contains(&format!("`{name}`")), "docs/aws.md does not name {name}");
            if let Some(default) = default.filter(|default| !default.contains([',', ' '])) {
                assert!(
                    page.contains(&format!("`{default}`")),
                    "docs/aws.md: the default of {name} is {default}"
                );
            }
        }
    }
}
