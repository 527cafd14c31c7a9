//! Every request that a small run makes to S3 goes wrong once, in each of three ways.
//!
//! What `tests/faults` does to the calls of a folder, a proxy does here to the requests of a lake on S3, catalog
//! included: in turn each of a backfill, and of a replacement of what it wrote, is refused, is done without its reply
//! coming back, or is the last that the writer can make. What must stay true: the run that follows undisturbed ends in
//! the files of one that nothing happened to, and the audit has nothing to say.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use iotlake::audit::{Depth, audit};
use iotlake::aws::{Access, Aws};
use iotlake::backfill::{self, Options};
use iotlake::lake::Lake;
use iotlake::plan::{PlanOptions, Selection, plan};
use iotlake::storage::{MemoryStorage, ObjectMeta, S3Storage, Storage};
use iotlake_flatten::Contract;
use serde_json::{Value, json};

use crate::landing::options;
use crate::servers::{Faults, Kind, Server};

/// Requests that no run makes as many as.
const MANY: usize = 1_000;

/// What happens to a request.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Refused,
    /// It is done, and nobody learns of it.
    WithoutReply,
    /// It and all behind it.
    Gone,
}

impl Fate {
    fn rule(self) -> Value {
        let refused = json!({"code": "InternalError", "status": 500});
        match self {
            Fate::Refused => json!({"service": "s3", "error": refused, "times": 1}),
            Fate::Gone => json!({"service": "s3", "error": refused}),
            Fate::WithoutReply => {
                json!({"service": "s3", "response": {"set_headers": {"Content-Length": "5"}}, "times": 1})
            }
        }
    }
}

/// Messages over two hours in parts of a few dozen, and some that are none.
fn source(value: u32) -> MemoryStorage {
    let storage = MemoryStorage::new("raw");
    let lines: String = (0..90)
        .map(|at| match at % 9 {
            8 => format!("{{broken {at}\n"),
            _ => {
                let ts = 1_772_352_000_000_u64 + u64::from(at) * 60_000;
                format!("{{\"ts\":{ts},\"v\":{},\"s\":\"{}\"}}\n", value + at, "x".repeat(40))
            }
        })
        .collect();
    storage.put("2026/03/01/08/x", lines.as_bytes()).unwrap();
    storage
}

fn by_event(replace: bool) -> Options {
    let mut options = options(Contract { part_bytes: 4096, ..Contract::default() });
    options.run.partition_by = "event:ts".parse().unwrap();
    options.run.replace = replace;
    options.jobs = 1;
    options
}

/// Ingests the source; whether all of it is done.
fn ingest(lake: &Lake, from: &MemoryStorage, replace: bool) -> bool {
    let planned = PlanOptions { known_as: Some("s3://raw".into()), ..PlanOptions::default() };
    let plan = plan(from, &Selection::Folder(String::new()), &planned).unwrap();
    let ran = backfill::backfill(lake, from, &plan, &by_event(replace), &AtomicBool::new(false), &());
    ran.is_ok_and(|summary| summary.failed.is_empty())
}

/// What a reader by path finds below the table and its rejects.
fn files(storage: &dyn Storage) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    let visit = &mut |meta: ObjectMeta| {
        keys.push(meta.key);
        Ok(())
    };
    storage.list("events", visit).unwrap();
    let mut files: Vec<_> = keys.iter().map(|key| storage.read(key).unwrap().unwrap()).collect();
    files.sort_unstable();
    files
}

fn undisturbed(value: u32) -> Vec<Vec<u8>> {
    let lake = Lake::embedded(Arc::new(MemoryStorage::new("lake")));
    assert!(ingest(&lake, &source(value), false));
    files(&*lake.storage)
}

/// A proxy before the server, and a way through it that tries nothing twice.
fn between(server: &Server, bucket: &str) -> (Faults, Aws) {
    let faults = Faults::before(server);
    // It needs its time for the first request.
    S3Storage::new(&faults.aws(), bucket, "").head("none").unwrap();
    let second = Duration::from_secs(1);
    let impatient = Access { attempts: 1, first_byte: second, attempt: second, ..faults.server().settings() };
    (faults, Aws::start_with(impatient).unwrap())
}

#[test]
#[ignore = "hundreds of runs; `make night`"]
fn every_request_goes_wrong_once_and_nothing_is_lost() {
    let server = Server::shared(Kind::Ministack);
    let bucket = server.bucket("requests");
    let expected = [undisturbed(0), undisturbed(5)];
    let mut tried = 0;
    for (replace, expected) in [false, true].into_iter().zip(&expected) {
        for fate in [Fate::Refused, Fate::WithoutReply, Fate::Gone] {
            // One of its own, for a proxy remembers only so much of what it did.
            let (faults, disturbed) = between(server, &bucket);
            let mut requests = 0;
            for before in 0..MANY {
                let prefix = format!("{replace}-{fate:?}-{before}");
                let direct = Lake::embedded(Arc::new(S3Storage::new(&server.aws(), &*bucket, &prefix)));
                let lake = Lake::embedded(Arc::new(S3Storage::new(&disturbed, &*bucket, &prefix)));
                let from = source(if replace { 5 } else { 0 });
                if replace {
                    assert!(ingest(&direct, &source(0), false), "{prefix}");
                }
                let fired = faults.fired().len();
                if before > 0 {
                    let passes =
                        json!({"service": "s3", "latency": {"min_ms": 0, "max_ms": 0}, "times": before});
                    faults.rule(&passes);
                }
                faults.rule(&fate.rule());
                ingest(&lake, &from, replace);
                let is_hit = faults.fired().len() - fired > before;
                faults.clear();
                assert!(ingest(&direct, &from, replace), "{prefix}");
                let audited = audit(&*direct.storage, &*direct.catalog, Depth::Bytes).unwrap();
                assert!(audited.findings.is_empty() && audited.orphans.is_empty(), "{prefix}: {audited:?}");
                assert!(files(&*direct.storage) == *expected, "{prefix}: other files");
                if !is_hit {
                    break;
                }
                requests += 1;
            }
            println!(
                "{} {fate:?}: each of {requests} requests",
                if replace { "replacement" } else { "backfill" }
            );
            assert!((10..MANY).contains(&requests), "{requests}");
            tried += requests;
        }
    }
    println!("{tried} runs with a fault");
}
