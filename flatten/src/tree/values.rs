//! Where a value belongs, by what it is and by what the contract declares for its path.
//!
//! In come values with the node of their path; out go cells of columns, and what finds no column goes to the overflow of
//! its object or, where there is no more room, of the record itself. What must stay true: a value is kept in exactly one
//! place; one that is kept as JSON is what its columns, taken out again, would have said.

use std::borrow::Cow;

use super::{Full, NodeId, Tree};
use crate::authority::{Value, compact};
use crate::contract::{Numbers, Type};
use crate::number::{self, Number};
use crate::overflow::{self, Overflow};
use crate::path::Kind;
use crate::time;
use crate::trie::TOP;

impl Tree {
    /// Adds all fields of an object, which [`crate::authority`] has found to be in order.
    pub(crate) fn push_fields(&mut self, node: NodeId, fields: &[(Cow<'_, str>, Value<'_>)]) {
        for (key, value) in fields {
            let child = match self.child(node, key.as_bytes()) {
                Some(child) => child,
                None if !has_leaf(value) => continue,
                None if self.refuses(node, key) => {
                    self.push_refused(node, key, value);
                    continue;
                }
                None if self.is_full() => {
                    self.push_overflow(node, key, value);
                    continue;
                }
                None => self.add(node, (&**key).into()),
            };
            match value {
                Value::Object(_, fields) if !self.takes_objects(child) => self.push_fields(child, fields),
                value => {
                    if self.push_value(child, value).is_err() {
                        self.push_overflow(node, key, value);
                    }
                }
            }
        }
    }

    /// Whether the contract wants objects at `node` as they are.
    pub(crate) fn takes_objects(&self, node: NodeId) -> bool {
        matches!(self.nodes[node].declared, Some(Type::Json | Type::Ignore))
    }

    /// Adds a value that is not an object with fields of its own where it belongs.
    pub(crate) fn push_value(&mut self, node: NodeId, value: &Value<'_>) -> Result<(), Full> {
        let declared = self.nodes[node].declared;
        match (declared, value) {
            (_, Value::Null) => Ok(()),
            (Some(Type::Ignore), _) => {
                self.ignored_now += 1;
                Ok(())
            }
            (Some(Type::Json), value) => self.push_text(node, Kind::Json, json_text(value).as_bytes()),
            (_, Value::Array(text) | Value::Object(text, _)) => {
                self.push_text(node, Kind::Json, compact(text).as_bytes())
            }
            (Some(Type::String), Value::Number(text)) => self.push_text(node, Kind::String, text.as_bytes()),
            (Some(Type::String), Value::Boolean(value)) => {
                let word: &[u8] = if *value { b"true" } else { b"false" };
                self.push_text(node, Kind::String, word)
            }
            (_, Value::Boolean(value)) => self.push_boolean(node, *value),
            (Some(Type::Timestamp), Value::String(text)) => match time::micros_of_text(text) {
                Some(micros) => self.push_timestamp(node, micros),
                None => self.push_text(node, Kind::String, text.as_bytes()),
            },
            (_, Value::String(text)) => self.push_text(node, Kind::String, text.as_bytes()),
            (_, Value::Number(text)) => self.push_number(node, text),
        }
    }

    /// Adds a number where the contract wants it.
    pub(crate) fn push_number(&mut self, node: NodeId, text: &str) -> Result<(), Full> {
        let declared = self.nodes[node].declared;
        let numbers = match declared {
            Some(Type::Bigint) => Numbers::Exact,
            Some(Type::Double) => Numbers::Double,
            _ => self.numbers,
        };
        let number = number::classify(text, numbers);
        if declared == Some(Type::Timestamp) {
            let micros = match number {
                Number::Double(double) => time::micros_of_double(double),
                Number::Long(long) => time::micros_of_long(long),
                Number::Text => None,
            };
            if let Some(micros) = micros {
                return self.push_timestamp(node, micros);
            }
        }
        match number {
            Number::Double(double) => self.push_double(node, double),
            Number::Long(long) => self.push_long(node, long),
            Number::Text => self.push_text(node, Kind::String, text.as_bytes()),
        }
    }

    /// Keeps a field of the object at `node` that no column has room for with the record itself.
    fn push_overflow(&mut self, node: NodeId, key: &str, value: &Value<'_>) {
        self.spilled_now = true;
        let numbers = self.numbers;
        let object = self.place_in_record(node);
        let row = self.rows;
        let overflow = self.overflow_of(NodeId::ROOT);
        overflow.push(row, object, key, |json| _ = push_json(json, value, numbers));
    }

    /// The place of the object at `node` in the overflow of the record itself.
    fn place_in_record(&mut self, node: NodeId) -> u32 {
        if node == NodeId::ROOT {
            return TOP;
        }
        if let Some(place) = self.places_of_record.get(&node) {
            return *place;
        }
        self.work += 1;
        let above = self.place_in_record(self.nodes[node].parent);
        let overflow = self.overflow.entry(NodeId::ROOT).or_default();
        let place = overflow.object_in(above, &self.nodes[node].key);
        self.places_of_record.insert(node, place);
        place
    }

    /// The overflow of the object at `node`, which the current record is about to add to.
    fn overflow_of(&mut self, node: NodeId) -> &mut Overflow {
        if self.overflowed.last() != Some(&node) {
            self.overflowed.push(node);
        }
        let overflow = self.overflow.entry(node).or_default();
        self.filled += usize::from(overflow.is_empty() && node != NodeId::ROOT);
        overflow
    }

    /// Whether the object at `node` may have an overflow of its own.
    fn has_room_for_overflow(&self, node: NodeId) -> bool {
        !self.is_full() || self.overflow.get(&node).is_some_and(|overflow| !overflow.is_empty())
    }

    /// Keeps a field of the object at `node` that [`Tree::refuses`] to give a column.
    pub(crate) fn push_refused(&mut self, node: NodeId, key: &str, value: &Value<'_>) {
        if !has_leaf(value) {
            return;
        }
        if !self.has_room_for_overflow(node) {
            return self.push_overflow(node, key, value);
        }
        let (row, numbers) = (self.rows, self.numbers);
        let overflow = self.overflow_of(node);
        overflow.push(row, TOP, key, |json| _ = push_json(json, value, numbers));
    }

    /// The same for an integer that is exact as a double, whose text is what a column would print.
    pub(crate) fn push_refused_integer(&mut self, node: NodeId, key: &str, text: &str) {
        if !self.has_room_for_overflow(node) {
            return self.push_overflow(node, key, &Value::Number(text));
        }
        let row = self.rows;
        let overflow = self.overflow_of(node);
        overflow.push(row, TOP, key, |json| json.extend_from_slice(text.as_bytes()));
    }
}

/// The compact text of a value, as a `json` column keeps it.
pub(crate) fn json_text(value: &Value<'_>) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Boolean(value) => value.to_string(),
        Value::Number(text) => (*text).into(),
        Value::String(text) => serde_json::to_string(text).expect("text is JSON"),
        Value::Array(text) | Value::Object(text, _) => compact(text).into_owned(),
    }
}

/// Whether anything in a value would make a column.
fn has_leaf(value: &Value<'_>) -> bool {
    match value {
        Value::Null => false,
        Value::Object(_, fields) => fields.iter().any(|(_, value)| has_leaf(value)),
        _ => true,
    }
}

/// Writes a value that has no column, as columns that are taken out again would have left it: no nulls, no empty
/// objects, keys in order. `false`, and nothing written, if that leaves nothing.
fn push_json(json: &mut Vec<u8>, value: &Value<'_>, numbers: Numbers) -> bool {
    match value {
        Value::Null => return false,
        Value::Object(_, fields) => {
            let begin = json.len();
            let mut fields: Vec<&(Cow<'_, str>, Value<'_>)> = fields.iter().collect();
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            json.push(b'{');
            let mut has_leaf = false;
            for (key, value) in fields {
                let end = json.len();
                overflow::separate(json);
                overflow::push_key(json, key);
                if push_json(json, value, numbers) {
                    has_leaf = true;
                } else {
                    json.truncate(end);
                }
            }
            json.push(b'}');
            if !has_leaf {
                json.truncate(begin);
            }
            return has_leaf;
        }
        Value::Number(text) => match number::classify(text, numbers) {
            Number::Double(double) => json.extend_from_slice(number::print(double).as_bytes()),
            Number::Long(long) => json.extend_from_slice(long.to_string().as_bytes()),
            Number::Text => serde_json::to_writer(json, text).expect("text is JSON and memory takes it"),
        },
        other => json.extend_from_slice(json_text(other).as_bytes()),
    }
    true
}
