//! Objects that land while several workers of the real `ingest` are at work, on S3 and Glue.
//!
//! What must stay true: however often and in whatever order objects are announced, the lake is, byte for byte, what one
//! backfill of local copies makes; no worker takes a column from another; every object ends in a line, a metric and an
//! answer that agree.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use iotlake::audit::{Depth, audit};
use iotlake::backfill::{self, Options};
use iotlake::catalog::GlueCatalog;
use iotlake::contract;
use iotlake::decode::OnDamage;
use iotlake::lake::Lake;
use iotlake::partition::PartitionBy;
use iotlake::pipeline::Run;
use iotlake::plan::{PlanOptions, Selection, plan};
use iotlake::storage::{LocalStorage, MemoryStorage, S3Storage, Storage};
use iotlake_fixtures::{Dirt, Gzip, Kit, SplitMix64};
use iotlake_flatten::{ColumnType, Compression, Contract, Limits};
use serde_json::{Value, json};

use crate::function::{Function, message, notification};
use crate::servers::{Kind, Server};

/// A raw bucket, a lake and a database of one test's own.
pub struct Account {
    pub server: &'static Server,
    pub raw: String,
    pub lake_bucket: String,
    pub database: String,
}

impl Account {
    pub fn new(purpose: &str) -> Account {
        Account::on(Server::shared(Kind::Ministack), purpose)
    }

    pub fn on(server: &'static Server, purpose: &str) -> Account {
        let raw = server.bucket(&format!("raw-{purpose}"));
        let lake_bucket = server.bucket(&format!("lake-{purpose}"));
        Account { server, raw, lake_bucket, database: format!("db_{}", purpose.replace('-', "_")) }
    }

    pub fn lake_uri(&self) -> String {
        format!("s3://{}/iot", self.lake_bucket)
    }

    /// A function with so many workers, which reaches AWS at `endpoint`.
    pub fn function(&self, endpoint: &str, workers: usize, more: &[(&str, &str)]) -> Function {
        let (lake, catalog) = (self.lake_uri(), format!("glue:{}", self.database));
        let mut variables = vec![("IOTLAKE_LAKE", lake.as_str()), ("IOTLAKE_CATALOG", catalog.as_str())];
        variables.extend_from_slice(more);
        Function::start(endpoint, &variables, workers)
    }

    /// The lake, past any proxy.
    pub fn lake(&self) -> Lake {
        let aws = self.server.aws();
        let storage = Arc::new(S3Storage::new(&aws, &self.lake_bucket, "iot"));
        Lake::new(storage, Arc::new(GlueCatalog::new(&aws, &self.database, &self.lake_uri())))
    }

    pub fn raw(&self) -> S3Storage {
        S3Storage::new(&self.server.aws(), &self.raw, "")
    }

    /// Puts an object; the message that announces it.
    pub fn land(&self, id: &str, key: &str, bytes: &[u8]) -> Value {
        self.raw().put(key, bytes).unwrap();
        self.announce(id, key)
    }

    /// The message that announces an object as it is now.
    pub fn announce(&self, id: &str, key: &str) -> Value {
        let meta = self.raw().head(key).unwrap().unwrap();
        message(id, &self.raw, key, meta.size, &meta.etag.unwrap())
    }

    pub fn uri(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.raw)
    }

    #[track_caller]
    pub fn audit(&self) {
        let lake = self.lake();
        let audit = audit(&*lake.storage, &*lake.catalog, Depth::Footers).unwrap();
        assert!(audit.is_clean(), "{:?}", audit.findings);
    }

    pub fn columns(&self) -> Vec<(String, &'static str)> {
        let table = self.lake().catalog.table("events").unwrap().unwrap();
        let columns = table.schema.columns().iter();
        columns.map(|column| (column.name.clone(), ColumnType::from(column.identity.kind).hive())).collect()
    }
}

/// Everything below the root of a storage but the catalog beside it and the records of attempts, of which a worker that is
/// killed behind its receipt leaves one for the next backfill. A receipt says which version was read where its
/// source has versions, which a local copy has not: that one field is left out.
pub fn outputs(storage: &dyn Storage) -> BTreeMap<String, Vec<u8>> {
    let mut keys = Vec::new();
    let visit = &mut |meta: iotlake::storage::ObjectMeta| {
        keys.push(meta.key);
        Ok(())
    };
    storage.list("", visit).unwrap();
    keys.retain(|key| {
        let internal = ["_iotlake/attempts/", "_iotlake/catalog/", "_iotlake/locks/", "_iotlake/tmp/"];
        !internal.iter().any(|at| key.starts_with(at))
    });
    let read = |key: String| {
        let mut bytes = storage.read(&key).unwrap().unwrap();
        if key.starts_with("_iotlake/receipts/") {
            let mut receipt: Value = serde_json::from_slice(&bytes).unwrap();
            receipt.as_object_mut().unwrap().remove("etag");
            bytes = receipt.to_string().into_bytes();
        }
        (key, bytes)
    };
    keys.into_iter().map(read).collect()
}

#[track_caller]
pub fn assert_same(left: &BTreeMap<String, Vec<u8>>, right: &BTreeMap<String, Vec<u8>>) {
    let keys = left.keys().chain(right.keys());
    let differ: BTreeSet<_> = keys.filter(|key| left.get(*key) != right.get(*key)).collect();
    assert!(differ.is_empty(), "{} objects differ, such as {:?}", differ.len(), differ.first());
}

/// Options of a backfill by arrival into `events`.
pub fn options(contract: Contract) -> Options {
    Options {
        run: Run {
            table: "events".into(),
            partition_by: PartitionBy::Arrival,
            compression: Compression::Snappy,
            threads: 1,
            replace: false,
            output_limit: u64::MAX,
            on_damage: OnDamage::Fail,
            allow_missing_time: true,
            spill: std::env::temp_dir(),
            limits: Limits::default(),
        },
        contract,
        key_pattern: None,
        view: None,
        jobs: 2,
    }
}

/// One backfill of all of `from`, as what lies at `known_as`, with a catalog beside the lake.
pub fn backfilled(from: &dyn Storage, known_as: &str, contract: Contract) -> Lake {
    let lake = Lake::embedded(Arc::new(MemoryStorage::new("lake")));
    let planned = PlanOptions { known_as: Some(known_as.to_owned()), ..PlanOptions::default() };
    let plan = plan(from, &Selection::Folder(String::new()), &planned).unwrap();
    let summary =
        backfill::backfill(&lake, from, &plan, &options(contract), &AtomicBool::new(false), &()).unwrap();
    assert!(summary.failed.is_empty() && summary.balances(), "{summary:?}");
    lake
}

/// A contract that declares every path that records of `from` bring, as TOML. Parts are small, so that most sources
/// have several files.
pub fn contract_of(from: &dyn Storage, known_as: &str) -> String {
    let small = Contract { part_bytes: 16 << 10, ..Contract::default() };
    let lake = backfilled(from, known_as, small);
    contract::table_to_toml(&lake.catalog.table("events").unwrap().unwrap().schema)
}

#[test]
fn two_hundred_dirty_objects_each_delivered_three_times_are_one_backfill() {
    let account = Account::new("two-hundred");
    let kit = Kit {
        seed: 7,
        devices: 4,
        hours: 20,
        objects_per_hour: 10,
        dirt: Dirt::spread(0.2).unwrap(),
        gzip: Gzip::Hour(3),
        ..Kit::sample()
    };
    let folder = tempfile::tempdir().unwrap();
    let local = LocalStorage::open(folder.path()).unwrap();
    let mut messages = Vec::new();
    for (at, object) in kit.objects().enumerate() {
        local.put(&object.key, &object.bytes).unwrap();
        account.raw().put(&object.key, &object.bytes).unwrap();
        messages.extend((0..3).map(|copy| account.announce(&format!("{at}-{copy}"), &object.key)));
    }
    assert_eq!(messages.len(), 600);
    let known_as = format!("s3://{}", account.raw);
    let toml = contract_of(&local, &known_as);
    account.raw().put("_contract.toml", toml.as_bytes()).unwrap();
    let contract_uri = account.uri("_contract.toml");

    let function = account.function(account.server.endpoint(), 8, &[("IOTLAKE_CONTRACT", &contract_uri)]);
    function.ask(&json!({"init": true}));
    let mut random = SplitMix64::stream(11, 0);
    for at in (1..messages.len()).rev() {
        messages.swap(at, random.below(at as u32 + 1) as usize);
    }
    function.deliver(&messages, 8);

    let expected = backfilled(&local, &known_as, contract::parse("contract", &toml).unwrap());
    let (ours, theirs) = (outputs(&*account.lake().storage), outputs(&*expected.storage));
    assert_same(&ours, &theirs);
    account.audit();
    let files = ours.keys().filter(|key| key.ends_with(".parquet")).count();
    let (records, rows, rejected) =
        (function.metric("RecordsIn"), function.metric("RowsOut"), function.metric("Rejected"));
    assert_eq!(records, rows + rejected);
    let ended = ["ObjectsDone", "ObjectsAlreadyDone", "ObjectsFailed"].map(|name| function.metric(name));
    // Who comes while another is at it does the same once more; nobody ends without a word.
    assert!(ended[0] >= 200, "{ended:?}");
    println!(
        "200 objects, 600 messages, 8 workers: {files} files, {} receipts; {records} records = {rows} rows + {rejected} \
         rejected (with what two workers did at once); done {}, already done {}, failed and delivered again {}",
        ours.len() - files,
        ended[0],
        ended[1],
        ended[2],
    );
}

#[test]
fn twenty_workers_that_each_meet_columns_no_other_has_lose_none() {
    let account = Account::new("twenty");
    let function = account.function(account.server.endpoint(), 20, &[]);
    function.ask(&json!({"init": true}));
    let before = account.columns();
    let land = |worker: usize| {
        // Kinds of the shared column differ: the first has the plain name, the others a sibling each.
        let shared = ["1.5", "\"text\"", "true", "[1]"][worker % 4];
        let own: Vec<String> = (0..5).map(|at| format!("\"own{worker}_{at}\":{at}")).collect();
        let line = format!("{{\"ts\":1772355600000,\"shared\":{shared},{}}}\n", own.join(","));
        account.land(&worker.to_string(), &format!("2026/03/01/09/worker-{worker}"), line.as_bytes())
    };
    let messages: Vec<Value> = (0..20).map(land).collect();
    let seen = std::sync::Mutex::new(vec![before]);
    std::thread::scope(|scope| {
        for message in &messages {
            scope.spawn(|| {
                let mut due = vec![message.clone()];
                while !due.is_empty() {
                    due = function.deliver_batch(&due);
                }
                let columns = account.columns();
                seen.lock().unwrap().push(columns);
            });
        }
    });
    let columns = account.columns();
    let names: BTreeSet<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    for worker in 0..20 {
        for at in 0..5 {
            assert!(names.contains(&*format!("own{worker}_{at}")), "own{worker}_{at} is lost");
        }
    }
    assert_eq!(names.iter().filter(|name| name.starts_with("shared")).count(), 4, "{names:?}");
    assert_eq!(columns.len(), names.len());
    for earlier in seen.into_inner().unwrap() {
        assert_eq!(columns[..earlier.len()], earlier, "columns are only appended");
    }
    account.audit();
    assert_eq!(function.metric("NewColumns"), 104);
    println!("20 workers, 104 new columns, {} conflicts", function.metric("CatalogConflicts"));
}

const KEYS: [&str; 7] = [
    "2026/03/01/09//twice",
    "2026/03/01/09/with space",
    "2026/03/01/09/a+b",
    "2026/03/01/09/100%25",
    "2026/03/01/09/100%",
    "year=2026/month=03/day=01/hour=09/x=1",
    "2026/03/01/09/grün-日本",
];

#[test]
fn any_key_arrives_in_any_wrapping() {
    let account = Account::new("keys");
    let function = account.function(account.server.endpoint(), 1, &[]);
    function.ask(&json!({"init": true}));
    let line = b"{\"ts\":1772355600000,\"a\":1}\n";
    let wrap = |how: usize, key: &str| {
        let meta = account.raw().head(key).unwrap().unwrap();
        let plain = notification(&account.raw, key, meta.size, &meta.etag.unwrap());
        let bridge = json!({"source": "aws.s3", "detail-type": "Object Created", "time": "2026-03-01T09:00:00Z",
            "detail": {"bucket": {"name": account.raw}, "object": {"key": key, "size": meta.size}}});
        match how {
            0 => plain,
            1 => json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": plain.to_string()}}]}),
            2 => bridge,
            3 => json!({"bucket": account.raw, "objects": [{"Key": key, "Size": meta.size}]}),
            4 => json!({"objects": [account.uri(key)]}),
            _ => json!({"Records": [{"messageId": "m", "eventSource": "aws:sqs", "body":
                json!({"Type": "Notification", "Message": plain.to_string()}).to_string()}]}),
        }
    };
    for (at, key) in KEYS.iter().enumerate() {
        // As others do: our own storage would not write all of these.
        let aws = account.server.aws();
        let put = aws.s3().put_object().bucket(&account.raw).key(*key).body(line.to_vec().into());
        aws.wait(put.send()).unwrap();
        // Every key first in another wrapping, then once in each: only the first has something to do.
        for how in 0..6 {
            let answer = function.ask(&wrap((at + how) % 6, key));
            let done = answer["done"].as_u64().unwrap_or(0) + answer["already_done"].as_u64().unwrap_or(0);
            assert!(done == 1 || answer == json!({"batchItemFailures": []}), "{key}: {answer}");
        }
        let lines = function.about(&account.uri(key));
        let words: Vec<_> = lines.iter().map(|line| line["status"].as_str().unwrap().to_owned()).collect();
        assert_eq!(words.len(), 6, "{key}: {words:?}");
        assert_eq!(words[0], "done", "{key}");
        assert!(words[1..].iter().all(|word| word == "already_done"), "{key}: {words:?}");
    }
    account.audit();
}

#[test]
fn what_is_no_data_is_counted_and_what_fails_fails_alone() {
    let account = Account::new("odds");
    let function = account.function(account.server.endpoint(), 1, &[]);
    function.ask(&json!({"init": true}));
    let good = b"{\"ts\":1772355600000,\"a\":1}\n";
    let folder = "2026/03/01/09";
    let gone = account.land("gone", &format!("{folder}/gone"), good);
    account.raw().delete(&format!("{folder}/gone")).unwrap();
    let messages = [
        account.land("good", &format!("{folder}/good"), good),
        account.land("again", &format!("{folder}/good"), good),
        account.land("empty", &format!("{folder}/empty"), b""),
        account.land("hidden", &format!("{folder}/_SUCCESS"), good),
        account.land("firehose", &format!("processing-failed/{folder}/x"), good),
        account.land("no-hour", "some/where", good),
        gone,
        json!({"messageId": "poison", "eventSource": "aws:sqs", "body": "not JSON"}),
        json!({"messageId": "test", "eventSource": "aws:sqs",
            "body": json!({"Service": "Amazon S3", "Event": "s3:TestEvent"}).to_string()}),
    ];
    let answer = function.ask(&json!({"Records": messages}));
    let failed: BTreeSet<_> = answer["batchItemFailures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["itemIdentifier"].as_str().unwrap())
        .collect();
    assert_eq!(failed, BTreeSet::from(["no-hour", "poison"]), "{}", function.text());
    let metrics =
        ["ObjectsDone", "ObjectsSkipped", "ObjectsGone", "ObjectsFailed"].map(|name| function.metric(name));
    assert_eq!(metrics, [2, 2, 1, 2], "each object is counted once, each message that is not understood too");
    let line = &function.about(&account.uri("some/where"))[0];
    assert!(line["error"].as_str().unwrap().contains("there is no hour in its key"), "{line}");
    assert!(line["hint"].as_str().unwrap().contains("IOTLAKE_KEY_PATTERN"), "{line}");
    account.audit();

    // Without a queue there is nobody to hand single failures back to.
    let event =
        json!({"bucket": account.raw, "objects": [{"key": format!("{folder}/good")}, {"key": "some/where"}]});
    let error = function.invoke(&event).unwrap_err();
    assert_eq!(error["errorType"], "ObjectsFailed");
    assert!(
        error["errorMessage"].as_str().unwrap().starts_with("1 of 2 objects failed, such as s3://"),
        "{error}"
    );
    let error = function.invoke(&json!({"hello": 1})).unwrap_err();
    assert_eq!(error["errorType"], "EventNotUnderstood");
}

#[test]
fn a_source_that_was_overwritten_is_a_conflict_and_the_lake_stays() {
    let account = Account::new("overwritten");
    let function = account.function(account.server.endpoint(), 1, &[]);
    function.ask(&json!({"init": true}));
    let key = "2026/03/01/09/x";
    let first = account.land("1", key, b"{\"ts\":1772355600000,\"a\":1}\n");
    assert!(function.deliver_batch(std::slice::from_ref(&first)).is_empty());
    let before = outputs(&*account.lake().storage);
    let second = account.land("2", key, b"{\"ts\":1772355600000,\"a\":2}\n");
    // The late announcement of the first version is of no concern any more than that of the second.
    assert_eq!(function.deliver_batch(&[second]).len(), 1);
    assert_eq!(function.metric("SourceConflicts"), 1);
    let line = function.about(&account.uri(key)).pop().unwrap();
    assert_eq!(line["status"], "changed", "{line}");
    assert!(line["hint"].as_str().unwrap().contains("--replace"), "{line}");
    assert_same(&before, &outputs(&*account.lake().storage));
    // Uploaded again as it was, it is no other.
    let again = account.land("3", key, b"{\"ts\":1772355600000,\"a\":1}\n");
    assert!(function.deliver_batch(&[again]).is_empty());
    account.audit();
}

#[test]
fn a_table_that_was_deleted_is_missed_and_not_made_anew() {
    let account = Account::new("deleted");
    let function = account.function(account.server.endpoint(), 1, &[]);
    function.ask(&json!({"init": true}));
    let land = |at: u32| {
        let line = format!("{{\"ts\":1772355600000,\"a{at}\":1}}\n");
        account.land(&at.to_string(), &format!("2026/03/01/{:02}/x{at}", 9 + at), line.as_bytes())
    };
    assert!(function.deliver_batch(&[land(0)]).is_empty());
    let aws = account.server.aws();
    let delete = aws.glue().delete_table().database_name(&account.database).name("events");
    aws.wait(delete.send()).unwrap();
    // Warm, it needs the catalog for its new column; cold, for the table.
    for attempt in 0..2 {
        assert_eq!(function.deliver_batch(&[land(1)]).len(), 1, "attempt {attempt}");
        let line = function.about(&account.uri("2026/03/01/10/x1")).pop().unwrap();
        assert!(line["error"].as_str().unwrap().contains("there is no table `events`"), "{line}");
    }
    let error = function.invoke(&json!({"init": true})).unwrap_err();
    assert!(error["errorMessage"].as_str().unwrap().contains("there are files below"), "{error}");
    let lake = account.lake();
    let audit = audit(&*lake.storage, &*lake.catalog, Depth::Footers).unwrap();
    assert!(!audit.is_clean(), "the lint finds files without a table");
}

#[test]
fn an_object_that_came_in_parts_and_one_that_is_gzip_without_saying_so_are_rows() {
    let account = Account::new("large");
    let function = account.function(account.server.endpoint(), 1, &[]);
    function.ask(&json!({"init": true}));
    let mut text = Vec::new();
    Kit::sample().write_ndjson(&mut text, 24 << 20).unwrap();
    let plain = account.land("plain", "2026/03/01/09/plain", &text);
    let etag = account.raw().head("2026/03/01/09/plain").unwrap().unwrap().etag.unwrap();
    assert!(etag.contains('-'), "{etag} is not that of an upload in parts");
    let zipped = iotlake_fixtures::gzip::member(&text, iotlake_fixtures::gzip::Coding::Deflate);
    let zipped = account.land("gzip", "2026/03/01/10/without-an-extension", &zipped);
    assert!(function.deliver_batch(&[plain, zipped]).is_empty(), "{}", function.text());
    let lines = ["2026/03/01/09/plain", "2026/03/01/10/without-an-extension"]
        .map(|key| function.about(&account.uri(key)).pop().unwrap());
    assert_eq!(lines[0]["rows"], lines[1]["rows"]);
    assert_eq!(lines[0]["bytes_in"], text.len());
    account.audit();
    for line in lines {
        println!(
            "{} bytes, {} rows: {} ms {}",
            line["bytes_in"], line["rows"], line["ms"], line["stages_ms"]
        );
    }
}

/// The requests that moto has logged, in order: `HEAD receipt`, `PUT data`, `Glue`.
fn requests(server: &Server) -> Vec<String> {
    let request = |line: &str| {
        let (method, path) = line.split_once('"')?.1.split_once(" HTTP/")?.0.split_once(' ')?;
        let object = match path {
            "/" => return Some("Glue".to_owned()),
            path if path.contains("/_iotlake/receipts/") => "receipt",
            path if path.contains(".parquet") => "data",
            path if path.starts_with("/raw-") => "source",
            _ => return None,
        };
        // What is not found is printed in colour.
        let method = method.rsplit('m').next().unwrap_or_default();
        Some(format!("{method} {object}"))
    };
    server.log().lines().filter_map(request).collect()
}

#[test]
fn a_call_that_is_not_needed_is_not_made() {
    // One of its own, for its log.
    let server: &'static Server = Box::leak(Box::new(Server::start(Kind::Moto)));
    let account = Account::on(server, "calls");
    let function = account.function(server.endpoint(), 1, &[]);
    function.ask(&json!({"init": true}));
    let line = b"{\"ts\":1772355600000,\"a\":1}\n";
    let calls = |message: &Value| {
        let before = requests(server).len();
        assert!(function.deliver_batch(std::slice::from_ref(message)).is_empty(), "{}", function.text());
        requests(server).split_off(before)
    };
    let cold = calls(&account.land("1", "2026/03/01/09/1", line));
    let warm = calls(&account.land("2", "2026/03/01/09/2", line));
    let new_partition = calls(&account.land("3", "2026/03/01/10/3", line));
    let redelivered = calls(&account.announce("2", "2026/03/01/09/2"));
    println!("cold, a new column and partition: {cold:?}");
    println!("warm, nothing new: {warm:?}");
    println!("warm, a new partition: {new_partition:?}");
    println!("delivered again: {redelivered:?}");
    assert_eq!(warm, ["HEAD receipt", "GET source", "PUT data", "PUT receipt"]);
    assert_eq!(redelivered, ["HEAD receipt"]);
    assert_eq!(
        new_partition,
        // The table, for the columns of the partition, and the partition.
        ["HEAD receipt", "GET source", "PUT data", "Glue", "Glue", "PUT receipt"]
    );
    assert_eq!(
        cold,
        [
            "Glue",
            "HEAD receipt",
            "GET source", // the table
            "Glue",
            "Glue",
            "PUT data", // the table, and its new column
            "Glue",
            "Glue",
            "PUT receipt",
        ]
    );
}

#[test]
fn a_function_without_settings_says_all_that_is_missing_and_no_line_holds_a_secret() {
    let account = Account::new("settings");
    let function = Function::start(account.server.endpoint(), &[("IOTLAKE_TABEL", "x")], 1);
    let line = function.wait_for_line(|line| line["event"] == "start");
    let error = line["error"].as_str().unwrap();
    for word in ["IOTLAKE_LAKE is not set", "IOTLAKE_CATALOG is not set", "IOTLAKE_TABEL is not a variable"] {
        assert!(error.contains(word), "{error}");
    }

    let secret = "wJalrXUtnFEMI-not-to-be-seen";
    let function = account.function(account.server.endpoint(), 1, &[("AWS_SECRET_ACCESS_KEY", secret)]);
    function.ask(&json!({"init": true}));
    let lines = b"{\"a\":\"payload-not-to-be-seen\"}\n{\"a\":\"payload-not-to-be-seen\n{\"a\":1,\"a\":\"payload-not-to-be-seen\"}\n";
    let good = account.land("1", "2026/03/01/09/1", lines);
    let bad = json!({"messageId": "2", "eventSource": "aws:sqs", "body": "payload-not-to-be-seen"});
    assert_eq!(function.deliver_batch(&[good, bad]).len(), 1);
    assert!(function.metric("Rejected") > 0);
    assert!(!function.text().contains("not-to-be-seen"), "{}", function.text());
}
