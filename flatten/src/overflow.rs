//! Fields of an object that have no column of their own.
//!
//! In come, row by row, the keys that lead from the object to a value and the value's JSON text; out comes, for each
//! row, one JSON object of them, keys in order of their bytes. Rows of a hostile source each bring their own keys, so
//! the entries live in one run of bytes, not in an allocation each.

use crate::column::Cells;
use crate::path::Kind;

/// Entries of one object, rows ascending.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Overflow {
    entries: Vec<Place>,
    /// Per entry: for each key its length, in 4 bytes, and its bytes; then the text.
    bytes: Vec<u8>,
}

/// Where an entry is in the bytes: its keys begin where the one before ends.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Place {
    row: u32,
    /// Where the keys end and the text begins.
    text: u32,
    end: u32,
}

impl Overflow {
    /// Adds the value `text` found under `keys`, of which there is at least one.
    pub(crate) fn push(&mut self, row: u32, keys: &[&str], text: &str) {
        for key in keys {
            self.push_key(key);
        }
        self.push_text(row, text.as_bytes());
    }

    fn push_key(&mut self, key: &str) {
        self.bytes.extend((key.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(key.as_bytes());
    }

    fn push_text(&mut self, row: u32, text: &[u8]) {
        let begin = self.bytes.len() as u32;
        self.bytes.extend_from_slice(text);
        self.entries.push(Place { row, text: begin, end: self.bytes.len() as u32 });
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes back the entries of `row`, which is the last one.
    pub(crate) fn take_back(&mut self, row: u32) {
        while self.entries.pop_if(|last| last.row == row).is_some() {
            self.bytes.truncate(self.entries.last().map_or(0, |last| last.end as usize));
        }
    }

    /// Adds all entries of `other` under one more key.
    pub(crate) fn push_under(&mut self, key: &str, other: &Overflow) {
        for at in 0..other.entries.len() {
            self.push_key(key);
            self.bytes.extend_from_slice(other.keys(at));
            self.push_text(other.entries[at].row, other.text(at));
        }
    }

    /// The keys of an entry, with their lengths.
    fn keys(&self, at: usize) -> &[u8] {
        let begin = if at == 0 { 0 } else { self.entries[at - 1].end };
        &self.bytes[begin as usize..self.entries[at].text as usize]
    }

    fn text(&self, at: usize) -> &[u8] {
        let Place { text, end, .. } = self.entries[at];
        &self.bytes[text as usize..end as usize]
    }

    /// One JSON object for each row that has entries, rows ascending.
    pub(crate) fn into_cells(self) -> Cells {
        let mut places: Vec<usize> = (0..self.entries.len()).collect();
        // They come in order of rows, but for those that were handed up from another object.
        places.sort_by_key(|at| self.entries[*at].row);
        let mut cells = Cells::new(Kind::Json);
        let mut json = Vec::new();
        let mut last: &[usize] = &[];
        let mut order: Vec<usize> = Vec::new();
        for group in places.chunk_by(|a, b| self.entries[*a].row == self.entries[*b].row) {
            // Most rows have the keys of the row before, and so their order.
            let has_same_keys = last.len() == group.len()
                && last.iter().zip(group).all(|(a, b)| self.keys(*a) == self.keys(*b));
            if !has_same_keys {
                order.clear();
                order.extend(0..group.len());
                order.sort_by(|a, b| keys(self.keys(group[*a])).cmp(keys(self.keys(group[*b]))));
                last = group;
            }
            json.clear();
            self.write_object(order.iter().map(|place| group[*place]), &mut json);
            cells.push_text(self.entries[group[0]].row, &json);
        }
        cells
    }

    /// Writes the sorted entries of one row as nested objects.
    fn write_object(&self, sorted: impl Iterator<Item = usize>, json: &mut Vec<u8>) {
        let mut open: Vec<&[u8]> = Vec::new();
        json.push(b'{');
        for at in sorted {
            let mut parents = keys(self.keys(at)).peekable();
            let mut shared = 0;
            let last = loop {
                let key = parents.next().expect("an entry has a key");
                if parents.peek().is_none() {
                    break key;
                }
                if shared < open.len() && open[shared] == key {
                    shared += 1;
                    continue;
                }
                close(json, open.len() - shared);
                open.truncate(shared);
                separate(json);
                push_key(json, key);
                json.push(b'{');
                open.push(key);
                shared += 1;
            };
            close(json, open.len() - shared);
            open.truncate(shared);
            separate(json);
            push_key(json, last);
            json.extend_from_slice(self.text(at));
        }
        close(json, open.len() + 1);
    }
}

/// The keys of an entry.
fn keys(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk()?;
        let (key, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        bytes = rest;
        Some(key)
    })
}

fn close(json: &mut Vec<u8>, objects: usize) {
    json.extend(std::iter::repeat_n(b'}', objects));
}

/// A comma, unless this is the first in its object.
fn separate(json: &mut Vec<u8>) {
    if !json.ends_with(b"{") {
        json.push(b',');
    }
}

fn push_key(json: &mut Vec<u8>, key: &[u8]) {
    if key.iter().any(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
        let key = std::str::from_utf8(key).expect("keys were pushed as str");
        serde_json::to_writer(&mut *json, key).expect("text is JSON and memory takes it");
    } else {
        json.push(b'"');
        json.extend_from_slice(key);
        json.push(b'"');
    }
    json.push(b':');
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
        assert_eq!(texts.get(0), br#"{"a":"four","b":{"x":{"\"q":[3]},"y":2},"c":5}"#);
        assert_eq!(texts.get(1), br#"{"z":1}"#);
    }
}
