//! What is to be ingested: an object, its name for ever, and the hour that its key tells.
//!
//! In comes a key; out comes the hour written in it, found by a [`KeyPattern`]. The search looks at the whole name,
//! so that it does not matter from which folder a backfill was started, and takes the match nearest to the file's name.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::partition::Partition;

/// An object to ingest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceObject {
    /// Its name for ever: `s3://bucket/key`, or the canonical absolute path of a local file.
    pub name: String,
    /// The key under which its storage has it.
    pub key: String,
    /// Its length in bytes, as stored.
    pub size: u64,
    /// When it was last changed, if the storage knows.
    pub modified: Option<SystemTime>,
    /// Its version, if the storage knows.
    pub etag: Option<String>,
    /// The hour of arrival that its name tells, if any.
    pub hour: Option<Partition>,
}

/// How an hour is written in a key.
///
/// A pattern is literal text with the placeholders `{yyyy}`, `{MM}`, `{dd}` and `{HH}` for exactly that many digits,
/// or `{M}`, `{d}` and `{H}` for one or two. Without `{HH}` the hour is 00. A pattern that begins with a placeholder
/// matches only at the beginning of a component of the key.
///
/// ```
/// use iotlake::source::KeyPattern;
///
/// let pattern: KeyPattern = "dt={yyyy}-{MM}-{dd}/hh={HH}/".parse().unwrap();
/// let hour = pattern.hour("s3://raw/dt=2026-03-01/hh=05/a.json").unwrap();
/// assert_eq!(hour.to_string(), "2026-03-01T05");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyPattern {
    /// The ways to try, first the one that wins.
    ways: Vec<Vec<Token>>,
    text: String,
}

/// What Firehose writes, then what Hive, Spark and their like write.
const DEFAULT: [&str; 3] =
    ["{yyyy}/{MM}/{dd}/{HH}/", "year={yyyy}/month={M}/day={d}/hour={H}/", "dt={yyyy}-{MM}-{dd}/hour={H}/"];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Literal(String),
    /// Which of year, month, day and hour; the fewest and the most digits.
    Number(usize, usize, usize),
}

/// Every placeholder.
const PLACEHOLDERS: [(&str, Token); 7] = [
    ("yyyy", Token::Number(0, 4, 4)),
    ("MM", Token::Number(1, 2, 2)),
    ("dd", Token::Number(2, 2, 2)),
    ("HH", Token::Number(3, 2, 2)),
    ("M", Token::Number(1, 1, 2)),
    ("d", Token::Number(2, 1, 2)),
    ("H", Token::Number(3, 1, 2)),
];

/// Why a text is no key pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A placeholder that does not exist.
    #[error(
        "key pattern `{pattern}`, character {at}: unknown placeholder `{{{name}}}`; there are {{yyyy}}, {{MM}}, \
         {{dd}}, {{HH}}, and {{M}}, {{d}}, {{H}} for one or two digits"
    )]
    Unknown {
        /// The pattern.
        pattern: String,
        /// Where, in characters from 1.
        at: usize,
        /// What stands between the braces.
        name: String,
    },
    /// A brace that is not closed.
    #[error("key pattern `{pattern}`, character {at}: `{{` without `}}`")]
    Unclosed {
        /// The pattern.
        pattern: String,
        /// Where, in characters from 1.
        at: usize,
    },
    /// One of year, month, day or hour stands twice.
    #[error("key pattern `{pattern}`, character {at}: the {field} stands there a second time")]
    Twice {
        /// The pattern.
        pattern: String,
        /// Where, in characters from 1.
        at: usize,
        /// Which.
        field: &'static str,
    },
    /// One of year, month or day is missing.
    #[error("key pattern `{pattern}`: the {field} is missing; add {placeholder}")]
    Missing {
        /// The pattern.
        pattern: String,
        /// Which.
        field: &'static str,
        /// What to write for it.
        placeholder: &'static str,
    },
}

const FIELDS: [(&str, &str); 4] = [("year", "{yyyy}"), ("month", "{MM}"), ("day", "{dd}"), ("hour", "{HH}")];

impl KeyPattern {
    /// The hour written in `key`, if there is one that the calendar has.
    pub fn hour(&self, key: &str) -> Option<Partition> {
        self.ways.iter().find_map(|way| {
            let mut starts = (0..key.len()).rev();
            starts.find_map(|start| hour_at(way, key.as_bytes(), start))
        })
    }
}

impl Default for KeyPattern {
    /// `YYYY/MM/DD/HH/`, else `year=YYYY/month=MM/day=DD/hour=HH/`, else `dt=YYYY-MM-DD/hour=HH/`.
    fn default() -> KeyPattern {
        let ways = DEFAULT.iter().map(|pattern| compile(pattern).expect("the defaults are patterns"));
        KeyPattern { ways: ways.collect(), text: "default".to_owned() }
    }
}

impl fmt::Display for KeyPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<KeyPattern> for String {
    fn from(pattern: KeyPattern) -> String {
        pattern.text
    }
}

impl TryFrom<String> for KeyPattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<KeyPattern, PatternError> {
        text.parse()
    }
}

impl FromStr for KeyPattern {
    type Err = PatternError;

    fn from_str(pattern: &str) -> Result<KeyPattern, PatternError> {
        match pattern {
            "default" => Ok(KeyPattern::default()),
            _ => Ok(KeyPattern { ways: vec![compile(pattern)?], text: pattern.to_owned() }),
        }
    }
}

fn compile(pattern: &str) -> Result<Vec<Token>, PatternError> {
    let mut tokens = Vec::new();
    let mut has = [false; 4];
    let mut rest = pattern;
    while !rest.is_empty() {
        let (literal, placeholder) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
        if !literal.is_empty() {
            tokens.push(Token::Literal(literal.to_owned()));
        }
        if placeholder.is_empty() {
            break;
        }
        let at = pattern[..pattern.len() - placeholder.len()].chars().count() + 1;
        let pattern = || pattern.to_owned();
        let Some((name, behind)) = placeholder[1..].split_once('}') else {
            return Err(PatternError::Unclosed { pattern: pattern(), at });
        };
        let found = PLACEHOLDERS.into_iter().find(|(known, _)| *known == name);
        let Some((_, Token::Number(field, fewest, most))) = found else {
            return Err(PatternError::Unknown { pattern: pattern(), at, name: name.to_owned() });
        };
        if std::mem::replace(&mut has[field], true) {
            return Err(PatternError::Twice { pattern: pattern(), at, field: FIELDS[field].0 });
        }
        tokens.push(Token::Number(field, fewest, most));
        rest = behind;
    }
    match has[..3].iter().position(|has| !has) {
        None => Ok(tokens),
        Some(missing) => {
            let (field, placeholder) = FIELDS[missing];
            Err(PatternError::Missing { pattern: pattern.to_owned(), field, placeholder })
        }
    }
}

/// The hour that `tokens` read at `start`.
fn hour_at(tokens: &[Token], key: &[u8], start: usize) -> Option<Partition> {
    let mut fields = [0_u16; 4];
    let mut at = start;
    if matches!(tokens[0], Token::Number(..)) && start > 0 && key[start - 1] != b'/' {
        return None;
    }
    for token in tokens {
        match token {
            Token::Literal(literal) => {
                at = key[at..].starts_with(literal.as_bytes()).then_some(at + literal.len())?;
            }
            Token::Number(field, fewest, most) => {
                let digits = key[at..].iter().take(*most).take_while(|byte| byte.is_ascii_digit()).count();
                if digits < *fewest {
                    return None;
                }
                fields[*field] =
                    key[at..at + digits].iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
                at += digits;
            }
        }
    }
    // `2026-03-01` must not be found in `2026-03-012`.
    let goes_on = key.get(at).is_some_and(u8::is_ascii_digit);
    if goes_on && matches!(tokens.last(), Some(Token::Number(..))) {
        return None;
    }
    Partition::new(fields[0], fields[1] as u8, fields[2] as u8, fields[3] as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &KeyPattern, key: &str) -> String {
        pattern.hour(key).map_or("none".to_owned(), |hour| hour.to_string())
    }

    #[test]
    fn firehose_and_hive_keys_are_read_without_being_told() {
        let pattern = KeyPattern::default();
        for (key, hour) in [
            ("s3://raw/2026/03/01/05/stream-1-2026-03-01-05-12-11-uuid", "2026-03-01T05"),
            ("/data/2020/01/01/00/copy/2026/03/01/05/x", "2026-03-01T05"),
            ("2026/03/01/05/x", "2026-03-01T05"),
            ("raw/year=2026/month=3/day=01/hour=5/x", "2026-03-01T05"),
            ("raw/dt=2026-03-01/hour=05/x", "2026-03-01T05"),
            ("raw/2026/13/01/05/x", "none"),
            ("raw/2026/02/30/05/x", "none"),
            ("raw/12026/03/01/05/x", "none"),
            ("raw/2026/03/01/x", "none"),
            ("raw/2026/03/01/05", "none"),
            ("grün/日/x", "none"),
        ] {
            assert_eq!(found(&pattern, key), hour, "{key}");
        }
    }

    #[test]
    fn a_pattern_of_the_users_own_is_all_that_counts() {
        let pattern: KeyPattern = "-{yyyy}{MM}{dd}".parse().unwrap();
        assert_eq!(found(&pattern, "logs/device-20260301.json"), "2026-03-01T00");
        assert_eq!(found(&pattern, "logs/device-202603011.json"), "none");
        assert_eq!(found(&pattern, "2026/03/01/05/x"), "none");
        assert_eq!(pattern.to_string(), "-{yyyy}{MM}{dd}");
    }

    #[test]
    fn a_mistake_in_a_pattern_is_shown_where_it_is() {
        let message = |pattern: &str| pattern.parse::<KeyPattern>().unwrap_err().to_string();
        assert_eq!(
            message("dt={yyyy}-{mm}"),
            "key pattern `dt={yyyy}-{mm}`, character 11: unknown placeholder `{mm}`; there are {yyyy}, {MM}, {dd}, \
             {HH}, and {M}, {d}, {H} for one or two digits"
        );
        assert_eq!(message("{yyyy"), "key pattern `{yyyy`, character 1: `{` without `}`");
        assert_eq!(
            message("{yyyy}{MM}{M}"),
            "key pattern `{yyyy}{MM}{M}`, character 11: the month stands there a second time"
        );
        assert_eq!(message("{yyyy}/{dd}"), "key pattern `{yyyy}/{dd}`: the month is missing; add {MM}");
        assert_eq!(message(""), "key pattern ``: the year is missing; add {yyyy}");
    }
}
