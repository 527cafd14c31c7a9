//! Where a value came from: the identity of a column.
//!
//! A column is identified by the list of keys that leads to its values and by their kind, never by a name: names fold
//! case, lose characters and collide, identities do not. Everything that decides which column a value belongs to
//! compares identities; [`crate::naming`] turns them into names at the very end.
//!
//! What must stay true: the order of identities is total and independent of arrival (path key by key, then kind),
//! because the order in which a part registers its unknown columns follows it.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The kind of a value, and so the physical type of the column that holds it.
///
/// The order is the order of registration within one path: the number gets the plain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A number as the nearest IEEE double. Parquet `DOUBLE`, Athena `double`.
    Double,
    /// An integer that a double cannot hold exactly, or any integer where the contract says so. `INT64`, `bigint`.
    Long,
    /// `true` or `false`. `BOOLEAN`, `boolean`.
    Boolean,
    /// Text. `BYTE_ARRAY` (UTF-8), `string`.
    String,
    /// The compact JSON text of an array, or of what had no column of its own. `BYTE_ARRAY` (UTF-8), `string`.
    Json,
    /// Microseconds since 1970-01-01 UTC; only for paths declared `timestamp`. `INT64` (timestamp), `timestamp`.
    Timestamp,
}

impl Kind {
    /// Every kind, in order of registration.
    pub const ALL: [Kind; 6] =
        [Kind::Double, Kind::Long, Kind::Boolean, Kind::String, Kind::Json, Kind::Timestamp];

    /// The word used in names, metadata and contracts: `double`, `long`, `boolean`, `string`, `json`, `timestamp`.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Double => "double",
            Kind::Long => "long",
            Kind::Boolean => "boolean",
            Kind::String => "string",
            Kind::Json => "json",
            Kind::Timestamp => "timestamp",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The list of keys from the record to a value. Empty for the record itself.
///
/// Ordered key by key, keys by their UTF-8 bytes, a prefix before what it leads to. Paths that come from one tree share
/// their keys: a thousand fields below a long key hold its bytes once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Path(Arc<[Arc<str>]>);

impl Path {
    /// The path of the record itself.
    pub fn root() -> Path {
        Path(Arc::from([]))
    }

    /// A path of these keys, outermost first.
    pub fn new<K: Into<Arc<str>>>(keys: impl IntoIterator<Item = K>) -> Path {
        Path(keys.into_iter().map(Into::into).collect())
    }

    /// A path written with dots, as contracts and command lines write it: `device.deviceId`.
    ///
    /// A key that itself has a dot cannot be written so; use [`Path::new`].
    pub fn dotted(text: &str) -> Path {
        Path::new(text.split('.'))
    }

    /// The path one key further down.
    pub fn child(&self, key: &str) -> Path {
        Path(self.0.iter().cloned().chain([Arc::from(key)]).collect())
    }

    /// The path of the first `keys` keys.
    pub(crate) fn prefix(&self, keys: usize) -> Path {
        Path(self.0[..keys].into())
    }

    /// The path one key up, and that key; `None` for the root.
    pub fn split_last(&self) -> Option<(Path, &str)> {
        let (last, rest) = self.0.split_last()?;
        Some((Path(rest.into()), last))
    }

    /// Bytes of all its keys: what is held against [`crate::Limits::path_bytes`].
    pub fn bytes(&self) -> usize {
        self.keys().map(str::len).sum()
    }

    /// The keys, outermost first.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> + DoubleEndedIterator + Clone {
        self.0.iter().map(|key| &**key)
    }

    /// The keys, to be kept by others too.
    pub(crate) fn shared_keys(&self) -> &[Arc<str>] {
        &self.0
    }

    /// Number of keys; 0 for the root.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether this is the record itself.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The unambiguous text of the path: a JSON array of its keys, as kept in catalogs and Parquet metadata.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a list of strings is always JSON")
    }
}

impl From<Vec<String>> for Path {
    fn from(keys: Vec<String>) -> Path {
        Path::new(keys)
    }
}

impl From<Path> for Vec<String> {
    fn from(path: Path) -> Vec<String> {
        path.keys().map(str::to_owned).collect()
    }
}

/// Keys joined with dots, for messages. Ambiguous where a key has a dot; [`Path::to_json`] is not.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, key) in self.keys().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            f.write_str(key)?;
        }
        Ok(())
    }
}

/// What a column is: a path and the kind of the values found there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The keys that lead to the values.
    pub path: Path,
    /// Their kind.
    pub kind: Kind,
}

impl Identity {
    /// The identity of values of `kind` at `path`.
    pub fn new(path: Path, kind: Kind) -> Identity {
        Identity { path, kind }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.path, self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_sorts_before_what_it_leads_to_and_keys_sort_by_bytes() {
        let mut paths = vec![Path::new(["b"]), Path::new(["a.b"]), Path::new(["a", "b"]), Path::new(["a"])];
        paths.sort();
        assert_eq!(paths, [Path::new(["a"]), Path::new(["a", "b"]), Path::new(["a.b"]), Path::new(["b"])]);
    }

    #[test]
    fn the_number_registers_before_its_siblings() {
        assert!(Kind::ALL.is_sorted());
        assert_eq!(Kind::ALL[0], Kind::Double);
    }

    #[test]
    fn json_text_tells_a_dotted_key_from_a_nested_one() {
        assert_eq!(Path::new(["a.b"]).to_json(), r#"["a.b"]"#);
        assert_eq!(Path::dotted("a.b").to_json(), r#"["a","b"]"#);
    }
}
