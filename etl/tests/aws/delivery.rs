//! The whole way: an object lands in a bucket, and a moment later whoever has an account reads its rows.
//!
//! Everything between is what runs in an account: S3's notification, an SQS queue with its dead-letter queue, an event
//! source mapping that takes partial failures, the real program `ingest` as a function on `provided.al2023`, S3 and
//! Glue. Read back through the Glue table by readers that know nothing of iotlake (`read_glue.py`), and, where this
//! build has it, by `iotlake query`.
//!
//! What must stay true: whatever lands is in the lake once or its message in the dead-letter queue, and what cannot be
//! ingested keeps nothing else waiting.

mod account;
#[cfg(feature = "query")]
mod asked;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use iotlake::audit::{Depth, audit};
use iotlake::lake::Lake;
use iotlake::storage::{LocalStorage, S3Storage, Storage};
use serde_json::{Value, json};

use self::account::Account;
use crate::servers::tool;

/// A zip as Lambda takes it, of this build's own `ingest`.
pub fn zip_of_this_build() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let bootstrap = folder.path().join("bootstrap");
    // Without what only a debugger reads it is a fourth.
    let stripped = Command::new("strip").args([env!("CARGO_BIN_EXE_ingest"), "-o"]).arg(&bootstrap).status();
    assert!(stripped.unwrap().success());
    let zip = folder.path().join("ingest.zip");
    let zipped =
        Command::new(tool("python")).args(["-m", "zipfile", "-c"]).arg(&zip).arg(&bootstrap).status();
    assert!(zipped.unwrap().success());
    fs::read(zip).unwrap()
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").canonicalize().unwrap()
}

fn contents(storage: &dyn Storage) -> BTreeMap<String, Vec<u8>> {
    let mut keys = Vec::new();
    let visit = &mut |meta: iotlake::storage::ObjectMeta| {
        keys.push(meta.key);
        Ok(())
    };
    storage.list("", visit).unwrap();
    keys.into_iter().map(|key| (key.clone(), storage.read(&key).unwrap().unwrap())).collect()
}

/// What breaks naive readers, under names that do so too.
const HOSTILE: [(&str, &str); 17] = [
    ("array-pretty.json", "plain"),
    ("bom-record.json", "with a space"),
    ("concatenated.json", "a+b"),
    ("crlf.json", "100%25"),
    ("csv.csv", "%2F%zz"),
    ("duplicate-nested.json", "grüße-日本語-😀"),
    ("empty.json", "k=v&x=y"),
    ("error-then-joint.json", "quote'and\"quote"),
    ("escape-all.json", "semi;colon,comma"),
    ("children-300.json", "brackets[0]{1}"),
    ("depth-129-objects.json", "hash#tag?query"),
    ("key-300-bytes.json", "tilde~and!(star)*"),
    ("long-reject.json", "back\\slash"),
    ("long-string.json", "  spaces  "),
    ("number-1000-digits.json", "colon:at@"),
    ("blank-lines.json", "..dots..x"),
    ("array-mixed.json", "e\u{301}-and-\u{e9}"),
];

/// Every object that is to be ingested, by key.
fn objects() -> BTreeMap<String, Vec<u8>> {
    let mut objects = contents(&LocalStorage::open(fixtures().join("sample")).unwrap());
    for (name, odd) in HOSTILE {
        let bytes = fs::read(fixtures().join("hostile").join(name)).unwrap();
        objects.insert(format!("2026/03/02/05/iot-data-1-2026-03-02-05-00-00-{odd}"), bytes);
    }
    objects
}

#[test]
fn what_lands_in_the_bucket_is_read_through_glue() {
    let account = Account::new(zip_of_this_build(), "delivery", &[("IOTLAKE_CONTRACT", "rigado")]);
    let made = account.invoke(&json!({"init": true}));
    assert_eq!((&made["table"], &made["rejects"]), (&json!("events"), &json!("events_rejects")), "{made}");
    assert_eq!(account.invoke(&json!({"init": true})), made, "a second time nothing changes");

    // Everything that lands, and what does not belong: a message of somebody else's, a notification of a future
    // version, an object whose key tells no hour, one that is no JSON, and one that Firehose could not deliver.
    account.connect();
    account.send("not JSON");
    let future = json!({"Records": [{"eventSource": "aws:s3", "eventVersion": "3.0"}]}).to_string();
    account.send(&future);
    let raw = S3Storage::new(&account.aws, &*account.raw, "");
    raw.put("unsorted/export.json", br#"{"ts":1}"#).unwrap();
    let bzip2 = fs::read(fixtures().join("hostile/bzip2.bz2")).unwrap();
    raw.put("2026/03/02/05/export-dollar$.bz2", &bzip2).unwrap();
    raw.put("processing-failed/2026/03/01/09/errors", b"{\"errorCode\":\"x\"}").unwrap();
    let objects = objects();
    for (key, bytes) in &objects {
        raw.put(key, bytes).unwrap();
    }

    let expected: BTreeSet<String> =
        objects.keys().map(|key| format!("s3://{}/{key}", account.raw)).collect();
    let ingested = || account.receipts("events").into_keys().collect::<BTreeSet<_>>();
    let settled = || {
        account.messages(&account.queue) == (0, 0)
            && account.messages(&account.dead).0 == 4
            && ingested() == expected
    };
    let there = || {
        let missing: Vec<_> = expected.difference(&ingested()).cloned().collect();
        let (queue, dead) = (account.messages(&account.queue), account.messages(&account.dead));
        format!("not ingested: {missing:?}; messages (waiting, taken) {queue:?}, dead {dead:?}")
    };
    account.wait_until(settled, there);

    let dead = account.dead_letters();
    assert!(dead.contains("not JSON") && dead.contains(&future), "{dead:?}");
    let hourless = dead.iter().filter(|body| body.contains("unsorted/export.json")).count();
    let foreign = dead.iter().filter(|body| body.contains("export-dollar")).count();
    assert_eq!((dead.len(), hourless, foreign), (4, 1, 1), "{dead:?}");

    let lake = account.lake();
    let audit = audit(&*lake.storage, &*lake.catalog, Depth::Bytes).unwrap();
    assert_eq!(audit.findings, []);
    assert_eq!(audit.receipts, expected.len());
    assert_eq!(audit.orphans, Vec::<String>::new());
    let receipts = account.receipts("events");
    for (table, rows) in [
        ("events", receipts.values().map(|receipt| receipt.counts.rows).sum::<u64>()),
        ("events_rejects", receipts.values().map(|receipt| receipt.counts.rejected).sum()),
    ] {
        agree(&account, &lake, table, rows);
    }
}

/// All readers see the same `rows` rows in a table, in the partitions that the catalog knows.
fn agree(account: &Account, lake: &Lake, table: &str, rows: u64) {
    let seen = account.read(table);
    let partitions: Vec<Value> = lake
        .catalog
        .partitions(&iotlake::catalog::TableName::parse(table))
        .unwrap()
        .iter()
        .map(|at| json!(at.values()))
        .collect();
    assert_eq!(seen["partitions"], json!(partitions), "{table}");
    assert!(!partitions.is_empty(), "{table}");
    let counted = seen["athena"].as_array().unwrap();
    let named: Vec<Value> = counted.iter().map(|row| json!(row.as_array().unwrap()[..4])).collect();
    assert_eq!(named, partitions, "{table}: as text, with its zeros");
    let sum: u64 = counted.iter().map(|row| row[4].as_str().unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(sum, rows, "{table}");
    assert_eq!(seen["wrangler"]["rows"], rows, "{table}");
    assert_eq!(seen["wrangler"], seen["duckdb"], "{table}");
    println!(
        "{table}: {rows} rows, {} columns, {} partitions",
        seen["types"].as_object().unwrap().len(),
        partitions.len()
    );
    #[cfg(feature = "query")]
    assert_eq!(asked::summary(lake, table), seen["duckdb"], "{table}");
}

#[test]
#[ignore = "needs what `make lambda` makes; `make lambda-test` makes and runs it"]
fn the_zip_that_is_deployed_ingests_an_object() {
    let architecture = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        other => other,
    };
    let zip = fixtures().join(format!("../target/lambda/ingest-{architecture}.zip"));
    let zip = fs::read(&zip).unwrap_or_else(|error| panic!("{}: {error}: run `make lambda`", zip.display()));
    let account = Account::new(zip, "deployed", &[("IOTLAKE_CONTRACT", "rigado")]);
    account.invoke(&json!({"init": true}));

    let raw = S3Storage::new(&account.aws, &*account.raw, "");
    let sample = contents(&LocalStorage::open(fixtures().join("sample")).unwrap());
    let (key, bytes) = sample.last_key_value().unwrap();
    raw.put(key, bytes).unwrap();
    let objects = json!({"objects": [format!("s3://{}/{key}", account.raw)]});
    assert_eq!(account.invoke(&objects)["done"], 1);
    assert_eq!(account.invoke(&objects)["already_done"], 1);

    let lake = account.lake();
    let audit = audit(&*lake.storage, &*lake.catalog, Depth::Bytes).unwrap();
    assert_eq!(audit.findings, []);
    let receipts = account.receipts("events");
    assert_eq!(
        audit.rows + audit.rejected,
        receipts.values().map(|receipt| receipt.counts.records).sum::<u64>()
    );
    assert!(audit.receipts == 1 && audit.rows > 0, "{audit:?}");
}
