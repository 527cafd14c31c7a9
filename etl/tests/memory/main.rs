//! Memory is bounded by options, not by the source: the real binary over sources far larger than it may become.
//!
//! Run by `make slow`, optimised: gigabytes take minutes otherwise.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use iotlake_fixtures::{Dirt, Kit, Shape};

const MIB: u64 = 1 << 20;

/// The largest resident size of a run, in bytes, and its exit code.
fn peak(arguments: &[&Path]) -> (u64, i32) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_iotlake"))
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        // The kernel keeps the high-water mark, so that looking now and then misses only the last moments.
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        if let Some(kib) = line.and_then(|line| line.trim().strip_suffix(" kB")) {
            peak = peak.max(kib.trim().parse::<u64>().unwrap() * 1024);
        }
        if let Some(status) = child.try_wait().unwrap() {
            assert!(peak > 0, "no look at the process succeeded");
            return (peak, status.code().unwrap());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn convert(shape: Shape, bytes: u64, code: i32) {
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (folder.path().join("source"), folder.path().join("target.parquet"));
    let mut file = BufWriter::new(std::fs::File::create(&source).unwrap());
    shape.write_ndjson(1, &mut file, bytes).unwrap();
    file.flush().unwrap();
    let one = Path::new("1");
    let (peak, exit) = peak(&[Path::new("convert"), &source, &target, Path::new("--threads"), one]);
    println!("convert {shape}, {} MiB: peak {} MiB", bytes / MIB, peak / MIB);
    assert_eq!(exit, code);
    assert!(peak < 256 * MIB, "{} MiB", peak / MIB);
}

#[test]
fn four_gigabytes_of_kit_messages() {
    convert(Shape::Kit, 4_000_000_000, 0);
}

#[test]
fn one_line_of_a_gigabyte() {
    convert(Shape::OneLine, 1_000_000_000, 3);
}

#[test]
fn every_record_with_other_keys() {
    convert(Shape::Ragged, 1_000_000_000, 0);
}

#[test]
fn a_backfill_of_two_thousand_objects() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("raw");
    let dirt = Dirt::spread(0.02).unwrap();
    let kit =
        Kit { devices: 200, hours: 200, objects_per_hour: 10, messages_per_hour: 20, dirt, ..Kit::default() };
    let mut count = 0;
    for object in kit.objects() {
        let path = source.join(&object.key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &object.bytes).unwrap();
        count += 1;
    }
    assert_eq!(count, 2000);
    let lake = folder.path().join("lake");
    let arguments = ["backfill", "--quiet", "--jobs", "2", "--threads", "1", "--lake"].map(Path::new);
    let (peak, exit) = peak(&[&arguments[..], &[&lake, &source]].concat());
    println!("backfill of 2,000 objects: peak {} MiB", peak / MIB);
    assert_eq!(exit, 3);
    assert!(peak < 300 * MIB, "{} MiB", peak / MIB);
}
