//! Fields of an object that have no column of their own.
//!
//! In come, row by row, the keys that lead from the object to a value and the value's JSON text; out comes, for each
//! row, one JSON object of them, keys in order of their bytes. Rows of a hostile source each bring their own keys, so
//! the entries live in one run of bytes, not in an allocation each.

use crate::column::Cells;
use crate::path::Kind;

/// Entries of one object, in any order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Overflow {
    /// Row, and the end of the entry in `bytes`.
    entries: Vec<(u32, u32)>,
    /// Per entry: number of keys, then for each its length and bytes, then the text. Numbers are 4 bytes.
    bytes: Vec<u8>,
}

struct Entry<'a> {
    keys: Vec<&'a str>,
    text: &'a str,
}

impl Overflow {
    /// Adds the value `text` found under `keys`, of which there is at least one.
    pub(crate) fn push(&mut self, row: u32, keys: &[&str], text: &str) {
        let number = |length: usize| (length as u32).to_le_bytes();
        self.bytes.extend(number(keys.len()));
        for key in keys {
            self.bytes.extend(number(key.len()));
            self.bytes.extend_from_slice(key.as_bytes());
        }
        self.bytes.extend_from_slice(text.as_bytes());
        self.entries.push((row, self.bytes.len() as u32));
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes back the entries of `row`, which is the last one.
    pub(crate) fn take_back(&mut self, row: u32) {
        while self.entries.pop_if(|(last, _)| *last == row).is_some() {
            self.bytes.truncate(self.entries.last().map_or(0, |(_, end)| *end as usize));
        }
    }

    /// Adds all entries of `other` under one more key.
    pub(crate) fn push_under(&mut self, key: &str, other: &Overflow) {
        for at in 0..other.entries.len() {
            let Entry { keys, text } = other.entry(at);
            let keys: Vec<&str> = [key].into_iter().chain(keys).collect();
            self.push(other.entries[at].0, &keys, text);
        }
    }

    fn entry(&self, at: usize) -> Entry<'_> {
        let begin = if at == 0 { 0 } else { self.entries[at - 1].1 as usize };
        let mut rest = &self.bytes[begin..self.entries[at].1 as usize];
        let mut take = |length: usize| {
            let (taken, behind) = rest.split_at(length);
            rest = behind;
            taken
        };
        let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four bytes")) as usize;
        let count = number(take(4));
        let mut keys = Vec::with_capacity(count);
        for _ in 0..count {
            let length = number(take(4));
            keys.push(text(take(length)));
        }
        Entry { keys, text: text(rest) }
    }

    /// One JSON object for each row that has entries, rows ascending.
    pub(crate) fn into_cells(self) -> Cells {
        let mut order: Vec<u32> = (0..self.entries.len() as u32).collect();
        order.sort_by(|a, b| {
            let (a, b) = (*a as usize, *b as usize);
            let rows = self.entries[a].0.cmp(&self.entries[b].0);
            rows.then_with(|| self.entry(a).keys.cmp(&self.entry(b).keys))
        });
        let mut cells = Cells::new(Kind::Json);
        let mut json = String::new();
        let same_row = |a: &u32, b: &u32| self.entries[*a as usize].0 == self.entries[*b as usize].0;
        for group in order.chunk_by(same_row) {
            json.clear();
            self.write_object(group, &mut json);
            cells.push_text(self.entries[group[0] as usize].0, json.as_bytes());
        }
        cells
    }

    /// Writes the sorted entries of one row as nested objects.
    fn write_object(&self, sorted: &[u32], json: &mut String) {
        let mut open: Vec<String> = Vec::new();
        json.push('{');
        for (i, at) in sorted.iter().enumerate() {
            let Entry { keys, text } = self.entry(*at as usize);
            let (last, parents) = keys.split_last().expect("an entry has a key");
            let shared = open.iter().zip(parents).take_while(|(open, key)| open.as_str() == **key).count();
            json.extend(std::iter::repeat_n('}', open.len() - shared));
            open.truncate(shared);
            if i > 0 {
                json.push(',');
            }
            for key in &parents[shared..] {
                push_key(json, key);
                json.push('{');
                open.push((*key).to_owned());
            }
            push_key(json, last);
            json.push_str(text);
        }
        json.extend(std::iter::repeat_n('}', open.len() + 1));
    }
}

fn push_key(json: &mut String, key: &str) {
    json.push_str(&serde_json::to_string(key).expect("text is JSON"));
    json.push(':');
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("keys and texts were pushed as str")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::Values;

    #[test]
    fn each_row_becomes_one_object_with_keys_in_order() {
        let mut overflow = Overflow::default();
        overflow.push(3, &["z"], "1");
        overflow.push(1, &["b", "y"], "2");
        overflow.push(1, &["b", "x", "\"q"], "[3]");
        overflow.push(1, &["a"], "\"four\"");
        overflow.push(1, &["c"], "5");
        let cells = overflow.into_cells();
        assert_eq!(cells.rows, [1, 3]);
        let Values::Text(texts) = cells.values else { panic!() };
        assert_eq!(text(texts.get(0)), r#"{"a":"four","b":{"x":{"\"q":[3]},"y":2},"c":5}"#);
        assert_eq!(text(texts.get(1)), r#"{"z":1}"#);
    }
}
