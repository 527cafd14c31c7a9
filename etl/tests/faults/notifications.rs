//! A watch on a system that has no room to notify it of changes: it says so, and looks at the whole folder instead.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use crate::process::Binary;

/// A process that is ended with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_watch_that_is_not_notified_says_so_and_misses_nothing() {
    // None at all; the folder, and none that is made in it later.
    for (room, is_told_first) in [("0", true), ("1", false)] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let binary = Binary::new(&root);
        let (raw, lake) = (root.join("raw"), root.join("lake"));
        fs::create_dir(&raw).unwrap();
        let words = [
            "watch",
            raw.to_str().unwrap(),
            "--lake",
            lake.to_str().unwrap(),
            "--settle",
            "10ms",
            "--interval",
            "20ms",
        ];
        let words = words.iter().chain(&["--partition-by", "event:ts"]).map(|word| (*word).to_owned());
        let mut command = binary.command(&words.collect::<Vec<_>>());
        command.env("FAULT_WATCHED", room).stdout(Stdio::piped());
        let mut watch = Ended(command.spawn().unwrap());
        let mut lines = BufReader::new(watch.0.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut errors = BufReader::new(watch.0.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut warned = || {
            let warning = errors.next().unwrap();
            assert!(warning.contains("the system does not notify of changes"), "{room}: {warning}");
            assert!(errors.next().unwrap().contains("it is listed every 0.02 s"), "{room}");
        };
        if is_told_first {
            warned();
        }
        assert!(lines.next().unwrap().starts_with("watching "), "{room}");
        fs::create_dir(raw.join("new")).unwrap();
        if !is_told_first {
            warned();
        }
        fs::write(root.join("a"), "{\"ts\":1772355600000}\n").unwrap();
        fs::rename(root.join("a"), raw.join("new/a")).unwrap();
        let line = lines.next().unwrap();
        assert!(line.ends_with("new/a: 1 record = 1 row + 0 rejected"), "{room}: {line}");
    }
}
