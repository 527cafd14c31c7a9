//! The slow, obvious twin of the flattener.
//!
//! In comes a whole source as one slice; out comes what its records say, in the plainest form there is: maps from
//! identity to row to text. It frames with [`crate::records`], asks serde_json about every record, and knows nothing
//! of windows, buffers, threads, guesses or limits on columns. Tests hold the flattener against it.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::authority::{self, Value};
use crate::contract::{Contract, Numbers, Type};
use crate::number::{self, Number};
use crate::path::{Identity, Kind, Path};
use crate::records::{self, Scan};
use crate::reject::Reason;
use crate::time;

/// What a source says.
#[derive(Debug, Default, PartialEq)]
pub struct Said {
    /// Rows with the number of their record, from 1.
    pub records: Vec<u64>,
    /// For each identity the rows that have a value, with the value as text.
    pub values: BTreeMap<Identity, BTreeMap<u64, String>>,
    /// Number of the record, range of bytes, line and reason of each reject.
    pub rejects: Vec<(u64, Range<u64>, u64, Reason)>,
    /// Ignored values.
    pub ignored: u64,
}

/// Reads a whole source.
pub fn read(bytes: &[u8], contract: &Contract, record_bytes: usize) -> Said {
    let mut said = Said::default();
    let mut count = 0;
    let mut in_array = false;
    let mut at = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    while at < bytes.len() {
        match bytes[at] {
            b' ' | b'\t' | b'\n' | b'\r' | b',' => at += 1,
            b'[' if !in_array => (in_array, at) = (true, at + 1),
            b']' if in_array => (in_array, at) = (false, at + 1),
            _ => {
                count += 1;
                let end = one(bytes, at, in_array, count, (contract, record_bytes), &mut said);
                if bytes.get(end) == Some(&b'[')
                    && said.rejects.last().is_some_and(|last| is_resumed(last, end))
                {
                    in_array = false;
                }
                at = end;
            }
        }
    }
    if in_array {
        let end = bytes.len() as u64;
        said.rejects.push((count + 1, end..end, line(bytes, bytes.len()), Reason::Truncated));
    }
    said
}

fn is_resumed((_, range, _, reason): &(u64, Range<u64>, u64, Reason), end: usize) -> bool {
    let is_broken = matches!(reason, Reason::Syntax | Reason::Truncated | Reason::TooDeep | Reason::TooLarge);
    is_broken && range.end == end as u64
}

fn line(bytes: &[u8], at: usize) -> u64 {
    1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count() as u64
}

/// Reads the record that begins at `begin`; the offset behind it.
fn one(
    bytes: &[u8],
    begin: usize,
    in_array: bool,
    count: u64,
    (contract, most): (&Contract, usize),
    said: &mut Said,
) -> usize {
    let limit = bytes.len().min(begin + most);
    let (error, reason) = match records::value(&bytes[..limit], begin, true) {
        Scan::End(end) => {
            match authority::record(&bytes[begin..end]) {
                Ok(fields) => {
                    let row = said.records.len() as u64;
                    said.records.push(count);
                    let mut leaves = Vec::new();
                    let value = Value::Object("", fields);
                    said.ignored += leaves_of(&value, &Path::root(), contract, &mut leaves);
                    for (identity, text) in leaves {
                        said.values.entry(identity).or_default().insert(row, text);
                    }
                }
                Err(reason) => {
                    said.rejects.push((count, begin as u64..end as u64, line(bytes, begin), reason));
                }
            }
            return end;
        }
        Scan::Error(at) => (at, Reason::Syntax),
        Scan::TooDeep(at) => (at, Reason::TooDeep),
        Scan::Incomplete if limit == begin + most => (limit, Reason::TooLarge),
        Scan::Incomplete => (limit, Reason::Truncated),
    };
    let end = resume(bytes, begin, error, in_array);
    said.rejects.push((count, begin as u64..end as u64, line(bytes, begin), reason));
    end
}

/// The rule of docs/records.md: the first place at which one of its lines holds.
fn resume(bytes: &[u8], begin: usize, error: usize, in_array: bool) -> usize {
    let line_end = (error..bytes.len()).find(|at| bytes[*at] == b'\n').unwrap_or(bytes.len());
    // Open brackets; all that stands outside of strings, without white space, a quote for each string.
    let (mut open, mut outside): (Vec<u8>, Vec<u8>) = (Vec::new(), Vec::new());
    let (mut in_string, mut is_escaped) = (false, false);
    for at in begin..bytes.len() {
        let byte = bytes[at];
        let before = if at > begin { bytes[at - 1] } else { b' ' };
        // (a) and (b) look at neighbours only.
        if before == b'\n' && (byte == b'{' || byte == b'[') {
            return at;
        }
        if (error..=line_end).contains(&at) && before == b'}' && byte == b'{' {
            return at;
        }
        if in_string {
            in_string = byte != b'\n' && (is_escaped || byte != b'"');
            is_escaped = !is_escaped && byte == b'\\';
            continue;
        }
        if at > begin && at >= error {
            let closed_last = outside.iter().rev().find(|byte| **byte != b',');
            let behind_closed = matches!(closed_last, Some(b'}' | b']'));
            let is_free = open.is_empty() && (behind_closed || (in_array && outside.last() == Some(&b',')));
            let needs_key = open.len() <= 64 && open.last() == Some(&b'{');
            let is_place = match byte {
                // (c) and (d), or (e).
                b'{' => is_free || (needs_key && matches!(outside.last(), Some(b',' | b'}' | b']'))),
                b'[' => is_free && !in_array,
                b']' => in_array && open.len() <= 64 && !open.contains(&b'['),
                _ => false,
            };
            if is_place {
                return at;
            }
        }
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {}
            _ => outside.push(byte),
        }
        match byte {
            b'"' => (in_string, is_escaped) = (true, false),
            b'{' | b'[' => open.push(byte),
            b'}' | b']' if open.len() > 64 => drop(open.pop()),
            b'}' => open.truncate(open.iter().rposition(|other| *other == b'{').unwrap_or(open.len())),
            b']' => open.truncate(open.iter().rposition(|other| *other == b'[').unwrap_or(open.len())),
            _ => {}
        }
    }
    bytes.len()
}

/// Adds the leaves of a value; the number of ignored ones.
fn leaves_of(
    value: &Value<'_>,
    path: &Path,
    contract: &Contract,
    leaves: &mut Vec<(Identity, String)>,
) -> u64 {
    let declared =
        contract.columns.iter().find(|declared| declared.path == *path).map(|declared| declared.ty);
    let mut leaf = |kind, text: String| leaves.push((Identity::new(path.clone(), kind), text));
    match (value, declared) {
        (Value::Null, _) => return 0,
        (_, Some(Type::Ignore)) => return 1,
        (Value::Object(text, _), Some(Type::Json)) => leaf(Kind::Json, authority::compact(text).into_owned()),
        (Value::Object(_, fields), _) => {
            let below =
                fields.iter().map(|(key, value)| leaves_of(value, &path.child(key), contract, leaves));
            return below.sum();
        }
        (Value::Array(text), _) => leaf(Kind::Json, authority::compact(text).into_owned()),
        (Value::String(text), Some(Type::Json)) => {
            leaf(Kind::Json, serde_json::to_string(text).expect("text is JSON"));
        }
        (Value::Number(text), Some(Type::Json)) => leaf(Kind::Json, (*text).to_owned()),
        (Value::Boolean(value), Some(Type::Json)) => leaf(Kind::Json, value.to_string()),
        (Value::Boolean(value), Some(Type::String)) => leaf(Kind::String, value.to_string()),
        (Value::Boolean(value), _) => leaf(Kind::Boolean, value.to_string()),
        (Value::String(text), Some(Type::Timestamp)) => match time::micros_of_text(text) {
            Some(micros) => leaf(Kind::Timestamp, micros.to_string()),
            None => leaf(Kind::String, text.clone().into_owned()),
        },
        (Value::String(text), _) => leaf(Kind::String, text.clone().into_owned()),
        (Value::Number(text), Some(Type::String)) => leaf(Kind::String, (*text).to_owned()),
        (Value::Number(text), declared) => {
            let numbers = match declared {
                Some(Type::Bigint) => Numbers::Exact,
                Some(Type::Double) => Numbers::Double,
                _ => contract.numbers,
            };
            let number = number::classify(text, numbers);
            let micros = match number {
                Number::Double(double) => time::micros_of_double(double),
                Number::Long(long) => time::micros_of_long(long),
                Number::Text => None,
            };
            match (number, micros) {
                (_, Some(micros)) if declared == Some(Type::Timestamp) => {
                    leaf(Kind::Timestamp, micros.to_string())
                }
                (Number::Double(double), _) => leaf(Kind::Double, number::print(double)),
                (Number::Long(long), _) => leaf(Kind::Long, long.to_string()),
                (Number::Text, _) => leaf(Kind::String, (*text).to_owned()),
            }
        }
    }
    0
}
