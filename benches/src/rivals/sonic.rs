//! sonic-rs: its document of each line, walked into columns. (Its deserializer is in [`super::serde`].)
//!
//! sonic-rs chooses its instructions when it is compiled, not when it runs: build with `-C target-cpu=native` to see
//! what it can do.

use sonic_rs::{JsonNumberTrait, Value, ValueRef};

use super::lines;
use crate::columns::{Columns, FIRST, Lookup, ROOT};

/// Line by line.
pub fn documents(bytes: &[u8], lookup: Lookup) -> Columns {
    let mut columns = Columns::new(lookup);
    for line in lines(bytes) {
        let value: Value = sonic_rs::from_slice(line).expect("the data sets are clean");
        push_value(&mut columns, ROOT, &value);
        columns.end_row();
    }
    columns
}

fn push_value(columns: &mut Columns, node: u32, value: &Value) {
    match value.as_ref() {
        ValueRef::Object(object) => {
            let mut previous = FIRST;
            for (key, value) in object.iter() {
                let child = columns.child(node, previous, key);
                push_value(columns, child, value);
                previous = child;
            }
        }
        ValueRef::String(text) => columns.push_text(node, text),
        ValueRef::Number(number) => match number.as_i64() {
            Some(integer) => columns.push_integer(node, integer),
            None => columns.push_double(node, number.as_f64().expect("no data set has such numbers")),
        },
        ValueRef::Bool(value) => columns.push_boolean(node, value),
        ValueRef::Null => {}
        ValueRef::Array(_) => panic!("no data set has arrays"),
    }
}
