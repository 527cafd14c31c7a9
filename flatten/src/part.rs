//! A part: the records that become one file.
//!
//! A part is what a flattener hands out: columns by identity, rejects, and the range of bytes they came from. Before
//! it is written it has to be fitted to its table: the table's columns are known, room for new ones is limited, and
//! what has no room goes to the overflow of its object. Fitting decides and changes nothing ([`Part::fit`]), so that
//! it can be asked again when another writer changed the table in between; settling applies the decision.
//!
//! What must stay true: fitting depends on the set of identities, not on the order of records; a value is in exactly
//! one place before and after; identities the table has always keep their place.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use crate::authority;
use crate::column::{Cells, Values};
use crate::number;
use crate::options::Limits;
use crate::overflow::Overflow;
use crate::path::{Identity, Kind, Path};
use crate::reject::Reject;
use crate::schema::Schema;
use crate::time::{self, Hour};

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
    /// Once settled: `_overflow`.
    pub(crate) overflow_cells: Option<Cells>,
}

/// What fitting a part to a table has decided.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fit {
    /// Identities the table has not and has room for, in the order in which they register.
    pub register: Vec<Identity>,
    /// Columns that find no room, each with the object whose overflow takes it.
    demoted: Vec<(Identity, Path)>,
    /// For each object with overflow the object whose column takes it in the end, outermost last.
    target: BTreeMap<Path, Path>,
}

impl Fit {
    /// Whether some column found no room.
    pub fn has_refused(&self) -> bool {
        !self.demoted.is_empty()
    }
}

/// Counts places while a part is fitted.
struct Room<'a> {
    limits: &'a Limits,
    columns: usize,
    children: HashMap<Path, HashSet<Box<str>>>,
}

impl Room<'_> {
    fn of<'a>(schema: &Schema, limits: &'a Limits) -> Room<'a> {
        let mut room = Room { limits, columns: 0, children: HashMap::new() };
        for column in schema.columns() {
            room.place(&column.identity.path);
        }
        room
    }

    /// The object that has no room for a new column at `path`, if there is one.
    fn refusal(&self, path: &Path) -> Option<Path> {
        let mut object = Path::root();
        for key in path.keys() {
            if let Some(children) = self.children.get(&object)
                && children.len() >= self.limits.children
                && !children.contains(key)
            {
                return Some(object);
            }
            object = object.child(key);
        }
        if self.columns < self.limits.columns {
            return None;
        }
        Some(path.split_last().map_or_else(Path::root, |(parent, _)| parent))
    }

    fn place(&mut self, path: &Path) {
        self.columns += 1;
        let mut object = Path::root();
        for key in path.keys() {
            let below = object.child(key);
            self.children.entry(object).or_default().insert(key.into());
            object = below;
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
    /// Identities are considered in their order. One is refused where an object already has `limits.children` children
    /// or the table `limits.columns` columns; its values then go to the `json` column of the nearest object that can
    /// have one, or to `_overflow`.
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
                    overflowing.push(object.clone());
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
            let has_column = object.is_empty() || json.contains(&object) || schema.place(&identity).is_some();
            let target = match object.split_last() {
                _ if has_column => object.clone(),
                Some(_) if room.refusal(&object).is_none() => {
                    room.place(&object);
                    fit.register.push(identity);
                    object.clone()
                }
                Some((parent, _)) => {
                    if let Err(at) = overflowing.binary_search(&parent) {
                        overflowing.insert(at, parent.clone());
                    }
                    parent
                }
                None => Path::root(),
            };
            fit.target.insert(object, target);
        }
        fit.register.sort();
        fit
    }

    /// Moves the columns that `fit` refused to the overflow of their objects.
    pub(crate) fn demote(&mut self, fit: &Fit) {
        if fit.demoted.is_empty() {
            return;
        }
        let refused: HashMap<&Identity, &Path> =
            fit.demoted.iter().map(|(identity, object)| (identity, object)).collect();
        let columns = std::mem::take(&mut self.columns);
        for PartColumn { identity, cells } in columns {
            let Some(object) = refused.get(&identity) else {
                self.columns.push(PartColumn { identity, cells });
                continue;
            };
            let keys: Vec<&str> = identity.path.keys().skip(object.len()).collect();
            let overflow = self.overflow.entry((*object).clone()).or_default();
            for (at, row) in cells.rows.iter().enumerate() {
                overflow.push(*row, &keys, &json_of(&cells, identity.kind, at));
            }
        }
    }

    /// Applies the decision: afterwards every column is one of the table's, and the rest is in `_overflow`.
    pub fn settle(&mut self, fit: &Fit) {
        self.demote(fit);
        // Deepest first, so that what is handed up arrives before the object above is written.
        for (object, target) in fit.target.iter().rev() {
            let Some(overflow) = self.overflow.remove(object) else { continue };
            if target != object {
                let (_, key) = object.split_last().expect("only the record itself has no object above");
                self.overflow.entry(target.clone()).or_default().push_under(key, &overflow);
                continue;
            }
            let cells = overflow.into_cells();
            if object.is_empty() {
                self.overflow_cells = Some(cells);
                continue;
            }
            let identity = Identity::new(object.clone(), Kind::Json);
            match self.columns.binary_search_by(|column| column.identity.cmp(&identity)) {
                Ok(at) => {
                    let column = &mut self.columns[at];
                    let own = std::mem::replace(&mut column.cells, Cells::new(Kind::Json));
                    column.cells = own.merge(cells, Kind::Json);
                }
                Err(at) => self.columns.insert(at, PartColumn { identity, cells }),
            }
        }
    }

    /// The cells of `_overflow`, once the part is settled; `None` where every field has a column.
    pub fn overflow(&self) -> Option<&Cells> {
        self.overflow_cells.as_ref()
    }

    /// For each row the hour that the value at `path` tells, `None` where there is none or it is no time of this
    /// century. Numbers are epoch seconds, milliseconds or microseconds, text is RFC 3339.
    pub fn hours(&self, path: &Path) -> Vec<Option<Hour>> {
        let mut hours = vec![None; self.rows as usize];
        for PartColumn { identity, cells } in
            self.columns.iter().filter(|column| column.identity.path == *path)
        {
            // Neighbours mostly share their hour; computing a calendar date for each would cost more than parsing.
            let mut last: Option<(i64, Option<Hour>)> = None;
            for (at, row) in cells.rows.iter().enumerate() {
                let Some(micros) = micros(identity.kind, &cells.values, at) else { continue };
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
    /// of this century. Numbers and text are read as [`Part::hours`] does.
    pub fn latest(&self, path: &Path) -> Option<i64> {
        let columns = self.columns.iter().filter(|column| column.identity.path == *path);
        let times = columns.flat_map(|PartColumn { identity, cells }| {
            (0..cells.rows.len()).filter_map(|at| micros(identity.kind, &cells.values, at))
        });
        times.filter(|micros| time::is_of_this_century(*micros)).max()
    }
}

/// The time that value `at` of a column of `kind` tells, in microseconds since 1970.
fn micros(kind: Kind, values: &Values, at: usize) -> Option<i64> {
    match values {
        Values::Double(values) => time::micros_of_double(values[at]),
        Values::Long(values) if kind == Kind::Timestamp => Some(values[at]),
        Values::Long(values) => time::micros_of_long(values[at]),
        Values::Text(texts) if kind == Kind::String => {
            std::str::from_utf8(texts.get(at)).ok().and_then(time::micros_of_text)
        }
        Values::Boolean(_) | Values::Text(_) => None,
    }
}

/// The JSON text of cell `at` of a column of `kind`.
fn json_of(cells: &Cells, kind: Kind, at: usize) -> String {
    match &cells.values {
        Values::Double(values) => number::print(values[at]),
        Values::Long(values) => values[at].to_string(),
        Values::Boolean(values) => values[at].to_string(),
        Values::Text(texts) => {
            let text = std::str::from_utf8(texts.get(at)).expect("text columns hold UTF-8");
            if kind == Kind::Json {
                authority::compact(text).into_owned()
            } else {
                serde_json::to_string(text).expect("text is JSON")
            }
        }
    }
}
