//! The numbers by which nodes and columns are found: two types, so that neither is taken for the other, for a row, or
//! for a place in an overflow.

use std::ops::{Index, IndexMut};

use super::Column;
use super::shape::Node;

/// The number of a node. Four bytes, also where there may be none: nodes are full of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct NodeId(u32);

impl NodeId {
    /// No node.
    pub(crate) const NONE: NodeId = NodeId(u32::MAX);
    /// The record itself.
    pub(crate) const ROOT: NodeId = NodeId(0);

    /// That of the node behind so many others.
    pub(super) fn at(place: usize) -> NodeId {
        NodeId(place as u32)
    }

    /// How many nodes stand before it.
    #[inline(always)]
    pub(super) fn place(self) -> usize {
        self.0 as usize
    }
}

/// The number of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ColumnId(u32);

impl ColumnId {
    /// No column.
    pub(super) const NONE: ColumnId = ColumnId(u32::MAX);

    /// That of the column behind so many others.
    pub(super) fn at(place: usize) -> ColumnId {
        ColumnId(place as u32)
    }
}

impl Index<NodeId> for Vec<Node> {
    type Output = Node;

    #[inline(always)]
    fn index(&self, id: NodeId) -> &Node {
        &self[id.place()]
    }
}

impl IndexMut<NodeId> for Vec<Node> {
    #[inline(always)]
    fn index_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self[id.place()]
    }
}

impl Index<ColumnId> for Vec<Column> {
    type Output = Column;

    #[inline(always)]
    fn index(&self, id: ColumnId) -> &Column {
        &self[id.0 as usize]
    }
}

impl IndexMut<ColumnId> for Vec<Column> {
    #[inline(always)]
    fn index_mut(&mut self, id: ColumnId) -> &mut Column {
        &mut self[id.0 as usize]
    }
}
