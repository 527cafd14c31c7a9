//! The facts of a report against what SQL says of the same lake.

use std::collections::{BTreeMap, BTreeSet};

use iotlake::contract;
use iotlake::error::Hint;
use iotlake::lake::Lake;
use iotlake::query::{Format, Session, write};
use iotlake::report::{Facts, Liveness, MOST_BYTES, Options, gather, page};
use iotlake::storage::{MemoryStorage, Storage};
use iotlake_fixtures::Kit;
use iotlake_flatten::Contract;
use serde_json::Value;

use crate::support;

fn options() -> Options {
    Options {
        table: "events".to_owned(),
        device: None,
        since: None,
        until: None,
        arguments: "--lake lake".to_owned(),
        now: 1_800_000_000,
    }
}

/// The rows of an answer, as JSON.
fn rows(lake: &Lake, sql: &str) -> Vec<Value> {
    let session = Session::open(lake).unwrap();
    let mut out = Vec::new();
    write(&session.run(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}")), Format::Json, &mut out)
        .unwrap();
    String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn number(lake: &Lake, sql: &str) -> u64 {
    rows(lake, sql)[0].as_object().unwrap().values().next().unwrap().as_u64().unwrap()
}

fn second(hour: &str) -> i64 {
    format!("{hour}:00:00Z").parse::<jiff::Timestamp>().unwrap().as_second()
}

fn kit_lake(by: &str) -> Lake {
    let lake = support::memory_lake();
    let contract = Contract { part_bytes: 16384, ..contract::builtin("rigado").unwrap() };
    support::run(&lake, &support::dirty_source(), &support::options(contract, by.parse().unwrap()));
    lake
}

/// One source a key.
fn lake_of(sources: &[(&str, &str)], by: &str) -> Lake {
    let raw = MemoryStorage::new("raw");
    for (key, text) in sources {
        raw.put(key, text.as_bytes()).unwrap();
    }
    let lake = support::memory_lake();
    support::run(&lake, &raw, &support::options(Contract::default(), by.parse().unwrap()));
    lake
}

const HOUR: &str = "year || '-' || month || '-' || day || 'T' || hour";

fn check_hours(lake: &Lake, facts: &Facts) {
    let mut dated = [0, 0];
    for (table, counts, place) in
        [("events", &facts.hours.rows, 0), ("events_rejects", &facts.hours.rejected, 1)]
    {
        let sql = format!("SELECT {HOUR} AS h, count(*) AS n FROM {table} WHERE year <> '0000' GROUP BY 1");
        for row in rows(lake, &sql) {
            let at = (second(row["h"].as_str().unwrap()) - facts.hours.begin) / facts.hours.step;
            assert_eq!(Some(counts[at as usize]), row["n"].as_u64(), "{table} {row}");
            dated[place] += row["n"].as_u64().unwrap();
        }
        assert_eq!(counts.iter().sum::<u64>(), dated[place], "{table}");
    }
    let [rows, rejects] =
        ["events", "events_rejects"].map(|table| number(lake, &format!("SELECT count(*) FROM {table}")));
    assert_eq!((rows - dated[0], rejects - dated[1]), (facts.undated.rows, facts.undated.rejected));
    assert!(facts.accounts.balances, "{:?}", facts.accounts.differences);
    assert_eq!((facts.accounts.rows, facts.accounts.rejected), (rows, rejects));
    assert_eq!(facts.accounts.records, rows + rejects);
    let sources =
        "SELECT count(*) FROM (SELECT _source FROM events UNION SELECT _source FROM events_rejects)";
    assert_eq!(facts.accounts.sources, number(lake, sources));
}

fn check_devices(lake: &Lake, facts: &Facts) {
    let sql = r#"SELECT d, count(*) AS n, max(ts) / 1000 AS last, min(ts) AS first, max(ts - before) / 1000 AS gap, max(ts) - min(ts) AS length
        FROM (SELECT "device.deviceid" AS d, ts, lag(ts) OVER (PARTITION BY "device.deviceid" ORDER BY ts) AS before FROM events
              WHERE year <> '0000')
        WHERE d IS NOT NULL GROUP BY 1 ORDER BY 3, 1"#;
    let expected = rows(lake, sql);
    let devices = &facts.devices;
    assert_eq!(devices.column.as_deref(), Some("device.deviceid"));
    assert_eq!((devices.count, devices.names.len()), (expected.len() as u64, expected.len()));
    assert!(expected.len() > 20, "{}", expected.len());
    for (at, row) in expected.iter().enumerate() {
        // Seconds: two of one second may stand either way.
        let at = devices.names.iter().position(|name| row["d"] == name.as_str()).unwrap_or(at);
        assert_eq!(Some(devices.messages[at]), row["n"].as_u64(), "{row}");
        assert_eq!(Some(devices.last[at]), row["last"].as_i64(), "{row}");
        let gap = row["gap"].as_i64().unwrap_or(0);
        if gap >= devices.step {
            assert_eq!(devices.gap[at], gap, "{row}");
        } else {
            assert!(devices.gap[at] < devices.step, "{row}");
        }
        let intervals = devices.messages[at] - 1;
        let every = (intervals > 0).then(|| row["length"].as_f64().unwrap() / 1000.0 / intervals as f64);
        let is_near = match (devices.every[at], every) {
            (Some(a), Some(b)) => (a - b).abs() < 1e-3,
            (a, b) => a == b,
        };
        assert!(is_near, "{row}: {:?} is not {every:?}", devices.every[at]);
    }
    assert!(devices.last.is_sorted());
}

fn check_lines(lake: &Lake, facts: &Facts) {
    let panels = &facts.panels;
    let names: Vec<_> = panels.measures.iter().map(|measure| measure.name.as_str()).collect();
    assert_eq!(names, ["temperature", "humidity", "battery", "signal", "occupancy"]);
    let step = panels.step * 1000;
    for device in [false, true] {
        let key = if device { "\"device.deviceid\"" } else { "\"device.capabilitymodelid\"" };
        let averages = panels.measures.iter().enumerate();
        let averages: String =
            averages.map(|(at, of)| format!(", avg(CAST(\"{}\" AS double)) AS m{at}", of.column)).collect();
        let sql = format!(
            "SELECT {key} AS k, (ts - {}) / {step} AS step, count(*) AS n{averages} FROM events
             WHERE {key} IS NOT NULL AND year <> '0000' GROUP BY 1, 2",
            panels.begin * 1000
        );
        let mut checked = 0;
        for row in rows(lake, &sql) {
            let name = row["k"].as_str().unwrap();
            let line = panels.lines.iter().find(|line| match line.device {
                Some(place) => device && facts.devices.names[place] == name,
                None => !device && line.model.is_some_and(|model| panels.models[model] == name),
            });
            let line = line.unwrap_or_else(|| panic!("no line of {name}"));
            let at = row["step"].as_u64().unwrap() as usize - line.from;
            assert_eq!(Some(line.messages[at]), row["n"].as_u64(), "{row}");
            for (place, values) in line.values.iter().enumerate() {
                let (found, expected) =
                    (values.get(at).copied().flatten(), row[&format!("m{place}")].as_f64());
                let is_near = match (found, expected) {
                    (Some(a), Some(b)) => (a - b).abs() <= 5e-5 + b.abs() * 1e-9,
                    (a, b) => a == b,
                };
                assert!(is_near, "{row}: {found:?} is not {expected:?}");
                checked += usize::from(expected.is_some());
            }
        }
        assert!(checked > 100, "only {checked} averages");
    }
}

fn check_columns(lake: &Lake, facts: &Facts) {
    assert_eq!(facts.columns.rows, number(lake, "SELECT count(*) FROM events"));
    assert_eq!(facts.columns.count, facts.columns.listed.len() as u64);
    for column in &facts.columns.listed {
        let name = column.name.replace('"', "\"\"");
        let sql = format!(
            "SELECT count(\"{name}\") AS n, min(CASE WHEN \"{name}\" IS NOT NULL AND year <> '0000' THEN {HOUR} END) AS first
             FROM events"
        );
        let row = &rows(lake, &sql)[0];
        assert_eq!(Some(column.values), row["n"].as_u64(), "{}", column.name);
        assert_eq!(column.first, row["first"].as_str().map(second), "{}", column.name);
    }
    let temperature =
        facts.columns.listed.iter().find(|column| column.name == "measurements.temperature").unwrap();
    assert!(temperature.siblings.contains(&"measurements.temperature.string".to_owned()), "{temperature:?}");
}

fn check_rejects(lake: &Lake, facts: &Facts) {
    let expected =
        rows(lake, "SELECT reason, count(*) AS n FROM events_rejects GROUP BY 1 ORDER BY 2 DESC, 1");
    let found: Vec<_> =
        facts.rejects.reasons.iter().map(|reason| (reason.reason.as_str(), reason.records)).collect();
    let expected: Vec<_> =
        expected.iter().map(|row| (row["reason"].as_str().unwrap(), row["n"].as_u64().unwrap())).collect();
    assert_eq!(found, expected);
    assert!(found.len() > 3, "{found:?}");
    for reason in &facts.rejects.reasons {
        assert!(!reason.samples.is_empty(), "{reason:?}");
        for sample in &reason.samples {
            let source = sample.source.replace('\'', "''");
            let sql = format!(
                "SELECT count(*) FROM events_rejects WHERE reason = '{}' AND _source = '{source}' AND line = {} AND length = {}",
                reason.reason, sample.line, sample.length
            );
            assert!(number(lake, &sql) > 0, "{sample:?}");
        }
    }
}

#[test]
fn facts_are_what_sql_counts_however_rows_are_filed() {
    for by in ["arrival", "event:ts"] {
        let lake = kit_lake(by);
        let facts = gather(&lake, &options()).unwrap();
        assert_eq!(facts.filed_by, by);
        check_hours(&lake, &facts);
        check_columns(&lake, &facts);
        check_rejects(&lake, &facts);
        if by == "event:ts" {
            // By arrival a message may be of the hour before.
            check_devices(&lake, &facts);
            check_lines(&lake, &facts);
        }
        let newest = number(&lake, "SELECT max(ts) / 1000 FROM events WHERE year <> '0000'");
        assert_eq!(facts.freshness.row, Some(newest as i64));
        assert!(facts.freshness.hour.unwrap() <= newest as i64 && facts.unread.is_empty());
    }
}

#[test]
fn a_time_that_is_asked_for_is_all_that_is_counted() {
    let lake = kit_lake("arrival");
    let hours: BTreeSet<String> = rows(&lake, &format!("SELECT DISTINCT {HOUR} AS h FROM events ORDER BY 1"))
        .iter()
        .map(|row| row["h"].as_str().unwrap().to_owned())
        .collect();
    let hours: Vec<_> = hours.into_iter().collect();
    assert!(hours.len() >= 4, "{hours:?}");
    let asked = Options {
        since: Some(hours[1].parse().unwrap()),
        until: Some(hours[3].parse().unwrap()),
        ..options()
    };
    let facts = gather(&lake, &asked).unwrap();
    let within = format!("{HOUR} >= '{}' AND {HOUR} < '{}'", hours[1], hours[3]);
    let rows_within = number(&lake, &format!("SELECT count(*) FROM events WHERE {within}"));
    assert_eq!(facts.hours.rows.iter().sum::<u64>(), rows_within);
    assert_eq!((facts.accounts.rows, facts.accounts.balances), (rows_within, true));
    assert_eq!(facts.devices.messages.iter().sum::<u64>() + facts.devices.nameless, rows_within);
    assert_eq!(
        facts.rejects.records,
        number(&lake, &format!("SELECT count(*) FROM events_rejects WHERE {within}"))
    );
    assert_eq!((facts.since, facts.until), (second(&hours[1]), second(&hours[3])));
    // Columns are known from before.
    let first = facts.columns.listed.iter().filter_map(|column| column.first).min();
    assert_eq!(first, Some(second(&hours[0])));
    let later = Options { since: Some("2040-01-01".parse().unwrap()), ..options() };
    let facts = gather(&lake, &later).unwrap();
    assert_eq!((facts.accounts.sources, facts.devices.count, facts.hours.rows.len()), (0, 0, 0));
}

#[test]
fn accounts_that_do_not_balance_say_where() {
    let lake = kit_lake("arrival");
    let mut keys = Vec::new();
    lake.storage
        .list("events/", &mut |meta| {
            keys.push(meta.key);
            Ok(())
        })
        .unwrap();
    lake.storage.delete(&keys[0]).unwrap();
    let facts = gather(&lake, &options()).unwrap();
    assert!(!facts.accounts.balances);
    let hour = keys[0]
        .split('/')
        .filter_map(|part| part.split_once('='))
        .map(|(_, value)| value)
        .collect::<Vec<_>>();
    let [year, month, day, hour] = hour[..] else { panic!("{}", keys[0]) };
    let difference = &facts.accounts.differences[0];
    assert!(difference.starts_with(&format!("{year}-{month}-{day}T{hour}: receipts name ")), "{difference}");
}

#[test]
fn devices_are_told_apart_by_any_column() {
    let lake = lake_of(
        &[(
            "2026/03/01/05/a",
            "{\"ts\":1772341500000,\"Unit\":7}\n{\"ts\":1772341560000,\"Unit\":7}\n{\"ts\":1772341590000,\"Unit\":8}\n{\"ts\":1}\n",
        )],
        "arrival",
    );
    let facts = gather(&lake, &options()).unwrap();
    assert_eq!((facts.devices.column.as_deref(), facts.devices.count), (None, 0));
    assert_eq!(facts.panels.lines.len(), 1, "all rows as one line");
    for name in ["Unit", "unit"] {
        let lake_of_unit = Options { device: Some(name.to_owned()), ..options() };
        let Ok(facts) = gather(&lake, &lake_of_unit) else { panic!("{name}") };
        let devices = &facts.devices;
        assert_eq!(
            (&devices.names[..], &devices.messages[..], devices.nameless),
            (&["7.0".to_owned(), "8.0".to_owned()][..], &[2, 1][..], 1)
        );
        assert_eq!((devices.every[0], devices.every[1]), (Some(60.0), None));
    }
    let wrong = Options { device: Some("nothing".to_owned()), ..options() };
    let error = gather(&lake, &wrong).unwrap_err();
    assert_eq!(error.to_string(), "there is no column `nothing` in events");
    assert_eq!(error.hint(), Some("`iotlake schema events --lake lake` lists the columns"));
    let error = gather(&lake, &Options { table: "other".to_owned(), ..options() }).unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.hint()),
        ("there is no table `other`", Some("there are events"))
    );
}

#[test]
fn a_device_is_silent_after_five_of_its_intervals() {
    let minute = |device: &str, minutes: &[i64]| -> String {
        minutes
            .iter()
            .map(|at| {
                format!(
                    "{{\"ts\":{},\"device\":{{\"deviceId\":\"{device}\"}}}}\n",
                    1_772_323_200_000 + at * 60_000
                )
            })
            .collect()
    };
    let every_minute: Vec<i64> = (0..600).collect();
    let text = minute("steady", &every_minute)
        + &minute("gone", &(0..100).collect::<Vec<_>>())
        + &minute("slow", &[0, 240, 480])
        + &minute("once", &[590])
        + &minute("once-long-ago", &[10]);
    let lake = lake_of(&[("2026/03/01/00/a", &text)], "event:ts");
    let facts = gather(&lake, &options()).unwrap();
    let silent: BTreeMap<_, _> =
        facts.devices.names.iter().map(String::as_str).zip(facts.devices.silent.iter().copied()).collect();
    assert_eq!(
        silent,
        BTreeMap::from([
            ("gone", true),
            ("once", false),
            ("once-long-ago", true),
            ("slow", false),
            ("steady", false)
        ])
    );
    assert_eq!((facts.devices.silent_count, &*facts.devices.names[0]), (2, "once-long-ago"));
}

#[test]
fn times_of_any_unit_are_found_and_wrong_clocks_do_no_harm() {
    // The same instant as text, in seconds, milliseconds and microseconds; and clocks that are wrong, or no clocks.
    let instant = second("2026-03-01T05") + 90;
    for written in [
        format!("{instant}"),
        format!("{instant}000"),
        format!("{instant}000000"),
        "\"2026-03-01T05:01:30Z\"".to_owned(),
    ] {
        let text = format!("{{\"ts\":{written},\"device\":{{\"deviceId\":\"d\"}}}}\n");
        let by = if written.starts_with('"') { "event:ts" } else { "arrival" };
        let facts = gather(&lake_of(&[("2026/03/01/05/a", &text)], by), &options()).unwrap();
        assert_eq!(facts.devices.last, [instant], "{written}");
    }
    for written in
        ["-9223372036854775808", "9223372036854775807", "0", "4102444800000", "\"NaN\"", "1e300", "null"]
    {
        let text = format!("{{\"ts\":{written},\"device\":{{\"deviceId\":\"d\"}}}}\n");
        let facts = gather(&lake_of(&[("2026/03/01/05/a", &text)], "arrival"), &options()).unwrap();
        assert_eq!(facts.devices.last, [second("2026-03-01T05")], "{written}");
    }
}

#[test]
fn a_table_without_rows_has_a_page() {
    let lake = lake_of(&[("2026/03/01/05/a", "nonsense\n")], "arrival");
    let facts = gather(&lake, &options()).unwrap();
    assert_eq!((facts.accounts.records, facts.rejects.records, facts.devices.count), (1, 1, 0));
    assert_eq!((facts.freshness.row, facts.panels.lines.len()), (None, 0));
    assert!(page(&facts, Liveness::Still).contains("</html>"));
}

#[test]
fn a_page_has_bounds_whatever_is_in_the_lake() {
    let mut text = String::new();
    for device in 0..25_000 {
        let name = format!("{device:05}-{}", "\u{202e}</script>&".repeat(12));
        text += &format!(
            "{{\"ts\":{},\"device\":{{\"deviceId\":\"{name}\",\"capabilityModelId\":\"m{device}\"}}}}\n",
            1_772_323_200_000_i64 + device * 10
        );
    }
    let wide: String = (0..2000).map(|at| format!("\"{}{at}\":{at},", "wide".repeat(40))).collect();
    text += &format!("{{\"wide\":{{{}\"x\":1}}}}\n", wide);
    let lake = lake_of(&[("2026/03/01/00/a", &text)], "arrival");
    let facts = gather(&lake, &options()).unwrap();
    assert_eq!((facts.devices.count, facts.accounts.rows), (25_000, 25_001));
    assert!(facts.to_json().len() <= MOST_BYTES, "{}", facts.to_json().len());
    assert!(facts.devices.names.len() >= 500, "{}", facts.devices.names.len());
    assert!(facts.panels.models.len() <= 41);
    let page = page(&facts, Liveness::Still);
    assert!(page.len() <= 1_000_000, "{} bytes", page.len());
    let opened = page.matches("<script").count();
    assert_eq!((opened, page.matches("</script").count()), (2, 2));
}

#[test]
fn small_files_are_told_by_hour() {
    let kit = Kit { devices: 4, hours: 3, objects_per_hour: 3, messages_per_hour: 6, ..Kit::sample() };
    let raw = MemoryStorage::new("raw");
    kit.objects().for_each(|object| raw.put(&object.key, &object.bytes).unwrap());
    let lake = support::memory_lake();
    support::run(&lake, &raw, &support::options(Contract::default(), "arrival".parse().unwrap()));
    let facts = gather(&lake, &options()).unwrap();
    let files = &facts.files;
    assert_eq!((files.hours, files.untidy_hours), (3, 3));
    assert!(files.untidy.iter().all(|hour| hour.would_do == 1 && hour.files > 1), "{files:?}");
    assert_eq!(files.untidy.iter().map(|hour| hour.files).sum::<u64>(), files.files);
    assert_eq!(facts.hours.files.iter().sum::<u64>(), files.files + files.rejects_files);
}
