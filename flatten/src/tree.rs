//! The columns of a part under construction, found by path.
//!
//! Every key ever seen under an object is a node; a node leads to the columns of its path, one per kind. In come
//! values with their node and the row they belong to; out comes, at the end of a part, a [`crate::Part`] with a column for
//! every identity that has values. The nodes stay from part to part: devices repeat their shape, and what was learnt
//! about it (which key follows which) serves the next record.
//!
//! What must stay true: a record that turns out to be unfit leaves nothing in the columns ([`Tree::roll_back`]). The
//! number of columns that have values and of objects that have overflow is bounded ([`Limits::discovered`]); values
//! beyond it go to the record's own overflow, unless the table already has their column. Nodes decide nothing: which of
//! them exist depends on what was tried before, and the result must not.

mod id;
mod parts;
mod shape;
mod step;
mod values;

use std::sync::Arc;

use foldhash::HashMap;

use crate::column::{Cells, Texts};
use crate::contract::Numbers;
use crate::options::Limits;
use crate::overflow::Overflow;
use crate::path::{Kind, Path};
use crate::schema::Schema;
use id::ColumnId;
pub(crate) use id::NodeId;
use shape::Node;
use step::Step;
pub(crate) use step::{Keys, StepId, Then};

/// Objects with more keys than this find them by hash instead of one by one.
const FEW_KEYS: usize = 8;

/// There is no room for another column.
#[derive(Debug)]
pub(crate) struct Full;

#[derive(Debug, Clone)]
struct Column {
    node: NodeId,
    kind: Kind,
    cells: Cells,
}

/// All nodes and columns.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    schema: Arc<Schema>,
    limits: Limits,
    pub(crate) nodes: Vec<Node>,
    /// What stood between values lately.
    steps: Vec<Step>,
    /// Decides when to look whether an erratic place has become a regular one.
    dice: u64,
    columns: Vec<Column>,
    /// Columns that have a value in this part, and objects below the record's own that have overflow.
    filled: usize,
    /// As many as were left when the part was last fitted to the table's limits.
    fitted: usize,
    /// As many nodes as may be remembered.
    remembered: usize,
    /// Fields without a column, by the node of their object.
    overflow: HashMap<NodeId, Overflow>,
    /// Nodes to whose overflow the current record has added.
    overflowed: Vec<NodeId>,
    /// The places of objects in the overflow of the record itself, as far as they were needed: those of a record mostly
    /// share what is around them, and have it once.
    places_of_record: HashMap<NodeId, u32>,
    /// Columns the current record has added a cell to.
    touched: Vec<ColumnId>,
    pub(crate) numbers: Numbers,
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
    /// Nodes looked at, and values moved, to make room; bytes of values that were looked at as a whole.
    pub(crate) work: u64,
}

impl Tree {
    pub(crate) fn new(schema: Arc<Schema>, limits: Limits) -> Tree {
        let numbers = schema.contract().numbers;
        let mut tree = Tree {
            schema,
            limits,
            nodes: Vec::new(),
            steps: Vec::new(),
            dice: 0,
            columns: Vec::new(),
            filled: 0,
            fitted: 0,
            remembered: 0,
            overflow: HashMap::default(),
            overflowed: Vec::new(),
            places_of_record: HashMap::default(),
            touched: Vec::new(),
            numbers,
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
        self.nodes = vec![Node::new("".into(), NodeId::NONE, 0)];
        self.steps.clear();
        self.columns.clear();
        self.filled = 0;
        let schema = self.schema.clone();
        for declared in &schema.contract().columns {
            let node = self.ensure(&declared.path);
            self.nodes[node].declared = Some(declared.ty);
        }
        for column in schema.columns() {
            let node = self.ensure(&column.identity.path);
            self.nodes[node].known |= 1 << column.identity.kind as u8;
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

    fn ensure(&mut self, path: &Path) -> NodeId {
        let mut node = NodeId::ROOT;
        for key in path.shared_keys() {
            node = match self.child(node, key.as_bytes()) {
                Some(child) => child,
                None => self.add(node, key.clone()),
            };
        }
        node
    }

    fn add(&mut self, parent: NodeId, key: Arc<str>) -> NodeId {
        let child = NodeId::at(self.nodes.len());
        let path_bytes = self.path_bytes(parent);
        let depth = self.nodes[parent].depth.saturating_add(1);
        self.nodes.push(Node::new(key.clone(), parent, depth));
        let mut children = self.nodes[parent].children.take().unwrap_or_default();
        children.path_bytes = path_bytes;
        children.nodes.push(child);
        if children.nodes.len() == FEW_KEYS + 1 {
            let keys = children.nodes.iter().map(|id| (self.nodes[*id].key.clone().into(), *id));
            children.by_key = keys.collect();
        } else if children.nodes.len() > FEW_KEYS {
            children.by_key.insert(key.into(), child);
        }
        self.nodes[parent].children = Some(children);
        child
    }

    /// The node of `key` under `node`, if there is one.
    pub(crate) fn child(&self, node: NodeId, key: &[u8]) -> Option<NodeId> {
        let children = self.nodes[node].children.as_ref()?;
        if children.nodes.len() > FEW_KEYS {
            return children.by_key.get(key).copied();
        }
        children.nodes.iter().copied().find(|child| self.nodes[*child].key.as_bytes() == key)
    }

    /// A node for `key` under `node`, which has none. `None` where too many keys are remembered to add one in the middle
    /// of a record.
    pub(crate) fn new_child(&mut self, node: NodeId, key: &str) -> Option<NodeId> {
        (!self.is_overgrown()).then(|| self.add(node, key.into()))
    }

    /// Bytes of all keys that lead to `node`.
    fn path_bytes(&self, node: NodeId) -> usize {
        let Node { children, parent, key, .. } = &self.nodes[node];
        match children {
            Some(children) => children.path_bytes,
            None if node == NodeId::ROOT => 0,
            // What has a child knows its own.
            None => self.path_bytes(*parent) + key.len(),
        }
    }

    /// Whether it is certain that `key`, which has no node, gets no column under `node`: because the path would be too
    /// long, or the object has as many children as may have columns, all of which go before.
    pub(crate) fn refuses(&self, node: NodeId, key: &str) -> bool {
        if self.path_bytes(node) + key.len() > self.limits.path_bytes {
            return true;
        }
        let children = self.nodes[node].children.as_ref();
        children.and_then(|children| children.closed_behind.as_deref()).is_some_and(|last| key > last)
    }

    fn path(&self, mut node: NodeId) -> Path {
        let mut keys = Vec::new();
        while node != NodeId::ROOT {
            let Node { key, parent, .. } = &self.nodes[node];
            keys.push(key.clone());
            node = *parent;
        }
        keys.reverse();
        Path::new(keys)
    }

    /// The cells of a column that the current record is about to add one to.
    #[inline]
    fn column(&mut self, node: NodeId, kind: Kind) -> Result<&mut Cells, Full> {
        let mut place = self.nodes[node].columns[kind as usize];
        if place == ColumnId::NONE || self.columns[place].cells.is_empty() {
            place = self.fill(node, kind)?;
        }
        self.touched.push(place);
        Ok(&mut self.columns[place].cells)
    }

    #[cold]
    fn fill(&mut self, node: NodeId, kind: Kind) -> Result<ColumnId, Full> {
        if self.is_full() && self.nodes[node].known & (1 << kind as u8) == 0 {
            return Err(Full);
        }
        self.filled += 1;
        let slot = &mut self.nodes[node].columns[kind as usize];
        if *slot == ColumnId::NONE {
            *slot = ColumnId::at(self.columns.len());
            self.columns.push(Column { node, kind, cells: Cells::new(kind) });
        }
        Ok(*slot)
    }

    #[inline]
    pub(crate) fn push_double(&mut self, node: NodeId, value: f64) -> Result<(), Full> {
        let row = self.rows;
        self.column(node, Kind::Double)?.push_double(row, value);
        Ok(())
    }

    #[inline]
    pub(crate) fn push_long(&mut self, node: NodeId, value: i64) -> Result<(), Full> {
        let row = self.rows;
        self.column(node, Kind::Long)?.push_long(row, value);
        Ok(())
    }

    #[inline]
    pub(crate) fn push_boolean(&mut self, node: NodeId, value: bool) -> Result<(), Full> {
        let row = self.rows;
        self.column(node, Kind::Boolean)?.push_boolean(row, value);
        Ok(())
    }

    /// Appends text of kind `string` or `json`.
    #[inline]
    pub(crate) fn push_text(&mut self, node: NodeId, kind: Kind, value: &[u8]) -> Result<(), Full> {
        let row = self.rows;
        self.column(node, kind)?.push_text(row, value);
        Ok(())
    }

    /// Begins a text of kind `string`: whoever asks appends to it and ends it, whatever comes of it.
    #[inline(always)]
    pub(crate) fn begin_string(&mut self, node: NodeId) -> Result<&mut Texts, Full> {
        let row = self.rows;
        Ok(self.column(node, Kind::String)?.begin_text(row))
    }

    fn push_timestamp(&mut self, node: NodeId, micros: i64) -> Result<(), Full> {
        let row = self.rows;
        self.column(node, Kind::Timestamp)?.push_long(row, micros);
        Ok(())
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
            let cells = &mut self.columns[column].cells;
            cells.pop();
            self.filled -= usize::from(cells.is_empty());
        }
        for node in self.overflowed.drain(..) {
            let overflow = self.overflow.entry(node).or_default();
            let was_empty = overflow.is_empty();
            overflow.take_back(self.rows);
            self.filled -= usize::from(!was_empty && overflow.is_empty() && node != NodeId::ROOT);
        }
        self.ignored_now = 0;
    }

    /// Rows so far.
    pub(crate) fn rows(&self) -> u32 {
        self.rows
    }
}
