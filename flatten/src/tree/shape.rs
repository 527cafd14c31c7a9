//! A key under an object.
//!
//! Nodes hold no values: what they know is where a key leads, which columns of a part belong to it, and what came behind
//! its value lately ([`super::step`]).

use std::sync::Arc;

use foldhash::HashMap;

use super::id::{ColumnId, NodeId};
use super::step::Steps;
use crate::contract::Type;
use crate::path::Kind;

/// A key under an object.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// What came behind its value lately; behind nothing, for the root.
    pub(crate) steps: Steps,
    /// Serial of the record in which the key was last seen: finds a key that stands twice.
    pub(crate) seen: u64,
    /// What the contract declares for values here.
    pub(crate) declared: Option<Type>,
    /// The places of the columns of its path, by kind.
    pub(super) columns: [ColumnId; Kind::ALL.len()],
    /// The kinds for which the table has a column, a bit each.
    pub(super) known: u8,
    /// Whether a path that the table has or the contract declares leads here.
    pub(super) planted: bool,
    pub(crate) parent: NodeId,
    /// Brackets that are open around its value, as far as a record may have them.
    pub(crate) depth: u8,
    /// Shared with the paths of columns.
    pub(super) key: Arc<str>,
    /// Most keys lead to no object.
    pub(super) children: Option<Box<Children>>,
}

/// The keys under an object.
#[derive(Debug, Clone, Default)]
pub(super) struct Children {
    /// Bytes of all keys that lead to the object.
    pub(super) path_bytes: usize,
    pub(super) nodes: Vec<NodeId>,
    /// All of them, where there are more than [`super::FEW_KEYS`].
    pub(super) by_key: HashMap<Arc<[u8]>, NodeId>,
    /// If there are as many as may have columns: the last of those that the table does not have. A new key behind it
    /// could not take the place of any of them.
    pub(super) closed_behind: Option<Arc<str>>,
}

impl Node {
    pub(super) fn new(key: Arc<str>, parent: NodeId, depth: u8) -> Node {
        Node {
            steps: Steps::NONE,
            seen: 0,
            declared: None,
            columns: [ColumnId::NONE; Kind::ALL.len()],
            known: 0,
            planted: false,
            parent,
            depth,
            key,
            children: None,
        }
    }
}
