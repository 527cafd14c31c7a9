//! What the command line prints and how it ends, whole: each test runs commands in a folder of its own and compares
//! the transcript with a file in `tests/it/cli/`. `UPDATE_GOLDEN=1` writes the files; they are reviewed as text.

mod compact;
mod report;
mod shell;
#[cfg(feature = "query")]
mod typed;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use shell::Shell;

const GOOD: &str =
    "{\"ts\":1772355600000,\"m\":{\"t\":21.5}}\n{\"ts\":1772355601000,\"m\":{\"t\":\"high\"}}\n";
const KEY: &str = "raw/2026/03/01/09/a.json";

fn hostile(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/hostile").join(name)).unwrap()
}

fn files_below(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .map(|entry| entry.unwrap().path())
        .map(|path| if path.is_dir() { files_below(&path) } else { 1 })
        .sum()
}

#[test]
fn a_backfill_balances_and_the_second_finds_nothing_to_do() {
    let mut shell = Shell::with_source();
    shell.write("raw/2026/03/01/10/b.json", format!("{GOOD}nonsense\n{{\"a\":1,\"a\":2}}\n"));
    shell.run(&["backfill", "raw", "--lake", "lake"]);
    shell.run(&["backfill", "raw", "--lake", "lake"]);
    shell.run(&["schema", "--lake", "lake"]);
    shell.run(&["schema", "events", "--lake", "lake", "--as-contract"]);
    shell.run(&["schema", "other", "--lake", "lake"]);
    shell.run(&["schema", "events_rejects", "--lake", "lake"]);
    shell.run(&["schema", "events_rejects", "--lake", "lake", "--as-contract"]);
    shell.run(&["audit", "--lake", "lake"]);
    shell.run(&["audit", "--lake", "lake", "--quiet"]);
    shell.golden("backfill");
}

#[test]
fn a_view_has_columns_and_sql() {
    let mut shell = Shell::with_source();
    shell.run(&["backfill", "raw", "--lake", "lake", "--contract", "rigado", "--quiet"]);
    shell.run(&["schema", "events_rigado", "--lake", "lake"]);
    shell.run(&["schema", "events_rigado", "--lake", "lake", "--sql"]);
    shell.run(&["schema", "events_rigado", "--lake", "lake", "--as-contract"]);
    shell.run(&["schema", "events", "--lake", "lake", "--sql"]);
    shell.run(&["schema", "events_rigado", "--lake", "lake", "--sql", "--json"]);
    let output = shell.command(&["schema", "events_rigado", "--lake", "lake", "--json"]).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["table"], &json["columns"][0]["type"]), (&"events".into(), &"bigint".into()));
    assert!(json["sql"].as_str().unwrap().starts_with("SELECT\n"));
    shell.golden("view");
}

#[test]
fn reports_are_json() {
    let mut shell = Shell::with_source();
    shell.write("raw/2026/03/01/10/b.json", "nonsense\n");
    shell.run(&["backfill", "raw", "--lake", "lake", "--json", "--report", "report.json"]);
    let report = fs::read_to_string(shell.root.join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["counts"]["records"], 3);
    shell.run(&["schema", "--lake", "lake", "--json"]);
    shell.run(&["audit", "--lake", "lake", "--json"]);
    shell.run(&["backfill", "raw", "--lake", "lake", "--quiet"]);
    shell.golden("json");
}

#[test]
fn a_source_that_cannot_be_read_says_why() {
    let mut shell = Shell::with_source();
    shell.run(&["backfill", "nowhere", "--lake", "lake"]);
    shell.write("empty/.hidden", "");
    shell.run(&["backfill", "empty", "--lake", "lake"]);
    shell.write("undated/a.json", GOOD);
    shell.run(&["backfill", "undated", "--lake", "lake"]);
    shell.run(&["backfill", "gs://bucket/raw", "--lake", "lake"]);
    shell.run(&["backfill", "s3:/bucket/raw", "--lake", "lake"]);
    assert!(!shell.root.join("lake").exists());
    shell.write("secret/2026/03/01/09/a.json", GOOD);
    let secret = shell.root.join("secret/2026/03/01/09/a.json");
    fs::set_permissions(secret, fs::Permissions::from_mode(0o000)).unwrap();
    fs::create_dir(shell.root.join("lake")).unwrap();
    fs::set_permissions(shell.root.join("lake"), fs::Permissions::from_mode(0o777)).unwrap();
    shell.run_restricted(&["backfill", "secret", "--lake", "lake"]);
    shell.golden("source");
}

#[test]
fn what_cannot_be_listed_is_one_failed_source() {
    use std::os::unix::ffi::OsStrExt;
    let mut shell = Shell::with_source();
    shell.write("raw/2026/03/01/10/b.json", GOOD);
    let folder = shell.root.join("raw/2026/03/01/10");
    fs::write(shell.root.join(KEY).with_file_name(OsStr::from_bytes(b"caf\xe9.json")), GOOD).unwrap();
    fs::create_dir(shell.root.join("lake")).unwrap();
    fs::set_permissions(shell.root.join("lake"), fs::Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o000)).unwrap();
    shell.run_restricted(&["backfill", "raw", "--lake", "lake"]);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    shell.run_restricted(&["backfill", "raw", "--lake", "lake"]);
    shell.golden("unlisted");
}

#[test]
fn records_without_a_time_are_told_and_never_fill_a_table_unasked() {
    let mut shell = Shell::new();
    let zoneless = "{\"Time\":\"2026-03-01T09:00:00\",\"t\":1}\n{\"Time\":\"soon\",\"t\":2}\n";
    shell.write("raw/a.json", zoneless);
    shell.run(&["backfill", "raw", "--lake", "lake"]);
    shell.run(&["backfill", "raw", "--lake", "lake", "--partition-by", "event:time"]);
    shell.run(&["backfill", "raw", "--lake", "lake", "--partition-by", "event:Time"]);
    shell.run(&["backfill", "raw", "--lake", "lake", "--assume-utc"]);
    // A wrong word must not leave a table that the right one then disagrees with.
    assert!(!shell.root.join("lake").exists());
    shell.run(&["backfill", "raw", "--lake", "lake", "--partition-by", "event:Time", "--assume-utc"]);
    let hour = "lake/events/year=2026/month=03/day=01/hour=09";
    assert_eq!(files_below(&shell.root.join(hour)), 1);
    // The table keeps it.
    shell.write("raw/b.json", zoneless);
    shell.write("raw/c.json", "{\"t\":3}\n");
    shell.run(&["backfill", "raw", "--lake", "lake"]);
    assert_eq!(files_below(&shell.root.join(hour)), 2);
    let before = files_below(&shell.root.join("lake"));
    shell.run(&["backfill", "raw", "--lake", "lake", "--json"]);
    assert_eq!(files_below(&shell.root.join("lake")), before, "nothing is written of what is refused");
    shell.run(&["backfill", "raw", "--lake", "lake", "--allow-missing-time"]);
    shell.run(&["backfill", "raw", "--lake", "lake", "--partition-by", "event:Time"]);
    shell.run(&["catalog", "rebuild", "--lake", "lake"]);
    shell.run(&["audit", "--lake", "lake"]);
    shell.write("zoneless/a.json", zoneless);
    shell.run(&[
        "backfill",
        "zoneless",
        "--lake",
        "other",
        "--partition-by",
        "event:Time",
        "--allow-missing-time",
    ]);
    shell.golden("times");
}

#[test]
fn a_command_line_that_cannot_be_meant_so_is_explained() {
    let mut shell = Shell::with_source();
    let mut run = |arguments: &[&str]| {
        let all: Vec<_> = ["backfill", "raw", "--lake", "lake"].iter().chain(arguments).copied().collect();
        shell.run(&all);
    };
    run(&["--since", "yesterday"]);
    run(&["--since", "2026-03-02", "--until", "2026-03-01"]);
    run(&["--jobs", "1000", "--threads", "1000"]);
    run(&["--jobs", "0"]);
    run(&["--partition-by", "ts"]);
    run(&["--key-pattern", "dt={yyyy}-{mm}"]);
    run(&["--contract", "rigadoo"]);
    run(&["--contract", "missing.toml"]);
    run(&["--table", "My Table"]);
    run(&["--compression", "gzip"]);
    run(&["--max-decoded-bytes", "lots"]);
    run(&["--report", "nowhere/report.json"]);
    run(&["--as", ""]);
    run(&["--as", " "]);
    run(&["--as", "s3://"]);
    run(&["--on-damage", "ignore"]);
    shell.write("typo.toml", "[[column]]\npath = \"a\"\ntype = \"int\"\n");
    shell.run(&["backfill", "raw", "--lake", "lake", "--contract", "typo.toml"]);
    shell.run(&["backfill", "raw", "--lake", "raw/lake"]);
    shell.run(&["backfill", "raw", "--lake", "gs://bucket/lake"]);
    shell.run(&["backfill", "s3://bucket/raw", "--lake", "s3://bucket/raw/lake"]);
    shell.run(&["backfill", "raw", "--lake", "lake", "--catalog", "hive"]);
    shell.run(&["backfill", "raw", "--lake", "lake", "--catalog", "glue:IoT"]);
    shell.run(&["backfill", "raw", "--lake", "lake", "--catalog", "glue:iot"]);
    shell.run(&["backfill", "raw", "--lake", "lake", "--create-database"]);
    shell.run(&["audit", "--lake", "lake", "--catalog", "glue:iot"]);
    assert!(!shell.root.join("lake").exists());
    shell.golden("usage");
}

#[test]
fn a_lake_that_cannot_be_used_says_why_and_stays_as_it_is() {
    let mut shell = Shell::with_source();
    shell.run(&["schema", "--lake", "lake"]);
    fs::create_dir(shell.root.join("locked")).unwrap();
    fs::set_permissions(shell.root.join("locked"), fs::Permissions::from_mode(0o555)).unwrap();
    shell.run_restricted(&["backfill", "raw", "--lake", "locked"]);
    assert_eq!(files_below(&shell.root.join("locked")), 0);
    shell.write("file", "");
    shell.run(&["backfill", "raw", "--lake", "file"]);
    shell.run(&["backfill", "raw", "--lake", "lake", "--quiet"]);
    shell.write("strict.toml", "[[column]]\npath = \"m.t\"\ntype = \"string\"\n");
    shell.run(&["backfill", "raw", "--lake", "lake", "--contract", "strict.toml"]);
    shell.run(&["backfill", "raw", "--lake", "lake", "--partition-by", "event:ts"]);
    let table = "lake/_iotlake/catalog/tables/events.json";
    shell.edit(table, "\"format\": 1", "\"format\": 99");
    shell.run(&["backfill", "raw", "--lake", "lake"]);
    shell.run(&["schema", "--lake", "lake"]);
    shell.write(table, "{");
    shell.run(&["backfill", "raw", "--lake", "lake"]);
    shell.golden("lake");
}

#[test]
fn damage_is_kept_apart_from_failure() {
    let mut shell = Shell::new();
    shell.write("raw/2026/03/01/09/not.gz", hostile("gzip-not.gz"));
    shell.write("raw/2026/03/01/09/truncated.gz", hostile("gzip-truncated.gz"));
    shell.run(&["backfill", "raw", "--lake", "lake"]);
    shell.run(&["backfill", "raw", "--lake", "lake", "--on-damage", "reject"]);
    shell.run(&["backfill", "raw", "--lake", "lake"]);
    shell.run(&["audit", "--lake", "lake", "--bytes"]);
    let damaged = "raw/2026/03/01/09/truncated.gz";
    shell.run(&["convert", damaged, "x.parquet"]);
    assert!(!shell.root.join("x.parquet").exists());
    shell.run(&["convert", damaged, "x.parquet", "--on-damage", "reject"]);
    assert!(shell.root.join("x.rejects.parquet").exists());
    shell.run_with_input(&["convert", "-", "y.parquet", "--on-damage", "reject"], GOOD);
    shell.golden("damage");
}

#[test]
fn what_finds_no_column_is_told() {
    let mut shell = Shell::new();
    let keys: Vec<_> = (0..300).map(|at| format!("\"k{at:03}\":{at}")).collect();
    shell.write(KEY, format!("{{{}}}\n{{\"a\":[{{\"b\":1}}],\"ok\":1}}\n", keys.join(",")));
    let column = |path: &str| format!("[[column]]\npath = \"{path}\"\ntype = \"double\"\n");
    shell.write("c.toml", ["a[0].b", "OK", "ok"].map(column).concat());
    shell.run(&["backfill", "raw", "--lake", "lake", "--contract", "c.toml"]);
    shell.run(&["backfill", "raw", "--lake", "other", "--contract", "c.toml", "--quiet"]);
    let output = shell.command(&["backfill", "raw", "--lake", "third", "--json"]).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["counts"]["overflowed"], 2);
    assert_eq!(report["refused_columns"].as_array().unwrap().len(), 47, "{report}");
    assert_eq!(report["warnings"].as_array().unwrap().len(), 2, "{report}");
    shell.golden("limits");
}

#[test]
fn a_file_that_is_no_json_is_named() {
    let mut shell = Shell::with_source();
    for name in ["zip.zip", "bzip2.bz2", "parquet.parquet"] {
        shell.write(&format!("raw/2026/03/01/09/{name}"), hostile(name));
    }
    let utf16: Vec<u8> = GOOD.encode_utf16().flat_map(u16::to_le_bytes).collect();
    shell.write("raw/2026/03/01/09/utf-16", &utf16);
    shell.run(&["backfill", "raw", "--lake", "lake", "--on-damage", "reject"]);
    shell.write("in", utf16);
    shell.run(&["convert", "in", "out.parquet"]);
    assert!(!shell.root.join("out.parquet").exists());
    shell.run(&["audit", "--lake", "lake"]);
    shell.golden("foreign");
}

#[test]
fn a_table_and_a_view_never_have_one_name() {
    let mut shell = Shell::with_source();
    shell.run(&["backfill", "raw", "--lake", "lake", "--contract", "rigado", "--quiet"]);
    shell.run(&["backfill", "raw", "--lake", "lake", "--table", "events_rigado"]);
    shell.run(&["backfill", "raw", "--lake", "other", "--table", "events_rigado", "--quiet"]);
    shell.run(&["backfill", "raw", "--lake", "other", "--contract", "rigado"]);
    shell.run(&["query", "--lake", "other"]);
    shell.golden("names");
}

#[test]
fn one_source_that_changed_does_not_stop_the_others() {
    let mut shell = Shell::with_source();
    shell.run(&["backfill", "raw", "--lake", "lake", "--quiet"]);
    shell.write(KEY, "{\"ts\":1}\n");
    shell.write("raw/2026/03/01/10/b.json", GOOD);
    shell.run(&["backfill", "raw", "--lake", "lake"]);
    shell.run(&["backfill", "raw", "--lake", "lake", "--replace"]);
    shell.run(&["audit", "--lake", "lake", "--bytes"]);
    shell.golden("changed");
}

#[test]
fn a_watch_says_what_it_took_and_what_it_cannot_mean() {
    let mut shell = Shell::with_source();
    // One after the other, so that lines come in the order of names.
    let once = ["watch", "raw", "--lake", "lake", "--once", "--settle", "0", "--jobs", "1"];
    shell.write("raw/2026/03/01/10/b.json", format!("{GOOD}nonsense\n"));
    shell.run(&once);
    shell.run(&once);
    shell.write(KEY, "{\"ts\":1}\n");
    shell.write("raw/undated.json", GOOD);
    shell.run(&once);
    shell.run(&["watch", "nowhere", "--lake", "lake"]);
    shell.run(&["watch", KEY, "--lake", "lake"]);
    shell.run(&["watch", "s3://bucket/raw", "--lake", "lake"]);
    shell.run(&["watch", "raw", "--lake", "raw/lake"]);
    shell.run(&["watch", "raw", "--lake", "lake", "--settle", "soon"]);
    shell.run(&["watch", "raw", "--lake", "lake", "--interval", "0"]);
    shell.write("flat/a.json", GOOD);
    shell.run(&["watch", "flat", "--lake", "other", "--once", "--settle", "0"]);
    // A copy of a folder that was ingested.
    shell.write("copy/2026/03/01/10/b.json", format!("{GOOD}nonsense\n"));
    shell.run(&["watch", "copy", "--lake", "lake", "--once", "--settle", "0"]);
    let copied = ["watch", "copy", "--lake", "lake", "--once", "--settle", "0", "--again"];
    let (shown, code) = shell.on_terminal(100, &copied);
    let (line, totals) = ("b.json: 3 records = 2 rows + 1 rejected (syntax 1)", "(1 source: 1 done, ");
    assert!(shown.contains(line) && shown.contains(totals) && code == Some(3), "{code:?} {shown}");
    shell.golden("watch");
}

#[test]
fn a_copy_of_what_was_ingested_is_noticed() {
    let mut shell = Shell::with_source();
    shell.run(&["backfill", "raw", "--lake", "lake", "--as", "s3://bucket/raw", "--quiet"]);
    shell.run(&["backfill", "raw", "--lake", "lake", "--as", "s3://bucket/raw"]);
    let before = files_below(&shell.root.join("lake"));
    shell.run(&["backfill", "raw", "--lake", "lake"]);
    assert_eq!(files_below(&shell.root.join("lake")), before, "nothing is written");
    shell.run(&["backfill", "raw", "--lake", "lake", "--again"]);
    shell.run(&["backfill", "raw", "--lake", "lake"]);
    shell.golden("twin");
}

#[test]
fn a_catalog_that_was_lost_is_made_again() {
    let mut shell = Shell::with_source();
    shell.run(&["backfill", "raw", "--lake", "lake", "--contract", "rigado", "--quiet"]);
    let catalog = shell.root.join("lake/_iotlake/catalog");
    let view = fs::read(catalog.join("views/events_rigado.json")).unwrap();
    let table = fs::read(catalog.join("tables/events.json")).unwrap();
    fs::remove_dir_all(&catalog).unwrap();
    shell.run(&["catalog", "rebuild", "--lake", "lake", "--contract", "rigado", "--dry-run"]);
    assert!(!catalog.exists());
    shell.run(&["catalog", "rebuild", "--lake", "lake", "--contract", "rigado"]);
    assert_eq!(fs::read(catalog.join("views/events_rigado.json")).unwrap(), view);
    assert_eq!(fs::read(catalog.join("tables/events.json")).unwrap(), table);
    shell.run(&["audit", "--lake", "lake"]);
    shell.run(&["catalog", "rebuild", "--lake", "lake"]);
    shell.run(&["catalog", "rebuild", "--lake", "lake", "--table", "other"]);
    shell.run(&["catalog", "rebuild", "--lake", "nowhere"]);
    shell.golden("rebuild");
}

#[test]
fn what_does_not_belong_is_found_and_cleaned() {
    let mut shell = Shell::with_source();
    shell.run(&["backfill", "raw", "--lake", "lake", "--as", "s3://bucket/raw", "--quiet"]);
    let hour = shell.root.join("lake/events/year=2026/month=03/day=01/hour=09");
    let file = fs::read_dir(&hour).unwrap().next().unwrap().unwrap().path();
    let name = file.file_name().unwrap().to_str().unwrap();
    fs::copy(&file, hour.join(name.replace("-00000", "-00001"))).unwrap();
    fs::copy(&file, hour.join(name.replace(".parquet", "-r4.parquet"))).unwrap();
    let old = shell.root.join("lake/_iotlake/tmp/1-2-3");
    let day = std::time::Duration::from_secs(86_400);
    fs::File::create(&old).unwrap().set_modified(std::time::SystemTime::now() - 2 * day).unwrap();
    shell.run(&["audit", "--lake", "lake"]);
    shell.run(&["clean", "--lake", "lake", "--dry-run"]);
    shell.run(&["clean", "--lake", "lake"]);
    shell.run(&["clean", "--lake", "lake", "--yes"]);
    shell.run(&["clean", "--lake", "lake"]);
    shell.run(&["clean", "--lake", "lake", "--json"]);
    assert!(!old.exists() && file.exists());
    shell.run(&["backfill", "raw", "--lake", "lake", "--as", "s3://bucket/raw"]);
    shell.golden("clean");
}

#[test]
fn converting_loses_nothing() {
    let mut shell = Shell::new();
    shell.write("in.json", format!("{GOOD}nonsense\n"));
    shell.run(&["convert", "in.json", "out.parquet"]);
    assert!(shell.root.join("out.rejects.parquet").exists());
    shell.run(&["convert", "in.json", "out.parquet"]);
    shell.run(&["convert", "in.json", "out.parquet", "--force"]);
    shell.run_with_input(&["convert", "-", "stdin.parquet"], GOOD);
    shell.run_with_input(&["convert", "-", "declared.parquet", "--contract", "default"], GOOD);
    let pipe = shell.root.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = std::thread::spawn(move || fs::write(pipe, GOOD).unwrap());
    shell.run(&["convert", "pipe", "pipe.parquet", "--json"]);
    writer.join().unwrap();
    shell.run(&["convert", "in.json", "quiet.parquet", "--quiet"]);
    assert!(!shell.root.join("stdin.rejects.parquet").exists());
    shell.run(&["convert", "in.json", "-"]);
    shell.run(&["convert", "missing.json", "x.parquet"]);
    shell.run(&["convert", ".", "x.parquet"]);
    shell.run(&["convert", "in.json", "nowhere/x.parquet"]);
    shell.run(&["convert", "in.json", "s3://bucket/x.parquet"]);
    let stray = fs::read_dir(&shell.root).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(stray.into_iter().all(|name| Path::new(&name).extension() != Some(OsStr::new("tmp"))));
    shell.golden("convert");
    let rows = |name: &str| {
        let file = fs::File::open(shell.root.join(name)).unwrap();
        let reader = parquet::file::serialized_reader::SerializedFileReader::new(file).unwrap();
        let metadata = parquet::file::reader::FileReader::metadata(&reader).file_metadata().clone();
        let columns = metadata.schema_descr().columns().iter().map(|column| column.name().to_owned());
        (metadata.num_rows(), columns.collect::<Vec<_>>().join(" "))
    };
    assert_eq!(rows("out.parquet"), (2, "_source _record ts m.t m.t.string".to_owned()));
    // What comes through a pipe has the columns of its first part, or those that were asked for.
    for name in ["stdin.parquet", "pipe.parquet"] {
        assert_eq!(rows(name), rows("out.parquet"), "{name}");
    }
    assert_eq!(rows("declared.parquet"), (2, "_source _record _overflow ts".to_owned()));
    assert_eq!(rows("out.rejects.parquet").0, 1);
}

#[test]
fn converting_never_writes_over_what_it_reads() {
    let mut shell = Shell::new();
    let text = format!("{GOOD}nonsense\n");
    shell.write("in.json", &text);
    shell.write("c.toml", "[[column]]\npath = \"a\"\ntype = \"string\"\n");
    std::os::unix::fs::symlink("in.json", shell.root.join("link.json")).unwrap();
    fs::hard_link(shell.root.join("in.json"), shell.root.join("hard.json")).unwrap();
    fs::create_dir(shell.root.join("folder")).unwrap();
    for arguments in [
        ["in.json", "in.json", "--rejects", "r.parquet"],
        ["in.json", "folder/../in.json", "--rejects", "r.parquet"],
        ["in.json", "link.json", "--rejects", "r.parquet"],
        ["link.json", "in.json", "--rejects", "r.parquet"],
        ["in.json", "hard.json", "--rejects", "r.parquet"],
        ["in.json", "o.parquet", "--rejects", "in.json"],
        ["in.json", "o.parquet", "--rejects", "link.json"],
        ["in.json", "o.parquet", "--rejects", "folder/../o.parquet"],
        ["in.json", "o.parquet", "--rejects", "-"],
    ] {
        let all: Vec<_> = ["convert"].into_iter().chain(arguments).chain(["--force"]).collect();
        shell.run(&all);
    }
    shell.run(&["convert", "in.json", "c.toml", "--contract", "c.toml", "--force"]);
    // What the shell leads to standard input is read too.
    let input = fs::File::open(shell.root.join("in.json")).unwrap();
    let mut command = shell.command(&["convert", "-", "in.json", "--force"]);
    assert_eq!(command.stdin(input).stderr(Stdio::null()).status().unwrap().code(), Some(2));
    for name in ["in.json", "link.json", "hard.json"] {
        assert_eq!(fs::read_to_string(shell.root.join(name)).unwrap(), text, "{name}");
    }
    assert!(!shell.root.join("o.parquet").exists());
    shell.golden("convert-apart");
}

#[cfg(feature = "query")]
#[test]
fn a_lake_answers_questions() {
    let mut shell = Shell::with_source();
    shell.write("raw/2026/03/01/10/b.json", GOOD);
    shell.run(&["query", "--lake", "lake"]);
    shell.run(&["backfill", "raw", "--lake", "lake", "--quiet", "--contract", "rigado"]);
    shell.run(&["query", "--lake", "lake"]);
    let sql = "SELECT hour, \"m.t\", \"m.t.string\" FROM events ORDER BY hour, ts";
    shell.run(&["query", "--lake", "lake", sql]);
    shell.run(&["query", "--lake", "lake", sql, "--format", "csv"]);
    shell.run(&["query", "--lake", "lake", sql, "--format", "json", "--max-rows", "1"]);
    shell.run(&["query", "--lake", "lake", sql, "--output", "answer.parquet"]);
    assert!(fs::read(shell.root.join("answer.parquet")).unwrap().starts_with(b"PAR1"));
    shell.run(&["query", "--lake", "lake", "SELECT m.t FROM events"]);
    shell.run(&["query", "--lake", "lake", "DROP TABLE events"]);
    shell.run(&["query", "--lake", "lake", "SELECT 1/0"]);
    shell.run(&["query", "--lake", "lake", "SELECT CAST(\"m.t.string\" AS DOUBLE) FROM events"]);
    shell.golden("query");
}

#[cfg(feature = "query")]
#[test]
fn a_question_comes_from_wherever_it_stands() {
    let mut shell = Shell::with_source();
    shell.run(&["backfill", "raw", "--lake", "lake", "--quiet"]);
    let sql = "-- what is there?\nSELECT count(*) AS n FROM events\n";
    shell.write("q.sql", sql);
    shell.run(&["query", "--lake", "lake", sql.trim()]);
    shell.run(&["query", "--lake", "lake", "--without a space\nSELECT 1 AS n"]);
    shell.run(&["query", "-f", "q.sql", "--lake", "lake"]);
    shell.run(&["query", "-f", "missing.sql", "--lake", "lake"]);
    shell.run_with_input(&["query", "--lake", "lake", "-"], sql);
    shell.run_with_input(&["query", "--lake", "lake", "--format", "csv"], sql);
    shell.run(&["query", "--lake", "lake", "-"]);
    shell.run(&["query", "--lake", "lake", "--fromat", "csv"]);
    shell.run(&["tables", "--lake", "lake"]);
    shell.run(&["tables", "--lake", "lake", "--quiet"]);
    shell.run(&["tables", "--lake", "lake", "--json"]);
    // Text that is empty is not NULL, and no key stands twice.
    let empty = "SELECT '' AS empty, NULL AS nothing, NULLIF(1, 1) AS none";
    shell.run(&["query", "--lake", "lake", empty]);
    shell.run(&["query", "--lake", "lake", empty, "--format", "csv"]);
    shell.run(&[
        "query",
        "--lake",
        "lake",
        "SELECT ts, '' AS e, NULL AS n FROM events",
        "--format",
        "vertical",
    ]);
    let twice = "SELECT a.ts, b.ts, 3 AS ts_2 FROM events a JOIN events b ON a.ts = b.ts ORDER BY a.ts";
    shell.run(&["query", "--lake", "lake", "--json", twice]);
    shell.run(&["query", "--lake", "lake", "--output", "n.csv", "SELECT 1 AS n"]);
    shell.run(&["query", "--lake", "lake", "--output", "n.csv", "SELECT 2 AS n"]);
    assert_eq!(fs::read_to_string(shell.root.join("n.csv")).unwrap(), "n\r\n1\r\n");
    shell.run(&["query", "--lake", "lake", "--output", "n.csv", "SELECT 2 AS n", "--force"]);
    assert_eq!(fs::read_to_string(shell.root.join("n.csv")).unwrap(), "n\r\n2\r\n");
    let output = shell.command(&["tables"]).env("IOTLAKE_LAKE", "lake").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("events "), "{output:?}");
    shell.golden("question");
}

#[cfg(feature = "query")]
#[test]
fn a_terminal_is_shown_what_fits() {
    let shell = Shell::with_source();
    assert!(shell.command(&["backfill", "raw", "--lake", "lake", "--quiet"]).status().unwrap().success());
    let sql = "SELECT hour, ts, \"m.t\", \"m.t.string\" FROM events ORDER BY ts";
    let query = |columns| shell.on_terminal(columns, &["query", "--lake", "lake", sql]);
    let (wide, code) = query(80);
    assert!(wide.starts_with("+------+") && code == Some(0), "{wide}");
    let (narrow, code) = query(40);
    let first = "-- row 1 --\nhour       | 09\nts         | 1772355600000\nm.t        | 21.5\nm.t.string | NULL\n-- row 2 --\n";
    assert!(narrow.starts_with(first) && narrow.ends_with("\n2 rows\n") && code == Some(0), "{narrow}");
    // Nobody can read Parquet.
    let (shown, code) = shell.on_terminal(80, &["convert", KEY, "-", "--rejects", "r.parquet"]);
    assert_eq!((shown.lines().next(), code), (Some("error: OUT -: a terminal cannot show Parquet"), Some(2)));
    // Who waits sees how far it is.
    shell.write("large.json", GOOD.repeat(20_000));
    let (shown, code) = shell.on_terminal(100, &["convert", "large.json", "large.parquet"]);
    assert!(shown.contains("% ") && code == Some(0), "{shown}");
    let (shown, _) =
        shell.on_terminal(100, &["convert", "large.json", "large.parquet", "--force", "--quiet"]);
    assert_eq!(shown, "");
    // What was done before is not waited for: the bar is full with the one source that is new.
    shell.write("raw/2026/03/01/10/b.json", GOOD);
    let (shown, code) = shell.on_terminal(100, &["backfill", "raw", "--lake", "lake"]);
    let bytes = format!("100%  {0} B/{0} B", GOOD.len());
    assert!(shown.contains(&bytes) && shown.contains("1 of 1 sources") && code == Some(0), "{shown}");
}

#[cfg(feature = "query")]
#[test]
fn files_are_those_that_receipts_name() {
    let mut shell = Shell::with_source();
    shell.write("raw/2026/03/01/10/b.json", format!("{GOOD}nonsense\n"));
    shell.run(&["backfill", "raw", "--lake", "lake", "--as", "s3://bucket/raw", "--quiet"]);
    // What a run that was stopped might have left.
    let hour = shell.root.join("lake/events/year=2026/month=03/day=01/hour=09");
    let file = fs::read_dir(&hour).unwrap().next().unwrap().unwrap().path();
    fs::copy(&file, hour.join("00000000000000000000000000000000-00000.parquet")).unwrap();
    shell.run(&["files", "events", "--lake", "lake"]);
    shell.run(&["files", "events_rejects", "--lake", "lake"]);
    shell.run(&["files", "events", "--lake", "lake", "--where", "hour >= '10' -- late", "--quiet"]);
    shell.run(&["files", "events", "--lake", "lake", "--where", "ts > 1"]);
    shell.run(&["files", "events", "--lake", "lake", "--where", "true) UNION (SELECT 1"]);
    shell.run(&["files", "other", "--lake", "lake"]);
    shell.golden("files");
    let listed = |condition: &str| {
        let arguments = ["files", "events", "--lake", "lake", "--quiet", "--json", "--where", condition];
        let output = shell.command(&arguments).output().unwrap();
        let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        list["files"].as_array().unwrap().clone()
    };
    let only = listed("month = '03' AND hour < '10'");
    let path = file.canonicalize().unwrap();
    assert_eq!((only.len(), only[0]["file"].as_str()), (1, path.to_str()));
    assert_eq!(
        (&only[0]["hour"], &only[0]["bytes"]),
        (&"09".into(), &fs::metadata(&path).unwrap().len().into())
    );
    assert_eq!((listed("true").len(), listed("month = '04'").len()), (2, 0));
}

#[test]
#[cfg(target_os = "linux")]
fn control_c_ends_with_130_once_and_twice() {
    use std::io::{BufRead, BufReader};
    for is_twice in [false, true] {
        let shell = Shell::with_source();
        // The run waits for the lock of its table for as long as this test has it.
        let name = iotlake::digest::Digest::of(b"_iotlake/catalog/tables/events.json");
        shell.write(&format!("lake/_iotlake/locks/{name}"), "");
        let lock = fs::File::open(shell.root.join("lake/_iotlake/locks").join(&name)).unwrap();
        lock.lock().unwrap();
        let mut command = shell.command(&["backfill", "raw", "--lake", "lake"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let process = child.id().to_string();
        let interrupt = || {
            assert!(Command::new("kill").args(["-INT", &process]).status().unwrap().success());
        };
        let listens = || {
            let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
            u64::from_str_radix(caught.trim(), 16).unwrap() & 0b10 != 0
        };
        while !listens() {
            std::thread::yield_now();
        }
        interrupt();
        let mut errors = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let first = "warning: stopping after the parts that are being written; Ctrl-C again stops at once";
        assert_eq!(errors.next().unwrap(), first);
        let mut printed = String::new();
        if is_twice {
            interrupt();
            let second = "warning: stopped at once; the same command again does the rest";
            assert_eq!(errors.next().unwrap(), second);
        } else {
            drop(lock);
            std::io::Read::read_to_string(&mut child.stdout.take().unwrap(), &mut printed).unwrap();
            assert!(printed.ends_with("stopped: run the same command again for the rest\n"), "{printed}");
        }
        assert_eq!(child.wait().unwrap().code(), Some(130), "twice: {is_twice}");
    }
}

#[test]
fn sources_and_tables_are_removed_once_somebody_agrees() {
    let mut shell = Shell::with_source();
    shell.write("raw/2026/03/01/10/b.json", format!("{GOOD}nonsense\n"));
    shell.run(&["backfill", "raw", "--lake", "lake", "--quiet", "--contract", "rigado"]);
    let before = files_below(&shell.root.join("lake"));
    let source = "raw/2026/03/01/10/b.json";
    shell.run(&["remove", "--source", source, "--lake", "lake"]);
    shell.run(&["remove", "--source", source, "--lake", "lake", "--dry-run"]);
    shell.run(&["remove", "--source", "s3://bucket/none", "--lake", "lake", "--yes"]);
    shell.run(&["drop", "events", "--lake", "lake"]);
    shell.run(&["drop", "events_rigado", "--lake", "lake", "--yes"]);
    shell.run(&["drop", "other", "--lake", "lake", "--yes"]);
    assert_eq!(files_below(&shell.root.join("lake")), before, "nothing is removed unasked");
    shell.run(&["remove", "--source", source, "--lake", "lake", "--yes"]);
    shell.run(&["remove", "--source", source, "--lake", "lake", "--yes"]);
    shell.run(&["audit", "--lake", "lake"]);
    shell.run(&["backfill", "raw", "--lake", "lake"]);
    shell.run(&["drop", "events", "--lake", "lake", "--dry-run"]);
    shell.run(&["drop", "events", "--lake", "lake", "--yes", "--quiet"]);
    shell.run(&["audit", "--lake", "lake"]);
    assert_eq!(files_below(&shell.root.join("raw")), 2, "what was ingested stays");
    assert_eq!(files_below(&shell.root.join("lake/events")), 0);
    // Another table of this name can have other types.
    shell.write("c.toml", "[[column]]\npath = \"ts\"\ntype = \"string\"\n");
    shell.run(&["backfill", "raw", "--lake", "lake", "--quiet", "--contract", "c.toml"]);
    shell.golden("remove");
}

#[test]
fn completions_and_manual_pages_are_made() {
    let shell = Shell::new();
    for shell_name in ["bash", "zsh", "fish"] {
        let output = shell.command(&["completions", shell_name]).output().unwrap();
        assert!(output.status.success() && output.stdout.len() > 1000, "{shell_name}");
    }
    let output = shell.command(&["man"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("Exit codes"));
    assert!(shell.command(&["man", "pages"]).status().unwrap().success());
    assert!(shell.root.join("pages/iotlake-backfill.1").exists());
}
