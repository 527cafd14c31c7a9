//! Who sent in a time, how often, until when, and what they measured.
//!
//! In comes one query of the rows of that time, grouped by device, model and step; out come the devices, those silent the
//! longest first, and lines over time: of every model, and of the devices that sent most, as many as a page has room for.
//!
//! A silence between two messages that is at least a step long has its beginning and its end in different steps, as the
//! last of the one and the first of the other. So the longest is exact where it is longer than a step, and no message has
//! to be sorted. What must stay true: averages are sums and numbers of values as SQL has them.

use std::collections::{BTreeMap, HashMap};

use datafusion::arrow::record_batch::RecordBatch;
use iotlake_flatten::Kind;
use serde::Serialize;

use super::window::Window;
use super::{Options, ReportError, cut, sql};
use crate::catalog::Table;
use crate::query::Session;

/// The most devices that are listed.
const LISTED: usize = 10_000;

/// The most models that have lines.
const MODELS: usize = 40;

/// The most devices that have lines: more cannot be picked from a list.
const LINES: usize = 500;

/// The most numbers in all lines.
const NUMBERS: usize = 40_000;

/// The longest names of devices and models that are shown, in characters.
const NAME: usize = 100;

/// A device is silent that has been so for as many times its usual interval, and longer than a step.
const SILENT: f64 = 5.0;

/// What the kit's devices measure: the path, the kind, a name for people, the unit.
const MEASURES: [(&str, Kind, &str, &str); 5] = [
    ("measurements.temperature", Kind::Double, "temperature", "°C"),
    ("measurements.humidity", Kind::Double, "humidity", "%"),
    ("measurements.batteryLevel", Kind::Double, "battery", "%"),
    ("measurements.rssi", Kind::Double, "signal", "dBm"),
    ("measurements.occupied", Kind::Boolean, "occupancy", "share of messages"),
];

/// The devices of a time, those silent the longest first: one entry in each list for each device.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Devices {
    /// The column that tells them apart; `null` if none is known.
    pub column: Option<String>,
    /// How many there are.
    pub count: u64,
    /// How many of them are silent.
    pub silent_count: u64,
    /// Rows without a device.
    pub nameless: u64,
    /// Silences shorter than this, in seconds, are not told apart.
    pub step: i64,
    /// Their names.
    pub names: Vec<String>,
    /// Their models, by the place in [`Panels::models`].
    pub models: Vec<Option<usize>>,
    /// Messages of each.
    pub messages: Vec<u64>,
    /// The last of each.
    pub last: Vec<i64>,
    /// Seconds between two messages of each, on average; `null` where there is only one.
    pub every: Vec<Option<f64>>,
    /// The longest silence between two messages of each, in seconds.
    pub gap: Vec<i64>,
    /// Whether each is silent now: longer than five times its usual interval, at the time of the newest message of all.
    pub silent: Vec<bool>,
}

/// What devices sent, over time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Panels {
    /// When the first step begins.
    pub begin: i64,
    /// The length of a step, in seconds.
    pub step: i64,
    /// What is measured.
    pub measures: Vec<Measure>,
    /// The models.
    pub models: Vec<String>,
    /// The lines: first those of models, then those of devices.
    pub lines: Vec<Line>,
}

/// What is measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Measure {
    /// Its name, for people.
    pub name: String,
    /// Its column.
    pub column: String,
    /// Its unit.
    pub unit: String,
}

/// One model, or one device, over time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Line {
    /// The device, by its place in [`Devices::names`]; `null` of all devices of a model.
    pub device: Option<usize>,
    /// The model, by its place in [`Panels::models`].
    pub model: Option<usize>,
    /// The step of the first entries.
    pub from: usize,
    /// Messages in each step.
    pub messages: Vec<u64>,
    /// For each measure its average in each step; nothing where there is none at all.
    pub values: Vec<Vec<Option<f64>>>,
}

/// Devices, lines, and the time of the newest row.
pub(super) fn of(
    session: &Session,
    table: &Table,
    window: Window,
    options: &Options,
) -> Result<(Devices, Panels, Option<i64>), ReportError> {
    let device = device_column(table, options)?;
    let known = MEASURES.into_iter().filter_map(|(path, kind, name, unit)| {
        let column = sql::column(table, path, kind)?.to_owned();
        Some(Measure { name: name.to_owned(), column, unit: unit.to_owned() })
    });
    let measures: Vec<Measure> = known.collect();
    let step = window.step();
    let answer = session.run(&query(table, window, device.as_deref(), &measures))?;
    let scan = Scan::read(&answer.batches, measures.len());
    let devices = scan.list(device, step);
    let lines = scan.lines(&devices);
    let newest = scan.newest().map(sql::seconds);
    let models = scan.models.iter().map(|model| cut(model, NAME)).collect();
    Ok((devices.facts, Panels { begin: window.since, step, measures, models, lines }, newest))
}

/// The column that tells devices apart: what was asked for, by name or path, else that of the kit.
fn device_column(table: &Table, options: &Options) -> Result<Option<String>, ReportError> {
    let Some(asked) = &options.device else {
        return Ok(sql::column(table, "device.deviceId", Kind::String).map(str::to_owned));
    };
    let columns = table.schema.columns();
    let by_name = columns.iter().find(|column| column.name == *asked);
    let found = by_name.or_else(|| columns.iter().find(|column| column.identity.path.to_string() == *asked));
    let column = found.ok_or_else(|| ReportError::NoColumn {
        name: asked.clone(),
        table: table.name.clone(),
        hint: format!("`iotlake schema {} {}` lists the columns", table.name, options.arguments),
    })?;
    Ok(Some(column.name.clone()))
}

/// One row for each device, model and step: messages, the first and the last, and sum and number of each measure.
fn query(table: &Table, window: Window, device: Option<&str>, measures: &[Measure]) -> String {
    let text = |column: Option<&str>| {
        column.map_or_else(
            || "CAST(NULL AS VARCHAR)".to_owned(),
            |c| format!("CAST({} AS VARCHAR)", sql::name(c)),
        )
    };
    let model = sql::column(table, "device.capabilityModelId", Kind::String);
    let mut inner =
        format!("{} AS device, {} AS model, {} AS t", text(device), text(model), sql::time(table, window));
    let mut outer = String::new();
    for (at, measure) in measures.iter().enumerate() {
        inner += &format!(", CAST({} AS DOUBLE) AS m{at}", sql::name(&measure.column));
        outer += &format!(", sum(m{at}), count(m{at})");
    }
    format!(
        "SELECT device, model, (t - {}) / {} AS step, count(*), min(t), max(t){outer} \
         FROM (SELECT {inner} FROM {} WHERE {}) GROUP BY 1, 2, 3",
        window.since * 1000,
        window.step() * 1000,
        sql::name(&table.name),
        window.condition()
    )
}

/// What one device did in one step as one model.
struct Cell {
    step: usize,
    model: Option<usize>,
    messages: u64,
    /// In milliseconds since 1970.
    first: i64,
    last: i64,
    /// Sum and number of each measure.
    sums: Vec<(f64, u64)>,
}

/// What the query found.
struct Scan {
    /// The models, those with most messages first; behind the last that is told apart, one for all others.
    models: Vec<String>,
    /// By name, the cells of each device in the order of time.
    devices: BTreeMap<String, Vec<Cell>>,
    /// Those of rows without a device.
    nameless: Vec<Cell>,
    measures: usize,
}

/// The devices that are listed, and their names whole.
struct Known {
    facts: Devices,
    names: Vec<String>,
}

impl Scan {
    fn read(batches: &[RecordBatch], measures: usize) -> Scan {
        let models = models(batches);
        let place = |model: &str| models.iter().position(|known| known == model).unwrap_or(MODELS);
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut scan = Scan { models: Vec::new(), devices: BTreeMap::new(), nameless: Vec::new(), measures };
        for batch in batches {
            for row in 0..batch.num_rows() {
                let long = |column| sql::long(batch, column, row).unwrap_or_default();
                let model = sql::string(batch, 1, row).map(|model| match places.get(model) {
                    Some(place) => *place,
                    None => *places.entry(model.to_owned()).or_insert_with_key(|model| place(model)),
                });
                let sum =
                    |at| (sql::double(batch, 6 + 2 * at, row).unwrap_or(f64::NAN), long(7 + 2 * at) as u64);
                let cell = Cell {
                    step: long(2) as usize,
                    model,
                    messages: long(3) as u64,
                    first: long(4),
                    last: long(5),
                    sums: (0..measures).map(sum).collect(),
                };
                match sql::string(batch, 0, row) {
                    None => scan.nameless.push(cell),
                    Some(name) => match scan.devices.get_mut(name) {
                        Some(cells) => cells.push(cell),
                        None => drop(scan.devices.insert(name.to_owned(), vec![cell])),
                    },
                }
            }
        }
        scan.devices.values_mut().for_each(|cells| cells.sort_by_key(|cell| (cell.step, cell.model)));
        scan.models = models;
        if places.len() > MODELS {
            scan.models.push("all other models".to_owned());
        }
        scan
    }

    fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.devices.values().flatten().chain(&self.nameless)
    }

    fn newest(&self) -> Option<i64> {
        self.cells().map(|cell| cell.last).max()
    }

    /// The devices, those silent the longest first.
    fn list(&self, column: Option<String>, step: i64) -> Known {
        let now = self.newest().unwrap_or(0);
        let mut order: Vec<_> = self.devices.iter().collect();
        order.sort_by_key(|(name, cells)| (cells.iter().map(|cell| cell.last).max(), *name));
        let mut facts = Devices { column, step, count: order.len() as u64, ..Devices::default() };
        facts.nameless = self.nameless.iter().map(|cell| cell.messages).sum();
        let mut names = Vec::new();
        for (name, cells) in order {
            let told = History::of(cells);
            let usual = told.every.unwrap_or(3600.0);
            let silent = (now - told.last) as f64 / 1000.0 > (SILENT * usual).max(step as f64);
            facts.silent_count += u64::from(silent);
            if names.len() == LISTED {
                continue;
            }
            names.push(name.clone());
            facts.names.push(cut(name, NAME));
            facts.models.push(cells.last().and_then(|cell| cell.model));
            facts.messages.push(told.messages);
            facts.last.push(sql::seconds(told.last));
            facts.every.push(told.every.map(rounded));
            facts.gap.push(sql::seconds(told.gap));
            facts.silent.push(silent);
        }
        Known { facts, names }
    }

    /// Lines of all models, and of the listed devices that sent most while there is room.
    fn lines(&self, devices: &Known) -> Vec<Line> {
        let mut by_model: BTreeMap<_, Vec<&Cell>> = BTreeMap::new();
        for cell in self.cells() {
            by_model.entry(cell.model.map_or((1, 0), |model| (0, model))).or_default().push(cell);
        }
        let of_model = |cells: &Vec<&Cell>| Line { device: None, ..self.line(cells) };
        let mut lines: Vec<Line> = by_model.values().map(of_model).collect();
        let mut room = NUMBERS.saturating_sub(lines.iter().map(Line::numbers).sum());
        let mut order: Vec<usize> = (0..devices.names.len()).collect();
        order.sort_by_key(|place| std::cmp::Reverse(devices.facts.messages[*place]));
        for place in order.into_iter().take(LINES) {
            let cells: Vec<&Cell> = self.devices[&devices.names[place]].iter().collect();
            let model = devices.facts.models[place];
            let line = Line { device: Some(place), model, ..self.line(&cells) };
            match room.checked_sub(line.numbers()) {
                Some(left) => room = left,
                None => break,
            }
            lines.push(line);
        }
        lines
    }

    /// The line of these cells, of which there is at least one.
    fn line(&self, cells: &[&Cell]) -> Line {
        let from = cells.iter().map(|cell| cell.step).min().unwrap_or(0);
        let to = cells.iter().map(|cell| cell.step).max().unwrap_or(0);
        let mut messages = vec![0; to - from + 1];
        let mut sums = vec![vec![(0.0, 0); to - from + 1]; self.measures];
        for cell in cells {
            messages[cell.step - from] += cell.messages;
            for (of_measure, (sum, number)) in
                sums.iter_mut().zip(&cell.sums).filter(|(_, (_, number))| *number > 0)
            {
                let at: &mut (f64, u64) = &mut of_measure[cell.step - from];
                *at = (at.0 + sum, at.1 + number);
            }
        }
        let average = |(sum, number): (f64, u64)| {
            Some(sum / number as f64).filter(|average| number > 0 && average.is_finite()).map(rounded)
        };
        let values = sums.into_iter().map(|of_measure| {
            let averages: Vec<_> = of_measure.into_iter().map(average).collect();
            if averages.iter().all(Option::is_none) { Vec::new() } else { averages }
        });
        Line { device: None, model: cells[0].model, from, messages, values: values.collect() }
    }
}

impl Line {
    fn numbers(&self) -> usize {
        self.messages.len() + self.values.iter().map(Vec::len).sum::<usize>()
    }
}

/// What a device did in the whole time.
struct History {
    messages: u64,
    /// Milliseconds since 1970.
    last: i64,
    /// Seconds between two messages.
    every: Option<f64>,
    /// Milliseconds.
    gap: i64,
}

impl History {
    /// Of its cells in the order of time.
    fn of(cells: &[Cell]) -> History {
        let messages = cells.iter().map(|cell| cell.messages).sum();
        let first = cells.iter().map(|cell| cell.first).min().unwrap_or(0);
        let mut last = first;
        let mut gap = 0;
        for of_step in cells.chunk_by(|a, b| a.step == b.step) {
            let begin = of_step.iter().map(|cell| cell.first).min().unwrap_or(last);
            gap = gap.max(begin - last);
            last = of_step.iter().map(|cell| cell.last).max().unwrap_or(last);
        }
        let every = (messages > 1).then(|| (last - first) as f64 / 1000.0 / (messages - 1) as f64);
        History { messages, last, every, gap }
    }
}

/// The models, those with most messages first, as many as are told apart.
fn models(batches: &[RecordBatch]) -> Vec<String> {
    let mut messages: HashMap<&str, i64> = HashMap::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            if let Some(model) = sql::string(batch, 1, row) {
                *messages.entry(model).or_default() += sql::long(batch, 3, row).unwrap_or_default();
            }
        }
    }
    let mut models: Vec<_> = messages.into_iter().collect();
    models.sort_by_key(|(model, messages)| (std::cmp::Reverse(*messages), *model));
    models.truncate(MODELS);
    models.into_iter().map(|(model, _)| model.to_owned()).collect()
}

/// To four decimals: more than a chart shows.
fn rounded(number: f64) -> f64 {
    let rounded = (number * 1e4).round() / 1e4;
    if rounded.is_finite() { rounded } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(step: usize, messages: u64, first: i64, last: i64) -> Cell {
        Cell { step, model: None, messages, first, last, sums: Vec::new() }
    }

    #[test]
    fn the_longest_silence_is_told_by_the_ends_of_steps() {
        // Steps of 10 s; as two models in the second.
        let cells = [
            cell(0, 3, 0, 9_000),
            cell(1, 1, 12_000, 12_000),
            cell(1, 1, 11_000, 11_000),
            cell(4, 1, 45_000, 45_000),
        ];
        let told = History::of(&cells);
        assert_eq!((told.messages, told.last, told.gap, told.every), (6, 45_000, 33_000, Some(9.0)));
        let told = History::of(&[cell(7, 1, 70_000, 70_000)]);
        assert_eq!((told.messages, told.last, told.gap, told.every), (1, 70_000, 0, None));
    }

    #[test]
    fn numbers_are_rounded_but_never_lost() {
        assert_eq!(rounded(19.027_343_75), 19.0273);
        assert_eq!(rounded(-0.000_04), -0.0);
        assert_eq!(rounded(1e308), 1e308);
    }
}
