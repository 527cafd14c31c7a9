//! A serde visitor that puts values straight into columns, and two parsers that drive it.
//!
//! No tree of values is made and no key is allocated: this is as much as serde can do for the purpose.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use super::lines;
use crate::columns::{Columns, FIRST, Lookup, ROOT};

/// serde_json drives the visitor, line by line.
pub fn serde_json(bytes: &[u8], lookup: Lookup) -> Columns {
    let mut columns = Columns::new(lookup);
    for line in lines(bytes) {
        let mut parser = serde_json::Deserializer::from_slice(line);
        let value = Value { columns: &mut columns, node: ROOT };
        value.deserialize(&mut parser).and_then(|()| parser.end()).expect("the data sets are clean");
        columns.end_row();
    }
    columns
}

/// sonic-rs drives the same visitor, line by line.
pub fn sonic(bytes: &[u8], lookup: Lookup) -> Columns {
    let mut columns = Columns::new(lookup);
    for line in lines(bytes) {
        let mut parser = sonic_rs::Deserializer::from_slice(line);
        let value = Value { columns: &mut columns, node: ROOT };
        value.deserialize(&mut parser).and_then(|()| parser.end()).expect("the data sets are clean");
        columns.end_row();
    }
    columns
}

/// A value at a node.
struct Value<'a> {
    columns: &'a mut Columns,
    node: u32,
}

/// A key in the object at `node`, behind `previous`; gives the node it leads to.
struct Key<'a> {
    columns: &'a mut Columns,
    node: u32,
    previous: u32,
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar or an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Value { columns, node } = self;
        let mut previous = FIRST;
        while let Some(child) = map.next_key_seed(Key { columns, node, previous })? {
            map.next_value_seed(Value { columns, node: child })?;
            previous = child;
        }
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.columns.push_double(self.node, value);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.columns.push_integer(self.node, value);
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        let value = i64::try_from(value).map_err(E::custom)?;
        self.columns.push_integer(self.node, value);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.columns.push_boolean(self.node, value);
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.columns.push_text(self.node, value);
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = u32;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u32, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<u32, E> {
        Ok(self.columns.child(self.node, self.previous, key))
    }
}
