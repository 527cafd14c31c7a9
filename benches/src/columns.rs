//! The columns that rivals fill: the same (row, value) pairs as iotlake's, found by a trie of keys.
//!
//! A rival hands over a key and gets a node, then a value for that node. How the node is found is a choice, so that
//! what is gained by the parser can be told from what is gained by expecting the next record to look like the last.
//! Everything that costs iotlake time and that these data sets do not need is left out, in favour of the rivals: keys
//! that stand twice are not looked for, nothing can be taken back, nothing is bounded.

use hashbrown::HashMap;
use iotlake_flatten::{Kind, Path};
use xxhash_rust::xxh3::xxh3_64_with_seed;

const NONE: u32 = u32::MAX;
const EXACT: u64 = 1 << 53;

/// The record itself.
pub const ROOT: u32 = 0;
/// No key came before in this object.
pub const FIRST: u32 = NONE;

/// How a key's node is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// By hash in its object's table.
    Hash,
    /// By comparing with the key that came here last time, by hash if it is another.
    Expect,
}

#[derive(Debug)]
struct Node {
    key: Box<str>,
    parent: u32,
    children: HashMap<Box<str>, u32>,
    places: [u32; 4],
    first: u32,
    next: u32,
}

#[derive(Debug)]
struct Column {
    node: u32,
    rows: Vec<u32>,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Double(Vec<f64>),
    Long(Vec<i64>),
    Boolean(Vec<bool>),
    Text { ends: Vec<u32>, bytes: Vec<u8> },
}

/// Columns under construction.
#[derive(Debug)]
pub struct Columns {
    lookup: Lookup,
    nodes: Vec<Node>,
    columns: Vec<Column>,
    rows: u32,
}

impl Columns {
    /// No columns.
    pub fn new(lookup: Lookup) -> Columns {
        Columns { lookup, nodes: vec![Node::new("", NONE)], columns: Vec::new(), rows: 0 }
    }

    /// The node of `key` in the object at `node`, where `previous` came before it, or [`FIRST`].
    #[inline]
    pub fn child(&mut self, node: u32, previous: u32, key: &str) -> u32 {
        if self.lookup == Lookup::Hash {
            return self.find(node, key);
        }
        let guess = match previous {
            FIRST => self.nodes[node as usize].first,
            _ => self.nodes[previous as usize].next,
        };
        if guess != NONE && *self.nodes[guess as usize].key == *key {
            return guess;
        }
        let child = self.find(node, key);
        match previous {
            FIRST => self.nodes[node as usize].first = child,
            _ => self.nodes[previous as usize].next = child,
        }
        child
    }

    #[inline]
    fn find(&mut self, node: u32, key: &str) -> u32 {
        match self.nodes[node as usize].children.get(key) {
            Some(child) => *child,
            None => self.add(node, key),
        }
    }

    #[cold]
    fn add(&mut self, parent: u32, key: &str) -> u32 {
        let child = self.nodes.len() as u32;
        self.nodes.push(Node::new(key, parent));
        self.nodes[parent as usize].children.insert(key.into(), child);
        child
    }

    #[inline]
    fn column(&mut self, node: u32, kind: Kind) -> &mut Column {
        let place = self.nodes[node as usize].places[kind as usize];
        if place == NONE {
            return self.add_column(node, kind);
        }
        &mut self.columns[place as usize]
    }

    #[cold]
    fn add_column(&mut self, node: u32, kind: Kind) -> &mut Column {
        let values = match kind {
            Kind::Double => Values::Double(Vec::new()),
            Kind::Long => Values::Long(Vec::new()),
            Kind::Boolean => Values::Boolean(Vec::new()),
            Kind::String => Values::Text { ends: Vec::new(), bytes: Vec::new() },
            Kind::Json | Kind::Timestamp => unreachable!("the data sets have neither"),
        };
        self.nodes[node as usize].places[kind as usize] = self.columns.len() as u32;
        self.columns.push(Column { node, rows: Vec::new(), values });
        self.columns.last_mut().expect("just added")
    }

    /// Adds a number with a fraction or an exponent.
    #[inline]
    pub fn push_double(&mut self, node: u32, value: f64) {
        let row = self.rows;
        let column = self.column(node, Kind::Double);
        let Values::Double(values) = &mut column.values else { unreachable!("a column has one kind") };
        column.rows.push(row);
        values.push(value);
    }

    /// Adds an integer: a double while that is exact, a long otherwise.
    #[inline]
    pub fn push_integer(&mut self, node: u32, value: i64) {
        if value.unsigned_abs() <= EXACT {
            return self.push_double(node, value as f64);
        }
        let row = self.rows;
        let column = self.column(node, Kind::Long);
        let Values::Long(values) = &mut column.values else { unreachable!("a column has one kind") };
        column.rows.push(row);
        values.push(value);
    }

    /// Adds `true` or `false`.
    #[inline]
    pub fn push_boolean(&mut self, node: u32, value: bool) {
        let row = self.rows;
        let column = self.column(node, Kind::Boolean);
        let Values::Boolean(values) = &mut column.values else { unreachable!("a column has one kind") };
        column.rows.push(row);
        values.push(value);
    }

    /// Adds a string.
    #[inline]
    pub fn push_text(&mut self, node: u32, value: &str) {
        let row = self.rows;
        let column = self.column(node, Kind::String);
        let Values::Text { ends, bytes } = &mut column.values else { unreachable!("a column has one kind") };
        column.rows.push(row);
        bytes.extend_from_slice(value.as_bytes());
        ends.push(bytes.len() as u32);
    }

    /// Ends a record.
    #[inline]
    pub fn end_row(&mut self) {
        self.rows += 1;
    }

    /// Number of records ended.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Path, kind, rows and values of each column.
    pub fn iter(&self) -> impl Iterator<Item = (Path, Kind, &[u32], AnyValues<'_>)> {
        self.columns.iter().map(|column| {
            let (kind, values) = match &column.values {
                Values::Double(values) => (Kind::Double, AnyValues::Double(values)),
                Values::Long(values) => (Kind::Long, AnyValues::Long(values)),
                Values::Boolean(values) => (Kind::Boolean, AnyValues::Boolean(values)),
                Values::Text { ends, bytes } => (Kind::String, AnyValues::Text(ends, bytes)),
            };
            (self.path(column.node), kind, &column.rows[..], values)
        })
    }

    fn path(&self, mut node: u32) -> Path {
        let mut keys = Vec::new();
        while node != ROOT {
            keys.push(&*self.nodes[node as usize].key);
            node = self.nodes[node as usize].parent;
        }
        keys.reverse();
        Path::new(keys)
    }
}

impl Node {
    fn new(key: &str, parent: u32) -> Node {
        Node { key: key.into(), parent, children: HashMap::new(), places: [NONE; 4], first: NONE, next: NONE }
    }
}

/// The values of a column, iotlake's or a rival's.
#[derive(Clone, Copy)]
pub enum AnyValues<'a> {
    /// Doubles.
    Double(&'a [f64]),
    /// Longs.
    Long(&'a [i64]),
    /// Booleans.
    Boolean(&'a [bool]),
    /// Where each text ends, and all texts one behind the other.
    Text(&'a [u32], &'a [u8]),
}

impl AnyValues<'_> {
    /// The checksum of value `at`, which stands in this row.
    pub fn hash(&self, at: usize, row: u64) -> u64 {
        match self {
            AnyValues::Double(values) => xxh3_64_with_seed(&values[at].to_bits().to_le_bytes(), row),
            AnyValues::Long(values) => xxh3_64_with_seed(&values[at].to_le_bytes(), row),
            AnyValues::Boolean(values) => xxh3_64_with_seed(&[u8::from(values[at])], row),
            AnyValues::Text(ends, bytes) => {
                let begin = if at == 0 { 0 } else { ends[at - 1] as usize };
                xxh3_64_with_seed(&bytes[begin..ends[at] as usize], row)
            }
        }
    }
}

impl<'a> From<&'a iotlake_flatten::Values> for AnyValues<'a> {
    fn from(values: &'a iotlake_flatten::Values) -> AnyValues<'a> {
        match values {
            iotlake_flatten::Values::Double(values) => AnyValues::Double(values),
            iotlake_flatten::Values::Long(values) => AnyValues::Long(values),
            iotlake_flatten::Values::Boolean(values) => AnyValues::Boolean(values),
            iotlake_flatten::Values::Text(texts) => AnyValues::Text(texts.ends(), texts.bytes()),
        }
    }
}
