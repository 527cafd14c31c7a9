//! The columns of a part under construction, found by path.
//!
//! Every key ever seen under an object is a node; a node leads to the columns of its path, one per kind. In come
//! values with their node and the row they belong to; out comes, at the end of a part, a [`crate::Part`] with a column for
//! every identity that has values. The nodes stay from part to part: devices repeat their shape, and what was learnt
//! about it (which key follows which) serves the next record.
//!
//! What must stay true: a record that turns out to be unfit leaves nothing in the columns ([`Tree::roll_back`]). The
//! number of columns that have values and of objects that have overflow is bounded ([`Limits::discovered`]); values
//! beyond it go to the record's own overflow, unless the table already has their column. Nodes decide nothing: which of them exist depends on what was tried before, and
//! the result must not.

mod parts;
mod shape;

use std::borrow::Cow;
use std::sync::Arc;

use foldhash::HashMap;

use crate::authority::{Value, compact};
use crate::column::Cells;
use crate::contract::{Numbers, Type};
use crate::number::{self, Number};
use crate::options::Limits;
use crate::overflow::{self, Overflow};
use crate::path::{Kind, Path};
use crate::schema::Schema;
use crate::time;
use crate::trie::TOP;
pub(crate) use shape::Guesses;
use shape::Node;

/// "No node" and "no column".
pub(crate) const NONE: u32 = u32::MAX;
/// The record itself.
pub(crate) const ROOT: u32 = 0;
/// Objects with more keys than this find them by hash instead of one by one.
const FEW_KEYS: usize = 8;

/// There is no room for another column.
#[derive(Debug)]
pub(crate) struct Full;

#[derive(Debug, Clone)]
struct Column {
    node: u32,
    kind: Kind,
    cells: Cells,
}

/// All nodes and columns.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    schema: Arc<Schema>,
    limits: Limits,
    pub(crate) nodes: Vec<Node>,
    columns: Vec<Column>,
    /// Columns that have a value in this part, and objects below the record's own that have overflow.
    filled: usize,
    /// As many as were left when the part was last fitted to the table's limits.
    fitted: usize,
    /// As many nodes as may be remembered.
    remembered: usize,
    /// Fields without a column, by the node of their object.
    overflow: HashMap<u32, Overflow>,
    /// Nodes to whose overflow the current record has added.
    overflowed: Vec<u32>,
    /// An object and its place in the overflow of the record itself: the one that was needed last.
    place_of_record: (u32, u32),
    /// Columns the current record has added a cell to.
    touched: Vec<u32>,
    pub(crate) numbers: Numbers,
    /// Room for a text without its escapes.
    pub(crate) unescaped: Vec<u8>,
    /// Serial of the current record.
    pub(crate) serial: u64,
    /// Rows so far; the row of the current record.
    rows: u32,
    ignored: u64,
    /// Values ignored by the current record.
    ignored_now: u64,
    /// Whether anything was decided by the bound on columns, and so by the schema this tree was made for.
    spilled: bool,
    /// The same for the current record.
    spilled_now: bool,
    /// Nodes looked at, and values moved, to make room.
    pub(crate) work: u64,
}

impl Tree {
    pub(crate) fn new(schema: Arc<Schema>, limits: Limits) -> Tree {
        let numbers = schema.contract().numbers;
        let mut tree = Tree {
            schema,
            limits,
            nodes: Vec::new(),
            columns: Vec::new(),
            filled: 0,
            fitted: 0,
            remembered: 0,
            overflow: HashMap::default(),
            overflowed: Vec::new(),
            place_of_record: (ROOT, TOP),
            touched: Vec::new(),
            numbers,
            unescaped: Vec::new(),
            serial: 0,
            rows: 0,
            ignored: 0,
            ignored_now: 0,
            spilled: false,
            spilled_now: false,
            work: 0,
        };
        tree.plant();
        tree
    }

    /// Sets the nodes to those of the table's columns and declared paths.
    fn plant(&mut self) {
        self.nodes = vec![Node::new("".into(), NONE)];
        self.columns.clear();
        self.filled = 0;
        let schema = self.schema.clone();
        for declared in &schema.contract().columns {
            let node = self.ensure(&declared.path);
            self.nodes[node as usize].declared = Some(declared.ty);
        }
        for column in schema.columns() {
            let node = self.ensure(&column.identity.path);
            self.nodes[node as usize].known |= 1 << column.identity.kind as u8;
        }
        self.nodes.iter_mut().for_each(|node| node.planted = true);
        self.remembered = (4 * self.most_filled()).max(2 * self.nodes.len());
    }

    fn most_filled(&self) -> usize {
        self.limits.discovered.saturating_add(self.schema.columns().len())
    }

    /// Whether there is no room for another column; those of the table do not take any.
    fn is_full(&self) -> bool {
        self.filled >= self.most_filled()
    }

    /// Whether so many keys are remembered, most of them without a value, that it is time to forget some.
    fn is_overgrown(&self) -> bool {
        self.nodes.len() >= self.remembered
    }

    fn ensure(&mut self, path: &Path) -> u32 {
        let mut node = ROOT;
        for key in path.shared_keys() {
            node = match self.child(node, key) {
                Some(child) => child,
                None => self.add(node, key.clone()),
            };
        }
        node
    }

    fn add(&mut self, parent: u32, key: Arc<str>) -> u32 {
        let child = self.nodes.len() as u32;
        let path_bytes = self.path_bytes(parent);
        self.nodes.push(Node::new(key.clone(), parent));
        let mut children = self.nodes[parent as usize].children.take().unwrap_or_default();
        children.path_bytes = path_bytes;
        children.nodes.push(child);
        if children.nodes.len() == FEW_KEYS + 1 {
            let keys = children.nodes.iter().map(|id| (self.nodes[*id as usize].key.clone(), *id));
            children.by_key = keys.collect();
        } else if children.nodes.len() > FEW_KEYS {
            children.by_key.insert(key, child);
        }
        self.nodes[parent as usize].children = Some(children);
        child
    }

    /// The node of `key` under `node`, if there is one.
    pub(crate) fn child(&self, node: u32, key: &str) -> Option<u32> {
        let children = self.nodes[node as usize].children.as_ref()?;
        if children.nodes.len() > FEW_KEYS {
            return children.by_key.get(key).copied();
        }
        children.nodes.iter().copied().find(|child| &*self.nodes[*child as usize].key == key)
    }

    /// The same, made if it is not there. `None` where too many keys are remembered to add one in the middle of a
    /// record.
    pub(crate) fn child_or_add(&mut self, node: u32, key: &str) -> Option<u32> {
        match self.child(node, key) {
            None if self.is_overgrown() => None,
            None => Some(self.add(node, key.into())),
            found => found,
        }
    }

    /// Bytes of all keys that lead to `node`.
    fn path_bytes(&self, node: u32) -> usize {
        let Node { children, parent, key, .. } = &self.nodes[node as usize];
        match children {
            Some(children) => children.path_bytes,
            None if node == ROOT => 0,
            // What has a child knows its own.
            None => self.path_bytes(*parent) + key.len(),
        }
    }

    /// Whether it is certain that `key`, which has no node, gets no column under `node`: because the path would be too
    /// long, or the object has as many children as may have columns, all of which go before.
    pub(crate) fn refuses(&self, node: u32, key: &str) -> bool {
        if self.path_bytes(node) + key.len() > self.limits.path_bytes {
            return true;
        }
        let children = self.nodes[node as usize].children.as_ref();
        children.and_then(|children| children.closed_behind.as_deref()).is_some_and(|last| key > last)
    }

    fn path(&self, mut node: u32) -> Path {
        let mut keys = Vec::new();
        while node != ROOT {
            let Node { key, parent, .. } = &self.nodes[node as usize];
            keys.push(key.clone());
            node = *parent;
        }
        keys.reverse();
        Path::new(keys)
    }

    /// The cells of a column that the current record is about to add one to.
    #[inline]
    fn column(&mut self, node: u32, kind: Kind) -> Result<&mut Cells, Full> {
        let mut place = self.nodes[node as usize].columns[kind as usize];
        if place == NONE || self.columns[place as usize].cells.is_empty() {
            place = self.fill(node, kind)?;
        }
        self.touched.push(place);
        Ok(&mut self.columns[place as usize].cells)
    }

    #[cold]
    fn fill(&mut self, node: u32, kind: Kind) -> Result<u32, Full> {
        if self.is_full() && self.nodes[node as usize].known & (1 << kind as u8) == 0 {
            return Err(Full);
        }
        self.filled += 1;
        let slot = &mut self.nodes[node as usize].columns[kind as usize];
        if *slot == NONE {
            *slot = self.columns.len() as u32;
            self.columns.push(Column { node, kind, cells: Cells::new(kind) });
        }
        Ok(*slot)
    }

    #[inline]
    pub(crate) fn push_double(&mut self, node: u32, value: f64) -> Result<(), Full> {
        let row = self.rows;
        self.column(node, Kind::Double)?.push_double(row, value);
        Ok(())
    }

    #[inline]
    pub(crate) fn push_long(&mut self, node: u32, value: i64) -> Result<(), Full> {
        let row = self.rows;
        self.column(node, Kind::Long)?.push_long(row, value);
        Ok(())
    }

    #[inline]
    pub(crate) fn push_boolean(&mut self, node: u32, value: bool) -> Result<(), Full> {
        let row = self.rows;
        self.column(node, Kind::Boolean)?.push_boolean(row, value);
        Ok(())
    }

    /// Appends text of kind `string` or `json`.
    #[inline]
    pub(crate) fn push_text(&mut self, node: u32, kind: Kind, value: &[u8]) -> Result<(), Full> {
        let row = self.rows;
        self.column(node, kind)?.push_text(row, value);
        Ok(())
    }

    fn push_timestamp(&mut self, node: u32, micros: i64) -> Result<(), Full> {
        let row = self.rows;
        self.column(node, Kind::Timestamp)?.push_long(row, micros);
        Ok(())
    }

    /// Adds all fields of an object, which [`crate::authority`] has found to be in order.
    pub(crate) fn push_fields(&mut self, node: u32, fields: &[(Cow<'_, str>, Value<'_>)]) {
        for (key, value) in fields {
            let child = match self.child(node, key) {
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
    fn takes_objects(&self, node: u32) -> bool {
        matches!(self.nodes[node as usize].declared, Some(Type::Json | Type::Ignore))
    }

    /// Adds a value that is not an object with fields of its own where it belongs.
    pub(crate) fn push_value(&mut self, node: u32, value: &Value<'_>) -> Result<(), Full> {
        let declared = self.nodes[node as usize].declared;
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
    pub(crate) fn push_number(&mut self, node: u32, text: &str) -> Result<(), Full> {
        let declared = self.nodes[node as usize].declared;
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
    fn push_overflow(&mut self, node: u32, key: &str, value: &Value<'_>) {
        self.spilled_now = true;
        let numbers = self.numbers;
        let object = self.place_in_record(node);
        let row = self.rows;
        let overflow = self.overflow_of(ROOT);
        overflow.push(row, object, key, |json| _ = push_json(json, value, numbers));
    }

    /// The place of the object at `node` in the overflow of the record itself.
    fn place_in_record(&mut self, node: u32) -> u32 {
        let (last, place) = self.place_of_record;
        if last == node {
            return place;
        }
        let path = self.path(node);
        let place = self.overflow.entry(ROOT).or_default().object(path.keys());
        self.place_of_record = (node, place);
        place
    }

    /// The overflow of the object at `node`, which the current record is about to add to.
    fn overflow_of(&mut self, node: u32) -> &mut Overflow {
        if self.overflowed.last() != Some(&node) {
            self.overflowed.push(node);
        }
        let overflow = self.overflow.entry(node).or_default();
        self.filled += usize::from(overflow.is_empty() && node != ROOT);
        overflow
    }

    /// Whether the object at `node` may have an overflow of its own.
    fn has_room_for_overflow(&self, node: u32) -> bool {
        !self.is_full() || self.overflow.get(&node).is_some_and(|overflow| !overflow.is_empty())
    }

    /// Keeps a field of the object at `node` that [`Tree::refuses`] to give a column.
    pub(crate) fn push_refused(&mut self, node: u32, key: &str, value: &Value<'_>) {
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
    pub(crate) fn push_refused_integer(&mut self, node: u32, key: &str, text: &str) {
        if !self.has_room_for_overflow(node) {
            return self.push_overflow(node, key, &Value::Number(text));
        }
        let row = self.rows;
        let overflow = self.overflow_of(node);
        overflow.push(row, TOP, key, |json| json.extend_from_slice(text.as_bytes()));
    }

    /// Begins a record.
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.serial += 1;
        self.touched.clear();
        self.ignored_now = 0;
        self.overflowed.clear();
        self.spilled_now = false;
    }

    /// The current record is a row.
    #[inline]
    pub(crate) fn commit(&mut self) {
        self.rows += 1;
        self.ignored += self.ignored_now;
        self.spilled |= self.spilled_now;
    }

    /// Takes back what the current record has added.
    ///
    /// Nodes stay: they hold no values.
    pub(crate) fn roll_back(&mut self) {
        for column in self.touched.drain(..) {
            let cells = &mut self.columns[column as usize].cells;
            cells.pop();
            self.filled -= usize::from(cells.is_empty());
        }
        for node in self.overflowed.drain(..) {
            let overflow = self.overflow.entry(node).or_default();
            let was_empty = overflow.is_empty();
            overflow.take_back(self.rows);
            self.filled -= usize::from(!was_empty && overflow.is_empty() && node != ROOT);
        }
        self.ignored_now = 0;
    }

    /// Rows so far.
    pub(crate) fn rows(&self) -> u32 {
        self.rows
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
