//! A part: the records that become one file.
//!
//! A part is what a flattener hands out: columns by identity, rejects, and the range of bytes they came from. Before
//! it is written it has to be fitted to its table: the table's columns are known, room for new ones is limited, and
//! what has no room goes to the overflow of its object. Fitting decides and changes nothing ([`Part::fit`]), so that
//! it can be asked again when another writer changed the table in between; settling applies the decision, and makes
//! another type of it ([`SettledPart`]): only that can be written, so that no value is left behind.
//!
//! What must stay true: fitting depends on the set of identities, not on the order of records; a value is in exactly
//! one place before and after; identities the table has always keep their place; the cost of fitting is that of the
//! keys of the columns, whatever their number and depth.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::{Deref, Range};

use crate::authority;
use crate::column::{Cells, Values};
use crate::naming;
use crate::number;
use crate::options::Limits;
use crate::overflow::Overflow;
use crate::path::{Identity, Kind, Path};
use crate::reject::Reject;
use crate::schema::Schema;
use crate::time::{self, Hour, Zoneless};
use crate::trie::{TOP, Trie};

/// A column of a part: its identity and its cells, of which there is at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct PartColumn {
    /// Path and kind.
    pub identity: Identity,
    /// Values and the rows they belong to.
    pub cells: Cells,
}

/// The records that begin in one window of a source, as columns.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Part {
    /// Its number in the source, from 0. Parts without a record are not counted.
    pub number: u32,
    /// The bytes of the decompressed source it accounts for.
    pub span: Range<u64>,
    /// Number of rows.
    pub rows: u32,
    /// For each row the number of its record in the source, from 1.
    pub records: Vec<u64>,
    /// Columns that have a value in some row, ordered by identity.
    pub columns: Vec<PartColumn>,
    /// Records that did not become rows, in order.
    pub rejects: Vec<Reject>,
    /// Values the contract says to ignore.
    pub ignored: u64,
    /// Whether the bound on keys decided something, so that the result depends on the schema the flattener was given.
    pub spilled: bool,
    /// Fields without a column, by object.
    pub(crate) overflow: BTreeMap<Path, Overflow>,
}

/// A part whose every column is one of its table's, and whose other fields are JSON in `json` columns and `_overflow`.
/// It reads like the part it was ([`Part::settle`]), and is what an [`crate::Encoder`] takes.
#[derive(Debug, Clone, PartialEq)]
pub struct SettledPart {
    part: Part,
    overflow: Option<Cells>,
}

/// What fitting a part to a table has decided.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fit {
    /// Identities the table has not and has room for, in the order in which they register.
    pub register: Vec<Identity>,
    /// Columns that find no room, each with the number of keys that lead to the object whose overflow takes it.
    demoted: Vec<(Identity, usize)>,
    /// For each object with overflow whether it has a column for it; if not, it goes to the object above.
    has_column: BTreeMap<Path, bool>,
}

impl Fit {
    /// Whether some column found no room.
    pub fn has_refused(&self) -> bool {
        !self.demoted.is_empty()
    }

    /// Columns that found no room: their values become JSON in the overflow of an object above them.
    pub fn refused(&self) -> impl Iterator<Item = &Identity> {
        self.demoted.iter().map(|(identity, _)| identity)
    }

    /// For each object with overflow, the number of keys that lead to the object whose column takes it in the end.
    fn targets(&self) -> HashMap<&Path, usize> {
        let mut targets: HashMap<&Path, usize> = HashMap::with_capacity(self.has_column.len());
        // An object comes before what is below it.
        for (object, has_column) in &self.has_column {
            let above = || object.split_last().and_then(|(parent, _)| targets.get(&parent).copied());
            let target = if *has_column { object.len() } else { above().unwrap_or(0) };
            targets.insert(object, target);
        }
        targets
    }
}

/// Counts places while a part is fitted.
struct Room<'a> {
    limits: &'a Limits,
    columns: usize,
    objects: Trie,
    /// For each object the number of its children.
    children: Vec<usize>,
}

impl Room<'_> {
    fn of<'a>(schema: &Schema, limits: &'a Limits) -> Room<'a> {
        let mut room = Room { limits, columns: 0, objects: Trie::default(), children: vec![0] };
        for column in schema.columns() {
            room.place(&column.identity.path);
        }
        room
    }

    /// The object that has no room for a new column at `path`, if there is one, as the number of keys that lead to it.
    fn refusal(&self, path: &Path) -> Option<usize> {
        let mut place = Some(TOP);
        let mut bytes = 0;
        for (above, key) in path.keys().enumerate() {
            bytes += key.len();
            let below = place.and_then(|place| self.objects.find(place, key));
            let is_full = |place: u32| {
                let children = self.children[place as usize];
                children > 0 && children >= self.limits.children
            };
            if bytes > self.limits.path_bytes || (below.is_none() && place.is_some_and(is_full)) {
                return Some(above);
            }
            place = below;
        }
        (self.columns >= self.limits.columns).then(|| path.len().saturating_sub(1))
    }

    fn place(&mut self, path: &Path) {
        self.columns += 1;
        let mut place = TOP;
        for key in path.keys() {
            let below = self.objects.ensure(place, key);
            if below as usize == self.children.len() {
                self.children.push(0);
                self.children[place as usize] += 1;
            }
            place = below;
        }
    }
}

impl Part {
    /// Number of records: rows and rejects.
    pub fn record_count(&self) -> u64 {
        u64::from(self.rows) + self.rejects.len() as u64
    }

    /// Decides which columns the table of `schema` gets from this part.
    ///
    /// Identities are considered in their order. One is refused where its path has more than `limits.path_bytes` bytes,
    /// or where an object already has `limits.children` children or the table `limits.columns` columns; its values then
    /// go to the `json` column of the nearest object that can have one, or to `_overflow`.
    pub fn fit(&self, schema: &Schema, limits: &Limits) -> Fit {
        let mut fit = Fit::default();
        let is_new = |column: &&PartColumn| schema.place(&column.identity).is_none();
        if self.overflow.is_empty() && !self.columns.iter().any(|column| is_new(&column)) {
            return fit;
        }
        let mut room = Room::of(schema, limits);
        let mut overflowing: Vec<Path> = self.overflow.keys().cloned().collect();
        let mut json: HashSet<Path> = HashSet::new();
        for column in &self.columns {
            let identity = &column.identity;
            let known = !is_new(&column);
            match if known { None } else { room.refusal(&identity.path) } {
                Some(object) => {
                    overflowing.push(identity.path.prefix(object));
                    fit.demoted.push((identity.clone(), object));
                }
                None => {
                    if identity.kind == Kind::Json {
                        json.insert(identity.path.clone());
                    }
                    if !known {
                        room.place(&identity.path);
                        fit.register.push(identity.clone());
                    }
                }
            }
        }
        overflowing.sort();
        overflowing.dedup();
        // Deepest first: an object without a column of its own hands its fields to the one above.
        while let Some(object) = overflowing.pop() {
            let identity = Identity::new(object.clone(), Kind::Json);
            let mut has_column =
                object.is_empty() || json.contains(&object) || schema.place(&identity).is_some();
            if !has_column && room.refusal(&object).is_none() {
                room.place(&object);
                fit.register.push(identity);
                has_column = true;
            }
            if !has_column
                && let Some((parent, _)) = object.split_last()
                && let Err(at) = overflowing.binary_search(&parent)
            {
                overflowing.insert(at, parent);
            }
            fit.has_column.insert(object, has_column);
        }
        naming::sort(&mut fit.register);
        fit
    }

    /// Moves the columns that `fit` refused to the overflow of their objects, and that to the objects whose column takes
    /// it; the number of values that were moved.
    pub(crate) fn demote(&mut self, fit: &Fit) -> usize {
        let mut moved = 0;
        if !fit.demoted.is_empty() {
            let refused: HashMap<&Identity, usize> =
                fit.demoted.iter().map(|(identity, object)| (identity, *object)).collect();
            for PartColumn { identity, cells } in std::mem::take(&mut self.columns) {
                let Some(object) = refused.get(&identity).copied() else {
                    self.columns.push(PartColumn { identity, cells });
                    continue;
                };
                let overflow = self.overflow.entry(identity.path.prefix(object)).or_default();
                let depth = identity.path.len();
                let place = overflow.object(identity.path.keys().take(depth - 1).skip(object));
                let key = identity.path.keys().next_back().expect("a column's path has a key");
                for (at, row) in cells.rows.iter().enumerate() {
                    overflow.push(*row, place, key, |json| push_json(&cells, identity.kind, at, json));
                }
                moved += cells.len();
            }
        }
        let targets = fit.targets();
        for (object, overflow) in std::mem::take(&mut self.overflow) {
            // What the decision does not know was not there when it was made: the record itself takes everything.
            let target = targets.get(&object).copied().unwrap_or(0);
            let keys = object.keys().skip(target);
            match self.overflow.entry(object.prefix(target)) {
                Entry::Vacant(place) if keys.len() == 0 => drop(place.insert(overflow)),
                place => {
                    moved += overflow.len();
                    place.or_default().append(keys, &overflow, 0);
                }
            }
        }
        moved
    }

    /// Applies the decision: afterwards every column is one of the table's, and the rest is in `_overflow`.
    pub fn settle(mut self, fit: &Fit) -> SettledPart {
        self.demote(fit);
        let mut record = None;
        for (object, overflow) in std::mem::take(&mut self.overflow) {
            let cells = overflow.into_cells();
            if object.is_empty() {
                record = Some(cells);
                continue;
            }
            let identity = Identity::new(object, Kind::Json);
            match self.columns.binary_search_by(|column| column.identity.cmp(&identity)) {
                Ok(at) => {
                    let column = &mut self.columns[at];
                    let own = std::mem::replace(&mut column.cells, Cells::new(Kind::Json));
                    column.cells = own.merge(cells, Kind::Json);
                }
                Err(at) => self.columns.insert(at, PartColumn { identity, cells }),
            }
        }
        SettledPart { part: self, overflow: record }
    }

    /// For each row the hour that the value at `path` tells, `None` where there is none or it is no time of this
    /// century. Numbers are epoch seconds, milliseconds or microseconds, text is RFC 3339, or `zoneless` says what it is.
    pub fn hours(&self, path: &Path, zoneless: Zoneless) -> Vec<Option<Hour>> {
        let mut hours = vec![None; self.rows as usize];
        for PartColumn { identity, cells } in
            self.columns.iter().filter(|column| column.identity.path == *path)
        {
            // Neighbours mostly share their hour; computing a calendar date for each would cost more than parsing.
            let mut last: Option<(i64, Option<Hour>)> = None;
            for (at, row) in cells.rows.iter().enumerate() {
                let Some(micros) = micros(identity.kind, &cells.values, at, zoneless) else { continue };
                let index = micros.div_euclid(3_600_000_000);
                hours[*row as usize] = match last {
                    Some((known, hour)) if known == index => hour,
                    _ => {
                        let hour = Hour::of_micros(micros);
                        last = Some((index, hour));
                        hour
                    }
                };
            }
        }
        hours
    }

    /// The latest of the times that the rows tell at `path`, in microseconds since 1970; `None` where none tells a time
    /// of this century. Numbers and text are read as [`Part::hours`] does; text without a zone is no time.
    pub fn latest(&self, path: &Path) -> Option<i64> {
        let columns = self.columns.iter().filter(|column| column.identity.path == *path);
        let times = columns.flat_map(|PartColumn { identity, cells }| {
            (0..cells.rows.len()).filter_map(|at| micros(identity.kind, &cells.values, at, Zoneless::NoTime))
        });
        times.filter(|micros| time::is_of_this_century(*micros)).max()
    }
}

impl SettledPart {
    /// The cells of `_overflow`; `None` where every field has a column.
    pub fn overflow(&self) -> Option<&Cells> {
        self.overflow.as_ref()
    }

    /// The part and the cells of `_overflow`, to be used up.
    pub(crate) fn into_parts(self) -> (Part, Option<Cells>) {
        (self.part, self.overflow)
    }
}

impl Deref for SettledPart {
    type Target = Part;

    fn deref(&self) -> &Part {
        &self.part
    }
}

/// What memory it has: it is not to be settled again.
impl From<SettledPart> for Part {
    fn from(settled: SettledPart) -> Part {
        settled.part
    }
}

/// The time that value `at` of a column of `kind` tells, in microseconds since 1970.
fn micros(kind: Kind, values: &Values, at: usize, zoneless: Zoneless) -> Option<i64> {
    match values {
        Values::Double(values) => time::micros_of_double(values[at]),
        Values::Long(values) if kind == Kind::Timestamp => Some(values[at]),
        Values::Long(values) => time::micros_of_long(values[at]),
        Values::Text(texts) if kind == Kind::String => {
            let text = std::str::from_utf8(texts.get(at)).ok()?;
            time::micros_of_text(text).or_else(|| match zoneless {
                Zoneless::NoTime => None,
                Zoneless::Utc => time::micros_of_zoneless_text(text),
            })
        }
        Values::Boolean(_) | Values::Text(_) => None,
    }
}

/// Writes cell `at` of a column of `kind` as JSON.
fn push_json(cells: &Cells, kind: Kind, at: usize, json: &mut Vec<u8>) {
    match &cells.values {
        Values::Double(values) => json.extend_from_slice(number::print(values[at]).as_bytes()),
        Values::Long(values) => json.extend_from_slice(values[at].to_string().as_bytes()),
        Values::Boolean(values) => json.extend_from_slice(if values[at] { b"true" } else { b"false" }),
        Values::Text(texts) => {
            let text = std::str::from_utf8(texts.get(at)).expect("text columns hold UTF-8");
            if kind == Kind::Json {
                json.extend_from_slice(authority::compact(text).as_bytes());
            } else {
                serde_json::to_writer(json, text).expect("text is JSON and memory takes it");
            }
        }
    }
}
