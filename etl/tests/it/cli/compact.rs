//! What `iotlake compact` says, and the other commands of hours that were compacted.

use super::files_below;
use super::shell::Shell;

/// A folder of sources, one for each of these hours and names.
fn with_sources(names: &[&str]) -> Shell {
    let shell = Shell::new();
    for name in names {
        let line = format!("{{\"ts\":1,\"device\":{{\"deviceId\":\"{}\"}}}}\n", &name[3..]);
        shell.write(&format!("raw/2026/03/01/{name}.json"), line);
    }
    shell
}

#[test]
fn hours_are_compacted_once_they_are_closed_and_audited() {
    let mut shell = with_sources(&["09/a", "09/b", "09/c", "10/d"]);
    let count = "SELECT hour, count(*) AS rows FROM events GROUP BY 1 ORDER BY 1";
    shell.run(&["backfill", "raw", "--lake", "lake", "--contract", "rigado", "--as", "s3://raw", "--quiet"]);
    shell.run(&["compact", "--lake", "lake", "--dry-run"]);
    shell.run(&["compact", "events", "--lake", "lake", "--settled", "36500d"]);
    shell.run(&["compact", "--lake", "lake", "--grace", "1d", "--json"]);
    shell.run(&["audit", "--lake", "lake"]);
    shell.run(&["query", count, "--lake", "lake"]);
    shell.run(&["compact", "--lake", "lake"]);
    shell.run(&["compact", "--lake", "lake", "--grace", "0"]);
    shell.run(&["compact", "--lake", "lake"]);
    shell.run(&["audit", "--lake", "lake", "--repair"]);
    shell.run(&["query", count, "--lake", "lake"]);
    shell.run(&["backfill", "raw", "--lake", "lake", "--as", "s3://raw", "--quiet"]);
    shell.run(&["clean", "--lake", "lake"]);
    shell.run(&["compact", "absent", "--lake", "lake"]);
    shell.run(&["compact", "--lake", "lake", "--memory", "1 MiB"]);
    shell.run(&["compact", "--lake", "lake", "--settled", "2 hours"]);
    shell.golden("compact");
}

#[test]
fn hours_that_are_asked_for_are_compacted_and_listed_and_lose_the_sources_that_are_removed() {
    let mut shell = with_sources(&["08/a", "08/b", "09/c", "09/d", "10/e", "10/f"]);
    shell.run(&["backfill", "raw", "--lake", "lake", "--contract", "rigado", "--as", "s3://raw", "--quiet"]);
    let hours = ["--since", "2026-03-01T09", "--until", "2026-03-01T10"];
    let compact = ["compact", "--lake", "lake", "--jobs", "2"];
    shell.run(&[&compact[..], &hours, &["--dry-run", "--json"]].concat());
    shell.run(&[&compact[..], &hours].concat());
    shell.run(&[&compact[..], &["--quiet"]].concat());
    let files =
        shell.command(&["files", "events", "--lake", "lake", "--where", "hour = '09'"]).output().unwrap();
    let files = String::from_utf8(files.stdout).unwrap();
    assert!(files.ends_with("/00000.parquet\n") && files.lines().count() == 1, "{files}");
    assert!(files.contains("/hour=0%39/g1-"), "{files}");
    shell.run(&["remove", "--source", "s3://raw/2026/03/01/09/d.json", "--lake", "lake", "--yes"]);
    let rows = "SELECT hour, \"device.deviceid\" AS device FROM events ORDER BY 1, 2";
    shell.run(&["query", rows, "--lake", "lake"]);
    shell.run(&["audit", "--lake", "lake", "--bytes"]);
    shell.run(&["drop", "events", "--lake", "lake", "--yes"]);
    assert_eq!(files_below(&shell.root.join("lake/events")), 0);
    assert_eq!(files_below(&shell.root.join("lake/_iotlake/generations")), 0);
    shell.golden("compact-some");
}
