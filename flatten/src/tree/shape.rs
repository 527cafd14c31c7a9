//! A key under an object, and how quickly it is found again.
//!
//! Nodes hold no values: what they know is where a key leads, what looked like it the last time, and which columns of a
//! part belong to it. In come the bytes at a key's place; out comes whether they are that key.

use std::sync::Arc;

use foldhash::HashMap;

use super::id::{ColumnId, NodeId};
use crate::contract::Type;
use crate::path::Kind;

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
    /// The places of the columns of its path, by kind.
    pub(super) columns: [ColumnId; Kind::ALL.len()],
    /// The kinds for which the table has a column, a bit each.
    pub(super) known: u8,
    /// Whether a path that the table has or the contract declares leads here.
    pub(super) planted: bool,
    pub(super) parent: NodeId,
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
    pub(super) by_key: HashMap<Arc<str>, NodeId>,
    /// If there are as many as may have columns: the last of those that the table does not have. A new key behind it
    /// could not take the place of any of them.
    pub(super) closed_behind: Option<Arc<str>>,
}

/// The nodes that came at some place lately, the latest in front. Devices of a few models take turns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Guesses([NodeId; 4]);

impl Guesses {
    pub(super) const NONE: Guesses = Guesses([NodeId::NONE; 4]);

    /// The latest.
    #[inline(always)]
    pub(crate) fn latest(self) -> NodeId {
        self.0[0]
    }

    /// The others, the latest in front.
    pub(crate) fn others(self) -> impl Iterator<Item = NodeId> {
        self.0.into_iter().skip(1).take_while(|node| *node != NodeId::NONE)
    }

    /// Puts a node in front.
    pub(crate) fn remember(&mut self, node: NodeId) {
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

impl Node {
    pub(super) fn new(key: Arc<str>, parent: NodeId) -> Node {
        Node {
            quoted: Quoted::new(&key),
            first: Guesses::NONE,
            next: Guesses::NONE,
            seen: 0,
            declared: None,
            columns: [ColumnId::NONE; Kind::ALL.len()],
            known: 0,
            planted: false,
            parent,
            key,
            children: None,
        }
    }
}
