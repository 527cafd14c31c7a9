//! serde_json as the authority on what a record is.
//!
//! In comes the text of one whole value whose grammar and depth [`crate::records`] has checked; out comes what it
//! holds, or the reason why it cannot become a row: not UTF-8, a string that stands for no text, one key twice in one
//! object (also inside arrays, also where one of the two is escaped). Numbers stay text, because a parsed number has
//! lost its digits. serde_json says whether the text is a value and what an escape stands for; the values are then found
//! in one pass, so that a byte costs the same however deep it lies. The tests hold it against a twin that has serde_json
//! parse every level again.

use std::borrow::Cow;
use std::fmt;

use foldhash::HashSet;
use serde::de::{Deserialize, Deserializer, IgnoredAny, Visitor};

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
    serde_json::from_str::<IgnoredAny>(text).map_err(reason)?;
    Reader { text, at: 0 }.value()
}

/// Objects with more keys than this are looked through for one that stands twice by hash.
const FEW_KEYS: usize = 8;

/// Goes through a text that is JSON. Where a value has no meaning it is passed over all the same.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn byte(&self) -> u8 {
        self.text.as_bytes()[self.at]
    }

    /// The next byte that is not white space.
    fn next(&mut self) -> u8 {
        while matches!(self.byte(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        self.byte()
    }

    fn value(&mut self) -> Result<Value<'a>, Reason> {
        let begin = self.at;
        match self.byte() {
            b'n' => self.pass(4, Value::Null),
            b't' => self.pass(4, Value::Boolean(true)),
            b'f' => self.pass(5, Value::Boolean(false)),
            b'"' => self.string().map(Value::String),
            b'[' => self.array(begin),
            b'{' => self.object(begin),
            _ => {
                let rest = &self.text.as_bytes()[begin..];
                let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
                let length = rest.iter().position(ends).unwrap_or(rest.len());
                self.pass(length, Value::Number(&self.text[begin..begin + length]))
            }
        }
    }

    fn pass(&mut self, bytes: usize, value: Value<'a>) -> Result<Value<'a>, Reason> {
        self.at += bytes;
        Ok(value)
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Reason> {
        let begin = self.at;
        let mut has_escapes = false;
        self.at += 1;
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            self.at += memchr::memchr2(b'"', b'\\', rest).expect("a string ends");
            if self.byte() == b'"' {
                self.at += 1;
                break;
            }
            has_escapes = true;
            self.at += 2;
        }
        match has_escapes {
            true => string(&self.text[begin..self.at]),
            false => Ok(Cow::Borrowed(&self.text[begin + 1..self.at - 1])),
        }
    }

    fn array(&mut self, begin: usize) -> Result<Value<'a>, Reason> {
        let mut failed = None;
        self.at += 1;
        while self.next() != b']' {
            if self.byte() == b',' {
                self.at += 1;
                self.next();
            }
            let element = self.value();
            failed = failed.or(element.err());
        }
        self.at += 1;
        match failed {
            Some(reason) => Err(reason),
            None => Ok(Value::Array(&self.text[begin..self.at])),
        }
    }

    fn object(&mut self, begin: usize) -> Result<Value<'a>, Reason> {
        let mut fields: Vec<(Cow<'a, str>, Value<'a>)> = Vec::new();
        let mut seen: HashSet<Cow<'a, str>> = HashSet::default();
        // A key without meaning comes before all else that is wrong with the object.
        let (mut wrong_key, mut failed) = (None, None);
        self.at += 1;
        while self.next() != b'}' {
            if self.byte() == b',' {
                self.at += 1;
                self.next();
            }
            let key = self.string();
            self.next();
            self.at += 1;
            self.next();
            let value = self.value();
            match (key, value) {
                (Err(reason), _) => wrong_key = wrong_key.or(Some(reason)),
                _ if failed.is_some() => {}
                (Ok(key), _) if is_twice(&key, &fields, &mut seen) => failed = Some(Reason::DuplicateKey),
                (Ok(_), Err(reason)) => failed = Some(reason),
                (Ok(key), Ok(value)) => {
                    if !seen.is_empty() {
                        seen.insert(key.clone());
                    }
                    fields.push((key, value));
                }
            }
        }
        self.at += 1;
        match wrong_key.or(failed) {
            Some(reason) => Err(reason),
            None => Ok(Value::Object(&self.text[begin..self.at], fields)),
        }
    }
}

/// Whether `key` is that of one of `fields`. Where they are more than a few, `seen` has their keys from then on.
fn is_twice<'a>(key: &str, fields: &[(Cow<'a, str>, Value<'a>)], seen: &mut HashSet<Cow<'a, str>>) -> bool {
    if fields.len() < FEW_KEYS {
        return fields.iter().any(|(other, _)| other == key);
    }
    if seen.is_empty() {
        seen.extend(fields.iter().map(|(other, _)| other.clone()));
    }
    seen.contains(key)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use serde::de::MapAccess;
    use serde_json::value::RawValue;

    use super::*;

    /// The same by serde_json alone, which parses every level again from its text.
    fn slowly(text: &str) -> Result<Value<'_>, Reason> {
        Ok(match text.as_bytes().first() {
            Some(b'n') => Value::Null,
            Some(b't') => Value::Boolean(true),
            Some(b'f') => Value::Boolean(false),
            Some(b'"') => Value::String(string(text)?),
            Some(b'[') => {
                let elements: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| Reason::Syntax)?;
                for element in elements {
                    slowly(element.get())?;
                }
                Value::Array(text)
            }
            Some(b'{') => {
                let Fields(raw) = serde_json::from_str(text).map_err(reason)?;
                let mut seen = BTreeSet::new();
                let mut fields = Vec::new();
                for (Key(key), raw) in raw {
                    if !seen.insert(key.clone()) {
                        return Err(Reason::DuplicateKey);
                    }
                    fields.push((key, slowly(raw.get())?));
                }
                Value::Object(text, fields)
            }
            _ => Value::Number(text),
        })
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

    /// JSON with keys and strings that come twice or stand for no text, and white space anywhere.
    fn json() -> impl Strategy<Value = String> {
        let space = || prop::sample::select(vec!["", "", " ", "\n\t"]);
        let string = || {
            let texts = [
                "a",
                "b",
                "\\u0061",
                "\\ud800",
                "\\ud83d\\ude00",
                "\\\"",
                "\\\\",
                "é",
                "",
                "c",
                "d",
                "e",
                "f",
                "g",
            ];
            prop::sample::select(texts.to_vec()).prop_map(|text| format!("\"{text}\""))
        };
        let number = prop::sample::select(vec!["0", "-1.5e+3", "1e400", "123456789012345678901"]);
        let leaf = prop_oneof![
            string(),
            number.prop_map(str::to_owned),
            prop::sample::select(vec!["null", "true", "false", "[]", "{ }"]).prop_map(str::to_owned),
        ];
        leaf.prop_recursive(5, 60, 12, move |inner| {
            let array = prop::collection::vec((space(), inner.clone(), space()), 0..5).prop_map(|elements| {
                let elements: Vec<_> =
                    elements.iter().map(|(a, value, b)| format!("{a}{value}{b}")).collect();
                format!("[{}]", elements.join(","))
            });
            let fields = prop::collection::vec((space(), string(), space(), inner, space()), 0..12);
            let object = fields.prop_map(|fields| {
                let fields = fields.iter().map(|(a, key, b, value, c)| format!("{a}{key}{b}:{c}{value}{a}"));
                format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
            });
            prop_oneof![array, object]
        })
    }

    proptest! {
        #[test]
        fn one_pass_says_what_parsing_every_level_says(text in json()) {
            prop_assert_eq!(value(&text), slowly(&text));
        }
    }

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
