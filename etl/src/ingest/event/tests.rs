use serde_json::json;

use super::*;

fn s3(key: &str) -> Value {
    json!({"Records": [{
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-1",
        "eventTime": "2026-03-01T09:00:00.123Z", "eventName": "ObjectCreated:CompleteMultipartUpload",
        "s3": {"bucket": {"name": "raw"}, "object": {"key": key, "size": 12, "eTag": "abc-2", "sequencer": "00"}},
        "added": {"by": "AWS, later"}
    }]})
}

fn object(key: &str) -> Announced {
    Announced {
        bucket: "raw".into(),
        key: key.into(),
        size: Some(12),
        etag: Some("abc-2".into()),
        landed: Some(1_772_355_600_123_000),
    }
}

fn direct(event: &Value) -> Notice {
    match Request::parse(event).unwrap() {
        Request::Direct(notice) => notice,
        other => panic!("{other:?}"),
    }
}

fn batch(bodies: &[String]) -> Value {
    let records = bodies.iter().enumerate().map(|(index, body)| {
        json!({"messageId": format!("m{index}"), "eventSource": "aws:sqs", "body": body,
               "attributes": {"ApproximateReceiveCount": "3"}})
    });
    json!({"Records": records.collect::<Vec<_>>()})
}

fn messages(bodies: &[String]) -> Vec<Message> {
    match Request::parse(&batch(bodies)).unwrap() {
        Request::Batch(messages) => messages,
        other => panic!("{other:?}"),
    }
}

fn error(event: &Value) -> String {
    Request::parse(event).unwrap_err().to_string()
}

#[test]
fn keys_are_decoded_as_s3_encodes_them() {
    for (encoded, key) in [
        ("2026/03/01/09/iot-1", "2026/03/01/09/iot-1"),
        ("a+b", "a b"),
        ("a%2Bb", "a+b"),
        ("a%2520b", "a%20b"),
        ("year%3D2026/gr%C3%BCn/%E6%97%A5", "year=2026/grün/日"),
        ("year=2026%2Fx", "year=2026/x"),
    ] {
        assert_eq!(direct(&s3(encoded)).objects, [object(key)], "{encoded}");
    }
    assert_eq!(error(&s3("%FF")), "`Records[0].s3.object.key` does not decode to UTF-8");
}

#[test]
fn every_wrapping_says_the_same() {
    let plain = s3("a+b").to_string();
    let sns = json!({"Type": "Notification", "TopicArn": "arn", "Message": plain}).to_string();
    let bridge = json!({
        "version": "0", "source": "aws.s3", "detail-type": "Object Created", "time": "2026-03-01T09:00:00.123Z",
        "detail": {"bucket": {"name": "raw"}, "object": {"key": "a b", "size": 12, "etag": "abc-2"}}
    });
    let through_sns = json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": plain}}]});
    assert_eq!(direct(&through_sns).objects, [object("a b")]);
    assert_eq!(direct(&bridge).objects, [object("a b")]);
    for message in messages(&[plain, sns, bridge.to_string()]) {
        assert_eq!(message.notice.unwrap().objects, [object("a b")], "{}", message.id);
        assert_eq!(message.received, 3);
    }
    // Plain keys are plain: nothing is decoded twice.
    let bridge = json!({"source": "aws.s3", "detail-type": "Object Created",
        "detail": {"bucket": {"name": "raw"}, "object": {"key": "a+b%20c"}}});
    assert_eq!(direct(&bridge).objects[0].key, "a+b%20c");
}

#[test]
fn a_list_names_objects_in_several_ways() {
    let event = json!({"bucket": "raw", "objects": [
        "s3://other/a+b/c", {"key": "k", "size": 12, "etag": "abc-2"},
        {"Key": "K", "Size": 1, "Etag": "\"e\"", "StorageClass": "STANDARD"}, {"bucket": "b", "key": "k"},
    ]});
    let named: Vec<_> = direct(&event).objects;
    let names: Vec<_> = named.iter().map(|object| format!("{}/{}", object.bucket, object.key)).collect();
    assert_eq!(names, ["other/a+b/c", "raw/k", "raw/K", "b/k"]);
    assert_eq!(named[1], Announced { landed: None, ..object("k") });
    assert_eq!(named[2].etag.as_deref(), Some("e"));
    assert_eq!(
        error(&json!({"objects": [{"key": "k"}]})),
        "`objects[0]` has no `bucket`, and neither has the event"
    );
    assert_eq!(error(&json!({"objects": ["k"]})), "`objects[0]` is not a URI such as s3://bucket/key");
    assert_eq!(error(&json!({"objects": "k"})), "`objects` is not a list");
}

#[test]
fn what_is_no_object_is_counted() {
    let test = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "raw"});
    assert_eq!(direct(&test), Notice { objects: vec![], others: 1 });
    let mut removed = s3("a");
    removed["Records"][0]["eventName"] = "ObjectRemoved:Delete".into();
    assert_eq!(direct(&removed).others, 1);
    let tags = json!({"source": "aws.s3", "detail-type": "Object Tags Added", "detail": {}});
    assert_eq!(direct(&tags).others, 1);
    assert_eq!(direct(&json!({"Records": []})), Notice::default());
}

#[test]
fn a_message_that_is_not_understood_is_its_own_error() {
    let bodies = ["{\"a\":".to_owned(), "{\"a\":1}".to_owned(), s3("ok").to_string(), "[1]".to_owned()];
    let messages = messages(&bodies);
    let texts: Vec<_> =
        messages.iter().map(|message| message.notice.as_ref().map_err(ToString::to_string)).collect();
    assert_eq!(texts[0].as_ref().unwrap_err(), "the body of the message is not JSON (line 1, column 5)");
    assert!(texts[1].as_ref().unwrap_err().ends_with("its fields are a"));
    assert_eq!(texts[2].as_ref().unwrap().objects, [object("ok")]);
    assert!(texts[3].as_ref().unwrap_err().ends_with("its fields are none"));
}

#[test]
fn an_event_of_another_version_is_refused() {
    let mut event = s3("a");
    event["Records"][0]["eventVersion"] = "3.0".into();
    assert_eq!(error(&event), "`Records[0].eventVersion` is `3.0`; this version knows 2.x");
    event["Records"][0]["eventVersion"] = "2.9".into();
    assert_eq!(direct(&event).objects.len(), 1);
    let kinesis = json!({"Records": [{"eventSource": "aws:kinesis"}]});
    assert_eq!(error(&kinesis), "`Records[0].eventSource` is not `aws:s3`");
    assert_eq!(Request::parse(&json!({"init": true})).unwrap(), Request::Init);
    assert_eq!(Request::parse(&json!({"init": {}})).unwrap(), Request::Init);
}
