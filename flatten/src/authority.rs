//! serde_json as the authority on what a record is.
//!
//! In comes the text of one whole value whose grammar and depth [`crate::records`] has checked; out comes what it
//! holds, or the reason why it cannot become a row: not UTF-8, a string that stands for no text, one key twice in one
//! object (also inside arrays, also where one of the two is escaped). Numbers stay text, because a parsed number has
//! lost its digits. This is written to be obviously right, not fast: every level is parsed again from its text.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::reject::Reason;

/// A JSON value with its numbers and arrays as written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean(bool),
    /// The digits as written.
    Number(&'a str),
    /// The text, without escapes.
    String(Cow<'a, str>),
    /// The text of an array, checked, as written.
    Array(&'a str),
    /// The text of an object, as written, and its fields in order.
    Object(&'a str, Vec<(Cow<'a, str>, Value<'a>)>),
}

/// The fields of the record whose text is `bytes`.
///
/// # Errors
/// The reason why it is not a row.
pub(crate) fn record(bytes: &[u8]) -> Result<Vec<(Cow<'_, str>, Value<'_>)>, Reason> {
    let text = std::str::from_utf8(bytes).map_err(|_| Reason::NotUtf8)?;
    match value(text)? {
        Value::Object(_, fields) => Ok(fields),
        _ => Err(Reason::NotObject),
    }
}

/// The value whose text is `text`: one whole value without white space around it.
///
/// # Errors
/// The reason why it, or something in it, has no meaning.
pub(crate) fn value(text: &str) -> Result<Value<'_>, Reason> {
    Ok(match text.as_bytes().first() {
        Some(b'n') => Value::Null,
        Some(b't') => Value::Boolean(true),
        Some(b'f') => Value::Boolean(false),
        Some(b'"') => Value::String(string(text)?),
        Some(b'[') => {
            let elements: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| Reason::Syntax)?;
            for element in elements {
                value(element.get())?;
            }
            Value::Array(text)
        }
        Some(b'{') => {
            let Fields(raw) = serde_json::from_str(text).map_err(reason)?;
            let mut seen = HashSet::with_capacity(raw.len());
            let mut fields = Vec::with_capacity(raw.len());
            for (Key(key), raw) in raw {
                if !seen.insert(key.clone()) {
                    return Err(Reason::DuplicateKey);
                }
                fields.push((key, value(raw.get())?));
            }
            Value::Object(text, fields)
        }
        _ => Value::Number(text),
    })
}

/// The text that the JSON string `quoted` stands for.
///
/// # Errors
/// [`Reason::InvalidString`] if it stands for none.
pub(crate) fn string(quoted: &str) -> Result<Cow<'_, str>, Reason> {
    serde_json::from_str::<Key<'_>>(quoted).map(|Key(text)| text).map_err(reason)
}

/// The grammar was checked before, so what serde_json refuses is a string.
fn reason(_: serde_json::Error) -> Reason {
    Reason::InvalidString
}

/// `text` without the white space that means nothing; as it is if there is none.
pub(crate) fn compact(text: &str) -> Cow<'_, str> {
    let mut kept = String::new();
    let mut from = 0;
    let mut in_string = false;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
        } else if byte == b'"' {
            in_string = true;
        } else if byte.is_ascii_whitespace() {
            kept.push_str(&text[from..at]);
            from = at + 1;
        }
    }
    if from == 0 {
        return Cow::Borrowed(text);
    }
    kept.push_str(&text[from..]);
    Cow::Owned(kept)
}

/// A string that is borrowed where it has no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// All fields of an object, the same key as often as it stands there.
struct Fields<'a>(Vec<(Key<'a>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    fields.push(entry);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicates_are_found_at_any_level_and_through_escapes() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"x":{"a":1,"a":1}}"#,
            r#"{"x":[{"a":1,"a":1}]}"#,
        ] {
            assert_eq!(record(text.as_bytes()), Err(Reason::DuplicateKey), "{text}");
        }
        assert!(record(br#"{"a":{"a":1},"b":{"a":1}}"#).is_ok());
    }

    #[test]
    fn half_a_surrogate_pair_stands_for_no_text_wherever_it_is() {
        for text in [r#"{"a":"\ud800"}"#, r#"{"a":["\udc00"]}"#, r#"{"\ud800x":1}"#] {
            assert_eq!(record(text.as_bytes()), Err(Reason::InvalidString), "{text}");
        }
        assert!(record(r#"{"a":"\ud83d\ude00"}"#.as_bytes()).is_ok());
    }

    #[test]
    fn numbers_no_double_can_hold_are_fine() {
        assert!(record(br#"{"a":1e400,"b":[123456789012345678901234567890]}"#).is_ok());
    }

    #[test]
    fn compacting_leaves_strings_alone() {
        assert_eq!(compact("[ 1 ,\n\"a \\\" b\" , {\"k\" : 2}]"), "[1,\"a \\\" b\",{\"k\":2}]");
        assert!(matches!(compact("[1,\" \"]"), Cow::Borrowed(_)));
    }
}
