//! What a storage does when S3 fails, hesitates or breaks off: before ministack stands a proxy that makes it so.

use std::io::Read;
use std::time::Duration;

use super::*;
use iotlake::error::Hint;

#[test]
fn slow_down_is_waited_out() {
    let (storage, faults) = with_faults(Access::default());
    for operation in ["PutObject", "GetObject", "HeadObject", "ListObjectsV2", "DeleteObject"] {
        faults.rule(&on(
            operation,
            json!({"times": 1,
            "error": {"code": "SlowDown", "status": 503}}),
        ));
    }
    storage.put("a", b"text").unwrap();
    assert_eq!(storage.read("a").unwrap().unwrap(), b"text");
    assert_eq!(storage.head("a").unwrap().unwrap().size, 4);
    assert_eq!(keys(&storage, ""), ["a"]);
    storage.delete("a").unwrap();
    assert_eq!(fired(&faults).len(), 5, "{:?}", fired(&faults));
}

#[test]
fn slow_down_without_end_is_told() {
    let (storage, faults) = with_faults(Access { attempts: 2, ..Access::default() });
    faults.rule(&json!({"service": "s3", "error": {"code": "SlowDown", "status": 503, "message": "Reduce your request rate."}}));
    let error = storage.put("a", b"text").unwrap_err();
    let uri = storage.uri("a");
    assert_eq!(
        error.to_string(),
        format!("{uri}: s3:PutObject: too many requests (SlowDown: Reduce your request rate.)")
    );
    assert_eq!(error.hint(), Some("try again later, or with fewer writers at a time"));
    assert_eq!(fired(&faults).len(), 2);
}

#[test]
fn failures_of_the_service_are_tried_again() {
    let (storage, faults) = with_faults(Access::default());
    faults.rule(&json!({"service": "s3", "times": 2, "error": {"code": "InternalError", "status": 500}}));
    assert_eq!(storage.put_if_absent("a", b"text").unwrap(), Put::Created);
    faults.rule(&json!({"service": "s3", "times": 2, "reset": true}));
    assert_eq!(storage.read("a").unwrap().unwrap(), b"text");
    assert_eq!(fired(&faults).len(), 4, "{:?}", fired(&faults));
}

#[test]
fn a_body_that_breaks_off_is_fetched_on() {
    let (storage, faults) = with_faults(Access::default());
    let content = bytes(5 * MIB + 7);
    storage.put("a", &content).unwrap();
    // Cut cleanly, so that it looks like the end; cut by a reset; and more than once.
    for fault in [json!({"truncate_frac": 0.3}), json!({"abort_frac": 0.3})] {
        for times in [1, 3] {
            faults.clear();
            let before = fired(&faults).len();
            faults.rule(&on("GetObject", json!({"times": times, "response": fault})));
            assert!(storage.read("a").unwrap().unwrap() == content, "{fault} {times} times");
            assert_eq!(fired(&faults).len() - before, times, "{fault}");
        }
    }
    faults.clear();
    faults.rule(&on("GetObject", json!({"times": 1, "response": {"abort_frac": 0.3}})));
    assert!(storage.get_range("a", 1_000..4_000_000).unwrap() == content[1_000..4_000_000]);
}

#[test]
fn a_body_that_always_breaks_off_is_short() {
    let (storage, faults) = with_faults(Access::default());
    storage.put("a", &bytes(MIB)).unwrap();
    faults.rule(&on("GetObject", json!({"response": {"abort_bytes": 1000}})));
    let error = storage.read("a").unwrap_err();
    assert!(
        matches!(error, StorageError::ShortBody { expected: 1_048_576, got: 1..1_048_576, .. }),
        "{error}"
    );
    assert_eq!(error.hint(), Some("run the same command again; nothing of this object was kept"));
    assert!(matches!(storage.get_range("a", 0..500_000), Err(StorageError::ShortBody { .. })));
}

#[test]
fn a_body_does_not_go_on_in_another_version() {
    let (storage, faults) = with_faults(Access::default());
    storage.put("a", &bytes(5 * MIB)).unwrap();
    faults.rule(&on("GetObject", json!({"times": 1, "response": {"abort_frac": 0.5}})));
    let mut body = storage.get("a").unwrap();
    storage.put("a", &bytes(6 * MIB)).unwrap();
    let error = body.reader.read_to_end(&mut Vec::new()).unwrap_err();
    let error = StorageError::from_io("", error);
    assert_eq!(error.to_string(), format!("{}: changed while it was being read", storage.uri("a")));
    assert_eq!(error.hint(), Some("wait until its writer is done, then run the same command again"));
}

#[test]
fn damaged_bytes_are_found() {
    let (storage, faults) = with_faults(Access::default());
    storage.put("a", &bytes(MIB)).unwrap();
    faults.rule(&on("GetObject", json!({"times": 1, "response": {"corrupt_bytes": 3}})));
    let error = storage.read("a").unwrap_err();
    assert!(matches!(error, StorageError::Io { .. }) && error.to_string().starts_with("s3://"), "{error}");
    assert!(storage.read("a").unwrap().unwrap() == bytes(MIB));
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    let second = Duration::from_secs(1);
    let (storage, faults) =
        with_faults(Access { attempts: 2, first_byte: second, attempt: second, ..Access::default() });
    faults.rule(&json!({"service": "s3", "timeout_ms": 60_000}));
    for result in [storage.head("a").map(drop), storage.put("a", b"text")] {
        let error = result.unwrap_err();
        assert!(error.to_string().contains(": no answer ("), "{error}");
        assert_eq!(
            error.hint(),
            Some("check the network, AWS_REGION and AWS_ENDPOINT_URL; trying again may help")
        );
    }
}

#[test]
fn a_write_that_is_put_off_is_tried_again() {
    let (storage, faults) = with_faults(Access::default());
    let rule = |operation: &str| {
        on(
            operation,
            json!({"times": 2,
        "error": {"code": "ConditionalRequestConflict", "status": 409}}),
        )
    };
    faults.rule(&rule("PutObject"));
    assert_eq!(storage.put_if_absent("a", b"text").unwrap(), Put::Created);
    faults.clear();
    faults.rule(&rule("PutObject"));
    assert_eq!(storage.compare_and_swap("a", Some(b"text"), b"new").unwrap(), Swap::Done);
    faults.clear();
    faults.rule(&rule("CompleteMultipartUpload"));
    assert_eq!(storage.put_if_absent("large", &bytes(17 * MIB)).unwrap(), Put::Created);
    assert_eq!(fired(&faults).len(), 6);
    assert_eq!(storage.head("large").unwrap().unwrap().size, 17 * MIB as u64);
}

#[test]
fn a_write_that_is_put_off_for_ever_is_an_error() {
    let (storage, faults) = with_faults(Access::default());
    faults.rule(&on("PutObject", json!({"error": {"code": "ConditionalRequestConflict", "status": 409}})));
    let error = storage.put_if_absent("a", b"text").unwrap_err();
    let uri = storage.uri("a");
    assert_eq!(
        error.to_string(),
        format!(
            "{uri}: s3:PutObject: too many requests (ConditionalRequestConflict: other writes of this key were under way at each of 12 tries)"
        )
    );
}

#[test]
fn a_reply_that_is_lost_changes_no_answer() {
    let (storage, faults) = with_faults(Access::default());
    // The request arrives and is granted; the answer does not come.
    let lost = |operation: &str| {
        faults.clear();
        faults.rule(&on(operation, json!({"times": 1, "response": {"abort_bytes": 0}})));
    };
    lost("PutObject");
    assert_eq!(storage.put_if_absent("a", b"1").unwrap(), Put::Created);
    assert_eq!(
        storage.put_if_absent("a", b"1").unwrap(),
        Put::AlreadyThere,
        "the same bytes of another writer"
    );
    lost("PutObject");
    assert_eq!(storage.compare_and_swap("a", Some(b"1"), b"2").unwrap(), Swap::Done);
    lost("PutObject");
    assert_eq!(storage.compare_and_swap("b", None, b"1").unwrap(), Swap::Done);
    lost("CompleteMultipartUpload");
    assert_eq!(storage.put_if_absent("large", &bytes(17 * MIB)).unwrap(), Put::Created);
    lost("CompleteMultipartUpload");
    storage.put("large", &bytes(18 * MIB)).unwrap();
    assert_eq!(storage.head("large").unwrap().unwrap().size, 18 * MIB as u64);
    assert_eq!(fired(&faults).len(), 5, "{:?}", fired(&faults));
}

#[test]
fn many_readers_and_writers_get_through_a_bad_day() {
    let (storage, faults) = with_faults(Access::default());
    faults.rule(
        &json!({"service": "s3", "probability": 0.1, "error": {"code": "InternalError", "status": 500}}),
    );
    faults.rule(&json!({"service": "s3", "probability": 0.1, "reset": true}));
    faults.rule(&on("GetObject", json!({"probability": 0.3, "response": {"abort_frac": 0.7}})));
    std::thread::scope(|scope| {
        for writer in 0..4_usize {
            let storage = &storage;
            scope.spawn(move || {
                for number in 0..10 {
                    let (key, content) = (format!("{writer}/{number}"), bytes(writer * 50_000 + number));
                    assert_eq!(storage.put_if_absent(&key, &content).unwrap(), Put::Created);
                    assert!(storage.read(&key).unwrap().unwrap() == content, "{key}");
                }
            });
        }
    });
    assert!(!fired(&faults).is_empty());
}
