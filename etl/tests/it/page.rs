//! The page of `iotlake report` in a real browser: what it shows, what it asks for, and whom it shuts out.

mod browser;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use iotlake_fixtures::{Dirt, Kit};
use serde_json::Value;
use tempfile::TempDir;

use browser::Browser;

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A folder with a lake.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Place {
        Place { folder: TempDir::with_prefix("iotlake-").unwrap() }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_iotlake"));
        command.current_dir(self.root()).args(arguments).env_remove("IOTLAKE_LAKE");
        command
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 3)), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn rows(&self, sql: &str) -> Vec<Value> {
        let answer = self.run(&["query", sql, "--lake", "lake", "--json"]);
        answer.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Makes the page; its path.
    fn page(&self, arguments: &[&str]) -> PathBuf {
        self.run(&[&["report", "--lake", "lake", "-o", "lake.html", "--force"], arguments].concat());
        let path = self.root().join("lake.html");
        let length = fs::metadata(&path).unwrap().len();
        assert!(length <= 1_000_000, "{length} bytes");
        path
    }
}

/// Two days of the kit.
fn of_the_kit() -> Place {
    let place = Place::new();
    let dirt = Dirt::spread(0.02).unwrap();
    let kit =
        Kit { devices: 30, hours: 30, messages_per_hour: 4, objects_per_hour: 1, dirt, ..Kit::sample() };
    for object in kit.objects() {
        place.write(&format!("raw/{}", object.key), object.bytes);
    }
    place.run(&[
        "backfill",
        "raw",
        "--lake",
        "lake",
        "--contract",
        "rigado",
        "--partition-by",
        "event:ts",
        "--quiet",
    ]);
    place
}

/// What axe has to say of what is open.
fn violations(browser: &mut Browser) -> Vec<String> {
    let axe = workspace().join("etl/tests/page/node_modules/axe-core/axe.min.js");
    let axe =
        fs::read_to_string(&axe).unwrap_or_else(|_| panic!("{} is missing: run `make venv`", axe.display()));
    browser.value(&format!("{axe}; true"));
    let found = browser.value(
        "axe.run(document, { preload: false }).then((found) => found.violations.map((one) =>
         one.id + ': ' + one.help + ': ' + one.nodes.slice(0, 3).map((node) => node.html.slice(0, 200)).join(' | ')))",
    );
    serde_json::from_value(found).unwrap()
}

fn count(number: &Value) -> String {
    let digits = number.as_u64().unwrap().to_string();
    let groups: Vec<_> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

/// A page that is a file asks for itself and nothing else, and has nothing to complain of.
fn assert_is_alone(browser: &Browser, path: &Path) {
    let itself = format!("file://{}", path.display());
    let others: Vec<_> =
        browser.requests.iter().filter(|url| **url != itself && !url.starts_with("data:")).collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}

#[test]
fn a_page_shows_what_sql_says_and_asks_nobody() {
    let place = of_the_kit();
    let path = place.page(&[]);
    let mut browser = Browser::start();
    browser.open_file(&path);

    let one = |sql: &str| place.rows(sql)[0]["n"].clone();
    for (tile, table) in [("rows", "events"), ("rejects", "events_rejects")] {
        let expected = count(&one(&format!("SELECT count(*) AS n FROM {table}")));
        let shown = browser.value(&format!("document.getElementById('tile-{tile}').firstChild.textContent"));
        assert_eq!(shown, *expected, "{tile}");
    }
    assert!(browser.text("#balance").ends_with("balanced; receipts and files agree in every hour."));
    let found = browser.text("#hours-table tbody tr:first-child");
    let hour = &place.rows("SELECT hour, count(*) AS n FROM events WHERE year <> '0000' GROUP BY year, month, day, hour ORDER BY year, month, day, hour LIMIT 1")[0];
    assert!(
        found.contains(&format!(" {}:00{}", hour["hour"].as_str().unwrap(), count(&hour["n"]))),
        "{found}: {hour}"
    );

    // Devices: the one that was silent the longest stands first; a search finds one.
    let first = &place.rows(r#"SELECT "device.deviceid" AS d, count(*) AS n, max(ts) AS t FROM events WHERE year <> '0000' AND "device.deviceid" IS NOT NULL GROUP BY 1 ORDER BY 3, 1 LIMIT 1"#)[0];
    let cells = browser.texts("#devices-table tbody tr:first-child > *");
    let last = first["t"]
        .as_i64()
        .map(|second| {
            jiff::Timestamp::from_second(second / 1000).unwrap().to_string().replace(['T', 'Z'], " ")
        })
        .unwrap();
    assert_eq!(
        (cells[0].as_str(), cells[2].as_str(), cells[4].as_str()),
        (first["d"].as_str().unwrap(), last.trim(), &*count(&first["n"]))
    );
    let device = place.rows(r#"SELECT "device.deviceid" AS d FROM events WHERE "measurements.humidity" IS NOT NULL GROUP BY 1 ORDER BY 1 LIMIT 1"#)[0]["d"].as_str().unwrap().to_owned();
    browser.choose("devices-find", &device.to_uppercase());
    assert_eq!(browser.texts("#devices-table tbody th"), [device.as_str()]);

    // Its line, in one hour.
    let step = 900;
    let sql = format!(
        r#"SELECT ts / 1000 / {step} * {step} AS t, round(avg("measurements.temperature"), 2) AS c, round(avg("measurements.humidity"), 2) AS h
           FROM events WHERE "device.deviceid" = '{device}' AND day = '02' AND hour = '03' GROUP BY 1 ORDER BY 1"#
    );
    browser.choose("device", &format!("d{device}"));
    browser.choose("from", "2026-03-02T03:00");
    browser.choose("to", "2026-03-02T04:00");
    let expected = place.rows(&sql);
    assert!(!expected.is_empty());
    let titles = browser.texts("#measures-table thead th");
    let column = |name: &str| titles.iter().position(|title| title.starts_with(name)).unwrap();
    let (celsius, humidity) = (column("temperature"), column("humidity"));
    for (at, row) in expected.iter().enumerate() {
        let cells = browser.texts(&format!("#measures-table tbody tr:nth-child({}) > *", at + 1));
        for (cell, name) in [(&cells[celsius], "c"), (&cells[humidity], "h")] {
            let expected = row[name].as_f64();
            let is_near = match expected {
                Some(number) => cell.parse::<f64>().is_ok_and(|cell| (cell - number).abs() < 0.011),
                None => cell.is_empty(),
            };
            assert!(is_near, "{row}: {cells:?}");
        }
    }
    assert_eq!(browser.texts("#measures-table tbody tr").len(), expected.len());
    browser.click("#all-time");
    assert!(browser.texts("#measures-table tbody tr").len() > expected.len());

    // Every column, and every reason with a command that works.
    let columns = place.run(&["schema", "events", "--lake", "lake", "--json"]);
    let columns: Value = serde_json::from_str(&columns).unwrap();
    let own =
        columns["columns"].as_array().unwrap().iter().filter(|column| !column["path"].is_null()).count();
    let caption = browser.text("#columns-table caption");
    assert!(caption.starts_with(&format!("{own} columns")), "{caption}");
    let reason = &place
        .rows("SELECT reason, count(*) AS n FROM events_rejects GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1")[0];
    let title = browser.text(".reason h3");
    assert!(
        title.starts_with(&format!("{}: {} record", reason["reason"].as_str().unwrap(), count(&reason["n"]))),
        "{title}"
    );
    let command = browser.text(".reason > pre");
    let shell = Command::new("sh")
        .arg("-c")
        .arg(command.replacen("iotlake", env!("CARGO_BIN_EXE_iotlake"), 1) + " --json")
        .current_dir(place.root())
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(shell.stdout).unwrap().lines().count() as u64,
        reason["n"].as_u64().unwrap(),
        "{command}"
    );
    assert_is_alone(&browser, &path);
}

#[test]
fn keys_and_screen_readers_reach_everything_in_both_themes() {
    let place = of_the_kit();
    let path = place.page(&[]);
    let mut browser = Browser::start();
    browser.open_file(&path);
    browser.value("document.querySelectorAll('details').forEach((one) => { one.open = true; })");
    let mut papers = Vec::new();
    for theme in ["light", "dark"] {
        browser.look_like(theme, 1280, 900);
        papers.push(browser.value("getComputedStyle(document.body).backgroundColor"));
        assert_eq!(violations(&mut browser), Vec::<String>::new(), "{theme}");
    }
    assert_ne!(papers[0], papers[1]);
    browser.look_like("light", 360, 740);
    let overflow =
        browser.value("document.documentElement.scrollWidth - document.documentElement.clientWidth");
    assert_eq!(overflow, 0, "a telephone need not scroll sideways");
    browser.look_like("light", 1280, 900);

    // Tab comes to all that can be used, in the order of the page.
    let every = "[...document.querySelectorAll('a[href], button:enabled, input, select, summary, [tabindex=\"0\"]')].filter((one) => one.checkVisibility())";
    let all = browser.value(&format!("({every}).length")).as_u64().unwrap();
    assert!(all > 30, "{all}");
    browser.value(
        "document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex')",
    );
    browser.value(&format!("window.met = new Set(); window.every = {every}; true"));
    // A field for times has several places for the keyboard.
    for _ in 0..all + 24 {
        browser.press("Tab");
        browser.value("window.met.add(document.activeElement); true");
    }
    let missed = browser.value(
        "window.every.filter((one) => !window.met.has(one)).map((one) => one.outerHTML.slice(0, 120))",
    );
    assert_eq!(missed, serde_json::json!([]));

    // Arrow keys read a chart.
    browser.value("document.getElementById('chart-rows').focus()");
    browser.press("Home");
    let first = browser.text("#chart-rows .reading");
    browser.press("ArrowRight");
    let second = browser.text("#chart-rows .reading");
    let hours = browser.texts("#hours-table tbody th");
    let rows = browser.texts("#hours-table tbody td:nth-child(2)");
    assert_eq!([first, second], [0, 1].map(|at| format!("{}  {}", hours[at], rows[at])));
    browser.press("End");
    assert!(
        browser.text("#chart-rows .reading").contains(&hours[hours.len() - 1])
            || hours.last().is_some_and(|hour| hour.contains("no hour"))
    );

    // The keys of a table: order, and pages, without losing one's place.
    browser.value("document.querySelector('#devices-table th:nth-child(5) button').focus()");
    browser.press("Enter");
    browser.press("Enter");
    let messages = browser.texts("#devices-table tbody td:nth-child(5)");
    let messages: Vec<u64> = messages.iter().map(|text| text.replace(',', "").parse().unwrap()).collect();
    assert!(messages.len() > 10 && messages.is_sorted_by(|a, b| a >= b), "{messages:?}");
    let focused = browser.value("document.activeElement.closest('th').getAttribute('aria-sort')");
    assert_eq!(focused, "descending");
    assert_is_alone(&browser, &path);
}

/// Names and values that would do harm if anything took them for more than text.
const HOSTILE: [&str; 8] = [
    "</script><script>window.ran = 1</script>",
    "<img src=x onerror=window.ran=2>",
    "\u{202e}drowssap\u{2066}",
    "'; DROP TABLE events; --",
    "NaN",
    "__proto__",
    "{{facts}}<!--",
    "javascript:window.ran=3//\u{2028}",
];

#[test]
fn hostile_names_and_values_are_shown_and_never_run() {
    let place = Place::new();
    let mut text = String::new();
    for (at, hostile) in HOSTILE.iter().enumerate() {
        let record = serde_json::json!({
            "ts": 1_772_341_500_000_u64 + at as u64,
            "device": { "deviceId": hostile, "capabilityModelId": hostile },
            "measurements": { "temperature": "NaN", "humidity": at },
            (*hostile): hostile,
        });
        text += &format!("{record}\nno record: {hostile}\n");
    }
    for device in 0..10_000 {
        text += &format!(
            "{{\"ts\":{},\"device\":{{\"deviceId\":\"d{device}\"}}}}\n",
            1_772_341_600_000_u64 + device
        );
    }
    place.write("raw/2026/03/01/05/<script>window.ran = 4</script>", text);
    place.run(&["backfill", "raw", "--lake", "lake", "--contract", "rigado", "--quiet"]);
    let path = place.page(&[]);
    let mut browser = Browser::start();
    browser.open_file(&path);
    assert_eq!(browser.value("typeof window.ran"), "undefined");
    assert_eq!(browser.value("document.scripts.length"), 2);
    assert_eq!(
        browser.value("document.images.length + document.querySelectorAll('main script, main a').length"),
        0
    );

    // A page of rows at a time, all of them to be found.
    assert_eq!(browser.texts("#devices-table tbody tr").len(), 50);
    let caption = browser.text("#devices-table caption");
    assert!(caption.starts_with("10,008 devices") || caption.contains("of 10,008"), "{caption}");
    browser.click("#devices-table .pages button:last-child");
    assert_eq!(browser.text("#devices-table .pages [role=status]").split(" of ").next(), Some("page 2"));
    browser.choose("devices-find", "d99");
    let found = browser.texts("#devices-table tbody th");
    assert!(!found.is_empty() && found.iter().all(|name| name.contains("d99")), "{found:?}");
    for hostile in HOSTILE {
        let seen = hostile
            .replace('\u{202e}', "\\u202e")
            .replace('\u{2066}', "\\u2066")
            .replace('\u{2028}', "\\u2028");
        browser.choose(
            "devices-find",
            &hostile.replace(['\u{202e}', '\u{2066}', '\u{2028}'], "").chars().take(10).collect::<String>(),
        );
        if hostile.chars().take(10).all(|letter| letter < '\u{2000}') {
            let found = browser.texts("#devices-table tbody th");
            assert!(found.contains(&seen), "{hostile:?}: {found:?}");
        }
        let paths = browser.value("facts.columns.listed.map((column) => column.path)");
        let paths: Vec<String> = serde_json::from_value(paths).unwrap();
        assert!(paths.iter().any(|path| path == hostile), "{hostile:?}: {paths:?}");
    }
    browser.choose("devices-find", "");
    let samples = browser.texts(".reason pre").join("\n") + &browser.texts(".reason p").join("\n");
    assert!(samples.contains("no record: </script><script>window.ran = 1</script>"), "{samples}");
    assert!(samples.contains("/<script>window.ran = 4</script>"), "{samples}");
    // Text that looks like a number is none.
    let titles = browser.texts("#measures-table thead th");
    assert!(!titles.iter().any(|title| title.starts_with("temperature")), "{titles:?}");
    assert!(titles.iter().any(|title| title.starts_with("humidity")), "{titles:?}");
    let kinds = browser.texts("#columns-table tbody th");
    assert!(kinds.contains(&"measurements.temperature.string".to_owned()), "{kinds:?}");
    browser.value("document.querySelectorAll('details').forEach((one) => { one.open = true; })");
    for choice in ["model", "device"] {
        let values = browser.value(&format!(
            "[...document.getElementById('{choice}').options].slice(0, 20).map((one) => one.value)"
        ));
        for value in values.as_array().unwrap() {
            browser.choose(choice, value.as_str().unwrap());
        }
    }
    assert_eq!(browser.value("typeof window.ran"), "undefined");
    assert_is_alone(&browser, &path);
}

#[test]
fn without_devices_a_page_says_how_to_name_their_column() {
    let place = Place::new();
    place.write("raw/2026/03/01/05/a.json", "{\"unit\":\"north\",\"ts\":1772341500000}\n");
    place.run(&["backfill", "raw", "--lake", "lake", "--quiet"]);
    let mut browser = Browser::start();
    browser.open_file(&place.page(&[]));
    assert_eq!(browser.text("#devices-about"), "There is no device column: name one with --device COLUMN.");
    browser.open_file(&place.page(&["--device", "unit"]));
    assert_eq!(browser.texts("#devices-table tbody th"), ["north"]);
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}

/// `iotlake report --serve`, and where.
struct Served {
    process: Child,
    address: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn serve(place: &Place) -> Served {
    let mut process =
        place.command(&["report", "--lake", "lake", "--serve"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.split_whitespace().next().unwrap_or_default().to_owned();
    assert!(address.starts_with("http://127.0.0.1:"), "{line}");
    Served { process, address }
}

#[test]
fn a_served_page_looks_again_and_answers_nobody_else() {
    let place = Place::new();
    place.write("raw/2026/03/01/05/a.json", "{\"device\":{\"deviceId\":\"one\"},\"ts\":1772341500000}\n");
    place.run(&["backfill", "raw", "--lake", "lake", "--quiet"]);
    let served = serve(&place);
    let mut browser = Browser::start();
    browser.open(&served.address);
    assert!(browser.text("#tile-rows").starts_with('1'));
    browser.choose("devices-find", "two");
    place.write("raw/2026/03/01/06/b.json", "{\"device\":{\"deviceId\":\"two\"},\"ts\":1772345100000}\nno\n");
    place.run(&["backfill", "raw", "--lake", "lake", "--quiet"]);
    browser.click("#refresh");
    browser.wait_until("document.getElementById('tile-rows').textContent.startsWith('2')");
    browser.wait_until("document.getElementById('looked').textContent.startsWith('as of ')");
    // What was typed is still there.
    assert_eq!(browser.texts("#devices-table tbody th"), ["two"]);
    assert_eq!(violations(&mut browser), Vec::<String>::new());
    fs::rename(place.root().join("lake/_iotlake/catalog"), place.root().join("elsewhere")).unwrap();
    browser.click("#refresh");
    browser.wait_until("document.getElementById('looked').textContent.startsWith('cannot look again: ')");
    let others: Vec<_> = browser
        .requests
        .iter()
        .filter(|url| !url.starts_with(&served.address) && !url.starts_with("data:"))
        .collect();
    assert!(others.is_empty(), "{others:?}");
    // The browser tells of the answer that was an error.
    assert!(browser.complaints.iter().all(|complaint| complaint.contains("500")), "{:?}", browser.complaints);

    let host = served.address.trim_start_matches("http://").trim_end_matches('/');
    let answer = |request: &str| {
        let mut stream = TcpStream::connect(host).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.lines().next().unwrap_or_default().to_owned()
    };
    let port = host.rsplit(':').next().unwrap();
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(), "403 Forbidden"),
        (format!("GET / HTTP/1.1\r\nHost: evil.example:{port}\r\n\r\n"), "403 Forbidden"),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "403 Forbidden"),
        (format!("POST /facts.json HTTP/1.1\r\nHost: {host}\r\n\r\n"), "405 Method Not Allowed"),
        (format!("GET /etc/passwd HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n"), "404 Not Found"),
        (format!("GET /../lake HTTP/1.1\r\nHost: {host}\r\n\r\n"), "404 Not Found"),
    ] {
        assert_eq!(answer(&request), format!("HTTP/1.1 {status}"), "{request}");
    }
}

/// The pictures of README.md and docs/: `UPDATE_PICTURES=1` takes them anew.
#[test]
fn pictures_of_the_documentation_are_small() {
    let names = ["report-light.png", "report-dark.png", "report-devices.png"];
    let path = |name: &str| workspace().join("docs/pictures").join(name);
    if std::env::var_os("UPDATE_PICTURES").is_some() {
        fs::create_dir_all(workspace().join("docs/pictures")).unwrap();
        take_pictures(&names.map(path));
    }
    for name in names {
        let picture = fs::read(path(name)).unwrap();
        assert!(
            picture.starts_with(b"\x89PNG") && picture.len() < 300_000,
            "{name}: {} bytes",
            picture.len()
        );
    }
}

fn take_pictures(paths: &[PathBuf; 3]) {
    let place = of_the_kit();
    let page = place.page(&[]);
    let mut browser = Browser::start();
    for (path, theme, top) in
        [(&paths[0], "light", "h1"), (&paths[1], "dark", "#measures"), (&paths[2], "light", "#devices")]
    {
        browser.look_like(theme, 1100, 860);
        browser.open_file(&page);
        browser.value(&format!("document.querySelector('{top}').scrollIntoView()"));
        browser.look_like(theme, 1100, 860);
        fs::write(path, browser.picture()).unwrap();
    }
}

/// That the library for charts is the one that its package has, and with its licence.
#[test]
fn the_charts_are_those_of_the_package() {
    let package = workspace().join("etl/tests/page/node_modules/uplot");
    let ours = workspace().join("etl/src/report/page/uplot");
    for (of_package, of_ours) in [
        ("dist/uPlot.iife.min.js", "uPlot.iife.min.js"),
        ("dist/uPlot.min.css", "uPlot.min.css"),
        ("LICENSE", "LICENSE"),
    ] {
        assert!(
            fs::read(package.join(of_package)).unwrap() == fs::read(ours.join(of_ours)).unwrap(),
            "{of_ours}"
        );
    }
}
