//! Faults that come together, and the end of an invocation's time.
//!
//! `kills` takes a worker or a service away at each step of one small object; here are several workers, objects with
//! several files, faults of every kind at once, and a deadline that is kept. What must stay true: the lake ends as one
//! backfill of local copies would have made it, byte for byte, and no invocation ends without an answer.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{Environment, FunctionCode, Runtime};
use iotlake::aws::Credentials;
use iotlake::contract;
use iotlake::storage::{MemoryStorage, S3Storage, Storage};
use iotlake_fixtures::{Dirt, Gzip, Kit};
use serde_json::{Value, json};

use crate::delivery::zip_of_this_build;
use crate::function::message;
use crate::landing::{Account, assert_same, backfilled, contract_of, outputs};
use crate::servers::{ACCESS_KEY, ACCOUNT, Faults, REGION};

/// Objects of a test, in memory and in the account's raw bucket, and the messages that announce them.
fn land(account: &Account, objects: impl Iterator<Item = (String, Vec<u8>)>) -> (MemoryStorage, Vec<Value>) {
    let local = MemoryStorage::new("raw");
    let mut messages = Vec::new();
    for (at, (key, bytes)) in objects.enumerate() {
        local.put(&key, &bytes).unwrap();
        messages.push(account.land(&at.to_string(), &key, &bytes));
    }
    (local, messages)
}

/// Puts a contract that declares all of `local`, with small parts; its URI and its text.
fn declare(account: &Account, local: &MemoryStorage) -> (String, String) {
    let toml = contract_of(local, &format!("s3://{}", account.raw));
    account.raw().put("_contract.toml", toml.as_bytes()).unwrap();
    (account.uri("_contract.toml"), toml)
}

/// The lake is what one backfill makes, and the lint finds nothing.
#[track_caller]
fn assert_undisturbed(account: &Account, local: &MemoryStorage, toml: &str) {
    let contract = contract::parse("contract", toml).unwrap();
    let expected = backfilled(local, &format!("s3://{}", account.raw), contract);
    assert_same(&outputs(&*account.lake().storage), &outputs(&*expected.storage));
    account.audit();
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} never happened");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_worker_killed_between_the_files_of_an_object_leaves_what_the_next_completes() {
    let mut text = Vec::new();
    Kit { dirt: Dirt::spread(0.05).unwrap(), ..Kit::sample() }.write_ndjson(&mut text, 150_000).unwrap();
    for (at, is_done) in [(2, false), (2, true), (5, false), (5, true)] {
        let account = Account::new(&format!("between-{at}-{}", u8::from(is_done)));
        let key = "2026/03/01/09/x".to_owned();
        let (local, messages) = land(&account, [(key, text.clone())].into_iter());
        let (uri, toml) = declare(&account, &local);
        let faults = Faults::before(account.server);
        let variables = [("IOTLAKE_CONTRACT", uri.as_str())];
        let function = account.function(faults.server().endpoint(), 0, &variables);
        let first = function.add_worker();
        function.ask(&json!({"init": true}));

        let put = |what: Value| {
            let mut rule =
                json!({"service": "s3", "operation": "PutObject", "resource": account.lake_bucket});
            rule.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
            faults.rule(&rule);
        };
        // So many files are written; then the next one hangs, before or after it is there.
        put(json!({"latency": {"min_ms": 0, "max_ms": 0}, "times": at}));
        if is_done {
            put(json!({"response": {"abort_bytes": 0}, "times": 1}));
        }
        put(json!({"timeout_ms": 600_000}));
        function.invoke_in_vain(&json!({"Records": messages}));
        wait_until("the write", || faults.fired().len() > at + usize::from(is_done));
        function.kill(first);
        faults.clear();
        let left = outputs(&*account.lake().storage);
        assert_eq!(left.len(), at + usize::from(is_done), "files without a receipt: {:?}", left.keys());
        function.add_worker();
        function.deliver(&messages, 1);
        assert_undisturbed(&account, &local, &toml);
        let files = outputs(&*account.lake().storage).len() - 1;
        println!("killed with {} of {files} files written: completed", left.len());
    }
}

#[test]
fn of_many_that_make_a_partition_at_once_all_go_on() {
    let account = Account::new("partition");
    let faults = Faults::before(account.server);
    let function = account.function(faults.server().endpoint(), 6, &[]);
    function.ask(&json!({"init": true}));
    // All have asked for the partition before the first has made it; to the others Glue says `AlreadyExists`.
    faults.rule(&json!({"service": "glue", "operation": "BatchCreatePartition", "latency": {"min_ms": 2000, "max_ms": 2000}, "times": 6}));
    let line = b"{\"ts\":1772355600000}\n";
    let objects = (0..6).map(|at| (format!("2026/03/01/09/{at}"), line.to_vec()));
    let (_, messages) = land(&account, objects);
    thread::scope(|scope| {
        for message in &messages {
            scope.spawn(|| {
                let failed = function.deliver_batch(std::slice::from_ref(message));
                assert!(failed.is_empty(), "{}", function.text());
            });
        }
    });
    let asked = faults.fired().iter().filter(|call| call["operation"] == "BatchCreatePartition").count();
    assert!(asked > 1, "{asked}");
    assert_eq!(account.lake().catalog.partitions("events").unwrap().len(), 1);
    account.audit();
    println!("{asked} workers made the same partition");
}

/// What goes wrong on a bad day, each with its probability. The first that hits a request holds.
fn bad_day() -> Vec<Value> {
    let error = |service: &str, code: &str, status: u16, probability: f64| json!({"service": service, "error": {"code": code, "status": status}, "probability": probability});
    vec![
        error("s3", "SlowDown", 503, 0.06),
        error("s3", "InternalError", 500, 0.04),
        error("glue", "ThrottlingException", 400, 0.10),
        error("glue", "InternalServiceException", 500, 0.05),
        json!({"service": "glue", "operation": "UpdateTable", "probability": 0.3,
            "error": {"code": "ConcurrentModificationException", "status": 400}}),
        json!({"service": "s3", "reset": true, "probability": 0.03}),
        json!({"service": "glue", "response": {"abort_bytes": 0}, "probability": 0.05}),
        json!({"service": "s3", "operation": "PutObject", "response": {"abort_bytes": 0}, "probability": 0.08}),
        json!({"service": "s3", "operation": "GetObject", "response": {"abort_frac": 0.4}, "probability": 0.2}),
        json!({"service": "s3", "latency": {"min_ms": 20, "max_ms": 200}, "probability": 0.2}),
    ]
}

#[test]
fn a_bad_day_with_four_workers_ends_as_a_good_one() {
    let account = Account::new("bad-day");
    let kit = Kit {
        devices: 4,
        hours: 6,
        objects_per_hour: 5,
        dirt: Dirt::spread(0.2).unwrap(),
        gzip: Gzip::Hour(2),
        ..Kit::sample()
    };
    let (local, mut messages) = land(&account, kit.objects().map(|object| (object.key, object.bytes)));
    let (uri, toml) = declare(&account, &local);
    let faults = Faults::before(account.server);
    let function = account.function(faults.server().endpoint(), 4, &[("IOTLAKE_CONTRACT", &uri)]);
    function.ask(&json!({"init": true}));
    let objects = messages.len();
    // Each announced twice, by messages of their own that go to different workers.
    let again = messages.clone().into_iter().map(|mut message| {
        message["messageId"] = json!(format!("{}-again", message["messageId"].as_str().unwrap()));
        message
    });
    messages.extend(again);
    for rule in bad_day() {
        faults.rule(&rule);
    }
    function.deliver(&messages, 4);
    let fired = faults.fired();
    let mut kinds: HashMap<&str, u32> = HashMap::new();
    for call in &fired {
        *kinds.entry(call["action"].as_str().unwrap_or("other")).or_default() += 1;
    }
    faults.clear();
    assert!(fired.len() > objects, "a bad day has more: {kinds:?}");
    assert_undisturbed(&account, &local, &toml);
    println!(
        "{objects} objects announced twice, {} faults ({kinds:?}), failed and delivered again {}",
        fired.len(),
        function.metric("ObjectsFailed")
    );
}

/// The time of an invocation, in seconds.
const TIME: u64 = 6;

#[test]
fn an_invocation_answers_before_its_deadline_whatever_hangs() {
    // Of the emulators only ministack tells a deadline in time, and its functions reach S3 through a proxy if told so.
    let account = Account::new("deadline");
    let other = account.server.bucket("raw-deadline-fine");
    let faults = Faults::before(account.server);
    let aws = account.server.aws();
    let load = aws_config::defaults(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(account.server.endpoint())
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new(ACCESS_KEY.0, ACCESS_KEY.1, None, None, "test"))
        .load();
    let lambda = aws_sdk_lambda::Client::new(&aws.wait(load));
    let variables = [
        ("IOTLAKE_LAKE", account.lake_uri()),
        ("IOTLAKE_CATALOG", format!("glue:{}", account.database)),
        ("AWS_ENDPOINT_URL_S3", faults.server().endpoint().to_owned()),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value)).into();
    let create = lambda
        .create_function()
        .function_name("deadline")
        .runtime(Runtime::from("provided.al2023"))
        .handler("bootstrap")
        .role(format!("arn:aws:iam::{ACCOUNT}:role/ingest"))
        .memory_size(512)
        .timeout(TIME as i32)
        .environment(Environment::builder().set_variables(Some(variables)).build())
        .code(FunctionCode::builder().zip_file(Blob::new(zip_of_this_build())).build());
    aws.wait(create.send()).unwrap();
    let invoke = |event: Value| -> Value {
        let invoke = lambda.invoke().function_name("deadline").payload(Blob::new(event.to_string())).send();
        let answer = aws.wait(invoke).unwrap();
        let text = String::from_utf8(answer.payload().unwrap().as_ref().to_vec()).unwrap();
        assert_eq!(answer.function_error(), None, "{text}\n{}", account.server.log());
        serde_json::from_str(&text).unwrap()
    };
    invoke(json!({"init": true}));

    let line = b"{\"ts\":1772355600000,\"a\":1}\n";
    let hangs = account.land("hangs", "2026/03/01/09/hangs", line);
    let fine = S3Storage::new(&aws, &*other, "");
    fine.put("2026/03/01/09/fine", line).unwrap();
    let etag = fine.head("2026/03/01/09/fine").unwrap().unwrap().etag.unwrap();
    let done = message("fine", &other, "2026/03/01/09/fine", line.len() as u64, &etag);
    faults.rule(
        &json!({"service": "s3", "operation": "GetObject", "resource": account.raw, "timeout_ms": 600_000}),
    );
    let began = Instant::now();
    let answer = invoke(json!({"Records": [hangs, done]}));
    let took = began.elapsed();
    assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "hangs"}]}));
    assert!(!faults.fired().is_empty(), "nothing hung");
    assert!(took < Duration::from_secs(TIME), "{took:?}");
    assert!(took > Duration::from_secs(TIME / 2), "it gave up long before: {took:?}");

    faults.clear();
    let answer = invoke(json!({"Records": [hangs]}));
    assert_eq!(answer, json!({"batchItemFailures": []}));
    account.audit();
    println!(
        "with {TIME} s and a request that hangs: answered in {:.2} s, and done when delivered again",
        took.as_secs_f64()
    );
}
