//! Faults that come together, and the end of an invocation's time.
//!
//! `kills` takes a worker or a service away at each step of one small object; here are several workers, objects with
//! several files, faults of every kind at once, and a deadline that is kept. What must stay true: the lake ends as one
//! backfill of local copies would have made it, byte for byte, and no invocation ends without an answer.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use iotlake::aws::{Access, Aws};
use iotlake::contract;
use iotlake::storage::{MemoryStorage, Put, S3Storage, Storage, Swap};
use iotlake_fixtures::{Dirt, Gzip, Kit};
use serde_json::{Value, json};

use crate::delivery::zip_of_this_build;
use crate::function::message;
use crate::landing::{Account, assert_same, backfilled, contract_of, outputs};
use crate::neighbours;
use crate::servers::Faults;

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

/// Lets the effect be and withholds the reply: its body is announced and never comes. To cut a reply off, as with
/// `abort_bytes`, does nothing where it has no body, as that of a write to S3.
fn without_reply() -> Value {
    json!({"response": {"set_headers": {"Content-Length": "5"}}, "times": 1})
}

/// Which write of an object with several files.
#[derive(Debug, Clone, Copy)]
enum At {
    /// That of a file, by the number of files before it, and that of writes: the keys of a part are taken down in the record
    /// of the attempt before its files are written.
    File { files: usize, writes: usize },
    /// The last one. Its note tells it.
    Receipt,
}

#[test]
fn a_worker_killed_at_any_file_or_the_receipt_leaves_what_the_next_completes() {
    let mut text = Vec::new();
    Kit { dirt: Dirt::spread(0.05).unwrap(), ..Kit::sample() }.write_ndjson(&mut text, 150_000).unwrap();
    // The second part has rejects.
    let third = At::File { files: 3, writes: 6 };
    for (number, (at, is_done)) in [At::File { files: 1, writes: 3 }, third, At::Receipt]
        .into_iter()
        .flat_map(|at| [(at, false), (at, true)])
        .enumerate()
    {
        let account = Account::new(&format!("between-{number}"));
        let (local, messages) = land(&account, [("2026/03/01/09/x".to_owned(), text.clone())].into_iter());
        let (uri, toml) = declare(&account, &local);
        let faults = Faults::before(account.server);
        let function = account.function(faults.server().endpoint(), 0, &[("IOTLAKE_CONTRACT", &uri)]);
        let first = function.add_worker();
        function.ask(&json!({"init": true}));
        let written = || outputs(&*account.lake().storage).len();

        let rule = |what: Value| {
            let mut rule =
                json!({"service": "s3", "operation": "PutObject", "resource": account.lake_bucket});
            if matches!(at, At::Receipt) {
                rule["headers"] = json!({"x-amz-meta-iotlake-note": ""});
            }
            rule.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
            faults.rule(&rule);
        };
        let (files, writes) = if let At::File { files, writes } = at { (files, writes) } else { (12, 0) };
        if writes > 0 {
            // It only counts.
            rule(json!({"latency": 0, "times": writes}));
        }
        if is_done {
            rule(without_reply());
        }
        rule(json!({"timeout_ms": 600_000}));
        function.invoke_in_vain(&json!({"Records": messages}));
        wait_until("the write", || faults.fired().len() > writes);
        if is_done {
            wait_until("its effect", || written() == files + 1);
        }
        // Whatever it did not get an answer to, it does not go on.
        let left = written();
        function.kill(first);
        faults.clear();
        assert_eq!(written(), left, "{at:?}, {is_done}: the worker went on");
        assert_eq!(left, files + usize::from(is_done), "{at:?}, {is_done}");
        function.add_worker();
        function.deliver(&messages, 1);
        let word = if left == 13 { "already_done" } else { "done" };
        assert_eq!(function.about(&account.uri("2026/03/01/09/x")).pop().unwrap()["status"], word);
        assert_undisturbed(&account, &local, &toml);
        println!("killed at {at:?}, effect {is_done}, with {left} of 13 objects: {word}");
    }
}

#[test]
fn a_write_whose_reply_is_lost_is_known_to_be_ours() {
    let account = Account::new("lost-reply");
    let faults = Faults::before(account.server);
    // As in the function, but for the time that is waited for a reply.
    let settings = Access { attempt: Duration::from_secs(3), ..faults.server().settings() };
    let storage = S3Storage::new(&Aws::start_with(settings).unwrap(), &*account.lake_bucket, "");
    let lost = || {
        let mut rule = json!({"service": "s3", "operation": "PutObject"});
        rule.as_object_mut().unwrap().extend(without_reply().as_object().unwrap().clone());
        faults.rule(&rule);
        Instant::now()
    };
    let was_lost = |began: Instant| assert!(began.elapsed() > Duration::from_secs(2), "the reply came");
    let began = lost();
    assert_eq!(storage.put_if_absent("a", b"1").unwrap(), Put::Created, "the object in the way is its own");
    was_lost(began);
    assert_eq!(storage.put_if_absent("a", b"1").unwrap(), Put::AlreadyThere, "of another writer");
    let began = lost();
    assert_eq!(storage.put_noted("b", b"1", "note").unwrap(), Put::Created);
    was_lost(began);
    let began = lost();
    assert_eq!(storage.compare_and_swap("a", Some(b"1"), b"2").unwrap(), Swap::Done);
    was_lost(began);
    assert_eq!(storage.read("a").unwrap().unwrap(), b"2");
    assert_eq!(faults.fired().len(), 3);
}

#[test]
fn of_many_that_make_a_partition_at_once_all_go_on() {
    let account = Account::new("partition");
    let faults = Faults::before(account.server);
    let function = account.function(faults.server().endpoint(), 6, &[]);
    function.ask(&json!({"init": true}));
    // All have asked for the partition before the first has made it; to the others Glue says `AlreadyExists`.
    faults
        .rule(&json!({"service": "glue", "operation": "BatchCreatePartition", "latency": 2000, "times": 6}));
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
    assert_eq!(
        account.lake().catalog.partitions(&iotlake::catalog::TableName::rows("events")).unwrap().len(),
        1
    );
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
        json!({"service": "s3", "reset": true, "probability": 0.03}),
        json!({"service": "glue", "response": {"abort_bytes": 0}, "probability": 0.05}),
        json!({"service": "s3", "operation": "GetObject", "response": {"abort_frac": 0.4}, "probability": 0.2}),
        json!({"service": "s3", "latency": {"min": 20, "max": 200}, "probability": 0.2}),
    ]
}

#[test]
fn a_bad_day_with_four_workers_ends_as_a_good_one() {
    let account = Account::new("bad-day");
    let kit = Kit {
        devices: 4,
        hours: 3,
        objects_per_hour: 5,
        dirt: Dirt::spread(0.2).unwrap(),
        gzip: Gzip::Hour(1),
        ..Kit::sample()
    };
    let (local, mut messages) = land(&account, kit.objects().map(|object| (object.key, object.bytes)));
    let (uri, toml) = declare(&account, &local);
    let faults = Faults::before(account.server);
    // The client's own choice, `adaptive`, takes three times as long; `kills` has that.
    let variables = [("IOTLAKE_CONTRACT", &*uri), ("AWS_RETRY_MODE", "standard")];
    let function = account.function(faults.server().endpoint(), 4, &variables);
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
    // A delay is no fault; it makes others meet.
    let fired = faults.fired();
    let mut kinds: BTreeMap<&str, u32> = BTreeMap::new();
    for action in fired.iter().filter_map(|call| call["action"].as_str()) {
        if !action.starts_with("latency") {
            *kinds.entry(action).or_default() += 1;
        }
    }
    let count: u32 = kinds.values().sum();
    faults.clear();
    assert!(!kinds.contains_key("match"), "a rule that does nothing: {kinds:?}");
    assert!(count as usize > objects / 2, "a bad day has more: {kinds:?}");
    assert_undisturbed(&account, &local, &toml);
    println!(
        "{objects} objects announced twice, {count} faults {kinds:?}, failed and delivered again {}",
        function.metric("ObjectsFailed")
    );
}

/// An object arrives though the first request of this kind is never answered; how long that took.
fn arrives_though_it_hangs(service: &str, operation: &str) -> Duration {
    let account = Account::new(&format!("hang-{}", operation.to_lowercase()));
    let faults = Faults::before(account.server);
    let function = account.function(faults.server().endpoint(), 1, &[]);
    function.ask(&json!({"init": true}));
    let key = "2026/03/01/09/x";
    let message = account.land("m", key, b"{\"ts\":1772355600000,\"fresh\":1}\n");
    // A negative time is no hang to the proxy: it tells that the rule fired, and forwards the request at once.
    faults.rule(&json!({"service": service, "operation": operation, "timeout_ms": 600_000, "times": 1}));
    let began = Instant::now();
    let failed = function.deliver_batch(&[message]);
    let took = began.elapsed();
    assert!(failed.is_empty(), "{service} {operation}: {}", function.text());
    assert_eq!(faults.fired().len(), 1, "{service} {operation}");
    assert_eq!(function.metric("ObjectsDone"), 1);
    assert!(account.lake().ledger().look("events", &account.uri(key)).unwrap().is_some());
    account.audit();
    println!("{service} {operation} hung: done after {:.1} s", took.as_secs_f64());
    took
}

#[test]
fn a_request_that_hangs_is_given_up_and_made_again() {
    let requests =
        [("s3", "GetObject"), ("s3", "PutObject"), ("glue", "UpdateTable"), ("glue", "BatchCreatePartition")];
    // Side by side, for each waits as long as the client does.
    thread::scope(|scope| {
        for (service, operation) in requests {
            scope.spawn(move || {
                let took = arrives_though_it_hangs(service, operation);
                assert!(took > Duration::from_secs(20), "{service} {operation} did not hang: {took:?}");
            });
        }
    });
}

#[test]
fn a_write_that_hangs_is_given_up_as_early_as_its_size_allows() {
    let account = Account::new("hung-write");
    let faults = Faults::before(account.server);
    let write = |key: &str, size: usize, first_byte: u64, attempt: u64| {
        let settings = Access {
            first_byte: Duration::from_secs(first_byte),
            attempt: Duration::from_secs(attempt),
            ..faults.server().settings()
        };
        let storage = S3Storage::new(&Aws::start_with(settings).unwrap(), &*account.lake_bucket, "");
        faults.rule(&json!({"service": "s3", "operation": "PutObject", "timeout_ms": 600_000, "times": 1}));
        let fired = faults.fired().len();
        let began = Instant::now();
        assert_eq!(storage.put_if_absent(key, &vec![b'x'; size]).unwrap(), Put::Created);
        assert_eq!(faults.fired().len(), fired + 1, "it did not hang");
        began.elapsed()
    };
    // What is sent at once waits no longer than a request without a body would; what takes time to send is given it.
    let small = write("small", 1 << 10, 2, 100);
    assert!(small < Duration::from_secs(60), "only the end of a try ended it: {small:?}");
    let large = write("large", 2 << 20, 1, 4);
    assert!(large > Duration::from_secs(3), "it had to answer before it was sent: {large:?}");
}

/// The time of an invocation, in seconds.
const TIME: u64 = 15;

#[test]
fn an_invocation_answers_before_its_deadline_whatever_hangs() {
    // Of the emulators only ministack tells a deadline in time, and its functions reach S3 through a proxy if told so.
    let account = Account::new("deadline");
    let other = account.server.bucket("raw-deadline-fine");
    let faults = Faults::before(account.server);
    let aws = account.server.aws();
    let variables = json!({
        "IOTLAKE_LAKE": account.lake_uri(),
        "IOTLAKE_CATALOG": format!("glue:{}", account.database),
        "AWS_ENDPOINT_URL_S3": faults.server().endpoint(),
    });
    neighbours::create_function(account.server, "deadline", &zip_of_this_build(), TIME, &variables);
    let ask = |event: Value| neighbours::invoke(account.server, "deadline", &event);
    let invoke = |event: Value| -> Value {
        let (is_done, answer) = ask(event);
        assert!(is_done, "{answer}\n{}", account.server.log());
        answer
    };
    // To its first request the proxy answers after ten seconds, which is no part of what is shown here.
    S3Storage::new(&faults.aws(), &*other, "").head("none").unwrap();
    // Warm, so that what is measured is one invocation and no start.
    invoke(json!({"objects": []}));

    faults.rule(&json!({"service": "s3", "resource": account.lake_bucket, "timeout_ms": 600_000}));
    let began = Instant::now();
    let (is_done, answer) = ask(json!({"init": true}));
    let took = began.elapsed();
    assert!(!is_done && !faults.fired().is_empty(), "{answer}");
    assert_eq!(answer["errorType"], "InitFailed", "{answer}");
    assert!(answer["errorMessage"].as_str().unwrap().contains("invoke it again"), "{answer}");
    assert!(took < Duration::from_secs(TIME), "{took:?}");
    println!("with {TIME} s and an `init` that hangs: answered in {:.2} s", took.as_secs_f64());
    faults.clear();
    invoke(json!({"init": true}));

    let line = b"{\"ts\":1772355600000,\"a\":1}\n";
    let hangs = account.land("hangs", "2026/03/01/09/hangs", line);
    let fine = S3Storage::new(&aws, &*other, "");
    fine.put("2026/03/01/09/fine", line).unwrap();
    let etag = fine.head("2026/03/01/09/fine").unwrap().unwrap().etag.unwrap();
    let done = message("fine", &other, "2026/03/01/09/fine", line.len() as u64, &etag);
    let hung = faults.fired().len();
    faults.rule(
        &json!({"service": "s3", "operation": "GetObject", "resource": account.raw, "timeout_ms": 600_000}),
    );
    let began = Instant::now();
    let answer = invoke(json!({"Records": [hangs, done]}));
    let took = began.elapsed();
    assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "hangs"}]}));
    assert!(faults.fired().len() > hung, "nothing hung");
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
