//! Fields of an object that have no column of their own.
//!
//! In come, row by row, the keys that lead from the object to a value and the value's JSON text; out comes, for each
//! row, one JSON object of them, keys in order of their bytes. Rows of a hostile source each bring their own keys, so
//! the entries live in one run of bytes, not in an allocation each, and the keys in a [`Trie`], each once.
//!
//! What must stay true: memory is that of the texts and keys as they came: a key that others lie below is kept once for
//! all of them, the last one with its value.

use std::cmp::Ordering;

use crate::column::Cells;
use crate::path::Kind;
use crate::trie::{TOP, Trie};

/// Entries of one object, rows ascending but for those that were handed up from another object.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overflow {
    entries: Vec<Entry>,
    /// The objects that the entries are fields of.
    objects: Trie,
    /// For each entry its key and its text.
    bytes: Vec<u8>,
}

/// Where an entry is in the bytes: it begins where the one before ends.
#[derive(Debug, Clone, Copy)]
struct Entry {
    row: u32,
    object: u32,
    /// Where the key ends and the text begins.
    text: usize,
    end: usize,
}

/// Two are equal if they say the same of each row, whether an object came as a whole or field by field.
impl PartialEq for Overflow {
    fn eq(&self, other: &Overflow) -> bool {
        self.clone().into_cells() == other.clone().into_cells()
    }
}

impl Overflow {
    /// The object that these keys lead to, from the one whose overflow this is; to push its fields.
    pub(crate) fn object<'k>(&mut self, keys: impl IntoIterator<Item = &'k str>) -> u32 {
        keys.into_iter().fold(TOP, |place, key| self.objects.ensure(place, key))
    }

    /// The object that `key` leads to from `object`.
    pub(crate) fn object_in(&mut self, object: u32, key: &str) -> u32 {
        self.objects.ensure(object, key)
    }

    /// Adds a field of `object`, whose value `write` writes.
    pub(crate) fn push(&mut self, row: u32, object: u32, key: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.bytes.extend_from_slice(key.as_bytes());
        let text = self.bytes.len();
        write(&mut self.bytes);
        self.entries.push(Entry { row, object, text, end: self.bytes.len() });
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes back the entries of `row`, which is the last one.
    pub(crate) fn take_back(&mut self, row: u32) {
        while self.entries.pop_if(|last| last.row == row).is_some() {
            self.bytes.truncate(self.entries.last().map_or(0, |last| last.end));
        }
    }

    /// Adds all entries of `other` under further keys; their rows count from `base`.
    pub(crate) fn append<'k>(
        &mut self,
        under: impl IntoIterator<Item = &'k str>,
        other: &Overflow,
        base: u32,
    ) {
        let under = self.object(under);
        // Parents come before their children.
        let mut places = vec![under; other.objects.len()];
        for place in 1..other.objects.len() as u32 {
            let parent = places[other.objects.parent(place) as usize];
            places[place as usize] = self.objects.ensure(parent, other.objects.key(place));
        }
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.entries.extend(other.entries.iter().map(|entry| Entry {
            row: base + entry.row,
            object: places[entry.object as usize],
            text: begin + entry.text,
            end: begin + entry.end,
        }));
    }

    /// The last key of an entry.
    fn key(&self, at: usize) -> &str {
        let begin = if at == 0 { 0 } else { self.entries[at - 1].end };
        let key = &self.bytes[begin..self.entries[at].text];
        std::str::from_utf8(key).expect("keys were pushed as str")
    }

    fn text(&self, at: usize) -> &[u8] {
        let Entry { text, end, .. } = self.entries[at];
        &self.bytes[text..end]
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
                && last.iter().zip(group).all(|(a, b)| self.compare(*a, *b).is_eq());
            if !has_same_keys {
                order.clear();
                order.extend(0..group.len());
                order.sort_by(|a, b| self.compare(group[*a], group[*b]));
                last = group;
            }
            json.clear();
            self.write_object(order.iter().map(|place| group[*place]), &mut json);
            cells.push_text(self.entries[group[0]].row, &json);
        }
        cells
    }

    /// Compares the keys of two entries.
    fn compare(&self, one: usize, other: usize) -> Ordering {
        let (object, of_other) = (self.entries[one].object, self.entries[other].object);
        if object == of_other {
            return self.key(one).as_bytes().cmp(self.key(other).as_bytes());
        }
        match self.objects.depth(object).cmp(&self.objects.depth(of_other)) {
            Ordering::Equal => self.objects.compare(object, of_other),
            Ordering::Greater => self.compare(other, one).reverse(),
            Ordering::Less => {
                let depth = self.objects.depth(object) + 1;
                let mut above = self.objects.upwards(of_other);
                let below = above.find(|place| self.objects.depth(*place) == depth).expect("it is deeper");
                match self.objects.parent(below) {
                    parent if parent == object => self.key(one).cmp(self.objects.key(below)),
                    parent => self.objects.compare(object, parent),
                }
            }
        }
    }

    /// Writes the sorted entries of one row as nested objects.
    fn write_object(&self, sorted: impl Iterator<Item = usize>, json: &mut Vec<u8>) {
        // The objects that are open below the outermost, and those the next entry is in.
        let (mut open, mut around): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
        json.push(b'{');
        for at in sorted {
            let object = self.entries[at].object;
            if open.last().copied().unwrap_or(TOP) != object {
                around.clear();
                around.extend(self.objects.upwards(object));
                around.reverse();
                let shared = open.iter().zip(&around).take_while(|(a, b)| a == b).count();
                close(json, open.len() - shared);
                open.truncate(shared);
                for place in &around[shared..] {
                    separate(json);
                    push_key(json, self.objects.key(*place));
                    json.push(b'{');
                    open.push(*place);
                }
            }
            separate(json);
            push_key(json, self.key(at));
            json.extend_from_slice(self.text(at));
        }
        close(json, open.len() + 1);
    }
}

fn close(json: &mut Vec<u8>, objects: usize) {
    json.extend(std::iter::repeat_n(b'}', objects));
}

/// A comma, unless this is the first in its object.
pub(crate) fn separate(json: &mut Vec<u8>) {
    if !json.ends_with(b"{") {
        json.push(b',');
    }
}

/// A key with its colon.
pub(crate) fn push_key(json: &mut Vec<u8>, key: &str) {
    if key.bytes().any(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
        serde_json::to_writer(&mut *json, key).expect("text is JSON and memory takes it");
    } else {
        json.push(b'"');
        json.extend_from_slice(key.as_bytes());
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
        let mut push = |row, keys: &[&str], text: &str| {
            let (key, object) = keys.split_last().unwrap();
            let object = overflow.object(object.iter().copied());
            overflow.push(row, object, key, |bytes| bytes.extend_from_slice(text.as_bytes()));
        };
        push(3, &["z"], "1");
        push(1, &["b", "y"], "2");
        push(1, &["b", "x", "\"q"], "[3]");
        push(1, &["a"], "\"four\"");
        push(1, &["c"], "5");
        push(1, &["b", "x", "a", "b"], "6");
        push(1, &["b", "xx"], "7");
        let cells = overflow.into_cells();
        assert_eq!(cells.rows, [1, 3]);
        let Values::Text(texts) = cells.values else { panic!() };
        assert_eq!(texts.get(0), br#"{"a":"four","b":{"x":{"\"q":[3],"a":{"b":6}},"xx":7,"y":2},"c":5}"#);
        assert_eq!(texts.get(1), br#"{"z":1}"#);
    }
    #[test]
    fn entries_that_are_handed_up_keep_their_rows_and_their_keys_are_there_once() {
        let long = "k".repeat(10_000);
        let mut below = Overflow::default();
        for row in 0..1000 {
            let object = below.object([long.as_str()]);
            below.push(row, object, "x", |bytes| bytes.push(b'1'));
        }
        let mut above = Overflow::default();
        above.append(["a", "b"], &below, 7);
        assert_eq!((above.objects.len(), above.bytes.len()), (4, 2000));
        let cells = above.into_cells();
        assert_eq!((cells.rows[0], cells.rows[999]), (7, 1006));
        let Values::Text(texts) = cells.values else { panic!() };
        assert_eq!(texts.get(3), format!("{{\"a\":{{\"b\":{{\"{long}\":{{\"x\":1}}}}}}}}").as_bytes());
    }

    #[test]
    fn two_are_equal_if_they_say_the_same() {
        let of = |entries: &[(u32, &[&str], &str)]| {
            let mut overflow = Overflow::default();
            for (row, keys, text) in entries {
                let (key, object) = keys.split_last().unwrap();
                let object = overflow.object(object.iter().copied());
                overflow.push(*row, object, key, |json| json.extend_from_slice(text.as_bytes()));
            }
            overflow
        };
        let fields = of(&[(0, &["a", "b"], "1"), (0, &["a", "c"], "2")]);
        assert_eq!(fields, of(&[(0, &["a"], "{\"b\":1,\"c\":2}")]));
        assert_ne!(fields, of(&[(0, &["a", "b"], "1"), (1, &["a", "c"], "2")]));
        let mut more = of(&[(0, &["a", "c"], "2"), (0, &["a", "b"], "1"), (1, &["d"], "3")]);
        more.take_back(1);
        assert_eq!(fields, more);
    }
}
