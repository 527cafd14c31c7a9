//! Workers that are killed, and services that fail, at every step of the order of effects.
//!
//! A proxy stands between the worker and S3 and Glue. At a step it swallows the request, so that the effect never was,
//! or forwards it and lets the worker come no further, so that the effect is there and nothing behind it; then the
//! worker is killed. What must stay true: the next worker completes the lake to what it would have been, byte for byte.

use std::thread;
use std::time::{Duration, Instant};

use iotlake::storage::{MemoryStorage, Storage};
use serde_json::{Value, json};

use crate::landing::{Account, assert_same, backfilled, outputs};
use crate::servers::Faults;

/// One row, one reject, one new column.
const OBJECT: &[u8] = b"{\"ts\":1772355600000,\"fresh\":1.5}\n{\"broken\n";
const KEY: &str = "2026/03/01/09/x";

/// Where a worker is killed: the request, and how many of its kind come before it.
const STEPS: [(&str, &str, bool, u32); 9] = [
    ("s3", "HeadObject", false, 0),
    ("s3", "GetObject", false, 0),
    ("glue", "UpdateTable", false, 0),
    // Rejects, then data.
    ("s3", "PutObject", false, 0),
    ("s3", "PutObject", false, 1),
    // Of data, then of rejects.
    ("glue", "BatchCreatePartition", false, 0),
    ("glue", "BatchCreatePartition", false, 1),
    // Its note tells the receipt.
    ("s3", "PutObject", true, 0),
    ("glue", "GetTable", false, 0),
];

fn expected(account: &Account) -> std::collections::BTreeMap<String, Vec<u8>> {
    let from = MemoryStorage::new("raw");
    from.put(KEY, OBJECT).unwrap();
    outputs(&*backfilled(&from, &format!("s3://{}", account.raw), Default::default()).storage)
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} never happened");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_worker_killed_at_any_step_leaves_what_the_next_one_completes() {
    for (at, (service, operation, is_receipt, before)) in STEPS.into_iter().enumerate() {
        // What only reads has no effect that could be there; and a receipt that is there ends it all.
        let is_last_word = is_receipt || ["HeadObject", "GetObject", "GetTable"].contains(&operation);
        for is_done in if is_last_word { vec![false] } else { vec![false, true] } {
            let account = Account::new(&format!("kill-{at}-{}", u8::from(is_done)));
            let faults = Faults::before(account.server);
            let function = account.function(faults.server().endpoint(), 0, &[]);
            let first = function.add_worker();
            function.ask(&json!({"init": true}));
            let message = account.land("m", KEY, OBJECT);

            let step = |what: Value| {
                let mut rule = json!({"service": service, "operation": operation});
                if is_receipt {
                    rule["headers"] = json!({"x-amz-meta-iotlake-note": ""});
                }
                rule.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
                rule
            };
            if before > 0 {
                faults.rule(&step(json!({"latency": {"min_ms": 0, "max_ms": 0}, "times": before})));
            }
            if is_done {
                // Its reply is lost where it has a body, and the client's next try hangs; else what comes next does.
                faults.rule(&step(json!({"response": {"abort_bytes": 0}, "times": 1})));
            }
            faults.rule(&step(json!({"timeout_ms": 600_000})));
            let due = before as usize + usize::from(is_done) + 1;
            // Nobody answers: its sender gives up, and delivers again.
            function.invoke_in_vain(&json!({"Records": [message]}));
            let what = format!("{service} {operation}, done {is_done}");
            wait_until(&what, || faults.fired().len() >= due);
            function.kill(first);
            faults.clear();
            function.add_worker();
            let mut failed = vec![message.clone()];
            wait_until("the next worker", || {
                failed = function.deliver_batch(&failed);
                failed.is_empty()
            });
            assert_same(&outputs(&*account.lake().storage), &expected(&account));
            account.audit();
            println!("killed at {service} {operation} {before}, effect {is_done}: completed");
        }
    }
}

/// Faults that pass, each at some request of the way.
fn passing_faults() -> Vec<(&'static str, Value)> {
    let error = |service: &str, code: &str, status: u16, times: u32| json!({"service": service, "error": {"code": code, "status": status}, "times": times});
    vec![
        ("S3 throttles", error("s3", "SlowDown", 503, 3)),
        ("S3 fails", error("s3", "InternalError", 500, 3)),
        ("Glue throttles", error("glue", "ThrottlingException", 400, 2)),
        ("Glue fails", error("glue", "InternalServiceException", 500, 2)),
        (
            "somebody changes the table",
            json!({"service": "glue", "operation": "UpdateTable", "times": 2,
                "error": {"code": "ConcurrentModificationException", "status": 400}}),
        ),
        ("S3 hangs up", json!({"service": "s3", "reset": true, "times": 3})),
        (
            "a body is cut short",
            json!({"service": "s3", "operation": "GetObject", "response": {"abort_frac": 0.3}, "times": 1}),
        ),
        (
            "S3 does not answer",
            json!({"service": "s3", "operation": "GetObject", "timeout_ms": -1, "times": 1}),
        ),
        ("replies of Glue are lost", json!({"service": "glue", "response": {"abort_bytes": 0}, "times": 2})),
        (
            "replies to writes are lost",
            json!({"service": "s3", "operation": "PutObject", "response": {"abort_bytes": 0}, "times": 2}),
        ),
    ]
}

#[test]
fn faults_that_pass_leave_nothing_behind() {
    for (at, (what, rule)) in passing_faults().into_iter().enumerate() {
        let account = Account::new(&format!("fault-{at}"));
        let faults = Faults::before(account.server);
        let function = account.function(faults.server().endpoint(), 1, &[]);
        function.ask(&json!({"init": true}));
        let message = account.land("m", KEY, OBJECT);
        faults.rule(&rule);
        let mut failed = vec![message];
        let mut tries = 0;
        while !failed.is_empty() {
            tries += 1;
            assert!(tries < 5, "{what}: {}", function.text());
            failed = function.deliver_batch(&failed);
        }
        assert!(!faults.fired().is_empty(), "{what} never happened");
        assert_same(&outputs(&*account.lake().storage), &expected(&account));
        account.audit();
        println!("{what}: {} times, delivered {tries} times", faults.fired().len());
    }
}
