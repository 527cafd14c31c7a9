//! What `iotlake report` says; what is on its page, `page.rs` looks at.

use std::fs;

use super::GOOD;
use super::shell::Shell;

#[test]
fn a_report_is_written_once_and_says_what_is_wrong() {
    let mut shell = Shell::with_source();
    shell.run(&["backfill", "raw", "--lake", "lake", "--quiet"]);
    shell.run(&["report", "--lake", "lake", "-o", "lake.html"]);
    let page = fs::read_to_string(shell.root.join("lake.html")).unwrap();
    shell.run(&["report", "--lake", "lake", "-o", "lake.html"]);
    shell.run(&[
        "report",
        "--lake",
        "lake",
        "-o",
        "lake.html",
        "--force",
        "--quiet",
        "--device",
        "m.t.string",
    ]);
    assert_ne!(fs::read_to_string(shell.root.join("lake.html")).unwrap(), page);
    shell.run(&["report", "--lake", "lake"]);
    shell.run(&["report", "--lake", "lake", "--serve", "-o", "other.html"]);
    shell.run(&["report", "--lake", "lake", "-o", "other.html", "--device", "device"]);
    shell.run(&["report", "--lake", "lake", "-o", "other.html", "--table", "other"]);
    shell.run(&[
        "report",
        "--lake",
        "lake",
        "-o",
        "other.html",
        "--since",
        "2026-03-02",
        "--until",
        "2026-03-01T05",
    ]);
    shell.run(&["report", "--lake", "lake", "-o", "none/other.html"]);
    shell.write("raw/2026/03/01/09/b.json", GOOD);
    shell.run(&["backfill", "raw", "--lake", "lake", "--table", "more", "--again", "--quiet"]);
    shell.run(&["report", "--lake", "lake", "-o", "other.html"]);
    shell.run(&["report", "--lake", "lake", "--table", "more", "-o", "other.html"]);
    shell.run(&["report", "--lake", "nowhere", "-o", "nowhere.html"]);
    let json = shell.command(&["report", "--lake", "lake", "--table", "more", "--json"]).output().unwrap();
    let facts: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&facts["format"], &facts["accounts"]["rows"]), (&1.into(), &4.into()));
    // Its files are gone, though the receipt stands.
    fs::remove_dir_all(shell.root.join("lake/events")).unwrap();
    shell.run(&[
        "report",
        "--lake",
        "lake",
        "--table",
        "events",
        "-o",
        "unbalanced.html",
        "--since",
        "2026-03-01",
        "--until",
        "2026-03-02",
    ]);
    shell.golden("report");
}
