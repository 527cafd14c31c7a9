//! What the function says of itself: a line of JSON for each object, and metrics.
//!
//! In comes what became of objects; out come lines for CloudWatch Logs: one an object with its accounts and where its
//! time went, and one an invocation in the embedded metric format, which CloudWatch turns into metrics without a call:
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.
//!
//! What must stay true: no line holds a byte of a payload or a credential; names of objects and of columns are all that
//! is shown of data. Every object of an invocation is in exactly one of the metrics that count objects.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use iotlake_flatten::{Part, Path};
use serde_json::{Map, Value, json};

use crate::error::causes;
use crate::pipeline::{Counts, Ingested, Stage, Watch};

/// How many new columns a line names.
const NAMED_COLUMNS: usize = 20;

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ended {
    /// Ingested by this invocation.
    Done,
    /// Ingested before.
    AlreadyDone,
    /// No data by its name.
    Skipped,
    /// Removed before it was read.
    Gone,
    /// Changed after it was ingested.
    Changed,
    /// Not attempted, or cut short, for want of time: it is delivered again.
    Postponed,
    /// Cut short though it had a whole invocation and went on to its end: it would be again.
    TooLong,
    /// Failed.
    Failed,
}

impl Ended {
    /// The word for it in logs.
    fn word(self) -> &'static str {
        match self {
            Ended::Done => "done",
            Ended::AlreadyDone => "already_done",
            Ended::Skipped => "skipped",
            Ended::Gone => "gone",
            Ended::Changed => "changed",
            Ended::Postponed => "postponed",
            Ended::TooLong => "too_long",
            Ended::Failed => "failed",
        }
    }

    /// The metric that counts it.
    fn metric(self) -> &'static str {
        match self {
            Ended::Done => "ObjectsDone",
            Ended::AlreadyDone => "ObjectsAlreadyDone",
            Ended::Skipped => "ObjectsSkipped",
            Ended::Gone => "ObjectsGone",
            Ended::Changed => "SourceConflicts",
            Ended::Postponed => "ObjectsPostponed",
            Ended::TooLong => "ObjectsTooLong",
            Ended::Failed => "ObjectsFailed",
        }
    }

    /// Whether whoever announced the object has to announce it again.
    pub fn is_failure(self) -> bool {
        matches!(self, Ended::Changed | Ended::Postponed | Ended::TooLong | Ended::Failed)
    }

    fn level(self) -> &'static str {
        match self {
            Ended::Done | Ended::AlreadyDone | Ended::Skipped => "INFO",
            Ended::Gone | Ended::Postponed => "WARN",
            Ended::Changed | Ended::TooLong | Ended::Failed => "ERROR",
        }
    }
}

/// The share of an invocation that counts as a whole one, and the share of it in which an object must have moved to be
/// slow and not stuck.
const WHOLE: f64 = 0.9;
const LATELY: f64 = 0.2;

/// Where the time of one object went, how far it came, and how fresh it was.
#[derive(Debug)]
pub struct Stopwatch {
    state: Mutex<State>,
    /// Where a record tells when it arrived.
    arrival: Path,
    until: Instant,
}

#[derive(Debug)]
struct State {
    began: Instant,
    entered: Instant,
    stage: Stage,
    stages: BTreeMap<Stage, Duration>,
    newest: Option<i64>,
    /// Stored bytes that were read, and when the last of them came.
    bytes_read: u64,
    moved: Instant,
    parts: u64,
}

impl Stopwatch {
    /// Starts; the object is stopped when `until` has come.
    pub fn start(arrival: Path, until: Instant) -> Stopwatch {
        let now = Instant::now();
        let state = State {
            began: now,
            entered: now,
            stage: Stage::Ledger,
            stages: BTreeMap::new(),
            newest: None,
            bytes_read: 0,
            moved: now,
            parts: 0,
        };
        Stopwatch { state: Mutex::new(state), arrival, until }
    }

    /// How long it ran in all.
    pub fn elapsed(&self) -> Duration {
        self.lock().began.elapsed()
    }

    /// The latest arrival that a record told, in microseconds since 1970.
    pub fn newest(&self) -> Option<i64> {
        self.lock().newest
    }

    /// Stored bytes that were read until now.
    pub fn bytes_read(&self) -> u64 {
        self.lock().bytes_read
    }

    /// Whether it had nearly all of an invocation, of which objects may use `usable`, and moved on until it was cut short. One
    /// that waited for an answer meanwhile, or began late, may well be done when it is delivered again.
    pub fn is_too_long(&self, usable: Duration) -> bool {
        let state = self.lock();
        let had = self.until.saturating_duration_since(state.began);
        let waited = self.until.saturating_duration_since(state.moved);
        state.bytes_read > 0 && had >= usable.mul_f64(WHOLE) && waited <= usable.mul_f64(LATELY)
    }

    /// How far it came.
    fn progress(&self) -> Value {
        let state = self.lock();
        json!({"bytes_read": state.bytes_read, "parts": state.parts, "stage": state.stage})
    }

    fn stages(&self) -> Value {
        self.enter(Stage::Receipt);
        let state = self.lock();
        let stage = |(stage, spent): (&Stage, &Duration)| {
            let name = serde_json::to_value(stage).expect("a stage is a word");
            (name.as_str().unwrap_or_default().to_owned(), json!(milliseconds(*spent)))
        };
        Value::Object(state.stages.iter().map(stage).collect())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch for Stopwatch {
    fn read(&self, stored_bytes: u64) {
        let mut state = self.lock();
        state.bytes_read += stored_bytes;
        state.moved = Instant::now();
    }

    fn enter(&self, stage: Stage) {
        let mut state = self.lock();
        let now = Instant::now();
        let spent = now - state.entered;
        let left = state.stage;
        *state.stages.entry(left).or_default() += spent;
        (state.stage, state.entered) = (stage, now);
    }

    fn part(&self, part: &Part) {
        let latest = part.latest(&self.arrival);
        let mut state = self.lock();
        state.newest = state.newest.max(latest);
        state.parts += 1;
    }

    fn is_stopped(&self) -> bool {
        Instant::now() >= self.until
    }
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e4).round() / 10.0
}

/// What an error and its causes say, for one field of a line.
pub fn chain(error: &dyn Error) -> String {
    std::iter::once(error.to_string()).chain(causes(error)).collect::<Vec<_>>().join(": ")
}

/// The lines of one invocation.
#[derive(Debug)]
pub struct Journal {
    request: String,
    table: String,
    namespace: String,
    totals: Mutex<Totals>,
}

#[derive(Debug, Default)]
struct Totals {
    counts: Counts,
    ended: BTreeMap<Ended, u64>,
    /// Columns that found no room, those of each object counted anew.
    refused: u64,
    conflicts: u64,
    durations: Vec<f64>,
    freshness: Vec<f64>,
}

/// One object, as a line tells it.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Its URI.
    pub source: &'a str,
    /// What became of it.
    pub ended: Ended,
    /// Its accounts, if it was ingested.
    pub outcome: Option<&'a Ingested>,
    /// Where its time went, if it was begun.
    pub watch: Option<&'a Stopwatch>,
    /// Seconds from the arrival of its newest record until it can be queried, if it can be told.
    pub freshness: Option<f64>,
    /// Why it failed.
    pub error: Option<String>,
    /// What an operator can do about it.
    pub hint: Option<String>,
}

impl Journal {
    /// Of an invocation.
    pub fn new(request: &str, table: &str, namespace: &str) -> Journal {
        let (request, table, namespace) = (request.to_owned(), table.to_owned(), namespace.to_owned());
        Journal { request, table, namespace, totals: Mutex::default() }
    }

    /// Writes the line of an object and counts it.
    pub fn object(&self, entry: &Entry<'_>) {
        let mut line = self.line(entry.ended.level(), "object");
        line.insert("source".into(), entry.source.into());
        line.insert("status".into(), entry.ended.word().into());
        if let Some(outcome) = entry.outcome.filter(|_| entry.ended == Ended::Done) {
            describe(&mut line, outcome);
        }
        if let Some(watch) = entry.watch.filter(|_| matches!(entry.ended, Ended::Postponed | Ended::TooLong))
        {
            line.insert("progress".into(), watch.progress());
        }
        if let Some(watch) = entry.watch {
            line.insert("stages_ms".into(), watch.stages());
            line.insert("ms".into(), milliseconds(watch.elapsed()).into());
        }
        if let Some(seconds) = entry.freshness {
            line.insert("freshness_s".into(), seconds.into());
        }
        line.extend(entry.error.as_ref().map(|error| ("error".into(), error.as_str().into())));
        line.extend(entry.hint.as_ref().map(|hint| ("hint".into(), hint.as_str().into())));
        print(&Value::Object(line));

        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        *totals.ended.entry(entry.ended).or_default() += 1;
        if let Some(outcome) = entry.outcome {
            totals.counts.add(&outcome.counts);
            totals.refused += outcome.columns.refused.len() as u64;
            totals.conflicts += u64::from(outcome.conflicts);
        }
        totals.durations.extend(entry.watch.map(|watch| milliseconds(watch.elapsed())));
        totals.freshness.extend(entry.freshness);
    }

    /// Writes a line about a message that announced nothing that is understood; it counts as a failed object.
    pub fn message_failed(&self, message: &str, error: &str, received: u32) {
        let mut line = self.line("ERROR", "message");
        line.insert("message_id".into(), message.into());
        line.insert("received".into(), received.into());
        line.insert("error".into(), error.into());
        print(&Value::Object(line));
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        *totals.ended.entry(Ended::Failed).or_default() += 1;
    }

    /// Writes the metrics of the invocation.
    pub fn finish(self) {
        let totals = self.totals.into_inner().unwrap_or_else(PoisonError::into_inner);
        print(&totals.metrics(&self.namespace, &self.table, SystemTime::now()));
    }

    fn line(&self, level: &str, event: &str) -> Map<String, Value> {
        let mut line = Map::new();
        line.insert("level".into(), level.into());
        line.insert("event".into(), event.into());
        line.insert("request_id".into(), self.request.as_str().into());
        line.insert("table".into(), self.table.as_str().into());
        line
    }
}

/// The accounts of an object.
fn describe(line: &mut Map<String, Value>, outcome: &Ingested) {
    let Counts { records, rows, rejected, ignored, bytes_stored, bytes_decoded, bytes_out, files, .. } =
        outcome.counts;
    let Counts { untimed, zoneless, overflowed, .. } = outcome.counts;
    let refused = &outcome.columns.refused;
    let numbers = [
        ("records", records),
        ("rows", rows),
        ("rejected", rejected),
        ("ignored", ignored),
        ("bytes_in", bytes_stored),
        ("bytes_decoded", bytes_decoded),
        ("bytes_out", bytes_out),
        ("files", files),
        ("catalog_conflicts", outcome.conflicts.into()),
    ];
    line.extend(numbers.map(|(name, number)| (name.to_owned(), number.into())));
    let refused_columns = refused.len() as u64;
    for (name, number) in [
        ("untimed", untimed),
        ("zoneless", zoneless),
        ("overflowed", overflowed),
        ("refused_columns", refused_columns),
    ] {
        if number > 0 {
            line.insert(name.into(), number.into());
        }
    }
    if !refused.is_empty() {
        let paths = refused.iter().take(NAMED_COLUMNS).map(|identity| identity.path.to_string());
        line.insert("refused_column_names".into(), paths.collect());
    }
    let columns: Vec<&str> =
        outcome.new_columns.iter().take(NAMED_COLUMNS).map(|column| column.name.as_str()).collect();
    line.insert("new_columns".into(), outcome.new_columns.len().into());
    if !columns.is_empty() {
        line.insert("new_column_names".into(), columns.into());
    }
    if !outcome.rejects_by_reason.is_empty() {
        line.insert("rejects_by_reason".into(), json!(outcome.rejects_by_reason));
    }
    if !outcome.warnings.is_empty() {
        line.insert("warnings".into(), json!(outcome.warnings));
    }
}

impl Totals {
    fn metrics(&self, namespace: &str, table: &str, now: SystemTime) -> Value {
        let counts = &self.counts;
        let mut values: Vec<(&str, &str, Value)> = vec![
            ("RecordsIn", "Count", counts.records.into()),
            ("RowsOut", "Count", counts.rows.into()),
            ("Rejected", "Count", counts.rejected.into()),
            ("BytesIn", "Bytes", counts.bytes_stored.into()),
            ("BytesOut", "Bytes", counts.bytes_out.into()),
            ("NewColumns", "Count", counts.new_columns.into()),
            ("Untimed", "Count", counts.untimed.into()),
            ("Overflowed", "Count", counts.overflowed.into()),
            ("ColumnsRefused", "Count", self.refused.into()),
            ("CatalogConflicts", "Count", self.conflicts.into()),
        ];
        for ended in [
            Ended::Done,
            Ended::AlreadyDone,
            Ended::Skipped,
            Ended::Gone,
            Ended::Changed,
            Ended::Postponed,
            Ended::TooLong,
            Ended::Failed,
        ] {
            let count = self.ended.get(&ended).copied().unwrap_or(0);
            values.push((ended.metric(), "Count", count.into()));
        }
        // A metric has at most 100 values a line; the largest matter most.
        for (name, unit, measured) in
            [("Duration", "Milliseconds", &self.durations), ("Freshness", "Seconds", &self.freshness)]
        {
            let mut largest = measured.clone();
            largest.sort_by(|a, b| b.total_cmp(a));
            largest.truncate(100);
            if !largest.is_empty() {
                values.push((name, unit, largest.into()));
            }
        }
        let metrics: Vec<Value> =
            values.iter().map(|(name, unit, _)| json!({"Name": name, "Unit": unit})).collect();
        let timestamp = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        let mut line = json!({
            "_aws": {
                "Timestamp": timestamp,
                "CloudWatchMetrics": [{"Namespace": namespace, "Dimensions": [["Table"]], "Metrics": metrics}],
            },
            "Table": table,
        });
        for (name, _, value) in values {
            line[name] = value;
        }
        line
    }
}

/// Writes one line to standard output, which Lambda hands to CloudWatch. Where it is closed there is nobody to tell.
pub fn print(line: &Value) {
    let mut text = line.to_string();
    text.push('\n');
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_in_the_embedded_format_and_every_object_is_counted_once() {
        let totals = Totals {
            counts: Counts { records: 10, rows: 9, rejected: 1, overflowed: 2, ..Counts::default() },
            refused: 3,
            ended: [(Ended::Done, 2), (Ended::Failed, 1)].into(),
            durations: (0..150).map(f64::from).collect(),
            ..Totals::default()
        };
        let line = totals.metrics("iotlake", "events", UNIX_EPOCH + Duration::from_secs(1));
        assert_eq!(line["_aws"]["Timestamp"], 1000);
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Dimensions"], json!([["Table"]]));
        let metrics = directive["Metrics"].as_array().unwrap();
        for metric in metrics {
            assert!(!line[metric["Name"].as_str().unwrap()].is_null(), "{metric} has a value");
        }
        assert_eq!(line["Duration"].as_array().unwrap().len(), 100);
        assert_eq!(line["Duration"][0], 149.0, "the largest are kept");
        assert!(line.get("Freshness").is_none(), "nothing was measured");
        assert_eq!((&line["RecordsIn"], &line["Rejected"]), (&json!(10), &json!(1)));
        assert_eq!((&line["Overflowed"], &line["ColumnsRefused"]), (&json!(2), &json!(3)));
        let objects =
            ["ObjectsDone", "ObjectsFailed", "ObjectsGone", "ObjectsSkipped"].map(|name| line[name].clone());
        assert_eq!(objects, [json!(2), json!(1), json!(0), json!(0)]);
    }

    #[test]
    fn the_time_of_an_object_goes_to_the_stage_it_was_in() {
        let watch = Stopwatch::start(Path::dotted("ts"), Instant::now() + Duration::from_secs(60));
        watch.enter(Stage::Read);
        watch.enter(Stage::Write);
        let stages = watch.stages();
        let names: Vec<_> = stages.as_object().unwrap().keys().cloned().collect();
        assert_eq!(names, ["ledger", "read", "write"]);
        assert!(!watch.is_stopped());
    }

    #[test]
    fn an_object_that_is_slow_is_told_from_one_that_is_stuck_or_came_late() {
        let second = Duration::from_secs(1);
        // In every case 10 s can be used.
        let usable = 10 * second;
        let cut_short = |had: Duration, waited: Duration, bytes: u64| {
            let watch = Stopwatch::start(Path::dotted("ts"), Instant::now() + 60 * second);
            watch.read(bytes);
            let mut state = watch.lock();
            state.began = watch.until - had;
            state.moved = watch.until - waited;
            drop(state);
            watch.is_too_long(usable)
        };
        assert!(cut_short(10 * second, second, 1), "slow");
        assert!(!cut_short(10 * second, 5 * second, 1), "stuck");
        assert!(!cut_short(5 * second, second, 1), "late");
        assert!(!cut_short(10 * second, second, 0), "nothing came");
    }

    #[test]
    fn how_far_an_object_came_is_told() {
        let watch = Stopwatch::start(Path::dotted("ts"), Instant::now());
        watch.enter(Stage::Read);
        watch.read(5);
        watch.read(7);
        assert_eq!(watch.progress(), json!({"bytes_read": 12, "parts": 0, "stage": "read"}));
        assert_eq!(watch.bytes_read(), 12);
    }

    #[test]
    fn causes_are_told_once() {
        let inner = std::io::Error::other("no answer");
        let error = crate::storage::StorageError::Io { uri: "s3://b/k".into(), source: inner };
        assert_eq!(chain(&error), "s3://b/k: no answer");
    }
}
