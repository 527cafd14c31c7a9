//! The lake at the edge: what the README has of `mosquitto_sub` and `iotlake watch`, with a broker.
//!
//! The lines run as they stand, but for the time to settle, which the test does not wait for: the watch begins when the files
//! are written. The broker listens on a socket of the test's folder, and a script in front of `mosquitto_sub` says so.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::Place;
use super::page::blocks;

/// A process with all that it began, which end with the test.
struct Group(Child);

impl Group {
    fn begin(command: &mut Command) -> Group {
        Group(command.process_group(0).spawn().unwrap())
    }

    fn signal(&self, signal: &str) {
        let group = format!("-{}", self.0.id());
        // It may have ended.
        let _ = Command::new("kill").args([signal, "--", &group]).stderr(Stdio::null()).status();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal("-KILL");
        let _ = self.0.wait();
    }
}

/// A broker that listens on `socket`.
fn broker(root: &Path, socket: &Path) -> Group {
    let settings = format!("listener 0 {}\nallow_anonymous true\nuser root\n", socket.display());
    fs::write(root.join("broker.conf"), settings).unwrap();
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap());
    let mut command = Command::new("mosquitto");
    command.arg("-c").arg(root.join("broker.conf")).env("PATH", path);
    let mut broker = Group::begin(command.stdout(Stdio::null()).stderr(Stdio::null()));
    while !socket.exists() {
        assert!(broker.0.try_wait().unwrap().is_none(), "mosquitto has ended; `make debian` installs it");
        std::thread::yield_now();
    }
    broker
}

#[test]
fn a_lake_at_the_edge_is_what_the_readme_says() {
    let place = Place::new();
    let root = place.folder.path();
    fs::remove_file(root.join("raw")).unwrap();
    let socket = root.join("broker");
    let mut broker = broker(root, &socket);
    let script = root.join("bin/mosquitto_sub");
    let behind = format!("PATH=${{PATH#*:}}; exec mosquitto_sub --unix '{}' \"$@\"", socket.display());
    fs::write(&script, format!("#!/bin/sh\n{behind}\n")).unwrap();
    fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
    // Kept by the broker for whoever subscribes later.
    for (topic, payload) in
        [("devices/a", r#"{"t":21.5}"#), ("devices/b", r#"{"s":"high"}"#), ("devices/c", "no JSON")]
    {
        let mut publish = Command::new("mosquitto_pub");
        publish.arg("--unix").arg(&socket).args(["-q", "1", "-r", "-t", topic, "-m", payload]);
        // A socket is there before anybody listens.
        while !publish.stderr(Stdio::null()).status().unwrap().success() {
            assert!(broker.0.try_wait().unwrap().is_none(), "mosquitto has ended");
        }
    }

    let page = fs::read_to_string(super::workspace().join("README.md")).unwrap();
    let block = blocks(&page).into_iter().find(|block| block.is("mosquitto")).expect("the README has one");
    let (subscribe, watch) = block.text.split_at(block.text.find("iotlake watch").unwrap());
    let _subscriber = Group::begin(place.shell(subscribe).stdout(Stdio::null()));
    let written = || -> usize {
        let files = fs::read_dir(root.join("raw")).into_iter().flatten();
        files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap().lines().count()).sum()
    };
    while written() < 3 {
        std::thread::yield_now();
    }
    assert!(watch.contains("--settle 90s"), "{watch}");
    let watch = watch.replace("--settle 90s", "--settle 10ms");
    let mut command = Command::new(super::IOTLAKE);
    command.args(watch.split_whitespace().skip(1)).current_dir(root).env_remove("IOTLAKE_LAKE");
    let mut watching = Group::begin(command.stdout(Stdio::piped()));
    let mut lines = BufReader::new(watching.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut shown = Vec::new();
    let mut records = 0;
    // Two files, if a minute began meanwhile.
    while records < 3 {
        let line = lines.next().unwrap_or_else(|| panic!("it ended: {shown:?}"));
        let told = line.split_once(" record").and_then(|(before, _)| before.rsplit_once(": "));
        records += told.map_or(0, |(_, number)| number.parse::<u32>().unwrap());
        shown.push(line);
    }
    assert_eq!(records, 3, "{shown:?}");
    watching.signal("-INT");
    let ended = watching.0.wait().unwrap();
    assert_eq!(ended.code(), Some(130), "{shown:?}");
    let sql = r#"SELECT topic, "payload.t", "payload.s", year > '2000' FROM events ORDER BY topic"#;
    let (_, rows) =
        place.run(&format!("iotlake query --lake lake --format csv '{}'", sql.replace('\'', "'\\''")));
    assert!(rows.contains("devices/a,21.5,,true") && rows.contains("devices/b,,high,true"), "{rows}");
    let (_, rejected) =
        place.run("iotlake query --lake lake --format csv 'SELECT reason FROM events_rejects'");
    assert!(rejected.lines().eq(["reason", "syntax"]), "{rejected}");
}
