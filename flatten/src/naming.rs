//! From an identity to a name that Athena, Glue, QuickSight and Parquet readers all take.
//!
//! In comes the path and kind of a column and the set of names already taken; out comes a name that is lower case,
//! made of `[a-z0-9_.-]`, at most 127 bytes, and free. A plain name is the keys joined with dots; a further kind of the
//! same path adds its kind. Wherever that is not enough (a character was replaced, the name is too long or taken), a
//! suffix taken from a hash of the identity makes it unique.
//!
//! What must stay true: the name is a function of the identity and of the names registered before it, never of chance
//! or time; and `Temp` beside `temp`, `"a.b"` beside `a:{b}`, or a payload key `year` each get a name of their own.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use crate::layout::{ENGINE, PARTITION_KEYS};
use crate::path::{Identity, Path};

/// The longest name QuickSight takes, in bytes (AWS CloudFormation, `AWS::QuickSight::DataSet InputColumn`).
pub const MAX_NAME: usize = 127;

/// Whether `name` belongs to the engine: a partition key or a column every table has.
pub fn is_reserved(name: &str) -> bool {
    ENGINE.iter().any(|column| column.name == name) || PARTITION_KEYS.contains(&name)
}

/// The name for `identity`.
///
/// `plain` is the name the first kind of the same path got, if one did; `is_taken` tells names that others hold.
pub fn name(identity: &Identity, plain: Option<&str>, is_taken: impl Fn(&str) -> bool) -> String {
    let (candidate, altered) = match plain {
        Some(plain) => (format!("{plain}.{}", identity.kind.word()), false),
        None => joined(&identity.path),
    };
    if !altered && candidate.len() <= MAX_NAME && !is_taken(&candidate) {
        return candidate;
    }
    let hash = hash(identity);
    let lengths = (6..=hash.len()).step_by(2);
    lengths
        .map(|digits| suffixed(&candidate, &hash[..digits]))
        .find(|name| !is_taken(name))
        .expect("no table has a name for every prefix of a SHA-256")
}

/// Sorts identities that register together: by path and kind, but those come last whose plain name is the very path of
/// another one. So `temperature` is `temperature`, whatever `Temperature` and `TEMPERATURE` there are beside it.
pub(crate) fn sort(identities: &mut [Identity]) {
    // An altered name has a suffix anyhow: it takes nothing from anyone.
    let plain = |identity: &Identity| {
        let (name, altered) = joined(&identity.path);
        let is_exact = !identity.path.keys().any(|key| key.bytes().any(|byte| byte.is_ascii_uppercase()));
        (!altered).then_some((name, is_exact))
    };
    let exact: HashSet<String> =
        identities.iter().filter_map(plain).filter_map(|(name, is_exact)| is_exact.then_some(name)).collect();
    identities.sort_by_cached_key(|identity| {
        let is_second = plain(identity).is_some_and(|(name, is_exact)| !is_exact && exact.contains(&name));
        (is_second, identity.clone())
    });
}

/// The keys joined with dots in lower case, and whether a character had to be replaced.
fn joined(path: &Path) -> (String, bool) {
    let mut name = String::new();
    let mut altered = false;
    for (i, key) in path.keys().enumerate() {
        if i > 0 {
            name.push('.');
        }
        if key.is_empty() {
            name.push('_');
            altered = true;
        }
        for character in key.chars() {
            match character.to_ascii_lowercase() {
                kept @ ('a'..='z' | '0'..='9' | '_' | '.' | '-') => name.push(kept),
                _ => {
                    name.push('_');
                    altered = true;
                }
            }
        }
    }
    (name, altered)
}

fn suffixed(candidate: &str, digits: &str) -> String {
    // Candidates are ASCII, so any byte is a character boundary.
    let kept = candidate.len().min(MAX_NAME - 1 - digits.len());
    format!("{}_{digits}", &candidate[..kept])
}

/// SHA-256 of the identity in hexadecimal: of the path as a JSON array, a line feed, and the kind's word.
fn hash(identity: &Identity) -> String {
    let text = format!("{}\n{}", identity.path.to_json(), identity.kind.word());
    hexadecimal(&Sha256::digest(text.as_bytes()))
}

/// Lower-case hexadecimal digits of `bytes`.
pub fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |number: u8| char::from_digit(number.into(), 16).expect("four bits are a digit");
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
