//! The columns of a part under construction, found by path.
//!
//! Every key ever seen under an object is a node; a node leads to the columns of its path, one per kind. In come
//! values with their node and the row they belong to; out comes, at the end of a part, a [`Part`] with a column for
//! every identity that has values. The nodes stay from part to part: devices repeat their shape, and what was learnt
//! about it (which key follows which) serves the next record.
//!
//! What must stay true: a record that turns out to be unfit leaves nothing in the columns ([`Tree::roll_back`]). The
//! number of columns that have values is bounded ([`Limits::discovered`]); values beyond it go to the overflow, unless
//! the table already has their column. Nodes decide nothing: which of them exist depends on what was tried before, and
//! the result must not.

use std::borrow::Cow;
use std::sync::Arc;

use foldhash::HashMap;

use crate::authority::{Value, compact};
use crate::column::Cells;
use crate::contract::{Numbers, Type};
use crate::number::{self, Number};
use crate::options::Limits;
use crate::overflow::Overflow;
use crate::part::{Part, PartColumn};
use crate::path::{Identity, Kind, Path};
use crate::schema::Schema;
use crate::time;

/// "No node" and "no column".
pub(crate) const NONE: u32 = u32::MAX;
/// The record itself.
pub(crate) const ROOT: u32 = 0;
/// Objects with more keys than this find them by hash instead of one by one.
const FEW_KEYS: usize = 8;

/// There is no room for another column.
#[derive(Debug)]
pub(crate) struct Full;

/// A key under an object.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// How the key looks where it is expected.
    pub(crate) quoted: Quoted,
    /// Children that came first in an object here.
    pub(crate) first: Guesses,
    /// Siblings that came next after this key.
    pub(crate) next: Guesses,
    /// Serial of the record in which the key was last seen: finds a key that stands twice.
    pub(crate) seen: u64,
    /// What the contract declares for values here.
    pub(crate) declared: Option<Type>,
    columns: [u32; Kind::ALL.len()],
    /// The kinds for which the table has a column, a bit each.
    known: u8,
    /// Whether a path that the table has or the contract declares leads here.
    planted: bool,
    parent: u32,
    key: Box<str>,
    /// Most keys lead to no object.
    children: Option<Box<Children>>,
}

#[derive(Debug, Clone, Default)]
struct Children {
    nodes: Vec<u32>,
    /// All of them, where there are more than [`FEW_KEYS`].
    by_key: HashMap<Box<str>, u32>,
    /// If there are as many as may have columns: the last of those that the table does not have. A new key behind it
    /// could not take the place of any of them.
    closed_behind: Option<Box<str>>,
}

/// The nodes that came at some place lately, the latest in front. Devices of a few models take turns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Guesses([u32; 4]);

impl Guesses {
    const NONE: Guesses = Guesses([NONE; 4]);

    /// The latest.
    #[inline(always)]
    pub(crate) fn latest(self) -> u32 {
        self.0[0]
    }

    /// The others, the latest in front.
    pub(crate) fn others(self) -> impl Iterator<Item = u32> {
        self.0.into_iter().skip(1).take_while(|node| *node != NONE)
    }

    /// Puts a node in front.
    pub(crate) fn remember(&mut self, node: u32) {
        let from = self.0.iter().position(|other| *other == node).unwrap_or(self.0.len() - 1);
        self.0[..=from].rotate_right(1);
        self.0[0] = node;
    }
}

/// A key with quotes and colon, as compact JSON has it.
#[derive(Debug, Clone)]
pub(crate) struct Quoted {
    /// Its first bytes, and zeros behind them.
    head: [u64; Quoted::HEAD / 8],
    /// All ones where `head` has bytes of the key.
    mask: [u64; Quoted::HEAD / 8],
    /// Where it is longer than `head`, or needs escapes: all of it, or nothing.
    long: Option<Box<[u8]>>,
    pub(crate) length: usize,
}

impl Quoted {
    /// Bytes that are compared at once.
    const HEAD: usize = 32;

    fn new(key: &str) -> Quoted {
        let is_plain = !key.bytes().any(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
        let quoted = if is_plain { format!("\"{key}\":") } else { String::new() };
        let (mut head, mut mask) = ([0; Quoted::HEAD], [0; Quoted::HEAD]);
        let length = quoted.len();
        let fits = (1..=Quoted::HEAD).contains(&length);
        if fits {
            head[..length].copy_from_slice(quoted.as_bytes());
            mask[..length].fill(u8::MAX);
        }
        let (head, mask) = (Quoted::words(&head), Quoted::words(&mask));
        Quoted { head, mask, long: (!fits).then(|| quoted.into_bytes().into()), length }
    }

    #[inline(always)]
    fn words(bytes: &[u8; Quoted::HEAD]) -> [u64; Quoted::HEAD / 8] {
        let (words, _) = bytes.as_chunks::<8>();
        [0, 1, 2, 3].map(|at| u64::from_le_bytes(words[at]))
    }

    /// Whether `bytes` begin with it.
    #[inline(always)]
    pub(crate) fn begins(&self, bytes: &[u8]) -> bool {
        match bytes.first_chunk() {
            Some(window) if self.long.is_none() => {
                let window = Quoted::words(window);
                let differs = |at: usize| (window[at] ^ self.head[at]) & self.mask[at];
                differs(0) | differs(1) | differs(2) | differs(3) == 0
            }
            _ => self.begins_slowly(bytes),
        }
    }

    #[cold]
    fn begins_slowly(&self, bytes: &[u8]) -> bool {
        match &self.long {
            Some(long) => !long.is_empty() && bytes.starts_with(long),
            None => bytes.starts_with(&self.head.map(u64::to_le_bytes).as_flattened()[..self.length]),
        }
    }
}

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
    /// Columns that have a value in this part.
    filled: usize,
    /// Fields without a column, by the node of their object.
    overflow: HashMap<u32, Overflow>,
    /// Whether the current record has added to the overflow.
    overflowed: bool,
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
    /// Whether anything was decided by the bound on nodes, and so by the schema this tree was made for.
    spilled: bool,
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
            overflow: HashMap::default(),
            overflowed: false,
            touched: Vec::new(),
            numbers,
            unescaped: Vec::new(),
            serial: 0,
            rows: 0,
            ignored: 0,
            ignored_now: 0,
            spilled: false,
        };
        tree.plant();
        tree
    }

    /// Sets the nodes to those of the table's columns and declared paths.
    fn plant(&mut self) {
        self.nodes = vec![Node::new("", NONE)];
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
    }

    /// Whether there is no room for another column; those of the table do not take any.
    fn is_full(&self) -> bool {
        self.filled >= self.limits.discovered.saturating_add(self.schema.columns().len())
    }

    /// Whether so many keys are remembered, most of them without a value, that it is time to forget some.
    fn is_overgrown(&self) -> bool {
        self.nodes.len() >= 4 * self.limits.discovered.saturating_add(self.schema.columns().len())
    }

    fn ensure(&mut self, path: &Path) -> u32 {
        let mut node = ROOT;
        for key in path.keys() {
            node = match self.child(node, key) {
                Some(child) => child,
                None => self.add(node, key),
            };
        }
        node
    }

    fn add(&mut self, parent: u32, key: &str) -> u32 {
        let child = self.nodes.len() as u32;
        self.nodes.push(Node::new(key, parent));
        let mut children = self.nodes[parent as usize].children.take().unwrap_or_default();
        children.nodes.push(child);
        if children.nodes.len() == FEW_KEYS + 1 {
            let keys = children.nodes.iter().map(|id| (self.nodes[*id as usize].key.clone(), *id));
            children.by_key = keys.collect();
        } else if children.nodes.len() > FEW_KEYS {
            children.by_key.insert(key.into(), child);
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
            None => Some(self.add(node, key)),
            found => found,
        }
    }

    /// Whether it is certain that `key`, which has no node, gets no column under `node`.
    pub(crate) fn refuses(&self, node: u32, key: &str) -> bool {
        let children = self.nodes[node as usize].children.as_ref();
        children.and_then(|children| children.closed_behind.as_deref()).is_some_and(|last| key > last)
    }

    /// Finds the objects that have no room for further children, after the part was fitted to the table's limits.
    fn close_full_objects(&mut self) {
        for at in 0..self.nodes.len() {
            let Some(children) = &self.nodes[at].children else { continue };
            if children.nodes.len() < self.limits.children {
                continue;
            }
            let nodes = children.nodes.iter().map(|child| &self.nodes[*child as usize]);
            let last = nodes.filter(|child| !child.planted).map(|child| &child.key).max().cloned();
            self.close(at as u32, last.unwrap_or_default());
        }
    }

    fn close(&mut self, node: u32, behind: Box<str>) {
        let children = self.nodes[node as usize].children.get_or_insert_default();
        children.closed_behind = Some(behind);
    }

    fn keys(&self, mut node: u32) -> Vec<&str> {
        let mut keys = Vec::new();
        while node != ROOT {
            keys.push(&*self.nodes[node as usize].key);
            node = self.nodes[node as usize].parent;
        }
        keys.reverse();
        keys
    }

    fn path(&self, node: u32) -> Path {
        Path::new(self.keys(node))
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
                    self.push_overflow(node, Some(key), value);
                    continue;
                }
                None => self.add(node, key),
            };
            match value {
                Value::Object(_, fields) if !self.takes_objects(child) => self.push_fields(child, fields),
                value => {
                    if self.push_value(child, value).is_err() {
                        self.push_overflow(child, None, value);
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

    /// Keeps what no column has room for with the record itself, under its whole path.
    fn push_overflow(&mut self, node: u32, key: Option<&str>, value: &Value<'_>) {
        let mut overflow = self.overflow.remove(&ROOT).unwrap_or_default();
        let mut keys = self.keys(node);
        keys.extend(key);
        push_leaves(&mut overflow, self.rows, &mut keys, value, self.numbers);
        self.overflow.insert(ROOT, overflow);
        self.spilled = true;
        self.overflowed = true;
    }

    /// Keeps a field of the object at `node` that [`Tree::refuses`] to give a column.
    pub(crate) fn push_refused(&mut self, node: u32, key: &str, value: &Value<'_>) {
        self.overflowed = true;
        let overflow = self.overflow.entry(node).or_default();
        push_leaves(overflow, self.rows, &mut vec![key], value, self.numbers);
    }

    /// The same for an integer that is exact as a double, whose text is what a column would print.
    pub(crate) fn push_refused_integer(&mut self, node: u32, key: &str, text: &str) {
        self.overflowed = true;
        self.overflow.entry(node).or_default().push(self.rows, &[key], text);
    }

    /// Begins a record.
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.serial += 1;
        self.touched.clear();
        self.ignored_now = 0;
        self.overflowed = false;
    }

    /// The current record is a row.
    #[inline]
    pub(crate) fn commit(&mut self) {
        self.rows += 1;
        self.ignored += self.ignored_now;
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
        if self.overflowed {
            self.overflow.values_mut().for_each(|overflow| overflow.take_back(self.rows));
        }
        self.ignored_now = 0;
    }

    /// Rows so far.
    pub(crate) fn rows(&self) -> u32 {
        self.rows
    }

    /// To be called between records. Where so many columns came that there is no room for more, fits what there is
    /// into the table's limits: the keys that sort first keep their columns, the others overflow. Where too many keys
    /// are remembered, forgets those without values.
    #[inline]
    pub(crate) fn relieve(&mut self) {
        if self.is_full() || self.is_overgrown() {
            self.prune();
        }
    }

    #[cold]
    fn prune(&mut self) {
        let is_full = self.is_full();
        let spilled = self.spilled || is_full;
        let closed = self.nodes.iter().enumerate().filter_map(|(at, node)| {
            let behind = node.children.as_ref()?.closed_behind.clone()?;
            Some((self.path(at as u32), behind))
        });
        let closed: Vec<(Path, Box<str>)> = closed.collect();
        let mut part = self.take_part();
        if is_full {
            let fit = part.fit(&self.schema, &self.limits);
            part.demote(&fit);
        }
        self.plant();
        self.rows = part.rows;
        self.ignored = part.ignored;
        self.spilled = spilled;
        for column in part.columns {
            let node = self.ensure(&column.identity.path);
            let cells = self.column(node, column.identity.kind).expect("there was room before");
            cells.append(&column.cells, 0);
        }
        self.touched.clear();
        for (path, behind) in closed {
            let node = self.ensure(&path);
            self.close(node, behind);
        }
        if is_full {
            self.close_full_objects();
        }
        for (path, overflow) in part.overflow {
            let node = self.ensure(&path);
            self.overflow.insert(node, overflow);
        }
    }

    /// What has been collected, as a part without number, range and rejects. The tree is ready for the next part.
    pub(crate) fn take_part(&mut self) -> Part {
        let mut columns = Vec::new();
        for place in 0..self.columns.len() {
            let Column { node, kind, cells } = &mut self.columns[place];
            if cells.is_empty() {
                *cells = Cells::new(*kind);
                continue;
            }
            // The next part mostly has as many; memory that is not touched costs nothing.
            let next = Cells::like(cells);
            let cells = std::mem::replace(cells, next);
            let (node, kind) = (*node, *kind);
            columns.push(PartColumn { identity: Identity::new(self.path(node), kind), cells });
        }
        columns.sort_by(|a, b| a.identity.cmp(&b.identity));
        let overflow = std::mem::take(&mut self.overflow);
        let overflow = overflow.into_iter().filter(|(_, entries)| !entries.is_empty());
        let overflow = overflow.map(|(node, entries)| (self.path(node), entries)).collect();
        let (rows, ignored, spilled) = (self.rows, self.ignored, self.spilled);
        self.reset();
        Part { columns, overflow, rows, ignored, spilled, ..Part::default() }
    }

    /// Forgets what depends on the records of one part, but for the cells.
    fn reset(&mut self) {
        self.overflow.clear();
        self.filled = 0;
        self.rows = 0;
        self.ignored = 0;
        self.spilled = false;
        let children = self.nodes.iter_mut().filter_map(|node| node.children.as_mut());
        children.for_each(|children| children.closed_behind = None);
    }

    /// Collects the next part in the memory of an earlier one, column by column. To be called before the next record.
    pub(crate) fn reuse(&mut self, mut spare: Part) {
        for place in 0..self.columns.len() {
            let Column { node, kind, cells } = &self.columns[place];
            let room = cells.room();
            if !cells.is_empty() || room == 0 {
                continue;
            }
            let identity = Identity::new(self.path(*node), *kind);
            let found = spare.columns.binary_search_by(|column| column.identity.cmp(&identity));
            let Ok(at) = found else { continue };
            let earlier = &mut spare.columns[at].cells;
            // What was needed once is not kept for ever.
            if (room / 2..=room.saturating_mul(4)).contains(&earlier.room()) {
                std::mem::swap(&mut self.columns[place].cells, earlier);
                self.columns[place].cells.clear();
            }
        }
    }

    /// Appends what `other` collected from the bytes that follow, and empties it. [`Full`], and nothing changed, if the
    /// two together may have more columns than there is room for: then the order of records decides, and `other` cannot
    /// know it.
    pub(crate) fn append(&mut self, other: &mut Tree) -> Result<(), Full> {
        if self.spilled || other.spilled || self.filled + other.filled >= self.limits.discovered {
            return Err(Full);
        }
        self.relieve();
        let base = self.rows;
        let mut places = vec![ROOT; other.nodes.len()];
        for id in 1..other.nodes.len() {
            let node = &other.nodes[id];
            let parent = places[node.parent as usize];
            places[id] = match self.child(parent, &node.key) {
                Some(child) => child,
                None => self.add(parent, &node.key),
            };
        }
        for column in &mut other.columns {
            if !column.cells.is_empty() {
                let cells = self.column(places[column.node as usize], column.kind);
                cells.expect("room was checked").append(&column.cells, base);
                column.cells.clear();
            }
        }
        self.touched.clear();
        self.rows += std::mem::take(&mut other.rows);
        self.ignored += std::mem::take(&mut other.ignored);
        other.filled = 0;
        Ok(())
    }

    /// Drops all values, as if nothing had been read.
    pub(crate) fn clear(&mut self) {
        self.columns.iter_mut().for_each(|column| column.cells.clear());
        self.reset();
    }
}

impl Node {
    fn new(key: &str, parent: u32) -> Node {
        Node {
            quoted: Quoted::new(key),
            first: Guesses::NONE,
            next: Guesses::NONE,
            seen: 0,
            declared: None,
            columns: [NONE; Kind::ALL.len()],
            known: 0,
            planted: false,
            parent,
            key: key.into(),
            children: None,
        }
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

/// Adds the leaves of a value that has no column, as a column that is taken out again would have left them.
fn push_leaves<'k>(
    overflow: &mut Overflow,
    row: u32,
    keys: &mut Vec<&'k str>,
    value: &'k Value<'_>,
    numbers: Numbers,
) {
    let text = match value {
        Value::Null => return,
        Value::Object(_, fields) => {
            for (key, value) in fields {
                keys.push(key);
                push_leaves(overflow, row, keys, value, numbers);
                keys.pop();
            }
            return;
        }
        Value::Number(text) => match number::classify(text, numbers) {
            Number::Double(double) => number::print(double),
            Number::Long(long) => long.to_string(),
            Number::Text => serde_json::to_string(text).expect("text is JSON"),
        },
        other => json_text(other),
    };
    overflow.push(row, keys, &text);
}
