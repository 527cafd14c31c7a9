//! Where a tree is emptied: into a part, into another tree, or of what finds no room.
//!
//! In come the columns and overflow of a tree; out goes a [`Part`], or they stay and only what is of no use any more
//! goes. What must stay true: pruning costs what came since the last time, not what is there. So cells are moved and
//! not copied; fitting leaves far fewer columns than make a tree full; and as many keys may be remembered as twice those
//! that are in use.

use std::sync::Arc;

use super::id::{ColumnId, NodeId};
use super::{Column, Full, Tree};
use crate::column::Cells;
use crate::overflow::Overflow;
use crate::part::{Part, PartColumn};
use crate::path::{Identity, Path};

impl Tree {
    /// To be called between records. Where so many columns came that there is no room for more, fits what there is
    /// into the table's limits: the keys that sort first keep their columns, the others overflow. Where too many keys
    /// are remembered, forgets those without values.
    #[inline]
    pub(crate) fn relieve(&mut self) {
        if self.is_full() && self.filled > self.fitted {
            self.prune(true);
        } else if self.is_overgrown() {
            self.prune(false);
        }
    }

    #[cold]
    fn prune(&mut self, fits: bool) {
        self.work += (self.nodes.len() + self.columns.len()) as u64;
        let spilled = self.spilled || fits;
        let fitted = self.fitted;
        let closed = self.nodes.iter().enumerate().filter_map(|(at, node)| {
            let behind = node.children.as_ref()?.closed_behind.clone()?;
            Some((self.path(NodeId::at(at)), behind))
        });
        let closed: Vec<(Path, Arc<str>)> = closed.collect();
        let mut part = self.take(|cells, kind| std::mem::replace(cells, Cells::new(kind)));
        if fits {
            let fit = part.fit(&self.schema, &self.limits);
            self.work += part.demote(&fit) as u64;
        }
        self.plant();
        self.rows = part.rows;
        self.ignored = part.ignored;
        self.spilled = spilled;
        self.filled = part.columns.len();
        for PartColumn { identity, cells } in part.columns {
            let node = self.ensure(&identity.path);
            self.nodes[node].columns[identity.kind as usize] = ColumnId::at(self.columns.len());
            self.columns.push(Column { node, kind: identity.kind, cells });
        }
        for (path, behind) in closed {
            let node = self.ensure(&path);
            self.close(node, behind);
        }
        if fits {
            self.close_full_objects();
        }
        for (path, overflow) in part.overflow {
            let node = self.ensure(&path);
            self.filled += usize::from(node != NodeId::ROOT);
            self.overflow.insert(node, overflow);
        }
        self.fitted = if fits { self.filled } else { fitted };
        self.remembered = self.remembered.max(2 * self.nodes.len());
        self.work += self.nodes.len() as u64;
    }

    /// Finds the objects that have no room for further children, after the part was fitted to the table's limits.
    fn close_full_objects(&mut self) {
        for at in 0..self.nodes.len() {
            let Some(children) = &self.nodes[at].children else { continue };
            if children.nodes.len() < self.limits.children {
                continue;
            }
            let nodes = children.nodes.iter().map(|child| &self.nodes[*child]);
            let last = nodes.filter(|child| !child.planted).map(|child| &child.key).max().cloned();
            self.close(NodeId::at(at), last.unwrap_or_default());
        }
    }

    fn close(&mut self, node: NodeId, behind: Arc<str>) {
        let path_bytes = self.path_bytes(node);
        let children = self.nodes[node].children.get_or_insert_default();
        (children.path_bytes, children.closed_behind) = (path_bytes, Some(behind));
    }

    /// What has been collected, as a part without number, range and rejects. The tree is ready for the next part.
    pub(crate) fn take_part(&mut self) -> Part {
        self.take(|cells, _| {
            // The next part mostly has as many; memory that is not touched costs nothing.
            let next = Cells::like(cells);
            std::mem::replace(cells, next)
        })
    }

    fn take(&mut self, take: impl Fn(&mut Cells, crate::Kind) -> Cells) -> Part {
        let mut columns = Vec::new();
        for place in 0..self.columns.len() {
            let Column { node, kind, cells } = &mut self.columns[place];
            if cells.is_empty() {
                *cells = Cells::new(*kind);
                continue;
            }
            let (node, kind, cells) = (*node, *kind, take(cells, *kind));
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
        self.places_of_record.clear();
        self.filled = 0;
        self.fitted = 0;
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
        let mut places = vec![NodeId::ROOT; other.nodes.len()];
        for id in 1..other.nodes.len() {
            let node = &other.nodes[id];
            let parent = places[node.parent.place()];
            places[id] = match self.child(parent, node.key.as_bytes()) {
                Some(child) => child,
                None => self.add(parent, node.key.clone()),
            };
        }
        for column in &mut other.columns {
            if !column.cells.is_empty() {
                let cells = self.column(places[column.node.place()], column.kind);
                cells.expect("room was checked").append(&column.cells, base);
                column.cells.clear();
            }
        }
        for (node, overflow) in other.overflow.drain().filter(|(_, overflow)| !overflow.is_empty()) {
            let node = places[node.place()];
            let mine: &mut Overflow = self.overflow.entry(node).or_default();
            self.filled += usize::from(mine.is_empty() && node != NodeId::ROOT);
            mine.append([], &overflow, base);
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
