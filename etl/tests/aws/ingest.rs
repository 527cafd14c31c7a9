//! What the function says of its work, and how it refuses what it cannot do.
//!
//! The real `ingest` with its workers, on S3 and Glue. What must stay true: lines, metrics and receipts are three
//! accounts of the same and agree, also with what the generator of the messages says; whatever is refused is named
//! with the resource and the remedy, stays in its queue, and is ingested as if nothing had been once the cause is
//! gone; only an object that is gone is ever given up.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::thread;
use std::time::Instant;

use iotlake::ledger::{LedgerError, Receipt};
use iotlake::storage::Storage;
use iotlake_fixtures::{Dirt, Gzip, Kit, SplitMix64, Truth};
use serde_json::{Value, json};

use crate::function::message;
use crate::landing::Account;
use crate::servers::{Faults, Kind, Server};

/// One row, with a column that no other test has.
const LINE: &[u8] = b"{\"ts\":1772355600000,\"a\":1}\n";

fn receipts(account: &Account) -> BTreeMap<String, Receipt> {
    let mut receipts = BTreeMap::new();
    let listed = account.lake().ledger().list("events", |receipt| {
        receipts.insert(receipt.source.clone(), receipt);
        Ok::<_, LedgerError>(())
    });
    listed.unwrap();
    receipts
}

/// The accounts of an object as its receipt has them, under the names of a line.
fn accounts(receipt: &Receipt) -> [(&'static str, u64); 8] {
    let files = || receipt.outputs.iter().chain(&receipt.rejects);
    [
        ("records", receipt.counts.records),
        ("rows", receipt.counts.rows),
        ("rejected", receipt.counts.rejected),
        ("ignored", receipt.counts.ignored),
        ("bytes_in", receipt.size),
        ("bytes_decoded", receipt.counts.bytes_decoded),
        ("bytes_out", files().map(|file| file.bytes).sum()),
        ("files", files().count() as u64),
    ]
}

fn number(line: &Value, name: &str) -> u64 {
    line[name].as_u64().unwrap_or_else(|| panic!("{line} lacks {name}"))
}

#[test]
fn lines_metrics_and_receipts_tell_the_same() {
    let account = Account::new("accounts");
    let function = account.function(account.server.endpoint(), 4, &[]);
    function.ask(&json!({"init": true}));
    let columns_before = account.columns().len();
    let kit = Kit {
        devices: 4,
        hours: 4,
        messages_per_hour: 30,
        objects_per_hour: 6,
        dirt: Dirt::spread(0.2).unwrap(),
        gzip: Gzip::Hour(1),
        ..Kit::sample()
    };
    let mut truth = Truth::default();
    let mut messages = Vec::new();
    let mut objects = 0;
    for (at, object) in kit.objects().enumerate() {
        truth.merge(&object.truth);
        account.raw().put(&object.key, &object.bytes).unwrap();
        messages.extend((0..3).map(|copy| account.announce(&format!("{at}-{copy}"), &object.key)));
        objects += 1;
    }
    let mut random = SplitMix64::stream(5, 0);
    for at in (1..messages.len()).rev() {
        messages.swap(at, random.below(at as u32 + 1) as usize);
    }
    function.deliver(&messages, 4);

    // Receipts and what was generated.
    let receipts = receipts(&account);
    assert_eq!(receipts.len(), objects);
    let total = |part: fn(&Receipt) -> u64| receipts.values().map(part).sum::<u64>();
    assert_eq!(total(|receipt| receipt.counts.records), truth.records);
    assert_eq!(total(|receipt| receipt.counts.rows), truth.rows);
    assert_eq!(total(|receipt| receipt.counts.rejected), truth.rejected);
    assert_eq!(total(|receipt| receipt.counts.bytes_decoded), truth.bytes);
    assert!(truth.rejected > 0 && truth.rows > 0);

    // Lines and receipts: whoever does an object says of it what its receipt says, also where two do it at once.
    let lines: Vec<Value> = function.lines().into_iter().filter(|line| line["event"] == "object").collect();
    let done: Vec<&Value> = lines.iter().filter(|line| line["status"] == "done").collect();
    for line in &done {
        let receipt = &receipts[line["source"].as_str().unwrap()];
        for (name, number_of_receipt) in accounts(receipt) {
            assert_eq!(number(line, name), number_of_receipt, "{name} of {line}");
        }
    }
    let sources: BTreeSet<&str> = done.iter().map(|line| line["source"].as_str().unwrap()).collect();
    assert_eq!(sources.len(), objects, "every object is done by somebody");

    // Metrics and lines.
    let sum = |name: &str| done.iter().map(|line| number(line, name)).sum::<u64>();
    let pairs = [
        ("RecordsIn", "records"),
        ("RowsOut", "rows"),
        ("Rejected", "rejected"),
        ("BytesIn", "bytes_in"),
        ("BytesOut", "bytes_out"),
        ("NewColumns", "new_columns"),
        ("CatalogConflicts", "catalog_conflicts"),
    ];
    for (metric, name) in pairs {
        assert_eq!(function.metric(metric), sum(name), "{metric}");
    }
    let ends = [
        ("ObjectsDone", "done"),
        ("ObjectsAlreadyDone", "already_done"),
        ("ObjectsFailed", "failed"),
        ("ObjectsPostponed", "postponed"),
        ("ObjectsTooLong", "too_long"),
        ("SourceConflicts", "changed"),
        ("ObjectsGone", "gone"),
        ("ObjectsSkipped", "skipped"),
    ];
    for (metric, word) in ends {
        let told = lines.iter().filter(|line| line["status"] == word).count() as u64;
        assert_eq!(function.metric(metric), told, "{metric}");
    }
    let failed = function.metric("ObjectsFailed");
    assert_eq!(failed, 0, "{}", function.text());
    assert_eq!(function.metric("NewColumns") as usize, account.columns().len() - columns_before);
    let invocations: BTreeSet<&str> = lines.iter().map(|line| line["request_id"].as_str().unwrap()).collect();
    let metrics = function.lines().iter().filter(|line| line.get("_aws").is_some()).count();
    assert_eq!(metrics, invocations.len(), "one line of metrics an invocation");

    // What is delivered again later counts nothing.
    let counted = pairs.map(|(metric, _)| function.metric(metric));
    function.deliver(&messages, 2);
    assert_eq!(pairs.map(|(metric, _)| function.metric(metric)), counted);
    account.audit();
    println!(
        "{objects} objects, {} messages: done {} times, of which {} by two at once; {} records = {} rows + {} rejected",
        messages.len(),
        done.len(),
        done.len() - objects,
        truth.records,
        truth.rows,
        truth.rejected
    );
}

#[test]
fn who_comes_second_to_the_table_says_so() {
    let account = Account::new("conflicts");
    let faults = Faults::before(account.server);
    let function = account.function(faults.server().endpoint(), 6, &[]);
    function.ask(&json!({"init": true}));
    let before = account.columns();
    // All have seen the table before the first has changed it.
    faults.rule(&json!({"service": "glue", "operation": "UpdateTable", "latency": 2000, "times": 6}));
    let land = |worker: usize| {
        let line = format!("{{\"ts\":1772355600000,\"mine{worker}\":1}}\n");
        account.land(&worker.to_string(), &format!("2026/03/01/09/worker-{worker}"), line.as_bytes())
    };
    let messages: Vec<Value> = (0..6).map(land).collect();
    thread::scope(|scope| {
        for message in &messages {
            scope.spawn(|| assert!(function.deliver_batch(std::slice::from_ref(message)).is_empty()));
        }
    });
    let after = account.columns();
    assert_eq!(after[..before.len()], before, "columns are only appended");
    let names: BTreeSet<&str> = after.iter().map(|(name, _)| name.as_str()).collect();
    assert!((0..6).all(|worker| names.contains(&*format!("mine{worker}"))), "{names:?}");
    let conflicts = function.metric("CatalogConflicts");
    assert!(conflicts > 0, "{}", function.text());
    // Its arrival, and one of each worker.
    assert_eq!(function.metric("NewColumns") as usize, after.len() - before.len());
    account.audit();
    println!("6 workers at once: {conflicts} conflicts, {} columns, none lost", after.len() - before.len());
}

#[test]
fn init_by_many_at_once_and_again_later_changes_nothing() {
    let account = Account::new("init");
    let function = account.function(account.server.endpoint(), 4, &[("IOTLAKE_CONTRACT", "rigado")]);
    let answers: Vec<Value> = thread::scope(|scope| {
        let asked: Vec<_> = (0..4).map(|_| scope.spawn(|| function.ask(&json!({"init": true})))).collect();
        asked.into_iter().map(|answer| answer.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    let version = || {
        ["events", "events_rejects"].map(|name| {
            let get = account.server.aws().glue().get_table().database_name(&account.database).name(name);
            let answer = account.server.aws().wait(get.send()).unwrap();
            answer.table().unwrap().version_id().map(str::to_owned)
        })
    };
    let first = version();
    assert_eq!(function.ask(&json!({"init": true})), answers[0]);
    assert_eq!(version(), first, "nothing was written");
    assert!(function.deliver_batch(&[account.land("1", "2026/03/01/09/1", LINE)]).is_empty());
    let grown = version();
    assert_ne!(grown, first, "a column came");
    let again = function.ask(&json!({"init": true}));
    assert_eq!(again["columns"], account.columns().len(), "what was learnt stays");
    assert_eq!(version(), grown);
    account.audit();
}

/// Refusals that no waiting ends: what answers so, and what the line and its hint have to say.
fn refusals(raw: &str, lake: &str) -> Vec<(Value, &'static str, &'static str)> {
    let s3 = |operation: &str, bucket: &str, code: &str, status: u16| json!({"service": "s3", "operation": operation, "resource": bucket, "error": {"code": code, "status": status}});
    let glue = |operation: &str, code: &str, message: &str| json!({"service": "glue", "operation": operation, "error": {"code": code, "status": 400, "message": message}});
    vec![
        (s3("GetObject", raw, "AccessDenied", 403), "s3:GetObject: permission denied", "allow the caller"),
        (s3("GetObject", raw, "ExpiredToken", 400), "the credentials have expired", "obtain new credentials"),
        (s3("GetObject", raw, "SignatureDoesNotMatch", 403), "are not accepted", "check the access key"),
        (s3("GetObject", raw, "InvalidAccessKeyId", 403), "are not accepted", "check the access key"),
        (s3("GetObject", raw, "PermanentRedirect", 301), "it is in another region", "AWS_REGION"),
        (s3("PutObject", lake, "AccessDenied", 403), "s3:PutObject: permission denied", "allow the caller"),
        (
            glue(
                "UpdateTable",
                "AccessDeniedException",
                "User is not authorized to perform: glue:UpdateTable",
            ),
            "glue:UpdateTable: permission denied",
            "allow the caller",
        ),
        (
            glue(
                "UpdateTable",
                "AccessDeniedException",
                "Insufficient Lake Formation permission(s): Required Alter",
            ),
            "Lake Formation does not permit it",
            "ALTER",
        ),
        (
            glue("BatchCreatePartition", "AccessDeniedException", "User is not authorized"),
            "glue:BatchCreatePartition: permission denied",
            "allow the caller",
        ),
        (
            glue(
                "UpdateTable",
                "ExpiredTokenException",
                "The security token included in the request is expired",
            ),
            "the credentials have expired",
            "obtain new credentials",
        ),
    ]
}

#[test]
fn a_refusal_names_resource_and_remedy_and_loses_nothing() {
    let account = Account::new("refusals");
    let faults = Faults::before(account.server);
    let function = account.function(faults.server().endpoint(), 1, &[]);
    function.ask(&json!({"init": true}));
    for (at, (rule, says, hint)) in refusals(&account.raw, &account.lake_bucket).into_iter().enumerate() {
        // A column, a row, a reject and an hour that are new.
        let key = format!("2026/03/01/{at:02}/x");
        let lines = format!("{{\"ts\":1772355600000,\"new{at}\":1}}\n{{\"broken\n");
        let message = account.land(&at.to_string(), &key, lines.as_bytes());
        faults.rule(&rule);
        let began = Instant::now();
        assert_eq!(function.deliver_batch(std::slice::from_ref(&message)).len(), 1, "{rule}");
        let took = began.elapsed();
        let line = function.about(&account.uri(&key)).pop().unwrap();
        assert_eq!((&line["status"], &line["level"]), (&json!("failed"), &json!("ERROR")), "{line}");
        assert!(line["error"].as_str().unwrap().contains(says), "{rule}: {line}");
        assert!(line["hint"].as_str().unwrap_or_default().contains(hint), "{rule}: {line}");
        assert!(!receipts(&account).contains_key(&account.uri(&key)), "{rule}");
        faults.clear();
        assert!(function.deliver_batch(&[message]).is_empty(), "{rule}: {}", function.text());
        println!("{says}: refused in {} ms, then done", took.as_millis());
    }
    account.audit();
}

#[test]
fn only_an_object_that_is_gone_is_given_up() {
    let account = Account::new("missing");
    let function = account.function(account.server.endpoint(), 1, &[]);
    // No database, and no `init` yet.
    let early = account.land("early", "2026/03/01/09/early", LINE);
    assert_eq!(function.deliver_batch(std::slice::from_ref(&early)).len(), 1);
    let line = function.about(&account.uri("2026/03/01/09/early")).pop().unwrap();
    assert!(line["hint"].as_str().unwrap_or_default().contains("init"), "{line}");
    function.ask(&json!({"init": true}));
    assert!(function.deliver_batch(&[early]).is_empty(), "{}", function.text());

    // The bucket, not the object, is missing: a mistake that can be mended.
    let nowhere = message("nowhere", "there-is-no-such-bucket", "2026/03/01/09/x", 27, "0123");
    assert_eq!(function.deliver_batch(&[nowhere]).len(), 1, "{}", function.text());
    let line = function.about("s3://there-is-no-such-bucket/2026/03/01/09/x").pop().unwrap();
    assert_eq!(line["status"], "failed", "{line}");
    assert!(line["error"].as_str().unwrap().contains("there is no such bucket"), "{line}");
    assert_eq!(function.metric("ObjectsGone"), 0);

    let gone = account.land("gone", "2026/03/01/09/gone", LINE);
    account.raw().delete("2026/03/01/09/gone").unwrap();
    assert!(function.deliver_batch(&[gone]).is_empty());
    assert_eq!(function.metric("ObjectsGone"), 1);
    account.audit();
}

#[test]
fn what_no_invocation_has_time_for_is_refused_at_once_and_its_neighbour_is_not() {
    let account = Account::new("too-large");
    let function = account.function(account.server.endpoint(), 1, &[]);
    function.ask(&json!({"init": true}));
    // It is not asked for, so it need not be there.
    let large = message("large", &account.raw, "2026/03/01/09/large", 1 << 40, "0123");
    let small = account.land("small", "2026/03/01/09/small", LINE);
    let began = Instant::now();
    let failed = function.deliver_batch(&[large, small]);
    let took = began.elapsed();
    assert_eq!(failed.iter().map(|message| &message["messageId"]).collect::<Vec<_>>(), ["large"]);
    let line = function.about(&account.uri("2026/03/01/09/large")).pop().unwrap();
    let command = format!("iotlake backfill '{}'", account.uri("2026/03/01/09/large"));
    assert!(line["hint"].as_str().unwrap().contains(&command), "{line}");
    assert!(line.get("stages_ms").is_none(), "it was begun: {line}");
    assert_eq!(function.about(&account.uri("2026/03/01/09/small")).pop().unwrap()["status"], "done");
    account.audit();
    println!("1 TiB refused in {} ms", took.as_millis());
}

#[test]
fn without_settings_the_program_ends_with_one_line() {
    let output = Command::new(env!("CARGO_BIN_EXE_ingest")).env_clear().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert_eq!(printed.lines().count(), 1, "{printed}");
    let line: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((&line["level"], &line["event"]), (&json!("ERROR"), &json!("start")));
    for name in ["IOTLAKE_LAKE", "IOTLAKE_CATALOG"] {
        assert!(line["error"].as_str().unwrap().contains(name), "{line}");
    }
}

/// The most memory that a process has had, in MiB.
fn peak_mib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("Linux tells it");
    line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok()).expect("kB") >> 10
}

#[test]
#[ignore = "13 s where nothing else runs, 40 s on a busy machine"]
fn an_object_of_128_mb_fits_into_512() {
    // One of its own: it keeps the object in memory.
    let server: &'static Server = Box::leak(Box::new(Server::start(Kind::Ministack)));
    let account = Account::on(server, "mb128");
    let function = account.function(server.endpoint(), 0, &[]);
    let worker = function.add_worker();
    function.ask(&json!({"init": true}));
    let idle = peak_mib(worker);
    let mut text = Vec::new();
    Kit::sample().write_ndjson(&mut text, 128 << 20).unwrap();
    let message = account.land("1", "2026/03/01/09/large", &text);
    let began = Instant::now();
    assert!(function.deliver_batch(&[message]).is_empty(), "{}", function.text());
    let took = began.elapsed();
    let peak = peak_mib(worker);
    let line = function.about(&account.uri("2026/03/01/09/large")).pop().unwrap();
    assert_eq!(number(&line, "bytes_in"), text.len() as u64);
    assert_eq!(number(&line, "records"), number(&line, "rows") + number(&line, "rejected"));
    assert!(number(&line, "files") > 1, "{line}");
    assert!(peak < 512, "{peak} MiB");
    account.audit();
    println!("{} bytes in {:.1} s; idle {idle} MiB, peak {peak} MiB; {line}", text.len(), took.as_secs_f64());
}
